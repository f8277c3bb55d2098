/*
 * Files and the operations on them: every check stands here, before anything is taken, and so does what one
 * file's requests mean for each other:
 *
 *   - A sync is held while a change that was submitted before it has no outcome. file->order_ lists those
 *     changes, oldest first, so that the first one tells which syncs may go.
 *   - One sync runs at a time (file->syncing_). The kernel reports a lost write-back once, to one caller; two at a time
 *     could not know from each other. Syncs that could start as well ride along (file->followers_) and share its outcome.
 *   - Where durable writes have the same problem (UVDIO__QUIRK_SHARED_WRITEBACK_ERROR), each counts as a sync in this: it runs while no
 *     other and no sync does (file->durable_waiting_).
 *   - A truncate runs alone. It waits at file->truncate_queue_ until the reads and changes before it have their outcomes, and what comes
 *     after it waits behind it: beside a truncate, kernels lose direct writes. Syncs pass.
 *   - A close is held while anything has no outcome (file->pending_).
 *   - A sync that failed latches the file, and so does a durable write that may have.
 *
 * An outcome starts nothing by itself: what it sets free is queued, and the engine starts it later. So nothing
 * recurses, however much was held.
 */
#include <assert.h>
#include <string.h>

#include "buffer.h"
#include "internal.h"
#include "allocator.h"

#define KNOWN_FLAGS                                                                          \
  (UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE | UVDIO_O_TRUNCATE | UVDIO_O_DSYNC | \
   UVDIO_O_NOFOLLOW | UVDIO_O_DIRECT_PREFERRED | UVDIO_O_NATIVE_ALIGN)

/*
 * Order among a file's changes
 */

static inline void order_append(uvdio_file_t* file, uvdio_req_t* req) {
  req->flags_ |= REQ_ORDERED;
  req->sequence_ = ++file->sequence_;
  uvdio__link_insert(&req->order_link_, &file->order_);
}

/* Whether every change older than the sync has its outcome. */
static int is_covered(const uvdio_file_t* file, const uvdio_req_t* sync) {
  uintptr_t oldest = (uintptr_t)file->order_.next - offsetof(uvdio_req_t, order_link_);

  return uvdio__list_is_empty(&file->order_) || ((const uvdio_req_t*)oldest)->sequence_ > sync->sequence_;
}

/* Whether `rider` is satisfied by what `leader` does. */
static int is_included(const uvdio_req_t* leader, const uvdio_req_t* follower) {
  return leader->op == UVDIO_OP_SYNC_ALL || follower->op == UVDIO_OP_SYNC_DATA;
}

/* The oldest held sync if it may go, else the oldest durable write that waits for its turn. */
static uvdio_req_t* next_leader(const uvdio_file_t* file) {
  uvdio_req_t* sync = uvdio__list_first(&file->held_);

  return sync != NULL && is_covered(file, sync) ? sync : uvdio__list_first(&file->durable_waiting_);
}

/* Starts what is next, if anything may go. A sync takes along those that it covers. */
static void start_next_sync(uvdio_file_t* file) {
  uvdio_req_t* leader = file->syncing_ == NULL ? next_leader(file) : NULL;
  uvdio_req_t* follower;

  if (leader == NULL) {
    return;
  }
  uvdio__list_remove(leader);
  file->syncing_ = leader;
  if ((leader->flags_ & REQ_DURABLE) != 0) {
    leader->flags_ &= (unsigned char)~REQ_DURABLE;
    uvdio__queue_add(leader);
    return;
  }
  while ((follower = uvdio__list_first(&file->held_)) != NULL && is_covered(file, follower) &&
         is_included(leader, follower)) {
    uvdio__list_remove(follower);
    uvdio__list_append(&file->followers_, follower);
  }
  uvdio__queue_add(leader);
}

/* The leader has an outcome. A cancelled one has done nothing: its riders are held again. */
static void end_sync(uvdio_file_t* file, uvdio_req_t* leader) {
  uvdio_req_t* follower;

  assert(file->syncing_ == leader);
  if (leader->result == UV_ECANCELED) {
    while ((follower = uvdio__list_last(&file->followers_)) != NULL) {
      uvdio__list_remove(follower);
      uvdio__list_prepend(&file->held_, follower);
    }
  }
  while ((follower = uvdio__list_shift(&file->followers_)) != NULL) {
    follower->result = leader->result;
    uvdio__engine_complete(follower);
  }
  file->syncing_ = NULL; /* Last: as long as it is set, no other sync starts and takes riders along. */
}

void uvdio__file_undefer(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  assert(req->state_ == STATE_HELD);
  uvdio__list_remove(req);
  if (!uvdio__is_sync(req->op) && (req->flags_ & REQ_DURABLE) == 0) {
    file->truncate_waiters_--;
  }
}

/* The gate is emptied before any of it ends, so that the end of a truncate lets nothing through. */
void uvdio__file_fail_deferred(uvdio_file_t* file, int error) {
  uvdio__list_t gate;
  uvdio_req_t* req;

  assert(file->syncing_ != NULL || uvdio__list_is_empty(&file->durable_waiting_));
  uvdio__engine_fail_all(&file->durable_waiting_, error);
  uvdio__engine_fail_all(&file->held_, error);
  uvdio__engine_fail_all(&file->followers_, error);
  uvdio__list_init(&gate);
  while ((req = uvdio__list_shift(&file->truncate_queue_)) != NULL) {
    uvdio__list_append(&gate, req);
  }
  file->truncate_waiters_ = 0;
  uvdio__engine_fail_all(&gate, error);
}

/*
 * The gate
 */

/* Reads and changes that were let through and have no outcome. */
static uint64_t running_ordered(const uvdio_file_t* file) {
  assert(file->pending_ >= file->unordered_pending_ + file->truncate_waiters_);
  return file->pending_ - file->unordered_pending_ - file->truncate_waiters_;
}

static int is_truncate_pending(const uvdio_file_t* file) {
  return file->truncating_ != NULL || !uvdio__list_is_empty(&file->truncate_queue_);
}

static void update_waiters(uvdio_file_t* file) {
  file->has_waiters_ = is_truncate_pending(file) || file->close_req_ != NULL;
  uvdio__file_update_fast_path(file);
}

/* Whether errors of the file's durable writes may be told to another one. */
static inline int has_shared_errors(const uvdio_file_t* file) {
  return (file->quirks_ & UVDIO__QUIRK_SHARED_WRITEBACK_ERROR) != 0;
}

/* Returns 1 for a durable write that has to wait until a sync or another one has its outcome. */
static int wait_for_sync(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (req->op != UVDIO_OP_WRITE || !has_shared_errors(file)) {
    return 0;
  }
  if (file->syncing_ == NULL) {
    assert(uvdio__list_is_empty(&file->durable_waiting_));
    file->syncing_ = req;
    return 0;
  }
  req->state_ = STATE_HELD;
  req->flags_ |= REQ_DURABLE;
  uvdio__list_append(&file->durable_waiting_, req);
  return 1;
}

/* Lets through what may go: all up to the next truncate, or that alone. */
static void release_truncate_queue(uvdio_file_t* file) {
  uvdio_req_t* req;

  while ((req = uvdio__list_first(&file->truncate_queue_)) != NULL && file->truncating_ == NULL) {
    if (req->op == UVDIO_OP_TRUNCATE) {
      if (running_ordered(file) > 0) {
        break;
      }
      file->truncating_ = req;
    }
    uvdio__list_remove(req);
    file->truncate_waiters_--;
    if (!wait_for_sync(req)) {
      uvdio__queue_add(req);
    }
  }
  update_waiters(file);
}

/* Returns 1 for a request that has to wait. It is counted as pending already. */
static int wait_for_truncate(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;
  int is_truncate = req->op == UVDIO_OP_TRUNCATE;

  if (is_truncate_pending(file) || (is_truncate && running_ordered(file) > 1)) {
    req->state_ = STATE_HELD;
    uvdio__list_append(&file->truncate_queue_, req);
    file->truncate_waiters_++;
    update_waiters(file);
    return 1;
  }
  if (is_truncate) {
    file->truncating_ = req;
    update_waiters(file);
  }
  return 0;
}

void uvdio__file_update_fast_path(uvdio_file_t* file) {
  const uvdio_engine_t* engine = file->engine_;
  const uvdio__queue_t* queue = file->queue_;
  int can_take_fast_path = file->state_ == FILE_OPEN && engine->thread != 0 && !engine->closing && !file->has_waiters_ && !has_shared_errors(file) &&
                    queue->backend->transfer != NULL && file->sqe_template_[0][0] != 0;

  file->fast_path_key_ = can_take_fast_path ? uvdio__fast_path_key(file, engine->thread) : 0;
}

/*
 * Outcomes
 */

static size_t pick_align(const uvdio__open_state_t* opening, uint32_t system) {
  if ((opening->flags & UVDIO_O_NATIVE_ALIGN) != 0 && system != 0) {
    return system;
  }
  return system > UVDIO_ALIGNMENT ? system : UVDIO_ALIGNMENT;
}

/* Where a ring only passes requests on to kernel workers, what is faster depends on how many there are. One that is alone is at
 * least as fast with libuv's worker (twice as fast where the kernel's has to be woken), several are up to twice as fast with
 * the ring, which comes for all of them at once; both measured on tmpfs. Not with FUSE, whose short writes a ring takes for
 * errors. */
static int prefers_ring_when_concurrent(const uvdio_file_t* file) {
  return (file->quirks_ & (UVDIO__QUIRK_URING_DSYNC_HANG | UVDIO__QUIRK_RING_SHORTS)) == 0;
}

/* Why a ring is not for this file, or null. */
static const char* against_ring(const uvdio_file_t* file) {
  if ((file->quirks_ & UVDIO__QUIRK_URING_DSYNC_HANG) != 0) {
    return "this kernel's btrfs can hang at durable writes by io_uring (fixed in Linux 5.11)";
  }
  if ((file->quirks_ & UVDIO__QUIRK_NO_NOWAIT) == 0) {
    return NULL;
  }
  return prefers_ring_when_concurrent(file) ? "its filesystem takes no non-blocking requests, so that a ring hands each one to a kernel "
                                      "worker: transfers go to the ring only while others are in flight"
                                    : "its filesystem takes no non-blocking requests, so that a ring would hand each one to "
                                      "a kernel worker";
}

static void pick_queue(uvdio_file_t* file) {
  uvdio_engine_t* engine = file->engine_;
  const char* reason = against_ring(file);

  file->queue_ = engine->queue;
  file->reason_ = "";
  if (engine->queue_count > 1 && engine->queue == &engine->queues[QUEUE_MAIN] && reason != NULL) {
    file->queue_ = &engine->queues[QUEUE_POOL];
    file->queue_concurrent_ = prefers_ring_when_concurrent(file) ? engine->queue : NULL;
    file->reason_ = reason;
  }
}

static uint32_t or_else(uint32_t align, uint32_t other) {
  return align != 0 ? align : other;
}

void uvdio__file_pick_queue(uvdio_file_t* file) {
  assert(file->state_ == FILE_OPEN && file->pending_ == 0 && file->queue_concurrent_ == NULL);
  pick_queue(file);
}

static void file_opened(uvdio_file_t* file, uvdio__open_state_t* opening) {
  size_t memory = pick_align(opening, opening->memory_align);
  size_t offset = pick_align(opening, opening->offset_align);

  assert((memory & (memory - 1)) == 0 && (offset & (offset - 1)) == 0);
  file->handle_.descriptor = opening->descriptor;
  file->memory_mask_ = memory - 1;
  file->offset_mask_ = offset - 1;
  file->quirks_ = opening->quirks;
  file->direct_ = opening->direct;
  file->system_memory_align_ = opening->memory_align;
  file->system_offset_align_ = opening->offset_align;
  file->system_read_align_ = or_else(opening->read_align, opening->offset_align);
  file->recommended_align_ = or_else(opening->recommended_align, opening->offset_align);
  file->align_source_ = opening->align_source;
  file->filesystem_ = opening->filesystem;
  file->state_ = FILE_OPEN;
  opening->descriptor = -1; /* the file's from here on */
  pick_queue(file);
}

/* The engine is through with the file, but it stays the library's until uvdio__file_release(). */
static void file_unlink(uvdio_file_t* file) {
  uvdio_engine_t* engine = file->engine_;

  if (file->prev_ != NULL) {
    file->prev_->next_ = file->next_;
  } else {
    assert(engine->files == file);
    engine->files = file->next_;
  }
  if (file->next_ != NULL) {
    file->next_->prev_ = file->prev_;
  }
  file->state_ = FILE_CLOSED;
  file->fast_path_key_ = 0;
  file->engine_ = NULL;
}

void uvdio__file_release(uvdio_file_t* file) {
  if (file->state_ == FILE_CLOSED) {
    file->magic_ = 0;
  }
}

/* As long as a ring has a file in its table, closing the descriptor does not close the file. */
static void unregister_fd(uvdio_file_t* file) {
  uvdio__queue_t* queue = &file->engine_->queues[QUEUE_MAIN];

  if (file->fixed_index_ > 0 && !uvdio__engine_is_forked(file->engine_)) {
    queue->backend->unregister_file(queue, file);
  }
}

static void file_link(uvdio_engine_t* engine, uvdio_file_t* file) {
  file->engine_ = engine;
  file->magic_ = uvdio__magic_of(file);
  file->prev_ = NULL;
  file->next_ = engine->files;
  if (engine->files != NULL) {
    engine->files->prev_ = file;
  }
  engine->files = file;
}

/* One allocation: what is known about the open, and the path behind it. */
static uvdio__open_state_t* make_open_state(const char* path, unsigned flags, int mode) {
  size_t path_size = strlen(path) + 1;
  uvdio__open_state_t* opening =
      uvdio__alloc(sizeof(*opening) + path_size, UVDIO__STRUCT_ALIGN, 1);

  if (opening == NULL) {
    return NULL;
  }
  memcpy(opening + 1, path, path_size);
  opening->path = (const char*)(opening + 1);
  opening->flags = flags;
  opening->mode = mode;
  opening->descriptor = -1;
  opening->filesystem = "unknown";
  return opening;
}

/* A descriptor that no file has taken is closed by whoever performed the open. It is left to this thread only where no
 * worker could be had for that, and in a forked child. */
static void free_open_state(uvdio_req_t* req) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);

  if (opening->descriptor != -1) {
    uint64_t began_ns = uvdio__clock_ns();
    (void)uvdio__os_close(opening->descriptor);
    uvdio__engine_note_call(req->engine_, began_ns);
  }
  req->args_ = NULL;
  uvdio__free(opening, sizeof(*opening) + strlen(opening->path) + 1, UVDIO__STRUCT_ALIGN);
}

static void apply_open(uvdio_req_t* req) {
  if (req->result == UVDIO_EPOOL) {
    uvdio__os_undo_open(uvdio__open_state_of(req)); /* No worker took what was left of it. */
  }
  if (req->result == 0) {
    file_opened(req->file, uvdio__open_state_of(req));
  } else {
    file_unlink(req->file);
  }
  free_open_state(req);
}

/* Whether the error of a durable write may mean that something written earlier was lost as well. A durable write ends with
 * a sync, from which any error may come: so all may, but for those by which the system refuses the call before it syncs
 * anything. What write-back through a cache may come to is longer than what a direct write may. */
static int is_lost_write(const uvdio_req_t* req) {
  unsigned quirks = req->file->quirks_;

  assert(req->op == UVDIO_OP_WRITE && req->result < 0);
  switch (req->result) {
    case UV_EINVAL:
      return (quirks & (UVDIO__QUIRK_EMULATE_DSYNC | UVDIO__QUIRK_SHARED_WRITEBACK_ERROR)) != 0;
    case UV_EFBIG:
    case UV_EFAULT:
    case UV_EBADF:
    case UV_EAGAIN:
    case UV_EINTR:
    case UVDIO_ESHORTWRITE: /* no error was told */
      return (quirks & UVDIO__QUIRK_EMULATE_DSYNC) != 0;
    default:
      return 1;
  }
}

/* Whether the request has come to nothing that could have lost anything: nobody has begun it. */
static int is_not_begun(const uvdio_req_t* req) {
  return req->result == UVDIO_EFORK || req->result == UVDIO_EPOOL ||
         (req->result == UV_ECANCELED && req->cancelled_);
}

/* The latch falls. Durable writes that ran beside the one that failed and have not been called back yet are told as well. */
static void latch(uvdio_file_t* file, int error) {
  const uvdio__list_t* completed = &file->engine_->completed;
  uvdio_req_t* req;

  assert(error < 0 && file->latch_ == 0);
  file->latch_ = error;
  for (req = uvdio__list_first(completed); req != NULL; req = uvdio__list_after(completed, req)) {
    if (req->file == file && req->op == UVDIO_OP_WRITE && req->result >= 0 && (file->flags_ & UVDIO_O_DSYNC) != 0) {
      req->result = error;
    }
  }
}

/* Whatever was to be durable and comes after the first failure is told of that, even where the system called it a
 * success. */
static void apply_latch(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;
  int durable = uvdio__is_sync(req->op) || (file->flags_ & UVDIO_O_DSYNC) != 0;

  assert(uvdio__is_sync(req->op) || req->op == UVDIO_OP_WRITE);
  if (!durable || is_not_begun(req)) {
    return;
  }
  if (file->latch_ != 0) {
    req->result = file->latch_;
  } else if (req->result < 0 && (uvdio__is_sync(req->op) || is_lost_write(req))) {
    latch(file, (int)req->result);
  }
}

static int64_t close_on_this_thread(uvdio_req_t* req) {
  const uvdio__queue_t* queue = req->file->queue_;
  uint64_t began_ns = uvdio__clock_ns();
  int64_t result = queue->backend->perform(queue, req);

  uvdio__engine_note_call(req->engine_, began_ns);
  return result;
}

static void apply_close(uvdio_req_t* req) {
  if (req->result == UVDIO_EFORK && (req->flags_ & REQ_OUTCOME_UNKNOWN) == 0) {
    (void)close_on_this_thread(req); /* The parent closes its descriptor; this is the child's. */
  }
  if (req->result == UVDIO_EPOOL) {
    req->result = close_on_this_thread(req); /* No worker took it, and the file must not stay open. */
  }
  file_unlink(req->file);
}

void uvdio__file_apply(uvdio_req_t* req) {
  switch (req->op) {
    case UVDIO_OP_OPEN:
      apply_open(req);
      break;
    case UVDIO_OP_CLOSE:
      apply_close(req);
      break;
    case UVDIO_OP_READ:
      req->buf_.len = req->transferred;
      break;
    case UVDIO_OP_WRITE:
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
      apply_latch(req);
      break;
    case UVDIO_OP_SIZE:
    case UVDIO_OP_TRUNCATE:
    case UVDIO_OP_PREALLOCATE:
      break;
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      assert(0 && "a request without an operation");
  }
}

void uvdio__file_outcome(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if ((req->flags_ & REQ_ORDERED) != 0) {
    uvdio__order_remove(req);
  }
  uvdio__file_apply(req);
  if (req->op == UVDIO_OP_OPEN || req->op == UVDIO_OP_CLOSE) {
    return;
  }
  if (file->syncing_ == req) {
    end_sync(file, req);
  }
  start_next_sync(file);
  assert(file->pending_ > 0);
  file->pending_--;
  file->unordered_pending_ -= (uint64_t)!uvdio__is_gated(req->op);
  if (file->truncating_ == req) {
    file->truncating_ = NULL;
  }
  if (file->has_waiters_) {
    release_truncate_queue(file);
  }
  if (file->pending_ == 0 && file->close_req_ != NULL) {
    uvdio_req_t* close_req = file->close_req_;
    file->close_req_ = NULL;
    update_waiters(file);
    unregister_fd(file);
    uvdio__queue_add(close_req);
  }
}

/*
 * Submission
 */

/* What every operation on an open file asks first. */
static inline int check(const uvdio_file_t* file, const uvdio_req_t* req, int is_change) {
  int error;

  if (file == NULL || req == NULL) {
    return UV_EINVAL;
  }
  if (file->magic_ != uvdio__magic_of(file) || file->state_ != FILE_OPEN ||
      (is_change && (file->flags_ & UVDIO_O_RDWR) == 0)) {
    return UV_EBADF;
  }
  error = uvdio__engine_check(file->engine_);
  if (error != 0) {
    return error;
  }
  return uvdio__is_pending(req) ? UV_EBUSY : 0;
}

static inline void prepare(uvdio_req_t* req, uvdio_file_t* file, uvdio_op_t op, uint64_t offset,
                           size_t length) {
  req->file = file;
  req->result = 0;
  req->transferred = 0;
  req->op = op;
  req->state_ = STATE_IDLE;
  req->flags_ = 0;
  req->cancelled_ = 0;
  req->retries_ = 0;
  req->engine_ = file->engine_;
  req->queue_ = file->queue_;
  req->offset_ = offset;
  req->length_ = length;
  req->high_water_ = 0;
}

/* The synchronous form. */
static int run_now(uvdio_req_t* req) {
  const uvdio__queue_t* queue = req->queue_;
  uvdio__verdict_t verdict;

  req->engine_->stats.synchronous++;
  do {
    verdict = uvdio__request_settle(req, queue->backend->perform(queue, req));
  } while (verdict != VERDICT_DONE);
  uvdio__file_apply(req);
  uvdio__file_release(req->file);
  return req->result < 0 ? (int)req->result : 0;
}

static int is_syncing(const uvdio_file_t* file) {
  return file->syncing_ != NULL || !uvdio__list_is_empty(&file->held_);
}

static void defer(uvdio_req_t* req) {
  req->state_ = STATE_HELD;
  req->sequence_ = req->file->sequence_;
  uvdio__list_append(&req->file->held_, req);
}

/* The asynchronous forms. From here on nothing fails. */
static inline void accept_request(uvdio_req_t* req) {
  uvdio__engine_accept(req->engine_, req);
  req->file->pending_++;
}

static void start_sync(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (!uvdio__list_is_empty(&file->order_) || is_syncing(file)) {
    defer(req);
  } else {
    file->syncing_ = req;
    uvdio__engine_start(req);
  }
}

static int submit_plain(uvdio_req_t* req, uvdio_cb cb) {
  if (cb == NULL) {
    return run_now(req);
  }
  req->cb_.plain = cb;
  accept_request(req);
  if (!uvdio__is_gated(req->op)) {
    req->file->unordered_pending_++;
  }
  if (uvdio__is_sync(req->op)) {
    start_sync(req);
    return 0;
  }
  if (uvdio__is_change(req->op)) {
    order_append(req->file, req);
  }
  if (!uvdio__is_gated(req->op) || !wait_for_truncate(req)) {
    uvdio__engine_start(req);
  }
  return 0;
}

/* Whether a synchronous form would run beside what it must not run beside. */
static int must_not_run_now(const uvdio_file_t* file, uvdio_op_t op) {
  return is_truncate_pending(file) || (op == UVDIO_OP_TRUNCATE && running_ordered(file) > 0);
}

static inline int check_transfer(const uvdio_file_t* file, const uvdio_buf_t* buf, uint64_t offset,
                                 size_t length) {
  if (((uintptr_t)buf->base & file->memory_mask_) != 0 ||
      ((offset | length) & file->offset_mask_) != 0) {
    return UVDIO_EALIGN;
  }
  if (offset > INT64_MAX || length > PTRDIFF_MAX || offset + length > INT64_MAX ||
      buf->len > buf->cap) {
    return UVDIO_EOFFSET;
  }
  return 0;
}

static int transfer_now(uvdio_req_t* req, uvdio_buf_t* buf) {
  int error;

  if (must_not_run_now(req->file, req->op) ||
      (req->op == UVDIO_OP_WRITE && has_shared_errors(req->file) && req->file->syncing_ != NULL)) {
    return UV_EBUSY;
  }
  req->buf_ = *buf;
  error = req->length_ == 0 ? 0 : run_now(req);

  if (req->op == UVDIO_OP_READ) {
    buf->len = req->transferred;
  }
  req->buf_ = uvdio__empty_buf();
  return error;
}

static int submit_transfer(uvdio_req_t* req, uvdio_buf_t* buf, uvdio_io_cb cb) {
  if (cb == NULL) {
    return transfer_now(req, buf);
  }
  req->buf_ = *buf;
  *buf = uvdio__empty_buf();
  req->cb_.io = cb;
  accept_request(req);
  if (req->length_ == 0) {
    uvdio__engine_complete(req);
    return 0;
  }
  if (req->op == UVDIO_OP_WRITE) {
    order_append(req->file, req);
  }
  if ((req->file->has_waiters_ && wait_for_truncate(req)) || wait_for_sync(req)) {
    return 0;
  }
  uvdio__engine_start(req);
  return 0;
}

/* Whether everything is as it mostly is, so that the transfer may go the short way. Where it is not, the longer way finds out
 * what that means. */
static inline int can_take_fast_path(const uvdio_file_t* file, const uvdio_req_t* req, const uvdio_buf_t* buf, uint64_t offset,
                              size_t length) {
  return uvdio__file_is_straight(file) && !uvdio__is_pending(req) && length != 0 &&
         check_transfer(file, buf, offset, length) == 0 && uvdio__queue_takes_fast(file->queue_);
}

/* The short way: to the ring, past all lists but that of what is in flight. */
static inline int submit_fast(uvdio_req_t* req, uvdio_buf_t* buf, uvdio_io_cb cb) {
  uvdio__queue_t* queue = req->queue_;

  req->buf_ = *buf;
  *buf = uvdio__empty_buf();
  req->cb_.io = cb;
  accept_request(req);
  if (req->op == UVDIO_OP_WRITE) {
    order_append(req->file, req);
  }
  return queue->backend->transfer(queue, req);
}

static UVDIO__NOINLINE int read_slow(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                                            unsigned char flags, uvdio_io_cb cb) {
  int error = buf == NULL || buf->base == NULL ? UV_EINVAL : check(file, req, 0);

  if (error == 0) {
    error = check_transfer(file, buf, offset, buf->cap);
  }
  if (error != 0) {
    return error;
  }
  prepare(req, file, UVDIO_OP_READ, offset, buf->cap);
  req->flags_ = flags;
  return submit_transfer(req, buf, cb);
}

static inline int read_with(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                            unsigned char flags, uvdio_io_cb cb) {
  if (UVDIO__UNLIKELY(file == NULL || req == NULL || buf == NULL || buf->base == NULL || cb == NULL) ||
      !can_take_fast_path(file, req, buf, offset, buf->cap)) {
    return read_slow(file, req, buf, offset, flags, cb);
  }
  prepare(req, file, UVDIO_OP_READ, offset, buf->cap);
  req->flags_ = flags;
  return submit_fast(req, buf, cb);
}

int uvdio_read(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
               uvdio_io_cb cb) {
  return read_with(file, req, buf, offset, 0, cb);
}

int uvdio_read_exact(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                     uvdio_io_cb cb) {
  return read_with(file, req, buf, offset, REQ_EXACT, cb);
}

static UVDIO__NOINLINE int write_slow(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                                             uvdio_io_cb cb) {
  int error = buf == NULL || buf->base == NULL ? UV_EINVAL : check(file, req, 1);

  if (error == 0) {
    error = check_transfer(file, buf, offset, buf->len);
  }
  if (error == 0) {
    error = file->latch_;
  }
  if (error != 0) {
    return error;
  }
  prepare(req, file, UVDIO_OP_WRITE, offset, buf->len);
  return submit_transfer(req, buf, cb);
}

int uvdio_write(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                uvdio_io_cb cb) {
  if (UVDIO__UNLIKELY(file == NULL || req == NULL || buf == NULL || buf->base == NULL || cb == NULL) ||
      !can_take_fast_path(file, req, buf, offset, buf->len) || (file->flags_ & UVDIO_O_RDWR) == 0 || file->latch_ != 0) {
    return write_slow(file, req, buf, offset, cb);
  }
  prepare(req, file, UVDIO_OP_WRITE, offset, buf->len);
  return submit_fast(req, buf, cb);
}

static int submit_sync(uvdio_file_t* file, uvdio_req_t* req, uvdio_op_t op, uvdio_cb cb) {
  int error = check(file, req, 0);

  if (error == 0) {
    error = file->latch_;
  }
  if (error != 0) {
    return error;
  }
  if (cb == NULL && (!uvdio__list_is_empty(&file->order_) || is_syncing(file))) {
    return UV_EBUSY;
  }
  prepare(req, file, op, 0, 0);
  return submit_plain(req, cb);
}

int uvdio_sync_data(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  return submit_sync(file, req, UVDIO_OP_SYNC_DATA, cb);
}

int uvdio_sync_all(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  return submit_sync(file, req, UVDIO_OP_SYNC_ALL, cb);
}

int uvdio_size(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  int error = check(file, req, 0);

  if (error != 0) {
    return error;
  }
  prepare(req, file, UVDIO_OP_SIZE, 0, 0);
  return submit_plain(req, cb);
}

static int submit_resize(uvdio_file_t* file, uvdio_req_t* req, uvdio_op_t op, uint64_t length,
                         uvdio_cb cb) {
  int error = check(file, req, 1);

  if (error == 0 && length > INT64_MAX) {
    error = UVDIO_EOFFSET;
  }
  if (error == 0) {
    error = file->latch_;
  }
  if (error != 0) {
    return error;
  }
  if (cb == NULL && must_not_run_now(file, op)) {
    return UV_EBUSY;
  }
  prepare(req, file, op, length, 0);
  return submit_plain(req, cb);
}

int uvdio_truncate(uvdio_file_t* file, uvdio_req_t* req, uint64_t length, uvdio_cb cb) {
  return submit_resize(file, req, UVDIO_OP_TRUNCATE, length, cb);
}

int uvdio_preallocate(uvdio_file_t* file, uvdio_req_t* req, uint64_t length, uvdio_cb cb) {
  if (length == 0) {
    return UV_EINVAL;
  }
  return submit_resize(file, req, UVDIO_OP_PREALLOCATE, length, cb);
}

static int check_open(const uvdio_engine_t* engine, const uvdio_file_t* file, const uvdio_req_t* req,
                      const char* path, unsigned flags) {
  int error;

  if (engine == NULL || file == NULL || req == NULL || path == NULL) {
    return UV_EINVAL;
  }
  if ((flags & ~KNOWN_FLAGS) != 0 ||
      ((flags & UVDIO_O_EXCLUSIVE) != 0 && (flags & UVDIO_O_CREATE) == 0) ||
      ((flags & (UVDIO_O_TRUNCATE | UVDIO_O_CREATE)) != 0 && (flags & UVDIO_O_RDWR) == 0)) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error != 0) {
    return error;
  }
  return file->magic_ == uvdio__magic_of(file) || uvdio__is_pending(req) ? UV_EBUSY : 0;
}

static void prepare_file(uvdio_engine_t* engine, uvdio_file_t* file, unsigned flags) {
  void* data = file->data;

  memset(file, 0, sizeof(*file));
  file->data = data;
  file->flags_ = flags;
  file->state_ = FILE_OPENING;
  file->queue_ = engine->queue;
  file->filesystem_ = "unknown";
  file->reason_ = "";
  file->handle_.descriptor = -1;
  uvdio__list_init(&file->order_);
  uvdio__list_init(&file->held_);
  uvdio__list_init(&file->followers_);
  uvdio__list_init(&file->durable_waiting_);
  uvdio__list_init(&file->truncate_queue_);
  file_link(engine, file);
}

int uvdio_open(uvdio_engine_t* engine, uvdio_file_t* file, uvdio_req_t* req, const char* path, unsigned flags,
               int mode, uvdio_cb cb) {
  uvdio__open_state_t* opening;
  int error = check_open(engine, file, req, path, flags);

  if (error != 0) {
    return error;
  }
  opening = make_open_state(path, flags, mode);
  if (opening == NULL) {
    return UV_ENOMEM;
  }
  prepare_file(engine, file, flags);
  prepare(req, file, UVDIO_OP_OPEN, 0, 0);
  req->args_ = opening;
  if (cb == NULL) {
    return run_now(req);
  }
  req->cb_.plain = cb;
  uvdio__engine_accept(engine, req);
  uvdio__engine_start(req);
  return 0;
}

/* Starts the close, or holds it until everything else has its outcome. */
static void start_close(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  file->state_ = FILE_CLOSING;
  req->cb_.plain = cb;
  uvdio__engine_accept(req->engine_, req);
  if (file->pending_ > 0) {
    req->state_ = STATE_HELD;
    file->close_req_ = req;
    update_waiters(file);
  } else {
    uvdio__file_update_fast_path(file);
    unregister_fd(file);
    uvdio__engine_start(req);
  }
}

/* Whether a request of the file has yet to be called back. */
static int is_callback_due(const uvdio_file_t* file) {
  const uvdio__list_t* completed = &file->engine_->completed;
  const uvdio_req_t* req = uvdio__list_first(completed);

  while (req != NULL && req->file != file) {
    req = uvdio__list_after(completed, req);
  }
  return file->pending_ > 0 || req != NULL;
}

int uvdio_close(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  int error = check(file, req, 0);

  if (error != 0) {
    return error;
  }
  if (cb == NULL && is_callback_due(file)) {
    return UV_EBUSY;
  }
  prepare(req, file, UVDIO_OP_CLOSE, 0, 0);
  if (cb == NULL) {
    unregister_fd(file);
    return run_now(req);
  }
  start_close(file, req, cb);
  return 0;
}

void uvdio__file_close_left_open(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  assert(file->state_ == FILE_OPEN && file->pending_ == 0);
  prepare(req, file, UVDIO_OP_CLOSE, 0, 0);
  start_close(file, req, cb);
}

void uvdio__file_close_now(uvdio_file_t* file) {
  uvdio_req_t req;

  prepare(&req, file, UVDIO_OP_CLOSE, 0, 0);
  (void)close_on_this_thread(&req);
  file_unlink(file);
  uvdio__file_release(file);
}

int uvdio_file_info(const uvdio_file_t* file, uvdio_file_info_t* info) {
  const uvdio__queue_t* queue;

  if (file == NULL || info == NULL) {
    return UV_EINVAL;
  }
  if (file->magic_ != uvdio__magic_of(file) || file->state_ == FILE_OPENING || file->state_ == FILE_CLOSED) {
    return UV_EBADF;
  }
  queue = file->queue_;
  info->backend = queue->backend->name;
  queue = file->queue_concurrent_ != NULL ? file->queue_concurrent_ : queue;
  info->backend_concurrent = queue->backend->name;
  info->reason = file->reason_;
  info->filesystem = file->filesystem_;
  info->direct = file->direct_;
  info->latch_error = file->latch_;
  info->registered = file->fixed_index_ > 0;
  info->durable_serialized = has_shared_errors(file);
  info->flags = file->flags_;
  info->memory_align = (uint32_t)(file->memory_mask_ + 1);
  info->offset_align = (uint32_t)(file->offset_mask_ + 1);
  info->system_memory_align = file->system_memory_align_;
  info->system_offset_align = file->system_offset_align_;
  info->system_read_align = file->system_read_align_;
  info->recommended_align = file->recommended_align_;
  info->align_source = file->align_source_;
  return 0;
}
