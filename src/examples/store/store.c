/* SPDX-License-Identifier: MIT */
/*
 * The calls of the store (store.h). An add is pending from its call until its record is durable;
 * the end of each op looks whether a checkpoint is due, or a close can go on.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PAGES 1024u
#define FRAMES 256u
#define CHECKPOINT_SIZE ((uint64_t)16 * 1024 * 1024)

/*
 * The end
 */

static void on_file_closed(uvdio_req_t* req, int64_t result) {
  struct store* store = req->data;
  (void)result; /* what was acknowledged is durable */
  store_pool_destroy(&store->pool);
  if (store->close_cb != NULL) {
    store->close_cb(store, store->pool.error, store->close_arg);
  }
  free(store);
}

/* Where its engine is closing already, the store is left as it is. */
static void on_log_closed(uvdio_log_t* log, int status, void* arg) {
  struct store* store = arg;
  (void)log;
  if (status != 0 && store->pool.error == 0) {
    store->pool.error = status;
  }
  store->req.data = store;
  int error = uvdio_close(&store->file, &store->req, on_file_closed);
  if (error != 0 && store->close_cb != NULL) {
    store->close_cb(store, error, store->close_arg);
  }
}

/* An LSN tells a place in the log: their difference is in bytes. */
static uint64_t log_size(const struct store* store) {
  return uvdio_log_durable(store->log) - store->redo;
}

static void go_on(struct store* store) {
  int is_last = store->is_closing && store->ops == 0;
  if (store->is_opening || store->is_checkpointing || store->is_ending) {
    return;
  }
  if (store->pool.error == 0 && log_size(store) > 0 &&
      (is_last || log_size(store) >= store->options.checkpoint_size) &&
      store_checkpoint(store, go_on) == 0) {
    return;
  }
  if (is_last) {
    store->is_ending = 1;
    int error = uvdio_log_close(store->log, on_log_closed, store);
    if (error != 0) {
      on_log_closed(store->log, error, store);
    }
  }
}

int store_close(struct store* store, store_cb cb, void* arg) {
  if (store->is_closing) {
    return UV_EBADF;
  }
  store->is_closing = 1;
  store->close_cb = cb;
  store->close_arg = arg;
  go_on(store);
  return 0;
}

/*
 * Adds and gets
 */

static int begin_op(struct store* store, struct store_op* op, store_op_cb cb) {
  if (op->store != NULL) {
    return UV_EBUSY;
  }
  if (store->is_opening || store->is_closing) {
    return UV_EBADF;
  }
  op->store = store;
  op->cb = cb;
  op->fetch.data = op;
  store->ops++;
  return 0;
}

/* Within the call: nobody is called back. */
static void leave_op(struct store_op* op) {
  op->store->ops--;
  op->store = NULL;
}

static void end_op(struct store_op* op, int status) {
  struct store* store = op->store;
  leave_op(op);
  op->cb(op, status);
  go_on(store);
}

static void on_logged(uvdio_log_append_t* append, int status) {
  struct store_op* op = append->data;
  struct store* store = op->store;
  if (status != 0) {
    store_pool_fail(&store->pool, status);
  }
  for (unsigned i = 0; i < op->record.page_count; i++) {
    store_pool_end_change(op->fetch.frames[i], append->lsn);
  }
  free(op->bytes);
  store->stats.adds += status == 0;
  end_op(op, status);
}

/* The record is complete before a page is changed: its images are of the pages before. */
static int append_record(struct store_op* op) {
  struct store* store = op->store;
  for (unsigned i = 0; i < op->record.page_count; i++) {
    const struct store_frame* frame = op->fetch.frames[i];
    op->record.images[i] = frame->is_imaged ? NULL : frame->buf.base;
    store->stats.images += !frame->is_imaged;
  }
  size_t size = store_record_size(&op->record);
  op->append.data = op;
  op->bytes = malloc(size);
  if (op->bytes == NULL) {
    return UV_ENOMEM;
  }
  store_record_write(&op->record, op->bytes);
  int error = uvdio_log_append(store->log, &op->append, op->bytes, size, on_logged);
  if (error != 0) {
    free(op->bytes);
  }
  return error;
}

/* Log and pages get the changes in the same order, because nothing comes between. */
static int change_pages(struct store_op* op) {
  int error = append_record(op);
  for (unsigned i = 0; error == 0 && i < op->record.page_count; i++) {
    struct store_frame* frame = op->fetch.frames[i];
    store_pool_begin_change(frame);
    frame->is_imaged = 1;
    store_record_apply(&op->record, frame->number, store_frame_page(frame));
  }
  store_pool_release(&op->fetch);
  return error;
}

static void on_pages_to_change(struct store_fetch* fetch, int status) {
  struct store_op* op = fetch->data;
  int error = status != 0 ? status : change_pages(op);
  if (error != 0) {
    end_op(op, error);
  }
}

int store_add(struct store* store, struct store_op* op, const struct store_change* changes,
              unsigned count, store_op_cb cb) {
  int code = begin_op(store, op, cb);
  if (code != 0) {
    return code;
  }
  code = store_record_set(&op->record, changes, count, store->options.pages);
  if (code == 0) {
    op->fetch.flags = STORE_FETCH_CHANGE;
    op->fetch.count = op->record.page_count;
    memcpy(op->fetch.pages, op->record.pages, sizeof(op->fetch.pages));
    code = store_pool_fetch(&store->pool, &op->fetch, on_pages_to_change);
    code = code == 1 ? change_pages(op) : code;
  }
  if (code != 0) {
    leave_op(op);
  }
  return code;
}

static void take_value(struct store_op* op) {
  unsigned cell = (unsigned)(op->record.changes[0].cell % STORE_PAGE_CELLS);
  op->value = store_frame_page(op->fetch.frames[0])->cells[cell];
  store_pool_release(&op->fetch);
}

static void on_page_to_read(struct store_fetch* fetch, int status) {
  struct store_op* op = fetch->data;
  if (status == 0) {
    take_value(op);
  }
  end_op(op, status);
}

int store_get(struct store* store, struct store_op* op, uint64_t cell, store_op_cb cb) {
  int code = begin_op(store, op, cb);
  if (code != 0) {
    return code;
  }
  code = UV_EINVAL;
  if (cell / STORE_PAGE_CELLS < store->options.pages) {
    op->record.changes[0].cell = cell;
    op->fetch.flags = 0;
    op->fetch.count = 1;
    op->fetch.pages[0] = (unsigned)(cell / STORE_PAGE_CELLS);
    code = store_pool_fetch(&store->pool, &op->fetch, on_page_to_read);
  }
  if (code == 1) {
    take_value(op);
  }
  if (code != 0) {
    leave_op(op);
  }
  return code;
}

/*
 * The open
 */

/* After `error`, which it returns. */
static int close_file(struct store* store, int error) {
  uvdio_req_t req = {0};
  int close_error = uvdio_close(&store->file, &req, NULL);
  return error != 0 ? error : close_error;
}

/* Synchronous forms (a null callback) are for this: they block, and read from top to bottom. The
 * lock keeps a second store out; after a crash, until the last write of the program that is gone
 * has landed. The names are synced each time: the program that made them may have been killed
 * before it did. */
static int make_files(struct store* store, const char* path, const char* log_path) {
  char file_path[STORE_PATH_MAX];
  uvdio_file_info_t info;
  uvdio_req_t req = {0};
  uint64_t size = (uint64_t)store->options.pages * UVDIO_PAGE_SIZE;
  (void)snprintf(file_path, sizeof(file_path), "%s/pages", path);
  int error = uvdio_mkdir(store->engine, &req, log_path, 0777, NULL);
  if (error != 0 && error != UV_EEXIST) {
    return error;
  }
  error = uvdio_open(store->engine, &store->file, &req, file_path,
                     UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED | UVDIO_O_LOCK_EXCLUSIVE, 0666, NULL);
  if (error != 0) {
    return error;
  }
  error = uvdio_file_info(&store->file, &info);
  if (error == 0 && info.open_size < size) {
    error = uvdio_truncate(&store->file, &req, size, NULL);
  }
  if (error == 0) {
    error = uvdio_sync_all(&store->file, &req, NULL);
  }
  if (error == 0) {
    error = uvdio_sync_directory(store->engine, &req, path, NULL);
  }
  return error == 0 ? 0 : close_file(store, error);
}

static void on_recovered(struct store* store, int status) {
  store->is_opening = 0;
  store->open_cb(store, status, store->open_arg);
  go_on(store);
}

static struct store* allocate(uvdio_engine_t* engine, const struct store_options* options) {
  struct store* store = calloc(1, sizeof(*store));
  if (store == NULL) {
    return NULL;
  }
  store->engine = engine;
  store->is_opening = 1;
  if (options != NULL) {
    store->options = *options;
  }
  if (store->options.pages == 0) {
    store->options.pages = PAGES;
  }
  if (store->options.frames == 0) {
    store->options.frames = FRAMES;
  }
  if (store->options.checkpoint_size == 0) {
    store->options.checkpoint_size = CHECKPOINT_SIZE;
  }
  return store;
}

int store_open(struct store** store, uvdio_engine_t* engine, const char* path,
               const struct store_options* options, store_cb cb, void* arg) {
  char log_path[STORE_PATH_MAX];
  if (options != NULL && options->frames != 0 && options->frames < STORE_FETCH_MAX) {
    return UV_EINVAL;
  }
  if ((size_t)snprintf(log_path, sizeof(log_path), "%s/log", path) > sizeof(log_path) - 8) {
    return UV_ENAMETOOLONG;
  }
  struct store* opened = allocate(engine, options);
  if (opened == NULL) {
    return UV_ENOMEM;
  }
  opened->open_cb = cb;
  opened->open_arg = arg;
  int error = make_files(opened, path, log_path);
  if (error != 0) {
    goto free_store;
  }
  error = store_pool_create(&opened->pool, engine, &opened->file, opened->options.pages,
                            opened->options.frames);
  if (error != 0) {
    goto close_file;
  }
  opened->pool.data = opened;
  error = store_recover(opened, log_path, on_recovered);
  if (error != 0) {
    goto destroy_pool;
  }
  *store = opened;
  return 0;

destroy_pool:
  store_pool_destroy(&opened->pool);
close_file:
  error = close_file(opened, error);
free_store:
  free(opened);
  return error;
}

void store_stats(const struct store* store, struct store_stats* stats) {
  uvdio_log_stats_t log;
  *stats = store->stats;
  stats->reads = store->pool.reads;
  stats->writes = store->pool.writes;
  stats->pages_written = store->pool.pages_written;
  if (uvdio_log_stats(store->log, &log) == 0) {
    stats->flushes = log.flushes;
  }
}
