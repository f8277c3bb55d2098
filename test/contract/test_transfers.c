/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes: every byte arrives where it should, whatever the buffer and wherever the file
 * ends. A transfer of nothing is one, too.
 */
#include <string.h>

#include "fixture.h"

/*
 * Reading and writing.
 */

static void roundtrip(struct fixture* f, uvdio_buf_t* out, uvdio_buf_t* in, unsigned seed) {
  size_t size = out->cap;
  fill_pattern(out->base, size, seed);
  assert_ok(uvdio_buf_set_len(out, size));
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, out, 3 * PAGE);
  run(f);
  assert_result(write, size);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, in, 3 * PAGE);
  run(f);
  assert_result(read, size);
  assert_true(is_pattern(read->back.base, size, seed));
  assert_true(is_pattern(write->back.base, size, seed));
  assert_size(f, &f->file, (int64_t)(3 * PAGE + size));
}

static void heap_roundtrip(struct fixture* f, size_t size) {
  uvdio_buf_t out = blank(size);
  uvdio_buf_t in = blank(size);
  roundtrip(f, &out, &in, 1);
}

static void page_goes_out_and_comes_back(void** state) {
  heap_roundtrip(*state, PAGE);
}

static void eight_mib_go_out_and_come_back(void** state) {
  heap_roundtrip(*state, 8 * 1024 * 1024);
}

static void blob_goes_out_and_comes_back(void** state) {
  uvdio_buf_t out;
  uvdio_buf_t in;
  assert_ok(uvdio_buf_blob(&out));
  assert_ok(uvdio_buf_alloc(&in, UVDIO_BLOB_SIZE, UVDIO_BUF_FULL));
  uvdio_buf_clear(&in);
  roundtrip(*state, &out, &in, 2);
}

static void frames_go_out_and_come_back(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t out;
  uvdio_buf_t in;
  fixture_arena(f, 4 * PAGE, 2);
  assert_ok(uvdio_arena_acquire(f->arena, &out));
  assert_ok(uvdio_arena_acquire(f->arena, &in));
  roundtrip(f, &out, &in, 3);
}

static void views_go_out_and_come_back(void** state) {
  static _Alignas(UVDIO_ALIGNMENT) char outgoing[2 * PAGE];
  static _Alignas(UVDIO_ALIGNMENT) char incoming[2 * PAGE];
  uvdio_buf_t out = uvdio_buf_wrap(outgoing, sizeof(outgoing));
  uvdio_buf_t in = uvdio_buf_wrap(incoming, sizeof(incoming));
  roundtrip(*state, &out, &in, 4);
  assert_true(is_pattern(incoming, sizeof(incoming), 4));
}

/* Releasing what came back does what its origin asks for. */
static void buffers_that_came_back_are_released_by_origin(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[PAGE];
  uvdio_arena_info_t info;
  fixture_arena(f, PAGE, 1);
  uvdio_buf_t frame;
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  uvdio_buf_t heap = blank(PAGE);
  uvdio_buf_t view = uvdio_buf_wrap(bytes, PAGE);
  struct tracked_op* reads[] = {t_read(op_new(&f->tracker), &f->file, &frame, 0),
                                t_read(op_new(&f->tracker), &f->file, &heap, 0),
                                t_read(op_new(&f->tracker), &f->file, &view, 0)};
  run(f);
  for (size_t i = 0; i < COUNT_OF(reads); i++) {
    uvdio_buf_t back = op_take(reads[i]);
    assert_ok(uvdio_buf_release(&back));
    assert_null(back.base);
  }
  assert_ok(uvdio_arena_info(f->arena, &info));
  assert_int_equal(info.frames_out, 0);
}

static void write_sends_len_and_not_cap(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(4 * PAGE, 1);
  uvdio_buf_truncate(&buf, PAGE);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(write->back.cap, 4 * PAGE);
  assert_size(f, &f->file, PAGE);
}

static void read_asks_for_cap_whatever_len_was(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 2 * PAGE, 1);
  uvdio_buf_t buf = blank(2 * PAGE);
  assert_ok(uvdio_buf_set_len(&buf, 17));
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(read, 2 * PAGE);
  assert_true(is_pattern(read->back.base, 2 * PAGE, 1));
}

/* For less than cap, pass a view. */
static void view_reads_a_part_of_a_buffer(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t view;
  put(f, &f->file, 0, PAGE, 1);
  fixture_arena(f, 4 * PAGE, 1);
  uvdio_buf_t frame;
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  assert_ok(uvdio_buf_slice_space(&frame, PAGE, PAGE, &view));
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &view, 0);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_zero(frame.base, PAGE));
  assert_true(is_pattern(frame.base + PAGE, PAGE, 1));
  assert_true(is_zero(frame.base + 2 * PAGE, 2 * PAGE));
  assert_ok(uvdio_buf_release(&frame));
}

static void many_pages_land_where_they_should(void** state) {
  struct fixture* f = *state;
  enum { PAGES = 100 };
  for (unsigned i = 0; i < PAGES; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    t_write(op_new(&f->tracker), &f->file, &page, (uint64_t)((i * 37) % PAGES) * PAGE);
  }
  run(f);
  for (unsigned i = 0; i < PAGES; i++) {
    assert_holds(f, &f->file, (uint64_t)((i * 37) % PAGES) * PAGE, PAGE, i);
  }
  assert_size(f, &f->file, PAGES * PAGE);
}

static void two_files_keep_their_bytes_apart(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  for (unsigned i = 0; i < 16; i++) {
    uvdio_buf_t a = filled(PAGE, i);
    uvdio_buf_t b = filled(PAGE, 100 + i);
    t_write(op_new(&f->tracker), &f->file, &a, i * PAGE);
    t_write(op_new(&f->tracker), &f->other, &b, i * PAGE);
  }
  run(f);
  for (unsigned i = 0; i < 16; i++) {
    assert_holds(f, &f->file, i * PAGE, PAGE, i);
    assert_holds(f, &f->other, i * PAGE, PAGE, 100 + i);
  }
}

static void one_path_opened_twice_is_one_file(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  put(f, &f->file, 0, PAGE, 1);
  assert_holds(f, &f->other, 0, PAGE, 1);
}

/* Many pieces, far apart: none may be lost, whatever they are kept in. */
static void pages_far_apart_stay_where_they_are(void** state) {
  struct fixture* f = *state;
  const uint64_t step = 1024 * 1024;
  for (unsigned i = 0; i < 50; i++) {
    put(f, &f->file, i * step, PAGE, i);
  }
  for (unsigned i = 0; i < 50; i++) {
    assert_holds(f, &f->file, i * step, PAGE, i);
  }
  assert_zeros(f, &f->file, 7 * step + PAGE, 5 * PAGE);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 20 * step), 0);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 50 * step), 0);
  for (unsigned i = 0; i < 50; i++) {
    if (i < 20) {
      assert_holds(f, &f->file, i * step, PAGE, i);
    } else {
      assert_zeros(f, &f->file, i * step, PAGE);
    }
  }
}

static void hole_reads_as_zeros(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 100 * PAGE, PAGE, 1);
  assert_zeros(f, &f->file, 0, 100 * PAGE);
  assert_holds(f, &f->file, 100 * PAGE, PAGE, 1);
}

/*
 * The end of the file.
 */

static struct tracked_op* read_at(struct fixture* f, size_t cap, uint64_t offset) {
  uvdio_buf_t buf = blank(cap);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &buf, offset);
  run(f);
  return read;
}

static struct tracked_op* read_exactly_at(struct fixture* f, size_t cap, uint64_t offset) {
  uvdio_buf_t buf = blank(cap);
  struct tracked_op* read = t_read_exact(op_new(&f->tracker), &f->file, &buf, offset);
  run(f);
  return read;
}

static void end_on_a_page(struct fixture* f) {
  put(f, &f->file, 0, 2 * PAGE, 1);
}

/* Two pages and 100 bytes. */
static void end_within_a_page(struct fixture* f) {
  put(f, &f->file, 0, 3 * PAGE, 1);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 2 * PAGE + 100), 0);
}

static void read_at_the_end_gives_nothing(void** state) {
  struct fixture* f = *state;
  assert_result(read_at(f, PAGE, 0), 0);
  end_on_a_page(f);
  assert_result(read_at(f, PAGE, 2 * PAGE), 0);
}

static void read_past_the_end_gives_nothing(void** state) {
  struct fixture* f = *state;
  end_on_a_page(f);
  assert_result(read_at(f, PAGE, 3 * PAGE), 0);
  assert_result(read_at(f, PAGE, (uint64_t)1 << 40), 0);
}

static void read_over_the_end_gives_what_there_is(void** state) {
  struct fixture* f = *state;
  end_on_a_page(f);
  struct tracked_op* read = read_at(f, 4 * PAGE, PAGE);
  assert_result(read, PAGE);
  assert_memory_equal(read->back.base, read_at(f, PAGE, PAGE)->back.base, PAGE);
}

static void read_of_an_unaligned_tail_gives_the_tail(void** state) {
  struct fixture* f = *state;
  end_within_a_page(f);
  assert_result(read_at(f, PAGE, 2 * PAGE), 100);
  struct tracked_op* all = read_at(f, 8 * PAGE, 0);
  assert_result(all, 2 * PAGE + 100);
  assert_true(is_pattern(all->back.base, 2 * PAGE + 100, 1));
  assert_result(read_at(f, PAGE, 3 * PAGE), 0);
}

static void exact_read_within_the_file_is_a_read(void** state) {
  struct fixture* f = *state;
  end_within_a_page(f);
  struct tracked_op* read = read_exactly_at(f, 2 * PAGE, 0);
  assert_result(read, 2 * PAGE);
  assert_true(is_pattern(read->back.base, 2 * PAGE, 1));
}

static void exact_read_over_the_end_is_short_and_keeps_what_arrived(void** state) {
  struct fixture* f = *state;
  end_within_a_page(f);
  struct tracked_op* read = read_exactly_at(f, 4 * PAGE, 0);
  assert_result(read, UVDIO_ESHORTREAD);
  assert_int_equal(read->req.transferred, 2 * PAGE + 100);
  assert_int_equal(read->back.len, 2 * PAGE + 100);
  assert_true(is_pattern(read->back.base, 2 * PAGE + 100, 1));
}

static void exact_read_past_the_end_is_short_of_everything(void** state) {
  struct fixture* f = *state;
  end_on_a_page(f);
  struct tracked_op* read = read_exactly_at(f, PAGE, 2 * PAGE);
  assert_result(read, UVDIO_ESHORTREAD);
  assert_int_equal(read->back.len, 0);
}

/*
 * Nothing to do.
 */

static void zero_bytes_take_no_time_but_a_callback(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[PAGE];
  uvdio_buf_t nothing = uvdio_buf_wrap(bytes, 0);
  uvdio_buf_t unfilled = uvdio_buf_wrap(bytes, PAGE);
  uvdio_buf_t no_room = uvdio_buf_wrap(bytes, 0);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &nothing, 0);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &unfilled, 5 * PAGE);
  struct tracked_op* exact = t_read_exact(op_new(&f->tracker), &f->file, &no_room, 0);
  run(f);
  assert_result(read, 0);
  assert_result(write, 0);
  assert_result(exact, 0);
  assert_size(f, &f->file, 0);
}

static void zero_bytes_are_checked_like_any_others(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[PAGE];
  uvdio_buf_t nothing = uvdio_buf_wrap(bytes, 0);
  uvdio_buf_t crooked = uvdio_buf_wrap(bytes + 1, 0);
  assert_refused(t_read(op_new(&f->tracker), &f->file, &nothing, 1), UVDIO_EALIGN);
  assert_refused(t_read(op_new(&f->tracker), &f->file, &crooked, 0), UVDIO_EALIGN);
  assert_refused(t_write(op_new(&f->tracker), &f->file, &nothing, 1), UVDIO_EALIGN);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, page_goes_out_and_comes_back),
      TEST_ON(fixture_open, eight_mib_go_out_and_come_back),
      TEST_ON(fixture_open, blob_goes_out_and_comes_back),
      TEST_ON(fixture_open, frames_go_out_and_come_back),
      TEST_ON(fixture_open, views_go_out_and_come_back),
      TEST_ON(fixture_open, buffers_that_came_back_are_released_by_origin),
      TEST_ON(fixture_open, write_sends_len_and_not_cap),
      TEST_ON(fixture_open, read_asks_for_cap_whatever_len_was),
      TEST_ON(fixture_open, view_reads_a_part_of_a_buffer),
      TEST_ON(fixture_open, many_pages_land_where_they_should),
      TEST_ON(fixture_open, two_files_keep_their_bytes_apart),
      TEST_ON(fixture_open, one_path_opened_twice_is_one_file),
      TEST_ON(fixture_open, pages_far_apart_stay_where_they_are),
      TEST_ON(fixture_open, hole_reads_as_zeros),
      TEST_ON(fixture_open, read_at_the_end_gives_nothing),
      TEST_ON(fixture_open, read_past_the_end_gives_nothing),
      TEST_ON(fixture_open, read_over_the_end_gives_what_there_is),
      TEST_ON(fixture_open, read_of_an_unaligned_tail_gives_the_tail),
      TEST_ON(fixture_open, exact_read_within_the_file_is_a_read),
      TEST_ON(fixture_open, exact_read_over_the_end_is_short_and_keeps_what_arrived),
      TEST_ON(fixture_open, exact_read_past_the_end_is_short_of_everything),
      TEST_ON(fixture_open, zero_bytes_take_no_time_but_a_callback),
      TEST_ON(fixture_open, zero_bytes_are_checked_like_any_others),
  };
  return matrix_main("transfers", tests, COUNT_OF(tests), argc, argv);
}
