/* SPDX-License-Identifier: MIT */
/*
 * The library's own memory: one allocator for the whole process, replaceable by the user, and a
 * count of what is out.
 */
#ifndef UVDIO_MEMORY_H
#define UVDIO_MEMORY_H

#include <stddef.h>

/* Returns `size` bytes aligned to `alignment`, a power of two; null when out of memory. Any
 * thread. */
void* uvdio__alloc(size_t size, size_t alignment, int zeroed);

/* Gives back what uvdio__alloc returned, with the same size and alignment. Null is left alone. Any
 * thread. */
void uvdio__free(void* memory, size_t size, size_t alignment);

/* The alignment for structures. */
#define UVDIO__STRUCT_ALIGN (_Alignof(max_align_t))

#endif /* UVDIO_MEMORY_H */
