/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench log has measured, as tables, JSON and pictures. Each returns the exit code.
 */
#ifndef UVDIO_BENCH_LOG_REPORT_H
#define UVDIO_BENCH_LOG_REPORT_H

#include <jansson.h>

#include "log/model.h"

int commits_print(const commits_bench_t* bench);
json_t* commits_json(const commits_bench_t* bench);
int commits_plot(const commits_bench_t* bench);

#endif /* UVDIO_BENCH_LOG_REPORT_H */
