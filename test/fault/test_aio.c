/* SPDX-License-Identifier: MIT */
/*
 * Kernel AIO that is denied, short of room, or refuses what an engine wants of it: nothing is lost,
 * nothing comes twice, what can't be begun without waiting goes to the pool, and an engine that
 * gives kernel AIO up says why.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "workers.h"

#define PAGES 64
#define DENIALS_MAX 16 /* src/aio/submit.c */

static int open_with_content(void** state) {
  faults_reset();
  int failed = fixture_read_with(state, matrix_options(), PAGES);
  faults_reset();
  return failed;
}

static void read_all_pages(struct fixture* f, struct tracked_op** reads, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    reads[i] = read_page(f, i);
  }
}

static void assert_all_read(struct tracked_op** reads, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    assert_result(reads[i], PAGE);
  }
}

static uint64_t punted(const struct fixture* f) {
  return stats_of(f).punted;
}

/*
 * Setting up
 */

static void assert_reason_has(const struct fixture* f, const char* words) {
  const char* reason = uvdio_engine_backend_reason(f->engine);
  if (strstr(reason, words) == NULL) {
    fail_msg("\"%s\" does not have \"%s\"", reason, words);
  }
}

/* The pool is what is left where neither can be had, and the reason tells why of both. */
static void denied_aio_leaves_the_pool(void** state) {
  struct fixture* f = *state;
  const int errors[] = {EPERM, ENOSYS, EAGAIN, EINVAL};
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    const char* name = uvdio_err_name(uv_translate_sys_error(errors[i]));
    uvdio_engine_options_t options = matrix_options();
    uvdio_engine_t* none = NULL;
    char reason[512];
    faults_reset();
    fault_fail(CALL_AIO_SETUP, 1, FOR_GOOD, errors[i]);
    fault_fail(CALL_SETUP, 1, FOR_GOOD, EACCES);
    assert_code(uvdio_backend_probe(UVDIO_BACKEND_AIO, reason, sizeof(reason)),
                uv_translate_sys_error(errors[i]));
    assert_non_null(strstr(reason, name));
    assert_code(uvdio_engine_create(&none, &f->loop, &options), UVDIO_EBACKEND);
    assert_ok(uvdio_engine_create(&f->engine, &f->loop, NULL));
    uvdio_engine_set_data(f->engine, f);
    assert_string_equal(uvdio_engine_backend(f->engine), "pool");
    assert_reason_has(f, name);
    assert_reason_has(f, "io_setup");
    assert_reason_has(f, "io_uring");
    f->closed = 0;
    faults_reset();
    end_engine(f);
  }
}

static void assert_probe_names(int error, const char* call) {
  char reason[512];
  assert_code(uvdio_backend_probe(UVDIO_BACKEND_AIO, reason, sizeof(reason)), error);
  if (strncmp(reason, call, strlen(call)) != 0) {
    fail_msg("\"%s\" does not begin with \"%s\"", reason, call);
  }
  faults_reset();
}

/* Whatever stands in the way of the one request that has to come back. */
static void call_that_fails_is_named(void** state) {
  (void)state;
  fault_fail(CALL_AIO_SETUP, 1, ONCE, EINVAL);
  assert_probe_names(UV_EINVAL, "io_setup ");
  fault_fail(CALL_EVENTFD, 1, ONCE, EMFILE);
  assert_probe_names(UV_EMFILE, "eventfd ");
  fault_fail(CALL_AIO_SUBMIT, 1, ONCE, EINVAL);
  assert_probe_names(UV_EINVAL, "io_submit ");
  fault_take_in_vain(1);
  assert_probe_names(UV_EIO, "io_getevents ");
}

/* Where io_uring is denied, kernel AIO is taken, and the reason tells why it is not a ring. */
static void denied_ring_leaves_aio(void** state) {
  struct fixture* f = *state;
  if (fault_calls(CALL_SETUP) == 0 && uvdio_backend_probe(UVDIO_BACKEND_RING, NULL, 0) != 0) {
    SKIP("only a ring can be denied");
  }
  fault_fail(CALL_SETUP, 1, FOR_GOOD, EPERM);
  assert_ok(uvdio_engine_create(&f->engine, &f->loop, NULL));
  uvdio_engine_set_data(f->engine, f);
  assert_string_equal(uvdio_engine_backend(f->engine), "aio");
  assert_reason_has(f, "io_uring_setup is denied (EPERM)");
  end_engine(f);
}

/* The machine's limit leaves less room than was asked for: less is in flight, and nothing fails. */
static void little_room_is_enough(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[PAGES];
  uvdio_engine_options_t options = {.depth = PAGES};
  fault_fail(CALL_AIO_SETUP, 1, 2, EAGAIN);
  start_engine(f, options);
  assert_int_equal(fault_calls(CALL_AIO_SETUP), 3);
  assert_reason_has(f, "room for 16 requests instead of 64");
  assert_reason_has(f, "fs.aio-max-nr");
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  put(f, &f->file, 0, (size_t)PAGES * PAGE, 1);
  run_once(f);
  read_all_pages(f, reads, PAGES);
  assert_int_equal(stats_of(f).in_flight, 16);
  run(f);
  assert_all_read(reads, PAGES);
}

/* Room for less than that is not worth it, and that much is asked for in any case. */
static void too_little_room_is_none(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = matrix_options();
  options.depth = PAGES;
  fault_fail(CALL_AIO_SETUP, 1, 3, EAGAIN);
  assert_code(uvdio_engine_create(&f->engine, &f->loop, &options), UVDIO_EBACKEND);
  assert_int_equal(fault_calls(CALL_AIO_SETUP), 3);
  options.depth = 30;
  fault_fail(CALL_AIO_SETUP, 1, ONCE, EAGAIN);
  start_engine(f, options);
  assert_reason_has(f, "room for 16 requests instead of 30");
}

/*
 * io_submit(2) refuses
 */

static void gives_up(struct fixture* f, int error, unsigned calls) {
  struct tracked_op* reads[PAGES];
  fault_fail(CALL_AIO_SUBMIT, 1, FOR_GOOD, error);
  read_all_pages(f, reads, PAGES);
  run(f);
  assert_all_read(reads, PAGES);
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  assert_reason_has(f, "io_submit");
  assert_reason_has(f, uvdio_err_name(uv_translate_sys_error(error)));
  assert_int_equal(fault_calls(CALL_AIO_SUBMIT), calls);
}

static void submission_that_is_not_there_is_given_up_at_once(void** state) {
  gives_up(*state, ENOSYS, 1);
}

/* One denial may be about one file. */
static void denied_submission_is_given_up_after_a_while(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[PAGES];
  gives_up(f, EPERM, DENIALS_MAX);
  read_all_pages(f, reads, PAGES);
  run(f);
  assert_all_read(reads, PAGES);
}

static void denials_count_in_a_row_only(void** state) {
  struct fixture* f = *state;
  for (unsigned round = 0; round < 4; round++) {
    struct tracked_op* reads[DENIALS_MAX];
    fault_fail(CALL_AIO_SUBMIT, 1, DENIALS_MAX - 1, EACCES);
    read_all_pages(f, reads, DENIALS_MAX);
    run(f);
    assert_all_read(reads, DENIALS_MAX);
  }
  assert_string_equal(uvdio_engine_backend(f->engine), "aio");
}

/* The kernel will not have one of them: the pool's answer counts, and the others go on. */
static void refused_request_goes_to_the_pool(void** state) {
  struct fixture* f = *state;
  const int errors[] = {EINVAL, EBADF, EOPNOTSUPP, EPERM, EAGAIN};
  for (size_t i = 0; i < COUNT_OF(errors); i++) {
    struct tracked_op* reads[4];
    uint64_t before = punted(f);
    fault_fail(CALL_AIO_SUBMIT, 1, ONCE, errors[i]);
    read_all_pages(f, reads, COUNT_OF(reads));
    run(f);
    assert_all_read(reads, COUNT_OF(reads));
    assert_int_equal(punted(f) - before, 1);
  }
  assert_string_equal(uvdio_engine_backend(f->engine), "aio");
}

static void stop_timer(uv_handle_t* handle, void* arg) {
  (void)arg;
  if (handle->type == UV_TIMER) {
    uv_timer_stop((uv_timer_t*)handle);
  }
}

/* With others in flight, room comes when they end: that takes no timer. */
static void submission_waits_for_room(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[2];
  uint64_t before = punted(f);
  fault_block_reads(1);
  reads[0] = read_page(f, 0);
  fault_fail(CALL_AIO_SUBMIT, 1, ONCE, EAGAIN);
  reads[1] = read_page(f, 1);
  assert_int_equal(fault_hits(CALL_AIO_SUBMIT), 1);
  assert_int_equal(stats_of(f).in_flight, 2);
  uv_walk(&f->loop, stop_timer, NULL);
  fault_end_reads(1, PAGE);
  watch_for_hang("a submission that waits for room");
  run(f);
  watch_for_hang(NULL);
  assert_all_read(reads, COUNT_OF(reads));
  assert_int_equal(punted(f) - before, 0);
}

/* And a little later in any case. */
static void submission_is_tried_again(void** state) {
  struct fixture* f = *state;
  fault_block_reads(1);
  struct tracked_op* first = read_page(f, 0);
  fault_fail(CALL_AIO_SUBMIT, 1, ONCE, EAGAIN);
  struct tracked_op* second = read_page(f, 1);
  while (!second->done) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  assert_result(second, PAGE);
  assert_int_equal(first->done, 0);
  fault_end_reads(1, PAGE);
  run(f);
  assert_result(first, PAGE);
}

static void kernel_may_take_fewer(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[PAGES];
  fault_shorten(CALL_AIO_SUBMIT, 1, FOR_GOOD, 1);
  read_all_pages(f, reads, PAGES);
  run(f);
  assert_all_read(reads, PAGES);
  assert_true(fault_calls(CALL_AIO_SUBMIT) >= PAGES);
}

/* Nobody has it yet: it ends at once, and the kernel gets nothing of it. */
static void cancelled_before_it_is_sent_is_not_sent(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[7]; /* four at once, then so many at a time */
  read_all_pages(f, reads, COUNT_OF(reads));
  unsigned sent = fault_calls(CALL_PREAD);
  assert_true(sent < COUNT_OF(reads));
  for (unsigned i = sent; i < COUNT_OF(reads); i++) {
    assert_ok(t_cancel(reads[i]));
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    assert_result(reads[i], i < sent ? PAGE : UV_ECANCELED);
  }
  assert_int_equal(fault_calls(CALL_PREAD), sent);
}

/*
 * Results that mean "not now"
 */

static void read_that_would_wait_goes_to_the_pool(void** state) {
  struct fixture* f = *state;
  uint64_t before = punted(f);
  fault_fail(CALL_PREAD, 1, ONCE, EAGAIN);
  struct tracked_op* read = read_page(f, 0);
  run(f);
  assert_result(read, PAGE);
  assert_int_equal(punted(f) - before, 1);
  assert_int_equal(fault_calls(CALL_PREAD), 2);
}

static unsigned vain_tries(struct fixture* f, unsigned writes) {
  unsigned before = fault_entries(CALL_PWRITE);
  for (unsigned i = 0; i < writes; i++) {
    struct tracked_op* write = write_page(f, i % PAGES);
    run(f);
    assert_result(write, PAGE);
  }
  return fault_entries(CALL_PWRITE) - before;
}

/* Writes that are refused one after the other are tried less and less often: after 1, 3, 7, 15, 31,
 * 63, 63 others. One that succeeds makes the next ones direct again, and all is as it was. */
static void refused_writes_take_a_detour(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 2; i++) {
    faults_reset();
    fault_fail(CALL_PWRITE, 1, ONCE, EAGAIN);
    assert_int_equal(vain_tries(f, 2), 1);
    assert_int_equal(vain_tries(f, 4), 4);
  }
}

/* A file without its blocks: the kernel refuses to begin, and in the end hardly anything is tried
 * in vain. */
static void writes_that_extend_a_file_are_the_pools(void** state) {
  struct fixture* f = *state;
  uint64_t before = punted(f);
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  for (unsigned i = 0; i < 2 * PAGES; i++) {
    struct tracked_op* write = write_page_of(f, &f->other, i, i);
    run(f);
    assert_result(write, PAGE);
    assert_holds(f, &f->other, i * PAGE, PAGE, i);
  }
  assert_int_equal(punted(f) - before, 2 * PAGES);
  assert_true(fault_entries(CALL_PWRITE) <= 8);
}

static void large_transfers_are_the_pools(void** state) {
  struct fixture* f = *state;
  size_t size = ((size_t)1 << 20) + PAGE;
  uint64_t before = punted(f);
  uvdio_buf_t large = filled(size, 3);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &large, 0);
  run(f);
  assert_result(write, (ssize_t)size);
  assert_int_equal(punted(f) - before, 1);
  assert_int_equal(fault_entries(CALL_PWRITE), 0);
  assert_holds(f, &f->file, 0, size, 3);
}

/* A device that knows no requests that refuse to wait: that is no error of the disk's. */
static void unknown_flag_is_no_answer_of_the_disks(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_WAL);
  put(f, &f->other, 0, 4 * PAGE, 1);
  fault_fail(CALL_PWRITE, 1, ONCE, EOPNOTSUPP);
  struct tracked_op* write = write_page_of(f, &f->other, 0, 1);
  run(f);
  assert_result(write, PAGE);
  assert_code(info_of(&f->other).latch_error, 0);
  fault_fail(CALL_PREAD, 1, ONCE, EOPNOTSUPP);
  struct tracked_op* read = read_page_of(f, &f->other, 1);
  run(f);
  assert_result(read, PAGE);
}

/* Writes that are refused beside each other are one refusal. */
static void refusals_at_a_time_count_once(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_PWRITE, 1, 6, EAGAIN);
  for (unsigned i = 0; i < 6; i++) {
    write_page(f, i);
  }
  run(f);
  assert_int_equal(fault_hits(CALL_PWRITE), 6);
  faults_reset();
  assert_int_equal(vain_tries(f, 10), 9);
}

/* The library's own last request is not for the user to end. */
static void release_is_not_cancelled(void** state) {
  struct fixture* f = *state;
  struct workers workers;
  workers_occupy(&workers, &f->loop, WORKERS);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  while (stats_of(f).in_flight == 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_ok(uvdio_engine_cancel(f->engine));
  faults_reset();
  workers_release(&workers);
  while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
  }
  f->engine = NULL;
  assert_int_equal(f->closed, 1);
  assert_int_equal(fault_calls_here(CALL_AIO_DESTROY), 0);
  assert_int_equal(fault_calls(CALL_AIO_DESTROY), 1);
}

/*
 * Completions
 */

static int open_unknown(void** state) {
  faults_reset();
  fault_pretend_unknown_aio(1);
  return fixture_read_with(state, matrix_options(), PAGES);
}

/* Only io_getevents(2) can be relied on. */
static void unknown_ring_is_asked_by_a_call(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[PAGES];
  read_all_pages(f, reads, PAGES);
  run(f);
  assert_all_read(reads, PAGES);
  assert_int_equal(vain_tries(f, PAGES), PAGES);
}

/* What was signalled before wakes nobody, however often something is submitted. The kernel signals
 * behind the completion, which may have been taken by then: that signal arrives in the first
 * while. */
static void loop_sleeps_while_something_runs(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[4];
  for (unsigned i = 0; i < 2; i++) {
    reads[i] = read_page(f, i);
    run(f);
  }
  fault_block_reads(2);
  reads[2] = read_page(f, 2);
  assert_in_range(run_for_a_while(f, 20, 0), 1, 40);
  uint64_t before = stats_of(f).wakeups;
  reads[3] = read_page(f, 3);
  assert_in_range(run_for_a_while(f, 20, 0), 1, 40);
  assert_int_equal(stats_of(f).wakeups - before, 0);
  fault_end_reads(2, PAGE);
  run(f);
  assert_all_read(reads, COUNT_OF(reads));
}

/* Without edges the eventfd is read at each wake-up. */
static void edges_are_not_needed(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_EPOLL_CTL, 1, FOR_GOOD, EPERM);
  for (unsigned i = 0; i < 20; i++) {
    struct tracked_op* read = read_that_ends_later(f);
    run(f);
    assert_result(read, PAGE);
  }
  assert_true(fault_calls(CALL_READ) > 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(fixture_loop, denied_aio_leaves_the_pool),
      FAULT_TEST_ON(fixture_loop, call_that_fails_is_named),
      FAULT_TEST_ON(fixture_loop, denied_ring_leaves_aio),
      FAULT_TEST_ON(fixture_loop, little_room_is_enough),
      FAULT_TEST_ON(fixture_loop, too_little_room_is_none),
      FAULT_TEST_ON(open_with_content, submission_that_is_not_there_is_given_up_at_once),
      FAULT_TEST_ON(open_with_content, denied_submission_is_given_up_after_a_while),
      FAULT_TEST_ON(open_with_content, denials_count_in_a_row_only),
      FAULT_TEST_ON(open_with_content, refused_request_goes_to_the_pool),
      FAULT_TEST_ON(open_with_content, submission_waits_for_room),
      FAULT_TEST_ON(open_with_content, submission_is_tried_again),
      FAULT_TEST_ON(open_with_content, kernel_may_take_fewer),
      FAULT_TEST_ON(open_with_content, cancelled_before_it_is_sent_is_not_sent),
      FAULT_TEST_ON(open_with_content, read_that_would_wait_goes_to_the_pool),
      FAULT_TEST_ON(open_with_content, refused_writes_take_a_detour),
      FAULT_TEST_ON(open_with_content, writes_that_extend_a_file_are_the_pools),
      FAULT_TEST_ON(open_with_content, large_transfers_are_the_pools),
      FAULT_TEST_ON(open_with_content, unknown_flag_is_no_answer_of_the_disks),
      FAULT_TEST_ON(open_with_content, refusals_at_a_time_count_once),
      FAULT_TEST_ON(fixture_engine, release_is_not_cancelled),
      FAULT_TEST_ON(open_unknown, unknown_ring_is_asked_by_a_call),
      FAULT_TEST_ON(open_with_content, loop_sleeps_while_something_runs),
      FAULT_TEST_ON(fixture_open, edges_are_not_needed),
  };
  return matrix_main("aio", tests, COUNT_OF(tests), argc, argv);
}
