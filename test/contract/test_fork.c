/* SPDX-License-Identifier: MIT */
/*
 * fork(2): the child gets errors and not the parent's completions, and the parent notices nothing.
 * A child that wants to go on with the loop closes the engine; one that wants to do I/O makes an
 * engine of its own.
 *
 * The child's part returns 0 or the number of the line that was not as expected; nothing of cmocka
 * runs there.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE
#define MANY 32
#define CHILD_TIME 60 /* seconds, after which a child that hangs is killed */

#define EXPECT(condition) \
  do {                    \
    if (!(condition)) {   \
      return __LINE__;    \
    }                     \
  } while (0)

typedef int (*child_part)(struct fixture* f);

static void be_the_child(struct fixture* f, child_part part) {
  alarm(CHILD_TIME);
  int line = part(f);
  if (line == 0 && f->tracker.violation[0] != '\0') {
    fprintf(stderr, "in the child: %s\n", f->tracker.violation);
    line = -1;
  }
  if (line != 0) {
    fprintf(stderr, "in the child: %s:%d\n", __FILE__, line);
  }
  if (line == 0 && under_valgrind()) {
    /* Works that the parent's threads have are out of the child's reach, and their memory stays: a
     * new program instead of an exit, where valgrind would count that as a leak. */
    execlp("true", "true", (char*)NULL);
  }
  exit_child(line != 0);
}

/* Returns the child's wait status: 0 when all was as expected. */
static int in_a_child(struct fixture* f, child_part part) {
  int status = -1;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    be_the_child(f, part);
  }
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

static int depth_4(void** state) {
  uvdio_engine_options_t options = {0};
  options.depth = 4;
  return fixture_open_with(state, options);
}

static struct top* writes[MANY];

static void write_pages(struct fixture* f) {
  for (unsigned i = 0; i < MANY; i++) {
    uvdio_buf_t page = filled(PAGE, i);
    writes[i] = t_write(op_new(&f->tracker), &f->file, &page, (uint64_t)i * PAGE);
  }
}

static void assert_parent_undisturbed(struct fixture* f) {
  run(f);
  for (unsigned i = 0; i < MANY; i++) {
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
  EXPECT(t_read(op_new(t), &f->file, &buf, 0)->code == UVDIO_EFORK);
  EXPECT(t_read_exact(op_now(t), &f->file, &buf, 0)->code == UVDIO_EFORK);
  EXPECT(t_write(op_new(t), &f->file, &buf, 0)->code == UVDIO_EFORK);
  EXPECT(t_write(op_now(t), &f->file, &buf, 0)->code == UVDIO_EFORK);
  EXPECT(t_sync_data(op_new(t), &f->file)->code == UVDIO_EFORK);
  EXPECT(t_sync_all(op_now(t), &f->file)->code == UVDIO_EFORK);
  EXPECT(t_size(op_new(t), &f->file)->code == UVDIO_EFORK);
  EXPECT(t_truncate(op_new(t), &f->file, 0)->code == UVDIO_EFORK);
  EXPECT(t_preallocate(op_new(t), &f->file, PAGE)->code == UVDIO_EFORK);
  EXPECT(t_close(op_new(t), &f->file)->code == UVDIO_EFORK);
  EXPECT(t_open(op_new(t), f->engine, &f->other, path_of(f, "x"), UVDIO_OPEN_RW)->code ==
         UVDIO_EFORK);
  EXPECT(buf.base != NULL && buf.len == PAGE);
  EXPECT(uvdio_buf_release(&buf) == 0);
  return 0;
}

static void idle_engine_is_refused_in_the_child(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  run(f);
  assert_int_equal(in_a_child(f, every_operation_is_refused), 0);
  assert_parent_undisturbed(f);
}

static int nothing_can_be_cancelled(struct fixture* f) {
  for (unsigned i = 0; i < MANY; i++) {
    EXPECT(writes[i]->done || t_cancel(writes[i]) == UVDIO_EFORK);
  }
  return every_operation_is_refused(f);
}

/* Some writes are with the kernel, some wait in the library (depth 4), some may be done. */
static void busy_engine_is_refused_in_the_child(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(in_a_child(f, nothing_can_be_cancelled), 0);
  assert_parent_undisturbed(f);
}

static void engine_that_never_ran_is_refused_in_the_child(void** state) {
  struct fixture* f = *state;
  assert_int_equal(in_a_child(f, every_operation_is_refused), 0);
  write_pages(f);
  assert_parent_undisturbed(f);
}

/*
 * The child gives everything back.
 */

/* libuv's own work of the parent may keep the child's loop alive, so this ends with the engine and
 * not with the loop. */
static int child_closes_the_engine(struct fixture* f) {
  unsigned expected = 0;
  for (unsigned i = 0; i < MANY; i++) {
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
  for (unsigned i = 0; i < MANY; i++) {
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
  assert_int_equal(in_a_child(f, child_closes_the_engine), 0);
  assert_parent_undisturbed(f);
}

static void child_can_close_an_engine_that_never_ran(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  assert_int_equal(in_a_child(f, child_closes_the_engine), 0);
  assert_parent_undisturbed(f);
}

static int child_closes_with_a_sync(struct fixture* f) {
  struct top* sync = f->file.data;
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
  struct top* sync = t_sync_data(op_new(&f->tracker), &f->file);
  f->file.data = sync;
  assert_int_equal(in_a_child(f, child_closes_with_a_sync), 0);
  assert_parent_undisturbed(f);
  assert_result(sync, 0);
}

/*
 * The child has an engine of its own.
 */

static int child_writes_with_its_own(struct fixture* f) {
  static uv_loop_t loop;
  static uvdio_file_t file;
  uvdio_engine_t* engine;
  struct tracker* t = &f->tracker;
  uvdio_engine_options_t options = matrix_options();
  uvdio_buf_t page = filled(PAGE, 77);
  t->thread = uv_thread_self();
  EXPECT(uv_loop_init(&loop) == 0);
  EXPECT(uvdio_engine_create(&engine, &loop, &options) == 0);
  struct top* open = t_open(op_new(t), engine, &file, path_of(f, "child"), UVDIO_OPEN_RW);
  EXPECT(open->code == 0);
  EXPECT(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  EXPECT(open->done == 1 && open->result == 0);
  struct top* write = t_write(op_new(t), &file, &page, 0);
  struct top* sync = t_sync_data(op_new(t), &file);
  EXPECT(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  EXPECT(write->result == PAGE && sync->done == 1 && sync->result == 0);
  EXPECT(t_engine_close(engine, NULL) == 0);
  EXPECT(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  EXPECT(uv_loop_close(&loop) == 0);
  return 0;
}

static void child_can_have_its_own_engine(void** state) {
  struct fixture* f = *state;
  write_pages(f);
  uv_run(&f->loop, UV_RUN_NOWAIT);
  assert_int_equal(in_a_child(f, child_writes_with_its_own), 0);
  assert_parent_undisturbed(f);
  if (!on_memory()) {
    open_now(f, &f->other, "child", UVDIO_OPEN_READ);
    assert_holds(f, &f->other, 0, PAGE, 77);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, idle_engine_is_refused_in_the_child),
      TEST_ON(depth_4, busy_engine_is_refused_in_the_child),
      TEST_ON(fixture_open, engine_that_never_ran_is_refused_in_the_child),
      TEST_ON(depth_4, child_can_close_the_engine),
      TEST_ON(fixture_open, child_can_close_an_engine_that_never_ran),
      TEST_ON(depth_4, held_sync_ends_in_the_child_too),
      TEST_ON(depth_4, child_can_have_its_own_engine),
  };
  if (UNDER_TSAN) {
    skip_line("the thread sanitizer does not follow a fork with threads");
    return SKIPPED_PROGRAM;
  }
  return matrix_main("fork", tests, COUNT_OF(tests), argc, argv);
}
