/* SPDX-License-Identifier: MIT */
/*
 * An open in steps (os/os.h): each step is an entry of its own, and workers do what may block.
 */
#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "completion.h"
#include "ring/ring.h"

void uvdio__ring_prepare_open(struct io_uring_sqe* sqe, uvdio_req_t* req) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);
  struct statx* stat = (struct statx*)(void*)opening->stat.bytes;

  if (opening->step == UVDIO__OPEN_STAT_FILE) {
    uvdio__ring_fill(sqe, IORING_OP_STATX, (int)opening->descriptor, "", uvdio__linux_statx_mask(),
                     (uintptr_t)stat);
    sqe->statx_flags = AT_EMPTY_PATH;
  } else {
    uvdio__ring_fill(sqe, IORING_OP_OPENAT, (int)opening->at, opening->path,
                     (unsigned)opening->mode, 0);
    sqe->open_flags = (unsigned)uvdio__linux_open_flags(opening);
    /* The filesystem's part of an open may wait for a disk or a server. */
    sqe->flags = IOSQE_ASYNC;
  }
}

/* An open that has failed closes what it had opened, which may block: a worker does it. */
static void fail_open(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);

  if (opening->descriptor != -1) {
    opening->step = UVDIO__OPEN_UNDO;
    uvdio__queue_punt(queue, req);
    return;
  }
  uvdio__queue_done(queue, req, opening->error);
}

/* The present step once more: on the ring after an interruption, on the pool where the ring can't
 * do it now. Returns 0 where the result is the step's. */
static int is_repeated(uvdio__queue_t* queue, uvdio_req_t* req, int result) {
  if (result == UV_EINTR && req->retries_ < UVDIO__RETRIES_MAX) {
    req->retries_++;
    uvdio__queue_again(queue, req);
    return 1;
  }
  if (uvdio__is_kernel_refusal(result, req->cancelled_)) {
    uvdio__queue_punt(queue, req);
    return 1;
  }
  return 0;
}

static uvdio__open_status_t advance(uvdio__queue_t* queue, uvdio_req_t* req, int result) {
  uint64_t began_ns = uvdio__clock_ns();
  uvdio__open_status_t status = uvdio__linux_open_advance(uvdio__open_state_of(req), result);

  uvdio__engine_note_call(queue->engine, UVDIO_CALL_FILE, began_ns);
  req->flags_ |= REQ_UNCANCELLABLE;
  return status;
}

void uvdio__ring_advance_open(uvdio__queue_t* queue, uvdio_req_t* req, int result) {
  const uvdio__open_state_t* opening = uvdio__open_state_of(req);
  uvdio__open_status_t status;

  if (result == UV_EINTR && req->cancelled_ && (req->flags_ & REQ_UNCANCELLABLE) == 0) {
    result = UV_ECANCELED;
  }
  if (is_repeated(queue, req, result)) {
    return;
  }
  status = advance(queue, req, result);
  assert(status != UVDIO__OPEN_SUCCEEDED); /* The last step is a worker's. */
  if (status == UVDIO__OPEN_FAILED) {
    fail_open(queue, req);
  } else if (opening->step >= UVDIO__OPEN_FINISH) {
    uvdio__queue_punt(queue, req);
  } else {
    uvdio__queue_again(queue, req);
  }
}
