/* SPDX-License-Identifier: MIT */
/*
 * What an open asks for beyond reads and writes: write-only files, locks, the page cache by choice,
 * a device for itself.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
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

/*
 * Locks
 */

#define SHARED (UVDIO_O_RDWR | UVDIO_O_LOCK_SHARED)
#define EXCLUSIVE (UVDIO_O_RDWR | UVDIO_O_LOCK_EXCLUSIVE)

static struct tracked_op* open_other(struct fixture* f, int blocking, unsigned flags) {
  struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
  t_open(op, f->engine, &f->other, path_of(f, "locked"), flags);
  run(f);
  return op;
}

static void locks_exclude_as_they_are_asked_for(void** state) {
  struct fixture* f = *state;
  const struct {
    unsigned first;
    unsigned second;
    int expected;
  } pairs[] = {{SHARED, SHARED, 0},
               {SHARED, EXCLUSIVE, UVDIO_ELOCKED},
               {EXCLUSIVE, SHARED, UVDIO_ELOCKED},
               {EXCLUSIVE, EXCLUSIVE, UVDIO_ELOCKED},
               {EXCLUSIVE, UVDIO_O_RDWR, 0},
               {UVDIO_O_RDWR, EXCLUSIVE, 0},
               {UVDIO_O_LOCK_SHARED, UVDIO_O_LOCK_SHARED, 0},
               {UVDIO_O_LOCK_SHARED, UVDIO_O_WRONLY | UVDIO_O_LOCK_EXCLUSIVE, UVDIO_ELOCKED}};
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  for (size_t i = 0; i < COUNT_OF(pairs); i++) {
    for (int blocking = 0; blocking < 2; blocking++) {
      open_now(f, &f->file, "locked", UVDIO_O_CREATE | UVDIO_O_RDWR | pairs[i].first);
      assert_int_equal(info_of(&f->file).flags, UVDIO_O_CREATE | UVDIO_O_RDWR | pairs[i].first);
      assert_result(open_other(f, blocking, pairs[i].second), pairs[i].expected);
      if (pairs[i].expected == 0) {
        close_other(f);
      }
      assert_result(t_close(op_now(&f->tracker), &f->file), 0);
      assert_result(open_other(f, blocking, EXCLUSIVE), 0); /* Both are gone. */
      close_other(f);
    }
  }
}

static void of_two_opens_at_a_time_one_gets_the_lock(void** state) {
  struct fixture* f = *state;
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  struct tracked_op* one = t_open(op_new(&f->tracker), f->engine, &f->file, path_of(f, "locked"),
                                  UVDIO_O_CREATE | EXCLUSIVE);
  struct tracked_op* two = t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "locked"),
                                  UVDIO_O_CREATE | EXCLUSIVE);
  run(f);
  assert_true((one->result == 0 && two->result == UVDIO_ELOCKED) ||
              (two->result == 0 && one->result == UVDIO_ELOCKED));
}

static void locked_file_is_not_truncated(void** state) {
  struct fixture* f = *state;
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  open_now(f, &f->file, "locked", UVDIO_O_CREATE | EXCLUSIVE);
  put(f, &f->file, 0, PAGE, 3);
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_result(open_other(f, blocking, UVDIO_OPEN_CREATE | UVDIO_O_LOCK_SHARED), UVDIO_ELOCKED);
    assert_result(open_other(f, blocking, UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE | EXCLUSIVE),
                  UV_EEXIST);
  }
  assert_holds(f, &f->file, 0, PAGE, 3);
  assert_size(f, &f->file, PAGE);
}

/* A close that was told of has let go of the lock, whoever else has the descriptor, or ends a
 * request on it. */
static void open_once_closed(struct tracked_op* close) {
  struct fixture* f = close->data;
  t_open(op_now(&f->tracker), f->engine, &f->other, path_of(f, "locked"), EXCLUSIVE);
}

static void lock_goes_before_the_callback_of_the_close(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 50; i++) {
    assert_result(t_close(op_now(&f->tracker), &f->file), 0);
    open_now(f, &f->file, "locked", UVDIO_O_CREATE | EXCLUSIVE);
    for (unsigned page = 0; page < 4; page++) {
      write_page(f, page);
    }
    t_close(op_then(&f->tracker, open_once_closed, f), &f->file);
    run(f);
    assert_int_equal(info_of(&f->other).flags, EXCLUSIVE);
    close_other(f);
    open_now(f, &f->file, "file", UVDIO_O_RDWR);
  }
}

static void close_of_another_handle_keeps_the_lock(void** state) {
  struct fixture* f = *state;
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  open_now(f, &f->file, "locked", UVDIO_O_CREATE | EXCLUSIVE);
  assert_result(open_other(f, 0, UVDIO_O_RDWR), 0);
  close_other(f);
  assert_result(open_other(f, 0, EXCLUSIVE), UVDIO_ELOCKED);
}

static int lock_by_hand(const struct fixture* f, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = 1 << 20, .l_len = 1};
  int fd = open(path_of(f, "file"), O_RDWR | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
  return fd;
}

static void locks_of_the_system_count(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("locks of the system");
  int fd = lock_by_hand(f, F_RDLCK);
  open_now(f, &f->other, "file", SHARED);
  close_other(f);
  struct tracked_op* refused =
      t_open(op_now(&f->tracker), f->engine, &f->other, path_of(f, "file"), EXCLUSIVE);
  assert_result(refused, UVDIO_ELOCKED);
  assert_int_equal(close(fd), 0);
  open_now(f, &f->other, "file", EXCLUSIVE);
  struct flock asked = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 1 << 20, .l_len = 1};
  fd = open(path_of(f, "file"), O_RDWR | O_CLOEXEC);
  assert_int_equal(fcntl(fd, F_OFD_GETLK, &asked), 0);
  assert_int_equal(close(fd), 0);
  assert_int_equal(asked.l_type, F_WRLCK);
}

static int child_closes_its_engine(void* data) {
  struct fixture* f = data;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  EXPECT(uv_run(&f->loop, UV_RUN_DEFAULT) == 0);
  EXPECT(f->closed == 1);
  return 0;
}

static void child_does_not_let_go_of_its_parents_lock(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("locks of the system");
  open_now(f, &f->other, "file", EXCLUSIVE);
  assert_int_equal(in_a_child(child_closes_its_engine, f), 0);
  struct flock asked = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
  int fd = open(path_of(f, "file"), O_RDWR | O_CLOEXEC);
  assert_int_equal(fcntl(fd, F_OFD_GETLK, &asked), 0);
  assert_int_equal(close(fd), 0);
  assert_int_equal(asked.l_type, F_WRLCK);
}

/* A descriptor that somebody else has is a child's, too. */
static void close_lets_go_of_a_lock_that_a_child_shares(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  int next = dup(0);
  close(next);
  open_now(f, &f->other, "file", EXCLUSIVE);
  int shared = dup(next);
  close_other(f);
  open_now(f, &f->other, "file", EXCLUSIVE);
  assert_int_equal(close(shared), 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, write_only_file_is_written_and_not_read),
      TEST_ON(fixture_open, write_only_descriptor_is_one),
      TEST_ON(fixture_open, write_only_file_is_executed_as_others),
      TEST_ON(fixture_open, locks_exclude_as_they_are_asked_for),
      TEST_ON(fixture_open, of_two_opens_at_a_time_one_gets_the_lock),
      TEST_ON(fixture_open, locked_file_is_not_truncated),
      TEST_ON(fixture_open, lock_goes_before_the_callback_of_the_close),
      TEST_ON(fixture_open, close_of_another_handle_keeps_the_lock),
      TEST_ON(fixture_open, locks_of_the_system_count),
      TEST_ON(fixture_open, child_does_not_let_go_of_its_parents_lock),
      TEST_ON(fixture_open, close_lets_go_of_a_lock_that_a_child_shares),
  };
  return matrix_main("open_modes", tests, COUNT_OF(tests), argc, argv);
}
