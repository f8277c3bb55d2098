/* SPDX-License-Identifier: MIT */
/*
 * Classes: who is next where requests wait, by shares; limits of a class; what a device takes at a
 * time; and what the counters tell of that.
 *
 * An engine that knows its thread, and a file that has been read from: what may begin does so in
 * the submitting call, and nothing ends before the loop runs. So the counters tell exactly what has
 * begun.
 */
#include <stdint.h>
#include <string.h>

#ifdef __linux__
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "fixture.h"
#include "ops.h"
#include "uvdio/faults.h"

enum {
  PAGES = 64,
  A = UVDIO_CLASS_USER,
  B = UVDIO_CLASS_USER + 1,
  C = UVDIO_CLASS_USER + 2,
  FRESH
};

static int open_at(void** state, unsigned depth) {
  uvdio_engine_options_t options = {.depth = depth};
  return fixture_read_with(state, options, PAGES);
}

static int deep(void** state) {
  return open_at(state, 0);
}

static int depth_1(void** state) {
  return open_at(state, 1);
}

static struct tracked_op* read_in(struct fixture* f, unsigned class, size_t pages) {
  struct tracked_op* op = op_new(&f->tracker);
  uvdio_buf_t buf = blank(pages * PAGE);
  assert_ok(uvdio_req_set_class(&op->req, class));
  return t_read(op, &f->file, &buf, 0);
}

static struct tracked_op* write_in(struct fixture* f, unsigned class, size_t pages) {
  struct tracked_op* op = op_new(&f->tracker);
  uvdio_buf_t buf = filled(pages * PAGE, class);
  assert_ok(uvdio_req_set_class(&op->req, class));
  return t_write(op, &f->file, &buf, 0);
}

static void set_class(struct fixture* f, unsigned class, uvdio_class_options_t options) {
  assert_ok(uvdio_class_set(f->engine, class, &options));
}

static uvdio_class_stats_t told(const struct fixture* f, unsigned class) {
  uvdio_class_stats_t stats;
  assert_ok(uvdio_class_stats(f->engine, class, &stats));
  return stats;
}

static void assert_one_waits_in_each(const struct fixture* f) {
  assert_int_equal(told(f, A).waiting, 1);
  assert_int_equal(told(f, B).waiting, 1);
}

static uvdio_device_model_t some_model(void) {
  uvdio_device_model_t model = {.depth = 4,
                                .bytes_in_flight = 16 * PAGE,
                                .read_operations = 100000,
                                .write_operations = 50000,
                                .read_bytes = 1000000000,
                                .write_bytes = 500000000};
  return model;
}

/*
 * Who is next
 */

/* How many of them were among the first `count` after `before`. */
static unsigned among_first(struct tracked_op** ops, unsigned of, unsigned before, unsigned count) {
  unsigned found = 0;
  for (unsigned i = 0; i < of; i++) {
    found += ops[i]->order > before && ops[i]->order <= before + count;
  }
  return found;
}

enum { EACH = 30 };

typedef struct tracked_op* (*submit_in)(struct fixture* f, unsigned class, size_t pages);

/* What a class asks for, one request like the other. */
struct rival {
  unsigned class;
  submit_in submit;
  size_t pages;
};

/* One is in flight, and all others wait. Returns how many of the second one's were among the first
 * 20. */
static unsigned compete_as(struct fixture* f, struct rival one, struct rival other) {
  struct tracked_op* of_one[EACH];
  struct tracked_op* of_other[EACH];
  read_in(f, C, 1);
  unsigned before = f->tracker.finished + 1;
  for (unsigned i = 0; i < EACH; i++) {
    of_one[i] = one.submit(f, one.class, one.pages);
  }
  for (unsigned i = 0; i < EACH; i++) {
    of_other[i] = other.submit(f, other.class, other.pages);
  }
  assert_int_equal(stats_of(f).in_flight, 1);
  run(f);
  assert_int_equal(among_first(of_one, EACH, before, 2 * EACH), EACH);
  return among_first(of_other, EACH, before, 20);
}

/* Reads of A and of B, of one page each. */
static unsigned compete(struct fixture* f, size_t pages_of_a) {
  return compete_as(f, (struct rival){A, read_in, pages_of_a}, (struct rival){B, read_in, 1});
}

static void shares_decide(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.shares = 100});
  set_class(f, B, (uvdio_class_options_t){.shares = 300});
  assert_in_range(compete(f, 1), 14, 16); /* 15 of 20 */
}

/* Of two classes with as many shares, whose requests cost as much: they take turns, and what one of
 * them has more or less adds up. */
static void assert_turns(struct fixture* f, struct rival one, struct rival other) {
  enum { TURNS = 128 };
  struct tracked_op* ops[2 * TURNS];
  read_in(f, C, 1);
  for (unsigned i = 0; i < TURNS; i++) {
    ops[2 * i] = one.submit(f, one.class, one.pages);
    ops[2 * i + 1] = other.submit(f, other.class, other.pages);
  }
  run(f);
  for (unsigned i = 1; i < 2 * TURNS; i++) {
    assert_int_equal(ops[i]->order, ops[i - 1]->order + 1);
  }
}

/* At a nanosecond for each request. Each is compared with another class, which has nothing left
 * from the one before. */
static void shares_that_are_not_set_are_those_of_the_header(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t fastest = {1, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
  static const struct {
    unsigned class;
    unsigned shares;
  } expected[] = {{UVDIO_CLASS_DEFAULT, 100},
                  {UVDIO_CLASS_LOG, 1000},
                  {UVDIO_CLASS_FOREGROUND, 500},
                  {UVDIO_CLASS_BACKGROUND, 50},
                  {UVDIO_CLASS_USER, 100}};
  assert_ok(uvdio_engine_set_device_model(f->engine, &fastest));
  for (unsigned i = 0; i < COUNT_OF(expected); i++) {
    set_class(f, FRESH + i, (uvdio_class_options_t){.shares = expected[i].shares});
    assert_turns(f, (struct rival){expected[i].class, read_in, 1},
                 (struct rival){FRESH + i, read_in, 1});
  }
}

static void equal_shares_take_turns(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){0});
  assert_in_range(compete(f, 1), 9, 11);
}

/* Without a device model a request counts as one, and again as one for each 64 KiB. */
static void large_requests_cost_more(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){0});
  assert_in_range(compete(f, 48), 15, 17); /* 64 to 17, as 15.8 to 4.2 */
}

/* A got much while B had nothing to do: B has nothing to catch up with. */
static void idle_class_saves_nothing(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){0});
  for (unsigned i = 0; i < 100; i++) {
    read_in(f, A, 1);
  }
  run(f);
  assert_in_range(compete(f, 1), 9, 11);
}

static void run_until_done(struct fixture* f, const struct tracked_op* op) {
  while (!op->done) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
}

/* One of B's waits for a limit, `more` others behind it, and A got much meanwhile. The limit, once
 * more, is none. */
static void hold_up_b(struct fixture* f, struct tracked_op** of_b, unsigned count) {
  struct tracked_op* last = NULL;
  set_class(f, A, (uvdio_class_options_t){0});
  set_class(f, B, (uvdio_class_options_t){.operations_max = 1});
  run_until_done(f, read_in(f, B, 1));
  for (unsigned i = 0; i < count; i++) {
    of_b[i] = read_in(f, B, 1);
  }
  for (unsigned i = 0; i < 200; i++) {
    last = read_in(f, A, 1);
  }
  run_until_done(f, last);
  set_class(f, B, (uvdio_class_options_t){0});
}

static void class_that_was_held_up_saves_nothing(void** state) {
  struct fixture* f = *state;
  struct tracked_op* of_b[EACH];
  hold_up_b(f, of_b, EACH);
  read_in(f, A, 1);
  unsigned before = f->tracker.finished + 1;
  for (unsigned i = 0; i < EACH; i++) {
    read_in(f, A, 1);
  }
  run(f);
  assert_in_range(among_first(of_b, EACH, before, 20), 9, 11);
}

/* C comes when one of B's has just begun that had waited for long. It does not begin where B
 * stood. */
static void class_that_was_held_up_takes_no_other_along(void** state) {
  struct fixture* f = *state;
  struct tracked_op* of_b[1];
  struct tracked_op* of_c[EACH];
  hold_up_b(f, of_b, 1);
  struct tracked_op* last = read_in(f, B, 1);
  assert_int_equal(told(f, B).in_flight, 1);
  unsigned before = f->tracker.finished + 1;
  for (unsigned i = 0; i < EACH; i++) {
    read_in(f, A, 1);
    of_c[i] = read_in(f, C, 1);
  }
  run(f);
  assert_true(last->order > before);
  assert_in_range(among_first(of_c, EACH, before, 20), 9, 11);
}

/* However much a class got, by however slow a model, one that was idle has its turn. */
static void virtual_time_has_no_end(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t slowest = {1, 1, 1, 1, 1, 1};
  struct tracked_op* of_b[EACH];
  assert_ok(uvdio_engine_set_device_model(f->engine, &slowest));
  set_class(f, A, (uvdio_class_options_t){.shares = 1});
  set_class(f, B, (uvdio_class_options_t){.shares = 1});
  for (unsigned i = 0; i < 440; i++) { /* past 2^63, and past where it begins anew */
    read_in(f, A, 2);
  }
  run(f);
  read_in(f, A, 1); /* which is charged in advance */
  unsigned before = f->tracker.finished + 1;
  for (unsigned i = 0; i < EACH; i++) {
    read_in(f, A, 1);
    of_b[i] = read_in(f, B, 1);
  }
  run(f);
  assert_in_range(among_first(of_b, EACH, before, 20), 9, 11);
}

static void requests_of_a_class_keep_their_order(void** state) {
  struct fixture* f = *state;
  struct tracked_op* ops[EACH];
  set_class(f, A, (uvdio_class_options_t){0});
  for (unsigned i = 0; i < EACH; i++) {
    ops[i] = read_in(f, A, 1 + i % 3);
  }
  run(f);
  for (unsigned i = 1; i < EACH; i++) {
    assert_true(ops[i - 1]->order < ops[i]->order);
  }
}

/*
 * Which class
 */

static void request_goes_before_file(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){0});
  assert_ok(uvdio_file_set_class(&f->file, A));
  read_in(f, B, 2);
  read_in(f, UVDIO_CLASS_DEFAULT, 3);
  run(f);
  assert_int_equal(told(f, A).operations, 1);
  assert_int_equal(told(f, A).bytes, 3 * PAGE);
  assert_int_equal(told(f, B).operations, 1);
  assert_int_equal(told(f, B).bytes, 2 * PAGE);
  assert_int_equal(told(f, UVDIO_CLASS_DEFAULT).operations, 0);
}

/* Those that wait stay in the class in which they were submitted. */
static void file_may_change_its_class_meanwhile(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.depth = 1});
  assert_ok(uvdio_file_set_class(&f->file, A));
  for (unsigned i = 0; i < 3; i++) {
    read_in(f, UVDIO_CLASS_DEFAULT, 1);
  }
  assert_ok(uvdio_file_set_class(&f->file, B));
  assert_int_equal(told(f, A).in_flight, 1);
  assert_int_equal(told(f, A).waiting, 2);
  run(f);
  assert_int_equal(told(f, A).operations, 3);
  assert_int_equal(told(f, A).waited, 2);
  assert_int_equal(told(f, A).in_flight, 0);
  assert_int_equal(told(f, B).operations, 0);
}

static void every_operation_has_a_class(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  set_class(f, A, (uvdio_class_options_t){0});
  assert_ok(uvdio_file_set_class(&f->file, A));
  t_write(op_new(&f->tracker), &f->file, &page, 0);
  t_sync_data(op_new(&f->tracker), &f->file);
  t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(told(f, A).operations, 3);
  assert_int_equal(told(f, A).bytes, PAGE);
}

/*
 * Limits
 */

static void depth_of_a_class_is_its_own(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.depth = 2});
  for (unsigned i = 0; i < 5; i++) {
    read_in(f, A, 1);
  }
  for (unsigned i = 0; i < 5; i++) {
    read_in(f, B, 1);
  }
  assert_int_equal(told(f, A).in_flight, 2);
  assert_int_equal(told(f, A).waiting, 3);
  assert_int_equal(told(f, B).in_flight, 5);
  assert_int_equal(stats_of(f).in_flight, 7);
  run(f);
  assert_int_equal(told(f, A).operations, 5);
  assert_int_equal(told(f, A).waited, 3);
  assert_int_equal(told(f, B).waited, 0);
}

static void new_options_let_waiting_requests_go(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1});
  read_in(f, A, 1);
  read_in(f, A, 1);
  assert_int_equal(told(f, A).waiting, 1);
  set_class(f, A, (uvdio_class_options_t){0});
  uint64_t began = uv_hrtime();
  run(f);
  assert_true(uv_hrtime() - began < UINT64_C(900000000)); /* for which the limit would have held */
  assert_int_equal(told(f, A).operations, 2);
}

/* The first one is free. The loop sleeps meanwhile: it does not turn without end. */
static void operations_per_second_hold(void** state) {
  struct fixture* f = *state;
  enum { COUNT = 6, RATE = 50 };
  set_class(f, A, (uvdio_class_options_t){.operations_max = RATE});
  uint64_t began = uv_hrtime();
  for (unsigned i = 0; i < COUNT; i++) {
    read_in(f, A, 1);
  }
  assert_int_equal(told(f, A).in_flight, 1);
  read_in(f, B, 1);
  assert_int_equal(told(f, B).in_flight, 1);
  run(f);
  assert_true(uv_hrtime() - began >= UINT64_C(1000000000) / RATE * (COUNT - 1));
  assert_int_equal(told(f, A).operations, COUNT);
  assert_int_equal(told(f, A).limited, COUNT - 1);
}

/* A large request begins by a token, and those behind it wait for the rest. */
static void bytes_per_second_hold(void** state) {
  struct fixture* f = *state;
  enum { RATE = 1024 * 1024 };
  set_class(f, A, (uvdio_class_options_t){.bytes_max = RATE});
  uint64_t began = uv_hrtime();
  read_in(f, A, 32);
  read_in(f, A, 1);
  assert_int_equal(told(f, A).in_flight, 1);
  run(f);
  uint64_t owed = 32 * PAGE - RATE / 100;
  assert_true(uv_hrtime() - began >= owed * 1000000000 / RATE);
  assert_int_equal(told(f, A).bytes, 33 * PAGE);
  assert_int_equal(told(f, A).limited, 1);
}

/* A class that is idle for long gets no more at once than one that has just got its limit. What
 * time has let through since the first request belongs to it as well. */
static void burst_is_what_ten_milliseconds_allow(void** state) {
  struct fixture* f = *state;
  enum { BURST = 3, RATE = 100 * BURST };
  set_class(f, A, (uvdio_class_options_t){.operations_max = RATE});
  for (unsigned round = 0; round < 2; round++) {
    uint64_t began = uv_hrtime();
    for (unsigned i = 0; i < 2 * BURST; i++) {
      read_in(f, A, 1);
    }
    uint64_t more = 1 + (uv_hrtime() - began) * RATE / 1000000000;
    assert_in_range(told(f, A).in_flight, BURST, BURST + more);
    run(f);
    run_for_a_while(f, 40, 0);
  }
}

/* The same for bytes, of which a class that asks for more than that gets into debt. */
static void burst_of_bytes_is_what_ten_milliseconds_allow(void** state) {
  struct fixture* f = *state;
  enum { BURST = 4, RATE = 100 * BURST * PAGE };
  set_class(f, A, (uvdio_class_options_t){.bytes_max = RATE});
  for (unsigned round = 0; round < 2; round++) {
    uint64_t began = uv_hrtime();
    for (unsigned i = 0; i < 2 * BURST; i++) {
      read_in(f, A, 1);
    }
    uint64_t more = 1 + (uv_hrtime() - began) * RATE / 1000000000 / PAGE;
    assert_in_range(told(f, A).in_flight, BURST, BURST + more);
    run(f);
    run_for_a_while(f, 40, 0);
  }
}

/* Neither the operation nor the bytes that the class has had are given to it once more. */
static void limit_that_is_set_again_forgives_nothing(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1});
  set_class(f, B, (uvdio_class_options_t){.bytes_max = 2 * MIB});
  read_in(f, A, 1);
  read_in(f, B, PAGES);
  set_class(f, A, (uvdio_class_options_t){.operations_max = 4});
  set_class(f, B, (uvdio_class_options_t){.bytes_max = MIB});
  read_in(f, A, 1);
  read_in(f, B, 1);
  assert_one_waits_in_each(f);
  run(f);
}

/* What a tenth of a second gave by the old limit is much less than what it would have given by the
 * new one. */
static void new_limit_counts_from_now_on(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1});
  read_in(f, A, 1);
  run(f);
  run_for_a_while(f, 100, 0);
  uint64_t began = uv_hrtime();
  set_class(f, A, (uvdio_class_options_t){.operations_max = 12});
  read_in(f, A, 1);
  uint64_t waiting = told(f, A).waiting;
  assert_true(waiting == 1 || uv_hrtime() - began > 50000000);
  run(f);
}

/* Both limits have to let a request begin; and the later one decides. */
static void both_limits_hold(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1, .bytes_max = UINT64_MAX});
  set_class(f, B, (uvdio_class_options_t){.operations_max = UINT64_MAX, .bytes_max = MIB});
  read_in(f, A, 1);
  read_in(f, B, PAGES);
  read_in(f, A, 1);
  read_in(f, B, 1);
  assert_one_waits_in_each(f);
  assert_ok(uvdio_engine_cancel(f->engine));
  run(f);
}

static void smallest_limits_hold(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1});
  set_class(f, B, (uvdio_class_options_t){.bytes_max = 1});
  for (unsigned i = 0; i < 2; i++) {
    read_in(f, A, 1);
    read_in(f, B, 1);
  }
  assert_one_waits_in_each(f);
  assert_ok(uvdio_engine_cancel(f->engine));
  run(f);
}

/* The write takes the one that there is, and the sync into which it turns waits for the next. */
static void durable_write_takes_two_operations(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = op_new(&f->tracker);
  set_class(f, A, (uvdio_class_options_t){.operations_max = 20});
  assert_ok(uvdio_req_set_class(&write->req, A));
  t_write_flags(write, &f->file, &page, 0, UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(told(f, A).operations, 2);
  assert_int_equal(told(f, A).limited, 1);
}

struct setter {
  uv_timer_t timer;
  struct fixture* f;
  unsigned times;
};

static void set_again(uv_timer_t* timer) {
  struct setter* setter = timer->data;
  uint64_t began = uv_hrtime();
  while (uv_hrtime() - began < 20000000) {
  }
  set_class(setter->f, A, (uvdio_class_options_t){.operations_max = 10});
  if (++setter->times == 50) {
    uv_timer_stop(timer);
  }
}

/* A program that computes for most of the time may set a limit more often than that lets something
 * begin. */
static void limit_that_is_set_again_holds_no_longer(void** state) {
  struct fixture* f = *state;
  struct setter setter = {.f = f};
  assert_ok(uv_timer_init(&f->loop, &setter.timer));
  setter.timer.data = &setter;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 10});
  read_in(f, A, 1);
  struct tracked_op* held = read_in(f, A, 1);
  assert_ok(uv_timer_start(&setter.timer, set_again, 1, 1));
  while (!held->done && setter.times < 50) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  unsigned times = setter.times;
  uv_close((uv_handle_t*)&setter.timer, NULL);
  run(f);
  assert_true(times < 50);
}

/* A limit of one request per second; the drain takes no 20 seconds. */
static void drain_is_not_limited(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1});
  for (unsigned i = 0; i < 20; i++) {
    read_in(f, A, 1);
  }
  uint64_t began = uv_hrtime();
  end_engine(f);
  assert_true(uv_hrtime() - began < UINT64_C(19000000000));
  assert_int_equal(f->tracker.finished, f->tracker.accepted);
}

static void close_handle(uv_handle_t* handle, void* arg) {
  (void)arg;
  if (!uv_is_closing(handle)) {
    uv_close(handle, NULL);
  }
}

/* Nor is what is pending when the program has closed the handles of the loop: the next call has the
 * engine go on without them. */
static void limits_end_with_the_loop(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1});
  for (unsigned i = 0; i < 20; i++) {
    read_in(f, A, 1);
  }
  run_until_it_sleeps(f);
  uv_walk(&f->loop, close_handle, NULL);
  read_in(f, A, 1);
  uint64_t began = uv_hrtime();
  run(f);
  assert_true(uv_hrtime() - began < UINT64_C(19000000000));
  assert_int_equal(told(f, A).operations, 21);
}

static void limited_requests_can_be_cancelled(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1});
  read_in(f, A, 1);
  struct tracked_op* one = read_in(f, A, 1);
  struct tracked_op* other = read_in(f, A, 1);
  assert_ok(uvdio_cancel(&one->req));
  assert_int_equal(told(f, A).waiting, 1);
  assert_ok(uvdio_engine_cancel(f->engine));
  assert_int_equal(told(f, A).waiting, 0);
  run(f);
  assert_int_equal(one->result, UV_ECANCELED);
  assert_int_equal(other->result, UV_ECANCELED);
  assert_int_equal(told(f, A).operations, 1);
  assert_int_equal(told(f, A).in_flight, 0);
}

static void count_waiting(const uvdio_request_info_t* info, void* arg) {
  *(unsigned*)arg += info->state == UVDIO_REQUEST_WAITING;
}

static void limited_requests_are_listed(void** state) {
  struct fixture* f = *state;
  unsigned waiting = 0;
  set_class(f, A, (uvdio_class_options_t){.depth = 1});
  for (unsigned i = 0; i < 4; i++) {
    read_in(f, A, 1);
  }
  assert_ok(uvdio_engine_walk(f->engine, count_waiting, &waiting));
  assert_int_equal(waiting, 3);
  run(f);
}

/*
 * Bounds
 */

static void refused_in(struct fixture* f, unsigned class) {
  struct tracked_op* op = op_new(&f->tracker);
  uvdio_buf_t buf = blank(PAGE);
  assert_ok(uvdio_req_set_class(&op->req, class));
  t_read(op, &f->file, &buf, 0);
  assert_refused(op, UVDIO_EFULL);
  assert_ok(uvdio_buf_release(&buf)); /* it is ours still */
}

/* One is in flight, so that the rest waits. */
static void requests_beyond_the_bound_are_refused(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_max = 3});
  for (unsigned i = 0; i < 4; i++) {
    read_in(f, A, 1);
  }
  refused_in(f, A);
  refused_in(f, A);
  read_in(f, B, 1);
  read_in(f, UVDIO_CLASS_DEFAULT, 1);
  assert_int_equal(told(f, A).refused, 2);
  assert_int_equal(told(f, A).waiting, 3);
  run(f);
  assert_int_equal(told(f, A).operations, 4);
  read_in(f, A, 1);
  run(f);
  assert_int_equal(told(f, A).operations, 5);
}

/* The last one accepted may go beyond it: no request is too large for ever. */
static void bytes_beyond_the_bound_are_refused(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_bytes_max = 4 * PAGE});
  read_in(f, A, 1);
  read_in(f, A, 3);
  read_in(f, A, 20);
  assert_int_equal(told(f, A).waiting_bytes, 23 * PAGE);
  refused_in(f, A);
  run(f);
  assert_int_equal(told(f, A).waiting_bytes, 0);
  assert_int_equal(told(f, A).bytes, 24 * PAGE);
}

/* What makes durable, or ends something, gets through. */
static void full_class_lets_syncs_through(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_max = 1});
  assert_ok(uvdio_file_set_class(&f->file, A));
  read_in(f, UVDIO_CLASS_DEFAULT, 1);
  read_in(f, UVDIO_CLASS_DEFAULT, 1);
  assert_refused(t_size(op_new(&f->tracker), &f->file), UVDIO_EFULL);
  assert_refused(t_size(op_now(&f->tracker), &f->file), UVDIO_EFULL);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  assert_result(close, 0);
}

static void cancelled_requests_make_room(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_max = 1});
  read_in(f, A, 1);
  struct tracked_op* waiting = read_in(f, A, 1);
  refused_in(f, A);
  assert_ok(uvdio_cancel(&waiting->req));
  read_in(f, A, 1);
  run(f);
  assert_int_equal(waiting->result, UV_ECANCELED);
}

static void wider_bound_makes_room(void** state) {
  struct fixture* f = *state;
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_max = 1});
  read_in(f, A, 1);
  read_in(f, A, 1);
  refused_in(f, A);
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_max = 2});
  read_in(f, A, 1);
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_max = 1});
  refused_in(f, A);
  run(f);
  read_in(f, A, 1);
  run(f);
}

struct room {
  struct fixture* f;
  unsigned calls;
  unsigned again; /* waits so many times more */
  int status;
  uint64_t waiting;
  unsigned finished;
};

static void on_room(uvdio_engine_t* engine, unsigned number, int status, void* arg) {
  struct room* room = arg;
  assert_ptr_equal(engine, room->f->engine);
  assert_int_equal(number, A);
  assert_false(inside_library());
  room->calls++;
  room->status = status;
  room->waiting = told(room->f, A).waiting;
  room->finished = room->f->tracker.finished;
  if (room->again > 0) {
    room->again--;
    assert_ok(uvdio_class_wait_room(engine, A, on_room, room));
  }
}

static void note_number(uvdio_engine_t* engine, unsigned number, int status, void* arg) {
  (void)engine;
  (void)status;
  *(unsigned*)arg = number;
}

static void room_is_told_once(void** state) {
  struct fixture* f = *state;
  struct room room = {.f = f, .status = 1};
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_max = 8});
  for (unsigned i = 0; i < 9; i++) {
    read_in(f, A, 1);
  }
  refused_in(f, A);
  assert_ok(uvdio_class_wait_room(f->engine, A, on_room, &room));
  assert_int_equal(room.calls, 0);
  run(f);
  assert_int_equal(room.calls, 1);
  assert_int_equal(room.status, 0);
  assert_true(room.waiting <= 4);
}

/* One of the class is done at most, because of its limit, and `count` wait. Cancels one after the
 * other, and returns how many wait when room is told. */
static uint64_t waiting_when_told(struct fixture* f, uvdio_class_options_t options,
                                  unsigned count) {
  struct room room = {.f = f};
  struct tracked_op* ops[EACH];
  options.operations_max = 1;
  set_class(f, A, options);
  for (unsigned i = 0; i <= count; i++) {
    ops[i] = read_in(f, A, 1);
  }
  assert_int_equal(told(f, A).waiting, count);
  refused_in(f, A);
  assert_ok(uvdio_class_wait_room(f->engine, A, on_room, &room));
  for (unsigned i = count; i > 0 && room.calls == 0; i--) {
    assert_ok(uvdio_cancel(&ops[i]->req));
    run_until_it_sleeps(f);
  }
  assert_int_equal(room.calls, 1);
  set_class(f, A, (uvdio_class_options_t){0});
  run(f);
  return room.waiting;
}

static void room_is_told_at_half_of_the_bound(void** state) {
  assert_int_equal(waiting_when_told(*state, (uvdio_class_options_t){.queue_max = 8}, 8), 4);
}

static void room_is_told_at_half_of_the_bytes(void** state) {
  uvdio_class_options_t options = {.queue_bytes_max = 8 * PAGE};
  assert_int_equal(waiting_when_told(*state, options, 8), 4);
}

static void room_is_told_when_both_bounds_have_some(void** state) {
  uvdio_class_options_t requests = {.queue_max = 8, .queue_bytes_max = 12 * PAGE};
  uvdio_class_options_t bytes = {.queue_max = 12, .queue_bytes_max = 8 * PAGE};
  assert_int_equal(waiting_when_told(*state, requests, 8), 4);
  assert_int_equal(waiting_when_told(*state, bytes, 8), 4);
}

/* The first class, the last one and one in between: each gets a call of its own. */
static void each_class_is_told_of_its_room(void** state) {
  struct fixture* f = *state;
  static const unsigned classes[] = {UVDIO_CLASSES - 1, UVDIO_CLASS_DEFAULT, A};
  unsigned told_of[COUNT_OF(classes)];
  for (unsigned i = 0; i < COUNT_OF(classes); i++) {
    told_of[i] = UVDIO_CLASSES;
    set_class(f, classes[i], (uvdio_class_options_t){.queue_max = 2});
    assert_ok(uvdio_class_wait_room(f->engine, classes[i], note_number, &told_of[i]));
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(classes); i++) {
    assert_int_equal(told_of[i], classes[i]);
  }
}

/* Somebody who waits for room, among others. */
struct waiter {
  struct fixture* f;
  unsigned count; /* requests that it submits then */
  unsigned turn;  /* when it was told, from 1 on */
  unsigned again;
  int status;
};
static unsigned turns;

static void on_turn(uvdio_engine_t* engine, unsigned number, int status, void* arg) {
  struct waiter* waiter = arg;
  waiter->turn = ++turns;
  waiter->status = status;
  for (unsigned i = 0; i < waiter->count; i++) {
    read_in(waiter->f, number, 1);
  }
  if (waiter->again > 0) {
    waiter->again--;
    assert_ok(uvdio_class_wait_room(engine, number, on_turn, waiter));
  }
}

static void wait_for_room(struct fixture* f, unsigned class, struct waiter* waiters,
                          unsigned count) {
  turns = 0;
  for (unsigned i = 0; i < count; i++) {
    waiters[i].f = f;
    assert_ok(uvdio_class_wait_room(f->engine, class, on_turn, &waiters[i]));
  }
}

/* Whoever comes first fills the class; the next is told when it has room again. */
static void room_goes_to_those_that_wait_in_their_order(void** state) {
  struct fixture* f = *state;
  struct waiter waiters[3] = {{.count = 5}, {.count = 2}, {.count = 2}};
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1, .queue_max = 4});
  wait_for_room(f, A, waiters, 3);
  run_until_it_sleeps(f);
  assert_int_equal(waiters[0].turn, 1);
  assert_int_equal(waiters[1].turn, 0);
  assert_true(told(f, A).waiting >= 4);
  set_class(f, A, (uvdio_class_options_t){.depth = 1, .queue_max = 4});
  run(f);
  assert_int_equal(waiters[1].turn, 2);
  assert_int_equal(waiters[2].turn, 3);
}

/* Who waits again at once stands behind all others, and behind those of other classes. */
static void nobody_waits_in_the_way_of_others(void** state) {
  struct fixture* f = *state;
  struct waiter eager[2] = {{.again = 5}, {.again = 5}};
  struct waiter other = {.f = f};
  set_class(f, A, (uvdio_class_options_t){.queue_max = 4});
  set_class(f, UVDIO_CLASSES - 1, (uvdio_class_options_t){.queue_max = 4});
  wait_for_room(f, A, eager, 2);
  assert_ok(uvdio_class_wait_room(f->engine, UVDIO_CLASSES - 1, on_turn, &other));
  run(f);
  assert_int_equal(other.turn, 3);
  assert_int_equal(eager[0].turn, 12);
  assert_int_equal(eager[1].turn, 13);
}

static void waits_for_room_are_cancelled(void** state) {
  struct fixture* f = *state;
  struct waiter waiters[4] = {{0}};
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1, .queue_max = 2});
  for (unsigned i = 0; i < 3; i++) {
    read_in(f, A, 1);
  }
  wait_for_room(f, A, waiters, 4);
  assert_ok(uvdio_class_cancel_wait(f->engine, A, on_turn, &waiters[2]));
  assert_ok(uvdio_class_cancel_wait(f->engine, A, on_turn, &waiters[1]));
  assert_code(uvdio_class_cancel_wait(f->engine, A, on_turn, &waiters[1]), UV_ENOENT);
  assert_int_equal(turns, 0);
  run_until_it_sleeps(f);
  assert_int_equal(turns, 2);
  assert_code(waiters[1].status, UV_ECANCELED);
  assert_code(waiters[2].status, UV_ECANCELED);
  assert_code(uvdio_class_cancel_wait(f->engine, A, on_turn, &waiters[2]), UV_ENOENT);
  set_class(f, A, (uvdio_class_options_t){0});
  run(f);
  assert_int_equal(waiters[0].turn, 3);
  assert_int_equal(waiters[3].turn, 4);
  assert_ok(waiters[0].status);
}

/* Nothing else keeps the loop alive. */
static void room_that_is_there_is_told_in_a_turn(void** state) {
  struct fixture* f = *state;
  struct room room = {.f = f, .again = 2};
  set_class(f, A, (uvdio_class_options_t){.queue_max = 8});
  assert_ok(uvdio_class_wait_room(f->engine, A, on_room, &room));
  assert_int_equal(room.calls, 0);
  run(f);
  assert_int_equal(room.calls, 3);
  assert_int_equal(room.status, 0);
}

static void closing_engine_ends_the_wait_for_room(void** state) {
  struct fixture* f = *state;
  struct room room = {.f = f};
  set_class(f, A, (uvdio_class_options_t){.operations_max = 1, .queue_max = 2});
  for (unsigned i = 0; i < 3; i++) {
    read_in(f, A, 1);
  }
  assert_ok(uvdio_class_wait_room(f->engine, A, on_room, &room));
  assert_ok(uvdio_engine_close(f->engine, on_engine_closed));
  assert_int_equal(room.calls, 0);
  run(f);
  f->engine = NULL;
  assert_int_equal(room.calls, 1);
  assert_int_equal(room.status, UV_ECANCELED);
}

static void waits_for_room_that_make_no_sense_are_refused(void** state) {
  struct fixture* f = *state;
  struct room room = {.f = f};
  assert_code(uvdio_class_wait_room(NULL, A, on_room, &room), UV_EINVAL);
  assert_code(uvdio_class_wait_room(f->engine, A, NULL, &room), UV_EINVAL);
  assert_code(uvdio_class_wait_room(f->engine, UVDIO_CLASSES, on_room, &room), UV_EINVAL);
  assert_code(uvdio_class_wait_room(f->engine, A, on_room, &room), UV_ENOENT);
  assert_code(uvdio_class_cancel_wait(NULL, A, on_room, &room), UV_EINVAL);
  assert_code(uvdio_class_cancel_wait(f->engine, A, NULL, &room), UV_EINVAL);
  assert_code(uvdio_class_cancel_wait(f->engine, UVDIO_CLASSES, on_room, &room), UV_EINVAL);
  assert_code(uvdio_class_cancel_wait(f->engine, A, on_room, &room), UV_ENOENT);
}

/*
 * The device
 */

static void device_has_no_more_than_it_takes(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  for (unsigned depth = 1; depth <= 7; depth++) {
    model.depth = depth;
    assert_ok(uvdio_engine_set_device_model(f->engine, &model));
    for (unsigned i = 0; i < 10; i++) {
      read_in(f, i % 2 ? A : B, 1);
    }
    assert_int_equal(stats_of(f).in_flight, depth);
    run(f);
    assert_int_equal(stats_of(f).in_flight_peak, depth);
  }
}

static void large_request_fills_the_device(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  assert_ok(uvdio_engine_set_device_model(f->engine, &model));
  read_in(f, A, 32); /* more than the device takes, but it has nothing to do */
  read_in(f, B, 1);
  assert_int_equal(told(f, A).in_flight, 1);
  assert_int_equal(told(f, B).in_flight, 0);
  run(f);
  assert_int_equal(told(f, B).operations, 1);
}

/* By the model a read of 48 pages takes as long as 20 of one page. */
static void device_model_tells_the_cost(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  assert_ok(uvdio_engine_set_device_model(f->engine, &model));
  assert_in_range(compete(f, 48), 18, 20);
}

/* Writes have figures of their own: each differs from the reads' by a factor that shows. */
static void device_model_tells_the_cost_of_writes(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  struct rival read = {FRESH, read_in, 1};
  struct rival write = {FRESH + 1, write_in, 1};
  struct rival other_write = {FRESH + 2, write_in, 1};
  model.write_operations = model.read_operations / 4;
  model.write_bytes = model.read_bytes / 10;
  assert_ok(uvdio_engine_set_device_model(f->engine, &model));
  assert_in_range(compete_as(f, (struct rival){A, write_in, 1}, read), 15, 17);   /* 4 to 1 */
  assert_in_range(compete_as(f, (struct rival){B, write_in, 11}, write), 17, 19); /* 45 to 4 */
  assert_in_range(compete_as(f, (struct rival){FRESH + 3, read_in, 11}, other_write), 10, 12);
}

/* Whatever the rate of bytes: it is that of large requests. */
static void bytes_of_small_requests_cost_nothing(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = {1, UINT64_MAX, 1, 1, 1, UINT64_MAX};
  assert_ok(uvdio_engine_set_device_model(f->engine, &model));
  assert_turns(f, (struct rival){A, read_in, 1}, (struct rival){B, write_in, 1});
}

/* Those that have begun without one take as good as nothing of it. */
static void device_model_may_come_later(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  set_class(f, A, (uvdio_class_options_t){0});
  for (unsigned i = 0; i < 3; i++) {
    read_in(f, A, 1);
  }
  assert_ok(uvdio_engine_set_device_model(f->engine, &model));
  for (unsigned i = 0; i < 6; i++) {
    read_in(f, A, 1);
  }
  assert_int_equal(told(f, A).in_flight, 3 + model.depth - 1);
  run(f);
  assert_int_equal(told(f, A).in_flight, 0);
}

/* However little or much of it a request takes. */
static void device_may_take_any_amount(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t least = {1, 1, 1, 1, 1, 1};
  uvdio_device_model_t most = {UINT_MAX, UINT64_MAX, 1, 1, 1, 1};
  assert_ok(uvdio_engine_set_device_model(f->engine, &least));
  read_in(f, A, 1);
  read_in(f, A, 2);
  assert_int_equal(told(f, A).in_flight, 1);
  run(f);
  assert_int_equal(told(f, A).in_flight, 0);
  assert_ok(uvdio_engine_set_device_model(f->engine, &most));
  for (unsigned i = 0; i < EACH; i++) {
    read_in(f, A, 1);
  }
  assert_int_equal(told(f, A).in_flight, EACH);
  run(f);
  assert_int_equal(told(f, A).in_flight, 0);
}

/* The bytes of large requests count, whichever class they are of. */
static void device_takes_so_many_bytes(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  model.depth = 64;
  assert_ok(uvdio_engine_set_device_model(f->engine, &model)); /* 16 pages */
  for (unsigned i = 0; i < 6; i++) {
    read_in(f, i % 2 ? A : B, 5);
  }
  assert_int_equal(stats_of(f).in_flight, 3);
  run(f);
  assert_int_equal(stats_of(f).in_flight_peak, 3);
}

/* A priority is nothing that can be seen by results; all of them are accepted. */
static void priorities_go_through(void** state) {
  struct fixture* f = *state;
  for (unsigned priority = 0; priority <= UVDIO_PRIORITY_REALTIME; priority++) {
    uvdio_class_options_t options = {.priority = (uvdio_priority_t)priority};
    int error = uvdio_class_set(f->engine, A, &options);
    if (priority == UVDIO_PRIORITY_REALTIME && error == UV_EPERM) {
      SKIP("this process may not use the real-time priority");
    }
    assert_ok(error);
    uvdio_buf_t page = filled(PAGE, priority);
    struct tracked_op* write = op_new(&f->tracker);
    assert_ok(uvdio_req_set_class(&write->req, A));
    t_write(write, &f->file, &page, 0);
    struct tracked_op* read = read_in(f, A, 2);
    struct tracked_op* sync = op_new(&f->tracker);
    assert_ok(uvdio_req_set_class(&sync->req, A));
    t_sync_data(sync, &f->file);
    run(f);
    assert_result(write, PAGE);
    assert_result(read, 2 * PAGE);
    assert_result(sync, 0);
  }
}

/* Takes the rights to the real-time priority from this thread, or gives them back: 1 where that
 * worked. */
static int have_rights(int on) {
#ifdef __linux__
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  unsigned rights = 1u << CAP_SYS_NICE | 1u << CAP_SYS_ADMIN;
  if (syscall(SYS_capget, &header, data) != 0) {
    return 0;
  }
  data[0].effective = on ? data[0].effective | rights : data[0].effective & ~rights;
  return syscall(SYS_capset, &header, data) == 0;
#else
  (void)on;
  return 0;
#endif
}

/* More requests than kernel AIO takes refusals for. */
static void lose_the_right_to_a_priority(struct fixture* f) {
  struct tracked_op* reads[EACH];
  const char* backend = uvdio_engine_backend(f->engine);
  uvdio_class_options_t options = {.priority = UVDIO_PRIORITY_REALTIME};
  if (uvdio_class_set(f->engine, A, &options) != 0 || !have_rights(0)) {
    SKIP("this process may not use the real-time priority");
  }
  int is_refused = uvdio_class_set(f->engine, A, &options) == UV_EPERM;
  for (unsigned i = 0; i < EACH; i++) {
    reads[i] = read_in(f, A, 1);
  }
  run(f);
  int is_restored = have_rights(1);
  assert_true(is_refused && is_restored);
  for (unsigned i = 0; i < EACH; i++) {
    assert_result(reads[i], PAGE);
  }
  assert_string_equal(uvdio_engine_backend(f->engine), backend);
}

static void priority_is_left_out_when_its_right_is_gone(void** state) {
  lose_the_right_to_a_priority(*state);
}

/* A front stands before the backend that passes priorities on (faults/front.h). */
static void so_it_is_with_rules(void** state) {
  struct fixture* f = *state;
  assert_code(uvdio_engine_seed_rules(f->engine, 1), matrix.simulated ? UV_ENOTSUP : 0);
  lose_the_right_to_a_priority(f);
}

/*
 * Bad input
 */

static void options_that_make_no_sense_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_class_options_t none = {0};
  uvdio_class_options_t many = {.shares = UVDIO_SHARES_MAX + 1};
  uvdio_class_options_t odd = {.priority = (uvdio_priority_t)(UVDIO_PRIORITY_REALTIME + 1)};
  assert_code(uvdio_class_set(NULL, A, &none), UV_EINVAL);
  assert_code(uvdio_class_set(f->engine, UVDIO_CLASSES, &none), UV_EINVAL);
  assert_code(uvdio_class_set(f->engine, A, &many), UV_EINVAL);
  assert_code(uvdio_class_set(f->engine, A, &odd), UV_EINVAL);
  uvdio_class_stats_t stats;
  assert_code(uvdio_class_stats(f->engine, A, &stats),
              UV_ENOENT); /* none of that gave it classes */
  assert_code(uvdio_class_stats(NULL, A, &stats), UV_EINVAL);
  assert_code(uvdio_class_stats(f->engine, A, NULL), UV_EINVAL);
  assert_code(uvdio_class_stats(f->engine, UVDIO_CLASSES, &stats), UV_EINVAL);
  assert_ok(uvdio_class_set(f->engine, A, NULL));
  assert_ok(uvdio_class_stats(f->engine, A, &stats));
}

static void models_with_a_hole_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  assert_code(uvdio_engine_set_device_model(NULL, &model), UV_EINVAL);
  assert_code(uvdio_engine_set_device_model(f->engine, NULL), UV_EINVAL);
  uvdio_device_model_t holes[6];
  for (unsigned i = 0; i < COUNT_OF(holes); i++) {
    holes[i] = model;
  }
  holes[0].depth = 0;
  holes[1].bytes_in_flight = 0;
  holes[2].read_operations = 0;
  holes[3].write_operations = 0;
  holes[4].read_bytes = 0;
  holes[5].write_bytes = 0;
  for (unsigned i = 0; i < COUNT_OF(holes); i++) {
    assert_code(uvdio_engine_set_device_model(f->engine, &holes[i]), UV_EINVAL);
  }
}

static void first_class_is_not_set_beside_requests(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  uvdio_buf_t page = blank(PAGE);
  t_read(op_new(&f->tracker), &f->file, &page, 0);
  assert_code(uvdio_class_set(f->engine, A, NULL), UV_EBUSY);
  assert_code(uvdio_engine_set_device_model(f->engine, &model), UV_EBUSY);
  run(f);
  assert_ok(uvdio_class_set(f->engine, A, NULL));
  read_in(f, A, 1);
  assert_ok(uvdio_class_set(f->engine, B, NULL));
  run(f);
}

static void classes_of_what_is_not_there_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_file_t closed = {0};
  uvdio_req_t req = {0};
  assert_code(uvdio_file_set_class(NULL, A), UV_EINVAL);
  assert_code(uvdio_file_set_class(&f->file, UVDIO_CLASSES), UV_EINVAL);
  assert_code(uvdio_file_set_class(&closed, A), UV_EBADF);
  uvdio_file_t moved = f->file;
  assert_code(uvdio_file_set_class(&moved, A), UV_EBADF);
  t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "file"), UVDIO_O_RDONLY);
  assert_code(uvdio_file_set_class(&f->other, A), UV_EBADF);
  run(f);
  assert_ok(uvdio_file_set_class(&f->other, A));
  assert_code(uvdio_req_set_class(NULL, A), UV_EINVAL);
  assert_code(uvdio_req_set_class(&req, UVDIO_CLASSES), UV_EINVAL);
  struct tracked_op* op = read_in(f, A, 1);
  assert_code(uvdio_req_set_class(&op->req, B), UV_EBUSY);
  run(f);
}

static void closing_engine_takes_no_classes(void** state) {
  struct fixture* f = *state;
  uvdio_device_model_t model = some_model();
  assert_ok(uvdio_engine_close(f->engine, on_engine_closed));
  assert_code(uvdio_class_set(f->engine, A, NULL), UV_EBADF);
  assert_code(uvdio_engine_set_device_model(f->engine, &model), UV_EBADF);
  assert_code(uvdio_class_wait_room(f->engine, A, on_room, NULL), UV_EBADF);
  assert_code(uvdio_class_cancel_wait(f->engine, A, on_room, NULL), UV_EBADF);
  assert_code(uvdio_file_set_class(&f->file, A), UV_EBADF);
  run(f);
  f->engine = NULL;
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(depth_1, shares_decide),
      TEST_ON(depth_1, shares_that_are_not_set_are_those_of_the_header),
      TEST_ON(depth_1, equal_shares_take_turns),
      TEST_ON(depth_1, large_requests_cost_more),
      TEST_ON(depth_1, idle_class_saves_nothing),
      TEST_ON(depth_1, class_that_was_held_up_saves_nothing),
      TEST_ON(depth_1, class_that_was_held_up_takes_no_other_along),
      TEST_ON(depth_1, virtual_time_has_no_end),
      TEST_ON(depth_1, requests_of_a_class_keep_their_order),
      TEST_ON(deep, request_goes_before_file),
      TEST_ON(deep, file_may_change_its_class_meanwhile),
      TEST_ON(deep, every_operation_has_a_class),
      TEST_ON(deep, depth_of_a_class_is_its_own),
      TEST_ON(deep, new_options_let_waiting_requests_go),
      TEST_ON(deep, operations_per_second_hold),
      TEST_ON(deep, bytes_per_second_hold),
      TEST_ON(deep, burst_is_what_ten_milliseconds_allow),
      TEST_ON(deep, burst_of_bytes_is_what_ten_milliseconds_allow),
      TEST_ON(deep, limit_that_is_set_again_forgives_nothing),
      TEST_ON(deep, new_limit_counts_from_now_on),
      TEST_ON(deep, both_limits_hold),
      TEST_ON(deep, smallest_limits_hold),
      TEST_ON(deep, durable_write_takes_two_operations),
      TEST_ON(deep, limit_that_is_set_again_holds_no_longer),
      TEST_ON(deep, drain_is_not_limited),
      TEST_ON(deep, limits_end_with_the_loop),
      TEST_ON(deep, limited_requests_can_be_cancelled),
      TEST_ON(deep, limited_requests_are_listed),
      TEST_ON(deep, requests_beyond_the_bound_are_refused),
      TEST_ON(deep, bytes_beyond_the_bound_are_refused),
      TEST_ON(deep, full_class_lets_syncs_through),
      TEST_ON(deep, cancelled_requests_make_room),
      TEST_ON(deep, wider_bound_makes_room),
      TEST_ON(deep, room_is_told_once),
      TEST_ON(deep, room_is_told_at_half_of_the_bound),
      TEST_ON(deep, room_is_told_at_half_of_the_bytes),
      TEST_ON(deep, room_is_told_when_both_bounds_have_some),
      TEST_ON(deep, each_class_is_told_of_its_room),
      TEST_ON(deep, room_goes_to_those_that_wait_in_their_order),
      TEST_ON(deep, nobody_waits_in_the_way_of_others),
      TEST_ON(deep, waits_for_room_are_cancelled),
      TEST_ON(deep, room_that_is_there_is_told_in_a_turn),
      TEST_ON(deep, closing_engine_ends_the_wait_for_room),
      TEST_ON(deep, waits_for_room_that_make_no_sense_are_refused),
      TEST_ON(deep, device_has_no_more_than_it_takes),
      TEST_ON(deep, large_request_fills_the_device),
      TEST_ON(depth_1, bytes_of_small_requests_cost_nothing),
      TEST_ON(deep, device_model_may_come_later),
      TEST_ON(deep, device_may_take_any_amount),
      TEST_ON(deep, device_takes_so_many_bytes),
      TEST_ON(depth_1, device_model_tells_the_cost),
      TEST_ON(depth_1, device_model_tells_the_cost_of_writes),
      TEST_ON(deep, priorities_go_through),
      TEST_ON(deep, priority_is_left_out_when_its_right_is_gone),
      TEST_ON(deep, so_it_is_with_rules),
      TEST_ON(deep, options_that_make_no_sense_are_refused),
      TEST_ON(deep, models_with_a_hole_are_refused),
      TEST_ON(deep, first_class_is_not_set_beside_requests),
      TEST_ON(deep, classes_of_what_is_not_there_are_refused),
      TEST_ON(deep, closing_engine_takes_no_classes),
  };
  return matrix_main("classes", tests, COUNT_OF(tests), argc, argv);
}
