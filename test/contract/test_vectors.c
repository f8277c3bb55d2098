/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes of several buffers. That each is a transfer like one of a single buffer, the
 * other programs show with --pieces; here is what only several can have: memory that is not
 * adjacent, parts of the length for each, handles of all of them, numbers of buffers, registered
 * memory.
 */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "memory.h"
#include "ops.h"
#include "registered.h"
#include "uvdio/metrics.h"

#define FEW 5u
#define MANY 1500u /* more than a system call takes */

static uvdio_buf_t bufs[MANY];

/* The numbers of pages go up by one from `seed` on, and the memory goes down. */
static void fill_pages(unsigned count, unsigned seed) {
  for (unsigned i = count; i > 0; i--) {
    bufs[i - 1] = filled(PAGE, seed + i - 1);
  }
}

static void blank_pages(unsigned count) {
  for (unsigned i = count; i > 0; i--) {
    bufs[i - 1] = blank(PAGE);
    memset(bufs[i - 1].base, 0, PAGE);
  }
}

static struct tracked_op* write_pages(struct fixture* f, unsigned count, uint64_t page,
                                      unsigned seed) {
  fill_pages(count, seed);
  return t_writev(op_new(&f->tracker), &f->file, bufs, count, page * PAGE);
}

static struct tracked_op* read_pages(struct fixture* f, unsigned count, uint64_t page) {
  blank_pages(count);
  return t_readv(op_new(&f->tracker), &f->file, bufs, count, page * PAGE);
}

static void assert_pages(const uvdio_buf_t* pages, unsigned count, unsigned seed) {
  for (unsigned i = 0; i < count; i++) {
    assert_int_equal(pages[i].len, PAGE);
    assert_true(is_pattern(pages[i].base, PAGE, seed + i));
  }
}

/*
 * What is moved.
 */

static void pages_go_out_and_come_back(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_pages(f, FEW, 2, 10);
  run(f);
  assert_result(write, FEW * PAGE);
  assert_pages(write->bufs, FEW, 10);
  for (unsigned i = 0; i < FEW; i++) {
    assert_holds(f, &f->file, (2 + i) * PAGE, PAGE, 10 + i);
  }
  struct tracked_op* read = read_pages(f, FEW, 2);
  run(f);
  assert_result(read, FEW * PAGE);
  assert_pages(read->bufs, FEW, 10);
  assert_true(matrix.simulated || stats_of(f).resumed == 0);
}

static void buffers_have_sizes_of_their_own(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, 6 * PAGE, 1);
  bufs[0] = blank(2 * PAGE);
  bufs[1] = blank(PAGE);
  bufs[2] = blank(3 * PAGE);
  struct tracked_op* read = t_readv(op_new(&f->tracker), &f->file, bufs, 3, 0);
  run(f);
  assert_result(read, 6 * PAGE);
  char* all = malloc(6 * PAGE);
  memcpy(all, read->bufs[0].base, 2 * PAGE);
  memcpy(all + 2 * PAGE, read->bufs[1].base, PAGE);
  memcpy(all + 3 * PAGE, read->bufs[2].base, 3 * PAGE);
  int is_all = is_pattern(all, 6 * PAGE, 1);
  free(all);
  assert_true(is_all);
}

/* Their memory is not touched, and they come back. */
static void buffers_without_bytes_are_passed_by(void** state) {
  struct fixture* f = *state;
  fill_pages(3, 20);
  bufs[4] = bufs[2];
  bufs[2] = bufs[1];
  bufs[1] = filled(PAGE, 99);
  bufs[1].len = 0;
  bufs[3] = filled(PAGE, 98);
  bufs[3].len = 0;
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, 5, 0);
  run(f);
  assert_result(write, 3 * PAGE);
  for (unsigned i = 0; i < 3; i++) {
    assert_holds(f, &f->file, i * PAGE, PAGE, 20 + i);
  }
  fill_pages(2, 1);
  bufs[0].len = bufs[1].len = 0;
  struct tracked_op* nothing = t_writev(op_new(&f->tracker), &f->file, bufs, 2, 0);
  run(f);
  assert_result(nothing, 0);
  assert_holds(f, &f->file, 0, PAGE, 20);
}

static void more_than_a_call_takes_is_one_request(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_pages(f, MANY, 0, 0);
  run(f);
  assert_result(write, (int64_t)MANY * PAGE);
  struct tracked_op* read = read_pages(f, MANY, 0);
  run(f);
  assert_result(read, (int64_t)MANY * PAGE);
  assert_pages(read->bufs, MANY, 0);
}

/*
 * The end of the file
 */

/* Two and a half pages. */
static void end_in_the_third(struct fixture* f) {
  put(f, &f->file, 0, 3 * PAGE, 1);
  assert_result(t_truncate(op_now(&f->tracker), &f->file, 2 * PAGE + PAGE / 2), 0);
}

static void assert_two_and_a_half(const struct tracked_op* read) {
  assert_int_equal(read->bufs[0].len, PAGE);
  assert_int_equal(read->bufs[1].len, PAGE);
  assert_int_equal(read->bufs[2].len, PAGE / 2);
  assert_int_equal(read->bufs[3].len, 0);
}

static void each_buffer_tells_its_part(void** state) {
  struct fixture* f = *state;
  end_in_the_third(f);
  struct tracked_op* read = read_pages(f, 4, 0);
  run(f);
  assert_result(read, 2 * PAGE + PAGE / 2);
  assert_two_and_a_half(read);
}

static void exact_read_tells_that_the_end_came(void** state) {
  struct fixture* f = *state;
  end_in_the_third(f);
  blank_pages(4);
  struct tracked_op* read = t_readv_exact(op_new(&f->tracker), &f->file, bufs, 4, 0);
  run(f);
  assert_result(read, UVDIO_ESHORTREAD);
  assert_two_and_a_half(read);
  blank_pages(2);
  read = t_readv_exact(op_new(&f->tracker), &f->file, bufs, 2, 0);
  run(f);
  assert_result(read, 2 * PAGE);
}

/*
 * Ownership
 */

static void synchronous_forms_leave_the_buffers(void** state) {
  struct fixture* f = *state;
  fill_pages(FEW, 30);
  assert_result(t_writev(op_now(&f->tracker), &f->file, bufs, FEW, 0), FEW * PAGE);
  for (unsigned i = 0; i < FEW; i++) {
    memset(bufs[i].base, 0, PAGE);
    bufs[i].len = 0;
  }
  assert_result(t_readv(op_now(&f->tracker), &f->file, bufs, FEW, 0), FEW * PAGE);
  assert_pages(bufs, FEW, 30);
  for (unsigned i = 0; i < FEW; i++) {
    assert_ok(uvdio_buf_release(&bufs[i]));
  }
}

static uvdio_req_t next;
static uvdio_buf_t kept;
static int submitted;

static void release_all(uvdio_req_t* req, ssize_t result, uvdio_buf_t* back, unsigned count) {
  *(int64_t*)req->data = result;
  for (unsigned i = 0; i < count; i++) {
    (void)uvdio_buf_release(&back[i]);
  }
}

/* The array is the library's, and good for the next request all the same. */
static void keep_one_and_write_the_others(uvdio_req_t* req, ssize_t result, uvdio_buf_t* back,
                                          unsigned count) {
  *(int64_t*)req->data = result;
  kept = back[0];
  submitted = uvdio_writev(req->file, &next, back + 1, count - 1, FEW * PAGE, release_all);
  free(req);
}

static void callback_may_keep_some_and_go_on_with_others(void** state) {
  struct fixture* f = *state;
  uvdio_req_t* req = calloc(1, sizeof(*req));
  int64_t first = -1, second = -1;
  req->data = &first;
  next.data = &second;
  fill_pages(FEW, 40);
  assert_ok(uvdio_writev(&f->file, req, bufs, FEW, 0, keep_one_and_write_the_others));
  uv_run(&f->loop, UV_RUN_DEFAULT);
  assert_ok(submitted);
  assert_int_equal(first, FEW * PAGE);
  assert_int_equal(second, (FEW - 1) * PAGE);
  assert_true(is_pattern(kept.base, PAGE, 40));
  assert_ok(uvdio_buf_release(&kept));
  f->tracker.accepted = f->tracker.finished += 2;
  assert_holds(f, &f->file, FEW * PAGE, PAGE, 41);
}

static void all_come_back_from_what_is_cancelled(void** state) {
  struct fixture* f = *state;
  struct tracked_op* first = write_pages(f, FEW, 0, 1);
  struct tracked_op* waits = write_pages(f, FEW, FEW, 2);
  assert_ok(t_cancel(waits));
  run(f);
  assert_result(first, FEW * PAGE);
  assert_result(waits, UV_ECANCELED);
  assert_pages(waits->bufs, FEW, 2);
}

static void all_come_back_from_an_engine_that_closes(void** state) {
  struct fixture* f = *state;
  struct tracked_op* read = read_pages(f, FEW, 0);
  struct tracked_op* write = write_pages(f, FEW, 100, 7);
  assert_ok(t_engine_close(f->engine, on_engine_closed));
  f->engine = NULL;
  run(f);
  assert_int_equal(read->done, 1);
  assert_result(write, FEW * PAGE);
  assert_pages(write->bufs, FEW, 7);
}

static void truncate_waits_for_them(void** state) {
  struct fixture* f = *state;
  struct tracked_op* write = write_pages(f, FEW, 0, 1);
  struct tracked_op* truncate = t_truncate(op_new(&f->tracker), &f->file, PAGE);
  struct tracked_op* behind = read_pages(f, FEW, 0);
  run(f);
  assert_result(write, FEW * PAGE);
  assert_result(truncate, 0);
  assert_true(truncate->order > write->order && behind->order > truncate->order);
  assert_result(behind, PAGE);
}

/*
 * Bad input
 */

static void refuse(struct fixture* f, unsigned count, uint64_t offset, int error) {
  assert_refused(t_readv(op_new(&f->tracker), &f->file, bufs, count, offset), error);
  assert_refused(t_readv_exact(op_new(&f->tracker), &f->file, bufs, count, offset), error);
  assert_refused(t_writev(op_new(&f->tracker), &f->file, bufs, count, offset), error);
  assert_refused(t_readv(op_now(&f->tracker), &f->file, bufs, count, offset), error);
  assert_refused(t_writev(op_now(&f->tracker), &f->file, bufs, count, offset), error);
}

static void release_pages(unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    assert_ok(uvdio_buf_release(&bufs[i]));
  }
}

static void no_buffers_are_refused(void** state) {
  struct fixture* f = *state;
  fill_pages(2, 1);
  refuse(f, 0, 0, UV_EINVAL);
  assert_refused(t_readv(op_new(&f->tracker), &f->file, NULL, 2, 0), UV_EINVAL);
  assert_refused(t_writev(op_new(&f->tracker), &f->file, NULL, 2, 0), UV_EINVAL);
  for (unsigned i = 0; i < 2; i++) {
    uvdio_buf_t taken = bufs[i];
    memset(&bufs[i], 0, sizeof(bufs[i]));
    refuse(f, 2, 0, UV_EINVAL);
    bufs[i] = taken;
  }
  release_pages(2);
}

static void too_many_buffers_are_refused(void** state) {
  struct fixture* f = *state;
  static uvdio_buf_t many[UVDIO_VECTOR_MAX + 1];
  static _Alignas(4096) char page[4096];
  for (unsigned i = 0; i <= UVDIO_VECTOR_MAX; i++) {
    many[i] = uvdio_buf_view_bytes(page, 0);
  }
  assert_refused(t_readv(op_new(&f->tracker), &f->file, many, UVDIO_VECTOR_MAX + 1, 0), UV_E2BIG);
  assert_refused(t_writev(op_new(&f->tracker), &f->file, many, UVDIO_VECTOR_MAX + 1, 0), UV_E2BIG);
  struct tracked_op* most = t_writev(op_new(&f->tracker), &f->file, many, UVDIO_VECTOR_MAX, 0);
  run(f);
  assert_result(most, 0);
}

static void each_buffer_has_to_be_aligned(void** state) {
  struct fixture* f = *state;
  fill_pages(3, 1);
  bufs[3] = bufs[2];
  bufs[2].base += 8;
  refuse(f, 3, 0, UVDIO_EALIGN);
  bufs[2] = bufs[3];
  bufs[1].cap -= 8;
  bufs[1].len = bufs[1].cap;
  refuse(f, 3, 0, UVDIO_EALIGN);
  bufs[1].cap += 8;
  refuse(f, 3, 8, UVDIO_EALIGN);
  release_pages(3);
}

static void sum_of_lengths_has_a_bound(void** state) {
  struct fixture* f = *state;
  static _Alignas(4096) char page[4096];
  const size_t large = (size_t)PTRDIFF_MAX / PAGE * PAGE;
  bufs[0] = uvdio_buf_view_bytes(page, large);
  bufs[1] = uvdio_buf_view_bytes(page, large);
  refuse(f, 2, 0, UVDIO_EOFFSET);
  bufs[0] = uvdio_buf_view_bytes(page, PAGE);
  bufs[1] = uvdio_buf_view_bytes(page, PAGE);
  refuse(f, 2, ((uint64_t)INT64_MAX + 1) - PAGE, UVDIO_EOFFSET);
  bufs[1].len = 2 * PAGE;
  bufs[1].cap = PAGE;
  assert_refused(t_writev(op_new(&f->tracker), &f->file, bufs, 2, 0), UVDIO_EOFFSET);
}

static void files_that_take_no_writes_refuse_them(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 1);
  open_now(f, &f->other, "file", UVDIO_OPEN_READ | UVDIO_O_DIRECT_PREFERRED);
  fill_pages(2, 1);
  assert_refused(t_writev(op_new(&f->tracker), &f->other, bufs, 2, 0), UV_EBADF);
  close_other(f);
  assert_refused(t_readv(op_new(&f->tracker), &f->other, bufs, 2, 0), UV_EBADF);
  assert_refused(t_writev(op_new(&f->tracker), NULL, bufs, 2, 0), UV_EINVAL);
  release_pages(2);
}

/*
 * Memory
 */

static unsigned allocations;

static void* count_and_allocate(void* context, size_t size, size_t alignment, int zeroed) {
  allocations++;
  return plain_allocate(context, size, alignment, zeroed);
}

static int open_counting(void** state) {
  const uvdio_allocator_t allocator = {NULL, count_and_allocate, plain_release};
  return uvdio_set_allocator(&allocator) != 0 ? -1 : fixture_open_bound(state);
}

static int tear_down_counting(void** state) {
  int failed = fixture_tear_down(state);
  return uvdio_set_allocator(NULL) != 0 || failed;
}

/* A page of the program's own, so that only the library allocates. */
static _Alignas(4096) char page_bytes[16][4096];

static void write_views(struct fixture* f, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    bufs[i] = uvdio_buf_view_bytes(page_bytes[i % 16], PAGE);
  }
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, count, 0);
  run(f);
  assert_result(write, (int64_t)count * PAGE);
  op_free(write);
}

static void nothing_is_allocated_for_few_buffers(void** state) {
  struct fixture* f = *state;
  if (matrix.simulated) {
    SKIP("a world allocates for what it remembers");
  }
  (void)uvdio_metrics_stop(f->engine); /* which allocate for each operation that is new to them */
  write_views(f, 16);
  write_views(f, 16);
  write_views(f, 17); /* which may go another way, that is made ready for it */
  unsigned before = allocations;
  for (unsigned i = 2; i <= 16; i++) {
    write_views(f, i);
  }
  assert_int_equal(allocations, before);
  write_views(f, 17);
  assert_int_equal(allocations, before + 1);
}

/*
 * Registered memory
 */

/* Every `step`-th frame of the arena, in their order, with a pattern: a segment has 256. */
static void take_frames(struct fixture* f, unsigned count, unsigned step) {
  static uvdio_buf_t frames[1024];
  for (unsigned i = 0; i < count * step; i++) {
    frames[i] = frame_of(f);
  }
  for (unsigned i = 0; i < count * step; i++) {
    if (i % step == 0) {
      bufs[i / step] = frames[i];
      fill_pattern(frames[i].base, PAGE, i / step);
      bufs[i / step].len = PAGE;
    } else {
      assert_ok(uvdio_buf_release(&frames[i]));
    }
  }
}

static void frames_of_one_segment_are_registered_memory(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 1024);
  skip_without_ring(f);
  take_frames(f, FEW, 3);
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, FEW, 0);
  run(f);
  assert_result(write, FEW * PAGE);
  uint64_t fixed = stats_of(f).fixed;
  if (fixed == 0) {
    SKIP("this kernel takes no vectors of registered memory");
  }
  assert_int_equal(fixed, 1);
  for (unsigned i = 0; i < FEW; i++) {
    assert_holds(f, &f->file, i * PAGE, PAGE, i);
    bufs[i] = write->bufs[i];
    memset(&write->bufs[i], 0, sizeof(write->bufs[i]));
  }
  struct tracked_op* read = t_readv(op_new(&f->tracker), &f->file, bufs, FEW, 0);
  run(f);
  assert_result(read, FEW * PAGE);
  assert_pages(read->bufs, FEW, 0);
  assert_true(stats_of(f).fixed > fixed);
}

/* Memory of which nothing is written may be anything. */
static void empty_buffer_changes_no_way(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 1024);
  skip_without_ring(f);
  take_frames(f, 2, 3);
  bufs[2] = bufs[1];
  assert_ok(uvdio_buf_alloc(&bufs[1], PAGE, 0));
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, 3, 0);
  run(f);
  assert_result(write, 2 * PAGE);
  if (stats_of(f).fixed == 0) {
    SKIP("this kernel takes no vectors of registered memory");
  }
  assert_int_equal(stats_of(f).fixed, 1);
  assert_holds(f, &f->file, 0, PAGE, 0);
  assert_holds(f, &f->file, PAGE, PAGE, 1);
}

static void frames_of_several_segments_are_plain_memory(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 1024);
  skip_without_ring(f);
  take_frames(f, 4, 255);
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, 4, 0);
  run(f);
  assert_result(write, 4 * PAGE);
  assert_int_equal(stats_of(f).fixed, 0);
  for (unsigned i = 0; i < 4; i++) {
    assert_holds(f, &f->file, i * PAGE, PAGE, i);
  }
}

/* What can't go as one registered buffer pins nothing by itself. */
static void vector_of_two_arenas_registers_neither(void** state) {
  struct fixture* f = *state;
  uvdio_arena_options_t options = {.frame_size = PAGE, .frame_count = 16};
  uvdio_arena_t* other;
  fixture_arena(f, PAGE, 16);
  skip_without_ring(f);
  assert_ok(uvdio_arena_create(&other, &options));
  bufs[0] = frame_of(f);
  assert_ok(uvdio_arena_acquire(other, &bufs[1]));
  struct tracked_op* read = t_readv(op_new(&f->tracker), &f->file, bufs, 2, 0);
  run(f);
  assert_int_equal(read->done, 1);
  assert_int_equal(stats_of(f).registered_bytes, 0);
  assert_int_equal(stats_of(f).fixed, 0);
  op_free(read);
  assert_ok(uvdio_arena_destroy(other, NULL));
}

static void arena_in_use_by_a_vector_stays_registered(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 16);
  skip_without_ring(f);
  take_frames(f, FEW, 2);
  struct tracked_op* write = t_writev(op_new(&f->tracker), &f->file, bufs, FEW, 0);
  assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_EBUSY);
  run(f);
  assert_result(write, FEW * PAGE);
  int is_registered = stats_of(f).fixed > 0; /* Linux 6.15 takes vectors of registered memory */
  assert_code(uvdio_arena_unregister(f->engine, f->arena), is_registered ? 0 : UV_ENOENT);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, pages_go_out_and_come_back),
      TEST_ON(fixture_open, buffers_have_sizes_of_their_own),
      TEST_ON(fixture_open, buffers_without_bytes_are_passed_by),
      TEST_ON(fixture_open, more_than_a_call_takes_is_one_request),
      TEST_ON(fixture_open, each_buffer_tells_its_part),
      TEST_ON(fixture_open, exact_read_tells_that_the_end_came),
      TEST_ON(fixture_open, synchronous_forms_leave_the_buffers),
      TEST_ON(fixture_open, callback_may_keep_some_and_go_on_with_others),
      TEST_ON(fixture_open_at_depth_1, all_come_back_from_what_is_cancelled),
      TEST_ON(fixture_open, all_come_back_from_an_engine_that_closes),
      TEST_ON(fixture_open, truncate_waits_for_them),
      TEST_ON(fixture_open, no_buffers_are_refused),
      TEST_ON(fixture_open, too_many_buffers_are_refused),
      TEST_ON(fixture_open, each_buffer_has_to_be_aligned),
      TEST_ON(fixture_open, sum_of_lengths_has_a_bound),
      TEST_ON(fixture_open, files_that_take_no_writes_refuse_them),
      cmocka_unit_test_setup_teardown(nothing_is_allocated_for_few_buffers, open_counting,
                                      tear_down_counting),
      TEST_ON(fixture_open_bound, frames_of_one_segment_are_registered_memory),
      TEST_ON(fixture_open_bound, empty_buffer_changes_no_way),
      TEST_ON(fixture_open_bound, frames_of_several_segments_are_plain_memory),
      TEST_ON(fixture_open_bound, vector_of_two_arenas_registers_neither),
      TEST_ON(fixture_open_bound, arena_in_use_by_a_vector_stays_registered),
  };
  return matrix_main("vectors", tests, COUNT_OF(tests), argc, argv);
}
