/* SPDX-License-Identifier: MIT */
/*
 * Readers: a file's bytes come in order, in frames that are the caller's, however far the window
 * has read ahead; what ends early, jumps, fails or waits leaves no frame and no request behind.
 */
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "fixture.h"
#include "memory.h"
#include "ops.h"
#include "random.h"
#include "uvdio/faults.h"
#include "uvdio/stream.h"

#define FRAME ((size_t)4 * PAGE)
#define FRAMES 16u
#define SIZE ((size_t)40 * FRAME + 1234)

static char content[SIZE + FRAME];
static uvdio_reader_t* reader;
static unsigned waits_ended;
static int wait_status;
static unsigned closes;

static void on_ready(int status, void* arg) {
  *(unsigned*)arg += 1;
  wait_status = status;
}

static void on_closed(int status, void* arg) {
  *(unsigned*)arg += status == 0;
}

/* A file of SIZE bytes, which differ, and an arena. */
static int open_file(void** state) {
  int failed = fixture_open(state);
  if (failed) {
    return failed;
  }
  struct fixture* f = *state;
  uvdio_buf_t buf;
  uvdio_req_t req = {0};
  fixture_arena(f, FRAME, FRAMES);
  fill_pattern(content, sizeof(content), 5);
  assert_ok(uvdio_buf_alloc(&buf, sizeof(content), UVDIO_BUF_FULL));
  memcpy(buf.base, content, sizeof(content));
  buf.len = (SIZE + PAGE) / PAGE * PAGE;
  assert_ok(uvdio_write(&f->file, &req, &buf, 0, NULL));
  assert_ok(uvdio_truncate(&f->file, &req, SIZE, NULL));
  assert_ok(uvdio_buf_release(&buf));
  waits_ended = 0;
  closes = 0;
  return 0;
}

static void create(struct fixture* f, const uvdio_reader_options_t* options) {
  assert_ok(uvdio_reader_create(&reader, &f->file, f->arena, options));
}

static uvdio_reader_info_t info(void) {
  uvdio_reader_info_t told;
  assert_ok(uvdio_reader_info(reader, &told));
  return told;
}

/* A take, and the loop until it has a result. */
static int take(struct fixture* f, uvdio_block_t* block) {
  int status = uvdio_reader_take(reader, block);
  while (status == UV_EAGAIN) {
    unsigned before = waits_ended;
    assert_ok(uvdio_reader_wait(reader, on_ready, &waits_ended));
    watch_for_hang("a wait");
    while (waits_ended == before) {
      (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    watch_for_hang(NULL);
    assert_int_equal(wait_status, 0);
    status = uvdio_reader_take(reader, block);
    assert_true(status != UV_EAGAIN);
  }
  return status;
}

/* Whether the next block begins there; returns where it ends. */
static uint64_t take_from(struct fixture* f, uint64_t offset) {
  uvdio_block_t block;
  assert_ok(take(f, &block));
  assert_int_equal(block.offset, offset);
  assert_true(block.view.len > 0 && block.view.len <= FRAME);
  assert_memory_equal(block.view.base, content + offset, block.view.len);
  assert_true(block.view.base >= block.buf.base);
  assert_true(block.view.base + block.view.len <= block.buf.base + FRAME);
  assert_int_equal(uvdio_buf_origin(&block.buf), UVDIO_ORIGIN_ARENA);
  assert_ok(uvdio_buf_release(&block.buf));
  return offset + block.view.len;
}

static void assert_end(struct fixture* f, int error) {
  uvdio_block_t block;
  assert_code(take(f, &block), error);
  assert_code(take(f, &block), error);
  assert_code(uvdio_reader_wait(reader, on_ready, &waits_ended), UV_EALREADY);
}

static void close_reader(struct fixture* f) {
  closes = 0;
  assert_ok(uvdio_reader_close(reader, on_closed, &closes));
  assert_int_equal(closes, 0);
  run_untracked(f);
  assert_int_equal(closes, 1);
  assert_int_equal(frames_out(f), 0);
}

/* Adds a rule to the engine, or to its world. */
static void add_rule(struct fixture* f, uvdio_fault_rule_t rule) {
  assert_ok(f->sim != NULL ? uvdio_sim_add_rule(f->sim, &rule)
                           : uvdio_engine_add_rule(f->engine, &rule));
}

static void clear_rules(struct fixture* f) {
  assert_ok(f->sim != NULL ? uvdio_sim_clear_rules(f->sim) : uvdio_engine_clear_rules(f->engine));
}

/*
 * Ranges.
 */

static void any_range_comes_in_order(void** state) {
  static const uint64_t places[] = {0,        1,         PAGE - 1,     PAGE,          FRAME - 1,
                                    FRAME,    FRAME + 1, 9 * FRAME,    SIZE,          SIZE - 1,
                                    SIZE + 1, 7 * PAGE,  SIZE + FRAME, 39 * FRAME + 3};
  static const unsigned windows[] = {0, 1, 3};
  struct fixture* f = *state;
  for (unsigned w = 0; w < COUNT_OF(windows); w++) {
    for (unsigned i = 0; i < COUNT_OF(places); i++) {
      for (unsigned k = 0; k < COUNT_OF(places); k++) {
        uvdio_reader_options_t options = {
            .begin = places[i], .end = places[k], .window_max = windows[w]};
        uint64_t end = options.end == 0 || options.end > SIZE ? SIZE : options.end;
        uint64_t at = options.begin;
        if (options.end != 0 && options.end < options.begin) {
          continue;
        }
        create(f, &options);
        while (at < end) {
          uint64_t next = take_from(f, at);
          assert_true(next == end || next % FRAME == 0);
          at = next;
        }
        assert_end(f, UV_EOF);
        close_reader(f);
      }
    }
  }
}

static void empty_file_has_an_end(void** state) {
  struct fixture* f = *state;
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
  create(f, NULL);
  assert_end(f, UV_EOF);
  close_reader(f);
}

static void taken_frames_outlive_the_stream(void** state) {
  struct fixture* f = *state;
  uvdio_block_t blocks[10];
  uvdio_reader_options_t options = {.window_max = 2};
  create(f, &options);
  for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
    assert_ok(take(f, &blocks[i]));
    memset(blocks[i].buf.base, (int)i + 1, FRAME);
  }
  assert_ok(uvdio_reader_close(reader, on_closed, &closes));
  run_untracked(f);
  assert_int_equal(closes, 1);
  assert_int_equal(frames_out(f), COUNT_OF(blocks));
  for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
    for (size_t k = 0; k < FRAME; k++) {
      assert_int_equal(blocks[i].buf.base[k], i + 1);
    }
    assert_ok(uvdio_buf_release(&blocks[i].buf));
  }
}

/* Nothing is copied, and nothing is read twice. */
static void each_byte_is_read_once(void** state) {
  struct fixture* f = *state;
  uint64_t before = stats_of(f).submitted;
  uint64_t at = 3;
  uvdio_reader_options_t options = {.begin = 3, .end = SIZE};
  create(f, &options);
  while (at < SIZE) {
    at = take_from(f, at);
  }
  assert_int_equal(stats_of(f).submitted - before, 41);
  assert_end(f, UV_EOF);
  close_reader(f);
}

/*
 * The window.
 */

/* Takes all that has arrived, without a turn of the loop, and then waits. */
static unsigned take_all_and_wait(struct fixture* f) {
  unsigned taken = 0;
  uvdio_block_t block;
  int status;
  while ((status = uvdio_reader_take(reader, &block)) == 0) {
    assert_ok(uvdio_buf_release(&block.buf));
    taken++;
  }
  assert_code(status, UV_EAGAIN);
  run_untracked(f);
  return taken;
}

/* Names blocks without end. */
struct names {
  unsigned count;
  unsigned end;     /* names none from here on */
  int end_with;     /* but this */
  int refused;      /* what a call from the callback got */
  unsigned at_once; /* names known so far; 0: all */
};

static int name_block(uvdio_named_block_t* block, void* arg) {
  struct names* names = arg;
  uvdio_block_t taken;
  if (names->end != 0 && names->count >= names->end) {
    return names->end_with;
  }
  if (names->at_once != 0 && names->count >= names->at_once) {
    return UV_ENOENT;
  }
  names->refused = uvdio_reader_take(reader, &taken);
  block->offset = (uint64_t)(names->count * 7 % 40) * FRAME + names->count % 3;
  block->length = FRAME - names->count % 3 - 1;
  block->data = content + names->count;
  names->count++;
  return 1;
}

static void window_grows_while_it_is_waited_for(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  assert_int_equal(info().window, 1);
  assert_int_equal(info().window_max, FRAMES);
  assert_int_equal(frames_out(f), 0);
  assert_int_equal(take_all_and_wait(f), 0);
  for (unsigned window = 2; window <= FRAMES; window *= 2) {
    assert_int_equal(info().window, window);
    assert_int_equal(info().ready, window);
    assert_int_equal(frames_out(f), window);
    if (window < FRAMES) {
      assert_int_equal(take_all_and_wait(f), window);
    }
  }
  assert_int_equal(info().waited, 4);
  assert_int_equal(info().dropped, 0);
  close_reader(f);
}

/* Asking again for what has not arrived changes nothing. */
static void window_grows_once_for_a_block(void** state) {
  struct fixture* f = *state;
  uvdio_block_t block;
  create(f, NULL);
  for (unsigned i = 0; i < 5; i++) {
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  }
  assert_int_equal(info().window, 2);
  assert_int_equal(info().waited, 1);
  close_reader(f);
}

static void take_one(struct fixture* f) {
  uvdio_block_t block;
  run_untracked(f);
  assert_ok(uvdio_reader_take(reader, &block));
  assert_ok(uvdio_buf_release(&block.buf));
}

/* How many takes it is until the window is another; 2000 at most. */
static unsigned takes_until_it_shrinks(struct fixture* f) {
  unsigned window = info().window;
  unsigned takes = 0;
  while (info().window == window && takes < 2000) {
    take_one(f);
    takes++;
  }
  return takes;
}

/* Who never waits keeps one block ahead in the end; each time that this was too little it takes
 * twice as long until the window shrinks again. */
static void window_shrinks_for_a_slow_consumer(void** state) {
  struct fixture* f = *state;
  struct names names = {0};
  uvdio_reader_options_t options = {.named_cb = name_block, .named_arg = &names, .window_max = 8};
  create(f, &options);
  for (unsigned i = 0; i < 4; i++) {
    (void)take_all_and_wait(f);
  }
  assert_int_equal(info().window, 8);
  assert_int_equal(takes_until_it_shrinks(f), 8);
  assert_int_equal(info().window, 4); /* Seven had arrived behind each. */
  while (info().window > 1) {
    assert_true(takes_until_it_shrinks(f) < 100);
  }
  for (unsigned i = 0; i < 100; i++) {
    take_one(f);
  }
  run_untracked(f);
  assert_int_equal(frames_out(f), 1);
  unsigned waited = (unsigned)info().waited;
  (void)take_all_and_wait(f);
  (void)take_all_and_wait(f);
  assert_int_equal(info().waited, waited + 2);
  assert_int_equal(info().window, 4);
  assert_int_equal(takes_until_it_shrinks(f), 8); /* 4 of twice the patience */
  close_reader(f);
}

static void window_is_bounded(void** state) {
  struct fixture* f = *state;
  uvdio_reader_options_t options = {.window_max = 3};
  create(f, &options);
  for (unsigned i = 0; i < 6; i++) {
    (void)take_all_and_wait(f);
    assert_true(frames_out(f) <= 3);
  }
  assert_int_equal(info().window, 3);
  assert_int_equal(frames_out(f), 3);
  for (unsigned i = 0; i < 10; i++) {
    run_untracked(f);
    assert_int_equal(frames_out(f), 3); /* Nobody takes. */
  }
  close_reader(f);
}

static int name_nothing(uvdio_named_block_t* block, void* arg) {
  (void)block;
  return *(int*)arg;
}

/* A take says these of itself: "not now" with a request under way, and the end. */
static void names_do_not_speak_for_the_stream(void** state) {
  static const int codes[] = {UV_EAGAIN, UV_EOF, UV_ENOENT};
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(codes); i++) {
    int code = codes[i];
    uvdio_reader_options_t options = {.named_cb = name_nothing, .named_arg = &code};
    uvdio_block_t block;
    create(f, &options);
    assert_code(uvdio_reader_take(reader, &block), i < 2 ? UV_EINVAL : UV_ENOENT);
    assert_code(uvdio_reader_wait(reader, on_ready, NULL), UV_EALREADY);
    assert_ok(uvdio_reader_destroy(reader));
  }
}

static void full_window_is_there_from_the_start(void** state) {
  struct fixture* f = *state;
  struct names names = {0};
  uvdio_reader_options_t options = {.named_cb = name_block,
                                    .named_arg = &names,
                                    .window_max = 8,
                                    .flags = UVDIO_READER_FULL_WINDOW};
  create(f, &options);
  uvdio_block_t block;
  assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  assert_int_equal(frames_out(f), 8);
  for (unsigned i = 0; i < 200; i++) {
    take_one(f);
    assert_int_equal(info().window, 8);
  }
  close_reader(f);
}

/* Reads a page over and over, so that the engine always has a request of somebody else. */
struct neighbour {
  struct fixture* fixture;
  uvdio_req_t req;
  uvdio_buf_t page;
  int goes_on;
};

static void on_page(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct neighbour* neighbour = req->data;
  neighbour->page = buf;
  assert_int_equal(result, PAGE);
  if (neighbour->goes_on) {
    assert_ok(uvdio_read(&neighbour->fixture->file, req, &neighbour->page, 0, on_page));
  }
}

static size_t take_some(struct fixture* f, unsigned count) {
  size_t most = 0;
  while (count-- > 0) {
    uvdio_block_t block;
    assert_ok(take(f, &block));
    assert_ok(uvdio_buf_release(&block.buf));
    most = frames_out(f) > most ? frames_out(f) : most;
  }
  return most;
}

#define LARGE ((size_t)256 * 1024)

/* Waiting alone makes no window larger than 1 MiB: a larger one is tried. */
static unsigned takes_until_larger(struct fixture* f) {
  unsigned window = info().window;
  unsigned takes = 0;
  while (info().window <= window && takes < 1000) {
    takes += take_all_and_wait(f);
  }
  return takes;
}

/* Of which four are 1 MiB. */
static void use_large_frames(struct fixture* f) {
  assert_ok(uvdio_arena_destroy(f->arena, NULL));
  fixture_arena(f, LARGE, FRAMES);
}

static void grow_until_a_trial(struct fixture* f) {
  while (info().window < 4) {
    (void)take_all_and_wait(f);
  }
  assert_in_range(takes_until_larger(f), 1, 40);
}

/* 1 MiB, until others have not been seen for 16 MiB; unless the window is to be full. */
static void window_is_small_beside_others(void** state) {
  struct fixture* f = *state;
  struct names names = {0};
  struct neighbour neighbour = {.fixture = f, .goes_on = 1};
  uvdio_reader_options_t options = {.named_cb = name_block, .named_arg = &names};
  use_large_frames(f);
  neighbour.req.data = &neighbour;
  assert_ok(uvdio_buf_page(&neighbour.page));
  create(f, &options);
  assert_ok(uvdio_read(&f->file, &neighbour.req, &neighbour.page, 0, on_page));
  assert_true(take_some(f, 200) <= 4);
  assert_int_equal(info().window, 4);
  neighbour.goes_on = 0;
  while (neighbour.page.base == NULL) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  assert_true(take_some(f, 60) <= 4);
  (void)take_some(f, 10);
  for (unsigned i = 0; i < 6; i++) {
    (void)take_all_and_wait(f);
  }
  assert_int_equal(info().window, 4);
  assert_in_range(takes_until_larger(f), 1, 40);
  assert_int_equal(info().window, 8);
  close_reader(f);
  options.flags = UVDIO_READER_FULL_WINDOW;
  neighbour.goes_on = 1;
  create(f, &options);
  assert_ok(uvdio_read(&f->file, &neighbour.req, &neighbour.page, 0, on_page));
  assert_true(take_some(f, 20) >= FRAMES - 1);
  neighbour.goes_on = 0;
  close_reader(f);
  assert_ok(uvdio_buf_release(&neighbour.page));
}

/* Of a small file no more is read ahead than there is. */
static void nothing_is_read_behind_the_end(void** state) {
  struct fixture* f = *state;
  uvdio_reader_options_t options = {.flags = UVDIO_READER_FULL_WINDOW};
  uint64_t before;
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 2 * FRAME), 0);
  create(f, &options);
  assert_int_equal(take_from(f, 0), FRAME);
  run_untracked(f);
  before = stats_of(f).submitted;
  assert_int_equal(take_from(f, FRAME), 2 * FRAME);
  assert_end(f, UV_EOF);
  assert_true(stats_of(f).submitted - before <= 1);
  close_reader(f);
}

static void on_given(uvdio_req_t* req, int64_t result) {
  assert_int_equal(result, 0);
  req->data = NULL;
}

/* Who waits for frames asks the device for nothing: so does a reader of a log at its end. */
static void wait_for_frames_is_no_neighbour(void** state) {
  struct fixture* f = *state;
  struct names names = {0};
  uvdio_reader_options_t options = {.named_cb = name_block, .named_arg = &names};
  uvdio_arena_options_t small = {.frame_size = PAGE, .frame_count = 1};
  uvdio_arena_t* other;
  uvdio_req_t req = {.data = f};
  uvdio_buf_t frame;
  uvdio_buf_t given;
  use_large_frames(f);
  assert_ok(uvdio_arena_create(&other, &small));
  assert_ok(uvdio_arena_acquire(other, &frame));
  assert_ok(uvdio_arena_wait(f->engine, &req, other, &given, 1, on_given));
  assert_int_equal(stats_of(f).frame_waits, 1);
  create(f, &options);
  for (unsigned i = 0; i < 200 && info().window <= 4; i++) {
    (void)take_some(f, 1);
  }
  assert_int_equal(info().window, 8);
  assert_ok(uvdio_buf_release(&frame));
  close_reader(f);
  assert_null(req.data);
  assert_int_equal(stats_of(f).frame_waits, 0);
  assert_ok(uvdio_buf_release(&given));
  assert_ok(uvdio_arena_destroy(other, NULL));
}

/* Another one's request ends a trial, and the window is as before. */
static void trial_that_is_interrupted_is_taken_back(void** state) {
  struct fixture* f = *state;
  struct names names = {0};
  struct neighbour neighbour = {.fixture = f};
  uvdio_reader_history_t history = {0};
  uvdio_reader_options_t options = {
      .named_cb = name_block, .named_arg = &names, .history = &history};
  use_large_frames(f);
  neighbour.req.data = &neighbour;
  assert_ok(uvdio_buf_page(&neighbour.page));
  create(f, &options);
  grow_until_a_trial(f);
  assert_ok(uvdio_read(&f->file, &neighbour.req, &neighbour.page, 0, on_page));
  (void)take_some(f, 1);
  while (neighbour.page.base == NULL) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  (void)take_some(f, 1);
  assert_int_equal(history.window_, 4);
  close_reader(f);
  create(f, &options);
  assert_int_equal(info().window, 4);
  close_reader(f);
  assert_ok(uvdio_buf_release(&neighbour.page));
}

/* Those that follow begin with the window that was there before. */
static void stream_that_ends_in_a_trial_does_not_teach_it(void** state) {
  struct fixture* f = *state;
  struct names names = {0};
  uvdio_reader_history_t history = {0};
  uvdio_reader_options_t options = {
      .named_cb = name_block, .named_arg = &names, .history = &history};
  use_large_frames(f);
  create(f, &options);
  grow_until_a_trial(f);
  assert_int_equal(info().window, 8);
  assert_ok(uvdio_reader_destroy(reader));
  create(f, &options);
  assert_int_equal(info().window, 4);
  close_reader(f);
}

static void history_makes_a_stream_begin_where_the_last_one_ended(void** state) {
  struct fixture* f = *state;
  uvdio_reader_history_t history = {0};
  uvdio_reader_options_t options = {.history = &history};
  uint64_t at = 0;
  create(f, &options);
  assert_int_equal(info().window, 1);
  for (unsigned i = 0; i < 3; i++) {
    (void)take_all_and_wait(f);
  }
  unsigned window = info().window;
  assert_int_equal(window, 8);
  while (at < SIZE && info().taken < 41) {
    uvdio_block_t block;
    assert_ok(take(f, &block));
    at = block.offset + block.view.len;
    assert_ok(uvdio_buf_release(&block.buf));
  }
  window = info().window;
  assert_end(f, UV_EOF);
  close_reader(f);
  create(f, &options);
  assert_int_equal(info().window, window);
  close_reader(f);
}

/* Streams of two blocks each teach those after them. */
static void history_of_waste_makes_streams_careful(void** state) {
  struct fixture* f = *state;
  uvdio_reader_history_t history = {0};
  uvdio_reader_options_t options = {.history = &history};
  for (unsigned i = 0; i < 40; i++) {
    create(f, &options);
    for (unsigned k = 0; k < 4; k++) {
      (void)take_all_and_wait(f);
    }
    close_reader(f);
  }
  create(f, &options);
  assert_int_equal(info().window, 1);
  for (unsigned window = 2; window < 6; window++) {
    (void)take_all_and_wait(f);
    assert_int_equal(info().window, window);
  }
  close_reader(f);
  for (unsigned i = 0; i < 40; i++) { /* These end where they should. */
    uint64_t at = 0;
    create(f, &options);
    while (at < SIZE) {
      at = take_from(f, at);
    }
    assert_end(f, UV_EOF);
    close_reader(f);
  }
  create(f, &options);
  assert_true(info().window > 1);
  close_reader(f);
}

/*
 * Named blocks.
 */

static void assert_named(struct fixture* f, unsigned i) {
  uvdio_block_t block;
  uint64_t offset = (uint64_t)(i * 7 % 40) * FRAME + i % 3;
  assert_ok(take(f, &block));
  assert_int_equal(block.offset, offset);
  assert_ptr_equal(block.data, content + i);
  assert_int_equal(block.view.len, FRAME - i % 3 - 1);
  assert_memory_equal(block.view.base, content + offset, block.view.len);
  assert_ok(uvdio_buf_release(&block.buf));
}

static void named_blocks_come_in_their_order(void** state) {
  struct fixture* f = *state;
  struct names names = {.end = 100};
  uvdio_reader_options_t options = {.named_cb = name_block, .named_arg = &names};
  create(f, &options);
  for (unsigned i = 0; i < 100; i++) {
    assert_named(f, i);
  }
  assert_end(f, UV_EOF);
  assert_code(names.refused, UV_EBUSY);
  names.count = 5;
  assert_ok(uvdio_reader_seek(reader, 0, 0));
  assert_named(f, 5);
  assert_code(uvdio_reader_seek(reader, 1, 0), UV_EINVAL);
  assert_code(uvdio_reader_seek(reader, 0, 1), UV_EINVAL);
  close_reader(f);
}

/* As in a tree: the next leaves are known when this one was looked at. */
static void names_may_be_unknown_for_now(void** state) {
  struct fixture* f = *state;
  struct names names = {.at_once = 1};
  uvdio_reader_options_t options = {.named_cb = name_block, .named_arg = &names};
  uvdio_block_t block;
  create(f, &options);
  for (unsigned i = 0; i < 50; i++) {
    assert_named(f, i);
    if (i + 1 == names.at_once) {
      assert_code(uvdio_reader_take(reader, &block), UV_ENOENT);
      assert_code(uvdio_reader_wait(reader, on_ready, &waits_ended), UV_EALREADY);
      names.at_once += 1 + i % 5;
    }
  }
  close_reader(f);
}

static void named_blocks_may_lie_behind_the_end(void** state) {
  struct fixture* f = *state;
  struct names names = {.end = 7};
  uvdio_reader_options_t options = {.named_cb = name_block, .named_arg = &names};
  uvdio_block_t block;
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 7 * FRAME + 100), 0);
  create(f, &options);
  assert_named(f, 0);
  assert_ok(take(f, &block)); /* of block 7, from byte 1 on */
  assert_int_equal(block.view.len, 99);
  assert_memory_equal(block.view.base, content + 7 * FRAME + 1, 99);
  assert_ok(uvdio_buf_release(&block.buf));
  assert_ok(take(f, &block)); /* of block 14 */
  assert_int_equal(block.view.len, 0);
  assert_ok(uvdio_buf_release(&block.buf));
  close_reader(f);
}

static int name_too_much(uvdio_named_block_t* block, void* arg) {
  unsigned* count = arg;
  block->offset = *count == 2 ? 1 : 0;
  block->length = FRAME;
  return (int)++*count;
}

/* With its alignment the third one is more than a frame. */
static void named_block_that_does_not_fit_is_an_error(void** state) {
  struct fixture* f = *state;
  unsigned count = 0;
  uvdio_reader_options_t options = {.named_cb = name_too_much, .named_arg = &count};
  create(f, &options);
  (void)take_from(f, 0);
  (void)take_from(f, 0);
  assert_end(f, UV_ENOBUFS);
  close_reader(f);
}

/*
 * Seeks and ends.
 */

static void seek_keeps_what_was_read_ahead(void** state) {
  struct fixture* f = *state;
  uvdio_reader_options_t options = {.window_max = 8, .flags = UVDIO_READER_FULL_WINDOW};
  create(f, &options);
  (void)take_from(f, 0);
  run_untracked(f);
  uint64_t before = stats_of(f).submitted;
  assert_ok(uvdio_reader_seek(reader, FRAME + 7, 0));
  assert_ok(uvdio_reader_seek(reader, FRAME + 9, 0));
  assert_ok(uvdio_reader_seek(reader, 4 * FRAME + 5, 0));
  assert_ok(uvdio_reader_seek(reader, 4 * FRAME + 5, 0));
  assert_int_equal(info().ready, 5);
  assert_int_equal(stats_of(f).submitted, before);
  assert_int_equal(take_from(f, 4 * FRAME + 5), 5 * FRAME);
  assert_int_equal(take_from(f, 5 * FRAME), 6 * FRAME);
  assert_int_equal(info().dropped, 3);
  close_reader(f);
}

/* Also where the blocks are still in flight. */
static void seek_keeps_what_is_in_flight(void** state) {
  struct fixture* f = *state;
  uvdio_block_t block;
  uvdio_reader_options_t options = {.window_max = 8, .flags = UVDIO_READER_FULL_WINDOW};
  create(f, &options);
  assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  assert_ok(uvdio_reader_seek(reader, 3 * FRAME + 5000, 0));
  assert_int_equal(take_from(f, 3 * FRAME + 5000), 4 * FRAME);
  assert_int_equal(take_from(f, 4 * FRAME), 5 * FRAME);
  close_reader(f);
}

static void seek_to_another_end_reads_to_that(void** state) {
  struct fixture* f = *state;
  uint64_t at = FRAME;
  uvdio_reader_options_t options = {
      .end = 4 * FRAME + 5, .window_max = 8, .flags = UVDIO_READER_FULL_WINDOW};
  create(f, &options);
  (void)take_from(f, 0);
  assert_ok(uvdio_reader_seek(reader, at, 0));
  while (at < SIZE) {
    at = take_from(f, at);
  }
  assert_end(f, UV_EOF);
  close_reader(f);
}

/* Backwards, far away, and to another end. */
static void seek_drops_what_is_elsewhere(void** state) {
  static const uint64_t places[][2] = {{0, 0},         {30 * FRAME, 0}, {SIZE - 1, 0},
                                       {5, 2 * FRAME}, {SIZE + 5, 0},   {FRAME, FRAME},
                                       {FRAME, 0}};
  struct fixture* f = *state;
  create(f, NULL);
  (void)take_from(f, 0);
  (void)take_from(f, FRAME);
  for (unsigned i = 0; i < 3 * COUNT_OF(places); i++) {
    const uint64_t* place = places[i * 5 % COUNT_OF(places)];
    uint64_t end = place[1] != 0 ? place[1] : SIZE;
    uint64_t at = place[0];
    assert_ok(uvdio_reader_seek(reader, place[0], place[1]));
    for (unsigned k = 0; k < 4 && at < end; k++) {
      at = take_from(f, at);
    }
    if (at >= end) {
      assert_end(f, UV_EOF);
    }
  }
  close_reader(f);
}

/* A wait that is pending gets the new place's block, or its end. */
static void seek_answers_a_wait(void** state) {
  struct fixture* f = *state;
  uvdio_block_t block;
  for (unsigned i = 0; i < 3; i++) {
    create(f, NULL);
    waits_ended = 0;
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
    assert_ok(uvdio_reader_wait(reader, on_ready, &waits_ended));
    assert_code(uvdio_reader_wait(reader, on_ready, &waits_ended), UV_EBUSY);
    assert_ok(i == 0   ? uvdio_reader_seek(reader, 20 * FRAME, 0)
              : i == 1 ? uvdio_reader_seek(reader, 7, 7)
                       : uvdio_reader_seek(reader, SIZE, 0));
    assert_int_equal(waits_ended, 0);
    run_untracked(f);
    assert_int_equal(waits_ended, 1);
    if (i == 0) {
      (void)take_from(f, 20 * FRAME);
    } else {
      assert_end(f, UV_EOF);
    }
    close_reader(f);
  }
}

/* What there is to know of a close is told by the call. */
static void close_may_be_without_a_callback(void** state) {
  struct fixture* f = *state;
  uvdio_block_t block;
  for (unsigned turns = 0; turns < 3; turns++) {
    create(f, NULL);
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
    if (turns > 0) {
      run_untracked(f);
    }
    assert_ok(uvdio_reader_close(reader, NULL, NULL));
    assert_code(uvdio_reader_close(reader, NULL, NULL), UV_EBADF);
    run_untracked(f);
    assert_int_equal(frames_out(f), 0);
  }
}

static void close_comes_at_any_time(void** state) {
  struct fixture* f = *state;
  for (unsigned turns = 0; turns < 24; turns++) {
    uvdio_block_t block;
    int status = 0;
    waits_ended = 0;
    closes = 0;
    create(f, NULL);
    for (unsigned i = 0; i < turns; i++) {
      status = uvdio_reader_take(reader, &block);
      if (status == 0) {
        assert_ok(uvdio_buf_release(&block.buf));
      } else if (turns % 2 == 0) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
      }
    }
    int waits = status == UV_EAGAIN && uvdio_reader_wait(reader, on_ready, &waits_ended) == 0;
    assert_ok(uvdio_reader_close(reader, on_closed, &closes));
    assert_code(uvdio_reader_close(reader, on_closed, &closes), UV_EBADF);
    assert_code(uvdio_reader_take(reader, &block), UV_EBADF);
    assert_code(uvdio_reader_wait(reader, on_ready, &waits_ended), UV_EBADF);
    assert_code(uvdio_reader_seek(reader, 0, 0), UV_EBADF);
    assert_int_equal(waits_ended + closes, 0);
    run_untracked(f);
    assert_int_equal(closes, 1);
    assert_int_equal(waits_ended, waits);
    assert_code(waits ? wait_status : UV_ECANCELED, UV_ECANCELED);
    assert_int_equal(frames_out(f), 0);
  }
}

static unsigned chained;

static void on_chain(int status, void* arg) {
  uvdio_block_t block;
  unsigned limit = *(unsigned*)arg;
  while ((status = uvdio_reader_take(reader, &block)) == 0) {
    chained += uvdio_buf_release(&block.buf) == 0;
  }
  chained += uvdio_reader_destroy(reader) != UV_EBUSY ? 1000 : 0;
  if (status != UV_EAGAIN || chained >= limit) {
    chained += uvdio_reader_close(reader, on_closed, &closes) != 0 ? 1000 : 0;
  } else if (uvdio_reader_wait(reader, on_chain, arg) != 0) {
    chained += 1000;
  }
}

static void callbacks_may_take_and_close(void** state) {
  struct fixture* f = *state;
  uvdio_block_t block;
  for (unsigned limit = 1; limit < 90; limit += 8) {
    create(f, NULL);
    chained = 0;
    closes = 0;
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
    assert_ok(uvdio_reader_wait(reader, on_chain, &limit));
    run_untracked(f);
    assert_int_equal(closes, 1);
    assert_true(chained <= 41 && (chained >= limit || chained == 41));
    assert_int_equal(frames_out(f), 0);
  }
}

static void destroy_needs_no_turn_of_the_loop(void** state) {
  struct fixture* f = *state;
  uvdio_block_t block;
  create(f, NULL);
  assert_ok(uvdio_reader_destroy(reader));
  create(f, NULL);
  assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  assert_code(uvdio_reader_destroy(reader), UV_EBUSY);
  run_untracked(f);
  assert_true(frames_out(f) > 0);
  assert_ok(uvdio_reader_destroy(reader));
  assert_int_equal(frames_out(f), 0);
}

static void closed_file_leaves_a_reader_to_destroy(void** state) {
  struct fixture* f = *state;
  uvdio_block_t block;
  create(f, NULL);
  (void)take_from(f, 0);
  run_untracked(f);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_code(uvdio_reader_take(reader, &block), UV_EBADF);
  assert_code(uvdio_reader_close(reader, on_closed, &closes), UV_EBADF);
  assert_ok(uvdio_reader_destroy(reader));
  assert_int_equal(frames_out(f), 0);
}

/* With reads in flight, and one that waits for a frame. */
static void closed_engine_leaves_a_reader_to_destroy(void** state) {
  struct fixture* f = *state;
  uvdio_block_t blocks[FRAMES];
  uvdio_block_t block;
  for (unsigned i = 0; i < 2; i++) {
    waits_ended = 0;
    create(f, NULL);
    for (unsigned k = 0; k < FRAMES && i == 1; k++) {
      assert_ok(take(f, &blocks[k]));
    }
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
    assert_ok(uvdio_reader_wait(reader, on_ready, &waits_ended));
    if (i == 0) {
      close_reader(f);
    }
  }
  waits_ended = 0;
  assert_ok(uvdio_engine_close(f->engine, on_engine_closed));
  watch_for_hang("the engine's close");
  while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
  assert_int_equal(waits_ended, 1);
  assert_ok(uvdio_reader_destroy(reader));
  f->engine = NULL;
  for (unsigned k = 0; k < FRAMES; k++) {
    assert_ok(uvdio_buf_release(&blocks[k].buf));
  }
  assert_int_equal(frames_out(f), 0);
}

/*
 * Bounds.
 */

static void stream_waits_for_frames(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t taken[FRAMES];
  uvdio_block_t block;
  for (unsigned i = 0; i < FRAMES; i++) {
    assert_ok(uvdio_arena_acquire(f->arena, &taken[i]));
  }
  create(f, NULL);
  waits_ended = 0;
  assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  assert_ok(uvdio_reader_wait(reader, on_ready, &waits_ended));
  run_for_a_while(f, 5, 0);
  assert_int_equal(waits_ended, 0);
  assert_ok(uvdio_buf_release(&taken[0]));
  run_untracked(f);
  assert_int_equal(waits_ended, 1);
  assert_int_equal(take_from(f, 0), FRAME);
  assert_int_equal(take_from(f, FRAME), 2 * FRAME);
  for (unsigned i = 1; i < FRAMES; i++) {
    assert_ok(uvdio_buf_release(&taken[i]));
  }
  close_reader(f);
}

/* While somebody waits for the first block, others are read as soon as there are frames for them:
 * its own read has been held up. */
static void frames_are_used_while_somebody_waits(void** state) {
  struct fixture* f = *state;
  uvdio_reader_options_t options = {
      .end = SIZE, .flags = UVDIO_READER_FULL_WINDOW, .window_max = 4};
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_READ,
                             .offset = 0,
                             .length = FRAME,
                             .fault = {.kind = UVDIO_FAULT_DELAY, .steps = 50, .delay_ms = 200}};
  uvdio_buf_t taken[FRAMES];
  uvdio_block_t block;
  for (unsigned i = 0; i + 1 < FRAMES; i++) {
    assert_ok(uvdio_arena_acquire(f->arena, &taken[i]));
  }
  add_rule(f, rule);
  create(f, &options);
  waits_ended = 0;
  assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  assert_ok(uvdio_reader_wait(reader, on_ready, &waits_ended));
  assert_int_equal(info().in_flight, 1);
  assert_ok(uvdio_buf_release(&taken[0]));
  watch_for_hang("a second block");
  while (waits_ended == 0 && info().in_flight + info().ready < 2) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  assert_int_equal(waits_ended, 0);
  while (waits_ended == 0) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  clear_rules(f);
  for (unsigned i = 1; i + 1 < FRAMES; i++) {
    assert_ok(uvdio_buf_release(&taken[i]));
  }
  assert_int_equal(take_from(f, 0), FRAME);
  close_reader(f);
}

/* The frame that it gets then is not kept. */
static void seek_and_close_end_a_wait_for_frames(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t taken[FRAMES];
  uvdio_block_t block;
  uvdio_reader_options_t options = {.end = SIZE}; /* so that it asks for no size */
  for (unsigned i = 0; i < 2; i++) {
    for (unsigned k = 0; k < FRAMES; k++) {
      assert_ok(uvdio_arena_acquire(f->arena, &taken[k]));
    }
    create(f, &options);
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
    if (i == 0) {
      waits_ended = 0;
      assert_ok(uvdio_reader_wait(reader, on_ready, &waits_ended));
      assert_ok(uvdio_reader_seek(reader, 5, 5));
      watch_for_hang("a wait");
      while (waits_ended == 0) { /* though nobody releases a frame */
        (void)uv_run(&f->loop, UV_RUN_ONCE);
      }
      watch_for_hang(NULL);
      assert_ok(uvdio_buf_release(&taken[0]));
      run_untracked(f);
      assert_int_equal(frames_out(f), FRAMES - 1);
      assert_end(f, UV_EOF);
      assert_ok(uvdio_arena_acquire(f->arena, &taken[0]));
    }
    closes = 0;
    assert_ok(uvdio_reader_close(reader, on_closed, &closes));
    run_untracked(f);
    assert_int_equal(closes, 1);
    for (unsigned k = 0; k < FRAMES; k++) {
      assert_ok(uvdio_buf_release(&taken[k]));
    }
  }
}

static void streams_share_an_arena(void** state) {
  struct fixture* f = *state;
  uvdio_reader_t* readers[5];
  uint64_t at[5];
  for (unsigned i = 0; i < 5; i++) {
    create(f, NULL);
    readers[i] = reader;
    at[i] = 0;
  }
  for (unsigned turn = 0; turn < 41; turn++) {
    for (unsigned i = 0; i < 5; i++) {
      reader = readers[i];
      at[i] = take_from(f, at[i]);
    }
  }
  for (unsigned i = 0; i < 5; i++) {
    closes = 0;
    assert_int_equal(at[i], SIZE);
    assert_ok(uvdio_reader_close(readers[i], on_closed, &closes));
    run_untracked(f);
    assert_int_equal(closes, 1);
  }
  assert_int_equal(frames_out(f), 0);
}

/* A class that is full refuses reads; the stream goes on by itself. */
static void full_class_slows_the_stream_down(void** state) {
  static const uvdio_class_options_t bounds[] = {{.depth = 1, .queue_max = 1},
                                                 {.depth = 1, .queue_bytes_max = 1}};
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(bounds); i++) {
    assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER, &bounds[i]));
    uvdio_reader_options_t options = {
        .class_number = UVDIO_CLASS_USER, .window_max = 6, .flags = UVDIO_READER_FULL_WINDOW};
    uvdio_reader_t* other;
    uvdio_block_t block;
    uint64_t at = 0;
    assert_ok(uvdio_reader_create(&other, &f->file, f->arena, &options));
    create(f, &options);
    assert_code(uvdio_reader_take(other, &block), UV_EAGAIN);
    while (at < SIZE) {
      at = take_from(f, at);
    }
    assert_end(f, UV_EOF);
    closes = 0;
    assert_ok(uvdio_reader_close(reader, on_closed, &closes));
    run_untracked(f);
    assert_int_equal(closes, 1);
    reader = other;
    for (at = 0; at < SIZE;) {
      at = take_from(f, at);
    }
    close_reader(f);
  }
}

static void on_other(int status, void* arg) {
  (void)status;
  (void)arg;
}

/* Nobody asks again and again: the loop sleeps. A close leaves the class alone. */
static void streams_wait_for_a_full_class_in_their_turn(void** state) {
  static const uvdio_class_options_t bounds = {.operations_max = 1, .queue_max = 1};
  struct fixture* f = *state;
  uvdio_reader_options_t options = {
      .end = SIZE, .class_number = UVDIO_CLASS_USER, .flags = UVDIO_READER_FULL_WINDOW};
  uvdio_reader_t* readers[3];
  uvdio_class_stats_t told;
  uvdio_block_t block;
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER, &bounds));
  (void)t_size(op_new(&f->tracker), &f->file);
  run(f); /* From here on a read begins at once: one does, one waits, the others are refused. */
  for (unsigned i = 0; i < 3; i++) {
    create(f, &options);
    readers[i] = reader;
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
    assert_ok(uvdio_reader_wait(reader, on_other, NULL));
  }
  assert_ok(uvdio_class_stats(f->engine, UVDIO_CLASS_USER, &told));
  assert_int_equal(told.operations, 1);
  uint64_t refused = told.refused;
  closes = 0;
  assert_ok(uvdio_reader_close(readers[2], on_closed, &closes));
  assert_ok(uvdio_reader_close(readers[1], on_closed, &closes));
  watch_for_hang("a close");
  while (closes < 2) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  assert_ok(uvdio_class_stats(f->engine, UVDIO_CLASS_USER, &told));
  assert_int_equal(told.operations, 1);
  assert_int_equal(told.waiting, 1);
  assert_in_range(told.refused, refused, refused + 1); /* when the read that began has ended */
  assert_ok(uvdio_reader_close(readers[0], on_closed, &closes));
  run_untracked(f);
  assert_int_equal(closes, 3);
}

/* One that has reads under way does not go past another one that was refused and has none. */
static void streams_of_a_full_class_take_turns(void** state) {
  static const uvdio_class_options_t bounds = {.depth = 1, .queue_max = 2};
  struct fixture* f = *state;
  uvdio_reader_options_t options = {
      .class_number = UVDIO_CLASS_USER, .window_max = 6, .flags = UVDIO_READER_FULL_WINDOW};
  uvdio_reader_t* readers[2];
  unsigned taken[2] = {0, 0};
  int codes[2] = {0, 0};
  uvdio_block_t block;
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER, &bounds));
  for (unsigned i = 0; i < 2; i++) {
    create(f, &options);
    readers[i] = reader;
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  }
  watch_for_hang("two streams of a class");
  while (codes[0] != UV_EOF && codes[1] != UV_EOF) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
    for (unsigned i = 0; i < 2; i++) {
      while ((codes[i] = uvdio_reader_take(readers[i], &block)) == 0) {
        assert_ok(uvdio_buf_release(&block.buf));
        taken[i]++;
      }
    }
  }
  watch_for_hang(NULL);
  assert_true(2 * taken[0] >= taken[1] && 2 * taken[1] >= taken[0]);
  closes = 0;
  assert_ok(uvdio_reader_close(readers[0], on_closed, &closes));
  assert_ok(uvdio_reader_close(readers[1], on_closed, &closes));
  run_untracked(f);
  assert_int_equal(closes, 2);
  assert_int_equal(frames_out(f), 0);
}

static void count_told(int status, void* arg) {
  assert_ok(status);
  ++*(unsigned*)arg;
}

/* Where a take would tell at once the class does not matter. */
static void seek_ends_a_wait_for_a_full_class(void** state) {
  static const uvdio_class_options_t bounds = {.operations_max = 1, .queue_max = 1};
  struct fixture* f = *state;
  uvdio_reader_options_t options = {
      .end = SIZE, .class_number = UVDIO_CLASS_USER, .flags = UVDIO_READER_FULL_WINDOW};
  uvdio_reader_t* readers[2];
  uvdio_class_stats_t stats;
  uvdio_block_t block;
  unsigned told = 0;
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER, &bounds));
  (void)t_size(op_new(&f->tracker), &f->file);
  run(f); /* as above */
  for (unsigned i = 0; i < 2; i++) {
    create(f, &options);
    readers[i] = reader;
    assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  }
  assert_ok(uvdio_reader_wait(readers[1], count_told, &told));
  assert_ok(uvdio_reader_seek(readers[1], PAGE, PAGE));
  watch_for_hang("a wait for what is there");
  while (told == 0) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  watch_for_hang(NULL);
  assert_ok(uvdio_class_stats(f->engine, UVDIO_CLASS_USER, &stats));
  assert_int_equal(stats.operations, 1);
  assert_code(uvdio_reader_take(readers[1], &block), UV_EOF);
  closes = 0;
  assert_ok(uvdio_reader_close(readers[0], on_closed, &closes));
  assert_ok(uvdio_reader_close(readers[1], on_closed, &closes));
  run_untracked(f);
  assert_int_equal(closes, 2);
}

/*
 * Errors.
 */

static uvdio_fault_rule_t fail_third_read(int error) {
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_READ,
                             .offset = 2 * FRAME,
                             .length = FRAME,
                             .fault = {.kind = UVDIO_FAULT_ERROR, .error = error}};
  return rule;
}

/* The blocks before it come, and none behind it, until a seek. */
static void error_comes_in_its_turn(void** state) {
  struct fixture* f = *state;
  uvdio_reader_options_t options = {.flags = UVDIO_READER_FULL_WINDOW};
  add_rule(f, fail_third_read(UV_EIO));
  create(f, &options);
  (void)take_from(f, 0);
  (void)take_from(f, FRAME);
  assert_end(f, UV_EIO);
  run_untracked(f);
  assert_int_equal(frames_out(f), 0);
  assert_ok(uvdio_reader_seek(reader, 3 * FRAME, 0));
  (void)take_from(f, 3 * FRAME);
  assert_ok(uvdio_reader_seek(reader, 2 * FRAME + 1, 0));
  assert_end(f, UV_EIO);
  clear_rules(f);
  assert_ok(uvdio_reader_seek(reader, 2 * FRAME + 1, 0));
  (void)take_from(f, 2 * FRAME + 1);
  close_reader(f);
}

static void short_reads_are_completed(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_READ,
                             .fault = {.kind = UVDIO_FAULT_SHORT, .length = PAGE}};
  uint64_t at = 17;
  uvdio_reader_options_t options = {.begin = 17};
  add_rule(f, rule);
  create(f, &options);
  while (at < SIZE) {
    at = take_from(f, at);
  }
  assert_end(f, UV_EOF);
  clear_rules(f);
  close_reader(f);
}

static void cancelled_reads_are_an_error(void** state) {
  struct fixture* f = *state;
  uvdio_reader_options_t options = {.flags = UVDIO_READER_FULL_WINDOW};
  uvdio_block_t block;
  uint64_t at = 0;
  int status;
  create(f, &options);
  assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  assert_ok(uvdio_file_cancel(&f->file));
  run_untracked(f);
  while ((status = take(f, &block)) == 0 && at < SIZE) {
    assert_int_equal(block.offset, at);
    at += block.view.len;
    assert_ok(uvdio_buf_release(&block.buf));
  }
  assert_end(f, UV_ECANCELED);
  assert_ok(uvdio_reader_seek(reader, at, 0));
  assert_true(take_from(f, at) > at);
  close_reader(f);
}

/* What was read before is what it was; the new end is seen when a read in its turn finds it. */
static void file_may_shrink_and_grow(void** state) {
  struct fixture* f = *state;
  uint64_t at = 0;
  uvdio_reader_options_t options = {.window_max = 2};
  create(f, &options);
  for (unsigned i = 0; i < 5; i++) {
    at = take_from(f, at);
  }
  run_untracked(f);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 9 * FRAME + 100), 0);
  while (at < 9 * FRAME) {
    at = take_from(f, at);
  }
  assert_int_equal(take_from(f, at), 9 * FRAME + 100);
  assert_end(f, UV_EOF);
  put(f, &f->file, 9 * FRAME, 2 * FRAME, 9);
  assert_end(f, UV_EOF);
  assert_ok(uvdio_reader_seek(reader, 8 * FRAME, 0));
  (void)take_from(f, 8 * FRAME);
  for (unsigned i = 0; i < 2; i++) {
    uvdio_block_t block;
    assert_ok(take(f, &block));
    assert_int_equal(block.view.len, FRAME);
    assert_ok(uvdio_buf_release(&block.buf));
  }
  assert_end(f, UV_EOF);
  close_reader(f);
}

/* The end was read ahead, and the file grows before that is taken: no bytes are left out. */
static void end_that_was_read_stays_the_end(void** state) {
  struct fixture* f = *state;
  uvdio_reader_options_t options = {.window_max = 3, .flags = UVDIO_READER_FULL_WINDOW};
  uvdio_block_t block;
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 2 * FRAME + 100), 0);
  create(f, &options);
  assert_code(uvdio_reader_take(reader, &block), UV_EAGAIN);
  run_untracked(f);
  (void)take_from(f, 0);
  put(f, &f->file, 2 * FRAME, 4 * FRAME, 1);
  (void)take_from(f, FRAME);
  assert_int_equal(take_from(f, 2 * FRAME), 2 * FRAME + 100);
  assert_end(f, UV_EOF);
  close_reader(f);
}

/* A file that has grown since its size was asked for is read to its new end. */
static void file_that_grows_is_followed(void** state) {
  struct fixture* f = *state;
  uint64_t at = 0;
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 4 * FRAME), 0);
  create(f, NULL);
  at = take_from(f, at);
  run_untracked(f);
  put(f, &f->file, 4 * FRAME, 3 * FRAME, 1);
  while (at < 4 * FRAME) {
    at = take_from(f, at);
  }
  for (unsigned i = 0; i < 3; i++) {
    uvdio_block_t block;
    assert_ok(take(f, &block));
    assert_int_equal(block.offset, (4 + i) * FRAME);
    assert_ok(uvdio_buf_release(&block.buf));
  }
  assert_end(f, UV_EOF);
  close_reader(f);
}

/*
 * At random, against the bytes.
 */

static void random_use_is_as_by_a_plain_buffer(void** state) {
  struct fixture* f = *state;
  struct random random = {11};
  uvdio_reader_history_t history = {0};
  uvdio_buf_t held[4];
  for (unsigned round = 0; round < 60; round++) {
    uint64_t at = random_below(&random, 4) == 0 ? 0 : random_below(&random, SIZE + FRAME);
    uvdio_reader_options_t options = {.begin = at,
                                      .window_max = random_below(&random, 9),
                                      .flags = random_below(&random, 4) == 0,
                                      .history = random_below(&random, 2) ? &history : NULL};
    uint64_t end = random_below(&random, 2) ? at + 1 + random_below(&random, SIZE) : 0;
    unsigned held_count = 0;
    options.end = end;
    create(f, &options);
    for (unsigned step = random_below(&random, 60); step > 0; step--) {
      uint64_t limit = end == 0 || end > SIZE ? SIZE : end;
      uvdio_block_t block;
      unsigned what = random_below(&random, 16);
      if (what == 0) {
        at = random_below(&random, 3) == 0 ? random_below(&random, SIZE + FRAME)
                                           : at + random_below(&random, (unsigned)FRAME * 4);
        end = end != 0 && end < at ? at + 1 : end;
        assert_ok(uvdio_reader_seek(reader, at, end));
      } else if (what < 4) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
      } else if (what < 6 && held_count > 0) {
        assert_ok(uvdio_buf_release(&held[--held_count]));
      } else if (at >= limit) {
        assert_end(f, UV_EOF);
      } else {
        assert_ok(take(f, &block));
        assert_int_equal(block.offset, at);
        assert_true(block.view.len > 0);
        assert_memory_equal(block.view.base, content + at, block.view.len);
        at += block.view.len;
        assert_true(at == limit || at % FRAME == 0);
        if (held_count < COUNT_OF(held)) {
          held[held_count++] = block.buf;
        } else {
          assert_ok(uvdio_buf_release(&block.buf));
        }
      }
    }
    while (held_count > 0) {
      assert_ok(uvdio_buf_release(&held[--held_count]));
    }
    close_reader(f);
  }
}

/*
 * Misuse.
 */

static void odd_options_are_refused(void** state) {
  struct fixture* f = *state;
  static const struct {
    uvdio_reader_options_t options;
    int error;
  } cases[] = {
      {{.flags = 1u << 1}, UV_EINVAL},
      {{.begin = 2, .end = 1}, UV_EINVAL},
      {{.window_max = UVDIO_STREAM_WINDOW_MAX + 1}, UV_EINVAL},
      {{.class_number = UVDIO_CLASSES}, UV_EINVAL},
      {{.named_cb = name_block, .begin = 1}, UV_EINVAL},
      {{.named_cb = name_block, .end = 1}, UV_EINVAL},
      {{.begin = (uint64_t)INT64_MAX + 1}, UVDIO_EOFFSET},
      {{.end = (uint64_t)INT64_MAX + 1}, UVDIO_EOFFSET},
  };
  struct {
    uvdio_reader_options_t options;
    uint64_t more;
  } longer = {{0}, 1};
  uvdio_reader_t* unused;
  uvdio_file_t closed = {0};
  for (unsigned i = 0; i < COUNT_OF(cases); i++) {
    assert_code(uvdio_reader_create(&unused, &f->file, f->arena, &cases[i].options),
                cases[i].error);
  }
  assert_code(uvdio_reader_create(NULL, &f->file, f->arena, NULL), UV_EINVAL);
  assert_code(uvdio_reader_create(&unused, NULL, f->arena, NULL), UV_EINVAL);
  assert_code(uvdio_reader_create(&unused, &f->file, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_reader_create(&unused, &closed, f->arena, NULL), UV_EBADF);
  assert_code(
      uvdio_reader_create_sized(&unused, &f->file, f->arena, &longer.options, sizeof(longer)),
      UV_E2BIG);
  open_now(f, &f->other, "file", UVDIO_O_WRONLY);
  assert_code(uvdio_reader_create(&unused, &f->other, f->arena, NULL), UV_EBADF);
}

static void offsets_past_all_files_are_an_error(void** state) {
  struct fixture* f = *state;
  uvdio_reader_options_t options = {.begin = INT64_MAX - 5, .end = INT64_MAX};
  create(f, &options);
  assert_end(f, UVDIO_EOFFSET);
  assert_ok(uvdio_reader_seek(reader, 5, 0));
  (void)take_from(f, 5);
  close_reader(f);
}

static void odd_calls_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_block_t block;
  uvdio_reader_info_t told;
  create(f, NULL);
  assert_code(uvdio_reader_take(NULL, &block), UV_EINVAL);
  assert_code(uvdio_reader_take(reader, NULL), UV_EINVAL);
  assert_code(uvdio_reader_wait(NULL, on_ready, NULL), UV_EINVAL);
  assert_code(uvdio_reader_wait(reader, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_reader_seek(NULL, 0, 0), UV_EINVAL);
  assert_code(uvdio_reader_seek(reader, 2, 1), UV_EINVAL);
  assert_code(uvdio_reader_seek(reader, UINT64_MAX, 0), UVDIO_EOFFSET);
  assert_code(uvdio_reader_info(NULL, &told), UV_EINVAL);
  assert_code(uvdio_reader_info(reader, NULL), UV_EINVAL);
  assert_code(uvdio_reader_close(NULL, on_closed, &closes), UV_EINVAL);
  assert_code(uvdio_reader_destroy(NULL), UV_EINVAL);
  close_reader(f);
}

static int use_in_child(void* data) {
  uvdio_block_t block;
  (void)data;
  EXPECT(uvdio_reader_take(reader, &block) == UVDIO_EFORK);
  EXPECT(uvdio_reader_wait(reader, on_ready, &waits_ended) == UVDIO_EFORK);
  EXPECT(uvdio_reader_seek(reader, 0, 0) == UVDIO_EFORK);
  EXPECT(uvdio_reader_close(reader, on_closed, &closes) == UVDIO_EFORK);
  return 0;
}

static void children_are_turned_away(void** state) {
  struct fixture* f = *state;
  need_fork();
  create(f, NULL);
  (void)take_from(f, 0);
  assert_int_equal(in_a_child(use_in_child, NULL), 0);
  close_reader(f);
}

static void use_on_a_thread(void* data) {
  uvdio_block_t block;
  *(int*)data = uvdio_reader_take(reader, &block);
}

static void other_threads_are_turned_away(void** state) {
  struct fixture* f = *state;
  uv_thread_t thread;
  int error = 0;
  create(f, NULL);
  (void)take_from(f, 0);
  assert_ok(uv_thread_create(&thread, use_on_a_thread, &error));
  assert_ok(uv_thread_join(&thread));
  assert_int_equal(error, UVDIO_ETHREAD);
  close_reader(f);
}

static int has_memory;
static unsigned allocations;

static void* counting_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  allocations++;
  return has_memory ? plain_allocate(context, size, alignment, zeroed) : NULL;
}

/* Once the loop has been used, a stream allocates when it is created, and never later. */
static void memory_is_what_creation_took(void** state) {
  static const uvdio_allocator_t counting = {NULL, counting_allocate, plain_release};
  uvdio_engine_options_t memory = {.backend = UVDIO_BACKEND_MEMORY};
  uvdio_arena_options_t frames = {.frame_size = FRAME, .frame_count = 4};
  uvdio_engine_t* engine;
  uvdio_arena_t* arena;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_block_t block;
  uv_loop_t loop;
  int status;
  (void)state;
  has_memory = 1;
  assert_ok(uvdio_set_allocator(&counting));
  assert_ok(uv_loop_init(&loop));
  assert_ok(uvdio_engine_create(&engine, &loop, &memory));
  assert_ok(uvdio_arena_create(&arena, &frames));
  assert_ok(uvdio_open(engine, &file, &req, "file", UVDIO_OPEN_RW, 0644, NULL));
  assert_ok(uvdio_truncate(&file, &req, 20 * FRAME, NULL));
  has_memory = 0;
  assert_code(uvdio_reader_create(&reader, &file, arena, NULL), UV_ENOMEM);
  has_memory = 1;
  allocations = 0;
  assert_ok(uvdio_reader_create(&reader, &file, arena, NULL));
  assert_int_equal(allocations, 1);
  while ((status = uvdio_reader_take(reader, &block)) != UV_EOF) {
    if (status == 0) {
      assert_ok(uvdio_buf_release(&block.buf));
    }
    (void)uv_run(&loop, UV_RUN_NOWAIT);
  }
  assert_int_equal(allocations, 1);
  assert_ok(uvdio_reader_close(reader, on_closed, &closes));
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  assert_ok(uvdio_arena_destroy(arena, NULL));
  assert_ok(uvdio_engine_close(engine, NULL));
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  assert_ok(uv_loop_close(&loop));
  assert_ok(uvdio_set_allocator(NULL));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(open_file, any_range_comes_in_order),
      TEST_ON(open_file, empty_file_has_an_end),
      TEST_ON(open_file, taken_frames_outlive_the_stream),
      TEST_ON(open_file, each_byte_is_read_once),
      TEST_ON(open_file, window_grows_while_it_is_waited_for),
      TEST_ON(open_file, window_grows_once_for_a_block),
      TEST_ON(open_file, window_shrinks_for_a_slow_consumer),
      TEST_ON(open_file, window_is_bounded),
      TEST_ON(open_file, full_window_is_there_from_the_start),
      TEST_ON(open_file, window_is_small_beside_others),
      TEST_ON(open_file, nothing_is_read_behind_the_end),
      TEST_ON(open_file, wait_for_frames_is_no_neighbour),
      TEST_ON(open_file, trial_that_is_interrupted_is_taken_back),
      TEST_ON(open_file, stream_that_ends_in_a_trial_does_not_teach_it),
      TEST_ON(open_file, history_makes_a_stream_begin_where_the_last_one_ended),
      TEST_ON(open_file, history_of_waste_makes_streams_careful),
      TEST_ON(open_file, named_blocks_come_in_their_order),
      TEST_ON(open_file, names_may_be_unknown_for_now),
      TEST_ON(open_file, named_blocks_may_lie_behind_the_end),
      TEST_ON(open_file, named_block_that_does_not_fit_is_an_error),
      TEST_ON(open_file, seek_keeps_what_was_read_ahead),
      TEST_ON(open_file, seek_keeps_what_is_in_flight),
      TEST_ON(open_file, seek_to_another_end_reads_to_that),
      TEST_ON(open_file, seek_drops_what_is_elsewhere),
      TEST_ON(open_file, seek_answers_a_wait),
      TEST_ON(open_file, close_comes_at_any_time),
      TEST_ON(open_file, close_may_be_without_a_callback),
      TEST_ON(open_file, callbacks_may_take_and_close),
      TEST_ON(open_file, destroy_needs_no_turn_of_the_loop),
      TEST_ON(open_file, closed_file_leaves_a_reader_to_destroy),
      TEST_ON(open_file, closed_engine_leaves_a_reader_to_destroy),
      TEST_ON(open_file, stream_waits_for_frames),
      TEST_ON(open_file, frames_are_used_while_somebody_waits),
      TEST_ON(open_file, seek_and_close_end_a_wait_for_frames),
      TEST_ON(open_file, streams_share_an_arena),
      TEST_ON(open_file, full_class_slows_the_stream_down),
      TEST_ON(open_file, streams_wait_for_a_full_class_in_their_turn),
      TEST_ON(open_file, streams_of_a_full_class_take_turns),
      TEST_ON(open_file, seek_ends_a_wait_for_a_full_class),
      TEST_ON(open_file, error_comes_in_its_turn),
      TEST_ON(open_file, short_reads_are_completed),
      TEST_ON(open_file, cancelled_reads_are_an_error),
      TEST_ON(open_file, file_may_shrink_and_grow),
      TEST_ON(open_file, end_that_was_read_stays_the_end),
      TEST_ON(open_file, file_that_grows_is_followed),
      TEST_ON(open_file, random_use_is_as_by_a_plain_buffer),
      TEST_ON(open_file, odd_options_are_refused),
      TEST_ON(open_file, offsets_past_all_files_are_an_error),
      TEST_ON(open_file, names_do_not_speak_for_the_stream),
      TEST_ON(open_file, odd_calls_are_refused),
      TEST_ON(open_file, children_are_turned_away),
      TEST_ON(open_file, other_threads_are_turned_away),
      cmocka_unit_test(memory_is_what_creation_took),
  };
  return matrix_main("streams", tests, COUNT_OF(tests), argc, argv);
}
