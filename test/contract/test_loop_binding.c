/* SPDX-License-Identifier: MIT */
/*
 * Whose engine it is: that of the thread which runs the loop, from the loop's first turn on,
 * whatever happened in it. And what becomes of it when the loop is handed on to another thread,
 * with and without anything pending.
 */
#include <string.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"

#define MANY 40
#define AWAY_MS 30

/* A thread that runs one turn of the loop with nothing pending on the engine, and later closes the
 * engine. */
struct owner {
  struct fixture* f;
  uv_sem_t has_run;
  uv_sem_t may_close;
  int failed;
};

static void end_timer(uv_timer_t* timer) {
  uv_close((uv_handle_t*)timer, NULL);
}

static int run_idle_turn(struct fixture* f) {
  uv_timer_t timer;
  return uv_timer_init(&f->loop, &timer) || uv_timer_start(&timer, end_timer, 0, 0) ||
         uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void own(void* argument) {
  struct owner* owner = argument;
  struct fixture* f = owner->f;
  f->tracker.thread = uv_thread_self();
  owner->failed = run_idle_turn(f);
  uv_sem_post(&owner->has_run);
  uv_sem_wait(&owner->may_close);
  owner->failed |= t_engine_close(f->engine, on_engine_closed);
  owner->failed |= uv_run(&f->loop, UV_RUN_DEFAULT);
}

struct attempts {
  struct tracked_op* ops[6];
};

static void try_everything(struct fixture* f, struct attempts* attempts) {
  struct tracker* t = &f->tracker;
  const char* path = path_of(f, "other");
  uvdio_buf_t page = filled(PAGE, 1);
  attempts->ops[0] = t_open(op_new(t), f->engine, &f->other, path, UVDIO_OPEN_RW);
  attempts->ops[1] = t_open(op_now(t), f->engine, &f->other, path, UVDIO_OPEN_RW);
  attempts->ops[2] = t_write(op_new(t), &f->file, &page, 0);
  attempts->ops[3] = t_size(op_now(t), &f->file);
  attempts->ops[4] = t_sync_data(op_new(t), &f->file);
  attempts->ops[5] = t_close(op_new(t), &f->file);
  uvdio_buf_release(&page);
}

static void first_turn_binds_though_nothing_is_pending(void** state) {
  struct fixture* f = *state;
  struct owner owner = {.f = f};
  struct attempts attempts;
  uv_thread_t thread;
  if (matrix.registered) {
    SKIP("the loop has run before, on this thread");
  }
  assert_int_equal(uv_sem_init(&owner.has_run, 0), 0);
  assert_int_equal(uv_sem_init(&owner.may_close, 0), 0);
  watch_for_hang("the loop on another thread");
  assert_int_equal(uv_thread_create(&thread, own, &owner), 0);
  uv_sem_wait(&owner.has_run);
  try_everything(f, &attempts);
  uv_sem_post(&owner.may_close);
  uv_thread_join(&thread);
  watch_for_hang(NULL);
  f->engine = NULL;
  uv_sem_destroy(&owner.has_run);
  uv_sem_destroy(&owner.may_close);
  for (size_t i = 0; i < COUNT_OF(attempts.ops); i++) {
    assert_refused(attempts.ops[i], UVDIO_ETHREAD);
  }
  assert_int_equal(owner.failed, 0);
  assert_int_equal(f->closed, 1);
}

/* A thread whose loop sleeps in its first turn, and two of its handles, one of which was started
 * before the engine's and one behind them: when both have run, so have the engine's. */
struct sleeper {
  struct fixture* f;
  uv_prepare_t around[2];
  uv_async_t wake;
  uv_sem_t sleeps;
  int failed;
};

static void tell_of_prepare(uv_prepare_t* prepare) {
  struct sleeper* sleeper = prepare->data;
  uv_prepare_stop(prepare);
  uv_sem_post(&sleeper->sleeps);
}

static void watch_prepare(struct sleeper* sleeper, unsigned which) {
  uv_prepare_t* prepare = &sleeper->around[which];
  prepare->data = sleeper;
  assert_int_equal(uv_prepare_init(&sleeper->f->loop, prepare), 0);
  assert_int_equal(uv_prepare_start(prepare, tell_of_prepare), 0);
}

static void end_sleep(uv_async_t* wake) {
  struct sleeper* sleeper = wake->data;
  uv_close((uv_handle_t*)wake, NULL);
  uv_close((uv_handle_t*)&sleeper->around[0], NULL);
  uv_close((uv_handle_t*)&sleeper->around[1], NULL);
  sleeper->failed = t_engine_close(sleeper->f->engine, on_engine_closed);
}

static void sleep_in_first_turn(void* argument) {
  struct sleeper* sleeper = argument;
  sleeper->f->tracker.thread = uv_thread_self();
  (void)uv_run(&sleeper->f->loop, UV_RUN_DEFAULT);
}

static void first_turn_binds_before_it_sleeps(void** state) {
  struct fixture* f = *state;
  struct sleeper sleeper = {.f = f};
  struct attempts attempts;
  uv_thread_t thread;
  if (matrix.registered) {
    SKIP("the loop has run before, on this thread");
  }
  watch_prepare(&sleeper, 0);
  start_engine(f, matrix_options());
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  watch_prepare(&sleeper, 1);
  sleeper.wake.data = &sleeper;
  assert_int_equal(uv_async_init(&f->loop, &sleeper.wake, end_sleep), 0);
  assert_int_equal(uv_sem_init(&sleeper.sleeps, 0), 0);
  watch_for_hang("a loop that sleeps on another thread");
  assert_int_equal(uv_thread_create(&thread, sleep_in_first_turn, &sleeper), 0);
  uv_sem_wait(&sleeper.sleeps);
  uv_sem_wait(&sleeper.sleeps);
  try_everything(f, &attempts);
  assert_int_equal(uv_async_send(&sleeper.wake), 0);
  uv_thread_join(&thread);
  watch_for_hang(NULL);
  f->engine = NULL;
  uv_sem_destroy(&sleeper.sleeps);
  for (size_t i = 0; i < COUNT_OF(attempts.ops); i++) {
    assert_refused(attempts.ops[i], UVDIO_ETHREAD);
  }
  assert_int_equal(sleeper.failed, 0);
  assert_int_equal(f->closed, 1);
}

/*
 * On another thread, which ends before this one goes on.
 */

typedef void (*part_function)(struct fixture* f);

struct away {
  struct fixture* f;
  part_function part;
};

static void go_away(void* argument) {
  struct away* away = argument;
  away->f->tracker.thread = uv_thread_self();
  away->part(away->f);
}

static void elsewhere(struct fixture* f, part_function part) {
  struct away away = {f, part};
  uv_thread_t thread;
  watch_for_hang("what happens on another thread");
  assert_int_equal(uv_thread_create(&thread, go_away, &away), 0);
  uv_thread_join(&thread);
  watch_for_hang(NULL);
  f->tracker.thread = uv_thread_self();
}

static struct tracked_op* reads[MANY];

static void submit_reads(struct fixture* f) {
  for (unsigned i = 0; i < MANY; i++) {
    reads[i] = read_page(f, i);
  }
}

static void assert_read(void) {
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(reads[i], PAGE);
  }
}

static void read_all(struct fixture* f) {
  submit_reads(f);
  uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void run_the_loop(struct fixture* f) {
  uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void run_idle(struct fixture* f) {
  if (run_idle_turn(f) != 0) {
    tracker_violation(&f->tracker, "a turn of the loop");
  }
}

/* An engine that is bound to no thread yet, or (registered memory) no more. */
static int with_pages(void** state) {
  int failed = fixture_open(state);
  struct fixture* f = *state;
  if (!failed) {
    put(f, &f->file, 0, (size_t)MANY * PAGE, 1);
    failed = uvdio_engine_rebind(f->engine);
  }
  return failed;
}

/*
 * Close.
 */

static void close_engine(struct fixture* f) {
  int code = t_engine_close(f->engine, on_engine_closed);
  if (code != 0) {
    tracker_violation(&f->tracker, "uvdio_engine_close elsewhere: %s", uvdio_err_name(code));
  }
  uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void assert_closed(struct fixture* f) {
  f->engine = NULL;
  tracker_verdict(&f->tracker);
  assert_int_equal(f->closed, 1);
}

static void idle_engine_closes_after_its_thread(void** state) {
  struct fixture* f = *state;
  elsewhere(f, run_idle);
  close_engine(f);
  assert_closed(f);
}

/* The ring has been used, and the file is left open. */
static void used_engine_closes_after_its_thread(void** state) {
  struct fixture* f = *state;
  elsewhere(f, read_all);
  assert_read();
  close_engine(f);
  assert_closed(f);
}

static void used_engine_closes_beside_its_thread(void** state) {
  struct fixture* f = *state;
  read_all(f);
  assert_read();
  elsewhere(f, close_engine);
  assert_closed(f);
}

/* While the loop runs, in whose poll phase its thread is held. */
struct held {
  struct fixture* f;
  uv_async_t async;
  uv_sem_t arrived;
  uv_sem_t go;
};

static void hold_the_loop(uv_async_t* async) {
  struct held* held = async->data;
  uv_sem_post(&held->arrived);
  uv_sem_wait(&held->go);
  uv_close((uv_handle_t*)async, NULL);
}

static void run_held(void* argument) {
  struct held* held = argument;
  uv_run(&held->f->loop, UV_RUN_DEFAULT);
}

static void nobody_closes_a_loop_that_runs(void** state) {
  struct fixture* f = *state;
  struct held held = {.f = f};
  uv_thread_t thread;
  assert_int_equal(uv_sem_init(&held.arrived, 0), 0);
  assert_int_equal(uv_sem_init(&held.go, 0), 0);
  assert_int_equal(uv_async_init(&f->loop, &held.async, hold_the_loop), 0);
  held.async.data = &held;
  assert_int_equal(uv_async_send(&held.async), 0);
  assert_int_equal(uv_thread_create(&thread, run_held, &held), 0);
  uv_sem_wait(&held.arrived);
  int closed = uvdio_engine_close(f->engine, NULL);
  int rebound = uvdio_engine_rebind(f->engine);
  uv_sem_post(&held.go);
  uv_thread_join(&thread);
  uv_sem_destroy(&held.arrived);
  uv_sem_destroy(&held.go);
  assert_code(closed, UVDIO_ETHREAD);
  assert_code(rebound, UVDIO_ETHREAD);
  close_engine(f);
  assert_closed(f);
}

/*
 * Binding anew.
 */

static void rebind_and_read(struct fixture* f) {
  int code = uvdio_engine_rebind(f->engine);
  if (code != 0) {
    tracker_violation(&f->tracker, "uvdio_engine_rebind: %s", uvdio_err_name(code));
  }
  read_all(f);
  read_all(f);
}

static void engine_goes_along_when_it_is_told(void** state) {
  struct fixture* f = *state;
  uvdio_file_info_t first;
  uvdio_file_info_t last;
  read_all(f);
  read_all(f);
  uint64_t before = stats_of(f).fixed;
  assert_ok(uvdio_file_info(&f->file, &first));
  for (unsigned i = 0; i < 4; i++) {
    if (i % 2 == 0) {
      elsewhere(f, rebind_and_read);
    } else {
      rebind_and_read(f);
    }
    tracker_verdict(&f->tracker);
    assert_read();
    assert_ok(uvdio_file_info(&f->file, &last));
    assert_string_equal(last.backend, first.backend);
    assert_int_equal(last.is_registered, first.is_registered);
    assert_true(stats_of(f).fixed > before || !matrix.registered);
    before = stats_of(f).fixed;
  }
}

/* By the thread that hands the loop on, and by the one that takes it. */
static void engine_is_free_after_rebind(void** state) {
  struct fixture* f = *state;
  read_all(f);
  assert_ok(uvdio_engine_rebind(f->engine));
  elsewhere(f, read_all);
  assert_read();
  assert_refused(t_size(op_now(&f->tracker), &f->file), UVDIO_ETHREAD);
  assert_ok(uvdio_engine_rebind(f->engine));
  assert_ok(uvdio_engine_rebind(f->engine));
  read_all(f);
  assert_read();
}

static void rebind_in_callback(struct tracked_op* op) {
  struct fixture* f = op->data;
  if (uvdio_engine_rebind(f->engine) != 0) {
    tracker_violation(&f->tracker, "uvdio_engine_rebind from a callback");
  }
  submit_reads(f);
}

static void callback_may_rebind(void** state) {
  struct fixture* f = *state;
  read_all(f);
  struct tracked_op* size = t_size(op_then(&f->tracker, rebind_in_callback, f), &f->file);
  run(f);
  assert_int_equal(size->done, 1);
  assert_read();
}

static int child_rebinds(void* data) {
  struct fixture* f = data;
  EXPECT(uvdio_engine_rebind(f->engine) == UVDIO_EFORK);
  return 0;
}

static void rebind_is_refused(void** state) {
  struct fixture* f = *state;
  assert_code(uvdio_engine_rebind(NULL), UV_EINVAL);
  submit_reads(f);
  assert_code(uvdio_engine_rebind(f->engine), UV_EBUSY);
  run(f);
  assert_read();
  if (!UNDER_TSAN) {
    assert_int_equal(in_a_child(child_rebinds, f), 0);
  }
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  assert_code(uvdio_engine_rebind(f->engine), UV_EBADF);
  run(f);
  assert_closed(f);
}

/*
 * A loop that is handed on with requests pending.
 */

static struct attempts attempts_away;
static int codes_away[3];
static unsigned turns_away[2];

static void run_and_try(struct fixture* f) {
  try_everything(f, &attempts_away);
  codes_away[0] = t_cancel(reads[MANY - 1]);
  codes_away[1] = t_engine_close(f->engine, NULL);
  codes_away[2] = uvdio_engine_rebind(f->engine);
  turns_away[0] = run_for_a_while(f, AWAY_MS, 0);
  turns_away[1] = run_for_a_while(f, AWAY_MS, 1);
}

static void assert_all_refused_away(void) {
  for (size_t i = 0; i < COUNT_OF(attempts_away.ops); i++) {
    assert_refused(attempts_away.ops[i], UVDIO_ETHREAD);
  }
  assert_code(codes_away[0], UVDIO_ETHREAD);
  assert_code(codes_away[1], UVDIO_ETHREAD);
  assert_code(codes_away[2], UV_EBUSY);
}

/* What was given to the kernel may come here only when the loop is back; the loop there sleeps. */
static void requests_survive_a_journey(void** state) {
  struct fixture* f = *state;
  read_all(f);
  for (unsigned i = 0; i < 3; i++) {
    submit_reads(f);
    elsewhere(f, run_and_try);
    unsigned gone = turns_away[0];
    unsigned spun = turns_away[1];
    run(f);
    assert_read();
    assert_all_refused_away();
    assert_true(gone * 5 < spun || matrix.is_polled); /* which any thread asks for */
    assert_ok(uvdio_engine_rebind(f->engine));
    rebind_and_read(f);
    assert_read();
  }
}

/* The engine is bound, but nothing was given to a kernel yet: all of it is done where the loop
 * runs. */
static void what_no_kernel_has_is_done_anywhere(void** state) {
  struct fixture* f = *state;
  run_idle(f);
  submit_reads(f);
  elsewhere(f, run_the_loop);
  assert_read();
  rebind_and_read(f);
  assert_read();
}

static void submit_and_end(struct fixture* f) {
  read_all(f);
  submit_reads(f);
}

/* The thread that the requests came from is gone before they are called back. */
static void requests_survive_their_thread(void** state) {
  struct fixture* f = *state;
  elsewhere(f, submit_and_end);
  assert_refused(t_size(op_now(&f->tracker), &f->file), UVDIO_ETHREAD);
  assert_code(t_engine_close(f->engine, NULL), UVDIO_ETHREAD);
  run(f);
  assert_read();
  rebind_and_read(f);
  assert_read();
}

/* The same, and the engine is closed without being bound anew. */
static void engine_closes_after_what_its_thread_left(void** state) {
  struct fixture* f = *state;
  elsewhere(f, submit_and_end);
  run_the_loop(f);
  assert_read();
  close_engine(f);
  assert_closed(f);
}

static void submit_and_close(struct fixture* f) {
  read_all(f);
  submit_reads(f);
  if (t_engine_close(f->engine, on_engine_closed) != 0) {
    tracker_violation(&f->tracker, "uvdio_engine_close");
  }
  uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* What is being closed can be handed on as well. */
static void closing_engine_survives_its_thread(void** state) {
  struct fixture* f = *state;
  elsewhere(f, submit_and_close);
  run_the_loop(f);
  assert_closed(f);
  assert_read();
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, first_turn_binds_though_nothing_is_pending),
      TEST_ON(fixture_loop, first_turn_binds_before_it_sleeps),
      TEST_ON(with_pages, idle_engine_closes_after_its_thread),
      TEST_ON(with_pages, used_engine_closes_after_its_thread),
      TEST_ON(with_pages, used_engine_closes_beside_its_thread),
      TEST_ON(with_pages, nobody_closes_a_loop_that_runs),
      TEST_ON(with_pages, engine_goes_along_when_it_is_told),
      TEST_ON(with_pages, engine_is_free_after_rebind),
      TEST_ON(with_pages, callback_may_rebind),
      TEST_ON(with_pages, rebind_is_refused),
      TEST_ON(with_pages, requests_survive_a_journey),
      TEST_ON(with_pages, what_no_kernel_has_is_done_anywhere),
      TEST_ON(with_pages, requests_survive_their_thread),
      TEST_ON(with_pages, engine_closes_after_what_its_thread_left),
      TEST_ON(with_pages, closing_engine_survives_its_thread),
  };
  return matrix_main("loop_binding", tests, COUNT_OF(tests), argc, argv);
}
