/* SPDX-License-Identifier: MIT */
/*
 * Metrics of one engine (uvdio/metrics.h): what its requests and the turns of its loop leave
 * behind. A request carries the times at which it was accepted, began and had its outcome; it is
 * counted once, before its callback.
 *
 * Each place that takes a time is one that an engine without metrics does not come by:
 *
 *   accept     engine->has_plain_accept is 0
 *   begin      engine->not_direct is not 0, so that no request goes by submit_plain (queue.c); a
 *              flush sets it anew for the batch that it sends
 *   outcome    engine->has_plain_end is 0
 *   callback   a loop of its own (engine.c)
 *   calls      engine->note_calls_above_ns is 0
 *   turns      engine->watches has WATCHES_METRICS
 */
#ifndef UVDIO_METRICS_INTERNAL_H
#define UVDIO_METRICS_INTERNAL_H

#include "engine.h"
#include "uvdio/metrics.h"

/* A request was accepted. With and without metrics: where it is not a plain one. */
void uvdio__metrics_accept(uvdio_req_t* req);

/* Its backend has it. */
void uvdio__metrics_begin(uvdio_req_t* req);

/* The queue is about to send its batch. */
void uvdio__metrics_flush(const uvdio__queue_t* queue);

/* It has its outcome. */
void uvdio__metrics_outcome(uvdio_req_t* req);

/* Callbacks are about to be run, one after the other: before the first, before each, and after each
 * with that callback's operation. After a callback the engine may have no metrics any more. */
void uvdio__metrics_before_callbacks(uvdio_engine_t* engine);
void uvdio__metrics_before_callback(uvdio_req_t* req);
void uvdio__metrics_after_callback(uvdio_engine_t* engine, uvdio_op_t op);

/* The engine's part of the check phase ends, and the turn where nothing is pending. May call
 * back. */
void uvdio__metrics_end_iteration(uvdio_engine_t* engine);

/* The loop's turn ends. May call back. */
void uvdio__metrics_end_turn(uvdio_engine_t* engine);

/* Frees the metrics; no-op without. */
void uvdio__metrics_free(uvdio_engine_t* engine);

#endif /* UVDIO_METRICS_INTERNAL_H */
