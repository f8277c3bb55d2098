/* SPDX-License-Identifier: MIT */
/*
 * One allocator for everything that the library takes. The system's own maps large blocks, so that
 * zeroed ones are fresh zero pages, and gets the rest from the heap. Which of the two a block came
 * from follows from its size alone: that is what lets a buffer be taken apart into base, len and
 * cap and rebuilt.
 */
#include "allocator.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "os/os.h"
#include "uvdio.h"

static void* system_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  void* memory;

  (void)context;
  if (size >= UVDIO_MAP_THRESHOLD) {
    assert(alignment <= UVDIO_ALIGNMENT);
    return uvdio__os_map(size);
  }
  memory = uvdio__os_aligned_alloc(size, alignment);
  if (memory != NULL && zeroed) {
    memset(memory, 0, size);
  }
  return memory;
}

static void system_release(void* context, void* memory, size_t size, size_t alignment) {
  (void)context;
  (void)alignment;
  if (size >= UVDIO_MAP_THRESHOLD) {
    uvdio__os_unmap(memory, size);
  } else {
    uvdio__os_aligned_free(memory);
  }
}

static const uvdio_allocator_t system_allocator = {NULL, system_allocate, system_release};
static uvdio_allocator_t allocator = {NULL, system_allocate, system_release};
static atomic_size_t allocations;

void* uvdio__alloc(size_t size, size_t alignment, int zeroed) {
  void* memory;

  assert(size > 0 && (alignment & (alignment - 1)) == 0);
  memory = allocator.allocate(allocator.context, size, alignment, zeroed);
  if (((uintptr_t)memory & (alignment - 1)) != 0) {
    allocator.release(allocator.context, memory, size, alignment);
    return NULL;
  }
  if (memory != NULL) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
  }
  return memory;
}

void uvdio__free(void* memory, size_t size, size_t alignment) {
  if (memory == NULL) {
    return;
  }
  allocator.release(allocator.context, memory, size, alignment);
  atomic_fetch_sub_explicit(&allocations, 1, memory_order_relaxed);
}

int uvdio_set_allocator(const uvdio_allocator_t* replacement) {
  if (replacement == NULL) {
    replacement = &system_allocator;
  }
  if (replacement->allocate == NULL || replacement->release == NULL) {
    return UV_EINVAL;
  }
  if (uvdio_allocations() != 0) {
    return UV_EBUSY;
  }
  allocator = *replacement;
  return 0;
}

size_t uvdio_allocations(void) {
  return atomic_load_explicit(&allocations, memory_order_relaxed);
}
