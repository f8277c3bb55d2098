/* SPDX-License-Identifier: MIT */
/*
 * One request: its states, the facts about its operation, and the way from a backend's result to an
 * outcome. Knows no file but its descriptor and quirks, and no queue but its backend.
 *
 *        checks passed          below depth           kernel or worker done          callback
 *   IDLE -------------> WAITING -----------> RUNNING -----------------------> COMPLETED ---> IDLE
 *     |                  ^   ^                  |                                 ^
 *     | ordered behind   |   +------------------+ short transfer, retry, punt     |
 *     | other requests   |                                                        |
 *     +---------------> DEFERRED -------------------------------------------------+
 *                                                                   cancelled
 *
 *   state      owner                         list
 *   IDLE       the user                      none; magic_ is cleared
 *   WAITING    its queue                     queue->waiting
 *   RUNNING    the backend, with the buffer  queue->running
 *   DEFERRED   its file                      one of the file's lists (order.h); none for a close
 *              of frames: their arena        engine->frame_waits (frames.h)
 *   COMPLETED  the engine                    engine->completed
 *
 * All transitions happen on the loop's thread.
 */
#ifndef UVDIO_REQUEST_H
#define UVDIO_REQUEST_H

#include "backend.h"
#include "compiler.h"
#include "os/os.h"
#include "uvdio.h"

enum { STATE_IDLE = 0, STATE_WAITING, STATE_RUNNING, STATE_DEFERRED, STATE_COMPLETED };

/* uvdio_req_t.flags_ */
#define REQ_EXACT (1u << 0)           /* the end of the file is an error */
#define REQ_CHECK_EOF (1u << 1)       /* a doubtful short read: ask whether the file ends there */
#define REQ_ORDERED (1u << 2)         /* on file->order_ */
#define REQ_UNCANCELLABLE (1u << 3)   /* an open or a replace that has taken effect */
#define REQ_OUTCOME_UNKNOWN (1u << 4) /* a forked child can't know how far it came */
#define REQ_DURABLE_WAITS (1u << 5)   /* a durable write on file->durable_waiting_ */
#define REQ_REFUSED (1u << 6)         /* its backend refused it once: the pool's answer counts */
#define REQ_VECTOR (1u << 7)          /* a transfer with several buffers: args_ (vector.h) */
#define REQ_RANGE (1u << 8)           /* a read around a range of args_ bytes, after range_skip_ */
#define REQ_DURABLE (1u << 9)         /* a write that is durable when the system calls it done */
#define REQ_THEN_SYNC (1u << 10)      /* a write that a sync makes durable: it comes next */
#define REQ_WRITTEN (1u << 11)   /* the same by then: an UVDIO_OP_SYNC_DATA until its outcome */
#define REQ_TRIAL (1u << 12)     /* a durable write that is measured (durability.h) */
#define REQ_SHARED (1u << 13)    /* a write of buffers that others may read */
#define REQ_RELEASE (1u << 14)   /* a close that gives the descriptor out */
#define REQ_ALONE (1u << 15)     /* beside no read and no change: a truncate, written space */
#define REQ_ATOMIC (1u << 16)    /* a write that is made as a whole, or not at all */
#define REQ_SYNCED (1u << 17)    /* a write that a sync has made durable */
#define REQ_KEEP_LOCK (1u << 18) /* a close: another handle has the open file, and its lock */
#define REQ_HOLDS (1u << 19)     /* it keeps the files open that its paths are about */
#define REQ_ASKED (1u << 20)     /* what it does next has been asked for a fault (faults/front.c) */
#define REQ_SHORT (1u << 21)     /* and moves `result` bytes of its transfer at most */
#define REQ_LATE (1u << 22)      /* its deadline has passed, and was told */
#define REQ_MEASURED (1u << 23)  /* it was accepted with metrics on (metrics.h) */

/* A pending request carries its own address mixed with a constant, so that memory that was never a
 * request, or a file, does not look like one in use. */
static inline uintptr_t uvdio__magic_of(const void* object) {
  return (uintptr_t)object ^ (uintptr_t)0x75766469u;
}

static inline int uvdio__is_pending(const uvdio_req_t* req) {
  return req->magic_ == uvdio__magic_of(req);
}

static inline void uvdio__set_magic(uvdio_req_t* req) {
  req->magic_ = uvdio__magic_of(req);
}

/*
 * Facts about operations, all of them from UVDIO_OP_MAP
 */

/* clang-format off */
#define UVDIO__OP_BIT(name, text, kind) \
  (((kind) & UVDIO__WANTED) != 0 ? 1u << UVDIO_OP_##name : 0u) |
/* clang-format on */
enum {
#define UVDIO__WANTED UVDIO_OP_KIND_TRANSFER
  UVDIO__OPS_TRANSFER = UVDIO_OP_MAP(UVDIO__OP_BIT) 0u,
#undef UVDIO__WANTED
#define UVDIO__WANTED UVDIO_OP_KIND_CHANGE
  UVDIO__OPS_CHANGE = UVDIO_OP_MAP(UVDIO__OP_BIT) 0u,
#undef UVDIO__WANTED
#define UVDIO__WANTED UVDIO_OP_KIND_SYNC
  UVDIO__OPS_SYNC = UVDIO_OP_MAP(UVDIO__OP_BIT) 0u,
#undef UVDIO__WANTED
#define UVDIO__WANTED UVDIO_OP_KIND_NAME
  UVDIO__OPS_NAME = UVDIO_OP_MAP(UVDIO__OP_BIT) 0u,
#undef UVDIO__WANTED
#define UVDIO__WANTED UVDIO_OP_KIND_FRAMES
  UVDIO__OPS_FRAMES = UVDIO_OP_MAP(UVDIO__OP_BIT) 0u
#undef UVDIO__WANTED
};
#undef UVDIO__OP_BIT

/* Moves bytes between a buffer and the file. */
static inline int uvdio__is_transfer(uvdio_op_t op) {
  return (UVDIO__OPS_TRANSFER >> op & 1) != 0;
}

/* Changes the file, so that a sync has to cover it and a latch refuses it. */
static inline int uvdio__is_change(uvdio_op_t op) {
  return (UVDIO__OPS_CHANGE >> op & 1) != 0;
}

static inline int uvdio__is_sync(uvdio_op_t op) {
  return (UVDIO__OPS_SYNC >> op & 1) != 0;
}

/* Has an engine and no file: req->file is the engine's `no_file`, until the callback. */
static inline int uvdio__is_name(uvdio_op_t op) {
  return (UVDIO__OPS_NAME >> op & 1) != 0;
}

/* Waits for frames of an arena, with the engine's `no_file` as above, and is on no queue. */
static inline int uvdio__is_of_frames(uvdio_op_t op) {
  return (UVDIO__OPS_FRAMES >> op & 1) != 0;
}

/* Must not run beside a truncate: reads, and whatever changes the file. */
static inline int uvdio__excludes_truncate(uvdio_op_t op) {
  return ((UVDIO__OPS_TRANSFER | UVDIO__OPS_CHANGE) >> op & 1) != 0;
}

/* Whether the result of a ring or of kernel AIO says that it can't do this now: the pool may. */
static inline int uvdio__is_kernel_refusal(int64_t result, int is_cancelled) {
  return result == UV_EAGAIN || result == UV_ENOMEM || result == UV_ENOBUFS ||
         result == UV_ENOTSUP || result == UV_ENOSYS || (result == UV_ECANCELED && !is_cancelled);
}

/* What to do with a request that a backend has finished. */
typedef enum {
  VERDICT_DONE,  /* req->result holds the outcome */
  VERDICT_AGAIN, /* the same queue goes on with the rest */
  VERDICT_PUNT,  /* the pool has to go on */
  VERDICT_UNPOLL /* the queue behind the polled one has to go on */
} uvdio__verdict_t;

/* uvdio__request_settle() for all but transfers that are complete. */
uvdio__verdict_t uvdio__request_settle_slow(uvdio_req_t* req, int64_t result);

/* Takes the result of a backend into account: short transfers, retries, the end of the file. */
static inline uvdio__verdict_t uvdio__request_settle(uvdio_req_t* req, int64_t result) {
  if (uvdio__is_transfer(req->op) && result >= 0 &&
      req->transferred + (uint64_t)result == req->length_) {
    req->transferred = req->length_;
    req->result = (int64_t)req->length_;
    return VERDICT_DONE;
  }
  return uvdio__request_settle_slow(req, result);
}

/* Gives a request that no backend has its outcome. What it moved before counts. */
void uvdio__request_fail(uvdio_req_t* req, int error);

/* The bytes that a transfer has yet to move, limited to what one system call can. */
static inline size_t uvdio__request_rest(const uvdio_req_t* req) {
  size_t rest = req->length_ - req->transferred;
  size_t most = UVDIO__TRANSFER_MAX & ~(req->file->offset_mask_ | req->file->memory_mask_);
  return rest < most ? rest : most;
}

/* Gives a stat's result to its caller: into args_, whose size is range_skip_ (a length is bytes of
 * a transfer). */
void uvdio__request_tell_stat(const uvdio_req_t* req, const uvdio_stat_t* stat);

/* Performs a request through the system layer, blocking: what a worker does, and all backends with
 * descriptors for the synchronous forms. */
int64_t uvdio__request_perform(const uvdio__queue_t* queue, uvdio_req_t* req);

/* What backends with descriptors do for a further handle (backend.h). */
int uvdio__request_dup(const uvdio__queue_t* queue, uvdio_file_t* file, const uvdio_file_t* source);

/* The length of a range of the file, which may be more than a size_t holds. */
static inline void uvdio__set_span(uvdio_req_t* req, uint64_t span) {
  req->length_ = (size_t)(span & UINT32_MAX);
  req->range_skip_ = (size_t)(span >> 32);
}

static inline uint64_t uvdio__span_of(const uvdio_req_t* req) {
  return (uint64_t)req->range_skip_ << 32 | req->length_;
}

/* The number that an operation without a buffer was given besides: flags, or the kind of a hint. */
static inline unsigned uvdio__detail_of(const uvdio_req_t* req) {
  return (unsigned)(uintptr_t)req->args_;
}

/* Of an operation on names, and of a replace. */
static inline uvdio__names_t* uvdio__names_of(const uvdio_req_t* req) {
  return (uvdio__names_t*)req->args_;
}

static inline uvdio__open_state_t* uvdio__open_state_of(const uvdio_req_t* req) {
  return (uvdio__open_state_t*)req->args_;
}

#endif /* UVDIO_REQUEST_H */
