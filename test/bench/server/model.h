/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench server measures: what background I/O does to the echo on the same loop, and what
 * an occupied threadpool does to the I/O.
 *
 * Everything is measured once in each round, one right after the other, and ratios are taken within
 * a round.
 */
#ifndef UVDIO_BENCH_SERVER_MODEL_H
#define UVDIO_BENCH_SERVER_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "echo_server/params.h"
#include "harness/notes.h"
#include "harness/scratch_dir.h"
#include "harness/summary.h"

/* What the echo's p99 may be with the ring, as a multiple of what it is with the pool. */
#define SERVER_ECHO_BOUND 1.5

typedef enum {
  PART_ECHO, /* the echo, and I/O at a fixed rate */
  PART_FREE, /* I/O as fast as it goes */
  PART_BUSY  /* the same, while the threadpool's threads are occupied */
} server_part_t;

/* One figure: one row in one round. What was not measured is NAN. */
typedef struct figures_s {
  double messages_per_s;
  double echo_p50_us;
  double echo_p99_us;
  double echo_p999_us;
  double late_p99_us; /* how late the clients sent */
  double iops;
  double io_p50_us;
  double io_p99_us;
  double processors; /* CPU time per time, of the server's process */
} figures_t;

typedef struct server_row_s {
  const char* variant; /* of echo_server_params_t */
  server_part_t part;
  figures_t figures[SUMMARY_ROUNDS_MAX];
  size_t count;
  char executed_by[16]; /* the backend that a uvdio engine really had; "" otherwise */
} server_row_t;

#define SERVER_VARIANT_COUNT 4
#define SERVER_ROWS_MAX 10

typedef struct server_bench_s {
  /* options */
  int as_json;
  int on_loop_device;
  const char* plot; /* directory; or null */
  uint64_t rounds;
  unsigned threads;
  echo_server_params_t params; /* what all have in common */
  /* outcome */
  char program[4096]; /* this one */
  int rate_was_given;
  scratch_dir_t scratch;
  server_row_t rows[SERVER_ROWS_MAX];
  size_t row_count;
  notes_t notes;
} server_bench_t;

typedef struct server_variant_s {
  const char* name;
  const char* text; /* for people */
} server_variant_t;

extern const server_variant_t server_variants[SERVER_VARIANT_COUNT]; /* the first is without I/O */

/* "17.6 k operations per second", or that there is no limit. Returns `text`. */
#define SERVER_RATE_SIZE 48
char* server_rate_text(const server_bench_t* server, char* text);

/* What the variant is, for people. */
const char* server_variant_text(const char* variant);

/* The row, or null where it takes no part or has no figures. */
const server_row_t* server_find(const server_bench_t* server, const char* variant,
                                server_part_t part);

#define FIGURE(name) offsetof(figures_t, name)

/* Of one figure over a row's rounds; of its quotients within the rounds. Rows may be null. */
summary_t server_summary(const server_row_t* row, size_t member);
summary_t server_ratio(const server_row_t* row, const server_row_t* base, size_t member);

#endif /* UVDIO_BENCH_SERVER_MODEL_H */
