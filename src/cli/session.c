/* SPDX-License-Identifier: MIT */
/*
 * A loop of its own and an engine on it. The loop is run until nothing is pending, step after step:
 * that the library keeps it alive for pending requests and nothing else is what makes this work.
 */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cli.h"
#include "options.h"
#include "report.h"
#include "session.h"
#include "uvdio.h"

static const int watched_signals[] = {SIGINT, SIGTERM, SIGHUP};

int session_open(session_t* session, const uvdio_engine_options_t* options) {
  memset(session, 0, sizeof *session);
  int error = uv_loop_init(&session->loop);
  if (error != 0) {
    return error;
  }
  error = uvdio_engine_create(&session->engine, &session->loop, options);
  if (error != 0) {
    (void)uv_loop_close(&session->loop);
  }
  return error;
}

static void on_signal(uv_signal_t* watcher, int number) {
  session_t* session = watcher->data;
  if (session->signal != 0) {
    return;
  }
  session->signal = number;
  if (session->awaited != NULL) {
    /* when it is too late for that, its result is waited for */
    (void)uvdio_cancel(session->awaited);
  }
  if (session->interrupt != NULL) {
    session->interrupt(session->context);
  }
}

int signal_is_ignored(int number) {
  struct sigaction action;
  return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int session_watch(session_t* session, void (*interrupt)(void* context), void* context) {
  session->interrupt = interrupt;
  session->context = context;
  for (size_t i = 0; i < CLI_COUNT_OF(watched_signals); i++) {
    uv_signal_t* watcher = &session->watchers[i];
    if (signal_is_ignored(watched_signals[i])) {
      continue;
    }
    int error = uv_signal_init(&session->loop, watcher);
    if (error != 0) {
      return error;
    }
    watcher->data = session;
    error = uv_signal_start_oneshot(watcher, on_signal, watched_signals[i]);
    if (error != 0) {
      return error;
    }
    uv_unref((uv_handle_t*)watcher);
  }
  return 0;
}

void session_run(session_t* session) {
  (void)uv_run(&session->loop, UV_RUN_DEFAULT);
}

void session_done(uvdio_req_t* req, int64_t result) {
  (void)req;
  (void)result;
}

int64_t session_await(session_t* session, uvdio_req_t* req, int accepted) {
  if (accepted != 0) {
    return accepted;
  }
  session->awaited = req;
  session_run(session);
  session->awaited = NULL;
  return req->result;
}

char* session_metrics(const session_t* session, uvdio_metrics_format_t format) {
  size_t size = 1 << 16; /* many times what a session's operations take */
  char* text = malloc(size);
  if (text != NULL) {
    (void)uvdio_metrics_print(session->engine, format, text, size, NULL);
  }
  return text;
}

void session_close(session_t* session) {
  for (size_t i = 0; i < CLI_COUNT_OF(session->watchers); i++) {
    if (session->watchers[i].data != NULL) {
      uv_close((uv_handle_t*)&session->watchers[i], NULL);
    }
  }
  int error = uvdio_engine_close(session->engine, NULL);
  assert(error == 0);
  session_run(session);
  error = uv_loop_close(&session->loop);
  assert(error == 0);
  (void)error;
}

/* The environment names a backend that there is not, or not here. */
static int report_environment(const char* command) {
  const char* name = getenv("UVDIO_BACKEND");
  char reason[256] = "";
  uvdio_backend_t backend;
  if (name != NULL && backend_by_name(name, &backend) == 0 &&
      uvdio_backend_probe(backend, reason, sizeof reason) != 0) {
    return report_problem(command,
                          "the backend of the environment, UVDIO_BACKEND=%s, is not available "
                          "here: %s. Unset it for another one.",
                          name, reason);
  }
  return report_problem(command,
                        "the backend of the environment, UVDIO_BACKEND=%s, is unknown. Set it to "
                        "ring, aio, pool or memory, or unset it.",
                        name != NULL ? name : "");
}

int session_report(const char* command, uvdio_backend_t backend, int error) {
  char reason[256] = "";
  int named = backend != UVDIO_BACKEND_AUTO;
  if (named && uvdio_backend_probe(backend, reason, sizeof reason) != 0) {
    return report_problem(command, "the backend %s is not available here: %s",
                          backend_text(backend), reason);
  }
  return error == UVDIO_EBACKEND && !named ? report_environment(command)
                                           : report_error(command, "start an engine", NULL, error);
}
