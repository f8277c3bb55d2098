/* SPDX-License-Identifier: MIT */
/*
 * Transfers that the system cuts short, interrupts or turns away: taken up again where that helps,
 * told where it does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define PAGES 8
#define SIZE ((size_t)PAGES * PAGE)
#define ODD 904 /* bytes: within a block */

/* What request.c puts up with. */
#define RETRIES_MAX 64

#define NEEDS_ODD_SHORTS(f)                                           \
  do {                                                                \
    if (is_done_by(&f->file, "ring")) {                               \
      SKIP("an entry of a ring can't be made to end within a block"); \
    }                                                                 \
  } while (0)

/* A file with content, on a filesystem that pretends to be another one. */
static int open_pretending_at(void** state, long type, unsigned depth) {
  uvdio_engine_options_t options = {0};
  options.depth = depth;
  faults_reset();
  int failed = fixture_engine_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    fault_pretend_filesystem(type);
    open_now(f, &f->file, "file", UVDIO_OPEN_RW);
    put(f, &f->file, 0, SIZE, 1);
    faults_reset();
  }
  return failed;
}

static int open_pretending(void** state, long type) {
  return open_pretending_at(state, type, 0);
}

static int open_with_content(void** state) {
  return open_pretending(state, 0);
}

static int open_at_depth_1(void** state) {
  return open_pretending_at(state, 0, 1);
}

static int open_on_fuse(void** state) {
  return open_pretending(state, FUSE_SUPER_MAGIC);
}

/* Wherever it is: the kernel's own filesystems are taken at their word about the end of a file. */
static int open_on_ext4(void** state) {
  return open_pretending(state, EXT4_SUPER_MAGIC);
}

/* Zeroed, because valgrind does not know that a ring writes. */
static uvdio_buf_t zeros(size_t size) {
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, size, UVDIO_BUF_ZEROED));
  return buf;
}

static struct tracked_op* read_all(struct fixture* f) {
  uvdio_buf_t buf = zeros(SIZE);
  return t_read(op_new(&f->tracker), &f->file, &buf, 0);
}

static struct tracked_op* read_exactly_all(struct fixture* f) {
  uvdio_buf_t buf = zeros(SIZE);
  return t_read_exact(op_new(&f->tracker), &f->file, &buf, 0);
}

static struct tracked_op* write_all(struct fixture* f, unsigned seed) {
  uvdio_buf_t buf = filled(SIZE, seed);
  return t_write(op_new(&f->tracker), &f->file, &buf, 0);
}

static void assert_read(const struct tracked_op* read, int64_t result, size_t arrived) {
  assert_result(read, result);
  assert_int_equal(read->req.transferred, arrived);
  assert_int_equal(read->back.len, arrived);
  assert_true(is_pattern(read->back.base, arrived, 1));
}

static void assert_written(struct fixture* f, const struct tracked_op* write, unsigned seed) {
  assert_result(write, SIZE);
  assert_holds(f, &f->file, 0, SIZE, seed);
}

/*
 * Short by whole blocks.
 */

static void short_read_is_resumed(void** state) {
  struct fixture* f = *state;
  fault_shorten(CALL_PREAD, 1, ONCE, PAGE);
  struct tracked_op* read = read_all(f);
  run(f);
  assert_read(read, SIZE, SIZE);
  assert_int_equal(fault_calls(CALL_PREAD), 2);
  assert_int_equal(stats_of(f).resumed, 1);
}

static void read_may_arrive_page_by_page(void** state) {
  struct fixture* f = *state;
  fault_shorten(CALL_PREAD, 1, FOR_GOOD, PAGE);
  struct tracked_op* read = read_exactly_all(f);
  run(f);
  assert_read(read, SIZE, SIZE);
  assert_int_equal(fault_calls(CALL_PREAD), PAGES);
  assert_int_equal(stats_of(f).resumed, PAGES - 1);
}

static void write_may_leave_page_by_page(void** state) {
  struct fixture* f = *state;
  fault_shorten(CALL_PWRITE, 1, FOR_GOOD, PAGE);
  struct tracked_op* write = write_all(f, 2);
  run(f);
  assert_written(f, write, 2);
  assert_int_equal(fault_calls(CALL_PWRITE), PAGES);
  assert_int_equal(stats_of(f).resumed, PAGES - 1);
}

/* What has arrived of a range: nothing, some of it. */
static void range_that_fails_half_way_tells_what_arrived(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (unsigned pages = 1; pages <= 2; pages++) {
    uvdio_buf_t buf = zeros(SIZE);
    faults_reset();
    fault_shorten(CALL_PREAD, 1, ONCE, pages * PAGE);
    fault_fail(CALL_PREAD, 2, ONCE, EIO);
    struct tracked_op* read =
        t_read_range(op_new(&f->tracker), &f->file, &buf, PAGE + PAGE / 2 + PAGE, 3 * PAGE);
    run(f);
    assert_result(read, UV_EIO);
    uvdio_buf_t view = uvdio_range_view(&read->req, &read->back);
    assert_int_equal(read->back.len, pages * PAGE);
    assert_int_equal(view.len, pages * PAGE - PAGE / 2);
    assert_ptr_equal(view.base, read->back.base + PAGE / 2);
  }
}

/* One at a time, it is not overtaken by what came later. */
static void short_transfer_is_resumed_before_others_begin(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[3];
  fault_shorten(CALL_PREAD, 1, 2, PAGE);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    reads[i] = read_all(f);
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    assert_read(reads[i], SIZE, SIZE);
    assert_int_equal(reads[i]->order, i + 1);
  }
  assert_int_equal(stats_of(f).resumed, 2);
}

static void synchronous_forms_resume_as_well(void** state) {
  struct fixture* f = *state;
  fault_shorten(CALL_PWRITE, 1, FOR_GOOD, 3 * PAGE);
  fault_shorten(CALL_PREAD, 1, FOR_GOOD, 3 * PAGE);
  put(f, &f->file, 0, SIZE, 2);
  assert_holds(f, &f->file, 0, SIZE, 2);
  assert_int_equal(stats_of(f).resumed, 4);
}

static void error_half_way_tells_what_was_moved(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_shorten(CALL_PREAD, 1, ONCE, PAGE);
  fault_fail(CALL_PREAD, 2, ONCE, EIO);
  fault_shorten(CALL_PWRITE, 1, ONCE, 2 * PAGE);
  fault_fail(CALL_PWRITE, 2, ONCE, ENOSPC);
  struct tracked_op* read = read_all(f);
  run(f);
  struct tracked_op* write = write_all(f, 2);
  run(f);
  assert_read(read, UV_EIO, PAGE);
  assert_result(write, UV_ENOSPC);
  assert_int_equal(write->req.transferred, 2 * PAGE);
  assert_holds(f, &f->file, 0, 2 * PAGE, 2);
}

/*
 * Short within a block.
 */

static void write_goes_on_from_the_start_of_a_broken_block(void** state) {
  struct fixture* f = *state;
  NEEDS_ODD_SHORTS(f);
  fault_shorten(CALL_PWRITE, 1, ONCE, PAGE + ODD);
  struct tracked_op* write = write_all(f, 2);
  run(f);
  assert_written(f, write, 2);
  assert_int_equal(fault_calls(CALL_PWRITE), 2);
  assert_int_equal(stats_of(f).resumed, 1);
}

static void write_that_always_stops_within_one_block_is_short(void** state) {
  struct fixture* f = *state;
  NEEDS_ODD_SHORTS(f);
  fault_shorten(CALL_PWRITE, 1, FOR_GOOD, ODD);
  struct tracked_op* write = write_all(f, 2);
  run(f);
  assert_result(write, UVDIO_ESHORTWRITE);
  assert_int_equal(write->req.transferred, ODD);
  assert_int_equal(fault_calls(CALL_PWRITE), 2);
}

/* The kernel's own filesystems stop there only where the file ends. */
static void read_that_stops_within_a_block_has_met_the_end(void** state) {
  struct fixture* f = *state;
  NEEDS_ODD_SHORTS(f);
  fault_shorten(CALL_PREAD, 1, FOR_GOOD, PAGE + ODD);
  struct tracked_op* read = read_all(f);
  run(f);
  struct tracked_op* exact = read_exactly_all(f);
  run(f);
  assert_read(read, PAGE + ODD, PAGE + ODD);
  assert_read(exact, UVDIO_ESHORTREAD, PAGE + ODD);
  assert_int_equal(stats_of(f).resumed, 0);
}

/*
 * No bytes at all.
 */

static void write_of_no_bytes_is_short(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_shorten(CALL_PWRITE, 1, ONCE, 0);
  struct tracked_op* write = write_all(f, 2);
  run(f);
  assert_result(write, UVDIO_ESHORTWRITE);
  assert_int_equal(write->req.transferred, 0);
  assert_int_equal(fault_calls(CALL_PWRITE), 1);
}

static void read_of_no_bytes_is_the_end(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_shorten(CALL_PREAD, 1, FOR_GOOD, 0);
  struct tracked_op* read = read_all(f);
  run(f);
  struct tracked_op* exact = read_exactly_all(f);
  run(f);
  assert_read(read, 0, 0);
  assert_read(exact, UVDIO_ESHORTREAD, 0);
}

/*
 * Interrupted, or turned away.
 */

/* What a ring or kernel AIO is turned away with goes to a thread that can wait, and stays there. */
static void refused_for_the_moment(struct fixture* f, int error, unsigned times) {
  need_faults();
  uint64_t before = stats_of(f).retried;
  uint64_t punted = stats_of(f).punted;
  fault_fail(CALL_PREAD, 1, times, error);
  struct tracked_op* read = read_all(f);
  run(f);
  assert_read(read, SIZE, SIZE);
  assert_int_equal(fault_calls(CALL_PREAD), times + 1);
  assert_int_equal(stats_of(f).retried - before, times);
  fault_fail(CALL_PWRITE, 1, times, error);
  struct tracked_op* write = write_all(f, 2);
  run(f);
  assert_result(write, SIZE);
  assert_int_equal(fault_calls(CALL_PWRITE), times + 1);
  assert_int_equal(stats_of(f).retried - before, 2 * times);
  assert_int_equal(stats_of(f).resumed, 0);
  assert_int_equal(stats_of(f).punted - punted,
                   is_sent_in_batches(&f->file) && error == EAGAIN ? 2 : 0);
  assert_holds(f, &f->file, 0, SIZE, 2);
}

static void interrupted_transfer_is_repeated(void** state) {
  refused_for_the_moment(*state, EINTR, 1);
}

static void transfer_that_is_turned_away_three_times_is_repeated(void** state) {
  refused_for_the_moment(*state, EAGAIN, 3);
}

/* What a request has put up with is forgotten when it is used again. */
static void request_begins_anew_each_time(void** state) {
  struct fixture* f = *state;
  struct tracked_op* read = op_new(&f->tracker);
  need_faults();
  for (unsigned i = 0; i < 3; i++) {
    uvdio_buf_t buf = zeros(SIZE);
    fault_fail(CALL_PREAD, 1, RETRIES_MAX, EINTR);
    t_read(read, &f->file, &buf, 0);
    run(f);
    assert_int_equal(read->result, SIZE);
    buf = op_take(read);
    assert_ok(uvdio_buf_release(&buf));
  }
  assert_int_equal(stats_of(f).retried, 3 * RETRIES_MAX);
}

static void synchronous_forms_repeat_as_well(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_PWRITE, 1, 3, EAGAIN);
  fault_fail(CALL_PREAD, 1, 2, EINTR);
  put(f, &f->file, 0, SIZE, 2);
  assert_holds(f, &f->file, 0, SIZE, 2);
  assert_int_equal(stats_of(f).retried, 5);
}

static void refused_for_good(struct fixture* f, int error, int result) {
  need_faults();
  fault_fail(CALL_PREAD, 1, FOR_GOOD, error);
  struct tracked_op* read = read_all(f);
  run(f);
  assert_read(read, result, 0);
  assert_int_equal(fault_calls(CALL_PREAD), RETRIES_MAX + 1);
}

static void transfer_that_is_always_interrupted_ends(void** state) {
  refused_for_good(*state, EINTR, UV_EINTR);
}

static void transfer_that_is_always_turned_away_ends(void** state) {
  refused_for_good(*state, EAGAIN, UV_EAGAIN);
}

/*
 * Filesystems that may stop anywhere: there the file's size decides.
 */

static void odd_read_is_resumed_on_fuse(void** state) {
  struct fixture* f = *state;
  NEEDS_ODD_SHORTS(f);
  fault_shorten(CALL_PREAD, 1, ONCE, PAGE + ODD);
  struct tracked_op* read = read_all(f);
  run(f);
  assert_read(read, SIZE, SIZE);
  assert_int_equal(fault_calls(CALL_PREAD), 2);
  assert_int_equal(stats_of(f).resumed, 1);
}

static void odd_read_before_the_end_is_an_error_on_fuse(void** state) {
  struct fixture* f = *state;
  NEEDS_ODD_SHORTS(f);
  fault_shorten(CALL_PREAD, 1, FOR_GOOD, ODD);
  struct tracked_op* read = read_all(f);
  run(f);
  struct tracked_op* exact = read_exactly_all(f);
  run(f);
  assert_read(read, UVDIO_ESHORTREAD, ODD);
  assert_read(exact, UVDIO_ESHORTREAD, ODD);
}

static void read_of_no_bytes_before_the_end_is_an_error_on_fuse(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_shorten(CALL_PREAD, 1, FOR_GOOD, 0);
  struct tracked_op* read = read_all(f);
  run(f);
  assert_read(read, UVDIO_ESHORTREAD, 0);
}

/* Files that the kernel makes up: their size is 0, or a page whatever they hold, and reads bring a
 * part at a time. */
static void assert_reads_all_of(struct fixture* f, const char* path) {
  static char expected[1 << 20];
  static uvdio_file_t file;
  size_t length = 0;
  ssize_t got;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    SKIP("the file is not there");
  }
  while (length < sizeof(expected) &&
         (got = read(fd, expected + length, sizeof(expected) - length)) > 0) {
    length += (size_t)got;
  }
  close(fd);
  assert_true(length > 0);
  assert_result(t_open(op_now(&f->tracker), f->engine, &file, path,
                       UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED),
                0);
  for (int now = 0; now < 2; now++) {
    uvdio_buf_t buf;
    assert_ok(uvdio_buf_alloc(&buf, sizeof(expected), UVDIO_BUF_ZEROED));
    struct tracked_op* read =
        t_read(now ? op_now(&f->tracker) : op_new(&f->tracker), &file, &buf, 0);
    run(f);
    assert_result(read, (int64_t)length);
    assert_memory_equal(now ? buf.base : read->back.base, expected, length);
    assert_ok(now ? uvdio_buf_release(&buf) : 0);
  }
  assert_result(t_close(op_now(&f->tracker), &file), 0);
}

static void file_without_a_size_is_read_to_its_end(void** state) {
  assert_reads_all_of(*state, "/proc/kallsyms");
}

static void file_with_the_size_of_a_page_is_read_to_its_end(void** state) {
  assert_reads_all_of(*state, "/sys/kernel/mm/transparent_hugepage/enabled");
}

/* Between two steps, of which the first ended within a block: what it brought counts. This handle
 * runs before the engine's. */
static struct tracked_op* stopped;

static void on_resumed(uv_check_t* check) {
  const struct fixture* f = check->data;
  if (stats_of(f).resumed > 0 && !stopped->done) {
    (void)t_cancel(stopped);
  }
}

static void cancel_between_two_steps(struct fixture* f) {
  uv_check_t check;
  assert_ok(uv_check_init(&f->loop, &check));
  check.data = f;
  assert_ok(uv_check_start(&check, on_resumed));
  uv_unref((uv_handle_t*)&check);
  run(f);
  uv_close((uv_handle_t*)&check, NULL);
  run(f);
}

static void odd_read_that_is_cancelled_tells_all_that_arrived(void** state) {
  struct fixture* f = *state;
  NEEDS_ODD_SHORTS(f);
  fault_shorten(CALL_PREAD, 1, ONCE, PAGE + ODD);
  stopped = read_all(f);
  cancel_between_two_steps(f);
  assert_read(stopped, UV_ECANCELED, PAGE + ODD);
  assert_int_equal(fault_calls(CALL_PREAD), 1);
}

static void end_of_the_file_is_the_end_on_fuse(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t info;
  assert_ok(uvdio_file_info(&f->file, &info));
  assert_string_equal(info.filesystem, "fuse");
  assert_result(t_truncate(op_now(&f->tracker), &f->file, PAGE + ODD), 0);
  struct tracked_op* read = read_all(f);
  run(f);
  struct tracked_op* exact = read_exactly_all(f);
  run(f);
  assert_read(read, PAGE + ODD, PAGE + ODD);
  assert_read(exact, UVDIO_ESHORTREAD, PAGE + ODD);
}

/* The bytes of a broken block had arrived, although they were to be moved again. */
static void error_after_a_broken_block_tells_what_arrived(void** state) {
  struct fixture* f = *state;
  NEEDS_ODD_SHORTS(f);
  fault_shorten(CALL_PREAD, 1, ONCE, PAGE + ODD);
  fault_fail(CALL_PREAD, 2, ONCE, EIO);
  struct tracked_op* read = read_all(f);
  run(f);
  assert_read(read, UV_EIO, PAGE + ODD);
}

static const struct {
  long type;
  const char* name;
  int ends_early;
} filesystems[] = {
    {FUSE_SUPER_MAGIC, "fuse", 1},   {NFS_SUPER_MAGIC, "nfs", 1},
    {V9FS_MAGIC, "9p", 1},           {CEPH_SUPER_MAGIC, "ceph", 1},
    {0xff534d42, "cifs", 1},         {0xfe534d42, "smb", 1},
    {EXT4_SUPER_MAGIC, "ext4", 0},   {XFS_SUPER_MAGIC, "xfs", 0},
    {BTRFS_SUPER_MAGIC, "btrfs", 0}, {TMPFS_MAGIC, "tmpfs", 0},
    {F2FS_SUPER_MAGIC, "f2fs", 0},   {OVERLAYFS_SUPER_MAGIC, "overlay", 1},
    {0x12345678, "unknown", 1},
};

static void every_filesystem_is_told_by_its_number(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(filesystems); i++) {
    uvdio_file_info_t info;
    fault_pretend_filesystem(filesystems[i].type);
    open_now(f, &f->other, "file", UVDIO_OPEN_RW);
    assert_ok(uvdio_file_info(&f->other, &info));
    assert_string_equal(info.filesystem, filesystems[i].name);
    uvdio_buf_t buf = zeros(SIZE);
    fault_shorten(CALL_PREAD, 1, FOR_GOOD, 0);
    struct tracked_op* read = t_read(op_new(&f->tracker), &f->other, &buf, 0);
    run(f);
    faults_reset();
    assert_result(read, filesystems[i].ends_early ? UVDIO_ESHORTREAD : 0);
    close_other(f);
  }
}

/* Cancelled where it can't be stopped any more, and then turned away by the system: there is no
 * reason to begin again. */
static void cancelled_transfer_is_not_repeated(void** state) {
  struct fixture* f = *state;
  if (is_sent_in_batches(&f->file)) {
    SKIP("what the kernel has can't be held");
  }
  const int errors[] = {EINTR, EAGAIN};
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    faults_reset();
    fault_hold(CALL_PREAD, 1);
    fault_fail(CALL_PREAD, 1, ONCE, errors[i]);
    struct tracked_op* read = read_all(f);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    fault_await(CALL_PREAD);
    assert_ok(t_cancel(read));
    fault_release(CALL_PREAD);
    run(f);
    assert_read(read, UV_ECANCELED, 0);
    assert_int_equal(fault_calls(CALL_PREAD), 1);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(open_with_content, short_read_is_resumed),
      FAULT_TEST_ON(open_with_content, range_that_fails_half_way_tells_what_arrived),
      FAULT_TEST_ON(open_with_content, read_may_arrive_page_by_page),
      FAULT_TEST_ON(open_with_content, write_may_leave_page_by_page),
      FAULT_TEST_ON(open_with_content, synchronous_forms_resume_as_well),
      FAULT_TEST_ON(open_at_depth_1, short_transfer_is_resumed_before_others_begin),
      FAULT_TEST_ON(open_with_content, every_filesystem_is_told_by_its_number),
      FAULT_TEST_ON(open_with_content, cancelled_transfer_is_not_repeated),
      FAULT_TEST_ON(open_with_content, error_half_way_tells_what_was_moved),
      FAULT_TEST_ON(open_with_content, write_goes_on_from_the_start_of_a_broken_block),
      FAULT_TEST_ON(open_with_content, write_that_always_stops_within_one_block_is_short),
      FAULT_TEST_ON(open_on_ext4, read_that_stops_within_a_block_has_met_the_end),
      FAULT_TEST_ON(open_with_content, write_of_no_bytes_is_short),
      FAULT_TEST_ON(open_on_ext4, read_of_no_bytes_is_the_end),
      FAULT_TEST_ON(open_with_content, interrupted_transfer_is_repeated),
      FAULT_TEST_ON(open_with_content, transfer_that_is_turned_away_three_times_is_repeated),
      FAULT_TEST_ON(open_with_content, request_begins_anew_each_time),
      FAULT_TEST_ON(open_with_content, synchronous_forms_repeat_as_well),
      FAULT_TEST_ON(open_with_content, transfer_that_is_always_interrupted_ends),
      FAULT_TEST_ON(open_with_content, transfer_that_is_always_turned_away_ends),
      FAULT_TEST_ON(open_on_fuse, error_after_a_broken_block_tells_what_arrived),
      FAULT_TEST_ON(open_on_fuse, odd_read_is_resumed_on_fuse),
      FAULT_TEST_ON(open_with_content, file_without_a_size_is_read_to_its_end),
      FAULT_TEST_ON(open_with_content, file_with_the_size_of_a_page_is_read_to_its_end),
      FAULT_TEST_ON(open_on_fuse, odd_read_that_is_cancelled_tells_all_that_arrived),
      FAULT_TEST_ON(open_on_fuse, odd_read_before_the_end_is_an_error_on_fuse),
      FAULT_TEST_ON(open_on_fuse, read_of_no_bytes_before_the_end_is_an_error_on_fuse),
      FAULT_TEST_ON(open_on_fuse, end_of_the_file_is_the_end_on_fuse),
  };
  return matrix_main("transfers", tests, COUNT_OF(tests), argc, argv);
}
