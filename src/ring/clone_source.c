/* SPDX-License-Identifier: MIT */
/*
 * The clone source of an arena: a ring that only holds registered memory for other rings.
 *
 * The first engine that uses an arena registers segments with its own ring. A ring that is bound to
 * its thread can't be cloned from; so for the second engine and those after it, a ring of one
 * entry, which nobody maps, submits to or waits for, registers each segment once, and they clone
 * its entries (Linux 6.13, IORING_REGISTER_CLONE_BUFFERS; without loss from about 6.18 on). It is
 * closed when the last engine that clones has left.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "allocator.h"
#include "ring/ring.h"

static int may_use_clone_source(const uvdio__ring_t* ring, const uvdio__arena_ref_t* ref) {
  return ring->features.can_clone_buffers && ref->generation == uvdio__os_fork_generation();
}

void uvdio__clone_source_join(const uvdio__ring_t* ring, uvdio__registration_t* registration) {
  uvdio__arena_ref_hold(registration->ref);
  if (may_use_clone_source(ring, registration->ref)) {
    uv_mutex_lock(&registration->ref->lock);
    registration->by_clone = registration->ref->users++ > 0;
    registration->ref->clone_source_users += (unsigned)registration->by_clone;
    uv_mutex_unlock(&registration->ref->lock);
  }
}

static void leave_clone_source(uvdio__arena_ref_t* ref) {
  assert(ref->clone_source_users > 0);
  if (--ref->clone_source_users == 0 && ref->clone_source != -1) {
    ref->close_clone_source(ref);
  }
}

void uvdio__clone_source_leave(const uvdio__ring_t* ring,
                               const uvdio__registration_t* registration) {
  if (may_use_clone_source(ring, registration->ref)) {
    uv_mutex_lock(&registration->ref->lock);
    registration->ref->users--;
    if (registration->by_clone) {
      leave_clone_source(registration->ref);
    }
    uv_mutex_unlock(&registration->ref->lock);
  }
  uvdio__arena_ref_release(registration->ref);
}

/*
 * Its ring. The lock of the arena's reference is held.
 */

/* Emptied first: a forked child that has the descriptor would keep the memory pinned. */
static void close_clone_source(uvdio__arena_ref_t* ref) {
  (void)uvdio__ring_register((int)ref->clone_source, IORING_UNREGISTER_BUFFERS, NULL, 0);
  (void)uvdio__os_close(ref->clone_source);
  uvdio__free(ref->pinned, ref->pinned_count, UVDIO__STRUCT_ALIGN);
  ref->clone_source = -1;
  ref->pinned = NULL;
}

/* A ring of one entry that nobody maps, submits to or waits for. */
static int open_clone_source(uvdio__arena_ref_t* ref, unsigned count) {
  struct io_uring_params params;
  long descriptor;
  int result;

  memset(&params, 0, sizeof(params));
  descriptor = syscall(SYS_io_uring_setup, 1, &params);
  if (descriptor < 0) {
    return -errno;
  }
  ref->pinned = uvdio__alloc(count, UVDIO__STRUCT_ALIGN, 1);
  ref->pinned_count = count;
  ref->clone_source = (intptr_t)descriptor;
  ref->close_clone_source = close_clone_source;
  result = ref->pinned == NULL ? -ENOMEM : uvdio__ring_make_table((int)descriptor, count);
  if (result < 0) {
    close_clone_source(ref);
  }
  return result;
}

static int pin_segment(const uvdio__registration_t* registration, unsigned segment) {
  uvdio__arena_ref_t* ref = registration->ref;
  struct iovec memory = uvdio__ring_memory_of(registration, segment);
  int result = ref->clone_source == -1 ? open_clone_source(ref, registration->count) : 0;

  if (result < 0 || ref->pinned[segment]) {
    return result;
  }
  result = uvdio__ring_update_table((int)ref->clone_source, segment, &memory, 1);
  ref->pinned[segment] = result >= 0;
  return result;
}

/* Copies entries, empty ones included. */
static int copy_entries(const uvdio__ring_t* ring, const uvdio__registration_t* registration,
                        unsigned segment, unsigned count) {
  uvdio__clone_t clone;

  memset(&clone, 0, sizeof(clone));
  clone.source = (uint32_t)registration->ref->clone_source;
  clone.flags = UVDIO__CLONE_REPLACE;
  clone.source_offset = segment;
  clone.target_offset = registration->first + segment;
  clone.count = count;
  return uvdio__ring_register(ring->ring.ring_fd, UVDIO__REGISTER_CLONE_BUFFERS, &clone, 1);
}

/* Clones the range; at the first time the whole arena, because others have registered it. */
static int copy_from_clone_source(uvdio__queue_t* queue, uvdio__registration_t* registration,
                                  unsigned segment, unsigned count) {
  const uvdio__arena_ref_t* ref = registration->ref;
  unsigned end = registration->registered == 0 ? registration->count : segment + count;
  int result;

  segment = registration->registered == 0 ? 0 : segment;
  result = copy_entries(queue->state, registration, segment, end - segment);
  for (; segment < end && result >= 0; segment++) {
    if (ref->pinned[segment]) {
      uvdio__ring_mark_registered(queue, registration, segment);
    }
  }
  return result;
}

/* The lock is let go between segments: pinning takes time, and others would wait for it on their
 * loops. */
int uvdio__clone_source_register(uvdio__queue_t* queue, uvdio__registration_t* registration,
                                 unsigned segment, unsigned count) {
  uvdio__arena_ref_t* ref = registration->ref;
  int pinned = 0;
  int copied;
  unsigned i;

  for (i = segment; i < segment + count && pinned >= 0; i++) {
    uv_mutex_lock(&ref->lock);
    pinned = pin_segment(registration, i);
    uv_mutex_unlock(&ref->lock);
  }
  uv_mutex_lock(&ref->lock);
  copied = ref->clone_source == -1 ? pinned
                                   : copy_from_clone_source(queue, registration, segment, count);
  uv_mutex_unlock(&ref->lock);
  return copied < 0 ? copied : pinned;
}

/* A clone source that another user has made (root, before the process changed its user) can't be
 * cloned from. */
void uvdio__clone_source_give_up(uvdio__registration_t* registration) {
  uv_mutex_lock(&registration->ref->lock);
  leave_clone_source(registration->ref);
  uv_mutex_unlock(&registration->ref->lock);
  registration->by_clone = 0;
}
