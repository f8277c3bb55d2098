/* SPDX-License-Identifier: MIT */
/*
 * Polled completions: a second ring (IORING_SETUP_IOPOLL) as a queue of its own, for direct reads
 * and writes of files whose device has queues for polled requests. The kernel finds their
 * completions when it is asked, and tells nobody.
 *
 * Which requests. A file's open asks sysfs whether its device can be polled (queue/io_poll). The
 * kernel's own refusal does not do: before about Linux 6.11 it executes what it can't poll by
 * interrupts and says nothing, and later it does so with some writes. Where it refuses (EOPNOTSUPP:
 * the filesystem does not poll, or the device has lost its queues), the request moves to the
 * ordinary ring, and so does all that comes for the file later (drain.c). Large transfers go there
 * as well: the kernel polls what is one request of the device's, and a worker would have to submit
 * them. So do writes whose EOPNOTSUPP may be told once and mean something else: atomic ones, and
 * durable ones where write-back through a cache may have an error. All else is no transfer.
 *
 * When it is asked. Submitting asks as well: liburing's io_uring_submit() does so for such a ring,
 * and after it the loop does not sleep before the next iteration. Reaping asks where nothing has
 * been asked since, and wants to be called again in the next iteration (REAP_LATER) for as long as
 * the kernel has something. Busy polling asks until its time is up, and looks at the ordinary ring
 * between two calls.
 *
 *   nothing with the kernel --- submit ---> with the kernel --- asked, and found all ---+
 *            ^                                the loop does not sleep                   |
 *            +--------------------------------------------------------------------------+
 *
 * While the loop's thread blocks nobody asks: a change of a file's space waits in the kernel for
 * its direct I/O (inode_dio_wait()), which only the driver's timeout would end. So a synchronous
 * form has all of it come first (uvdio__queue_settle_polled()).
 *
 * Any thread may ask: the ring is bound to none (no IORING_SETUP_SINGLE_ISSUER), and a thread that
 * ends leaves what is in flight to the one that runs the loop next. A thread that waits for all of
 * it before it ends (thread.c) might never do: the kernel does not look for more while completions
 * are there to be taken (io_iopoll_check() in io_uring/io_uring.c).
 *
 * What comes back short goes on by the ordinary ring: where a transfer is made in several steps
 * within the kernel, its last step's bytes are all that a polled ring tells of
 * (io_complete_rw_iopoll() in io_uring/rw.c; seen with Linux 6.1, at the end of a file: 0 bytes for
 * 4096 that were read).
 *
 * Nothing is cancelled here: a request that the kernel polls for is the device's. Files have no
 * slot in a table of this ring's, since they have one index (fixed_index_), which is the other
 * ring's.
 *
 * IORING_SETUP_HYBRID_IOPOLL (Linux 6.13), which sleeps for half of the usual time before it asks,
 * is not used: the loop's thread would sleep where nothing else could wake it.
 */
#include "batch.h"
#include "ring/ring.h"
#include "vector.h"

static int is_of_many_pieces(const uvdio_req_t* req) {
  return uvdio__is_vector(req) && uvdio__vector_of(req)->count > UVDIO__INLINE_PIECES;
}

/* Whether EOPNOTSUPP might mean something else than that there is no polling, which the ordinary
 * ring would not be told again. */
static int is_refusal_ambiguous(const uvdio_req_t* req) {
  return (req->flags_ & REQ_ATOMIC) != 0 ||
         ((req->flags_ & REQ_DURABLE) != 0 &&
          (req->file->quirks_ & UVDIO__QUIRK_SHARED_WRITEBACK_ERROR) != 0);
}

int uvdio__polled_submit(uvdio__queue_t* queue, uvdio_req_t* req) {
  int error;

  if (req->file->queue_concurrent_ != queue || req->length_ > UVDIO__INLINE_MAX ||
      is_of_many_pieces(req) || is_refusal_ambiguous(req)) {
    return UV_ENOSYS;
  }
  assert(uvdio__is_transfer(req->op) && req->file->direct_);
  error = uvdio__ring_submit(queue, req);
  queue->engine->stats.polled += error == 0;
  return error;
}

void uvdio__polled_flush(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  uvdio_engine_t* engine = queue->engine;

  uvdio__ring_flush(queue);
  state->is_asked = 1;
  engine->poll_pending = 1;
  if (!engine->in_iteration) {
    uvdio__loop_wake(engine);
  }
}

void uvdio__polled_cancel(uvdio__queue_t* queue, uvdio_req_t* req) {
  (void)queue;
  (void)req;
}

/* Asks the kernel, where it has something, and takes what there is. Returns 0 where it has to be
 * left alone for a while. */
static int ask_and_take(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  int is_answered = 1;

  if (uvdio__ring_is_posted(&state->ring)) {
    return 1;
  }
  if (!state->is_asked) {
    is_answered = uvdio__ring_get_events(queue);
    (void)uvdio__ring_drain(queue);
  }
  return is_answered;
}

int uvdio__polled_reap(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  int is_answered = 1;

  if (!state->enabled) {
    return 0;
  }
  if (uvdio__ring_drain(queue) == 0) {
    is_answered = ask_and_take(queue);
  }
  state->is_asked = 0;
  return is_answered && !uvdio__ring_is_posted(&state->ring) ? REAP_LATER : 0;
}

int uvdio__polled_busy_poll(uvdio__queue_t* queue, uint64_t deadline) {
  const uvdio__ring_t* state = queue->state;
  uvdio__queue_t* other = &queue->engine->queues[QUEUE_MAIN];
  int looks_at_other = other->in_flight > 0 && uvdio__ring_begin_busy_poll(other);

  if (!state->enabled || state->broken) {
    return 0;
  }
  do {
    if (uvdio__ring_is_posted(&state->ring) || !uvdio__ring_get_events(queue)) {
      return 0;
    }
    if (io_uring_cq_ready(&state->ring) > 0 || (looks_at_other && uvdio__ring_has_come(other))) {
      return 1;
    }
  } while (uv_hrtime() < deadline);
  return 0;
}
