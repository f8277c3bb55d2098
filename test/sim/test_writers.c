/* SPDX-License-Identifier: MIT */
/*
 * Streams that write (uvdio/stream.h) under power cuts and faults: what was given before a sync
 * that has ended well is there, and what a durable close has left is the whole file; behind it lie
 * zeros or bytes that were given later.
 */
#include <string.h>

#include "random.h"
#include "uvdio/stream.h"
#include "world.h"

#define FILE_MAX ((size_t)2 * 1024 * 1024)
#define STEPS 30u
#define FRAMES 12u
#define CUTS_PER_WORLD 6u
#define WORLDS 150u

/* From one start of the program to the next cut. */
struct life {
  uvdio_writer_t* writer;
  uint64_t end;     /* of the bytes that were given */
  uint64_t durable; /* of those that a sync has covered */
  uint64_t asked;   /* of those that the pending one covers */
  int is_syncing;
  int is_flushing;
  unsigned after_an_error;
  int error;
  int closed; /* calls of on_closed */
  int has_exact_size;
};

static char source[FILE_MAX]; /* the file's bytes: each life gives the same ones */
static uint64_t synced;
static uint64_t closed_durably;
static uint64_t cuts_made;

static void note(struct life* life, int status) {
  life->after_an_error += status == 0 && life->error != 0;
  life->error = life->error != 0 ? life->error : status;
}

static void on_synced(int status, void* arg) {
  struct life* life = arg;
  life->is_syncing = 0;
  note(life, status);
  if (status == 0) {
    life->durable = life->asked;
    synced++;
  }
}

static void on_flushed(int status, void* arg) {
  struct life* life = arg;
  life->is_flushing = 0;
  note(life, status);
}

static void on_closed(int status, void* arg) {
  struct life* life = arg;
  life->closed++;
  note(life, status);
  if (status == 0) {
    life->durable = life->end;
    life->has_exact_size = 1;
    closed_durably++;
  }
}

/* The name is durable, and the stream begins with the block in which the last one was cut off: with
 * what is known of it, since the rest of a block becomes zeros. */
static void begin_life(struct world* w, struct life* life, uvdio_arena_t* arena,
                       struct random* random, uint64_t durable) {
  static const unsigned flags[] = {0, 0, UVDIO_WRITER_NO_GROWTH};
  uvdio_writer_options_t options = {.begin = durable / PAGE * PAGE};
  memset(life, 0, sizeof(*life));
  life->durable = durable;
  life->end = options.begin;
  open_file(w, "file", UVDIO_OPEN_RW);
  assert_result(t_sync_all(op_now(&w->tracker), &w->file), 0);
  options.size_hint = random_below(random, 3) * (uint64_t)100000;
  options.window_max = random_below(random, 5);
  options.flags = flags[random_below(random, 3)] | UVDIO_WRITER_DURABLE;
  assert_ok(uvdio_writer_create(&life->writer, &w->file, arena, &options));
  if (durable > options.begin) {
    size_t length = (size_t)(durable - options.begin);
    assert_int_equal(uvdio_writer_write(life->writer, source + options.begin, length), length);
    life->end = durable;
  }
}

static void note_refusal(struct life* life, int64_t code) {
  if (code < 0 && code != UV_EAGAIN) {
    assert_code(code, UV_EIO);
    life->error = (int)code;
  }
}

static void write_bytes(struct life* life, struct random* random) {
  size_t length = 1 + random_below(random, 1u << (1 + random_below(random, 16)));
  int64_t written = uvdio_writer_write(life->writer, source + life->end, length);
  note_refusal(life, written);
  life->end += written > 0 ? (uint64_t)written : 0;
}

/* A frame, whole or not, where the bytes so far end with a block. */
static void put_frame(struct life* life, uvdio_arena_t* arena, struct random* random) {
  uvdio_buf_t buf;
  if (life->end % PAGE != 0 || uvdio_arena_acquire(arena, &buf) != 0) {
    return;
  }
  assert_ok(uvdio_buf_set_len(
      &buf, random_below(random, 3) == 0 ? 1 + random_below(random, (unsigned)buf.cap) : buf.cap));
  memcpy(buf.base, source + life->end, buf.len);
  size_t length = buf.len;
  int code = uvdio_writer_put(life->writer, &buf);
  note_refusal(life, code);
  life->end += code == 0 ? length : 0;
  assert_ok(uvdio_buf_release(&buf)); /* which is empty where it was taken */
}

static void sync_or_flush(struct life* life, struct random* random) {
  if (random_below(random, 2) == 0 && !life->is_syncing) {
    life->asked = life->end;
    int code = uvdio_writer_sync(life->writer, on_synced, life);
    note_refusal(life, code);
    life->is_syncing = code == 0;
  } else if (!life->is_flushing) {
    int code = uvdio_writer_flush(life->writer, on_flushed, life);
    note_refusal(life, code);
    life->is_flushing = code == 0;
  }
}

/* Returns whether the stream was closed. */
static int live(struct world* w, struct life* life, uvdio_arena_t* arena, struct random* random) {
  for (unsigned i = random_below(random, STEPS); i > 0 && life->error == 0; i--) {
    if (random_below(random, 4) == 0) {
      sync_or_flush(life, random);
    } else if (random_below(random, 3) == 0) {
      put_frame(life, arena, random);
    } else {
      write_bytes(life, random);
    }
    turn(w, random_below(random, 6));
  }
  int is_closed = random_below(random, 3) == 0;
  if (is_closed) {
    assert_ok(uvdio_writer_close(life->writer, on_closed, life));
  }
  turn(w, random_below(random, 80));
  return is_closed;
}

static void add_fault(struct world* w, struct random* random) {
  static const uvdio_op_t ops[] = {UVDIO_OP_WRITE, UVDIO_OP_SYNC_DATA, UVDIO_OP_TRUNCATE};
  uvdio_fault_rule_t rule = rule_for(ops[random_below(random, 3)], UVDIO_FAULT_ERROR);
  rule.skip = random_below(random, 8);
  rule.times = 1;
  add_rule(w, rule);
}

/* Cuts the power, and buries the stream with its engine. Returns where the next one goes on. */
static uint64_t end_life(struct world* w, struct life* life, struct random* random, int is_closed) {
  uint64_t durable = life->durable;
  int has_exact_size = life->has_exact_size;
  assert_ok(uvdio_sim_power_cut(
      w->sim, random_below(random, 4) == 0 ? UVDIO_SIM_CUT_NOTHING : UVDIO_SIM_CUT_SEEDED));
  assert_ok(uvdio_sim_clear_rules(w->sim));
  int64_t size = assert_survives(w, source, FILE_MAX, durable);
  assert_true(!has_exact_size || size == (int64_t)life->end);
  bury(w);
  assert_int_equal(life->closed, is_closed);
  assert_int_equal(life->is_syncing + life->is_flushing, 0);
  assert_int_equal(life->after_an_error, 0);
  assert_int_equal(life->durable, durable);
  if (!is_closed) {
    assert_ok(uvdio_writer_destroy(life->writer));
  }
  cuts_made++;
  start(w);
  return durable;
}

static void run_world_of(uint64_t seed, int with_faults) {
  static struct life life;
  uvdio_sim_options_t options = {.seed = seed};
  struct random random = {seed};
  uvdio_arena_options_t of_arena = {.frame_size = PAGE << random_below(&random, 4),
                                    .frame_count = FRAMES};
  uvdio_arena_t* arena;
  uint64_t durable = 0;
  void* inner = NULL;
  assert_ok(world_make(&inner, &options));
  struct world* w = inner;
  start(w);
  assert_ok(uvdio_arena_create(&arena, &of_arena));
  for (unsigned i = 0; i < CUTS_PER_WORLD && durable < FILE_MAX / 4; i++) {
    begin_life(w, &life, arena, &random, durable);
    if (with_faults) {
      add_fault(w, &random);
    }
    durable = end_life(w, &life, &random, live(w, &life, arena, &random));
  }
  size_t out = 0;
  assert_ok(uvdio_arena_destroy(arena, &out));
  assert_int_equal(out, 0);
  w->tracker.finished = w->tracker.accepted;
  assert_ok(world_tear_down(&inner));
}

static void synced_bytes_survive_cuts(void** state) {
  (void)state;
  for (uint64_t seed = 1; seed <= WORLDS; seed++) {
    run_world_of(seed, 0);
  }
  assert_true(synced > WORLDS / 2 && closed_durably > WORLDS / 10 && cuts_made > WORLDS);
}

static void nothing_is_synced_after_a_fault(void** state) {
  (void)state;
  for (uint64_t seed = 100001; seed <= 100000 + WORLDS; seed++) {
    run_world_of(seed, 1);
  }
}

static int fill_source(void** state) {
  struct random random = {5};
  (void)state;
  for (size_t i = 0; i < FILE_MAX; i++) {
    source[i] = (char)(1 + random_below(&random, 255));
  }
  return 0;
}

static int report(void** state) {
  (void)state;
  printf("FIGURE %llu syncs and closes\n", (unsigned long long)(synced + closed_durably));
  printf("FIGURE %llu power cuts\n", (unsigned long long)cuts_made);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(synced_bytes_survive_cuts),
      cmocka_unit_test(nothing_is_synced_after_a_fault),
  };
  return cmocka_run_group_tests_name("writers", tests, fill_source, report);
}
