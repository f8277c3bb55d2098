/* SPDX-License-Identifier: MIT */
#include "tracker.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uvdio/class.h"

static _Thread_local int inside;

int inside_library(void) {
  return inside;
}

static _Atomic uint64_t requests; /* several loops, on threads of their own, may end at a time */

void tracker_init(struct tracker* tracker) {
  memset(tracker, 0, sizeof(*tracker));
  tracker->thread = uv_thread_self();
}

void tracker_violation(struct tracker* tracker, const char* format, ...) {
  if (tracker->violation[0] != '\0') {
    return;
  }
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(tracker->violation, sizeof(tracker->violation), format, arguments);
  va_end(arguments);
}

void tracker_verdict(const struct tracker* tracker) {
  if (tracker->violation[0] != '\0') {
    fail_msg("%s", tracker->violation);
  }
}

static uint64_t polled; /* of all engines that have been closed */

uint64_t tracker_requests(void) {
  return requests;
}

void tracker_finish(struct tracker* tracker) {
  requests += tracker->finished;
  while (tracker->ops != NULL) {
    struct tracked_op* op = tracker->ops;
    if (op->done != op->accepted) {
      tracker_violation(tracker, "%s: accepted %u times, called back %u times",
                        uvdio_op_name(op->kind), op->accepted, op->done);
    }
    op_free(op);
  }
  if (tracker->finished != tracker->accepted) {
    tracker_violation(tracker, "%u requests accepted, %u called back", tracker->accepted,
                      tracker->finished);
  }
}

static int has_classes;

void tracker_use_classes(void) {
  has_classes = 1;
}

struct tracked_op* op_new(struct tracker* tracker) {
  static unsigned next_class;
  struct tracked_op* op = calloc(1, sizeof(*op));
  if (op == NULL) {
    abort();
  }
  if (has_classes) {
    (void)uvdio_req_set_class(&op->req, next_class++ % (UVDIO_CLASS_USER + 1));
  }
  op->tracker = tracker;
  op->req.data = op;
  op->next = tracker->ops;
  if (op->next != NULL) {
    op->next->prev = op;
  }
  tracker->ops = op;
  return op;
}

struct tracked_op* op_now(struct tracker* tracker) {
  struct tracked_op* op = op_new(tracker);
  op->blocking = 1;
  return op;
}

struct tracked_op* op_then(struct tracker* tracker, tracked_op_cb then, void* data) {
  struct tracked_op* op = op_new(tracker);
  op->then = then;
  op->data = data;
  return op;
}

static void release(const struct tracked_op* op, uvdio_buf_t* buf) {
  int released = uvdio_buf_release(buf);
  if (released != 0) {
    tracker_violation(op->tracker, "%s: releasing the buffer that came back: %s",
                      uvdio_op_name(op->kind), uvdio_err_name(released));
  }
}

/* Buffers that have not come back are the library's, or (refused, or synchronous) the test's. */
static void release_bufs(struct tracked_op* op) {
  int came_back = op->done > 0 && !op->blocking && !op->is_split;
  for (unsigned i = 0; came_back && i < op->buf_count; i++) {
    release(op, &op->bufs[i]);
  }
  free(op->bufs);
}

static void release_frames(struct tracked_op* op) {
  for (unsigned i = 0; op->done == op->accepted && i < op->frame_count; i++) {
    release(op, &op->frames[i]);
  }
}

void op_free(struct tracked_op* op) {
  release(op, &op->back);
  release_frames(op);
  release_bufs(op);
  if (op->next != NULL) {
    op->next->prev = op->prev;
  }
  if (op->prev != NULL) {
    op->prev->next = op->next;
  } else {
    op->tracker->ops = op->next;
  }
  free(op);
}

uvdio_buf_t op_take(struct tracked_op* op) {
  uvdio_buf_t taken = op->back;
  memset(&op->back, 0, sizeof(op->back));
  return taken;
}

static void check_count(const struct tracked_op* op, unsigned expected, const char* what,
                        const char* file, int line) {
  if (op->done != expected) {
    print_error("%s: done %u times, not %u; the call returned %s\n", what, op->done, expected,
                uvdio_err_name(op->code));
    _fail(file, line);
  }
}

void check_result(const struct tracked_op* op, int64_t expected, const char* what, const char* file,
                  int line) {
  check_count(op, 1, what, file, line);
  check_code(op->result, expected, what, file, line);
}

void check_refused(const struct tracked_op* op, int expected, const char* what, const char* file,
                   int line) {
  check_code(op->code, expected, what, file, line);
  check_count(op, 0, what, file, line);
}

/*
 * What has to come first.
 */

static const struct tracked_op* first_before(const struct tracker* tracker,
                                             const uvdio_file_t* file, uvdio_op_t kind,
                                             unsigned number) {
  for (const struct tracked_op* op = tracker->ops; op != NULL; op = op->next) {
    if (op->accepted != op->done && op->file == file && op->number < number &&
        op_waits_for(kind, op->ordered_as)) {
      return op;
    }
  }
  return NULL;
}

/* Syncs share outcomes, so that they don't wait for each other, but there is one at a time. */
const struct tracked_op* tracker_obstacle(const struct tracker* tracker, const uvdio_file_t* file,
                                          uvdio_op_t kind) {
  const struct tracked_op* first = first_before(tracker, file, kind, UINT_MAX);
  for (const struct tracked_op* op = tracker->ops; op != NULL && first == NULL; op = op->next) {
    int both_sync = op_is(kind, UVDIO_OP_KIND_SYNC) && op_is(op->kind, UVDIO_OP_KIND_SYNC);
    first = both_sync && op->accepted != op->done && op->file == file ? op : NULL;
  }
  return first;
}

const struct tracked_op* tracker_overtaken(const struct tracked_op* op) {
  int is_empty = (op->kind == UVDIO_OP_READ && op->sent.cap == 0) ||
                 (op->kind == UVDIO_OP_WRITE && op->sent.len == 0);
  int is_done = op->result >= 0 || op->kind == UVDIO_OP_CLOSE;
  return is_done && !is_empty ? first_before(op->tracker, op->file, op->ordered_as, op->number)
                              : NULL;
}

int64_t tracker_outcome(const struct tracked_op* op) {
  return op->accepted > 0 ? op->result : op->code;
}

/*
 * After the operation: what must hold whatever it was.
 */

static int same_memory(const uvdio_buf_t* a, const uvdio_buf_t* b) {
  return a->base == b->base && a->cap == b->cap && uvdio_buf_origin(a) == uvdio_buf_origin(b);
}

static void check_outcome(struct tracked_op* op) {
  const uvdio_req_t* req = &op->req;
  struct tracker* tracker = op->tracker;
  const char* name = uvdio_op_name(op->kind);
  if (req->result != op->result) {
    tracker_violation(tracker, "%s: req->result is %lld, the callback got %lld", name,
                      (long long)req->result, (long long)op->result);
  }
  if (req->op != op->kind) {
    tracker_violation(tracker, "%s: req->op is %s", name, uvdio_op_name(req->op));
  }
  if (req->file != op->file) {
    tracker_violation(tracker, "%s: req->file is another one", name);
  }
  if (req->data != op) {
    tracker_violation(tracker, "%s: req->data was touched", name);
  }
}

/* What a read has set, or a write has left, in the buffer. */
static void check_buffer(struct tracked_op* op, const uvdio_buf_t* buf) {
  struct tracker* tracker = op->tracker;
  const char* name = uvdio_op_name(op->kind);
  size_t transferred = op->req.transferred;
  size_t len = op->kind == UVDIO_OP_READ ? transferred : op->sent.len;
  if (!same_memory(buf, &op->sent)) {
    tracker_violation(tracker, "%s: another buffer came back", name);
  }
  if (buf->len != len) {
    tracker_violation(tracker, "%s: len came back as %zu, not %zu", name, buf->len, len);
  }
  if (op->result >= 0 && (uint64_t)op->result != transferred) {
    tracker_violation(tracker, "%s: result %lld, but %zu bytes transferred", name,
                      (long long)op->result, transferred);
  }
  if (transferred > buf->cap) {
    tracker_violation(tracker, "%s: more bytes transferred than there are", name);
  }
}

/* Each buffer of several: its part of what a read has set, or what a write has left. */
static void check_bufs(struct tracked_op* op, const uvdio_buf_t* bufs, unsigned count) {
  struct tracker* tracker = op->tracker;
  const char* name = uvdio_op_name(op->kind);
  size_t left = op->req.transferred;
  size_t all = 0;
  if (count != op->buf_count) {
    tracker_violation(tracker, "%s: %u buffers came back, not %u", name, count, op->buf_count);
    return;
  }
  for (unsigned i = 0; i < count; i++) {
    size_t part = left < bufs[i].cap ? left : bufs[i].cap;
    size_t len = op->kind == UVDIO_OP_READ ? part : op->bufs[i].len;
    all += op->kind == UVDIO_OP_READ ? bufs[i].cap : bufs[i].len;
    left -= op->kind == UVDIO_OP_READ ? part : 0;
    if (!same_memory(&bufs[i], &op->bufs[i])) {
      tracker_violation(tracker, "%s: another buffer %u came back", name, i);
    }
    if (bufs[i].len != len) {
      tracker_violation(tracker, "%s: len %u came back as %zu, not %zu", name, i, bufs[i].len, len);
    }
  }
  if (op->req.transferred > all) {
    tracker_violation(tracker, "%s: more bytes transferred than there are", name);
  }
}

/* All of the frames, or none. */
static void check_frames(const struct tracked_op* op) {
  for (unsigned i = 0; i < op->frame_count; i++) {
    const uvdio_buf_t* frame = &op->frames[i];
    int is_frame = uvdio_buf_origin(frame) == UVDIO_ORIGIN_ARENA && frame->base != NULL;
    int is_empty = frame->base == NULL && frame->len == 0 && frame->cap == 0;
    if (op->result == 0 ? !is_frame : !is_empty) {
      tracker_violation(op->tracker, "%s ended with %lld, but frame %u is %s",
                        uvdio_op_name(op->kind), (long long)op->result, i,
                        is_frame ? "there" : "none");
    }
  }
}

static void finish(struct tracked_op* op, int64_t result) {
  struct tracker* tracker = op->tracker;
  uv_thread_t self = uv_thread_self();
  op->done++;
  op->order = ++tracker->finished;
  op->result = result;
  if (inside) {
    tracker_violation(tracker, "%s: called back from inside a call", uvdio_op_name(op->kind));
  }
  if (!uv_thread_equal(&self, &tracker->thread)) {
    tracker_violation(tracker, "%s: called back on another thread", uvdio_op_name(op->kind));
  }
  if (op->done > op->accepted) {
    tracker_violation(tracker, "%s: called back once too often", uvdio_op_name(op->kind));
  }
  check_outcome(op);
  if (op->kind == UVDIO_OP_ARENA_WAIT) {
    check_frames(op);
  }
}

static void on_plain(uvdio_req_t* req, int64_t result) {
  struct tracked_op* op = req->data;
  finish(op, result);
  if (op->then != NULL) {
    op->then(op);
  }
}

/* The handle that a shared write has left where it was. */
static uvdio_buf_t hand_back(struct tracked_op* op, uvdio_buf_t buf) {
  if (op->kept.base != NULL) {
    buf = op->kept;
    memset(&op->kept, 0, sizeof(op->kept));
  }
  return buf;
}

static void on_io(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct tracked_op* op = req->data;
  finish(op, result);
  check_buffer(op, &buf);
  op->back = hand_back(op, buf);
  if (op->then != NULL) {
    op->then(op);
  }
}

/* A result within a range: what has arrived of it. */
static void check_range(struct tracked_op* op, int64_t result, const uvdio_buf_t* buf) {
  uvdio_buf_t view = uvdio_range_view(&op->req, buf);
  if (result >= 0 && (uint64_t)result != view.len) {
    tracker_violation(op->tracker, "a range of %zu bytes ended with %lld", view.len,
                      (long long)result);
  }
  if (view.len > 0 && (view.base < buf->base || view.base + view.len > buf->base + buf->len)) {
    tracker_violation(op->tracker, "a range is not within what arrived");
  }
}

static void on_range(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct tracked_op* op = req->data;
  finish(op, result);
  check_range(op, result, &buf);
  op->result = result < 0 ? result : (int64_t)req->transferred;
  check_buffer(op, &buf);
  op->result = op->is_odd ? op->result : result;
  op->back = buf;
  if (op->then != NULL) {
    op->then(op);
  }
}

/* The buffer that was split comes back as one. */
static uvdio_buf_t join(const struct tracked_op* op) {
  uvdio_buf_t whole = op->sent;
  whole.len = op->kind == UVDIO_OP_READ ? op->req.transferred : whole.len;
  return whole;
}

static void on_vector(uvdio_req_t* req, ssize_t result, uvdio_buf_t* bufs, unsigned count) {
  struct tracked_op* op = req->data;
  finish(op, result);
  check_bufs(op, bufs, count);
  memcpy(op->bufs, bufs, op->buf_count * sizeof(*bufs));
  if (op->is_split) {
    op->back = join(op);
    check_buffer(op, &op->back);
    op->back = hand_back(op, op->back);
  }
  if (op->then != NULL) {
    op->then(op);
  }
}

/*
 * The submitting call: `enter` before it, then `leave` with what it returned.
 */

static void enter(void) {
  inside++;
}

static int leave(int code) {
  inside--;
  return code;
}

/* Whether a blocking call got past the checks; its own failure may come back from the call as
 * well. A request that was refused still tells of its last use, which may be of another file. */
static int was_carried_out(const struct tracked_op* op, uvdio_op_t kind, const uvdio_file_t* file,
                           int code) {
  return code == 0 || (op->blocking && op->req.op == kind && op->req.result == code &&
                       (op->req.file == file || op->req.file == NULL));
}

static void carried_out(struct tracked_op* op) {
  op->done++;
  op->result = op->req.result;
  check_outcome(op);
}

static void accept_or_refuse(struct tracked_op* op, uvdio_op_t kind, uvdio_file_t* file, int code) {
  op->code = code;
  if (code > 0) {
    tracker_violation(op->tracker, "%s: returned %d", uvdio_op_name(kind), code);
  }
  if (!was_carried_out(op, kind, file, code)) {
    return;
  }
  op->kind = kind;
  op->ordered_as = operation_ordered_as(kind, op->space_flags);
  op->file = file;
  op->accepted++;
  if (op->blocking) {
    carried_out(op);
  } else {
    op->number = ++op->tracker->accepted;
  }
}

/* As accept_or_refuse, and what became of the caller's handle. */
static void accept_or_refuse_io(struct tracked_op* op, uvdio_op_t kind, uvdio_file_t* file,
                                const uvdio_buf_t* before, const uvdio_buf_t* after, int code) {
  const char* name = uvdio_op_name(kind);
  int carried = was_carried_out(op, kind, file, code);
  if (carried) {
    op->sent = *before;
  }
  accept_or_refuse(op, kind, file, code);
  if (after == NULL) {
    return;
  }
  if (!carried && (!same_memory(before, after) || before->len != after->len)) {
    tracker_violation(op->tracker, "%s: refused, but the handle changed", name);
  }
  if (carried && op->blocking) {
    check_buffer(op, after);
  }
  if (carried && !op->blocking && (after->base != NULL || after->len != 0 || after->cap != 0)) {
    tracker_violation(op->tracker, "%s: accepted, but the handle was not emptied", name);
  }
}

/*
 * Several buffers.
 */

enum { NOT_EXACT, EXACT };

/* A transfer of several buffers; `how` is UVDIO_WRITE_* of a write, or whether a read is exact. */
static int call_vector(struct tracked_op* op, uvdio_op_t kind, unsigned how, uvdio_file_t* file,
                       uvdio_buf_t* bufs, unsigned count, uint64_t offset) {
  uvdio_vector_cb cb = op->blocking ? NULL : on_vector;
  if (kind == UVDIO_OP_READ) {
    return how == EXACT ? uvdio_readv_exact(file, &op->req, bufs, count, offset, cb)
                        : uvdio_readv(file, &op->req, bufs, count, offset, cb);
  }
  return how == 0 ? uvdio_writev(file, &op->req, bufs, count, offset, cb)
                  : uvdio_writev_flags(file, &op->req, bufs, count, offset, how, cb);
}

static uvdio_buf_t* copy_of(const uvdio_buf_t* bufs, unsigned count) {
  uvdio_buf_t* copy = bufs == NULL || count == 0 ? NULL : calloc(count, sizeof(*bufs));
  if (copy != NULL) {
    memcpy(copy, bufs, count * sizeof(*bufs));
  }
  return copy;
}

/* What became of the caller's handles. */
static void check_handles(struct tracked_op* op, uvdio_op_t kind, const uvdio_buf_t* before,
                          const uvdio_buf_t* after, unsigned count, int carried) {
  const char* name = uvdio_op_name(kind);
  for (unsigned i = 0; before != NULL && i < count; i++) {
    if (!carried && (!same_memory(&before[i], &after[i]) || before[i].len != after[i].len)) {
      tracker_violation(op->tracker, "%s: refused, but handle %u changed", name, i);
    }
    if (carried && !op->blocking &&
        (after[i].base != NULL || after[i].len != 0 || after[i].cap != 0)) {
      tracker_violation(op->tracker, "%s: accepted, but handle %u was not emptied", name, i);
    }
  }
}

/* Those of a shared write stay, and views come back. */
static void share_handles(struct tracked_op* op, uvdio_buf_t* before, const uvdio_buf_t* after,
                          unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    if (!same_memory(&before[i], &after[i]) || before[i].len != after[i].len) {
      tracker_violation(op->tracker, "a shared write changed handle %u", i);
    }
    before[i] = uvdio_buf_view(&before[i]);
  }
}

/* `whole` is the buffer that they are views of, or null. The operation may be pending: then it is
 * refused, and stays as it was. */
static struct tracked_op* submit_vector(struct tracked_op* op, uvdio_op_t kind, unsigned how,
                                        uvdio_file_t* file, uvdio_buf_t* bufs, unsigned count,
                                        uint64_t offset, const uvdio_buf_t* whole) {
  uvdio_buf_t* before = copy_of(bufs, count);
  enter();
  int code = leave(call_vector(op, kind, how, file, bufs, count, offset));
  int carried = was_carried_out(op, kind, file, code);
  accept_or_refuse(op, kind, file, code);
  int is_shared = carried && !op->blocking && kind == UVDIO_OP_WRITE && (how & UVDIO_WRITE_SHARED);
  if (is_shared) {
    share_handles(op, before, bufs, count);
  } else {
    check_handles(op, kind, before, bufs, count, carried);
  }
  if (!carried) {
    free(before);
    return op;
  }
  free(op->bufs);
  op->bufs = before;
  op->buf_count = count;
  op->is_split = whole != NULL;
  op->sent = whole != NULL ? *whole : op->sent;
  if (op->blocking) {
    check_bufs(op, bufs, count);
  }
  return op;
}

#define PIECES_MOST 8u

/* The buffer's bytes in views of whole units, of which some may have none. */
static void split(const uvdio_buf_t* buf, size_t size, const struct operation* operation,
                  uvdio_buf_t* views) {
  size_t units = size / operation->unit;
  size_t at = 0;
  for (unsigned i = 0; i < operation->pieces; i++) {
    size_t end = units * (i + 1) / operation->pieces * operation->unit;
    views[i] = uvdio_buf_view_bytes(buf->base + at, end - at);
    at = end;
  }
}

/* A transfer in several pieces, of which the caller sees one. */
static struct tracked_op* submit_split(struct tracked_op* op, const struct operation* operation,
                                       const struct target* target) {
  uvdio_buf_t views[PIECES_MOST];
  int is_read = operation->op == UVDIO_OP_READ;
  unsigned how = is_read ? (operation->exact ? EXACT : NOT_EXACT) : operation->how;
  unsigned accepted = op->accepted;
  split(target->buf, is_read ? target->buf->cap : target->buf->len, operation, views);
  submit_vector(op, operation->op, how, target->file, views, operation->pieces, operation->offset,
                target->buf);
  if (op->accepted > accepted && op->blocking) {
    *target->buf = join(op);
  } else if (op->accepted > accepted && !is_read && (how & UVDIO_WRITE_SHARED) != 0) {
    op->sent = uvdio_buf_view(target->buf);
  } else if (op->accepted > accepted) {
    memset(target->buf, 0, sizeof(*target->buf));
  }
  return op;
}

/* Whether the buffer can be split: what is wrong with it is a matter of one buffer. */
static int can_split(const uvdio_buf_t* buf, const struct operation* operation) {
  size_t size = operation->op == UVDIO_OP_READ ? buf->cap : buf->len;
  return operation->pieces > 1 && buf->base != NULL && size > 0 && size <= PTRDIFF_MAX &&
         size % operation->unit == 0 && buf->len <= buf->cap;
}

struct tracked_op* t_readv(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* bufs,
                           unsigned count, uint64_t offset) {
  return submit_vector(op, UVDIO_OP_READ, NOT_EXACT, file, bufs, count, offset, NULL);
}

struct tracked_op* t_readv_exact(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* bufs,
                                 unsigned count, uint64_t offset) {
  return submit_vector(op, UVDIO_OP_READ, EXACT, file, bufs, count, offset, NULL);
}

struct tracked_op* t_writev(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* bufs,
                            unsigned count, uint64_t offset) {
  return submit_vector(op, UVDIO_OP_WRITE, 0, file, bufs, count, offset, NULL);
}

struct tracked_op* t_writev_flags(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* bufs,
                                  unsigned count, uint64_t offset, unsigned flags) {
  return submit_vector(op, UVDIO_OP_WRITE, flags, file, bufs, count, offset, NULL);
}

/*
 * Operations.
 */

static unsigned split_all;

void tracker_split(unsigned pieces) {
  split_all = pieces < PIECES_MOST ? pieces : PIECES_MOST;
}

/* As --pieces wants it, where the file can be asked for its alignment. */
static struct operation in_pieces(uvdio_op_t kind, const uvdio_file_t* file, uint64_t offset) {
  struct operation operation = {.op = kind, .offset = offset};
  uvdio_file_info_t info;
  if (split_all > 1 && uvdio_file_info(file, &info) == 0) {
    operation.pieces = split_all;
    operation.unit = info.offset_align > info.memory_align ? info.offset_align : info.memory_align;
  }
  return operation;
}

typedef int (*io_function)(uvdio_file_t*, uvdio_req_t*, uvdio_buf_t*, uint64_t, uvdio_io_cb);

static struct tracked_op* submit_io(struct tracked_op* op, uvdio_op_t kind, io_function function,
                                    uvdio_file_t* file, uvdio_buf_t* buf, uint64_t offset) {
  uvdio_buf_t before = {0};
  struct operation operation = in_pieces(kind, file, offset);
  if (buf != NULL && can_split(buf, &operation)) {
    struct target target = {.file = file, .buf = buf};
    operation.exact = function == uvdio_read_exact;
    return submit_split(op, &operation, &target);
  }
  if (buf != NULL) {
    before = *buf;
  }
  enter();
  int code = leave(function(file, &op->req, buf, offset, op->blocking ? NULL : on_io));
  accept_or_refuse_io(op, kind, file, &before, buf, code);
  return op;
}

struct tracked_op* t_read(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                          uint64_t offset) {
  return submit_io(op, UVDIO_OP_READ, uvdio_read, file, buf, offset);
}

struct tracked_op* t_read_range(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                                uint64_t offset, size_t length) {
  uvdio_buf_t before = {0};
  if (buf != NULL) {
    before = *buf;
  }
  op->is_odd = 0;
  enter();
  int code =
      leave(uvdio_read_range(file, &op->req, buf, offset, length, op->blocking ? NULL : on_range));
  if (op->blocking && code == 0) {
    check_range(op, op->req.result, buf);
  }
  accept_or_refuse_io(op, UVDIO_OP_READ, file, &before, op->blocking && code == 0 ? NULL : buf,
                      code);
  return op;
}

/* The generator's: all bytes of the buffer count, although not all were asked for. */
static struct tracked_op* read_odd(struct tracked_op* op, const struct operation* operation,
                                   const struct target* target) {
  size_t cap = target->buf->cap;
  uvdio_buf_t before = *target->buf;
  enter();
  int code = leave(uvdio_read_range(target->file, &op->req, target->buf,
                                    operation->offset + operation->skip, cap - 2 * operation->skip,
                                    on_range));
  op->is_odd = code == 0 ? 1 : op->is_odd;
  accept_or_refuse_io(op, UVDIO_OP_READ, target->file, &before, target->buf, code);
  return op;
}

struct tracked_op* t_read_exact(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                                uint64_t offset) {
  return submit_io(op, UVDIO_OP_READ, uvdio_read_exact, file, buf, offset);
}

struct tracked_op* t_write(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                           uint64_t offset) {
  return submit_io(op, UVDIO_OP_WRITE, uvdio_write, file, buf, offset);
}

/* The handle of a shared write stays as it is, and a view comes back. */
static void check_shared(struct tracked_op* op, const uvdio_buf_t* before,
                         const uvdio_buf_t* after) {
  if (!same_memory(before, after) || before->len != after->len) {
    tracker_violation(op->tracker, "a shared write changed the handle");
  }
  op->sent = uvdio_buf_view(before);
}

struct tracked_op* t_write_flags(struct tracked_op* op, uvdio_file_t* file, uvdio_buf_t* buf,
                                 uint64_t offset, unsigned flags) {
  struct operation operation = in_pieces(UVDIO_OP_WRITE, file, offset);
  uvdio_buf_t before = {0};
  unsigned accepted = op->accepted;
  operation.how = flags;
  if (buf != NULL && can_split(buf, &operation)) {
    struct target target = {.file = file, .buf = buf};
    return submit_split(op, &operation, &target);
  }
  if (buf != NULL) {
    before = *buf;
  }
  enter();
  int code =
      leave(uvdio_write_flags(file, &op->req, buf, offset, flags, op->blocking ? NULL : on_io));
  int is_shared = (flags & UVDIO_WRITE_SHARED) != 0 && code == 0 && !op->blocking;
  accept_or_refuse_io(op, UVDIO_OP_WRITE, file, &before, is_shared ? NULL : buf, code);
  if (is_shared && op->accepted > accepted) {
    check_shared(op, &before, buf);
  }
  return op;
}

static uvdio_cb plain_cb(const struct tracked_op* op) {
  return op->blocking ? NULL : on_plain;
}

static unsigned more_flags;

void tracker_open_with(unsigned flags) {
  more_flags = flags;
}

/* A directory takes no flags but its own. */
static unsigned with_more(unsigned flags) {
  return (flags & UVDIO_O_DIRECTORY) != 0 ? flags : flags | more_flags;
}

unsigned tracker_opens_with(void) {
  return more_flags;
}

struct tracked_op* t_open(struct tracked_op* op, uvdio_engine_t* engine, uvdio_file_t* file,
                          const char* path, unsigned flags) {
  enter();
  int code = leave(uvdio_open(engine, file, &op->req, path, with_more(flags), 0644, plain_cb(op)));
  accept_or_refuse(op, UVDIO_OP_OPEN, file, code);
  return op;
}

typedef int (*plain_function)(uvdio_file_t*, uvdio_req_t*, uvdio_cb);

static struct tracked_op* submit_plain(struct tracked_op* op, uvdio_op_t kind,
                                       plain_function function, uvdio_file_t* file) {
  enter();
  int code = leave(function(file, &op->req, plain_cb(op)));
  accept_or_refuse(op, kind, file, code);
  return op;
}

struct tracked_op* t_sync_data(struct tracked_op* op, uvdio_file_t* file) {
  return submit_plain(op, UVDIO_OP_SYNC_DATA, uvdio_sync_data, file);
}

struct tracked_op* t_sync_all(struct tracked_op* op, uvdio_file_t* file) {
  return submit_plain(op, UVDIO_OP_SYNC_ALL, uvdio_sync_all, file);
}

struct tracked_op* t_size(struct tracked_op* op, uvdio_file_t* file) {
  return submit_plain(op, UVDIO_OP_SIZE, uvdio_size, file);
}

/* What of the structure nobody has written is seen. */
struct tracked_op* t_stat(struct tracked_op* op, uvdio_file_t* file) {
  memset(&op->stat, 0xee, sizeof(op->stat));
  enter();
  int code = leave(uvdio_stat(file, &op->req, &op->stat, plain_cb(op)));
  accept_or_refuse(op, UVDIO_OP_STAT, file, code);
  return op;
}

struct tracked_op* t_close(struct tracked_op* op, uvdio_file_t* file) {
  return submit_plain(op, UVDIO_OP_CLOSE, uvdio_close, file);
}

struct tracked_op* t_adopt(struct tracked_op* op, uvdio_engine_t* engine, uvdio_file_t* file,
                           int descriptor, unsigned flags) {
  enter();
  int code = leave(
      uvdio_adopt(engine, file, &op->req, (uv_os_fd_t)(intptr_t)descriptor, flags, plain_cb(op)));
  accept_or_refuse(op, UVDIO_OP_OPEN, file, code);
  return op;
}

struct tracked_op* t_release(struct tracked_op* op, uvdio_file_t* file) {
  return submit_plain(op, UVDIO_OP_CLOSE, uvdio_release, file);
}

typedef int (*length_function)(uvdio_file_t*, uvdio_req_t*, uint64_t, uvdio_cb);

static struct tracked_op* submit_length(struct tracked_op* op, uvdio_op_t kind,
                                        length_function function, uvdio_file_t* file,
                                        uint64_t length) {
  enter();
  int code = leave(function(file, &op->req, length, plain_cb(op)));
  accept_or_refuse(op, kind, file, code);
  return op;
}

struct tracked_op* t_truncate(struct tracked_op* op, uvdio_file_t* file, uint64_t length) {
  return submit_length(op, UVDIO_OP_TRUNCATE, uvdio_truncate, file, length);
}

struct tracked_op* t_preallocate(struct tracked_op* op, uvdio_file_t* file, uint64_t length) {
  return t_preallocate_range(op, file, 0, length, 0);
}

struct tracked_op* t_preallocate_range(struct tracked_op* op, uvdio_file_t* file, uint64_t offset,
                                       uint64_t length, unsigned flags) {
  enter();
  int code = leave(uvdio_preallocate(file, &op->req, offset, length, flags, plain_cb(op)));
  op->space_flags = flags;
  accept_or_refuse(op, UVDIO_OP_PREALLOCATE, file, code);
  return op;
}

typedef int (*range_function)(uvdio_file_t*, uvdio_req_t*, uint64_t, uint64_t, uvdio_cb);

static struct tracked_op* submit_range(struct tracked_op* op, uvdio_op_t kind,
                                       range_function function, uvdio_file_t* file, uint64_t offset,
                                       uint64_t length) {
  enter();
  int code = leave(function(file, &op->req, offset, length, plain_cb(op)));
  accept_or_refuse(op, kind, file, code);
  return op;
}

struct tracked_op* t_punch_hole(struct tracked_op* op, uvdio_file_t* file, uint64_t offset,
                                uint64_t length) {
  return submit_range(op, UVDIO_OP_PUNCH_HOLE, uvdio_punch_hole, file, offset, length);
}

struct tracked_op* t_zero_range(struct tracked_op* op, uvdio_file_t* file, uint64_t offset,
                                uint64_t length) {
  return submit_range(op, UVDIO_OP_ZERO_RANGE, uvdio_zero_range, file, offset, length);
}

struct tracked_op* t_next_data(struct tracked_op* op, uvdio_file_t* file, uint64_t offset) {
  return submit_length(op, UVDIO_OP_NEXT_DATA, uvdio_next_data, file, offset);
}

struct tracked_op* t_next_hole(struct tracked_op* op, uvdio_file_t* file, uint64_t offset) {
  return submit_length(op, UVDIO_OP_NEXT_HOLE, uvdio_next_hole, file, offset);
}

struct tracked_op* t_set_hint(struct tracked_op* op, uvdio_file_t* file, uvdio_hint_t hint,
                              uint64_t value) {
  enter();
  int code = leave(uvdio_set_hint(file, &op->req, hint, value, plain_cb(op)));
  accept_or_refuse(op, UVDIO_OP_SET_HINT, file, code);
  return op;
}

/* To a harness it is a write like any other: the handle is gone, and comes back. */
static struct tracked_op* submit_shared(struct tracked_op* op, const struct operation* operation,
                                        const struct target* target) {
  uvdio_buf_t before = *target->buf;
  unsigned accepted = op->accepted;
  if (can_split(target->buf, operation)) {
    submit_split(op, operation, target);
  } else {
    enter();
    int code = leave(operation_submit(operation, target, &op->req, on_plain, on_io));
    accept_or_refuse_io(op, UVDIO_OP_WRITE, target->file, &before, code == 0 ? NULL : target->buf,
                        code);
  }
  if (op->accepted > accepted) {
    check_shared(op, &before, target->buf);
    op->kept = before;
    memset(target->buf, 0, sizeof(*target->buf));
  }
  return op;
}

/* Whether the bytes around the range are read as well: a buffered file reads those alone that are
 * asked for. */
static int is_read_whole(const struct operation* operation, const struct target* target) {
  size_t cap = target->buf->cap;
  return (operation->offset | cap) % operation->unit == 0 && cap > 2 * operation->skip &&
         uvdio_range_size(target->file, operation->offset + operation->skip,
                          cap - 2 * operation->skip) == cap;
}

struct tracked_op* t_operation(struct tracked_op* op, const struct operation* operation,
                               const struct target* target) {
  uvdio_buf_t before = {0};
  int moves = op_is(operation->op, UVDIO_OP_KIND_TRANSFER);
  if (moves) {
    before = *target->buf;
  }
  op->blocking = operation->now;
  op->space_flags = operation->flags;
  if (!operation->now && (operation->how & UVDIO_WRITE_SHARED) != 0) {
    return submit_shared(op, operation, target);
  }
  if (moves && can_split(target->buf, operation)) {
    return submit_split(op, operation, target);
  }
  if (operation->skip > 0 && !operation->now && !operation->exact && target->buf->base != NULL &&
      is_read_whole(operation, target)) {
    return read_odd(op, operation, target);
  }
  if (operation->op == UVDIO_OP_ARENA_WAIT) {
    return t_arena_wait(op, target->engine, target->arena, (unsigned)operation->length);
  }
  struct target whole = *target;
  whole.stat = target->stat != NULL ? target->stat : &op->stat;
  enter();
  int code = leave(operation_submit(operation, &whole, &op->req, on_plain, on_io));
  if (moves) {
    accept_or_refuse_io(op, operation->op, target->file, &before, target->buf, code);
  } else {
    accept_or_refuse(op, operation->op,
                     op_is(operation->op, UVDIO_OP_KIND_NAME) ? NULL : target->file, code);
  }
  return op;
}

/* What the array holds before shows where it is not overwritten, or where a refusal touches it. */
static void fill_handles(uvdio_buf_t* frames, unsigned count) {
  memset(frames, 0xee, count * sizeof(*frames));
}

static int are_filled(const uvdio_buf_t* frames, unsigned count) {
  const unsigned char* bytes = (const unsigned char*)frames;
  size_t i = 0;
  while (i < count * sizeof(*frames) && bytes[i] == 0xee) {
    i++;
  }
  return i == count * sizeof(*frames);
}

struct tracked_op* t_arena_wait(struct tracked_op* op, uvdio_engine_t* engine, uvdio_arena_t* arena,
                                unsigned count) {
  unsigned used = count < TRACKED_FRAMES ? count : TRACKED_FRAMES;
  int was_pending = op->accepted != op->done;
  uvdio_buf_t others[TRACKED_FRAMES];
  uvdio_buf_t* frames = was_pending ? others : op->frames;
  fill_handles(frames, used);
  enter();
  int code = leave(uvdio_arena_wait(engine, &op->req, arena, frames, count, plain_cb(op)));
  int carried = was_carried_out(op, UVDIO_OP_ARENA_WAIT, NULL, code);
  if (!carried && !are_filled(frames, used)) {
    tracker_violation(op->tracker, "arena_wait: refused, but a handle was touched");
  }
  op->frame_count = carried ? used : op->frame_count;
  if (!carried && !was_pending) {
    memset(op->frames, 0, sizeof(op->frames));
  }
  accept_or_refuse(op, UVDIO_OP_ARENA_WAIT, NULL, code);
  if (carried && op->blocking) {
    check_frames(op);
  }
  return op;
}

static struct tracked_op* submit_on_names(struct tracked_op* op, uvdio_op_t kind,
                                          const struct target* target) {
  struct operation operation = {.op = kind, .now = op->blocking};
  return t_operation(op, &operation, target);
}

struct tracked_op* t_rename(struct tracked_op* op, uvdio_engine_t* engine, const char* path,
                            const char* new_path, unsigned flags) {
  struct target target = {.engine = engine, .path = path, .new_path = new_path, .flags = flags};
  return submit_on_names(op, UVDIO_OP_RENAME, &target);
}

struct tracked_op* t_link(struct tracked_op* op, uvdio_engine_t* engine, const char* path,
                          const char* new_path) {
  struct target target = {.engine = engine, .path = path, .new_path = new_path};
  return submit_on_names(op, UVDIO_OP_LINK, &target);
}

struct tracked_op* t_unlink(struct tracked_op* op, uvdio_engine_t* engine, const char* path) {
  struct target target = {.engine = engine, .path = path};
  return submit_on_names(op, UVDIO_OP_UNLINK, &target);
}

struct tracked_op* t_mkdir(struct tracked_op* op, uvdio_engine_t* engine, const char* path) {
  struct target target = {.engine = engine, .path = path};
  return submit_on_names(op, UVDIO_OP_MKDIR, &target);
}

struct tracked_op* t_rmdir(struct tracked_op* op, uvdio_engine_t* engine, const char* path) {
  struct target target = {.engine = engine, .path = path};
  return submit_on_names(op, UVDIO_OP_RMDIR, &target);
}

struct tracked_op* t_sync_directory(struct tracked_op* op, uvdio_engine_t* engine,
                                    const char* path) {
  struct target target = {.engine = engine, .path = path};
  return submit_on_names(op, UVDIO_OP_SYNC_DIRECTORY, &target);
}

struct tracked_op* t_replace(struct tracked_op* op, uvdio_file_t* file, const char* path) {
  struct operation operation = {.op = UVDIO_OP_REPLACE, .now = op->blocking};
  struct target target = {.file = file, .path = path};
  return t_operation(op, &operation, &target);
}

struct tracked_op* t_open_at(struct tracked_op* op, uvdio_file_t* base, uvdio_file_t* file,
                             const char* path, unsigned flags) {
  enter();
  int code = leave(uvdio_open_at(base, file, &op->req, path, flags, 0644, plain_cb(op)));
  accept_or_refuse(op, UVDIO_OP_OPEN, file, code);
  return op;
}

struct tracked_op* t_replace_at(struct tracked_op* op, uvdio_file_t* file, uvdio_file_t* base,
                                const char* path) {
  struct operation operation = {.op = UVDIO_OP_REPLACE, .now = op->blocking};
  struct target target = {.file = file, .path = path, .base = base};
  return t_operation(op, &operation, &target);
}

struct tracked_op* t_link_file(struct tracked_op* op, uvdio_file_t* file, uvdio_file_t* base,
                               const char* path) {
  struct target target = {.linked = file, .new_base = base, .new_path = path};
  return submit_on_names(op, UVDIO_OP_LINK, &target);
}

struct tracked_op* t_at(struct tracked_op* op, uvdio_op_t kind, const struct target* target) {
  return submit_on_names(op, kind, target);
}

static void forget_name(struct tracked_op* op) {
  if (op->result > 0) {
    tracker_violation(op->tracker, "%s ended with a positive number", uvdio_op_name(op->kind));
  }
  op_free(op);
}

void play_names(struct tracker* tracker, uvdio_engine_t* engine, const char* prefix,
                struct choices* choices) {
  static const uvdio_op_t ops[] = {UVDIO_OP_RENAME, UVDIO_OP_LINK,  UVDIO_OP_UNLINK,
                                   UVDIO_OP_MKDIR,  UVDIO_OP_RMDIR, UVDIO_OP_SYNC_DIRECTORY};
  char path[512];
  char new_path[512];
  uvdio_op_t kind = ops[choose(choices, sizeof(ops) / sizeof(ops[0]))];
  struct target target = {.engine = engine, .path = path, .new_path = new_path};
  struct tracked_op* op = op_then(tracker, forget_name, NULL);
  snprintf(path, sizeof(path), "%s-name-%u", prefix, (unsigned)choose(choices, 4));
  snprintf(new_path, sizeof(new_path), "%s-name-%u", prefix, (unsigned)choose(choices, 4));
  target.flags = (unsigned)choose(choices, 2);
  if (submit_on_names(op, kind, &target)->code != 0) {
    op_free(op);
  }
  memset(path, 'x', sizeof(path)); /* They were copied. */
  memset(new_path, 'x', sizeof(new_path));
}

int t_cancel(struct tracked_op* op) {
  enter();
  return leave(uvdio_cancel(&op->req));
}

uint64_t tracker_polled(void) {
  return polled;
}

int t_engine_close(uvdio_engine_t* engine, uvdio_engine_cb cb) {
  uvdio_engine_stats_t stats;
  if (uvdio_engine_stats(engine, &stats) == 0) {
    polled += stats.polled;
  }
  enter();
  return leave(uvdio_engine_close(engine, cb));
}
