/* SPDX-License-Identifier: MIT */
/* Arenas: constant-time frames from any thread, and every misuse refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "check.h"
#include "memory.h"
#include "steps.h"
#include "system.h"

#define PAGE UVDIO_PAGE_SIZE

static int leaves_nothing_behind(void** state) {
  (void)state;
  return uvdio_allocations() != 0;
}

#define TEST(function) cmocka_unit_test_teardown(function, leaves_nothing_behind)

static uvdio_arena_t* arena_of(size_t frame_size, size_t frame_count, unsigned flags) {
  uvdio_arena_t* arena = NULL;
  uvdio_arena_options_t options = {frame_size, frame_count, flags};
  assert_ok(uvdio_arena_create(&arena, &options));
  assert_non_null(arena);
  return arena;
}

static uvdio_buf_t frame_of(uvdio_arena_t* arena) {
  uvdio_buf_t frame;
  assert_ok(uvdio_arena_acquire(arena, &frame));
  return frame;
}

static void release(uvdio_buf_t* frame) {
  assert_ok(uvdio_buf_release(frame));
  assert_null(frame->base);
}

static void destroy(uvdio_arena_t* arena) {
  size_t out = 99;
  assert_ok(uvdio_arena_destroy(arena, &out));
  assert_int_equal(out, 0);
}

static size_t frames_out(const uvdio_arena_t* arena) {
  uvdio_arena_info_t info;
  assert_ok(uvdio_arena_info(arena, &info));
  return info.frames_out;
}

/*
 * Creation.
 */

static void assert_not_created(size_t frame_size, size_t frame_count, unsigned flags, int code) {
  uvdio_arena_t* arena = NULL;
  uvdio_arena_options_t options = {frame_size, frame_count, flags};
  assert_code(uvdio_arena_create(&arena, &options), code);
  assert_null(arena);
  assert_int_equal(uvdio_allocations(), 0);
}

static void bad_options_are_refused(void** state) {
  (void)state;
  assert_not_created(512, 1, 0, UVDIO_EALIGN);
  assert_not_created(PAGE + 512, 1, 0, UVDIO_EALIGN);
  assert_not_created(PAGE, 0, 0, UVDIO_ESIZE);
  assert_not_created(PAGE, (size_t)UINT32_MAX - 1, 0, UVDIO_ESIZE);
  assert_not_created(PAGE, SIZE_MAX, 0, UVDIO_ESIZE);
  assert_not_created((size_t)1 << 62, 4, 0, UVDIO_EOFFSET);
  assert_not_created((size_t)1 << 62, 8, UVDIO_ARENA_GUARD_PAGES, UVDIO_EOFFSET);
  assert_not_created(PAGE, 1, 1u << 20, UV_EINVAL);
}

static void null_pointers_are_refused(void** state) {
  (void)state;
  uvdio_arena_t* arena = arena_of(PAGE, 1, 0);
  uvdio_arena_options_t options = {PAGE, 1, 0};
  uvdio_chunks_t chunks;
  uvdio_arena_info_t info;
  uvdio_buf_t frame;
  assert_code(uvdio_arena_create(NULL, &options), UV_EINVAL);
  assert_code(uvdio_arena_create(&arena, NULL), UV_EINVAL);
  assert_code(uvdio_arena_destroy(NULL, NULL), UV_EINVAL);
  assert_code(uvdio_arena_acquire(NULL, &frame), UV_EINVAL);
  assert_code(uvdio_arena_acquire(arena, NULL), UV_EINVAL);
  assert_code(uvdio_arena_frames(NULL, &chunks), UV_EINVAL);
  assert_code(uvdio_arena_frames(arena, NULL), UV_EINVAL);
  assert_code(uvdio_arena_info(NULL, &info), UV_EINVAL);
  assert_code(uvdio_arena_info(arena, NULL), UV_EINVAL);
  destroy(arena);
}

static void zero_frame_size_means_a_page(void** state) {
  (void)state;
  uvdio_arena_info_t info;
  uvdio_arena_t* arena = arena_of(0, 3, 0);
  uvdio_buf_t frame = frame_of(arena);
  assert_int_equal(frame.cap, PAGE);
  assert_ok(uvdio_arena_info(arena, &info));
  assert_int_equal(info.frame_size, PAGE);
  assert_int_equal(info.frame_count, 3);
  assert_int_equal(info.frames_out, 1);
  assert_int_equal(info.flags, 0);
  release(&frame);
  destroy(arena);
}

static void more_memory_than_there_is_is_refused(void** state) {
  (void)state;
  assert_not_created((size_t)1 << 40, 1 << 20, 0, UV_ENOMEM);
}

/*
 * Frames.
 */

static void assert_frames_of_size(size_t size) {
  enum { COUNT = 5 };
  uvdio_buf_t frames[COUNT];
  uvdio_arena_t* arena = arena_of(size, COUNT, 0);
  for (unsigned i = 0; i < COUNT; i++) {
    frames[i] = frame_of(arena);
    assert_int_equal((uintptr_t)frames[i].base % UVDIO_ALIGNMENT, 0);
    assert_int_equal(frames[i].cap, size);
    assert_int_equal(frames[i].len, 0);
    assert_int_equal(uvdio_buf_origin(&frames[i]), UVDIO_ORIGIN_ARENA);
    assert_true(is_zero(frames[i].base, size));
    fill_pattern(frames[i].base, size, i);
  }
  for (unsigned i = 0; i < COUNT; i++) {
    assert_true(is_pattern(frames[i].base, size, i));
    release(&frames[i]);
  }
  destroy(arena);
}

static void frames_of_every_size_are_apart_and_fresh(void** state) {
  (void)state;
  assert_frames_of_size(PAGE);
  assert_frames_of_size(3 * PAGE);
  assert_frames_of_size(UVDIO_BLOB_SIZE);
  assert_frames_of_size(UVDIO_BLOB_SIZE + PAGE);
}

static void exhaustion_is_an_error_and_not_a_wait(void** state) {
  (void)state;
  uvdio_buf_t none = {0};
  uvdio_arena_t* arena = arena_of(PAGE, 2, 0);
  uvdio_buf_t a = frame_of(arena);
  uvdio_buf_t b = frame_of(arena);
  size_t before = uvdio_allocations();
  for (int i = 0; i < 1000; i++) {
    assert_code(uvdio_arena_acquire(arena, &none), UV_ENOBUFS);
  }
  assert_null(none.base);
  assert_int_equal(uvdio_allocations(), before);
  release(&a);
  a = frame_of(arena);
  assert_code(uvdio_arena_acquire(arena, &none), UV_ENOBUFS);
  release(&a);
  release(&b);
  destroy(arena);
}

static void acquiring_never_allocates(void** state) {
  (void)state;
  uvdio_arena_t* arena = arena_of(PAGE, 100, 0);
  size_t before = uvdio_allocations();
  for (int i = 0; i < 1000; i++) {
    uvdio_buf_t frame = frame_of(arena);
    assert_int_equal(uvdio_allocations(), before);
    release(&frame);
  }
  destroy(arena);
}

static void used_frame_keeps_its_bytes_unless_zeroed(void** state) {
  (void)state;
  uvdio_arena_t* plain = arena_of(PAGE, 1, 0);
  uvdio_arena_t* zeroed = arena_of(PAGE, 1, UVDIO_ARENA_ZEROED);
  uvdio_buf_t a = frame_of(plain);
  uvdio_buf_t b = frame_of(zeroed);
  assert_int_equal(b.len, PAGE);
  assert_true(is_zero(b.base, PAGE));
  fill_pattern(a.base, PAGE, 1);
  fill_pattern(b.base, PAGE, 1);
  release(&a);
  release(&b);
  a = frame_of(plain);
  b = frame_of(zeroed);
  assert_true(is_pattern(a.base, PAGE, 1));
  assert_int_equal(a.len, 0);
  assert_true(is_zero(b.base, PAGE));
  assert_int_equal(b.len, PAGE);
  release(&a);
  release(&b);
  destroy(plain);
  destroy(zeroed);
}

/*
 * Misuse.
 */

static void second_release_through_a_copy_is_refused(void** state) {
  (void)state;
  uvdio_arena_t* arena = arena_of(PAGE, 2, 0);
  uvdio_buf_t frame = frame_of(arena);
  uvdio_buf_t copy = frame;
  uvdio_buf_t before = frame;
  release(&frame);
  assert_code(uvdio_buf_release(&copy), UVDIO_EDOUBLEFREE);
  assert_ptr_equal(copy.base, before.base);
  assert_int_equal(copy.cap, before.cap);
  assert_int_equal(frames_out(arena), 0);
  assert_code(uvdio_buf_release(&copy), UVDIO_EDOUBLEFREE);
  destroy(arena);
}

static void double_release_does_not_hand_a_frame_out_twice(void** state) {
  (void)state;
  uvdio_arena_t* arena = arena_of(PAGE, 2, 0);
  uvdio_buf_t frame = frame_of(arena);
  uvdio_buf_t copy = frame;
  release(&frame);
  assert_code(uvdio_buf_release(&copy), UVDIO_EDOUBLEFREE);
  uvdio_buf_t a = frame_of(arena);
  uvdio_buf_t b = frame_of(arena);
  assert_ptr_not_equal(a.base, b.base);
  assert_code(uvdio_arena_acquire(arena, &frame), UV_ENOBUFS);
  release(&a);
  release(&b);
  destroy(arena);
}

/* A frame's handle that points elsewhere: into the middle of a frame, beyond the arena, before
 * it. */
static void handle_with_a_foreign_base_is_refused(void** state) {
  (void)state;
  static _Alignas(UVDIO_ALIGNMENT) char elsewhere[PAGE];
  uvdio_arena_t* arena = arena_of(2 * PAGE, 2, 0);
  uvdio_buf_t frame = frame_of(arena);
  uvdio_chunks_t chunks;
  uvdio_buf_t first;
  assert_ok(uvdio_arena_frames(arena, &chunks));
  assert_int_equal(uvdio_chunks_next(&chunks, &first), 1);
  char* const strangers[] = {elsewhere, frame.base + 1, frame.base + PAGE, first.base + 4 * PAGE,
                             first.base - 2 * PAGE};
  for (size_t i = 0; i < COUNT_OF(strangers); i++) {
    uvdio_buf_t foreign = frame;
    foreign.base = strangers[i];
    assert_code(uvdio_buf_release(&foreign), UVDIO_ENOTFRAME);
    assert_ptr_equal(foreign.base, strangers[i]);
  }
  assert_int_equal(frames_out(arena), 1);
  release(&frame);
  destroy(arena);
}

static void frame_of_another_arena_is_foreign(void** state) {
  (void)state;
  uvdio_arena_t* one = arena_of(PAGE, 2, 0);
  uvdio_arena_t* two = arena_of(PAGE, 2, 0);
  uvdio_buf_t a = frame_of(one);
  uvdio_buf_t b = frame_of(two);
  uvdio_buf_t mixed = a;
  mixed.base = b.base;
  assert_code(uvdio_buf_release(&mixed), UVDIO_ENOTFRAME);
  release(&a);
  release(&b);
  destroy(one);
  destroy(two);
}

static void arena_with_frames_out_lives_on(void** state) {
  (void)state;
  size_t out = 0;
  uvdio_arena_t* arena = arena_of(PAGE, 4, 0);
  uvdio_buf_t a = frame_of(arena);
  uvdio_buf_t b = frame_of(arena);
  assert_code(uvdio_arena_destroy(arena, &out), UV_EBUSY);
  assert_int_equal(out, 2);
  assert_code(uvdio_arena_destroy(arena, NULL), UV_EBUSY);
  fill_pattern(a.base, PAGE, 1);
  release(&a);
  assert_code(uvdio_arena_destroy(arena, &out), UV_EBUSY);
  assert_int_equal(out, 1);
  release(&b);
  destroy(arena);
}

/*
 * Walking.
 */

static void walk_shows_every_frame_once(void** state) {
  (void)state;
  enum { COUNT = 4 };
  uvdio_chunks_t chunks;
  uvdio_buf_t view;
  size_t seen = 0;
  size_t met = 0;
  uvdio_arena_t* arena = arena_of(2 * PAGE, COUNT, 0);
  uvdio_buf_t frame = frame_of(arena);
  assert_ok(uvdio_arena_frames(arena, &chunks));
  while (uvdio_chunks_next(&chunks, &view) == 1) {
    assert_int_equal(view.cap, 2 * PAGE);
    assert_int_equal(view.len, 0);
    assert_int_equal(uvdio_buf_origin(&view), UVDIO_ORIGIN_VIEW);
    met += view.base == frame.base;
    seen++;
  }
  assert_int_equal(seen, COUNT);
  assert_int_equal(met, 1);
  release(&frame);
  destroy(arena);
}

static void walk_steps_over_guard_pages(void** state) {
  (void)state;
  uvdio_chunks_t chunks;
  uvdio_buf_t view;
  char* previous = NULL;
  uvdio_arena_t* arena = arena_of(PAGE, 3, UVDIO_ARENA_GUARD_PAGES);
  assert_ok(uvdio_arena_frames(arena, &chunks));
  while (uvdio_chunks_next(&chunks, &view) == 1) {
    memset(view.base, 1, view.cap);
    assert_true(previous == NULL || view.base >= previous + 2 * PAGE);
    previous = view.base;
  }
  destroy(arena);
}

/*
 * Options.
 */

static void running_over_the_end_of_a_frame_faults(void** state) {
  (void)state;
  if (UNDER_ASAN || UNDER_TSAN) {
    SKIP("a sanitizer reports the fault of a guard page in its own way");
  }
  uvdio_arena_t* arena = arena_of(2 * PAGE, 2, UVDIO_ARENA_GUARD_PAGES);
  uvdio_buf_t a = frame_of(arena);
  uvdio_buf_t b = frame_of(arena);
  assert_false(system_faults(a.base + a.cap - 1));
  assert_true(system_faults(a.base + a.cap));
  assert_false(system_faults(b.base));
  assert_true(system_faults(b.base + b.cap));
  release(&a);
  release(&b);
  destroy(arena);
}

/* Creates it and uses a frame, or skips where the system says no. */
static void assert_usable_or_skip(unsigned flags, const char* what) {
  char why[128];
  uvdio_arena_t* arena = NULL;
  uvdio_arena_options_t options = {UVDIO_BLOB_SIZE, 8, flags};
  uvdio_arena_info_t info;
  int code = uvdio_arena_create(&arena, &options);
  if (code != 0) {
    assert_null(arena);
    assert_int_equal(uvdio_allocations(), 0);
    snprintf(why, sizeof(why), "%s refused: %s", what, uvdio_strerror(code));
    SKIP_AS_TOLD(why);
  }
  uvdio_buf_t frame = frame_of(arena);
  fill_pattern(frame.base, frame.cap, 1);
  assert_true(is_pattern(frame.base, frame.cap, 1));
  assert_ok(uvdio_arena_info(arena, &info));
  assert_int_equal(info.flags, flags);
  release(&frame);
  destroy(arena);
}

static void arena_can_be_locked(void** state) {
  (void)state;
  assert_usable_or_skip(UVDIO_ARENA_LOCKED, "locking 4 MiB (RLIMIT_MEMLOCK)");
}

static void arena_can_ask_for_huge_pages(void** state) {
  (void)state;
  assert_usable_or_skip(UVDIO_ARENA_HUGE_PAGES, "huge pages");
}

#ifdef __linux__
/* Whether the mapping at that address has been given the advice: proc_pid_smaps(5), VmFlags. */
static int has_advice(const void* address, const char* flag) {
  FILE* maps = fopen("/proc/self/smaps", "r");
  char line[512];
  int is_it = 0;
  int has = 0;
  while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
    unsigned long long begin;
    unsigned long long end;
    if (sscanf(line, "%llx-%llx ", &begin, &end) == 2) {
      is_it = (uintptr_t)address >= begin && (uintptr_t)address < end;
    } else if (is_it && strncmp(line, "VmFlags:", 8) == 0) {
      has = strstr(line, flag) != NULL;
    }
  }
  if (maps != NULL) {
    (void)fclose(maps);
  }
  return has;
}

static void system_is_asked_for_huge_pages(void** state) {
  (void)state;
  static const unsigned asked[] = {0, UVDIO_ARENA_HUGE_PAGES, UVDIO_ARENA_HUGE_PAGES_PREFERRED};
  for (unsigned i = 0; i < COUNT_OF(asked); i++) {
    uvdio_arena_options_t options = {UVDIO_BLOB_SIZE, 8, asked[i]};
    uvdio_arena_info_t info;
    uvdio_arena_t* arena;
    if (uvdio_arena_create(&arena, &options) != 0) {
      SKIP_AS_TOLD("huge pages refused: invalid argument");
    }
    uvdio_buf_t frame = frame_of(arena);
    assert_ok(uvdio_arena_info(arena, &info));
    assert_int_equal(info.flags, asked[i] != 0 ? asked[i] | UVDIO_ARENA_HUGE_PAGES : 0);
    assert_int_equal(has_advice(frame.base, " hg"), asked[i] != 0);
    release(&frame);
    destroy(arena);
  }
}
#endif

#ifdef __linux__
/* Memory of the program's own, which outlives what the library does with it. */
static _Alignas(UVDIO_ALIGNMENT) char own_memory[64 * PAGE];

static void* allocate_own(void* context, size_t size, size_t alignment, int zeroed) {
  (void)context;
  if (size == sizeof(own_memory)) {
    return own_memory;
  }
  return plain_allocate(NULL, size, alignment, zeroed);
}

static void release_own(void* context, void* memory, size_t size, size_t alignment) {
  (void)context;
  if (memory != own_memory) {
    plain_release(NULL, memory, size, alignment);
  }
}

/* Returns whether the program's memory is locked when an arena has come and gone. */
static int locked_after(unsigned flags) {
  uvdio_arena_t* arena = NULL;
  uvdio_arena_options_t options = {PAGE, sizeof(own_memory) / PAGE, flags};
  assert_ok(uvdio_arena_create(&arena, &options));
  destroy(arena);
  return has_advice(own_memory, " lo");
}

static void only_memory_that_was_locked_is_unlocked(void** state) {
  (void)state;
  uvdio_allocator_t own = {NULL, allocate_own, release_own};
  /* Sanitizers take mlock() over, and lock nothing. */
  if (mlock(own_memory, sizeof(own_memory)) != 0 || !has_advice(own_memory, " lo")) {
    SKIP_AS_TOLD("locking 256 KiB refused");
  }
  assert_ok(uvdio_set_allocator(&own));
  int after_plain = locked_after(0);
  int after_locked = locked_after(UVDIO_ARENA_LOCKED);
  assert_ok(uvdio_set_allocator(NULL));
  assert_int_equal(after_plain, 1);
  assert_int_equal(after_locked, 0);
}
#endif

static void options_go_together(void** state) {
  (void)state;
  assert_usable_or_skip(UVDIO_ARENA_LOCKED | UVDIO_ARENA_ZEROED | UVDIO_ARENA_GUARD_PAGES,
                        "locking 4 MiB (RLIMIT_MEMLOCK)");
}

/*
 * Threads.
 */

/* A small exchange through which threads hand frames to each other, so that a frame is mostly
 * released by another thread than the one that acquired it. */
enum { THREADS = 4, ROUNDS = 100000, EXCHANGE = 16 };

struct crowd {
  uvdio_arena_t* arena;
  uv_mutex_t mutex;
  uvdio_buf_t exchange[EXCHANGE];
  unsigned turn;
  unsigned broken;
};

/* Puts `frame` (which may be empty) in and takes out whatever was there. */
static uvdio_buf_t swap(struct crowd* crowd, uvdio_buf_t frame) {
  uv_mutex_lock(&crowd->mutex);
  uvdio_buf_t* slot = &crowd->exchange[crowd->turn++ % EXCHANGE];
  uvdio_buf_t out = *slot;
  *slot = frame;
  uv_mutex_unlock(&crowd->mutex);
  return out;
}

static void note_broken(struct crowd* crowd) {
  uv_mutex_lock(&crowd->mutex);
  crowd->broken++;
  uv_mutex_unlock(&crowd->mutex);
}

/* Whoever holds a frame is alone with it: a byte written is the byte read. */
static int is_alone_with(const uvdio_buf_t* frame, char mark) {
  volatile char* byte = frame->base;
  *byte = mark;
  return *byte == mark;
}

static void acquire_and_release(void* argument) {
  struct crowd* crowd = argument;
  for (int i = 0; i < ROUNDS; i++) {
    uvdio_buf_t frame = {0};
    int code = uvdio_arena_acquire(crowd->arena, &frame);
    if (code != 0 && code != UV_ENOBUFS) {
      note_broken(crowd);
    }
    if (code == 0 && !is_alone_with(&frame, (char)i)) {
      note_broken(crowd);
    }
    frame = swap(crowd, frame);
    if (uvdio_buf_release(&frame) != 0) {
      note_broken(crowd);
    }
  }
}

static void frames_go_around_between_threads(void** state) {
  (void)state;
  static struct crowd crowd;
  uv_thread_t threads[THREADS];
  memset(&crowd, 0, sizeof(crowd));
  crowd.arena = arena_of(PAGE, EXCHANGE + 2, 0);
  assert_int_equal(uv_mutex_init(&crowd.mutex), 0);
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(uv_thread_create(&threads[i], acquire_and_release, &crowd), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    uv_thread_join(&threads[i]);
  }
  uv_mutex_destroy(&crowd.mutex);
  for (int i = 0; i < EXCHANGE; i++) {
    release(&crowd.exchange[i]);
  }
  assert_int_equal(crowd.broken, 0);
  destroy(crowd.arena);
}

/* Without any lock but the arena's own, and with too few frames for all. */
static void fight_for_frames(void* argument) {
  struct crowd* crowd = argument;
  for (int i = 0; i < ROUNDS; i++) {
    uvdio_buf_t frame = {0};
    int code = uvdio_arena_acquire(crowd->arena, &frame);
    if (code != 0 && code != UV_ENOBUFS) {
      note_broken(crowd);
    }
    if (code == 0 && (!is_alone_with(&frame, (char)i) || uvdio_buf_release(&frame) != 0)) {
      note_broken(crowd);
    }
  }
}

static void threads_fight_for_two_frames(void** state) {
  (void)state;
  static struct crowd crowd;
  uv_thread_t threads[THREADS];
  memset(&crowd, 0, sizeof(crowd));
  crowd.arena = arena_of(PAGE, 2, 0);
  assert_int_equal(uv_mutex_init(&crowd.mutex), 0);
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(uv_thread_create(&threads[i], fight_for_frames, &crowd), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    uv_thread_join(&threads[i]);
  }
  uv_mutex_destroy(&crowd.mutex);
  assert_int_equal(crowd.broken, 0);
  assert_int_equal(frames_out(crowd.arena), 0);
  destroy(crowd.arena);
}

/*
 * Others that come in between any two instructions
 */

struct intruder {
  uvdio_arena_t* arena;
  uvdio_buf_t kept;
  int error;
};

/* Takes the frame on top and the one below, and puts back the first: it is on top again, with
 * another one below. */
static void take_two_and_give_one_back(void* data) {
  struct intruder* intruder = data;
  uvdio_buf_t top = {0};
  int errors[] = {uvdio_arena_acquire(intruder->arena, &top),
                  uvdio_arena_acquire(intruder->arena, &intruder->kept), uvdio_buf_release(&top)};
  intruder->error = errors[0] | errors[1] | errors[2];
}

static void frame_on_top_may_be_another_one_again(void** state) {
  struct intruder intruder = {0};
  int came = 1;
  (void)state;
  if (!steps_possible()) {
    SKIP("the processor can't be stopped after each instruction here");
  }
  intruder.arena = arena_of(PAGE, 3, 0);
  for (unsigned nth = 1; came; nth++) {
    uvdio_buf_t frame = {0};
    steps_begin(nth, take_two_and_give_one_back, &intruder);
    int code = uvdio_arena_acquire(intruder.arena, &frame);
    came = steps_end();
    assert_ok(code);
    assert_ok(intruder.error);
    if (came) {
      uvdio_buf_t last = frame_of(intruder.arena);
      assert_true(frame.base != intruder.kept.base && last.base != intruder.kept.base &&
                  last.base != frame.base);
      release(&last);
      release(&intruder.kept);
    }
    release(&frame);
  }
  destroy(intruder.arena);
}

/* Of frames that are larger than memory, the guard pages would make them small again. */
static void frames_that_wrap_around_are_refused(void** state) {
  uvdio_arena_t* arena = NULL;
  uvdio_arena_options_t options = {SIZE_MAX - UVDIO_PAGE_SIZE + 1, 1, UVDIO_ARENA_GUARD_PAGES};
  (void)state;
  assert_code(uvdio_arena_create(&arena, &options), UVDIO_EOFFSET);
  assert_null(arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(bad_options_are_refused),
      TEST(null_pointers_are_refused),
      TEST(zero_frame_size_means_a_page),
      TEST(more_memory_than_there_is_is_refused),
      TEST(frames_of_every_size_are_apart_and_fresh),
      TEST(exhaustion_is_an_error_and_not_a_wait),
      TEST(acquiring_never_allocates),
      TEST(used_frame_keeps_its_bytes_unless_zeroed),
      TEST(second_release_through_a_copy_is_refused),
      TEST(double_release_does_not_hand_a_frame_out_twice),
      TEST(handle_with_a_foreign_base_is_refused),
      TEST(frame_of_another_arena_is_foreign),
      TEST(arena_with_frames_out_lives_on),
      TEST(walk_shows_every_frame_once),
      TEST(walk_steps_over_guard_pages),
      TEST(running_over_the_end_of_a_frame_faults),
      TEST(arena_can_be_locked),
      TEST(arena_can_ask_for_huge_pages),
#ifdef __linux__
      TEST(system_is_asked_for_huge_pages),
      TEST(only_memory_that_was_locked_is_unlocked),
#endif
      TEST(options_go_together),
      TEST(frames_go_around_between_threads),
      TEST(threads_fight_for_two_frames),
      TEST(frame_on_top_may_be_another_one_again),
      TEST(frames_that_wrap_around_are_refused),
  };
  return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
