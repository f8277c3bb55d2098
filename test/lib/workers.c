/* SPDX-License-Identifier: MIT */
#include "workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"

#define STRING_OF(text) #text
#define NUMBER_AS_STRING(number) STRING_OF(number)

void workers_begin(void) {
  (void)system_set_environment("UV_THREADPOOL_SIZE", NUMBER_AS_STRING(WORKERS));
}

static void must(int code, const char* what) {
  if (code != 0) {
    fprintf(stderr, "%s: %s\n", what, uv_strerror(code));
    abort();
  }
}

static void start(struct workers* workers, uv_loop_t* loop, unsigned count, uv_work_cb work,
                  uv_after_work_cb after) {
  workers->count = count;
  workers->done = 0;
  for (unsigned i = 0; i < count; i++) {
    workers->works[i].data = workers;
    must(uv_queue_work(loop, &workers->works[i], work, after), "uv_queue_work");
  }
}

static void wait_to_go(uv_work_t* work) {
  struct workers* workers = work->data;
  uv_sem_post(&workers->arrived);
  uv_sem_wait(&workers->go);
}

static void occupied_done(uv_work_t* work, int status) {
  struct workers* workers = work->data;
  (void)status;
  if (++workers->done == workers->count) {
    uv_sem_destroy(&workers->arrived);
    uv_sem_destroy(&workers->go);
  }
}

void workers_queue(struct workers* workers, uv_loop_t* loop, unsigned count) {
  must(uv_sem_init(&workers->arrived, 0), "uv_sem_init");
  must(uv_sem_init(&workers->go, 0), "uv_sem_init");
  start(workers, loop, count, wait_to_go, occupied_done);
}

void workers_occupy(struct workers* workers, uv_loop_t* loop, unsigned count) {
  workers_queue(workers, loop, count);
  for (unsigned i = 0; i < count; i++) {
    uv_sem_wait(&workers->arrived);
  }
}

void workers_release(struct workers* workers) {
  for (unsigned i = 0; i < workers->count; i++) {
    uv_sem_post(&workers->go);
  }
}

static void meet(uv_work_t* work) {
  struct workers* workers = work->data;
  uv_barrier_wait(&workers->barrier);
}

static void met_done(uv_work_t* work, int status) {
  struct workers* workers = work->data;
  (void)status;
  if (++workers->done == workers->count) {
    uv_barrier_destroy(&workers->barrier);
    workers->then(workers->data);
  }
}

void workers_settle(struct workers* workers, uv_loop_t* loop, unsigned count,
                    void (*then)(void* data), void* data) {
  workers->then = then;
  workers->data = data;
  must(uv_barrier_init(&workers->barrier, count), "uv_barrier_init");
  start(workers, loop, count, meet, met_done);
}
