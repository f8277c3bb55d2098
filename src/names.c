/* SPDX-License-Identifier: MIT */
/*
 * The operations on names, as users call them, and the replacement of a name by an open file. The
 * paths lie in one allocation with what else the operation is about (os/os.h).
 */
#include <string.h>

#include "allocator.h"
#include "file.h"

static uvdio__names_t* make_names(const char* path, const char* new_path) {
  size_t length = strlen(path) + 1;
  size_t new_length = new_path == NULL ? 0 : strlen(new_path) + 1;
  size_t size = sizeof(uvdio__names_t) + length + new_length;
  uvdio__names_t* names = uvdio__alloc(size, UVDIO__STRUCT_ALIGN, 1);

  if (names == NULL) {
    return NULL;
  }
  names->size = size;
  names->path = memcpy(names->bytes, path, length);
  if (new_path != NULL) {
    names->new_path = memcpy(names->bytes + length, new_path, new_length);
  }
  return names;
}

/* From here on nothing fails. */
static int submit(uvdio_req_t* req, uvdio__names_t* names, uvdio_cb cb) {
  req->args_ = names;
  if (cb == NULL) {
    return uvdio__file_run_now(req);
  }
  req->cb_.plain = cb;
  uvdio__engine_accept(req->engine_, req);
  req->file->pending_++;
  uvdio__order_submit(req);
  return 0;
}

/*
 * Without a file
 */

static int check(const uvdio_engine_t* engine, const uvdio_req_t* req) {
  int error = uvdio__engine_check(engine);

  if (error != 0) {
    return error;
  }
  return uvdio__is_pending(req) ? UV_EBUSY : 0;
}

/* Checks what is not checked yet. `new_path` may be null, `mode` and `flags` are 0 where the
 * operation has none. */
static int start(uvdio_engine_t* engine, uvdio_req_t* req, uvdio_op_t op,
                 const uvdio__names_t* wanted, uvdio_cb cb) {
  uvdio__names_t* names;
  int error;

  if (engine == NULL || req == NULL || wanted->path == NULL) {
    return UV_EINVAL;
  }
  error = check(engine, req);
  if (error != 0) {
    return error;
  }
  names = make_names(wanted->path, wanted->new_path);
  if (names == NULL) {
    return UV_ENOMEM;
  }
  names->mode = wanted->mode;
  names->flags = wanted->flags;
  uvdio__prepare(req, &engine->no_file, op, 0, 0);
  return submit(req, names, cb);
}

int uvdio_rename(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, const char* new_path,
                 unsigned flags, uvdio_cb cb) {
  uvdio__names_t wanted = {.path = path, .new_path = new_path, .flags = flags};

  if (new_path == NULL || (flags & ~UVDIO_RENAME_NO_REPLACE) != 0) {
    return UV_EINVAL;
  }
  return start(engine, req, UVDIO_OP_RENAME, &wanted, cb);
}

int uvdio_link(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, const char* new_path,
               uvdio_cb cb) {
  uvdio__names_t wanted = {.path = path, .new_path = new_path};

  return new_path == NULL ? UV_EINVAL : start(engine, req, UVDIO_OP_LINK, &wanted, cb);
}

int uvdio_unlink(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  uvdio__names_t wanted = {.path = path};

  return start(engine, req, UVDIO_OP_UNLINK, &wanted, cb);
}

int uvdio_mkdir(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, int mode, uvdio_cb cb) {
  uvdio__names_t wanted = {.path = path, .mode = mode};

  return start(engine, req, UVDIO_OP_MKDIR, &wanted, cb);
}

int uvdio_rmdir(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  uvdio__names_t wanted = {.path = path};

  return start(engine, req, UVDIO_OP_RMDIR, &wanted, cb);
}

int uvdio_sync_directory(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  uvdio__names_t wanted = {.path = path};

  return start(engine, req, UVDIO_OP_SYNC_DIRECTORY, &wanted, cb);
}

/*
 * Replacing
 */

/* The path that the file keeps is apart, because it outlives the request. */
static uvdio__names_t* make_replacement(const uvdio_file_t* file, const char* path) {
  uvdio__names_t* names = make_names(uvdio__file_path(file), path);

  if (names == NULL) {
    return NULL;
  }
  names->own_path = uvdio__path_copy(path);
  if (names->own_path == NULL) {
    uvdio__free(names, names->size, UVDIO__STRUCT_ALIGN);
    return NULL;
  }
  return names;
}

static void free_replacement(uvdio__names_t* names) {
  uvdio__free(names->own_path, strlen(names->own_path) + 1, UVDIO__STRUCT_ALIGN);
  uvdio__free(names, names->size, UVDIO__STRUCT_ALIGN);
}

int uvdio_replace(uvdio_file_t* file, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  int error = path == NULL ? UV_EINVAL : uvdio__file_check(file, req, ACCESS_ANY);
  uvdio__names_t* names;

  if (error == 0) {
    error = uvdio__order_latch_of(file);
  }
  if (error != 0) {
    return error;
  }
  if (cb == NULL && uvdio__order_must_not_sync_now(file)) {
    return UV_EBUSY;
  }
  names = make_replacement(file, path);
  if (names == NULL) {
    return UV_ENOMEM;
  }
  uvdio__prepare(req, file, UVDIO_OP_REPLACE, 0, 0);
  error = uvdio__order_begin_replace(req, cb == NULL);
  if (error != 0) {
    free_replacement(names);
    return error;
  }
  error = submit(req, names, cb);
  if (cb == NULL) {
    uvdio__order_end_now(req);
  }
  return error;
}
