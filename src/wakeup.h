/* SPDX-License-Identifier: MIT */
/*
 * How the kernel wakes the loop for a backend: an eventfd that it signals at each completion, and
 * that a uv_poll_t on the user's loop watches. A timer beside it has the backend asked again where
 * the kernel refused something for the moment.
 *
 * Edges save the read of the eventfd at each wake-up: the loop's epoll is told to report it once
 * per signal instead of for as long as it is readable. libuv changes a registration only when the
 * events of its handle change, and these never do. Whether no signal can be lost by that is for the
 * backend to know.
 */
#ifndef UVDIO_WAKEUP_H
#define UVDIO_WAKEUP_H

#include "backend.h"

typedef struct uvdio__wakeup_s {
  uvdio__queue_t* queue;
  uv_poll_t poll;
  uv_timer_t retry;
  int eventfd;
  int is_edge_tried;
  int is_edge_triggered; /* wakes once per signal, and is never read */
  int is_unnotified;     /* completions may be there whose signal was taken already */
} uvdio__wakeup_t;

/* On error nothing is left behind, and `call` names what failed. */
int uvdio__wakeup_init(uvdio__wakeup_t* wakeup, uvdio__queue_t* queue, const char** call);

/* Begins to watch, on the loop's thread. Once more is nothing new. */
int uvdio__wakeup_start(uvdio__wakeup_t* wakeup, uv_poll_cb cb);

/* Within the first wake-up, and once: libuv registers a handle only when it polls. */
void uvdio__wakeup_try_edges(uvdio__wakeup_t* wakeup);

/* Takes the signals. */
void uvdio__wakeup_read(uvdio__wakeup_t* wakeup);

/* Has the backend asked again a little later. */
void uvdio__wakeup_retry_later(uvdio__wakeup_t* wakeup);

/* Parts of the backend's functions of the same names (backend.h). */
void uvdio__wakeup_leave_loop(uvdio__wakeup_t* wakeup);
void uvdio__wakeup_wait(uvdio__wakeup_t* wakeup, int timeout_ms);
void uvdio__wakeup_close(uvdio__wakeup_t* wakeup);

#endif /* UVDIO_WAKEUP_H */
