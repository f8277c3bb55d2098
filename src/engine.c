/* SPDX-License-Identifier: MIT */
/*
 * One iteration of the loop, as far as it is the engine's: which thread runs it, which callbacks
 * are called, and when submissions are flushed.
 *
 *   idle      while something is unflushed or completed: submit and flush; libuv does not block
 *   poll      an eventfd (wakeup.h), or the pool's results: backends move requests to `completed`
 *   check     callbacks, a bounded number; then submit and flush what those left
 *
 * Once the engine has left the loop, an iteration is a close callback in the closing phase: see
 * loop.h and engine_close.c.
 *
 * The check handle is always active. It keeps the loop alive while requests are pending, and costs
 * one call per iteration otherwise. The idle handle is active only while needed, so that a loop
 * with nothing to do blocks; while it is, nothing that was submitted from any phase, or outside
 * uv_run(), can be left behind.
 */
#include "iteration.h"

#include "arena.h"
#include "class.h"
#include "file.h"
#include "frames.h"
#include "late.h"
#include "metrics.h"
#include "vector.h"

/* Rounds of callbacks, flushes and completions within one iteration. A bound for a kernel that has
 * nothing to give and says that it has; ordinary iterations take a few. */
#define PASSES_MAX 64

/*
 * Threads
 */

/* Threads are numbered, from 1. */
static uintptr_t current_thread_id(void) {
  static atomic_uint last;

  if (uvdio__os_this_thread == 0) {
    uvdio__os_this_thread = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
  }
  return uvdio__os_this_thread;
}

/* The loop's thread is known for sure only while the loop runs. */
static void bind_thread(uvdio_engine_t* engine) {
  if (engine->thread == 0) {
    engine->thread = current_thread_id();
  }
}

/* Requests submitted before the first iteration go along with a loop that starts elsewhere, so the
 * limit opens only when there is something to do. */
static void admit(uvdio_engine_t* engine) {
  bind_thread(engine);
  if (engine->limit == 0) {
    engine->limit = engine->depth;
  }
}

/* The loop runs on another thread than the one that the engine is bound to. Pending requests go on
 * here as far as they can, and the rest when the loop comes back. */
static UVDIO__NOINLINE void leave_thread(uvdio_engine_t* engine) {
  unsigned i;

  if (uvdio__engine_is_forked(engine) ||
      (uvdio__engine_pending(engine) == 0 && engine->queues[QUEUE_MAIN].unflushed == 0)) {
    return;
  }
  engine->on_wrong_thread = 1;
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    if (queue->backend->off_thread != NULL) {
      queue->backend->off_thread(queue);
    }
  }
}

/* Requests that ended meanwhile may have had nobody to wake. */
static void return_to_thread(uvdio_engine_t* engine) {
  if (!uvdio__engine_is_foreign(engine)) {
    engine->on_wrong_thread = 0;
    uvdio__loop_wake(engine);
  }
}

int uvdio__engine_runs_elsewhere(const uvdio_engine_t* engine) {
  return engine->poller != 0 && engine->poller != uvdio__os_this_thread;
}

/*
 * Callbacks
 */

static inline void count_result(uvdio_engine_stats_t* stats, int64_t result) {
  stats->completed++;
  if (result < 0) {
    uint64_t* kind = result == UV_ECANCELED ? &stats->cancelled : &stats->failed;
    (*kind)++;
  }
}

static inline void release_request(uvdio_engine_t* engine, uvdio_req_t* req) {
  uvdio__trace_deliver(req);
  uvdio__ownership_release(req);
  count_result(&engine->stats, req->result);
  req->state_ = STATE_IDLE;
  req->magic_ = 0;
}

static UVDIO__NOINLINE void finish_plain(uvdio_engine_t* engine, uvdio_req_t* req) {
  if (req->op == UVDIO_OP_OPEN || req->op == UVDIO_OP_CLOSE) {
    uvdio__file_finish(req);
  }
  release_request(engine, req);
  if (uvdio__is_name(req->op) || req->op == UVDIO_OP_REPLACE) {
    uvdio__names_free(req); /* It writes to the request, which is the user's by now. */
  } else if (uvdio__is_of_frames(req->op)) {
    engine->stats.frame_waits--;
    uvdio__frames_finish(req);
  }
  req->cb_.plain(req, req->result);
}

static UVDIO__NOINLINE void finish_vector(uvdio_engine_t* engine, uvdio_req_t* req) {
  uvdio__vector_t* vector = uvdio__vector_of(req);

  release_request(engine, req);
  if (req->op == UVDIO_OP_READ) {
    uvdio__vector_set_lengths(req);
  }
  req->args_ = NULL;
  req->cb_.vector(req, (ssize_t)req->result, vector->bufs, vector->count);
  uvdio__vector_give_back(engine, vector);
}

/* Returns the request and its buffers to the user. The callback may free the request. */
static inline void finish_request(uvdio_engine_t* engine, uvdio_req_t* req) {
  assert(req->state_ == STATE_COMPLETED);
  if (UVDIO__UNLIKELY(!uvdio__is_transfer(req->op))) {
    finish_plain(engine, req);
    return;
  }
  if (UVDIO__UNLIKELY(uvdio__is_vector(req))) {
    finish_vector(engine, req);
    return;
  }
  release_request(engine, req);
  req->cb_.io(req, (ssize_t)req->result, req->buf_);
}

/* The same as below, and the times between. A callback may stop metrics. */
static UVDIO__NOINLINE unsigned run_completed_measured(uvdio_engine_t* engine, unsigned budget) {
  unsigned called = 0;

  uvdio__metrics_before_callbacks(engine);
  while (called < budget && engine->metrics != NULL && !uvdio__engine_is_inherited(engine) &&
         !uvdio__list_is_empty(&engine->completed)) {
    uvdio_req_t* req = uvdio__list_take(&engine->completed);
    uvdio_op_t op = req->op;
    uvdio__metrics_before_callback(req);
    finish_request(engine, req);
    uvdio__metrics_after_callback(engine, op);
    called++;
  }
  return called;
}

/* Runs callbacks of completed requests, `budget` at most. Returns how many. */
static unsigned run_completed(uvdio_engine_t* engine, unsigned budget) {
  unsigned called = 0;

  if (UVDIO__UNLIKELY(engine->metrics != NULL)) {
    return run_completed_measured(engine, budget);
  }
  while (called < budget && !uvdio__engine_is_inherited(engine) &&
         !uvdio__list_is_empty(&engine->completed)) {
    finish_request(engine, uvdio__list_take(&engine->completed));
    called++;
  }
  return called;
}

static void count_callbacks(uvdio_engine_t* engine, unsigned called) {
  uvdio_engine_stats_t* stats = &engine->stats;

  if (called > 0) {
    stats->iterations++;
    engine->last_end_ms = uv_now(engine->loop);
  }
  if (called > stats->callbacks_peak) {
    stats->callbacks_peak = called;
  }
}

/*
 * Iterations
 */

typedef struct iteration_s {
  unsigned budget;   /* callbacks that are left */
  unsigned passes;   /* rounds that are left */
  uint64_t deadline; /* of busy polling; 0: not begun */
  int again;         /* REAP_*: a backend has to be asked again; or 0 */
} iteration_t;

void uvdio__iteration_begin(uvdio_engine_t* engine) {
  admit(engine);
  uvdio__queue_set_iteration(engine, 1);
  if (UVDIO__UNLIKELY(uvdio__engine_is_foreign(engine))) {
    leave_thread(engine);
  }
}

/* Nothing can be done now. What has come to a class since the last submissions may wait for a
 * limit. */
static void let_loop_block(uvdio_engine_t* engine) {
  if (engine->idle_active) {
    (void)uv_idle_stop(&engine->idle);
    engine->idle_active = 0;
  }
  if (engine->classes != NULL) {
    uvdio__class_wait_for_limits(engine);
  }
}

void uvdio__iteration_end(uvdio_engine_t* engine) {
  admit(engine); /* A callback may have called for that. */
  uvdio__queue_set_iteration(engine, 0);
  uvdio__engine_assert_valid(engine);
  if (engine->loop_state != LOOP_ATTACHED) {
    return; /* engine_close.c decides what comes next. */
  }
  if (uvdio__engine_has_work(engine)) {
    uvdio__loop_wake(engine);
  } else {
    let_loop_block(engine);
  }
  if (uvdio__engine_pending(engine) == 0) {
    uvdio__loop_let_go(engine);
  }
}

void uvdio__iteration_on_idle(uv_idle_t* handle) {
  uvdio_engine_t* engine = UVDIO__CONTAINER_OF(handle, uvdio_engine_t, idle);

  if (uvdio__engine_is_inherited(engine)) {
    (void)uv_idle_stop(handle);
    engine->idle_active = 0;
    return;
  }
  uvdio__iteration_begin(engine);
  uvdio__queue_submit_and_flush(engine);
  uvdio__iteration_end(engine);
}

/* Where the polled queue has something, it looks at the other as well. */
static uvdio__queue_t* queue_to_poll(uvdio_engine_t* engine) {
  uvdio__queue_t* polled = uvdio__engine_polled(engine);

  return polled != NULL && polled->in_flight > 0 ? polled : &engine->queues[QUEUE_MAIN];
}

/* Polls the queue that can be polled. Returns REAP_*, as reaping does, or 0. */
static int busy_poll(uvdio_engine_t* engine, iteration_t* iteration) {
  uvdio__queue_t* queue = queue_to_poll(engine);

  engine->busy_poll_wanted = 0;
  if (engine->busy_poll_ns == 0 || queue->backend->busy_poll == NULL || queue->in_flight == 0 ||
      uvdio__engine_is_forked(engine)) {
    return 0;
  }
  if (iteration->deadline == 0) {
    iteration->deadline = uv_hrtime() + engine->busy_poll_ns;
  }
  if (queue->backend->busy_poll(queue, iteration->deadline)) {
    engine->stats.busy_hits++;
    return REAP_AGAIN;
  }
  return uvdio__queue_reap(engine);
}

/* A bounded number of callbacks, so that other handles of the loop get their share. */
static int may_go_on(const uvdio_engine_t* engine, iteration_t* iteration) {
  return iteration->budget > 0 && --iteration->passes > 0 &&
         ((iteration->again & REAP_AGAIN) != 0 || !uvdio__list_is_empty(&engine->completed));
}

/* What was asked to be looked at. */
static UVDIO__NOINLINE void watch_iteration(uvdio_engine_t* engine) {
  uvdio__late_look(engine);
  if ((engine->watches & WATCHES_METRICS) != 0 && !uvdio__engine_is_inherited(engine)) {
    uvdio__metrics_end_iteration(engine);
  }
}

/* Before the loop blocks. */
static UVDIO__NOINLINE void watch_turn(uvdio_engine_t* engine) {
  uvdio__late_arm(engine);
  if ((engine->watches & WATCHES_METRICS) != 0 && !uvdio__engine_is_inherited(engine)) {
    uvdio__metrics_end_turn(engine);
  }
}

/* Runs callbacks until none are left or the budget is spent. Submissions made by callbacks are
 * flushed after the last callback, or when a batch fills; completions that a flush brought along
 * are taken. A backend that has to be asked again after that is asked in the next iteration, for
 * which the loop does not block. */
void uvdio__iteration_run_callbacks(uvdio_engine_t* engine) {
  iteration_t iteration = {engine->callbacks_max, PASSES_MAX, 0, 0};
  uint64_t hits = engine->stats.busy_hits;

  do {
    iteration.budget -= run_completed(engine, iteration.budget);
    iteration.again = uvdio__queue_reap(engine);
    if (uvdio__list_is_empty(&engine->completed) || iteration.budget == 0) {
      uvdio__queue_submit_and_flush(engine);
      iteration.again |= uvdio__queue_reap(engine);
      iteration.again |= uvdio__class_tell_room(engine) > 0 ? REAP_AGAIN : 0;
    }
    if (iteration.budget > 0 && (iteration.again & REAP_AGAIN) == 0 &&
        uvdio__list_is_empty(&engine->completed)) {
      iteration.again |= busy_poll(engine, &iteration);
    }
  } while (may_go_on(engine, &iteration));
  if (engine->queues[QUEUE_MAIN].in_flight == 0) {
    /* The budget was spent before, and nothing is left to poll for. */
    engine->busy_poll_wanted = 0;
  }
  /* Busy polling just succeeded: poll again next iteration. */
  engine->poll_pending = iteration.again != 0 || engine->stats.busy_hits != hits;
  count_callbacks(engine, engine->callbacks_max - iteration.budget);
  if (UVDIO__UNLIKELY(engine->watches != 0)) {
    watch_iteration(engine);
  }
}

int uvdio__engine_has_work(const uvdio_engine_t* engine) {
  return uvdio__queue_has_work(engine) || !uvdio__list_is_empty(&engine->completed) ||
         engine->poll_pending || engine->busy_poll_wanted || uvdio__class_has_room_to_tell(engine);
}

/* Releases registrations of destroyed arenas, which only the thread that the engine is bound to
 * can. */
void uvdio__iteration_sweep(uvdio_engine_t* engine) {
  unsigned gone = atomic_load_explicit(&uvdio__arenas_gone, memory_order_acquire);
  unsigned i;

  if (gone == engine->arenas_gone || uvdio__engine_is_forked(engine) ||
      uvdio__engine_is_foreign(engine)) {
    return;
  }
  engine->arenas_gone = gone;
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    if (queue->backend->sweep != NULL) {
      queue->backend->sweep(queue);
    }
  }
}

void uvdio__iteration_on_prepare(uv_prepare_t* handle) {
  uvdio_engine_t* engine = UVDIO__CONTAINER_OF(handle, uvdio_engine_t, prepare);

  bind_thread(engine);
  engine->poller = current_thread_id();
  if (engine->on_wrong_thread) {
    return_to_thread(engine);
  }
  uvdio__iteration_sweep(engine);
  if (UVDIO__UNLIKELY(engine->watches != 0)) {
    watch_turn(engine);
  }
}

/* Others have ended what requests of this engine's waited for. */
void uvdio__iteration_on_signal(uv_async_t* handle) {
  uvdio_engine_t* engine = UVDIO__CONTAINER_OF(handle, uvdio_engine_t, signal);

  if (!uvdio__engine_is_inherited(engine)) {
    uvdio__share_for_each_given(engine, uvdio__order_take_grants);
    uvdio__frames_take_given(engine);
  }
}

void uvdio__iteration_on_check(uv_check_t* handle) {
  uvdio_engine_t* engine = UVDIO__CONTAINER_OF(handle, uvdio_engine_t, check);
  int is_idle = uvdio__engine_pending(engine) == 0 && !engine->poll_pending &&
                !uvdio__class_has_room_to_tell(engine);

  engine->poller = 0;
  bind_thread(engine);
  if (is_idle || uvdio__engine_is_inherited(engine)) {
    return;
  }
  uvdio__iteration_begin(engine);
  uvdio__iteration_run_callbacks(engine);
  uvdio__iteration_end(engine);
}
