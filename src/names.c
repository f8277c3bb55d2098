/* SPDX-License-Identifier: MIT */
/*
 * The operations on names, as users call them, and the replacement of a name by an open file. The
 * paths lie in one allocation with what else the operation is about (os/os.h).
 */
#include <string.h>

#include "allocator.h"
#include "file.h"
#include "path.h"

/* What an operation was asked for: paths, and the open directories that they are relative to. */
typedef struct wanted_s {
  uvdio_file_t* base;
  const char* path;
  uvdio_file_t* new_base;
  const char* new_path; /* null where there is none */
  uvdio_file_t* linked; /* the open file that gets the name */
  int mode;
  unsigned flags;
} wanted_t;

static const char* path_of_base(const uvdio_file_t* base) {
  return base == NULL ? NULL : uvdio__file_path(base);
}

static uvdio__names_t* make_names(const uvdio_engine_t* engine, const wanted_t* wanted) {
  int is_normal = !uvdio__has_descriptors(engine);
  const char* base = path_of_base(wanted->base);
  const char* new_base = path_of_base(wanted->new_base);
  size_t length = uvdio__path_write(NULL, is_normal, base, wanted->path) + 1;
  size_t new_length = wanted->new_path == NULL
                          ? 0
                          : uvdio__path_write(NULL, is_normal, new_base, wanted->new_path) + 1;
  size_t size = sizeof(uvdio__names_t) + length + new_length;
  uvdio__names_t* names = uvdio__alloc(size, UVDIO__STRUCT_ALIGN, 1);

  if (names == NULL) {
    return NULL;
  }
  names->size = size;
  names->path = names->bytes;
  (void)uvdio__path_write(names->bytes, is_normal, base, wanted->path);
  if (wanted->new_path != NULL) {
    names->new_path = names->bytes + length;
    (void)uvdio__path_write(names->bytes + length, is_normal, new_base, wanted->new_path);
  }
  names->base = wanted->base;
  names->new_base = wanted->new_base;
  names->at = uvdio__base_descriptor(wanted->base);
  names->new_at = uvdio__base_descriptor(wanted->new_base);
  names->linked = wanted->linked;
  names->mode = wanted->mode;
  names->flags = wanted->flags;
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
  uvdio__names_hold(req);
  req->file->pending_++;
  uvdio__order_submit(req);
  return 0;
}

/*
 * Without a file
 */

static int check(const uvdio_engine_t* engine, const uvdio_req_t* req, const wanted_t* wanted) {
  int error = uvdio__base_check(wanted->base);

  if (error == 0) {
    error = uvdio__base_check(wanted->new_base);
  }
  if (error == 0) {
    error = uvdio__engine_check(engine);
  }
  if (error != 0) {
    return error;
  }
  return uvdio__is_pending(req) ? UV_EBUSY : 0;
}

/* Checks what is not checked yet. */
static int start(uvdio_engine_t* engine, uvdio_req_t* req, uvdio_op_t op, const wanted_t* wanted,
                 uvdio_cb cb) {
  uvdio__names_t* names;
  int error;

  if (engine == NULL || req == NULL || wanted->path == NULL) {
    return UV_EINVAL;
  }
  error = check(engine, req, wanted);
  if (error != 0) {
    return error;
  }
  names = make_names(engine, wanted);
  if (names == NULL) {
    return UV_ENOMEM;
  }
  uvdio__prepare(req, &engine->no_file, op, 0, 0);
  return submit(req, names, cb);
}

/* The same with the engine of the bases, of which one may be null. */
static int start_at(uvdio_req_t* req, uvdio_op_t op, const wanted_t* wanted, uvdio_cb cb) {
  const uvdio_file_t* one = wanted->base != NULL ? wanted->base : wanted->new_base;
  const uvdio_file_t* other = wanted->new_base != NULL ? wanted->new_base : one;
  int error;

  if (one == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__base_check(one);
  if (error == 0) {
    error = uvdio__base_check(other);
  }
  if (error != 0) {
    return error;
  }
  return one->engine_ != other->engine_ ? UV_EINVAL : start(one->engine_, req, op, wanted, cb);
}

int uvdio_rename(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, const char* new_path,
                 unsigned flags, uvdio_cb cb) {
  wanted_t wanted = {.path = path, .new_path = new_path, .flags = flags};

  if (new_path == NULL || (flags & ~UVDIO_RENAME_NO_REPLACE) != 0) {
    return UV_EINVAL;
  }
  return start(engine, req, UVDIO_OP_RENAME, &wanted, cb);
}

int uvdio_rename_at(uvdio_file_t* base, uvdio_req_t* req, const char* path, uvdio_file_t* new_base,
                    const char* new_path, unsigned flags, uvdio_cb cb) {
  wanted_t wanted = {base, path, new_base, new_path, NULL, 0, flags};

  if (new_path == NULL || (flags & ~UVDIO_RENAME_NO_REPLACE) != 0) {
    return UV_EINVAL;
  }
  return start_at(req, UVDIO_OP_RENAME, &wanted, cb);
}

int uvdio_link(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, const char* new_path,
               uvdio_cb cb) {
  wanted_t wanted = {.path = path, .new_path = new_path};

  return new_path == NULL ? UV_EINVAL : start(engine, req, UVDIO_OP_LINK, &wanted, cb);
}

int uvdio_link_at(uvdio_file_t* base, uvdio_req_t* req, const char* path, uvdio_file_t* new_base,
                  const char* new_path, uvdio_cb cb) {
  wanted_t wanted = {base, path, new_base, new_path, NULL, 0, 0};

  return new_path == NULL ? UV_EINVAL : start_at(req, UVDIO_OP_LINK, &wanted, cb);
}

int uvdio_unlink(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  wanted_t wanted = {.path = path};

  return start(engine, req, UVDIO_OP_UNLINK, &wanted, cb);
}

int uvdio_unlink_at(uvdio_file_t* base, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  wanted_t wanted = {.base = base, .path = path};

  return start_at(req, UVDIO_OP_UNLINK, &wanted, cb);
}

int uvdio_mkdir(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, int mode, uvdio_cb cb) {
  wanted_t wanted = {.path = path, .mode = mode};

  return start(engine, req, UVDIO_OP_MKDIR, &wanted, cb);
}

int uvdio_mkdir_at(uvdio_file_t* base, uvdio_req_t* req, const char* path, int mode, uvdio_cb cb) {
  wanted_t wanted = {.base = base, .path = path, .mode = mode};

  return start_at(req, UVDIO_OP_MKDIR, &wanted, cb);
}

int uvdio_rmdir(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  wanted_t wanted = {.path = path};

  return start(engine, req, UVDIO_OP_RMDIR, &wanted, cb);
}

int uvdio_rmdir_at(uvdio_file_t* base, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  wanted_t wanted = {.base = base, .path = path};

  return start_at(req, UVDIO_OP_RMDIR, &wanted, cb);
}

int uvdio_sync_directory(uvdio_engine_t* engine, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  wanted_t wanted = {.path = path};

  return start(engine, req, UVDIO_OP_SYNC_DIRECTORY, &wanted, cb);
}

/*
 * Names of an open file
 */

/* The path that the file keeps is apart, because it outlives the request, and as it was given. */
static uvdio__names_t* make_names_of_file(const uvdio_file_t* file, const wanted_t* wanted) {
  uvdio__names_t* names = make_names(file->engine_, wanted);

  if (names == NULL) {
    return NULL;
  }
  names->own_path_kind = uvdio__path_kind_of(wanted->new_base, wanted->new_path);
  names->own_path = uvdio__path_make(0, NULL, wanted->new_path);
  if (names->own_path == NULL) {
    uvdio__free(names, names->size, UVDIO__STRUCT_ALIGN);
    return NULL;
  }
  return names;
}

static void free_names(uvdio__names_t* names) {
  uvdio__path_free(names->own_path);
  uvdio__free(names, names->size, UVDIO__STRUCT_ALIGN);
}

static int check_file(uvdio_file_t* file, const uvdio_req_t* req, const uvdio_file_t* base,
                      const char* path) {
  int error = path == NULL ? UV_EINVAL : uvdio__file_check(file, req, ACCESS_CONTENT);

  if (error == 0) {
    error = uvdio__base_check(base);
  }
  if (error != 0) {
    return error;
  }
  return base != NULL && base->engine_ != file->engine_ ? UV_EINVAL : 0;
}

int uvdio_link_file_at(uvdio_file_t* file, uvdio_req_t* req, uvdio_file_t* base, const char* path,
                       uvdio_cb cb) {
  int error = check_file(file, req, base, path);
  wanted_t wanted = {.new_base = base, .new_path = path, .linked = file};
  uvdio__names_t* names;

  if (error != 0) {
    return error;
  }
  wanted.path = uvdio__file_path(file);
  names = make_names_of_file(file, &wanted);
  if (names == NULL) {
    return UV_ENOMEM;
  }
  uvdio__prepare(req, &file->engine_->no_file, UVDIO_OP_LINK, 0, 0);
  return submit(req, names, cb);
}

int uvdio_link_file(uvdio_file_t* file, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  return uvdio_link_file_at(file, req, NULL, path, cb);
}

/* What was opened relative to a directory is found there. */
static int check_replace(uvdio_file_t* file, const uvdio_req_t* req, const uvdio_file_t* base,
                         const char* path) {
  int error = check_file(file, req, base, path);

  if (error != 0) {
    return error;
  }
  if (file->path_kind_ == PATH_NONE || (file->path_kind_ == PATH_BASED && base == NULL)) {
    return UV_EINVAL;
  }
  return uvdio__order_latch_of(file);
}

int uvdio_replace_at(uvdio_file_t* file, uvdio_req_t* req, uvdio_file_t* base, const char* path,
                     uvdio_cb cb) {
  int error = check_replace(file, req, base, path);
  wanted_t wanted = {.new_base = base, .new_path = path};
  uvdio__names_t* names;

  if (error != 0) {
    return error;
  }
  if (cb == NULL && uvdio__order_must_not_sync_now(file)) {
    return UV_EBUSY;
  }
  wanted.path = uvdio__file_path(file);
  wanted.base = file->path_kind_ == PATH_BASED ? base : NULL;
  names = make_names_of_file(file, &wanted);
  if (names == NULL) {
    return UV_ENOMEM;
  }
  uvdio__prepare(req, file, UVDIO_OP_REPLACE, 0, 0);
  error = uvdio__order_begin_replace(req, cb == NULL);
  if (error != 0) {
    free_names(names);
    return error;
  }
  error = submit(req, names, cb);
  if (cb == NULL) {
    uvdio__order_end_now(req);
  }
  return error;
}

int uvdio_replace(uvdio_file_t* file, uvdio_req_t* req, const char* path, uvdio_cb cb) {
  return uvdio_replace_at(file, req, NULL, path, cb);
}
