/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench copy measures: `uvdio copy` side by side with dd and cp.
 *
 * A cell is one block size. In each round every target copies the same file once, one right after
 * the other and each time beginning with another one. The source is not in the page cache then, the
 * destination does not exist, and the copy is over when the copy's data, size and name are on the
 * disk, for everybody.
 */
#ifndef UVDIO_BENCH_COPY_MODEL_H
#define UVDIO_BENCH_COPY_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "harness/notes.h"
#include "harness/scratch_dir.h"
#include "harness/summary.h"
#include "harness/work.h"

#define COPY_BLOCKS_MAX 8

typedef enum {
  COPY_RING, /* uvdio copy --backend ring */
  COPY_POOL,
  COPY_DD, /* dd iflag=direct oflag=direct conv=fsync */
  COPY_CP, /* cp --reflink=never, then fsync; knows no block size */
  COPY_TARGET_COUNT
} copy_target_t;

const char* copy_target_text(copy_target_t target);

/* One copy. */
typedef struct copy_sample_s {
  double bytes_per_s;
  double cpu_s_per_gib; /* user and system time of the target's process */
} copy_sample_t;

/* One target with one block size. */
typedef struct copy_row_s {
  copy_sample_t samples[SUMMARY_ROUNDS_MAX]; /* one for each round */
  size_t count;
} copy_row_t;

typedef struct copy_bench_s {
  /* options */
  work_params_t work;             /* the source: its size, and the seed of its bytes */
  size_t blocks[COPY_BLOCKS_MAX]; /* bytes */
  size_t block_count;
  uint64_t rounds;
  int as_json;
  const char* plot;  /* directory; or null */
  const char* uvdio; /* the command whose `copy` is measured; null: that beside this program */
  /* state */
  char program[4096];    /* the command `uvdio` */
  scratch_dir_t scratch; /* the directory, with the source in it */
  char source[4096];
  char* destination;
  int takes_part[COPY_TARGET_COUNT];
  /* outcome */
  copy_row_t rows[COPY_BLOCKS_MAX][COPY_TARGET_COUNT];
  notes_t notes;
} copy_bench_t;

#endif /* UVDIO_BENCH_COPY_MODEL_H */
