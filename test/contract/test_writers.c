/* SPDX-License-Identifier: MIT */
/*
 * Writers: bytes of any size lie in the file in their order, no more frames are out than the window
 * has, flushes and syncs tell what is there, errors are told, and the close leaves the exact size.
 */
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "disk.h"
#include "fixture.h"
#include "memory.h"
#include "ops.h"
#include "random.h"
#include "uvdio/faults.h"
#include "uvdio/stream.h"

#define FRAME ((size_t)4 * PAGE)
#define FRAMES 16u
#define SIZE ((size_t)2 * MIB)

static char content[SIZE];
static uvdio_writer_t* writer;
static size_t given; /* bytes of the content */

/* What a callback has told. */
struct told {
  unsigned count;
  int status;
  unsigned order;
};
static unsigned order;
static struct told room;
static struct told flushed;
static struct told synced;
static struct told closed;

static void on_told(int status, void* arg) {
  struct told* told = arg;
  told->count++;
  told->status = status;
  told->order = ++order;
}

static int open_file(void** state) {
  int failed = fixture_open(state);
  if (!failed) {
    fixture_arena(*state, FRAME, FRAMES);
    fill_pattern(content, SIZE, 3);
  }
  return failed;
}

static void create(struct fixture* f, const uvdio_writer_options_t* options) {
  static const struct told nothing;
  given = 0;
  order = 0;
  room = flushed = synced = closed = nothing;
  assert_ok(uvdio_writer_create(&writer, &f->file, f->arena, options));
}

/* Gives so many bytes, and waits for room where there is none; returns the first error. */
static int give(struct fixture* f, size_t length) {
  size_t end = given + length;
  assert_true(end <= SIZE);
  while (given < end) {
    int64_t taken = uvdio_writer_write(writer, content + given, end - given);
    if (taken > 0) {
      given += (size_t)taken;
      continue;
    }
    unsigned before = room.count;
    int error = taken == UV_EAGAIN ? uvdio_writer_wait(writer, on_told, &room) : (int)taken;
    if (error != 0) {
      return error;
    }
    watch_for_hang("room");
    while (room.count == before) {
      (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    watch_for_hang(NULL);
    if (room.status != 0) {
      return room.status;
    }
  }
  return 0;
}

/* So many bytes of the content lie in the file from there on. */
static void assert_content_at(struct fixture* f, uint64_t offset, size_t length) {
  if (length > 0) {
    assert_bytes_at(f, offset, content, length);
  }
}

static void close_writer(struct fixture* f, int status) {
  assert_ok(uvdio_writer_close(writer, on_told, &closed));
  assert_int_equal(closed.count, 0);
  run_untracked(f);
  assert_int_equal(closed.count, 1);
  assert_code(closed.status, status);
  assert_int_equal(frames_out(f), 0);
}

static void close_at(struct fixture* f, uint64_t begin) {
  assert_int_equal(uvdio_writer_end(writer), begin + given);
  close_writer(f, 0);
  assert_int_equal(size_of_file(f), begin + given);
  assert_content_at(f, begin, given);
}

static void add_rule(struct fixture* f, uvdio_fault_rule_t rule) {
  assert_ok(f->sim != NULL ? uvdio_sim_add_rule(f->sim, &rule)
                           : uvdio_engine_add_rule(f->engine, &rule));
}

static void clear_rules(struct fixture* f) {
  assert_ok(f->sim != NULL ? uvdio_sim_clear_rules(f->sim) : uvdio_engine_clear_rules(f->engine));
}

/*
 * Where bytes lie.
 */

static const uvdio_writer_options_t kinds[] = {
    {0},
    {.flags = UVDIO_WRITER_NO_GROWTH},
    {.flags = UVDIO_WRITER_DURABLE},
    {.window_max = 1},
    {.window_max = 2, .size_hint = 100000},
    {.begin = 3 * PAGE},
    {.begin = FRAME, .size_hint = SIZE, .window_max = 5},
    {.class_number = UVDIO_CLASS_BACKGROUND},
};

static void any_size_ends_exactly_there(void** state) {
  static const size_t sizes[] = {0,         1,       PAGE - 1,  PAGE,      PAGE + 1,
                                 FRAME - 1, FRAME,   FRAME + 1, 5 * FRAME, 9 * FRAME + 777,
                                 SIZE,      SIZE - 1};
  struct fixture* f = *state;
  for (unsigned k = 0; k < COUNT_OF(kinds); k++) {
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
      create(f, &kinds[k]);
      assert_ok(give(f, sizes[i]));
      close_at(f, kinds[k].begin);
    }
  }
}

/* Random pieces, flushes and syncs between, with the loop turning or not. */
static void random_pieces_lie_in_order(void** state) {
  struct fixture* f = *state;
  struct random random = {7};
  for (unsigned round = 0; round < 40; round++) {
    const uvdio_writer_options_t* options = &kinds[round % COUNT_OF(kinds)];
    create(f, options);
    for (unsigned step = random_below(&random, 60); step > 0; step--) {
      size_t length = 1 + random_below(&random, 1u << (1 + random_below(&random, 17)));
      unsigned what = random_below(&random, 8);
      length = length < SIZE - given ? length : SIZE - given;
      assert_ok(give(f, length));
      if (what == 0) {
        int error = uvdio_writer_flush(writer, on_told, &flushed);
        assert_true(error == 0 || error == UV_EBUSY);
      } else if (what == 1) {
        int error = uvdio_writer_sync(writer, on_told, &synced);
        assert_true(error == 0 || error == UV_EBUSY);
      } else if (what < 4) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
      } else if (what == 4 && given % PAGE == 0 && given + FRAME <= SIZE) {
        uvdio_buf_t frame;
        if (uvdio_arena_acquire(f->arena, &frame) == 0) {
          frame.len = 1 + random_below(&random, (unsigned)FRAME);
          memcpy(frame.base, content + given, frame.len);
          size_t put = frame.len;
          if (uvdio_writer_put(writer, &frame) == 0) {
            assert_null(frame.base);
            given += put;
          } else {
            assert_ok(uvdio_buf_release(&frame));
          }
        }
      }
    }
    close_at(f, options->begin);
  }
}

/* Up to the end of the block. */
static void assert_zeros_behind(struct fixture* f, size_t end) {
  static const char zeros[PAGE];
  uvdio_req_t req = {0};
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_page(&buf));
  assert_ok(uvdio_read(&f->file, &req, &buf, end / PAGE * PAGE, NULL));
  assert_int_equal(buf.len, PAGE);
  assert_memory_equal(buf.base + end % PAGE, zeros, PAGE - end % PAGE);
  assert_ok(uvdio_buf_release(&buf));
}

static size_t frames_at_flush;

static void on_flushed(int status, void* arg) {
  on_told(status, &flushed);
  frames_at_flush = frames_out(arg);
}

/* Each write has ended, in whatever order. */
static void flush_waits_for_all_writes(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 20; i++) {
    create(f, NULL);
    int64_t taken = uvdio_writer_write(writer, content, (FRAMES - 2) * FRAME + i);
    assert_int_equal(taken, (FRAMES - 2) * FRAME + i);
    given = (size_t)taken;
    assert_ok(uvdio_writer_flush(writer, on_flushed, f));
    run_untracked(f);
    assert_int_equal(flushed.count, 1);
    assert_int_equal(frames_at_flush, 0);
    close_at(f, 0);
  }
}

static void flush_tells_what_is_in_the_file(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  for (unsigned i = 0; i < 30; i++) {
    assert_ok(give(f, 1 + (size_t)i * 700));
    assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
    assert_code(uvdio_writer_flush(writer, on_told, &flushed), UV_EBUSY);
    assert_int_equal(flushed.count, i);
    size_t there = given;
    assert_ok(give(f, 10)); /* waits for the block's write */
    run_untracked(f);
    assert_int_equal(flushed.count, i + 1);
    assert_code(flushed.status, 0);
    assert_content_at(f, 0, there);
    assert_zeros_behind(f, there);
  }
  run_untracked(f);
  assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
  run_untracked(f);
  assert_ok(uvdio_writer_flush(writer, on_told, &flushed)); /* nothing is left to be written */
  assert_int_equal(flushed.count, 31);
  run_untracked(f);
  assert_int_equal(flushed.count, 32);
  close_at(f, 0);
}

static void sync_comes_behind_its_bytes(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  assert_ok(give(f, 3 * FRAME + 5));
  assert_ok(uvdio_writer_sync(writer, on_told, &synced));
  assert_code(uvdio_writer_sync(writer, on_told, &synced), UV_EBUSY);
  assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
  run_untracked(f);
  assert_int_equal(synced.count, 1);
  assert_code(synced.status, 0);
  assert_true(flushed.order < synced.order);
  assert_ok(uvdio_writer_sync(writer, on_told, &synced));
  run_untracked(f);
  assert_int_equal(synced.count, 2);
  close_at(f, 0);
}

/* A sync that fails is told, and so are all calls behind it. */
static void failed_sync_stops_the_stream(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_SYNC_DATA, .fault = {.kind = UVDIO_FAULT_ERROR}};
  create(f, NULL);
  assert_ok(give(f, 3 * FRAME + 5));
  add_rule(f, rule);
  assert_ok(uvdio_writer_sync(writer, on_told, &synced));
  run_untracked(f);
  assert_int_equal(synced.count, 1);
  assert_code(synced.status, UV_EIO);
  assert_code(uvdio_writer_write(writer, content, 1), UV_EIO);
  clear_rules(f);
  close_writer(f, UV_EIO);
}

static void durable_stream_syncs_at_its_close(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_SYNC_DATA, .fault = {.kind = UVDIO_FAULT_ERROR}};
  uvdio_writer_options_t options = {.flags = UVDIO_WRITER_DURABLE};
  add_rule(f, rule);
  create(f, NULL);
  assert_ok(give(f, 5));
  close_writer(f, 0);
  create(f, &options);
  assert_ok(give(f, 5));
  close_writer(f, UV_EIO);
  clear_rules(f);
}

/*
 * Frames.
 */

static void frames_are_put_without_a_copy(void** state) {
  struct fixture* f = *state;
  uint64_t copied = stats_of(f).copied;
  uvdio_buf_t frame;
  uvdio_buf_t heap;
  create(f, NULL);
  for (unsigned i = 0; i < 5; i++) {
    assert_ok(uvdio_arena_acquire(f->arena, &frame));
    frame.len = i == 4 ? 100 : FRAME;
    memcpy(frame.base, content + given, FRAME);
    given += frame.len;
    assert_ok(uvdio_writer_put(writer, &frame));
    assert_null(frame.base);
  }
  assert_ok(uvdio_buf_alloc(&heap, FRAME, UVDIO_BUF_FULL));
  assert_code(uvdio_writer_put(writer, &heap), UVDIO_EALIGN); /* behind 100 bytes */
  assert_ok(give(f, PAGE - 100));
  memcpy(heap.base, content + given, FRAME);
  given += FRAME;
  assert_ok(uvdio_writer_put(writer, &heap));
  assert_null(heap.base);
  close_at(f, 0);
  assert_true(on_memory() || stats_of(f).copied == copied);
}

static void odd_buffers_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t heap;
  create(f, NULL);
  assert_ok(uvdio_buf_alloc(&heap, FRAME, UVDIO_BUF_FULL));
  uvdio_buf_t view = uvdio_buf_view(&heap);
  uvdio_buf_t none = {0};
  uvdio_buf_t empty = heap;
  empty.len = 0;
  uvdio_buf_t small = heap;
  small.len = PAGE + 1;
  small.cap = PAGE + 100;
  uvdio_buf_t odd = heap;
  odd.base += 8;
  assert_code(uvdio_writer_put(writer, NULL), UV_EINVAL);
  assert_code(uvdio_writer_put(NULL, &heap), UV_EINVAL);
  assert_code(uvdio_writer_put(writer, &view), UV_EINVAL);
  assert_code(uvdio_writer_put(writer, &none), UV_EINVAL);
  assert_code(uvdio_writer_put(writer, &empty), UV_EINVAL);
  assert_code(uvdio_writer_put(writer, &small), UV_ENOBUFS);
  assert_code(uvdio_writer_put(writer, &odd), UVDIO_EALIGN);
  assert_ok(uvdio_buf_release(&heap));
  close_at(f, 0);
}

static void window_bounds_what_is_out(void** state) {
  struct fixture* f = *state;
  uvdio_writer_options_t options = {.window_max = 3};
  uvdio_buf_t frame;
  create(f, &options);
  assert_int_equal(uvdio_writer_write(writer, content, 10 * FRAME), 3 * FRAME);
  given = 3 * FRAME;
  assert_int_equal(frames_out(f), 3);
  assert_code(uvdio_writer_write(writer, content + given, 1), UV_EAGAIN);
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  frame.len = FRAME;
  assert_code(uvdio_writer_put(writer, &frame), UV_EAGAIN);
  assert_ok(uvdio_buf_release(&frame));
  assert_ok(uvdio_writer_wait(writer, on_told, &room));
  assert_code(uvdio_writer_wait(writer, on_told, &room), UV_EBUSY);
  run_untracked(f);
  assert_int_equal(room.count, 1);
  assert_code(uvdio_writer_wait(writer, on_told, &room), UV_EALREADY);
  assert_ok(give(f, 7 * FRAME));
  close_at(f, 0);
}

static void stream_waits_for_frames(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t taken[FRAMES];
  for (unsigned i = 0; i < FRAMES; i++) {
    assert_ok(uvdio_arena_acquire(f->arena, &taken[i]));
  }
  for (unsigned i = 0; i < 2; i++) {
    create(f, NULL);
    assert_code(uvdio_writer_write(writer, content, 5), UV_EAGAIN);
    assert_ok(uvdio_writer_wait(writer, on_told, &room));
    run_for_a_while(f, 5, 0);
    assert_int_equal(room.count, 0);
    if (i == 0) {
      assert_ok(uvdio_writer_close(writer, on_told, &closed));
      run_untracked(f);
      assert_code(room.status, UV_ECANCELED);
      assert_code(closed.status, 0);
      assert_true(room.order < closed.order);
      assert_int_equal(size_of_file(f), 0);
    }
  }
  assert_ok(uvdio_buf_release(&taken[0]));
  run_untracked(f);
  assert_int_equal(room.count, 1);
  assert_code(room.status, 0);
  assert_ok(give(f, 5 * FRAME));
  for (unsigned i = 1; i < FRAMES; i++) {
    assert_ok(uvdio_buf_release(&taken[i]));
  }
  close_at(f, 0);
}

/* A class that is full refuses writes and cuts; the stream goes on by itself. */
static void full_class_slows_the_stream_down(void** state) {
  static const uvdio_class_options_t bounds = {.depth = 1, .queue_max = 1};
  struct fixture* f = *state;
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER, &bounds));
  assert_ok(uvdio_file_set_class(&f->file, UVDIO_CLASS_USER));
  create(f, NULL);
  assert_ok(give(f, SIZE));
  assert_ok(uvdio_writer_close(writer, on_told, &closed));
  run_untracked(f);
  assert_code(closed.status, 0);
  assert_ok(uvdio_file_set_class(&f->file, UVDIO_CLASS_DEFAULT));
  assert_int_equal(size_of_file(f), SIZE);
  assert_content_at(f, 0, SIZE);
}

/*
 * Holes.
 */

#define OLD ((size_t)96 * PAGE) /* bytes that are there before */

static char old[OLD];
static char wanted[OLD];        /* what the file is to hold */
static unsigned char held[OLD]; /* 1: a byte that was given */
static const uvdio_writer_options_t hole_kinds[] = {
    {0},
    {.flags = UVDIO_WRITER_NO_GROWTH},
    {.flags = UVDIO_WRITER_DURABLE, .window_max = 1},
    {.flags = UVDIO_WRITER_SPARSE},
    {.flags = UVDIO_WRITER_SPARSE | UVDIO_WRITER_NO_GROWTH, .window_max = 2},
    {.class_number = UVDIO_CLASS_BACKGROUND, .flags = UVDIO_WRITER_SPARSE},
};

/* A writer of a file that has other bytes already, which holes leave alone. */
static void create_over_old(struct fixture* f, const uvdio_writer_options_t* options) {
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
  fill_pattern(old, OLD, 9);
  put(f, &f->file, 0, OLD, 9);
  memset(held, 0, OLD);
  create(f, options);
}

static void give_content(struct fixture* f, size_t length) {
  memset(held + given, 1, length);
  assert_ok(give(f, length));
}

static void skip_bytes(size_t length) {
  assert_ok(uvdio_writer_skip(writer, length));
  given += length;
  assert_int_equal(uvdio_writer_end(writer), given);
}

/* Of a block that has bytes that count: these, and zeros. Zeros count where the stream is not
 * sparse. */
static void want_block(size_t at, int is_sparse) {
  int is_written = 0;
  for (size_t i = at; i < at + PAGE; i++) {
    is_written |= held[i] && (!is_sparse || content[i] != 0);
  }
  memcpy(wanted + at, old + at, PAGE);
  for (size_t i = at; i < at + PAGE && is_written; i++) {
    wanted[i] = (char)(held[i] ? content[i] : 0);
  }
}

static void close_with_holes(struct fixture* f, unsigned flags) {
  close_writer(f, 0);
  assert_int_equal(size_of_file(f), given);
  for (size_t at = 0; at < OLD; at += PAGE) {
    want_block(at, (flags & UVDIO_WRITER_SPARSE) != 0);
  }
  if (given > 0) {
    assert_bytes_at(f, 0, wanted, given);
  }
}

static uvdio_writer_info_t info(void) {
  uvdio_writer_info_t told;
  assert_ok(uvdio_writer_info(writer, &told));
  return told;
}

static void holes_are_not_written(void** state) {
  static const size_t places[] = {1,        PAGE - 1,  PAGE,      PAGE + 1,
                                  2 * PAGE, FRAME - 5, FRAME + 1, 3 * FRAME + 7};
  struct fixture* f = *state;
  for (unsigned k = 0; k < COUNT_OF(hole_kinds); k++) {
    for (unsigned i = 0; i < COUNT_OF(places); i++) {
      for (unsigned j = 0; j < COUNT_OF(places); j++) {
        create_over_old(f, &hole_kinds[k]);
        if (i % 2 == 0) {
          give_content(f, places[i]);
        }
        skip_bytes(places[j]);
        give_content(f, places[(i + j) % COUNT_OF(places)]);
        skip_bytes(places[i]);
        if (j % 2 == 0) {
          give_content(f, 5);
        }
        close_with_holes(f, hole_kinds[k].flags);
      }
    }
  }
}

/* Zeros in the content, for streams that leave them out. */
static void add_zeros(struct random* random) {
  for (unsigned i = 0; i < 12; i++) {
    size_t at = random_below(random, OLD);
    size_t length = random_below(random, 5 * PAGE);
    memset(content + at, 0, length < OLD - at ? length : OLD - at);
  }
}

/* Gives a frame, if there is one and it may come here. */
static void put_content(struct fixture* f, size_t length) {
  uvdio_buf_t frame;
  if (given % PAGE != 0 || given + length > OLD || uvdio_arena_acquire(f->arena, &frame) != 0) {
    return;
  }
  frame.len = length;
  memcpy(frame.base, content + given, length);
  if (uvdio_writer_put(writer, &frame) == 0) {
    memset(held + given, 1, length);
    given += length;
  } else {
    assert_ok(uvdio_buf_release(&frame));
  }
}

static void random_holes_lie_where_they_were_left(void** state) {
  struct fixture* f = *state;
  struct random random = {11};
  for (unsigned round = 0; round < 60; round++) {
    const uvdio_writer_options_t* options = &hole_kinds[round % COUNT_OF(hole_kinds)];
    fill_pattern(content, SIZE, 3 + round);
    add_zeros(&random);
    create_over_old(f, options);
    for (unsigned step = random_below(&random, 40); step > 0; step--) {
      size_t length = 1 + random_below(&random, 1u << (1 + random_below(&random, 15)));
      length = length < OLD - given ? length : OLD - given;
      switch (length > 0 ? random_below(&random, 6) : 5) {
        case 0:
        case 1:
          skip_bytes(random_below(&random, 2) == 0 && length > PAGE ? length / PAGE * PAGE
                                                                    : length);
          break;
        case 2:
          give_content(f, length);
          break;
        case 3:
          put_content(f, 1 + random_below(&random, (unsigned)FRAME));
          break;
        case 4: {
          int error = uvdio_writer_flush(writer, on_told, &flushed);
          assert_true(error == 0 || error == UV_EBUSY);
          break;
        }
        default:
          (void)uv_run(&f->loop, UV_RUN_NOWAIT);
      }
    }
    close_with_holes(f, options->flags);
  }
}

/* Whoever has skipped only is answered, too. */
static void holes_alone_are_flushed_and_synced(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 2; i++) {
    create_over_old(f, NULL);
    if (i == 1) {
      give_content(f, FRAME + 5);
    }
    skip_bytes(3 * PAGE);
    assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
    assert_ok(uvdio_writer_sync(writer, on_told, &synced));
    run_untracked(f);
    assert_int_equal(flushed.count, 1);
    assert_int_equal(synced.count, 1);
    assert_ok(synced.status);
    skip_bytes(7);
    assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
    run_untracked(f);
    assert_int_equal(flushed.count, 2);
    close_with_holes(f, 0);
  }
}

/* Also where the block had other bytes there before, in the stream's memory. */
static void hole_within_a_block_is_zeros(void** state) {
  static const size_t steps[] = {PAGE - 10, 10 + 100};
  struct fixture* f = *state;
  create_over_old(f, NULL);
  for (unsigned i = 0; i < COUNT_OF(steps); i++) {
    give_content(f, steps[i]);
    assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
    run_untracked(f);
  }
  skip_bytes(50);
  give_content(f, 5);
  close_with_holes(f, 0);
}

/* A hole needs no frame and no room. */
static void holes_need_no_room(void** state) {
  struct fixture* f = *state;
  uvdio_writer_options_t options = {.window_max = 1};
  create_over_old(f, &options);
  give_content(f, FRAME);
  assert_int_equal(info().used, 1);
  assert_int_equal(info().window_max, 1);
  skip_bytes(PAGE);
  skip_bytes(1);
  assert_code(uvdio_writer_write(writer, content, 1), UV_EAGAIN);
  run_untracked(f);
  assert_int_equal(info().used, 0);
  give_content(f, 10);
  close_with_holes(f, 0);
}

/* Each run of a frame is written once, behind the one before; zeros are not. */
static void zeros_are_left_out(void** state) {
  static const struct {
    size_t begin, end; /* pages of zeros */
    size_t written;
  } cases[] = {{0, 0, 8}, {0, 1, 7}, {1, 2, 7}, {2, 6, 4}, {0, 8, 0}, {7, 8, 7}, {3, 8, 3}};
  struct fixture* f = *state;
  uvdio_writer_options_t options = {.flags = UVDIO_WRITER_SPARSE};
  for (unsigned i = 0; i < COUNT_OF(cases); i++) {
    for (unsigned puts = 0; puts < 2; puts++) {
      fill_pattern(content, SIZE, 3);
      memset(content + cases[i].begin * PAGE, 0, (cases[i].end - cases[i].begin) * PAGE);
      create_over_old(f, &options);
      while (given < 2 * FRAME) {
        puts != 0 ? put_content(f, FRAME) : give_content(f, FRAME);
      }
      assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
      run_untracked(f);
      assert_int_equal(flushed.count, 1);
      assert_int_equal(info().written, cases[i].written * PAGE);
      assert_int_equal(frames_out(f), 0);
      close_with_holes(f, options.flags);
    }
  }
}

/* Pages of zeros and of others in turn, so that a frame has several writes. */
static void create_for_runs(struct fixture* f) {
  static const uvdio_writer_options_t options = {.flags = UVDIO_WRITER_SPARSE};
  fill_pattern(content, SIZE, 3);
  for (size_t at = 0; at < OLD; at += 2 * PAGE) {
    memset(content + at, 0, PAGE);
  }
  create_over_old(f, &options);
}

static void full_class_slows_runs_down(void** state) {
  static const uvdio_class_options_t bounds = {.depth = 1, .queue_max = 1};
  struct fixture* f = *state;
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER, &bounds));
  create_for_runs(f);
  assert_ok(uvdio_file_set_class(&f->file, UVDIO_CLASS_USER));
  give_content(f, OLD);
  assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
  run_untracked(f);
  assert_int_equal(flushed.count, 1);
  assert_int_equal(info().written, OLD / 2);
  assert_int_equal(frames_out(f), 0);
  assert_ok(uvdio_file_set_class(&f->file, UVDIO_CLASS_DEFAULT));
  close_with_holes(f, UVDIO_WRITER_SPARSE);
}

/* Stats, which no class refuses: one waits whenever one has ended, so that the class stays full. */
static unsigned stats_left;

static void stat_on(struct tracked_op* op) {
  struct fixture* f = op->data;
  if (stats_left > 0) {
    stats_left--;
    (void)t_stat(op_then(&f->tracker, stat_on, f), &f->file);
  }
}

/* The cut goes by the file's class, whose room the close waits for; it does not ask for it in each
 * turn of the loop. */
static void close_waits_for_the_file_s_class(void** state) {
  static const uvdio_class_options_t bounds = {.operations_max = 50, .queue_max = 1};
  static const uvdio_writer_options_t options = {.class_number = UVDIO_CLASS_FOREGROUND};
  struct fixture* f = *state;
  uvdio_class_stats_t stats;
  assert_ok(uvdio_class_set(f->engine, UVDIO_CLASS_USER, &bounds));
  create(f, &options);
  assert_ok(give(f, PAGE));
  run_untracked(f);
  assert_ok(uvdio_file_set_class(&f->file, UVDIO_CLASS_USER));
  stats_left = 8;
  do {
    (void)t_stat(op_then(&f->tracker, stat_on, f), &f->file);
    assert_ok(uvdio_class_stats(f->engine, UVDIO_CLASS_USER, &stats));
  } while (stats.waiting == 0);
  close_writer(f, 0);
  assert_int_equal(stats_left, 0);
  assert_ok(uvdio_class_stats(f->engine, UVDIO_CLASS_USER, &stats));
  assert_in_range(stats.refused, 2, 20);
}

static void run_that_fails_is_the_last_of_its_frame(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_WRITE,
                             .offset = PAGE,
                             .length = PAGE,
                             .fault = {.kind = UVDIO_FAULT_ERROR, .error = UV_ENOSPC}};
  create_for_runs(f);
  add_rule(f, rule);
  give_content(f, FRAME);
  run_untracked(f);
  assert_int_equal(frames_out(f), 0);
  assert_code(uvdio_writer_skip(writer, 1), UV_ENOSPC);
  close_writer(f, UV_ENOSPC);
  clear_rules(f);
  assert_bytes_at(f, 3 * PAGE, old + 3 * PAGE, PAGE); /* the next one of that frame */
}

/* A device keeps its size, and what lies behind the last block. */
static void block_device_is_neither_grown_nor_cut(void** state) {
  struct fixture* f = *state;
  struct disk disk;
  char why[FILESYSTEM_WHY_MAX];
  NOT_ON_MEMORY("devices");
  if (disk_make(&disk, 8 * MIB, 8 * MIB, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, disk.path, UVDIO_O_RDWR), 0);
  for (unsigned k = 0; k < 3; k++) {
    uvdio_writer_options_t options = {.flags = kinds[k].flags, .size_hint = SIZE};
    fill_pattern(old, OLD, 9);
    put(f, &f->file, 0, OLD, 9);
    create(f, &options);
    assert_ok(give(f, 9 * PAGE + 100));
    assert_ok(uvdio_writer_skip(writer, 3 * PAGE));
    given += 3 * PAGE;
    assert_ok(give(f, 5));
    close_writer(f, 0);
    assert_int_equal(size_of_file(f), 8 * MIB);
    assert_content_at(f, 0, 9 * PAGE + 100);
    assert_bytes_at(f, 10 * PAGE, old + 10 * PAGE, 2 * PAGE);
    assert_zeros_behind(f, given);
    assert_bytes_at(f, 13 * PAGE, old + 13 * PAGE, OLD - 13 * PAGE);
  }
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  disk_remove(&disk);
}

/* What refuses to be cut, and is no device, is told of. */
static void refused_cut_is_an_error(void** state) {
  struct fixture* f = *state;
  uvdio_writer_options_t options = {.flags = UVDIO_WRITER_NO_GROWTH};
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_TRUNCATE,
                             .fault = {.kind = UVDIO_FAULT_ERROR, .error = UV_EINVAL}};
  add_rule(f, rule);
  create(f, &options);
  assert_ok(give(f, 5));
  close_writer(f, UV_EINVAL);
  clear_rules(f);
}

/*
 * The size.
 */

static void size_is_kept_ahead(void** state) {
  static const struct {
    uvdio_writer_options_t options;
    uint64_t size;
  } cases[] = {
      {{0}, FRAME + MIB},
      {{.size_hint = 300 * PAGE}, 300 * PAGE},
      {{.begin = PAGE, .size_hint = 300 * PAGE + 5}, 301 * PAGE + 5},
      {{.flags = UVDIO_WRITER_NO_GROWTH}, FRAME},
  };
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(cases); i++) {
    assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
    create(f, &cases[i].options);
    assert_ok(give(f, FRAME - (size_t)cases[i].options.begin));
    run_untracked(f);
    assert_int_equal(size_of_file(f), cases[i].size);
    close_at(f, cases[i].options.begin);
  }
}

static void what_was_behind_is_cut_off(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 8 * FRAME, 9);
  create(f, NULL);
  assert_ok(give(f, FRAME + 3));
  close_at(f, 0);
}

/*
 * Errors and ends.
 */

/* The disk is full in the middle: what was acknowledged is there, and everybody is told. */
static void full_disk_is_told(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_WRITE,
                             .offset = 4 * FRAME,
                             .length = FRAME,
                             .fault = {.kind = UVDIO_FAULT_ERROR, .error = UV_ENOSPC}};
  add_rule(f, rule);
  create(f, NULL);
  assert_ok(give(f, 2 * FRAME));
  assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
  run_untracked(f);
  assert_code(flushed.status, 0);
  assert_code(give(f, SIZE - given), UV_ENOSPC);
  assert_code(uvdio_writer_write(writer, content, 1), UV_ENOSPC);
  assert_code(uvdio_writer_wait(writer, on_told, &room), UV_ENOSPC);
  assert_code(uvdio_writer_flush(writer, on_told, &flushed), UV_ENOSPC);
  assert_code(uvdio_writer_sync(writer, on_told, &synced), UV_ENOSPC);
  close_writer(f, UV_ENOSPC);
  assert_content_at(f, 0, 2 * FRAME);
  clear_rules(f);
}

/* Nobody has called since: the close tells. */
static void close_tells_the_error(void** state) {
  static const uvdio_op_t ops[] = {UVDIO_OP_WRITE, UVDIO_OP_TRUNCATE};
  struct fixture* f = *state;
  for (unsigned i = 0; i < 2; i++) {
    uvdio_writer_options_t options = {.flags = i * UVDIO_WRITER_NO_GROWTH};
    uvdio_fault_rule_t rule = {.op = ops[i],
                               .fault = {.kind = UVDIO_FAULT_ERROR, .error = UV_ENOSPC}};
    add_rule(f, rule);
    create(f, &options);
    assert_ok(give(f, 5));
    assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
    assert_ok(uvdio_writer_sync(writer, on_told, &synced));
    close_writer(f, UV_ENOSPC);
    assert_int_equal(flushed.count, 1);
    assert_int_equal(synced.count, 1);
    assert_code(flushed.status, i == 0 ? UV_ENOSPC : 0);
    assert_true(flushed.order < closed.order && synced.order < closed.order);
    clear_rules(f);
  }
}

/* Growth is a wish. */
static void growth_that_fails_is_no_error(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {
      .op = UVDIO_OP_TRUNCATE, .times = 1, .fault = {.kind = UVDIO_FAULT_ERROR, .error = UV_EFBIG}};
  add_rule(f, rule);
  create(f, NULL);
  assert_ok(give(f, SIZE));
  close_at(f, 0);
  clear_rules(f);
}

static void short_writes_are_completed(void** state) {
  struct fixture* f = *state;
  uvdio_fault_rule_t rule = {.op = UVDIO_OP_WRITE,
                             .fault = {.kind = UVDIO_FAULT_SHORT, .length = PAGE}};
  add_rule(f, rule);
  create(f, NULL);
  assert_ok(give(f, 20 * FRAME + 5));
  close_at(f, 0);
  clear_rules(f);
}

static void cancelled_writes_stop_the_stream(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  int64_t taken = uvdio_writer_write(writer, content, SIZE);
  assert_true(taken > 0);
  assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
  assert_ok(uvdio_file_cancel(&f->file));
  run_untracked(f);
  assert_int_equal(flushed.count, 1);
  assert_true(flushed.status == 0 || flushed.status == UV_ECANCELED);
  close_writer(f, flushed.status);
}

static void close_comes_at_any_time(void** state) {
  struct fixture* f = *state;
  for (unsigned turns = 0; turns < 24; turns++) {
    create(f, NULL);
    for (unsigned i = 0; i < turns; i++) {
      assert_ok(give(f, 1 + (size_t)i * 2000));
      if (turns % 2 == 0) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
      }
    }
    int flushes = turns % 3 == 0 && uvdio_writer_flush(writer, on_told, &flushed) == 0;
    assert_ok(uvdio_writer_close(writer, on_told, &closed));
    assert_code(uvdio_writer_close(writer, on_told, &closed), UV_EBADF);
    assert_code(uvdio_writer_write(writer, content, 1), UV_EBADF);
    assert_code(uvdio_writer_skip(writer, 1), UV_EBADF);
    assert_code(uvdio_writer_wait(writer, on_told, &room), UV_EBADF);
    assert_code(uvdio_writer_flush(writer, on_told, &flushed), UV_EBADF);
    assert_code(uvdio_writer_sync(writer, on_told, &synced), UV_EBADF);
    run_untracked(f);
    assert_int_equal(closed.count, 1);
    assert_code(closed.status, 0);
    assert_int_equal(flushed.count, flushes);
    assert_int_equal(frames_out(f), 0);
    assert_int_equal(size_of_file(f), given);
    assert_content_at(f, 0, given);
  }
}

static unsigned chained;

static void on_chain(int status, void* arg) {
  int64_t taken;
  chained += status != 0 || uvdio_writer_destroy(writer) != UV_EBUSY ? 1000 : 0;
  while (given < SIZE && (taken = uvdio_writer_write(writer, content + given, SIZE - given)) > 0) {
    given += (size_t)taken;
  }
  if (given < SIZE) {
    chained += uvdio_writer_wait(writer, on_chain, arg) != 0 ? 1000 : 1;
  } else {
    chained += uvdio_writer_close(writer, on_told, &closed) != 0 ? 1000 : 0;
  }
}

static void callbacks_may_write_and_close(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  chained = 0;
  assert_ok(uvdio_writer_flush(writer, on_chain, NULL));
  assert_int_equal(given, 0);
  run_untracked(f);
  assert_int_equal(closed.count, 1);
  assert_code(closed.status, 0);
  assert_in_range(chained, 1, 999);
  assert_int_equal(size_of_file(f), SIZE);
  assert_content_at(f, 0, SIZE);
}

static void destroy_leaves_the_file(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  assert_ok(give(f, FRAME));
  assert_code(uvdio_writer_destroy(writer), UV_EBUSY);
  run_untracked(f);
  assert_ok(give(f, 10));
  assert_ok(uvdio_writer_destroy(writer));
  assert_int_equal(frames_out(f), 0);
  assert_int_equal(size_of_file(f), FRAME + MIB);
}

static void closed_file_leaves_a_writer_to_destroy(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  assert_ok(give(f, FRAME + 10));
  run_untracked(f);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_code(uvdio_writer_write(writer, content, 1), UV_EBADF);
  assert_code(uvdio_writer_close(writer, on_told, &closed), UV_EBADF);
  assert_ok(uvdio_writer_destroy(writer));
}

/*
 * Misuse.
 */

static void odd_options_are_refused(void** state) {
  struct fixture* f = *state;
  static const struct {
    uvdio_writer_options_t options;
    int error;
  } cases[] = {
      {{.flags = 1u << 3}, UV_EINVAL},
      {{.window_max = UVDIO_STREAM_WINDOW_MAX + 1}, UV_EINVAL},
      {{.class_number = UVDIO_CLASSES}, UV_EINVAL},
      {{.begin = 1}, UVDIO_EALIGN},
      {{.begin = (uint64_t)INT64_MAX + 1}, UVDIO_EOFFSET},
      {{.begin = PAGE, .size_hint = INT64_MAX}, UVDIO_EOFFSET},
  };
  struct {
    uvdio_writer_options_t options;
    uint64_t more;
  } longer = {{0}, 1};
  uvdio_writer_t* unused;
  uvdio_file_t none = {0};
  for (unsigned i = 0; i < COUNT_OF(cases); i++) {
    assert_code(uvdio_writer_create(&unused, &f->file, f->arena, &cases[i].options),
                cases[i].error);
  }
  assert_code(uvdio_writer_create(NULL, &f->file, f->arena, NULL), UV_EINVAL);
  assert_code(uvdio_writer_create(&unused, NULL, f->arena, NULL), UV_EINVAL);
  assert_code(uvdio_writer_create(&unused, &f->file, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_writer_create(&unused, &none, f->arena, NULL), UV_EBADF);
  assert_code(
      uvdio_writer_create_sized(&unused, &f->file, f->arena, &longer.options, sizeof(longer)),
      UV_E2BIG);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  assert_code(uvdio_writer_create(&unused, &f->other, f->arena, NULL), UV_EBADF);
}

static void odd_calls_are_refused(void** state) {
  struct fixture* f = *state;
  uvdio_writer_options_t distant = {.begin = INT64_MAX / PAGE * PAGE - PAGE};
  uvdio_writer_info_t told;
  create(f, &distant);
  assert_code(uvdio_writer_write(writer, content, 1), UVDIO_EOFFSET);
  assert_ok(uvdio_writer_destroy(writer));
  create(f, NULL);
  assert_code(uvdio_writer_write(NULL, content, 1), UV_EINVAL);
  assert_code(uvdio_writer_write(writer, NULL, 1), UV_EINVAL);
  assert_code(uvdio_writer_write(writer, content, 0), UV_EINVAL);
  assert_code(uvdio_writer_write(writer, content, (size_t)INT64_MAX), UVDIO_EOFFSET);
  assert_code(uvdio_writer_skip(NULL, 1), UV_EINVAL);
  assert_code(uvdio_writer_skip(writer, 0), UV_EINVAL);
  assert_code(uvdio_writer_skip(writer, UINT64_MAX), UVDIO_EOFFSET);
  assert_code(uvdio_writer_skip(writer, INT64_MAX), UVDIO_EOFFSET);
  assert_code(uvdio_writer_info(NULL, &told), UV_EINVAL);
  assert_code(uvdio_writer_info(writer, NULL), UV_EINVAL);
  assert_code(uvdio_writer_wait(NULL, on_told, NULL), UV_EINVAL);
  assert_code(uvdio_writer_wait(writer, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_writer_flush(NULL, on_told, NULL), UV_EINVAL);
  assert_code(uvdio_writer_flush(writer, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_writer_sync(NULL, on_told, NULL), UV_EINVAL);
  assert_code(uvdio_writer_sync(writer, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_writer_close(NULL, on_told, NULL), UV_EINVAL);
  assert_code(uvdio_writer_close(writer, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_writer_destroy(NULL), UV_EINVAL);
  assert_code(uvdio_writer_end(NULL), UV_EINVAL);
  close_at(f, 0);
}

static int use_in_child(void* data) {
  (void)data;
  EXPECT(uvdio_writer_write(writer, content, 1) == UVDIO_EFORK);
  EXPECT(uvdio_writer_skip(writer, 1) == UVDIO_EFORK);
  EXPECT(uvdio_writer_flush(writer, on_told, &flushed) == UVDIO_EFORK);
  EXPECT(uvdio_writer_close(writer, on_told, &closed) == UVDIO_EFORK);
  return 0;
}

static void children_are_turned_away(void** state) {
  struct fixture* f = *state;
  need_fork();
  create(f, NULL);
  assert_ok(give(f, FRAME));
  assert_int_equal(in_a_child(use_in_child, NULL), 0);
  close_at(f, 0);
}

/* A wait for a frame may never end by itself: flush, sync and errors do not wait for it. */
static void answers_do_not_wait_for_a_frame(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t frames[FRAMES];
  create(f, NULL);
  assert_ok(give(f, FRAME));
  run_untracked(f);
  for (unsigned i = 0; i < FRAMES; i++) {
    assert_ok(uvdio_arena_acquire(f->arena, &frames[i]));
  }
  assert_ok(uvdio_writer_wait(writer, on_told, &room));
  assert_ok(uvdio_writer_flush(writer, on_told, &flushed));
  assert_ok(uvdio_writer_sync(writer, on_told, &synced));
  watch_for_hang("a flush beside a wait for a frame");
  while (flushed.count == 0 || synced.count == 0) {
    assert_int_not_equal(uv_run(&f->loop, UV_RUN_NOWAIT), 0);
  }
  watch_for_hang(NULL);
  assert_ok(flushed.status);
  assert_ok(synced.status);
  assert_int_equal(room.count, 0);
  for (unsigned i = 0; i < FRAMES; i++) {
    assert_ok(uvdio_buf_release(&frames[i]));
  }
  run_untracked(f);
  assert_int_equal(room.count, 1);
  assert_ok(room.status);
  close_at(f, 0);
}

/* What is being filled is in the way of a frame, and goes out for it. */
static void put_sends_what_is_in_its_way(void** state) {
  struct fixture* f = *state;
  uvdio_writer_options_t options = {.window_max = 1};
  uvdio_buf_t page = filled(PAGE, 1);
  create(f, &options);
  assert_ok(give(f, PAGE));
  memcpy(page.base, content + PAGE, PAGE);
  assert_code(uvdio_writer_put(writer, &page), UV_EAGAIN);
  assert_ok(uvdio_writer_wait(writer, on_told, &room));
  run_untracked(f);
  assert_int_equal(room.count, 1);
  assert_ok(uvdio_writer_put(writer, &page));
  given += PAGE;
  close_at(f, 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(open_file, any_size_ends_exactly_there),
      TEST_ON(open_file, random_pieces_lie_in_order),
      TEST_ON(open_file, flush_waits_for_all_writes),
      TEST_ON(open_file, flush_tells_what_is_in_the_file),
      TEST_ON(open_file, sync_comes_behind_its_bytes),
      TEST_ON(open_file, failed_sync_stops_the_stream),
      TEST_ON(open_file, durable_stream_syncs_at_its_close),
      TEST_ON(open_file, frames_are_put_without_a_copy),
      TEST_ON(open_file, odd_buffers_are_refused),
      TEST_ON(open_file, window_bounds_what_is_out),
      TEST_ON(open_file, stream_waits_for_frames),
      TEST_ON(open_file, full_class_slows_the_stream_down),
      TEST_ON(open_file, holes_are_not_written),
      TEST_ON(open_file, random_holes_lie_where_they_were_left),
      TEST_ON(open_file, holes_alone_are_flushed_and_synced),
      TEST_ON(open_file, hole_within_a_block_is_zeros),
      TEST_ON(open_file, holes_need_no_room),
      TEST_ON(open_file, zeros_are_left_out),
      TEST_ON(open_file, full_class_slows_runs_down),
      TEST_ON(open_file, close_waits_for_the_file_s_class),
      TEST_ON(open_file, run_that_fails_is_the_last_of_its_frame),
      TEST_ON(open_file, block_device_is_neither_grown_nor_cut),
      TEST_ON(open_file, refused_cut_is_an_error),
      TEST_ON(open_file, size_is_kept_ahead),
      TEST_ON(open_file, what_was_behind_is_cut_off),
      TEST_ON(open_file, full_disk_is_told),
      TEST_ON(open_file, close_tells_the_error),
      TEST_ON(open_file, growth_that_fails_is_no_error),
      TEST_ON(open_file, short_writes_are_completed),
      TEST_ON(open_file, cancelled_writes_stop_the_stream),
      TEST_ON(open_file, close_comes_at_any_time),
      TEST_ON(open_file, callbacks_may_write_and_close),
      TEST_ON(open_file, destroy_leaves_the_file),
      TEST_ON(open_file, closed_file_leaves_a_writer_to_destroy),
      TEST_ON(open_file, odd_options_are_refused),
      TEST_ON(open_file, odd_calls_are_refused),
      TEST_ON(open_file, answers_do_not_wait_for_a_frame),
      TEST_ON(open_file, put_sends_what_is_in_its_way),
      TEST_ON(open_file, children_are_turned_away),
  };
  return matrix_main("writers", tests, COUNT_OF(tests), argc, argv);
}
