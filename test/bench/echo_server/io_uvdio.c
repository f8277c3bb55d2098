/* SPDX-License-Identifier: MIT */
/*
 * The background I/O by this library: on a ring, or on the pool.
 */
#include <stdio.h>
#include <string.h>

#include "echo_server/io.h"
#include "echo_server/io_uvdio.h"
#include "harness/work.h"
#include "uvdio.h"

static int open_file(io_t* io) {
  const work_params_t* params = &io->work.params;
  unsigned flags = (work_writes(params->kind) ? UVDIO_O_RDWR : UVDIO_O_RDONLY) |
                   (params->kind == WORK_DURABLE_WRITE ? UVDIO_O_DSYNC : 0);
  uvdio_file_info_t info;
  uvdio_req_t req = {0};
  char path[4096];
  work_path(params, 0, path, sizeof path);
  int error = uvdio_open(io->engine, &io->file, &req, path, flags, 0, NULL);
  error = error == 0 ? (int)req.result : error;
  if (error == 0 && uvdio_file_info(&io->file, &info) == 0) {
    snprintf(io->executed_by, sizeof io->executed_by, "%s", info.backend);
  }
  return error;
}

static int open_frames(io_t* io) {
  const work_params_t* params = &io->work.params;
  uvdio_arena_options_t options = {.frame_size = params->block_size, .frame_count = params->depth};
  int error = uvdio_arena_create(&io->arena, &options);
  for (unsigned i = 0; i < params->depth && error == 0; i++) {
    io_slot_t* slot = &io->slots[i];
    slot->req.data = slot;
    error = uvdio_arena_acquire(io->arena, &slot->buf);
    if (error == 0) {
      memset(slot->buf.base, 'u',
             params->block_size); /* page faults belong to nobody's operations */
    }
  }
  return error;
}

static int open_engine(io_t* io, uvdio_backend_t backend) {
  uvdio_engine_options_t options = {.backend = backend,
                                    .depth = io->work.params.depth,
                                    .callbacks_max = io->server->params.callbacks_max,
                                    .busy_poll_us = io->server->params.busy_poll_us};
  int error = uvdio_engine_create(&io->engine, &io->server->loop, &options);
  error = error == 0 ? open_file(io) : error;
  return error == 0 ? open_frames(io) : error;
}

static int open_ring(io_t* io) {
  return open_engine(io, UVDIO_BACKEND_RING);
}

static int open_pool(io_t* io) {
  return open_engine(io, UVDIO_BACKEND_POOL);
}

static void on_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  io_slot_t* slot = req->data;
  slot->buf = buf;
  io_done(slot, result);
}

static int submit(io_slot_t* slot, const step_t* step) {
  slot->buf.len = step->is_write ? slot->io->work.params.block_size : 0;
  return step->is_write
             ? uvdio_write(&slot->io->file, &slot->req, &slot->buf, step->offset, on_done)
             : uvdio_read(&slot->io->file, &slot->req, &slot->buf, step->offset, on_done);
}

/* The engine waits for what is in flight, and closes the file. */
static void stop_engine(io_t* io) {
  if (io->engine != NULL) {
    (void)uvdio_engine_close(io->engine, NULL);
  }
}

static void close_frames(io_t* io) {
  for (unsigned i = 0; io->slots != NULL && i < io->work.params.depth; i++) {
    (void)uvdio_buf_release(&io->slots[i].buf);
  }
  if (io->arena != NULL) {
    (void)uvdio_arena_destroy(io->arena, NULL);
  }
}

const io_means_t io_ring = {"ring", open_ring, submit, stop_engine, close_frames};
const io_means_t io_pool = {"pool", open_pool, submit, stop_engine, close_frames};
