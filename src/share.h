/* SPDX-License-Identifier: MIT */
/*
 * One open file that several handles have, on several engines and threads (uvdio_dup()): what these
 * have to agree on, beyond what order.h keeps for each of them.
 *
 *   access   shared by the handles that have reads or changes under way; exclusive for the one that
 *            has a truncate. As with a lock for readers and writers; nobody overtakes an exclusive
 *            access that waits, and after one has ended those go first that waited for it.
 *   sync     one sync at a time, because the kernel reports a lost write-back once per open file
 *   latch    the first error of a sync or durable write, of whichever handle
 *
 * A handle that can't have one of these is noted as waiting. When it may, its engine's loop is
 * woken, to call uvdio__share_take_grants(). What it was given and does not need any more, because
 * the request was cancelled, it gives back.
 *
 * All of this is for handles of an open with UVDIO_O_DUP; others have no share. Functions are
 * called on the thread of the handle's loop, but for what says otherwise. In a forked child they do
 * nothing: other threads of the parent may have held the mutex.
 */
#ifndef UVDIO_SHARE_H
#define UVDIO_SHARE_H

#include "engine.h"

typedef struct uvdio__share_s uvdio__share_t;

static inline uvdio__share_t* uvdio__share_of(const uvdio_file_t* file) {
  return file->share_;
}

/* Gives the first handle of a new open file its share. Errors: UV_ENOMEM, UV_EBADF (the user has
 * closed the engine's handles). */
int uvdio__share_create(uvdio_engine_t* engine, uvdio_file_t* file);

/* The same for one more handle, while the other one is open: on the thread of `engine`, which need
 * not be that of the other. From then on the path of the other one stays. Errors: as above, and
 * UV_EBUSY (a replace of the other one is pending). */
int uvdio__share_join(uvdio_engine_t* engine, uvdio_file_t* file, uvdio__share_t* other);

/* Calls `take` for each file of the engine that has a share; and for those alone to which others
 * have left something since the last time. It closes none. */
void uvdio__share_for_each(uvdio_engine_t* engine, void (*take)(uvdio_file_t* file));
void uvdio__share_for_each_given(uvdio_engine_t* engine, void (*take)(uvdio_file_t* file));

/* Whether files of the engine wait for other handles, or have been left something by them. */
int uvdio__share_is_any_waiting(const uvdio_engine_t* engine);

/* The handle is about to be closed, or released, or was not opened; nothing of it is pending. Frees
 * the share. Returns 1 where it was the last one, and none was released. */
int uvdio__share_leave(uvdio_file_t* file, int is_release);

/* What a handle may have. */
#define SHARE_ACCESS (1u << 0)    /* shared access */
#define SHARE_EXCLUSIVE (1u << 1) /* exclusive access */
#define SHARE_SYNC (1u << 2)      /* the sync that may run is its own */

/* Takes what others have left to this handle. */
void uvdio__share_take_grants(uvdio__share_t* share);

/* Asks for one of these. Returns 1 where the handle has it now, or had it; else, if `may_wait`, it
 * is noted as waiting. Access: not with reads or changes under way when exclusive access is asked
 * for. */
int uvdio__share_begin(uvdio__share_t* share, unsigned what, int may_wait);

/* Gives back what of it the handle has, and lets others go on. */
void uvdio__share_end(uvdio__share_t* share, unsigned what);

/* Waits for it no more: gives back what others have left to it meanwhile. A handle without pending
 * requests has nothing and waits for nothing. */
void uvdio__share_withdraw(uvdio__share_t* share, unsigned what);

/* A replace of the only handle's begins, and has ended: meanwhile there are no others, because each
 * has the path. Returns 0 where there are others. */
int uvdio__share_begin_replace(uvdio__share_t* share);
void uvdio__share_end_replace(uvdio__share_t* share);

/* Those that were let through together have begun: from here on a new one may have to wait. */
void uvdio__share_admitted(uvdio__share_t* share);

/* Sets the latch unless it is set. Returns what it is then. */
int uvdio__share_latch(uvdio__share_t* share, int error);

/* The latch, or 0. Any thread. */
int uvdio__share_latched(const uvdio__share_t* share);

/* The latch of a file with or without a share, by whichever handle; or 0. */
static inline int uvdio__share_latch_of(const uvdio_file_t* file) {
  return file->latch_ == 0 && file->share_ != NULL ? uvdio__share_latched(uvdio__share_of(file))
                                                   : file->latch_;
}

#endif /* UVDIO_SHARE_H */
