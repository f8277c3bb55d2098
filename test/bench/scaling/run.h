/* SPDX-License-Identifier: MIT */
/*
 * One figure of uvdio-bench scaling.
 */
#ifndef UVDIO_BENCH_SCALING_RUN_H
#define UVDIO_BENCH_SCALING_RUN_H

#include <stdint.h>

#include "scaling/model.h"

/* Returns 0 or a code. */
int scaling_measure(const scaling_t* scaling, series_kind_t kind, uint64_t size,
                    scaling_figure_t* figure);

#endif /* UVDIO_BENCH_SCALING_RUN_H */
