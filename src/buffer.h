/* SPDX-License-Identifier: MIT */
/*
 * What the rest of the library needs to know about buffers: how an origin is told, and how a frame
 * goes home.
 *
 * uvdio_buf_t.owner_ is null for views (and empty handles), UVDIO__HEAP for heap buffers, and the
 * arena for frames.
 */
#ifndef UVDIO_BUFFER_H
#define UVDIO_BUFFER_H

#include "os/os.h"
#include "uvdio.h"

#define UVDIO__HEAP ((const void*)1) /* where nothing is */

static inline uvdio_buf_t uvdio__empty_buf(void) {
  uvdio_buf_t empty = {NULL, 0, 0, NULL};
  return empty;
}

/* Of an arena: not of the heap, and no view. */
static inline int uvdio__is_frame(const uvdio_buf_t* buf) {
  return (uintptr_t)buf->owner_ > (uintptr_t)UVDIO__HEAP;
}

static inline int uvdio__is_aligned(const void* base, size_t size) {
  return (((uintptr_t)base | size) & (UVDIO_ALIGNMENT - 1)) == 0;
}

/* Returns the frame to the arena: 0, UVDIO_ENOTFRAME or UVDIO_EDOUBLEFREE. Any thread. */
int uvdio__arena_release(uvdio_arena_t* arena, const uvdio_buf_t* frame);

#endif /* UVDIO_BUFFER_H */
