/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* As in src/os/linux.c: old versions of musl have no struct statx. */
#ifndef STATX_TYPE
#include <linux/stat.h>
#endif

#include "faults_inside.h"

/* The same numbers on every architecture. */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_register 427
#endif

/* Performs one call: the real one, or the fault. errno is that of the call: nothing after it sets
 * it. */
#define PERFORM(call, plan, real)                                        \
  long result;                                                           \
  struct plan plan = fault_enter(call);                                  \
  result = plan.error != 0 ? fault_fail_with(plan.error) : (long)(real); \
  fault_leave(call);                                                     \
  return result

static ssize_t told(ssize_t result, const struct plan* plan) {
  return result > 0 && (size_t)result > plan->bytes ? (ssize_t)plan->bytes : result;
}

/* A list of pieces, of which the call is given a part. */
struct part {
  struct iovec pieces[1024];
  int count;
};

static void shorten(struct part* part, const struct iovec* pieces, int count,
                    const struct plan* plan) {
  size_t all = 0;
  for (int i = 0; i < count; i++) {
    part->pieces[i] = pieces[i];
    all += pieces[i].iov_len;
  }
  size_t left = fault_at_most(all, plan);
  for (part->count = 0; part->count < count && left > 0; part->count++) {
    struct iovec* piece = &part->pieces[part->count];
    piece->iov_len = piece->iov_len < left ? piece->iov_len : left;
    left -= piece->iov_len;
  }
}

typedef ssize_t (*vector_call)(int, const struct iovec*, int, off_t);

static ssize_t move_part(vector_call call, int fd, const struct iovec* pieces, int count,
                         off_t offset, const struct plan* plan) {
  struct part part;
  shorten(&part, pieces, count, plan);
  return told(call(fd, part.pieces, part.count, offset), plan);
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
ssize_t __real_preadv(int fd, const struct iovec* pieces, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec* pieces, int count, off_t offset);
ssize_t __wrap_preadv64(int fd, const struct iovec* pieces, int count, off_t offset);
ssize_t __real_pwritev(int fd, const struct iovec* pieces, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec* pieces, int count, off_t offset);
ssize_t __wrap_pwritev64(int fd, const struct iovec* pieces, int count, off_t offset);
ssize_t __real_pwrite(int fd, const void* base, size_t length, off_t offset);
ssize_t __wrap_pwrite(int fd, const void* base, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void* base, size_t length, off_t offset);
int __real_ftruncate(int fd, off_t length);
int __wrap_ftruncate(int fd, off_t length);
int __wrap_ftruncate64(int fd, off_t length);
int __real_fstatfs(int fd, struct statfs* filesystem);
int __wrap_fstatfs(int fd, struct statfs* filesystem);
int __wrap_fstatfs64(int fd, struct statfs* filesystem);
int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...);
int __wrap_open64(const char* path, int flags, ...);
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek64(int fd, off_t offset, int whence);
int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __real_openat(int at, const char* path, int flags, ...);
int __wrap_openat(int at, const char* path, int flags, ...);
int __wrap_openat64(int at, const char* path, int flags, ...);
int __real_renameat(int at, const char* path, int new_at, const char* new_path);
int __wrap_renameat(int at, const char* path, int new_at, const char* new_path);
int __real_linkat(int at, const char* path, int new_at, const char* new_path, int flags);
int __wrap_linkat(int at, const char* path, int new_at, const char* new_path, int flags);
int __real_unlinkat(int at, const char* path, int flags);
int __wrap_unlinkat(int at, const char* path, int flags);
int __real_mkdirat(int at, const char* path, mode_t mode);
int __wrap_mkdirat(int at, const char* path, mode_t mode);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_read(int fd, void* base, size_t length);
ssize_t __wrap_read(int fd, void* base, size_t length);
int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags);
int __real_epoll_ctl(int epoll, int command, int fd, struct epoll_event* event);
int __wrap_epoll_ctl(int epoll, int command, int fd, struct epoll_event* event);
int __real_getrlimit(int resource, struct rlimit* limit);
int __wrap_getrlimit(int resource, struct rlimit* limit);
int __wrap_getrlimit64(int resource, struct rlimit* limit);
int __real_posix_memalign(void** memory, size_t alignment, size_t size);
int __wrap_posix_memalign(void** memory, size_t alignment, size_t size);
void* __real_mmap(void* at, size_t size, int access, int flags, int fd, off_t offset);
void* __wrap_mmap(void* at, size_t size, int access, int flags, int fd, off_t offset);
void* __wrap_mmap64(void* at, size_t size, int access, int flags, int fd, off_t offset);
int __real_mlock(const void* memory, size_t size);
int __wrap_mlock(const void* memory, size_t size);
int __real_munlock(const void* memory, size_t size);
int __wrap_munlock(const void* memory, size_t size);
int __real_munmap(void* memory, size_t size);
int __wrap_munmap(void* memory, size_t size);
int __real_uname(struct utsname* system);
int __wrap_uname(struct utsname* system);
int __real_mprotect(void* memory, size_t size, int access);
int __wrap_mprotect(void* memory, size_t size, int access);
int __real_madvise(void* memory, size_t size, int advice);
int __wrap_madvise(void* memory, size_t size, int advice);
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
  PERFORM(CALL_PREAD, plan,
          told(__real_pread(fd, base, fault_at_most(length, &plan), offset), &plan));
}

ssize_t __wrap_pread64(int fd, void* base, size_t length, off_t offset) {
  return __wrap_pread(fd, base, length, offset);
}

ssize_t __wrap_pwrite(int fd, const void* base, size_t length, off_t offset) {
  PERFORM(CALL_PWRITE, plan,
          told(__real_pwrite(fd, base, fault_at_most(length, &plan), offset), &plan));
}

ssize_t __wrap_pwrite64(int fd, const void* base, size_t length, off_t offset) {
  return __wrap_pwrite(fd, base, length, offset);
}

ssize_t __wrap_preadv(int fd, const struct iovec* pieces, int count, off_t offset) {
  PERFORM(CALL_PREAD, plan, move_part(__real_preadv, fd, pieces, count, offset, &plan));
}

ssize_t __wrap_preadv64(int fd, const struct iovec* pieces, int count, off_t offset) {
  return __wrap_preadv(fd, pieces, count, offset);
}

ssize_t __wrap_pwritev(int fd, const struct iovec* pieces, int count, off_t offset) {
  PERFORM(CALL_PWRITE, plan, move_part(__real_pwritev, fd, pieces, count, offset, &plan));
}

ssize_t __wrap_pwritev64(int fd, const struct iovec* pieces, int count, off_t offset) {
  return __wrap_pwritev(fd, pieces, count, offset);
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
  long type = fault_pretended();
  if (type != 0) {
    filesystem->f_type = (__typeof__(filesystem->f_type))type; /* unsigned on some processors */
  }
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

static void require(int is_so, const char* else_what) {
  if (!is_so) {
    fprintf(stderr, "%s\n", else_what);
    abort();
  }
}

/* The counters of coverage are written by code that is linked with the program. */
static int is_of_coverage(const char* path) {
  size_t length = strlen(path);
  return length > 5 && strcmp(path + length - 5, ".gcda") == 0;
}

/* A file that was found already, and is opened by that descriptor. */
static int is_by_descriptor(const char* path) {
  return strncmp(path, "/proc/self/fd/", strlen("/proc/self/fd/")) == 0;
}

static long do_open(const char* path, int flags, mode_t mode) {
  require(!is_by_descriptor(path) || (flags & (O_CREAT | O_NONBLOCK)) == 0,
          "what was found is to be created, or opened without waiting for it");
  require((flags & O_CLOEXEC) != 0 || is_of_coverage(path),
          "a descriptor that a program gets that is started");
  PERFORM(CALL_OPEN, plan, __real_open(path, flags, mode));
}

static int makes_a_file(int flags) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

#define MODE_ARGUMENT(flags, mode)    \
  mode_t mode = 0;                    \
  if (makes_a_file(flags)) {          \
    va_list arguments;                \
    va_start(arguments, flags);       \
    mode = va_arg(arguments, mode_t); \
    va_end(arguments);                \
  }

int __wrap_open(const char* path, int flags, ...) {
  MODE_ARGUMENT(flags, mode)
  return (int)do_open(path, flags, mode);
}

int __wrap_open64(const char* path, int flags, ...) {
  MODE_ARGUMENT(flags, mode)
  return (int)do_open(path, flags, mode);
}

static long do_openat(int at, const char* path, int flags, mode_t mode) {
  require((flags & O_CLOEXEC) != 0, "a descriptor that a program gets that is started");
  PERFORM(CALL_OPEN, plan, __real_openat(at, path, flags, mode));
}

int __wrap_openat(int at, const char* path, int flags, ...) {
  MODE_ARGUMENT(flags, mode)
  return (int)do_openat(at, path, flags, mode);
}

int __wrap_openat64(int at, const char* path, int flags, ...) {
  MODE_ARGUMENT(flags, mode)
  return (int)do_openat(at, path, flags, mode);
}

/* Since Linux 6.1: a bit of the mask, and two numbers (statx(2), STATX_DIOALIGN). */
#define STATX_HAS_ALIGN 0x2000u
#define STATX_ALIGN_AT 152

/* The kernel tells more than it is asked for where that costs it nothing, and need not. */
static void keep_what_was_asked_for(struct statx* stat, unsigned mask) {
  static const struct statx_timestamp never = {0};
  if ((mask & STATX_TYPE) == 0) {
    stat->stx_mode &= (uint16_t)~S_IFMT;
  }
  if ((mask & STATX_MODE) == 0) {
    stat->stx_mode &= S_IFMT;
  }
  if ((mask & STATX_SIZE) == 0) {
    stat->stx_size = INT64_MAX;
  }
  stat->stx_ino = (mask & STATX_INO) != 0 ? stat->stx_ino : 0;
  stat->stx_nlink = (mask & STATX_NLINK) != 0 ? stat->stx_nlink : 0;
  stat->stx_blocks = (mask & STATX_BLOCKS) != 0 ? stat->stx_blocks : 0;
  stat->stx_atime = (mask & STATX_ATIME) != 0 ? stat->stx_atime : never;
  stat->stx_mtime = (mask & STATX_MTIME) != 0 ? stat->stx_mtime : never;
  stat->stx_ctime = (mask & STATX_CTIME) != 0 ? stat->stx_ctime : never;
  stat->stx_mask &= mask | ~STATX_BTIME;
}

static long tell_stat(const long* a) {
  char* stat = (char*)(uintptr_t)a[4];
  long result = __real_syscall(SYS_statx, a[0], a[1], a[2], a[3], a[4]);
  if (result == 0) {
    keep_what_was_asked_for((struct statx*)(void*)stat, (unsigned)a[3]);
  }
  if (result == 0 && fault_pretended_no_direct()) {
    unsigned mask;
    memcpy(&mask, stat, sizeof(mask));
    mask |= STATX_HAS_ALIGN;
    memcpy(stat, &mask, sizeof(mask));
    memset(stat + STATX_ALIGN_AT, 0, 2 * sizeof(unsigned));
  }
  return result;
}

static long do_statx(const long* a) {
  PERFORM(CALL_STATX, plan, tell_stat(a));
}

static long do_number(enum fault_call call, long number, const long* a) {
  PERFORM(call, plan, __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

static long do_destroy(long context) {
  PERFORM(CALL_AIO_DESTROY, plan, fault_destroy_aio(context));
}

/* pwritev2(2) by its number. */
static ssize_t move_flagged(const long* a, const struct plan* plan) {
  struct part part;
  if ((a[5] & RWF_DSYNC) != 0) {
    fault_count_durable_write();
  }
  if ((a[5] & RWF_ATOMIC) != 0) {
    fault_count_atomic_write();
  }
  shorten(&part, (const struct iovec*)(uintptr_t)a[1], (int)a[2], plan);
  return told(__real_syscall(SYS_pwritev2, a[0], part.pieces, (long)part.count, a[3], a[4], a[5]),
              plan);
}

static long do_pwritev2(const long* a) {
  PERFORM(CALL_PWRITE, plan, move_flagged(a, &plan));
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
  if (number == SYS_pwritev2) {
    return do_pwritev2(a);
  }
  if (number == SYS_ioprio_set) {
    fault_note_priority((unsigned)a[2]);
    return do_number(CALL_IOPRIO_SET, number, a);
  }
  if (number == SYS_renameat2) {
    return do_number(CALL_RENAME, number, a);
  }
  if (number == SYS_preadv2) {
    return do_number(CALL_PREADV2, number, a);
  }
  if (number == SYS_io_setup) {
    return fault_blur_aio(do_number(CALL_AIO_SETUP, number, a), (unsigned long*)(uintptr_t)a[1]);
  }
  if (number == SYS_io_destroy) {
    return do_destroy(a[0]);
  }
  if (number == SYS_io_uring_setup || number == SYS_io_uring_register) {
    return do_number(number == SYS_io_uring_setup ? CALL_SETUP : CALL_REGISTER, number, a);
  }
  return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long do_lseek(int fd, off_t offset, int whence) {
  PERFORM(CALL_LSEEK, plan, __real_lseek(fd, offset, whence));
}

off_t __wrap_lseek(int fd, off_t offset, int whence) {
  return do_lseek(fd, offset, whence);
}

off_t __wrap_lseek64(int fd, off_t offset, int whence) {
  return do_lseek(fd, offset, whence);
}

static long do_fallocate(int fd, int mode, off_t offset, off_t length) {
  PERFORM(CALL_FALLOCATE, plan, __real_fallocate(fd, mode, offset, length));
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length) {
  return (int)do_fallocate(fd, mode, offset, length);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length) {
  return (int)do_fallocate(fd, mode, offset, length);
}

static long do_renameat(int at, const char* path, int new_at, const char* new_path) {
  PERFORM(CALL_RENAME, plan, __real_renameat(at, path, new_at, new_path));
}

int __wrap_renameat(int at, const char* path, int new_at, const char* new_path) {
  return (int)do_renameat(at, path, new_at, new_path);
}

static long do_linkat(int at, const char* path, int new_at, const char* new_path, int flags) {
  PERFORM(CALL_LINK, plan, __real_linkat(at, path, new_at, new_path, flags));
}

int __wrap_linkat(int at, const char* path, int new_at, const char* new_path, int flags) {
  return (int)do_linkat(at, path, new_at, new_path, flags);
}

static long do_unlinkat(int at, const char* path, int flags) {
  PERFORM((flags & AT_REMOVEDIR) != 0 ? CALL_RMDIR : CALL_UNLINK, plan,
          __real_unlinkat(at, path, flags));
}

int __wrap_unlinkat(int at, const char* path, int flags) {
  return (int)do_unlinkat(at, path, flags);
}

static long do_mkdirat(int at, const char* path, mode_t mode) {
  PERFORM(CALL_MKDIR, plan, __real_mkdirat(at, path, mode));
}

int __wrap_mkdirat(int at, const char* path, mode_t mode) {
  return (int)do_mkdirat(at, path, mode);
}

static long do_fcntl(int fd, int command, long argument) {
  PERFORM(CALL_FCNTL, plan, __real_fcntl(fd, command, argument));
}

#define LAST_ARGUMENT(before, value)    \
  va_list arguments;                    \
  va_start(arguments, before);          \
  long value = va_arg(arguments, long); \
  va_end(arguments)

int __wrap_fcntl(int fd, int command, ...) {
  LAST_ARGUMENT(command, argument);
  return (int)do_fcntl(fd, command, argument);
}

int __wrap_fcntl64(int fd, int command, ...) {
  LAST_ARGUMENT(command, argument);
  return (int)do_fcntl(fd, command, argument);
}

/* Linux closes in any case, whatever it says (close(2)). */
int __wrap_close(int fd) {
  struct plan plan = fault_enter(CALL_CLOSE);
  int result = __real_close(fd);
  fault_leave(CALL_CLOSE);
  return plan.error != 0 ? (int)fault_fail_with(plan.error) : result;
}

ssize_t __wrap_read(int fd, void* base, size_t length) {
  PERFORM(CALL_READ, plan, __real_read(fd, base, length));
}

/* Whoever reads one that nobody has signalled must not wait. */
static long do_eventfd(unsigned value, int flags) {
  require((flags & EFD_NONBLOCK) != 0, "an eventfd that blocks");
  require((flags & EFD_CLOEXEC) != 0, "an eventfd that a program gets that is started");
  PERFORM(CALL_EVENTFD, plan, __real_eventfd(value, flags));
}

int __wrap_eventfd(unsigned value, int flags) {
  return (int)do_eventfd(value, flags);
}

static long do_epoll_ctl(int epoll, int command, int fd, struct epoll_event* event) {
  PERFORM(CALL_EPOLL_CTL, plan, __real_epoll_ctl(epoll, command, fd, event));
}

/* The library's own call asks for edges. libuv's calls come here as well where it is linked
 * statically, and it ends the process when they fail. */
int __wrap_epoll_ctl(int epoll, int command, int fd, struct epoll_event* event) {
  int is_own = event != NULL && (event->events & EPOLLET) != 0;
  return is_own ? (int)do_epoll_ctl(epoll, command, fd, event)
                : __real_epoll_ctl(epoll, command, fd, event);
}

static long tell_limit(int resource, struct rlimit* limit) {
  int result = __real_getrlimit(resource, limit);
  unsigned most = fault_pretended_descriptors();
  if (most > 0 && resource == RLIMIT_NOFILE) {
    limit->rlim_cur = most;
  }
  return result;
}

static long do_getrlimit(int resource, struct rlimit* limit) {
  PERFORM(CALL_GETRLIMIT, plan, tell_limit(resource, limit));
}

int __wrap_getrlimit(int resource, struct rlimit* limit) {
  return (int)do_getrlimit(resource, limit);
}

int __wrap_getrlimit64(int resource, struct rlimit* limit) {
  return (int)do_getrlimit(resource, limit);
}

static long tell_kernel(struct utsname* system) {
  int result = __real_uname(system);
  const char* release = fault_pretended_kernel();
  if (release != NULL) {
    (void)snprintf(system->release, sizeof(system->release), "%s", release);
  }
  return result;
}

static long do_uname(struct utsname* system) {
  PERFORM(CALL_UNAME, plan, tell_kernel(system));
}

int __wrap_uname(struct utsname* system) {
  return (int)do_uname(system);
}

/*
 * Memory. Every allocation of the library comes from one of the first two.
 */

int __wrap_posix_memalign(void** memory, size_t alignment, size_t size) {
  struct plan plan = fault_enter(CALL_MEMALIGN);
  int result = plan.error != 0 ? plan.error : __real_posix_memalign(memory, alignment, size);
  fault_leave(CALL_MEMALIGN);
  return result;
}

void* __wrap_mmap(void* at, size_t size, int access, int flags, int fd, off_t offset) {
  require(fd != -1 || access == PROT_NONE || access == (PROT_READ | PROT_WRITE),
          "memory that can be read or written only, which processors differ in");
  struct plan plan = fault_enter(CALL_MMAP);
  void* memory = MAP_FAILED;
  if (plan.error != 0) {
    errno = plan.error;
  } else {
    memory = __real_mmap(at, size, access, flags, fd, offset);
  }
  fault_leave(CALL_MMAP);
  return memory;
}

void* __wrap_mmap64(void* at, size_t size, int access, int flags, int fd, off_t offset) {
  return __wrap_mmap(at, size, access, flags, fd, offset);
}

static long do_mlock(const void* memory, size_t size) {
  PERFORM(CALL_MLOCK, plan, __real_mlock(memory, size));
}

int __wrap_mlock(const void* memory, size_t size) {
  return (int)do_mlock(memory, size);
}

static long do_munlock(const void* memory, size_t size) {
  PERFORM(CALL_MUNLOCK, plan, __real_munlock(memory, size));
}

int __wrap_munlock(const void* memory, size_t size) {
  return (int)do_munlock(memory, size);
}

static long do_munmap(void* memory, size_t size) {
  PERFORM(CALL_MUNMAP, plan, __real_munmap(memory, size));
}

int __wrap_munmap(void* memory, size_t size) {
  return (int)do_munmap(memory, size);
}

static long do_mprotect(void* memory, size_t size, int access) {
  require(access == PROT_NONE || access == (PROT_READ | PROT_WRITE),
          "memory that can be read or written only, which processors differ in");
  PERFORM(CALL_MPROTECT, plan, __real_mprotect(memory, size, access));
}

int __wrap_mprotect(void* memory, size_t size, int access) {
  return (int)do_mprotect(memory, size, access);
}

static long do_madvise(void* memory, size_t size, int advice) {
  PERFORM(CALL_MADVISE, plan, __real_madvise(memory, size, advice));
}

int __wrap_madvise(void* memory, size_t size, int advice) {
  return (int)do_madvise(memory, size, advice);
}

/*
 * libuv, where it can fail the library. These return codes.
 */

int __real_uv_queue_work(uv_loop_t* loop, uv_work_t* work, uv_work_cb run, uv_after_work_cb after);
int __wrap_uv_queue_work(uv_loop_t* loop, uv_work_t* work, uv_work_cb run, uv_after_work_cb after);
int __real_uv_poll_init(uv_loop_t* loop, uv_poll_t* poll, int fd);
int __wrap_uv_poll_init(uv_loop_t* loop, uv_poll_t* poll, int fd);
int __real_uv_poll_start(uv_poll_t* poll, int events, uv_poll_cb cb);
int __wrap_uv_poll_start(uv_poll_t* poll, int events, uv_poll_cb cb);
int __real_uv_mutex_init(uv_mutex_t* mutex);
int __wrap_uv_mutex_init(uv_mutex_t* mutex);
uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);
int __real_uv_cancel(uv_req_t* req);
int __wrap_uv_cancel(uv_req_t* req);

#define PERFORM_UV(call, real)                                                \
  struct plan plan = fault_enter(call);                                       \
  int result = plan.error != 0 ? uv_translate_sys_error(plan.error) : (real); \
  fault_leave(call);                                                          \
  return result

int __wrap_uv_queue_work(uv_loop_t* loop, uv_work_t* work, uv_work_cb run, uv_after_work_cb after) {
  PERFORM_UV(CALL_QUEUE_WORK, __real_uv_queue_work(loop, work, run, after));
}

int __wrap_uv_poll_init(uv_loop_t* loop, uv_poll_t* poll, int fd) {
  PERFORM_UV(CALL_POLL_INIT, __real_uv_poll_init(loop, poll, fd));
}

int __wrap_uv_poll_start(uv_poll_t* poll, int events, uv_poll_cb cb) {
  PERFORM_UV(CALL_POLL_START, __real_uv_poll_start(poll, events, cb));
}

int __wrap_uv_mutex_init(uv_mutex_t* mutex) {
  PERFORM_UV(CALL_MUTEX_INIT, __real_uv_mutex_init(mutex));
}

int __wrap_uv_cancel(uv_req_t* req) {
  PERFORM_UV(CALL_CANCEL, __real_uv_cancel(req));
}

uint64_t __wrap_uv_hrtime(void) {
  return fault_clock(__real_uv_hrtime());
}
