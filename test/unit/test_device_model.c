/* SPDX-License-Identifier: MIT */
/*
 * The file of a device model, as it is read: good ones, and everything that can be wrong with one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "uvdio/class.h"

#define WHOLE                 \
  "depth 16\n"                \
  "bytes_in_flight 1048576\n" \
  "read_operations 100000\n"  \
  "write_operations 50000\n"  \
  "read_bytes 2000000000\n"   \
  "write_bytes 1000000000\n"

static char path[] = "device-model-XXXXXX";

static void write_bytes(const char* text, size_t length) {
  FILE* file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, length, file), length);
  assert_int_equal(fclose(file), 0);
}

static int read_text(const char* text, uvdio_device_model_t* model) {
  write_bytes(text, strlen(text));
  return uvdio_device_model_read(path, model);
}

static void assert_whole(const char* text) {
  uvdio_device_model_t model = {0};
  assert_ok(read_text(text, &model));
  assert_int_equal(model.depth, 16);
  assert_int_equal(model.bytes_in_flight, 1048576);
  assert_int_equal(model.read_operations, 100000);
  assert_int_equal(model.write_operations, 50000);
  assert_int_equal(model.read_bytes, 2000000000);
  assert_int_equal(model.write_bytes, 1000000000);
}

static void numbers_are_read(void** state) {
  (void)state;
  assert_whole(WHOLE);
}

/* The last of two counts, and the end of the file ends a line. */
static void text_around_them_is_passed_over(void** state) {
  (void)state;
  assert_whole("# a comment\n\n  \t\n" WHOLE "colour 7\ntaste sweet_and sour\n");
  assert_whole("depth 1\r\n" WHOLE);
  assert_whole(
      "  depth\t16  # knee\nbytes_in_flight 1048576\nread_operations 100000\n"
      "write_operations 50000\nread_bytes 2000000000\nwrite_bytes 1000000000");
}

static void wrong_files_change_nothing(void** state) {
  (void)state;
  static const char* const wrong[] = {
      "",
      "depth 16\n",
      WHOLE "depth 0\n",
      WHOLE "depth\n",
      WHOLE "depth -1\n",
      WHOLE "depth +1\n",
      WHOLE "depth 0x10\n",
      WHOLE "depth 1e3\n",
      WHOLE "read_bytes 18446744073709551616\n",
      WHOLE "read_bytes many\n",
  };
  uvdio_device_model_t model = {.depth = 77};
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    assert_code(read_text(wrong[i], &model), UV_EINVAL);
    assert_int_equal(model.depth, 77);
  }
}

static void largest_numbers_are_taken(void** state) {
  (void)state;
  uvdio_device_model_t model;
  assert_ok(
      read_text(WHOLE "depth 18446744073709551615\nread_bytes 18446744073709551615\n", &model));
  assert_int_equal(model.depth, UVDIO_DEPTH_MAX);
  assert_true(model.read_bytes == UINT64_MAX);
}

static void size_is_bounded(void** state) {
  static const char whole[] = WHOLE;
  (void)state;
  uvdio_device_model_t model;
  char* text = malloc(65537);
  assert_non_null(text);
  memset(text, '\n', 65537);
  memcpy(text, whole, sizeof(whole) - 1);
  write_bytes(text, 65536);
  assert_ok(uvdio_device_model_read(path, &model));
  write_bytes(text, 65537);
  assert_code(uvdio_device_model_read(path, &model), UV_EFBIG);
  free(text);
}

static void what_is_no_file_is_an_error(void** state) {
  (void)state;
  uvdio_device_model_t model;
  assert_code(uvdio_device_model_read(NULL, &model), UV_EINVAL);
  assert_code(uvdio_device_model_read(path, NULL), UV_EINVAL);
  assert_code(uvdio_device_model_read("there-is-no/such-file", &model), UV_ENOENT);
  assert_code(uvdio_device_model_read(".", &model), UV_EISDIR);
}

/* A zero byte ends the text. */
static void bytes_that_are_no_text_are_refused(void** state) {
  (void)state;
  uvdio_device_model_t model;
  static const char text[] = "depth 16\0" WHOLE;
  write_bytes(text, sizeof(text) - 1);
  assert_code(uvdio_device_model_read(path, &model), UV_EINVAL);
}

static int nothing_is_out(void** state) {
  (void)state;
  return uvdio_allocations() != 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(numbers_are_read, nothing_is_out),
      cmocka_unit_test_teardown(text_around_them_is_passed_over, nothing_is_out),
      cmocka_unit_test_teardown(wrong_files_change_nothing, nothing_is_out),
      cmocka_unit_test_teardown(largest_numbers_are_taken, nothing_is_out),
      cmocka_unit_test_teardown(size_is_bounded, nothing_is_out),
      cmocka_unit_test_teardown(what_is_no_file_is_an_error, nothing_is_out),
      cmocka_unit_test_teardown(bytes_that_are_no_text_are_refused, nothing_is_out),
  };
  int descriptor = mkstemp(path);
  if (descriptor == -1) {
    return 1;
  }
  close(descriptor);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path);
  return failed;
}
