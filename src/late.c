/* SPDX-License-Identifier: MIT */
/*
 * See late.h.
 */
#include "late.h"

#include "pending.h"

/* Where it is 0 each iteration has a look. */
static uint64_t period_of(const uvdio_engine_t* engine) {
  return engine->late_ms / 4;
}

static int is_late(uvdio_req_t* req, void* arg) {
  const uvdio_engine_t* engine = arg;
  uint64_t deadline_ms = req->deadline_ms_ != 0 ? req->deadline_ms_ : engine->late_ms;

  return (req->flags_ & REQ_LATE) == 0 && req->state_ != STATE_COMPLETED &&
         uv_now(engine->loop) - req->submitted_ms_ >= deadline_ms;
}

/* A callback may change every list, so that each look begins anew. */
void uvdio__late_look(uvdio_engine_t* engine) {
  uvdio_req_t* req;

  if (engine->late_cb == NULL || uv_now(engine->loop) < engine->look_due_ms) {
    return;
  }
  engine->look_due_ms = uv_now(engine->loop) + period_of(engine);
  while (engine->late_cb != NULL && !uvdio__engine_is_forked(engine) &&
         (req = uvdio__pending_visit(engine, is_late, engine)) != NULL) {
    uvdio_request_info_t info;
    uvdio__pending_describe(req, &info);
    req->flags_ |= REQ_LATE;
    engine->late_cb(&info, engine->late_arg);
  }
}

void uvdio__late_arm(uvdio_engine_t* engine) {
  if (engine->late_cb != NULL && uvdio__engine_pending(engine) > 0 &&
      engine->loop_state == LOOP_ATTACHED && !uvdio__engine_is_forked(engine)) {
    uint64_t now_ms = uv_now(engine->loop);
    uvdio__loop_wake_after(engine, engine->look_due_ms > now_ms ? engine->look_due_ms - now_ms : 1);
  }
}

int uvdio_engine_watch(uvdio_engine_t* engine, uint64_t deadline_ms, uvdio_late_cb cb, void* arg) {
  int error;

  if (engine == NULL || deadline_ms > UINT32_MAX || (cb != NULL && deadline_ms == 0)) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error == 0 && cb != NULL) {
    error = uvdio__loop_have_timer(engine);
  }
  if (error == 0) {
    engine->late_cb = cb;
    engine->late_arg = arg;
    engine->watches = cb != NULL ? engine->watches | WATCHES_LATE : engine->watches & ~WATCHES_LATE;
    engine->late_ms = deadline_ms;
    engine->look_due_ms = uv_now(engine->loop) + period_of(engine);
  }
  return error;
}

int uvdio_req_set_deadline(uvdio_req_t* req, uint64_t deadline_ms) {
  if (req == NULL || deadline_ms > UINT32_MAX) {
    return UV_EINVAL;
  }
  if (uvdio__is_pending(req)) {
    return UV_EBUSY;
  }
  req->deadline_ms_ = (uint32_t)deadline_ms;
  return 0;
}
