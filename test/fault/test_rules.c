/* SPDX-License-Identifier: MIT */
/*
 * Rules of faults (uvdio/faults.h) before a backend that has troubles of its own: what is held gets
 * to whoever does the work by then, and a part of a transfer stays a part.
 */
#include "uvdio/faults.h"

#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define PAGES 8u

static int open_with_content(void** state) {
  faults_reset();
  int failed = fixture_open(state);
  if (!failed) {
    struct fixture* f = *state;
    put(f, &f->file, 0, (size_t)PAGES * PAGE, 1);
  }
  return failed;
}

static void add_delay(struct fixture* f, uvdio_op_t op, uint32_t delay_ms) {
  uvdio_fault_rule_t rule = {
      .op = op, .times = 1, .fault = {.kind = UVDIO_FAULT_DELAY, .delay_ms = delay_ms}};
  assert_ok(uvdio_engine_add_rule(f->engine, &rule));
}

static void add_short(struct fixture* f, uvdio_op_t op, size_t length) {
  uvdio_fault_rule_t rule = {.op = op, .fault = {.kind = UVDIO_FAULT_SHORT, .length = length}};
  assert_ok(uvdio_engine_add_rule(f->engine, &rule));
}

static struct tracked_op* read_all(struct fixture* f) {
  uvdio_buf_t buf = blank((size_t)PAGES * PAGE);
  return t_read(op_new(&f->tracker), &f->file, &buf, 0);
}

static void assert_read_all(const struct tracked_op* read) {
  assert_result(read, (int64_t)PAGES * PAGE);
  assert_true(is_pattern(read->back.base, (size_t)PAGES * PAGE, 1));
}

static enum fault_call submission_to(const uvdio_file_t* file) {
  return is_done_by(file, "aio") ? CALL_AIO_SUBMIT : CALL_SUBMIT;
}

/* Milliseconds, within which any other read has ended, on a busy disk as well. */
#define LONG_MS 1000

/* It breaks down by the second read, while the first one is held. */
static void what_is_held_outlives_the_backend(void** state) {
  struct fixture* f = *state;
  if (!is_sent_in_batches(&f->file)) {
    SKIP("files of this filesystem are not with the ring");
  }
  add_delay(f, UVDIO_OP_READ, LONG_MS);
  fault_fail(submission_to(&f->file), 1, ONCE, ENOSYS);
  struct tracked_op* held = read_all(f);
  struct tracked_op* other = read_all(f);
  run(f);
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  assert_true(other->order < held->order);
  assert_read_all(held);
  assert_read_all(other);
}

/* Its delay is over while the kernel takes nothing. */
static void what_is_held_waits_for_the_kernel(void** state) {
  struct fixture* f = *state;
  if (!is_sent_in_batches(&f->file)) {
    SKIP("files of this filesystem are not with the ring");
  }
  add_delay(f, UVDIO_OP_READ, 5);
  fault_fail(submission_to(&f->file), 1, 10, EAGAIN);
  struct tracked_op* held = read_all(f);
  struct tracked_op* other = read_all(f);
  run(f);
  assert_read_all(held);
  assert_read_all(other);
}

/* No worker can be had at its end. */
static void what_is_held_may_find_no_worker(void** state) {
  struct fixture* f = *state;
  add_delay(f, UVDIO_OP_SIZE, 5);
  fault_fail(CALL_QUEUE_WORK, 1, ONCE, EINVAL);
  struct tracked_op* held = t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(held, UVDIO_EPOOL);
  held = t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(held, (int64_t)PAGES * PAGE);
}

/* None for the second part; the place that it would have had is used for what is no part, too. */
static void a_part_may_find_no_worker(void** state) {
  struct fixture* f = *state;
  int on_pool = is_done_by(&f->file, "pool");
  add_short(f, UVDIO_OP_READ, PAGE);
  fault_fail(CALL_QUEUE_WORK, 2, ONCE, EINVAL);
  struct tracked_op* read = read_all(f);
  run(f);
  assert_result(read, on_pool ? UVDIO_EPOOL : (int64_t)PAGES * PAGE);
  assert_int_equal(read->req.transferred, on_pool ? PAGE : (size_t)PAGES * PAGE);
  assert_ok(uvdio_engine_clear_rules(f->engine));
  faults_reset();
  read = read_all(f);
  run(f);
  assert_read_all(read);
}

/* What the kernel does not begin, a worker does, and no more than that. */
static void a_part_stays_a_part(void** state) {
  struct fixture* f = *state;
  need_faults();
  add_short(f, UVDIO_OP_READ, (size_t)3 * PAGE);
  for (unsigned n = 1; n <= 3; n++) {
    uint64_t resumed = stats_of(f).resumed;
    fault_fail(CALL_PREAD, n, ONCE, EAGAIN);
    struct tracked_op* read = read_all(f);
    run(f);
    assert_read_all(read);
    assert_int_equal(stats_of(f).resumed - resumed, 2);
    assert_int_equal(fault_calls(CALL_PREAD), 4);
    faults_reset();
  }
}

/* An answer of the system's own after a part: what was moved counts. */
static void the_system_may_fail_behind_a_part(void** state) {
  struct fixture* f = *state;
  need_faults();
  add_short(f, UVDIO_OP_WRITE, PAGE);
  fault_fail(CALL_PWRITE, 2, FOR_GOOD, EIO);
  uvdio_buf_t buf = filled((size_t)PAGES * PAGE, 2);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  faults_reset();
  assert_result(write, UV_EIO);
  assert_int_equal(write->req.transferred, PAGE);
  uvdio_fault_rule_info_t info;
  assert_ok(uvdio_engine_rule_info(f->engine, 0, &info));
  assert_int_equal(info.matched, 2);
  assert_ok(uvdio_engine_clear_rules(f->engine));
  assert_holds(f, &f->file, 0, PAGE, 2);
}

static void memory_may_end_at_the_first_rule(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {.path = "*", .fault = {.kind = UVDIO_FAULT_ERROR}};
  uvdio_fault_rule_info_t info;
  int code = UV_ENOMEM;
  unsigned n = 0;
  while (code == UV_ENOMEM) {
    faults_reset();
    fault_fail(CALL_MEMALIGN, ++n, ONCE, ENOMEM);
    code = uvdio_engine_add_rule(f->engine, &rule);
    assert_code(uvdio_engine_rule_info(f->engine, 0, &info), code == 0 ? 0 : UV_ENOENT);
  }
  assert_int_equal(code, 0);
  assert_in_range(n, 3, 6);
  faults_reset();
  assert_ok(uvdio_engine_clear_rules(f->engine));
  struct tracked_op* read = read_all(f);
  run(f);
  assert_read_all(read);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(open_with_content, what_is_held_outlives_the_backend),
      FAULT_TEST_ON(open_with_content, what_is_held_waits_for_the_kernel),
      FAULT_TEST_ON(open_with_content, what_is_held_may_find_no_worker),
      FAULT_TEST_ON(open_with_content, a_part_may_find_no_worker),
      FAULT_TEST_ON(open_with_content, a_part_stays_a_part),
      FAULT_TEST_ON(open_with_content, the_system_may_fail_behind_a_part),
      FAULT_TEST_ON(open_with_content, memory_may_end_at_the_first_rule),
  };
  return matrix_main("fault_rules", tests, COUNT_OF(tests), argc, argv);
}
