/* SPDX-License-Identifier: MIT */
/*
 * Waiting for frames of an arena (uvdio_arena_wait): all or none, first come first served among
 * engines and threads, woken by whoever releases one; cancelled, closed, walked over and forked
 * while it waits. The tracker looks at each array: all frames where the result is 0, else none.
 */
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"

#define FRAMES 4u /* of the arena */
#define MANY 32u

/* A second engine on the fixture's loop; what it is asked for is the tracker's as well. */
static uvdio_engine_t* second;

static int engine_and_arena(void** state) {
  if (fixture_engine(state) != 0) {
    return -1;
  }
  fixture_arena(*state, PAGE, FRAMES);
  return 0;
}

static int two_engines(void** state) {
  struct fixture* f;
  if (engine_and_arena(state) != 0) {
    return -1;
  }
  f = *state;
  uvdio_engine_options_t options = matrix_options();
  assert_ok(uvdio_engine_create(&second, &f->loop, &options));
  return 0;
}

static void close_second(struct fixture* f) {
  uvdio_engine_stats_t stats;
  assert_ok(uvdio_engine_stats(second, &stats));
  f->elsewhere = stats.submitted;
  assert_ok(uvdio_engine_close(second, NULL));
  second = NULL;
}

static int tear_down_two(void** state) {
  struct fixture* f = *state;
  if (second != NULL) {
    close_second(f);
  }
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  return fixture_tear_down(state);
}

#define TEST_OF_TWO(function) cmocka_unit_test_setup_teardown(function, two_engines, tear_down_two)

static uvdio_buf_t held[FRAMES];

/* The test holds so many frames. */
static void hold(struct fixture* f, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    assert_ok(uvdio_arena_acquire(f->arena, &held[i]));
  }
}

static void let_go(unsigned first, unsigned count) {
  for (unsigned i = first; i < first + count; i++) {
    assert_ok(uvdio_buf_release(&held[i]));
  }
}

static void give_back(struct tracked_op* op) {
  for (unsigned i = 0; i < op->frame_count; i++) {
    if (uvdio_buf_release(&op->frames[i]) != 0) {
      tracker_violation(op->tracker, "a frame that was given can't be released");
    }
  }
}

static struct tracked_op* wait_for(struct fixture* f, unsigned count) {
  return t_arena_wait(op_new(&f->tracker), f->engine, f->arena, count);
}

/* Gives the frames back in its callback. */
static struct tracked_op* pass_through(struct fixture* f, uvdio_engine_t* engine, unsigned count) {
  return t_arena_wait(op_then(&f->tracker, give_back, NULL), engine, f->arena, count);
}

/* The engine knows its thread from here on. */
static void bind_engine(struct fixture* f) {
  pass_through(f, f->engine, 1);
  run(f);
}

/* What is due is called back; nothing else is. */
static void turn(struct fixture* f) {
  for (unsigned i = 0; i < 4; i++) {
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
  }
}

static void assert_waiting(const struct tracked_op* op) {
  assert_accepted(op);
  assert_int_equal(op->done, 0);
}

/*
 * Frames
 */

static void frames_that_are_free_come_at_once(void** state) {
  struct fixture* f = *state;
  struct tracked_op* wait = wait_for(f, 3);
  assert_waiting(wait);
  assert_int_equal(frames_out(f), 3);
  run(f);
  assert_result(wait, 0);
  assert_null(wait->req.file);
  for (unsigned i = 0; i < 3; i++) {
    assert_ptr_equal(wait->frames[i].owner_, f->arena);
    assert_int_equal(wait->frames[i].cap, PAGE);
    assert_int_equal(wait->frames[i].len, 0);
    assert_true(i == 0 || wait->frames[i].base != wait->frames[i - 1].base);
    memset(wait->frames[i].base, 1, PAGE);
  }
  assert_int_equal(frames_out(f), 3);
  hold(f, 1);
  assert_code(uvdio_arena_acquire(f->arena, &held[1]), UV_ENOBUFS);
  let_go(0, 1);
}

static void wait_ends_when_enough_were_released(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* wait = wait_for(f, 2);
  turn(f);
  assert_waiting(wait);
  assert_int_equal(stats_of(f).pending, 1);
  assert_int_not_equal(uv_loop_alive(&f->loop), 0);
  let_go(0, 1);
  turn(f);
  assert_waiting(wait);
  let_go(1, 1);
  assert_int_equal(wait->done, 0); /* never within a call */
  run(f);
  assert_result(wait, 0);
  assert_int_equal(frames_out(f), FRAMES);
  let_go(2, 2);
}

static void frames_that_were_free_before_count(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES - 1);
  struct tracked_op* wait = wait_for(f, 2);
  turn(f);
  assert_waiting(wait);
  let_go(0, 1);
  run(f);
  assert_result(wait, 0);
  assert_int_equal(frames_out(f), FRAMES);
  let_go(1, FRAMES - 2);
}

static void all_frames_can_be_waited_for(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* wait = wait_for(f, FRAMES);
  for (unsigned i = 0; i < FRAMES; i++) {
    turn(f);
    assert_waiting(wait);
    let_go(i, 1);
  }
  run(f);
  assert_result(wait, 0);
  assert_int_equal(frames_out(f), FRAMES);
}

static void nothing_is_allocated(void** state) {
  struct fixture* f = *state;
  run(f);
  size_t before = uvdio_allocations();
  for (unsigned i = 0; i < MANY; i++) {
    hold(f, FRAMES);
    pass_through(f, f->engine, 1);
    assert_int_equal(uvdio_allocations(), before);
    let_go(0, FRAMES);
    run(f);
    assert_int_equal(uvdio_allocations(), before);
  }
}

/* Each is dirty when it comes back. */
static void frames_of_a_zeroed_arena_are_zeros(void** state) {
  struct fixture* f = *state;
  uvdio_arena_options_t options = {0, 2, UVDIO_ARENA_ZEROED};
  uvdio_arena_t* zeroed;
  uvdio_buf_t frames[2];
  assert_ok(uvdio_arena_create(&zeroed, &options));
  for (unsigned round = 0; round < 4; round++) {
    struct tracked_op* wait = op_new(&f->tracker);
    for (unsigned i = 0; i < 2; i++) {
      assert_ok(uvdio_arena_acquire(zeroed, &frames[i]));
      memset(frames[i].base, 1, PAGE);
    }
    if (round == 0) {
      t_arena_wait(wait, f->engine, zeroed, 2); /* given by a release */
    }
    assert_ok(uvdio_buf_release(&frames[0]));
    assert_ok(uvdio_buf_release(&frames[1]));
    wait->blocking = round == 1;
    if (round > 0) {
      t_arena_wait(wait, f->engine, zeroed, 2);
    }
    run(f);
    assert_result(wait, 0);
    for (unsigned i = 0; i < 2; i++) {
      assert_int_equal(wait->frames[i].len, PAGE);
      assert_true(is_zero(wait->frames[i].base, PAGE));
    }
    give_back(wait);
  }
  assert_ok(uvdio_arena_destroy(zeroed, NULL));
}

/* They are the ones that any release takes back, and once. */
static void frames_that_were_given_are_released_once(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* wait = wait_for(f, 1);
  struct tracked_op* next = wait_for(f, FRAMES);
  uvdio_buf_t stale = held[0];
  let_go(0, 1);
  turn(f);
  assert_int_equal(wait->done, 1);
  assert_ptr_equal(wait->frames[0].base, stale.base);
  uvdio_buf_t copy = wait->frames[0];
  give_back(wait);
  assert_code(uvdio_buf_release(&copy), UVDIO_EDOUBLEFREE); /* while it is in the reserve */
  let_go(1, FRAMES - 1);
  run(f);
  assert_result(next, 0);
}

/*
 * The order
 */

static void first_come_is_first_served(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* large = wait_for(f, 3);
  struct tracked_op* small = wait_for(f, 1);
  let_go(0, 2);
  turn(f);
  assert_waiting(large);
  assert_waiting(small); /* though two are free */
  let_go(2, 1);
  turn(f);
  assert_result(large, 0);
  assert_waiting(small);
  let_go(3, 1);
  run(f);
  assert_result(small, 0);
}

static void nobody_overtakes_those_that_wait(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t frame = {0};
  hold(f, FRAMES);
  struct tracked_op* large = wait_for(f, FRAMES);
  let_go(0, FRAMES - 1);
  assert_code(uvdio_arena_acquire(f->arena, &frame), UV_ENOBUFS);
  assert_null(frame.base);
  assert_refused(t_arena_wait(op_now(&f->tracker), f->engine, f->arena, 1), UV_ENOBUFS);
  struct tracked_op* small = wait_for(f, 1);
  turn(f);
  assert_waiting(small);
  assert_ok(t_cancel(large));
  run(f);
  assert_result(large, UV_ECANCELED);
  assert_result(small, 0);
  assert_ok(uvdio_arena_acquire(f->arena, &frame)); /* Nobody waits any more. */
  assert_int_equal(frames_out(f), 3);
  assert_ok(uvdio_buf_release(&frame));
  let_go(FRAMES - 1, 1);
}

/* Each wants more than half. */
static void those_that_want_many_take_turns(void** state) {
  struct fixture* f = *state;
  struct tracked_op* waits[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    waits[i] = pass_through(f, i % 2 ? f->engine : second, FRAMES - i % 3 % 2);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(waits[i], 0);
    assert_true(i == 0 || waits[i]->order > waits[i - 1]->order);
  }
  assert_int_equal(frames_out(f), 0);
}

static void engines_are_served_in_the_order_of_their_requests(void** state) {
  struct fixture* f = *state;
  struct tracked_op* waits[FRAMES];
  hold(f, FRAMES);
  for (unsigned i = 0; i < FRAMES; i++) {
    waits[i] = t_arena_wait(op_new(&f->tracker), i % 2 ? f->engine : second, f->arena, 1);
  }
  for (unsigned i = 0; i < FRAMES; i++) {
    let_go(i, 1);
    turn(f);
    for (unsigned k = 0; k < FRAMES; k++) {
      assert_int_equal(waits[k]->done, k <= i);
    }
  }
  run(f);
}

/* One wait after the other, each from the callback of the one before. */
struct chain {
  struct fixture* f;
  uvdio_engine_t* engine;
  unsigned left;
};

static void wait_again(struct tracked_op* op) {
  struct chain* chain = op->data;
  give_back(op);
  if (chain->left > 0) {
    chain->left--;
    t_arena_wait(op, chain->engine, chain->f->arena, 1 + chain->left % FRAMES);
  }
}

static void callbacks_may_wait_again(void** state) {
  struct fixture* f = *state;
  struct chain chains[6];
  for (unsigned i = 0; i < COUNT_OF(chains); i++) {
    chains[i] = (struct chain){f, i % 2 ? f->engine : second, 50};
    t_arena_wait(op_then(&f->tracker, wait_again, &chains[i]), chains[i].engine, f->arena, 2);
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(chains); i++) {
    assert_int_equal(chains[i].left, 0);
  }
}

static void free_request(struct tracked_op* op) {
  op_free(op);
}

static void callback_may_free_its_request(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  for (unsigned i = 0; i < MANY; i++) {
    t_arena_wait(op_then(&f->tracker, free_request, NULL), f->engine, f->arena, 1 + i % FRAMES);
  }
  let_go(0, FRAMES);
  run(f);
  assert_int_equal(f->tracker.finished, MANY);
}

/* Memory comes back where a transfer ends, and somebody waits for just that. */
static void frames_of_a_transfer_go_to_those_that_wait(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  put(f, &f->file, 0, PAGE, 7);
  struct tracked_op* reads[FRAMES];
  for (unsigned i = 0; i < FRAMES; i++) {
    hold(f, 1);
    reads[i] = t_read(op_then(&f->tracker, free_request, NULL), &f->file, &held[0], 0);
    assert_accepted(reads[i]);
  }
  struct tracked_op* wait = wait_for(f, FRAMES);
  assert_waiting(wait);
  run(f);
  assert_result(wait, 0);
  for (unsigned i = 0; i < FRAMES; i++) {
    assert_true(is_pattern(wait->frames[i].base, PAGE, 7));
  }
}

/*
 * Threads
 */

struct releaser {
  uv_thread_t thread;
  uvdio_buf_t* frames;
  unsigned count;
  int failed;
};

static void release_them(void* data) {
  struct releaser* releaser = data;
  for (unsigned i = 0; i < releaser->count; i++) {
    releaser->failed |= uvdio_buf_release(&releaser->frames[i]) != 0;
  }
}

static void release_on_another_thread_wakes_the_loop(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < MANY; i++) {
    struct releaser releaser = {.frames = held, .count = FRAMES};
    hold(f, FRAMES);
    struct tracked_op* waits[] = {pass_through(f, f->engine, 2), pass_through(f, second, FRAMES),
                                  pass_through(f, f->engine, 1)};
    if (i % 2) {
      turn(f);
    }
    assert_ok(uv_thread_create(&releaser.thread, release_them, &releaser));
    run(f);
    assert_ok(uv_thread_join(&releaser.thread));
    assert_int_equal(releaser.failed, 0);
    for (size_t k = 0; k < COUNT_OF(waits); k++) {
      assert_result(waits[k], 0);
    }
  }
}

struct stranger {
  struct fixture* f;
  int code;
};

static void wait_from_outside(void* data) {
  struct stranger* stranger = data;
  uvdio_req_t req = {0};
  uvdio_buf_t frame;
  stranger->code = uvdio_arena_wait(stranger->f->engine, &req, stranger->f->arena, &frame, 1, NULL);
}

static void other_threads_are_turned_away(void** state) {
  struct fixture* f = *state;
  struct stranger stranger = {f, 0};
  uv_thread_t thread;
  bind_engine(f);
  assert_ok(uv_thread_create(&thread, wait_from_outside, &stranger));
  assert_ok(uv_thread_join(&thread));
  assert_code(stranger.code, UVDIO_ETHREAD);
  assert_int_equal(frames_out(f), 0);
}

/* The loop goes on elsewhere while something waits, and so do its callbacks. */
static void run_the_loop(void* data) {
  struct fixture* f = data;
  f->tracker.thread = uv_thread_self();
  while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
  }
}

static void wait_goes_along_with_its_loop(void** state) {
  struct fixture* f = *state;
  uv_thread_t thread;
  bind_engine(f);
  hold(f, FRAMES);
  struct tracked_op* wait = wait_for(f, 1);
  assert_code(uvdio_engine_rebind(f->engine), UV_EBUSY);
  watch_for_hang("a loop on another thread");
  assert_ok(uv_thread_create(&thread, run_the_loop, f));
  let_go(0, FRAMES);
  assert_ok(uv_thread_join(&thread));
  watch_for_hang(NULL);
  f->tracker.thread = uv_thread_self();
  assert_result(wait, 0);
}

/*
 * Ending early
 */

static void cancelled_wait_takes_nothing(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* waits[4];
  for (unsigned i = 0; i < COUNT_OF(waits); i++) {
    waits[i] = wait_for(f, 1);
  }
  assert_ok(t_cancel(waits[0]));
  assert_ok(t_cancel(waits[2]));
  assert_code(t_cancel(waits[2]), UV_EBUSY); /* Its callback is due. */
  let_go(0, 1);
  turn(f);
  assert_result(waits[0], UV_ECANCELED);
  assert_result(waits[1], 0);
  assert_result(waits[2], UV_ECANCELED);
  assert_waiting(waits[3]);
  assert_ok(t_cancel(waits[3]));
  assert_int_equal(stats_of(f).cancelled, 2);
  run(f);
  assert_result(waits[3], UV_ECANCELED);
  assert_int_equal(stats_of(f).cancelled, 3);
  assert_int_equal(frames_out(f), FRAMES);
  let_go(1, FRAMES - 1);
}

/* The frames are its own, and the loop has not turned since. */
static void wait_that_has_its_frames_can_not_be_cancelled(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* given = wait_for(f, 1);
  let_go(0, 1);
  struct tracked_op* last = wait_for(f, 1);
  assert_code(t_cancel(given), UV_EBUSY);
  assert_code(t_cancel(given), UV_EBUSY);
  let_go(1, FRAMES - 1);
  struct tracked_op* at_once = wait_for(f, 1);
  assert_code(t_cancel(at_once), UV_EBUSY);
  run(f);
  assert_result(given, 0);
  assert_result(last, 0);
  assert_result(at_once, 0);
}

static void all_can_be_cancelled(void** state) {
  struct fixture* f = *state;
  struct tracked_op* waits[MANY];
  hold(f, FRAMES);
  struct tracked_op* given = wait_for(f, 1);
  for (unsigned i = 0; i < MANY; i++) {
    waits[i] = wait_for(f, 1 + i % FRAMES);
  }
  struct tracked_op* others = t_arena_wait(op_new(&f->tracker), second, f->arena, 1);
  let_go(0, 1);
  assert_ok(uvdio_engine_cancel(f->engine));
  turn(f);
  assert_result(given, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(waits[i], UV_ECANCELED);
  }
  assert_waiting(others); /* the other engine's */
  let_go(1, FRAMES - 1);
  run(f);
  assert_result(others, 0);
}

static void close_of_a_file_concerns_no_wait(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  hold(f, FRAMES);
  struct tracked_op* wait = wait_for(f, 1);
  assert_ok(uvdio_file_cancel(&f->file));
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  watch_for_hang("a close beside a wait for frames");
  while (close->done == 0) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  assert_waiting(wait);
  let_go(0, FRAMES);
  run(f);
  assert_result(wait, 0);
}

/* Nobody releases a frame. Whatever has its frames keeps them. */
static void engine_that_closes_ends_them(void** state) {
  struct fixture* f = *state;
  struct tracked_op* waits[MANY];
  hold(f, FRAMES);
  struct tracked_op* given = wait_for(f, 1);
  for (unsigned i = 0; i < MANY; i++) {
    waits[i] = wait_for(f, 1 + i % FRAMES);
  }
  let_go(0, 1);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  assert_refused(wait_for(f, 1), UV_EBADF);
  run(f);
  f->engine = NULL;
  assert_int_equal(f->closed, 1);
  assert_result(given, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(waits[i], UV_ECANCELED);
  }
  assert_int_equal(frames_out(f), FRAMES);
  let_go(1, FRAMES - 1);
}

static void engine_that_closes_lets_others_go_on(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* large = t_arena_wait(op_new(&f->tracker), second, f->arena, FRAMES);
  struct tracked_op* small = wait_for(f, 1);
  let_go(0, 1);
  turn(f);
  assert_waiting(small);
  close_second(f);
  run(f);
  assert_result(large, UV_ECANCELED);
  assert_result(small, 0);
  let_go(1, FRAMES - 1);
}

static void close_the_engine(struct tracked_op* op) {
  struct fixture* f = op->data;
  give_back(op); /* Another one gets them, and is called back in the closing phase. */
  (void)t_engine_close(f->engine, on_engine_closed);
}

static void callback_may_close_its_engine(void** state) {
  struct fixture* f = *state;
  t_arena_wait(op_then(&f->tracker, close_the_engine, f), f->engine, f->arena, FRAMES);
  struct tracked_op* next = wait_for(f, FRAMES);
  struct tracked_op* last = wait_for(f, FRAMES);
  run(f);
  f->engine = NULL;
  assert_int_equal(f->closed, 1);
  assert_result(next, 0);
  assert_result(last, UV_ECANCELED);
}

static void close_handle(uv_handle_t* handle, void* arg) {
  (void)arg;
  if (!uv_is_closing(handle)) {
    uv_close(handle, NULL);
  }
}

/* The engine runs no callback then, until it is closed. */
static void wait_outlives_handles_that_the_user_closes(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* given = wait_for(f, 1);
  struct tracked_op* waiting = wait_for(f, 1);
  turn(f);
  uv_walk(&f->loop, close_handle, NULL);
  turn(f);
  let_go(0, 1);
  end_engine(f);
  tracker_verdict(&f->tracker);
  assert_result(given, 0);
  assert_result(waiting, UV_ECANCELED);
  let_go(1, FRAMES - 1);
}

/* Which of them ends how depends on who comes first. */
static void release_may_meet_a_close(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_engine_options_t options = matrix_options();
    struct releaser releaser = {.frames = held, .count = FRAMES};
    uvdio_engine_t* engine;
    assert_ok(uvdio_engine_create(&engine, &f->loop, &options));
    hold(f, FRAMES);
    struct tracked_op* waits[] = {pass_through(f, engine, 1), pass_through(f, engine, 2),
                                  pass_through(f, f->engine, 2), pass_through(f, engine, 1)};
    assert_ok(uv_thread_create(&releaser.thread, release_them, &releaser));
    if (i % 2) {
      (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_ok(uvdio_engine_close(engine, NULL));
    f->elsewhere += 3;
    run(f);
    assert_ok(uv_thread_join(&releaser.thread));
    for (size_t k = 0; k < COUNT_OF(waits); k++) {
      assert_int_equal(waits[k]->done, 1);
      assert_true(waits[k]->result == 0 || (k != 2 && waits[k]->result == UV_ECANCELED));
    }
    assert_int_equal(frames_out(f), 0);
  }
}

/*
 * Arenas
 */

static void arena_that_is_waited_for_lives_on(void** state) {
  struct fixture* f = *state;
  size_t out = 0;
  hold(f, FRAMES);
  struct tracked_op* wait = wait_for(f, FRAMES);
  let_go(0, FRAMES - 1);
  assert_code(uvdio_arena_destroy(f->arena, &out), UV_EBUSY);
  assert_int_equal(out, 1);
  let_go(FRAMES - 1, 1);
  assert_code(uvdio_arena_destroy(f->arena, &out), UV_EBUSY);
  assert_int_equal(out, FRAMES); /* the request's */
  run(f);
  assert_result(wait, 0);
  give_back(wait);
  assert_ok(uvdio_arena_destroy(f->arena, &out));
  assert_int_equal(out, 0);
  f->arena = NULL;
}

static void destroy_the_arena(struct tracked_op* op) {
  struct fixture* f = op->data;
  give_back(op);
  if (uvdio_arena_destroy(f->arena, NULL) != 0) {
    tracker_violation(op->tracker, "an arena whose frames are back can't be destroyed");
  }
  f->arena = NULL;
}

static void last_callback_may_destroy_the_arena(void** state) {
  struct fixture* f = *state;
  struct releaser releaser = {.frames = held, .count = FRAMES};
  hold(f, FRAMES);
  t_arena_wait(op_then(&f->tracker, destroy_the_arena, f), f->engine, f->arena, FRAMES);
  assert_ok(uv_thread_create(&releaser.thread, release_them, &releaser));
  run(f); /* The other thread may still be within its last release. */
  assert_ok(uv_thread_join(&releaser.thread));
  assert_null(f->arena);
}

/*
 * The synchronous form
 */

static void synchronous_form_takes_what_is_free(void** state) {
  struct fixture* f = *state;
  struct tracked_op* first = t_arena_wait(op_now(&f->tracker), f->engine, f->arena, 3);
  assert_result(first, 0);
  assert_null(first->req.file);
  assert_int_equal(first->req.result, 0);
  assert_int_equal(frames_out(f), 3);
  assert_int_equal(stats_of(f).synchronous, 1);
  assert_int_equal(stats_of(f).submitted, 0);
  assert_refused(t_arena_wait(op_now(&f->tracker), f->engine, f->arena, 2), UV_ENOBUFS);
  assert_int_equal(frames_out(f), 3);
  assert_int_equal(stats_of(f).synchronous, 1);
  assert_result(t_arena_wait(op_now(&f->tracker), f->engine, f->arena, 1), 0);
  give_back(first);
  assert_int_equal(frames_out(f), 1);
  assert_result(t_arena_wait(op_now(&f->tracker), f->engine, f->arena, 3), 0);
}

/*
 * Misuse
 */

static void on_never(uvdio_req_t* req, int64_t result) {
  (void)req;
  (void)result;
  abort();
}

static void bad_arguments_are_refused(void** state) {
  struct fixture* f = *state;
  struct tracker* t = &f->tracker;
  uvdio_req_t req = {0};
  uvdio_buf_t frames[FRAMES + 1];
  for (int blocking = 0; blocking < 2; blocking++) {
    uvdio_cb cb = blocking ? NULL : on_never;
    assert_code(uvdio_arena_wait(NULL, &req, f->arena, frames, 1, cb), UV_EINVAL);
    assert_code(uvdio_arena_wait(f->engine, NULL, f->arena, frames, 1, cb), UV_EINVAL);
    assert_code(uvdio_arena_wait(f->engine, &req, NULL, frames, 1, cb), UV_EINVAL);
    assert_code(uvdio_arena_wait(f->engine, &req, f->arena, NULL, 1, cb), UV_EINVAL);
    assert_refused(t_arena_wait(blocking ? op_now(t) : op_new(t), f->engine, f->arena, 0),
                   UV_EINVAL);
    assert_refused(t_arena_wait(blocking ? op_now(t) : op_new(t), f->engine, f->arena, FRAMES + 1),
                   UV_E2BIG);
    assert_code(uvdio_arena_wait(f->engine, &req, f->arena, frames, UINT32_MAX, cb), UV_E2BIG);
  }
  assert_int_equal(frames_out(f), 0);
  run(f);
}

static void request_that_waits_is_refused(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* wait = wait_for(f, 2);
  t_arena_wait(wait, f->engine, f->arena, 1);
  assert_code(wait->code, UV_EBUSY);
  t_arena_wait(wait, second, f->arena, 1);
  assert_code(wait->code, UV_EBUSY);
  let_go(0, FRAMES);
  run(f);
  assert_int_equal(wait->done, 1);
  assert_int_equal(frames_out(f), 2);
}

/*
 * What is seen of it
 */

struct seen {
  const uvdio_req_t* req;
  uvdio_request_info_t info;
  unsigned count;
  int cancel_code;
};

static void look(const uvdio_request_info_t* info, void* arg) {
  struct seen* seen = arg;
  seen->count++;
  if (info->req == seen->req) {
    seen->info = *info;
    seen->cancel_code = uvdio_cancel((uvdio_req_t*)(uintptr_t)info->req);
  }
}

static void wait_is_among_what_is_pending(void** state) {
  struct fixture* f = *state;
  hold(f, FRAMES);
  struct tracked_op* wait = wait_for(f, 3);
  struct tracked_op* more = wait_for(f, 1);
  struct seen seen = {.req = &wait->req};
  assert_ok(uvdio_engine_walk(f->engine, look, &seen));
  assert_int_equal(seen.count, 2);
  assert_int_equal(seen.info.op, UVDIO_OP_ARENA_WAIT);
  assert_int_equal(seen.info.state, UVDIO_REQUEST_DEFERRED);
  assert_int_equal(seen.info.length, 3);
  assert_int_equal(seen.info.transferred, 0);
  assert_int_equal(seen.info.is_cancelled, 0);
  assert_string_equal(seen.info.path, "");
  assert_string_equal(seen.info.backend, "none");
  assert_code(seen.cancel_code, UV_EBUSY); /* within a walk */
  assert_ok(t_cancel(wait));
  assert_ok(uvdio_engine_walk(f->engine, look, &seen));
  assert_int_equal(seen.info.state, UVDIO_REQUEST_COMPLETED);
  assert_int_equal(seen.info.is_cancelled, 1);
  let_go(0, FRAMES);
  run(f);
  assert_result(more, 0);
}

/*
 * Forks
 */

static void need_forks(void) {
  need_fork();
  if (UNDER_TSAN) {
    SKIP("the thread sanitizer does not follow a fork with threads");
  }
}

struct forked {
  struct fixture* f;
  struct tracked_op* given;
  struct tracked_op* waits[4];
};

static void set_up_fork(struct forked* forked, struct fixture* f) {
  forked->f = f;
  bind_engine(f);
  hold(f, FRAMES);
  forked->given = wait_for(f, 1);
  for (unsigned i = 0; i < COUNT_OF(forked->waits); i++) {
    forked->waits[i] = wait_for(f, 1 + i);
  }
  let_go(0, 1);
}

static void assert_parent_undisturbed(struct forked* forked) {
  struct fixture* f = forked->f;
  let_go(1, FRAMES - 1);
  turn(f);
  assert_result(forked->given, 0);
  assert_result(forked->waits[0], 0);
  assert_result(forked->waits[1], 0);
  give_back(forked->given);
  give_back(forked->waits[0]);
  give_back(forked->waits[1]);
  turn(f);
  assert_result(forked->waits[2], 0);
  give_back(forked->waits[2]);
  run(f);
  assert_result(forked->waits[3], 0);
}

static void fork_beside_waits(struct fixture* f, int (*in_the_child)(void* data)) {
  need_forks();
  struct forked forked;
  set_up_fork(&forked, f);
  assert_int_equal(in_a_child(in_the_child, &forked), 0);
  assert_parent_undisturbed(&forked);
}

static int child_closes(void* data) {
  struct forked* forked = data;
  struct fixture* f = forked->f;
  uvdio_arena_info_t info;
  size_t out;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(t_cancel(forked->waits[0]) == UVDIO_EFORK);
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  while (f->closed == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  EXPECT(forked->given->done == 1 && forked->given->result == UVDIO_EFORK);
  for (unsigned i = 0; i < COUNT_OF(forked->waits); i++) {
    EXPECT(forked->waits[i]->done == 1 && forked->waits[i]->result == UVDIO_EFORK);
  }
  for (unsigned i = 1; i < FRAMES; i++) {
    EXPECT(uvdio_buf_release(&held[i]) == 0);
  }
  EXPECT(uvdio_arena_info(f->arena, &info) == 0 && info.frames_out == 0);
  EXPECT(uvdio_arena_destroy(f->arena, &out) == 0);
  EXPECT(f->tracker.violation[0] == '\0');
  return 0;
}

static void child_ends_what_waits(void** state) {
  fork_beside_waits(*state, child_closes);
}

/* Some of its frames are the parent's; the queue is. */
static int child_uses_the_arena(void* data) {
  struct forked* forked = data;
  struct fixture* f = forked->f;
  uvdio_buf_t frame;
  uvdio_buf_t copy = held[1];
  EXPECT(uvdio_arena_acquire(f->arena, &frame) == UV_ENOBUFS);
  EXPECT(uvdio_buf_release(&held[1]) == 0);
  EXPECT(uvdio_buf_release(&copy) == UVDIO_EDOUBLEFREE);
  EXPECT(uvdio_arena_acquire(f->arena, &frame) == UV_ENOBUFS);
  return 0;
}

static void child_meets_the_queue_of_its_parent(void** state) {
  fork_beside_waits(*state, child_uses_the_arena);
}

static int child_waits_with_its_own(void* data) {
  struct fixture* f = data;
  uvdio_engine_options_t options = matrix_options();
  uvdio_arena_options_t arena_options = {0, 1, 0};
  uvdio_req_t req = {0};
  uvdio_buf_t frame;
  uvdio_engine_t* engine;
  uvdio_arena_t* arena;
  uv_loop_t loop;
  EXPECT(uv_loop_init(&loop) == 0);
  EXPECT(uvdio_engine_create(&engine, &loop, &options) == 0);
  EXPECT(uvdio_arena_wait(engine, &req, f->arena, &frame, 1, on_never) == UVDIO_EFORK);
  EXPECT(uvdio_arena_wait(engine, &req, f->arena, &frame, 1, NULL) == UVDIO_EFORK);
  EXPECT(uvdio_arena_acquire(f->arena, &frame) == 0 && uvdio_buf_release(&frame) == 0);
  EXPECT(uvdio_arena_create(&arena, &arena_options) == 0);
  EXPECT(uvdio_arena_wait(f->engine, &req, arena, &frame, 1, NULL) == UVDIO_EFORK);
  EXPECT(uvdio_arena_wait(engine, &req, arena, &frame, 1, NULL) == 0);
  EXPECT(uvdio_buf_release(&frame) == 0);
  EXPECT(uvdio_arena_destroy(arena, NULL) == 0);
  EXPECT(uvdio_engine_close(engine, NULL) == 0);
  EXPECT(uv_run(&loop, UV_RUN_DEFAULT) == 0 && uv_loop_close(&loop) == 0);
  return 0;
}

static void child_waits_for_frames_of_its_own(void** state) {
  need_forks();
  struct fixture* f = *state;
  assert_int_equal(in_a_child(child_waits_with_its_own, f), 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(engine_and_arena, frames_that_are_free_come_at_once),
      TEST_ON(engine_and_arena, wait_ends_when_enough_were_released),
      TEST_ON(engine_and_arena, frames_that_were_free_before_count),
      TEST_ON(engine_and_arena, all_frames_can_be_waited_for),
      TEST_ON(engine_and_arena, nothing_is_allocated),
      TEST_ON(engine_and_arena, frames_of_a_zeroed_arena_are_zeros),
      TEST_ON(engine_and_arena, frames_that_were_given_are_released_once),
      TEST_ON(engine_and_arena, first_come_is_first_served),
      TEST_ON(engine_and_arena, nobody_overtakes_those_that_wait),
      TEST_OF_TWO(those_that_want_many_take_turns),
      TEST_OF_TWO(engines_are_served_in_the_order_of_their_requests),
      TEST_OF_TWO(callbacks_may_wait_again),
      TEST_ON(engine_and_arena, callback_may_free_its_request),
      TEST_ON(engine_and_arena, frames_of_a_transfer_go_to_those_that_wait),
      TEST_OF_TWO(release_on_another_thread_wakes_the_loop),
      TEST_ON(engine_and_arena, other_threads_are_turned_away),
      TEST_ON(engine_and_arena, wait_goes_along_with_its_loop),
      TEST_ON(engine_and_arena, cancelled_wait_takes_nothing),
      TEST_ON(engine_and_arena, wait_that_has_its_frames_can_not_be_cancelled),
      TEST_OF_TWO(all_can_be_cancelled),
      TEST_ON(engine_and_arena, close_of_a_file_concerns_no_wait),
      TEST_ON(engine_and_arena, engine_that_closes_ends_them),
      TEST_OF_TWO(engine_that_closes_lets_others_go_on),
      TEST_ON(engine_and_arena, callback_may_close_its_engine),
      TEST_ON(engine_and_arena, wait_outlives_handles_that_the_user_closes),
      TEST_ON(engine_and_arena, release_may_meet_a_close),
      TEST_ON(engine_and_arena, arena_that_is_waited_for_lives_on),
      TEST_ON(engine_and_arena, last_callback_may_destroy_the_arena),
      TEST_ON(engine_and_arena, synchronous_form_takes_what_is_free),
      TEST_ON(engine_and_arena, bad_arguments_are_refused),
      TEST_OF_TWO(request_that_waits_is_refused),
      TEST_ON(engine_and_arena, wait_is_among_what_is_pending),
      TEST_ON(engine_and_arena, child_ends_what_waits),
      TEST_ON(engine_and_arena, child_meets_the_queue_of_its_parent),
      TEST_ON(engine_and_arena, child_waits_for_frames_of_its_own),
  };
  return matrix_main("frames", tests, COUNT_OF(tests), argc, argv);
}
