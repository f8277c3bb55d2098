/* SPDX-License-Identifier: MIT */
/* What survives a power cut, and what becomes of the requests that it finds. */
#include <string.h>

#include "world.h"

#define SEEDS 200

static const uvdio_sim_options_t in_order = {
    .flags = UVDIO_SIM_IN_ORDER, .latency_min = 1, .latency_max = 1};

static int world_in_order(void** state) {
  int failed = world_make(state, &in_order);
  if (!failed) {
    start(*state);
    open_file(*state, "file", UVDIO_OPEN_RW);
  }
  return failed;
}

/*
 * What is durable.
 */

static void write_without_sync_is_lost_where_nothing_survives(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  write_now(w, 0, PAGE, 2);
  write_now(w, PAGE, PAGE, 3);
  assert_true(holds(w, 0, 0, PAGE, 2));
  assert_true(holds(w, 1, 0, PAGE, 1));
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_code(uvdio_sim_size(w->sim, "file", 0), PAGE);
}

static void durable_write_covers_itself_alone(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  write_now(w, 0, PAGE, 2);
  uvdio_file_t wal = {0};
  assert_result(t_open(op_now(&w->tracker), w->engine, &wal, "file", UVDIO_OPEN_WAL), 0);
  uvdio_buf_t page = pattern(PAGE, 3);
  assert_result(t_write(op_now(&w->tracker), &wal, &page, 2 * PAGE), PAGE);
  uvdio_buf_release(&page);
  assert_true(holds(w, 1, 0, PAGE, 1));
  assert_true(holds(w, 1, 2 * PAGE, PAGE, 3));
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_true(holds_zeros(w, 0, PAGE, PAGE));
  assert_true(holds(w, 0, 2 * PAGE, PAGE, 3));
}

/* Where it comes after an older write to the same place, it is the one that stays. */
static void durable_write_stays_over_an_older_one(void** state) {
  struct world* w = *state;
  uvdio_file_t wal = {0};
  sync_now(w);
  assert_result(t_open(op_now(&w->tracker), w->engine, &wal, "file", UVDIO_OPEN_WAL), 0);
  write_now(w, 0, PAGE, 1);
  uvdio_buf_t page = pattern(PAGE, 2);
  assert_result(t_write(op_now(&w->tracker), &wal, &page, 0), PAGE);
  uvdio_buf_release(&page);
  for (int i = 0; i < 3; i++) {
    assert_true(holds(w, 1, 0, PAGE, 2));
    cut(w, UVDIO_SIM_CUT_SEEDED);
    assert_true(holds(w, 0, 0, PAGE, 2));
  }
}

static void sizes_take_a_sync(void** state) {
  struct world* w = *state;
  write_now(w, 0, 2 * PAGE, 1);
  sync_now(w);
  assert_result(t_truncate(op_now(&w->tracker), &w->file, 100), 0);
  assert_result(t_preallocate(op_now(&w->tracker), &w->file, 5 * PAGE), 0);
  assert_code(uvdio_sim_size(w->sim, "file", 0), 5 * PAGE);
  assert_code(uvdio_sim_size(w->sim, "file", 1), 2 * PAGE);
  sync_now(w);
  assert_code(uvdio_sim_size(w->sim, "file", 1), 5 * PAGE);
  assert_result(t_truncate(op_now(&w->tracker), &w->file, 0), 0);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_code(uvdio_sim_size(w->sim, "file", 0), 5 * PAGE);
  assert_true(holds(w, 0, 0, 100, 1));
  assert_true(holds_zeros(w, 0, 100, 5 * PAGE - 100));
}

static void crash_loses_nothing_that_had_ended(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  cut(w, UVDIO_SIM_CUT_CRASH);
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_code(uvdio_sim_size(w->sim, "file", 1), 0);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_code(uvdio_sim_size(w->sim, "file", 0), UV_ENOENT);
}

/* A sync on its way makes nothing durable, and one that ended does. */
static void sync_counts_when_it_has_ended(void** state) {
  struct world* w = *state;
  sync_now(w);
  write_now(w, 0, PAGE, 1);
  struct tracked_op* sync = t_sync_data(op_new(&w->tracker), &w->file);
  assert_accepted(sync);
  (void)uv_run(&w->loop, UV_RUN_NOWAIT);
  if (sync->done == 0) {
    assert_code(uvdio_sim_size(w->sim, "file", 1), 0);
  }
  run_world(w);
  assert_result(sync, 0);
  assert_true(holds(w, 1, 0, PAGE, 1));
}

static void full_cache_is_emptied(void** state) {
  struct world* w = *state;
  sync_now(w);
  for (unsigned i = 0; i < 8; i++) {
    write_now(w, i * PAGE, PAGE, i);
  }
  assert_int_equal(sim_stats(w).dirty, 2 * PAGE);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_code(uvdio_sim_size(w->sim, "file", 0), 6 * PAGE);
  assert_true(holds(w, 0, 5 * PAGE, PAGE, 5));
}

static int world_with_small_cache(void** state) {
  const uvdio_sim_options_t options = {.cache_size = 2 * PAGE};
  int failed = world_make(state, &options);
  if (!failed) {
    start(*state);
    open_file(*state, "file", UVDIO_OPEN_RW);
  }
  return failed;
}

/*
 * New files.
 */

static int survives(uvdio_sim_entry_t entries, int (*sync)(struct world*)) {
  void* state = NULL;
  const uvdio_sim_options_t options = {.entries = entries};
  assert_ok(world_make(&state, &options));
  struct world* w = state;
  start(w);
  open_file(w, "file", UVDIO_OPEN_RW);
  assert_ok(sync(w));
  cut(w, UVDIO_SIM_CUT_NOTHING);
  int there = uvdio_sim_size(w->sim, "file", 0) >= 0;
  assert_ok(world_tear_down(&state));
  return there;
}

static int by_nothing(struct world* w) {
  (void)w;
  return 0;
}

static int by_data(struct world* w) {
  return (int)t_sync_data(op_now(&w->tracker), &w->file)->result;
}

static int by_all(struct world* w) {
  return (int)t_sync_all(op_now(&w->tracker), &w->file)->result;
}

static int by_directory(struct world* w) {
  return uvdio_sim_sync_directory(w->sim);
}

static void new_file_is_durable_by_what_the_options_say(void** state) {
  static int (*const syncs[])(struct world*) = {by_nothing, by_data, by_all, by_directory};
  static const int expected[3][4] = {{0, 1, 1, 1}, {0, 0, 1, 1}, {0, 0, 0, 1}};
  (void)state;
  for (int entries = 0; entries < 3; entries++) {
    for (int sync = 0; sync < 4; sync++) {
      assert_int_equal(survives((uvdio_sim_entry_t)entries, syncs[sync]), expected[entries][sync]);
    }
  }
}

/*
 * Seeded cuts.
 */

struct fates {
  unsigned old_sectors;
  unsigned new_sectors;
  unsigned torn; /* pages with both */
};

/* Each sector is the old or the new one. */
static void count_fates(const struct world* w, struct fates* fates) {
  char bytes[UVDIO_PAGE_SIZE];
  char old[UVDIO_PAGE_SIZE];
  char fresh[UVDIO_PAGE_SIZE];
  unsigned kept = 0;
  fill_pattern(old, PAGE, 1);
  fill_pattern(fresh, PAGE, 2);
  assert_code(uvdio_sim_peek(w->sim, "file", 0, bytes, PAGE, 0), PAGE);
  for (size_t at = 0; at < PAGE; at += 512) {
    int is_new = memcmp(bytes + at, fresh + at, 512) == 0;
    assert_true(is_new || memcmp(bytes + at, old + at, 512) == 0);
    kept += (unsigned)is_new;
  }
  fates->new_sectors += kept;
  fates->old_sectors += 8 - kept;
  fates->torn += kept > 0 && kept < 8;
}

static struct fates cut_over(uint32_t sector_size, int in_flight) {
  struct fates fates = {0};
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* state = NULL;
    const uvdio_sim_options_t options = {
        .seed = seed, .sector_size = sector_size, .latency_min = 4};
    assert_ok(world_make(&state, &options));
    struct world* w = state;
    start(w);
    open_file(w, "file", in_flight ? UVDIO_OPEN_WAL : UVDIO_OPEN_RW);
    write_now(w, 0, PAGE, 1);
    sync_now(w);
    uvdio_buf_t page = pattern(PAGE, 2);
    struct tracked_op* write = t_write(op_new(&w->tracker), &w->file, &page, 0);
    if (!in_flight) {
      run_world(w);
      assert_result(write, PAGE);
    }
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    cut(w, UVDIO_SIM_CUT_SEEDED);
    assert_result(write, in_flight ? UVDIO_SIM_DEAD : (int64_t)PAGE);
    count_fates(w, &fates);
    assert_ok(world_tear_down(&state));
  }
  return fates;
}

static void sectors_survive_each_by_itself(void** state) {
  (void)state;
  struct fates fates = cut_over(512, 0);
  assert_in_range(fates.new_sectors, SEEDS, 7 * SEEDS);
  assert_in_range(fates.torn, SEEDS / 5, 4 * SEEDS / 5);
}

static void large_sectors_are_whole(void** state) {
  (void)state;
  struct fates fates = cut_over(4096, 0);
  assert_int_equal(fates.torn, 0);
  assert_in_range(fates.new_sectors, SEEDS, 7 * SEEDS);
}

/* A durable write that has not ended promises nothing. */
static void write_on_its_way_is_torn(void** state) {
  (void)state;
  struct fates fates = cut_over(512, 1);
  assert_in_range(fates.new_sectors, SEEDS / 2, 7 * SEEDS);
  assert_in_range(fates.torn, SEEDS / 10, 9 * SEEDS / 10);
}

/* The cut has no part in it where all of a large write survives that had ended. */
static void write_on_its_way_is_torn_by_itself(void** state) {
  enum { BESIDE = 16 };
  struct fates fates = {0};
  unsigned worlds = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* made = NULL;
    const uvdio_sim_options_t options = {.seed = seed, .latency_min = 4};
    assert_ok(world_make(&made, &options));
    struct world* w = made;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    write_now(w, 0, (1 + BESIDE) * PAGE, 1);
    sync_now(w);
    write_now(w, PAGE, BESIDE * PAGE, 3);
    uvdio_buf_t page = pattern(PAGE, 2);
    t_write(op_new(&w->tracker), &w->file, &page, 0);
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    cut(w, UVDIO_SIM_CUT_SEEDED);
    if (holds(w, 0, PAGE, BESIDE * PAGE, 3)) {
      count_fates(w, &fates);
      worlds++;
    }
    assert_ok(world_tear_down(&made));
  }
  assert_in_range(worlds, SEEDS / 10, SEEDS / 2);
  assert_in_range(fates.torn, worlds / 6, worlds / 2);
}

static void size_may_survive_without_content(void** state) {
  unsigned grown = 0;
  unsigned empty = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    const uvdio_sim_options_t options = {.seed = seed};
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    sync_now(w);
    write_now(w, 0, PAGE, 1);
    cut(w, UVDIO_SIM_CUT_SEEDED);
    int64_t size = uvdio_sim_size(w->sim, "file", 0);
    assert_true(size == 0 || size == (int64_t)PAGE);
    grown += size > 0;
    empty += size > 0 && !holds(w, 0, 0, PAGE, 1);
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(grown, SEEDS / 10, 9 * SEEDS / 10);
  assert_in_range(empty, SEEDS / 20, grown - 1);
}

/* A file of four pages, cut to one, made three: never three with what was in the second. */
static void sizes_survive_in_order(void** state) {
  unsigned seen[5] = {0};
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    const uvdio_sim_options_t options = {.seed = seed};
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    write_now(w, 0, 4 * PAGE, 1);
    sync_now(w);
    assert_result(t_truncate(op_now(&w->tracker), &w->file, PAGE), 0);
    assert_result(t_preallocate(op_now(&w->tracker), &w->file, 3 * PAGE), 0);
    cut(w, UVDIO_SIM_CUT_SEEDED);
    int64_t pages = uvdio_sim_size(w->sim, "file", 0) / (int64_t)PAGE;
    assert_in_range(pages, 1, 4);
    seen[pages]++;
    assert_true(pages == 4 ? holds(w, 0, 0, 4 * PAGE, 1) : holds(w, 0, 0, PAGE, 1));
    assert_true(pages != 3 || holds_zeros(w, 0, PAGE, 2 * PAGE));
    assert_ok(world_tear_down(&inner));
  }
  assert_int_equal(seen[2], 0);
  assert_true(seen[1] > 0 && seen[3] > 0 && seen[4] > 0);
}

/*
 * The requests that a cut finds.
 */

static void whatever_is_pending_ends_once_as_dead(void** state) {
  struct world* w = *state;
  struct tracked_op* ops[6];
  sync_now(w);
  uvdio_buf_t page = pattern(PAGE, 1);
  uvdio_buf_t into = pattern(PAGE, 2);
  uvdio_file_t other = {0};
  ops[0] = t_write(op_new(&w->tracker), &w->file, &page, 0);
  ops[1] = t_sync_all(op_new(&w->tracker), &w->file);
  ops[2] = t_read(op_new(&w->tracker), &w->file, &into, 0);
  ops[3] = t_open(op_new(&w->tracker), w->engine, &other, "other", UVDIO_OPEN_RW);
  ops[4] = t_truncate(op_new(&w->tracker), &w->file, 0);
  ops[5] = t_size(op_new(&w->tracker), &w->file);
  assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_NOTHING));
  assert_int_equal(w->tracker.finished, 0);
  run_world(w);
  for (size_t i = 0; i < COUNT_OF(ops); i++) {
    assert_result(ops[i], UVDIO_SIM_DEAD);
  }
  assert_refused(t_read(op_new(&w->tracker), &other, &ops[2]->back, 0), UV_EBADF);
}

static void dead_engine_does_nothing_but_close(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_SEEDED));
  struct tracked_op* size = t_size(op_now(&w->tracker), &w->file);
  assert_result(size, UVDIO_SIM_DEAD);
  struct tracked_op* later = t_size(op_new(&w->tracker), &w->file);
  run_world(w);
  assert_result(later, UVDIO_SIM_DEAD);
  struct tracked_op* close = t_close(op_new(&w->tracker), &w->file);
  run_world(w);
  assert_result(close, 0);
  assert_true(holds(w, 0, 0, PAGE, 1));
}

/* The power is back at once: two engines, one of them dead. */
static void new_engine_before_the_dead_one_is_closed(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_NOTHING));
  uvdio_engine_t* dead = w->engine;
  start(w);
  uvdio_file_t file = {0};
  assert_result(t_open(op_now(&w->tracker), w->engine, &file, "file", UVDIO_OPEN_READ), 0);
  assert_int_equal(sim_stats(w).engines, 2);
  assert_code(uvdio_sim_destroy(w->sim), UV_EBUSY);
  assert_ok(t_engine_close(dead, NULL));
  run_world(w);
  assert_int_equal(sim_stats(w).engines, 1);
  assert_result(t_size(op_now(&w->tracker), &file), PAGE);
  assert_result(t_close(op_now(&w->tracker), &file), 0);
}

static void cut_from_callback(struct tracked_op* op) {
  struct world* w = op->data;
  (void)uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_SEEDED);
}

static void cut_may_come_from_a_callback(void** state) {
  struct world* w = *state;
  struct tracked_op* ops[8];
  (void)t_size(op_then(&w->tracker, cut_from_callback, w), &w->file);
  for (size_t i = 0; i < COUNT_OF(ops); i++) {
    uvdio_buf_t page = pattern(PAGE, 1);
    ops[i] = t_write(op_new(&w->tracker), &w->file, &page, i * PAGE);
  }
  run_world(w);
  for (size_t i = 0; i < COUNT_OF(ops); i++) {
    assert_true(ops[i]->done == 1 &&
                (ops[i]->result == UVDIO_SIM_DEAD || ops[i]->result == (int64_t)PAGE));
  }
  assert_result(t_size(op_now(&w->tracker), &w->file), UVDIO_SIM_DEAD);
}

/* A rule that cuts the power at the n-th write, as a test that tries every n needs it. */
static void cut_may_come_from_a_rule(void** state) {
  struct world* w = *state;
  struct tracked_op* ops[8];
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_CUT);
  rule.skip = 3;
  rule.fault.cut = UVDIO_SIM_CUT_CRASH;
  add_rule(w, rule);
  sync_now(w);
  for (size_t i = 0; i < COUNT_OF(ops); i++) {
    uvdio_buf_t page = pattern(PAGE, (unsigned)i);
    ops[i] = t_write(op_new(&w->tracker), &w->file, &page, i * PAGE);
  }
  run_world(w);
  for (size_t i = 0; i < COUNT_OF(ops); i++) {
    assert_result(ops[i], i < 3 ? (int64_t)PAGE : UVDIO_SIM_DEAD);
  }
  assert_true(holds(w, 0, 0, PAGE, 0) && holds(w, 0, PAGE, PAGE, 1) &&
              holds(w, 0, 2 * PAGE, PAGE, 2));
  assert_int_equal(sim_stats(w).killed, 5);
  assert_int_equal(sim_stats(w).crashes, 1);
  assert_int_equal(sim_stats(w).cuts, 0);
}

static void rule_may_cut_under_a_synchronous_operation(void** state) {
  struct world* w = *state;
  add_rule(w, rule_for(UVDIO_OP_TRUNCATE, UVDIO_FAULT_CUT));
  sync_now(w);
  assert_result(t_truncate(op_now(&w->tracker), &w->file, PAGE), UVDIO_SIM_DEAD);
  assert_result(t_size(op_now(&w->tracker), &w->file), UVDIO_SIM_DEAD);
  bury(w);
}

/*
 * A sync that fails.
 */

/* The kernel takes pages for clean that it could not write: a retry succeeds, and the data is gone
 * all the same. */
static void failed_sync_loses_what_a_retry_calls_durable(void** state) {
  unsigned lost = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    const uvdio_sim_options_t options = {.seed = seed, .sector_size = 4096};
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    uvdio_fault_rule_t rule = rule_for(UVDIO_OP_SYNC_DATA, UVDIO_FAULT_ERROR);
    rule.times = 1;
    add_rule(w, rule);
    write_now(w, 0, PAGE, 1);
    assert_result(t_sync_data(op_now(&w->tracker), &w->file), UV_EIO);
    assert_refused(t_sync_data(op_new(&w->tracker), &w->file), UV_EIO);
    assert_result(t_close(op_now(&w->tracker), &w->file), 0);
    open_file(w, "file", UVDIO_OPEN_RW);
    sync_now(w);
    assert_true(holds(w, 0, 0, PAGE, 1));
    cut(w, UVDIO_SIM_CUT_NOTHING);
    assert_code(uvdio_sim_size(w->sim, "file", 0), PAGE);
    int there = holds(w, 0, 0, PAGE, 1);
    assert_true(there || holds_zeros(w, 0, 0, PAGE));
    lost += (unsigned)!there;
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(lost, SEEDS / 4, 3 * SEEDS / 4);
}

/* What is written anew is as good as ever. */
static void what_is_written_after_a_failed_sync_can_be_durable(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_SYNC_DATA, UVDIO_FAULT_ERROR);
  rule.times = 1;
  add_rule(w, rule);
  write_now(w, 0, 4 * PAGE, 1);
  assert_result(t_sync_data(op_now(&w->tracker), &w->file), UV_EIO);
  /* which count at power cuts */
  assert_int_equal(sim_stats(w).sectors_kept + sim_stats(w).sectors_lost, 0);
  assert_result(t_close(op_now(&w->tracker), &w->file), 0);
  open_file(w, "file", UVDIO_OPEN_WAL);
  write_now(w, 0, 4 * PAGE, 2);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_true(holds(w, 0, 0, 4 * PAGE, 2));
}

/*
 * Holes.
 */

static void hole_takes_a_sync(void** state) {
  struct world* w = *state;
  write_now(w, 0, 4 * PAGE, 1);
  sync_now(w);
  assert_result(t_punch_hole(op_now(&w->tracker), &w->file, 0, PAGE), 0);
  assert_true(holds_zeros(w, 0, 0, PAGE));
  assert_true(holds(w, 1, 0, 4 * PAGE, 1));
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_true(holds(w, 0, 0, 4 * PAGE, 1));
}

static void hole_is_durable_after_a_sync(void** state) {
  struct world* w = *state;
  write_now(w, 0, 4 * PAGE, 1);
  sync_now(w);
  assert_result(t_punch_hole(op_now(&w->tracker), &w->file, 0, PAGE), 0);
  assert_result(t_zero_range(op_now(&w->tracker), &w->file, 3 * PAGE, 9 * PAGE), 0);
  sync_now(w);
  assert_true(holds_zeros(w, 1, 0, PAGE));
  cut(w, UVDIO_SIM_CUT_SEEDED);
  assert_true(holds_zeros(w, 0, 0, PAGE));
  assert_true(holds_zeros(w, 0, 3 * PAGE, PAGE));
  assert_code(uvdio_sim_size(w->sim, "file", 0), 4 * PAGE);
}

/* A durable write behind it makes neither the hole durable, nor what it has replaced. */
static void hole_is_not_durable_by_a_write(void** state) {
  struct world* w = *state;
  uvdio_file_t wal = {0};
  write_now(w, 0, 2 * PAGE, 1);
  sync_now(w);
  assert_result(t_open(op_now(&w->tracker), w->engine, &wal, "file", UVDIO_OPEN_WAL), 0);
  assert_result(t_punch_hole(op_now(&w->tracker), &wal, 0, 2 * PAGE), 0);
  uvdio_buf_t page = pattern(PAGE, 3);
  assert_result(t_write(op_now(&w->tracker), &wal, &page, PAGE), PAGE);
  uvdio_buf_release(&page);
  assert_true(holds(w, 1, PAGE, PAGE, 3));
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_true(holds(w, 0, PAGE, PAGE, 3));
}

/* Sector by sector: some of the hole survives, some does not. */
static void holes_survive_by_sectors(void** state) {
  unsigned mixed = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    const uvdio_sim_options_t options = {.seed = seed};
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    for (unsigned i = 0; i < 8; i++) {
      write_now(w, i * PAGE, PAGE, i);
    }
    sync_now(w);
    assert_result(t_punch_hole(op_now(&w->tracker), &w->file, 0, 8 * PAGE), 0);
    cut(w, UVDIO_SIM_CUT_SEEDED);
    unsigned zeros = 0;
    for (unsigned i = 0; i < 8; i++) {
      char bytes[PAGE];
      assert_int_equal(uvdio_sim_peek(w->sim, "file", 0, bytes, PAGE, i * PAGE), PAGE);
      zeros += (unsigned)is_zero(bytes, 512);
    }
    mixed += zeros > 0 && zeros < 8;
    assert_ok(world_tear_down(&inner));
  }
  assert_true(mixed > 0);
}

/* A file is cut within a sector, and something is written up to its end there. The power goes, and
 * with it the cut: returns whether the write is there all the same, in whole sectors. */
static int is_there_before_the_cut(uint64_t seed, int is_hole) {
  const uvdio_sim_options_t options = {.seed = seed};
  void* inner = NULL;
  char sector[512];
  assert_ok(world_make(&inner, &options));
  struct world* w = inner;
  start(w);
  open_file(w, "file", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  write_now(w, 0, PAGE, 1);
  write_now(w, PAGE, PAGE, 1);
  sync_now(w);
  assert_result(t_truncate(op_now(&w->tracker), &w->file, is_hole ? PAGE + 100 : PAGE), 0);
  if (is_hole) {
    assert_result(t_punch_hole(op_now(&w->tracker), &w->file, PAGE, PAGE), 0);
  } else {
    write_now(w, PAGE, 100, 2);
  }
  cut(w, UVDIO_SIM_CUT_SEEDED);
  int found = 0;
  if (uvdio_sim_size(w->sim, "file", 0) == 2 * PAGE && !holds(w, 0, PAGE, 512, 1)) {
    assert_int_equal(uvdio_sim_peek(w->sim, "file", 0, sector, 512, PAGE), 512);
    assert_true(is_hole ? is_zero(sector, 100) : holds(w, 0, PAGE, 100, 2));
    assert_true(is_zero(sector + 100, 412));
    found = 1;
  }
  assert_ok(world_tear_down(&inner));
  return found;
}

static void sector_at_the_end_is_written_as_a_whole(void** state) {
  int holes = 0;
  int writes = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    holes += is_there_before_the_cut(seed, 1);
    writes += is_there_before_the_cut(seed, 0);
  }
  assert_true(holes > 0);
  assert_true(writes > 0);
}

/* Which has an end all the same. */
static void hole_of_a_large_file_takes_no_memory(void** state) {
  struct world* w = *state;
  const uint64_t size = (uint64_t)5 << 30;
  assert_result(t_truncate(op_now(&w->tracker), &w->file, size), 0);
  write_now(w, (uint64_t)4 << 30, PAGE, 1);
  assert_result(t_punch_hole(op_now(&w->tracker), &w->file, PAGE, INT64_MAX - PAGE), 0);
  assert_true(holds_zeros(w, 0, (uint64_t)4 << 30, PAGE));
  sync_now(w);
  assert_true(holds_zeros(w, 1, (uint64_t)4 << 30, PAGE));
  assert_code(uvdio_sim_size(w->sim, "file", 1), (int64_t)size);
}

/* A bad sector that is given back is another one from then on. */
static void hole_mends_bad_sectors(void** state) {
  struct world* w = *state;
  uvdio_buf_t page = pattern(PAGE, 0);
  write_now(w, 0, 2 * PAGE, 1);
  assert_ok(uvdio_sim_damage(w->sim, "file", 0, PAGE));
  assert_result(t_read(op_now(&w->tracker), &w->file, &page, 0), UV_EIO);
  assert_result(t_punch_hole(op_now(&w->tracker), &w->file, 0, PAGE), 0);
  assert_result(t_read(op_now(&w->tracker), &w->file, &page, 0), PAGE);
  assert_true(is_zero(page.base, PAGE));
  uvdio_buf_release(&page);
}

static void kept_size_takes_no_size(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  assert_result(
      t_preallocate_range(op_now(&w->tracker), &w->file, PAGE, 4 * PAGE, UVDIO_SPACE_KEEP_SIZE), 0);
  assert_code(uvdio_sim_size(w->sim, "file", 0), PAGE);
  assert_result(
      t_preallocate_range(op_now(&w->tracker), &w->file, PAGE, 4 * PAGE, UVDIO_SPACE_WRITTEN), 0);
  assert_code(uvdio_sim_size(w->sim, "file", 0), 5 * PAGE);
}

/*
 * Writes that can't be torn.
 */

#define WHOLE (4 * (size_t)PAGE)

/* A pager that keeps its pages at their places and relies on each being whole. How many of the
 * pages were torn by cuts, and how many were replaced. */
static void cut_a_pager(unsigned how, int extends, unsigned* torn, unsigned* replaced) {
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    const uvdio_sim_options_t options = {
        .seed = seed, .atomic_min = 512, .atomic_max = (uint32_t)WHOLE};
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    write_now(w, 0, extends ? PAGE : WHOLE, 1);
    sync_now(w);
    uvdio_buf_t page = pattern(WHOLE, 2);
    struct tracked_op* op = t_write_flags(op_now(&w->tracker), &w->file, &page, 0, how);
    assert_result(op, (int64_t)WHOLE);
    uvdio_buf_release(&page);
    cut(w, UVDIO_SIM_CUT_SEEDED);
    int64_t size = uvdio_sim_size(w->sim, "file", 0);
    int is_new = size == (int64_t)WHOLE && holds(w, 0, 0, WHOLE, 2);
    int is_old = size == (int64_t)(extends ? PAGE : WHOLE) && holds(w, 0, 0, (size_t)size, 1);
    *replaced += (unsigned)is_new;
    *torn += (unsigned)(!is_new && !is_old);
    assert_ok(world_tear_down(&inner));
  }
}

static void atomic_write_survives_as_a_whole_or_not_at_all(void** state) {
  (void)state;
  for (int extends = 0; extends < 2; extends++) {
    unsigned torn = 0;
    unsigned replaced = 0;
    cut_a_pager(UVDIO_WRITE_ATOMIC, extends, &torn, &replaced);
    assert_int_equal(torn, 0);
    assert_in_range(replaced, SEEDS / 10, 9 * SEEDS / 10);
  }
}

static void pager_without_atomic_writes_is_caught(void** state) {
  unsigned torn = 0;
  unsigned replaced = 0;
  (void)state;
  cut_a_pager(0, 0, &torn, &replaced);
  assert_in_range(torn, SEEDS / 2, SEEDS);
}

/* In flight, with a fault, and after a crash: never a part of it. */
static void atomic_write_is_never_torn_on_its_way(void** state) {
  static const uvdio_fault_kind_t kinds[] = {UVDIO_FAULT_CUT, UVDIO_FAULT_TORN, UVDIO_FAULT_SHORT};
  unsigned seen[2] = {0, 0};
  (void)state;
  for (uint64_t seed = 0; seed < 3 * SEEDS; seed++) {
    void* inner = NULL;
    const uvdio_sim_options_t options = {
        .seed = seed, .atomic_min = 512, .atomic_max = (uint32_t)WHOLE};
    uvdio_fault_rule_t rule = {.op = UVDIO_OP_WRITE, .skip = 1};
    rule.fault.kind = kinds[seed % 3];
    rule.fault.cut = seed % 2 == 0 ? UVDIO_SIM_CUT_SEEDED : UVDIO_SIM_CUT_CRASH;
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    assert_ok(uvdio_sim_add_rule(w->sim, &rule));
    write_now(w, 0, WHOLE, 1);
    sync_now(w);
    uvdio_buf_t page = pattern(WHOLE, 2);
    t_write_flags(op_new(&w->tracker), &w->file, &page, 0, UVDIO_WRITE_ATOMIC);
    uvdio_buf_release(&page);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_true(uvdio_sim_settle(w->sim) >= 0);
    int is_new = holds(w, 0, 0, WHOLE, 2);
    assert_true(is_new || holds(w, 0, 0, WHOLE, 1));
    seen[is_new]++;
    assert_ok(world_tear_down(&inner));
  }
  assert_true(seen[0] > SEEDS / 10 && seen[1] > SEEDS / 10);
}

static void world_without_atomic_writes_refuses_them(void** state) {
  struct world* w = *state;
  uvdio_buf_t page = pattern(PAGE, 1);
  assert_refused(t_write_flags(op_new(&w->tracker), &w->file, &page, 0, UVDIO_WRITE_ATOMIC),
                 UVDIO_EATOMIC);
  uvdio_buf_release(&page);
}

static void sizes_of_atomic_writes_are_checked(void** state) {
  static const uint32_t wrong[][2] = {{0, 512},    {512, 0},    {256, 512},
                                      {1024, 512}, {512, 1536}, {1536, 4096}};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    const uvdio_sim_options_t options = {.atomic_min = wrong[i][0], .atomic_max = wrong[i][1]};
    uvdio_sim_t* sim;
    assert_code(uvdio_sim_create(&sim, &options), UV_EINVAL);
  }
  const uvdio_sim_options_t large = {.sector_size = 4096, .atomic_min = 512, .atomic_max = 4096};
  uvdio_sim_t* sim;
  assert_code(uvdio_sim_create(&sim, &large), UV_EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST_IN(world_open, write_without_sync_is_lost_where_nothing_survives),
      TEST_IN(world_open, durable_write_covers_itself_alone),
      TEST_IN(world_open, durable_write_stays_over_an_older_one),
      TEST_IN(world_open, sizes_take_a_sync),
      TEST_IN(world_open, crash_loses_nothing_that_had_ended),
      TEST_IN(world_open, sync_counts_when_it_has_ended),
      TEST_IN(world_with_small_cache, full_cache_is_emptied),
      cmocka_unit_test(new_file_is_durable_by_what_the_options_say),
      cmocka_unit_test(sectors_survive_each_by_itself),
      cmocka_unit_test(large_sectors_are_whole),
      cmocka_unit_test(write_on_its_way_is_torn),
      cmocka_unit_test(write_on_its_way_is_torn_by_itself),
      cmocka_unit_test(size_may_survive_without_content),
      cmocka_unit_test(sizes_survive_in_order),
      TEST_IN(world_open, whatever_is_pending_ends_once_as_dead),
      TEST_IN(world_open, dead_engine_does_nothing_but_close),
      TEST_IN(world_open, new_engine_before_the_dead_one_is_closed),
      TEST_IN(world_open, cut_may_come_from_a_callback),
      TEST_IN(world_in_order, cut_may_come_from_a_rule),
      TEST_IN(world_open, rule_may_cut_under_a_synchronous_operation),
      cmocka_unit_test(failed_sync_loses_what_a_retry_calls_durable),
      TEST_IN(world_open, what_is_written_after_a_failed_sync_can_be_durable),
      TEST_IN(world_open, hole_takes_a_sync),
      TEST_IN(world_open, hole_is_durable_after_a_sync),
      TEST_IN(world_open, hole_is_not_durable_by_a_write),
      cmocka_unit_test(holes_survive_by_sectors),
      cmocka_unit_test(sector_at_the_end_is_written_as_a_whole),
      TEST_IN(world_open, hole_of_a_large_file_takes_no_memory),
      TEST_IN(world_open, hole_mends_bad_sectors),
      TEST_IN(world_open, kept_size_takes_no_size),
      cmocka_unit_test(atomic_write_survives_as_a_whole_or_not_at_all),
      cmocka_unit_test(pager_without_atomic_writes_is_caught),
      cmocka_unit_test(atomic_write_is_never_torn_on_its_way),
      TEST_IN(world_open, world_without_atomic_writes_refuses_them),
      cmocka_unit_test(sizes_of_atomic_writes_are_checked),
  };
  return cmocka_run_group_tests_name("cuts", tests, NULL, NULL);
}
