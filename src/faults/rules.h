/* SPDX-License-Identifier: MIT */
/*
 * Rules of faults, as worlds and the engines' fronts (front.h) have them: a list of them, which of
 * them an operation matches, and what each has done. include/uvdio/faults.h says what they mean.
 */
#ifndef UVDIO_FAULTS_RULES_H
#define UVDIO_FAULTS_RULES_H

#include "uvdio/faults.h"

typedef struct uvdio__rule_s uvdio__rule_t;

/* In the order in which they were added. */
typedef struct uvdio__rules_s {
  uvdio__rule_t* first;
} uvdio__rules_t;

/* Adds a copy. `is_normal`: its path is one of files that no system has (path.h). Errors: UV_EINVAL
 * (as in uvdio_sim_add_rule()), UV_ENOMEM. */
int uvdio__rules_add(uvdio__rules_t* rules, const uvdio_fault_rule_t* rule, int is_normal);

void uvdio__rules_clear(uvdio__rules_t* rules);

/* The fault of an operation, by the first rule that has one for it; null: none has. `random` is
 * drawn from for each rule of a probability that matches. */
const uvdio_fault_t* uvdio__rules_pick(const uvdio__rules_t* rules, uint64_t* random,
                                       const uvdio_fault_event_t* event);

/* Of the public functions: 0 or UV_ENOENT. */
int uvdio__rules_tell(const uvdio__rules_t* rules, unsigned index, uvdio_fault_rule_info_t* info,
                      size_t size);

int uvdio__fault_is_known(const uvdio_fault_t* fault);

/* Whether it has an effect on the operation. */
int uvdio__fault_applies(const uvdio_fault_t* fault, uvdio_op_t op);

/* What a fault that has an error fails with. */
int uvdio__fault_error(const uvdio_fault_t* fault);

/* The bytes that are left of a transfer of `length` bytes by SHORT, at most `wanted` of them, in
 * multiples of `unit`; 0: a seeded number. */
size_t uvdio__fault_shorten(uint64_t* random, size_t length, size_t wanted, size_t unit);

#endif /* UVDIO_FAULTS_RULES_H */
