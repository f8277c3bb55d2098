/* SPDX-License-Identifier: MIT */
/*
 * Busy polling changes when completions are seen, and nothing else: everything arrives, the loop's
 * other handles get their turns, and the loop ends. Whether anything is seen at all depends on the
 * device and on who else uses the machine; fault/test_ring_completions.c makes it certain.
 */
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "ops.h"
#include "uvdio/faults.h"

#define CHAIN 500

static int busy(void** state) {
  uvdio_engine_options_t options = {0};
  options.busy_poll_us = 200;
  return fixture_open_with(state, options);
}

static int busy_and_shallow(void** state) {
  uvdio_engine_options_t options = {0};
  options.busy_poll_us = UVDIO_BUSY_POLL_MAX;
  options.depth = 1;
  options.callbacks_max = 1;
  return fixture_open_with(state, options);
}

static int busy_and_patient(void** state) {
  uvdio_engine_options_t options = {0};
  options.busy_poll_us = UVDIO_BUSY_POLL_MAX;
  return fixture_open_with(state, options);
}

struct chain {
  struct fixture* f;
  unsigned left;
  unsigned right; /* of those that came, with the right bytes */
  unsigned turns; /* of the loop, while it lasts */
  uv_check_t check;
};

static void read_next(struct chain* chain);

static void on_link(struct tracked_op* op) {
  struct chain* chain = op->data;
  chain->right += op->result == PAGE && is_pattern(op->back.base, PAGE, 1);
  op_free(op);
  if (--chain->left > 0) {
    read_next(chain);
  } else {
    uv_close((uv_handle_t*)&chain->check, NULL);
  }
}

static void read_next(struct chain* chain) {
  uvdio_buf_t page = blank(PAGE);
  t_read(op_then(&chain->f->tracker, on_link, chain), &chain->f->file, &page, 0);
}

static void on_turn(uv_check_t* check) {
  struct chain* chain = check->data;
  chain->turns++;
}

static void run_chain(struct fixture* f, struct chain* chain) {
  memset(chain, 0, sizeof(*chain));
  chain->f = f;
  chain->left = CHAIN;
  chain->check.data = chain;
  put(f, &f->file, 0, PAGE, 1);
  assert_ok(uv_check_init(&f->loop, &chain->check));
  assert_ok(uv_check_start(&chain->check, on_turn));
  uv_unref((uv_handle_t*)&chain->check);
  read_next(chain);
  run(f);
  assert_int_equal(chain->right, CHAIN);
}

static void chain_of_reads_arrives(void** state) {
  struct fixture* f = *state;
  struct chain chain;
  run_chain(f, &chain);
  if (!is_sent_in_batches(&f->file)) {
    assert_int_equal(stats_of(f).busy_hits, 0);
  }
}

/* One callback a turn: however quickly they are seen, the others on the loop come in between. */
static void other_handles_get_their_turns(void** state) {
  struct fixture* f = *state;
  struct chain chain;
  run_chain(f, &chain);
  assert_true(chain.turns >= CHAIN);
  assert_int_equal(stats_of(f).callbacks_peak, 1);
}

static void many_at_a_time_arrive(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[200];
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    writes[i] = write_page(f, i);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    assert_result(writes[i], PAGE);
    assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, i);
  }
  assert_result(sync, 0);
}

/* Nothing comes while a rule holds what is in flight, and watching for it ends. */
static void what_has_not_come_is_not_seen(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {
      .op = UVDIO_OP_READ, .times = 1, .fault = {.kind = UVDIO_FAULT_DELAY, .delay_ms = 20}};
  put(f, &f->file, 0, PAGE, 1);
  assert_code(uvdio_engine_add_rule(f->engine, &rule), matrix.simulated ? UV_ENOTSUP : 0);
  read_page(f, 0);
  run(f);
  /* Where the kernel refuses to poll, that is seen, and then the read by the ordinary ring. */
  assert_true(stats_of(f).busy_hits <= 1 + stats_of(f).unpolled);
}

static void engine_closes_while_watching(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  uv_run(&f->loop, UV_RUN_DEFAULT);
  f->engine = NULL;
  assert_result(write, PAGE);
}

struct last {
  struct fixture* f;
  unsigned left;
  uint64_t hits;
  int code;
};

static void read_until_seen(struct last* last);

/* Closes file and engine in the callback of what was seen to come in this turn, if it was. */
static void close_all_if_seen(struct tracked_op* op) {
  struct last* last = op->data;
  struct fixture* f = last->f;
  if (stats_of(f).busy_hits == last->hits && --last->left > 0) {
    read_until_seen(last);
    return;
  }
  last->code = t_close(op_now(&f->tracker), &f->file)->code;
  last->code |= t_engine_close(f->engine, on_engine_closed);
}

static void read_until_seen(struct last* last) {
  struct fixture* f = last->f;
  uvdio_buf_t page = blank(PAGE);
  last->hits = stats_of(f).busy_hits;
  t_read(op_then(&f->tracker, close_all_if_seen, last), &f->file, &page, 0);
}

/* Nothing is left to wait for then, and yet the turn that watched is not over: the engine closes
 * when it is. */
static void engine_closes_in_the_callback_of_what_was_seen(void** state) {
  struct fixture* f = *state;
  struct last last = {.f = f, .left = 100, .code = 1};
  put(f, &f->file, 0, PAGE, 1);
  read_until_seen(&last);
  watch_for_hang("an engine that closes");
  while (f->closed == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  f->engine = NULL;
  assert_ok(last.code);
  assert_false(uv_loop_alive(&f->loop));
}

static void too_much_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = matrix_options();
  uvdio_engine_t* engine = NULL;
  options.busy_poll_us = UVDIO_BUSY_POLL_MAX + 1;
  assert_code(uvdio_engine_create(&engine, &f->loop, &options), UV_EINVAL);
  assert_null(engine);
}

/* The only request has ended before anybody watched, and with its callback the turn is full. */
static void on_slow_tick(uv_timer_t* timer) {
  struct chain* chain = timer->data;
  uvdio_buf_t page = blank(PAGE);
  t_read(op_new(&chain->f->tracker), &chain->f->file, &page, 0);
  (void)usleep(20000);
  if (--chain->left == 0) {
    uv_close((uv_handle_t*)timer, NULL);
  }
}

static void loop_ends_after_a_full_turn(void** state) {
  struct fixture* f = *state;
  struct chain chain = {.f = f, .left = 3};
  uv_timer_t timer;
  put(f, &f->file, 0, PAGE, 1);
  assert_ok(uv_timer_init(&f->loop, &timer));
  timer.data = &chain;
  assert_ok(uv_timer_start(&timer, on_slow_tick, 1, 5));
  run(f);
  assert_int_equal(f->tracker.finished, f->tracker.accepted);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(busy, chain_of_reads_arrives),
      TEST_ON(busy_and_shallow, other_handles_get_their_turns),
      TEST_ON(busy_and_shallow, loop_ends_after_a_full_turn),
      TEST_ON(busy, many_at_a_time_arrive),
      TEST_ON(busy, what_has_not_come_is_not_seen),
      TEST_ON(busy, engine_closes_while_watching),
      TEST_ON(busy_and_patient, engine_closes_in_the_callback_of_what_was_seen),
      TEST_ON(fixture_loop, too_much_is_refused),
  };
  return matrix_main("loop_busy_poll", tests, COUNT_OF(tests), argc, argv);
}
