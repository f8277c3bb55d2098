/* SPDX-License-Identifier: MIT */
/*
 * Which files the ring is for, and the table of those.
 *
 * Registered files: the kernel's table of them saves a look-up and two atomic operations per
 * request. A file gets its slot with its first transfer and loses it before its descriptor is
 * closed.
 *
 * Only on kernels (6.13 and later) on which a slot that is emptied lets go of its file at once, and
 * a table can be replaced while requests are under way: before, the file would stay open for a
 * while after its close, and replacing would block.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "allocator.h"
#include "ring/ring.h"

#define CAPACITY_MIN 64u
#define CAPACITY_MAX 32768u /* the kernel would take more, at 16 bytes each */

/* On filesystems without non-blocking requests io_uring hands each request to a kernel worker.
 * Measured on tmpfs: a single request is at least as fast on libuv's pool (twice where the kernel's
 * worker has to be woken), several are up to twice as fast on the ring. Not with FUSE, whose short
 * writes a ring reports as errors. */
const char* uvdio__ring_avoid(const uvdio_file_t* file, int* is_for_several) {
  if ((file->quirks_ & UVDIO__QUIRK_ASYNC_DSYNC_HANG) != 0) {
    return "this kernel's btrfs can hang at durable writes by io_uring (fixed in Linux 5.11)";
  }
  if ((file->quirks_ & UVDIO__QUIRK_NO_NOWAIT) == 0) {
    return NULL;
  }
  if ((file->quirks_ & UVDIO__QUIRK_RING_SHORTS) != 0) {
    return "its filesystem takes no non-blocking requests, so that a ring would hand each one to a "
           "kernel worker";
  }
  *is_for_several = 1;
  return "its filesystem takes no non-blocking requests, so that a ring hands each one to a kernel "
         "worker: transfers go to the ring only while others are in flight";
}

static int call(const uvdio__queue_t* queue, unsigned opcode, const void* argument,
                unsigned count) {
  const uvdio__ring_t* ring = queue->state;
  uint64_t began_ns = uvdio__clock_ns();
  int result = uvdio__ring_register(ring->ring.ring_fd, opcode, argument, count);

  uvdio__engine_note_call(queue->engine, UVDIO_CALL_REGISTER, began_ns);
  return result;
}

static int update_slot(const uvdio__queue_t* queue, unsigned slot, int descriptor) {
  struct io_uring_files_update update = {.offset = slot, .fds = (uint64_t)(uintptr_t)&descriptor};
  return call(queue, IORING_REGISTER_FILES_UPDATE, &update, 1);
}

/* The kernel takes no larger table than files may be open (io_uring_register(2)). */
static unsigned next_capacity(const uvdio__ring_files_t* files) {
  unsigned wanted = files->capacity == 0 ? CAPACITY_MIN : files->capacity * 2;
  struct rlimit limit;

  if (wanted > CAPACITY_MAX || getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 0;
  }
  wanted = limit.rlim_cur < wanted ? (unsigned)limit.rlim_cur : wanted;
  return wanted > files->capacity ? wanted : 0;
}

/* The table in use with more free slots behind it; null when out of memory. */
static int* copy_table(const uvdio__ring_files_t* files, unsigned capacity) {
  int* descriptors = uvdio__alloc(capacity * sizeof(int), UVDIO__STRUCT_ALIGN, 0);
  unsigned i;

  for (i = 0; descriptors != NULL && i < capacity; i++) {
    descriptors[i] = i < files->capacity ? files->descriptors[i] : -1;
  }
  return descriptors;
}

static void free_table(uvdio__ring_files_t* files) {
  uvdio__free(files->descriptors, files->capacity * sizeof(int), UVDIO__STRUCT_ALIGN);
  files->descriptors = NULL;
  files->capacity = 0;
  files->used = 0;
  files->next = 0;
}

void uvdio__ring_free_files(uvdio__ring_t* ring, int is_forked) {
  if (ring->files.capacity > 0 && !is_forked) {
    (void)uvdio__ring_register(ring->ring.ring_fd, IORING_UNREGISTER_FILES, NULL, 0);
  }
  free_table(&ring->files);
}

/* There is no table any more: every file goes by its descriptor from now on. */
static void give_up(uvdio__queue_t* queue) {
  uvdio__ring_t* ring = queue->state;
  uvdio_file_t* file;

  for (file = queue->engine->files; file != NULL; file = file->next_) {
    file->fixed_index_ = 0;
  }
  free_table(&ring->files);
  ring->files.off = 1;
}

/* Makes the table larger. Requests with the kernel hold on to their files by themselves. Entries
 * that the kernel has not seen could find no table where making the new one fails, so there must be
 * none of them. */
static int grow(uvdio__queue_t* queue) {
  uvdio__ring_t* ring = queue->state;
  uvdio__ring_files_t* files = &ring->files;
  unsigned capacity;
  int* descriptors;
  int result;

  if (queue->unflushed > 0) {
    return 0;
  }
  capacity = next_capacity(files);
  descriptors = capacity == 0 ? NULL : copy_table(files, capacity);
  if (descriptors == NULL) {
    files->full = 1;
    return 0;
  }
  if (files->capacity > 0) {
    (void)call(queue, IORING_UNREGISTER_FILES, NULL, 0);
  }
  result = call(queue, IORING_REGISTER_FILES, descriptors, capacity);
  if (result < 0) {
    uvdio__free(descriptors, capacity * sizeof(int), UVDIO__STRUCT_ALIGN);
    give_up(queue);
    return 0;
  }
  uvdio__free(files->descriptors, files->capacity * sizeof(int), UVDIO__STRUCT_ALIGN);
  files->descriptors = descriptors;
  files->next = files->capacity;
  files->capacity = capacity;
  return 1;
}

static unsigned slot_after(const uvdio__ring_files_t* files, unsigned slot) {
  return (slot + 1) % files->capacity;
}

static unsigned find_free(const uvdio__ring_files_t* files) {
  unsigned slot = files->next;

  assert(files->used < files->capacity);
  while (files->descriptors[slot] != -1) {
    slot = slot_after(files, slot);
  }
  return slot;
}

void uvdio__ring_add_file(uvdio__queue_t* queue, uvdio_file_t* file) {
  uvdio__ring_t* ring = queue->state;
  uvdio__ring_files_t* files = &ring->files;
  int descriptor = (int)file->handle_.descriptor;
  unsigned slot;

  assert(file->fixed_index_ == 0 && ring->features.has_clones);
  if (files->used == files->capacity && !grow(queue)) {
    return;
  }
  slot = find_free(files);
  if (update_slot(queue, slot, descriptor) != 1) {
    files->off = 1; /* Refused: those that have a slot keep it, and no more is asked for. */
    return;
  }
  files->descriptors[slot] = descriptor;
  files->used++;
  files->next = slot_after(files, slot);
  file->fixed_index_ = slot + 1;
}

/* A slot that the kernel does not give back stays used. */
void uvdio__ring_unregister_file(uvdio__queue_t* queue, uvdio_file_t* file) {
  uvdio__ring_t* ring = queue->state;
  unsigned slot = file->fixed_index_ - 1;

  assert(file->fixed_index_ > 0 && slot < ring->files.capacity);
  assert(ring->files.descriptors[slot] == (int)file->handle_.descriptor);
  file->fixed_index_ = 0;
  if (update_slot(queue, slot, -1) == 1) {
    ring->files.descriptors[slot] = -1;
    ring->files.used--;
    ring->files.full = 0;
  }
}
