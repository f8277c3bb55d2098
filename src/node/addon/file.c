/* SPDX-License-Identifier: MIT */
/*
 * Files. Each function submits one request and returns its promise.
 */
#include <stdlib.h>

#include "addon.h"

#define ALIGN(address) (((address) + UVDIO_ALIGNMENT - 1) & ~(uintptr_t)(UVDIO_ALIGNMENT - 1))

void file_drop(file_t* file) {
  if (--file->refs == 0) {
    free(file->path);
    free(file);
  }
}

/* It is closed, or was never opened. */
void file_ended(file_t* file) {
  list_leave(&file->link);
  file_drop(file);
}

static void on_collected(napi_env napi, void* file, void* hint) {
  (void)napi;
  (void)hint;
  file_drop(file);
}

napi_value file_value(file_t* file) {
  napi_value external = NULL;

  if (napi_create_external(file->env->napi, file, on_collected, NULL, &external) == napi_ok) {
    file->refs++;
  }
  return external;
}

/* Takes `path`. */
static file_t* create_file(env_t* env, char* path) {
  file_t* file = calloc(1, sizeof *file);

  if (file == NULL) {
    free(path);
    throw_error(env, UV_ENOMEM, "open", NULL);
    return NULL;
  }
  file->env = env;
  file->path = path;
  file->refs = 1;
  list_join(&env->files, &file->link);
  return file;
}

/* open(path, flags, mode) -> Promise<file> */
static napi_value open_file(napi_env napi, napi_callback_info info) {
  call_t call;
  char* path = NULL;
  unsigned flags = 0;
  unsigned mode = 0;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_unsigned(&call, 1, &flags) || !get_unsigned(&call, 2, &mode) ||
      !get_text(&call, 0, &path)) {
    return NULL;
  }
  file_t* file = create_file(call.env, path);
  op_t* op = file == NULL ? NULL : op_begin(call.env, "open", file, &promise);
  if (op == NULL) {
    if (file != NULL) {
      file_ended(file);
    }
    return NULL;
  }
  op->value = VALUE_FILE;
  file->is_nameless = (flags & UVDIO_O_ANONYMOUS) != 0;
  int error = uvdio_open(call.env->engine, &file->file, &op->req, path, flags, (int)mode, op_done);
  op_submitted(op, error, promise);
  if (error != 0) {
    file_ended(file);
  }
  return promise;
}

/* read(file, memory, offset, length) -> Promise<bytes>; shared[START]: where in `memory` the
 * aligned range begins, for which it has room, and for UVDIO_ALIGNMENT - 1 bytes more */
static napi_value read_range(napi_env napi, napi_callback_info info) {
  call_t call;
  char* memory = NULL;
  size_t size = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  napi_value owner = NULL;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_bytes(&call, 1, &memory, &size, &owner) || !get_uint64(&call, 2, &offset) ||
      !get_uint64(&call, 3, &length)) {
    return NULL;
  }
  op_t* op = op_begin_on_file(&call, "read", &promise);
  if (op == NULL) {
    return NULL;
  }
  size_t before = (size_t)(ALIGN((uintptr_t)memory) - (uintptr_t)memory);
  uvdio_buf_t buf = uvdio_buf_wrap(memory + before, size > before ? size - before : 0);
  size_t range = uvdio_range_size(&op->file->file, offset, (size_t)length);
  if (range > 0 && range < buf.cap) {
    buf.cap = range;
  }
  napi_create_reference(napi, call.values[1], 1, &op->memory);
  op->value = VALUE_NUMBER;
  int error = uvdio_read_range(&op->file->file, &op->req, &buf, offset, (size_t)length, op_io_done);
  call.env->shared[SHARED_START] = (double)before;
  return op_submitted(op, error, promise);
}

/* readInto(file, bytes, offset) -> Promise<bytes>; the bytes are of a block */
static napi_value read_into(napi_env napi, napi_callback_info info) {
  call_t call;
  char* bytes = NULL;
  size_t length = 0;
  uint64_t offset = 0;
  napi_value owner = NULL;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_bytes(&call, 1, &bytes, &length, &owner) || !get_uint64(&call, 2, &offset)) {
    return NULL;
  }
  op_t* op = op_begin_on_file(&call, "read", &promise);
  if (op == NULL) {
    return NULL;
  }
  uvdio_buf_t view;
  op->value = VALUE_NUMBER;
  int error = lend_for_read(call.env, owner, bytes, length, &op->claim, &view);
  if (error == 0) {
    error = uvdio_read(&op->file->file, &op->req, &view, offset, op_io_done);
  }
  return op_submitted(op, error, promise);
}

/* write(file, bytes, offset, flags) -> Promise<bytes> */
static napi_value write_bytes(napi_env napi, napi_callback_info info) {
  call_t call;
  char* bytes = NULL;
  size_t length = 0;
  uint64_t offset = 0;
  unsigned flags = 0;
  napi_value owner = NULL;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_bytes(&call, 1, &bytes, &length, &owner) || !get_uint64(&call, 2, &offset) ||
      !get_unsigned(&call, 3, &flags)) {
    return NULL;
  }
  op_t* op = op_begin_on_file(&call, "write", &promise);
  if (op == NULL) {
    return NULL;
  }
  uvdio_buf_t buf = {0};
  op->value = VALUE_NUMBER;
  int error = lend_for_write(call.env, owner, bytes, length, &op->claim, &buf);
  bool is_copy = op->claim.block == NULL;
  if (error == 0) {
    error = uvdio_write_flags(&op->file->file, &op->req, &buf, offset,
                              flags | (is_copy ? 0 : UVDIO_WRITE_SHARED), op_io_done);
  }
  if (error != 0) {
    uvdio_buf_release(&buf);
  } else if (is_copy) {
    call.env->copied += length;
  }
  return op_submitted(op, error, promise);
}

/* What `plain` can be asked for, in the order of lib/file.js. */
enum {
  SYNC_ALL,
  SYNC_DATA,
  SIZE,
  TRUNCATE,
  PREALLOCATE,
  PUNCH_HOLE,
  ZERO_RANGE,
  NEXT_DATA,
  NEXT_HOLE,
  HINT_EXTENT_SIZE,
  HINT_WRITE_LIFE,
  CLOSE
};

static const char* const plain_names[] = {"sync",        "datasync",  "size",      "truncate",
                                          "preallocate", "punchHole", "zeroRange", "nextData",
                                          "nextHole",    "setHint",   "setHint",   "close"};

static int submit_plain(op_t* op, unsigned which, uint64_t offset, uint64_t length,
                        unsigned flags) {
  uvdio_file_t* file = &op->file->file;

  switch (which) {
    case SYNC_ALL:
      return uvdio_sync_all(file, &op->req, op_done);
    case SYNC_DATA:
      return uvdio_sync_data(file, &op->req, op_done);
    case SIZE:
      op->value = VALUE_NUMBER;
      return uvdio_size(file, &op->req, op_done);
    case TRUNCATE:
      return uvdio_truncate(file, &op->req, length, op_done);
    case PREALLOCATE:
      return uvdio_preallocate(file, &op->req, offset, length, flags, op_done);
    case PUNCH_HOLE:
      return uvdio_punch_hole(file, &op->req, offset, length, op_done);
    case ZERO_RANGE:
      return uvdio_zero_range(file, &op->req, offset, length, op_done);
    case NEXT_DATA:
      op->value = VALUE_NUMBER;
      return uvdio_next_data(file, &op->req, offset, op_done);
    case NEXT_HOLE:
      op->value = VALUE_NUMBER;
      return uvdio_next_hole(file, &op->req, offset, op_done);
    case HINT_EXTENT_SIZE:
      return uvdio_set_hint(file, &op->req, UVDIO_HINT_EXTENT_SIZE, length, op_done);
    case HINT_WRITE_LIFE:
      return uvdio_set_hint(file, &op->req, UVDIO_HINT_WRITE_LIFE, length, op_done);
    default:
      return uvdio_close(file, &op->req, op_done);
  }
}

/* plain(file, which, offset, length, flags) -> Promise<undefined | bytes> */
static napi_value plain(napi_env napi, napi_callback_info info) {
  call_t call;
  unsigned which = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  unsigned flags = 0;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_unsigned(&call, 1, &which) || !get_uint64(&call, 2, &offset) ||
      !get_uint64(&call, 3, &length) || !get_unsigned(&call, 4, &flags)) {
    return NULL;
  }
  which = which > CLOSE ? CLOSE : which;
  op_t* op = op_begin_on_file(&call, plain_names[which], &promise);
  return op == NULL ? NULL
                    : op_submitted(op, submit_plain(op, which, offset, length, flags), promise);
}

/* stat(file) -> Promise<object> */
static napi_value stat_file(napi_env napi, napi_callback_info info) {
  call_t call;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  op_t* op = op_begin_on_file(&call, "stat", &promise);
  if (op == NULL) {
    return NULL;
  }
  op->value = VALUE_STAT;
  return op_submitted(op, uvdio_stat(&op->file->file, &op->req, &op->stat, op_done), promise);
}

static napi_value describe(env_t* env, const uvdio_file_info_t* file) {
  static const char* const caches[] = {"bypassed", "kept", "dropped"};
  napi_value object = NULL;

  napi_create_object(env->napi, &object);
  set_text(env, object, "backend", file->backend);
  set_text(env, object, "reason", file->reason);
  set_text(env, object, "filesystem", file->filesystem);
  set_text(env, object, "pageCache", caches[file->cache]);
  set_number(env, object, "memoryAlignment", file->memory_align);
  set_number(env, object, "alignment", file->offset_align);
  set_number(env, object, "systemAlignment", file->system_offset_align);
  set_number(env, object, "atomicMin", file->atomic_min);
  set_number(env, object, "atomicMax", file->atomic_max);
  return object;
}

/* info(file) -> object */
static napi_value describe_file(napi_env napi, napi_callback_info info) {
  call_t call;
  void* pointer = NULL;
  uvdio_file_info_t facts = {0};

  call_begin(&call, napi, info);
  if (!get_pointer(&call, 0, &pointer)) {
    return NULL;
  }
  file_t* file = pointer;
  int error = uvdio_file_info(&file->file, &facts);
  return error == 0 ? describe(call.env, &facts) : throw_error(call.env, error, "info", file->path);
}

/* path(file) -> string: by which it was opened, or that it was given since */
static napi_value tell_path(napi_env napi, napi_callback_info info) {
  call_t call;
  void* pointer = NULL;
  napi_value text = NULL;

  call_begin(&call, napi, info);
  if (!get_pointer(&call, 0, &pointer)) {
    return NULL;
  }
  file_t* file = pointer;
  napi_create_string_utf8(napi, file->path, NAPI_AUTO_LENGTH, &text);
  return text;
}

/* descriptor(file) -> number */
static napi_value tell_descriptor(napi_env napi, napi_callback_info info) {
  call_t call;
  uv_os_fd_t descriptor = -1;
  void* pointer = NULL;

  call_begin(&call, napi, info);
  if (!get_pointer(&call, 0, &pointer)) {
    return NULL;
  }
  file_t* file = pointer;
  int error = uvdio_file_descriptor(&file->file, &descriptor);
  return error == 0 ? make_number(call.env, descriptor)
                    : throw_error(call.env, error, "fd", file->path);
}

void file_exports(env_t* env, napi_value exports) {
  export_function(env, exports, "open", open_file);
  export_function(env, exports, "read", read_range);
  export_function(env, exports, "readInto", read_into);
  export_function(env, exports, "write", write_bytes);
  export_function(env, exports, "plain", plain);
  export_function(env, exports, "stat", stat_file);
  export_function(env, exports, "info", describe_file);
  export_function(env, exports, "path", tell_path);
  export_function(env, exports, "descriptor", tell_descriptor);
}
