/* SPDX-License-Identifier: MIT */
/*
 * The three places of a value, and what is counted where it moves from one to another.
 */
#include "change.h"

#include <assert.h>

void kv_change_note(kv_store_t* store, kv_entry_t* entry) {
  kv_changes_t* dirty = &store->dirty;
  kv_change_t change = {entry, NULL, 0, 0};

  if (entry->changed_in == store->checkpoint.number) {
    return;
  }
  entry->changed_in = store->checkpoint.number;
  if (dirty->count == dirty->room) {
    dirty->room = dirty->room > 0 ? 2 * dirty->room : 1024;
    dirty->list = kv_realloc(dirty->list, dirty->room * sizeof(*dirty->list));
  }
  dirty->list[dirty->count++] = change;
}

void kv_change_forget(kv_store_t* store, kv_entry_t* entry) {
  store->keys -= entry->place != KV_DELETED;
  switch ((kv_place_t)entry->place) {
    case KV_DELETED:
      break;
    case KV_IN_MEMORY:
      store->memory_bytes -= kv_size_of(entry);
      kv_bytes_drop(entry->value);
      break;
    case KV_IN_FILE:
      store->live_bytes -= kv_size_of(entry);
      break;
  }
  entry->value = NULL;
  entry->value_length = 0;
  entry->place = KV_DELETED;
}

void kv_change_set(kv_store_t* store, kv_entry_t* entry, kv_bytes_t* value) {
  kv_change_forget(store, entry);
  entry->value = value;
  entry->value_length = (uint32_t)value->length;
  entry->place = KV_IN_MEMORY;
  store->keys++;
  store->memory_bytes += kv_size_of(entry);
  kv_change_note(store, entry);
}

void kv_change_delete(kv_store_t* store, kv_entry_t* entry) {
  kv_change_forget(store, entry);
  kv_change_note(store, entry);
}

void kv_change_put_away(kv_store_t* store, kv_entry_t* entry, uint64_t position) {
  uint32_t length = entry->value_length;

  assert(entry->place != KV_IN_FILE);
  kv_change_forget(store, entry);
  entry->value_length = length;
  entry->place = KV_IN_FILE;
  store->keys++;
  entry->is_kept = 1;
  entry->position[store->file->generation & 1] = position;
  store->live_bytes += kv_size_of(entry);
}
