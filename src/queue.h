/* SPDX-License-Identifier: MIT */
/*
 * Waiting and running requests of the backends, and the end of a request. Code above this level
 * gives a request to a queue; one call goes back up: the request has its outcome (completion.h).
 */
#ifndef UVDIO_QUEUE_H
#define UVDIO_QUEUE_H

#include "completion.h"

/* Adds an accepted request to its file's queue. It is submitted when there is room. */
void uvdio__queue_add(uvdio_req_t* req);

/* Submits an accepted request at once where there is room and nothing waits, else adds it. Nothing
 * overtakes what waits, on neither queue. */
void uvdio__queue_start(uvdio_req_t* req);

/* Takes a waiting request off its queue. */
void uvdio__queue_remove(uvdio_req_t* req);

/* Lists of waiting requests, of queues and classes, by number; null after the last one. */
const uvdio__list_t* uvdio__queue_waiting(const uvdio_engine_t* engine, unsigned number);

/* Gives every request that waits on the engine's queues its outcome, `error`. */
void uvdio__queue_fail_waiting(uvdio_engine_t* engine, int error);

/* The same for all that run there, in a forked child. */
void uvdio__queue_fail_running(uvdio_engine_t* engine, int error);

/* Submits what waits, one request of each queue in turn, as far as there is room, and flushes. */
void uvdio__queue_submit_and_flush(uvdio_engine_t* engine);

/* Takes the completions that backends have. Returns 1 while one has to be asked again. */
int uvdio__queue_reap(uvdio_engine_t* engine);

/* Takes completions until the kernel has no polled request: while this thread blocks nobody asks
 * for them, and what it blocks for may wait for them. */
void uvdio__queue_settle_polled(uvdio_engine_t* engine);

/* Whether something can be submitted or flushed now. */
int uvdio__queue_has_work(const uvdio_engine_t* engine);

/* Sets how much a queue gathers, for the iteration that begins or has ended. */
void uvdio__queue_set_iteration(uvdio_engine_t* engine, int in_iteration);

/* Completes an accepted request, whose outcome is known, and has the loop come back for the
 * callback. */
void uvdio__queue_complete(uvdio_req_t* req);

#endif /* UVDIO_QUEUE_H */
