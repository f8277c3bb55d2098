/* SPDX-License-Identifier: MIT */
/*
 * Blocks of a log: the checksum by known values, and what a head tells after it was written.
 */
#include <string.h>

#include "check.h"
#include "log/crc32c.h"
#include "log/format.h"

/* RFC 3720, B.4. */
static void checksums_are_the_known_ones(void** state) {
  unsigned char bytes[32];
  (void)state;
  assert_int_equal(uvdio__log_crc32c("123456789", 9), 0xe3069283u);
  memset(bytes, 0, sizeof(bytes));
  assert_int_equal(uvdio__log_crc32c(bytes, 32), 0x8a9136aau);
  memset(bytes, 0xff, sizeof(bytes));
  assert_int_equal(uvdio__log_crc32c(bytes, 32), 0x62a8ab43u);
  for (unsigned i = 0; i < 32; i++) {
    bytes[i] = (unsigned char)i;
  }
  assert_int_equal(uvdio__log_crc32c(bytes, 32), 0x46dd794eu);
  assert_int_equal(uvdio__log_crc32c(bytes, 0), 0);
}

static const uvdio__log_head_t some = {.used = 1000,
                                       .first = 12,
                                       .position = 0x123456789abcdef0u,
                                       .durable = 0x1122334455667788u,
                                       .log = 0x0102030405060708u,
                                       .epoch = 77,
                                       .before = 0xcafef00du};

static void head_is_read_as_it_was_written(void** state) {
  char block[FORMAT_BLOCK];
  uvdio__log_head_t written = some;
  uvdio__log_head_t head;
  (void)state;
  memset(block, 'x', sizeof(block));
  uvdio__log_seal(block, &written);
  assert_int_equal(uvdio__log_read_head(block, &head), 1);
  assert_int_equal(head.used, some.used);
  assert_int_equal(head.first, some.first);
  assert_true(head.position == some.position && head.durable == some.durable);
  assert_true(head.log == some.log && head.epoch == some.epoch);
  assert_int_equal(head.before, some.before);
  assert_int_equal(head.checksum, written.checksum);
  assert_int_equal(block[FORMAT_HEAD + 999], 'x');
  assert_int_equal(block[FORMAT_HEAD + 1000], 0); /* nothing of what was there before */
  assert_int_equal(block[FORMAT_BLOCK - 1], 0);
}

/* The bytes are the same on every system. */
static void numbers_are_little_endian(void** state) {
  char block[FORMAT_BLOCK];
  uvdio__log_head_t written = some;
  (void)state;
  memset(block, 0, sizeof(block));
  uvdio__log_seal(block, &written);
  assert_int_equal((unsigned char)block[4], 1000 & 0xff);
  assert_int_equal((unsigned char)block[5], 1000 >> 8);
  assert_int_equal((unsigned char)block[8], 0xf0);
  assert_int_equal((unsigned char)block[15], 0x12);
  assert_int_equal((unsigned char)block[32], 77);
}

static void each_changed_byte_is_noticed(void** state) {
  char block[FORMAT_BLOCK];
  uvdio__log_head_t head = some;
  (void)state;
  memset(block, 3, sizeof(block));
  uvdio__log_seal(block, &head);
  for (unsigned i = 0; i < FORMAT_BLOCK; i++) {
    block[i]++;
    assert_int_equal(uvdio__log_read_head(block, &head), 0);
    block[i]--;
  }
  assert_int_equal(uvdio__log_read_head(block, &head), 1);
}

static void zeros_are_no_block(void** state) {
  char block[FORMAT_BLOCK] = {0};
  uvdio__log_head_t head;
  (void)state;
  assert_int_equal(uvdio__log_read_head(block, &head), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checksums_are_the_known_ones),
      cmocka_unit_test(head_is_read_as_it_was_written),
      cmocka_unit_test(numbers_are_little_endian),
      cmocka_unit_test(each_changed_byte_is_noticed),
      cmocka_unit_test(zeros_are_no_block),
  };
  return cmocka_run_group_tests_name("log_format", tests, NULL, NULL);
}
