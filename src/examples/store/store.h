/* SPDX-License-Identifier: MIT */
/*
 * A small storage engine, as an example of the library: a table of 64-bit counters in a file of
 * pages, whose adds are atomic, durable when their callback runs, and survive power cuts.
 *
 *   store.c        the calls: an add, a get; the end
 *   recover.c      the open: what the log has is added to pages that lack it
 *   checkpoint.c   pages are made durable, and the log is cut
 *   record.c       a record of the log
 *   pool.c         the buffer pool: frames of an arena, clock, pins, writes of several pages
 *   page.c         a page of the file
 *
 * Read it in this order; calls go down the list. The log itself is the library's (uvdio/log.h).
 *
 * An add fetches its pages, appends one record for all of its changes, and makes these in the pool
 * at once; its callback runs when the record is durable. Adds that come meanwhile share the log's
 * next flush. Pages are written later, by the clock or a checkpoint.
 *
 * Three rules make it safe.
 *
 *   The log comes first. A page is not written while the record of one of its changes is not
 *   durable. So of an add that the file has a part of, the log has all, and nothing has to be
 *   undone at recovery.
 *
 *   A page tells what it has. It carries the LSN of its last record, and recovery adds to it what
 *   records with a higher one say. So no add counts twice.
 *
 *   A checkpoint syncs before it cuts. All pages that were dirty when it began are written, then
 *   the file is synced, and then the log is cut, to what was durable when it began.
 *
 * Torn pages. A disk writes sectors, and at a power cut a page may be new in some and old in
 * others. Neither its LSN nor its cells can be believed then. So the first record that changes a
 * page after a checkpoint has begun holds all of the page as it was before, and recovery begins
 * with that, whatever the page in the file looks like. PostgreSQL does the same (full_page_writes).
 * A full image costs the log 4 KiB per page and checkpoint, so that longer checkpoints make it
 * rare. The other ways: to write each page to a second place first, as InnoDB does, which is
 * another write and sync for each page; and writes that can't be torn (UVDIO_WRITE_ATOMIC), which
 * need a disk that has them, and write one page at a time.
 *
 * "The first" is a mark on the frame (is_imaged), which a checkpoint takes away. The page's LSN
 * can't tell it: a change that was on its way to the log when the checkpoint began has an LSN
 * behind the cut, while the image before it is given up.
 *
 * Errors. When a write or a sync of log or pages has failed, nothing can be said of what was
 * written since the last checkpoint: the store stops, and adds get the error. Close it and open it
 * again: recovery writes all of that once more, because it begins with the images, and does not
 * believe what a cache still shows (Rebello et al., ATC 2020). What had its callback is there. A
 * page that is damaged otherwise is refused (UVDIO_EDAMAGED), and the store goes on without it.
 *
 * Everything is called on the loop's thread.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "record.h"

struct store;
struct store_op;

/* The end of an add, 0 and it is durable, or of a get; or a negative code. `op` is free again. */
typedef void (*store_op_cb)(struct store_op* op, int status);

/* The end of an open or a close. */
typedef void (*store_cb)(struct store* store, int status, void* arg);

/* One add or get; zeroed before its first use. */
struct store_op {
  void* data;    /* the user's */
  int64_t value; /* of the cell, after a get */
  /* the store's */
  struct store* store; /* null: not pending */
  store_op_cb cb;
  struct store_record record;
  char* bytes; /* of the record */
  struct store_fetch fetch;
  uvdio_log_append_t append;
};

/* All zero: the defaults. */
struct store_options {
  unsigned pages;           /* of STORE_PAGE_CELLS counters each; 0: 1024 */
  unsigned frames;          /* in memory; 0: 256 */
  uint64_t checkpoint_size; /* bytes of log after which there is a checkpoint; 0: 16 MiB */
  uint64_t segment_size;    /* of the log; 0: 4 MiB */
};

struct store_stats {
  uint64_t adds;          /* that are durable */
  uint64_t flushes;       /* of the log, for them */
  uint64_t images;        /* of pages, in records */
  uint64_t checkpoints;   /* that have ended well */
  uint64_t replayed;      /* records, at the open */
  uint64_t torn;          /* pages that an image has mended, at the open */
  uint64_t reads;         /* of a page each */
  uint64_t writes;        /* of one page or more */
  uint64_t pages_written; /* by them */
};

/* Opens the store in the directory `path`, which has to be there, and recovers it; where it is
 * empty it becomes a store of zeros. Blocks while it makes files; what takes long it does in the
 * background. After 0 `cb` follows, and the store has to be closed, also after an error. */
int store_open(struct store** store, uvdio_engine_t* engine, const char* path,
               const struct store_options* options, store_cb cb, void* arg);

/* Adds each delta to its cell: all of them or none. `changes` is copied. After 0 the callback
 * follows. Errors returned: UV_EINVAL (no change, too many, no such cell), UV_EBUSY (`op` is
 * pending), UV_EBADF (not open, or closing), and the error that has stopped the store. */
int store_add(struct store* store, struct store_op* op, const struct store_change* changes,
              unsigned count, store_op_cb cb);

/* Reads a cell, as adds have left it whose callback has run, or is to come: an add behind it, also
 * of 0, is durable when all that it saw is. Returns 1: op->value is set, and no callback follows;
 * 0: the callback follows; or an error, as store_add(), or UVDIO_EDAMAGED from here or there. */
int store_get(struct store* store, struct store_op* op, uint64_t cell, store_op_cb cb);

/* Closes the store when all ops have ended, after a checkpoint, and frees it. `cb` is given the
 * error that has stopped it, or 0. Close it before its engine. */
int store_close(struct store* store, store_cb cb, void* arg);

void store_stats(const struct store* store, struct store_stats* stats);

#endif /* STORE_STORE_H */
