/* SPDX-License-Identifier: MIT */
/* The version that runs is the version of the header; that of liburing is the installed one. */
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

/* LIBURING_VERSION comes from pkg-config, where the library is built with the ring. */
static void liburing_is_what_is_installed(void** state) {
  (void)state;
  unsigned version = uvdio_liburing_version();
#ifdef LIBURING_VERSION
  unsigned major, minor;
  assert_int_equal(sscanf(LIBURING_VERSION, "%u.%u", &major, &minor), 2);
  assert_int_equal(version, major << 16 | minor << 8);
#else
  assert_int_equal(version, 0);
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(number_is_the_headers),
      cmocka_unit_test(text_says_the_same),
      cmocka_unit_test(liburing_is_what_is_installed),
  };
  return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
