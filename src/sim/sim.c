/* SPDX-License-Identifier: MIT */
/*
 * A simulated world: options, creation, engines, directories.
 */
#include "uvdio/sim.h"

#include <stdio.h>

#include "allocator.h"
#include "sim/sim.h"
#include "sized.h"

#define SECTOR_MIN 512u
#define SECTOR_MAX 4096u
#define LATENCY_DEFAULT 8u
#define LANDING_DEFAULT 64u
#define CACHE_DEFAULT ((size_t)4 * 1024 * 1024)

static int is_power_of_two(uint32_t number) {
  return (number & (number - 1)) == 0;
}

static int is_atomic_valid(const uvdio_sim_options_t* options) {
  uint32_t least = options->sector_size != 0 ? options->sector_size : SECTOR_MIN;
  uint32_t from = options->atomic_min;
  uint32_t to = options->atomic_max;

  return (from == 0 && to == 0) ||
         (from >= least && from <= to && is_power_of_two(from) && is_power_of_two(to));
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
  if (!is_atomic_valid(options)) {
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

static int create_world(uvdio_sim_t** sim, const uvdio_sim_options_t* options) {
  uvdio_sim_t* fresh;

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

int uvdio_sim_create_sized(uvdio_sim_t** sim, const uvdio_sim_options_t* options, size_t size) {
  uvdio_sim_options_t own = {0};
  int error = options == NULL ? 0 : uvdio__sized_in(&own, sizeof(own), options, size);

  return error != 0 ? error : create_world(sim, &own);
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

/* An ordinary engine on memory, whose queue then gets another backend: nothing has been submitted
 * to it yet. */
int uvdio_sim_engine_create_sized(uvdio_engine_t** engine, uv_loop_t* loop, uvdio_sim_t* sim,
                                  const uvdio_engine_options_t* options, size_t size) {
  uvdio_engine_options_t on_memory = {0};
  uvdio__sim_engine_t* part;
  unsigned depth;
  int error;

  error = options == NULL ? 0 : uvdio__sized_in(&on_memory, sizeof(on_memory), options, size);
  if (error != 0) {
    return error;
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
  (void)snprintf((*engine)->reason, sizeof((*engine)->reason),
                 "asked for by the program; files in a simulated world");
  return 0;
}

int uvdio_sim_sync_directory(uvdio_sim_t* sim) {
  if (sim == NULL) {
    return UV_EINVAL;
  }
  uvdio__sim_sync_names(sim, NULL, UINT64_MAX);
  return 0;
}
