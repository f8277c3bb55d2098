/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skips.h"
#include "system.h"

void check_code(int64_t got, int64_t expected, const char* what, const char* file, int line) {
  if (got == expected) {
    return;
  }
  print_error("%s is %lld%s%s, not %lld%s%s\n", what, (long long)got, got < 0 ? " " : "",
              got < 0 ? uvdio_err_name((int)got) : "", (long long)expected, expected < 0 ? " " : "",
              expected < 0 ? uvdio_err_name((int)expected) : "");
  _fail(file, line);
}

void skip_line_as_told(const char* reason) {
  printf("SKIP: %s\n", reason);
  fflush(stdout);
}

void skip_line(const char* reason) {
  const char* wrong = skip_is_wrong(reason);
  skip_line_as_told(reason);
  if (wrong != NULL) {
    printf("not ok - unexpected skip: %s: %s\n", reason, wrong);
    exit(1);
  }
}

int linux_is(int major, int minor) {
  uv_utsname_t system;
  int is_major = 0;
  int is_minor = 0;
  if (uv_os_uname(&system) != 0 || sscanf(system.release, "%d.%d", &is_major, &is_minor) != 2) {
    fail_msg("the kernel does not tell its version");
  }
  return is_major > major || (is_major == major && is_minor >= minor);
}

void need_linux(int major, int minor, const char* why) {
  if (!linux_is(major, minor)) {
    SKIP_AS_TOLD(why);
  }
}

void print_figure(uint64_t amount, const char* what) {
  printf("FIGURE %llu %s\n", (unsigned long long)amount, what);
  fflush(stdout);
}

unsigned rings_of_a_loop(void) {
  uv_loop_t loop;
  unsigned before = open_rings();
  if (uv_loop_init(&loop) != 0) {
    return 0;
  }
  unsigned rings = open_rings() - before;
  (void)uv_loop_close(&loop);
  return rings;
}

#if UNDER_TSAN
#include <sanitizer/common_interface_defs.h>

/* To look up a suppression, the sanitizer starts a program that finds names, and keeps pipes to
 * it. */
static void start_symbolizer(void) {
  char name[64];
  __sanitizer_symbolize_pc((void*)(uintptr_t)start_symbolizer, "%f", name, sizeof(name));
}
#else
static void start_symbolizer(void) {}
#endif

int warm_up_libuv(void** state) {
  uv_loop_t loop;
  (void)state;
  start_symbolizer();
  system_warm_up();
  return uv_loop_init(&loop) != 0 || uv_loop_close(&loop) != 0;
}

static unsigned char pattern_at(size_t i, unsigned seed) {
  return (unsigned char)(i * 31 + (i >> 12) * 7 + seed * 101 + 1);
}

void fill_pattern(void* bytes, size_t size, unsigned seed) {
  unsigned char* to = bytes;
  for (size_t i = 0; i < size; i++) {
    to[i] = pattern_at(i, seed);
  }
}

int is_pattern(const void* bytes, size_t size, unsigned seed) {
  const unsigned char* from = bytes;
  for (size_t i = 0; i < size; i++) {
    if (from[i] != pattern_at(i, seed)) {
      return 0;
    }
  }
  return 1;
}

int is_zero(const void* bytes, size_t size) {
  const unsigned char* from = bytes;
  for (size_t i = 0; i < size; i++) {
    if (from[i] != 0) {
      return 0;
    }
  }
  return 1;
}
