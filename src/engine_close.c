/* SPDX-License-Identifier: MIT */
/*
 * The end of an engine: draining, closing files that were left open, and giving everything back; in
 * a forked child without touching what is the parent's.
 *
 *   nothing left                   the queues are closed, the user called back, the engine freed;
 *                                  before that a worker gives back what takes the kernel long
 *   something to do                the next tick
 *   in flight with ring or AIO     blocks until its eventfd or the loop's own descriptor is
 *                                  readable, or for a little while; then the next tick
 *   in flight with the pool        none: libuv's workers keep the loop alive, wake it, and make a
 *                                  tick (uvdio__loop_wake)
 *   waiting for other handles      sleeps for a little while, then the next tick (share.h)
 */
#include "engine_close.h"

#include <assert.h>

#include "allocator.h"
#include "class.h"
#include "durability.h"
#include "file.h"
#include "frames.h"
#include "iteration.h"
#include "metrics.h"
#include "vector.h"

/* How long an iteration off the loop blocks at most: events that the loop learns of by other means
 * than its descriptors wait for so long. */
#define BLOCK_MS_MAX 1

void uvdio__engine_free(uvdio_engine_t* engine) {
  uvdio__vector_free_stock(engine);
  uvdio__durability_free(engine);
  uvdio__class_free(engine);
  uvdio__metrics_free(engine);
  if (engine->has_signal && !uvdio__engine_is_forked(engine)) {
    uv_mutex_destroy(&engine->signal_mutex);
  }
  uvdio__free(engine, sizeof(*engine), UVDIO__STRUCT_ALIGN);
}

static void tear_down(uvdio_engine_t* engine) {
  unsigned i;

  assert(uvdio__list_is_empty(&engine->completed) && engine->files == NULL);
  assert(engine->handles_closing == 0);
  engine->state = ENGINE_CLOSED;
  uvdio__engine_assert_valid(engine);
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    assert(uvdio__list_is_empty(&queue->waiting) && uvdio__list_is_empty(&queue->running));
    queue->backend->close(queue);
  }
  if (engine->close_cb != NULL) {
    engine->close_cb(engine);
  }
  uvdio__engine_free(engine);
}

static void on_own_request_done(uvdio_req_t* req, int64_t result) {
  (void)req;
  (void)result;
}

/* Nothing is pending. Begins to close what the user left open, one file after the other. */
static void close_left_open(uvdio_engine_t* engine) {
  if (uvdio__engine_is_forked(engine)) {
    while (engine->files != NULL) {
      uvdio__file_close_now(engine->files);
    }
  }
  if (engine->files != NULL) {
    uvdio__file_close_left_open(engine->files, &engine->close_req, on_own_request_done);
  }
}

/* No file is left. Has a worker give back what takes the kernel long: once, for if it could not be
 * had, the queue's close does it. */
static void release_main(uvdio_engine_t* engine) {
  uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];

  if (engine->is_released || queue->backend->release == NULL || uvdio__engine_is_forked(engine)) {
    return;
  }
  engine->is_released = 1;
  uvdio__prepare(&engine->close_req, &engine->no_file, UVDIO_OP_NONE, 0, 0);
  engine->close_req.flags_ = REQ_UNCANCELLABLE; /* The user may still cancel all that runs. */
  engine->close_req.cb_.plain = on_own_request_done;
  uvdio__engine_accept(engine, &engine->close_req);
  engine->no_file.pending_++;
  engine->no_file.queue_ = &engine->queues[QUEUE_POOL];
  uvdio__order_submit(&engine->close_req);
}

/* For how long the loop would block now, within bounds. It says 0 where nothing is on it that could
 * wake it. */
static int time_to_block(const uvdio_engine_t* engine) {
  int timeout = uv_loop_alive(engine->loop) ? uv_backend_timeout(engine->loop) : BLOCK_MS_MAX;
  return timeout < 0 || timeout > BLOCK_MS_MAX ? BLOCK_MS_MAX : timeout;
}

/* Whether requests are left that only another handle of their file lets go on, which has no signal
 * for an engine off the loop. What it leaves to them is taken beside whatever else is in flight:
 * others may wait for it. */
static int waits_for_others(const uvdio_engine_t* engine) {
  return uvdio__share_is_any_waiting(engine) && !uvdio__engine_is_forked(engine);
}

/* A queue that has requests in flight, of which the loop would not be told; or null. */
static uvdio__queue_t* queue_to_wait_for(uvdio_engine_t* engine) {
  unsigned i;

  for (i = 0; i < engine->queue_count && !uvdio__engine_is_forked(engine); i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    if (queue->backend->wait != NULL && queue->in_flight > 0) {
      return queue;
    }
  }
  return NULL;
}

/* Makes the next iteration, where nobody else does. */
static void continue_off_loop(uvdio_engine_t* engine) {
  uvdio__queue_t* queue = queue_to_wait_for(engine);

  if (engine->handles_closing > 0) {
    return; /* What was begun after the iteration has made the next one. */
  }
  if (uvdio__engine_has_work(engine)) {
    uvdio__loop_tick(engine);
  } else if (queue != NULL) {
    queue->backend->wait(queue, time_to_block(engine));
    uvdio__loop_tick(engine);
  } else if (waits_for_others(engine)) {
    uv_sleep((unsigned)time_to_block(engine));
    uvdio__loop_tick(engine);
  }
}

/* In a forked child. The end of a request adds those to a queue that were deferred for it: they are
 * waiting by then, and end as well. */
static void fail_waiting_after_fork(uvdio_engine_t* engine) {
  assert(engine->state == ENGINE_ABANDONED);
  while (engine->waiting > 0) {
    uvdio__queue_fail_waiting(engine, UVDIO_EFORK);
  }
}

void uvdio__engine_iterate_off_loop(uvdio_engine_t* engine) {
  uvdio__iteration_sweep(engine);
  uvdio__iteration_begin(engine);
  uvdio__share_for_each_given(engine, uvdio__order_take_grants);
  uvdio__frames_take_given(engine);
  uvdio__iteration_run_callbacks(engine);
  uvdio__iteration_end(engine);
  if (engine->handles_closing > 0) {
    return; /* A forked child has closed the engine from within a callback. */
  }
  if (engine->state == ENGINE_ABANDONED) {
    fail_waiting_after_fork(engine); /* Closes of what names held until they were called back. */
  }
  if (engine->loop_state == LOOP_LINGERING) {
    /* Handles that the user closed are closed after this phase. */
    engine->loop_state = LOOP_DETACHED;
    uvdio__loop_tick(engine);
    return;
  }
  if (engine->state != ENGINE_OPEN && uvdio__engine_pending(engine) == 0) {
    close_left_open(engine);
    if (uvdio__engine_pending(engine) == 0) {
      release_main(engine);
    }
    if (uvdio__engine_pending(engine) == 0) {
      tear_down(engine);
      return;
    }
  }
  continue_off_loop(engine);
}

/* In a forked child: everything in flight is the parent's. */
static void abandon_after_fork(uvdio_engine_t* engine) {
  engine->state = ENGINE_ABANDONED;
  uvdio__queue_set_iteration(engine, 0); /* The fork may have come within one, which ends here. */
  uvdio__queue_fail_running(engine, UVDIO_EFORK);
  uvdio__share_for_each(engine, uvdio__order_take_grants); /* Nobody else lets them go on. */
  uvdio__frames_abandon(engine);
  fail_waiting_after_fork(engine);
}

/* With nothing pending the engine may be closed by the thread that runs the loop next, which can't
 * be known yet. */
static int is_others_to_close(const uvdio_engine_t* engine) {
  return uvdio__engine_runs_elsewhere(engine) ||
         (uvdio__engine_is_foreign(engine) && uvdio__engine_pending(engine) > 0);
}

int uvdio_engine_close(uvdio_engine_t* engine, uvdio_engine_cb cb) {
  if (engine == NULL) {
    return UV_EINVAL;
  }
  /* A child may close an engine that its parent was closing: that was the parent's close. */
  if (engine->state != ENGINE_OPEN &&
      !(engine->state == ENGINE_CLOSING && uvdio__engine_is_forked(engine))) {
    return UV_EBADF;
  }
  if (!uvdio__engine_is_forked(engine) && is_others_to_close(engine)) {
    return UVDIO_ETHREAD;
  }
  engine->state = ENGINE_CLOSING;
  engine->refuses |= REFUSES_ALL;
  engine->close_cb = cb;
  if (engine->loop_state == LOOP_ATTACHED) {
    uvdio__loop_detach(engine);
  }
  if (uvdio__engine_is_forked(engine)) {
    abandon_after_fork(engine);
  } else {
    uvdio__frames_cancel_all(engine); /* Perhaps nobody ever releases a frame. */
  }
  /* Off the loop already, it may have had nothing to do, or be a child's. */
  uvdio__loop_wake(engine);
  return 0;
}

/* The engine's own queue comes last, whose ring has the table of files: where another one fails
 * after it, the files would have changed. One that is new already serves the old thread as well. */
static int rebind_queues(uvdio_engine_t* engine) {
  unsigned i = engine->queue_count;
  int error = 0;

  while (i-- > 0 && error == 0) {
    uvdio__queue_t* queue = &engine->queues[i];
    if (queue->backend->rebind != NULL) {
      error = queue->backend->rebind(queue);
    }
  }
  return error;
}

int uvdio_engine_rebind(uvdio_engine_t* engine) {
  int error;

  if (engine == NULL) {
    return UV_EINVAL;
  }
  if (engine->state != ENGINE_OPEN) {
    return UV_EBADF;
  }
  if (uvdio__engine_is_forked(engine)) {
    return UVDIO_EFORK;
  }
  if (uvdio__engine_runs_elsewhere(engine)) {
    return UVDIO_ETHREAD;
  }
  if (uvdio__engine_pending(engine) > 0) {
    return UV_EBUSY;
  }
  error = rebind_queues(engine);
  if (error == 0) {
    engine->thread = 0;
    engine->limit = 0;
    engine->on_wrong_thread = 0;
  }
  return error;
}
