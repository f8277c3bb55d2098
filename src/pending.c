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

typedef struct walk_s {
  uvdio_walk_cb cb;
  void* arg;
  uint64_t now_ms;
} walk_t;

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

static void tell_request(const walk_t* walk, const uvdio_req_t* req) {
  const uvdio__queue_t* queue = uvdio__queue_or_pool(req->queue_);
  uvdio_request_info_t info;

  info.req = req;
  info.op = (req->flags_ & REQ_WRITTEN) != 0 ? UVDIO_OP_WRITE : req->op;
  info.state = state_of(req);
  info.path = uvdio__is_name(req->op) ? uvdio__names_of(req)->path : uvdio__file_path(req->file);
  info.backend = uvdio__is_of_frames(req->op) ? "none" : queue->backend->name;
  info.offset = req->offset_;
  info.length = req->length_;
  info.transferred = req->transferred;
  info.age_ms = walk->now_ms - req->submitted_ms_;
  info.is_cancelled = req->cancelled_;
  walk->cb(&info, walk->arg);
}

static void walk_list(const walk_t* walk, const uvdio__list_t* list) {
  const uvdio_req_t* req;

  for (req = uvdio__list_first(list); req != NULL; req = uvdio__list_after(list, req)) {
    tell_request(walk, req);
  }
}

static void walk_file(const walk_t* walk, uvdio_file_t* file) {
  uvdio__list_t* lists[FILE_LISTS];
  unsigned i;

  lists_of(file, lists);
  for (i = 0; i < FILE_LISTS; i++) {
    walk_list(walk, lists[i]);
  }
  if (file->close_req_ != NULL) {
    tell_request(walk, file->close_req_);
  }
}

int uvdio_engine_walk(uvdio_engine_t* engine, uvdio_walk_cb cb, void* arg) {
  walk_t walk = {cb, arg, 0};
  int error = engine == NULL || cb == NULL ? UV_EINVAL : check_engine(engine);
  const uvdio__list_t* waiting;
  uvdio_file_t* file;
  unsigned i;

  if (error != 0) {
    return error;
  }
  walk.now_ms = uv_now(engine->loop);
  engine->is_walked = 1;
  for (i = 0; i < engine->queue_count; i++) {
    walk_list(&walk, &engine->queues[i].running);
  }
  for (i = 0; (waiting = uvdio__queue_waiting(engine, i)) != NULL; i++) {
    walk_list(&walk, waiting);
  }
  for (file = engine->files; file != NULL; file = file->next_) {
    walk_file(&walk, file);
  }
  walk_list(&walk, &engine->frame_waits);
  walk_list(&walk, &engine->completed);
  engine->is_walked = 0;
  return 0;
}
