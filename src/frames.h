/* SPDX-License-Identifier: MIT */
/*
 * Requests that wait for frames of an arena (uvdio_arena_wait()). The queue is the arena's, over
 * all engines (arena.h); here is what an engine has of it: its own waits, on engine->frame_waits,
 * and the signal that one has been given its frames. No backend sees any of them.
 *
 *             frames are free, and nobody waits
 *   IDLE ------------------------------------------------------------> COMPLETED
 *     |                                                                    ^
 *     +---------> DEFERRED ---------------> DEFERRED, given ---------------+
 *                    |       by whoever                       the loop's signal, a cancel
 *                    |       releases a frame, on
 *                    |       any thread
 *                    +-----------------------------------------------------+
 *                                   cancelled, engine closed
 *
 * Fields of such a request: args_ is the caller's array, length_ the number of frames, high_water_
 * how many it was given (by the arena's mutex), order_link_ its place in the arena's queue, and
 * after that on engine->given. Loop thread, but for what is said otherwise.
 */
#ifndef UVDIO_FRAMES_H
#define UVDIO_FRAMES_H

#include "engine.h"

/* Ends those waits that were given their frames since the last time. */
void uvdio__frames_take_given(uvdio_engine_t* engine);

/* Ends a pending wait with UV_ECANCELED; UV_EBUSY where it has its frames already, and ends so. */
int uvdio__frames_cancel(uvdio_req_t* req);

/* The same for all of the engine. */
void uvdio__frames_cancel_all(uvdio_engine_t* engine);

/* In a forked child: ends them with UVDIO_EFORK. The queues are the parent's. */
void uvdio__frames_abandon(uvdio_engine_t* engine);

/* A wait is about to be called back. */
void uvdio__frames_finish(uvdio_req_t* req);

#endif /* UVDIO_FRAMES_H */
