/* SPDX-License-Identifier: MIT */
/*
 * Limits that a transfer runs into half-way: the file size limit of the process, a full disk. What
 * was moved is told, and it is there.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"
#include "uvdio/append.h"

#define KIB 1024u

/*
 * RLIMIT_FSIZE. It holds for the whole process and all its files, so it lies around as little as
 * possible.
 */

static void limit_file_size(rlim_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void lift_limit(void) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static struct tracked_op* write_under_limit(struct fixture* f, struct tracked_op* op, size_t size) {
  uvdio_buf_t buf = filled(size, 1);
  limit_file_size(PAGE);
  t_write(op, &f->file, &buf, 0);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  lift_limit();
  if (op->blocking) {
    op->back = buf;
  }
  return op;
}

static void assert_stopped_at_a_page(struct fixture* f, const struct tracked_op* write) {
  assert_result(write, UV_EFBIG);
  assert_int_equal(write->req.transferred, PAGE);
  assert_size(f, &f->file, PAGE);
  assert_holds(f, &f->file, 0, PAGE, 1);
}

static void write_over_the_file_size_limit_tells_how_far_it_came(void** state) {
  struct fixture* f = *state;
  assert_stopped_at_a_page(f, write_under_limit(f, op_new(&f->tracker), 2 * PAGE));
  assert_true(stats_of(f).resumed >= 1);
}

static void long_write_over_the_limit_does_the_same(void** state) {
  struct fixture* f = *state;
  assert_stopped_at_a_page(f, write_under_limit(f, op_new(&f->tracker), MIB));
}

static void synchronous_write_over_the_limit_does_the_same(void** state) {
  struct fixture* f = *state;
  assert_stopped_at_a_page(f, write_under_limit(f, op_now(&f->tracker), 2 * PAGE));
}

static void write_beyond_the_limit_moves_nothing(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t buf = filled(PAGE, 1);
  limit_file_size(PAGE);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, PAGE);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  lift_limit();
  assert_result(write, UV_EFBIG);
  assert_int_equal(write->req.transferred, 0);
  assert_size(f, &f->file, 0);
}

/* Others in the same batch are not to suffer. */
static void one_bad_write_leaves_the_others_alone(void** state) {
  struct fixture* f = *state;
  enum { MANY = 30 };
  struct tracked_op* writes[MANY];
  limit_file_size(MANY / 2 * PAGE);
  for (unsigned i = 0; i < MANY; i++) {
    writes[i] = write_page(f, i);
  }
  uv_run(&f->loop, UV_RUN_DEFAULT);
  lift_limit();
  for (unsigned i = 0; i < MANY; i++) {
    assert_result(writes[i], i < MANY / 2 ? PAGE : UV_EFBIG);
  }
}

/* An appender goes on without growth, up to the limit. */
static void note_append(uvdio_append_t* append, int64_t result) {
  *(int64_t*)append->data = result;
}

static void growth_over_the_limit_is_no_error(void** state) {
  struct fixture* f = *state;
  static const char bytes[PAGE] = "bytes";
  const uvdio_appender_options_t options = {.grow_min = MIB};
  int64_t results[3] = {1, 1, 1};
  uvdio_append_t appends[3] = {{.data = &results[0]}, {.data = &results[1]}, {.data = &results[2]}};
  uvdio_appender_t* appender;
  limit_file_size(2 * PAGE);
  assert_ok(uvdio_appender_create(&appender, &f->file, &options));
  for (unsigned i = 0; i < 2; i++) {
    assert_ok(uvdio_append(appender, &appends[i], bytes, PAGE, 0, note_append));
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(results[i], PAGE);
  }
  assert_size(f, &f->file, 2 * PAGE);
  assert_ok(uvdio_append(appender, &appends[2], bytes, 1, 0, note_append));
  uv_run(&f->loop, UV_RUN_DEFAULT);
  lift_limit();
  assert_int_equal(results[2], UV_EFBIG);
  assert_ok(uvdio_appender_destroy(appender));
  count_untracked(f);
}

/*
 * The signal that comes with the limit, in a process of its own: whoever follows the header gets
 * the error.
 */

struct past_the_limit {
  char path[FILESYSTEM_PATH_MAX + 16];
  uvdio_op_t op;
  void (*disposition)(int);
  int64_t result;
};

static void note_result(uvdio_req_t* req, int64_t result) {
  ((struct past_the_limit*)req->data)->result = result;
}

static void note_transfer(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio_buf_release(&buf);
  note_result(req, result);
}

static int submit_past_the_limit(struct past_the_limit* past, uvdio_file_t* file,
                                 uvdio_req_t* req) {
  uvdio_buf_t page;
  if (past->op == UVDIO_OP_TRUNCATE) {
    return uvdio_truncate(file, req, 2 * PAGE, note_result);
  }
  if (past->op == UVDIO_OP_PREALLOCATE) {
    return uvdio_preallocate(file, req, 0, 2 * PAGE, 0, note_result);
  }
  EXPECT(uvdio_buf_page(&page) == 0);
  return uvdio_write(file, req, &page, PAGE, note_transfer);
}

static int go_past_the_limit(void* data) {
  struct past_the_limit* past = data;
  const struct rlimit one_page = {PAGE, PAGE};
  const struct rlimit no_core = {0, 0};
  uvdio_engine_options_t options = matrix_options();
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uvdio_file_t file = {0};
  uvdio_req_t req = {.data = past};
  EXPECT(uv_loop_init(&loop) == 0 && uvdio_engine_create(&engine, &loop, &options) == 0);
  EXPECT(uvdio_open(engine, &file, &req, past->path, UVDIO_OPEN_CREATE, 0600, NULL) == 0);
  EXPECT(setrlimit(RLIMIT_CORE, &no_core) == 0 && setrlimit(RLIMIT_FSIZE, &one_page) == 0);
  EXPECT(signal(SIGXFSZ, past->disposition) != SIG_ERR);
  EXPECT(submit_past_the_limit(past, &file, &req) == 0);
  EXPECT(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  EXPECT(past->result == UV_EFBIG);
  EXPECT(uvdio_engine_close(engine, NULL) == 0 && uv_run(&loop, UV_RUN_DEFAULT) == 0 &&
         uv_loop_close(&loop) == 0);
  return 0;
}

static int status_past_the_limit(struct fixture* f, uvdio_op_t op, void (*disposition)(int)) {
  struct past_the_limit past = {.op = op, .disposition = disposition};
  snprintf(past.path, sizeof(past.path), "%s", path_of(f, "file"));
  return in_a_child(go_past_the_limit, &past);
}

static void on_limit(int number) {
  (void)number;
}

static const uvdio_op_t limited[] = {UVDIO_OP_WRITE, UVDIO_OP_TRUNCATE, UVDIO_OP_PREALLOCATE};

static void limit_is_an_error_where_its_signal_is_ignored_or_handled(void** state) {
  for (size_t i = 0; i < COUNT_OF(limited); i++) {
    assert_int_equal(status_past_the_limit(*state, limited[i], SIG_IGN), 0);
    assert_int_equal(status_past_the_limit(*state, limited[i], on_limit), 0);
  }
}

/* A worker of the kernel's, which a ring may use, is sent none that ends the process. */
static void limit_ends_a_process_that_does_not_mind_its_signal(void** state) {
  if (under_valgrind() || UNDER_ASAN || UNDER_TSAN) {
    SKIP("what watches the program may have signals of its own");
  }
  for (size_t i = 0; i < COUNT_OF(limited); i++) {
    int status = status_past_the_limit(*state, limited[i], SIG_DFL);
    int is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ;
    assert_true(is_killed || (status == 0 && matrix.backend == UVDIO_BACKEND_RING));
  }
}

/* Memory that has gone from under a mapping is an error, too: the kernel moves the bytes, and sends
 * nobody a signal. */
static void memory_that_is_gone_is_an_error(void** state) {
  struct fixture* f = *state;
  int descriptor = open(path_of(f, "mapped"), O_RDWR | O_CREAT, 0600);
  assert_true(descriptor >= 0 && ftruncate(descriptor, PAGE) == 0);
  void* memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  assert_true(memory != MAP_FAILED);
  put(f, &f->file, 0, PAGE, 1);
  assert_int_equal(ftruncate(descriptor, 0), 0);
  uvdio_buf_t from = uvdio_buf_view_bytes(memory, PAGE);
  uvdio_buf_t into = uvdio_buf_wrap(memory, PAGE);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &from, 0);
  run(f);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &into, 0);
  run(f);
  assert_result(write, UV_EFAULT);
  assert_result(read, UV_EFAULT);
  assert_holds(f, &f->file, 0, PAGE, 1);
  munmap(memory, PAGE);
  close(descriptor);
}

/*
 * A full disk.
 */

static struct filesystem small;

static void open_on_small(struct fixture* f, const char* kind, uint64_t size) {
  char why[FILESYSTEM_WHY_MAX];
  char path[FILESYSTEM_PATH_MAX + 16];
  if (filesystem_make(&small, kind, size, why) != 0) {
    SKIP_AS_TOLD(why);
  }
  snprintf(path, sizeof(path), "%s/file", small.dir);
  assert_result(t_open(op_now(&f->tracker), f->engine, &f->file, path, UVDIO_OPEN_RW), 0);
}

static int tear_down(void** state) {
  int failed = fixture_tear_down(state);
  filesystem_remove(&small);
  return failed;
}

static void fill_up(struct fixture* f, size_t size) {
  uvdio_buf_t buf = filled(size, 1);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &buf, 0);
  run(f);
  assert_result(write, UV_ENOSPC);
  size_t written = write->req.transferred;
  assert_true(written < size);
  assert_int_equal(written % PAGE, 0);
  assert_true(is_pattern(write->back.base, size, 1));
  if (written > 0) {
    assert_holds(f, &f->file, 0, written, 1);
  }
}

static void full_tmpfs_takes_what_it_can(void** state) {
  struct fixture* f = *state;
  open_on_small(f, "tmpfs", 256 * KIB);
  fill_up(f, MIB);
}

static void full_ext4_takes_what_it_can(void** state) {
  struct fixture* f = *state;
  open_on_small(f, "ext4", 16 * MIB);
  fill_up(f, 32 * MIB);
}

static void space_that_is_not_there_is_not_reserved(void** state) {
  struct fixture* f = *state;
  open_on_small(f, "ext4", 16 * MIB);
  struct tracked_op* preallocate = t_preallocate(op_new(&f->tracker), &f->file, 64 * MIB);
  run(f);
  assert_result(preallocate, UV_ENOSPC);
  assert_code(uvdio_file_info(&f->file, &(uvdio_file_info_t){0}), 0);
  put(f, &f->file, 0, PAGE, 1);
}

static void file_goes_on_after_a_full_disk(void** state) {
  struct fixture* f = *state;
  open_on_small(f, "tmpfs", 256 * KIB);
  fill_up(f, MIB);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 0), 0);
  put(f, &f->file, 0, 64 * KIB, 2);
  assert_holds(f, &f->file, 0, 64 * KIB, 2);
  assert_result(t_sync_all(op_now(&f->tracker), &f->file), 0);
}

#define TEST_SMALL(function) cmocka_unit_test_setup_teardown(function, fixture_engine, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, write_over_the_file_size_limit_tells_how_far_it_came),
      TEST_ON(fixture_open, long_write_over_the_limit_does_the_same),
      TEST_ON(fixture_open, synchronous_write_over_the_limit_does_the_same),
      TEST_ON(fixture_open, write_beyond_the_limit_moves_nothing),
      TEST_ON(fixture_open, one_bad_write_leaves_the_others_alone),
      TEST_ON(fixture_open, growth_over_the_limit_is_no_error),
      TEST_ON(fixture_loop, limit_is_an_error_where_its_signal_is_ignored_or_handled),
      TEST_ON(fixture_loop, limit_ends_a_process_that_does_not_mind_its_signal),
      TEST_ON(fixture_open, memory_that_is_gone_is_an_error),
      TEST_SMALL(full_tmpfs_takes_what_it_can),
      TEST_SMALL(full_ext4_takes_what_it_can),
      TEST_SMALL(space_that_is_not_there_is_not_reserved),
      TEST_SMALL(file_goes_on_after_a_full_disk),
  };
  return matrix_main("transfer_limits", tests, COUNT_OF(tests), argc, argv);
}
