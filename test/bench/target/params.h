/* SPDX-License-Identifier: MIT */
/*
 * The parameters of `uvdio-bench target`, as JSON.
 */
#ifndef UVDIO_BENCH_TARGET_PARAMS_H
#define UVDIO_BENCH_TARGET_PARAMS_H

#include <jansson.h>

#include "harness/work.h"

json_t* target_params_pack(const work_params_t* params);

/* Strings stay those of `json`. Returns 0, or -1 where something is missing or out of bounds. */
int target_params_unpack(json_t* json, work_params_t* params);

#endif /* UVDIO_BENCH_TARGET_PARAMS_H */
