/* SPDX-License-Identifier: MIT */
/*
 * The background I/O: at most `depth` operations at a time, and every one that a rate makes due.
 * What is due is looked at each millisecond and after each operation. One that finds the depth used
 * up is late, not left out: the rate that is reached tells.
 */
#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "echo_server/io.h"
#include "echo_server/state.h"
#include "harness/work.h"
#include "uvdio.h"

#define TICK_MS 1

static int is_due(const io_t* io, uint64_t now_ns) {
  uint64_t rate = io->server->params.rate;
  double seconds = (double)(now_ns - io->begun_ns) / 1e9;
  return rate == 0 || (double)io->submitted < seconds * (double)rate;
}

static void pump(io_t* io, uint64_t now_ns) {
  step_t step;
  while (!io->stopping && io->free != NULL && is_due(io, now_ns) &&
         work_next(&io->work, now_ns, &step)) {
    io_slot_t* slot = io->free;
    io->free = slot->next_free;
    slot->began_ns = now_ns;
    io->submitted++;
    int error = io->means->submit(slot, &step);
    if (error != 0) {
      echo_server_fail(io->server, step.is_write ? "write" : "read", error);
    }
  }
}

void io_done(io_slot_t* slot, ssize_t result) {
  io_t* io = slot->io;
  uint64_t now_ns = uv_hrtime();
  slot->next_free = io->free;
  io->free = slot;
  if (result != (ssize_t)io->work.params.block_size) {
    echo_server_fail(io->server, "read or write", result < 0 ? (int)result : UVDIO_ESHORTREAD);
    return;
  }
  if (io->server->recording) {
    work_done(&io->work, slot->began_ns, now_ns);
  }
  pump(io, now_ns);
}

static void on_tick(uv_timer_t* timer) {
  pump(timer->data, uv_hrtime());
}

static int open_slots(io_t* io) {
  unsigned depth = io->work.params.depth;
  io->slots = calloc(depth, sizeof *io->slots);
  if (io->slots == NULL) {
    return UV_ENOMEM;
  }
  for (unsigned i = 0; i < depth; i++) {
    io->slots[i].io = io;
    io->slots[i].next_free = io->free;
    io->free = &io->slots[i];
  }
  return io->means->open(io);
}

int io_open(io_t* io, echo_server_t* server, const io_means_t* means) {
  io->server = server;
  io->descriptor = -1;
  io->timer.data = io;
  work_prepare(&io->work, &server->params.work, 0);
  io->work.deadline_ns = UINT64_MAX;
  io->means = means;
  int error = uv_timer_init(&server->loop, &io->timer);
  return error == 0 && io->means != NULL ? open_slots(io) : error;
}

void io_begin(io_t* io) {
  if (io->means != NULL) {
    io->begun_ns = uv_hrtime();
    (void)uv_timer_start(&io->timer, on_tick, TICK_MS, TICK_MS);
    pump(io, io->begun_ns);
  }
}

void io_stop(io_t* io) {
  assert(!io->stopping);
  io->stopping = 1;
  uv_close((uv_handle_t*)&io->timer, NULL);
  if (io->means != NULL) {
    io->means->stop(io);
  }
}

void io_close(io_t* io) {
  if (io->means != NULL) {
    io->means->close(io);
  }
  free(io->slots);
}
