/* SPDX-License-Identifier: MIT */
/*
 * Ownership errors get caught (UVDIO_DEBUG_OWNERSHIP): each kind, in a child of its own, which has
 * to end, or go on, as the kind says, with words on its standard error that name the operation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

typedef void (*misdeed)(struct fixture* f);

struct confession {
  char text[16384];
  int status;
};

/* Has a child do it, and listens. */
static struct confession hear(struct fixture* f, misdeed do_it) {
  static struct confession confession;
  int ends[2];
  size_t length = 0;
  ssize_t got;
  assert_int_equal(pipe(ends), 0);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    do_it(f);
    _exit(0);
  }
  close(ends[1]);
  while ((got = read(ends[0], confession.text + length, sizeof(confession.text) - 1 - length)) >
         0) {
    length += (size_t)got;
  }
  close(ends[0]);
  confession.text[length] = '\0';
  assert_int_equal(waitpid(child, &confession.status, 0), child);
  return confession;
}

static void assert_says(const struct confession* confession, const char* words) {
  if (strstr(confession->text, words) == NULL) {
    fprintf(stderr, "expected \"%s\" in:\n%s\n", words, confession->text);
    fail();
  }
}

/* The child's own engine, on which nothing is older than the child. */
static void begin_anew(struct fixture* f) {
  uvdio_engine_options_t options = matrix_options();
  uv_loop_t* loop = malloc(sizeof(*loop));
  uvdio_req_t req = {0};
  memset(&f->other, 0, sizeof(f->other));
  if (loop == NULL || uv_loop_init(loop) != 0 ||
      uvdio_engine_create(&f->engine, loop, &options) != 0 ||
      uvdio_open(f->engine, &f->other, &req, path_of(f, "mine"),
                 UVDIO_OPEN_RW | UVDIO_O_DIRECT_PREFERRED, 0600, NULL) != 0) {
    fprintf(stderr, "the child could not begin\n");
    _exit(2);
  }
}

static void on_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  (void)req;
  (void)result;
  (void)uvdio_buf_release(&buf);
}

/* A write at offset 4096 that is pending; returns a handle on its buffer that nobody should
 * have. */
static uvdio_req_t* request;

static uvdio_buf_t write_pending(struct fixture* f) {
  uvdio_buf_t page = filled(PAGE, 1);
  uvdio_buf_t copy = page;
  begin_anew(f);
  request = calloc(1, sizeof(*request));
  if (request == NULL || uvdio_write(&f->other, request, &page, PAGE, on_done) != 0) {
    _exit(2);
  }
  return copy;
}

static void on_all_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t* bufs, unsigned count) {
  (void)req;
  (void)result;
  for (unsigned i = 0; i < count; i++) {
    (void)uvdio_buf_release(&bufs[i]);
  }
}

/* The same with the second of three buffers. */
static uvdio_buf_t write_pending_vector(struct fixture* f) {
  uvdio_buf_t pages[3] = {filled(PAGE, 1), filled(PAGE, 2), filled(PAGE, 3)};
  uvdio_buf_t copy = pages[1];
  begin_anew(f);
  request = calloc(1, sizeof(*request));
  if (request == NULL || uvdio_writev(&f->other, request, pages, 3, 0, on_all_done) != 0) {
    _exit(2);
  }
  return copy;
}

static void write_to_one_of_several_in_flight(struct fixture* f) {
  uvdio_buf_t copy = write_pending_vector(f);
  ((volatile char*)copy.base)[100] = 'x';
}

static void release_one_of_several_in_flight(struct fixture* f) {
  uvdio_buf_t copy = write_pending_vector(f);
  (void)uvdio_buf_release(&copy);
}

static void write_to_a_buffer_in_flight(struct fixture* f) {
  uvdio_buf_t copy = write_pending(f);
  ((volatile char*)copy.base)[100] = 'x';
}

static void read_a_buffer_in_flight(struct fixture* f) {
  uvdio_buf_t copy = write_pending(f);
  char byte = ((volatile char*)copy.base)[PAGE - 1];
  (void)byte;
}

static void release_in_flight(struct fixture* f) {
  uvdio_buf_t copy = write_pending(f);
  (void)uvdio_buf_release(&copy);
}

static void reuse_a_request(struct fixture* f) {
  (void)write_pending(f);
  memset(request, 0, sizeof(*request));
  uv_run(uvdio_engine_loop(f->engine), UV_RUN_DEFAULT);
}

static void change_a_request(struct fixture* f) {
  (void)write_pending(f);
  request->offset_ += PAGE;
  uv_run(uvdio_engine_loop(f->engine), UV_RUN_DEFAULT);
}

static void free_a_request(struct fixture* f) {
  (void)write_pending(f);
  free(request);
  uv_run(uvdio_engine_loop(f->engine), UV_RUN_DEFAULT);
}

static uvdio_buf_t kept;

static void on_kept(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  (void)req;
  (void)result;
  kept = buf;
}

/* A frame that has been through a write at offset 4096. */
static uvdio_buf_t used_frame(struct fixture* f) {
  uvdio_arena_options_t options = {PAGE, 4, 0};
  uvdio_arena_t* arena;
  uvdio_buf_t frame;
  begin_anew(f);
  request = calloc(1, sizeof(*request));
  if (request == NULL || uvdio_arena_create(&arena, &options) != 0 ||
      uvdio_arena_acquire(arena, &frame) != 0) {
    _exit(2);
  }
  frame.len = PAGE;
  if (uvdio_write(&f->other, request, &frame, PAGE, on_kept) != 0) {
    _exit(2);
  }
  uv_run(uvdio_engine_loop(f->engine), UV_RUN_DEFAULT);
  return kept;
}

static void release_a_frame_twice(struct fixture* f) {
  uvdio_buf_t frame = used_frame(f);
  uvdio_buf_t copy = frame;
  (void)uvdio_buf_release(&frame);
  _exit(uvdio_buf_release(&copy) == UVDIO_EDOUBLEFREE ? 0 : 3);
}

static void release_to_the_wrong_arena(struct fixture* f) {
  uvdio_arena_options_t options = {PAGE, 4, 0};
  uvdio_arena_t* arena;
  uvdio_buf_t other;
  uvdio_buf_t frame = used_frame(f);
  if (uvdio_arena_create(&arena, &options) != 0 || uvdio_arena_acquire(arena, &other) != 0) {
    _exit(2);
  }
  frame.owner_ = other.owner_;
  _exit(uvdio_buf_release(&frame) == UVDIO_ENOTFRAME ? 0 : 3);
}

static void share_and_change(struct fixture* f, int changes) {
  uvdio_buf_t page = filled(PAGE, 1);
  unsigned sum = 0;
  begin_anew(f);
  request = calloc(1, sizeof(*request));
  if (request == NULL ||
      uvdio_write_flags(&f->other, request, &page, PAGE, UVDIO_WRITE_SHARED, on_done) != 0) {
    _exit(2);
  }
  for (size_t i = 0; i < PAGE; i++) {
    sum += ((volatile unsigned char*)page.base)[i];
  }
  ((volatile char*)page.base)[PAGE - 1] ^= (char)changes;
  uv_run(uvdio_engine_loop(f->engine), UV_RUN_DEFAULT);
  _exit(sum > 0 && uvdio_buf_release(&page) == 0 ? 0 : 3);
}

static void read_a_shared_buffer(struct fixture* f) {
  share_and_change(f, 0);
}

static void change_a_shared_buffer(struct fixture* f) {
  share_and_change(f, 1);
}

static void assert_ends(struct fixture* f, misdeed do_it, const char* words) {
  struct confession confession = hear(f, do_it);
  assert_int_not_equal(confession.status, 0);
  assert_says(&confession, words);
  assert_says(&confession, "write of 4096 bytes at offset 4096");
}

static void assert_goes_on(struct fixture* f, misdeed do_it, const char* words) {
  struct confession confession = hear(f, do_it);
  assert_int_equal(confession.status, 0);
  assert_says(&confession, words);
  assert_says(&confession, "its last operation: write of 4096 bytes at offset 4096");
}

static void touching_a_buffer_in_flight_is_caught(void** state) {
  if (!UNDER_ASAN) {
    SKIP("only the address sanitizer sees accesses to memory");
  }
  assert_ends(*state, write_to_a_buffer_in_flight, "a buffer was used while it was the library's");
  assert_ends(*state, read_a_buffer_in_flight, "a buffer was used while it was the library's");
  assert_ends(*state, write_to_one_of_several_in_flight,
              "a buffer was used while it was the library's");
}

static void shared_bytes_may_be_read_and_not_changed(void** state) {
  struct confession confession = hear(*state, read_a_shared_buffer);
  assert_int_equal(confession.status, 0);
  assert_ends(*state, change_a_shared_buffer,
              "the bytes of a shared write were changed before its end");
}

static void releasing_in_flight_is_caught(void** state) {
  assert_ends(*state, release_in_flight,
              "a buffer was released while its bytes were the library's");
  assert_ends(*state, release_one_of_several_in_flight,
              "a buffer was released while its bytes were the library's");
}

static void writing_to_a_pending_request_is_caught(void** state) {
  assert_ends(*state, reuse_a_request, "a request was written to while it was the library's");
  assert_ends(*state, change_a_request, "a request was written to while it was the library's");
}

static void freeing_a_pending_request_is_caught(void** state) {
  if (!UNDER_ASAN) {
    SKIP("only the address sanitizer sees accesses to memory");
  }
  assert_ends(*state, free_a_request, "a request is gone while it was the library's");
}

static void releasing_twice_is_reported(void** state) {
  assert_goes_on(*state, release_a_frame_twice,
                 "wrong touch: the arena frame was released already");
}

static void releasing_to_the_wrong_arena_is_reported(void** state) {
  assert_goes_on(*state, release_to_the_wrong_arena,
                 "wrong touch: the buffer is not a frame of its arena");
}

/* Two views on the same bytes may be in flight together. */
static void sharing_bytes_is_no_error(void** state) {
  struct fixture* f = *state;
  uvdio_buf_t page = filled(PAGE, 1);
  struct tracked_op* writes[4];
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    uvdio_buf_t view = uvdio_buf_view(&page);
    writes[i] = t_write(op_new(&f->tracker), &f->file, &view, (uint64_t)i * PAGE);
  }
  run(f);
  for (unsigned i = 0; i < COUNT_OF(writes); i++) {
    assert_result(writes[i], PAGE);
    assert_holds(f, &f->file, (uint64_t)i * PAGE, PAGE, 1);
  }
  assert_true(is_pattern(page.base, PAGE, 1));
  assert_ok(uvdio_buf_release(&page));
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, touching_a_buffer_in_flight_is_caught),
      TEST_ON(fixture_open, shared_bytes_may_be_read_and_not_changed),
      TEST_ON(fixture_open, releasing_in_flight_is_caught),
      TEST_ON(fixture_open, writing_to_a_pending_request_is_caught),
      TEST_ON(fixture_open, freeing_a_pending_request_is_caught),
      TEST_ON(fixture_open, releasing_twice_is_reported),
      TEST_ON(fixture_open, releasing_to_the_wrong_arena_is_reported),
      TEST_ON(fixture_open, sharing_bytes_is_no_error),
  };
  return matrix_main("ownership", tests, COUNT_OF(tests), argc, argv);
}
