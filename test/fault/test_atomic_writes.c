/* SPDX-License-Identifier: MIT */
/*
 * Writes that can't be torn: the kernel is asked for each, and whatever it refuses or cuts short is
 * an error, and never goes on as an ordinary write.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define MANY 8u
#define SIZE (4 * PAGE)

static int open_atomic(void** state) {
  faults_reset();
  return fixture_open(state);
}

static void need_atomic_writes(struct fixture* f) {
  uvdio_file_info_t info = info_of(&f->file);
  if (info.atomic_max < 2 * SIZE || info.atomic_min > SIZE) {
    SKIP("this file has no atomic writes");
  }
}

static struct tracked_op* write_whole(struct fixture* f, uvdio_file_t* file, unsigned place,
                                      unsigned more) {
  uvdio_buf_t buf = filled(SIZE, place);
  return t_write_flags(op_new(&f->tracker), file, &buf, place * SIZE, UVDIO_WRITE_ATOMIC | more);
}

/* XFS does not begin a write without waiting that has to note another time of change: kernel AIO
 * asks in vain then, and the pool asks once more. */
static void assert_asked(unsigned asked, unsigned times) {
  unsigned most = matrix.backend == UVDIO_BACKEND_AIO ? 2 * times : times;
  assert_in_range(asked, times, most);
}

static void kernel_is_asked_for_each(void** state) {
  struct fixture* f = *state;
  need_atomic_writes(f);
  for (unsigned i = 0; i < MANY; i++) {
    write_whole(f, &f->file, i, i % 2 == 0 ? 0 : UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_DSYNC);
  }
  write_page(f, 0);
  run(f);
  unsigned asked = fault_atomic_writes();
  assert_asked(asked, MANY);
  assert_asked(fault_durable_writes(), MANY / 2);
  uvdio_buf_t now = filled(SIZE, 1);
  assert_result(t_write_flags(op_now(&f->tracker), &f->file, &now, SIZE, UVDIO_WRITE_ATOMIC), SIZE);
  assert_int_equal(fault_atomic_writes(), asked + 1);
  assert_ok(uvdio_buf_release(&now));
}

static void one_buffer_of_a_vector_is_asked_for(void** state) {
  struct fixture* f = *state;
  need_atomic_writes(f);
  uvdio_buf_t buf = filled(SIZE, 1);
  struct tracked_op* op =
      t_writev_flags(op_new(&f->tracker), &f->file, &buf, 1, 0, UVDIO_WRITE_ATOMIC);
  run(f);
  assert_result(op, SIZE);
  assert_asked(fault_atomic_writes(), 1);
}

/* An error that is one of writing back as well latches, where writes may go through a cache. */
static void refusal_is_told(struct fixture* f, unsigned flags, int refusal) {
  open_now(f, &f->other, "other", flags);
  int latches = (flags & UVDIO_O_DSYNC) != 0 && info_of(&f->other).is_durable_serialized;
  faults_reset();
  fault_fail(CALL_PWRITE, 1, FOR_GOOD, refusal);
  struct tracked_op* op = write_whole(f, &f->other, 0, 0);
  run(f);
  assert_result(op, UVDIO_EATOMIC);
  assert_int_equal(op->req.transferred, 0);
  assert_code(info_of(&f->other).latch_error, latches ? UVDIO_EATOMIC : 0);
  assert_int_equal(fault_atomic_writes(), 0);
  faults_reset();
  assert_size(f, &f->other, 0);
  close_other(f);
}

static void refusals_are_told(void** state) {
  struct fixture* f = *state;
  static const int refusals[] = {EINVAL, EOPNOTSUPP};
  need_faults();
  need_atomic_writes(f);
  for (size_t i = 0; i < COUNT_OF(refusals); i++) {
    refusal_is_told(f, UVDIO_OPEN_RW, refusals[i]);
    refusal_is_told(f, UVDIO_OPEN_WAL, refusals[i]);
  }
}

static void short_ones_are_errors(void** state) {
  struct fixture* f = *state;
  need_faults();
  need_atomic_writes(f);
  for (unsigned most = 0; most <= SIZE; most += SIZE) {
    uvdio_buf_t buf = filled(2 * SIZE, 1);
    faults_reset();
    fault_shorten(CALL_PWRITE, 1, FOR_GOOD, most);
    struct tracked_op* op =
        t_write_flags(op_new(&f->tracker), &f->file, &buf, 0, UVDIO_WRITE_ATOMIC);
    run(f);
    assert_result(op, UVDIO_ESHORTWRITE);
    assert_int_equal(op->req.transferred, most);
    assert_asked(fault_calls(CALL_PWRITE), 1);
  }
}

static void interrupted_one_is_made_again_as_a_whole(void** state) {
  struct fixture* f = *state;
  need_faults();
  need_atomic_writes(f);
  fault_fail(CALL_PWRITE, 1, 2, EINTR);
  struct tracked_op* op = write_whole(f, &f->file, 2, 0);
  run(f);
  assert_result(op, SIZE);
  assert_asked(fault_atomic_writes(), 1);
  assert_holds(f, &f->file, 2 * SIZE, SIZE, 2);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(open_atomic, kernel_is_asked_for_each),
      FAULT_TEST_ON(open_atomic, one_buffer_of_a_vector_is_asked_for),
      FAULT_TEST_ON(open_atomic, refusals_are_told),
      FAULT_TEST_ON(open_atomic, short_ones_are_errors),
      FAULT_TEST_ON(open_atomic, interrupted_one_is_made_again_as_a_whole),
  };
  return matrix_main("atomic_writes", tests, COUNT_OF(tests), argc, argv);
}
