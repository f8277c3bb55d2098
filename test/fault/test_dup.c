/* SPDX-License-Identifier: MIT */
/*
 * What the handles of one open file (uvdio_dup) owe to each other, looked at from the system calls:
 * no read or write beside a truncate, one sync at a time, and no success once a sync of any handle
 * has failed.
 */
#include <errno.h>
#include <stdatomic.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define IDLE 40u

static uvdio_engine_t* second;
static atomic_uint locks;

void __real_uv_mutex_lock(uv_mutex_t* mutex);
void __wrap_uv_mutex_lock(uv_mutex_t* mutex);

void __wrap_uv_mutex_lock(uv_mutex_t* mutex) {
  atomic_fetch_add(&locks, 1);
  __real_uv_mutex_lock(mutex);
}

/* f->file and f->other are handles of one open file, on two engines of the loop. */
static int two_handles(void** state) {
  faults_reset();
  if (fixture_engine(state) != 0) {
    return -1;
  }
  struct fixture* f = *state;
  uvdio_engine_options_t options = matrix_options();
  open_now(f, &f->file, "file", UVDIO_OPEN_RW | UVDIO_O_DUP);
  assert_ok(uvdio_engine_create(&second, &f->loop, &options));
  assert_ok(uvdio_dup(second, &f->other, &f->file));
  return 0;
}

static int tear_down(void** state) {
  struct fixture* f = *state;
  uvdio_engine_stats_t stats;
  faults_reset();
  if (second != NULL) {
    assert_ok(uvdio_engine_stats(second, &stats));
    f->elsewhere += stats.submitted;
    assert_ok(uvdio_engine_close(second, NULL));
  }
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  return fixture_tear_down(state);
}

#define TEST_WITH_TWO(function) cmocka_unit_test_setup_teardown(function, two_handles, tear_down)

/* Lets the loop run until nothing more comes of itself, with a call held on a worker; so many came
 * before it. */
static void let_all_come(struct fixture* f, enum fault_call held, unsigned before) {
  watch_for_hang("no call reaches a worker");
  while (fault_calls(held) == before) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  fault_await(held);
  run_for_a_while(f, 20, 1);
  watch_for_hang(NULL);
}

static void need_workers(const struct fixture* f) {
  if (!is_done_by(&f->file, "pool")) {
    SKIP("what the kernel has can't be held");
  }
}

static void nothing_runs_beside_a_truncate(void** state) {
  struct fixture* f = *state;
  need_workers(f);
  put(f, &f->file, 0, 4 * PAGE, 1);
  fault_hold(CALL_FTRUNCATE, 1);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, PAGE);
  unsigned reads = fault_calls(CALL_PREAD);
  unsigned writes = fault_calls(CALL_PWRITE);
  let_all_come(f, CALL_FTRUNCATE, 0);
  struct tracked_op* read = read_page_of(f, &f->other, 3);
  struct tracked_op* write = write_page_of(f, &f->other, 2, 5);
  struct tracked_op* again = t_truncate(op_new(&f->tracker), &f->other, 8 * PAGE);
  run_for_a_while(f, 20, 1);
  assert_int_equal(fault_calls(CALL_PREAD), reads);
  assert_int_equal(fault_calls(CALL_PWRITE), writes);
  assert_int_equal(fault_calls(CALL_FTRUNCATE), 1);
  fault_release(CALL_FTRUNCATE);
  run(f);
  assert_result(truncate, 0);
  assert_result(write, PAGE);
  assert_result(again, 0);
  assert_int_equal(read->done, 1);
  assert_size(f, &f->file, 8 * PAGE);
}

static void truncate_comes_after_what_runs_elsewhere(void** state) {
  struct fixture* f = *state;
  need_workers(f);
  put(f, &f->file, 0, 4 * PAGE, 1);
  unsigned writes = fault_calls(CALL_PWRITE);
  fault_hold(CALL_PWRITE, 1);
  struct tracked_op* write = write_page_of(f, &f->file, 2, 5);
  watch_for_hang("no write reaches a worker");
  while (fault_calls(CALL_PWRITE) == writes) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  fault_await(CALL_PWRITE);
  watch_for_hang(NULL);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->other, PAGE);
  struct tracked_op* later = read_page_of(f, &f->file, 2);
  run_for_a_while(f, 20, 1);
  assert_int_equal(fault_calls(CALL_FTRUNCATE), 0);
  assert_int_equal(later->done, 0);
  fault_release(CALL_PWRITE);
  run(f);
  assert_result(write, PAGE);
  assert_result(truncate, 0);
  assert_result(later, 0);
}

static void one_sync_runs_at_a_time(void** state) {
  struct fixture* f = *state;
  need_workers(f);
  fault_hold(CALL_FDATASYNC, 1);
  struct tracked_op* first = t_sync_data(op_new(&f->tracker), &f->file);
  let_all_come(f, CALL_FDATASYNC, 0);
  struct tracked_op* other = t_sync_data(op_new(&f->tracker), &f->other);
  struct tracked_op* write = write_page_of(f, &f->other, 0, 1);
  while (write->done == 0) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  assert_result(write, PAGE);
  assert_refused(t_sync_all(op_now(&f->tracker), &f->other), UV_EBUSY);
  fault_release(CALL_FDATASYNC);
  run(f);
  assert_result(first, 0);
  assert_result(other, 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
  assert_int_equal(fault_most_at_once(CALL_FDATASYNC), 1);
}

static void cancelled_sync_lets_the_next_one_go(void** state) {
  struct fixture* f = *state;
  uvdio_file_t third = {0};
  need_workers(f);
  assert_ok(uvdio_dup(second, &third, &f->file));
  fault_hold(CALL_FDATASYNC, 1);
  struct tracked_op* first = t_sync_data(op_new(&f->tracker), &f->file);
  let_all_come(f, CALL_FDATASYNC, 0);
  struct tracked_op* cancelled = t_sync_data(op_new(&f->tracker), &f->other);
  struct tracked_op* last = t_sync_data(op_new(&f->tracker), &third);
  assert_ok(t_cancel(cancelled));
  fault_release(CALL_FDATASYNC);
  run(f);
  assert_result(first, 0);
  assert_result(cancelled, UV_ECANCELED);
  assert_result(last, 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
  assert_result(t_close(op_now(&f->tracker), &third), 0);
}

/* The kernel reports a lost write-back once per open file: here to the first handle. */
static void failed_sync_latches_all_handles(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  uvdio_file_t third = {0};
  need_faults();
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  struct tracked_op* first = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* waiting = t_sync_data(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(first, UV_EIO);
  assert_result(waiting, UV_EIO);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  assert_refused(t_sync_all(op_new(&f->tracker), &f->other), UV_EIO);
  assert_refused(t_write(op_new(&f->tracker), &f->other, &page, 0), UV_EIO);
  assert_refused(t_truncate(op_new(&f->tracker), &f->other, 0), UV_EIO);
  assert_int_equal(info_of(&f->other).latch_error, UV_EIO);
  assert_ok(uvdio_dup(second, &third, &f->file));
  assert_int_equal(info_of(&third).latch_error, UV_EIO);
  assert_refused(t_write(op_now(&f->tracker), &third, &page, 0), UV_EIO);
  uvdio_buf_release(&page);
  assert_result(t_close(op_now(&f->tracker), &third), 0);
}

/* The first operation after the failure, on a handle that has heard of nothing. */
static void write_after_a_failed_sync_elsewhere_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  need_faults();
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  assert_result(t_sync_data(op_now(&f->tracker), &f->file), UV_EIO);
  assert_refused(t_write(op_new(&f->tracker), &f->other, &page, 0), UV_EIO);
  uvdio_buf_release(&page);
}

/* A durable write that ran beside the failure is no success once that is known. */
static void durable_write_beside_a_failed_sync_is_told(void** state) {
  struct fixture* f = *state;
  need_workers(f);
  uvdio_buf_t page = filled(PAGE, 1);
  fault_hold(CALL_PWRITE, 1);
  struct tracked_op* write = t_write_flags(op_new(&f->tracker), &f->other, &page, 0,
                                           UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC);
  let_all_come(f, CALL_PWRITE, 0);
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  while (sync->done == 0) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  fault_release(CALL_PWRITE);
  run(f);
  assert_result(sync, UV_EIO);
  assert_result(write, UV_EIO);
}

/* Changes that wait for a place, or for others of their handle, have not started. */
static void latch_refuses_what_waits_on_other_handles(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = matrix_options();
  uvdio_file_t third = {0};
  uvdio_engine_t* narrow;
  need_workers(f);
  need_one_backend(&f->file);
  put(f, &f->file, 0, 4 * PAGE, 1);
  options.depth = 1;
  assert_ok(uvdio_engine_create(&narrow, &f->loop, &options));
  assert_ok(uvdio_dup(narrow, &third, &f->file));
  unsigned reads = fault_calls(CALL_PREAD);
  fault_hold(CALL_PREAD, 1);
  struct tracked_op* read = read_page_of(f, &third, 0);
  struct tracked_op* write = write_page_of(f, &third, 1, 5);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &third, 0);
  let_all_come(f, CALL_PREAD, reads);
  unsigned writes = fault_calls(CALL_PWRITE);
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  assert_result(t_sync_data(op_now(&f->tracker), &f->file), UV_EIO);
  fault_release(CALL_PREAD);
  run(f);
  assert_result(read, PAGE);
  assert_int_equal(fault_calls(CALL_PWRITE), writes);
  assert_result(write, UV_EIO);
  assert_result(truncate, UV_EIO);
  f->elsewhere += 3;
  assert_result(t_close(op_now(&f->tracker), &third), 0);
  assert_ok(uvdio_engine_close(narrow, NULL));
  run(f);
}

/* An engine that is being closed has a worker busy with another file. What its handle was given
 * must not wait for that. */
static void closing_engine_holds_nobody_up(void** state) {
  struct fixture* f = *state;
  uvdio_file_t slow = {0};
  need_workers(f);
  need_one_backend(&f->file);
  put(f, &f->file, 0, 4 * PAGE, 1);
  assert_result(t_open(op_now(&f->tracker), second, &slow, path_of(f, "slow"), UVDIO_OPEN_RW), 0);
  unsigned writes = fault_calls(CALL_PWRITE);
  fault_hold(CALL_PWRITE, 1);
  struct tracked_op* stuck = write_page_of(f, &slow, 0, 1);
  watch_for_hang("no write reaches a worker");
  while (fault_calls(CALL_PWRITE) == writes) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  fault_await(CALL_PWRITE);
  unsigned reads = fault_calls(CALL_PREAD);
  fault_hold(CALL_PREAD, 1);
  struct tracked_op* read = read_page_of(f, &f->file, 0);
  let_all_come(f, CALL_PREAD, reads);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->other, PAGE);
  struct tracked_op* later = read_page_of(f, &f->file, 0);
  uvdio_engine_stats_t stats;
  assert_ok(uvdio_engine_stats(second, &stats));
  f->elsewhere = stats.submitted;
  assert_ok(uvdio_engine_close(second, NULL));
  second = NULL;
  run_for_a_while(f, 20, 1);
  fault_release(CALL_PREAD);
  watch_for_hang("handles wait for an engine that is being closed");
  while (truncate->done == 0 || later->done == 0) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_int_equal(stuck->done, 0);
  fault_release(CALL_PWRITE);
  run(f);
  watch_for_hang(NULL);
  assert_result(read, PAGE);
  assert_result(stuck, PAGE);
  assert_result(truncate, 0);
  assert_result(later, PAGE);
}

/* How often a mutex is taken where a truncate waits for the other handle. */
static unsigned locks_of_a_wait(struct fixture* f) {
  unsigned before = atomic_load(&locks);
  struct tracked_op* read = read_page_of(f, &f->file, 0);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->other, PAGE);
  run(f);
  assert_result(read, PAGE);
  assert_result(truncate, 0);
  return atomic_load(&locks) - before;
}

/* Whoever wakes an engine for one handle does not make it look at all of its files. */
static void handles_that_wait_for_nothing_cost_nothing(void** state) {
  struct fixture* f = *state;
  static uvdio_file_t idle[IDLE];
  need_workers(f);
  put(f, &f->file, 0, PAGE, 1);
  unsigned alone = locks_of_a_wait(f);
  for (unsigned i = 0; i < IDLE; i++) {
    assert_ok(uvdio_dup(second, &idle[i], &f->file));
  }
  assert_true(locks_of_a_wait(f) < alone + IDLE);
  for (unsigned i = 0; i < IDLE; i++) {
    assert_result(t_close(op_now(&f->tracker), &idle[i]), 0);
  }
}

static void dup_that_fails_leaves_nothing(void** state) {
  struct fixture* f = *state;
  uvdio_file_t copy = {0};
  fault_fail(CALL_FCNTL, 1, ONCE, EMFILE);
  assert_code(uvdio_dup(second, &copy, &f->file), UV_EMFILE);
  for (unsigned nth = 1; nth <= 2; nth++) {
    fault_fail(CALL_MEMALIGN, nth, ONCE, ENOMEM);
    assert_code(uvdio_dup(second, &copy, &f->file), UV_ENOMEM);
    faults_reset();
  }
  assert_ok(uvdio_dup(second, &copy, &f->file));
  assert_result(t_close(op_now(&f->tracker), &copy), 0);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, PAGE), 0);
}

static void open_for_handles_that_fails_leaves_nothing(void** state) {
  struct fixture* f = *state;
  uvdio_file_t file = {0};
  unsigned nth = 0;
  struct tracked_op* open;
  do {
    faults_reset();
    fault_fail(CALL_MEMALIGN, ++nth, ONCE, ENOMEM);
    open = t_open(op_now(&f->tracker), f->engine, &file, path_of(f, "new"),
                  UVDIO_OPEN_RW | UVDIO_O_DUP);
    assert_true(open->code == 0 || open->code == UV_ENOMEM);
  } while (open->code != 0);
  assert_true(nth > 4);
  faults_reset();
  assert_result(t_close(op_now(&f->tracker), &file), 0);
}

static void mutex_that_fails_is_an_error(void** state) {
  struct fixture* f = *state;
  uvdio_file_t file = {0};
  fault_fail(CALL_MUTEX_INIT, 1, ONCE, ENOMEM);
  struct tracked_op* open =
      t_open(op_now(&f->tracker), f->engine, &file, path_of(f, "new"), UVDIO_OPEN_RW | UVDIO_O_DUP);
  assert_refused(open, UV_ENOMEM);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_WITH_TWO(nothing_runs_beside_a_truncate),
      TEST_WITH_TWO(truncate_comes_after_what_runs_elsewhere),
      TEST_WITH_TWO(one_sync_runs_at_a_time),
      TEST_WITH_TWO(cancelled_sync_lets_the_next_one_go),
      TEST_WITH_TWO(failed_sync_latches_all_handles),
      TEST_WITH_TWO(write_after_a_failed_sync_elsewhere_is_refused),
      TEST_WITH_TWO(durable_write_beside_a_failed_sync_is_told),
      TEST_WITH_TWO(latch_refuses_what_waits_on_other_handles),
      TEST_WITH_TWO(closing_engine_holds_nobody_up),
      TEST_WITH_TWO(handles_that_wait_for_nothing_cost_nothing),
      TEST_WITH_TWO(dup_that_fails_leaves_nothing),
      TEST_WITH_TWO(open_for_handles_that_fails_leaves_nothing),
      TEST_WITH_TWO(mutex_that_fails_is_an_error),
  };
  return matrix_main("dup", tests, COUNT_OF(tests), argc, argv);
}
