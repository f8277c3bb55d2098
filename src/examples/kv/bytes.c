/* SPDX-License-Identifier: MIT */
/*
 * Memory: bytes with holders, and allocations that end the program where there is none left.
 */
#include "bytes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void* kv_realloc(void* memory, size_t size) {
  void* grown = realloc(memory, size);

  assert(size > 0);
  if (grown == NULL) {
    fprintf(stderr, "uvdio-kv: no memory for %zu bytes\n", size);
    _Exit(1);
  }
  return grown;
}

void* kv_alloc(size_t size) {
  return kv_realloc(NULL, size);
}

kv_bytes_t* kv_bytes_create(const char* data, size_t length) {
  kv_bytes_t* bytes = kv_alloc(sizeof(*bytes) + length);

  bytes->holders = 1;
  bytes->length = length;
  if (data != NULL && length > 0) {
    memcpy(bytes->data, data, length);
  }
  return bytes;
}

kv_bytes_t* kv_bytes_hold(kv_bytes_t* bytes) {
  assert(bytes->holders > 0);
  bytes->holders++;
  return bytes;
}

void kv_bytes_drop(kv_bytes_t* bytes) {
  if (bytes != NULL) {
    assert(bytes->holders > 0);
    if (--bytes->holders == 0) {
      free(bytes);
    }
  }
}
