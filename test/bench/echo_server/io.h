/* SPDX-License-Identifier: MIT */
/*
 * The background I/O: at most `depth` operations at a time, at a rate, by some means.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_IO_H
#define UVDIO_BENCH_ECHO_SERVER_IO_H

#include <stdint.h>
#include <uv.h>

#include "echo_server/state.h"
#include "harness/work.h"
#include "uvdio.h"

typedef struct io_s io_t;

typedef struct io_slot_s {
  io_t* io;
  struct io_slot_s* next_free;
  uint64_t began_ns;
  char* memory;
  uvdio_req_t req; /* of the library; its buffer is a frame */
  uvdio_buf_t buf;
  uv_fs_t fs; /* of libuv */
} io_slot_t;

typedef struct io_means_s {
  const char* name;
  /* File and buffers. Returns 0 or a code; closing takes back what there is. */
  int (*open)(io_t* io);
  int (*submit)(io_slot_t* slot, const step_t* step);
  /* On the loop, when nothing more will be submitted. */
  void (*stop)(io_t* io);
  /* After the loop has ended. */
  void (*close)(io_t* io);
} io_means_t;

struct io_s {
  echo_server_t* server;
  const io_means_t* means; /* null: no I/O */
  work_t work;
  io_slot_t* slots;
  io_slot_t* free;
  uint64_t begun_ns;
  uint64_t submitted;
  int stopping;
  uv_timer_t timer;
  char executed_by[16]; /* the backend that a uvdio engine really had; "" otherwise */
  /* private to the means */
  uvdio_engine_t* engine;
  uvdio_file_t file;
  uvdio_arena_t* arena;
  char* memory;
  int descriptor;
};

/* `means` is null where there is no I/O. Returns 0 or a code. */
int io_open(io_t* io, echo_server_t* server, const io_means_t* means);
void io_begin(io_t* io);
void io_stop(io_t* io);
void io_close(io_t* io);

/* What a means calls for each operation that has ended: `result` is bytes or a code. */
void io_done(io_slot_t* slot, ssize_t result);

#endif /* UVDIO_BENCH_ECHO_SERVER_IO_H */
