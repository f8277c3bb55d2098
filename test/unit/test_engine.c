/* SPDX-License-Identifier: MIT */
/* Engines: what they are made from, which backend they get and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "fixture.h"
#include "system.h"

#define TEXT_SIZE 256

static const struct {
  uvdio_backend_t backend;
  const char* name;
} backends[] = {
    {UVDIO_BACKEND_RING, "ring"},
    {UVDIO_BACKEND_POOL, "pool"},
    {UVDIO_BACKEND_MEMORY, "memory"},
};

struct engine {
  uv_loop_t loop;
  size_t descriptors; /* before */
  size_t allocations;
};

static int set_up(void** state) {
  static struct engine engine;
  *state = &engine;
  system_set_environment("UVDIO_BACKEND", NULL);
  engine.descriptors = open_descriptors();
  engine.allocations = uvdio_allocations();
  return uv_loop_init(&engine.loop);
}

static int tear_down(void** state) {
  struct engine* e = *state;
  system_set_environment("UVDIO_BACKEND", NULL);
  uv_run(&e->loop, UV_RUN_DEFAULT);
  int left = uv_loop_close(&e->loop) != 0 || uvdio_allocations() != e->allocations;
  if (open_descriptors() != e->descriptors) {
    print_error("%zu descriptors open, %zu before\n", open_descriptors(), e->descriptors);
    left = 1;
  }
  return left;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

static uvdio_engine_t* engine_on(struct engine* e, uvdio_backend_t backend) {
  uvdio_engine_t* engine = NULL;
  uvdio_engine_options_t options = {0};
  options.backend = backend;
  assert_ok(uvdio_engine_create(&engine, &e->loop, &options));
  assert_non_null(engine);
  return engine;
}

static void close_engine(struct engine* e, uvdio_engine_t* engine) {
  assert_ok(uvdio_engine_close(engine, NULL));
  watch_for_hang("the loop, after uvdio_engine_close");
  assert_int_equal(uv_run(&e->loop, UV_RUN_DEFAULT), 0);
  watch_for_hang(NULL);
}

static void no_engine(struct engine* e, const uvdio_engine_options_t* options, int code) {
  uvdio_engine_t* engine = NULL;
  assert_code(uvdio_engine_create(&engine, &e->loop, options), code);
  assert_null(engine);
  assert_int_equal(uvdio_allocations(), e->allocations);
  assert_int_equal(uv_loop_alive(&e->loop), 0);
}

/*
 * Options.
 */

static void null_pointers_are_refused(void** state) {
  struct engine* e = *state;
  uvdio_engine_t* engine = NULL;
  uvdio_engine_stats_t stats;
  assert_code(uvdio_engine_create(NULL, &e->loop, NULL), UV_EINVAL);
  assert_code(uvdio_engine_create(&engine, NULL, NULL), UV_EINVAL);
  assert_null(engine);
  assert_code(uvdio_engine_close(NULL, NULL), UV_EINVAL);
  assert_code(uvdio_engine_stats(NULL, &stats), UV_EINVAL);
  engine = engine_on(e, UVDIO_BACKEND_MEMORY);
  assert_code(uvdio_engine_stats(engine, NULL), UV_EINVAL);
  close_engine(e, engine);
}

static void unknown_backend_and_too_much_depth_are_refused(void** state) {
  struct engine* e = *state;
  uvdio_engine_options_t unknown = {0};
  uvdio_engine_options_t deep = {0};
  unknown.backend = (uvdio_backend_t)99;
  deep.backend = UVDIO_BACKEND_MEMORY;
  deep.depth = UVDIO_DEPTH_MAX + 1;
  no_engine(e, &unknown, UV_EINVAL);
  no_engine(e, &deep, UV_EINVAL);
}

static void deepest_engine_works(void** state) {
  struct engine* e = *state;
  uvdio_engine_t* engine = NULL;
  uvdio_engine_options_t options = {0};
  options.backend = UVDIO_BACKEND_MEMORY;
  options.depth = UVDIO_DEPTH_MAX;
  assert_ok(uvdio_engine_create(&engine, &e->loop, &options));
  close_engine(e, engine);
}

// The first of the backends that are there, in the order in which an engine looks for one.
static const char* best_backend(void) {
  if (uvdio_backend_probe(UVDIO_BACKEND_RING, NULL, 0) == 0) return "ring";
  if (uvdio_backend_probe(UVDIO_BACKEND_AIO, NULL, 0) == 0) return "aio";
  return "pool";
}

static void no_options_means_defaults(void** state) {
  struct engine* e = *state;
  uvdio_engine_t* engine = NULL;
  assert_ok(uvdio_engine_create(&engine, &e->loop, NULL));
  assert_string_equal(uvdio_engine_backend(engine), best_backend());
  close_engine(e, engine);
}

static void engine_knows_its_loop_and_keeps_a_pointer(void** state) {
  struct engine* e = *state;
  uvdio_engine_t* engine = engine_on(e, UVDIO_BACKEND_MEMORY);
  assert_ptr_equal(uvdio_engine_loop(engine), &e->loop);
  assert_null(uvdio_engine_data(engine));
  uvdio_engine_set_data(engine, &engine);
  assert_ptr_equal(uvdio_engine_data(engine), &engine);
  close_engine(e, engine);
}

static void idle_engine_does_not_keep_the_loop_alive(void** state) {
  struct engine* e = *state;
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    if (uvdio_backend_probe(backends[i].backend, NULL, 0) == 0) {
      uvdio_engine_t* engine = engine_on(e, backends[i].backend);
      assert_int_equal(uv_loop_alive(&e->loop), 0);
      assert_int_equal(uv_run(&e->loop, UV_RUN_DEFAULT), 0);
      close_engine(e, engine);
    }
  }
}

static void fresh_engine_has_counted_nothing(void** state) {
  struct engine* e = *state;
  static const uvdio_engine_stats_t zero;
  uvdio_engine_stats_t stats;
  uvdio_engine_t* engine = engine_on(e, UVDIO_BACKEND_MEMORY);
  memset(&stats, 0xff, sizeof(stats));
  assert_ok(uvdio_engine_stats(engine, &stats));
  assert_memory_equal(&stats, &zero, sizeof(stats));
  close_engine(e, engine);
}

/*
 * Which backend, and why.
 */

static void backend_that_was_asked_for_is_used(void** state) {
  struct engine* e = *state;
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    uvdio_engine_options_t options = {0};
    options.backend = backends[i].backend;
    if (uvdio_backend_probe(backends[i].backend, NULL, 0) != 0) {
      no_engine(e, &options, UVDIO_EBACKEND);
      continue;
    }
    uvdio_engine_t* engine = engine_on(e, backends[i].backend);
    assert_string_equal(uvdio_engine_backend(engine), backends[i].name);
    assert_true(strlen(uvdio_engine_backend_reason(engine)) > 0);
    close_engine(e, engine);
  }
}

static void environment_decides_where_the_option_does_not(void** state) {
  struct engine* e = *state;
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    assert_int_equal(system_set_environment("UVDIO_BACKEND", backends[i].name), 0);
    if (uvdio_backend_probe(backends[i].backend, NULL, 0) != 0) {
      no_engine(e, NULL, UVDIO_EBACKEND);
      continue;
    }
    uvdio_engine_t* engine = engine_on(e, UVDIO_BACKEND_AUTO);
    assert_string_equal(uvdio_engine_backend(engine), backends[i].name);
    assert_true(strlen(uvdio_engine_backend_reason(engine)) > 0);
    close_engine(e, engine);
  }
}

/* Who wonders why there is no ring must be led to the variable. */
static void reason_names_the_environment(void** state) {
  struct engine* e = *state;
  assert_int_equal(system_set_environment("UVDIO_BACKEND", "pool"), 0);
  uvdio_engine_t* engine = engine_on(e, UVDIO_BACKEND_AUTO);
  int named = strstr(uvdio_engine_backend_reason(engine), "UVDIO_BACKEND") != NULL;
  close_engine(e, engine);
  assert_true(named);
}

static void option_wins_over_the_environment(void** state) {
  struct engine* e = *state;
  assert_int_equal(system_set_environment("UVDIO_BACKEND", "memory"), 0);
  uvdio_engine_t* engine = engine_on(e, UVDIO_BACKEND_POOL);
  assert_string_equal(uvdio_engine_backend(engine), "pool");
  close_engine(e, engine);
  assert_int_equal(system_set_environment("UVDIO_BACKEND", "nonsense"), 0);
  engine = engine_on(e, UVDIO_BACKEND_POOL);
  assert_string_equal(uvdio_engine_backend(engine), "pool");
  close_engine(e, engine);
}

static void environment_that_is_no_backend_is_refused(void** state) {
  struct engine* e = *state;
  char reason[TEXT_SIZE] = "";
  const char* const strangers[] = {"nonsense", "RING", "ring ", "auto"};
  for (size_t i = 0; i < COUNT_OF(strangers); i++) {
    assert_int_equal(system_set_environment("UVDIO_BACKEND", strangers[i]), 0);
    no_engine(e, NULL, UVDIO_EBACKEND);
    assert_code(uvdio_backend_probe(UVDIO_BACKEND_AUTO, reason, sizeof(reason)), UVDIO_EBACKEND);
    assert_non_null(strstr(reason, strangers[i]));
  }
}

static void environment_that_is_too_long_is_refused(void** state) {
  struct engine* e = *state;
  char reason[TEXT_SIZE] = "";
  assert_int_equal(
      system_set_environment("UVDIO_BACKEND", "a backend that nobody has ever heard of, nor will"),
      0);
  no_engine(e, NULL, UVDIO_EBACKEND);
  assert_code(uvdio_backend_probe(UVDIO_BACKEND_AUTO, reason, sizeof(reason)), UVDIO_EBACKEND);
  assert_non_null(strstr(reason, "too long"));
}

/* As a shell's `UVDIO_BACKEND= program` leaves it. */
static void empty_environment_is_no_wish(void** state) {
  struct engine* e = *state;
  assert_int_equal(system_set_environment("UVDIO_BACKEND", ""), 0);
  close_engine(e, engine_on(e, UVDIO_BACKEND_AUTO));
}

static void no_engine_has_no_backend(void** state) {
  (void)state;
  assert_string_equal(uvdio_engine_backend(NULL), "none");
  assert_non_null(uvdio_engine_backend_reason(NULL));
}

/*
 * Probing.
 */

static void pool_and_memory_are_always_there(void** state) {
  (void)state;
  char reason[TEXT_SIZE];
  assert_ok(uvdio_backend_probe(UVDIO_BACKEND_POOL, reason, sizeof(reason)));
  assert_ok(uvdio_backend_probe(UVDIO_BACKEND_MEMORY, reason, sizeof(reason)));
  assert_code(uvdio_backend_probe((uvdio_backend_t)99, reason, sizeof(reason)), UV_EINVAL);
}

static void probe_gives_a_reason_either_way(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    char reason[TEXT_SIZE] = "";
    uvdio_backend_probe(backends[i].backend, reason, sizeof(reason));
    assert_true(strlen(reason) > 0);
  }
}

static void reason_is_cut_to_size(void** state) {
  (void)state;
  char reason[8];
  memset(reason, 'x', sizeof(reason));
  assert_ok(uvdio_backend_probe(UVDIO_BACKEND_POOL, reason, 4));
  assert_int_equal(strlen(reason), 3);
  assert_memory_equal(reason + 4, "xxxx", 4);
  assert_ok(uvdio_backend_probe(UVDIO_BACKEND_POOL, NULL, 0));
  assert_ok(uvdio_backend_probe(UVDIO_BACKEND_POOL, reason, 0));
}

static void bad_probes_are_refused(void** state) {
  (void)state;
  char reason[TEXT_SIZE];
  assert_code(uvdio_backend_probe((uvdio_backend_t)17, reason, sizeof(reason)), UV_EINVAL);
  assert_code(uvdio_backend_probe(UVDIO_BACKEND_POOL, NULL, 1), UV_EINVAL);
}

static void auto_probe_foretells_what_init_takes(void** state) {
  struct engine* e = *state;
  assert_ok(uvdio_backend_probe(UVDIO_BACKEND_AUTO, NULL, 0));
  uvdio_engine_t* engine = engine_on(e, UVDIO_BACKEND_AUTO);
  assert_string_equal(uvdio_engine_backend(engine), best_backend());
  close_engine(e, engine);
}

/*
 * Structures of a newer header: a field that this library does not know may be there, but zero.
 */

struct newer_engine_options {
  uvdio_engine_options_t known;
  uint64_t later;
};

struct newer_arena_options {
  uvdio_arena_options_t known;
  uint64_t later;
};

static void options_that_are_unknown_have_to_be_zero(void** state) {
  struct engine* e = *state;
  struct newer_engine_options options = {.known = {.backend = UVDIO_BACKEND_POOL}};
  struct newer_arena_options frames = {.known = {.frame_size = UVDIO_PAGE_SIZE, .frame_count = 1}};
  uvdio_engine_t* engine = NULL;
  uvdio_arena_t* arena = NULL;
  assert_ok(uvdio_engine_create_sized(&engine, &e->loop, &options.known, sizeof(options)));
  assert_ok(uvdio_engine_close(engine, NULL));
  assert_ok(uvdio_arena_create_sized(&arena, &frames.known, sizeof(frames)));
  assert_ok(uvdio_arena_destroy(arena, NULL));
  options.later = frames.later = (uint64_t)1 << 63;
  assert_code(uvdio_engine_create_sized(&engine, &e->loop, &options.known, sizeof(options)),
              UV_E2BIG);
  assert_code(uvdio_arena_create_sized(&arena, &frames.known, sizeof(frames)), UV_E2BIG);
}

/* Bytes of the C library's heap, where it tells. */
static size_t heap(void) {
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 33)
  return mallinfo2().uordblks;
#endif
#endif
  return 0;
}

/* uvdio_allocations() knows nothing of what liburing allocates. */
static void engines_leave_nothing_on_the_heap(void** state) {
  struct engine* e = *state;
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    size_t before = 0;
    for (int round = 0; round < 64; round++) {
      if (round == 8) { /* What is allocated once is there by then. */
        before = heap();
      }
      if (uvdio_backend_probe(backends[i].backend, NULL, 0) == 0) {
        close_engine(e, engine_on(e, backends[i].backend));
      }
    }
    assert_in_range(heap(), 0, before + 1024);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(null_pointers_are_refused),
      TEST(unknown_backend_and_too_much_depth_are_refused),
      TEST(deepest_engine_works),
      TEST(no_options_means_defaults),
      TEST(engine_knows_its_loop_and_keeps_a_pointer),
      TEST(idle_engine_does_not_keep_the_loop_alive),
      TEST(fresh_engine_has_counted_nothing),
      TEST(backend_that_was_asked_for_is_used),
      TEST(environment_decides_where_the_option_does_not),
      TEST(reason_names_the_environment),
      TEST(option_wins_over_the_environment),
      TEST(environment_that_is_no_backend_is_refused),
      TEST(environment_that_is_too_long_is_refused),
      TEST(empty_environment_is_no_wish),
      TEST(no_engine_has_no_backend),
      TEST(pool_and_memory_are_always_there),
      TEST(probe_gives_a_reason_either_way),
      TEST(reason_is_cut_to_size),
      TEST(bad_probes_are_refused),
      TEST(auto_probe_foretells_what_init_takes),
      TEST(options_that_are_unknown_have_to_be_zero),
      TEST(engines_leave_nothing_on_the_heap),
  };
  return cmocka_run_group_tests_name("engine", tests, warm_up_libuv, NULL);
}
