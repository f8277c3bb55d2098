/* SPDX-License-Identifier: MIT */
/*
 * A target is one way to read and write files: this library on a backend, a bare io_uring loop,
 * libuv's own calls. `uvdio-bench target JSON` runs one target once and prints what it measured as
 * JSON; `uvdio-bench compare` starts such a process for each figure, because the size of libuv's
 * threadpool is read once in the life of a process, and so that no target finds the memory, threads
 * or caches that another one left.
 *
 * Each loop is a thread with a ring, engine or uv_loop_t of its own, `depth` requests in flight and
 * its own descriptors. All targets take their work from the same generator and read the clock once
 * per operation.
 */
#ifndef UVDIO_BENCH_TARGET_RUN_H
#define UVDIO_BENCH_TARGET_RUN_H

#include "harness/work.h"
#include "uvdio.h"

/* One loop of a target, on its thread. */
typedef struct target_run_s {
  work_t work;
  int error;            /* what went wrong first: a code, or 0 */
  const char* failure;  /* at which call: "io_uring_setup" */
  char executed_by[16]; /* uvdio: the backend that it really was; "" otherwise */
  const char*
      unregistered; /* uvdio: why the ring did not know the buffers though it should; or null */
  int has_stats;
  uvdio_engine_stats_t stats; /* uvdio: counters at the end */
} target_run_t;

/* Notes the first failure and returns it. */
int target_fail(target_run_t* run, const char* failure, int error);

typedef struct target_ops_s {
  const char* name;
  /* It does all of its work on the loop's thread; a threadpool would inherit the binding. */
  int may_pin;
  /* All that is not to be measured. Returns null where it failed: see run->error. */
  void* (*open)(target_run_t* run);
  /* Until work_next says that it is over, and all has ended. */
  void (*loop)(target_run_t* run, void* state);
  void (*close)(void* state);
} target_ops_t;

extern const target_ops_t target_ring;
extern const target_ops_t target_ring_plain;
extern const target_ops_t target_ring_heap;
extern const target_ops_t target_ring_busy;
extern const target_ops_t target_ring_prompt;
extern const target_ops_t target_ring_metrics;
extern const target_ops_t target_ring_polled;
extern const target_ops_t target_ring_polled_busy;
extern const target_ops_t target_aio;
extern const target_ops_t target_pool;
extern const target_ops_t target_uv;
#ifdef UVDIO_HAVE_RING
extern const target_ops_t target_limit;
extern const target_ops_t target_limit_prompt;
#endif

#endif /* UVDIO_BENCH_TARGET_RUN_H */
