/* SPDX-License-Identifier: MIT */
/*
 * Structures whose length the caller's header and the library may see differently: options come in,
 * results go out, and the shorter side decides. New fields are appended only.
 */
#ifndef UVDIO_SIZED_H
#define UVDIO_SIZED_H

#include <stddef.h>
#include <string.h>

#include "uvdio.h"

/* Copies the caller's options; fields that its header lacks are zero, which means the default.
 * UV_E2BIG: it sets a field that this library does not know. */
static inline int uvdio__sized_in(void* ours, size_t our_size, const void* theirs, size_t size) {
  const unsigned char* bytes = (const unsigned char*)theirs;
  size_t i;

  memset(ours, 0, our_size);
  memcpy(ours, theirs, size < our_size ? size : our_size);
  for (i = our_size; i < size; i++) {
    if (bytes[i] != 0) {
      return UV_E2BIG;
    }
  }
  return 0;
}

/* Copies a result to the caller; fields that the library lacks are zero. */
static inline void uvdio__sized_out(void* theirs, size_t size, const void* ours, size_t our_size) {
  memset(theirs, 0, size);
  memcpy(theirs, ours, size < our_size ? size : our_size);
}

#endif /* UVDIO_SIZED_H */
