/*
 * A simulated world: its set-up, what it decides by chance, its rules of faults, and the account of what happened.
 */
#include "uvdio/sim.h"

#include <stdio.h>
#include <string.h>

#include "allocator.h"
#include "sim/sim.h"

#define SECTOR_MIN 512u
#define SECTOR_MAX 4096u
#define LATENCY_DEFAULT 8u
#define LANDING_DEFAULT 64u
#define CACHE_DEFAULT ((size_t)4 * 1024 * 1024)

struct uvdio__sim_rule_s {
  uvdio__sim_rule_t* next;
  uvdio_sim_rule_t rule;
  uint64_t matched;
  uint64_t fired;
};

/*
 * Chance: splitmix64, of which any seed is as good as any other
 */

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

/*
 * Set-up
 */

static int is_power_of_two(uint32_t number) {
  return (number & (number - 1)) == 0;
}

static int check_options(const uvdio_sim_options_t* options) {
  uint32_t sector = options->sector_size;

  if (sector != 0 && (sector < SECTOR_MIN || sector > SECTOR_MAX || !is_power_of_two(sector))) {
    return UV_EINVAL;
  }
  if ((options->flags & ~UVDIO_SIM_IN_ORDER) != 0 ||
      (unsigned)options->entries > UVDIO_SIM_ENTRY_BY_DIRECTORY) {
    return UV_EINVAL;
  }
  return options->latency_max != 0 && options->latency_min > options->latency_max ? UV_EINVAL : 0;
}

static void fill_in_defaults(uvdio_sim_options_t* options) {
  if (options->sector_size == 0) {
    options->sector_size = SECTOR_MIN;
  }
  if (options->latency_max == 0) {
    options->latency_max =
        options->latency_min > LATENCY_DEFAULT ? options->latency_min : LATENCY_DEFAULT;
  }
  if (options->landing_max == 0) {
    options->landing_max = LANDING_DEFAULT;
  }
  if (options->cache_size == 0) {
    options->cache_size = CACHE_DEFAULT;
  }
}

int uvdio_sim_create(uvdio_sim_t** sim, const uvdio_sim_options_t* options) {
  static const uvdio_sim_options_t defaults;
  uvdio_sim_t* fresh;

  if (options == NULL) {
    options = &defaults;
  }
  if (sim == NULL || check_options(options) != 0) {
    return UV_EINVAL;
  }
  fresh = uvdio__alloc(sizeof(*fresh), UVDIO__STRUCT_ALIGN, 1);
  if (fresh == NULL) {
    return UV_ENOMEM;
  }
  fresh->options = *options;
  fresh->random = options->seed;
  fill_in_defaults(&fresh->options);
  *sim = fresh;
  return 0;
}

int uvdio_sim_destroy(uvdio_sim_t* sim) {
  if (sim == NULL) {
    return UV_EINVAL;
  }
  if (sim->engines != NULL) {
    return UV_EBUSY;
  }
  (void)uvdio_sim_clear_rules(sim);
  uvdio__sim_end_late(sim, 0);
  uvdio__sim_free_files(sim);
  uvdio__free(sim, sizeof(*sim), UVDIO__STRUCT_ALIGN);
  return 0;
}

/* An ordinary engine on memory, whose queue then gets another backend: nothing has been submitted to it yet. */
int uvdio_sim_engine_create(uvdio_engine_t** engine, uv_loop_t* loop, uvdio_sim_t* sim, const uvdio_engine_options_t* options) {
  uvdio_engine_options_t on_memory = {0};
  uvdio__sim_engine_t* part;
  unsigned depth;
  int error;

  if (options != NULL) {
    on_memory = *options;
  }
  if (engine == NULL || sim == NULL || on_memory.depth > UVDIO_DEPTH_MAX ||
      (on_memory.backend != UVDIO_BACKEND_AUTO && on_memory.backend != UVDIO_BACKEND_MEMORY)) {
    return UV_EINVAL;
  }
  on_memory.backend = UVDIO_BACKEND_MEMORY;
  depth = on_memory.depth == 0 ? UVDIO_DEPTH_DEFAULT : on_memory.depth;
  part = uvdio__sim_engine_make(sim, depth);
  if (part == NULL) {
    return UV_ENOMEM;
  }
  error = uvdio_engine_create(engine, loop, &on_memory);
  if (error != 0) {
    uvdio__sim_engine_free(part, depth);
    return error;
  }
  assert((*engine)->queue_count == 1 && (*engine)->queues[QUEUE_MAIN].depth == depth);
  uvdio__sim_engine_attach(part, &(*engine)->queues[QUEUE_MAIN]);
  (void)snprintf((*engine)->reason, sizeof((*engine)->reason), "asked for by the program; files in a simulated world");
  return 0;
}

int uvdio_sim_sync_directory(uvdio_sim_t* sim) {
  uvdio__sim_file_t* file;

  if (sim == NULL) {
    return UV_EINVAL;
  }
  for (file = sim->files; file != NULL; file = file->next) {
    file->entry_durable = 1;
  }
  return 0;
}

/*
 * Faults
 */

static int is_known(const uvdio_sim_fault_t* fault) {
  return (unsigned)fault->kind <= UVDIO_SIM_CUT && (unsigned)fault->cut <= UVDIO_SIM_CUT_CRASH;
}

int uvdio_sim_add_rule(uvdio_sim_t* sim, const uvdio_sim_rule_t* rule) {
  uvdio__sim_rule_t** end;
  uvdio__sim_rule_t* fresh;
  size_t path_size;

  if (sim == NULL || rule == NULL || (unsigned)rule->op >= UVDIO_OP_COUNT || !is_known(&rule->fault) ||
      rule->fault.error > 0 || rule->ppm > UVDIO__PPM) {
    return UV_EINVAL;
  }
  path_size = rule->path == NULL ? 0 : strlen(rule->path) + 1;
  fresh = uvdio__alloc(sizeof(*fresh) + path_size, UVDIO__STRUCT_ALIGN, 1);
  if (fresh == NULL) {
    return UV_ENOMEM;
  }
  fresh->rule = *rule;
  if (path_size > 0) {
    memcpy(fresh + 1, rule->path, path_size);
    fresh->rule.path = (const char*)(fresh + 1);
  }
  for (end = &sim->rules; *end != NULL; end = &(*end)->next) {
  }
  *end = fresh;
  return 0;
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

static int touches(const uvdio_sim_rule_t* rule, const uvdio_sim_event_t* event) {
  if (rule->length == 0) {
    return 1;
  }
  if (!uvdio__is_transfer(event->op)) {
    return 0;
  }
  return event->offset >= rule->offset ? event->offset - rule->offset < rule->length
                                       : rule->offset - event->offset < event->length;
}

static int strikes(uvdio_sim_t* sim, uvdio__sim_rule_t* entry, const uvdio_sim_event_t* event) {
  const uvdio_sim_rule_t* rule = &entry->rule;

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

static int applies(const uvdio_sim_fault_t* fault, uvdio_op_t op) {
  switch (fault->kind) {
    case UVDIO_SIM_NONE:
      return 0;
    case UVDIO_SIM_TORN:
    case UVDIO_SIM_LOST:
      return op == UVDIO_OP_WRITE;
    case UVDIO_SIM_LATENT:
      return op == UVDIO_OP_READ;
    case UVDIO_SIM_SHORT:
    case UVDIO_SIM_CORRUPT:
    case UVDIO_SIM_MISDIRECT:
      return uvdio__is_transfer(op);
    case UVDIO_SIM_ERROR:
    case UVDIO_SIM_DELAY:
    case UVDIO_SIM_CUT:
      break;
  }
  return 1;
}

uvdio_sim_fault_t uvdio__sim_pick_fault(uvdio_sim_t* sim, const uvdio_sim_event_t* event) {
  uvdio_sim_fault_t fault = {UVDIO_SIM_NONE, 0, 0, 0, UVDIO_SIM_CUT_SEEDED};
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
    fault.kind = UVDIO_SIM_NONE;
  } else {
    sim->stats.faults++;
  }
  return fault;
}

/*
 * The account
 */

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

static void write_trace(const uvdio_sim_t* sim, const uvdio_sim_event_t* event, const char* what, int64_t result,
                uint64_t check) {
  char line[512];
  char sum[32] = "";

  if (check != 0) {
    (void)snprintf(sum, sizeof(sum), " sum %016llx", (unsigned long long)check);
  }
  (void)snprintf(line, sizeof(line), "%llu %llu %s %.300s %llu+%llu -> %lld%s%s%s",
                 (unsigned long long)event->step, (unsigned long long)event->number, uvdio_op_name(event->op),
                 event->path, (unsigned long long)event->offset, (unsigned long long)event->length,
                 (long long)result, sum, *what == '\0' ? "" : " ", what);
  sim->options.on_trace(sim->options.data, line);
}

void uvdio__sim_note(uvdio_sim_t* sim, const uvdio_sim_event_t* event, const char* what, int64_t result,
                     uint64_t check) {
  digest_number(sim, event->step);
  digest_number(sim, (uint64_t)event->op);
  digest_text(sim, event->path);
  digest_number(sim, event->offset);
  digest_number(sim, event->length);
  digest_number(sim, (uint64_t)result);
  if (sim->options.on_trace != NULL) {
    write_trace(sim, event, what, result, check);
  }
}

uint64_t uvdio_sim_digest(const uvdio_sim_t* sim) {
  return sim == NULL ? 0 : sim->digest ^ sim->random;
}

int uvdio_sim_stats(const uvdio_sim_t* sim, uvdio_sim_stats_t* stats) {
  if (sim == NULL || stats == NULL) {
    return UV_EINVAL;
  }
  *stats = sim->stats;
  stats->steps = sim->step;
  stats->operations = sim->events;
  return 0;
}
