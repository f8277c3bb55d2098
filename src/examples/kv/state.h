/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the store know of each other. The log has each change; the data file has the
 * values up to the last checkpoint, and is never written where the log says it holds something.
 *
 *   bytes.c       memory
 *   index.c       keys, and where their values lie
 *   data.c        the data file: its names, its entries, and reading all of it
 *   change.c      an entry of the index changes
 *   batch.c       changes of one turn of the loop become one record of the log
 *   recover.c     the open: the log is replayed, and the data file read
 *   checkpoint.c  values go from memory to the data file, so that the log can be cut
 *   store.c       what the server calls
 *   load.c        a value of the data file is read by range, piece by piece
 *   output.c      the replies to one client, in their order
 *   request.c     the requests of one client, by hiredis
 *   command.c     what each request does
 *   server.c      clients and their sockets
 *   main.c        options, signals
 *
 * A change takes this way: request.c -> command.c -> store.c -> batch.c, which appends the batch at
 * the end of the turn. Its reply waits in output.c for the number of its batch.
 */
#ifndef KV_STATE_H
#define KV_STATE_H

#include <assert.h>
#include <uvdio.h>
#include <uvdio/log.h>
#include <uvdio/stream.h>

#include "batch.h"
#include "data.h"
#include "index.h"

typedef struct kv_options_s {
  const char* directory;
  uint64_t memory_max;   /* bytes of keys and values that are not in the data file yet */
  uint64_t log_max;      /* bytes of the log that begin a checkpoint */
  uint64_t compact_min;  /* bytes of the data file, below which it is not written anew */
  uint64_t segment_size; /* of the log */
  size_t value_max;
} kv_options_t;

/* A change that a checkpoint writes. */
typedef struct kv_change_s {
  kv_entry_t* entry;
  kv_bytes_t* value; /* as it was written; null: the deletion was, or nothing */
  uint64_t position;
  int is_written;
} kv_change_t;

typedef struct kv_changes_s {
  kv_change_t* list;
  size_t count;
  size_t room;
} kv_changes_t;

typedef enum {
  KV_CHECKPOINT_NONE = 0,
  KV_CHECKPOINT_WRITES, /* changes are written behind what the data file holds */
  KV_CHECKPOINT_COPIES, /* what is left of the data file is written to the next one */
  KV_CHECKPOINT_CLOSES, /* and synced */
  KV_CHECKPOINT_TELLS,  /* the log is told */
  KV_CHECKPOINT_ENDS    /* the index is told */
} kv_checkpoint_step_t;

typedef struct kv_checkpoint_s {
  kv_checkpoint_step_t step;
  int is_compaction;
  uint64_t number;      /* of the checkpoint that takes the changes of now */
  kv_changes_t changes; /* that it writes */
  size_t next;          /* of these */
  size_t offset;        /* bytes of that entry which are written */
  uvdio_writer_t* writer;
  int is_waiting; /* for the writer to have room */
  kv_file_t* target;
  uvdio_req_t req;
  kv_scan_t scan;     /* of a compaction */
  kv_entry_t* copied; /* the entry whose value is passed on; null: it is left out */
  char head[KV_HEAD_SIZE + KV_KEY_MAX];
  size_t head_length;
  uint64_t lsn;     /* the log is needed from here on */
  uint64_t end;     /* bytes of the target that hold something */
  uint64_t told_in; /* the batch that tells it */
} kv_checkpoint_t;

typedef struct kv_counts_s {
  uint64_t checkpoints;
  uint64_t compactions;
  uint64_t replayed;
} kv_counts_t;

typedef struct kv_store_s kv_store_t;
struct kv_store_s {
  uvdio_engine_t* engine;
  kv_options_t options;
  uvdio_log_t* log;
  uvdio_arena_t* arena; /* frames for streams */
  kv_index_t index;
  kv_batches_t batches;
  kv_changes_t dirty; /* changes since the last checkpoint began */
  kv_file_t* file;
  uint64_t end;          /* bytes of it that hold something */
  uint64_t live_bytes;   /* of these that are the values of now, with their keys */
  uint64_t keys;         /* that have a value */
  uint64_t memory_bytes; /* of values in memory, with their keys */
  uint64_t lsn;          /* the log was cut here */
  kv_checkpoint_t checkpoint;
  kv_counts_t counts;
  int error; /* the store has stopped */
  int is_open;
  int is_closing;

  uvdio_req_t req; /* of the open */
  kv_scan_t scan;  /* the same */
  char path[KV_PATH_MAX];

  /* `opened_cb` once; `changed_cb` when more is durable, there may be room again, or the store has
   * stopped; `closed_cb` once. */
  void (*opened_cb)(kv_store_t* store);
  void (*changed_cb)(kv_store_t* store);
  void (*closed_cb)(kv_store_t* store);
  void* data;
};

/* The first error stops the store. */
static inline void kv_store_note_error(kv_store_t* store, int64_t error) {
  if (store->error == 0) {
    store->error = (int)error;
  }
}

/* And whoever uses the store is told at once. */
static inline void kv_store_fail(kv_store_t* store, int64_t error) {
  assert(error < 0);
  kv_store_note_error(store, error);
  store->changed_cb(store);
}

static inline uint64_t kv_size_of(const kv_entry_t* entry) {
  return (uint64_t)KV_HEAD_SIZE + entry->key_length + entry->value_length;
}

#endif /* KV_STATE_H */
