/* SPDX-License-Identifier: MIT */
/*
 * When submissions go to the kernel: one function of the number of requests that the kernel has and
 * of the number that is gathered at most.
 *
 *   device          requests in the kernel    a batch is sent when its weight reaches
 *   idle            below max / 4             1
 *   lightly loaded  below max / 2             max / 4
 *   busy            more                      max
 *
 * Measured: the first row costs CPU and gains operations, the last the other way round. After
 * completions were taken "lightly loaded" reaches to 2 * max, because the device goes on with these
 * few while the others gather. A read weighs 1; heavier requests gain more from an early start (see
 * ring/submit.c). At the end of a loop iteration everything is sent, whatever its weight.
 */
#ifndef UVDIO_BATCH_H
#define UVDIO_BATCH_H

#include <limits.h>

/* The weight at which a batch is sent. `max` of 0: never before the end of the iteration. */
static inline unsigned uvdio__batch_limit(unsigned max, unsigned in_kernel, int after_completions) {
  unsigned light = after_completions ? 2 * max : max / 2;

  if (max == 0) {
    return UINT_MAX;
  }
  if (in_kernel < max / 4) {
    return 1;
  }
  return in_kernel < light ? max / 4 : max;
}

#endif /* UVDIO_BATCH_H */
