/* SPDX-License-Identifier: MIT */
/*
 * Every operation through a ring whose queue is full of rubbish, which lib/faults_ring.c sees to:
 * free places are, from the start and again after each use. What an entry does not write itself,
 * the kernel would take for flags, a file or a buffer.
 */
#include <string.h>

#include "faults.h"
#include "fixture.h"
#include "ops.h"

#define DEPTH 8
#define ROUNDS (3 * DEPTH) /* each place of the queue is used again by another operation */

static int set_up(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = DEPTH;
  faults_reset();
  return fixture_open_with(state, options);
}

static void assert_went_by_entry(enum fault_call call, unsigned count) {
  if (fault_entries(call) < count) {
    fail_msg("%s: %u entries, %u expected", fault_call_name(call), fault_entries(call), count);
  }
}

static void write_and_read(struct fixture* f, uvdio_file_t* file, uint64_t offset, unsigned seed) {
  uvdio_buf_t page = filled(PAGE, seed);
  struct tracked_op* write = t_write(op_new(&f->tracker), file, &page, offset);
  run(f);
  assert_result(write, PAGE);
  uvdio_buf_t empty = blank(PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), file, &empty, offset);
  run(f);
  assert_result(read, PAGE);
  assert_holds(f, file, offset, PAGE, seed);
}

static void resize(struct fixture* f, uvdio_file_t* file, uint64_t length) {
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), file, length);
  run(f);
  assert_result(preallocate, 0);
  assert_size(f, file, (int64_t)length);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), file, length - PAGE);
  run(f);
  assert_result(truncate, 0);
  assert_size(f, file, (int64_t)length - PAGE);
}

/* Each argument arrives in its field. */
static void give_back(struct fixture* f, uvdio_file_t* file, unsigned seed) {
  put(f, file, 0, PAGE, seed);
  put(f, file, PAGE, 2 * PAGE, seed + 1);
  put(f, file, 3 * PAGE, PAGE, seed + 2);
  struct tracked_op* punch = t_punch_hole(op_new(&f->tracker), file, PAGE, PAGE);
  run(f);
  struct tracked_op* zero = t_zero_range(op_new(&f->tracker), file, 2 * PAGE, PAGE);
  run(f);
  struct tracked_op* keep =
      t_preallocate_range(op_new(&f->tracker), file, 8 * PAGE, 8 * PAGE, UVDIO_SPACE_KEEP_SIZE);
  run(f);
  assert_result(punch, 0);
  assert_result(zero, 0);
  assert_result(keep, 0);
  assert_holds(f, file, 0, PAGE, seed);
  assert_zeros(f, file, PAGE, 2 * PAGE);
  assert_holds(f, file, 3 * PAGE, PAGE, seed + 2);
  assert_size(f, file, 4 * PAGE);
}

static void sync_both_ways(struct fixture* f, uvdio_file_t* file) {
  struct tracked_op* data = t_sync_data(op_new(&f->tracker), file);
  run(f);
  struct tracked_op* all = t_sync_all(op_new(&f->tracker), file);
  run(f);
  assert_result(data, 0);
  assert_result(all, 0);
}

/* What is done to a file does not reach the other, whichever is in the same place of the ring's
 * table. */
static void operations_do_what_they_say(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < ROUNDS; i++) {
    struct tracked_op* open = t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"),
                                     UVDIO_OPEN_RW | UVDIO_O_CREATE | UVDIO_O_TRUNCATE);
    run(f);
    assert_result(open, 0);
    write_and_read(f, &f->other, PAGE, i + 2);
    sync_both_ways(f, &f->other);
    give_back(f, &f->other, i + 2);
    resize(f, &f->other, 5 * PAGE);
    struct tracked_op* close = t_close(op_new(&f->tracker), &f->other);
    run(f);
    assert_result(close, 0);
    assert_holds(f, &f->file, 0, PAGE, 1);
    assert_size(f, &f->file, PAGE);
  }
  assert_went_by_entry(CALL_OPEN, ROUNDS);
  assert_went_by_entry(CALL_PWRITE, ROUNDS);
  assert_went_by_entry(CALL_PREAD, ROUNDS);
  assert_went_by_entry(CALL_FSYNC, ROUNDS);
  assert_went_by_entry(CALL_FDATASYNC, ROUNDS);
  assert_went_by_entry(CALL_FALLOCATE, ROUNDS);
}

static void every_operation_goes_by_its_entry(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  for (unsigned i = 0; i < ROUNDS; i++) {
    do_every_example(f, 0);
  }
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    if (facts_of(op)->has_entry) {
      assert_went_by_entry(facts_of(op)->call, ROUNDS);
    }
  }
}

/* Views go as plain memory, frames by number, and a transfer's rest by the longer way. */
static void every_kind_of_transfer(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  fixture_arena(f, PAGE, 4);
  for (unsigned i = 0; i < ROUNDS; i++) {
    uvdio_buf_t frame;
    assert_ok(uvdio_arena_acquire(f->arena, &frame));
    memset(frame.base, (int)i + 1, PAGE);
    frame.len = PAGE;
    struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &frame, i * PAGE);
    run(f);
    assert_result(write, PAGE);
    op_free(write);
    fault_shorten(CALL_PREAD, fault_calls(CALL_PREAD) + 1, 1, PAGE);
    uvdio_buf_t pages = blank(2 * PAGE);
    put(f, &f->file, (i + 1) * PAGE, PAGE, i);
    struct tracked_op* read = t_read_exact(op_new(&f->tracker), &f->file, &pages, i * PAGE);
    run(f);
    assert_result(read, 2 * PAGE);
    for (unsigned byte = 0; byte < PAGE; byte++) {
      assert_int_equal((unsigned char)read->back.base[byte], i + 1);
    }
  }
}

/* The cancellation is of the read that it names, though the fields beside the name are another
 * operation's. */
static void cancellation_reaches_its_request(void** state) {
  struct fixture* f = *state;
  need_a_ring_file(&f->file);
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < ROUNDS; i++) {
    uvdio_buf_t page = blank(PAGE);
    fault_block_reads(1);
    struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &page, 0);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_ok(t_cancel(read));
    run(f);
    assert_result(read, UV_ECANCELED);
  }
  assert_went_by_entry(CALL_ENTRY_CANCEL, ROUNDS);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, operations_do_what_they_say),
      FAULT_TEST_ON(set_up, every_operation_goes_by_its_entry),
      FAULT_TEST_ON(set_up, every_kind_of_transfer),
      FAULT_TEST_ON(set_up, cancellation_reaches_its_request),
  };
  return matrix_main("ring_entries", tests, COUNT_OF(tests), argc, argv);
}
