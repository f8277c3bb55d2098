/* SPDX-License-Identifier: MIT */
/*
 * Programs end by a walk over the loop that closes every handle which is not closing yet, and take
 * the handles' `data` for their own. After uvdio_engine_close() a walk finds nothing of the
 * library's to close, whatever is still under way; and what is under way goes on without handles. A
 * walk that comes too early costs no more than the engine's further callbacks.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define MANY 50
#define HANDLES_MAX 64
#define PER_TURN 3

/*
 * Walks.
 */

struct walk {
  uv_handle_t* open[HANDLES_MAX]; /* those that are not closing */
  unsigned count;
  unsigned all;
  unsigned with_data;
};

static void look_at(uv_handle_t* handle, void* argument) {
  struct walk* walk = argument;
  walk->all++;
  walk->with_data += handle->data != NULL;
  if (!uv_is_closing(handle) && walk->count < HANDLES_MAX) {
    walk->open[walk->count++] = handle;
  }
}

static struct walk look(struct fixture* f) {
  struct walk walk = {0};
  uv_walk(&f->loop, look_at, &walk);
  return walk;
}

static void on_closed_by_walk(uv_handle_t* handle) {
  (void)handle;
}

enum order { FORWARDS, BACKWARDS };

/* Returns how many handles it closed. */
static unsigned walk_and_close(struct fixture* f, enum order order) {
  struct walk walk = look(f);
  for (unsigned i = 0; i < walk.count; i++) {
    unsigned number = order == FORWARDS ? i : walk.count - 1 - i;
    uv_close(walk.open[number], i % 2 == 0 ? on_closed_by_walk : NULL);
  }
  return walk.count;
}

/* A program's own structure, of which the library must not take anything. */
static void claim(uv_handle_t* handle, void* argument) {
  handle->data = argument;
}

static void write_many(struct fixture* f, struct tracked_op* writes[MANY]) {
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
}

static void assert_written(struct tracked_op* const writes[MANY]) {
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
  }
}

/* The engine is being closed: whatever is asserted comes after the loop has let go of everything.
 * */
static void end(struct fixture* f) {
  run(f);
  f->engine = NULL;
  assert_int_equal(f->closed, 1);
}

static void bind_engine(struct fixture* f) {
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(size->done, 1);
}

/*
 * Data.
 */

static void handles_have_no_data(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  struct walk before = look(f);
  write_many(f, writes);
  struct walk meanwhile = look(f);
  run(f);
  struct walk idle = look(f);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  struct walk closing = look(f);
  end(f);
  assert_true(before.all > 0 && closing.all > 0);
  assert_int_equal(before.with_data + meanwhile.with_data + idle.with_data + closing.with_data, 0);
}

/* On the handles of a program that fills in the data of whatever it finds. */
static void data_is_whoever_walks(void** state) {
  struct fixture* f = *state;
  static char rubbish[256];
  struct tracked_op* writes[MANY];
  memset(rubbish, 0xee, sizeof(rubbish));
  uv_walk(&f->loop, claim, rubbish);
  write_many(f, writes);
  run(f);
  assert_written(writes);
  write_many(f, writes);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  uv_walk(&f->loop, claim, rubbish);
  end(f);
  assert_written(writes);
}

/*
 * After the close.
 */

static void nothing_is_left_to_close(void** state) {
  struct fixture* f = *state;
  struct walk alive = look(f);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  struct walk closing = look(f);
  end(f);
  assert_true(alive.count > 0);
  assert_int_equal(closing.count, 0);
}

static void idle_engine_closes_within_one_turn(void** state) {
  struct fixture* f = *state;
  const uv_run_mode modes[] = {UV_RUN_NOWAIT, UV_RUN_ONCE};
  if (matrix.backend == UVDIO_BACKEND_AIO) {
    SKIP("a worker has to give the kernel's context back");
  }
  for (unsigned i = 0; i < 4; i++) {
    start_engine(f, matrix_options());
    if (i >= 2) {
      memset(&f->file, 0, sizeof(f->file));
      open_now(f, &f->file, "file", UVDIO_OPEN_RW);
      bind_engine(f);
      assert_result(t_close(op_now(&f->tracker), &f->file), 0);
    }
    assert_ok(t_engine_close(f->engine, on_engine_closed));
    int alive = uv_run(&f->loop, modes[i % 2]);
    unsigned closed = f->closed;
    end(f);
    assert_int_equal(alive, 0);
    assert_int_equal(closed, 1);
  }
}

static void drains_after_a_walk(struct fixture* f, enum order order, uv_run_mode mode) {
  struct tracked_op* writes[MANY];
  unsigned found;
  write_many(f, writes);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  found = walk_and_close(f, order);
  found += walk_and_close(f, order);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  found += walk_and_close(f, order);
  run_in_mode(f, mode);
  end(f);
  assert_int_equal(found, 0);
  assert_written(writes);
  assert_result(sync, 0);
}

/* Of an engine whose loop has never run, and of one that knows its thread. Files are left open. */
static void requests_are_drained_after_a_walk(void** state) {
  struct fixture* f = *state;
  const uv_run_mode modes[] = {UV_RUN_DEFAULT, UV_RUN_ONCE, UV_RUN_NOWAIT};
  for (unsigned i = 0; i < 12; i++) {
    memset(&f->file, 0, sizeof(f->file));
    memset(&f->other, 0, sizeof(f->other));
    start_engine(f, matrix_options());
    open_now(f, &f->file, "file", UVDIO_OPEN_RW);
    open_now(f, &f->other, "other", UVDIO_OPEN_RW);
    if (i >= 6) {
      bind_engine(f);
    }
    drains_after_a_walk(f, i % 2 == 0 ? FORWARDS : BACKWARDS, modes[i % 3]);
  }
}

/* The walk comes at every turn of the loop. */
static void walks_may_come_at_any_time(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  unsigned found = 0;
  bind_engine(f);
  write_many(f, writes);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  watch_for_hang("an engine that is closed under walks");
  do {
    found += walk_and_close(f, FORWARDS);
  } while (uv_run(&f->loop, UV_RUN_ONCE) != 0);
  watch_for_hang(NULL);
  end(f);
  assert_int_equal(found, 0);
  assert_written(writes);
}

static void arenas_are_let_go_of(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, MANY);
  struct tracked_op* writes[MANY];
  int code = uvdio_arena_register(f->engine, f->arena);
  assert_true(code == 0 || code == UV_ENOTSUP || code == UV_ENOMEM);
  bind_engine(f);
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t frame;
    assert_ok(uvdio_arena_acquire(f->arena, &frame));
    memset(frame.base, 1, PAGE);
    frame.len = PAGE;
    writes[i] = t_write(op_new(&f->tracker), &f->file, &frame, (uint64_t)i * PAGE);
  }
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  unsigned found = walk_and_close(f, FORWARDS);
  end(f);
  assert_int_equal(found, 0);
  assert_written(writes);
}

static void close_and_walk(struct tracked_op* op) {
  struct fixture* f = op->data;
  if (t_engine_close(f->engine, on_engine_closed) != 0 || walk_and_close(f, BACKWARDS) != 0) {
    tracker_violation(&f->tracker, "a close and a walk from a callback");
  }
}

static void callback_may_close_and_walk(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* first = t_write(op_then(&f->tracker, close_and_walk, f), &f->file, &page, 0);
  write_many(f, writes);
  end(f);
  assert_result(first, PAGE);
  assert_written(writes);
}

static void on_user_handle_closed(uv_handle_t* handle) {
  struct fixture* f = handle->data;
  if (t_engine_close(f->engine, on_engine_closed) != 0 || walk_and_close(f, FORWARDS) != 0) {
    tracker_violation(&f->tracker, "a close and a walk from the callback of a handle's close");
  }
}

static void close_callback_may_close_and_walk(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  uv_timer_t timer;
  assert_int_equal(uv_timer_init(&f->loop, &timer), 0);
  timer.data = f;
  bind_engine(f);
  write_many(f, writes);
  uv_close((uv_handle_t*)&timer, on_user_handle_closed);
  end(f);
  assert_written(writes);
}

static void requests_can_be_cancelled_meanwhile(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[MANY];
  bind_engine(f);
  for (unsigned i = 0; i < MANY; i++) {
    reads[i] = read_page(f, i);
  }
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  walk_and_close(f, FORWARDS);
  for (unsigned i = 0; i < MANY; i++) {
    int code = t_cancel(reads[i]);
    assert_true(code == 0 || code == UV_EBUSY);
  }
  end(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_true(reads[i]->done == 1 && (reads[i]->result == 0 || reads[i]->result == UV_ECANCELED));
  }
}

/*
 * Turns, as a check handle of the user's sees them.
 */

struct onlooker {
  struct fixture* f;
  uv_check_t check;
  unsigned seen;
  unsigned most;
};

static void look_in_check(uv_check_t* check) {
  struct onlooker* onlooker = check->data;
  unsigned finished = onlooker->f->tracker.finished;
  unsigned called = finished - onlooker->seen;
  onlooker->most = called > onlooker->most ? called : onlooker->most;
  onlooker->seen = finished;
}

static int few_callbacks_per_turn(void** state) {
  uvdio_engine_options_t options = {0};
  options.callbacks_max = PER_TURN;
  return fixture_open_with(state, options);
}

static void others_get_their_turns_meanwhile(void** state) {
  struct fixture* f = *state;
  struct onlooker onlooker = {.f = f};
  struct tracked_op* writes[MANY];
  assert_int_equal(uv_check_init(&f->loop, &onlooker.check), 0);
  assert_int_equal(uv_check_start(&onlooker.check, look_in_check), 0);
  uv_unref((uv_handle_t*)&onlooker.check);
  onlooker.check.data = &onlooker;
  write_many(f, writes);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  run(f);
  uv_close((uv_handle_t*)&onlooker.check, NULL);
  end(f);
  assert_written(writes);
  assert_in_range(onlooker.most, 1, PER_TURN);
}

static void engines_drain_beside_each_other(void** state) {
  struct fixture* f = *state;
  static struct {
    uvdio_engine_t* engine;
    uvdio_file_t file;
    struct tracked_op* writes[MANY];
  } others[3];
  const char* const names[] = {"a", "b", "c"};
  struct tracked_op* writes[MANY];
  uvdio_engine_options_t options = matrix_options();
  for (unsigned i = 0; i < COUNT_OF(others); i++) {
    memset(&others[i], 0, sizeof(others[i]));
    assert_ok(uvdio_engine_create(&others[i].engine, &f->loop, &options));
    struct tracked_op* open = t_open(op_now(&f->tracker), others[i].engine, &others[i].file,
                                     path_of(f, names[i]), UVDIO_OPEN_RW);
    assert_result(open, 0);
    for (unsigned k = 0; k < MANY; k++) {
      uvdio_buf_t page = filled(PAGE, k);
      others[i].writes[k] =
          t_write(op_new(&f->tracker), &others[i].file, &page, (uint64_t)k * PAGE);
    }
    assert_ok(t_engine_close(others[i].engine, NULL));
  }
  write_many(f, writes);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  walk_and_close(f, FORWARDS);
  end(f);
  assert_written(writes);
  for (unsigned i = 0; i < COUNT_OF(others); i++) {
    assert_written(others[i].writes);
  }
}

/*
 * Before the close: the user's mistake, for which nobody pays with an abort.
 */

/* The loop is through with the handles by then: they are gone with the engine. */
static void on_last_closed(uvdio_engine_t* engine) {
  struct fixture* f = uvdio_engine_data(engine);
  unsigned left = look(f).all;
  if (left != 0) {
    tracker_violation(&f->tracker, "an engine is closed with %u of its handles on the loop", left);
  }
  on_engine_closed(engine);
}

/* Each of these is closed after the walk: before the loop has run, or when it is through with the
 * handles. */
static void close_after_a_walk(struct fixture* f, int run_between, enum order order) {
  struct tracked_op* writes[MANY];
  memset(&f->file, 0, sizeof(f->file));
  start_engine(f, matrix_options());
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  bind_engine(f);
  write_many(f, writes);
  unsigned found = walk_and_close(f, order);
  if (run_between) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_ok(t_engine_close(f->engine, on_last_closed));
  assert_code(t_engine_close(f->engine, on_last_closed), UV_EBADF);
  end(f);
  assert_true(found > 0);
  assert_written(writes);
}

static void engine_can_be_closed_after_a_walk(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 8; i++) {
    close_after_a_walk(f, (i & 1) != 0, (i & 2) != 0 ? FORWARDS : BACKWARDS);
  }
}

static void idle_engine_can_be_closed_after_a_walk(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 4; i++) {
    start_engine(f, matrix_options());
    walk_and_close(f, FORWARDS);
    if ((i & 1) != 0) {
      run(f);
    }
    assert_ok(t_engine_close(f->engine, on_last_closed));
    walk_and_close(f, FORWARDS);
    end(f);
  }
}

static void begin_with_a_walk(struct fixture* f, int bound) {
  memset(&f->file, 0, sizeof(f->file));
  start_engine(f, matrix_options());
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  if (bound) {
    bind_engine(f);
  }
  walk_and_close(f, FORWARDS);
}

/* The first request of all, and others. */
static void engine_works_after_a_walk(struct fixture* f, int bound) {
  struct tracked_op* writes[MANY];
  begin_with_a_walk(f, bound);
  write_many(f, writes);
  assert_ok(t_engine_close(f->engine, on_last_closed));
  end(f);
  assert_written(writes);
}

static void requests_after_a_walk_break_nothing(void** state) {
  struct fixture* f = *state;
  engine_works_after_a_walk(f, 0);
  engine_works_after_a_walk(f, 1);
}

/* The walk comes while the idle handle is active, since nothing is sent before the loop turns: what
 * is submitted then wakes the engine all the same, which leaves the loop. */
static void walk_meets_an_idle_handle_that_is_active(void** state) {
  struct fixture* f = *state;
  memset(&f->file, 0, sizeof(f->file));
  start_engine(f, matrix_options());
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  struct tracked_op* before = write_page(f, 0);
  walk_and_close(f, FORWARDS);
  struct tracked_op* after = write_page(f, 1);
  run(f);
  assert_result(before, PAGE);
  assert_result(after, PAGE);
  assert_ok(t_engine_close(f->engine, on_last_closed));
  end(f);
}

/* One request, whose submission is the only reason for the engine to notice. */
static void one_request_after_a_walk_has_its_callback(void** state) {
  struct fixture* f = *state;
  for (unsigned bound = 0; bound < 2; bound++) {
    begin_with_a_walk(f, (int)bound);
    struct tracked_op* write = write_page(f, 0);
    run(f);
    assert_result(write, PAGE);
    assert_ok(t_engine_close(f->engine, on_last_closed));
    end(f);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, handles_have_no_data),
      TEST_ON(fixture_open, data_is_whoever_walks),
      TEST_ON(fixture_open, nothing_is_left_to_close),
      TEST_ON(fixture_loop, idle_engine_closes_within_one_turn),
      TEST_ON(fixture_loop, requests_are_drained_after_a_walk),
      TEST_ON(fixture_open, walks_may_come_at_any_time),
      TEST_ON(fixture_open, arenas_are_let_go_of),
      TEST_ON(fixture_open, callback_may_close_and_walk),
      TEST_ON(fixture_open, close_callback_may_close_and_walk),
      TEST_ON(fixture_open, requests_can_be_cancelled_meanwhile),
      TEST_ON(few_callbacks_per_turn, others_get_their_turns_meanwhile),
      TEST_ON(fixture_open, engines_drain_beside_each_other),
      TEST_ON(fixture_loop, engine_can_be_closed_after_a_walk),
      TEST_ON(fixture_loop, idle_engine_can_be_closed_after_a_walk),
      TEST_ON(fixture_loop, requests_after_a_walk_break_nothing),
      TEST_ON(fixture_loop, walk_meets_an_idle_handle_that_is_active),
      TEST_ON(fixture_loop, one_request_after_a_walk_has_its_callback),
  };
  return matrix_main("loop_handles", tests, COUNT_OF(tests), argc, argv);
}
