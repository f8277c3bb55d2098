/* SPDX-License-Identifier: MIT */
/*
 * The syncs of one file, and a kernel that reports what it lost once and to one caller: one sync
 * runs at a time, those that gather meanwhile share the next one, and none is a success after one
 * that failed.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "steps.h"
#include "workers.h"

#define RIDERS 10

/* Stack for the thread that ends HELD syncs. Enough for the loop, and for no recursion over
 * syncs. */
#define SMALL_STACK (UNDER_ASAN || UNDER_TSAN ? 1024u * 1024 : 256u * 1024)
#define HELD (under_valgrind() ? 20000u : 100000u)

#define CROWD 2000u
#define LEADERS 3u
#define MANY_STEPS (CROWD * 5) /* instructions; less than going through the crowd takes */

static int took_many_steps;

/* An open file on an engine that knows its thread, so that the first operation starts in the
 * submitting call. */
static int open_and_bound(void** state) {
  faults_reset();
  return fixture_open_bound(state);
}

static struct tracked_op* sync_data(struct fixture* f) {
  return t_sync_data(op_new(&f->tracker), &f->file);
}

static struct tracked_op* sync_all(struct fixture* f) {
  return t_sync_all(op_new(&f->tracker), &f->file);
}

static void release_fdatasync(void* unused) {
  (void)unused;
  fault_release(CALL_FDATASYNC);
}

/* Runs the loop to its end. The first sync is held for as long as the other threads have something
 * to do. */
static void run_with_the_first_held_longest(struct fixture* f) {
  struct workers workers;
  if (is_done_by(&f->file, "pool")) {
    watch_for_hang("no sync reaches a worker");
    fault_await(CALL_FDATASYNC);
    workers_settle(&workers, &f->loop, WORKERS - 1, release_fdatasync, NULL);
  }
  run(f);
}

/*
 * Failure.
 */

static void no_sync_succeeds_once_one_failed(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[1 + RIDERS];
  need_faults();
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  fault_hold(CALL_FDATASYNC, 1);
  for (unsigned i = 0; i < COUNT_OF(syncs); i++) {
    syncs[i] = i % 2 == 0 ? sync_data(f) : sync_all(f);
  }
  run_with_the_first_held_longest(f);
  for (unsigned i = 0; i < COUNT_OF(syncs); i++) {
    assert_result(syncs[i], UV_EIO);
  }
  assert_refused(sync_data(f), UV_EIO);
}

static void riders_fail_with_their_leader(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[1 + RIDERS];
  need_faults();
  fault_hold(CALL_FDATASYNC, 1);
  fault_fail(CALL_FDATASYNC, 2, ONCE, EIO);
  for (unsigned i = 0; i < COUNT_OF(syncs); i++) {
    syncs[i] = sync_data(f);
  }
  run_with_the_first_held_longest(f);
  assert_result(syncs[0], 0);
  for (unsigned i = 1; i < COUNT_OF(syncs); i++) {
    assert_result(syncs[i], UV_EIO);
  }
}

static void refuse_work(struct tracked_op* op) {
  (void)op;
  fault_fail(CALL_QUEUE_WORK, 1, ONCE, ENOMEM);
}

/* No thread took the leader. That is no failure of a sync, and no success of those that rode
 * along. */
static void riders_are_told_that_their_leader_did_not_run(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[3];
  if (!is_done_by(&f->file, "pool")) {
    SKIP("syncs go to no thread of libuv's there");
  }
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = t_write(op_then(&f->tracker, refuse_work, NULL), &f->file, &page, 0);
  for (unsigned i = 0; i < COUNT_OF(syncs); i++) {
    syncs[i] = sync_data(f);
  }
  run(f);
  assert_result(write, PAGE);
  for (unsigned i = 0; i < COUNT_OF(syncs); i++) {
    assert_result(syncs[i], UVDIO_EPOOL);
  }
  assert_int_equal(fault_calls(CALL_FDATASYNC), 0);
  struct tracked_op* next = sync_data(f);
  run(f);
  assert_result(next, 0);
}

static void release_workers(struct tracked_op* op) {
  workers_release(op->data);
}

/* Two durable writes at a time, and the first one fails: the second is not told of a success,
 * whatever the system says. With one thread, the pool keeps their order; a ring's no-op ends before
 * any write. */
static void durable_write_beside_one_that_failed_fails(void** state) {
  struct fixture* f = *state;
  struct workers workers;
  need_faults();
  open_now(f, &f->other, "other", UVDIO_OPEN_RW | UVDIO_O_DSYNC);
  if (!has_one_backend(&f->other)) {
    SKIP("of two backends, either may be first");
  }
  uvdio_buf_t pages[2] = {filled(PAGE, 1), filled(PAGE, 2)};
  workers_occupy(&workers, &f->loop, WORKERS - 1);
  fault_fail(CALL_PWRITE, 1, ONCE, EIO);
  struct tracked_op* first = t_write(op_new(&f->tracker), &f->other, &pages[0], 0);
  struct tracked_op* second =
      t_write(op_then(&f->tracker, release_workers, &workers), &f->other, &pages[1], PAGE);
  run(f);
  assert_int_equal(fault_calls(CALL_PWRITE), 2);
  assert_int_equal(fault_hits(CALL_PWRITE), 1);
  assert_result(first, UV_EIO);
  assert_result(second, UV_EIO);
  assert_true(first->order < second->order);
}

/*
 * Sharing.
 */

static void syncs_that_gather_share_one_call(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[1 + RIDERS];
  need_faults();
  fault_hold(CALL_FDATASYNC, 1);
  for (unsigned i = 0; i < COUNT_OF(syncs); i++) {
    syncs[i] = sync_data(f);
  }
  run_with_the_first_held_longest(f);
  for (unsigned i = 0; i < COUNT_OF(syncs); i++) {
    assert_result(syncs[i], 0);
  }
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
  assert_true(fault_most_at_once(CALL_FDATASYNC) <= 1);
}

static void sync_all_takes_a_call_of_its_own(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_hold(CALL_FDATASYNC, 1);
  struct tracked_op* first = sync_data(f);
  struct tracked_op* data = sync_data(f);
  struct tracked_op* all = sync_all(f);
  struct tracked_op* with_all = sync_data(f);
  run_with_the_first_held_longest(f);
  assert_result(first, 0);
  assert_result(data, 0);
  assert_result(all, 0);
  assert_result(with_all, 0);
  assert_true(all->order > data->order);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
  assert_int_equal(fault_calls(CALL_FSYNC), 1);
}

static void sync_all_serves_data_syncs_behind_it(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_hold(CALL_FDATASYNC, 1);
  struct tracked_op* first = sync_data(f);
  struct tracked_op* all = sync_all(f);
  struct tracked_op* with_all = sync_data(f);
  run_with_the_first_held_longest(f);
  assert_result(first, 0);
  assert_result(all, 0);
  assert_result(with_all, 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  assert_int_equal(fault_calls(CALL_FSYNC), 1);
}

static struct tracked_op* submit_sync(struct fixture* f, int all) {
  return all ? sync_all(f) : sync_data(f);
}

/* The synchronous form would be a second call next to the pending one. */
static void synchronous_sync_is_refused_while_one_is_pending(void** state) {
  struct fixture* f = *state;
  for (int all = 0; all < 2; all++) {
    struct tracked_op* pending = submit_sync(f, all);
    assert_refused(t_sync_data(op_now(&f->tracker), &f->file), UV_EBUSY);
    assert_refused(t_sync_all(op_now(&f->tracker), &f->file), UV_EBUSY);
    run(f);
    assert_result(pending, 0);
    assert_result(t_sync_data(op_now(&f->tracker), &f->file), 0);
    assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
  }
}

/*
 * Cancellation. Syncs wait for a write; when it ends the first of them leads, and the others ride.
 */

static void cancel_it(struct tracked_op* op) {
  struct tracked_op* victim = op->data;
  int code = t_cancel(victim);
  if (code != 0) {
    tracker_violation(op->tracker, "uvdio_cancel: %s", uvdio_err_name(code));
  }
}

/* Writes a page, and has `syncs` gather behind that; `victim` is cancelled in the write's
 * callback. */
static void cancel_as_they_start(struct fixture* f, struct tracked_op* syncs[3], unsigned victim) {
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = t_write(op_then(&f->tracker, cancel_it, NULL), &f->file, &page, 0);
  for (unsigned i = 0; i < 3; i++) {
    syncs[i] = sync_data(f);
  }
  write->data = syncs[victim];
  run(f);
  assert_result(write, PAGE);
}

static void nothing_happens(void* unused) {
  (void)unused;
}

static void cancelled_leader_leaves_its_riders(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[3];
  cancel_as_they_start(f, syncs, 0);
  assert_result(syncs[0], UV_ECANCELED);
  assert_result(syncs[1], 0);
  assert_result(syncs[2], 0);
  assert_true(syncs[1]->order < syncs[2]->order);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
}

static void cancelled_rider_ends_alone(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[3];
  cancel_as_they_start(f, syncs, 1);
  assert_result(syncs[0], 0);
  assert_result(syncs[1], UV_ECANCELED);
  assert_result(syncs[2], 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
}

/* Its first rider does less than the second one asks for. */
static void cancelled_sync_of_all_leaves_one_to_the_next(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = t_write(op_then(&f->tracker, cancel_it, NULL), &f->file, &page, 0);
  struct tracked_op* first = sync_all(f);
  struct tracked_op* second = sync_data(f);
  struct tracked_op* third = sync_all(f);
  write->data = first;
  run(f);
  assert_result(first, UV_ECANCELED);
  assert_result(second, 0);
  assert_result(third, 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  assert_int_equal(fault_calls(CALL_FSYNC), 1);
}

/* From the first one on, whose followers are all the others; one of them is watched. */
static void cancel_leaders(struct tracked_op* op) {
  struct tracked_op** syncs = op->data;
  for (unsigned i = 0; i < LEADERS; i++) {
    if (i == 1) {
      steps_begin(MANY_STEPS, nothing_happens, NULL);
    }
    int code = t_cancel(syncs[i]);
    if (i == 1) {
      took_many_steps = steps_end();
    }
    if (code != 0) {
      tracker_violation(op->tracker, "uvdio_cancel: %s", uvdio_err_name(code));
    }
  }
}

/* The next one takes the place of a leader that is cancelled, and its followers stay where they
 * are. */
static void cancelling_a_leader_costs_the_same_with_many_riders(void** state) {
  static struct tracked_op* syncs[CROWD];
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  if (!steps_possible()) {
    SKIP("the processor can't be stopped after each instruction here");
  }
  took_many_steps = 1;
  t_write(op_then(&f->tracker, cancel_leaders, syncs), &f->file, &page, 0);
  for (unsigned i = 0; i < CROWD; i++) {
    syncs[i] = sync_all(f);
  }
  run(f);
  assert_false(took_many_steps);
  for (unsigned i = 0; i < CROWD; i++) {
    assert_result(syncs[i], i < LEADERS ? UV_ECANCELED : 0);
  }
  assert_int_equal(fault_calls(CALL_FSYNC), 1);
}

struct late_cancel {
  struct fixture* f;
  struct workers workers;
  struct tracked_op* victim;
  int code;
  uv_timer_t timer;
};

static void cancel_late(uv_timer_t* timer) {
  struct late_cancel* late = timer->data;
  late->code = t_cancel(late->victim);
  workers_release(&late->workers);
  uv_close((uv_handle_t*)timer, NULL);
}

/* The leader is about to be handed to threads that are all taken; the timer comes when it has
 * been. */
static void occupy_and_cancel_late(struct tracked_op* write) {
  struct late_cancel* late = write->data;
  workers_occupy(&late->workers, &late->f->loop, WORKERS);
  uv_timer_start(&late->timer, cancel_late, 0, 0);
}

static void leader_that_is_cancelled_with_a_worker_leaves_its_riders(void** state) {
  struct fixture* f = *state;
  struct late_cancel late = {.f = f};
  struct tracked_op* syncs[3];
  if (!is_done_by(&f->file, "pool")) {
    SKIP("a sync in the kernel's hands can't be held there");
  }
  uvdio_buf_t page = filled(PAGE, 1);
  assert_int_equal(uv_timer_init(&f->loop, &late.timer), 0);
  late.timer.data = &late;
  t_write(op_then(&f->tracker, occupy_and_cancel_late, &late), &f->file, &page, 0);
  for (unsigned i = 0; i < 3; i++) {
    syncs[i] = sync_data(f);
  }
  late.victim = syncs[0];
  run(f);
  assert_ok(late.code);
  assert_result(syncs[0], UV_ECANCELED);
  assert_result(syncs[1], 0);
  assert_result(syncs[2], 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
}

/*
 * Very many.
 */

struct crowd {
  struct fixture* f;
  struct tracked_op** ops;
  unsigned count;
  int failed;
};

/* Both kinds of sync in turn; in the second half a write now and then, which the syncs behind it
 * have to wait for. */
static struct tracked_op* submit_nth(struct fixture* f, unsigned i) {
  static _Alignas(UVDIO_ALIGNMENT) char page[PAGE];
  uvdio_buf_t view = uvdio_buf_view_bytes(page, PAGE);
  if (i > HELD / 2 && i % 5 == 4) {
    return t_write(op_new(&f->tracker), &f->file, &view, 0);
  }
  return submit_sync(f, i % 5 % 2 != 0);
}

static void end_a_crowd(void* argument) {
  struct crowd* crowd = argument;
  struct fixture* f = crowd->f;
  f->tracker.thread = uv_thread_self();
  for (unsigned i = 0; i < crowd->count; i++) {
    crowd->ops[i] = submit_nth(f, i);
  }
  crowd->failed = uv_run(&f->loop, UV_RUN_DEFAULT);
  crowd->failed |= t_engine_close(f->engine, on_engine_closed);
  crowd->failed |= uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void crowd_of_held_syncs_ends_without_recursion(void** state) {
  struct fixture* f = *state;
  struct crowd crowd = {.f = f, .count = HELD};
  uv_thread_options_t options = {UV_THREAD_HAS_STACK_SIZE, SMALL_STACK};
  uv_thread_t thread;
  need_faults();
  if (matrix.has_classes) {
    SKIP("writes of another class need not wait for the sync that fails");
  }
  fault_fail(CALL_FDATASYNC, 1, FOR_GOOD, EIO);
  crowd.ops = test_calloc(crowd.count, sizeof(struct tracked_op*));
  watch_for_hang("a crowd of syncs");
  assert_int_equal(uv_thread_create_ex(&thread, &options, end_a_crowd, &crowd), 0);
  uv_thread_join(&thread);
  watch_for_hang(NULL);
  f->engine = NULL;
  tracker_verdict(&f->tracker);
  assert_int_equal(crowd.failed, 0);
  for (unsigned i = 0; i < crowd.count; i++) {
    assert_result(crowd.ops[i], UV_EIO);
  }
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  test_free(crowd.ops);
}

/* Not bound yet: the crowd's thread is the first to run the loop. With a depth of 1 all others wait
 * for the first. */
static int depth_1_and_unbound(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = 1;
  faults_reset();
  return fixture_open_with(state, options);
}

/* Whatever else ends meanwhile is no reason to begin the next sync. */
static void sync_waits_while_others_end(void** state) {
  struct fixture* f = *state;
  if (!is_done_by(&f->file, "pool")) {
    SKIP("syncs of a ring can't be held");
  }
  fault_hold(CALL_FDATASYNC, 1);
  struct tracked_op* first = sync_data(f);
  fault_await(CALL_FDATASYNC);
  struct tracked_op* second = sync_data(f);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  watch_for_hang("a size next to a sync");
  while (!size->done) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  for (unsigned i = 0; i < 10; i++) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  watch_for_hang(NULL);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
  fault_release(CALL_FDATASYNC);
  run(f);
  assert_result(first, 0);
  assert_result(second, 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
  assert_int_equal(fault_most_at_once(CALL_FDATASYNC), 1);
}

/*
 * What is covered. An interruption has an entry of a ring, or a call, made again: so often that a
 * sync, which fails without any work, ends long before, unless it waits. On a worker the call is
 * held instead.
 */

#define ROUNDS 60

static void release_pwrite(struct tracked_op* op) {
  (void)op;
  fault_release(CALL_PWRITE);
}

static void release_fallocate(struct tracked_op* op) {
  (void)op;
  fault_release(CALL_FALLOCATE);
}

static void sync_waits_for_a_write_that_takes_long(void** state) {
  struct fixture* f = *state;
  need_faults();
  need_one_backend(&f->file);
  fault_fail(CALL_PWRITE, 1, ROUNDS, EINTR);
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  struct tracked_op* write = write_page(f, 1);
  struct tracked_op* sync = sync_data(f);
  run(f);
  assert_result(write, PAGE);
  assert_result(sync, UV_EIO);
  assert_true(sync->order > write->order);
}

static void sync_waits_for_a_preallocation_that_takes_long(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_fail(CALL_FALLOCATE, 1, ROUNDS, EINTR);
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), &f->file, 4 * PAGE);
  struct tracked_op* sync = sync_data(f);
  run(f);
  assert_result(preallocate, 0);
  assert_result(sync, UV_EIO);
  assert_true(sync->order > preallocate->order);
}

/* Has the next write last until release_pwrite(). A control block of kernel AIO, which ends at once
 * and can't be held, says that it would block, so that a worker has it. */
static void keep_next_write(void) {
  int is_aio = matrix.backend == UVDIO_BACKEND_AIO;
  fault_fail(CALL_PWRITE, 1, is_aio ? ONCE : ROUNDS, is_aio ? EAGAIN : EINTR);
  fault_hold(CALL_PWRITE, is_aio ? 2 : 1);
}

/* Those come after it, and may take as long as they like. What came before it fails without any
 * work, too. */
static void sync_does_not_wait_for_younger_changes(void** state) {
  struct fixture* f = *state;
  need_faults();
  need_one_backend(&f->file);
  fault_fail(CALL_FALLOCATE, 1, ONCE, ENOSPC);
  keep_next_write();
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  struct tracked_op* older = t_preallocate(op_new(&f->tracker), &f->file, 4 * PAGE);
  struct tracked_op* sync = t_sync_data(op_then(&f->tracker, release_pwrite, NULL), &f->file);
  struct tracked_op* younger = write_page(f, 2);
  run(f);
  assert_result(older, UV_ENOSPC);
  assert_result(sync, UV_EIO);
  assert_int_equal(younger->done, 1); /* The latch may have caught it. */
  assert_true(older->order < sync->order && sync->order < younger->order);
}

static void sync_does_not_wait_for_a_younger_preallocation(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_fail(CALL_FALLOCATE, 1, ROUNDS, EINTR);
  fault_hold(CALL_FALLOCATE, 1);
  fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
  struct tracked_op* sync = t_sync_data(op_then(&f->tracker, release_fallocate, NULL), &f->file);
  struct tracked_op* younger = t_preallocate(op_new(&f->tracker), &f->file, 4 * PAGE);
  run(f);
  assert_result(sync, UV_EIO);
  assert_int_equal(younger->done, 1);
  assert_true(sync->order < younger->order);
}

/*
 * The latch and what waits
 */

static int depth_1_and_bound(void** state) {
  uvdio_engine_options_t options = {.depth = 1};
  faults_reset();
  int failed = fixture_open_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    run_once(f);
  }
  return failed;
}

static struct tracked_op* change_or_sync(struct fixture* f, unsigned which) {
  struct tracked_op* op = op_new(&f->tracker);
  uvdio_buf_t page = which == 0 ? filled(PAGE, 2) : (uvdio_buf_t){0};
  switch (which) {
    case 0:
      return t_write(op, &f->file, &page, 0);
    case 1:
      return t_truncate(op, &f->file, 3 * PAGE);
    case 2:
      return t_preallocate(op, &f->file, 3 * PAGE);
    case 3:
      return t_sync_data(op, &f->file);
    default:
      return t_sync_all(op, &f->file);
  }
}

static unsigned calls_that_change(void) {
  return fault_calls(CALL_PWRITE) + fault_calls(CALL_FTRUNCATE) + fault_calls(CALL_FALLOCATE) +
         fault_calls(CALL_FDATASYNC) + fault_calls(CALL_FSYNC);
}

/* Whatever a failed sync makes fail, it does so also where that was accepted before and has not
 * begun. */
static void latch_reaches_all_that_waits(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (unsigned which = 0; which < 5; which++) {
    uvdio_buf_t page = blank(PAGE);
    unsigned before = calls_that_change();
    fault_fail(CALL_FDATASYNC, 1, ONCE, EIO);
    struct tracked_op* failing = sync_data(f);
    struct tracked_op* waiting = change_or_sync(f, which);
    struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &page, 0);
    struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
    run(f);
    assert_result(failing, UV_EIO);
    assert_result(waiting, UV_EIO);
    assert_result(read, 0);
    assert_result(size, 0);
    assert_int_equal(calls_that_change(), before + 1);
    assert_result(t_close(op_now(&f->tracker), &f->file), 0);
    open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(open_and_bound, sync_waits_while_others_end),
      FAULT_TEST_ON(open_and_bound, no_sync_succeeds_once_one_failed),
      FAULT_TEST_ON(open_and_bound, riders_fail_with_their_leader),
      FAULT_TEST_ON(open_and_bound, riders_are_told_that_their_leader_did_not_run),
      FAULT_TEST_ON(open_and_bound, durable_write_beside_one_that_failed_fails),
      FAULT_TEST_ON(open_and_bound, syncs_that_gather_share_one_call),
      FAULT_TEST_ON(open_and_bound, sync_all_takes_a_call_of_its_own),
      FAULT_TEST_ON(open_and_bound, sync_all_serves_data_syncs_behind_it),
      FAULT_TEST_ON(open_and_bound, synchronous_sync_is_refused_while_one_is_pending),
      FAULT_TEST_ON(open_and_bound, cancelled_leader_leaves_its_riders),
      FAULT_TEST_ON(open_and_bound, cancelled_rider_ends_alone),
      FAULT_TEST_ON(open_and_bound, cancelled_sync_of_all_leaves_one_to_the_next),
      FAULT_TEST_ON(open_and_bound, cancelling_a_leader_costs_the_same_with_many_riders),
      FAULT_TEST_ON(open_and_bound, leader_that_is_cancelled_with_a_worker_leaves_its_riders),
      FAULT_TEST_ON(open_and_bound, sync_waits_for_a_write_that_takes_long),
      FAULT_TEST_ON(open_and_bound, sync_waits_for_a_preallocation_that_takes_long),
      FAULT_TEST_ON(open_and_bound, sync_does_not_wait_for_younger_changes),
      FAULT_TEST_ON(open_and_bound, sync_does_not_wait_for_a_younger_preallocation),
      FAULT_TEST_ON(depth_1_and_bound, latch_reaches_all_that_waits),
      FAULT_TEST_ON(depth_1_and_unbound, crowd_of_held_syncs_ends_without_recursion),
  };
  workers_begin();
  return matrix_main("syncs", tests, COUNT_OF(tests), argc, argv);
}
