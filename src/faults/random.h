/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that decide about faults, and everything in a world: splitmix64, whose seeds are
 * all as good as each other. The state begins as the seed.
 */
#ifndef UVDIO_FAULTS_RANDOM_H
#define UVDIO_FAULTS_RANDOM_H

#include <stdint.h>

static inline uint64_t uvdio__random_next(uint64_t* state) {
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* A number below `limit`; 0, and no number is drawn, where that is 0. */
static inline uint64_t uvdio__random_below(uint64_t* state, uint64_t limit) {
  return limit == 0 ? 0 : uvdio__random_next(state) % limit;
}

#endif /* UVDIO_FAULTS_RANDOM_H */
