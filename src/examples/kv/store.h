/* SPDX-License-Identifier: MIT */
/*
 * Keys and values, durably. A change is in memory at once, and has the number of the batch by which
 * it becomes durable; who tells anybody of it waits for that number.
 */
#ifndef KV_STORE_H
#define KV_STORE_H

#include "state.h"

/* What a key has. */
typedef struct kv_found_s {
  kv_place_t place;
  uint64_t change;   /* the batch that has to be durable before anybody is told of it */
  size_t length;     /* of the value */
  kv_bytes_t* value; /* KV_IN_MEMORY: the store's */
  kv_file_t* file;   /* KV_IN_FILE: the store's */
  uint64_t position;
} kv_found_t;

/* The callbacks and `data` are set, the rest is zero. Returns 0 or an error. An error that comes
 * later is store->error when changed_cb is called; the store does nothing then, and the program
 * ends: what was acknowledged is in the log. */
int kv_store_open(kv_store_t* store, uvdio_engine_t* engine, const kv_options_t* options);

kv_found_t kv_store_find(const kv_store_t* store, const char* key, size_t length);

/* Both return the number of the batch. The value becomes the store's. */
uint64_t kv_store_set(kv_store_t* store, const char* key, size_t length, kv_bytes_t* value);
uint64_t kv_store_delete(kv_store_t* store, const char* key, size_t length, int* was_there);

/* Whether a client may change something now; changed_cb tells when to ask again. */
int kv_store_has_room(const kv_store_t* store);

/* What is told of changes up to this batch is true after a crash. */
static inline uint64_t kv_store_durable(const kv_store_t* store) {
  return store->batches.durable;
}

/* The end of a turn of the loop. Returns 1 where the next one should come at once. */
int kv_store_turn(kv_store_t* store);

/* Makes durable what is not, and closes: closed_cb. No changes come any more. */
void kv_store_close(kv_store_t* store);

/* Frees what a closed store has, when its engine is closed. */
void kv_store_free(kv_store_t* store);

#endif /* KV_STORE_H */
