/* SPDX-License-Identifier: MIT */
/*
 * Requests that stay with the kernel for as long as the test likes: what cancels them, and what is
 * sent on beside them, and when?
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "steps.h"

#define PAGE UVDIO_PAGE_SIZE
#define DEPTH 64
#define STRIDE (UNDER_ASAN ? 16 : 4) /* instructions; every single one would take ten seconds */
#define MANY 40                      /* so that there is no hurry */

/* With an engine that knows its thread, and a file that has been read from. */
static int set_up(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = DEPTH;
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

static struct top* read_page(struct fixture* f, uvdio_file_t* file) {
  uvdio_buf_t page = blank(PAGE);
  return t_read(op_new(&f->tracker), file, &page, 0);
}

/* A read that is with the kernel, and stays there. */
static struct top* parked_read(struct fixture* f, uvdio_file_t* file) {
  unsigned before = fault_calls(CALL_PREAD);
  fault_park(1);
  struct top* read = read_page(f, file);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(fault_calls(CALL_PREAD), before + 1);
  return read;
}

/* Runs the loop, without waiting, until it wants to sleep. */
static void run_until_it_sleeps(struct fixture* f) {
  do {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  } while (uv_loop_alive(&f->loop) && uv_backend_timeout(&f->loop) == 0);
}

static void cancel_and_assert(struct fixture* f, struct top* read) {
  run_until_it_sleeps(f);
  assert_int_equal(read->done, 0);
  assert_ok(t_cancel(read));
  /* The loop does not sleep before the kernel has heard of it. */
  assert_int_equal(uv_backend_timeout(&f->loop), 0);
  run_until_it_sleeps(f);
  run_until_it_sleeps(f);
  if (read->done == 0) {
    faults_reset(); /* and with it, the read ends */
    run(f);
  }
  assert_result(read, UV_ECANCELED);
}

/* The first transfer of a file goes another way than those after it. */
static void parked_read_is_cancelled(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  cancel_and_assert(f, parked_read(f, &f->file));
  open_now(f, &f->other, "file", UVDIO_OPEN_RW);
  need_a_ring_file(&f->other);
  cancel_and_assert(f, parked_read(f, &f->other));
  cancel_and_assert(f, parked_read(f, &f->other));
}

/* The kernel takes nothing more, until something has ended: that is when it is asked again, and not
 * when a timer says so. */
static void completion_ends_a_refusal(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct top* first = parked_read(f, &f->file);
  fault_fail(CALL_SUBMIT, 1, ONCE, EAGAIN);
  struct top* second = read_page(f, &f->file);
  assert_int_equal(fault_hits(CALL_SUBMIT), 1);
  unsigned before = fault_calls(CALL_SUBMIT);
  fault_unpark(1, PAGE);
  while (first->done == 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_result(first, PAGE);
  assert_int_equal(fault_calls(CALL_SUBMIT), before + 1);
  run(f);
  assert_result(second, PAGE);
}

/*
 * Completions at any moment
 */

static void unpark_page(void* data) {
  (void)data;
  fault_unpark(1, PAGE);
}

struct stepped {
  unsigned nth;
  int has_begun;
};

static void step_from_here(struct top* op) {
  struct stepped* stepped = op->data;
  if (!stepped->has_begun) {
    stepped->has_begun = 1;
    steps_begin(stepped->nth, unpark_page, NULL);
  }
}

/* One of two reads is called back, and the other ends at the n-th instruction after that. Returns 0
 * where the loop's turn was over sooner. */
static int second_ends_at(struct fixture* f, unsigned nth) {
  struct stepped stepped = {nth, 0};
  struct top* reads[2];
  fault_park(2);
  for (unsigned i = 0; i < 2; i++) {
    uvdio_buf_t page = blank(PAGE);
    reads[i] = t_read(op_then(&f->tracker, step_from_here, &stepped), &f->file, &page, 0);
  }
  run_until_it_sleeps(f);
  fault_unpark(1, PAGE);
  while (!stepped.has_begun) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  int came = steps_end();
  if (!came) {
    unpark_page(NULL);
  }
  run_until_it_sleeps(f);
  /* On older kernels (seen with 5.10 and 6.1) it may come later than that; there, a lost one is a
   * loop that never ends. */
  int is_lost = reads[0]->done + reads[1]->done < 2 && linux_is(6, 12);
  if (is_lost) {
    read_page(f, &f->file); /* which wakes the loop for them */
  }
  run(f);
  assert_false(is_lost);
  for (unsigned i = 0; i < 2; i++) {
    assert_result(reads[i], PAGE);
    op_free(reads[i]);
  }
  return came;
}

/* A loop that is about to sleep, and is told of completions by signals again from now on, misses
 * none that came before. */
static void completion_wakes_the_loop_whenever_it_comes(void** state) {
  struct fixture* f = *state;
  unsigned nth = 1;
  need_a_ring_file(&f->file);
  if (!steps_possible()) {
    SKIP("the processor can't be stopped after each instruction here");
  }
  while (second_ends_at(f, nth)) {
    nth += STRIDE;
  }
}

/* Nor does it where the kernel's flag stands the whole time, so that it tells nothing. */
static void completion_wakes_the_loop_beside_a_late_flag(void** state) {
  struct fixture* f = *state;
  unsigned nth = 1;
  need_a_ring_file(&f->file);
  if (!steps_possible()) {
    SKIP("the processor can't be stopped after each instruction here");
  }
  fault_pretend_late_flag(1);
  while (second_ends_at(f, nth)) {
    nth += UNDER_ASAN ? 127 : 31;
  }
}

/*
 * Sent at once, or gathered
 */

/* How often a write is sent on before it returns, when the kernel has many reads already. */
static unsigned sent_at_once(struct fixture* f, unsigned flags) {
  uvdio_buf_t page = filled(PAGE, 2);
  struct top* reads[MANY];
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE | flags);
  need_a_ring_file(&f->other);
  for (unsigned i = 0; i < MANY; i++) {
    reads[i] = parked_read(f, &f->file);
  }
  unsigned before = fault_calls(CALL_SUBMIT);
  struct top* write = t_write(op_new(&f->tracker), &f->other, &page, 0);
  unsigned sent = fault_calls(CALL_SUBMIT) - before;
  faults_reset(); /* and with it, the reads end */
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(reads[i], 0);
  }
  assert_result(write, PAGE);
  assert_result(t_close(op_now(&f->tracker), &f->other), 0);
  return sent;
}

static void only_durable_writes_do_not_wait_for_others(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  assert_int_equal(sent_at_once(f, UVDIO_O_DSYNC), 1);
  assert_int_equal(sent_at_once(f, 0), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/*
 * A flag without anything behind it
 */

/* Runs the loop without waiting until it wants to sleep or has ended. Returns 0 where it wants
 * neither. */
static int comes_to_rest(struct fixture* f) {
  for (unsigned i = 0; i < 1000; i++) {
    if (uv_run(&f->loop, UV_RUN_NOWAIT) == 0 || uv_backend_timeout(&f->loop) != 0) {
      return 1;
    }
  }
  return 0;
}

/* A worker may set the flag when what it tells of has been fetched already, and there may be no
 * next completion. */
static void late_flag_keeps_no_loop_awake(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  fault_pretend_late_flag(1);
  struct top* read = parked_read(f, &f->file);
  int rests_in_flight = comes_to_rest(f);
  fault_unpark(1, PAGE);
  run_in_mode(f, UV_RUN_ONCE);
  int rests_after = comes_to_rest(f);
  int is_alive = uv_loop_alive(&f->loop);
  faults_reset();
  run(f);
  assert_true(rests_in_flight);
  assert_true(rests_after);
  assert_false(is_alive);
  assert_result(read, PAGE);
}

/* What comes while the flag stands is not missed. */
static void late_flag_hides_nothing(void** state) {
  struct fixture* f = *state;
  struct top* reads[100];
  need_a_ring_file(&f->file);
  fault_pretend_late_flag(1);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    reads[i] = parked_read(f, &f->file);
    for (unsigned turn = 0; turn < i % 4; turn++) {
      uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    fault_unpark(1, PAGE);
    watch_for_hang("a loop that waits for a read that has ended");
    while (reads[i]->done == 0) {
      uv_run(&f->loop, UV_RUN_ONCE);
    }
    watch_for_hang(NULL);
    assert_result(reads[i], PAGE);
    op_free(reads[i]);
  }
}

/*
 * An engine that is closed while the kernel has something in hand: the loop goes on without sleep
 * of its own, but does not spin.
 */

enum { A_WHILE_MS = 50 };

static unsigned turns;

static void count_turn(uv_prepare_t* prepare) {
  (void)prepare;
  turns++;
}

static void keep_awake(uv_idle_t* idle) {
  (void)idle;
}

static void stop_the_loop(uv_timer_t* timer) {
  uv_stop(timer->loop);
  uv_close((uv_handle_t*)timer, NULL);
}

static unsigned turns_of_a_while(struct fixture* f, int spin) {
  uv_timer_t timer;
  uv_prepare_t prepare;
  uv_idle_t idle;
  turns = 0;
  uv_timer_init(&f->loop, &timer);
  uv_prepare_init(&f->loop, &prepare);
  uv_idle_init(&f->loop, &idle);
  uv_timer_start(&timer, stop_the_loop, A_WHILE_MS, 0);
  uv_prepare_start(&prepare, count_turn);
  if (spin) {
    uv_idle_start(&idle, keep_awake);
  }
  uv_run(&f->loop, UV_RUN_DEFAULT);
  uv_close((uv_handle_t*)&prepare, NULL);
  uv_close((uv_handle_t*)&idle, NULL);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  return turns;
}

static void closing_engine_does_not_spin(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct top* read = parked_read(f, &f->file);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  unsigned sleeping = turns_of_a_while(f, 0);
  unsigned spinning = turns_of_a_while(f, 1);
  unsigned done = read->done;
  fault_unpark(1, PAGE);
  faults_reset();
  run(f);
  f->engine = NULL;
  assert_int_equal(done, 0);
  assert_int_equal(read->done, 1);
  assert_int_equal(f->closed, 1);
  assert_true(sleeping > 0 && sleeping * 5 < spinning);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(parked_read_is_cancelled),
      TEST(completion_ends_a_refusal),
      TEST(completion_wakes_the_loop_whenever_it_comes),
      TEST(completion_wakes_the_loop_beside_a_late_flag),
      TEST(only_durable_writes_do_not_wait_for_others),
      TEST(late_flag_keeps_no_loop_awake),
      TEST(late_flag_hides_nothing),
      TEST(closing_engine_does_not_spin),
  };
  return matrix_main("parked", tests, COUNT_OF(tests), argc, argv);
}
