/* SPDX-License-Identifier: MIT */
/*
 * Completions: the eventfd wakes the loop, and the check phase takes what the kernel has posted.
 *
 * How the queue is drained without a loss. With deferred task work the eventfd is signalled while
 * the completion queue is still empty, and one io_uring_get_events() posts at most 20 completions
 * (from about Linux 6.13 on). So a wake-up asks for completions once, and notes that more may come
 * for which there is no signal. Between callbacks the engine has them taken: the posted ones at
 * once, the others by more calls, until the kernel's flags are clear and the queue is empty after
 * notifications are on again. Completions after that have a signal of their own.
 *
 *   NOTIFIED ----------------------------------> DRAINING
 *      ^    the eventfd was readable, or polled      |
 *      +---------------------------------------------+
 *           notifications are on, and a look after that finds nothing
 *
 * DRAINING is is_unnotified (wakeup.h); where they can be switched, the kernel's notifications are
 * off in it.
 */
#include <assert.h>
#include <errno.h>

#include "completion.h"
#include "ring/ring.h"

/* What the device was said to do, it does not: the file's transfers go to the ordinary ring from
 * now on. */
static void refuse_to_poll(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  file->queue_concurrent_ = NULL;
  file->polled_reason_ =
      "the kernel refused to poll its device (EOPNOTSUPP), or its filesystem does not poll";
  uvdio__queue_unpoll(queue, req);
}

static UVDIO__NOINLINE void handle_cqe(uvdio__queue_t* queue, uintptr_t data, int result) {
  uvdio__ring_t* state = queue->state;
  uvdio_req_t* req = (uvdio_req_t*)(data & ~MARKS);

  result = result < 0 ? uv_translate_sys_error(-result) : result;
  if ((data & CANCEL_MARK) != 0) {
    assert(state->cancels > 0);
    state->cancels--;
  } else if (req->op == UVDIO_OP_OPEN) {
    uvdio__ring_advance_open(queue, req, result);
  } else if (state->is_polled && result == UV_ENOTSUP) {
    refuse_to_poll(queue, req);
  } else {
    uvdio__queue_done(queue, req, result);
  }
}

unsigned uvdio__ring_drain(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  const struct io_uring_cq* cq = &state->ring.cq;
  const struct io_uring_cqe* cqes = cq->cqes;
  unsigned mask = state->completion_mask;
  unsigned first = *cq->khead;
  unsigned tail = io_uring_smp_load_acquire(cq->ktail);
  unsigned head = first;

  while (head != tail) {
    const struct io_uring_cqe* cqe = &cqes[head++ & mask];
    uintptr_t data = (uintptr_t)cqe->user_data;
    if ((data & TRANSFER_MARK) != 0 && cqe->res >= 0) {
      uvdio__queue_done(queue, (uvdio_req_t*)(data - TRANSFER_MARK), cqe->res);
    } else {
      handle_cqe(queue, data, cqe->res);
    }
  }
  if (head != first) {
    uvdio__queue_unstall(queue);
    io_uring_smp_store_release(cq->khead, head);
  }
  return head - first;
}

static int kernel_has_more(const uvdio__ring_t* state) {
  unsigned flags = IO_URING_READ_ONCE(*state->ring.sq.kflags);
  return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* The kernel holds completions back and does not let us have them, so all that is left is to ask
 * from time to time: what is in flight can neither be given back nor done again. Where the refusal
 * looks final, new requests go to the pool. */
int uvdio__ring_get_events(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  uint64_t began_ns = uvdio__clock_ns();
  int result = io_uring_get_events(&state->ring);

  uvdio__engine_note_call(queue->engine, UVDIO_CALL_REAP, began_ns);
  queue->engine->stats.system_calls++;
  state->flag_is_late = result >= 0 && io_uring_cq_ready(&state->ring) == 0;
  if (result >= 0) {
    state->interruptions = 0;
    return 1;
  }
  if (result == -EINTR && state->interruptions < UVDIO__RETRIES_MAX) {
    state->interruptions++;
    return 1;
  }
  if (result != -EAGAIN && result != -EBUSY && result != -EINTR) {
    uvdio__ring_disable(queue, uv_translate_sys_error(-result), "io_uring_enter");
  }
  state->wakeup.is_unnotified = 0;
  uvdio__wakeup_retry_later(&state->wakeup);
  return 0;
}

/* While signals are off, completions only show in the queue and the kernel's flags. Switching is a
 * full barrier, so that after switching on, one look tells whether anything came before. */
static void set_eventfd_notify(uvdio__ring_t* state, int on) {
  if (!state->wakeup.is_edge_triggered) {
    return;
  }
  if (on) {
    (void)__atomic_fetch_and(state->ring.cq.kflags, ~IORING_CQ_EVENTFD_DISABLED, __ATOMIC_SEQ_CST);
  } else {
    (void)__atomic_fetch_or(state->ring.cq.kflags, IORING_CQ_EVENTFD_DISABLED, __ATOMIC_SEQ_CST);
  }
}

/* Signals are on again: whether anything came before. A worker of the kernel adds its work, and
 * sets the flag after that; where it was held up in between, its work was taken already, and the
 * flag stands until the next completion, which may never come. Only asking tells then. */
static int came_unsignalled(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (!kernel_has_more(state)) {
    state->flag_is_late = 0;
    return io_uring_cq_ready(&state->ring) > 0;
  }
  return !state->flag_is_late || (uvdio__ring_get_events(queue) && !state->flag_is_late);
}

/* The loop has come to another thread: what there is to be taken is in memory, and the kernel takes
 * no calls about the rest. The ring's own thread asks for it when the loop comes back to it; when
 * it ends, the kernel posts all. Signals have to be on. */
static int look_from_elsewhere(uvdio__ring_t* state) {
  set_eventfd_notify(state, 1);
  state->wakeup.is_unnotified = 1;
  return io_uring_cq_ready(&state->ring) > 0;
}

/* A flush posts completions as well, at no extra cost; so what it left in the queue is taken first,
 * and the kernel asked only for what nobody will be woken for. */
int uvdio__ring_reap(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (!state->enabled) {
    return 0;
  }
  if (uvdio__ring_drain(queue) > 0) {
    return state->wakeup.is_unnotified;
  }
  if (uvdio__engine_is_foreign(queue->engine)) {
    return look_from_elsewhere(state);
  }
  if (!state->wakeup.is_unnotified) {
    return 0;
  }
  if (kernel_has_more(state) && !state->flag_is_late) {
    return uvdio__ring_get_events(queue);
  }
  set_eventfd_notify(state, 1);
  if (came_unsignalled(queue)) {
    set_eventfd_notify(state, 0);
    return 1;
  }
  state->wakeup.is_unnotified = 0;
  return 0;
}

#define POLLS_PER_CLOCK_READ 32 /* reading the clock costs more than a look */

int uvdio__ring_begin_busy_poll(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (!state->enabled || state->broken) {
    return 0;
  }
  set_eventfd_notify(state, 0);
  state->wakeup.is_unnotified = 1;
  return 1;
}

/* With deferred task work, the kernel's flags tell what is about to be posted. */
int uvdio__ring_has_come(const uvdio__queue_t* queue) {
  const uvdio__ring_t* state = queue->state;

  return io_uring_cq_ready(&state->ring) > 0 || (kernel_has_more(state) && !state->flag_is_late);
}

int uvdio__ring_busy_poll(uvdio__queue_t* queue, uint64_t deadline) {
  unsigned i;

  if (!uvdio__ring_begin_busy_poll(queue)) {
    return 0;
  }
  do {
    for (i = 0; i < POLLS_PER_CLOCK_READ; i++) {
      if (uvdio__ring_has_come(queue)) {
        return 1;
      }
      UVDIO__RELAX();
    }
  } while (uv_hrtime() < deadline);
  return 0;
}

/* Edges, but only where switching signals can't lose one: the kernel has to publish a completion
 * before it looks at the switch. With deferred task work it does both around an atomic operation,
 * and on x86 that is a full barrier. Together with switching the signals off while completions are
 * being taken, that is one wake-up per sleep. */
static void try_edges(uvdio__ring_t* state) {
#ifdef __x86_64__
  if ((state->ring.flags & IORING_SETUP_DEFER_TASKRUN) != 0) {
    uvdio__wakeup_try_edges(&state->wakeup);
  }
#endif
  state->wakeup.is_edge_tried = 1;
}

/* The check phase, which comes next, takes the rest. */
void uvdio__ring_on_event(uv_poll_t* handle, int status, int events) {
  uvdio__ring_t* state = UVDIO__CONTAINER_OF(handle, uvdio__ring_t, wakeup.poll);
  uvdio__queue_t* queue = state->queue;

  (void)status;
  (void)events;
  if (uvdio__engine_is_forked(queue->engine)) {
    /* The eventfd is shared with the parent: its signals are not ours to take. */
    (void)uv_poll_stop(handle);
    return;
  }
  queue->engine->stats.wakeups++;
  if (uvdio__engine_is_foreign(queue->engine)) {
    uvdio__wakeup_read(
        &state->wakeup); /* The check phase, which comes next, sees what has come for us. */
    return;
  }
  queue->engine->poll_pending = 1;
  if (!state->wakeup.is_edge_tried) {
    try_edges(state);
  }
  set_eventfd_notify(state, 0);
  if (!state->wakeup.is_edge_triggered) {
    uvdio__wakeup_read(&state->wakeup);
  }
  state->wakeup.is_unnotified = 1;
  if (kernel_has_more(state)) {
    (void)uvdio__ring_get_events(queue);
  }
}

/*
 * Off the loop
 */

void uvdio__ring_wait(uvdio__queue_t* queue, int timeout_ms) {
  uvdio__ring_t* state = queue->state;

  uvdio__wakeup_wait(&state->wakeup, timeout_ms);
}
