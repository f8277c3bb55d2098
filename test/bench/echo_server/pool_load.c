/* SPDX-License-Identifier: MIT */
/*
 * Work that keeps the threadpool's threads occupied: there is always as much of it as was asked
 * for, in the queue or with a thread. It goes through uv_queue_work. uv_getaddrinfo would not do:
 * libuv lets it have half of the threads.
 */
#include <stdlib.h>
#include <uv.h>

#include "echo_server/params.h"
#include "echo_server/pool_load.h"
#include "echo_server/state.h"

/* On one of the threads. */
static void run(uv_work_t* request) {
  const pool_load_t* load = request->data;
  const echo_server_params_t* params = &load->server->params;
  if (params->load_kind == POOL_LOAD_SLEEP) {
    uv_sleep(params->load_ms);
    return;
  }
  uint64_t end_ns = uv_hrtime() + (uint64_t)params->load_ms * 1000000;
  while (uv_hrtime() < end_ns) {
  }
}

static void on_run(uv_work_t* request, int status) {
  pool_load_t* load = request->data;
  (void)status;
  load->done += load->server->recording != 0;
  if (!load->stopping) {
    int error = uv_queue_work(&load->server->loop, request, run, on_run);
    if (error != 0) {
      echo_server_fail(load->server, "uv_queue_work", error);
    }
  }
}

int pool_load_open(pool_load_t* load, echo_server_t* server) {
  load->server = server;
  load->requests = calloc(server->params.load_count + 1, sizeof *load->requests);
  return load->requests != NULL ? 0 : UV_ENOMEM;
}

int pool_load_begin(pool_load_t* load) {
  const echo_server_params_t* params = &load->server->params;
  int error = 0;
  for (unsigned i = 0; params->load_kind != POOL_LOAD_NONE && i < params->load_count && error == 0;
       i++) {
    load->requests[i].data = load;
    error = uv_queue_work(&load->server->loop, &load->requests[i], run, on_run);
  }
  return error;
}

void pool_load_stop(pool_load_t* load) {
  load->stopping = 1;
}

void pool_load_close(pool_load_t* load) {
  free(load->requests);
}
