/* SPDX-License-Identifier: MIT */
#include "random.h"

#include <assert.h>

/* The finaliser of splitmix64. */
uint64_t random_mix(uint64_t number) {
  number += 0x9e3779b97f4a7c15u;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
  return number ^ (number >> 31);
}

uint64_t random_next(struct random* random) {
  return random->state = random_mix(random->state);
}

unsigned random_below(struct random* random, unsigned bound) {
  assert(bound > 0);
  return (unsigned)((random_next(random) >> 16) % bound);
}
