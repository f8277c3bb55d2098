/* SPDX-License-Identifier: MIT */
/*
 * See queue.h. Requests that wait are submitted as far as the engine's limit and the backend's
 * depth allow; a backend that breaks down hands everything over to the engine's pool.
 */
#include "queue.h"

#include <stdio.h>

#include "batch.h"
#include "class.h"
#include "metrics.h"
#include "share.h"

static uvdio__queue_t* pool_of(uvdio_engine_t* engine) {
  return &engine->queues[engine->queue_count > QUEUE_POOL ? QUEUE_POOL : QUEUE_MAIN];
}

static void count_waiting(uvdio_engine_t* engine, int change) {
  engine->waiting += (unsigned)change;
  engine->not_direct += (unsigned)change;
}

static void queue_push_back(uvdio__queue_t* queue, uvdio_req_t* req) {
  req->queue_ = queue;
  req->state_ = STATE_WAITING;
  uvdio__list_append(&queue->waiting, req);
  count_waiting(queue->engine, 1);
}

static void queue_push_front(uvdio__queue_t* queue, uvdio_req_t* req) {
  req->state_ = STATE_WAITING;
  uvdio__list_prepend(&queue->waiting, req);
  count_waiting(queue->engine, 1);
}

void uvdio__queue_remove(uvdio_req_t* req) {
  assert(req->state_ == STATE_WAITING && req->engine_->waiting > 0);
  if (uvdio__class_holds(req)) {
    uvdio__class_remove(req);
  } else {
    uvdio__list_remove(req);
  }
  count_waiting(req->engine_, -1);
}

/* What else takes note of an outcome. */
static void note_outcome(uvdio_req_t* req) {
  if (req->engine_->classes != NULL) {
    uvdio__class_end(req);
  }
  if (req->engine_->metrics != NULL) {
    uvdio__metrics_outcome(req);
  }
}

void uvdio__queue_complete(uvdio_req_t* req) {
  uvdio_engine_t* engine = req->engine_;

  note_outcome(req);
  uvdio__queue_push_completed(engine, req);
  if (!engine->in_iteration) {
    uvdio__loop_wake(engine);
  }
}

static void requeue_on(uvdio__queue_t* queue, uvdio_req_t* req) {
  queue_push_back(queue, req);
  uvdio__loop_wake(queue->engine);
}

/*
 * Batches
 */

static unsigned batch_limit(const uvdio__queue_t* queue, int after_completions) {
  unsigned max = queue->engine->batch_max;
  unsigned in_kernel =
      queue->in_flight > queue->unflushed ? queue->in_flight - queue->unflushed : 0;

  max = max < queue->backend->batch ? max : queue->backend->batch;
  return uvdio__batch_limit(max, in_kernel, after_completions);
}

/* Outside an iteration every submission has a look, because the loop has to be woken. */
static void update_batch_limit(uvdio__queue_t* queue, int after_completions) {
  queue->batch_limit = queue->engine->in_iteration ? batch_limit(queue, after_completions) : 0;
}

void uvdio__queue_set_iteration(uvdio_engine_t* engine, int in_iteration) {
  unsigned i;

  engine->in_iteration = in_iteration;
  uvdio__engine_set_plain_end(engine);
  for (i = 0; i < engine->queue_count; i++) {
    update_batch_limit(&engine->queues[i], 0);
  }
}

/* Called before requests end: until then their number only grows. */
static void note_in_flight(uvdio_engine_t* engine) {
  uvdio_engine_stats_t* stats = &engine->stats;

  if (stats->in_flight > stats->in_flight_peak) {
    stats->in_flight_peak = stats->in_flight;
  }
}

/* A backend may finish requests within the call. */
static void flush(uvdio__queue_t* queue) {
  note_in_flight(queue->engine);
  if (UVDIO__UNLIKELY(queue->engine->metrics != NULL)) {
    uvdio__metrics_flush(queue);
  }
  queue->backend->flush(queue);
  queue->batch_weight = queue->unflushed;
  update_batch_limit(queue, 0);
}

void uvdio__queue_flush_if_due(uvdio__queue_t* queue) {
  uvdio_engine_t* engine = queue->engine;
  int in_iteration = engine->in_iteration;
  unsigned limit = in_iteration ? queue->batch_limit : batch_limit(queue, 0);

  if (!queue->stalled && queue->batch_weight >= limit) {
    flush(queue); /* With nothing in the kernel, a batch is one at most. */
  }
  if (engine->busy_poll_ns > 0 && !in_iteration) {
    engine->busy_poll_wanted = 1;
  }
  if ((queue->unflushed > 0 || engine->busy_poll_wanted) && !in_iteration) {
    uvdio__loop_wake(engine);
  }
}

/*
 * Submission
 */

static int submit(uvdio__queue_t* queue, uvdio_req_t* req);

/* What this queue can't do is the next one's. It does not overtake what waits. */
static void start_behind(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__queue_t* next = uvdio__queue_in_use(uvdio__queue_behind(queue));

  if (next == pool_of(queue->engine)) {
    queue->engine->stats.punted++;
    uvdio__trace_punt(req, queue->backend->name);
  }
  if (queue->engine->waiting == 0 && uvdio__queue_has_room(next)) {
    req->queue_ = next;
    (void)submit(next, req);
  } else {
    requeue_on(next, req);
  }
}

/* The queue did not take the request. Returns 0 when it takes no more for now. */
static int handle_submit_error(uvdio__queue_t* queue, uvdio_req_t* req, int error) {
  if (error == UV_EAGAIN) {
    assert(queue->stalled); /* Whoever ends that wakes the engine. */
    queue_push_front(queue, req);
    return 0;
  }
  if (error == UV_ENOSYS) {
    start_behind(queue, req);
    return 1;
  }
  uvdio__request_fail(req, error);
  uvdio__queue_complete(req);
  return 1;
}

/* Without a priority, and without metrics. */
static int submit_plain(uvdio__queue_t* queue, uvdio_req_t* req) {
  int error = queue->backend->submit(queue, req);

  if (error != 0) {
    return handle_submit_error(queue, req, error);
  }
  uvdio__queue_started(queue, req);
  return 1;
}

/* Submits a request to its queue's backend. Returns 0 when the queue takes no more for now. */
static int submit(uvdio__queue_t* queue, uvdio_req_t* req) {
  int error = queue->backend->submit(queue, req);

  if (error != 0) {
    return handle_submit_error(queue, req, error);
  }
  if (req->ioprio_ != 0 && queue->backend->prioritise != NULL) {
    queue->backend->prioritise(queue, req);
  }
  if (queue->engine->metrics != NULL) {
    uvdio__metrics_begin(req);
  }
  uvdio__queue_started(queue, req);
  return 1;
}

/* The file's latch, if it has overtaken the request while that waited; or 0. */
static int latch_over(const uvdio_req_t* req) {
  int is_refused = uvdio__is_change(req->op) || uvdio__is_sync(req->op);

  return is_refused ? uvdio__share_latch_of(req->file) : 0;
}

/* A request that waits no more. Returns 0 when the queue takes no more for now. */
static int submit_unlatched(uvdio__queue_t* queue, uvdio_req_t* req) {
  int latch = latch_over(req);

  if (latch != 0) {
    uvdio__request_fail(req, latch);
    uvdio__queue_complete(req);
    return 1;
  }
  return submit(queue, req);
}

static int submit_next(uvdio__queue_t* queue) {
  uvdio_req_t* req = uvdio__list_first(&queue->waiting);

  uvdio__ownership_check(req);
  uvdio__queue_remove(req);
  return submit_unlatched(queue, req);
}

static uvdio__queue_t* queue_for(const uvdio_req_t* req) {
  const uvdio_file_t* file = req->file;
  int is_concurrent = file->queue_concurrent_ != NULL && uvdio__is_transfer(req->op) &&
                      req->engine_->stats.in_flight >= file->concurrent_from_;

  return uvdio__queue_in_use(is_concurrent ? file->queue_concurrent_ : file->queue_);
}

/* The request of a class that can begin now, or null. */
static uvdio_req_t* next_of_classes(const uvdio_engine_t* engine) {
  uvdio_req_t* req = engine->classes != NULL ? uvdio__class_next(engine) : NULL;
  return req != NULL && uvdio__queue_has_room(queue_for(req)) ? req : NULL;
}

/* As far as classes let requests begin. */
static void submit_classes(uvdio_engine_t* engine) {
  uvdio_req_t* req;

  while ((req = next_of_classes(engine)) != NULL) {
    uvdio__ownership_check(req);
    req->queue_ = queue_for(req);
    uvdio__class_begin(req);
    count_waiting(engine, -1);
    (void)submit_unlatched(req->queue_, req);
  }
}

/* One request of each queue in turn, so that none goes without where room gets free one at a
 * time. What has begun goes before what waits in its class. */
static void submit_waiting(uvdio_engine_t* engine) {
  int started;
  unsigned i;

  do {
    started = 0;
    for (i = 0; engine->waiting > 0 && i < engine->queue_count; i++) {
      uvdio__queue_t* queue = &engine->queues[engine->next_queue];
      engine->next_queue =
          engine->next_queue + 1 < engine->queue_count ? engine->next_queue + 1 : 0;
      if (!uvdio__list_is_empty(&queue->waiting) && uvdio__queue_has_room(queue) &&
          submit_next(queue)) {
        started = 1;
        break;
      }
    }
  } while (started);
  if (engine->classes != NULL) {
    submit_classes(engine);
  }
}

void uvdio__queue_submit_and_flush(uvdio_engine_t* engine) {
  unsigned i;

  if (uvdio__engine_is_forked(engine)) {
    return;
  }
  assert(engine->in_iteration);
  submit_waiting(engine);
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    if (queue->unflushed > 0 && !queue->stalled) {
      flush(queue);
    }
  }
}

void uvdio__queue_add(uvdio_req_t* req) {
  uvdio__queue_t* queue = queue_for(req);

  if (queue->engine->classes != NULL) {
    req->queue_ = queue;
    uvdio__class_add(req);
    count_waiting(queue->engine, 1);
  } else {
    queue_push_back(queue, req);
  }
  if ((uvdio__queue_has_room(queue) && !queue->engine->in_iteration) || queue->engine->limit == 0) {
    uvdio__loop_wake(queue->engine);
  }
}

/* With metrics a request begins as without them. With classes it begins at once where they let
 * it. */
static UVDIO__NOINLINE void start_with_more(uvdio_engine_t* engine, uvdio_req_t* req) {
  if (engine->waiting == 0 && engine->classes == NULL && uvdio__queue_has_room(req->queue_)) {
    (void)submit(req->queue_, req);
    return;
  }
  uvdio__queue_add(req);
  if (engine->classes != NULL) {
    submit_classes(engine);
    if (uvdio__class_holds(req)) {
      uvdio__class_note_wait(req);
    }
  }
}

void uvdio__queue_start(uvdio_req_t* req) {
  uvdio__queue_t* queue = queue_for(req);

  req->queue_ = queue;
  if (uvdio__queue_has_room(queue) && queue->engine->not_direct == 0) {
    (void)submit_plain(queue, req);
  } else {
    start_with_more(queue->engine, req);
  }
}

int uvdio__queue_has_work(const uvdio_engine_t* engine) {
  unsigned i;

  for (i = 0; i < engine->queue_count; i++) {
    const uvdio__queue_t* queue = &engine->queues[i];
    if ((queue->unflushed > 0 && !queue->stalled) ||
        (!uvdio__list_is_empty(&queue->waiting) && uvdio__queue_has_room(queue))) {
      return 1;
    }
  }
  return next_of_classes(engine) != NULL;
}

/*
 * Completion
 */

int uvdio__queue_reap(uvdio_engine_t* engine) {
  int again = 0;
  unsigned i;

  if (uvdio__engine_is_forked(engine)) {
    return 0;
  }
  note_in_flight(engine);
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    if (queue->backend->reap != NULL) {
      again |= queue->backend->reap(queue);
      update_batch_limit(queue, 1);
    }
  }
  return again;
}

void uvdio__queue_settle_polled(uvdio_engine_t* engine) {
  uvdio__queue_t* polled = uvdio__engine_polled(engine);

  if (polled == NULL || uvdio__engine_is_forked(engine)) {
    return;
  }
  while ((polled->backend->reap(polled) & REAP_LATER) != 0) {
  }
}

/* A broken backend would refuse it. */
void uvdio__queue_again(uvdio__queue_t* queue, uvdio_req_t* req) {
  if (uvdio__queue_is_broken(queue)) {
    uvdio__queue_punt(queue, req);
    return;
  }
  uvdio__queue_stop(queue->engine, queue, req);
  queue_push_front(queue, req);
  if (!queue->engine->in_iteration) {
    uvdio__loop_wake(queue->engine); /* Off the loop, no iteration comes by itself. */
  }
}

void uvdio__queue_punt(uvdio__queue_t* queue, uvdio_req_t* req) {
  if (queue == pool_of(queue->engine)) {
    uvdio__queue_again(queue, req);
    return;
  }
  uvdio__queue_stop(queue->engine, queue, req);
  queue->engine->stats.punted++;
  uvdio__trace_punt(req, queue->backend->name);
  requeue_on(pool_of(queue->engine), req);
}

void uvdio__queue_unpoll(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__queue_stop(queue->engine, queue, req);
  queue->engine->stats.unpolled++;
  requeue_on(uvdio__queue_in_use(uvdio__queue_behind(queue)), req);
}

static void note_outside(uvdio_engine_t* engine) {
  if (!engine->in_iteration) {
    note_in_flight(engine);
    uvdio__loop_wake(engine);
  }
}

void uvdio__queue_note_end(uvdio_req_t* req) {
  note_outside(req->engine_);
  note_outcome(req);
}

void uvdio__queue_continue(uvdio__queue_t* queue, uvdio_req_t* req, uvdio__verdict_t verdict) {
  assert(verdict != VERDICT_DONE);
  note_outside(queue->engine);
  if (verdict == VERDICT_AGAIN) {
    uvdio__queue_again(queue, req);
  } else if (verdict == VERDICT_UNPOLL) {
    uvdio__queue_unpoll(queue, req);
  } else {
    uvdio__queue_punt(queue, req);
  }
}

/*
 * Failures
 */

void uvdio__queue_broken(uvdio__queue_t* queue, const char* reason) {
  uvdio_engine_t* engine = queue->engine;
  uvdio_req_t* req;

  assert(queue != pool_of(engine) && !uvdio__queue_is_broken(queue));
  queue->stalled |= QUEUE_BROKEN;
  /* Requests that the ring has may never come back, and the pool has a depth of its own. */
  engine->limit = UINT_MAX;
  if (queue == &engine->queues[QUEUE_POLLED]) {
    (void)snprintf(engine->polled_words, sizeof(engine->polled_words), "; %s", reason);
  }
  if (queue == &engine->queues[QUEUE_MAIN] || !uvdio__queue_is_broken(engine->queues)) {
    (void)snprintf(engine->reason, sizeof(engine->reason), "%s", reason);
  }
  while ((req = uvdio__list_first(&queue->waiting)) != NULL) {
    uvdio__queue_remove(req);
    requeue_on(uvdio__queue_in_use(queue), req);
  }
}

void uvdio__queue_forget_running(uvdio__queue_t* queue) {
  uvdio_req_t* req;

  assert(uvdio__queue_is_broken(queue));
  for (req = uvdio__list_first(&queue->running); req != NULL && queue->engine->classes != NULL;
       req = uvdio__list_after(&queue->running, req)) {
    uvdio__class_forget(req);
  }
  uvdio__loop_wake(queue->engine);
}

void uvdio__queue_mended(uvdio__queue_t* queue, const char* reason) {
  uvdio_engine_t* engine = queue->engine;

  queue->stalled &= ~QUEUE_BROKEN;
  if (queue == &engine->queues[QUEUE_POLLED]) {
    (void)snprintf(engine->polled_words, sizeof(engine->polled_words), POLLED_WORDS);
  }
  (void)snprintf(engine->reason, sizeof(engine->reason), "%.*s%s", UVDIO__REASON_PART, reason,
                 engine->polled_words);
}

static void fail_all(const uvdio__list_t* waiting, int error) {
  uvdio_req_t* req;

  while ((req = uvdio__list_first(waiting)) != NULL) {
    uvdio__queue_remove(req);
    uvdio__request_fail(req, error);
    uvdio__queue_complete(req);
  }
}

void uvdio__queue_fail_waiting(uvdio_engine_t* engine, int error) {
  const uvdio__list_t* waiting;
  unsigned i;

  for (i = 0; (waiting = uvdio__queue_waiting(engine, i)) != NULL; i++) {
    fail_all(waiting, error);
  }
}

const uvdio__list_t* uvdio__queue_waiting(const uvdio_engine_t* engine, unsigned number) {
  if (number < engine->queue_count) {
    return &engine->queues[number].waiting;
  }
  number -= engine->queue_count;
  return engine->classes != NULL && number < UVDIO_CLASSES ? uvdio__class_waiting(engine, number)
                                                           : NULL;
}

static void fail_running(uvdio__queue_t* queue, int error) {
  uvdio_req_t* req;

  for (req = uvdio__list_first(&queue->running); req != NULL;
       req = uvdio__list_after(&queue->running, req)) {
    req->flags_ |= REQ_OUTCOME_UNKNOWN;
  }
  while ((req = uvdio__list_shift(&queue->running)) != NULL) {
    uvdio__request_fail(req, error);
    uvdio__queue_complete(req);
  }
  queue->in_flight = 0;
  queue->unflushed = 0;
  queue->batch_weight = 0;
}

void uvdio__queue_fail_running(uvdio_engine_t* engine, int error) {
  unsigned i;

  for (i = 0; i < engine->queue_count; i++) {
    fail_running(&engine->queues[i], error);
  }
  engine->stats.in_flight = 0;
}
