/* SPDX-License-Identifier: MIT */
/*
 * One open file: its states, its place among the engine's files, and the queue that it uses.
 *
 *          uvdio_open           its callback         uvdio_close           its outcome
 *   CLOSED -----------> OPENING -------------> OPEN -------------> CLOSING ------------> CLOSED
 *                          |    success               deferred while pending_ > 0
 *                          +-----------------> CLOSED
 *                               an error
 *
 *   state     magic_   engine_   on engine->files   descriptor
 *   CLOSED    0        null      no                 none
 *     until the callback of the close:
 *             set      set       yes                none
 *   OPENING   set      set       yes                none, or still the open state's
 *   OPEN      set      set       yes                open
 *   CLOSING   set      set       yes                open until the close runs
 *
 * In OPEN access_ tells what may be done; in all others it is 0.
 *
 * Just before the callback of a close, or of an open that failed, the file leaves the engine: from
 * then on the user may open it again, or free it.
 */
#ifndef UVDIO_FILE_H
#define UVDIO_FILE_H

#include "class.h"
#include "order.h"

/* Prepares a request for an operation on the file. */
static inline void uvdio__prepare(uvdio_req_t* req, uvdio_file_t* file, uvdio_op_t op,
                                  uint64_t offset, size_t length) {
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

/* Whether the file, whose access_ does not say so, may be asked for `access` all the same: for
 * changes, where another handle may have latched it, which is looked up here. */
int uvdio__file_allows(uvdio_file_t* file, unsigned access);

static inline int uvdio__is_open_directory(const uvdio_file_t* file) {
  return file->magic_ == uvdio__magic_of(file) && (file->access_ & ACCESS_BASE) != 0;
}

/* Whether paths can be relative to the file, or to no file at all: 0 or an error. */
static inline int uvdio__base_check(const uvdio_file_t* base) {
  if (base == NULL || uvdio__is_open_directory(base)) {
    return 0;
  }
  return base->magic_ == uvdio__magic_of(base) && base->access_ != 0 ? UV_ENOTDIR : UV_EBADF;
}

/* Whether the engine's files are the system's. */
static inline int uvdio__has_descriptors(const uvdio_engine_t* engine) {
  return engine->queues[QUEUE_MAIN].backend->has_descriptors;
}

/* What the system is to take paths relative to. */
static inline intptr_t uvdio__base_descriptor(const uvdio_file_t* base) {
  return base == NULL ? UVDIO__AT_CWD : base->handle_.descriptor;
}

/* The checks that every operation on an open file begins with; `access` is what it takes. */
static inline int uvdio__file_check(uvdio_file_t* file, const uvdio_req_t* req, unsigned access) {
  int error;

  if (file == NULL || req == NULL) {
    return UV_EINVAL;
  }
  if (file->magic_ != uvdio__magic_of(file) ||
      ((file->access_ & access) == 0 && !uvdio__file_allows(file, access))) {
    return uvdio__is_open_directory(file) ? UV_EISDIR : UV_EBADF;
  }
  error = uvdio__engine_check_thread(file->engine_);
  if (UVDIO__UNLIKELY(file->engine_->refuses != 0)) {
    error = uvdio__class_check(file, req, access != ACCESS_ANY);
  }
  if (error != 0) {
    return error;
  }
  return uvdio__is_pending(req) ? UV_EBUSY : 0;
}

/* The path that the file was opened by. */
static inline const char* uvdio__file_path(const uvdio_file_t* file) {
  return file->path_ != NULL ? file->path_ : "";
}

/* The synchronous form of a prepared request: performs it on this thread. */
int uvdio__file_run_now(uvdio_req_t* req);

/* Sets what a file has before it is opened, in zeroed memory. */
void uvdio__file_init(uvdio_file_t* file, uvdio_engine_t* engine);

/* The files that an accepted operation on names is about stay open until its callback. */
void uvdio__names_hold(uvdio_req_t* req);

/* Frees the paths of an operation on names or a replace, which is about to be called back. */
void uvdio__names_free(uvdio_req_t* req);

/* For an open or close whose callback is due: the file is open, or closed and the user's again. */
void uvdio__file_finish(uvdio_req_t* req);

/* Closes a file that the user left open, and on which nothing is pending. */
void uvdio__file_close_left_open(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/* Closes an idle file's descriptor synchronously, without a callback. */
void uvdio__file_close_now(uvdio_file_t* file);

#endif /* UVDIO_FILE_H */
