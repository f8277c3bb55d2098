/* SPDX-License-Identifier: MIT */
/*
 * fork(2): the child gets errors and not the parent's completions, and the parent notices nothing.
 * A child that wants to go on with the loop closes the engine, also in the middle of its work; one
 * that wants to do I/O makes an engine of its own.
 *
 * Where the child closes the engine, each request ends once and with UVDIO_EFORK, also where its
 * completion could be seen already, the files' descriptors are closed, and the parent gets all that
 * is its own.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"
#include "uvdio/log.h"
#include "workers.h"

#define WRITES 32
/* several batches of a ring, so that the first have completed when the last are submitted */
#define MANY 64

typedef int (*part_of_child)(struct fixture* f);

struct child {
  struct fixture* f;
  part_of_child part;
};

static int do_part(void* data) {
  struct child* child = data;
  int line = child->part(child->f);
  if (line == 0 && child->f->tracker.violation[0] != '\0') {
    fprintf(stderr, "in the child: %s\n", child->f->tracker.violation);
    return __LINE__;
  }
  return line;
}

/* Returns the child's wait status: 0 when all was as expected, and nothing that the tracker watches
 * was broken. */
static int fork_and_do(part_of_child part, struct fixture* f) {
  struct child child = {f, part};
  return in_a_child(do_part, &child);
}

static struct tracked_op* writes[WRITES];

static void write_pages(struct fixture* f) {
  for (unsigned i = 0; i < WRITES; i++) {
    writes[i] = write_page(f, i);
  }
}

static void assert_parent_undisturbed(struct fixture* f) {
  run(f);
  for (unsigned i = 0; i < WRITES; i++) {
    assert_result(writes[i], PAGE);
    assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, i);
  }
}

/*
 * The child calls the parent's engine.
 */

static int every_operation_is_refused(struct fixture* f) {
  struct tracker* t = &f->tracker;
  uvdio_buf_t buf = filled(PAGE, 1);
  for (uvdio_op_t op = UVDIO_OP_OPEN; op < UVDIO_OP_COUNT; op++) {
    EXPECT(t_example(f, op_new(t), &f->file, op)->code == UVDIO_EFORK);
    EXPECT(t_example(f, op_now(t), &f->file, op)->code == UVDIO_EFORK);
  }
  EXPECT(t_read_exact(op_now(t), &f->file, &buf, 0)->code == UVDIO_EFORK);
  EXPECT(t_readv(op_new(t), &f->file, &buf, 1, 0)->code == UVDIO_EFORK);
  EXPECT(t_writev(op_now(t), &f->file, &buf, 1, 0)->code == UVDIO_EFORK);
  EXPECT(t_adopt(op_new(t), f->engine, &f->other, 0, UVDIO_O_RDWR)->code == UVDIO_EFORK);
  EXPECT(t_release(op_new(t), &f->file)->code == UVDIO_EFORK);
  EXPECT(buf.base != NULL && buf.len == PAGE);
  EXPECT(uvdio_buf_release(&buf) == 0);
  return 0;
}

static void idle_engine_is_refused_in_the_child(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  run(f);
  assert_int_equal(fork_and_do(every_operation_is_refused, f), 0);
  assert_parent_undisturbed(f);
}

static int nothing_can_be_cancelled(struct fixture* f) {
  for (unsigned i = 0; i < WRITES; i++) {
    EXPECT(writes[i]->done || t_cancel(writes[i]) == UVDIO_EFORK);
  }
  return every_operation_is_refused(f);
}

/* Some writes are with the kernel, some wait in the library (depth 4), some may be done. */
static void busy_engine_is_refused_in_the_child(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(fork_and_do(nothing_can_be_cancelled, f), 0);
  assert_parent_undisturbed(f);
}

static void engine_that_never_ran_is_refused_in_the_child(void** state) {
  struct fixture* f = *state;
  assert_int_equal(fork_and_do(every_operation_is_refused, f), 0);
  write_pages(f);
  assert_parent_undisturbed(f);
}

/*
 * The child gives everything back.
 */

/* What another engine has pending stays so. */
static int child_closes_the_engine_alone(struct fixture* f) {
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  while (f->closed == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  return 0;
}

/* libuv's own work of the parent may keep the child's loop alive, so this ends with the engine and
 * not with the loop. */
static int child_closes_the_engine(struct fixture* f) {
  unsigned expected = 0;
  for (unsigned i = 0; i < WRITES; i++) {
    expected += !writes[i]->done;
  }
  unsigned before = f->tracker.finished;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  while (f->closed == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  EXPECT(f->closed == 1);
  EXPECT(f->tracker.finished == before + expected);
  for (unsigned i = 0; i < WRITES; i++) {
    EXPECT(writes[i]->done == 1);
    EXPECT(writes[i]->result == PAGE || writes[i]->result == UVDIO_EFORK);
    EXPECT(writes[i]->back.base != NULL);
  }
  return 0;
}

static void child_can_close_the_engine(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(fork_and_do(child_closes_the_engine, f), 0);
  assert_parent_undisturbed(f);
}

static void child_can_close_an_engine_that_never_ran(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  assert_int_equal(fork_and_do(child_closes_the_engine, f), 0);
  assert_parent_undisturbed(f);
}

static int child_closes_with_a_sync(struct fixture* f) {
  struct tracked_op* sync = f->file.data;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(t_engine_close(f->engine, on_engine_closed) == 0);
  while (f->closed == 0) {
    uv_run(&f->loop, UV_RUN_ONCE);
  }
  EXPECT(sync->done == 1);
  EXPECT(sync->result == UVDIO_EFORK);
  return 0;
}

static void held_sync_ends_in_the_child_too(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  struct tracked_op* sync = t_sync_data(op_new(&f->tracker), &f->file);
  f->file.data = sync;
  assert_int_equal(fork_and_do(child_closes_with_a_sync, f), 0);
  assert_parent_undisturbed(f);
  assert_result(sync, 0);
}

/*
 * The child has an engine of its own.
 */

static int writes_with_its_own(struct fixture* f) {
  static uv_loop_t loop;
  static uvdio_file_t file;
  uvdio_engine_t* engine;
  struct tracker tracker;
  struct tracker* t = &tracker;
  uvdio_engine_options_t options = matrix_options();
  uvdio_buf_t page = filled(PAGE, 77);
  tracker_init(t);
  EXPECT(uv_loop_init(&loop) == 0);
  EXPECT(uvdio_engine_create(&engine, &loop, &options) == 0);
  struct tracked_op* open = t_open(op_new(t), engine, &file, path_of(f, "child"), UVDIO_OPEN_RW);
  EXPECT(open->code == 0);
  EXPECT(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  EXPECT(open->done == 1 && open->result == 0);
  struct tracked_op* write = t_write(op_new(t), &file, &page, 0);
  struct tracked_op* sync = t_sync_data(op_new(t), &file);
  EXPECT(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  EXPECT(write->result == PAGE && sync->done == 1 && sync->result == 0);
  EXPECT(t_engine_close(engine, NULL) == 0);
  EXPECT(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  EXPECT(uv_loop_close(&loop) == 0);
  tracker_finish(t);
  EXPECT(t->violation[0] == '\0');
  return 0;
}

static void child_can_have_its_own_engine(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(fork_and_do(writes_with_its_own, f), 0);
  assert_parent_undisturbed(f);
  if (!on_memory()) {
    open_now(f, &f->other, "child", UVDIO_OPEN_READ);
    assert_holds(f, &f->other, 0, PAGE, 77);
  }
}

static struct tracked_op* ops[MANY];
static unsigned op_count;

/* An engine that knows its thread, so that submissions go out from the submitting call. */
static int bound(void** state) {
  int failed = fixture_open(state);
  op_count = 0;
  if (!failed) {
    struct fixture* f = *state;
    put(f, &f->file, 0, (size_t)MANY * PAGE, 1);
    run_once(f);
  }
  return failed;
}

/* Descriptors of files in the test's folder. */
static unsigned files_open(const struct fixture* f) {
  char target[FILESYSTEM_PATH_MAX + 64];
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

static void add(struct tracked_op* op) {
  ops[op_count++] = op;
}

static void submit_reads(struct fixture* f, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    uvdio_buf_t page = blank(PAGE);
    add(t_read(op_new(&f->tracker), &f->file, &page, (uint64_t)i * PAGE));
  }
}

/*
 * The child closes the engine in the middle of its work.
 */

/* Descriptors that may be left. */
static unsigned tolerated;

static int child_closes(struct fixture* f) {
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
  EXPECT(files_open(f) <= tolerated);
  return 0;
}

/* What is in flight is the parent's, as long as nobody closes the engine: turns of the loop take
 * nothing. */
static int child_turns_then_closes(struct fixture* f) {
  unsigned finished = f->tracker.finished;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  for (unsigned i = 0; i < 10; i++) {
    uv_run(&f->loop, UV_RUN_NOWAIT);
  }
  EXPECT(f->tracker.finished == finished);
  return child_closes(f);
}

/*
 * What becomes of requests then.
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
  assert_int_equal(fork_and_do(child_closes, f), 0);
  assert_parent_has_its_pages(f);
}

static void child_may_run_the_loop_before(void** state) {
  struct fixture* f = *state;
  submit_reads(f, MANY);
  assert_int_equal(fork_and_do(child_turns_then_closes, f), 0);
  assert_parent_has_its_pages(f);
}

static void child_ends_requests_that_have_seen_a_turn(void** state) {
  struct fixture* f = *state;
  submit_reads(f, MANY);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(fork_and_do(child_turns_then_closes, f), 0);
  assert_parent_has_its_pages(f);
}

/* Nothing of it has to be failed: it is in line for its callback, and a turn before the close has
 * let the loop sleep. */
static void child_is_called_back_for_what_has_ended(void** state) {
  struct fixture* f = *state;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[UVDIO_ALIGNMENT];
  uvdio_buf_t nothing = uvdio_buf_wrap(bytes, 0);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &nothing, 0);
  assert_int_equal(fork_and_do(child_turns_then_closes, f), 0);
  run(f);
  assert_result(read, 0);
}

static void many_children_one_after_the_other(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 10; i++) {
    op_count = 0;
    submit_reads(f, MANY);
    assert_int_equal(fork_and_do(i % 2 == 0 ? child_closes : child_turns_then_closes, f), 0);
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
  assert_int_equal(fork_and_do(child_closes, f), 0);
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
  assert_int_equal(fork_and_do(child_closes, f), 0);
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
  assert_int_equal(fork_and_do(child_closes, f), 0);
  run(f);
  f->engine = NULL;
  assert_int_equal(f->closed, 1);
  for (unsigned i = 0; i < 8; i++) {
    assert_result(ops[i], PAGE);
  }
}

/*
 * What becomes of descriptors.
 */

static void child_closes_a_file_left_open(void** state) {
  struct fixture* f = *state;
  assert_int_equal(fork_and_do(child_closes, f), 0);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

static void child_closes_a_file_whose_close_is_held(void** state) {
  struct fixture* f = *state;
  submit_reads(f, 8);
  add(t_close(op_new(&f->tracker), &f->file));
  assert_int_equal(fork_and_do(child_closes, f), 0);
  run(f);
  assert_result(ops[7], PAGE);
  assert_result(ops[8], 0);
  assert_int_equal(files_open(f), 0);
}

/* Operations on names let go of their directories when they are called back. */
static void child_closes_a_directory_that_is_held(void** state) {
  static uvdio_file_t base;
  struct fixture* f = *state;
  struct target target = {.base = &base, .path = "new"};
  assert_result(t_open(op_now(&f->tracker), f->engine, &base, f->dir, UVDIO_O_DIRECTORY), 0);
  add(t_at(op_new(&f->tracker), UVDIO_OP_MKDIR, &target));
  add(t_close(op_new(&f->tracker), &base));
  assert_int_equal(fork_and_do(child_closes, f), 0);
  run(f);
  assert_result(ops[0], 0);
  assert_result(ops[1], 0);
}

/* May leave so many descriptors open. */
static void let_a_child_close(struct fixture* f, unsigned leaving) {
  tolerated = leaving;
  int child = fork_and_do(child_closes, f);
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

/* A release makes no call: whatever its worker has come to, the descriptor is there, and nobody in
 * the child is told of it. */
static void child_closes_a_file_whose_release_is_on_its_way(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("descriptors");
  add(t_release(op_new(&f->tracker), &f->file));
  assert_int_equal(fork_and_do(child_closes, f), 0);
  run(f);
  assert_int_equal(close((int)ops[0]->result), 0);
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
  int child = fork_and_do(child_closes, f);
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

/*
 * libuv's lock of the loop.
 */

struct holder {
  uv_loop_t* loop;
  uv_sem_t holds;
};

/* Whether the list that the lock is for is half changed. */
static int within_change;

/* As a worker that adds what it has done to the loop's list, but for longer. */
static void hold_the_lock_for_a_while(void* data) {
  struct holder* holder = data;
  uv_mutex_lock(&holder->loop->wq_mutex);
  within_change = 1;
  uv_sem_post(&holder->holds);
  uv_sleep(10);
  within_change = 0;
  uv_mutex_unlock(&holder->loop->wq_mutex);
}

/* Where libuv has none of the engine's work, its list is of no interest. */
static int child_closes_with_a_whole_list(struct fixture* f) {
  EXPECT(!within_change || matrix.backend != UVDIO_BACKEND_POOL);
  return child_closes(f);
}

static void child_has_no_lock_of_a_worker_on_the_loop(void** state) {
  struct fixture* f = *state;
  struct holder holder = {.loop = &f->loop};
  uv_thread_t thread;
  submit_reads(f, MANY);
  assert_ok(uv_sem_init(&holder.holds, 0));
  assert_ok(uv_thread_create(&thread, hold_the_lock_for_a_while, &holder));
  uv_sem_wait(&holder.holds);
  int child = fork_and_do(child_closes_with_a_whole_list, f);
  assert_ok(uv_thread_join(&thread));
  uv_sem_destroy(&holder.holds);
  assert_int_equal(child, 0);
  assert_parent_has_its_pages(f);
}

static unsigned pages_read;

static void count_page(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  (void)req;
  pages_read += result == PAGE;
  (void)uvdio_buf_release(&buf);
}

/* Two engines of one loop, both with works: its lock is taken and renewed once. */
static void fork_with_two_engines_on_the_loop(void** state) {
  static uvdio_file_t file;
  static uvdio_req_t reqs[8];
  struct fixture* f = *state;
  uvdio_engine_options_t options = matrix_options();
  uvdio_engine_t* second;
  NOT_ON_MEMORY("files that two engines could share");
  memset(&file, 0, sizeof(file));
  pages_read = 0;
  assert_ok(uvdio_engine_create(&second, &f->loop, &options));
  assert_ok(uvdio_open(second, &file, &reqs[0], path_of(f, "file"),
                       UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED, 0, NULL));
  submit_reads(f, COUNT_OF(reqs));
  for (unsigned i = 0; i < COUNT_OF(reqs); i++) {
    uvdio_buf_t page = blank(PAGE);
    assert_ok(uvdio_read(&file, &reqs[i], &page, (uint64_t)i * PAGE, count_page));
  }
  assert_int_equal(fork_and_do(child_closes_the_engine_alone, f), 0);
  run(f);
  assert_int_equal(pages_read, COUNT_OF(reqs));
  for (unsigned i = 0; i < COUNT_OF(reqs); i++) {
    assert_result(ops[i], PAGE);
  }
  assert_ok(uvdio_engine_close(second, NULL));
  run(f);
}

/*
 * A log
 */

static uvdio_log_t* parents_log;

static void on_log(uvdio_log_t* log, int status, void* arg) {
  (void)log;
  *(int*)arg = status;
}

static void on_record_durable(uvdio_log_append_t* append, int status) {
  *(int*)append->data = status;
}

/* All of its memory is given back. */
static int child_destroys_the_log(struct fixture* f) {
  int line = child_closes_the_engine_alone(f);
  size_t before = uvdio_allocations();
  EXPECT(line == 0);
  EXPECT(uvdio_log_destroy(parents_log) == 0);
  EXPECT(uvdio_allocations() + 4 == before); /* an arena: its memory, its links, and itself twice */
  return 0;
}

static void child_can_destroy_a_log(void** state) {
  struct fixture* f = *state;
  uvdio_log_options_t options = {.segment_size = 2 * MIB, .buffer_size = MIB};
  int status = 1;
  uvdio_log_append_t append = {.data = &status};
  t_mkdir(op_now(&f->tracker), f->engine, path_of(f, "wal"));
  assert_ok(
      uvdio_log_open(&parents_log, f->engine, path_of(f, "wal"), &options, NULL, on_log, &status));
  run_untracked(f);
  assert_ok(status);
  assert_int_equal(fork_and_do(child_destroys_the_log, f), 0);
  status = 1;
  assert_ok(uvdio_log_append(parents_log, &append, "record", 6, on_record_durable));
  run_untracked(f);
  assert_ok(status);
  assert_ok(uvdio_log_close(parents_log, on_log, &status));
  run_untracked(f);
  assert_ok(status);
}

/*
 * Handlers of the program's own. The library's were registered when it was loaded: a program's run
 * before them in the parent, and after them in the child.
 */

static struct fixture* to_handle;
static int line_of_handler;

/* Runs the loop, and has an engine for itself: no lock of the library's is taken by then. */
static void before_a_fork(void) {
  struct fixture* f = to_handle;
  if (f != NULL) {
    while (f->tracker.finished < f->tracker.accepted) {
      uv_run(&f->loop, UV_RUN_ONCE);
    }
    line_of_handler = writes_with_its_own(f);
  }
}

/* The fork is counted, and the parent's engine refused. */
static void in_a_forked_child(void) {
  if (to_handle != NULL && line_of_handler == 0) {
    line_of_handler = every_operation_is_refused(to_handle);
  }
}

static int handlers_were_content(struct fixture* f) {
  EXPECT(f == to_handle);
  to_handle = NULL;
  return line_of_handler;
}

static void handlers_of_forks_may_use_the_library(void** state) {
  struct fixture* f = *state;
  submit_reads(f, MANY);
  to_handle = f;
  int child = fork_and_do(handlers_were_content, f);
  to_handle = NULL;
  assert_int_equal(line_of_handler, 0);
  assert_int_equal(child, 0);
  assert_parent_has_its_pages(f);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, idle_engine_is_refused_in_the_child),
      TEST_ON(fixture_open_at_depth_4, busy_engine_is_refused_in_the_child),
      TEST_ON(fixture_open, engine_that_never_ran_is_refused_in_the_child),
      TEST_ON(fixture_open_at_depth_4, child_can_close_the_engine),
      TEST_ON(fixture_open, child_can_close_an_engine_that_never_ran),
      TEST_ON(fixture_open_at_depth_4, held_sync_ends_in_the_child_too),
      TEST_ON(fixture_open_at_depth_4, child_can_have_its_own_engine),
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
      TEST_ON(bound, child_closes_a_directory_that_is_held),
      TEST_ON(bound, child_keeps_off_a_close_that_is_on_its_way),
      TEST_ON(bound, child_closes_a_file_whose_release_is_on_its_way),
      TEST_ON(bound, child_closes_a_file_that_is_half_open),
      TEST_ON(bound, child_can_not_know_of_an_open_that_is_on_its_way),
      TEST_ON(bound, child_has_no_lock_of_a_worker_on_the_loop),
      TEST_ON(bound, fork_with_two_engines_on_the_loop),
      TEST_ON(fixture_engine, child_can_destroy_a_log),
      TEST_ON(bound, handlers_of_forks_may_use_the_library),
  };
  if (UNDER_TSAN) {
    skip_line("the thread sanitizer does not follow a fork with threads");
    return SKIPPED_PROGRAM;
  }
  if (pthread_atfork(before_a_fork, NULL, in_a_forked_child) != 0) {
    return 1;
  }
  workers_begin();
  return matrix_main("fork", tests, COUNT_OF(tests), argc, argv);
}
