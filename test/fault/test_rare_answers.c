/* SPDX-License-Identifier: MIT */
/*
 * Answers of the system that seldom come: kernels of another age, filesystems that change their
 * mind, opens that are turned away more than once, sizes that can't be asked for, memory without
 * huge pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "uvdio/log.h"

static int set_up(void** state) {
  faults_reset();
  int failed = fixture_open(state);
  faults_reset(); /* and counts from here */
  return failed;
}

static struct tracked_op* open_now_with(struct fixture* f, const char* name, unsigned flags) {
  return t_open(op_now(&f->tracker), f->engine, &f->other, path_of(f, name), flags);
}

/*
 * btrfs before Linux 5.11
 */

/* Whether a file for durable writes is kept from a ring, on a kernel of this release, or (null) of
 * none that is told. */
static int is_kept_from_the_ring(struct fixture* f, const char* release, unsigned flags) {
  uvdio_file_info_t info;
  fault_pretend_filesystem(BTRFS_SUPER_MAGIC);
  fault_pretend_kernel(release);
  if (release == NULL) {
    fault_fail(CALL_UNAME, 1, FOR_GOOD, EFAULT);
  }
  assert_result(open_now_with(f, "other", flags), 0);
  faults_reset();
  assert_ok(uvdio_file_info(&f->other, &info));
  assert_string_equal(info.filesystem, "btrfs");
  put(f, &f->other, 0, PAGE, 1);
  assert_holds(f, &f->other, 0, PAGE, 1);
  close_other(f);
  return strcmp(info.backend, "pool") == 0 && strstr(info.reason, "btrfs") != NULL;
}

static void old_btrfs_is_kept_from_asynchronous_writes(void** state) {
  struct fixture* f = *state;
  int is_asynchronous = matrix.backend == UVDIO_BACKEND_RING || matrix.backend == UVDIO_BACKEND_AIO;
  if (matrix.backend == UVDIO_BACKEND_RING) {
    need_a_ring_file(&f->file);
  }
  const unsigned durable = UVDIO_OPEN_RW | UVDIO_O_DSYNC;
  assert_int_equal(is_kept_from_the_ring(f, "5.10.0-30-amd64", durable), is_asynchronous);
  assert_int_equal(is_kept_from_the_ring(f, "4.20.1", durable), is_asynchronous);
  assert_false(is_kept_from_the_ring(f, "5.11.0", durable));
  assert_false(is_kept_from_the_ring(f, "6.1.0-0", durable));
  assert_false(is_kept_from_the_ring(f, "6.18", durable));
  assert_false(is_kept_from_the_ring(f, "next", durable));
  assert_false(is_kept_from_the_ring(f, NULL, durable));
  assert_false(is_kept_from_the_ring(f, "5.10.0", UVDIO_OPEN_RW));
}

/*
 * Opens
 */

/* It takes the flag for direct I/O and then has none: the flag is taken back by a second call. */
static void flag_that_can_not_be_taken_back_fails_the_open(void** state) {
  struct fixture* f = *state;
  const unsigned flags = UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED;
  uvdio_file_info_t info;
  size_t before = open_descriptors();
  fault_pretend_no_direct(1);
  for (unsigned nth = 1; nth <= 2; nth++) {
    fault_fail(CALL_FCNTL, nth, ONCE, EIO);
    assert_result(open_now_with(f, "other", flags), UV_EIO);
    assert_int_equal(fault_hits(CALL_FCNTL), nth);
    assert_int_equal(open_descriptors(), before);
  }
  assert_result(open_now_with(f, "other", flags), 0);
  faults_reset();
  assert_ok(uvdio_file_info(&f->other, &info));
  assert_int_equal(info.is_direct, 0);
  close_other(f);
}

/* Somebody has a lease on it: the path is looked up once more, and what was found is opened by its
 * descriptor. */
static void open_is_turned_away_more_than_once(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  fault_fail(CALL_OPEN, 1, 2, EAGAIN);
  assert_result(open_now_with(f, "file", UVDIO_OPEN_RW), UV_EAGAIN);
  assert_int_equal(fault_calls(CALL_OPEN), 2);
  assert_int_equal(open_descriptors(), before);
}

/* Only a regular file is waited for: a FIFO might never open. */
static void open_waits_for_regular_files_only(void** state) {
  struct fixture* f = *state;
  assert_int_equal(mkfifo(path_of(f, "fifo"), 0600), 0);
  fault_fail(CALL_OPEN, 1, ONCE, EAGAIN);
  assert_result(open_now_with(f, "fifo", UVDIO_OPEN_RW), UV_EAGAIN);
  assert_int_equal(fault_calls(CALL_OPEN), 2);
  faults_reset();
  fault_fail(CALL_OPEN, 1, ONCE, EAGAIN);
  assert_result(open_now_with(f, "none", UVDIO_OPEN_RW), UV_EAGAIN);
  assert_int_equal(fault_calls(CALL_OPEN), 2);
  faults_reset();
  fault_fail(CALL_OPEN, 1, ONCE, EAGAIN);
  assert_result(open_now_with(f, "file", UVDIO_OPEN_RW), 0);
  assert_int_equal(fault_calls(CALL_OPEN), 3);
  close_other(f);
}

/* The rest is done by the filesystem on its own; the number is free (close(2)). */
static void close_that_goes_on_has_closed(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  assert_result(open_now_with(f, "other", UVDIO_OPEN_CREATE), 0);
  fault_fail(CALL_CLOSE, 1, ONCE, EINPROGRESS);
  close_other(f);
  assert_int_equal(fault_hits(CALL_CLOSE), 1);
  assert_int_equal(open_descriptors(), before);
}

/* An open that a ring makes step by step finds out what one by a worker does. */
static uvdio_file_info_t info_after_open(struct fixture* f, struct tracked_op* op) {
  uvdio_file_info_t info;
  t_open(op, f->engine, &f->other, path_of(f, "file"), UVDIO_OPEN_RW);
  run(f);
  assert_result(op, 0);
  assert_ok(uvdio_file_info(&f->other, &info));
  close_other(f);
  return info;
}

static void open_tells_the_filesystem_either_way(void** state) {
  struct fixture* f = *state;
  fault_pretend_filesystem(FUSE_SUPER_MAGIC);
  assert_string_equal(info_after_open(f, op_now(&f->tracker)).filesystem, "fuse");
  assert_string_equal(info_after_open(f, op_new(&f->tracker)).filesystem, "fuse");
}

/* Where a ring would hand everything to a kernel worker, it is for several transfers at once; not
 * where it takes short writes for errors. Kernel AIO would block. */
static void lane_in_company_depends_on_the_filesystem(void** state) {
  struct fixture* f = *state;
  const char* name = uvdio_engine_backend(f->engine);
  for (int fuse = 0; fuse <= 1; fuse++) {
    faults_reset();
    fault_fail(CALL_PREADV2, 1, ONCE, EOPNOTSUPP);
    fault_pretend_filesystem(fuse ? FUSE_SUPER_MAGIC : TMPFS_MAGIC);
    uvdio_file_info_t info = info_after_open(f, op_now(&f->tracker));
    assert_int_equal(fault_hits(CALL_PREADV2), 1);
    assert_string_equal(info.backend, "pool");
    assert_string_equal(info.backend_concurrent,
                        fuse || matrix.backend == UVDIO_BACKEND_AIO ? "pool" : name);
  }
}

/* What takes the flag for direct I/O may show at the first transfer what it thinks of it. Nothing
 * may be read for that: it needs the file's size. */
static void direct_io_is_tried_behind_the_end(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_PREADV2, 1, ONCE, EOPNOTSUPP);
  fault_fail(CALL_PREAD, 1, ONCE, EINVAL);
  fault_pretend_filesystem(FUSE_SUPER_MAGIC);
  assert_result(open_now_with(f, "file", UVDIO_OPEN_RW), UVDIO_ENODIRECT);
  assert_int_equal(fault_hits(CALL_PREAD), 1);
}

/* By either of two errors; and where the file is to be opened all the same, nothing of what was
 * learnt about direct I/O holds. */
static void file_that_fails_the_trial_is_buffered(void** state) {
  static const int errors[] = {EINVAL, EOPNOTSUPP};
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    faults_reset();
    fault_fail(CALL_PREADV2, 1, ONCE, EOPNOTSUPP);
    fault_fail(CALL_PREAD, 1, ONCE, errors[i]);
    fault_pretend_filesystem(FUSE_SUPER_MAGIC);
    assert_result(open_now_with(f, "file", UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED), 0);
    assert_int_equal(fault_hits(CALL_PREAD), 1);
    uvdio_file_info_t info = info_of(&f->other);
    assert_int_equal(info.is_direct, 0);
    assert_int_equal(info.system_memory_align, 0);
    assert_int_equal(info.system_offset_align, 0);
    assert_int_equal(info.system_read_align, 0);
    assert_int_equal(info.recommended_align, 0);
    assert_int_equal(info.align_source, UVDIO_ALIGN_DEFAULT);
    assert_int_equal(info.atomic_min + info.atomic_max, 0);
    close_other(f);
  }
}

/* That is for whoever reads to see. */
static void other_errors_of_the_trial_say_nothing(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_PREADV2, 1, ONCE, EOPNOTSUPP);
  fault_fail(CALL_PREAD, 1, ONCE, EIO);
  assert_result(open_now_with(f, "file", UVDIO_OPEN_RW), 0);
  assert_int_equal(fault_hits(CALL_PREAD), 1);
  assert_int_equal(info_of(&f->other).is_direct, 1);
  close_other(f);
}

/* A filesystem that knows no files without names opens the directory instead, which can't be
 * written to. */
static void directory_in_place_of_a_nameless_file_is_not_supported(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_OPEN, 1, ONCE, EISDIR);
  assert_result(
      t_open(op_now(&f->tracker), f->engine, &f->other, f->dir, UVDIO_O_RDWR | UVDIO_O_ANONYMOUS),
      UV_ENOTSUP);
  fault_fail(CALL_OPEN, 1, ONCE, EISDIR);
  assert_result(open_now_with(f, "other", UVDIO_OPEN_RW), UV_EISDIR);
}

/* The flags are set by the first of these calls, and the lock is taken by the second. */
static void lock_of_somebody_else_goes_by_two_errors(void** state) {
  static const struct {
    int error;
    int code;
  } cases[] = {{EAGAIN, UVDIO_ELOCKED}, {EACCES, UVDIO_ELOCKED}, {ENOLCK, 0}, {EBADF, UV_EBADF}};
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    faults_reset();
    fault_fail(CALL_FCNTL, 2, ONCE, cases[i].error);
    int code = cases[i].code != 0 ? cases[i].code : uv_translate_sys_error(cases[i].error);
    assert_result(open_now_with(f, "file", UVDIO_O_RDWR | UVDIO_O_LOCK_EXCLUSIVE), code);
    assert_int_equal(fault_hits(CALL_FCNTL), 1);
  }
}

static void filesystem_that_is_not_told_is_unknown(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_FSTATFS, 1, ONCE, EIO);
  assert_result(open_now_with(f, "file", UVDIO_OPEN_RW), 0);
  uvdio_file_info_t info = info_of(&f->other);
  assert_string_equal(info.filesystem, "unknown");
  assert_int_equal(info.is_durable_serialized, 1);
  close_other(f);
}

/* The way to what is leased to somebody goes by /proc. */
static void leased_file_is_opened_as_it_was_asked_for(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_OPEN, 1, ONCE, EAGAIN);
  assert_result(open_now_with(f, "file", UVDIO_OPEN_RW | UVDIO_O_NOFOLLOW), 0);
  assert_int_equal(fault_calls(CALL_OPEN), 3);
  assert_int_equal(info_of(&f->other).is_direct, 1);
  close_other(f);
  faults_reset();
  fault_fail(CALL_OPEN, 1, ONCE, EAGAIN);
  assert_result(open_now_with(f, "file", UVDIO_OPEN_RW | UVDIO_O_EXCLUSIVE), UV_EAGAIN);
  assert_int_equal(fault_calls(CALL_OPEN), 1);
}

/*
 * Whether writes may wait in the page cache, so that one of several is told what another lost
 */

static int is_serialized(struct fixture* f, long type, unsigned flags) {
  uvdio_file_info_t info;
  fault_pretend_filesystem(type);
  assert_result(open_now_with(f, "other", UVDIO_OPEN_RW | flags), 0);
  faults_reset();
  assert_ok(uvdio_file_info(&f->other, &info));
  close_other(f);
  return info.is_durable_serialized;
}

/* A whole block is never shared with another file while a part of it is written. */
static void xfs_writes_whole_blocks_past_the_cache(void** state) {
  struct fixture* f = *state;
  struct statfs filesystem;
  assert_int_equal(statfs(path_of(f, "file"), &filesystem), 0);
  int is_whole = filesystem.f_bsize <= UVDIO_ALIGNMENT;
  assert_int_equal(is_serialized(f, XFS_SUPER_MAGIC, 0), !is_whole);
  assert_int_equal(is_serialized(f, XFS_SUPER_MAGIC, UVDIO_O_DSYNC), !is_whole);
  assert_int_equal(is_serialized(f, XFS_SUPER_MAGIC, UVDIO_O_NATIVE_ALIGN), 1);
  assert_int_equal(is_serialized(f, XFS_SUPER_MAGIC, UVDIO_O_BUFFERED), 1);
}

/* What is in memory has nothing that could be lost by write-back; of others it is not known. */
static void other_filesystems_are_judged_by_their_names(void** state) {
  static const long past[] = {TMPFS_MAGIC, RAMFS_MAGIC};
  static const long unknown[] = {BTRFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, FUSE_SUPER_MAGIC, 1};
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(past); i++) {
    assert_int_equal(is_serialized(f, past[i], 0), 0);
    assert_int_equal(is_serialized(f, past[i], UVDIO_O_BUFFERED), 0);
  }
  for (size_t i = 0; i < COUNT_OF(unknown); i++) {
    assert_int_equal(is_serialized(f, unknown[i], 0), 1);
    assert_int_equal(is_serialized(f, unknown[i], UVDIO_O_BUFFERED), 1);
  }
}

/* The flags of a file (FS_IOC_GETFLAGS), by number: musl's function takes an int. */
static int flags_of(int fd) {
  int flags = 0;
  (void)syscall(SYS_ioctl, fd, FS_IOC_GETFLAGS, &flags);
  return flags;
}

/* Direct writes into holes of an ext4 file of the older kind go through the page cache. */
static void ext4_writes_files_with_extents_past_the_cache(void** state) {
  struct fixture* f = *state;
  int fd = open(path_of(f, "other"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int flags = flags_of(fd);
  int has_extents = (flags & FS_EXTENT_FL) != 0;
  assert_int_equal(is_serialized(f, EXT4_SUPER_MAGIC, 0), !has_extents);
  assert_int_equal(is_serialized(f, EXT4_SUPER_MAGIC, UVDIO_O_BUFFERED), 1);
  flags &= ~FS_EXTENT_FL;
  if (has_extents && syscall(SYS_ioctl, fd, FS_IOC_SETFLAGS, &flags) == 0) {
    assert_int_equal(is_serialized(f, EXT4_SUPER_MAGIC, 0), 1);
  }
  assert_int_equal(close(fd), 0);
}

/* The number is free all the same, and may be another file's by now: nothing may close it again. */
static void close_that_is_interrupted_has_closed(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  if (matrix.backend == UVDIO_BACKEND_RING && !faults_reach_the_ring()) {
    SKIP("entries of a ring can't be made to fail here (Linux 6.10)");
  }
  for (int blocking = 0; blocking < 2; blocking++) {
    assert_result(open_now_with(f, "other", UVDIO_OPEN_CREATE), 0);
    faults_reset();
    fault_fail(CALL_CLOSE, 1, FOR_GOOD, EINTR);
    struct tracked_op* close =
        t_close(blocking ? op_now(&f->tracker) : op_new(&f->tracker), &f->other);
    run(f);
    assert_result(close, 0);
    assert_int_equal(fault_hits(CALL_CLOSE), 1);
    faults_reset();
    assert_int_equal(open_descriptors(), before);
  }
}

/*
 * The end of a file
 */

/* Where filesystems stop early, the size tells the end; without it, nobody knows. */
static struct tracked_op* read_past_the_end(struct fixture* f, struct tracked_op* op) {
  uvdio_buf_t two = blank(2 * PAGE);
  faults_reset();
  fault_fail(CALL_LSEEK, 1, ONCE, EIO);
  t_read(op, &f->other, &two, 0);
  if (op->blocking) {
    assert_ok(uvdio_buf_release(&two));
  }
  run(f);
  assert_int_equal(fault_hits(CALL_LSEEK), 1);
  faults_reset();
  return op;
}

static void end_that_can_not_be_asked_for_is_an_error(void** state) {
  struct fixture* f = *state;
  fault_pretend_filesystem(FUSE_SUPER_MAGIC);
  assert_result(open_now_with(f, "other", UVDIO_OPEN_CREATE), 0);
  faults_reset();
  put(f, &f->other, 0, PAGE, 1);
  assert_result(read_past_the_end(f, op_new(&f->tracker)), UV_EIO);
  assert_result(read_past_the_end(f, op_now(&f->tracker)), UV_EIO);
  close_other(f);
}

/*
 * Memory
 */

static void on_log(uvdio_log_t* log, int status, void* arg) {
  (void)log;
  *(int*)arg = status;
}

static void on_record_durable(uvdio_log_append_t* append, int status) {
  *(int*)append->data = status;
}

/* A system without huge pages says so when a log asks for some. */
static void log_does_without_huge_pages(void** state) {
  struct fixture* f = *state;
  uvdio_log_options_t options = {.segment_size = (uint64_t)4 * MIB, .buffer_size = 2 * MIB};
  uvdio_log_t* log;
  int status = 1;
  uvdio_log_append_t append = {.data = &status};
  t_mkdir(op_now(&f->tracker), f->engine, path_of(f, "wal"));
  faults_reset();
  fault_fail(CALL_MADVISE, 1, ONCE, EINVAL);
  assert_ok(uvdio_log_open(&log, f->engine, path_of(f, "wal"), &options, NULL, on_log, &status));
  assert_int_equal(fault_hits(CALL_MADVISE), 1);
  run_untracked(f);
  assert_ok(status);
  status = 1;
  assert_ok(uvdio_log_append(log, &append, "record", 6, on_record_durable));
  run_untracked(f);
  assert_ok(status);
  assert_ok(uvdio_log_close(log, on_log, &status));
  run_untracked(f);
  assert_ok(status);
}

static unsigned flags_of_arena(unsigned flags) {
  uvdio_arena_options_t options = {.frame_count = 4, .flags = flags};
  uvdio_arena_info_t info;
  uvdio_arena_t* arena;
  assert_ok(uvdio_arena_create(&arena, &options));
  assert_ok(uvdio_arena_info(arena, &info));
  assert_ok(uvdio_arena_destroy(arena, NULL));
  return info.flags;
}

/* Where the system has none, those that are preferred are none, and those that are needed an
 * error. */
static void huge_pages_may_be_missing(void** state) {
  const unsigned preferred = UVDIO_ARENA_HUGE_PAGES_PREFERRED;
  const unsigned needed = UVDIO_ARENA_HUGE_PAGES;
  uvdio_arena_options_t options = {.frame_count = 4};
  uvdio_arena_t* arena;
  (void)state;
  faults_reset();
  fault_fail(CALL_MADVISE, 1, FOR_GOOD, EINVAL);
  assert_int_equal(flags_of_arena(preferred), preferred);
  assert_int_equal(fault_hits(CALL_MADVISE), 1);
  options.flags = needed;
  assert_code(uvdio_arena_create(&arena, &options), UV_EINVAL);
  options.flags = needed | preferred;
  assert_code(uvdio_arena_create(&arena, &options), UV_EINVAL);
  faults_reset();
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, old_btrfs_is_kept_from_asynchronous_writes),
      FAULT_TEST_ON(set_up, flag_that_can_not_be_taken_back_fails_the_open),
      FAULT_TEST_ON(set_up, open_is_turned_away_more_than_once),
      FAULT_TEST_ON(set_up, open_waits_for_regular_files_only),
      FAULT_TEST_ON(set_up, close_that_goes_on_has_closed),
      FAULT_TEST_ON(set_up, open_tells_the_filesystem_either_way),
      FAULT_TEST_ON(set_up, lane_in_company_depends_on_the_filesystem),
      FAULT_TEST_ON(set_up, direct_io_is_tried_behind_the_end),
      FAULT_TEST_ON(set_up, file_that_fails_the_trial_is_buffered),
      FAULT_TEST_ON(set_up, other_errors_of_the_trial_say_nothing),
      FAULT_TEST_ON(set_up, directory_in_place_of_a_nameless_file_is_not_supported),
      FAULT_TEST_ON(set_up, lock_of_somebody_else_goes_by_two_errors),
      FAULT_TEST_ON(set_up, filesystem_that_is_not_told_is_unknown),
      FAULT_TEST_ON(set_up, leased_file_is_opened_as_it_was_asked_for),
      FAULT_TEST_ON(set_up, xfs_writes_whole_blocks_past_the_cache),
      FAULT_TEST_ON(set_up, other_filesystems_are_judged_by_their_names),
      FAULT_TEST_ON(set_up, ext4_writes_files_with_extents_past_the_cache),
      FAULT_TEST_ON(set_up, close_that_is_interrupted_has_closed),
      FAULT_TEST_ON(set_up, end_that_can_not_be_asked_for_is_an_error),
      FAULT_TEST_ON(set_up, log_does_without_huge_pages),
      FAULT_TEST_ON(set_up, huge_pages_may_be_missing),
  };
  return matrix_main("rare_answers", tests, COUNT_OF(tests), argc, argv);
}
