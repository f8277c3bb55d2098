/* SPDX-License-Identifier: MIT */
/* Worlds: what they are made from, what each fault does, and whether one seed is one run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "world.h"

#define SECTOR ((size_t)512)

/*
 * Options.
 */

static void assert_no_world(uvdio_sim_options_t options) {
  uvdio_sim_t* sim = NULL;
  assert_code(uvdio_sim_create(&sim, &options), UV_EINVAL);
  assert_null(sim);
}

static void bad_options_make_no_world(void** state) {
  (void)state;
  assert_no_world((uvdio_sim_options_t){.sector_size = 256});
  assert_no_world((uvdio_sim_options_t){.sector_size = 1000});
  assert_no_world((uvdio_sim_options_t){.sector_size = 8192});
  assert_no_world((uvdio_sim_options_t){.flags = 2});
  assert_no_world((uvdio_sim_options_t){.latency_min = 3, .latency_max = 2});
  assert_no_world((uvdio_sim_options_t){.entries = (uvdio_sim_entry_t)3});
  assert_code(uvdio_sim_create(NULL, NULL), UV_EINVAL);
  assert_code(uvdio_sim_destroy(NULL), UV_EINVAL);
}

static void bad_arguments_are_refused(void** state) {
  struct world* w = *state;
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_POOL};
  uvdio_engine_t* engine = NULL;
  uvdio_fault_rule_t rule = {0};
  char byte = 0;
  assert_code(uvdio_sim_engine_create(&engine, &w->loop, w->sim, &options), UV_EINVAL);
  assert_code(uvdio_sim_engine_create(&engine, NULL, w->sim, NULL), UV_EINVAL);
  assert_code(uvdio_sim_engine_create(&engine, &w->loop, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_sim_power_cut(w->sim, (uvdio_sim_cut_t)3), UV_EINVAL);
  assert_code(uvdio_sim_add_rule(w->sim, NULL), UV_EINVAL);
  rule.ppm = 1000001;
  assert_code(uvdio_sim_add_rule(w->sim, &rule), UV_EINVAL);
  assert_code(uvdio_sim_peek(w->sim, "none", 0, &byte, 1, 0), UV_ENOENT);
  assert_code(uvdio_sim_corrupt(w->sim, "none", 0, 1), UV_ENOENT);
  assert_code(uvdio_sim_damage(w->sim, "none", 0, 1), UV_ENOENT);
  assert_code(uvdio_sim_poke(w->sim, "a/", &byte, 1, 0), UV_EINVAL);
  assert_code(uvdio_sim_poke(w->sim, "file", &byte, 1, INT64_MAX), UVDIO_EOFFSET);
  assert_code(uvdio_sim_poke(w->sim, "file", &byte, 2, INT64_MAX - 1), UVDIO_EOFFSET);
  assert_ok(uvdio_sim_poke(w->sim, "file", &byte, 1, INT64_MAX - 1));
  assert_int_equal(uvdio_sim_random(w->sim, 0), 0);
  assert_int_equal(uvdio_sim_random(NULL, 7), 0);
}

static void engine_tells_where_it_is(void** state) {
  struct world* w = *state;
  uvdio_file_info_t info;
  assert_string_equal(uvdio_engine_backend(w->engine), "memory");
  assert_string_equal(uvdio_engine_backend_reason(w->engine),
                      "asked for by the program; files in a simulated world");
  assert_result(t_close(op_now(&w->tracker), &w->file), 0);
  open_file(w, "file", UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN);
  assert_ok(uvdio_file_info(&w->file, &info));
  assert_int_equal(info.offset_align, SECTOR);
  assert_string_equal(info.filesystem, "memory");
  write_now(w, SECTOR, SECTOR, 1);
  assert_true(holds(w, 0, SECTOR, SECTOR, 1));
}

/* The n-th allocation fails, for every n that there is. */

static unsigned allocations_left;

static void* allocate_some(void* context, size_t size, size_t alignment, int zeroed) {
  if (allocations_left == 0) {
    return NULL;
  }
  allocations_left--;
  return plain_allocate(context, size, alignment, zeroed);
}

/* 0, or the first code that was not 0. */
static int use_world(uv_loop_t* loop) {
  uvdio_sim_t* sim = NULL;
  uvdio_engine_t* engine = NULL;
  uvdio_fault_rule_t rule = {.path = "file"};
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  static _Alignas(4096) char bytes[4096];
  uvdio_buf_t page = uvdio_buf_view_bytes(bytes, sizeof(bytes));
  int code = uvdio_sim_create(&sim, NULL);
  if (code != 0) {
    return code;
  }
  code = uvdio_sim_add_rule(sim, &rule);
  code = code != 0 ? code : uvdio_sim_engine_create(&engine, loop, sim, NULL);
  code = code != 0 ? code : uvdio_open(engine, &file, &req, "file", UVDIO_OPEN_RW, 0, NULL);
  code = code != 0 ? code : uvdio_write(&file, &req, &page, 0, NULL);
  code = code != 0 ? code : uvdio_truncate(&file, &req, 100, NULL);
  code = code != 0 ? code : uvdio_sim_damage(sim, "file", 0, 100);
  code = code != 0 ? code : uvdio_sim_power_cut(sim, UVDIO_SIM_CUT_CRASH);
  if (engine != NULL) {
    assert_ok(uvdio_engine_close(engine, NULL));
    assert_int_equal(uv_run(loop, UV_RUN_DEFAULT), 0);
  }
  assert_ok(uvdio_sim_destroy(sim));
  return code;
}

static void out_of_memory_leaves_nothing_behind(void** state) {
  uvdio_allocator_t some = {NULL, allocate_some, plain_release};
  uv_loop_t loop;
  int code = UV_ENOMEM;
  (void)state;
  assert_ok(uvdio_set_allocator(&some));
  assert_ok(uv_loop_init(&loop));
  for (unsigned n = 0; code == UV_ENOMEM && n < 100; n++) {
    allocations_left = n;
    code = use_world(&loop);
    assert_int_equal(uvdio_allocations(), 0);
  }
  assert_ok(code);
  assert_ok(uv_loop_close(&loop));
  assert_ok(uvdio_set_allocator(NULL));
}

/*
 * Faults.
 */

static struct tracked_op* read_page(struct world* w, uint64_t offset, size_t size) {
  uvdio_buf_t buf = pattern(size, 99);
  struct tracked_op* read = t_read(op_new(&w->tracker), &w->file, &buf, offset);
  run_world(w);
  return read;
}

static struct tracked_op* write_page(struct world* w, uint64_t offset, size_t size, unsigned seed) {
  uvdio_buf_t buf = pattern(size, seed);
  struct tracked_op* write = t_write(op_new(&w->tracker), &w->file, &buf, offset);
  run_world(w);
  return write;
}

static unsigned differing_bits(const char* a, const char* b, size_t size) {
  unsigned bits = 0;
  for (size_t i = 0; i < size; i++) {
    for (unsigned both = (unsigned char)(a[i] ^ b[i]); both != 0; both &= both - 1) {
      bits++;
    }
  }
  return bits;
}

static unsigned wrong_bits(const struct tracked_op* read, unsigned seed) {
  char* expected = malloc(read->back.len);
  assert_non_null(expected);
  fill_pattern(expected, read->back.len, seed);
  unsigned bits = differing_bits(read->back.base, expected, read->back.len);
  free(expected);
  return bits;
}

/* A durable write ends with a sync, from which any error may come. */
static void failed_durable_write_latches(void** state) {
  static uvdio_file_t log; /* outlives a failed assertion */
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_ERROR);
  uvdio_buf_t buf = pattern(PAGE, 1);
  uvdio_file_info_t info;
  rule.fault.error = UV_ENOSPC;
  rule.times = 1;
  add_rule(w, rule);
  assert_result(t_open(op_now(&w->tracker), w->engine, &log, "file", UVDIO_OPEN_WAL), 0);
  assert_result(t_write(op_now(&w->tracker), &log, &buf, 0), UV_ENOSPC);
  assert_ok(uvdio_file_info(&log, &info));
  assert_code(info.latch_error, UV_ENOSPC);
  assert_refused(t_write(op_now(&w->tracker), &log, &buf, 0), UV_ENOSPC);
  assert_refused(t_sync_data(op_now(&w->tracker), &log), UV_ENOSPC);
  assert_ok(uvdio_buf_release(&buf));
  assert_result(t_close(op_now(&w->tracker), &log), 0);
}

static void error_changes_nothing(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_ERROR);
  rule.fault.error = UV_ENOSPC;
  write_now(w, 0, PAGE, 1);
  add_rule(w, rule);
  assert_result(write_page(w, 0, PAGE, 2), UV_ENOSPC);
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_ok(uvdio_sim_clear_rules(w->sim));
  assert_result(write_page(w, 0, PAGE, 2), PAGE);
  assert_int_equal(sim_stats(w).faults, 1);
}

static void interrupted_operations_are_repeated(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_NONE, UVDIO_FAULT_ERROR);
  rule.fault.error = UV_EINTR;
  rule.times = 5;
  add_rule(w, rule);
  assert_result(write_page(w, 0, PAGE, 1), PAGE);
  rule.fault.error = UV_EAGAIN;
  add_rule(w, rule);
  assert_result(t_sync_data(op_now(&w->tracker), &w->file), 0);
  assert_true(holds(w, 1, 0, PAGE, 1));
}

/* The descriptor is gone all the same (close(2)). */
static void interrupted_close_has_closed(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_CLOSE, UVDIO_FAULT_ERROR);
  rule.fault.error = UV_EINTR;
  add_rule(w, rule);
  assert_result(t_close(op_now(&w->tracker), &w->file), 0);
  assert_int_equal(sim_stats(w).faults, 1);
  open_file(w, "file", UVDIO_OPEN_RW);
}

static void short_transfers_are_resumed(void** state) {
  struct world* w = *state;
  add_rule(w, rule_for(UVDIO_OP_NONE, UVDIO_FAULT_SHORT));
  assert_result(write_page(w, 0, 16 * PAGE, 1), 16 * PAGE);
  struct tracked_op* read = read_page(w, 0, 16 * PAGE);
  assert_result(read, 16 * PAGE);
  assert_true(is_pattern(read->back.base, 16 * PAGE, 1));
  assert_true(sim_stats(w).operations > 6);
}

static void short_transfers_of_a_length(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_READ, UVDIO_FAULT_SHORT);
  rule.fault.length = 1;
  add_rule(w, rule);
  write_now(w, 0, 4 * PAGE, 1);
  uint64_t before = sim_stats(w).operations;
  assert_result(read_page(w, 0, 4 * PAGE), 4 * PAGE);
  assert_int_equal(sim_stats(w).operations - before, 4);
}

static void torn_write_fails_half_done(void** state) {
  struct world* w = *state;
  char bytes[8 * UVDIO_PAGE_SIZE];
  char old[SECTOR];
  unsigned done = 0;
  write_now(w, 0, sizeof(bytes), 1);
  add_rule(w, rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_TORN));
  assert_result(write_page(w, 0, sizeof(bytes), 2), UV_EIO);
  assert_code(uvdio_sim_peek(w->sim, "file", 0, bytes, sizeof(bytes), 0), sizeof(bytes));
  char* all = malloc(sizeof(bytes));
  assert_non_null(all);
  fill_pattern(all, sizeof(bytes), 1);
  for (size_t at = 0; at < sizeof(bytes); at += SECTOR) {
    memcpy(old, all + at, SECTOR);
    done += memcmp(bytes + at, old, SECTOR) != 0;
  }
  free(all);
  assert_in_range(done, 1, sizeof(bytes) / SECTOR - 1);
}

static void lost_write_is_called_a_success(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  add_rule(w, rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_LOST));
  assert_result(write_page(w, 0, 2 * PAGE, 2), 2 * PAGE);
  assert_true(holds(w, 0, 0, PAGE, 1));
  assert_true(holds_zeros(w, 0, PAGE, PAGE));
}

static void corrupt_write_stores_a_wrong_bit(void** state) {
  struct world* w = *state;
  add_rule(w, rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_CORRUPT));
  struct tracked_op* write = write_page(w, 0, PAGE, 1);
  assert_result(write, PAGE);
  assert_true(is_pattern(write->back.base, PAGE, 1));
  sync_now(w);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  open_file(w, "file", UVDIO_OPEN_READ);
  assert_int_equal(wrong_bits(read_page(w, 0, PAGE), 1), 1);
}

static void corrupt_read_is_wrong_once(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_READ, UVDIO_FAULT_CORRUPT);
  rule.times = 1;
  write_now(w, 0, PAGE, 1);
  add_rule(w, rule);
  assert_int_equal(wrong_bits(read_page(w, 0, PAGE), 1), 1);
  assert_int_equal(wrong_bits(read_page(w, 0, PAGE), 1), 0);
}

static void corrupt_read_of_nothing_leaves_the_buffer_alone(void** state) {
  struct world* w = *state;
  add_rule(w, rule_for(UVDIO_OP_READ, UVDIO_FAULT_CORRUPT));
  struct tracked_op* read = read_page(w, 0, PAGE);
  assert_result(read, 0);
  assert_true(is_pattern(read->back.base, PAGE, 99));
}

/* One of the other pages has what was meant for the second, which has what it had. */
static void misdirected_write_goes_elsewhere(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_MISDIRECT);
  write_now(w, 0, 8 * PAGE, 1);
  add_rule(w, rule);
  assert_result(write_page(w, PAGE, PAGE, 2), PAGE);
  unsigned found = 0;
  for (size_t at = 0; at + PAGE <= 8 * PAGE; at += SECTOR) {
    found += (unsigned)(holds(w, 0, at, PAGE, 2) && at != PAGE);
  }
  assert_int_equal(found, 1);
}

static void misdirected_read_comes_from_elsewhere(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  write_now(w, PAGE, PAGE, 2);
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_READ, UVDIO_FAULT_MISDIRECT);
  rule.times = 1;
  add_rule(w, rule);
  struct tracked_op* read = read_page(w, 0, PAGE);
  assert_result(read, PAGE);
  assert_false(is_pattern(read->back.base, PAGE, 1));
  assert_int_equal(wrong_bits(read_page(w, 0, PAGE), 1), 0);
}

static void misdirection_needs_another_place(void** state) {
  struct world* w = *state;
  add_rule(w, rule_for(UVDIO_OP_NONE, UVDIO_FAULT_MISDIRECT));
  assert_result(write_page(w, 0, PAGE, 1), PAGE);
  assert_true(holds_zeros(w, 0, 0, PAGE));
  assert_result(read_page(w, 0, PAGE), PAGE);
}

static void latent_error_stays_until_written_over(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_READ, UVDIO_FAULT_LATENT);
  rule.times = 1;
  write_now(w, 0, 2 * PAGE, 1);
  sync_now(w);
  rule.offset = PAGE;
  rule.length = 1;
  add_rule(w, rule);
  assert_result(read_page(w, 0, PAGE), PAGE);
  assert_result(read_page(w, PAGE, PAGE), UV_EIO);
  assert_result(read_page(w, 0, 2 * PAGE), UV_EIO);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  open_file(w, "file", UVDIO_OPEN_RW);
  assert_result(read_page(w, PAGE, PAGE), UV_EIO);
  assert_result(write_page(w, PAGE, PAGE, 2), PAGE);
  assert_result(read_page(w, 0, 2 * PAGE), 2 * PAGE);
}

static void damage_is_cut_off(void** state) {
  struct world* w = *state;
  write_now(w, 0, 2 * PAGE, 1);
  assert_ok(uvdio_sim_damage(w->sim, "file", PAGE, UINT64_MAX));
  assert_result(read_page(w, PAGE, PAGE), UV_EIO);
  assert_result(t_truncate(op_now(&w->tracker), &w->file, PAGE), 0);
  assert_result(t_preallocate(op_now(&w->tracker), &w->file, 2 * PAGE), 0);
  assert_result(read_page(w, PAGE, PAGE), PAGE);
}

static void corrupted_sectors_stay(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  assert_ok(uvdio_sim_corrupt(w->sim, "file", 0, 2 * SECTOR));
  assert_int_equal(wrong_bits(read_page(w, 0, PAGE), 1), 2);
  cut(w, UVDIO_SIM_CUT_SEEDED);
  open_file(w, "file", UVDIO_OPEN_RW);
  assert_int_equal(wrong_bits(read_page(w, 0, PAGE), 1), 2);
}

/* A durable write that waits for an older one is on the disk all the same. */
static void corrupted_sectors_of_durable_writes_stay(void** state) {
  static uvdio_file_t log; /* outlives a failed assertion */
  struct world* w = *state;
  uvdio_buf_t buf = pattern(PAGE, 1);
  write_now(w, PAGE, PAGE, 2);
  assert_result(t_open(op_now(&w->tracker), w->engine, &log, "file", UVDIO_OPEN_WAL), 0);
  assert_result(t_write(op_now(&w->tracker), &log, &buf, 0), PAGE);
  assert_ok(uvdio_buf_release(&buf));
  assert_ok(uvdio_sim_corrupt(w->sim, "file", 0, 2 * SECTOR));
  assert_int_equal(wrong_bits(read_page(w, 0, PAGE), 1), 2);
  assert_false(holds(w, 1, 0, SECTOR, 1));
  assert_result(t_close(op_now(&w->tracker), &log), 0);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  open_file(w, "file", UVDIO_OPEN_RW);
  assert_int_equal(wrong_bits(read_page(w, 0, PAGE), 1), 2);
}

static void poked_bytes_are_durable(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  assert_ok(uvdio_sim_poke(w->sim, "file", "abc", 3, 1));
  assert_ok(uvdio_sim_poke(w->sim, "new", "abc", 3, 0));
  char bytes[4];
  assert_code(uvdio_sim_peek(w->sim, "file", 1, bytes, 4, 0), 4);
  assert_memory_equal(bytes, "\0abc", 4);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_code(uvdio_sim_peek(w->sim, "file", 0, bytes, 4, 0), 4);
  assert_memory_equal(bytes, "\0abc", 4);
  assert_code(uvdio_sim_size(w->sim, "new", 0), 3);
}

/* Where nothing is left to chance. */
static int world_of_one_latency(void** state) {
  const uvdio_sim_options_t options = {.seed = 1, .latency_min = 1, .latency_max = 1};
  int failed = world_make(state, &options);
  if (!failed) {
    start(*state);
    open_file(*state, "file", UVDIO_OPEN_RW);
  }
  return failed;
}

/* The number of steps that a read takes. */
static uint64_t steps_of_a_read(struct world* w, uint32_t delay) {
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_READ, UVDIO_FAULT_DELAY);
  rule.fault.steps = delay;
  add_rule(w, rule);
  uint64_t before = sim_stats(w).steps;
  assert_result(read_page(w, 0, PAGE), 0);
  assert_ok(uvdio_sim_clear_rules(w->sim));
  return sim_stats(w).steps - before;
}

static void longer_delay_takes_more_steps(void** state) {
  uint64_t least = steps_of_a_read(*state, 0);
  uint64_t one = steps_of_a_read(*state, 1);
  assert_true(one > least);
  for (uint32_t delay = 2; delay < 5; delay++) {
    assert_int_equal(steps_of_a_read(*state, delay), one + delay - 1);
  }
}

static void delay_lets_others_pass(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_SIZE, UVDIO_FAULT_DELAY);
  rule.fault.steps = 1000;
  rule.times = 1;
  add_rule(w, rule);
  struct tracked_op* late = t_size(op_new(&w->tracker), &w->file);
  struct tracked_op* early = t_truncate(op_new(&w->tracker), &w->file, PAGE);
  run_world(w);
  assert_result(early, 0);
  assert_result(late, PAGE);
  assert_int_equal(early->order, 1);
  assert_true(sim_stats(w).steps > 1000);
}

/*
 * A success that waits for its callback
 */

enum { CALLBACKS_BEFORE = 40 };

static int one_callback_a_turn(void** state) {
  const uvdio_sim_options_t in_order = {
      .flags = UVDIO_SIM_IN_ORDER, .latency_min = 1, .latency_max = 1};
  const uvdio_engine_options_t options = {.callbacks_max = 1};
  int failed = world_make(state, &in_order);
  struct world* w = *state;
  if (failed == 0) {
    assert_ok(uvdio_sim_engine_create(&w->engine, &w->loop, w->sim, &options));
  }
  return failed;
}

static unsigned write_flags;

static void write_durably(struct tracked_op* op) {
  struct world* w = op->data;
  uvdio_buf_t page = pattern(PAGE, 2);
  (void)t_write_flags(op_new(&w->tracker), &w->file, &page, PAGE, write_flags);
}

/* The first of two durable writes has succeeded, long before its callback; and the second, which
 * began then, fails. */
static void taken_back(struct world* w, unsigned open_flags, unsigned flags, uvdio_op_t failing) {
  uvdio_buf_t page = pattern(PAGE, 1);
  write_flags = flags;
  open_file(w, "file", UVDIO_OPEN_RW | open_flags);
  uvdio_fault_rule_t rule = rule_for(failing, UVDIO_FAULT_ERROR);
  rule.skip = 1;
  for (unsigned i = 0; i < CALLBACKS_BEFORE; i++) {
    uvdio_buf_t buf = pattern(PAGE, 0);
    struct tracked_op* op = i == 0 ? op_then(&w->tracker, write_durably, w) : op_new(&w->tracker);
    t_read(op, &w->file, &buf, 0);
  }
  add_rule(w, rule);
  struct tracked_op* write = t_write_flags(op_new(&w->tracker), &w->file, &page, 0, flags);
  run_world(w);
  assert_ok(uvdio_sim_clear_rules(w->sim));
  assert_int_equal(sim_stats(w).faults, 1);
  assert_true(write->order > CALLBACKS_BEFORE);
  assert_result(write, UV_EIO);
}

static void durable_write_that_was_no_success_is_taken_back(void** state) {
  taken_back(*state, UVDIO_O_DSYNC, 0, UVDIO_OP_WRITE);
}

static void synced_write_that_was_no_success_is_taken_back(void** state) {
  taken_back(*state, 0, UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC, UVDIO_OP_SYNC_DATA);
}

/*
 * Rules and the callback.
 */

static void rules_count_what_matches(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_TRUNCATE, UVDIO_FAULT_ERROR);
  rule.path = "file";
  rule.skip = 2;
  rule.times = 2;
  add_rule(w, rule);
  for (int i = 0; i < 6; i++) {
    assert_result(t_size(op_now(&w->tracker), &w->file), 0);
    assert_result(t_truncate(op_now(&w->tracker), &w->file, 0), i == 2 || i == 3 ? UV_EIO : 0);
  }
}

static void rules_mind_path_and_chance(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_SIZE, UVDIO_FAULT_ERROR);
  unsigned failed = 0;
  rule.path = "other";
  add_rule(w, rule);
  assert_result(t_size(op_now(&w->tracker), &w->file), 0);
  rule.path = NULL;
  rule.ppm = 250000;
  add_rule(w, rule);
  for (int i = 0; i < 400; i++) {
    failed += t_size(op_now(&w->tracker), &w->file)->result == UV_EIO;
  }
  assert_in_range(failed, 50, 150);
}

static void rules_reach_to_the_end_of_the_file(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_ERROR);
  rule.offset = PAGE;
  rule.length = UINT64_MAX;
  add_rule(w, rule);
  assert_result(write_page(w, 0, PAGE, 1), PAGE);
  assert_result(write_page(w, PAGE, PAGE, 1), UV_EIO);
  assert_result(write_page(w, 0, 2 * PAGE, 1), UV_EIO);
  assert_result(write_page(w, 100 * PAGE, PAGE, 1), UV_EIO);
}

/* Of a transfer that touches the range by its last byte or its first, and of one beside it. */
static void rules_end_where_they_say(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_ERROR);
  rule.offset = 2 * PAGE;
  rule.length = PAGE;
  add_rule(w, rule);
  assert_result(write_page(w, PAGE, PAGE, 1), PAGE);
  assert_result(write_page(w, 2 * PAGE, PAGE, 1), UV_EIO);
  assert_result(write_page(w, 3 * PAGE, PAGE, 1), PAGE);
  assert_result(write_page(w, 0, 2 * PAGE, 1), 2 * PAGE);
  assert_result(write_page(w, 0, 3 * PAGE, 1), UV_EIO);
  assert_ok(uvdio_sim_clear_rules(w->sim));
  rule.offset = 2 * PAGE + 1;
  rule.length = PAGE - 1;
  add_rule(w, rule);
  assert_result(write_page(w, 2 * PAGE, PAGE, 1), UV_EIO);
  assert_result(write_page(w, 3 * PAGE, PAGE, 1), PAGE);
  assert_ok(uvdio_sim_clear_rules(w->sim));
  rule.offset = 3 * PAGE - 1;
  rule.length = 1;
  add_rule(w, rule);
  assert_result(write_page(w, 2 * PAGE, PAGE, 1), UV_EIO);
  assert_result(write_page(w, 3 * PAGE, PAGE, 1), PAGE);
}

static void first_rule_that_strikes_decides(void** state) {
  struct world* w = *state;
  static const int errors[] = {UV_EPERM, 0, UV_ENOSPC};
  static const int results[] = {UV_EPERM, UV_EIO, UV_ENOSPC, 0};
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    uvdio_fault_rule_t rule = rule_for(UVDIO_OP_TRUNCATE, UVDIO_FAULT_ERROR);
    rule.fault.error = errors[i];
    rule.times = 1;
    add_rule(w, rule);
  }
  for (size_t i = 0; i < COUNT_OF(results); i++) {
    uint64_t before = sim_stats(w).faults;
    assert_result(t_truncate(op_now(&w->tracker), &w->file, 0), results[i]);
    assert_int_equal(sim_stats(w).faults, before + (results[i] != 0));
  }
}

/* A path as somebody has written it, and a chance that is a certainty. */
static void rules_know_a_path_by_any_of_its_names(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_SIZE, UVDIO_FAULT_ERROR);
  rule.path = ".//./file";
  rule.ppm = 1000000;
  add_rule(w, rule);
  for (int i = 0; i < 50; i++) {
    assert_result(t_size(op_now(&w->tracker), &w->file), UV_EIO);
  }
}

static void rules_know_paths_by_patterns(void** state) {
  struct world* w = *state;
  static const char* const patterns[] = {"*", "f*e", "./*le", "g*", "*f"};
  for (size_t i = 0; i < COUNT_OF(patterns); i++) {
    uvdio_fault_rule_t rule = rule_for(UVDIO_OP_SIZE, UVDIO_FAULT_ERROR);
    rule.path = patterns[i];
    add_rule(w, rule);
    assert_result(t_size(op_now(&w->tracker), &w->file), i < 3 ? UV_EIO : 0);
    assert_ok(uvdio_sim_clear_rules(w->sim));
  }
}

static void rules_tell_what_they_did(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_SIZE, UVDIO_FAULT_ERROR);
  uvdio_fault_rule_info_t info;
  rule.skip = 1;
  rule.times = 1;
  add_rule(w, rule_for(UVDIO_OP_READ, UVDIO_FAULT_LATENT));
  add_rule(w, rule);
  for (int i = 0; i < 3; i++) {
    t_size(op_now(&w->tracker), &w->file);
  }
  assert_ok(uvdio_sim_rule_info(w->sim, 1, &info));
  assert_int_equal(info.op, UVDIO_OP_SIZE);
  assert_int_equal(info.matched, 3);
  assert_int_equal(info.fired, 1);
  assert_ok(uvdio_sim_rule_info(w->sim, 0, &info));
  assert_int_equal(info.kind, UVDIO_FAULT_LATENT);
  assert_int_equal(info.matched, 0);
  assert_code(uvdio_sim_rule_info(w->sim, 2, &info), UV_ENOENT);
  assert_code(uvdio_sim_rule_info(w->sim, 0, NULL), UV_EINVAL);
  assert_code(uvdio_sim_rule_info(NULL, 0, &info), UV_EINVAL);
}

/* The world has rules, and its engines have none of their own. */
static void engines_have_no_rules(void** state) {
  struct world* w = *state;
  uvdio_fault_rule_t rule = rule_for(UVDIO_OP_SIZE, UVDIO_FAULT_ERROR);
  uvdio_fault_rule_info_t info;
  assert_code(uvdio_engine_add_rule(w->engine, &rule), UV_ENOTSUP);
  assert_code(uvdio_engine_seed_rules(w->engine, 1), UV_ENOTSUP);
  assert_ok(uvdio_engine_clear_rules(w->engine));
  assert_code(uvdio_engine_rule_info(w->engine, 0, &info), UV_ENOENT);
  assert_result(t_size(op_now(&w->tracker), &w->file), 0);
}

enum applied { APPLIES_NEVER = 0, TO_READS = 1, TO_WRITES = 2, TO_OTHERS = 4 };

static uint64_t faults_of(struct world* w, struct tracked_op* op) {
  uint64_t before = sim_stats(w).faults;
  (void)op;
  run_world(w);
  return sim_stats(w).faults - before;
}

static void faults_apply_to_what_they_are_for(void** state) {
  static const struct {
    uvdio_fault_kind_t kind;
    unsigned to;
  } cases[] = {
      {UVDIO_FAULT_NONE, APPLIES_NEVER},
      {UVDIO_FAULT_ERROR, TO_READS | TO_WRITES | TO_OTHERS},
      {UVDIO_FAULT_TORN, TO_WRITES},
      {UVDIO_FAULT_SHORT, TO_READS | TO_WRITES},
      {UVDIO_FAULT_LOST, TO_WRITES},
      {UVDIO_FAULT_CORRUPT, TO_READS | TO_WRITES},
      {UVDIO_FAULT_MISDIRECT, TO_READS | TO_WRITES},
      {UVDIO_FAULT_LATENT, TO_READS},
      {UVDIO_FAULT_DELAY, TO_READS | TO_WRITES | TO_OTHERS},
  };
  struct world* w = *state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    uvdio_fault_rule_t rule = rule_for(UVDIO_OP_NONE, cases[i].kind);
    write_now(w, 0, PAGE, 1);
    add_rule(w, rule);
    uvdio_buf_t from = pattern(PAGE, 0);
    uvdio_buf_t to = pattern(PAGE, 1);
    uint64_t reads = faults_of(w, t_read(op_new(&w->tracker), &w->file, &from, 0));
    uint64_t writes = faults_of(w, t_write(op_new(&w->tracker), &w->file, &to, 0));
    uint64_t others = faults_of(w, t_size(op_new(&w->tracker), &w->file));
    assert_ok(uvdio_sim_clear_rules(w->sim));
    assert_int_equal(reads > 0, (cases[i].to & TO_READS) != 0);
    assert_int_equal(writes > 0, (cases[i].to & TO_WRITES) != 0);
    assert_int_equal(others > 0, (cases[i].to & TO_OTHERS) != 0);
  }
}

struct heard {
  unsigned calls;
  unsigned preset; /* faults that had something in a field */
  uvdio_op_t op;
  char path[16];
  uint64_t offset;
  size_t length;
};

static void fail_third(void* data, const uvdio_fault_event_t* event, uvdio_fault_t* fault) {
  struct heard* heard = data;
  heard->calls++;
  heard->preset += fault->kind != UVDIO_FAULT_NONE || fault->error != 0 || fault->steps != 0 ||
                   fault->length != 0 || fault->cut != UVDIO_SIM_CUT_SEEDED;
  heard->op = event->op;
  snprintf(heard->path, sizeof(heard->path), "%s", event->path);
  heard->offset = event->offset;
  heard->length = event->length;
  if (heard->calls == 3) {
    fault->kind = UVDIO_FAULT_ERROR;
    fault->error = UV_EPERM;
  }
}

static struct heard heard;

static int world_that_asks(void** state) {
  const uvdio_sim_options_t options = {.on_fault = fail_third, .data = &heard};
  memset(&heard, 0, sizeof(heard));
  return world_make(state, &options);
}

static void callback_decides_too(void** state) {
  struct world* w = *state;
  start(w);
  open_file(w, "file", UVDIO_OPEN_RW);
  assert_result(write_page(w, PAGE, 2 * PAGE, 1), 2 * PAGE);
  assert_int_equal(heard.op, UVDIO_OP_WRITE);
  assert_string_equal(heard.path, "file");
  assert_int_equal(heard.offset, PAGE);
  assert_int_equal(heard.length, 2 * PAGE);
  assert_result(t_size(op_now(&w->tracker), &w->file), UV_EPERM);
  assert_result(t_size(op_now(&w->tracker), &w->file), 3 * PAGE);
  assert_int_equal(heard.calls, 4);
  assert_int_equal(heard.preset, 0);
}

/*
 * One seed, one run.
 */

struct text {
  char* bytes;
  size_t length;
  size_t space;
};

static void append_line(void* data, const char* line) {
  struct text* text = data;
  size_t length = strlen(line) + 1;
  if (text->length + length + 1 > text->space) {
    text->space = 2 * (text->space + length + 1);
    text->bytes = realloc(text->bytes, text->space);
    if (text->bytes == NULL) {
      abort();
    }
  }
  memcpy(text->bytes + text->length, line, length - 1);
  text->length += length;
  text->bytes[text->length - 1] = '\n';
  text->bytes[text->length] = '\0';
}

static void add_chances(struct world* w) {
  static const uvdio_fault_kind_t kinds[] = {UVDIO_FAULT_SHORT,     UVDIO_FAULT_TORN,
                                             UVDIO_FAULT_LOST,      UVDIO_FAULT_CORRUPT,
                                             UVDIO_FAULT_MISDIRECT, UVDIO_FAULT_DELAY};
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    uvdio_fault_rule_t rule = rule_for(UVDIO_OP_NONE, kinds[i]);
    rule.ppm = 50000;
    rule.fault.steps = 5;
    add_rule(w, rule);
  }
}

static void submit_some(struct world* w) {
  for (int i = 0; i < 20; i++) {
    uint64_t offset = uvdio_sim_random(w->sim, 16) * PAGE;
    uvdio_buf_t page = pattern(4 * PAGE, (unsigned)i);
    if (i % 3 == 0) {
      (void)t_read(op_new(&w->tracker), &w->file, &page, offset);
    } else {
      (void)t_write(op_new(&w->tracker), &w->file, &page, offset);
    }
    if (i % 7 == 0) {
      (void)t_sync_data(op_new(&w->tracker), &w->file);
    }
  }
}

/* Runs a busy world with three cuts; returns its digest. */
static uint64_t live(uint64_t seed, struct text* text) {
  const uvdio_sim_options_t options = {
      .seed = seed, .on_trace = text != NULL ? append_line : NULL, .data = text};
  void* state = NULL;
  void* in_the_way = malloc(1000 + (size_t)seed);
  assert_ok(world_make(&state, &options));
  struct world* w = state;
  add_chances(w);
  for (int i = 0; i < 3; i++) {
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    submit_some(w);
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_SEEDED));
    bury(w);
  }
  uint64_t digest = uvdio_sim_digest(w->sim);
  assert_ok(world_tear_down(&state));
  free(in_the_way);
  return digest;
}

static void one_seed_is_one_run(void** state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    struct text first = {0};
    struct text second = {0};
    uint64_t digest = live(seed, &first);
    void* shift = malloc(12345);
    assert_int_equal(digest, live(seed, &second));
    assert_int_equal(digest, live(seed, NULL));
    assert_true(first.length > 1000);
    assert_string_equal(first.bytes, second.bytes);
    assert_int_not_equal(digest, live(seed + 1000, NULL));
    free(shift);
    free(first.bytes);
    free(second.bytes);
  }
}

/* What happens in a world, after an open. */
struct happening {
  uvdio_op_t op;
  const char* path;
  uint64_t offset;
  size_t length;
  uint64_t size; /* of the file */
};

static struct tracked_op* happen(struct world* w, const struct happening* what) {
  struct tracked_op* op = op_new(&w->tracker);
  if (what->op == UVDIO_OP_SYNC_DATA) {
    return t_sync_data(op, &w->file);
  }
  if (what->op == UVDIO_OP_SYNC_ALL) {
    return t_sync_all(op, &w->file);
  }
  uvdio_buf_t buf = pattern(what->length, 1);
  return t_read(op, &w->file, &buf, what->offset);
}

static uint64_t digest_of(struct happening what) {
  void* state = NULL;
  assert_int_equal(world_empty(&state), 0);
  struct world* w = state;
  if (what.size > 0) {
    assert_ok(uvdio_sim_poke(w->sim, what.path, "", 1, what.size - 1));
  }
  start(w);
  open_file(w, what.path, UVDIO_OPEN_RW);
  struct tracked_op* op = happen(w, &what);
  run_world(w);
  assert_true(op->result >= 0);
  uint64_t digest = uvdio_sim_digest(w->sim);
  assert_ok(world_tear_down(&state));
  return digest;
}

/* By whatever a trace tells of them, and by each bit that an offset can have. */
static void digest_tells_operations_apart(void** state) {
  (void)state;
  const struct happening happenings[] = {
      {UVDIO_OP_READ, "file", 0, PAGE, 0},   {UVDIO_OP_READ, "file", 0, PAGE, 1},
      {UVDIO_OP_READ, "fire", 0, PAGE, 0},   {UVDIO_OP_READ, "file", 0, 2 * PAGE, 0},
      {UVDIO_OP_SYNC_DATA, "file", 0, 0, 0}, {UVDIO_OP_SYNC_ALL, "file", 0, 0, 0},
  };
  uint64_t digests[COUNT_OF(happenings) + 64];
  size_t count = 0;
  for (; count < COUNT_OF(happenings); count++) {
    digests[count] = digest_of(happenings[count]);
  }
  for (struct happening read = {UVDIO_OP_READ, "file", PAGE, PAGE, 0};
       read.offset < (uint64_t)INT64_MAX; read.offset *= 2) {
    digests[count++] = digest_of(read);
  }
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < i; k++) {
      assert_int_not_equal(digests[i], digests[k]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bad_options_make_no_world),
      cmocka_unit_test(out_of_memory_leaves_nothing_behind),
      TEST_IN(world_empty, bad_arguments_are_refused),
      TEST_IN(world_open, engine_tells_where_it_is),
      TEST_IN(world_open, failed_durable_write_latches),
      TEST_IN(world_open, error_changes_nothing),
      TEST_IN(world_open, interrupted_operations_are_repeated),
      TEST_IN(world_open, interrupted_close_has_closed),
      TEST_IN(world_open, short_transfers_are_resumed),
      TEST_IN(world_open, short_transfers_of_a_length),
      TEST_IN(world_open, torn_write_fails_half_done),
      TEST_IN(world_open, lost_write_is_called_a_success),
      TEST_IN(world_open, corrupt_write_stores_a_wrong_bit),
      TEST_IN(world_open, corrupt_read_is_wrong_once),
      TEST_IN(world_open, corrupt_read_of_nothing_leaves_the_buffer_alone),
      TEST_IN(world_open, misdirected_write_goes_elsewhere),
      TEST_IN(world_open, misdirected_read_comes_from_elsewhere),
      TEST_IN(world_open, misdirection_needs_another_place),
      TEST_IN(world_open, latent_error_stays_until_written_over),
      TEST_IN(world_open, damage_is_cut_off),
      TEST_IN(world_of_one_latency, longer_delay_takes_more_steps),
      TEST_IN(world_open, corrupted_sectors_stay),
      TEST_IN(world_open, corrupted_sectors_of_durable_writes_stay),
      TEST_IN(world_open, poked_bytes_are_durable),
      TEST_IN(world_open, delay_lets_others_pass),
      TEST_IN(one_callback_a_turn, durable_write_that_was_no_success_is_taken_back),
      TEST_IN(one_callback_a_turn, synced_write_that_was_no_success_is_taken_back),
      TEST_IN(world_open, rules_count_what_matches),
      TEST_IN(world_open, rules_mind_path_and_chance),
      TEST_IN(world_open, rules_reach_to_the_end_of_the_file),
      TEST_IN(world_open, rules_end_where_they_say),
      TEST_IN(world_open, first_rule_that_strikes_decides),
      TEST_IN(world_open, rules_know_a_path_by_any_of_its_names),
      TEST_IN(world_open, rules_know_paths_by_patterns),
      TEST_IN(world_open, rules_tell_what_they_did),
      TEST_IN(world_open, engines_have_no_rules),
      TEST_IN(world_open, faults_apply_to_what_they_are_for),
      TEST_IN(world_that_asks, callback_decides_too),
      cmocka_unit_test(one_seed_is_one_run),
      cmocka_unit_test(digest_tells_operations_apart),
  };
  return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
