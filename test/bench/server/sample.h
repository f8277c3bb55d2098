/* SPDX-License-Identifier: MIT */
/*
 * One figure, by `uvdio-bench echo-server`.
 */
#ifndef UVDIO_BENCH_SERVER_SAMPLE_H
#define UVDIO_BENCH_SERVER_SAMPLE_H

#include "server/model.h"

/* Runs one server and stores its figures. Returns 0, or -1 and a note why there are none. */
int server_sample(server_bench_t* server, server_row_t* row, figures_t* figures);

#endif /* UVDIO_BENCH_SERVER_SAMPLE_H */
