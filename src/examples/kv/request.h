/* SPDX-License-Identifier: MIT */
/*
 * The requests of one client: arrays of bulk strings (RESP2), which hiredis takes apart. Its reader
 * is made for replies, so that everything else that it would take is refused here, and sizes are
 * bounded before the bytes have come.
 */
#ifndef KV_REQUEST_H
#define KV_REQUEST_H

#include "bytes.h"

#define KV_ARGUMENTS_MAX 1024u

struct redisReader;

typedef struct kv_request_s {
  kv_bytes_t** arguments; /* the request's; one that is taken is replaced by null */
  unsigned count;
} kv_request_t;

typedef struct kv_requests_s {
  struct redisReader* reader;
  size_t value_max;
  size_t largest;    /* bytes that were there at one time, since the reader was made */
  const char* error; /* what is wrong with the bytes; null: nothing */
} kv_requests_t;

void kv_requests_init(kv_requests_t* requests, size_t value_max);
void kv_requests_free(kv_requests_t* requests);

/* Bytes have come. */
void kv_requests_feed(kv_requests_t* requests, const char* bytes, size_t length);

/* Returns 1 with the next request, which kv_request_free() frees; 0 where it has not come whole, or
 * requests->error is set, after which there is none any more. */
int kv_requests_next(kv_requests_t* requests, kv_request_t* request);
void kv_request_free(kv_request_t* request);

/* Bytes that came and were not taken as requests yet. */
size_t kv_requests_left(const kv_requests_t* requests);

#endif /* KV_REQUEST_H */
