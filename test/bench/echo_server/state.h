/* SPDX-License-Identifier: MIT */
/*
 * What all parts of an echo server know of each other: one loop that echoes messages over TCP,
 * reads or writes files in the background, and has work for the threadpool.
 *
 * All parts begin when the last connection was accepted. What happens during the warm-up is not
 * measured, and the background goes on until the last echo is back.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_STATE_H
#define UVDIO_BENCH_ECHO_SERVER_STATE_H

#include <jansson.h>
#include <uv.h>

#include "echo_server/params.h"

typedef struct echo_server_s echo_server_t;

/* What the parts tell the process, which knows them all (process.c). */
typedef struct echo_server_events_s {
  void (*failed)(echo_server_t* server);
  void (*connected)(echo_server_t* server); /* the last connection was accepted */
  void (*clients_ended)(echo_server_t* server,
                        json_t* json); /* what the clients told, or null; is given up */
} echo_server_events_t;

struct echo_server_s {
  echo_server_params_t params;
  const echo_server_events_t* events;
  uv_loop_t loop;
  int recording;       /* operations count for the figures */
  int error;           /* what went wrong first: a code, or 0 */
  const char* failure; /* at which call */
};

/* Notes the first failure, and tells of it. */
void echo_server_fail(echo_server_t* server, const char* failure, int error);

#endif /* UVDIO_BENCH_ECHO_SERVER_STATE_H */
