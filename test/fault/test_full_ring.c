/* SPDX-License-Identifier: MIT */
/*
 * A ring whose submission queue is full: cancellations have taken the places that requests had
 * left, and the kernel takes nothing, or not everything, just then. And what is cancelled at odd
 * moments.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE
#define DEPTH 16

/* With an engine that knows its thread, and a file that has been read from. */
static int set_up_at(void** state, unsigned depth) {
  uvdio_engine_options_t options = {0};
  options.depth = depth;
  faults_reset();
  int failed = fixture_open_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    uvdio_buf_t page = blank(PAGE);
    put(f, &f->file, 0, 2 * PAGE, 1);
    t_read(op_new(&f->tracker), &f->file, &page, 0);
    run(f);
  }
  return failed;
}

static int set_up(void** state) {
  return set_up_at(state, DEPTH);
}

static int set_up_at_depth_1(void** state) {
  return set_up_at(state, 1);
}

static int tear_down(void** state) {
  faults_reset();
  return fixture_tear_down(state);
}

static struct top* read_page(struct fixture* f) {
  uvdio_buf_t page = blank(PAGE);
  return t_read(op_new(&f->tracker), &f->file, &page, 0);
}

static void turn(struct fixture* f, unsigned times) {
  while (times-- > 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
}

/* A read that is with the kernel and not asked about yet, and nothing else. */
static struct top* read_under_way(struct fixture* f) {
  unsigned before = fault_calls(CALL_SUBMIT);
  struct top* read = read_page(f);
  assert_int_equal(fault_calls(CALL_SUBMIT), before + 1);
  return read;
}

static void cancel_times(struct top* op, unsigned times) {
  while (times-- > 0) {
    assert_ok(t_cancel(op));
  }
}

static void assert_read_or_cancelled(const struct top* read) {
  assert_int_equal(read->done, 1);
  assert_true(read->result == PAGE || read->result == UV_ECANCELED);
}

static void assert_backend(const struct fixture* f, const char* name) {
  assert_string_equal(uvdio_engine_backend(f->engine), name);
}

static void request_waits_for_room(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct top* first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  cancel_times(first, DEPTH);
  struct top* second = read_page(f);
  struct top* third = read_page(f);
  assert_int_equal(fault_hits(CALL_SUBMIT), 1);
  turn(f, 3);
  assert_int_equal(second->done + third->done, 0);
  faults_reset();
  run(f);
  assert_read_or_cancelled(first);
  assert_result(second, PAGE);
  assert_result(third, PAGE);
  assert_backend(f, "ring");
}

/* Runs until the kernel has refused `times` more. */
static void until_refused(struct fixture* f, unsigned times) {
  unsigned before = fault_hits(CALL_SUBMIT);
  watch_for_hang("a ring that is refused");
  while (fault_hits(CALL_SUBMIT) < before + times) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
}

static void need_faults(void) {
  if (!faults_reach_the_ring()) {
    SKIP("entries of a ring can't be made to fail here (Linux 6.10)");
  }
}

/* However often it is refused. The first one that the kernel takes is the one that fails. */
static void refused_request_stays_the_first(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  struct top* first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  cancel_times(first, DEPTH);
  struct top* second = read_page(f);
  struct top* third = read_page(f);
  until_refused(f, 3);
  assert_int_equal(second->done + third->done, 0);
  faults_reset();
  fault_fail(CALL_PREAD, 1, ONCE, EIO);
  run(f);
  assert_read_or_cancelled(first);
  assert_result(second, UV_EIO);
  assert_result(third, PAGE);
}

/* A kernel that takes nothing is asked again when something has ended, or a while later, and not in
 * every turn. */
static void kernel_that_takes_nothing_is_left_alone(void** state) {
  struct fixture* f = *state;
  enum { TURNS = 1000, WHILE_MS = 10 };
  need_a_ring_file(&f->file);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  struct top* read = read_page(f);
  uint64_t from = uv_now(&f->loop);
  turn(f, TURNS);
  assert_true(fault_hits(CALL_SUBMIT) <= 2 + (uv_now(&f->loop) - from) / WHILE_MS);
  faults_reset();
  run(f);
  assert_result(read, PAGE);
}

/* There is room, but the kernel said that it takes no more: what has found a place in the queue
 * stays there. */
static void request_takes_a_place_that_came_free(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct top* first = read_under_way(f);
  fault_shorten(CALL_SUBMIT, 1, ONCE, 5);
  fault_fail(CALL_SUBMIT, 2, FOR_GOOD, EBUSY);
  cancel_times(first, DEPTH);
  struct top* second = read_page(f);
  assert_int_equal(fault_calls(CALL_SUBMIT) > 1, 1);
  turn(f, 3);
  assert_int_equal(second->done, 0);
  faults_reset();
  run(f);
  assert_read_or_cancelled(first);
  assert_result(second, PAGE);
  assert_backend(f, "ring");
}

/* One that breaks down when it is full: the cancellations are forgotten, and the request goes to
 * the pool. */
static void full_ring_breaks_down(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct top* first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, ONCE, EPERM);
  cancel_times(first, DEPTH);
  unsigned before = fault_calls(CALL_SUBMIT);
  struct top* second = read_page(f);
  assert_backend(f, "pool");
  cancel_times(first, 1); /* a broken ring cancels nothing */
  run(f);
  assert_int_equal(fault_calls(CALL_SUBMIT), before + 1); /* and is given nothing */
  assert_read_or_cancelled(first);
  assert_result(second, PAGE);
}

/* More of them than the queue has places, or than are left. */
static void cancellations_beyond_the_queue_are_dropped(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct top* first = read_under_way(f);
  unsigned before = fault_calls(CALL_ENTRY_CANCEL);
  cancel_times(first, 3 * DEPTH);
  run(f);
  assert_in_range(fault_calls(CALL_ENTRY_CANCEL) - before, 1, DEPTH);
  assert_read_or_cancelled(first);
  first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  struct top* second = read_page(f); /* stays in the queue */
  cancel_times(first, DEPTH);
  assert_true(fault_hits(CALL_SUBMIT) > 1);
  faults_reset();
  run(f);
  assert_read_or_cancelled(first);
  assert_result(second, PAGE);
  assert_backend(f, "ring");
}

/*
 * Opens, interrupted
 */

static void cancelled_open_that_is_interrupted_is_cancelled(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  fault_fail(CALL_OPEN, 1, ONCE, EINTR);
  struct top* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  assert_ok(t_cancel(open));
  run(f);
  assert_int_equal(fault_hits(CALL_OPEN), 1);
  assert_result(open, UV_ECANCELED);
}

static void on_read(struct top* op) {
  (void)t_cancel(op->data);
}

/* Half-way through, a cancellation comes too late: an interrupted step is repeated. On an old
 * kernel an open that finds the file there has another step. */
static void open_that_has_begun_is_finished(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  uvdio_buf_t page = blank(PAGE);
  struct top* open = op_new(&f->tracker);
  fault_fail(CALL_PREAD, 1, ONCE, EIO); /* so that it ends at once, with the open's first step */
  struct top* read = t_read(op_then(&f->tracker, on_read, open), &f->file, &page, 0);
  fault_pretend_kernel("5.10.0");
  fault_fail(CALL_OPEN, 1, ONCE, EEXIST);
  t_open(open, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  assert_int_equal(fault_hits(CALL_OPEN), 1);
  fault_fail(CALL_OPEN, 1, ONCE, EINTR);
  run(f);
  assert_result(read, UV_EIO);
  assert_true(open->req.cancelled_ || open->result == 0);
  assert_result(open, 0);
  assert_result(t_close(op_now(&f->tracker), &f->other), 0);
}

/*
 * Completions, held back
 */

static void completions_are_put_off(struct fixture* f, int error) {
  need_a_ring_file(&f->file);
  fault_fail(CALL_GET_EVENTS, 1, 3, error);
  struct top* read = read_page(f);
  run(f);
  if (fault_calls(CALL_GET_EVENTS) == 0) {
    SKIP("this kernel posts completions without being asked");
  }
  assert_result(read, PAGE);
  assert_backend(f, "ring");
  faults_reset();
}

static void completions_that_are_put_off_come_later(void** state) {
  completions_are_put_off(*state, EINTR);
  completions_are_put_off(*state, EAGAIN);
  completions_are_put_off(*state, EBUSY);
}

/* So often that no turn lasts so long: another one goes on, before which the loop must not sleep
 * for good. */
static void completions_that_are_put_off_for_long_come_in_another_turn(void** state) {
  struct fixture* f = *state;
  int sleeps = 0;
  need_a_ring_file(&f->file);
  fault_fail(CALL_GET_EVENTS, 1, FOR_GOOD, EINTR);
  struct top* read = read_page(f);
  watch_for_hang("completions that are put off");
  for (unsigned i = 0; i < 10 && !sleeps && !read->done; i++) {
    uv_run(&f->loop, UV_RUN_ONCE);
    sleeps = fault_hits(CALL_GET_EVENTS) > 0 && !read->done && uv_backend_timeout(&f->loop) < 0;
  }
  unsigned hits = fault_hits(CALL_GET_EVENTS);
  faults_reset();
  while (!read->done) {
    turn(f, 1);
  }
  watch_for_hang(NULL);
  assert_result(read, PAGE);
  assert_false(sleeps);
  if (hits == 0) {
    SKIP("this kernel posts completions without being asked");
  }
}

/* The kernel does not give back what it has, and may never. What waits for room with it does not
 * wait for that. */
static void what_waits_for_a_ring_that_breaks_down_goes_on(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  fault_fail(CALL_GET_EVENTS, 1, FOR_GOOD, EPERM);
  struct top* first = read_under_way(f);
  struct top* second = read_page(f);
  watch_for_hang("a ring that breaks down");
  while (!first->done && strcmp(uvdio_engine_backend(f->engine), "ring") == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  int is_kept = !first->done;
  int has_started = second->done || stats_of(f).in_flight == 2;
  int is_asked = fault_hits(CALL_GET_EVENTS) > 0;
  faults_reset();
  run(f);
  assert_result(first, PAGE);
  assert_result(second, PAGE);
  if (!is_asked) {
    SKIP("this kernel posts completions without being asked");
  }
  assert_true(is_kept);
  assert_true(has_started);
  assert_backend(f, "pool");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(request_waits_for_room),
      TEST(refused_request_stays_the_first),
      TEST(kernel_that_takes_nothing_is_left_alone),
      TEST(request_takes_a_place_that_came_free),
      TEST(full_ring_breaks_down),
      TEST(cancellations_beyond_the_queue_are_dropped),
      TEST(cancelled_open_that_is_interrupted_is_cancelled),
      TEST(open_that_has_begun_is_finished),
      TEST(completions_that_are_put_off_come_later),
      TEST(completions_that_are_put_off_for_long_come_in_another_turn),
      cmocka_unit_test_setup_teardown(what_waits_for_a_ring_that_breaks_down_goes_on,
                                      set_up_at_depth_1, tear_down),
  };
  return matrix_main("full_ring", tests, COUNT_OF(tests), argc, argv);
}
