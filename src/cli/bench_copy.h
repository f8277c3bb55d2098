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
#define COPY_ROUNDS_MAX 100

typedef enum {
  COPY_RING, /* uvdio copy --backend ring */
  COPY_POOL,
  COPY_DD, /* dd iflag=direct oflag=direct conv=fsync */
  COPY_CP, /* cp --reflink=never, then fsync; knows no block size */
  COPY_PEER_COUNT
} copy_peer_t;

const char* copy_peer_text(copy_peer_t peer);

/* One peer with one block size, one entry for each round. */
typedef struct copy_row_s {
  double seconds[COPY_ROUNDS_MAX];
  double cpu_seconds[COPY_ROUNDS_MAX]; /* user and system time of the peer's process */
  size_t count;
} copy_row_t;

typedef struct copy_bench_s {
  /* options */
  const char* path;
  uint64_t size;
  uint64_t blocks[COPY_BLOCKS_MAX];
  size_t block_count;
  uint64_t rounds;
  uint64_t seed;
  int as_json;
  const char* plot; /* directory; or null */
  /* state */
  char program[4096]; /* this one */
  char* directory;    /* of ours */
  char* source;
  char* target;
  int takes_part[COPY_PEER_COUNT];
  /* outcome */
  copy_row_t rows[COPY_BLOCKS_MAX][COPY_PEER_COUNT];
  char notes[COPY_PEER_COUNT + 1][COMPARE_NOTE_SIZE];
  size_t note_count;
} copy_bench_t;

/* Bytes per second of the row's rounds. */
spread_t copy_row_rate(const copy_bench_t* bench, const copy_row_t* row);

/* How many times as fast as `base`: medians of the quotients within the rounds. */
spread_t copy_row_ratio(const copy_row_t* row, const copy_row_t* base);

int copy_bench_print(const copy_bench_t* bench);
json_t* copy_bench_json(const copy_bench_t* bench);

/* Writes copy.json, data, gnuplot's script and the picture into bench->plot. Returns the exit code. */
int copy_bench_plot(const copy_bench_t* bench);

int copy_bench_main(int argc, char** argv);

#endif /* UVDIO_CLI_BENCH_COPY_H */
