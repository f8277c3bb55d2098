/* SPDX-License-Identifier: MIT */
/*
 * readv() and writev(): several buffers, one after the other, as one request. Each is claimed or
 * copied as that of readInto() or write() is; the operation keeps them until it has ended.
 */
#include <stdlib.h>
#include <string.h>

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

/* What a buffer of the list is. */
typedef struct part_s {
  char* bytes;
  size_t length;
  napi_value owner;
  block_t* block; /* null: somebody else's memory */
} part_t;

static int read_to_part(op_t* op, const part_t* part, claim_t* claim, uvdio_buf_t* buf) {
  (void)op;
  *buf = uvdio_buf_wrap(part->bytes, part->length);
  return part->block == NULL ? UV_EINVAL
                             : block_claim(part->block, claim, part->bytes, part->length, true);
}

static int write_part(op_t* op, const part_t* part, claim_t* claim, uvdio_buf_t* buf) {
  bool is_aligned = ((uintptr_t)part->bytes & (UVDIO_ALIGNMENT - 1)) == 0;

  if (part->block != NULL && is_aligned) {
    *buf = uvdio_buf_view_bytes(part->bytes, part->length);
    return block_claim(part->block, claim, part->bytes, part->length, false);
  }
  if (is_read_into(op->env, part->owner, part->bytes, part->length)) {
    return UV_EBUSY;
  }
  int error = uvdio_buf_alloc(buf, part->length, UVDIO_BUF_FULL);
  if (error == 0) {
    memcpy(buf->base, part->bytes, part->length);
    op->env->copied += part->length;
  }
  return error;
}

typedef int (*take_part_fn)(op_t* op, const part_t* part, claim_t* claim, uvdio_buf_t* buf);

static int take_element(op_t* op, napi_value list, uint32_t i, take_part_fn take_part) {
  env_t* env = op->env;
  vector_t* vector = op->vector;
  napi_handle_scope handles = NULL;
  napi_value value = NULL;
  part_t part = {0};
  int error = UV_EINVAL;

  if (napi_open_handle_scope(env->napi, &handles) != napi_ok) {
    return UV_ENOMEM;
  }
  if (napi_get_element(env->napi, list, i, &value) == napi_ok &&
      bytes_of(env, value, &part.bytes, &part.length, &part.owner)) {
    part.block = block_of(env, part.owner);
    error = take_part(op, &part, &vector->claims[i], &vector->bufs[i]);
    vector->count = i + 1;
  }
  napi_close_handle_scope(env->napi, handles);
  return error;
}

/* The buffers of an array of Uint8Array, none of them empty. */
static int take_list(op_t* op, napi_value list, take_part_fn take_part) {
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
    error = take_element(op, list, i, take_part);
  }
  return error;
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
  int error = take_list(op, call.values[1], read_to_part);
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
  int error = take_list(op, call.values[1], write_part);
  if (error == 0) {
    error = uvdio_writev_flags(&op->file->file, &op->req, op->vector->bufs, op->vector->count,
                               offset, flags | UVDIO_WRITE_SHARED, vector_done);
  }
  return op_submitted(op, error, promise);
}

void vector_exports(env_t* env, napi_value exports) {
  export_function(env, exports, "readv", read_vector);
  export_function(env, exports, "writev", write_vector);
}
