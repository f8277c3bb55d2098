/* SPDX-License-Identifier: MIT */
/*
 * The storage engine of src/examples/store/ under power cuts, crashes and faults: each add that was
 * acknowledged is there afterwards, none is there by half or twice, and each op ends.
 *
 * An add has a cell of its own in two pages, which get a number and its negative, and counts in a
 * third page. So what is there of it can be read off the table.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random.h"
#include "store.h"
#include "world.h"

#define PAGES 24u
#define ADDS_MAX 480u
#define COUNTER (STORE_PAGE_CELLS - 1)
#define LIVES_PER_WORLD 8u
#define WORLDS 150u

#define HOT_ADDS 10000u

static const struct store_change hot_change = {STORE_PAGE_CELLS, 1};

_Static_assert(ADDS_MAX < COUNTER, "each add has a cell of its own");

struct add {
  struct store_op op;
  unsigned gets, gives, counts; /* pages */
  int is_acknowledged;
};

static struct {
  struct add adds[ADDS_MAX];
  unsigned count; /* in all lives */
  /* This life. */
  struct store* store;
  unsigned first; /* the adds of this life begin here */
  unsigned ended;
  int error;
  int opened;
  int status;
  int closed;
  int has_crashed; /* the program before */
  int got;
  int got_status;
} life;

static uint64_t acknowledged;
static uint64_t survived; /* and were not acknowledged */
static uint64_t cuts_made;
static uint64_t stops; /* of stores, by faults */
static uint64_t kept_out;
static struct store_stats total;
static uint64_t first_seed = 1;
static uint64_t worlds = WORLDS;

static uint64_t cell_of(unsigned page, unsigned cell) {
  return (uint64_t)page * STORE_PAGE_CELLS + cell;
}

/*
 * The store's callbacks
 */

static void on_open(struct store* store, int status, void* arg) {
  (void)store;
  (void)arg;
  life.opened++;
  life.status = status;
}

static void on_close(struct store* store, int status, void* arg) {
  (void)store;
  (void)status;
  (void)arg;
  life.closed++;
}

static void on_added(struct store_op* op, int status) {
  struct add* add = op->data;
  life.ended++;
  if (status == 0) {
    assert_false(add->is_acknowledged);
    add->is_acknowledged = 1;
    acknowledged++;
  } else {
    life.error = status;
  }
}

static void on_got(struct store_op* op, int status) {
  (void)op;
  life.got++;
  life.got_status = status;
}

/*
 * A life
 */

static int try_to_open(struct world* w, struct random* random) {
  struct store_options options = {.pages = PAGES, .segment_size = (uint64_t)64 * 1024};
  options.frames = STORE_FETCH_MAX + random_below(random, 20);
  options.checkpoint_size = (uint64_t)(4 + random_below(random, 200)) * 1024;
  life.first = life.count;
  life.ended = 0;
  life.error = life.opened = life.status = life.closed = 0;
  return store_open(&life.store, w->engine, "store", &options, on_open, NULL);
}

static void close_store(struct world* w) {
  struct store_stats stats;
  store_stats(life.store, &stats);
  total.adds += stats.adds;
  total.flushes += stats.flushes;
  total.images += stats.images;
  total.checkpoints += stats.checkpoints;
  total.replayed += stats.replayed;
  total.torn += stats.torn;
  total.writes += stats.writes;
  total.pages_written += stats.pages_written;
  assert_ok(store_close(life.store, on_close, NULL));
  run_world(w);
  assert_int_equal(life.opened, 1);
  assert_int_equal(life.ended, life.count - life.first);
  assert_int_equal(life.closed, 1);
}

/* The locks of file and log keep a successor out while writes of a program that crashed are under
 * way. */
static void wait_for_the_dead(struct world* w, int code) {
  assert_code(code, UVDIO_ELOCKED);
  assert_true(life.has_crashed);
  kept_out++;
  life.has_crashed = 0;
  assert_true(uvdio_sim_settle(w->sim) >= 0);
}

static void begin_open(struct world* w, struct random* random) {
  int code = try_to_open(w, random);
  if (code != 0) {
    wait_for_the_dead(w, code);
    assert_ok(try_to_open(w, random));
  }
}

static void end_open(struct world* w, struct random* random) {
  run_world(w);
  if (life.status != 0) {
    int code = life.status;
    close_store(w);
    wait_for_the_dead(w, code);
    begin_open(w, random);
    run_world(w);
  }
  assert_ok(life.status);
}

static int64_t read_cell(struct world* w, unsigned page, unsigned cell) {
  struct store_op op = {0};
  life.got = 0;
  int code = store_get(life.store, &op, cell_of(page, cell), on_got);
  if (code == 0) {
    run_world(w);
    assert_int_equal(life.got, 1);
    code = life.got_status == 0 ? 1 : life.got_status;
  }
  assert_int_equal(code, 1);
  return op.value;
}

/* All of an add or nothing; and what is there stays from now on. */
static int is_there(const struct add* add, unsigned number, int64_t cells[PAGES][ADDS_MAX]) {
  int64_t unit = (int64_t)number + 1;
  int is = cells[add->gets][number] == unit;
  assert_true(cells[add->gets][number] == (is ? unit : 0));
  assert_true(cells[add->gives][number] == (is ? -unit : 0));
  return is;
}

static void check_table(struct world* w) {
  static int64_t cells[PAGES][ADDS_MAX];
  int64_t counters[PAGES];
  for (unsigned page = 0; page < PAGES; page++) {
    for (unsigned cell = 0; cell < life.count; cell++) {
      cells[page][cell] = read_cell(w, page, cell);
    }
    counters[page] = read_cell(w, page, COUNTER);
  }
  for (unsigned i = 0; i < life.count; i++) {
    struct add* add = &life.adds[i];
    if (is_there(add, i, cells)) {
      survived += !add->is_acknowledged;
      add->is_acknowledged = 1;
      counters[add->counts]--;
    } else {
      assert_false(add->is_acknowledged);
    }
    cells[add->gets][i] = cells[add->gives][i] = 0;
    for (unsigned page = 0; page < PAGES; page++) {
      assert_int_equal(cells[page][i], 0);
    }
  }
  for (unsigned page = 0; page < PAGES; page++) {
    assert_int_equal(counters[page], 0);
  }
}

/* Some pages are in more adds than others. */
static unsigned random_page(struct random* random) {
  return random_below(random, 3) == 0 ? random_below(random, 2) : random_below(random, PAGES);
}

static int begin_add(struct random* random) {
  struct add* add = &life.adds[life.count];
  int64_t unit = (int64_t)life.count + 1;
  memset(add, 0, sizeof(*add));
  add->op.data = add;
  add->gets = random_page(random);
  add->gives = (add->gets + 1 + random_below(random, PAGES - 1)) % PAGES;
  add->counts = random_page(random);
  struct store_change changes[] = {
      {cell_of(add->gets, life.count), unit},
      {cell_of(add->gives, life.count), -unit},
      {cell_of(add->counts, COUNTER), 1},
  };
  int code = store_add(life.store, &add->op, changes, 3, on_added);
  if (code == 0) {
    life.count++;
  }
  return code;
}

static void live(struct world* w, struct random* random) {
  unsigned count = random_below(random, ADDS_MAX / LIVES_PER_WORLD);
  unsigned pause = random_below(random, 8);
  while (count-- > 0 && life.error == 0) {
    life.error = begin_add(random);
    turn(w, pause == 0 ? 0 : random_below(random, pause));
  }
  turn(w, random_below(random, 120));
}

/* By a power cut; by the program's crash; or in good order, where it may have stopped. */
static void end_life(struct world* w, struct random* random) {
  static const uvdio_sim_cut_t kinds[] = {UVDIO_SIM_CUT_SEEDED, UVDIO_SIM_CUT_SEEDED,
                                          UVDIO_SIM_CUT_NOTHING, UVDIO_SIM_CUT_CRASH};
  unsigned how = random_below(random, 9);
  if (how == 8) {
    assert_ok(uvdio_sim_clear_rules(w->sim));
    run_world(w);
    close_store(w);
    return;
  }
  assert_ok(uvdio_sim_power_cut(w->sim, kinds[how % 4]));
  assert_ok(uvdio_sim_clear_rules(w->sim));
  run_world(w);
  close_store(w);
  bury(w);
  cuts_made++;
  life.has_crashed = kinds[how % 4] == UVDIO_SIM_CUT_CRASH;
  start(w);
}

/*
 * Worlds
 */

static struct world* make_world(uint64_t seed, struct random* random) {
  uvdio_sim_options_t options = {.seed = seed};
  uvdio_req_t req = {0};
  void* inner = NULL;
  options.landing_max = 1 + random_below(random, 2000);
  options.entries = (uvdio_sim_entry_t)random_below(random, 3);
  assert_ok(world_make(&inner, &options));
  memset(&life, 0, sizeof(life));
  struct world* w = inner;
  start(w);
  assert_ok(uvdio_mkdir(w->engine, &req, "store", 0700, NULL));
  assert_ok(uvdio_sync_directory(w->engine, &req, ".", NULL));
  return w;
}

static void end_world(struct world* w) {
  void* inner = w;
  w->tracker.finished = w->tracker.accepted;
  assert_ok(world_tear_down(&inner));
}

static void add_fault(struct world* w, struct random* random) {
  static const struct {
    uvdio_op_t op;
    const char* path;
    uvdio_fault_kind_t kind;
  } faults[] = {
      {UVDIO_OP_WRITE, "*pages", UVDIO_FAULT_ERROR}, {UVDIO_OP_WRITE, "*pages", UVDIO_FAULT_TORN},
      {UVDIO_OP_WRITE, "*pages", UVDIO_FAULT_SHORT}, {UVDIO_OP_WRITE, "*.seg", UVDIO_FAULT_ERROR},
      {UVDIO_OP_WRITE, "*.seg", UVDIO_FAULT_TORN},   {UVDIO_OP_WRITE, "*.seg", UVDIO_FAULT_SHORT},
      {UVDIO_OP_SYNC_DATA, "*", UVDIO_FAULT_ERROR},  {UVDIO_OP_READ, "*pages", UVDIO_FAULT_ERROR},
      {UVDIO_OP_NONE, "*", UVDIO_FAULT_ERROR},
  };
  unsigned which = random_below(random, sizeof(faults) / sizeof(faults[0]));
  uvdio_fault_rule_t rule = rule_for(faults[which].op, faults[which].kind);
  rule.path = faults[which].path;
  rule.skip = random_below(random, 30);
  rule.times = 1;
  add_rule(w, rule);
}

static void run_world_of(uint64_t seed, int with_faults) {
  struct random random = {seed};
  struct world* w = make_world(seed, &random);
  for (unsigned i = 0; i < LIVES_PER_WORLD; i++) {
    begin_open(w, &random);
    if (random_below(&random, 6) == 0) {
      turn(w, random_below(&random, 60)); /* and the next cut meets the recovery */
    } else {
      end_open(w, &random);
      check_table(w);
      if (with_faults) {
        add_fault(w, &random);
      }
      live(w, &random);
      stops += with_faults && life.error != 0;
    }
    end_life(w, &random);
  }
  end_world(w);
}

static void acknowledged_adds_survive_cuts(void** state) {
  (void)state;
  for (uint64_t seed = first_seed; seed < first_seed + worlds; seed++) {
    run_world_of(seed, 0);
  }
  assert_true(acknowledged > worlds && cuts_made > worlds);
  assert_true(worlds < WORLDS || (total.torn > 0 && survived > 0 && kept_out > 0));
}

static void and_faults(void** state) {
  (void)state;
  for (uint64_t seed = first_seed + 10000000; seed < first_seed + 10000000 + worlds; seed++) {
    run_world_of(seed, 1);
  }
  assert_true(worlds < WORLDS || stops > 0);
}

/* Each add waits for up to three frames, and four are all there are. */
static void few_frames_are_enough(void** state) {
  struct store_options options = {.pages = PAGES, .frames = STORE_FETCH_MAX};
  struct random random = {5};
  struct world* w = make_world(5, &random);
  (void)state;
  assert_ok(store_open(&life.store, w->engine, "store", &options, on_open, NULL));
  run_world(w);
  while (life.count < ADDS_MAX) {
    assert_ok(begin_add(&random));
  }
  run_world(w);
  assert_int_equal(life.ended, ADDS_MAX);
  assert_ok(life.error);
  check_table(w);
  close_store(w);
  end_world(w);
}

/* Eight clients add to one page, each again from its callback, so that changes of it are always
 * pending: checkpoints end all the same. */
static void on_hot(struct store_op* op, int status) {
  life.error = status;
  life.ended++;
  if (status == 0 && life.ended < HOT_ADDS) {
    assert_ok(store_add(life.store, op, &hot_change, 1, on_hot));
    life.count++;
  }
}

static void hot_page_holds_up_no_checkpoint(void** state) {
  struct store_options options = {.pages = PAGES, .checkpoint_size = (uint64_t)64 * 1024};
  struct random random = {9};
  struct store_stats stats;
  struct world* w = make_world(9, &random);
  (void)state;
  assert_ok(store_open(&life.store, w->engine, "store", &options, on_open, NULL));
  run_world(w);
  for (; life.count < 8; life.count++) {
    assert_ok(store_add(life.store, &life.adds[life.count].op, &hot_change, 1, on_hot));
  }
  run_world(w);
  assert_ok(life.error);
  store_stats(life.store, &stats);
  assert_true(stats.checkpoints > 5);
  assert_int_equal(read_cell(w, 1, 0), life.count);
  close_store(w);
  end_world(w);
}

/* What has rotted, and the log has no image of, is not handed out; other pages still are, and the
 * store goes on. */
static void damaged_page_is_told_of(void** state) {
  struct store_options options = {.pages = PAGES};
  struct store_change change = {cell_of(0, 0), 1};
  struct random random = {7};
  struct world* w = make_world(7, &random);
  struct add* add = &life.adds[0];
  (void)state;
  add->op.data = add;
  assert_ok(store_open(&life.store, w->engine, "store", &options, on_open, NULL));
  run_world(w);
  assert_ok(uvdio_sim_corrupt(w->sim, "store/pages", 0, PAGE));
  assert_ok(store_get(life.store, &add->op, cell_of(0, 0), on_got));
  run_world(w);
  assert_code(life.got_status, UVDIO_EDAMAGED);
  assert_ok(store_add(life.store, &add->op, &change, 1, on_got));
  run_world(w);
  assert_code(life.got_status, UVDIO_EDAMAGED);
  assert_int_equal(life.got, 2);
  assert_int_equal(read_cell(w, 4, 0), 0);
  close_store(w);
  end_world(w);
}

static unsigned long long ull(uint64_t number) {
  return number;
}

static int report(void** state) {
  (void)state;
  print_figure(acknowledged, "adds acknowledged");
  print_figure(cuts_made, "power cuts and crashes");
  printf("# %llu more survived; %llu stores stopped; %llu kept out\n", ull(survived), ull(stops),
         ull(kept_out));
  printf("# %llu records replayed, %llu torn pages mended, %llu images, %llu checkpoints\n",
         ull(total.replayed), ull(total.torn), ull(total.images), ull(total.checkpoints));
  printf("# %llu adds by %llu flushes of the log; %llu pages by %llu writes\n", ull(total.adds),
         ull(total.flushes), ull(total.pages_written), ull(total.writes));
  return 0;
}

/* A store that is broken on purpose has to be found out. Its world is left as it is then: nothing
 * is looked at that ends after main(). */
static int run_broken(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(acknowledged_adds_survive_cuts)};
  (void)setenv("CMOCKA_MESSAGE_OUTPUT", "STDOUT", 1); /* TAP would be counted */
  int failed = cmocka_run_group_tests_name("store, broken", tests, NULL, NULL);
  printf("# %llu power cuts and crashes\n", ull(cuts_made));
  fflush(NULL);
  _exit(failed > 0 ? 0 : 1);
}

/* example_store_worlds [--broken | FIRST_SEED WORLDS] */
int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(acknowledged_adds_survive_cuts),
      cmocka_unit_test(and_faults),
      cmocka_unit_test(few_frames_are_enough),
      cmocka_unit_test(hot_page_holds_up_no_checkpoint),
      cmocka_unit_test(damaged_page_is_told_of),
  };
  if (argc == 2 && strcmp(argv[1], "--broken") == 0) {
    return run_broken();
  }
  if (argc == 3) {
    first_seed = strtoull(argv[1], NULL, 10);
    worlds = strtoull(argv[2], NULL, 10);
  }
  return cmocka_run_group_tests_name("store", tests, NULL, report);
}
