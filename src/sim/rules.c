/* SPDX-License-Identifier: MIT */
/*
 * The faults of a world: rules and the user's callback decide which fault an event gets.
 */
#include "faults/rules.h"

#include "sim/sim.h"
#include "sized.h"

int uvdio_sim_add_rule_sized(uvdio_sim_t* sim, const uvdio_fault_rule_t* rule, size_t size) {
  uvdio_fault_rule_t own;
  int error;

  if (sim == NULL || rule == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__sized_in(&own, sizeof(own), rule, size);
  return error != 0 ? error : uvdio__rules_add(&sim->rules, &own, 1);
}

int uvdio_sim_clear_rules(uvdio_sim_t* sim) {
  if (sim == NULL) {
    return UV_EINVAL;
  }
  uvdio__rules_clear(&sim->rules);
  return 0;
}

int uvdio_sim_rule_info_sized(const uvdio_sim_t* sim, unsigned index, uvdio_fault_rule_info_t* info,
                              size_t size) {
  return sim == NULL || info == NULL ? UV_EINVAL
                                     : uvdio__rules_tell(&sim->rules, index, info, size);
}

uvdio_fault_t uvdio__sim_pick_fault(uvdio_sim_t* sim, const uvdio_fault_event_t* event) {
  const uvdio_fault_t* by_rule = uvdio__rules_pick(&sim->rules, &sim->random, event);
  uvdio_fault_t fault = {.kind = UVDIO_FAULT_NONE};

  if (by_rule != NULL) {
    fault = *by_rule;
  } else if (sim->options.on_fault != NULL) {
    sim->options.on_fault(sim->options.data, event, &fault);
  }
  fault.error = uvdio__fault_error(&fault);
  if (!uvdio__fault_is_known(&fault) || !uvdio__fault_applies(&fault, event->op)) {
    fault.kind = UVDIO_FAULT_NONE;
  } else {
    sim->stats.faults++;
  }
  return fault;
}
