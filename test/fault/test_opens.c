/*
 * An open is several system calls. Whatever becomes of each of them: a file that opened can be used, one that did not has
 * left nothing behind, and nothing blocks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "faults.h"
#include "fixture.h"
#include "workers.h"

#define PAGE UVDIO_PAGE_SIZE

static const enum fault_call steps[] = {CALL_OPEN, CALL_STATX, CALL_PREADV2, CALL_FSTATFS,
                                        CALL_FTRUNCATE};

/* An engine that knows its thread. */
static int bound_engine(void** state) {
  faults_reset();
  workers_begin();
  int failed = fixture_open(state);
  if (!failed) {
    struct fixture* f = *state;
    t_size(op_new(&f->tracker), &f->file);
    run(f);
  }
  return failed;
}

static int tear_down(void** state) {
  faults_reset();
  return fixture_tear_down(state);
}

static void need_faults(void) {
  if (matrix.backend == UVDIO_BACKEND_RING && !faults_reach_the_ring()) {
    SKIP("entries of a ring can't be made to fail here (Linux 6.10)");
  }
}

static void assert_usable(struct fixture* f, uvdio_file_t* file) {
  uvdio_file_info_t info;
  struct tracker* t = &f->tracker;
  uvdio_buf_t page = filled(PAGE, 1);
  struct top* write = t_write(op_new(t), file, &page, 0);
  struct top* sync = t_sync_data(op_new(t), file);
  assert_ok(uvdio_file_info(file, &info));
  run(f);
  assert_result(write, PAGE);
  assert_result(sync, 0);
  assert_holds(f, file, 0, PAGE, 1);
}

static const char* filesystem_of(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  assert_ok(uvdio_file_info(file, &info));
  return info.filesystem;
}

static struct top* close_it(struct fixture* f, uvdio_file_t* file) {
  struct top* close = t_close(op_new(&f->tracker), file);
  run(f);
  return close;
}

/*
 * Turned away, or interrupted.
 */

/* Opens with one step failing once. */
static struct top* open_with(struct fixture* f, struct top* op, enum fault_call step, int error) {
  faults_reset();
  fault_fail(step, 1, ONCE, error);
  t_open(op, f->dio, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  run(f);
  assert_int_equal(op->done, 1);
  return op;
}

/* Either is right, as long as it is true. */
static void turned_away_at(struct fixture* f, struct top* op, enum fault_call step) {
  size_t before = open_descriptors();
  open_with(f, op, step, EAGAIN);
  if (op->result == 0) {
    assert_usable(f, &f->other);
    assert_result(close_it(f, &f->other), 0);
  } else {
    assert_result(op, UV_EAGAIN);
    assert_refused(t_size(op_new(&f->tracker), &f->other), UV_EBADF);
  }
  assert_int_equal(open_descriptors(), before);
}

static void open_that_is_turned_away_is_usable_or_an_error(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    turned_away_at(f, op_new(&f->tracker), steps[i]);
    turned_away_at(f, op_now(&f->tracker), steps[i]);
  }
}

static void interrupted_at(struct fixture* f, struct top* op, enum fault_call step) {
  size_t before = open_descriptors();
  open_with(f, op, step, EINTR);
  assert_result(op, 0);
  assert_usable(f, &f->other);
  assert_string_equal(filesystem_of(&f->other), filesystem_of(&f->file));
  assert_result(close_it(f, &f->other), 0);
  assert_int_equal(open_descriptors(), before);
}

static void interrupted_open_is_repeated(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    interrupted_at(f, op_new(&f->tracker), steps[i]);
    interrupted_at(f, op_now(&f->tracker), steps[i]);
  }
}

static void failed_step_leaves_nothing_open(void** state) {
  struct fixture* f = *state;
  const enum fault_call fatal[] = {CALL_OPEN, CALL_STATX, CALL_FTRUNCATE};
  size_t before = open_descriptors();
  need_faults();
  for (size_t i = 0; i < COUNT_OF(fatal); i++) {
    assert_result(open_with(f, op_new(&f->tracker), fatal[i], EIO), UV_EIO);
    assert_result(open_with(f, op_now(&f->tracker), fatal[i], EIO), UV_EIO);
    assert_int_equal(open_descriptors(), before);
  }
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  assert_usable(f, &f->other);
}

/* A name that the filesystem does not take, for instance: the open says so, and not that there is no such file. */
static void file_that_can_not_be_created_is_not_said_to_be_missing(void** state) {
  struct fixture* f = *state;
  need_faults();
  assert_result(open_with(f, op_new(&f->tracker), CALL_OPEN, EINVAL), UV_EINVAL);
  assert_result(open_with(f, op_now(&f->tracker), CALL_OPEN, EINVAL), UV_EINVAL);
}

/*
 * Cancelled while its last step waits for a worker.
 */

struct late_cancel {
  struct fixture* f;
  struct top* open;
  uint64_t punted; /* before */
  struct workers workers;
  uv_idle_t idle;
  int code;
};

static int waits_for_a_worker(const struct late_cancel* late) {
  return matrix.backend == UVDIO_BACKEND_POOL || stats_of(late->f).punted > late->punted;
}

static void cancel_when_it_waits(uv_idle_t* idle) {
  struct late_cancel* late = idle->data;
  if (!waits_for_a_worker(late)) {
    return;
  }
  late->code = t_cancel(late->open);
  workers_release(&late->workers);
  uv_close((uv_handle_t*)idle, NULL);
}

/* A pool has queued the open in the submitting call, and nothing has been done; a ring passes it on in some later turn,
 * when the file has been created: then the cancellation is too late and the open goes on to its end. */
static void open_is_cancelled_while_every_worker_is_busy(void** state) {
  struct fixture* f = *state;
  struct late_cancel late = {.f = f};
  size_t before = open_descriptors();
  late.punted = stats_of(f).punted;
  workers_occupy(&late.workers, &f->loop, WORKERS);
  assert_int_equal(uv_idle_init(&f->loop, &late.idle), 0);
  late.idle.data = &late;
  assert_int_equal(uv_idle_start(&late.idle, cancel_when_it_waits), 0);
  late.open = t_open(op_new(&f->tracker), f->dio, &f->other, path_of(f, "other"),
                     UVDIO_OPEN_CREATE);
  run(f);
  assert_ok(late.code);
  if (matrix.backend == UVDIO_BACKEND_RING) {
    assert_result(late.open, 0);
    assert_result(close_it(f, &f->other), 0);
  } else {
    assert_result(late.open, UV_ECANCELED);
    assert_refused(t_size(op_new(&f->tracker), &f->other), UV_EBADF);
  }
  assert_int_equal(open_descriptors(), before);
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  assert_usable(f, &f->other);
}

/*
 * A FIFO that nobody writes to.
 */

static void opens_as_no_file(struct fixture* f, struct top* op, unsigned flags) {
  watch_for_hang("the open of a FIFO");
  t_open(op, f->dio, &f->other, path_of(f, "fifo"), flags);
  run(f);
  assert_result(op, UV_ESPIPE);
}

static void fifo_is_refused_without_blocking(void** state) {
  struct fixture* f = *state;
  const unsigned flags[] = {UVDIO_OPEN_READ, UVDIO_OPEN_READ | UVDIO_DIRECT_PREFERRED,
                            UVDIO_OPEN_RW};
  size_t before = open_descriptors();
  assert_int_equal(mkfifo(path_of(f, "fifo"), 0600), 0);
  for (size_t i = 0; i < COUNT_OF(flags); i++) {
    opens_as_no_file(f, op_new(&f->tracker), flags[i]);
    opens_as_no_file(f, op_now(&f->tracker), flags[i]);
  }
  assert_int_equal(open_descriptors(), before);
  assert_usable(f, &f->file);
  end_engine(f);
  assert_int_equal(f->closed, 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bound_engine, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(open_that_is_turned_away_is_usable_or_an_error),
      TEST(interrupted_open_is_repeated),
      TEST(failed_step_leaves_nothing_open),
      TEST(file_that_can_not_be_created_is_not_said_to_be_missing),
      TEST(open_is_cancelled_while_every_worker_is_busy),
      TEST(fifo_is_refused_without_blocking),
  };
  workers_begin();
  return matrix_main("opens", tests, COUNT_OF(tests), argc, argv);
}
