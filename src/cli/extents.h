/* SPDX-License-Identifier: MIT */
/*
 * Where a file has data and where it has holes. These calls block.
 */
#ifndef UVDIO_CLI_EXTENTS_H
#define UVDIO_CLI_EXTENTS_H

#include <stdint.h>

#include "uvdio.h"

/* A range of bytes; begin equals end: there is none. */
typedef struct extent_s {
  uint64_t begin;
  uint64_t end;
} extent_t;

/* The first range at or behind `from` that has data, widened to multiples of `unit` (a power of
 * two), cut to `from` and `size`. A null file, and what the system can't tell, count as data to the
 * end. */
extent_t extents_next(uvdio_file_t* file, uint64_t from, uint64_t size, uint64_t unit);

/* The bytes of all of them. */
uint64_t extents_count(uvdio_file_t* file, uint64_t size, uint64_t unit);

#endif /* UVDIO_CLI_EXTENTS_H */
