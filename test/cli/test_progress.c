/* SPDX-License-Identifier: MIT */
/*
 * The line that tells how far a copy is, at times that the test sets.
 * Standard error is a file; a tick of the timer draws the line.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "cli/progress.h"

/* For what is linked here; libuv's timers go by the real clock. */
static uint64_t now_ns;
uint64_t __wrap_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void) {
  return now_ns;
}

static FILE* shown;
static int real_stderr;

static void take_stderr(void) {
  shown = tmpfile();
  assert_non_null(shown);
  fflush(stderr);
  real_stderr = dup(STDERR_FILENO);
  assert_true(dup2(fileno(shown), STDERR_FILENO) >= 0);
}

static void give_back(char* text, size_t size) {
  fflush(stderr);
  (void)dup2(real_stderr, STDERR_FILENO);
  (void)close(real_stderr);
  rewind(shown);
  text[fread(text, 1, size - 1, shown)] = '\0';
  fclose(shown);
}

/* What the first tick shows after so many seconds, and the end. */
static void show(char* text, size_t size, const uint64_t* done, const uint64_t* moved,
                 uint64_t total, double seconds) {
  uv_loop_t loop;
  progress_t progress = {0};
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_int_equal(progress_open(&progress, &loop, 1), 0);
  take_stderr();
  now_ns = 1000000000;
  progress_start(&progress, "copying", done, moved, total);
  now_ns += (uint64_t)(seconds * 1e9);
  uv_ref((uv_handle_t*)&progress.timer); /* it keeps no loop alive by itself */
  (void)uv_run(&loop, UV_RUN_ONCE);
  progress_stop(&progress);
  give_back(text, size);
  progress_close(&progress);
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loop), 0);
}

#define BAR_0 "[--------------------]"
#define BAR_8 "[########------------]"
#define BAR_20 "[####################]"

static void line_tells_share_bytes_rate_and_time(void** state) {
  (void)state;
  static const struct {
    uint64_t done, moved, total;
    double seconds;
    const char* line;
  } cases[] = {
      {410000, 410000, 1000000, 1, BAR_8 "  41%  400 KiB of 977 KiB  410 kB/s  1 s left"},
      {410000, 100000, 1000000, 2, BAR_8 "  41%  400 KiB of 977 KiB  50.0 kB/s  3 s left"},
      {0, 0, 4096, 3, BAR_0 "   0%  0 B of 4 KiB  0 B/s  0 s left"},
      {4096, 4096, 4096, 1, BAR_20 " 100%  4 KiB of 4 KiB  4.10 kB/s  0 s left"},
      {8192, 8192, 4096, 1, BAR_20 " 100%  4 KiB of 4 KiB  8.19 kB/s  0 s left"},
      {0, 0, 0, 1, BAR_20 " 100%  0 B of 0 B  0 B/s  0 s left"},
      {1000, 1000, 100600, 1, BAR_0 "   1%  1000 B of 98.2 KiB  1.00 kB/s  100 s left"},
      {1000, 1000, 101400, 1, BAR_0 "   1%  1000 B of 99.0 KiB  1.00 kB/s  2 min left"},
      {1000, 1000, 6000000, 1, BAR_0 "   0%  1000 B of 5.7 MiB  1.00 kB/s  100 min left"},
      {1000, 1000, 6002000, 1, BAR_0 "   0%  1000 B of 5.7 MiB  1.00 kB/s  2 h left"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[256], expected[256];
    show(text, sizeof text, &cases[i].done, &cases[i].moved, cases[i].total, cases[i].seconds);
    snprintf(expected, sizeof expected, "\rcopying %s\033[K\r\033[K", cases[i].line);
    assert_string_equal(text, expected);
  }
}

static void verb_stands_alone_where_nothing_is_counted(void** state) {
  (void)state;
  char text[256];
  show(text, sizeof text, NULL, NULL, 0, 1);
  assert_string_equal(text, "\rcopying\033[K\r\033[K");
}

static void nothing_is_shown_unless_wanted(void** state) {
  (void)state;
  char text[256];
  uv_loop_t loop;
  progress_t progress = {0};
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_int_equal(progress_open(&progress, &loop, 0), 0);
  take_stderr();
  progress_start(&progress, "copying", NULL, NULL, 0);
  int is_active = uv_is_active((uv_handle_t*)&progress.timer);
  progress_stop(&progress);
  give_back(text, sizeof text);
  assert_string_equal(text, "");
  assert_int_equal(is_active, 0);
  progress_close(&progress);
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(line_tells_share_bytes_rate_and_time),
      cmocka_unit_test(verb_stands_alone_where_nothing_is_counted),
      cmocka_unit_test(nothing_is_shown_unless_wanted),
  };
  return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
