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
 * few while the others gather. A read weighs 1; heavier requests gain more from an early start. At
 * the end of a loop iteration everything is sent, whatever its weight.
 *
 * And what one submission may cost: a transfer that would keep the loop's thread for too long is
 * not performed there (UVDIO__INLINE_*).
 */
#ifndef UVDIO_BATCH_H
#define UVDIO_BATCH_H

#include <limits.h>
#include <stddef.h>

#include "uvdio.h"

/* Writes gain more than reads when the device begins sooner, and those that are durable most:
 * measured with a ring at depth 32, batches of 16, 4 and 1 made 148, 163 and 168 k/s of the first,
 * for 1.01, 0.99 and 1.24 times the bare loop's CPU time, and 70, 69 and 90 k/s of the second, for
 * 1.09, 1.08 and 0.93 times. */
#define UVDIO__WEIGHT_WRITE 4u
#define UVDIO__WEIGHT_DURABLE_WRITE UVDIO_DEPTH_MAX

/* Bytes of plain memory, and of memory that is registered with a ring. One MiB of fresh memory
 * takes the submitting thread some 0.55 ms, and 0.05 ms of memory that was touched before; 16 MiB
 * that are pinned already 0.1 to 0.2 ms. Through a ring's worker, neither the rate nor (but for a
 * few per cent) the CPU time was another, measured with reads of 256 KiB to 256 MiB. */
#define UVDIO__INLINE_MAX ((size_t)1 << 20)
#define UVDIO__INLINE_MAX_FIXED ((size_t)1 << 24)

/* And of how many pieces of plain memory. Each may be in a page of its own that was never touched,
 * of 2 MiB where the arena has such pages: 64 of these took from 27 to 844 ms on a busy machine. */
#define UVDIO__INLINE_PIECES 16u

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
