/* SPDX-License-Identifier: MIT */
/*
 * Work that keeps the threadpool's threads occupied.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_POOL_LOAD_H
#define UVDIO_BENCH_ECHO_SERVER_POOL_LOAD_H

#include <stdint.h>
#include <uv.h>

#include "echo_server/state.h"

typedef struct pool_load_s {
  echo_server_t* server;
  uv_work_t* requests;
  uint64_t done; /* while measuring */
  int stopping;
} pool_load_t;

int pool_load_open(pool_load_t* load, echo_server_t* server);
int pool_load_begin(pool_load_t* load);
void pool_load_stop(pool_load_t* load);
void pool_load_close(pool_load_t* load);

#endif /* UVDIO_BENCH_ECHO_SERVER_POOL_LOAD_H */
