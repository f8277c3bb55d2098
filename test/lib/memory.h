/* SPDX-License-Identifier: MIT */
/*
 * The parts of an allocator (uvdio_set_allocator()) that only passes calls on to the C library: a
 * test's own adds what it is about.
 */
#ifndef UVDIO_TEST_MEMORY_H
#define UVDIO_TEST_MEMORY_H

#include <stddef.h>

void* plain_allocate(void* context, size_t size, size_t alignment, int zeroed);
void plain_release(void* context, void* memory, size_t size, size_t alignment);

#endif /* UVDIO_TEST_MEMORY_H */
