/* SPDX-License-Identifier: MIT */
/*
 * See ticks.h. The rate of the counter is measured against the system's clock, once per process: no
 * system tells it to programs everywhere.
 */
#include "ticks.h"

#ifdef UVDIO__HAVE_COUNTER

#ifdef __x86_64__
#include <cpuid.h>
#endif

/* Nanoseconds. A clock is read to some 50 ns, so that the rate is known to one in 10,000. */
#define MEASURED_NS 1000000u

uint64_t uvdio__ticks_scale;

static uv_once_t once = UV_ONCE_INIT;

/* At one rate, whatever the processor's power states: CPUID, leaf 0x80000007, EDX bit 8 (Intel,
 * Software Developer's Manual, volume 3, "Invariant TSC"); the generic timer of aarch64 always. */
static int is_steady(void) {
#ifdef __x86_64__
  unsigned a, b, c, d;
  return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d >> 8 & 1) != 0;
#else
  return 1;
#endif
}

static void measure(void) {
  uint64_t began_ns = uvdio__clock_ns();
  uint64_t began = uvdio__counter();
  uint64_t ns = 0;
  uint64_t ticks = 0;

  while (is_steady() && ns < MEASURED_NS) {
    ns = uvdio__clock_ns() - began_ns;
    ticks = uvdio__counter() - began;
  }
  if (ticks > 0) {
    uvdio__ticks_scale = (uint64_t)(((uvdio__wide_t)ns << 32) / ticks);
  }
}

void uvdio__ticks_init(void) {
  uv_once(&once, measure);
}

#else

void uvdio__ticks_init(void) {}

#endif
