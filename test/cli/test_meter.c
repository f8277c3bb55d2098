/* SPDX-License-Identifier: MIT */
/*
 * Latencies in buckets, and the figures that come of them. No clock is read for an operation: the
 * tests say when each began and ended.
 */
#include <math.h>
#include <stdint.h>

#include "check.h"
#include "cli/meter.h"

static meter_t meter, other;

static double latency_told(uint64_t latency_ns) {
  meter_start(&meter);
  meter_record(&meter, 1000, 1000 + latency_ns, 1);
  return meter_quantile(&meter, 1);
}

/* Exactly below 128 ns, and by half a bucket's width at most above. */
static void latency_is_told_within_one_percent(void** state) {
  (void)state;
  for (uint64_t latency = 0; latency < 128; latency++) {
    assert_true(latency_told(latency) == (double)latency);
  }
  for (unsigned power = 7; power < 64; power++) {
    const uint64_t low = (uint64_t)1 << power;
    const uint64_t latencies[] = {low, low + 1, low + low / 3, low + low / 64 - 1, low + (low - 1)};
    for (size_t i = 0; i < COUNT_OF(latencies); i++) {
      double latency = (double)latencies[i];
      assert_true(fabs(latency_told(latencies[i]) - latency) <= (double)low / 128);
    }
  }
}

static void quantile_is_what_a_share_stayed_under(void** state) {
  (void)state;
  meter_start(&meter);
  assert_true(meter_quantile(&meter, 0.5) == 0);
  for (uint64_t latency = 1; latency <= 100; latency++) {
    meter_record(&meter, 0, latency, 1);
  }
  assert_true(meter_quantile(&meter, 0) == 1);
  assert_true(meter_quantile(&meter, 0.01) == 1);
  assert_true(meter_quantile(&meter, 0.5) == 50);
  assert_true(meter_quantile(&meter, 0.501) == 51);
  assert_true(meter_quantile(&meter, 0.99) == 99);
  assert_true(meter_quantile(&meter, 1) == 100);
  meter_record(&meter, 0, 0, 1);
  assert_true(meter_quantile(&meter, 0) == 0);
}

static void record_from(meter_t* to, uint64_t start_ns, uint64_t latency_ns, size_t bytes) {
  meter_start(to);
  to->started_ns = start_ns;
  meter_record(to, start_ns, start_ns + latency_ns, bytes);
}

static void sum_is_from_the_first_start_to_the_last_end(void** state) {
  (void)state;
  for (unsigned i = 0; i < 2; i++) {
    record_from(&meter, i == 0 ? 1000 : 1010, 20, 256);
    record_from(&other, i == 0 ? 1010 : 1000, 0, 256);
    meter_record(&other, other.started_ns, other.started_ns + 40, 4096);
    meter_add(&meter, &other);
    assert_int_equal(meter.operations, 3);
    assert_int_equal(meter.bytes, 4608);
    assert_int_equal(meter.started_ns, 1000);
    assert_int_equal(meter.ended_ns, i == 0 ? 1050 : 1040);
    assert_true(meter_quantile(&meter, 0.3) == 0);
    assert_true(meter_quantile(&meter, 0.5) == 20);
    assert_true(meter_quantile(&meter, 1) == 40);
  }
}

static void figures_are_per_second_and_in_microseconds(void** state) {
  (void)state;
  meter_figures_t figures = {0};
  meter_start(&meter);
  meter.started_ns = 0;
  for (unsigned i = 0; i < 90; i++) {
    meter_record(&meter, 0, 64000, 4096);
  }
  for (unsigned i = 0; i < 10; i++) {
    meter_record(&meter, 500000000 - 8192000, 500000000, 4096);
  }
  meter_finish(&meter, &figures);
  assert_true(figures.iops == 200);
  assert_true(figures.bytes_per_s == 200 * 4096);
  assert_true(fabs(figures.p50_us - 64) < 1);
  assert_true(fabs(figures.p99_us - 8192) < 128);
  assert_true(figures.cpu_us_per_op >= 0);
}

static void nothing_measured_is_nothing_told(void** state) {
  (void)state;
  meter_figures_t figures = {.iops = 7, .p50_us = 8};
  meter_start(&meter);
  meter_finish(&meter, &figures);
  meter.ended_ns = meter.started_ns + 1000;
  meter_finish(&meter, &figures);
  meter_start(&meter);
  meter_record(&meter, meter.started_ns, meter.started_ns, 1);
  meter_finish(&meter, &figures);
  assert_true(figures.iops == 7 && figures.p50_us == 8);
}

/* Until the process has used some. */
static void time_of_the_processor_is_counted_from_the_start(void** state) {
  (void)state;
  volatile unsigned work = 0;
  meter_start(&meter);
  while (meter_cpu_us(&meter) < 2000) {
    work++;
  }
  meter_start(&other);
  assert_true(meter_cpu_us(&other) < meter_cpu_us(&meter));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(latency_is_told_within_one_percent),
      cmocka_unit_test(quantile_is_what_a_share_stayed_under),
      cmocka_unit_test(sum_is_from_the_first_start_to_the_last_end),
      cmocka_unit_test(figures_are_per_second_and_in_microseconds),
      cmocka_unit_test(nothing_measured_is_nothing_told),
      cmocka_unit_test(time_of_the_processor_is_counted_from_the_start),
  };
  return cmocka_run_group_tests_name("meter", tests, NULL, NULL);
}
