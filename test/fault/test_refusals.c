/* SPDX-License-Identifier: MIT */
/*
 * A ring that the kernel refuses while it is in use (a seccomp filter that came late, io_uring
 * switched off): nothing is lost, nothing comes twice, the engine goes on with the pool and says
 * why.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE
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

static int tear_down(void** state) {
  faults_reset();
  return fixture_tear_down(state);
}

/* Every operation there is, and many of some; the tracker sees to one callback each. */
struct work {
  struct top* reads[MANY];
  struct top* writes[MANY];
  struct top* syncs[2];
  struct top* preallocate;
  struct top* size;
  struct top* open;
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
  uvdio_file_info_t info;
  const char* reason = uvdio_engine_backend_reason(f->engine);
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  assert_non_null(strstr(reason, "io_uring_enter"));
  assert_non_null(strstr(reason, "EPERM"));
  assert_ok(uvdio_file_info(&f->file, &info));
  assert_string_equal(info.backend, "pool");
}

static void goes_on_with_the_pool(struct fixture* f) {
  struct top* close;
  struct work work;
  close = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(close, 0);
  submit_work(f, &work);
  run(f);
  assert_work_done(f, &work);
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

static void submit_reads(struct fixture* f, struct top** reads, unsigned count) {
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
  struct top* read;
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
  struct top* reads[DEPTH];
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
  struct top* size = t_size(op_new(&f->tracker), &f->file);
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
  struct top* read;
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
  static const int errors[] = {ECANCELED, ENOMEM, ENOBUFS, EOPNOTSUPP};
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  need_a_ring_file(&f->file);
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    uvdio_buf_t to = filled(PAGE, 7);
    uint64_t punted = stats_of(f).punted;
    struct top* read;
    fault_fail(CALL_PREAD, 1, ONCE, errors[i]);
    fault_fail(CALL_PWRITE, 1, ONCE, errors[i]);
    fault_fail(CALL_FALLOCATE, 1, ONCE, errors[i]);
    fault_fail(CALL_OPEN, 1, ONCE, errors[i]);
    submit_reads(f, &read, 1);
    struct top* write = t_write(op_new(t), &f->file, &to, (uint64_t)MANY * PAGE);
    struct top* preallocate = t_preallocate(op_new(t), &f->file, 2 * MANY * PAGE);
    struct top* open = t_open(op_new(t), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
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
  fault_fail(CALL_FDATASYNC, 1, ONCE, ECANCELED);
  struct top* sync = t_sync_data(op_new(&f->tracker), &f->file);
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
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    assert_result(
        t_open(op_now(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW), 0);
    fault_fail(CALL_FDATASYNC, 1, ONCE, errors[i]);
    struct top* sync = t_sync_data(op_new(&f->tracker), &f->other);
    run(f);
    assert_result(sync, uv_translate_sys_error(errors[i]));
    assert_int_equal(fault_calls(CALL_FDATASYNC), 1);
    faults_reset();
    assert_refused(t_sync_data(op_new(&f->tracker), &f->other), uv_translate_sys_error(errors[i]));
    assert_result(t_close(op_now(&f->tracker), &f->other), 0);
  }
}

/* The pool's word is the last: an operation that no one here can do ends with that. */
static void what_the_pool_can_not_do_either_is_the_result(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  fault_fail(CALL_FALLOCATE, 1, FOR_GOOD, EOPNOTSUPP);
  struct top* preallocate = t_preallocate(op_new(&f->tracker), &f->file, 2 * MANY * PAGE);
  run(f);
  assert_result(preallocate, UV_ENOTSUP);
  assert_int_equal(fault_calls(CALL_FALLOCATE), 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_with_content, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(completions_are_refused_once),
      TEST(completions_are_refused_twice),
      TEST(completions_are_refused_five_times),
      TEST(submission_is_refused_once_at_any_time),
      TEST(submission_that_is_put_off_is_repeated),
      TEST(broken_ring_registers_nothing),
      TEST(requests_that_are_stuck_leave_room_for_others),
      TEST(kernel_that_takes_nothing_is_not_pestered),
      TEST(what_the_ring_can_not_do_now_the_pool_does),
      TEST(sync_that_the_ring_can_not_do_now_is_done_by_the_pool),
      TEST(sync_that_fails_is_not_repeated_by_the_pool),
      TEST(what_the_pool_can_not_do_either_is_the_result),
  };
  return matrix_main("refusals", tests, COUNT_OF(tests), argc, argv);
}
