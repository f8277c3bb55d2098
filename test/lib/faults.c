#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "uvdio.h"

#ifdef FAULTS_RING
#include <liburing.h>
#endif

#define WHOLE SIZE_MAX

/* From the first call to the last; calls count from 1. */
struct range {
  unsigned first;
  unsigned last;
};

struct watch {
  unsigned calls;
  unsigned now;
  unsigned most;
  struct range failing;
  int error;
  struct range shortened;
  size_t bytes;
  unsigned held; /* the number of the call; 0: none */
  int is_waiting;
};

/* What happens to one call. */
struct plan {
  int error;
  size_t bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct watch watches[CALLS];
static long pretended;

static int is_in(const struct range* range, unsigned call) {
  return call >= range->first && call <= range->last;
}

static struct range range_from(const struct watch* watch, unsigned nth, unsigned times) {
  struct range range;
  range.first = watch->calls + nth;
  range.last = times > UINT32_MAX - range.first ? UINT32_MAX : range.first + times - 1;
  return range;
}

void faults_reset(void) {
  static const struct range never = {1, 0};
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < CALLS; i++) {
    unsigned now = watches[i].now;
    memset(&watches[i], 0, sizeof(watches[i]));
    watches[i].now = now;
    watches[i].failing = never;
    watches[i].shortened = never;
  }
  pretended = 0;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

void fault_fail(enum fault_call call, unsigned nth, unsigned times, int error) {
  pthread_mutex_lock(&lock);
  watches[call].failing = range_from(&watches[call], nth, times);
  watches[call].error = error;
  pthread_mutex_unlock(&lock);
}

void fault_shorten(enum fault_call call, unsigned nth, unsigned times, size_t most) {
  pthread_mutex_lock(&lock);
  watches[call].shortened = range_from(&watches[call], nth, times);
  watches[call].bytes = most;
  pthread_mutex_unlock(&lock);
}

void fault_hold(enum fault_call call, unsigned nth) {
  pthread_mutex_lock(&lock);
  watches[call].held = watches[call].calls + nth;
  pthread_mutex_unlock(&lock);
}

void fault_await(enum fault_call call) {
  pthread_mutex_lock(&lock);
  while (!watches[call].is_waiting) {
    pthread_cond_wait(&changed, &lock);
  }
  pthread_mutex_unlock(&lock);
}

void fault_release(enum fault_call call) {
  pthread_mutex_lock(&lock);
  watches[call].held = 0;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

void fault_pretend_filesystem(long type) {
  pthread_mutex_lock(&lock);
  pretended = type;
  pthread_mutex_unlock(&lock);
}

unsigned fault_calls(enum fault_call call) {
  pthread_mutex_lock(&lock);
  unsigned calls = watches[call].calls;
  pthread_mutex_unlock(&lock);
  return calls;
}

unsigned fault_most_at_once(enum fault_call call) {
  pthread_mutex_lock(&lock);
  unsigned most = watches[call].most;
  pthread_mutex_unlock(&lock);
  return most;
}

/*
 * Around each call.
 */

static void wait_while_held(struct watch* watch, unsigned number) {
  while (watch->held == number) {
    watch->is_waiting = 1;
    pthread_cond_broadcast(&changed);
    pthread_cond_wait(&changed, &lock);
  }
  watch->is_waiting = 0;
}

static struct plan plan_for(const struct watch* watch, unsigned number) {
  struct plan plan = {0, WHOLE};
  if (is_in(&watch->failing, number)) {
    plan.error = watch->error;
  }
  if (is_in(&watch->shortened, number)) {
    plan.bytes = watch->bytes;
  }
  return plan;
}

static struct plan enter(enum fault_call call) {
  struct watch* watch = &watches[call];
  pthread_mutex_lock(&lock);
  unsigned number = ++watch->calls;
  struct plan plan = plan_for(watch, number);
  if (++watch->now > watch->most) {
    watch->most = watch->now;
  }
  if (watch->held == number) {
    wait_while_held(watch, number);
  }
  pthread_mutex_unlock(&lock);
  return plan;
}

static void leave(enum fault_call call) {
  pthread_mutex_lock(&lock);
  watches[call].now--;
  pthread_mutex_unlock(&lock);
}

static long fail_with(int error) {
  errno = error;
  return -1;
}

/* Performs one call: the real one, or the fault. errno is that of the call: nothing after it sets it. */
#define PERFORM(call, plan, real) \
  long result;                    \
  struct plan plan = enter(call); \
  result = plan.error != 0 ? fail_with(plan.error) : (long)(real); \
  leave(call);                    \
  return result

/* Direct I/O takes whole blocks, so a transfer that is to end within one moves it, and tells less. */
static size_t at_most(size_t length, const struct plan* plan) {
  size_t blocks = plan->bytes / UVDIO_ALIGNMENT + (plan->bytes % UVDIO_ALIGNMENT != 0);
  return plan->bytes >= length || blocks * UVDIO_ALIGNMENT > length ? length
                                                                    : blocks * UVDIO_ALIGNMENT;
}

static ssize_t told(ssize_t result, const struct plan* plan) {
  return result > 0 && (size_t)result > plan->bytes ? (ssize_t)plan->bytes : result;
}

/*
 * The C library. Where off_t has 64 bits its functions go by two names.
 */

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_pread(int fd, void* base, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void* base, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void* base, size_t length, off_t offset);
ssize_t __real_pwrite(int fd, const void* base, size_t length, off_t offset);
ssize_t __wrap_pwrite(int fd, const void* base, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void* base, size_t length, off_t offset);
ssize_t __real_preadv2(int fd, const struct iovec* vector, int count, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec* vector, int count, off_t offset, int flags);
ssize_t __wrap_preadv64v2(int fd, const struct iovec* vector, int count, off_t offset, int flags);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);
int __wrap_ftruncate64(int fd, off_t length);
int __real_fstatfs(int fd, struct statfs* filesystem);
int __wrap_fstatfs(int fd, struct statfs* filesystem);
int __wrap_fstatfs64(int fd, struct statfs* filesystem);
int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...);
int __wrap_open64(const char* path, int flags, ...);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

_Static_assert(sizeof(long) == sizeof(off_t), "one function for both names");

static long do_fdatasync(int fd) {
  PERFORM(CALL_FDATASYNC, plan, __real_fdatasync(fd));
}

int __wrap_fdatasync(int fd) {
  return (int)do_fdatasync(fd);
}

static long do_fsync(int fd) {
  PERFORM(CALL_FSYNC, plan, __real_fsync(fd));
}

int __wrap_fsync(int fd) {
  return (int)do_fsync(fd);
}

ssize_t __wrap_pread(int fd, void* base, size_t length, off_t offset) {
  PERFORM(CALL_PREAD, plan, told(__real_pread(fd, base, at_most(length, &plan), offset), &plan));
}

ssize_t __wrap_pread64(int fd, void* base, size_t length, off_t offset) {
  return __wrap_pread(fd, base, length, offset);
}

ssize_t __wrap_pwrite(int fd, const void* base, size_t length, off_t offset) {
  PERFORM(CALL_PWRITE, plan, told(__real_pwrite(fd, base, at_most(length, &plan), offset), &plan));
}

ssize_t __wrap_pwrite64(int fd, const void* base, size_t length, off_t offset) {
  return __wrap_pwrite(fd, base, length, offset);
}

ssize_t __wrap_preadv2(int fd, const struct iovec* vector, int count, off_t offset, int flags) {
  PERFORM(CALL_PREADV2, plan, __real_preadv2(fd, vector, count, offset, flags));
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec* vector, int count, off_t offset, int flags) {
  return __wrap_preadv2(fd, vector, count, offset, flags);
}

static long do_ftruncate(int fd, off_t length) {
  PERFORM(CALL_FTRUNCATE, plan, __real_ftruncate(fd, length));
}

int __wrap_ftruncate(int fd, off_t length) {
  return (int)do_ftruncate(fd, length);
}

int __wrap_ftruncate64(int fd, off_t length) {
  return (int)do_ftruncate(fd, length);
}

static int tell_filesystem(int fd, struct statfs* filesystem) {
  int result = __real_fstatfs(fd, filesystem);
  pthread_mutex_lock(&lock);
  if (pretended != 0) {
    filesystem->f_type = (__typeof__(filesystem->f_type))pretended; /* unsigned on some processors */
  }
  pthread_mutex_unlock(&lock);
  return result;
}

static long do_fstatfs(int fd, struct statfs* filesystem) {
  PERFORM(CALL_FSTATFS, plan, tell_filesystem(fd, filesystem));
}

int __wrap_fstatfs(int fd, struct statfs* filesystem) {
  return (int)do_fstatfs(fd, filesystem);
}

int __wrap_fstatfs64(int fd, struct statfs* filesystem) {
  return (int)do_fstatfs(fd, filesystem);
}

static long do_open(const char* path, int flags, mode_t mode) {
  PERFORM(CALL_OPEN, plan, __real_open(path, flags, mode));
}

#define MODE_ARGUMENT(flags, mode)  \
  mode_t mode = 0;                  \
  if (((flags) & O_CREAT) != 0) {   \
    va_list arguments;              \
    va_start(arguments, flags);     \
    mode = va_arg(arguments, mode_t); \
    va_end(arguments);              \
  }

int __wrap_open(const char* path, int flags, ...) {
  MODE_ARGUMENT(flags, mode)
  return (int)do_open(path, flags, mode);
}

int __wrap_open64(const char* path, int flags, ...) {
  MODE_ARGUMENT(flags, mode)
  return (int)do_open(path, flags, mode);
}

static long do_statx(const long* a) {
  PERFORM(CALL_STATX, plan, __real_syscall(SYS_statx, a[0], a[1], a[2], a[3], a[4]));
}

/* Arguments that were not passed are read as well and mean nothing, as in the C library. */
long __wrap_syscall(long number, ...) {
  long a[6];
  va_list arguments;
  va_start(arguments, number);
  for (size_t i = 0; i < 6; i++) {
    a[i] = va_arg(arguments, long);
  }
  va_end(arguments);
  if (number == SYS_statx) {
    return do_statx(a);
  }
  return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/*
 * The ring.
 */

#ifdef FAULTS_RING

/* Since Linux 6.10; liburing 2.3 does not name it. */
#define NOP_INJECT_RESULT 1u

int __real_io_uring_submit(struct io_uring* ring);
int __wrap_io_uring_submit(struct io_uring* ring);
int __real_io_uring_get_events(struct io_uring* ring);
int __wrap_io_uring_get_events(struct io_uring* ring);

static enum fault_call call_of(const struct io_uring_sqe* sqe) {
  switch (sqe->opcode) {
    case IORING_OP_OPENAT:
      return CALL_OPEN;
    case IORING_OP_STATX:
      return CALL_STATX;
    case IORING_OP_READ:
      return CALL_PREAD;
    case IORING_OP_WRITE:
      return CALL_PWRITE;
    case IORING_OP_FSYNC:
      return (sqe->fsync_flags & IORING_FSYNC_DATASYNC) != 0 ? CALL_FDATASYNC : CALL_FSYNC;
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

static void visit(struct io_uring_sqe* sqe) {
  enum fault_call call = call_of(sqe);
  if (call == CALLS) {
    return;
  }
  pthread_mutex_lock(&lock);
  struct plan plan = plan_for(&watches[call], ++watches[call].calls);
  pthread_mutex_unlock(&lock);
  if (plan.error != 0 || plan.bytes == 0) {
    make_nop(sqe, -plan.error);
  } else if (plan.bytes < sqe->len) {
    sqe->len = (unsigned)plan.bytes;
  }
}

/* Entries that liburing has not shown to the kernel yet: each is visited once. */
static int submit_visited(struct io_uring* ring) {
  for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
    visit(&ring->sq.sqes[i & *ring->sq.kring_mask]);
  }
  return __real_io_uring_submit(ring);
}

int __wrap_io_uring_submit(struct io_uring* ring) {
  struct plan plan = enter(CALL_SUBMIT);
  int result = plan.error != 0 ? -plan.error : submit_visited(ring);
  leave(CALL_SUBMIT);
  return result;
}

int __wrap_io_uring_get_events(struct io_uring* ring) {
  struct plan plan = enter(CALL_GET_EVENTS);
  int result = plan.error != 0 ? -plan.error : __real_io_uring_get_events(ring);
  leave(CALL_GET_EVENTS);
  return result;
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
  if (io_uring_queue_init(2, &ring, 0) != 0) {
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
