/* SPDX-License-Identifier: MIT */
/*
 * Writes that are durable by themselves, on files that were not opened so: by both methods, and by
 * the one that the engine chooses. That the data survives is for sim/ and crash/ to show; here is
 * what a program sees: results, order, the choice, and what is refused.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"

#define TRIALS 64u
#define AT_A_TIME 8u

static const unsigned methods[] = {
    UVDIO_WRITE_DURABLE,
    UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_DSYNC,
    UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_SYNC,
};

#define BY_DSYNC methods[1]
#define BY_SYNC methods[2]

static struct tracked_op* write_so(struct fixture* f, unsigned page, unsigned flags) {
  uvdio_buf_t buf = filled(PAGE, page);
  return t_write_flags(op_new(&f->tracker), &f->file, &buf, (uint64_t)page * PAGE, flags);
}

static void pages_arrive_by_each_method(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[COUNT_OF(methods)][AT_A_TIME];
  for (unsigned m = 0; m < COUNT_OF(methods); m++) {
    for (unsigned i = 0; i < AT_A_TIME; i++) {
      writes[m][i] = write_so(f, m * AT_A_TIME + i, methods[m]);
    }
  }
  run(f);
  for (unsigned m = 0; m < COUNT_OF(methods); m++) {
    for (unsigned i = 0; i < AT_A_TIME; i++) {
      unsigned page = m * AT_A_TIME + i;
      assert_result(writes[m][i], PAGE);
      assert_holds(f, &f->file, (uint64_t)page * PAGE, PAGE, page);
    }
  }
  assert_code(info_of(&f->file).latch_error, 0);
}

static void several_buffers_are_one_durable_write(void** state) {
  struct fixture* f = *state;
  for (unsigned m = 0; m < COUNT_OF(methods); m++) {
    uvdio_buf_t bufs[3] = {filled(PAGE, 1), filled(2 * PAGE, 2), filled(PAGE, 3)};
    struct tracked_op* write =
        t_writev_flags(op_new(&f->tracker), &f->file, bufs, 3, 0, methods[m]);
    run(f);
    assert_result(write, 4 * PAGE);
    assert_int_equal(write->req.op, UVDIO_OP_WRITE);
    assert_holds(f, &f->file, PAGE, 2 * PAGE, 2);
  }
}

static void synchronous_form_is_durable_as_well(void** state) {
  struct fixture* f = *state;
  uvdio_engine_stats_t before;
  uvdio_engine_stats_t after;
  for (unsigned m = 0; m < COUNT_OF(methods); m++) {
    uvdio_buf_t page = filled(PAGE, m);
    assert_ok(uvdio_engine_stats(f->engine, &before));
    struct tracked_op* write = t_write_flags(op_now(&f->tracker), &f->file, &page, 0, methods[m]);
    assert_ok(uvdio_engine_stats(f->engine, &after));
    assert_result(write, PAGE);
    assert_int_equal(after.synchronous, before.synchronous + 1);
    assert_holds(f, &f->file, 0, PAGE, m);
    assert_ok(uvdio_buf_release(&page));
  }
}

static void synchronous_form_gives_way_to_a_sync(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  assert_refused(t_write_flags(op_now(&f->tracker), &f->file, &page, 0, BY_SYNC), UV_EBUSY);
  run(f);
  assert_result(sync, 0);
  assert_result(t_write_flags(op_now(&f->tracker), &f->file, &page, 0, BY_SYNC), PAGE);
  assert_ok(uvdio_buf_release(&page));
}

/* They wait for nothing, not even for a sync that is to come. */
static void nothing_to_write_is_done_at_once(void** state) {
  struct fixture* f = *state;
  for (unsigned m = 0; m < COUNT_OF(methods); m++) {
    uvdio_buf_t none = filled(PAGE, 1);
    none.len = 0;
    struct tracked_op* write = t_write_flags(op_new(&f->tracker), &f->file, &none, 0, methods[m]);
    run(f);
    assert_result(write, 0);
  }
}

/*
 * Order.
 */

/* What was submitted after the writes is called back after them. */
static void syncs_truncates_and_closes_come_after_them(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[AT_A_TIME];
  for (unsigned i = 0; i < AT_A_TIME; i++) {
    writes[i] = write_so(f, i, methods[i % COUNT_OF(methods)]);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, PAGE);
  struct tracked_op* late = write_so(f, 3, BY_SYNC);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->file);
  run(f);
  for (unsigned i = 0; i < AT_A_TIME; i++) {
    assert_result(writes[i], PAGE);
    assert_true(writes[i]->order < sync->order && writes[i]->order < truncate->order);
  }
  assert_result(sync, 0);
  assert_result(truncate, 0);
  assert_result(late, PAGE);
  assert_result(close, 0);
  assert_true(truncate->order < late->order && late->order < close->order);
}

static void engine_close_waits_for_them(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[AT_A_TIME];
  for (unsigned i = 0; i < AT_A_TIME; i++) {
    writes[i] = write_so(f, i, BY_SYNC);
  }
  end_engine(f);
  for (unsigned i = 0; i < AT_A_TIME; i++) {
    assert_result(writes[i], PAGE);
  }
}

/* Each callback submits the next one, so that syncs begin in the middle of outcomes. */
struct chain {
  struct fixture* f;
  unsigned left;
};

static void write_next(struct tracked_op* op) {
  struct chain* chain = op->data;
  if (chain->left-- > 0) {
    uvdio_buf_t page = filled(PAGE, chain->left);
    t_write_flags(op_then(&chain->f->tracker, write_next, chain), &chain->f->file, &page,
                  (uint64_t)chain->left * PAGE, methods[chain->left % COUNT_OF(methods)]);
  } else {
    chain->left = 0;
  }
}

static void callbacks_may_go_on_with_them(void** state) {
  struct fixture* f = *state;
  struct chain chain = {f, 40};
  for (unsigned i = 0; i < 3; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    t_write_flags(op_then(&f->tracker, write_next, &chain), &f->file, &page,
                  (uint64_t)(50 + i) * PAGE, BY_SYNC);
  }
  run(f);
  assert_int_equal(chain.left, 0);
  for (unsigned i = 0; i < 40; i++) {
    assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, i);
  }
}

/*
 * The choice.
 */

static void write_trials(struct fixture* f, unsigned count, unsigned flags) {
  for (unsigned done = 0; done < count; done += AT_A_TIME) {
    for (unsigned i = 0; i < AT_A_TIME; i++) {
      write_so(f, i, flags);
    }
    run(f);
  }
}

static int is_chosen(const uvdio_file_info_t* info) {
  return info->durable_method == UVDIO_DURABLE_BY_DSYNC ||
         info->durable_method == UVDIO_DURABLE_BY_SYNC;
}

/* A file on a device whose writes can be durable by themselves. */
static void need_a_choice(const struct fixture* f) {
  if (info_of(&f->file).durable_method != UVDIO_DURABLE_UNDECIDED) {
    NEEDS("durable writes");
    assert_true(on_memory());
    SKIP("the memory backend has no devices");
  }
}

static void better_method_is_measured_once_per_device(void** state) {
  struct fixture* f = *state;
  need_a_choice(f);
  write_trials(f, TRIALS - AT_A_TIME, UVDIO_WRITE_DURABLE);
  assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_UNDECIDED);
  write_trials(f, AT_A_TIME, UVDIO_WRITE_DURABLE);
  uvdio_file_info_t info = info_of(&f->file);
  assert_true(is_chosen(&info));
  assert_true(info.durable_dsync_ns > 0 && info.durable_sync_ns > 0);
  assert_int_equal(info.durable_method == UVDIO_DURABLE_BY_SYNC,
                   info.durable_sync_ns < info.durable_dsync_ns - info.durable_dsync_ns / 8);
  write_trials(f, AT_A_TIME, UVDIO_WRITE_DURABLE);

  open_now(f, &f->other, "other", UVDIO_OPEN_RW);
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write =
      t_write_flags(op_new(&f->tracker), &f->other, &page, 0, UVDIO_WRITE_DURABLE);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(info_of(&f->other).durable_method, info.durable_method);
  assert_int_equal(info_of(&f->other).durable_dsync_ns, info.durable_dsync_ns);
}

static void forced_methods_are_not_measured(void** state) {
  struct fixture* f = *state;
  need_a_choice(f);
  write_trials(f, TRIALS, BY_DSYNC);
  write_trials(f, TRIALS, BY_SYNC);
  write_trials(f, TRIALS, 0);
  assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_UNDECIDED);
  assert_int_equal(info_of(&f->file).durable_sync_ns, 0);
}

static void durable_file_needs_no_choice(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_WAL);
  assert_int_equal(info_of(&f->other).durable_method, UVDIO_DURABLE_BY_DSYNC);
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write = t_write_flags(op_new(&f->tracker), &f->other, &page, 0, BY_SYNC);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(info_of(&f->other).durable_method, UVDIO_DURABLE_BY_DSYNC);
}

/*
 * Misuse.
 */

static void odd_flags_are_refused(void** state) {
  static const unsigned odd[] = {UVDIO_WRITE_BY_DSYNC,
                                 UVDIO_WRITE_BY_SYNC,
                                 UVDIO_WRITE_BY_DSYNC | UVDIO_WRITE_BY_SYNC,
                                 UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_DSYNC | UVDIO_WRITE_BY_SYNC,
                                 1u << 31,
                                 UVDIO_WRITE_DURABLE | 1u << 31};
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(odd); i++) {
    uvdio_buf_t page = filled(PAGE, 1);
    for (int blocking = 0; blocking < 2; blocking++) {
      struct tracked_op* op = blocking ? op_now(&f->tracker) : op_new(&f->tracker);
      assert_refused(t_write_flags(op, &f->file, &page, 0, odd[i]), UV_EINVAL);
      assert_refused(t_writev_flags(op, &f->file, &page, 1, 0, odd[i]), UV_EINVAL);
    }
    assert_ok(uvdio_buf_release(&page));
  }
}

static void files_for_reads_refuse_them(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ);
  struct tracked_op* op = op_new(&f->tracker);
  assert_refused(t_write_flags(op, &f->other, &page, 0, BY_SYNC), UV_EBADF);
  assert_refused(t_write_flags(op, &f->file, &page, 1, BY_SYNC), UVDIO_EALIGN);
  assert_refused(t_write_flags(op, &f->file, NULL, 0, BY_SYNC), UV_EINVAL);
  assert_refused(t_writev_flags(op, &f->file, &page, 0, 0, BY_SYNC), UV_EINVAL);
  assert_ok(uvdio_buf_release(&page));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, pages_arrive_by_each_method),
      TEST_ON(fixture_open_at_depth_1, pages_arrive_by_each_method),
      TEST_ON(fixture_open, several_buffers_are_one_durable_write),
      TEST_ON(fixture_open, synchronous_form_is_durable_as_well),
      TEST_ON(fixture_open, synchronous_form_gives_way_to_a_sync),
      TEST_ON(fixture_open, nothing_to_write_is_done_at_once),
      TEST_ON(fixture_open, syncs_truncates_and_closes_come_after_them),
      TEST_ON(fixture_open_at_depth_1, syncs_truncates_and_closes_come_after_them),
      TEST_ON(fixture_open, engine_close_waits_for_them),
      TEST_ON(fixture_open, callbacks_may_go_on_with_them),
      TEST_ON(fixture_open, better_method_is_measured_once_per_device),
      TEST_ON(fixture_open, forced_methods_are_not_measured),
      TEST_ON(fixture_open, durable_file_needs_no_choice),
      TEST_ON(fixture_open, odd_flags_are_refused),
      TEST_ON(fixture_open, files_for_reads_refuse_them),
  };
  return matrix_main("durable_writes", tests, COUNT_OF(tests), argc, argv);
}
