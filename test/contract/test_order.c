/* SPDX-License-Identifier: MIT */
/*
 * Order: what a sync covers, what a close waits for, how deep the kernel's queue gets, how many
 * callbacks one turn of the loop runs, and what a callback may do.
 */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define WRITES 64

static void write_pages(struct fixture* f, struct tracked_op** writes, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    writes[i] = write_page(f, i);
  }
}

/*
 * Sync.
 */

static void assert_after_all(const struct tracked_op* later, struct tracked_op* const* earlier,
                             size_t count) {
  for (size_t i = 0; i < count; i++) {
    assert_result(earlier[i], PAGE);
    assert_true(later->order > earlier[i]->order);
  }
}

typedef struct tracked_op* (*sync_function)(struct tracked_op*, uvdio_file_t*);

static void sync_comes_after_the_writes_before_it(struct fixture* f, sync_function t_sync) {
  struct tracked_op* writes[WRITES];
  write_pages(f, writes, WRITES);
  struct tracked_op* sync = t_sync(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  assert_after_all(sync, writes, WRITES);
}

static void sync_data_covers_writes_in_flight(void** state) {
  sync_comes_after_the_writes_before_it(*state, t_sync_data);
}

static void sync_all_covers_writes_in_flight(void** state) {
  sync_comes_after_the_writes_before_it(*state, t_sync_all);
}

/* Large writes take the disk longer than a sync that does not wait for them. */
static void sync_covers_large_writes_in_flight(void** state) {
  struct fixture* f = *state;
  enum { SIZE = 8 * 1024 * 1024, LARGE_ONES = 4 };
  struct tracked_op* writes[LARGE_ONES];
  for (unsigned i = 0; i < LARGE_ONES; i++) {
    uvdio_buf_t buf = filled(SIZE, i);
    writes[i] = t_write(op_new(&f->tracker), &f->file, &buf, (uint64_t)i * SIZE);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  for (unsigned i = 0; i < LARGE_ONES; i++) {
    assert_result(writes[i], SIZE);
    assert_true(sync->order > writes[i]->order);
  }
}

static void sync_covers_changes_of_size_too(void** state) {
  struct fixture* f = *state;
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, 10 * PAGE);
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), &f->file, 20 * PAGE);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(truncate, 0);
  assert_result(preallocate, where_provided("preallocate", 0));
  assert_result(sync, 0);
  assert_true(sync->order > truncate->order);
  assert_true(sync->order > preallocate->order);
}

static void each_sync_covers_its_own_past(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[WRITES];
  struct tracked_op* syncs[WRITES];
  for (unsigned i = 0; i < WRITES; i++) {
    writes[i] = write_page(f, i);
    syncs[i] = t_sync_data(op_new(&f->tracker), &f->file);
  }
  run(f);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_result(syncs[i], 0);
    assert_after_all(syncs[i], writes, i + 1);
  }
}

static void writes_after_a_sync_are_not_held_up(void** state) {
  struct fixture* f = *state;
  struct tracked_op* first = write_page(f, 0);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* later[WRITES];
  for (unsigned i = 0; i < WRITES; i++) {
    later[i] = write_page(f, 1 + i);
  }
  run(f);
  assert_result(first, PAGE);
  assert_result(sync, 0);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_result(later[i], PAGE);
  }
}

struct stream {
  struct fixture* f;
  struct tracked_op* sync;
  unsigned written;
};

/* Writes one page after the other until the sync is through, but not more than any sane number: a
 * sync waits for those before it, and not for those that keep coming. */
static void write_another(struct tracked_op* write) {
  struct stream* stream = write->data;
  stream->written++;
  if (stream->sync->done == 0 && stream->written < 20000) {
    uvdio_buf_t page = op_take(write);
    t_write(write, &stream->f->file, &page, 0);
  }
}

static void endless_stream_of_writes_lets_the_sync_through(void** state) {
  struct fixture* f = *state;
  struct stream stream = {f, op_new(&f->tracker), 0};
  for (unsigned i = 0; i < 4; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    t_write(op_then(&f->tracker, write_another, &stream), &f->file, &page, 0);
  }
  t_sync_data(stream.sync, &f->file);
  run(f);
  assert_result(stream.sync, 0);
  assert_true(stream.written < 20000);
}

static void sync_of_one_file_waits_for_no_other(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  struct tracked_op* writes[WRITES];
  write_pages(f, writes, WRITES);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(sync, 0);
  assert_true(sync->order <= WRITES + 1);
}

static void syncs_alone_are_not_held(void** state) {
  struct fixture* f = *state;
  struct tracked_op* syncs[16];
  for (size_t i = 0; i < COUNT_OF(syncs); i++) {
    syncs[i] = t_sync_all(op_new(&f->tracker), &f->file);
  }
  run(f);
  for (size_t i = 0; i < COUNT_OF(syncs); i++) {
    assert_result(syncs[i], 0);
  }
}

static void sync_behind_a_failed_write_still_comes(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[WRITES];
  write_pages(f, writes, WRITES);
  t_cancel(writes[WRITES - 1]);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  assert_true(sync->order > writes[WRITES - 2]->order);
}

/*
 * Close.
 */

static void close_waits_for_what_was_submitted_before(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[WRITES];
  write_pages(f, writes, WRITES);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(close, 0);
  assert_result(sync, 0);
  assert_after_all(close, writes, WRITES);
  assert_true(close->order > sync->order);
  assert_true(close->order > size->order);
}

static void reopen(struct tracked_op* close) {
  struct fixture* f = close->data;
  t_open(op_new(&f->tracker), f->engine, &f->file, path_of(f, "file"), UVDIO_OPEN_READ);
}

static void file_is_free_in_the_callback_of_its_close(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  t_close(op_then(&f->tracker, reopen, f), &f->file);
  run(f);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

static void forget_file(struct tracked_op* close) {
  memset(close->data, 0xa5, sizeof(uvdio_file_t));
  free(close->data);
}

static void file_may_be_freed_in_the_callback_of_its_close(void** state) {
  struct fixture* f = *state;
  uvdio_file_t* file = calloc(1, sizeof(*file));
  assert_non_null(file);
  open_now(f, file, "other", UVDIO_OPEN_RW);
  write_page_of(f, file, 0, 0);
  struct tracked_op* close = t_close(op_then(&f->tracker, forget_file, file), file);
  run(f);
  assert_result(close, 0);
}

static void forget_failed_open(struct tracked_op* open) {
  free(open->data);
}

static void file_may_be_freed_in_the_callback_of_a_failed_open(void** state) {
  struct fixture* f = *state;
  uvdio_file_t* file = calloc(1, sizeof(*file));
  assert_non_null(file);
  struct tracked_op* open = op_then(&f->tracker, forget_failed_open, file);
  t_open(open, f->engine, file, path_of(f, "missing"), UVDIO_OPEN_READ);
  run(f);
  assert_result(open, UV_ENOENT);
}

/*
 * Depth.
 */

static void a_thousand_requests_complete(struct fixture* f, unsigned depth) {
  enum { MANY = 1000, FILE_PAGES = 100 };
  static struct tracked_op* ops[MANY];
  put(f, &f->file, 0, FILE_PAGES * PAGE, 1);
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t page = blank(PAGE);
    ops[i] = t_read(op_new(&f->tracker), &f->file, &page, (uint64_t)(i % FILE_PAGES) * PAGE);
  }
  assert_int_equal(stats_of(f).pending, MANY);
  assert_true(stats_of(f).in_flight <= depth);
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(ops[i], PAGE);
  }
  assert_true(stats_of(f).in_flight_peak <= depth);
}

static void thousand_requests_at_depth_1(void** state) {
  a_thousand_requests_complete(*state, 1);
}

static void thousand_requests_at_depth_4(void** state) {
  a_thousand_requests_complete(*state, 4);
}

static void thousand_requests_at_the_default_depth(void** state) {
  a_thousand_requests_complete(*state, UVDIO_DEPTH_DEFAULT);
}

/* One at a time, the requests run in the order in which they came. */
static void depth_1_keeps_the_order_of_submission(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[WRITES];
  if (matrix.has_classes) {
    SKIP("each class has an order of its own");
  }
  write_pages(f, writes, WRITES);
  run(f);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_int_equal(writes[i]->order, i + 1);
  }
}

/* Files, sizes and syncs of all kinds at once, through a needle's eye. */
static void everything_goes_through_depth_1(void** state) {
  struct fixture* f = *state;
  struct tracked_op* open = op_new(&f->tracker);
  t_open(open, f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_RW);
  struct tracked_op* write = write_page(f, 0);
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), &f->file, 10 * PAGE);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(open, 0);
  assert_result(write, PAGE);
  assert_result(preallocate, where_provided("preallocate", 0));
  assert_result(sync, 0);
  assert_int_equal(size->done, 1);
  assert_result(close, 0);
  assert_int_equal(stats_of(f).in_flight_peak, 1);
}

/*
 * Callbacks per turn.
 */

enum { PER_TURN = 4, BURST = 64 };

static int four_callbacks_per_turn(void** state) {
  uvdio_engine_options_t options = {0};
  options.callbacks_max = PER_TURN;
  return fixture_open_with(state, options);
}

struct turns {
  uv_check_t tick;
  struct fixture* f;
  unsigned seen; /* callbacks at the last tick */
  unsigned most; /* between two ticks */
};

static void on_tick(uv_check_t* tick) {
  struct turns* turns = tick->data;
  unsigned now = turns->f->tracker.finished;
  unsigned between = now - turns->seen;
  turns->most = between > turns->most ? between : turns->most;
  turns->seen = now;
}

static void no_turn_runs_more_callbacks_than_allowed(void** state) {
  struct fixture* f = *state;
  struct turns turns = {.f = f};
  put(f, &f->file, 0, PAGE, 1);
  assert_int_equal(uv_check_init(&f->loop, &turns.tick), 0);
  turns.tick.data = &turns;
  assert_int_equal(uv_check_start(&turns.tick, on_tick), 0);
  uv_unref((uv_handle_t*)&turns.tick);
  for (unsigned i = 0; i < BURST; i++) {
    read_page(f, 0);
  }
  run(f);
  on_tick(&turns.tick);
  uv_close((uv_handle_t*)&turns.tick, NULL);
  run(f);
  assert_int_equal(f->tracker.finished, BURST);
  assert_in_range(turns.most, 1, PER_TURN);
  assert_in_range(stats_of(f).callbacks_peak, 1, PER_TURN);
  assert_true(stats_of(f).iterations >= BURST / PER_TURN);
}

/* A callback that submits does not get its next one in the same turn for ever. */
static void resubmit(struct tracked_op* read) {
  unsigned* left = read->data;
  if (--*left > 0) {
    uvdio_buf_t nothing = op_take(read);
    t_read(read, read->file, &nothing, 0);
  }
}

static void on_timer(uv_timer_t* timer) {
  unsigned* left = timer->data;
  if (*left == 0) {
    uv_close((uv_handle_t*)timer, NULL);
  }
}

/* Zero-length reads complete without the kernel: the purest form of a callback loop. */
static void chain_of_instant_requests_starves_nobody(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char byte[PAGE];
  uv_timer_t timer;
  unsigned left = 5000;
  uvdio_buf_t nothing = uvdio_buf_wrap(byte, 0);
  assert_int_equal(uv_timer_init(&f->loop, &timer), 0);
  timer.data = &left;
  assert_int_equal(uv_timer_start(&timer, on_timer, 0, 1), 0);
  t_read(op_then(&f->tracker, resubmit, &left), &f->file, &nothing, 0);
  run(f);
  assert_int_equal(left, 0);
  assert_true(stats_of(f).callbacks_peak <= PER_TURN);
}

/*
 * What a callback may do.
 */

static void free_itself(struct tracked_op* op) {
  unsigned* freed = op->data;
  memset(&op->req, 0xa5, sizeof(op->req));
  op_free(op);
  ++*freed;
}

static void callback_may_free_its_request(void** state) {
  struct fixture* f = *state;
  unsigned freed = 0;
  for (unsigned i = 0; i < WRITES; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    t_write(op_then(&f->tracker, free_itself, &freed), &f->file, &page, (uint64_t)i * PAGE);
  }
  t_sync_data(op_then(&f->tracker, free_itself, &freed), &f->file);
  run(f);
  assert_int_equal(freed, WRITES + 1);
}

struct chain {
  struct fixture* f;
  unsigned length;
};

/* Reads back what was written, then writes the next page, with one request and one buffer. */
static void go_on(struct tracked_op* op) {
  struct chain* chain = op->data;
  uvdio_buf_t page = op_take(op);
  if (op->kind == UVDIO_OP_WRITE) {
    t_read(op, &chain->f->file, &page, (uint64_t)chain->length * PAGE);
  } else if (++chain->length < 20) {
    t_write(op, &chain->f->file, &page, (uint64_t)chain->length * PAGE);
  } else {
    op->back = page;
  }
}

static void callback_may_submit_its_request_again(void** state) {
  struct fixture* f = *state;
  struct chain chain = {f, 0};
  uvdio_buf_t page = filled(PAGE, 7);
  struct tracked_op* op = t_write(op_then(&f->tracker, go_on, &chain), &f->file, &page, 0);
  run(f);
  assert_int_equal(op->done, 40);
  for (unsigned i = 0; i < 20; i++) {
    assert_holds(f, &f->file, i * PAGE, PAGE, 7);
  }
}

static void cancel_all(struct tracked_op* op) {
  struct tracked_op** others = op->data;
  for (unsigned i = 0; i < WRITES; i++) {
    others[i]->code = t_cancel(others[i]);
  }
}

static void callback_may_cancel_others(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[WRITES];
  uvdio_buf_t page = filled(PAGE, 1);
  t_write(op_then(&f->tracker, cancel_all, writes), &f->file, &page, 0);
  write_pages(f, writes, WRITES);
  run(f);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_int_equal(writes[i]->done, 1);
    assert_true(writes[i]->result == PAGE || writes[i]->result == UV_ECANCELED);
  }
}

static void cancel_itself(struct tracked_op* op) {
  op->code = t_cancel(op);
}

static void request_is_not_pending_in_its_callback(void** state) {
  struct fixture* f = *state;
  struct tracked_op* size = t_size(op_then(&f->tracker, cancel_itself, NULL), &f->file);
  run(f);
  assert_code(size->code, UV_EINVAL);
}

static void close_file(struct tracked_op* op) {
  struct fixture* f = op->data;
  t_close(op_new(&f->tracker), &f->file);
}

static void callback_may_close_its_file(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[WRITES];
  uvdio_buf_t page = filled(PAGE, 1);
  t_write(op_then(&f->tracker, close_file, f), &f->file, &page, 0);
  write_pages(f, writes, WRITES);
  run(f);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_result(writes[i], PAGE);
  }
  assert_refused(t_size(op_new(&f->tracker), &f->file), UV_EBADF);
}

static void close_engine(struct tracked_op* op) {
  struct fixture* f = op->data;
  op->code = t_engine_close(f->engine, on_engine_closed);
}

static void callback_may_close_the_engine(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[WRITES];
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* closer = t_write(op_then(&f->tracker, close_engine, f), &f->file, &page, 0);
  write_pages(f, writes, WRITES);
  run(f);
  f->engine = NULL;
  assert_code(closer->code, 0);
  assert_int_equal(f->closed, 1);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_result(writes[i], PAGE);
  }
}

static void work_at_once(struct tracked_op* op) {
  struct fixture* f = op->data;
  assert_size(f, &f->file, PAGE);
  assert_holds(f, &f->file, 0, PAGE, 3);
}

static void callback_may_use_the_synchronous_form(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 3);
  struct tracked_op* write = t_write(op_then(&f->tracker, work_at_once, f), &f->file, &page, 0);
  run(f);
  assert_result(write, PAGE);
}

/*
 * Kinds (UVDIO_OP_MAP): what an operation waits for, and what waits for it. This is told here once
 * more, so that a wrong kind in the map is seen.
 */

struct behaviour {
  int waits_for_a_truncate;
  int is_waited_for_by_a_sync;
};

static struct behaviour behaviour_of(uvdio_op_t op) {
  switch (op) {
    case UVDIO_OP_READ:
      return (struct behaviour){1, 0};
    case UVDIO_OP_WRITE:
    case UVDIO_OP_TRUNCATE:
    case UVDIO_OP_PREALLOCATE:
    case UVDIO_OP_PUNCH_HOLE:
    case UVDIO_OP_ZERO_RANGE:
      return (struct behaviour){1, 1};
    case UVDIO_OP_SYNC_DATA: /* A truncate is a change, and one sync runs at a time. */
    case UVDIO_OP_SYNC_ALL:
    case UVDIO_OP_REPLACE:
      return (struct behaviour){1, 1};
    case UVDIO_OP_RENAME:
    case UVDIO_OP_LINK:
    case UVDIO_OP_UNLINK:
    case UVDIO_OP_MKDIR:
    case UVDIO_OP_RMDIR:
    case UVDIO_OP_SYNC_DIRECTORY:
    case UVDIO_OP_OPEN:
    case UVDIO_OP_SIZE:
    case UVDIO_OP_STAT:
    case UVDIO_OP_NEXT_DATA:
    case UVDIO_OP_NEXT_HOLE:
    case UVDIO_OP_SET_HINT:
      return (struct behaviour){0, 0};
    case UVDIO_OP_CLOSE:      /* Nothing comes after it. */
    case UVDIO_OP_ARENA_WAIT: /* It is never in flight. */
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      break;
  }
  return (struct behaviour){-1, -1};
}

static struct tracked_op* submit_any(struct fixture* f, uvdio_op_t op) {
  return t_example(f, op_new(&f->tracker), &f->file, op);
}

static void end_any(struct fixture* f, uvdio_op_t op) {
  run(f);
  if (op == UVDIO_OP_OPEN) {
    close_other(f);
  }
}

/* A request that waits for others is not in flight. Nothing ends before the loop runs. */
static unsigned started(const struct fixture* f) {
  return stats_of(f).in_flight;
}

static void kinds_decide_what_waits(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    struct behaviour expected = behaviour_of(op);
    if (expected.waits_for_a_truncate < 0) {
      continue;
    }
    submit_any(f, UVDIO_OP_READ);
    submit_any(f, UVDIO_OP_TRUNCATE);
    unsigned before = started(f);
    assert_int_equal(submit_any(f, op)->code, 0);
    assert_int_equal(started(f) - before, !expected.waits_for_a_truncate);
    end_any(f, op);
    assert_int_equal(submit_any(f, op)->code, 0);
    before = started(f);
    submit_any(f, UVDIO_OP_SYNC_DATA);
    assert_int_equal(started(f) - before, !expected.is_waited_for_by_a_sync);
    end_any(f, op);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open_bound, kinds_decide_what_waits),
      TEST_ON(fixture_open, sync_data_covers_writes_in_flight),
      TEST_ON(fixture_open, sync_all_covers_writes_in_flight),
      TEST_ON(fixture_open_at_depth_1, sync_data_covers_writes_in_flight),
      TEST_ON(fixture_open, sync_covers_large_writes_in_flight),
      TEST_ON(fixture_open, sync_covers_changes_of_size_too),
      TEST_ON(fixture_open_at_depth_4, each_sync_covers_its_own_past),
      TEST_ON(fixture_open, writes_after_a_sync_are_not_held_up),
      TEST_ON(fixture_open, endless_stream_of_writes_lets_the_sync_through),
      TEST_ON(fixture_open, sync_of_one_file_waits_for_no_other),
      TEST_ON(fixture_open, syncs_alone_are_not_held),
      TEST_ON(fixture_open, sync_behind_a_failed_write_still_comes),
      TEST_ON(fixture_open, close_waits_for_what_was_submitted_before),
      TEST_ON(fixture_open_at_depth_1, close_waits_for_what_was_submitted_before),
      TEST_ON(fixture_open, file_is_free_in_the_callback_of_its_close),
      TEST_ON(fixture_engine, file_may_be_freed_in_the_callback_of_its_close),
      TEST_ON(fixture_engine, file_may_be_freed_in_the_callback_of_a_failed_open),
      TEST_ON(fixture_open_at_depth_1, thousand_requests_at_depth_1),
      TEST_ON(fixture_open_at_depth_4, thousand_requests_at_depth_4),
      TEST_ON(fixture_open, thousand_requests_at_the_default_depth),
      TEST_ON(fixture_open_at_depth_1, depth_1_keeps_the_order_of_submission),
      TEST_ON(fixture_open_at_depth_1, everything_goes_through_depth_1),
      TEST_ON(four_callbacks_per_turn, no_turn_runs_more_callbacks_than_allowed),
      TEST_ON(four_callbacks_per_turn, chain_of_instant_requests_starves_nobody),
      TEST_ON(fixture_open, callback_may_free_its_request),
      TEST_ON(fixture_open, callback_may_submit_its_request_again),
      TEST_ON(fixture_open, callback_may_cancel_others),
      TEST_ON(fixture_open, request_is_not_pending_in_its_callback),
      TEST_ON(fixture_open, callback_may_close_its_file),
      TEST_ON(fixture_open, callback_may_close_the_engine),
      TEST_ON(fixture_open, callback_may_use_the_synchronous_form),
  };
  return matrix_main("order", tests, COUNT_OF(tests), argc, argv);
}
