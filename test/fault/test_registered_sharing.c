/* SPDX-License-Identifier: MIT */
/*
 * Memory that several engines have registered is pinned by a ring that does nothing else, the
 * arena's vault, from which they copy: what of a vault that can't be opened, filled or copied from,
 * that is busy, or that ends before its users?
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "registered.h"

/* The calls of the second engine's first registration, of a single piece. */
enum { ITS_TABLE = 1, VAULTS_TABLE, PIN, COPY };

/* The fixture's engine comes second to an arena, so that it copies. */
struct vaults {
  struct fixture* f;
  uvdio_engine_t* first;
};

static struct vaults v;

static void start_first(void) {
  uvdio_engine_options_t options = matrix_options();
  options.depth = 8;
  assert_ok(uvdio_engine_create(&v.first, &v.f->loop, &options));
}

static void end_first(void) {
  uvdio_engine_t* first = v.first;
  v.first = NULL;
  if (first != NULL) {
    (void)uvdio_engine_close(first, NULL);
    (void)uv_run(&v.f->loop, UV_RUN_DEFAULT);
  }
}

/* An arena of so many pieces of 1 MiB that the first engine has registered. */
static void arena_of(unsigned pieces) {
  fixture_arena(v.f, MIB, pieces);
  int error = uvdio_arena_register(v.first, v.f->arena);
  if (error == UV_ENOTSUP) {
    SKIP("rings register no memory piece by piece here (Linux 5.19)");
  }
  assert_ok(error);
}

/* Whether this kernel's rings copy from each other. */
static int has_vaults(void) {
  arena_of(1);
  unsigned before = open_rings();
  assert_ok(uvdio_arena_register(v.f->engine, v.f->arena));
  int more = open_rings() > before;
  leave_arena(v.f);
  run_once(v.f);
  return more;
}

static int set_up(void** state) {
  uvdio_engine_options_t options = {0};
  faults_reset();
  memset(&v, 0, sizeof(v));
  options.depth = 8;
  int failed = fixture_open_with(state, options);
  v.f = *state;
  return failed;
}

static int tear_down(void** state) {
  faults_reset();
  end_first();
  if (v.f->engine != NULL) { /* not the one that the fixture has counted with */
    end_engine(v.f);
  }
  return fixture_tear_down(state);
}

/* Its second engine is as new: it has not registered anything. */
static void begin(unsigned pieces) {
  uvdio_engine_options_t options = {0};
  start_first();
  if (!has_vaults()) {
    SKIP("this kernel's rings don't copy from each other (Linux 6.18)");
  }
  end_engine(v.f);
  memset(&v.f->file, 0, sizeof(v.f->file));
  options.depth = 8;
  start_engine(v.f, options);
  open_now(v.f, &v.f->file, "file", UVDIO_OPEN_RW);
  put(v.f, &v.f->file, 0, PAGE, 1);
  arena_of(pieces);
}

/* Reads into the arena's next frame; it arrives, whatever the arena's state. */
static void read_frame(struct tracked_op** keep) {
  uvdio_buf_t frame = {0};
  assert_ok(uvdio_arena_acquire(v.f->arena, &frame));
  frame.cap = PAGE;
  struct tracked_op* read = t_read(op_new(&v.f->tracker), &v.f->file, &frame, 0);
  run(v.f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, 1));
  *keep = read;
}

/*
 * It can't be opened or filled
 */

static void refused_for(enum fault_call call, unsigned nth, int error, const char* word) {
  struct tracked_op* read;
  int has_vault = call == CALL_REGISTER && nth > VAULTS_TABLE;
  begin(1);
  unsigned rings = open_rings();
  size_t descriptors = open_descriptors();
  fault_fail(call, nth, ONCE, error);
  int code = uvdio_arena_register(v.f->engine, v.f->arena);
  assert_int_equal(fault_hits(call), 1);
  faults_reset();
  assert_code(code, uv_translate_sys_error(error));
  uvdio_registration_t registration = registration_of(v.f);
  assert_code(registration.error, code);
  assert_int_equal(registration.bytes, 0);
  assert_non_null(strstr(registration.reason, word));
  assert_true(stats_of(v.f).registrations_refused > 0);
  assert_true(has_vault || open_rings() == rings);
  assert_true(has_vault || open_descriptors() == descriptors);
  read_frame(&read);
  op_free(read);
  assert_ok(uvdio_arena_register(v.f->engine, v.f->arena));
  assert_int_equal(registration_of(v.f).bytes, MIB);
  leave_arena(v.f);
  run_once(v.f);
  end_first();
}

static void vault_that_does_not_open_is_a_refusal(void** state) {
  (void)state;
  refused_for(CALL_SETUP, 1, EMFILE, "no file descriptor is free");
  refused_for(CALL_SETUP, 1, ENFILE, "no file descriptor is free");
  refused_for(CALL_SETUP, 1, EPERM, "refused to register");
}

/* Of the three allocations, the first two are the engine's own notes of the arena. */
static void vault_without_memory_is_a_refusal(void** state) {
  (void)state;
  refused_for(CALL_MEMALIGN, 3, ENOMEM, "locked memory");
}

/* Without these it knows nothing of the arena yet: no refusal, and another time it may succeed. */
static void notes_without_memory_are_no_refusal(void** state) {
  (void)state;
  for (unsigned nth = 1; nth <= 2; nth++) {
    begin(1);
    faults_reset();
    uint64_t refused = stats_of(v.f).registrations_refused;
    fault_fail(CALL_MEMALIGN, nth, ONCE, ENOMEM);
    assert_code(uvdio_arena_register(v.f->engine, v.f->arena), UV_ENOMEM);
    assert_int_equal(fault_hits(CALL_MEMALIGN), 1);
    assert_ok(registration_of(v.f).error);
    assert_int_equal(registration_of(v.f).bytes, 0);
    assert_int_equal(stats_of(v.f).registrations_refused, refused);
    assert_ok(uvdio_arena_register(v.f->engine, v.f->arena));
    assert_int_equal(registration_of(v.f).bytes, MIB);
    leave_arena(v.f);
    run_once(v.f);
    end_first();
  }
}

static void vault_without_a_table_is_a_refusal(void** state) {
  (void)state;
  refused_for(CALL_REGISTER, VAULTS_TABLE, ENOMEM, "locked memory");
}

static void vault_that_pins_nothing_is_a_refusal(void** state) {
  (void)state;
  refused_for(CALL_REGISTER, PIN, EFAULT, "of a kind that the kernel does not pin");
  refused_for(CALL_REGISTER, PIN, EOPNOTSUPP, "of a kind that the kernel does not pin");
  refused_for(CALL_REGISTER, COPY, EBADF, "refused to register");
}

/* As in a program that has closed its standard input. */
static void vault_may_have_descriptor_0(void** state) {
  (void)state;
  begin(1);
  int input = dup(STDIN_FILENO);
  close(STDIN_FILENO);
  int code = uvdio_arena_register(v.f->engine, v.f->arena);
  int is_open = fcntl(STDIN_FILENO, F_GETFD) != -1;
  size_t bytes = registration_of(v.f).bytes;
  leave_arena(v.f);
  run_once(v.f);
  end_first();
  int is_closed = fcntl(STDIN_FILENO, F_GETFD) == -1;
  assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
  close(input);
  assert_ok(code);
  assert_int_equal(bytes, MIB);
  assert_true(is_open && is_closed);
}

/* The first piece is refused: the second is not tried. */
static void first_refusal_is_the_last(void** state) {
  (void)state;
  begin(2);
  fault_fail(CALL_REGISTER, PIN, FOR_GOOD, ENOMEM);
  assert_code(uvdio_arena_register(v.f->engine, v.f->arena), UV_ENOMEM);
  /* and what others have had pinned is still copied */
  assert_int_equal(fault_hits(CALL_REGISTER), 2);
  faults_reset();
  assert_int_equal(registration_of(v.f).bytes, 0);
}

/*
 * It can't be copied from
 */

static void ring_that_may_not_copy_pins_by_itself(void** state) {
  struct tracked_op* read;
  (void)state;
  begin(2);
  unsigned rings = open_rings();
  fault_fail(CALL_REGISTER, COPY + 1, ONCE, EINVAL);
  assert_ok(uvdio_arena_register(v.f->engine, v.f->arena));
  assert_int_equal(fault_hits(CALL_REGISTER), 1);
  faults_reset();
  assert_int_equal(registration_of(v.f).bytes, 2 * MIB);
  assert_int_equal(open_rings(), rings); /* Nobody uses the vault any more. */
  read_frame(&read);
}

/* It had copied before, so that it may: something else is wrong. */
static void later_refusal_to_copy_is_a_refusal(void** state) {
  struct tracked_op* reads[2];
  (void)state;
  need_a_ring_file(&v.f->file);
  begin(2);
  read_frame(&reads[0]);
  assert_int_equal(registration_of(v.f).bytes, MIB);
  fault_fail(CALL_REGISTER, 2, ONCE, EINVAL); /* after the pin */
  read_frame(&reads[1]);
  assert_int_equal(fault_hits(CALL_REGISTER), 1);
  faults_reset();
  assert_int_equal(registration_of(v.f).bytes, MIB);
  assert_code(registration_of(v.f).error, UV_EINVAL);
}

static void pieces_are_copied_one_by_one(void** state) {
  struct tracked_op* reads[2];
  (void)state;
  need_a_ring_file(&v.f->file);
  begin(3);
  read_frame(&reads[0]);
  assert_int_equal(registration_of(v.f).bytes, MIB);
  read_frame(&reads[1]);
  assert_int_equal(registration_of(v.f).bytes, 2 * MIB);
  assert_ok(uvdio_arena_register(v.f->engine, v.f->arena));
  assert_int_equal(registration_of(v.f).bytes, 3 * MIB);
}

/*
 * It is busy
 */

struct registrar {
  uvdio_arena_t* arena;
  int error;
};

static void register_elsewhere(void* data) {
  struct registrar* r = data;
  uvdio_engine_options_t options = matrix_options();
  uv_loop_t loop;
  uvdio_engine_t* engine = NULL;
  r->error = uv_loop_init(&loop);
  r->error = r->error != 0 ? r->error : uvdio_engine_create(&engine, &loop, &options);
  r->error = r->error != 0 ? r->error : uvdio_arena_register(engine, r->arena);
  if (engine != NULL) {
    (void)uvdio_engine_close(engine, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
  }
}

/* Another thread's engine pins a piece: reads go as plain memory meanwhile, and don't wait. */
static void busy_vault_is_not_waited_for(void** state) {
  struct registrar r = {0};
  struct tracked_op* reads[3];
  uv_thread_t thread;
  (void)state;
  need_a_ring_file(&v.f->file);
  begin(3);
  read_frame(&reads[0]);
  r.arena = v.f->arena;
  fault_hold(CALL_REGISTER, 2); /* after the table of the thread's ring */
  assert_ok(uv_thread_create(&thread, register_elsewhere, &r));
  fault_await(CALL_REGISTER);
  watch_for_hang("a read beside an engine that registers");
  read_frame(&reads[1]);
  watch_for_hang(NULL);
  size_t meanwhile = registration_of(v.f).bytes;
  int error = registration_of(v.f).error;
  fault_release(CALL_REGISTER);
  assert_ok(uv_thread_join(&thread));
  assert_ok(r.error);
  assert_int_equal(meanwhile, MIB);
  assert_ok(error);
  read_frame(&reads[2]);
  assert_int_equal(registration_of(v.f).bytes, 2 * MIB);
}

/*
 * It ends before its users
 */

static void vault_ends_with_the_arena(void** state) {
  (void)state;
  begin(2);
  unsigned rings = open_rings();
  assert_ok(uvdio_arena_register(v.f->engine, v.f->arena));
  assert_int_equal(open_rings(), rings + 1);
  leave_arena(v.f);
  assert_int_equal(open_rings(), rings);
  run_once(v.f);
  arena_of(2); /* Both go on with another one. */
  assert_ok(uvdio_arena_register(v.f->engine, v.f->arena));
  assert_int_equal(open_rings(), rings + 1);
}

static int destroy_arena(void* data) {
  unsigned rings = open_rings();
  (void)data;
  EXPECT(uvdio_arena_destroy(v.f->arena, NULL) == 0);
  EXPECT(open_rings() == rings - 1);
  return 0;
}

static void child_closes_the_vault_for_itself(void** state) {
  struct tracked_op* read;
  (void)state;
  need_a_ring_file(&v.f->file);
  begin(2);
  read_frame(&read);
  uvdio_buf_t frame = op_take(read);
  assert_ok(uvdio_buf_release(&frame));
  unsigned rings = open_rings();
  assert_ok(in_a_child(destroy_arena, NULL));
  assert_int_equal(open_rings(), rings);
  assert_ok(uvdio_arena_register(v.f->engine, v.f->arena)); /* The vault gets the second piece. */
  assert_int_equal(registration_of(v.f).bytes, 2 * MIB);
}

struct childs_read {
  char path[FILESYSTEM_PATH_MAX];
  char* base;
  int arrived;
};

static void on_childs_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct childs_read* read = req->data;
  read->arrived = result == PAGE && is_pattern(buf.base, PAGE, 1);
  (void)uvdio_buf_release(&buf);
}

/* With one engine after the other, of which a second one would copy. */
static int read_in_the_child(void* data) {
  struct childs_read* read = data;
  uvdio_engine_options_t options = matrix_options();
  uvdio_file_t files[2] = {{0}, {0}};
  uvdio_engine_t* engines[2];
  uv_loop_t loop;
  options.depth = 8;
  EXPECT(uv_loop_init(&loop) == 0);
  for (unsigned i = 0; i < 2; i++) {
    uvdio_req_t req = {.data = read};
    uvdio_buf_t frame = {0};
    read->arrived = 0;
    EXPECT(uvdio_engine_create(&engines[i], &loop, &options) == 0);
    EXPECT(uvdio_open(engines[i], &files[i], &req, read->path, UVDIO_OPEN_RW, 0, NULL) == 0);
    EXPECT(uvdio_arena_acquire(v.f->arena, &frame) == 0);
    EXPECT(frame.base == read->base);
    memset(frame.base, 0, frame.cap);
    frame.cap = PAGE;
    EXPECT(uvdio_read(&files[i], &req, &frame, 0, on_childs_read) == 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT(read->arrived);
  }
  return 0;
}

/* What the parent's vault has pinned is the parent's memory: a child's rings copy nothing from
 * there. */
static void childs_engines_leave_the_parents_vault_alone(void** state) {
  struct childs_read in_child;
  struct tracked_op* read;
  (void)state;
  need_a_ring_file(&v.f->file);
  begin(1);
  read_frame(&read);
  uvdio_buf_t frame = op_take(read);
  in_child.base = frame.base;
  memset(frame.base, 0, PAGE);
  assert_ok(uvdio_buf_release(&frame)); /* It is the next one, in the child as well. */
  snprintf(in_child.path, sizeof(in_child.path), "%s", path_of(v.f, "file"));
  assert_ok(in_a_child(read_in_the_child, &in_child));
  assert_true(is_zero(in_child.base, PAGE));
}

/* The rings are the parent's: whatever was registered there is not given up. */
static int close_in_the_child(void* data) {
  unsigned before = fault_calls(CALL_REGISTER);
  (void)data;
  EXPECT(uv_loop_fork(&v.f->loop) == 0);
  EXPECT(uvdio_engine_close(v.f->engine, NULL) == 0);
  EXPECT(uvdio_engine_close(v.first, NULL) == 0);
  uv_run(&v.f->loop, UV_RUN_DEFAULT);
  EXPECT(fault_calls(CALL_REGISTER) == before);
  return 0;
}

/* Nor do its parent's engines, which it closes, empty it: a third one of the parent's still gets
 * from there what was pinned. */
static void parents_vault_outlives_engines_closed_by_a_child(void** state) {
  uvdio_engine_options_t options = matrix_options();
  uvdio_file_t file = {0};
  uvdio_buf_t frame = {0};
  struct tracked_op* read;
  uvdio_engine_t* third;
  (void)state;
  need_a_ring_file(&v.f->file);
  begin(1);
  read_frame(&read);
  assert_ok(in_a_child(close_in_the_child, NULL));
  options.depth = 8;
  assert_ok(uvdio_engine_create(&third, &v.f->loop, &options));
  t_open(op_now(&v.f->tracker), third, &file, path_of(v.f, "file"), UVDIO_OPEN_RW);
  frame = op_take(read);
  frame.len = 0;
  frame.cap = PAGE;
  read = t_read(op_new(&v.f->tracker), &file, &frame, 0);
  run(v.f);
  size_t bytes = registration_with(third, v.f->arena).bytes;
  t_close(op_now(&v.f->tracker), &file);
  assert_ok(uvdio_engine_close(third, NULL));
  run(v.f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, 1));
  assert_int_equal(bytes, MIB);
}

/*
 * The table
 */

/* Asked for by name, an arena that found no room is looked after again, each time. */
static void full_table_is_asked_again(void** state) {
  uvdio_arena_t* arenas[4];
  uvdio_arena_options_t options = {MIB, 4096, 0};
  (void)state;
  need_a_ring_file(&v.f->file);
  begin(1);
  uvdio_arena_t* own = v.f->arena;
  for (unsigned i = 0; i < COUNT_OF(arenas); i++) {
    struct tracked_op* read;
    if (uvdio_arena_create(&arenas[i], &options) != 0) {
      SKIP("not enough address space");
    }
    v.f->arena = arenas[i];
    read_frame(&read);
    op_free(read);
  }
  v.f->arena = own;
  assert_code(uvdio_arena_register(v.f->engine, own), UV_ENOMEM);
  assert_code(uvdio_arena_register(v.f->engine, own), UV_ENOMEM);
  assert_non_null(strstr(registration_of(v.f).reason, "is full"));
  assert_ok(uvdio_arena_destroy(arenas[2], NULL));
  assert_ok(uvdio_arena_register(v.f->engine, own));
  for (unsigned i = 0; i < COUNT_OF(arenas); i++) {
    assert_ok(i == 2 ? 0 : uvdio_arena_destroy(arenas[i], NULL));
  }
  run_once(v.f);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST(vault_that_does_not_open_is_a_refusal),
      TEST(vault_without_memory_is_a_refusal),
      TEST(notes_without_memory_are_no_refusal),
      TEST(vault_without_a_table_is_a_refusal),
      TEST(vault_that_pins_nothing_is_a_refusal),
      TEST(vault_may_have_descriptor_0),
      TEST(first_refusal_is_the_last),
      TEST(ring_that_may_not_copy_pins_by_itself),
      TEST(later_refusal_to_copy_is_a_refusal),
      TEST(pieces_are_copied_one_by_one),
      TEST(busy_vault_is_not_waited_for),
      TEST(vault_ends_with_the_arena),
      TEST(child_closes_the_vault_for_itself),
      TEST(childs_engines_leave_the_parents_vault_alone),
      TEST(parents_vault_outlives_engines_closed_by_a_child),
      TEST(full_table_is_asked_again),
  };
  return matrix_main("registered_sharing", tests, COUNT_OF(tests), argc, argv);
}
