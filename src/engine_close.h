/* SPDX-License-Identifier: MIT */
/*
 * The end of an engine, as far as its set-up needs to know of it.
 */
#ifndef UVDIO_ENGINE_CLOSE_H
#define UVDIO_ENGINE_CLOSE_H

#include "engine.h"

/* An iteration of an engine whose handles are closed: callbacks, and the close when all is
 * drained. */
void uvdio__engine_iterate_off_loop(uvdio_engine_t* engine);

/* Frees the memory of an engine that has nothing on the loop. */
void uvdio__engine_free(uvdio_engine_t* engine);

#endif /* UVDIO_ENGINE_CLOSE_H */
