/* SPDX-License-Identifier: MIT */
/*
 * Reading ahead for a reader of a log: blocks that are settled are read into chunks, in their order
 * and as many at a time as there are, from the reader's own handles of segments (log/reader.h).
 */
#include "log/reader.h"

static uvdio__log_handle_t* handle_of(uvdio_log_reader_t* r, uint64_t number) {
  return &r->handles[number % READER_HANDLES];
}

void uvdio__log_ahead_init(uvdio_log_reader_t* r, char* base) {
  unsigned i;

  for (i = 0; i < READER_CHUNKS; i++) {
    r->chunks[i].reader = r;
    r->chunks[i].req.data = &r->chunks[i];
    r->chunks[i].base = base + i * r->chunk_size;
    (void)uvdio_req_set_class(&r->chunks[i].req, r->options.class_number);
  }
  for (i = 0; i < READER_HANDLES; i++) {
    r->handles[i].reader = r;
    r->handles[i].req.data = &r->handles[i];
  }
}

/*
 * Handles
 */

static void on_open(uvdio_req_t* req, int64_t result) {
  uvdio__log_handle_t* handle = req->data;
  uvdio_log_reader_t* r = handle->reader;

  r->pending--;
  handle->is_open = result == 0;
  if (result < 0) { /* a segment that is part of the log has its name */
    handle->number = 0;
    r->ahead_error = result == UV_ENOENT ? UVDIO_EDAMAGED : (int)result;
  }
  r->go_on(r);
}

static void open_segment(uvdio_log_reader_t* r, uvdio__log_handle_t* handle, uint64_t number) {
  assert(handle->number == 0);
  r->ahead_error = uvdio_open(r->log->engine, &handle->file, &handle->req,
                              uvdio__log_segment_path(r->log, number),
                              UVDIO_O_RDONLY | UVDIO_O_DIRECT_PREFERRED, 0, on_open);
  if (r->ahead_error == 0) {
    r->pending++;
    handle->number = number;
  }
}

static void on_closed(uvdio_req_t* req, int64_t result) {
  uvdio__log_handle_t* handle = req->data;
  uvdio_log_reader_t* r = handle->reader;

  (void)result; /* it was only read */
  r->pending--;
  handle->number = 0;
  r->go_on(r);
}

static int close_handle(uvdio_log_reader_t* r, uvdio__log_handle_t* handle) {
  int error = uvdio_close(&handle->file, &handle->req, on_closed);

  if (error == 0) {
    r->pending++;
    handle->is_open = 0;
  }
  return error;
}

int uvdio__log_ahead_close_one(uvdio_log_reader_t* r, int* is_over) {
  unsigned i;

  *is_over = 0;
  for (i = 0; i < READER_HANDLES; i++) {
    if (uvdio__log_is_file_open(&r->handles[i].file)) {
      return close_handle(r, &r->handles[i]);
    }
  }
  *is_over = 1;
  return 0;
}

/* Those of segments that all chunks are behind. */
static void close_old(uvdio_log_reader_t* r) {
  uint64_t first = r->queued > 0 ? r->chunks[r->oldest].start : r->next;
  unsigned i;

  for (i = 0; i < READER_HANDLES && r->ahead_error == 0; i++) {
    uvdio__log_handle_t* handle = &r->handles[i];
    if (handle->is_open && handle->number < uvdio__log_segment_of(r, first)) {
      r->ahead_error = close_handle(r, handle);
    }
  }
}

/*
 * Chunks
 */

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio__log_chunk_t* chunk = req->data;
  uvdio_log_reader_t* r = chunk->reader;

  (void)buf; /* a view of the chunk */
  r->pending--;
  r->running--;
  r->reads++;
  chunk->is_running = 0;
  if (result < 0) {
    chunk->error = result == UVDIO_ESHORTREAD ? UVDIO_EDAMAGED : (int)result;
  }
  r->go_on(r);
}

/* Up to the end of the segment, and of what is settled. */
static size_t size_at(const uvdio_log_reader_t* r, uint64_t position) {
  uint64_t end = (uvdio__log_segment_of(r, position) + 1) * r->log->segment_size;
  uint64_t left = (r->log->settled < end ? r->log->settled : end) - position;

  return left < r->chunk_size ? (size_t)left : r->chunk_size;
}

/* A class that has no room is waited for, and nothing is read before: others wait as well. */
static void wait_for_room(uvdio_log_reader_t* r, uvdio__log_handle_t* handle) {
  r->ticker.file = &handle->file;
  r->ahead_error = uvdio__tick_when_there_is_room(&r->ticker, r->options.class_number);
}

/* Returns whether to go on. */
static int read_next(uvdio_log_reader_t* r, uvdio__log_handle_t* handle) {
  uvdio__log_chunk_t* chunk = &r->chunks[(r->oldest + r->queued) % READER_CHUNKS];
  size_t size = size_at(r, r->next);
  uvdio_buf_t view = uvdio_buf_wrap(chunk->base, size);
  int error;

  assert(size > 0 && size % FORMAT_BLOCK == 0 && !chunk->is_running);
  error =
      uvdio_read_exact(&handle->file, &chunk->req, &view, r->next % r->log->segment_size, on_read);
  if (error == UVDIO_EFULL) {
    wait_for_room(r, handle);
    return 0;
  }
  r->ahead_error = error;
  if (error != 0) {
    return 0;
  }
  chunk->start = r->next;
  chunk->size = size;
  chunk->is_running = 1;
  chunk->error = 0;
  r->pending++;
  r->running++;
  r->queued++;
  r->next = uvdio__log_block_behind(r->log, r->next + size - FORMAT_BLOCK);
  return 1;
}

/* The place of a segment may have that of the segment but one before, whose chunks are parsed yet.
 */
void uvdio__log_ahead_pump(uvdio_log_reader_t* r) {
  int may_go_on = 1;

  close_old(r);
  while (may_go_on && r->error == 0 && r->ahead_error == 0 && r->queued < READER_CHUNKS &&
         r->next < r->log->settled && !uvdio__is_room_awaited(&r->ticker)) {
    uint64_t number = uvdio__log_segment_of(r, r->next);
    uvdio__log_handle_t* handle = handle_of(r, number);
    if (handle->number == 0) {
      open_segment(r, handle, number);
    }
    may_go_on = handle->number == number && handle->is_open && read_next(r, handle);
  }
}

static int is_behind(const uvdio_log_reader_t* r, const uvdio__log_chunk_t* chunk) {
  return chunk->start + chunk->size <= r->position;
}

const char* uvdio__log_ahead_block(uvdio_log_reader_t* r) {
  const uvdio__log_chunk_t* chunk = &r->chunks[r->oldest];

  assert(r->position < r->log->settled);
  while (r->queued > 0 && is_behind(r, chunk)) {
    assert(!chunk->is_running);
    r->oldest = (r->oldest + 1) % READER_CHUNKS;
    r->queued--;
    chunk = &r->chunks[r->oldest];
  }
  if (r->queued == 0) {
    if (r->ahead_error != 0) {
      uvdio__log_reader_fail(r, r->ahead_error);
    }
    return NULL;
  }
  assert(r->position >= chunk->start);
  if (chunk->is_running) {
    return NULL;
  }
  if (chunk->error != 0) {
    uvdio__log_reader_fail(r, chunk->error);
    return NULL;
  }
  return chunk->base + (size_t)(r->position - chunk->start);
}

void uvdio__log_ahead_cancel(uvdio_log_reader_t* r) {
  unsigned i;

  uvdio__tick_at_once(&r->ticker);
  for (i = 0; i < READER_CHUNKS; i++) {
    if (r->chunks[i].is_running) {
      (void)uvdio_cancel(&r->chunks[i].req);
    }
  }
}
