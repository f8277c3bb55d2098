/* SPDX-License-Identifier: MIT */
/*
 * What an open asks for beyond reads and writes: write-only files, locks, the page cache by choice,
 * a device for itself.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "child.h"
#include "disk.h"
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

/* Files in RAM are closed and opened in the order in which that was asked for. */
static void lock_in_memory_goes_with_the_close_itself(void** state) {
  struct fixture* f = *state;
  if (!on_memory() || f->sim != NULL) {
    SKIP("elsewhere it takes its time");
  }
  open_now(f, &f->other, "locked", UVDIO_O_CREATE | EXCLUSIVE);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  t_close(op_new(&f->tracker), &f->other);
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->file, path_of(f, "locked"), EXCLUSIVE);
  run(f);
  assert_result(open, 0);
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
  if (UNDER_TSAN) {
    SKIP("the thread sanitizer does not follow a child of a process with threads");
  }
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

/*
 * The page cache by choice
 */

#define BUFFERED_RW (UVDIO_OPEN_RW | UVDIO_O_BUFFERED)

static char bytes[4 * PAGE];

static struct tracked_op* move_odd(struct fixture* f, int writes, int blocking, uint64_t offset,
                                   size_t length) {
  struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
  uvdio_buf_t view = uvdio_buf_view_bytes(bytes + 3, length);
  op = writes ? t_write(op, &f->other, &view, offset) : t_read(op, &f->other, &view, offset);
  run(f);
  return op;
}

/* Any byte can be written, and all others stay. */
static void buffered_transfers_have_any_alignment(void** state) {
  struct fixture* f = *state;
  enum { AT = 1234, LENGTH = 5003, SIZE = AT + LENGTH };
  open_now(f, &f->other, "buffered", BUFFERED_RW);
  assert_int_equal(info_of(&f->other).memory_align, 1);
  assert_int_equal(info_of(&f->other).offset_align, 1);
  assert_int_equal(info_of(&f->other).system_offset_align, 0);
  for (int blocking = 0; blocking < 2; blocking++) {
    fill_pattern(bytes + 3, LENGTH, 5);
    assert_result(move_odd(f, 1, blocking, AT, LENGTH), LENGTH);
    memset(bytes, 9, 4);
    assert_result(move_odd(f, 1, blocking, 1, 1), 1);
    assert_size(f, &f->other, SIZE);
    memset(bytes, 1, sizeof(bytes));
    assert_result(move_odd(f, 0, blocking, AT, LENGTH), LENGTH);
    assert_true(is_pattern(bytes + 3, LENGTH, 5));
    assert_int_equal(bytes[3 + LENGTH], 1);
    assert_result(move_odd(f, 0, blocking, 0, 3), 3);
    assert_memory_equal(bytes + 3, "\0\11\0", 3);
    assert_result(move_odd(f, 0, blocking, SIZE - 7, 100), 7);
    assert_result(move_odd(f, 0, blocking, SIZE, 100), 0);
    assert_result(move_odd(f, 0, blocking, AT, 2 * LENGTH), LENGTH);
  }
  assert_result(t_sync_all(op_now(&f->tracker), &f->other), 0);
}

static void buffered_vectors_and_ranges_have_any_alignment(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t pieces[] = {uvdio_buf_view_bytes(bytes + 1, 7), uvdio_buf_view_bytes(bytes + 100, 0),
                          uvdio_buf_view_bytes(bytes + 200, 93)};
  open_now(f, &f->other, "buffered", BUFFERED_RW);
  fill_pattern(bytes, sizeof(bytes), 6);
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->other, pieces, 3, 11);
  run(f);
  assert_result(write, 100);
  assert_int_equal(uvdio_range_size(&f->other, 13, 4), 4);
  uvdio_buf_t range = uvdio_buf_wrap(bytes + 1001, 100);
  struct tracked_op* read = t_read_range(op_new(&f->tracker), &f->other, &range, 13, 98);
  run(f);
  assert_result(read, 98);
  assert_memory_equal(bytes + 1001, bytes + 3, 5);
  assert_memory_equal(bytes + 1006, bytes + 200, 93);
}

static void info_tells_how_the_cache_is_used(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "buffered", BUFFERED_RW);
  assert_int_equal(info_of(&f->file).cache, UVDIO_CACHE_BYPASSED);
  assert_int_equal(info_of(&f->other).cache, UVDIO_CACHE_KEPT);
  assert_int_equal(info_of(&f->other).is_direct, 0);
  close_other(f);
  open_now(f, &f->other, "buffered", BUFFERED_RW | UVDIO_O_DONTCACHE);
  assert_int_not_equal(info_of(&f->other).cache, UVDIO_CACHE_BYPASSED);
  close_other(f);
  open_now(f, &f->other, "direct", UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED | UVDIO_O_DONTCACHE);
  assert_int_equal(info_of(&f->other).cache, UVDIO_CACHE_BYPASSED);
  close_other(f);
  open_now(f, &f->other, "buffered", UVDIO_O_WRONLY | UVDIO_O_BUFFERED | UVDIO_O_DONTCACHE);
  assert_int_equal(info_of(&f->other).cache, UVDIO_CACHE_KEPT);
}

static void need_a_cache_that_drops(const uvdio_file_t* file) {
  if (info_of(file).cache != UVDIO_CACHE_DROPPED || sysconf(_SC_PAGESIZE) != PAGE) {
    SKIP("this filesystem keeps all pages in its cache");
  }
}

/* All of it: what the kernel has read ahead is dropped when it has been asked for. By a vector and
 * by one buffer, in both forms. */
static void read_all_so(struct fixture* f, unsigned form) {
  uvdio_buf_t all = blank(4 * PAGE);
  struct tracked_op* op = form < 2 ? op_new(&f->tracker) : op_now(&f->tracker);
  if (form % 2 == 0) {
    t_read(op, &f->other, &all, 0);
  } else {
    uvdio_buf_t halves[] = {uvdio_buf_wrap(bytes, 100),
                            uvdio_buf_wrap(bytes + 100, 4 * PAGE - 100)};
    t_readv(op, &f->other, halves, 2, 0);
  }
  run(f);
  assert_result(op, 4 * PAGE);
  if (form != 0) {
    assert_ok(uvdio_buf_release(&all));
  }
}

static void pages_that_were_read_are_kept_or_dropped(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("page cache");
  put(f, &f->file, 0, 4 * PAGE, 1);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ | UVDIO_O_BUFFERED | UVDIO_O_DONTCACHE);
  need_a_cache_that_drops(&f->other);
  for (unsigned form = 0; form < 4; form++) {
    read_all_so(f, form);
    assert_int_equal(cached_pages(path_of(f, "file"), 4), 0);
  }
  close_other(f);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ | UVDIO_O_BUFFERED);
  read_all_so(f, 0);
  assert_int_equal(cached_pages(path_of(f, "file"), 4), 4);
}

/* Pages go when they have been written back, which a sync waits for, or a moment later. */
#define MOMENT 200u

static unsigned pages_left(struct fixture* f, const char* name, int fd) {
  unsigned left = 4;
  for (unsigned i = 0; i < MOMENT && left > 0; i++) {
    assert_int_equal(fdatasync(fd), 0);
    left = cached_pages(path_of(f, name), 4);
  }
  return left;
}

/* ext4 keeps, in Linux 6.18, those whose blocks had been written before. So all is new. */
static void need_a_cache_that_drops_what_is_written(struct fixture* f) {
  struct iovec all = {bytes, sizeof(bytes)};
  int fd = open(path_of(f, "by hand"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_int_equal(syscall(SYS_pwritev2, fd, &all, 1L, 0L, 0L, 0x80), sizeof(bytes));
  unsigned left = pages_left(f, "by hand", fd);
  assert_int_equal(close(fd), 0);
  if (left > 0) {
    SKIP("this kernel keeps pages that were written");
  }
}

static void pages_that_were_written_are_dropped(void** state) {
  struct fixture* f = *state;
  static const char* const names[] = {"new", "newer"};
  NOT_ON_MEMORY("page cache");
  for (unsigned i = 0; i < COUNT_OF(names); i++) {
    struct tracked_op* op = i == 0 ? op_new(&f->tracker) : op_now(&f->tracker);
    open_now(f, &f->other, names[i], BUFFERED_RW | UVDIO_O_DONTCACHE);
    need_a_cache_that_drops(&f->other);
    need_a_cache_that_drops_what_is_written(f);
    uvdio_buf_t all = uvdio_buf_view_bytes(bytes, sizeof(bytes));
    t_write(op, &f->other, &all, 0);
    run(f);
    assert_result(op, sizeof(bytes));
    int fd = open(path_of(f, names[i]), O_RDWR | O_CLOEXEC);
    unsigned left = pages_left(f, names[i], fd);
    assert_int_equal(close(fd), 0);
    assert_int_equal(left, 0);
    close_other(f);
  }
}

/*
 * A device for itself, and what a device takes
 */

static void what_is_no_device_is_not_opened_for_itself(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  for (int blocking = 0; blocking < 2; blocking++) {
    struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
    struct tracked_op* missing = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
    t_open(op, f->engine, &f->other, path_of(f, "file"), UVDIO_O_RDWR | UVDIO_O_EXCLUSIVE);
    run(f);
    t_open(missing, f->engine, &f->other, path_of(f, "none"), UVDIO_O_EXCLUSIVE);
    run(f);
    assert_result(op, UV_EINVAL);
    assert_result(missing, UV_ENOENT);
  }
  assert_holds(f, &f->file, 0, PAGE, 1);
}

static struct tracked_op* open_device(struct fixture* f, uvdio_file_t* file,
                                      const struct disk* disk, unsigned flags) {
  return t_open(op_now(&f->tracker), f->engine, file, disk->path, flags);
}

static void device_is_opened_for_itself_once(void** state) {
  struct fixture* f = *state;
  char why[FILESYSTEM_WHY_MAX];
  struct disk disk;
  NOT_ON_MEMORY("devices");
  if (disk_make(&disk, 16 * PAGE, 16 * PAGE, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_result(open_device(f, &f->file, &disk, UVDIO_O_RDWR | UVDIO_O_EXCLUSIVE), 0);
  assert_result(open_device(f, &f->other, &disk, UVDIO_O_EXCLUSIVE), UV_EBUSY);
  assert_result(open_device(f, &f->other, &disk, UVDIO_O_RDWR), 0);
  struct tracked_op* stat = t_stat(op_now(&f->tracker), &f->file);
  assert_result(stat, 0);
  assert_int_equal(stat->stat.size, 16 * PAGE);
  assert_true(S_ISBLK(stat->stat.mode));
  assert_true(info_of(&f->file).physical_block >= 512 && info_of(&f->file).request_max >= PAGE);
  close_other(f);
  /* A write-only device is executed as others. */
  assert_result(open_device(f, &f->other, &disk, UVDIO_O_WRONLY), 0);
  assert_string_equal(info_of(&f->other).backend, info_of(&f->file).backend);
  close_other(f);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_result(open_device(f, &f->other, &disk, UVDIO_O_EXCLUSIVE), 0);
  close_other(f);
  disk_remove(&disk);
}

/* The numbers of sysfs, which the folders of ext4 and xfs, on a loop device, have. */
static uint64_t number_of(const char* device, const char* name) {
  char path[128];
  unsigned long long value = 0;
  snprintf(path, sizeof(path), "/sys/dev/block/%s/queue/%s", device, name);
  FILE* file = fopen(path, "r");
  if (file != NULL) {
    assert_int_equal(fscanf(file, "%llu", &value), 1);
    fclose(file);
  }
  return value;
}

static void info_tells_what_the_device_takes(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info = info_of(&f->file);
  char device[32] = "none";
  struct stat about;
  if (!on_memory()) {
    assert_int_equal(stat(path_of(f, "file"), &about), 0);
    snprintf(device, sizeof(device), "%u:%u", major(about.st_dev), minor(about.st_dev));
  }
  uint64_t block = number_of(device, "physical_block_size");
  assert_int_equal(info.physical_block & (info.physical_block - (info.physical_block > 0)), 0);
  if (block != 0) { /* and no partition */
    assert_int_equal(info.physical_block, block);
    assert_int_equal(info.request_max, number_of(device, "max_sectors_kb") * 1024);
  } else if (on_memory() || major(about.st_dev) == 0) {
    assert_int_equal(info.physical_block, 0);
    assert_int_equal(info.request_max, 0);
  }
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
      TEST_ON(fixture_open, lock_in_memory_goes_with_the_close_itself),
      TEST_ON(fixture_open, close_of_another_handle_keeps_the_lock),
      TEST_ON(fixture_open, locks_of_the_system_count),
      TEST_ON(fixture_open, child_does_not_let_go_of_its_parents_lock),
      TEST_ON(fixture_open, close_lets_go_of_a_lock_that_a_child_shares),
      TEST_ON(fixture_open, buffered_transfers_have_any_alignment),
      TEST_ON(fixture_open, buffered_vectors_and_ranges_have_any_alignment),
      TEST_ON(fixture_open, info_tells_how_the_cache_is_used),
      TEST_ON(fixture_open, pages_that_were_read_are_kept_or_dropped),
      TEST_ON(fixture_open, pages_that_were_written_are_dropped),
      TEST_ON(fixture_open, what_is_no_device_is_not_opened_for_itself),
      TEST_ON(fixture_open, device_is_opened_for_itself_once),
      TEST_ON(fixture_open, info_tells_what_the_device_takes),
  };
  return matrix_main("open_modes", tests, COUNT_OF(tests), argc, argv);
}
