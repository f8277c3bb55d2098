/* SPDX-License-Identifier: MIT */
/*
 * Deadlines: requests that take too long are told of, once, and end as ever.
 *
 * Requests are held by a rule of faults.h, so that they run, or by the limit of a class, so that
 * they wait.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"
#include "uvdio/faults.h"

enum { HELD = UVDIO_CLASS_USER, DEADLINE = 20 };

static int set_up(void** state) {
  uvdio_engine_options_t options = {0};
  return fixture_read_with(state, options, 4);
}

/* What was told. */
struct told {
  unsigned count;
  uvdio_request_info_t last;
  uint64_t at_ns;
  void (*then)(struct told* told);
  struct fixture* f;
  struct tracked_op* more;
};

static void on_late(const uvdio_request_info_t* info, void* arg) {
  struct told* told = arg;
  assert_false(inside_library());
  told->count++;
  told->last = *info;
  told->at_ns = uv_hrtime();
  if (told->then != NULL) {
    told->then(told);
  }
}

static struct told watch(struct fixture* f) {
  struct told told = {.f = f};
  return told;
}

/* The next read takes so long. */
static void delay_next(struct fixture* f, unsigned milliseconds) {
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_READ,
                             .times = 1,
                             .fault = {.kind = UVDIO_FAULT_DELAY, .delay_ms = milliseconds}};
  assert_ok(uvdio_engine_add_rule(f->engine, &rule));
}

static struct tracked_op* read_by(struct fixture* f, uint64_t deadline_ms) {
  struct tracked_op* op = op_new(&f->tracker);
  uvdio_buf_t page = blank(PAGE);
  assert_ok(uvdio_req_set_deadline(&op->req, deadline_ms));
  uv_update_time(&f->loop);
  return t_read(op, &f->file, &page, PAGE);
}

static void late_request_is_told_once(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  delay_next(f, 6 * DEADLINE);
  struct tracked_op* read = read_by(f, 0);
  run(f);
  assert_int_equal(told.count, 1);
  assert_ptr_equal(told.last.req, &read->req);
  assert_int_equal(told.last.op, UVDIO_OP_READ);
  assert_int_equal(told.last.state, UVDIO_REQUEST_RUNNING);
  assert_int_equal(told.last.offset, PAGE);
  assert_true(told.last.age_ms >= DEADLINE && told.last.age_ms < 6 * DEADLINE);
  assert_int_equal(told.last.silent_ms, told.last.age_ms);
  assert_result(read, PAGE);
}

static void request_in_time_is_not_told(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  assert_ok(uvdio_engine_watch(f->engine, 3600000, on_late, &told));
  delay_next(f, DEADLINE);
  struct tracked_op* read = read_by(f, 0);
  run(f);
  assert_int_equal(told.count, 0);
  assert_result(read, PAGE);
}

/* One of the two has less time, the other one more. */
static void own_deadline_counts(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  assert_ok(uvdio_engine_watch(f->engine, 2 * DEADLINE, on_late, &told));
  delay_next(f, 5 * DEADLINE);
  delay_next(f, 5 * DEADLINE);
  read_by(f, 3600000);
  struct tracked_op* read = read_by(f, DEADLINE);
  run(f);
  assert_int_equal(told.count, 1);
  assert_ptr_equal(told.last.req, &read->req);
}

/* Also one that the device has not got. */
static void waiting_request_is_told(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  uvdio_class_options_t options = {.operations_max = 8};
  assert_ok(uvdio_class_set(f->engine, HELD, &options));
  assert_ok(uvdio_file_set_class(&f->file, HELD));
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  read_by(f, 0);
  struct tracked_op* waiting = read_by(f, 0);
  run(f);
  assert_int_equal(told.count, 1);
  assert_ptr_equal(told.last.req, &waiting->req);
  assert_int_equal(told.last.state, UVDIO_REQUEST_WAITING);
  assert_true(told.last.silent_ms <= told.last.age_ms);
}

enum { BEHIND = 3 };

/* Which ends them all. */
static void cancel_the_first(struct told* told) {
  if (told->count == 1 + BEHIND) {
    assert_ok(uvdio_cancel(&told->more->req));
  }
}

/* Whatever it waits for: all of these are behind a read that takes long. */
static void deferred_requests_are_told(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  told.then = cancel_the_first;
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  delay_next(f, 600000);
  told.more = read_by(f, 0);
  t_truncate(op_new(&f->tracker), &f->file, 0);
  t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  watch_for_hang("deadlines of requests that wait for others");
  run(f);
  watch_for_hang(NULL);
  assert_int_equal(told.count, 1 + BEHIND);
  assert_ptr_equal(told.last.req, &close->req);
  assert_int_equal(told.last.state, UVDIO_REQUEST_DEFERRED);
}

static uvdio_buf_t frame;

static void release_the_frame(struct told* told) {
  (void)told;
  assert_ok(uvdio_buf_release(&frame));
}

static void wait_for_frames_is_told(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  told.then = release_the_frame;
  fixture_arena(f, PAGE, 1);
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  struct tracked_op* wait = t_arena_wait(op_new(&f->tracker), f->engine, f->arena, 1);
  watch_for_hang("the deadline of a wait for frames");
  run(f);
  watch_for_hang(NULL);
  assert_int_equal(told.count, 1);
  assert_ptr_equal(told.last.req, &wait->req);
  assert_int_equal(wait->result, 0);
}

static void cancel_it(struct told* told) {
  assert_ok(uvdio_cancel((uvdio_req_t*)told->last.req));
}

static void late_request_may_be_cancelled(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  told.then = cancel_it;
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  delay_next(f, 600000);
  struct tracked_op* read = read_by(f, 0);
  run(f);
  assert_int_equal(told.count, 1);
  assert_int_equal(read->result, UV_ECANCELED);
}

static void read_another(struct told* told) {
  told->more = read_by(told->f, 3600000);
}

static void callback_may_submit(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  told.then = read_another;
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  delay_next(f, 4 * DEADLINE);
  read_by(f, 0);
  run(f);
  assert_int_equal(told.count, 1);
  assert_result(told.more, PAGE);
}

static void watch_no_more(struct told* told) {
  assert_ok(uvdio_engine_watch(told->f->engine, 0, NULL, NULL));
}

static void watching_may_end_within(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  told.then = watch_no_more;
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  for (unsigned i = 0; i < 3; i++) {
    delay_next(f, 4 * DEADLINE);
  }
  for (unsigned i = 0; i < 3; i++) {
    read_by(f, 0);
  }
  run(f);
  assert_int_equal(told.count, 1);
}

/* Others get through meanwhile: the device is there. */
static void read_again(struct tracked_op* op) {
  unsigned* left = op->data;
  struct fixture* f = uvdio_engine_data(op->req.file->engine_);
  if (*left > 0) {
    uvdio_buf_t page = blank(PAGE);
    (*left)--;
    t_read(op_then(&f->tracker, read_again, left), &f->file, &page, 0);
  }
}

/* On a busy machine others of the reads may be told of as well, behind the one that is held up. */
static void note_silence(struct told* told) {
  uvdio_request_info_t* held_up = told->more->data;
  if (told->last.req == &told->more->req) {
    *held_up = told->last;
  }
}

/* What is told of a read that is held up while others come and go. */
static uvdio_request_info_t hold_one_up(struct fixture* f) {
  static unsigned left;
  struct told told = watch(f);
  uvdio_request_info_t held_up = {0};
  uvdio_buf_t page = blank(PAGE);
  left = 100000;
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  delay_next(f, 3 * DEADLINE);
  told.then = note_silence;
  told.more = read_by(f, 0);
  told.more->data = &held_up;
  t_read(op_then(&f->tracker, read_again, &left), &f->file, &page, 0);
  while (held_up.req == NULL && uv_run(&f->loop, UV_RUN_ONCE) != 0) {
  }
  left = 0;
  run(f);
  assert_ok(uvdio_engine_watch(f->engine, 0, NULL, NULL));
  return held_up;
}

/* Unless the machine has kept the others from their turn: then once more. */
static void silence_is_the_devices(void** state) {
  uvdio_request_info_t told = hold_one_up(*state);
  for (unsigned tries = 0; told.silent_ms == told.age_ms && tries < 100; tries++) {
    told = hold_one_up(*state);
  }
  assert_non_null(told.req);
  assert_true(told.silent_ms < told.age_ms);
}

static unsigned turns;

static void count_turn(uv_prepare_t* handle) {
  (void)handle;
  turns++;
}

/* A loop that looked at the clock all the time would turn some thousand times. */
static void loop_sleeps_meanwhile(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  uv_prepare_t prepare;
  assert_ok(uv_prepare_init(&f->loop, &prepare));
  assert_ok(uv_prepare_start(&prepare, count_turn));
  uv_unref((uv_handle_t*)&prepare);
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  delay_next(f, 5 * DEADLINE);
  read_by(f, 0);
  turns = 0;
  run(f);
  assert_int_equal(told.count, 1);
  assert_in_range(turns, 1, 100);
  uv_close((uv_handle_t*)&prepare, NULL);
  run(f);
}

static void find_timer(uv_handle_t* handle, void* arg) {
  if (handle->type == UV_TIMER && uv_is_active(handle)) {
    *(uv_timer_t**)arg = (uv_timer_t*)handle;
  }
}

/* What is late is told a quarter of the deadline later at most: so far ahead is the next look. */
static void next_look_is_a_quarter_ahead(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  uv_timer_t* timer = NULL;
  delay_next(f, 600000);
  read_by(f, 0);
  assert_ok(uvdio_engine_watch(f->engine, 400000, on_late, &told));
  uint64_t began_ms = uv_now(&f->loop);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  uv_walk(&f->loop, find_timer, &timer);
  assert_non_null(timer);
  assert_int_equal(uv_now(&f->loop) - began_ms + uv_timer_get_due_in(timer), 100000);
  assert_ok(uvdio_engine_cancel(f->engine));
  run(f);
  assert_int_equal(told.count, 0);
}

/* The engine has one timer for both: the earlier time counts. */
static void watching_puts_no_limit_off(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  uvdio_class_options_t options = {.operations_max = 50};
  assert_ok(uvdio_class_set(f->engine, HELD, &options));
  assert_ok(uvdio_file_set_class(&f->file, HELD));
  assert_ok(uvdio_engine_watch(f->engine, UINT32_MAX, on_late, &told));
  watch_for_hang("a limit beside a deadline");
  read_by(f, 0);
  read_by(f, 0);
  run(f);
  watch_for_hang(NULL);
  assert_int_equal(told.count, 0);
}

/* Nor does it wake a loop that others keep alive. */
static void watching_keeps_no_loop_alive(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  uv_timer_t* timer = NULL;
  uv_prepare_t prepare;
  assert_ok(uvdio_engine_watch(f->engine, 1, on_late, &told));
  run(f);
  assert_ok(uv_prepare_init(&f->loop, &prepare));
  assert_ok(uv_prepare_start(&prepare, count_turn));
  uv_run(&f->loop, UV_RUN_NOWAIT);
  uv_walk(&f->loop, find_timer, &timer);
  uv_close((uv_handle_t*)&prepare, NULL);
  run(f);
  assert_null(timer);
  assert_int_equal(told.count, 0);
}

static void deadlines_that_make_no_sense_are_refused(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  uvdio_req_t req = {0};
  assert_code(uvdio_engine_watch(NULL, 1, on_late, &told), UV_EINVAL);
  assert_code(uvdio_engine_watch(f->engine, 0, on_late, &told), UV_EINVAL);
  assert_code(uvdio_engine_watch(f->engine, (uint64_t)UINT32_MAX + 1, on_late, &told), UV_EINVAL);
  assert_ok(uvdio_engine_watch(f->engine, UINT32_MAX, on_late, &told));
  assert_ok(uvdio_engine_watch(f->engine, 0, NULL, NULL));
  assert_code(uvdio_req_set_deadline(NULL, 1), UV_EINVAL);
  assert_code(uvdio_req_set_deadline(&req, (uint64_t)UINT32_MAX + 1), UV_EINVAL);
  assert_ok(uvdio_req_set_deadline(&req, UINT32_MAX));
  struct tracked_op* read = read_by(f, 0);
  assert_code(uvdio_req_set_deadline(&read->req, 1), UV_EBUSY);
  run(f);
}

static void closing_engine_is_not_watched_anew(void** state) {
  struct fixture* f = *state;
  struct told told = watch(f);
  assert_ok(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told));
  assert_ok(uvdio_engine_close(f->engine, on_engine_closed));
  assert_code(uvdio_engine_watch(f->engine, DEADLINE, on_late, &told), UV_EBADF);
  run(f);
  f->engine = NULL;
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(set_up, late_request_is_told_once),
      TEST_ON(set_up, request_in_time_is_not_told),
      TEST_ON(set_up, own_deadline_counts),
      TEST_ON(set_up, waiting_request_is_told),
      TEST_ON(set_up, deferred_requests_are_told),
      TEST_ON(set_up, wait_for_frames_is_told),
      TEST_ON(set_up, late_request_may_be_cancelled),
      TEST_ON(set_up, callback_may_submit),
      TEST_ON(set_up, watching_may_end_within),
      TEST_ON(set_up, silence_is_the_devices),
      TEST_ON(set_up, loop_sleeps_meanwhile),
      TEST_ON(set_up, next_look_is_a_quarter_ahead),
      TEST_ON(set_up, watching_puts_no_limit_off),
      TEST_ON(set_up, watching_keeps_no_loop_alive),
      TEST_ON(set_up, deadlines_that_make_no_sense_are_refused),
      TEST_ON(set_up, closing_engine_is_not_watched_anew),
  };
  return matrix_main("late", tests, COUNT_OF(tests), argc, argv);
}
