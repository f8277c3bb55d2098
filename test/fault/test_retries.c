/* SPDX-License-Identifier: MIT */
/*
 * What is interrupted is repeated, but not for ever: a filesystem in user space may always say that
 * it was.
 */
#include <errno.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "workers.h"

/* That many times anything is repeated (os/os.h). */
#define RETRIES_MAX 64u

static int set_up(void** state) {
  return faults_open_written(state, 1);
}

static void interrupt_for_good(enum fault_call call) {
  faults_reset();
  fault_fail(call, 1, FOR_GOOD, EINTR);
  watch_for_hang("what is always interrupted");
}

/*
 * Opens: each of their steps
 */

static void open_ends(struct fixture* f, struct tracked_op* op, enum fault_call step) {
  size_t before = open_descriptors();
  interrupt_for_good(step);
  t_open(op, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  run(f);
  assert_result(op, UV_EINTR);
  assert_in_range(fault_calls(step), 2, 2 * (RETRIES_MAX + 1)); /* a ring's turns, and a worker's */
  assert_int_equal(open_descriptors(), before);
}

static void open_that_is_always_interrupted_ends(void** state) {
  struct fixture* f = *state;
  const enum fault_call steps[] = {CALL_OPEN, CALL_STATX, CALL_FSTATFS, CALL_FTRUNCATE};
  need_faults();
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    open_ends(f, op_new(&f->tracker), steps[i]);
    open_ends(f, op_now(&f->tracker), steps[i]);
  }
}

/*
 * Everything else
 */

static void operation_ends(struct fixture* f, uvdio_op_t kind, int blocking) {
  enum fault_call call = facts_of(kind)->call;
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  interrupt_for_good(call);
  struct tracked_op* op =
      t_example(f, blocking ? op_now(&f->tracker) : op_new(&f->tracker), &f->other, kind);
  run(f);
  assert_result(op, UV_EINTR);
  assert_int_equal(fault_calls(call), RETRIES_MAX + 1);
  faults_reset();
  close_other(f);
}

/* Opens have a test above, names one of their own (names.c); a replace is several calls, and a wait
 * for frames none. */
static int is_one_call(uvdio_op_t op) {
  enum effect effect = facts_of(op)->effect;
  return effect < EFFECT_NAMES && effect != EFFECT_OPEN && effect != EFFECT_CLOSE &&
         facts_of(op)->path == NULL;
}

static void operation_that_is_always_interrupted_ends(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    for (int blocking = 0; is_one_call(op) && blocking < 2; blocking++) {
      operation_ends(f, op, blocking);
    }
  }
}

/* Of a durable write that is a write and a sync, each has its own chances. */
static void sync_of_a_durable_write_begins_anew(void** state) {
  const unsigned by_sync = UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC;
  struct fixture* f = *state;
  need_faults();
  for (int blocking = 0; blocking < 2; blocking++) {
    uvdio_buf_t page = filled(PAGE, 1);
    uvdio_engine_stats_t before = stats_of(f);
    faults_reset();
    fault_fail(CALL_PWRITE, 1, RETRIES_MAX, EINTR);
    fault_fail(CALL_FDATASYNC, 1, RETRIES_MAX, EINTR);
    struct tracked_op* write = t_write_flags(blocking ? op_now(&f->tracker) : op_new(&f->tracker),
                                             &f->file, &page, 0, by_sync);
    run(f);
    assert_result(write, PAGE);
    assert_int_equal(fault_calls(CALL_PWRITE), RETRIES_MAX + 1);
    assert_int_equal(fault_calls(CALL_FDATASYNC), RETRIES_MAX + 1);
    assert_int_equal(stats_of(f).retried, before.retried + 2 * RETRIES_MAX);
    assert_int_equal(stats_of(f).synchronous, before.synchronous + (unsigned)blocking);
    assert_int_equal(stats_of(f).submitted, before.submitted + !blocking);
    assert_ok(uvdio_buf_release(&page));
  }
}

/* A ring that can't do the write, and then can't do the sync: a worker does each of them. */
static void sync_of_a_write_that_a_ring_refused_may_be_refused_too(void** state) {
  const unsigned by_sync = UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC;
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  uvdio_buf_t page = filled(PAGE, 1);
  faults_reset();
  fault_fail(CALL_PWRITE, 1, ONCE, ENOMEM);
  fault_fail(CALL_FDATASYNC, 1, ONCE, ECANCELED);
  struct tracked_op* write = t_write_flags(op_new(&f->tracker), &f->file, &page, 0, by_sync);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(fault_calls(CALL_PWRITE), 2);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
  assert_int_equal(fault_entries(CALL_FDATASYNC), 1);
}

/*
 * A ring's own calls
 */

/* In many turns of the loop it is asked as often as in a few, but for one more every 10 ms. */
static void assert_left_alone(struct fixture* f, enum fault_call call) {
  enum { TURNS = 1000, WHILE_MS = 10 };
  uv_update_time(&f->loop);
  uint64_t from = uv_now(&f->loop);
  for (unsigned i = 0; i < TURNS; i++) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  uv_update_time(&f->loop);
  assert_true(fault_hits(call) <= (RETRIES_MAX + 1) * (2 + (uv_now(&f->loop) - from) / WHILE_MS));
}

static void kernel_that_always_interrupts_submissions_is_left_alone(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  interrupt_for_good(CALL_SUBMIT);
  struct tracked_op* read = read_page(f, 0);
  assert_left_alone(f, CALL_SUBMIT);
  assert_true(fault_hits(CALL_SUBMIT) > 0);
  assert_int_equal(read->done, 0);
  faults_reset();
  run(f);
  assert_result(read, PAGE);
  assert_string_equal(uvdio_engine_backend(f->engine), "ring");
}

static void kernel_that_always_interrupts_completions_is_left_alone(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  interrupt_for_good(CALL_GET_EVENTS);
  struct tracked_op* read = read_that_ends_later(f);
  assert_left_alone(f, CALL_GET_EVENTS);
  unsigned hits = fault_hits(CALL_GET_EVENTS);
  faults_reset();
  run(f);
  assert_result(read, PAGE);
  assert_string_equal(uvdio_engine_backend(f->engine), "ring");
  if (hits == 0) {
    SKIP("this kernel posts completions without being asked");
  }
}

static unsigned turns_until_done(struct fixture* f, const struct tracked_op* op) {
  unsigned turns = 0;
  watch_for_hang("a read that is interrupted now and then");
  for (; op->done == 0; turns++) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  return turns;
}

/* What came in between counts: many interruptions, but few in a row, put off nothing. */
static void interruptions_in_a_row_are_counted(void** state) {
  enum { IN_A_ROW = 8, ROUNDS = RETRIES_MAX / IN_A_ROW * 3 };
  struct fixture* f = *state;
  unsigned hits = 0, put_off = 0;
  need_a_ring_file(&f->file);
  for (unsigned i = 0; i < ROUNDS; i++) {
    faults_reset();
    fault_fail(CALL_GET_EVENTS, 1, IN_A_ROW, EINTR);
    struct tracked_op* read = read_that_ends_later(f);
    put_off += turns_until_done(f, read) > IN_A_ROW;
    assert_result(read, PAGE);
    hits += fault_hits(CALL_GET_EVENTS);
  }
  faults_reset();
  run(f);
  if (hits == 0) {
    SKIP("this kernel posts completions without being asked");
  }
  assert_int_equal(put_off, 0);
}

static void probe_that_is_always_interrupted_ends(void** state) {
  struct fixture* f = *state;
  char reason[256];
  need_a_ring_file(&f->file);
  interrupt_for_good(CALL_SUBMIT);
  assert_code(uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof(reason)), UV_EINTR);
  assert_int_equal(fault_hits(CALL_SUBMIT), RETRIES_MAX + 1);
  watch_for_hang(NULL);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, open_that_is_always_interrupted_ends),
      FAULT_TEST_ON(set_up, operation_that_is_always_interrupted_ends),
      FAULT_TEST_ON(set_up, sync_of_a_durable_write_begins_anew),
      FAULT_TEST_ON(set_up, sync_of_a_write_that_a_ring_refused_may_be_refused_too),
      FAULT_TEST_ON(set_up, kernel_that_always_interrupts_submissions_is_left_alone),
      FAULT_TEST_ON(set_up, kernel_that_always_interrupts_completions_is_left_alone),
      FAULT_TEST_ON(set_up, interruptions_in_a_row_are_counted),
      FAULT_TEST_ON(set_up, probe_that_is_always_interrupted_ends),
  };
  workers_begin();
  return matrix_main("retries", tests, COUNT_OF(tests), argc, argv);
}
