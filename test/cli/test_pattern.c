/* SPDX-License-Identifier: MIT */
/*
 * The bytes by which a benchmark tells whether it has read what it wrote.
 */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "cli/pattern.h"

#define SIZE 512
#define SEED 7
#define OFFSET ((uint64_t)1 << 33)

static _Alignas(8) unsigned char bytes[SIZE];

static void pattern_is_what_was_filled_in(void** state) {
  (void)state;
  pattern_fill(bytes, SIZE, SEED, OFFSET);
  assert_int_equal(pattern_check(bytes, SIZE, SEED, OFFSET), SIZE);
  assert_int_equal(pattern_check(bytes + 8, SIZE - 8, SEED, OFFSET + 8), SIZE - 8);
  for (size_t i = 0; i < SIZE; i++) {
    assert_int_equal(bytes[i], pattern_byte(SEED, OFFSET + i));
  }
  assert_true(pattern_check(bytes, SIZE, SEED + 1, OFFSET) < 8);
  assert_true(pattern_check(bytes, SIZE, SEED, OFFSET + 8) < 8);
  assert_int_equal(pattern_check(bytes, 0, SEED, OFFSET), 0);
}

static void first_wrong_byte_is_found(void** state) {
  (void)state;
  for (size_t i = 0; i < SIZE; i++) {
    pattern_fill(bytes, SIZE, SEED, OFFSET);
    bytes[i] ^= 0x80;
    assert_int_equal(pattern_check(bytes, SIZE, SEED, OFFSET), i);
    bytes[SIZE - 1] ^= 1;
    assert_int_equal(pattern_check(bytes, SIZE, SEED, OFFSET), i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pattern_is_what_was_filled_in),
      cmocka_unit_test(first_wrong_byte_is_found),
  };
  return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
