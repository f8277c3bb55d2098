/* SPDX-License-Identifier: MIT */
/*
 * System calls and instructions per operation.
 */
#ifndef UVDIO_BENCH_COMPARE_COUNT_H
#define UVDIO_BENCH_COMPARE_COUNT_H

#include "compare/model.h"

/* Counts what can be counted for all rows. */
void compare_count(compare_t* compare);

#endif /* UVDIO_BENCH_COMPARE_COUNT_H */
