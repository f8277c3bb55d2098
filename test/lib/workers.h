/* SPDX-License-Identifier: MIT */
/*
 * libuv's worker threads, taken hold of: tests that need to know what the threadpool is doing
 * occupy its threads or wait until it has done all that it was given before.
 */
#ifndef UVDIO_TEST_WORKERS_H
#define UVDIO_TEST_WORKERS_H

#include <uv.h>

/* How many threads there are. workers_begin() sees to it, before the first work of the program. */
#define WORKERS 4

struct workers {
  uv_work_t works[WORKERS];
  unsigned count;
  unsigned done;
  uv_sem_t arrived;
  uv_sem_t go;
  uv_barrier_t barrier;
  void (*then)(void* data);
  void* data;
};

void workers_begin(void);

/* Queues works that occupy `count` threads as these come free. */
void workers_queue(struct workers* workers, uv_loop_t* loop, unsigned count);

/* The same, and returns when they have come. */
void workers_occupy(struct workers* workers, uv_loop_t* loop, unsigned count);

/* Lets them go. `workers` must live until the loop has run to its end. */
void workers_release(struct workers* workers);

/* Calls `then` from the loop when everything that the other threads had been given before is done:
 * `count` works are queued that meet, so that as many threads must have come free. */
void workers_settle(struct workers* workers, uv_loop_t* loop, unsigned count,
                    void (*then)(void* data), void* data);

#endif /* UVDIO_TEST_WORKERS_H */
