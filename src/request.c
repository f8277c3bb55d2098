/* SPDX-License-Identifier: MIT */
/*
 * One request: what the result of a backend makes of it, and how it is performed by blocking.
 */
#include <assert.h>

#include "engine.h"
#include "sized.h"
#include "vector.h"

static uvdio__verdict_t finish_with(uvdio_req_t* req, int64_t result) {
  req->result = result;
  return VERDICT_DONE;
}

/* What was moved a second time, from an aligned offset on, had arrived before. */
static void count_arrived(uvdio_req_t* req) {
  if (req->high_water_ > req->transferred) {
    req->transferred = req->high_water_;
  }
}

void uvdio__request_fail(uvdio_req_t* req, int error) {
  count_arrived(req);
  req->result = error;
}

/* Whether the result says that it can't be done now, or not here. Kernel AIO does nothing that
 * would wait (UV_EAGAIN). A ring can start no worker where the process may start no more tasks
 * (UV_ECANCELED that nobody asked for), or lacks memory, or the operation. But what a sync or a
 * durable write says of a disk counts, whatever it is called: the next one would not be told. */
static int is_refused_for_now(const uvdio_req_t* req, int64_t result) {
  const uvdio__queue_t* queue = req->queue_;
  uvdio_op_t op = req->op;
  int syncs = uvdio__is_sync(op) || (req->flags_ & REQ_DURABLE) != 0;

  /* A close that was interrupted has closed all the same, and the number may be another file's by
   * now. An open repeats its own steps; what it ends with is final. */
  if (op == UVDIO_OP_CLOSE || op == UVDIO_OP_OPEN) {
    return 0;
  }
  if (result == UV_EINTR || result == UV_EAGAIN) {
    return 1;
  }
  if (!queue->backend->can_punt || (req->flags_ & REQ_REFUSED) != 0) {
    return 0;
  }
  return uvdio__is_kernel_refusal(result, req->cancelled_) && (result == UV_ECANCELED || !syncs);
}

/* Whether a cancelled request may still say so. The rename of a replace is not taken back. */
static int may_be_cancelled(const uvdio_req_t* req) {
  return req->op != UVDIO_OP_REPLACE || uvdio__names_of(req)->step == UVDIO__REPLACE_SYNC;
}

/* Interrupted, or turned away for the moment. */
static uvdio__verdict_t handle_retryable(uvdio_req_t* req, int64_t result) {
  int is_cancelled = req->cancelled_ && may_be_cancelled(req);

  if (is_cancelled || req->retries_ == UVDIO__RETRIES_MAX) {
    count_arrived(req);
    return finish_with(req, is_cancelled ? UV_ECANCELED : result);
  }
  req->flags_ |= may_be_cancelled(req) ? 0 : REQ_UNCANCELLABLE;
  req->retries_++;
  req->engine_->stats.retried++;
  if (result == UV_EINTR) {
    return VERDICT_AGAIN;
  }
  req->flags_ |= result == UV_EAGAIN ? 0 : REQ_REFUSED;
  return VERDICT_PUNT;
}

/* Bytes stopped coming. For a read that is the end of the file, unless the filesystem may stop
 * elsewhere: then the file's size decides, where it is that of the content. */
static uvdio__verdict_t settle_no_progress(uvdio_req_t* req) {
  count_arrived(req);
  if (req->op == UVDIO_OP_WRITE) {
    return finish_with(req, UVDIO_ESHORTWRITE);
  }
  if ((req->file->quirks_ & UVDIO__QUIRK_SHORT_READ_NOT_EOF) != 0 &&
      (req->file->quirks_ & UVDIO__QUIRK_ODD_SIZE) == 0 && (req->flags_ & REQ_CHECK_EOF) == 0) {
    req->flags_ |= REQ_CHECK_EOF;
    return VERDICT_PUNT;
  }
  if ((req->flags_ & REQ_EXACT) != 0) {
    return finish_with(req, UVDIO_ESHORTREAD);
  }
  return finish_with(req, (int64_t)req->transferred);
}

/* Bytes. What fails stops at a multiple of it in the file, on every disk. */
#define SECTOR_MIN 512u

/* The bytes that a transfer has moved of the block in which it stopped. */
static size_t part_of_block(const uvdio_req_t* req) {
  const uvdio_file_t* file = req->file;

  if (file->offset_mask_ == 0) {
    return (size_t)(req->offset_ + req->transferred) & (SECTOR_MIN - 1);
  }
  return req->transferred & (file->offset_mask_ | file->memory_mask_);
}

/* A direct transfer goes on at an aligned offset only, so what came of a broken block is moved
 * again; the high-water mark tells whether that brought more. */
static uvdio__verdict_t settle_short(uvdio_req_t* req) {
  size_t arrived = req->transferred;
  size_t unaligned = part_of_block(req);
  size_t broken = req->file->direct_ ? unaligned : 0;
  int ends_there = req->op == UVDIO_OP_READ && unaligned != 0 &&
                   (req->file->quirks_ & UVDIO__QUIRK_SHORT_READ_NOT_EOF) == 0;

  if (arrived <= req->high_water_ || ends_there) {
    return settle_no_progress(req);
  }
  req->high_water_ = arrived;
  req->transferred = arrived - broken;
  req->flags_ &= ~(REQ_ASKED | REQ_SHORT);
  req->engine_->stats.resumed++;
  uvdio__trace_resume(req);
  return VERDICT_AGAIN;
}

/* The kernel refuses what it can't write as a whole before it writes anything. */
static uvdio__verdict_t settle_atomic(uvdio_req_t* req, int64_t result) {
  if (result >= 0) {
    req->transferred = (size_t)result;
    return finish_with(req, UVDIO_ESHORTWRITE);
  }
  return finish_with(req, result == UV_EINVAL || result == UV_ENOTSUP ? UVDIO_EATOMIC : result);
}

static int is_doubted(const uvdio_req_t* req) {
  const uvdio__queue_t* queue = req->queue_;
  return queue->backend->doubts_shorts;
}

static uvdio__verdict_t settle_transfer(uvdio_req_t* req, int64_t result) {
  if ((req->flags_ & REQ_ATOMIC) != 0) {
    return settle_atomic(req, result);
  }
  if (result < 0) {
    count_arrived(req);
    return finish_with(req, result);
  }
  assert((size_t)result < req->length_ - req->transferred);
  if (is_doubted(req)) {
    return VERDICT_UNPOLL;
  }
  req->transferred += (size_t)result;
  return result == 0 ? settle_no_progress(req) : settle_short(req);
}

/* Whether the system knows no single durable write: an old container's profile may deny the call.
 * Nothing is lost then, and a sync does what the flag would have done. Once such a write has
 * succeeded an error is one of the disk; and so may be any but ENOSYS where write-back through a
 * cache has one to tell. */
static int is_dsync_unknown(const uvdio_req_t* req, int64_t result) {
  const uvdio_file_t* file = req->file;
  int is_shared = (file->quirks_ & UVDIO__QUIRK_SHARED_WRITEBACK_ERROR) != 0;
  int is_denied =
      result == UV_ENOSYS || (!is_shared && (result == UV_ENOTSUP || result == UV_EPERM));

  return is_denied && (req->flags_ & (REQ_DURABLE | REQ_ATOMIC)) == REQ_DURABLE &&
         (file->flags_ & UVDIO_O_DSYNC) == 0 && !file->dsync_works_ && !req->cancelled_ &&
         req->transferred == 0;
}

static uvdio__verdict_t sync_instead(uvdio_req_t* req) {
  req->file->without_dsync_ = 1;
  req->flags_ = (req->flags_ & ~REQ_DURABLE) | REQ_THEN_SYNC;
  return VERDICT_AGAIN;
}

/* Whether it may be the request's priority that is refused: the process has no right to it any
 * more. */
static int is_priority_refused(const uvdio_req_t* req, int64_t result) {
  const uvdio__queue_t* queue = req->queue_;

  return result == UV_EPERM && uvdio__os_is_privileged_io_priority(req->ioprio_) &&
         !req->cancelled_ && queue->backend->prioritise != NULL;
}

static uvdio__verdict_t leave_priority_out(uvdio_req_t* req) {
  req->ioprio_ = 0;
  req->engine_->stats.retried++;
  return VERDICT_AGAIN;
}

uvdio__verdict_t uvdio__request_settle_slow(uvdio_req_t* req, int64_t result) {
  if (result < 0 && is_priority_refused(req, result)) {
    return leave_priority_out(req);
  }
  if (result < 0 && is_dsync_unknown(req, result)) {
    return sync_instead(req);
  }
  if (result < 0 && is_refused_for_now(req, result)) {
    return handle_retryable(req, result);
  }
  if (req->op == UVDIO_OP_CLOSE && result == UV_EINTR) {
    result = 0;
  }
  return uvdio__is_transfer(req->op) ? settle_transfer(req, result) : finish_with(req, result);
}

/* Tells, by no bytes or an error, whether the file ends where a read stopped. */
static int64_t ask_end(const uvdio_req_t* req) {
  int64_t size = uvdio__os_size(req->file->handle_.descriptor);

  if (size < 0) {
    return size;
  }
  return (uint64_t)size > req->offset_ + req->transferred ? UVDIO_ESHORTREAD : 0;
}

/* A file that is durable by itself needs no flag, and where there is none it gets none. */
static unsigned write_flags(const uvdio_req_t* req) {
  int is_durable = (req->flags_ & REQ_DURABLE) != 0 && (req->file->flags_ & UVDIO_O_DSYNC) == 0;

  return (is_durable ? UVDIO__WRITE_DSYNC : 0) |
         ((req->flags_ & REQ_ATOMIC) != 0 ? UVDIO__WRITE_ATOMIC : 0);
}

static int drops_cache(const uvdio_req_t* req) {
  return req->file->cache_ == UVDIO_CACHE_DROPPED;
}

static int64_t move_vector(const uvdio_req_t* req, intptr_t descriptor, uint64_t offset) {
  const uvdio__piece_t* pieces = uvdio__vector_of(req)->pieces;
  size_t length;
  unsigned count = uvdio__vector_layout(req, &length);

  if (drops_cache(req)) {
    return uvdio__os_move_and_drop(descriptor, pieces, count, offset, req->op == UVDIO_OP_WRITE,
                                   write_flags(req));
  }
  return req->op == UVDIO_OP_WRITE
             ? uvdio__os_writev(descriptor, pieces, count, offset, write_flags(req))
             : uvdio__os_readv(descriptor, pieces, count, offset);
}

static int64_t move_bytes(const uvdio_req_t* req) {
  intptr_t descriptor = req->file->handle_.descriptor;
  uint64_t offset = req->offset_ + req->transferred;
  uvdio__piece_t piece;

  if (uvdio__is_vector(req)) {
    return move_vector(req, descriptor, offset);
  }
  piece.base = req->buf_.base + req->transferred;
  piece.length = uvdio__request_rest(req);
  if (drops_cache(req)) {
    return uvdio__os_move_and_drop(descriptor, &piece, 1, offset, req->op == UVDIO_OP_WRITE,
                                   write_flags(req));
  }
  return req->op == UVDIO_OP_WRITE
             ? uvdio__os_write(descriptor, piece.base, piece.length, offset, write_flags(req))
             : uvdio__os_read(descriptor, piece.base, piece.length, offset);
}

/* A durable write is one write and one sync also where the system has no such write. */
static int64_t move_durably(const uvdio_req_t* req) {
  const uvdio_file_t* file = req->file;
  int64_t moved = move_bytes(req);

  if (req->op == UVDIO_OP_WRITE && moved > 0 && (file->quirks_ & UVDIO__QUIRK_EMULATE_DSYNC) != 0) {
    int error = uvdio__os_sync(file->handle_.descriptor, 1);
    return error != 0 ? error : moved;
  }
  return moved;
}

static int64_t perform_transfer(uvdio_req_t* req) {
  int64_t result;

  if ((req->flags_ & REQ_CHECK_EOF) != 0) {
    return ask_end(req);
  }
  uvdio__ownership_allow(req);
  result = move_durably(req);
  uvdio__ownership_forbid(req);
  return result;
}

/* One that fails leaves no descriptor: closing it may take as long as the open. */
static int64_t perform_open(uvdio__open_state_t* opening) {
  int error = uvdio__os_open(opening);

  if (error != 0 && opening->descriptor != -1) {
    (void)uvdio__os_close(opening->descriptor);
    opening->descriptor = -1;
  }
  return error;
}

/* A child's copy of the open file is not the one that the lock is for. */
static int64_t perform_close(const uvdio_req_t* req) {
  intptr_t descriptor = req->file->handle_.descriptor;

  if ((req->flags_ & REQ_RELEASE) != 0) {
    return descriptor;
  }
  if ((req->file->flags_ & UVDIO__LOCKS) != 0 && (req->flags_ & REQ_KEEP_LOCK) == 0 &&
      !uvdio__engine_is_forked(req->engine_)) {
    uvdio__os_release_lock(descriptor);
  }
  return uvdio__os_close(descriptor);
}

void uvdio__request_tell_stat(const uvdio_req_t* req, const uvdio_stat_t* stat) {
  uvdio__sized_out(req->args_, req->range_skip_, stat, sizeof(*stat));
}

static int perform_stat(const uvdio_req_t* req) {
  uvdio_stat_t stat;
  int error;

  memset(&stat, 0, sizeof(stat));
  error = uvdio__os_stat(req->file->handle_.descriptor, &stat);
  if (error == 0) {
    uvdio__request_tell_stat(req, &stat);
  }
  return error;
}

static int64_t perform_on_names(const uvdio_req_t* req) {
  uvdio__names_t* names = uvdio__names_of(req);

  switch ((int)req->op) {
    case UVDIO_OP_RENAME:
      return uvdio__os_rename(names);
    case UVDIO_OP_LINK:
      return names->linked != NULL
                 ? uvdio__os_link_open_file(names->linked->handle_.descriptor, names)
                 : uvdio__os_link(names);
    case UVDIO_OP_UNLINK:
      return uvdio__os_unlink(names);
    case UVDIO_OP_MKDIR:
      return uvdio__os_mkdir(names);
    case UVDIO_OP_RMDIR:
      return uvdio__os_rmdir(names);
    case UVDIO_OP_SYNC_DIRECTORY:
      return uvdio__os_sync_directory(names->path);
    default:
      assert(req->op == UVDIO_OP_REPLACE);
      return uvdio__os_replace(req->file->handle_.descriptor, names);
  }
}

/* For an engine that is being closed (engine_close.c). */
static int64_t release_queue(uvdio__queue_t* queue) {
  assert(queue->engine->is_released);
  queue->backend->release(queue);
  return 0;
}

int64_t uvdio__request_perform(const uvdio__queue_t* queue, uvdio_req_t* req) {
  intptr_t descriptor = req->file->handle_.descriptor;

  (void)queue;
  switch (req->op) {
    case UVDIO_OP_OPEN:
      return perform_open(uvdio__open_state_of(req));
    case UVDIO_OP_READ:
    case UVDIO_OP_WRITE:
      return perform_transfer(req);
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
      return (req->file->flags_ & UVDIO_O_DIRECTORY) != 0
                 ? uvdio__os_sync_open_directory(descriptor, req->op == UVDIO_OP_SYNC_DATA)
                 : uvdio__os_sync(descriptor, req->op == UVDIO_OP_SYNC_DATA);
    case UVDIO_OP_SIZE:
      return uvdio__os_size(descriptor);
    case UVDIO_OP_STAT:
      return perform_stat(req);
    case UVDIO_OP_TRUNCATE:
      return uvdio__os_truncate(descriptor, req->offset_);
    case UVDIO_OP_PREALLOCATE:
      return uvdio__os_preallocate(descriptor, req->offset_, uvdio__span_of(req),
                                   uvdio__detail_of(req));
    case UVDIO_OP_CLOSE:
      return perform_close(req);
    case UVDIO_OP_PUNCH_HOLE:
      return uvdio__os_punch_hole(descriptor, req->offset_, uvdio__span_of(req));
    case UVDIO_OP_ZERO_RANGE:
      return uvdio__os_zero_range(descriptor, req->offset_, uvdio__span_of(req));
    case UVDIO_OP_NEXT_DATA:
      return uvdio__os_next_data(descriptor, req->offset_);
    case UVDIO_OP_NEXT_HOLE:
      return uvdio__os_next_hole(descriptor, req->offset_);
    case UVDIO_OP_SET_HINT:
      return uvdio__os_set_hint(descriptor, (uvdio_hint_t)uvdio__detail_of(req), req->offset_);
    case UVDIO_OP_RENAME:
    case UVDIO_OP_LINK:
    case UVDIO_OP_UNLINK:
    case UVDIO_OP_MKDIR:
    case UVDIO_OP_RMDIR:
    case UVDIO_OP_SYNC_DIRECTORY:
    case UVDIO_OP_REPLACE:
      return perform_on_names(req);
    case UVDIO_OP_NONE:
      return release_queue(&req->engine_->queues[QUEUE_MAIN]);
    case UVDIO_OP_ARENA_WAIT: /* on no queue */
    case UVDIO_OP_COUNT:
      break;
  }
  assert(0 && "a request without an operation");
  return UV_EINVAL;
}

int uvdio__request_dup(const uvdio__queue_t* queue, uvdio_file_t* file,
                       const uvdio_file_t* source) {
  (void)queue;
  if (!source->engine_->queues[QUEUE_MAIN].backend->has_descriptors) {
    return UV_EXDEV;
  }
  return uvdio__os_dup(source->handle_.descriptor, &file->handle_.descriptor);
}
