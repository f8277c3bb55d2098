/* SPDX-License-Identifier: MIT */
/*
 * The library's own memory comes from where the program says; and each of its allocations may fail.
 *
 * The faults follow SQLite's pattern: fail the first allocation, then the second, and so on until a
 * run gets through without meeting the fault. Each failed run must say UV_ENOMEM, leave nothing
 * behind and take nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "fixture.h"
#include "system.h"

#define PAGE UVDIO_PAGE_SIZE
#define RUNS_MAX 200

struct counter {
  uv_mutex_t mutex;
  size_t calls;
  size_t out;       /* allocations */
  size_t bytes_out; /* the release must name the size that the allocation had */
  size_t fail_at;   /* the call that fails, counted from 1; 0: none */
  int failed;
  int dishonest; /* a release that does not fit its allocation */
};

/* What was asked for lies in front of the memory, a page away so as to keep alignment. */
struct label {
  size_t size;
  size_t alignment;
};

static size_t front_of(size_t alignment) {
  return alignment > sizeof(struct label) ? alignment : 64;
}

static void* counted_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  struct counter* counter = context;
  size_t front = front_of(alignment);
  uv_mutex_lock(&counter->mutex);
  int fails = ++counter->calls == counter->fail_at;
  counter->failed |= fails;
  void* memory = fails ? NULL : system_aligned_alloc(front, front + size);
  if (memory != NULL) {
    struct label label = {size, alignment};
    memcpy(memory, &label, sizeof(label));
    memset((char*)memory + front, zeroed ? 0 : 0xa5, size);
    counter->out++;
    counter->bytes_out += size;
  }
  uv_mutex_unlock(&counter->mutex);
  return memory == NULL ? NULL : (char*)memory + front;
}

static void counted_release(void* context, void* memory, size_t size, size_t alignment) {
  struct counter* counter = context;
  struct label label;
  char* start = (char*)memory - front_of(alignment);
  memcpy(&label, start, sizeof(label));
  uv_mutex_lock(&counter->mutex);
  counter->dishonest |= label.size != size || label.alignment != alignment;
  counter->out--;
  counter->bytes_out -= size;
  uv_mutex_unlock(&counter->mutex);
  system_aligned_free(start);
}

static struct counter counter;

static void plug_in(void) {
  uvdio_allocator_t allocator = {&counter, counted_allocate, counted_release};
  counter.calls = 0;
  counter.fail_at = 0;
  counter.failed = 0;
  assert_ok(uvdio_set_allocator(&allocator));
}

static void unplug(void) {
  assert_ok(uvdio_set_allocator(NULL));
  assert_int_equal(counter.out, 0);
  assert_int_equal(counter.bytes_out, 0);
  assert_false(counter.dishonest);
}

static int set_up(void** state) {
  (void)state;
  memset(&counter, 0, sizeof(counter));
  return uv_mutex_init(&counter.mutex);
}

static int tear_down(void** state) {
  (void)state;
  int left = uvdio_allocations() != 0 || uvdio_set_allocator(NULL) != 0;
  uv_mutex_destroy(&counter.mutex);
  return left;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/*
 * Plugging in.
 */

static void everything_comes_from_the_custom_allocator(void** state) {
  (void)state;
  uvdio_arena_t* arena;
  uvdio_arena_options_t options = {PAGE, 4, 0};
  uvdio_buf_t small;
  uvdio_buf_t large;
  plug_in();
  assert_ok(uvdio_buf_alloc(&small, PAGE, 0));
  assert_ok(uvdio_buf_alloc(&large, 4 * UVDIO_MAP_THRESHOLD, UVDIO_BUF_ZEROED));
  assert_int_equal(counter.out, 2);
  assert_true(is_zero(large.base, large.cap));
  assert_ok(uvdio_arena_create(&arena, &options));
  assert_int_equal(counter.out, uvdio_allocations());
  assert_ok(uvdio_arena_destroy(arena, NULL));
  assert_ok(uvdio_buf_release(&small));
  assert_ok(uvdio_buf_release(&large));
  unplug();
}

/* What a file in memory consists of, and the table that finds it, whatever its size by now. */
static void files_in_memory_give_all_of_it_back(void** state) {
  (void)state;
  enum { DISTANCE = 64 * 1024, COUNT = 100 };
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_MEMORY};
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_buf_t page;
  plug_in();
  assert_int_equal(uv_loop_init(&loop), 0);
  assert_ok(uvdio_engine_create(&engine, &loop, &options));
  assert_ok(uvdio_open(engine, &file, &req, "/file", UVDIO_OPEN_RW, 0600, NULL));
  assert_ok(uvdio_buf_alloc(&page, PAGE, UVDIO_BUF_ZEROED));
  page.len = PAGE;
  for (unsigned i = 0; i < COUNT; i++) {
    assert_ok(uvdio_write(&file, &req, &page, (uint64_t)i * DISTANCE, NULL));
  }
  assert_ok(uvdio_buf_release(&page));
  assert_ok(uvdio_engine_close(engine, NULL));
  assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
  assert_int_equal(uv_loop_close(&loop), 0);
  unplug();
}

#ifdef __linux__
/* Pages of the buffer that are in memory. */
static size_t resident_pages(const uvdio_buf_t* buf) {
  static unsigned char there[UVDIO_MAP_THRESHOLD / PAGE];
  size_t count = 0;
  assert_true(buf->cap <= UVDIO_MAP_THRESHOLD);
  assert_ok(mincore(buf->base, buf->cap, there));
  for (size_t i = 0; i < buf->cap / PAGE; i++) {
    count += there[i] & 1u;
  }
  return count;
}

static void zeroed_memory_from_the_threshold_on_is_fresh(void** state) {
  (void)state;
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, UVDIO_MAP_THRESHOLD, UVDIO_BUF_ZEROED));
  if (system_page_size() == PAGE && !under_valgrind()) {
    assert_int_equal(resident_pages(&buf), 0);
    buf.base[PAGE] = 1;
    assert_int_equal(resident_pages(&buf), 1);
  }
  assert_ok(uvdio_buf_release(&buf));
}
#endif

static void growing_gives_the_old_memory_back(void** state) {
  (void)state;
  uvdio_buf_t buf = {0};
  static char bytes[50000];
  plug_in();
  for (int i = 0; i < 20; i++) {
    assert_ok(uvdio_buf_extend(&buf, bytes, sizeof(bytes)));
    assert_int_equal(counter.out, 1);
  }
  assert_ok(uvdio_buf_release(&buf));
  unplug();
}

static void half_an_allocator_is_refused(void** state) {
  (void)state;
  uvdio_allocator_t no_release = {NULL, counted_allocate, NULL};
  uvdio_allocator_t no_allocate = {NULL, NULL, counted_release};
  assert_code(uvdio_set_allocator(&no_release), UV_EINVAL);
  assert_code(uvdio_set_allocator(&no_allocate), UV_EINVAL);
}

static void allocator_stays_while_its_memory_is_out(void** state) {
  (void)state;
  uvdio_buf_t buf;
  plug_in();
  assert_ok(uvdio_buf_page(&buf));
  assert_code(uvdio_set_allocator(NULL), UV_EBUSY);
  assert_ok(uvdio_buf_release(&buf));
  unplug();
  assert_ok(uvdio_buf_page(&buf));
  uvdio_allocator_t allocator = {&counter, counted_allocate, counted_release};
  assert_code(uvdio_set_allocator(&allocator), UV_EBUSY);
  assert_ok(uvdio_buf_release(&buf));
}

static void* misaligned_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  char* memory = counted_allocate(context, size + 64, alignment, zeroed);
  return memory == NULL ? NULL : memory + 64;
}

static void misaligned_release(void* context, void* memory, size_t size, size_t alignment) {
  counted_release(context, (char*)memory - 64, size + 64, alignment);
}

static void misaligned_memory_is_none(void** state) {
  (void)state;
  uvdio_allocator_t allocator = {&counter, misaligned_allocate, misaligned_release};
  uvdio_buf_t buf = {0};
  assert_ok(uvdio_set_allocator(&allocator));
  assert_code(uvdio_buf_page(&buf), UV_ENOMEM);
  assert_null(buf.base);
  assert_int_equal(uvdio_allocations(), 0);
  unplug();
}

/*
 * Failing each allocation.
 */

/* Does its job and undoes it. Returns 0, or the code of the step that failed; checks by itself that
 * the failed step took nothing. */
typedef int (*job)(void);

/* `dispensable`: so many allocations at most are of the kind that the library can do without. */
static void fail_each_allocation_of(job do_it, unsigned dispensable) {
  size_t n = 0;
  int failed;
  do {
    plug_in();
    counter.fail_at = ++n;
    int code = do_it();
    failed = counter.failed;
    if (failed && code == 0) {
      assert_true(dispensable > 0);
      dispensable--;
    } else {
      assert_code(code, failed ? UV_ENOMEM : 0);
    }
    assert_int_equal(uvdio_allocations(), 0);
    unplug();
  } while (failed && n < RUNS_MAX);
  assert_false(failed);
  assert_true(n > 1); /* at least one fault was met */
}

static int make_heap_buffers(void) {
  uvdio_buf_t buf = {0};
  uvdio_buf_t copy = {0};
  int code = uvdio_buf_alloc(&buf, PAGE, 0);
  if (code == 0) {
    code = uvdio_buf_clone(&copy, &buf);
  }
  if (code == 0) {
    uvdio_buf_release(&copy);
    code = uvdio_buf_blob(&copy);
  }
  uvdio_buf_release(&copy);
  uvdio_buf_release(&buf);
  return code;
}

/* A refused extension leaves the content. */
static int grow_buffer(void) {
  static char bytes[2 * PAGE];
  uvdio_buf_t buf = {0};
  int code = uvdio_buf_page(&buf);
  if (code == 0) {
    fill_pattern(buf.base, PAGE, 1);
    uvdio_buf_t before = buf;
    code = uvdio_buf_extend(&buf, bytes, sizeof(bytes));
    assert_true(is_pattern(buf.base, PAGE, 1));
    assert_true(code == 0 || (buf.base == before.base && buf.len == before.len));
  }
  uvdio_buf_release(&buf);
  return code;
}

static int make_arena(void) {
  uvdio_arena_t* arena = NULL;
  uvdio_arena_options_t options = {PAGE, 100, 0};
  int code = uvdio_arena_create(&arena, &options);
  if (code == 0) {
    assert_ok(uvdio_arena_destroy(arena, NULL));
  } else {
    assert_null(arena);
  }
  return code;
}

static void failing_allocations_of_buffers(void** state) {
  (void)state;
  fail_each_allocation_of(make_heap_buffers, 0);
}

static void failing_allocations_of_growth(void** state) {
  (void)state;
  fail_each_allocation_of(grow_buffer, 0);
}

static void failing_allocations_of_arenas(void** state) {
  (void)state;
  fail_each_allocation_of(make_arena, 0);
}

/* One whole life: engine, asynchronous open, write, close. What failed is reported by the call
 * itself. */
struct life {
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uvdio_file_t file;
  struct tracker tracker;
  unsigned closed;
};

static void on_life_closed(uvdio_engine_t* engine) {
  struct life* life = uvdio_engine_data(engine);
  life->closed++;
}

static int outcome(struct life* life, const struct tracked_op* op) {
  if (op->code == 0) {
    assert_int_equal(uv_run(&life->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(op->done, 1);
  }
  return op->code != 0 ? op->code : op->result < 0 ? (int)op->result : 0;
}

static int open_and_write(struct life* life, const char* path) {
  struct tracker* t = &life->tracker;
  static _Alignas(UVDIO_ALIGNMENT) char bytes[PAGE];
  uvdio_buf_t page = uvdio_buf_view_bytes(bytes, PAGE);
  int code = outcome(life, t_open(op_new(t), life->engine, &life->file, path,
                                  UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED));
  if (code == 0) {
    code = outcome(life, t_write(op_new(t), &life->file, &page, 0));
  }
  if (code == 0) {
    code = outcome(life, t_sync_data(op_new(t), &life->file));
  }
  return code;
}

static int live(uvdio_backend_t backend, const char* path) {
  static struct life life;
  uvdio_engine_options_t options = {0};
  options.backend = backend;
  memset(&life, 0, sizeof(life));
  tracker_init(&life.tracker);
  assert_int_equal(uv_loop_init(&life.loop), 0);
  int code = uvdio_engine_create(&life.engine, &life.loop, &options);
  if (code == 0) {
    uvdio_engine_set_data(life.engine, &life);
    code = open_and_write(&life, path);
    assert_ok(t_engine_close(life.engine, on_life_closed));
    assert_int_equal(uv_run(&life.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(life.closed, 1);
  }
  tracker_finish(&life.tracker);
  tracker_verdict(&life.tracker);
  assert_int_equal(uv_loop_close(&life.loop), 0);
  return code;
}

static char path[64];

static int live_on_memory(void) {
  return live(UVDIO_BACKEND_MEMORY, path);
}

static int live_on_pool(void) {
  return live(UVDIO_BACKEND_POOL, path);
}

static int live_on_ring(void) {
  return live(UVDIO_BACKEND_RING, path);
}

static void name_a_file(void) {
  strcpy(path, "uvdio-allocator-XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
}

static void failing_allocations_of_memory_engine(void** state) {
  (void)state;
  strcpy(path, "/file");
  fail_each_allocation_of(live_on_memory, 0);
}

static void failing_allocations_on_disk(uvdio_backend_t backend, job do_it, unsigned dispensable) {
  char why[FILESYSTEM_WHY_MAX] = "";
  char line[FILESYSTEM_WHY_MAX + 16];
  if (uvdio_backend_probe(backend, why, sizeof(why)) != 0) {
    snprintf(line, sizeof(line), "ring: %s", why);
    SKIP(line);
  }
  name_a_file();
  size_t before = open_descriptors();
  fail_each_allocation_of(do_it, dispensable);
  assert_int_equal(open_descriptors(), before);
  assert_int_equal(unlink(path), 0);
}

static void failing_allocations_of_pool_engine(void** state) {
  (void)state;
  failing_allocations_on_disk(UVDIO_BACKEND_POOL, live_on_pool, 0);
}

static void failing_allocations_of_ring_engine(void** state) {
  (void)state;
  failing_allocations_on_disk(UVDIO_BACKEND_RING, live_on_ring, 1); /* the table of files */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(everything_comes_from_the_custom_allocator),
      TEST(files_in_memory_give_all_of_it_back),
#ifdef __linux__
      TEST(zeroed_memory_from_the_threshold_on_is_fresh),
#endif
      TEST(growing_gives_the_old_memory_back),
      TEST(half_an_allocator_is_refused),
      TEST(allocator_stays_while_its_memory_is_out),
      TEST(misaligned_memory_is_none),
      TEST(failing_allocations_of_buffers),
      TEST(failing_allocations_of_growth),
      TEST(failing_allocations_of_arenas),
      TEST(failing_allocations_of_memory_engine),
      TEST(failing_allocations_of_pool_engine),
      TEST(failing_allocations_of_ring_engine),
  };
  return cmocka_run_group_tests_name("allocator", tests, warm_up_libuv, NULL);
}
