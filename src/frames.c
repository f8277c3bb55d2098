/* SPDX-License-Identifier: MIT */
/*
 * See frames.h. Whoever gives frames to a request is on another thread, perhaps: it leaves the
 * request on engine->given and wakes the loop, whose thread does the rest.
 */
#include "frames.h"

#include <string.h>

#include "arena.h"
#include "buffer.h"
#include "file.h"
#include "queue.h"

static uvdio_buf_t* frames_of(const uvdio_req_t* req) {
  return (uvdio_buf_t*)req->args_;
}

/*
 * Ends
 */

static void complete(uvdio_req_t* req, int result) {
  assert(req->state_ == STATE_DEFERRED);
  uvdio__list_remove(req);
  req->result = result;
  uvdio__queue_complete(req);
}

void uvdio__frames_given(uvdio_req_t* req) {
  uvdio__list_init(&req->order_link_);
  uvdio__loop_signal(req->engine_, &req->engine_->given, &req->order_link_);
}

void uvdio__frames_take_given(uvdio_engine_t* engine) {
  uvdio_link_t_* link;

  if (uvdio__engine_is_forked(engine)) {
    return;
  }
  while ((link = uvdio__loop_take_signal(engine, &engine->given)) != NULL) {
    complete(UVDIO__CONTAINER_OF(link, uvdio_req_t, order_link_), 0);
  }
}

int uvdio__frames_cancel(uvdio_req_t* req) {
  if (uvdio__arena_withdraw(req->arena_, req)) {
    uvdio__loop_forget_signal(req->engine_, &req->order_link_);
    complete(req, 0);
    return UV_EBUSY;
  }
  req->cancelled_ = 1;
  complete(req, UV_ECANCELED);
  return 0;
}

void uvdio__frames_cancel_all(uvdio_engine_t* engine) {
  uvdio_req_t* req;

  while ((req = uvdio__list_first(&engine->frame_waits)) != NULL) {
    (void)uvdio__frames_cancel(req);
  }
}

/* Those that were given to it are nobody's here. */
void uvdio__frames_abandon(uvdio_engine_t* engine) {
  uvdio_req_t* req;
  size_t i;

  while ((req = uvdio__list_first(&engine->frame_waits)) != NULL) {
    for (i = 0; i < req->high_water_; i++) {
      (void)uvdio_buf_release(&frames_of(req)[i]);
    }
    complete(req, UVDIO_EFORK);
  }
}

/* A zeroed arena's frames are zeroed by whom they are for. */
static void zero_frames(const uvdio_arena_t* arena, uvdio_buf_t* frames, size_t count) {
  size_t i;

  for (i = 0; (arena->flags & UVDIO_ARENA_ZEROED) != 0 && i < count; i++) {
    memset(frames[i].base, 0, frames[i].cap);
  }
}

void uvdio__frames_finish(uvdio_req_t* req) {
  if (req->result == 0) {
    zero_frames(req->arena_, frames_of(req), req->length_);
  }
  req->file = NULL;
}

/*
 * Public
 */

static int check(const uvdio_engine_t* engine, const uvdio_req_t* req, const uvdio_arena_t* arena,
                 const uvdio_buf_t* frames, unsigned count) {
  int error;

  if (engine == NULL || req == NULL || arena == NULL || frames == NULL || count == 0) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error == 0 && uvdio__arena_is_forked(arena)) {
    error = UVDIO_EFORK;
  }
  if (error == 0 && uvdio__is_pending(req)) {
    error = UV_EBUSY;
  }
  if (error != 0) {
    return error;
  }
  return count > arena->frame_count ? UV_E2BIG : 0;
}

static void prepare(uvdio_engine_t* engine, uvdio_req_t* req, uvdio_arena_t* arena,
                    uvdio_buf_t* frames, unsigned count) {
  uvdio__prepare(req, &engine->no_file, UVDIO_OP_ARENA_WAIT, 0, count);
  req->args_ = frames;
  req->arena_ = arena;
}

static int take_now(uvdio_engine_t* engine, uvdio_req_t* req, uvdio_arena_t* arena,
                    uvdio_buf_t* frames, unsigned count) {
  if (!uvdio__arena_take(arena, frames, count)) {
    return UV_ENOBUFS;
  }
  prepare(engine, req, arena, frames, count);
  uvdio__frames_finish(req);
  engine->stats.synchronous++;
  return 0;
}

/* From here on nothing fails. Where the request gets into the queue, another thread may give it its
 * frames at once: the signal for that is taken by this thread, later. */
static void submit(uvdio_req_t* req, uvdio_cb cb) {
  uvdio_engine_t* engine = req->engine_;
  uvdio_arena_t* arena = req->arena_;
  size_t i;

  for (i = 0; i < req->length_; i++) {
    frames_of(req)[i] = uvdio__empty_buf();
  }
  req->cb_.plain = cb;
  uvdio__engine_accept(engine, req);
  uvdio__order_hold(req->file);
  req->state_ = STATE_DEFERRED;
  uvdio__list_append(&engine->frame_waits, req);
  engine->stats.frame_waits++;
  if (uvdio__arena_take(arena, frames_of(req), req->length_) || uvdio__arena_wait(arena, req)) {
    complete(req, 0);
  }
}

int uvdio_arena_wait(uvdio_engine_t* engine, uvdio_req_t* req, uvdio_arena_t* arena,
                     uvdio_buf_t* frames, unsigned count, uvdio_cb cb) {
  int error = check(engine, req, arena, frames, count);

  if (error != 0) {
    return error;
  }
  if (cb == NULL) {
    return take_now(engine, req, arena, frames, count);
  }
  error = uvdio__loop_listen(engine);
  if (error != 0) {
    return error;
  }
  prepare(engine, req, arena, frames, count);
  submit(req, cb);
  return 0;
}
