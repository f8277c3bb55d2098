/* SPDX-License-Identifier: MIT */
/*
 * Which keys there are, and where their values lie: in memory, or at a position of the data file.
 * A hash table that grows by one bucket at a time, so that no insertion takes long.
 */
#ifndef KV_INDEX_H
#define KV_INDEX_H

#include <stdint.h>

#include "bytes.h"

typedef enum {
  KV_DELETED = 0, /* no value; kept until that is durable, and the data file knows it */
  KV_IN_MEMORY,
  KV_IN_FILE
} kv_place_t;

typedef struct kv_entry_s kv_entry_t;
struct kv_entry_s {
  kv_entry_t* next; /* of its bucket */
  uint64_t hash;
  uint64_t change;      /* the batch that has its last change */
  uint64_t position[2]; /* of the value, in data files of an even and of an odd generation */
  uint64_t changed_in;  /* the number of the checkpoint that will write its last change */
  kv_bytes_t* value;    /* KV_IN_MEMORY */
  uint32_t value_length;
  uint32_t key_length;
  unsigned char place;   /* kv_place_t */
  unsigned char is_kept; /* the data file has some value of the key: a deletion has to be told */
  char key[];
};

typedef struct kv_index_s {
  kv_entry_t** buckets;
  size_t room;  /* of `buckets` */
  size_t half;  /* a power of two: the buckets before the table began to double */
  size_t split; /* the next one to be split: there are half + split buckets */
  size_t count; /* entries */
  uint64_t seed;
} kv_index_t;

/* `seed` is random, so that nobody knows keys beforehand that share a bucket. */
void kv_index_init(kv_index_t* index, uint64_t seed);
void kv_index_free(kv_index_t* index);

/* Null: there is none. */
kv_entry_t* kv_index_find(const kv_index_t* index, const char* key, size_t length);

/* Finds it, or makes one that is KV_DELETED. */
kv_entry_t* kv_index_make(kv_index_t* index, const char* key, size_t length);

/* Removes the entry and frees it. */
void kv_index_remove(kv_index_t* index, kv_entry_t* entry);

/* Calls `visit` for each entry, which may remove it. */
void kv_index_walk(kv_index_t* index, void (*visit)(kv_entry_t* entry, void* arg), void* arg);

#endif /* KV_INDEX_H */
