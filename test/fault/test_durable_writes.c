/* SPDX-License-Identifier: MIT */
/*
 * Durable writes and a kernel that tells of what it lost once and to one caller: whatever is called
 * durable after that, or ran beside it, is no success. Which errors are remembered, and whom the
 * latch reaches.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "uvdio/group.h"
#include "workers.h"

#define MANY 8u

static int on_workers(const uvdio_file_t* file) {
  return is_done_by(file, "pool") && has_one_backend(file);
}

static unsigned in_flight(const struct fixture* f) {
  uvdio_engine_stats_t stats;
  assert_ok(uvdio_engine_stats(f->engine, &stats));
  return stats.in_flight;
}

/* A durable file on a filesystem that says it is `type`; an engine that knows its thread, so that
 * operations start in the submitting call. */
static void open_durable(struct fixture* f, long type) {
  fault_pretend_filesystem(type);
  open_now(f, &f->file, "durable", UVDIO_OPEN_WAL);
  fault_pretend_filesystem(0);
  assert_int_equal(info_of(&f->file).is_durable_serialized, 1);
  run_once(f);
  faults_reset();
}

static int open_cached(void** state) {
  faults_reset();
  int failed = fixture_engine(state);
  if (!failed) {
    open_durable(*state, OVERLAYFS_SUPER_MAGIC);
  }
  return failed;
}

static int open_straight(void** state) {
  faults_reset();
  int failed = fixture_engine(state);
  if (!failed) {
    struct fixture* f = *state;
    open_now(f, &f->file, "durable", UVDIO_OPEN_WAL);
    run_once(f);
    faults_reset();
  }
  return failed;
}

static int open_straight_depth_1(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = 1;
  faults_reset();
  int failed = fixture_engine_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    open_now(f, &f->file, "durable", UVDIO_OPEN_WAL);
    faults_reset();
  }
  return failed;
}

/*
 * Where writes may go through a cache.
 */

static void note_more_than_one(struct tracked_op* op) {
  unsigned* most = op->data;
  uvdio_engine_stats_t stats;
  if (uvdio_engine_stats(op->req.file->engine_, &stats) == 0 && stats.in_flight > *most) {
    *most = stats.in_flight;
  }
}

static void durable_writes_run_one_at_a_time(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  unsigned most = 0;
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    writes[i] = t_write(op_then(&f->tracker, note_more_than_one, &most), &f->file, &page,
                        (uint64_t)i * PAGE);
    assert_int_equal(in_flight(f), 1);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
    assert_true(i == 0 || writes[i - 1]->order < writes[i]->order);
  }
  assert_true(most <= 1);
}

/* The sync is told of what the writes beside it lost, and they of what it was to cover. */
static void no_sync_runs_beside_a_durable_write(void** state) {
  struct fixture* f = *state;
  struct tracked_op* before = write_page(f, 1);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* after = write_page(f, 2);
  struct tracked_op* last = t_sync_all(op_new(&f->tracker), &f->file);
  assert_int_equal(in_flight(f), 1);
  run(f);
  uvdio_engine_stats_t stats;
  assert_ok(uvdio_engine_stats(f->engine, &stats));
  assert_int_equal(stats.in_flight_peak, 1);
  assert_result(before, PAGE);
  assert_result(sync, 0);
  assert_result(after, PAGE);
  assert_result(last, 0);
  assert_true(before->order < sync->order && sync->order < after->order &&
              after->order < last->order);
}

/* Reads need not wait. */
static void reads_run_beside_a_durable_write(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = blank(PAGE);
  struct tracked_op* write = write_page(f, 0);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &page, 0);
  assert_int_equal(in_flight(f), 2);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(read->done, 1);
}

static void those_that_wait_fail_with_the_one_before(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  need_faults();
  fault_fail(CALL_PWRITE, 1, ONCE, ENOSPC);
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], UV_ENOSPC);
  }
  assert_result(sync, UV_ENOSPC);
  assert_int_equal(fault_calls(CALL_PWRITE), 1);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 0);
  assert_code(info_of(&f->file).latch_error, UV_ENOSPC);
}

/* An error of write-back may be any. */
static void refused_arguments_may_be_a_lost_write_there(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_fail(CALL_PWRITE, 1, ONCE, EINVAL);
  struct tracked_op* write = write_page(f, 0);
  run(f);
  assert_result(write, UV_EINVAL);
  assert_code(info_of(&f->file).latch_error, UV_EINVAL);
}

static void synchronous_durable_write_is_refused_beside_another(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 9);
  struct tracked_op* pending = write_page(f, 1);
  assert_refused(t_write(op_now(&f->tracker), &f->file, &page, 0), UV_EBUSY);
  run(f);
  assert_result(pending, PAGE);
  pending = t_sync_all(op_new(&f->tracker), &f->file);
  assert_refused(t_write(op_now(&f->tracker), &f->file, &page, 0), UV_EBUSY);
  run(f);
  assert_result(pending, 0);
  assert_result(t_write(op_now(&f->tracker), &f->file, &page, 0), PAGE);
  assert_ok(uvdio_buf_release(&page));
}

static void one_that_waits_can_be_cancelled(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[4];
  for (unsigned i = 0; i < 4; i++) {
    writes[i] = write_page(f, i);
  }
  assert_ok(t_cancel(writes[1]));
  assert_ok(t_cancel(writes[3]));
  run(f);
  assert_result(writes[0], PAGE);
  assert_result(writes[1], UV_ECANCELED);
  assert_result(writes[2], PAGE);
  assert_result(writes[3], UV_ECANCELED);
  assert_code(info_of(&f->file).latch_error, 0);
}

/* A truncate comes after all of them, and what comes after it waits, too. */
static void truncate_keeps_its_place_among_them(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[4];
  writes[0] = write_page(f, 0);
  writes[1] = write_page(f, 1);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, PAGE);
  writes[2] = write_page(f, 2);
  writes[3] = write_page(f, 3);
  run(f);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  run(f);
  for (unsigned i = 0; i < 4; i++) {
    assert_result(writes[i], PAGE);
  }
  assert_result(truncate, 0);
  assert_true(writes[1]->order < truncate->order && truncate->order < writes[2]->order);
  assert_result(size, 4 * PAGE);
}

static void close_waits_for_them(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
    assert_true(writes[i]->order < close->order);
  }
  assert_result(close, 0);
}

/*
 * Which errors are remembered.
 */

static void every_error_that_may_be_a_lost_write_latches(void** state) {
  static const int errors[] = {EIO,     ENOSPC, EDQUOT,    ENODATA, EREMOTEIO, ETIMEDOUT,
                               ENOLINK, EILSEQ, EBADE,     EROFS,   ENODEV,    ENXIO,
                               ESTALE,  ENOMEM, ENOMEDIUM, EUCLEAN};
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    int code = uv_translate_sys_error(errors[i]);
    for (int is_sync = 0; is_sync < 2; is_sync++) {
      fault_fail(is_sync ? CALL_FDATASYNC : CALL_PWRITE, 1, ONCE, errors[i]);
      struct tracked_op* op =
          is_sync ? t_sync_data(op_new(&f->tracker), &f->file) : write_page(f, 0);
      run(f);
      assert_result(op, code);
      assert_code(info_of(&f->file).latch_error, code);
      uvdio_buf_t page = filled(PAGE, 1);
      assert_refused(t_write(op_new(&f->tracker), &f->file, &page, PAGE), code);
      assert_ok(uvdio_buf_release(&page));
      assert_refused(t_sync_all(op_new(&f->tracker), &f->file), code);
      assert_result(t_close(op_now(&f->tracker), &f->file), 0);
      open_now(f, &f->file, "durable", UVDIO_OPEN_WAL);
      faults_reset();
    }
  }
}

static void synchronous_forms_latch_as_well(void** state) {
  struct fixture* f = *state;
  for (int is_sync = 0; is_sync < 2; is_sync++) {
    uvdio_buf_t page = filled(PAGE, 1);
    fault_fail(is_sync ? CALL_FDATASYNC : CALL_PWRITE, 1, ONCE, EREMOTEIO);
    struct tracked_op* op = is_sync ? t_sync_data(op_now(&f->tracker), &f->file)
                                    : t_write(op_now(&f->tracker), &f->file, &page, 0);
    int code = uv_translate_sys_error(EREMOTEIO);
    assert_result(op, code);
    assert_code(info_of(&f->file).latch_error, code);
    assert_ok(uvdio_buf_release(&page));
    assert_result(t_close(op_now(&f->tracker), &f->file), 0);
    open_now(f, &f->file, "durable", UVDIO_OPEN_WAL);
    faults_reset();
  }
}

/* The system has looked at the arguments and done nothing. */
static void refused_call_latches_nothing(void** state) {
  static const int errors[] = {EINVAL, EFBIG, EFAULT, EBADF};
  struct fixture* f = *state;
  need_faults();
  if (info_of(&f->file).is_durable_serialized) {
    SKIP("writes of this filesystem may go through a cache");
  }
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    fault_fail(CALL_PWRITE, 1, ONCE, errors[i]);
    struct tracked_op* write = write_page(f, 0);
    run(f);
    assert_result(write, uv_translate_sys_error(errors[i]));
    assert_code(info_of(&f->file).latch_error, 0);
  }
}

/*
 * Whom the latch reaches.
 */

/* With one thread the pool keeps the order; when the third write has come, the results of the first
 * two are there. */
static void success_that_waits_for_its_callback_is_taken_back(void** state) {
  struct fixture* f = *state;
  struct workers workers;
  struct tracked_op* writes[3];
  if (!on_workers(&f->file) || info_of(&f->file).is_durable_serialized) {
    SKIP(
        "two results can be made to come together where durable writes run side by side on "
        "libuv's threads");
  }
  workers_occupy(&workers, &f->loop, WORKERS - 1);
  fault_fail(CALL_PWRITE, 2, ONCE, EREMOTEIO);
  fault_hold(CALL_PWRITE, 3);
  for (unsigned i = 0; i < 3; i++) {
    writes[i] = write_page(f, i);
  }
  watch_for_hang("three durable writes");
  fault_await(CALL_PWRITE);
  fault_release(CALL_PWRITE);
  workers_release(&workers);
  run(f);
  watch_for_hang(NULL);
  for (unsigned i = 0; i < 3; i++) {
    assert_result(writes[i], uv_translate_sys_error(EREMOTEIO));
  }
}

/* All kinds of changes wait on the lane, where the depth is 1, and one behind a truncate: none of
 * them is begun. */
static void latch_reaches_every_change_that_waits(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_fail(CALL_PWRITE, 1, ONCE, ENODATA);
  int code = uv_translate_sys_error(ENODATA);
  struct tracked_op* first = write_page(f, 0);
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), &f->file, 64 * PAGE);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, 2 * PAGE);
  struct tracked_op* behind[3] = {write_page(f, 1),
                                  t_preallocate(op_new(&f->tracker), &f->file, 32 * PAGE),
                                  t_sync_data(op_new(&f->tracker), &f->file)};
  run(f);
  assert_result(first, code);
  assert_result(preallocate, code);
  assert_result(truncate, code);
  for (unsigned i = 0; i < COUNT_OF(behind); i++) {
    assert_result(behind[i], code);
  }
  assert_int_equal(fault_calls(CALL_FALLOCATE), 0);
  assert_int_equal(fault_calls(CALL_FTRUNCATE), 0);
  assert_int_equal(fault_calls(CALL_PWRITE), 1);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(size, 0);
}

/* What fails without a promise of durability is no reason for a latch. */
static void failed_truncate_and_preallocation_latch_nothing(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_FTRUNCATE, 1, ONCE, EIO);
  fault_fail(CALL_FALLOCATE, 1, ONCE, ENOSPC);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, PAGE), UV_EIO);
  assert_result(t_preallocate(op_now(&f->tracker), &f->file, PAGE), UV_ENOSPC);
  assert_code(info_of(&f->file).latch_error, 0);
  struct tracked_op* write = write_page(f, 0);
  run(f);
  assert_result(write, PAGE);
}

#define CASE(setup, function) FAULT_TEST_ON(setup, function)

/*
 * Writes that ask for it one by one, on a file that was not opened so.
 */

#define BY_DSYNC (UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_DSYNC)
#define BY_SYNC (UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC)

static int open_plain(void** state) {
  faults_reset();
  int failed = fixture_open_bound(state);
  faults_reset();
  return failed;
}

static struct tracked_op* write_so(struct fixture* f, unsigned page, unsigned flags) {
  uvdio_buf_t buf = filled(PAGE, page);
  return t_write_flags(op_new(&f->tracker), &f->file, &buf, (uint64_t)page * PAGE, flags);
}

static void open_on(struct fixture* f, long type, const char* kernel) {
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  fault_pretend_filesystem(type);
  fault_pretend_kernel(kernel);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  faults_reset();
}

/* Runs the loop until a call has come, or so many. */
static void await_calls(struct fixture* f, enum fault_call call, unsigned count) {
  while (fault_calls(call) < count) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
}

static void await_held(struct fixture* f, enum fault_call call) {
  await_calls(f, call, 1);
  fault_await(call);
}

static void each_method_calls_the_system_its_own_way(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, MANY * PAGE, 1); /* Kernel AIO tries in vain to extend the file first. */
  faults_reset();
  for (unsigned i = 0; i < MANY; i++) {
    write_so(f, i, BY_DSYNC);
  }
  run(f);
  assert_int_equal(fault_durable_writes(), MANY);
  assert_int_equal(fault_calls(CALL_FDATASYNC) + fault_calls(CALL_FSYNC), 0);
  faults_reset();
  for (unsigned i = 0; i < MANY; i++) {
    write_so(f, i, BY_SYNC);
  }
  run(f);
  assert_int_equal(fault_durable_writes(), 0);
  assert_int_equal(fault_calls(CALL_PWRITE), MANY);
  assert_true(fault_calls(CALL_FDATASYNC) >= 1 && fault_calls(CALL_FDATASYNC) <= MANY);
  assert_int_equal(fault_calls(CALL_FSYNC), 0);
}

/* One of no bytes makes nothing durable, and waits for nothing. */
static void write_of_nothing_syncs_nothing(void** state) {
  static const unsigned flags[] = {BY_SYNC, BY_DSYNC, UVDIO_WRITE_DURABLE};
  struct fixture* f = *state;
  for (size_t i = 0; i < 2 * COUNT_OF(flags); i++) {
    uvdio_buf_t page = filled(PAGE, 1);
    page.len = 0;
    struct tracked_op* op = i % 2 == 0 ? op_new(&f->tracker) : op_now(&f->tracker);
    t_write_flags(op, &f->file, &page, 0, flags[i / 2]);
    run(f);
    assert_result(op, 0);
    assert_ok(uvdio_buf_release(&page));
  }
  assert_int_equal(fault_calls(CALL_PWRITE), 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC) + fault_calls(CALL_FSYNC), 0);
}

/* A file that is durable by itself does not ask again. */
static void durable_file_asks_once(void** state) {
  struct fixture* f = *state;
  write_so(f, 0, BY_DSYNC);
  write_so(f, 1, BY_SYNC);
  run(f);
  assert_int_equal(fault_durable_writes(), 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 0);
}

/* The writes that wait while the first one's sync runs are told by one more sync, and so is
 * whoever asks for a sync. */
static void writes_and_syncs_share_the_next_sync(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  if (!on_workers(&f->file)) {
    SKIP("a sync can be held on libuv's threads only");
  }
  fault_hold(CALL_FDATASYNC, 1);
  writes[0] = write_so(f, 0, BY_SYNC);
  watch_for_hang("a sync that is held");
  await_held(f, CALL_FDATASYNC);
  for (unsigned i = 1; i < MANY; i++) {
    writes[i] = write_so(f, i, BY_SYNC);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  while (in_flight(f) > 1) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  fault_release(CALL_FDATASYNC);
  run(f);
  watch_for_hang(NULL);
  assert_result(sync, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
    assert_true(writes[i]->order < sync->order);
  }
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
}

/* The same in the kernel's hands: the first sync can't begin before the read ends, and by then all
 * writes have ended. */
static void writes_share_the_next_sync_of_a_ring(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  need_a_ring_file(&f->file);
  fault_block_reads(1);
  fault_drain_next_sync();
  struct tracked_op* read = read_page(f, 0);
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_so(f, i, BY_SYNC);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  watch_for_hang("a sync that is held");
  while (in_flight(f) > 2) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  fault_end_reads(1, PAGE);
  run(f);
  watch_for_hang(NULL);
  assert_result(read, PAGE);
  assert_result(sync, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
    assert_true(writes[i]->order < sync->order);
  }
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
}

static void failed_sync_is_told_to_all_that_it_was_for(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  need_faults();
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_so(f, i, BY_SYNC);
  }
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], UV_EIO);
    assert_int_equal(writes[i]->req.transferred, PAGE);
    assert_int_equal(writes[i]->req.op, UVDIO_OP_WRITE);
  }
  assert_result(sync, UV_EIO);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  assert_code(info_of(&f->file).latch_error, UV_EIO);
  uvdio_buf_t page = filled(PAGE, 1);
  assert_refused(t_write_flags(op_new(&f->tracker), &f->file, &page, 0, BY_SYNC), UV_EIO);
  assert_refused(t_write_flags(op_new(&f->tracker), &f->file, &page, 0, 0), UV_EIO);
  assert_ok(uvdio_buf_release(&page));
}

/* Of a write that a sync is to follow nothing was called durable yet. */
static void failed_write_latches_by_its_method(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_fail(CALL_PWRITE, 1, ONCE, ENOSPC);
  struct tracked_op* write = write_so(f, 0, BY_SYNC);
  run(f);
  assert_result(write, UV_ENOSPC);
  assert_int_equal(write->req.transferred, 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 0);
  assert_code(info_of(&f->file).latch_error, 0);
  fault_fail(CALL_PWRITE, 1, ONCE, ENOSPC);
  write = write_so(f, 0, 0);
  run(f);
  assert_result(write, UV_ENOSPC);
  assert_code(info_of(&f->file).latch_error, 0);
  fault_fail(CALL_PWRITE, 1, ONCE, ENOSPC);
  write = write_so(f, 0, BY_DSYNC);
  run(f);
  assert_result(write, UV_ENOSPC);
  assert_code(info_of(&f->file).latch_error, UV_ENOSPC);
}

static void count_writes(const uvdio_request_info_t* info, void* arg) {
  unsigned* count = arg;
  *count += info->op == UVDIO_OP_WRITE && info->length == PAGE;
}

/* Written, and nobody waits for the sync any more. */
static void written_one_can_be_cancelled(void** state) {
  struct fixture* f = *state;
  if (!on_workers(&f->file)) {
    SKIP("a sync can be held on libuv's threads only");
  }
  fault_hold(CALL_FDATASYNC, 1);
  struct tracked_op* first = write_so(f, 0, BY_SYNC);
  watch_for_hang("a sync that is held");
  await_held(f, CALL_FDATASYNC);
  struct tracked_op* second = write_so(f, 1, BY_SYNC);
  while (in_flight(f) > 1) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_int_equal(fault_calls(CALL_PWRITE), 2);
  unsigned writes = 0;
  assert_ok(uvdio_engine_walk(f->engine, count_writes, &writes));
  assert_int_equal(writes, 2);
  assert_ok(t_cancel(second));
  run_until_it_sleeps(f);
  assert_result(second, UV_ECANCELED);
  assert_int_equal(second->req.transferred, PAGE);
  assert_int_equal(second->req.op, UVDIO_OP_WRITE);
  fault_release(CALL_FDATASYNC);
  run(f);
  watch_for_hang(NULL);
  assert_result(first, PAGE);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  assert_code(info_of(&f->file).latch_error, 0);
  assert_holds(f, &f->file, PAGE, PAGE, 1);
}

struct backend_of {
  const uvdio_req_t* req;
  const char* backend;
};

static void look_for_backend(const uvdio_request_info_t* info, void* arg) {
  struct backend_of* of = arg;
  of->backend = info->req == of->req ? info->backend : of->backend;
}

/* Where writes beside others go to another backend than syncs, it waits for theirs. */
static void written_one_is_the_syncs_backends(void** state) {
  struct fixture* f = *state;
  need_two_backends(&f->file);
  fault_hold(CALL_FDATASYNC, 1);
  struct tracked_op* first = write_so(f, 0, BY_SYNC);
  watch_for_hang("a sync that is held");
  await_held(f, CALL_FDATASYNC);
  struct tracked_op* second = write_so(f, 1, BY_SYNC);
  struct backend_of of = {.req = &second->req};
  assert_ok(uvdio_engine_walk(f->engine, look_for_backend, &of));
  assert_string_equal(of.backend, info_of(&f->file).backend_concurrent);
  while (in_flight(f) > 1) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_ok(uvdio_engine_walk(f->engine, look_for_backend, &of));
  assert_string_equal(of.backend, info_of(&f->file).backend);
  fault_release(CALL_FDATASYNC);
  run(f);
  watch_for_hang(NULL);
  assert_result(first, PAGE);
  assert_result(second, PAGE);
}

/* It can't be stopped while it is written, but what it would wait for. */
static void cancelled_one_is_not_synced(void** state) {
  struct fixture* f = *state;
  if (!on_workers(&f->file)) {
    SKIP("a sync can be held on libuv's threads only");
  }
  fault_hold(CALL_PWRITE, 1);
  struct tracked_op* write = write_so(f, 0, BY_SYNC);
  watch_for_hang("a write that is held");
  await_held(f, CALL_PWRITE);
  assert_ok(t_cancel(write));
  fault_release(CALL_PWRITE);
  run(f);
  watch_for_hang(NULL);
  assert_result(write, UV_ECANCELED);
  assert_int_equal(write->req.transferred, PAGE);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 0);
  assert_code(info_of(&f->file).latch_error, 0);
  assert_holds(f, &f->file, 0, PAGE, 0);
}

/* Where a write may go through a cache those that are durable run one at a time, and those that a
 * sync follows don't. */
static void cached_files_serialize_by_method(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 4 * PAGE, 1);
  open_on(f, OVERLAYFS_SUPER_MAGIC, NULL);
  assert_int_equal(info_of(&f->file).is_durable_serialized, 1);
  assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_BY_SYNC);
  open_on(f, BTRFS_SUPER_MAGIC, NULL);
  if (!has_one_backend(&f->file) || !info_of(&f->file).is_durable_serialized) {
    SKIP("the first of two backends may be another one");
  }
  run_once(f);
  for (unsigned i = 0; i < 4; i++) {
    write_so(f, i, BY_DSYNC);
    assert_int_equal(in_flight(f), 1);
  }
  run(f);
  assert_int_equal(fault_durable_writes(), 4);
  for (unsigned i = 0; i < 4; i++) {
    write_so(f, i, BY_SYNC);
    assert_int_equal(in_flight(f), i + 1);
  }
  run(f);
}

/* Whoever passes writes on may leave out the flag; and one that locks up is not asked. */
static void unknown_filesystems_are_synced(void** state) {
  struct fixture* f = *state;
  open_on(f, FUSE_SUPER_MAGIC, NULL);
  write_so(f, 0, BY_DSYNC);
  write_so(f, 1, UVDIO_WRITE_DURABLE);
  run(f);
  open_on(f, BTRFS_SUPER_MAGIC, "5.10.0");
  write_so(f, 2, BY_DSYNC);
  run(f);
  assert_int_equal(fault_durable_writes(), 0);
  assert_true(fault_calls(CALL_FDATASYNC) > 0);
  assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_BY_SYNC);
  open_on(f, BTRFS_SUPER_MAGIC, "5.11.0");
  assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_UNDECIDED);
}

/* A method whose writes fail is not the better one. */
static void method_that_fails_is_not_chosen(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (unsigned block = 0; block < 4; block++) {
    faults_reset();
    if (block == 0 || block == 3) {
      fault_fail(CALL_PWRITE, 1, FOR_GOOD, EFBIG);
    }
    for (unsigned i = 0; i < 16; i++) {
      write_so(f, i, UVDIO_WRITE_DURABLE);
    }
    run(f);
    assert_int_equal(fault_calls(CALL_FDATASYNC) > 0, block == 1 || block == 2);
  }
  uvdio_file_info_t info = info_of(&f->file);
  assert_int_equal(info.durable_method, UVDIO_DURABLE_BY_SYNC);
  assert_int_equal(info.durable_dsync_ns, 0);
  assert_true(info.durable_sync_ns > 0);
}

static void method_without_memory_is_the_write_itself(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  write_so(f, 0, 0); /* Several buffers need room as well, once. */
  run(f);
  fault_fail(CALL_MEMALIGN, 1, ONCE, ENOMEM);
  struct tracked_op* write =
      t_write_flags(op_new(&f->tracker), &f->file, &page, 0, UVDIO_WRITE_DURABLE);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(fault_durable_writes(), 1);
  assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_UNDECIDED);
}

/* How often a write has to be refused so that it counts: kernel AIO takes the first refusal of a
 * flag for one of its own flag. */
static unsigned times_of(int error) {
  return matrix.backend == UVDIO_BACKEND_AIO && error == EOPNOTSUPP ? 2 : ONCE;
}

/* An old container's profile may deny the call. Nothing is lost then. */
static void refused_flag_is_made_up_for_by_a_sync(void** state) {
  static const int errors[] = {ENOSYS, EOPNOTSUPP, EPERM};
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    for (int blocking = 0; blocking < 2; blocking++) {
      uvdio_buf_t page = filled(PAGE, 1);
      assert_result(t_close(op_now(&f->tracker), &f->file), 0);
      open_now(f, &f->file, "file", UVDIO_OPEN_RW);
      run_once(f);
      faults_reset();
      fault_fail(CALL_PWRITE, 1, blocking ? ONCE : times_of(errors[i]), errors[i]);
      struct tracked_op* write = t_write_flags(blocking ? op_now(&f->tracker) : op_new(&f->tracker),
                                               &f->file, &page, 0, BY_DSYNC);
      run(f);
      assert_result(write, PAGE);
      assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
      assert_code(info_of(&f->file).latch_error, 0);
      assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_BY_SYNC);
      unsigned asked = fault_durable_writes();
      page = blocking ? page : filled(PAGE, 2);
      assert_result(t_write_flags(op_now(&f->tracker), &f->file, &page, 0, BY_DSYNC), PAGE);
      assert_int_equal(fault_durable_writes(), asked);
      assert_ok(uvdio_buf_release(&page));
    }
  }
}

/* While another sync of the file runs there can be none in its place, and the bytes are written. */
static void refused_flag_has_no_sync_beside_another(void** state) {
  struct fixture* f = *state;
  if (!on_workers(&f->file) || info_of(&f->file).is_durable_serialized) {
    SKIP("a sync can be held on libuv's threads only");
  }
  uvdio_buf_t page = filled(PAGE, 1);
  fault_hold(CALL_FDATASYNC, 1);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  watch_for_hang("a sync that is held");
  await_held(f, CALL_FDATASYNC);
  fault_fail(CALL_PWRITE, 1, ONCE, ENOSYS);
  struct tracked_op* write = op_now(&f->tracker);
  t_write_flags(write, &f->file, &page, 0, BY_DSYNC);
  assert_code(write->code, UV_EBUSY);
  assert_code(write->req.result, UV_EBUSY);
  assert_int_equal(fault_calls(CALL_PWRITE), 2);
  fault_release(CALL_FDATASYNC);
  run(f);
  watch_for_hang(NULL);
  assert_result(sync, 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_ok(uvdio_buf_release(&page));
}

/* Once the flag has worked, the same errors are what the disk says. */
static void error_after_a_durable_write_is_the_disks(void** state) {
  static const int errors[] = {ENOSYS, EOPNOTSUPP, EPERM};
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    assert_result(t_close(op_now(&f->tracker), &f->file), 0);
    open_now(f, &f->file, "file", UVDIO_OPEN_RW);
    run_once(f);
    faults_reset();
    write_so(f, 0, BY_DSYNC);
    run(f);
    fault_fail(CALL_PWRITE, 1, times_of(errors[i]), errors[i]);
    struct tracked_op* write = write_so(f, 1, BY_DSYNC);
    run(f);
    int code = uv_translate_sys_error(errors[i]);
    assert_result(write, code);
    assert_code(info_of(&f->file).latch_error, code);
  }
}

/* Where write-back has errors to tell, only a call that is missing is no such error. */
static void cached_file_believes_one_refusal_alone(void** state) {
  struct fixture* f = *state;
  need_faults();
  open_on(f, BTRFS_SUPER_MAGIC, NULL);
  run_once(f);
  faults_reset();
  fault_fail(CALL_PWRITE, 1, times_of(EOPNOTSUPP), EOPNOTSUPP);
  struct tracked_op* write = write_so(f, 0, BY_DSYNC);
  run(f);
  assert_result(write, UV_ENOTSUP);
  assert_code(info_of(&f->file).latch_error, UV_ENOTSUP);
}

/* A descriptor with O_DSYNC makes a durable file, whether or not the adoption asks for it. */
static void adopted_durable_file_latches(void** state) {
  struct fixture* f = *state;
  need_faults();
  int descriptor = open(path_of(f, "file"), O_RDWR | O_DSYNC | O_CLOEXEC);
  assert_true(descriptor >= 0);
  assert_result(t_adopt(op_now(&f->tracker), f->engine, &f->other, descriptor, UVDIO_O_RDWR), 0);
  run_once(f);
  faults_reset();
  fault_fail(CALL_PWRITE, 1, ONCE, EIO);
  struct tracked_op* write = write_page_of(f, &f->other, 0, 1);
  run(f);
  assert_result(write, UV_EIO);
  assert_code(info_of(&f->other).latch_error, UV_EIO);
}

/* Where they run one at a time, the one that turned out to need a sync gives the others way. */
static void refused_flag_lets_the_next_one_go(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  need_faults();
  open_on(f, BTRFS_SUPER_MAGIC, NULL);
  run_once(f);
  faults_reset();
  fault_fail(CALL_PWRITE, 1, ONCE, ENOSYS);
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_so(f, i, BY_DSYNC);
  }
  watch_for_hang("durable writes that wait for one another");
  run(f);
  watch_for_hang(NULL);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
  }
}

/*
 * Groups of them.
 */

static void on_group(uvdio_group_t* group) {
  *(unsigned*)group->data += 1;
}

static void begin_group(struct fixture* f, uvdio_group_t* group, uvdio_member_t members[3],
                        uvdio_file_t* file, unsigned flags) {
  static const uvdio_group_options_t merge = {MIB, 0};
  memset(members, 0, 3 * sizeof(*members));
  for (unsigned i = 0; i < 3; i++) {
    members[i].op = UVDIO_OP_WRITE;
    members[i].flags = flags;
    members[i].file = file;
    members[i].offset = (uint64_t)i * PAGE;
    members[i].buf = filled(PAGE, i);
  }
  assert_ok(uvdio_group_submit(group, members, 3, &merge, NULL, on_group));
  assert_int_equal(group->requests, 1);
  f->tracker.accepted++;
  f->tracker.finished++;
}

static void end_group(const uvdio_group_t* group, uvdio_member_t members[3], int64_t result) {
  assert_int_equal(group->failed, 3);
  for (unsigned i = 0; i < 3; i++) {
    assert_code(members[i].result, result);
    assert_ok(uvdio_buf_release(&members[i].buf));
  }
}

/* All bytes were moved, and none of them is durable. */
static void failed_sync_is_told_to_each_member(void** state) {
  struct fixture* f = *state;
  uvdio_member_t members[3];
  unsigned ended = 0;
  uvdio_group_t group = {.data = &ended};
  need_faults();
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  begin_group(f, &group, members, &f->file, BY_SYNC);
  run(f);
  assert_int_equal(ended, 1);
  end_group(&group, members, UV_EIO);
}

/* The second step of a durable write fails, with the first one's bytes moved. */
static void failed_durable_write_is_told_to_each_member(void** state) {
  struct fixture* f = *state;
  uvdio_member_t members[3];
  unsigned ended = 0;
  uvdio_group_t group = {.data = &ended};
  need_faults();
  fault_shorten(CALL_PWRITE, 1, ONCE, PAGE);
  fault_fail(CALL_PWRITE, 2, ONCE, EIO);
  begin_group(f, &group, members, &f->file, 0);
  run(f);
  assert_int_equal(ended, 1);
  end_group(&group, members, UV_EIO);
}

static void cancelled_written_members_are_not_durable(void** state) {
  struct fixture* f = *state;
  uvdio_member_t members[3];
  unsigned ended = 0;
  uvdio_group_t group = {.data = &ended};
  if (!on_workers(&f->file)) {
    SKIP("a sync can be held on libuv's threads only");
  }
  fault_hold(CALL_FDATASYNC, 1);
  write_so(f, 9, BY_SYNC);
  watch_for_hang("a sync that is held");
  await_held(f, CALL_FDATASYNC);
  begin_group(f, &group, members, &f->file, BY_SYNC);
  while (in_flight(f) > 1) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_ok(uvdio_group_cancel(&group));
  fault_release(CALL_FDATASYNC);
  run(f);
  watch_for_hang(NULL);
  assert_int_equal(ended, 1);
  end_group(&group, members, UV_ECANCELED);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      CASE(open_cached, durable_writes_run_one_at_a_time),
      CASE(open_cached, no_sync_runs_beside_a_durable_write),
      CASE(open_cached, reads_run_beside_a_durable_write),
      CASE(open_cached, those_that_wait_fail_with_the_one_before),
      CASE(open_cached, refused_arguments_may_be_a_lost_write_there),
      CASE(open_cached, synchronous_durable_write_is_refused_beside_another),
      CASE(open_cached, one_that_waits_can_be_cancelled),
      CASE(open_cached, truncate_keeps_its_place_among_them),
      CASE(open_cached, close_waits_for_them),
      CASE(open_straight, every_error_that_may_be_a_lost_write_latches),
      CASE(open_straight, synchronous_forms_latch_as_well),
      CASE(open_straight, refused_call_latches_nothing),
      CASE(open_straight, success_that_waits_for_its_callback_is_taken_back),
      CASE(open_straight_depth_1, latch_reaches_every_change_that_waits),
      CASE(open_straight, failed_truncate_and_preallocation_latch_nothing),
      CASE(open_plain, each_method_calls_the_system_its_own_way),
      CASE(open_plain, write_of_nothing_syncs_nothing),
      CASE(open_straight, durable_file_asks_once),
      CASE(open_plain, writes_and_syncs_share_the_next_sync),
      CASE(open_plain, writes_share_the_next_sync_of_a_ring),
      CASE(open_plain, failed_sync_is_told_to_all_that_it_was_for),
      CASE(open_plain, failed_write_latches_by_its_method),
      CASE(open_plain, written_one_is_the_syncs_backends),
      CASE(open_plain, written_one_can_be_cancelled),
      CASE(open_plain, cancelled_one_is_not_synced),
      CASE(open_plain, cached_files_serialize_by_method),
      CASE(open_plain, unknown_filesystems_are_synced),
      CASE(open_plain, method_that_fails_is_not_chosen),
      CASE(open_plain, method_without_memory_is_the_write_itself),
      CASE(open_plain, refused_flag_is_made_up_for_by_a_sync),
      CASE(open_plain, refused_flag_has_no_sync_beside_another),
      CASE(open_plain, refused_flag_lets_the_next_one_go),
      CASE(open_plain, error_after_a_durable_write_is_the_disks),
      CASE(open_plain, cached_file_believes_one_refusal_alone),
      CASE(open_plain, adopted_durable_file_latches),
      CASE(open_plain, failed_sync_is_told_to_each_member),
      CASE(open_straight, failed_durable_write_is_told_to_each_member),
      CASE(open_plain, cancelled_written_members_are_not_durable),
  };
  workers_begin();
  return matrix_main("durable_writes", tests, COUNT_OF(tests), argc, argv);
}
