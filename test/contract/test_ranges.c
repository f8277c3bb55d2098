/* SPDX-License-Identifier: MIT */
/*
 * Reads of any offset and length: the aligned range around them comes in the buffer, and a view
 * tells where in it they are.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"
#include "registered.h"

#define PAGES 8u
#define SIZE ((size_t)PAGES * PAGE)

static _Alignas(4096) char content[SIZE];

static int open_with_content(void** state) {
  int failed = fixture_open(state);
  if (!failed) {
    fill_pattern(content, SIZE, 1);
    put(*state, &((struct fixture*)*state)->file, 0, SIZE, 1);
  }
  return failed;
}

static struct tracked_op* read_range(struct fixture* f, uint64_t offset, size_t length) {
  uvdio_buf_t buf = blank(uvdio_range_size(&f->file, offset, length));
  memset(buf.base, 0xee, buf.cap);
  struct tracked_op* read = t_read_range(op_new(&f->tracker), &f->file, &buf, offset, length);
  run(f);
  return read;
}

static void assert_range(struct tracked_op* read, uint64_t offset, size_t arrived) {
  uvdio_buf_t view = uvdio_range_view(&read->req, &read->back);
  assert_result(read, (int64_t)arrived);
  assert_int_equal(view.len, arrived);
  assert_int_equal(view.cap, arrived);
  assert_memory_equal(view.base, content + offset, arrived);
}

static void any_bytes_can_be_read(void** state) {
  static const size_t offsets[] = {0, 1, 511, 4095, 4096, 4097, 10000};
  static const size_t lengths[] = {1, 2, 100, 4095, 4096, 4097, 12289};
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(offsets); i++) {
    for (unsigned j = 0; j < COUNT_OF(lengths); j++) {
      struct tracked_op* read = read_range(f, offsets[i], lengths[j]);
      assert_range(read, offsets[i], lengths[j]);
      op_free(read);
    }
  }
}

static void size_covers_the_range(void** state) {
  struct fixture* f = *state;
  uint32_t align = info_of(&f->file).offset_align;
  assert_int_equal(uvdio_range_size(&f->file, 0, 1), align);
  assert_int_equal(uvdio_range_size(&f->file, 0, align), align);
  assert_int_equal(uvdio_range_size(&f->file, 1, align), 2 * align);
  assert_int_equal(uvdio_range_size(&f->file, align - 1, 2), 2 * align);
  assert_int_equal(uvdio_range_size(&f->file, align, align + 1), 2 * align);
  assert_int_equal(uvdio_range_size(&f->file, 0, 0), 0);
  assert_int_equal(uvdio_range_size(&f->file, INT64_MAX, 1), 0);
  assert_int_equal(uvdio_range_size(&f->file, INT64_MAX - 1, 1), 0);
  assert_int_equal(uvdio_range_size(&f->file, (uint64_t)INT64_MAX + 1, 0), 0);
  assert_int_equal(uvdio_range_size(&f->file, 0, SIZE_MAX), 0);
  assert_int_equal(uvdio_range_size(NULL, 0, 1), 0);
  assert_int_equal(uvdio_range_size(&f->other, 0, 1), 0);
}

/* Of a file without alignment, any byte of the largest file there may be. */
static void range_may_end_where_a_file_may(void** state) {
  struct fixture* f = *state;
  const uint64_t last = (uint64_t)INT64_MAX - 1;
  open_now(f, &f->other, "file", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  assert_int_equal(uvdio_range_size(&f->other, last, 1), 1);
  assert_int_equal(uvdio_range_size(&f->other, last, 2), 0);
  assert_int_equal(uvdio_range_size(&f->other, last + 1, 1), 0);
  assert_int_equal(uvdio_range_size(&f->other, 0, PTRDIFF_MAX), PTRDIFF_MAX);
  assert_int_equal(uvdio_range_size(&f->other, 0, (size_t)PTRDIFF_MAX + 1), 0);
}

/* No more than the range is read, whatever the buffer has room for. */
static void larger_buffer_stays_as_it_is_behind_the_range(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = blank(4 * PAGE);
  memset(buf.base, 0xee, buf.cap);
  struct tracked_op* read = t_read_range(op_new(&f->tracker), &f->file, &buf, PAGE + 1, 10);
  run(f);
  assert_range(read, PAGE + 1, 10);
  assert_int_equal(read->back.len, info_of(&f->file).offset_align);
  assert_int_equal(read->back.base[3 * PAGE], (char)0xee);
}

static void range_ends_with_the_file(void** state) {
  struct fixture* f = *state;
  const size_t end = 3 * PAGE + 77;
  assert_result(t_truncate(op_now(&f->tracker), &f->file, end), 0);
  assert_range(read_range(f, end - 100, 100), end - 100, 100);
  assert_range(read_range(f, end - 100, 101), end - 100, 100);
  assert_range(read_range(f, end - 5000, 9000), end - 5000, 5000);
  assert_range(read_range(f, end - 1, 1), end - 1, 1);
  assert_range(read_range(f, end, 1), 0, 0);
  assert_range(read_range(f, end + 10, 100), 0, 0);
  assert_range(read_range(f, 5 * PAGE, 10), 0, 0);
}

static void range_of_nothing_touches_nothing(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = blank(PAGE);
  struct tracked_op* read = t_read_range(op_new(&f->tracker), &f->file, &buf, 100, 0);
  run(f);
  assert_result(read, 0);
  assert_int_equal(uvdio_range_view(&read->req, &read->back).len, 0);
  assert_int_equal(read->back.len, 0);
  buf = blank(PAGE);
  read = t_read_range(op_new(&f->tracker), &f->file, &buf, INT64_MAX, 0);
  run(f);
  assert_result(read, 0);
}

static void synchronous_form_leaves_the_buffer(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = blank(2 * PAGE);
  struct tracked_op* read = t_read_range(op_now(&f->tracker), &f->file, &buf, 4000, 200);
  assert_int_equal(read->code, 0);
  assert_int_equal(read->req.result, 200);
  uvdio_buf_t view = uvdio_range_view(&read->req, &buf);
  assert_memory_equal(view.base, content + 4000, 200);
  assert_ok(uvdio_buf_release(&buf));
}

static void frames_take_ranges(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, 2 * PAGE, 4);
  uvdio_buf_t frame = frame_of(f);
  struct tracked_op* read = t_read_range(op_new(&f->tracker), &f->file, &frame, 5000, 6000);
  run(f);
  assert_range(read, 5000, 6000);
}

static void refuse(struct fixture* f, uvdio_buf_t* buf, uint64_t offset, size_t length, int error) {
  assert_refused(t_read_range(op_new(&f->tracker), &f->file, buf, offset, length), error);
  assert_refused(t_read_range(op_now(&f->tracker), &f->file, buf, offset, length), error);
}

static void wrong_ranges_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = blank(2 * PAGE);
  uvdio_buf_t off = uvdio_buf_view_bytes(buf.base + 8, PAGE);
  uvdio_buf_t none = {0};
  refuse(f, &buf, PAGE - 1, PAGE + 2, UV_ENOBUFS);
  refuse(f, &buf, 0, 2 * PAGE + 1, UV_ENOBUFS);
  refuse(f, &off, 0, 10, UVDIO_EALIGN);
  refuse(f, &buf, (uint64_t)INT64_MAX + 1, 1, UVDIO_EOFFSET);
  refuse(f, &buf, INT64_MAX, 1, UVDIO_EOFFSET);
  refuse(f, &buf, INT64_MAX - 1, 1, UVDIO_EOFFSET);
  refuse(f, &buf, 0, SIZE_MAX, UVDIO_EOFFSET);
  off = uvdio_buf_view_len(uvdio_buf_view_bytes(buf.base, PAGE), PAGE + 1);
  refuse(f, &off, 0, 10, UVDIO_EOFFSET);
  refuse(f, &none, 0, 1, UV_EINVAL);
  refuse(f, NULL, 0, 1, UV_EINVAL);
  assert_refused(t_read_range(op_new(&f->tracker), NULL, &buf, 0, 1), UV_EINVAL);
  assert_refused(t_read_range(op_new(&f->tracker), &f->other, &buf, 0, 1), UV_EBADF);
  assert_ok(uvdio_buf_release(&buf));
}

static void cancelled_range_has_no_bytes(void** state) {
  struct fixture* f = *state;
  struct tracked_op* first = read_page(f, 0);
  uvdio_buf_t buf = blank(2 * PAGE);
  struct tracked_op* read = t_read_range(op_new(&f->tracker), &f->file, &buf, 10, 20);
  assert_ok(t_cancel(read));
  run(f);
  assert_result(first, PAGE);
  assert_result(read, UV_ECANCELED);
  assert_int_equal(uvdio_range_view(&read->req, &read->back).len, 0);
}

static int open_at_depth_1(void** state) {
  int failed = fixture_open_at_depth_1(state);
  if (!failed) {
    put(*state, &((struct fixture*)*state)->file, 0, PAGE, 1);
  }
  return failed;
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(open_with_content, any_bytes_can_be_read),
      TEST_ON(open_with_content, size_covers_the_range),
      TEST_ON(open_with_content, range_may_end_where_a_file_may),
      TEST_ON(open_with_content, larger_buffer_stays_as_it_is_behind_the_range),
      TEST_ON(open_with_content, range_ends_with_the_file),
      TEST_ON(open_with_content, range_of_nothing_touches_nothing),
      TEST_ON(open_with_content, synchronous_form_leaves_the_buffer),
      TEST_ON(open_with_content, frames_take_ranges),
      TEST_ON(open_with_content, wrong_ranges_are_refused),
      TEST_ON(open_at_depth_1, cancelled_range_has_no_bytes),
  };
  return matrix_main("ranges", tests, COUNT_OF(tests), argc, argv);
}
