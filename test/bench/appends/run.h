/* SPDX-License-Identifier: MIT */
/*
 * One figure of appending: blocks written behind each other into a file, by one method, so many in
 * flight.
 */
#ifndef UVDIO_BENCH_APPENDS_RUN_H
#define UVDIO_BENCH_APPENDS_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "uvdio.h"

typedef enum {
  APPENDS_WRITTEN,   /* plain writes into a file whose blocks are written: what can be had */
  APPENDS_EXTENDING, /* plain writes that extend an empty file */
  APPENDS_SINGLE,    /* an appender, a write for each append, the size as it comes */
  APPENDS_GROWING,   /* the same, the size ahead */
  APPENDS_GATHERED,  /* an appender as it is by default: appends share writes, the size ahead */
  APPENDS_METHODS
} appends_method_t;

typedef struct appends_params_s {
  const char* path; /* a file that does not exist; it is removed */
  uvdio_backend_t backend;
  size_t block_size;
  unsigned depth;
  uint64_t count;
  int is_durable; /* each block, when its callback runs */
} appends_params_t;

const char* appends_method_name(appends_method_t method);

/* Sets the rate of appends per second. Returns 0 or a code; `failed` names what failed. */
int appends_run(const appends_params_t* params, appends_method_t method, double* rate,
                const char** failed);

#endif /* UVDIO_BENCH_APPENDS_RUN_H */
