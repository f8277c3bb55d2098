/* SPDX-License-Identifier: MIT */
/*
 * One figure of reading in order: a file as a whole, by one method, and perhaps a reader of random
 * pages of it beside that.
 */
#ifndef UVDIO_BENCH_STREAMS_RUN_H
#define UVDIO_BENCH_STREAMS_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "uvdio.h"

/* Reads in flight, always as many: 1, 2, 4 ... 128. */
#define STREAMS_FIXED 8

typedef enum {
  STREAMS_READER = STREAMS_FIXED, /* the reader, by its defaults */
  STREAMS_FULL,                   /* the reader, with its largest window from the start */
  STREAMS_CLASS,                  /* the reader, of a class that has 512 KiB in flight at most */
  STREAMS_METHODS
} streams_method_t;

typedef struct streams_params_s {
  const char* path; /* a file of `size` bytes */
  uvdio_backend_t backend;
  size_t block_size;
  uint64_t size;
  int is_beside; /* random pages are read meanwhile, one at a time */
} streams_params_t;

/* What one run has measured. */
typedef struct streams_figure_s {
  double bytes; /* per second */
  double pages; /* per second: of the reader beside */
} streams_figure_t;

void streams_name(int method, char* name, size_t size);

/* Writes the file. Returns 0 or a code. */
int streams_prepare(const streams_params_t* params);

/* Returns 0 or a code. */
int streams_run(const streams_params_t* params, int method, streams_figure_t* figure);

#endif /* UVDIO_BENCH_STREAMS_RUN_H */
