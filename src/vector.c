/* SPDX-License-Identifier: MIT */
/*
 * See vector.h.
 */
#include "vector.h"

#include <assert.h>
#include <string.h>

#include "allocator.h"
#include "buffer.h"
#include "engine.h"

static size_t size_with(unsigned room) {
  return sizeof(uvdio__vector_t) + room * (sizeof(uvdio__piece_t) + sizeof(uvdio_buf_t));
}

static uvdio_buf_t* own_bufs(uvdio__vector_t* vector) {
  return (uvdio_buf_t*)(void*)(vector->pieces + vector->room);
}

static uvdio__vector_t* make(unsigned room) {
  uvdio__vector_t* vector = uvdio__alloc(size_with(room), UVDIO__STRUCT_ALIGN, 0);

  if (vector != NULL) {
    vector->room = room;
  }
  return vector;
}

uvdio__vector_t* uvdio__vector_take(uvdio_engine_t* engine, uvdio_buf_t* bufs, unsigned count) {
  uvdio__vector_t* vector = engine->vectors;

  if (count > UVDIO__VECTOR_STOCK) {
    vector = make(count);
  } else if (vector != NULL) {
    engine->vectors = vector->next;
    engine->vector_count--;
  } else {
    vector = make(UVDIO__VECTOR_STOCK);
  }
  if (vector != NULL) {
    vector->bufs = bufs;
    vector->count = count;
    vector->first = 0;
    vector->before = 0;
  }
  return vector;
}

static void free_vector(uvdio__vector_t* vector) {
  uvdio__free(vector, size_with(vector->room), UVDIO__STRUCT_ALIGN);
}

void uvdio__vector_give_back(uvdio_engine_t* engine, uvdio__vector_t* vector) {
  if (vector->room > UVDIO__VECTOR_STOCK || engine->vector_count == engine->depth) {
    free_vector(vector);
    return;
  }
  vector->next = engine->vectors;
  engine->vectors = vector;
  engine->vector_count++;
}

void uvdio__vector_free_stock(uvdio_engine_t* engine) {
  while (engine->vectors != NULL) {
    uvdio__vector_t* vector = engine->vectors;
    engine->vectors = vector->next;
    free_vector(vector);
  }
}

void uvdio__vector_adopt(uvdio__vector_t* vector) {
  uvdio_buf_t* own = own_bufs(vector);
  unsigned i;

  for (i = 0; i < vector->count; i++) {
    own[i] = vector->bufs[i];
    vector->bufs[i] = uvdio__empty_buf();
  }
  vector->bufs = own;
}

void uvdio__vector_view(uvdio__vector_t* vector) {
  uvdio_buf_t* own = own_bufs(vector);
  unsigned i;

  for (i = 0; i < vector->count; i++) {
    own[i] = uvdio_buf_view(&vector->bufs[i]);
  }
  vector->bufs = own;
}

/* Sets vector->first to the buffer that the transfer goes on in, looking from where the last call
 * began: mostly it has moved forward. Returns the bytes of that buffer that were moved. */
static size_t find_first(uvdio__vector_t* vector, const uvdio_req_t* req) {
  size_t size;

  assert(req->transferred >= vector->before); /* Buffers end where blocks do. */
  size = uvdio__size_of_buf(req->op, &vector->bufs[vector->first]);
  while (req->transferred - vector->before >= size) {
    vector->before += size;
    vector->first++;
    assert(vector->first < vector->count); /* Something is left to move. */
    size = uvdio__size_of_buf(req->op, &vector->bufs[vector->first]);
  }
  return req->transferred - vector->before;
}

unsigned uvdio__vector_layout(const uvdio_req_t* req, size_t* length) {
  uvdio__vector_t* vector = uvdio__vector_of(req);
  size_t skip = find_first(vector, req);
  size_t most = uvdio__request_rest(req);
  unsigned pieces = 0;
  unsigned i;

  *length = 0;
  for (i = vector->first; i < vector->count && pieces < UVDIO__PIECES_MAX && *length < most; i++) {
    size_t size = uvdio__size_of_buf(req->op, &vector->bufs[i]);
    if (size == 0) {
      continue;
    }
    size = size - skip < most - *length ? size - skip : most - *length;
    vector->pieces[pieces].base = vector->bufs[i].base + skip;
    vector->pieces[pieces].length = size;
    pieces++;
    *length += size;
    skip = 0;
  }
  assert(pieces > 0 && pieces <= vector->room);
  return pieces;
}

void uvdio__vector_set_lengths(const uvdio_req_t* req) {
  const uvdio__vector_t* vector = uvdio__vector_of(req);
  size_t left = req->transferred;
  unsigned i;

  for (i = 0; i < vector->count; i++) {
    uvdio_buf_t* buf = &vector->bufs[i];
    buf->len = left < buf->cap ? left : buf->cap;
    left -= buf->len;
  }
  assert(left == 0);
}

typedef void (*copy_t)(char* piece, char* plain, size_t length);

static void copy_out(char* piece, char* plain, size_t length) {
  memcpy(plain, piece, length);
}

static void copy_in(char* piece, char* plain, size_t length) {
  memcpy(piece, plain, length);
}

static void copy_each(const uvdio_req_t* req, char* plain, size_t length, copy_t copy) {
  const uvdio__vector_t* vector = uvdio__vector_of(req);
  size_t rest;
  unsigned count = uvdio__vector_layout(req, &rest);
  unsigned i;

  assert(length <= rest);
  for (i = 0; i < count && length > 0; i++) {
    size_t part = vector->pieces[i].length < length ? vector->pieces[i].length : length;
    copy(vector->pieces[i].base, plain, part);
    plain += part;
    length -= part;
  }
}

void uvdio__vector_gather(const uvdio_req_t* req, char* to, size_t length) {
  copy_each(req, to, length, copy_out);
}

void uvdio__vector_scatter(const uvdio_req_t* req, const char* from, size_t length) {
  copy_each(req, (char*)(uintptr_t)from, length, copy_in);
}
