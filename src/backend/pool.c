/* SPDX-License-Identifier: MIT */
/*
 * The pool: every request is one work on libuv's threadpool, which performs it with a blocking
 * system call. The works are the queue's own, as many as its depth, so that a request carries none
 * and nothing is allocated per operation.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "allocator.h"
#include "backend/pool_fork.h"
#include "completion.h"
#include "engine.h"

typedef struct slot_s {
  uv_work_t work; /* work.data: the queue */
  uv_work_cb run;
  uvdio_req_t* req;
  size_t part; /* bytes, of run_part */
  int64_t result;
  struct slot_s* next_free;
} slot_t;

typedef struct pool_s {
  slot_t* slots;
  slot_t* free;
  unsigned count;
  unsigned busy;
  uvdio__pool_fork_t fork; /* in the list while busy > 0 */
} pool_t;

static void free_pool(pool_t* pool) {
  if (pool->slots != NULL) {
    uvdio__free(pool->slots, pool->count * sizeof(slot_t), UVDIO__STRUCT_ALIGN);
  }
  uvdio__free(pool, sizeof(*pool), UVDIO__STRUCT_ALIGN);
}

/* The thread has its own priority back after that: it may have inherited one (ionice(1)). */
static int64_t perform_at_priority(const uvdio__queue_t* queue, uvdio_req_t* req) {
  int64_t result;
  unsigned own;

  if (req->ioprio_ == 0) {
    return uvdio__request_perform(queue, req);
  }
  own = uvdio__os_swap_io_priority(req->ioprio_);
  result = uvdio__request_perform(queue, req);
  uvdio__os_set_io_priority(own);
  return result;
}

/* On a worker thread. Everything that it reads stays as it is until run_slot_done. */
static void run_slot(uv_work_t* work) {
  slot_t* slot = (slot_t*)(void*)work;
  slot->result = perform_at_priority(work->data, slot->req);
}

/* The same of a part of a transfer. The request stays as long as it is, for the loop's thread. */
static void run_part(uv_work_t* work) {
  slot_t* slot = (slot_t*)(void*)work;
  const uvdio_req_t* req = slot->req;
  uvdio_req_t part = {.file = req->file,
                      .transferred = req->transferred,
                      .op = req->op,
                      .flags_ = req->flags_,
                      .engine_ = req->engine_,
                      .buf_ = req->buf_,
                      .offset_ = req->offset_,
                      .length_ = req->transferred + slot->part,
                      .args_ = req->args_,
                      .ioprio_ = req->ioprio_};

  uvdio__ownership_allow(req);
  slot->result = perform_at_priority(work->data, &part);
  uvdio__ownership_forbid(req);
}

static void fill_free_list(uvdio__queue_t* queue, pool_t* pool) {
  unsigned i;

  for (i = pool->count; i > 0; i--) {
    slot_t* slot = &pool->slots[i - 1];
    slot->work.data = queue;
    slot->run = run_slot;
    slot->next_free = pool->free;
    pool->free = slot;
  }
}

static int probe_pool(char* reason, size_t size) {
  (void)snprintf(reason, size, "libuv's threadpool, which is always there");
  return 0;
}

static int init_pool(uvdio__queue_t* queue, char* reason, size_t size) {
  pool_t* pool = uvdio__alloc(sizeof(*pool), UVDIO__STRUCT_ALIGN, 1);

  if (pool == NULL) {
    return UV_ENOMEM;
  }
  pool->count = queue->depth;
  pool->slots = uvdio__alloc(pool->count * sizeof(slot_t), UVDIO__STRUCT_ALIGN, 1);
  if (pool->slots == NULL) {
    free_pool(pool);
    return UV_ENOMEM;
  }
  fill_free_list(queue, pool);
  queue->state = pool;
  return probe_pool(reason, size);
}

/* The count decides whether a fork has to mind the loop. */
static void add_work(pool_t* pool, uv_loop_t* loop) {
  if (pool->busy++ == 0) {
    uvdio__pool_fork_enter(&pool->fork, loop);
  }
}

static void remove_work(pool_t* pool) {
  assert(pool->busy > 0);
  if (--pool->busy == 0) {
    uvdio__pool_fork_leave(&pool->fork);
  }
}

static void run_slot_done(uv_work_t* work, int status) {
  slot_t* slot = (slot_t*)(void*)work;
  uvdio__queue_t* queue = work->data;
  uvdio_req_t* req = slot->req;
  pool_t* pool;

  if (queue == NULL || uvdio__engine_is_forked(queue->engine)) {
    return; /* The parent's work, seen in a forked child. */
  }
  pool = queue->state;
  slot->req = NULL;
  slot->next_free = pool->free;
  pool->free = slot;
  remove_work(pool);
  uvdio__queue_done(queue, req, status == UV_ECANCELED ? UV_ECANCELED : slot->result);
}

/*
 * libuv starts its threads at the first work of a process, and aborts the process where it can't.
 * So before the first work of the library's, as many threads are started and ended at once, to see
 * whether that can be done. Threads of the program may be libuv's already: then nothing is tried,
 * and nothing refused.
 */

#define THREADS_DEFAULT 4
#define THREADS_MAX 1024

/* The fork generation, plus one, of the process for which that is settled. */
static atomic_uint settled_for;

static unsigned thread_count(void) {
  char value[16];
  size_t size = sizeof(value);
  int is_set = uv_os_getenv("UV_THREADPOOL_SIZE", value, &size) == 0;
  long count = is_set ? strtol(value, NULL, 10) : THREADS_DEFAULT;

  return count <= 0 ? 1 : count < THREADS_MAX ? (unsigned)count : THREADS_MAX;
}

static void wait_to_end(void* gate) {
  uv_sem_wait(gate);
}

/* Starts `count` threads that exist together. Returns 1 where that worked. */
static int can_start(unsigned count) {
  uv_thread_t threads[THREADS_MAX];
  unsigned started = 0;
  unsigned i;
  uv_sem_t gate;

  assert(count <= THREADS_MAX);
  if (uv_sem_init(&gate, 0) != 0) {
    return 0;
  }
  while (started < count && uv_thread_create(&threads[started], wait_to_end, &gate) == 0) {
    started++;
  }
  for (i = 0; i < started; i++) {
    uv_sem_post(&gate);
  }
  for (i = 0; i < started; i++) {
    (void)uv_thread_join(&threads[i]);
  }
  uv_sem_destroy(&gate);
  return started == count;
}

static int has_threads(void) {
  unsigned settled = uvdio__os_fork_generation() + 1;
  unsigned needed;
  int present;

  if (atomic_load_explicit(&settled_for, memory_order_relaxed) == settled) {
    return 1;
  }
  needed = thread_count();
  present = uvdio__os_thread_count();
  if (present > 0 && (unsigned)present <= needed && !can_start(needed)) {
    return 0;
  }
  atomic_store_explicit(&settled_for, settled, memory_order_relaxed);
  return 1;
}

static int submit_to_pool(uvdio__queue_t* queue, uvdio_req_t* req) {
  pool_t* pool = queue->state;
  uv_loop_t* loop = queue->engine->loop;
  slot_t* slot = pool->free;

  assert(slot != NULL && pool->busy < pool->count);
  if (!has_threads()) {
    return UVDIO_EPOOL;
  }
  slot->req = req;
  add_work(pool, loop);
  if (uv_queue_work(loop, &slot->work, slot->run, run_slot_done) != 0) {
    slot->req = NULL;
    remove_work(pool);
    return UVDIO_EPOOL;
  }
  pool->free = slot->next_free;
  req->worker_ = slot;
  return 0;
}

/* libuv keeps what is to be run. */
static int submit_part_to_pool(uvdio__queue_t* queue, uvdio_req_t* req, size_t length) {
  pool_t* pool = queue->state;
  slot_t* slot = pool->free;
  int error;

  assert(slot != NULL);
  slot->run = run_part;
  slot->part = length;
  error = submit_to_pool(queue, req);
  slot->run = run_slot;
  return error;
}

/* Succeeds only while no thread has taken the work; then run_slot_done comes with UV_ECANCELED. */
static void cancel_in_pool(uvdio__queue_t* queue, uvdio_req_t* req) {
  slot_t* slot = req->worker_;

  (void)queue;
  assert(slot != NULL && slot->req == req);
  (void)uv_cancel((uv_req_t*)&slot->work);
}

/* In a forked child libuv may still hold works of the parent, so their memory stays. */
static void close_pool(uvdio__queue_t* queue) {
  pool_t* pool = queue->state;
  unsigned i;

  assert(pool->busy == 0 || uvdio__engine_is_forked(queue->engine));
  queue->state = NULL;
  if (pool->busy == 0) {
    free_pool(pool);
    return;
  }
  for (i = 0; i < pool->count; i++) {
    pool->slots[i].work.data = NULL;
  }
}

const uvdio__backend_t uvdio__backend_pool = {
    .name = "pool",
    .has_descriptors = 1,
    .batch = 0,
    .probe = probe_pool,
    .init = init_pool,
    .submit = submit_to_pool,
    .submit_part = submit_part_to_pool,
    .flush = NULL,
    .reap = NULL,
    .cancel = cancel_in_pool,
    .perform = uvdio__request_perform,
    .dup = uvdio__request_dup,
    .close = close_pool,
};
