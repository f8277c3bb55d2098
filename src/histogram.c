/* SPDX-License-Identifier: MIT */
/*
 * Histograms (uvdio/metrics.h): which bucket a value is in, and what the counts of the buckets tell
 * of the values.
 */
#include "histogram.h"

#include <stddef.h>

unsigned uvdio_histogram_bucket(uint64_t value) {
  return uvdio__histogram_bucket(value);
}

uint64_t uvdio_histogram_lowest(unsigned bucket) {
  unsigned shift = bucket >> HISTOGRAM_SUB_BITS;

  if (bucket >= UVDIO_HISTOGRAM_BUCKETS) {
    return UINT64_MAX;
  }
  if (shift <= 1) {
    return bucket;
  }
  shift--;
  return (uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) << shift;
}

static uint64_t highest(unsigned bucket) {
  return bucket + 1 < UVDIO_HISTOGRAM_BUCKETS ? uvdio_histogram_lowest(bucket + 1) - 1 : UINT64_MAX;
}

void uvdio_histogram_record(uvdio_histogram_t* histogram, uint64_t value) {
  uvdio__histogram_record(histogram, value);
}

void uvdio_histogram_merge(uvdio_histogram_t* histogram, const uvdio_histogram_t* other) {
  unsigned i;

  for (i = 0; i < UVDIO_HISTOGRAM_BUCKETS; i++) {
    histogram->counts[i] += other->counts[i];
  }
}

void uvdio_histogram_reset(uvdio_histogram_t* histogram) {
  unsigned i;

  for (i = 0; i < UVDIO_HISTOGRAM_BUCKETS; i++) {
    histogram->counts[i] = 0;
  }
}

uint64_t uvdio_histogram_count(const uvdio_histogram_t* histogram) {
  uint64_t count = 0;
  unsigned i;

  for (i = 0; i < UVDIO_HISTOGRAM_BUCKETS; i++) {
    count += histogram->counts[i];
  }
  return count;
}

uint64_t uvdio_histogram_percentile(const uvdio_histogram_t* histogram, double percent) {
  uint64_t count = uvdio_histogram_count(histogram);
  double rank = (double)count * (percent > 0 ? percent : 0) / 100;
  uint64_t seen = 0;
  unsigned last = 0;
  unsigned i;

  for (i = 0; i < UVDIO_HISTOGRAM_BUCKETS && seen < count; i++) {
    if (histogram->counts[i] > 0) {
      seen += histogram->counts[i];
      last = i;
      if ((double)seen >= rank) {
        break;
      }
    }
  }
  return count == 0 ? 0 : highest(last);
}

double uvdio_histogram_mean(const uvdio_histogram_t* histogram) {
  uint64_t count = uvdio_histogram_count(histogram);
  double sum = 0;
  unsigned i;

  for (i = 0; i < UVDIO_HISTOGRAM_BUCKETS; i++) {
    double middle = ((double)uvdio_histogram_lowest(i) + (double)highest(i)) / 2;
    sum += (double)histogram->counts[i] * middle;
  }
  return count == 0 ? 0 : sum / (double)count;
}
