/* SPDX-License-Identifier: MIT */
/*
 * Asks the kernel, and not the library, whether something can be had here:
 *
 *   capability NAME [FOLDER]      exits with 0: yes; 1: no; 2: there is no such name
 *
 * A test that asked the library would be skipped where the library has lost the capability. Skips
 * are held against this program (skips.c). It is a program of its own, so that neither faults nor
 * limits of a test's making reach it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_DIRECT, mkostemp */
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef HAVE_RING
#include <liburing.h>
#include <sys/eventfd.h>
#endif

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

#define PAGE 4096u
#define MIB ((size_t)1024 * 1024)

static const char* folder = ".";
static _Alignas(PAGE) char page[PAGE];

/*
 * Rings
 */

#ifdef HAVE_RING

/* What newer headers have. */
#define CLONE_BUFFERS 30
#define CLONE_REPLACE 2u
#define READV_FIXED 60 /* Linux 6.15 */
#define NOP_RESULT 1u

struct clone {
  uint32_t source, flags, source_offset, target_offset, count, pad[3];
};

static int do_register(const struct io_uring* ring, unsigned opcode, const void* argument,
                       unsigned count) {
  long result = syscall(SYS_io_uring_register, ring->ring_fd, opcode, argument, count);
  return result < 0 ? -errno : (int)result;
}

static struct io_uring_sqe* entry_of(struct io_uring* ring) {
  struct io_uring_sqe* sqe = io_uring_get_sqe(ring);
  memset(sqe, 0, sizeof(*sqe));
  return sqe;
}

static int result_of(struct io_uring* ring) {
  struct io_uring_cqe* cqe;
  int result = io_uring_submit_and_wait(ring, 1);
  result = result < 0 ? result : io_uring_peek_cqe(ring, &cqe);
  return result < 0 ? result : cqe->res;
}

/* A read through a ring arrives, and the ring's eventfd tells of it. */
static int has_ring(void) {
  struct io_uring ring;
  uint64_t one = 1;
  uint64_t count = 0;
  int source = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  int signal = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (source < 0 || signal < 0 || io_uring_queue_init(4, &ring, 0) < 0 ||
      io_uring_register_eventfd(&ring, signal) < 0) {
    return 0;
  }
  struct io_uring_sqe* sqe = entry_of(&ring);
  sqe->opcode = IORING_OP_READ;
  sqe->fd = source;
  sqe->addr = (uint64_t)(uintptr_t)&one;
  sqe->len = sizeof(one);
  return result_of(&ring) == (int)sizeof(one) &&
         read(signal, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static int make_table(const struct io_uring* ring, unsigned count) {
  struct io_uring_rsrc_register table = {.nr = count, .flags = 1 /* sparse */};
  return do_register(ring, IORING_REGISTER_BUFFERS2, &table, sizeof(table));
}

static int put_into_table(const struct io_uring* ring, unsigned place) {
  struct iovec memory = {page, sizeof(page)};
  struct io_uring_rsrc_update2 update = {
      .offset = place, .data = (uint64_t)(uintptr_t)&memory, .nr = 1};
  return do_register(ring, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));
}

static int has_sparse_buffers(void) {
  struct io_uring ring;
  return io_uring_queue_init(4, &ring, 0) == 0 && make_table(&ring, 4) >= 0 &&
         put_into_table(&ring, 2) >= 0;
}

static int has_file_table(void) {
  struct io_uring ring;
  struct clone clone = {.source = UINT32_MAX, .flags = CLONE_REPLACE};
  return io_uring_queue_init(4, &ring, 0) == 0 &&
         do_register(&ring, CLONE_BUFFERS, &clone, 1) == -EBADF;
}

/* A read of an eventfd into a list of one piece of the table's memory. */
static int has_fixed_vectors(void) {
  struct io_uring ring;
  struct iovec piece = {page, sizeof(uint64_t)};
  int event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0 || io_uring_queue_init(4, &ring, 0) < 0 || make_table(&ring, 1) < 0 ||
      put_into_table(&ring, 0) < 0) {
    return 0;
  }
  struct io_uring_sqe* sqe = entry_of(&ring);
  sqe->opcode = READV_FIXED;
  sqe->fd = event;
  sqe->addr = (uint64_t)(uintptr_t)&piece;
  sqe->len = 1;
  return result_of(&ring) == sizeof(uint64_t);
}

/* Copying an empty entry leaves the one behind it as it is. */
static int has_vaults(void) {
  struct io_uring ring;
  struct io_uring source;
  if (io_uring_queue_init(4, &ring, 0) < 0 || io_uring_queue_init(1, &source, 0) < 0) {
    return 0;
  }
  struct clone clone = {.source = (uint32_t)source.ring_fd, .flags = CLONE_REPLACE, .count = 1};
  int event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0 || make_table(&source, 1) < 0 || make_table(&ring, 2) < 0 ||
      put_into_table(&ring, 1) < 0 || do_register(&ring, CLONE_BUFFERS, &clone, 1) < 0) {
    return 0;
  }
  struct io_uring_sqe* sqe = entry_of(&ring);
  sqe->opcode = IORING_OP_READ_FIXED;
  sqe->fd = event;
  sqe->addr = (uint64_t)(uintptr_t)page;
  sqe->len = sizeof(uint64_t);
  sqe->buf_index = 1;
  return result_of(&ring) == (int)sizeof(uint64_t);
}

static int has_nop_results(void) {
  struct io_uring ring;
  if (io_uring_queue_init(4, &ring, 0) < 0) {
    return 0;
  }
  struct io_uring_sqe* sqe = entry_of(&ring);
  sqe->opcode = IORING_OP_NOP;
  sqe->rw_flags = NOP_RESULT;
  sqe->len = 7;
  return result_of(&ring) == 7;
}

#else

static int no_ring(void) {
  return 0;
}

#define has_ring no_ring
#define has_sparse_buffers no_ring
#define has_file_table no_ring
#define has_fixed_vectors no_ring
#define has_vaults no_ring
#define has_nop_results no_ring

#endif

/*
 * Files, in the folder
 */

static int open_file(int flags) {
  char path[4096];
  snprintf(path, sizeof(path), "%s/capability-XXXXXX", folder);
  int descriptor = mkostemp(path, O_CLOEXEC | flags);
  if (descriptor >= 0) {
    (void)unlink(path);
  }
  return descriptor;
}

static int has_direct(void) {
  return open_file(O_DIRECT) >= 0;
}

/* The filesystem can be asked to read only if it need not wait. */
static int has_nowait(void) {
  int descriptor = open_file(O_DIRECT);
  struct iovec vector = {page, sizeof(page)};
  return descriptor >= 0 && (syscall(SYS_preadv2, descriptor, &vector, 1, 0, 0, RWF_NOWAIT) >= 0 ||
                             errno != EOPNOTSUPP);
}

/* It reads without leaving anything in its cache (RWF_DONTCACHE, Linux 6.14). */
static int has_dropped_pages(void) {
  int descriptor = open_file(0);
  struct iovec vector = {page, sizeof(page)};
  return descriptor >= 0 && syscall(SYS_preadv2, descriptor, &vector, 1, 0, 0, 0x80) >= 0;
}

/* By number and place: not every C library's headers have the structure, and some have it twice. */
static int has_small_alignment(void) {
  static const unsigned dioalign = 0x2000;
  uint32_t about[64] = {0};
  int descriptor = open_file(O_DIRECT);
  return descriptor >= 0 &&
         syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, dioalign, about) == 0 &&
         (about[0] & dioalign) != 0 && about[38] < PAGE && about[39] > 0 && about[39] < PAGE;
}

/* Of four pages, and of eight. */
static int has_atomic_writes(void) {
  static const unsigned write_atomic = 0x10000;
  uint32_t about[64] = {0};
  int descriptor = open_file(O_DIRECT);
  return descriptor >= 0 &&
         syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, write_atomic, about) == 0 &&
         (about[0] & write_atomic) != 0 && about[42] <= 4 * PAGE && about[43] >= 8 * PAGE;
}

/*
 * Memory and rights
 */

static int can_lock(size_t size) {
  void* memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory != MAP_FAILED && mlock(memory, size) == 0;
}

static int has_locked_memory(void) {
  return can_lock(5 * MIB);
}

static int has_much_locked_memory(void) {
  return can_lock(32 * MIB);
}

static int has_huge_pages(void) {
  return mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1,
              0) != MAP_FAILED;
}

/* To reserve, and some to write to: the kernel refuses a mapping of more than it has in all
 * (overcommit_memory in proc(5)). */
static int has_address_space(void) {
  return sizeof(void*) == 8 &&
         mmap(NULL, 65536 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) !=
             MAP_FAILED &&
         mmap(NULL, 4096 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
             MAP_FAILED;
}

static int has_aio(void) {
#ifdef SYS_io_setup
  unsigned long context = 0;
  return syscall(SYS_io_setup, 1, &context) == 0;
#else
  return 0;
#endif
}

static int has_root(void) {
  return geteuid() == 0;
}

static const struct {
  const char* name;
  int (*ask)(void);
} capabilities[] = {
    {"ring", has_ring},
    {"aio", has_aio},
    {"sparse-buffers", has_sparse_buffers},
    {"file-table", has_file_table},
    {"fixed-vectors", has_fixed_vectors},
    {"vaults", has_vaults},
    {"nop-results", has_nop_results},
    {"direct", has_direct},
    {"nowait", has_nowait},
    {"dropped-pages", has_dropped_pages},
    {"small-alignment", has_small_alignment},
    {"atomic-writes", has_atomic_writes},
    {"locked-memory", has_locked_memory},
    {"much-locked-memory", has_much_locked_memory},
    {"huge-pages", has_huge_pages},
    {"address-space", has_address_space},
    {"root", has_root},
};

int main(int argc, char** argv) {
  if (argc > 2) {
    folder = argv[2];
  }
  for (size_t i = 0; argc > 1 && i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
    if (strcmp(argv[1], capabilities[i].name) == 0) {
      return capabilities[i].ask() ? 0 : 1;
    }
  }
  return 2;
}
