/* SPDX-License-Identifier: MIT */
/*
 * What the files of the store share: its structure, the open's long part, and the checkpoint. A
 * store stops by the error of its pool, whoever found it.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "store.h"

#define STORE_PATH_MAX 4096u

/* A record that is to be replayed; its bytes follow. */
struct store_replay {
  struct store_replay* next;
  uint64_t lsn;
  size_t length;
};

struct store {
  uvdio_engine_t* engine;
  uvdio_file_t file; /* of the pages */
  uvdio_log_t* log;
  struct store_pool pool;
  struct store_options options;
  struct store_stats stats;
  uvdio_req_t req; /* of the checkpoint's sync, and of the file's close */
  unsigned ops;    /* pending */
  uint64_t redo;   /* the LSN from which on recovery needs the log, after the last checkpoint */
  unsigned char is_opening;
  unsigned char is_checkpointing;
  unsigned char is_closing;
  unsigned char is_ending;
  void (*on_recovered)(struct store* store, int status);
  void (*on_checkpoint)(struct store* store);
  store_cb open_cb;
  void* open_arg;
  store_cb close_cb;
  void* close_arg;
  /* recovery */
  struct store_replay* replays;
  struct store_replay** replays_end;
  struct store_record record;
  struct store_fetch fetch;
  int replay_error;
};

/* Opens the log in the directory `path`, and replays it. After 0 the callback follows. */
int store_recover(struct store* store, const char* path,
                  void (*on_recovered)(struct store* store, int status));

/* Begins a checkpoint. After 0 the callback follows, whatever comes of it; else the store has
 * stopped. */
int store_checkpoint(struct store* store, void (*on_checkpoint)(struct store* store));

#endif /* STORE_INTERNAL_H */
