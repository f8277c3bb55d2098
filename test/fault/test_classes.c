/* SPDX-License-Identifier: MIT */
/*
 * I/O priorities of classes, as the kernel gets them, and as it refuses them.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "workers.h"

enum { URGENT = UVDIO_CLASS_USER };

static int set_up(void** state) {
  faults_reset();
  workers_begin();
  int failed = fixture_open(state);
  if (!failed) {
    struct fixture* f = *state;
    put(f, &f->file, 0, 4 * PAGE, 1);
    run_once(f);
  }
  return failed;
}

static int set_priority(struct fixture* f, uvdio_priority_t priority) {
  uvdio_class_options_t options = {.priority = priority};
  return uvdio_class_set(f->engine, URGENT, &options);
}

static struct tracked_op* read_in(struct fixture* f, unsigned class) {
  struct tracked_op* op = op_new(&f->tracker);
  uvdio_buf_t page = blank(PAGE);
  assert_ok(uvdio_req_set_class(&op->req, class));
  return t_read(op, &f->file, &page, 0);
}

/* As entries and blocks, or by two calls around each transfer that a worker performs. */
static void priority_is_that_of_its_class(void** state) {
  struct fixture* f = *state;
  need_faults();
  assert_ok(set_priority(f, UVDIO_PRIORITY_HIGH));
  unsigned before = fault_calls(CALL_IOPRIO_SET);
  for (unsigned i = 0; i < 3; i++) {
    assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER + 1, NULL));
    read_in(f, URGENT);
    read_in(f, UVDIO_CLASS_USER + 1);
    read_in(f, UVDIO_CLASS_DEFAULT);
  }
  run(f);
  unsigned by_calls = fault_calls(CALL_IOPRIO_SET) - before;
  assert_int_equal(fault_prioritised() + by_calls / 2, 3);
  assert_int_equal(by_calls, is_done_by(&f->file, "pool") ? 6 : 0);
}

/* A request of no class that has a priority comes after one that has. */
static void priority_ends_with_its_request(void** state) {
  struct fixture* f = *state;
  need_faults();
  assert_ok(set_priority(f, UVDIO_PRIORITY_LOW));
  struct tracked_op* op = read_in(f, URGENT);
  run(f);
  unsigned entries = fault_prioritised();
  unsigned calls = fault_calls(CALL_IOPRIO_SET);
  uvdio_buf_t page = blank(PAGE);
  assert_ok(uvdio_req_set_class(&op->req, UVDIO_CLASS_DEFAULT));
  t_read(op_new(&f->tracker), &f->file, &page, 0);
  run(f);
  assert_int_equal(fault_prioritised(), entries);
  assert_int_equal(fault_calls(CALL_IOPRIO_SET), calls);
}

struct look {
  uv_work_t work;
  long priority;
};

static void look_at_priority(uv_work_t* work) {
  ((struct look*)(void*)work)->priority = syscall(SYS_ioprio_get, 1, 0);
}

/* A worker is libuv's, and the program's as well. */
static void workers_have_their_own_priority_back(void** state) {
  struct fixture* f = *state;
  struct look looks[16];
  need_faults();
  look_at_priority(&looks[0].work);
  long own = looks[0].priority;
  assert_ok(set_priority(f, UVDIO_PRIORITY_IDLE));
  assert_int_equal(syscall(SYS_ioprio_get, 1, 0), own); /* the loop's thread, where it was tried */
  for (unsigned i = 0; i < 32; i++) {
    read_in(f, URGENT);
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(looks); i++) {
    assert_ok(uv_queue_work(&f->loop, &looks[i].work, look_at_priority, NULL));
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(looks); i++) {
    assert_int_equal(looks[i].priority, own);
  }
}

static void refused_priority_is_an_error(void** state) {
  struct fixture* f = *state;
  uvdio_class_stats_t stats;
  need_faults();
  fault_fail(CALL_IOPRIO_SET, 1, FOR_GOOD, EPERM);
  assert_code(set_priority(f, UVDIO_PRIORITY_REALTIME), UV_EPERM);
  assert_code(uvdio_class_stats(f->engine, URGENT, &stats), UV_ENOENT);
  assert_ok(set_priority(f, UVDIO_PRIORITY_NONE));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, priority_is_that_of_its_class),
      FAULT_TEST_ON(set_up, priority_ends_with_its_request),
      FAULT_TEST_ON(set_up, workers_have_their_own_priority_back),
      FAULT_TEST_ON(set_up, refused_priority_is_an_error),
  };
  return matrix_main("fault_classes", tests, COUNT_OF(tests), argc, argv);
}
