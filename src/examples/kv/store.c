/* SPDX-License-Identifier: MIT */
/*
 * The calls of the store, and its end.
 */
#include "store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "checkpoint.h"
#include "recover.h"

static void on_durable(kv_batches_t* batches, int status) {
  kv_store_t* store = batches->data;

  if (status != 0) {
    kv_store_note_error(store, status);
  }
  store->changed_cb(store);
}

static uint64_t random_seed(void) {
  uint64_t seed = 0;

  if (uv_random(NULL, NULL, &seed, sizeof(seed), 0, NULL) != 0) {
    seed = uv_hrtime();
  }
  return seed;
}

int kv_store_open(kv_store_t* store, uvdio_engine_t* engine, const kv_options_t* options) {
  uvdio_arena_options_t arena = {KV_FRAME_SIZE, (size_t)2 * KV_WINDOW + 1, 0};
  int error;

  store->engine = engine;
  store->options = *options;
  store->checkpoint.number = 1;
  error = uvdio_arena_create(&store->arena, &arena);
  if (error != 0) {
    return error;
  }
  kv_index_init(&store->index, random_seed());
  kv_batches_init(&store->batches, uvdio_engine_loop(engine));
  store->batches.data = store;
  store->batches.durable_cb = on_durable;
  kv_recover(store);
  return 0;
}

kv_found_t kv_store_find(const kv_store_t* store, const char* key, size_t length) {
  const kv_entry_t* entry = kv_index_find(&store->index, key, length);
  kv_found_t found = {0};

  if (entry != NULL) {
    found.place = (kv_place_t)entry->place;
    found.change = entry->change;
    found.length = entry->value_length;
    found.value = entry->value;
    found.file = store->file;
    found.position = entry->position[store->file->generation & 1];
  }
  return found;
}

uint64_t kv_store_set(kv_store_t* store, const char* key, size_t length, kv_bytes_t* value) {
  kv_entry_t* entry = kv_index_make(&store->index, key, length);

  entry->change = kv_batch_add(&store->batches, KV_SET, key, length, value->data, value->length);
  kv_change_set(store, entry, value);
  return entry->change;
}

uint64_t kv_store_delete(kv_store_t* store, const char* key, size_t length, int* was_there) {
  kv_entry_t* entry = kv_index_find(&store->index, key, length);

  *was_there = entry != NULL && entry->place != KV_DELETED;
  if (!*was_there) {
    return entry != NULL ? entry->change : 0;
  }
  entry->change = kv_batch_add(&store->batches, KV_DELETE, key, length, NULL, 0);
  kv_change_delete(store, entry);
  return entry->change;
}

int kv_store_has_room(const kv_store_t* store) {
  return kv_batch_has_room(&store->batches) && store->memory_bytes < store->options.memory_max;
}

/*
 * The end
 */

void kv_store_free(kv_store_t* store) {
  int error = uvdio_arena_destroy(store->arena, NULL);

  assert(error == 0);
  (void)error;
  kv_index_free(&store->index);
  kv_batches_free(&store->batches);
  free(store->dirty.list);
}

static void on_file_closed(void* arg) {
  kv_store_t* store = arg;

  store->closed_cb(store);
}

static void on_log_closed(uvdio_log_t* log, int status, void* arg) {
  kv_store_t* store = arg;

  (void)log;
  if (status != 0) {
    kv_store_note_error(store, status);
  }
  kv_batches_close(&store->batches);
  store->file->closed_cb = on_file_closed;
  store->file->closed_arg = store;
  kv_file_drop(store->file);
}

static int is_at_rest(const kv_store_t* store) {
  return !store->batches.is_writing && store->batches.filling->length == 0 &&
         store->checkpoint.step == KV_CHECKPOINT_NONE;
}

static void close_where_at_rest(kv_store_t* store) {
  if (store->is_closing && store->log != NULL && is_at_rest(store)) {
    uvdio_log_t* log = store->log;
    int error;

    store->log = NULL;
    error = uvdio_log_close(log, on_log_closed, store);
    if (error != 0) {
      kv_store_fail(store, error);
    }
  }
}

int kv_store_turn(kv_store_t* store) {
  int had_room = kv_store_has_room(store);
  int wants_more;
  int error;

  if (!store->is_open || store->error != 0 || store->log == NULL) {
    return 0;
  }
  if (store->is_closing) {
    kv_checkpoint_stop(store);
  }
  wants_more = kv_checkpoint_turn(store);
  error = kv_batch_flush(&store->batches);
  if (error != 0) {
    kv_store_note_error(store, error);
  }
  if (error != 0 || had_room != kv_store_has_room(store)) {
    store->changed_cb(store);
  }
  close_where_at_rest(store);
  return wants_more;
}

void kv_store_close(kv_store_t* store) {
  store->is_closing = 1;
  store->batches.is_closing = 1;
}
