/* SPDX-License-Identifier: MIT */
/*
 * A truncate runs alone on its file: what was submitted before it is done, and what comes after it
 * waits. Beside direct writes, kernels lose some of them (uvdio_truncate in uvdio.h tells which);
 * sim/generator.c looks for that at length.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define MANY 12u
#define ROUNDS 30u

static struct tracked_op* truncate_to(struct fixture* f, unsigned pages) {
  return t_truncate(op_new(&f->tracker), &f->file, (uint64_t)pages * PAGE);
}

static void assert_page(struct fixture* f, unsigned page, unsigned seed) {
  assert_holds(f, &f->file, (uint64_t)page * PAGE, PAGE, seed);
}

static void one_round(struct fixture* f, unsigned round) {
  struct tracked_op* writes[MANY + 2];
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page_of(f, &f->file, i, round + i);
  }
  struct tracked_op* truncate = truncate_to(f, 4);
  writes[MANY] = write_page_of(f, &f->file, 2, round + 100);
  writes[MANY + 1] = write_page_of(f, &f->file, 8, round + 101);
  run(f);
  assert_result(truncate, 0);
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    assert_result(writes[i], PAGE);
  }
}

static void writes_before_are_cut_off_and_writes_after_stay(void** state) {
  struct fixture* f = *state;
  for (unsigned round = 0; round < ROUNDS; round++) {
    one_round(f, round);
    assert_size(f, &f->file, 9 * PAGE);
    assert_page(f, 0, round);
    assert_page(f, 1, round + 1);
    assert_page(f, 2, round + 100);
    assert_page(f, 3, round + 3);
    assert_zeros(f, &f->file, 4 * PAGE, 4 * PAGE);
    assert_page(f, 8, round + 101);
  }
}

static void everything_keeps_its_side(void** state) {
  struct fixture* f = *state;
  struct tracked_op* before[MANY];
  struct tracked_op* after[MANY];
  put(f, &f->file, 0, MANY * PAGE, 1);
  for (unsigned i = 0; i < MANY; i++) {
    before[i] = i % 3 == 2 ? write_page_of(f, &f->file, i, 2) : read_page(f, i);
  }
  struct tracked_op* truncate = truncate_to(f, MANY / 2);
  for (unsigned i = 0; i < MANY; i++) {
    after[i] = read_page(f, i);
  }
  /* which changes nothing */
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), &f->file, PAGE);
  run(f);
  assert_result(truncate, 0);
  assert_int_equal(preallocate->done, 1);
  assert_true(preallocate->order > truncate->order);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(before[i], PAGE);
    assert_true(before[i]->order < truncate->order);
    assert_result(after[i], i < MANY / 2 ? PAGE : 0);
    assert_true(after[i]->order > truncate->order);
  }
}

static void truncates_follow_each_other(void** state) {
  struct fixture* f = *state;
  struct tracked_op* truncates[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    truncates[i] = truncate_to(f, i % 2 ? 1 : 20 + i);
    write_page_of(f, &f->file, 1, i);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(truncates[i], 0);
    assert_true(i == 0 || truncates[i]->order > truncates[i - 1]->order);
  }
  assert_size(f, &f->file, 2 * PAGE);
  assert_page(f, 1, MANY - 1);
}

static void sync_covers_a_truncate_that_waits(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  struct tracked_op* truncate = truncate_to(f, 8);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  struct tracked_op* later = write_page_of(f, &f->file, 9, 2);
  run(f);
  assert_result(write, PAGE);
  assert_result(truncate, 0);
  assert_result(sync, 0);
  assert_result(later, PAGE);
  assert_true(sync->order > truncate->order);
}

static void synchronous_forms_are_turned_away(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  uvdio_buf_t buf = filled(PAGE, 9);
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  assert_refused(t_truncate(op_now(t), &f->file, 0), UV_EBUSY);
  struct tracked_op* truncate = truncate_to(f, 4);
  assert_refused(t_write(op_now(t), &f->file, &buf, 0), UV_EBUSY);
  assert_refused(t_read(op_now(t), &f->file, &buf, 0), UV_EBUSY);
  assert_refused(t_preallocate(op_now(t), &f->file, PAGE), UV_EBUSY);
  assert_refused(t_punch_hole(op_now(t), &f->file, 0, PAGE), UV_EBUSY);
  assert_refused(t_zero_range(op_now(t), &f->file, 0, PAGE), UV_EBUSY);
  assert_refused(t_truncate(op_now(t), &f->file, 0), UV_EBUSY);
  assert_true(is_pattern(buf.base, PAGE, 9));
  run(f);
  assert_result(write, PAGE);
  assert_result(truncate, 0);
  assert_result(t_write(op_now(t), &f->file, &buf, 0), PAGE);
  assert_result(t_truncate(op_now(t), &f->file, 2 * PAGE), 0);
  assert_ok(uvdio_buf_release(&buf));
  assert_size(f, &f->file, 2 * PAGE);
}

/* Nothing but the library has them, so that a cancellation is no mere request. */
static void what_waits_is_cancelled_at_once(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 3 * PAGE, PAGE, 3);
  struct tracked_op* first = write_page_of(f, &f->file, 0, 1);
  struct tracked_op* truncate = truncate_to(f, 8);
  struct tracked_op* write = write_page_of(f, &f->file, 1, 2);
  struct tracked_op* read = read_page(f, 3);
  assert_ok(t_cancel(truncate));
  assert_ok(t_cancel(write));
  run(f);
  assert_result(first, PAGE);
  assert_result(truncate, UV_ECANCELED);
  assert_result(write, UV_ECANCELED);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, 3));
  assert_size(f, &f->file, 4 * PAGE);
}

static void close_waits_for_what_waits(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[2] = {write_page_of(f, &f->file, 0, 1), NULL};
  struct tracked_op* truncate = truncate_to(f, 4);
  writes[1] = write_page_of(f, &f->file, 5, 2);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(writes[0], PAGE);
  assert_result(writes[1], PAGE);
  assert_result(truncate, 0);
  assert_result(close, 0);
  assert_true(close->order > writes[1]->order);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  assert_size(f, &f->file, 6 * PAGE);
}

static void engine_close_waits_for_what_waits(void** state) {
  struct fixture* f = *state;
  struct tracked_op* first = write_page_of(f, &f->file, 0, 1);
  struct tracked_op* truncate = truncate_to(f, 4);
  struct tracked_op* last = write_page_of(f, &f->file, 5, 2);
  end_engine(f);
  assert_result(first, PAGE);
  assert_result(truncate, 0);
  assert_result(last, PAGE);
}

/* Another file's requests have nothing to do with it. */
static void other_files_are_not_held_up(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 3);
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  struct tracked_op* truncate = truncate_to(f, 4);
  assert_result(t_write(op_now(&f->tracker), &f->other, &buf, 0), PAGE);
  assert_result(t_truncate(op_now(&f->tracker), &f->other, 3 * PAGE), 0);
  assert_ok(uvdio_buf_release(&buf));
  run(f);
  assert_result(write, PAGE);
  assert_result(truncate, 0);
  assert_size(f, &f->other, 3 * PAGE);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, writes_before_are_cut_off_and_writes_after_stay),
      TEST_ON(fixture_open_at_depth_1, writes_before_are_cut_off_and_writes_after_stay),
      TEST_ON(fixture_open, everything_keeps_its_side),
      TEST_ON(fixture_open, truncates_follow_each_other),
      TEST_ON(fixture_open, sync_covers_a_truncate_that_waits),
      TEST_ON(fixture_open, synchronous_forms_are_turned_away),
      TEST_ON(fixture_open, what_waits_is_cancelled_at_once),
      TEST_ON(fixture_open, close_waits_for_what_waits),
      TEST_ON(fixture_open, engine_close_waits_for_what_waits),
      TEST_ON(fixture_open, other_files_are_not_held_up),
  };
  return matrix_main("truncate", tests, COUNT_OF(tests), argc, argv);
}
