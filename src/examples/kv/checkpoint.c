/* SPDX-License-Identifier: MIT */
/*
 * The steps of a checkpoint and of a compaction, each of which takes a short part of a turn.
 */
#include "checkpoint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"

#define CHANGES_PER_TURN 1000u

/*
 * The log is told, and then the index.
 */

static void tell(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  char value[KV_CHECKPOINT_SIZE];

  kv_put64(value, checkpoint->target->generation);
  kv_put64(value + 8, checkpoint->end);
  kv_put64(value + 16, checkpoint->lsn);
  checkpoint->told_in = kv_batch_add(&store->batches, KV_CHECKPOINT, NULL, 0, value, sizeof(value));
  checkpoint->step = KV_CHECKPOINT_TELLS;
}

/* Of an entry that has changed meanwhile, the data file has an old value. */
static void end_change(kv_store_t* store, const kv_change_t* change) {
  kv_entry_t* entry = change->entry;
  int has_changed = entry->changed_in == store->checkpoint.number;

  assert(change->is_written);
  if (change->value != NULL) {
    entry->is_kept = 1;
    if (!has_changed) {
      assert(entry->value == change->value);
      kv_change_put_away(store, entry, change->position);
    }
    kv_bytes_drop(change->value);
  } else if (!has_changed) {
    assert(entry->place == KV_DELETED && entry->change <= store->batches.durable);
    kv_index_remove(&store->index, entry);
  }
}

/* What it had is free, and the next one may begin. */
static void leave(kv_checkpoint_t* checkpoint) {
  free(checkpoint->changes.list);
  memset(&checkpoint->changes, 0, sizeof(checkpoint->changes));
  kv_file_drop(checkpoint->target);
  checkpoint->target = NULL;
  checkpoint->step = KV_CHECKPOINT_NONE;
}

static void finish(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  int error;

  leave(checkpoint);
  store->lsn = checkpoint->lsn;
  error = uvdio_log_cut(store->log, store->lsn);
  if (error != 0) {
    kv_store_note_error(store, error);
  }
  store->changed_cb(store);
}

static void end_changes(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  unsigned left = CHANGES_PER_TURN;

  store->end = checkpoint->end;
  while (checkpoint->next < checkpoint->changes.count && left-- > 0) {
    end_change(store, &checkpoint->changes.list[checkpoint->next++]);
  }
  if (checkpoint->next == checkpoint->changes.count) {
    store->counts.checkpoints++;
    finish(store);
  }
}

static void on_unlinked(uvdio_req_t* req, int64_t result) {
  kv_store_t* store = req->data;

  (void)result; /* else the next open tries it again */
  finish(store);
}

/* From here on the positions of the new generation count. */
static void end_compaction(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  kv_file_t* old = store->file;
  int error;

  store->file = kv_file_hold(checkpoint->target);
  store->end = checkpoint->end;
  store->counts.compactions++;
  kv_data_path(store->path, store->options.directory, old->generation);
  kv_file_drop(old);
  checkpoint->step = KV_CHECKPOINT_CLOSES; /* for what follows, nothing is to be done here */
  error = uvdio_unlink(store->engine, &checkpoint->req, store->path, on_unlinked);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

/*
 * The file
 */

static void on_named(uvdio_req_t* req, int64_t result) {
  kv_store_t* store = req->data;

  if (result < 0) {
    kv_store_fail(store, result);
  } else {
    tell(store);
  }
}

static void on_written(int status, void* arg) {
  kv_store_t* store = arg;
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  int error = status;

  checkpoint->writer = NULL;
  if (error == 0 && checkpoint->is_compaction) {
    error =
        uvdio_sync_directory(store->engine, &checkpoint->req, store->options.directory, on_named);
  } else if (error == 0) {
    tell(store);
  }
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

static void close_writer(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  int error;

  checkpoint->step = KV_CHECKPOINT_CLOSES;
  checkpoint->next = 0;
  checkpoint->end = (uint64_t)uvdio_writer_end(checkpoint->writer);
  error = uvdio_writer_close(checkpoint->writer, on_written, store);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

static int open_writer(kv_store_t* store, uint64_t begin, uint64_t size_hint) {
  uvdio_writer_options_t options = {0};

  options.begin = begin;
  options.size_hint = size_hint;
  options.window_max = KV_WINDOW;
  options.flags = UVDIO_WRITER_DURABLE;
  return uvdio_writer_create(&store->checkpoint.writer, &store->checkpoint.target->file,
                             store->arena, &options);
}

static void on_room(int status, void* arg) {
  kv_store_t* store = arg;
  kv_checkpoint_t* checkpoint = &store->checkpoint;

  checkpoint->is_waiting = 0;
  if (status == UV_ECANCELED) {
    return; /* it was given up */
  }
  if (status != 0) {
    kv_store_fail(store, status);
  } else if (checkpoint->step == KV_CHECKPOINT_COPIES) {
    kv_scan_go_on(&checkpoint->scan);
  }
}

/* Writes bytes, and returns how many; fewer: on_room() comes. */
static size_t write_bytes(kv_store_t* store, const char* bytes, size_t length) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  size_t written = 0;
  int64_t result = 0;

  while (written < length && result >= 0) {
    result = uvdio_writer_write(checkpoint->writer, bytes + written, length - written);
    written += result > 0 ? (size_t)result : 0;
  }
  if (result == UV_EAGAIN) {
    result = uvdio_writer_wait(checkpoint->writer, on_room, store);
    checkpoint->is_waiting = result == 0;
  }
  if (result < 0) {
    kv_store_fail(store, result);
  }
  return written;
}

static void put_head(kv_checkpoint_t* checkpoint, kv_kind_t kind, const kv_entry_t* entry) {
  kv_head_t head = {kind, entry->key_length, entry->value_length};

  kv_head_put(checkpoint->head, &head);
  if (entry->key_length > 0) {
    memcpy(checkpoint->head + KV_HEAD_SIZE, entry->key, entry->key_length);
  }
  checkpoint->head_length = KV_HEAD_SIZE + entry->key_length;
}

/* Returns 1 when all of the head is written, and tells where the value will be. */
static int write_head(kv_store_t* store, uint64_t* position) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  size_t left;

  if (checkpoint->offset >= checkpoint->head_length) {
    return 1;
  }
  left = checkpoint->head_length - checkpoint->offset;
  checkpoint->offset += write_bytes(store, checkpoint->head + checkpoint->offset, left);
  if (checkpoint->offset < checkpoint->head_length) {
    return 0;
  }
  *position = (uint64_t)uvdio_writer_end(checkpoint->writer);
  return 1;
}

/*
 * A checkpoint
 */

/* Returns 0 where there is nothing to be written. */
static int begin_change(kv_checkpoint_t* checkpoint, kv_change_t* change) {
  const kv_entry_t* entry = change->entry;

  assert(entry->place != KV_IN_FILE);
  change->is_written = 1;
  if (entry->place == KV_DELETED && !entry->is_kept) {
    return 0;
  }
  if (entry->place == KV_IN_MEMORY) {
    change->value = kv_bytes_hold(entry->value);
  }
  put_head(checkpoint, change->value != NULL ? KV_SET : KV_DELETE, entry);
  checkpoint->offset = 0;
  return 1;
}

/* Returns 0 where there is no room for all of it now. */
static int write_change(kv_store_t* store, kv_change_t* change) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;

  if (!change->is_written && !begin_change(checkpoint, change)) {
    return 1;
  }
  if (!write_head(store, &change->position)) {
    return 0;
  }
  if (change->value != NULL) {
    size_t done = checkpoint->offset - checkpoint->head_length;
    size_t left = change->value->length - done;
    size_t written = write_bytes(store, change->value->data + done, left);
    checkpoint->offset += written;
    return written == left;
  }
  return 1;
}

static void write_changes(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  unsigned left = CHANGES_PER_TURN;

  while (checkpoint->next < checkpoint->changes.count && left-- > 0) {
    if (!write_change(store, &checkpoint->changes.list[checkpoint->next])) {
      return;
    }
    checkpoint->next++;
  }
  if (checkpoint->next == checkpoint->changes.count) {
    close_writer(store);
  }
}

static uint64_t aligned_end(const kv_store_t* store) {
  uvdio_file_info_t info;
  int error = uvdio_file_info(&store->file->file, &info);

  assert(error == 0);
  (void)error;
  return (store->end + info.offset_align - 1) / info.offset_align * info.offset_align;
}

static void begin_checkpoint(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  int error;

  checkpoint->is_compaction = 0;
  checkpoint->lsn = uvdio_log_durable(store->log);
  checkpoint->changes = store->dirty;
  checkpoint->next = 0;
  memset(&store->dirty, 0, sizeof(store->dirty));
  checkpoint->number++;
  checkpoint->target = kv_file_hold(store->file);
  checkpoint->step = KV_CHECKPOINT_WRITES;
  error = open_writer(store, aligned_end(store), store->memory_bytes);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

/*
 * A compaction
 */

static int on_entry(kv_scan_t* scan, uint64_t position, void* arg) {
  kv_store_t* store = arg;
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  uint64_t generation = store->file->generation;
  kv_entry_t* entry;

  if (checkpoint->copied == NULL) {
    entry = kv_index_find(&store->index, scan->key, scan->entry.key_length);
    if (scan->entry.kind != KV_SET || entry == NULL || entry->place != KV_IN_FILE ||
        entry->position[generation & 1] != position) {
      return 1;
    }
    checkpoint->copied = entry;
    put_head(checkpoint, KV_SET, entry);
    checkpoint->offset = 0;
  }
  if (!write_head(store, &checkpoint->copied->position[(generation + 1) & 1])) {
    return 0;
  }
  if (scan->entry.value_length == 0) {
    checkpoint->copied = NULL;
  }
  return 1;
}

static size_t on_bytes(kv_scan_t* scan, const char* bytes, size_t length, void* arg) {
  kv_store_t* store = arg;
  size_t written;

  if (store->checkpoint.copied == NULL) {
    return length;
  }
  written = write_bytes(store, bytes, length);
  if (written == scan->value_left) {
    store->checkpoint.copied = NULL;
  }
  return written;
}

static void on_scanned(kv_scan_t* scan, int status, void* arg) {
  (void)scan;
  if (status != 0) {
    kv_store_fail(arg, status);
  } else {
    close_writer(arg);
  }
}

static void on_target_open(uvdio_req_t* req, int64_t result) {
  kv_store_t* store = req->data;
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  int64_t error = result;

  if (error == 0) {
    error = open_writer(store, 0, store->live_bytes);
  }
  if (error != 0) {
    kv_store_fail(store, error);
    return;
  }
  checkpoint->scan.entry_cb = on_entry;
  checkpoint->scan.bytes_cb = on_bytes;
  checkpoint->scan.end_cb = on_scanned;
  checkpoint->scan.arg = store;
  kv_scan_begin(&checkpoint->scan, &store->file->file, store->arena, store->end);
}

static void begin_compaction(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  int error;

  checkpoint->is_compaction = 1;
  checkpoint->lsn = store->lsn;
  checkpoint->copied = NULL;
  checkpoint->step = KV_CHECKPOINT_COPIES;
  checkpoint->target = kv_file_create(store->file->generation + 1);
  kv_data_path(store->path, store->options.directory, checkpoint->target->generation);
  error = uvdio_open(store->engine, &checkpoint->target->file, &checkpoint->req, store->path,
                     UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0644, on_target_open);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}

/*
 * The turns
 */

static void begin_what_is_due(kv_store_t* store) {
  if (store->is_closing) {
    return;
  }
  store->checkpoint.req.data = store;
  if (store->memory_bytes > store->options.memory_max / 2 ||
      uvdio_log_durable(store->log) - store->lsn > store->options.log_max) {
    begin_checkpoint(store);
  } else if (store->end > store->options.compact_min && store->end / 2 > store->live_bytes) {
    begin_compaction(store);
  }
}

int kv_checkpoint_turn(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;

  if (checkpoint->step == KV_CHECKPOINT_NONE) {
    begin_what_is_due(store);
  }
  if (checkpoint->step == KV_CHECKPOINT_WRITES && !checkpoint->is_waiting && store->error == 0) {
    write_changes(store);
  }
  if (checkpoint->step == KV_CHECKPOINT_TELLS && store->batches.durable >= checkpoint->told_in) {
    checkpoint->step = KV_CHECKPOINT_ENDS;
  }
  if (checkpoint->step == KV_CHECKPOINT_ENDS) {
    if (checkpoint->is_compaction) {
      end_compaction(store);
    } else {
      end_changes(store);
    }
  }
  return checkpoint->step == KV_CHECKPOINT_ENDS ||
         (checkpoint->step == KV_CHECKPOINT_WRITES && !checkpoint->is_waiting);
}

static void on_given_up(int status, void* arg) {
  kv_store_t* store = arg;
  kv_checkpoint_t* checkpoint = &store->checkpoint;

  (void)status; /* the log has all of it */
  checkpoint->writer = NULL;
  for (size_t i = 0; i < checkpoint->changes.count; i++) {
    kv_bytes_drop(checkpoint->changes.list[i].value);
  }
  leave(checkpoint);
  store->changed_cb(store);
}

void kv_checkpoint_stop(kv_store_t* store) {
  kv_checkpoint_t* checkpoint = &store->checkpoint;
  int error;

  if ((checkpoint->step != KV_CHECKPOINT_WRITES && checkpoint->step != KV_CHECKPOINT_COPIES) ||
      checkpoint->writer == NULL) {
    return;
  }
  kv_scan_stop(&checkpoint->scan);
  checkpoint->step = KV_CHECKPOINT_CLOSES;
  error = uvdio_writer_close(checkpoint->writer, on_given_up, store);
  if (error != 0) {
    kv_store_fail(store, error);
  }
}
