/* SPDX-License-Identifier: MIT */
/*
 * Bad input, and what it gets. After each refusal the caller still owns its buffer and no callback
 * follows (the tracker asks), and the loop can be run to its end (the teardown does).
 *
 * Each test asks for both forms: what the asynchronous one refuses, the synchronous one refuses
 * alike.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define LAST_OFFSET ((uint64_t)INT64_MAX & ~(uint64_t)(PAGE - 1)) /* the last aligned offset */

/* A fresh operation of either form. */
static struct tracked_op* form(struct fixture* f, int blocking) {
  return blocking ? op_now(&f->tracker) : op_new(&f->tracker);
}

/* Both transfers in both forms are refused with `code`; the buffer is released. */
static void no_transfer(struct fixture* f, uvdio_file_t* file, uvdio_buf_t buf, uint64_t offset,
                        int code) {
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_refused(t_read(form(f, blocking), file, &buf, offset), code);
    assert_refused(t_read_exact(form(f, blocking), file, &buf, offset), code);
    assert_refused(t_write(form(f, blocking), file, &buf, offset), code);
  }
  assert_ok(uvdio_buf_release(&buf));
  run(f);
}

/* Whether an operation is about an open file. */
static int has_file(uvdio_op_t op) {
  return !op_is(op, UVDIO_OP_KIND_NAME | UVDIO_OP_KIND_FRAMES) &&
         facts_of(op)->effect != EFFECT_OPEN;
}

/* Whatever asks for no buffer is refused with `code`. */
static void nothing_plain(struct fixture* f, uvdio_file_t* file, int code) {
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    for (int blocking = 0; has_file(op) && blocking < 2; blocking++) {
      assert_refused(t_example(f, form(f, blocking), file, op), code);
    }
  }
  run(f);
}

static void no_open(struct fixture* f, const char* path, unsigned flags, int code) {
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_refused(t_open(form(f, blocking), f->engine, &f->other, path, flags), code);
  }
  run(f);
}

/*
 * Null pointers.
 */

static void no_file_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info;
  no_transfer(f, NULL, filled(PAGE, 1), 0, UV_EINVAL);
  nothing_plain(f, NULL, UV_EINVAL);
  assert_code(uvdio_file_info(NULL, &info), UV_EINVAL);
  assert_code(uvdio_file_info(&f->file, NULL), UV_EINVAL);
  assert_refused(t_open(op_new(&f->tracker), f->engine, NULL, "x", UVDIO_OPEN_RW), UV_EINVAL);
}

static void no_request_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_file_t* file = &f->file;
  uvdio_buf_t buf = filled(PAGE, 1);
  uvdio_stat_t stat;
  struct target target = {
      .engine = f->engine, .path = "x", .new_path = "y", .buf = &buf, .stat = &stat};
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    struct operation operation = facts_of(op)->example;
    operation.op = op;
    operation.now = 1;
    target.file = has_file(op) ? file : &f->other;
    assert_code(operation_submit(&operation, &target, NULL, NULL, NULL), UV_EINVAL);
  }
  assert_code(uvdio_read_exact(file, NULL, &buf, 0, NULL), UV_EINVAL);
  assert_code(uvdio_stat(file, &(uvdio_req_t){0}, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_cancel(NULL), UV_EINVAL);
  assert_int_equal(buf.len, PAGE);
  assert_ok(uvdio_buf_release(&buf));
  assert_size(f, file, 0);
}

static void no_buffer_is_refused(void** state) {
  struct fixture* f = *state;
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_refused(t_read(form(f, blocking), &f->file, NULL, 0), UV_EINVAL);
    assert_refused(t_read_exact(form(f, blocking), &f->file, NULL, 0), UV_EINVAL);
    assert_refused(t_write(form(f, blocking), &f->file, NULL, 0), UV_EINVAL);
  }
}

static void no_path_and_no_engine_are_refused(void** state) {
  struct fixture* f = *state;
  no_open(f, NULL, UVDIO_OPEN_RW, UV_EINVAL);
  struct tracked_op* op = op_new(&f->tracker);
  assert_refused(t_open(op, NULL, &f->other, path_of(f, "x"), UVDIO_OPEN_RW), UV_EINVAL);
}

/*
 * Buffers.
 */

static void empty_buffer_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t empty = {0};
  no_transfer(f, &f->file, empty, 0, UV_EINVAL);
}

static void released_buffer_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 1);
  assert_ok(uvdio_buf_release(&buf));
  no_transfer(f, &f->file, buf, 0, UV_EINVAL);
}

static void buffer_that_the_library_has_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 1);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  assert_refused(t_write(op_new(&f->tracker), &f->file, &buf, 0), UV_EINVAL);
  assert_refused(t_read(op_new(&f->tracker), &f->file, &buf, 0), UV_EINVAL);
  run(f);
  assert_result(write, PAGE);
}

static void misaligned_base_is_refused(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[2 * PAGE];
  no_transfer(f, &f->file, uvdio_buf_view_bytes(bytes + 1, PAGE), 0, UVDIO_EALIGN);
  no_transfer(f, &f->file, uvdio_buf_view_bytes(bytes + 512, PAGE), 0, UVDIO_EALIGN);
}

static void misaligned_offset_is_refused(void** state) {
  struct fixture* f = *state;
  no_transfer(f, &f->file, filled(PAGE, 1), 1, UVDIO_EALIGN);
  no_transfer(f, &f->file, filled(PAGE, 1), 512, UVDIO_EALIGN);
  no_transfer(f, &f->file, filled(PAGE, 1), UINT64_MAX, UVDIO_EALIGN);
}

static void misaligned_length_is_refused(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[2 * PAGE];
  no_transfer(f, &f->file, uvdio_buf_view_bytes(bytes, 512), 0, UVDIO_EALIGN);
  no_transfer(f, &f->file, uvdio_buf_view_bytes(bytes, PAGE + 1), 0, UVDIO_EALIGN);
  uvdio_buf_t partly = filled(2 * PAGE, 1);
  uvdio_buf_truncate(&partly, 100);
  assert_refused(t_write(op_new(&f->tracker), &f->file, &partly, 0), UVDIO_EALIGN);
  assert_ok(uvdio_buf_release(&partly));
}

/*
 * Numbers that are too large.
 */

static void end_past_int64_max_is_refused(void** state) {
  struct fixture* f = *state;
  no_transfer(f, &f->file, filled(PAGE, 1), LAST_OFFSET, UVDIO_EOFFSET);
  no_transfer(f, &f->file, filled(2 * PAGE, 1), LAST_OFFSET - PAGE, UVDIO_EOFFSET);
  no_transfer(f, &f->file, filled(PAGE, 1), (uint64_t)1 << 63, UVDIO_EOFFSET);
  no_transfer(f, &f->file, filled(PAGE, 1), UINT64_MAX - PAGE + 1, UVDIO_EOFFSET);
}

static void read_just_below_the_limit_is_past_the_end(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = blank(PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &buf, LAST_OFFSET - PAGE);
  run(f);
  assert_int_equal(read->done, 1);
  assert_true(read->result == 0 || read->result == UV_EINVAL || read->result == UV_EFBIG);
}

static void length_past_int64_max_is_refused(void** state) {
  struct fixture* f = *state;
  const uint64_t lengths[] = {(uint64_t)INT64_MAX + 1, UINT64_MAX};
  for (size_t i = 0; i < COUNT_OF(lengths); i++) {
    for (int blocking = 0; blocking < 2; blocking++) {
      struct tracked_op* op = form(f, blocking);
      assert_refused(t_truncate(op, &f->file, lengths[i]), UVDIO_EOFFSET);
      assert_refused(t_preallocate(op, &f->file, lengths[i]), UVDIO_EOFFSET);
      assert_refused(t_preallocate_range(op, &f->file, lengths[i], 1, 0), UVDIO_EOFFSET);
      assert_refused(t_punch_hole(op, &f->file, 0, lengths[i]), UVDIO_EOFFSET);
      assert_refused(t_punch_hole(op, &f->file, lengths[i], 1), UVDIO_EOFFSET);
      assert_refused(t_zero_range(op, &f->file, INT64_MAX, 1), UVDIO_EOFFSET);
      assert_refused(t_next_data(op, &f->file, lengths[i]), UVDIO_EOFFSET);
      assert_refused(t_next_hole(op, &f->file, lengths[i]), UVDIO_EOFFSET);
    }
  }
  assert_size(f, &f->file, 0);
}

/* Whatever the system says to it. */
static void goes_down(struct fixture* f, const struct tracked_op* op) {
  run(f);
  assert_int_equal(op->done, 1);
  assert_true(op->result != UVDIO_EOFFSET);
}

/* Where nothing has to be aligned, each number can be the last that is taken, or the first that is
 * not. */
static void last_byte_of_the_largest_file_is_in_reach(void** state) {
  struct fixture* f = *state;
  static char bytes[2];
  const uint64_t end = INT64_MAX;
  open_now(f, &f->other, "other", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  for (int blocking = 0; blocking < 2; blocking++) {
    uvdio_buf_t one = uvdio_buf_view_bytes(bytes, 1);
    uvdio_buf_t two[2] = {one, one};
    assert_refused(t_read(form(f, blocking), &f->other, &one, end), UVDIO_EOFFSET);
    assert_refused(t_write(form(f, blocking), &f->other, &one, end), UVDIO_EOFFSET);
    assert_refused(t_readv(form(f, blocking), &f->other, two, 2, end - 1), UVDIO_EOFFSET);
    assert_refused(t_punch_hole(form(f, blocking), &f->other, end, 1), UVDIO_EOFFSET);
    assert_refused(t_zero_range(form(f, blocking), &f->other, end - 1, 2), UVDIO_EOFFSET);
    assert_refused(t_preallocate_range(form(f, blocking), &f->other, 1, end, 0), UVDIO_EOFFSET);
    goes_down(f, t_read(form(f, blocking), &f->other, &one, end - 1));
    one = uvdio_buf_view_bytes(bytes, 1);
    goes_down(f, t_readv(form(f, blocking), &f->other, two, 2, end - 2));
    two[0] = one;
    goes_down(f, t_readv(form(f, blocking), &f->other, two, 1, end - 1));
    goes_down(f, t_punch_hole(form(f, blocking), &f->other, end - 1, 1));
    goes_down(f, t_next_hole(form(f, blocking), &f->other, end));
  }
  assert_size(f, &f->other, 0);
}

/* No buffer is larger than memory may be, and no transfer. */
static void longest_buffer_is_taken(void** state) {
  struct fixture* f = *state;
  static char bytes[1];
  open_now(f, &f->other, "other", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  for (int blocking = 0; blocking < 2; blocking++) {
    uvdio_buf_t longest = uvdio_buf_wrap(bytes, PTRDIFF_MAX);
    uvdio_buf_t longer = longest;
    longer.cap++;
    assert_refused(t_readv(form(f, blocking), &f->other, &longer, 1, 0), UVDIO_EOFFSET);
    if (UNDER_ASAN) {
      SKIP("the address sanitizer can't guard a buffer of that length");
    }
    goes_down(f, t_readv(form(f, blocking), &f->other, &longest, 1, 0));
  }
}

/* Whether the filesystem has files so long or not. */
static void length_of_int64_max_is_none_too_many(void** state) {
  struct fixture* f = *state;
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, INT64_MAX);
  run(f);
  assert_int_equal(truncate->done, 1);
  assert_true(truncate->result == 0 || truncate->result == UV_EFBIG ||
              truncate->result == UV_EINVAL || truncate->result == UV_ENOSPC);
}

static void preallocating_nothing_is_refused(void** state) {
  struct fixture* f = *state;
  assert_refused(t_preallocate(op_new(&f->tracker), &f->file, 0), UV_EINVAL);
  assert_refused(t_preallocate(op_now(&f->tracker), &f->file, 0), UV_EINVAL);
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_refused(t_punch_hole(form(f, blocking), &f->file, 0, 0), UV_EINVAL);
    assert_refused(t_zero_range(form(f, blocking), &f->file, PAGE, 0), UV_EINVAL);
  }
}

static void flags_of_space_that_are_none_are_refused(void** state) {
  struct fixture* f = *state;
  const unsigned both = UVDIO_SPACE_KEEP_SIZE | UVDIO_SPACE_WRITTEN;
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = form(f, blocking);
    assert_refused(t_preallocate_range(op, &f->file, 0, PAGE, both), UV_EINVAL);
    assert_refused(t_preallocate_range(op, &f->file, 0, PAGE, 1u << 2), UV_EINVAL);
    assert_refused(t_preallocate_range(op, &f->file, 0, PAGE, UINT_MAX), UV_EINVAL);
    assert_refused(t_preallocate_range(op, &f->file, 8, PAGE, UVDIO_SPACE_WRITTEN), UVDIO_EALIGN);
    assert_refused(t_preallocate_range(op, &f->file, 0, 8, UVDIO_SPACE_WRITTEN), UVDIO_EALIGN);
  }
  assert_size(f, &f->file, 0);
}

static void hint_that_is_none_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_file_t* file = &f->file;
  const uint64_t large = (uint64_t)UINT32_MAX + 1;
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = form(f, blocking);
    assert_refused(t_set_hint(op, file, (uvdio_hint_t)0, 0), UV_EINVAL);
    assert_refused(t_set_hint(op, file, (uvdio_hint_t)3, 0), UV_EINVAL);
    assert_refused(t_set_hint(op, file, UVDIO_HINT_WRITE_LIFE, UVDIO_WRITE_LIFE_EXTREME + 1),
                   UV_EINVAL);
    assert_refused(t_set_hint(op, file, UVDIO_HINT_EXTENT_SIZE, large), UVDIO_EOFFSET);
  }
}

/*
 * Requests.
 */

static void request_in_flight_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t first = filled(PAGE, 1);
  struct tracked_op* op = t_write(op_new(&f->tracker), &f->file, &first, 0);
  for (uvdio_op_t other = UVDIO_OP_OPEN; other < UVDIO_OP_COUNT; other++) {
    t_example(f, op, &f->file, other);
    assert_code(op->code, UV_EBUSY);
  }
  run(f);
  assert_result(op, PAGE);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

static void request_is_free_again_after_its_callback(void** state) {
  struct fixture* f = *state;
  struct tracked_op* op = op_new(&f->tracker);
  for (unsigned i = 1; i <= 3; i++) {
    t_size(op, &f->file);
    assert_accepted(op);
    run(f);
    assert_int_equal(op->done, i);
  }
}

/*
 * Files.
 */

static void change_to_a_read_only_file_is_refused(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    for (int blocking = 0; op_needs_writing(op) && blocking < 2; blocking++) {
      assert_refused(t_example(f, form(f, blocking), &f->other, op), UV_EBADF);
    }
  }
  assert_size(f, &f->other, 0);
}

static void file_that_was_never_opened_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info;
  no_transfer(f, &f->other, filled(PAGE, 1), 0, UV_EBADF);
  nothing_plain(f, &f->other, UV_EBADF);
  assert_code(uvdio_file_info(&f->other, &info), UV_EBADF);
}

static void closed_file_is_refused(void** state) {
  struct fixture* f = *state;
  t_close(op_new(&f->tracker), &f->file);
  run(f);
  no_transfer(f, &f->file, filled(PAGE, 1), 0, UV_EBADF);
  nothing_plain(f, &f->file, UV_EBADF);
}

static void file_being_closed_is_refused(void** state) {
  struct fixture* f = *state;
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  uvdio_buf_t buf = filled(PAGE, 1);
  assert_refused(t_read(op_new(&f->tracker), &f->file, &buf, 0), UV_EBADF);
  assert_refused(t_write(op_new(&f->tracker), &f->file, &buf, 0), UV_EBADF);
  assert_refused(t_sync_all(op_new(&f->tracker), &f->file), UV_EBADF);
  assert_refused(t_close(op_new(&f->tracker), &f->file), UV_EBADF);
  assert_refused(t_close(op_now(&f->tracker), &f->file), UV_EBADF);
  assert_ok(uvdio_buf_release(&buf));
  run(f);
  assert_result(close, 0);
}

static void file_being_opened_is_refused(void** state) {
  struct fixture* f = *state;
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  uvdio_buf_t buf = filled(PAGE, 1);
  uvdio_file_info_t info;
  assert_refused(t_write(op_new(&f->tracker), &f->other, &buf, 0), UV_EBADF);
  assert_refused(t_size(op_now(&f->tracker), &f->other), UV_EBADF);
  assert_refused(t_close(op_new(&f->tracker), &f->other), UV_EBADF);
  assert_code(uvdio_file_info(&f->other, &info), UV_EBADF);
  assert_ok(uvdio_buf_release(&buf));
  run(f);
  assert_result(open, 0);
}

static void open_file_is_not_opened_again(void** state) {
  struct fixture* f = *state;
  const char* path = path_of(f, "other");
  put(f, &f->file, 0, PAGE, 1);
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = form(f, blocking);
    assert_refused(t_open(op, f->engine, &f->file, path, UVDIO_OPEN_RW), UV_EBUSY);
  }
  t_open(op_new(&f->tracker), f->engine, &f->other, path, UVDIO_OPEN_RW);
  assert_refused(t_open(op_new(&f->tracker), f->engine, &f->other, path, UVDIO_OPEN_RW), UV_EBUSY);
  run(f);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

static int one_callback_a_turn(void** state) {
  uvdio_engine_options_t options = {0};
  options.callbacks_max = 1;
  return fixture_open_with(state, options);
}

static void open_again(struct tracked_op* op) {
  struct fixture* f = op->data;
  struct tracked_op* open =
      t_open(op_now(&f->tracker), f->engine, &f->file, path_of(f, "file"), UVDIO_OPEN_RW);
  assert_refused(open, UV_EBUSY);
}

/* The close has closed it long before all of the callbacks that come before its own were called. */
static void file_is_not_opened_again_before_the_callback_of_its_close(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 8; i++) {
    uvdio_buf_t page = blank(PAGE);
    t_read(op_then(&f->tracker, open_again, f), &f->file, &page, 0);
  }
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(close, 0);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
}

static void file_is_not_opened_again_before_the_callback_of_a_failed_open(void** state) {
  struct fixture* f = *state;
  const char* path = path_of(f, "nothing");
  for (unsigned i = 0; i < 8; i++) {
    read_page(f, 0);
  }
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path, UVDIO_OPEN_READ);
  while (open->done == 0) {
    assert_refused(t_open(op_now(&f->tracker), f->engine, &f->other, path, UVDIO_OPEN_RW),
                   UV_EBUSY);
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  run(f);
  assert_result(open, UV_ENOENT);
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
}

static void unknown_and_contradictory_flags_are_refused(void** state) {
  struct fixture* f = *state;
  const char* path = path_of(f, "new");
  static const unsigned contradictory[] = {
      UVDIO_O_CREATE,
      UVDIO_O_TRUNCATE,
      UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE,
      UVDIO_O_CREATE | UVDIO_O_TRUNCATE,
      UVDIO_O_EXCLUSIVE | UVDIO_O_TRUNCATE,
      UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE | UVDIO_O_TRUNCATE,
      UVDIO_O_RDWR | UVDIO_O_WRONLY,
      UVDIO_O_LOCK_EXCLUSIVE,
      UVDIO_O_DONTCACHE,
      UVDIO_O_BUFFERED | UVDIO_O_DIRECT_PREFERRED,
      UVDIO_O_BUFFERED | UVDIO_O_DIRECT_PREFERRED | UVDIO_O_DONTCACHE,
      UVDIO_O_WRONLY | UVDIO_O_LOCK_SHARED,
      UVDIO_O_RDWR | UVDIO_O_LOCK_SHARED | UVDIO_O_LOCK_EXCLUSIVE,
  };
  for (unsigned flag = UVDIO_O_DUP << 1; flag != 0; flag <<= 1) {
    no_open(f, path, UVDIO_OPEN_RW | flag, UV_EINVAL);
  }
  for (size_t i = 0; i < COUNT_OF(contradictory); i++) {
    no_open(f, path, contradictory[i], UV_EINVAL);
  }
  struct tracked_op* open =
      t_open(op_now(&f->tracker), f->engine, &f->other, path, UVDIO_OPEN_READ);
  assert_result(open, UV_ENOENT); /* none of them created it */
}

/*
 * Engines.
 */

static void closing_engine_is_refused(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  assert_code(t_engine_close(f->engine, on_engine_closed), UV_EBADF);
  struct tracked_op* open = op_new(&f->tracker);
  assert_refused(t_open(open, f->engine, &f->other, path_of(f, "x"), UVDIO_OPEN_RW), UV_EBADF);
  uvdio_buf_t other = filled(PAGE, 2);
  assert_refused(t_write(op_new(&f->tracker), &f->file, &other, 0), UV_EBADF);
  assert_refused(t_read(op_now(&f->tracker), &f->file, &other, 0), UV_EBADF);
  assert_refused(t_close(op_new(&f->tracker), &f->file), UV_EBADF);
  assert_ok(uvdio_buf_release(&other));
  run(f);
  f->engine = NULL;
  assert_result(write, PAGE);
  assert_int_equal(f->closed, 1);
}

static void file_of_an_engine_that_is_gone_is_refused(void** state) {
  struct fixture* f = *state;
  end_engine(f);
  no_transfer(f, &f->file, filled(PAGE, 1), 0, UV_EBADF);
  nothing_plain(f, &f->file, UV_EBADF);
}

/*
 * The order of the checks: where several apply, the first in the header's list is told.
 */

static void null_comes_before_all_others(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t empty = {0};
  assert_refused(t_write(op_new(&f->tracker), &f->other, &empty, 1), UV_EINVAL);
}

static void bad_file_comes_before_bad_numbers(void** state) {
  struct fixture* f = *state;
  no_transfer(f, &f->other, filled(PAGE, 1), 1, UV_EBADF);
}

static void read_only_comes_before_a_busy_request(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 1);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  struct tracked_op* op = t_size(op_new(&f->tracker), &f->other);
  t_write(op, &f->other, &buf, 0);
  assert_code(op->code, UV_EBADF);
  t_truncate(op, &f->other, 0);
  assert_code(op->code, UV_EBADF);
  assert_ok(uvdio_buf_release(&buf));
  run(f);
}

static void busy_request_comes_before_bad_numbers(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 1);
  struct tracked_op* op = t_size(op_new(&f->tracker), &f->file);
  t_write(op, &f->file, &buf, 1);
  assert_code(op->code, UV_EBUSY);
  t_truncate(op, &f->file, UINT64_MAX);
  assert_code(op->code, UV_EBUSY);
  assert_ok(uvdio_buf_release(&buf));
  run(f);
}

static void alignment_comes_before_overflow(void** state) {
  struct fixture* f = *state;
  no_transfer(f, &f->file, filled(PAGE, 1), (uint64_t)INT64_MAX, UVDIO_EALIGN);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, no_file_is_refused),
      TEST_ON(fixture_open, no_request_is_refused),
      TEST_ON(fixture_open, no_buffer_is_refused),
      TEST_ON(fixture_engine, no_path_and_no_engine_are_refused),
      TEST_ON(fixture_open, empty_buffer_is_refused),
      TEST_ON(fixture_open, released_buffer_is_refused),
      TEST_ON(fixture_open, buffer_that_the_library_has_is_refused),
      TEST_ON(fixture_open, misaligned_base_is_refused),
      TEST_ON(fixture_open, misaligned_offset_is_refused),
      TEST_ON(fixture_open, misaligned_length_is_refused),
      TEST_ON(fixture_open, end_past_int64_max_is_refused),
      TEST_ON(fixture_open, read_just_below_the_limit_is_past_the_end),
      TEST_ON(fixture_open, length_past_int64_max_is_refused),
      TEST_ON(fixture_open, length_of_int64_max_is_none_too_many),
      TEST_ON(fixture_open, last_byte_of_the_largest_file_is_in_reach),
      TEST_ON(fixture_open, longest_buffer_is_taken),
      TEST_ON(fixture_open, preallocating_nothing_is_refused),
      TEST_ON(fixture_open, flags_of_space_that_are_none_are_refused),
      TEST_ON(fixture_open, hint_that_is_none_is_refused),
      TEST_ON(fixture_open, request_in_flight_is_refused),
      TEST_ON(fixture_open, request_is_free_again_after_its_callback),
      TEST_ON(fixture_open, change_to_a_read_only_file_is_refused),
      TEST_ON(fixture_engine, file_that_was_never_opened_is_refused),
      TEST_ON(fixture_open, closed_file_is_refused),
      TEST_ON(fixture_open, file_being_closed_is_refused),
      TEST_ON(fixture_engine, file_being_opened_is_refused),
      TEST_ON(fixture_open, open_file_is_not_opened_again),
      TEST_ON(one_callback_a_turn, file_is_not_opened_again_before_the_callback_of_its_close),
      TEST_ON(one_callback_a_turn, file_is_not_opened_again_before_the_callback_of_a_failed_open),
      TEST_ON(fixture_engine, unknown_and_contradictory_flags_are_refused),
      TEST_ON(fixture_open, closing_engine_is_refused),
      TEST_ON(fixture_open, file_of_an_engine_that_is_gone_is_refused),
      TEST_ON(fixture_engine, null_comes_before_all_others),
      TEST_ON(fixture_engine, bad_file_comes_before_bad_numbers),
      TEST_ON(fixture_open, read_only_comes_before_a_busy_request),
      TEST_ON(fixture_open, busy_request_comes_before_bad_numbers),
      TEST_ON(fixture_open, alignment_comes_before_overflow),
  };
  return matrix_main("bad_input", tests, COUNT_OF(tests), argc, argv);
}
