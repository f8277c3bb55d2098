/* SPDX-License-Identifier: MIT */
/*
 * A kernel that refuses, for the moment or for good: submissions are tried again a little later, or
 * the ring is given up and the pool does its work.
 */
#include <stdio.h>

#include "completion.h"
#include "ring/ring.h"

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
  uvdio__queue_forget_running(queue);
}

void uvdio__ring_disable(uvdio__queue_t* queue, int error, const char* call) {
  const uvdio__ring_t* state = queue->state;
  char why[UVDIO__REASON_PART];
  char reason[UVDIO__REASON_SIZE];

  if (!state->broken) {
    uvdio__ring_explain(error, call, why, sizeof(why));
    (void)snprintf(reason, sizeof(reason), "%s%s",
                   state->is_polled ? "no polled completions any more: " : "", why);
    uvdio__ring_give_up(queue, reason);
  }
}
