/* SPDX-License-Identifier: MIT */
/*
 * One operation on a world's disk, with the fault that it has drawn. Everything happens here and
 * now; when that is, sim/backend.c decides.
 */
#include <string.h>

#include "allocator.h"
#include "sim/sim.h"

/* How much of a transfer is made. */
static size_t short_length(uvdio_sim_t* sim, const uvdio__sim_task_t* task,
                           const uvdio_fault_t* fault, size_t unit) {
  if (fault->kind != UVDIO_FAULT_SHORT || task->atomic) {
    return task->event.length;
  }
  return uvdio__fault_shorten(&sim->random, task->event.length, fault->length,
                              fault->length == 0 ? task->unit : unit);
}

/* Another place for the transfer, within the file; its own where there is no other. */
static uint64_t other_place(uvdio_sim_t* sim, const uvdio__sim_task_t* task) {
  uint64_t sector = sim->options.sector_size;
  uint64_t size = uvdio__node_size(task->file->now);
  uint64_t places = size < task->event.length ? 0 : (size - task->event.length) / sector + 1;
  uint64_t own = task->event.offset / sector;
  uint64_t place;

  if (places == 0 || (places == 1 && own == 0)) {
    return task->event.offset;
  }
  place = uvdio__sim_random(sim, own < places ? places - 1 : places);
  return (place < own ? place : place + 1) * sector;
}

/*
 * Reads
 */

static int64_t grow_bad_sector(uvdio_sim_t* sim, const uvdio__sim_task_t* task, int error) {
  uint64_t sector = sim->options.sector_size;
  uint64_t first = task->event.offset / sector;
  uint64_t count = (task->event.length + sector - 1) / sector;
  int failed = uvdio__sim_damage_sector(task->file, first + uvdio__sim_random(sim, count));
  return failed != 0 ? failed : error;
}

/* What is short ends with a block of the disk, wherever a buffered read began; else it would say
 * that the file ends there. */
static size_t short_read_length(uvdio_sim_t* sim, const uvdio__sim_task_t* task,
                                const uvdio_fault_t* fault) {
  size_t length = short_length(sim, task, fault, task->unit);
  size_t odd = (size_t)(task->event.offset % task->unit);

  return odd == 0 || length == task->event.length ? length : length - odd;
}

static int64_t read_from_disk(uvdio_sim_t* sim, const uvdio__sim_task_t* task,
                              const uvdio_fault_t* fault) {
  size_t length = short_read_length(sim, task, fault);
  uint64_t offset = task->event.offset;
  int64_t got;

  if (fault->kind == UVDIO_FAULT_LATENT) {
    return grow_bad_sector(sim, task, fault->error);
  }
  if (fault->kind == UVDIO_FAULT_MISDIRECT) {
    offset = other_place(sim, task);
  }
  if (uvdio__sim_is_damaged(task->file, offset, length)) {
    return UV_EIO;
  }
  got = uvdio__node_read(task->file->now, task->base, length, offset);
  if (fault->kind == UVDIO_FAULT_CORRUPT && got > 0) {
    uvdio__sim_flip(sim, task->base, (size_t)got);
  }
  return got;
}

/*
 * Writes
 */

static unsigned how_of(const uvdio__sim_task_t* task) {
  return (task->durable ? SIM_WRITE_DURABLE : 0) | (task->atomic ? SIM_WRITE_ATOMIC : 0);
}

static int64_t tear(uvdio_sim_t* sim, const uvdio__sim_task_t* task, int error) {
  size_t sector = sim->options.sector_size;
  size_t done = 0;

  while (done < task->event.length) {
    size_t left = task->event.length - done;
    size_t part = left < sector || task->atomic ? left : sector;
    if (uvdio__sim_random(sim, 2) == 0) {
      int64_t wrote =
          uvdio__sim_write(task->file, task->base + done, part, task->event.offset + done,
                           how_of(task) & ~SIM_WRITE_DURABLE);
      if (wrote < 0) {
        return wrote;
      }
    }
    done += part;
  }
  return error;
}

static int64_t write_corrupted(uvdio_sim_t* sim, const uvdio__sim_task_t* task) {
  size_t length = task->event.length;
  char* copy = uvdio__alloc(length, UVDIO__STRUCT_ALIGN, 0);
  int64_t wrote;

  if (copy == NULL) {
    return UV_ENOMEM;
  }
  memcpy(copy, task->base, length);
  uvdio__sim_flip(sim, copy, length);
  wrote = uvdio__sim_write(task->file, copy, length, task->event.offset, how_of(task));
  uvdio__free(copy, length, UVDIO__STRUCT_ALIGN);
  return wrote;
}

/* The filesystem knows of the write, the medium does not. */
static int64_t lose(const uvdio__sim_task_t* task) {
  uint64_t end = task->event.offset + task->event.length;
  int error = end > uvdio__node_size(task->file->now) ? uvdio__sim_resize(task->file, end) : 0;
  return error != 0 ? error : (int64_t)task->event.length;
}

static int64_t misdirect(uvdio_sim_t* sim, const uvdio__sim_task_t* task) {
  uint64_t place = other_place(sim, task);
  int64_t wrote = lose(task);

  if (wrote > 0 && place != task->event.offset) {
    wrote = uvdio__sim_write(task->file, task->base, task->event.length, place, how_of(task));
  }
  return wrote;
}

static int64_t write_to_disk(uvdio_sim_t* sim, const uvdio__sim_task_t* task,
                             const uvdio_fault_t* fault) {
  switch (fault->kind) {
    case UVDIO_FAULT_TORN:
      return tear(sim, task, fault->error);
    case UVDIO_FAULT_CORRUPT:
      return write_corrupted(sim, task);
    case UVDIO_FAULT_LOST:
      return lose(task);
    case UVDIO_FAULT_MISDIRECT:
      return misdirect(sim, task);
    case UVDIO_FAULT_SHORT:
    case UVDIO_FAULT_NONE:
    case UVDIO_FAULT_ERROR:
    case UVDIO_FAULT_LATENT:
    case UVDIO_FAULT_DELAY:
    case UVDIO_FAULT_CUT:
      break;
  }
  return uvdio__sim_write(task->file, task->base,
                          short_length(sim, task, fault, sim->options.sector_size),
                          task->event.offset, how_of(task));
}

/*
 * The rest
 */

/* A program that is gone has no lock, but for as long as a write of its may land. */
static int is_locked(const uvdio_sim_t* sim, const uvdio__sim_file_t* file, unsigned flags) {
  const uvdio__sim_engine_t* engine;
  const uvdio__late_t* piece;

  for (engine = sim->engines; engine != NULL; engine = engine->next) {
    if (!engine->dead && uvdio__memory_is_locked(engine->queue->engine, file, flags)) {
      return 1;
    }
  }
  for (piece = sim->late; piece != NULL; piece = piece->next) {
    if (piece->file == file && uvdio__locks_conflict(piece->locks, flags)) {
      return 1;
    }
  }
  return 0;
}

/* What an open says to a file that is there and may not be had, before it changes anything. */
static int check_present(const uvdio_sim_t* sim, const uvdio__open_state_t* opening) {
  const uvdio__sim_file_t* file = uvdio__sim_find(sim, opening->path);

  if (file == NULL || (opening->flags & UVDIO__NAMELESS) != 0 ||
      uvdio__store_admits(opening->path, opening->flags, 1) != 0) {
    return 0;
  }
  return is_locked(sim, file, opening->flags) ? UVDIO_ELOCKED : 0;
}

static int64_t open_file(uvdio_sim_t* sim, uvdio__open_state_t* opening) {
  uvdio__sim_file_t* file;
  int error = check_present(sim, opening);

  if (error == 0) {
    error = uvdio__sim_open(sim, opening->path, opening->flags, &file);
  }

  if (error != 0) {
    return error;
  }
  opening->descriptor = (intptr_t)file;
  opening->direct = (opening->flags & (UVDIO_O_BUFFERED | UVDIO_O_DIRECTORY)) == 0;
  opening->filesystem = "memory";
  opening->facts.size = uvdio__node_size(file->now);
  opening->facts.atomic_min = sim->options.atomic_min;
  opening->facts.atomic_max = sim->options.atomic_max;
  if (opening->direct) {
    opening->memory_align = sim->options.sector_size;
    opening->offset_align = sim->options.sector_size;
    opening->align_source = UVDIO_ALIGN_SYSTEM;
  }
  return 0;
}

/* A world has room for everything: only the size matters. */
static int preallocate(const uvdio__sim_task_t* task) {
  uint64_t end = task->event.offset + task->event.span;
  int grows = !task->keeps_size && end > uvdio__node_size(task->file->now);

  return grows ? uvdio__sim_resize(task->file, end) : 0;
}

/* What was to be durable was so before it had the name. */
static int64_t replace_name(uvdio_sim_t* sim, const uvdio__sim_task_t* task) {
  uvdio__names_t* names = task->names;
  int error;

  uvdio__sim_sync(task->file, task->mark, UVDIO_OP_REPLACE);
  names->step = UVDIO__REPLACE_RENAME;
  if (uvdio__sim_find(sim, names->path) != task->file) {
    return UV_ENOENT;
  }
  error = uvdio__sim_names(sim, UVDIO_OP_RENAME, names, 0);
  if (error == 0) {
    names->step = UVDIO__REPLACE_SYNC_DIRECTORY;
    if (task->durable) {
      uvdio__sim_sync_names_of(sim, names->new_path);
    }
  }
  return error;
}

static void sync_file(uvdio_sim_t* sim, const uvdio__sim_task_t* task) {
  if (task->file->is_directory) {
    uvdio__sim_sync_names(sim, uvdio__node_path(task->file->now), task->mark);
  } else {
    uvdio__sim_sync(task->file, task->mark, task->event.op);
  }
}

static int64_t fail(const uvdio__sim_task_t* task, int error) {
  if (uvdio__is_sync(task->event.op) && error != UV_EINTR && error != UV_EAGAIN) {
    uvdio__sim_fail_sync(task->file, task->mark);
  }
  return error;
}

static int64_t perform(uvdio_sim_t* sim, uvdio__sim_task_t* task, const uvdio_fault_t* fault) {
  if (sim->out_of_memory) {
    return UV_ENOMEM;
  }
  if (fault->kind == UVDIO_FAULT_ERROR) {
    return fail(task, fault->error);
  }
  switch (task->event.op) {
    case UVDIO_OP_OPEN:
      return open_file(sim, task->opening);
    case UVDIO_OP_READ:
      return read_from_disk(sim, task, fault);
    case UVDIO_OP_WRITE:
      return write_to_disk(sim, task, fault);
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
      sync_file(sim, task);
      return 0;
    case UVDIO_OP_TRUNCATE:
      return uvdio__sim_resize(task->file, task->event.offset);
    case UVDIO_OP_PREALLOCATE:
      return preallocate(task);
    case UVDIO_OP_STAT: /* sim/backend.c gives the answer. */
      return 0;
    case UVDIO_OP_PUNCH_HOLE:
    case UVDIO_OP_ZERO_RANGE:
      return uvdio__sim_punch(task->file, task->event.offset, task->event.span);
    case UVDIO_OP_CLOSE:
      return 0;
    case UVDIO_OP_RENAME:
    case UVDIO_OP_LINK:
    case UVDIO_OP_UNLINK:
    case UVDIO_OP_MKDIR:
    case UVDIO_OP_RMDIR:
    case UVDIO_OP_SYNC_DIRECTORY:
      return task->file != NULL ? uvdio__sim_link_file(sim, task->file, task->names)
                                : uvdio__sim_names(sim, task->event.op, task->names, task->mark);
    case UVDIO_OP_REPLACE:
      return replace_name(sim, task);
    default:
      return uvdio__node_tell(task->file->now, task->event.op, task->event.offset);
  }
}

/*
 * The account of it
 */

static const char* name_of(uvdio_fault_kind_t kind) {
  static const char* const names[] = {"",        "error",     "torn",   "short", "lost",
                                      "corrupt", "misdirect", "latent", "delay", "cut"};
  return names[kind];
}

static uint64_t checksum(const char* base, int64_t length) {
  uint64_t sum = UINT64_C(0xcbf29ce484222325);
  uint64_t word;
  int64_t i;

  for (i = 0; i + 8 <= length; i += 8) {
    memcpy(&word, base + i, sizeof(word));
    sum = (sum ^ word) * UINT64_C(0x100000001b3);
    sum ^= sum >> 32;
  }
  return sum;
}

int64_t uvdio__sim_perform(uvdio_sim_t* sim, uvdio__sim_task_t* task, const uvdio_fault_t* fault) {
  int64_t result = perform(sim, task, fault);
  int listened = task->event.op == UVDIO_OP_READ && sim->options.on_trace != NULL;

  uvdio__sim_note(sim, &task->event, name_of(fault->kind), result,
                  listened ? checksum(task->base, result) : 0);
  return result;
}
