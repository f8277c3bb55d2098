/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench compare measured, as tables and as JSON.
 */
#ifndef UVDIO_BENCH_COMPARE_REPORT_H
#define UVDIO_BENCH_COMPARE_REPORT_H

#include <jansson.h>

#include "compare/model.h"

int compare_print(const compare_t* compare);
json_t* compare_json(const compare_t* compare);

#endif /* UVDIO_BENCH_COMPARE_REPORT_H */
