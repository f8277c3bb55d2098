/* SPDX-License-Identifier: MIT */
/* Buffers, blobs and views: each function, each origin, each error. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "system.h"

#define PAGE UVDIO_PAGE_SIZE
#define LARGE ((size_t)256 * 1024 * 1024)

static int leaves_nothing_behind(void** state) {
  (void)state;
  return uvdio_allocations() != 0;
}

#define TEST(function) cmocka_unit_test_teardown(function, leaves_nothing_behind)

static void assert_aligned(const uvdio_buf_t* buf) {
  assert_non_null(buf->base);
  assert_int_equal((uintptr_t)buf->base % UVDIO_ALIGNMENT, 0);
  assert_int_equal(buf->cap % UVDIO_ALIGNMENT, 0);
}

static void assert_empty(const uvdio_buf_t* buf) {
  assert_null(buf->base);
  assert_int_equal(buf->len, 0);
  assert_int_equal(buf->cap, 0);
  assert_int_equal(uvdio_buf_origin(buf), UVDIO_ORIGIN_NONE);
}

static void assert_same(const uvdio_buf_t* a, const uvdio_buf_t* b) {
  assert_ptr_equal(a->base, b->base);
  assert_int_equal(a->len, b->len);
  assert_int_equal(a->cap, b->cap);
  assert_int_equal(uvdio_buf_origin(a), uvdio_buf_origin(b));
}

static void release(uvdio_buf_t* buf) {
  assert_ok(uvdio_buf_release(buf));
  assert_empty(buf);
}

static uvdio_buf_t page_with_text(const char* text) {
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, PAGE, 0));
  assert_ok(uvdio_buf_extend(&buf, text, strlen(text)));
  return buf;
}

/* Fills the whole heap's next pages with something else than zeros. */
static void dirty_the_heap(size_t size) {
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, size, 0));
  memset(buf.base, 0xa5, buf.cap);
  release(&buf);
}

/*
 * Allocation.
 */

static void constants_are_what_direct_io_asks_for(void** state) {
  (void)state;
  assert_int_equal(UVDIO_PAGE_SIZE, 4096);
  assert_int_equal(UVDIO_ALIGNMENT, 4096);
  assert_int_equal(UVDIO_BLOB_SIZE, 512 * 1024);
}

static void alloc_rounds_up_and_aligns(void** state) {
  (void)state;
  const size_t asked[] = {1,
                          PAGE - 1,
                          PAGE,
                          PAGE + 1,
                          3 * PAGE,
                          UVDIO_MAP_THRESHOLD - 1,
                          UVDIO_MAP_THRESHOLD,
                          UVDIO_MAP_THRESHOLD + 1,
                          5000000};
  for (size_t i = 0; i < COUNT_OF(asked); i++) {
    uvdio_buf_t buf;
    assert_ok(uvdio_buf_alloc(&buf, asked[i], 0));
    assert_aligned(&buf);
    assert_int_equal(buf.cap, (asked[i] + PAGE - 1) / PAGE * PAGE);
    assert_int_equal(buf.len, 0);
    assert_int_equal(uvdio_buf_origin(&buf), UVDIO_ORIGIN_HEAP);
    memset(buf.base, 0xff, buf.cap);
    release(&buf);
  }
}

static void alloc_counts_as_an_allocation(void** state) {
  (void)state;
  uvdio_buf_t a;
  uvdio_buf_t b;
  assert_ok(uvdio_buf_alloc(&a, PAGE, 0));
  assert_ok(uvdio_buf_alloc(&b, LARGE, 0));
  assert_int_equal(uvdio_allocations(), 2);
  release(&a);
  assert_int_equal(uvdio_allocations(), 1);
  release(&b);
  assert_int_equal(uvdio_allocations(), 0);
}

static void zeroed_is_zero_up_to_cap(void** state) {
  (void)state;
  const size_t sizes[] = {1, PAGE, 10 * PAGE + 17, UVDIO_MAP_THRESHOLD + 1};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    uvdio_buf_t buf;
    dirty_the_heap(sizes[i]);
    assert_ok(uvdio_buf_alloc(&buf, sizes[i], UVDIO_BUF_ZEROED));
    assert_aligned(&buf);
    assert_int_equal(buf.len, sizes[i]);
    assert_true(is_zero(buf.base, buf.cap));
    release(&buf);
  }
}

static void page_is_one_zeroed_page(void** state) {
  (void)state;
  uvdio_buf_t buf;
  dirty_the_heap(PAGE);
  assert_ok(uvdio_buf_page(&buf));
  assert_aligned(&buf);
  assert_int_equal(buf.len, PAGE);
  assert_int_equal(buf.cap, PAGE);
  assert_true(is_zero(buf.base, PAGE));
  release(&buf);
}

static void impossible_sizes_are_refused(void** state) {
  (void)state;
  uvdio_buf_t buf = {0};
  const size_t sizes[] = {0, SIZE_MAX, SIZE_MAX - PAGE + 2};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    assert_code(uvdio_buf_alloc(&buf, sizes[i], 0), UVDIO_ESIZE);
    assert_code(uvdio_buf_alloc(&buf, sizes[i], UVDIO_BUF_ZEROED), UVDIO_ESIZE);
    assert_empty(&buf);
  }
}

/* It can be rounded up, but no machine has as much. */
static void more_than_there_is_is_out_of_memory(void** state) {
  (void)state;
  uvdio_buf_t buf = {0};
  assert_code(uvdio_buf_alloc(&buf, (size_t)1 << 62, 0), UV_ENOMEM);
  assert_code(uvdio_buf_alloc(&buf, (size_t)1 << 62, UVDIO_BUF_ZEROED), UV_ENOMEM);
  assert_empty(&buf);
}

static void null_pointers_are_refused(void** state) {
  (void)state;
  uvdio_buf_t buf = {0};
  assert_code(uvdio_buf_alloc(NULL, PAGE, 0), UV_EINVAL);
  assert_code(uvdio_buf_alloc(NULL, PAGE, UVDIO_BUF_ZEROED), UV_EINVAL);
  assert_code(uvdio_buf_page(NULL), UV_EINVAL);
  assert_code(uvdio_buf_blob(NULL), UV_EINVAL);
  assert_code(uvdio_buf_alloc(NULL, UVDIO_BLOB_SIZE, UVDIO_BUF_FULL), UV_EINVAL);
  assert_code(uvdio_buf_alloc(&buf, PAGE, 1u << 2), UV_EINVAL);
  assert_null(buf.base);
  assert_code(uvdio_buf_clone(NULL, &buf), UV_EINVAL);
  assert_code(uvdio_buf_clone(&buf, NULL), UV_EINVAL);
  assert_code(uvdio_buf_release(NULL), UV_EINVAL);
  assert_code(uvdio_buf_set_len(NULL, 0), UV_EINVAL);
  assert_code(uvdio_buf_extend(NULL, "", 1), UV_EINVAL);
  assert_code(uvdio_buf_describe(NULL, NULL, 0), UV_EINVAL);
}

/*
 * Resident memory.
 */

static void large_zeroed_buffer_costs_no_memory_until_written(void** state) {
  (void)state;
  uvdio_buf_t buf;
  if (system_resident_bytes() == 0 || UNDER_ASAN || UNDER_TSAN || under_valgrind()) {
    SKIP("resident memory tells nothing here (no /proc/self/statm, a sanitizer, or valgrind)");
  }
  size_t before = system_resident_bytes();
  assert_ok(uvdio_buf_alloc(&buf, LARGE, UVDIO_BUF_ZEROED));
  size_t allocated = system_resident_bytes();
  assert_int_equal(buf.len, LARGE);
  assert_in_range(allocated, 0, before + LARGE / 16);
  memset(buf.base, 1, LARGE / 2);
  assert_true(system_resident_bytes() >= allocated + LARGE / 4);
  assert_true(is_zero(buf.base + LARGE / 2, PAGE));
  release(&buf);
  assert_true(system_resident_bytes() < before + LARGE / 16);
}

/*
 * Blobs.
 */

static void blob_is_512_kib_of_zeros(void** state) {
  (void)state;
  uvdio_buf_t blob;
  dirty_the_heap(UVDIO_BLOB_SIZE);
  assert_ok(uvdio_buf_blob(&blob));
  assert_aligned(&blob);
  assert_int_equal(blob.len, UVDIO_BLOB_SIZE);
  assert_int_equal(blob.cap, UVDIO_BLOB_SIZE);
  assert_true(is_zero(blob.base, blob.cap));
  release(&blob);
}

static void uninitialised_blob_has_the_same_layout(void** state) {
  (void)state;
  uvdio_buf_t blob;
  assert_ok(uvdio_buf_alloc(&blob, UVDIO_BLOB_SIZE, UVDIO_BUF_FULL));
  assert_aligned(&blob);
  assert_int_equal(blob.len, UVDIO_BLOB_SIZE);
  assert_int_equal(blob.cap, UVDIO_BLOB_SIZE);
  memset(blob.base, 1, blob.cap);
  release(&blob);
}

static void blob_can_be_cloned_and_told(void** state) {
  (void)state;
  uvdio_buf_t blob;
  uvdio_buf_t copy;
  char text[128];
  assert_ok(uvdio_buf_alloc(&blob, UVDIO_BLOB_SIZE, UVDIO_BUF_FULL));
  fill_pattern(blob.base, blob.len, 3);
  assert_ok(uvdio_buf_clone(&copy, &blob));
  assert_int_equal(copy.len, UVDIO_BLOB_SIZE);
  assert_int_equal(copy.cap, UVDIO_BLOB_SIZE);
  assert_true(is_pattern(copy.base, copy.len, 3));
  assert_true(uvdio_buf_describe(&copy, text, sizeof(text)) > 0);
  assert_non_null(strstr(text, "524288 of 524288 bytes"));
  release(&blob);
  assert_true(is_pattern(copy.base, copy.len, 3));
  release(&copy);
}

/*
 * Length.
 */

static void length_is_changed_within_cap_only(void** state) {
  (void)state;
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, PAGE, 0));
  assert_true(uvdio_buf_is_empty(&buf));
  assert_ok(uvdio_buf_set_len(&buf, PAGE));
  assert_false(uvdio_buf_is_empty(&buf));
  assert_code(uvdio_buf_set_len(&buf, PAGE + 1), UVDIO_EOFFSET);
  assert_int_equal(buf.len, PAGE);
  release(&buf);
}

static void truncate_shortens_and_never_lengthens(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_truncate(&buf, 10);
  assert_int_equal(buf.len, 5);
  uvdio_buf_truncate(&buf, 4);
  assert_int_equal(buf.len, 4);
  assert_memory_equal(buf.base, "hello", 5);
  release(&buf);
}

static void clear_keeps_the_bytes(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_clear(&buf);
  assert_true(uvdio_buf_is_empty(&buf));
  assert_int_equal(buf.cap, PAGE);
  assert_memory_equal(buf.base, "hello", 5);
  release(&buf);
}

/*
 * Growing.
 */

static void extend_appends_where_there_is_room(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello ");
  char* base = buf.base;
  assert_ok(uvdio_buf_extend(&buf, "world", 5));
  assert_ptr_equal(buf.base, base);
  assert_int_equal(buf.len, 11);
  assert_memory_equal(buf.base, "hello world", 11);
  release(&buf);
}

static void extend_grows_and_keeps_content_and_alignment(void** state) {
  (void)state;
  static char step[1000];
  static char all[600 * sizeof(step)];
  uvdio_buf_t buf = {0};
  fill_pattern(all, sizeof(all), 9);
  for (size_t i = 0; i < sizeof(all); i += sizeof(step)) {
    memcpy(step, all + i, sizeof(step));
    assert_ok(uvdio_buf_extend(&buf, step, sizeof(step)));
    assert_aligned(&buf);
    assert_int_equal(uvdio_buf_origin(&buf), UVDIO_ORIGIN_HEAP);
  }
  assert_int_equal(buf.len, sizeof(all));
  assert_true(is_pattern(buf.base, buf.len, 9));
  assert_int_equal(uvdio_allocations(), 1);
  release(&buf);
}

static void extend_doubles_or_takes_what_is_needed(void** state) {
  (void)state;
  static char bytes[8 * UVDIO_PAGE_SIZE];
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, 2 * UVDIO_PAGE_SIZE, 0));
  assert_ok(uvdio_buf_extend(&buf, bytes, 2 * UVDIO_PAGE_SIZE));
  assert_int_equal(buf.cap, 2 * UVDIO_PAGE_SIZE);
  assert_ok(uvdio_buf_extend(&buf, bytes, 1));
  assert_int_equal(buf.cap, 4 * UVDIO_PAGE_SIZE);
  assert_ok(uvdio_buf_extend(&buf, bytes, 7 * UVDIO_PAGE_SIZE));
  assert_in_range(buf.cap, 9 * UVDIO_PAGE_SIZE + 1, 10 * UVDIO_PAGE_SIZE);
  release(&buf);
}

static void extend_takes_its_own_bytes(void** state) {
  (void)state;
  uvdio_buf_t buf;
  assert_ok(uvdio_buf_alloc(&buf, PAGE, 0));
  fill_pattern(buf.base, PAGE, 5);
  assert_ok(uvdio_buf_set_len(&buf, PAGE));
  assert_ok(uvdio_buf_extend(&buf, buf.base + 100, PAGE - 100));
  assert_int_equal(buf.len, 2 * PAGE - 100);
  assert_true(is_pattern(buf.base, PAGE, 5));
  assert_memory_equal(buf.base + PAGE, buf.base + 100, PAGE - 100);
  release(&buf);
}

static void extend_by_nothing_changes_nothing(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t before = buf;
  assert_ok(uvdio_buf_extend(&buf, "x", 0));
  assert_same(&buf, &before);
  release(&buf);
}

static void extend_refuses_and_leaves_the_buffer(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t before = buf;
  assert_code(uvdio_buf_extend(&buf, NULL, 1), UV_EINVAL);
  assert_code(uvdio_buf_extend(&buf, "x", SIZE_MAX), UVDIO_EOFFSET);
  assert_code(uvdio_buf_extend(&buf, "x", SIZE_MAX - 4), UVDIO_EOFFSET);
  assert_same(&buf, &before);
  assert_memory_equal(buf.base, "hello", 5);
  release(&buf);
}

static void views_never_grow(void** state) {
  (void)state;
  char bytes[8] = "abc";
  uvdio_buf_t view = uvdio_buf_view_len(uvdio_buf_wrap(bytes, sizeof(bytes)), 3);
  assert_ok(uvdio_buf_extend(&view, "defgh", 5));
  assert_memory_equal(bytes, "abcdefgh", 8);
  assert_code(uvdio_buf_extend(&view, "i", 1), UV_ENOBUFS);
  assert_int_equal(view.len, 8);
  assert_ptr_equal(view.base, bytes);
}

static void frames_never_grow(void** state) {
  (void)state;
  uvdio_arena_t* arena;
  uvdio_arena_options_t options = {PAGE, 2, 0};
  uvdio_buf_t frame;
  assert_ok(uvdio_arena_create(&arena, &options));
  assert_ok(uvdio_arena_acquire(arena, &frame));
  assert_ok(uvdio_buf_set_len(&frame, PAGE - 1));
  assert_ok(uvdio_buf_extend(&frame, "x", 1));
  assert_code(uvdio_buf_extend(&frame, "y", 1), UV_ENOBUFS);
  assert_int_equal(frame.len, PAGE);
  release(&frame);
  assert_ok(uvdio_arena_destroy(arena, NULL));
}

/*
 * Copies.
 */

static void assert_clone_of(const uvdio_buf_t* source) {
  uvdio_buf_t copy;
  assert_ok(uvdio_buf_clone(&copy, source));
  assert_aligned(&copy);
  assert_int_equal(uvdio_buf_origin(&copy), UVDIO_ORIGIN_HEAP);
  assert_ptr_not_equal(copy.base, source->base);
  assert_int_equal(copy.len, source->len);
  assert_true(copy.cap >= source->cap);
  assert_memory_equal(copy.base, source->base, source->len);
  release(&copy);
}

static void clone_copies_every_origin(void** state) {
  (void)state;
  uvdio_arena_t* arena;
  uvdio_arena_options_t options = {2 * PAGE, 1, 0};
  uvdio_buf_t frame;
  uvdio_buf_t heap = page_with_text("hello");
  uvdio_buf_t view = uvdio_buf_view_bytes(heap.base + 1, 3);
  assert_ok(uvdio_arena_create(&arena, &options));
  assert_ok(uvdio_arena_acquire(arena, &frame));
  assert_ok(uvdio_buf_extend(&frame, "frame", 5));
  assert_clone_of(&heap);
  assert_clone_of(&view);
  assert_clone_of(&frame);
  release(&frame);
  release(&heap);
  assert_ok(uvdio_arena_destroy(arena, NULL));
}

static void clone_refuses_what_has_no_bytes(void** state) {
  (void)state;
  char byte = 'x';
  uvdio_buf_t empty = {0};
  uvdio_buf_t nothing = uvdio_buf_wrap(&byte, 0);
  uvdio_buf_t copy = {0};
  assert_code(uvdio_buf_clone(&copy, &empty), UV_EINVAL);
  assert_code(uvdio_buf_clone(&copy, &nothing), UVDIO_ESIZE);
  assert_empty(&copy);
}

/* A len that was set by hand, past the memory there is, reaches no memory. */
static void len_past_cap_is_refused(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t other = {0};
  buf.len = 1024 * PAGE;
  assert_code(uvdio_buf_clone(&other, &buf), UVDIO_EOFFSET);
  assert_code(uvdio_buf_slice(&buf, PAGE, PAGE, &other), UVDIO_EOFFSET);
  assert_code(uvdio_buf_extend(&buf, "x", 1), UVDIO_EOFFSET);
  assert_empty(&other);
  assert_int_equal(buf.len, 1024 * PAGE);
  release(&buf);
}

static void view_on_null_takes_no_bytes(void** state) {
  (void)state;
  uvdio_buf_t buf = uvdio_buf_wrap(NULL, 100);
  assert_code(uvdio_buf_extend(&buf, "x", 1), UV_EINVAL);
  assert_int_equal(buf.len, 0);
}

/*
 * Release.
 */

static void releasing_an_empty_handle_is_nothing(void** state) {
  (void)state;
  uvdio_buf_t buf = {0};
  assert_ok(uvdio_buf_release(&buf));
  buf = page_with_text("x");
  release(&buf);
  release(&buf);
}

static void releasing_a_view_leaves_the_bytes(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t view = uvdio_buf_view(&buf);
  release(&view);
  assert_memory_equal(buf.base, "hello", 5);
  assert_int_equal(uvdio_allocations(), 1);
  release(&buf);
}

/*
 * Raw parts.
 */

static void raw_parts_go_out_and_come_back(void** state) {
  (void)state;
  char* base;
  size_t len;
  size_t cap;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t before = buf;
  assert_ok(uvdio_buf_detach(&buf, &base, &len, &cap));
  assert_empty(&buf);
  assert_ptr_equal(base, before.base);
  assert_int_equal(len, 5);
  assert_int_equal(cap, PAGE);
  assert_memory_equal(base, "hello", 5);
  assert_ok(uvdio_buf_attach(&buf, base, len, cap));
  assert_same(&buf, &before);
  assert_ok(uvdio_buf_extend(&buf, base, 5));
  release(&buf);
}

static void mapped_raw_parts_come_back_as_well(void** state) {
  (void)state;
  char* base;
  size_t len;
  size_t cap;
  uvdio_buf_t blob;
  assert_ok(uvdio_buf_blob(&blob));
  assert_ok(uvdio_buf_detach(&blob, &base, &len, &cap));
  assert_ok(uvdio_buf_attach(&blob, base, len, cap));
  release(&blob);
}

static void only_heap_buffers_come_apart(void** state) {
  (void)state;
  char* base = NULL;
  size_t len = 0;
  size_t cap = 0;
  uvdio_arena_t* arena;
  uvdio_arena_options_t options = {PAGE, 1, 0};
  uvdio_buf_t frame;
  uvdio_buf_t empty = {0};
  assert_ok(uvdio_arena_create(&arena, &options));
  assert_ok(uvdio_arena_acquire(arena, &frame));
  uvdio_buf_t before = frame;
  uvdio_buf_t view = uvdio_buf_view(&frame);
  assert_code(uvdio_buf_detach(&frame, &base, &len, &cap), UV_EINVAL);
  assert_code(uvdio_buf_detach(&view, &base, &len, &cap), UV_EINVAL);
  assert_code(uvdio_buf_detach(&empty, &base, &len, &cap), UV_EINVAL);
  assert_same(&frame, &before);
  assert_null(base);
  release(&frame);
  assert_ok(uvdio_arena_destroy(arena, NULL));
}

static void into_raw_parts_refuses_null(void** state) {
  (void)state;
  char* base;
  size_t len;
  size_t cap;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t before = buf;
  assert_code(uvdio_buf_detach(NULL, &base, &len, &cap), UV_EINVAL);
  assert_code(uvdio_buf_detach(&buf, NULL, &len, &cap), UV_EINVAL);
  assert_code(uvdio_buf_detach(&buf, &base, NULL, &cap), UV_EINVAL);
  assert_code(uvdio_buf_detach(&buf, &base, &len, NULL), UV_EINVAL);
  assert_same(&buf, &before);
  release(&buf);
}

static void bad_raw_parts_are_refused(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t other = {0};
  assert_code(uvdio_buf_attach(NULL, buf.base, 0, PAGE), UV_EINVAL);
  assert_code(uvdio_buf_attach(&other, NULL, 0, PAGE), UV_EINVAL);
  assert_code(uvdio_buf_attach(&other, buf.base + 512, 0, PAGE), UVDIO_EALIGN);
  assert_code(uvdio_buf_attach(&other, buf.base, 0, PAGE - 1), UVDIO_EALIGN);
  assert_code(uvdio_buf_attach(&other, buf.base, 0, 0), UVDIO_ESIZE);
  assert_code(uvdio_buf_attach(&other, buf.base, PAGE + 1, PAGE), UVDIO_EOFFSET);
  assert_empty(&other);
  release(&buf);
}

/*
 * Views.
 */

static void views_say_what_is_initialised(void** state) {
  (void)state;
  char bytes[16] = {0};
  uvdio_buf_t wrapped = uvdio_buf_wrap(bytes, sizeof(bytes));
  uvdio_buf_t sliced = uvdio_buf_view_bytes(bytes, sizeof(bytes));
  uvdio_buf_t half = uvdio_buf_view_len(wrapped, 8);
  assert_int_equal(wrapped.len, 0);
  assert_int_equal(wrapped.cap, 16);
  assert_int_equal(sliced.len, 16);
  assert_int_equal(sliced.cap, 16);
  assert_int_equal(half.len, 8);
  assert_int_equal(half.cap, 16);
  assert_int_equal(uvdio_buf_origin(&wrapped), UVDIO_ORIGIN_VIEW);
  assert_int_equal(uvdio_buf_origin(&sliced), UVDIO_ORIGIN_VIEW);
}

static void view_of_a_buffer_is_its_bytes(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t view = uvdio_buf_view(&buf);
  assert_ptr_equal(view.base, buf.base);
  assert_int_equal(view.len, 5);
  assert_int_equal(view.cap, PAGE);
  assert_int_equal(uvdio_buf_origin(&view), UVDIO_ORIGIN_VIEW);
  assert_int_equal(uvdio_buf_origin(&buf), UVDIO_ORIGIN_HEAP);
  release(&buf);
}

static void reading_slice_stays_within_len(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello world");
  uvdio_buf_t view = {0};
  assert_ok(uvdio_buf_slice(&buf, 6, 5, &view));
  assert_ptr_equal(view.base, buf.base + 6);
  assert_int_equal(view.len, 5);
  assert_int_equal(view.cap, 5);
  assert_ok(uvdio_buf_slice(&buf, 11, 0, &view));
  assert_ok(uvdio_buf_slice(&buf, 0, 11, &view));
  assert_code(uvdio_buf_slice(&buf, 0, 12, &view), UVDIO_EOFFSET);
  assert_code(uvdio_buf_slice(&buf, 12, 0, &view), UVDIO_EOFFSET);
  assert_code(uvdio_buf_slice(&buf, 1, SIZE_MAX, &view), UVDIO_EOFFSET);
  assert_code(uvdio_buf_slice(&buf, SIZE_MAX, 2, &view), UVDIO_EOFFSET);
  release(&buf);
}

static void writing_slice_stays_within_cap(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t view = {0};
  assert_ok(uvdio_buf_slice_space(&buf, 2, 100, &view));
  assert_ptr_equal(view.base, buf.base + 2);
  assert_int_equal(view.cap, 100);
  assert_int_equal(view.len, 3);
  assert_ok(uvdio_buf_slice_space(&buf, 1, 2, &view));
  assert_int_equal(view.len, 2);
  assert_ok(uvdio_buf_slice_space(&buf, 512, PAGE - 512, &view));
  assert_int_equal(view.len, 0);
  assert_code(uvdio_buf_slice_space(&buf, 1, PAGE, &view), UVDIO_EOFFSET);
  assert_code(uvdio_buf_slice_space(&buf, PAGE + 1, 0, &view), UVDIO_EOFFSET);
  assert_code(uvdio_buf_slice_space(&buf, SIZE_MAX, SIZE_MAX, &view), UVDIO_EOFFSET);
  release(&buf);
}

static void slices_refuse_null_and_empty(void** state) {
  (void)state;
  uvdio_buf_t empty = {0};
  uvdio_buf_t view = {0};
  uvdio_buf_t buf = page_with_text("x");
  assert_code(uvdio_buf_slice(NULL, 0, 0, &view), UV_EINVAL);
  assert_code(uvdio_buf_slice(&buf, 0, 0, NULL), UV_EINVAL);
  assert_code(uvdio_buf_slice(&empty, 0, 0, &view), UV_EINVAL);
  assert_code(uvdio_buf_slice_space(NULL, 0, 0, &view), UV_EINVAL);
  assert_code(uvdio_buf_slice_space(&buf, 0, 0, NULL), UV_EINVAL);
  assert_code(uvdio_buf_slice_space(&empty, 0, 0, &view), UV_EINVAL);
  release(&buf);
}

static void unchecked_slice_is_pointer_arithmetic(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uvdio_buf_t view = uvdio_buf_slice_nocheck(&buf, 1, 4);
  assert_ptr_equal(view.base, buf.base + 1);
  assert_int_equal(view.len, 4);
  assert_int_equal(view.cap, 4);
  release(&buf);
}

static void slice_of_a_frame_does_not_own_it(void** state) {
  (void)state;
  uvdio_arena_t* arena;
  uvdio_arena_options_t options = {PAGE, 1, 0};
  uvdio_buf_t frame;
  uvdio_buf_t view;
  assert_ok(uvdio_arena_create(&arena, &options));
  assert_ok(uvdio_arena_acquire(arena, &frame));
  assert_ok(uvdio_buf_slice_space(&frame, 0, PAGE, &view));
  assert_int_equal(uvdio_buf_origin(&view), UVDIO_ORIGIN_VIEW);
  release(&view);
  assert_code(uvdio_arena_destroy(arena, NULL), UV_EBUSY);
  release(&frame);
  assert_ok(uvdio_arena_destroy(arena, NULL));
}

/*
 * Chunks.
 */

static void chunks_walk_the_cap_and_end_with_the_rest(void** state) {
  (void)state;
  uvdio_buf_t buf;
  uvdio_chunks_t chunks;
  uvdio_buf_t view;
  assert_ok(uvdio_buf_alloc(&buf, 5 * PAGE, 0));
  assert_ok(uvdio_buf_set_len(&buf, 2 * PAGE + 10));
  assert_ok(uvdio_buf_chunks(&buf, 2 * PAGE, &chunks));
  const size_t caps[] = {2 * PAGE, 2 * PAGE, PAGE};
  const size_t lens[] = {2 * PAGE, 10, 0};
  for (size_t i = 0; i < COUNT_OF(caps); i++) {
    assert_int_equal(uvdio_chunks_next(&chunks, &view), 1);
    assert_ptr_equal(view.base, buf.base + i * 2 * PAGE);
    assert_int_equal(view.cap, caps[i]);
    assert_int_equal(view.len, lens[i]);
    assert_int_equal(uvdio_buf_origin(&view), UVDIO_ORIGIN_VIEW);
  }
  assert_int_equal(uvdio_chunks_next(&chunks, &view), 0);
  assert_int_equal(uvdio_chunks_next(&chunks, &view), 0);
  release(&buf);
}

static void chunk_larger_than_the_buffer_gives_it_whole(void** state) {
  (void)state;
  uvdio_buf_t buf;
  uvdio_chunks_t chunks;
  uvdio_buf_t view;
  assert_ok(uvdio_buf_page(&buf));
  assert_ok(uvdio_buf_chunks(&buf, UVDIO_BLOB_SIZE, &chunks));
  assert_int_equal(uvdio_chunks_next(&chunks, &view), 1);
  assert_int_equal(view.len, PAGE);
  assert_int_equal(view.cap, PAGE);
  assert_int_equal(uvdio_chunks_next(&chunks, &view), 0);
  release(&buf);
}

static void last_chunk_of_an_odd_view_is_odd(void** state) {
  (void)state;
  static char bytes[PAGE + 100];
  uvdio_buf_t all = uvdio_buf_view_bytes(bytes, sizeof(bytes));
  uvdio_chunks_t chunks;
  uvdio_buf_t view;
  assert_ok(uvdio_buf_chunks(&all, PAGE, &chunks));
  assert_int_equal(uvdio_chunks_next(&chunks, &view), 1);
  assert_int_equal(uvdio_chunks_next(&chunks, &view), 1);
  assert_int_equal(view.len, 100);
  assert_int_equal(view.cap, 100);
  assert_int_equal(uvdio_chunks_next(&chunks, &view), 0);
}

static void bad_chunks_are_refused(void** state) {
  (void)state;
  uvdio_buf_t empty = {0};
  uvdio_chunks_t chunks;
  uvdio_buf_t buf = page_with_text("x");
  assert_code(uvdio_buf_chunks(NULL, PAGE, &chunks), UV_EINVAL);
  assert_code(uvdio_buf_chunks(&buf, PAGE, NULL), UV_EINVAL);
  assert_code(uvdio_buf_chunks(&empty, PAGE, &chunks), UV_EINVAL);
  assert_code(uvdio_buf_chunks(&buf, 0, &chunks), UV_EINVAL);
  assert_code(uvdio_buf_chunks(&buf, 512, &chunks), UVDIO_EALIGN);
  assert_code(uvdio_buf_chunks(&buf, PAGE + 1, &chunks), UVDIO_EALIGN);
  release(&buf);
}

/*
 * Pairs of other libraries, and words.
 */

static void pairs_hold_data_or_space(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  uv_buf_t data = uvdio_buf_data_uv(&buf);
  uv_buf_t space = uvdio_buf_space_uv(&buf);
  assert_ptr_equal(data.base, buf.base);
  assert_int_equal(data.len, 5);
  assert_ptr_equal(space.base, buf.base);
  assert_int_equal(space.len, PAGE);
  release(&buf);
}

static void pairs_become_views(void** state) {
  (void)state;
  char bytes[10];
  uvdio_buf_t buf = uvdio_buf_from_uv(uv_buf_init(bytes, sizeof(bytes)));
  assert_ptr_equal(buf.base, bytes);
  assert_int_equal(buf.len, 10);
  assert_int_equal(buf.cap, 10);
  assert_int_equal(uvdio_buf_origin(&buf), UVDIO_ORIGIN_VIEW);
}

#ifndef _WIN32 /* which has no struct iovec */
static void iovecs_hold_data_or_space(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("hello");
  struct iovec data_iovec = uvdio_buf_data_iovec(&buf);
  struct iovec space_iovec = uvdio_buf_space_iovec(&buf);
  assert_ptr_equal(data_iovec.iov_base, buf.base);
  assert_int_equal(data_iovec.iov_len, 5);
  assert_ptr_equal(space_iovec.iov_base, buf.base);
  assert_int_equal(space_iovec.iov_len, PAGE);
  release(&buf);
}

static void iovecs_become_views(void** state) {
  (void)state;
  char bytes[10];
  struct iovec pair = {bytes, sizeof(bytes)};
  uvdio_buf_t a = uvdio_buf_from_uv(uv_buf_init(bytes, sizeof(bytes)));
  uvdio_buf_t b = uvdio_buf_from_iovec(pair);
  assert_same(&a, &b);
}
#endif

static void description_names_origin_address_and_size(void** state) {
  (void)state;
  char text[128];
  char expected[128];
  uvdio_buf_t buf = page_with_text("hello");
  int length = uvdio_buf_describe(&buf, text, sizeof(text));
  snprintf(expected, sizeof(expected), "heap buffer 0x%" PRIxPTR ", 5 of 4096 bytes",
           (uintptr_t)buf.base);
  assert_string_equal(text, expected);
  assert_int_equal(length, strlen(expected));
  uvdio_buf_t view = uvdio_buf_view(&buf);
  assert_true(uvdio_buf_describe(&view, text, sizeof(text)) > 0);
  assert_non_null(strstr(text, "view"));
  release(&buf);
  assert_true(uvdio_buf_describe(&buf, text, sizeof(text)) > 0);
  assert_non_null(strstr(text, "empty"));
}

static void walk_of_nothing_ends_at_once(void** state) {
  (void)state;
  uvdio_buf_t view;
  uvdio_chunks_t chunks;
  uvdio_buf_t buf = page_with_text("x");
  assert_ok(uvdio_buf_chunks(&buf, PAGE, &chunks));
  assert_int_equal(uvdio_chunks_next(NULL, &view), 0);
  assert_int_equal(uvdio_chunks_next(&chunks, NULL), 0);
  assert_int_equal(uvdio_chunks_next(&chunks, &view), 1);
  release(&buf);
}

/* Nobody has a buffer of that size, but whoever rebuilds one from raw parts can say so. */
static void extending_past_the_largest_size_is_refused(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("x");
  uvdio_buf_t whole = buf;
  buf.cap = SIZE_MAX - PAGE + 1;
  buf.len = buf.cap;
  assert_code(uvdio_buf_extend(&buf, "y", 1), UVDIO_EOFFSET);
  assert_code(uvdio_buf_extend(&buf, "y", SIZE_MAX), UVDIO_EOFFSET);
  assert_ptr_equal(buf.base, whole.base);
  assert_int_equal(buf.len, buf.cap);
  release(&whole);
}

static void nothing_needs_no_data(void** state) {
  (void)state;
  uvdio_buf_t buf = page_with_text("x");
  size_t len = buf.len;
  assert_ok(uvdio_buf_extend(&buf, NULL, 0));
  assert_int_equal(buf.len, len);
  release(&buf);
}

static void description_is_cut_as_snprintf_does(void** state) {
  (void)state;
  char text[8];
  uvdio_buf_t buf = page_with_text("hello");
  int length = uvdio_buf_describe(&buf, NULL, 0);
  memset(text, 'x', sizeof(text));
  assert_true(length > 7);
  assert_int_equal(uvdio_buf_describe(&buf, text, 5), length);
  assert_memory_equal(text, "heap\0xxx", 8);
  release(&buf);
}

/* Buffers may move between threads. */
static void release_elsewhere(void* argument) {
  uvdio_buf_release(argument);
}

static void buffer_is_released_on_another_thread(void** state) {
  (void)state;
  uv_thread_t thread;
  uvdio_buf_t buf = page_with_text("hello");
  assert_int_equal(uv_thread_create(&thread, release_elsewhere, &buf), 0);
  uv_thread_join(&thread);
  assert_empty(&buf);
}

static void description_needs_a_place(void** state) {
  uvdio_buf_t buf = {0};
  char text[4];
  (void)state;
  assert_code(uvdio_buf_describe(&buf, NULL, 1), UV_EINVAL);
  assert_code(uvdio_buf_describe(NULL, text, sizeof(text)), UV_EINVAL);
  assert_true(uvdio_buf_describe(&buf, NULL, 0) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(constants_are_what_direct_io_asks_for),
      TEST(alloc_rounds_up_and_aligns),
      TEST(alloc_counts_as_an_allocation),
      TEST(zeroed_is_zero_up_to_cap),
      TEST(page_is_one_zeroed_page),
      TEST(impossible_sizes_are_refused),
      TEST(more_than_there_is_is_out_of_memory),
      TEST(null_pointers_are_refused),
      TEST(large_zeroed_buffer_costs_no_memory_until_written),
      TEST(blob_is_512_kib_of_zeros),
      TEST(uninitialised_blob_has_the_same_layout),
      TEST(blob_can_be_cloned_and_told),
      TEST(length_is_changed_within_cap_only),
      TEST(truncate_shortens_and_never_lengthens),
      TEST(clear_keeps_the_bytes),
      TEST(extend_appends_where_there_is_room),
      TEST(extend_grows_and_keeps_content_and_alignment),
      TEST(extend_doubles_or_takes_what_is_needed),
      TEST(extend_takes_its_own_bytes),
      TEST(extend_by_nothing_changes_nothing),
      TEST(extend_refuses_and_leaves_the_buffer),
      TEST(views_never_grow),
      TEST(frames_never_grow),
      TEST(clone_copies_every_origin),
      TEST(clone_refuses_what_has_no_bytes),
      TEST(len_past_cap_is_refused),
      TEST(view_on_null_takes_no_bytes),
      TEST(releasing_an_empty_handle_is_nothing),
      TEST(releasing_a_view_leaves_the_bytes),
      TEST(raw_parts_go_out_and_come_back),
      TEST(mapped_raw_parts_come_back_as_well),
      TEST(only_heap_buffers_come_apart),
      TEST(into_raw_parts_refuses_null),
      TEST(bad_raw_parts_are_refused),
      TEST(views_say_what_is_initialised),
      TEST(view_of_a_buffer_is_its_bytes),
      TEST(reading_slice_stays_within_len),
      TEST(writing_slice_stays_within_cap),
      TEST(slices_refuse_null_and_empty),
      TEST(unchecked_slice_is_pointer_arithmetic),
      TEST(slice_of_a_frame_does_not_own_it),
      TEST(chunks_walk_the_cap_and_end_with_the_rest),
      TEST(chunk_larger_than_the_buffer_gives_it_whole),
      TEST(last_chunk_of_an_odd_view_is_odd),
      TEST(bad_chunks_are_refused),
      TEST(pairs_hold_data_or_space),
      TEST(pairs_become_views),
#ifndef _WIN32
      TEST(iovecs_hold_data_or_space),
      TEST(iovecs_become_views),
#endif
      TEST(description_names_origin_address_and_size),
      TEST(walk_of_nothing_ends_at_once),
      TEST(extending_past_the_largest_size_is_refused),
      TEST(nothing_needs_no_data),
      TEST(description_is_cut_as_snprintf_does),
      TEST(buffer_is_released_on_another_thread),
      TEST(description_needs_a_place),
  };
  return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
