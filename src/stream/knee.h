/* SPDX-License-Identifier: MIT */
/*
 * The window beyond which a device reads no faster: its knee. A stream that is faster than the
 * device waits however large its window is, so that waiting alone would take it to the largest one,
 * where other requests wait longer, and some devices are slower. So the time of a block is compared
 * between two windows: that of now, and half or twice as many blocks, in turn where one does not
 * pay. A larger window is kept where it is faster by 5 %, a smaller one where it is not slower by
 * more than 2 %.
 *
 * A period is 8 windows of blocks, of the smaller one in a trial. After each change of the window
 * one window goes by unmeasured: these blocks were asked for before. A period in which the stream
 * never waited tells of its consumer and not of the device; nothing is concluded from it. After a
 * trial that was in vain come periods without one: 4, and twice as many each time, up to 32.
 */
#ifndef UVDIO_STREAM_KNEE_H
#define UVDIO_STREAM_KNEE_H

#include <stdint.h>

typedef struct uvdio__knee_s {
  unsigned least; /* blocks: no smaller window is tried */
  unsigned most;
  unsigned window; /* that is measured; 0: none */
  unsigned blocks; /* of the period */
  int has_waited;
  int is_settling;
  uint64_t began_ns;

  unsigned from; /* a trial is under way: the window before it; else 0 */
  uint64_t from_cost;
  int is_downward; /* this trial, or the next one */
  unsigned pause;  /* periods until the next trial */
  unsigned patience;
} uvdio__knee_t;

/* 0 < least <= most. */
void uvdio__knee_init(uvdio__knee_t* knee, unsigned least, unsigned most);

/* The stream was not at the device's speed for a while, or has another window by other reasons.
 * Returns the window to go on with: a trial that is under way is taken back. */
unsigned uvdio__knee_forget(uvdio__knee_t* knee, unsigned window);

/* A block was taken with this window; returns whether to judge. */
int uvdio__knee_count(uvdio__knee_t* knee, unsigned window, int has_waited);

/* Whether the window is one that is tried. */
static inline int uvdio__knee_is_trying(const uvdio__knee_t* knee) {
  return knee->from != 0;
}

/* The window to go on with. */
unsigned uvdio__knee_judge(uvdio__knee_t* knee, uint64_t now_ns);

#endif /* UVDIO_STREAM_KNEE_H */
