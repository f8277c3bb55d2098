/* SPDX-License-Identifier: MIT */
/*
 * The system calls of kernel AIO, which C libraries have no functions for, and the ring of
 * completions that the kernel maps into the process: a context's number is its address.
 *
 * The ring's layout is `struct aio_ring` of fs/aio.c, which its magic number stands for. The kernel
 * writes a completion and then moves the tail; who takes completions moves the head, and nobody
 * else may at the same time: so io_getevents(2) is not called where the layout is known.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aio/aio.h"

#define RING_MAGIC 0xa10a10a1u

typedef struct aio_ring_s {
  uint32_t id;
  uint32_t count; /* of places */
  uint32_t head;
  uint32_t tail;
  uint32_t magic;
  uint32_t compatible_features;
  uint32_t incompatible_features; /* of which none is known */
  uint32_t header_size;           /* bytes; the completions follow */
} aio_ring_t;

/* Null where the layout is another one. */
static aio_ring_t* ring_of(aio_context_t context) {
  aio_ring_t* ring = (aio_ring_t*)(uintptr_t)context;
  return ring->magic == RING_MAGIC && ring->incompatible_features == 0 ? ring : NULL;
}

int uvdio__aio_setup(unsigned count, aio_context_t* context) {
  *context = 0;
  return syscall(SYS_io_setup, count, context) == 0 ? 0 : -errno;
}

void uvdio__aio_destroy(aio_context_t context) {
  (void)syscall(SYS_io_destroy, context);
}

/* The ring takes whole pages, and counts the places in them. */
void uvdio__aio_unmap(aio_context_t context) {
  const aio_ring_t* ring = ring_of(context);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t size;

  if (ring != NULL) {
    size = ring->header_size + ring->count * sizeof(struct io_event);
    (void)munmap((void*)(uintptr_t)context, (size + page - 1) / page * page);
  }
}

int uvdio__aio_submit(aio_context_t context, struct iocb** blocks, unsigned count) {
  long taken = syscall(SYS_io_submit, context, (long)count, blocks);
  return taken < 0 ? -errno : (int)taken;
}

/* Architectures whose time has 64 bits only lack the call: there the layout has to be known. */
static int take_by_call(aio_context_t context, struct io_event* events, unsigned room) {
#ifdef SYS_io_getevents
  long taken = syscall(SYS_io_getevents, context, 0L, (long)room, events, NULL);
  return taken < 0 ? -errno : (int)taken;
#else
  (void)context;
  (void)events;
  (void)room;
  return -ENOSYS;
#endif
}

int uvdio__aio_take(aio_context_t context, struct io_event* events, unsigned room,
                    uint64_t* calls) {
  aio_ring_t* ring = ring_of(context);
  const struct io_event* places;
  unsigned taken = 0;
  uint32_t head;
  uint32_t tail;

  if (ring == NULL) {
    (*calls)++;
    return take_by_call(context, events, room);
  }
  places = (const struct io_event*)(const void*)((const char*)ring + ring->header_size);
  head = ring->head;
  tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
  while (head != tail && taken < room) {
    events[taken++] = places[head];
    head = head + 1 < ring->count ? head + 1 : 0;
  }
  __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
  return (int)taken;
}

int uvdio__aio_is_ready(aio_context_t context) {
  const aio_ring_t* ring = ring_of(context);
  return ring != NULL && ring->head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
}
