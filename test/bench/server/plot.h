/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench server measured, as pictures.
 */
#ifndef UVDIO_BENCH_SERVER_PLOT_H
#define UVDIO_BENCH_SERVER_PLOT_H

#include "server/model.h"

/* Writes results.json, data, gnuplot's scripts and pictures into server->plot. Returns the exit
 * code. */
int server_plot(const server_bench_t* server);

#endif /* UVDIO_BENCH_SERVER_PLOT_H */
