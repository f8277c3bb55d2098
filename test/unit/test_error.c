/* SPDX-License-Identifier: MIT */
/* Every code has a name and a sentence, libuv's as well as the library's own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

struct entry {
  int code;
  const char* name;
  const char* message;
};

static const struct entry own[] = {
#define ENTRY(name, code, message) {code, #name, message},
    UVDIO_ERRNO_MAP(ENTRY)
#undef ENTRY
};

static const struct entry libuvs[] = {
#define ENTRY(name, message) {UV_##name, #name, message},
    UV_ERRNO_MAP(ENTRY)
#undef ENTRY
};

static void own_codes_have_name_and_message(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(own); i++) {
    assert_string_equal(uvdio_err_name(own[i].code), own[i].name);
    assert_string_equal(uvdio_strerror(own[i].code), own[i].message);
  }
}

static void own_codes_differ_and_lie_below_libuvs(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(own); i++) {
    for (size_t j = 0; j < i; j++) {
      assert_int_not_equal(own[i].code, own[j].code);
    }
    for (size_t j = 0; j < COUNT_OF(libuvs); j++) {
      assert_true(own[i].code < libuvs[j].code);
    }
  }
}

static void enum_has_the_codes_of_the_map(void** state) {
  (void)state;
#define ENTRY(name, code, message) assert_int_equal(UVDIO_##name, code);
  UVDIO_ERRNO_MAP(ENTRY)
#undef ENTRY
}

static void libuvs_codes_read_as_in_libuv(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(libuvs); i++) {
    assert_string_equal(uvdio_err_name(libuvs[i].code), libuvs[i].name);
    assert_string_equal(uvdio_strerror(libuvs[i].code), libuvs[i].code == UV_ENOTSUP
                                                            ? "operation not supported"
                                                            : libuvs[i].message);
  }
}

#ifndef _WIN32 /* whose codes libuv translates: there are no others */
/* The C library knows which there are. libuv has another name for one of those that are called
 * twice. */
static void assert_has_words(int number) {
  int error = uv_translate_sys_error(number);
  assert_string_not_equal(uvdio_err_name(error), "UNKNOWN");
  assert_string_not_equal(uvdio_strerror(error), "unknown error");
  assert_true(strlen(uvdio_strerror(error)) > 0);
  assert_ptr_equal(uvdio_strerror(error), uvdio_strerror(error));
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 32)
  if (number != EOPNOTSUPP) {
    assert_string_equal(uvdio_err_name(error), strerrorname_np(number));
  }
#endif
#endif
}

static void every_errno_of_the_system_has_words(void** state) {
  (void)state;
  char unknown[128], text[128];
  unsigned count = 0;
  for (int number = 1; number < 1024; number++) {
    snprintf(unknown, sizeof(unknown), "Unknown error %d", number); /* glibc */
    snprintf(text, sizeof(text), "%s", strerror(number));
    if (strcmp(text, unknown) != 0 && strcmp(text, strerror(4000)) != 0) {
      assert_has_words(number);
      count++;
    }
  }
  assert_true(count > 80);
}

/* What filesystems are known to give, and libuv 1.44 has no name for. */
static void errors_of_filesystems_have_words(void** state) {
  (void)state;
  const struct entry some[] = {{-EDQUOT, "EDQUOT", "disk quota exceeded"},
                               {-ESTALE, "ESTALE", "stale file handle"},
                               {-ENOLCK, "ENOLCK", "no locks available"}};
  for (size_t i = 0; i < COUNT_OF(some); i++) {
    assert_int_equal(some[i].code, uv_translate_sys_error(-some[i].code));
    assert_string_equal(uvdio_err_name(some[i].code), some[i].name);
    assert_string_equal(uvdio_strerror(some[i].code), some[i].message);
  }
}
#endif

static void success_has_words_too(void** state) {
  (void)state;
  assert_string_equal(uvdio_err_name(0), "OK");
  assert_string_equal(uvdio_strerror(0), "no error");
}

/* uv_strerror() allocates a text for a number that it does not know; ours must not. */
static void numbers_that_are_no_codes_are_unknown(void** state) {
  (void)state;
  const int strangers[] = {1, 4096, -900, -4999, -5000, -5099, -6000, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < COUNT_OF(strangers); i++) {
    assert_string_equal(uvdio_err_name(strangers[i]), "UNKNOWN");
    assert_string_equal(uvdio_strerror(strangers[i]), "unknown error");
    assert_ptr_equal(uvdio_strerror(strangers[i]), uvdio_strerror(strangers[i]));
  }
}

static void every_operation_has_a_name(void** state) {
  (void)state;
#define ENTRY(name, text, kind) assert_string_equal(uvdio_op_name(UVDIO_OP_##name), text);
  UVDIO_OP_MAP(ENTRY)
#undef ENTRY
}

static void what_is_no_operation_is_none(void** state) {
  (void)state;
  assert_string_equal(uvdio_op_name(UVDIO_OP_NONE), "none");
  assert_string_equal(uvdio_op_name(UVDIO_OP_COUNT), "none");
  assert_string_equal(uvdio_op_name((uvdio_op_t)1000), "none");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(own_codes_have_name_and_message),
      cmocka_unit_test(own_codes_differ_and_lie_below_libuvs),
      cmocka_unit_test(enum_has_the_codes_of_the_map),
      cmocka_unit_test(libuvs_codes_read_as_in_libuv),
#ifndef _WIN32
      cmocka_unit_test(every_errno_of_the_system_has_words),
      cmocka_unit_test(errors_of_filesystems_have_words),
#endif
      cmocka_unit_test(success_has_words_too),
      cmocka_unit_test(numbers_that_are_no_codes_are_unknown),
      cmocka_unit_test(every_operation_has_a_name),
      cmocka_unit_test(what_is_no_operation_is_none),
  };
  return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
