/* SPDX-License-Identifier: MIT */
/*
 * The machine and the versions, which belong to every figure.
 */
#ifndef UVDIO_BENCH_HARNESS_ENVIRONMENT_H
#define UVDIO_BENCH_HARNESS_ENVIRONMENT_H

#include <jansson.h>

json_t* json_environment(void);

#endif /* UVDIO_BENCH_HARNESS_ENVIRONMENT_H */
