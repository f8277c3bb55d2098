/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench scaling measured: tables and JSON.
 */
#ifndef UVDIO_BENCH_SCALING_REPORT_H
#define UVDIO_BENCH_SCALING_REPORT_H

#include <jansson.h>

#include "scaling/model.h"

int scaling_print(const scaling_t* scaling);
json_t* scaling_json(const scaling_t* scaling);

#endif /* UVDIO_BENCH_SCALING_REPORT_H */
