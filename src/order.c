/* SPDX-License-Identifier: MIT */
/*
 * See order.h: syncs and their followers, truncates, durable writes, closes, and the latch.
 */
#include "order.h"

#include "durability.h"

/*
 * Changes without an outcome
 */

static void order_append(uvdio_file_t* file, uvdio_req_t* req) {
  req->flags_ |= REQ_ORDERED;
  req->sequence_ = ++file->sequence_;
  uvdio__link_insert(&req->order_link_, &file->order_);
}

static void order_remove(uvdio_req_t* req) {
  uvdio__link_remove(&req->order_link_);
  req->flags_ &= ~REQ_ORDERED;
}

/*
 * Syncs
 */

/* Whether every change older than the sync has its outcome. */
static int is_covered(const uvdio_file_t* file, const uvdio_req_t* sync) {
  uintptr_t oldest = (uintptr_t)file->order_.next - offsetof(uvdio_req_t, order_link_);

  return uvdio__list_is_empty(&file->order_) ||
         ((const uvdio_req_t*)oldest)->sequence_ > sync->sequence_;
}

/* Whether the leader makes durable all that the follower has to. */
static int is_included(const uvdio_req_t* leader, const uvdio_req_t* follower) {
  return follower->op == UVDIO_OP_SYNC_DATA ||
         (follower->op == UVDIO_OP_SYNC_ALL && leader->op != UVDIO_OP_SYNC_DATA);
}

/* The oldest deferred sync if it is covered, else the oldest write that waits for one of the
 * two. */
static uvdio_req_t* next_leader(const uvdio_file_t* file) {
  uvdio_req_t* sync = uvdio__list_first(&file->deferred_);
  uvdio_req_t* written = uvdio__list_first(&file->written_);
  uvdio_req_t* waiting = uvdio__list_first(&file->durable_waiting_);

  if (sync != NULL && is_covered(file, sync)) {
    return sync;
  }
  if (written == NULL || waiting == NULL) {
    return written != NULL ? written : waiting;
  }
  return written->sequence_ < waiting->sequence_ ? written : waiting;
}

static void follow(uvdio_file_t* file, uvdio_req_t* follower) {
  uvdio__list_remove(follower);
  uvdio__list_append(&file->followers_, follower);
}

/* All that a sync covers which starts now. */
static void take_followers(uvdio_file_t* file, const uvdio_req_t* leader) {
  uvdio_req_t* follower;

  while ((follower = uvdio__list_first(&file->written_)) != NULL) {
    follow(file, follower);
  }
  while ((follower = uvdio__list_first(&file->deferred_)) != NULL && is_covered(file, follower) &&
         is_included(leader, follower)) {
    follow(file, follower);
  }
}

/* Starts what is next, if anything may go. A sync takes along those that it covers. */
static UVDIO__NOINLINE void start_next_sync(uvdio_file_t* file) {
  uvdio_req_t* leader = file->syncing_ == NULL ? next_leader(file) : NULL;

  if (leader == NULL) {
    return;
  }
  uvdio__list_remove(leader);
  file->syncing_ = leader;
  if ((leader->flags_ & REQ_DURABLE_WAITS) != 0) {
    leader->flags_ &= ~REQ_DURABLE_WAITS;
  } else {
    take_followers(file, leader);
  }
  uvdio__queue_add(leader);
}

static int is_written(const uvdio_req_t* sync) {
  return (sync->flags_ & REQ_WRITTEN) != 0;
}

/* Where a sync waits, or the write that has become one. */
static uvdio__list_t* list_of(uvdio_file_t* file, const uvdio_req_t* sync) {
  return is_written(sync) ? &file->written_ : &file->deferred_;
}

/* Whether a replace has come as far as names: an error is of these, and not of the file. */
static int has_synced(const uvdio_req_t* req) {
  return req->op == UVDIO_OP_REPLACE && uvdio__names_of(req)->step > UVDIO__REPLACE_SYNC;
}

static void share_outcome(const uvdio_req_t* leader, uvdio_req_t* follower) {
  uvdio__list_remove(follower);
  follower->result = leader->result < 0 && !has_synced(leader) ? leader->result : 0;
  uvdio__queue_complete(follower);
}

/* A leader of data syncs has come to nothing: its first follower takes its place, for all that
 * follow. Returns 0 where there is none, or where it may do less than the others ask for. */
static int pass_on(uvdio_file_t* file, const uvdio_req_t* leader) {
  uvdio_req_t* next = uvdio__list_first(&file->followers_);

  if (next == NULL || (leader->op != UVDIO_OP_SYNC_DATA && leader->op != UVDIO_OP_WRITE)) {
    return 0;
  }
  uvdio__list_remove(next);
  file->syncing_ = next;
  uvdio__queue_add(next);
  return 1;
}

/* The leader has an outcome. A cancelled one has done nothing: its followers go on without it. */
static void end_sync(uvdio_file_t* file, uvdio_req_t* leader) {
  uvdio_req_t* follower;

  assert(file->syncing_ == leader);
  if (leader->result == UV_ECANCELED) {
    if (pass_on(file, leader)) {
      return;
    }
    while ((follower = uvdio__list_last(&file->followers_)) != NULL) {
      uvdio__list_remove(follower);
      uvdio__list_prepend(list_of(file, follower), follower);
    }
  }
  while ((follower = uvdio__list_first(&file->followers_)) != NULL && is_written(follower)) {
    share_outcome(leader, follower);
  }
  if (uvdio__is_sync(leader->op)) {
    uvdio__list_remove(leader); /* It is called back after the writes that it covers. */
    uvdio__list_append(&leader->engine_->completed, leader);
  }
  while ((follower = uvdio__list_first(&file->followers_)) != NULL) {
    share_outcome(leader, follower);
  }
  /* Last: while it is set, no other sync starts and takes followers. */
  file->syncing_ = NULL;
}

void uvdio__order_undefer(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  assert(req->state_ == STATE_DEFERRED);
  uvdio__list_remove(req);
  if (!uvdio__is_sync(req->op) && (req->flags_ & REQ_DURABLE_WAITS) == 0) {
    file->truncate_waiters_--;
  }
}

int uvdio__order_must_not_sync_now(const uvdio_file_t* file) {
  return !uvdio__list_is_empty(&file->order_) || file->syncing_ != NULL ||
         !uvdio__list_is_empty(&file->deferred_);
}

static void submit_sync(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (uvdio__order_must_not_sync_now(file)) {
    req->state_ = STATE_DEFERRED;
    req->sequence_ = file->sequence_;
    uvdio__list_append(&file->deferred_, req);
  } else {
    file->syncing_ = req;
    uvdio__queue_start(req);
  }
}

/* Returns 1 for a durable write that has to wait until a sync or another one has its outcome. */
static int wait_for_sync(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if ((req->flags_ & REQ_DURABLE) == 0 || !uvdio__has_shared_errors(file)) {
    return 0;
  }
  if (file->syncing_ == NULL) {
    assert(uvdio__list_is_empty(&file->durable_waiting_));
    file->syncing_ = req;
    return 0;
  }
  req->state_ = STATE_DEFERRED;
  req->flags_ |= REQ_DURABLE_WAITS;
  uvdio__list_append(&file->durable_waiting_, req);
  return 1;
}

/*
 * Truncates
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
}

/* Lets through what may go: all up to the next truncate, or that alone. */
static void release_truncate_queue(uvdio_file_t* file) {
  uvdio_req_t* req;

  while ((req = uvdio__list_first(&file->truncate_queue_)) != NULL && file->truncating_ == NULL) {
    if ((req->flags_ & REQ_ALONE) != 0) {
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
  int is_alone = (req->flags_ & REQ_ALONE) != 0;

  if (is_truncate_pending(file) || (is_alone && running_ordered(file) > 1)) {
    req->state_ = STATE_DEFERRED;
    uvdio__list_append(&file->truncate_queue_, req);
    file->truncate_waiters_++;
    update_waiters(file);
    return 1;
  }
  if (is_alone) {
    file->truncating_ = req;
    update_waiters(file);
  }
  return 0;
}

int uvdio__order_must_not_run_now(const uvdio_req_t* req) {
  return is_truncate_pending(req->file) ||
         ((req->flags_ & REQ_ALONE) != 0 && running_ordered(req->file) > 0);
}

int uvdio__order_must_not_be_durable_now(const uvdio_req_t* req) {
  const uvdio_file_t* file = req->file;
  int is_alone = (req->flags_ & REQ_THEN_SYNC) != 0 ||
                 ((req->flags_ & REQ_DURABLE) != 0 && uvdio__has_shared_errors(file));

  return is_alone && file->syncing_ != NULL;
}

/*
 * Submission
 */

void uvdio__order_submit(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;
  int is_ordered = uvdio__excludes_truncate(req->op);

  file->unordered_pending_ += (uint64_t)!is_ordered;
  if (uvdio__is_sync(req->op)) {
    submit_sync(req);
    return;
  }
  if (uvdio__is_change(req->op)) {
    order_append(file, req);
  }
  if (!is_ordered || (!wait_for_truncate(req) && !wait_for_sync(req))) {
    uvdio__queue_start(req);
  }
}

/* While a ring has a file in its table, closing the descriptor does not close the file. */
void uvdio__order_unregister_fd(uvdio_file_t* file) {
  uvdio__queue_t* queue = &file->engine_->queues[QUEUE_MAIN];

  if (file->fixed_index_ > 0 && !uvdio__engine_is_forked(file->engine_)) {
    queue->backend->unregister_file(queue, file);
  }
}

void uvdio__order_close(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (file->pending_ > 0) {
    req->state_ = STATE_DEFERRED;
    file->close_req_ = req;
    update_waiters(file);
    return;
  }
  uvdio__order_unregister_fd(file);
  uvdio__queue_start(req);
}

/* All before it have their outcomes. */
static void release_close(uvdio_file_t* file) {
  uvdio_req_t* close_req = file->close_req_;

  file->close_req_ = NULL;
  update_waiters(file);
  uvdio__order_unregister_fd(file);
  uvdio__queue_add(close_req);
}

/*
 * Outcomes
 */

/* Whether the error of a durable write may mean that something written earlier was lost as well. A
 * durable write ends with a sync, from which any error may come: so all may, but for those by which
 * the system refuses the call before it syncs anything. What write-back through a cache may come to
 * is longer than what a direct write may. */
static int is_lost_write(const uvdio_req_t* req) {
  unsigned quirks = req->file->quirks_;

  assert(req->op == UVDIO_OP_WRITE && req->result < 0);
  switch (req->result) {
    case UV_EINVAL:
    case UVDIO_EATOMIC: /* the same, of an atomic write */
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

/* The file has the new name from here on, so that the next replace finds it. */
static void take_name(uvdio_file_t* file, uvdio__names_t* names) {
  char* path = file->path_;

  file->path_ = names->own_path;
  names->own_path = path;
}

/* The latch falls. Durable writes that ran beside the one that failed and have not been called back
 * yet are told as well. */
static void latch(uvdio_file_t* file, int error) {
  const uvdio__list_t* completed = &file->engine_->completed;
  uvdio_req_t* req;

  assert(error < 0 && file->latch_ == 0);
  file->latch_ = error;
  for (req = uvdio__list_first(completed); req != NULL; req = uvdio__list_after(completed, req)) {
    if (req->file == file && (req->flags_ & (REQ_DURABLE | REQ_SYNCED)) != 0 && req->result >= 0) {
      req->result = error;
    }
  }
}

/* What a request has that is to be durable, but for syncs. */
#define DURABLE_WAYS (REQ_DURABLE | REQ_THEN_SYNC | REQ_TRIAL)

/* Whatever was to be durable and comes after the first failure is told of that, even where the
 * system called it a success. */
static void apply_latch(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;
  int syncs = uvdio__is_sync(req->op) || (req->flags_ & REQ_DURABLE) != 0;

  assert(uvdio__is_sync(req->op) || req->op == UVDIO_OP_WRITE);
  if (is_not_begun(req) || has_synced(req)) {
    return; /* What a replace has come to by then is a fact about names. */
  }
  if (file->latch_ != 0) {
    req->result = file->latch_;
  } else if (syncs && req->result < 0 && (uvdio__is_sync(req->op) || is_lost_write(req))) {
    latch(file, (int)req->result);
  }
}

/* What came short behind the range is no error of it. */
static UVDIO__NOINLINE void clip_to_range(uvdio_req_t* req) {
  size_t arrived = uvdio_range_view(req, &req->buf_).len;
  int is_whole = arrived == (size_t)(uintptr_t)req->args_;

  if (req->result >= 0 || (req->result == UVDIO_ESHORTREAD && is_whole)) {
    req->result = (int64_t)arrived;
  }
}

/* A durable write has its outcome: it is a write again, where it became a sync. */
static UVDIO__NOINLINE void end_durable_write(uvdio_req_t* req) {
  int is_by_sync = (req->flags_ & REQ_WRITTEN) != 0;

  if (is_by_sync) {
    req->op = UVDIO_OP_WRITE;
    req->flags_ = (req->flags_ & ~REQ_WRITTEN) | REQ_SYNCED;
    req->result = req->result < 0 ? req->result : (int64_t)req->transferred;
  }
  if ((req->flags_ & REQ_TRIAL) != 0) {
    uvdio__durability_end(req, is_by_sync);
  }
}

void uvdio__order_apply(uvdio_req_t* req) {
  if (req->op == UVDIO_OP_READ) {
    req->buf_.len = req->transferred; /* Of several buffers, the callback's caller sets it. */
    if (UVDIO__UNLIKELY((req->flags_ & REQ_RANGE) != 0)) {
      clip_to_range(req);
    }
  } else if ((req->flags_ & DURABLE_WAYS) != 0 || uvdio__is_sync(req->op)) {
    apply_latch(req);
    req->file->dsync_works_ |= (req->flags_ & REQ_DURABLE) != 0 && req->result >= 0;
    if (req->op == UVDIO_OP_REPLACE &&
        uvdio__names_of(req)->step == UVDIO__REPLACE_SYNC_DIRECTORY) {
      take_name(req->file, uvdio__names_of(req));
    }
    if (UVDIO__UNLIKELY((req->flags_ & (REQ_WRITTEN | REQ_TRIAL)) != 0)) {
      end_durable_write(req);
    }
  }
}

/* Ends the sync, or the durable write in a sync's place, and starts the next one. */
static void outcome_sync(uvdio_file_t* file, uvdio_req_t* req) {
  if (file->syncing_ == req) {
    end_sync(file, req);
    start_next_sync(file);
  } else if (!uvdio__list_is_empty(&file->deferred_)) {
    start_next_sync(file); /* What waits for no change waits for `syncing_`. */
  }
}

/* Counts before truncates, because those wait for the counts. */
static void outcome_counts(uvdio_file_t* file, const uvdio_req_t* req) {
  assert(file->pending_ > 0);
  file->pending_--;
  file->unordered_pending_ -= (uint64_t)!uvdio__excludes_truncate(req->op);
}

static void outcome_truncate(uvdio_file_t* file, const uvdio_req_t* req) {
  if (file->truncating_ == req) {
    file->truncating_ = NULL;
  }
  if (file->has_waiters_) {
    release_truncate_queue(file);
  }
}

/* Last: whatever the steps before have released is pending and keeps the close back. */
static void outcome_close(uvdio_file_t* file) {
  if (file->pending_ == 0 && file->close_req_ != NULL) {
    release_close(file);
  }
}

void uvdio__order_become_sync(uvdio_req_t* req) {
  req->op = UVDIO_OP_SYNC_DATA;
  req->flags_ &= ~(REQ_THEN_SYNC | REQ_REFUSED);
  req->flags_ |= REQ_WRITTEN;
  req->queue_ = req->file->queue_;
  req->retries_ = 0;
}

/* A write that a sync has to follow leaves the completed requests again. Returns 0 where there is
 * nothing to sync. */
static UVDIO__NOINLINE int wait_for_sync_of_written(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (req->result < 0 || file->latch_ != 0) {
    return 0;
  }
  if (req->cancelled_) {
    req->result = UV_ECANCELED; /* It is written, and nobody waits for the sync. */
    return 0;
  }
  /* It may have begun as a durable write (request.c), and waits from here on. */
  file->syncing_ = file->syncing_ == req ? NULL : file->syncing_;
  uvdio__list_remove(req);
  uvdio__order_become_sync(req);
  req->state_ = STATE_DEFERRED;
  uvdio__list_append(&file->written_, req);
  start_next_sync(file);
  return 1;
}

void uvdio__order_outcome(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if ((req->flags_ & REQ_ORDERED) != 0) {
    order_remove(req);
    if (UVDIO__UNLIKELY((req->flags_ & REQ_THEN_SYNC) != 0) && wait_for_sync_of_written(req)) {
      return;
    }
  }
  if (req->op == UVDIO_OP_OPEN || req->op == UVDIO_OP_CLOSE) {
    file->state_ = req->op == UVDIO_OP_CLOSE ? FILE_CLOSED : file->state_;
    return; /* Nothing waits for these but the user: uvdio__file_finish() does the rest. */
  }
  uvdio__order_apply(req);
  outcome_sync(file, req);
  outcome_counts(file, req);
  outcome_truncate(file, req);
  outcome_close(file);
}
