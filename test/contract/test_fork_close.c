/* SPDX-License-Identifier: MIT */
/*
 * A forked child closes the parent's engine in the middle of its work: each request ends once and
 * with UVDIO_EFORK, also where its completion could be seen already, the files' descriptors are
 * closed, and the parent gets all that is its own.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"
#include "workers.h"

#define PAGE UVDIO_PAGE_SIZE
/* several batches of a ring, so that the first have completed when the last are submitted */
#define MANY 64

static struct top* ops[MANY];
static unsigned op_count;

/* An engine that knows its thread, so that submissions go out from the submitting call. */
static int bound(void** state) {
  int failed = fixture_open(state);
  op_count = 0;
  if (!failed) {
    struct fixture* f = *state;
    put(f, &f->file, 0, (size_t)MANY * PAGE, 1);
    t_size(op_new(&f->tracker), &f->file);
    run(f);
  }
  return failed;
}

/* Descriptors of files in the test's folder. */
static unsigned files_open(const struct fixture* f) {
  char target[PLACE_PATH_MAX + 64];
  unsigned count = 0;
  DIR* list = opendir("/proc/self/fd");
  const struct dirent* entry;
  while (list != NULL && (entry = readdir(list)) != NULL) {
    ssize_t length = readlinkat(dirfd(list), entry->d_name, target, sizeof(target) - 1);
    count += length > 0 && strncmp(target, f->dir, strlen(f->dir)) == 0;
  }
  if (list != NULL) {
    closedir(list);
  }
  return count;
}

static void add(struct top* op) {
  ops[op_count++] = op;
}

static void submit_reads(struct fixture* f, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    uvdio_buf_t page = blank(PAGE);
    add(t_read(op_new(&f->tracker), &f->file, &page, (uint64_t)i * PAGE));
  }
}

/*
 * The child.
 */

/* Descriptors that may be left. */
static unsigned tolerated;

static int child_closes(void* data) {
  struct fixture* f = data;
  int was_done[MANY];
  for (unsigned i = 0; i < op_count; i++) {
    was_done[i] = ops[i]->done != 0;
  }
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  while (f->closed == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  EXPECT(f->closed == 1);
  for (unsigned i = 0; i < op_count; i++) {
    EXPECT(ops[i]->done == 1);
    EXPECT(was_done[i] || ops[i]->result == UVDIO_EFORK);
  }
  EXPECT(f->tracker.finished == f->tracker.accepted);
  EXPECT(f->tracker.violation[0] == '\0');
  EXPECT(files_open(f) <= tolerated);
  return 0;
}

/* What is in flight is the parent's, as long as nobody closes the engine: turns of the loop take
 * nothing. */
static int child_turns_then_closes(void* data) {
  struct fixture* f = data;
  unsigned finished = f->tracker.finished;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  for (unsigned i = 0; i < 10; i++) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  EXPECT(f->tracker.finished == finished);
  return child_closes(data);
}

/*
 * Requests.
 */

static void assert_parent_has_its_pages(struct fixture* f) {
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(ops[i], PAGE);
  }
}

static void child_ends_requests_submitted_outside_a_turn(void** state) {
  struct fixture* f = *state;
  submit_reads(f, MANY);
  assert_int_equal(in_a_child(child_closes, f), 0);
  assert_parent_has_its_pages(f);
}

static void child_may_run_the_loop_before(void** state) {
  struct fixture* f = *state;
  submit_reads(f, MANY);
  assert_int_equal(in_a_child(child_turns_then_closes, f), 0);
  assert_parent_has_its_pages(f);
}

static void child_ends_requests_that_have_seen_a_turn(void** state) {
  struct fixture* f = *state;
  submit_reads(f, MANY);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(in_a_child(child_turns_then_closes, f), 0);
  assert_parent_has_its_pages(f);
}

/* Nothing of it has to be failed: it is in line for its callback, and a turn before the close has
 * let the loop sleep. */
static void child_is_called_back_for_what_has_ended(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[UVDIO_ALIGNMENT];
  uvdio_buf_t nothing = uvdio_buf_wrap(bytes, 0);
  struct top* read = t_read(op_new(&f->tracker), &f->file, &nothing, 0);
  assert_int_equal(in_a_child(child_turns_then_closes, f), 0);
  run(f);
  assert_result(read, 0);
}

static void many_children_one_after_the_other(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 10; i++) {
    op_count = 0;
    submit_reads(f, MANY);
    assert_int_equal(in_a_child(i % 2 == 0 ? child_closes : child_turns_then_closes, f), 0);
    assert_parent_has_its_pages(f);
  }
}

/* A sync with riders behind a write, and a cancelled read. */
static void child_ends_whatever_was_held(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  submit_reads(f, 8);
  (void)t_cancel(ops[3]);
  add(t_write(op_new(&f->tracker), &f->file, &page, 0));
  add(t_sync_data(op_new(&f->tracker), &f->file));
  add(t_sync_all(op_new(&f->tracker), &f->file));
  add(t_sync_data(op_new(&f->tracker), &f->file));
  assert_int_equal(in_a_child(child_closes, f), 0);
  run(f);
  for (unsigned i = 8; i < op_count; i++) {
    assert_result(ops[i], i == 8 ? PAGE : 0);
  }
}

/* The first truncate waits for reads, the other two for what is between them. */
static void child_ends_what_waits_for_truncates(void** state) {
  struct fixture* f = *state;
  submit_reads(f, 8);
  for (unsigned i = 0; i < 3; i++) {
    add(t_truncate(op_new(&f->tracker), &f->file, MANY * PAGE));
    submit_reads(f, 2);
    add(t_sync_data(op_new(&f->tracker), &f->file));
  }
  add(t_close(op_new(&f->tracker), &f->file));
  assert_int_equal(in_a_child(child_closes, f), 0);
  run(f);
  for (unsigned i = 0; i < op_count; i++) {
    assert_result(ops[i], ops[i]->kind == UVDIO_OP_READ ? PAGE : 0);
  }
}

/* The parent's close is the parent's; the child makes its own. */
static void child_closes_what_its_parent_is_closing(void** state) {
  struct fixture* f = *state;
  submit_reads(f, 8);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  assert_int_equal(in_a_child(child_closes, f), 0);
  run(f);
  f->engine = NULL;
  assert_int_equal(f->closed, 1);
  for (unsigned i = 0; i < 8; i++) {
    assert_result(ops[i], PAGE);
  }
}

/*
 * Descriptors.
 */

static void child_closes_a_file_left_open(void** state) {
  struct fixture* f = *state;
  assert_int_equal(in_a_child(child_closes, f), 0);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

static void child_closes_a_file_whose_close_is_held(void** state) {
  struct fixture* f = *state;
  submit_reads(f, 8);
  add(t_close(op_new(&f->tracker), &f->file));
  assert_int_equal(in_a_child(child_closes, f), 0);
  run(f);
  assert_result(ops[7], PAGE);
  assert_result(ops[8], 0);
  assert_int_equal(files_open(f), 0);
}

/* May leave so many descriptors open. */
static void let_a_child_close(struct fixture* f, unsigned leaving) {
  tolerated = leaving;
  int child = in_a_child(child_closes, f);
  tolerated = 0;
  assert_int_equal(child, 0);
}

/* Whether the parent's worker had closed it when the fork came can't be known, and the number may
 * be another file's by then: the child leaves it alone. */
static void child_keeps_off_a_close_that_is_on_its_way(void** state) {
  struct fixture* f = *state;
  add(t_close(op_new(&f->tracker), &f->file));
  let_a_child_close(f, 1);
  run(f);
  assert_result(ops[0], 0);
  assert_int_equal(files_open(f), 0);
}

/* A ring opens the file, and its last step waits for a worker: there are none, for now. */
static void child_closes_a_file_that_is_half_open(void** state) {
  struct fixture* f = *state;
  struct workers workers;
  if (matrix.backend != UVDIO_BACKEND_RING) {
    SKIP("only a ring opens step by step");
  }
  uint64_t punted = stats_of(f).punted;
  workers_occupy(&workers, &f->loop, WORKERS);
  add(t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "other"), UVDIO_OPEN_CREATE));
  watch_for_hang("an open that never needs a worker");
  while (stats_of(f).punted == punted) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  watch_for_hang(NULL);
  unsigned half_open = files_open(f);
  int child = in_a_child(child_closes, f);
  workers_release(&workers);
  run(f);
  assert_int_equal(half_open, 2);
  assert_int_equal(child, 0);
  assert_result(ops[0], 0);
  assert_int_equal(files_open(f), 2);
}

/* The same for an open: the descriptor may be there, but nobody knows its number yet. */
static void child_can_not_know_of_an_open_that_is_on_its_way(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  add(t_open(op_new(&f->tracker), f->engine, &f->other, path_of(f, "file"), UVDIO_OPEN_READ));
  let_a_child_close(f, 1);
  run(f);
  assert_result(ops[0], 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(bound, child_ends_requests_submitted_outside_a_turn),
      TEST_ON(bound, child_may_run_the_loop_before),
      TEST_ON(bound, child_ends_requests_that_have_seen_a_turn),
      TEST_ON(bound, child_is_called_back_for_what_has_ended),
      TEST_ON(bound, many_children_one_after_the_other),
      TEST_ON(bound, child_ends_whatever_was_held),
      TEST_ON(bound, child_ends_what_waits_for_truncates),
      TEST_ON(bound, child_closes_what_its_parent_is_closing),
      TEST_ON(bound, child_closes_a_file_left_open),
      TEST_ON(bound, child_closes_a_file_whose_close_is_held),
      TEST_ON(bound, child_keeps_off_a_close_that_is_on_its_way),
      TEST_ON(bound, child_closes_a_file_that_is_half_open),
      TEST_ON(bound, child_can_not_know_of_an_open_that_is_on_its_way),
  };
  if (UNDER_TSAN) {
    skip_line("the thread sanitizer does not follow a fork with threads");
    return SKIPPED_PROGRAM;
  }
  workers_begin();
  return matrix_main("fork_close", tests, COUNT_OF(tests), argc, argv);
}
