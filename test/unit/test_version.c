/* SPDX-License-Identifier: MIT */
/* The version that runs is the version of the header. */
#include <stdio.h>

#include "check.h"

static void number_is_the_headers(void** state) {
  (void)state;
  assert_int_equal(uvdio_version(), UVDIO_VERSION_HEX);
}

static void text_says_the_same(void** state) {
  (void)state;
  char expected[32];
  snprintf(expected, sizeof(expected), "%d.%d.%d", UVDIO_VERSION_MAJOR, UVDIO_VERSION_MINOR,
           UVDIO_VERSION_PATCH);
  assert_string_equal(uvdio_version_string(), expected);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(number_is_the_headers),
      cmocka_unit_test(text_says_the_same),
  };
  return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
