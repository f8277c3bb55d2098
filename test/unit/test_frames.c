/* SPDX-License-Identifier: MIT */
/*
 * Waiting for frames, where it meets others at any point: threads that want the same frames, and
 * what may come in between two instructions. What is promised of it is in contract/test_frames.c.
 */
#include <string.h>

#include "check.h"
#include "random.h"
#include "steps.h"
#include "uvdio.h"

#define THREADS 4u
#define MEALS (UNDER_TSAN || UNDER_ASAN ? 4000u : 20000u)

static uvdio_arena_t* arena_of(size_t frame_count) {
  uvdio_arena_options_t options = {.frame_count = frame_count};
  uvdio_arena_t* arena = NULL;
  assert_ok(uvdio_arena_create(&arena, &options));
  return arena;
}

static void take(uvdio_arena_t* arena, uvdio_buf_t* frames, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    assert_ok(uvdio_arena_acquire(arena, &frames[i]));
  }
}

static void give_back(uvdio_buf_t* frames, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    assert_ok(uvdio_buf_release(&frames[i]));
  }
}

static int leaves_nothing_behind(void** state) {
  (void)state;
  return uvdio_allocations() != 0;
}

#define TEST(function) cmocka_unit_test_teardown(function, leaves_nothing_behind)

/*
 * Frames that several threads wait for, each with a loop and engines of its own. A frame has one
 * owner at a time, who writes its name into it.
 */

#define CROWDED 6u /* frames of the arena */
#define DINERS 5u  /* requests of a thread */
#define MEALS_OF_AN_ENGINE 200u

struct table;

struct diner {
  struct table* table;
  uvdio_req_t req;
  uvdio_buf_t frames[CROWDED];
  unsigned count;
};

struct table {
  uv_thread_t thread;
  uvdio_arena_t* arena;
  struct random random;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  struct diner diners[DINERS];
  unsigned meals; /* to come */
  unsigned eaten;
  unsigned of_engine; /* to come, before the engine is closed with all that waits */
  unsigned pending;
  const char* failed;
};

static void ask(struct diner* diner);

static unsigned pick(struct table* table, unsigned bound) {
  return (unsigned)((random_next(&table->random) >> 16) % bound);
}

/* Whoever else has one of them writes as well. */
static void eat(struct diner* diner) {
  struct table* table = diner->table;
  for (unsigned i = 0; i < diner->count; i++) {
    memcpy(diner->frames[i].base, &diner, sizeof(diner));
  }
  for (unsigned i = 0; i < diner->count; i++) {
    if (memcmp(diner->frames[i].base, &diner, sizeof(diner)) != 0) {
      table->failed = "a frame has two owners";
    }
    if (uvdio_buf_release(&diner->frames[i]) != 0) {
      table->failed = "a frame can't be released";
    }
  }
  table->eaten++;
}

static void on_frames(uvdio_req_t* req, int64_t result) {
  struct diner* diner = req->data;
  struct table* table = diner->table;
  table->pending--;
  if (result == 0) {
    eat(diner);
  } else if (result != UV_ECANCELED) {
    table->failed = "a wait ended with an error";
  }
  if (table->of_engine > 0) {
    ask(diner);
  }
  if (pick(table, 8) == 0) {
    (void)uvdio_cancel(&table->diners[pick(table, DINERS)].req);
  }
}

/* Now and then past the queue, where that is empty. */
static void take_at_once(struct diner* diner) {
  uvdio_req_t req = {0};
  int code = uvdio_arena_wait(diner->table->engine, &req, diner->table->arena, diner->frames,
                              diner->count, NULL);
  if (code == 0) {
    eat(diner);
  } else if (code != UV_ENOBUFS) {
    diner->table->failed = "a synchronous wait";
  }
}

static void ask(struct diner* diner) {
  struct table* table = diner->table;
  diner->count = 1 + pick(table, CROWDED);
  if (pick(table, 4) == 0) {
    take_at_once(diner);
  }
  table->of_engine--;
  table->pending++;
  diner->req.data = diner;
  if (uvdio_arena_wait(table->engine, &diner->req, table->arena, diner->frames, diner->count,
                       on_frames) != 0) {
    table->failed = "uvdio_arena_wait";
    table->pending--;
  }
}

static const char* live_one_engine(struct table* table) {
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_MEMORY};
  if (uvdio_engine_create(&table->engine, &table->loop, &options) != 0) {
    return "uvdio_engine_create";
  }
  table->of_engine = table->meals < MEALS_OF_AN_ENGINE ? table->meals : MEALS_OF_AN_ENGINE;
  table->meals -= table->of_engine;
  for (unsigned i = 0; i < DINERS && table->of_engine > 0; i++) {
    ask(&table->diners[i]);
  }
  while (table->of_engine > 0 && table->failed == NULL) {
    (void)uv_run(&table->loop, UV_RUN_ONCE);
  }
  if (uvdio_engine_close(table->engine, NULL) != 0 || uv_run(&table->loop, UV_RUN_DEFAULT) != 0) {
    return "close";
  }
  return table->pending == 0 ? NULL : "a wait was not called back";
}

static void dine(void* data) {
  struct table* table = data;
  const char* failed = uv_loop_init(&table->loop) == 0 ? NULL : "uv_loop_init";
  while (failed == NULL && table->failed == NULL && table->meals > 0) {
    failed = live_one_engine(table);
  }
  if (failed == NULL && uv_loop_close(&table->loop) != 0) {
    failed = "uv_loop_close";
  }
  table->failed = failed != NULL ? failed : table->failed;
}

/* Takes frames past the queue, as often as there is none. */
static void snatch(void* data) {
  struct table* table = data;
  uvdio_buf_t frame;
  for (unsigned i = 0; i < table->meals; i++) {
    if (uvdio_arena_acquire(table->arena, &frame) == 0) {
      table->eaten++;
      memcpy(frame.base, &table, sizeof(table));
      if (memcmp(frame.base, &table, sizeof(table)) != 0 || uvdio_buf_release(&frame) != 0) {
        table->failed = "a frame that was acquired";
      }
    }
  }
}

static void threads_wait_for_the_same_frames(void** state) {
  static struct table tables[THREADS + 1];
  unsigned eaten = 0;
  uvdio_arena_t* arena = arena_of(CROWDED);
  (void)state;
  memset(tables, 0, sizeof(tables));
  watch_for_hang("threads that wait for frames");
  for (unsigned i = 0; i <= THREADS; i++) {
    tables[i].arena = arena;
    tables[i].random = (struct random){i + 1};
    tables[i].meals = i < THREADS ? MEALS : 10 * MEALS;
    for (unsigned k = 0; k < DINERS; k++) {
      tables[i].diners[k].table = &tables[i];
    }
    assert_int_equal(uv_thread_create(&tables[i].thread, i < THREADS ? dine : snatch, &tables[i]),
                     0);
  }
  for (unsigned i = 0; i <= THREADS; i++) {
    uv_thread_join(&tables[i].thread);
  }
  watch_for_hang(NULL);
  for (unsigned i = 0; i <= THREADS; i++) {
    if (tables[i].failed != NULL) {
      fail_msg("%s", tables[i].failed);
    }
    eaten += i < THREADS ? tables[i].eaten : 0;
  }
  assert_true(eaten > MEALS);
  uvdio_buf_t all[CROWDED]; /* None was lost. */
  take(arena, all, CROWDED);
  give_back(all, CROWDED);
  assert_ok(uvdio_arena_destroy(arena, NULL));
}

/*
 * Others that come in between any two instructions.
 */

#define FEW 3u

struct intruder {
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uvdio_arena_t* arena;
  uvdio_req_t reqs[2];
  uvdio_buf_t frames[2][FEW];
  uvdio_buf_t kept;
  int64_t results[2];
  int error;
};

static struct intruder intruder;

static void begin(size_t frame_count) {
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_MEMORY};
  if (!steps_possible()) {
    SKIP("the processor can't be stopped after each instruction here");
  }
  if (UNDER_ASAN) {
    SKIP("who comes between two instructions may want a lock that debug/ownership.c holds");
  }
  memset(&intruder, 0, sizeof(intruder));
  assert_ok(uv_loop_init(&intruder.loop));
  assert_ok(uvdio_engine_create(&intruder.engine, &intruder.loop, &options));
  intruder.arena = arena_of(frame_count);
}

static void end(void) {
  assert_ok(uvdio_engine_close(intruder.engine, NULL));
  assert_ok(uv_run(&intruder.loop, UV_RUN_DEFAULT));
  assert_ok(uv_loop_close(&intruder.loop));
  assert_ok(uvdio_arena_destroy(intruder.arena, NULL));
}

static void note_result(uvdio_req_t* req, int64_t result) {
  intruder.results[req - intruder.reqs] = result;
}

static int wait_for(unsigned which, unsigned count) {
  intruder.results[which] = 1;
  return uvdio_arena_wait(intruder.engine, &intruder.reqs[which], intruder.arena,
                          intruder.frames[which], count, note_result);
}

static void wait_for_all(void* data) {
  (void)data;
  intruder.error = wait_for(0, FEW);
}

/* Whether the frame finds the stack open or closed: it reaches the one that waits for it. */
static void release_may_meet_one_that_begins_to_wait(void** state) {
  int came = 1;
  (void)state;
  begin(FEW);
  for (unsigned nth = 1; came; nth++) {
    uvdio_buf_t frame;
    take(intruder.arena, &frame, 1);
    steps_begin(nth, wait_for_all, NULL);
    int code = uvdio_buf_release(&frame);
    came = steps_end();
    assert_ok(code);
    assert_ok(intruder.error);
    if (came) {
      watch_for_hang("a frame that reaches nobody");
      assert_ok(uv_run(&intruder.loop, UV_RUN_DEFAULT));
      watch_for_hang(NULL);
      assert_int_equal(intruder.results[0], 0);
      give_back(intruder.frames[0], FEW);
    }
  }
  end();
}

static void take_two_and_give_one_back(void* data) {
  uvdio_buf_t top = {0};
  (void)data;
  intruder.error = uvdio_arena_acquire(intruder.arena, &top) |
                   uvdio_arena_acquire(intruder.arena, &intruder.kept) | uvdio_buf_release(&top);
}

/* Several are taken by one step, which has to fail where the frames behind the first are others. */
static void frames_behind_the_top_may_be_others(void** state) {
  int came = 1;
  (void)state;
  begin(5);
  for (unsigned nth = 1; came; nth++) {
    uvdio_req_t req = {0};
    uvdio_buf_t three[3] = {{0}};
    steps_begin(nth, take_two_and_give_one_back, NULL);
    int code = uvdio_arena_wait(intruder.engine, &req, intruder.arena, three, 3, NULL);
    came = steps_end();
    assert_ok(intruder.error);
    assert_ok(code); /* So many are free all the time. */
    for (unsigned i = 0; i < 3; i++) {
      assert_true(!came || three[i].base != intruder.kept.base);
      assert_true(i == 0 || three[i].base != three[i - 1].base);
    }
    give_back(three, 3);
    if (came) {
      give_back(&intruder.kept, 1);
    }
  }
  end();
}

/* All frames go to one that waits, and the one that was on top is again when the stack opens: with
 * none below it. */
static void give_the_top_back_through_the_queue(void* data) {
  uvdio_buf_t* frames = intruder.frames[0];
  (void)data;
  intruder.error = wait_for(0, FEW) | wait_for(1, FEW) | uvdio_buf_release(&intruder.kept);
  intruder.error |= uvdio_buf_release(&frames[1]) | uvdio_cancel(&intruder.reqs[1]);
}

static void frame_on_top_may_have_been_waited_for(void** state) {
  int came = 1;
  (void)state;
  begin(FEW);
  for (unsigned nth = 1; came; nth++) {
    uvdio_buf_t frame = {0};
    take(intruder.arena, &intruder.kept, 1);
    steps_begin(nth, give_the_top_back_through_the_queue, NULL);
    int code = uvdio_arena_acquire(intruder.arena, &frame);
    came = steps_end();
    assert_ok(intruder.error);
    assert_true(code == 0 || (came && code == UV_ENOBUFS));
    for (unsigned i = 0; came && code == 0 && i < FEW; i++) {
      assert_ptr_not_equal(frame.base, intruder.frames[0][i].base);
    }
    if (code == 0) {
      give_back(&frame, 1);
    }
    if (came) {
      watch_for_hang("frames that reach nobody");
      assert_ok(uv_run(&intruder.loop, UV_RUN_DEFAULT));
      watch_for_hang(NULL);
      give_back(intruder.frames[0], FEW); /* The one that was given back is empty. */
    } else {
      give_back(&intruder.kept, 1);
    }
  }
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(threads_wait_for_the_same_frames),
      TEST(release_may_meet_one_that_begins_to_wait),
      TEST(frames_behind_the_top_may_be_others),
      TEST(frame_on_top_may_have_been_waited_for),
  };
  return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
