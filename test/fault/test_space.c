/* SPDX-License-Identifier: MIT */
/*
 * Written space on systems that refuse some of the calls that it takes: what the kernel can't fill
 * by itself is filled by writes, and an error of any call is told.
 */
#include <errno.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define UNIT (64 * PAGE)
#define SIZE ((uint64_t)4 * UNIT)
#define DATA_BEHIND ((uint64_t)6 * UNIT)

static int set_up(void** state) {
  faults_reset();
  int failed = fixture_open(state);
  faults_reset();
  return failed;
}

/* Data in the second unit, and a hole before and after it, of which the second one reaches beyond
 * what is to be written. */
static void make_holes(struct fixture* f) {
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
  put(f, &f->file, UNIT, UNIT, 1);
  put(f, &f->file, DATA_BEHIND, UNIT, 2);
  faults_reset();
}

static int64_t written(struct fixture* f) {
  struct tracked_op* op =
      t_preallocate_range(op_now(&f->tracker), &f->file, 0, SIZE, UVDIO_SPACE_WRITTEN);
  assert_int_equal(op->done, 1);
  return op->result;
}

static void assert_filled(struct fixture* f) {
  assert_zeros(f, &f->file, 0, UNIT);
  assert_holds(f, &f->file, UNIT, UNIT, 1);
  assert_zeros(f, &f->file, 2 * UNIT, SIZE - 2 * UNIT);
  assert_result(t_next_hole(op_now(&f->tracker), &f->file, 0), (int64_t)SIZE);
  assert_result(t_next_data(op_now(&f->tracker), &f->file, SIZE), (int64_t)DATA_BEHIND);
  assert_holds(f, &f->file, DATA_BEHIND, UNIT, 2);
}

/* The first call reserves the space, and each of the others fills a hole. */
static void holes_are_filled_by_writes_where_the_kernel_can_not(void** state) {
  static const int refusals[] = {EOPNOTSUPP, EINVAL, ENOSYS};
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(refusals); i++) {
    make_holes(f);
    fault_fail(CALL_FALLOCATE, 2, FOR_GOOD, refusals[i]);
    assert_code(written(f), 0);
    assert_int_equal(fault_hits(CALL_FALLOCATE), 2);
    assert_int_equal(fault_calls(CALL_PWRITE), 2);
    assert_filled(f);
  }
}

static void other_errors_of_filling_are_told(void** state) {
  static const int errors[] = {EIO, ENOSPC, EPERM, ENOTDIR, ENOTTY};
  struct fixture* f = *state;
  for (unsigned nth = 1; nth <= 3; nth++) {
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
      make_holes(f);
      fault_fail(CALL_FALLOCATE, nth, ONCE, errors[i]);
      assert_code(written(f), uv_translate_sys_error(errors[i]));
      assert_int_equal(fault_calls(CALL_FALLOCATE), nth);
    }
  }
}

static void error_of_a_write_is_told(void** state) {
  struct fixture* f = *state;
  for (unsigned nth = 1; nth <= 2; nth++) {
    make_holes(f);
    fault_fail(CALL_FALLOCATE, 2, FOR_GOOD, EOPNOTSUPP);
    fault_fail(CALL_PWRITE, nth, ONCE, ENOSPC);
    assert_code(written(f), UV_ENOSPC);
    assert_int_equal(fault_calls(CALL_PWRITE), nth);
  }
  make_holes(f);
  fault_fail(CALL_FALLOCATE, 2, FOR_GOOD, EOPNOTSUPP);
  fault_shorten(CALL_PWRITE, 1, ONCE, 0);
  assert_code(written(f), UVDIO_ESHORTWRITE);
}

static void short_writes_go_on_behind_what_they_wrote(void** state) {
  struct fixture* f = *state;
  make_holes(f);
  fault_fail(CALL_FALLOCATE, 2, FOR_GOOD, EOPNOTSUPP);
  fault_shorten(CALL_PWRITE, 1, FOR_GOOD, 16 * PAGE);
  assert_code(written(f), 0);
  assert_int_equal(fault_calls(CALL_PWRITE), (SIZE - UNIT) / (16 * PAGE));
  faults_reset();
  assert_filled(f);
}

/* Each hole is looked for, and then the data behind it, and then one more hole. */
static void error_of_looking_is_told(void** state) {
  struct fixture* f = *state;
  for (unsigned nth = 1; nth <= 5; nth++) {
    make_holes(f);
    fault_fail(CALL_LSEEK, nth, ONCE, EIO);
    assert_code(written(f), UV_EIO);
    assert_int_equal(fault_calls(CALL_LSEEK), nth);
  }
}

/* Past the end of the file, which somebody else cuts off meanwhile: there is nothing left to be
 * filled, or all of it is a hole. */
static void end_that_comes_earlier_is_no_error(void** state) {
  struct fixture* f = *state;
  make_holes(f);
  fault_fail(CALL_LSEEK, 1, ONCE, ENXIO);
  assert_code(written(f), 0);
  assert_int_equal(fault_calls(CALL_LSEEK), 1);
  assert_int_equal(fault_calls(CALL_PWRITE), 0);
  make_holes(f);
  fault_fail(CALL_FALLOCATE, 2, FOR_GOOD, EOPNOTSUPP);
  fault_fail(CALL_LSEEK, 4, ONCE, ENXIO);
  assert_code(written(f), 0);
  assert_filled(f);
}

/* One call writes 1 MiB at most, in one list of pieces. */
static void large_holes_take_several_writes(void** state) {
  static const struct {
    size_t size;
    unsigned writes;
  } cases[] = {{PAGE, 1}, {MIB, 1}, {MIB + PAGE, 2}, {3 * MIB, 3}};
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
    faults_reset();
    fault_fail(CALL_FALLOCATE, 2, FOR_GOOD, EOPNOTSUPP);
    assert_result(
        t_preallocate_range(op_now(&f->tracker), &f->file, 0, cases[i].size, UVDIO_SPACE_WRITTEN),
        0);
    assert_int_equal(fault_calls(CALL_PWRITE), cases[i].writes);
    faults_reset();
    assert_zeros(f, &f->file, 0, cases[i].size);
    assert_size(f, &f->file, (int64_t)cases[i].size);
  }
}

/* A filesystem that can't zero a range punches a hole, and reserves it again. */
static void range_is_zeroed_by_a_hole_where_the_filesystem_can_not(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 3 * UNIT, 1);
  faults_reset();
  fault_fail(CALL_FALLOCATE, 1, ONCE, EOPNOTSUPP);
  assert_result(t_zero_range(op_now(&f->tracker), &f->file, UNIT, UNIT), 0);
  assert_int_equal(fault_calls(CALL_FALLOCATE), 3);
  faults_reset();
  assert_size(f, &f->file, (int64_t)(3 * UNIT));
  assert_zeros(f, &f->file, UNIT, UNIT);
  faults_reset();
  fault_fail(CALL_FALLOCATE, 1, 2, EOPNOTSUPP);
  assert_result(t_zero_range(op_now(&f->tracker), &f->file, UNIT, UNIT), UV_ENOTSUP);
  assert_int_equal(fault_calls(CALL_FALLOCATE), 2);
  faults_reset();
  fault_fail(CALL_FALLOCATE, 1, ONCE, EIO);
  assert_result(t_zero_range(op_now(&f->tracker), &f->file, UNIT, UNIT), UV_EIO);
  assert_int_equal(fault_calls(CALL_FALLOCATE), 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, holes_are_filled_by_writes_where_the_kernel_can_not),
      FAULT_TEST_ON(set_up, other_errors_of_filling_are_told),
      FAULT_TEST_ON(set_up, error_of_a_write_is_told),
      FAULT_TEST_ON(set_up, short_writes_go_on_behind_what_they_wrote),
      FAULT_TEST_ON(set_up, error_of_looking_is_told),
      FAULT_TEST_ON(set_up, end_that_comes_earlier_is_no_error),
      FAULT_TEST_ON(set_up, large_holes_take_several_writes),
      FAULT_TEST_ON(set_up, range_is_zeroed_by_a_hole_where_the_filesystem_can_not),
  };
  return matrix_main("space", tests, COUNT_OF(tests), argc, argv);
}
