/* SPDX-License-Identifier: MIT */
/*
 * Where a file has data and where it has holes, and space for its data. The library's interface has
 * none of this: these calls block, and take a descriptor of the command's own. Systems without
 * lseek(2)'s SEEK_DATA have no holes.
 */
#ifndef UVDIO_CLI_EXTENTS_H
#define UVDIO_CLI_EXTENTS_H

#include <stdint.h>

/* A range of bytes; begin equals end: there is none. */
typedef struct extent_s {
  uint64_t begin;
  uint64_t end;
} extent_t;

/* The first range at or behind `from` that has data, widened to multiples of `unit` (a power of
 * two), cut to `from` and `size`. A descriptor of -1, and what the system can't tell, count as data
 * to the end. */
extent_t extents_next(int descriptor, uint64_t from, uint64_t size, uint64_t unit);

/* The bytes of all of them. */
uint64_t extents_count(int descriptor, uint64_t size, uint64_t unit);

/* Reserves space for a range of a file. Returns 0, UV_ENOTSUP where neither system nor filesystem
 * can, or another code. */
int extents_reserve(int descriptor, extent_t range);

#endif /* UVDIO_CLI_EXTENTS_H */
