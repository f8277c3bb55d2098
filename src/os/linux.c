/* SPDX-License-Identifier: MIT */
/*
 * Linux: O_DIRECT, statx(2) for the alignment, fallocate(2).
 *
 * An open takes several system calls, and both a ring (one completion at a time) and a worker (all
 * at once) perform them. So the order stands once, in uvdio__linux_open_advance(), as a walk over
 * steps:
 *
 *   PATH ──────────────► STAT_FILE ──► FINISH ──► DONE
 *     │ EEXIST           ▲    │ error    │ error
 *     └──► PRESENT ──────┘    └──────────┴──► UNDO ──► the error
 *
 * The path is opened once, without O_DIRECT, and direct I/O is switched on by the descriptor
 * (fcntl(2), F_SETFL): nothing is created by an open that fails, and nobody can change where the
 * path leads between two opens. PRESENT comes where the kernel can't tell afterwards whether an
 * open has created the file (before Linux 6.12, F_CREATED_QUERY): then PATH only creates, and
 * PRESENT opens what was there. Both are whole opens, of which at most one does anything; with
 * UVDIO_O_EXCLUSIVE there is no second one.
 *
 * A descriptor that the program has begins at STAT_FILE, and UNDO gives it back.
 *
 * The file is locked and then truncated only at the end, when nothing can be refused any more: an
 * open that fails must not have destroyed anything.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Where the C library has struct statx, the kernel's header would define it again; old versions of
 * musl have none. */
#ifndef STATX_TYPE
#include <linux/stat.h>
#endif

#include "os/os.h"

/* Since Linux 6.1. A struct statx that lacks the two fields has room for them: its size is
 * fixed. */
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000U
#endif
#define STATX_DIO_MEM_ALIGN_AT 152
#define STATX_DIO_OFFSET_ALIGN_AT 156

/* Since Linux 6.14, the same. */
#ifndef STATX_DIO_READ_ALIGN
#define STATX_DIO_READ_ALIGN 0x20000U
#endif
#define STATX_DIO_READ_OFFSET_ALIGN_AT 180

/* Since Linux 6.12: 1 if the open of this descriptor has created the file. */
#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY (1024 + 4)
#endif

/* Since Linux 3.15; some C libraries name it for GNU programs only. */
#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

/* RENAME_NOREPLACE, which C libraries keep in different headers. */
#define RENAME_NOREPLACE_FLAG 1u

/* Since Linux 6.11 (STATX_WRITE_ATOMIC). */
#define WRITE_ATOMIC 0x10000U
#define WRITE_ATOMIC_MIN_AT 168
#define WRITE_ATOMIC_MAX_AT 172

/* Bytes. The unit of stx_blocks (statx(2)) and of the ioctl BLKSECTGET, whatever the filesystem's
 * or the device's own blocks. */
#define SECTOR_SIZE 512

/* musl's headers lack it. */
#ifndef FALLOC_FL_ZERO_RANGE
#define FALLOC_FL_ZERO_RANGE 0x10
#endif

/* Since Linux 6.17. */
#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

/* Since Linux 4.13. */
#ifndef F_SET_RW_HINT
#define F_SET_RW_HINT (1024 + 12)
#endif

/* The type of an ioctl's number differs between C libraries. */
#ifdef __GLIBC__
typedef unsigned long ioctl_number_t;
#else
typedef int ioctl_number_t;
#endif

_Static_assert(sizeof(struct statx) <= sizeof(((uvdio__open_state_t*)NULL)->stat),
               "an opening holds a struct statx");

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

int uvdio__os_sync(intptr_t descriptor, int data_only) {
  int result = data_only ? fdatasync((int)descriptor) : fsync((int)descriptor);
  return result == 0 ? 0 : last_error();
}

/* By seeking and not by fstat(2), because that answers for block devices, too. Nothing else uses
 * the position. */
int64_t uvdio__os_size(intptr_t descriptor) {
  off_t end = lseek((int)descriptor, 0, SEEK_END);
  return end == -1 ? last_error() : end;
}

/*
 * Space
 */

int64_t uvdio__os_next_data(intptr_t descriptor, uint64_t offset) {
  return uvdio__posix_seek(descriptor, offset, SEEK_DATA, uvdio__os_size);
}

int64_t uvdio__os_next_hole(intptr_t descriptor, uint64_t offset) {
  return uvdio__posix_seek(descriptor, offset, SEEK_HOLE, uvdio__os_size);
}

int uvdio__linux_space_mode(uvdio_op_t op, unsigned flags) {
  if (op == UVDIO_OP_PREALLOCATE) {
    return (flags & UVDIO_SPACE_KEEP_SIZE) != 0 ? FALLOC_FL_KEEP_SIZE : 0;
  }
  assert(op == UVDIO_OP_PUNCH_HOLE || op == UVDIO_OP_ZERO_RANGE);
  return FALLOC_FL_KEEP_SIZE |
         (op == UVDIO_OP_PUNCH_HOLE ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

static int allocate(int descriptor, int mode, uint64_t offset, uint64_t length) {
  return fallocate(descriptor, mode, (off_t)offset, (off_t)length) == 0 ? 0 : last_error();
}

/* Bytes that one call writes at most. One that is interrupted is repeated with all of the request,
 * which then finds written what came before. */
#define ZEROS_MOST (UINT64_C(1) << 20)
#define ZEROS_SIZE ((size_t)65536)

/* Writes zeros past the page cache, if the file does. */
static int64_t write_some_zeros(int descriptor, uint64_t offset, uint64_t length) {
  static _Alignas(UVDIO_ALIGNMENT) char zeros[ZEROS_SIZE];
  struct iovec pieces[ZEROS_MOST / ZEROS_SIZE];
  uint64_t rest = length < ZEROS_MOST ? length : ZEROS_MOST;
  int count = 0;
  ssize_t wrote;

  for (; rest > 0; count++) {
    pieces[count].iov_base = zeros;
    pieces[count].iov_len = rest < ZEROS_SIZE ? (size_t)rest : ZEROS_SIZE;
    rest -= pieces[count].iov_len;
  }
  wrote = pwritev(descriptor, pieces, count, (off_t)offset);
  if (wrote == 0) {
    return UVDIO_ESHORTWRITE;
  }
  return wrote == -1 ? last_error() : wrote;
}

static int write_zeros(int descriptor, uint64_t offset, uint64_t length) {
  while (length > 0) {
    int64_t wrote = write_some_zeros(descriptor, offset, length);
    if (wrote < 0) {
      return (int)wrote;
    }
    offset += (uint64_t)wrote;
    length -= (uint64_t)wrote;
  }
  return 0;
}

/* Where nothing is written, zeros are. Refused are modes that the kernel does not know (EOPNOTSUPP,
 * or EINVAL where a filesystem looks first). */
static int fill_hole(int descriptor, uint64_t offset, uint64_t length) {
  int error = allocate(descriptor, FALLOC_FL_WRITE_ZEROES, offset, length);
  int is_refused = error == UV_ENOTSUP || error == UV_EINVAL || error == UV_ENOSYS;

  return is_refused ? write_zeros(descriptor, offset, length) : error;
}

/* The range lies below the end of the file, and all of it is allocated. A hole is what was never
 * written: data in the page cache counts as written (lseek(2), iomap_seek_hole()). */
static int fill_holes(int descriptor, uint64_t offset, uint64_t end) {
  int error = 0;

  while (error == 0) {
    int64_t hole = uvdio__os_next_hole(descriptor, offset);
    int64_t data;
    if (hole < 0 || (uint64_t)hole >= end) {
      return hole < 0 && hole != UV_ENXIO ? (int)hole : 0;
    }
    data = uvdio__os_next_data(descriptor, (uint64_t)hole);
    if (data < 0 && data != UV_ENXIO) {
      return (int)data;
    }
    offset = data < 0 || (uint64_t)data > end ? end : (uint64_t)data;
    error = fill_hole(descriptor, (uint64_t)hole, offset - (uint64_t)hole);
  }
  return error;
}

int uvdio__os_preallocate(intptr_t descriptor, uint64_t offset, uint64_t length, unsigned flags) {
  int mode = uvdio__linux_space_mode(UVDIO_OP_PREALLOCATE, flags);
  int error = allocate((int)descriptor, mode, offset, length);

  if (error == 0 && (flags & UVDIO_SPACE_WRITTEN) != 0) {
    error = fill_holes((int)descriptor, offset, offset + length);
  }
  return error;
}

int uvdio__os_punch_hole(intptr_t descriptor, uint64_t offset, uint64_t length) {
  return allocate((int)descriptor, uvdio__linux_space_mode(UVDIO_OP_PUNCH_HOLE, 0), offset, length);
}

int uvdio__os_zero_range(intptr_t descriptor, uint64_t offset, uint64_t length) {
  int mode = uvdio__linux_space_mode(UVDIO_OP_ZERO_RANGE, 0);
  int error = allocate((int)descriptor, mode, offset, length);

  if (error != UV_ENOTSUP) {
    return error;
  }
  error = uvdio__os_punch_hole(descriptor, offset, length);
  return error != 0 ? error
                    : uvdio__os_preallocate(descriptor, offset, length, UVDIO_SPACE_KEEP_SIZE);
}

/*
 * Hints
 */

/* The other attributes stay as they are. Filesystems that don't know this one may take it and say
 * nothing (ext4), so that it is asked for again. */
static int set_extent_size(int descriptor, uint32_t size) {
  struct fsxattr attributes;

  if (ioctl(descriptor, (ioctl_number_t)FS_IOC_FSGETXATTR, &attributes) == -1) {
    return last_error();
  }
  attributes.fsx_xflags &= ~(uint32_t)FS_XFLAG_EXTSIZE;
  attributes.fsx_xflags |= size > 0 ? FS_XFLAG_EXTSIZE : 0;
  attributes.fsx_extsize = size;
  if (ioctl(descriptor, (ioctl_number_t)FS_IOC_FSSETXATTR, &attributes) == -1 ||
      ioctl(descriptor, (ioctl_number_t)FS_IOC_FSGETXATTR, &attributes) == -1) {
    return last_error();
  }
  return attributes.fsx_extsize == size ? 0 : UV_ENOTSUP;
}

int uvdio__os_set_hint(intptr_t descriptor, uvdio_hint_t hint, uint64_t value) {
  int error = 0;

  if (hint == UVDIO_HINT_EXTENT_SIZE) {
    error = set_extent_size((int)descriptor, (uint32_t)value);
  } else if (fcntl((int)descriptor, F_SET_RW_HINT, &value) == -1) {
    error = last_error();
  }
  return error == UV_ENOTTY ? UV_ENOTSUP : error;
}

_Static_assert(UVDIO__AT_CWD == AT_FDCWD, "what stands for the working directory needs no look");

/* The C library's renameat2() is missing in versions of musl. */
int uvdio__os_rename(const uvdio__names_t* names) {
  int at = (int)names->at;
  int new_at = (int)names->new_at;
  long result = (names->flags & UVDIO_RENAME_NO_REPLACE) != 0
                    ? syscall(SYS_renameat2, at, names->path, new_at, names->new_path,
                              (unsigned)RENAME_NOREPLACE_FLAG)
                    : renameat(at, names->path, new_at, names->new_path);
  return result == 0 ? 0 : last_error();
}

/* Each thread is a folder there, next to the two that every folder has. */
int uvdio__os_thread_count(void) {
  struct stat tasks;
  return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 2 ? (int)tasks.st_nlink - 2 : 0;
}

int uvdio__os_advise_huge(void* memory, size_t size) {
  return madvise(memory, size, MADV_HUGEPAGE) == 0 ? 0 : last_error();
}

static int is_older_than(int major, int minor) {
  struct utsname system;
  int got_major, got_minor;

  return uname(&system) == 0 && sscanf(system.release, "%d.%d", &got_major, &got_minor) == 2 &&
         (got_major < major || (got_major == major && got_minor < minor));
}

/* Whether a step opens nothing but what it creates, or a device that nobody else has. */
static int is_exclusive(uvdio__open_step_t step, unsigned flags) {
  if ((flags & UVDIO_O_EXCLUSIVE) != 0) {
    return 1;
  }
  return step == UVDIO__OPEN_PATH && (flags & UVDIO_O_CREATE) != 0 && is_older_than(6, 12);
}

int uvdio__linux_open_flags(const uvdio__open_state_t* opening) {
  /* A FIFO without a writer must not block the open, and on 32-bit systems only open() sees to
   * O_LARGEFILE by itself. */
  int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_LARGEFILE;

  flags |= (opening->flags & UVDIO_O_DIRECTORY) != 0 ? O_DIRECTORY : 0;
  flags |= (opening->flags & UVDIO_O_ANONYMOUS) != 0 ? O_TMPFILE : 0;
  flags |= (opening->flags & UVDIO_O_RDWR) != 0 ? O_RDWR : O_RDONLY;
  flags |= (opening->flags & UVDIO_O_WRONLY) != 0 ? O_WRONLY : 0;
  flags |= (opening->flags & UVDIO_O_CREATE) != 0 ? O_CREAT : 0;
  flags |= (opening->flags & UVDIO_O_DSYNC) != 0 ? O_DSYNC : 0;
  flags |= (opening->flags & UVDIO_O_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
  flags |= is_exclusive(opening->step, opening->flags) ? O_EXCL : 0;
  return flags;
}

unsigned uvdio__linux_statx_mask(void) {
  return STATX_TYPE | STATX_SIZE | STATX_INO | STATX_MTIME | STATX_CTIME | STATX_BTIME |
         STATX_DIOALIGN | STATX_DIO_READ_ALIGN | WRITE_ATOMIC;
}

static uint32_t stat_field(const uvdio__open_state_t* opening, size_t at) {
  uint32_t value;
  memcpy(&value, opening->stat.bytes + at, sizeof(value));
  return value;
}

static const struct statx* stat_of(const uvdio__open_state_t* opening) {
  return (const struct statx*)(const void*)opening->stat.bytes;
}

/* Whether the open is for a device, of which nobody else may have one. */
static int is_for_a_device(unsigned flags) {
  return (flags & UVDIO_O_EXCLUSIVE) != 0 && (flags & UVDIO_O_CREATE) == 0;
}

/* Whether the file's kind can be read at an offset at all, and is the one that was meant. */
static int check_kind(const struct statx* stat, unsigned flags) {
  if (S_ISDIR(stat->stx_mode)) {
    return (flags & UVDIO_O_DIRECTORY) != 0 ? 0 : UV_EISDIR;
  }
  if ((flags & UVDIO_O_DIRECTORY) != 0) {
    return UV_ENOTDIR;
  }
  if (S_ISREG(stat->stx_mode) && is_for_a_device(flags)) {
    return UV_EINVAL;
  }
  return S_ISREG(stat->stx_mode) || S_ISBLK(stat->stx_mode) ? 0 : UV_ESPIPE;
}

/* Sets all flags that can be set now: the file also leaves non-blocking mode, in which a ring would
 * refuse instead of wait. The kernel only looks at the open file for that, and asks neither a disk
 * nor a server: it does not hold up a ring's loop. */
static int set_direct(uvdio__open_state_t* opening, int direct) {
  int others = opening->status_flags & ~(O_DIRECT | O_NONBLOCK); /* of an adopted descriptor */

  opening->direct = direct;
  if (!direct) { /* The page cache has no writes that can't be torn. */
    opening->facts.atomic_min = 0;
    opening->facts.atomic_max = 0;
  }
  return fcntl((int)opening->descriptor, F_SETFL, others | (direct ? O_DIRECT : 0)) == -1
             ? last_error()
             : 0;
}

/* Whether a descriptor was opened for what the flags ask for. */
static int allows(int status_flags, unsigned flags) {
  int mode = status_flags & O_ACCMODE;

  if ((flags & UVDIO_O_RDWR) != 0) {
    return mode == O_RDWR;
  }
  return mode == O_RDWR || mode == ((flags & UVDIO_O_WRONLY) != 0 ? O_WRONLY : O_RDONLY);
}

/* What the descriptor was opened with, and can't be given later. */
static int learn_status(uvdio__open_state_t* opening) {
  int status = fcntl((int)opening->descriptor, F_GETFL);

  if (status == -1) {
    return last_error();
  }
  if ((status & O_PATH) != 0) {
    return UV_EBADF;
  }
  if (!allows(status, opening->flags)) {
    return UV_EACCES;
  }
  if ((status & O_APPEND) != 0 ||
      ((opening->flags & UVDIO_O_DSYNC) != 0 && (status & O_DSYNC) == 0)) {
    return UV_EINVAL;
  }
  opening->flags |= (status & O_DSYNC) != 0 ? UVDIO_O_DSYNC : 0;
  opening->status_flags = status;
  opening->has_status = 1;
  return 0;
}

/* The file has no direct I/O. */
static int go_buffered(uvdio__open_state_t* opening) {
  if ((opening->flags & UVDIO_O_DIRECT_PREFERRED) == 0) {
    return UVDIO_ENODIRECT;
  }
  opening->memory_align = 0;
  opening->offset_align = 0;
  opening->read_align = 0;
  opening->recommended_align = 0;
  opening->align_source = UVDIO_ALIGN_DEFAULT;
  return set_direct(opening, 0);
}

/* A filesystem may take O_DIRECT and still not do it. It says so by an alignment of zero; one that
 * says nothing at all is taken at its word (statx(2), STATX_DIOALIGN). */
static int learn_alignment(uvdio__open_state_t* opening) {
  if (!opening->direct || (stat_of(opening)->stx_mask & STATX_DIOALIGN) == 0) {
    return 0;
  }
  opening->memory_align = stat_field(opening, STATX_DIO_MEM_ALIGN_AT);
  opening->offset_align = stat_field(opening, STATX_DIO_OFFSET_ALIGN_AT);
  opening->recommended_align = opening->offset_align;
  if ((stat_of(opening)->stx_mask & STATX_DIO_READ_ALIGN) != 0) {
    opening->read_align = stat_field(opening, STATX_DIO_READ_OFFSET_ALIGN_AT);
  }
  opening->align_source = UVDIO_ALIGN_STATX;
  return opening->memory_align != 0 && opening->offset_align != 0 ? 0 : go_buffered(opening);
}

/* The offset goes in two halves, of which 64-bit kernels take no notice of the second. */
static int64_t read_with(intptr_t descriptor, const struct iovec* pieces, unsigned count,
                         uint64_t offset, int flags) {
  return syscall(SYS_preadv2, (int)descriptor, pieces, (long)count, (long)offset,
                 (long)(offset >> 32), flags);
}

static int64_t write_with(intptr_t descriptor, const struct iovec* pieces, unsigned count,
                          uint64_t offset, int flags) {
  return syscall(SYS_pwritev2, (int)descriptor, pieces, (long)count, (long)offset,
                 (long)(offset >> 32), flags);
}

int64_t uvdio__os_move_and_drop(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                                uint64_t offset, int is_write, unsigned flags) {
  const struct iovec* list = (const struct iovec*)(const void*)pieces;
  int rwf = UVDIO__RWF_DONTCACHE | ((flags & UVDIO__WRITE_DSYNC) != 0 ? RWF_DSYNC : 0);
  int64_t moved = is_write ? write_with(descriptor, list, count, offset, rwf)
                           : read_with(descriptor, list, count, offset, UVDIO__RWF_DONTCACHE);
  return moved == -1 ? last_error() : moved;
}

/* What a read of that kind comes to, far past the end of the file, so that nothing is read: where
 * kernel or file refuse the kind, that comes first (preadv2(2), EOPNOTSUPP). Returns 0 or a code.
 */
static int try_read_with(const uvdio__open_state_t* opening, int flags) {
  static _Alignas(UVDIO_ALIGNMENT) char page[UVDIO_ALIGNMENT];
  struct iovec vector = {page, sizeof(page)};
  uint64_t far_away = (INT64_MAX & ~(uint64_t)(2 * UVDIO_ALIGNMENT - 1)) - UVDIO_ALIGNMENT;

  return read_with(opening->descriptor, &vector, 1, far_away, flags) == -1 ? last_error() : 0;
}

/* Whether the file takes non-blocking requests. One that does not makes a ring hand every request
 * to a kernel worker. With another error it may take them: each of them is asked then. */
static void learn_nowait(uvdio__open_state_t* opening) {
  if (try_read_with(opening, RWF_NOWAIT) == UV_ENOTSUP) {
    opening->quirks |= UVDIO__QUIRK_NO_NOWAIT;
  }
}

#define NS_PER_S INT64_C(1000000000)

/* Times outside of some 290 years around 1970 have none. */
static int64_t ns_of(const struct statx_timestamp* time) {
  if (time->tv_sec > INT64_MAX / NS_PER_S - 1 || time->tv_sec < INT64_MIN / NS_PER_S + 1) {
    return 0;
  }
  return time->tv_sec * NS_PER_S + time->tv_nsec;
}

static void learn_facts(uvdio__open_state_t* opening) {
  const struct statx* stat = stat_of(opening);
  uvdio_facts_t_* facts = &opening->facts;

  facts->size = S_ISBLK(stat->stx_mode) ? 0 : stat->stx_size;
  facts->device = makedev(stat->stx_dev_major, stat->stx_dev_minor);
  facts->inode = stat->stx_ino;
  facts->modified_ns = ns_of(&stat->stx_mtime);
  facts->changed_ns = ns_of(&stat->stx_ctime);
  facts->created_ns = (stat->stx_mask & STATX_BTIME) != 0 ? ns_of(&stat->stx_btime) : 0;
  facts->optimal_size = stat->stx_blksize;
  if ((stat->stx_mask & WRITE_ATOMIC) != 0) {
    facts->atomic_min = stat_field(opening, WRITE_ATOMIC_MIN_AT);
    facts->atomic_max = stat_field(opening, WRITE_ATOMIC_MAX_AT);
  }
}

static int learn_file(uvdio__open_state_t* opening) {
  int error = check_kind(stat_of(opening), opening->flags);

  if (error == 0 && opening->is_adopted) {
    error = learn_status(opening);
  }
  if (error != 0) {
    return error;
  }
  learn_facts(opening);
  if ((opening->flags & UVDIO_O_DIRECTORY) != 0) {
    return 0; /* There is nothing to be read or written. */
  }
  error = set_direct(opening, (opening->flags & UVDIO_O_BUFFERED) == 0);
  if (error == UV_EINVAL) {
    error = go_buffered(opening);
  }
  if (error == 0) {
    error = learn_alignment(opening);
  }
  if (error == 0 && (opening->flags & UVDIO_O_WRONLY) == 0) {
    learn_nowait(opening);
  }
  return error;
}

static uvdio__open_status_t go_to(uvdio__open_state_t* opening, uvdio__open_step_t next) {
  opening->step = next;
  return next == UVDIO__OPEN_DONE ? UVDIO__OPEN_SUCCEEDED : UVDIO__OPEN_GOES_ON;
}

static uvdio__open_status_t fail(uvdio__open_state_t* opening, int error) {
  opening->error = error;
  return UVDIO__OPEN_FAILED;
}

static uvdio__open_status_t after_open(uvdio__open_state_t* opening, int result) {
  if (result >= 0) {
    opening->descriptor = result;
    opening->opened_at = opening->step;
    return go_to(opening, UVDIO__OPEN_STAT_FILE);
  }
  if (result == UV_EEXIST && opening->step == UVDIO__OPEN_PATH &&
      (opening->flags & UVDIO_O_EXCLUSIVE) == 0) {
    return go_to(opening, UVDIO__OPEN_PRESENT);
  }
  if (result == UV_EISDIR && (opening->flags & UVDIO_O_ANONYMOUS) != 0) {
    result =
        UV_ENOTSUP; /* The filesystem has taken O_TMPFILE for O_DIRECTORY, which it contains. */
  }
  return fail(opening, result);
}

/* The file is open, and `result` tells whether it stays so. */
static uvdio__open_status_t go_on(uvdio__open_state_t* opening, int result,
                                  uvdio__open_step_t next) {
  if (result == 0) {
    return go_to(opening, next);
  }
  if ((opening->flags & UVDIO_O_CREATE) != 0 || opening->is_adopted) {
    opening->error = result;
    return go_to(opening, UVDIO__OPEN_UNDO);
  }
  return fail(opening, result);
}

uvdio__open_status_t uvdio__linux_open_advance(uvdio__open_state_t* opening, int result) {
  switch (opening->step) {
    case UVDIO__OPEN_PATH:
    case UVDIO__OPEN_PRESENT:
      return after_open(opening, result);
    case UVDIO__OPEN_STAT_FILE:
      return go_on(opening, result < 0 ? result : learn_file(opening), UVDIO__OPEN_FINISH);
    case UVDIO__OPEN_FINISH:
      return go_on(opening, result, UVDIO__OPEN_DONE);
    case UVDIO__OPEN_UNDO:
      opening->step = UVDIO__OPEN_DONE;
      return UVDIO__OPEN_FAILED;
    case UVDIO__OPEN_DONE:
      break;
  }
  assert(0 && "an open goes on after its end");
  return fail(opening, UV_EINVAL);
}

/*
 * Filesystems. A magic number is of 32 bits, in a field of either sign and any width.
 */

/* A short read ends at the end of the file. So it is where the kernel reads a disk or memory
 * itself; whoever passes requests on gives what he got. */
#define FS_SHORT_IS_END 1u
/* A ring takes what is only a short write for an error. */
#define FS_RING_SHORTS 2u
/* The size is that of the content. It is where others keep the file; of files that a kernel makes
 * up it says nothing. */
#define FS_SIZE_COUNTS 4u
/* RWF_DSYNC does what O_DSYNC does. Whoever passes writes on may leave out the flag. */
#define FS_WRITE_DSYNC 8u
/* Takes non-blocking requests. Only a descriptor for reads can be asked (learn_nowait). */
#define FS_NOWAIT 16u

typedef struct filesystem_s {
  uint32_t magic;
  const char* name;
  unsigned properties;
} filesystem_t;

static const filesystem_t* filesystem_of(uint32_t magic) {
  static const filesystem_t known[] = {
      {EXT4_SUPER_MAGIC, "ext4", FS_SHORT_IS_END | FS_WRITE_DSYNC | FS_NOWAIT},
      {XFS_SUPER_MAGIC, "xfs", FS_SHORT_IS_END | FS_WRITE_DSYNC | FS_NOWAIT},
      {BTRFS_SUPER_MAGIC, "btrfs", FS_SHORT_IS_END | FS_WRITE_DSYNC | FS_NOWAIT},
      {F2FS_SUPER_MAGIC, "f2fs", FS_SHORT_IS_END | FS_WRITE_DSYNC},
      {TMPFS_MAGIC, "tmpfs", FS_SHORT_IS_END | FS_WRITE_DSYNC},
      {RAMFS_MAGIC, "ramfs", FS_SHORT_IS_END | FS_WRITE_DSYNC},
      {FUSE_SUPER_MAGIC, "fuse", FS_RING_SHORTS | FS_SIZE_COUNTS},
      {NFS_SUPER_MAGIC, "nfs", FS_RING_SHORTS | FS_SIZE_COUNTS},
      {V9FS_MAGIC, "9p", FS_RING_SHORTS | FS_SIZE_COUNTS},
      {CEPH_SUPER_MAGIC, "ceph", FS_RING_SHORTS | FS_SIZE_COUNTS},
      {0xff534d42, "cifs", FS_RING_SHORTS | FS_SIZE_COUNTS},
      {0xfe534d42, "smb", FS_RING_SHORTS | FS_SIZE_COUNTS},
      {OVERLAYFS_SUPER_MAGIC, "overlay", FS_SIZE_COUNTS},
      {0x2fc12fc1, "zfs", 0},
      {0xca451a4e, "bcachefs", 0},
      {0x62646576, "bdev", FS_SHORT_IS_END | FS_WRITE_DSYNC},
  };
  static const filesystem_t unknown = {0, "unknown", 0};
  size_t i;

  for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (known[i].magic == magic) {
      return &known[i];
    }
  }
  return &unknown;
}

/* Before Linux 5.11, a durable asynchronous write to btrfs takes the inode's lock when it ends,
 * which a truncate may hold that waits for this very write: both, and whoever comes after them,
 * hang for ever. */
static int locks_up(uint32_t magic) {
  return magic == BTRFS_SUPER_MAGIC && is_older_than(5, 11);
}

/* Bytes. No filesystem's blocks are larger. */
#define TRIAL_SIZE 65536

/* What passes requests on (overlay, FUSE) or decides by the file (ntfs3) takes the flag for direct
 * I/O, and shows at the first transfer what it thinks of it. These are among those without
 * non-blocking requests. The transfer is a read behind the end of the file: nothing moves. Any
 * other error is not about direct I/O, and for whoever reads to see. */
static int try_direct(uvdio__open_state_t* opening) {
  static _Alignas(UVDIO_ALIGNMENT) char nothing[TRIAL_SIZE];
  uint64_t end = (stat_of(opening)->stx_size + TRIAL_SIZE - 1) & ~(uint64_t)(TRIAL_SIZE - 1);

  if (!opening->direct || (opening->quirks & UVDIO__QUIRK_NO_NOWAIT) == 0 ||
      end > INT64_MAX - TRIAL_SIZE) {
    return 0;
  }
  if (pread((int)opening->descriptor, nothing, sizeof(nothing), (off_t)end) == -1 &&
      (errno == EINVAL || errno == EOPNOTSUPP)) {
    return go_buffered(opening);
  }
  return 0;
}

/* XFS reports the size of the units that it copies on write for what shares them (reflinks), so
 * that no part of one has to be read and written through the page cache. It takes smaller writes
 * all the same, down to what reads require. An overlay reports what the filesystem below does; no
 * other one tells reads apart. */
static void learn_requirement(uvdio__open_state_t* opening, uint32_t magic) {
  if ((magic == XFS_SUPER_MAGIC || magic == OVERLAYFS_SUPER_MAGIC) && opening->read_align != 0 &&
      opening->read_align < opening->offset_align) {
    opening->offset_align = opening->read_align;
  }
}

/* FS_*_FL (ioctl_iflags(2)); 0 where the filesystem has none. */
static int attributes_of(const uvdio__open_state_t* opening) {
  int attributes = 0;

  return ioctl((int)opening->descriptor, (ioctl_number_t)FS_IOC_GETFLAGS, &attributes) == 0
             ? attributes
             : 0;
}

/* Whether the file's blocks are found by extents. Direct writes into holes of an ext4 file of the
 * older kind (as ext2 and ext3 make them) go through the page cache. */
static int has_extents(const uvdio__open_state_t* opening) {
  return (attributes_of(opening) & FS_EXTENT_FL) != 0;
}

/* Whether each write ends with a sync, by the mount (mount(8), sync) or by the file (chattr(1),
 * +S). Only filesystems of this machine are asked for attributes: FUSE would ask its server. */
static int is_synchronous(const uvdio__open_state_t* opening, const struct statfs* filesystem) {
  uint32_t magic = (uint32_t)filesystem->f_type;
  int has_attributes =
      magic == EXT4_SUPER_MAGIC || magic == XFS_SUPER_MAGIC || magic == BTRFS_SUPER_MAGIC;

  return !S_ISBLK(stat_of(opening)->stx_mode) &&
         (((unsigned long)filesystem->f_flags & ST_SYNCHRONOUS) != 0 ||
          (has_attributes && (attributes_of(opening) & FS_SYNC_FL) != 0));
}

/* Whether direct writes of the enforced alignment are whole blocks. XFS passes smaller ones through
 * the page cache where the blocks are shared, also by a reflink that is made later. */
static int writes_whole_blocks(const uvdio__open_state_t* opening, uint64_t block_size) {
  return (opening->flags & UVDIO_O_NATIVE_ALIGN) == 0 && block_size <= UVDIO_ALIGNMENT;
}

/* Whether no write of the file waits for write-back of the page cache: what was opened for direct
 * I/O may go there all the same (btrfs with checksums), and of a filesystem on top of another it is
 * not known. A tmpfs has no write-back. */
static int is_past_cache(const uvdio__open_state_t* opening, const struct statfs* filesystem) {
  uint32_t magic = (uint32_t)filesystem->f_type;

  if (S_ISBLK(stat_of(opening)->stx_mode)) {
    return opening->direct;
  }
  if (magic == TMPFS_MAGIC || magic == RAMFS_MAGIC) {
    return 1;
  }
  return opening->direct && ((magic == XFS_SUPER_MAGIC &&
                              writes_whole_blocks(opening, (uint64_t)filesystem->f_bsize)) ||
                             (magic == EXT4_SUPER_MAGIC && has_extents(opening)));
}

/* What the filesystem's name tells. That of a device is one of the folder that it lies in. */
static void learn_quirks(uvdio__open_state_t* opening, const filesystem_t* known) {
  int is_device = S_ISBLK(stat_of(opening)->stx_mode);

  if ((known->properties & FS_SHORT_IS_END) == 0) {
    opening->quirks |= UVDIO__QUIRK_SHORT_READ_NOT_EOF;
  }
  if ((known->properties & FS_RING_SHORTS) != 0) {
    opening->quirks |= UVDIO__QUIRK_RING_SHORTS;
  }
  if ((known->properties & FS_WRITE_DSYNC) == 0) {
    opening->quirks |= UVDIO__QUIRK_NO_WRITE_DSYNC;
  }
  if ((opening->flags & UVDIO_O_WRONLY) != 0 && (known->properties & FS_NOWAIT) == 0 &&
      !is_device) {
    opening->quirks |= UVDIO__QUIRK_NO_NOWAIT;
  }
}

/* Only a descriptor for reads can be asked. It is a wish, and no request may fail for it: anything
 * but a success is a no. */
static int drops_cache(const uvdio__open_state_t* opening) {
  return !opening->direct && (opening->flags & UVDIO_O_DONTCACHE) != 0 &&
         (opening->flags & UVDIO_O_WRONLY) == 0 &&
         try_read_with(opening, UVDIO__RWF_DONTCACHE) == 0;
}

static int set_lock(intptr_t descriptor, short type) {
  struct flock lock;

  memset(&lock, 0, sizeof(lock)); /* from the begin on, whatever the file grows to */
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return fcntl((int)descriptor, F_OFD_SETLK, &lock) == -1 ? last_error() : 0;
}

static int take_lock(const uvdio__open_state_t* opening) {
  int is_exclusive_lock = (opening->flags & UVDIO_O_LOCK_EXCLUSIVE) != 0;
  int error = set_lock(opening->descriptor, is_exclusive_lock ? F_WRLCK : F_RDLCK);

  return error == UV_EAGAIN || error == UV_EACCES ? UVDIO_ELOCKED : error;
}

void uvdio__os_release_lock(intptr_t descriptor) {
  (void)set_lock(descriptor, F_UNLCK);
}

#define QUEUE_PATH_SIZE \
  (sizeof("/sys/dev/block/:/../queue/physical_block_size") + 6 * sizeof(unsigned))

/* A number that sysfs has about a device's queue, which a partition has from its disk; or 0. */
static uint64_t queue_limit(unsigned major_number, unsigned minor_number, const char* name) {
  static const char* const places[] = {"", "../"};
  char path[QUEUE_PATH_SIZE];
  unsigned long long value = 0;
  size_t i;

  for (i = 0; value == 0 && i < sizeof(places) / sizeof(places[0]); i++) {
    FILE* file;
    (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major_number,
                   minor_number, places[i], name);
    file = fopen(path, "re");
    if (file != NULL) {
      if (fscanf(file, "%llu", &value) != 1) {
        value = 0;
      }
      (void)fclose(file);
    }
  }
  return value;
}

/* What the file's device takes. A filesystem without one, or with several, has major number 0. */
static void learn_device(uvdio__open_state_t* opening) {
  const struct statx* stat = stat_of(opening);
  uvdio_facts_t_* facts = &opening->facts;
  unsigned physical_block = 0;
  unsigned short sectors = 0;

  if (S_ISBLK(stat->stx_mode)) {
    (void)ioctl((int)opening->descriptor, (ioctl_number_t)BLKPBSZGET, &physical_block);
    (void)ioctl((int)opening->descriptor, (ioctl_number_t)BLKSECTGET, &sectors);
    facts->physical_block = physical_block;
    facts->request_max = (uint64_t)sectors * SECTOR_SIZE;
  } else if (stat->stx_dev_major != 0) {
    facts->physical_block =
        (uint32_t)queue_limit(stat->stx_dev_major, stat->stx_dev_minor, "physical_block_size");
    facts->request_max =
        queue_limit(stat->stx_dev_major, stat->stx_dev_minor, "max_sectors_kb") * 1024;
  }
}

/* Whether the device has queues for polled requests. The driver is given some when it is loaded. */
static void learn_polling(uvdio__open_state_t* opening) {
  const struct statx* stat = stat_of(opening);
  int is_device = S_ISBLK(stat->stx_mode);
  unsigned major_number = is_device ? stat->stx_rdev_major : stat->stx_dev_major;
  unsigned minor_number = is_device ? stat->stx_rdev_minor : stat->stx_dev_minor;

  opening->facts.can_poll =
      major_number != 0 && queue_limit(major_number, minor_number, "io_poll") == 1;
}

static int finish(uvdio__open_state_t* opening) {
  const filesystem_t* known;
  struct statfs filesystem;
  int result = fstatfs((int)opening->descriptor, &filesystem);

  if (result == -1 && errno == EINTR) {
    /* The walk repeats this step: the answer matters on filesystems that can be interrupted. */
    return UV_EINTR;
  }
  if (result == -1) {
    filesystem.f_type = 0; /* of no filesystem */
    filesystem.f_flags = 0;
  }
  known = filesystem_of((uint32_t)filesystem.f_type);
  opening->filesystem = known->name;
  learn_requirement(opening, known->magic);
  learn_quirks(opening, known);
  learn_device(opening);
  if (opening->wants_polled) {
    learn_polling(opening);
  }
  result = try_direct(opening);
  if (!is_past_cache(opening, &filesystem)) {
    opening->quirks |= UVDIO__QUIRK_SHARED_WRITEBACK_ERROR;
    opening->is_synchronous = is_synchronous(opening, &filesystem);
  }
  if (locks_up((uint32_t)filesystem.f_type)) {
    opening->quirks |= (opening->flags & UVDIO_O_DSYNC) != 0 || opening->is_synchronous
                           ? UVDIO__QUIRK_ASYNC_DSYNC_HANG
                           : UVDIO__QUIRK_NO_WRITE_DSYNC;
  }
  opening->drops_cache = drops_cache(opening);
  if (!opening->direct && (known->properties & (FS_SHORT_IS_END | FS_SIZE_COUNTS)) == 0) {
    opening->quirks |= UVDIO__QUIRK_ODD_SIZE;
  }
  if (result == 0 && (opening->flags & UVDIO__LOCKS) != 0) {
    result = take_lock(opening);
  }
  if (result == 0 && (opening->flags & UVDIO_O_TRUNCATE) != 0) {
    result = uvdio__os_truncate(opening->descriptor, 0);
  }
  return result;
}

int uvdio__os_stat(intptr_t descriptor, uvdio_stat_t* stat) {
  union {
    uint64_t align;
    char bytes[256]; /* struct statx, of which the kernel fixed the size */
  } room;
  const struct statx* told = (const struct statx*)(const void*)room.bytes;
  int64_t size;

  if (syscall(SYS_statx, (int)descriptor, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME,
              room.bytes) == -1) {
    return last_error();
  }
  size = S_ISBLK(told->stx_mode) ? uvdio__os_size(descriptor) : (int64_t)told->stx_size;
  if (size < 0) {
    return (int)size;
  }
  stat->size = (uint64_t)size;
  stat->allocated = told->stx_blocks * SECTOR_SIZE;
  stat->device = makedev(told->stx_dev_major, told->stx_dev_minor);
  stat->inode = told->stx_ino;
  stat->links = told->stx_nlink;
  stat->mode = told->stx_mode;
  stat->accessed_ns = ns_of(&told->stx_atime);
  stat->modified_ns = ns_of(&told->stx_mtime);
  stat->changed_ns = ns_of(&told->stx_ctime);
  stat->created_ns = (told->stx_mask & STATX_BTIME) != 0 ? ns_of(&told->stx_btime) : 0;
  return 0;
}

static int call_statx(uvdio__open_state_t* opening) {
  long result = syscall(SYS_statx, (int)opening->descriptor, "", AT_EMPTY_PATH,
                        uvdio__linux_statx_mask(), opening->stat.bytes);
  return result == 0 ? 0 : last_error();
}

#define LINK_SIZE (sizeof("/proc/self/fd/") + 3 * sizeof(int))

static const char* link_to(int descriptor, char link[LINK_SIZE]) {
  (void)snprintf(link, LINK_SIZE, "/proc/self/fd/%d", descriptor);
  return link;
}

/* By the file's name in /proc, which takes no privilege. Without that, by the descriptor, which
 * needs CAP_DAC_READ_SEARCH before Linux 6.10 (open(2), O_TMPFILE; linkat(2), AT_EMPTY_PATH). */
int uvdio__os_link_open_file(intptr_t descriptor, const uvdio__names_t* names) {
  char link[LINK_SIZE];
  int result = linkat(AT_FDCWD, link_to((int)descriptor, link), (int)names->new_at, names->new_path,
                      AT_SYMLINK_FOLLOW);

  if (result == -1 && errno == ENOENT) {
    result = linkat((int)descriptor, "", (int)names->new_at, names->new_path, AT_EMPTY_PATH);
  }
  return result == -1 ? last_error() : 0;
}

/* A regular file that is leased to somebody (Samba, NFS) makes a non-blocking open fail instead of
 * wait (open(2), EWOULDBLOCK). It is not what the flag is there for. What is looked at is what gets
 * opened: a FIFO in its place might never open. */
static int wait_for_lease(const uvdio__open_state_t* opening, int flags) {
  char link[LINK_SIZE];
  struct stat found;
  int result = UV_EAGAIN;
  int place = openat((int)opening->at, opening->path, O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW));

  if (place == -1) {
    return result;
  }
  if (fstat(place, &found) == 0 && S_ISREG(found.st_mode)) {
    int descriptor = open(link_to(place, link), flags & ~(O_NONBLOCK | O_NOFOLLOW | O_CREAT));
    result = descriptor == -1 ? last_error() : descriptor;
  }
  (void)close(place);
  return result == UV_ENOENT ? UV_EAGAIN : result; /* Without /proc there is no such way. */
}

static int open_now(const uvdio__open_state_t* opening) {
  int flags = uvdio__linux_open_flags(opening);
  int descriptor = openat((int)opening->at, opening->path, flags, opening->mode);
  int result = descriptor == -1 ? last_error() : descriptor;

  return result == UV_EAGAIN && (flags & O_EXCL) == 0 ? wait_for_lease(opening, flags) : result;
}

/* Whether this open is known to have created its file. */
static int has_created(const uvdio__open_state_t* opening) {
  int created = fcntl((int)opening->descriptor, F_CREATED_QUERY, 0);
  return created == 1 || (created == -1 && (opening->flags & UVDIO_O_CREATE) != 0 &&
                          is_exclusive(opening->opened_at, opening->flags));
}

/* Where the path leads to the file by a link, the file's own name is the system's to tell. */
static void remove_target(int descriptor) {
  char link[LINK_SIZE];
  char name[PATH_MAX] = {0};

  if (readlink(link_to(descriptor, link), name, sizeof(name) - 1) > 0) {
    (void)uvdio__posix_remove(AT_FDCWD, name, descriptor);
  }
}

/* Before its flags were learnt they have not been changed. */
static void give_back(uvdio__open_state_t* opening) {
  if (opening->descriptor != -1 && opening->has_status) {
    (void)fcntl((int)opening->descriptor, F_SETFL, opening->status_flags);
  }
  opening->descriptor = -1;
}

void uvdio__os_undo_open(uvdio__open_state_t* opening) {
  int descriptor = (int)opening->descriptor;

  if (opening->is_adopted) {
    give_back(opening);
    return;
  }
  /* Who has locked it between its creation and this open's lock goes on with it. */
  if (descriptor != -1 && opening->error != UVDIO_ELOCKED && has_created(opening) &&
      !uvdio__posix_remove((int)opening->at, opening->path, descriptor)) {
    remove_target(descriptor);
  }
}

/* Performs the present step, blocking. */
static int perform_step(uvdio__open_state_t* opening) {
  switch (opening->step) {
    case UVDIO__OPEN_PATH:
    case UVDIO__OPEN_PRESENT:
      return open_now(opening);
    case UVDIO__OPEN_STAT_FILE:
      return call_statx(opening);
    case UVDIO__OPEN_FINISH:
      return finish(opening);
    case UVDIO__OPEN_UNDO:
      uvdio__os_undo_open(opening);
      return 0;
    case UVDIO__OPEN_DONE:
      break;
  }
  assert(0 && "an open goes on after its end");
  return UV_EINVAL;
}

int uvdio__os_open(uvdio__open_state_t* opening) {
  uvdio__open_status_t status = UVDIO__OPEN_GOES_ON;
  unsigned retries = 0;

  while (status == UVDIO__OPEN_GOES_ON) {
    int result = perform_step(opening);
    if (result != UV_EINTR || retries++ == UVDIO__RETRIES_MAX) {
      status = uvdio__linux_open_advance(opening, result);
    }
  }
  return status == UVDIO__OPEN_SUCCEEDED ? 0 : opening->error;
}
