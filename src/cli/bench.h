/* SPDX-License-Identifier: MIT */
/*
 * A benchmark is a list of phases. A phase has parameters (what to do, with which blocks, how many
 * at a time), is run by a runner (the library on one backend; any other means of reading and
 * writing a file can be one), is measured by a meter, and ends in a row of figures.
 *
 *   bench.c         options, the list of phases
 *   bench_report.c  the rows, as a table and as JSON
 *   bench_run.c     the runner that uses the library
 *   meter.c         latencies, time and CPU
 *   pattern.c       the bytes that are written and looked for
 */
#ifndef UVDIO_CLI_BENCH_H
#define UVDIO_CLI_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "meter.h"
#include "session.h"
#include "uvdio.h"

typedef enum {
  BENCH_WRITE,      /* the whole file, in order, over blocks that are allocated already */
  BENCH_VERIFY,     /* the whole file, in order, each byte compared with what was written */
  BENCH_RANDOM_READ /* blocks anywhere in the file, for a time */
} bench_operation_t;

#define BENCH_OPERATION_COUNT 3

/* "write", "verify", "random-read" */
const char* bench_operation_text(bench_operation_t operation);

typedef struct bench_params_s {
  bench_operation_t operation;
  size_t block_size;    /* bytes */
  unsigned depth;       /* requests in flight */
  uint64_t file_size;   /* bytes, a multiple of the alignment */
  uint64_t duration_ns; /* of random reads */
  uint64_t seed;        /* of the pattern, and of the random offsets */
} bench_params_t;

/* One line of the outcome. The JSON has these fields. */
typedef struct bench_row_s {
  const char* backend;
  bench_operation_t operation;
  size_t block_size;
  unsigned depth;
  meter_figures_t figures;
  char* metrics; /* as text or JSON; null where nobody asked */
} bench_row_t;

#define BENCH_BACKEND_COUNT 4
#define BENCH_DEPTHS_MAX 16
#define BENCH_NOTE_SIZE 400
#define BENCH_ROWS_MAX (BENCH_BACKEND_COUNT * BENCH_DEPTHS_MAX * BENCH_OPERATION_COUNT)

/* What was asked for, and what came of it. */
typedef struct bench_s {
  /* options */
  int as_json;
  int with_metrics;
  int all_backends; /* none was named: those that are not available are left out */
  uvdio_backend_t backends[BENCH_BACKEND_COUNT];
  size_t backend_count;
  unsigned depths[BENCH_DEPTHS_MAX];
  size_t depth_count;
  int operations[BENCH_OPERATION_COUNT]; /* 1: wanted */
  uint64_t file_size;
  uint64_t block_size;
  uint64_t duration_ns;
  uint64_t seed;
  int polled; /* completions, of the ring */
  char* path;
  /* outcome */
  bench_row_t rows[BENCH_ROWS_MAX];
  size_t row_count;
  char notes[BENCH_BACKEND_COUNT + 1][BENCH_NOTE_SIZE]; /* of each uvdio_backend_t, or "" */
  char filesystem[32];                                  /* "" while no file was on a disk */
  int direct;
  /* of each uvdio_backend_t: it could not do it, and its rows are the pool's work */
  int is_pool[BENCH_BACKEND_COUNT + 1];
  int signal;
  unsigned sessions;
} bench_t;

/* What went wrong in a phase. */
typedef struct bench_failure_s {
  int error;             /* a code; 0 for a byte that is not what was written */
  const char* operation; /* "read", "write" */
  uint64_t offset;
  unsigned char found;
  unsigned char expected;
} bench_failure_t;

/* Runs one phase on an open file of the session's engine and fills in the figures. Returns 0, or -1
 * and the failure; when a signal stopped it, 0 as well (session->signal). */
int bench_run(session_t* session, uvdio_file_t* file, const bench_params_t* params,
              meter_figures_t* figures, bench_failure_t* failure);

/* The rows as a table, and as JSON. Each returns the exit code. */
int bench_print(const bench_t* bench);
int bench_print_json(const bench_t* bench);

#endif /* UVDIO_CLI_BENCH_H */
