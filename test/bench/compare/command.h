/* SPDX-License-Identifier: MIT */
/*
 * The command line and the environment of a process that runs a target.
 */
#ifndef UVDIO_BENCH_COMPARE_COMMAND_H
#define UVDIO_BENCH_COMPARE_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "compare/model.h"

/* The command line that has this program run a target: argv[0] to argv[2], and null. `operations`
 * is 0 for a run by time. The text of argv[2] is the caller's to free. */
int compare_child_argv(const compare_t* compare, size_t cell, size_t target, uint64_t operations,
                       const char* argv[4], char** text);

/* Environment that the target's process shall have. */
void compare_child_environment(const compare_target_t* target);

#endif /* UVDIO_BENCH_COMPARE_COMMAND_H */
