/* SPDX-License-Identifier: MIT */
/*
 * The trace of a world: a line per event, a digest of all of them, and the counters.
 */
#include <stdio.h>

#include "sim/sim.h"
#include "sized.h"

/* FNV-1a over whole numbers. */
static void digest_number(uvdio_sim_t* sim, uint64_t number) {
  sim->digest = (sim->digest ^ number) * UINT64_C(0x100000001b3);
  sim->digest ^= sim->digest >> 29;
}

static void digest_text(uvdio_sim_t* sim, const char* text) {
  while (*text != '\0') {
    digest_number(sim, (unsigned char)*text++);
  }
}

static void write_trace(const uvdio_sim_t* sim, const uvdio_fault_event_t* event, const char* what,
                        int64_t result, uint64_t check) {
  char line[512];
  char sum[32] = "";

  if (check != 0) {
    (void)snprintf(sum, sizeof(sum), " sum %016llx", (unsigned long long)check);
  }
  (void)snprintf(line, sizeof(line), "%llu %llu %s %.300s %llu+%llu -> %lld%s%s%s",
                 (unsigned long long)event->step, (unsigned long long)event->number,
                 uvdio_op_name(event->op), event->path, (unsigned long long)event->offset,
                 (unsigned long long)(event->length + event->span), (long long)result, sum,
                 *what == '\0' ? "" : " ", what);
  sim->options.on_trace(sim->options.data, line);
}

void uvdio__sim_note(uvdio_sim_t* sim, const uvdio_fault_event_t* event, const char* what,
                     int64_t result, uint64_t check) {
  digest_number(sim, event->step);
  digest_number(sim, (uint64_t)event->op);
  digest_text(sim, event->path);
  digest_number(sim, event->offset);
  digest_number(sim, event->length + event->span);
  digest_number(sim, (uint64_t)result);
  if (sim->options.on_trace != NULL) {
    write_trace(sim, event, what, result, check);
  }
}

uint64_t uvdio_sim_digest(const uvdio_sim_t* sim) {
  return sim == NULL ? 0 : sim->digest ^ sim->random;
}

int uvdio_sim_stats_sized(const uvdio_sim_t* sim, uvdio_sim_stats_t* stats, size_t size) {
  uvdio_sim_stats_t own;

  if (sim == NULL || stats == NULL) {
    return UV_EINVAL;
  }
  own = sim->stats;
  own.steps = sim->step;
  own.operations = sim->events;
  uvdio__sized_out(stats, size, &own, sizeof(own));
  return 0;
}
