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
  return faults_open_written(state, 4);
}

static int set_priority(struct fixture* f, uvdio_priority_t priority) {
  uvdio_class_options_t options = {.priority = priority};
  return uvdio_class_set(f->engine, URGENT, &options);
}

static struct tracked_op* read_pages(struct fixture* f, unsigned class, size_t pages) {
  struct tracked_op* op = op_new(&f->tracker);
  uvdio_buf_t buf = blank(pages * PAGE);
  assert_ok(uvdio_req_set_class(&op->req, class));
  return t_read(op, &f->file, &buf, 0);
}

static struct tracked_op* read_in(struct fixture* f, unsigned class) {
  return read_pages(f, class, 1);
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

/* In the numbers of ioprio_set(2): a class, and a level below it. */
static void priorities_are_what_the_header_says(void** state) {
  struct fixture* f = *state;
  static const struct {
    uvdio_priority_t priority;
    unsigned number;
  } expected[] = {{UVDIO_PRIORITY_IDLE, 3u << 13},
                  {UVDIO_PRIORITY_LOW, 2u << 13 | 7},
                  {UVDIO_PRIORITY_NORMAL, 2u << 13 | 4},
                  {UVDIO_PRIORITY_HIGH, 2u << 13},
                  {UVDIO_PRIORITY_REALTIME, 1u << 13 | 4}};
  need_faults();
  for (unsigned i = 0; i < COUNT_OF(expected); i++) {
    if (set_priority(f, expected[i].priority) == 0) { /* The last one takes a right. */
      read_in(f, URGENT);
      run(f);
      assert_int_equal(fault_last_priority(), expected[i].number);
    }
  }
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
  f->elsewhere = stats_of(f).submitted;
  end_engine(f);
  start_engine(f, matrix_options()); /* without classes */
  memset(&f->file, 0, sizeof(f->file));
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  page = op_take(op);
  t_read(op, &f->file, &page, 0);
  run(f);
  assert_int_equal(fault_prioritised(), entries);
  assert_int_equal(fault_calls(CALL_IOPRIO_SET), calls);
}

struct look {
  uv_work_t work;
  uv_barrier_t* barrier;
  long to_set; /* -1: nothing */
  long priority;
};

/* Of this thread. Old kernels tell a level where there is none. */
static long priority_here(void) {
  long priority = syscall(SYS_ioprio_get, 1, 0);
  return priority >> 13 > 0 ? priority : 0;
}

static void look_at_priority(uv_work_t* work) {
  struct look* look = (struct look*)(void*)work;
  if (look->to_set != -1) {
    syscall(SYS_ioprio_set, 1, 0, look->to_set);
  }
  look->priority = priority_here();
  uv_barrier_wait(look->barrier); /* Each is on another thread. */
}

/* All workers have this priority, from now on where that is not -1. */
static void look_at_workers(struct fixture* f, long to_set, long expected) {
  struct look looks[WORKERS];
  uv_barrier_t barrier;
  assert_ok(uv_barrier_init(&barrier, WORKERS));
  for (unsigned i = 0; i < WORKERS; i++) {
    looks[i].barrier = &barrier;
    looks[i].to_set = to_set;
    assert_ok(uv_queue_work(&f->loop, &looks[i].work, look_at_priority, NULL));
  }
  run(f);
  uv_barrier_destroy(&barrier);
  for (unsigned i = 0; i < WORKERS; i++) {
    assert_int_equal(looks[i].priority, expected);
  }
}

/* A worker is libuv's, and the program's as well, which may have given it a priority. */
static void workers_have_their_own_priority_back(void** state) {
  struct fixture* f = *state;
  long own = priority_here();
  long low = 2 << 13 | 6;
  need_faults();
  look_at_workers(f, low, low);
  assert_ok(set_priority(f, UVDIO_PRIORITY_IDLE));
  assert_int_equal(priority_here(), own); /* the loop's thread, where it was tried */
  for (unsigned i = 0; i < 32; i++) {
    read_in(f, URGENT);
  }
  run(f);
  look_at_workers(f, -1, low);
  look_at_workers(f, 0, 0);
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

/* Two requests are all that the class may have in flight, or leave no room for a third one on the
 * device, and stay with a ring that breaks down: they may never come back. */
static void what_a_broken_ring_keeps_holds_nobody_up(struct fixture* f) {
  struct tracked_op* kept[2];
  uvdio_class_stats_t stats;
  need_a_ring_file(&f->file);
  fault_block_reads(2);
  for (unsigned i = 0; i < 2; i++) {
    kept[i] = read_pages(f, URGENT, 3);
  }
  run_until_it_sleeps(f);
  fault_fail(CALL_SUBMIT, 1, ONCE, EPERM);
  struct tracked_op* breaking = read_in(f, URGENT + 1);
  struct tracked_op* next = read_pages(f, URGENT, 3);
  run_until_it_sleeps(f);
  int is_broken = strcmp(uvdio_engine_backend(f->engine), "pool") == 0;
  assert_ok(uvdio_class_stats(f->engine, URGENT, &stats));
  fault_end_reads(2, (size_t)3 * PAGE);
  run(f);
  assert_true(is_broken);
  assert_int_equal(stats.waiting, 0);
  assert_result(kept[0], 3 * PAGE);
  assert_result(kept[1], 3 * PAGE);
  assert_result(breaking, PAGE);
  assert_result(next, 3 * PAGE);
  assert_ok(uvdio_class_stats(f->engine, URGENT, &stats));
  assert_int_equal(stats.in_flight, 0);
}

static void broken_ring_keeps_no_depth(void** state) {
  struct fixture* f = *state;
  uvdio_class_options_t options = {.depth = 2};
  need_faults();
  assert_ok(uvdio_class_set(f->engine, URGENT, &options));
  what_a_broken_ring_keeps_holds_nobody_up(f);
}

static void broken_ring_keeps_nothing_of_the_device(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = {1000, (uint64_t)8 * PAGE, 1000, 1000, 1000000, 1000000};
  need_faults();
  assert_ok(uvdio_engine_set_device_model(f->engine, &model));
  what_a_broken_ring_keeps_holds_nobody_up(f);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, priority_is_that_of_its_class),
      FAULT_TEST_ON(set_up, priorities_are_what_the_header_says),
      FAULT_TEST_ON(set_up, priority_ends_with_its_request),
      FAULT_TEST_ON(set_up, workers_have_their_own_priority_back),
      FAULT_TEST_ON(set_up, broken_ring_keeps_no_depth),
      FAULT_TEST_ON(set_up, broken_ring_keeps_nothing_of_the_device),
      FAULT_TEST_ON(set_up, refused_priority_is_an_error),
  };
  return matrix_main("fault_classes", tests, COUNT_OF(tests), argc, argv);
}
