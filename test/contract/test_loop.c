/* SPDX-License-Identifier: MIT */
/*
 * The loop is the user's: engines live on it beside everything else, work from wherever they are
 * called, keep it alive exactly while something is pending, and leave nothing on it.
 */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "ops.h"
#include "system.h"

#define MANY 50

/*
 * Submitting from everywhere.
 *
 * An origin is a handle of the user's whose callback submits a burst of writes and closes the
 * handle, so that from then on nothing but the engine can wake the loop.
 */

enum { BURST = 5 };

struct origin {
  struct fixture* f;
  union uv_any_handle handle;
  struct tracked_op* ops[BURST];
  uv_os_sock_t ends[2]; /* of what the poll handle watches */
};

static void submit_burst(struct origin* origin) {
  for (unsigned i = 0; i < BURST; i++) {
    origin->ops[i] = write_page(origin->f, i);
  }
}

static void fire(uv_handle_t* handle) {
  submit_burst(handle->data);
  uv_close(handle, NULL);
}

static void on_prepare(uv_prepare_t* handle) {
  fire((uv_handle_t*)handle);
}

static void on_check(uv_check_t* handle) {
  fire((uv_handle_t*)handle);
}

static void on_idle(uv_idle_t* handle) {
  fire((uv_handle_t*)handle);
}

static void on_timer(uv_timer_t* handle) {
  fire((uv_handle_t*)handle);
}

static void on_async(uv_async_t* handle) {
  fire((uv_handle_t*)handle);
}

static void on_close(uv_handle_t* handle) {
  submit_burst(handle->data);
}

static void on_poll(uv_poll_t* handle, int status, int events) {
  (void)status;
  (void)events;
  fire((uv_handle_t*)handle);
}

static int start_prepare(uv_loop_t* loop, struct origin* origin) {
  return uv_prepare_init(loop, &origin->handle.prepare) ||
         uv_prepare_start(&origin->handle.prepare, on_prepare);
}

static int start_check(uv_loop_t* loop, struct origin* origin) {
  uv_check_t* check = &origin->handle.check;
  return uv_check_init(loop, check) || uv_check_start(check, on_check);
}

static int start_idle(uv_loop_t* loop, struct origin* origin) {
  return uv_idle_init(loop, &origin->handle.idle) || uv_idle_start(&origin->handle.idle, on_idle);
}

static int start_timer(uv_loop_t* loop, struct origin* origin) {
  uv_timer_t* timer = &origin->handle.timer;
  return uv_timer_init(loop, timer) || uv_timer_start(timer, on_timer, 1, 0);
}

static int start_async(uv_loop_t* loop, struct origin* origin) {
  uv_async_t* async = &origin->handle.async;
  return uv_async_init(loop, async, on_async) || uv_async_send(async);
}

static int start_closing(uv_loop_t* loop, struct origin* origin) {
  int failed = uv_timer_init(loop, &origin->handle.timer);
  uv_close(&origin->handle.handle, on_close);
  return failed;
}

static int start_poll(uv_loop_t* loop, struct origin* origin) {
  uv_poll_t* poll = &origin->handle.poll;
  return system_make_readable(origin->ends) || uv_poll_init_socket(loop, poll, origin->ends[0]) ||
         uv_poll_start(poll, UV_READABLE, on_poll);
}

static void stop_origin(struct origin* origin) {
  if (origin->ends[0] != 0) {
    system_close_readable(origin->ends);
  }
}

typedef int (*start_function)(uv_loop_t* loop, struct origin* origin);

static void start_origin(struct fixture* f, struct origin* origin, start_function start) {
  memset(origin, 0, sizeof(*origin));
  origin->f = f;
  assert_int_equal(start(&f->loop, origin), 0);
  origin->handle.handle.data = origin;
}

/* A check handle alone would let the loop sleep before it ever ran: this makes one turn. */
static void keep_turning(uv_timer_t* timer) {
  uv_close((uv_handle_t*)timer, NULL);
}

static void assert_burst(const struct origin* origin) {
  for (unsigned i = 0; i < BURST; i++) {
    assert_non_null(origin->ops[i]);
    assert_result(origin->ops[i], PAGE);
  }
}

static void submit_from(struct fixture* f, start_function start, int before, uv_run_mode mode) {
  struct origin origin;
  uv_timer_t alarm_clock;
  memset(&f->file, 0, sizeof(f->file));
  if (before) {
    start_origin(f, &origin, start);
  }
  start_engine(f, matrix_options());
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  if (!before) {
    start_origin(f, &origin, start);
  }
  assert_int_equal(uv_timer_init(&f->loop, &alarm_clock), 0);
  assert_int_equal(uv_timer_start(&alarm_clock, keep_turning, 0, 0), 0);
  run_in_mode(f, mode);
  assert_burst(&origin);
  stop_origin(&origin);
  end_engine(f);
}

static void submit_from_everywhen(struct fixture* f, start_function start) {
  const uv_run_mode modes[] = {UV_RUN_DEFAULT, UV_RUN_ONCE, UV_RUN_NOWAIT};
  for (size_t i = 0; i < COUNT_OF(modes); i++) {
    submit_from(f, start, 1, modes[i]);
    submit_from(f, start, 0, modes[i]);
  }
}

static void submit_from_prepare(void** state) {
  submit_from_everywhen(*state, start_prepare);
}

static void submit_from_check(void** state) {
  submit_from_everywhen(*state, start_check);
}

static void submit_from_idle(void** state) {
  submit_from_everywhen(*state, start_idle);
}

static void submit_from_timer(void** state) {
  submit_from_everywhen(*state, start_timer);
}

static void submit_from_async(void** state) {
  submit_from_everywhen(*state, start_async);
}

static void submit_from_close_callback(void** state) {
  submit_from_everywhen(*state, start_closing);
}

static void submit_from_poll(void** state) {
  submit_from_everywhen(*state, start_poll);
}

static void submit_from_outside(struct fixture* f, uv_run_mode mode) {
  struct tracked_op* ops[BURST];
  for (unsigned i = 0; i < BURST; i++) {
    ops[i] = write_page(f, i);
  }
  run_in_mode(f, mode);
  for (unsigned i = 0; i < BURST; i++) {
    assert_result(ops[i], PAGE);
  }
}

static void submit_outside_the_loop(void** state) {
  struct fixture* f = *state;
  submit_from_outside(f, UV_RUN_DEFAULT);
  submit_from_outside(f, UV_RUN_ONCE);
  submit_from_outside(f, UV_RUN_NOWAIT);
}

/* A prepare handle of the user's that stays: it runs after ours in the same turn, or before. */
struct feeder {
  uv_prepare_t prepare;
  struct fixture* f;
  unsigned fed;
};

static void feed(uv_prepare_t* prepare) {
  struct feeder* feeder = prepare->data;
  write_page(feeder->f, feeder->fed);
  if (++feeder->fed == MANY) {
    uv_close((uv_handle_t*)prepare, NULL);
  }
}

static void each_turn_submits_one_more(void** state) {
  struct fixture* f = *state;
  struct feeder feeder = {.f = f};
  assert_int_equal(uv_prepare_init(&f->loop, &feeder.prepare), 0);
  feeder.prepare.data = &feeder;
  assert_int_equal(uv_prepare_start(&feeder.prepare, feed), 0);
  write_page(f, MANY);
  run(f);
  assert_int_equal(f->tracker.finished, MANY + 1);
}

/*
 * Alive.
 */

static void loop_is_alive_exactly_while_something_is_pending(void** state) {
  struct fixture* f = *state;
  assert_false(uv_loop_alive(&f->loop));
  struct tracked_op* write = write_page(f, 0);
  assert_true(uv_loop_alive(&f->loop));
  run(f);
  assert_result(write, PAGE);
  assert_false(uv_loop_alive(&f->loop));
  assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
}

static void refused_request_does_not_keep_the_loop_alive(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t empty = {0};
  assert_refused(t_write(op_new(&f->tracker), &f->file, &empty, 0), UV_EINVAL);
  assert_false(uv_loop_alive(&f->loop));
}

static void stop_loop(struct tracked_op* op) {
  uv_stop(op->data);
}

static void stopped_loop_goes_on_where_it_was(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 0);
  struct tracked_op* first = t_write(op_then(&f->tracker, stop_loop, &f->loop), &f->file, &page, 0);
  struct tracked_op* others[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    others[i] = write_page(f, i);
  }
  watch_for_hang("a stopped loop");
  uv_run(&f->loop, UV_RUN_DEFAULT);
  assert_result(first, PAGE);
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(others[i], PAGE);
  }
}

/* Requests that come after the loop once ended wake it again. */
static void loop_can_be_run_again_and_again(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < MANY; i++) {
    struct tracked_op* write = write_page(f, i);
    run(f);
    assert_result(write, PAGE);
  }
}

/*
 * Several engines.
 */

struct neighbour {
  uvdio_engine_t* engine;
  uvdio_file_t file;
  struct tracker tracker;
  struct tracked_op* writes[BURST];
};

static void move_in(struct fixture* f, struct neighbour* n, uvdio_backend_t backend,
                    const char* name) {
  uvdio_engine_options_t options = {0};
  options.backend = backend;
  memset(n, 0, sizeof(*n));
  tracker_init(&n->tracker);
  assert_ok(uvdio_engine_create(&n->engine, &f->loop, &options));
  struct tracked_op* open = t_open(op_now(&n->tracker), n->engine, &n->file, path_of(f, name),
                                   UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
  assert_result(open, 0);
}

static void work(struct neighbour* n) {
  for (unsigned i = 0; i < BURST; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    n->writes[i] = t_write(op_new(&n->tracker), &n->file, &page, i * PAGE);
  }
}

static void move_out(struct neighbour* n) {
  for (unsigned i = 0; i < BURST; i++) {
    assert_result(n->writes[i], PAGE);
  }
  assert_ok(t_engine_close(n->engine, NULL));
  tracker_finish(&n->tracker);
  tracker_verdict(&n->tracker);
}

static void engines_share_a_loop(void** state) {
  struct fixture* f = *state;
  static struct neighbour neighbours[4];
  move_in(f, &neighbours[0], matrix.backend, "a");
  move_in(f, &neighbours[1], matrix.backend, "b");
  move_in(f, &neighbours[2], on_memory() ? UVDIO_BACKEND_MEMORY : UVDIO_BACKEND_POOL, "c");
  move_in(f, &neighbours[3], UVDIO_BACKEND_MEMORY, "d");
  struct tracked_op* own = write_page(f, 0);
  for (size_t i = 0; i < COUNT_OF(neighbours); i++) {
    work(&neighbours[i]);
  }
  run(f);
  assert_result(own, PAGE);
  for (size_t i = 0; i < COUNT_OF(neighbours); i++) {
    move_out(&neighbours[i]);
  }
  run(f);
}

static void engine_that_closes_leaves_its_neighbours_alone(void** state) {
  struct fixture* f = *state;
  static struct neighbour neighbour;
  move_in(f, &neighbour, matrix.backend, "a");
  work(&neighbour);
  struct tracked_op* own = write_page(f, 0);
  end_engine(f);
  assert_result(own, PAGE);
  move_out(&neighbour);
  run(f);
}

/*
 * Threads.
 */

enum { THREADS = 4, ROUNDS = 10 };

struct life {
  const char* path;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uvdio_file_t file;
  struct tracker tracker;
  int failed;
};

/* No assertions here: they belong to the main thread. */
static int write_rounds(struct life* life) {
  struct tracker* t = &life->tracker;
  int failed = 0;
  for (unsigned i = 0; i < ROUNDS * BURST; i++) {
    uvdio_buf_t page = {0};
    failed |= uvdio_buf_page(&page);
    failed |= t_write(op_new(t), &life->file, &page, (uint64_t)i * PAGE)->code;
    if (i % BURST == 0) {
      failed |= uv_run(&life->loop, UV_RUN_DEFAULT);
    }
  }
  struct tracked_op* sync = t_sync_data(op_new(t), &life->file);
  failed |= uv_run(&life->loop, UV_RUN_DEFAULT);
  return failed || sync->done != 1 || sync->result != 0;
}

static void live(void* argument) {
  struct life* life = argument;
  struct tracker* t = &life->tracker;
  uvdio_engine_options_t options = matrix_options();
  tracker_init(t);
  life->failed = uv_loop_init(&life->loop) ||
                 uvdio_engine_create(&life->engine, &life->loop, &options) ||
                 t_open(op_now(t), life->engine, &life->file, life->path, UVDIO_OPEN_RW)->code ||
                 write_rounds(life) || t_engine_close(life->engine, NULL) ||
                 uv_run(&life->loop, UV_RUN_DEFAULT) || uv_loop_close(&life->loop);
  tracker_finish(t);
}

static void engines_on_loops_in_threads(void** state) {
  struct fixture* f = *state;
  static struct life lives[THREADS];
  uv_thread_t threads[THREADS];
  const char* const names[THREADS] = {"a", "b", "c", "d"};
  memset(lives, 0, sizeof(lives));
  watch_for_hang("engines in threads");
  for (int i = 0; i < THREADS; i++) {
    lives[i].path = path_of(f, names[i]);
    assert_int_equal(uv_thread_create(&threads[i], live, &lives[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    uv_thread_join(&threads[i]);
  }
  watch_for_hang(NULL);
  for (int i = 0; i < THREADS; i++) {
    tracker_verdict(&lives[i].tracker);
    assert_int_equal(lives[i].failed, 0);
  }
}

/* Set up here, run there: the fixture's engine and file are the main thread's work. */
struct emigrant {
  struct fixture* f;
  uv_sem_t ran;
  uv_sem_t asked;
  int failed;
};

static void run_there(void* argument) {
  struct emigrant* emigrant = argument;
  struct fixture* f = emigrant->f;
  f->tracker.thread = uv_thread_self();
  struct tracked_op* writes[BURST];
  for (unsigned i = 0; i < BURST; i++) {
    writes[i] = write_page(f, i);
  }
  emigrant->failed = uv_run(&f->loop, UV_RUN_DEFAULT);
  for (unsigned i = 0; i < BURST; i++) {
    emigrant->failed |= writes[i]->done != 1 || writes[i]->result != PAGE;
  }
  uv_sem_post(&emigrant->ran);
  uv_sem_wait(&emigrant->asked);
  emigrant->failed |= t_engine_close(f->engine, on_engine_closed);
  emigrant->failed |= uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void engine_set_up_here_runs_there(void** state) {
  struct fixture* f = *state;
  struct emigrant emigrant = {.f = f};
  uv_thread_t thread;
  assert_int_equal(uv_sem_init(&emigrant.ran, 0), 0);
  assert_int_equal(uv_sem_init(&emigrant.asked, 0), 0);
  watch_for_hang("the loop on another thread");
  assert_int_equal(uv_thread_create(&thread, run_there, &emigrant), 0);
  uv_sem_wait(&emigrant.ran);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  uv_sem_post(&emigrant.asked);
  uv_thread_join(&thread);
  watch_for_hang(NULL);
  f->engine = NULL;
  uv_sem_destroy(&emigrant.ran);
  uv_sem_destroy(&emigrant.asked);
  assert_refused(size, UVDIO_ETHREAD);
  assert_int_equal(emigrant.failed, 0);
  assert_int_equal(f->closed, 1);
}

/* What the operations say on a thread that is not the loop's. */
struct stranger {
  struct fixture* f;
  struct tracked_op* pending;
  int cancel_code;
  int close_code;
  struct tracked_op* ops[9];
  uvdio_buf_t buf;
};

static void call_from_elsewhere(void* argument) {
  struct stranger* s = argument;
  struct fixture* f = s->f;
  struct tracker* t = &f->tracker;
  s->ops[0] = t_read(op_new(t), &f->file, &s->buf, 0);
  s->ops[1] = t_write(op_new(t), &f->file, &s->buf, 0);
  s->ops[2] = t_sync_data(op_new(t), &f->file);
  s->ops[3] = t_size(op_now(t), &f->file);
  s->ops[4] = t_truncate(op_new(t), &f->file, 0);
  s->ops[5] = t_preallocate(op_new(t), &f->file, PAGE);
  s->ops[6] = t_close(op_new(t), &f->file);
  s->ops[7] = t_open(op_new(t), f->engine, &f->other, path_of(f, "x"), UVDIO_OPEN_RW);
  s->ops[8] = t_write(op_now(t), &f->file, &s->buf, 0);
  s->cancel_code = t_cancel(s->pending);
  s->close_code = t_engine_close(f->engine, NULL);
}

static void call_from_another_thread_is_refused(void** state) {
  struct fixture* f = *state;
  struct stranger stranger = {.f = f, .buf = filled(PAGE, 1)};
  uv_thread_t thread;
  write_page(f, 0);
  run(f); /* a turn of the loop binds the engine to this thread */
  stranger.pending = write_page(f, 0);
  assert_int_equal(uv_thread_create(&thread, call_from_elsewhere, &stranger), 0);
  uv_thread_join(&thread);
  for (size_t i = 0; i < COUNT_OF(stranger.ops); i++) {
    assert_refused(stranger.ops[i], UVDIO_ETHREAD);
  }
  assert_code(stranger.cancel_code, UVDIO_ETHREAD);
  assert_code(stranger.close_code, UVDIO_ETHREAD);
  assert_ok(uvdio_buf_release(&stranger.buf));
  run(f);
  assert_result(stranger.pending, PAGE);
}

/*
 * Closing the engine.
 */

static int depth_2(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = 2;
  return fixture_open_with(state, options);
}

/* How many requests had been called back when the engine was. */
static unsigned finished_before_the_engine;

static void note_engine_closed(uvdio_engine_t* engine) {
  struct fixture* f = uvdio_engine_data(engine);
  finished_before_the_engine = f->tracker.finished;
  on_engine_closed(engine);
}

static void close_engine_and_run(struct fixture* f, uvdio_engine_cb cb) {
  assert_ok(t_engine_close(f->engine, cb));
  assert_int_equal(f->closed, 0);
  run(f);
  f->engine = NULL;
}

static void engine_drains_before_it_calls_back(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  close_engine_and_run(f, note_engine_closed);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
  }
  assert_result(sync, 0);
  assert_result(close, 0);
  assert_int_equal(f->closed, 1);
  assert_int_equal(finished_before_the_engine, MANY + 2);
}

static void engine_closes_files_left_open(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  start_engine(f, matrix_options());
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  struct tracked_op* write = write_page(f, 0);
  close_engine_and_run(f, on_engine_closed);
  assert_result(write, PAGE);
  assert_int_equal(open_descriptors(), before);
  assert_refused(t_size(op_new(&f->tracker), &f->file), UV_EBADF);
  assert_refused(t_size(op_now(&f->tracker), &f->other), UV_EBADF);
}

static void engine_closes_a_file_that_is_just_being_opened(void** state) {
  struct fixture* f = *state;
  struct tracked_op* open = op_new(&f->tracker);
  t_open(open, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  close_engine_and_run(f, on_engine_closed);
  assert_int_equal(open->done, 1);
  assert_int_equal(f->closed, 1);
  assert_refused(t_size(op_new(&f->tracker), &f->other), UV_EBADF);
}

static void engine_is_closed_once(void** state) {
  struct fixture* f = *state;
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  assert_code(t_engine_close(f->engine, on_engine_closed), UV_EBADF);
  assert_true(uv_loop_alive(&f->loop));
  run(f);
  f->engine = NULL;
  assert_int_equal(f->closed, 1);
}

static void engine_needs_no_callback_to_close(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_page(f, 0);
  close_engine_and_run(f, NULL);
  assert_result(write, PAGE);
  assert_false(uv_loop_alive(&f->loop));
}

static void engine_closes_in_every_mode(void** state) {
  struct fixture* f = *state;
  const uv_run_mode modes[] = {UV_RUN_DEFAULT, UV_RUN_ONCE, UV_RUN_NOWAIT};
  for (size_t i = 0; i < COUNT_OF(modes); i++) {
    memset(&f->file, 0, sizeof(f->file));
    start_engine(f, matrix_options());
    open_now(f, &f->file, "file", UVDIO_OPEN_RW);
    struct tracked_op* write = write_page(f, 0);
    assert_ok(t_engine_close(f->engine, on_engine_closed));
    run_in_mode(f, modes[i]);
    f->engine = NULL;
    assert_result(write, PAGE);
    assert_int_equal(f->closed, 1);
  }
}

static void start_anew(uvdio_engine_t* engine) {
  struct fixture* f = uvdio_engine_data(engine);
  uvdio_engine_options_t options = matrix_options();
  on_engine_closed(engine);
  if (uvdio_engine_create(&f->engine, &f->loop, &options) != 0) {
    tracker_violation(&f->tracker, "uvdio_engine_create from the engine's own callback");
    return;
  }
  uvdio_engine_set_data(f->engine, f);
  t_open(op_new(&f->tracker), f->engine, &f->file, path_of(f, "file"), UVDIO_OPEN_RW);
}

static void closing_callback_starts_a_new_engine(void** state) {
  struct fixture* f = *state;
  struct tracked_op* before = write_page(f, 0);
  assert_ok(t_engine_close(f->engine, start_anew));
  run(f);
  assert_result(before, PAGE);
  assert_int_equal(f->closed, 1);
  f->closed = 0;
  struct tracked_op* after = write_page(f, 1);
  run(f);
  assert_result(after, PAGE);
  close_engine_and_run(f, NULL);
}

static void many_engines_one_after_the_other(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < MANY; i++) {
    start_engine(f, matrix_options());
    if (i % 2 == 0) {
      memset(&f->file, 0, sizeof(f->file));
      open_now(f, &f->file, "file", UVDIO_OPEN_RW);
      write_page(f, i);
    }
    end_engine(f);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_loop, submit_from_prepare),
      TEST_ON(fixture_loop, submit_from_check),
      TEST_ON(fixture_loop, submit_from_idle),
      TEST_ON(fixture_loop, submit_from_timer),
      TEST_ON(fixture_loop, submit_from_async),
      TEST_ON(fixture_loop, submit_from_close_callback),
      TEST_ON(fixture_loop, submit_from_poll),
      TEST_ON(fixture_open, submit_outside_the_loop),
      TEST_ON(fixture_open, each_turn_submits_one_more),
      TEST_ON(fixture_open, loop_is_alive_exactly_while_something_is_pending),
      TEST_ON(fixture_open, refused_request_does_not_keep_the_loop_alive),
      TEST_ON(fixture_open, stopped_loop_goes_on_where_it_was),
      TEST_ON(fixture_open, loop_can_be_run_again_and_again),
      TEST_ON(fixture_open, engines_share_a_loop),
      TEST_ON(fixture_open, engine_that_closes_leaves_its_neighbours_alone),
      TEST_ON(fixture_loop, engines_on_loops_in_threads),
      TEST_ON(fixture_open, engine_set_up_here_runs_there),
      TEST_ON(fixture_open, call_from_another_thread_is_refused),
      TEST_ON(depth_2, engine_drains_before_it_calls_back),
      TEST_ON(fixture_loop, engine_closes_files_left_open),
      TEST_ON(fixture_engine, engine_closes_a_file_that_is_just_being_opened),
      TEST_ON(fixture_engine, engine_is_closed_once),
      TEST_ON(fixture_open, engine_needs_no_callback_to_close),
      TEST_ON(fixture_loop, engine_closes_in_every_mode),
      TEST_ON(fixture_open, closing_callback_starts_a_new_engine),
      TEST_ON(fixture_loop, many_engines_one_after_the_other),
  };
  return matrix_main("loop", tests, COUNT_OF(tests), argc, argv);
}
