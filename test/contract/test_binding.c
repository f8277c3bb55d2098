/*
 * Whose engine it is: that of the thread which runs the loop, from the loop's first turn on, whatever happened in it.
 */
#include <string.h>

#include "fixture.h"

#define PAGE UVDIO_PAGE_SIZE

/* A thread that runs one turn of the loop with nothing pending on the engine, and later closes the engine. */
struct owner {
  struct fixture* f;
  uv_sem_t has_run;
  uv_sem_t may_close;
  int failed;
};

static void end_timer(uv_timer_t* timer) {
  uv_close((uv_handle_t*)timer, NULL);
}

static int run_idle_turn(struct fixture* f) {
  uv_timer_t timer;
  return uv_timer_init(&f->loop, &timer) || uv_timer_start(&timer, end_timer, 0, 0) ||
         uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void own(void* argument) {
  struct owner* owner = argument;
  struct fixture* f = owner->f;
  f->tracker.thread = uv_thread_self();
  owner->failed = run_idle_turn(f);
  uv_sem_post(&owner->has_run);
  uv_sem_wait(&owner->may_close);
  owner->failed |= t_engine_close(f->dio, on_engine_closed);
  owner->failed |= uv_run(&f->loop, UV_RUN_DEFAULT);
}

struct attempts {
  struct top* ops[6];
  int close_code;
};

static void try_everything(struct fixture* f, struct attempts* attempts) {
  struct tracker* t = &f->tracker;
  const char* path = path_of(f, "other");
  uvdio_buf_t page = filled(PAGE, 1);
  attempts->ops[0] = t_open(op_new(t), f->dio, &f->other, path, UVDIO_OPEN_RW);
  attempts->ops[1] = t_open(op_now(t), f->dio, &f->other, path, UVDIO_OPEN_RW);
  attempts->ops[2] = t_write(op_new(t), &f->file, &page, 0);
  attempts->ops[3] = t_size(op_now(t), &f->file);
  attempts->ops[4] = t_sync_data(op_new(t), &f->file);
  attempts->ops[5] = t_close(op_new(t), &f->file);
  attempts->close_code = uvdio_engine_close(f->dio, NULL);
  uvdio_buf_release(&page);
}

static void first_turn_binds_though_nothing_is_pending(void** state) {
  struct fixture* f = *state;
  struct owner owner = {.f = f};
  struct attempts attempts;
  uv_thread_t thread;
  assert_int_equal(uv_sem_init(&owner.has_run, 0), 0);
  assert_int_equal(uv_sem_init(&owner.may_close, 0), 0);
  watch_for_hang("the loop on another thread");
  assert_int_equal(uv_thread_create(&thread, own, &owner), 0);
  uv_sem_wait(&owner.has_run);
  try_everything(f, &attempts);
  uv_sem_post(&owner.may_close);
  uv_thread_join(&thread);
  watch_for_hang(NULL);
  f->dio = NULL;
  uv_sem_destroy(&owner.has_run);
  uv_sem_destroy(&owner.may_close);
  for (size_t i = 0; i < COUNT_OF(attempts.ops); i++) {
    assert_refused(attempts.ops[i], UVDIO_ETHREAD);
  }
  assert_code(attempts.close_code, UVDIO_ETHREAD);
  assert_int_equal(owner.failed, 0);
  assert_int_equal(f->closed, 1);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      TEST_ON(fixture_open, first_turn_binds_though_nothing_is_pending),
  };
  return matrix_main("binding", tests, COUNT_OF(tests), argc, argv);
}
