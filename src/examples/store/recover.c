/* SPDX-License-Identifier: MIT */
/*
 * Recovery: each record of the log is made in those of its pages that lack it. The log hands out
 * its records in one go and before it is sure of them (they are durable when its open ends), so
 * they are kept in memory, and replayed through the pool after that; checkpoints bound how many
 * they are.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define SEGMENT_SIZE ((uint64_t)4 * 1024 * 1024)

static void replay_all(struct store* store);

static void forget_first(struct store* store) {
  struct store_replay* first = store->replays;
  store->replays = first->next;
  free(first);
}

static void end(struct store* store, int status) {
  while (store->replays != NULL) {
    forget_first(store);
  }
  if (status != 0) {
    store_pool_fail(&store->pool, status);
  }
  store->on_recovered(store, status);
}

/* An image is taken in any case: where the page on disk is torn; and where it seems to be newer,
 * but comes from a cache, because a sync has failed before. So all that was changed after the last
 * checkpoint is written once more. A damaged page without an image waits for one further on; where
 * there is none it stays damaged, and who fetches it is told. */
static void replay_page(struct store* store, unsigned place, struct store_frame* frame) {
  struct store_page* page = store_frame_page(frame);
  uint64_t lsn = store->replays->lsn;
  if (store->record.images[place] != NULL) {
    store->stats.torn += frame->error != 0;
    frame->error = 0;
    memcpy(page, store->record.images[place], sizeof(*page));
  }
  if (frame->error == 0 && page->lsn < lsn) {
    store_pool_begin_change(frame);
    store_record_apply(&store->record, frame->number, page);
    store_pool_end_change(frame, lsn);
  }
}

static void replay_first(struct store* store) {
  for (unsigned i = 0; i < store->record.page_count; i++) {
    replay_page(store, i, store->fetch.frames[i]);
  }
  store_pool_release(&store->fetch);
  forget_first(store);
  store->stats.replayed++;
}

static void on_pages(struct store_fetch* fetch, int status) {
  struct store* store = fetch->data;
  if (status != 0) {
    end(store, status);
    return;
  }
  replay_first(store);
  replay_all(store);
}

/* As store_pool_fetch(). */
static int fetch_first(struct store* store) {
  struct store_replay* first = store->replays;
  int error = store_record_read(&store->record, (const char*)(first + 1), first->length,
                                store->options.pages);
  if (error != 0) {
    return error;
  }
  store->fetch.data = store;
  store->fetch.flags = STORE_FETCH_CHANGE | STORE_FETCH_DAMAGED;
  store->fetch.count = store->record.page_count;
  memcpy(store->fetch.pages, store->record.pages, sizeof(store->fetch.pages));
  return store_pool_fetch(&store->pool, &store->fetch, on_pages);
}

static void replay_all(struct store* store) {
  int code = 1;
  while (code == 1 && store->replays != NULL) {
    code = fetch_first(store);
    if (code == 1) {
      replay_first(store);
    }
  }
  if (code != 0) {
    end(store, code < 0 ? code : 0);
  }
}

static void on_record(uint64_t lsn, const void* data, size_t length, void* arg) {
  struct store* store = arg;
  struct store_replay* replay = malloc(sizeof(*replay) + length);
  if (replay == NULL) {
    store->replay_error = UV_ENOMEM;
    return;
  }
  *replay = (struct store_replay){.lsn = lsn, .length = length};
  memcpy(replay + 1, data, length);
  *store->replays_end = replay;
  store->replays_end = &replay->next;
}

static void on_log_open(uvdio_log_t* log, int status, void* arg) {
  struct store* store = arg;
  status = status != 0 ? status : store->replay_error;
  if (status != 0) {
    end(store, status);
  } else {
    store->redo = store->replays != NULL ? store->replays->lsn : uvdio_log_durable(log);
    replay_all(store);
  }
}

int store_recover(struct store* store, const char* path,
                  void (*on_recovered)(struct store* store, int status)) {
  uvdio_log_options_t options = {.segment_size = store->options.segment_size};
  if (options.segment_size == 0) {
    options.segment_size = SEGMENT_SIZE;
  }
  store->on_recovered = on_recovered;
  store->replays_end = &store->replays;
  int error =
      uvdio_log_open(&store->log, store->engine, path, &options, on_record, on_log_open, store);
  store->pool.log = store->log;
  return error;
}
