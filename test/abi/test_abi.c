/* SPDX-License-Identifier: MIT */
/*
 * An older program with a newer library: this is compiled against today's headers and linked to a
 * library whose structures have more fields (CMakeLists.txt). Words behind each structure tell
 * whether the library wrote past what the program knows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "uvdio.h"
#include "uvdio/metrics.h"
#include "uvdio/sim.h"

#define CANARY UINT64_C(0x6b6e6f6365737261)
#define PAGE UVDIO_PAGE_SIZE

/* A structure with a word behind it that must stay as it is. */
#define GUARDED(type) \
  struct {            \
    type it;          \
    uint64_t canary;  \
  }

static uvdio_sim_t* sim;
static uv_loop_t loop;
static uvdio_engine_t* engine;

static int set_up(void** state) {
  uvdio_engine_options_t options = {.depth = 7, .callbacks_max = 3};

  (void)state;
  return uv_loop_init(&loop) != 0 || uvdio_sim_create(&sim, NULL) != 0 ||
         uvdio_sim_engine_create(&engine, &loop, sim, &options) != 0;
}

static int tear_down(void** state) {
  int error = uvdio_engine_close(engine, NULL);

  (void)state;
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  return error != 0 || uvdio_sim_destroy(sim) != 0 || uv_loop_close(&loop) != 0;
}

static void results_stay_within_their_structures(void** state) {
  GUARDED(uvdio_engine_stats_t) stats = {.canary = CANARY};
  GUARDED(uvdio_sim_stats_t) world = {.canary = CANARY};
  GUARDED(uvdio_arena_info_t) info = {.canary = CANARY};
  GUARDED(uvdio_registration_t) registration = {.canary = CANARY};
  uvdio_arena_options_t options = {.frame_size = 2 * PAGE, .frame_count = 3};
  uvdio_arena_t* arena;

  (void)state;
  assert_int_equal(uvdio_engine_stats(engine, &stats.it), 0);
  assert_int_equal(uvdio_sim_stats(sim, &world.it), 0);
  assert_int_equal(uvdio_arena_create(&arena, &options), 0);
  assert_int_equal(uvdio_arena_info(arena, &info.it), 0);
  assert_int_equal(uvdio_arena_registration(engine, arena, &registration.it), 0);
  assert_int_equal(info.it.frame_size, 2 * PAGE);
  assert_int_equal(info.it.frame_count, 3);
  assert_int_equal(registration.it.error, UV_ENOTSUP);
  assert_true(stats.canary == CANARY && world.canary == CANARY && info.canary == CANARY &&
              registration.canary == CANARY);
  assert_int_equal(uvdio_arena_destroy(arena, NULL), 0);
}

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  *(ssize_t*)req->data = result;
  assert_int_equal(memcmp(buf.base, "older", 6), 0);
  assert_int_equal(uvdio_buf_release(&buf), 0);
}

static void files_and_requests_keep_their_size(void** state) {
  GUARDED(uvdio_file_t) file = {.canary = CANARY};
  GUARDED(uvdio_req_t) req = {.canary = CANARY};
  GUARDED(uvdio_file_info_t) info = {.canary = CANARY};
  uvdio_buf_t page;
  ssize_t result = -1;

  (void)state;
  assert_int_equal(uvdio_open(engine, &file.it, &req.it, "f", UVDIO_OPEN_RW, 0600, NULL), 0);
  assert_int_equal(uvdio_file_info(&file.it, &info.it), 0);
  assert_int_equal(info.it.offset_align, UVDIO_ALIGNMENT);
  assert_int_equal(uvdio_buf_page(&page), 0);
  memcpy(page.base, "older", 6);
  assert_int_equal(uvdio_write(&file.it, &req.it, &page, 0, NULL), 0);
  memset(page.base, 0, PAGE);
  req.it.data = &result;
  assert_int_equal(uvdio_read(&file.it, &req.it, &page, 0, on_read), 0);
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  assert_int_equal(result, PAGE);
  assert_int_equal(uvdio_close(&file.it, &req.it, NULL), 0);
  assert_true(file.canary == CANARY && req.canary == CANARY && info.canary == CANARY);
}

/* A newer program with an older library: a field that the library does not know has to be zero. */
static void options_that_are_unknown_are_refused(void** state) {
  struct {
    uvdio_engine_options_t known;
    unsigned char unknown[256];
  } options;
  uvdio_engine_t* other = NULL;

  (void)state;
  memset(&options, 0, sizeof(options));
  options.known.backend = UVDIO_BACKEND_MEMORY;
  assert_int_equal(uvdio_engine_create_sized(&other, &loop, &options.known, sizeof(options)), 0);
  assert_int_equal(uvdio_engine_close(other, NULL), 0);
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  options.unknown[255] = 1;
  assert_int_equal(uvdio_engine_create_sized(&other, &loop, &options.known, sizeof(options)),
                   UV_E2BIG);
}

static void metrics_stay_within_their_structures(void** state) {
  GUARDED(uvdio_metrics_t) metrics = {.canary = CANARY};
  GUARDED(uvdio_call_metrics_t) call = {.canary = CANARY};
  GUARDED(uvdio_file_metrics_t) of_file = {.canary = CANARY};
  uvdio_file_t file = {0};
  uvdio_metrics_options_t options = {.stall_ns = 1};

  (void)state;
  assert_int_equal(uvdio_metrics_start(engine, &options), 0);
  assert_int_equal(uvdio_metrics(engine, &metrics.it), 0);
  assert_int_equal(uvdio_metrics_call(engine, UVDIO_CALL_SUBMIT, &call.it), 0);
  assert_int_equal(uvdio_file_metrics(&file, &of_file.it), 0);
  assert_true(metrics.canary == CANARY && call.canary == CANARY && of_file.canary == CANARY);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(results_stay_within_their_structures, set_up, tear_down),
      cmocka_unit_test_setup_teardown(files_and_requests_keep_their_size, set_up, tear_down),
      cmocka_unit_test_setup_teardown(metrics_stay_within_their_structures, set_up, tear_down),
      cmocka_unit_test_setup_teardown(options_that_are_unknown_are_refused, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
