/* SPDX-License-Identifier: MIT */
/* Worlds at their edges: wrong arguments, memory that runs out, and changes that only partly get to
 * the disk. */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "world.h"

#define SECTOR ((size_t)512)
#define EXTENT ((uint64_t)65536) /* memory for a file's bytes comes in these */

static int64_t write_sized(struct world* w, uint64_t offset, size_t size, unsigned seed) {
  uvdio_buf_t buf = pattern(size, seed);
  struct tracked_op* write = t_write(op_now(&w->tracker), &w->file, &buf, offset);
  assert_ok(uvdio_buf_release(&buf));
  return write->result;
}

static int64_t read_sized(struct world* w, uint64_t offset, size_t size) {
  uvdio_buf_t buf = pattern(size, 99);
  struct tracked_op* read = t_read(op_now(&w->tracker), &w->file, &buf, offset);
  assert_ok(uvdio_buf_release(&buf));
  return read->result;
}

/*
 * Arguments
 */

static void null_arguments_are_refused(void** state) {
  struct world* w = *state;
  uvdio_sim_t* sim = w->sim;
  uvdio_fault_rule_t rule = {0};
  uvdio_sim_stats_t stats;
  char byte = 0;
  assert_code(uvdio_sim_engine_create(NULL, &w->loop, sim, NULL), UV_EINVAL);
  assert_code(uvdio_sim_sync_directory(NULL), UV_EINVAL);
  assert_code(uvdio_sim_power_cut(NULL, UVDIO_SIM_CUT_SEEDED), UV_EINVAL);
  assert_code(uvdio_sim_add_rule(NULL, &rule), UV_EINVAL);
  assert_code(uvdio_sim_clear_rules(NULL), UV_EINVAL);
  assert_code(uvdio_sim_stats(NULL, &stats), UV_EINVAL);
  assert_code(uvdio_sim_stats(sim, NULL), UV_EINVAL);
  assert_code(uvdio_sim_size(NULL, "file", 0), UV_EINVAL);
  assert_code(uvdio_sim_size(sim, NULL, 0), UV_EINVAL);
  assert_code(uvdio_sim_peek(NULL, "file", 0, &byte, 1, 0), UV_EINVAL);
  assert_code(uvdio_sim_peek(sim, NULL, 0, &byte, 1, 0), UV_EINVAL);
  assert_code(uvdio_sim_peek(sim, "file", 0, NULL, 1, 0), UV_EINVAL);
  assert_code(uvdio_sim_poke(NULL, "file", &byte, 1, 0), UV_EINVAL);
  assert_code(uvdio_sim_poke(sim, NULL, &byte, 1, 0), UV_EINVAL);
  assert_code(uvdio_sim_poke(sim, "file", NULL, 1, 0), UV_EINVAL);
  assert_code(uvdio_sim_corrupt(NULL, "file", 0, 1), UV_EINVAL);
  assert_code(uvdio_sim_corrupt(sim, NULL, 0, 1), UV_EINVAL);
  assert_code(uvdio_sim_damage(NULL, "file", 0, 1), UV_EINVAL);
  assert_code(uvdio_sim_damage(sim, NULL, 0, 1), UV_EINVAL);
  assert_true(uvdio_sim_digest(NULL) == 0);
  assert_int_equal(sim_stats(w).cuts, 0);
}

/* Of a newer header: a field that this library does not know may be there, but zero. */
static void options_that_are_unknown_have_to_be_zero(void** state) {
  struct {
    uvdio_sim_options_t known;
    uint64_t later;
  } options = {.known = {.seed = 1}, .later = 1};
  struct {
    uvdio_fault_rule_t known;
    uint64_t later;
  } rule = {.known = {.fault = {.kind = UVDIO_FAULT_ERROR}}, .later = 1};
  struct {
    uvdio_engine_options_t known;
    uint64_t later;
  } engine_options = {.later = 1};
  struct world* w = *state;
  uvdio_sim_t* sim = NULL;
  uvdio_engine_t* engine = NULL;
  assert_code(uvdio_sim_create_sized(&sim, &options.known, sizeof(options)), UV_E2BIG);
  assert_code(uvdio_sim_add_rule_sized(w->sim, &rule.known, sizeof(rule)), UV_E2BIG);
  assert_code(uvdio_sim_engine_create_sized(&engine, &w->loop, w->sim, &engine_options.known,
                                            sizeof(engine_options)),
              UV_E2BIG);
  options.later = 0;
  assert_ok(uvdio_sim_create_sized(&sim, &options.known, sizeof(options)));
  assert_ok(uvdio_sim_destroy(sim));
}

static void engine_that_is_too_deep_is_refused(void** state) {
  struct world* w = *state;
  uvdio_engine_options_t options = {.depth = UVDIO_DEPTH_MAX + 1};
  uvdio_engine_t* engine = NULL;
  assert_code(uvdio_sim_engine_create(&engine, &w->loop, w->sim, &options), UV_EINVAL);
  assert_null(engine);
  options.depth = 2;
  options.backend = UVDIO_BACKEND_MEMORY;
  assert_ok(uvdio_sim_engine_create(&w->engine, &w->loop, w->sim, &options));
}

static void assert_no_rule(struct world* w, uvdio_fault_rule_t rule) {
  assert_code(uvdio_sim_add_rule(w->sim, &rule), UV_EINVAL);
}

static void bad_rules_are_refused(void** state) {
  struct world* w = *state;
  assert_no_rule(w, (uvdio_fault_rule_t){.op = UVDIO_OP_COUNT});
  assert_no_rule(w, (uvdio_fault_rule_t){.op = UVDIO_OP_ARENA_WAIT}); /* No world sees it. */
  assert_no_rule(
      w, (uvdio_fault_rule_t){.fault = {.kind = (uvdio_fault_kind_t)(UVDIO_FAULT_CUT + 1)}});
  assert_no_rule(
      w, (uvdio_fault_rule_t){.fault = {.cut = (uvdio_sim_cut_t)(UVDIO_SIM_CUT_CRASH + 1)}});
  assert_no_rule(w, (uvdio_fault_rule_t){.fault = {.kind = UVDIO_FAULT_ERROR, .error = 1}});
}

/* A rule of nothing keeps the callback and the rules after it from an operation. */
static void rule_without_a_fault_spares(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t spare = rule_for(UVDIO_OP_SIZE, UVDIO_FAULT_NONE);
  spare.times = 1;
  add_rule(w, spare);
  add_rule(w, rule_for(UVDIO_OP_SIZE, UVDIO_FAULT_ERROR));
  assert_result(t_size(op_now(&w->tracker), &w->file), 0);
  assert_result(t_size(op_now(&w->tracker), &w->file), UV_EIO);
  assert_int_equal(sim_stats(w).faults, 1);
}

/* A range is of transfers. */
static void rule_with_a_range_spares_other_operations(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_NONE, UVDIO_FAULT_ERROR);
  rule.length = UINT64_MAX;
  add_rule(w, rule);
  assert_result(t_size(op_now(&w->tracker), &w->file), 0);
  sync_now(w);
  assert_code(write_sized(w, 0, PAGE, 1), UV_EIO);
}

static uvdio_fault_t wanted;

static void want(void* data, const uvdio_fault_event_t* event, uvdio_fault_t* fault) {
  (void)data;
  (void)event;
  *fault = wanted;
}

static int world_with_a_callback(void** state) {
  const uvdio_sim_options_t options = {.on_fault = want};
  memset(&wanted, 0, sizeof(wanted));
  int failed = world_make(state, &options);
  if (!failed) {
    start(*state);
    open_file(*state, "file", UVDIO_OPEN_RW);
  }
  return failed;
}

/* Nobody checks what a callback asks for before it does: what does not exist is no fault. */
static void callback_that_asks_for_the_impossible_gets_nothing(void** state) {
  struct world* w = *state;
  wanted.kind = (uvdio_fault_kind_t)(UVDIO_FAULT_CUT + 1);
  assert_code(write_sized(w, 0, PAGE, 1), PAGE);
  wanted.kind = UVDIO_FAULT_CUT;
  wanted.cut = (uvdio_sim_cut_t)(UVDIO_SIM_CUT_CRASH + 1);
  assert_code(write_sized(w, PAGE, PAGE, 1), PAGE);
  wanted.kind = UVDIO_FAULT_NONE;
  wanted.cut = UVDIO_SIM_CUT_SEEDED;
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_int_equal(sim_stats(w).faults, 0);
  assert_int_equal(sim_stats(w).cuts, 0);
}

/* The digest of a world whose last operation is this one; it takes so many steps and has that
 * result. */
static uint64_t digest_after(const char* path, uvdio_op_t kind, uint64_t offset, uint64_t length,
                             uint32_t steps, int result) {
  const uvdio_sim_options_t options = {.latency_min = steps, .latency_max = steps};
  uvdio_fault_rule_t rule = rule_for(kind, UVDIO_FAULT_ERROR);
  void* state = NULL;
  assert_ok(world_make(&state, &options));
  struct world* w = state;
  start(w);
  open_file(w, path, UVDIO_OPEN_RW);
  write_now(w, 0, 4 * PAGE, 1);
  if (result != 0) {
    rule.fault.error = result;
    add_rule(w, rule);
  }
  struct tracked_op* op = op_new(&w->tracker);
  op = kind == UVDIO_OP_PUNCH_HOLE ? t_punch_hole(op, &w->file, offset, length)
                                   : t_zero_range(op, &w->file, offset, length);
  run_world(w);
  assert_result(op, result);
  uint64_t digest = uvdio_sim_digest(w->sim);
  assert_ok(world_tear_down(&state));
  return digest;
}

static void digest_tells_operations_apart(void** state) {
  (void)state;
  const uvdio_op_t punch = UVDIO_OP_PUNCH_HOLE;
  const uint64_t digests[] = {
      digest_after("file", punch, 0, PAGE, 1, 0),
      digest_after("other", punch, 0, PAGE, 1, 0),
      digest_after("file", UVDIO_OP_ZERO_RANGE, 0, PAGE, 1, 0),
      digest_after("file", punch, PAGE, PAGE, 1, 0),
      digest_after("file", punch, 0, 2 * PAGE, 1, 0),
      digest_after("file", punch, 0, PAGE, 2, 0),
      digest_after("file", punch, 0, PAGE, 1, UV_EIO),
      digest_after("file", punch, 0, PAGE, 1, UV_ENOSPC),
  };
  assert_true(digests[0] == digest_after("file", punch, 0, PAGE, 1, 0));
  for (unsigned i = 0; i < COUNT_OF(digests); i++) {
    for (unsigned j = 0; j < i; j++) {
      assert_true(digests[i] != digests[j]);
    }
  }
}

/* The digest of a world with one operation, and a rule for it. */
static uint64_t digest_with(uvdio_fault_kind_t kind) {
  void* state = NULL;
  assert_int_equal(world_open(&state), 0);
  struct world* w = state;
  add_rule(w, rule_for(UVDIO_OP_SIZE, kind));
  struct tracked_op* size = t_size(op_new(&w->tracker), &w->file);
  run_world(w);
  assert_result(size, 0);
  uint64_t digest = uvdio_sim_digest(w->sim);
  assert_int_equal(world_tear_down(&state), 0);
  return digest;
}

static void delay_of_no_steps_is_none(void** state) {
  (void)state;
  assert_true(digest_with(UVDIO_FAULT_DELAY) == digest_with(UVDIO_FAULT_NONE));
}

/* Lengths are cut to whole units: a sector for writes, the file's alignment for reads, one of them
 * at least. */
static void short_transfers_come_in_whole_units(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_NONE, UVDIO_FAULT_SHORT);
  write_now(w, 0, 2 * PAGE, 1);
  rule.fault.length = 100;
  add_rule(w, rule);
  uint64_t before = sim_stats(w).operations;
  assert_code(read_sized(w, 0, 2 * PAGE), 2 * PAGE);
  assert_int_equal(sim_stats(w).operations - before, 2);
  assert_result(t_close(op_now(&w->tracker), &w->file), 0);
  open_file(w, "file", UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN);
  before = sim_stats(w).operations;
  assert_code(write_sized(w, 0, PAGE, 2), PAGE);
  assert_int_equal(sim_stats(w).operations - before, PAGE / SECTOR);
  assert_ok(uvdio_sim_clear_rules(w->sim));
  rule.fault.length = 3 * SECTOR + 1;
  add_rule(w, rule);
  before = sim_stats(w).operations;
  assert_code(write_sized(w, 0, PAGE, 3), PAGE);
  assert_int_equal(sim_stats(w).operations - before, 3);
  assert_true(holds(w, 0, 0, PAGE, 3));
}

/*
 * Misdirection
 */

/* Where of a file of one page a page beyond it can go: only to the page. */
static void misdirected_write_beyond_the_end_lands_in_the_file(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  add_rule(w, rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_MISDIRECT));
  assert_code(write_sized(w, 4 * PAGE, PAGE, 2), PAGE);
  assert_true(holds(w, 0, 0, PAGE, 2));
  assert_true(holds_zeros(w, 0, 4 * PAGE, PAGE));
}

/* Before its own place as well as behind it. */
static void misdirection_goes_both_ways(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_MISDIRECT);
  int before = 0;
  int behind = 0;
  write_now(w, 0, 3 * PAGE, 1);
  add_rule(w, rule);
  for (unsigned seed = 2; seed < 66; seed++) {
    assert_code(write_sized(w, PAGE, PAGE, seed), PAGE);
    for (size_t at = 0; at <= 2 * PAGE; at += SECTOR) {
      before |= at < PAGE && holds(w, 0, at, PAGE, seed);
      behind |= at > PAGE && holds(w, 0, at, PAGE, seed);
    }
    assert_false(holds(w, 0, PAGE, PAGE, seed));
    assert_code(uvdio_sim_size(w->sim, "file", 0), 3 * PAGE);
  }
  assert_true(before && behind);
}

/*
 * Damage
 */

static void only_reads_of_a_bad_sector_fail(void** state) {
  struct world* w = *state;
  write_now(w, 0, 3 * PAGE, 1);
  assert_ok(uvdio_sim_damage(w->sim, "file", PAGE, 1));
  assert_code(read_sized(w, 0, PAGE), PAGE);
  assert_code(read_sized(w, PAGE, PAGE), UV_EIO);
  assert_code(read_sized(w, 2 * PAGE, PAGE), PAGE);
}

static void writing_mends_what_it_covers(void** state) {
  struct world* w = *state;
  write_now(w, 0, 3 * PAGE, 1);
  assert_ok(uvdio_sim_damage(w->sim, "file", 0, 3 * PAGE));
  write_now(w, PAGE, PAGE, 2);
  assert_code(read_sized(w, 0, PAGE), UV_EIO);
  assert_code(read_sized(w, PAGE, PAGE), PAGE);
  assert_code(read_sized(w, 2 * PAGE, PAGE), UV_EIO);
}

static void damage_beyond_the_end_is_none(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  assert_ok(uvdio_sim_damage(w->sim, "file", 2 * PAGE, PAGE));
  assert_ok(uvdio_sim_corrupt(w->sim, "file", 2 * PAGE, PAGE));
  assert_code(read_sized(w, 0, PAGE), PAGE);
  assert_code(read_sized(w, 2 * PAGE, PAGE), 0);
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_true(holds(w, 1, 0, PAGE, 1));
}

/* It replaces what was corrupted when it gets to the disk. */
static void corruption_spares_what_is_not_durable_yet(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  assert_ok(uvdio_sim_corrupt(w->sim, "file", 0, PAGE));
  assert_false(holds(w, 0, 0, PAGE, 1));
  sync_now(w);
  assert_true(holds(w, 1, 0, PAGE, 1));
}

/* Which of several changes that are durable and wait has the byte. */
static void corruption_finds_its_durable_write(void** state) {
  static uvdio_file_t log; /* outlives a failed assertion */
  struct world* w = *state;
  write_now(w, 3 * PAGE, PAGE, 4);
  assert_result(t_open(op_now(&w->tracker), w->engine, &log, "file", UVDIO_OPEN_WAL), 0);
  for (unsigned i = 0; i < 3; i++) {
    uvdio_buf_t buf = pattern(PAGE, i);
    assert_result(t_write(op_now(&w->tracker), &log, &buf, i * PAGE), PAGE);
    assert_ok(uvdio_buf_release(&buf));
  }
  assert_ok(uvdio_sim_corrupt(w->sim, "file", PAGE, SECTOR));
  assert_true(holds(w, 1, 0, PAGE, 0));
  assert_false(holds(w, 1, PAGE, PAGE, 1));
  assert_true(holds(w, 1, 2 * PAGE, PAGE, 2));
  assert_result(t_close(op_now(&w->tracker), &log), 0);
}

/*
 * What is on the disk
 */

static void pokes_have_limits(void** state) {
  struct world* w = *state;
  char byte = 1;
  assert_code(uvdio_sim_poke(w->sim, "file", &byte, 0, UINT64_MAX), UVDIO_EOFFSET);
  assert_ok(uvdio_sim_poke(w->sim, "new", &byte, 0, 0));
  assert_code(uvdio_sim_size(w->sim, "new", 1), 0);
  assert_code(uvdio_sim_peek(w->sim, "new", 1, &byte, 1, 0), 0);
}

/* A durable write makes the sizes before it durable, so that the disk knows of the shorter file,
 * too. */
static void disk_shows_what_a_truncate_took(void** state) {
  static uvdio_file_t log; /* outlives a failed assertion */
  struct world* w = *state;
  write_now(w, 0, 4 * PAGE, 1);
  sync_now(w);
  write_now(w, 0, PAGE, 2);
  assert_result(t_truncate(op_now(&w->tracker), &w->file, 2 * PAGE), 0);
  assert_true(holds(w, 1, 0, 4 * PAGE, 1));
  char before[2];
  assert_code(uvdio_sim_peek(w->sim, "file", 1, before, 2, 2 * PAGE - 1), 2);
  assert_result(t_open(op_now(&w->tracker), w->engine, &log, "file", UVDIO_OPEN_WAL), 0);
  uvdio_buf_t buf = pattern(PAGE, 3);
  assert_result(t_write(op_now(&w->tracker), &log, &buf, 3 * PAGE), PAGE);
  assert_ok(uvdio_buf_release(&buf));
  assert_true(holds(w, 1, 0, PAGE, 1)); /* nobody has synced the other */
  assert_true(holds_zeros(w, 1, 2 * PAGE, PAGE));
  assert_true(holds(w, 1, 3 * PAGE, PAGE, 3));
  char after[2];
  assert_code(uvdio_sim_peek(w->sim, "file", 1, after, 2, 2 * PAGE - 1), 2);
  assert_int_equal(after[0], before[0]);
  assert_int_equal(after[1], 0);
  char byte = 1;
  assert_code(uvdio_sim_peek(w->sim, "file", 1, &byte, 1, 2 * PAGE + 1), 1);
  assert_int_equal(byte, 0);
  assert_code(uvdio_sim_peek(w->sim, "file", 1, &byte, 1, 4 * PAGE), 0);
  assert_result(t_close(op_now(&w->tracker), &log), 0);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  open_file(w, "file", UVDIO_OPEN_RW);
  assert_true(holds_zeros(w, 0, 2 * PAGE, PAGE));
}

static int world_with_names_apart(void** state) {
  const uvdio_sim_options_t options = {.entries = UVDIO_SIM_ENTRY_BY_DIRECTORY};
  int failed = world_make(state, &options);
  if (!failed) {
    start(*state);
    open_file(*state, "file", UVDIO_OPEN_WAL);
  }
  return failed;
}

static void durable_write_does_not_keep_the_name(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_code(uvdio_sim_size(w->sim, "file", 0), UV_ENOENT);
  open_file(w, "file", UVDIO_OPEN_WAL);
  assert_ok(uvdio_sim_sync_directory(w->sim));
  write_now(w, 0, PAGE, 2);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_true(holds(w, 0, 0, PAGE, 2));
}

/* What was durable and only waited for an older change is not lost with that. */
static void failed_sync_loses_no_durable_write(void** state) {
  static uvdio_file_t log; /* outlives a failed assertion */
  struct world* w = *state;
  write_now(w, 0, 8 * PAGE, 1);
  sync_now(w);
  write_now(w, 0, 4 * PAGE, 2);
  assert_result(t_open(op_now(&w->tracker), w->engine, &log, "file", UVDIO_OPEN_WAL), 0);
  uvdio_buf_t buf = pattern(4 * PAGE, 3);
  assert_result(t_write(op_now(&w->tracker), &log, &buf, 4 * PAGE), 4 * PAGE);
  assert_ok(uvdio_buf_release(&buf));
  add_rule(w, rule_for(UVDIO_OP_SYNC_DATA, UVDIO_FAULT_ERROR));
  assert_result(t_sync_data(op_now(&w->tracker), &w->file), UV_EIO);
  assert_result(t_close(op_now(&w->tracker), &log), 0);
  assert_ok(uvdio_sim_clear_rules(w->sim));
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_true(holds(w, 0, 4 * PAGE, 4 * PAGE, 3));
  assert_false(holds(w, 0, 0, 4 * PAGE, 2));
}

/* A write makes a file longer, and only some of its sectors survive: not the new size, so not what
 * lies behind the old one, either, which ends within a sector. Returns whether that was so. */
static int old_size_cuts_through_a_sector(uint64_t seed) {
  const uvdio_sim_options_t options = {.seed = seed};
  void* state = NULL;
  char bytes[200];
  assert_ok(world_make(&state, &options));
  struct world* w = state;
  char* old = malloc(PAGE);
  assert_non_null(old);
  fill_pattern(old, PAGE, 1);
  assert_ok(uvdio_sim_poke(w->sim, "file", old, 100, 0));
  start(w);
  open_file(w, "file", UVDIO_OPEN_RW);
  write_now(w, 0, PAGE, 2);
  cut(w, UVDIO_SIM_CUT_SEEDED);
  memset(bytes, 0, sizeof(bytes));
  int found = uvdio_sim_size(w->sim, "file", 0) == 100;
  if (found) {
    assert_code(uvdio_sim_peek(w->sim, "file", 0, bytes, sizeof(bytes), 0), 100);
    found = is_pattern(bytes, 100, 2);
    assert_true(found || is_pattern(bytes, 100, 1));
    assert_ok(uvdio_sim_poke(w->sim, "file", "end", 3, 197));
    assert_code(uvdio_sim_peek(w->sim, "file", 0, bytes, sizeof(bytes), 0), 200);
    assert_true(is_zero(bytes + 100, 97));
  }
  free(old);
  assert_ok(world_tear_down(&state));
  return found;
}

static void lost_size_takes_the_rest_of_a_sector_along(void** state) {
  int found = 0;
  (void)state;
  for (uint64_t seed = 0; seed < 200; seed++) {
    found += old_size_cuts_through_a_sector(seed);
  }
  assert_in_range(found, 1, 199);
}

/*
 * Engines
 */

/* A world remembers changes until they are durable, and no longer: each by a sync of its own, or by
 * the write itself. */
static void what_is_durable_takes_no_memory(void** state) {
  static const unsigned flags[] = {UVDIO_OPEN_RW, UVDIO_OPEN_WAL};
  struct world* w = *state;
  start(w);
  for (size_t kind = 0; kind < COUNT_OF(flags); kind++) {
    size_t before = 0;
    open_file(w, "file", flags[kind]);
    for (unsigned i = 0; i < 20; i++) {
      write_now(w, 0, PAGE, i);
      if (kind == 0) {
        sync_now(w);
      }
      before = i == 1 ? uvdio_allocations() : before;
    }
    assert_int_equal(uvdio_allocations(), before);
    assert_ok(t_close(op_now(&w->tracker), &w->file)->result);
  }
}

static void engines_leave_in_any_order(void** state) {
  struct world* w = *state;
  uvdio_engine_t* second;
  assert_ok(uvdio_sim_engine_create(&second, &w->loop, w->sim, NULL));
  assert_int_equal(sim_stats(w).engines, 2);
  assert_ok(uvdio_engine_close(second, NULL));
  (void)uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(sim_stats(w).engines, 1);
  assert_result(t_size(op_now(&w->tracker), &w->file), 0);
}

static void power_goes_twice(void** state) {
  struct world* w = *state;
  t_size(op_new(&w->tracker), &w->file);
  run_world(w); /* Now the engine knows its thread, and begins at once. */
  struct tracked_op* size = t_size(op_new(&w->tracker), &w->file);
  assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_SEEDED));
  assert_int_equal(sim_stats(w).killed, 1);
  assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_SEEDED));
  assert_int_equal(sim_stats(w).killed, 1);
  run_world(w);
  assert_result(size, UVDIO_SIM_DEAD);
}

/* With a cut that leaves nothing, what is on its way leaves nothing, either. */
static void synchronous_write_dies_without_a_trace(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_CUT);
  rule.fault.cut = UVDIO_SIM_CUT_NOTHING;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  add_rule(w, rule);
  assert_code(write_sized(w, 0, PAGE, 2), UVDIO_SIM_DEAD);
  assert_int_equal(sim_stats(w).killed, 0);
  assert_true(holds(w, 0, 0, PAGE, 1));
}

/* What lies beyond the end of the file on the disk is not there to be read. */
static void look_at_the_disk_ends_with_the_file(void** state) {
  struct world* w = *state;
  static char bytes[2 * UVDIO_PAGE_SIZE];
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  memset(bytes, 'x', sizeof(bytes));
  assert_code(uvdio_sim_peek(w->sim, "file", 1, bytes, sizeof(bytes), 0), PAGE);
  assert_int_equal(bytes[PAGE], 'x');
  memset(bytes, 'x', sizeof(bytes));
  assert_code(uvdio_sim_peek(w->sim, "file", 1, bytes, sizeof(bytes), PAGE - 100), 100);
  assert_int_equal(bytes[100], 'x');
}

struct cuts_told {
  unsigned nothing;
  unsigned seeded;
};

static void count_cuts(void* data, const char* line) {
  struct cuts_told* told = data;
  if (strstr(line, "power cut") != NULL) {
    told->nothing += strstr(line, "nothing") != NULL;
    told->seeded += strstr(line, "seeded") != NULL;
  }
}

static void trace_tells_what_a_power_cut_leaves(void** state) {
  static struct cuts_told told; /* outlives a failed assertion */
  const uvdio_sim_options_t options = {.on_trace = count_cuts, .data = &told};
  assert_ok(world_make(state, &options));
  struct world* w = *state;
  assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_NOTHING));
  assert_int_equal(told.nothing, 1);
  assert_int_equal(told.seeded, 0);
  assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_SEEDED));
  assert_int_equal(told.nothing, 1);
  assert_int_equal(told.seeded, 1);
  assert_ok(world_tear_down(state));
}

/*
 * Memory runs out: after so many more allocations, for so many.
 */

static unsigned spared = UINT32_MAX;
static unsigned denied;

static void starve(unsigned after, unsigned times) {
  spared = after;
  denied = times;
}

static void feed(void) {
  starve(UINT32_MAX, 0);
}

static int is_denied(void) {
  if (spared > 0) {
    spared--;
    return 0;
  }
  if (denied == 0) {
    return 0;
  }
  denied--;
  return 1;
}

static void* allocate(void* context, size_t size, size_t alignment, int zeroed) {
  return is_denied() ? NULL : plain_allocate(context, size, alignment, zeroed);
}

static int hungry_world(void** state) {
  uvdio_allocator_t allocator = {NULL, allocate, plain_release};
  feed();
  return uvdio_set_allocator(&allocator) != 0 ? -1 : world_open(state);
}

static int tear_down_hungry_world(void** state) {
  feed();
  int failed = world_tear_down(state);
  return uvdio_set_allocator(NULL) != 0 || failed;
}

#define TEST_HUNGRY(function) \
  cmocka_unit_test_setup_teardown(function, hungry_world, tear_down_hungry_world)

/* A page of the program's own, so that only the world allocates. */
static _Alignas(4096) char page_bytes[UVDIO_PAGE_SIZE];

static int64_t write_hungry(struct world* w, uint64_t offset) {
  uvdio_buf_t view = uvdio_buf_view_bytes(page_bytes, sizeof(page_bytes));
  struct tracked_op* op = op_now(&w->tracker);
  starve(0, 1);
  int64_t result = t_write(op, &w->file, &view, offset)->result;
  feed();
  return result;
}

static void faults_without_memory_are_errors(void** state) {
  static const uvdio_fault_kind_t kinds[] = {UVDIO_FAULT_TORN, UVDIO_FAULT_LOST,
                                             UVDIO_FAULT_CORRUPT, UVDIO_FAULT_MISDIRECT};
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    add_rule(w, rule_for(UVDIO_OP_WRITE, kinds[i]));
    assert_code(write_hungry(w, PAGE), UV_ENOMEM);
    assert_result(t_size(op_now(&w->tracker), &w->file), PAGE);
    assert_ok(uvdio_sim_clear_rules(w->sim));
  }
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_code(write_sized(w, 0, PAGE, 2), PAGE);
}

static void bad_sector_without_memory_is_an_error(void** state) {
  struct world* w = *state;
  uvdio_buf_t view = uvdio_buf_view_bytes(page_bytes, sizeof(page_bytes));
  write_now(w, 0, 4 * PAGE, 1);
  add_rule(w, rule_for(UVDIO_OP_READ, UVDIO_FAULT_LATENT));
  struct tracked_op* op = op_now(&w->tracker);
  starve(0, 1);
  t_read(op, &w->file, &view, 0);
  feed();
  assert_result(op, UV_ENOMEM);
  assert_ok(uvdio_sim_clear_rules(w->sim));
  assert_code(read_sized(w, 0, 4 * PAGE), 4 * PAGE);
  starve(1, 1);
  int code = uvdio_sim_damage(w->sim, "file", 0, 4 * PAGE);
  feed();
  assert_code(code, UV_ENOMEM);
  assert_code(read_sized(w, 0, PAGE), UV_EIO);
  assert_code(read_sized(w, PAGE, PAGE), PAGE);
}

static void poke_without_memory_is_an_error(void** state) {
  struct world* w = *state;
  starve(0, 1);
  int made = uvdio_sim_poke(w->sim, "new", "x", 1, 0);
  starve(0, 1);
  int written = uvdio_sim_poke(w->sim, "file", "x", 1, 0);
  feed();
  assert_code(made, UV_ENOMEM);
  assert_code(written, UV_ENOMEM);
  assert_code(uvdio_sim_size(w->sim, "new", 0), UV_ENOENT);
  assert_code(uvdio_sim_size(w->sim, "file", 0), 0);
}

/* The table of a file's extents stays as small as it is. */
static void file_grows_without_memory_for_its_table(void** state) {
  struct world* w = *state;
  for (uint64_t i = 0; i < 8; i++) {
    write_now(w, i * EXTENT, PAGE, (unsigned)i);
  }
  uvdio_buf_t buf = pattern(PAGE, 8);
  struct tracked_op* op = op_now(&w->tracker);
  starve(2, 1); /* the change, the extent, and then the table */
  t_write(op, &w->file, &buf, 8 * EXTENT);
  int was_denied = denied == 0;
  feed();
  assert_ok(uvdio_buf_release(&buf));
  assert_result(op, PAGE);
  assert_true(was_denied);
  for (uint64_t i = 0; i <= 8; i++) {
    assert_true(holds(w, 0, i * EXTENT, PAGE, (unsigned)i));
  }
}

static void assert_spoilt(struct world* w) {
  assert_code(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_NOTHING), UV_ENOMEM);
  bury(w);
  start(w);
  struct tracked_op* open = t_open(op_now(&w->tracker), w->engine, &w->file, "file", UVDIO_OPEN_RW);
  assert_result(open, UV_ENOMEM);
}

/* Content is lost, and the world says so from then on. */
static void power_cut_without_memory_spoils_the_world(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  starve(0, UINT32_MAX);
  int code = uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_NOTHING);
  feed();
  assert_code(code, UV_ENOMEM);
  assert_spoilt(w);
}

static void crash_without_memory_spoils_the_world(void** state) {
  unsigned spoilt = 0;
  struct world* w = *state;
  for (unsigned i = 0; i < 20 && spoilt == 0; i++) {
    uvdio_buf_t view = uvdio_buf_view_bytes(page_bytes, sizeof(page_bytes));
    assert_accepted(t_write(op_new(&w->tracker), &w->file, &view, 0));
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    starve(0, UINT32_MAX);
    int code = uvdio_sim_crash(w->sim, NULL);
    feed();
    assert_true(code == 0 || code == UV_ENOMEM); /* 0 where none of it was going to land */
    spoilt += code != 0;
    bury(w);
    start(w);
    if (code == 0) {
      open_file(w, "file", UVDIO_OPEN_RW);
    }
  }
  assert_int_equal(spoilt, 1);
  assert_code(uvdio_sim_settle(w->sim), UV_ENOMEM);
  assert_spoilt(w);
}

/* With room for some allocations, so that each of a crash fails once, in worlds in which a write
 * behind the end lands. */
static void crash_that_runs_out_of_memory_says_so(void** state) {
  unsigned spoilt = 0;
  (void)state;
  for (uint64_t seed = 0; seed < 60; seed++) {
    const uvdio_sim_options_t options = {.seed = seed, .latency_min = 4};
    uvdio_buf_t view = uvdio_buf_view_bytes(page_bytes, sizeof(page_bytes));
    void* inner = NULL;
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    assert_accepted(t_write(op_new(&w->tracker), &w->file, &view, 10 * EXTENT));
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    starve((unsigned)seed % 6, UINT32_MAX);
    int code = uvdio_sim_crash(w->sim, NULL);
    int is_denied_some = denied < UINT32_MAX;
    feed();
    assert_code(code, is_denied_some ? UV_ENOMEM : 0);
    spoilt += code != 0;
    bury(w);
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(spoilt, 5, 55);
}

static void sync_without_memory_spoils_the_world(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  struct tracked_op* op = op_now(&w->tracker);
  starve(0, UINT32_MAX);
  t_sync_data(op, &w->file);
  feed();
  assert_spoilt(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST_IN(world_open, null_arguments_are_refused),
      TEST_IN(world_empty, options_that_are_unknown_have_to_be_zero),
      TEST_IN(world_empty, engine_that_is_too_deep_is_refused),
      TEST_IN(world_empty, bad_rules_are_refused),
      TEST_IN(world_open, rule_without_a_fault_spares),
      TEST_IN(world_open, rule_with_a_range_spares_other_operations),
      TEST_IN(world_with_a_callback, callback_that_asks_for_the_impossible_gets_nothing),
      cmocka_unit_test(delay_of_no_steps_is_none),
      cmocka_unit_test(digest_tells_operations_apart),
      TEST_IN(world_open, short_transfers_come_in_whole_units),
      TEST_IN(world_open, misdirected_write_beyond_the_end_lands_in_the_file),
      TEST_IN(world_open, misdirection_goes_both_ways),
      TEST_IN(world_open, only_reads_of_a_bad_sector_fail),
      TEST_IN(world_open, writing_mends_what_it_covers),
      TEST_IN(world_open, damage_beyond_the_end_is_none),
      TEST_IN(world_open, corruption_spares_what_is_not_durable_yet),
      TEST_IN(world_open, corruption_finds_its_durable_write),
      TEST_IN(world_open, pokes_have_limits),
      TEST_IN(world_open, disk_shows_what_a_truncate_took),
      TEST_IN(world_with_names_apart, durable_write_does_not_keep_the_name),
      TEST_IN(world_open, failed_sync_loses_no_durable_write),
      cmocka_unit_test(lost_size_takes_the_rest_of_a_sector_along),
      TEST_IN(world_empty, what_is_durable_takes_no_memory),
      TEST_IN(world_open, engines_leave_in_any_order),
      TEST_IN(world_open, power_goes_twice),
      TEST_IN(world_open, synchronous_write_dies_without_a_trace),
      TEST_IN(world_open, look_at_the_disk_ends_with_the_file),
      cmocka_unit_test(trace_tells_what_a_power_cut_leaves),
      TEST_HUNGRY(faults_without_memory_are_errors),
      TEST_HUNGRY(bad_sector_without_memory_is_an_error),
      TEST_HUNGRY(poke_without_memory_is_an_error),
      TEST_HUNGRY(file_grows_without_memory_for_its_table),
      TEST_HUNGRY(power_cut_without_memory_spoils_the_world),
      TEST_HUNGRY(crash_without_memory_spoils_the_world),
      TEST_HUNGRY(crash_that_runs_out_of_memory_says_so),
      TEST_HUNGRY(sync_without_memory_spoils_the_world),
  };
  return cmocka_run_group_tests_name("edge_cases", tests, NULL, NULL);
}
