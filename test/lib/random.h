/* SPDX-License-Identifier: MIT */
/*
 * Random numbers by a seed. The same seed gives the same numbers, on every machine.
 */
#ifndef UVDIO_TEST_RANDOM_H
#define UVDIO_TEST_RANDOM_H

#include <stdint.h>

/* Begins with the seed. */
struct random {
  uint64_t state;
};

/* One well-mixed number from another. */
uint64_t random_mix(uint64_t number);

/* The next number, of 64 bits. */
uint64_t random_next(struct random* random);

/* The next one from 0 to bound - 1. */
unsigned random_below(struct random* random, unsigned bound);

#endif /* UVDIO_TEST_RANDOM_H */
