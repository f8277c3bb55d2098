/*
 * Limits that a transfer runs into half-way: the file size limit of the process, a full disk. What was moved is told,
 * and it is there.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE
#define KIB 1024u
#define MIB (1024u * 1024)

/*
 * RLIMIT_FSIZE. It holds for the whole process and all its files, so it lies around as little as possible.
 */

static void limit_file_size(rlim_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void lift_limit(void) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static struct top* write_under_limit(struct fixture* f, struct top* op, size_t size) {
  uvdio_buf_t buf = filled(size, 1);
  limit_file_size(PAGE);
  t_write(op, &f->file, &buf, 0);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  lift_limit();
  if (op->blocking) {
    op->back = buf;
  }
  return op;
}

static void assert_stopped_at_a_page(struct fixture* f, const struct top* write) {
  assert_result(write, UV_EFBIG);
  assert_int_equal(write->req.transferred, PAGE);
  assert_size(f, &f->file, PAGE);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

static void write_over_the_file_size_limit_tells_how_far_it_came(void** state) {
  struct fixture* f = *state;
  assert_stopped_at_a_page(f, write_under_limit(f, op_new(&f->tracker), 2 * PAGE));
  assert_true(stats_of(f).resumed >= 1);
}

static void long_write_over_the_limit_does_the_same(void** state) {
  struct fixture* f = *state;
  assert_stopped_at_a_page(f, write_under_limit(f, op_new(&f->tracker), MIB));
}

static void synchronous_write_over_the_limit_does_the_same(void** state) {
  struct fixture* f = *state;
  assert_stopped_at_a_page(f, write_under_limit(f, op_now(&f->tracker), 2 * PAGE));
}

static void write_beyond_the_limit_moves_nothing(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 1);
  limit_file_size(PAGE);
  struct top* write = t_write(op_new(&f->tracker), &f->file, &buf, PAGE);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  lift_limit();
  assert_result(write, UV_EFBIG);
  assert_int_equal(write->req.transferred, 0);
  assert_size(f, &f->file, 0);
}

/* Others in the same batch are not to suffer. */
static void one_bad_write_leaves_the_others_alone(void** state) {
  struct fixture* f = *state;
  enum { MANY = 30 };
  struct top* writes[MANY];
  limit_file_size(MANY / 2 * PAGE);
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t buf = filled(PAGE, i);
    writes[i] = t_write(op_new(&f->tracker), &f->file, &buf, (uint64_t)i * PAGE);
  }
  uv_run(&f->loop, UV_RUN_DEFAULT);
  lift_limit();
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], i < MANY / 2 ? PAGE : UV_EFBIG);
  }
}

/*
 * A full disk.
 */

static struct place small;

static void open_on_small(struct fixture* f, const char* kind, uint64_t size) {
  char why[PLACE_WHY_MAX];
  char path[PLACE_PATH_MAX + 16];
  if (place_make(&small, kind, size, why) != 0) {
    SKIP(why);
  }
  snprintf(path, sizeof(path), "%s/file", small.dir);
  assert_result(t_open(op_now(&f->tracker), f->dio, &f->file, path, UVDIO_OPEN_RW), 0);
}

static int tear_down(void** state) {
  int failed = fixture_tear_down(state);
  place_remove(&small);
  return failed;
}

static void fill_up(struct fixture* f, size_t size) {
  uvdio_buf_t buf = filled(size, 1);
  struct top* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(write, UV_ENOSPC);
  size_t written = write->req.transferred;
  assert_true(written < size);
  assert_int_equal(written % PAGE, 0);
  assert_true(is_pattern(write->back.base, size, 1));
  if (written > 0) {
    assert_holds(f, &f->file, 0, written, 1);
  }
}

static void full_tmpfs_takes_what_it_can(void** state) {
  struct fixture* f = *state;
  open_on_small(f, "tmpfs", 256 * KIB);
  fill_up(f, MIB);
}

static void full_ext4_takes_what_it_can(void** state) {
  struct fixture* f = *state;
  open_on_small(f, "ext4", 16 * MIB);
  fill_up(f, 32 * MIB);
}

static void space_that_is_not_there_is_not_reserved(void** state) {
  struct fixture* f = *state;
  open_on_small(f, "ext4", 16 * MIB);
  struct top* preallocate = t_preallocate(op_new(&f->tracker), &f->file, 64 * MIB);
  run(f);
  assert_result(preallocate, UV_ENOSPC);
  assert_code(uvdio_file_info(&f->file, &(uvdio_file_info_t){0}), 0);
  put(f, &f->file, 0, PAGE, 1);
}

static void file_goes_on_after_a_full_disk(void** state) {
  struct fixture* f = *state;
  open_on_small(f, "tmpfs", 256 * KIB);
  fill_up(f, MIB);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
  put(f, &f->file, 0, 64 * KIB, 2);
  assert_holds(f, &f->file, 0, 64 * KIB, 2);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
}

#define TEST_SMALL(function) cmocka_unit_test_setup_teardown(function, fixture_engine, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, write_over_the_file_size_limit_tells_how_far_it_came),
      TEST_ON(fixture_open, long_write_over_the_limit_does_the_same),
      TEST_ON(fixture_open, synchronous_write_over_the_limit_does_the_same),
      TEST_ON(fixture_open, write_beyond_the_limit_moves_nothing),
      TEST_ON(fixture_open, one_bad_write_leaves_the_others_alone),
      TEST_SMALL(full_tmpfs_takes_what_it_can),
      TEST_SMALL(full_ext4_takes_what_it_can),
      TEST_SMALL(space_that_is_not_there_is_not_reserved),
      TEST_SMALL(file_goes_on_after_a_full_disk),
  };
  return matrix_main("limits", tests, COUNT_OF(tests), argc, argv);
}
