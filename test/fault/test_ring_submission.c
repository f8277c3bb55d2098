/* SPDX-License-Identifier: MIT */
/*
 * A kernel that refuses what a ring in use wants of it, once, for a while or for good, also where
 * the submission queue is full of cancellations. Nothing is lost, nothing comes twice, and an
 * engine that gives up its ring goes on with the pool and says why.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define MANY 64
#define DEPTH 16
#define LAST_SUBMIT 20

static int open_with_content(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = DEPTH;
  faults_reset();
  int failed = fixture_open_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    for (unsigned i = 0; i < MANY; i++) {
      put(f, &f->file, (uint64_t)i * PAGE, PAGE, 2 * i);
    }
  }
  return failed;
}

/* Every operation there is, and many of some; the tracker sees to one callback each. */
struct work {
  struct tracked_op* reads[MANY];
  struct tracked_op* writes[MANY];
  struct tracked_op* syncs[2];
  struct tracked_op* preallocate;
  struct tracked_op* size;
  struct tracked_op* open;
};

static void submit_pages(struct fixture* f, struct work* work) {
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t from;
    uvdio_buf_t to = filled(PAGE, 2 * i + 1);
    assert_ok(uvdio_buf_page(&from)); /* zeros: valgrind does not know that a ring writes */
    work->reads[i] = t_read(op_new(&f->tracker), &f->file, &from, (uint64_t)i * PAGE);
    work->writes[i] = t_write(op_new(&f->tracker), &f->file, &to, (uint64_t)(MANY + i) * PAGE);
  }
}

static void submit_work(struct fixture* f, struct work* work) {
  struct tracker* t = &f->tracker;
  submit_pages(f, work);
  work->syncs[0] = t_sync_data(op_new(t), &f->file);
  work->syncs[1] = t_sync_all(op_new(t), &f->file);
  work->preallocate = t_preallocate(op_new(t), &f->file, 2 * MANY * PAGE);
  work->size = t_size(op_new(t), &f->file);
  work->open = t_open(op_new(t), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
}

static void assert_work_done(struct fixture* f, const struct work* work) {
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(work->reads[i], PAGE);
    assert_true(is_pattern(work->reads[i]->back.base, PAGE, 2 * i));
    assert_result(work->writes[i], PAGE);
    assert_holds(f, &f->file, (uint64_t)(MANY + i) * PAGE, PAGE, 2 * i + 1);
  }
  assert_result(work->syncs[0], 0);
  assert_result(work->syncs[1], 0);
  assert_result(work->preallocate, 0);
  assert_int_equal(work->size->done, 1);
  assert_result(work->open, 0);
}

static void assert_gave_up_the_ring(const struct fixture* f) {
  const char* reason = uvdio_engine_backend_reason(f->engine);
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  assert_non_null(strstr(reason, "io_uring_enter"));
  assert_non_null(strstr(reason, "EPERM"));
  assert_true(is_done_by(&f->file, "pool"));
}

static void goes_on_with_the_pool(struct fixture* f) {
  struct tracked_op* close;
  struct work work;
  close = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(close, 0);
  submit_work(f, &work);
  run(f);
  assert_work_done(f, &work);
}

/* A read that is with the kernel and not asked about yet, and nothing else. It ends after its
 * submission, so that its completion has to be asked for. */
static struct tracked_op* read_under_way(struct fixture* f) {
  unsigned before = fault_calls(CALL_SUBMIT);
  struct tracked_op* read = read_that_ends_later(f);
  assert_int_equal(fault_calls(CALL_SUBMIT), before + 1);
  return read;
}

/*
 * No completions.
 */

static void events_refused(struct fixture* f, unsigned times) {
  struct work work;
  need_a_ring_file(&f->file);
  fault_fail(CALL_GET_EVENTS, 1, times, EPERM);
  submit_work(f, &work);
  run(f);
  if (fault_calls(CALL_GET_EVENTS) == 0) {
    SKIP("this kernel posts completions without being asked");
  }
  assert_work_done(f, &work);
  assert_gave_up_the_ring(f);
  goes_on_with_the_pool(f);
}

static void completions_are_refused_once(void** state) {
  events_refused(*state, 1);
}

static void completions_are_refused_twice(void** state) {
  events_refused(*state, 2);
}

static void completions_are_refused_five_times(void** state) {
  events_refused(*state, 5);
}

/*
 * No submissions.
 */

static void submit_reads(struct fixture* f, struct tracked_op** reads, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    uvdio_buf_t page;
    assert_ok(uvdio_buf_page(&page));
    reads[i] = t_read(op_new(&f->tracker), &f->file, &page, (uint64_t)i * PAGE);
  }
}

static void start_over(struct fixture* f) {
  uvdio_engine_options_t options = {0};
  options.depth = DEPTH;
  end_engine(f);
  memset(&f->file, 0, sizeof(f->file));
  memset(&f->other, 0, sizeof(f->other));
  start_engine(f, options);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
}

static void submission_is_refused_once_at_any_time(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  for (unsigned n = 1; n <= LAST_SUBMIT; n++) {
    struct work work;
    start_over(f);
    faults_reset();
    fault_fail(CALL_SUBMIT, n, ONCE, EPERM);
    submit_work(f, &work);
    run(f);
    assert_work_done(f, &work);
    if (fault_calls(CALL_SUBMIT) >= n) {
      assert_gave_up_the_ring(f);
    }
    goes_on_with_the_pool(f);
  }
  end_engine(f);
}

/* The kernel has no memory for a request just then, or its completion queue is full. */
static void submission_put_off(struct fixture* f, int error) {
  struct work work;
  need_a_ring_file(&f->file);
  for (unsigned n = 1; n <= LAST_SUBMIT; n++) {
    start_over(f);
    faults_reset();
    fault_fail(CALL_SUBMIT, n, 3, error);
    submit_work(f, &work);
    run(f);
    assert_work_done(f, &work);
    assert_string_equal(uvdio_engine_backend(f->engine), "ring");
  }
}

static void submission_that_is_put_off_is_repeated(void** state) {
  submission_put_off(*state, EAGAIN);
  submission_put_off(*state, EBUSY);
  submission_put_off(*state, EINTR);
  end_engine(*state);
}

static void broken_ring_registers_nothing(void** state) {
  struct fixture* f = *state;
  struct tracked_op* read;
  uvdio_registration_t registration;
  need_a_ring_file(&f->file);
  fixture_arena(f, PAGE, 4);
  fault_fail(CALL_SUBMIT, 1, ONCE, EPERM);
  submit_reads(f, &read, 1);
  run(f);
  assert_result(read, PAGE);
  assert_gave_up_the_ring(f);
  assert_code(uvdio_arena_register(f->engine, f->arena), UV_ENOTSUP);
  assert_ok(uvdio_arena_registration(f->engine, f->arena, &registration));
  assert_int_equal(registration.bytes, 0);
}

/*
 * For as long as it lasts.
 */

/* The kernel keeps as many requests as the engine is deep. */
static void requests_that_are_stuck_leave_room_for_others(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[DEPTH];
  need_a_ring_file(&f->file);
  fault_fail(CALL_GET_EVENTS, 1, FOR_GOOD, EPERM);
  submit_reads(f, reads, DEPTH);
  watch_for_hang("an engine whose ring keeps its requests");
  while (strcmp(uvdio_engine_backend(f->engine), "pool") != 0 && uv_loop_alive(&f->loop)) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  if (fault_calls(CALL_GET_EVENTS) == 0) {
    SKIP("this kernel posts completions without being asked");
  }
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  while (!size->done) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  assert_result(size, MANY * PAGE);
  faults_reset();
  run(f);
  for (unsigned i = 0; i < DEPTH; i++) {
    assert_result(reads[i], PAGE);
  }
}

/* On a slow machine the time may be over before the kernel was asked at all: once more, then. */
static void relent(uv_timer_t* timer) {
  *(unsigned*)timer->data = fault_calls(CALL_SUBMIT);
  if (fault_calls(CALL_SUBMIT) == 0) {
    return;
  }
  faults_reset();
  uv_close((uv_handle_t*)timer, NULL);
}

/* Asked again a hundred times a second; a loop that does nothing else comes to thousands. */
static void kernel_that_takes_nothing_is_not_pestered(void** state) {
  struct fixture* f = *state;
  struct tracked_op* read;
  uv_timer_t timer;
  unsigned calls = 0;
  need_a_ring_file(&f->file);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  submit_reads(f, &read, 1);
  assert_int_equal(uv_timer_init(&f->loop, &timer), 0);
  timer.data = &calls;
  assert_int_equal(uv_timer_start(&timer, relent, 100, 100), 0);
  run(f);
  assert_result(read, PAGE);
  assert_in_range(calls, 1, 50);
}

/* What a ring answers when it can't do something now, though nobody asked for that: where the
 * process may start no more tasks everything that needs a kernel worker is cancelled. */
static void what_the_ring_can_not_do_now_the_pool_does(void** state) {
  static const int errors[] = {ECANCELED, ENOMEM, ENOBUFS, EOPNOTSUPP, ENOSYS};
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  need_a_ring_file(&f->file);
  need_faults();
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    uvdio_buf_t to = filled(PAGE, 7);
    uint64_t punted = stats_of(f).punted;
    struct tracked_op* read;
    fault_fail(CALL_PREAD, 1, ONCE, errors[i]);
    fault_fail(CALL_PWRITE, 1, ONCE, errors[i]);
    fault_fail(CALL_FALLOCATE, 1, ONCE, errors[i]);
    fault_fail(CALL_OPEN, 1, ONCE, errors[i]);
    submit_reads(f, &read, 1);
    struct tracked_op* write = t_write(op_new(t), &f->file, &to, (uint64_t)MANY * PAGE);
    struct tracked_op* preallocate = t_preallocate(op_new(t), &f->file, 2 * MANY * PAGE);
    struct tracked_op* open =
        t_open(op_new(t), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
    run(f);
    assert_result(read, PAGE);
    assert_result(write, PAGE);
    assert_result(preallocate, 0);
    assert_result(open, 0);
    assert_true(stats_of(f).punted >= punted + 4);
    faults_reset();
    assert_holds(f, &f->file, (uint64_t)MANY * PAGE, PAGE, 7);
    assert_result(t_close(op_now(t), &f->other), 0);
  }
}

static void sync_that_the_ring_can_not_do_now_is_done_by_the_pool(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  fault_fail(CALL_FDATASYNC, 1, ONCE, ECANCELED);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  assert_int_equal(fault_calls(CALL_FDATASYNC), 2);
}

/* An error that the disk may have told, under whatever name, is not asked for again: the next sync
 * would succeed. */
static void sync_that_fails_is_not_repeated_by_the_pool(void** state) {
  static const int errors[] = {ENOMEM, ENOBUFS, EOPNOTSUPP, ENOSPC, ENODATA, ETIMEDOUT};
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    assert_result(
        t_open(op_now(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW), 0);
    fault_fail(CALL_FDATASYNC, 1, ONCE, errors[i]);
    struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->other);
    run(f);
    assert_result(sync, uv_translate_sys_error(errors[i]));
    assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
    faults_reset();
    assert_refused(t_sync_data(op_new(&f->tracker), &f->other), uv_translate_sys_error(errors[i]));
    close_other(f);
  }
}

/* The pool's word is the last: an operation that no one here can do ends with that. */
static void what_the_pool_can_not_do_either_is_the_result(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  fault_fail(CALL_FALLOCATE, 1, FOR_GOOD, EOPNOTSUPP);
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), &f->file, 2 * MANY * PAGE);
  run(f);
  assert_result(preallocate, UV_ENOTSUP);
  assert_int_equal(fault_calls(CALL_FALLOCATE), 2);
}

/* What has broken down by itself is done with, also after a ring that was replaced. */
static void ring_that_broke_is_not_replaced(void** state) {
  struct fixture* f = *state;
  struct tracked_op* read;
  need_a_ring_file(&f->file);
  for (unsigned i = 0; i < 2; i++) {
    submit_reads(f, &read, 1);
    run(f);
    assert_result(read, PAGE);
    assert_ok(uvdio_engine_rebind(f->engine));
    assert_string_equal(uvdio_engine_backend(f->engine), "ring");
  }
  fault_fail(CALL_SUBMIT, 1, ONCE, EPERM);
  submit_reads(f, &read, 1);
  run(f);
  assert_result(read, PAGE);
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  assert_ok(uvdio_engine_rebind(f->engine));
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
}

/* Where no other ring can be had, the engine keeps the one that it has. */
static void rebind_that_fails_keeps_the_ring(void** state) {
  struct fixture* f = *state;
  struct tracked_op* read;
  need_a_ring_file(&f->file);
  submit_reads(f, &read, 1);
  run(f);
  assert_result(read, PAGE);
  fault_fail(CALL_SETUP, 1, FOR_GOOD, EMFILE);
  assert_code(uvdio_engine_rebind(f->engine), UV_EMFILE);
  faults_reset();
  assert_string_equal(uvdio_engine_backend(f->engine), "ring");
  submit_reads(f, &read, 1);
  run(f);
  assert_result(read, PAGE);
  assert_ok(uvdio_engine_rebind(f->engine));
}

/*
 * A submission queue that is full: cancellations have taken the places that requests had left.
 */

/* With an engine that knows its thread, and a file that has been read from. */
static int open_read_at(void** state, unsigned depth) {
  uvdio_engine_options_t options = {0};
  options.depth = depth;
  faults_reset();
  return fixture_read_with(state, options, 2);
}

static int open_read(void** state) {
  return open_read_at(state, DEPTH);
}

static int open_read_at_depth_1(void** state) {
  return open_read_at(state, 1);
}

static void turn(struct fixture* f, unsigned times) {
  while (times-- > 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
}

static void cancel_times(struct tracked_op* op, unsigned times) {
  while (times-- > 0) {
    assert_ok(t_cancel(op));
  }
}

static void assert_read_or_cancelled(const struct tracked_op* read) {
  assert_int_equal(read->done, 1);
  assert_true(read->result == PAGE || read->result == UV_ECANCELED);
}

static void assert_backend(const struct fixture* f, const char* name) {
  assert_string_equal(uvdio_engine_backend(f->engine), name);
}

static void request_waits_for_room(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct tracked_op* first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  cancel_times(first, DEPTH);
  struct tracked_op* second = read_page(f, 0);
  struct tracked_op* third = read_page(f, 0);
  assert_int_equal(fault_hits(CALL_SUBMIT), 1);
  turn(f, 3);
  assert_int_equal(second->done + third->done, 0);
  faults_reset();
  run(f);
  assert_read_or_cancelled(first);
  assert_result(second, PAGE);
  assert_result(third, PAGE);
  assert_backend(f, "ring");
}

/* Runs until the kernel has refused `times` more. */
static void until_refused(struct fixture* f, unsigned times) {
  unsigned before = fault_hits(CALL_SUBMIT);
  watch_for_hang("a ring that is refused");
  while (fault_hits(CALL_SUBMIT) < before + times) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
}

/* However often it is refused. The first one that the kernel takes is the one that fails. */
static void refused_request_stays_the_first(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  struct tracked_op* first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  cancel_times(first, DEPTH);
  struct tracked_op* second = read_page(f, 0);
  struct tracked_op* third = read_page(f, 0);
  until_refused(f, 3);
  assert_int_equal(second->done + third->done, 0);
  faults_reset();
  fault_fail(CALL_PREAD, 1, ONCE, EIO);
  run(f);
  assert_read_or_cancelled(first);
  assert_result(second, UV_EIO);
  assert_result(third, PAGE);
}

/* A kernel that takes nothing is asked again when something has ended, or a while later, and not in
 * every turn. */
static void kernel_that_takes_nothing_is_left_alone(void** state) {
  struct fixture* f = *state;
  enum { TURNS = 1000, WHILE_MS = 10 };
  need_a_ring_file(&f->file);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  struct tracked_op* read = read_page(f, 0);
  uint64_t from = uv_now(&f->loop);
  turn(f, TURNS);
  assert_true(fault_hits(CALL_SUBMIT) <= 2 + (uv_now(&f->loop) - from) / WHILE_MS);
  faults_reset();
  run(f);
  assert_result(read, PAGE);
}

/* There is room, but the kernel said that it takes no more: what has found a place in the queue
 * stays there. */
static void request_takes_a_place_that_came_free(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct tracked_op* first = read_under_way(f);
  fault_shorten(CALL_SUBMIT, 1, ONCE, 5);
  fault_fail(CALL_SUBMIT, 2, FOR_GOOD, EBUSY);
  cancel_times(first, DEPTH);
  struct tracked_op* second = read_page(f, 0);
  assert_int_equal(fault_calls(CALL_SUBMIT) > 1, 1);
  turn(f, 3);
  assert_int_equal(second->done, 0);
  faults_reset();
  run(f);
  assert_read_or_cancelled(first);
  assert_result(second, PAGE);
  assert_backend(f, "ring");
}

/* What waited for room is cancelled, and the full ring replaced: there is room in the new one,
 * at once. */
static void new_ring_has_room(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct tracked_op* first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  cancel_times(first, DEPTH);
  struct tracked_op* second = read_page(f, 0);
  watch_for_hang("a read that is under way");
  while (!first->done) {
    turn(f, 1);
  }
  assert_ok(t_cancel(second));
  run(f);
  assert_result(second, UV_ECANCELED);
  assert_ok(uvdio_engine_rebind(f->engine));
  faults_reset();
  struct tracked_op* third = read_page(f, 0);
  turn(f, 1);
  unsigned submissions = fault_calls(CALL_SUBMIT);
  run(f);
  assert_result(third, PAGE);
  assert_backend(f, "ring");
  assert_true(submissions > 0);
}

/* One that breaks down when it is full: the cancellations are forgotten, and the request goes to
 * the pool. */
static void full_ring_breaks_down(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct tracked_op* first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, ONCE, EPERM);
  cancel_times(first, DEPTH);
  unsigned before = fault_calls(CALL_SUBMIT);
  struct tracked_op* second = read_page(f, 0);
  assert_backend(f, "pool");
  cancel_times(first, 1); /* a broken ring cancels nothing */
  run(f);
  assert_int_equal(fault_calls(CALL_SUBMIT), before + 1); /* and is given nothing */
  assert_read_or_cancelled(first);
  assert_result(second, PAGE);
}

/* More of them than the queue has places, or than are left. */
static void cancellations_beyond_the_queue_are_dropped(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  struct tracked_op* first = read_under_way(f);
  unsigned before = fault_calls(CALL_ENTRY_CANCEL);
  cancel_times(first, 3 * DEPTH);
  run(f);
  assert_in_range(fault_calls(CALL_ENTRY_CANCEL) - before, 1, DEPTH);
  assert_read_or_cancelled(first);
  first = read_under_way(f);
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EAGAIN);
  struct tracked_op* second = read_page(f, 0); /* stays in the queue */
  cancel_times(first, DEPTH);
  assert_true(fault_hits(CALL_SUBMIT) > 1);
  faults_reset();
  run(f);
  assert_read_or_cancelled(first);
  assert_result(second, PAGE);
  assert_backend(f, "ring");
}

/*
 * Opens, interrupted
 */

static void cancelled_open_that_is_interrupted_is_cancelled(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  fault_fail(CALL_OPEN, 1, ONCE, EINTR);
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  assert_ok(t_cancel(open));
  run(f);
  assert_int_equal(fault_hits(CALL_OPEN), 1);
  assert_result(open, UV_ECANCELED);
}

static void on_read(struct tracked_op* op) {
  (void)t_cancel(op->data);
}

/* Half-way through, a cancellation comes too late: an interrupted step is repeated. On an old
 * kernel an open that finds the file there has another step. */
static void open_that_has_begun_is_finished(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  need_faults();
  uvdio_buf_t page = blank(PAGE);
  struct tracked_op* open = op_new(&f->tracker);
  fault_fail(CALL_PREAD, 1, ONCE, EIO); /* so that it ends at once, with the open's first step */
  struct tracked_op* read = t_read(op_then(&f->tracker, on_read, open), &f->file, &page, 0);
  fault_pretend_kernel("5.10.0");
  fault_fail(CALL_OPEN, 1, ONCE, EEXIST);
  t_open(open, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  assert_int_equal(fault_hits(CALL_OPEN), 1);
  fault_fail(CALL_OPEN, 1, ONCE, EINTR);
  run(f);
  assert_result(read, UV_EIO);
  assert_true(open->req.cancelled_ || open->result == 0);
  assert_result(open, 0);
  close_other(f);
}

/*
 * Completions, held back
 */

static void completions_are_put_off(struct fixture* f, int error) {
  need_a_ring_file(&f->file);
  fault_fail(CALL_GET_EVENTS, 1, 3, error);
  struct tracked_op* read = read_under_way(f);
  run(f);
  if (fault_calls(CALL_GET_EVENTS) == 0) {
    SKIP("this kernel posts completions without being asked");
  }
  assert_result(read, PAGE);
  assert_backend(f, "ring");
  faults_reset();
}

static void completions_that_are_put_off_come_later(void** state) {
  completions_are_put_off(*state, EINTR);
  completions_are_put_off(*state, EAGAIN);
  completions_are_put_off(*state, EBUSY);
}

/* So often that no turn lasts so long: another one goes on, before which the loop must not sleep
 * for good. */
static void completions_that_are_put_off_for_long_come_in_another_turn(void** state) {
  struct fixture* f = *state;
  int sleeps = 0;
  need_a_ring_file(&f->file);
  fault_fail(CALL_GET_EVENTS, 1, FOR_GOOD, EINTR);
  struct tracked_op* read = read_under_way(f);
  watch_for_hang("completions that are put off");
  for (unsigned i = 0; i < 10 && !sleeps && !read->done; i++) {
    uv_run(&f->loop, UV_RUN_ONCE);
    sleeps = fault_hits(CALL_GET_EVENTS) > 0 && !read->done && uv_backend_timeout(&f->loop) < 0;
  }
  unsigned hits = fault_hits(CALL_GET_EVENTS);
  faults_reset();
  while (!read->done) {
    turn(f, 1);
  }
  watch_for_hang(NULL);
  assert_result(read, PAGE);
  assert_false(sleeps);
  if (hits == 0) {
    SKIP("this kernel posts completions without being asked");
  }
}

/* The kernel does not give back what it has, and may never. What waits for room with it does not
 * wait for that. */
static void what_waits_for_a_ring_that_breaks_down_goes_on(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  fault_fail(CALL_GET_EVENTS, 1, FOR_GOOD, EPERM);
  struct tracked_op* first = read_under_way(f);
  struct tracked_op* second = read_page(f, 0);
  watch_for_hang("a ring that breaks down");
  while (!first->done && strcmp(uvdio_engine_backend(f->engine), "ring") == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  int is_kept = !first->done;
  int has_started = second->done || stats_of(f).in_flight == 2;
  int is_asked = fault_hits(CALL_GET_EVENTS) > 0;
  faults_reset();
  run(f);
  assert_result(first, PAGE);
  assert_result(second, PAGE);
  if (!is_asked) {
    SKIP("this kernel posts completions without being asked");
  }
  assert_true(is_kept);
  assert_true(has_started);
  assert_backend(f, "pool");
}

/*
 * The ring breaks down while all that is pending is asked to end: the cancellations find the
 * submission queue full, and the flush that makes room fails for good.
 */

struct crowd {
  struct fixture* f;
  struct tracked_op* reads[DEPTH];
  int code;
};

static void submit_and_cancel(struct tracked_op* op) {
  struct crowd* crowd = op->data;
  struct fixture* f = crowd->f;
  for (unsigned i = 0; i < DEPTH; i++) {
    uvdio_buf_t page = blank(PAGE);
    crowd->reads[i] = t_read(op_new(&f->tracker), &f->file, &page, (uint64_t)i * PAGE);
  }
  fault_fail(CALL_SUBMIT, 1, FOR_GOOD, EPERM);
  crowd->code = uvdio_engine_cancel(f->engine);
}

static int open_with_large_batches(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = DEPTH;
  options.submit_batch_max = DEPTH;
  faults_reset();
  int failed = fixture_open_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    put(f, &f->file, 0, DEPTH * PAGE, 1);
    run_once(f);
  }
  return failed;
}

static void ring_may_break_down_while_all_is_cancelled(void** state) {
  struct fixture* f = *state;
  struct crowd crowd = {.f = f, .code = 1};
  uvdio_buf_t page = blank(PAGE);
  watch_for_hang("the cancellation of all");
  struct tracked_op* first =
      t_read(op_then(&f->tracker, submit_and_cancel, &crowd), &f->file, &page, 0);
  run(f);
  watch_for_hang(NULL);
  assert_code(crowd.code, 0);
  assert_result(first, PAGE);
  for (unsigned i = 0; i < DEPTH; i++) {
    assert_int_equal(crowd.reads[i]->done, 1);
    assert_true(crowd.reads[i]->result == UV_ECANCELED || crowd.reads[i]->result == PAGE);
  }
  assert_string_equal(info_of(&f->file).backend, "pool");
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(open_with_content, completions_are_refused_once),
      FAULT_TEST_ON(open_with_content, completions_are_refused_twice),
      FAULT_TEST_ON(open_with_content, completions_are_refused_five_times),
      FAULT_TEST_ON(open_with_content, submission_is_refused_once_at_any_time),
      FAULT_TEST_ON(open_with_content, submission_that_is_put_off_is_repeated),
      FAULT_TEST_ON(open_with_content, broken_ring_registers_nothing),
      FAULT_TEST_ON(open_with_content, requests_that_are_stuck_leave_room_for_others),
      FAULT_TEST_ON(open_with_content, kernel_that_takes_nothing_is_not_pestered),
      FAULT_TEST_ON(open_with_content, what_the_ring_can_not_do_now_the_pool_does),
      FAULT_TEST_ON(open_with_content, sync_that_the_ring_can_not_do_now_is_done_by_the_pool),
      FAULT_TEST_ON(open_with_content, sync_that_fails_is_not_repeated_by_the_pool),
      FAULT_TEST_ON(open_with_content, what_the_pool_can_not_do_either_is_the_result),
      FAULT_TEST_ON(open_with_content, ring_that_broke_is_not_replaced),
      FAULT_TEST_ON(open_with_content, rebind_that_fails_keeps_the_ring),
      FAULT_TEST_ON(open_read, request_waits_for_room),
      FAULT_TEST_ON(open_read, refused_request_stays_the_first),
      FAULT_TEST_ON(open_read, kernel_that_takes_nothing_is_left_alone),
      FAULT_TEST_ON(open_read, request_takes_a_place_that_came_free),
      FAULT_TEST_ON(open_read, new_ring_has_room),
      FAULT_TEST_ON(open_read, full_ring_breaks_down),
      FAULT_TEST_ON(open_read, cancellations_beyond_the_queue_are_dropped),
      FAULT_TEST_ON(open_with_large_batches, ring_may_break_down_while_all_is_cancelled),
      FAULT_TEST_ON(open_read, cancelled_open_that_is_interrupted_is_cancelled),
      FAULT_TEST_ON(open_read, open_that_has_begun_is_finished),
      FAULT_TEST_ON(open_read, completions_that_are_put_off_come_later),
      FAULT_TEST_ON(open_read, completions_that_are_put_off_for_long_come_in_another_turn),
      FAULT_TEST_ON(open_read_at_depth_1, what_waits_for_a_ring_that_breaks_down_goes_on),
  };
  return matrix_main("ring_submission", tests, COUNT_OF(tests), argc, argv);
}
