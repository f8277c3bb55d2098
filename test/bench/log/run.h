/* SPDX-License-Identifier: MIT */
/*
 * One figure: clients that commit records one after the other, by one method, for a time.
 * A commit is a record that is durable; each client has one under way at a time.
 */
#ifndef UVDIO_BENCH_LOG_RUN_H
#define UVDIO_BENCH_LOG_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "uvdio.h"

typedef enum {
  COMMITS_LOG,      /* uvdio/log.h, by its defaults */
  COMMITS_PACKED,   /* the same with UVDIO_LOG_PACKED */
  COMMITS_ROLLING,  /* the first with small segments, which are cut and used again all the time */
  COMMITS_SEGMENTS, /* what raft's libuv back end does: kernel AIO of whole blocks, on a loop */
  COMMITS_THREADS,  /* a thread for each client; one of them writes for all */
  COMMITS_SQLITE,   /* the same threads, whose records become one transaction */
  COMMITS_DEVICE,   /* durable writes of one block after the other, and nothing else */
  COMMITS_METHODS
} commits_method_t;

#define COMMITS_CLIENTS_MAX 4096u
#define COMMITS_RECORD_MAX ((size_t)1 << 20)

typedef struct commits_params_s {
  const char* directory; /* in which each method has a folder */
  uvdio_backend_t backend;
  size_t record_size;
  unsigned clients;
  uint64_t duration_ns;
  uint64_t segment_size; /* of the rolling log */
} commits_params_t;

/* What one run has measured; NAN is what it has not. */
typedef struct commits_figure_s {
  double rate; /* per second */
  double p50_us;
  double p99_us;
  double p999_us; /* from 1000 commits on */
  double cpu_us;  /* of all threads, per commit */
  double flushed; /* commits per durable write */
  double rolls;   /* segments that were begun, per second */
} commits_figure_t;

const char* commits_method_name(commits_method_t method);

/* Why the method is not in this build; null: it is. */
const char* commits_method_missing(commits_method_t method);

/* Makes the method's folder and what it needs. Returns 0 or a code; `failed` names what failed. */
int commits_prepare(const commits_params_t* params, commits_method_t method, const char** failed);

/* Returns 0 or a code; `failed` names what failed. */
int commits_run(const commits_params_t* params, commits_method_t method, commits_figure_t* figure,
                const char** failed);

/* Removes the folder, whatever is in it. */
void commits_remove(const commits_params_t* params, commits_method_t method);

#endif /* UVDIO_BENCH_LOG_RUN_H */
