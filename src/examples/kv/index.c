/* SPDX-License-Identifier: MIT */
/*
 * Linear hashing: where there are more entries than buckets, one bucket is split, in turn, and
 * after the last one the table has twice as many.
 */
#include "index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST ((size_t)1024)

void kv_index_init(kv_index_t* index, uint64_t seed) {
  memset(index, 0, sizeof(*index));
  index->room = BUCKETS_FIRST;
  index->half = BUCKETS_FIRST;
  index->seed = seed;
  index->buckets = kv_alloc(index->room * sizeof(*index->buckets));
  memset(index->buckets, 0, index->room * sizeof(*index->buckets));
}

static void free_entry(kv_entry_t* entry) {
  kv_bytes_drop(entry->value);
  free(entry);
}

void kv_index_free(kv_index_t* index) {
  for (size_t i = 0; i < index->half + index->split; i++) {
    kv_entry_t* entry;
    while ((entry = index->buckets[i]) != NULL) {
      index->buckets[i] = entry->next;
      free_entry(entry);
    }
  }
  free(index->buckets);
}

static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 29;
}

static uint64_t hash_of(const kv_index_t* index, const char* key, size_t length) {
  uint64_t hash = mix(index->seed, length);
  uint64_t word = 0;

  for (; length >= sizeof(word); key += sizeof(word), length -= sizeof(word)) {
    memcpy(&word, key, sizeof(word));
    hash = mix(hash, word);
  }
  word = 0;
  if (length > 0) {
    memcpy(&word, key, length);
  }
  return mix(mix(hash, word), index->seed >> 32);
}

static size_t bucket_of(const kv_index_t* index, uint64_t hash) {
  size_t bucket = (size_t)hash & (index->half - 1);

  return bucket < index->split ? (size_t)hash & (2 * index->half - 1) : bucket;
}

static kv_entry_t* find(const kv_index_t* index, uint64_t hash, const char* key, size_t length) {
  kv_entry_t* entry = index->buckets[bucket_of(index, hash)];

  while (entry != NULL && (entry->hash != hash || entry->key_length != length ||
                           memcmp(entry->key, key, length) != 0)) {
    entry = entry->next;
  }
  return entry;
}

kv_entry_t* kv_index_find(const kv_index_t* index, const char* key, size_t length) {
  return find(index, hash_of(index, key, length), key, length);
}

/* Its entries go on in it, or in the one that is new. */
static void split_bucket(kv_index_t* index) {
  size_t from = index->split;
  kv_entry_t* entry = index->buckets[from];

  if (index->half + index->split == index->room) {
    index->room *= 2;
    index->buckets = kv_realloc(index->buckets, index->room * sizeof(*index->buckets));
  }
  index->buckets[from] = NULL;
  index->buckets[index->half + from] = NULL;
  index->split++;
  while (entry != NULL) {
    kv_entry_t* next = entry->next;
    size_t to = bucket_of(index, entry->hash);
    assert(to == from || to == index->half + from);
    entry->next = index->buckets[to];
    index->buckets[to] = entry;
    entry = next;
  }
  if (index->split == index->half) {
    index->half *= 2;
    index->split = 0;
  }
}

kv_entry_t* kv_index_make(kv_index_t* index, const char* key, size_t length) {
  uint64_t hash = hash_of(index, key, length);
  kv_entry_t* entry = find(index, hash, key, length);
  size_t bucket;

  assert(length <= UINT32_MAX);
  if (entry != NULL) {
    return entry;
  }
  if (++index->count > index->half + index->split) {
    split_bucket(index);
  }
  entry = kv_alloc(sizeof(*entry) + length);
  memset(entry, 0, sizeof(*entry));
  entry->hash = hash;
  entry->key_length = (uint32_t)length;
  if (length > 0) {
    memcpy(entry->key, key, length);
  }
  bucket = bucket_of(index, hash);
  entry->next = index->buckets[bucket];
  index->buckets[bucket] = entry;
  return entry;
}

void kv_index_remove(kv_index_t* index, kv_entry_t* entry) {
  kv_entry_t** link = &index->buckets[bucket_of(index, entry->hash)];

  while (*link != entry) {
    assert(*link != NULL);
    link = &(*link)->next;
  }
  *link = entry->next;
  index->count--;
  free_entry(entry);
}

void kv_index_walk(kv_index_t* index, void (*visit)(kv_entry_t* entry, void* arg), void* arg) {
  for (size_t i = 0; i < index->half + index->split; i++) {
    kv_entry_t* entry = index->buckets[i];
    while (entry != NULL) {
      kv_entry_t* next = entry->next;
      visit(entry, arg);
      entry = next;
    }
  }
}
