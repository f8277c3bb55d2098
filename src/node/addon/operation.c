/* SPDX-License-Identifier: MIT */
/*
 * Operations: a promise for each request. It is settled in a scope of its own, which runs what
 * awaits it before the next callback begins, as with Node's own operations.
 */
#include <stdlib.h>
#include <string.h>

#include "addon.h"

/* A token is the number of an operation's use, and its slot: it finds the operation at once, and no
 * later use of it. Both fit into 53 bits, a number of JavaScript. */
#define SLOT_BITS 24
#define TURN_MAX ((1ULL << 29) - 1)

static bool grow_ops(env_t* env) {
  size_t room = env->ops_room == 0 ? 64 : env->ops_room * 2;
  op_t** ops = room > (1ULL << SLOT_BITS) ? NULL : realloc(env->ops, room * sizeof(op_t*));

  if (ops == NULL) {
    return false;
  }
  env->ops = ops;
  env->ops_room = room;
  return true;
}

static op_t* create_op(env_t* env) {
  op_t* op = env->ops_count < env->ops_room || grow_ops(env) ? calloc(1, sizeof *op) : NULL;

  if (op != NULL) {
    op->slot = env->ops_count;
    env->ops[env->ops_count++] = op;
  }
  return op;
}

static op_t* take_op(env_t* env) {
  op_t* op = env->spare;

  if (op == NULL) {
    return create_op(env);
  }
  env->spare = op->next;
  size_t slot = op->slot;
  uint64_t turn = op->turn;
  memset(op, 0, sizeof *op);
  op->slot = slot;
  op->turn = (turn + 1) & TURN_MAX;
  return op;
}

static uint64_t token_of(const op_t* op) {
  return op->turn << SLOT_BITS | op->slot;
}

void op_let_go(op_t* op) {
  claim_let_go(&op->claim);
  vector_free(op->vector);
  op->vector = NULL;
}

/* Gives back all that the operation has held but its file, and keeps its memory for the next. */
static void release_op(op_t* op) {
  env_t* env = op->env;

  if (op->memory != NULL) {
    napi_delete_reference(env->napi, op->memory);
  }
  op_let_go(op);
  free(op->path);
  free(op->dest);
  op->next = env->spare;
  env->spare = op;
}

void ops_free(env_t* env) {
  for (size_t i = 0; i < env->ops_count; i++) {
    free(env->ops[i]);
  }
  free(env->ops);
}

/* Returns null with an exception pending. */
op_t* op_begin(env_t* env, const char* name, file_t* file, napi_value* promise) {
  int error = env_engine(env);
  op_t* op = error == 0 ? take_op(env) : NULL;

  if (op == NULL) {
    throw_error(env, error != 0 ? error : UV_ENOMEM, name, file != NULL ? file->path : NULL);
    return NULL;
  }
  op->req.data = op;
  op->env = env;
  op->name = name;
  op->file = file;
  op->is_pending = true;
  (void)uvdio_req_set_class(&op->req, env->class_number); /* lib/classes.js has checked it */
  napi_create_promise(env->napi, &op->deferred, promise);
  return op;
}

/* The file of argument 0, and an operation on it; null with an exception pending. */
op_t* op_begin_on_file(call_t* call, const char* name, napi_value* promise) {
  void* file = NULL;

  return get_pointer(call, 0, &file) ? op_begin(call->env, name, file, promise) : NULL;
}

static subject_t subject_of(const op_t* op) {
  subject_t subject = {op->name, op->path, op->dest};

  if (op->file != NULL) {
    subject.path = op->file->path;
  }
  return subject;
}

/* The end of each submission: a refused one rejects its promise. */
napi_value op_submitted(op_t* op, int error, napi_value promise) {
  env_t* env = op->env;

  env->shared[SHARED_TOKEN] = (double)token_of(op);
  if (error == 0) {
    return promise;
  }
  napi_reject_deferred(env->napi, op->deferred, make_error(env, error, subject_of(op)));
  op->is_pending = false;
  release_op(op);
  return promise;
}

napi_value promise_of(env_t* env, int error, const char* name, const char* path,
                      napi_deferred* deferred) {
  napi_value promise = NULL;

  if (error != 0) {
    return throw_error(env, error, name, path);
  }
  napi_create_promise(env->napi, deferred, &promise);
  return promise;
}

napi_value nothing_taken(env_t* env, int error, const char* name, const char* path) {
  napi_value value = NULL;

  if (error == UV_EOF) {
    napi_get_null(env->napi, &value);
  } else if (error != UV_EAGAIN) {
    throw_error(env, error, name, path);
  }
  return value;
}

void settle(env_t* env, napi_deferred deferred, int error, subject_t subject,
            settle_value_cb value_cb, void* arg) {
  napi_handle_scope handles = NULL;
  napi_callback_scope callback = NULL;
  napi_value resource = NULL;
  napi_value value = NULL;

  if (env->is_ending || napi_open_handle_scope(env->napi, &handles) != napi_ok) {
    return;
  }
  napi_create_object(env->napi, &resource);
  if (napi_open_callback_scope(env->napi, resource, env->context, &callback) == napi_ok) {
    if (error < 0) {
      napi_reject_deferred(env->napi, deferred, make_error(env, error, subject));
    } else {
      napi_get_undefined(env->napi, &value);
      napi_resolve_deferred(env->napi, deferred, value_cb == NULL ? value : value_cb(env, arg));
    }
    napi_close_callback_scope(env->napi, callback);
  }
  napi_close_handle_scope(env->napi, handles);
}

static napi_value stat_value(env_t* env, const uvdio_stat_t* stat) {
  napi_value object = NULL;

  napi_create_object(env->napi, &object);
  set_number(env, object, "size", (double)stat->size);
  set_number(env, object, "allocated", (double)stat->allocated);
  set_bigint(env, object, "dev", stat->device);
  set_bigint(env, object, "ino", stat->inode);
  set_number(env, object, "nlink", (double)stat->links);
  set_number(env, object, "mode", stat->mode);
  set_number(env, object, "atimeMs", (double)stat->accessed_ns / 1e6);
  set_number(env, object, "mtimeMs", (double)stat->modified_ns / 1e6);
  set_number(env, object, "ctimeMs", (double)stat->changed_ns / 1e6);
  set_number(env, object, "birthtimeMs", (double)stat->created_ns / 1e6);
  return object;
}

static napi_value op_value(env_t* env, void* arg) {
  const op_t* op = arg;
  napi_value value = NULL;

  switch (op->value) {
    case VALUE_NUMBER:
      return make_number(env, (double)op->req.result);
    case VALUE_FILE:
      return file_value(op->file);
    case VALUE_STAT:
      return stat_value(env, &op->stat);
    case VALUE_NONE:
      break;
  }
  napi_get_undefined(env->napi, &value);
  return value;
}

/* The file has the path that it was given: in place of another's, or as its first one. */
static void take_dest(op_t* op) {
  char* path = op->file->path;

  op->file->path = op->dest;
  op->file->is_nameless = false;
  op->dest = path;
}

/* A replace may have come so far where it has failed, too. */
static bool has_dest(const op_t* op, int64_t result) {
  const file_t* file = op->file;

  return op->req.op == UVDIO_OP_REPLACE
             ? op->req.transferred == 1
             : result == 0 && op->req.op == UVDIO_OP_LINK && file != NULL && file->is_nameless;
}

/* The promise is settled after the memory is free, so that what awaits it may use it again. */
void op_done(uvdio_req_t* req, int64_t result) {
  op_t* op = req->data;
  env_t* env = op->env;
  file_t* file = op->file;
  bool is_end = req->op == UVDIO_OP_CLOSE || (req->op == UVDIO_OP_OPEN && result < 0);
  subject_t subject = subject_of(op);

  op->is_pending = false;
  op_let_go(op);
  if (has_dest(op, result)) {
    take_dest(op);
  }
  if (is_end) {
    streams_end(env, file);
  }
  settle(env, op->deferred, result < 0 ? (int)result : 0, subject, op_value, op);
  release_op(op);
  if (is_end) {
    file_ended(file);
  }
}

void op_io_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio_buf_release(&buf); /* a copy's; a view's is empty */
  op_done(req, result);
}

/* cancel(token): what has ended meanwhile is left alone */
napi_value cancel_operation(napi_env napi, napi_callback_info info) {
  call_t call;
  uint64_t token = 0;

  call_begin(&call, napi, info);
  if (!get_uint64(&call, 0, &token)) {
    return NULL;
  }
  size_t slot = (size_t)(token & ((1ULL << SLOT_BITS) - 1));
  op_t* op = slot < call.env->ops_count ? call.env->ops[slot] : NULL;
  if (op != NULL && op->is_pending && token_of(op) == token) {
    uvdio_cancel(&op->req);
  }
  return NULL;
}
