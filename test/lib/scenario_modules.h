/* SPDX-License-Identifier: MIT */
/*
 * The life of an engine as in scenario.h, of groups and appenders alone: what is made of the calls
 * of uvdio.h has promises of its own to keep when these fail. What is wrong is noted:
 *
 *   - a member, a group or an append that does not end, ends twice, or in another order;
 *   - a result that is neither right nor one of the errors that the test allows;
 *   - bytes of a member or of an append that ended well, and are not in the file;
 *   - an append that is called durable, and no sync or durable write has ended well since it began;
 *   - an append that ends well behind one that failed;
 *   - an appender that was closed well, and a file that does not end with the last append.
 *
 * It goes where scenario_live() goes, between scenario_begin() and scenario_end().
 */
#ifndef UVDIO_TEST_SCENARIO_MODULES_H
#define UVDIO_TEST_SCENARIO_MODULES_H

#include "scenario.h"

/* `syncs` tells how many syncs and durable writes the kernel has been asked for, without those that
 * a fault has kept from it. */
void scenario_live_in_modules(struct scenario* s, unsigned (*syncs)(void));

#endif /* UVDIO_TEST_SCENARIO_MODULES_H */
