/*
 * uvdio bench --copy: `uvdio copy` side by side with dd and cp.
 *
 *   bench_copy.c         options, the source, the rounds
 *   bench_copy_report.c  table, JSON, picture
 *
 * A cell is one block size. In each round every peer copies the same file once, one right after the other and each
 * time beginning with another one. The source is not in the page cache then, the target does not exist, and the copy
 * is over when the target's data, size and name are on the disk, for everybody.
 */
#ifndef UVDIO_CLI_BENCH_COPY_H
#define UVDIO_CLI_BENCH_COPY_H

#include "compare.h"

#define COPY_BLOCKS_MAX 8

typedef enum {
  COPY_RING, /* uvdio copy --backend ring */
  COPY_POOL,
  COPY_DD, /* dd iflag=direct oflag=direct conv=fsync */
  COPY_CP, /* cp --reflink=never, then fsync; knows no block size */
  COPY_PEER_COUNT
} copy_peer_t;

const char* copy_peer_text(copy_peer_t peer);

/* One copy. */
typedef struct copy_sample_s {
  double bytes_per_s;
  double cpu_s_per_gib; /* user and system time of the peer's process */
} copy_sample_t;

/* One peer with one block size. */
typedef struct copy_row_s {
  copy_sample_t samples[SPREAD_ROUNDS_MAX]; /* one for each round */
  size_t count;
} copy_row_t;

typedef struct copy_bench_s {
  /* options */
  work_params_t work; /* the source: its size, and the seed of its bytes */
  size_t blocks[COPY_BLOCKS_MAX]; /* bytes */
  size_t block_count;
  uint64_t rounds;
  int as_json;
  const char* plot; /* directory; or null */
  /* state */
  char program[4096]; /* this one */
  place_t place;      /* the directory, with the source in it */
  char source[4096];
  char* target;
  int takes_part[COPY_PEER_COUNT];
  /* outcome */
  copy_row_t rows[COPY_BLOCKS_MAX][COPY_PEER_COUNT];
  notes_t notes;
} copy_bench_t;

int copy_bench_print(const copy_bench_t* bench);
json_t* copy_bench_json(const copy_bench_t* bench);

/* Writes results.json, data, gnuplot's script and the picture into bench->plot. Returns the exit code. */
int copy_bench_plot(const copy_bench_t* bench);

int copy_bench_main(int argc, char** argv);

#endif /* UVDIO_CLI_BENCH_COPY_H */
