/* SPDX-License-Identifier: MIT */
/*
 * Metrics: which requests are counted, once each and in which stage; what holds the loop up; and
 * what is printed. Durations are compared with others of the same run only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"
#include "uvdio/faults.h"
#include "uvdio/metrics.h"
#include "workers.h"

enum { MANY = 20, PAGES = 8 };

/* Nanoseconds: what a callback takes that takes long, at least, by any clock. */
#define LONG_NS 3000000u

static void start(struct fixture* f, const uvdio_metrics_options_t* options) {
  assert_ok(uvdio_metrics_start(f->engine, options));
}

/* Of an operation and a class, in one stage. */
static uvdio_histogram_t stage_of(const struct fixture* f, uvdio_op_t op, unsigned class,
                                  uvdio_stage_t stage) {
  static uvdio_histogram_t histogram;
  uvdio_histogram_reset(&histogram);
  assert_ok(uvdio_metrics_histogram(f->engine, op, class, stage, &histogram));
  return histogram;
}

static uint64_t count_in(const struct fixture* f, uvdio_op_t op, unsigned class,
                         uvdio_stage_t stage) {
  uvdio_histogram_t histogram = stage_of(f, op, class, stage);
  return uvdio_histogram_count(&histogram);
}

static uint64_t longest_in(const struct fixture* f, uvdio_op_t op, uvdio_stage_t stage) {
  uvdio_histogram_t histogram = stage_of(f, op, UVDIO_CLASS_ANY, stage);
  return uvdio_histogram_percentile(&histogram, 100);
}

/* Each stage has counted as many. */
static void assert_counted(const struct fixture* f, uvdio_op_t op, unsigned class, uint64_t count) {
  for (unsigned stage = 0; stage < UVDIO_STAGES; stage++) {
    assert_int_equal(count_in(f, op, class, (uvdio_stage_t)stage), count);
  }
}

static uvdio_metrics_t metrics_of(const struct fixture* f) {
  uvdio_metrics_t metrics;
  assert_ok(uvdio_metrics(f->engine, &metrics));
  return metrics;
}

static uvdio_file_metrics_t file_metrics_of(const uvdio_file_t* file) {
  uvdio_file_metrics_t metrics;
  assert_ok(uvdio_file_metrics(file, &metrics));
  return metrics;
}

/* Keeps the loop's thread busy. */
static void take_long(void) {
  uint64_t began = uv_hrtime();
  while (uv_hrtime() - began < LONG_NS + LONG_NS / 20) {
  }
}

/*
 * Requests
 */

static void each_request_counts_once(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  for (unsigned i = 0; i < MANY; i++) {
    write_page(f, i);
  }
  run(f);
  for (unsigned i = 0; i < 2 * MANY; i++) {
    read_page(f, i % MANY);
  }
  t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, MANY);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_DEFAULT, MANY);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_LOG, 0);
  assert_counted(f, UVDIO_OP_READ, UVDIO_CLASS_ANY, 2 * MANY);
  assert_counted(f, UVDIO_OP_SYNC_ALL, UVDIO_CLASS_ANY, 1);
  assert_counted(f, UVDIO_OP_NONE, UVDIO_CLASS_ANY, 3 * MANY + 1);
  assert_int_equal(metrics_of(f).requests, 3 * MANY + 1);
  assert_int_equal(metrics_of(f).dropped, 0);
}

static void every_operation_is_counted(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  do_every_example(f, 0);
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    assert_true(count_in(f, op, UVDIO_CLASS_ANY, UVDIO_STAGE_WAIT) > 0);
  }
  assert_counted(f, UVDIO_OP_NONE, UVDIO_CLASS_ANY, metrics_of(f).requests);
  assert_int_equal(stats_of(f).completed, metrics_of(f).requests);
}

static void synchronous_forms_count_nowhere(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  put(f, &f->file, 0, PAGE, 1);
  assert_counted(f, UVDIO_OP_NONE, UVDIO_CLASS_ANY, 0);
  assert_int_equal(file_metrics_of(&f->file).writes, 0);
}

/* Those before and those after do not count. */
static void only_what_is_accepted_meanwhile_counts(void** state) {
  struct fixture* f = *state;
  write_page(f, 0);
  start(f, NULL);
  write_page(f, 1);
  write_page(f, 2);
  run(f);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, 2);
  assert_ok(uvdio_metrics_reset(f->engine));
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, 0);
  assert_int_equal(metrics_of(f).requests, 0);
  assert_int_equal(metrics_of(f).longest_callback_ns, 0);
  write_page(f, 3);
  run(f);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, 1);
  assert_int_equal(file_metrics_of(&f->file).writes, 3);
  write_page(f, 4);
  assert_ok(uvdio_metrics_stop(f->engine));
  run(f);
  assert_int_equal(file_metrics_of(&f->file).writes, 3);
  start(f, NULL);
  assert_counted(f, UVDIO_OP_NONE, UVDIO_CLASS_ANY, 0);
}

/* What a request was measured by in an earlier use says nothing of this one. */
static void earlier_use_does_not_count(void** state) {
  struct fixture* f = *state;
  struct tracked_op* op = op_new(&f->tracker);
  start(f, NULL);
  t_size(op, &f->file);
  run(f);
  assert_ok(uvdio_metrics_stop(f->engine));
  t_size(op, &f->file);
  start(f, NULL);
  run(f);
  assert_counted(f, UVDIO_OP_SIZE, UVDIO_CLASS_ANY, 0);
}

static void classes_are_counted_apart(void** state) {
  struct fixture* f = *state;
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_LOG, NULL));
  assert_ok(uvdio_file_set_class(&f->file, UVDIO_CLASS_USER));
  start(f, NULL);
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    struct tracked_op* op = op_new(&f->tracker);
    assert_ok(uvdio_req_set_class(&op->req, i % 4 == 0 ? UVDIO_CLASS_LOG : UVDIO_CLASS_DEFAULT));
    t_write(op, &f->file, &page, 0);
  }
  run(f);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_LOG, MANY / 4);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_USER, MANY - MANY / 4);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_DEFAULT, 0);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, MANY);
}

static void file_has_counters(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  write_page(f, 0);
  write_page(f, 1);
  t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  read_page(f, 0);
  uvdio_buf_t beyond = blank(PAGE);
  struct tracked_op* failing = t_read_exact(op_new(&f->tracker), &f->file, &beyond, 100 * PAGE);
  t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(failing, UVDIO_ESHORTREAD);
  uvdio_file_metrics_t metrics = file_metrics_of(&f->file);
  assert_int_equal(metrics.writes, 2);
  assert_int_equal(metrics.bytes_written, 2 * PAGE);
  assert_int_equal(metrics.syncs, 1);
  assert_int_equal(metrics.reads, 2);
  assert_int_equal(metrics.bytes_read, PAGE);
  assert_int_equal(metrics.others, 1);
  assert_int_equal(metrics.failed, 1);
  assert_true(metrics.longest_ns > 0 && metrics.longest_op != UVDIO_OP_NONE);
}

static void counters_begin_with_the_open(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  write_page(f, 0);
  t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(file_metrics_of(&f->file).writes, 1);
  assert_int_equal(file_metrics_of(&f->file).others, 1);
  t_open(op_new(&f->tracker), f->engine, &f->file, path_of(f, "file"), UVDIO_OPEN_RW);
  run(f);
  assert_int_equal(file_metrics_of(&f->file).writes, 0);
  assert_int_equal(file_metrics_of(&f->file).others, 1);
}

/*
 * Stages
 */

/* What waits for others of its file, and what no backend gets, has waited. */
static void waiting_is_a_stage(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  struct tracked_op* write = write_page(f, 0);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  assert_ok(t_cancel(sync));
  run(f);
  assert_result(write, PAGE);
  assert_result(sync, UV_ECANCELED);
  assert_counted(f, UVDIO_OP_SYNC_DATA, UVDIO_CLASS_ANY, 1);
  assert_int_equal(longest_in(f, UVDIO_OP_SYNC_DATA, UVDIO_STAGE_BACKEND), 0);
  assert_true(longest_in(f, UVDIO_OP_SYNC_DATA, UVDIO_STAGE_WAIT) > 0);
  assert_true(longest_in(f, UVDIO_OP_WRITE, UVDIO_STAGE_BACKEND) > 0);
}

/* With one place the second waits for as long as the first is with the backend, about. */
static void place_is_waited_for(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  for (unsigned i = 0; i < MANY; i++) {
    write_page(f, i);
  }
  run(f);
  uint64_t waited = longest_in(f, UVDIO_OP_WRITE, UVDIO_STAGE_WAIT);
  uvdio_histogram_t backend = stage_of(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, UVDIO_STAGE_BACKEND);
  double all = uvdio_histogram_mean(&backend) * MANY;
  uint64_t last = uvdio_histogram_percentile(&backend, 100);
  assert_true((double)waited > 0.9 * (all - (double)last));
}

static int open_read(void** state) {
  return fixture_read_with(state, (uvdio_engine_options_t){0}, PAGES);
}

/* Requests that are gathered are the library's until they are sent. The first ones go at once, and
 * the last ones when the loop runs. */
static void batch_waits_in_the_library(void** state) {
  struct fixture* f = *state;
  if (!is_sent_in_batches(&f->file)) {
    SKIP("files of this filesystem are not sent in batches");
  }
  start(f, NULL);
  for (unsigned i = 0; i < MANY; i++) {
    read_page(f, i % PAGES);
  }
  take_long();
  run(f);
  uvdio_histogram_t wait = stage_of(f, UVDIO_OP_READ, UVDIO_CLASS_ANY, UVDIO_STAGE_WAIT);
  assert_true(uvdio_histogram_percentile(&wait, 100) >= LONG_NS);
  assert_true(uvdio_histogram_percentile(&wait, 0) < LONG_NS);
}

static void hold_up(struct tracked_op* op) {
  (void)op;
  take_long();
}

/* Whose callbacks are due when another one's takes long have that in their last stage. */
static void callbacks_wait_for_each_other(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t empty[3];
  start(f, NULL);
  for (unsigned i = 0; i < 3; i++) {
    empty[i] = filled(PAGE, 1);
    empty[i].len = 0;
    t_write(op_then(&f->tracker, hold_up, NULL), &f->file, &empty[i], 0); /* ends at once */
  }
  run(f);
  uvdio_histogram_t last = stage_of(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, UVDIO_STAGE_CALLBACK);
  assert_int_equal(uvdio_histogram_count(&last), 3);
  assert_true(uvdio_histogram_percentile(&last, 60) >= LONG_NS);
  assert_true(uvdio_histogram_percentile(&last, 100) >= 2 * LONG_NS);
  assert_true(metrics_of(f).longest_callback_ns >= LONG_NS);
  assert_int_equal(metrics_of(f).longest_op, UVDIO_OP_WRITE);
  assert_true(metrics_of(f).callbacks_ns >= 3 * LONG_NS);
  assert_true(metrics_of(f).callbacks_ns < metrics_of(f).since_ns);
}

/* A worker that is not to be had is the backend's: the library has given the request away. */
static void workers_are_the_backend(void** state) {
  struct fixture* f = *state;
  struct workers workers;
  if (matrix.backend != UVDIO_BACKEND_POOL) {
    SKIP("about workers: the pool only");
  }
  start(f, NULL);
  workers_begin();
  workers_occupy(&workers, &f->loop, WORKERS);
  write_page(f, 0);
  take_long();
  workers_release(&workers);
  run(f);
  assert_true(longest_in(f, UVDIO_OP_WRITE, UVDIO_STAGE_BACKEND) >= LONG_NS);
}

/* The processor's counter is as fast as it is taken for. */
static void clock_is_the_system_s(void** state) {
  struct fixture* f = *state;
  uint64_t before = uv_hrtime();
  start(f, NULL);
  uint64_t started = uv_hrtime();
  take_long();
  uint64_t asked = uv_hrtime();
  double since = (double)metrics_of(f).since_ns;
  uint64_t after = uv_hrtime();
  assert_true(since > 0.99 * (double)(asked - started));
  assert_true(since < 1.01 * (double)(after - before));
}

/*
 * Calls and turns
 */

static void calls_are_counted(void** state) {
  struct fixture* f = *state;
  uvdio_call_metrics_t submit;
  start(f, NULL);
  read_page(f, 0);
  run(f);
  uvdio_engine_stats_t before = stats_of(f);
  assert_ok(uvdio_metrics_reset(f->engine));
  for (unsigned i = 0; i < MANY; i++) {
    read_page(f, i % PAGES);
  }
  run(f);
  assert_ok(uvdio_metrics_call(f->engine, UVDIO_CALL_SUBMIT, &submit));
  assert_true(submit.longest_ns <= submit.total_ns);
  assert_true(submit.calls <= stats_of(f).system_calls - before.system_calls);
  if (is_sent_in_batches(&f->file)) {
    assert_true(submit.calls > 0);
  } else if (matrix.backend == UVDIO_BACKEND_POOL || on_memory()) {
    assert_int_equal(submit.calls, 0);
  }
  assert_true((submit.total_ns > 0) == (submit.calls > 0));
  assert_true(submit.longest_ns <= stats_of(f).longest_call_ns);
}

/* With metrics from the beginning, the engine's longest call is one of theirs. */
static void longest_call_is_kept(void** state) {
  struct fixture* f = *state;
  uint64_t longest_ns = 0;
  start(f, NULL);
  t_open(op_new(&f->tracker), f->engine, &f->file, path_of(f, "file"), UVDIO_OPEN_CREATE);
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    write_page(f, i);
    run(f);
  }
  for (unsigned i = 0; i < UVDIO_CALLS; i++) {
    uvdio_call_metrics_t call;
    assert_ok(uvdio_metrics_call(f->engine, (uvdio_call_t)i, &call));
    longest_ns = call.longest_ns > longest_ns ? call.longest_ns : longest_ns;
    assert_true(call.longest_ns * call.calls >= call.total_ns);
  }
  assert_int_equal(longest_ns, stats_of(f).longest_call_ns);
}

struct stalls {
  unsigned told;
  uvdio_stall_info_t last;
  int stop;  /* metrics, in the callback */
  int close; /* the engine */
};

static void on_stall(uvdio_engine_t* engine, const uvdio_stall_info_t* info, void* arg) {
  struct stalls* stalls = arg;
  stalls->told++;
  stalls->last = *info;
  if (stalls->stop) {
    stalls->stop = uvdio_metrics_stop(engine);
  }
  if (stalls->close) {
    stalls->close = t_engine_close(engine, on_engine_closed);
  }
}

static void watch(struct fixture* f, struct stalls* stalls, uint64_t stall_ns) {
  uvdio_metrics_options_t options = {
      .stall_ns = stall_ns, .stall_cb = on_stall, .stall_arg = stalls};
  start(f, &options);
}

static void long_callback_is_a_stall(void** state) {
  struct fixture* f = *state;
  struct stalls stalls = {0};
  uvdio_buf_t page = filled(PAGE, 1);
  watch(f, &stalls, LONG_NS);
  t_write(op_then(&f->tracker, hold_up, NULL), &f->file, &page, 0);
  read_page(f, 0);
  run(f);
  assert_true(stalls.told > 0);
  assert_int_equal(stalls.told, metrics_of(f).stalls);
  assert_true(metrics_of(f).longest_turn_ns >= LONG_NS);
  assert_true(metrics_of(f).turns >= stalls.told);
}

static void stall_tells_what_went_on(void** state) {
  struct fixture* f = *state;
  struct stalls stalls = {0};
  uvdio_buf_t page = filled(PAGE, 1);
  watch(f, &stalls, LONG_NS);
  t_write(op_then(&f->tracker, hold_up, NULL), &f->file, &page, 0);
  run(f);
  assert_true(stalls.told > 0);
  assert_true(stalls.last.turn_ns >= stalls.last.engine_ns);
  if (stalls.told == 1) { /* no other turn was held up by the machine */
    assert_true(stalls.last.engine_ns >= stalls.last.callbacks_ns);
    assert_true(stalls.last.callbacks_ns >= stalls.last.longest_callback_ns);
    assert_true(stalls.last.longest_callback_ns >= LONG_NS);
    assert_int_equal(stalls.last.longest_op, UVDIO_OP_WRITE);
    assert_true(stalls.last.callbacks > 0);
    assert_int_equal(stalls.last.pending, 0);
    assert_int_equal(stalls.last.in_flight + stalls.last.waiting, 0);
  }
}

/* What has a callback in the closing phase, and the frame for which a request waits meanwhile. */
struct neighbour {
  struct fixture* f;
  uv_idle_t handle;
  uvdio_buf_t frame;
};

static void on_closed(uv_handle_t* handle) {
  struct neighbour* neighbour = handle->data;
  take_long();
  assert_ok(uvdio_buf_release(&neighbour->frame));
}

static void close_neighbour(struct tracked_op* op) {
  struct neighbour* neighbour = op->data;
  uv_close((uv_handle_t*)&neighbour->handle, on_closed);
}

static void other_handles_stall_as_well(void** state) {
  struct fixture* f = *state;
  struct stalls stalls = {0};
  struct neighbour neighbour = {.f = f};
  uvdio_buf_t page = filled(PAGE, 1);
  fixture_arena(f, PAGE, 1);
  assert_ok(uvdio_arena_acquire(f->arena, &neighbour.frame));
  watch(f, &stalls, LONG_NS);
  assert_ok(uv_idle_init(&f->loop, &neighbour.handle));
  neighbour.handle.data = &neighbour;
  t_arena_wait(op_new(&f->tracker), f->engine, f->arena, 1);
  t_write(op_then(&f->tracker, close_neighbour, &neighbour), &f->file, &page, 0);
  run(f);
  assert_true(stalls.told > 0);
  if (stalls.told == 1) { /* no other turn was held up by the machine */
    assert_true(stalls.last.turn_ns - stalls.last.engine_ns >= LONG_NS);
    assert_int_equal(stalls.last.pending, 1);
  }
}

static void on_timer(uv_timer_t* timer) {
  uv_close((uv_handle_t*)timer, NULL);
}

/* The loop sleeps for a moment, so that it has been idle; again where the timer was due before it
 * could. */
static void let_the_loop_idle(struct fixture* f) {
  while (uv_metrics_idle_time(&f->loop) == 0) {
    uv_timer_t timer;
    assert_ok(uv_timer_init(&f->loop, &timer));
    assert_ok(uv_timer_start(&timer, on_timer, 2, 0));
    run(f);
  }
}

static void on_sent(uv_async_t* async) {
  struct fixture* f = async->data;
  take_long();
  uv_close((uv_handle_t*)async, NULL);
  read_page(f, 1);
}

/* A callback of the poll phase belongs to the turn where the loop measures its idle time. */
static void poll_phase_counts_where_idle_time_is_known(void** state) {
  struct fixture* f = *state;
  struct stalls stalls = {0};
  uv_async_t async;
  if (uv_loop_configure(&f->loop, UV_METRICS_IDLE_TIME) != 0) {
    SKIP("this libuv does not measure the loop's idle time");
  }
  watch(f, &stalls, LONG_NS);
  let_the_loop_idle(f);
  stalls.told = 0;
  assert_ok(uv_async_init(&f->loop, &async, on_sent));
  async.data = f;
  assert_ok(uv_async_send(&async));
  read_page(f, 0);
  run(f);
  run_once(f);
  assert_true(stalls.told > 0);
}

/* Each turn is longer than a nanosecond. */
static void stall_callback_may_stop_metrics(void** state) {
  struct fixture* f = *state;
  struct stalls stalls = {.stop = 1};
  watch(f, &stalls, 1);
  for (unsigned i = 0; i < MANY; i++) {
    read_page(f, i % PAGES);
    run(f);
  }
  assert_int_equal(stalls.stop, 0);
  assert_int_equal(stalls.told, 1);
  uvdio_metrics_t metrics;
  assert_code(uvdio_metrics(f->engine, &metrics), UV_ENOENT);
}

static void stall_callback_may_close_the_engine(void** state) {
  struct fixture* f = *state;
  struct stalls stalls = {.close = 1};
  watch(f, &stalls, 1);
  while (stalls.told == 0) {
    read_page(f, 0);
    run(f);
  }
  assert_int_equal(stalls.close, 0);
  run(f);
  assert_int_equal(f->closed, 1);
  f->engine = NULL;
}

/* The engine's iterations off the loop are turns as well: waits between them are none. */
static void close_is_no_stall(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t slow = {.op = UVDIO_OP_WRITE};
  struct stalls stalls = {0};
  slow.fault.kind = UVDIO_FAULT_DELAY;
  slow.fault.delay_ms = 30;
  if (f->sim != NULL) {
    SKIP("a world has rules of its own");
  }
  assert_ok(uvdio_engine_add_rule(f->engine, &slow));
  watch(f, &stalls, 20 * 1000000u);
  write_page(f, 0);
  t_size(op_new(&f->tracker), &f->file);
  while (stats_of(f).in_flight == 0) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  uint64_t longest_ns = 0;
  int is_alive = 1;
  while (is_alive) {
    uint64_t began = uv_hrtime();
    is_alive = uv_run(&f->loop, UV_RUN_ONCE);
    longest_ns = uv_hrtime() - began > longest_ns ? uv_hrtime() - began : longest_ns;
  }
  assert_int_equal(f->closed, 1);
  assert_true(stalls.told == 0 || stalls.last.turn_ns <= longest_ns + longest_ns / 10);
  f->engine = NULL;
}

/*
 * On and off
 */

static void stop_in_callback(struct tracked_op* op) {
  struct fixture* f = op->data;
  (void)uvdio_metrics_stop(f->engine); /* the first one does */
}

static void start_in_callback(struct tracked_op* op) {
  struct fixture* f = op->data;
  (void)uvdio_metrics_start(f->engine, NULL);
}

static void restart_in_callback(struct tracked_op* op) {
  stop_in_callback(op);
  start_in_callback(op);
}

/* What is under way in a world is with the backend, though its queue is never empty. */
static void waiting_in_a_world_is_the_backend(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t slow = {.op = UVDIO_OP_WRITE};
  slow.fault.kind = UVDIO_FAULT_DELAY;
  slow.fault.steps = 2000;
  if (f->sim == NULL) {
    SKIP("about worlds");
  }
  assert_ok(uvdio_sim_add_rule(f->sim, &slow));
  start(f, NULL);
  write_page(f, 0);
  run(f);
  uvdio_histogram_t wait = stage_of(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, UVDIO_STAGE_WAIT);
  uvdio_histogram_t backend = stage_of(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, UVDIO_STAGE_BACKEND);
  assert_true(uvdio_histogram_mean(&backend) > uvdio_histogram_mean(&wait));
}

static void start_and_write(struct tracked_op* op) {
  struct fixture* f = op->data;
  start_in_callback(op);
  write_page(f, 1);
  write_page(f, 2);
}

/* Those that were accepted within the callback count nowhere, and all that follow do. */
static void started_in_a_callback_counts_from_its_end(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  t_write(op_then(&f->tracker, start_and_write, f), &f->file, &page, 0);
  run(f);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, 0);
  write_page(f, 3);
  run(f);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, 1);
  assert_ok(uvdio_metrics_stop(f->engine));
  start(f, NULL);
  write_page(f, 3);
  assert_ok(uvdio_metrics_stop(f->engine));
  start(f, NULL);
  run(f);
  assert_counted(f, UVDIO_OP_WRITE, UVDIO_CLASS_ANY, 0);
}

/* All end well, whatever their callbacks do to the metrics. */
static void change_in_callbacks(struct fixture* f, tracked_op_cb first, tracked_op_cb then) {
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    t_write(op_then(&f->tracker, i % 3 == 0 ? then : first, f), &f->file, &page, i % 4 * PAGE);
  }
  run(f);
  assert_int_equal(stats_of(f).completed, stats_of(f).submitted);
}

static void callbacks_may_change_metrics(void** state) {
  struct fixture* f = *state;
  change_in_callbacks(f, start_in_callback, start_in_callback);
  change_in_callbacks(f, stop_in_callback, start_in_callback);
  change_in_callbacks(f, restart_in_callback, restart_in_callback);
  change_in_callbacks(f, start_in_callback, stop_in_callback);
  change_in_callbacks(f, restart_in_callback, stop_in_callback);
  start(f, NULL);
  assert_true(metrics_of(f).requests <= 5 * MANY);
}

static void options_may_change(void** state) {
  struct fixture* f = *state;
  struct stalls stalls = {0};
  start(f, NULL);
  read_page(f, 0);
  run(f);
  watch(f, &stalls, 1);
  read_page(f, 0);
  run(f);
  run_once(f);
  assert_int_equal(count_in(f, UVDIO_OP_READ, UVDIO_CLASS_ANY, UVDIO_STAGE_WAIT), 2);
  assert_true(stalls.told > 0);
  start(f, NULL);
  unsigned told = stalls.told;
  run_once(f);
  assert_int_equal(stalls.told, told);
}

/* What the engine waits for counts, and metrics go with it. */
static void closing_engine_counts_to_its_end(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  for (unsigned i = 0; i < MANY; i++) {
    write_page(f, i);
  }
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  assert_code(uvdio_metrics_stop(f->engine), UV_EBADF);
  assert_code(uvdio_metrics_reset(f->engine), UV_EBADF);
  assert_code(uvdio_metrics_start(f->engine, NULL), UV_EBADF);
  run(f);
  assert_int_equal(f->closed, 1);
  assert_int_equal(file_metrics_of(&f->file).writes, MANY);
  assert_int_equal(file_metrics_of(&f->file).bytes_written, MANY * PAGE);
  f->engine = NULL;
}

static int use_inherited(void* data) {
  struct fixture* f = data;
  uvdio_histogram_t* histogram = calloc(1, sizeof(*histogram));
  EXPECT(histogram != NULL);
  EXPECT(uvdio_metrics_start(f->engine, NULL) == UVDIO_EFORK);
  EXPECT(uvdio_metrics_stop(f->engine) == UVDIO_EFORK);
  EXPECT(uvdio_metrics_reset(f->engine) == UVDIO_EFORK);
  EXPECT(uvdio_metrics_histogram(f->engine, UVDIO_OP_NONE, UVDIO_CLASS_ANY, UVDIO_STAGE_WAIT,
                                 histogram) == 0);
  EXPECT(uvdio_histogram_count(histogram) == 1);
  free(histogram);
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(uvdio_engine_close(f->engine, NULL) == 0);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  return 0;
}

static void child_can_read_what_was_measured(void** state) {
  struct fixture* f = *state;
  start(f, NULL);
  read_page(f, 0);
  run(f);
  assert_int_equal(in_a_child(use_inherited, f), 0);
  read_page(f, 0);
  run(f);
  assert_counted(f, UVDIO_OP_READ, UVDIO_CLASS_ANY, 2);
}

struct outsider {
  struct fixture* f;
  int code;
};

static void start_elsewhere(void* arg) {
  struct outsider* outsider = arg;
  outsider->code = uvdio_metrics_start(outsider->f->engine, NULL);
}

static void another_thread_is_refused(void** state) {
  struct fixture* f = *state;
  struct outsider outsider = {.f = f};
  uv_thread_t thread;
  run_once(f);
  assert_ok(uv_thread_create(&thread, start_elsewhere, &outsider));
  assert_ok(uv_thread_join(&thread));
  assert_code(outsider.code, UVDIO_ETHREAD);
}

static void misuse_is_refused(void** state) {
  struct fixture* f = *state;
  static uvdio_histogram_t histogram;
  uvdio_metrics_t metrics;
  uvdio_call_metrics_t call;
  uvdio_file_metrics_t file;
  char text[8];
  size_t length;
  assert_code(uvdio_metrics_start(NULL, NULL), UV_EINVAL);
  assert_code(uvdio_metrics_stop(NULL), UV_EINVAL);
  assert_code(uvdio_metrics_reset(NULL), UV_EINVAL);
  assert_code(uvdio_metrics_stop(f->engine), UV_ENOENT);
  assert_code(uvdio_metrics_reset(f->engine), UV_ENOENT);
  assert_code(uvdio_metrics(f->engine, &metrics), UV_ENOENT);
  assert_code(uvdio_metrics_call(f->engine, UVDIO_CALL_REAP, &call), UV_ENOENT);
  assert_code(uvdio_metrics_histogram(f->engine, UVDIO_OP_READ, 0, UVDIO_STAGE_WAIT, &histogram),
              UV_ENOENT);
  assert_code(uvdio_metrics_print(f->engine, UVDIO_METRICS_TEXT, text, sizeof(text), &length),
              UV_ENOENT);
  start(f, NULL);
  assert_code(uvdio_metrics(NULL, &metrics), UV_EINVAL);
  assert_code(uvdio_metrics(f->engine, NULL), UV_EINVAL);
  assert_code(uvdio_metrics_call(NULL, UVDIO_CALL_REAP, &call), UV_EINVAL);
  assert_code(uvdio_metrics_call(f->engine, UVDIO_CALL_REAP, NULL), UV_EINVAL);
  assert_code(uvdio_metrics_call(f->engine, (uvdio_call_t)UVDIO_CALLS, &call), UV_EINVAL);
  assert_code(uvdio_metrics_histogram(NULL, UVDIO_OP_READ, 0, UVDIO_STAGE_WAIT, &histogram),
              UV_EINVAL);
  assert_code(uvdio_metrics_histogram(f->engine, UVDIO_OP_COUNT, 0, UVDIO_STAGE_WAIT, &histogram),
              UV_EINVAL);
  assert_code(uvdio_metrics_histogram(f->engine, UVDIO_OP_READ, UVDIO_CLASS_ANY + 1,
                                      UVDIO_STAGE_WAIT, &histogram),
              UV_EINVAL);
  assert_code(
      uvdio_metrics_histogram(f->engine, UVDIO_OP_READ, 0, (uvdio_stage_t)UVDIO_STAGES, &histogram),
      UV_EINVAL);
  assert_code(uvdio_metrics_histogram(f->engine, UVDIO_OP_READ, 0, UVDIO_STAGE_WAIT, NULL),
              UV_EINVAL);
  assert_code(uvdio_metrics_print(NULL, UVDIO_METRICS_TEXT, text, sizeof(text), &length),
              UV_EINVAL);
  assert_code(uvdio_metrics_print(f->engine, UVDIO_METRICS_TEXT, NULL, 1, &length), UV_EINVAL);
  assert_code(uvdio_metrics_print(f->engine, (uvdio_metrics_format_t)2, text, 1, &length),
              UV_EINVAL);
  assert_code(uvdio_file_metrics(NULL, &file), UV_EINVAL);
  assert_code(uvdio_file_metrics(&f->file, NULL), UV_EINVAL);
  assert_string_equal(uvdio_call_name(UVDIO_CALL_SUBMIT), "submit");
  assert_string_equal(uvdio_call_name((uvdio_call_t)UVDIO_CALLS), "none");
}

/*
 * Text
 */

static size_t print(const struct fixture* f, uvdio_metrics_format_t format, char* text,
                    size_t size) {
  size_t length = 0;
  assert_ok(uvdio_metrics_print(f->engine, format, text, size, &length));
  assert_int_equal(strlen(text), length);
  return length;
}

static void print_has_what_was_measured(void** state) {
  struct fixture* f = *state;
  char text[8192];
  start(f, NULL);
  for (unsigned i = 0; i < MANY; i++) {
    write_page(f, i);
  }
  run(f);
  print(f, UVDIO_METRICS_TEXT, text, sizeof(text));
  assert_non_null(strstr(text, "write, class 0: 20 requests\n"));
  assert_null(strstr(text, "read, class"));
  assert_non_null(strstr(text, "    wait "));
  assert_non_null(strstr(text, "20 requests in "));
  print(f, UVDIO_METRICS_JSON, text, sizeof(text));
  assert_non_null(strstr(text, "{\"operation\":\"write\",\"class\":0,\"requests\":20,\"wait\":{"));
  assert_non_null(strstr(text, "\"callback\":{\"p50\":"));
  assert_null(strchr(text, '\n'));
}

static void print_is_cut_where_there_is_no_room(void** state) {
  struct fixture* f = *state;
  char whole[8192];
  char text[64];
  size_t length = 0;
  size_t needed = 0;
  start(f, NULL);
  write_page(f, 0);
  run(f);
  assert_ok(uvdio_metrics_print(f->engine, UVDIO_METRICS_TEXT, NULL, 0, &needed));
  length = print(f, UVDIO_METRICS_TEXT, whole, sizeof(whole));
  assert_true(needed + 40 > length && length + 40 > needed); /* numbers are longer later */
  memset(text, 'x', sizeof(text));
  assert_code(uvdio_metrics_print(f->engine, UVDIO_METRICS_TEXT, text, 32, NULL), UV_ENOBUFS);
  assert_int_equal(strlen(text), 31);
  assert_memory_equal(text, whole, 31);
  assert_int_equal(text[32], 'x');
  assert_code(uvdio_metrics_print(f->engine, UVDIO_METRICS_JSON, text, 1, NULL), UV_ENOBUFS);
  assert_int_equal(text[0], '\0');
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, each_request_counts_once),
      TEST_ON(fixture_open, every_operation_is_counted),
      TEST_ON(fixture_open, synchronous_forms_count_nowhere),
      TEST_ON(fixture_open, only_what_is_accepted_meanwhile_counts),
      TEST_ON(fixture_open, earlier_use_does_not_count),
      TEST_ON(fixture_open, classes_are_counted_apart),
      TEST_ON(fixture_open, file_has_counters),
      TEST_ON(fixture_open, counters_begin_with_the_open),
      TEST_ON(fixture_open, waiting_is_a_stage),
      TEST_ON(fixture_open_at_depth_1, place_is_waited_for),
      TEST_ON(open_read, batch_waits_in_the_library),
      TEST_ON(fixture_open, callbacks_wait_for_each_other),
      TEST_ON(fixture_open_bound, workers_are_the_backend),
      TEST_ON(fixture_engine, clock_is_the_system_s),
      TEST_ON(fixture_open_bound, calls_are_counted),
      TEST_ON(fixture_engine, longest_call_is_kept),
      TEST_ON(fixture_open, long_callback_is_a_stall),
      TEST_ON(fixture_open, stall_tells_what_went_on),
      TEST_ON(fixture_open, other_handles_stall_as_well),
      TEST_ON(fixture_open, poll_phase_counts_where_idle_time_is_known),
      TEST_ON(fixture_open, stall_callback_may_stop_metrics),
      TEST_ON(fixture_open, stall_callback_may_close_the_engine),
      TEST_ON(fixture_open, close_is_no_stall),
      TEST_ON(fixture_open, waiting_in_a_world_is_the_backend),
      TEST_ON(fixture_open, started_in_a_callback_counts_from_its_end),
      TEST_ON(fixture_open, callbacks_may_change_metrics),
      TEST_ON(fixture_open, options_may_change),
      TEST_ON(fixture_open, closing_engine_counts_to_its_end),
      TEST_ON(fixture_open, child_can_read_what_was_measured),
      TEST_ON(fixture_open, another_thread_is_refused),
      TEST_ON(fixture_open, misuse_is_refused),
      TEST_ON(fixture_open, print_has_what_was_measured),
      TEST_ON(fixture_open, print_is_cut_where_there_is_no_room),
  };
  return matrix_main("metrics", tests, COUNT_OF(tests), argc, argv);
}
