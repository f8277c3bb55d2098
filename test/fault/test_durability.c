/* SPDX-License-Identifier: MIT */
/*
 * The trial by which an engine chooses between the two methods of a durable write, on a clock that
 * the test moves: which times count, which method they lead to, and which files share it.
 */
#include <errno.h>
#include <linux/magic.h>
#include <time.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define BLOCK 16u
#define SAMPLES (2 * BLOCK) /* of each method */
#define TRIALS (2 * SAMPLES)
#define LEAST (SAMPLES / 2) /* of them have to be successes */

int __real_clock_gettime(clockid_t clock, struct timespec* time);
int __wrap_clock_gettime(clockid_t clock, struct timespec* time);

static int64_t now_ns;

int __wrap_clock_gettime(clockid_t clock, struct timespec* time) {
  if (clock != CLOCK_MONOTONIC) {
    return __real_clock_gettime(clock, time);
  }
  time->tv_sec = now_ns / 1000000000;
  time->tv_nsec = now_ns % 1000000000;
  return 0;
}

static void open_on_ext4(struct fixture* f, uvdio_file_t* file, const char* name, unsigned flags) {
  fault_pretend_filesystem(EXT4_SUPER_MAGIC);
  open_now(f, file, name, UVDIO_OPEN_RW | flags);
  faults_reset();
}

static int set_up(void** state) {
  faults_reset();
  now_ns = 1000;
  int failed = fixture_engine(state);
  if (!failed) {
    open_on_ext4(*state, &((struct fixture*)*state)->file, "file", 0);
  }
  return failed;
}

/* Whether the n-th write of a trial is one of the method without a sync. */
static int is_by_dsync(unsigned n) {
  return n / BLOCK == 0 || n / BLOCK == 3;
}

/* One write that takes so long. */
static struct tracked_op* write_for(struct fixture* f, uvdio_file_t* file, int64_t took_ns) {
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* write =
      t_write_flags(op_new(&f->tracker), file, &page, 0, UVDIO_WRITE_DURABLE);
  now_ns += took_ns;
  run(f);
  return write;
}

/* A trial in which writes of each method take their times, those of the first one up and down.
 * Returns what it came to. */
static uvdio_file_info_t try_both(struct fixture* f, int64_t sync_ns) {
  unsigned of_dsync = 0;
  for (unsigned n = 0; n < TRIALS; n++) {
    assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_UNDECIDED);
    unsigned before = fault_calls(CALL_FDATASYNC);
    int64_t dsync_ns = of_dsync % 2 == 0 ? SAMPLES - of_dsync : of_dsync;
    assert_result(write_for(f, &f->file, is_by_dsync(n) ? dsync_ns : sync_ns), PAGE);
    assert_int_equal(fault_calls(CALL_FDATASYNC), before + !is_by_dsync(n));
    of_dsync += (unsigned)is_by_dsync(n);
  }
  return info_of(&f->file);
}

/* Of 32, 1, 30, 3, ... the one in the middle is 17: all from 1 to 32 come once. A sync has to take
 * less than 7/8 of that. */
static void sync_wins_where_it_is_clearly_quicker(void** state) {
  static const struct {
    int64_t sync_ns;
    uvdio_durable_method_t method;
  } cases[] = {
      {14, UVDIO_DURABLE_BY_SYNC}, {15, UVDIO_DURABLE_BY_DSYNC}, {18, UVDIO_DURABLE_BY_DSYNC}};
  struct fixture* f = *state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    uvdio_file_info_t info = try_both(f, cases[i].sync_ns);
    assert_int_equal(info.durable_method, cases[i].method);
    assert_int_equal(info.durable_dsync_ns, 17);
    assert_int_equal(info.durable_sync_ns, cases[i].sync_ns);
    unsigned before = fault_calls(CALL_FDATASYNC);
    assert_result(write_for(f, &f->file, 1000), PAGE);
    assert_int_equal(fault_calls(CALL_FDATASYNC) > before,
                     cases[i].method == UVDIO_DURABLE_BY_SYNC);
    assert_int_equal(info_of(&f->file).durable_dsync_ns, 17);
    end_engine(f);
    start_engine(f, (uvdio_engine_options_t){0});
    open_on_ext4(f, &f->file, "file", 0);
  }
  end_engine(f);
}

/* A trial in which so many writes of the quicker method fail. */
static uvdio_file_info_t try_with_failures(struct fixture* f, int fails_dsync, unsigned failures) {
  unsigned failed = 0;
  for (unsigned n = 0; n < TRIALS; n++) {
    int is_quick = is_by_dsync(n) == fails_dsync;
    int fails = is_quick && failed < failures;
    faults_reset();
    if (fails) {
      fault_fail(CALL_PWRITE, 1, ONCE, EFBIG); /* which latches nothing */
    }
    assert_result(write_for(f, &f->file, is_quick ? 5 : 50), fails ? UV_EFBIG : PAGE);
    failed += (unsigned)fails;
  }
  faults_reset();
  return info_of(&f->file);
}

static void method_of_which_more_than_half_fail_loses(void** state) {
  struct fixture* f = *state;
  need_faults();
  for (int fails_dsync = 0; fails_dsync < 2; fails_dsync++) {
    for (unsigned failures = LEAST; failures <= LEAST + 1; failures++) {
      uvdio_file_info_t info = try_with_failures(f, fails_dsync, failures);
      int is_quick_chosen = failures <= SAMPLES - LEAST;
      assert_int_equal(info.durable_method, is_quick_chosen == fails_dsync ? UVDIO_DURABLE_BY_DSYNC
                                                                           : UVDIO_DURABLE_BY_SYNC);
      assert_int_equal(info.durable_dsync_ns, fails_dsync ? 5 : 50);
      assert_int_equal(info.durable_sync_ns, fails_dsync ? 50 : 5);
      end_engine(f);
      start_engine(f, (uvdio_engine_options_t){0});
      open_on_ext4(f, &f->file, "file", 0);
    }
  }
  end_engine(f);
}

/* Nothing was measured. */
static void trial_of_failures_begins_anew(void** state) {
  struct fixture* f = *state;
  need_faults();
  fault_fail(CALL_PWRITE, 1, FOR_GOOD, EFBIG);
  for (unsigned n = 0; n < TRIALS; n++) {
    assert_result(write_for(f, &f->file, 1), UV_EFBIG);
  }
  faults_reset();
  uvdio_file_info_t info = try_both(f, 3);
  assert_int_equal(info.durable_method, UVDIO_DURABLE_BY_SYNC);
  assert_int_equal(info.durable_sync_ns, 3);
}

/* Files of one device and one kind share what is known; others and those of other engines have
 * trials of their own. */
static void files_alike_share_a_trial(void** state) {
  struct fixture* f = *state;
  assert_int_equal(try_both(f, 3).durable_method, UVDIO_DURABLE_BY_SYNC);
  open_on_ext4(f, &f->other, "other", 0);
  assert_int_equal(info_of(&f->other).durable_method, UVDIO_DURABLE_UNDECIDED);
  assert_result(write_for(f, &f->other, 1), PAGE);
  assert_int_equal(info_of(&f->other).durable_method, UVDIO_DURABLE_BY_SYNC);
  assert_int_equal(info_of(&f->other).durable_sync_ns, 3);
  close_other(f);
  open_on_ext4(f, &f->other, "other", UVDIO_O_BUFFERED);
  assert_result(write_for(f, &f->other, 1), PAGE);
  assert_int_equal(info_of(&f->other).durable_method, UVDIO_DURABLE_UNDECIDED);
  close_other(f);
}

/* The synchronous form takes part in no trial, nor do writes that come before it is decided. */
static void other_writes_go_without_a_sync(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  for (unsigned i = 0; i < TRIALS; i++) {
    assert_result(t_write_flags(op_now(&f->tracker), &f->file, &page, 0, UVDIO_WRITE_DURABLE),
                  PAGE);
  }
  assert_int_equal(fault_calls(CALL_FDATASYNC), 0);
  assert_int_equal(info_of(&f->file).durable_method, UVDIO_DURABLE_UNDECIDED);
  assert_ok(uvdio_buf_release(&page));
  put(f, &f->file, 0, 2 * TRIALS * PAGE, 1); /* Kernel AIO tries in vain to extend the file. */
  for (unsigned i = 0; i < 2 * TRIALS; i++) {
    page = filled(PAGE, 1);
    t_write_flags(op_new(&f->tracker), &f->file, &page, (uint64_t)i * PAGE, UVDIO_WRITE_DURABLE);
  }
  run(f);
  assert_int_equal(fault_durable_writes(), TRIALS + SAMPLES + TRIALS);
  assert_true(info_of(&f->file).durable_method != UVDIO_DURABLE_UNDECIDED);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, sync_wins_where_it_is_clearly_quicker),
      FAULT_TEST_ON(set_up, method_of_which_more_than_half_fail_loses),
      FAULT_TEST_ON(set_up, trial_of_failures_begins_anew),
      FAULT_TEST_ON(set_up, files_alike_share_a_trial),
      FAULT_TEST_ON(set_up, other_writes_go_without_a_sync),
  };
  return matrix_main("durability", tests, COUNT_OF(tests), argc, argv);
}
