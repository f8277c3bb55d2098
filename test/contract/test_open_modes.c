/* SPDX-License-Identifier: MIT */
/*
 * What an open asks for beyond reads and writes: write-only files, locks, the page cache by choice,
 * a device for itself.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "ops.h"

/*
 * Write-only
 */

static void write_only_file_is_written_and_not_read(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = blank(PAGE);
  uvdio_buf_t data = filled(PAGE, 7);
  open_now(f, &f->other, "file", UVDIO_O_WRONLY);
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
    assert_refused(t_read(op, &f->other, &page, 0), UV_EBADF);
    assert_refused(t_read_exact(op, &f->other, &page, 0), UV_EBADF);
    assert_refused(t_read_range(op, &f->other, &page, 0, 10), UV_EBADF);
    assert_refused(t_readv(op, &f->other, &page, 1, 0), UV_EBADF);
  }
  assert_ok(uvdio_buf_release(&page));
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->other, &data, PAGE);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(write, PAGE);
  assert_result(sync, 0);
  assert_size(f, &f->other, 2 * PAGE);
  assert_result(t_truncate(op_now(&f->tracker), &f->other, 3 * PAGE), 0);
  assert_holds(f, &f->file, PAGE, PAGE, 7);
  assert_int_equal(info_of(&f->other).flags, UVDIO_O_WRONLY);
}

static void write_only_descriptor_is_one(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  size_t before = open_descriptors();
  int next = dup(0);
  close(next);
  open_now(f, &f->other, "file", UVDIO_O_WRONLY | UVDIO_O_DSYNC);
  assert_int_equal(open_descriptors(), before + 1);
  assert_int_equal(fcntl(next, F_GETFL) & (O_ACCMODE | O_DIRECT | O_DSYNC | O_NONBLOCK),
                   O_WRONLY | O_DIRECT | O_DSYNC);
}

/* It can't be asked by a read, and must be executed the same. */
static void write_only_file_is_executed_as_others(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "file", UVDIO_O_WRONLY | UVDIO_O_CREATE | UVDIO_O_TRUNCATE);
  uvdio_file_info_t only = info_of(&f->other);
  uvdio_file_info_t both = info_of(&f->file);
  assert_string_equal(only.backend, both.backend);
  assert_string_equal(only.backend_concurrent, both.backend_concurrent);
  assert_int_equal(only.is_direct, both.is_direct);
  assert_int_equal(only.offset_align, both.offset_align);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, write_only_file_is_written_and_not_read),
      TEST_ON(fixture_open, write_only_descriptor_is_one),
      TEST_ON(fixture_open, write_only_file_is_executed_as_others),
  };
  return matrix_main("open_modes", tests, COUNT_OF(tests), argc, argv);
}
