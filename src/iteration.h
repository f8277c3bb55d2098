/* SPDX-License-Identifier: MIT */
/*
 * One iteration of the loop, in its parts: for the engine's handles, and for an engine off the
 * loop. Implemented by engine.c.
 */
#ifndef UVDIO_ITERATION_H
#define UVDIO_ITERATION_H

#include "engine.h"

/* What the handles run. */
void uvdio__iteration_on_idle(uv_idle_t* handle);
void uvdio__iteration_on_check(uv_check_t* handle);
void uvdio__iteration_on_prepare(uv_prepare_t* handle);
void uvdio__iteration_on_signal(uv_async_t* handle);

/* An iteration is begin, run_callbacks, end, in this order; `sweep` goes before, where it is
 * due. */
void uvdio__iteration_sweep(uvdio_engine_t* engine);
void uvdio__iteration_begin(uvdio_engine_t* engine);
void uvdio__iteration_run_callbacks(uvdio_engine_t* engine);
void uvdio__iteration_end(uvdio_engine_t* engine);

/* Whether another iteration is needed before the loop may block. */
int uvdio__engine_has_work(const uvdio_engine_t* engine);

/* Whether the loop is seen to run on another thread than this one. */
int uvdio__engine_runs_elsewhere(const uvdio_engine_t* engine);

#endif /* UVDIO_ITERATION_H */
