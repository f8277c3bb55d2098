/* SPDX-License-Identifier: MIT */
/*
 * See memory.h.
 */
#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"
#include "uvdio.h"

/* What was asked for lies in front of the memory, so far away that the alignment is kept. */
struct label {
  size_t size;
  size_t alignment;
};

static size_t front_of(size_t alignment) {
  return alignment > sizeof(struct label) ? alignment : sizeof(struct label);
}

void* plain_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  (void)context;
  size_t front = front_of(alignment);
  struct label label = {size, alignment};
  void* memory = size > SIZE_MAX - front ? NULL : system_aligned_alloc(front, front + size);
  if (memory == NULL) {
    return NULL;
  }
  memcpy(memory, &label, sizeof(label));
  memory = (char*)memory + front;
  return zeroed ? memset(memory, 0, size) : memory;
}

void plain_release(void* context, void* memory, size_t size, size_t alignment) {
  (void)context;
  char* start = (char*)memory - front_of(alignment);
  struct label label;
  memcpy(&label, start, sizeof(label));
  if (label.size != size || label.alignment != alignment) {
    fprintf(stderr, "%zu bytes, aligned to %zu, are released as %zu bytes, aligned to %zu\n",
            label.size, label.alignment, size, alignment);
    abort();
  }
  system_aligned_free(start);
}

int check_releases(void) {
  const uvdio_allocator_t allocator = {NULL, plain_allocate, plain_release};
  return uvdio_set_allocator(&allocator);
}
