/* SPDX-License-Identifier: MIT */
/*
 * Busy polling, with completions that come exactly while the library watches: the clock stands
 * still until they do. How fast the device and the machine are plays no part.
 */
#include <string.h>

#include "faults.h"
#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE
#define LOOKS 8 /* at the clock, before the completion: more than there are outside the watching */
#define MANY 20

/* With an engine that knows its thread, and a file that has been read from. */
static int watching(void** state) {
  uvdio_engine_options_t options = {.busy_poll_us = 1};
  faults_reset();
  int failed = fixture_open_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    uvdio_buf_t page = blank(PAGE);
    put(f, &f->file, 0, PAGE, 1);
    t_read(op_new(&f->tracker), &f->file, &page, 0);
    run(f);
  }
  return failed;
}

static int tear_down(void** state) {
  faults_reset();
  return fixture_tear_down(state);
}

/* Reads that end while somebody looks at the clock, and not before. */
static void read_watched(struct fixture* f, unsigned count) {
  fault_park(count);
  fault_stop_clock(LOOKS, count, PAGE);
  for (unsigned i = 0; i < count; i++) {
    uvdio_buf_t page = blank(PAGE);
    t_read(op_new(&f->tracker), &f->file, &page, 0);
  }
}

static void what_comes_meanwhile_is_seen(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  uint64_t hits = stats_of(f).busy_hits;
  read_watched(f, 1);
  assert_int_equal(uv_backend_timeout(&f->loop), 0);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(f->tracker.finished, f->tracker.accepted);
  assert_int_equal(stats_of(f).busy_hits, hits + 1);
}

struct ticker {
  struct fixture* f;
  unsigned left;
  unsigned sleeps; /* of the loop, with nobody watching */
};

static void on_tick(uv_timer_t* timer) {
  struct ticker* ticker = timer->data;
  struct fixture* f = ticker->f;
  if (ticker->left == 0) {
    uv_close((uv_handle_t*)timer, NULL);
    return;
  }
  ticker->left--;
  read_watched(f, 1);
  ticker->sleeps += uv_backend_timeout(&f->loop) != 0;
}

/* A server's work often begins in a timer: those requests are watched for like any others. */
static void requests_of_a_timer_are_watched_for(void** state) {
  struct fixture* f = *state;
  struct ticker ticker = {.f = f, .left = MANY};
  uv_timer_t timer;
  need_a_ring_file(&f->file);
  uint64_t hits = stats_of(f).busy_hits;
  assert_ok(uv_timer_init(&f->loop, &timer));
  timer.data = &ticker;
  assert_ok(uv_timer_start(&timer, on_tick, 1, 1));
  run(f);
  assert_int_equal(ticker.sleeps, 0);
  assert_int_equal(stats_of(f).busy_hits, hits + MANY);
}

/* So are requests of a callback, whose turn it is then. */
static void read_next(struct top* op);

static void read_in_turn(struct ticker* ticker) {
  uvdio_buf_t page = blank(PAGE);
  ticker->left--;
  fault_park(1);
  fault_stop_clock(LOOKS, 1, PAGE);
  t_read(op_then(&ticker->f->tracker, read_next, ticker), &ticker->f->file, &page, 0);
}

static void read_next(struct top* op) {
  struct ticker* ticker = op->data;
  op_free(op);
  if (ticker->left > 0) {
    read_in_turn(ticker);
  }
}

static void requests_of_callbacks_are_watched_for(void** state) {
  struct fixture* f = *state;
  struct ticker ticker = {.f = f, .left = MANY};
  need_a_ring_file(&f->file);
  uint64_t hits = stats_of(f).busy_hits;
  read_in_turn(&ticker);
  run(f);
  assert_int_equal(stats_of(f).busy_hits, hits + MANY);
}

/* The kernel's flag may stand with nothing behind it: that is no completion, and the loop sleeps as
 * ever. */
static void late_flag_is_no_completion(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = blank(PAGE);
  need_a_ring_file(&f->file);
  uint64_t hits = stats_of(f).busy_hits;
  fault_pretend_late_flag(1);
  fault_park(1);
  struct top* read = t_read(op_new(&f->tracker), &f->file, &page, 0);
  unsigned turns = 0;
  do {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  } while (uv_backend_timeout(&f->loop) == 0 && ++turns < 1000);
  fault_unpark(1, PAGE);
  run(f);
  assert_result(read, PAGE);
  assert_true(turns < 1000);
  assert_true(stats_of(f).busy_hits <= hits + 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_comes_meanwhile_is_seen, watching, tear_down),
      cmocka_unit_test_setup_teardown(requests_of_a_timer_are_watched_for, watching, tear_down),
      cmocka_unit_test_setup_teardown(requests_of_callbacks_are_watched_for, watching, tear_down),
      cmocka_unit_test_setup_teardown(late_flag_is_no_completion, watching, tear_down),
  };
  return matrix_main("watched", tests, COUNT_OF(tests), argc, argv);
}
