/* SPDX-License-Identifier: MIT */
/*
 * The open of a store: the log is replayed, and then the data file is read as far as the log's last
 * checkpoint says that it holds something.
 */
#ifndef KV_RECOVER_H
#define KV_RECOVER_H

#include "state.h"

/* Ends with store->opened_cb; an error stops the store, and store->changed_cb is called. */
void kv_recover(kv_store_t* store);

#endif /* KV_RECOVER_H */
