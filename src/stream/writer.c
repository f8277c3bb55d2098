/* SPDX-License-Identifier: MIT */
/*
 * Writing behind (uvdio/stream.h), over the public calls. Frames are slots in a circle: the newest
 * is being filled, those before it are sealed, and of these the oldest are in flight or written. A
 * slot that begins within a block has a copy of the bytes before (tail), and is written when the
 * slot before it, which wrote that block last, has ended. A slot is written as one run, or where
 * zeros are left out, as one after the other. The hole that a skip leaves is the slot's before it.
 *
 * While something is to be called back, a request of the writer is pending, or go_on() is on the
 * stack.
 */
#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "frames.h"
#include "growth.h"
#include "refusal.h"
#include "sized.h"
#include "ticker.h"
#include "uvdio/class.h"
#include "uvdio/stream.h"

#define GROW_MIN ((uint64_t)1024 * 1024)
#define GROW_MAX ((uint64_t)32 * 1024 * 1024)
#define ALL_FLAGS (UVDIO_WRITER_NO_GROWTH | UVDIO_WRITER_DURABLE | UVDIO_WRITER_SPARSE)
/* Bytes. Fewer zeros than a block of most filesystems are not worth a hole. */
#define ZEROS_MIN ((size_t)4096)

typedef struct slot_s {
  uvdio_req_t req;
  uvdio_writer_t* writer;
  uvdio_buf_t frame;
  uint64_t offset; /* in the file, of its first byte */
  size_t used;     /* bytes, those copied from the slot before included */
  size_t old;      /* these */
  size_t length;   /* bytes that its writes end at, once it is sealed */
  size_t begin;    /* of the run that is being written, or is to be */
  size_t end;
  uint64_t hole;  /* bytes that were skipped behind it */
  int is_refused; /* by its class: the run is to be sent again, though runs before it were sent */
  int is_written;
} slot_t;

/* Something that was asked for with a callback. */
typedef struct asked_s {
  uvdio_stream_cb cb; /* null: nothing */
  void* arg;
  uint64_t end; /* of the bytes that it is about */
} asked_t;

enum { OPEN, CLOSING, CUTTING, ASKING, SYNCING, DONE };

struct uvdio_writer_s {
  uvdio_buf_t memory; /* of all that the writer has */
  uvdio_file_t* file;
  uvdio_arena_t* arena;
  uvdio_writer_options_t options;
  size_t frame_size;
  size_t block; /* the file's alignment */
  size_t memory_align;
  size_t piece; /* zeros that are worth a hole, in bytes; 0: none are */
  int error;
  int stage;
  int is_calling;
  unsigned pending; /* requests of the writer */

  uint64_t end;     /* of the bytes that were given */
  uint64_t written; /* of those that are in the file, as all before them */
  uint64_t moved;   /* bytes of the writes that have ended */
  uvdio__growth_t growth;

  unsigned oldest;
  unsigned used; /* slots */
  unsigned sent; /* of these: in flight or written */
  unsigned refused;
  int is_filling;
  uvdio_buf_t spare; /* the next slot's frame */
  int is_frame_asked;

  asked_t wait;
  asked_t flush;
  asked_t sync;
  asked_t close;
  int is_syncing;
  int is_synced; /* what was asked for */

  uvdio_req_t grow_req;
  uvdio_req_t end_req; /* the close's */
  uvdio_req_t sync_req;
  uvdio_req_t frame_req;
  uvdio_req_t check_req;
  uvdio_stat_t stat; /* the close's */
  uvdio__ticker_t ticker;
  char* tail; /* one block: what the next slot begins with */
  slot_t* slots;
};

static void go_on(uvdio_writer_t* w);

static void fail(uvdio_writer_t* w, int64_t error) {
  assert(error < 0);
  if (w->error == 0) {
    w->error = (int)error;
  }
}

/* What a submission returned. */
static int count(uvdio_writer_t* w, int error) {
  if (error != 0) {
    fail(w, error);
    return 0;
  }
  w->pending++;
  return 1;
}

static slot_t* slot_at(const uvdio_writer_t* w, unsigned i) {
  return &w->slots[(w->oldest + i) % w->options.window_max];
}

static uint64_t block_end(const uvdio_writer_t* w, uint64_t offset) {
  return (offset + w->block - 1) / w->block * w->block;
}

static void on_tick(void* stream) {
  go_on(stream);
}

/* Whether no request of the writer is under way that ends by itself: one for a frame may not. */
static int is_at_rest(const uvdio_writer_t* w) {
  return w->pending == (unsigned)w->is_frame_asked;
}

/* What a class refuses is tried again when it is the writer's turn: others wait for room, too. */
static void try_later(uvdio_writer_t* w, unsigned class_number) {
  int error = uvdio__tick_when_there_is_room(&w->ticker, class_number);

  if (error != 0) {
    fail(w, error);
  }
}

/*
 * The file's size
 */

static void on_grown(uvdio_req_t* req, int64_t result) {
  uvdio_writer_t* w = req->data;

  w->pending--;
  uvdio__growth_end(&w->growth, result);
  go_on(w);
}

/* Before a write that ends there. The write needs no growth: its errors are none. */
static void grow_ahead(uvdio_writer_t* w, uint64_t end) {
  uint64_t size = uvdio__growth_next(&w->growth, end);

  if (size != 0 && uvdio_truncate(w->file, &w->grow_req, size, on_grown) == 0) {
    w->pending++;
    uvdio__growth_begin(&w->growth, size);
  }
}

/*
 * Slots
 */

static void retire_written(uvdio_writer_t* w) {
  while (w->sent > 0 && slot_at(w, 0)->is_written) {
    const slot_t* slot = slot_at(w, 0);
    w->written = slot->offset + slot->used + slot->hole;
    w->oldest = (w->oldest + 1) % w->options.window_max;
    w->used--;
    w->sent--;
  }
}

static int is_hole(const uvdio_writer_t* w, const slot_t* slot, size_t at) {
  const char* bytes = slot->frame.base + at;
  size_t left = slot->used - at;
  size_t length = left < w->piece ? left : w->piece;

  return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

/* Moves on to the slot's next run; returns whether there is one. */
static int find_run(const uvdio_writer_t* w, slot_t* slot) {
  size_t at = slot->end;

  if (w->piece == 0) {
    slot->begin = at;
    slot->end = slot->used;
    return at < slot->used;
  }
  while (at < slot->used && is_hole(w, slot, at)) {
    at += w->piece;
  }
  slot->begin = at;
  while (at < slot->used && !is_hole(w, slot, at)) {
    at += w->piece;
  }
  slot->end = at < slot->used ? at : slot->used;
  return slot->begin < slot->used;
}

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

/* Returns whether the run was accepted. A run that does not begin with the frame is a view. */
static int send_run(uvdio_writer_t* w, slot_t* slot) {
  size_t length = (size_t)block_end(w, slot->end) - slot->begin;
  uint64_t begin = slot->offset + slot->begin;
  uvdio_buf_t view = uvdio_buf_view_bytes(slot->frame.base + slot->begin, length);
  uvdio_buf_t* run = slot->begin == 0 ? &slot->frame : &view;
  int error;

  assert(slot->begin < slot->end && slot->begin + length <= slot->length);
  if (uvdio__is_room_awaited(&w->ticker)) {
    return 0;
  }
  grow_ahead(w, begin + length);
  run->len = length;
  error = uvdio_write(w->file, &slot->req, run, begin, on_written);
  if (error == UVDIO_EFULL) {
    try_later(w, w->options.class_number);
    return 0;
  }
  if (!count(w, error)) {
    return 0;
  }
  uvdio__growth_write(&w->growth, begin + length);
  return 1;
}

static void end_slot(uvdio_writer_t* w, slot_t* slot) {
  (void)uvdio_buf_release(&slot->frame);
  slot->is_written = 1;
  retire_written(w);
}

/* Behind the run that was written; or nothing of the slot was to be. */
static void send_next_run(uvdio_writer_t* w, slot_t* slot) {
  if (!find_run(w, slot)) {
    end_slot(w, slot);
  } else if (!send_run(w, slot)) {
    slot->is_refused = 1;
    w->refused++;
  }
}

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  uvdio_writer_t* w = slot->writer;

  w->pending--;
  if (slot->begin == 0) { /* the frame itself, and no view */
    slot->frame = buf;
  }
  if (result < 0) {
    fail(w, result);
  } else {
    w->moved += slot->end - slot->begin;
  }
  if (w->error == 0) {
    send_next_run(w, slot);
  } else {
    (void)uvdio_buf_release(&slot->frame);
  }
  go_on(w);
}

/* Returns whether it is under way, or was nothing but zeros. */
static int send_slot(uvdio_writer_t* w, slot_t* slot) {
  int has_run;

  slot->end = 0;
  has_run = find_run(w, slot);
  if (has_run && !send_run(w, slot)) {
    return 0;
  }
  w->sent++;
  if (!has_run) {
    end_slot(w, slot);
  }
  return 1;
}

/* Runs that the class has refused, of slots that have begun. */
static void send_refused(uvdio_writer_t* w) {
  unsigned i;

  for (i = 0; w->refused > 0 && w->error == 0 && i < w->sent; i++) {
    slot_t* slot = slot_at(w, i);
    if (slot->is_refused) {
      if (!send_run(w, slot)) {
        return;
      }
      slot->is_refused = 0;
      w->refused--;
    }
  }
}

/* Whether the slot before writes the block that this one begins within. */
static int is_in_the_way(const slot_t* before, const slot_t* slot) {
  return !before->is_written && before->offset + before->length > slot->offset;
}

/* What is sealed, in its order. */
static void pump(uvdio_writer_t* w) {
  send_refused(w);
  while (w->error == 0 && w->refused == 0 && w->sent + (unsigned)w->is_filling < w->used) {
    slot_t* slot = slot_at(w, w->sent);
    if ((w->sent > 0 && is_in_the_way(slot_at(w, w->sent - 1), slot)) || !send_slot(w, slot)) {
      break;
    }
  }
}

/* The rest of the last block is zeros, and the block is what the next slot begins with. */
static void seal(uvdio_writer_t* w) {
  slot_t* slot = slot_at(w, w->used - 1);
  size_t rest = slot->used % w->block;

  assert(w->is_filling && slot->used > slot->old);
  slot->length = (size_t)block_end(w, slot->used);
  memset(slot->frame.base + slot->used, 0, slot->length - slot->used);
  memcpy(w->tail, slot->frame.base + slot->used - rest, rest);
  w->is_filling = 0;
}

/* The spare is the arena's while it is asked for a frame. */
static int has_frame(uvdio_writer_t* w) {
  return !w->is_frame_asked &&
         (w->spare.base != NULL || uvdio_arena_acquire(w->arena, &w->spare) == 0);
}

static int has_room(uvdio_writer_t* w) {
  return w->is_filling || (w->used < w->options.window_max && has_frame(w));
}

static slot_t* add_slot(uvdio_writer_t* w, uvdio_buf_t* frame) {
  static const uvdio_buf_t none;
  slot_t* slot = slot_at(w, w->used++);

  slot->frame = *frame;
  *frame = none;
  slot->old = (size_t)(w->end % w->block);
  slot->offset = w->end - slot->old;
  slot->used = slot->old;
  slot->hole = 0;
  slot->is_refused = 0;
  slot->is_written = 0;
  memcpy(slot->frame.base, w->tail, slot->old);
  w->is_filling = 1;
  return slot;
}

/* The bytes of a slot, which ends at a multiple of the frame size. */
static size_t capacity_of(const uvdio_writer_t* w, const slot_t* slot) {
  return w->frame_size - (size_t)(slot->offset % w->frame_size);
}

/* Returns how many bytes it took. */
static size_t fill(uvdio_writer_t* w, const char* bytes, size_t length) {
  slot_t* slot = w->is_filling ? slot_at(w, w->used - 1) : add_slot(w, &w->spare);
  size_t room = capacity_of(w, slot) - slot->used;
  size_t taken = length < room ? length : room;

  memcpy(slot->frame.base + slot->used, bytes, taken);
  slot->used += taken;
  w->end += taken;
  if (taken == room) {
    seal(w);
  }
  return taken;
}

/* Returns whether zeros do it: the hole ends in the block that is being filled. */
static int fill_zeros(uvdio_writer_t* w, uint64_t length) {
  slot_t* slot;

  if (!w->is_filling || w->end + length > block_end(w, w->end)) {
    return 0;
  }
  slot = slot_at(w, w->used - 1);
  memset(slot->frame.base + slot->used, 0, (size_t)length);
  slot->used += (size_t)length;
  w->end += length;
  if (slot->used == capacity_of(w, slot)) {
    seal(w);
  }
  return 1;
}

/* The block that the bytes end within has zeros behind them, in the file as well. */
static void leave_hole(uvdio_writer_t* w, uint64_t length) {
  size_t rest = (size_t)(w->end % w->block);

  if (w->is_filling) {
    seal(w);
  }
  if (length < w->block - rest) {
    memset(w->tail + rest, 0, (size_t)length);
  } else {
    memset(w->tail, 0, w->block);
  }
  w->end += length;
  if (w->used > 0) {
    slot_at(w, w->used - 1)->hole += length;
  } else {
    w->written = w->end;
  }
}

/*
 * Callbacks
 */

static void on_synced(uvdio_req_t* req, int64_t result) {
  uvdio_writer_t* w = req->data;

  w->pending--;
  w->is_syncing = 0;
  if (result < 0) {
    fail(w, result);
  } else {
    w->is_synced = 1;
  }
  go_on(w);
}

static void sync_where_asked(uvdio_writer_t* w) {
  if (w->sync.cb != NULL && w->error == 0 && !w->is_syncing && !w->is_synced &&
      w->written >= w->sync.end && count(w, uvdio_sync_data(w->file, &w->sync_req, on_synced))) {
    w->is_syncing = 1;
  }
}

static void on_frame(uvdio_req_t* req, int64_t result) {
  uvdio_writer_t* w = req->data;

  w->pending--;
  w->is_frame_asked = 0;
  if (result < 0 && w->stage == OPEN) { /* The close cancels it. */
    fail(w, result);
  }
  go_on(w);
}

static void wait_for_frame(uvdio_writer_t* w) {
  if (w->wait.cb != NULL && w->error == 0 && !w->is_frame_asked && !has_room(w) &&
      w->used < w->options.window_max &&
      count(w,
            uvdio_arena_wait(w->file->engine_, &w->frame_req, w->arena, &w->spare, 1, on_frame))) {
    w->is_frame_asked = 1;
  }
}

static void call_back(uvdio_writer_t* w, asked_t* asked, int status) {
  uvdio_stream_cb cb = asked->cb;

  asked->cb = NULL;
  w->is_calling = 1;
  cb(status, asked->arg);
  w->is_calling = 0;
}

static void call_back_what_is_due(uvdio_writer_t* w) {
  if (w->flush.cb != NULL && (w->error != 0 || w->written >= w->flush.end)) {
    call_back(w, &w->flush, w->error);
  }
  if (w->sync.cb != NULL && (w->error != 0 || w->is_synced)) {
    call_back(w, &w->sync, w->error);
  }
  if (w->wait.cb != NULL && (w->stage != OPEN || w->error != 0 || has_room(w))) {
    call_back(w, &w->wait, w->stage != OPEN ? UV_ECANCELED : w->error);
  }
}

/*
 * Ends
 */

/* A block device can't be cut, and need not: it has its size. */
static void on_ended(uvdio_req_t* req, int64_t result) {
  uvdio_writer_t* w = req->data;

  w->pending--;
  if (w->stage == CUTTING && result == UV_EINVAL) {
    w->stage = ASKING;
    (void)count(w, uvdio_stat(w->file, &w->end_req, &w->stat, on_ended));
  } else if (result < 0 || (w->stage == ASKING && !S_ISBLK(w->stat.mode))) {
    fail(w, result < 0 ? result : UV_EINVAL);
  } else if (w->stage != SYNCING && (w->options.flags & UVDIO_WRITER_DURABLE) != 0) {
    w->stage = SYNCING;
    (void)count(w, uvdio_sync_data(w->file, &w->end_req, on_ended));
  } else {
    w->stage = DONE;
  }
  go_on(w);
}

/* Once all else has ended. */
static void cut_where_closing(uvdio_writer_t* w) {
  int error;

  if (w->stage != CLOSING || w->error != 0 || w->used > 0 || w->flush.cb != NULL ||
      w->sync.cb != NULL || uvdio__is_room_awaited(&w->ticker)) {
    return;
  }
  error = uvdio_truncate(w->file, &w->end_req, w->end, on_ended);
  if (error == UVDIO_EFULL) {
    try_later(w, UVDIO_CLASS_DEFAULT);
  } else if (count(w, error)) {
    w->stage = CUTTING;
  }
}

static void free_writer(uvdio_writer_t* w) {
  uvdio_buf_t memory = w->memory;
  unsigned i;

  for (i = 0; i < w->used; i++) {
    (void)uvdio_buf_release(&slot_at(w, i)->frame);
  }
  (void)uvdio_buf_release(&w->spare);
  (void)uvdio_buf_release(&memory);
}

/* After a request has ended. Of the callbacks that are due, the last one is the close's, before
 * which the writer is gone. */
static void go_on(uvdio_writer_t* w) {
  asked_t close;
  int error;

  pump(w);
  sync_where_asked(w);
  call_back_what_is_due(w);
  wait_for_frame(w);
  cut_where_closing(w);
  if (w->stage != OPEN && w->pending == 0) {
    assert(w->error != 0 || w->stage == DONE);
    close = w->close;
    error = w->error;
    free_writer(w);
    close.cb(error, close.arg);
  }
}

/*
 * The calls
 */

/* A class that is full is waited for. */
static int check(uvdio_writer_t* w) {
  int error;

  if (w == NULL) {
    return UV_EINVAL;
  }
  error =
      uvdio__refusal(uvdio_write, w->file, &w->check_req, uvdio_buf_view_bytes(w->tail, w->block));
  error = error == UVDIO_EFULL ? 0 : error;
  return error == 0 && w->stage != OPEN ? UV_EBADF : error;
}

/* The same for what an error stops. */
static int check_call(uvdio_writer_t* w) {
  int error = check(w);

  return error != 0 ? error : w->error;
}

static int check_length(const uvdio_writer_t* w, uint64_t length) {
  uint64_t end = w->end + w->frame_size;

  return end > (uint64_t)INT64_MAX || length > (uint64_t)INT64_MAX - end ? UVDIO_EOFFSET : 0;
}

/* A call that is to return something has found the error: those who wait are told it soon. */
static void tell_of_error(uvdio_writer_t* w) {
  if (w->error != 0 && (is_at_rest(w) || uvdio__is_room_awaited(&w->ticker))) {
    (void)uvdio__tick_soon(&w->ticker);
  }
}

int64_t uvdio_writer_write(uvdio_writer_t* writer, const void* bytes, size_t length) {
  uvdio_writer_t* w = writer;
  size_t taken = 0;
  int error = bytes == NULL || length == 0 ? UV_EINVAL : check_call(w);

  error = error != 0 ? error : check_length(w, length);
  if (error != 0) {
    return error;
  }
  while (taken < length && w->error == 0 && has_room(w)) {
    taken += fill(w, (const char*)bytes + taken, length - taken);
    pump(w);
  }
  tell_of_error(w);
  return taken > 0 ? (int64_t)taken : UV_EAGAIN;
}

static int check_buf(const uvdio_writer_t* w, const uvdio_buf_t* buf) {
  uvdio_buf_origin_t origin = uvdio_buf_origin(buf);

  if (buf->len == 0 || (origin != UVDIO_ORIGIN_ARENA && origin != UVDIO_ORIGIN_HEAP)) {
    return UV_EINVAL;
  }
  if (w->end % w->block != 0 || (uintptr_t)buf->base % w->memory_align != 0) {
    return UVDIO_EALIGN;
  }
  if (buf->len > buf->cap || block_end(w, buf->len) > buf->cap) {
    return UV_ENOBUFS;
  }
  return check_length(w, buf->len);
}

int uvdio_writer_put(uvdio_writer_t* writer, uvdio_buf_t* buf) {
  uvdio_writer_t* w = writer;
  int error = buf == NULL ? UV_EINVAL : check_call(w);
  size_t length;

  error = error != 0 ? error : check_buf(w, buf);
  if (error == 0 && w->is_filling) {
    seal(w); /* also where it leaves no room for this one: it is what will make some */
  }
  if (error == 0 && w->used == w->options.window_max) {
    pump(w);
    tell_of_error(w);
    error = UV_EAGAIN;
  }
  if (error != 0) {
    return error;
  }
  length = buf->len;
  add_slot(w, buf)->used = length;
  w->end += length;
  seal(w);
  pump(w);
  tell_of_error(w);
  return 0;
}

int uvdio_writer_skip(uvdio_writer_t* writer, uint64_t length) {
  uvdio_writer_t* w = writer;
  int error = length == 0 ? UV_EINVAL : check_call(w);

  error = error != 0 ? error : check_length(w, length);
  if (error != 0) {
    return error;
  }
  if (!fill_zeros(w, length)) {
    leave_hole(w, length);
  }
  pump(w);
  tell_of_error(w);
  return 0;
}

int uvdio_writer_wait(uvdio_writer_t* writer, uvdio_stream_cb cb, void* arg) {
  uvdio_writer_t* w = writer;
  int error = cb == NULL ? UV_EINVAL : check_call(w);

  if (error != 0) {
    return error;
  }
  if (w->wait.cb != NULL) {
    return UV_EBUSY;
  }
  if (has_room(w)) {
    return UV_EALREADY;
  }
  w->wait.cb = cb;
  w->wait.arg = arg;
  wait_for_frame(w);
  if (w->error != 0) {
    w->wait.cb = NULL;
    return w->error;
  }
  assert(w->pending > 0);
  return 0;
}

/* Writes what is there. Something is pending then, from which the answer comes. */
static int send_all(uvdio_writer_t* w) {
  if (w->is_filling) {
    seal(w);
  }
  pump(w);
  return is_at_rest(w) ? uvdio__tick_soon(&w->ticker) : 0;
}

/* Of a flush and a sync. */
static int ask(uvdio_writer_t* w, asked_t* asked, uvdio_stream_cb cb, void* arg) {
  int error = cb == NULL ? UV_EINVAL : check_call(w);

  if (error == 0 && asked->cb != NULL) {
    error = UV_EBUSY;
  }
  error = error != 0 ? error : send_all(w);
  error = error != 0 ? error : w->error;
  if (error == 0) {
    asked->cb = cb;
    asked->arg = arg;
    asked->end = w->end;
  }
  return error;
}

int uvdio_writer_flush(uvdio_writer_t* writer, uvdio_stream_cb cb, void* arg) {
  return writer == NULL ? UV_EINVAL : ask(writer, &writer->flush, cb, arg);
}

int uvdio_writer_sync(uvdio_writer_t* writer, uvdio_stream_cb cb, void* arg) {
  int error = writer == NULL ? UV_EINVAL : ask(writer, &writer->sync, cb, arg);

  if (error == 0) {
    writer->is_synced = 0;
  }
  return error;
}

int64_t uvdio_writer_end(const uvdio_writer_t* writer) {
  return writer == NULL ? UV_EINVAL : (int64_t)writer->end;
}

int uvdio_writer_info_sized(const uvdio_writer_t* writer, uvdio_writer_info_t* info, size_t size) {
  uvdio_writer_info_t own;

  if (writer == NULL || info == NULL) {
    return UV_EINVAL;
  }
  memset(&own, 0, sizeof(own));
  own.window_max = writer->options.window_max;
  own.used = writer->used;
  own.written = writer->moved;
  uvdio__sized_out(info, size, &own, sizeof(own));
  return 0;
}

int uvdio_writer_close(uvdio_writer_t* writer, uvdio_stream_cb cb, void* arg) {
  uvdio_writer_t* w = writer;
  int error = cb == NULL ? UV_EINVAL : check(w);

  error = error != 0 ? error : send_all(w);
  if (error != 0) {
    return error;
  }
  w->stage = CLOSING;
  w->close.cb = cb;
  w->close.arg = arg;
  if (w->error != 0) {
    uvdio__tick_at_once(&w->ticker);
  }
  if (w->is_frame_asked) {
    (void)uvdio_cancel(&w->frame_req);
  }
  return 0;
}

int uvdio_writer_destroy(uvdio_writer_t* writer) {
  if (writer == NULL) {
    return UV_EINVAL;
  }
  if (writer->pending > 0 || writer->is_calling) {
    return UV_EBUSY;
  }
  free_writer(writer);
  return 0;
}

/*
 * Creation
 */

static int check_options(const uvdio_writer_options_t* options) {
  if ((options->flags & ~ALL_FLAGS) != 0) {
    return UV_EINVAL;
  }
  return options->begin > (uint64_t)INT64_MAX ||
                 options->size_hint > (uint64_t)INT64_MAX - options->begin
             ? UVDIO_EOFFSET
             : 0;
}

/* The tail, which is aligned, then the structures. */
static int allocate(uvdio_writer_t** writer, const uvdio_writer_options_t* options, size_t block) {
  size_t tail = (block + UVDIO_ALIGNMENT - 1) / UVDIO_ALIGNMENT * UVDIO_ALIGNMENT;
  uvdio_writer_t* w;
  uvdio_buf_t memory;
  unsigned i;
  int error = uvdio_buf_alloc(
      &memory, tail + sizeof(*w) + sizeof(slot_t) * (options->window_max + 1), UVDIO_BUF_ZEROED);

  if (error != 0) {
    return error;
  }
  w = (uvdio_writer_t*)(void*)(memory.base + tail);
  w->memory = memory;
  w->tail = memory.base;
  w->options = *options;
  w->slots = (slot_t*)(void*)((char*)w +
                              (sizeof(*w) + sizeof(slot_t) - 1) / sizeof(slot_t) * sizeof(slot_t));
  for (i = 0; i < options->window_max; i++) {
    w->slots[i].writer = w;
    w->slots[i].req.data = &w->slots[i];
    (void)uvdio_req_set_class(&w->slots[i].req, options->class_number);
  }
  *writer = w;
  return 0;
}

static void set_up(uvdio_writer_t* w, uvdio_file_t* file, uvdio_arena_t* arena) {
  w->file = file;
  w->arena = arena;
  w->end = w->options.begin;
  w->written = w->options.begin;
  w->growth.room = w->options.begin;
  w->growth.first = w->options.begin + w->options.size_hint;
  w->growth.step = (w->options.flags & UVDIO_WRITER_NO_GROWTH) != 0 ? 0 : GROW_MIN;
  w->growth.step_max = GROW_MAX;
  w->grow_req.data = w;
  w->end_req.data = w;
  w->sync_req.data = w;
  w->frame_req.data = w;
  uvdio__ticker_init(&w->ticker, file, &w->pending, on_tick, w);
}

static int create(uvdio_writer_t** writer, uvdio_file_t* file, uvdio_arena_t* arena,
                  uvdio_writer_options_t* options) {
  uvdio_arena_info_t frames;
  uvdio_file_info_t info;
  uvdio_writer_t* w;
  int error = uvdio__stream_look(file, arena, &info, &frames);

  if (error == 0 && options->begin % info.offset_align != 0) {
    error = UVDIO_EALIGN;
  }
  if (error != 0) {
    return error;
  }
  options->window_max = uvdio__stream_window(options->window_max, frames.frame_size);
  error = allocate(&w, options, info.offset_align);
  if (error != 0) {
    return error;
  }
  w->frame_size = frames.frame_size;
  w->block = info.offset_align;
  w->memory_align = info.memory_align;
  if ((options->flags & UVDIO_WRITER_SPARSE) != 0) {
    w->piece = w->block > ZEROS_MIN ? w->block : ZEROS_MIN;
  }
  set_up(w, file, arena);
  error = check(w);
  if (error != 0) {
    free_writer(w);
    return error;
  }
  *writer = w;
  return 0;
}

int uvdio_writer_create_sized(uvdio_writer_t** writer, uvdio_file_t* file, uvdio_arena_t* arena,
                              const uvdio_writer_options_t* options, size_t size) {
  uvdio_writer_options_t own;
  int error = writer == NULL || file == NULL || arena == NULL ? UV_EINVAL : 0;

  memset(&own, 0, sizeof(own));
  if (error == 0 && options != NULL) {
    error = uvdio__sized_in(&own, sizeof(own), options, size);
  }
  error = error != 0 ? error : uvdio__stream_check(own.window_max, own.class_number);
  error = error != 0 ? error : check_options(&own);
  return error != 0 ? error : create(writer, file, arena, &own);
}
