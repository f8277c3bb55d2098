/* SPDX-License-Identifier: MIT */
/*
 * A session that waits for one operation, and a signal that comes meanwhile: the wait ends.
 * All of libuv's threads are held, so that the operation has not begun and can be cancelled.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "cli/session.h"
#include "workers.h"

static void count_interrupt(void* context) {
  ++*(int*)context;
}

/* A file of the session's engine; its name is gone at once. */
static void open_file(session_t* session, uvdio_file_t* file, uvdio_req_t* req) {
  char path[64];
  unsigned flags = UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE | UVDIO_O_DIRECT_PREFERRED;
  snprintf(path, sizeof path, "uvdio-session-%ld.tmp", (long)getpid());
  int accepted = uvdio_open(session->engine, file, req, path, flags, 0600, session_done);
  assert_int_equal(session_await(session, req, accepted), 0);
  (void)unlink(path);
}

static void signal_ends_the_wait(void** state) {
  (void)state;
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_POOL};
  session_t session;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uv_loop_t other;
  struct workers workers;
  int interrupts = 0;
  assert_int_equal(uv_loop_init(&other), 0);
  assert_int_equal(session_open(&session, &options), 0);
  assert_int_equal(session_watch(&session, count_interrupt, &interrupts), 0);
  open_file(&session, &file, &req);
  assert_int_equal(session.signal, 0);

  workers_occupy(&workers, &other, WORKERS);
  raise(SIGTERM);
  int64_t result = session_await(&session, &req, uvdio_truncate(&file, &req, 4096, session_done));
  workers_release(&workers);
  assert_int_equal(uv_run(&other, UV_RUN_DEFAULT), 0);
  assert_int_equal(result, UV_ECANCELED);
  assert_int_equal(session.signal, SIGTERM);
  assert_int_equal(interrupts, 1);

  /* Another one changes nothing: what the first began goes on. */
  raise(SIGINT);
  result = session_await(&session, &req, uvdio_truncate(&file, &req, 4096, session_done));
  assert_int_equal(result, 0);
  assert_int_equal(session.signal, SIGTERM);
  assert_int_equal(interrupts, 1);

  assert_int_equal(session_await(&session, &req, uvdio_close(&file, &req, session_done)), 0);
  session_close(&session);
  assert_int_equal(uv_loop_close(&other), 0);
}

static void refused_is_not_waited_for(void** state) {
  (void)state;
  session_t session;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  assert_int_equal(session_open(&session, NULL), 0);
  int accepted = uvdio_truncate(&file, &req, 0, session_done);
  assert_int_not_equal(accepted, 0);
  assert_int_equal(session_await(&session, &req, accepted), accepted);
  session_close(&session);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(signal_ends_the_wait),
      cmocka_unit_test(refused_is_not_waited_for),
  };
  workers_begin();
  /* Where these tests run in the background, SIGINT is ignored. */
  (void)signal(SIGINT, SIG_DFL);
  (void)signal(SIGTERM, SIG_DFL);
  return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
