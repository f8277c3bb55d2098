/* SPDX-License-Identifier: MIT */
/*
 * A session is a loop of its own with an engine on it.
 * Its operations are awaited one after the other, and signals end it early.
 */
#ifndef UVDIO_CLI_SESSION_H
#define UVDIO_CLI_SESSION_H

#include <stdint.h>
#include <uv.h>

#include "uvdio.h"
#include "uvdio/metrics.h"

typedef struct session_s {
  uv_loop_t loop;
  uvdio_engine_t* engine;
  int signal; /* 0, or the number of the first one that came */
  /* private */
  uvdio_req_t* awaited;
  void (*interrupt)(void* context);
  void* context;
  uv_signal_t watchers[3];
} session_t;

/* Starts the loop and the engine. Returns 0 or a code of uvdio_engine_create. */
int session_open(session_t* session, const uvdio_engine_options_t* options);

/* Whether the program was started with the signal ignored, as by nohup, or by a shell that put it
 * into the background. Then it has to stay so. */
int signal_is_ignored(int number);

/* From now on SIGINT, SIGTERM and SIGHUP, those that are not ignored, are noted in session->signal,
 * the awaited request is cancelled and `interrupt` called on the loop. The same signal once more
 * kills, for whoever can't wait. */
int session_watch(session_t* session, void (*interrupt)(void* context), void* context);

/* Runs the loop until everything pending is done. */
void session_run(session_t* session);

/* Waits for one operation without a buffer: `accepted` is what the submitting call returned, its
 * callback was session_done. Returns the result. */
int64_t session_await(session_t* session, uvdio_req_t* req, int accepted);
void session_done(uvdio_req_t* req, int64_t result);

/* What the engine's metrics tell; the caller frees it. Null where there is no memory for it. */
char* session_metrics(const session_t* session, uvdio_metrics_format_t format);

/* Closes engine and loop. Handles of the caller's have to be closing by then. */
void session_close(session_t* session);

/* Says why the engine did not start: `error` is what session_open returned. Returns CLI_FAILED. */
int session_report(const char* command, uvdio_backend_t backend, int error);

#endif /* UVDIO_CLI_SESSION_H */
