/* SPDX-License-Identifier: MIT */
/*
 * The parts of an allocator (uvdio_set_allocator()) that passes calls on to the C library, and ends
 * the program where memory is released with another size or alignment than it was allocated with,
 * or something was written behind it. Small blocks that need not be zeroed are full of junk. A
 * test's own adds what it is about.
 */
#ifndef UVDIO_TEST_MEMORY_H
#define UVDIO_TEST_MEMORY_H

#include <stddef.h>

void* plain_allocate(void* context, size_t size, size_t alignment, int zeroed);
void plain_release(void* context, void* memory, size_t size, size_t alignment);

/* Makes the two the library's allocator. Returns 0 or a negative code. */
int check_releases(void);

#endif /* UVDIO_TEST_MEMORY_H */
