/* SPDX-License-Identifier: MIT */
/*
 * Appenders whose requests fail: what ends an appender, what does not, and who is told of it.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "uvdio/append.h"

#define FEW 4u

static char source[FEW * PAGE];
static uvdio_appender_t* appender;
static uvdio_append_t appends[FEW];
static uvdio_append_t ending;

static int set_up(void** state) {
  faults_reset();
  int failed = fixture_open(state);
  memset(source, 'x', sizeof(source));
  memset(appends, 0, sizeof(appends));
  memset(&ending, 0, sizeof(ending));
  faults_reset();
  return failed;
}

static void on_append(uvdio_append_t* append, int64_t result) {
  *(unsigned*)append->data += append->result == result;
}

static int add(unsigned i, size_t length, unsigned flags, unsigned* ended) {
  appends[i].data = ended;
  return uvdio_append(appender, &appends[i], source, length, flags, on_append);
}

static void close_appender(struct fixture* f, int64_t result) {
  unsigned ended = 0;
  ending.data = &ended;
  assert_ok(uvdio_appender_close(appender, &ending, on_append));
  run_untracked(f);
  assert_int_equal(ended, 1);
  assert_code(ending.result, result);
}

/* All that comes later is told of the first error, and so is the close. */
static void assert_over(struct fixture* f, int error) {
  unsigned ended = 0;
  appends[FEW - 1].data = &ended;
  assert_code(add(FEW - 1, 1, 0, &ended), error);
  assert_code(uvdio_appender_sync(appender, &appends[FEW - 1], on_append), error);
  close_appender(f, error);
  assert_int_equal(ended, 0);
}

/* The size need not be kept ahead. */
static void growth_that_fails_stops_and_nothing_else(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.grow_min = 8 * PAGE};
  unsigned ended = 0;
  need_faults();
  assert_ok(uvdio_appender_create(&appender, &f->file, &options));
  run_untracked(f);
  fault_fail(CALL_FTRUNCATE, 1, ONCE, EFBIG);
  for (unsigned i = 0; i < 3; i++) {
    assert_ok(add(i, 4 * PAGE, 0, &ended));
    run_untracked(f);
    assert_code(appends[i].result, 4 * PAGE);
    assert_size(f, &f->file, (int64_t)(4 * (i + 1) * PAGE));
  }
  assert_int_equal(fault_calls(CALL_FTRUNCATE), 1);
  close_appender(f, 0);
  assert_size(f, &f->file, 12 * PAGE);
  assert_int_equal(ended, 3);
}

/* The write that waits for the growth is cancelled, and the close waits for the growth. */
static void growth_may_end_last(void** state) {
  struct fixture* f = *state;
  unsigned ended = 0;
  if (matrix.backend != UVDIO_BACKEND_POOL) {
    SKIP("what the kernel has can't be held");
  }
  assert_ok(uvdio_appender_create(&appender, &f->file, NULL));
  run_untracked(f);
  faults_reset();
  fault_hold(CALL_FTRUNCATE, 1);
  assert_ok(add(0, 100, 0, &ended));
  watch_for_hang("a truncate that is held");
  while (fault_calls(CALL_FTRUNCATE) == 0) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  fault_await(CALL_FTRUNCATE);
  assert_ok(uvdio_file_cancel(&f->file));
  while (ended == 0) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_code(appends[0].result, UV_ECANCELED);
  ending.data = &ended;
  assert_ok(uvdio_appender_close(appender, &ending, on_append));
  (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(ended, 1);
  fault_release(CALL_FTRUNCATE);
  run_untracked(f);
  assert_int_equal(ended, 2);
  assert_code(ending.result, UV_ECANCELED);
}

static void error_of_a_write_or_a_sync_ends_all(void** state) {
  static const enum fault_call calls[] = {CALL_PWRITE, CALL_FDATASYNC};
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(calls); i++) {
    unsigned ended = 0;
    open_now(f, &f->other, "other", UVDIO_OPEN_RW);
    assert_ok(uvdio_appender_create(&appender, &f->other, NULL));
    run_untracked(f);
    faults_reset();
    fault_fail(calls[i], 1, ONCE, EREMOTEIO);
    int code = uv_translate_sys_error(EREMOTEIO);
    assert_ok(add(0, 100, UVDIO_APPEND_DURABLE, &ended));
    assert_ok(add(1, 100, UVDIO_APPEND_DURABLE, &ended));
    run_untracked(f);
    assert_int_equal(ended, 2);
    assert_code(appends[0].result, code);
    assert_code(appends[1].result, code);
    assert_over(f, code);
    close_other(f);
  }
}

/* Nobody will ever append them. */
static void bytes_that_waited_are_not_counted_after_an_error(void** state) {
  uvdio_appender_options_t options = {.buffer_size = PAGE, .buffer_count = 2};
  struct fixture* f = *state;
  unsigned ended = 0;
  need_faults();
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  assert_ok(uvdio_appender_create(&appender, &f->other, &options));
  run_untracked(f);
  faults_reset();
  fault_fail(CALL_PWRITE, 1, ONCE, EREMOTEIO);
  for (unsigned i = 0; i < FEW - 1; i++) {
    assert_ok(add(i, sizeof(source), 0, &ended));
  }
  assert_code(uvdio_appender_size(appender), (FEW - 1) * sizeof(source));
  run_untracked(f);
  assert_int_equal(ended, FEW - 1);
  assert_in_range(uvdio_appender_size(appender), 0, 2 * PAGE);
  assert_over(f, uv_translate_sys_error(EREMOTEIO));
  close_other(f);
}

static void error_of_the_last_truncate_is_the_closes(void** state) {
  struct fixture* f = *state;
  unsigned ended = 0;
  need_faults();
  assert_ok(uvdio_appender_create(&appender, &f->file, NULL));
  assert_ok(add(0, 100, 0, &ended));
  run_untracked(f);
  assert_code(appends[0].result, 100);
  fault_fail(CALL_FTRUNCATE, 1, ONCE, EREMOTEIO);
  close_appender(f, uv_translate_sys_error(EREMOTEIO));
  assert_int_equal(fault_hits(CALL_FTRUNCATE), 1);
}

/* Before each sync, where the size is to be exact. */
static void error_of_a_truncate_before_a_sync_ends_all(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.flags = UVDIO_APPEND_EXACT_SIZE};
  unsigned ended = 0;
  need_faults();
  assert_ok(uvdio_appender_create(&appender, &f->file, &options));
  run_untracked(f);
  faults_reset();
  fault_fail(CALL_FTRUNCATE, 1, ONCE, EREMOTEIO);
  assert_ok(add(0, 100, UVDIO_APPEND_DURABLE, &ended));
  run_untracked(f);
  assert_int_equal(fault_hits(CALL_FTRUNCATE), 1);
  assert_code(appends[0].result, uv_translate_sys_error(EREMOTEIO));
  assert_over(f, uv_translate_sys_error(EREMOTEIO));
}

/* Nothing is written where the end of the file is not known. */
static void assert_preparation_fails(struct fixture* f, enum fault_call call, uint64_t size) {
  uvdio_appender_options_t options = {.size = size, .flags = UVDIO_APPEND_AT_SIZE};
  unsigned ended = 0;
  put(f, &f->file, 0, 2 * PAGE, 1);
  faults_reset();
  fault_fail(call, 1, ONCE, EREMOTEIO);
  int code = uv_translate_sys_error(EREMOTEIO);
  assert_ok(uvdio_appender_create(&appender, &f->file, &options));
  assert_ok(add(0, 100, 0, &ended));
  run_untracked(f);
  assert_int_equal(fault_hits(call), 1);
  assert_int_equal(ended, 1);
  assert_code(appends[0].result, code);
  assert_code(uvdio_appender_size(appender), code);
  assert_int_equal(fault_calls(CALL_PWRITE), 0);
  assert_int_equal(fault_calls(CALL_PREAD), call == CALL_PREAD);
  assert_over(f, code);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
}

static void error_of_the_preparation_ends_all(void** state) {
  struct fixture* f = *state;
  need_faults();
  assert_preparation_fails(f, CALL_LSEEK, 2 * PAGE);
  assert_preparation_fails(f, CALL_FTRUNCATE, PAGE + 1);
  assert_preparation_fails(f, CALL_FDATASYNC, 2 * PAGE);
  assert_preparation_fails(f, CALL_FDATASYNC, PAGE + 1);
  assert_preparation_fails(f, CALL_PREAD, PAGE + 1);
}

/* Somebody else cuts the file off meanwhile. */
static void tail_that_is_not_there_ends_all(void** state) {
  struct fixture* f = *state;
  unsigned ended = 0;
  need_faults();
  put(f, &f->file, 0, PAGE, 1);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 100), 0);
  faults_reset();
  fault_shorten(CALL_PREAD, 1, FOR_GOOD, 0);
  assert_ok(uvdio_appender_create(&appender, &f->file, NULL));
  assert_ok(add(0, 100, 0, &ended));
  run_untracked(f);
  assert_code(appends[0].result, UVDIO_ESHORTREAD);
  assert_over(f, UVDIO_ESHORTREAD);
}

/* A file that has lost something by another's sync takes no write and no truncate. */
static void request_that_is_refused_ends_all(void** state) {
  static const unsigned kinds[] = {0, UVDIO_APPEND_NO_GROWTH, UVDIO_APPEND_EXACT_SIZE};
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    uvdio_appender_options_t options = {.flags = kinds[i]};
    unsigned ended = 0;
    open_now(f, &f->other, "other", UVDIO_OPEN_RW);
    assert_ok(uvdio_appender_create(&appender, &f->other, &options));
    run_untracked(f);
    fault_fail(CALL_FSYNC, 1, ONCE, EIO);
    assert_result(t_sync_all(op_now(&f->tracker), &f->other), UV_EIO);
    assert_code(add(0, 100, 0, &ended), UV_EIO);
    assert_over(f, UV_EIO);
    assert_int_equal(ended, 0);
    close_other(f);
  }
}

/* So is one whose sync is refused, with all of its bytes written. */
static void sync_that_is_refused_ends_all(void** state) {
  struct fixture* f = *state;
  unsigned ended = 0;
  need_faults();
  assert_ok(uvdio_appender_create(&appender, &f->file, NULL));
  assert_ok(add(0, 100, 0, &ended));
  run_untracked(f);
  fault_fail(CALL_FSYNC, 1, ONCE, EIO);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), UV_EIO);
  appends[1].data = &ended;
  assert_code(uvdio_appender_sync(appender, &appends[1], on_append), UV_EIO);
  assert_over(f, UV_EIO);
  assert_int_equal(ended, 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, growth_that_fails_stops_and_nothing_else),
      FAULT_TEST_ON(set_up, growth_may_end_last),
      FAULT_TEST_ON(set_up, error_of_a_write_or_a_sync_ends_all),
      FAULT_TEST_ON(set_up, bytes_that_waited_are_not_counted_after_an_error),
      FAULT_TEST_ON(set_up, error_of_the_last_truncate_is_the_closes),
      FAULT_TEST_ON(set_up, error_of_a_truncate_before_a_sync_ends_all),
      FAULT_TEST_ON(set_up, error_of_the_preparation_ends_all),
      FAULT_TEST_ON(set_up, tail_that_is_not_there_ends_all),
      FAULT_TEST_ON(set_up, request_that_is_refused_ends_all),
      FAULT_TEST_ON(set_up, sync_that_is_refused_ends_all),
  };
  return matrix_main("appends", tests, COUNT_OF(tests), argc, argv);
}
