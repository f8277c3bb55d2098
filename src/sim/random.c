/* SPDX-License-Identifier: MIT */
/*
 * The random numbers of a world. Every decision of a world draws from here, so that one seed is one
 * run.
 */
#include "faults/random.h"

#include "sim/sim.h"

uint64_t uvdio__sim_random(uvdio_sim_t* sim, uint64_t limit) {
  return uvdio__random_below(&sim->random, limit);
}

uint64_t uvdio_sim_random(uvdio_sim_t* sim, uint64_t limit) {
  return sim == NULL ? 0 : uvdio__sim_random(sim, limit);
}
