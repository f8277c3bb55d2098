/* SPDX-License-Identifier: MIT */
/*
 * The way from a value to its bucket, inline because each request takes it three times.
 *
 *   bucket   0 .. 31   32 .. 63   64 .. 95    96 .. 127 ...
 *   value    0 .. 31   32 .. 63   64 .. 127   128 .. 255 ...
 *   width    1         1          2           4
 */
#ifndef UVDIO_HISTOGRAM_H
#define UVDIO_HISTOGRAM_H

#include "uvdio/metrics.h"

#define HISTOGRAM_SUB_BITS 5u
#define HISTOGRAM_SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

/* The place of the highest bit of a value that is not 0. */
static inline unsigned uvdio__highest_bit(uint64_t value) {
#ifdef __GNUC__
  return 63u - (unsigned)__builtin_clzll(value);
#else
  unsigned bit = 0;
  while ((value >>= 1) != 0) {
    bit++;
  }
  return bit;
#endif
}

static inline unsigned uvdio__histogram_bucket(uint64_t value) {
  unsigned shift = uvdio__highest_bit(value | HISTOGRAM_SUB_COUNT) - HISTOGRAM_SUB_BITS;

  return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

static inline void uvdio__histogram_record(uvdio_histogram_t* histogram, uint64_t value) {
  histogram->counts[uvdio__histogram_bucket(value)]++;
}

#endif /* UVDIO_HISTOGRAM_H */
