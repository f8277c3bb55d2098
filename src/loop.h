/* SPDX-License-Identifier: MIT */
/*
 * The engine's handles on the user's loop: keeping the loop alive, keeping it from blocking, and
 * leaving it. What the handles run is installed by the engine (hooks); nothing here knows requests.
 *
 * Off the loop. When uvdio_engine_close() returns, each handle of the engine is closing, so that a
 * walk over the loop finds none to close. Requests in flight are drained all the same. An iteration
 * is then the close callback of a handle that is closed as soon as it is made, the tick: libuv
 * calls it in the closing phase of the loop's next iteration, until when the loop is alive and does
 * not block (libuv's design overview, "The I/O loop"). Where there is more to do, the iteration
 * makes the next tick. An engine whose handles the user has closed gets here at its next wake-up.
 */
#ifndef UVDIO_LOOP_H
#define UVDIO_LOOP_H

#include "uvdio.h"

typedef struct uvdio__loop_hooks_s {
  uv_idle_cb on_idle;
  uv_check_cb on_check;
  uv_prepare_cb on_prepare;
  uv_async_cb on_signal;
  void (*iterate_off_loop)(uvdio_engine_t* engine);
} uvdio__loop_hooks_t;

/* Initialises and starts the handles. Can't fail. */
void uvdio__loop_attach(uvdio_engine_t* engine, const uvdio__loop_hooks_t* hooks);

/* A request was accepted: keeps the loop alive for it where nothing does yet, and takes the time
 * where metrics are on. Not called where neither is to be done (engine->has_plain_accept). */
void uvdio__loop_note_accept(uvdio_engine_t* engine, uvdio_req_t* req);

/* Nothing is pending: keeps the loop alive no more. */
void uvdio__loop_let_go(uvdio_engine_t* engine);

/* Closes all handles, those of backends included, and makes the first tick. */
void uvdio__loop_detach(uvdio_engine_t* engine);

/* Makes a tick: one more iteration follows off the loop. */
void uvdio__loop_tick(uvdio_engine_t* engine);

/* From here on uvdio__loop_wake_after() can be called. The engine has one handle more, which does
 * not keep the loop alive. No-op where it has it already. Errors: UV_EBADF (off the loop). */
int uvdio__loop_have_timer(uvdio_engine_t* engine);

/* Makes an iteration after so many milliseconds, or earlier: where the timer runs, the earlier time
 * counts, and who was woken looks at the clock. */
void uvdio__loop_wake_after(uvdio_engine_t* engine, uint64_t milliseconds);

/* From here on uvdio__loop_signal() wakes the loop. The engine has one handle more, which does not
 * keep the loop alive. No-op where it has it already. Errors: UV_ENOMEM, UV_EBADF (off the
 * loop). */
int uvdio__loop_listen(uvdio_engine_t* engine);

/* Notes the link on one of the engine's lists of signals, unless it is noted, and has the loop's
 * thread call on_signal. Any thread, while the engine is there. Off the loop there is no call:
 * whoever waits for a signal looks again at each iteration. A link that is not noted is a list by
 * itself. */
void uvdio__loop_signal(uvdio_engine_t* engine, uvdio_link_t_* signals, uvdio_link_t_* link);

/* Takes the oldest link that is noted there; null where there is none. And one that is to be
 * gone. */
uvdio_link_t_* uvdio__loop_take_signal(uvdio_engine_t* engine, uvdio_link_t_* signals);
void uvdio__loop_forget_signal(uvdio_engine_t* engine, uvdio_link_t_* link);

#endif /* UVDIO_LOOP_H */
