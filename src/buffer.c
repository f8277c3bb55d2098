/* SPDX-License-Identifier: MIT */
/*
 * Buffers: one handle for three origins. Everything here is plain memory handling and may run on
 * any thread.
 */
#include "buffer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "allocator.h"
#include "debug/ownership.h"

static int is_heap(const uvdio_buf_t* buf) {
  return buf->owner_ == UVDIO__HEAP;
}

static size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

/* The initialised part of `length` bytes that begin at `offset`. */
static size_t initialised_within(size_t len, size_t offset, size_t length) {
  return len <= offset ? 0 : min_size(len - offset, length);
}

/* Rounds up to the alignment; 0 when there is no such size. */
static size_t round_up(size_t size) {
  size_t mask = UVDIO_ALIGNMENT - 1;
  return size > (size_t)PTRDIFF_MAX - mask ? 0 : (size + mask) & ~mask;
}

static void own(uvdio_buf_t* buf, char* base, size_t len, size_t cap) {
  buf->base = base;
  buf->len = len;
  buf->cap = cap;
  buf->owner_ = UVDIO__HEAP;
}

static int allocate(uvdio_buf_t* buf, size_t cap, size_t len, int zeroed) {
  char* base;

  if (buf == NULL) {
    return UV_EINVAL;
  }
  cap = round_up(cap);
  if (cap == 0) {
    return UVDIO_ESIZE;
  }
  base = uvdio__alloc(cap, UVDIO_ALIGNMENT, zeroed);
  if (base == NULL) {
    return UV_ENOMEM;
  }
  own(buf, base, len, cap);
  return 0;
}

int uvdio_buf_alloc(uvdio_buf_t* buf, size_t size, unsigned flags) {
  int zeroed = (flags & UVDIO_BUF_ZEROED) != 0;

  if ((flags & ~(UVDIO_BUF_ZEROED | UVDIO_BUF_FULL)) != 0) {
    return UV_EINVAL;
  }
  return allocate(buf, size, flags != 0 ? size : 0, zeroed);
}

int uvdio_buf_clone(uvdio_buf_t* copy, const uvdio_buf_t* source) {
  uvdio_buf_t fresh;
  int error;

  if (copy == NULL || source == NULL || source->base == NULL) {
    return UV_EINVAL;
  }
  if (source->len > source->cap) {
    return UVDIO_EOFFSET;
  }
  error = allocate(&fresh, source->cap, source->len, 0);
  if (error != 0) {
    return error;
  }
  memcpy(fresh.base, source->base, source->len);
  *copy = fresh;
  return 0;
}

uvdio_buf_origin_t uvdio_buf_origin(const uvdio_buf_t* buf) {
  if (buf == NULL || buf->base == NULL) {
    return UVDIO_ORIGIN_NONE;
  }
  if (buf->owner_ == NULL) {
    return UVDIO_ORIGIN_VIEW;
  }
  return is_heap(buf) ? UVDIO_ORIGIN_HEAP : UVDIO_ORIGIN_ARENA;
}

int uvdio_buf_release(uvdio_buf_t* buf) {
  int error = 0;

  if (buf == NULL) {
    return UV_EINVAL;
  }
  uvdio__ownership_release_buf(buf);
  switch (uvdio_buf_origin(buf)) {
    case UVDIO_ORIGIN_HEAP:
      uvdio__free(buf->base, buf->cap, UVDIO_ALIGNMENT);
      break;
    case UVDIO_ORIGIN_ARENA:
      error = uvdio__arena_release((uvdio_arena_t*)(uintptr_t)buf->owner_, buf);
      break;
    case UVDIO_ORIGIN_VIEW:
    case UVDIO_ORIGIN_NONE:
      break;
  }
  if (error == 0) {
    *buf = uvdio__empty_buf();
  } else {
    uvdio__ownership_refuse(buf, error);
  }
  return error;
}

int uvdio_buf_set_len(uvdio_buf_t* buf, size_t len) {
  if (buf == NULL) {
    return UV_EINVAL;
  }
  if (len > buf->cap) {
    return UVDIO_EOFFSET;
  }
  buf->len = len;
  return 0;
}

/* Appends what does not fit by moving to a larger heap block. `data` may lie in the old one, which
 * is therefore freed last. */
static int grow_and_append(uvdio_buf_t* buf, const void* data, size_t size) {
  size_t needed = buf->len + size;
  size_t doubled = buf->cap * 2; /* No buffer has more than PTRDIFF_MAX bytes. */
  uvdio_buf_t larger;
  int error = allocate(&larger, needed > doubled ? needed : doubled, needed, 0);

  if (error != 0) {
    return error == UVDIO_ESIZE ? UVDIO_EOFFSET : error;
  }
  if (buf->len > 0) {
    memcpy(larger.base, buf->base, buf->len);
  }
  memcpy(larger.base + buf->len, data, size);
  if (buf->base != NULL) {
    uvdio__free(buf->base, buf->cap, UVDIO_ALIGNMENT);
  }
  *buf = larger;
  return 0;
}

int uvdio_buf_extend(uvdio_buf_t* buf, const void* data, size_t size) {
  if (buf == NULL || (data == NULL && size > 0)) {
    return UV_EINVAL;
  }
  if (size == 0) {
    return 0;
  }
  if (buf->len > buf->cap || size > SIZE_MAX - buf->len) {
    return UVDIO_EOFFSET;
  }
  if (buf->base == NULL && buf->cap > 0) {
    return UV_EINVAL;
  }
  if (buf->len + size <= buf->cap) {
    memmove(buf->base + buf->len, data, size);
    buf->len += size;
    return 0;
  }
  if (buf->base != NULL && !is_heap(buf)) {
    return UV_ENOBUFS;
  }
  return grow_and_append(buf, data, size);
}

int uvdio_buf_detach(uvdio_buf_t* buf, char** base, size_t* len, size_t* cap) {
  if (buf == NULL || base == NULL || len == NULL || cap == NULL || buf->base == NULL ||
      !is_heap(buf)) {
    return UV_EINVAL;
  }
  *base = buf->base;
  *len = buf->len;
  *cap = buf->cap;
  *buf = uvdio__empty_buf();
  return 0;
}

int uvdio_buf_attach(uvdio_buf_t* buf, char* base, size_t len, size_t cap) {
  if (buf == NULL || base == NULL) {
    return UV_EINVAL;
  }
  if (!uvdio__is_aligned(base, cap)) {
    return UVDIO_EALIGN;
  }
  if (cap == 0) {
    return UVDIO_ESIZE;
  }
  if (len > cap) {
    return UVDIO_EOFFSET;
  }
  own(buf, base, len, cap);
  return 0;
}

int uvdio_buf_describe(const uvdio_buf_t* buf, char* text, size_t size) {
  static const char* const origins[] = {"empty", "heap", "arena", "view"};
  uvdio_buf_origin_t origin = uvdio_buf_origin(buf);

  if (buf == NULL || (text == NULL && size > 0)) {
    return UV_EINVAL;
  }
  if (origin == UVDIO_ORIGIN_NONE) {
    return snprintf(text, size, "empty buffer");
  }
  return snprintf(text, size, "%s buffer 0x%" PRIxPTR ", %zu of %zu bytes", origins[origin],
                  (uintptr_t)buf->base, buf->len, buf->cap);
}

int uvdio_buf_slice(const uvdio_buf_t* buf, size_t offset, size_t len, uvdio_buf_t* view) {
  if (buf == NULL || view == NULL || buf->base == NULL) {
    return UV_EINVAL;
  }
  if (buf->len > buf->cap || offset > buf->len || len > buf->len - offset) {
    return UVDIO_EOFFSET;
  }
  *view = uvdio_buf_slice_nocheck(buf, offset, len);
  return 0;
}

int uvdio_buf_slice_space(const uvdio_buf_t* buf, size_t offset, size_t len, uvdio_buf_t* view) {
  size_t initialised;

  if (buf == NULL || view == NULL || buf->base == NULL) {
    return UV_EINVAL;
  }
  if (offset > buf->cap || len > buf->cap - offset) {
    return UVDIO_EOFFSET;
  }
  initialised = initialised_within(buf->len, offset, len);
  *view = uvdio_buf_view_len(uvdio_buf_wrap(buf->base + offset, len), initialised);
  return 0;
}

int uvdio_buf_chunks(const uvdio_buf_t* buf, size_t chunk, uvdio_chunks_t* chunks) {
  if (buf == NULL || chunks == NULL || buf->base == NULL || chunk == 0) {
    return UV_EINVAL;
  }
  if (!uvdio__is_aligned(NULL, chunk)) {
    return UVDIO_EALIGN;
  }
  chunks->base_ = buf->base;
  chunks->len_ = buf->len;
  chunks->cap_ = buf->cap;
  chunks->chunk_ = chunk;
  chunks->stride_ = chunk;
  return 0;
}

int uvdio_chunks_next(uvdio_chunks_t* chunks, uvdio_buf_t* view) {
  size_t step;

  if (chunks == NULL || view == NULL || chunks->cap_ == 0) {
    return 0;
  }
  *view = uvdio_buf_wrap(chunks->base_, min_size(chunks->chunk_, chunks->cap_));
  view->len = min_size(view->cap, chunks->len_);
  step = min_size(chunks->stride_, chunks->cap_);
  chunks->base_ += step;
  chunks->cap_ -= step;
  chunks->len_ -= min_size(step, chunks->len_);
  return 1;
}
