/* SPDX-License-Identifier: MIT */
/*
 * The buffer pool: pages of one file in the frames of an arena. Who needs pages fetches them, which
 * pins them; who needs frames and finds none waits in the arena's queue, while the clock makes
 * room.
 *
 *             frames granted            read                 changed
 *   no page ----------------> READING --------> HERE, clean ---------> HERE, dirty
 *      ^                                          |   ^                   |
 *      +------------------------------------------+   +------ WRITING <---+
 *                  the clock takes the frame         written     its records are durable
 *
 * Pins. Nobody takes a frame that has pins: those of fetches, until store_pool_release(), and one
 * of the read or write that is under way.
 *
 * The log comes first. A change is pending from store_pool_begin_change() until its record is
 * durable, and a page with pending changes is not written. Which LSN a record has is known when it
 * is durable, and then the page is given it.
 *
 * Writes. Dirty neighbours go to the file as one vector write, with UVDIO_WRITE_SHARED: readers use
 * the pages meanwhile, and who wants to change one waits until it is written.
 *
 * Frames. A fetch takes no pin before it has all frames that it lacks, and takes these at once
 * (uvdio_arena_wait()). So nobody keeps frames while he waits for more, and any number of fetches
 * may wait, however few frames there are.
 *
 * Errors. A read's is that of the fetches that wait for the page. A write's stops the pool: nothing
 * is written any more, and the log has what is lost by that.
 */
#ifndef STORE_POOL_H
#define STORE_POOL_H

#include <uvdio/log.h>

#include "page.h"

/* Pages of a fetch at most. */
#define STORE_FETCH_MAX 4u

struct store_fetch;
struct store_pool;

enum store_frame_state {
  STORE_FRAME_FREE = 0,
  STORE_FRAME_READING,
  STORE_FRAME_HERE,
  STORE_FRAME_WRITING
};

struct store_frame {
  struct store_pool* pool;
  uvdio_buf_t buf; /* empty while the page is read: the library's */
  uvdio_req_t req; /* of its read, or of the write that begins with it */
  unsigned number; /* of the page */
  enum store_frame_state state;
  int error;        /* of the read; then there is no page, and the last pin frees the frame */
  unsigned pins;    /* see above */
  unsigned pending; /* changes whose record is not durable yet */
  unsigned char is_dirty;
  unsigned char is_referenced; /* since the clock's hand came by */
  unsigned char is_closed;     /* to changes, until a flush has written it */
  unsigned char is_imaged;     /* the log has all of it, since the last flush began */
  struct store_fetch* waiters; /* for another state */
  struct store_fetch** waiters_end;
  struct store_frame* next_free;
};

/* All pages are pinned, and usable at this moment; or an error, and none is pinned. */
typedef void (*store_fetch_cb)(struct store_fetch* fetch, int status);

/* The end of a flush. */
typedef void (*store_flush_cb)(struct store_pool* pool, int status);

#define STORE_FETCH_CHANGE (1u << 0)  /* the pages are to be changed */
#define STORE_FETCH_DAMAGED (1u << 1) /* also those that are damaged: frame->error tells */

/* The caller's, until store_pool_release(). */
struct store_fetch {
  /* to be set */
  void* data;
  unsigned pages[STORE_FETCH_MAX]; /* all different */
  unsigned count;
  unsigned flags;
  /* in the callback */
  struct store_frame* frames[STORE_FETCH_MAX];
  /* the pool's */
  struct store_pool* pool;
  store_fetch_cb cb;
  uvdio_req_t req;
  uvdio_buf_t granted[STORE_FETCH_MAX];
  unsigned asked; /* frames */
  struct store_fetch* next;
};

struct store_pool {
  void* data;       /* the user's */
  uvdio_log_t* log; /* of the changes; to be set before the first one */
  int error;        /* that has stopped the pool */
  uint64_t reads, writes, pages_written;
  /* the pool's */
  uvdio_engine_t* engine;
  uvdio_file_t* file;
  uvdio_arena_t* arena;
  struct store_frame* frames;
  struct store_frame** table; /* by the page's number; a larger table would be hashed */
  struct store_frame* first_free;
  unsigned page_count, frame_count;
  unsigned hand;    /* the clock's */
  unsigned free;    /* frames without a page, also those that the arena keeps for who waits */
  unsigned wanted;  /* frames for which fetches wait */
  unsigned writing; /* pages that are being written */
  unsigned closed;  /* frames that the flush waits for */
  store_flush_cb flush_cb;
};

/* `frames`: STORE_FETCH_MAX at least. */
int store_pool_create(struct store_pool* pool, uvdio_engine_t* engine, uvdio_file_t* file,
                      unsigned pages, unsigned frames);

/* When its file is closed, and all fetches have ended. */
void store_pool_destroy(struct store_pool* pool);

/* Returns 1: all pages are pinned, and no callback follows; 0: a callback follows; or an error. */
int store_pool_fetch(struct store_pool* pool, struct store_fetch* fetch, store_fetch_cb cb);

/* Unpins the pages. */
void store_pool_release(struct store_fetch* fetch);

static inline struct store_page* store_frame_page(const struct store_frame* frame) {
  return (struct store_page*)(void*)frame->buf.base;
}

/* A page that was fetched to be changed: from here on it has a change whose record is not durable.
 * The frame stays until the end, also without a pin. */
void store_pool_begin_change(struct store_frame* frame);

/* The record is durable, as `lsn`; or never, and the pool has an error. */
void store_pool_end_change(struct store_frame* frame, uint64_t lsn);

/* Writes all pages that are dirty now, but for those that are being written already. Until it is
 * written each is closed to changes, because one that is always changed would never be without
 * pending ones. One flush at a time. Returns 1: there is none; 0: the callback follows; or the
 * pool's error. */
int store_pool_flush(struct store_pool* pool, store_flush_cb cb);

/* Stops the pool: all fetches that wait get the error, and so does a flush. */
void store_pool_fail(struct store_pool* pool, int error);

#endif /* STORE_POOL_H */
