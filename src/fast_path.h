/* SPDX-License-Identifier: MIT */
/*
 * The fast path of reads and writes: one comparison stands for every check of file, engine and
 * thread. A file's key matches only while a transfer has nothing to wait for and nothing to report.
 *
 * The key is set while all of this holds, and 0 otherwise:
 *   - the file is open, and no close and no truncate waits or runs;
 *   - the engine is bound to a thread and not closing; the key is the file's address mixed with the
 *     number of that thread, so that it matches on that thread only;
 *   - the file's queue has a backend with `transfer`, which knows how the file's entries begin;
 *   - its durable writes need no turn (UVDIO__QUIRK_SHARED_WRITEBACK_ERROR).
 * Code that changes one of these calls uvdio__fast_path_update(); each transfer asserts that the
 * key is the one that would be computed now.
 */
#ifndef UVDIO_FAST_PATH_H
#define UVDIO_FAST_PATH_H

#include <assert.h>

#include "engine.h"
#include "list.h"
#include "request.h"

/* uvdio_file_t.state_ */
#undef FILE_OPEN /* <winnt.h> has one, too, which nothing that includes this file uses. */
enum { FILE_CLOSED = 0, FILE_OPENING, FILE_OPEN, FILE_CLOSING };

/* Whether errors of the file's durable writes may be reported to another one. */
static inline int uvdio__has_shared_errors(const uvdio_file_t* file) {
  return (file->quirks_ & UVDIO__QUIRK_SHARED_WRITEBACK_ERROR) != 0;
}

static inline uintptr_t uvdio__fast_path_key(const uvdio_file_t* file, uintptr_t thread) {
  return (uintptr_t)file ^ thread;
}

/* The key that the file should have now. */
static inline uintptr_t uvdio__fast_path_compute(const uvdio_file_t* file) {
  const uvdio_engine_t* engine = file->engine_;
  const uvdio__queue_t* queue = file->queue_;
  int applies = file->state_ == FILE_OPEN && engine->thread != 0 && engine->state == ENGINE_OPEN &&
                !file->has_waiters_ && !uvdio__has_shared_errors(file) &&
                queue->backend->transfer != NULL && file->sqe_template_[0][0] != 0;

  return applies ? uvdio__fast_path_key(file, engine->thread) : 0;
}

static inline void uvdio__fast_path_update(uvdio_file_t* file) {
  file->fast_path_key_ = uvdio__fast_path_compute(file);
}

static inline void uvdio__fast_path_update_all(const uvdio_engine_t* engine) {
  uvdio_file_t* file;

  for (file = engine->files; file != NULL; file = file->next_) {
    uvdio__fast_path_update(file);
  }
}

static inline int uvdio__fast_path_matches(const uvdio_file_t* file) {
  int matches = file->fast_path_key_ == uvdio__fast_path_key(file, uvdio__os_this_thread);

  assert(!matches || file->fast_path_key_ == uvdio__fast_path_compute(file));
  return matches;
}

static inline void uvdio__order_append(uvdio_file_t* file, uvdio_req_t* req) {
  req->flags_ |= REQ_ORDERED;
  req->sequence_ = ++file->sequence_;
  uvdio__link_insert(&req->order_link_, &file->order_);
}

static inline void uvdio__order_remove(uvdio_req_t* req) {
  uvdio__link_remove(&req->order_link_);
  req->flags_ &= (unsigned char)~REQ_ORDERED;
}

/* The outcome of a request that no other one waits for: reads, and non-durable writes with no sync
 * waiting. Returns 0 for any other, and has done nothing then. */
static inline int uvdio__fast_path_outcome(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (req->op == UVDIO_OP_READ && !file->has_waiters_) {
    req->buf_.len = req->transferred;
  } else if (req->op == UVDIO_OP_WRITE && !file->has_waiters_ &&
             (file->flags_ & UVDIO_O_DSYNC) == 0 && (req->flags_ & REQ_ORDERED) != 0 &&
             uvdio__list_is_empty(&file->deferred_)) {
    uvdio__order_remove(req);
  } else {
    return 0;
  }
  assert(file->pending_ > 0);
  file->pending_--;
  return 1;
}

#endif /* UVDIO_FAST_PATH_H */
