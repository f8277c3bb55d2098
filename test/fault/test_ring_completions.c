/* SPDX-License-Identifier: MIT */
/*
 * Completions that come when the test says so, of requests that stay with the kernel until then:
 * the loop that sleeps, turns or watches for them sees each one, and sleeps where there is none.
 * How fast the device and the machine are plays no part.
 */
#include <errno.h>
#include <string.h>

#include "child.h"
#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "steps.h"

#define DEPTH 64
#define STRIDE (UNDER_ASAN ? 64 : 4) /* instructions; every single one would take ten seconds */
#define MANY 40                      /* so that there is no hurry */
#define LOOKS 8 /* at the clock, before the completion: more than there are outside the watching */
#define WATCHED 20
#define A_WHILE_MS 50

/* With an engine that knows its thread, and a file that has been read from. */
static int set_up(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = DEPTH;
  faults_reset();
  return fixture_read_with(state, options, 1);
}

/* A read that is with the kernel, and stays there. */
static struct tracked_op* blocked_read(struct fixture* f, uvdio_file_t* file) {
  unsigned before = fault_calls(CALL_PREAD);
  fault_block_reads(1);
  struct tracked_op* read = read_page_of(f, file, 0);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(fault_calls(CALL_PREAD), before + 1);
  return read;
}

static void cancel_and_assert(struct fixture* f, struct tracked_op* read) {
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
static void blocked_read_is_cancelled(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  cancel_and_assert(f, blocked_read(f, &f->file));
  open_now(f, &f->other, "file", UVDIO_OPEN_RW);
  need_a_ring_file(&f->other);
  cancel_and_assert(f, blocked_read(f, &f->other));
  cancel_and_assert(f, blocked_read(f, &f->other));
}

/* The kernel takes nothing more, until something has ended: that is when it is asked again, and not
 * when a timer says so. */
static void completion_ends_a_refusal(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct tracked_op* first = blocked_read(f, &f->file);
  fault_fail(CALL_SUBMIT, 1, ONCE, EAGAIN);
  struct tracked_op* second = read_page(f, 0);
  assert_int_equal(fault_hits(CALL_SUBMIT), 1);
  unsigned before = fault_calls(CALL_SUBMIT);
  fault_end_reads(1, PAGE);
  while (first->done == 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_result(first, PAGE);
  assert_int_equal(fault_calls(CALL_SUBMIT), before + 1);
  run(f);
  assert_result(second, PAGE);
}

/* More than the kernel posts when it is asked once (20 since Linux 6.13). */
static void all_that_has_ended_is_called_back_in_one_turn(void** state) {
  static _Alignas(4096) char bytes[65536];
  struct fixture* f = *state;
  struct tracked_op* reads[MANY];
  open_now(f, &f->other, "file", UVDIO_OPEN_RW | UVDIO_O_NATIVE_ALIGN);
  need_a_ring_file(&f->other);
  size_t unit = info_of(&f->other).offset_align;
  if (MANY * unit > 65536) {
    SKIP("the system reports no alignment below 4096 bytes here");
  }
  fault_block_reads(MANY);
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t buf = uvdio_buf_wrap(bytes + i * unit, unit); /* Others would be larger. */
    reads[i] = t_read(op_new(&f->tracker), &f->other, &buf, 0);
  }
  run_until_it_sleeps(f);
  fault_end_reads(MANY, unit);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  unsigned done = 0;
  for (unsigned i = 0; i < MANY; i++) {
    done += reads[i]->done;
  }
  run(f);
  assert_int_equal(done, MANY);
}

/*
 * Completions at any moment
 */

static void end_a_read(void* data) {
  (void)data;
  fault_end_reads(1, PAGE);
}

struct stepped {
  unsigned nth;
  int has_begun;
};

static void step_from_here(struct tracked_op* op) {
  struct stepped* stepped = op->data;
  if (!stepped->has_begun) {
    stepped->has_begun = 1;
    steps_begin(stepped->nth, end_a_read, NULL);
  }
}

/* One of two reads is called back, and the other ends at the n-th instruction after that. Returns 0
 * where the loop's turn was over sooner. */
static int second_ends_at(struct fixture* f, unsigned nth) {
  struct stepped stepped = {nth, 0};
  struct tracked_op* reads[2];
  fault_block_reads(2);
  for (unsigned i = 0; i < 2; i++) {
    uvdio_buf_t page = blank(PAGE);
    reads[i] = t_read(op_then(&f->tracker, step_from_here, &stepped), &f->file, &page, 0);
  }
  run_until_it_sleeps(f);
  fault_end_reads(1, PAGE);
  while (!stepped.has_begun) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  int came = steps_end();
  if (!came) {
    end_a_read(NULL);
  }
  run_until_it_sleeps(f);
  /* On older kernels (seen with 5.10 and 6.1) it may come later than that; there, a lost one is a
   * loop that never ends. */
  int is_lost = reads[0]->done + reads[1]->done < 2 && linux_is(6, 12);
  if (is_lost) {
    read_page(f, 0); /* which wakes the loop for them */
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
  struct tracked_op* reads[MANY];
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE | flags);
  need_a_ring_file(&f->other);
  for (unsigned i = 0; i < MANY; i++) {
    reads[i] = blocked_read(f, &f->file);
  }
  unsigned before = fault_calls(CALL_SUBMIT);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->other, &page, 0);
  unsigned sent = fault_calls(CALL_SUBMIT) - before;
  faults_reset(); /* and with it, the reads end */
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(reads[i], 0);
  }
  assert_result(write, PAGE);
  close_other(f);
  return sent;
}

static void only_durable_writes_do_not_wait_for_others(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  assert_int_equal(sent_at_once(f, UVDIO_O_DSYNC), 1);
  assert_int_equal(sent_at_once(f, 0), 0);
}

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
  struct tracked_op* read = blocked_read(f, &f->file);
  int rests_in_flight = comes_to_rest(f);
  fault_end_reads(1, PAGE);
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
  struct tracked_op* reads[100];
  need_a_ring_file(&f->file);
  fault_pretend_late_flag(1);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    reads[i] = blocked_read(f, &f->file);
    for (unsigned turn = 0; turn < i % 4; turn++) {
      uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    fault_end_reads(1, PAGE);
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
 * A forked child, which has the eventfd and the ring's memory as well
 */

/* The signal of an earlier completion is still there to be seen. */
static int run_the_childs_loop(void* data) {
  struct fixture* f = data;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  unsigned sleeping = run_for_a_while(f, A_WHILE_MS, 0);
  unsigned spinning = run_for_a_while(f, A_WHILE_MS, 1);
  EXPECT(sleeping * 5 < spinning);
  return 0;
}

static void childs_loop_leaves_the_parents_signals_alone(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  if (UNDER_TSAN) {
    SKIP("the thread sanitizer does not follow a fork with threads");
  }
  struct tracked_op* read = blocked_read(f, &f->file);
  run_until_it_sleeps(f);
  assert_ok(in_a_child(run_the_childs_loop, f));
  fault_end_reads(1, PAGE);
  watch_for_hang("a read that has ended");
  run(f);
  watch_for_hang(NULL);
  assert_result(read, PAGE);
}

/*
 * What is counted
 */

static unsigned calls_of_the_ring(void) {
  return fault_calls(CALL_SUBMIT) + fault_calls(CALL_GET_EVENTS) + fault_calls(CALL_READ);
}

/* Reads that end when they are sent, and reads that end later. */
static void each_call_is_counted_once(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  run_once(f);
  for (unsigned i = 0; i < 20; i++) {
    uvdio_engine_stats_t before = stats_of(f);
    unsigned calls = calls_of_the_ring();
    unsigned submissions = fault_calls(CALL_SUBMIT);
    struct tracked_op* read = i % 2 == 0 ? read_page(f, 0) : blocked_read(f, &f->file);
    if (i % 2 != 0) {
      run_until_it_sleeps(f);
      fault_end_reads(1, PAGE);
    }
    run(f);
    assert_result(read, PAGE);
    assert_int_equal(stats_of(f).system_calls - before.system_calls, calls_of_the_ring() - calls);
    assert_int_equal(stats_of(f).batches - before.batches, fault_calls(CALL_SUBMIT) - submissions);
    assert_true(i % 2 == 0 || stats_of(f).wakeups == before.wakeups + 1);
  }
}

/*
 * An engine that is closed while the kernel has something in hand: the loop goes on without sleep
 * of its own, but does not spin.
 */

static void closing_engine_does_not_spin(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct tracked_op* read = blocked_read(f, &f->file);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  unsigned sleeping = run_for_a_while(f, A_WHILE_MS, 0);
  unsigned spinning = run_for_a_while(f, A_WHILE_MS, 1);
  unsigned done = read->done;
  fault_end_reads(1, PAGE);
  faults_reset();
  run(f);
  f->engine = NULL;
  assert_int_equal(done, 0);
  assert_int_equal(read->done, 1);
  assert_int_equal(f->closed, 1);
  assert_true(sleeping > 0 && sleeping * 5 < spinning);
}

struct ender {
  struct fixture* f;
  unsigned count;
  uint64_t wakeups;
  uv_sem_t next;
};

static void end_one_after_the_other(void* data) {
  struct ender* ender = data;
  for (unsigned i = 0; i < ender->count; i++) {
    uv_sem_wait(&ender->next);
    fault_end_reads(1, PAGE);
  }
}

static void ask_for_the_next(struct tracked_op* op) {
  struct ender* ender = op->data;
  ender->wakeups = stats_of(ender->f).wakeups;
  uv_sem_post(&ender->next);
}

/* Reads end one by one while the loop, which has nothing else to do, waits for them. */
static void closing_engine_counts_what_wakes_it(void** state) {
  struct fixture* f = *state;
  struct ender ender = {.f = f, .count = DEPTH / 2};
  uv_thread_t thread;
  need_a_ring_file(&f->file);
  assert_ok(uv_sem_init(&ender.next, 1));
  fault_block_reads(ender.count);
  for (unsigned i = 0; i < ender.count; i++) {
    uvdio_buf_t page = blank(PAGE);
    t_read(op_then(&f->tracker, ask_for_the_next, &ender), &f->file, &page, 0);
  }
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  uint64_t before = stats_of(f).wakeups;
  assert_ok(uv_thread_create(&thread, end_one_after_the_other, &ender));
  run(f);
  assert_ok(uv_thread_join(&thread));
  uv_sem_destroy(&ender.next);
  f->engine = NULL;
  assert_int_equal(f->closed, 1);
  assert_true(ender.wakeups > before);
}

/*
 * A ring that is replaced
 */

static void rebind_and_relent(struct tracked_op* op) {
  struct fixture* f = op->data;
  faults_reset();
  if (uvdio_engine_rebind(f->engine) != 0) {
    tracker_violation(&f->tracker, "uvdio_engine_rebind from a callback");
  }
}

/* The cancellation, which the kernel does not take, has a place in the old ring only. */
static void entry_that_was_not_sent_goes_with_its_ring(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = blank(PAGE);
  need_a_ring_file(&f->file);
  fault_block_reads(1);
  struct tracked_op* read = t_read(op_then(&f->tracker, rebind_and_relent, f), &f->file, &page, 0);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  assert_ok(t_cancel(read));
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_true(fault_hits(CALL_SUBMIT) > 0);
  fault_end_reads(1, PAGE);
  watch_for_hang("a read that has ended");
  while (read->done == 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  watch_for_hang(NULL);
  struct tracked_op* other = read_page(f, 0);
  run(f);
  assert_result(other, PAGE);
  assert_true(comes_to_rest(f));
}

/*
 * Busy polling: the clock stands still until the completion comes, so that it does exactly while
 * the library watches.
 */

/* With an engine that knows its thread, and a file that has been read from. */
static int watching(void** state) {
  uvdio_engine_options_t options = {.busy_poll_us = 1};
  faults_reset();
  return fixture_read_with(state, options, 1);
}

/* Reads that end while somebody looks at the clock, and not before. */
static void read_watched(struct fixture* f, unsigned count) {
  fault_block_reads(count);
  fault_stop_clock(LOOKS, count, PAGE);
  for (unsigned i = 0; i < count; i++) {
    read_page(f, 0);
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

/* Of an engine that is being closed, each turn of the loop waits a little for the ring, by a call
 * that counts. */
static void each_turn_of_the_end_is_one_call(void** state) {
  enum { TURNS = 10 };
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  fault_block_reads(1);
  struct tracked_op* read = read_page(f, 0);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  uv_run(&f->loop, UV_RUN_NOWAIT);
  uint64_t calls = stats_of(f).system_calls;
  for (unsigned i = 0; i < TURNS; i++) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  calls = stats_of(f).system_calls - calls;
  fault_end_reads(1, PAGE);
  run(f);
  f->engine = NULL;
  assert_result(read, PAGE);
  assert_int_equal(calls, TURNS);
}

enum { WATCH_US = 7 };

static int watching_for_long(void** state) {
  uvdio_engine_options_t options = {.busy_poll_us = WATCH_US};
  faults_reset();
  return fixture_read_with(state, options, 1);
}

/* The time at the first look is when it begins. */
static void watching_ends_when_its_time_is_over(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  fault_block_reads(1);
  struct tracked_op* read = read_page(f, 0);
  fault_step_clock(1000);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  unsigned looks = fault_clock_looks();
  fault_step_clock(0);
  fault_end_reads(1, PAGE);
  run(f);
  assert_result(read, PAGE);
  assert_int_equal(looks, 1 + WATCH_US);
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
  struct ticker ticker = {.f = f, .left = WATCHED};
  uv_timer_t timer;
  need_a_ring_file(&f->file);
  uint64_t hits = stats_of(f).busy_hits;
  assert_ok(uv_timer_init(&f->loop, &timer));
  timer.data = &ticker;
  assert_ok(uv_timer_start(&timer, on_tick, 1, 1));
  run(f);
  assert_int_equal(ticker.sleeps, 0);
  assert_int_equal(stats_of(f).busy_hits, hits + WATCHED);
}

/* So are requests of a callback, whose turn it is then. */
static void read_next(struct tracked_op* op);

static void read_in_turn(struct ticker* ticker) {
  uvdio_buf_t page = blank(PAGE);
  ticker->left--;
  fault_block_reads(1);
  fault_stop_clock(LOOKS, 1, PAGE);
  t_read(op_then(&ticker->f->tracker, read_next, ticker), &ticker->f->file, &page, 0);
}

static void read_next(struct tracked_op* op) {
  struct ticker* ticker = op->data;
  op_free(op);
  if (ticker->left > 0) {
    read_in_turn(ticker);
  }
}

static void requests_of_callbacks_are_watched_for(void** state) {
  struct fixture* f = *state;
  struct ticker ticker = {.f = f, .left = WATCHED};
  need_a_ring_file(&f->file);
  uint64_t hits = stats_of(f).busy_hits;
  read_in_turn(&ticker);
  run(f);
  assert_int_equal(stats_of(f).busy_hits, hits + WATCHED);
}

/* The kernel's flag may stand with nothing behind it: that is no completion, and the loop sleeps as
 * ever. */
static void late_flag_is_no_completion(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = blank(PAGE);
  need_a_ring_file(&f->file);
  uint64_t hits = stats_of(f).busy_hits;
  fault_pretend_late_flag(1);
  fault_block_reads(1);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &page, 0);
  unsigned turns = 0;
  do {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  } while (uv_backend_timeout(&f->loop) == 0 && ++turns < 1000);
  fault_end_reads(1, PAGE);
  run(f);
  assert_result(read, PAGE);
  assert_true(turns < 1000);
  assert_true(stats_of(f).busy_hits <= hits + 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, blocked_read_is_cancelled),
      FAULT_TEST_ON(set_up, completion_ends_a_refusal),
      FAULT_TEST_ON(set_up, all_that_has_ended_is_called_back_in_one_turn),
      FAULT_TEST_ON(set_up, completion_wakes_the_loop_whenever_it_comes),
      FAULT_TEST_ON(set_up, completion_wakes_the_loop_beside_a_late_flag),
      FAULT_TEST_ON(set_up, only_durable_writes_do_not_wait_for_others),
      FAULT_TEST_ON(set_up, late_flag_keeps_no_loop_awake),
      FAULT_TEST_ON(set_up, late_flag_hides_nothing),
      FAULT_TEST_ON(set_up, childs_loop_leaves_the_parents_signals_alone),
      FAULT_TEST_ON(set_up, each_call_is_counted_once),
      FAULT_TEST_ON(set_up, closing_engine_does_not_spin),
      FAULT_TEST_ON(set_up, closing_engine_counts_what_wakes_it),
      FAULT_TEST_ON(set_up, entry_that_was_not_sent_goes_with_its_ring),
      FAULT_TEST_ON(watching, each_turn_of_the_end_is_one_call),
      FAULT_TEST_ON(watching, what_comes_meanwhile_is_seen),
      FAULT_TEST_ON(watching_for_long, watching_ends_when_its_time_is_over),
      FAULT_TEST_ON(watching, requests_of_a_timer_are_watched_for),
      FAULT_TEST_ON(watching, requests_of_callbacks_are_watched_for),
      FAULT_TEST_ON(watching, late_flag_is_no_completion),
  };
  return matrix_main("ring_completions", tests, COUNT_OF(tests), argc, argv);
}
