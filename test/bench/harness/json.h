/* SPDX-License-Identifier: MIT */
/*
 * Numbers in JSON, where NAN stands for a figure that there is none of.
 */
#ifndef UVDIO_BENCH_HARNESS_JSON_H
#define UVDIO_BENCH_HARNESS_JSON_H

#include <jansson.h>

/* A number anywhere below `json`, or NAN. `path` has slashes between the keys. */
double json_number_at(const json_t* json, const char* path);

/* Null for NAN and infinity. */
json_t* json_number_or_null(double value);

#endif /* UVDIO_BENCH_HARNESS_JSON_H */
