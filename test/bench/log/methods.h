/* SPDX-License-Identifier: MIT */
/*
 * What a method is given, and what it counts. Each prepares its folder once, and opens what is
 * there before the clock of a figure starts.
 */
#ifndef UVDIO_BENCH_LOG_METHODS_H
#define UVDIO_BENCH_LOG_METHODS_H

#include "cli/meter.h"
#include "log/run.h"

/* One run of a method. */
typedef struct commits_s {
  const commits_params_t* params;
  commits_method_t method;
  const char* folder;
  const char* record; /* bytes of each record */
  const char* failed; /* what was tried last, for an error */
  uint64_t deadline_ns;
  meter_t meter;
  double cpu_us;
  uint64_t flushes; /* durable writes */
  uint64_t rolls;   /* segments that were begun */
} commits_t;

/* Between these two calls is what is measured. */
void commits_start(commits_t* commits);
void commits_end(commits_t* commits);

/* A client's commit has ended. Returns the time, with which the next one begins; 0: there is no
 * next one. */
uint64_t commits_note(commits_t* commits, uint64_t began_ns);

/* "FOLDER/NAME" */
void commits_path(const commits_t* commits, const char* name, char* path, size_t size);

/* Makes a file of which every block is written. Returns 0 or a code. */
int commits_make_file(const commits_t* commits, const char* name, uint64_t size);

/* Opens it for durable writes past the page cache. Returns a descriptor or a negative code. */
int commits_open_direct(const commits_t* commits, const char* name);

/* Each returns 0 or a code. */
int commits_prepare_uvdio(commits_t* commits);
int commits_by_uvdio(commits_t* commits);
int commits_prepare_segments(commits_t* commits);
int commits_by_segments(commits_t* commits);
int commits_prepare_threads(commits_t* commits);
int commits_by_threads(commits_t* commits);
int commits_by_sqlite(commits_t* commits);
int commits_prepare_device(commits_t* commits);
int commits_by_device(commits_t* commits);

#endif /* UVDIO_BENCH_LOG_METHODS_H */
