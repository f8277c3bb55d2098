/* SPDX-License-Identifier: MIT */
/*
 * Writes whose buffer stays with the caller, who may read it meanwhile (UVDIO_WRITE_SHARED).
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define COPIES 4u

static void reader_uses_the_page_while_it_is_written(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 7);
  const char* base = page.base;
  struct tracked_op* write =
      t_write_flags(op_new(&f->tracker), &f->file, &page, PAGE, UVDIO_WRITE_SHARED);
  assert_ptr_equal(page.base, base);
  assert_true(is_pattern(page.base, PAGE, 7));
  run(f);
  assert_result(write, PAGE);
  assert_ptr_equal(write->back.base, base);
  assert_int_equal(write->back.len, PAGE);
  assert_int_equal(uvdio_buf_origin(&write->back), UVDIO_ORIGIN_VIEW);
  assert_holds(f, &f->file, PAGE, PAGE, 7);
  assert_true(is_pattern(page.base, PAGE, 7));
  assert_ok(uvdio_buf_release(&page));
}

/* One page, several places, several ways at once. */
static void bytes_may_be_in_several_writes(void** state) {
  static const unsigned ways[COPIES] = {
      UVDIO_WRITE_SHARED,
      UVDIO_WRITE_SHARED | UVDIO_WRITE_DURABLE,
      UVDIO_WRITE_SHARED | UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_DSYNC,
      UVDIO_WRITE_SHARED | UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC,
  };
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 3);
  struct tracked_op* writes[COPIES];
  for (unsigned i = 0; i < COPIES; i++) {
    writes[i] = t_write_flags(op_new(&f->tracker), &f->file, &page, (uint64_t)i * PAGE, ways[i]);
  }
  run(f);
  for (unsigned i = 0; i < COPIES; i++) {
    assert_result(writes[i], PAGE);
    assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, 3);
  }
  assert_ok(uvdio_buf_release(&page));
}

static void several_buffers_stay_as_well(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t pages[3] = {filled(PAGE, 1), filled(2 * PAGE, 2), filled(PAGE, 3)};
  struct tracked_op* write =
      t_writev_flags(op_new(&f->tracker), &f->file, pages, 3, 0, UVDIO_WRITE_SHARED);
  run(f);
  assert_result(write, 4 * PAGE);
  assert_holds(f, &f->file, 3 * PAGE, PAGE, 3);
  for (unsigned i = 0; i < 3; i++) {
    assert_int_equal(uvdio_buf_origin(&write->bufs[i]), UVDIO_ORIGIN_VIEW);
    assert_ptr_equal(write->bufs[i].base, pages[i].base);
    assert_true(is_pattern(pages[i].base, pages[i].len, i + 1));
    assert_ok(uvdio_buf_release(&pages[i]));
  }
}

/* A frame is out until its holder gives it back, and not before. */
static void frames_stay_out(void** state) {
  struct fixture* f = *state;
  uvdio_arena_info_t info;
  uvdio_buf_t frame;
  fixture_arena(f, PAGE, 4);
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  fill_pattern(frame.base, PAGE, 5);
  frame.len = PAGE;
  struct tracked_op* write =
      t_write_flags(op_new(&f->tracker), &f->file, &frame, 0, UVDIO_WRITE_SHARED);
  run(f);
  assert_result(write, PAGE);
  assert_ok(uvdio_buf_release(&write->back));
  assert_ok(uvdio_arena_info(f->arena, &info));
  assert_int_equal(info.frames_out, 1);
  assert_holds(f, &f->file, 0, PAGE, 5);
  assert_ok(uvdio_buf_release(&frame));
}

static void synchronous_form_is_the_same_as_ever(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 2);
  assert_result(t_write_flags(op_now(&f->tracker), &f->file, &page, 0, UVDIO_WRITE_SHARED), PAGE);
  assert_holds(f, &f->file, 0, PAGE, 2);
  assert_ok(uvdio_buf_release(&page));
}

static void handle_stays_after_refusal_and_cancellation(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 2);
  assert_refused(t_write_flags(op_new(&f->tracker), &f->file, &page, 1, UVDIO_WRITE_SHARED),
                 UVDIO_EALIGN);
  struct tracked_op* first = write_page(f, 1);
  struct tracked_op* write =
      t_write_flags(op_new(&f->tracker), &f->file, &page, 0, UVDIO_WRITE_SHARED);
  assert_ok(t_cancel(write));
  run(f);
  assert_result(first, PAGE);
  assert_true(write->result == UV_ECANCELED || write->result == PAGE);
  assert_true(is_pattern(page.base, PAGE, 2));
  assert_ok(uvdio_buf_release(&page));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, reader_uses_the_page_while_it_is_written),
      TEST_ON(fixture_open, bytes_may_be_in_several_writes),
      TEST_ON(fixture_open, several_buffers_stay_as_well),
      TEST_ON(fixture_open, frames_stay_out),
      TEST_ON(fixture_open, synchronous_form_is_the_same_as_ever),
      TEST_ON(fixture_open_at_depth_1, handle_stays_after_refusal_and_cancellation),
  };
  return matrix_main("shared_writes", tests, COUNT_OF(tests), argc, argv);
}
