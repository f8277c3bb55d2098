/* SPDX-License-Identifier: MIT */
/*
 * Writes that outlive their program. A crash leaves them to the disk, in pieces: each piece either
 * never lands, or at a step of its own. They are the machine's business from then on, and a power
 * cut is the last that can befall them.
 */
#include <string.h>

#include "allocator.h"
#include "sim/sim.h"

static size_t size_of_piece(size_t length) {
  return sizeof(uvdio__late_t) + length;
}

static int is_in_order(const uvdio_sim_t* sim) {
  return (sim->options.flags & UVDIO_SIM_IN_ORDER) != 0;
}

static void append(uvdio_sim_t* sim, uvdio__late_t* piece) {
  if (sim->late_newest == NULL) {
    sim->late = piece;
  } else {
    if (is_in_order(sim) && piece->due < sim->late_newest->due) {
      piece->due = sim->late_newest->due;
    }
    sim->late_newest->next = piece;
  }
  sim->late_newest = piece;
  sim->stats.landing++;
}

/* Within `span` steps. */
static void leave_piece(uvdio_sim_t* sim, const uvdio__sim_task_t* task, uint64_t span,
                        size_t begin, size_t length) {
  uvdio__late_t* piece = uvdio__alloc(size_of_piece(length), UVDIO__STRUCT_ALIGN, 1);

  if (piece == NULL) {
    sim->out_of_memory = 1;
    return;
  }
  piece->file = task->file;
  piece->number = task->event.number;
  piece->locks = task->locks;
  piece->due = sim->step + uvdio__sim_random(sim, span + 1);
  piece->offset = task->event.offset + begin;
  piece->length = length;
  piece->atomic = task->atomic;
  memcpy(piece->bytes, task->base + begin, length);
  append(sim, piece);
}

static void leave_sectors(uvdio_sim_t* sim, const uvdio__sim_task_t* task, uint64_t span) {
  size_t sector = sim->options.sector_size;
  size_t begin;

  for (begin = 0; begin < task->event.length; begin += sector) {
    size_t left = task->event.length - begin;
    if (uvdio__sim_random(sim, 3) != 0) {
      leave_piece(sim, task, span, begin, left < sector ? left : sector);
    }
  }
}

/* Nothing of it, all of it in one piece, or sectors; at once, soon, or within what the options
 * allow. */
void uvdio__sim_leave(uvdio_sim_t* sim, const uvdio__sim_task_t* task) {
  uint64_t fate = uvdio__sim_random(sim, 3);
  uint64_t span = sim->options.landing_max * uvdio__sim_random(sim, 3) / 2;

  if (fate == 1 || (fate == 2 && task->atomic)) {
    leave_piece(sim, task, span, 0, task->event.length);
  } else if (fate == 2) {
    leave_sectors(sim, task, span);
  }
}

/* Nobody waited for it, so that it is not durable, whatever its file was opened with. */
static void land(uvdio_sim_t* sim, const uvdio__late_t* piece) {
  uvdio_fault_event_t event = {0};
  int64_t wrote;

  event.number = piece->number;
  event.step = sim->step;
  event.op = UVDIO_OP_WRITE;
  event.path = uvdio__node_path(piece->file->now);
  event.offset = piece->offset;
  event.length = piece->length;
  sim->stats.landed++;
  wrote = uvdio__sim_write(piece->file, piece->bytes, piece->length, piece->offset,
                           piece->atomic ? SIM_WRITE_ATOMIC : 0);
  if (wrote < 0) {
    sim->out_of_memory = 1;
  }
  uvdio__sim_note(sim, &event, "late", wrote, 0);
}

/* Lands those for which `lands` says so, and drops them, or all. */
static void take_pieces(uvdio_sim_t* sim, int (*lands)(uvdio_sim_t*, const uvdio__late_t*),
                        int all) {
  uvdio__late_t** link = &sim->late;

  sim->late_newest = NULL;
  while (*link != NULL) {
    uvdio__late_t* piece = *link;
    int falls = lands(sim, piece);
    if (!falls && !all) {
      sim->late_newest = piece;
      link = &piece->next;
      continue;
    }
    if (falls) {
      land(sim, piece);
    }
    *link = piece->next;
    sim->stats.landing--;
    uvdio__free(piece, size_of_piece(piece->length), UVDIO__STRUCT_ALIGN);
  }
}

static int is_due(uvdio_sim_t* sim, const uvdio__late_t* piece) {
  return piece->due <= sim->step;
}

static int by_chance(uvdio_sim_t* sim, const uvdio__late_t* piece) {
  (void)piece;
  return uvdio__sim_random(sim, 2) == 0;
}

static int never(uvdio_sim_t* sim, const uvdio__late_t* piece) {
  (void)sim;
  (void)piece;
  return 0;
}

void uvdio__sim_land_due(uvdio_sim_t* sim) {
  take_pieces(sim, is_due, 0);
}

void uvdio__sim_end_late(uvdio_sim_t* sim, int some_land) {
  take_pieces(sim, some_land ? by_chance : never, 1);
}

void uvdio__sim_step(uvdio_sim_t* sim) {
  sim->step++;
  if (sim->late != NULL) {
    uvdio__sim_land_due(sim);
  }
}

static uint64_t next_due(const uvdio_sim_t* sim) {
  uint64_t due = sim->late->due;
  const uvdio__late_t* piece;

  for (piece = sim->late->next; piece != NULL; piece = piece->next) {
    due = piece->due < due ? piece->due : due;
  }
  return due;
}

/* Steps in which nothing lands are passed over. */
int64_t uvdio_sim_settle(uvdio_sim_t* sim) {
  uint64_t before;

  if (sim == NULL) {
    return UV_EINVAL;
  }
  before = sim->stats.landed;
  while (sim->late != NULL) {
    uint64_t due = next_due(sim);
    assert(due > sim->step);
    sim->step = due;
    uvdio__sim_land_due(sim);
  }
  return sim->out_of_memory ? UV_ENOMEM : (int64_t)(sim->stats.landed - before);
}
