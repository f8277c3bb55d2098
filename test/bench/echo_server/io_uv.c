/* SPDX-License-Identifier: MIT */
/*
 * The background I/O by libuv's own file calls: what a server would do without this library.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "echo_server/io.h"
#include "echo_server/io_uv.h"
#include "harness/work.h"
#include "uvdio.h"

static int open_uv(io_t* io) {
  const work_params_t* params = &io->work.params;
  void* memory;
  io->descriptor = work_open(params, 0);
  if (io->descriptor < 0) {
    return io->descriptor;
  }
  if (posix_memalign(&memory, UVDIO_ALIGNMENT, params->depth * params->block_size) != 0) {
    return UV_ENOMEM;
  }
  io->memory = memset(memory, 'u', params->depth * params->block_size);
  for (unsigned i = 0; i < params->depth; i++) {
    io->slots[i].memory = io->memory + i * params->block_size;
    io->slots[i].fs.data = &io->slots[i];
  }
  return 0;
}

static void on_done(uv_fs_t* req) {
  ssize_t result = req->result;
  uv_fs_req_cleanup(req);
  io_done(req->data, result);
}

static int submit(io_slot_t* slot, const step_t* step) {
  io_t* io = slot->io;
  uv_buf_t buf = uv_buf_init(slot->memory, (unsigned)io->work.params.block_size);
  int64_t offset = (int64_t)step->offset;
  uv_loop_t* loop = &io->server->loop;
  return step->is_write ? uv_fs_write(loop, &slot->fs, io->descriptor, &buf, 1, offset, on_done)
                        : uv_fs_read(loop, &slot->fs, io->descriptor, &buf, 1, offset, on_done);
}

static void stop(io_t* io) {
  (void)io; /* what is in flight keeps the loop alive until it has ended */
}

static void close_uv(io_t* io) {
  if (io->descriptor >= 0) {
    (void)close(io->descriptor);
  }
  free(io->memory);
}

const io_means_t io_uv = {"uv", open_uv, submit, stop, close_uv};
