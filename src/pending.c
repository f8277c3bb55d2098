/* SPDX-License-Identifier: MIT */
/*
 * All requests that are pending, of an engine or of one file: to end them early, and to list them.
 * Each is on one of these lists, or is the close that a file holds back:
 *
 *   a queue     waiting, running
 *   a class     waiting
 *   a file      deferred_, written_, followers_, durable_waiting_, truncate_queue_
 *   the engine  completed: the callback is due; frame_waits
 */
#include "pending.h"

#include "file.h"
#include "frames.h"

/*
 * Ending early
 */

int uvdio_cancel(uvdio_req_t* req) {
  uvdio_engine_t* engine;
  uvdio__queue_t* queue;

  if (req == NULL || !uvdio__is_pending(req)) {
    return UV_EINVAL;
  }
  engine = req->engine_;
  if (uvdio__engine_is_forked(engine)) {
    return UVDIO_EFORK;
  }
  if (uvdio__engine_is_foreign(engine)) {
    return UVDIO_ETHREAD;
  }
  if (req->state_ == STATE_COMPLETED || req->op == UVDIO_OP_CLOSE || engine->is_walked) {
    return UV_EBUSY;
  }
  if (uvdio__is_of_frames(req->op)) {
    return uvdio__frames_cancel(req);
  }
  queue = req->queue_;
  req->cancelled_ = 1;
  if ((req->flags_ & REQ_UNCANCELLABLE) != 0) {
    return 0;
  }
  if (req->state_ == STATE_RUNNING) {
    queue->backend->cancel(queue, req);
    return 0;
  }
  if (req->state_ == STATE_DEFERRED) {
    uvdio__order_undefer(req);
  } else {
    uvdio__queue_remove(req);
  }
  uvdio__request_fail(req, UV_ECANCELED);
  uvdio__queue_complete(req);
  return 0;
}

/* Whether the request is of the file, or keeps it open. */
static int is_of(const uvdio_req_t* req, const uvdio_file_t* file) {
  const uvdio__names_t* names;

  if (req->file == file || (req->flags_ & REQ_HOLDS) == 0) {
    return req->file == file;
  }
  if (req->op == UVDIO_OP_OPEN) {
    return uvdio__open_state_of(req)->base == file;
  }
  names = uvdio__names_of(req);
  return names->base == file || names->new_base == file || names->linked == file;
}

static int is_wanted(const uvdio_req_t* req, const uvdio_file_t* file) {
  return (file == NULL || is_of(req, file)) && req->op != UVDIO_OP_CLOSE &&
         (req->flags_ & REQ_UNCANCELLABLE) == 0;
}

/* The next one is looked up before: a cancelled request leaves the list, and what it releases is
 * appended. Returns how many have ended. */
static size_t cancel_waiting(const uvdio__list_t* waiting, const uvdio_file_t* file) {
  uvdio_req_t* req = uvdio__list_first(waiting);
  size_t count = 0;

  while (req != NULL) {
    uvdio_req_t* next = uvdio__list_after(waiting, req);
    if (is_wanted(req, file)) {
      (void)uvdio_cancel(req);
      count++;
    }
    req = next;
  }
  return count;
}

/* They stay on the list, and end when the backend says so. Returns 1 where the backend broke down
 * meanwhile: then what it had not taken waits on the pool, and the list is another one. */
static int cancel_running(uvdio__queue_t* queue, const uvdio_file_t* file) {
  int was_broken = uvdio__queue_is_broken(queue);
  uvdio_req_t* req;

  for (req = uvdio__list_first(&queue->running); req != NULL;
       req = uvdio__list_after(&queue->running, req)) {
    if (is_wanted(req, file) && !req->cancelled_) {
      (void)uvdio_cancel(req);
      if (uvdio__queue_is_broken(queue) != was_broken) {
        return 1;
      }
    }
  }
  return 0;
}

#define FILE_LISTS 5

static void lists_of(uvdio_file_t* file, uvdio__list_t* lists[FILE_LISTS]) {
  lists[0] = &file->truncate_queue_;
  lists[1] = &file->durable_waiting_;
  lists[2] = &file->deferred_;
  lists[3] = &file->written_;
  lists[4] = &file->followers_;
}

/* The first of a list that is to end; a base's requests wait among those of the files that they are
 * about. */
static uvdio_req_t* first_wanted(const uvdio__list_t* list, const uvdio_file_t* only) {
  uvdio_req_t* req = uvdio__list_first(list);

  while (req != NULL && only != NULL && !is_of(req, only)) {
    req = uvdio__list_after(list, req);
  }
  return req;
}

static size_t cancel_deferred(uvdio_file_t* file, const uvdio_file_t* only) {
  uvdio__list_t* lists[FILE_LISTS];
  size_t count = 0;
  unsigned i;

  lists_of(file, lists);
  for (i = 0; i < FILE_LISTS; i++) {
    uvdio_req_t* req;
    while ((req = first_wanted(lists[i], only)) != NULL) {
      (void)uvdio_cancel(req);
      count++;
    }
  }
  return count;
}

/* Only what is relative to a directory waits with other files. */
static size_t cancel_deferred_of(uvdio_engine_t* engine, uvdio_file_t* only) {
  int is_alone = only != NULL && (only->flags_ & UVDIO_O_DIRECTORY) == 0;
  uvdio_file_t* file;
  size_t count = 0;

  if (is_alone) {
    return cancel_deferred(only, only);
  }
  for (file = engine->files; file != NULL; file = file->next_) {
    count += cancel_deferred(file, only);
  }
  return count;
}

/* What ends may release others, so that it is done until none is left that has not begun. */
static void cancel_unbegun(uvdio_engine_t* engine, uvdio_file_t* only) {
  const uvdio__list_t* waiting;
  size_t count;
  unsigned i;

  do {
    count = cancel_deferred_of(engine, only);
    for (i = 0; (waiting = uvdio__queue_waiting(engine, i)) != NULL; i++) {
      count += cancel_waiting(waiting, only);
    }
  } while (count > 0);
}

static void cancel_all(uvdio_engine_t* engine, uvdio_file_t* only) {
  int again;
  unsigned i;

  if (only == NULL) {
    uvdio__frames_cancel_all(engine);
  }
  do {
    cancel_unbegun(engine, only);
    again = 0;
    for (i = 0; i < engine->queue_count; i++) {
      again |= cancel_running(&engine->queues[i], only);
    }
  } while (again);
}

static int check_engine(const uvdio_engine_t* engine) {
  if (uvdio__engine_is_forked(engine)) {
    return UVDIO_EFORK;
  }
  if (uvdio__engine_is_foreign(engine)) {
    return UVDIO_ETHREAD;
  }
  return engine->is_walked ? UV_EBUSY : 0; /* It would change what is walked over. */
}

int uvdio_engine_cancel(uvdio_engine_t* engine) {
  int error = engine == NULL ? UV_EINVAL : check_engine(engine);

  if (error == 0) {
    cancel_all(engine, NULL);
  }
  return error;
}

int uvdio_file_cancel(uvdio_file_t* file) {
  int error;

  if (file == NULL) {
    return UV_EINVAL;
  }
  if (file->magic_ != uvdio__magic_of(file) || file->engine_ == NULL) {
    return UV_EBADF;
  }
  error = check_engine(file->engine_);
  if (error == 0) {
    cancel_all(file->engine_, file);
  }
  return error;
}

/*
 * Listing
 */

static uvdio_request_state_t state_of(const uvdio_req_t* req) {
  switch (req->state_) {
    case STATE_RUNNING:
      return UVDIO_REQUEST_RUNNING;
    case STATE_DEFERRED:
      return UVDIO_REQUEST_DEFERRED;
    case STATE_COMPLETED:
      return UVDIO_REQUEST_COMPLETED;
    default:
      assert(req->state_ == STATE_WAITING);
      return UVDIO_REQUEST_WAITING;
  }
}

void uvdio__pending_describe(const uvdio_req_t* req, uvdio_request_info_t* info) {
  const uvdio__queue_t* queue = uvdio__queue_in_use(req->queue_);
  uint64_t now_ms = uv_now(req->engine_->loop);
  uint64_t silent_ms = now_ms - req->engine_->last_end_ms;

  info->req = req;
  info->op = (req->flags_ & REQ_WRITTEN) != 0 ? UVDIO_OP_WRITE : req->op;
  info->state = state_of(req);
  info->path = uvdio__is_name(req->op) ? uvdio__names_of(req)->path : uvdio__file_path(req->file);
  info->backend = uvdio__is_of_frames(req->op) ? "none" : queue->backend->name;
  info->offset = req->offset_;
  info->length = req->length_;
  info->transferred = req->transferred;
  info->age_ms = now_ms - req->submitted_ms_;
  info->is_cancelled = req->cancelled_;
  info->silent_ms = silent_ms < info->age_ms ? silent_ms : info->age_ms;
}

/* Returns the first of the list for which `visit` returns 1, or null. */
static uvdio_req_t* visit_list(const uvdio__list_t* list, uvdio__visit_t visit, void* arg) {
  uvdio_req_t* req = uvdio__list_first(list);

  while (req != NULL && !visit(req, arg)) {
    req = uvdio__list_after(list, req);
  }
  return req;
}

static uvdio_req_t* visit_file(uvdio_file_t* file, uvdio__visit_t visit, void* arg) {
  uvdio__list_t* lists[FILE_LISTS];
  uvdio_req_t* req = NULL;
  unsigned i;

  lists_of(file, lists);
  for (i = 0; i < FILE_LISTS && req == NULL; i++) {
    req = visit_list(lists[i], visit, arg);
  }
  if (req == NULL && file->close_req_ != NULL && visit(file->close_req_, arg)) {
    req = file->close_req_;
  }
  return req;
}

uvdio_req_t* uvdio__pending_visit(uvdio_engine_t* engine, uvdio__visit_t visit, void* arg) {
  const uvdio__list_t* waiting;
  uvdio_req_t* req = NULL;
  uvdio_file_t* file;
  unsigned i;

  for (i = 0; i < engine->queue_count && req == NULL; i++) {
    req = visit_list(&engine->queues[i].running, visit, arg);
  }
  for (i = 0; req == NULL && (waiting = uvdio__queue_waiting(engine, i)) != NULL; i++) {
    req = visit_list(waiting, visit, arg);
  }
  for (file = engine->files; file != NULL && req == NULL; file = file->next_) {
    req = visit_file(file, visit, arg);
  }
  req = req != NULL ? req : visit_list(&engine->frame_waits, visit, arg);
  return req != NULL ? req : visit_list(&engine->completed, visit, arg);
}

typedef struct walk_s {
  uvdio_walk_cb cb;
  void* arg;
} walk_t;

static int tell_request(uvdio_req_t* req, void* arg) {
  const walk_t* walk = arg;
  uvdio_request_info_t info;

  uvdio__pending_describe(req, &info);
  walk->cb(&info, walk->arg);
  return 0;
}

int uvdio_engine_walk(uvdio_engine_t* engine, uvdio_walk_cb cb, void* arg) {
  walk_t walk = {cb, arg};
  int error = engine == NULL || cb == NULL ? UV_EINVAL : check_engine(engine);

  if (error == 0) {
    engine->is_walked = 1;
    (void)uvdio__pending_visit(engine, tell_request, &walk);
    engine->is_walked = 0;
  }
  return error;
}
