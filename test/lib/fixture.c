/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "uvdio/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"
#include "memory.h"
#include "polling.h"
#include "skips.h"
#include "system.h"

struct matrix matrix;

/* Where buffers are frames: these, for as long as a fixture lives. */
static const struct {
  size_t frame_size;
  size_t frame_count;
} frame_kinds[] = {{UVDIO_PAGE_SIZE, 1024},
                   {16 * (size_t)UVDIO_PAGE_SIZE, 64},
                   {256 * (size_t)UVDIO_PAGE_SIZE, 8}};
static uvdio_arena_t* frames[COUNT_OF(frame_kinds)];
static uint64_t fixed; /* transfers so far */

#define FEW_REQUESTS 100

/*
 * The matrix.
 */

static const struct {
  const char* name;
  uvdio_backend_t backend;
  int registered;
} backends[] = {
    {"ring", UVDIO_BACKEND_RING, 0},     {"registered", UVDIO_BACKEND_RING, 1},
    {"aio", UVDIO_BACKEND_AIO, 0},       {"pool", UVDIO_BACKEND_POOL, 0},
    {"memory", UVDIO_BACKEND_MEMORY, 0},
};

int on_memory(void) {
  return matrix.backend == UVDIO_BACKEND_MEMORY;
}

int where_provided(const char* operation, int result) {
  return on_memory() || system_provides(operation) ? result : UV_ENOTSUP;
}

static int choose_backend(const char* name) {
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    if (strcmp(backends[i].name, name) == 0) {
      matrix.backend = backends[i].backend;
      matrix.backend_name = backends[i].name;
      matrix.registered = backends[i].registered;
      return 0;
    }
  }
  return -1;
}

static int usage(const char* program) {
  fprintf(stderr,
          "usage: %s [--backend ring|registered|aio|pool|memory]"
          " [--filesystem here|tmpfs|ext4|xfs|btrfs|fuse|sectors|sim] [--pieces N]"
          " [--handles dup] [--classes on] [--polled on] [--test PATTERN]\n",
          program);
  return 2;
}

static int read_arguments(int argc, char** argv, const char** filesystem) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) {
      return -1;
    }
    if (strcmp(argv[i], "--backend") == 0 && choose_backend(argv[i + 1]) == 0) {
      continue;
    }
    if (strcmp(argv[i], "--filesystem") == 0 && strcmp(argv[i + 1], "sim") == 0) {
      matrix.simulated = 1;
      continue;
    }
    if (strcmp(argv[i], "--filesystem") == 0 && filesystem_known(argv[i + 1])) {
      *filesystem = argv[i + 1];
      continue;
    }
    if (strcmp(argv[i], "--pieces") == 0) {
      tracker_split((unsigned)atoi(argv[i + 1]));
      continue;
    }
    if (strcmp(argv[i], "--handles") == 0 && strcmp(argv[i + 1], "dup") == 0) {
      tracker_open_with(UVDIO_O_DUP);
      continue;
    }
    if (strcmp(argv[i], "--classes") == 0 && strcmp(argv[i + 1], "on") == 0) {
      matrix.has_classes = 1;
      tracker_use_classes();
      continue;
    }
    if (strcmp(argv[i], "--polled") == 0 && strcmp(argv[i + 1], "on") == 0) {
      matrix.is_polled = 1;
      continue;
    }
    if (strcmp(argv[i], "--test") == 0) {
      matrix.filter = argv[i + 1];
      continue;
    }
    return -1;
  }
  return 0;
}

static int skip_program(const char* what, const char* why) {
  char line[2 * FILESYSTEM_WHY_MAX];
  snprintf(line, sizeof(line), "%s: %s", what, why);
  skip_line(line);
  return SKIPPED_PROGRAM;
}

static int skip_filesystem(const char* filesystem, const char* why) {
  char line[2 * FILESYSTEM_WHY_MAX];
  snprintf(line, sizeof(line), "%s: %s", filesystem, why);
  skip_line_as_told(line);
  return SKIPPED_PROGRAM;
}

/* Whether files in this filesystem are executed by the ring. */
static int goes_to_the_ring(uvdio_engine_t* engine) {
  char path[FILESYSTEM_PATH_MAX + 16];
  uvdio_file_info_t info;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  snprintf(path, sizeof(path), "%s/probe", matrix.filesystem.dir);
  assert_ok(uvdio_open(engine, &file, &req, path, UVDIO_OPEN_CREATE, 0600, NULL));
  assert_ok(uvdio_file_info(&file, &info));
  assert_ok(uvdio_close(&file, &req, NULL));
  unlink(path);
  return strcmp(info.backend, "ring") == 0;
}

/* Null where transfers can go to registered memory. */
static const char* why_unregistered(void) {
  uvdio_arena_options_t arena_options = {.frame_count = 1};
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_RING};
  uvdio_arena_t* arena;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  assert_ok(uv_loop_init(&loop));
  assert_ok(uvdio_engine_create(&engine, &loop, &options));
  assert_ok(uvdio_arena_create(&arena, &arena_options));
  int code = uvdio_arena_register(engine, arena);
  int on_ring = goes_to_the_ring(engine);
  assert_ok(uvdio_arena_destroy(arena, NULL));
  assert_ok(uvdio_engine_close(engine, NULL));
  assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
  assert_int_equal(uv_loop_close(&loop), 0);
  return code != 0  ? "the ring takes no memory (Linux 5.19, ulimit -l)"
         : !on_ring ? "the ring does not execute what is done to files here"
                    : NULL;
}

/* Returns 0, or the code to exit with. */
static int begin(int argc, char** argv) {
  const char* filesystem = "here";
  char why[FILESYSTEM_WHY_MAX] = "";
  filesystems_begin();
  choose_backend("pool");
  if (read_arguments(argc, argv, &filesystem) != 0 || (matrix.simulated && !on_memory())) {
    return usage(argv[0]);
  }
  skips_are_of(matrix.backend_name, filesystem, ".");
  if (uvdio_backend_probe(matrix.backend, why, sizeof(why)) != 0) {
    return skip_program(matrix.backend_name, why);
  }
  if (on_memory()) {
    snprintf(matrix.filesystem.kind, sizeof(matrix.filesystem.kind),
             matrix.simulated ? "sim" : "memory");
    snprintf(matrix.filesystem.dir, sizeof(matrix.filesystem.dir), "/filesystem");
  } else if (filesystem_make(&matrix.filesystem, filesystem, 0, why) != 0) {
    return skip_filesystem(filesystem, why);
  }
  skips_are_of(matrix.backend_name, matrix.filesystem.kind,
               on_memory() ? "." : matrix.filesystem.dir);
  warm_up_libuv(NULL);
  const char* unpolled = matrix.is_polled ? polling_begin(matrix.filesystem.dir) : NULL;
  if (unpolled != NULL) {
    skip_line(unpolled);
    return SKIPPED_PROGRAM;
  }
  if (matrix.registered && why_unregistered() != NULL) {
    return skip_program(matrix.backend_name, why_unregistered());
  }
  return 0;
}

int matrix_main(const char* name, const struct CMUnitTest tests[], size_t count, int argc,
                char** argv) {
  static char full_name[128];
  int code = begin(argc, argv);
  if (code != 0) {
    return code;
  }
  snprintf(full_name, sizeof(full_name), "%s %s %s", name, matrix.backend_name,
           matrix.filesystem.kind);
  if (matrix.filter != NULL) {
    cmocka_set_test_filter(matrix.filter);
  }
  if (on_memory() && check_releases() != 0) { /* Elsewhere the library's own allocator is used. */
    return 1;
  }
  int failed = _cmocka_run_group_tests(full_name, tests, count, NULL, NULL);
  print_figure(tracker_requests(), "requests");
  if (matrix.registered) {
    print_figure(fixed, "transfers of registered memory");
    failed += tracker_requests() > 0 && fixed == 0 && matrix.filter == NULL;
  }
  if (matrix.is_polled) {
    print_figure(tracker_polled(), polling_is_real()
                                       ? "transfers of a polled ring"
                                       : "transfers of a polled ring on a device without");
    /* A few requests may be no transfers. */
    failed += tracker_requests() > FEW_REQUESTS && tracker_polled() == 0 && matrix.filter == NULL;
  }
  return failed;
}

uvdio_engine_options_t matrix_options(void) {
  uvdio_engine_options_t options = {0};
  options.backend = matrix.backend;
  options.flags = matrix.is_polled ? UVDIO_ENGINE_POLLED : 0;
  return options;
}

/*
 * Set-up.
 */

static int make_folder(struct fixture* f) {
  if (on_memory()) {
    snprintf(f->dir, sizeof(f->dir), "%s", matrix.filesystem.dir);
    return 0;
  }
  snprintf(f->dir, sizeof(f->dir), "%.480s/test-XXXXXX", matrix.filesystem.dir);
  return system_make_folder(f->dir);
}

/* Nothing here that a program could tell from a disk in good health. */
static int make_world(struct fixture* f) {
  uvdio_sim_options_t options = {0};
  uvdio_fault_rule_t rule = {0};
  options.seed = 1;
  options.atomic_min = PAGE;
  options.atomic_max = 4 * PAGE;
  int failed = uvdio_sim_create(&f->sim, &options);
  rule.ppm = 100000;
  rule.fault.kind = UVDIO_FAULT_SHORT;
  failed = failed != 0 ? failed : uvdio_sim_add_rule(f->sim, &rule);
  rule.fault.kind = UVDIO_FAULT_DELAY;
  rule.fault.steps = 20;
  return failed != 0 ? failed : uvdio_sim_add_rule(f->sim, &rule);
}

static int make_frames(void) {
  for (size_t i = 0; matrix.registered && i < COUNT_OF(frames); i++) {
    uvdio_arena_options_t options = {.frame_size = frame_kinds[i].frame_size,
                                     .frame_count = frame_kinds[i].frame_count};
    if (uvdio_arena_create(&frames[i], &options) != 0) {
      return -1;
    }
  }
  return 0;
}

int fixture_loop(void** state) {
  struct fixture* f = calloc(1, sizeof(*f));
  if (f == NULL) {
    return -1;
  }
  *state = f;
  tracker_init(&f->tracker);
  f->allocations = uvdio_allocations();
  if (make_folder(f) != 0 || make_frames() != 0 || (matrix.simulated && make_world(f) != 0)) {
    return -1;
  }
  f->descriptors = open_descriptors();
  return uv_loop_init(&f->loop);
}

void on_engine_closed(uvdio_engine_t* engine) {
  struct fixture* f = uvdio_engine_data(engine);
  f->closed++;
  if (inside_library()) {
    tracker_violation(&f->tracker, "engine closed: called back from inside a call");
  }
}

/* All that a class can have, and limits that hold nobody up for long. */
static void set_classes(uvdio_engine_t* engine) {
  uvdio_class_options_t limited = {.depth = 1000, .operations_max = 1000000, .bytes_max = 1 << 30};
  uvdio_class_options_t low = {.shares = 1, .priority = UVDIO_PRIORITY_LOW};
  assert_ok(uvdio_class_set(engine, UVDIO_CLASS_BACKGROUND, &low));
  assert_ok(uvdio_class_set(engine, UVDIO_CLASS_USER, &limited));
}

void start_engine(struct fixture* f, uvdio_engine_options_t options) {
  options.backend = matrix.backend;
  options.flags |= matrix.is_polled ? UVDIO_ENGINE_POLLED : 0;
  assert_ok(f->sim != NULL ? uvdio_sim_engine_create(&f->engine, &f->loop, f->sim, &options)
                           : uvdio_engine_create(&f->engine, &f->loop, &options));
  uvdio_engine_set_data(f->engine, f);
  if (matrix.has_classes) {
    set_classes(f->engine);
    assert_ok(uvdio_metrics_start(f->engine, NULL));
  }
  f->closed = 0;
}

static void stop_and_close(uv_idle_t* idle) {
  uv_close((uv_handle_t*)idle, NULL);
}

/* One turn of the loop, in which the engine learns whose it is. */
static void turn_the_loop(struct fixture* f) {
  uv_idle_t idle;
  assert_ok(uv_idle_init(&f->loop, &idle));
  assert_ok(uv_idle_start(&idle, stop_and_close));
  assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
}

int fixture_engine_with(void** state, uvdio_engine_options_t options) {
  int failed = fixture_loop(state);
  if (!failed) {
    start_engine(*state, options);
  }
  if (!failed && matrix.registered) {
    turn_the_loop(*state);
  }
  return failed;
}

int fixture_engine(void** state) {
  return fixture_engine_with(state, matrix_options());
}

int fixture_open_with(void** state, uvdio_engine_options_t options) {
  int failed = fixture_engine_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    open_now(f, &f->file, "file", UVDIO_OPEN_RW);
  }
  return failed;
}

int fixture_open(void** state) {
  return fixture_open_with(state, matrix_options());
}

int fixture_open_at_depth(void** state, unsigned depth) {
  uvdio_engine_options_t options = {0};
  options.depth = depth;
  return fixture_open_with(state, options);
}

int fixture_open_at_depth_1(void** state) {
  return fixture_open_at_depth(state, 1);
}

int fixture_open_at_depth_4(void** state) {
  return fixture_open_at_depth(state, 4);
}

int fixture_open_bound(void** state) {
  int failed = fixture_open(state);
  if (!failed) {
    struct fixture* f = *state;
    t_size(op_new(&f->tracker), &f->file);
    run(f);
  }
  return failed;
}

int fixture_read_with(void** state, uvdio_engine_options_t options, unsigned pages) {
  int failed = fixture_open_with(state, options);
  if (!failed) {
    struct fixture* f = *state;
    uvdio_buf_t page = blank(PAGE);
    put(f, &f->file, 0, (size_t)pages * PAGE, 1);
    t_read(op_new(&f->tracker), &f->file, &page, 0);
    run(f);
  }
  return failed;
}

void fixture_arena(struct fixture* f, size_t frame_size, size_t frame_count) {
  uvdio_arena_options_t options = {0};
  options.frame_size = frame_size;
  options.frame_count = frame_count;
  assert_ok(uvdio_arena_create(&f->arena, &options));
}

/*
 * Teardown. Everything is given back even where something is amiss, so that the next test can run;
 * what was amiss is noted as a broken promise and fails the test at the very end.
 */

static void run_to_end(struct fixture* f, const char* what) {
  watch_for_hang(what);
  f->tracker.thread = uv_thread_self();
  while (uv_run(&f->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
}

static void check_idle(struct fixture* f) {
  uvdio_engine_stats_t stats = stats_of(f);
  if (stats.pending != 0 || stats.in_flight != 0) {
    tracker_violation(&f->tracker, "at the end %llu requests pending, %u in flight",
                      (unsigned long long)stats.pending, stats.in_flight);
  }
  if (uv_loop_alive(&f->loop)) {
    tracker_violation(&f->tracker, "at the end the loop is alive with nothing pending");
  }
  stats.submitted += f->elsewhere;
  stats.completed += f->elsewhere;
  if (stats.submitted != f->tracker.accepted || stats.completed != f->tracker.finished) {
    tracker_violation(&f->tracker, "stats say %llu submitted and %llu completed, not %u and %u",
                      (unsigned long long)stats.submitted, (unsigned long long)stats.completed,
                      f->tracker.accepted, f->tracker.finished);
  }
}

void end_engine(struct fixture* f) {
  int code = t_engine_close(f->engine, on_engine_closed);
  if (code != 0) {
    tracker_violation(&f->tracker, "uvdio_engine_close: %s", uvdio_err_name(code));
    return;
  }
  run_to_end(f, "the loop, after uvdio_engine_close");
  f->engine = NULL;
  if (f->closed != 1) {
    tracker_violation(&f->tracker, "%u callbacks of uvdio_engine_close", f->closed);
  }
}

static void give_back_arena(struct fixture* f, uvdio_arena_t* arena) {
  size_t out = 0;
  if (arena != NULL && uvdio_arena_destroy(arena, &out) != 0) {
    tracker_violation(&f->tracker, "at the end %zu frames are out", out);
  }
}

static void give_back_arenas(struct fixture* f) {
  give_back_arena(f, f->arena);
  give_back_arena(f, f->spare);
  for (size_t i = 0; i < COUNT_OF(frames); i++) {
    give_back_arena(f, frames[i]);
    frames[i] = NULL;
  }
}

static void give_back_loop(struct fixture* f) {
  int code = uv_loop_close(&f->loop);
  if (code != 0) {
    tracker_violation(&f->tracker, "uv_loop_close: %s", uv_err_name(code));
  }
}

static void give_back_world(struct fixture* f) {
  if (f->sim != NULL && uvdio_sim_destroy(f->sim) != 0) {
    tracker_violation(&f->tracker, "at the end an engine is on the world");
  }
}

static void check_nothing_left(struct fixture* f) {
  size_t descriptors = open_descriptors();
  if (uvdio_allocations() != f->allocations) {
    tracker_violation(&f->tracker, "%zu allocations are out, %zu before", uvdio_allocations(),
                      f->allocations);
  }
  if (descriptors != f->descriptors) {
    tracker_violation(&f->tracker, "%zu descriptors open, %zu before", descriptors, f->descriptors);
  }
}

/* A test's own callbacks tell of what is late, and may have its stack, which is gone. */
static void watch_no_more(struct fixture* f) {
  (void)uvdio_engine_watch(f->engine, 0, NULL, NULL);
  (void)uvdio_metrics_stop(f->engine);
}

int fixture_tear_down(void** state) {
  struct fixture* f = *state;
  if (f->engine != NULL) {
    watch_no_more(f);
    fixed += stats_of(f).fixed;
    check_idle(f);
    end_engine(f);
  }
  tracker_finish(&f->tracker);
  give_back_arenas(f);
  give_back_loop(f);
  give_back_world(f);
  check_nothing_left(f);
  int violated = f->tracker.violation[0] != '\0';
  if (violated) {
    print_error("%s\n", f->tracker.violation);
  }
  int left = !on_memory() && remove_folder(f->dir) != 0;
  if (left) {
    print_error("%s is left\n", f->dir);
  }
  free(f);
  return violated || left;
}

/*
 * Running.
 */

void run_in_mode(struct fixture* f, uv_run_mode mode) {
  watch_for_hang("the loop never ends");
  f->tracker.thread = uv_thread_self();
  while (uv_run(&f->loop, mode) != 0) {
  }
  watch_for_hang(NULL);
  tracker_verdict(&f->tracker);
}

void run(struct fixture* f) {
  run_in_mode(f, UV_RUN_DEFAULT);
}

uvdio_engine_stats_t stats_of(const struct fixture* f) {
  uvdio_engine_stats_t stats;
  memset(&stats, 0, sizeof(stats));
  uvdio_engine_stats(f->engine, &stats);
  return stats;
}

void need_a_ring_file(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  assert_ok(uvdio_file_info(file, &info));
  if (strcmp(info.backend, "ring") != 0) {
    SKIP("files of this filesystem are not with the ring");
  }
}

/*
 * Files and their content.
 */

const char* path_of(const struct fixture* f, const char* name) {
  static _Thread_local char paths[8][FILESYSTEM_PATH_MAX + 64];
  static _Thread_local unsigned next;
  char* path = paths[next++ % COUNT_OF(paths)];
  snprintf(path, sizeof(paths[0]), "%s/%s", f->dir, name);
  return path;
}

void open_now(struct fixture* f, uvdio_file_t* file, const char* name, unsigned flags) {
  struct tracked_op* open = t_open(op_now(&f->tracker), f->engine, file, path_of(f, name), flags);
  assert_result(open, 0);
}

/* Of the smallest kind that holds so much; the rest of the frame is out of sight. Returns 0 where
 * there is none. */
static int take_frame(size_t cap, uvdio_buf_t* buf) {
  for (size_t i = 0; i < COUNT_OF(frames); i++) {
    if (frames[i] != NULL && cap <= frame_kinds[i].frame_size &&
        uvdio_arena_acquire(frames[i], buf) == 0) {
      buf->cap = cap;
      return 1;
    }
  }
  return 0;
}

/* Neither zeros nor any pattern, so that bytes which never arrived show; and defined, for valgrind,
 * which does not know what the ring writes. */
uvdio_buf_t blank(size_t cap) {
  uvdio_buf_t buf;
  if (!take_frame(cap, &buf)) {
    assert_ok(uvdio_buf_alloc(&buf, cap, 0));
  }
  memset(buf.base, 0xee, buf.cap);
  return buf;
}

uvdio_buf_t filled(size_t size, unsigned seed) {
  uvdio_buf_t buf = blank(size);
  fill_pattern(buf.base, size, seed);
  assert_ok(uvdio_buf_set_len(&buf, size));
  return buf;
}

void put(struct fixture* f, uvdio_file_t* file, uint64_t offset, size_t size, unsigned seed) {
  uvdio_buf_t buf = filled(size, seed);
  struct tracked_op* write = t_write(op_now(&f->tracker), file, &buf, offset);
  assert_ok(uvdio_buf_release(&buf));
  assert_result(write, size);
}

/* Reads at once what the file holds there, into the operation's own buffer. */
static const char* get(struct fixture* f, uvdio_file_t* file, uint64_t offset, size_t size) {
  struct tracked_op* read = op_now(&f->tracker);
  read->back = blank(size);
  uvdio_buf_t exactly = uvdio_buf_wrap(read->back.base, size);
  t_read(read, file, &exactly, offset);
  assert_result(read, size);
  return read->back.base;
}

void assert_holds(struct fixture* f, uvdio_file_t* file, uint64_t offset, size_t size,
                  unsigned seed) {
  assert_true(is_pattern(get(f, file, offset, size), size, seed));
}

void assert_zeros(struct fixture* f, uvdio_file_t* file, uint64_t offset, size_t size) {
  assert_true(is_zero(get(f, file, offset, size), size));
}

void assert_size(struct fixture* f, uvdio_file_t* file, int64_t size) {
  assert_result(t_size(op_now(&f->tracker), file), size);
}
