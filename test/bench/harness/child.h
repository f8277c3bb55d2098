/* SPDX-License-Identifier: MIT */
/*
 * Child processes: one at a time. A signal that ends this process ends the child first.
 */
#ifndef UVDIO_BENCH_HARNESS_CHILD_H
#define UVDIO_BENCH_HARNESS_CHILD_H

#include <stddef.h>

typedef struct child_s {
  char* output; /* what it wrote to standard output, with a closing zero; the caller's to free */
  int code;     /* its exit code, or CLI_SIGNAL + the signal */
} child_t;

/* SIGINT, SIGTERM and SIGHUP are noted from now on, and passed on to the child that runs. */
void child_watch_signals(void);

/* The first one that came, or 0. */
int child_signal(void);

/* The exit code: where a signal came, says so and returns CLI_SIGNAL + its number; else `code`. */
int child_exit_code(int code);

/* Runs the program argv[0], looked for in PATH, with its errors shown or not. Returns 0, or a code
 * when it could not be started (UV_ENOENT) and there is nothing to free. */
int child_run(const char* const* argv, int with_errors, child_t* child);

/* Whether the program can be started and answers when asked for its version. `version` receives the
 * first line of the answer. */
int child_version(const char* program, const char* option, char* version, size_t size);

#endif /* UVDIO_BENCH_HARNESS_CHILD_H */
