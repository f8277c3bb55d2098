/* SPDX-License-Identifier: MIT */
/*
 * What the C of compilers differs in: hints for code paths, and the way from a member to its
 * structure.
 */
#ifndef UVDIO_COMPILER_H
#define UVDIO_COMPILER_H

#include <stddef.h>
#include <stdint.h>

/* Keeps what is rare out of line, where it adds no register pressure to what is not. */
#if defined(__GNUC__)
#define UVDIO__NOINLINE __attribute__((noinline))
#elif defined(_MSC_VER)
#define UVDIO__NOINLINE __declspec(noinline)
#else
#define UVDIO__NOINLINE
#endif

#if defined(__GNUC__)
#define UVDIO__UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define UVDIO__UNLIKELY(condition) (condition)
#endif

/* For loops that look at memory until another thread, or the kernel, changes it. */
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define UVDIO__RELAX() __builtin_ia32_pause()
#else
#define UVDIO__RELAX() ((void)0)
#endif

/* The structure that has `member` at `address`. The `data` of the library's handles stays null:
 * programs that walk over the loop's handles take it for their own. */
/* clang-format off */
#define UVDIO__CONTAINER_OF(address, type, member) \
  ((type*)((uintptr_t)(address) - offsetof(type, member)))
/* clang-format on */

#endif /* UVDIO_COMPILER_H */
