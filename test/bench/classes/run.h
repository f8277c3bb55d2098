/* SPDX-License-Identifier: MIT */
/*
 * One figure: some of three loads on one engine, for a time.
 *
 *   reads   one random read of 4 KiB at a time
 *   log     one durable write of 4 KiB at a time, each behind the last one
 *   copy    so many at a time: a block is read from one file and written to another one
 */
#ifndef UVDIO_BENCH_CLASSES_RUN_H
#define UVDIO_BENCH_CLASSES_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "cli/meter.h"
#include "uvdio.h"
#include "uvdio/class.h"

enum { LOAD_READS, LOAD_LOG, LOAD_COPY, LOADS };

typedef struct classes_params_s {
  const char* directory; /* where the files are, each of `file_size` */
  uint64_t file_size;
  uint64_t duration_ns;
  size_t block_size; /* of the copy */
  unsigned depth;    /* of the copy */
  uvdio_backend_t backend;
  uvdio_device_model_t model;
} classes_params_t;

/* Makes the files, all blocks of them written. Returns 0 or a code; `failed` names what failed. */
int classes_make_files(const classes_params_t* params, const char** failed);
void classes_remove_files(const classes_params_t* params);

/* Runs the loads of the mask (1 << LOAD_*), each in a class of its own where `with_classes` says
 * so. */
int classes_run(const classes_params_t* params, unsigned loads, int with_classes,
                meter_figures_t figures[LOADS], const char** failed);

#endif /* UVDIO_BENCH_CLASSES_RUN_H */
