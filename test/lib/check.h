/* SPDX-License-Identifier: MIT */
/*
 * Small conveniences over cmocka. Include this instead of <cmocka.h>.
 *
 * Assertions belong into test bodies, after the loop has run, and not into callbacks: they jump,
 * and must not jump out of the middle of uv_run(). Callbacks write down what they saw.
 */
#ifndef UVDIO_TEST_CHECK_H
#define UVDIO_TEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "skips.h"
#include "uvdio.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

/* The exit code of a program that skipped all it had (SKIP_RETURN_CODE in CTest). */
#define SKIPPED_PROGRAM 77

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A result, size or code is what was expected; negative ones are shown by name. */
#define assert_code(got, expected) \
  check_code((int64_t)(got), (int64_t)(expected), #got, __FILE__, __LINE__)
#define assert_ok(got) assert_code((got), 0)

/* Skips the test that runs, and says why. Anything that the fixture holds is given back as ever.
 * Where nothing that the reason needs is lacking here, and where skips.c does not know it, that
 * ends the program as a failure. */
#define SKIP(reason)     \
  do {                   \
    skip_line((reason)); \
    skip();              \
  } while (0)

/* The same with what the system has answered, by filesystem.h, disk.h or mapper.h. */
#define SKIP_AS_TOLD(reason)     \
  do {                           \
    skip_line_as_told((reason)); \
    skip();                      \
  } while (0)

void check_code(int64_t got, int64_t expected, const char* what, const char* file, int line);

/* Whether the kernel is that version of Linux or a later one; and what skips the test, with that
 * reason, where it is not. */
int linux_is(int major, int minor);
void need_linux(int major, int minor, const char* why);

/* Prints "SKIP: <reason>" on a line of its own, which the counts at the end are made from. */
void skip_line(const char* reason);
void skip_line_as_told(const char* reason);

/* Prints "FIGURE <amount> <what>": how much was done, which check.sh adds up over the programs of a
 * layer. */
void print_figure(uint64_t amount, const char* what);

/* Fails the program with `what` unless the next call comes within a generous time: 0 ends the
 * watch. A hang is a failed test, and not an endless one. */
void watch_for_hang(const char* what);

/* Ends a forked child at once, without what its parent registered for its own end. */
void exit_child(int status);

/* libuv, the C library and sanitizers open a few descriptors at first use, and keep them: this is
 * that use. A group's set-up. */
int warm_up_libuv(void** state);

/* How many file descriptors are open, or 0 where the system does not tell. */
size_t open_descriptors(void);

/* How many of the process's descriptors are rings. */
unsigned open_rings(void);

/* How many rings libuv makes for each loop: none, or (version 1.45 and later) one, without which it
 * ends the process where io_uring_enter is denied, unless io_uring_setup is so, too, when the loop
 * is made. */
unsigned rings_of_a_loop(void);

/* Deterministic content: every byte depends on its place and on the seed. */
void fill_pattern(void* bytes, size_t size, unsigned seed);
int is_pattern(const void* bytes, size_t size, unsigned seed);
int is_zero(const void* bytes, size_t size);

#endif /* UVDIO_TEST_CHECK_H */
