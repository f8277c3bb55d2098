/* SPDX-License-Identifier: MIT */
/*
 * Views of memory that the ring knows by number: found by address, whatever part of an arena they
 * are of; plain memory where no piece of it holds them as a whole, and where the arena is gone
 * though the ring still knows it. On other backends: the bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fixture.h"
#include "ops.h"
#include "registered.h"

/* Where all frames of the arena lie, one behind the other. */
static char* memory_of(const uvdio_arena_t* arena) {
  uvdio_chunks_t chunks;
  uvdio_buf_t first = {0};
  assert_ok(uvdio_arena_frames(arena, &chunks));
  assert_int_equal(uvdio_chunks_next(&chunks, &first), 1);
  return first.base;
}

/* Writes a view full of the pattern and reads it back into the same bytes. Returns how many of the
 * two went by number. */
static uint64_t pass_view(struct fixture* f, char* base, size_t size, uint64_t offset,
                          unsigned seed) {
  uint64_t before = stats_of(f).fixed;
  fill_pattern(base, size, seed);
  uvdio_buf_t view = uvdio_buf_view_bytes(base, size);
  struct tracked_op* write = t_write(op_new(&f->tracker), &f->file, &view, offset);
  run(f);
  assert_result(write, size);
  memset(base, 0, size);
  view = uvdio_buf_wrap(base, size);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &view, offset);
  run(f);
  assert_result(read, size);
  assert_true(is_pattern(base, size, seed));
  assert_holds(f, &f->file, offset, size, seed);
  op_free(write);
  op_free(read);
  return stats_of(f).fixed - before;
}

/*
 * What goes by number
 */

static void part_of_a_frame_goes_by_number(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, 4 * PAGE, 4);
  use_a_frame(f);
  char* memory = memory_of(f->arena);
  unsigned twice = is_on_ring(f) ? 2 : 0;
  assert_int_equal(pass_view(f, memory, 4 * PAGE, 0, 1), twice);
  assert_int_equal(pass_view(f, memory, PAGE, 0, 2), twice);
  assert_int_equal(pass_view(f, memory + 5 * PAGE, 2 * PAGE, PAGE, 3), twice);
  assert_int_equal(pass_view(f, memory + 15 * PAGE, PAGE, 0, 4), twice);
}

static void slices_and_chunks_of_a_frame_go_by_number(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t frame = {0};
  uvdio_buf_t part;
  uvdio_chunks_t chunks;
  uint64_t count = 0;
  fixture_arena(f, 4 * PAGE, 4);
  use_a_frame(f);
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  assert_ok(uvdio_buf_slice_space(&frame, 2 * PAGE, PAGE, &part));
  count += pass_view(f, part.base, part.cap, 0, 1);
  assert_ok(uvdio_buf_chunks(&frame, PAGE, &chunks));
  for (unsigned i = 0; uvdio_chunks_next(&chunks, &part); i++) {
    count += pass_view(f, part.base, part.cap, i * PAGE, i);
  }
  assert_int_equal(count, is_on_ring(f) ? 10 : 0);
  assert_ok(uvdio_buf_release(&frame));
}

static void several_frames_go_by_number_as_one_view(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 64);
  use_a_frame(f);
  char* memory = memory_of(f->arena);
  assert_int_equal(pass_view(f, memory, 64 * PAGE, 0, 1), is_on_ring(f) ? 2 : 0);
  assert_int_equal(pass_view(f, memory + 3 * PAGE, 5 * PAGE, PAGE, 2), is_on_ring(f) ? 2 : 0);
}

/* The file's first transfers, and others than the first, which take the short way. */
static void many_at_once_arrive_where_they_belong(void** state) {
  struct fixture* f = *state;
  struct tracked_op* reads[32];
  fixture_arena(f, 2 * PAGE, COUNT_OF(reads));
  use_a_frame(f);
  char* memory = memory_of(f->arena);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    put(f, &f->file, i * PAGE, PAGE, i);
  }
  memset(memory, 0, COUNT_OF(reads) * 2 * PAGE);
  uint64_t before = stats_of(f).fixed;
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    uvdio_buf_t view = uvdio_buf_wrap(memory + (2 * i + i % 2) * PAGE, PAGE);
    reads[i] = t_read(op_new(&f->tracker), &f->file, &view, i * PAGE);
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(reads); i++) {
    assert_result(reads[i], PAGE);
    assert_true(is_pattern(memory + (2 * i + i % 2) * PAGE, PAGE, i));
    assert_true(is_zero(memory + (2 * i + 1 - i % 2) * PAGE, PAGE));
  }
  assert_int_equal(stats_of(f).fixed - before, is_on_ring(f) ? COUNT_OF(reads) : 0);
}

/* A lower cap reads less than a frame, and the frame stays one. */
static void frame_with_a_lower_cap_is_still_a_frame(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t frame = {0};
  fixture_arena(f, 4 * PAGE, 1);
  put(f, &f->file, 0, 4 * PAGE, 1);
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  memset(frame.base, 0, frame.cap);
  char* base = frame.base;
  frame.cap = PAGE;
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &frame, 0);
  run(f);
  assert_result(read, PAGE);
  assert_int_equal(read->back.cap, PAGE);
  assert_true(is_pattern(base, PAGE, 1) && is_zero(base + PAGE, 3 * PAGE));
  assert_int_equal(stats_of(f).fixed, is_on_ring(f) ? 1 : 0);
  op_free(read); /* which releases the frame */
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  assert_int_equal(frame.cap, 4 * PAGE);
  assert_ok(uvdio_buf_release(&frame));
}

/*
 * Pieces
 */

/* Frames of 12 KiB: pieces of 1 MiB that overlap by that much. */
static void view_within_what_two_pieces_share_goes_by_number(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, 3 * PAGE, 200);
  skip_without_ring(f);
  char* memory = memory_of(f->arena);
  use_a_frame(f); /* the first one: only the first piece is known */
  size_t known = registration_of(f).bytes;
  assert_int_equal(pass_view(f, memory + MIB - PAGE, 3 * PAGE, 0, 1), 2);
  assert_int_equal(pass_view(f, memory + MIB, 2 * PAGE, 0, 2), 2);
  assert_int_equal(registration_of(f).bytes, known);
  /* Two that go beyond the first piece: the second one begins in the next. */
  assert_int_equal(pass_view(f, memory + MIB - PAGE, 5 * PAGE, 0, 3), 0);
  assert_int_equal(pass_view(f, memory + MIB + PAGE, 3 * PAGE, 0, 4), 2);
  assert_true(registration_of(f).bytes > known);
}

static void view_across_pieces_goes_as_plain_memory(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, MIB, 4);
  (void)uvdio_arena_register(f->engine, f->arena);
  char* memory = memory_of(f->arena);
  unsigned twice = is_on_ring(f) ? 2 : 0;
  assert_int_equal(pass_view(f, memory + MIB / 2, MIB, 0, 1), 0);
  assert_int_equal(pass_view(f, memory + MIB - PAGE, 2 * PAGE, 0, 2), 0);
  assert_int_equal(pass_view(f, memory, 4 * MIB, 0, 3), 0);
  assert_int_equal(pass_view(f, memory + MIB, MIB, 0, 4), twice);
  assert_int_equal(pass_view(f, memory + 4 * MIB - PAGE, PAGE, 0, 5), twice);
}

/* As a frame's would be. */
static void piece_of_a_known_arena_is_registered_at_a_views_use(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, MIB, 4);
  skip_without_ring(f);
  use_a_frame(f);
  size_t known = registration_of(f).bytes;
  assert_true(known < 4 * MIB);
  assert_int_equal(pass_view(f, memory_of(f->arena) + 3 * MIB + PAGE, PAGE, 0, 1), 2);
  assert_true(registration_of(f).bytes > known);
}

static void view_registers_nothing_of_an_arena_that_the_ring_does_not_know(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  assert_int_equal(pass_view(f, memory_of(f->arena), PAGE, 0, 1), 0);
  assert_int_equal(registration_of(f).bytes, 0);
}

static void view_registers_nothing_by_itself_where_the_user_said_so(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, MIB, 4);
  skip_without_ring(f);
  char* memory = memory_of(f->arena);
  assert_int_equal(pass_view(f, memory, PAGE, 0, 1), 0);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  assert_int_equal(pass_view(f, memory, PAGE, 0, 2), 2);
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
  assert_int_equal(pass_view(f, memory, PAGE, 0, 3), 0);
  assert_int_equal(registration_of(f).bytes, 0);
}

static char outside[4 * UVDIO_PAGE_SIZE] __attribute__((aligned(UVDIO_PAGE_SIZE)));

static void other_memory_goes_as_plain_memory(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t heap;
  fixture_arena(f, PAGE, 4);
  use_a_frame(f);
  assert_ok(uvdio_buf_alloc(&heap, 2 * PAGE, 0));
  assert_int_equal(pass_view(f, heap.base + PAGE, PAGE, 0, 1), 0);
  assert_int_equal(pass_view(f, outside, sizeof(outside), 0, 2), 0);
  uint64_t before = stats_of(f).fixed;
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &heap, 0);
  run(f);
  assert_result(read, 2 * PAGE);
  assert_int_equal(stats_of(f).fixed, before);
}

/*
 * Many arenas
 */

#define ARENAS 40u

static void pass_views_of_all(struct fixture* f, uvdio_arena_t* const arenas[ARENAS],
                              unsigned twice) {
  for (unsigned i = 0; i < ARENAS; i++) {
    for (unsigned page = 0; arenas[i] != NULL && page < 4; page += 3) {
      assert_int_equal(pass_view(f, memory_of(arenas[i]) + page * PAGE, PAGE, 0, i), twice);
    }
  }
}

static void arenas_are_told_apart_by_address(void** state) {
  struct fixture* f = *state;
  uvdio_arena_options_t options = {PAGE, 4, 0};
  uvdio_arena_t* arenas[ARENAS];
  fixture_arena(f, PAGE, 4);
  uvdio_arena_t* own = f->arena;
  unsigned twice = is_on_ring(f) ? 2 : 0;
  for (unsigned i = 0; i < ARENAS; i++) {
    assert_ok(uvdio_arena_create(&arenas[i], &options));
  }
  for (unsigned i = 0; i < ARENAS; i++) {
    f->arena = arenas[i * 7 % ARENAS]; /* in another order than their addresses' */
    use_a_frame(f);
  }
  f->arena = own;
  pass_views_of_all(f, arenas, twice);
  for (unsigned i = 0; i < ARENAS; i += 3) {
    assert_ok(uvdio_arena_destroy(arenas[i], NULL));
    arenas[i] = NULL;
  }
  pass_views_of_all(f, arenas, twice);
  for (unsigned i = 0; i < ARENAS; i++) {
    if (arenas[i] != NULL) {
      assert_ok(uvdio_arena_destroy(arenas[i], NULL));
    }
  }
}

/*
 * Memory that goes, and its address that stays. The allocator gives arenas of two sizes the same
 * address, with other pages behind it each time: what the ring has pinned are the pages of the
 * arena that is gone.
 */

#define RECYCLED MIB /* one piece */
#define SHORTER (16 * PAGE)

static char* recycled; /* nobody's, or an arena's; other memory lies behind it */

static void* map_again(int protection) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  void* memory = mmap(recycled, RECYCLED, protection, flags, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static void* allocate(void* context, size_t size, size_t alignment, int zeroed) {
  void* memory = NULL;
  (void)context;
  if (size == RECYCLED || size == SHORTER) {
    return map_again(PROT_READ | PROT_WRITE);
  }
  if (posix_memalign(&memory, alignment > sizeof(void*) ? alignment : sizeof(void*), size) != 0) {
    return NULL;
  }
  return zeroed ? memset(memory, 0, size) : memory;
}

static void release(void* context, void* memory, size_t size, size_t alignment) {
  (void)context;
  (void)size;
  (void)alignment;
  if (memory == recycled) {
    (void)map_again(PROT_NONE);
  } else {
    free(memory);
  }
}

static int recycling(void** state) {
  uvdio_allocator_t allocator = {NULL, allocate, release};
  recycled = mmap(NULL, 2 * RECYCLED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return recycled == MAP_FAILED || uvdio_set_allocator(&allocator) != 0 || fixture_open(state) != 0;
}

static int end_recycling(void** state) {
  int failed = fixture_tear_down(state);
  (void)munmap(recycled, 2 * RECYCLED);
  return uvdio_set_allocator(NULL) != 0 || failed;
}

#define TEST_RECYCLING(function) cmocka_unit_test_setup_teardown(function, recycling, end_recycling)

static void make_arena_there(struct fixture* f, size_t size) {
  fixture_arena(f, PAGE, size / PAGE);
  assert_ptr_equal(memory_of(f->arena), recycled);
}

/* Reads at once: no turn of the loop lies between the arena's end and the submission. */
static void assert_arrives_as_plain_memory(struct fixture* f, uint64_t offset, unsigned seed) {
  uint64_t before = stats_of(f).fixed;
  uvdio_buf_t view = uvdio_buf_wrap(recycled + 2 * PAGE, PAGE);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &view, offset);
  run(f);
  assert_result(read, PAGE);
  assert_true(is_pattern(recycled + 2 * PAGE, PAGE, seed));
  assert_int_equal(stats_of(f).fixed, before);
}

static void view_of_another_arena_at_the_address_gets_its_bytes(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 7);
  for (unsigned i = 0; i < 3; i++) {
    make_arena_there(f, RECYCLED);
    use_a_frame(f);
    assert_int_equal(pass_view(f, recycled, PAGE, PAGE, i), is_on_ring(f) ? 2 : 0);
    leave_arena(f);
    make_arena_there(f, RECYCLED);
    assert_arrives_as_plain_memory(f, 0, 7);
    use_a_frame(f); /* and the new one may be known, too */
    assert_int_equal(pass_view(f, recycled, PAGE, PAGE, i), is_on_ring(f) ? 2 : 0);
    leave_arena(f);
  }
}

static void view_of_other_memory_at_the_address_gets_its_bytes(void** state) {
  struct fixture* f = *state;
  put(f, &f->file, 0, PAGE, 7);
  make_arena_there(f, RECYCLED);
  use_a_frame(f);
  leave_arena(f);
  assert_non_null(map_again(PROT_READ | PROT_WRITE));
  assert_arrives_as_plain_memory(f, 0, 7);
  assert_arrives_as_plain_memory(f, 0, 7); /* and after the ring has let go of it */
  fixture_arena(f, PAGE, 4);
  use_a_frame(f);
  assert_arrives_as_plain_memory(f, 0, 7);
}

/* The same where several arenas are known, and the new one is used by a frame first. */
static void frame_of_another_arena_at_the_address_makes_it_known(void** state) {
  struct fixture* f = *state;
  make_arena_there(f, RECYCLED);
  use_a_frame(f);
  leave_arena(f);
  make_arena_there(f, RECYCLED);
  skip_without_ring(f);
  uvdio_buf_t frame = {0};
  uvdio_buf_t view = uvdio_buf_view_bytes(recycled + PAGE, PAGE);
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  fill_pattern(recycled, 2 * PAGE, 3);
  frame.len = frame.cap;
  uint64_t before = stats_of(f).fixed;
  struct tracked_op* first = t_write(op_new(&f->tracker), &f->file, &frame, 0);
  struct tracked_op* second = t_write(op_new(&f->tracker), &f->file, &view, PAGE);
  run(f);
  assert_result(first, PAGE);
  assert_result(second, PAGE);
  assert_holds(f, &f->file, 0, 2 * PAGE, 3);
  assert_int_equal(stats_of(f).fixed - before, 2);
}

static void memory_behind_an_arena_is_not_the_arenas(void** state) {
  struct fixture* f = *state;
  for (size_t size = SHORTER; size <= RECYCLED; size += RECYCLED - SHORTER) {
    make_arena_there(f, size);
    (void)uvdio_arena_register(f->engine, f->arena);
    char* end = recycled + size;
    assert_int_equal(pass_view(f, end - PAGE, PAGE, 0, 1), is_on_ring(f) ? 2 : 0);
    assert_int_equal(pass_view(f, end, PAGE, 0, 2), 0);
    assert_int_equal(pass_view(f, end - PAGE, 2 * PAGE, 0, 3), 0);
    leave_arena(f);
  }
}

/*
 * Unregistering
 */

static void unregistering_waits_for_views(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  put(f, &f->file, 0, PAGE, 3);
  assert_ok(uvdio_arena_register(f->engine, f->arena));
  for (unsigned i = 0; i < 2; i++) { /* waits for the loop's first turn; is with the kernel */
    uvdio_buf_t view = uvdio_buf_wrap(memory_of(f->arena) + 3 * PAGE, PAGE);
    struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &view, 0);
    assert_int_equal(stats_of(f).in_flight, i);
    assert_code(uvdio_arena_unregister(f->engine, f->arena), UV_EBUSY);
    run(f);
    assert_result(read, PAGE);
    assert_true(is_pattern(memory_of(f->arena) + 3 * PAGE, PAGE, 3));
  }
  assert_int_equal(stats_of(f).fixed, 2);
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
  assert_int_equal(pass_view(f, memory_of(f->arena), PAGE, 0, 1), 0);
}

static void unregistering_does_not_wait_for_other_memory(void** state) {
  struct fixture* f = *state;
  fixture_arena(f, PAGE, 4);
  skip_without_ring(f);
  use_a_frame(f);
  struct tracked_op* read = read_page(f, 0);
  assert_ok(uvdio_arena_unregister(f->engine, f->arena));
  run(f);
  assert_result(read, 0);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, part_of_a_frame_goes_by_number),
      TEST_ON(fixture_open, slices_and_chunks_of_a_frame_go_by_number),
      TEST_ON(fixture_open, several_frames_go_by_number_as_one_view),
      TEST_ON(fixture_open, many_at_once_arrive_where_they_belong),
      TEST_ON(fixture_open, frame_with_a_lower_cap_is_still_a_frame),
      TEST_ON(fixture_open, view_within_what_two_pieces_share_goes_by_number),
      TEST_ON(fixture_open, view_across_pieces_goes_as_plain_memory),
      TEST_ON(fixture_open, piece_of_a_known_arena_is_registered_at_a_views_use),
      TEST_ON(fixture_open, view_registers_nothing_of_an_arena_that_the_ring_does_not_know),
      TEST_ON(fixture_open_manual, view_registers_nothing_by_itself_where_the_user_said_so),
      TEST_ON(fixture_open, other_memory_goes_as_plain_memory),
      TEST_ON(fixture_open, arenas_are_told_apart_by_address),
      TEST_RECYCLING(view_of_another_arena_at_the_address_gets_its_bytes),
      TEST_RECYCLING(view_of_other_memory_at_the_address_gets_its_bytes),
      TEST_RECYCLING(frame_of_another_arena_at_the_address_makes_it_known),
      TEST_RECYCLING(memory_behind_an_arena_is_not_the_arenas),
      TEST_ON(fixture_open, unregistering_waits_for_views),
      TEST_ON(fixture_open, unregistering_does_not_wait_for_other_memory),
  };
  return matrix_main("registered_views", tests, COUNT_OF(tests), argc, argv);
}
