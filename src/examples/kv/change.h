/* SPDX-License-Identifier: MIT */
/*
 * A change of an entry in memory, for the server's requests and for recovery alike.
 */
#ifndef KV_CHANGE_H
#define KV_CHANGE_H

#include "state.h"

/* The entry has this value from now on, which becomes the store's. */
void kv_change_set(kv_store_t* store, kv_entry_t* entry, kv_bytes_t* value);
void kv_change_delete(kv_store_t* store, kv_entry_t* entry);

/* It has no value any more; nobody has to be told. */
void kv_change_forget(kv_store_t* store, kv_entry_t* entry);

/* The value is in the data file now. */
void kv_change_put_away(kv_store_t* store, kv_entry_t* entry, uint64_t position);

/* The next checkpoint has it to write. */
void kv_change_note(kv_store_t* store, kv_entry_t* entry);

#endif /* KV_CHANGE_H */
