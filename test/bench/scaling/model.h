/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench scaling measures: a read with few and with many files, requests and frames.
 *
 *   files     random reads in turn over so many open files
 *   queued    so many requests submitted at a time, of which the engine's depth is with the kernel
 *   arena     frames from all over a registered arena of that size
 *
 * One figure is the CPU time of this process per read, between the first submission and the last
 * callback. In each round every size of a series is measured once, one right after the other;
 * quotients are by one size of the series, within the round.
 */
#ifndef UVDIO_BENCH_SCALING_MODEL_H
#define UVDIO_BENCH_SCALING_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "harness/notes.h"
#include "harness/summary.h"

#define SCALING_DEPTH 64
#define SCALING_FILE_SIZE ((uint64_t)16 * 1024)
#define SCALING_BLOCK UVDIO_PAGE_SIZE
#define SCALING_SIZES_MAX 6

typedef enum { SERIES_FILES, SERIES_QUEUED, SERIES_ARENA } series_kind_t;
#define SCALING_SERIES_COUNT 3

typedef struct scaling_series_s {
  const char* name;
  const char* unit;
  size_t base;                       /* the size that quotients are by */
  uint64_t sizes[SCALING_SIZES_MAX]; /* 0 ends */
} scaling_series_t;
extern const scaling_series_t scaling_series[SCALING_SERIES_COUNT];

/* One figure. */
typedef struct {
  double cpu_us;
  double calls;
} scaling_figure_t;

typedef struct {
  scaling_figure_t figures[SUMMARY_ROUNDS_MAX];
  size_t count;
  double instructions; /* NAN: not counted */
} scaling_row_t;

typedef struct {
  const char* directory;
  uint64_t rounds;
  uint64_t reads;
  int series[SCALING_SERIES_COUNT]; /* 1: wanted */
  int with_instructions;
  int as_json;
  char* folder;
  uint64_t files_made;
  scaling_row_t rows[SCALING_SERIES_COUNT][SCALING_SIZES_MAX];
  notes_t notes;
} scaling_t;

/* The series with this name, or -1. */
int scaling_find_series(const char* name);

/* The path of the file with this number. Returns 0 or a code. */
int scaling_path(const scaling_t* scaling, uint64_t number, char* path, size_t size);

#define SCALING_FIGURE(name) offsetof(scaling_figure_t, name)

/* Of one figure over a row's rounds; of its CPU times by those of the series' base. */
summary_t scaling_summary(const scaling_row_t* row, size_t member);
summary_t scaling_ratio(const scaling_t* scaling, series_kind_t kind, const scaling_row_t* row);

#endif /* UVDIO_BENCH_SCALING_MODEL_H */
