/* SPDX-License-Identifier: MIT */
#include "harness/turns.h"

#include <assert.h>

#include "cli/pattern.h"

#define LEAVE_OUT 8 /* The first numbers of neighbouring seeds are much alike. */

/* By Fisher and Yates. */
turns_t turns_of(uint64_t round, size_t count) {
  uint64_t random = (round + 1) * 0x9E3779B97F4A7C15u;
  turns_t turns;
  assert(count <= TURNS_MAX);
  for (unsigned i = 0; i < LEAVE_OUT; i++) {
    (void)random_next(&random);
  }
  for (size_t i = 0; i < count; i++) {
    size_t place = (size_t)((random_next(&random) >> 32) % (i + 1));
    turns.at[i] = turns.at[place];
    turns.at[place] = (unsigned char)i;
  }
  return turns;
}
