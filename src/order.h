/* SPDX-License-Identifier: MIT */
/*
 * The order among requests of one file: which of them wait for which.
 *
 *   - A sync waits for every change that was submitted before it (file->order_, oldest first).
 *   - One sync runs at a time (file->syncing_): the kernel reports a lost write-back once, to one
 *     caller, and two syncs at a time would not know of each other's. Syncs that are covered by the
 *     one that starts follow it (file->followers_) and share its outcome.
 *   - Where durable writes share errors of write-back (UVDIO__QUIRK_SHARED_WRITEBACK_ERROR), each
 *     counts as a sync in this: one runs at a time, the others wait (file->durable_waiting_).
 *   - A write that a sync makes durable (REQ_THEN_SYNC) becomes a sync when it is written: it waits
 *     in file->written_, and the next sync of the file, whoever asked for it, covers all of these.
 *   - A truncate runs alone: beside it kernels lose direct writes. It waits in
 *     file->truncate_queue_ until the reads and changes before it have their outcomes, and those
 *     after it wait behind it. Syncs pass. So does a preallocation that writes (REQ_ALONE):
 *     beside it a write to a hole would be written over.
 *   - A close waits while anything has no outcome (file->pending_).
 *   - A sync that failed latches the file, and so does a durable write that may have lost data.
 *
 * Where an open file has several handles (share.h), reads, changes and syncs that may go by these
 * rules wait for those of other handles in the same lists: transfers and truncates in
 * file->truncate_queue_, syncs where they wait for each other.
 *
 * An outcome starts nothing by itself: requests that it sets free are added to a queue, and the
 * engine starts them later. So nothing recurses, however much was deferred.
 */
#ifndef UVDIO_ORDER_H
#define UVDIO_ORDER_H

#include "queue.h"
#include "share.h"

/* uvdio_file_t.state_: see file.h. */
#undef FILE_OPEN /* <winnt.h> has one, too, which nothing that includes this file uses. */
enum { FILE_CLOSED = 0, FILE_OPENING, FILE_OPEN, FILE_CLOSING };

/* uvdio_file_t.access_: what an open file may be asked for. */
#define ACCESS_ANY (1u << 0)             /* what neither reads nor changes it */
#define ACCESS_READ (1u << 1)            /* opened for it */
#define ACCESS_WRITE (1u << 2)           /* the same */
#define ACCESS_WRITE_UNLATCHED (1u << 3) /* the same, after a look at the latch of other handles */
#define ACCESS_CONTENT (1u << 4)         /* what has bytes: all but directories */
#define ACCESS_BASE (1u << 5)            /* a directory, to which paths may be relative */

/* Whether errors of the file's durable writes may be reported to another one. */
static inline int uvdio__has_shared_errors(const uvdio_file_t* file) {
  return (file->quirks_ & UVDIO__QUIRK_SHARED_WRITEBACK_ERROR) != 0;
}

/* What uvdio_file_t.path_ is. */
enum {
  PATH_PLAIN = 0, /* a path as uvdio_open() takes it */
  PATH_BASED,     /* relative to a directory, as uvdio_open_at() takes it */
  PATH_NONE       /* no path: the file has no name, and this is the directory's */
};

/* Of a path that is relative to `base`, or (null) as uvdio_open() takes it. */
static inline unsigned char uvdio__path_kind_of(const uvdio_file_t* base, const char* path) {
  return base != NULL && *path != '/' ? PATH_BASED : PATH_PLAIN;
}

/* Counts something as pending on the file that is no request of it: its close waits until that has
 * ended. */
void uvdio__order_hold(uvdio_file_t* file);
void uvdio__order_let_go(uvdio_file_t* file);

/* Starts an accepted request, or defers it until others have their outcomes. */
void uvdio__order_submit(uvdio_req_t* req);

/* The same for the close of a file. */
void uvdio__order_close(uvdio_req_t* req);

/* Applies the outcome of a synchronous form, which waits for nothing and is counted nowhere. */
void uvdio__order_apply(uvdio_req_t* req);

/* Takes a deferred request away from its file, to complete it. */
void uvdio__order_undefer(uvdio_req_t* req);

/* Whether a synchronous transfer or change would run beside a request that excludes it. */
int uvdio__order_must_not_run_now(const uvdio_req_t* req);

/* Whether a synchronous durable write would run beside a sync or another durable write that errors
 * may be taken from. */
int uvdio__order_must_not_be_durable_now(const uvdio_req_t* req);

/* A write with REQ_THEN_SYNC is written: from here to its outcome it is a sync. */
void uvdio__order_become_sync(uvdio_req_t* req);

/* Whether a synchronous sync would run beside a change or another sync. */
int uvdio__order_must_not_sync_now(const uvdio_file_t* file);

/* The close of a file is about to run: takes the file out of a ring's table, and the handle from
 * those of its open file. */
void uvdio__order_before_close(uvdio_req_t* req);

/* A file with a share: others have let its requests go on, perhaps. */
void uvdio__order_take_grants(uvdio_file_t* file);

/* The same file: a prepared synchronous form is about to run, or has run. Returns UV_EBUSY where
 * another handle has what it needs. */
int uvdio__order_begin_now(const uvdio_req_t* req);
void uvdio__order_end_now(const uvdio_req_t* req);

/* A prepared replace is about to be submitted, or to run (then uvdio__order_end_now() follows).
 * Returns UV_EBUSY where the open file has other handles, which would know the old path. */
int uvdio__order_begin_replace(const uvdio_req_t* req, int is_now);

/* The latch of the file, of whichever handle it came by; or 0. */
int uvdio__order_latch_of(uvdio_file_t* file);

#endif /* UVDIO_ORDER_H */
