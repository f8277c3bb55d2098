/* SPDX-License-Identifier: MIT */
/*
 * What the library asks of the operating system, one file per system behind it (os/linux.c,
 * os/darwin.c, os/windows.c; os/posix.c holds what the first two share).
 *
 * Every function blocks, is safe to call from any thread, takes and returns plain values, and
 * reports errors as libuv codes. None of them knows engines, requests or buffers.
 */
#ifndef UVDIO_OS_H
#define UVDIO_OS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <time.h>

#include "uvdio.h"
#include "uvdio/class.h"

/* Data that nobody outside of the library can mean: reached directly, and not by a table. */
#if defined(__GNUC__) && !defined(_WIN32)
#define UVDIO__HIDDEN __attribute__((visibility("hidden")))
#else
#define UVDIO__HIDDEN
#endif

/* So many times at most is a system call repeated that was interrupted or refused for the moment;
 * then that is what is told. Some filesystems interrupt for ever. */
#define UVDIO__RETRIES_MAX 64

/* What a file is like, beyond what the user asked for. */
#define UVDIO__QUIRK_NO_NOWAIT 1u /* a ring would send every request to the kernel's workers */
#define UVDIO__QUIRK_SHORT_READ_NOT_EOF 2u /* a short read need not mean the end of the file */

/* UVDIO_O_DSYNC takes a sync after each write: the system's own does less */
#define UVDIO__QUIRK_EMULATE_DSYNC 4u
/* No single write can be made durable by itself (UVDIO__WRITE_DSYNC): it takes a sync */
#define UVDIO__QUIRK_NO_WRITE_DSYNC 128u
#define UVDIO__QUIRK_ASYNC_DSYNC_HANG 8u /* asynchronous writes can lock up its filesystem */
/* Writes may go through a cache, and an error of writing it back is told to one of the callers
 * only */
#define UVDIO__QUIRK_SHARED_WRITEBACK_ERROR 16u
/* The size may be none of the content's (sysfs): only a read that gives no bytes tells the end */
#define UVDIO__QUIRK_ODD_SIZE 32u
#define UVDIO__QUIRK_RING_SHORTS 64u /* a ring reports short writes as errors (FUSE, network) */

/* Flags of an open that lock the file. */
#define UVDIO__LOCKS (UVDIO_O_LOCK_SHARED | UVDIO_O_LOCK_EXCLUSIVE)

/* Flags of an open after which the path does not lead to the file. */
#define UVDIO__NAMELESS (UVDIO_O_DIRECTORY | UVDIO_O_ANONYMOUS)

/* In the place of a directory's descriptor: the working directory, as AT_FDCWD. */
#define UVDIO__AT_CWD ((intptr_t)-100)

/* The steps of an open, in the order in which they come. Only Linux takes them one by one; the
 * others know the first two. */
typedef enum {
  UVDIO__OPEN_PATH = 0,  /* open; where it may create and can't tell afterwards, only that */
  UVDIO__OPEN_PRESENT,   /* it was there: open that */
  UVDIO__OPEN_STAT_FILE, /* it is open: learn what it is, and switch direct I/O on */
  UVDIO__OPEN_FINISH,    /* what has to block: truncate, name the filesystem */
  UVDIO__OPEN_UNDO,      /* it failed: remove what it has created; may block */
  UVDIO__OPEN_DONE
} uvdio__open_step_t;

/* An open under way, and what it found out. Whoever starts one sets the fields of the first group
 * and zeroes the rest. */
typedef struct uvdio__open_state_s {
  const char* path;
  char* own_path; /* the same, where it is not the file's copy; or null */
  unsigned flags; /* UVDIO_* */
  int mode;
  intptr_t at;               /* the directory that the path is relative to, or UVDIO__AT_CWD */
  struct uvdio_file_s* base; /* the open file of it, for the engine alone; or null */

  uvdio__open_step_t step;
  intptr_t descriptor; /* -1 until there is one; whoever ends the open closes it or takes it over */
  int wants_polled;    /* whether its device can be polled is to be found out (facts.can_poll) */
  int is_adopted;      /* the descriptor is somebody's, who has it back where the open fails */
  int has_status;      /* and this is known: */
  int status_flags;    /* those of an adopted one, as they were (fcntl(2), F_GETFL) */
  uvdio__open_step_t opened_at; /* which of the first two has opened it */
  int error;                    /* what the open ends with where it fails */
  int direct;
  int drops_cache;    /* what is not direct leaves nothing in the page cache */
  int is_synchronous; /* the system syncs each write, asked for or not; where errors are shared */
  unsigned quirks;
  const char* filesystem;     /* static text */
  uint32_t memory_align;      /* bytes; 0: the system does not say */
  uint32_t offset_align;      /* required of offsets and lengths */
  uint32_t read_align;        /* and of those of reads, where the system tells them apart; else 0 */
  uint32_t recommended_align; /* for those of writes; 0: the same as required */
  uvdio_align_source_t align_source;
  uvdio_facts_t_ facts;
  union {
    uint64_t align;
    char bytes[256]; /* struct statx, of which the kernel fixed the size */
  } stat;
} uvdio__open_state_t;

/* Goes on with an open from wherever it stands until it is open (0) or failed (the error; a
 * descriptor may be left). An open that fails removes what it has created. */
int uvdio__os_open(uvdio__open_state_t* opening);

/* The same for an open that is given up between two steps. Its descriptor stays; one that was
 * adopted is as it was, and its owner's. */
void uvdio__os_undo_open(uvdio__open_state_t* opening);

/* Whether an open may begin with a descriptor, at UVDIO__OPEN_STAT_FILE. */
#ifdef __linux__
#define UVDIO__CAN_ADOPT 1
#else
#define UVDIO__CAN_ADOPT 0
#endif

/* Whether an open directory may be the base of paths, and files may be without a name. */
#ifdef __linux__
#define UVDIO__HAS_BASES 1
#else
#define UVDIO__HAS_BASES 0
#endif

#ifdef __linux__
/* What an open has come to by its last step. */
typedef enum {
  UVDIO__OPEN_GOES_ON = 0, /* opening->step is the next one */
  UVDIO__OPEN_SUCCEEDED,
  UVDIO__OPEN_FAILED /* with opening->error; a descriptor may be left */
} uvdio__open_status_t;

/* Takes the result of the present step and moves to the next one. Does not block. */
uvdio__open_status_t uvdio__linux_open_advance(uvdio__open_state_t* opening, int result);

/* The flags of openat(2) for the present step, and the mask of statx(2). */
int uvdio__linux_open_flags(const uvdio__open_state_t* opening);
unsigned uvdio__linux_statx_mask(void);

/* The mode of fallocate(2) for one of the operations that are one. `flags`: UVDIO_SPACE_*. */
int uvdio__linux_space_mode(uvdio_op_t op, unsigned flags);
#endif

/* What a write asks for beyond moving bytes. The system has to know it, see the quirks. */
#define UVDIO__WRITE_DSYNC 1u  /* durable when the call returns */
#define UVDIO__WRITE_ATOMIC 2u /* all of it or nothing, whatever happens */

/* Since Linux 4.7, 4.13 and 6.11; headers lack them in some versions. */
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif
#ifndef RWF_ATOMIC
#define RWF_ATOMIC 0x00000040
#endif

/* Positional transfers of up to UVDIO__TRANSFER_MAX bytes. Return bytes moved or an error. */
int64_t uvdio__os_read(intptr_t descriptor, void* base, size_t length, uint64_t offset);
int64_t uvdio__os_write(intptr_t descriptor, const void* base, size_t length, uint64_t offset,
                        unsigned flags);

/* A part of a transfer's memory: struct iovec, on systems that have it. */
typedef struct uvdio__piece_s {
  char* base;
  size_t length;
} uvdio__piece_t;

/* The same with `count` pieces, in one system call where there is one. */
int64_t uvdio__os_readv(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                        uint64_t offset);
int64_t uvdio__os_writev(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                         uint64_t offset, unsigned flags);

#ifdef __linux__
/* The same, and nothing stays in the page cache (RWF_DONTCACHE); where the open has found that the
 * file takes it. */
#define UVDIO__RWF_DONTCACHE 0x80
int64_t uvdio__os_move_and_drop(intptr_t descriptor, const uvdio__piece_t* pieces, unsigned count,
                                uint64_t offset, int is_write, unsigned flags);
#else
static inline int64_t uvdio__os_move_and_drop(intptr_t descriptor, const uvdio__piece_t* pieces,
                                              unsigned count, uint64_t offset, int is_write,
                                              unsigned flags) {
  (void)descriptor;
  (void)pieces;
  (void)count;
  (void)offset;
  (void)is_write;
  (void)flags;
  return UV_ENOTSUP; /* No open finds a file that takes it. */
}
#endif

int uvdio__os_sync(intptr_t descriptor, int data_only);
int uvdio__os_sync_open_directory(intptr_t descriptor, int data_only);
int64_t uvdio__os_size(intptr_t descriptor);
int uvdio__os_stat(intptr_t descriptor, uvdio_stat_t* stat); /* which is zeroed */
int uvdio__os_truncate(intptr_t descriptor, uint64_t length);
int uvdio__os_close(intptr_t descriptor);

/* A second descriptor of the same open file, close-on-exec. */
int uvdio__os_dup(intptr_t descriptor, intptr_t* copy);

/* Releases the lock of an open by UVDIO__LOCKS. Closing would not do where a child has the open
 * file as well, or a ring still holds on to it. */
void uvdio__os_release_lock(intptr_t descriptor);

/* Whether a preallocation sets a size after a look at it, so that a write between the two is cut
 * off: beside it no other request of the file may run. Linux has a call that only grows a file. */
#ifdef __linux__
#define UVDIO__PREALLOCATE_CUTS 0
#else
#define UVDIO__PREALLOCATE_CUTS 1
#endif

/* Space. The flags are UVDIO_SPACE_*, ranges are not empty and end at INT64_MAX at most. */
int uvdio__os_preallocate(intptr_t descriptor, uint64_t offset, uint64_t length, unsigned flags);
int uvdio__os_punch_hole(intptr_t descriptor, uint64_t offset, uint64_t length);
int uvdio__os_zero_range(intptr_t descriptor, uint64_t offset, uint64_t length);

/* An offset, or UV_ENXIO. */
int64_t uvdio__os_next_data(intptr_t descriptor, uint64_t offset);
int64_t uvdio__os_next_hole(intptr_t descriptor, uint64_t offset);

/* Linux alone has it. */
#ifdef __linux__
int uvdio__os_set_hint(intptr_t descriptor, uvdio_hint_t hint, uint64_t value);
#else
static inline int uvdio__os_set_hint(intptr_t descriptor, uvdio_hint_t hint, uint64_t value) {
  (void)descriptor;
  (void)hint;
  (void)value;
  return UV_ENOTSUP;
}
#endif

/* I/O priorities, which Linux alone has: in the system's number (0: none), whether this process may
 * use one, and that of the calling thread from now on; `swap` tells the one before. A
 * privileged one may be refused later, too. */
#ifdef __linux__
unsigned uvdio__os_io_priority(uvdio_priority_t priority);
int uvdio__os_try_io_priority(uvdio_priority_t priority);
unsigned uvdio__os_swap_io_priority(unsigned number);
void uvdio__os_set_io_priority(unsigned number);
int uvdio__os_is_privileged_io_priority(unsigned number);
#else
static inline unsigned uvdio__os_io_priority(uvdio_priority_t priority) {
  (void)priority;
  return 0;
}
static inline int uvdio__os_try_io_priority(uvdio_priority_t priority) {
  (void)priority;
  return 0;
}
static inline unsigned uvdio__os_swap_io_priority(unsigned number) {
  (void)number;
  return 0;
}
static inline void uvdio__os_set_io_priority(unsigned number) {
  (void)number;
}
static inline int uvdio__os_is_privileged_io_priority(unsigned number) {
  (void)number;
  return 0;
}
#endif

/* What an operation on names is about, and how far a replace has come. */
typedef struct uvdio__names_s {
  size_t size; /* bytes of the whole */
  const char* path;
  const char* new_path; /* of a rename, link or replace, else null */
  char* own_path;       /* the same, allocated apart, where the file may keep it; or null */
  int mode;
  unsigned flags; /* UVDIO_RENAME_* */
  int step;       /* of a replace: UVDIO__REPLACE_*, the one that comes next or has failed */

  /* The directories that the paths are relative to, or UVDIO__AT_CWD; and, for the engine alone,
   * the open files of them, or null. */
  intptr_t at;
  intptr_t new_at;
  struct uvdio_file_s* base;
  struct uvdio_file_s* new_base;

  unsigned char own_path_kind; /* PATH_* of own_path */
  struct uvdio_file_s* linked; /* the open file that a link is of, whatever `path` says; or null */
  char bytes[];                /* the paths */
} uvdio__names_t;

enum {
  UVDIO__REPLACE_SYNC = 0,
  UVDIO__REPLACE_RENAME,
  UVDIO__REPLACE_SYNC_AGAIN, /* the file has its new name from here on */
  UVDIO__REPLACE_SYNC_DIRECTORY
};

int uvdio__os_rename(const uvdio__names_t* names);
int uvdio__os_link(const uvdio__names_t* names);
int uvdio__os_unlink(const uvdio__names_t* names);
int uvdio__os_mkdir(const uvdio__names_t* names);
int uvdio__os_rmdir(const uvdio__names_t* names);
int uvdio__os_sync_directory(const char* path);

/* Gives an open file the name names->new_path. */
int uvdio__os_link_open_file(intptr_t descriptor, const uvdio__names_t* names);

/* Goes on with a replace of names->new_path by the open file at names->path. */
int uvdio__os_replace(intptr_t descriptor, uvdio__names_t* names);

#ifndef _WIN32
/* Removes `path`, relative to `at`, if that is the open file, by itself and not by a link, and
 * nothing has been written to it. Returns 1 if it is gone. */
int uvdio__posix_remove(int at, const char* path, int descriptor);

/* Seeks for SEEK_DATA or SEEK_HOLE. What has no holes (a block device) does not know the question:
 * it is data, up to its size. */
int64_t uvdio__posix_seek(intptr_t descriptor, uint64_t offset, int whence,
                          int64_t (*size_of)(intptr_t descriptor));
#endif

/* Bytes. What one system call moves at most on Linux (read(2)); a multiple of 4096, and of no
 * larger alignment. */
#define UVDIO__TRANSFER_MAX ((size_t)0x7ffff000)

/* Bytes. The granularity of the functions below: the page size of the memory management. */
size_t uvdio__os_page_size(void);

/* Fresh zero pages, aligned to UVDIO_ALIGNMENT at least; null when out of memory. */
void* uvdio__os_map(size_t size);
void uvdio__os_unmap(void* memory, size_t size);

/* Ordinary heap memory; null when out of memory. */
void* uvdio__os_aligned_alloc(size_t size, size_t alignment);
void uvdio__os_aligned_free(void* memory);

/* The process's threads; 0 where that can't be told. */
int uvdio__os_thread_count(void);

int uvdio__os_advise_huge(void* memory, size_t size);
int uvdio__os_lock(void* memory, size_t size);
void uvdio__os_unlock(void* memory, size_t size);
int uvdio__os_protect(void* memory, size_t size, int accessible);

#ifndef _WIN32
/* Calls a function when the library is loaded. The library's fork handlers are registered so. Those
 * that a program registers later run before them in the parent, and after them in the child
 * (pthread_atfork(3)): they find no lock of the library's taken, and a fork that is counted. */
#define UVDIO__AT_LOAD __attribute__((constructor))
#endif

/* A number that differs in a forked child from what it was in its parent, and is asked for at every
 * operation. */
extern UVDIO__HIDDEN atomic_uint uvdio__os_forks;

static inline unsigned uvdio__os_fork_generation(void) {
  return atomic_load_explicit(&uvdio__os_forks, memory_order_relaxed);
}

/* The number that the calling thread was given, or 0; asked for at every operation. */
#if defined(__GNUC__) && !defined(_WIN32) && !defined(__APPLE__)
/* Not initial-exec: that takes of the little room that the C library keeps for libraries that come
 * late, or of musl's, which keeps none. It costs 15 instructions per read: the linker relaxes the
 * access in a program, but the compiler has arranged its registers for a call by then. */
extern UVDIO__HIDDEN _Thread_local uintptr_t uvdio__os_this_thread
    __attribute__((tls_model("local-dynamic")));
#else
extern _Thread_local uintptr_t uvdio__os_this_thread;
#endif

/* What uv_hrtime() tells, by half as many instructions: it is read twice for each batch. */
static inline uint64_t uvdio__clock_ns(void) {
#ifdef __linux__
  struct timespec now;

  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
#else
  return uv_hrtime();
#endif
}

#endif /* UVDIO_OS_H */
