/* SPDX-License-Identifier: MIT */
/*
 * Latencies, time and CPU of a phase.
 */
#include <assert.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "meter.h"

#define SUB_COUNT ((uint64_t)1 << METER_SUB_BITS)

/* Values below 64 have a bucket each; from there on each power of two is cut into 64:
 *
 *   bucket   0 .. 63   64 .. 127   128 .. 191   192 .. 255 ...
 *   value    0 .. 63   64 .. 127   128 .. 255   256 .. 511 ...
 *   width    1         1           2            4                 */
static size_t bucket_of(uint64_t value) {
  if (value < SUB_COUNT) {
    return (size_t)value;
  }
  unsigned shift = 63u - (unsigned)__builtin_clzll(value) - METER_SUB_BITS;
  size_t bucket = ((size_t)shift << METER_SUB_BITS) + (size_t)(value >> shift);
  assert(bucket < METER_BUCKETS);
  return bucket;
}

/* The middle of what a bucket holds. */
static double bucket_value(size_t bucket) {
  if (bucket < 2 * SUB_COUNT) {
    return (double)bucket;
  }
  unsigned shift = (unsigned)(bucket >> METER_SUB_BITS) - 1;
  uint64_t lowest = (SUB_COUNT + (bucket & (SUB_COUNT - 1))) << shift;
  return (double)lowest + (double)((uint64_t)1 << shift) / 2;
}

void meter_start(meter_t* meter) {
  memset(meter, 0, sizeof *meter);
  getrusage(RUSAGE_SELF, &meter->usage);
  meter->started_ns = uv_hrtime();
  meter->ended_ns = meter->started_ns;
}

void meter_record(meter_t* meter, uint64_t began_ns, uint64_t ended_ns, size_t bytes) {
  meter->buckets[bucket_of(ended_ns - began_ns)]++;
  meter->operations++;
  meter->bytes += bytes;
  meter->ended_ns = ended_ns;
}

void meter_add(meter_t* meter, const meter_t* other) {
  for (size_t bucket = 0; bucket < METER_BUCKETS; bucket++) {
    meter->buckets[bucket] += other->buckets[bucket];
  }
  meter->operations += other->operations;
  meter->bytes += other->bytes;
  meter->started_ns = other->started_ns < meter->started_ns ? other->started_ns : meter->started_ns;
  meter->ended_ns = other->ended_ns > meter->ended_ns ? other->ended_ns : meter->ended_ns;
}

double meter_quantile(const meter_t* meter, double share) {
  uint64_t seen = 0;
  double rank = share * (double)meter->operations;
  for (size_t bucket = 0; bucket < METER_BUCKETS; bucket++) {
    seen += meter->buckets[bucket];
    if (seen > 0 && (double)seen >= rank) {
      return bucket_value(bucket);
    }
  }
  return 0;
}

static double microseconds_between(struct timeval from, struct timeval to) {
  return (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_usec - from.tv_usec);
}

double meter_cpu_us(const meter_t* meter) {
  struct rusage now;
  getrusage(RUSAGE_SELF, &now);
  return microseconds_between(meter->usage.ru_utime, now.ru_utime) +
         microseconds_between(meter->usage.ru_stime, now.ru_stime);
}

void meter_finish(const meter_t* meter, meter_figures_t* figures) {
  double cpu = meter_cpu_us(meter);
  double seconds = (double)(meter->ended_ns - meter->started_ns) / 1e9;
  if (meter->operations == 0 || seconds <= 0) {
    return;
  }
  figures->iops = (double)meter->operations / seconds;
  figures->bytes_per_s = (double)meter->bytes / seconds;
  figures->p50_us = meter_quantile(meter, 0.5) / 1e3;
  figures->p99_us = meter_quantile(meter, 0.99) / 1e3;
  figures->cpu_us_per_op = cpu / (double)meter->operations;
}
