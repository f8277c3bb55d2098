/* SPDX-License-Identifier: MIT */
/*
 * The faults of a world: rules and the user's callback decide which fault an event gets.
 */
#include <string.h>

#include "allocator.h"
#include "path.h"
#include "sim/sim.h"
#include "sized.h"

struct uvdio__sim_rule_s {
  uvdio__sim_rule_t* next;
  uvdio_fault_rule_t rule;
  uint64_t matched;
  uint64_t fired;
};

static int is_known(const uvdio_fault_t* fault) {
  return (unsigned)fault->kind <= UVDIO_FAULT_CUT && (unsigned)fault->cut <= UVDIO_SIM_CUT_CRASH;
}

static int add_rule(uvdio_sim_t* sim, const uvdio_fault_rule_t* rule) {
  uvdio__sim_rule_t** end;
  uvdio__sim_rule_t* fresh;
  size_t path_size;

  if ((unsigned)rule->op >= UVDIO_OP_COUNT || !is_known(&rule->fault) || rule->fault.error > 0 ||
      rule->ppm > UVDIO__PPM) {
    return UV_EINVAL;
  }
  path_size = rule->path == NULL ? 0 : uvdio__path_normal(NULL, NULL, rule->path) + 1;
  fresh = uvdio__alloc(sizeof(*fresh) + path_size, UVDIO__STRUCT_ALIGN, 1);
  if (fresh == NULL) {
    return UV_ENOMEM;
  }
  fresh->rule = *rule;
  if (path_size > 0) {
    (void)uvdio__path_normal((char*)(fresh + 1), NULL, rule->path);
    fresh->rule.path = (const char*)(fresh + 1);
  }
  for (end = &sim->rules; *end != NULL; end = &(*end)->next) {
  }
  *end = fresh;
  return 0;
}

int uvdio_sim_add_rule_sized(uvdio_sim_t* sim, const uvdio_fault_rule_t* rule, size_t size) {
  uvdio_fault_rule_t own;
  int error;

  if (sim == NULL || rule == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__sized_in(&own, sizeof(own), rule, size);
  return error != 0 ? error : add_rule(sim, &own);
}

int uvdio_sim_clear_rules(uvdio_sim_t* sim) {
  if (sim == NULL) {
    return UV_EINVAL;
  }
  while (sim->rules != NULL) {
    uvdio__sim_rule_t* rule = sim->rules;
    size_t path_size = rule->rule.path == NULL ? 0 : strlen(rule->rule.path) + 1;
    sim->rules = rule->next;
    uvdio__free(rule, sizeof(*rule) + path_size, UVDIO__STRUCT_ALIGN);
  }
  return 0;
}

static int touches(const uvdio_fault_rule_t* rule, const uvdio_fault_event_t* event) {
  if (rule->length == 0) {
    return 1;
  }
  if (!uvdio__is_transfer(event->op)) {
    return 0;
  }
  return event->offset >= rule->offset ? event->offset - rule->offset < rule->length
                                       : rule->offset - event->offset < event->length;
}

static int strikes(uvdio_sim_t* sim, uvdio__sim_rule_t* entry, const uvdio_fault_event_t* event) {
  const uvdio_fault_rule_t* rule = &entry->rule;

  if ((rule->op != UVDIO_OP_NONE && rule->op != event->op) ||
      (rule->path != NULL && strcmp(rule->path, event->path) != 0) || !touches(rule, event)) {
    return 0;
  }
  if (entry->matched++ < rule->skip || (rule->times != 0 && entry->fired == rule->times)) {
    return 0;
  }
  if (rule->ppm != 0 && uvdio__sim_random(sim, UVDIO__PPM) >= rule->ppm) {
    return 0;
  }
  entry->fired++;
  return 1;
}

static int applies(const uvdio_fault_t* fault, uvdio_op_t op) {
  switch (fault->kind) {
    case UVDIO_FAULT_NONE:
      return 0;
    case UVDIO_FAULT_TORN:
    case UVDIO_FAULT_LOST:
      return op == UVDIO_OP_WRITE;
    case UVDIO_FAULT_LATENT:
      return op == UVDIO_OP_READ;
    case UVDIO_FAULT_SHORT:
    case UVDIO_FAULT_CORRUPT:
    case UVDIO_FAULT_MISDIRECT:
      return uvdio__is_transfer(op);
    case UVDIO_FAULT_ERROR:
    case UVDIO_FAULT_DELAY:
    case UVDIO_FAULT_CUT:
      break;
  }
  return 1;
}

uvdio_fault_t uvdio__sim_pick_fault(uvdio_sim_t* sim, const uvdio_fault_event_t* event) {
  uvdio_fault_t fault = {UVDIO_FAULT_NONE, 0, 0, 0, UVDIO_SIM_CUT_SEEDED};
  uvdio__sim_rule_t* entry;

  for (entry = sim->rules; entry != NULL; entry = entry->next) {
    if (strikes(sim, entry, event)) {
      fault = entry->rule.fault;
      break;
    }
  }
  if (entry == NULL && sim->options.on_fault != NULL) {
    sim->options.on_fault(sim->options.data, event, &fault);
  }
  if (fault.error >= 0) {
    fault.error = UV_EIO;
  }
  if (!is_known(&fault) || !applies(&fault, event->op)) {
    fault.kind = UVDIO_FAULT_NONE;
  } else {
    sim->stats.faults++;
  }
  return fault;
}
