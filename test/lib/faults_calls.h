/* SPDX-License-Identifier: MIT */
/*
 * Every call that can be made to fail, with what it may fail with: the errors of its man page
 * (Linux man-pages 6; liburing's for io_uring_*), and what seccomp filters make of the three system
 * calls of io_uring. Those errors that differ most in what they lead to come first.
 */
#ifndef UVDIO_TEST_FAULTS_CALLS_H
#define UVDIO_TEST_FAULTS_CALLS_H

#include <errno.h>

/* pread(2) and preadv2(2) refer to read(2) and lseek(2), the other direction to write(2). */
#define OF_READS EIO, EAGAIN, EINTR, EINVAL, EBADF, EFAULT, EISDIR, ENXIO, EOVERFLOW, ESPIPE
#define OF_WRITES                                                                               \
  EIO, EAGAIN, EINTR, ENOSPC, EDQUOT, EFBIG, EINVAL, EBADF, EDESTADDRREQ, EFAULT, EPERM, EPIPE, \
      ENXIO, EOVERFLOW, ESPIPE
#define OF_SYNC EIO, ENOSPC, EINTR, EDQUOT, EBADF, EROFS, EINVAL

/* clang-format off */
/* X(NAME, text, errors) */
#define FAULT_CALL_MAP(X)                                                                         \
  X(OPEN, "open", EINVAL, EAGAIN, EINTR, EMFILE, EACCES, EBADF, EBUSY, EDQUOT, EEXIST, EFAULT,    \
    EFBIG, EISDIR, ELOOP, ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOTDIR,          \
    ENXIO, EOPNOTSUPP, EOVERFLOW, EPERM, EROFS, ETXTBSY)                                          \
  X(STATX, "statx", EACCES, EAGAIN, EINTR, ENOMEM, EBADF, EFAULT, EINVAL, ELOOP, ENAMETOOLONG,    \
    ENOENT, ENOTDIR, ENOSYS)                                                                      \
  X(FSTATFS, "fstatfs", EIO, EINTR, ENOSYS, EBADF, EFAULT, ENOMEM, EOVERFLOW)                     \
  X(PREADV2, "preadv2", EOPNOTSUPP, OF_READS)                                                     \
  /* and preadv */                                                                                \
  X(PREAD, "pread", OF_READS)                                                                     \
  /* and pwritev, pwritev2 */                                                                     \
  X(PWRITE, "pwrite", OF_WRITES)                                                                  \
  X(FDATASYNC, "fdatasync", OF_SYNC)                                                              \
  X(FSYNC, "fsync", OF_SYNC)                                                                      \
  X(FTRUNCATE, "ftruncate", EIO, EINTR, EFBIG, EINVAL, EACCES, EBADF, EISDIR, EPERM, EROFS,       \
    ETXTBSY)                                                                                      \
  X(FALLOCATE, "fallocate", ENOSPC, EINTR, EOPNOTSUPP, EIO, EBADF, EFBIG, EINVAL, ENODEV,         \
    ENOSYS, EPERM, ESPIPE, ETXTBSY)                                                               \
  /* and renameat2 */                                                                             \
  X(RENAME, "rename", EIO, EACCES, EBUSY, EDQUOT, EEXIST, EFAULT, EINVAL, EISDIR, ELOOP,          \
    EMLINK, ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, EROFS, EXDEV)        \
  X(LINK, "link", EIO, EACCES, EDQUOT, EEXIST, EFAULT, ELOOP, EMLINK, ENAMETOOLONG, ENOENT,       \
    ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS, EXDEV)                                                 \
  X(UNLINK, "unlink", EIO, EACCES, EBUSY, EFAULT, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM,    \
    ENOTDIR, EPERM, EROFS)                                                                        \
  X(MKDIR, "mkdir", EACCES, EDQUOT, EEXIST, EFAULT, EINVAL, ELOOP, EMLINK, ENAMETOOLONG,          \
    ENOENT, ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS)                                                \
  X(RMDIR, "rmdir", EACCES, EBUSY, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM,           \
    ENOTDIR, ENOTEMPTY, EPERM, EROFS)                                                             \
  /* which closes all the same */                                                                 \
  X(CLOSE, "close", EIO, EINTR, ENOSPC, EDQUOT, EBADF)                                            \
  X(LSEEK, "lseek", EOVERFLOW, EINVAL, EBADF, ENXIO, ESPIPE)                                      \
  X(FCNTL, "fcntl", EPERM, EINVAL, EINTR, EBADF, EACCES, EAGAIN, EBUSY, EDEADLK, EFAULT,          \
    EMFILE, ENOLCK, ENOTDIR)                                                                      \
  /* of an eventfd */                                                                             \
  X(READ, "read", EAGAIN, EINTR, EINVAL, EBADF, EFAULT, EIO, EISDIR)                              \
  X(EVENTFD, "eventfd", EMFILE, ENOMEM, EINVAL, ENFILE, ENODEV)                                   \
  X(EPOLL_CTL, "epoll_ctl", ENOMEM, EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOSPC, EPERM)          \
  X(GETRLIMIT, "getrlimit", EFAULT, EINVAL, EPERM, ESRCH)                                         \
  X(UNAME, "uname", EFAULT)                                                                       \
  X(IOPRIO_SET, "ioprio_set", EPERM, EINVAL, ESRCH)                                               \
  /* this and mmap: every allocation */                                                           \
  X(MEMALIGN, "posix_memalign", ENOMEM, EINVAL)                                                   \
  X(MMAP, "mmap", ENOMEM, EACCES, EAGAIN, EBADF, EEXIST, EINVAL, ENFILE, ENODEV, EOVERFLOW,       \
    EPERM, ETXTBSY)                                                                               \
  X(MUNMAP, "munmap", EINVAL, ENOMEM)                                                             \
  X(MLOCK, "mlock", ENOMEM, EPERM, EAGAIN, EINVAL)                                                \
  X(MUNLOCK, "munlock", ENOMEM, EPERM, EAGAIN, EINVAL)                                            \
  X(MPROTECT, "mprotect", ENOMEM, EACCES, EINVAL)                                                 \
  X(MADVISE, "madvise", EINVAL, ENOMEM, EACCES, EAGAIN, EBADF, EBUSY, EFAULT, EHWPOISON, EIO,     \
    EPERM)                                                                                        \
  /* five functions of libuv */                                                                   \
  X(QUEUE_WORK, "uv_queue_work", EINVAL)                                                          \
  X(POLL_INIT, "uv_poll_init", EPERM, ENOMEM, EEXIST, ENOSPC)                                     \
  X(POLL_START, "uv_poll_start", EINVAL)                                                          \
  X(MUTEX_INIT, "uv_mutex_init", ENOMEM, EAGAIN, EPERM)                                           \
  X(CANCEL, "uv_cancel", EBUSY, EINVAL)                                                           \
  /* io_uring_setup(2) */                                                                         \
  X(SETUP, "io_uring_setup", EPERM, ENOMEM, EINVAL, ENOSYS, EFAULT, EMFILE, ENFILE)               \
  /* io_uring_register(2), with whatever opcode */                                                \
  X(REGISTER, "io_uring_register", ENOMEM, EINVAL, EPERM, ENOSYS, EACCES, EBADF, EBADFD,          \
    EBUSY, EEXIST, EFAULT, EMFILE, EOPNOTSUPP, ENXIO)                                             \
  /* io_uring_enter(2), to submit */                                                              \
  X(SUBMIT, "io_uring_enter (submit)", EPERM, EAGAIN, EINTR, EBUSY, ENOSYS, EBADF, EBADFD,        \
    EBADR, EEXIST, EFAULT, EINVAL, ENXIO, EOPNOTSUPP)                                             \
  /* and to get completions */                                                                    \
  X(GET_EVENTS, "io_uring_enter (get events)", EPERM, EAGAIN, EINTR, EBUSY, ENOSYS, EBADF,        \
    EBADFD, EBADR, EEXIST, EFAULT, EINVAL, ENXIO, EOPNOTSUPP)                                     \
  /* io_setup(2), io_destroy(2), io_submit(2) */                                                  \
  X(AIO_SETUP, "io_setup", EAGAIN, ENOSYS, EPERM, ENOMEM, EFAULT, EINVAL)                         \
  X(AIO_DESTROY, "io_destroy", EINVAL)                                                            \
  X(AIO_SUBMIT, "io_submit", EAGAIN, ENOSYS, EPERM, EINVAL, EBADF, EFAULT, EOPNOTSUPP)            \
  /* an entry that cancels another */                                                             \
  X(ENTRY_CANCEL, "an entry that cancels", EALREADY, ENOENT, EINVAL)
/* clang-format on */

#endif /* UVDIO_TEST_FAULTS_CALLS_H */
