/* SPDX-License-Identifier: MIT */
/*
 * Histograms: which bucket has which value, and what is told of the values, compared with the
 * values themselves.
 */
#include <stdlib.h>

#include "check.h"
#include "random.h"
#include "uvdio/metrics.h"

static uvdio_histogram_t histogram;
static uvdio_histogram_t other;

static int start_empty(void** state) {
  (void)state;
  uvdio_histogram_reset(&histogram);
  uvdio_histogram_reset(&other);
  return 0;
}

/* Buckets follow each other without a gap, and none is wider than 1/32 of its values. */
static void buckets_cover_all_values(void** state) {
  (void)state;
  assert_int_equal(uvdio_histogram_lowest(0), 0);
  for (unsigned i = 0; i < UVDIO_HISTOGRAM_BUCKETS; i++) {
    uint64_t lowest = uvdio_histogram_lowest(i);
    uint64_t highest =
        i + 1 < UVDIO_HISTOGRAM_BUCKETS ? uvdio_histogram_lowest(i + 1) - 1 : UINT64_MAX;
    assert_true(highest >= lowest);
    assert_int_equal(uvdio_histogram_bucket(lowest), i);
    assert_int_equal(uvdio_histogram_bucket(highest), i);
    assert_true(highest - lowest <= lowest / 32);
  }
  assert_int_equal(uvdio_histogram_bucket(31), 31);
  assert_int_equal(uvdio_histogram_bucket(63), 63);
  assert_int_equal(uvdio_histogram_bucket(64), 64);
  assert_int_equal(uvdio_histogram_bucket(65), 64);
  assert_int_equal(uvdio_histogram_bucket(UINT64_MAX), UVDIO_HISTOGRAM_BUCKETS - 1);
  assert_true(uvdio_histogram_lowest(UVDIO_HISTOGRAM_BUCKETS) == UINT64_MAX);
}

static void empty_one_tells_nothing(void** state) {
  (void)state;
  assert_int_equal(uvdio_histogram_count(&histogram), 0);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 50), 0);
  assert_true(uvdio_histogram_mean(&histogram) == 0);
}

static void small_values_are_exact(void** state) {
  (void)state;
  for (uint64_t value = 1; value <= 10; value++) {
    uvdio_histogram_record(&histogram, value);
  }
  assert_int_equal(uvdio_histogram_count(&histogram), 10);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 0), 1);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 10), 1);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 10.1), 2);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 50), 5);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 99), 10);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 100), 10);
  assert_int_equal(uvdio_histogram_percentile(&histogram, -1), 1);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 1000), 10);
  assert_true(uvdio_histogram_mean(&histogram) == 5.5);
}

static void zero_and_the_largest_are_values(void** state) {
  (void)state;
  uvdio_histogram_record(&histogram, 0);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 100), 0);
  uvdio_histogram_record(&histogram, UINT64_MAX);
  assert_int_equal(uvdio_histogram_percentile(&histogram, 50), 0);
  assert_true(uvdio_histogram_percentile(&histogram, 100) == UINT64_MAX);
}

#define VALUES 10000u

static int by_value(const void* a, const void* b) {
  uint64_t left = *(const uint64_t*)a;
  uint64_t right = *(const uint64_t*)b;
  return left < right ? -1 : left > right;
}

/* As many of each size, from ones to billions. */
static uint64_t some_value(struct random* random) {
  return random_next(random) >> (random_next(random) % 40 + 24);
}

static void percentiles_are_those_of_the_values(void** state) {
  (void)state;
  static uint64_t values[VALUES];
  struct random random = {5};
  double sum = 0;
  for (unsigned i = 0; i < VALUES; i++) {
    values[i] = some_value(&random);
    sum += (double)values[i];
    uvdio_histogram_record(i % 2 == 0 ? &histogram : &other, values[i]);
  }
  uvdio_histogram_merge(&histogram, &other);
  qsort(values, VALUES, sizeof(values[0]), by_value);
  assert_int_equal(uvdio_histogram_count(&histogram), VALUES);
  for (unsigned rank = 1; rank <= VALUES; rank += 7) {
    uint64_t exact = values[rank - 1];
    uint64_t told = uvdio_histogram_percentile(&histogram, 100.0 * (rank - 0.5) / VALUES);
    assert_true(told >= exact && told - exact <= exact / 32);
  }
  double mean = uvdio_histogram_mean(&histogram);
  assert_true(mean > sum / VALUES * 0.98 && mean < sum / VALUES * 1.02);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(buckets_cover_all_values, start_empty),
      cmocka_unit_test_setup(empty_one_tells_nothing, start_empty),
      cmocka_unit_test_setup(small_values_are_exact, start_empty),
      cmocka_unit_test_setup(zero_and_the_largest_are_values, start_empty),
      cmocka_unit_test_setup(percentiles_are_those_of_the_values, start_empty),
  };
  return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
