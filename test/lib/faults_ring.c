/* SPDX-License-Identifier: MIT */
#include "faults_inside.h"

#ifdef FAULTS_RING

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* Since Linux 6.10; liburing 2.3 does not name it. */
#define NOP_INJECT_RESULT 1u

/* Since Linux 6.9 and 6.15. */
#define OP_FTRUNCATE 55
#define OP_READV_FIXED 60
#define OP_WRITEV_FIXED 61

int __real_io_uring_submit(struct io_uring* ring);
int __wrap_io_uring_submit(struct io_uring* ring);
int __real_io_uring_get_events(struct io_uring* ring);
int __wrap_io_uring_get_events(struct io_uring* ring);
int __real_io_uring_submit_and_wait(struct io_uring* ring, unsigned wait_for);
int __wrap_io_uring_submit_and_wait(struct io_uring* ring, unsigned wait_for);
int __real_io_uring_queue_init_params(unsigned entries, struct io_uring* ring,
                                      struct io_uring_params* params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring* ring,
                                      struct io_uring_params* params);
int __real_io_uring_queue_init(unsigned entries, struct io_uring* ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring* ring, unsigned flags);
int __real_io_uring_register_eventfd(struct io_uring* ring, int fd);
int __wrap_io_uring_register_eventfd(struct io_uring* ring, int fd);
int __real_io_uring_register_ring_fd(struct io_uring* ring);
int __wrap_io_uring_register_ring_fd(struct io_uring* ring);
struct io_uring_probe* __real_io_uring_get_probe_ring(struct io_uring* ring);
struct io_uring_probe* __wrap_io_uring_get_probe_ring(struct io_uring* ring);
int __real_close(int fd);

static enum fault_call call_of(const struct io_uring_sqe* sqe) {
  switch (sqe->opcode) {
    case IORING_OP_OPENAT:
      return CALL_OPEN;
    case IORING_OP_STATX:
      return CALL_STATX;
    case IORING_OP_READ:
    case IORING_OP_READ_FIXED:
    case IORING_OP_READV:
    case OP_READV_FIXED:
      return CALL_PREAD;
    case IORING_OP_WRITE:
    case IORING_OP_WRITE_FIXED:
    case IORING_OP_WRITEV:
    case OP_WRITEV_FIXED:
      return CALL_PWRITE;
    case IORING_OP_FSYNC:
      return (sqe->fsync_flags & IORING_FSYNC_DATASYNC) != 0 ? CALL_FDATASYNC : CALL_FSYNC;
    case OP_FTRUNCATE:
      return CALL_FTRUNCATE;
    case IORING_OP_FALLOCATE:
      return CALL_FALLOCATE;
    case IORING_OP_RENAMEAT:
      return CALL_RENAME;
    case IORING_OP_LINKAT:
      return CALL_LINK;
    case IORING_OP_UNLINKAT:
      return sqe->unlink_flags != 0 ? CALL_RMDIR : CALL_UNLINK;
    case IORING_OP_MKDIRAT:
      return CALL_MKDIR;
    case IORING_OP_CLOSE:
      return CALL_CLOSE;
    case IORING_OP_ASYNC_CANCEL:
      return CALL_ENTRY_CANCEL;
    default:
      return CALLS;
  }
}

static void make_nop(struct io_uring_sqe* sqe, int result) {
  uint64_t data = sqe->user_data;
  memset(sqe, 0, sizeof(*sqe));
  sqe->opcode = IORING_OP_NOP;
  sqe->rw_flags = NOP_INJECT_RESULT;
  sqe->len = (unsigned)result;
  sqe->user_data = data;
}

static int is_vector(const struct io_uring_sqe* sqe) {
  return sqe->opcode == IORING_OP_READV || sqe->opcode == IORING_OP_WRITEV ||
         sqe->opcode == OP_READV_FIXED || sqe->opcode == OP_WRITEV_FIXED;
}

/* The library's own list, which it makes anew for each entry. */
static struct iovec* pieces_of(const struct io_uring_sqe* sqe) {
  return (struct iovec*)(uintptr_t)sqe->addr;
}

static void shorten(struct io_uring_sqe* sqe, size_t bytes) {
  unsigned count = 0;
  if (!is_vector(sqe)) {
    sqe->len = bytes < sqe->len ? (unsigned)bytes : sqe->len;
    return;
  }
  while (count < sqe->len && bytes > 0) {
    struct iovec* piece = &pieces_of(sqe)[count++];
    piece->iov_len = piece->iov_len < bytes ? piece->iov_len : bytes;
    bytes -= piece->iov_len;
  }
  sqe->len = count;
}

static void block(struct io_uring_sqe* sqe, int pipe_end) {
  if (is_vector(sqe)) {
    const struct iovec* first = pieces_of(sqe);
    sqe->addr = (uintptr_t)first->iov_base;
    sqe->len = (unsigned)first->iov_len;
  }
  sqe->opcode = IORING_OP_READ;
  sqe->flags = 0;
  sqe->fd = pipe_end;
  sqe->off = (uint64_t)-1;
  sqe->buf_index = 0;
}

/*
 * Rubbish
 *
 * Whatever place of the queue is free is full of it, so that an entry of which a part is not
 * written is none.
 */

static int has_flags_of_its_own(unsigned opcode) {
  return opcode == IORING_OP_FSYNC || opcode == IORING_OP_OPENAT || opcode == IORING_OP_STATX ||
         opcode == IORING_OP_RENAMEAT || opcode == IORING_OP_UNLINKAT;
}

static int is_write(unsigned opcode) {
  return opcode == IORING_OP_WRITE || opcode == IORING_OP_WRITE_FIXED ||
         opcode == IORING_OP_WRITEV || opcode == OP_WRITEV_FIXED;
}

static int is_fixed(unsigned opcode) {
  return opcode == IORING_OP_READ_FIXED || opcode == IORING_OP_WRITE_FIXED ||
         opcode == OP_READV_FIXED || opcode == OP_WRITEV_FIXED;
}

static int is_transfer(unsigned opcode) {
  return opcode == IORING_OP_READ || opcode == IORING_OP_READV || is_write(opcode) ||
         is_fixed(opcode);
}

/* A transfer of a file that was opened with UVDIO_O_DONTCACHE (RWF_DONTCACHE). */
static int drops_cache(const struct io_uring_sqe* sqe) {
  return (sqe->rw_flags & ~RWF_DSYNC) == 0x80 && (sqe->flags & IOSQE_FIXED_FILE) == 0 &&
         is_transfer(sqe->opcode);
}

/* Whether all is zero that the kernel may not look at today. */
/* Transfers alone have a priority. Its class is in the upper three bits (ioprio_set(2)). */
static int has_good_priority(const struct io_uring_sqe* sqe) {
  return sqe->ioprio == 0 || (is_transfer(sqe->opcode) && sqe->ioprio >> 13 <= 3);
}

static int is_whole(const struct io_uring_sqe* sqe) {
  return (sqe->flags & ~(IOSQE_FIXED_FILE | IOSQE_ASYNC)) == 0 && has_good_priority(sqe) &&
         (sqe->rw_flags == 0 || has_flags_of_its_own(sqe->opcode) || drops_cache(sqe) ||
          (is_write(sqe->opcode) && (sqe->rw_flags & ~(RWF_DSYNC | RWF_ATOMIC)) == 0)) &&
         (sqe->buf_index == 0 || is_fixed(sqe->opcode)) && sqe->personality == 0 &&
         sqe->file_index == 0 && sqe->addr3 == 0 && sqe->__pad2[0] == 0;
}

static void inspect_new(const struct io_uring_sq* sq) {
  for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++) {
    const struct io_uring_sqe* sqe = &sq->sqes[i & *sq->kring_mask];
    if (!is_whole(sqe)) {
      (void)fprintf(stderr,
                    "an entry of operation %u keeps what was in its place before, or has a field "
                    "of which is_whole() does not know\n",
                    sqe->opcode);
      abort();
    }
    if (sqe->opcode == IORING_OP_OPENAT && (sqe->open_flags & O_CLOEXEC) == 0) {
      fputs("an entry opens a descriptor that a program gets that is started\n", stderr);
      abort();
    }
    if (sqe->opcode == IORING_OP_OPENAT && (sqe->open_flags & O_NOCTTY) == 0) {
      fputs("an entry opens what may become the program's terminal\n", stderr);
      abort();
    }
  }
}

static void soil(struct io_uring_sq* sq, unsigned from, unsigned to) {
  for (unsigned i = from; i != to; i++) {
    memset(&sq->sqes[i & *sq->kring_mask], 0xff, sizeof(sq->sqes[0]));
  }
}

static int soil_all(struct io_uring* ring, int result) {
  if (result == 0) {
    soil(&ring->sq, 0, *ring->sq.kring_entries);
  }
  return result;
}

/* What the kernel has taken, it has copied. */
static int submit_and_soil(struct io_uring* ring) {
  unsigned head = *ring->sq.khead;
  int result = __real_io_uring_submit(ring);
  soil(&ring->sq, head, io_uring_smp_load_acquire(ring->sq.khead));
  return result;
}

/* A close that fails has closed all the same. */
static void visit(struct io_uring_sqe* sqe) {
  enum fault_call call = call_of(sqe);
  if (call == CALLS) {
    return;
  }
  struct plan plan = fault_plan(call, (sqe->flags & IOSQE_ASYNC) == 0);
  int pipe_end = call == CALL_PREAD ? fault_blocking_pipe() : -1;
  if (pipe_end != -1) {
    block(sqe, pipe_end);
    return;
  }
  if (plan.error != 0 && call == CALL_CLOSE) {
    (void)__real_close(sqe->fd);
  }
  if (plan.error != 0 || plan.bytes == 0) {
    make_nop(sqe, -plan.error);
  } else if (sqe->opcode == IORING_OP_FSYNC) {
    sqe->flags |= fault_takes_drain() ? IOSQE_IO_DRAIN : 0;
  } else {
    shorten(sqe, plan.bytes);
  }
}

static void visit_new(struct io_uring_sq* sq) {
  inspect_new(sq);
  for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++) {
    struct io_uring_sqe* sqe = &sq->sqes[i & *sq->kring_mask];
    if (is_write(sqe->opcode) && (sqe->rw_flags & RWF_DSYNC) != 0) {
      fault_count_durable_write();
    }
    if (sqe->ioprio != 0) {
      fault_count_prioritised(sqe->ioprio);
    }
    visit(sqe);
    if (is_write(sqe->opcode) && (sqe->rw_flags & RWF_ATOMIC) != 0) {
      fault_count_atomic_write();
    }
  }
}

/* Entries that liburing has not shown to the kernel yet: each is visited once. The others, where
 * the kernel is to take no more than `most`, are hidden until the next time. */
static int submit_visited(struct io_uring* ring, size_t most) {
  struct io_uring_sq* sq = &ring->sq;
  unsigned tail = sq->sqe_tail;
  if (tail - sq->sqe_head > most) {
    sq->sqe_tail = sq->sqe_head + (unsigned)most;
  }
  visit_new(sq);
  int result = submit_and_soil(ring);
  sq->sqe_tail = tail;
  return result;
}

/* As liburing does it: entries are shown to the kernel, which has not taken them then. */
static int submit_refused(struct io_uring* ring, int error) {
  struct io_uring_sq* sq = &ring->sq;
  visit_new(sq);
  sq->sqe_head = sq->sqe_tail;
  io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
  return -error;
}

static void set_flag_late(struct io_uring* ring) {
  if (fault_pretended_late_flag()) {
    (void)__atomic_fetch_or(ring->sq.kflags, IORING_SQ_TASKRUN, __ATOMIC_SEQ_CST);
  }
}

#define PERFORM_RING(call, real)                       \
  struct plan plan = fault_enter(call);                \
  int result = plan.error != 0 ? -plan.error : (real); \
  fault_leave(call);                                   \
  return result

int __wrap_io_uring_submit(struct io_uring* ring) {
  struct plan plan = fault_enter(CALL_SUBMIT);
  int result =
      plan.error != 0 ? submit_refused(ring, plan.error) : submit_visited(ring, plan.bytes);
  set_flag_late(ring);
  fault_leave(CALL_SUBMIT);
  return result;
}

int __wrap_io_uring_submit_and_wait(struct io_uring* ring, unsigned wait_for) {
  inspect_new(&ring->sq);
  PERFORM_RING(CALL_SUBMIT, __real_io_uring_submit_and_wait(ring, wait_for));
}

int __wrap_io_uring_get_events(struct io_uring* ring) {
  struct plan plan = fault_enter(CALL_GET_EVENTS);
  int result = plan.error != 0 ? -plan.error : __real_io_uring_get_events(ring);
  set_flag_late(ring);
  fault_leave(CALL_GET_EVENTS);
  return result;
}

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring* ring,
                                      struct io_uring_params* params) {
  PERFORM_RING(CALL_SETUP,
               soil_all(ring, __real_io_uring_queue_init_params(entries, ring, params)));
}

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring* ring, unsigned flags) {
  PERFORM_RING(CALL_SETUP, soil_all(ring, __real_io_uring_queue_init(entries, ring, flags)));
}

int __wrap_io_uring_register_eventfd(struct io_uring* ring, int fd) {
  PERFORM_RING(CALL_REGISTER, __real_io_uring_register_eventfd(ring, fd));
}

int __wrap_io_uring_register_ring_fd(struct io_uring* ring) {
  PERFORM_RING(CALL_REGISTER, __real_io_uring_register_ring_fd(ring));
}

struct io_uring_probe* __wrap_io_uring_get_probe_ring(struct io_uring* ring) {
  struct plan plan = fault_enter(CALL_REGISTER);
  struct io_uring_probe* probe = plan.error != 0 ? NULL : __real_io_uring_get_probe_ring(ring);
  unsigned missing = fault_pretended_missing_opcode();
  if (probe != NULL && missing != 0 && missing < probe->ops_len) {
    probe->ops[missing].flags = 0;
  }
  fault_leave(CALL_REGISTER);
  return probe;
}

static int gives_result(struct io_uring* ring, int result) {
  struct io_uring_sqe* sqe = io_uring_get_sqe(ring);
  struct io_uring_cqe* cqe;
  io_uring_prep_nop(sqe);
  make_nop(sqe, result);
  return __real_io_uring_submit(ring) == 1 && io_uring_wait_cqe(ring, &cqe) == 0 &&
         cqe->res == result;
}

int faults_reach_the_ring(void) {
  struct io_uring ring;
  struct io_uring_params params = {0};
  if (__real_io_uring_queue_init_params(2, &ring, &params) != 0) {
    return 0;
  }
  int works = gives_result(&ring, -EIO);
  io_uring_queue_exit(&ring);
  return works;
}

#else

int faults_reach_the_ring(void) {
  return 0;
}

#endif
