/* SPDX-License-Identifier: MIT */
/*
 * What each call may fail with: the errors of its man page (Linux man-pages 6; liburing's for
 * io_uring_*), and what seccomp filters make of the three system calls of io_uring.
 */
#include <errno.h>

#include "faults.h"

#define ERRORS_MAX 32

struct errors {
  const char* name;
  int list[ERRORS_MAX]; /* ended by 0 */
};

/* pread(2) and preadv2(2) refer to read(2) and lseek(2), the other direction to write(2). */
#define OF_READ EIO, EAGAIN, EINTR, EINVAL, EBADF, EFAULT, EISDIR, ENXIO, EOVERFLOW, ESPIPE
#define OF_WRITE                                                                                \
  EIO, EAGAIN, EINTR, ENOSPC, EDQUOT, EFBIG, EINVAL, EBADF, EDESTADDRREQ, EFAULT, EPERM, EPIPE, \
      ENXIO, EOVERFLOW, ESPIPE
#define OF_SYNC EIO, ENOSPC, EINTR, EDQUOT, EBADF, EROFS, EINVAL

static const struct errors table[CALLS] = {
    [CALL_OPEN] = {"open", {EINVAL,     EAGAIN,    EINTR,  EMFILE, EACCES, EBADF,   EBUSY,
                            EDQUOT,     EEXIST,    EFAULT, EFBIG,  EISDIR, ELOOP,   ENAMETOOLONG,
                            ENFILE,     ENODEV,    ENOENT, ENOMEM, ENOSPC, ENOTDIR, ENXIO,
                            EOPNOTSUPP, EOVERFLOW, EPERM,  EROFS,  ETXTBSY}},
    [CALL_STATX] = {"statx",
                    {EACCES, EAGAIN, EINTR, ENOMEM, EBADF, EFAULT, EINVAL, ELOOP, ENAMETOOLONG,
                     ENOENT, ENOTDIR, ENOSYS}},
    [CALL_FSTATFS] = {"fstatfs", {EIO, EINTR, ENOSYS, EBADF, EFAULT, ENOMEM, EOVERFLOW}},
    [CALL_PREADV2] = {"preadv2", {EOPNOTSUPP, OF_READ}},
    [CALL_PREAD] = {"pread", {OF_READ}},
    [CALL_PWRITE] = {"pwrite", {OF_WRITE}},
    [CALL_FDATASYNC] = {"fdatasync", {OF_SYNC}},
    [CALL_FSYNC] = {"fsync", {OF_SYNC}},
    [CALL_FTRUNCATE] = {"ftruncate",
                        {EIO, EINTR, EFBIG, EINVAL, EACCES, EBADF, EISDIR, EPERM, EROFS, ETXTBSY}},
    [CALL_FALLOCATE] = {"fallocate",
                        {ENOSPC, EINTR, EOPNOTSUPP, EIO, EBADF, EFBIG, EINVAL, ENODEV, ENOSYS,
                         EPERM, ESPIPE, ETXTBSY}},
    [CALL_RENAME] = {"rename",
                     {EIO, EACCES, EBUSY, EDQUOT, EEXIST, EFAULT, EINVAL, EISDIR, ELOOP, EMLINK,
                      ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC, ENOTDIR, ENOTEMPTY, EPERM, EROFS,
                      EXDEV}},
    [CALL_LINK] = {"link",
                   {EIO, EACCES, EDQUOT, EEXIST, EFAULT, ELOOP, EMLINK, ENAMETOOLONG, ENOENT,
                    ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS, EXDEV}},
    [CALL_UNLINK] = {"unlink",
                     {EIO, EACCES, EBUSY, EFAULT, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM,
                      ENOTDIR, EPERM, EROFS}},
    [CALL_MKDIR] = {"mkdir",
                    {EACCES, EDQUOT, EEXIST, EFAULT, EINVAL, ELOOP, EMLINK, ENAMETOOLONG, ENOENT,
                     ENOMEM, ENOSPC, ENOTDIR, EPERM, EROFS}},
    [CALL_RMDIR] = {"rmdir",
                    {EACCES, EBUSY, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR,
                     ENOTEMPTY, EPERM, EROFS}},
    [CALL_CLOSE] = {"close", {EIO, EINTR, ENOSPC, EDQUOT, EBADF}},
    [CALL_LSEEK] = {"lseek", {EOVERFLOW, EINVAL, EBADF, ENXIO, ESPIPE}},
    [CALL_FCNTL] = {"fcntl",
                    {EPERM, EINVAL, EINTR, EBADF, EACCES, EAGAIN, EBUSY, EDEADLK, EFAULT, EMFILE,
                     ENOLCK, ENOTDIR}},
    [CALL_READ] = {"read", {EAGAIN, EINTR, EINVAL, EBADF, EFAULT, EIO, EISDIR}},
    [CALL_EVENTFD] = {"eventfd", {EMFILE, ENOMEM, EINVAL, ENFILE, ENODEV}},
    [CALL_EPOLL_CTL] = {"epoll_ctl", {ENOMEM, EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOSPC, EPERM}},
    [CALL_GETRLIMIT] = {"getrlimit", {EFAULT, EINVAL, EPERM, ESRCH}},
    [CALL_UNAME] = {"uname", {EFAULT}},
    [CALL_MEMALIGN] = {"posix_memalign", {ENOMEM, EINVAL}},
    [CALL_MMAP] = {"mmap",
                   {ENOMEM, EACCES, EAGAIN, EBADF, EEXIST, EINVAL, ENFILE, ENODEV, EOVERFLOW, EPERM,
                    ETXTBSY}},
    [CALL_MUNMAP] = {"munmap", {EINVAL, ENOMEM}},
    [CALL_MLOCK] = {"mlock", {ENOMEM, EPERM, EAGAIN, EINVAL}},
    [CALL_MUNLOCK] = {"munlock", {ENOMEM, EPERM, EAGAIN, EINVAL}},
    [CALL_MPROTECT] = {"mprotect", {ENOMEM, EACCES, EINVAL}},
    [CALL_MADVISE] = {"madvise",
                      {EINVAL, ENOMEM, EACCES, EAGAIN, EBADF, EBUSY, EFAULT, EHWPOISON, EIO,
                       EPERM}},
    [CALL_QUEUE_WORK] = {"uv_queue_work", {EINVAL}},
    [CALL_POLL_INIT] = {"uv_poll_init", {EPERM, ENOMEM, EEXIST, ENOSPC}},
    [CALL_POLL_START] = {"uv_poll_start", {EINVAL}},
    [CALL_MUTEX_INIT] = {"uv_mutex_init", {ENOMEM, EAGAIN, EPERM}},
    [CALL_CANCEL] = {"uv_cancel", {EBUSY, EINVAL}},
    [CALL_SETUP] = {"io_uring_setup", {EPERM, ENOMEM, EINVAL, ENOSYS, EFAULT, EMFILE, ENFILE}},
    [CALL_REGISTER] = {"io_uring_register",
                       {ENOMEM, EINVAL, EPERM, ENOSYS, EACCES, EBADF, EBADFD, EBUSY, EEXIST, EFAULT,
                        EMFILE, EOPNOTSUPP, ENXIO}},
    [CALL_SUBMIT] = {"io_uring_enter (submit)",
                     {EPERM, EAGAIN, EINTR, EBUSY, ENOSYS, EBADF, EBADFD, EBADR, EEXIST, EFAULT,
                      EINVAL, ENXIO, EOPNOTSUPP}},
    [CALL_GET_EVENTS] = {"io_uring_enter (get events)",
                         {EPERM, EAGAIN, EINTR, EBUSY, ENOSYS, EBADF, EBADFD, EBADR, EEXIST, EFAULT,
                          EINVAL, ENXIO, EOPNOTSUPP}},
    [CALL_ENTRY_CANCEL] = {"an entry that cancels", {EALREADY, ENOENT, EINVAL}},
};

const int* fault_errors(enum fault_call call) {
  return table[call].list;
}

const char* fault_call_name(enum fault_call call) {
  return table[call].name;
}
