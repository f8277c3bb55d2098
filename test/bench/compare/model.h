/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench compare measures: targets side by side on the same files.
 *
 * A cell is one kind of work with one block size at one depth. In each round every target is
 * measured once per cell, one right after the other and each time beginning with another one, so
 * that what else happens on the machine hits all alike. Ratios are taken within a round, and only
 * then is their median.
 */
#ifndef UVDIO_BENCH_COMPARE_MODEL_H
#define UVDIO_BENCH_COMPARE_MODEL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/notes.h"
#include "harness/scratch_dir.h"
#include "harness/summary.h"
#include "harness/work.h"

#define COMPARE_DEPTHS_MAX 16
#define COMPARE_BLOCKS_MAX 16
#define COMPARE_ROUNDS_MAX SUMMARY_ROUNDS_MAX
#define COMPARE_CELLS_MAX (WORK_KIND_COUNT * COMPARE_BLOCKS_MAX * COMPARE_DEPTHS_MAX)
#define COMPARE_TARGETS_MAX 15

typedef enum {
  TARGET_CHILD, /* uvdio-bench target */
  TARGET_FIO,
  TARGET_QEMU
} compare_target_kind_t;

typedef struct compare_target_s {
  const char* name; /* of --target, and of `uvdio-bench target` */
  compare_target_kind_t kind;
  const char* detail; /* UV_THREADPOOL_SIZE; fio's ioengine */
  int by_default;
  const char* text;
} compare_target_t;

extern const compare_target_t compare_targets[];
extern const size_t compare_target_count;

/* One figure of one target: one cell in one round. What was not measured is NAN. */
typedef struct sample_s {
  double iops;
  double p50_us;
  double p99_us;
  double p999_us;
  double cpu_us_per_op;
  double rss_kib;
} sample_t;

typedef struct cell_s {
  work_kind_t kind;
  size_t block_size; /* bytes */
  unsigned depth;
} cell_t;

/* One target in one cell. */
typedef struct row_s {
  sample_t* samples; /* one for each round */
  size_t sample_count;
  double system_calls_per_op; /* NAN: not counted */
  double instructions_per_op;
  char executed_by[16]; /* the backend that a uvdio engine really had; "" otherwise */
  json_t* first_engine; /* counters of the last run; or null */
} row_t;

typedef struct compare_s {
  /* options */
  const char* path;
  int as_json;
  int on_loop_device;
  int small_pages;
  int with_instructions;
  int with_calls;
  const char* plot; /* directory; or null */
  uint64_t total_size;
  uint64_t rounds;
  const compare_target_t* targets[COMPARE_TARGETS_MAX];
  size_t target_count;
  unsigned depths[COMPARE_DEPTHS_MAX];
  size_t depth_count;
  size_t blocks[COMPARE_BLOCKS_MAX]; /* bytes */
  size_t block_count;
  int kinds[WORK_KIND_COUNT];
  work_params_t params; /* what all cells have in common; block_size is the largest one */
  /* outcome */
  char program[4096]; /* this one */
  scratch_dir_t scratch;
  cell_t cells[COMPARE_CELLS_MAX];
  size_t cell_count;
  row_t* rows;           /* cell_count times target_count */
  char call_counter[64]; /* the program that counts system calls; "" for none */
  notes_t notes;
} compare_t;

row_t* compare_row(const compare_t* compare, size_t cell, size_t target);

/* What the targets of a cell have to do. */
work_params_t compare_params(const compare_t* compare, size_t cell);

/* The index of a target by its name, or -1 where it takes no part. */
int compare_find(const compare_t* compare, const char* name);

/* Of one member over a row's rounds. */
summary_t compare_summary(const row_t* row, size_t member);

/* Of the quotients within the rounds. */
summary_t compare_ratio(const row_t* row, const row_t* base, size_t member);

#define SAMPLE_MEMBER(name) offsetof(sample_t, name)

#endif /* UVDIO_BENCH_COMPARE_MODEL_H */
