/* SPDX-License-Identifier: MIT */
/*
 * Arenas whose memory the ring knows by number: by themselves or by the user's word, given back,
 * refused, shared. And what must not differ by it: the bytes, and who may touch them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "fixture.h"
#include "ops.h"
#include "registered.h"

/* And makes the arena, where the address space has room for it. */
static void skip_without_ring_or_room(struct fixture* f, size_t frame_size, size_t frame_count) {
  uvdio_arena_options_t options = {.frame_size = frame_size, .frame_count = frame_count};
  if (on_memory()) { /* where the tests' allocator would fill gigabytes */
    skip_without_ring(f);
  }
  if (uvdio_arena_create(&f->arena, &options) != 0) {
    f->arena = NULL;
    SKIP("the system gives no memory to an arena of that size");
  }
  skip_without_ring(f);
}

/* Writes a frame full of the pattern and reads it back into another one. */
static void pass_through(struct fixture* f, uint64_t offset, unsigned seed) {
  uvdio_buf_t frame = frame_of(f);
  fill_pattern(frame.base, frame.cap, seed);
  frame.len = frame.cap;
  size_t size = frame.cap;
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &frame, offset);
  run(f);
  assert_result(write, size);
  uvdio_buf_t into = frame_of(f);
  memset(into.base, 0, into.cap);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &into, offset);
  run(f);
  assert_result(read, size);
  assert_true(is_pattern(read->back.base, size, seed));
  assert_holds(f, &f->file, offset, size, seed);
  op_free(write);
  op_free(read);
}

/*
 * By themselves
 */

static void first_use_registers(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 16);
  assert_int_equal(registration_of(f).bytes, 0);
  assert_int_equal(registration_of(f).size, 16 * PAGE);
  pass_through(f, 0, 1);
  assert_int_equal(registration_of(f).bytes, is_on_ring(f) ? 16 * PAGE : 0);
  assert_int_equal(stats_of(f).fixed, is_on_ring(f) ? 2 : 0);
  assert_int_equal(stats_of(f).registered_bytes, registration_of(f).bytes);
  assert_int_equal(stats_of(f).registrations_refused, 0);
}

static void only_what_is_used_is_registered(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, MIB, 8);
  skip_without_ring(f);
  pass_through(f, 0, 1);
  assert_true(registration_of(f).bytes < registration_of(f).size);
  assert_code(registration_of(f).error, 0);
}

/* 12 KiB frames end across the borders of segments. */
static void every_frame_of_an_odd_arena_arrives(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t frames[400];
  struct tracked_op* writes[COUNT_OF(frames)];
  size_t size = 3 * PAGE;
  fixture_arena(f, size, COUNT_OF(frames));
  for (unsigned i = 0; i < COUNT_OF(frames); i++) {
    frames[i] = frame_of(f);
    fill_pattern(frames[i].base, size, i);
    frames[i].len = size;
    writes[i] = t_write(op_new(&f->tracker), &f->file, &frames[i], i * size);
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(frames); i++) {
    assert_result(writes[i], size);
    assert_holds(f, &f->file, i * size, size, i);
  }
  assert_int_equal(stats_of(f).fixed, is_on_ring(f) ? COUNT_OF(frames) : 0);
}

static void heap_buffers_go_as_plain_memory(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, 2 * PAGE, 4);
  put(f, &f->file, 0, 2 * PAGE, 3);
  uvdio_buf_t frame = frame_of(f);
  uvdio_buf_t heap = blank(PAGE);
  struct tracked_op* first = t_read(op_new(&f->tracker), &f->file, &frame, 0);
  struct tracked_op* second = t_read(op_new(&f->tracker), &f->file, &heap, 0);
  run(f);
  assert_result(first, 2 * PAGE);
  assert_result(second, PAGE);
  assert_memory_equal(first->back.base, second->back.base, PAGE);
  assert_int_equal(stats_of(f).fixed, is_on_ring(f) ? 1 : 0);
}

/*
 * By the user's word
 */

static void manual_engine_registers_nothing_by_itself(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 16);
  pass_through(f, 0, 1);
  assert_int_equal(registration_of(f).bytes, 0);
  assert_int_equal(stats_of(f).fixed, 0);
  assert_true(strlen(registration_of(f).reason) > 0);
}

static void explicit_registration_takes_all(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, 2 * MIB, 4);
  skip_without_ring(f);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  assert_int_equal(registration_of(f).bytes, 8 * MIB);
  assert_string_equal(registration_of(f).reason, "");
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  assert_int_equal(registration_of(f).bytes, 8 * MIB);
  pass_through(f, 0, 1);
  assert_int_equal(stats_of(f).fixed, 2);
}

static void other_backends_say_that_they_have_none(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  if (strcmp(uvdio_engine_backend(f->engine), "ring") == 0) {
    SKIP("this is the ring");
  }
  assert_code(uvdio_arena_register(f->engine, f->arena), UV_ENOTSUP);
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_ENOTSUP);
  assert_code(registration_of(f).error, UV_ENOTSUP);
  assert_true(strlen(registration_of(f).reason) > 0);
}

static void unregistering_waits_for_frames(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_ENOENT);
  put(f, &f->file, 0, PAGE, 3);
  pass_through(f, PAGE, 1);
  uvdio_buf_t frame = frame_of(f);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &frame, 0);
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_EBUSY);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, 3));
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_ENOENT);
  assert_int_equal(registration_of(f).bytes, 0);
  assert_int_equal(stats_of(f).registered_bytes, 0);
}

/* Before the loop first runs, everything waits, and nothing is with the kernel. */
static void unregistering_waits_for_frames_that_wait(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  put(f, &f->file, 0, PAGE, 3);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  uvdio_buf_t frame = frame_of(f);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &frame, 0);
  assert_int_equal(stats_of(f).in_flight, 0);
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_EBUSY);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_pattern(read->back.base, PAGE, 3));
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
}

static void unregistered_stays_so_until_registered(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  pass_through(f, 0, 1);
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
  uint64_t before = stats_of(f).fixed;
  pass_through(f, 0, 2);
  assert_int_equal(stats_of(f).fixed, before);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  pass_through(f, 0, 3);
  assert_int_equal(stats_of(f).fixed, before + 2);
}

/*
 * The end of arenas
 */

/* The address comes back, the memory behind it does not: what a ring still knew by it would be
 * someone else's. */
static void arenas_come_and_go_at_one_address(void** state) {
  struct fixture* f = *state;
  for (unsigned i = 0; i < 50; i++) {
    fixture_arena(f, 64 * PAGE, 4 + i % 2);
    pass_through(f, 0, i);
    assert_true(stats_of(f).registered_bytes <= 2 * 6 * 64 * PAGE);
    leave_arena(f);
  }
  t_size(op_new(&f->tracker), &f->file);
  run(f);
  assert_int_equal(stats_of(f).registered_bytes, 0);
}

static void engine_may_end_before_the_arena(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  pass_through(f, 0, 1);
  end_engine(f);
  uvdio_buf_t frame = frame_of(f);
  memset(frame.base, 1, frame.cap);
  assert_ok(uvdio_buf_release(&frame));
}

/* What engines share of an arena goes with the last of them, and not before. */
static void last_engine_takes_the_pins_along(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = {0};
  size_t before = 0;
  options.backend = matrix.backend;
  fixture_arena(f, PAGE, 4);
  for (unsigned i = 0; i < 3; i++) {
    pass_through(f, 0, i);
    end_engine(f);
    assert_true(i == 0 || open_descriptors() == before);
    before = open_descriptors();
    memset(&f->file, 0, sizeof(f->file));
    start_engine(f, options);
    open_now(f, &f->file, "file", UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED);
  }
  assert_true(open_descriptors() >= before);
  end_engine(f);
  uvdio_buf_t frame = frame_of(f);
  assert_ok(uvdio_buf_release(&frame));
  assert_int_equal(open_descriptors(), before);
}

static void guarded_arena_goes_as_plain_memory(void** state) {
  struct fixture* f = *state;
  uvdio_arena_options_t options = {PAGE, 4, UVDIO_ARENA_GUARD_PAGES};
  assert_ok(uvdio_arena_create(&f->arena, &options));
  pass_through(f, 0, 1);
  assert_int_equal(stats_of(f).fixed, 0);
  assert_code(uvdio_arena_register(f->engine, f->arena), UV_ENOTSUP);
  assert_code(registration_of(f).error, UV_ENOTSUP);
}

/*
 * Several engines
 */

static void second_engine_gets_what_the_first_had_pinned(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = matrix_options();
  uvdio_engine_t* first = f->engine;
  uvdio_engine_t* second;
  fixture_arena(f, MIB, 4);
  skip_without_ring(f);
  assert_ok(uvdio_arena_register(first, f->arena));
  assert_ok(uvdio_engine_create(&second, &f->loop, &options));
  assert_ok(uvdio_arena_register(second, f->arena));
  assert_int_equal(registration_with(second, f->arena).bytes, 4 * MIB);
  assert_ok(uvdio_arena_unregister(first, f->arena));
  assert_int_equal(registration_with(first, f->arena).bytes, 0);
  assert_int_equal(registration_with(second, f->arena).bytes, 4 * MIB);
  pass_through(f, 0, 1);
  assert_ok(uvdio_engine_close(second, NULL));
  run(f);
  assert_ok(uvdio_arena_register(first, f->arena));
  pass_through(f, 0, 2);
}

struct neighbour {
  struct fixture* f;
  uvdio_arena_t* arena;
  const char* path;
  int failed;
};

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  int* failed = req->data;
  *failed = result != PAGE || !is_pattern(buf.base, PAGE, 7);
  (void)uvdio_buf_release(&buf);
}

/* One life of an engine on another thread, and with frames of the same arena. */
static void live_next_door(void* data) {
  struct neighbour* n = data;
  uvdio_engine_options_t options = matrix_options();
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_buf_t frame = {0};
  uv_loop_t loop;
  uvdio_engine_t* engine;
  n->failed = uv_loop_init(&loop) != 0 || uvdio_engine_create(&engine, &loop, &options) != 0 ||
              uvdio_open(engine, &file, &req, n->path, UVDIO_O_DIRECT_PREFERRED, 0, NULL) != 0 ||
              uvdio_arena_acquire(n->arena, &frame) != 0;
  for (int i = 0; i < 20 && !n->failed; i++) {
    req.data = &n->failed;
    n->failed = uvdio_read(&file, &req, &frame, 0, on_read) != 0;
    uv_run(&loop, UV_RUN_DEFAULT);
    n->failed = n->failed || uvdio_arena_acquire(n->arena, &frame) != 0;
  }
  (void)uvdio_buf_release(&frame);
  n->failed = uvdio_engine_close(engine, NULL) != 0 || n->failed;
  uv_run(&loop, UV_RUN_DEFAULT);
  n->failed = uv_loop_close(&loop) != 0 || n->failed;
}

static void engines_on_several_threads_share_an_arena(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("files that two engines could share");
  struct neighbour neighbours[3];
  uv_thread_t threads[COUNT_OF(neighbours)];
  fixture_arena(f, PAGE, 1024);
  put(f, &f->file, 0, PAGE, 7);
  for (unsigned i = 0; i < COUNT_OF(neighbours); i++) {
    neighbours[i] = (struct neighbour){.f = f, .arena = f->arena, .path = path_of(f, "file")};
    assert_ok(uv_thread_create(&threads[i], live_next_door, &neighbours[i]));
  }
  for (unsigned i = 1; i < 20; i++) {
    pass_through(f, i * PAGE, i);
  }
  for (unsigned i = 0; i < COUNT_OF(neighbours); i++) {
    assert_ok(uv_thread_join(&threads[i]));
    assert_false(neighbours[i].failed);
  }
}

/*
 * Forks: what the parent had pinned is the parent's memory, and a read of the child's must not land
 * there.
 */

static int read_in_the_child(void* data) {
  struct fixture* f = data;
  struct neighbour n = {.f = f, .arena = f->arena, .path = path_of(f, "file")};
  live_next_door(&n);
  EXPECT(n.failed == 0);
  return 0;
}

static void childs_reads_stay_in_the_child(void** state) {
  struct fixture* f = *state;
  NOT_ON_MEMORY("files that two engines could share");
  fixture_arena(f, PAGE, 4);
  if (UNDER_TSAN && !is_on_ring(f)) {
    SKIP("the thread sanitizer lets no forked child start threads");
  }
  put(f, &f->file, 0, PAGE, 7);
  pass_through(f, PAGE, 1);
  uvdio_buf_t frame = frame_of(f); /* the child's copy of the arena gives its next one */
  uvdio_buf_t next = frame_of(f);
  memset(next.base, 0, PAGE);
  assert_ok(uvdio_buf_release(&next));
  char* watched = next.base;
  assert_ok(in_a_child(read_in_the_child, f));
  assert_true(watched == NULL || is_zero(watched, PAGE));
  assert_ok(uvdio_buf_release(&frame));
  pass_through(f, PAGE, 2);
}

/*
 * The limit on locked memory, of an ordinary user
 */

static int register_as_nobody(void* data) {
  struct fixture* f = data;
  struct rlimit limit = {4 * MIB, 4 * MIB};
  uvdio_arena_options_t arena_options = {PAGE, 8 * MIB / PAGE, 0};
  uvdio_engine_options_t options = matrix_options();
  uvdio_registration_t registration;
  uvdio_engine_stats_t stats;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_buf_t frame = {0};
  uv_loop_t loop;
  uvdio_engine_t* engine;
  int failed = 1;

  uid_t user = 1000000 + (uid_t)getpid(); /* nobody else's: locked memory is charged to the user */
  char path[64];
  int descriptor = open(path_of(f, "file"), O_RDWR | O_CLOEXEC);

  EXPECT(descriptor >= 0 && fchmod(descriptor, 0644) == 0);
  /* whatever the folders above allow */
  snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
  EXPECT(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
  EXPECT(setgid(user) == 0 && setuid(user) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
  EXPECT(uvdio_arena_create(&f->arena, &arena_options) == 0);
  options.depth = 8;
  EXPECT(uv_loop_init(&loop) == 0 && uvdio_engine_create(&engine, &loop, &options) == 0);
  EXPECT(uvdio_open(engine, &file, &req, path, UVDIO_O_DIRECT_PREFERRED, 0, NULL) == 0);
  EXPECT(uvdio_arena_register(engine, f->arena) == UV_ENOMEM);
  EXPECT(uvdio_arena_registration(engine, f->arena, &registration) == 0);
  EXPECT(registration.error == UV_ENOMEM && registration.bytes > 0 &&
         registration.bytes < registration.size);
  EXPECT(strstr(registration.reason, "ulimit -l") != NULL);
  EXPECT(uvdio_engine_stats(engine, &stats) == 0 && stats.registrations_refused == 1);
  for (int i = 0; i < 1500; i++) { /* up to where the limit was */
    EXPECT(uvdio_arena_acquire(f->arena, &frame) == 0);
  }
  req.data = &failed;
  EXPECT(uvdio_read(&file, &req, &frame, 0, on_read) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT(!failed);
  EXPECT(uvdio_engine_close(engine, NULL) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  return 0;
}

static void memlock_limit_degrades_to_plain_transfers(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  if (UNDER_TSAN) {
    SKIP("the thread sanitizer lets no forked child start threads");
  }
  if (geteuid() != 0) {
    SKIP("only root can become an ordinary user");
  }
  put(f, &f->file, 0, PAGE, 7);
  leave_arena(f);
  assert_ok(in_a_child(register_as_nobody, f));
}

/*
 * Large arenas. Most of their memory is never touched.
 */

static void frames_beyond_the_kernels_limit_go_as_plain_memory(void** state) {
  struct fixture* f = *state;
  skip_without_ring_or_room(f, 1024 * MIB, 1);
  assert_code(uvdio_arena_register(f->engine, f->arena), UV_ENOTSUP);
  assert_non_null(strstr(registration_of(f).reason, "512 MiB"));
  uvdio_buf_t frame = frame_of(f);
  uvdio_buf_t view = uvdio_buf_view_len(uvdio_buf_wrap(frame.base, PAGE), PAGE);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &view, 0);
  run(f);
  assert_result(write, PAGE);
  assert_int_equal(stats_of(f).fixed, 0);
  assert_ok(uvdio_buf_release(&frame));
}

/* One frame goes out and back; its segment is known afterwards, or `reason` tells why not. */
static void use_one_frame(struct fixture* f, uvdio_arena_t* arena, const char* reason) {
  uvdio_buf_t frame = {0};
  assert_ok(uvdio_arena_acquire(arena, &frame));
  size_t size = frame.cap;
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &frame, 0);
  run(f);
  assert_result(read, size);
  op_free(read);
  assert_non_null(strstr(registration_with(f->engine, arena).reason, reason));
  assert_int_equal(registration_with(f->engine, arena).bytes == 0, reason[0] != '\0');
}

#define HUGE_ARENAS 9 /* with 2048 to 4096 segments each */

/* The kernel's table has 16384 entries. */
static void arena_that_finds_no_room_in_the_table_goes_as_plain_memory(void** state) {
  struct fixture* f = *state;
  uvdio_arena_t* arenas[HUGE_ARENAS] = {NULL};
  uvdio_arena_options_t options = {.frame_size = MIB, .frame_count = 4095};
  unsigned made = 0;
  skip_without_ring_or_room(f, PAGE, 1);
  put(f, &f->file, 0, MIB, 1);
  while (made < HUGE_ARENAS && uvdio_arena_create(&arenas[made], &options) == 0) {
    made++;
  }
  for (unsigned i = 0; i < made; i++) {
    use_one_frame(f, arenas[i], i < 4 ? "" : "is full");
  }
  for (unsigned i = 0; i < made; i++) {
    assert_ok(uvdio_arena_destroy(arenas[i], NULL));
  }
  if (made < 5) {
    SKIP("no address space for five arenas of 4 GiB");
  }
}

/* Longer segments instead of more of them. */
static void arena_of_many_gib_is_cut_into_longer_pieces(void** state) {
  struct fixture* f = *state;
  skip_without_ring_or_room(f, MIB, 9000);
  put(f, &f->file, 0, MIB, 1);
  use_one_frame(f, f->arena, "");
  assert_true(registration_of(f).bytes > MIB);
}

#define MANY_ARENAS 300 /* more than the ring has buckets for them */

/* However many come and go: what is known of one is not taken for another one's. */
static void new_arena_is_not_taken_for_an_older_one(void** state) {
  struct fixture* f = *state;
  uvdio_arena_options_t options = {.frame_count = 4};
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  for (unsigned i = 0; i < 600; i++) {
    uvdio_arena_t* other;
    assert_ok(uvdio_arena_create(&other, &options));
    size_t bytes = registration_with(f->engine, other).bytes;
    assert_ok(uvdio_arena_destroy(other, NULL));
    assert_int_equal(bytes, 0);
  }
  assert_int_equal(registration_of(f).bytes, registration_of(f).size);
}

static void many_arenas_are_kept_apart(void** state) {
  struct fixture* f = *state;
  static uvdio_arena_t* arenas[MANY_ARENAS];
  uvdio_arena_options_t options = {.frame_count = 1};
  skip_without_ring_or_room(f, PAGE, 1);
  put(f, &f->file, 0, PAGE, 1);
  for (unsigned i = 0; i < MANY_ARENAS; i++) {
    assert_ok(uvdio_arena_create(&arenas[i], &options));
    use_one_frame(f, arenas[i], "");
  }
  for (unsigned i = 0; i < MANY_ARENAS; i++) {
    use_one_frame(f, arenas[i], "");
    assert_ok(uvdio_arena_destroy(arenas[i], NULL));
    arenas[i] = NULL;
  }
}

/* Other engines on the loop have nothing to let go of. */
static void end_of_an_arena_is_nothing_to_other_backends(void** state) {
  struct fixture* f = *state;
  uvdio_engine_options_t options = {0};
  uvdio_engine_t* other = NULL;
  skip_without_ring_or_room(f, PAGE, 4);
  options.backend = UVDIO_BACKEND_POOL;
  assert_ok(uvdio_engine_create(&other, &f->loop, &options));
  pass_through(f, 0, 1);
  assert_true(stats_of(f).registered_bytes > 0);
  leave_arena(f);
  struct tracked_op* size = t_size(op_new(&f->tracker), &f->file);
  assert_ok(uvdio_engine_close(other, NULL));
  run(f);
  assert_int_equal(size->done, 1);
  assert_int_equal(stats_of(f).registered_bytes, 0);
}

/*
 * What another program inherits by exec: nothing, neither files nor rings nor what they are watched
 * by.
 */

static int count_after_exec(void* data) {
  (void)data;
  execlp("sh", "sh", "-c", "exit $(ls /proc/self/fd | wc -l)", (char*)NULL);
  return -1;
}

static void exec_inherits_no_descriptor(void** state) {
  struct fixture* f = *state;
  if (open_descriptors() == 0) {
    SKIP("this system does not list open descriptors");
  }
  fixture_arena(f, PAGE, 4);
  pass_through(f, 0, 1);
  int with_everything = in_a_child(count_after_exec, NULL);
  assert_true(open_descriptors() > f->descriptors || on_memory());
  t_close(op_new(&f->tracker), &f->file);
  end_engine(f);
  assert_int_equal(in_a_child(count_after_exec, NULL), with_everything);
}

/*
 * Misuse
 */

static void bad_input_is_refused(void** state) {
  struct fixture* f = *state;
  uvdio_registration_t registration;
  fixture_arena(f, PAGE, 4);
  assert_code(uvdio_arena_register(NULL, f->arena), UV_EINVAL);
  assert_code(uvdio_arena_register(f->engine, NULL), UV_EINVAL);
  assert_code(uvdio_arena_unregister(NULL, f->arena), UV_EINVAL);
  assert_code(uvdio_arena_unregister(f->engine, NULL), UV_EINVAL);
  assert_code(uvdio_arena_registration(NULL, f->arena, &registration), UV_EINVAL);
  assert_code(uvdio_arena_registration(f->engine, NULL, &registration), UV_EINVAL);
  assert_code(uvdio_arena_registration(f->engine, f->arena, NULL), UV_EINVAL);
  uvdio_engine_options_t options = matrix_options();
  uvdio_engine_t* engine = NULL;
  options.flags = UVDIO_ENGINE_POLLED << 1;
  assert_code(uvdio_engine_create(&engine, &f->loop, &options), UV_EINVAL);
}

struct calls {
  struct fixture* f;
  int registered;
  int unregistered;
};

static void call_from_elsewhere(void* data) {
  struct calls* calls = data;
  calls->registered = uvdio_arena_register(calls->f->engine, calls->f->arena);
  calls->unregistered = uvdio_arena_unregister(calls->f->engine, calls->f->arena);
}

static void other_threads_are_refused(void** state) {
  struct fixture* f = *state;
  struct calls calls = {.f = f};
  uv_thread_t thread;
  fixture_arena(f, PAGE, 4);
  pass_through(f, 0, 1); /* from now on the engine knows its thread */
  assert_ok(uv_thread_create(&thread, call_from_elsewhere, &calls));
  assert_ok(uv_thread_join(&thread));
  assert_code(calls.registered, UVDIO_ETHREAD);
  assert_code(calls.unregistered, UVDIO_ETHREAD);
}

static void closing_engine_registers_nothing(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  write_page_of(f, &f->file, 0, 1);
  assert_ok(uvdio_engine_close(f->engine, on_engine_closed));
  assert_code(uvdio_arena_register(f->engine, f->arena), UV_EBADF);
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_EBADF);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  f->engine = NULL;
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      /* Before any worker of libuv's: beside threads, the thread sanitizer lets no child start
       * one. */
      TEST_ON(fixture_open, childs_reads_stay_in_the_child),
      TEST_ON(fixture_open, first_use_registers),
      TEST_ON(fixture_open, only_what_is_used_is_registered),
      TEST_ON(fixture_open, every_frame_of_an_odd_arena_arrives),
      TEST_ON(fixture_open, heap_buffers_go_as_plain_memory),
      TEST_ON(fixture_open_manual, manual_engine_registers_nothing_by_itself),
      TEST_ON(fixture_open_manual, explicit_registration_takes_all),
      TEST_ON(fixture_open, explicit_registration_takes_all),
      TEST_ON(fixture_open, other_backends_say_that_they_have_none),
      TEST_ON(fixture_open, unregistering_waits_for_frames),
      TEST_ON(fixture_open, unregistering_waits_for_frames_that_wait),
      TEST_ON(fixture_open, unregistered_stays_so_until_registered),
      TEST_ON(fixture_open, arenas_come_and_go_at_one_address),
      TEST_ON(fixture_open, engine_may_end_before_the_arena),
      TEST_ON(fixture_open, last_engine_takes_the_pins_along),
      TEST_ON(fixture_open, guarded_arena_goes_as_plain_memory),
      TEST_ON(fixture_open, second_engine_gets_what_the_first_had_pinned),
      TEST_ON(fixture_open, engines_on_several_threads_share_an_arena),
      TEST_ON(fixture_open, memlock_limit_degrades_to_plain_transfers),
      TEST_ON(fixture_open, exec_inherits_no_descriptor),
      TEST_ON(fixture_open, frames_beyond_the_kernels_limit_go_as_plain_memory),
      TEST_ON(fixture_open, arena_that_finds_no_room_in_the_table_goes_as_plain_memory),
      TEST_ON(fixture_open, arena_of_many_gib_is_cut_into_longer_pieces),
      TEST_ON(fixture_open, many_arenas_are_kept_apart),
      TEST_ON(fixture_open_manual, new_arena_is_not_taken_for_an_older_one),
      TEST_ON(fixture_open, end_of_an_arena_is_nothing_to_other_backends),
      TEST_ON(fixture_open, bad_input_is_refused),
      TEST_ON(fixture_open, other_threads_are_refused),
      TEST_ON(fixture_open, closing_engine_registers_nothing),
  };
  return matrix_main("registered_buffers", tests, COUNT_OF(tests), argc, argv);
}
