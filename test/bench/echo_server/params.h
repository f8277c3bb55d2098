/* SPDX-License-Identifier: MIT */
/*
 * The parameters of an echo server: connections, background I/O, and the load of the threadpool.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_PARAMS_H
#define UVDIO_BENCH_ECHO_SERVER_PARAMS_H

#include <jansson.h>
#include <stdint.h>

#include "harness/work.h"

#define ECHO_SERVER_CONNECTIONS_MAX 512
#define ECHO_SERVER_MESSAGES_MAX 100000 /* per second, over all connections */
#define POOL_LOAD_MAX 2048

typedef enum {
  POOL_LOAD_NONE,
  POOL_LOAD_SLEEP, /* wait, as for a slow name server */
  POOL_LOAD_CPU    /* compute */
} pool_load_kind_t;

#define POOL_LOAD_KIND_COUNT 3

/* "none", "sleep", "cpu" */
const char* pool_load_kind_text(pool_load_kind_t kind);
int pool_load_kind_parse(const char* text, pool_load_kind_t* kind);

typedef struct echo_server_params_s {
  const char* variant;    /* by what the background I/O is done: "none", "ring", "pool", "uv" */
  work_params_t work;     /* the files, and what is done with them at which depth */
  uint64_t rate;          /* background operations per second; 0: as many as go */
  unsigned callbacks_max; /* of the library; 0: its default */
  unsigned busy_poll_us;  /* of the library on the ring */
  unsigned connections;   /* 0: no echo */
  unsigned messages;      /* per second, over all connections */
  pool_load_kind_t load_kind;
  unsigned load_count; /* always so many with the threadpool */
  unsigned load_ms;
  uint64_t warmup_ns;
  uint64_t duration_ns;
} echo_server_params_t;

json_t* echo_server_params_pack(const echo_server_params_t* params);

/* Strings stay those of `json`. Returns 0, or -1 where something is missing or out of bounds. */
int echo_server_params_unpack(json_t* json, echo_server_params_t* params);

#endif /* UVDIO_BENCH_ECHO_SERVER_PARAMS_H */
