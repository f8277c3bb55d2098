/* SPDX-License-Identifier: MIT */
/*
 * Durability is honest: a sync that failed latches its file, because the kernel forgets what it
 * could not write and calls the next sync a success (Rebello et al., ATC 2020).
 *
 * The faults are real ones: a filesystem that is shut down, and a disk that runs full under the
 * page cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk.h"
#include "fixture.h"
#include "ops.h"

/* XFS_IOC_GOINGDOWN, which ext4 has as well: from now on everything fails with EIO. */
#define SHUT_DOWN _IOR('X', 125, __u32)
#define SHUT_DOWN_AT_ONCE 2u

/* Every change and sync is refused with the latched error, in both forms; nothing else is, where
 * what the filesystem says can be told from it. Opens and closes are not tried. */
static void assert_latched(struct fixture* f, uvdio_file_t* file, int error) {
  struct tracker* t = &f->tracker;
  assert_code(info_of(file).latch_error, error);
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    enum effect effect = facts_of(op)->effect;
    if (op_is(op, UVDIO_OP_KIND_CHANGE | UVDIO_OP_KIND_SYNC)) {
      assert_refused(t_example(f, op_new(t), file, op), error);
      assert_refused(t_example(f, op_now(t), file, op), error);
    } else if (effect < EFFECT_NAMES && effect != EFFECT_OPEN && effect != EFFECT_CLOSE) {
      assert_true(t_example(f, op_now(t), file, op)->code != error || error == UV_EIO);
    }
  }
  run(f);
}

/*
 * A filesystem that is shut down.
 */

static struct filesystem doomed;
static uvdio_file_t directory;

static int tear_down(void** state) {
  int failed = fixture_tear_down(state);
  filesystem_remove(&doomed);
  return failed;
}

static void open_on_doomed(struct fixture* f, const char* kind, unsigned flags) {
  char why[FILESYSTEM_WHY_MAX];
  char path[FILESYSTEM_PATH_MAX + 16];
  if (filesystem_make(&doomed, kind, 0, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  snprintf(path, sizeof(path), "%s/file", doomed.dir);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, path, flags), 0);
}

static void shut_down(void) {
  __u32 how = SHUT_DOWN_AT_ONCE;
  int fd = open(doomed.dir, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  /* by number: musl's function takes an int */
  int failed = (int)syscall(SYS_ioctl, fd, SHUT_DOWN, &how);
  int error = errno;
  close(fd);
  if (failed && (error == ENOTTY || error == ENOSYS)) {
    /* as under an emulator that does not pass that on */
    SKIP("a filesystem can't be shut down here");
  }
  assert_int_equal(failed, 0);
}

static void failed_sync_latches(struct fixture* f, const char* kind) {
  open_on_doomed(f, kind, UVDIO_OPEN_RW);
  put(f, &f->file, 0, PAGE, 1);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
  shut_down();
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, UV_EIO);
  assert_latched(f, &f->file, UV_EIO);
}

static void failed_sync_latches_on_ext4(void** state) {
  failed_sync_latches(*state, "ext4");
}

static void failed_sync_latches_on_xfs(void** state) {
  failed_sync_latches(*state, "xfs");
}

/* XFS calls the sync of a directory a success all the same. */
static void lost_names_latch(struct fixture* f, const char* kind) {
  open_on_doomed(f, kind, UVDIO_OPEN_RW);
  struct tracker* t = &f->tracker;
  uvdio_req_t req = {0};
  assert_ok(uvdio_open(f->engine, &f->other, &req, doomed.dir, UVDIO_O_DIRECTORY, 0, NULL));
  assert_ok(uvdio_open(f->engine, &directory, &req, doomed.dir, UVDIO_O_DIRECTORY, 0, NULL));
  assert_result(t_sync_all(op_now(t), &f->other), 0);
  assert_ok(uvdio_rename_at(&f->other, &req, "file", &f->other, "renamed", 0, NULL));
  shut_down();
  assert_result(t_sync_data(op_now(t), &directory), UV_EIO);
  struct tracked_op* sync = t_sync_all(op_new(t), &f->other);
  run(f);
  assert_result(sync, UV_EIO);
  assert_int_equal(info_of(&f->other).latch_error, UV_EIO);
  assert_int_equal(t_close(op_now(t), &directory)->done, 1);
}

static void lost_names_latch_on_ext4(void** state) {
  lost_names_latch(*state, "ext4");
}

static void lost_names_latch_on_xfs(void** state) {
  lost_names_latch(*state, "xfs");
}

static void failed_sync_in_the_synchronous_form_latches(void** state) {
  struct fixture* f = *state;
  open_on_doomed(f, "ext4", UVDIO_OPEN_RW);
  put(f, &f->file, 0, PAGE, 1);
  shut_down();
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), UV_EIO);
  assert_latched(f, &f->file, UV_EIO);
}

/* A write alone may fail and be tried again: only what promised durability latches. */
static void failed_write_does_not_latch(void** state) {
  struct fixture* f = *state;
  open_on_doomed(f, "ext4", UVDIO_OPEN_RW);
  put(f, &f->file, 0, PAGE, 1);
  shut_down();
  struct tracked_op* write = write_page_of(f, &f->file, 0, 2);
  run(f);
  assert_result(write, UV_EIO);
  assert_true(is_pattern(write->back.base, PAGE, 2));
  assert_code(info_of(&f->file).latch_error, 0);
}

static void failed_durable_write_latches(void** state) {
  struct fixture* f = *state;
  open_on_doomed(f, "ext4", UVDIO_OPEN_WAL);
  put(f, &f->file, 0, PAGE, 1);
  shut_down();
  struct tracked_op* write = write_page_of(f, &f->file, 0, 2);
  run(f);
  assert_result(write, UV_EIO);
  assert_latched(f, &f->file, UV_EIO);
}

/* What was submitted before and waits behind the failing sync ends with the same error. */
static void latch_overtakes_what_waits(void** state) {
  struct fixture* f = *state;
  enum { MANY = 20 };
  struct tracked_op* writes[MANY];
  open_on_doomed(f, "ext4", UVDIO_OPEN_RW);
  shut_down();
  struct tracked_op* first = t_sync_data(op_new(&f->tracker), &f->file);
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    writes[i] = t_write(op_new(&f->tracker), &f->file, &page, (uint64_t)i * PAGE);
  }
  struct tracked_op* second = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(first, UV_EIO);
  assert_result(second, UV_EIO);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], UV_EIO);
    assert_true(is_pattern(writes[i]->back.base, PAGE, i));
  }
  assert_latched(f, &f->file, UV_EIO);
}

static void latched_file_closes_and_its_handle_is_as_new(void** state) {
  struct fixture* f = *state;
  open_on_doomed(f, "ext4", UVDIO_OPEN_RW);
  shut_down();
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), UV_EIO);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(close->done, 1);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  assert_code(info_of(&f->file).latch_error, 0);
  put(f, &f->file, 0, PAGE, 1);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
}

static void latch_of_one_file_is_not_another_ones(void** state) {
  struct fixture* f = *state;
  open_on_doomed(f, "ext4", UVDIO_OPEN_RW);
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  shut_down();
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), UV_EIO);
  assert_code(info_of(&f->other).latch_error, 0);
  put(f, &f->other, 0, PAGE, 1);
  assert_result(t_sync_all(op_now(&f->tracker), &f->other), 0);
}

/*
 * A disk that fails under the page cache, and a kernel that forgets.
 */

/* Dirties the page cache of the device through a descriptor of its own, with more than the disk can
 * hold. */
static void dirty(const struct disk* disk) {
  static char bytes[4 * MIB];
  memset(bytes, 0x5a, sizeof(bytes));
  assert_int_equal(pwrite(disk->device, bytes, sizeof(bytes), 8 * MIB), (ssize_t)sizeof(bytes));
}

static void open_full_disk(struct fixture* f, struct disk* disk) {
  char why[FILESYSTEM_WHY_MAX];
  if (disk_make(disk, 64 * MIB, MIB, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, disk->path, UVDIO_O_RDWR), 0);
}

static void sync_that_would_succeed_the_second_time_stays_failed(void** state) {
  struct fixture* f = *state;
  struct disk disk;
  open_full_disk(f, &disk);
  int witness = open(disk.path, O_RDWR | O_CLOEXEC);
  dirty(&disk);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(sync->done, 1);
  assert_true(sync->result == UV_EIO || sync->result == UV_ENOSPC);
  fsync(witness); /* tells it once */
  assert_int_equal(fsync(witness), 0);
  assert_latched(f, &f->file, (int)sync->result);
  close(witness);
  disk_remove(&disk);
}

static void latched_file_can_be_read(void** state) {
  struct fixture* f = *state;
  struct disk disk;
  open_full_disk(f, &disk);
  put(f, &f->file, 0, PAGE, 1);
  dirty(&disk);
  struct tracked_op* sync = t_sync_data(op_now(&f->tracker), &f->file);
  assert_latched(f, &f->file, (int)sync->result);
  uvdio_buf_t page = blank(PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &page, 0);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  struct tracked_op* stat = t_stat(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(read, PAGE);
  assert_result(stat, 0);
  assert_true(is_pattern(read->back.base, PAGE, 1));
  assert_int_equal(size->done, 1);
  assert_true(size->result >= 0);
  disk_remove(&disk);
}

static void reopened_file_is_not_latched(void** state) {
  struct fixture* f = *state;
  struct disk disk;
  open_full_disk(f, &disk);
  dirty(&disk);
  struct tracked_op* sync = t_sync_all(op_now(&f->tracker), &f->file);
  assert_true(sync->result < 0);
  assert_latched(f, &f->file, (int)sync->result);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(close->done, 1);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, disk.path, UVDIO_O_RDWR), 0);
  assert_code(info_of(&f->file).latch_error, 0);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
  disk_remove(&disk);
}

/* The kernel tells a failed write-back to one fsync of a descriptor: the other sync must not be
 * called a success. */
static void two_syncs_in_flight_fail_both(void** state) {
  struct fixture* f = *state;
  struct disk disk;
  open_full_disk(f, &disk);
  dirty(&disk);
  struct tracked_op* first = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* second = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(first->done, 1);
  assert_true(first->result < 0);
  assert_result(second, first->result);
  disk_remove(&disk);
}

/*
 * A full disk under a filesystem that takes no direct I/O for a small file: durable writes go
 * through the page cache. The blocks are as large as a page of the tmpfs below, because a loop
 * device calls a short write to its backing file a success.
 */

#define DURABLE 16u

static int make_small_file(const char* path) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int failed = fd < 0 || write(fd, "inline", 6) != 6;
  close(fd);
  return failed;
}

/* Has the blocks reserved, so that a write fails when it is written back and not before. */
static int reserve_blocks(const char* path) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  int failed = fd < 0 || posix_fallocate(fd, 0, 2 * DURABLE * PAGE) != 0 || fsync(fd) != 0;
  sync();
  close(fd);
  return failed;
}

/* Leaves `left` bytes of the tmpfs. */
static int fill_up(const struct disk* disk, off_t left) {
  static const char block[65536];
  char path[FILESYSTEM_PATH_MAX + 16];
  snprintf(path, sizeof(path), "%s/filler", disk->filesystem.dir);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return -1;
  }
  while (write(fd, block, sizeof(block)) > 0) {
  }
  off_t end = lseek(fd, 0, SEEK_CUR);
  int failed = ftruncate(fd, end / PAGE * PAGE - left);
  close(fd);
  return failed;
}

static int mount_inline(const struct disk* disk, const char* dir, unsigned long flags,
                        char why[FILESYSTEM_WHY_MAX]) {
  char path[sizeof(disk->path)];
  char program[] = "mkfs.ext4", quiet[] = "-qFb4096", features[] = "-Oinline_data,^has_journal";
  memcpy(path, disk->path, sizeof(path));
  char* const make[] = {program, quiet, features, path, NULL};
  if (mkdir(dir, 0700) != 0 || run_program(make, why) != 0) {
    return -1;
  }
  if (mount(path, dir, "ext4", flags, NULL) != 0) {
    snprintf(why, FILESYSTEM_WHY_MAX, "mount: %s", strerror(errno));
    return -1;
  }
  return 0;
}

/* Whether the disk has the page, and not only the page cache. */
static int is_on_disk(const char* path, unsigned i) {
  static _Alignas(PAGE) char page[PAGE];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ssize_t got = pread(fd, page, PAGE, (off_t)i * PAGE);
  close(fd);
  return got == (ssize_t)PAGE && is_pattern(page, PAGE, i);
}

static void write_durably_on_a_full_disk(struct fixture* f, const struct disk* disk,
                                         const char* path) {
  struct tracked_op* writes[DURABLE];
  unsigned failed = 0;
  assert_int_equal(make_small_file(path), 0);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, path,
                       UVDIO_OPEN_WAL | UVDIO_O_DIRECT_PREFERRED),
                0);
  uvdio_file_info_t info = info_of(&f->file);
  if (info.is_direct) {
    SKIP("this ext4 takes direct I/O for a file within its inode");
  }
  assert_int_equal(info.is_durable_serialized, 1);
  assert_int_equal(reserve_blocks(path), 0);
  assert_int_equal(fill_up(disk, 2 * PAGE), 0);
  for (unsigned i = 0; i < DURABLE; i++) {
    writes[i] = write_page(f, i);
  }
  run(f);
  for (unsigned i = 0; i < DURABLE; i++) {
    assert_int_equal(writes[i]->done, 1);
    assert_true(writes[i]->result < 0 || is_on_disk(path, i));
    assert_true(writes[i]->result < 0 || failed == 0);
    failed += writes[i]->result < 0;
  }
  assert_true(failed > 0);
  assert_true(info_of(&f->file).latch_error < 0);
}

typedef void (*part_on_a_full_disk)(struct fixture* f, const struct disk* disk, const char* path);

static void on_a_full_disk(struct fixture* f, unsigned long flags, part_on_a_full_disk part) {
  struct disk disk;
  char why[FILESYSTEM_WHY_MAX];
  char dir[FILESYSTEM_PATH_MAX], path[FILESYSTEM_PATH_MAX + 16];
  if (disk_make(&disk, 64 * MIB, 24 * MIB, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  snprintf(dir, sizeof(dir), "%.400s/mounted", disk.filesystem.dir);
  snprintf(path, sizeof(path), "%s/file", dir);
  if (mount_inline(&disk, dir, flags, why) != 0) {
    disk_remove(&disk);
    SKIP_AS_TOLD(why);
  }
  part(f, &disk, path);
  assert_int_equal(t_close(op_now(&f->tracker), &f->file)->done, 1);
  umount(dir);
  rmdir(dir);
  disk_remove(&disk);
}

static void durable_writes_through_the_page_cache_are_durable(void** state) {
  on_a_full_disk(*state, 0, write_durably_on_a_full_disk);
}

/* The kernel makes each write durable, though nobody has asked for that: the error of one may be
 * told to another, and to no sync. */
static void write_and_sync_on_a_full_disk(struct fixture* f, const struct disk* disk,
                                          const char* path) {
  struct tracked_op* writes[DURABLE];
  struct tracked_op* durable[DURABLE];
  assert_int_equal(make_small_file(path), 0);
  assert_result(
      t_open(op_now(&f->tracker), f->engine, &f->file, path, UVDIO_OPEN_RW | UVDIO_O_BUFFERED), 0);
  assert_int_equal(reserve_blocks(path), 0);
  assert_int_equal(fill_up(disk, 2 * PAGE), 0);
  run_once(f);
  for (unsigned i = 0; i < DURABLE; i++) {
    uvdio_buf_t page = filled(PAGE, DURABLE + i);
    writes[i] = write_page(f, i);
    durable[i] = t_write_flags(op_new(&f->tracker), &f->file, &page, (uint64_t)(DURABLE + i) * PAGE,
                               UVDIO_WRITE_DURABLE | (i % 2 == 0 ? UVDIO_WRITE_BY_SYNC : 0));
  }
  run(f);
  struct tracked_op* sync = t_sync_all(op_now(&f->tracker), &f->file);
  for (unsigned i = 0; i < DURABLE; i++) {
    assert_int_equal(writes[i]->done, 1);
    assert_true(writes[i]->result < 0 || sync->code < 0 || is_on_disk(path, i));
    assert_int_equal(durable[i]->done, 1);
    assert_true(durable[i]->result < 0 || is_on_disk(path, DURABLE + i));
  }
}

static void sync_hears_of_writes_that_the_mount_makes_durable(void** state) {
  on_a_full_disk(*state, MS_SYNCHRONOUS, write_and_sync_on_a_full_disk);
}

/* No write-back of a page cache is between the write and the device. */
static void durable_writes_to_a_device_run_side_by_side(void** state) {
  struct fixture* f = *state;
  struct disk disk;
  char why[FILESYSTEM_WHY_MAX];
  if (disk_make(&disk, 64 * MIB, 64 * MIB, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  assert_result(
      t_open(op_now(&f->tracker), f->engine, &f->file, disk.path, UVDIO_O_RDWR | UVDIO_O_DSYNC), 0);
  assert_int_equal(info_of(&f->file).is_durable_serialized, 0);
  assert_int_equal(info_of(&f->file).open_size, 0);
  assert_int_equal(t_close(op_now(&f->tracker), &f->file)->done, 1);
  disk_remove(&disk);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_engine, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(failed_sync_latches_on_ext4),
      TEST(failed_sync_latches_on_xfs),
      TEST(lost_names_latch_on_ext4),
      TEST(lost_names_latch_on_xfs),
      TEST(failed_sync_in_the_synchronous_form_latches),
      TEST(failed_write_does_not_latch),
      TEST(failed_durable_write_latches),
      TEST(latch_overtakes_what_waits),
      TEST(latched_file_closes_and_its_handle_is_as_new),
      TEST(latch_of_one_file_is_not_another_ones),
      TEST(sync_that_would_succeed_the_second_time_stays_failed),
      TEST(latched_file_can_be_read),
      TEST(reopened_file_is_not_latched),
      TEST(two_syncs_in_flight_fail_both),
      TEST(durable_writes_through_the_page_cache_are_durable),
      TEST(sync_hears_of_writes_that_the_mount_makes_durable),
      TEST(durable_writes_to_a_device_run_side_by_side),
  };
  return matrix_main("latched_errors", tests, COUNT_OF(tests), argc, argv);
}
