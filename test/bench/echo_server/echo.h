/* SPDX-License-Identifier: MIT */
/*
 * The echo over TCP, and the process with its clients.
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_ECHO_H
#define UVDIO_BENCH_ECHO_SERVER_ECHO_H

#include <stddef.h>
#include <uv.h>

#include "echo_server/state.h"

typedef struct connection_s {
  struct echo_s* echo;
  uv_tcp_t tcp;
  uv_write_t write;
  int is_open;
  char bytes[4096];
} connection_t;

typedef struct echo_s {
  echo_server_t* server;
  uv_tcp_t listener;
  connection_t* connections;
  unsigned accepted;
  uv_process_t process;
  uv_pipe_t pipe; /* what the process with the clients tells */
  int is_running; /* that process */
  int is_telling;
  int is_stopped;
  char text[4096];
  size_t length;
} echo_t;

/* Listens and starts the clients. Returns 0 or a code. */
int echo_open(echo_t* echo, echo_server_t* server);
void echo_stop(echo_t* echo);
void echo_close(echo_t* echo);

#endif /* UVDIO_BENCH_ECHO_SERVER_ECHO_H */
