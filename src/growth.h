/* SPDX-License-Identifier: MIT */
/*
 * How a file's size is kept ahead of writes that lie behind each other: in steps that double, each
 * of them made when half of the one before is used. One change of the size is pending at a time.
 */
#ifndef UVDIO_GROWTH_H
#define UVDIO_GROWTH_H

#include <stdint.h>

typedef struct uvdio__growth_s {
  uint64_t room;     /* the file's size once all that was submitted has ended */
  uint64_t first;    /* the size that it gets at first, where that is larger; 0: by a step */
  uint64_t step;     /* the next one; 0: none */
  uint64_t step_max; /* the largest */
  uint64_t last;     /* the step before; 0: there was none */
  int is_pending;
} uvdio__growth_t;

/* The size that the file is to get before a write that ends there; 0: it has room, or does not
 * grow. Never below what was submitted. */
static inline uint64_t uvdio__growth_next(const uvdio__growth_t* growth, uint64_t end) {
  uint64_t base = growth->room > end ? growth->room : end;

  if (growth->step == 0 || growth->is_pending ||
      (growth->room >= end && growth->room - end >= growth->last / 2)) {
    return 0;
  }
  if (growth->first > base && growth->last == 0) {
    return growth->first;
  }
  return base > (uint64_t)INT64_MAX - growth->step ? 0 : base + growth->step;
}

/* That size was asked for. */
static inline void uvdio__growth_begin(uvdio__growth_t* growth, uint64_t size) {
  growth->is_pending = 1;
  growth->room = size;
  growth->last = size != growth->first ? growth->step : 0;
  if (growth->last != 0) {
    growth->step = growth->step > growth->step_max / 2 ? growth->step_max : 2 * growth->step;
  }
}

/* The file has it, or not: then it grows no more. */
static inline void uvdio__growth_end(uvdio__growth_t* growth, int64_t result) {
  growth->is_pending = 0;
  if (result < 0) {
    growth->step = 0;
  }
}

/* A write that ends there was submitted. */
static inline void uvdio__growth_write(uvdio__growth_t* growth, uint64_t end) {
  growth->room = growth->room > end ? growth->room : end;
}

#endif /* UVDIO_GROWTH_H */
