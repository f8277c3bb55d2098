/* SPDX-License-Identifier: MIT */
/*
 * The life of an engine as in scenario.h, of streams and logs alone. What is wrong is noted:
 *
 *   - a callback that does not come, or comes twice, and appends that end in another order;
 *   - a result that is neither right nor one of the errors that the test allows;
 *   - a block of a reader with other bytes than the file's, or an end that is not the file's;
 *   - a sync of a writer, or an append, that is called durable, and no sync or durable write has
 *     ended well since it began; and bytes of it that are not there;
 *   - anything that ends well behind an error of the same stream or log;
 *   - a record that was acknowledged, and is not replayed when the faults are gone.
 *
 * It goes where scenario_live() goes. `syncs` as for scenario_live_in_modules().
 */
#ifndef UVDIO_TEST_SCENARIO_STREAMS_H
#define UVDIO_TEST_SCENARIO_STREAMS_H

#include "scenario.h"

void scenario_live_in_streams(struct scenario* s, unsigned (*syncs)(void));

/* Behind scenario_live_in_streams(), with no fault set: opens the log by another engine. */
void scenario_replay(struct scenario* s);

#endif /* UVDIO_TEST_SCENARIO_STREAMS_H */
