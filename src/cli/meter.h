/* SPDX-License-Identifier: MIT */
/*
 * Meters. Latencies go into buckets whose width is at most 1/64 of their value (1.6 %), as in
 * HdrHistogram: a fixed amount of memory and a few instructions per operation.
 */
#ifndef UVDIO_CLI_METER_H
#define UVDIO_CLI_METER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

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

/* Takes down one operation that began at `began_ns` and ended now, at `ended_ns` (both
 * uv_hrtime). */
void meter_record(meter_t* meter, uint64_t began_ns, uint64_t ended_ns, size_t bytes);

/* Adds the operations of another meter; the time is from the earlier start to the later end. */
void meter_add(meter_t* meter, const meter_t* other);

typedef struct meter_figures_s {
  double iops;
  double bytes_per_s;
  double p50_us;
  double p99_us;
  double cpu_us_per_op;
} meter_figures_t;

/* Fills in the figures; where nothing was measured, they stay as they are. */
void meter_finish(const meter_t* meter, meter_figures_t* figures);

/* User and system time since the start, of all threads, those of libuv's pool and the kernel's own
 * for the ring too. */
double meter_cpu_us(const meter_t* meter);

/* Nanoseconds under which a share of the operations (0.5, 0.99) stayed. */
double meter_quantile(const meter_t* meter, double share);

#endif /* UVDIO_CLI_METER_H */
