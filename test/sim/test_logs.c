/* SPDX-License-Identifier: MIT */
/*
 * Logs under power cuts, crashes and faults: what was acknowledged is replayed, in its order and
 * whole; what follows is what was on its way, in its order; and nothing else ever is. What a reader
 * was given while the log grew is replayed as well.
 */
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "uvdio/log_reader.h"
#include "world.h"

#define RECORDS_MAX 3000u
#define PIECES 40u
#define LIVES_PER_WORLD 8u
#define WORLDS 150u
#define SEGMENT ((uint64_t)64 * 1024)
#define RECORD_MAX 40000u

/* What is known of a record. */
struct record {
  size_t length;
  uint64_t lsn; /* 0: not told yet */
  unsigned salt;
};

struct piece {
  uvdio_log_append_t append;
  unsigned number;
  char* bytes;
};

static struct {
  struct record records[RECORDS_MAX];
  unsigned count;        /* records that were appended, in all lives, and not lost */
  unsigned acknowledged; /* the first so many are durable */
  uint64_t cut;          /* records before this LSN need not be replayed */
  unsigned salt;
  /* This life. */
  uvdio_log_t* log;
  struct piece pieces[PIECES];
  unsigned used;
  unsigned ended;
  unsigned after_an_error;
  int error;
  int opened;
  int status;
  unsigned replayed;
  unsigned next; /* number of the record that is replayed next */
  unsigned wrong;
} life;

/* A reader of this life's log. */
static struct {
  struct random random;
  uvdio_log_reader_t* reader;
  unsigned next; /* number of the record that it gives next */
  int is_begun;  /* which is known */
  int has_pin;
  int is_closing;
  int is_waiting;
  unsigned waits; /* that have begun, and have not ended */
  unsigned given; /* the first so many records were given, of those that were not cut off */
} tail;

static uint64_t promises;
static uint64_t given;
static uint64_t waited;
static uint64_t cut_off;
static uint64_t cuts_made;
static uint64_t kept_out;
static uint64_t first_seed = 1;
static uint64_t worlds = WORLDS;

static char byte_of(const struct record* record, size_t at) {
  return (char)(record->salt + at * 31 + (at >> 7));
}

static int is_same(const struct record* record, const char* bytes, size_t length) {
  if (length != record->length) {
    return 0;
  }
  for (size_t i = 0; i < length; i++) {
    if (bytes[i] != byte_of(record, i)) {
      return 0;
    }
  }
  return 1;
}

/* The first record may be any whose LSN is known, or the first that was not acknowledged. */
static unsigned find_first(uint64_t lsn) {
  for (unsigned i = 0; i < life.count; i++) {
    if (life.records[i].lsn == lsn) {
      return i;
    }
  }
  return life.acknowledged;
}

static void on_record(uint64_t lsn, const void* data, size_t length, void* arg) {
  (void)arg;
  unsigned number = life.replayed++ == 0 ? find_first(lsn) : life.next;
  if (number >= life.count || !is_same(&life.records[number], data, length) ||
      (life.records[number].lsn != 0 && life.records[number].lsn != lsn)) {
    life.wrong++;
    return;
  }
  if (life.replayed == 1) {
    for (unsigned i = 0; i < number; i++) {
      life.wrong += life.records[i].lsn >= life.cut;
    }
  }
  life.records[number].lsn = lsn;
  life.next = number + 1;
}

static void on_open(uvdio_log_t* log, int status, void* arg) {
  (void)log;
  (void)arg;
  life.opened++;
  life.status = status;
}

static void on_append(uvdio_log_append_t* append, int status) {
  struct piece* piece = append->data;
  if (status == 0) {
    life.wrong += piece->number != life.acknowledged;
    life.after_an_error += life.error != 0;
    life.records[piece->number].lsn = append->lsn;
    life.acknowledged++;
    promises++;
  } else {
    life.error = status;
  }
  life.ended++;
  free(piece->bytes);
}

static uvdio_log_options_t random_options(struct random* random, int may_pack) {
  uvdio_log_options_t options = {.segment_size = SEGMENT};
  options.buffer_size = PAGE << random_below(random, 4);
  options.flags = may_pack && random_below(random, 2) == 0 ? UVDIO_LOG_PACKED : 0;
  return options;
}

static void open_log(struct world* w, const uvdio_log_options_t* options) {
  life.used = life.ended = life.after_an_error = life.replayed = 0;
  life.error = life.opened = life.status = 0;
  life.next = life.acknowledged;
  assert_ok(uvdio_log_open(&life.log, w->engine, "wal", options, on_record, on_open, NULL));
}

/* All that was acknowledged is there, and what more there is stays; what a reader was given is. */
static void check_replay(void) {
  assert_int_equal(life.opened, 1);
  assert_ok(life.status);
  assert_int_equal(life.wrong, 0);
  if (life.replayed > 0) {
    assert_true(life.next >= tail.given);
    assert_true(life.next >= life.acknowledged && life.next <= life.count);
    life.acknowledged = life.next;
  } else {
    for (unsigned i = 0; i < life.acknowledged; i++) {
      assert_true(life.records[i].lsn < life.cut);
    }
  }
  life.count = life.acknowledged;
}

static size_t random_length(struct random* random) {
  size_t most = random_below(random, 6) == 0 ? RECORD_MAX : 1u << (1 + random_below(random, 11));
  return 1 + random_below(random, (unsigned)most);
}

static void append_of(size_t length) {
  struct piece* piece = &life.pieces[life.used];
  struct record* record = &life.records[life.count];
  memset(piece, 0, sizeof(*piece));
  *record = (struct record){length, 0, life.salt += 57};
  piece->number = life.count;
  piece->append.data = piece;
  piece->bytes = malloc(record->length);
  assert_non_null(piece->bytes);
  for (size_t i = 0; i < record->length; i++) {
    piece->bytes[i] = byte_of(record, i);
  }
  int code = uvdio_log_append(life.log, &piece->append, piece->bytes, record->length, on_append);
  if (code == 0) {
    life.used++;
    life.count++;
  } else {
    assert_code(code, UV_EIO);
    free(piece->bytes);
    life.error = code;
  }
}

static void append_durably(struct world* w, size_t length) {
  append_of(length);
  while (life.acknowledged < life.count && uv_run(&w->loop, UV_RUN_ONCE) != 0) {
  }
}

/*
 * The reader
 */

static void on_ready(int status, void* arg) {
  (void)arg;
  tail.waits--;
  tail.is_waiting = 0;
  life.wrong += tail.is_closing ? status != UV_ECANCELED && status != 0 : status != 0;
}

static void on_reader_closed(int status, void* arg) {
  (void)arg;
  tail.is_closing = 0;
  if (status == 0) {
    tail.reader = NULL;
  } else {
    assert_code(status, UV_EBADF);
  }
}

/* From the first record that is there, or from one that is known. */
static void begin_to_follow(void) {
  struct random* random = &tail.random;
  uvdio_log_reader_options_t options = {.buffer_size = 4 * PAGE};
  unsigned number = life.acknowledged;
  tail.is_begun = tail.is_waiting = 0;
  tail.has_pin = random_below(random, 2) == 0;
  options.flags = tail.has_pin ? UVDIO_LOG_READER_PIN : 0;
  if (life.acknowledged > 0 && random_below(random, 3) > 0) {
    number = random_below(random, life.acknowledged);
    options.begin = life.records[number].lsn;
    tail.is_begun = 1;
    tail.next = number;
  }
  int code = uvdio_log_reader_create(&tail.reader, life.log, &options);
  assert_true(code == 0 || code == UV_EIO ||
              (code == UVDIO_ECUT && life.records[number].lsn < life.cut));
  tail.reader = code == 0 ? tail.reader : NULL;
}

static void check_given(const uvdio_log_record_t* record) {
  if (!tail.is_begun) {
    tail.next = find_first(record->lsn);
    tail.is_begun = 1;
  }
  life.wrong += tail.next >= life.count ||
                !is_same(&life.records[tail.next], record->bytes, record->length) ||
                (life.records[tail.next].lsn != 0 && life.records[tail.next].lsn != record->lsn);
  tail.next++;
  tail.given = tail.next > tail.given ? tail.next : tail.given;
  given++;
}

static void take_some(void) {
  uvdio_log_record_t record;
  int code = 0;
  for (unsigned i = random_below(&tail.random, 12); i > 0 && code == 0; i--) {
    code = uvdio_log_reader_take(tail.reader, &record);
    if (code == 0) {
      check_given(&record);
    }
  }
  cut_off += code == UVDIO_ECUT;
  assert_true(code == 0 || code == UV_EAGAIN || code == UV_EIO ||
              (code == UVDIO_ECUT && !tail.has_pin));
  if (code == UV_EAGAIN && random_below(&tail.random, 2) == 0) {
    assert_ok(uvdio_log_reader_wait(tail.reader, on_ready, NULL));
    tail.is_waiting = 1;
    tail.waits++;
    waited++;
  }
}

static void follow(void) {
  if (tail.reader == NULL) {
    if (random_below(&tail.random, 3) == 0) {
      begin_to_follow();
    }
  } else if (!tail.is_closing && random_below(&tail.random, 24) == 0) {
    assert_ok(uvdio_log_reader_close(tail.reader, on_reader_closed, NULL));
    tail.is_closing = 1;
  } else if (!tail.is_closing && !tail.is_waiting) {
    take_some();
  }
}

static void stop_following(void) {
  assert_int_equal(tail.waits, 0);
  assert_int_equal(tail.is_closing, 0);
  if (tail.reader != NULL) {
    assert_ok(uvdio_log_reader_destroy(tail.reader));
    tail.reader = NULL;
  }
}

static void live(struct world* w, struct random* random) {
  unsigned count = random_below(random, PIECES);
  while (life.used < count && life.error == 0 && life.count < RECORDS_MAX) {
    append_of(random_length(random));
    turn(w, random_below(random, 5));
    follow();
    if (random_below(random, 8) == 0 && life.acknowledged > 0) {
      const struct record* record = &life.records[random_below(random, life.acknowledged)];
      if (random_below(random, 8) == 0) { /* as far as it can: to the last one */
        int code = uvdio_log_cut(life.log, UINT64_MAX);
        assert_true(code == 0 || code == UV_EIO); /* which appends may be told of later */
        record = &life.records[life.acknowledged - 1];
        life.cut = code == 0 && record->lsn > life.cut ? record->lsn : life.cut;
      }
      if (record->lsn > life.cut && uvdio_log_cut(life.log, record->lsn) == 0) {
        life.cut = record->lsn;
      }
    }
  }
  for (unsigned i = random_below(random, 16); i > 0; i--) {
    turn(w, random_below(random, 10));
    follow();
  }
}

static void close_log(struct world* w) {
  assert_ok(uvdio_log_close(life.log, NULL, NULL));
  (void)uv_run(&w->loop, UV_RUN_DEFAULT);
}

/* What a program that crashed has left in flight keeps its successor out, by the locks. */
static void wait_for_the_dead(struct world* w) {
  uvdio_log_options_t options = {.segment_size = SEGMENT};
  open_log(w, &options);
  (void)uv_run(&w->loop, UV_RUN_DEFAULT);
  assert_int_equal(life.opened, 1);
  assert_true(life.status == 0 || life.status == UVDIO_ELOCKED);
  kept_out += life.status != 0;
  if (life.status == 0) {
    check_replay();
  }
  close_log(w);
  assert_true(uvdio_sim_settle(w->sim) >= 0);
}

/* The power, or the programs. */
static void end_life(struct world* w, struct random* random) {
  static const uvdio_sim_cut_t kinds[] = {UVDIO_SIM_CUT_SEEDED, UVDIO_SIM_CUT_SEEDED,
                                          UVDIO_SIM_CUT_NOTHING, UVDIO_SIM_CUT_CRASH};
  unsigned acknowledged = life.acknowledged;
  uvdio_sim_cut_t kind = kinds[random_below(random, 4)];
  assert_ok(uvdio_sim_power_cut(w->sim, kind));
  assert_ok(uvdio_sim_clear_rules(w->sim));
  bury(w);
  assert_int_equal(life.opened, 1);
  assert_int_equal(life.ended, life.used);
  assert_int_equal(life.acknowledged, acknowledged);
  assert_int_equal(life.after_an_error, 0);
  stop_following();
  assert_ok(uvdio_log_destroy(life.log));
  (void)uv_run(&w->loop, UV_RUN_DEFAULT);
  cuts_made++;
  start(w);
  if (kind == UVDIO_SIM_CUT_CRASH) {
    wait_for_the_dead(w);
  }
}

/* A world with the directory of a log, of which nothing is known. */
static struct world* make_world(const uvdio_sim_options_t* options) {
  uvdio_req_t req = {0};
  void* inner = NULL;
  memset(&life, 0, sizeof(life));
  memset(&tail, 0, sizeof(tail));
  assert_ok(world_make(&inner, options));
  struct world* w = inner;
  start(w);
  assert_ok(uvdio_mkdir(w->engine, &req, "wal", 0700, NULL));
  assert_ok(uvdio_sync_directory(w->engine, &req, ".", NULL));
  return w;
}

static void end_world(struct world* w) {
  void* inner = w;
  w->tracker.finished = w->tracker.accepted;
  assert_ok(world_tear_down(&inner));
}

static void add_fault(struct world* w, struct random* random) {
  uvdio_fault_rule_t rule = {0};
  rule.fault.kind = random_below(random, 2) == 0 ? UVDIO_FAULT_ERROR : UVDIO_FAULT_SHORT;
  rule.skip = random_below(random, 30);
  rule.times = 1;
  add_rule(w, rule);
}

static void run_world_of(uint64_t seed, int with_faults) {
  struct random random = {seed};
  uvdio_sim_options_t options = {.seed = seed, .landing_max = 1 + random_below(&random, 400)};
  int may_pack = seed % 2 == 0;
  options.sector_size = may_pack ? (uint32_t)PAGE : 0;
  struct world* w = make_world(&options);
  tail.random = (struct random){seed + 77};
  for (unsigned i = 0; i < LIVES_PER_WORLD; i++) {
    uvdio_log_options_t how = random_options(&random, may_pack);
    open_log(w, &how);
    if (random_below(&random, 6) == 0) {
      turn(w, random_below(&random, 30)); /* and the next cut meets the recovery */
    } else {
      (void)uv_run(&w->loop, UV_RUN_DEFAULT);
      check_replay();
      if (with_faults) {
        add_fault(w, &random);
      }
      live(w, &random);
    }
    end_life(w, &random);
    assert_int_equal(life.wrong, 0);
  }
  end_world(w);
}

static void acknowledged_records_survive_cuts(void** state) {
  (void)state;
  for (uint64_t seed = first_seed; seed < first_seed + worlds; seed++) {
    run_world_of(seed, 0);
  }
  assert_true(promises > worlds && cuts_made > worlds && (kept_out > 0 || worlds < WORLDS));
  assert_true(given > worlds && waited > worlds && (cut_off > 0 || worlds < WORLDS));
}

static void nothing_is_acknowledged_after_a_fault(void** state) {
  (void)state;
  for (uint64_t seed = first_seed + 10000000; seed < first_seed + 10000000 + worlds; seed++) {
    run_world_of(seed, 1);
  }
}

/* A segment that was cut off is open for a while, and locked: it is used again after that. */
static void slow_closes_keep_nobody_out(void** state) {
  uvdio_fault_rule_t slow = {.op = UVDIO_OP_CLOSE};
  uvdio_sim_options_t options = {.seed = 3};
  uvdio_log_options_t how = {.segment_size = SEGMENT};
  struct random random = {3};
  (void)state;
  slow.fault.kind = UVDIO_FAULT_DELAY;
  slow.fault.steps = 3000;
  struct world* w = make_world(&options);
  open_log(w, &how);
  (void)uv_run(&w->loop, UV_RUN_DEFAULT);
  add_rule(w, slow);
  for (unsigned i = 0; i < 60; i++) {
    life.used = 0;
    append_durably(w, 20000 + random_below(&random, 5000));
    assert_ok(life.error);
    assert_int_equal(life.acknowledged, life.count);
    assert_ok(uvdio_log_cut(life.log, life.records[life.acknowledged - 1].lsn));
  }
  uvdio_log_stats_t stats;
  assert_ok(uvdio_log_stats(life.log, &stats));
  assert_true(stats.segments_used_again > 5);
  close_log(w);
  end_world(w);
}

/* The crash of a program, or a cut; and the next program has an engine. */
static void end_program(struct world* w) {
  assert_ok(uvdio_sim_clear_rules(w->sim));
  bury(w);
  assert_ok(uvdio_log_destroy(life.log));
  (void)uv_run(&w->loop, UV_RUN_DEFAULT);
  start(w);
  assert_true(uvdio_sim_settle(w->sim) >= 0);
}

static void open_and_check(struct world* w) {
  uvdio_log_options_t how = {.segment_size = SEGMENT};
  open_log(w, &how);
  (void)uv_run(&w->loop, UV_RUN_DEFAULT);
  check_replay();
  assert_int_equal(life.wrong, 0);
}

/* A program that crashes while a segment gets its name may leave one that is not durable: the next
 * program writes to it. */
static void names_of_the_dead_are_made_durable(void** state) {
  uvdio_fault_rule_t crash = {.op = UVDIO_OP_REPLACE};
  (void)state;
  crash.fault.kind = UVDIO_FAULT_CUT;
  crash.fault.cut = UVDIO_SIM_CUT_CRASH;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    uvdio_sim_options_t options = {.seed = seed};
    struct world* w = make_world(&options);
    open_and_check(w);
    add_rule(w, crash);
    while (sim_stats(w).crashes == 0) {
      append_of(15000);
      turn(w, 60);
    }
    end_program(w);
    open_and_check(w);
    uint64_t segment = 0;
    while (segment < 3) { /* which the first program was about to name */
      append_durably(w, 15000);
      segment = life.records[life.acknowledged - 1].lsn / SEGMENT;
    }
    assert_ok(uvdio_sim_power_cut(w->sim, UVDIO_SIM_CUT_NOTHING));
    end_program(w);
    open_and_check(w);
    close_log(w);
    end_world(w);
  }
}

static int report(void** state) {
  (void)state;
  printf("FIGURE %llu records acknowledged\n", (unsigned long long)promises);
  printf("FIGURE %llu power cuts\n", (unsigned long long)cuts_made);
  printf("FIGURE %llu records given to readers\n", (unsigned long long)given);
  return 0;
}

/* sim_logs [FIRST_SEED WORLDS] */
int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(acknowledged_records_survive_cuts),
      cmocka_unit_test(nothing_is_acknowledged_after_a_fault),
      cmocka_unit_test(slow_closes_keep_nobody_out),
      cmocka_unit_test(names_of_the_dead_are_made_durable),
  };
  if (argc == 3) {
    first_seed = strtoull(argv[1], NULL, 10);
    worlds = strtoull(argv[2], NULL, 10);
  }
  return cmocka_run_group_tests_name("logs", tests, NULL, report);
}
