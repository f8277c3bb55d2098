/* SPDX-License-Identifier: MIT */
/*
 * Deadlines: requests that are pending for too long are told of, once each, and stay pending.
 *
 * Nothing is done for a request that is in time. While something is pending and somebody watches, a
 * timer wakes the loop each quarter of the engine's deadline, and the iteration looks at all that
 * is pending.
 */
#ifndef UVDIO_LATE_H
#define UVDIO_LATE_H

#include "engine.h"

/* Calls back for requests that have become late, where it is time to look. Between callbacks of
 * requests, which its own are like. */
void uvdio__late_look(uvdio_engine_t* engine);

/* Before the loop blocks: sets the timer where somebody watches and something is pending. */
void uvdio__late_arm(uvdio_engine_t* engine);

#endif /* UVDIO_LATE_H */
