/* SPDX-License-Identifier: MIT */
/*
 * One figure of one target, by `uvdio-bench target`.
 */
#ifndef UVDIO_BENCH_COMPARE_SAMPLE_H
#define UVDIO_BENCH_COMPARE_SAMPLE_H

#include <stddef.h>

#include "compare/model.h"

/* Stores what the target measured. Returns 0, or -1 and a note why there is no figure. */
int sample_child(compare_t* compare, size_t cell, size_t target, sample_t* sample);

#endif /* UVDIO_BENCH_COMPARE_SAMPLE_H */
