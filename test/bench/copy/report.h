/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench copy measured: table, JSON, picture.
 */
#ifndef UVDIO_BENCH_COPY_REPORT_H
#define UVDIO_BENCH_COPY_REPORT_H

#include <jansson.h>

#include "copy/model.h"

int copy_bench_print(const copy_bench_t* bench);
json_t* copy_bench_json(const copy_bench_t* bench);

/* Writes results.json, data, gnuplot's script and the picture into bench->plot. Returns the exit
 * code. */
int copy_bench_plot(const copy_bench_t* bench);

#endif /* UVDIO_BENCH_COPY_REPORT_H */
