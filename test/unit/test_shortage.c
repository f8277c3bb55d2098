/* SPDX-License-Identifier: MIT */
/*
 * Memory that ends at any allocation: what fails for that can be done again once there is some, and
 * an engine that is closed leaves nothing. Files are in memory, or in a world; on disks the fault
 * sweep asks the same.
 */
#include <string.h>

#include "check.h"
#include "memory.h"
#include "uvdio/sim.h"

#define ALLOCATIONS_MAX 200u /* more than it takes */
#define NO_LIMIT UINT32_MAX

static unsigned allocations_left;

static void* allocate_some(void* context, size_t size, size_t alignment, int zeroed) {
  if (allocations_left == 0) {
    return NULL;
  }
  allocations_left -= allocations_left != NO_LIMIT;
  return plain_allocate(context, size, alignment, zeroed);
}

struct use {
  uv_loop_t loop;
  uvdio_sim_t* sim; /* or null */
  uvdio_engine_t* engine;
  uvdio_cb cb; /* null: the synchronous forms */
  uvdio_req_t req;
  uvdio_file_t directory;
  uvdio_file_t file;
  uvdio_file_t copy;
  uvdio_file_t nameless;
  uvdio_file_t table;
  int64_t told;
};

static void on_done(uvdio_req_t* req, int64_t result) {
  struct use* u = req->data;
  u->told = result;
}

/* What a call has come to, in either form. */
static int end(struct use* u, int code) {
  if (code != 0 || u->cb == NULL) {
    return code;
  }
  assert_int_equal(uv_run(&u->loop, UV_RUN_DEFAULT), 0);
  return u->told < 0 ? (int)u->told : 0;
}

/* A world that has run out of memory is spoilt for good. Elsewhere the same call succeeds then. */
#define DO(call)                               \
  do {                                         \
    int code = end(u, (call));                 \
    if (code == UV_ENOMEM && u->sim == NULL) { \
      allocations_left = NO_LIMIT;             \
      code = end(u, (call));                   \
    }                                          \
    if (code != 0) {                           \
      return code;                             \
    }                                          \
  } while (0)

static int create_engine(struct use* u) {
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_MEMORY};
  return u->sim != NULL ? uvdio_sim_engine_create(&u->engine, &u->loop, u->sim, &options)
                        : uvdio_engine_create(&u->engine, &u->loop, &options);
}

static int dup_file(struct use* u) {
  int code = uvdio_dup(u->engine, &u->copy, &u->file);
  u->told = 0;
  return code;
}

static int open_files(struct use* u) {
  const unsigned nameless = UVDIO_O_RDWR | UVDIO_O_ANONYMOUS | UVDIO_O_DUP;
  DO(uvdio_mkdir(u->engine, &u->req, "d", 0755, u->cb));
  DO(uvdio_open(u->engine, &u->directory, &u->req, "d", UVDIO_O_DIRECTORY, 0, u->cb));
  DO(uvdio_open_at(&u->directory, &u->file, &u->req, "x", UVDIO_OPEN_RW | UVDIO_O_DUP, 0644,
                   u->cb));
  DO(dup_file(u));
  DO(uvdio_open(u->engine, &u->nameless, &u->req, "d", nameless, 0600, u->cb));
  DO(uvdio_open_at(&u->directory, &u->table, &u->req, "table.new", UVDIO_OPEN_CREATE, 0600, u->cb));
  return 0;
}

static int change_names(struct use* u) {
  DO(uvdio_link_file_at(&u->nameless, &u->req, &u->directory, "named", u->cb));
  DO(uvdio_rename(u->engine, &u->req, "d/x", "d/y", 0, u->cb));
  DO(uvdio_link_at(&u->directory, &u->req, "y", &u->directory, "z", u->cb));
  DO(uvdio_rename_at(&u->directory, &u->req, "z", &u->directory, "x", 0, u->cb));
  DO(uvdio_truncate(&u->table, &u->req, UVDIO_PAGE_SIZE, u->cb));
  DO(uvdio_replace_at(&u->table, &u->req, &u->directory, "named", u->cb));
  DO(uvdio_unlink_at(&u->directory, &u->req, "y", u->cb));
  DO(uvdio_mkdir_at(&u->directory, &u->req, "e", 0755, u->cb));
  DO(uvdio_sync_directory(u->engine, &u->req, "d/e", u->cb));
  DO(uvdio_rmdir(u->engine, &u->req, "d/e", u->cb));
  return 0;
}

static int write_all(struct use* u) {
  DO(uvdio_truncate(&u->file, &u->req, 2 * UVDIO_PAGE_SIZE, u->cb));
  DO(uvdio_sync_data(&u->copy, &u->req, u->cb));
  DO(uvdio_close(&u->copy, &u->req, u->cb));
  DO(uvdio_close(&u->file, &u->req, u->cb));
  DO(uvdio_open_at(&u->directory, &u->file, &u->req, "named", UVDIO_O_RDWR, 0, u->cb));
  DO(uvdio_size(&u->file, &u->req, u->cb));
  assert_int_equal(u->req.result, UVDIO_PAGE_SIZE);
  return 0;
}

static int use_all(struct use* u) {
  int code = create_engine(u);
  code = code != 0 ? code : open_files(u);
  code = code != 0 ? code : change_names(u);
  code = code != 0 ? code : write_all(u);
  if (u->engine != NULL) {
    assert_ok(uvdio_engine_close(u->engine, NULL));
    assert_int_equal(uv_run(&u->loop, UV_RUN_DEFAULT), 0);
  }
  return code;
}

/* With so many allocations. Returns whether they were enough. */
static int are_enough(unsigned allocations, int is_world, uvdio_cb cb) {
  struct use u = {.cb = cb};
  u.req.data = &u;
  assert_ok(uv_loop_init(&u.loop));
  allocations_left = NO_LIMIT;
  assert_ok(is_world ? uvdio_sim_create(&u.sim, NULL) : 0);
  allocations_left = allocations;
  int code = use_all(&u);
  code = code == UV_ENOMEM && (is_world || u.engine == NULL) ? 0 : code;
  int were_enough = allocations_left > 0 && allocations_left != NO_LIMIT;
  assert_ok(code);
  assert_ok(is_world ? uvdio_sim_destroy(u.sim) : 0);
  assert_ok(uv_loop_close(&u.loop));
  assert_int_equal(uvdio_allocations(), 0);
  return were_enough;
}

static void each_allocation_may_fail(int is_world, uvdio_cb cb) {
  const uvdio_allocator_t some = {NULL, allocate_some, plain_release};
  unsigned allocations = 0;
  assert_ok(uvdio_set_allocator(&some));
  while (!are_enough(allocations, is_world, cb)) {
    assert_true(++allocations < ALLOCATIONS_MAX);
  }
  assert_ok(uvdio_set_allocator(NULL));
  assert_true(allocations > 20);
}

static void files_in_memory_get_over_a_shortage(void** state) {
  (void)state;
  each_allocation_may_fail(0, on_done);
  each_allocation_may_fail(0, NULL);
}

/*
 * Several buffers
 */

#define PIECES 4u
#define PIECE ((size_t)64 * 1024) /* what a file in memory allocates at a time */

/* What was written before the memory ended counts, and is there. */
static int write_pieces(uvdio_file_t* file, unsigned allocations) {
  static _Alignas(UVDIO_ALIGNMENT) char bytes[PIECES * PIECE];
  uvdio_buf_t bufs[PIECES];
  uvdio_req_t req = {0};
  uvdio_req_t size = {0};
  memset(bytes, 'x', sizeof(bytes));
  for (unsigned i = 0; i < PIECES; i++) {
    bufs[i] = uvdio_buf_view_bytes(bytes + i * PIECE, PIECE);
  }
  allocations_left = allocations;
  int code = uvdio_writev(file, &req, bufs, PIECES, 0, NULL);
  allocations_left = NO_LIMIT;
  assert_ok(uvdio_size(file, &size, NULL));
  assert_true(code == 0 || code == UV_ENOMEM);
  assert_int_equal(req.result, code == 0 ? (int64_t)sizeof(bytes) : UV_ENOMEM);
  assert_int_equal(req.transferred, size.result);
  assert_int_equal(req.transferred % PIECE, 0);
  assert_true(code == 0 || req.transferred < sizeof(bytes));
  return (int)(req.transferred / PIECE);
}

static void pieces_before_a_shortage_count(void** state) {
  const uvdio_allocator_t some = {NULL, allocate_some, plain_release};
  struct use u = {0};
  unsigned ends[PIECES + 1] = {0};
  (void)state;
  assert_ok(uvdio_set_allocator(&some));
  assert_ok(uv_loop_init(&u.loop));
  allocations_left = NO_LIMIT;
  assert_ok(create_engine(&u));
  /* The first one has all it takes, and leaves the engine a list for the pieces. */
  for (unsigned n = NO_LIMIT; ends[PIECES] < 2; n++) {
    assert_true(n == NO_LIMIT || n < ALLOCATIONS_MAX);
    assert_ok(uvdio_open(u.engine, &u.file, &u.req, "file", UVDIO_OPEN_CREATE, 0600, NULL));
    ends[write_pieces(&u.file, n)]++;
    assert_ok(uvdio_close(&u.file, &u.req, NULL));
  }
  for (unsigned i = 0; i <= PIECES; i++) {
    assert_true(ends[i] > 0);
  }
  assert_ok(uvdio_engine_close(u.engine, NULL));
  assert_int_equal(uv_run(&u.loop, UV_RUN_DEFAULT), 0);
  assert_ok(uv_loop_close(&u.loop));
  assert_int_equal(uvdio_allocations(), 0);
  assert_ok(uvdio_set_allocator(NULL));
}

static void worlds_leave_nothing_after_a_shortage(void** state) {
  (void)state;
  each_allocation_may_fail(1, on_done);
  each_allocation_may_fail(1, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_in_memory_get_over_a_shortage),
      cmocka_unit_test(pieces_before_a_shortage_count),
      cmocka_unit_test(worlds_leave_nothing_after_a_shortage),
  };
  return cmocka_run_group_tests_name("shortage", tests, warm_up_libuv, NULL);
}
