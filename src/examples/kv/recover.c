/* SPDX-License-Identifier: MIT */
/*
 * What the log has is newer than what the data file has. Records from before the last checkpoint
 * may be replayed as well, and are forgotten: the data file has them.
 */
#include "recover.h"

#include <stdio.h>
#include <string.h>

#include "change.h"

/* A server that was killed keeps its lock until the kernel has done its last write. */
#define LOCK_WAIT_MS 2000u

/*
 * The log
 */

/* What the last checkpoint has told; in the file that is not open yet. */
static void take_checkpoint(kv_store_t* store, const char* value) {
  store->file->generation = kv_get64(value);
  store->end = kv_get64(value + 8);
  store->lsn = kv_get64(value + 16);
}

static void take_entry(kv_store_t* store, uint64_t lsn, const kv_head_t* head, const char* bytes) {
  const char* value = bytes + head->key_length;
  kv_entry_t* entry;

  if (head->kind == KV_CHECKPOINT) {
    take_checkpoint(store, value);
    return;
  }
  entry = kv_index_make(&store->index, bytes, head->key_length);
  entry->change = lsn; /* until the replay has ended */
  if (head->kind == KV_SET) {
    kv_change_set(store, entry, kv_bytes_create(value, head->value_length));
  } else {
    kv_change_delete(store, entry);
  }
}

static void on_record(uint64_t lsn, const void* data, size_t length, void* arg) {
  kv_store_t* store = arg;
  const char* bytes = data;
  kv_head_t head;

  store->counts.replayed++;
  while (length > 0) {
    if (length < KV_HEAD_SIZE || !kv_head_get(bytes, &head) ||
        length - KV_HEAD_SIZE < head.key_length ||
        length - KV_HEAD_SIZE - head.key_length < head.value_length) {
      kv_store_note_error(store, UVDIO_EDAMAGED);
      return;
    }
    take_entry(store, lsn, &head, bytes + KV_HEAD_SIZE);
    bytes += KV_HEAD_SIZE + head.key_length + head.value_length;
    length -= KV_HEAD_SIZE + head.key_length + head.value_length;
  }
}

static void keep_or_forget(kv_entry_t* entry, void* arg) {
  kv_store_t* store = arg;

  if (entry->change < store->lsn) {
    kv_change_forget(store, entry);
    kv_index_remove(&store->index, entry);
  } else {
    entry->change = 0;
    entry->changed_in = 0;
    kv_change_note(store, entry);
  }
}

/*
 * The data file
 */

static void on_tidied(uvdio_req_t* req, int64_t result) {
  kv_store_t* store = req->data;

  (void)result; /* there was none, as a rule */
  if (store->error == 0) {
    store->is_open = 1;
    store->opened_cb(store);
  }
}

/* What a compaction has left that a crash has interrupted: the next generation or the last one. */
static void unlink_next(uvdio_req_t* req, int64_t result) {
  kv_store_t* store = req->data;
  int error;

  (void)result;
  kv_data_path(store->path, store->options.directory, store->file->generation + 1);
  error = uvdio_unlink(store->engine, req, store->path, on_tidied);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

static void tidy(kv_store_t* store) {
  int error;

  kv_data_path(store->path, store->options.directory, store->file->generation - 1);
  error = uvdio_unlink(store->engine, &store->req, store->path, unlink_next);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

static int on_entry(kv_scan_t* scan, uint64_t position, void* arg) {
  kv_store_t* store = arg;
  kv_entry_t* entry = kv_index_make(&store->index, scan->key, scan->entry.key_length);
  int is_in_log = entry->changed_in == store->checkpoint.number;

  entry->is_kept = 1;
  if (is_in_log) {
    return 1;
  }
  kv_change_forget(store, entry); /* this entry is later than the one before */
  if (scan->entry.kind == KV_DELETE) {
    kv_index_remove(&store->index, entry);
  } else {
    entry->value_length = scan->entry.value_length;
    kv_change_put_away(store, entry, position);
  }
  return 1;
}

static void on_scanned(kv_scan_t* scan, int status, void* arg) {
  (void)scan;
  if (status != 0) {
    kv_store_fail(arg, status);
  } else {
    tidy(arg);
  }
}

static void on_file_open(uvdio_req_t* req, int64_t result) {
  kv_store_t* store = req->data;

  if (result < 0) {
    kv_store_fail(store, result);
  } else if (store->end == 0) {
    tidy(store);
  } else {
    store->scan.entry_cb = on_entry;
    store->scan.bytes_cb = NULL;
    store->scan.end_cb = on_scanned;
    store->scan.arg = store;
    kv_scan_begin(&store->scan, &store->file->file, store->arena, store->end);
  }
}

/* The name has to be durable before the log says that there is something in the file. */
static void on_file_made(uvdio_req_t* req, int64_t result) {
  kv_store_t* store = req->data;
  int64_t error = result;

  if (error == 0) {
    error = uvdio_sync_directory(store->engine, req, store->options.directory, on_file_open);
  }
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

static void open_file(kv_store_t* store) {
  int is_new = store->file->generation == 0;
  unsigned flags = UVDIO_O_RDWR | UVDIO_O_DIRECT_PREFERRED;
  int error;

  if (is_new) {
    store->file->generation = 1;
    flags |= UVDIO_O_CREATE | UVDIO_O_TRUNCATE;
  }
  kv_data_path(store->path, store->options.directory, store->file->generation);
  error = uvdio_open(store->engine, &store->file->file, &store->req, store->path, flags, 0644,
                     is_new ? on_file_made : on_file_open);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

static void on_log_open(uvdio_log_t* log, int status, void* arg) {
  kv_store_t* store = arg;
  int error = store->error != 0 ? store->error : status;

  if (error != 0) {
    kv_store_fail(store, error);
    return;
  }
  store->batches.log = log;
  store->dirty.count = 0;
  kv_index_walk(&store->index, keep_or_forget, store);
  open_file(store);
}

static void open_log(kv_store_t* store) {
  uvdio_log_options_t options = {0};
  char path[KV_PATH_MAX + 8];
  int error;

  (void)snprintf(path, sizeof(path), "%s/log", store->options.directory);
  options.segment_size = store->options.segment_size;
  options.lock_wait_ms = LOCK_WAIT_MS;
  error = uvdio_log_open(&store->log, store->engine, path, &options, on_record, on_log_open, store);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

void kv_recover(kv_store_t* store) {
  if (strlen(store->options.directory) + sizeof("/data.18446744073709551615") > KV_PATH_MAX) {
    kv_store_fail(store, UV_ENAMETOOLONG);
    return;
  }
  store->req.data = store;
  store->file = kv_file_create(0); /* the replay tells which one */
  open_log(store);
}
