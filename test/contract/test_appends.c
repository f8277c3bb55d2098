/* SPDX-License-Identifier: MIT */
/*
 * Appenders: bytes of any length lie behind each other, callbacks come in order, the file ends with
 * the last byte, and an error stops all. What survives power cuts is sim/test_appends.c.
 */
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "fixture.h"
#include "memory.h"
#include "ops.h"
#include "random.h"
#include "uvdio/append.h"

#define MANY 64u
#define SOURCE ((size_t)3 * MIB)

static char source[SOURCE];
static uvdio_append_t appends[MANY];
static uvdio_append_t ending;
static uvdio_appender_t* appender;
static uvdio_appender_t* unused;
static unsigned ended;
static unsigned disorder;
static unsigned failed;
static unsigned closes;
static int64_t close_result;

static void on_append(uvdio_append_t* append, int64_t result) {
  disorder += append != &appends[ended++] || append->result != result;
  failed += result < 0;
}

static void on_end(uvdio_append_t* append, int64_t result) {
  disorder += append != &ending;
  closes++;
  close_result = result;
}

static void clear(void) {
  memset(appends, 0, sizeof(appends));
  memset(&ending, 0, sizeof(ending));
  ended = 0;
  disorder = 0;
  failed = 0;
  closes = 0;
  for (size_t i = 0; source[0] == 0 && i < SOURCE; i++) {
    source[SOURCE - 1 - i] = (char)(1 + i * 7 % 251);
  }
}

static void create(struct fixture* f, const uvdio_appender_options_t* options) {
  clear();
  assert_ok(uvdio_appender_create(&appender, &f->file, options));
}

/* Append number i has other bytes than its neighbours. */
static int add(unsigned i, size_t length, unsigned flags) {
  return uvdio_append(appender, &appends[i], source + (size_t)i * 1000, length, flags, on_append);
}

static void finish(struct fixture* f) {
  run_untracked(f);
  assert_int_equal(disorder, 0);
}

static void close_appender(struct fixture* f) {
  assert_ok(uvdio_appender_close(appender, &ending, on_end));
  finish(f);
  assert_int_equal(closes, 1);
}

static void assert_bytes(struct fixture* f, const uvdio_append_t* append, unsigned i) {
  assert_bytes_at(f, append->offset, source + (size_t)i * 1000, append->length);
}

/*
 * Where bytes lie.
 */

static const uvdio_appender_options_t kinds[] = {
    {0},
    {.flags = UVDIO_APPEND_DURABLE},
    {.flags = UVDIO_APPEND_NO_GROWTH},
    {.flags = UVDIO_APPEND_EXACT_SIZE},
    {.flags = UVDIO_APPEND_NO_REWRITE},
    {.flags = UVDIO_APPEND_NO_REWRITE | UVDIO_APPEND_DURABLE | UVDIO_APPEND_EXACT_SIZE},
    {.buffer_size = 4 * PAGE, .buffer_count = 1},
    {.buffer_size = 4 * PAGE, .buffer_count = 2, .grow_min = 1000, .grow_max = 9000},
    {.buffer_size = 64 * PAGE, .buffer_count = 32},
};

/* From 1 byte to some MiB, with and without turns of the loop between. */
static void bytes_lie_behind_each_other(void** state) {
  struct fixture* f = *state;
  struct random random = {3};
  for (unsigned k = 0; k < COUNT_OF(kinds); k++) {
    uvdio_appender_options_t options = kinds[k];
    int has_gaps = (options.flags & UVDIO_APPEND_NO_REWRITE) != 0;
    uint64_t end = 0;
    options.flags |= UVDIO_APPEND_AT_SIZE;
    create(f, &options);
    for (unsigned i = 0; i < MANY; i++) {
      size_t length = 1 + random_below(&random, 1u << (1 + random_below(&random, 18)));
      length = i == 20 ? 2 * MIB + 5 : length;
      assert_ok(add(i, length, random_below(&random, 4) == 0 ? UVDIO_APPEND_DURABLE : 0));
      for (unsigned turns = random_below(&random, 4); turns > 0; turns--) {
        (void)uv_run(&f->loop, UV_RUN_NOWAIT);
      }
    }
    close_appender(f);
    assert_int_equal(close_result, 0);
    assert_int_equal(ended, MANY);
    for (unsigned i = 0; i < MANY; i++) {
      assert_int_equal(appends[i].result, appends[i].length);
      assert_true(has_gaps ? appends[i].offset >= end : appends[i].offset == end);
      assert_bytes(f, &appends[i], i);
      end = appends[i].offset + appends[i].length;
    }
    assert_int_equal(size_of_file(f), end);
  }
}

static void next_one_goes_on_at_the_end(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t at_size = {.size = 5001, .flags = UVDIO_APPEND_AT_SIZE};
  create(f, NULL);
  assert_int_equal(uvdio_appender_size(appender), UV_EAGAIN);
  assert_ok(add(0, 5000, 0));
  close_appender(f);
  create(f, NULL);
  finish(f);
  assert_int_equal(uvdio_appender_size(appender), 5000);
  assert_ok(add(0, 5000, 0));
  assert_ok(add(1, 5000, 0));
  assert_int_equal(uvdio_appender_size(appender), 15000);
  close_appender(f);
  assert_int_equal(appends[0].offset, 5000);
  assert_bytes(f, &appends[1], 1);
  create(f, &at_size);
  finish(f);
  assert_int_equal(size_of_file(f), 5001);
  assert_ok(add(0, 10, 0));
  close_appender(f);
  assert_int_equal(size_of_file(f), 5011);
  appends[0].offset = 0; /* of the first appender */
  appends[0].length = 5000;
  assert_bytes(f, &appends[0], 0);
}

static void size_beyond_the_file_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.size = 1, .flags = UVDIO_APPEND_AT_SIZE};
  create(f, &options);
  assert_ok(add(0, 10, 0));
  assert_ok(add(1, 10, 0));
  finish(f);
  assert_int_equal(appends[0].result, UVDIO_EOFFSET);
  assert_int_equal(appends[1].result, UVDIO_EOFFSET);
  assert_code(add(2, 10, 0), UVDIO_EOFFSET);
  close_appender(f);
  assert_int_equal(close_result, UVDIO_EOFFSET);
  assert_int_equal(size_of_file(f), 0);
}

static void acknowledged_blocks_are_left_alone(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.flags = UVDIO_APPEND_NO_REWRITE};
  create(f, &options);
  for (unsigned i = 0; i < 8; i++) {
    assert_ok(add(i, 100 + i, 0));
    finish(f);
    assert_int_equal(appends[i].offset, i * PAGE);
  }
  assert_ok(add(8, 100, 0));
  assert_ok(add(9, 100, 0));
  assert_ok(add(10, 100, 0));
  close_appender(f);
  assert_int_equal(appends[9].offset, 9 * PAGE);
  assert_int_equal(appends[10].offset, 9 * PAGE + 100);
  create(f, &options);
  assert_ok(add(0, 10, 0));
  close_appender(f);
  assert_int_equal(appends[0].offset, 10 * PAGE);
}

/*
 * Size, writes and memory.
 */

static void size_is_kept_ahead_in_steps_that_double(void** state) {
  static const uint64_t sizes[] = {12, 12, 28, 28, 28, 44, 44, 44, 44, 60};
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.grow_min = 8 * PAGE, .grow_max = 16 * PAGE};
  create(f, &options);
  for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
    assert_ok(add(i, 4 * PAGE, 0));
    finish(f);
    assert_int_equal(size_of_file(f), sizes[i] * PAGE);
  }
  close_appender(f);
  assert_int_equal(size_of_file(f), COUNT_OF(sizes) * 4 * PAGE);
}

/* Page by page: the next step is made when less than half of the last one is left. */
static void step_is_made_when_half_of_the_last_is_used(void** state) {
  enum { STEP = 12, PAGES_WRITTEN = 40 };
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.grow_min = STEP * PAGE, .grow_max = STEP * PAGE};
  unsigned room = 0;
  create(f, &options);
  for (unsigned i = 0; i < PAGES_WRITTEN; i++) {
    unsigned end = i + 1;
    room = room < end ? end + STEP : room - end < STEP / 2 ? room + STEP : room;
    assert_ok(add(i, PAGE, 0));
    finish(f);
    assert_int_equal(size_of_file(f), room * PAGE);
  }
  close_appender(f);
  assert_int_equal(size_of_file(f), PAGES_WRITTEN * PAGE);
}

/* No step is longer than the last one may be, which need not be a multiple of the first. */
static void steps_grow_as_far_as_they_may(void** state) {
  static const unsigned steps[] = {2, 4, 7, 7, 7};
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.grow_min = 2 * PAGE, .grow_max = 7 * PAGE};
  uint64_t size = 0;
  create(f, &options);
  for (unsigned i = 0; i < COUNT_OF(steps); i++) {
    uint64_t end = (uint64_t)uvdio_appender_size(appender);
    size_t length = i == 0 ? PAGE : (size_t)(size - end);
    assert_ok(add(i, length, 0));
    finish(f);
    size = (i == 0 ? PAGE : size) + steps[i] * PAGE;
    assert_int_equal(size_of_file(f), size);
  }
  close_appender(f);
}

static void size_follows_where_growth_is_off(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.flags = UVDIO_APPEND_NO_GROWTH};
  create(f, &options);
  assert_ok(add(0, PAGE + 1, 0));
  finish(f);
  assert_int_equal(size_of_file(f), 2 * PAGE);
  close_appender(f);
  assert_int_equal(size_of_file(f), PAGE + 1);
}

static void size_is_exact_after_each_sync(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.flags = UVDIO_APPEND_EXACT_SIZE};
  create(f, &options);
  for (unsigned i = 0; i < 20; i += 2) {
    assert_ok(add(i, 1 + i * 1000, i % 4 == 0 ? UVDIO_APPEND_DURABLE : 0));
    assert_ok(uvdio_appender_sync(appender, &appends[i + 1], on_append));
    finish(f);
    assert_int_equal(appends[i + 1].offset, uvdio_appender_size(appender));
    assert_int_equal(size_of_file(f), uvdio_appender_size(appender));
  }
  close_appender(f);
  assert_int_equal(failed, 0);
}

static void appends_share_writes_and_syncs(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  finish(f);
  uint64_t before = stats_of(f).submitted;
  for (unsigned i = 0; i < MANY; i++) {
    assert_ok(add(i, 100, UVDIO_APPEND_DURABLE));
  }
  finish(f);
  assert_int_equal(failed, 0);
  assert_in_range(stats_of(f).submitted - before, 2, 7);
  close_appender(f);
}

static void full_buffers_are_in_flight_side_by_side(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t options = {
      .buffer_size = PAGE, .buffer_count = 6, .flags = UVDIO_APPEND_NO_GROWTH};
  create(f, &options);
  finish(f);
  assert_ok(add(0, 10 * PAGE, 0));
  assert_int_equal(stats_of(f).pending, 6);
  close_appender(f);
  assert_bytes(f, &appends[0], 0);
}

/* Two writes of one block would be in flight otherwise. */
static void block_is_written_by_one_at_a_time(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  assert_ok(add(0, 10, 0));
  finish(f);
  assert_ok(add(1, 10, 0));
  assert_ok(add(2, 10, 0));
  assert_ok(add(3, MIB, 0));
  assert_int_equal(stats_of(f).pending, 1);
  close_appender(f);
  for (unsigned i = 0; i < 4; i++) {
    assert_bytes(f, &appends[i], i);
  }
}

static size_t allocated;
static unsigned allocations;
static int has_memory;

static void* counting_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  if (!has_memory) {
    return NULL;
  }
  allocated += size;
  allocations++;
  return plain_allocate(context, size, alignment, zeroed);
}

static void memory_is_what_creation_took(void** state) {
  static const uvdio_allocator_t counting = {NULL, counting_allocate, plain_release};
  uvdio_appender_options_t options = {.buffer_size = 16 * PAGE, .buffer_count = 2};
  uvdio_engine_t* engine;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uv_loop_t loop;
  (void)state;
  clear();
  has_memory = 1;
  assert_ok(uvdio_set_allocator(&counting));
  assert_ok(uv_loop_init(&loop));
  uvdio_engine_options_t memory = {.backend = UVDIO_BACKEND_MEMORY};
  assert_ok(uvdio_engine_create(&engine, &loop, &memory));
  assert_ok(uvdio_open(engine, &file, &req, "file", UVDIO_OPEN_RW, 0644, NULL));
  has_memory = 0;
  assert_code(uvdio_appender_create(&unused, &file, &options), UV_ENOMEM);
  has_memory = 1;
  allocated = 0;
  allocations = 0;
  assert_ok(uvdio_appender_create(&appender, &file, &options));
  assert_int_equal(allocations, 1);
  assert_in_range(allocated, 32 * PAGE, 40 * PAGE);
  assert_ok(add(0, 2 * MIB, 0));
  assert_ok(uvdio_appender_close(appender, &ending, on_end));
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(close_result, 0);
  assert_ok(uvdio_engine_close(engine, NULL));
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  assert_ok(uv_loop_close(&loop));
  assert_ok(uvdio_set_allocator(NULL));
}

/*
 * Callbacks, errors and ends.
 */

static void on_chained(uvdio_append_t* append, int64_t result) {
  unsigned i = (unsigned)(append - appends);
  on_append(append, result);
  failed += uvdio_appender_destroy(appender) != UV_EBUSY;
  if (i + 1 < MANY) {
    failed += uvdio_append(appender, &appends[i + 1], source + (size_t)(i + 1) * 1000, 700, 0,
                           on_chained) != 0;
  } else {
    failed += uvdio_appender_close(appender, &ending, on_end) != 0;
  }
}

static void callbacks_may_append_and_close(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  assert_ok(uvdio_append(appender, &appends[0], source, 700, 0, on_chained));
  finish(f);
  assert_int_equal(ended, MANY);
  assert_int_equal(failed, 0);
  assert_int_equal(closes, 1);
  assert_int_equal(size_of_file(f), MANY * 700);
}

static unsigned again; /* callbacks of requests that are used again */

static void on_again(uvdio_append_t* append, int64_t result) {
  again++;
  failed += append->result != result || result < 0;
}

/* An append is as good as new when it was called back, whatever it was used for and whoever stood
 * behind it. */
static void append_can_be_used_again(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  again = 0;
  for (unsigned i = 0; i < 3; i++) {
    assert_ok(uvdio_append(appender, &appends[0], source, 3000, UVDIO_APPEND_DURABLE, on_again));
    assert_ok(uvdio_append(appender, &appends[1], source, 5000, 0, on_again));
    assert_ok(uvdio_appender_sync(appender, &appends[2], on_again));
    finish(f);
    assert_int_equal(again, 5 * i + 3);
    assert_ok(uvdio_appender_sync(appender, &appends[0], on_again));
    finish(f);
    assert_int_equal(again, 5 * i + 4);
    assert_int_equal(appends[0].offset, (i + 1) * 8000 + i * 10);
    assert_ok(uvdio_append(appender, &appends[2], source, 10, 0, on_again));
    finish(f);
    assert_int_equal(again, 5 * i + 5);
    assert_int_equal(appends[2].offset, (i + 1) * 8000 + i * 10);
  }
  close_appender(f);
  assert_int_equal(failed, 0);
  assert_int_equal(size_of_file(f), 3 * 8010);
}

static void close_comes_at_any_time(void** state) {
  struct fixture* f = *state;
  for (unsigned turns = 0; turns < 12; turns++) {
    uvdio_appender_options_t options = {.flags = UVDIO_APPEND_AT_SIZE};
    create(f, &options);
    for (unsigned i = 0; i < turns; i++) {
      assert_ok(add(i, 1 + (size_t)i * 20000, 0));
      (void)uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_ok(uvdio_appender_close(appender, &ending, on_end));
    assert_code(uvdio_appender_close(appender, &appends[20], on_end), UV_EBADF);
    assert_code(add(20, 1, 0), UV_EBADF);
    assert_code(uvdio_appender_sync(appender, &appends[20], on_append), UV_EBADF);
    finish(f);
    assert_int_equal(closes, 1);
    assert_int_equal(ended, turns);
    assert_int_equal(close_result, 0);
  }
}

/* What was cancelled is not there, and nothing behind it is acknowledged. */
static void cancelled_write_stops_all(void** state) {
  struct fixture* f = *state;
  uvdio_appender_options_t options = {.buffer_size = PAGE, .buffer_count = 8};
  options.flags = UVDIO_APPEND_NO_GROWTH;
  create(f, &options);
  finish(f);
  for (unsigned i = 0; i < 8; i++) {
    assert_ok(add(i, PAGE, 0));
  }
  assert_ok(uvdio_file_cancel(&f->file));
  assert_ok(uvdio_appender_sync(appender, &appends[8], on_append));
  finish(f);
  assert_int_equal(ended, 9);
  for (unsigned i = 0; i < 9; i++) {
    assert_true(appends[i].result == UV_ECANCELED || failed == 0 || appends[i].result > 0);
    assert_true(i == 0 || appends[i].result < 0 || appends[i - 1].result >= 0);
  }
  assert_true(failed > 0);
  assert_code(add(9, 10, 0), UV_ECANCELED);
  assert_code(uvdio_appender_sync(appender, &appends[9], on_append), UV_ECANCELED);
  close_appender(f);
  assert_int_equal(close_result, UV_ECANCELED);
}

static void closed_file_leaves_an_appender_to_destroy(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  assert_code(uvdio_appender_destroy(appender), UV_EBUSY);
  finish(f);
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  assert_code(add(0, 10, 0), UV_EBADF);
  assert_code(uvdio_appender_close(appender, &ending, on_end), UV_EBADF);
  assert_ok(uvdio_appender_destroy(appender));
}

/* The last block can't be read back, where there is one. */
static void write_only_files_take_appends(void** state) {
  struct fixture* f = *state;
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  open_now(f, &f->file, "file", UVDIO_O_WRONLY | UVDIO_O_CREATE);
  create(f, NULL);
  assert_ok(add(0, 10, 0));
  close_appender(f);
  assert_int_equal(close_result, 0);
  create(f, NULL);
  assert_ok(add(0, 10, 0));
  close_appender(f);
  assert_int_equal(appends[0].result, UV_EBADF);
  assert_int_equal(close_result, UV_EBADF);
}

static void buffered_files_take_appends(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "file", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  clear();
  assert_ok(uvdio_appender_create(&appender, &f->other, NULL));
  assert_ok(add(0, 100001, UVDIO_APPEND_DURABLE));
  assert_ok(add(1, 10, 0));
  close_appender(f);
  assert_int_equal(close_result, 0);
  assert_int_equal(size_of_file(f), 100011);
  assert_bytes(f, &appends[1], 1);
}

/* What is left out of the steps follows from the rest. */
static void first_step_is_what_the_options_say(void** state) {
  static const struct {
    uvdio_appender_options_t options;
    uint64_t step;
  } cases[] = {
      {{.flags = 0}, MIB},
      {{.grow_min = 3 * PAGE}, 3 * PAGE},
      {{.grow_max = 3 * PAGE}, 3 * PAGE},
      {{.grow_max = MIB}, MIB},
      {{.grow_max = 2 * MIB}, MIB},
      {{.grow_min = 5 * PAGE, .grow_max = 5 * PAGE}, 5 * PAGE},
      {{.grow_min = 48 * MIB}, 48 * MIB},
      {{.grow_min = INT64_MAX}, 0}, /* There is no room for it in any file. */
      {{.grow_max = INT64_MAX}, MIB},
      {{.buffer_size = PAGE, .buffer_count = UVDIO_APPEND_BUFFERS_MAX}, MIB},
  };
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(cases); i++) {
    uvdio_appender_options_t options = cases[i].options;
    options.flags |= UVDIO_APPEND_AT_SIZE;
    create(f, &options);
    assert_ok(add(0, 10, 0));
    finish(f);
    assert_int_equal(size_of_file(f), PAGE + cases[i].step);
    close_appender(f);
    assert_int_equal(close_result, 0);
    assert_int_equal(size_of_file(f), 10);
  }
}

/*
 * Misuse.
 */

static void odd_options_are_refused(void** state) {
  struct fixture* f = *state;
  static const struct {
    uvdio_appender_options_t options;
    int error;
  } cases[] = {
      {{.flags = 1u << 5}, UV_EINVAL},
      {{.size = 1}, UV_EINVAL},
      {{.buffer_count = UVDIO_APPEND_BUFFERS_MAX + 1}, UV_EINVAL},
      {{.grow_min = 2, .grow_max = 1}, UV_EINVAL},
      {{.buffer_size = PAGE + 1}, UVDIO_EALIGN},
      {{.buffer_size = SIZE_MAX - PAGE + 1}, UVDIO_ESIZE},
      {{.size = UINT64_MAX, .flags = UVDIO_APPEND_AT_SIZE}, UVDIO_EOFFSET},
      {{.grow_min = UINT64_MAX}, UVDIO_EOFFSET},
      {{.grow_max = UINT64_MAX}, UVDIO_EOFFSET},
      {{.size = (uint64_t)INT64_MAX + 1, .flags = UVDIO_APPEND_AT_SIZE}, UVDIO_EOFFSET},
      {{.grow_min = (uint64_t)INT64_MAX + 1}, UVDIO_EOFFSET},
      {{.grow_max = (uint64_t)INT64_MAX + 1}, UVDIO_EOFFSET},
  };
  struct {
    uvdio_appender_options_t options;
    uint64_t more;
  } longer = {{0}, 1};
  uvdio_file_t closed = {0};
  for (unsigned i = 0; i < COUNT_OF(cases); i++) {
    assert_code(uvdio_appender_create(&unused, &f->file, &cases[i].options), cases[i].error);
  }
  assert_code(uvdio_appender_create(NULL, &f->file, NULL), UV_EINVAL);
  assert_code(uvdio_appender_create(&unused, NULL, NULL), UV_EINVAL);
  assert_code(uvdio_appender_create(&unused, &closed, NULL), UV_EBADF);
  assert_code(uvdio_appender_create_sized(&unused, &f->file, &longer.options, sizeof(longer)),
              UV_E2BIG);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  assert_code(uvdio_appender_create(&unused, &f->other, NULL), UV_EBADF);
}

static void odd_calls_are_refused(void** state) {
  struct fixture* f = *state;
  create(f, NULL);
  assert_code(uvdio_append(NULL, &appends[0], source, 1, 0, on_append), UV_EINVAL);
  assert_code(uvdio_append(appender, NULL, source, 1, 0, on_append), UV_EINVAL);
  assert_code(uvdio_append(appender, &appends[0], NULL, 1, 0, on_append), UV_EINVAL);
  assert_code(uvdio_append(appender, &appends[0], source, 0, 0, on_append), UV_EINVAL);
  assert_code(uvdio_append(appender, &appends[0], source, 1, 0, NULL), UV_EINVAL);
  assert_code(add(0, 1, UVDIO_APPEND_NO_REWRITE), UV_EINVAL);
  assert_code(add(0, (size_t)INT64_MAX, 0), UVDIO_EOFFSET);
  assert_code(uvdio_appender_sync(appender, NULL, on_append), UV_EINVAL);
  assert_code(uvdio_appender_sync(appender, &appends[0], NULL), UV_EINVAL);
  assert_code(uvdio_appender_close(NULL, &ending, on_end), UV_EINVAL);
  assert_code(uvdio_appender_size(NULL), UV_EINVAL);
  assert_code(uvdio_appender_destroy(NULL), UV_EINVAL);
  assert_ok(add(0, 1, 0));
  assert_code(add(0, 1, 0), UV_EBUSY);
  assert_code(uvdio_appender_sync(appender, &appends[0], on_append), UV_EBUSY);
  assert_code(uvdio_appender_close(appender, &appends[0], on_end), UV_EBUSY);
  close_appender(f);
  assert_int_equal(ended, 1);
}

static int use_in_child(void* data) {
  (void)data;
  EXPECT(add(1, 10, 0) == UVDIO_EFORK);
  EXPECT(uvdio_appender_close(appender, &ending, on_end) == UVDIO_EFORK);
  return 0;
}

static void children_are_turned_away(void** state) {
  struct fixture* f = *state;
  need_fork();
  create(f, NULL);
  assert_ok(add(0, 10, 0));
  assert_int_equal(in_a_child(use_in_child, NULL), 0);
  close_appender(f);
}

static void use_on_a_thread(void* data) {
  *(int*)data = add(1, 10, 0);
}

static void other_threads_are_turned_away(void** state) {
  struct fixture* f = *state;
  uv_thread_t thread;
  int error = 0;
  create(f, NULL);
  assert_ok(add(0, 10, 0));
  finish(f);
  assert_ok(uv_thread_create(&thread, use_on_a_thread, &error));
  assert_ok(uv_thread_join(&thread));
  assert_int_equal(error, UVDIO_ETHREAD);
  close_appender(f);
  assert_int_equal(close_result, 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, bytes_lie_behind_each_other),
      TEST_ON(fixture_open, next_one_goes_on_at_the_end),
      TEST_ON(fixture_open, size_beyond_the_file_is_refused),
      TEST_ON(fixture_open, acknowledged_blocks_are_left_alone),
      TEST_ON(fixture_open, size_is_kept_ahead_in_steps_that_double),
      TEST_ON(fixture_open, step_is_made_when_half_of_the_last_is_used),
      TEST_ON(fixture_open, steps_grow_as_far_as_they_may),
      TEST_ON(fixture_open, size_follows_where_growth_is_off),
      TEST_ON(fixture_open, size_is_exact_after_each_sync),
      TEST_ON(fixture_open, appends_share_writes_and_syncs),
      TEST_ON(fixture_open, full_buffers_are_in_flight_side_by_side),
      TEST_ON(fixture_open, block_is_written_by_one_at_a_time),
      cmocka_unit_test(memory_is_what_creation_took),
      TEST_ON(fixture_open, callbacks_may_append_and_close),
      TEST_ON(fixture_open, append_can_be_used_again),
      TEST_ON(fixture_open, close_comes_at_any_time),
      TEST_ON(fixture_open_at_depth_1, cancelled_write_stops_all),
      TEST_ON(fixture_open, closed_file_leaves_an_appender_to_destroy),
      TEST_ON(fixture_open, write_only_files_take_appends),
      TEST_ON(fixture_open, buffered_files_take_appends),
      TEST_ON(fixture_open, first_step_is_what_the_options_say),
      TEST_ON(fixture_open, odd_options_are_refused),
      TEST_ON(fixture_open, odd_calls_are_refused),
      TEST_ON(fixture_open, children_are_turned_away),
      TEST_ON(fixture_open_bound, other_threads_are_turned_away),
  };
  return matrix_main("appends", tests, COUNT_OF(tests), argc, argv);
}
