/* SPDX-License-Identifier: MIT */
/*
 * Group commit by threads, as storage engines do it: a thread for each client, which copies its
 * record into a shared buffer. The first that finds nobody writing leads: it writes what is there
 * for all, while the others gather the next buffer.
 */
#ifndef UVDIO_BENCH_LOG_GROUP_H
#define UVDIO_BENCH_LOG_GROUP_H

#include "log/methods.h"

/* Makes `count` records durable, which lie one behind the other. Called by one thread at a time.
 * Returns 0 or a code. */
typedef int (*group_write_t)(void* arg, const char* bytes, size_t size, unsigned count);

/* Runs the clients. Returns 0 or a code. */
int group_run(commits_t* commits, group_write_t write, void* arg);

#endif /* UVDIO_BENCH_LOG_GROUP_H */
