/* SPDX-License-Identifier: MIT */
/*
 * Work: which block of which file is read or written next, from a seed.
 * All that is measured takes its operations from here, and reads the clock once for each.
 */
#ifndef UVDIO_BENCH_HARNESS_WORK_H
#define UVDIO_BENCH_HARNESS_WORK_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "cli/meter.h"
#include "cli/pattern.h"

typedef enum {
  WORK_RANDOM_READ,
  WORK_SEQUENTIAL_READ,
  WORK_RANDOM_WRITE,
  WORK_SEQUENTIAL_WRITE,
  WORK_DURABLE_WRITE, /* in order, through a descriptor with O_DSYNC: a log */
  WORK_MIXED          /* at random, 70 % reads */
} work_kind_t;

#define WORK_KIND_COUNT 6

/* "random-read", ...; null for what is none. */
const char* work_kind_text(work_kind_t kind);

/* Finds the kind by its name. Returns 0, or -1. */
int work_kind_parse(const char* text, work_kind_t* kind);

#define WORK_DEPTH_MAX 4096
#define WORK_FILES_MAX 100000
#define WORK_LOOPS_MAX 64

typedef struct work_params_s {
  const char* target;
  const char* directory; /* has the files "f.0", "f.1", ... */
  work_kind_t kind;
  unsigned files;
  unsigned loops;
  unsigned depth; /* requests in flight, of each loop */
  size_t block_size;
  uint64_t file_size;   /* bytes, of each file; a multiple of block_size */
  uint64_t duration_ns; /* how long; where `operations` is 0 */
  uint64_t operations;  /* how many, of each loop: for counting instructions and calls; no clock is
                           read then */
  uint64_t seed;
  int pin;        /* bind each loop's thread to a processor, where the target may be */
  int huge_pages; /* ask the system for huge pages under the buffers */
} work_params_t;

/* The path of the file with this number. */
void work_path(const work_params_t* params, unsigned number, char* path, size_t size);

/* Whether the files are written to. */
int work_writes(work_kind_t kind);

/* Whether the offsets are drawn, and not in order. */
static inline int work_is_random(work_kind_t kind) {
  return kind == WORK_RANDOM_READ || kind == WORK_RANDOM_WRITE || kind == WORK_MIXED;
}

/* Opens a file past the page cache, with the flags of open(2). Returns a descriptor, or a negative
 * code. */
int work_open_direct(const char* path, int flags);

/* Opens one of the files in this way. */
int work_open(const work_params_t* params, unsigned number);

/* Memory for `depth` buffers in a row, written to once, so that page faults belong to nobody's
 * operations. Null when there is none; free() takes it back. */
void* work_memory(const work_params_t* params);

/* One operation. */
typedef struct step_s {
  unsigned file;
  int is_write;
  uint64_t offset;
} step_t;

/* What one loop has to do, and has done. */
typedef struct work_s {
  work_params_t params;
  uint64_t blocks;   /* of each file */
  uint64_t random;   /* state of the random numbers */
  uint64_t sequence; /* operations in order begin at a place of their own in each loop */
  uint64_t left;     /* operations that may still begin */
  uint64_t deadline_ns;
  int timed;
  meter_t meter;
} work_t;

/* Fills in what the parameters say, for the loop with this number. The deadline is left open. */
void work_prepare(work_t* work, const work_params_t* params, unsigned number);

/* A whole number below `limit`, which fits 32 bits: a multiplication instead of a division. */
static inline uint64_t work_below(uint32_t random, uint64_t limit) {
  return ((uint64_t)random * limit) >> 32;
}

/* The clock, where there is a need for one. */
static inline uint64_t work_now(const work_t* work) {
  return work->timed ? uv_hrtime() : 0;
}

/* Takes the next operation. Returns 0 when the work is over. */
static inline int work_next(work_t* work, uint64_t now_ns, step_t* step) {
  if (work->left == 0 || now_ns >= work->deadline_ns) {
    return 0;
  }
  work->left--;
  if (work_is_random(work->params.kind)) {
    uint64_t random = random_next(&work->random);
    step->offset = work_below((uint32_t)(random >> 32), work->blocks) * work->params.block_size;
    step->file = (unsigned)work_below((uint32_t)random, work->params.files);
    step->is_write = work->params.kind == WORK_RANDOM_WRITE ||
                     (work->params.kind == WORK_MIXED && (random & 0xFF) < 77); /* 30 of 100 */
    return 1;
  }
  uint64_t number = work->sequence++;
  step->file = (unsigned)(number % work->params.files);
  step->offset = number / work->params.files % work->blocks * work->params.block_size;
  step->is_write = work->params.kind != WORK_SEQUENTIAL_READ;
  return 1;
}

/* Takes down that an operation has moved its block. */
static inline void work_done(work_t* work, uint64_t began_ns, uint64_t now_ns) {
  if (work->timed) {
    meter_record(&work->meter, began_ns, now_ns, work->params.block_size);
  } else {
    work->meter.operations++;
  }
}

#endif /* UVDIO_BENCH_HARNESS_WORK_H */
