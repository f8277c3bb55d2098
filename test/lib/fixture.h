/* SPDX-License-Identifier: MIT */
/*
 * What a test stands on: a loop, an engine, a folder on the filesystem of the day, and the tracker.
 *
 *   int main(int argc, char** argv) {
 *     const struct CMUnitTest tests[] = {TEST_ON(fixture_open, page_goes_out_and_comes_back), ...};
 *     return matrix_main("file", tests, COUNT_OF(tests), argc, argv);
 *   }
 *
 * The program's arguments choose backend and filesystem: contract_file --backend ring --filesystem
 * ext4. The backend "registered" is the ring as well, with buffers that are frames of arenas, so
 * that transfers use registered memory, and on a loop that has run before, so that the engine is
 * bound from the start. With --pieces, transfers of the tracker's have so many buffers; with
 * --handles dup, files are opened with UVDIO_O_DUP; with --classes on, engines have classes and
 * metrics, and requests of the tracker's belong to one class after the other; with --polled on,
 * engines have polled completions, of files whose device can be polled or is said to be
 * (polling.h).
 *
 * fixture_tear_down() ends every test with the same questions: has every accepted request been
 * called back once, is nothing pending, are no frames out, does the engine close with one callback,
 * is no handle left on the loop, no allocation, no descriptor? A "no" fails the test.
 */
#ifndef UVDIO_TEST_FIXTURE_H
#define UVDIO_TEST_FIXTURE_H

#include "check.h"
#include "filesystem.h"
#include "system.h"
#include "tracker.h"
#include "uvdio/class.h"
#include "uvdio/sim.h"

#define PAGE UVDIO_PAGE_SIZE
#define MIB ((size_t)1024 * 1024)

/* What the arguments chose. */
struct matrix {
  uvdio_backend_t backend;
  const char* backend_name;
  int registered; /* buffers are frames */
  struct filesystem filesystem;
  /* memory with --filesystem sim: a world in which operations overtake each other and are split */
  int simulated;
  int has_classes;
  int is_polled;
  const char* filter; /* --test PATTERN: only these (cmocka's wildcards) */
};
extern struct matrix matrix;

struct fixture {
  uv_loop_t loop;
  uvdio_sim_t* sim; /* the world, where it is simulated */
  uvdio_engine_t* engine;
  unsigned closed;    /* calls of on_engine_closed */
  uint64_t elsewhere; /* requests of the tracker's that were another engine's */
  struct tracker tracker;
  char dir[FILESYSTEM_PATH_MAX];
  uvdio_file_t file; /* fixture_open: "file", empty, read-write */
  uvdio_file_t other;
  uvdio_arena_t* arena; /* fixture_arena */
  uvdio_arena_t* spare; /* of a few frames that are free, for the example of a wait (ops.h) */
  size_t descriptors;   /* before */
  size_t allocations;
};

/* Reads the arguments, makes the filesystem and runs the tests, under a name that tells the
 * combination. Returns main's result: 77 where backend or filesystem can't be had. */
int matrix_main(const char* name, const struct CMUnitTest tests[], size_t count, int argc,
                char** argv);

/* One line of a table of tests, by what it stands on. */
#define TEST_ON(set_up, function) \
  cmocka_unit_test_setup_teardown(function, set_up, fixture_tear_down)

int on_memory(void);
#define NOT_ON_MEMORY(what)                    \
  do {                                         \
    if (on_memory()) {                         \
      SKIP("the memory backend has no " what); \
    }                                          \
  } while (0)

/* Skips a test of what the operating system lacks: an operation, by its name, or what system.h
 * lists. */
#define NEEDS(what)                               \
  do {                                            \
    if (!on_memory() && !system_provides(what)) { \
      SKIP("this system has no " what);           \
    }                                             \
  } while (0)

/* The result, or UV_ENOTSUP where the operating system lacks the operation. */
int where_provided(const char* operation, int result);

/* A loop and a folder; a loop with an engine; and, on it, an open file. */
int fixture_loop(void** state);
int fixture_engine(void** state);
int fixture_open(void** state);
int fixture_tear_down(void** state);

/* As fixture_engine and fixture_open, with options; the backend is filled in. */
int fixture_engine_with(void** state, uvdio_engine_options_t options);
int fixture_open_with(void** state, uvdio_engine_options_t options);
int fixture_open_at_depth(void** state, unsigned depth);
int fixture_open_at_depth_1(void** state);
int fixture_open_at_depth_4(void** state);

/* As fixture_open, with an engine that knows its thread. */
int fixture_open_bound(void** state);

/* The same, with options, and a file of so many pages that has been read from: what may start
 * does so in the submitting call. */
int fixture_read_with(void** state, uvdio_engine_options_t options, unsigned pages);

/* The matrix's backend, for uvdio_engine_create. */
uvdio_engine_options_t matrix_options(void);

/* Starts the engine of a fixture that has none (yet, or any more). */
void start_engine(struct fixture* f, uvdio_engine_options_t options);

/* Closes the engine and runs the loop to its end. */
void end_engine(struct fixture* f);
void on_engine_closed(uvdio_engine_t* engine);

/* Makes an arena, destroyed at the end, when all its frames must be back. */
void fixture_arena(struct fixture* f, size_t frame_size, size_t frame_count);

/* Runs the loop until nothing keeps it alive, in a given mode, and asks the tracker whether all
 * went well. */
void run(struct fixture* f);
void run_in_mode(struct fixture* f, uv_run_mode mode);

/* "dir/name", in a buffer that lives until the next but seven. */
const char* path_of(const struct fixture* f, const char* name);

/* Opens "name" at once and asserts that it worked. */
void open_now(struct fixture* f, uvdio_file_t* file, const char* name, unsigned flags);

/* A buffer full of the pattern `seed`; one with no content. Of the heap, or, up to 1 MiB and while
 * there are any, a frame where the matrix wants registered memory. */
uvdio_buf_t filled(size_t size, unsigned seed);
uvdio_buf_t blank(size_t cap);

/* Writes, or reads, at once, to set the scene. */
void put(struct fixture* f, uvdio_file_t* file, uint64_t offset, size_t size, unsigned seed);
void assert_holds(struct fixture* f, uvdio_file_t* file, uint64_t offset, size_t size,
                  unsigned seed);
void assert_zeros(struct fixture* f, uvdio_file_t* file, uint64_t offset, size_t size);
void assert_size(struct fixture* f, uvdio_file_t* file, int64_t size);

uvdio_engine_stats_t stats_of(const struct fixture* f);

/* Skips the test where what is done to the file is not done by a ring. */
void need_a_ring_file(const uvdio_file_t* file);

#endif /* UVDIO_TEST_FIXTURE_H */
