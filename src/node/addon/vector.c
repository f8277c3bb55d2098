/* SPDX-License-Identifier: MIT */
/*
 * readv() and writev(): several buffers, one after the other, as one request. Each is claimed or
 * copied as that of readInto() or write() is; the operation keeps them until it has ended.
 */
#include <stdlib.h>

#include "addon.h"

struct vector_s {
  uint32_t count; /* of those that were taken */
  claim_t* claims;
  uvdio_buf_t* bufs; /* copies are released with the vector; a view's release does nothing */
};

void vector_free(vector_t* vector) {
  if (vector == NULL) {
    return;
  }
  for (uint32_t i = 0; i < vector->count; i++) {
    claim_let_go(&vector->claims[i]);
    uvdio_buf_release(&vector->bufs[i]);
  }
  free(vector->claims);
  free(vector->bufs);
  free(vector);
}

static vector_t* create_vector(uint32_t room) {
  vector_t* vector = calloc(1, sizeof *vector);

  if (vector != NULL) {
    vector->claims = calloc(room, sizeof(claim_t));
    vector->bufs = calloc(room, sizeof(uvdio_buf_t));
    if (vector->claims == NULL || vector->bufs == NULL) {
      vector_free(vector);
      return NULL;
    }
  }
  return vector;
}

static int take_element(op_t* op, napi_value list, uint32_t i, lend_fn lend) {
  env_t* env = op->env;
  vector_t* vector = op->vector;
  napi_handle_scope handles = NULL;
  napi_value value = NULL;
  napi_value owner = NULL;
  char* bytes = NULL;
  size_t length = 0;
  int error = UV_EINVAL;

  if (napi_open_handle_scope(env->napi, &handles) != napi_ok) {
    return UV_ENOMEM;
  }
  if (napi_get_element(env->napi, list, i, &value) == napi_ok &&
      bytes_of(env, value, &bytes, &length, &owner)) {
    error = lend(env, owner, bytes, length, &vector->claims[i], &vector->bufs[i]);
    vector->count = i + 1;
  }
  napi_close_handle_scope(env->napi, handles);
  return error;
}

/* The buffers of an array of Uint8Array, none of them empty. */
static int take_list(op_t* op, napi_value list, lend_fn lend) {
  uint32_t count = 0;
  int error = 0;

  if (napi_get_array_length(op->env->napi, list, &count) != napi_ok || count == 0) {
    return UV_EINVAL;
  }
  if (count > UVDIO_VECTOR_MAX) {
    return UV_E2BIG;
  }
  op->vector = create_vector(count);
  if (op->vector == NULL) {
    return UV_ENOMEM;
  }
  for (uint32_t i = 0; i < count && error == 0; i++) {
    error = take_element(op, list, i, lend);
  }
  return error;
}

static void count_copies(const op_t* op) {
  const vector_t* vector = op->vector;

  for (uint32_t i = 0; i < vector->count; i++) {
    op->env->copied += vector->claims[i].block == NULL ? vector->bufs[i].len : 0;
  }
}

static void vector_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t* bufs, unsigned count) {
  (void)bufs;
  (void)count;
  op_done(req, result);
}

/* readv(file, list, offset) -> Promise<bytes>; the bytes are of blocks */
static napi_value read_vector(napi_env napi, napi_callback_info info) {
  call_t call;
  uint64_t offset = 0;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_uint64(&call, 2, &offset)) {
    return NULL;
  }
  op_t* op = op_begin_on_file(&call, "read", &promise);
  if (op == NULL) {
    return NULL;
  }
  op->value = VALUE_NUMBER;
  int error = take_list(op, call.values[1], lend_for_read);
  if (error == 0) {
    error = uvdio_readv(&op->file->file, &op->req, op->vector->bufs, op->vector->count, offset,
                        vector_done);
  }
  return op_submitted(op, error, promise);
}

/* writev(file, list, offset, flags) -> Promise<bytes> */
static napi_value write_vector(napi_env napi, napi_callback_info info) {
  call_t call;
  uint64_t offset = 0;
  unsigned flags = 0;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_uint64(&call, 2, &offset) || !get_unsigned(&call, 3, &flags)) {
    return NULL;
  }
  op_t* op = op_begin_on_file(&call, "write", &promise);
  if (op == NULL) {
    return NULL;
  }
  op->value = VALUE_NUMBER;
  int error = take_list(op, call.values[1], lend_for_write);
  if (error == 0) {
    error = uvdio_writev_flags(&op->file->file, &op->req, op->vector->bufs, op->vector->count,
                               offset, flags | UVDIO_WRITE_SHARED, vector_done);
  }
  if (error == 0) {
    count_copies(op);
  }
  return op_submitted(op, error, promise);
}

void vector_exports(env_t* env, napi_value exports) {
  export_function(env, exports, "readv", read_vector);
  export_function(env, exports, "writev", write_vector);
}
