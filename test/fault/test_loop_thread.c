/*
 * The loop's thread makes no system call that may take long: which thread opens and closes, whatever ends a file or an open?
 */
#include <errno.h>
#include <sys/stat.h>

#include "faults.h"
#include "fixture.h"
#include "workers.h"

#define PAGE UVDIO_PAGE_SIZE

static int set_up(void** state) {
  faults_reset();
  workers_begin();
  int failed = fixture_open(state);
  if (!failed) {
    struct fixture* f = *state;
    t_size(op_new(&f->tracker), &f->file); /* binds the engine to its thread */
    run(f);
    faults_reset();
  }
  return failed;
}

static int tear_down(void** state) {
  faults_reset();
  return fixture_tear_down(state);
}

static struct top* open_other(struct fixture* f, struct top* op, const char* name, unsigned flags) {
  t_open(op, f->dio, &f->other, path_of(f, name), flags);
  run(f);
  return op;
}

/*
 * Closes
 */

static void assert_closed_elsewhere(unsigned times) {
  assert_int_equal(fault_calls(CALL_CLOSE), times);
  assert_int_equal(fault_calls_here(CALL_CLOSE), 0);
}

/* The synchronous form is what shows that calls of this thread are seen. */
static void close_is_a_workers(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  assert_result(t_close(op_now(&f->tracker), &f->other), 0);
  assert_int_equal(fault_calls_here(CALL_CLOSE), 1);
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  faults_reset();
  struct top* close = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(close, 0);
  assert_closed_elsewhere(1);
}

static void close_behind_a_write_is_a_workers(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  uvdio_buf_t page = filled(PAGE, 1);
  t_write(op_new(&f->tracker), &f->other, &page, 0);
  struct top* close = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(close, 0);
  assert_closed_elsewhere(1);
}

/* The eventfd of a ring is closed by the thread that has polled it, and takes no time. */
static void files_left_open_are_closed_by_workers(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  faults_reset();
  end_engine(f);
  assert_int_equal(f->closed, 1);
  assert_int_equal(fault_calls(CALL_CLOSE) - fault_calls_here(CALL_CLOSE), 2);
  assert_int_equal(fault_calls_here(CALL_CLOSE), matrix.backend == UVDIO_BACKEND_RING);
}

/*
 * Opens
 */

static void open_is_a_workers(void** state) {
  struct fixture* f = *state;
  const unsigned flags[] = {UVDIO_OPEN_CREATE, UVDIO_OPEN_RW, UVDIO_OPEN_READ, UVDIO_OPEN_READ | UVDIO_DIRECT_PREFERRED};
  for (size_t i = 0; i < COUNT_OF(flags); i++) {
    faults_reset();
    assert_result(open_other(f, op_new(&f->tracker), "other", flags[i]), 0);
    assert_true(fault_calls(CALL_OPEN) >= 1);
    assert_int_equal(fault_calls_here(CALL_OPEN), 0);
    assert_true(fault_calls(CALL_FSTATFS) >= 1);
    assert_int_equal(fault_calls_here(CALL_FSTATFS) + fault_calls_here(CALL_FTRUNCATE), 0);
    assert_result(t_close(op_now(&f->tracker), &f->other), 0);
  }
}

static void need_faults(void) {
  if (matrix.backend == UVDIO_BACKEND_RING && !faults_reach_the_ring()) {
    SKIP("entries of a ring can't be made to fail here (Linux 6.10)");
  }
}

static void open_that_fails_half_way_is_closed_by_a_worker(void** state) {
  struct fixture* f = *state;
  const enum fault_call fatal[] = {CALL_STATX, CALL_FTRUNCATE};
  size_t before = open_descriptors();
  need_faults();
  for (size_t i = 0; i < COUNT_OF(fatal); i++) {
    faults_reset();
    fault_fail(fatal[i], 1, ONCE, EIO);
    assert_result(open_other(f, op_new(&f->tracker), "other", UVDIO_OPEN_CREATE), UV_EIO);
    assert_int_equal(fault_hits(fatal[i]), 1);
    assert_closed_elsewhere(1);
    assert_int_equal(open_descriptors(), before);
  }
}

/* What it is shows when it is open. */
static void what_is_no_file_is_closed_by_a_worker(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  assert_int_equal(mkfifo(path_of(f, "fifo"), 0600), 0);
  faults_reset();
  assert_result(open_other(f, op_new(&f->tracker), "fifo", UVDIO_OPEN_RW | UVDIO_DIRECT_PREFERRED), UV_ESPIPE);
  assert_true(fault_calls(CALL_CLOSE) >= 1);
  assert_int_equal(fault_calls_here(CALL_CLOSE), 0);
  assert_int_equal(open_descriptors(), before);
}

/* A cancellation that comes too late does not take the close from its worker. */
static void cancelled_open_that_fails_is_closed_by_a_worker(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  fault_hold(CALL_FTRUNCATE, 1);
  fault_fail(CALL_FTRUNCATE, 1, ONCE, EIO);
  struct top* open = t_open(op_new(&f->tracker), f->dio, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  while (fault_calls(CALL_FTRUNCATE) == 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  fault_await(CALL_FTRUNCATE);
  assert_ok(t_cancel(open));
  fault_release(CALL_FTRUNCATE);
  run(f);
  assert_result(open, UV_EIO);
  assert_closed_elsewhere(1);
  assert_int_equal(open_descriptors(), before);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(close_is_a_workers),
      TEST(close_behind_a_write_is_a_workers),
      TEST(files_left_open_are_closed_by_workers),
      TEST(open_is_a_workers),
      TEST(open_that_fails_half_way_is_closed_by_a_worker),
      TEST(what_is_no_file_is_closed_by_a_worker),
      TEST(cancelled_open_that_fails_is_closed_by_a_worker),
  };
  return matrix_main("loop_thread", tests, COUNT_OF(tests), argc, argv);
}
