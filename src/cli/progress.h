/* SPDX-License-Identifier: MIT */
/*
 * Progress: one line on stderr that is rewritten ten times a second.
 */
#ifndef UVDIO_CLI_PROGRESS_H
#define UVDIO_CLI_PROGRESS_H

#include <stdint.h>
#include <uv.h>

typedef struct progress_s {
  uv_timer_t timer;
  const char* verb;      /* "copying" */
  const uint64_t* done;  /* bytes; null: no bar, the verb alone */
  const uint64_t* moved; /* those of them that are worth a rate */
  uint64_t total;
  uint64_t started_ns;
  int enabled;
} progress_t;

int progress_open(progress_t* progress, uv_loop_t* loop, int enabled);
void progress_start(progress_t* progress, const char* verb, const uint64_t* done,
                    const uint64_t* moved, uint64_t total);
void progress_stop(progress_t* progress);

/* Does nothing where progress_open() was not reached, or failed. */
void progress_close(progress_t* progress);

#endif /* UVDIO_CLI_PROGRESS_H */
