/* SPDX-License-Identifier: MIT */
/*
 * What AUTO takes, where io_uring is there and where it is denied at run time: by seccomp filters,
 * one for each of its three system calls, in a forked child. Run on the ring: where there is none,
 * there is nothing to deny.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE
#define ENGINES (under_valgrind() ? 50u : 200u)

/* The same numbers on every architecture. */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#define SYS_io_uring_register 427
#endif

struct denial {
  unsigned number;
  const char* call;
  int error;
  const char* error_name;
};

static const struct denial denials[] = {
    {SYS_io_uring_setup, "io_uring_setup", EPERM, "EPERM"},
    {SYS_io_uring_setup, "io_uring_setup", ENOSYS, "ENOSYS"},
    {SYS_io_uring_enter, "io_uring_enter", EPERM, "EPERM"},
    {SYS_io_uring_enter, "io_uring_enter", ENOSYS, "ENOSYS"},
    {SYS_io_uring_register, "io_uring_register", EPERM, "EPERM"},
    {SYS_io_uring_register, "io_uring_register", ENOSYS, "ENOSYS"},
};

/* From now on, and for good. Returns 0, or -1. */
static int deny(const struct denial* denial) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denial->number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)denial->error & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {COUNT_OF(filter), filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return -1;
  }
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int names(const char* reason, const struct denial* denial) {
  return strstr(reason, denial->call) != NULL && strstr(reason, denial->error_name) != NULL;
}

struct scene {
  struct fixture* f;
  const struct denial* denial;
  int known; /* this process has used a ring before the denial */
};

/* A file goes through its whole life on the engine. */
static int engine_works(struct fixture* f, uvdio_engine_t* engine) {
  struct tracker* t = &f->tracker;
  uv_loop_t* loop = uvdio_engine_loop(engine);
  uvdio_file_t file = {0};
  uvdio_buf_t to = filled(PAGE, 1);
  uvdio_buf_t from = blank(PAGE);
  struct top* open = t_open(op_new(t), engine, &file, path_of(f, "file"), UVDIO_OPEN_CREATE);
  uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(open->done == 1 && open->result == 0);
  struct top* write = t_write(op_new(t), &file, &to, 0);
  struct top* sync = t_sync_data(op_new(t), &file);
  uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(write->result == PAGE && sync->done == 1 && sync->result == 0);
  struct top* read = t_read(op_new(t), &file, &from, 0);
  uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(read->result == PAGE && is_pattern(read->back.base, PAGE, 1));
  struct top* close = t_close(op_new(t), &file);
  uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(close->done == 1 && close->result == 0);
  return 0;
}

/* Nothing that was denied may come to light later than at the first use. */
static int auto_takes_the_pool(const struct scene* scene, uv_loop_t* loop) {
  uvdio_engine_options_t options = {0};
  uvdio_engine_t* engine;
  EXPECT(uvdio_engine_create(&engine, loop, &options) == 0);
  EXPECT(scene->known || strcmp(uvdio_engine_backend(engine), "pool") == 0);
  int line = engine_works(scene->f, engine);
  if (line != 0) {
    return line;
  }
  EXPECT(strcmp(uvdio_engine_backend(engine), "pool") == 0);
  EXPECT(names(uvdio_engine_backend_reason(engine), scene->denial));
  EXPECT(t_engine_close(engine, NULL) == 0);
  EXPECT(uv_run(loop, UV_RUN_DEFAULT) == 0);
  return 0;
}

static int asking_for_a_ring_fails(const struct scene* scene, uv_loop_t* loop) {
  uvdio_engine_options_t options = {0};
  char reason[512];
  uvdio_engine_t* engine;
  options.backend = UVDIO_BACKEND_RING;
  EXPECT(uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof(reason)) < 0);
  EXPECT(names(reason, scene->denial));
  EXPECT(scene->known || uvdio_engine_create(&engine, loop, &options) == UVDIO_EBACKEND);
  EXPECT(uvdio_backend_probe(UVDIO_BACKEND_AUTO, reason, sizeof(reason)) == 0);
  EXPECT(names(reason, scene->denial));
  return 0;
}

static int live_without(void* data) {
  const struct scene* scene = data;
  uv_loop_t loop;
  EXPECT(deny(scene->denial) == 0);
  EXPECT(uv_loop_init(&loop) == 0);
  scene->f->tracker.thread = uv_thread_self();
  int line = asking_for_a_ring_fails(scene, &loop);
  if (line == 0) {
    line = auto_takes_the_pool(scene, &loop);
  }
  EXPECT(line != 0 || uv_loop_close(&loop) == 0);
  EXPECT(line != 0 || scene->f->tracker.violation[0] == '\0');
  return line;
}

static void assert_lives_without(struct fixture* f, int known) {
  unsigned rings_of_libuv = rings_of_a_loop();
  for (size_t i = 0; i < COUNT_OF(denials); i++) {
    if (denials[i].number == SYS_io_uring_enter && rings_of_libuv > 0) {
      skip_line("libuv's own ring ends the process where io_uring_enter is denied");
      continue;
    }
    struct scene scene = {f, &denials[i], known};
    if (in_a_child(live_without, &scene) != 0) {
      fail_msg("%s denied with %s", denials[i].call, denials[i].error_name);
    }
  }
}

/* Comes before anything that uses a ring in this process. */
static void denied_ring_is_replaced_by_the_pool(void** state) {
  assert_lives_without(*state, 0);
}

static void use_a_ring(struct fixture* f) {
  start_engine(f, matrix_options());
  open_now(f, &f->file, "ring", UVDIO_OPEN_RW);
  put(f, &f->file, 0, PAGE, 1);
  end_engine(f);
}

/* What the library remembers of the kernel is overtaken by events. */
static void ring_that_is_denied_late_is_replaced_by_the_pool(void** state) {
  use_a_ring(*state);
  assert_lives_without(*state, 1);
}

static void engines_made_one_after_the_other_all_have_a_ring(void** state) {
  struct fixture* f = *state;
  size_t before = open_descriptors();
  if (geteuid() != 0) {
    SKIP("without root the limit on locked memory decides");
  }
  for (unsigned i = 0; i < ENGINES; i++) {
    assert_ok(uvdio_engine_create(&f->engine, &f->loop, NULL));
    uvdio_engine_set_data(f->engine, f);
    assert_string_equal(uvdio_engine_backend(f->engine), "ring");
    f->closed = 0;
    end_engine(f);
    assert_int_equal(open_descriptors(), before);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_loop, denied_ring_is_replaced_by_the_pool),
      TEST_ON(fixture_loop, ring_that_is_denied_late_is_replaced_by_the_pool),
      TEST_ON(fixture_loop, engines_made_one_after_the_other_all_have_a_ring),
  };
  if (UNDER_TSAN) {
    skip_line("the thread sanitizer does not follow a fork with threads");
    return SKIPPED_PROGRAM;
  }
  unsetenv("UVDIO_BACKEND");
  return matrix_main("auto", tests, COUNT_OF(tests), argc, argv);
}
