/* SPDX-License-Identifier: MIT */
/*
 * What the tests of simulated worlds stand on: a world, an engine on it, and an open file. After
 * each test the engine closes, the world is destroyed, and nothing is left.
 */
#ifndef UVDIO_TEST_WORLD_H
#define UVDIO_TEST_WORLD_H

#include "check.h"
#include "tracker.h"
#include "uvdio/sim.h"

#define PAGE ((size_t)UVDIO_PAGE_SIZE)

struct world {
  uv_loop_t loop;
  uvdio_sim_t* sim;
  uvdio_engine_t* engine;
  uvdio_file_t file; /* "file", with whatever flags it was opened with */
  struct tracker tracker;
  size_t allocations; /* before */
};

#define TEST_IN(set_up, function) cmocka_unit_test_setup_teardown(function, set_up, world_tear_down)

/* An empty world by these options, and nothing on it. */
int world_make(void** state, const uvdio_sim_options_t* options);
int world_tear_down(void** state);

/* By the defaults; with an engine; with "file" open for reading and writing. */
int world_empty(void** state);
int world_open(void** state);

void start(struct world* w);
void open_file(struct world* w, const char* path, unsigned flags);
void run_world(struct world* w);

/* So many turns of the loop, without waiting. */
void turn(struct world* w, unsigned times);

/* Cuts the power, closes the dead engine, and starts a new one. */
void cut(struct world* w, uvdio_sim_cut_t kind);
void bury(struct world* w);

/* A buffer of `size` bytes full of the pattern `seed`. */
uvdio_buf_t pattern(size_t size, unsigned seed);

/* At once, asserting that it works. */
void write_now(struct world* w, uint64_t offset, size_t size, unsigned seed);
void sync_now(struct world* w);

/* Whether the file holds the pattern there, as programs see it or on the disk; whether zeros. */
int holds(const struct world* w, int on_disk, uint64_t offset, size_t size, unsigned seed);
int holds_zeros(const struct world* w, int on_disk, uint64_t offset, size_t size);

/* What a cut has left of the file, which would have been `bytes`, `most` of them: the first
 * `durable` ones, and behind them zeros or more of them. Returns its size. */
int64_t assert_survives(const struct world* w, const char* bytes, size_t most, uint64_t durable);

uvdio_sim_stats_t sim_stats(const struct world* w);

/* A rule for `op` with a fault of this kind, always. */
uvdio_fault_rule_t rule_for(uvdio_op_t op, uvdio_fault_kind_t kind);
void add_rule(struct world* w, uvdio_fault_rule_t rule);

#endif /* UVDIO_TEST_WORLD_H */
