/* SPDX-License-Identifier: MIT */
/*
 * Appenders under power cuts and faults: whatever was acknowledged as durable is there, the file is
 * no shorter, and behind it lie zeros or bytes of later appends.
 */
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "uvdio/append.h"
#include "world.h"

#define FILE_MAX ((size_t)4 * 1024 * 1024)
#define APPENDS 24u
#define CUTS_PER_WORLD 6u
#define WORLDS 700u

struct piece {
  uvdio_append_t append;
  struct life* life;
  int asks; /* for durability */
};

/* From one start of the program to the next cut. */
struct life {
  uvdio_appender_t* appender;
  int is_durable; /* of the appender: each append */
  struct piece pieces[APPENDS];
  unsigned count;
  unsigned ended;
  unsigned out_of_order;
  unsigned after_an_error;
  int error;
  uint64_t durable; /* where the bytes end that were acknowledged as durable */
};

static char source[FILE_MAX];   /* what appends take their bytes from */
static char expected[FILE_MAX]; /* the file's bytes, once all appends are there */
static uint64_t acknowledged;
static uint64_t cuts_made;

static void on_piece(uvdio_append_t* append, int64_t result) {
  struct piece* piece = append->data;
  struct life* life = piece->life;
  life->out_of_order += piece != &life->pieces[life->ended++];
  if (result < 0) {
    life->error = (int)result;
    return;
  }
  life->after_an_error += life->error != 0;
  if (piece->asks || life->is_durable) {
    life->durable = append->offset + append->length;
    acknowledged++;
  }
}

static uvdio_appender_options_t random_options(struct random* random, uint64_t size) {
  static const unsigned flags[] = {0, UVDIO_APPEND_DURABLE, UVDIO_APPEND_NO_REWRITE,
                                   UVDIO_APPEND_EXACT_SIZE, UVDIO_APPEND_NO_GROWTH};
  uvdio_appender_options_t options = {.size = size, .flags = UVDIO_APPEND_AT_SIZE};
  options.flags |= flags[random_below(random, 5)] | flags[random_below(random, 5)];
  options.buffer_size = PAGE << random_below(random, 5);
  options.buffer_count = 1 + random_below(random, 4);
  options.grow_min = (uint64_t)1 << (8 + random_below(random, 10));
  options.grow_max = options.grow_min << random_below(random, 3);
  return options;
}

/* The preparation is durable, so that nothing of a former life can come back. */
static void begin_life(struct world* w, struct life* life, struct random* random, uint64_t size) {
  uvdio_appender_options_t options = random_options(random, size);
  memset(life, 0, sizeof(*life));
  life->durable = size;
  life->is_durable = (options.flags & UVDIO_APPEND_DURABLE) != 0;
  open_file(w, "file", UVDIO_OPEN_RW);
  assert_ok(uvdio_appender_create(&life->appender, &w->file, &options));
  while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0) {
  }
  assert_int_equal(uvdio_appender_size(life->appender), size);
  memset(expected + size, 0, FILE_MAX - (size_t)size);
}

static int start_piece(struct life* life, struct random* random) {
  struct piece* piece = &life->pieces[life->count];
  size_t length = 1 + random_below(random, 1u << (1 + random_below(random, 16)));
  size_t from = random_below(random, FILE_MAX / 2);
  piece->life = life;
  piece->append.data = piece;
  piece->asks = random_below(random, 3) == 0;
  if (piece->asks && random_below(random, 2) == 0) {
    return uvdio_appender_sync(life->appender, &piece->append, on_piece);
  }
  return uvdio_append(life->appender, &piece->append, source + from, length,
                      piece->asks ? UVDIO_APPEND_DURABLE : 0, on_piece);
}

static void live(struct world* w, struct life* life, struct random* random) {
  unsigned count = random_below(random, APPENDS + 1);
  while (life->count < count && life->error == 0) {
    int error = start_piece(life, random);
    if (error != 0) {
      assert_true(error == UV_EIO);
      break;
    }
    life->count++;
    turn(w, random_below(random, 4));
  }
  turn(w, random_below(random, 60));
}

/* Where each append's bytes lie was settled when the first of them got a place. */
static void expect_pieces(const struct life* life) {
  for (unsigned i = 0; i < life->count; i++) {
    const uvdio_append_t* append = &life->pieces[i].append;
    if (append->placed_ > 0) {
      assert_true(append->offset + append->length < FILE_MAX);
      memcpy(expected + append->offset, append->bytes_, append->length);
    }
  }
}

static void add_faults(struct world* w, struct random* random) {
  static const uvdio_op_t ops[] = {UVDIO_OP_WRITE, UVDIO_OP_SYNC_DATA, UVDIO_OP_NONE};
  uvdio_fault_rule_t rule = {.op = ops[random_below(random, 3)]};
  rule.fault.kind = random_below(random, 2) == 0 ? UVDIO_FAULT_ERROR : UVDIO_FAULT_SHORT;
  rule.skip = random_below(random, 12);
  rule.times = 1 + random_below(random, 3);
  add_rule(w, rule);
}

/* Cuts the power, and buries the appender with its engine. Returns where the next one goes on. */
static uint64_t end_life(struct world* w, struct life* life, struct random* random) {
  uint64_t durable = life->durable;
  expect_pieces(life);
  assert_ok(uvdio_sim_power_cut(
      w->sim, random_below(random, 4) == 0 ? UVDIO_SIM_CUT_NOTHING : UVDIO_SIM_CUT_SEEDED));
  assert_ok(uvdio_sim_clear_rules(w->sim));
  (void)assert_survives(w, expected, FILE_MAX, durable);
  bury(w);
  assert_int_equal(life->ended, life->count);
  assert_int_equal(life->out_of_order, 0);
  assert_int_equal(life->after_an_error, 0);
  assert_int_equal(life->durable, durable);
  assert_ok(uvdio_appender_destroy(life->appender));
  cuts_made++;
  start(w);
  return durable;
}

static void run_worlds(uint64_t first_seed, int with_faults) {
  static struct life life;
  for (uint64_t seed = first_seed; seed < first_seed + WORLDS; seed++) {
    uvdio_sim_options_t options = {.seed = seed};
    struct random random = {seed};
    uint64_t size = 0;
    void* inner = NULL;
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    memset(expected, 0, sizeof(expected));
    for (unsigned i = 0; i < CUTS_PER_WORLD && size < FILE_MAX / 4; i++) {
      begin_life(w, &life, &random, size);
      if (with_faults) {
        add_faults(w, &random);
      }
      live(w, &life, &random);
      size = end_life(w, &life, &random);
    }
    w->tracker.finished = w->tracker.accepted;
    assert_ok(world_tear_down(&inner));
  }
}

static void fill_source(void) {
  struct random random = {5};
  for (size_t i = 0; i < FILE_MAX; i++) {
    source[i] = (char)(1 + random_below(&random, 255));
  }
}

static void acknowledged_bytes_survive_cuts(void** state) {
  (void)state;
  run_worlds(1, 0);
  assert_true(acknowledged > WORLDS && cuts_made > WORLDS);
}

static void nothing_is_acknowledged_after_a_fault(void** state) {
  (void)state;
  run_worlds(100000, 1);
}

/* The size is exact once a sync has ended, whatever is lost. */
static void size_is_exact_after_a_sync(void** state) {
  static struct life life;
  (void)state;
  for (uint64_t seed = 0; seed < 50; seed++) {
    uvdio_sim_options_t options = {.seed = seed};
    uvdio_appender_options_t exact = {.flags = UVDIO_APPEND_EXACT_SIZE};
    size_t length = 1 + (size_t)seed * 777;
    void* inner = NULL;
    assert_ok(world_make(&inner, &options));
    struct world* w = inner;
    start(w);
    open_file(w, "file", UVDIO_OPEN_RW);
    memset(&life, 0, sizeof(life));
    assert_ok(uvdio_appender_create(&life.appender, &w->file, &exact));
    life.pieces[0] = (struct piece){.life = &life, .asks = 1};
    life.pieces[0].append.data = &life.pieces[0];
    assert_ok(uvdio_append(life.appender, &life.pieces[0].append, source, length,
                           UVDIO_APPEND_DURABLE, on_piece));
    run_world(w);
    assert_int_equal(life.durable, length);
    cut(w, UVDIO_SIM_CUT_SEEDED);
    assert_int_equal(uvdio_sim_size(w->sim, "file", 0), length);
    assert_ok(uvdio_appender_destroy(life.appender));
    assert_ok(world_tear_down(&inner));
  }
}

/* On a new file, whose preparation makes no change. */
static void append_three(struct world* w, struct life* life, unsigned flags, uvdio_op_t broken) {
  uvdio_appender_options_t options = {.flags = flags};
  uvdio_fault_rule_t rule = rule_for(broken, UVDIO_FAULT_ERROR);
  memset(life, 0, sizeof(*life));
  assert_ok(uvdio_appender_create(&life->appender, &w->file, &options));
  while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0) {
  }
  add_rule(w, rule);
  for (unsigned i = 0; i < 3; i++) {
    struct piece* piece = &life->pieces[i];
    *piece = (struct piece){.life = life, .asks = 1};
    piece->append.data = piece;
    assert_ok(
        uvdio_append(life->appender, &piece->append, source, 5000, UVDIO_APPEND_DURABLE, on_piece));
  }
  while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0) {
  }
  assert_ok(uvdio_sim_clear_rules(w->sim));
  assert_int_equal(life->ended, 3);
}

static void on_closed(uvdio_append_t* append, int64_t result) {
  *(int64_t*)append->data = result;
}

static int64_t close_appender(struct world* w, struct life* life) {
  int64_t result = 1;
  uvdio_append_t append = {.data = &result};
  assert_ok(uvdio_appender_close(life->appender, &append, on_closed));
  while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0) {
  }
  return result;
}

static void growth_that_fails_is_no_error(void** state) {
  static struct life life;
  struct world* w = *state;
  append_three(w, &life, 0, UVDIO_OP_TRUNCATE);
  assert_int_equal(sim_stats(w).faults, 1);
  assert_int_equal(life.error, 0);
  assert_int_equal(life.durable, 15000);
  assert_int_equal(close_appender(w, &life), 0);
  assert_int_equal(uvdio_sim_size(w->sim, "file", 1), 15000);
}

static void failed_requests_stop_the_appender(void** state) {
  static const struct {
    unsigned flags;
    uvdio_op_t broken;
  } cases[] = {
      {0, UVDIO_OP_WRITE},
      {UVDIO_APPEND_DURABLE, UVDIO_OP_WRITE},
      {0, UVDIO_OP_SYNC_DATA},
      {UVDIO_APPEND_EXACT_SIZE, UVDIO_OP_TRUNCATE},
  };
  static struct life life;
  (void)state;
  for (unsigned i = 0; i < COUNT_OF(cases); i++) {
    void* inner = NULL;
    assert_ok(world_open(&inner));
    struct world* w = inner;
    append_three(w, &life, cases[i].flags, cases[i].broken);
    assert_int_equal(life.error, UV_EIO);
    assert_int_equal(life.durable, 0);
    assert_int_equal(life.out_of_order, 0);
    uvdio_append_t more = {0};
    assert_code(uvdio_append(life.appender, &more, source, 1, 0, on_piece), UV_EIO);
    assert_int_equal(close_appender(w, &life), UV_EIO);
    assert_ok(world_tear_down(&inner));
  }
}

static void preparation_tells_what_failed(void** state) {
  static const uvdio_op_t ops[] = {UVDIO_OP_SIZE, UVDIO_OP_TRUNCATE, UVDIO_OP_SYNC_DATA,
                                   UVDIO_OP_READ};
  static struct life life;
  (void)state;
  for (unsigned i = 0; i < COUNT_OF(ops); i++) {
    uvdio_appender_options_t options = {.size = 100, .flags = UVDIO_APPEND_AT_SIZE};
    void* inner = NULL;
    assert_ok(world_open(&inner));
    struct world* w = inner;
    write_now(w, 0, PAGE, 1);
    add_rule(w, rule_for(ops[i], UVDIO_FAULT_ERROR));
    memset(&life, 0, sizeof(life));
    assert_ok(uvdio_appender_create(&life.appender, &w->file, &options));
    life.pieces[0] = (struct piece){.life = &life};
    life.pieces[0].append.data = &life.pieces[0];
    assert_ok(uvdio_append(life.appender, &life.pieces[0].append, source, 10, 0, on_piece));
    while (uv_run(&w->loop, UV_RUN_DEFAULT) != 0) {
    }
    assert_int_equal(life.error, UV_EIO);
    assert_int_equal(uvdio_appender_size(life.appender), UV_EIO);
    assert_ok(uvdio_sim_clear_rules(w->sim));
    assert_int_equal(close_appender(w, &life), UV_EIO);
    assert_ok(world_tear_down(&inner));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(acknowledged_bytes_survive_cuts),
      cmocka_unit_test(nothing_is_acknowledged_after_a_fault),
      cmocka_unit_test(size_is_exact_after_a_sync),
      TEST_IN(world_open, growth_that_fails_is_no_error),
      cmocka_unit_test(failed_requests_stop_the_appender),
      cmocka_unit_test(preparation_tells_what_failed),
  };
  fill_source();
  int failures = cmocka_run_group_tests_name("appends", tests, NULL, NULL);
  print_figure(cuts_made, "power cuts");
  return failures;
}
