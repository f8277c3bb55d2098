/* SPDX-License-Identifier: MIT */
/*
 * A process that may start no more tasks (ulimit -u, a container's limit): what the kernel would
 * give to a worker of its own goes to libuv's threads, where there are any; where they can't be
 * started either, the error says so, and nothing aborts. Threads that only try that out are gone
 * afterwards.
 *
 * All of it in forked children, whose first work of libuv's is theirs; where tasks are limited, as
 * an ordinary user: root is under no such limit.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"

struct work {
  const struct fixture* f;
};

struct outcome {
  int64_t result;
  int done;
};

static void on_done(uvdio_req_t* req, int64_t result) {
  struct outcome* outcome = req->data;
  outcome->result = result;
  outcome->done++;
}

static void on_moved(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  on_done(req, result);
  (void)uvdio_buf_release(&buf);
}

static int allow_tasks(rlim_t count) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NPROC, &limit) != 0) {
    return -1;
  }
  limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
  return setrlimit(RLIMIT_NPROC, &limit);
}

/* Opens, writes, preallocates, truncates, syncs, closes: the line of the first that did not end as
 * it should. */
static int do_everything(uvdio_engine_t* engine, uv_loop_t* loop, const char* path) {
  static uvdio_file_t file;
  uvdio_req_t req = {0};
  struct outcome outcome = {0};
  uvdio_buf_t page;
  req.data = &outcome;
  EXPECT(uvdio_open(engine, &file, &req, path, UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED, 0644,
                    on_done) == 0);
  EXPECT(uv_run(loop, UV_RUN_DEFAULT) == 0 && outcome.result == 0);
  EXPECT(uvdio_buf_alloc(&page, PAGE, 0) == 0);
  memset(page.base, 1, PAGE);
  page.len = PAGE;
  EXPECT(uvdio_write(&file, &req, &page, 0, on_moved) == 0);
  EXPECT(uv_run(loop, UV_RUN_DEFAULT) == 0 && outcome.result == PAGE);
  EXPECT(uvdio_preallocate(&file, &req, 0, 1 << 20, 0, on_done) == 0);
  EXPECT(uv_run(loop, UV_RUN_DEFAULT) == 0 &&
         (outcome.result == 0 || outcome.result == UV_ENOTSUP));
  EXPECT(uvdio_truncate(&file, &req, 2 * PAGE, on_done) == 0);
  EXPECT(uv_run(loop, UV_RUN_DEFAULT) == 0 && outcome.result == 0);
  EXPECT(uvdio_sync_data(&file, &req, on_done) == 0);
  EXPECT(uv_run(loop, UV_RUN_DEFAULT) == 0 && outcome.result == 0);
  EXPECT(uvdio_close(&file, &req, on_done) == 0);
  EXPECT(uv_run(loop, UV_RUN_DEFAULT) == 0 && outcome.result == 0);
  EXPECT(outcome.done == 6);
  return 0;
}

static void nothing(uv_work_t* work) {
  (void)work;
}

static int work_without_tasks(void* data) {
  const struct work* work = data;
  uvdio_engine_options_t options = matrix_options();
  uvdio_engine_stats_t stats;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uv_work_t first;
  EXPECT(chdir(work->f->dir) == 0 && become_nobody() == 0);
  EXPECT(uv_loop_init(&loop) == 0 && uvdio_engine_create(&engine, &loop, &options) == 0);
  EXPECT(uv_queue_work(&loop, &first, nothing, NULL) == 0 && uv_run(&loop, UV_RUN_DEFAULT) == 0);
  EXPECT(allow_tasks(1) == 0);
  int line = do_everything(engine, &loop, "limited");
  EXPECT(uvdio_engine_stats(engine, &stats) == 0);
  EXPECT(line != 0 || stats.cancelled == 0);
  return line;
}

/* An engine with a file, of a process in which nobody has used libuv's threads yet. */
struct beginner {
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uvdio_file_t file;
  uvdio_req_t req;
  struct outcome outcome;
};

static int begin(struct beginner* b, const char* path) {
  uvdio_engine_options_t options = matrix_options();
  memset(b, 0, sizeof(*b));
  b->req.data = &b->outcome;
  EXPECT(uv_loop_init(&b->loop) == 0 && uvdio_engine_create(&b->engine, &b->loop, &options) == 0);
  EXPECT(uvdio_open(b->engine, &b->file, &b->req, path, UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED,
                    0644, NULL) == 0);
  return 0;
}

/* Which no ring has. */
static int ask_for_the_size(struct beginner* b) {
  EXPECT(uvdio_size(&b->file, &b->req, on_done) == 0);
  EXPECT(uv_run(&b->loop, UV_RUN_DEFAULT) == 0);
  return 0;
}

static int work_without_threads(void* data) {
  const struct work* work = data;
  static struct beginner b;
  EXPECT(chdir(work->f->dir) == 0 && become_nobody() == 0);
  EXPECT(begin(&b, "without") == 0);
  EXPECT(allow_tasks(1) == 0);
  EXPECT(ask_for_the_size(&b) == 0);
  EXPECT(b.outcome.done == 1 && b.outcome.result == UVDIO_EPOOL);
  EXPECT(allow_tasks(RLIM_INFINITY) == 0);
  EXPECT(ask_for_the_size(&b) == 0);
  EXPECT(b.outcome.done == 2 && b.outcome.result == 0);
  EXPECT(uvdio_close(&b.file, &b.req, NULL) == 0);
  return 0;
}

/*
 * Threads that are started to see whether they can be, by calls that the linker wraps. Where libuv
 * is part of the program, its own come by here as well, after those.
 */

int __real_uv_thread_create(uv_thread_t* thread, uv_thread_cb entry, void* argument);
int __wrap_uv_thread_create(uv_thread_t* thread, uv_thread_cb entry, void* argument);
int __real_uv_thread_join(uv_thread_t* thread);
int __wrap_uv_thread_join(uv_thread_t* thread);

enum { TRIED = 3 };

static uv_thread_t started[TRIED];
static unsigned starts;
static unsigned joins; /* of these, in their order */

int __wrap_uv_thread_create(uv_thread_t* thread, uv_thread_cb entry, void* argument) {
  int error = __real_uv_thread_create(thread, entry, argument);
  if (error == 0 && joins == 0 && starts++ < TRIED) {
    started[starts - 1] = *thread;
  }
  return error;
}

int __wrap_uv_thread_join(uv_thread_t* thread) {
  joins += joins < TRIED && uv_thread_equal(thread, &started[joins]) != 0;
  return __real_uv_thread_join(thread);
}

static int try_threads_out(void* data) {
  const struct work* work = data;
  static struct beginner b;
  EXPECT(setenv("UV_THREADPOOL_SIZE", "3", 1) == 0);
  EXPECT(begin(&b, path_of(work->f, "tried")) == 0);
  EXPECT(ask_for_the_size(&b) == 0);
  EXPECT(b.outcome.done == 1 && b.outcome.result == 0);
  EXPECT(starts == TRIED && joins == TRIED);
  EXPECT(uvdio_close(&b.file, &b.req, NULL) == 0);
  return 0;
}

static void threads_that_are_tried_out_are_joined(void** state) {
  struct work work = {*state};
  assert_int_equal(in_a_child(try_threads_out, &work), 0);
}

static void what_needs_a_kernel_worker_goes_to_the_pool(void** state) {
  struct work work = {*state};
  need_a_way_for_nobody(work.f->dir);
  assert_int_equal(in_a_child(work_without_tasks, &work), 0);
}

static void threads_that_cannot_be_started_are_an_error(void** state) {
  struct work work = {*state};
  need_a_way_for_nobody(work.f->dir);
  assert_int_equal(in_a_child(work_without_threads, &work), 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_loop, what_needs_a_kernel_worker_goes_to_the_pool),
      TEST_ON(fixture_loop, threads_that_cannot_be_started_are_an_error),
      TEST_ON(fixture_loop, threads_that_are_tried_out_are_joined),
  };
  return matrix_main("thread_limit", tests, COUNT_OF(tests), argc, argv);
}
