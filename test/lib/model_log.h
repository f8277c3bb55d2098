/* SPDX-License-Identifier: MIT */
/*
 * A file that is only appended to (uvdio/append.h), beside those of a test that does random
 * operations, and what it may hold. From one appender to the next the test goes on where the last
 * acknowledged append ends, or, after a power cut or an error, the last one that was acknowledged
 * as durable:
 *
 *   0 ............ durable ............ written ............ the file's end
 *     there, always        there, unless     zeros, or bytes of appends
 *                          power was cut     without an acknowledgement
 */
#ifndef UVDIO_TEST_MODEL_LOG_H
#define UVDIO_TEST_MODEL_LOG_H

#include "generator.h"
#include "uvdio/append.h"
#include "uvdio/sim.h"

#define MODEL_LOG_MAX ((size_t)256 * 1024)
#define MODEL_LOG_APPENDS 24u

struct model_log;

struct model_append {
  uvdio_append_t append;
  struct model_log* log;
  int asks; /* to be durable */
};

struct model_log {
  const char* path;
  uvdio_sim_t* sim; /* null: on a real filesystem */
  int injected;     /* requests fail */
  int dead;         /* the power was cut */
  int closing;      /* the engine */
  /* whether there is a reason for an error beyond these; null: never */
  int (*explains)(int64_t error);
  int is_blurred; /* reads may come short at any place: they are not looked at */

  uvdio_file_t file;
  int is_open;
  int is_known; /* it was there before */
  uvdio_appender_t* appender;
  unsigned flags;
  uint64_t began; /* where this appender went on */
  uint64_t durable;
  uint64_t written;
  int is_exact; /* the last appender was closed well: the file ends with `written` */
  int is_cancelled;
  int64_t error;
  struct model_append appends[MODEL_LOG_APPENDS];
  unsigned count;
  unsigned ended;
  uvdio_append_t ending;
  int is_ending;
  int in_call;
  uint64_t operations; /* accepted */
  uint64_t compared;   /* bytes */
  char wrong[200];     /* the first thing; "": nothing */
  char* expected;      /* of MODEL_LOG_MAX bytes: once all appends are there */
  char* found;
};

void model_log_make(struct model_log* log, const char* path, uvdio_sim_t* sim);
void model_log_free(struct model_log* log);

/* One thing at random: open, append, sync, cancel, close. */
void model_log_step(struct model_log* log, uvdio_engine_t* engine, struct choices* choices);

/* Closes appender and file, and runs the loop to its end for that. */
void model_log_end(struct model_log* log, uv_loop_t* loop);

/* The engine is closed, and gone. Where power was cut, looks at what is left; not after a crash. */
void model_log_bury(struct model_log* log, int was_cut);

#endif /* UVDIO_TEST_MODEL_LOG_H */
