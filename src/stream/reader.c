/* SPDX-License-Identifier: MIT */
/*
 * Reading ahead (uvdio/stream.h), over the public calls. Blocks are slots in a queue, in the order
 * in which they are taken; a dropped slot that is being read leaves the queue at once, and is free
 * when its read has ended.
 *
 * While a wait or a close is pending, a request of the reader is pending, or go_on() is on the
 * stack.
 */
#include <assert.h>
#include <string.h>

#include "frames.h"
#include "knee.h"
#include "refusal.h"
#include "sized.h"
#include "ticker.h"
#include "uvdio/class.h"
#include "uvdio/stream.h"

/* Windows without a wait after which the window may shrink, at most. */
#define PATIENCE_MAX 64u
/* Blocks by which a history judges. */
#define HISTORY_BLOCKS 1024u
/* Up to these bytes, but two blocks at least, the window grows wherever the stream waits, and
 * beside requests of others it goes no further. */
#define MODEST_WINDOW ((size_t)1024 * 1024)
/* Bytes that are taken without seeing a request of others, until the stream is alone again. */
#define ALONE_AFTER ((size_t)16 * 1024 * 1024)

#define UNKNOWN UINT64_MAX

typedef struct slot_s {
  uvdio_req_t req;
  uvdio_reader_t* reader;
  struct slot_s* next; /* in the queue, or among the free ones */
  uvdio_buf_t frame;
  uvdio_buf_t view;
  uint64_t offset; /* in the file */
  size_t length;   /* that was asked for */
  size_t skip;     /* bytes before those that are wanted, after a seek */
  void* data;
  int64_t result;
  int is_running;
  int is_dropped;
} slot_t;

struct uvdio_reader_s {
  uvdio_buf_t memory; /* of all that the reader has */
  uvdio_file_t* file;
  uvdio_arena_t* arena;
  uvdio_reader_options_t options;
  size_t frame_size;

  uint64_t next; /* the offset of the next block to read; without names */
  uint64_t end;
  uint64_t size; /* of the file, as far as known: no reading ahead behind it */
  int is_size_asked;
  uvdio_named_block_t named; /* the next block; with names */
  int has_named;
  int named_result; /* of the callback, where it named none */
  int is_over;      /* the end was seen */
  int error;        /* what comes after the queue */

  slot_t* head; /* the queue */
  slot_t* tail;
  slot_t* unused;
  unsigned queued;
  unsigned ready; /* of these: arrived */
  unsigned running;
  unsigned pending; /* requests of the reader: reads and others */
  uvdio_buf_t spare;
  int is_frame_asked;

  unsigned window;
  unsigned since;    /* blocks since the window has changed, or was waited for */
  unsigned surplus;  /* blocks behind the head that had arrived at each take since then, at least */
  unsigned patience; /* windows */
  int has_shrunk;
  uint64_t beside_until; /* of `taken`: the stream is beside others before that */
  unsigned modest;       /* blocks of MODEST_WINDOW, or the largest window */
  uvdio__knee_t knee;    /* of the windows from there on */
  int is_late;           /* the head was asked for before it had arrived */
  uint64_t taken;
  uint64_t waited;
  uint64_t dropped;

  int is_begun;   /* somebody takes or waits, since the last seek */
  int is_asking;  /* the callback that names blocks */
  int is_calling; /* the callback of a wait */
  int is_closing;
  uvdio_stream_cb wait_cb;
  void* wait_arg;
  uvdio_stream_cb close_cb;
  void* close_arg;

  uvdio_req_t size_req;
  uvdio_req_t frame_req;
  uvdio__ticker_t ticker;
  uvdio_req_t check_req;
  slot_t* slots;
};

static void go_on(uvdio_reader_t* r);
static void pump(uvdio_reader_t* r);

static int has_names(const uvdio_reader_t* r) {
  return r->options.named_cb != NULL;
}

/*
 * The window
 */

static int is_wasteful(const uvdio_reader_history_t* history) {
  return history != NULL && history->dropped_ > (history->taken_ + history->dropped_) / 4;
}

static void note_history(uvdio_reader_t* r, uint64_t taken, uint64_t dropped) {
  uvdio_reader_history_t* history = r->options.history;

  if (history == NULL) {
    return;
  }
  history->taken_ += taken;
  history->dropped_ += dropped;
  while (history->taken_ + history->dropped_ > HISTORY_BLOCKS) {
    history->taken_ /= 2;
    history->dropped_ /= 2;
  }
}

/* A trial teaches nobody. */
static void set_window(uvdio_reader_t* r, unsigned window) {
  assert(window > 0);
  r->window = window < r->options.window_max ? window : r->options.window_max;
  if (r->options.history != NULL && !uvdio__knee_is_trying(&r->knee)) {
    r->options.history->window_ = r->window;
  }
}

static int is_full(const uvdio_reader_t* r) {
  return (r->options.flags & UVDIO_READER_FULL_WINDOW) != 0;
}

static int is_beside(const uvdio_reader_t* r) {
  return r->taken < r->beside_until;
}

/* Others wait behind all that is in flight. */
static unsigned window_now(const uvdio_reader_t* r) {
  return is_beside(r) && r->window > r->modest ? r->modest : r->window;
}

/* At each take: whether the engine has other requests than the stream's. Waits for a class's room
 * and for frames are none: they ask the device for nothing. */
static void look_for_others(uvdio_reader_t* r) {
  unsigned waits = (uvdio__is_room_awaited(&r->ticker) ? 1u : 0) + (r->is_frame_asked ? 1u : 0);
  unsigned own = r->pending - waits;
  uvdio_engine_stats_t stats;
  int error;

  if (is_full(r)) {
    return;
  }
  error = uvdio_engine_stats(r->file->engine_, &stats);
  assert(error == 0 && stats.pending - stats.frame_waits >= own);
  (void)error;
  if (stats.pending - stats.frame_waits > own) {
    r->beside_until = r->taken + ALONE_AFTER / r->frame_size + 1;
  }
}

static void begin_window(uvdio_reader_t* r) {
  const uvdio_reader_history_t* history = r->options.history;
  unsigned window = 1;

  if (is_full(r)) {
    window = r->options.window_max;
  } else if (history != NULL && history->window_ > 0 && !is_wasteful(history)) {
    window = history->window_;
  }
  r->patience = 1;
  r->surplus = UINT32_MAX;
  set_window(r, window);
}

static void watch_anew(uvdio_reader_t* r) {
  r->since = 0;
  r->surplus = UINT32_MAX;
}

/* The head was to be taken, and has not arrived. A window that has shrunk too far is one that
 * shrinks later the next time. Waiting alone makes none larger than a modest one. */
static void grow(uvdio_reader_t* r) {
  unsigned more = is_wasteful(r->options.history) ? r->window + 1 : 2 * r->window;

  r->is_late = 1;
  r->waited++;
  if (r->has_shrunk && r->patience < PATIENCE_MAX) {
    r->patience *= 2;
  }
  r->has_shrunk = 0;
  watch_anew(r);
  if (r->window < r->modest) {
    set_window(r, more < r->modest ? more : r->modest);
  }
}

/* A block is taken, for which the stream has waited or not. */
static void look_for_the_knee(uvdio_reader_t* r) {
  if (is_full(r) || is_beside(r) || r->window < r->modest) {
    set_window(r, uvdio__knee_forget(&r->knee, r->window));
  } else if (uvdio__knee_count(&r->knee, r->window, r->is_late)) {
    set_window(r, uvdio__knee_judge(&r->knee, uv_hrtime()));
  }
}

/* The head is taken; what has arrived behind it each time is more than is needed. */
static void shrink(uvdio_reader_t* r) {
  unsigned surplus = r->ready - 1;
  unsigned less;

  assert(r->ready > 0);
  if (is_full(r)) {
    return;
  }
  r->surplus = surplus < r->surplus ? surplus : r->surplus;
  if (++r->since < r->window * r->patience) {
    return;
  }
  less = (r->surplus + 1) / 2;
  if (less > 0 && r->window > 1) {
    r->has_shrunk = 1;
    set_window(r, r->window - (less < r->window ? less : r->window - 1));
  }
  watch_anew(r);
}

/*
 * Slots
 */

static void free_slot(uvdio_reader_t* r, slot_t* slot) {
  (void)uvdio_buf_release(&slot->frame);
  slot->next = r->unused;
  r->unused = slot;
}

static slot_t* pop_head(uvdio_reader_t* r) {
  slot_t* slot = r->head;

  r->head = slot->next;
  r->queued--;
  r->ready -= !slot->is_running;
  return slot;
}

static void push_tail(uvdio_reader_t* r, slot_t* slot) {
  assert(r->unused == slot);
  r->unused = slot->next;
  slot->next = NULL;
  if (r->head == NULL) {
    r->head = slot;
  } else {
    r->tail->next = slot;
  }
  r->tail = slot;
  r->queued++;
}

static void drop_head(uvdio_reader_t* r) {
  slot_t* slot = pop_head(r);

  r->is_late = 0;
  r->dropped++;
  if (slot->is_running) {
    slot->is_dropped = 1;
    (void)uvdio_cancel(&slot->req);
  } else {
    free_slot(r, slot);
  }
}

static void drop_all(uvdio_reader_t* r) {
  while (r->head != NULL) {
    drop_head(r);
  }
}

/*
 * Requests that are no reads
 */

static void on_tick(void* stream) {
  go_on(stream);
}

static void on_size(uvdio_req_t* req, int64_t result) {
  uvdio_reader_t* r = req->data;

  r->pending--;
  if (result >= 0 && r->size == UNKNOWN) {
    r->size = (uint64_t)result;
  }
  go_on(r);
}

/* Where the end is not given: how far reading ahead makes sense. */
static void ask_size(uvdio_reader_t* r) {
  if (r->is_size_asked || has_names(r) || r->options.end != 0) {
    return;
  }
  r->is_size_asked = 1;
  r->pending += uvdio_size(r->file, &r->size_req, on_size) == 0;
}

/* A frame that no block needs any more, after a seek or a close, is for others. */
static void on_frame(uvdio_req_t* req, int64_t result) {
  uvdio_reader_t* r = req->data;

  r->pending--;
  r->is_frame_asked = 0;
  if (result < 0) {
    r->error = r->error != 0 ? r->error : (int)result;
  } else if (r->is_begun) {
    pump(r);
  }
  (void)uvdio_buf_release(&r->spare);
  go_on(r);
}

/* Where there is none the stream waits for one, if nothing else makes it go on: no block of it is
 * under way, or somebody waits for one, and others may release frames before that. */
static int get_frame(uvdio_reader_t* r, uvdio_buf_t* frame) {
  static const uvdio_buf_t none;
  int error = 0;

  if (r->is_frame_asked) {
    return 0;
  }
  if (r->spare.base != NULL) {
    *frame = r->spare;
    r->spare = none;
    return 1;
  }
  if (uvdio_arena_acquire(r->arena, frame) == 0) {
    return 1;
  }
  if (r->queued == 0 || r->wait_cb != NULL) {
    error = uvdio_arena_wait(r->file->engine_, &r->frame_req, r->arena, &r->spare, 1, on_frame);
    r->pending += error == 0;
    r->is_frame_asked = error == 0;
    r->error = error;
  }
  return 0;
}

/*
 * Reads
 */

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  uvdio_reader_t* r = slot->reader;

  r->pending--;
  r->running--;
  slot->is_running = 0;
  slot->frame = buf;
  slot->view = uvdio_range_view(req, &buf);
  slot->result = result;
  if (slot->is_dropped) {
    free_slot(r, slot);
  } else {
    r->ready++;
    if (!has_names(r) && result >= 0 && (size_t)result < slot->length) {
      r->size = slot->offset + (uint64_t)result;
    }
  }
  go_on(r);
}

/* The next block, into r->named. */
static int name_next(uvdio_reader_t* r) {
  uint64_t begin = r->next;
  uint64_t end = (begin / r->frame_size + 1) * r->frame_size;

  if (has_names(r)) {
    if (!r->has_named) {
      r->is_asking = 1;
      r->named.data = NULL;
      r->named_result = r->options.named_cb(&r->named, r->options.named_arg);
      r->is_asking = 0;
      if (r->named_result == UV_EAGAIN || r->named_result == UV_EOF) {
        r->named_result = UV_EINVAL; /* which are the stream's own words */
      }
      r->has_named = r->named_result > 0;
      r->is_over = r->named_result == 0;
    }
    return r->has_named;
  }
  if (begin >= r->end || (begin >= r->size && r->queued > 0)) {
    return 0;
  }
  r->named.offset = begin;
  r->named.length = (size_t)((end < r->end ? end : r->end) - begin);
  return 1;
}

/* What was named is gone, or read. */
static void pass_named(uvdio_reader_t* r) {
  r->has_named = 0;
  r->next = r->named.offset + r->named.length;
}

/* Of the block that was named; returns whether to go on. */
static int read_named(uvdio_reader_t* r, uvdio_buf_t* frame) {
  slot_t* slot = r->unused;
  int error;

  slot->frame = *frame;
  error = uvdio_read_range(r->file, &slot->req, &slot->frame, r->named.offset, r->named.length,
                           on_read);
  if (error != 0) {
    (void)uvdio_buf_release(&slot->frame);
    if (error != UVDIO_EFULL) {
      r->error = error;
    } else {
      r->error = uvdio__tick_when_there_is_room(&r->ticker, r->options.class_number);
    }
    return 0;
  }
  r->pending++;
  r->running++;
  slot->offset = r->named.offset;
  slot->length = r->named.length;
  slot->data = has_names(r) ? r->named.data : NULL;
  slot->skip = 0;
  slot->is_running = 1;
  slot->is_dropped = 0;
  push_tail(r, slot);
  pass_named(r);
  return 1;
}

static void pump(uvdio_reader_t* r) {
  uvdio_buf_t frame;

  ask_size(r);
  r->is_begun = 1;
  while (r->error == 0 && !r->is_over && !r->is_closing && r->queued < window_now(r) &&
         r->unused != NULL && !uvdio__is_room_awaited(&r->ticker) && name_next(r) &&
         get_frame(r, &frame) && read_named(r, &frame)) {
  }
}

/*
 * Taking
 */

/* What a take returns. */
static int status_of(const uvdio_reader_t* r) {
  const slot_t* slot = r->head;

  if (slot == NULL) {
    if (r->error != 0) {
      return r->error;
    }
    if (r->is_over || (!has_names(r) && r->next >= r->end)) {
      return UV_EOF;
    }
    return r->named_result < 0 ? r->named_result : UV_EAGAIN;
  }
  if (slot->is_running) {
    return UV_EAGAIN;
  }
  if (slot->result < 0) {
    return (int)slot->result;
  }
  return !has_names(r) && slot->view.len <= slot->skip ? UV_EOF : 0;
}

static void hand_out(uvdio_reader_t* r, uvdio_block_t* block) {
  slot_t* slot = pop_head(r);
  int is_short = slot->view.len < slot->length;
  static const uvdio_buf_t none;

  block->buf = slot->frame;
  block->view = uvdio_buf_slice_nocheck(&slot->view, slot->skip, slot->view.len - slot->skip);
  block->offset = slot->offset + slot->skip;
  block->data = slot->data;
  slot->frame = none;
  free_slot(r, slot);
  r->is_late = 0;
  r->taken++;
  note_history(r, 1, 0);
  if (is_short && !has_names(r)) {
    r->is_over = 1;
    drop_all(r);
  }
}

/* What a take has told of the stream's end stays so. */
static int end_with(uvdio_reader_t* r, int status) {
  if (r->head != NULL) {
    r->is_over = status == UV_EOF;
    r->error = status == UV_EOF ? 0 : status;
    drop_all(r);
  }
  return status;
}

/* A class that is full is waited for. */
static int check(uvdio_reader_t* r) {
  int error;

  if (r == NULL) {
    return UV_EINVAL;
  }
  if (r->is_asking) {
    return UV_EBUSY;
  }
  error = uvdio__refusal(uvdio_read, r->file, &r->check_req,
                         uvdio_buf_wrap(r->memory.base, UVDIO_PAGE_SIZE));
  error = error == UVDIO_EFULL ? 0 : error;
  return error == 0 && r->is_closing ? UV_EBADF : error;
}

int uvdio_reader_take(uvdio_reader_t* reader, uvdio_block_t* block) {
  uvdio_reader_t* r = reader;
  int status = block == NULL ? UV_EINVAL : check(r);

  if (status != 0) {
    return status;
  }
  look_for_others(r);
  pump(r);
  status = status_of(r);
  if (status == 0) {
    shrink(r);
    look_for_the_knee(r);
    hand_out(r, block);
    pump(r);
  } else if (status != UV_EAGAIN) {
    return end_with(r, status);
  } else if (!r->is_late && r->head != NULL) {
    grow(r);
    pump(r);
  }
  return status;
}

int uvdio_reader_wait(uvdio_reader_t* reader, uvdio_stream_cb cb, void* arg) {
  uvdio_reader_t* r = reader;
  int error = cb == NULL ? UV_EINVAL : check(r);

  if (error != 0) {
    return error;
  }
  if (r->wait_cb != NULL) {
    return UV_EBUSY;
  }
  pump(r);
  if (status_of(r) != UV_EAGAIN) {
    return UV_EALREADY;
  }
  assert(r->pending > 0);
  r->wait_cb = cb;
  r->wait_arg = arg;
  pump(r); /* once more: for the sake of who waits, the stream waits for frames */
  return 0;
}

/*
 * Ends
 */

static void call_back_wait(uvdio_reader_t* r) {
  uvdio_stream_cb cb = r->wait_cb;

  if (cb == NULL || (!r->is_closing && status_of(r) == UV_EAGAIN)) {
    return;
  }
  r->wait_cb = NULL;
  r->is_calling = 1;
  cb(r->is_closing ? UV_ECANCELED : 0, r->wait_arg);
  r->is_calling = 0;
}

static void free_reader(uvdio_reader_t* r) {
  uvdio_buf_t memory = r->memory;

  drop_all(r);
  (void)uvdio_buf_release(&r->spare);
  (void)uvdio_buf_release(&memory);
}

/* After a request has ended. Of the callbacks that are due, the last one is the close's, before
 * which the reader is gone. */
static void go_on(uvdio_reader_t* r) {
  uvdio_stream_cb cb;
  void* arg;

  if (r->is_begun && !r->is_closing) {
    pump(r);
  }
  call_back_wait(r);
  if (r->is_closing && r->pending == 0) {
    cb = r->close_cb;
    arg = r->close_arg;
    free_reader(r);
    if (cb != NULL) {
      cb(0, arg);
    }
  }
}

/* Drops what nobody takes any more, for a reason that history is to know. */
static void waste(uvdio_reader_t* r) {
  note_history(r, 0, r->queued);
  drop_all(r);
}

int uvdio_reader_close(uvdio_reader_t* reader, uvdio_stream_cb cb, void* arg) {
  uvdio_reader_t* r = reader;
  int error = check(r);

  if (error == 0 && r->pending == 0) {
    error = uvdio__tick_soon(&r->ticker);
  }
  if (error != 0) {
    return error;
  }
  r->is_closing = 1;
  r->close_cb = cb;
  r->close_arg = arg;
  waste(r);
  uvdio__tick_at_once(&r->ticker);
  if (r->is_frame_asked) {
    (void)uvdio_cancel(&r->frame_req);
  }
  return 0;
}

int uvdio_reader_destroy(uvdio_reader_t* reader) {
  if (reader == NULL) {
    return UV_EINVAL;
  }
  if (reader->pending > 0 || reader->is_calling || reader->is_asking) {
    return UV_EBUSY;
  }
  note_history(reader, 0, reader->queued);
  free_reader(reader);
  return 0;
}

/*
 * Seeking
 */

static int check_span(uint64_t begin, uint64_t end) {
  if (begin > (uint64_t)INT64_MAX || end > (uint64_t)INT64_MAX) {
    return UVDIO_EOFFSET;
  }
  return end != 0 && end < begin ? UV_EINVAL : 0;
}

static void set_span(uvdio_reader_t* r, uint64_t begin, uint64_t end) {
  r->options.end = end;
  r->next = begin;
  r->end = end != 0 ? end : (uint64_t)INT64_MAX / r->frame_size * r->frame_size;
  r->size = UNKNOWN;
  r->is_size_asked = 0;
}

/* Leaves what was read ahead from `begin` on; returns whether there is something. */
static int keep_from(uvdio_reader_t* r, uint64_t begin, uint64_t end) {
  unsigned before = r->queued;
  slot_t* head = r->head;

  if (has_names(r) || head == NULL || end != r->options.end || begin < head->offset + head->skip ||
      begin >= r->next) {
    return 0;
  }
  while (begin >= r->head->offset + r->head->length) {
    drop_head(r);
  }
  note_history(r, 0, before - r->queued);
  r->head->skip = (size_t)(begin - r->head->offset);
  return 1;
}

int uvdio_reader_seek(uvdio_reader_t* reader, uint64_t begin, uint64_t end) {
  uvdio_reader_t* r = reader;
  int error = check(r);

  error = error != 0 ? error : check_span(begin, end);
  if (error == 0 && has_names(r) && (begin != 0 || end != 0)) {
    error = UV_EINVAL;
  }
  if (error != 0) {
    return error;
  }
  if (!keep_from(r, begin, end)) {
    waste(r);
    set_span(r, begin, end);
    r->has_named = 0;
    r->named_result = 0;
    r->is_over = 0;
    r->is_begun = 0;
    r->error = 0;
  }
  if (r->wait_cb != NULL) {
    pump(r);
    return status_of(r) != UV_EAGAIN ? uvdio__tick_soon(&r->ticker) : 0;
  }
  return 0;
}

int uvdio_reader_info_sized(const uvdio_reader_t* reader, uvdio_reader_info_t* info, size_t size) {
  uvdio_reader_info_t own;

  if (reader == NULL || info == NULL) {
    return UV_EINVAL;
  }
  memset(&own, 0, sizeof(own));
  own.window = window_now(reader);
  own.window_max = reader->options.window_max;
  own.in_flight = reader->running;
  own.ready = reader->ready;
  own.taken = reader->taken;
  own.waited = reader->waited;
  own.dropped = reader->dropped;
  uvdio__sized_out(info, size, &own, sizeof(own));
  return 0;
}

/*
 * Creation
 */

static int check_options(const uvdio_reader_options_t* options) {
  if ((options->flags & ~UVDIO_READER_FULL_WINDOW) != 0 ||
      (options->named_cb != NULL && (options->begin != 0 || options->end != 0))) {
    return UV_EINVAL;
  }
  return check_span(options->begin, options->end);
}

static void set_window_max(uvdio_reader_options_t* options, const uvdio_arena_info_t* arena) {
  size_t window = uvdio__stream_window(options->window_max, arena->frame_size);

  options->window_max = (unsigned)(window < arena->frame_count ? window : arena->frame_count);
}

static void set_modest_window(uvdio_reader_t* r) {
  size_t modest = MODEST_WINDOW / r->frame_size;

  modest = modest > 2 ? modest : 2;
  r->modest = modest < r->options.window_max ? (unsigned)modest : r->options.window_max;
  uvdio__knee_init(&r->knee, r->modest, r->options.window_max);
}

static void set_up_slots(uvdio_reader_t* r) {
  unsigned i;

  for (i = 0; i < r->options.window_max; i++) {
    slot_t* slot = &r->slots[i];
    slot->reader = r;
    slot->req.data = slot;
    (void)uvdio_req_set_class(&slot->req, r->options.class_number);
    free_slot(r, slot);
  }
}

static int allocate(uvdio_reader_t** reader, const uvdio_reader_options_t* options) {
  uvdio_reader_t* r;
  uvdio_buf_t memory;
  int error = uvdio_buf_alloc(&memory, sizeof(*r) + sizeof(slot_t) * (options->window_max + 1),
                              UVDIO_BUF_ZEROED);

  if (error != 0) {
    return error;
  }
  r = (uvdio_reader_t*)(void*)memory.base;
  r->memory = memory;
  r->options = *options;
  r->slots = (slot_t*)(void*)(memory.base +
                              (sizeof(*r) + sizeof(slot_t) - 1) / sizeof(slot_t) * sizeof(slot_t));
  set_up_slots(r);
  r->size_req.data = r;
  r->frame_req.data = r;
  (void)uvdio_req_set_class(&r->size_req, options->class_number);
  *reader = r;
  return 0;
}

int uvdio_reader_create_sized(uvdio_reader_t** reader, uvdio_file_t* file, uvdio_arena_t* arena,
                              const uvdio_reader_options_t* options, size_t size) {
  uvdio_arena_info_t frames;
  uvdio_file_info_t info;
  uvdio_reader_options_t own;
  uvdio_reader_t* r;
  int error = reader == NULL || file == NULL || arena == NULL ? UV_EINVAL : 0;

  memset(&own, 0, sizeof(own));
  if (error == 0 && options != NULL) {
    error = uvdio__sized_in(&own, sizeof(own), options, size);
  }
  error = error != 0 ? error : uvdio__stream_check(own.window_max, own.class_number);
  error = error != 0 ? error : check_options(&own);
  error = error != 0 ? error : uvdio__stream_look(file, arena, &info, &frames);
  if (error != 0) {
    return error;
  }
  set_window_max(&own, &frames);
  error = allocate(&r, &own);
  if (error != 0) {
    return error;
  }
  r->file = file;
  r->arena = arena;
  r->frame_size = frames.frame_size;
  uvdio__ticker_init(&r->ticker, file, &r->pending, on_tick, r);
  set_span(r, own.begin, own.end);
  set_modest_window(r);
  begin_window(r);
  error = check(r);
  if (error != 0) {
    free_reader(r);
    return error;
  }
  *reader = r;
  return 0;
}
