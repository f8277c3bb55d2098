/* SPDX-License-Identifier: MIT */
/*
 * Completions: the eventfd wakes the loop, and the check phase takes what the kernel has posted.
 *
 * No signal is lost with edges: the kernel posts a completion and signals the eventfd after that,
 * each time. One that comes after the last look has a signal of its own, for which the loop wakes
 * once more; where its completion was taken meanwhile, that wake-up finds nothing.
 */
#include "aio/aio.h"
#include "completion.h"

#define EVENTS_AT_A_TIME 64u

/* A write that has not begun: those behind it are likely to do as badly, and each try costs. Those
 * that were under way beside it tell nothing new. */
static void note_refusal(uvdio_file_t* file) {
  if (file->detour_ > 0) {
    return;
  }
  file->refusals_ = (unsigned char)(file->refusals_ < 32 ? file->refusals_ * 2 + 1 : 63);
  file->detour_ = file->refusals_;
}

static inline void note_write(uvdio_file_t* file, int64_t result) {
  if (UVDIO__UNLIKELY(result == UV_EAGAIN)) {
    note_refusal(file);
  } else {
    file->refusals_ = 0;
    file->detour_ = 0;
  }
}

static void handle_event(uvdio__queue_t* queue, const struct io_event* event) {
  uvdio__aio_slot_t* slot = (uvdio__aio_slot_t*)(uintptr_t)event->data;
  uvdio_req_t* req = uvdio__aio_release_slot(queue->state, slot);
  int64_t result = (int64_t)event->res;

  result = result < 0 ? uv_translate_sys_error((int)-result) : result;
  /* What the device has no RWF_NOWAIT for (raw dm and md devices before Linux 6.5) is no answer of
   * the disk's: the pool's, which asks without the flag, counts. */
  if (UVDIO__UNLIKELY(result == UV_ENOTSUP && uvdio__is_transfer(req->op))) {
    result = UV_EAGAIN;
  }
  if (req->op == UVDIO_OP_WRITE) {
    note_write(req->file, result);
  }
  uvdio__queue_done(queue, req, result);
}

/* Where the kernel holds completions back, all that is left is to ask from time to time. */
int uvdio__aio_reap(uvdio__queue_t* queue) {
  uvdio__aio_t* state = queue->state;
  struct io_event events[EVENTS_AT_A_TIME];
  int taken;
  int i;

  if (queue->in_flight == queue->unflushed) {
    return 0;
  }
  do {
    taken = uvdio__aio_take(state->context, events, EVENTS_AT_A_TIME,
                            &queue->engine->stats.system_calls);
    for (i = 0; i < taken; i++) {
      handle_event(queue, &events[i]);
    }
    if (taken > 0) {
      uvdio__queue_unstall(queue);
    }
  } while (taken == (int)EVENTS_AT_A_TIME);
  if (taken < 0) {
    uvdio__wakeup_retry_later(&state->wakeup);
  }
  return 0;
}

#define LOOKS_PER_CLOCK_READ 32 /* reading the clock costs more than a look */

int uvdio__aio_busy_poll(uvdio__queue_t* queue, uint64_t deadline) {
  const uvdio__aio_t* state = queue->state;
  unsigned i;

  do {
    for (i = 0; i < LOOKS_PER_CLOCK_READ; i++) {
      if (uvdio__aio_is_ready(state->context)) {
        return 1;
      }
      UVDIO__RELAX();
    }
  } while (uv_hrtime() < deadline);
  return 0;
}

/* The check phase, which comes next, takes what is there. */
void uvdio__aio_on_event(uv_poll_t* handle, int status, int events) {
  uvdio__aio_t* state = UVDIO__CONTAINER_OF(handle, uvdio__aio_t, wakeup.poll);
  uvdio_engine_t* engine = state->wakeup.queue->engine;

  (void)status;
  (void)events;
  if (uvdio__engine_is_forked(engine)) {
    /* The eventfd is shared with the parent: its signals are not ours to take. */
    (void)uv_poll_stop(handle);
    return;
  }
  engine->stats.wakeups++;
  if (!state->wakeup.is_edge_tried) {
    uvdio__wakeup_try_edges(&state->wakeup);
  }
  if (!state->wakeup.is_edge_triggered) {
    uvdio__wakeup_read(&state->wakeup);
  }
}
