/* SPDX-License-Identifier: MIT */
/*
 * A clock that is read in a few instructions: the processor's counter where that runs at one rate,
 * else the system's clock in nanoseconds. For durations on one thread; a counter that went back
 * gives none.
 */
#ifndef UVDIO_TICKS_H
#define UVDIO_TICKS_H

#include <stdint.h>

#include "os/os.h"

/* A product of 64 and 32 bits is needed, which 32-bit processors have no type for. */
#if defined(__GNUC__) && defined(__SIZEOF_INT128__) && \
    (defined(__x86_64__) || defined(__aarch64__)) && !defined(_WIN32)
#define UVDIO__HAVE_COUNTER 1
#endif

#ifdef UVDIO__HAVE_COUNTER
__extension__ typedef unsigned __int128 uvdio__wide_t;

/* Nanoseconds of 2^32 ticks; 0: the counter is not used. Set by uvdio__ticks_init(). */
extern UVDIO__HIDDEN uint64_t uvdio__ticks_scale;

static inline uint64_t uvdio__counter(void) {
#ifdef __x86_64__
  return __builtin_ia32_rdtsc();
#else
  uint64_t ticks;
  __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#endif
}
#endif

/* Measures the counter; the first call in a process takes a millisecond. Any thread. */
void uvdio__ticks_init(void);

/* The time now, in ticks; after uvdio__ticks_init(). */
static inline uint64_t uvdio__ticks(void) {
#ifdef UVDIO__HAVE_COUNTER
  if (uvdio__ticks_scale != 0) {
    return uvdio__counter();
  }
#endif
  return uvdio__clock_ns();
}

/* Nanoseconds from one time to a later one. */
static inline uint64_t uvdio__ticks_between(uint64_t from, uint64_t to) {
  uint64_t ticks = (int64_t)(to - from) < 0 ? 0 : to - from;
#ifdef UVDIO__HAVE_COUNTER
  if (uvdio__ticks_scale != 0) {
    return (uint64_t)((uvdio__wide_t)ticks * uvdio__ticks_scale >> 32);
  }
#endif
  return ticks;
}

#endif /* UVDIO_TICKS_H */
