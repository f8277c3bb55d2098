/* SPDX-License-Identifier: MIT */
/*
 * The random numbers of a world: splitmix64, whose seeds are all as good as each other. Every
 * decision of a world draws from here, so that one seed is one run.
 */
#include "sim/sim.h"

static uint64_t next_random(uvdio_sim_t* sim) {
  uint64_t z = sim->random += UINT64_C(0x9e3779b97f4a7c15);

  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

uint64_t uvdio__sim_random(uvdio_sim_t* sim, uint64_t limit) {
  return limit == 0 ? 0 : next_random(sim) % limit;
}

uint64_t uvdio_sim_random(uvdio_sim_t* sim, uint64_t limit) {
  return sim == NULL ? 0 : uvdio__sim_random(sim, limit);
}
