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

/* What lies behind it, and what fills small blocks that need not be zeroed: whoever writes or reads
 * too much is seen by that, or goes wrong. */
static const char behind[] = "behind!";
#define JUNK 0xa5
#define JUNK_MOST 65536u

static size_t front_of(size_t alignment) {
  return alignment > sizeof(struct label) ? alignment : sizeof(struct label);
}

void* plain_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  (void)context;
  size_t front = front_of(alignment);
  struct label label = {size, alignment};
  void* memory = size > SIZE_MAX - front - sizeof(behind)
                     ? NULL
                     : system_aligned_alloc(front, front + size + sizeof(behind));
  if (memory == NULL) {
    return NULL;
  }
  memcpy(memory, &label, sizeof(label));
  memory = (char*)memory + front;
  memcpy((char*)memory + size, behind, sizeof(behind));
  if (zeroed) {
    memset(memory, 0, size);
  } else if (size <= JUNK_MOST) {
    memset(memory, JUNK, size);
  }
  return memory;
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
  if (memcmp((char*)memory + size, behind, sizeof(behind)) != 0) {
    fprintf(stderr, "something was written behind %zu bytes\n", size);
    abort();
  }
  system_aligned_free(start);
}

int check_releases(void) {
  const uvdio_allocator_t allocator = {NULL, plain_allocate, plain_release};
  return uvdio_set_allocator(&allocator);
}
