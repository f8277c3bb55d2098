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
#define LOOKS 8

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

typedef struct moment_s {
  uint64_t ns;
  uint64_t ticks;
} moment_t;

/* Both clocks at one time: of several looks the one that took least, since the thread may be made
 * to wait between two of them. */
static moment_t look(void) {
  moment_t best = {0, 0};
  uint64_t least = UINT64_MAX;
  int i;

  for (i = 0; i < LOOKS; i++) {
    uint64_t before = uvdio__counter();
    uint64_t ns = uvdio__clock_ns();
    uint64_t took = uvdio__counter() - before;
    if (took < least) {
      least = took;
      best.ns = ns;
      best.ticks = before + took / 2;
    }
  }
  return best;
}

static void measure(void) {
  moment_t began = look();
  moment_t ended = began;

  while (is_steady() && ended.ns - began.ns < MEASURED_NS) {
    ended = look();
  }
  if (ended.ticks > began.ticks && ended.ns > began.ns) {
    uvdio__ticks_scale =
        (uint64_t)(((uvdio__wide_t)(ended.ns - began.ns) << 32) / (ended.ticks - began.ticks));
  }
}

void uvdio__ticks_init(void) {
  uv_once(&once, measure);
}

#else

void uvdio__ticks_init(void) {}

#endif
