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
 * What a handle has of an open file that other handles have as well (share.h)
 */

/* Whether the handle may have its next sync, or a durable write in a sync's place. */
static int may_sync(const uvdio_file_t* file) {
  return file->share_ == NULL || uvdio__share_begin(uvdio__share_of(file), SHARE_SYNC, 1);
}

/* No sync of the handle runs. */
static void let_others_sync(const uvdio_file_t* file, int is_wanted) {
  if (file->share_ == NULL) {
    return;
  }
  uvdio__share_end(uvdio__share_of(file), SHARE_SYNC);
  if (!is_wanted) {
    uvdio__share_withdraw(uvdio__share_of(file), SHARE_SYNC);
  }
}

static void let_others_access(const uvdio_file_t* file, unsigned what) {
  if (file->share_ != NULL) {
    uvdio__share_end(uvdio__share_of(file), what);
  }
}

/* Whether the handle may have a read or change under way, or, `is_alone`, one that runs alone, when
 * it has none. */
static int may_access(const uvdio_file_t* file, int is_alone) {
  if (file->share_ == NULL) {
    return 1;
  }
  if (is_alone) {
    let_others_access(file, SHARE_ACCESS);
  }
  return uvdio__share_begin(uvdio__share_of(file), is_alone ? SHARE_EXCLUSIVE : SHARE_ACCESS, 1);
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
  uvdio_req_t* leader;

  if (file->syncing_ != NULL) {
    return;
  }
  leader = next_leader(file);
  if (leader == NULL) {
    let_others_sync(file, 0); /* It may have been cancelled while it waited for them. */
    return;
  }
  if (!may_sync(file)) {
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

/* Whether a replace has come as far as names: what was to be durable before is. */
static int has_synced(const uvdio_req_t* req) {
  return req->op == UVDIO_OP_REPLACE && uvdio__names_of(req)->step > UVDIO__REPLACE_SYNC;
}

/* Whether it has ended at a step that is about names: an error is of these, and not of the file.
 * Its second sync is told of what was changed beside it, which nobody else is. */
static int is_of_names(const uvdio_req_t* req) {
  return has_synced(req) && uvdio__names_of(req)->step != UVDIO__REPLACE_SYNC_AGAIN;
}

static void share_outcome(const uvdio_req_t* leader, uvdio_req_t* follower) {
  uvdio__list_remove(follower);
  follower->result = leader->result < 0 && !has_synced(leader) ? leader->result : 0;
  uvdio__queue_complete(follower);
}

/* A leader has come to nothing: its first follower takes its place, for all that follow; where some
 * may ask for more than their data, the first that is no write. Returns 0 where there is none, or
 * where it may do less than the others ask for. */
static int pass_on(uvdio_file_t* file, const uvdio_req_t* leader) {
  int is_of_data = leader->op == UVDIO_OP_SYNC_DATA || leader->op == UVDIO_OP_WRITE;
  uvdio_req_t* next = uvdio__list_first(&file->followers_);

  while (next != NULL && !is_of_data && is_written(next)) {
    next = uvdio__list_after(&file->followers_, next);
  }
  if (next == NULL || (!is_of_data && next->op != UVDIO_OP_SYNC_ALL)) {
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

/* Durable writes that were written wait only while another handle syncs, and no newer sync goes
 * before them when the turn comes. */
int uvdio__order_must_not_sync_now(const uvdio_file_t* file) {
  return !uvdio__list_is_empty(&file->order_) || file->syncing_ != NULL ||
         !uvdio__list_is_empty(&file->deferred_) || !uvdio__list_is_empty(&file->written_);
}

static void submit_sync(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (uvdio__order_must_not_sync_now(file) || !may_sync(file)) {
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
  assert(file->syncing_ != NULL || file->share_ != NULL ||
         uvdio__list_is_empty(&file->durable_waiting_));
  if (file->syncing_ == NULL && uvdio__list_is_empty(&file->durable_waiting_) && may_sync(file)) {
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

/* Each read and change of a file with a share has to ask. */
static void update_waiters(uvdio_file_t* file) {
  file->has_waiters_ =
      is_truncate_pending(file) || file->close_req_ != NULL || file->share_ != NULL;
}

/* Whether the oldest request behind a truncate may go. */
static int may_pass(const uvdio_file_t* file, const uvdio_req_t* req) {
  int is_alone = (req->flags_ & REQ_ALONE) != 0;

  return file->truncating_ == NULL && (!is_alone || running_ordered(file) == 0) &&
         may_access(file, is_alone);
}

/* What the handle needs no more: because all has its outcome, or what waited for it was
 * cancelled. */
static UVDIO__NOINLINE void give_back_access(const uvdio_file_t* file) {
  uvdio__share_t* share = uvdio__share_of(file);
  const uvdio_req_t* first = uvdio__list_first(&file->truncate_queue_);
  unsigned unneeded = SHARE_ACCESS | SHARE_EXCLUSIVE;

  if (first != NULL) {
    unneeded &= ~((first->flags_ & REQ_ALONE) != 0 ? SHARE_EXCLUSIVE : SHARE_ACCESS);
  }
  uvdio__share_withdraw(share, unneeded);
  if (file->truncating_ == NULL) {
    uvdio__share_end(share, SHARE_EXCLUSIVE);
  }
  if (running_ordered(file) == 0) {
    uvdio__share_end(share, SHARE_ACCESS);
  }
}

/* Lets through what may go: all up to the next truncate, or that alone. */
static UVDIO__NOINLINE void release_truncate_queue(uvdio_file_t* file) {
  uvdio_req_t* req;

  while ((req = uvdio__list_first(&file->truncate_queue_)) != NULL && may_pass(file, req)) {
    file->truncating_ = (req->flags_ & REQ_ALONE) != 0 ? req : NULL;
    uvdio__list_remove(req);
    file->truncate_waiters_--;
    if (!wait_for_sync(req)) {
      uvdio__queue_add(req);
    }
  }
  update_waiters(file);
  if (UVDIO__UNLIKELY(file->share_ != NULL)) {
    give_back_access(file);
  }
}

void uvdio__order_take_grants(uvdio_file_t* file) {
  uvdio__share_t* share = uvdio__share_of(file);

  if (file->state_ != FILE_OPEN && file->state_ != FILE_CLOSING) {
    return;
  }
  uvdio__share_take_grants(share);
  (void)uvdio__order_latch_of(file);
  release_truncate_queue(file);
  uvdio__share_admitted(share);
  start_next_sync(file);
}

/* What a synchronous form needs of those that have the open file as well. */
static unsigned needs_now(const uvdio_req_t* req) {
  int is_alone = (req->flags_ & REQ_ALONE) != 0;
  int is_sync = uvdio__is_sync(req->op) || (req->flags_ & REQ_THEN_SYNC) != 0 ||
                ((req->flags_ & REQ_DURABLE) != 0 && uvdio__has_shared_errors(req->file));

  return (is_alone                            ? SHARE_EXCLUSIVE
          : uvdio__excludes_truncate(req->op) ? SHARE_ACCESS
                                              : 0) |
         (is_sync ? SHARE_SYNC : 0);
}

int uvdio__order_begin_now(const uvdio_req_t* req) {
  uvdio__share_t* share = uvdio__share_of(req->file);
  unsigned needed = share == NULL ? 0 : needs_now(req);
  unsigned what;

  for (what = SHARE_ACCESS; what <= SHARE_SYNC; what <<= 1) {
    if ((needed & what) != 0 && !uvdio__share_begin(share, what, 0)) {
      uvdio__order_end_now(req);
      return UV_EBUSY;
    }
  }
  return 0;
}

int uvdio__order_begin_replace(const uvdio_req_t* req, int is_now) {
  uvdio__share_t* share = uvdio__share_of(req->file);

  if (share == NULL) {
    return 0;
  }
  if (is_now && uvdio__order_begin_now(req) != 0) {
    return UV_EBUSY;
  }
  if (!uvdio__share_begin_replace(share)) {
    uvdio__order_end_now(req);
    return UV_EBUSY;
  }
  return 0;
}

void uvdio__order_end_now(const uvdio_req_t* req) {
  const uvdio_file_t* file = req->file;

  if (file == NULL || file->share_ == NULL) {
    return;
  }
  give_back_access(file);
  if (file->syncing_ == NULL) {
    let_others_sync(file, 1);
  }
}

/* Returns 1 for a request that has to wait. It is counted as pending already. */
static UVDIO__NOINLINE int wait_for_truncate(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;
  int is_alone = (req->flags_ & REQ_ALONE) != 0;

  if (is_truncate_pending(file) || (is_alone && running_ordered(file) > 1) ||
      !may_access(file, is_alone)) {
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
  if (is_ordered && UVDIO__UNLIKELY(file->has_waiters_ || (req->flags_ & REQ_ALONE) != 0) &&
      wait_for_truncate(req)) {
    return;
  }
  if (!is_ordered || !wait_for_sync(req)) {
    uvdio__queue_start(req);
  }
}

/* While a ring has a file in its table, closing the descriptor does not close the file. A lock goes
 * with the last handle of the open file. */
void uvdio__order_before_close(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;
  uvdio__queue_t* queue = &file->engine_->queues[QUEUE_MAIN];

  if (file->fixed_index_ > 0 && !uvdio__engine_is_forked(file->engine_)) {
    queue->backend->unregister_file(queue, file);
  }
  if (file->share_ != NULL && !uvdio__share_leave(file, (req->flags_ & REQ_RELEASE) != 0)) {
    req->flags_ |= REQ_KEEP_LOCK;
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
  uvdio__order_before_close(req);
  uvdio__queue_start(req);
}

/* All before it have their outcomes. */
static void release_close(uvdio_file_t* file) {
  uvdio_req_t* close_req = file->close_req_;

  file->close_req_ = NULL;
  update_waiters(file);
  uvdio__order_before_close(close_req);
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
  file->path_kind_ = names->own_path_kind;
}

/* The latch falls. Durable writes that ran beside the one that failed and have not been called back
 * yet are told as well. */
static void latch(uvdio_file_t* file, int error) {
  const uvdio__list_t* completed = &file->engine_->completed;
  uvdio_req_t* req;

  assert(error < 0 && file->latch_ == 0);
  file->latch_ = file->share_ != NULL ? uvdio__share_latch(uvdio__share_of(file), error) : error;
  for (req = uvdio__list_first(completed); req != NULL; req = uvdio__list_after(completed, req)) {
    if (req->file == file && (req->flags_ & (REQ_DURABLE | REQ_SYNCED)) != 0 && req->result >= 0) {
      req->result = error;
    }
  }
}

int uvdio__order_latch_of(uvdio_file_t* file) {
  int error = file->share_ != NULL ? uvdio__share_latched(uvdio__share_of(file)) : 0;

  if (error != 0 && file->latch_ == 0) {
    latch(file, error);
  }
  return file->latch_;
}

/* What a request has that is to be durable, but for syncs. */
#define DURABLE_WAYS (REQ_DURABLE | REQ_THEN_SYNC | REQ_TRIAL)

/* Whatever was to be durable and comes after the first failure is told of that, even where the
 * system called it a success. */
static void apply_latch(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;
  int syncs = uvdio__is_sync(req->op) || (req->flags_ & REQ_DURABLE) != 0;

  assert(uvdio__is_sync(req->op) || req->op == UVDIO_OP_WRITE);
  if (is_not_begun(req) || is_of_names(req)) {
    return; /* What a replace has come to by then is a fact about names. */
  }
  if (uvdio__order_latch_of(file) != 0) {
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

/* Of a write that was to be durable, or a sync. */
static UVDIO__NOINLINE void apply_durable(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  apply_latch(req);
  file->dsync_works_ |= (req->flags_ & REQ_DURABLE) != 0 && req->result >= 0;
  if (req->op == UVDIO_OP_REPLACE) {
    if (uvdio__names_of(req)->step >= UVDIO__REPLACE_SYNC_AGAIN) {
      take_name(file, uvdio__names_of(req));
      req->transferred = 1;
    }
    if (file->share_ != NULL) {
      uvdio__share_end_replace(uvdio__share_of(file));
    }
  }
  if ((req->flags_ & (REQ_WRITTEN | REQ_TRIAL)) != 0) {
    end_durable_write(req);
  }
}

void uvdio__order_apply(uvdio_req_t* req) {
  if (req->op == UVDIO_OP_READ) {
    req->buf_.len = req->transferred; /* Of several buffers, the callback's caller sets it. */
    if (UVDIO__UNLIKELY((req->flags_ & REQ_RANGE) != 0)) {
      clip_to_range(req);
    }
  } else if ((req->flags_ & DURABLE_WAYS) != 0 || uvdio__is_sync(req->op)) {
    apply_durable(req);
  }
}

/* Ends the sync, or the durable write in a sync's place, and starts the next one. */
static void outcome_sync(uvdio_file_t* file, uvdio_req_t* req) {
  if (file->syncing_ == req) {
    end_sync(file, req);
    if (file->syncing_ == NULL) {
      let_others_sync(file, 1);
    }
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
    let_others_access(file, SHARE_EXCLUSIVE);
  }
  if (file->has_waiters_) {
    release_truncate_queue(file);
    if (file->share_ != NULL) {
      start_next_sync(file); /* The last one that waited for other handles may be cancelled. */
    }
  }
}

/* Last: whatever the steps before have released is pending and keeps the close back. */
static void outcome_close(uvdio_file_t* file) {
  if (file->pending_ == 0 && file->close_req_ != NULL) {
    release_close(file);
  }
}

void uvdio__order_hold(uvdio_file_t* file) {
  file->pending_++;
  file->unordered_pending_++;
}

void uvdio__order_let_go(uvdio_file_t* file) {
  assert(file->pending_ > 0 && file->unordered_pending_ > 0);
  file->pending_--;
  file->unordered_pending_--;
  outcome_close(file);
}

void uvdio__order_become_sync(uvdio_req_t* req) {
  assert((req->flags_ & REQ_SHORT) == 0); /* A part of it was not the last. */
  req->op = UVDIO_OP_SYNC_DATA;
  req->flags_ = (req->flags_ & ~(REQ_REFUSED | REQ_ASKED)) | REQ_WRITTEN;
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
    uvdio__trace_complete(req);
    file->state_ = req->op == UVDIO_OP_CLOSE ? FILE_CLOSED : file->state_;
    return; /* Nothing waits for these but the user: uvdio__file_finish() does the rest. */
  }
  uvdio__order_apply(req);
  uvdio__trace_complete(req);
  outcome_sync(file, req);
  outcome_counts(file, req);
  outcome_truncate(file, req);
  outcome_close(file);
}
