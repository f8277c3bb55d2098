/* SPDX-License-Identifier: MIT */
/*
 * Space: reserved, written, given back; where data and holes are, and hints.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk.h"
#include "fixture.h"
#include "memory.h"
#include "ops.h"

/* Bytes: a multiple of any filesystem's block. */
#define UNIT ((size_t)256 * 1024)
#define MANY 16u

/* Units of data, each with its number as the pattern. */
static void put_units(struct fixture* f, unsigned first, unsigned count) {
  for (unsigned i = first; i < first + count; i++) {
    put(f, &f->file, i * UNIT, UNIT, i);
  }
}

static void assert_unit(struct fixture* f, unsigned unit) {
  assert_holds(f, &f->file, unit * UNIT, UNIT, unit);
}

static void assert_zero_unit(struct fixture* f, unsigned unit) {
  assert_zeros(f, &f->file, unit * UNIT, UNIT);
}

static void assert_extents(struct fixture* f, uint64_t from, int64_t data, int64_t hole) {
  assert_result(t_next_data(op_now(&f->tracker), &f->file, from), data);
  assert_result(t_next_hole(op_now(&f->tracker), &f->file, from), hole);
}

/* The one operation, and the loop until it has ended. */
static void done(struct fixture* f, struct tracked_op* op) {
  run(f);
  assert_result(op, 0);
}

static int64_t space_of(struct fixture* f) {
  struct stat stat_of_file;
  assert_int_equal(stat(path_of(f, "file"), &stat_of_file), 0);
  return (int64_t)stat_of_file.st_blocks * 512;
}

/*
 * Holes.
 */

static void punched_range_is_a_hole(void** state) {
  struct fixture* f = *state;
  put_units(f, 0, 4);
  done(f, t_punch_hole(op_new(&f->tracker), &f->file, UNIT, 2 * UNIT));
  assert_unit(f, 0);
  assert_zero_unit(f, 1);
  assert_zero_unit(f, 2);
  assert_unit(f, 3);
  assert_size(f, &f->file, 4 * UNIT);
  assert_extents(f, 0, 0, UNIT);
  assert_extents(f, UNIT + 1, 3 * UNIT, UNIT + 1);
  assert_extents(f, 3 * UNIT + 5, 3 * UNIT + 5, 4 * UNIT);
}

static void punched_space_is_given_back(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("blocks");
  put_units(f, 0, 4);
  done(f, t_sync_all(op_new(&f->tracker), &f->file));
  int64_t before = space_of(f);
  done(f, t_punch_hole(op_new(&f->tracker), &f->file, 0, 3 * UNIT));
  done(f, t_sync_all(op_new(&f->tracker), &f->file));
  assert_true(space_of(f) <= before - 2 * (int64_t)UNIT);
}

static void punched_range_takes_data_again(void** state) {
  struct fixture* f = *state;
  put_units(f, 0, 3);
  done(f, t_punch_hole(op_new(&f->tracker), &f->file, 0, 3 * UNIT));
  assert_extents(f, 0, UV_ENXIO, 0);
  put_units(f, 1, 1);
  assert_extents(f, 0, UNIT, 0);
  assert_extents(f, UNIT, UNIT, 2 * UNIT);
  assert_zero_unit(f, 0);
  assert_unit(f, 1);
  assert_zero_unit(f, 2);
}

/* Which needs no alignment. */
static void odd_bytes_are_zeroed_and_no_others(void** state) {
  struct fixture* f = *state;
  for (unsigned punches = 0; punches < 2; punches++) {
    put(f, &f->file, 0, 4 * PAGE, 1);
    struct tracked_op* op = op_new(&f->tracker);
    done(f, punches ? t_punch_hole(op, &f->file, 100, 2 * PAGE + 17)
                    : t_zero_range(op, &f->file, 100, 2 * PAGE + 17));
    uvdio_buf_t bytes = blank(4 * PAGE);
    uvdio_buf_t whole = filled(4 * PAGE, 1);
    memset(whole.base + 100, 0, 2 * PAGE + 17);
    assert_result(t_read(op_now(&f->tracker), &f->file, &bytes, 0), 4 * PAGE);
    assert_memory_equal(bytes.base, whole.base, 4 * PAGE);
    assert_ok(uvdio_buf_release(&bytes));
    assert_ok(uvdio_buf_release(&whole));
  }
}

static void size_stays_beyond_the_end(void** state) {
  struct fixture* f = *state;
  put_units(f, 0, 2);
  done(f, t_punch_hole(op_new(&f->tracker), &f->file, UNIT, 4 * UNIT));
  done(f, t_zero_range(op_new(&f->tracker), &f->file, UNIT / 2, 4 * UNIT));
  done(f, t_punch_hole(op_new(&f->tracker), &f->file, 40 * UNIT, UNIT));
  assert_size(f, &f->file, 2 * UNIT);
  assert_holds(f, &f->file, 0, UNIT / 2, 0);
  assert_zeros(f, &f->file, UNIT / 2, UNIT + UNIT / 2);
}

static void zeroed_range_keeps_its_space(void** state) {
  struct fixture* f = *state;
  put_units(f, 0, 4);
  int64_t before = on_memory() ? 0 : space_of(f);
  done(f, t_zero_range(op_new(&f->tracker), &f->file, UNIT, 2 * UNIT));
  assert_unit(f, 0);
  assert_zero_unit(f, 1);
  assert_zero_unit(f, 2);
  assert_unit(f, 3);
  assert_size(f, &f->file, 4 * UNIT);
  assert_true(on_memory() || space_of(f) >= before);
}

static void many_punch_and_write_at_once(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  struct tracked_op* punches[MANY];
  put(f, &f->file, 0, 2 * MANY * PAGE, 99);
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page_of(f, &f->file, 2 * i, i);
    punches[i] = t_punch_hole(op_new(&f->tracker), &f->file, (2 * i + 1) * PAGE, PAGE);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
    assert_result(punches[i], 0);
    assert_true(sync->order > punches[i]->order);
    assert_holds(f, &f->file, 2 * i * PAGE, PAGE, i);
    assert_zeros(f, &f->file, (2 * i + 1) * PAGE, PAGE);
  }
}

/*
 * Looking.
 */

static void end_of_the_file_is_a_hole(void** state) {
  struct fixture* f = *state;
  assert_extents(f, 0, UV_ENXIO, UV_ENXIO);
  put_units(f, 0, 1);
  assert_extents(f, 0, 0, UNIT);
  assert_extents(f, UNIT - 1, UNIT - 1, UNIT);
  assert_extents(f, UNIT, UV_ENXIO, UV_ENXIO);
  assert_extents(f, INT64_MAX, UV_ENXIO, UV_ENXIO);
}

static void space_that_was_never_written_is_found(void** state) {
  struct fixture* f = *state;
  put_units(f, 2, 1);
  done(f, t_truncate(op_new(&f->tracker), &f->file, 8 * UNIT));
  struct tracked_op* data = t_next_data(op_new(&f->tracker), &f->file, 0);
  struct tracked_op* hole = t_next_hole(op_new(&f->tracker), &f->file, 2 * UNIT);
  struct tracked_op* none = t_next_data(op_new(&f->tracker), &f->file, 3 * UNIT);
  run(f);
  assert_result(data, 2 * UNIT);
  assert_result(hole, 3 * UNIT);
  assert_result(none, UV_ENXIO);
}

static void data_that_was_cut_off_is_a_hole(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 16 * PAGE, 1);
  done(f, t_truncate(op_new(&f->tracker), &f->file, PAGE));
  done(f, t_truncate(op_new(&f->tracker), &f->file, 16 * PAGE));
  assert_extents(f, 8 * PAGE, UV_ENXIO, 8 * PAGE);
}

static void file_that_is_read_only_can_be_looked_into(void** state) {
  struct fixture* f = *state;
  put_units(f, 0, 1);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  assert_result(t_next_data(op_now(&f->tracker), &f->other, 7), 7);
  assert_result(t_next_hole(op_now(&f->tracker), &f->other, 7), UNIT);
}

/*
 * Reserved and written space.
 */

static void range_is_reserved_where_it_was_asked_for(void** state) {
  struct fixture* f = *state;
  done(f, t_preallocate_range(op_new(&f->tracker), &f->file, 4 * UNIT, UNIT, 0));
  assert_size(f, &f->file, 5 * UNIT);
  assert_zeros(f, &f->file, 0, 5 * UNIT);
  assert_true(on_memory() || (space_of(f) >= (int64_t)UNIT && space_of(f) < (int64_t)(3 * UNIT)));
}

static void size_is_kept_where_it_was_asked_for(void** state) {
  struct fixture* f = *state;
  put_units(f, 0, 1);
  done(f, t_preallocate_range(op_new(&f->tracker), &f->file, 0, 4 * UNIT, UVDIO_SPACE_KEEP_SIZE));
  assert_size(f, &f->file, UNIT);
  assert_unit(f, 0);
  assert_true(on_memory() || space_of(f) >= (int64_t)(4 * UNIT));
}

/* Data stays, whoever wrote it and however it came there. */
static void written_space_spares_what_was_written(void** state) {
  struct fixture* f = *state;
  put_units(f, 1, 1);
  put_units(f, 5, 2);
  done(f, t_punch_hole(op_new(&f->tracker), &f->file, 6 * UNIT, UNIT));
  done(f, t_preallocate_range(op_new(&f->tracker), &f->file, 3 * UNIT, UNIT, 0));
  done(f, t_preallocate_range(op_new(&f->tracker), &f->file, PAGE, 8 * UNIT - PAGE,
                              UVDIO_SPACE_WRITTEN));
  assert_size(f, &f->file, 8 * UNIT);
  for (unsigned i = 0; i < 8; i++) {
    if (i == 1 || i == 5) {
      assert_unit(f, i);
    } else {
      assert_zero_unit(f, i);
    }
  }
}

static void written_space_has_no_holes(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("blocks");
  put_units(f, 1, 1);
  for (unsigned again = 0; again < 2; again++) {
    done(f, t_preallocate_range(op_new(&f->tracker), &f->file, PAGE, 3 * UNIT - PAGE,
                                UVDIO_SPACE_WRITTEN));
    assert_result(t_next_hole(op_now(&f->tracker), &f->file, UNIT), 3 * UNIT);
    assert_result(t_next_hole(op_now(&f->tracker), &f->file, PAGE), 3 * UNIT);
  }
  assert_unit(f, 1);
}

/* More than one call writes. */
static void large_space_is_written(void** state) {
  struct fixture* f = *state;
  const uint64_t size = 5 * MIB + PAGE;
  done(f, t_preallocate_range(op_new(&f->tracker), &f->file, 0, size, UVDIO_SPACE_WRITTEN));
  assert_size(f, &f->file, (int64_t)size);
  assert_zeros(f, &f->file, 0, size);
  if (!on_memory()) {
    assert_result(t_next_hole(op_now(&f->tracker), &f->file, 0), (int64_t)size);
  }
}

static void written_space_runs_alone(void** state) {
  struct fixture* f = *state;
  struct tracked_op* before[MANY];
  struct tracked_op* after[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    before[i] = write_page_of(f, &f->file, 2 * i, i);
  }
  struct tracked_op* space =
      t_preallocate_range(op_new(&f->tracker), &f->file, 0, 3 * MANY * PAGE, UVDIO_SPACE_WRITTEN);
  for (unsigned i = 0; i < MANY; i++) {
    after[i] = write_page_of(f, &f->file, 2 * i + 1, 100 + i);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(space, 0);
  assert_result(sync, 0);
  assert_size(f, &f->file, 3 * MANY * PAGE);
  for (unsigned i = 0; i < MANY; i++) {
    assert_true(before[i]->order < space->order && space->order < after[i]->order);
    assert_holds(f, &f->file, 2 * i * PAGE, PAGE, i);
    assert_holds(f, &f->file, (2 * i + 1) * PAGE, PAGE, 100 + i);
  }
}

static void synchronous_forms_are_turned_away(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  assert_refused(t_preallocate_range(op_now(t), &f->file, 0, PAGE, UVDIO_SPACE_WRITTEN), UV_EBUSY);
  assert_result(t_preallocate_range(op_now(t), &f->file, 0, PAGE, 0), 0);
  assert_result(t_punch_hole(op_now(t), &f->file, 4 * PAGE, PAGE), 0);
  struct tracked_op* space =
      t_preallocate_range(op_new(t), &f->file, 0, 4 * PAGE, UVDIO_SPACE_WRITTEN);
  assert_refused(t_write(op_now(t), &f->file, &page, 0), UV_EBUSY);
  assert_refused(t_punch_hole(op_now(t), &f->file, 0, PAGE), UV_EBUSY);
  assert_refused(t_truncate(op_now(t), &f->file, 0), UV_EBUSY);
  run(f);
  assert_result(write, PAGE);
  assert_result(space, 0);
  assert_ok(uvdio_buf_release(&page));
}

static void durable_file_has_written_space_too(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "wal", UVDIO_OPEN_WAL);
  struct tracked_op* space =
      t_preallocate_range(op_new(&f->tracker), &f->other, 0, UNIT, UVDIO_SPACE_WRITTEN);
  run(f);
  assert_result(space, 0);
  assert_zeros(f, &f->other, 0, UNIT);
  assert_size(f, &f->other, UNIT);
}

/*
 * Block devices.
 */

/* All of it is data, nothing can be reserved, and what is given back reads as zeros. */
static void block_device_has_no_holes(void** state) {
  struct fixture* f = *state;
  struct disk disk;
  char why[FILESYSTEM_WHY_MAX];
  NOT_ON_MEMORY("devices");
  if (disk_make(&disk, 8 * MIB, 8 * MIB, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, disk.path, UVDIO_O_RDWR), 0);
  put_units(f, 0, 4);
  done(f, t_punch_hole(op_new(&f->tracker), &f->file, UNIT, UNIT));
  done(f, t_zero_range(op_new(&f->tracker), &f->file, 2 * UNIT, UNIT));
  assert_unit(f, 0);
  assert_zero_unit(f, 1);
  assert_zero_unit(f, 2);
  assert_unit(f, 3);
  assert_extents(f, UNIT + 5, UNIT + 5, 8 * MIB);
  assert_extents(f, 8 * MIB, UV_ENXIO, UV_ENXIO);
  struct tracked_op* odd = t_punch_hole(op_new(&f->tracker), &f->file, 100, UNIT);
  struct tracked_op* space = t_preallocate_range(op_new(&f->tracker), &f->file, 0, UNIT, 0);
  run(f);
  assert_result(odd, UV_EINVAL);
  assert_result(space, UV_ENOTSUP);
  assert_unit(f, 0);
  disk_remove(&disk);
}

/*
 * Hints.
 */

static void life_of_writes_arrives(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("hints");
  for (uint64_t life = 0; life <= UVDIO_WRITE_LIFE_EXTREME; life++) {
    done(f, t_set_hint(op_new(&f->tracker), &f->file, UVDIO_HINT_WRITE_LIFE, life));
    int fd = open(path_of(f, "file"), O_RDONLY | O_CLOEXEC);
    uint64_t found = 99;
    assert_int_equal(fcntl(fd, F_GET_RW_HINT, &found), 0);
    assert_int_equal(found, life);
    assert_int_equal(close(fd), 0);
  }
}

static void size_of_extents_arrives_or_is_refused(void** state) {
  struct fixture* f = *state;
  struct tracked_op* hint = t_set_hint(op_new(&f->tracker), &f->file, UVDIO_HINT_EXTENT_SIZE, UNIT);
  run(f);
  if (on_memory() || strcmp(info_of(&f->file).filesystem, "xfs") != 0) {
    assert_result(hint, UV_ENOTSUP);
    return;
  }
  int fd = open(path_of(f, "file"), O_RDONLY | O_CLOEXEC);
  struct fsxattr found;
  assert_result(hint, 0);
  /* by number: musl's function takes an int */
  assert_int_equal(syscall(SYS_ioctl, fd, FS_IOC_FSGETXATTR, &found), 0);
  assert_int_equal(found.fsx_extsize, UNIT);
  assert_int_equal(close(fd), 0);
  put_units(f, 0, 1);
  hint = t_set_hint(op_new(&f->tracker), &f->file, UVDIO_HINT_EXTENT_SIZE, 2 * UNIT);
  run(f);
  assert_result(hint, UV_EINVAL);
  assert_unit(f, 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, punched_range_is_a_hole),
      TEST_ON(fixture_open, punched_space_is_given_back),
      TEST_ON(fixture_open, punched_range_takes_data_again),
      TEST_ON(fixture_open, odd_bytes_are_zeroed_and_no_others),
      TEST_ON(fixture_open, size_stays_beyond_the_end),
      TEST_ON(fixture_open, zeroed_range_keeps_its_space),
      TEST_ON(fixture_open, many_punch_and_write_at_once),
      TEST_ON(fixture_open_at_depth_1, many_punch_and_write_at_once),
      TEST_ON(fixture_open, end_of_the_file_is_a_hole),
      TEST_ON(fixture_open, space_that_was_never_written_is_found),
      TEST_ON(fixture_open, data_that_was_cut_off_is_a_hole),
      TEST_ON(fixture_open, file_that_is_read_only_can_be_looked_into),
      TEST_ON(fixture_open, range_is_reserved_where_it_was_asked_for),
      TEST_ON(fixture_open, size_is_kept_where_it_was_asked_for),
      TEST_ON(fixture_open, written_space_spares_what_was_written),
      TEST_ON(fixture_open, written_space_has_no_holes),
      TEST_ON(fixture_open, large_space_is_written),
      TEST_ON(fixture_open, written_space_runs_alone),
      TEST_ON(fixture_open_at_depth_1, written_space_runs_alone),
      TEST_ON(fixture_open, synchronous_forms_are_turned_away),
      TEST_ON(fixture_open, durable_file_has_written_space_too),
      TEST_ON(fixture_engine, block_device_has_no_holes),
      TEST_ON(fixture_open, life_of_writes_arrives),
      TEST_ON(fixture_open, size_of_extents_arrives_or_is_refused),
  };
  return matrix_main("space", tests, COUNT_OF(tests), argc, argv);
}
