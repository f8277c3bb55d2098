/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench server measured: tables, the verdict in words, JSON.
 */
#ifndef UVDIO_BENCH_SERVER_REPORT_H
#define UVDIO_BENCH_SERVER_REPORT_H

#include <jansson.h>

#include "server/model.h"

int server_print(const server_bench_t* server);
json_t* server_json(const server_bench_t* server);

#endif /* UVDIO_BENCH_SERVER_REPORT_H */
