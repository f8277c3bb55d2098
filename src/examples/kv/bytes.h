/* SPDX-License-Identifier: MIT */
/*
 * Bytes that several may hold: an argument of a request becomes a stored value, and a stored value
 * a part of a reply, without a copy. Who drops them last frees them.
 */
#ifndef KV_BYTES_H
#define KV_BYTES_H

#include <stddef.h>

typedef struct kv_bytes_s {
  unsigned holders;
  size_t length;
  char data[];
} kv_bytes_t;

/* Memory, or the end of the program: what was acknowledged is in the log, and a server that ends is
 * started again. `kv_realloc()` takes null as well. */
void* kv_alloc(size_t size);
void* kv_realloc(void* memory, size_t size);

/* A copy, with one holder. A null `data` leaves the bytes to be filled in. */
kv_bytes_t* kv_bytes_create(const char* data, size_t length);

kv_bytes_t* kv_bytes_hold(kv_bytes_t* bytes);

/* Null is allowed. */
void kv_bytes_drop(kv_bytes_t* bytes);

#endif /* KV_BYTES_H */
