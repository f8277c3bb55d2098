/* SPDX-License-Identifier: MIT */
/*
 * What is in flight: who goes on at once, who waits for whom and in which order, and what the
 * counters tell of that.
 *
 * An engine that knows its thread, and a file that has been read from: what may start does so in
 * the submitting call. Nothing ends before the loop runs, so that the counters tell exactly what
 * has started.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"
#include "workers.h"

static struct tracked_op* submit_read(struct fixture* f, struct tracked_op* op) {
  uvdio_buf_t page = blank(PAGE);
  return t_read(op, &f->file, &page, 0);
}

static struct tracked_op* submit_write(struct fixture* f, struct tracked_op* op) {
  uvdio_buf_t page = filled(PAGE, 1);
  return t_write(op, &f->file, &page, 0);
}

static int open_with(void** state, unsigned depth, unsigned per_turn) {
  uvdio_engine_options_t options = {0};
  options.depth = depth;
  options.callbacks_max = per_turn;
  return fixture_read_with(state, options, 1);
}

static int deep(void** state) {
  return open_with(state, 0, 0);
}

static int depth_1(void** state) {
  return open_with(state, 1, 0);
}

/*
 * Order.
 */

typedef struct tracked_op* (*submit_function)(struct fixture*, struct tracked_op*);

struct pusher {
  struct fixture* f;
  submit_function submit;
  struct tracked_op* late;
};

static void push_in(struct tracked_op* op) {
  struct pusher* pusher = op->data;
  pusher->late = pusher->submit(pusher->f, op_new(&pusher->f->tracker));
}

/* One ends, so that there is room, and in its callback another one is submitted: those that waited
 * go first. */
static void nothing_overtakes(struct fixture* f, submit_function submit) {
  struct pusher pusher = {f, submit, NULL};
  struct tracked_op* waiting[3];
  unsigned before = f->tracker.finished;
  if (!has_one_backend(&f->file)) {
    SKIP("two backends take turns");
  }
  submit(f, op_then(&f->tracker, push_in, &pusher));
  for (unsigned i = 0; i < COUNT_OF(waiting); i++) {
    waiting[i] = submit(f, op_new(&f->tracker));
  }
  assert_int_equal(stats_of(f).in_flight, 1);
  run(f);
  for (unsigned i = 0; i < COUNT_OF(waiting); i++) {
    assert_result(waiting[i], PAGE);
    assert_int_equal(waiting[i]->order, before + 2 + i);
  }
  assert_result(pusher.late, PAGE);
  assert_int_equal(pusher.late->order, before + 2 + COUNT_OF(waiting));
}

static void no_read_overtakes_what_waits(void** state) {
  nothing_overtakes(*state, submit_read);
}

static void no_write_overtakes_what_waits(void** state) {
  nothing_overtakes(*state, submit_write);
}

/* Room that gets free one at a time is shared out all the same: a size, which only the pool tells,
 * has its turn before all the reads that wait for the ring. */
static void no_backend_goes_without(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[8];
  if (has_one_backend(&f->file)) {
    SKIP("files of this filesystem have one backend");
  }
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    reads[i] = submit_read(f, op_new(&f->tracker));
  }
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  assert_int_equal(stats_of(f).in_flight, 1);
  run(f);
  assert_result(size, PAGE);
  assert_true(size->order < reads[3]->order);
}

enum { EARLY = 8 };

/* Before the loop has run, nothing is handed on; then all that there is room for. */
static void what_came_before_the_first_turn_starts_in_it(void** state) {
  struct fixture* f = *state;
  struct workers workers;
  if (!is_done_by(&f->file, "pool") || !has_one_backend(&f->file)) {
    SKIP("what starts can't be held there");
  }
  workers_occupy(&workers, &f->loop, WORKERS);
  for (unsigned i = 0; i < EARLY; i++) {
    submit_read(f, op_new(&f->tracker));
  }
  unsigned before = stats_of(f).in_flight;
  uv_run(&f->loop, UV_RUN_NOWAIT);
  unsigned after = stats_of(f).in_flight;
  workers_release(&workers);
  run(f);
  assert_int_equal(before, 0);
  assert_int_equal(after, EARLY);
}

/*
 * Waiting for others of the same file.
 */

static void assert_alone(struct fixture* f, const struct tracked_op* first,
                         const struct tracked_op* second) {
  assert_true(stats_of(f).in_flight <= 1);
  run(f);
  assert_true(first->result >= 0 || op_may_give(first->kind, first->result));
  assert_true(second->result >= 0);
  assert_true(first->order < second->order);
}

static void sync_does_not_start_beside_a_change(void** state) {
  struct fixture* f = *state;
  struct tracked_op* change = submit_write(f, op_new(&f->tracker));
  assert_alone(f, change, t_sync_data(op_new(&f->tracker), &f->file));
  change = t_truncate(op_new(&f->tracker), &f->file, PAGE);
  assert_alone(f, change, t_sync_all(op_new(&f->tracker), &f->file));
  change = t_preallocate(op_new(&f->tracker), &f->file, 2 * PAGE);
  assert_alone(f, change, t_sync_all(op_new(&f->tracker), &f->file));
  change = t_punch_hole(op_new(&f->tracker), &f->file, 0, PAGE);
  assert_alone(f, change, t_sync_all(op_new(&f->tracker), &f->file));
}

static void transfer_does_not_start_beside_a_truncate(void** state) {
  struct fixture* f = *state;
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, PAGE);
  assert_alone(f, truncate, submit_read(f, op_new(&f->tracker)));
  truncate = t_truncate(op_new(&f->tracker), &f->file, PAGE);
  assert_alone(f, truncate, submit_write(f, op_new(&f->tracker)));
}

static void others_do_start(void** state) {
  struct fixture* f = *state;
  submit_write(f, op_new(&f->tracker));
  submit_read(f, op_new(&f->tracker));
  t_zero_range(op_new(&f->tracker), &f->file, 0, PAGE);
  assert_int_equal(stats_of(f).in_flight, 3);
  run(f);
}

/* Where a preallocation may cut off what a write adds meanwhile, it is alone. */
static void preallocation_starts_where_nothing_is_lost(void** state) {
  struct fixture* f = *state;
  unsigned expected = on_memory() || system_provides("growth") ? 2 : 1;
  submit_write(f, op_new(&f->tracker));
  t_preallocate(op_new(&f->tracker), &f->file, 2 * PAGE);
  assert_int_equal(stats_of(f).in_flight, expected);
  run(f);
}

/*
 * Counters.
 */

enum { AT_ONCE = 5 };

static void most_at_a_time_is_remembered(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < AT_ONCE; i++) {
    submit_read(f, op_new(&f->tracker));
  }
  assert_int_equal(stats_of(f).in_flight_peak, AT_ONCE);
  run(f);
  submit_read(f, op_new(&f->tracker));
  run(f);
  assert_int_equal(stats_of(f).in_flight, 0);
  assert_int_equal(stats_of(f).in_flight_peak, AT_ONCE);
}

/* Neither a ring nor kernel AIO tells sizes. */
static void what_only_the_pool_can_do_is_counted(void** state) {
  struct fixture* f = *state;
  unsigned expected = is_sent_in_batches(&f->file) ? 3 : 0;
  uint64_t before = stats_of(f).punted;
  for (unsigned i = 0; i < 3; i++) {
    t_size(op_new(&f->tracker), &f->file);
    run(f);
  }
  assert_int_equal(stats_of(f).punted - before, expected);
}

/* A transfer of no bytes has nothing to wait for, and nothing to ask of anybody. */
static void nothing_to_move_does_not_start(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = blank(PAGE);
  page.len = 0;
  uvdio_engine_stats_t before = stats_of(f);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &page, 0);
  assert_int_equal(stats_of(f).in_flight, 0);
  run(f);
  assert_result(write, 0);
  assert_int_equal(stats_of(f).batches - before.batches, 0);
  assert_int_equal(stats_of(f).system_calls - before.system_calls, 0);
}

/* Files that are better off with a ring while others are in flight: the second one goes there, and
 * alone none does. */
static void second_transfer_is_in_company(void** state) {
  struct fixture* f = *state;
  if (has_one_backend(&f->file)) {
    SKIP("files of this filesystem have one backend");
  }
  assert_string_equal(info_of(&f->file).backend, "pool");
  assert_string_equal(info_of(&f->file).backend_concurrent, "ring");
  uint64_t before = stats_of(f).batches;
  submit_read(f, op_new(&f->tracker));
  assert_int_equal(stats_of(f).batches - before, 0);
  submit_read(f, op_new(&f->tracker));
  assert_int_equal(stats_of(f).batches - before, 1);
  run(f);
}

enum { LINKS = 20 };

static void next_link(struct tracked_op* op) {
  struct fixture* f = op->data;
  if (op->order % LINKS != 0) {
    submit_write(f, op_then(&f->tracker, next_link, f));
  }
}

static void assert_turns_of_a_chain(struct fixture* f, unsigned turns) {
  if (!on_memory() || matrix.simulated) {
    SKIP("elsewhere it takes its time");
  }
  uint64_t before = stats_of(f).iterations;
  submit_write(f, op_then(&f->tracker, next_link, f));
  run(f);
  assert_int_equal(f->tracker.finished, LINKS);
  assert_int_equal(stats_of(f).iterations - before, turns);
}

/* What callbacks submit is sent on before their turn is over, and in memory that is all that it
 * takes. */
static void what_callbacks_submit_is_sent_on_in_their_turn(void** state) {
  assert_turns_of_a_chain(*state, 1);
}

enum { PER_TURN = 5 };

static int few_per_turn(void** state) {
  return open_with(state, 0, PER_TURN);
}

/* Up to the last one that it may run. */
static void turn_runs_as_many_callbacks_as_it_may(void** state) {
  assert_turns_of_a_chain(*state, LINKS / PER_TURN);
}

enum { FEW = 4, SEVERAL = 4, MANY = 16 };

static uint64_t batches_of_reads(struct fixture* f, unsigned count) {
  uint64_t before = stats_of(f).batches;
  for (unsigned i = 0; i < count; i++) {
    submit_read(f, op_new(&f->tracker));
  }
  return stats_of(f).batches - before;
}

/* Each by itself as long as the device has next to nothing to do, then so many at a time as gather
 * with little to do, and with much; a batch that is full begins the next one with nothing. */
static void batches_grow_with_what_is_in_flight(void** state) {
  struct fixture* f = *state;
  if (!is_sent_in_batches(&f->file)) {
    SKIP("files of this filesystem are not sent in batches");
  }
  assert_int_equal(batches_of_reads(f, FEW), FEW);
  assert_int_equal(batches_of_reads(f, SEVERAL), 1);
  assert_int_equal(batches_of_reads(f, MANY), 1);
  assert_int_equal(batches_of_reads(f, MANY), 1);
  run(f);
}

struct onlooker {
  uv_prepare_t prepare;
  struct fixture* f;
  uint64_t batches;
};

static void look_at_batches(uv_prepare_t* prepare) {
  struct onlooker* onlooker = prepare->data;
  onlooker->batches = stats_of(onlooker->f).batches;
  uv_close((uv_handle_t*)prepare, NULL);
}

/* What has gathered outside of the engine's own turn is sent before the loop waits. */
static void gathered_batch_is_sent_before_the_loop_waits(void** state) {
  struct fixture* f = *state;
  struct onlooker onlooker = {.f = f};
  if (!is_sent_in_batches(&f->file)) {
    SKIP("files of this filesystem are not sent in batches");
  }
  uint64_t before = stats_of(f).batches;
  assert_int_equal(batches_of_reads(f, FEW + 1), FEW);
  onlooker.prepare.data = &onlooker;
  assert_ok(uv_prepare_init(&f->loop, &onlooker.prepare));
  assert_ok(uv_prepare_start(&onlooker.prepare, look_at_batches));
  run(f);
  assert_int_equal(onlooker.batches - before, FEW + 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(depth_1, no_read_overtakes_what_waits),
      TEST_ON(depth_1, no_write_overtakes_what_waits),
      TEST_ON(depth_1, no_backend_goes_without),
      TEST_ON(fixture_open, what_came_before_the_first_turn_starts_in_it),
      TEST_ON(deep, sync_does_not_start_beside_a_change),
      TEST_ON(deep, transfer_does_not_start_beside_a_truncate),
      TEST_ON(deep, others_do_start),
      TEST_ON(deep, preallocation_starts_where_nothing_is_lost),
      TEST_ON(deep, most_at_a_time_is_remembered),
      TEST_ON(deep, what_only_the_pool_can_do_is_counted),
      TEST_ON(deep, nothing_to_move_does_not_start),
      TEST_ON(deep, second_transfer_is_in_company),
      TEST_ON(deep, what_callbacks_submit_is_sent_on_in_their_turn),
      TEST_ON(few_per_turn, turn_runs_as_many_callbacks_as_it_may),
      TEST_ON(deep, batches_grow_with_what_is_in_flight),
      TEST_ON(deep, gathered_batch_is_sent_before_the_loop_waits),
  };
  workers_begin();
  return matrix_main("scheduling", tests, COUNT_OF(tests), argc, argv);
}
