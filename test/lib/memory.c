/* SPDX-License-Identifier: MIT */
/*
 * See memory.h.
 */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

void* plain_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  (void)context;
  void* memory = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  return memory != NULL && zeroed ? memset(memory, 0, size) : memory;
}

void plain_release(void* context, void* memory, size_t size, size_t alignment) {
  (void)context;
  (void)size;
  (void)alignment;
  free(memory);
}
