/* SPDX-License-Identifier: MIT */
/*
 * Appending (uvdio/append.h), over the public calls. Appends wait in one queue, in their order, and
 * their bytes go through slots: buffers in a circle, of which the newest is being filled and those
 * before it are in flight. A slot that begins within a block has a copy of the bytes before (tail),
 * and is written when the slot before it, which wrote that block last, has ended.
 *
 * While appends are pending, a request of the appender is pending, or run() is on the stack.
 */
#include "uvdio/append.h"

#include <assert.h>
#include <string.h>

#include "growth.h"
#include "refusal.h"
#include "sized.h"

#define BUFFER_SIZE_DEFAULT ((size_t)128 * 1024)
#define BUFFER_COUNT_DEFAULT 4u
#define GROW_MIN_DEFAULT ((uint64_t)1024 * 1024)
#define GROW_MAX_DEFAULT ((uint64_t)32 * 1024 * 1024)

#define ALL_FLAGS                                                          \
  (UVDIO_APPEND_DURABLE | UVDIO_APPEND_AT_SIZE | UVDIO_APPEND_NO_REWRITE | \
   UVDIO_APPEND_NO_GROWTH | UVDIO_APPEND_EXACT_SIZE)

enum { APPEND, SYNC, CLOSE };

typedef struct slot_s {
  uvdio_req_t req;
  uvdio_appender_t* appender;
  char* base;
  uint64_t offset; /* in the file, of its first byte */
  size_t used;     /* bytes, those copied from the slot before included */
  size_t old;      /* these */
  int is_written;
} slot_t;

struct uvdio_appender_s {
  uvdio_buf_t memory; /* of all that the appender has */
  uvdio_file_t* file;
  uvdio_appender_options_t options;
  size_t block;
  int error;
  int is_started;
  int is_running; /* callbacks */
  int is_closing;
  int is_cutting; /* the close has submitted its last requests */
  int is_syncing;
  unsigned pending; /* requests of the appender */

  uvdio_append_t* first; /* those without a callback yet */
  uvdio_append_t* last;
  uvdio_append_t* placing; /* the first of these with bytes that are in no slot */
  uint64_t waiting;        /* such bytes */

  uint64_t end;       /* of the bytes that are in a slot */
  uint64_t submitted; /* of those whose write was submitted */
  uint64_t written;   /* of those that are in the file, as all before them */

  /* Appends in the order of their last byte: sequence numbers. */
  uint64_t placed;
  uint64_t placed_sync; /* the last one that asks for a sync */
  uint64_t ready;       /* those whose bytes were all submitted */
  uint64_t ready_sync;
  uint64_t covered; /* by the sync that runs */
  uint64_t synced;

  uvdio__growth_t growth;

  uvdio_req_t start_req; /* also what the close of a failed appender waits for */
  uvdio_req_t grow_req;
  uvdio_req_t cut_req;
  uvdio_req_t sync_req;
  uvdio_req_t check_req;

  char* tail; /* one block: what the next slot begins with */
  slot_t* slots;
  unsigned oldest;
  unsigned used; /* slots, the one that is being filled included */
  int is_filling;
};

static void run(uvdio_appender_t* a);
static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

static uint64_t block_begin(const uvdio_appender_t* a, uint64_t offset) {
  return offset - offset % a->block;
}

static uint64_t block_end(const uvdio_appender_t* a, uint64_t offset) {
  return block_begin(a, offset + a->block - 1);
}

static void fail(uvdio_appender_t* a, int64_t error) {
  assert(error < 0);
  if (a->error == 0) {
    a->error = (int)error;
  }
}

/* What a submission returned. */
static int count(uvdio_appender_t* a, int error) {
  if (error != 0) {
    fail(a, error);
    return 0;
  }
  a->pending++;
  return 1;
}

static int check(uvdio_appender_t* a) {
  return uvdio__refusal(uvdio_write, a->file, &a->check_req,
                        uvdio_buf_view_bytes(a->tail, a->block));
}

/*
 * The file's size
 */

static void on_grown(uvdio_req_t* req, int64_t result) {
  uvdio_appender_t* a = req->data;

  a->pending--;
  uvdio__growth_end(&a->growth, result);
  run(a);
}

/* Before a write that ends there. */
static void grow_ahead(uvdio_appender_t* a, uint64_t end) {
  uint64_t size = uvdio__growth_next(&a->growth, end);

  if (size != 0 && count(a, uvdio_truncate(a->file, &a->grow_req, size, on_grown))) {
    uvdio__growth_begin(&a->growth, size);
  }
}

static void on_cut(uvdio_req_t* req, int64_t result) {
  uvdio_appender_t* a = req->data;

  a->pending--;
  if (result < 0) {
    fail(a, result);
  }
  run(a);
}

/* To the last byte that was submitted. */
static void cut(uvdio_appender_t* a) {
  if (a->growth.room != a->submitted &&
      count(a, uvdio_truncate(a->file, &a->cut_req, a->submitted, on_cut))) {
    a->growth.room = a->submitted;
  }
}

/*
 * Syncs
 */

static void on_synced(uvdio_req_t* req, int64_t result) {
  uvdio_appender_t* a = req->data;

  a->pending--;
  a->is_syncing = 0;
  if (result < 0) {
    fail(a, result);
  } else {
    a->synced = a->covered;
  }
  run(a);
}

static void sync_file(uvdio_appender_t* a) {
  if (a->error == 0 && count(a, uvdio_sync_data(a->file, &a->sync_req, on_synced))) {
    a->is_syncing = 1;
    a->covered = a->ready;
  }
}

static void sync_where_asked(uvdio_appender_t* a) {
  if (a->error != 0 || a->is_syncing || a->ready_sync <= a->synced) {
    return;
  }
  if ((a->options.flags & UVDIO_APPEND_EXACT_SIZE) != 0) {
    cut(a);
  }
  sync_file(a);
}

/*
 * Slots
 */

static slot_t* slot_at(const uvdio_appender_t* a, unsigned i) {
  return &a->slots[(a->oldest + i) % a->options.buffer_count];
}

static void retire_written(uvdio_appender_t* a) {
  while (a->used > 0 && slot_at(a, 0)->is_written) {
    const slot_t* slot = slot_at(a, 0);
    a->written = slot->offset + slot->used;
    a->oldest = (a->oldest + 1) % a->options.buffer_count;
    a->used--;
  }
}

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  uvdio_appender_t* a = slot->appender;

  (void)buf; /* a view of the slot */
  a->pending--;
  if (result < 0) {
    fail(a, result);
  } else {
    slot->is_written = 1;
    retire_written(a);
  }
  run(a);
}

/* The slot that is being filled; null where all are in flight. */
static slot_t* filling_slot(uvdio_appender_t* a) {
  slot_t* slot;

  if (a->is_filling) {
    return slot_at(a, a->used - 1);
  }
  if (a->used == a->options.buffer_count) {
    return NULL;
  }
  if ((a->options.flags & UVDIO_APPEND_NO_REWRITE) != 0) {
    a->end = block_end(a, a->end);
  }
  slot = slot_at(a, a->used++);
  slot->offset = block_begin(a, a->end);
  slot->old = (size_t)(a->end - slot->offset);
  slot->used = slot->old;
  slot->is_written = 0;
  memcpy(slot->base, a->tail, slot->old);
  a->is_filling = 1;
  return slot;
}

/* Whether the slot waits for the one before, which ends within a block. It would write the same
 * block; without rewriting it gathers, to leave fewer gaps. */
static int has_to_wait(const uvdio_appender_t* a, const slot_t* slot) {
  const slot_t* before = a->used > 1 ? slot_at(a, a->used - 2) : NULL;

  return before != NULL && !before->is_written && before->used % a->block != 0 &&
         (slot->old > 0 || slot->used < a->options.buffer_size);
}

/* The rest of the last block is zeros, and the block is what the next slot begins with. */
static size_t pad(const uvdio_appender_t* a, slot_t* slot) {
  size_t length = (size_t)(block_end(a, slot->used));
  size_t begin = (size_t)block_begin(a, slot->used);

  memset(slot->base + slot->used, 0, length - slot->used);
  memcpy(a->tail, slot->base + begin, slot->used - begin);
  return length;
}

static void submit_slot(uvdio_appender_t* a, slot_t* slot) {
  size_t length = pad(a, slot);
  uvdio_buf_t view = uvdio_buf_view_bytes(slot->base, length);
  uint64_t end = slot->offset + length;
  unsigned flags = (a->options.flags & UVDIO_APPEND_DURABLE) != 0 ? UVDIO_WRITE_DURABLE : 0;

  grow_ahead(a, end);
  if (a->error != 0 ||
      !count(a, uvdio_write_flags(a->file, &slot->req, &view, slot->offset, flags, on_written))) {
    return;
  }
  a->is_filling = 0;
  a->submitted = a->end;
  uvdio__growth_write(&a->growth, end);
}

/*
 * From the queue into slots
 */

static void place_whole(uvdio_appender_t* a, uvdio_append_t* append) {
  a->placing = append->next_;
  append->end_ = a->end;
  append->sequence_ = ++a->placed;
  if (append->kind_ == SYNC) {
    append->offset = a->end;
  }
  if (append->kind_ == SYNC || (append->flags_ & UVDIO_APPEND_DURABLE) != 0) {
    a->placed_sync = append->sequence_;
  }
}

static void copy_into(uvdio_appender_t* a, slot_t* slot, uvdio_append_t* append) {
  size_t room = a->options.buffer_size - slot->used;
  size_t left = append->length - append->placed_;
  size_t length = left < room ? left : room;

  if (append->placed_ == 0) {
    append->offset = a->end;
  }
  memcpy(slot->base + slot->used, append->bytes_ + append->placed_, length);
  slot->used += length;
  append->placed_ += length;
  a->end += length;
  a->waiting -= length;
}

/* Until a slot is full, or nothing waits. Returns the slot that has bytes to be written; or null.
 */
static slot_t* place(uvdio_appender_t* a) {
  slot_t* slot = a->is_filling ? filling_slot(a) : NULL;

  while (a->placing != NULL) {
    uvdio_append_t* append = a->placing;
    if (append->placed_ < append->length) {
      slot = filling_slot(a);
      if (slot == NULL || slot->used == a->options.buffer_size) {
        break;
      }
      copy_into(a, slot, append);
    }
    if (append->placed_ == append->length) {
      place_whole(a, append);
    }
  }
  assert(slot == NULL || slot->used > slot->old);
  return slot;
}

static void note_what_is_ready(uvdio_appender_t* a) {
  if (!a->is_filling) {
    a->ready = a->placed;
    a->ready_sync = a->placed_sync;
  }
}

static void pump(uvdio_appender_t* a) {
  slot_t* slot;

  if (!a->is_started) {
    return;
  }
  while (a->error == 0) {
    slot = place(a);
    if (slot == NULL || has_to_wait(a, slot)) {
      break;
    }
    submit_slot(a, slot);
    note_what_is_ready(a);
  }
  note_what_is_ready(a);
  sync_where_asked(a);
}

/*
 * Ends
 */

/* What is at the head of the queue when the close is: all else has ended. */
static void cut_at_the_end(uvdio_appender_t* a) {
  assert(!a->is_filling && a->submitted == a->written && !a->is_syncing);
  a->is_cutting = 1;
  cut(a);
  sync_file(a);
}

static int is_over(uvdio_appender_t* a, const uvdio_append_t* append) {
  if (append->kind_ == CLOSE) {
    if (a->error == 0 && a->is_started && !a->is_cutting) {
      cut_at_the_end(a);
    }
    return a->pending == 0;
  }
  if (a->error != 0) {
    return 1;
  }
  if (append->sequence_ == 0 || append->end_ > a->written) {
    return 0;
  }
  return append->sequence_ <= a->synced ||
         (append->kind_ != SYNC && (append->flags_ & UVDIO_APPEND_DURABLE) == 0);
}

static void free_appender(uvdio_appender_t* a) {
  uvdio_buf_t memory = a->memory;

  (void)uvdio_buf_release(&memory);
}

static void end_append(uvdio_append_t* append, int64_t result) {
  append->result = result;
  append->appender_ = NULL;
  append->cb_(append, result);
}

/* Goes on after a request has ended, and runs the callbacks that are due. The last one is the
 * close's, before which the appender is gone. */
static void run(uvdio_appender_t* a) {
  uvdio_append_t* append;
  int64_t result;

  assert(!a->is_running);
  pump(a);
  a->is_running = 1;
  for (append = a->first; append != NULL && is_over(a, append); append = a->first) {
    result = a->error != 0 ? a->error : (int64_t)append->length;
    a->waiting -= append->length - append->placed_;
    a->first = append->next_;
    if (append->kind_ == CLOSE) {
      free_appender(a);
      end_append(append, result);
      return;
    }
    if (a->placing == append) {
      a->placing = append->next_;
    }
    end_append(append, result);
  }
  a->is_running = 0;
}

/*
 * The preparation
 */

static void on_tail_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio_appender_t* a = req->data;

  (void)buf; /* a view of the tail */
  a->pending--;
  if (result < (ssize_t)(a->end % a->block)) {
    fail(a, result < 0 ? (int64_t)result : UVDIO_ESHORTREAD);
  } else {
    a->is_started = 1;
  }
  run(a);
}

static void read_tail(uvdio_appender_t* a) {
  uvdio_buf_t view = uvdio_buf_wrap(a->tail, a->block);

  if (a->end % a->block == 0 || (a->options.flags & UVDIO_APPEND_NO_REWRITE) != 0) {
    a->is_started = 1;
  } else {
    (void)count(a, uvdio_read(a->file, &a->start_req, &view, block_begin(a, a->end), on_tail_read));
  }
}

static void on_prepared(uvdio_req_t* req, int64_t result) {
  uvdio_appender_t* a = req->data;

  a->pending--;
  if (result < 0) {
    fail(a, result);
  }
  if (a->error == 0) { /* What is behind AT_SIZE may not have been cut off. */
    read_tail(a);
  }
  run(a);
}

static void on_size(uvdio_req_t* req, int64_t result) {
  uvdio_appender_t* a = req->data;
  int is_given = (a->options.flags & UVDIO_APPEND_AT_SIZE) != 0;

  a->pending--;
  if (result < 0 || (is_given && (uint64_t)result < a->options.size)) {
    fail(a, result < 0 ? result : UVDIO_EOFFSET);
  } else {
    a->end = is_given ? a->options.size : (uint64_t)result;
    a->submitted = a->end;
    a->written = a->end;
    a->growth.room = (uint64_t)result;
    cut(a);
    if (a->error == 0) {
      (void)count(a, uvdio_sync_data(a->file, &a->start_req, on_prepared));
    }
  }
  run(a);
}

/* The size on its own: a failed appender's close waits for it. */
static void on_nothing(uvdio_req_t* req, int64_t result) {
  uvdio_appender_t* a = req->data;

  (void)result;
  a->pending--;
  run(a);
}

/*
 * Creation
 */

static int check_options(const uvdio_appender_options_t* options) {
  if ((options->flags & ~ALL_FLAGS) != 0 || options->buffer_count > UVDIO_APPEND_BUFFERS_MAX ||
      (options->size != 0 && (options->flags & UVDIO_APPEND_AT_SIZE) == 0) ||
      (options->grow_max != 0 && options->grow_min > options->grow_max)) {
    return UV_EINVAL;
  }
  if (options->size > (uint64_t)INT64_MAX || options->grow_min > (uint64_t)INT64_MAX ||
      options->grow_max > (uint64_t)INT64_MAX) {
    return UVDIO_EOFFSET;
  }
  return 0;
}

static void set_defaults(uvdio_appender_options_t* options) {
  uint64_t min = options->grow_min;
  uint64_t max = options->grow_max;

  if (max == 0) {
    options->grow_max = min > GROW_MAX_DEFAULT ? min : GROW_MAX_DEFAULT;
  }
  if (min == 0) {
    options->grow_min = max != 0 && max < GROW_MIN_DEFAULT ? max : GROW_MIN_DEFAULT;
  }
  options->buffer_size = options->buffer_size != 0 ? options->buffer_size : BUFFER_SIZE_DEFAULT;
  options->buffer_count = options->buffer_count != 0 ? options->buffer_count : BUFFER_COUNT_DEFAULT;
}

/* Slots' memory and the tail, which are aligned, then the structures. */
static int allocate(uvdio_appender_t** appender, const uvdio_appender_options_t* options,
                    const uvdio_file_info_t* info) {
  size_t align = info->memory_align > UVDIO_ALIGNMENT ? info->memory_align : UVDIO_ALIGNMENT;
  size_t tail = (info->offset_align + align - 1) & ~(align - 1);
  size_t size = (options->buffer_size + align - 1) & ~(align - 1);
  size_t fixed = align + tail + sizeof(uvdio_appender_t) + 2 * sizeof(slot_t);
  unsigned slots = options->buffer_count;
  uvdio_appender_t* a;
  uvdio_buf_t memory;
  char* base;
  unsigned i;
  int error;

  if (size < options->buffer_size || size > (SIZE_MAX / 2 - fixed) / slots - sizeof(slot_t)) {
    return UVDIO_ESIZE;
  }
  error = uvdio_buf_alloc(&memory, (size + sizeof(slot_t)) * slots + fixed, 0);
  if (error != 0) {
    return error;
  }
  base = memory.base + (align - (uintptr_t)memory.base % align) % align;
  a = (uvdio_appender_t*)(void*)(base + size * slots + tail);
  memset(a, 0, sizeof(*a));
  a->memory = memory;
  a->tail = base + size * slots;
  a->slots = (slot_t*)(void*)((char*)a +
                              (sizeof(*a) + sizeof(slot_t) - 1) / sizeof(slot_t) * sizeof(slot_t));
  memset(a->slots, 0, sizeof(slot_t) * slots);
  for (i = 0; i < slots; i++) {
    a->slots[i].base = base + size * i;
    a->slots[i].appender = a;
    a->slots[i].req.data = &a->slots[i];
  }
  *appender = a;
  return 0;
}

static void set_up(uvdio_appender_t* a, uvdio_file_t* file, const uvdio_appender_options_t* options,
                   size_t block) {
  a->file = file;
  a->options = *options;
  a->block = block;
  if ((options->flags & (UVDIO_APPEND_NO_GROWTH | UVDIO_APPEND_EXACT_SIZE)) == 0) {
    a->growth.step = options->grow_min;
    a->growth.step_max = options->grow_max;
  }
  a->start_req.data = a;
  a->grow_req.data = a;
  a->cut_req.data = a;
  a->sync_req.data = a;
}

int uvdio_appender_create_sized(uvdio_appender_t** appender, uvdio_file_t* file,
                                const uvdio_appender_options_t* options, size_t size) {
  uvdio_appender_options_t own;
  uvdio_file_info_t info;
  uvdio_appender_t* a;
  int error = appender == NULL || file == NULL ? UV_EINVAL : 0;

  memset(&own, 0, sizeof(own));
  if (error == 0 && options != NULL) {
    error = uvdio__sized_in(&own, sizeof(own), options, size);
  }
  error = error != 0 ? error : check_options(&own);
  error = error != 0 ? error : uvdio_file_info(file, &info);
  if (error != 0) {
    return error;
  }
  set_defaults(&own);
  if (own.buffer_size % info.offset_align != 0) {
    return UVDIO_EALIGN;
  }
  error = allocate(&a, &own, &info);
  if (error != 0) {
    return error;
  }
  set_up(a, file, &own, info.offset_align);
  error = check(a);
  error = error != 0 ? error : uvdio_size(file, &a->start_req, on_size);
  if (error != 0) {
    free_appender(a);
    return error;
  }
  a->pending = 1;
  *appender = a;
  return 0;
}

/*
 * The calls
 */

static void enqueue(uvdio_appender_t* a, uvdio_append_t* append, unsigned kind, size_t length,
                    uvdio_append_cb cb) {
  append->appender_ = a;
  append->next_ = NULL;
  append->cb_ = cb;
  append->kind_ = kind;
  append->flags_ = 0;
  append->length = length;
  append->placed_ = 0;
  append->sequence_ = 0;
  if (a->first == NULL) {
    a->first = append;
  } else {
    a->last->next_ = append;
  }
  a->last = append;
  if (a->placing == NULL && kind != CLOSE) {
    a->placing = append;
  }
}

/* Takes the last one back. */
static int withdraw(uvdio_appender_t* a, uvdio_append_t* append, int error) {
  uvdio_append_t* before = NULL;
  uvdio_append_t* each;

  assert(a->last == append);
  for (each = a->first; each != append; each = each->next_) {
    before = each;
  }
  if (before == NULL) {
    a->first = NULL;
  } else {
    before->next_ = NULL;
  }
  a->last = before;
  a->placing = a->placing == append ? NULL : a->placing;
  a->waiting -= append->length - append->placed_;
  append->appender_ = NULL;
  return error;
}

static int check_append(uvdio_appender_t* a, const uvdio_append_t* append, uvdio_append_cb cb) {
  int error = a == NULL || append == NULL || cb == NULL ? UV_EINVAL : 0;

  if (error == 0 && a->is_closing) {
    error = UV_EBADF;
  }
  error = error != 0 ? error : check(a);
  if (error == 0 && append->appender_ != NULL) {
    error = UV_EBUSY;
  }
  return error;
}

int uvdio_append(uvdio_appender_t* appender, uvdio_append_t* append, const void* bytes,
                 size_t length, unsigned flags, uvdio_append_cb cb) {
  uvdio_appender_t* a = appender;
  int error;

  if (bytes == NULL || length == 0 || (flags & ~UVDIO_APPEND_DURABLE) != 0) {
    return UV_EINVAL;
  }
  error = check_append(a, append, cb);
  if (error == 0) {
    uint64_t end = a->end + a->waiting + a->block;
    error =
        end > (uint64_t)INT64_MAX || length > (uint64_t)INT64_MAX - end ? UVDIO_EOFFSET : a->error;
  }
  if (error != 0) {
    return error;
  }
  enqueue(a, append, APPEND, length, cb);
  append->bytes_ = bytes;
  append->flags_ = (a->options.flags & UVDIO_APPEND_DURABLE) != 0 ? 0 : flags;
  a->waiting += length;
  pump(a);
  return a->error != 0 ? withdraw(a, append, a->error) : 0;
}

int uvdio_appender_sync(uvdio_appender_t* appender, uvdio_append_t* append, uvdio_append_cb cb) {
  uvdio_appender_t* a = appender;
  int error = check_append(a, append, cb);

  error = error != 0 ? error : a->error;
  if (error != 0) {
    return error;
  }
  enqueue(a, append, SYNC, 0, cb);
  pump(a);
  return a->error != 0 ? withdraw(a, append, a->error) : 0;
}

int64_t uvdio_appender_size(const uvdio_appender_t* appender) {
  if (appender == NULL) {
    return UV_EINVAL;
  }
  if (!appender->is_started) {
    return appender->error != 0 ? appender->error : UV_EAGAIN;
  }
  return (int64_t)(appender->end + appender->waiting);
}

int uvdio_appender_close(uvdio_appender_t* appender, uvdio_append_t* append, uvdio_append_cb cb) {
  uvdio_appender_t* a = appender;
  int error = check_append(a, append, cb);

  if (error != 0) {
    return error;
  }
  enqueue(a, append, CLOSE, 0, cb);
  if (a->first == append && a->error == 0 && a->is_started) {
    cut_at_the_end(a);
  }
  if (a->pending == 0) { /* a failed appender's: the callback needs a request to come from */
    error = uvdio_size(a->file, &a->start_req, on_nothing);
    if (error != 0) {
      return withdraw(a, append, error);
    }
    a->pending = 1;
  }
  a->is_closing = 1;
  return 0;
}

int uvdio_appender_destroy(uvdio_appender_t* appender) {
  if (appender == NULL) {
    return UV_EINVAL;
  }
  if (appender->pending > 0 || appender->is_running) {
    return UV_EBUSY;
  }
  assert(appender->first == NULL);
  free_appender(appender);
  return 0;
}
