/* SPDX-License-Identifier: MIT */
/*
 * What registered memory and files must not do to the rest of the program: use up its descriptors
 * or its locked memory, outlive it in a child, block a neighbour, or end with the wrong answer.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"
#include "registered.h"

/* Bytes of this process's memory that rings have pinned, as the kernel counts them (proc(5),
 * VmPin). */
static size_t pinned(void) {
  FILE* file = fopen("/proc/self/status", "r");
  char line[128];
  unsigned long kib = 0;
  while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
    if (sscanf(line, "VmPin: %lu kB", &kib) == 1) {
      break;
    }
  }
  if (file != NULL) {
    (void)fclose(file);
  }
  return (size_t)kib * 1024;
}

/* Memory of a ring that is gone comes back a little later: seconds are enough, and far more than it
 * takes. */
static size_t pinned_in_the_end(void) {
  for (int i = 0; i < 200 && pinned() > 0; i++) {
    (void)usleep(10000);
  }
  return pinned();
}

/* In a child, where nothing asserts. */
static const char* reason_of(const uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio_registration_t registration;
  return uvdio_arena_registration(engine, arena, &registration) == 0 ? registration.reason : "";
}

/*
 * Descriptors
 */

static void arenas_take_no_descriptors(void** state) {
  struct fixture* f = *state;
  uvdio_arena_t* arenas[32];
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  put(f, &f->file, 0, PAGE, 1);
  size_t before = open_descriptors();
  uvdio_arena_t* own = f->arena;
  for (unsigned i = 0; i < COUNT_OF(arenas); i++) {
    uvdio_arena_options_t options = {PAGE, 4, 0};
    assert_ok(uvdio_arena_create(&arenas[i], &options));
    f->arena = arenas[i];
    use_a_frame(f);
  }
  size_t after = open_descriptors();
  f->arena = own;
  for (unsigned i = 0; i < COUNT_OF(arenas); i++) {
    assert_ok(uvdio_arena_destroy(arenas[i], NULL));
  }
  run_once(f);
  assert_in_range(after, before, before + 2);
}

/*
 * Children
 */

/* A child that has not asked for anything and does not end. */
static pid_t start_sleeper(void) {
  pid_t child = fork();
  if (child == 0) {
    (void)alarm(60);
    for (;;) {
      (void)pause();
    }
  }
  return child;
}

static void child_keeps_no_memory_pinned(void** state) {
  struct fixture* f = *state;
  int status;
  fixture_arena(f, MIB, 8);
  skip_without_ring(f);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  assert_true(pinned() >= 8 * MIB);
  pid_t child = start_sleeper();
  assert_true(child > 0);
  leave_arena(f);
  run_once(f);
  size_t left = pinned_in_the_end();
  (void)kill(child, SIGKILL);
  assert_true(waitpid(child, &status, 0) == child);
  assert_int_equal(left, 0);
}

static void child_keeps_no_memory_of_a_closed_engine_pinned(void** state) {
  struct fixture* f = *state;
  int status;
  fixture_arena(f, MIB, 8);
  skip_without_ring(f);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  pid_t child = start_sleeper();
  assert_true(child > 0);
  end_engine(f);
  size_t left = pinned_in_the_end();
  (void)kill(child, SIGKILL);
  assert_true(waitpid(child, &status, 0) == child);
  assert_int_equal(left, 0);
}

static int give_everything_back(void* data) {
  struct fixture* f = data;
  EXPECT(uv_loop_fork(&f->loop) == 0);
  EXPECT(uvdio_engine_close(f->engine, NULL) == 0);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  EXPECT(uvdio_arena_destroy(f->arena, NULL) == 0);
  EXPECT(open_rings() == rings_of_a_loop());
  return 0;
}

static void child_gives_the_arenas_descriptor_back(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, MIB, 2);
  skip_without_ring(f);
  use_a_frame(f);
  assert_ok(in_a_child(give_everything_back, f));
}

static int use_both_arenas(void* data) {
  struct fixture* f = data;
  uvdio_engine_options_t options = matrix_options();
  uvdio_arena_options_t arena_options = {PAGE, 4, 0};
  uvdio_arena_t* own;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  EXPECT(uv_loop_init(&loop) == 0 && uvdio_engine_create(&engine, &loop, &options) == 0);
  EXPECT(uvdio_arena_create(&own, &arena_options) == 0);
  EXPECT(uvdio_arena_register(engine, own) == 0);
  int error = uvdio_arena_register(engine, f->arena);
  if (error != 0) {
    fprintf(stderr, "the parent's arena: %s: %s\n", uvdio_err_name(error),
            reason_of(engine, f->arena));
  }
  EXPECT(error == 0);
  return 0;
}

static void child_registers_its_own_and_the_parents_arena(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  assert_ok(in_a_child(use_both_arenas, f));
}

/* A fork while another thread registers: the child has the arena's lock as it was. */

struct registrar {
  uvdio_arena_t* arena;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  atomic_int ended;
};

static void register_for_long(void* data) {
  struct registrar* r = data;
  (void)uvdio_arena_register(r->engine, r->arena);
  atomic_store(&r->ended, 1);
}

static int end_all_of_it(void* data) {
  struct registrar* r = data;
  (void)signal(SIGABRT, SIG_DFL);
  EXPECT(uv_loop_fork(&r->loop) == 0);
  EXPECT(uvdio_engine_close(r->engine, NULL) == 0);
  uv_run(&r->loop, UV_RUN_DEFAULT);
  EXPECT(uvdio_arena_destroy(r->arena, NULL) == 0);
  return 0;
}

static void child_of_a_fork_while_registering_can_destroy_the_arena(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = matrix_options();
  struct registrar r = {0};
  uv_thread_t thread;
  fixture_arena(f, MIB, 512);
  skip_without_ring(f);
  r.arena = f->arena;
  assert_ok(uv_loop_init(&r.loop));
  assert_ok(uvdio_engine_create(&r.engine, &r.loop, &options));
  size_t before = pinned();
  assert_ok(uv_thread_create(&thread, register_for_long, &r));
  while (pinned() < before + 8 * MIB && !atomic_load(&r.ended)) {
  }
  int status = in_a_child(end_all_of_it, &r);
  assert_ok(uv_thread_join(&thread));
  assert_ok(uvdio_engine_close(r.engine, NULL));
  uv_run(&r.loop, UV_RUN_DEFAULT);
  assert_ok(uv_loop_close(&r.loop));
  assert_ok(status);
}

/*
 * The limit on locked memory, of an ordinary user
 */

/* With an arena, where the test can become somebody else. */
static void begin_as_root(struct fixture* f) {
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  if (geteuid() != 0) {
    SKIP("only root can become another user");
  }
}

/* Locked memory is charged to the user, whatever the process: so it is one that nobody else is. */
static int be_a_user_who_locks(size_t most) {
  struct rlimit limit = {most, most};
  uid_t user = 1000000 + (uid_t)getpid();
  return setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setgid(user) != 0 || setuid(user) != 0;
}

static int register_after_setuid(void* data) {
  struct fixture* f = data;
  uvdio_engine_options_t options = matrix_options();
  uvdio_arena_options_t arena_options = {PAGE, 4, 0};
  uv_loop_t loop;
  uvdio_engine_t* engine;
  EXPECT(uv_loop_init(&loop) == 0 && uvdio_engine_create(&engine, &loop, &options) == 0);
  EXPECT(uvdio_arena_create(&f->arena, &arena_options) == 0);
  EXPECT(be_a_user_who_locks(8 * MIB) == 0);
  int error = uvdio_arena_register(engine, f->arena);
  if (error != 0) {
    fprintf(stderr, "after setuid: %s: %s\n", uvdio_err_name(error), reason_of(engine, f->arena));
  }
  EXPECT(error == 0);
  return 0;
}

/* What a daemon does: everything is set up by root, and the work is done by somebody else. */
static void engine_of_root_registers_after_setuid(void** state) {
  struct fixture* f = *state;
  begin_as_root(f);
  leave_arena(f);
  assert_ok(in_a_child(register_after_setuid, f));
}

static void on_nothing(uv_timer_t* timer) {
  (void)timer;
}

/* Registers one arena after the other, never more than 3 MiB at a time. Returns how many were
 * refused, or -1. */
static int come_and_go(int with_turns) {
  uvdio_engine_options_t options = matrix_options();
  uvdio_arena_options_t arena_options = {MIB, 3, 0};
  uv_timer_t timer;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  int refused = 0;
  options.depth = 8;
  if (be_a_user_who_locks(8 * MIB) != 0 || uv_loop_init(&loop) != 0 ||
      uvdio_engine_create(&engine, &loop, &options) != 0 || uv_timer_init(&loop, &timer) != 0) {
    return -1;
  }
  for (int i = 0; i < 50; i++) {
    uvdio_arena_t* arena;
    if (uvdio_arena_create(&arena, &arena_options) != 0) {
      return -1;
    }
    refused += uvdio_arena_register(engine, arena) != 0;
    if (uvdio_arena_destroy(arena, NULL) != 0 ||
        (with_turns && uv_timer_start(&timer, on_nothing, 1, 0) != 0)) {
      return -1;
    }
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  fprintf(stderr, "%d of 50 arenas were refused\n", refused);
  return refused;
}

static int come_and_go_with_turns(void* data) {
  (void)data;
  EXPECT(come_and_go(1) == 0);
  return 0;
}

static int come_and_go_without_turns(void* data) {
  (void)data;
  EXPECT(come_and_go(0) == 0);
  return 0;
}

static void arenas_come_and_go_within_the_limit(void** state) {
  struct fixture* f = *state;
  begin_as_root(f);
  need_linux(6, 4, "older kernels give back pinned memory a while later");
  assert_ok(in_a_child(come_and_go_with_turns, f));
}

/* A loop on which nothing is pending does not turn, however often it is run. */
static void arenas_come_and_go_without_a_turn(void** state) {
  struct fixture* f = *state;
  begin_as_root(f);
  need_linux(6, 4, "older kernels give back pinned memory a while later");
  assert_ok(in_a_child(come_and_go_without_turns, f));
}

static int engines_come_and_go(void* data) {
  uvdio_engine_options_t options = matrix_options();
  uvdio_arena_options_t arena_options = {MIB, 5, 0};
  uvdio_arena_t* arena;
  uv_loop_t loop;
  unsigned refused = 0;
  (void)data;
  EXPECT(be_a_user_who_locks(8 * MIB) == 0);
  EXPECT(uv_loop_init(&loop) == 0 && uvdio_arena_create(&arena, &arena_options) == 0);
  options.depth = 8;
  for (int i = 0; i < 20; i++) {
    uvdio_engine_t* engine;
    EXPECT(uvdio_engine_create(&engine, &loop, &options) == 0);
    refused += uvdio_arena_register(engine, arena) != 0;
    EXPECT(uvdio_engine_close(engine, NULL) == 0);
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  fprintf(stderr, "engines come and go: %u of 20 refused\n", refused);
  EXPECT(refused == 0);
  return 0;
}

static void engines_come_and_go_within_the_limit(void** state) {
  struct fixture* f = *state;
  begin_as_root(f);
  assert_ok(in_a_child(engines_come_and_go, f));
}

/*
 * Neighbours
 */

struct neighbour {
  uvdio_arena_t* arena;
  atomic_int begun;
  atomic_int ended;
  uint64_t took;
  int error;
};

static void register_all(void* data) {
  struct neighbour* n = data;
  uvdio_engine_options_t options = matrix_options();
  uv_loop_t loop;
  uvdio_engine_t* engine = NULL;
  n->error = uv_loop_init(&loop) != 0 || uvdio_engine_create(&engine, &loop, &options) != 0;
  atomic_store(&n->begun, 1);
  uint64_t begin = uv_hrtime();
  n->error = n->error || uvdio_arena_register(engine, n->arena) != 0;
  n->took = uv_hrtime() - begin;
  atomic_store(&n->ended, 1);
  n->error = uvdio_engine_close(engine, NULL) != 0 || n->error;
  uv_run(&loop, UV_RUN_DEFAULT);
  n->error = uv_loop_close(&loop) != 0 || n->error;
}

/* The one that registers blocks, as it was told; the other one only reads. */
static void registering_does_not_block_another_engine(void** state) {
  struct fixture* f = *state;
  struct neighbour n = {0};
  uv_thread_t thread;
  fixture_arena(f, MIB, 512);
  skip_without_ring(f);
  put(f, &f->file, 0, PAGE, 1);
  read_page(f, 0);
  run(f);
  n.arena = f->arena;
  size_t before = pinned();
  assert_ok(uv_thread_create(&thread, register_all, &n));
  while (!atomic_load(&n.begun) || (pinned() < before + 8 * MIB && !atomic_load(&n.ended))) {
  }
  uvdio_buf_t frame = {0};
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  uint64_t begin = uv_hrtime();
  t_read(op_new(&f->tracker), &f->file, &frame, 0);
  uint64_t took = uv_hrtime() - begin;
  run(f);
  assert_ok(uv_thread_join(&thread));
  assert_false(n.error);
  print_message("# registering took %.3f ms, the read's call %.3f ms\n", (double)n.took / 1e6,
                (double)took / 1e6);
  assert_true(took < n.took / 2);
}

/*
 * The end
 */

static uvdio_arena_t* asked_about;

static void on_end(uvdio_engine_t* engine) {
  uvdio_registration_t registration;
  if (uvdio_arena_registration(engine, asked_about, &registration) != 0) {
    _exit(1);
  }
}

static int ask_at_the_end(void* data) {
  struct fixture* f = data;
  uvdio_engine_options_t options = matrix_options();
  uv_loop_t loop;
  uvdio_engine_t* engine;
  (void)signal(SIGSEGV, SIG_DFL);
  EXPECT(uv_loop_init(&loop) == 0 && uvdio_engine_create(&engine, &loop, &options) == 0);
  asked_about = f->arena;
  EXPECT(uvdio_engine_close(engine, on_end) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  return 0;
}

static void registration_can_be_asked_for_when_the_engine_is_closed(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  assert_ok(in_a_child(ask_at_the_end, f));
}

static size_t pinned_later;

static void look_later(uv_work_t* work) {
  (void)work;
  pinned_later = pinned_in_the_end();
}

static void looked(uv_work_t* work, int status) {
  assert_int_equal(status, 0);
  uv_close(work->data, NULL);
}

static void on_timer(uv_timer_t* timer) {
  static uv_work_t work;
  struct fixture* f = timer->data;
  leave_arena(f);
  work.data = timer;
  assert_ok(uv_queue_work(&f->loop, &work, look_later, looked));
}

/* What is destroyed on the loop's thread is let go of before the loop sleeps. */
static void arena_destroyed_on_the_loop_is_let_go_of_before_it_sleeps(void** state) {
  struct fixture* f = *state;
  uv_timer_t timer;
  fixture_arena(f, MIB, 8);
  skip_without_ring(f);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  assert_ok(uv_timer_init(&f->loop, &timer));
  timer.data = f;
  assert_ok(uv_timer_start(&timer, on_timer, 1, 0));
  run(f);
  run_once(f);
  assert_int_equal(pinned_later, 0);
}

/* A full table is no reason to refuse for good. */
static void arena_gets_room_that_another_gave_up(void** state) {
  struct fixture* f = *state;
  uvdio_arena_t* arenas[5];
  uvdio_arena_options_t options = {MIB, 4095, 0};
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  put(f, &f->file, 0, PAGE, 1);
  uvdio_arena_t* own = f->arena;
  for (unsigned i = 0; i < COUNT_OF(arenas); i++) {
    if (uvdio_arena_create(&arenas[i], &options) != 0) {
      SKIP("not enough address space");
    }
    f->arena = arenas[i];
    uvdio_buf_t frame = {0};
    assert_ok(uvdio_arena_acquire(f->arena, &frame));
    struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &frame, 0);
    run(f);
    op_free(read);
  }
  uvdio_registration_t full = registration_with(f->engine, arenas[4]);
  f->arena = own;
  for (unsigned i = 0; i < 4; i++) {
    assert_ok(uvdio_arena_destroy(arenas[i], NULL));
  }
  run_once(f);
  assert_string_not_equal(full.reason, "");
  print_message("# full: %s\n", full.reason);
  f->arena = arenas[4];
  use_a_frame(f);
  size_t bytes = registration_with(f->engine, arenas[4]).bytes;
  f->arena = own;
  assert_ok(uvdio_arena_destroy(arenas[4], NULL));
  run_once(f);
  assert_true(bytes > 0);
}

/* Segments of 1 MiB; each frame has one of its own. Those that were acquired before the wanted one
 * are kept until the end. */
static void read_into_frame(struct fixture* f, unsigned which) {
  uvdio_buf_t frames[8] = {{0}};
  for (unsigned i = 0; i <= which; i++) {
    assert_ok(uvdio_arena_acquire(f->arena, &frames[i]));
  }
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &frames[which], 0);
  run(f);
  assert_true(read->result >= 0);
  op_free(read);
  for (unsigned i = 0; i < which; i++) {
    assert_ok(uvdio_buf_release(&frames[i]));
  }
}

/* Whatever of an arena was registered, also where what comes before it was not, is let go of. */
static void whatever_was_registered_is_unregistered(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, MIB, 8);
  skip_without_ring(f);
  need_linux(6, 4, "older kernels give back pinned memory a while later");
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned which = 0; which < 8; which++) {
    size_t before = pinned();
    read_into_frame(f, which);
    assert_int_equal(pinned(), before + MIB);
    assert_int_equal(registration_of(f).bytes, MIB);
    assert_ok(uvdio_arena_unregister(f->engine, f->arena));
    assert_int_equal(registration_of(f).bytes, 0);
    assert_int_equal(stats_of(f).registered_bytes, 0);
    assert_int_equal(pinned(), before);
    leave_arena(f);
    run_once(f);
    fixture_arena(f, MIB, 8);
  }
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, arenas_take_no_descriptors),
      TEST_ON(fixture_open, child_keeps_no_memory_pinned),
      TEST_ON(fixture_open, child_keeps_no_memory_of_a_closed_engine_pinned),
      TEST_ON(fixture_open, child_gives_the_arenas_descriptor_back),
      TEST_ON(fixture_open, child_registers_its_own_and_the_parents_arena),
      TEST_ON(fixture_open, child_of_a_fork_while_registering_can_destroy_the_arena),
      TEST_ON(fixture_open, engine_of_root_registers_after_setuid),
      TEST_ON(fixture_open, arenas_come_and_go_within_the_limit),
      TEST_ON(fixture_open, arenas_come_and_go_without_a_turn),
      TEST_ON(fixture_open, engines_come_and_go_within_the_limit),
      TEST_ON(fixture_open, registering_does_not_block_another_engine),
      TEST_ON(fixture_open, registration_can_be_asked_for_when_the_engine_is_closed),
      TEST_ON(fixture_open, arena_destroyed_on_the_loop_is_let_go_of_before_it_sleeps),
      TEST_ON(fixture_open, arena_gets_room_that_another_gave_up),
      TEST_ON(fixture_open, whatever_was_registered_is_unregistered),
  };
  return matrix_main("registered_resources", tests, COUNT_OF(tests), argc, argv);
}
