/* SPDX-License-Identifier: MIT */
/*
 * io_uring denied: by a seccomp filter on each of its three system calls, before the first ring and
 * after an engine has been set up; by the sysctl; and in something like a container. The whole life
 * of an engine (lib/scenario.h) goes by as if nothing had happened: an engine whose ring is gone
 * goes on with the pool, one that is made later takes kernel AIO where it may, and both say what
 * they run on, and why.
 *
 * What is denied stays so: all of it happens in forked children. Where there is no ring, there is
 * nothing to deny.
 */
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"
#include "scenario.h"

#define DENIED_MAX 24
#define ENGINES (under_valgrind() ? 50u : 200u)
#define SYSCTL "/proc/sys/kernel/io_uring_disabled"

/* The same numbers on every architecture. */
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#define SYS_io_uring_enter 426
#define SYS_io_uring_register 427
#endif

struct denial {
  unsigned numbers[DENIED_MAX]; /* of system calls, ended by 0 */
  const char* call;             /* that the reason names; null: the ring may go on */
  int error;
  const char* leaves; /* the backend that is left */
};

/* From now on, and for good. Returns 0, or -1. */
static int deny(const struct denial* denial) {
  static struct sock_filter filter[2 * DENIED_MAX + 2];
  struct sock_fprog program = {0, filter};
  unsigned action = SECCOMP_RET_ERRNO | ((unsigned)denial->error & SECCOMP_RET_DATA);
  filter[program.len++] =
      (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; denial->numbers[i] != 0; i++) {
    filter[program.len++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denial->numbers[i], 0, 1);
    filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
  }
  filter[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return -1;
  }
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int names(const char* reason, const struct denial* denial) {
  const char* error = uvdio_err_name(uv_translate_sys_error(denial->error));
  return strstr(reason, denial->call) != NULL && strstr(reason, error) != NULL;
}

static int says_why(const struct scenario* s, const struct denial* denial) {
  if (denial->call == NULL) {
    return strcmp(s->backend, "ring") == 0;
  }
  return strcmp(s->backend, denial->leaves) == 0 && names(s->reason, denial);
}

/* A life during which nothing may fail, with everything that the fixture checks. */
static int live_and_say_why(struct scenario* s, const struct denial* denial) {
  void* state = NULL;
  EXPECT(fixture_loop(&state) == 0);
  s->f = state;
  s->registered = 1;
  scenario_begin(s);
  scenario_live(s);
  scenario_end(s);
  EXPECT(fixture_tear_down(&state) == 0);
  EXPECT(says_why(s, denial));
  return 0;
}

/*
 * Seccomp.
 */

/* clang-format off */
#define BY(number, name, error) {{number}, name, error, "aio"}
#define LATE(number, name, error) {{number}, name, error, "pool"}
#define BOTH(number, name, error) {{number, SYS_io_setup}, name, error, "pool"}
/* clang-format on */

static struct denial before[] = {
    BY(SYS_io_uring_setup, "io_uring_setup", EPERM),
    BY(SYS_io_uring_setup, "io_uring_setup", ENOSYS),
    BY(SYS_io_uring_register, "io_uring_register", EPERM),
    BY(SYS_io_uring_register, "io_uring_register", ENOSYS),
    BOTH(SYS_io_uring_setup, "io_setup", EPERM),
    BOTH(SYS_io_uring_setup, "io_uring_setup", ENOSYS),
    BY(SYS_io_uring_enter, "io_uring_enter", EPERM),
    BY(SYS_io_uring_enter, "io_uring_enter", ENOSYS),
};
enum { BEFORE_ENTER = 6 }; /* those ahead of io_uring_enter's */

/* With a ring that is set up, only what it goes on to need counts. */
static struct denial after[] = {
    LATE(SYS_io_uring_setup, NULL, EPERM),
    LATE(SYS_io_uring_setup, NULL, ENOSYS),
    LATE(SYS_io_uring_enter, "io_uring_enter", EPERM),
    LATE(SYS_io_uring_enter, "io_uring_enter", ENOSYS),
    LATE(SYS_io_uring_register, NULL, EPERM),
    LATE(SYS_io_uring_register, NULL, ENOSYS),
};

static int live_denied(void* data) {
  struct scenario s = {.what = "a life without io_uring"};
  EXPECT(deny(data) == 0);
  return live_and_say_why(&s, data);
}

struct loss {
  struct denial denial;
  const struct scenario* s;
};

/* A ring that nothing goes through, because of where the files are, does not notice. */
static int deny_in_between(void* data) {
  struct loss* loss = data;
  uvdio_file_info_t info;
  EXPECT(uvdio_file_info(&loss->s->f->file, &info) == 0);
  if (strcmp(info.backend, "ring") != 0) {
    loss->denial.call = NULL;
  }
  return deny(&loss->denial);
}

static int live_until_denied(void* data) {
  struct loss loss = {.denial = *(const struct denial*)data};
  struct scenario s = {
      .what = "a life that loses io_uring", .between = deny_in_between, .context = &loss};
  loss.s = &s;
  return live_and_say_why(&s, &loss.denial);
}

static void assert_all_live(child_part part, struct denial* denials, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (in_a_child(part, &denials[i]) != 0) {
      fail_msg("system call %u denied with %s", denials[i].numbers[0], strerror(denials[i].error));
    }
  }
}

static void filter_that_comes_first_leaves_the_next_best(void** state) {
  (void)state;
  assert_all_live(live_denied, before, BEFORE_ENTER);
  if (rings_of_a_loop() > 0) {
    SKIP("libuv's own ring ends the process where io_uring_enter is denied");
  }
  assert_all_live(live_denied, before + BEFORE_ENTER, COUNT_OF(before) - BEFORE_ENTER);
}

static void filter_that_comes_late_leaves_the_pool(void** state) {
  (void)state;
  if (strcmp(matrix.filesystem.kind, "tmpfs") == 0) {
    SKIP("what is alone goes to the pool there, and the ring may never hear of the filter");
  }
  assert_all_live(live_until_denied, after, COUNT_OF(after));
}

/*
 * What AUTO takes for engines that are made after the denial.
 */

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
  struct tracked_op* open = t_open(op_new(t), engine, &file, path_of(f, "file"), UVDIO_OPEN_CREATE);
  uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(open->done == 1 && open->result == 0);
  struct tracked_op* write = t_write(op_new(t), &file, &to, 0);
  struct tracked_op* sync = t_sync_data(op_new(t), &file);
  uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(write->result == PAGE && sync->done == 1 && sync->result == 0);
  struct tracked_op* read = t_read(op_new(t), &file, &from, 0);
  uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(read->result == PAGE && is_pattern(read->back.base, PAGE, 1));
  struct tracked_op* close = t_close(op_new(t), &file);
  uv_run(loop, UV_RUN_DEFAULT);
  EXPECT(close->done == 1 && close->result == 0);
  return 0;
}

/* Nothing that was denied may come to light later than at the first use. */
static int auto_takes_what_is_left(const struct scene* scene, uv_loop_t* loop) {
  uvdio_engine_options_t options = {0};
  uvdio_engine_t* engine;
  EXPECT(uvdio_engine_create(&engine, loop, &options) == 0);
  int is_ring = strcmp(uvdio_engine_backend(engine), "ring") == 0;
  EXPECT(scene->known || !is_ring);
  int line = engine_works(scene->f, engine);
  if (line != 0) {
    return line;
  }
  EXPECT(strcmp(uvdio_engine_backend(engine), is_ring ? "pool" : scene->denial->leaves) == 0);
  EXPECT(names(uvdio_engine_backend_reason(engine), scene->denial));
  EXPECT(t_engine_close(engine, NULL) == 0);
  EXPECT(uv_run(loop, UV_RUN_DEFAULT) == 0);
  return 0;
}

static int asking_for_a_ring_fails(const struct scene* scene, uv_loop_t* loop) {
  uvdio_engine_options_t options = {0};
  char reason[1024];
  uvdio_engine_t* engine;
  options.backend = UVDIO_BACKEND_RING;
  EXPECT(uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof(reason)) < 0);
  EXPECT(strstr(reason, "io_uring") != NULL);
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
    line = auto_takes_what_is_left(scene, &loop);
  }
  EXPECT(line != 0 || uv_loop_close(&loop) == 0);
  EXPECT(line != 0 || scene->f->tracker.violation[0] == '\0');
  return line;
}

static void assert_lives_without(struct fixture* f, int known) {
  unsigned rings_of_libuv = rings_of_a_loop();
  for (size_t i = 0; i < COUNT_OF(before); i++) {
    if (before[i].numbers[0] == SYS_io_uring_enter && rings_of_libuv > 0) {
      skip_line("libuv's own ring ends the process where io_uring_enter is denied");
      continue;
    }
    struct scene scene = {f, &before[i], known};
    if (in_a_child(live_without, &scene) != 0) {
      fail_msg("%s denied with %s", before[i].call, strerror(before[i].error));
    }
  }
}

/* Comes before anything that uses a ring in this process. */
static void denied_ring_is_replaced(void** state) {
  assert_lives_without(*state, 0);
}

static void use_a_ring(struct fixture* f) {
  start_engine(f, matrix_options());
  open_now(f, &f->file, "ring", UVDIO_OPEN_RW);
  put(f, &f->file, 0, PAGE, 1);
  end_engine(f);
}

/* What the library remembers of the kernel is overtaken by events. */
static void ring_that_is_denied_late_is_replaced(void** state) {
  use_a_ring(*state);
  assert_lives_without(*state, 1);
}

static void engines_made_one_after_the_other_all_have_a_ring(void** state) {
  struct fixture* f = *state;
  size_t descriptors = open_descriptors();
  if (geteuid() != 0) {
    SKIP("without root the limit on locked memory decides");
  }
  for (unsigned i = 0; i < ENGINES; i++) {
    assert_ok(uvdio_engine_create(&f->engine, &f->loop, NULL));
    uvdio_engine_set_data(f->engine, f);
    assert_string_equal(uvdio_engine_backend(f->engine), "ring");
    f->closed = 0;
    end_engine(f);
    assert_int_equal(open_descriptors(), descriptors);
  }
}

/*
 * An ordinary user.
 */

/* What container engines deny by default to a process without privileges, as far as it is about us;
 * and their limits. */
static struct denial container = {
    {SYS_io_uring_setup, SYS_io_uring_enter,  SYS_io_uring_register, SYS_bpf,
     SYS_mount,          SYS_umount2,         SYS_unshare,           SYS_setns,
     SYS_ptrace,         SYS_perf_event_open, SYS_userfaultfd,       SYS_keyctl,
     SYS_add_key,        SYS_request_key,     SYS_open_by_handle_at, SYS_name_to_handle_at,
     SYS_swapon,         SYS_reboot,          SYS_quotactl,          SYS_acct},
    "io_uring_setup",
    EPERM,
    "aio"};

static int live_in_a_container(void* data) {
  const struct rlimit memory = {64 * 1024, 64 * 1024};
  const struct rlimit files = {128, 128};
  EXPECT(setrlimit(RLIMIT_MEMLOCK, &memory) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0);
  EXPECT(become_nobody() == 0);
  return live_denied(data);
}

static void container_leaves_kernel_aio(void** state) {
  (void)state;
  if (under_valgrind()) {
    SKIP("valgrind has limits on descriptors of its own");
  }
  need_a_way_for_nobody(matrix.filesystem.dir);
  assert_int_equal(in_a_child(live_in_a_container, &container), 0);
}

/*
 * The sysctl. It is the whole machine's, so this is done only where somebody wants it.
 */

static char sysctl_before[16];

static int set_sysctl(const char* value) {
  FILE* file = fopen(SYSCTL, "w");
  if (file == NULL) {
    return -1;
  }
  int failed = fputs(value, file) < 0;
  return fclose(file) != 0 || failed;
}

static void restore_sysctl(void) {
  if (sysctl_before[0] != '\0') {
    (void)set_sysctl(sysctl_before);
    sysctl_before[0] = '\0';
  }
}

static int read_sysctl(void) {
  FILE* file = fopen(SYSCTL, "r");
  if (file == NULL) {
    return -1;
  }
  int failed = fgets(sysctl_before, sizeof(sysctl_before), file) == NULL;
  fclose(file);
  return failed;
}

static int live_as_nobody(void* data) {
  struct scenario s = {.what = "a life under the sysctl"};
  EXPECT(become_nobody() == 0);
  int line = live_and_say_why(&s, data);
  EXPECT(line != 0 || strstr(s.reason, "kernel.io_uring_disabled") != NULL);
  return line;
}

/* 1 denies io_uring to ordinary users only, so the fewest are disturbed. */
static void sysctl_leaves_kernel_aio(void** state) {
  struct denial denial = BY(SYS_io_uring_setup, "io_uring_setup", EPERM);
  (void)state;
  if (getenv("UVDIO_TEST_SYSCTL") == NULL) {
    SKIP("UVDIO_TEST_SYSCTL is not set: kernel.io_uring_disabled is the whole machine's");
  }
  need_a_way_for_nobody(matrix.filesystem.dir);
  if (read_sysctl() != 0) {
    SKIP("this kernel has no kernel.io_uring_disabled (Linux 6.6)");
  }
  atexit(restore_sysctl);
  assert_int_equal(set_sysctl("1"), 0);
  int status = in_a_child(live_as_nobody, &denial);
  restore_sysctl();
  assert_int_equal(status, 0);
}

/*
 * Nothing is denied, but the process has no thread-specific value left, by which a ring learns that
 * its thread ends: rings do without, and touch nobody's value.
 */

static char somebodys;

static int live_without_a_key(void* data) {
  static pthread_key_t keys[PTHREAD_KEYS_MAX];
  struct scenario s = {.what = "a life without a key"};
  size_t count = 0;
  while (count < COUNT_OF(keys) && pthread_key_create(&keys[count], NULL) == 0) {
    EXPECT(pthread_setspecific(keys[count], &somebodys) == 0);
    count++;
  }
  EXPECT(count > 0);
  int line = live_and_say_why(&s, data);
  for (size_t i = 0; i < count; i++) {
    EXPECT(pthread_getspecific(keys[i]) == &somebodys);
  }
  return line;
}

static void ring_does_without_a_key(void** state) {
  struct denial nothing = {{0}, NULL, 0, NULL};
  (void)state;
  assert_int_equal(in_a_child(live_without_a_key, &nothing), 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_loop, denied_ring_is_replaced),
      cmocka_unit_test(filter_that_comes_first_leaves_the_next_best),
      cmocka_unit_test(filter_that_comes_late_leaves_the_pool),
      cmocka_unit_test(container_leaves_kernel_aio),
      cmocka_unit_test(sysctl_leaves_kernel_aio),
      cmocka_unit_test(ring_does_without_a_key),
      /* These use a ring in this process, which none before them may have done. */
      TEST_ON(fixture_loop, ring_that_is_denied_late_is_replaced),
      TEST_ON(fixture_loop, engines_made_one_after_the_other_all_have_a_ring),
  };
  if (UNDER_TSAN) {
    skip_line("the thread sanitizer does not follow a fork with threads");
    return SKIPPED_PROGRAM;
  }
  unsetenv("UVDIO_BACKEND");
  return matrix_main("ring_denied", tests, COUNT_OF(tests), argc, argv);
}
