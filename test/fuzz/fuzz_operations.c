/* SPDX-License-Identifier: MIT */
/*
 * Bytes into calls: engines, files, buffers, an arena, every operation in both forms, with good and
 * bad arguments, cancels, closes and turns of the loop at any moment, also from inside callbacks.
 * After each call and in each callback the promises of uvdio.h are checked, and contents against a
 * model (lib/model.h).
 *
 * The memory backend answers alike every time. UVDIO_FUZZ_BACKEND=ring, polled (lib/polling.h), aio
 * or pool takes another, in a temporary folder.
 */
#include <string.h>
#include <unistd.h>

#include "filesystem.h"
#include "generator.h"
#include "input.h"
#include "model.h"
#include "model_log.h"
#include "model_names.h"
#include "polling.h"
#include "tracker.h"
#include "uvdio/group.h"

#define PAGE UVDIO_PAGE_SIZE
#define PATHS 3
#define FILE_PAGES 64u /* that the model looks at */
#define FILES 4
#define SLOTS 12
#define BUFFERS 6
#define FRAMES 6
#define STEPS_MAX 400
#define NESTING_MAX 3
#define PARTIES 2u
#define MEMBERS 4u
#define AT_ONCE 4u         /* steps of the log or of names */
#define APPENDERS_MOST 32u /* requests that an appender may have pending */

enum action {
  CANCEL = UVDIO_OP_COUNT,
  BAD_POINTERS,
  USE_BUFFER,
  USE_REGISTRATION,
  RUN_TO_THE_END,
  CLOSE_ENGINE,
  TURN,
  READ_PIECES,
  WRITE_PIECES,
  WRITE_DURABLY,
  OPEN_OTHERWISE,
  USE_SPACE,
  WRITE_WHOLE,
  PLAY_NAMES,
  MORE,
  OPEN_FOR_HANDLES
};

/* Of 256. The corpus lives by this table: it stays as it is. What it has no room for is chosen by
 * another byte, see more(). */
static const struct weight weights[] = {{UVDIO_OP_OPEN, 11},
                                        {UVDIO_OP_READ, 22},
                                        {UVDIO_OP_WRITE, 33},
                                        {UVDIO_OP_TRUNCATE, 6},
                                        {UVDIO_OP_PREALLOCATE, 6},
                                        {UVDIO_OP_SYNC_DATA, 11},
                                        {UVDIO_OP_SYNC_ALL, 11},
                                        {UVDIO_OP_SIZE, 11},
                                        {UVDIO_OP_CLOSE, 11},
                                        {CANCEL, 22},
                                        {BAD_POINTERS, 11},
                                        {USE_BUFFER, 33},
                                        {USE_REGISTRATION, 11},
                                        {RUN_TO_THE_END, 11},
                                        {CLOSE_ENGINE, 1},
                                        {TURN, 1},
                                        {READ_PIECES, 8},
                                        {WRITE_PIECES, 12},
                                        {WRITE_DURABLY, 8},
                                        {UVDIO_OP_PUNCH_HOLE, 1},
                                        {UVDIO_OP_ZERO_RANGE, 1},
                                        {UVDIO_OP_NEXT_DATA, 1},
                                        {UVDIO_OP_NEXT_HOLE, 1},
                                        {UVDIO_OP_SET_HINT, 1},
                                        {USE_SPACE, 1},
                                        {WRITE_WHOLE, 1},
                                        {UVDIO_OP_STAT, 2},
                                        {OPEN_OTHERWISE, 3},
                                        {UVDIO_OP_REPLACE, 1},
                                        {PLAY_NAMES, 2},
                                        {MORE, 1},
                                        {TURN, 0}};

static const struct profile profile = {.size = FILE_PAGES * PAGE,
                                       .most = PAGE,
                                       .step = PAGE,
                                       .exact = 2,
                                       .now = 8,
                                       .flags = {{UVDIO_O_RDWR, 2},
                                                 {UVDIO_O_CREATE, 2},
                                                 {UVDIO_O_EXCLUSIVE, 2},
                                                 {UVDIO_O_TRUNCATE, 2},
                                                 {UVDIO_O_DIRECT_PREFERRED, 2}}};

/* One request and what it is about. */
struct slot {
  struct tracked_op* top;
  int pending;
  struct handle* file;
  unsigned flags; /* of an open */
  int is_overlapped;
  unsigned open_number;
  struct change change;
  uvdio_op_t ordered_as;
};

/* A file; its state is what callbacks have told. */
enum state { CLOSED, OPENING, OPEN, CLOSING };

struct handle {
  uvdio_file_t file;
  enum state state;
  struct model* model;
  unsigned flags;
  unsigned opening; /* the same for the handles of an open file */
};

/* A group. Of its slots the requests are not used. */
struct party {
  uvdio_group_t group;
  uvdio_member_t members[MEMBERS];
  struct slot slots[MEMBERS];
  struct tracked_op tops[MEMBERS];
  unsigned count;
  unsigned left;
  int is_ending; /* its own callback is due */
};

static struct {
  struct choices choices;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  int closing;
  int closed; /* calls of the engine's callback */
  struct tracker tracker;
  struct slot slots[SLOTS];
  struct handle files[FILES];
  unsigned openings;
  struct party parties[PARTIES];
  int in_group_call;
  struct model_names names;
  int has_names;
  struct model_log log;
  char log_path[96];
  int has_log;
  int opens_in_flight[PATHS];
  unsigned opens[PATHS];
  uvdio_buf_t buffers[BUFFERS];
  uvdio_arena_t* arena;
  unsigned steps;
  unsigned nesting;
  char folder[64];
  uvdio_backend_t backend;
  unsigned engine_flags;
} w;

static struct model models[PATHS];

/* Views are on this. */
static _Alignas(UVDIO_ALIGNMENT) char common[4 * UVDIO_PAGE_SIZE];

static void step(void);

static unsigned take(unsigned bound) {
  return (unsigned)choose(&w.choices, bound);
}

static void set_up(void) {
  static const struct {
    const char* name;
    uvdio_backend_t backend;
  } known[] = {{"ring", UVDIO_BACKEND_RING},
               {"polled", UVDIO_BACKEND_RING},
               {"aio", UVDIO_BACKEND_AIO},
               {"pool", UVDIO_BACKEND_POOL}};
  const char* wanted = getenv("UVDIO_FUZZ_BACKEND");
  w.backend = UVDIO_BACKEND_MEMORY;
  for (size_t i = 0; wanted != NULL && i < COUNT_OF(known); i++) {
    if (strcmp(wanted, known[i].name) == 0) {
      w.backend = known[i].backend;
    }
  }
  if (w.backend != UVDIO_BACKEND_MEMORY) {
    snprintf(w.folder, sizeof(w.folder), "./uvdio-fuzz-XXXXXX");
    REQUIRE(mkdtemp(w.folder) != NULL);
  }
  if (wanted != NULL && strcmp(wanted, "polled") == 0) {
    filesystems_begin();
    w.engine_flags = UVDIO_ENGINE_POLLED;
    REQUIRE(polling_begin(w.folder) == NULL);
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
  options.depth = 1 + take(8);
  options.callbacks_max = take(4);
  options.submit_batch_max = take(4);
  options.flags = one_in(&w.choices, 4) ? UVDIO_ENGINE_NO_AUTO_REGISTER : 0;
  options.flags |= w.engine_flags;
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

/* Of groups and the appender, at most. */
static unsigned requests_of_modules(void) {
  unsigned most = w.has_log && w.log.appender != NULL ? APPENDERS_MOST : 0;
  for (unsigned i = 0; i < PARTIES; i++) {
    most += w.parties[i].left > 0 ? w.parties[i].group.requests : 0;
  }
  return most;
}

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
  for (const struct tracked_op* op = w.tracker.ops; op != NULL; op = op->next) {
    pending += op_is(op->kind, UVDIO_OP_KIND_NAME) && op->accepted != op->done; /* in no slot */
  }
  pending += w.has_names ? model_names_pending(&w.names) : 0;
  /* The engine closes by itself what the user left open, with a request of its own. */
  REQUIRE(stats.pending >= pending &&
          stats.pending <= pending + requests_of_modules() + (w.closing != 0));
  REQUIRE(stats.in_flight <= stats.pending && stats.completed <= stats.submitted);
}

static void require_none(const char* wrong) {
  if (wrong[0] != '\0') {
    dprintf(2, "%s\n", wrong);
    abort();
  }
}

/* What must hold of any operation (tracker.h). */
static void check_promises(void) {
  require_none(w.tracker.violation);
  require_none(w.names.wrong);
  require_none(w.log.wrong);
}

static void end_change(struct slot* slot, int64_t result) {
  model_ends(slot->file->model, &slot->change,
             result == UV_ECANCELED ? MODEL_UNTOUCHED
             : result < 0           ? MODEL_UNSURE
                                    : MODEL_DONE);
}

#define LOCKS (UVDIO_O_LOCK_SHARED | UVDIO_O_LOCK_EXCLUSIVE)

/* Whether another handle that is open has a lock that excludes the one asked for. */
static int is_locked_out(const struct handle* handle, unsigned flags) {
  for (unsigned i = 0; i < FILES; i++) {
    const struct handle* other = &w.files[i];
    if (other != handle && other->state == OPEN && other->model == handle->model &&
        (other->flags & LOCKS) != 0 && (flags & LOCKS) != 0 &&
        ((other->flags | flags) & UVDIO_O_LOCK_EXCLUSIVE) != 0) {
      return 1;
    }
  }
  return 0;
}

/* Whether the flags are a reason why a file that is there was not opened. */
static int explains(unsigned flags, int64_t result) {
  if ((flags & UVDIO_O_EXCLUSIVE) != 0) {
    return result == ((flags & UVDIO_O_CREATE) != 0 ? UV_EEXIST : UV_EINVAL);
  }
  return result == UVDIO_ELOCKED && (flags & LOCKS) != 0;
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
    REQUIRE(!is_locked_out(handle, slot->flags));
    model->exists = 1;
  } else if (is_alone && result != UV_ECANCELED) {
    REQUIRE(model->exists ? explains(slot->flags, result) : result == UV_ENOENT);
  }
  if ((slot->flags & UVDIO_O_TRUNCATE) != 0 && result != 0 && result != UV_ECANCELED) {
    result = UV_ECANCELED; /* An open that fails has cut nothing off. */
  }
  end_change(slot, result);
}

static int is_found(const struct slot* slot, int64_t result) {
  return (result >= 0 || result == UV_ENXIO) &&
         model_check_next(slot->file->model, &slot->change, result) == NULL;
}

static void check_plain(struct slot* slot, int64_t result) {
  int64_t size;
  switch (facts_of(slot->top->kind)->effect) {
    case EFFECT_OPEN:
      check_open(slot, result);
      break;
    case EFFECT_CLOSE:
      REQUIRE(result == 0);
      break;
    case EFFECT_SYNC:
      REQUIRE(result == UV_ECANCELED || result == 0);
      break;
    case EFFECT_SIZE:
      size = model_expected_size(slot->file->model, &slot->change);
      REQUIRE(result == UV_ECANCELED || (result >= 0 && (size < 0 || result == size)));
      break;
    case EFFECT_STAT:
      size = model_expected_size(slot->file->model, &slot->change);
      REQUIRE(result == UV_ECANCELED ||
              (result == 0 && (size < 0 || slot->top->stat.size == (uint64_t)size)));
      break;
    case EFFECT_LOOK:
      REQUIRE(result == UV_ECANCELED || is_found(slot, result));
      break;
    case EFFECT_NONE:
      REQUIRE(result == UV_ECANCELED || result == 0 || op_may_give(slot->top->kind, result));
      break;
    case EFFECT_TRUNCATE:
    case EFFECT_PREALLOCATE:
    case EFFECT_ZEROS:
      REQUIRE(w.backend != UVDIO_BACKEND_MEMORY || result == 0 || result == UV_ECANCELED);
      end_change(slot, result);
      break;
    case EFFECT_READ:
    case EFFECT_WRITE:
    case EFFECT_NAMES:
    case EFFECT_FRAMES:
      REQUIRE(slot->top->kind == UVDIO_OP_OPEN); /* no plain operation */
  }
}

static void settle_file(struct slot* slot, int64_t result) {
  struct handle* handle = slot->file;
  if (slot->top->kind == UVDIO_OP_OPEN) {
    handle->state = result == 0 ? OPEN : CLOSED;
  } else if (slot->top->kind == UVDIO_OP_CLOSE) {
    handle->state = CLOSED;
  }
}

/* Callbacks go on with the program of the bytes, where it says so. */
static void go_on(void) {
  if (w.nesting < NESTING_MAX && one_in(&w.choices, 4)) {
    w.nesting++;
    step();
    w.nesting--;
  }
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

static void check_transfer(struct slot* slot, const struct tracked_op* top) {
  int is_whole = top->result >= 0 || top->result == UVDIO_ESHORTREAD;
  if (top->kind == UVDIO_OP_READ && is_whole) {
    check_content(slot->file, &slot->change, &top->back);
  }
  REQUIRE(top->kind == UVDIO_OP_READ || top->result < 0 || (size_t)top->result == top->sent.len);
  end_change(slot, top->result);
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

static void on_end(struct tracked_op* top) {
  struct slot* slot = top->data;
  check_promises();
  REQUIRE(slot->pending && tracker_overtaken(top) == NULL);
  slot->pending = 0;
  if (op_is(top->kind, UVDIO_OP_KIND_TRANSFER)) {
    check_transfer(slot, top);
    keep(op_take(top));
  } else {
    check_plain(slot, top->result);
    settle_file(slot, top->result);
  }
  go_on();
}

/*
 * Operations
 */

static struct slot* take_slot(void) {
  return &w.slots[take(SLOTS)];
}

static struct handle* take_file(void) {
  return &w.files[take(FILES)];
}

/* What every operation on a file has to be told; UNKNOWN between the outcome of an open and its
 * callback, before which the file is not the user's to use. */
#define UNKNOWN 1
static int expect(const struct handle* handle, const struct slot* slot, uvdio_op_t op) {
  const unsigned writing = UVDIO_O_RDWR | UVDIO_O_WRONLY;
  if (handle->state == OPENING) {
    return UNKNOWN;
  }
  if (handle->state != OPEN || w.closing ||
      (op_needs_writing(op) && (handle->flags & writing) == 0) ||
      (op == UVDIO_OP_READ && (handle->flags & UVDIO_O_WRONLY) != 0)) {
    return UV_EBADF;
  }
  return slot->pending ? UV_EBUSY : 0;
}

/* Seldom an offset or length that is anything but aligned, or within the model. */
static uint64_t take_odd(uint64_t usual) {
  static const uint64_t odd[] = {
      0, 1, 512, INT64_MAX, UINT64_MAX, (uint64_t)1 << 63, INT64_MAX & ~(uint64_t)4095, 65535};
  return one_in(&w.choices, 32) ? odd[take(8)] : usual;
}

static int contradicts_itself(unsigned flags) {
  const unsigned writing = UVDIO_O_RDWR | UVDIO_O_WRONLY;
  const unsigned writers = UVDIO_O_TRUNCATE | UVDIO_O_CREATE | UVDIO_O_LOCK_EXCLUSIVE;
  const unsigned readers = UVDIO_O_LOCK_SHARED;
  const unsigned buffered = UVDIO_O_BUFFERED | UVDIO_O_DIRECT_PREFERRED;
  return (flags & writing) == writing || (flags & LOCKS) == LOCKS ||
         (flags & buffered) == buffered ||
         ((flags & UVDIO_O_DONTCACHE) != 0 && (flags & buffered) == 0) ||
         ((flags & writers) != 0 && (flags & writing) == 0) ||
         ((flags & readers) != 0 && (flags & UVDIO_O_WRONLY) != 0);
}

static int expect_open(const struct handle* handle, const struct slot* slot, unsigned flags) {
  if (contradicts_itself(flags)) {
    return UV_EINVAL;
  }
  if (w.closing) {
    return UV_EBADF;
  }
  return handle->state == OPEN || slot->pending ? UV_EBUSY : 0;
}

static int is_odd(const uvdio_buf_t* buf, const struct operation* operation) {
  return ((uintptr_t)buf->base | operation->offset | operation->length) % PAGE != 0;
}

static int expect_transfer(const struct handle* handle, const struct slot* slot,
                           const uvdio_buf_t* buf, const struct operation* operation) {
  int code = expect(handle, slot, operation->op);
  uint64_t offset = operation->offset;
  if (buf->base == NULL) {
    return UV_EINVAL;
  }
  if (code != 0) {
    return code;
  }
  if ((handle->flags & UVDIO_O_BUFFERED) == 0 && is_odd(buf, operation)) {
    return UVDIO_EALIGN;
  }
  if (offset > INT64_MAX || offset + operation->length > INT64_MAX) {
    return UVDIO_EOFFSET;
  }
  return (operation->how & UVDIO_WRITE_ATOMIC) != 0 ? UVDIO_EATOMIC : 0;
}

static int expect_resize(const struct handle* handle, const struct slot* slot,
                         const struct operation* operation) {
  int code = expect(handle, slot, operation->op);
  if (code == UNKNOWN) {
    return code;
  }
  if (operation->op != UVDIO_OP_TRUNCATE && (operation->length == 0 || operation->flags > 2)) {
    return UV_EINVAL;
  }
  if (code == 0 && (handle->flags & UVDIO_O_BUFFERED) == 0 &&
      operation_ordered_as(operation->op, operation->flags) != operation->op &&
      (operation->offset | operation->length) % PAGE != 0) {
    return UVDIO_EALIGN;
  }
  int is_range =
      operation->offset <= INT64_MAX && operation->length <= INT64_MAX - operation->offset;
  return code == 0 && !is_range ? UVDIO_EOFFSET : code;
}

/* How many other handles of the open file are in the state. */
static unsigned siblings(const struct handle* handle, enum state state) {
  unsigned count = 0;
  for (unsigned i = 0; i < FILES; i++) {
    count +=
        &w.files[i] != handle && w.files[i].state == state && w.files[i].opening == handle->opening;
  }
  return count;
}

/* Whether a member of a group is under way on the handle. */
static int has_member(const struct handle* handle) {
  for (unsigned i = 0; i < PARTIES * MEMBERS; i++) {
    const struct slot* slot = &w.parties[i / MEMBERS].slots[i % MEMBERS];
    if (slot->pending && slot->file == handle) {
      return 1;
    }
  }
  return 0;
}

/* Whether a synchronous form may have to wait for something that the tracker does not see on this
 * handle. */
static int may_wait(const struct handle* handle) {
  int is_used = has_member(handle);
  for (unsigned i = 0; i < SLOTS && (handle->flags & UVDIO_O_DUP) != 0; i++) {
    is_used |= w.slots[i].pending && w.slots[i].file->opening == handle->opening;
  }
  for (unsigned i = 0; i < FILES && (handle->flags & UVDIO_O_DUP) != 0; i++) {
    is_used |= w.files[i].opening == handle->opening && has_member(&w.files[i]);
  }
  return is_used;
}

static int expect_operation(const struct handle* handle, const struct slot* slot,
                            const uvdio_buf_t* buf, const struct operation* operation) {
  if (operation->op == UVDIO_OP_OPEN) {
    return expect_open(handle, slot, operation->flags);
  }
  if (op_is(operation->op, UVDIO_OP_KIND_TRANSFER)) {
    return expect_transfer(handle, slot, buf, operation);
  }
  if (op_is(operation->op, UVDIO_OP_KIND_CHANGE)) {
    return expect_resize(handle, slot, operation);
  }
  int code = expect(handle, slot, operation->op);
  int is_kept =
      operation->op == UVDIO_OP_CLOSE && operation->now &&
      (tracker_obstacle(&w.tracker, &handle->file, UVDIO_OP_CLOSE) != NULL || has_member(handle));
  if (code == 0 && operation->op == UVDIO_OP_REPLACE && siblings(handle, CLOSING) > 0) {
    return UNKNOWN;
  }
  if (code == 0 && operation->op == UVDIO_OP_REPLACE && siblings(handle, OPEN) > 0) {
    return UV_EBUSY;
  }
  return code == 0 && is_kept ? UV_EBUSY : code;
}

/* What is not tried: a handle in between, bytes that others read into meanwhile, a full disk, parts
 * of the model's pages. */
static int is_left_out(const struct handle* handle, const uvdio_buf_t* buf,
                       const struct operation* operation, int expected) {
  if (operation->op == UVDIO_OP_OPEN) {
    return handle->state == OPENING || handle->state == CLOSING;
  }
  if (expected == 0 && op_is(operation->op, UVDIO_OP_KIND_TRANSFER) && is_odd(buf, operation)) {
    return 1;
  }
  if (expected != 0 || !op_is(operation->op, UVDIO_OP_KIND_CHANGE)) {
    return expected == UNKNOWN;
  }
  return operation->op == UVDIO_OP_WRITE ? buf->base == common
                                         : w.backend != UVDIO_BACKEND_MEMORY &&
                                               operation->offset + operation->length > profile.size;
}

static void accept_slot(struct slot* slot, struct handle* handle,
                        const struct operation* operation) {
  size_t path = (size_t)(handle->model - models);
  slot->pending = 1;
  slot->file = handle;
  if (operation->op == UVDIO_OP_OPEN) {
    handle->flags = operation->flags;
    handle->state = OPENING;
    handle->opening = ++w.openings;
    slot->flags = operation->flags;
    slot->is_overlapped = w.opens_in_flight[path]++ > 0;
    slot->open_number = ++w.opens[path];
  } else if (operation->op == UVDIO_OP_CLOSE) {
    handle->state = CLOSING;
  }
}

/* A synchronous form that is right may be turned away only while an operation that it has to wait
 * for is in flight. Between its outcome and its callback it may be either way. A disk may have any
 * error for a write. */
static int is_told(int code, int expected, const struct slot* slot, const struct handle* handle) {
  uvdio_op_t op = slot->ordered_as;
  return code == expected || op_may_give(slot->change.op, code) ||
         (code == UV_EBUSY &&
          (tracker_obstacle(&w.tracker, &handle->file, op) != NULL || may_wait(handle))) ||
         (slot->change.op == UVDIO_OP_WRITE && w.backend != UVDIO_BACKEND_MEMORY);
}

/* The outcome of a call that was right, of a synchronous form. */
static void end_now(struct slot* slot, struct handle* handle, const struct operation* operation,
                    const uvdio_buf_t* buf, int code) {
  int64_t size;
  slot->file = handle;
  if (operation->op == UVDIO_OP_OPEN) {
    accept_slot(slot, handle, operation);
    slot->pending = 0;
    check_open(slot, code);
    handle->state = code == 0 ? OPEN : CLOSED;
    return;
  }
  if (operation->op == UVDIO_OP_READ && (code == 0 || code == UVDIO_ESHORTREAD)) {
    REQUIRE(code == 0 || (operation->exact && buf->len < buf->cap));
    check_content(handle, &slot->change, buf);
  } else {
    REQUIRE(is_told(code, 0, slot, handle));
  }
  if (operation->op == UVDIO_OP_SIZE) {
    size = model_expected_size(handle->model, &slot->change);
    REQUIRE(size < 0 || slot->top->req.result == size);
  } else if (operation->op == UVDIO_OP_STAT) {
    size = model_expected_size(handle->model, &slot->change);
    REQUIRE(size < 0 || slot->top->stat.size == (uint64_t)size);
  } else if (facts_of(operation->op)->effect == EFFECT_LOOK) {
    REQUIRE(is_found(slot, slot->top->req.result));
  } else if (operation->op == UVDIO_OP_CLOSE) {
    handle->state = CLOSED;
  }
  end_change(slot, code == UV_EBUSY ? UV_ECANCELED : code);
}

static void submit(struct slot* slot, struct handle* handle, struct operation* operation,
                   const struct target* target, int expected) {
  if (expected == 0) {
    slot->ordered_as = operation_ordered_as(operation->op, operation->flags);
    model_begins(handle->model, &slot->change, operation, target->buf->base);
  }
  int code = t_operation(slot->top, operation, target)->code;
  check_promises();
  if (expected == 0 && operation->now) {
    end_now(slot, handle, operation, target->buf, code);
    return;
  }
  REQUIRE(code == expected);
  if (code == 0) {
    accept_slot(slot, handle, operation);
  }
}

/* What else an open may ask for. */
static unsigned take_modes(void) {
  static const unsigned modes[] = {UVDIO_O_WRONLY, UVDIO_O_LOCK_SHARED, UVDIO_O_LOCK_EXCLUSIVE,
                                   UVDIO_O_BUFFERED, UVDIO_O_DONTCACHE};
  unsigned chosen = take(1u << (sizeof(modes) / sizeof(modes[0])));
  unsigned flags = 0;
  for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    flags |= (chosen >> i & 1) != 0 ? modes[i] : 0;
  }
  return flags;
}

/* The length of a transfer is the buffer's. An odd one is in pieces, an odd preallocation has more
 * than a length. */
static void operate(uvdio_op_t op, enum action action) {
  int is_odd = action == READ_PIECES || action == WRITE_PIECES || action == USE_SPACE;
  int is_otherwise = action == OPEN_OTHERWISE || action == OPEN_FOR_HANDLES;
  unsigned how = action == WRITE_DURABLY ? UVDIO_WRITE_DURABLE
                 : action == WRITE_WHOLE ? UVDIO_WRITE_ATOMIC
                                         : 0;
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  struct operation operation = generate(&w.choices, &profile, op, PAGE);
  uvdio_buf_t none = {0};
  uvdio_buf_t* buf = &none;
  char path[96] = "";
  unsigned number = 0;
  if (op_is(op, UVDIO_OP_KIND_TRANSFER)) {
    buf = &w.buffers[take(BUFFERS)];
    operation.offset = take_odd(operation.offset);
    operation.length = op == UVDIO_OP_WRITE ? buf->len : buf->cap;
    operation.pieces = is_odd ? 2 + take(3) : 0;
    operation.how = how | (how == UVDIO_WRITE_DURABLE ? take(3) << 1 | take(2) << 3 : 0);
    operation.now = operation.now && how != UVDIO_WRITE_DURABLE;
  } else if (facts_of(op)->effect == EFFECT_ZEROS) {
    operation.length = take_odd(operation.length) / PAGE * PAGE; /* as the model's sectors */
  } else if (op_is(op, UVDIO_OP_KIND_CHANGE)) {
    operation.length = take_odd(operation.length) + take(3);
    operation.offset = is_odd ? take_odd(take(FILE_PAGES) * PAGE) : 0;
    operation.flags = is_odd ? take(4) : 0;
  } else if (op == UVDIO_OP_OPEN) {
    number = take(PATHS);
    path_of(number, path, sizeof(path));
    operation.flags |= is_otherwise ? take_modes() : 0;
    operation.flags |= action == OPEN_FOR_HANDLES ? UVDIO_O_DUP : 0;
  } else if (op == UVDIO_OP_REPLACE && handle->model != NULL) {
    path_of((unsigned)(handle->model - models), path, sizeof(path));
  }
  operation.now = operation.now && !slot->pending;
  int expected = expect_operation(handle, slot, buf, &operation);
  if (is_left_out(handle, buf, &operation, expected)) {
    return;
  }
  operation.now = operation.now && (op != UVDIO_OP_OPEN || expected == 0);
  if (op == UVDIO_OP_OPEN && expected == 0) {
    handle->model = &models[number];
  }
  struct target target = {.engine = w.engine, .path = path, .file = &handle->file, .buf = buf};
  submit(slot, handle, &operation, &target, expected);
  memset(path, 'x', sizeof(path)); /* It was copied. */
}

static void cancel(void) {
  struct slot* slot = take_slot();
  int code = t_cancel(slot->top);
  REQUIRE(slot->pending ? code == 0 || code == UV_EBUSY : code == UV_EINVAL);
  REQUIRE(!slot->pending || slot->top->kind != UVDIO_OP_CLOSE || code == UV_EBUSY);
}

static void never_plain(uvdio_req_t* req, int64_t result) {
  (void)req;
  (void)result;
  REQUIRE(0);
}

static void never_io(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  (void)req;
  (void)result;
  (void)buf;
  REQUIRE(0);
}

static void bad_pointers(void) {
  struct handle* handle = take_file();
  struct slot* slot = take_slot();
  uvdio_req_t* req = &slot->top->req;
  uvdio_buf_t* buf = &w.buffers[0];
  uvdio_file_info_t info;
  REQUIRE(uvdio_read(NULL, req, buf, 0, never_io) == UV_EINVAL);
  REQUIRE(uvdio_write(&handle->file, NULL, buf, 0, never_io) == UV_EINVAL);
  REQUIRE(uvdio_write(&handle->file, req, NULL, 0, never_io) == UV_EINVAL);
  REQUIRE(uvdio_size(&handle->file, NULL, never_plain) == UV_EINVAL);
  REQUIRE(uvdio_stat(&handle->file, req, NULL, never_plain) == UV_EINVAL);
  REQUIRE(uvdio_close(NULL, req, never_plain) == UV_EINVAL);
  REQUIRE(uvdio_release(NULL, req, never_plain) == UV_EINVAL);
  REQUIRE(uvdio_adopt(NULL, &handle->file, req, 0, UVDIO_O_RDONLY, never_plain) == UV_EINVAL);
  REQUIRE(uvdio_cancel(NULL) == UV_EINVAL);
  REQUIRE(uvdio_file_info(&handle->file, NULL) == UV_EINVAL);
  if (handle->state == OPEN && !w.closing) {
    REQUIRE(uvdio_file_info(&handle->file, &info) == 0 && info.latch_error == 0 &&
            info.is_direct == ((handle->flags & UVDIO_O_BUFFERED) == 0));
  }
}

/*
 * Buffers
 */

static void extend_buffer(uvdio_buf_t* buf) {
  size_t size = take(256) * 20u;
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
  size_t offset = take(256) * 128u;
  size_t len = take(256) * 128u;
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
  size_t chunk = take(256) * 1024u;
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
  unsigned pages = 1 + take(4);
  int code;
  release_buffer(buf);
  switch (take(4)) {
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
  uvdio_buf_t* buf = &w.buffers[take(BUFFERS)];
  char text[80];
  switch (take(10)) {
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
      (void)uvdio_buf_set_len(buf, take(256) * 512u);
      REQUIRE(buf->len <= buf->cap);
      break;
    default:
      make_buffer(buf);
  }
}

static void use_registration(void) {
  unsigned how = take(3);
  uvdio_registration_t registration;
  unsigned finished = w.tracker.finished;
  int code = how == 0 ? uvdio_arena_register(w.engine, w.arena)
                      : uvdio_arena_unregister(w.engine, w.arena);
  REQUIRE(w.tracker.finished == finished); /* no callback from inside */
  REQUIRE(!w.closing || code == UV_EBADF);
  REQUIRE(w.closing || w.backend != UVDIO_BACKEND_MEMORY || code == UV_ENOTSUP);
  REQUIRE(uvdio_arena_registration(w.engine, w.arena, &registration) == 0);
  REQUIRE(registration.bytes <= registration.size);
}

/*
 * Engines and loops
 */

static void on_engine_closed(uvdio_engine_t* engine) {
  REQUIRE(!inside_library() && engine == w.engine && w.closing);
  for (unsigned i = 0; i < SLOTS; i++) {
    REQUIRE(!w.slots[i].pending);
  }
  w.closed++;
  w.engine = NULL;
}

static void close_engine(void) {
  if (w.engine == NULL) {
    return;
  }
  int code = t_engine_close(w.engine, on_engine_closed);
  REQUIRE(code == (w.closing ? UV_EBADF : 0));
  w.closing = 1;
  w.log.closing = 1;
  w.names.closing = 1;
}

static void end_modules(void);

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
    end_modules();
  } else if (w.has_names) {
    model_names_compare(&w.names, w.engine);
    check_promises();
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

static void read_pieces(void) {
  operate(UVDIO_OP_READ, READ_PIECES);
}

static void write_pieces(void) {
  operate(UVDIO_OP_WRITE, WRITE_PIECES);
}

static void write_durably(void) {
  operate(UVDIO_OP_WRITE, WRITE_DURABLY);
}

/* What files in memory refuse. */
static void write_whole(void) {
  if (w.backend == UVDIO_BACKEND_MEMORY) {
    operate(UVDIO_OP_WRITE, WRITE_WHOLE);
  }
}

static void use_space(void) {
  operate(UVDIO_OP_PREALLOCATE, USE_SPACE);
}

static void open_otherwise(void) {
  operate(UVDIO_OP_OPEN, OPEN_OTHERWISE);
}

static void play(void) {
  char prefix[96];
  path_of(0, prefix, sizeof(prefix));
  play_names(&w.tracker, w.engine, prefix, &w.choices);
  check_promises();
}

/*
 * Several handles, groups, the appender, names
 */

static void open_for_handles(void) {
  operate(UVDIO_OP_OPEN, OPEN_FOR_HANDLES);
}

static int is_replaced(const struct handle* handle) {
  for (unsigned i = 0; i < SLOTS; i++) {
    if (w.slots[i].pending && w.slots[i].file == handle &&
        w.slots[i].top->kind == UVDIO_OP_REPLACE) {
      return 1;
    }
  }
  return 0;
}

static int expect_dup(const struct handle* source, const struct handle* handle) {
  if (source->state != OPEN) {
    return UV_EBADF;
  }
  if ((source->flags & UVDIO_O_DUP) == 0) {
    return UV_EINVAL;
  }
  return w.closing ? UV_EBADF : handle->state == OPEN ? UV_EBUSY : 0;
}

static void dup_handle(void) {
  const struct handle* source = take_file();
  struct handle* handle = take_file();
  int is_between = source->state == OPENING || handle->state == OPENING || handle->state == CLOSING;
  if (is_between || source == handle) {
    return;
  }
  int expected = expect_dup(source, handle);
  int code = uvdio_dup(w.engine, &handle->file, &source->file);
  REQUIRE(code == expected || (code == UV_EBUSY && is_replaced(source)) ||
          (code == UV_EBADF && w.closing));
  if (code == 0) {
    handle->state = OPEN;
    handle->model = source->model;
    handle->flags = source->flags;
    handle->opening = source->opening;
  }
}

static void end_party(struct party* party) {
  REQUIRE(party->left == 0 && !w.in_group_call);
  party->is_ending = 0;
}

static void on_group(uvdio_group_t* group) {
  struct party* party = group->data;
  REQUIRE(party->is_ending);
  end_party(party);
  go_on();
}

static void on_member(uvdio_member_t* member) {
  struct party* party = member->data;
  struct slot* slot = &party->slots[member - party->members];
  REQUIRE(!w.in_group_call && slot->pending && party->left > 0);
  slot->pending = 0;
  party->left--;
  slot->top->result = member->result;
  slot->top->back = member->buf;
  check_transfer(slot, slot->top);
  keep(member->buf);
  member->buf = (uvdio_buf_t){0};
  go_on();
}

/* Returns 0 for what is not tried: see is_left_out(). */
static int set_member(struct party* party, int* expected) {
  uvdio_member_t* member = &party->members[party->count];
  struct slot* slot = &party->slots[party->count];
  uvdio_buf_t* buf = &w.buffers[take(BUFFERS)];
  struct operation operation = {.op = take(2) == 0 ? UVDIO_OP_READ : UVDIO_OP_WRITE,
                                .offset = (uint64_t)take(FILE_PAGES) * PAGE,
                                .unit = PAGE};
  *slot = (struct slot){.top = &party->tops[party->count], .file = take_file()};
  operation.length = operation.op == UVDIO_OP_WRITE ? buf->len : buf->cap;
  *expected = expect_transfer(slot->file, slot, buf, &operation);
  if (*expected == UNKNOWN || is_left_out(slot->file, buf, &operation, *expected) ||
      (*expected == 0 && is_odd(buf, &operation))) {
    return 0;
  }
  *slot->top = (struct tracked_op){.tracker = &w.tracker, .kind = operation.op, .sent = *buf};
  *member = (uvdio_member_t){.data = party,
                             .op = operation.op,
                             .file = &slot->file->file,
                             .offset = operation.offset,
                             .buf = *buf};
  *buf = (uvdio_buf_t){0};
  if (*expected == 0) {
    model_begins(slot->file->model, &slot->change, &operation, member->buf.base);
    slot->pending = 1;
    party->left++;
  }
  party->count++;
  return 1;
}

static void use_group(void) {
  struct party* party = &w.parties[take(PARTIES)];
  uvdio_group_options_t options = {.merge_size_max = take(4) * 4u * PAGE,
                                   .merge_gap_max = take(3) * PAGE};
  int expected[MEMBERS] = {0};
  if (party->left > 0 || party->is_ending) {
    REQUIRE(uvdio_group_cancel(&party->group) == 0);
    return;
  }
  party->count = 0;
  party->group.data = party;
  for (unsigned i = 1 + take(MEMBERS); i > 0; i--) {
    (void)set_member(party, &expected[party->count]);
  }
  if (party->count == 0) {
    return;
  }
  party->is_ending = party->left > 0 && take(2) == 1;
  w.in_group_call = 1;
  int code = uvdio_group_submit(&party->group, party->members, party->count, &options, on_member,
                                party->is_ending ? on_group : NULL);
  w.in_group_call = 0;
  REQUIRE(code == (party->left > 0 ? 0 : expected[0]));
  for (unsigned i = 0; i < party->count; i++) {
    REQUIRE(expected[i] == 0 || party->members[i].result == expected[i]);
    if (expected[i] != 0 && party->members[i].buf.base != NULL) {
      keep(party->members[i].buf);
    }
  }
}

/* Files in RAM end with their engine, and with them the log; on a disk it begins anew as well. */
static void end_modules(void) {
  if (w.has_log) {
    model_log_bury(&w.log, 0);
    check_promises();
    model_log_free(&w.log);
    unlink(w.log_path);
    memset(&w.log, 0, sizeof(w.log));
    w.has_log = 0;
  }
  if (w.has_names) {
    model_names_bury(&w.names, NAMES_ENDED);
    check_promises();
  }
}

static void use_log(void) {
  if (!w.has_log) {
    snprintf(w.log_path, sizeof(w.log_path), "%s/log", w.folder);
    model_log_make(&w.log, w.log_path, NULL);
    w.log.closing = w.closing;
    w.has_log = 1;
  }
  for (unsigned i = 0; i < AT_ONCE; i++) {
    model_log_step(&w.log, w.engine, &w.choices);
    check_promises();
  }
}

static void use_names(void) {
  if (!w.has_names) {
    char prefix[96];
    snprintf(prefix, sizeof(prefix), "%s/names", w.folder);
    model_names_make(&w.names, prefix, NULL, w.backend != UVDIO_BACKEND_MEMORY);
    w.names.closing = w.closing;
    w.has_names = 1;
  }
  for (unsigned i = 0; i < AT_ONCE; i++) {
    model_names_step(&w.names, w.engine, &w.choices);
    check_promises();
  }
}

/* Operations without a line in the table, in the order of the map: each has so many values of a
 * byte, which stay its own because new operations are the map's last. What is no operation has its
 * values from the end on. */
#define VALUES 8u
#define ALL_VALUES (256u / VALUES)

/* Of what more() does not do: PLAY_NAMES has names, and use_frames() frames. */
static int has_a_line(uvdio_op_t op) {
  const struct weight* line = weights;
  while (line->weight > 0 && line->action != op) {
    line++;
  }
  enum effect effect = facts_of(op)->effect;
  return line->weight > 0 || effect == EFFECT_NAMES || effect == EFFECT_FRAMES;
}

static void more(void) {
  static void (*const others[])(void) = {use_names, use_log, use_group, dup_handle,
                                         open_for_handles};
  unsigned left = take(256) / VALUES;
  if (ALL_VALUES - 1 - left < sizeof(others) / sizeof(others[0])) {
    others[ALL_VALUES - 1 - left]();
    return;
  }
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    if (!has_a_line(op) && left-- == 0) {
      operate(op, MORE);
      return;
    }
  }
  turn();
}

static void act(unsigned action) {
  static void (*const own[])(void) = {
      [CANCEL - UVDIO_OP_COUNT] = cancel,
      [BAD_POINTERS - UVDIO_OP_COUNT] = bad_pointers,
      [USE_BUFFER - UVDIO_OP_COUNT] = use_buffer,
      [USE_REGISTRATION - UVDIO_OP_COUNT] = use_registration,
      [RUN_TO_THE_END - UVDIO_OP_COUNT] = run_to_the_end,
      [CLOSE_ENGINE - UVDIO_OP_COUNT] = close_engine,
      [TURN - UVDIO_OP_COUNT] = turn,
      [READ_PIECES - UVDIO_OP_COUNT] = read_pieces,
      [WRITE_PIECES - UVDIO_OP_COUNT] = write_pieces,
      [WRITE_DURABLY - UVDIO_OP_COUNT] = write_durably,
      [OPEN_OTHERWISE - UVDIO_OP_COUNT] = open_otherwise,
      [USE_SPACE - UVDIO_OP_COUNT] = use_space,
      [WRITE_WHOLE - UVDIO_OP_COUNT] = write_whole,
      [PLAY_NAMES - UVDIO_OP_COUNT] = play,
      [MORE - UVDIO_OP_COUNT] = more,
  };
  if (action < UVDIO_OP_COUNT) {
    operate((uvdio_op_t)action, (enum action)action);
  } else {
    own[action - UVDIO_OP_COUNT]();
  }
}

static void step(void) {
  unsigned action = choose_action(&w.choices, weights);
  w.steps++;
  if (w.engine == NULL && w.nesting > 0) {
    return;
  }
  if (w.engine == NULL) {
    run_to_the_end();
  } else {
    act(action);
  }
  check_stats();
}

static void clean_up(void) {
  close_engine();
  finish_engine();
  for (unsigned i = 0; i < BUFFERS; i++) {
    release_buffer(&w.buffers[i]);
  }
  tracker_finish(&w.tracker);
  if (w.has_names) {
    model_names_free(&w.names);
  }
  check_promises();
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
  w.choices = choices_by_bytes(bytes, size);
  tracker_init(&w.tracker);
  for (unsigned i = 0; i < SLOTS; i++) {
    w.slots[i].top = op_then(&w.tracker, on_end, &w.slots[i]);
  }
  REQUIRE(uv_loop_init(&w.loop) == 0);
  REQUIRE(uvdio_arena_create(&w.arena, &options) == 0);
  forget_files();
  start_engine();
  while (w.choices.left > 0 && w.steps < STEPS_MAX) {
    step();
  }
  clean_up();
  return 0;
}
