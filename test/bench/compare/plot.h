/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench compare measured, as pictures.
 */
#ifndef UVDIO_BENCH_COMPARE_PLOT_H
#define UVDIO_BENCH_COMPARE_PLOT_H

#include "compare/model.h"

/* Writes results.json, data, gnuplot's script and pictures into compare->plot. Returns the exit
 * code. */
int compare_plot(const compare_t* compare);

#endif /* UVDIO_BENCH_COMPARE_PLOT_H */
