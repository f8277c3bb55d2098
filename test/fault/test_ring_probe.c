/* SPDX-License-Identifier: MIT */
/*
 * What a process finds out with its first ring holds for all that follow. Each test is a forked
 * child, because the first ring is each time another one.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "child.h"
#include "faults.h"
#include "fixture.h"
#include "ops.h"

static int set_up(void** state) {
  faults_reset();
  return fixture_loop(state);
}

static void skip_where_forks_are_not_followed(void) {
  if (UNDER_TSAN) {
    SKIP("the thread sanitizer does not follow a fork with threads");
  }
}

static int open_engine(uvdio_engine_t** engine, uv_loop_t* loop, unsigned busy_poll_us) {
  uvdio_engine_options_t options = matrix_options();
  options.depth = 8;
  options.busy_poll_us = busy_poll_us;
  return uvdio_engine_create(engine, loop, &options);
}

static void close_engine(uvdio_engine_t* engine, uv_loop_t* loop) {
  (void)uvdio_engine_close(engine, NULL);
  (void)uv_run(loop, UV_RUN_DEFAULT);
}

/* No kernel that has rings refuses all sets of flags: the last set is none. */
static int no_flags_will_do(void* data) {
  struct fixture* f = data;
  uvdio_engine_t* engine = NULL;
  fault_fail(CALL_SETUP, 1, FOR_GOOD, EINVAL);
  EXPECT(open_engine(&engine, &f->loop, 0) == UVDIO_EBACKEND);
  EXPECT(engine == NULL && fault_hits(CALL_SETUP) == 5);
  faults_reset();
  EXPECT(open_engine(&engine, &f->loop, 0) == 0); /* A refusal is not kept. */
  close_engine(engine, &f->loop);
  return 0;
}

static void kernel_that_takes_no_flags_has_no_ring(void** state) {
  skip_where_forks_are_not_followed();
  assert_ok(in_a_child(no_flags_will_do, *state));
}

static int first_entry_is_interrupted(void* data) {
  struct fixture* f = data;
  uvdio_engine_t* engine = NULL;
  fault_fail(CALL_SUBMIT, 1, 3, EINTR);
  EXPECT(open_engine(&engine, &f->loop, 0) == 0);
  EXPECT(fault_hits(CALL_SUBMIT) == 3);
  EXPECT(strcmp(uvdio_engine_backend(engine), "ring") == 0);
  close_engine(engine, &f->loop);
  return 0;
}

static void interrupted_probe_is_repeated(void** state) {
  skip_where_forks_are_not_followed();
  assert_ok(in_a_child(first_entry_is_interrupted, *state));
}

/* Pins for each ring anew, which is what the kernel is taken to allow. */
static int two_engines_register(struct fixture* f) {
  uvdio_arena_options_t arena_options = {MIB, 2, 0};
  uvdio_registration_t registration;
  uvdio_engine_t* engines[2];
  uvdio_arena_t* arena;
  EXPECT(uvdio_arena_create(&arena, &arena_options) == 0);
  for (unsigned i = 0; i < 2; i++) {
    EXPECT(open_engine(&engines[i], &f->loop, 0) == 0);
    faults_reset();
    unsigned before = fault_calls(CALL_SETUP);
    int error = uvdio_arena_register(engines[i], arena);
    EXPECT(error == 0 || error == UV_ENOTSUP);
    EXPECT(fault_calls(CALL_SETUP) == before); /* no vault is opened */
    EXPECT(uvdio_arena_registration(engines[i], arena, &registration) == 0);
    EXPECT(registration.bytes == (error == 0 ? 2 * MIB : 0));
  }
  close_engine(engines[0], &f->loop);
  close_engine(engines[1], &f->loop);
  EXPECT(uvdio_arena_destroy(arena, NULL) == 0);
  return 0;
}

/* The probe's rings are one, and one to copy from. */
static int no_second_ring(void* data) {
  fault_fail(CALL_SETUP, 2, ONCE, ENOMEM);
  return two_engines_register(data);
}

/* A person can act on a limit that is told. */
static int reason_tells_the_limit(void* data) {
  char expected[64];
  char reason[256];
  struct rlimit limit;
  (void)data;
  EXPECT(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
  snprintf(expected, sizeof(expected), "now %llu KiB", (unsigned long long)limit.rlim_cur / 1024);
  fault_fail(CALL_SETUP, 1, ONCE, ENOMEM);
  EXPECT(uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof(reason)) == UV_ENOMEM);
  EXPECT(strstr(reason, expected) != NULL);
  return 0;
}

static void lack_of_locked_memory_is_told(void** state) {
  skip_where_forks_are_not_followed();
  assert_ok(in_a_child(reason_tells_the_limit, *state));
}

/* What a person can do about it depends on what was refused, and how. */
static void each_refusal_is_told_in_words(void** state) {
  static const struct {
    enum fault_call call;
    unsigned nth;
    int error;
    int code;
    const char* begin;
    const char* advice;
  } cases[] = {
      {CALL_SETUP, 1, ENOSYS, UV_ENOSYS, "io_uring_setup is not there (ENOSYS): Linux ", "5.10"},
      {CALL_SETUP, 1, EPERM, UV_EPERM, "io_uring_setup is denied (EPERM)", "seccomp profile"},
      {CALL_SETUP, 1, EACCES, UV_EACCES, "io_uring_setup is denied (EACCES)", "seccomp profile"},
      {CALL_SETUP, 1, ENOMEM, UV_ENOMEM, "io_uring_setup ran out of memory (ENOMEM)", "ulimit -l"},
      {CALL_SETUP, 1, EMFILE, UV_EMFILE, "io_uring_setup found no free file", "(EMFILE): raise"},
      {CALL_SETUP, 1, ENFILE, UV_ENFILE, "io_uring_setup found no free file", "(ENFILE): raise"},
      {CALL_SETUP, 1, EFAULT, UV_EFAULT, "io_uring_setup failed with EFAULT on Linux ", "or later"},
      {CALL_EVENTFD, 1, EMFILE, UV_EMFILE, "eventfd found no free file descriptor", "ulimit -n"},
      {CALL_REGISTER, 1, EPERM, UV_EPERM, "io_uring_register is denied (EPERM)",
       "io_uring_disabled"},
      {CALL_REGISTER, 2, EPERM, UV_ENOSYS, "reading through a ring is not there", "seccomp filter"},
      {CALL_SUBMIT, 1, EPERM, UV_EPERM, "io_uring_enter is denied (EPERM)", "io_uring_enter"},
      {CALL_READ, 1, EAGAIN, UV_EIO, "the ring's eventfd failed with EIO", "or later"},
  };
  char reason[256];
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    size_t before = open_descriptors();
    fault_pretend_kernel("7.8.9-release");
    fault_fail(cases[i].call, cases[i].nth, ONCE, cases[i].error);
    assert_code(uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof(reason)), cases[i].code);
    assert_int_equal(fault_hits(cases[i].call), 1);
    faults_reset();
    assert_memory_equal(reason, cases[i].begin, strlen(cases[i].begin));
    assert_non_null(strstr(reason, cases[i].advice));
    const char* linux_is_told = strstr(reason, "Linux ");
    assert_true(linux_is_told == NULL || strstr(reason, "Linux 7.8.9-release") == linux_is_told);
    assert_int_equal(open_descriptors(), before);
  }
}

/* Since Linux 5.6, both of them. */
#define OP_READ 22u
#define OP_WRITE 23u

static void ring_that_can_not_read_or_write_is_none(void** state) {
  char reason[256];
  (void)state;
  for (unsigned opcode = OP_READ - 1; opcode <= OP_WRITE + 1; opcode++) {
    int is_needed = opcode == OP_READ || opcode == OP_WRITE;
    fault_pretend_missing_opcode(opcode);
    assert_code(uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof(reason)),
                is_needed ? UV_ENOSYS : 0);
    assert_int_equal(strstr(reason, "reading through a ring is not there") != NULL, is_needed);
  }
}

/* It does not matter that the kernel does not tell its release. */
static void kernel_without_a_name_is_unknown(void** state) {
  char reason[256];
  (void)state;
  fault_fail(CALL_UNAME, 1, FOR_GOOD, EFAULT);
  assert_ok(uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof(reason)));
  assert_non_null(strstr(reason, "io_uring works here (Linux unknown: "));
}

static unsigned refused_registration;

static int no_registration(void* data) {
  fault_fail(CALL_REGISTER, refused_registration, ONCE, EPERM);
  return two_engines_register(data);
}

static void engines_share_nothing_where_rings_do_not_copy(void** state) {
  skip_where_forks_are_not_followed();
  need_linux(6, 13, "trying out copies of registrations takes Linux 6.13");
  assert_ok(in_a_child(no_second_ring, *state));
  for (refused_registration = 5; refused_registration <= 9; refused_registration++) {
    if (refused_registration > 5) { /* what is given back there is not missed */
      assert_ok(in_a_child(no_registration, *state));
    }
  }
}

/* Reads with a ring of an older kernel's kind, whose completions show up without being asked
 * for. */
static int read_busily(void* data) {
  struct fixture* f = data;
  uvdio_engine_t* engine = NULL;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_engine_stats_t stats;
  uvdio_file_info_t info;
  fault_fail(CALL_SETUP, 1, 3, EINVAL);
  EXPECT(open_engine(&engine, &f->loop, UVDIO_BUSY_POLL_MAX) == 0);
  unsigned before =
      fault_calls(CALL_SUBMIT) + fault_calls(CALL_GET_EVENTS) + fault_calls(CALL_READ);
  EXPECT(strstr(uvdio_engine_backend_reason(engine), "submit all") != NULL);
  EXPECT(uvdio_open(engine, &file, &req, path_of(f, "file"),
                    UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0600, NULL) == 0);
  EXPECT(uvdio_file_info(&file, &info) == 0);
  f->engine = engine;
  for (unsigned i = 0; i < 200; i++) {
    struct tracked_op* write = write_page_of(f, &file, i, i);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    EXPECT(write->done == 1 && write->result == PAGE);
    op_free(write);
  }
  EXPECT(uvdio_engine_stats(engine, &stats) == 0);
  EXPECT(strcmp(info.backend, "ring") != 0 || stats.busy_hits > 0);
  EXPECT(stats.system_calls ==
         fault_calls(CALL_SUBMIT) + fault_calls(CALL_GET_EVENTS) + fault_calls(CALL_READ) - before);
  EXPECT(uvdio_close(&file, &req, NULL) == 0);
  f->engine = NULL;
  close_engine(engine, &f->loop);
  return 0;
}

static void ring_without_deferred_work_is_watched_too(void** state) {
  skip_where_forks_are_not_followed();
  need_linux(5, 18, "the flag that is left takes Linux 5.18");
  assert_ok(in_a_child(read_busily, *state));
}

/*
 * Tables of files, which grow up to the limit on descriptors
 */

#define FILES 140

static uvdio_file_t files[FILES];

/* Opens them all and writes to each, which is when it gets its slot. Returns how many have one, or
 * -1. */
static int slots_taken(struct fixture* f, uvdio_engine_t* engine) {
  int taken = 0;
  for (unsigned i = 0; i < FILES; i++) {
    uvdio_req_t req = {0};
    uvdio_file_info_t info;
    uvdio_buf_t page = filled(PAGE, i);
    if (uvdio_open(engine, &files[i], &req, path_of(f, "file"),
                   UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0600, NULL) != 0) {
      return -1;
    }
    struct tracked_op* write = t_write(op_new(&f->tracker), &files[i], &page, (uint64_t)i * PAGE);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    if (write->result != PAGE || uvdio_file_info(&files[i], &info) != 0) {
      return -1;
    }
    op_free(write);
    taken += info.is_registered;
  }
  return taken;
}

static int open_files(uvdio_engine_t* engine, unsigned count, const char* path) {
  int error = 0;
  for (unsigned i = 0; i < count && error == 0; i++) {
    uvdio_req_t req = {0};
    error = uvdio_open(engine, &files[i], &req, path, UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED,
                       0600, NULL);
  }
  return error;
}

/* Two at once, so that the second finds the table as the first has left it. */
static int transfer(struct fixture* f, uvdio_file_t* file) {
  uvdio_buf_t pages[2] = {filled(PAGE, 1), filled(PAGE, 2)};
  struct tracked_op* writes[2];
  for (unsigned i = 0; i < 2; i++) {
    writes[i] = t_write(op_new(&f->tracker), file, &pages[i], (uint64_t)i * PAGE);
  }
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  return writes[0]->result != PAGE || writes[1]->result != PAGE;
}

static int registers_files(struct fixture* f, uvdio_engine_t* engine) {
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_file_info_t info = {0};
  uvdio_buf_t page = filled(PAGE, 1);
  if (uvdio_open(engine, &file, &req, path_of(f, "file"),
                 UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0600, NULL) != 0) {
    return 0;
  }
  (void)t_write(op_new(&f->tracker), &file, &page, 0);
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  (void)uvdio_file_info(&file, &info);
  return uvdio_close(&file, &req, NULL) == 0 ? info.is_registered : -1;
}

#define DESCRIPTORS 100
#define SMALLEST_TABLE 64

/* Once it is full, it stays as long as it is, and no transfer asks for more; slots that come free
 * are found, wherever they are. */
static int fill_table(struct fixture* f, uvdio_engine_t* engine, int expected) {
  EXPECT(slots_taken(f, engine) == expected);
  unsigned asked = fault_calls(CALL_GETRLIMIT);
  EXPECT(transfer(f, &files[FILES - 1]) == 0);
  EXPECT(fault_calls(CALL_GETRLIMIT) == asked);
  for (unsigned i = 10; i < 13; i++) {
    uvdio_req_t req = {0};
    EXPECT(uvdio_close(&files[i], &req, NULL) == 0);
  }
  for (unsigned i = 0; i < 4; i++) { /* the last one past the table's end */
    EXPECT(registers_files(f, engine));
  }
  return 0;
}

static int with_an_engine(struct fixture* f, int expected) {
  uvdio_engine_t* engine = NULL;
  int line = 0;
  EXPECT(open_engine(&engine, &f->loop, 0) == 0);
  f->engine = engine;
  if (registers_files(f, engine)) {
    if (expected == DESCRIPTORS) {
      fault_pretend_descriptors(DESCRIPTORS);
    } else {
      fault_fail(CALL_GETRLIMIT, 1, FOR_GOOD, EPERM);
    }
    line = fill_table(f, engine, expected);
  }
  f->engine = NULL;
  close_engine(engine, &f->loop);
  return line;
}

static int limit_is_low(void* data) {
  return with_an_engine(data, DESCRIPTORS);
}

static int limit_is_not_told(void* data) {
  return with_an_engine(data, SMALLEST_TABLE);
}

static void table_of_files_is_as_long_as_descriptors_may_be(void** state) {
  skip_where_forks_are_not_followed();
  assert_ok(in_a_child(limit_is_low, *state));
  assert_ok(in_a_child(limit_is_not_told, *state));
}

/* The table is to grow for the third file: the kernel has given the old one back, and makes no new
 * one. All files go on by their descriptors, with what they had in mind about the table
 * forgotten. */
static int grow_in_vain(struct fixture* f, uvdio_engine_t* engine) {
  uvdio_file_info_t info;
  fault_pretend_descriptors(2);
  EXPECT(open_files(engine, 4, path_of(f, "file")) == 0);
  EXPECT(transfer(f, &files[0]) == 0 && transfer(f, &files[1]) == 0);
  EXPECT(uvdio_file_info(&files[1], &info) == 0);
  if (!info.is_registered || strcmp(info.backend, "ring") != 0) {
    return 0; /* no kernel for tables, or no files for a ring */
  }
  fault_pretend_descriptors(0);
  fault_fail(CALL_REGISTER, 2, ONCE, ENOMEM); /* after the end of the old one */
  EXPECT(transfer(f, &files[2]) == 0);
  EXPECT(fault_hits(CALL_REGISTER) == 1);
  for (unsigned i = 0; i < 4; i++) {
    EXPECT(transfer(f, &files[i]) == 0 && transfer(f, &files[i]) == 0);
    EXPECT(uvdio_file_info(&files[i], &info) == 0 && !info.is_registered);
  }
  EXPECT(strcmp(uvdio_engine_backend(engine), "ring") == 0);
  return 0;
}

static int table_is_lost(void* data) {
  struct fixture* f = data;
  uvdio_engine_t* engine = NULL;
  EXPECT(open_engine(&engine, &f->loop, 0) == 0);
  f->engine = engine;
  int line = grow_in_vain(f, engine);
  f->engine = NULL;
  close_engine(engine, &f->loop);
  return line;
}

static void files_go_on_without_a_table(void** state) {
  skip_where_forks_are_not_followed();
  assert_ok(in_a_child(table_is_lost, *state));
}

/*
 * Rings that a kernel registers with the thread (from 5.18 on), by a number that begins with 0 in
 * each process
 */

static ssize_t written;

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  (void)req;
  written = result;
  (void)uvdio_buf_release(&buf);
}

static int write_one(uv_loop_t* loop, uvdio_file_t* file) {
  uvdio_req_t req = {0};
  uvdio_buf_t page = filled(PAGE, 1);
  written = 0;
  EXPECT(uvdio_write(file, &req, &page, 0, on_written) == 0);
  (void)uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(written == PAGE);
  return 0;
}

static int open_and_write(struct fixture* f, uvdio_engine_t** engine, uv_loop_t* loop,
                          uvdio_file_t* file) {
  uvdio_req_t req = {0};
  EXPECT(open_engine(engine, loop, 0) == 0);
  EXPECT(uvdio_open(*engine, file, &req, path_of(f, "file"),
                    UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED, 0600, NULL) == 0);
  return write_one(loop, file);
}

static uvdio_engine_t* parents;
static int parents_is_closed;

static void on_parents_closed(uvdio_engine_t* engine) {
  (void)engine;
  parents_is_closed = 1;
}

static int end_the_parents_engine(void* data) {
  struct fixture* f = data;
  static uv_loop_t loop;
  static uvdio_file_t file;
  uvdio_engine_t* engine = NULL;
  uvdio_engine_stats_t stats;
  EXPECT(uv_loop_init(&loop) == 0);
  EXPECT(open_and_write(f, &engine, &loop, &file) == 0);
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(uvdio_engine_close(parents, on_parents_closed) == 0);
  while (!parents_is_closed) {
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
  EXPECT(write_one(&loop, &file) == 0);
  EXPECT(strcmp(uvdio_engine_backend(engine), "ring") == 0);
  EXPECT(uvdio_engine_stats(engine, &stats) == 0 && stats.punted == 0);
  close_engine(engine, &loop);
  return uv_loop_close(&loop) == 0 ? 0 : __LINE__;
}

static int parent_and_child_have_engines(void* data) {
  struct fixture* f = data;
  static uvdio_file_t file;
  fault_fail(CALL_SETUP, 1, 2, EINVAL);
  EXPECT(open_and_write(f, &parents, &f->loop, &file) == 0);
  EXPECT(strstr(uvdio_engine_backend_reason(parents), "single issuer") == NULL);
  EXPECT(in_a_child(end_the_parents_engine, f) == 0);
  EXPECT(write_one(&f->loop, &file) == 0);
  EXPECT(strcmp(uvdio_engine_backend(parents), "ring") == 0);
  close_engine(parents, &f->loop);
  return 0;
}

static void child_that_closes_its_parents_ring_keeps_its_own(void** state) {
  skip_where_forks_are_not_followed();
  assert_ok(in_a_child(parent_and_child_have_engines, *state));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      FAULT_TEST_ON(set_up, kernel_that_takes_no_flags_has_no_ring),
      FAULT_TEST_ON(set_up, interrupted_probe_is_repeated),
      FAULT_TEST_ON(set_up, lack_of_locked_memory_is_told),
      FAULT_TEST_ON(set_up, each_refusal_is_told_in_words),
      FAULT_TEST_ON(set_up, ring_that_can_not_read_or_write_is_none),
      FAULT_TEST_ON(set_up, kernel_without_a_name_is_unknown),
      FAULT_TEST_ON(set_up, engines_share_nothing_where_rings_do_not_copy),
      FAULT_TEST_ON(set_up, ring_without_deferred_work_is_watched_too),
      FAULT_TEST_ON(set_up, table_of_files_is_as_long_as_descriptors_may_be),
      FAULT_TEST_ON(set_up, files_go_on_without_a_table),
      FAULT_TEST_ON(set_up, child_that_closes_its_parents_ring_keeps_its_own),
  };
  return matrix_main("ring_probe", tests, COUNT_OF(tests), argc, argv);
}
