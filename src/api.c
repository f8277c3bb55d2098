/* SPDX-License-Identifier: MIT */
/*
 * The operations on open files, as users call them: every argument is checked here, before anything
 * is taken.
 */
#include "buffer.h"
#include "durability.h"
#include "file.h"
#include "vector.h"

/*
 * Submission
 */

/* Accepts a prepared request. From here on nothing fails. */
static inline void accept_request(uvdio_req_t* req) {
  uvdio__engine_accept(req->engine_, req);
  req->file->pending_++;
}

static int submit_plain(uvdio_req_t* req, uvdio_cb cb) {
  int error;

  if (cb == NULL) {
    error = uvdio__order_begin_now(req);
    if (error == 0) {
      error = uvdio__file_run_now(req);
      uvdio__order_end_now(req);
    }
    return error;
  }
  req->cb_.plain = cb;
  accept_request(req);
  uvdio__order_submit(req);
  return 0;
}

static inline int check_transfer(const uvdio_file_t* file, const uvdio_buf_t* buf, uint64_t offset,
                                 size_t length) {
  if (((uintptr_t)buf->base & file->memory_mask_) != 0 ||
      ((offset | length) & file->offset_mask_) != 0) {
    return UVDIO_EALIGN;
  }
  if (offset > INT64_MAX || length > PTRDIFF_MAX || offset + length > INT64_MAX ||
      buf->len > buf->cap) {
    return UVDIO_EOFFSET;
  }
  return 0;
}

/* Whether something else stands in the way of a synchronous form. If not, uvdio__order_end_now()
 * has to follow. */
static int is_busy(const uvdio_req_t* req) {
  return uvdio__order_must_not_run_now(req) || uvdio__order_must_not_be_durable_now(req) ||
         uvdio__order_begin_now(req) != 0;
}

/* A durable write that takes a sync is two operations in a row. */
static int run_transfer_now(uvdio_req_t* req) {
  int error = req->length_ == 0 ? 0 : uvdio__file_run_now(req);

  if (error == 0 && (req->flags_ & REQ_THEN_SYNC) != 0) {
    if (uvdio__order_must_not_be_durable_now(req) || /* The system has refused RWF_DSYNC. */
        uvdio__order_begin_now(req) != 0) {
      req->result = UV_EBUSY;
      return UV_EBUSY;
    }
    uvdio__order_become_sync(req);
    req->engine_->stats.synchronous--; /* It is one operation for the user. */
    error = uvdio__file_run_now(req);
  }
  return error;
}

static UVDIO__NOINLINE int transfer_now(uvdio_req_t* req, uvdio_buf_t* buf) {
  int error;

  if (is_busy(req)) {
    return UV_EBUSY;
  }
  req->buf_ = *buf;
  error = run_transfer_now(req);
  uvdio__order_end_now(req);
  if (req->op == UVDIO_OP_READ) {
    buf->len = req->transferred;
  }
  req->buf_ = uvdio__empty_buf();
  return error;
}

/* A transfer of no bytes touches nothing and waits for nothing. */
static inline void start_transfer(uvdio_req_t* req) {
  accept_request(req);
  if (req->length_ == 0) {
    uvdio__queue_complete(req);
  } else {
    uvdio__order_submit(req);
  }
}

static inline int submit_transfer(uvdio_req_t* req, uvdio_buf_t* buf, uvdio_io_cb cb) {
  if (cb == NULL) {
    return transfer_now(req, buf);
  }
  req->buf_ = *buf;
  *buf = uvdio__empty_buf();
  req->cb_.io = cb;
  start_transfer(req);
  return 0;
}

/*
 * Reads and writes
 */

static int submit_read(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                       unsigned flags, uvdio_io_cb cb) {
  int error =
      buf == NULL || buf->base == NULL ? UV_EINVAL : uvdio__file_check(file, req, ACCESS_READ);

  if (error == 0) {
    error = check_transfer(file, buf, offset, buf->cap);
  }
  if (error != 0) {
    return error;
  }
  uvdio__prepare(req, file, UVDIO_OP_READ, offset, buf->cap);
  req->flags_ = flags;
  return submit_transfer(req, buf, cb);
}

int uvdio_read(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
               uvdio_io_cb cb) {
  return submit_read(file, req, buf, offset, 0, cb);
}

int uvdio_read_exact(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                     uvdio_io_cb cb) {
  return submit_read(file, req, buf, offset, REQ_EXACT, cb);
}

/* The aligned range around `length` bytes at `offset`. */
static uint64_t range_begin(const uvdio_file_t* file, uint64_t offset) {
  return offset & ~(uint64_t)file->offset_mask_;
}

static uint64_t range_end(const uvdio_file_t* file, uint64_t offset, uint64_t length) {
  return (offset + length + file->offset_mask_) & ~(uint64_t)file->offset_mask_;
}

/* A file ends at INT64_MAX at most, and so does the aligned range. */
static int is_range(const uvdio_file_t* file, uint64_t offset, size_t length) {
  return offset <= INT64_MAX && length <= PTRDIFF_MAX && offset + length <= INT64_MAX &&
         (length == 0 || range_end(file, offset, length) <= INT64_MAX);
}

size_t uvdio_range_size(const uvdio_file_t* file, uint64_t offset, size_t length) {
  if (file == NULL || file->magic_ != uvdio__magic_of(file) || length == 0 ||
      !is_range(file, offset, length)) {
    return 0;
  }
  return (size_t)(range_end(file, offset, length) - range_begin(file, offset));
}

static int check_range(const uvdio_file_t* file, const uvdio_buf_t* buf, uint64_t offset,
                       size_t length) {
  if (((uintptr_t)buf->base & file->memory_mask_) != 0) {
    return UVDIO_EALIGN;
  }
  if (!is_range(file, offset, length) || buf->len > buf->cap) {
    return UVDIO_EOFFSET;
  }
  return uvdio_range_size(file, offset, length) > buf->cap ? UV_ENOBUFS : 0;
}

int uvdio_read_range(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                     size_t length, uvdio_io_cb cb) {
  int error =
      buf == NULL || buf->base == NULL ? UV_EINVAL : uvdio__file_check(file, req, ACCESS_READ);
  uint64_t begin;

  if (error == 0) {
    error = check_range(file, buf, offset, length);
  }
  if (error != 0) {
    return error;
  }
  begin = range_begin(file, offset);
  uvdio__prepare(req, file, UVDIO_OP_READ, begin, uvdio_range_size(file, offset, length));
  req->flags_ = REQ_RANGE;
  req->range_skip_ = length == 0 ? 0 : (size_t)(offset - begin);
  req->args_ = (void*)(uintptr_t)length;
  return submit_transfer(req, buf, cb);
}

/* No system call moves more than UVDIO__TRANSFER_MAX. */
static int check_atomic(const uvdio_file_t* file, uint64_t offset, uint64_t length) {
  const uvdio_facts_t_* facts = &file->facts_;
  int is_power = length > 0 && (length & (length - 1)) == 0;

  return facts->atomic_max == 0 || !is_power || length < facts->atomic_min ||
                 length > facts->atomic_max || length > UVDIO__TRANSFER_MAX ||
                 (offset & (length - 1)) != 0
             ? UVDIO_EATOMIC
             : 0;
}

static inline int check_write(uvdio_file_t* file, const uvdio_req_t* req, const uvdio_buf_t* buf,
                              uint64_t offset, unsigned flags) {
  int error =
      buf == NULL || buf->base == NULL ? UV_EINVAL : uvdio__file_check(file, req, ACCESS_WRITE);

  if (error == 0) {
    error = check_transfer(file, buf, offset, buf->len);
  }
  if (error == 0 && (flags & UVDIO_WRITE_ATOMIC) != 0) {
    error = check_atomic(file, offset, buf->len);
  }
  return error == 0 ? file->latch_ : error;
}

int uvdio_write(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                uvdio_io_cb cb) {
  int error = check_write(file, req, buf, offset, 0);

  if (error != 0) {
    return error;
  }
  uvdio__prepare(req, file, UVDIO_OP_WRITE, offset, buf->len);
  req->flags_ = file->write_flags_;
  return submit_transfer(req, buf, cb);
}

#define KNOWN_WRITE_FLAGS                                                                  \
  (UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_DSYNC | UVDIO_WRITE_BY_SYNC | UVDIO_WRITE_SHARED | \
   UVDIO_WRITE_ATOMIC)

static int check_write_flags(unsigned flags) {
  unsigned method = flags & (UVDIO_WRITE_BY_DSYNC | UVDIO_WRITE_BY_SYNC);
  int is_one = method == UVDIO_WRITE_BY_DSYNC || method == UVDIO_WRITE_BY_SYNC;

  if ((flags & ~KNOWN_WRITE_FLAGS) != 0 ||
      (method != 0 && ((flags & UVDIO_WRITE_DURABLE) == 0 || !is_one))) {
    return UV_EINVAL;
  }
  return 0;
}

/* What a write is that nothing can refuse any more, beyond moving bytes. One of no bytes makes
 * nothing durable. */
static void set_write_flags(uvdio_req_t* req, unsigned flags, int is_now) {
  req->flags_ |= req->file->write_flags_;
  req->flags_ |= (flags & UVDIO_WRITE_SHARED) != 0 ? REQ_SHARED : 0;
  req->flags_ |= (flags & UVDIO_WRITE_ATOMIC) != 0 ? REQ_ATOMIC : 0;
  if ((flags & UVDIO_WRITE_DURABLE) != 0 && req->length_ > 0) {
    uvdio__durability_choose(req, flags, is_now);
  }
}

int uvdio_write_flags(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* buf, uint64_t offset,
                      unsigned flags, uvdio_io_cb cb) {
  int error = check_write_flags(flags);

  if (error == 0) {
    error = check_write(file, req, buf, offset, flags);
  }
  if (error != 0) {
    return error;
  }
  uvdio__prepare(req, file, UVDIO_OP_WRITE, offset, buf->len);
  set_write_flags(req, flags, cb == NULL);
  if ((flags & UVDIO_WRITE_SHARED) != 0) {
    uvdio_buf_t view = uvdio_buf_view(buf);
    return submit_transfer(req, &view, cb);
  }
  return submit_transfer(req, buf, cb);
}

/*
 * Several buffers
 */

/* Gives the bytes of all buffers together, or an error. Where a transfer goes on depends on the
 * lengths before it, so that each length is a multiple of the memory's alignment as well. */
static int64_t check_vector(const uvdio_file_t* file, uvdio_op_t op, const uvdio_buf_t* bufs,
                            unsigned count, uint64_t offset) {
  uint64_t length = 0;
  unsigned i;

  for (i = 0; i < count; i++) {
    size_t size = uvdio__size_of_buf(op, &bufs[i]);
    int error = check_transfer(file, &bufs[i], offset, size);
    if (error == 0 && count > 1 && (size & file->memory_mask_) != 0) {
      error = UVDIO_EALIGN;
    }
    if (error != 0) {
      return error;
    }
    length += size; /* Each is PTRDIFF_MAX at most, and so was the sum. */
    if (length > PTRDIFF_MAX || offset + length > INT64_MAX) {
      return UVDIO_EOFFSET;
    }
  }
  return (int64_t)length;
}

static int check_bufs(const uvdio_buf_t* bufs, unsigned count) {
  unsigned i;

  if (bufs == NULL || count == 0) {
    return UV_EINVAL;
  }
  if (count > UVDIO_VECTOR_MAX) {
    return UV_E2BIG;
  }
  for (i = 0; i < count; i++) {
    if (bufs[i].base == NULL) {
      return UV_EINVAL;
    }
  }
  return 0;
}

static int vector_now(uvdio_req_t* req) {
  uvdio__vector_t* vector = uvdio__vector_of(req);
  int error;

  if (is_busy(req)) {
    error = UV_EBUSY;
  } else {
    error = run_transfer_now(req);
    uvdio__order_end_now(req);
    if (req->op == UVDIO_OP_READ) {
      uvdio__vector_set_lengths(req);
    }
  }
  req->args_ = NULL;
  uvdio__vector_give_back(req->engine_, vector);
  return error;
}

/* The checks of a transfer: the bytes of all buffers together, or an error. */
static int64_t check_all(uvdio_file_t* file, const uvdio_req_t* req, uvdio_op_t op,
                         const uvdio_buf_t* bufs, unsigned count, uint64_t offset, unsigned flags) {
  int is_write = op == UVDIO_OP_WRITE;
  int64_t length = check_bufs(bufs, count);

  if (length == 0) {
    length = uvdio__file_check(file, req, is_write ? ACCESS_WRITE : ACCESS_READ);
  }
  if (length == 0) {
    length = check_vector(file, op, bufs, count, offset);
  }
  if (length >= 0 && (flags & UVDIO_WRITE_ATOMIC) != 0 &&
      (count != 1 || check_atomic(file, offset, (uint64_t)length) != 0)) {
    length = UVDIO_EATOMIC;
  }
  return length >= 0 && is_write && file->latch_ != 0 ? file->latch_ : length;
}

static int prepare_vector(uvdio_file_t* file, uvdio_req_t* req, uvdio_op_t op, uvdio_buf_t* bufs,
                          unsigned count, uint64_t offset, unsigned flags) {
  int64_t length = check_all(file, req, op, bufs, count, offset, flags);
  uvdio__vector_t* vector;

  if (length < 0) {
    return (int)length;
  }
  vector = uvdio__vector_take(file->engine_, bufs, count);
  if (vector == NULL) {
    return UV_ENOMEM;
  }
  uvdio__prepare(req, file, op, offset, (size_t)length);
  req->flags_ = REQ_VECTOR;
  req->args_ = vector;
  req->range_skip_ = 0;
  req->buf_ = uvdio__empty_buf();
  return 0;
}

static int submit_vector(uvdio_req_t* req, uvdio_vector_cb cb) {
  if (cb == NULL) {
    return vector_now(req);
  }
  if ((req->flags_ & REQ_SHARED) != 0) {
    uvdio__vector_view(uvdio__vector_of(req));
  } else {
    uvdio__vector_adopt(uvdio__vector_of(req));
  }
  req->cb_.vector = cb;
  start_transfer(req);
  return 0;
}

int uvdio_readv(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* bufs, unsigned count,
                uint64_t offset, uvdio_vector_cb cb) {
  int error = prepare_vector(file, req, UVDIO_OP_READ, bufs, count, offset, 0);
  return error != 0 ? error : submit_vector(req, cb);
}

int uvdio_readv_exact(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* bufs, unsigned count,
                      uint64_t offset, uvdio_vector_cb cb) {
  int error = prepare_vector(file, req, UVDIO_OP_READ, bufs, count, offset, 0);

  if (error != 0) {
    return error;
  }
  req->flags_ |= REQ_EXACT;
  return submit_vector(req, cb);
}

int uvdio_writev(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* bufs, unsigned count,
                 uint64_t offset, uvdio_vector_cb cb) {
  return uvdio_writev_flags(file, req, bufs, count, offset, 0, cb);
}

int uvdio_writev_flags(uvdio_file_t* file, uvdio_req_t* req, uvdio_buf_t* bufs, unsigned count,
                       uint64_t offset, unsigned flags, uvdio_vector_cb cb) {
  int error = check_write_flags(flags);

  if (error == 0) {
    error = prepare_vector(file, req, UVDIO_OP_WRITE, bufs, count, offset, flags);
  }
  if (error != 0) {
    return error;
  }
  set_write_flags(req, flags, cb == NULL);
  return submit_vector(req, cb);
}

/*
 * Other operations
 */

static int submit_sync(uvdio_file_t* file, uvdio_req_t* req, uvdio_op_t op, uvdio_cb cb) {
  int error = uvdio__file_check(file, req, ACCESS_ANY);

  if (error == 0) {
    error = uvdio__order_latch_of(file);
  }
  if (error != 0) {
    return error;
  }
  if (cb == NULL && uvdio__order_must_not_sync_now(file)) {
    return UV_EBUSY;
  }
  uvdio__prepare(req, file, op, 0, 0);
  return submit_plain(req, cb);
}

int uvdio_sync_data(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  return submit_sync(file, req, UVDIO_OP_SYNC_DATA, cb);
}

int uvdio_sync_all(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  return submit_sync(file, req, UVDIO_OP_SYNC_ALL, cb);
}

int uvdio_size(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb) {
  int error = uvdio__file_check(file, req, ACCESS_CONTENT);

  if (error != 0) {
    return error;
  }
  uvdio__prepare(req, file, UVDIO_OP_SIZE, 0, 0);
  return submit_plain(req, cb);
}

int uvdio_stat_sized(uvdio_file_t* file, uvdio_req_t* req, uvdio_stat_t* stat, size_t size,
                     uvdio_cb cb) {
  int error = stat == NULL ? UV_EINVAL : uvdio__file_check(file, req, ACCESS_ANY);

  if (error != 0) {
    return error;
  }
  uvdio__prepare(req, file, UVDIO_OP_STAT, 0, 0);
  req->args_ = stat;
  req->range_skip_ = size;
  return submit_plain(req, cb);
}

/* The checks of a change without a buffer, to a range of the file, which may have to be aligned. */
static int check_change(uvdio_file_t* file, const uvdio_req_t* req, uint64_t offset,
                        uint64_t length, int is_aligned) {
  int error = uvdio__file_check(file, req, ACCESS_WRITE);

  if (error == 0 && is_aligned && ((offset | length) & file->offset_mask_) != 0) {
    error = UVDIO_EALIGN;
  }
  if (error == 0 && (offset > INT64_MAX || length > INT64_MAX - offset)) {
    error = UVDIO_EOFFSET;
  }
  return error != 0 ? error : file->latch_;
}

/* A range of the file. `detail`: see uvdio__detail_of(). */
static void prepare_range(uvdio_req_t* req, uvdio_file_t* file, uvdio_op_t op, uint64_t offset,
                          uint64_t length, unsigned detail) {
  uvdio__prepare(req, file, op, offset, 0);
  uvdio__set_span(req, length);
  req->args_ = (void*)(uintptr_t)detail;
}

/* Accepts a prepared change without a buffer, or performs it. */
static int submit_change(uvdio_req_t* req, uvdio_cb cb) {
  if (cb == NULL && uvdio__order_must_not_run_now(req)) {
    return UV_EBUSY;
  }
  return submit_plain(req, cb);
}

int uvdio_truncate(uvdio_file_t* file, uvdio_req_t* req, uint64_t length, uvdio_cb cb) {
  int error = check_change(file, req, length, 0, 0);

  if (error != 0) {
    return error;
  }
  prepare_range(req, file, UVDIO_OP_TRUNCATE, length, 0, 0);
  req->flags_ = REQ_ALONE;
  return submit_change(req, cb);
}

/* The files of engines in memory are the library's to grow. */
static int preallocates_alone(const uvdio_file_t* file, unsigned flags) {
  return (flags & UVDIO_SPACE_WRITTEN) != 0 ||
         (UVDIO__PREALLOCATE_CUTS && file->engine_->queues[QUEUE_MAIN].backend->has_descriptors);
}

int uvdio_preallocate(uvdio_file_t* file, uvdio_req_t* req, uint64_t offset, uint64_t length,
                      unsigned flags, uvdio_cb cb) {
  int writes = (flags & UVDIO_SPACE_WRITTEN) != 0;
  int error;

  if (length == 0 || flags > UVDIO_SPACE_WRITTEN) {
    return UV_EINVAL; /* Both flags are more than the second one. */
  }
  error = check_change(file, req, offset, length, writes);
  if (error != 0) {
    return error;
  }
  prepare_range(req, file, UVDIO_OP_PREALLOCATE, offset, length, flags);
  req->flags_ = preallocates_alone(file, flags) ? REQ_ALONE : 0;
  return submit_change(req, cb);
}

static int submit_zeros(uvdio_file_t* file, uvdio_req_t* req, uvdio_op_t op, uint64_t offset,
                        uint64_t length, uvdio_cb cb) {
  int error = length == 0 ? UV_EINVAL : check_change(file, req, offset, length, 0);

  if (error != 0) {
    return error;
  }
  prepare_range(req, file, op, offset, length, 0);
  return submit_change(req, cb);
}

int uvdio_punch_hole(uvdio_file_t* file, uvdio_req_t* req, uint64_t offset, uint64_t length,
                     uvdio_cb cb) {
  return submit_zeros(file, req, UVDIO_OP_PUNCH_HOLE, offset, length, cb);
}

int uvdio_zero_range(uvdio_file_t* file, uvdio_req_t* req, uint64_t offset, uint64_t length,
                     uvdio_cb cb) {
  return submit_zeros(file, req, UVDIO_OP_ZERO_RANGE, offset, length, cb);
}

static int submit_seek(uvdio_file_t* file, uvdio_req_t* req, uvdio_op_t op, uint64_t offset,
                       uvdio_cb cb) {
  int error = uvdio__file_check(file, req, ACCESS_CONTENT);

  if (error == 0 && offset > INT64_MAX) {
    error = UVDIO_EOFFSET;
  }
  if (error != 0) {
    return error;
  }
  uvdio__prepare(req, file, op, offset, 0);
  return submit_plain(req, cb);
}

int uvdio_next_data(uvdio_file_t* file, uvdio_req_t* req, uint64_t offset, uvdio_cb cb) {
  return submit_seek(file, req, UVDIO_OP_NEXT_DATA, offset, cb);
}

int uvdio_next_hole(uvdio_file_t* file, uvdio_req_t* req, uint64_t offset, uvdio_cb cb) {
  return submit_seek(file, req, UVDIO_OP_NEXT_HOLE, offset, cb);
}

static int check_hint(uvdio_hint_t hint, uint64_t value) {
  switch (hint) {
    case UVDIO_HINT_EXTENT_SIZE:
      return value > UINT32_MAX ? UVDIO_EOFFSET : 0;
    case UVDIO_HINT_WRITE_LIFE:
      return value > UVDIO_WRITE_LIFE_EXTREME ? UV_EINVAL : 0;
  }
  return UV_EINVAL;
}

int uvdio_set_hint(uvdio_file_t* file, uvdio_req_t* req, uvdio_hint_t hint, uint64_t value,
                   uvdio_cb cb) {
  int error = uvdio__file_check(file, req, ACCESS_WRITE);

  if (error == 0) {
    error = check_hint(hint, value);
  }
  if (error != 0) {
    return error;
  }
  prepare_range(req, file, UVDIO_OP_SET_HINT, value, 0, (unsigned)hint);
  return submit_plain(req, cb);
}
