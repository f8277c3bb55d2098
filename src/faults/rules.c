/* SPDX-License-Identifier: MIT */
/*
 * See rules.h.
 */
#include "faults/rules.h"

#include <string.h>

#include "allocator.h"
#include "faults/random.h"
#include "path.h"
#include "request.h"
#include "sized.h"

#define PPM 1000000u

struct uvdio__rule_s {
  uvdio__rule_t* next;
  uvdio_fault_rule_t rule;
  uint64_t matched;
  uint64_t fired;
};

int uvdio__fault_is_known(const uvdio_fault_t* fault) {
  return (unsigned)fault->kind <= UVDIO_FAULT_CUT && (unsigned)fault->cut <= UVDIO_SIM_CUT_CRASH;
}

int uvdio__rules_add(uvdio__rules_t* rules, const uvdio_fault_rule_t* rule, int is_normal) {
  uvdio__rule_t** end;
  uvdio__rule_t* fresh;
  size_t path_size;

  if ((unsigned)rule->op >= UVDIO_OP_COUNT || uvdio__is_of_frames(rule->op) ||
      !uvdio__fault_is_known(&rule->fault) || rule->fault.error > 0 || rule->ppm > PPM) {
    return UV_EINVAL;
  }
  path_size = rule->path == NULL ? 0 : uvdio__path_write(NULL, is_normal, NULL, rule->path) + 1;
  fresh = uvdio__alloc(sizeof(*fresh) + path_size, UVDIO__STRUCT_ALIGN, 1);
  if (fresh == NULL) {
    return UV_ENOMEM;
  }
  fresh->rule = *rule;
  if (path_size > 0) {
    (void)uvdio__path_write((char*)(fresh + 1), is_normal, NULL, rule->path);
    fresh->rule.path = (const char*)(fresh + 1);
  }
  for (end = &rules->first; *end != NULL; end = &(*end)->next) {
  }
  *end = fresh;
  return 0;
}

void uvdio__rules_clear(uvdio__rules_t* rules) {
  while (rules->first != NULL) {
    uvdio__rule_t* rule = rules->first;
    size_t path_size = rule->rule.path == NULL ? 0 : strlen(rule->rule.path) + 1;
    rules->first = rule->next;
    uvdio__free(rule, sizeof(*rule) + path_size, UVDIO__STRUCT_ALIGN);
  }
}

/* Whether the path has the form of the pattern. A star that was given too little takes one more
 * character, and only the last one has to be tried again. */
static int is_like(const char* pattern, const char* path) {
  const char* after_star = NULL;
  const char* taken = NULL;

  while (*path != '\0') {
    if (*pattern == '*') {
      after_star = ++pattern;
      taken = path;
    } else if (*pattern == *path) {
      pattern++;
      path++;
    } else if (after_star != NULL) {
      pattern = after_star;
      path = ++taken;
    } else {
      return 0;
    }
  }
  while (*pattern == '*') {
    pattern++;
  }
  return *pattern == '\0';
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

static int strikes(uvdio__rule_t* entry, uint64_t* random, const uvdio_fault_event_t* event) {
  const uvdio_fault_rule_t* rule = &entry->rule;

  if ((rule->op != UVDIO_OP_NONE && rule->op != event->op) ||
      (rule->path != NULL && !is_like(rule->path, event->path)) || !touches(rule, event)) {
    return 0;
  }
  if (entry->matched++ < rule->skip || (rule->times != 0 && entry->fired == rule->times)) {
    return 0;
  }
  if (rule->ppm != 0 && uvdio__random_below(random, PPM) >= rule->ppm) {
    return 0;
  }
  entry->fired++;
  return 1;
}

const uvdio_fault_t* uvdio__rules_pick(const uvdio__rules_t* rules, uint64_t* random,
                                       const uvdio_fault_event_t* event) {
  uvdio__rule_t* entry = rules->first;

  while (entry != NULL && !strikes(entry, random, event)) {
    entry = entry->next;
  }
  return entry == NULL ? NULL : &entry->rule.fault;
}

int uvdio__rules_tell(const uvdio__rules_t* rules, unsigned index, uvdio_fault_rule_info_t* info,
                      size_t size) {
  const uvdio__rule_t* entry = rules->first;
  uvdio_fault_rule_info_t own = {0};

  while (entry != NULL && index > 0) {
    entry = entry->next;
    index--;
  }
  if (entry == NULL) {
    return UV_ENOENT;
  }
  own.op = entry->rule.op;
  own.path = entry->rule.path;
  own.kind = entry->rule.fault.kind;
  own.error = entry->rule.fault.error;
  own.matched = entry->matched;
  own.fired = entry->fired;
  uvdio__sized_out(info, size, &own, sizeof(own));
  return 0;
}

int uvdio__fault_applies(const uvdio_fault_t* fault, uvdio_op_t op) {
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

int uvdio__fault_error(const uvdio_fault_t* fault) {
  return fault->error >= 0 ? UV_EIO : fault->error;
}

/* Only a length that was asked for may be rounded up: a transfer that is always short has to come
 * to something. */
size_t uvdio__fault_shorten(uint64_t* random, size_t length, size_t wanted, size_t unit) {
  size_t units = length / unit;
  size_t most = wanted < unit ? unit : wanted - wanted % unit;

  if (wanted == 0) {
    return units <= 1 ? length : unit * (size_t)(1 + uvdio__random_below(random, units - 1));
  }
  return most < length ? most : length;
}
