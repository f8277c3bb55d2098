/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "skips.h"

/* Seconds. Far more than any test needs, also under valgrind, and less than CTest's own limit. */
#define HANG_AFTER 100

#ifdef UVDIO_COVERAGE
extern void __gcov_dump(void);
#endif

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

static const char* watched;

static void hang(int signal_number) {
  static const char head[] = "\nnot ok - hangs: ";
  (void)signal_number;
  ssize_t ignored = write(STDERR_FILENO, head, sizeof(head) - 1);
  ignored = write(STDERR_FILENO, watched, strlen(watched));
  ignored = write(STDERR_FILENO, "\n", 1);
  (void)ignored;
  abort();
}

void watch_for_hang(const char* what) {
  if (what == NULL) {
    alarm(0);
    return;
  }
  watched = what;
  signal(SIGALRM, hang);
  alarm(HANG_AFTER);
}

void exit_child(int status) {
#ifdef UVDIO_COVERAGE
  __gcov_dump(); /* _exit() does not write the counters. */
#endif
  _exit(status);
}

unsigned open_rings(void) {
  unsigned count = 0;
  for (int descriptor = 0; descriptor < 1024; descriptor++) {
    char path[64];
    char target[64] = "";
    snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
    if (readlink(path, target, sizeof(target) - 1) > 0) {
      count += strcmp(target, "anon_inode:[io_uring]") == 0;
    }
  }
  return count;
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
  return uv_loop_init(&loop) != 0 || uv_loop_close(&loop) != 0;
}

size_t open_descriptors(void) {
  DIR* list = opendir("/proc/self/fd");
  if (list == NULL) {
    return 0;
  }
  size_t count = 0;
  while (readdir(list) != NULL) {
    count++;
  }
  closedir(list);
  return count;
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
