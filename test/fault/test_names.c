/* SPDX-License-Identifier: MIT */
/*
 * Names under faults: each operation makes its own call, and a replace that fails leaves what its
 * steps before have done.
 */
#include <errno.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "workers.h"

#define RETRIES_MAX 64

static int set_up(void** state) {
  faults_reset();
  return fixture_open_bound(state);
}

struct named {
  uvdio_op_t op;
  enum fault_call call;
};

static const struct named all[] = {
    {UVDIO_OP_RENAME, CALL_RENAME}, {UVDIO_OP_LINK, CALL_LINK},
    {UVDIO_OP_UNLINK, CALL_UNLINK}, {UVDIO_OP_MKDIR, CALL_MKDIR},
    {UVDIO_OP_RMDIR, CALL_RMDIR},   {UVDIO_OP_SYNC_DIRECTORY, CALL_FSYNC}};

static struct tracked_op* begin(struct fixture* f, uvdio_op_t kind, int blocking) {
  struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
  switch ((int)kind) {
    case UVDIO_OP_RENAME:
      return t_rename(op, f->engine, path_of(f, "file"), path_of(f, "new"), 0);
    case UVDIO_OP_LINK:
      return t_link(op, f->engine, path_of(f, "file"), path_of(f, "new"));
    case UVDIO_OP_UNLINK:
      return t_unlink(op, f->engine, path_of(f, "file"));
    case UVDIO_OP_MKDIR:
      return t_mkdir(op, f->engine, path_of(f, "new"));
    case UVDIO_OP_RMDIR:
      return t_rmdir(op, f->engine, path_of(f, "file"));
    default:
      return t_sync_directory(op, f->engine, f->dir);
  }
}

/* On the ring by an entry that stands for the call. */
static void each_makes_its_call(void** state) {
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    for (int blocking = 0; blocking < 2; blocking++) {
      faults_reset();
      fault_fail(all[i].call, 1, ONCE, EIO);
      struct tracked_op* op = begin(f, all[i].op, blocking);
      run(f);
      assert_result(op, UV_EIO);
      assert_int_equal(fault_calls(all[i].call), 1);
    }
  }
  faults_reset();
  open_now(f, &f->other, "file", UVDIO_OPEN_READ); /* It is where it was. */
}

static void interruptions_come_to_an_end(void** state) {
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    faults_reset();
    fault_fail(all[i].call, 1, FOR_GOOD, EINTR);
    struct tracked_op* op = begin(f, all[i].op, 0);
    run(f);
    assert_result(op, UV_EINTR);
    assert_int_equal(fault_calls(all[i].call), RETRIES_MAX + 1);
  }
}

/* Nothing of a replace is made on the loop's thread, nor of another one that a worker has to do. */
static void loop_thread_makes_no_call(void** state) {
  struct fixture* f = *state;
  struct tracked_op* sync = t_sync_directory(op_new(&f->tracker), f->engine, f->dir);
  struct tracked_op* replace = t_replace(op_new(&f->tracker), &f->file, path_of(f, "new"));
  run(f);
  assert_result(sync, 0);
  assert_result(replace, 0);
  assert_int_equal(fault_calls(CALL_FSYNC), 4); /* of a replace: the file's twice */
  assert_int_equal(fault_calls_here(CALL_FSYNC), 0);
  assert_int_equal(fault_calls_here(CALL_RENAME), 0);
}

/*
 * The steps of a replace
 */

static void make_target(struct fixture* f) {
  put(f, &f->file, 0, PAGE, 1);
  open_now(f, &f->other, "target", UVDIO_OPEN_RW);
  put(f, &f->other, 0, PAGE, 2);
  close_other(f);
}

static void assert_target(struct fixture* f, unsigned seed) {
  open_now(f, &f->other, "target", UVDIO_OPEN_RW);
  assert_holds(f, &f->other, 0, PAGE, seed);
  close_other(f);
}

static struct tracked_op* replace(struct fixture* f) {
  return t_replace(op_new(&f->tracker), &f->file, path_of(f, "target"));
}

static void sync_that_fails_latches(void** state) {
  struct fixture* f = *state;
  make_target(f);
  faults_reset();
  fault_fail(CALL_FSYNC, 1, ONCE, EIO);
  struct tracked_op* op = replace(f);
  run(f);
  assert_result(op, UV_EIO);
  assert_int_equal(op->req.transferred, 0);
  assert_int_equal(fault_calls(CALL_RENAME), 0);
  assert_refused(t_sync_all(op_new(&f->tracker), &f->file), UV_EIO);
  assert_target(f, 2);
}

static void rename_that_fails_does_not(void** state) {
  struct fixture* f = *state;
  make_target(f);
  faults_reset();
  fault_fail(CALL_RENAME, 1, ONCE, EIO);
  struct tracked_op* failed = replace(f);
  run(f);
  assert_result(failed, UV_EIO);
  assert_int_equal(failed->req.transferred, 0);
  assert_target(f, 2);
  struct tracked_op* again = replace(f);
  run(f);
  assert_result(again, 0);
  assert_int_equal(again->req.transferred, 1);
  assert_target(f, 1);
}

static void directory_that_fails_leaves_the_new_name(void** state) {
  struct fixture* f = *state;
  make_target(f);
  faults_reset();
  fault_fail(CALL_FSYNC, 3, ONCE, EIO);
  struct tracked_op* failed = replace(f);
  run(f);
  assert_result(failed, UV_EIO);
  assert_int_equal(fault_calls(CALL_FSYNC), 3);
  assert_int_equal(failed->req.transferred, 1);
  assert_target(f, 1);
  struct tracked_op* again = replace(f);
  run(f);
  assert_result(again, 0);
}

/* It is told of what was written beside the rename, and the kernel tells that once: whoever syncs
 * after it would hear of a success, though a write is lost. */
static void sync_behind_the_rename_latches(void** state) {
  struct fixture* f = *state;
  make_target(f);
  faults_reset();
  fault_fail(CALL_FSYNC, 2, ONCE, EIO);
  fault_hold(CALL_FSYNC, 2);
  struct tracked_op* failed = replace(f);
  (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  fault_await(CALL_FSYNC);
  struct tracked_op* beside = write_page(f, 1);
  while (!beside->done) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  fault_release(CALL_FSYNC);
  run(f);
  assert_result(beside, PAGE);
  assert_result(failed, UV_EIO);
  assert_int_equal(failed->req.transferred, 1);
  assert_result(sync, UV_EIO);
  assert_refused(replace(f), UV_EIO);
  assert_target(f, 1);
}

/* The file is synced before the rename and after it, and the directory last. */
static void error_of_the_directory_is_told(void** state) {
  static const struct {
    enum fault_call call;
    unsigned nth;
    int error;
  } cases[] = {{CALL_FSYNC, 3, EIO}, {CALL_OPEN, 1, EACCES}, {CALL_OPEN, 1, EMFILE}};
  struct fixture* f = *state;
  size_t before = open_descriptors();
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    assert_result(t_close(op_now(&f->tracker), &f->file), 0);
    open_now(f, &f->file, i % 2 == 0 ? "file" : "file2", UVDIO_OPEN_RW);
    make_target(f);
    faults_reset();
    fault_fail(cases[i].call, cases[i].nth, ONCE, cases[i].error);
    struct tracked_op* failed = replace(f);
    run(f);
    assert_result(failed, uv_translate_sys_error(cases[i].error));
    assert_int_equal(fault_hits(cases[i].call), 1);
    assert_int_equal(fault_calls(CALL_RENAME), 1);
    assert_int_equal(open_descriptors(), before);
    assert_target(f, 1);
  }
}

/* What is interrupted there is repeated by itself: the rename has been done. */
static void interrupted_directory_is_synced_again(void** state) {
  struct fixture* f = *state;
  make_target(f);
  faults_reset();
  fault_fail(CALL_FSYNC, 3, RETRIES_MAX, EINTR);
  struct tracked_op* done = replace(f);
  run(f);
  assert_result(done, 0);
  assert_int_equal(fault_calls(CALL_FSYNC), 3 + RETRIES_MAX);
  assert_int_equal(fault_calls(CALL_RENAME), 1);
  faults_reset();
  fault_fail(CALL_OPEN, 1, RETRIES_MAX, EINTR);
  done = replace(f);
  run(f);
  assert_result(done, 0);
  assert_int_equal(fault_calls(CALL_OPEN), 1 + RETRIES_MAX);
}

/* What shares the sync of a replace hears of the sync alone. */
static void sync_beside_it_hears_nothing_of_names(void** state) {
  struct fixture* f = *state;
  make_target(f);
  faults_reset();
  fault_fail(CALL_RENAME, 1, ONCE, EIO);
  struct tracked_op* first = t_sync_all(op_new(&f->tracker), &f->file);
  struct tracked_op* failed = replace(f);
  struct tracked_op* second = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(first, 0);
  assert_result(failed, UV_EIO);
  assert_result(second, 0);
  assert_int_equal(fault_calls(CALL_FSYNC), 2);
}

/* A replace syncs everything. What it leaves behind when it is cancelled goes on by itself: a data
 * sync does not stand for a whole one. */
static void cancel_it(struct tracked_op* op) {
  struct tracked_op** replace = op->data;
  (void)uvdio_cancel(&(*replace)->req);
}

static void cancelled_replace_leaves_whole_syncs_whole(void** state) {
  struct fixture* f = *state;
  struct tracked_op* replace = NULL;
  uvdio_buf_t page = filled(PAGE, 1);
  t_write(op_then(&f->tracker, cancel_it, &replace), &f->file, &page, 0);
  replace = t_replace(op_new(&f->tracker), &f->file, path_of(f, "new"));
  struct tracked_op* data = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* whole = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_true(replace->result == UV_ECANCELED || replace->result == 0);
  assert_result(data, 0);
  assert_result(whole, 0);
  assert_true(fault_calls(CALL_FSYNC) > 0);
}

/* The sync behind the rename was interrupted, and waits for a thread to be done again: whoever
 * heard of a cancelled replace would look for the file where it is not any more. */
static void renamed_is_too_late_to_cancel(void** state) {
  struct fixture* f = *state;
  struct workers others;
  struct workers last; /* keeps the thread that the others leave */
  make_target(f);
  faults_reset();
  fault_fail(CALL_FSYNC, 2, ONCE, EINTR);
  fault_hold(CALL_FSYNC, 2);
  struct tracked_op* op = replace(f);
  uint64_t retried = stats_of(f).retried;
  (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  fault_await(CALL_FSYNC);
  workers_occupy(&others, &f->loop, WORKERS - 1);
  workers_queue(&last, &f->loop, 1);
  fault_release(CALL_FSYNC);
  while (stats_of(f).retried == retried) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  assert_int_equal(uvdio_cancel(&op->req), 0);
  workers_release(&others);
  workers_release(&last);
  run(f);
  assert_result(op, 0);
  assert_int_equal(fault_calls(CALL_RENAME), 1);
  assert_target(f, 1);
  op = replace(f); /* from its new place to the same one */
  run(f);
  assert_result(op, 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, each_makes_its_call),
      FAULT_TEST_ON(set_up, interruptions_come_to_an_end),
      FAULT_TEST_ON(set_up, loop_thread_makes_no_call),
      FAULT_TEST_ON(set_up, sync_that_fails_latches),
      FAULT_TEST_ON(set_up, rename_that_fails_does_not),
      FAULT_TEST_ON(set_up, directory_that_fails_leaves_the_new_name),
      FAULT_TEST_ON(set_up, sync_behind_the_rename_latches),
      FAULT_TEST_ON(set_up, error_of_the_directory_is_told),
      FAULT_TEST_ON(set_up, interrupted_directory_is_synced_again),
      FAULT_TEST_ON(set_up, sync_beside_it_hears_nothing_of_names),
      FAULT_TEST_ON(set_up, cancelled_replace_leaves_whole_syncs_whole),
      FAULT_TEST_ON(set_up, renamed_is_too_late_to_cancel),
  };
  return matrix_main("names", tests, COUNT_OF(tests), argc, argv);
}
