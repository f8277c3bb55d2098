/* SPDX-License-Identifier: MIT */
/*
 * The synchronous form: with a null callback an operation is done when the call returns, its
 * outcome is in the request, and the buffer never leaves the caller.
 */
#include <string.h>

#include "fixture.h"
#include "ops.h"

static struct tracked_op* now(struct fixture* f) {
  return op_now(&f->tracker);
}

static struct tracked_op* later(struct fixture* f) {
  return op_new(&f->tracker);
}

static void write_leaves_the_buffer_with_the_caller(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(2 * PAGE, 1);
  struct tracked_op* write = t_write(now(f), &f->file, &buf, 0);
  assert_result(write, 2 * PAGE);
  assert_int_equal(write->req.transferred, 2 * PAGE);
  assert_int_equal(buf.len, 2 * PAGE);
  assert_true(is_pattern(buf.base, 2 * PAGE, 1));
  assert_ok(uvdio_buf_release(&buf));
}

static void read_sets_len(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 2 * PAGE, 1);
  uvdio_buf_t buf = blank(4 * PAGE);
  struct tracked_op* read = t_read(now(f), &f->file, &buf, PAGE);
  assert_result(read, PAGE);
  assert_int_equal(buf.len, PAGE);
  assert_int_equal(buf.cap, 4 * PAGE);
  read = t_read(now(f), &f->file, &buf, 2 * PAGE);
  assert_result(read, 0);
  assert_int_equal(buf.len, 0);
  assert_ok(uvdio_buf_release(&buf));
}

static void exact_read_that_is_short_keeps_what_arrived(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  uvdio_buf_t buf = blank(2 * PAGE);
  struct tracked_op* read = t_read_exact(now(f), &f->file, &buf, 0);
  assert_result(read, UVDIO_ESHORTREAD);
  assert_int_equal(buf.len, PAGE);
  assert_true(is_pattern(buf.base, PAGE, 1));
  assert_ok(uvdio_buf_release(&buf));
}

static void zero_bytes_are_nothing(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[PAGE];
  uvdio_buf_t nothing = uvdio_buf_wrap(bytes, 0);
  uint64_t before = stats_of(f).synchronous;
  assert_result(t_read(now(f), &f->file, &nothing, 0), 0);
  assert_result(t_write(now(f), &f->file, &nothing, 0), 0);
  assert_result(t_read_exact(now(f), &f->file, &nothing, 0), 0);
  assert_result(t_readv(now(f), &f->file, &nothing, 1, 0), 0);
  assert_ptr_equal(nothing.base, bytes);
  assert_int_equal(stats_of(f).synchronous, before);
}

static void every_origin_goes_through(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t heap = filled(PAGE, 1);
  uvdio_buf_t view = uvdio_buf_view(&heap);
  uvdio_buf_t frame;
  fixture_arena(f, PAGE, 1);
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  assert_result(t_write(now(f), &f->file, &view, 0), PAGE);
  assert_result(t_read(now(f), &f->file, &frame, 0), PAGE);
  assert_true(is_pattern(frame.base, PAGE, 1));
  assert_result(t_write(now(f), &f->file, &frame, PAGE), PAGE);
  assert_result(t_read(now(f), &f->file, &heap, PAGE), PAGE);
  assert_true(is_pattern(heap.base, PAGE, 1));
  assert_ok(uvdio_buf_release(&heap));
  assert_ok(uvdio_buf_release(&frame));
}

static void sizes_are_told_and_changed(void** state) {
  struct fixture* f = *state;
  assert_result(t_truncate(now(f), &f->file, 3 * PAGE + 5), 0);
  assert_result(t_size(now(f), &f->file), 3 * PAGE + 5);
  struct tracked_op* stat = t_stat(now(f), &f->file);
  assert_result(stat, 0);
  assert_int_equal(stat->stat.size, 3 * PAGE + 5);
  assert_result(t_truncate(now(f), &f->file, 0), 0);
  assert_result(t_size(now(f), &f->file), 0);
}

static void space_is_reserved(void** state) {
  struct fixture* f = *state;
  NEEDS("preallocate");
  assert_result(t_preallocate(now(f), &f->file, 8 * PAGE), 0);
  assert_result(t_size(now(f), &f->file), 8 * PAGE);
  assert_result(t_preallocate_range(now(f), &f->file, 8 * PAGE, PAGE, 0), 0);
  assert_result(t_size(now(f), &f->file), 9 * PAGE);
}

static void space_is_given_back_and_found(void** state) {
  struct fixture* f = *state;
  NEEDS("punch_hole");
  put(f, &f->file, 0, MIB, 1);
  assert_result(t_punch_hole(now(f), &f->file, 0, MIB / 2), 0);
  assert_zeros(f, &f->file, 0, MIB / 2);
  assert_result(t_next_data(now(f), &f->file, 0), MIB / 2);
  assert_result(t_next_hole(now(f), &f->file, MIB / 2), MIB);
  assert_result(t_next_data(now(f), &f->file, MIB), UV_ENXIO);
  assert_result(t_zero_range(now(f), &f->file, 0, MIB), 0);
  assert_zeros(f, &f->file, 0, MIB);
  struct tracked_op* hint = t_set_hint(now(f), &f->file, UVDIO_HINT_WRITE_LIFE, 2);
  assert_true(hint->result == 0 || hint->result == UV_ENOTSUP);
}

static void every_operation_gives_what_it_should(void** state) {
  do_every_example(*state, 1);
}

static void syncs_succeed(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  assert_result(t_sync_data(now(f), &f->file), 0);
  assert_result(t_sync_all(now(f), &f->file), 0);
}

static void names_change_at_once(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  int replaced = where_provided("replace", 0);
  const char* name = replaced == 0 ? "a" : "file";
  assert_result(t_replace(now(f), &f->file, path_of(f, "a")), replaced);
  assert_result(t_rename(now(f), f->engine, path_of(f, name), path_of(f, "b"), 0), 0);
  assert_result(t_link(now(f), f->engine, path_of(f, "b"), path_of(f, "c")), 0);
  assert_result(t_unlink(now(f), f->engine, path_of(f, "b")), 0);
  assert_result(t_mkdir(now(f), f->engine, path_of(f, "d")), 0);
  assert_result(t_sync_directory(now(f), f->engine, path_of(f, "d")),
                where_provided("sync_directory", 0));
  assert_result(t_rmdir(now(f), f->engine, path_of(f, "d")), 0);
  open_now(f, &f->other, "c", UVDIO_OPEN_READ);
  assert_holds(f, &f->other, 0, PAGE, 1);
}

static void open_and_close_take_effect_at_once(void** state) {
  struct fixture* f = *state;
  struct tracked_op* missing =
      t_open(now(f), f->engine, &f->other, path_of(f, "new"), UVDIO_OPEN_READ);
  assert_result(missing, UV_ENOENT);
  assert_refused(t_size(now(f), &f->other), UV_EBADF);
  open_now(f, &f->other, "new", UVDIO_OPEN_RW);
  assert_size(f, &f->other, 0);
  assert_result(t_close(now(f), &f->other), 0);
  assert_refused(t_size(now(f), &f->other), UV_EBADF);
  open_now(f, &f->other, "new", UVDIO_OPEN_READ);
}

static void request_serves_one_operation_after_the_other(void** state) {
  struct fixture* f = *state;
  struct tracked_op* op = now(f);
  t_truncate(op, &f->file, PAGE);
  t_sync_all(op, &f->file);
  t_size(op, &f->file);
  assert_int_equal(op->done, 3);
  assert_code(op->result, PAGE);
  op->blocking = 0;
  t_size(op, &f->file);
  run(f);
  assert_int_equal(op->done, 4);
}

/* No engine, no loop: the engine's loop is not run by any of this. */
static void loop_need_not_run(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  assert_holds(f, &f->file, 0, PAGE, 1);
  assert_int_equal(uv_loop_alive(&f->loop), 0);
  assert_int_equal(stats_of(f).submitted, 0);
  assert_int_equal(stats_of(f).synchronous, 3);
}

/*
 * With other requests under way.
 */

static void sync_while_a_write_is_in_flight_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 1);
  struct tracked_op* write = t_write(later(f), &f->file, &buf, 0);
  assert_refused(t_sync_data(now(f), &f->file), UV_EBUSY);
  assert_refused(t_sync_all(now(f), &f->file), UV_EBUSY);
  run(f);
  assert_result(write, PAGE);
  assert_result(t_sync_all(now(f), &f->file), 0);
}

static void sync_does_not_mind_a_read_in_flight(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  uvdio_buf_t buf = blank(PAGE);
  struct tracked_op* read = t_read(later(f), &f->file, &buf, 0);
  assert_result(t_sync_data(now(f), &f->file), 0);
  run(f);
  assert_result(read, PAGE);
}

static void close_with_a_request_pending_is_refused(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  uvdio_buf_t buf = blank(PAGE);
  struct tracked_op* read = t_read(later(f), &f->file, &buf, 0);
  assert_refused(t_close(now(f), &f->file), UV_EBUSY);
  run(f);
  assert_result(read, PAGE);
  assert_result(t_close(now(f), &f->file), 0);
}

/* The read has its outcome, but its callback still refers to the file. */
static void close_with_a_callback_outstanding_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = blank(PAGE);
  struct tracked_op* read = t_read(later(f), &f->file, &buf, 0);
  (void)t_cancel(read);
  assert_refused(t_close(now(f), &f->file), UV_EBUSY);
  run(f);
  assert_int_equal(read->done, 1);
  assert_result(t_close(now(f), &f->file), 0);
}

static void write_and_read_go_past_those_in_flight(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 1);
  struct tracked_op* write = t_write(later(f), &f->file, &buf, 8 * PAGE);
  put(f, &f->file, 0, PAGE, 2);
  assert_holds(f, &f->file, 0, PAGE, 2);
  run(f);
  assert_result(write, PAGE);
  assert_holds(f, &f->file, 8 * PAGE, PAGE, 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, write_leaves_the_buffer_with_the_caller),
      TEST_ON(fixture_open, read_sets_len),
      TEST_ON(fixture_open, exact_read_that_is_short_keeps_what_arrived),
      TEST_ON(fixture_open, zero_bytes_are_nothing),
      TEST_ON(fixture_open, every_origin_goes_through),
      TEST_ON(fixture_open, sizes_are_told_and_changed),
      TEST_ON(fixture_open, space_is_reserved),
      TEST_ON(fixture_open, space_is_given_back_and_found),
      TEST_ON(fixture_open, syncs_succeed),
      TEST_ON(fixture_open, every_operation_gives_what_it_should),
      TEST_ON(fixture_open, names_change_at_once),
      TEST_ON(fixture_engine, open_and_close_take_effect_at_once),
      TEST_ON(fixture_open, request_serves_one_operation_after_the_other),
      TEST_ON(fixture_open, loop_need_not_run),
      TEST_ON(fixture_open, sync_while_a_write_is_in_flight_is_refused),
      TEST_ON(fixture_open, sync_does_not_mind_a_read_in_flight),
      TEST_ON(fixture_open, close_with_a_request_pending_is_refused),
      TEST_ON(fixture_open, close_with_a_callback_outstanding_is_refused),
      TEST_ON(fixture_open, write_and_read_go_past_those_in_flight),
  };
  return matrix_main("synchronous", tests, COUNT_OF(tests), argc, argv);
}
