/*
 * A benchmark is a list of phases. A phase has parameters (what to do, with which blocks, how many at a
 * time), is run by a runner (the library on one backend; any other means of reading and writing a file can
 * be one), is measured by a meter, and ends in a row of figures.
 *
 *   bench.c      options, the list of phases, the table and the JSON
 *   bench_run.c  the runner that uses the library
 *   meter.c      latencies, time and CPU; the bytes that are written and looked for
 */
#ifndef UVDIO_CLI_BENCH_H
#define UVDIO_CLI_BENCH_H

#include <sys/resource.h>

#include "cli.h"

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

/* One line of the outcome. The JSON has exactly these fields. */
typedef struct bench_row_s {
  const char* backend;
  bench_operation_t operation;
  size_t block_size;
  unsigned depth;
  double iops;
  double bytes_per_s;
  double p50_us;
  double p99_us;
  double cpu_us_per_op;
} bench_row_t;

/* What went wrong in a phase. */
typedef struct bench_failure_s {
  int error;             /* a code; 0 for a byte that is not what was written */
  const char* operation; /* "read", "write" */
  uint64_t offset;
  unsigned char found;
  unsigned char expected;
} bench_failure_t;

/*
 * Meters. Latencies go into buckets whose width is at most 1/64 of their value (1.6 %), as in HdrHistogram:
 * a fixed amount of memory and a few instructions per operation.
 */
#define METER_SUB_BITS 6
#define METER_BUCKETS ((64 - METER_SUB_BITS + 1) << METER_SUB_BITS)

typedef struct meter_s {
  uint64_t operations;
  uint64_t bytes;
  uint64_t started_ns;
  uint64_t ended_ns;
  struct rusage usage;
  uint32_t buckets[METER_BUCKETS];
} meter_t;

void meter_start(meter_t* meter);

/* Takes down one operation that began at `began_ns` and ended now, at `ended_ns` (both uv_hrtime). */
void meter_record(meter_t* meter, uint64_t began_ns, uint64_t ended_ns, size_t bytes);

/* Adds the operations of another meter; the time is from the earlier start to the later end. */
void meter_add(meter_t* meter, const meter_t* other);

/* Fills in the figures of the row. */
void meter_finish(const meter_t* meter, bench_row_t* row);

/* User and system time since the start, of all threads, those of libuv's pool and the kernel's own for the
 * ring too. */
double meter_cpu_us(const meter_t* meter);

/* Nanoseconds under which a share of the operations (0.5, 0.99) stayed. */
double meter_quantile(const meter_t* meter, double share);

/*
 * The pattern: what each byte of the file shall be, from the seed and its offset alone. Offset and size are
 * multiples of 8.
 */
void pattern_fill(void* memory, size_t size, uint64_t seed, uint64_t offset);

/* Returns the index of the first byte that is not the pattern's, or `size`. */
size_t pattern_check(const void* memory, size_t size, uint64_t seed, uint64_t offset);
unsigned char pattern_byte(uint64_t seed, uint64_t offset);

/* The next of a series of random numbers (xorshift64*, Vigna 2016); the state must not be 0. */
static inline uint64_t random_next(uint64_t* state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 0x2545F4914F6CDD1Du;
}

/* Runs one phase on an open file of the session's engine and fills in the row's figures. Returns 0, or -1
 * and the failure; when a signal stopped it, 0 as well (session->signal). */
int bench_run(session_t* session, uvdio_file_t* file, const bench_params_t* params, bench_row_t* row,
              bench_failure_t* failure);

#endif /* UVDIO_CLI_BENCH_H */
