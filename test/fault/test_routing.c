/* SPDX-License-Identifier: MIT */
/*
 * The ways that requests go: files that the ring knows by no number, files whose transfers take
 * either of two backends, and a pool that is full beside a ring that is not.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "workers.h"

/* More than a pool takes at a time, and the ring has room for more. */
#define POOL_FULL 1024
#define DEPTH (2 * POOL_FULL)

/* An engine that knows its thread, and a ring that is in use. */
static int bound(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = DEPTH;
  faults_reset();
  int failed = fixture_open_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    put(f, &f->file, 0, PAGE, 1);
    t_sync_data(op_new(&f->tracker), &f->file);
    run(f);
  }
  return failed;
}

/*
 * Without a number. The kernel refuses the table of files, and the file has been read from by its
 * descriptor.
 */

static void lose_the_table(struct fixture* f) {
  need_a_ring_file(&f->file);
  fault_fail(CALL_REGISTER, 1, ONCE, ENOMEM);
  for (unsigned i = 0; i < 2; i++) {
    struct tracked_op* read = read_page(f, 0);
    run(f);
    assert_result(read, PAGE);
  }
  faults_reset();
  assert_int_equal(info_of(&f->file).is_registered, 0);
}

static void assert_closed(struct fixture* f) {
  uvdio_buf_t page = filled(PAGE, 1);
  assert_refused(t_read(op_new(&f->tracker), &f->file, &page, 0), UV_EBADF);
  assert_refused(t_write(op_new(&f->tracker), &f->file, &page, 0), UV_EBADF);
  assert_ok(uvdio_buf_release(&page));
}

static void file_without_a_number_takes_nothing_once_it_closes(void** state) {
  struct fixture* f = *state;
  lose_the_table(f);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  assert_closed(f);
  run(f);
  assert_result(close, 0);
  assert_closed(f);
}

static void file_without_a_number_takes_nothing_once_it_is_closed_at_once(void** state) {
  struct fixture* f = *state;
  lose_the_table(f);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_closed(f);
}

/*
 * In company.
 */

static void two_reads(struct fixture* f) {
  struct tracked_op* reads[2];
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    reads[i] = read_page(f, 0);
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    assert_result(reads[i], PAGE);
  }
}

static void ring_that_broke_down_is_no_company(void** state) {
  struct fixture* f = *state;
  need_two_backends(&f->file);
  two_reads(f);
  fault_fail(CALL_SUBMIT, 1, ONCE, EPERM);
  two_reads(f);
  assert_int_equal(fault_hits(CALL_SUBMIT), 1);
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  assert_string_equal(info_of(&f->file).backend, "pool");
  assert_string_equal(info_of(&f->file).backend_concurrent, "pool");
  uint64_t before = stats_of(f).punted;
  two_reads(f);
  assert_int_equal(stats_of(f).punted, before);
}

/*
 * A pool that is full.
 */

/* What waits for the pool comes first, and yet it has its turn without anything having to end: the
 * loop must not sleep. */
static void full_pool_is_no_reason_to_wait_for_the_ring(void** state) {
  struct fixture* f = *state;
  struct workers workers;
  need_a_ring_file(&f->file);
  workers_occupy(&workers, &f->loop, WORKERS);
  for (unsigned i = 0; i < POOL_FULL + 1; i++) {
    t_size(op_new(&f->tracker), &f->file);
  }
  watch_for_hang("a read beside a full pool");
  do {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  } while (uv_backend_timeout(&f->loop) == 0);
  unsigned before = stats_of(f).in_flight;
  struct tracked_op* read = read_page(f, 0);
  int sleeps = uv_backend_timeout(&f->loop) != 0;
  while (!read->done) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  watch_for_hang(NULL);
  unsigned after = stats_of(f).in_flight;
  workers_release(&workers);
  run(f);
  assert_int_equal(before, POOL_FULL);
  assert_int_equal(after, POOL_FULL);
  assert_result(read, PAGE);
  assert_false(sleeps);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(bound, file_without_a_number_takes_nothing_once_it_closes),
      FAULT_TEST_ON(bound, file_without_a_number_takes_nothing_once_it_is_closed_at_once),
      FAULT_TEST_ON(bound, ring_that_broke_down_is_no_company),
      FAULT_TEST_ON(bound, full_pool_is_no_reason_to_wait_for_the_ring),
  };
  workers_begin();
  return matrix_main("routing", tests, COUNT_OF(tests), argc, argv);
}
