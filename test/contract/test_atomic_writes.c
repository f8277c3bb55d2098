/* SPDX-License-Identifier: MIT */
/*
 * Writes that can't be torn (UVDIO_WRITE_ATOMIC). That they survive a power cut as a whole is for
 * sim/ to show, and up to kernel and disk elsewhere; here is what a program sees: which are taken,
 * and which are refused. Each test holds on files that have none, too: there all are refused.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define MANY 8u

static uint32_t least(struct fixture* f) {
  return info_of(&f->file).atomic_min;
}

static uint32_t most(struct fixture* f) {
  return info_of(&f->file).atomic_max;
}

/* What most tests write: not all that there may be. */
static size_t usual(struct fixture* f) {
  size_t size = most(f) < 16 * PAGE ? most(f) : 16 * PAGE;
  return most(f) == 0 || least(f) > size ? PAGE : size;
}

static struct tracked_op* form(struct fixture* f, int blocking) {
  return blocking ? op_now(&f->tracker) : op_new(&f->tracker);
}

/* A write of `size` bytes; the buffer is released where it is refused. */
static struct tracked_op* write_whole(struct fixture* f, struct tracked_op* op, uint64_t offset,
                                      size_t size, unsigned more) {
  uvdio_buf_t buf = filled(size, (unsigned)(offset / PAGE));
  t_write_flags(op, &f->file, &buf, offset, UVDIO_WRITE_ATOMIC | more);
  assert_ok(uvdio_buf_release(&buf));
  return op;
}

static void each_size_is_written_or_refused(void** state) {
  struct fixture* f = *state;
  for (size_t size = PAGE; size <= 256 * 1024; size *= 2) {
    int fits = most(f) > 0 && size >= least(f) && size <= most(f);
    for (int blocking = 0; blocking < 2; blocking++) {
      struct tracked_op* op = write_whole(f, form(f, blocking), 3 * size, size, 0);
      run(f);
      if (fits) {
        assert_result(op, (int64_t)size);
        assert_holds(f, &f->file, 3 * size, size, (unsigned)(3 * size / PAGE));
      } else {
        assert_refused(op, UVDIO_EATOMIC);
      }
    }
  }
}

static void other_shapes_are_refused(void** state) {
  struct fixture* f = *state;
  size_t size = most(f) > 0 ? most(f) : 4 * PAGE;
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_refused(write_whole(f, form(f, blocking), 0, 3 * PAGE, 0), UVDIO_EATOMIC);
    assert_refused(write_whole(f, form(f, blocking), 0, 2 * size, 0), UVDIO_EATOMIC);
    uvdio_buf_t none = filled(PAGE, 1);
    none.len = 0;
    assert_refused(t_write_flags(form(f, blocking), &f->file, &none, 0, UVDIO_WRITE_ATOMIC),
                   UVDIO_EATOMIC);
    assert_ok(uvdio_buf_release(&none));
    if (size > PAGE) {
      assert_refused(write_whole(f, form(f, blocking), size / 2, size, 0), UVDIO_EATOMIC);
      assert_refused(write_whole(f, form(f, blocking), size + PAGE, size, 0), UVDIO_EATOMIC);
    }
  }
  assert_size(f, &f->file, 0);
}

/* The checks of every write come first. */
static void what_is_wrong_besides_is_told_first(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(2 * PAGE, 1);
  uvdio_buf_t odd = uvdio_buf_view_bytes(buf.base + 8, PAGE);
  unsigned flags = UVDIO_WRITE_ATOMIC;
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = form(f, blocking);
    assert_refused(t_write_flags(op, &f->file, &odd, 0, flags), UVDIO_EALIGN);
    assert_refused(t_write_flags(op, &f->file, &buf, 8, flags), UVDIO_EALIGN);
    assert_refused(t_write_flags(op, &f->file, &buf, (uint64_t)1 << 63, flags), UVDIO_EOFFSET);
    assert_refused(t_write_flags(op, &f->file, NULL, 0, flags), UV_EINVAL);
  }
  assert_ok(uvdio_buf_release(&buf));
}

static void one_buffer_of_a_vector_is_taken_and_more_are_not(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t bufs[2] = {filled(PAGE, 1), filled(PAGE, 2)};
  assert_refused(t_writev_flags(op_new(&f->tracker), &f->file, bufs, 2, 0, UVDIO_WRITE_ATOMIC),
                 UVDIO_EATOMIC);
  assert_ok(uvdio_buf_release(&bufs[0]));
  assert_ok(uvdio_buf_release(&bufs[1]));
  if (most(f) > 0) {
    size_t size = usual(f);
    bufs[0] = filled(size, 7);
    struct tracked_op* op =
        t_writev_flags(op_new(&f->tracker), &f->file, bufs, 1, size, UVDIO_WRITE_ATOMIC);
    run(f);
    assert_result(op, (int64_t)size);
    assert_holds(f, &f->file, size, size, 7);
  }
}

/* With all that a write can be besides. */
static void they_may_be_durable_and_shared(void** state) {
  struct fixture* f = *state;
  static const unsigned more[] = {UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_DSYNC,
                                  UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC, UVDIO_WRITE_DURABLE};
  size_t size = usual(f);
  for (size_t i = 0; i < COUNT_OF(more); i++) {
    struct tracked_op* op = write_whole(f, op_new(&f->tracker), i * size, size, more[i]);
    run(f);
    if (most(f) == 0) {
      assert_refused(op, UVDIO_EATOMIC);
    } else {
      assert_result(op, (int64_t)size);
      assert_holds(f, &f->file, i * size, size, (unsigned)(i * size / PAGE));
    }
  }
  assert_code(info_of(&f->file).latch_error, 0);
}

static void durable_file_has_them(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "wal", UVDIO_OPEN_WAL);
  size_t size = usual(f);
  uvdio_buf_t buf = filled(size, 5);
  struct tracked_op* op =
      t_write_flags(op_new(&f->tracker), &f->other, &buf, size, UVDIO_WRITE_ATOMIC);
  assert_ok(uvdio_buf_release(&buf));
  run(f);
  if (most(f) == 0) {
    assert_refused(op, UVDIO_EATOMIC);
    return;
  }
  assert_result(op, (int64_t)size);
  assert_holds(f, &f->other, size, size, 5);
}

/* Memory of an arena goes as plain memory. */
static void frames_are_written(void** state) {
  struct fixture* f = *state;
  size_t size = usual(f);
  struct tracked_op* ops[MANY];
  fixture_arena(f, size, MANY);
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t frame;
    assert_ok(uvdio_arena_acquire(f->arena, &frame));
    memset(frame.base, (int)('a' + i), size);
    assert_ok(uvdio_buf_set_len(&frame, size));
    ops[i] = t_write_flags(op_new(&f->tracker), &f->file, &frame, i * size, UVDIO_WRITE_ATOMIC);
    assert_ok(uvdio_buf_release(&frame));
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    if (most(f) == 0) {
      assert_refused(ops[i], UVDIO_EATOMIC);
      continue;
    }
    assert_result(ops[i], (int64_t)size);
    uvdio_buf_t back = blank(size);
    assert_result(t_read(op_now(&f->tracker), &f->file, &back, i * size), (int64_t)size);
    assert_int_equal(back.base[0], 'a' + (int)i);
    assert_int_equal(back.base[size - 1], 'a' + (int)i);
    assert_ok(uvdio_buf_release(&back));
  }
}

static void file_through_the_page_cache_has_none(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info = info_of(&f->file);
  assert_true(info.atomic_min <= info.atomic_max);
  assert_true(info.is_direct || info.atomic_max == 0);
  assert_true((info.atomic_max & (info.atomic_max - 1)) == 0);
}

static void file_that_is_buffered_by_choice_has_none(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  open_now(f, &f->other, "file", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  if (!on_memory()) {
    assert_int_equal(info_of(&f->other).atomic_max, 0);
    assert_refused(t_write_flags(op_new(&f->tracker), &f->other, &page, 0, UVDIO_WRITE_ATOMIC),
                   UVDIO_EATOMIC);
  }
  assert_ok(uvdio_buf_release(&page));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, each_size_is_written_or_refused),
      TEST_ON(fixture_open, other_shapes_are_refused),
      TEST_ON(fixture_open, what_is_wrong_besides_is_told_first),
      TEST_ON(fixture_open, one_buffer_of_a_vector_is_taken_and_more_are_not),
      TEST_ON(fixture_open, they_may_be_durable_and_shared),
      TEST_ON(fixture_open, durable_file_has_them),
      TEST_ON(fixture_open, frames_are_written),
      TEST_ON(fixture_open_bound, frames_are_written),
      TEST_ON(fixture_open, file_through_the_page_cache_has_none),
      TEST_ON(fixture_open, file_that_is_buffered_by_choice_has_none),
  };
  return matrix_main("atomic_writes", tests, COUNT_OF(tests), argc, argv);
}
