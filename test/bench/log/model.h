/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench log measures: a cell is a size of records and a number of clients. In each round
 * every method has its turn once in each cell, one right after the other, and each time beginning
 * with another one.
 */
#ifndef UVDIO_BENCH_LOG_MODEL_H
#define UVDIO_BENCH_LOG_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "harness/notes.h"
#include "harness/summary.h"
#include "log/run.h"

#define COMMITS_LIST_MAX 8

/* One method in one cell. */
typedef struct commits_row_s {
  commits_figure_t samples[SUMMARY_ROUNDS_MAX]; /* one for each round */
  size_t count;
} commits_row_t;

typedef struct commits_bench_s {
  /* options */
  commits_params_t params; /* but for what is in the lists */
  size_t records[COMMITS_LIST_MAX];
  size_t record_count;
  unsigned clients[COMMITS_LIST_MAX];
  size_t client_count;
  uint64_t rounds;
  int takes_part[COMMITS_METHODS];
  int as_json;
  const char* plot; /* a folder, or null */
  /* outcome */
  commits_row_t rows[COMMITS_LIST_MAX][COMMITS_LIST_MAX][COMMITS_METHODS];
  notes_t notes;
} commits_bench_t;

#endif /* UVDIO_BENCH_LOG_MODEL_H */
