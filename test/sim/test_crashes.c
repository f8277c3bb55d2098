/* SPDX-License-Identifier: MIT */
/* What a crash leaves, unlike a power cut: what had ended stays, and what was on its way may land
 * later. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define SEEDS 200
#define SECTOR 512u
#define SECTORS (UVDIO_PAGE_SIZE / SECTOR)
#define PAGES 4u

/* Every operation takes some steps, so that a crash finds it on its way. */
static struct world* make_world(void** state, uint64_t seed, unsigned flags, uint32_t landing_max) {
  const uvdio_sim_options_t options = {
      .seed = seed, .latency_min = 4, .flags = flags, .landing_max = landing_max};
  assert_ok(world_make(state, &options));
  struct world* w = *state;
  start(w);
  open_file(w, "file", UVDIO_OPEN_RW);
  return w;
}

/* Submits a write and lets it reach the disk. */
static struct tracked_op* set_off(struct world* w, uint64_t offset, size_t size, unsigned seed) {
  uvdio_buf_t buf = pattern(size, seed);
  struct tracked_op* write = t_write(op_new(&w->tracker), &w->file, &buf, offset);
  assert_accepted(write);
  (void)uv_run(&w->loop, UV_RUN_NOWAIT);
  return write;
}

/* The program is gone, and its successor opens the file. */
static void crash_and_restart(struct world* w) {
  assert_ok(uvdio_sim_crash(w->sim, NULL));
  bury(w);
  start(w);
  open_file(w, "file", UVDIO_OPEN_RW);
}

static void one_step(struct world* w) {
  assert_true(t_size(op_now(&w->tracker), &w->file)->result >= 0);
}

/* How many sectors of the first page hold the pattern; every other one holds `other`. */
static unsigned count_sectors(const struct world* w, unsigned seed, unsigned other) {
  char found[UVDIO_PAGE_SIZE];
  char wanted[UVDIO_PAGE_SIZE];
  char others[UVDIO_PAGE_SIZE];
  unsigned count = 0;
  fill_pattern(wanted, PAGE, seed);
  fill_pattern(others, PAGE, other);
  assert_code(uvdio_sim_peek(w->sim, "file", 0, found, PAGE, 0), PAGE);
  for (size_t at = 0; at < PAGE; at += SECTOR) {
    int is_wanted = memcmp(found + at, wanted + at, SECTOR) == 0;
    assert_true(is_wanted || memcmp(found + at, others + at, SECTOR) == 0);
    count += (unsigned)is_wanted;
  }
  return count;
}

/*
 * What lands
 */

struct fates {
  unsigned at_once; /* worlds in which sectors had landed before the successor's first look */
  unsigned late;    /* worlds in which sectors landed after it */
  unsigned never;   /* worlds in which none landed */
  unsigned whole;
  unsigned torn;
};

static void crash_under_a_write(uint64_t seed, struct fates* fates) {
  void* state = NULL;
  struct world* w = make_world(&state, seed, 0, 0);
  write_now(w, 0, PAGE, 1);
  struct tracked_op* write = set_off(w, 0, PAGE, 2);
  crash_and_restart(w);
  assert_result(write, UVDIO_SIM_DEAD);
  unsigned first = count_sectors(w, 2, 1);
  uint64_t landing = sim_stats(w).landing;
  assert_code(uvdio_sim_settle(w->sim), landing);
  unsigned last = count_sectors(w, 2, 1);
  assert_int_equal(last > first, landing > 0);
  assert_int_equal(sim_stats(w).landing, 0);
  assert_true(sim_stats(w).landed >= landing);
  uint64_t landed = sim_stats(w).landed; /* sector by sector, or the whole write in one piece */
  assert_true(landed == last || (landed == 1 && last == SECTORS));
  fates->at_once += first > 0;
  fates->late += last > first;
  fates->never += last == 0;
  fates->whole += last == SECTORS;
  fates->torn += last > 0 && last < SECTORS;
  assert_ok(world_tear_down(&state));
}

static void write_on_its_way_lands_at_once_or_later_or_never(void** state) {
  struct fates fates = {0};
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    crash_under_a_write(seed, &fates);
  }
  assert_in_range(fates.at_once, SEEDS / 20, SEEDS / 2);
  assert_in_range(fates.late, SEEDS / 5, 4 * SEEDS / 5);
  assert_in_range(fates.never, SEEDS / 10, SEEDS / 2);
  assert_in_range(fates.whole, SEEDS / 10, SEEDS / 2);
  assert_in_range(fates.torn, SEEDS / 10, SEEDS / 2);
}

static void nothing_lands_after_the_last_step_for_it(void** state) {
  enum { LANDING_MAX = 20 };
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    struct world* w = make_world(&inner, seed, 0, LANDING_MAX);
    write_now(w, 0, PAGE, 1);
    (void)set_off(w, 0, PAGE, 2);
    uint64_t begin = sim_stats(w).steps;
    crash_and_restart(w);
    while (sim_stats(w).landing > 0) {
      assert_true(sim_stats(w).steps - begin < LANDING_MAX);
      one_step(w);
    }
    unsigned landed = count_sectors(w, 2, 1);
    assert_code(uvdio_sim_settle(w->sim), 0);
    run_world(w);
    assert_int_equal(count_sectors(w, 2, 1), landed);
    assert_ok(world_tear_down(&inner));
  }
}

static void late_write_lands_over_what_a_successor_has_synced(void** state) {
  unsigned overwritten = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    struct world* w = make_world(&inner, seed, 0, 0);
    write_now(w, 0, PAGE, 1);
    (void)set_off(w, 0, PAGE, 2);
    crash_and_restart(w);
    write_now(w, 0, PAGE, 3);
    sync_now(w);
    /* Or it has landed between the write and the sync, which covers it then. */
    int was_mine = holds(w, 0, 0, PAGE, 3);
    (void)uvdio_sim_settle(w->sim);
    overwritten += was_mine && count_sectors(w, 2, 3) > 0;
    assert_true(!was_mine || holds(w, 1, 0, PAGE, 3)); /* what landed later is not durable */
    cut(w, UVDIO_SIM_CUT_NOTHING);
    assert_true(!was_mine || holds(w, 0, 0, PAGE, 3));
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(overwritten, SEEDS / 10, 4 * SEEDS / 5);
}

static void successor_that_waits_is_not_overwritten(void** state) {
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    struct world* w = make_world(&inner, seed, 0, 0);
    (void)set_off(w, 0, PAGE, 2);
    crash_and_restart(w);
    assert_true(uvdio_sim_settle(w->sim) >= 0);
    write_now(w, 0, PAGE, 3);
    sync_now(w);
    for (int i = 0; i < 100; i++) {
      one_step(w);
    }
    assert_true(holds(w, 0, 0, PAGE, 3) && holds(w, 1, 0, PAGE, 3));
    assert_ok(world_tear_down(&inner));
  }
}

/* A truncate by the successor stops nothing: the file grows again. */
static void late_write_lands_past_the_end(void** state) {
  unsigned grown = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    struct world* w = make_world(&inner, seed, 0, 0);
    (void)set_off(w, PAGE, PAGE, 2);
    crash_and_restart(w);
    assert_result(t_truncate(op_now(&w->tracker), &w->file, 0), 0);
    (void)uvdio_sim_settle(w->sim);
    grown += uvdio_sim_size(w->sim, "file", 0) > 0;
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(grown, SEEDS / 10, 4 * SEEDS / 5);
}

/* UVDIO_O_DSYNC promises something to those who get the callback. */
static void late_durable_write_is_not_durable(void** state) {
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    struct world* w = make_world(&inner, seed, 0, 0);
    write_now(w, 0, PAGE, 1);
    sync_now(w);
    assert_result(t_close(op_now(&w->tracker), &w->file), 0);
    open_file(w, "file", UVDIO_OPEN_WAL);
    (void)set_off(w, 0, PAGE, 2);
    crash_and_restart(w);
    (void)uvdio_sim_settle(w->sim);
    assert_true(holds(w, 1, 0, PAGE, 1));
    assert_ok(world_tear_down(&inner));
  }
}

/* Which of the writes 0 to 5 it holds. */
static unsigned first_sector(const struct world* w) {
  for (unsigned i = 0; i < 6; i++) {
    if (holds(w, 0, 0, SECTOR, i)) {
      return i;
    }
  }
  fail_msg("the first sector holds what was never written");
  return 0;
}

/* In a world that keeps order, so do the writes that land late. */
static void late_writes_land_in_order_where_everything_does(void** state) {
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    unsigned newest = 0;
    struct world* w = make_world(&inner, seed, UVDIO_SIM_IN_ORDER, 40);
    write_now(w, 0, PAGE, 0);
    for (unsigned i = 1; i < 6; i++) {
      uvdio_buf_t buf = pattern(PAGE, i);
      assert_accepted(t_write(op_new(&w->tracker), &w->file, &buf, 0));
    }
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    crash_and_restart(w);
    while (sim_stats(w).landing > 0) {
      assert_true(first_sector(w) >= newest);
      newest = first_sector(w);
      one_step(w);
    }
    assert_true(first_sector(w) >= newest);
    assert_ok(world_tear_down(&inner));
  }
}

/*
 * What stays
 */

static void what_had_ended_stays_and_is_not_more_durable(void** state) {
  struct world* w = *state;
  write_now(w, 0, PAGE, 1);
  sync_now(w);
  write_now(w, 0, PAGE, 2);
  write_now(w, PAGE, PAGE, 3);
  crash_and_restart(w);
  assert_true(holds(w, 0, 0, PAGE, 2) && holds(w, 0, PAGE, PAGE, 3));
  assert_true(holds(w, 1, 0, PAGE, 1));
  assert_code(uvdio_sim_size(w->sim, "file", 1), PAGE);
  assert_int_equal(sim_stats(w).crashes, 1);
  assert_int_equal(sim_stats(w).cuts, 0);
  assert_int_equal(sim_stats(w).landing, 0);
  cut(w, UVDIO_SIM_CUT_NOTHING);
  assert_true(holds(w, 0, 0, PAGE, 1));
}

static void other_changes_are_done_by_then_or_never(void** state) {
  unsigned truncated = 0;
  unsigned reserved = 0;
  unsigned created = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    uvdio_file_t other = {0};
    uvdio_file_t fresh = {0};
    struct world* w = make_world(&inner, seed, 0, 0);
    write_now(w, 0, PAGE, 1);
    assert_result(t_open(op_now(&w->tracker), w->engine, &other, "other", UVDIO_OPEN_RW), 0);
    (void)t_truncate(op_new(&w->tracker), &w->file, 0);
    (void)t_preallocate(op_new(&w->tracker), &other, 2 * PAGE);
    (void)t_open(op_new(&w->tracker), w->engine, &fresh, "fresh", UVDIO_OPEN_RW);
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_ok(uvdio_sim_crash(w->sim, w->engine));
    assert_int_equal(sim_stats(w).landing, 0);
    truncated += uvdio_sim_size(w->sim, "file", 0) == 0;
    reserved += uvdio_sim_size(w->sim, "other", 0) == 2 * UVDIO_PAGE_SIZE;
    created += uvdio_sim_size(w->sim, "fresh", 0) == 0;
    bury(w);
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(truncated, SEEDS / 3, SEEDS - 1);
  assert_in_range(reserved, SEEDS / 3, SEEDS - 1);
  assert_in_range(created, SEEDS / 3, SEEDS - 1);
}

/* What a trace tells: steps and operations, without the numbers of events. */
struct lines {
  char text[4096];
  size_t length;
};

static void note_line(void* data, const char* line) {
  struct lines* lines = data;
  unsigned long long step;
  char op[32];
  if (strstr(line, " late") != NULL && sscanf(line, "%llu", &step) == 1) {
    lines->length += (size_t)snprintf(lines->text + lines->length,
                                      sizeof(lines->text) - lines->length, "late %llu\n", step);
  } else if (sscanf(line, "%llu %*u %31s", &step, op) == 2) {
    lines->length += (size_t)snprintf(lines->text + lines->length,
                                      sizeof(lines->text) - lines->length, "%s\n", op);
  }
  assert_true(lines->length < sizeof(lines->text));
}

static struct world* make_traced(void** state, uint64_t seed, struct lines* lines) {
  const uvdio_sim_options_t options = {
      .seed = seed, .latency_min = 4, .landing_max = 100, .on_trace = note_line, .data = lines};
  assert_ok(world_make(state, &options));
  struct world* w = *state;
  start(w);
  open_file(w, "file", UVDIO_OPEN_RW);
  return w;
}

/* In how many worlds a crash finds that the operation has been done. */
static unsigned done_by_a_crash(uvdio_op_t op) {
  unsigned done = 0;
  for (uint64_t seed = 0; seed < SEEDS / 4; seed++) {
    static struct lines lines;
    void* state = NULL;
    struct world* w = make_traced(&state, seed, &lines);
    write_now(w, 0, PAGE, 1);
    struct operation operation = facts_of(op)->example;
    struct target target = {.engine = w->engine, .file = &w->file, .path = "file"};
    uvdio_buf_t buf = pattern(PAGE, 2);
    operation.op = op;
    target.new_path = "new";
    target.buf = &buf;
    struct tracked_op* pending = t_operation(op_new(&w->tracker), &operation, &target);
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(pending->done, 0);
    memset(&lines, 0, sizeof(lines));
    assert_ok(uvdio_sim_crash(w->sim, w->engine));
    done += strstr(lines.text, uvdio_op_name(op)) != NULL;
    (void)uvdio_buf_release(&buf);
    bury(w);
    assert_ok(world_tear_down(&state));
  }
  return done;
}

/* What changes nothing ends with its program. */
static void questions_and_syncs_are_never_done_without_their_program(void** state) {
  static const uvdio_op_t never[] = {UVDIO_OP_READ,      UVDIO_OP_SIZE,          UVDIO_OP_STAT,
                                     UVDIO_OP_SYNC_DATA, UVDIO_OP_SYNC_ALL,      UVDIO_OP_NEXT_DATA,
                                     UVDIO_OP_NEXT_HOLE, UVDIO_OP_SYNC_DIRECTORY};
  static const uvdio_op_t maybe[] = {UVDIO_OP_TRUNCATE,   UVDIO_OP_PREALLOCATE, UVDIO_OP_PUNCH_HOLE,
                                     UVDIO_OP_ZERO_RANGE, UVDIO_OP_RENAME,      UVDIO_OP_LINK,
                                     UVDIO_OP_UNLINK};
  (void)state;
  for (size_t i = 0; i < COUNT_OF(never); i++) {
    assert_int_equal(done_by_a_crash(never[i]), 0);
  }
  for (size_t i = 0; i < COUNT_OF(maybe); i++) {
    assert_in_range(done_by_a_crash(maybe[i]), SEEDS / 12, SEEDS / 4 - 1);
  }
}

/* Leaves writes on their way, and lets them land one step after the other, or all at once. */
static void let_land(uint64_t seed, int settles, struct lines* lines) {
  void* state = NULL;
  uvdio_file_t file = {0}; /* left open for the engine's close */
  memset(lines, 0, sizeof(*lines));
  struct world* w = make_traced(&state, seed, lines);
  for (unsigned i = 0; i < 3; i++) {
    uvdio_buf_t buf = pattern(PAGE, i);
    assert_accepted(t_write(op_new(&w->tracker), &w->file, &buf, i * PAGE));
  }
  (void)uv_run(&w->loop, UV_RUN_NOWAIT);
  assert_ok(uvdio_sim_crash(w->sim, NULL));
  bury(w);
  memset(lines, 0, sizeof(*lines));
  if (settles) {
    assert_true(uvdio_sim_settle(w->sim) >= 0);
  } else {
    start(w);
    assert_result(t_open(op_now(&w->tracker), w->engine, &file, "other", UVDIO_OPEN_RW), 0);
    while (sim_stats(w).landing > 0) {
      assert_true(t_size(op_now(&w->tracker), &file)->result == 0);
    }
  }
  assert_ok(world_tear_down(&state));
}

/* The lines of a trace that tell of writes that landed. */
static void keep_late(struct lines* lines) {
  char kept[sizeof(lines->text)] = "";
  for (char* line = strtok(lines->text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    if (strncmp(line, "late", 4) == 0) {
      strcat(kept, line);
      strcat(kept, "\n");
    }
  }
  memcpy(lines->text, kept, sizeof(kept));
}

static void settled_writes_land_at_their_steps(void** state) {
  static struct lines settled;
  static struct lines stepped;
  unsigned landed = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS / 4; seed++) {
    let_land(seed, 1, &settled);
    let_land(seed, 0, &stepped);
    keep_late(&settled);
    keep_late(&stepped);
    assert_string_equal(settled.text, stepped.text);
    landed += settled.text[0] != '\0';
  }
  assert_true(landed > SEEDS / 20);
}

/*
 * Several programs, several ends
 */

static void one_program_crashes_and_the_other_goes_on(void** state) {
  struct world* w = *state;
  uvdio_engine_t* doomed = w->engine;
  uvdio_file_t other = {0};
  struct tracked_op* lost = set_off(w, 0, PAGE, 1);
  start(w);
  assert_result(t_open(op_now(&w->tracker), w->engine, &other, "other", UVDIO_OPEN_RW), 0);
  uvdio_buf_t page = pattern(PAGE, 2);
  struct tracked_op* kept = t_write(op_new(&w->tracker), &other, &page, 0);
  assert_ok(uvdio_sim_crash(w->sim, doomed));
  assert_code(uvdio_sim_crash(w->sim, doomed), UV_EINVAL);
  run_world(w);
  assert_result(lost, UVDIO_SIM_DEAD);
  assert_result(kept, PAGE);
  assert_int_equal(sim_stats(w).crashes, 1);
  assert_ok(t_engine_close(doomed, NULL));
  run_world(w);
  assert_code(uvdio_sim_crash(w->sim, doomed), UV_EINVAL);
  assert_result(t_sync_data(op_now(&w->tracker), &other), 0);
  assert_result(t_close(op_now(&w->tracker), &other), 0);
}

/* As the kernel keeps an open file until its last write is done. */
static void lock_outlives_its_program_until_nothing_lands_any_more(void** state) {
  unsigned kept = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    struct world* w = make_world(&inner, seed, 0, 40);
    write_now(w, 0, PAGE, 1);
    assert_result(t_close(op_now(&w->tracker), &w->file), 0);
    open_file(w, "file", UVDIO_OPEN_RW | UVDIO_O_LOCK_SHARED);
    (void)set_off(w, 0, PAGE, 2);
    assert_ok(uvdio_sim_crash(w->sim, NULL));
    bury(w);
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW | UVDIO_O_LOCK_SHARED);
    assert_result(t_close(op_now(&w->tracker), &w->file), 0);
    struct tracked_op* lock = t_open(op_now(&w->tracker), w->engine, &w->file, "file",
                                     UVDIO_OPEN_RW | UVDIO_O_LOCK_EXCLUSIVE);
    assert_int_equal(lock->result, sim_stats(w).landing > 0 ? UVDIO_ELOCKED : 0);
    if (lock->result != 0) {
      kept++;
      (void)uvdio_sim_settle(w->sim);
      open_file(w, "file", UVDIO_OPEN_RW | UVDIO_O_LOCK_EXCLUSIVE);
    }
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(kept, 1, SEEDS - 1);
}

static void engines_of_a_world_lock_each_other_out(void** state) {
  struct world* w = *state;
  uvdio_engine_t* first = w->engine;
  uvdio_file_t other = {0};
  assert_result(t_close(op_now(&w->tracker), &w->file), 0);
  open_file(w, "file", UVDIO_OPEN_RW | UVDIO_O_LOCK_EXCLUSIVE);
  start(w);
  const unsigned flags = UVDIO_OPEN_RW | UVDIO_O_LOCK_SHARED;
  assert_result(t_open(op_now(&w->tracker), w->engine, &other, "file", flags), UVDIO_ELOCKED);
  assert_ok(uvdio_sim_crash(w->sim, first));
  assert_result(t_open(op_now(&w->tracker), w->engine, &other, "file", flags), 0);
  assert_ok(t_engine_close(first, NULL));
  run_world(w);
  assert_result(t_close(op_now(&w->tracker), &other), 0);
}

static void bad_crashes_are_refused(void** state) {
  struct world* w = *state;
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_MEMORY};
  uvdio_engine_t* foreign;
  assert_code(uvdio_sim_crash(NULL, NULL), UV_EINVAL);
  assert_code(uvdio_sim_settle(NULL), UV_EINVAL);
  assert_ok(uvdio_engine_create(&foreign, &w->loop, &options));
  int code = uvdio_sim_crash(w->sim, foreign);
  assert_ok(uvdio_engine_close(foreign, NULL));
  run_world(w);
  assert_code(code, UV_EINVAL);
  assert_int_equal(sim_stats(w).crashes, 0);
  write_now(w, 0, PAGE, 1);
}

static void crash_from_callback(struct tracked_op* op) {
  struct world* w = op->data;
  (void)uvdio_sim_crash(w->sim, w->engine);
}

static void crash_may_come_from_a_callback(void** state) {
  struct world* w = *state;
  struct tracked_op* ops[8];
  (void)t_size(op_then(&w->tracker, crash_from_callback, w), &w->file);
  for (size_t i = 0; i < COUNT_OF(ops); i++) {
    uvdio_buf_t page = pattern(PAGE, 1);
    ops[i] = t_write(op_new(&w->tracker), &w->file, &page, i * PAGE);
  }
  run_world(w);
  for (size_t i = 0; i < COUNT_OF(ops); i++) {
    assert_int_equal(ops[i]->done, 1);
    assert_true(ops[i]->result == UVDIO_SIM_DEAD || ops[i]->result == (int64_t)PAGE);
  }
  assert_result(t_size(op_now(&w->tracker), &w->file), UVDIO_SIM_DEAD);
}

/* By a rule, under the write that it strikes: asynchronous, and synchronous. */
static void write_that_a_rule_crashes_may_land(void** state) {
  unsigned landed[2] = {0, 0};
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    int at_once = seed % 2 == 0;
    struct world* w = make_world(&inner, seed, 0, 0);
    uvdio_fault_rule_t rule = rule_for(UVDIO_OP_WRITE, UVDIO_FAULT_CUT);
    rule.fault.cut = UVDIO_SIM_CUT_CRASH;
    add_rule(w, rule);
    uvdio_buf_t page = pattern(PAGE, 1);
    struct tracked_op* write = at_once ? op_now(&w->tracker) : op_new(&w->tracker);
    (void)t_write(write, &w->file, &page, 0);
    if (at_once) {
      assert_ok(uvdio_buf_release(&page));
    }
    run_world(w);
    assert_result(write, UVDIO_SIM_DEAD);
    (void)uvdio_sim_settle(w->sim);
    landed[at_once] += uvdio_sim_size(w->sim, "file", 0) > 0;
    bury(w);
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(landed[0], SEEDS / 8, SEEDS / 2 - 1);
  assert_in_range(landed[1], SEEDS / 8, SEEDS / 2 - 1);
}

/* The machine's end is the end of what its programs had left. */
static void power_cut_ends_what_is_landing(void** state) {
  unsigned kept = 0;
  (void)state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    void* inner = NULL;
    struct world* w = make_world(&inner, seed, 0, 0);
    int nothing = seed % 2 == 0;
    write_now(w, 0, PAGE, 1);
    sync_now(w);
    (void)set_off(w, 0, PAGE, 2);
    crash_and_restart(w);
    int was_landing = sim_stats(w).landing > 0 && count_sectors(w, 2, 1) == 0;
    cut(w, nothing ? UVDIO_SIM_CUT_NOTHING : UVDIO_SIM_CUT_SEEDED);
    assert_int_equal(sim_stats(w).landing, 0);
    assert_int_equal(uvdio_sim_settle(w->sim), 0);
    assert_true(!nothing || holds(w, 0, 0, PAGE, 1));
    kept += was_landing && count_sectors(w, 2, 1) > 0;
    assert_ok(world_tear_down(&inner));
  }
  assert_in_range(kept, SEEDS / 40, SEEDS / 2);
}

/* A world may end with writes on their way, which the teardown finds. Several crashes leave several
 * of them. */
static void crashes_add_up(void** state) {
  struct world* w = *state;
  for (unsigned i = 0; i < 20; i++) {
    (void)set_off(w, 0, PAGES * PAGE, i);
    crash_and_restart(w);
  }
  assert_int_equal(sim_stats(w).crashes, 20);
  assert_true(sim_stats(w).landed > 0 && sim_stats(w).landing > 0);
}

static int slow_world(void** state) {
  (void)make_world(state, 1, 0, UINT32_MAX);
  return 0;
}

static int far_world(void** state) {
  (void)make_world(state, 1, 0, 1000);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(write_on_its_way_lands_at_once_or_later_or_never),
      cmocka_unit_test(nothing_lands_after_the_last_step_for_it),
      cmocka_unit_test(late_write_lands_over_what_a_successor_has_synced),
      cmocka_unit_test(successor_that_waits_is_not_overwritten),
      cmocka_unit_test(late_write_lands_past_the_end),
      cmocka_unit_test(late_durable_write_is_not_durable),
      cmocka_unit_test(late_writes_land_in_order_where_everything_does),
      TEST_IN(world_open, what_had_ended_stays_and_is_not_more_durable),
      cmocka_unit_test(other_changes_are_done_by_then_or_never),
      cmocka_unit_test(questions_and_syncs_are_never_done_without_their_program),
      cmocka_unit_test(settled_writes_land_at_their_steps),
      TEST_IN(far_world, one_program_crashes_and_the_other_goes_on),
      TEST_IN(far_world, lock_outlives_its_program_until_nothing_lands_any_more),
      TEST_IN(far_world, engines_of_a_world_lock_each_other_out),
      TEST_IN(world_open, bad_crashes_are_refused),
      TEST_IN(world_open, crash_may_come_from_a_callback),
      cmocka_unit_test(write_that_a_rule_crashes_may_land),
      cmocka_unit_test(power_cut_ends_what_is_landing),
      TEST_IN(slow_world, crashes_add_up),
  };
  return cmocka_run_group_tests_name("crashes", tests, NULL, NULL);
}
