/* SPDX-License-Identifier: MIT */
#include "registered.h"

#include <string.h>

#include "ops.h"
#include "skips.h"

#define NO_RING "this file's transfers don't go to a ring that registers memory"

int fixture_open_manual(void** state) {
  uvdio_engine_options_t options = {0};
  options.flags = UVDIO_ENGINE_NO_AUTO_REGISTER;
  return fixture_open_with(state, options);
}

uvdio_registration_t registration_with(const uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio_registration_t registration = {0};
  assert_ok(uvdio_arena_registration(engine, arena, &registration));
  return registration;
}

uvdio_registration_t registration_of(const struct fixture* f) {
  return registration_with(f->engine, f->arena);
}

/* A "no" of the library's own is not taken from it: a test that expects less then would not notice
 * what it has lost. */
int is_on_ring(const struct fixture* f) {
  int yes = is_done_by(&f->file, "ring") && registration_of(f).error != UV_ENOTSUP;
  const char* wrong = yes ? NULL : skip_is_wrong(NO_RING);
  if (wrong != NULL) {
    fail_msg("%s: %s", NO_RING, wrong);
  }
  return yes;
}

void skip_without_ring(const struct fixture* f) {
  if (!is_on_ring(f)) {
    SKIP(NO_RING);
  }
}

uvdio_buf_t frame_of(struct fixture* f) {
  uvdio_buf_t frame = {0};
  assert_ok(uvdio_arena_acquire(f->arena, &frame));
  return frame;
}

void use_a_frame(struct fixture* f) {
  uvdio_buf_t frame = frame_of(f);
  struct tracked_op* read = t_read(op_new(&f->tracker), &f->file, &frame, 0);
  run(f);
  assert_true(read->result >= 0);
  op_free(read);
}

void leave_arena(struct fixture* f) {
  uvdio_arena_t* arena = f->arena;
  f->arena = NULL;
  assert_ok(uvdio_arena_destroy(arena, NULL));
}
