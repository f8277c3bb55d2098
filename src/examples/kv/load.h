/* SPDX-License-Identifier: MIT */
/*
 * A value of the data file on its way to a client: it is read by range, one piece after the other,
 * so that a large value takes no more memory than a piece.
 */
#ifndef KV_LOAD_H
#define KV_LOAD_H

#include "data.h"

/* Of so many bytes that are left, those that are read at once. */
static inline size_t kv_load_piece(size_t left) {
  const size_t most = (size_t)256 * 1024;

  return left < most ? left : most;
}

typedef struct kv_load_s kv_load_t;
struct kv_load_s {
  kv_file_t* file; /* held */
  uint64_t position;
  size_t left; /* bytes that are not read yet */
  uvdio_req_t req;
  uvdio_buf_t buf;
  uvdio_buf_t piece; /* a view: what was read last */
  int is_reading;
  int error;
  void (*read_cb)(kv_load_t* load, void* arg); /* null: nobody waits any more */
  void* arg;
};

/* Begins to read the first piece. */
kv_load_t* kv_load_create(kv_file_t* file, uint64_t position, size_t length,
                          void (*read_cb)(kv_load_t* load, void* arg), void* arg);

/* Reads the next piece; the last one is used no more. */
void kv_load_next(kv_load_t* load);

/* Frees it, when it is not being read any more. */
void kv_load_drop(kv_load_t* load);

#endif /* KV_LOAD_H */
