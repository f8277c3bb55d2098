/*
 * Linux: O_DIRECT, statx(2) for the alignment, fallocate(2).
 *
 * An open takes several system calls, and both a ring (one completion at a time) and a worker (all at once)
 * perform them. So the order stands once, in uvdio__linux_open_advance(), as a walk over steps:
 *
 *   OPEN_DIRECT ──► STAT_FILE ──► FINISH ──► DONE
 *        │ EINVAL       ▲
 *        ├──► OPEN_BUFFERED   (UVDIO_DIRECT_PREFERRED)
 *        └──► STAT_PATH ──► an error: UV_EISDIR or UVDIO_ENODIRECT
 *
 * The file is truncated only at the end, when nothing can be refused any more: an open that fails must not
 * have destroyed anything.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Where the C library has struct statx, the kernel's header would define it again; old versions of musl have none. */
#ifndef STATX_TYPE
#include <linux/stat.h>
#endif

#include "os.h"

/* musl's headers lack it, and preadv2(), in some versions. */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

/* Since Linux 6.1. A struct statx that lacks the two fields has room for them: its size is fixed. */
#ifndef STATX_DIOALIGN
#define STATX_DIOALIGN 0x2000U
#endif
#define STATX_DIO_MEM_ALIGN_AT 152
#define STATX_DIO_OFFSET_ALIGN_AT 156

_Static_assert(sizeof(struct statx) <= sizeof(((uvdio__opening_t*)NULL)->stat),
               "an opening holds a struct statx");

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

int uvdio__os_sync(intptr_t descriptor, int data_only) {
  int result = data_only ? fdatasync((int)descriptor) : fsync((int)descriptor);
  return result == 0 ? 0 : last_error();
}

/* By seeking and not by fstat(2), because that answers for block devices, too. Nothing else uses the position. */
int64_t uvdio__os_size(intptr_t descriptor) {
  off_t end = lseek((int)descriptor, 0, SEEK_END);
  return end == -1 ? last_error() : end;
}

int uvdio__os_preallocate(intptr_t descriptor, uint64_t length) {
  return fallocate((int)descriptor, 0, 0, (off_t)length) == 0 ? 0 : last_error();
}

int uvdio__os_advise_huge(void* memory, size_t size) {
  return madvise(memory, size, MADV_HUGEPAGE) == 0 ? 0 : last_error();
}

int uvdio__linux_open_flags(const uvdio__opening_t* opening) {
  /* A FIFO without a writer must not block the open, and on 32-bit systems only open() sees to O_LARGEFILE by itself. */
  int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_LARGEFILE;

  flags |= (opening->flags & UVDIO_RDWR) != 0 ? O_RDWR : O_RDONLY;
  flags |= (opening->flags & UVDIO_CREATE) != 0 ? O_CREAT : 0;
  flags |= (opening->flags & UVDIO_DSYNC) != 0 ? O_DSYNC : 0;
  flags |= (opening->flags & UVDIO_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
  if (opening->step == UVDIO__OPEN_DIRECT) {
    return flags | O_DIRECT | ((opening->flags & UVDIO_EXCLUSIVE) != 0 ? O_EXCL : 0);
  }
  /* A refused direct open may have created the file, so exclusive creation would now refuse itself. */
  return flags;
}

unsigned uvdio__linux_statx_mask(void) {
  return STATX_TYPE | STATX_MODE | STATX_DIOALIGN;
}

static uint32_t stat_field(const uvdio__opening_t* opening, size_t at) {
  uint32_t value;
  memcpy(&value, opening->stat.bytes + at, sizeof(value));
  return value;
}

static const struct statx* stat_of(const uvdio__opening_t* opening) {
  return (const struct statx*)(const void*)opening->stat.bytes;
}

/* Whether the file's kind can be read at an offset at all. */
static int check_kind(const struct statx* stat) {
  if (S_ISDIR(stat->stx_mode)) {
    return UV_EISDIR;
  }
  return S_ISREG(stat->stx_mode) || S_ISBLK(stat->stx_mode) ? 0 : UV_ESPIPE;
}

/* A filesystem may take O_DIRECT at open and still not do it. It says so by an alignment of zero; one that
 * says nothing at all is taken at its word (statx(2), STATX_DIOALIGN). */
static int learn_alignment(uvdio__opening_t* opening) {
  int flags;

  if (!opening->direct || (stat_of(opening)->stx_mask & STATX_DIOALIGN) == 0) {
    return 0;
  }
  opening->memory_align = stat_field(opening, STATX_DIO_MEM_ALIGN_AT);
  opening->offset_align = stat_field(opening, STATX_DIO_OFFSET_ALIGN_AT);
  opening->align_source = UVDIO_ALIGN_STATX;
  if (opening->memory_align != 0 && opening->offset_align != 0) {
    return 0;
  }
  if ((opening->flags & UVDIO_DIRECT_PREFERRED) == 0) {
    return UVDIO_ENODIRECT;
  }
  flags = fcntl((int)opening->descriptor, F_GETFL);
  if (flags == -1 || fcntl((int)opening->descriptor, F_SETFL, flags & ~O_DIRECT) == -1) {
    return last_error();
  }
  opening->direct = 0;
  return 0;
}

/* Whether the file takes non-blocking requests. One that does not makes a ring hand every request to a kernel
 * worker. Asked far past the end of the file, so that nothing is read: a refusal comes first (preadv2(2),
 * RWF_NOWAIT, EOPNOTSUPP). */
static void learn_nowait(uvdio__opening_t* opening) {
  static _Alignas(UVDIO_ALIGNMENT) char page[UVDIO_ALIGNMENT];
  struct iovec vector = {page, sizeof(page)};
  off_t far_away = INT64_MAX & ~(off_t)(2 * UVDIO_ALIGNMENT - 1);

  far_away -= UVDIO_ALIGNMENT;
  /* The offset goes in two halves, of which 64-bit kernels take no notice of the second. */
  if (syscall(SYS_preadv2, (int)opening->descriptor, &vector, 1L, (long)far_away, (long)(far_away >> 32),
              RWF_NOWAIT) == -1 &&
      errno == EOPNOTSUPP) {
    opening->traits |= UVDIO__TRAIT_NO_NOWAIT;
  }
}

/* Takes the file out of non-blocking mode, in which a ring would refuse instead of wait. */
static int allow_blocking(const uvdio__opening_t* opening) {
  int flags = fcntl((int)opening->descriptor, F_GETFL);

  if (flags == -1 || fcntl((int)opening->descriptor, F_SETFL, flags & ~O_NONBLOCK) == -1) {
    return last_error();
  }
  return 0;
}

static int learn_file(uvdio__opening_t* opening) {
  int error = check_kind(stat_of(opening));

  if (error == 0) {
    error = allow_blocking(opening);
  }
  if (error == 0) {
    error = learn_alignment(opening);
  }
  if (error == 0) {
    learn_nowait(opening);
  }
  return error;
}

static int accept_descriptor(uvdio__opening_t* opening, int descriptor, int direct) {
  opening->descriptor = descriptor;
  opening->direct = direct;
  opening->step = UVDIO__OPEN_STAT_FILE;
  return 1;
}

static int after_direct_open(uvdio__opening_t* opening, int result) {
  if (result >= 0) {
    return accept_descriptor(opening, result, 1);
  }
  if (result != UV_EINVAL) {
    return result;
  }
  opening->step = (opening->flags & UVDIO_DIRECT_PREFERRED) != 0 ? UVDIO__OPEN_BUFFERED
                                                                  : UVDIO__OPEN_STAT_PATH;
  return 1;
}

/* A file that was to be created and is not there was refused for its name, or whatever it was: not for direct I/O, which
 * is looked at when the file exists. */
static int after_stat_path(const uvdio__opening_t* opening, int result) {
  int error = result < 0 ? result : check_kind(stat_of(opening));

  if (error == UV_ENOENT && (opening->flags & UVDIO_CREATE) != 0) {
    return UV_EINVAL;
  }
  return error != 0 ? error : UVDIO_ENODIRECT;
}

int uvdio__linux_open_advance(uvdio__opening_t* opening, int result) {
  switch (opening->step) {
    case UVDIO__OPEN_DIRECT:
      return after_direct_open(opening, result);
    case UVDIO__OPEN_BUFFERED:
      return result < 0 ? result : accept_descriptor(opening, result, 0);
    case UVDIO__OPEN_STAT_PATH:
      return after_stat_path(opening, result);
    case UVDIO__OPEN_STAT_FILE:
      result = result < 0 ? result : learn_file(opening);
      opening->step = UVDIO__OPEN_FINISH;
      return result < 0 ? result : 1;
    case UVDIO__OPEN_FINISH:
      opening->step = UVDIO__OPEN_DONE;
      return result;
    case UVDIO__OPEN_DONE:
      break;
  }
  assert(0 && "an open goes on after its end");
  return UV_EINVAL;
}

/* A magic number is of 32 bits, in a field of either sign and any width. */
static const char* filesystem_name(uint32_t magic) {
  static const struct {
    uint32_t magic;
    const char* name;
  } known[] = {{EXT4_SUPER_MAGIC, "ext4"},     {XFS_SUPER_MAGIC, "xfs"},
               {BTRFS_SUPER_MAGIC, "btrfs"},   {TMPFS_MAGIC, "tmpfs"},
               {FUSE_SUPER_MAGIC, "fuse"},     {NFS_SUPER_MAGIC, "nfs"},
               {F2FS_SUPER_MAGIC, "f2fs"},     {OVERLAYFS_SUPER_MAGIC, "overlay"},
               {0x2fc12fc1, "zfs"},            {V9FS_MAGIC, "9p"},
               {RAMFS_MAGIC, "ramfs"},         {CEPH_SUPER_MAGIC, "ceph"},
               {0xff534d42, "cifs"},           {0xfe534d42, "smb"},
               {0xca451a4e, "bcachefs"},       {0x62646576, "bdev"}};
  size_t i;

  for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (known[i].magic == magic) {
      return known[i].name;
    }
  }
  return "unknown";
}

/* What the kernel's own filesystems on a block device promise, and those that pass requests on can't. */
static int may_end_early(uint32_t magic) {
  return magic == FUSE_SUPER_MAGIC || magic == NFS_SUPER_MAGIC || magic == V9FS_MAGIC ||
         magic == CEPH_SUPER_MAGIC || magic == 0xff534d42 || magic == 0xfe534d42;
}

static int is_older_than(int major, int minor) {
  struct utsname system;
  int got_major, got_minor;

  return uname(&system) == 0 && sscanf(system.release, "%d.%d", &got_major, &got_minor) == 2 &&
         (got_major < major || (got_major == major && got_minor < minor));
}

/* Before Linux 5.11, a durable asynchronous write to btrfs takes the inode's lock when it ends, which a truncate may hold
 * that waits for this very write: both, and whoever comes after them, hang for ever. */
static int locks_up(uint32_t magic, unsigned flags) {
  return magic == BTRFS_SUPER_MAGIC && (flags & UVDIO_DSYNC) != 0 && is_older_than(5, 11);
}

static int finish(uvdio__opening_t* opening) {
  struct statfs filesystem;
  int result = fstatfs((int)opening->descriptor, &filesystem);

  if (result == -1 && errno == EINTR) {
    return UV_EINTR; /* The walk repeats this step: the answer matters on filesystems that can be interrupted. */
  }
  if (result == 0) {
    opening->filesystem = filesystem_name((uint32_t)filesystem.f_type);
    if (may_end_early((uint32_t)filesystem.f_type)) {
      opening->traits |= UVDIO__TRAIT_ODD_SHORTS;
    }
    if (locks_up((uint32_t)filesystem.f_type, opening->flags)) {
      opening->traits |= UVDIO__TRAIT_RING_HANGS;
    }
  }
  if ((opening->flags & UVDIO_TRUNCATE) != 0) {
    return uvdio__os_truncate(opening->descriptor, 0);
  }
  return 0;
}

int uvdio__linux_open_finish_blocks(const uvdio__opening_t* opening) {
  return (opening->flags & UVDIO_TRUNCATE) != 0 ||
         (opening->traits & UVDIO__TRAIT_NO_NOWAIT) != 0;
}

static int call_statx(uvdio__opening_t* opening, int descriptor, const char* path, int flags) {
  long result = syscall(SYS_statx, descriptor, path, flags, uvdio__linux_statx_mask(),
                        opening->stat.bytes);
  return result == 0 ? 0 : last_error();
}

/* A regular file that is leased to somebody (Samba, NFS) makes a non-blocking open fail instead of wait (open(2),
 * EWOULDBLOCK). It is not what the flag is there for. */
static int open_now(const uvdio__opening_t* opening) {
  int flags = uvdio__linux_open_flags(opening);
  int descriptor = open(opening->path, flags, opening->mode);
  struct stat found;
  int result = descriptor == -1 ? last_error() : descriptor;

  if (result == UV_EAGAIN && stat(opening->path, &found) == 0 && S_ISREG(found.st_mode)) {
    descriptor = open(opening->path, flags & ~O_NONBLOCK, opening->mode);
    result = descriptor == -1 ? last_error() : descriptor;
  }
  return result;
}

/* Performs the present step, blocking. */
static int perform_step(uvdio__opening_t* opening) {
  switch (opening->step) {
    case UVDIO__OPEN_DIRECT:
    case UVDIO__OPEN_BUFFERED:
      return open_now(opening);
    case UVDIO__OPEN_STAT_PATH:
      return call_statx(opening, AT_FDCWD, opening->path, 0);
    case UVDIO__OPEN_STAT_FILE:
      return call_statx(opening, (int)opening->descriptor, "", AT_EMPTY_PATH);
    case UVDIO__OPEN_FINISH:
      return finish(opening);
    case UVDIO__OPEN_DONE:
      break;
  }
  assert(0 && "an open goes on after its end");
  return UV_EINVAL;
}

int uvdio__os_open(uvdio__opening_t* opening) {
  int next;

  do {
    int result = perform_step(opening);
    next = result == UV_EINTR ? 1 : uvdio__linux_open_advance(opening, result);
  } while (next == 1);
  return next;
}
