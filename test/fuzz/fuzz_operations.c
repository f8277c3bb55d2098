/* SPDX-License-Identifier: MIT */
/*
 * Bytes into calls: engines, files, buffers, an arena, every operation in both forms, with good and
 * bad arguments, cancels, closes and turns of the loop at any moment, also from inside callbacks.
 * After each call and in each callback the promises of uvdio.h are checked, and contents against a
 * model (lib/model.h).
 *
 * The memory backend answers alike every time. UVDIO_FUZZ_BACKEND=ring or pool takes another one,
 * in a temporary folder.
 */
#include <string.h>
#include <unistd.h>

#include "input.h"
#include "model.h"
#include "uvdio.h"

#define PAGE UVDIO_PAGE_SIZE
#define PATHS 3
#define FILE_PAGES 64u /* that the model looks at */
#define FILES 4
#define SLOTS 12
#define BUFFERS 6
#define FRAMES 6
#define STEPS_MAX 400
#define NESTING_MAX 3

/* One request and what it is about. */
struct slot {
  uvdio_req_t req;
  int pending;
  uint64_t sequence; /* of its submission */
  struct handle* file;
  char* base; /* what went in */
  size_t len;
  size_t cap;
  unsigned flags; /* of an open */
  int is_overlapped;
  unsigned open_number;
  int has_change;
  struct change change; /* or what only looks */
};

/* A file; its state is what callbacks have told. */
struct handle {
  uvdio_file_t file;
  enum { CLOSED, OPENING, OPEN, CLOSING } state;
  struct model* model;
  unsigned flags;
};

static struct {
  struct input input;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  int closing;
  int closed; /* calls of the engine's callback */
  struct slot slots[SLOTS];
  struct handle files[FILES];
  int opens_in_flight[PATHS];
  unsigned opens[PATHS];
  uvdio_buf_t buffers[BUFFERS];
  uvdio_arena_t* arena;
  uint64_t sequence;
  unsigned steps;
  int inside; /* a call into the library is under way */
  unsigned nesting;
  char folder[64];
  uvdio_backend_t backend;
} w;

static struct model models[PATHS];

/* Views are on this. */
static _Alignas(UVDIO_ALIGNMENT) char common[4 * UVDIO_PAGE_SIZE];

/* Calls the library. No callback may begin before it returns. */
#define CALL(result, call) \
  do {                     \
    w.inside++;            \
    result = (call);       \
    w.inside--;            \
  } while (0)

static void step(void);

static void set_up(void) {
  static const struct {
    const char* name;
    uvdio_backend_t backend;
  } known[] = {{"ring", UVDIO_BACKEND_RING}, {"pool", UVDIO_BACKEND_POOL}};
  const char* wanted = getenv("UVDIO_FUZZ_BACKEND");
  w.backend = UVDIO_BACKEND_MEMORY;
  for (size_t i = 0; wanted != NULL && i < 2; i++) {
    if (strcmp(wanted, known[i].name) == 0) {
      w.backend = known[i].backend;
    }
  }
  if (w.backend != UVDIO_BACKEND_MEMORY) {
    snprintf(w.folder, sizeof(w.folder), "./uvdio-fuzz-XXXXXX");
    REQUIRE(mkdtemp(w.folder) != NULL);
  }
}

static void make_models(void) {
  for (unsigned i = 0; i < PATHS; i++) {
    model_init(&models[i], i, PAGE, FILE_PAGES, 0);
  }
}

static void path_of(unsigned number, char* path, size_t size) {
  snprintf(path, size, "%s/%u", w.folder, number);
}

static void start_engine(void) {
  uvdio_engine_options_t options = {.backend = w.backend};
  options.depth = 1 + take(&w.input) % 8;
  options.callbacks_max = take(&w.input) % 4;
  options.submit_batch_max = take(&w.input) % 4;
  options.flags = take(&w.input) % 4 == 3 ? UVDIO_ENGINE_NO_AUTO_REGISTER : 0;
  w.closing = 0;
  w.closed = 0;
  REQUIRE(uvdio_engine_create(&w.engine, &w.loop, &options) == 0);
}

/* Files in RAM end with their engine. */
static void forget_files(void) {
  for (unsigned i = 0; i < PATHS; i++) {
    char path[96];
    path_of(i, path, sizeof(path));
    if (w.backend != UVDIO_BACKEND_MEMORY) {
      unlink(path);
    }
    model_reset(&models[i], 0);
  }
}

/*
 * Outcomes
 */

static void check_stats(void) {
  uvdio_engine_stats_t stats;
  unsigned pending = 0;
  if (w.engine == NULL) {
    return;
  }
  REQUIRE(uvdio_engine_stats(w.engine, &stats) == 0);
  for (unsigned i = 0; i < SLOTS; i++) {
    pending += w.slots[i].pending != 0;
  }
  /* The engine closes by itself what the user left open, with a request of its own. */
  REQUIRE(stats.pending == pending || (w.closing && stats.pending <= pending + 1u));
  REQUIRE(stats.in_flight <= stats.pending && stats.completed <= stats.submitted);
}

/* Whether a change or, for a close, anything at all that was submitted before is still to be called
 * back. */
static int has_older(const struct slot* slot, int changes_only) {
  for (unsigned i = 0; i < SLOTS; i++) {
    const struct slot* other = &w.slots[i];
    uvdio_op_t op = other->req.op;
    int is_change = op == UVDIO_OP_WRITE || op == UVDIO_OP_TRUNCATE || op == UVDIO_OP_PREALLOCATE;
    if (other != slot && other->pending && other->file == slot->file &&
        other->sequence < slot->sequence && (is_change || !changes_only)) {
      return 1;
    }
  }
  return 0;
}

static struct slot* slot_of(uvdio_req_t* req) {
  struct slot* slot = req->data;
  REQUIRE(&slot->req == req);
  return slot;
}

static void check_callback(struct slot* slot, int64_t result) {
  REQUIRE(w.inside == 0);
  REQUIRE(slot->pending);
  REQUIRE(slot->req.result == result);
  REQUIRE(slot->req.file == &slot->file->file);
  slot->pending = 0;
}

/* Before the call that submits it, which no callback comes from inside of. */
static void begin_change(struct slot* slot, struct handle* handle, uvdio_op_t op, uint64_t offset,
                         uint64_t length) {
  model_begins(handle->model, &slot->change, op, offset, length);
  slot->has_change = 1;
}

static void end_change(struct slot* slot, struct handle* handle, int64_t result) {
  if (slot->has_change) {
    slot->has_change = 0;
    model_ends(handle->model, &slot->change,
               result == UV_ECANCELED ? MODEL_UNTOUCHED
               : result < 0           ? MODEL_UNSURE
                                      : MODEL_DONE);
  }
}

static void check_open(struct slot* slot, int64_t result) {
  struct handle* handle = slot->file;
  struct model* model = handle->model;
  size_t path = (size_t)(model - models);
  int is_alone =
      --w.opens_in_flight[path] == 0 && !slot->is_overlapped && w.opens[path] == slot->open_number;
  if (result == 0) {
    REQUIRE(!is_alone || model->exists || (slot->flags & UVDIO_O_CREATE) != 0);
    REQUIRE(!is_alone || !model->exists || (slot->flags & UVDIO_O_EXCLUSIVE) == 0);
    model->exists = 1;
  } else if (is_alone && result != UV_ECANCELED) {
    REQUIRE(result == (model->exists ? UV_EEXIST : UV_ENOENT));
  }
  if ((slot->flags & UVDIO_O_TRUNCATE) != 0 && result != 0 && result != UV_ECANCELED) {
    result = UV_ECANCELED; /* An open that fails has cut nothing off. */
  }
  end_change(slot, handle, result);
}

static void check_plain(struct slot* slot, int64_t result) {
  int64_t size;
  switch (slot->req.op) {
    case UVDIO_OP_OPEN:
      check_open(slot, result);
      break;
    case UVDIO_OP_CLOSE:
      REQUIRE(result == 0 && !has_older(slot, 0));
      break;
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
      REQUIRE(result == UV_ECANCELED || (result == 0 && !has_older(slot, 1)));
      break;
    case UVDIO_OP_SIZE:
      size = model_expected_size(slot->file->model, &slot->change);
      REQUIRE(result == UV_ECANCELED || (result >= 0 && (size < 0 || result == size)));
      break;
    case UVDIO_OP_TRUNCATE:
    case UVDIO_OP_PREALLOCATE:
      REQUIRE(w.backend != UVDIO_BACKEND_MEMORY || result == 0 || result == UV_ECANCELED);
      end_change(slot, slot->file, result);
      break;
    case UVDIO_OP_READ:
    case UVDIO_OP_WRITE:
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      REQUIRE(slot->req.op == UVDIO_OP_OPEN); /* no plain operation */
  }
}

static void settle_file(struct slot* slot, int64_t result) {
  struct handle* handle = slot->file;
  if (slot->req.op == UVDIO_OP_OPEN) {
    handle->state = result == 0 ? OPEN : CLOSED;
  } else if (slot->req.op == UVDIO_OP_CLOSE) {
    handle->state = CLOSED;
  }
}

/* Callbacks go on with the program of the bytes, where it says so. */
static void go_on(void) {
  if (w.nesting < NESTING_MAX && take(&w.input) % 4 == 3) {
    w.nesting++;
    step();
    w.nesting--;
  }
}

static void on_plain(uvdio_req_t* req, int64_t result) {
  struct slot* slot = slot_of(req);
  check_callback(slot, result);
  check_plain(slot, result);
  settle_file(slot, result);
  go_on();
}

static void check_content(const struct handle* handle, const struct change* read,
                          const uvdio_buf_t* buf) {
  int64_t expected = model_expected_read(handle->model, read);
  uint64_t where;
  REQUIRE(expected < 0 || buf->len == (uint64_t)expected);
  REQUIRE(buf->base == common ||
          model_check_read(handle->model, read, buf->base, buf->len,
                           w.backend == UVDIO_BACKEND_MEMORY, &where) == NULL);
}

static void check_read(struct slot* slot, int64_t result, const uvdio_buf_t* buf) {
  REQUIRE(buf->len == slot->req.transferred);
  if (result >= 0) {
    REQUIRE((uint64_t)result == slot->req.transferred);
  }
  if (result >= 0 || result == UVDIO_ESHORTREAD) {
    check_content(slot->file, &slot->change, buf);
  }
}

static void check_transfer(struct slot* slot, int64_t result, const uvdio_buf_t* buf) {
  REQUIRE(buf->base == slot->base && buf->cap == slot->cap);
  REQUIRE(slot->req.transferred <= slot->cap);
  if (slot->req.op == UVDIO_OP_READ) {
    check_read(slot, result, buf);
    return;
  }
  REQUIRE(buf->len == slot->len);
  REQUIRE(result < 0 || (size_t)result == slot->len);
  end_change(slot, slot->file, result);
}

/* The buffer goes where there is a place for it, or back to where it is from. */
static void keep(uvdio_buf_t buf) {
  for (unsigned i = 0; i < BUFFERS; i++) {
    if (w.buffers[i].base == NULL) {
      w.buffers[i] = buf;
      return;
    }
  }
  REQUIRE(uvdio_buf_release(&buf) == 0 && buf.base == NULL);
}

static void on_io(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct slot* slot = slot_of(req);
  check_callback(slot, result);
  check_transfer(slot, result, &buf);
  keep(buf);
  go_on();
}

/*
 * Operations
 */

static struct slot* take_slot(void) {
  return &w.slots[take(&w.input) % SLOTS];
}

static struct handle* take_file(void) {
  return &w.files[take(&w.input) % FILES];
}

/* What every operation on a file has to be told; UNKNOWN between the outcome of an open and its
 * callback, before which the file is not the user's to use. */
#define UNKNOWN 1
static int expect(const struct handle* handle, const struct slot* slot, int is_change) {
  if (handle->state == OPENING) {
    return UNKNOWN;
  }
  if (handle->state != OPEN || w.closing || (is_change && (handle->flags & UVDIO_O_RDWR) == 0)) {
    return UV_EBADF;
  }
  return slot->pending ? UV_EBUSY : 0;
}

/* Whether one of these operations on the file has not been called back. */
static int is_pending_on(const struct handle* handle, int (*is_one)(uvdio_op_t op)) {
  for (unsigned i = 0; i < SLOTS; i++) {
    const struct slot* slot = &w.slots[i];
    if (slot->pending && slot->file == handle && is_one(slot->req.op)) {
      return 1;
    }
  }
  return 0;
}

static int is_anything(uvdio_op_t op) {
  return op != UVDIO_OP_NONE;
}

static int is_truncate(uvdio_op_t op) {
  return op == UVDIO_OP_TRUNCATE;
}

/* What a truncate waits for. */
static int is_gated(uvdio_op_t op) {
  return op == UVDIO_OP_READ || op == UVDIO_OP_WRITE || op == UVDIO_OP_TRUNCATE ||
         op == UVDIO_OP_PREALLOCATE;
}

/* What a sync waits for. */
static int is_change_or_sync(uvdio_op_t op) {
  return op == UVDIO_OP_SYNC_DATA || op == UVDIO_OP_SYNC_ALL ||
         (is_gated(op) && op != UVDIO_OP_READ);
}

/* A synchronous form that is right may be turned away only while such an operation is in flight.
 * Between its outcome and its callback it may be either way. */
static int is_told(int code, int expected, const struct handle* handle,
                   int (*is_one)(uvdio_op_t op)) {
  return code == expected || (expected == 0 && code == UV_EBUSY && is_pending_on(handle, is_one));
}

static void accept_slot(struct slot* slot, struct handle* handle) {
  slot->pending = 1;
  slot->sequence = ++w.sequence;
  slot->file = handle;
}

static void open_file(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  unsigned path_number = take(&w.input) % PATHS;
  unsigned flags =
      take(&w.input) & 0xffu & ~(unsigned)(UVDIO_O_DSYNC | UVDIO_O_NOFOLLOW | UVDIO_O_NATIVE_ALIGN);
  int is_now = take(&w.input) % 4 == 3;
  int contradicts =
      ((flags & UVDIO_O_EXCLUSIVE) != 0 && (flags & UVDIO_O_CREATE) == 0) ||
      ((flags & (UVDIO_O_TRUNCATE | UVDIO_O_CREATE)) != 0 && (flags & UVDIO_O_RDWR) == 0);
  int expected = contradicts                              ? UV_EINVAL
                 : w.closing                              ? UV_EBADF
                 : handle->state == OPEN || slot->pending ? UV_EBUSY
                                                          : 0;
  char path[96];
  int code;
  if (handle->state == OPENING || handle->state == CLOSING) {
    return;
  }
  path_of(path_number, path, sizeof(path));
  is_now = is_now && !slot->pending && expected == 0;
  CALL(code, uvdio_open(w.engine, &handle->file, &slot->req, path, flags, 0600,
                        is_now ? NULL : on_plain));
  memset(path, 'x', sizeof(path)); /* It was copied. */
  REQUIRE(is_now || code == expected);
  if (expected != 0) {
    return;
  }
  accept_slot(slot, handle);
  handle->model = &models[path_number];
  handle->flags = flags;
  handle->state = OPENING;
  slot->flags = flags;
  slot->is_overlapped = w.opens_in_flight[path_number]++ > 0;
  slot->open_number = ++w.opens[path_number];
  if ((flags & UVDIO_O_TRUNCATE) != 0) {
    begin_change(slot, handle, UVDIO_OP_TRUNCATE, 0, 0);
  }
  if (is_now) {
    slot->pending = 0;
    check_open(slot, code);
    handle->state = code == 0 ? OPEN : CLOSED;
  }
}

/* Mostly an aligned offset within the model; sometimes one that is anything but. */
static uint64_t take_offset(void) {
  static const uint64_t odd[] = {
      1, 512, INT64_MAX, UINT64_MAX, (uint64_t)1 << 63, INT64_MAX & ~(uint64_t)4095, 65535};
  unsigned byte = take(&w.input);
  return byte < 248 ? (uint64_t)(byte % FILE_PAGES) * PAGE : odd[byte - 248 < 7 ? byte - 248 : 6];
}

static int expect_transfer(const struct handle* handle, const struct slot* slot,
                           const uvdio_buf_t* buf, uint64_t offset, size_t length, int is_change) {
  int code = expect(handle, slot, is_change);
  if (buf->base == NULL) {
    return UV_EINVAL;
  }
  if (code != 0) {
    return code;
  }
  if (((uintptr_t)buf->base | offset | length) % PAGE != 0) {
    return UVDIO_EALIGN;
  }
  return offset > INT64_MAX || offset + length > INT64_MAX ? UVDIO_EOFFSET : 0;
}

static void take_in(struct slot* slot, struct handle* handle, const uvdio_buf_t* buf) {
  accept_slot(slot, handle);
  slot->base = buf->base;
  slot->len = buf->len;
  slot->cap = buf->cap;
}

static void check_handed_over(int code, const uvdio_buf_t* before, const uvdio_buf_t* after) {
  static const uvdio_buf_t empty;
  REQUIRE(memcmp(after, code == 0 ? &empty : before, sizeof(*after)) == 0);
}

static void read_file(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  uvdio_buf_t* buf = &w.buffers[take(&w.input) % BUFFERS];
  uvdio_buf_t before = *buf;
  uint64_t offset = take_offset();
  unsigned how = take(&w.input);
  int is_now = how % 8 == 7 && !slot->pending;
  int expected = expect_transfer(handle, slot, buf, offset, buf->cap, 0);
  int code;
  if (expected == UNKNOWN) {
    return;
  }
  if (is_now) {
    struct change look = {0};
    if (expected == 0) {
      model_begins(handle->model, &look, UVDIO_OP_READ, offset, buf->cap);
    }
    CALL(code, uvdio_read(&handle->file, &slot->req, buf, offset, NULL));
    REQUIRE(buf->base == before.base && buf->cap == before.cap);
    if (code == 0) {
      REQUIRE(buf->len == (size_t)slot->req.result);
      check_content(handle, &look, buf);
    }
    REQUIRE(is_told(code, expected, handle, is_truncate));
    return;
  }
  CALL(code, how % 2 ? uvdio_read(&handle->file, &slot->req, buf, offset, on_io)
                     : uvdio_read_exact(&handle->file, &slot->req, buf, offset, on_io));
  REQUIRE(code == expected);
  check_handed_over(code, &before, buf);
  if (code == 0) {
    take_in(slot, handle, &before);
    model_begins(handle->model, &slot->change, UVDIO_OP_READ, offset, before.cap);
  }
}

static void write_now(struct handle* handle, struct slot* slot, uvdio_buf_t* buf, uint64_t offset,
                      int expected) {
  uvdio_buf_t before = *buf;
  int code;
  CALL(code, uvdio_write(&handle->file, &slot->req, buf, offset, NULL));
  REQUIRE(memcmp(buf, &before, sizeof(before)) == 0);
  REQUIRE(is_told(code, expected, handle, is_truncate) ||
          (expected == 0 && w.backend != UVDIO_BACKEND_MEMORY));
  end_change(slot, handle, code == UV_EBUSY ? UV_ECANCELED : code);
}

static void write_file(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  uvdio_buf_t* buf = &w.buffers[take(&w.input) % BUFFERS];
  uint64_t offset = take_offset();
  (void)take(&w.input); /* the value of the bytes, when files in the corpus were made */
  int is_now = take(&w.input) % 8 == 7 && !slot->pending;
  int is_common = buf->base == common;
  int expected = expect_transfer(handle, slot, buf, offset, buf->len, 1);
  uvdio_buf_t before;
  int code;
  if (expected == UNKNOWN) {
    return;
  }
  if (is_common && expected == 0) {
    return; /* What others read into it meanwhile would be written. */
  }
  if (expected == 0) {
    begin_change(slot, handle, UVDIO_OP_WRITE, offset, buf->len);
    model_fill(handle->model, &slot->change, buf->base);
  }
  if (is_now) {
    write_now(handle, slot, buf, offset, expected);
    return;
  }
  before = *buf;
  CALL(code, uvdio_write(&handle->file, &slot->req, buf, offset, on_io));
  REQUIRE(code == expected);
  check_handed_over(code, &before, buf);
  if (code == 0) {
    take_in(slot, handle, &before);
  }
}

static void resize_file(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  uint64_t length = take_offset() + take(&w.input) % 3;
  unsigned how = take(&w.input);
  int truncates = how % 2;
  int is_now = how % 8 > 5 && !slot->pending;
  uvdio_cb cb = is_now ? NULL : on_plain;
  int expected = expect(handle, slot, 1);
  int code;
  if (expected == UNKNOWN) {
    return;
  }
  if (expected == 0 && length > INT64_MAX) {
    expected = UVDIO_EOFFSET;
  }
  if (!truncates && length == 0) {
    expected = UV_EINVAL;
  }
  if (w.backend != UVDIO_BACKEND_MEMORY && length > (uint64_t)FILE_PAGES * PAGE && expected == 0) {
    return; /* That would fill the disk. */
  }
  if (expected == 0) {
    begin_change(slot, handle, truncates ? UVDIO_OP_TRUNCATE : UVDIO_OP_PREALLOCATE, 0, length);
  }
  CALL(code, truncates ? uvdio_truncate(&handle->file, &slot->req, length, cb)
                       : uvdio_preallocate(&handle->file, &slot->req, length, cb));
  if (is_now) {
    REQUIRE(is_told(code, expected, handle, truncates ? is_gated : is_truncate));
    if (expected == 0) {
      end_change(slot, handle, code == UV_EBUSY ? UV_ECANCELED : code);
    }
    return;
  }
  REQUIRE(code == expected);
  if (code == 0) {
    accept_slot(slot, handle);
  }
}

static void sync_file(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  int all = take(&w.input) % 2;
  int is_now = take(&w.input) % 8 == 7 && !slot->pending;
  int expected = expect(handle, slot, 0);
  uvdio_cb cb = is_now ? NULL : on_plain;
  int code;
  if (expected == UNKNOWN) {
    return;
  }
  CALL(code, all ? uvdio_sync_all(&handle->file, &slot->req, cb)
                 : uvdio_sync_data(&handle->file, &slot->req, cb));
  REQUIRE(is_now ? is_told(code, expected, handle, is_change_or_sync) : code == expected);
  if (code == 0 && !is_now) {
    accept_slot(slot, handle);
  }
}

static void ask_size(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  int is_now = take(&w.input) % 8 == 7 && !slot->pending;
  int expected = expect(handle, slot, 0);
  int code;
  if (expected == UNKNOWN) {
    return;
  }
  CALL(code, uvdio_size(&handle->file, &slot->req, is_now ? NULL : on_plain));
  REQUIRE(code == expected);
  if (code == 0 && !is_now) {
    accept_slot(slot, handle);
    model_begins(handle->model, &slot->change, UVDIO_OP_SIZE, 0, 0);
  }
}

static void close_file(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  int is_now = take(&w.input) % 4 == 3 && !slot->pending;
  int expected = expect(handle, slot, 0);
  int code;
  if (expected == UNKNOWN) {
    return;
  }
  if (is_now && expected == 0 && is_pending_on(handle, is_anything)) {
    expected = UV_EBUSY;
  }
  CALL(code, uvdio_close(&handle->file, &slot->req, is_now ? NULL : on_plain));
  REQUIRE(code == expected);
  if (code == 0 && is_now) {
    handle->state = CLOSED;
  } else if (code == 0) {
    accept_slot(slot, handle);
    handle->state = CLOSING;
  }
}

static void cancel(void) {
  struct slot* slot = take_slot();
  int code;
  CALL(code, uvdio_cancel(&slot->req));
  REQUIRE(slot->pending ? code == 0 || code == UV_EBUSY : code == UV_EINVAL);
  REQUIRE(!slot->pending || slot->req.op != UVDIO_OP_CLOSE || code == UV_EBUSY);
}

static void bad_pointers(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  uvdio_buf_t* buf = &w.buffers[0];
  uvdio_file_info_t info;
  REQUIRE(uvdio_read(NULL, &slot->req, buf, 0, on_io) == UV_EINVAL);
  REQUIRE(uvdio_write(&handle->file, NULL, buf, 0, on_io) == UV_EINVAL);
  REQUIRE(uvdio_write(&handle->file, &slot->req, NULL, 0, on_io) == UV_EINVAL);
  REQUIRE(uvdio_size(&handle->file, NULL, on_plain) == UV_EINVAL);
  REQUIRE(uvdio_close(NULL, &slot->req, on_plain) == UV_EINVAL);
  REQUIRE(uvdio_cancel(NULL) == UV_EINVAL);
  REQUIRE(uvdio_file_info(&handle->file, NULL) == UV_EINVAL);
  if (handle->state == OPEN && !w.closing) {
    REQUIRE(uvdio_file_info(&handle->file, &info) == 0 && info.latch_error == 0 &&
            info.is_direct == 1);
  }
}

/*
 * Buffers
 */

static void extend_buffer(uvdio_buf_t* buf) {
  size_t size = take(&w.input) * 20u;
  size_t len = buf->len;
  int may_grow =
      uvdio_buf_origin(buf) == UVDIO_ORIGIN_HEAP || uvdio_buf_origin(buf) == UVDIO_ORIGIN_NONE;
  int fits = size <= buf->cap - buf->len;
  int code = buf->base == common ? UV_ENOBUFS : uvdio_buf_extend(buf, common, size);
  REQUIRE(code == 0 ? buf->len == len + size && (fits || may_grow)
                    : code == UV_ENOBUFS && buf->len == len);
  REQUIRE(buf->base == common || code == 0 || !may_grow);
}

static void take_apart(uvdio_buf_t* buf) {
  uvdio_buf_t before = *buf;
  char* base;
  size_t len, cap;
  int code = uvdio_buf_detach(buf, &base, &len, &cap);
  REQUIRE((code == 0) == (uvdio_buf_origin(&before) == UVDIO_ORIGIN_HEAP));
  if (code == 0) {
    REQUIRE(uvdio_buf_attach(buf, base + 1, len, cap) == UVDIO_EALIGN);
    REQUIRE(uvdio_buf_attach(buf, base, cap + 1, cap) == UVDIO_EOFFSET);
    REQUIRE(uvdio_buf_attach(buf, base, len, cap) == 0);
  }
  REQUIRE(memcmp(&before, buf, sizeof(before)) == 0);
}

static void slice_buffer(const uvdio_buf_t* buf) {
  size_t offset = take(&w.input) * 128u;
  size_t len = take(&w.input) * 128u;
  uvdio_buf_t view;
  int code = uvdio_buf_slice(buf, offset, len, &view);
  if (buf->base == NULL) {
    REQUIRE(code == UV_EINVAL);
    return;
  }
  REQUIRE((code == 0) == (offset <= buf->len && len <= buf->len - offset));
  REQUIRE(code != 0 || (view.base == buf->base + offset && view.len == len && view.cap == len));
  code = uvdio_buf_slice_space(buf, offset, len, &view);
  REQUIRE((code == 0) == (offset <= buf->cap && len <= buf->cap - offset));
  REQUIRE(code != 0 || (view.cap == len && view.len <= len));
}

static void walk_buffer(const uvdio_buf_t* buf) {
  size_t chunk = take(&w.input) * 1024u;
  uvdio_chunks_t chunks;
  uvdio_buf_t view;
  size_t cap = 0, len = 0;
  if (uvdio_buf_chunks(buf, chunk, &chunks) != 0) {
    REQUIRE(buf->base == NULL || chunk == 0 || chunk % PAGE != 0);
    return;
  }
  while (uvdio_chunks_next(&chunks, &view)) {
    REQUIRE(view.base == buf->base + cap && view.cap > 0 && view.cap <= chunk);
    cap += view.cap;
    len += view.len;
  }
  REQUIRE(cap == buf->cap && len == buf->len);
}

static void clone_buffer(const uvdio_buf_t* buf) {
  uvdio_buf_t copy;
  int code = uvdio_buf_clone(&copy, buf);
  REQUIRE((code == 0) == (buf->base != NULL && buf->cap > 0));
  if (code == 0) {
    REQUIRE(copy.len == buf->len && copy.cap >= buf->cap &&
            memcmp(copy.base, buf->base, buf->len) == 0);
    keep(copy);
  }
}

static void release_buffer(uvdio_buf_t* buf) {
  uvdio_buf_t copy = *buf;
  REQUIRE(uvdio_buf_release(buf) == 0 && buf->base == NULL);
  if (uvdio_buf_origin(&copy) == UVDIO_ORIGIN_ARENA) {
    REQUIRE(uvdio_buf_release(&copy) == UVDIO_EDOUBLEFREE);
    copy.base++;
    REQUIRE(uvdio_buf_release(&copy) == UVDIO_ENOTFRAME);
  }
}

static void make_buffer(uvdio_buf_t* buf) {
  unsigned pages = 1 + take(&w.input) % 4;
  int code;
  release_buffer(buf);
  switch (take(&w.input) % 4) {
    case 0:
      REQUIRE(uvdio_buf_alloc(buf, pages * PAGE - 7, 0) == 0 && buf->cap == pages * PAGE);
      memset(buf->base, 0, buf->cap);
      break;
    case 1:
      REQUIRE(uvdio_buf_alloc(buf, pages * PAGE, UVDIO_BUF_ZEROED) == 0 &&
              buf->len == pages * PAGE);
      break;
    case 2:
      code = uvdio_arena_acquire(w.arena, buf);
      REQUIRE(code == 0 ? buf->cap == PAGE : code == UV_ENOBUFS && buf->base == NULL);
      break;
    default:
      *buf = uvdio_buf_view_bytes(common, pages * PAGE);
  }
}

static void use_buffer(void) {
  uvdio_buf_t* buf = &w.buffers[take(&w.input) % BUFFERS];
  char text[80];
  switch (take(&w.input) % 10) {
    case 0:
      release_buffer(buf);
      break;
    case 1:
      extend_buffer(buf);
      break;
    case 2:
      take_apart(buf);
      break;
    case 3:
      slice_buffer(buf);
      break;
    case 4:
      walk_buffer(buf);
      break;
    case 5:
      clone_buffer(buf);
      break;
    case 6:
      REQUIRE(uvdio_buf_describe(buf, text, sizeof(text)) < (int)sizeof(text));
      break;
    case 7:
      (void)uvdio_buf_set_len(buf, take(&w.input) * 512u);
      REQUIRE(buf->len <= buf->cap);
      break;
    default:
      make_buffer(buf);
  }
}

static void use_registration(void) {
  unsigned how = take(&w.input) % 3;
  uvdio_registration_t registration;
  int code;
  if (how == 0) {
    CALL(code, uvdio_arena_register(w.engine, w.arena));
  } else {
    CALL(code, uvdio_arena_unregister(w.engine, w.arena));
  }
  REQUIRE(!w.closing || code == UV_EBADF);
  REQUIRE(w.closing || w.backend != UVDIO_BACKEND_MEMORY || code == UV_ENOTSUP);
  REQUIRE(uvdio_arena_registration(w.engine, w.arena, &registration) == 0);
  REQUIRE(registration.bytes <= registration.size);
}

/*
 * Engines and loops
 */

static void on_engine_closed(uvdio_engine_t* engine) {
  REQUIRE(w.inside == 0 && engine == w.engine && w.closing);
  for (unsigned i = 0; i < SLOTS; i++) {
    REQUIRE(!w.slots[i].pending);
  }
  w.closed++;
  w.engine = NULL;
}

static void close_engine(void) {
  int code;
  if (w.engine == NULL) {
    return;
  }
  CALL(code, uvdio_engine_close(w.engine, on_engine_closed));
  REQUIRE(code == (w.closing ? UV_EBADF : 0));
  w.closing = 1;
}

/* The engine closed what was left open. */
static void finish_engine(void) {
  REQUIRE(uv_run(&w.loop, UV_RUN_DEFAULT) == 0);
  if (w.engine == NULL) {
    REQUIRE(w.closed == 1);
    for (unsigned i = 0; i < FILES; i++) {
      w.files[i].state = CLOSED;
    }
    memset(w.opens_in_flight, 0, sizeof(w.opens_in_flight));
    forget_files();
  }
}

static void turn(void) {
  if (w.nesting == 0) {
    uv_run(&w.loop, UV_RUN_NOWAIT);
  }
}

static void run_to_the_end(void) {
  if (w.nesting > 0) {
    return;
  }
  finish_engine();
  for (unsigned i = 0; i < SLOTS; i++) {
    REQUIRE(!w.slots[i].pending);
  }
  if (w.engine == NULL) {
    start_engine();
  }
}

static void step(void) {
  static void (*const actions[])(void) = {
      open_file,   read_file,    read_file,  write_file,    write_file, write_file,
      resize_file, sync_file,    sync_file,  ask_size,      close_file, cancel,
      cancel,      bad_pointers, use_buffer, use_buffer,    use_buffer, use_registration,
      turn,        turn,         turn,       run_to_the_end};
  unsigned action = take(&w.input);
  w.steps++;
  if (w.engine == NULL && w.nesting > 0) {
    return;
  }
  if (w.engine == NULL) {
    run_to_the_end();
  } else if (action == 255) {
    close_engine();
  } else {
    actions[action % (sizeof(actions) / sizeof(actions[0]))]();
  }
  check_stats();
}

static void clean_up(void) {
  close_engine();
  finish_engine();
  for (unsigned i = 0; i < BUFFERS; i++) {
    release_buffer(&w.buffers[i]);
  }
  REQUIRE(uvdio_arena_destroy(w.arena, NULL) == 0);
  REQUIRE(uv_loop_close(&w.loop) == 0);
  REQUIRE(uvdio_allocations() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const uvdio_arena_options_t options = {.frame_count = FRAMES};
  if (w.backend == UVDIO_BACKEND_AUTO) {
    set_up();
    make_models();
  }
  uvdio_backend_t backend = w.backend;
  char folder[sizeof(w.folder)];
  memcpy(folder, w.folder, sizeof(folder));
  memset(&w, 0, sizeof(w));
  w.backend = backend;
  memcpy(w.folder, folder, sizeof(folder));
  w.input.bytes = bytes;
  w.input.left = size;
  for (unsigned i = 0; i < SLOTS; i++) {
    w.slots[i].req.data = &w.slots[i];
  }
  REQUIRE(uv_loop_init(&w.loop) == 0);
  REQUIRE(uvdio_arena_create(&w.arena, &options) == 0);
  forget_files();
  start_engine();
  while (w.input.left > 0 && w.steps < STEPS_MAX) {
    step();
  }
  clean_up();
  return 0;
}
