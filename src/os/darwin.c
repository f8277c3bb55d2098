/* SPDX-License-Identifier: MIT */
/*
 * macOS: F_NOCACHE, F_PREALLOCATE, F_FULLFSYNC.
 *
 * Direct I/O is a property that an open file takes on, not a way of opening it, and what is not
 * aligned goes through the cache instead of being refused. So an open is a plain sequence: open,
 * look, set, and truncate at the very end, because an open that fails must not have destroyed
 * anything. Nor does it leave what it has created.
 *
 * What durable means here: write(2), fsync(2) and O_DSYNC all end at the drive, which may still
 * hold the data in a cache that does not survive a power cut. Only F_FULLFSYNC empties that cache
 * (fsync(2), fcntl(2)). So both kinds of sync use it, and a file that is UVDIO_O_DSYNC gets one
 * after each write (UVDIO__QUIRK_EMULATE_DSYNC), because O_DSYNC alone would promise less than it
 * does on Linux.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/disk.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"

/* Bytes. The unit of st_blocks, whatever the filesystem's own block size (stat(2)). */
#define STAT_BLOCK_SIZE 512

static int last_error(void) {
  return uv_translate_sys_error(errno);
}

/* What reaches the device without F_FULLFSYNC. A disk device does not know that command but has one
 * of its own. */
static int sync_plainly(int descriptor) {
  struct stat stat;

  if (fsync(descriptor) == -1 || fstat(descriptor, &stat) == -1) {
    return last_error();
  }
  if (S_ISREG(stat.st_mode)) {
    return 0;
  }
  return ioctl(descriptor, DKIOCSYNCHRONIZECACHE) == -1 ? last_error() : 0;
}

/* Both kinds are the same: F_BARRIERFSYNC, which is cheaper, only orders, and "no assumption should
 * be made on what has been persisted" when it returns (fcntl(2)). Network filesystems and some
 * others don't know F_FULLFSYNC, and a read-only volume refuses it; whether that matters is for
 * fsync(2) to say. Any other error is one of the drive, and must not be covered up by a call that
 * asks less of it. */
int uvdio__os_sync(intptr_t descriptor, int data_only) {
  (void)data_only;
  if (fcntl((int)descriptor, F_FULLFSYNC) != -1) {
    return 0;
  }
  if (errno == ENOTSUP || errno == ENOTTY || errno == EINVAL || errno == EROFS) {
    return sync_plainly((int)descriptor);
  }
  return last_error();
}

/* Not by seeking: the end of a disk device is at 0 for lseek(2). */
int64_t uvdio__os_size(intptr_t descriptor) {
  struct stat stat;
  uint32_t block_size;
  uint64_t block_count;

  if (fstat((int)descriptor, &stat) == -1) {
    return last_error();
  }
  if (S_ISREG(stat.st_mode)) {
    return stat.st_size;
  }
  if (ioctl((int)descriptor, DKIOCGETBLOCKSIZE, &block_size) == -1 ||
      ioctl((int)descriptor, DKIOCGETBLOCKCOUNT, &block_count) == -1) {
    return last_error();
  }
  return (int64_t)(block_count * block_size);
}

/* Reserves `size` more bytes, behind what the file has. In one piece if that can be had. */
static int reserve(int descriptor, off_t size) {
  fstore_t store = {F_ALLOCATECONTIG | F_ALLOCATEALL, F_PEOFPOSMODE, 0, size, 0};

  if (fcntl(descriptor, F_PREALLOCATE, &store) != -1) {
    return 0;
  }
  store.fst_flags = F_ALLOCATEALL;
  return fcntl(descriptor, F_PREALLOCATE, &store) == -1 ? last_error() : 0;
}

/* Space is counted from the physical end of the file, which lies past its size where space was
 * reserved before. A hole before that end stays one: the system has no call that fills it, nor one
 * that marks blocks as written.
 *
 * Nor has it a call that only grows a file. So the size is set where it was seen to be less, and a
 * write past the range that ends in between is cut off. */
int uvdio__os_preallocate(intptr_t descriptor, uint64_t offset, uint64_t length, unsigned flags) {
  off_t wanted = (off_t)(offset + length);
  off_t taken;
  struct stat stat;
  int error = 0;

  if ((flags & UVDIO_SPACE_WRITTEN) != 0) {
    return UV_ENOTSUP;
  }
  if (fstat((int)descriptor, &stat) == -1) {
    return last_error();
  }
  taken = stat.st_blocks * STAT_BLOCK_SIZE;
  taken = taken > stat.st_size ? taken : stat.st_size;
  if (wanted > taken) {
    error = reserve((int)descriptor, wanted - taken);
  }
  if (error == 0 && wanted > stat.st_size && (flags & UVDIO_SPACE_KEEP_SIZE) == 0) {
    error = uvdio__os_truncate(descriptor, (uint64_t)wanted);
  }
  return error;
}

int64_t uvdio__os_next_data(intptr_t descriptor, uint64_t offset) {
  return uvdio__posix_seek(descriptor, offset, SEEK_DATA, uvdio__os_size);
}

int64_t uvdio__os_next_hole(intptr_t descriptor, uint64_t offset) {
  return uvdio__posix_seek(descriptor, offset, SEEK_HOLE, uvdio__os_size);
}

int uvdio__os_punch_hole(intptr_t descriptor, uint64_t offset, uint64_t length) {
  fpunchhole_t hole = {0, 0, (off_t)offset, (off_t)length};
  return fcntl((int)descriptor, F_PUNCHHOLE, &hole) == -1 ? last_error() : 0;
}

/* A hole would read as zeros, and its space would be gone. */
int uvdio__os_zero_range(intptr_t descriptor, uint64_t offset, uint64_t length) {
  (void)descriptor;
  (void)offset;
  (void)length;
  return UV_ENOTSUP;
}

int uvdio__os_rename(const uvdio__names_t* names) {
  int result = (names->flags & UVDIO_RENAME_NO_REPLACE) != 0
                   ? renamex_np(names->path, names->new_path, RENAME_EXCL)
                   : rename(names->path, names->new_path);
  return result == 0 ? 0 : last_error();
}

int uvdio__os_link_open_file(intptr_t descriptor, const uvdio__names_t* names) {
  (void)descriptor;
  (void)names;
  return UV_ENOTSUP;
}

/* Superpages come from an allocation that asks for them (VM_FLAGS_SUPERPAGE_SIZE_2MB) and on Intel
 * only, not from advice on memory that exists. */
int uvdio__os_thread_count(void) {
  return 0;
}

int uvdio__os_advise_huge(void* memory, size_t size) {
  (void)memory;
  (void)size;
  return UV_ENOTSUP;
}

static int open_flags(const uvdio__open_state_t* opening) {
  unsigned flags = opening->flags;
  int result = O_CLOEXEC | O_NOCTTY;

  result |= (flags & UVDIO_O_RDWR) != 0 ? O_RDWR : O_RDONLY;
  result |= (flags & UVDIO_O_WRONLY) != 0 ? O_WRONLY : 0;
  result |= (flags & UVDIO_O_CREATE) != 0 ? O_CREAT : 0;
  result |= (flags & UVDIO_O_EXCLUSIVE) != 0 || opening->step == UVDIO__OPEN_PATH ? O_EXCL : 0;
  result |= (flags & UVDIO_O_DSYNC) != 0 ? O_DSYNC : 0;
  result |= (flags & UVDIO_O_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
  return result;
}

static int open_once(const uvdio__open_state_t* opening) {
  unsigned retries = 0;
  int descriptor;

  do {
    descriptor = open(opening->path, open_flags(opening), opening->mode);
  } while (descriptor == -1 && errno == EINTR && retries++ < UVDIO__RETRIES_MAX);
  return descriptor == -1 ? last_error() : descriptor;
}

/* An open that may create does only that at first, because the system does not tell afterwards
 * whether it did. Both are whole opens, of which at most one does anything. */
static int open_path(uvdio__open_state_t* opening) {
  int result;

  opening->step = (opening->flags & UVDIO_O_CREATE) != 0 ? UVDIO__OPEN_PATH : UVDIO__OPEN_PRESENT;
  result = open_once(opening);
  if (result == UV_EEXIST && opening->step == UVDIO__OPEN_PATH &&
      (opening->flags & UVDIO_O_EXCLUSIVE) == 0) {
    opening->step = UVDIO__OPEN_PRESENT;
    result = open_once(opening);
  }
  opening->opened_at = opening->step;
  return result;
}

/* A disk is the device that knows its block size; a terminal or /dev/null does not. A block of a CD
 * may be no power of two, which nothing here could align to: then the library's own alignment has
 * to do. */
static int learn_disk(uvdio__open_state_t* opening) {
  uint32_t physical_block;
  uint32_t block_size;

  if (ioctl((int)opening->descriptor, DKIOCGETBLOCKSIZE, &block_size) == -1) {
    return UV_ESPIPE;
  }
  if (ioctl((int)opening->descriptor, DKIOCGETPHYSICALBLOCKSIZE, &physical_block) != -1) {
    opening->facts.physical_block = physical_block;
  }
  if (block_size != 0 && (block_size & (block_size - 1)) == 0) {
    opening->offset_align = block_size;
    opening->align_source = UVDIO_ALIGN_SYSTEM;
  }
  return 0;
}

/* Times outside of some 290 years around 1970 have none. */
static int64_t ns_of(const struct timespec* time) {
  int64_t most = INT64_MAX / INT64_C(1000000000) - 1;
  int has_number = time->tv_sec <= most && time->tv_sec >= -most;

  return has_number ? (int64_t)time->tv_sec * INT64_C(1000000000) + time->tv_nsec : 0;
}

int uvdio__os_stat(intptr_t descriptor, uvdio_stat_t* stat) {
  int64_t size = uvdio__os_size(descriptor);
  struct stat told;

  if (size < 0) {
    return (int)size;
  }
  if (fstat((int)descriptor, &told) == -1) {
    return last_error();
  }
  stat->size = (uint64_t)size;
  stat->allocated = (uint64_t)told.st_blocks * STAT_BLOCK_SIZE;
  stat->device = (uint64_t)told.st_dev;
  stat->inode = told.st_ino;
  stat->links = told.st_nlink;
  stat->mode = told.st_mode;
  stat->accessed_ns = ns_of(&told.st_atimespec);
  stat->modified_ns = ns_of(&told.st_mtimespec);
  stat->changed_ns = ns_of(&told.st_ctimespec);
  stat->created_ns = ns_of(&told.st_birthtimespec);
  return 0;
}

static void learn_facts(uvdio__open_state_t* opening, const struct stat* stat) {
  uvdio_facts_t_* facts = &opening->facts;

  facts->size = S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : 0;
  facts->device = (uint64_t)stat->st_dev;
  facts->inode = stat->st_ino;
  facts->modified_ns = ns_of(&stat->st_mtimespec);
  facts->changed_ns = ns_of(&stat->st_ctimespec);
  facts->created_ns = ns_of(&stat->st_birthtimespec);
  facts->optimal_size = (uint32_t)stat->st_blksize;
}

/* Whether the file's kind can be read at an offset at all. Disks come as block and as character
 * devices, of which the latter are the direct ones. */
static int learn_kind(uvdio__open_state_t* opening) {
  struct stat stat;

  if (fstat((int)opening->descriptor, &stat) == -1) {
    return last_error();
  }
  learn_facts(opening, &stat);
  if (S_ISDIR(stat.st_mode)) {
    return UV_EISDIR;
  }
  if (S_ISREG(stat.st_mode)) {
    return 0;
  }
  return S_ISBLK(stat.st_mode) || S_ISCHR(stat.st_mode) ? learn_disk(opening) : UV_ESPIPE;
}

static int leave_cache(uvdio__open_state_t* opening) {
  if ((opening->flags & UVDIO_O_BUFFERED) != 0) {
    return 0;
  }
  opening->direct = fcntl((int)opening->descriptor, F_NOCACHE, 1) != -1;
  if (opening->direct || (opening->flags & UVDIO_O_DIRECT_PREFERRED) != 0) {
    return 0;
  }
  return UVDIO_ENODIRECT;
}

/* Only what is known to keep to it counts as a filesystem that reads on to the end: those that pass
 * requests on over a network or to a program (nfs, smbfs, macfuse, ...) don't, and one that nobody
 * knows promises nothing. */
static void name_filesystem(uvdio__open_state_t* opening) {
  static const struct {
    const char* name;
    unsigned quirks;
  } known[] = {{"apfs", 0},
               {"hfs", 0},
               {"msdos", 0},
               {"exfat", 0},
               {"udf", 0},
               {"cd9660", 0},
               {"tmpfs", 0},
               {"devfs", 0},
               {"ntfs", 0},
               {"nfs", UVDIO__QUIRK_SHORT_READ_NOT_EOF},
               {"smbfs", UVDIO__QUIRK_SHORT_READ_NOT_EOF},
               {"afpfs", UVDIO__QUIRK_SHORT_READ_NOT_EOF},
               {"webdav", UVDIO__QUIRK_SHORT_READ_NOT_EOF},
               {"osxfuse", UVDIO__QUIRK_SHORT_READ_NOT_EOF},
               {"macfuse", UVDIO__QUIRK_SHORT_READ_NOT_EOF}};
  struct statfs filesystem;
  size_t i;

  opening->filesystem = "unknown";
  opening->quirks |= UVDIO__QUIRK_SHORT_READ_NOT_EOF;
  if (fstatfs((int)opening->descriptor, &filesystem) == -1) {
    return;
  }
  for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (strcmp(filesystem.f_fstypename, known[i].name) == 0) {
      opening->filesystem = known[i].name;
      opening->quirks &= ~UVDIO__QUIRK_SHORT_READ_NOT_EOF;
      opening->quirks |= known[i].quirks;
      return;
    }
  }
}

static int truncate_now(uvdio__open_state_t* opening) {
  unsigned retries = 0;
  int error;

  do {
    error = uvdio__os_truncate(opening->descriptor, 0);
    /* To go through the whole open again would not do: it may be exclusive. */
  } while (error == UV_EINTR && retries++ < UVDIO__RETRIES_MAX);
  return error;
}

/* A lock of flock(2) belongs to the open file, as those on Linux that no close of another
 * descriptor releases. */
static int take_lock(const uvdio__open_state_t* opening) {
  int kind = (opening->flags & UVDIO_O_LOCK_EXCLUSIVE) != 0 ? LOCK_EX : LOCK_SH;

  if (flock((int)opening->descriptor, kind | LOCK_NB) == 0) {
    return 0;
  }
  return errno == EWOULDBLOCK ? UVDIO_ELOCKED : last_error();
}

void uvdio__os_release_lock(intptr_t descriptor) {
  (void)flock((int)descriptor, LOCK_UN);
}

static int learn_file(uvdio__open_state_t* opening) {
  int error = learn_kind(opening);

  if (error == 0) {
    error = leave_cache(opening);
  }
  if (error == 0) {
    opening->quirks |= UVDIO__QUIRK_SHARED_WRITEBACK_ERROR;
    opening->quirks |= (opening->flags & UVDIO_O_DSYNC) != 0 ? UVDIO__QUIRK_EMULATE_DSYNC
                                                             : UVDIO__QUIRK_NO_WRITE_DSYNC;
    name_filesystem(opening);
  }
  if (error == 0 && (opening->flags & UVDIO__LOCKS) != 0) {
    error = take_lock(opening);
  }
  if (error == 0 && (opening->flags & UVDIO_O_TRUNCATE) != 0) {
    error = truncate_now(opening);
  }
  return error;
}

void uvdio__os_undo_open(uvdio__open_state_t* opening) {
  /* Who has locked it between its creation and this open's lock goes on with it. */
  if (opening->descriptor != -1 && opening->error != UVDIO_ELOCKED &&
      opening->opened_at == UVDIO__OPEN_PATH) {
    (void)uvdio__posix_remove(AT_FDCWD, opening->path, (int)opening->descriptor);
  }
}

int uvdio__os_open(uvdio__open_state_t* opening) {
  int descriptor;
  int error;

  if ((opening->flags & (UVDIO_O_EXCLUSIVE | UVDIO_O_CREATE)) == UVDIO_O_EXCLUSIVE) {
    return UV_ENOTSUP; /* Nobody has a disk device for himself here. */
  }
  descriptor = open_path(opening);
  if (descriptor < 0) {
    return descriptor;
  }
  opening->descriptor = descriptor;
  error = learn_file(opening);
  if (error != 0) {
    opening->error = error;
    uvdio__os_undo_open(opening);
    (void)close(descriptor);
    opening->descriptor = -1;
  }
  return error;
}
