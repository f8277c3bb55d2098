/* SPDX-License-Identifier: MIT */
/*
 * The buffer pool (pool.h): fetches, the clock, and runs of dirty neighbours. Whatever has ended
 * looks for fetches that can go on, and for frames to free for those that wait.
 */
#include "pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Up to 16 buffers nothing is allocated, and no worker of the kernel is needed (uvdio_readv()). */
#define RUN_MAX 16u

static void make_room(struct store_pool* pool);

/*
 * Frames
 */

static void forget(struct store_frame* frame) {
  struct store_pool* pool = frame->pool;
  assert(frame->state == STORE_FRAME_HERE && frame->pins == 0 && frame->pending == 0);
  assert(frame->waiters == NULL);
  pool->table[frame->number] = NULL;
  (void)uvdio_buf_release(&frame->buf);
  pool->free++;
  frame->state = STORE_FRAME_FREE;
  frame->next_free = pool->first_free;
  pool->first_free = frame;
}

static void unpin(struct store_frame* frame) {
  assert(frame->pins > 0);
  frame->pins--;
  if (frame->pins == 0 && frame->error != 0) {
    forget(frame);
  }
}

/* As many structures as the arena has frames: who has one of these finds one of those. */
static struct store_frame* bind_frame(struct store_pool* pool, unsigned number, uvdio_buf_t* buf) {
  struct store_frame* frame = pool->first_free;
  assert(frame != NULL && pool->table[number] == NULL);
  pool->first_free = frame->next_free;
  *frame = (struct store_frame){.pool = pool, .buf = *buf, .number = number};
  frame->waiters_end = &frame->waiters;
  pool->table[number] = frame;
  return frame;
}

/*
 * Fetches that wait for pages
 */

void store_pool_release(struct store_fetch* fetch) {
  for (unsigned i = 0; i < fetch->count; i++) {
    unpin(fetch->frames[i]);
  }
  make_room(fetch->pool);
}

static int is_usable(const struct store_fetch* fetch, const struct store_frame* frame) {
  int will_change = (fetch->flags & STORE_FETCH_CHANGE) != 0;
  return (frame->state == STORE_FRAME_HERE && !(will_change && frame->is_closed)) ||
         (frame->state == STORE_FRAME_WRITING && !will_change);
}

static int error_of(const struct store_fetch* fetch, const struct store_frame* frame) {
  int is_taken = frame->error == UVDIO_EDAMAGED && (fetch->flags & STORE_FETCH_DAMAGED) != 0;
  return fetch->pool->error != 0 ? fetch->pool->error : is_taken ? 0 : frame->error;
}

/* All pages have to be usable at the same time. Returns 1: they are; 0: it waits for the first that
 * is not; or an error. */
static int settle(struct store_fetch* fetch) {
  for (unsigned i = 0; i < fetch->count; i++) {
    struct store_frame* frame = fetch->frames[i];
    int error = error_of(fetch, frame);
    if (error != 0) {
      store_pool_release(fetch);
      return error;
    }
    if (!is_usable(fetch, frame)) {
      fetch->next = NULL;
      *frame->waiters_end = fetch;
      frame->waiters_end = &fetch->next;
      return 0;
    }
  }
  return 1;
}

static void go_on(struct store_fetch* fetch) {
  int code = settle(fetch);
  if (code != 0) {
    fetch->cb(fetch, code < 0 ? code : 0);
  }
}

/* Each of them has a pin. */
static void wake(struct store_frame* frame) {
  struct store_fetch* fetch = frame->waiters;
  frame->waiters = NULL;
  frame->waiters_end = &frame->waiters;
  while (fetch != NULL) {
    struct store_fetch* next = fetch->next;
    go_on(fetch);
    fetch = next;
  }
}

/*
 * Fetches that wait for frames
 */

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct store_frame* frame = req->data;
  struct store_pool* pool = frame->pool;
  frame->buf = buf;
  frame->state = STORE_FRAME_HERE;
  frame->error =
      result < 0 ? (int)result : store_page_check(store_frame_page(frame), frame->number);
  wake(frame);
  unpin(frame);
  make_room(pool);
}

static void read_page(struct store_frame* frame) {
  uint64_t offset = (uint64_t)frame->number * UVDIO_PAGE_SIZE;
  frame->state = STORE_FRAME_READING;
  frame->req.data = frame;
  int error = uvdio_read_exact(frame->pool->file, &frame->req, &frame->buf, offset, on_read);
  if (error == 0) {
    frame->pins++;
    frame->pool->reads++;
  } else {
    frame->state = STORE_FRAME_HERE;
    frame->error = error;
  }
}

static unsigned count_missing(const struct store_fetch* fetch) {
  unsigned missing = 0;
  for (unsigned i = 0; i < fetch->count; i++) {
    missing += fetch->pool->table[fetch->pages[i]] == NULL;
  }
  return missing;
}

static void give_back(struct store_fetch* fetch, unsigned first) {
  for (unsigned i = first; i < fetch->asked; i++) {
    (void)uvdio_buf_release(&fetch->granted[i]);
    fetch->pool->free++;
  }
}

/* Pins all pages, and begins to read those that are missing, in the frames that were granted. */
static void pin_all(struct store_fetch* fetch) {
  unsigned used = 0;
  for (unsigned i = 0; i < fetch->count; i++) {
    struct store_frame* frame = fetch->pool->table[fetch->pages[i]];
    if (frame == NULL) {
      frame = bind_frame(fetch->pool, fetch->pages[i], &fetch->granted[used++]);
      read_page(frame);
    }
    frame->pins++;
    frame->is_referenced = 1;
    fetch->frames[i] = frame;
  }
  give_back(fetch, used);
}

static int ask_for_frames(struct store_fetch* fetch, unsigned count);

static void on_frames(uvdio_req_t* req, int64_t result) {
  struct store_fetch* fetch = req->data;
  struct store_pool* pool = fetch->pool;
  int error = result < 0 ? (int)result : pool->error;
  pool->wanted -= fetch->asked;
  pool->free -= result < 0 ? 0 : fetch->asked;
  unsigned missing = count_missing(fetch);
  if (error == 0 && missing <= fetch->asked) {
    pin_all(fetch);
    go_on(fetch);
    return;
  }
  if (result == 0) {
    give_back(fetch, 0);
  }
  if (error == 0) { /* The clock was here meanwhile; more than all can't be missing. */
    error = ask_for_frames(fetch, missing);
  }
  if (error != 0) {
    fetch->cb(fetch, error);
  }
}

static int ask_for_frames(struct store_fetch* fetch, unsigned count) {
  struct store_pool* pool = fetch->pool;
  fetch->req.data = fetch;
  fetch->asked = count;
  int error =
      uvdio_arena_wait(pool->engine, &fetch->req, pool->arena, fetch->granted, count, on_frames);
  if (error == 0) {
    pool->wanted += count;
    make_room(pool);
  }
  return error;
}

int store_pool_fetch(struct store_pool* pool, struct store_fetch* fetch, store_fetch_cb cb) {
  assert(fetch->count > 0 && fetch->count <= STORE_FETCH_MAX);
  fetch->pool = pool;
  fetch->cb = cb;
  fetch->asked = 0;
  unsigned missing = count_missing(fetch);
  if (pool->error != 0) {
    return pool->error;
  }
  if (missing > 0) {
    return ask_for_frames(fetch, missing);
  }
  pin_all(fetch);
  return settle(fetch);
}

/*
 * Writes
 */

static int is_writable(const struct store_frame* frame) {
  return frame != NULL && frame->state == STORE_FRAME_HERE && frame->is_dirty &&
         frame->pending == 0;
}

static void end_flush(struct store_pool* pool) {
  store_flush_cb cb = pool->flush_cb;
  if (cb != NULL && (pool->error != 0 || pool->closed == 0)) {
    pool->flush_cb = NULL;
    cb(pool, pool->error);
  }
}

static void end_write(struct store_frame* frame, int is_written) {
  struct store_pool* pool = frame->pool;
  frame->state = STORE_FRAME_HERE;
  pool->writing--;
  if (is_written) {
    frame->is_dirty = 0;
    pool->closed -= frame->is_closed;
    frame->is_closed = 0;
  }
}

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t* bufs, unsigned count) {
  struct store_frame* frame = req->data;
  struct store_frame** run = &frame->pool->table[frame->number];
  struct store_pool* pool = frame->pool;
  (void)bufs; /* views: the frames kept theirs */
  for (unsigned i = 0; i < count; i++) {
    end_write(run[i], result >= 0);
  }
  if (result < 0) {
    store_pool_fail(pool, (int)result);
  }
  for (unsigned i = 0; i < count; i++) {
    frame = run[i];
    wake(frame);
    unpin(frame);
  }
  end_flush(pool);
  make_room(pool);
}

/* Writes the page, and dirty neighbours on both sides. */
static void write_run(struct store_frame* frame) {
  struct store_pool* pool = frame->pool;
  uvdio_buf_t bufs[RUN_MAX];
  unsigned first = frame->number;
  unsigned count = 1;
  if (pool->error != 0 || !is_writable(frame)) {
    return;
  }
  while (count < RUN_MAX && first > 0 && is_writable(pool->table[first - 1])) {
    first--;
    count++;
  }
  while (count < RUN_MAX && first + count < pool->page_count &&
         is_writable(pool->table[first + count])) {
    count++;
  }
  for (unsigned i = 0; i < count; i++) {
    frame = pool->table[first + i];
    assert(store_frame_page(frame)->lsn < uvdio_log_durable(pool->log));
    store_page_seal(store_frame_page(frame), frame->number);
    bufs[i] = frame->buf;
    frame->state = STORE_FRAME_WRITING;
    frame->pins++;
  }
  pool->writing += count;
  frame = pool->table[first];
  frame->req.data = frame;
  int error = uvdio_writev_flags(pool->file, &frame->req, bufs, count,
                                 (uint64_t)first * UVDIO_PAGE_SIZE, UVDIO_WRITE_SHARED, on_written);
  if (error == 0) {
    pool->writes++;
    pool->pages_written += count;
    return;
  }
  for (unsigned i = 0; i < count; i++) {
    end_write(pool->table[first + i], 0);
    unpin(pool->table[first + i]);
  }
  store_pool_fail(pool, error);
}

/* The clock: frees frames until those that are wanted are free, or will be when what is being
 * written is. The second round finds those that had been referenced. A pool that has stopped gives
 * up dirty pages as well, so that whoever waits gets his frames, and then the error. */
static void make_room(struct store_pool* pool) {
  unsigned left = 2 * pool->frame_count;
  while (pool->wanted > pool->free + pool->writing && left-- > 0) {
    struct store_frame* frame = &pool->frames[pool->hand];
    pool->hand = (pool->hand + 1) % pool->frame_count;
    if (frame->state == STORE_FRAME_FREE || frame->pins > 0 || frame->pending > 0) {
      continue;
    }
    if (frame->is_referenced) {
      frame->is_referenced = 0;
    } else if (frame->is_dirty && pool->error == 0) {
      write_run(frame);
    } else {
      forget(frame);
    }
  }
}

/*
 * Changes
 */

void store_pool_begin_change(struct store_frame* frame) {
  assert(frame->state == STORE_FRAME_HERE && frame->pins > 0 && !frame->is_closed);
  assert(frame->error == 0);
  frame->is_dirty = 1;
  frame->pending++;
}

void store_pool_end_change(struct store_frame* frame, uint64_t lsn) {
  assert(frame->state == STORE_FRAME_HERE && frame->pending > 0);
  store_frame_page(frame)->lsn = lsn;
  frame->pending--;
  if (frame->is_closed) {
    write_run(frame);
  }
  make_room(frame->pool);
}

int store_pool_flush(struct store_pool* pool, store_flush_cb cb) {
  assert(pool->flush_cb == NULL && pool->closed == 0);
  if (pool->error != 0) {
    return pool->error;
  }
  for (unsigned i = 0; i < pool->frame_count; i++) {
    struct store_frame* frame = &pool->frames[i];
    frame->is_imaged = 0;
    frame->is_closed = frame->state == STORE_FRAME_HERE && frame->is_dirty;
    pool->closed += frame->is_closed;
  }
  if (pool->closed == 0) {
    return 1;
  }
  for (unsigned i = 0; i < pool->frame_count && pool->error == 0; i++) {
    if (pool->frames[i].is_closed) {
      write_run(&pool->frames[i]);
    }
  }
  pool->flush_cb = pool->error == 0 ? cb : NULL;
  return pool->error;
}

void store_pool_fail(struct store_pool* pool, int error) {
  if (pool->error != 0) {
    return;
  }
  pool->error = error;
  for (unsigned i = 0; i < pool->frame_count; i++) {
    struct store_frame* frame = &pool->frames[i];
    if (frame->state != STORE_FRAME_FREE) {
      frame->pins++;
      wake(frame);
      unpin(frame);
    }
  }
  end_flush(pool);
  make_room(pool);
}

/*
 * Begin and end
 */

int store_pool_create(struct store_pool* pool, uvdio_engine_t* engine, uvdio_file_t* file,
                      unsigned pages, unsigned frames) {
  uvdio_arena_options_t options = {.frame_size = UVDIO_PAGE_SIZE, .frame_count = frames};
  assert(frames >= STORE_FETCH_MAX);
  *pool = (struct store_pool){.engine = engine, .file = file};
  int error = uvdio_arena_create(&pool->arena, &options);
  if (error != 0) {
    return error;
  }
  pool->frames = calloc(frames, sizeof(*pool->frames));
  pool->table = calloc(pages, sizeof(struct store_frame*));
  if (pool->frames == NULL || pool->table == NULL) {
    store_pool_destroy(pool);
    return UV_ENOMEM;
  }
  for (unsigned i = 0; i < frames; i++) {
    pool->frames[i].next_free = pool->first_free;
    pool->first_free = &pool->frames[i];
  }
  pool->page_count = pages;
  pool->frame_count = pool->free = frames;
  return 0;
}

void store_pool_destroy(struct store_pool* pool) {
  for (unsigned i = 0; i < pool->frame_count; i++) {
    if (pool->frames[i].state != STORE_FRAME_FREE) {
      forget(&pool->frames[i]);
    }
  }
  (void)uvdio_arena_destroy(pool->arena, NULL);
  free(pool->frames);
  free(pool->table);
}
