/* SPDX-License-Identifier: MIT */
/*
 * The loop's thread makes no system call that may take long: which thread opens and closes,
 * whatever ends a file or an open?
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "registered.h"
#include "workers.h"

static int set_up(void** state) {
  faults_reset();
  workers_begin();
  int failed = fixture_open_bound(state);
  faults_reset();
  return failed;
}

static struct tracked_op* open_other(struct fixture* f, struct tracked_op* op, const char* name,
                                     unsigned flags) {
  t_open(op, f->engine, &f->other, path_of(f, name), flags);
  run(f);
  return op;
}

/*
 * Closes
 */

static void assert_closed_elsewhere(unsigned times) {
  assert_int_equal(fault_calls(CALL_CLOSE), times);
  assert_int_equal(fault_calls_here(CALL_CLOSE), 0);
}

/* What an open has created is removed by its directory, which is opened and closed for that. */
static void assert_undone_elsewhere(void) {
  assert_true(fault_calls(CALL_CLOSE) >= 1);
  assert_int_equal(fault_calls_here(CALL_CLOSE) + fault_calls_here(CALL_OPEN), 0);
}

/* The synchronous form is what shows that calls of this thread are seen. */
static void close_is_a_workers(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  close_other(f);
  assert_int_equal(fault_calls_here(CALL_CLOSE), 1);
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  faults_reset();
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(close, 0);
  assert_closed_elsewhere(1);
}

static void close_behind_a_write_is_a_workers(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  write_page_of(f, &f->other, 0, 1);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_result(close, 0);
  assert_closed_elsewhere(1);
}

/* The eventfd of a ring or of kernel AIO is closed by the thread that has polled it, and takes no
 * time. */
static void files_left_open_are_closed_by_workers(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  faults_reset();
  end_engine(f);
  assert_int_equal(f->closed, 1);
  assert_int_equal(fault_calls(CALL_CLOSE) - fault_calls_here(CALL_CLOSE), 2);
  assert_int_equal(fault_calls_here(CALL_CLOSE), matrix.backend != UVDIO_BACKEND_POOL);
}

/*
 * Opens
 */

static void open_is_a_workers(void** state) {
  struct fixture* f = *state;
  const unsigned flags[] = {UVDIO_OPEN_CREATE, UVDIO_OPEN_RW, UVDIO_OPEN_READ,
                            UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED};
  for (size_t i = 0; i < COUNT_OF(flags); i++) {
    faults_reset();
    assert_result(open_other(f, op_new(&f->tracker), "other", flags[i]), 0);
    assert_true(fault_calls(CALL_OPEN) >= 1);
    assert_int_equal(fault_calls_here(CALL_OPEN), 0);
    assert_true(fault_calls(CALL_FSTATFS) >= 1);
    assert_int_equal(fault_calls_here(CALL_FSTATFS) + fault_calls_here(CALL_FTRUNCATE), 0);
    close_other(f);
  }
}

static void open_that_fails_half_way_is_closed_by_a_worker(void** state) {
  struct fixture* f = *state;
  const enum fault_call fatal[] = {CALL_STATX, CALL_FTRUNCATE};
  size_t before = open_descriptors();
  need_faults();
  for (size_t i = 0; i < COUNT_OF(fatal); i++) {
    faults_reset();
    fault_fail(fatal[i], 1, ONCE, EIO);
    assert_result(open_other(f, op_new(&f->tracker), "other", UVDIO_OPEN_CREATE), UV_EIO);
    assert_int_equal(fault_hits(fatal[i]), 1);
    assert_undone_elsewhere();
    assert_int_equal(open_descriptors(), before);
  }
}

/* What it is shows when it is open, also where the open can't have created it. */
static void what_is_no_file_is_closed_by_a_worker(void** state) {
  struct fixture* f = *state;
  const unsigned flags[] = {UVDIO_OPEN_RW, UVDIO_OPEN_READ};
  size_t before = open_descriptors();
  assert_int_equal(mkfifo(path_of(f, "fifo"), 0600), 0);
  for (size_t i = 0; i < COUNT_OF(flags); i++) {
    faults_reset();
    assert_result(open_other(f, op_new(&f->tracker), "fifo", flags[i] | UVDIO_O_DIRECT_PREFERRED),
                  UV_ESPIPE);
    assert_true(fault_calls(CALL_CLOSE) >= 1);
    assert_int_equal(fault_calls_here(CALL_CLOSE), 0);
    assert_int_equal(open_descriptors(), before);
  }
}

/* A cancellation that comes too late does not take the close from its worker. */
static void cancelled_open_that_fails_is_closed_by_a_worker(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  fault_hold(CALL_FTRUNCATE, 1);
  fault_fail(CALL_FTRUNCATE, 1, ONCE, EIO);
  struct tracked_op* open =
      t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE);
  while (fault_calls(CALL_FTRUNCATE) == 0) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  fault_await(CALL_FTRUNCATE);
  assert_ok(t_cancel(open));
  fault_release(CALL_FTRUNCATE);
  run(f);
  assert_result(open, UV_EIO);
  assert_undone_elsewhere();
  assert_int_equal(open_descriptors(), before);
}

/*
 * Much at once. Of a ring's entries, those without IOSQE_ASYNC are performed by the thread that
 * submits them.
 */

static struct tracked_op* read_into(struct fixture* f, uvdio_buf_t buf) {
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(read, read->back.cap);
  return read;
}

static void assert_here(enum fault_call call, unsigned times) {
  assert_int_equal(fault_calls(call), 1);
  assert_int_equal(fault_calls_here(call), times);
}

static void large_transfer_of_plain_memory_is_a_workers(void** state) {
  struct fixture* f = *state;
  const size_t sizes[] = {MIB, MIB + PAGE, 64 * MIB};
  need_a_ring_file(&f->file);
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    uvdio_buf_t buf = filled(sizes[i], 1);
    faults_reset();
    struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
    run(f);
    assert_result(write, sizes[i]);
    assert_here(CALL_PWRITE, sizes[i] <= MIB);
    assert_ok(uvdio_buf_alloc(&buf, sizes[i], 0));
    struct tracked_op* read = read_into(f, buf);
    assert_here(CALL_PREAD, sizes[i] <= MIB);
    assert_true(is_pattern(read->back.base, sizes[i], 1));
    op_free(write);
    op_free(read);
  }
}

/* Each may be in a page of its own that was never touched. */
static void many_pieces_of_plain_memory_are_a_workers(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t bufs[17];
  need_a_ring_file(&f->file);
  for (unsigned count = 16; count <= 17; count++) {
    for (unsigned i = 0; i < count; i++) {
      bufs[i] = filled(PAGE, i);
    }
    faults_reset();
    struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, count, 0);
    run(f);
    assert_result(write, (int64_t)count * PAGE);
    assert_here(CALL_PWRITE, count == 16);
  }
}

static uvdio_buf_t only_frame(struct fixture* f, size_t cap) {
  uvdio_buf_t frame = {0};
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  frame.cap = cap;
  return frame;
}

static void make_arena_or_skip(struct fixture* f, size_t frame_size) {
  need_a_ring_file(&f->file);
  fixture_arena(f, frame_size, 1);
  if (registration_of(f).error == UV_ENOTSUP) {
    SKIP("rings register no memory piece by piece here (Linux 5.19)");
  }
}

/* What is pinned already takes little time, and more may go at once. */
static void large_transfer_of_registered_memory_is_a_workers(void** state) {
  struct fixture* f = *state;
  const size_t most = 16 * MIB;
  make_arena_or_skip(f, most + PAGE);
  put(f, &f->file, 0, most + PAGE, 1);
  if (uvdio_arena_register(f->engine, f->arena) != 0) {
    SKIP("the limit on locked memory is too low for 16 MiB");
  }
  for (size_t cap = most; cap <= most + PAGE; cap += PAGE) {
    uint64_t fixed = stats_of(f).fixed;
    faults_reset();
    struct tracked_op* read = read_into(f, only_frame(f, cap));
    assert_here(CALL_PREAD, cap == most);
    assert_int_equal(stats_of(f).fixed, fixed + 1);
    op_free(read);
  }
}

/* A submitting call pins no more by itself than it takes little time for. The user's word pins the
 * rest. */
static void large_frame_is_not_registered_by_itself(void** state) {
  struct fixture* f = *state;
  make_arena_or_skip(f, 8 * MIB + PAGE);
  put(f, &f->file, 0, PAGE, 1);
  op_free(read_into(f, only_frame(f, PAGE)));
  assert_int_equal(registration_of(f).bytes, 0);
  assert_code(registration_of(f).error, UV_ENOTSUP);
  assert_non_null(strstr(registration_of(f).reason, "uvdio_arena_register()"));
  assert_int_equal(stats_of(f).registrations_refused, 0);
  if (uvdio_arena_register(f->engine, f->arena) != 0) {
    SKIP("the limit on locked memory is too low for 8 MiB");
  }
  assert_int_equal(registration_of(f).bytes, registration_of(f).size);
  assert_ok(registration_of(f).error);
}

static void frame_of_8_mib_is_registered_by_itself(void** state) {
  struct fixture* f = *state;
  make_arena_or_skip(f, 8 * MIB);
  put(f, &f->file, 0, PAGE, 1);
  op_free(read_into(f, only_frame(f, PAGE)));
  if (registration_of(f).error == UV_ENOMEM) {
    SKIP("the limit on locked memory is too low for 8 MiB");
  }
  assert_int_equal(registration_of(f).bytes, 8 * MIB);
}

/*
 * How long it was
 */

#define HOLD_NS UINT64_C(20000000)

struct holder {
  uv_thread_t thread;
  enum fault_call call;
  uint64_t least_ns;
  uint64_t held_ns;
};

/* Whoever makes the call waits for at least as long as this measures. */
static void hold_for_a_while(void* argument) {
  struct holder* holder = argument;
  fault_await(holder->call);
  uint64_t began_ns = uv_hrtime();
  do {
    holder->held_ns = uv_hrtime() - began_ns;
  } while (holder->held_ns < holder->least_ns);
  fault_release(holder->call);
}

static void begin_to_hold_the(struct holder* holder, enum fault_call call, unsigned nth,
                              uint64_t least_ns) {
  holder->call = call;
  holder->least_ns = least_ns;
  fault_hold(call, nth);
  assert_int_equal(uv_thread_create(&holder->thread, hold_for_a_while, holder), 0);
}

static void begin_to_hold(struct holder* holder, enum fault_call call) {
  begin_to_hold_the(holder, call, 1, HOLD_NS);
}

/* Longer than any call before. */
static void begin_to_hold_longest(struct fixture* f, struct holder* holder, enum fault_call call,
                                  unsigned nth) {
  watch_for_hang("a call that does not come");
  begin_to_hold_the(holder, call, nth, stats_of(f).longest_call_ns + HOLD_NS);
}

static void assert_timed(struct fixture* f, struct holder* holder) {
  assert_int_equal(uv_thread_join(&holder->thread), 0);
  watch_for_hang(NULL);
  assert_true(stats_of(f).longest_call_ns >= holder->held_ns);
}

static void longest_call_is_counted(void** state) {
  struct fixture* f = *state;
  struct holder holder;
  need_a_ring_file(&f->file);
  put(f, &f->file, 0, PAGE, 1);
  begin_to_hold(&holder, CALL_SUBMIT);
  op_free(read_into(f, blank(PAGE)));
  assert_int_equal(uv_thread_join(&holder.thread), 0);
  uint64_t longest = stats_of(f).longest_call_ns;
  assert_true(longest >= holder.held_ns);
  op_free(read_into(f, blank(PAGE)));
  assert_true(stats_of(f).longest_call_ns >= longest);
}

/* What a worker waits for is not the loop's. */
static void call_of_a_worker_does_not_count(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  struct holder holder;
  begin_to_hold(&holder, CALL_CLOSE);
  uint64_t began_ns = uv_hrtime();
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->other);
  run(f);
  uint64_t took_ns = uv_hrtime() - began_ns;
  assert_int_equal(uv_thread_join(&holder.thread), 0);
  assert_result(close, 0);
  assert_true(took_ns >= holder.held_ns);
  /* a ring's own calls may have waited for a processor as long */
  if (matrix.backend == UVDIO_BACKEND_POOL) {
    assert_int_equal(stats_of(f).longest_call_ns, 0);
  }
}

/* No worker takes it, and the file must not stay open. */
static void close_that_is_left_to_the_loop_counts(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "other", UVDIO_OPEN_CREATE);
  struct holder holder;
  faults_reset();
  begin_to_hold(&holder, CALL_CLOSE);
  fault_fail(CALL_QUEUE_WORK, 1, ONCE, ENOMEM);
  struct tracked_op* close = t_close(op_new(&f->tracker), &f->other);
  run(f);
  assert_int_equal(uv_thread_join(&holder.thread), 0);
  assert_result(close, 0);
  assert_int_equal(fault_calls_here(CALL_CLOSE), 1);
  assert_true(stats_of(f).longest_call_ns >= holder.held_ns);
}

/* The ring is enabled, and the file gets its place in the table of files. */
static void calls_of_a_first_transfer_count(void** state) {
  struct fixture* f = *state;
  struct holder holder;
  need_a_ring_file(&f->file);
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned nth = 0, calls = 0; nth <= calls; nth++) {
    end_engine(f);
    start_engine(f, (uvdio_engine_options_t){0});
    open_now(f, &f->file, "file", UVDIO_OPEN_RW);
    faults_reset();
    if (nth > 0) {
      begin_to_hold_longest(f, &holder, CALL_REGISTER, nth);
    }
    op_free(read_into(f, blank(PAGE)));
    calls = fault_calls(CALL_REGISTER);
    if (nth > 0) {
      assert_timed(f, &holder);
    }
  }
  end_engine(f);
}

/* The table of memory, and the memory; and when the arena is gone, its places. */
static void calls_that_register_memory_count(void** state) {
  struct fixture* f = *state;
  struct holder holder;
  make_arena_or_skip(f, 2 * MIB);
  put(f, &f->file, 0, PAGE, 1);
  op_free(read_into(f, blank(PAGE)));
  for (unsigned nth = 1; nth <= 2; nth++) {
    assert_ok(uvdio_engine_rebind(f->engine));
    op_free(read_into(f, blank(PAGE)));
    begin_to_hold_longest(f, &holder, CALL_REGISTER, nth);
    op_free(read_into(f, only_frame(f, PAGE)));
    assert_timed(f, &holder);
  }
  begin_to_hold_longest(f, &holder, CALL_REGISTER, 1);
  assert_ok(uvdio_arena_destroy(f->arena, NULL));
  f->arena = NULL;
  run_once(f);
  assert_timed(f, &holder);
}

static void call_for_completions_counts(void** state) {
  struct fixture* f = *state;
  struct holder holder;
  need_a_ring_file(&f->file);
  put(f, &f->file, 0, PAGE, 1);
  struct tracked_op* read = read_that_ends_later(f);
  run(f);
  assert_result(read, PAGE);
  if (fault_calls(CALL_GET_EVENTS) == 0) {
    SKIP("this kernel posts completions without being asked");
  }
  begin_to_hold_longest(f, &holder, CALL_GET_EVENTS, 1);
  read = read_that_ends_later(f);
  run(f);
  assert_result(read, PAGE);
  assert_timed(f, &holder);
}

/* Between two steps of an open; and the end of a ring that is replaced. */
static void calls_between_requests_count(void** state) {
  struct fixture* f = *state;
  struct holder holder;
  need_a_ring_file(&f->file);
  put(f, &f->file, 0, PAGE, 1);
  op_free(read_into(f, blank(PAGE)));
  begin_to_hold_longest(f, &holder, CALL_FCNTL, 1);
  assert_result(open_other(f, op_new(&f->tracker), "other", UVDIO_OPEN_RW), 0);
  assert_timed(f, &holder);
  begin_to_hold_longest(f, &holder, CALL_REGISTER, 1);
  assert_ok(uvdio_engine_rebind(f->engine));
  assert_timed(f, &holder);
}

/* No worker takes what is left of it, and the descriptor must not stay open. */
static void close_of_an_open_that_is_left_to_the_loop_counts(void** state) {
  struct fixture* f = *state;
  struct holder holder;
  need_a_ring_file(&f->file);
  fault_fail(CALL_QUEUE_WORK, 1, ONCE, ENOMEM);
  begin_to_hold_longest(f, &holder, CALL_CLOSE, 1);
  struct tracked_op* open = open_other(f, op_new(&f->tracker), "file", UVDIO_OPEN_READ);
  assert_result(open, UVDIO_EPOOL);
  assert_int_equal(fault_calls_here(CALL_CLOSE), 1);
  assert_timed(f, &holder);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, close_is_a_workers),
      FAULT_TEST_ON(set_up, close_behind_a_write_is_a_workers),
      FAULT_TEST_ON(set_up, files_left_open_are_closed_by_workers),
      FAULT_TEST_ON(set_up, open_is_a_workers),
      FAULT_TEST_ON(set_up, open_that_fails_half_way_is_closed_by_a_worker),
      FAULT_TEST_ON(set_up, what_is_no_file_is_closed_by_a_worker),
      FAULT_TEST_ON(set_up, cancelled_open_that_fails_is_closed_by_a_worker),
      FAULT_TEST_ON(set_up, large_transfer_of_plain_memory_is_a_workers),
      FAULT_TEST_ON(set_up, many_pieces_of_plain_memory_are_a_workers),
      FAULT_TEST_ON(set_up, large_transfer_of_registered_memory_is_a_workers),
      FAULT_TEST_ON(set_up, large_frame_is_not_registered_by_itself),
      FAULT_TEST_ON(set_up, frame_of_8_mib_is_registered_by_itself),
      FAULT_TEST_ON(set_up, longest_call_is_counted),
      FAULT_TEST_ON(set_up, call_of_a_worker_does_not_count),
      FAULT_TEST_ON(set_up, close_that_is_left_to_the_loop_counts),
      FAULT_TEST_ON(set_up, calls_of_a_first_transfer_count),
      FAULT_TEST_ON(set_up, calls_that_register_memory_count),
      FAULT_TEST_ON(set_up, call_for_completions_counts),
      FAULT_TEST_ON(set_up, calls_between_requests_count),
      FAULT_TEST_ON(set_up, close_of_an_open_that_is_left_to_the_loop_counts),
  };
  return matrix_main("loop_thread", tests, COUNT_OF(tests), argc, argv);
}
