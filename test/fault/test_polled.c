/* SPDX-License-Identifier: MIT */
/*
 * Polled completions: which requests go to the polled ring, what becomes of those that the kernel
 * refuses there, and of an engine whose polled ring can't be had or is lost. Nothing of that is
 * silent. Where the device has no queues for polled requests (lib/polling.h), writes take the
 * polled ring all the same.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define WRITES 8
#define MANY 200
#define DEPTH 4
#define FAR_MS 1000000
#define TRIES 1000

static int set_up(void** state) {
  faults_reset();
  return fixture_open(state);
}

static int at_depth(void** state) {
  faults_reset();
  return fixture_open_at_depth(state, DEPTH);
}

static int with_a_loop(void** state) {
  faults_reset();
  return fixture_loop(state);
}

static int is_said(const char* text, const char* part) {
  return strstr(text, part) != NULL;
}

static const char* reason_of(const struct fixture* f) {
  return uvdio_engine_backend_reason(f->engine);
}

static void write_and_check(struct fixture* f, unsigned page) {
  struct tracked_op* write = write_page(f, page);
  run(f);
  assert_result(write, PAGE);
  assert_holds(f, &f->file, (uint64_t)page * PAGE, PAGE, page);
}

/* Whether what is written now takes the polled ring. */
static int polls(struct fixture* f) {
  uint64_t before = stats_of(f).polled;
  write_and_check(f, 1);
  return stats_of(f).polled > before;
}

static void assert_unpolled(struct fixture* f, const char* why) {
  assert_int_equal(info_of(&f->file).is_polled, 0);
  assert_true(is_said(info_of(&f->file).polled_reason, why));
  assert_int_equal(polls(f), 0);
  assert_string_equal(uvdio_engine_backend(f->engine), "ring");
  assert_string_equal(info_of(&f->file).backend, "ring");
  assert_int_equal(stats_of(f).punted, 0);
}

/*
 * What is polled
 */

static void file_and_engine_say_so(void** state) {
  struct fixture* f = *state;
  assert_int_equal(info_of(&f->file).is_polled, 1);
  assert_string_equal(info_of(&f->file).polled_reason, "");
  assert_true(is_said(reason_of(f), "with polled completions"));
  assert_int_equal(polls(f), 1);
  assert_int_equal(stats_of(f).polled, 1);
  assert_int_equal(stats_of(f).unpolled, 0);
}

static void nothing_is_polled_unasked(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = {.backend = matrix.backend};
  assert_ok(uvdio_engine_create(&f->engine, &f->loop, &options));
  uvdio_engine_set_data(f->engine, f);
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  assert_int_equal(info_of(&f->file).is_polled, 0);
  assert_string_equal(info_of(&f->file).polled_reason, "");
  assert_int_equal(is_said(reason_of(f), "polled"), 0);
  assert_int_equal(polls(f), 0);
}

static void other_backends_say_why_not(void** state) {
  static const uvdio_backend_t others[] = {UVDIO_BACKEND_AIO, UVDIO_BACKEND_POOL,
                                           UVDIO_BACKEND_MEMORY};
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(others); i++) {
    uvdio_engine_options_t options = {.backend = others[i], .flags = UVDIO_ENGINE_POLLED};
    uvdio_engine_t* engine;
    if (uvdio_backend_probe(others[i], NULL, 0) == 0) {
      assert_ok(uvdio_engine_create(&engine, &f->loop, &options));
      assert_true(is_said(uvdio_engine_backend_reason(engine), "only io_uring has them"));
      assert_ok(uvdio_engine_close(engine, NULL));
      assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    }
  }
}

static void buffered_file_is_not_polled(void** state) {
  struct fixture* f = *state;
  open_now(f, &f->other, "file", UVDIO_OPEN_RW | UVDIO_O_BUFFERED);
  assert_int_equal(info_of(&f->other).is_polled, 0);
  assert_true(is_said(info_of(&f->other).polled_reason, "direct I/O"));
}

static uint64_t polled_by_write(struct fixture* f, size_t size) {
  uint64_t before = stats_of(f).polled;
  uvdio_buf_t buf = filled(size, 1);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(write, (int64_t)size);
  return stats_of(f).polled - before;
}

static uint64_t polled_by_vector(struct fixture* f, unsigned count) {
  static _Alignas(UVDIO_ALIGNMENT) char bytes[17 * PAGE];
  uint64_t before = stats_of(f).polled;
  uvdio_buf_t bufs[17];
  for (unsigned i = 0; i < count; i++) {
    bufs[i] = uvdio_buf_wrap(bytes + (size_t)i * PAGE, PAGE);
    bufs[i].len = PAGE;
  }
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, count, 0);
  run(f);
  assert_result(write, (int64_t)count * PAGE);
  return stats_of(f).polled - before;
}

static void what_is_large_takes_the_ordinary_ring(void** state) {
  struct fixture* f = *state;
  assert_int_equal(polled_by_write(f, MIB), 1);
  assert_int_equal(polled_by_write(f, MIB + PAGE), 0);
  assert_int_equal(polled_by_vector(f, 16), 1);
  assert_int_equal(polled_by_vector(f, 17), 0);
  assert_int_equal(stats_of(f).punted, 0);
  assert_int_equal(stats_of(f).unpolled, 0);
}

static void not_due(uv_timer_t* timer) {
  (void)timer;
}

/* The eventfd tells of nothing there. */
static void loop_does_not_sleep_meanwhile(void** state) {
  struct fixture* f = *state;
  uv_timer_t timer;
  assert_ok(uv_timer_init(&f->loop, &timer));
  assert_ok(uv_timer_start(&timer, not_due, FAR_MS, 0));
  for (unsigned i = 0; i < WRITES; i++) {
    struct tracked_op* write = write_page(f, i);
    assert_int_equal(uv_backend_timeout(&f->loop), 0);
    while (write->done == 0) {
      uv_run(&f->loop, UV_RUN_NOWAIT);
      assert_true(write->done == 1 || uv_backend_timeout(&f->loop) == 0);
    }
    assert_result(write, PAGE);
  }
  run_until_it_sleeps(f);
  assert_true(uv_backend_timeout(&f->loop) > 0);
  uv_close((uv_handle_t*)&timer, NULL);
  run(f);
}

/* What the kernel has when the loop comes to another thread, that one asks for. */
static void run_there(void* data) {
  struct fixture* f = data;
  f->tracker.thread = uv_thread_self();
  while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
  }
}

static void any_thread_asks_for_what_is_in_flight(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  uv_thread_t thread;
  write_and_check(f, 0); /* The engine is bound from here on. */
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  watch_for_hang("what another thread has left");
  assert_int_equal(uv_thread_create(&thread, run_there, f), 0);
  uv_thread_join(&thread);
  watch_for_hang(NULL);
  f->tracker.thread = uv_thread_self();
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
  }
  assert_ok(uvdio_engine_rebind(f->engine));
  assert_int_equal(polls(f), 1);
}

/* The kernel has it wait for all direct I/O of the file. */
static void synchronous_form_waits_for_what_is_polled(void** state) {
  struct fixture* f = *state;
  struct tracked_op* writes[MANY];
  put(f, &f->file, 0, MIB, 1);
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  watch_for_hang("a hole beside polled writes");
  int code = t_punch_hole(op_now(&f->tracker), &f->file, (MANY + 1) * PAGE, PAGE)->code;
  watch_for_hang(NULL);
  run(f);
  assert_true(code == 0 || code == UV_ENOTSUP);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], PAGE);
  }
}

/*
 * The kernel refuses to poll
 */

static void skip_without_faults(void) {
  if (!faults_reach_the_ring()) {
    SKIP("entries of a ring can't be made to fail here (Linux 6.10)");
  }
}

static void refused_read_takes_the_ordinary_ring(void** state) {
  struct fixture* f = *state;
  skip_without_faults();
  put(f, &f->file, 0, PAGE, 1);
  fault_fail(CALL_PREAD, 1, ONCE, EOPNOTSUPP);
  struct tracked_op* read = read_page(f, 0);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, 1));
  assert_int_equal(fault_hits(CALL_PREAD), 1);
  assert_int_equal(stats_of(f).unpolled, 1);
  assert_unpolled(f, "EOPNOTSUPP");
}

/* Of several writes at a time so many are tried, and refused; all end well. */
static void write_refused(struct fixture* f, unsigned tried) {
  struct tracked_op* writes[WRITES];
  skip_without_faults();
  fault_fail(CALL_PWRITE, 1, tried, EOPNOTSUPP);
  for (unsigned i = 0; i < WRITES; i++) {
    writes[i] = write_page(f, i);
  }
  run(f);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_result(writes[i], PAGE);
    assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, i);
  }
  assert_int_equal(stats_of(f).polled, tried);
  assert_int_equal(stats_of(f).unpolled, tried);
}

/* Each by itself: none is lost, and none that comes later is tried. */
static void all_that_are_refused_take_the_ordinary_ring(void** state) {
  struct fixture* f = *state;
  write_refused(f, WRITES);
  assert_unpolled(f, "EOPNOTSUPP");
}

/* Those that wait for room are not even tried. */
static void what_waits_is_not_tried(void** state) {
  write_refused(*state, DEPTH);
}

/* Errors of the disk are the request's, and no reason to give polling up. */
static void other_errors_are_delivered(void** state) {
  struct fixture* f = *state;
  skip_without_faults();
  fault_fail(CALL_PWRITE, 1, ONCE, EIO);
  struct tracked_op* write = write_page(f, 0);
  run(f);
  assert_result(write, UV_EIO);
  assert_int_equal(info_of(&f->file).is_polled, 1);
  assert_int_equal(polls(f), 1);
}

/* A polled ring may tell less than was moved. */
static void short_write_goes_on_by_the_ordinary_ring(void** state) {
  struct fixture* f = *state;
  fault_shorten(CALL_PWRITE, 1, ONCE, PAGE);
  assert_int_equal(polled_by_write(f, 2 * PAGE), 1);
  assert_int_equal(stats_of(f).unpolled, 1);
  assert_int_equal(stats_of(f).resumed, 0);
  assert_holds(f, &f->file, 0, 2 * PAGE, 1);
  assert_int_equal(info_of(&f->file).is_polled, 1);
}

/* And none, though there are some. */
static void no_bytes_are_no_end_of_the_file(void** state) {
  struct fixture* f = *state;
  skip_without_faults();
  put(f, &f->file, 0, PAGE, 1);
  fault_shorten(CALL_PREAD, 1, ONCE, 0);
  struct tracked_op* read = read_page(f, 0);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, 1));
}

/*
 * The kernel refuses the calls
 */

/* Submitting may have asked already. */
static void write_until_it_is_asked(struct fixture* f, unsigned hits) {
  for (unsigned i = 0; i < TRIES && fault_hits(CALL_GET_EVENTS) < hits; i++) {
    write_and_check(f, i % WRITES);
  }
  assert_int_equal(fault_hits(CALL_GET_EVENTS), hits);
}

static void asking_is_repeated(void** state) {
  static const int errors[] = {EINTR, EAGAIN, EBUSY};
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(errors); i++) {
    fault_fail(CALL_GET_EVENTS, 1, 2, errors[i]);
    write_until_it_is_asked(f, 2);
    faults_reset();
  }
  assert_int_equal(info_of(&f->file).is_polled, 1);
}

/* What is in flight ends all the same: the kernel is asked again. */
static void ring_that_can_not_be_asked_is_given_up(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_GET_EVENTS, 1, ONCE, EPERM);
  write_until_it_is_asked(f, 1);
  assert_true(is_said(reason_of(f), "no polled completions any more: io_uring_enter"));
  assert_unpolled(f, "polled ring has failed");
}

/* Its loop is kept alive for as long as something is in flight, by nothing but the engine. */
static void engine_that_closes_waits_for_the_answer(void** state) {
  struct fixture* f = *state;
  unsigned hits = 0;
  for (unsigned i = 0; i < TRIES && hits == 0; i++) {
    struct tracked_op* write = write_page(f, 0);
    fault_fail(CALL_GET_EVENTS, 1, 3, EAGAIN);
    f->elsewhere += stats_of(f).submitted;
    end_engine(f);
    assert_result(write, PAGE);
    hits = fault_hits(CALL_GET_EVENTS);
    faults_reset();
    start_engine(f, matrix_options());
    open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  }
  assert_true(hits > 0);
}

static void refused_submission_is_repeated(void** state) {
  static const int errors[] = {EINTR, EAGAIN, EBUSY};
  struct fixture* f = *state;
  for (unsigned i = 0; i < COUNT_OF(errors); i++) {
    fault_fail(CALL_SUBMIT, 1, ONCE, errors[i]);
    assert_int_equal(polls(f), 1);
    assert_int_equal(fault_hits(CALL_SUBMIT), 1);
    faults_reset();
  }
}

static void ring_that_takes_nothing_is_given_up(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_SUBMIT, 1, ONCE, EPERM);
  struct tracked_op* write = write_page(f, 0);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(fault_hits(CALL_SUBMIT), 1);
  assert_true(is_said(reason_of(f), "no polled completions any more: io_uring_enter"));
  assert_int_equal(info_of(&f->file).is_polled, 0);
  uint64_t punted = stats_of(f).punted;
  assert_int_equal(polls(f), 0);
  assert_int_equal(stats_of(f).punted, punted);
  assert_string_equal(uvdio_engine_backend(f->engine), "ring");
}

/* Its first request goes to the ordinary ring, which is enabled by it. */
static void ring_that_is_not_enabled_is_given_up(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_REGISTER, 1, ONCE, EPERM);
  struct tracked_op* write = write_page(f, 0);
  run(f);
  assert_result(write, PAGE);
  assert_true(is_said(reason_of(f), "no polled completions any more: io_uring_register"));
  assert_unpolled(f, "polled ring has failed");
}

static void without_a_ring(struct fixture* f, enum fault_call call, unsigned nth, int error,
                           const char* text) {
  uvdio_engine_options_t options = matrix_options();
  fault_fail(call, nth, ONCE, error);
  start_engine(f, options);
  assert_int_equal(fault_hits(call), 1);
  faults_reset();
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  assert_true(is_said(reason_of(f), "no polled completions: "));
  assert_true(is_said(reason_of(f), text));
  assert_unpolled(f, "its engine has no polled ring");
  assert_result(t_close(op_now(&f->tracker), &f->file), 0);
  f->elsewhere += stats_of(f).submitted;
  end_engine(f);
}

/* The first of each is the ordinary ring's. */
static void engine_goes_without_a_ring_that_can_not_be_had(void** state) {
  struct fixture* f = *state;
  without_a_ring(f, CALL_SETUP, 2, ENOMEM, "ENOMEM");
  without_a_ring(f, CALL_SETUP, 2, EMFILE, "EMFILE");
  without_a_ring(f, CALL_SETUP, 2, EINVAL, "EINVAL");
  without_a_ring(f, CALL_EVENTFD, 2, EMFILE, "EMFILE");
  without_a_ring(f, CALL_POLL_INIT, 2, ENOMEM, "ENOMEM");
}

static void turn_there(void* data) {
  struct fixture* f = data;
  f->tracker.thread = uv_thread_self();
  (void)uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* The ordinary ring is lost to another thread, and there is a new one. */
static void lose_the_thread_and_rebind(struct fixture* f) {
  uv_thread_t thread;
  write_and_check(f, 0);
  t_size(op_new(&f->tracker), &f->file);
  assert_int_equal(uv_thread_create(&thread, turn_there, f), 0);
  uv_thread_join(&thread);
  f->tracker.thread = uv_thread_self();
  run(f);
  assert_string_equal(uvdio_engine_backend(f->engine), "pool");
  assert_ok(uvdio_engine_rebind(f->engine));
  assert_string_equal(uvdio_engine_backend(f->engine), "ring");
}

static void rebound_engine_says_that_it_polls(void** state) {
  struct fixture* f = *state;
  lose_the_thread_and_rebind(f);
  assert_true(is_said(reason_of(f), "with polled completions"));
  assert_int_equal(polls(f), 1);
}

/* The polled ring was given up for good: a new ordinary one does not bring it back. */
static void rebound_engine_says_why_it_does_not_poll(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_GET_EVENTS, 1, ONCE, EPERM);
  write_until_it_is_asked(f, 1);
  lose_the_thread_and_rebind(f);
  assert_true(is_said(reason_of(f), "no polled completions any more: io_uring_enter"));
  assert_false(is_said(reason_of(f), "with polled completions"));
  assert_true(is_said(info_of(&f->file).polled_reason, "polled ring has failed"));
  assert_int_equal(polls(f), 0);
}

static void rebound_engine_says_what_it_never_had(void** state) {
  struct fixture* f = *state;
  fault_fail(CALL_SETUP, 2, ONCE, ENOMEM);
  start_engine(f, matrix_options());
  faults_reset();
  open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  lose_the_thread_and_rebind(f);
  assert_true(is_said(reason_of(f), "no polled completions: "));
  assert_true(is_said(reason_of(f), "ENOMEM"));
}

/*
 * Registered memory, of which both rings have a table
 */

static int registers_memory(struct fixture* f) {
  uvdio_registration_t info;
  assert_ok(uvdio_arena_registration(f->engine, f->arena, &info));
  return info.error != UV_ENOTSUP;
}

static uint64_t registered(const struct fixture* f) {
  uvdio_registration_t info;
  assert_ok(uvdio_arena_registration(f->engine, f->arena, &info));
  return info.bytes;
}

static void write_frame(struct fixture* f) {
  uvdio_buf_t frame = {0};
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  fill_pattern(frame.base, PAGE, 7);
  frame.len = PAGE;
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &frame, 0);
  run(f);
  assert_result(write, PAGE);
  op_free(write);
  assert_holds(f, &f->file, 0, PAGE, 7);
}

static void need_an_arena(struct fixture* f) {
  fixture_arena(f, PAGE, 16);
  if (!registers_memory(f)) {
    SKIP("rings register no memory piece by piece here");
  }
}

static void first_use_registers_with_the_polled_ring(void** state) {
  struct fixture* f = *state;
  need_an_arena(f);
  write_frame(f);
  assert_int_equal(stats_of(f).polled, 1);
  assert_int_equal(stats_of(f).fixed, 1);
  assert_int_equal(registered(f), 16 * PAGE);
  assert_int_equal(stats_of(f).registered_bytes, 16 * PAGE);
}

static void arena_is_registered_with_both(void** state) {
  struct fixture* f = *state;
  need_an_arena(f);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  assert_int_equal(stats_of(f).registered_bytes, 2 * 16 * PAGE);
  write_frame(f);
  assert_int_equal(stats_of(f).fixed, 1);
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
  assert_int_equal(stats_of(f).registered_bytes, 0);
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_ENOENT);
  write_frame(f);
  assert_int_equal(stats_of(f).fixed, 1);
}

static void arena_of_the_polled_ring_alone_is_unregistered(void** state) {
  struct fixture* f = *state;
  need_an_arena(f);
  write_frame(f);
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
  assert_int_equal(stats_of(f).registered_bytes, 0);
}

static void arena_in_use_stays_registered(void** state) {
  struct fixture* f = *state;
  need_an_arena(f);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  uvdio_buf_t frame = {0};
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  frame.len = PAGE;
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &frame, 0);
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_EBUSY);
  assert_int_equal(stats_of(f).registered_bytes, 2 * 16 * PAGE);
  run(f);
  assert_result(write, PAGE);
  op_free(write);
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
}

/* Both rings let go of it, in the next iteration. */
static void arena_that_is_gone_is_let_go_of(void** state) {
  struct fixture* f = *state;
  need_an_arena(f);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  write_frame(f);
  assert_ok(uvdio_arena_destroy(f->arena, NULL));
  f->arena = NULL;
  run_once(f);
  assert_int_equal(stats_of(f).registered_bytes, 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(set_up, file_and_engine_say_so),
      TEST_ON(with_a_loop, nothing_is_polled_unasked),
      TEST_ON(with_a_loop, other_backends_say_why_not),
      TEST_ON(set_up, buffered_file_is_not_polled),
      TEST_ON(set_up, what_is_large_takes_the_ordinary_ring),
      TEST_ON(set_up, loop_does_not_sleep_meanwhile),
      TEST_ON(set_up, any_thread_asks_for_what_is_in_flight),
      TEST_ON(set_up, synchronous_form_waits_for_what_is_polled),
      TEST_ON(set_up, refused_read_takes_the_ordinary_ring),
      TEST_ON(set_up, all_that_are_refused_take_the_ordinary_ring),
      TEST_ON(at_depth, what_waits_is_not_tried),
      TEST_ON(set_up, other_errors_are_delivered),
      TEST_ON(set_up, short_write_goes_on_by_the_ordinary_ring),
      TEST_ON(set_up, no_bytes_are_no_end_of_the_file),
      TEST_ON(set_up, asking_is_repeated),
      TEST_ON(set_up, ring_that_can_not_be_asked_is_given_up),
      TEST_ON(set_up, engine_that_closes_waits_for_the_answer),
      TEST_ON(set_up, refused_submission_is_repeated),
      TEST_ON(set_up, ring_that_takes_nothing_is_given_up),
      TEST_ON(set_up, ring_that_is_not_enabled_is_given_up),
      TEST_ON(with_a_loop, engine_goes_without_a_ring_that_can_not_be_had),
      TEST_ON(set_up, rebound_engine_says_that_it_polls),
      TEST_ON(set_up, rebound_engine_says_why_it_does_not_poll),
      TEST_ON(with_a_loop, rebound_engine_says_what_it_never_had),
      TEST_ON(set_up, first_use_registers_with_the_polled_ring),
      TEST_ON(set_up, arena_is_registered_with_both),
      TEST_ON(set_up, arena_of_the_polled_ring_alone_is_unregistered),
      TEST_ON(set_up, arena_in_use_stays_registered),
      TEST_ON(set_up, arena_that_is_gone_is_let_go_of),
  };
  return matrix_main("polled", tests, COUNT_OF(tests), argc, argv);
}
