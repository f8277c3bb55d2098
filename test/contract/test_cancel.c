/* SPDX-License-Identifier: MIT */
/* Cancelling is a request and not a promise: one callback follows either way, and the buffer comes
 * back with it. */
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define MANY 100

static void assert_either(const struct tracked_op* op, int64_t result) {
  assert_int_equal(op->done, 1);
  assert_true(op->result == result || op->result == UV_ECANCELED);
}

static void queued_requests_are_cancelled(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  for (unsigned i = 1; i < MANY; i++) {
    assert_ok(t_cancel(writes[i]));
  }
  run(f);
  assert_result(writes[0], PAGE);
  for (unsigned i = 1; i < MANY; i++) {
    assert_result(writes[i], UV_ECANCELED);
    assert_int_equal(writes[i]->req.transferred, 0);
    assert_true(is_pattern(writes[i]->back.base, PAGE, i));
  }
  assert_size(f, &f->file, PAGE);
  assert_int_equal(stats_of(f).cancelled, MANY - 1);
  assert_int_equal(stats_of(f).failed, 0);
}

static void cancelled_read_brings_no_bytes(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  struct tracked_op* first = read_page(f, 0);
  struct tracked_op* second = read_page(f, 0);
  assert_ok(t_cancel(second));
  run(f);
  assert_result(first, PAGE);
  assert_result(second, UV_ECANCELED);
  assert_int_equal(second->back.len, 0);
}

static void those_in_between_are_cancelled_and_the_rest_goes_on(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  for (unsigned i = 1; i < MANY; i += 2) {
    assert_ok(t_cancel(writes[i]));
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], i % 2 == 0 ? PAGE : UV_ECANCELED);
  }
}

/* The example of a wait for frames waits for nothing: those that do are in test_frames.c. */
static int can_be_cancelled(uvdio_op_t op) {
  enum effect effect = facts_of(op)->effect;
  return effect != EFFECT_CLOSE && effect != EFFECT_FRAMES;
}

static void every_kind_can_be_cancelled_in_the_queue(void** state) {
  struct fixture* f = *state;
  struct tracked_op* queued[UVDIO_OP_COUNT];
  struct tracked_op* running = write_page(f, 0);
  struct tracked_op* longer[] = {
      t_truncate(op_new(&f->tracker), &f->file, 9 * PAGE),
      t_preallocate(op_new(&f->tracker), &f->file, 9 * PAGE),
      t_preallocate_range(op_new(&f->tracker), &f->file, 0, 9 * PAGE, UVDIO_SPACE_WRITTEN),
  };
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    queued[op] = can_be_cancelled(op) ? t_example(f, op_new(&f->tracker), &f->file, op) : NULL;
  }
  for (size_t i = 0; i < COUNT_OF(longer); i++) {
    assert_ok(t_cancel(longer[i]));
  }
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    assert_code(can_be_cancelled(op) ? t_cancel(queued[op]) : 0, 0);
  }
  run(f);
  assert_result(running, PAGE);
  for (size_t i = 0; i < COUNT_OF(longer); i++) {
    assert_result(longer[i], UV_ECANCELED);
  }
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    if (can_be_cancelled(op)) {
      assert_result(queued[op], UV_ECANCELED);
    }
  }
  /* as it was */
  assert_int_equal(queued[UVDIO_OP_STAT]->stat.size, UINT64_C(0xeeeeeeeeeeeeeeee));
  assert_holds(f, &f->file, 0, PAGE, 0);
  assert_size(f, &f->file, PAGE);
}

static void file_of_a_cancelled_open_is_not_open(void** state) {
  struct fixture* f = *state;
  struct tracked_op* running = write_page(f, 0);
  struct tracked_op* open = op_new(&f->tracker);
  t_open(open, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  assert_ok(t_cancel(open));
  run(f);
  assert_result(running, PAGE);
  assert_result(open, UV_ECANCELED);
  assert_refused(t_size(op_new(&f->tracker), &f->other), UV_EBADF);
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
}

/* A sync that was not started says nothing about the file: it is not latched. */
static void cancelled_sync_latches_nothing(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_page(f, 0);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  assert_ok(t_cancel(sync));
  run(f);
  assert_result(write, PAGE);
  assert_result(sync, UV_ECANCELED);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
}

static void close_goes_on_without_those_cancelled(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[4];
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    writes[i] = write_page(f, i);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  assert_ok(t_cancel(sync));
  for (unsigned i = 1; i < COUNT_OF(writes); i++) {
    assert_ok(t_cancel(writes[i]));
  }
  run(f);
  assert_result(close, 0);
  assert_result(sync, UV_ECANCELED);
}

/*
 * In flight.
 */

/* What is in memory starts when the loop turns, all together. */
static void request_in_memory_has_not_started_before_the_turn(void** state) {
  struct fixture* f = *state;
  if (!on_memory() || matrix.simulated) {
    SKIP("requests of this backend may start at once");
  }
  put(f, &f->file, 0, PAGE, 1);
  read_page(f, 0);
  run(f);
  struct tracked_op* first = read_page(f, 0);
  struct tracked_op* second = write_page(f, 1);
  assert_int_equal(stats_of(f).in_flight, 2);
  assert_ok(t_cancel(first));
  assert_ok(t_cancel(second));
  run(f);
  assert_result(first, UV_ECANCELED);
  assert_result(second, UV_ECANCELED);
  assert_size(f, &f->file, PAGE);
}

/* Submitted, perhaps begun, perhaps done: whatever it is, one callback. */
static void requests_in_flight_end_once_either_way(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[MANY];
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < MANY; i++) {
    reads[i] = read_page(f, 0);
  }
  uv_run(&f->loop, UV_RUN_NOWAIT);
  for (unsigned i = 0; i < MANY; i++) {
    int code = reads[i]->done ? 0 : t_cancel(reads[i]);
    assert_true(code == 0 || code == UV_EBUSY);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_either(reads[i], PAGE);
    assert_true(reads[i]->result < 0 || is_pattern(reads[i]->back.base, PAGE, 1));
  }
}

static void cancelling_twice_is_cancelling_once(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  struct tracked_op* first = read_page(f, 0);
  struct tracked_op* second = read_page(f, 0);
  for (int i = 0; i < 3; i++) {
    int code = t_cancel(second);
    assert_true(code == 0 || code == UV_EBUSY);
    code = t_cancel(first);
    assert_true(code == 0 || code == UV_EBUSY);
  }
  run(f);
  assert_either(first, PAGE);
  assert_either(second, PAGE);
}

static void open_in_flight_ends_once_either_way(void** state) {
  struct fixture* f = *state;
  struct tracked_op* open = op_new(&f->tracker);
  t_open(open, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  if (!open->done) {
    t_cancel(open);
  }
  run(f);
  assert_either(open, 0);
  struct tracked_op* size = t_size(op_now(&f->tracker), &f->other);
  assert_code(size->code, open->result == 0 ? 0 : UV_EBADF);
}

/* A large transfer takes several steps: what was moved before is told. */
static void large_write_ends_once_either_way(void** state) {
  struct fixture* f = *state;
  enum { SIZE = 8 * 1024 * 1024 };
  uvdio_buf_t buf = filled(SIZE, 1);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  if (!write->done) {
    t_cancel(write);
  }
  run(f);
  assert_either(write, SIZE);
  assert_true(is_pattern(write->back.base, SIZE, 1));
}

/*
 * Too late, or never.
 */

static void cancel_from_the_next_callback(struct tracked_op* op) {
  struct tracked_op* other = op->data;
  op->code = other->done ? 0 : t_cancel(other);
}

static int one_callback_per_turn(void** state) {
  uvdio_engine_options_t options = {0};
  options.callbacks_max = 1;
  return fixture_open_with(state, options);
}

/* Two zero-length reads have their outcome at once, and wait for their callbacks in the same
 * line. */
static void finished_request_is_busy_until_its_callback(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[PAGE];
  uvdio_buf_t a = uvdio_buf_wrap(bytes, 0);
  uvdio_buf_t b = uvdio_buf_wrap(bytes, 0);
  struct tracked_op* second = op_new(&f->tracker);
  struct tracked_op* first = op_then(&f->tracker, cancel_from_the_next_callback, second);
  t_read(first, &f->file, &a, 0);
  t_read(second, &f->file, &b, 0);
  run(f);
  assert_code(first->code, UV_EBUSY);
  assert_result(second, 0);
}

static void close_can_not_be_cancelled(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_page(f, 0);
  struct tracked_op* held = t_close(op_new(&f->tracker), &f->file);
  assert_code(t_cancel(held), UV_EBUSY);
  run(f);
  assert_result(write, PAGE);
  assert_result(held, 0);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  struct tracked_op* started = t_close(op_new(&f->tracker), &f->file);
  assert_code(t_cancel(started), UV_EBUSY);
  run(f);
  assert_result(started, 0);
}

static void what_is_not_pending_can_not_be_cancelled(void** state) {
  struct fixture* f = *state;
  uvdio_req_t never = {0};
  assert_code(uvdio_cancel(&never), UV_EINVAL);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_code(t_cancel(size), UV_EINVAL);
  struct tracked_op* now = t_size(op_now(&f->tracker), &f->file);
  assert_code(t_cancel(now), UV_EINVAL);
  struct tracked_op* refused = t_truncate(op_new(&f->tracker), &f->file, UINT64_MAX);
  assert_code(t_cancel(refused), UV_EINVAL);
}

static void cancelling_keeps_the_loop_alive_until_the_callback(void** state) {
  struct fixture* f = *state;
  struct tracked_op* running = write_page(f, 0);
  struct tracked_op* queued = write_page(f, 1);
  assert_ok(t_cancel(queued));
  assert_int_equal(queued->done, 0);
  assert_true(uv_loop_alive(&f->loop));
  assert_int_equal(stats_of(f).pending, 2);
  run(f);
  assert_result(running, PAGE);
  assert_result(queued, UV_ECANCELED);
}

/* What was asked of a request before says nothing about its next use. */
static void cancelled_request_can_be_used_again(void** state) {
  struct fixture* f = *state;
  struct tracked_op* read = op_new(&f->tracker);
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < 3; i++) {
    uvdio_buf_t page = blank(PAGE);
    t_read(read, &f->file, &page, 0);
    assert_ok(t_cancel(read));
    run(f);
    assert_true(read->result == UV_ECANCELED || read->result == PAGE);
    page = op_take(read);
    t_read(read, &f->file, &page, 0);
    run(f);
    assert_int_equal(read->result, PAGE);
    page = op_take(read);
    assert_ok(uvdio_buf_release(&page));
  }
  assert_int_equal(read->done, 6);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open_at_depth_1, queued_requests_are_cancelled),
      TEST_ON(fixture_open_at_depth_1, cancelled_read_brings_no_bytes),
      TEST_ON(fixture_open_at_depth_1, those_in_between_are_cancelled_and_the_rest_goes_on),
      TEST_ON(fixture_open_at_depth_1, every_kind_can_be_cancelled_in_the_queue),
      TEST_ON(fixture_open_at_depth_1, file_of_a_cancelled_open_is_not_open),
      TEST_ON(fixture_open_at_depth_1, cancelled_sync_latches_nothing),
      TEST_ON(fixture_open_at_depth_1, close_goes_on_without_those_cancelled),
      TEST_ON(fixture_open, request_in_memory_has_not_started_before_the_turn),
      TEST_ON(fixture_open, requests_in_flight_end_once_either_way),
      TEST_ON(fixture_open_at_depth_1, requests_in_flight_end_once_either_way),
      TEST_ON(fixture_open, cancelled_request_can_be_used_again),
      TEST_ON(fixture_open, cancelling_twice_is_cancelling_once),
      TEST_ON(fixture_engine, open_in_flight_ends_once_either_way),
      TEST_ON(fixture_open, large_write_ends_once_either_way),
      TEST_ON(one_callback_per_turn, finished_request_is_busy_until_its_callback),
      TEST_ON(fixture_open, finished_request_is_busy_until_its_callback),
      TEST_ON(fixture_open, close_can_not_be_cancelled),
      TEST_ON(fixture_open, what_is_not_pending_can_not_be_cancelled),
      TEST_ON(fixture_open_at_depth_1, cancelling_keeps_the_loop_alive_until_the_callback),
  };
  return matrix_main("cancel", tests, COUNT_OF(tests), argc, argv);
}
