/* SPDX-License-Identifier: MIT */
/*
 * What Linux and macOS have in common.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/os.h"

static int error_of(int result) {
  return result == -1 ? uv_translate_sys_error(errno) : 0;
}

int uvdio__os_dup(intptr_t descriptor, intptr_t* copy) {
  *copy = fcntl((int)descriptor, F_DUPFD_CLOEXEC, 0);
  return *copy == -1 ? uv_translate_sys_error(errno) : 0;
}

int64_t uvdio__os_read(intptr_t descriptor, void* base, size_t length, uint64_t offset) {
  ssize_t count = pread((int)descriptor, base, length, (off_t)offset);
  return count == -1 ? uv_translate_sys_error(errno) : count;
}

_Static_assert(sizeof(uvdio__piece_t) == sizeof(struct iovec) &&
                   offsetof(uvdio__piece_t, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(uvdio__piece_t, length) == offsetof(struct iovec, iov_len),
               "a piece is an iovec");

static const struct iovec* iovec_of(const uvdio__piece_t* pieces) {
  return (const struct iovec*)(const void*)pieces;
}

#ifdef SYS_pwritev2
/* By its number: the C library's function is missing in versions of musl. The offset goes in two
 * halves, of which 64-bit kernels take no notice of the second. */
static int64_t write_with_flags(int descriptor, const uvdio__piece_t* pieces, unsigned count,
                                uint64_t offset, unsigned flags) {
  int rwf = ((flags & UVDIO__WRITE_DSYNC) != 0 ? RWF_DSYNC : 0) |
            ((flags & UVDIO__WRITE_ATOMIC) != 0 ? RWF_ATOMIC : 0);
  long moved = syscall(SYS_pwritev2, descriptor, pieces, (long)count, (long)offset,
                       (long)(offset >> 32), rwf);

  return moved == -1 ? uv_translate_sys_error(errno) : moved;
}
#else
/* No file has flags for writes here. */
static int64_t write_with_flags(int descriptor, const uvdio__piece_t* pieces, unsigned count,
                                uint64_t offset, unsigned flags) {
  (void)descriptor, (void)pieces, (void)count, (void)offset, (void)flags;
  return UV_ENOTSUP;
}
#endif

int64_t uvdio__os_write(intptr_t descriptor, const void* base, size_t length, uint64_t offset,
                        unsigned flags) {
  ssize_t count;

  if (flags != 0) {
    uvdio__piece_t piece = {(char*)(uintptr_t)base, length};
    return write_with_flags((int)descriptor, &piece, 1, offset, flags);
  }
  count = pwrite((int)descriptor, base, length, (off_t)offset);
  return count == -1 ? uv_translate_sys_error(errno) : count;
}

int64_t uvdio__os_readv(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                        uint64_t offset) {
  ssize_t moved = preadv((int)descriptor, iovec_of(pieces), (int)count, (off_t)offset);
  return moved == -1 ? uv_translate_sys_error(errno) : moved;
}

int64_t uvdio__os_writev(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                         uint64_t offset, unsigned flags) {
  ssize_t moved;

  if (flags != 0) {
    return write_with_flags((int)descriptor, pieces, count, offset, flags);
  }
  moved = pwritev((int)descriptor, iovec_of(pieces), (int)count, (off_t)offset);
  return moved == -1 ? uv_translate_sys_error(errno) : moved;
}

int uvdio__os_truncate(intptr_t descriptor, uint64_t length) {
  return error_of(ftruncate((int)descriptor, (off_t)length));
}

int64_t uvdio__posix_seek(intptr_t descriptor, uint64_t offset, int whence,
                          int64_t (*size_of)(intptr_t descriptor)) {
  off_t found = lseek((int)descriptor, (off_t)offset, whence);
  int64_t size;

  if (found != -1 || (errno != EINVAL && errno != EOPNOTSUPP)) {
    return found != -1 ? found : uv_translate_sys_error(errno);
  }
  size = size_of(descriptor);
  if (size >= 0 && offset >= (uint64_t)size) {
    return UV_ENXIO;
  }
  return size < 0 || whence == SEEK_HOLE ? size : (int64_t)offset;
}

int uvdio__os_close(intptr_t descriptor) {
  int error = error_of(close((int)descriptor));
  /* The descriptor is gone all the same (close(2), "Dealing with error returns"). So it is where
   * the call was interrupted, which the request takes for a success. */
  return error == uv_translate_sys_error(EINPROGRESS) ? 0 : error;
}

/* The folder needs no permission to be read. */
#ifdef O_PATH
#define FOLDER_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#else
#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

/* Opens the folder that the last part of a path lies in. */
static int open_folder(int at, const char* path, size_t length) {
  char folder[PATH_MAX];

  assert(length < sizeof(folder)); /* The path has been opened. */
  memcpy(folder, path, length);
  folder[length] = '\0';
  return openat(at, length > 0 ? folder : ".", FOLDER_FLAGS);
}

static int is_file_and_empty(int folder, const char* name, const struct stat* file) {
  struct stat found;

  return fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_dev == file->st_dev &&
         found.st_ino == file->st_ino && found.st_size == 0;
}

/* There is no call that removes an open file's name only if it still is that. So the folder is
 * held, and looked into right before: what somebody puts there between these two calls is all that
 * could be hit. */
int uvdio__posix_remove(int at, const char* path, int descriptor) {
  const char* slash = strrchr(path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;
  int folder = open_folder(at, path, length);
  struct stat file;
  int gone;

  if (folder == -1) {
    return 0;
  }
  gone = fstat(descriptor, &file) == 0 && is_file_and_empty(folder, path + length, &file) &&
         unlinkat(folder, path + length, 0) == 0;
  (void)close(folder);
  return gone;
}

size_t uvdio__os_page_size(void) {
  long size = sysconf(_SC_PAGESIZE);
  assert(size > 0); /* POSIX asks for it. */
  return (size_t)size;
}

void* uvdio__os_map(size_t size) {
  void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

void uvdio__os_unmap(void* memory, size_t size) {
  (void)munmap(memory, size);
}

void* uvdio__os_aligned_alloc(size_t size, size_t alignment) {
  void* memory;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

void uvdio__os_aligned_free(void* memory) {
  free(memory);
}

int uvdio__os_lock(void* memory, size_t size) {
  return error_of(mlock(memory, size));
}

void uvdio__os_unlock(void* memory, size_t size) {
  (void)munlock(memory, size);
}

int uvdio__os_protect(void* memory, size_t size, int accessible) {
  return error_of(mprotect(memory, size, accessible ? PROT_READ | PROT_WRITE : PROT_NONE));
}

atomic_uint uvdio__os_forks;
_Thread_local uintptr_t uvdio__os_this_thread;

static void count_fork(void) {
  atomic_fetch_add_explicit(&uvdio__os_forks, 1, memory_order_relaxed);
}

UVDIO__AT_LOAD static void watch_forks(void) {
  (void)pthread_atfork(NULL, NULL, count_fork);
}
