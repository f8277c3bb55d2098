/* SPDX-License-Identifier: MIT */
/*
 * A checkpoint: pages that are dirty are written, then the file is synced, then the log is cut.
 * Adds go on meanwhile, except to pages that are still to be written.
 */
#include <assert.h>

#include "internal.h"

static void end(struct store* store, int error) {
  if (error != 0) {
    store_pool_fail(&store->pool, error);
  }
  store->stats.checkpoints += error == 0;
  store->is_checkpointing = 0;
  store->on_checkpoint(store);
}

/* The sync has waited for all writes that began before it, but does not tell whether they ended
 * well: the pool does. */
static void on_synced(uvdio_req_t* req, int64_t result) {
  struct store* store = req->data;
  int error = result < 0 ? (int)result : store->pool.error;
  end(store, error != 0 ? error : uvdio_log_cut(store->log, store->redo));
}

static void on_flushed(struct store_pool* pool, int status) {
  struct store* store = pool->data;
  int error = status != 0 ? status : uvdio_sync_data(&store->file, &store->req, on_synced);
  if (error != 0) {
    end(store, error);
  }
}

/* All records below `redo` are durable, and their changes are in pages that are dirty now, which
 * the flush writes, or whose writes have begun; the sync is for all of them. A record that is on
 * its way has an LSN from `redo` on, and stays in the log. */
int store_checkpoint(struct store* store, void (*on_checkpoint)(struct store* store)) {
  assert(!store->is_checkpointing);
  store->on_checkpoint = on_checkpoint;
  store->redo = uvdio_log_durable(store->log);
  store->req.data = store;
  store->is_checkpointing = 1;
  int code = store_pool_flush(&store->pool, on_flushed);
  if (code == 1) { /* no page is dirty, but some may be written and not synced */
    code = uvdio_sync_data(&store->file, &store->req, on_synced);
  }
  if (code != 0) {
    store->is_checkpointing = 0;
    store_pool_fail(&store->pool, code);
  }
  return code;
}
