/* SPDX-License-Identifier: MIT */
/*
 * Disks that fail, by device-mapper: transfers that end in EIO, writes that are forgotten, a device
 * that comes and goes, one that is slow. Whatever it does: one callback each, with what the device
 * said; a failed sync is remembered; and what was called written and was synced is there.
 */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "mapper.h"
#include "ops.h"

#define DEVICE (32 * MIB)
#define MANY 32u

static struct mapper mapper;

/* The kernel keeps the device for as long as the file is open. */
static int tear_down(void** state) {
  if (mapper.size != 0) {
    mapper_remove(&mapper);
  }
  return fixture_tear_down(state);
}

/* The device itself, without a filesystem that has a mind of its own. */
static void open_device(struct fixture* f, unsigned more) {
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, mapper.path, UVDIO_O_RDWR | more),
                0);
}

static void open_file(struct fixture* f) {
  char path[sizeof(mapper.dir) + 16];
  snprintf(path, sizeof(path), "%s/file", mapper.dir);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, path, UVDIO_OPEN_RW), 0);
}

static void make_device(struct fixture* f, unsigned flags) {
  char why[FILESYSTEM_WHY_MAX] = "";
  if (mapper_make(&mapper, DEVICE, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  open_device(f, flags);
}

static void make_filesystem(struct fixture* f, const char* kind, uint64_t size) {
  char why[FILESYSTEM_WHY_MAX] = "";
  if (mapper_make(&mapper, size, why) != 0 || mapper_mount(&mapper, kind, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  open_file(f);
}

static void break_second_half(void) {
  char why[FILESYSTEM_WHY_MAX] = "";
  if (mapper_switch_half(&mapper, "error", why) != 0) {
    fail_msg("error: %s", why);
  }
}

static void become(const char* target) {
  char why[FILESYSTEM_WHY_MAX] = "";
  if (mapper_switch(&mapper, target, why) != 0) {
    fail_msg("%s: %s", target, why);
  }
}

static void reopen_device(struct fixture* f) {
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  open_device(f, 0);
}

/*
 * dm-error.
 */

static void transfers_on_a_broken_half_fail_and_the_others_do_not(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[MANY];
  struct tracked_op* writes[MANY];
  make_device(f, 0);
  put(f, &f->file, 0, MANY * PAGE, 1);
  break_second_half();
  for (unsigned i = 0; i < MANY; i++) {
    uint64_t half = i % 2 ? DEVICE / 2 / PAGE : 0;
    reads[i] = read_page_of(f, &f->file, half + i);
    writes[i] = write_page_of(f, &f->file, half + MANY + i, i);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(reads[i], i % 2 ? UV_EIO : PAGE);
    assert_result(writes[i], i % 2 ? UV_EIO : PAGE);
    assert_int_equal(reads[i]->req.transferred, i % 2 ? 0 : PAGE);
    assert_int_equal(writes[i]->req.transferred, i % 2 ? 0 : PAGE);
    assert_true(is_pattern(writes[i]->back.base, PAGE, i));
  }
  assert_code(info_of(&f->file).latch_error, 0);
}

/* How far it came is told; what is told to have arrived has. */
static void transfer_into_the_broken_half_tells_how_far_it_came(void** state) {
  struct fixture* f = *state;
  uint64_t offset = DEVICE / 2 - 4 * PAGE;
  make_device(f, 0);
  put(f, &f->file, offset, 8 * PAGE, 1);
  break_second_half();
  uvdio_buf_t in = blank(8 * PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &in, offset);
  run(f);
  uvdio_buf_t out = filled(8 * PAGE, 2);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &out, offset);
  run(f);
  assert_result(read, UV_EIO);
  assert_in_range(read->req.transferred, 0, 4 * PAGE);
  assert_int_equal(read->back.len, read->req.transferred);
  assert_true(is_pattern(read->back.base, read->back.len, 1));
  assert_result(write, UV_EIO);
  assert_in_range(write->req.transferred, 0, 4 * PAGE);
  if (write->req.transferred > 0) {
    assert_holds(f, &f->file, offset, write->req.transferred, 2);
  }
}

/* The filesystem has to write its journal for a sync, and can't. */
static void filesystem_on_a_broken_disk(struct fixture* f) {
  struct tracked_op* ops[7];
  put(f, &f->file, 0, MANY * PAGE, 1);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
  become("error");
  ops[0] = read_page(f, 1);
  ops[1] = write_page_of(f, &f->file, 2, 2);
  ops[2] = write_page_of(f, &f->file, MANY + 2, 2);
  ops[3] = t_truncate(op_new(&f->tracker), &f->file, 2 * (uint64_t)MANY * PAGE);
  ops[4] = t_preallocate(op_new(&f->tracker), &f->file, 4 * (uint64_t)MANY * PAGE);
  ops[5] = t_sync_data(op_new(&f->tracker), &f->file);
  ops[6] = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  for (unsigned i = 0; i < COUNT_OF(ops); i++) {
    assert_int_equal(ops[i]->done, 1);
  }
  assert_result(ops[0], UV_EIO);
  assert_true(ops[1]->result < 0);
  assert_true(ops[5]->result < 0);
  assert_result(ops[6], ops[5]->result);
  assert_code(info_of(&f->file).latch_error, ops[5]->result);
}

static void everything_ends_on_ext4_over_a_broken_disk(void** state) {
  struct fixture* f = *state;
  make_filesystem(f, "ext4", DEVICE);
  filesystem_on_a_broken_disk(f);
}

static void everything_ends_on_xfs_over_a_broken_disk(void** state) {
  struct fixture* f = *state;
  make_filesystem(f, "xfs", 400 * MIB);
  filesystem_on_a_broken_disk(f);
}

/*
 * dm-flakey.
 */

static void failed_sync_latches_although_the_disk_recovers(void** state) {
  struct fixture* f = *state;
  make_device(f, 0);
  put(f, &f->file, 0, PAGE, 1);
  become("flakey %s 0 0 1 1 error_writes");
  struct tracked_op* write = write_page_of(f, &f->file, 0, 2);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(write, UV_EIO);
  assert_result(sync, UV_EIO);
  become("linear %s 0");
  uvdio_buf_t page = filled(PAGE, 3);
  assert_refused(t_write(op_new(&f->tracker), &f->file, &page, 0), UV_EIO);
  assert_refused(t_sync_data(op_new(&f->tracker), &f->file), UV_EIO);
  assert_ok(uvdio_buf_release(&page));
  assert_holds(f, &f->file, 0, PAGE, 1);
  reopen_device(f);
  put(f, &f->file, 0, PAGE, 4);
  assert_result(t_sync_data(op_now(&f->tracker), &f->file), 0);
  assert_holds(f, &f->file, 0, PAGE, 4);
}

static void failed_durable_write_latches(void** state) {
  struct fixture* f = *state;
  make_device(f, UVDIO_O_DSYNC);
  become("flakey %s 0 0 1 1 error_writes");
  struct tracked_op* write = write_page_of(f, &f->file, 0, 1);
  run(f);
  assert_result(write, UV_EIO);
  assert_code(info_of(&f->file).latch_error, UV_EIO);
}

/* Reads ask the disk, and no cache of what was written. */
static void write_that_the_disk_forgot_is_not_read_back(void** state) {
  struct fixture* f = *state;
  make_device(f, 0);
  put(f, &f->file, 0, PAGE, 1);
  become("flakey %s 0 0 1 1 drop_writes");
  struct tracked_op* write = write_page_of(f, &f->file, 0, 2);
  struct tracked_op* sync = t_sync_all(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(write, PAGE);
  assert_result(sync, 0);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

/*
 * A device that works for a second and fails for one, until it has done both a few times.
 */

static struct {
  unsigned content[MANY]; /* the seed that a page holds if `known` */
  int known[MANY];        /* the last write succeeded */
  unsigned changes;       /* from working to failing and back */
  int working;
} weather;

static void note_weather(int works) {
  weather.changes += works != weather.working;
  weather.working = works;
}

static void write_all(struct fixture* f, unsigned seed) {
  struct tracked_op* writes[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page_of(f, &f->file, i, seed + i);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_true(writes[i]->result == PAGE || writes[i]->result == UV_EIO);
    weather.known[i] = writes[i]->result == PAGE;
    weather.content[i] = seed + i;
    note_weather(weather.known[i]);
    op_free(writes[i]);
  }
}

static void sync_or_reopen(struct fixture* f) {
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_true(sync->result == 0 || sync->result == UV_EIO);
  assert_code(info_of(&f->file).latch_error, sync->result);
  if (sync->result != 0) {
    reopen_device(f);
  }
}

static void writes_that_succeeded_are_there_afterwards(void** state) {
  struct fixture* f = *state;
  memset(&weather, 0, sizeof(weather));
  weather.working = 1;
  make_device(f, 0);
  become("flakey %s 0 1 1");
  watch_for_hang("a device that comes and goes");
  for (unsigned round = 1; weather.changes < 4; round++) {
    write_all(f, round * MANY);
    sync_or_reopen(f);
  }
  watch_for_hang(NULL);
  become("linear %s 0");
  for (unsigned i = 0; i < MANY; i++) {
    if (weather.known[i]) {
      assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, weather.content[i]);
    }
  }
}

/*
 * dm-delay.
 */

static void count_turn(uv_timer_t* timer) {
  unsigned* turns = timer->data;
  if (++*turns == 3) {
    uv_close((uv_handle_t*)timer, NULL);
  }
}

static void loop_turns_while_the_disk_takes_its_time(void** state) {
  struct fixture* f = *state;
  uv_timer_t timer;
  unsigned turns = 0;
  make_device(f, 0);
  become("delay %s 0 300");
  assert_int_equal(uv_timer_init(&f->loop, &timer), 0);
  timer.data = &turns;
  assert_int_equal(uv_timer_start(&timer, count_turn, 1, 1), 0);
  struct tracked_op* read = read_page(f, 0);
  while (turns < 3) {
    assert_int_equal(read->done, 0);
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  run(f);
  assert_result(read, PAGE);
}

static void sync_waits_for_slow_writes(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  make_device(f, 0);
  become("delay %s 0 20");
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page_of(f, &f->file, i, i);
  }
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  run(f);
  assert_result(sync, 0);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
    assert_true(writes[i]->order < sync->order);
  }
}

/* In the kernel's hands, a write ends as it ends; those that had not started may be called off. */
static void cancelled_slow_writes_end_once(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  make_device(f, 0);
  become("delay %s 0 20");
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page_of(f, &f->file, i, i);
  }
  uv_run(&f->loop, UV_RUN_NOWAIT);
  for (unsigned i = 0; i < MANY; i++) {
    t_cancel(writes[i]);
  }
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_int_equal(writes[i]->done, 1);
    assert_true(writes[i]->result == PAGE || writes[i]->result == UV_ECANCELED);
    assert_true(is_pattern(writes[i]->back.base, PAGE, i));
    if (writes[i]->result == PAGE) {
      assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, i);
    }
  }
}

static void closing_waits_for_slow_writes(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  make_device(f, 0);
  become("delay %s 0 20");
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page_of(f, &f->file, i, i);
  }
  end_engine(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
  }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_engine, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(transfers_on_a_broken_half_fail_and_the_others_do_not),
      TEST(transfer_into_the_broken_half_tells_how_far_it_came),
      TEST(everything_ends_on_ext4_over_a_broken_disk),
      TEST(everything_ends_on_xfs_over_a_broken_disk),
      TEST(failed_sync_latches_although_the_disk_recovers),
      TEST(failed_durable_write_latches),
      TEST(write_that_the_disk_forgot_is_not_read_back),
      TEST(writes_that_succeeded_are_there_afterwards),
      TEST(loop_turns_while_the_disk_takes_its_time),
      TEST(sync_waits_for_slow_writes),
      TEST(cancelled_slow_writes_end_once),
      TEST(closing_waits_for_slow_writes),
  };
  return matrix_main("failing_disks", tests, COUNT_OF(tests), argc, argv);
}
