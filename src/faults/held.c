/* SPDX-License-Identifier: MIT */
/*
 * Requests that a front holds, oldest first: those whose time has come end, or go on to the backend
 * behind. The engine's timer (loop.h) has it look again; off the loop, where there is none, every
 * delay is over.
 */
#include "completion.h"
#include "faults/front.h"

#define NS_PER_MS UINT64_C(1000000)

/*
 * The way to the backend behind
 */

/* Makes a request seem no longer than the part that it is to move. Returns its length. */
static size_t shorten(uvdio_req_t* req) {
  size_t whole = req->length_;

  if ((req->flags_ & REQ_SHORT) != 0) {
    req->length_ = req->transferred + (size_t)req->result;
  }
  return whole;
}

/* A worker may read a request that is submitted: its length is put back only where none does. */
static int pass(uvdio__queue_t* queue, uvdio_req_t* req) {
  const uvdio__backend_t* behind = uvdio__front_of(queue)->behind;
  size_t whole;
  int error;

  if ((req->flags_ & REQ_SHORT) == 0) {
    return behind->submit(queue, req);
  }
  if (behind->submit_part != NULL) {
    return behind->submit_part(queue, req, (size_t)req->result);
  }
  whole = shorten(req);
  error = behind->submit(queue, req);
  req->length_ = whole;
  return error;
}

int uvdio__front_pass(uvdio__queue_t* queue, uvdio_req_t* req) {
  const uvdio__backend_t* behind = uvdio__front_of(queue)->behind;
  int error = pass(queue, req);

  if (error == 0 && req->ioprio_ != 0 && behind->prioritise != NULL) {
    behind->prioritise(queue, req);
  }
  return error;
}

int64_t uvdio__front_perform(const uvdio__queue_t* queue, uvdio_req_t* req) {
  size_t whole = shorten(req);
  int64_t result = uvdio__front_of(queue)->behind->perform(queue, req);

  req->length_ = whole;
  return result;
}

/*
 * Holding
 */

static int can_delay(const uvdio_engine_t* engine) {
  return engine->loop_state == LOOP_ATTACHED;
}

static void look_soon(uvdio_engine_t* engine) {
  engine->poll_pending = 1;
  if (!engine->in_iteration) {
    uvdio__loop_wake(engine);
  }
}

/* The loop's clock stands still while callbacks run, so that it may be too early then. */
static void look_at(uvdio_engine_t* engine, uint64_t due_ns, uint64_t now_ns) {
  uvdio__loop_wake_after(engine, (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

void uvdio__front_hold(uvdio__queue_t* queue, uvdio_req_t* req, int error, uint64_t delay_ms) {
  uvdio__front_t* front = uvdio__front_of(queue);
  uvdio__held_t** end = &front->held;
  uvdio__held_t* held = front->free;

  assert(held != NULL); /* A queue runs no more requests than it has slots. */
  front->free = held->next;
  held->next = NULL;
  held->req = req;
  held->error = error;
  held->due_ns = 0;
  while (*end != NULL) {
    end = &(*end)->next;
  }
  *end = held;
  if (delay_ms > 0 && can_delay(queue->engine)) {
    uint64_t now_ns = uvdio__clock_ns();
    held->due_ns = now_ns + delay_ms * NS_PER_MS;
    look_at(queue->engine, held->due_ns, now_ns);
  } else {
    look_soon(queue->engine);
  }
}

int uvdio__front_cancel_held(const uvdio__queue_t* queue, const uvdio_req_t* req) {
  uvdio__held_t* held = uvdio__front_of(queue)->held;

  while (held != NULL && held->req != req) {
    held = held->next;
  }
  if (held == NULL) {
    return 0;
  }
  held->due_ns = 0;
  look_soon(queue->engine);
  return 1;
}

/*
 * The end of it
 */

/* It has run all the time, and the backend gets it only now. */
static void go_on(uvdio__queue_t* queue, uvdio_req_t* req) {
  int error;

  if (uvdio__queue_is_broken(queue)) {
    uvdio__queue_punt(queue, req);
    return;
  }
  error = uvdio__front_pass(queue, req);
  if (error == UV_EAGAIN) {
    uvdio__queue_again(queue, req);
  } else if (error == UV_ENOSYS) {
    uvdio__queue_punt(queue, req);
  } else if (error != 0) {
    uvdio__queue_done(queue, req, uvdio__front_answer(req, error));
  }
}

/* Without descriptors nothing blocks, and a part is moved here. */
static void end_held(uvdio__queue_t* queue, const uvdio__held_t* held) {
  uvdio_req_t* req = held->req;

  if (req->cancelled_) {
    uvdio__queue_done(queue, req, UV_ECANCELED);
  } else if (held->error != 0) {
    uvdio__queue_done(queue, req, uvdio__front_answer(req, held->error));
  } else if ((req->flags_ & REQ_SHORT) != 0 && !queue->backend->has_descriptors) {
    uvdio__queue_done(queue, req, uvdio__front_perform(queue, req));
  } else {
    go_on(queue, req);
  }
}

/* What ends starts nothing anew before this returns. */
void uvdio__front_end_due(uvdio__queue_t* queue) {
  uvdio__front_t* front = uvdio__front_of(queue);
  uvdio__held_t** link = &front->held;
  uint64_t now_ns = can_delay(queue->engine) ? uvdio__clock_ns() : UINT64_MAX;

  while (*link != NULL) {
    uvdio__held_t* held = *link;
    if (held->due_ns > now_ns) {
      look_at(queue->engine, held->due_ns, now_ns);
      link = &held->next;
      continue;
    }
    *link = held->next;
    end_held(queue, held);
    held->next = front->free;
    front->free = held;
  }
}
