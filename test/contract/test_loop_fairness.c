/* SPDX-License-Identifier: MIT */
/*
 * Whoever else lives on the loop gets its turn: an engine calls back so often per turn and no
 * oftener, however much waits, and a wake-up that found nothing pending is not forgotten.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define DEPTH 64
#define PER_TURN 32
#define QUEUED (under_valgrind() || UNDER_TSAN ? 2000u : 20000u)

/* Cancelled rounds. */
#define ROUNDS (under_valgrind() || UNDER_TSAN ? 100u : 1000u)
#define ROUND_DEPTH 8

/*
 * Callbacks per turn, as a check and a prepare handle of the user's see them.
 */

struct onlooker {
  struct fixture* f;
  uv_check_t check;
  uv_prepare_t prepare;
  unsigned seen_by_check; /* callbacks so far */
  unsigned seen_by_prepare;
  unsigned most_between_checks;
  unsigned most_between_prepares;
};

static void note(unsigned finished, unsigned* seen, unsigned* most) {
  if (finished - *seen > *most) {
    *most = finished - *seen;
  }
  *seen = finished;
}

static void look_in_check(uv_check_t* check) {
  struct onlooker* onlooker = check->data;
  note(onlooker->f->tracker.finished, &onlooker->seen_by_check, &onlooker->most_between_checks);
}

static void look_in_prepare(uv_prepare_t* prepare) {
  struct onlooker* onlooker = prepare->data;
  note(onlooker->f->tracker.finished, &onlooker->seen_by_prepare, &onlooker->most_between_prepares);
}

static void start_looking(struct onlooker* onlooker, struct fixture* f) {
  memset(onlooker, 0, sizeof(*onlooker));
  onlooker->f = f;
  assert_int_equal(uv_check_init(&f->loop, &onlooker->check), 0);
  assert_int_equal(uv_prepare_init(&f->loop, &onlooker->prepare), 0);
  onlooker->check.data = onlooker;
  onlooker->prepare.data = onlooker;
  assert_int_equal(uv_check_start(&onlooker->check, look_in_check), 0);
  assert_int_equal(uv_prepare_start(&onlooker->prepare, look_in_prepare), 0);
  uv_unref((uv_handle_t*)&onlooker->check);
  uv_unref((uv_handle_t*)&onlooker->prepare);
}

/* Before anything is asserted: the handles lie on the test's stack. */
static void stop_looking(struct onlooker* onlooker) {
  uv_close((uv_handle_t*)&onlooker->check, NULL);
  uv_close((uv_handle_t*)&onlooker->prepare, NULL);
  run(onlooker->f);
}

static int few_callbacks_per_turn(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = DEPTH;
  options.callbacks_max = PER_TURN;
  return fixture_open_with(state, options);
}

static void submit_reads(struct fixture* f, uvdio_buf_t* pages, uint64_t offset) {
  *pages = blank((size_t)QUEUED * PAGE);
  for (unsigned i = 0; i < QUEUED; i++) {
    uvdio_buf_t view = uvdio_buf_wrap(pages->base + (size_t)i * PAGE, PAGE);
    t_read(op_new(&f->tracker), &f->file, &view, offset);
  }
}

static void assert_fair(struct fixture* f, const struct onlooker* onlooker) {
  uvdio_engine_stats_t stats = stats_of(f);
  assert_true(onlooker->most_between_checks <= PER_TURN);
  assert_true(onlooker->most_between_prepares <= PER_TURN);
  assert_true(stats.callbacks_peak <= PER_TURN);
  assert_true(stats.iterations >= stats.completed / PER_TURN);
}

static void queue_of_reads_leaves_turns_to_others(void** state) {
  struct fixture* f = *state;
  struct onlooker onlooker;
  uvdio_buf_t pages;
  put(f, &f->file, 0, PAGE, 1);
  start_looking(&onlooker, f);
  submit_reads(f, &pages, 0);
  run(f);
  stop_looking(&onlooker);
  assert_int_equal(f->tracker.finished, QUEUED);
  assert_fair(f, &onlooker);
  assert_ok(uvdio_buf_release(&pages));
}

/* Reads past the end, and such as are cancelled where they wait, take no time at all. */
static void queue_of_instant_ends_leaves_turns_to_others(void** state) {
  struct fixture* f = *state;
  struct onlooker onlooker;
  uvdio_buf_t pages;
  start_looking(&onlooker, f);
  submit_reads(f, &pages, (uint64_t)PAGE * 1000);
  unsigned i = 0;
  for (struct tracked_op* op = f->tracker.ops; op != NULL; op = op->next) {
    if (!op->blocking && i++ % 2 == 0) {
      assert_ok(t_cancel(op));
    }
  }
  run(f);
  stop_looking(&onlooker);
  assert_int_equal(f->tracker.finished, QUEUED);
  assert_fair(f, &onlooker);
  assert_ok(uvdio_buf_release(&pages));
}

/*
 * Wake-ups. Cancellations have completions of their own, which nobody waits for and which may come
 * when nothing is pending. The read after them has to complete by itself: nothing else is on the
 * loop.
 */

static void submit_and_cancel(struct fixture* f, unsigned depth) {
  struct tracked_op* reads[ROUND_DEPTH];
  for (unsigned i = 0; i < depth; i++) {
    reads[i] = read_page(f, 0);
  }
  for (unsigned i = 0; i < depth; i++) {
    assert_ok(t_cancel(reads[i]));
  }
  run(f);
  for (unsigned i = 0; i < depth; i++) {
    assert_int_equal(reads[i]->done, 1);
    assert_true(reads[i]->result == PAGE || reads[i]->result == UV_ECANCELED);
    op_free(reads[i]);
  }
}

static void submit_one_more(struct fixture* f) {
  struct tracked_op* read = read_page(f, 0);
  run(f);
  assert_result(read, PAGE);
  op_free(read);
}

static void read_after_cancellations_completes(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < ROUNDS; i++) {
    submit_and_cancel(f, 1 + i % ROUND_DEPTH);
    submit_one_more(f);
  }
}

/* The same, with turns of the loop in between that see the wake-up while nothing is pending. */
static void read_after_a_wake_up_for_nothing_completes(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < ROUNDS; i++) {
    uv_idle_t busy;
    submit_and_cancel(f, 1 + i % ROUND_DEPTH);
    assert_int_equal(uv_idle_init(&f->loop, &busy), 0);
    uv_close((uv_handle_t*)&busy, NULL);
    for (unsigned turn = 0; turn <= i % 3; turn++) {
      uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    run(f);
    submit_one_more(f);
  }
}

/*
 * Batches: what one callback submits goes together, or each for itself where the user wants that.
 */

#define GATHERED 12

struct volley {
  struct fixture* f;
  uint64_t batches;
  int writes;
};

static void on_start(struct tracked_op* op) {
  struct volley* volley = op->data;
  for (unsigned i = 0; i < GATHERED; i++) {
    uvdio_buf_t page = volley->writes ? filled(PAGE, 1) : blank(PAGE);
    struct tracked_op* next = op_new(&volley->f->tracker);
    if (volley->writes) {
      t_write(next, &volley->f->file, &page, 0);
    } else {
      t_read(next, &volley->f->file, &page, 0);
    }
  }
  volley->batches = stats_of(volley->f).batches;
}

/* Batches that were sent before the callback was over. */
static uint64_t batches_within_callback(struct fixture* f, int writes) {
  struct volley volley = {f, 0, writes};
  uvdio_buf_t page = blank(PAGE);
  put(f, &f->file, 0, PAGE, 1);
  t_read(op_then(&f->tracker, on_start, &volley), &f->file, &page, 0);
  uint64_t before = stats_of(f).batches;
  run(f);
  assert_int_equal(stats_of(f).completed, GATHERED + 1);
  return volley.batches - before;
}

/* Of so many reads at a time, those that are sent in batches: all, all but the first, which is
 * alone, or none. */
static unsigned in_batches(const struct fixture* f, unsigned count) {
  if (is_sent_in_batches(&f->file)) {
    return count;
  }
  return strcmp(info_of(&f->file).backend_concurrent, "ring") == 0 ? count - 1 : 0;
}

static int one_at_a_time(void** state) {
  uvdio_engine_options_t options = {0};
  options.submit_batch_max = 1;
  return fixture_open_with(state, options);
}

static void requests_of_one_callback_gather(void** state) {
  struct fixture* f = *state;
  assert_true(batches_within_callback(f, 0) < GATHERED);
}

static void batches_of_one_do_not_wait(void** state) {
  struct fixture* f = *state;
  uint64_t batches = batches_within_callback(f, 0);
  unsigned expected = in_batches(f, GATHERED);
  assert_true(expected > 0 ? batches >= expected : batches == 0);
}

/* Nobody waits for others to be durable. */
static int fixture_durable(void** state) {
  if (fixture_open(state) != 0) {
    return -1;
  }
  struct fixture* f = *state;
  struct tracked_op* end = op_now(&f->tracker);
  t_close(end, &f->file);
  open_now(f, &f->file, "file", UVDIO_OPEN_WAL);
  return 0;
}

static void durable_writes_do_not_wait(void** state) {
  struct fixture* f = *state;
  uint64_t batches = batches_within_callback(f, 1);
  unsigned expected = in_batches(f, GATHERED);
  assert_true(expected > 0 ? batches >= expected : batches == 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(few_callbacks_per_turn, queue_of_reads_leaves_turns_to_others),
      TEST_ON(few_callbacks_per_turn, queue_of_instant_ends_leaves_turns_to_others),
      TEST_ON(fixture_open, read_after_cancellations_completes),
      TEST_ON(fixture_open, read_after_a_wake_up_for_nothing_completes),
      TEST_ON(fixture_open, requests_of_one_callback_gather),
      TEST_ON(one_at_a_time, batches_of_one_do_not_wait),
      TEST_ON(fixture_durable, durable_writes_do_not_wait),
  };
  return matrix_main("loop_fairness", tests, COUNT_OF(tests), argc, argv);
}
