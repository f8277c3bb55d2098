/* SPDX-License-Identifier: MIT */
/*
 * The end of a request, inline because every one passes it: a backend's result becomes an outcome,
 * and the outcome is the one call that goes up.
 */
#ifndef UVDIO_COMPLETION_H
#define UVDIO_COMPLETION_H

#include "engine.h"
#include "list.h"
#include "request.h"

/* The one call upward, implemented by order.c: an accepted request has its outcome (req->result),
 * which may let others go on. Those are added to a queue; nothing starts within this call. */
void uvdio__order_outcome(uvdio_req_t* req);

/* What the end of a request takes where it is not a plain one (engine->has_plain_end). Outside of
 * an iteration the count of requests in flight is noted before it falls, and the loop comes back
 * for the callback. With classes the request is not in flight any more; with metrics its time is
 * taken. */
void uvdio__queue_note_end(uvdio_req_t* req);

/* A request that has no outcome yet takes another step, on its queue or on the pool. */
void uvdio__queue_continue(uvdio__queue_t* queue, uvdio_req_t* req, uvdio__verdict_t verdict);

/* Moves a request with an outcome to the callbacks that are due, before those that share it. */
static inline void uvdio__queue_push_completed(uvdio_engine_t* engine, uvdio_req_t* req) {
  req->state_ = STATE_COMPLETED;
  uvdio__list_append(&engine->completed, req);
  uvdio__order_outcome(req);
}

/* A running request has ended, with bytes or a negative code. See backend.h. */
static inline void uvdio__queue_done(uvdio__queue_t* queue, uvdio_req_t* req, int64_t result) {
  uvdio_engine_t* engine = queue->engine;
  uvdio__verdict_t verdict;

  uvdio__ownership_check(req);
  verdict = uvdio__request_settle(req, result);
  if (UVDIO__UNLIKELY(verdict != VERDICT_DONE)) {
    uvdio__queue_continue(queue, req, verdict);
    return;
  }
  if (UVDIO__UNLIKELY(!engine->has_plain_end)) {
    uvdio__queue_note_end(req);
  }
  uvdio__queue_stop(engine, queue, req);
  uvdio__queue_push_completed(engine, req);
}

#endif /* UVDIO_COMPLETION_H */
