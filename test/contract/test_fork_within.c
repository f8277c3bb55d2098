/* SPDX-License-Identifier: MIT */
/*
 * Forks at odd moments: from inside a callback, with a worker's work done and not yet called back,
 * with an arena that ends in the child. The child's engine stays as it is, and the parent notices
 * nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"
#include "uvdio/class.h"
#include "workers.h"

#define CHILD_TIME 60 /* seconds */

static int busy(void** state) {
  uvdio_engine_options_t options = {0};
  options.busy_poll_us = UVDIO_BUSY_POLL_MAX;
  workers_begin();
  return fixture_open_with(state, options);
}

static int set_up(void** state) {
  workers_begin();
  return fixture_open(state);
}

/* The engine knows its thread, and the file has been read from. */
static void warm_up(struct fixture* f) {
  uvdio_buf_t page = blank(PAGE);
  put(f, &f->file, 0, PAGE, 1);
  t_read(op_new(&f->tracker), &f->file, &page, 0);
  run(f);
}

/*
 * From inside a callback
 */

struct split {
  struct fixture* f;
  struct tracked_op* other;
  pid_t child;
  int status;
  uint64_t busy_hits;
};

/* The loop comes back to the test in the child as well, after this turn. The parent waits for the
 * child's end, so that the child finds everything as it was. */
static void fork_here(struct tracked_op* op) {
  struct split* split = op->data;
  fflush(NULL);
  split->child = fork();
  if (split->child == 0) {
    alarm(CHILD_TIME);
    split->busy_hits = stats_of(split->f).busy_hits;
    uv_stop(&split->f->loop);
  } else if (split->child < 0 || waitpid(split->child, &split->status, 0) != split->child) {
    split->status = -1;
  }
}

/* A read of nothing is done when it is submitted, and called back in the next turn. */
static struct tracked_op* read_nothing(struct fixture* f, struct tracked_op* op) {
  static _Alignas(4096) char byte;
  uvdio_buf_t nothing = uvdio_buf_view_bytes(&byte, 0);
  return t_read(op, &f->file, &nothing, 0);
}

/* Ends the child: well, where it was not called back for the other request, and has not looked at
 * what the kernel has. */
static int child_was_left_alone(const struct split* split) {
  if (split->child == 0) {
    exit_child(split->other->done > 0 || stats_of(split->f).busy_hits != split->busy_hits);
  }
  return split->child > 0 && split->status == 0;
}

/* What was due in the same turn is the parent's. */
static void child_of_a_callback_gets_no_other(void** state) {
  struct fixture* f = *state;
  struct split split = {.f = f, .child = -1};
  warm_up(f);
  struct tracked_op* first = read_nothing(f, op_then(&f->tracker, fork_here, &split));
  split.other = read_nothing(f, op_new(&f->tracker));
  assert_int_equal(first->done + split.other->done, 0);
  uv_run(&f->loop, UV_RUN_ONCE);
  int alone = child_was_left_alone(&split);
  run(f);
  assert_true(alone);
  assert_result(first, 0);
  assert_result(split.other, 0);
}

/* What the parent's engine looks out for, the child's does not. */
static void child_of_a_callback_watches_for_nothing(void** state) {
  struct fixture* f = *state;
  struct split split = {.f = f, .child = -1};
  uvdio_buf_t page = blank(PAGE);
  warm_up(f);
  struct tracked_op* first = read_nothing(f, op_then(&f->tracker, fork_here, &split));
  split.other = t_read(op_new(&f->tracker), &f->file, &page, 0);
  uv_run(&f->loop, UV_RUN_ONCE);
  int alone = child_was_left_alone(&split);
  run(f);
  assert_true(alone);
  assert_result(first, 0);
  assert_result(split.other, PAGE);
}

/* The child ends what its parent was closing, there and then. */
static void count_room(uvdio_engine_t* engine, unsigned number, int status, void* arg) {
  (void)engine;
  (void)number;
  *(int*)arg += status == 0 ? 1 : 100;
}

/* Nor is it told of room in a class, which is there. */
static void child_of_a_callback_is_told_of_no_room(void** state) {
  struct fixture* f = *state;
  struct split split = {.f = f, .child = -1};
  int told = 0;
  warm_up(f);
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER, NULL));
  struct tracked_op* first = read_nothing(f, op_then(&f->tracker, fork_here, &split));
  assert_ok(uvdio_class_wait_room(f->engine, UVDIO_CLASS_USER, count_room, &told));
  uv_run(&f->loop, UV_RUN_ONCE);
  if (split.child == 0) {
    exit_child(told);
  }
  run(f);
  assert_true(split.child > 0 && split.status == 0);
  assert_result(first, 0);
  assert_int_equal(told, 1);
}

static void fork_and_close(struct tracked_op* op) {
  struct split* split = op->data;
  fork_here(op);
  if (split->child == 0 && (uv_loop_fork(&split->f->loop) != 0 ||
                            t_engine_close(split->f->engine, on_engine_closed) != 0)) {
    exit_child(1);
  }
}

static void child_of_a_callback_closes_a_closing_engine(void** state) {
  struct fixture* f = *state;
  struct split split = {.f = f, .child = -1};
  warm_up(f);
  struct tracked_op* first = read_nothing(f, op_then(&f->tracker, fork_and_close, &split));
  split.other = read_nothing(f, op_new(&f->tracker));
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  while (f->closed == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  if (split.child == 0) {
    exit_child(f->closed != 1 || first->done != 1 || split.other->done != 1);
  }
  f->engine = NULL;
  assert_int_equal(split.status, 0);
  assert_result(first, 0);
  assert_result(split.other, 0);
}

/*
 * After a worker has done its work
 */

struct late {
  struct fixture* f;
  struct tracked_op* size;
  int close_first;
};

static void do_nothing(uv_work_t* work) {
  (void)work;
}

static void note_done(uv_work_t* work, int status) {
  (void)status;
  *(int*)work->data = 1;
}

/* What was queued before is done when this returns, where there is one worker. */
static void pass_through_a_worker(uv_loop_t* loop) {
  int done = 0;
  uv_work_t work = {.data = &done};
  (void)uv_queue_work(loop, &work, do_nothing, note_done);
  while (!done) {
    uv_run(loop, UV_RUN_ONCE);
  }
}

static void on_knocked(uv_handle_t* handle) {
  *(int*)handle->data = 1;
}

static void on_knock(uv_async_t* async) {
  uv_close((uv_handle_t*)async, on_knocked);
}

/* A loop that is woken by anything looks at what workers have done as well. After a fork libuv
 * takes it that it has been told of that already, and wakes up for no work by itself. */
static void knock(uv_loop_t* loop) {
  uv_async_t async;
  int done = 0;
  (void)uv_async_init(loop, &async, on_knock);
  async.data = &done;
  (void)uv_async_send(&async);
  while (!done) {
    uv_run(loop, UV_RUN_ONCE);
  }
}

static int take_late_work(void* data) {
  struct late* late = data;
  struct fixture* f = late->f;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  if (!late->close_first) {
    knock(&f->loop);
    EXPECT(late->size->done == 0);
  }
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  while (f->closed == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  knock(&f->loop);
  EXPECT(late->size->done == 1 && late->size->result == UVDIO_EFORK);
  return 0;
}

/* All threads but one are kept busy, so that works are done one after the other. */
static void late_work(struct fixture* f, int close_first) {
  struct late late = {.f = f, .close_first = close_first};
  struct workers workers;
  uv_loop_t side;
  warm_up(f);
  assert_ok(uv_loop_init(&side));
  workers_occupy(&workers, &side, WORKERS - 1);
  late.size = t_size(op_new(&f->tracker), &f->file);
  pass_through_a_worker(&side); /* The size is known now, and the engine has not been told. */
  int status = in_a_child(take_late_work, &late);
  workers_release(&workers);
  uv_run(&side, UV_RUN_DEFAULT);
  int left = uv_loop_close(&side);
  run(f);
  assert_ok(status);
  assert_ok(left);
  assert_result(late.size, PAGE);
}

static void child_does_not_take_the_parents_work(void** state) {
  late_work(*state, 0);
}

static void work_comes_after_the_child_has_closed_the_engine(void** state) {
  late_work(*state, 1);
}

/*
 * The end of an arena
 */

static int end_arena(void* data) {
  struct fixture* f = data;
  uint64_t registered = stats_of(f).registered_bytes;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(uvdio_arena_destroy(f->arena, NULL) == 0);
  knock(&f->loop);
  EXPECT(stats_of(f).registered_bytes == registered);
  return 0;
}

/* An engine lets go of what it has registered of an arena that is gone; a child's has registered
 * nothing. */
static void arena_that_ends_in_the_child_stays_registered(void** state) {
  struct fixture* f = *state;
  uvdio_registration_t registration;
  warm_up(f);
  fixture_arena(f, PAGE, 4);
  int error = uvdio_arena_register(f->engine, f->arena);
  assert_ok(in_a_child(end_arena, f));
  assert_ok(uvdio_arena_registration(f->engine, f->arena, &registration));
  assert_int_equal(registration.bytes, error == 0 ? 4 * PAGE : 0);
  uvdio_buf_t frame = {0};
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &frame, 0);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, 1));
}

/* The end of an arena that a ring has registered is told to all engines, to which it may mean
 * nothing. */
static void end_of_an_arena_is_nothing_to_a_pool(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_RING, .depth = 8};
  uvdio_arena_options_t arena_options = {PAGE, 4, 0};
  uvdio_arena_t* arena;
  uv_loop_t loop;
  uvdio_engine_t* ring;
  assert_ok(uv_loop_init(&loop));
  if (uvdio_engine_create(&ring, &loop, &options) != 0) {
    assert_ok(uv_loop_close(&loop));
    SKIP("there is no ring to register an arena");
  }
  assert_ok(uvdio_arena_create(&arena, &arena_options));
  (void)uvdio_arena_register(ring, arena);
  assert_ok(uvdio_arena_destroy(arena, NULL));
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_ok(uvdio_engine_close(ring, NULL));
  uv_run(&loop, UV_RUN_DEFAULT);
  assert_ok(uv_loop_close(&loop));
  assert_result(size, 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(set_up, child_of_a_callback_gets_no_other),
      TEST_ON(busy, child_of_a_callback_watches_for_nothing),
      TEST_ON(set_up, child_of_a_callback_is_told_of_no_room),
      TEST_ON(set_up, child_of_a_callback_closes_a_closing_engine),
      TEST_ON(set_up, child_does_not_take_the_parents_work),
      TEST_ON(set_up, work_comes_after_the_child_has_closed_the_engine),
      TEST_ON(set_up, arena_that_ends_in_the_child_stays_registered),
      TEST_ON(set_up, end_of_an_arena_is_nothing_to_a_pool),
  };
  if (UNDER_TSAN) {
    skip_line("the thread sanitizer does not follow a fork with threads");
    return SKIPPED_PROGRAM;
  }
  return matrix_main("fork_within", tests, COUNT_OF(tests), argc, argv);
}
