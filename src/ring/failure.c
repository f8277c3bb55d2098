/* SPDX-License-Identifier: MIT */
/*
 * A kernel that refuses, for the moment or for good: submissions are tried again a little later, or
 * the ring is given up and the pool does its work.
 */
#include "completion.h"
#include "ring/ring.h"

/* Between attempts to submit, or to get completions. */
#define RETRY_MS 10

static void on_retry(uv_timer_t* timer) {
  uvdio__ring_t* state = UVDIO__CONTAINER_OF(timer, uvdio__ring_t, retry);
  uvdio__queue_t* queue = state->queue;

  queue->stalled &= ~QUEUE_STALLED;
  state->cq_unnotified = 1;
  queue->engine->poll_pending = 1;
  uvdio__loop_wake(queue->engine); /* Timers come before the poll, and that must not block now. */
}

/* Off the loop, whenever something was waited for. */
void uvdio__ring_retry_later(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (uv_is_closing((uv_handle_t*)&state->retry)) {
    return;
  }
  (void)uv_timer_start(&state->retry, on_retry, RETRY_MS, 0);
  uv_unref((uv_handle_t*)&state->retry);
}

/* Reclaims entries that the kernel has not taken and moves their requests to the pool. The tail is
 * reset, so that no later call can submit stale entries. */
static void reclaim_unsubmitted(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  struct io_uring_sq* sq = &state->ring.sq;
  unsigned head = *sq->khead;
  unsigned tail = sq->sqe_tail;
  unsigned i;

  sq->sqe_head = head;
  sq->sqe_tail = head;
  *sq->ktail = head;
  queue->unflushed = 0;
  queue->batch_weight = 0;
  for (i = head; i != tail; i++) {
    uintptr_t data = (uintptr_t)state->entries[i & state->entry_mask].user_data;
    if ((data & CANCEL_MARK) == 0) {
      uvdio__queue_punt(queue, (uvdio_req_t*)(data & ~MARKS));
    }
  }
}

void uvdio__ring_give_up(uvdio__queue_t* queue, const char* reason) {
  uvdio__ring_t* state = queue->state;

  assert(!state->broken);
  state->broken = 1;
  uvdio__queue_broken(queue, reason);
  reclaim_unsubmitted(queue);
}

void uvdio__ring_disable(uvdio__queue_t* queue, int error, const char* call) {
  const uvdio__ring_t* state = queue->state;
  char reason[UVDIO__REASON_SIZE];

  if (!state->broken) {
    uvdio__ring_explain(error, call, reason, sizeof(reason));
    uvdio__ring_give_up(queue, reason);
  }
}
