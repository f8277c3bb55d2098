/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench echo-server JSON: the server, once.
 *
 *   open          the file, the echo's port, the clients
 *   begin         background I/O and work for the threads, when all connections are there
 *   warm          figures are taken from here ...
 *   measured      ... to here; all goes on as it was
 *   stop          when the last echo is back (without clients: at once)
 */
#include <assert.h>
#include <jansson.h>
#include <string.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/meter.h"
#include "cli/report.h"
#include "echo_server/echo.h"
#include "echo_server/io.h"
#include "echo_server/io_uv.h"
#include "echo_server/io_uvdio.h"
#include "echo_server/params.h"
#include "echo_server/pool_load.h"
#include "echo_server/process.h"
#include "echo_server/state.h"
#include "uvdio.h"

typedef struct process_s {
  echo_server_t server; /* first: process_of() */
  uv_timer_t clock;
  io_t io;
  pool_load_t load;
  echo_t echo;
  meter_t usage;
  double cpu_us;
  double window_s; /* what was measured; 0: not yet */
  int clients_ended;
  int stopped;
  json_t* clients; /* what they told */
} process_t;

static process_t* process_of(echo_server_t* server) {
  return (process_t*)server;
}

static void stop(process_t* process) {
  if (process->stopped) {
    return;
  }
  process->stopped = 1;
  uv_close((uv_handle_t*)&process->clock, NULL);
  io_stop(&process->io);
  pool_load_stop(&process->load);
  echo_stop(&process->echo);
}

static void on_failed(echo_server_t* server) {
  stop(process_of(server));
}

static void stop_if_ended(process_t* process) {
  int clients_ended = process->server.params.connections == 0 || process->clients_ended;
  if (clients_ended && process->window_s > 0) {
    stop(process);
  }
}

static void on_measured(uv_timer_t* clock) {
  process_t* process = clock->data;
  process->cpu_us = meter_cpu_us(&process->usage);
  process->window_s = (double)(uv_hrtime() - process->usage.started_ns) / 1e9;
  process->server.recording = 0;
  stop_if_ended(process);
}

static void on_warm(uv_timer_t* clock) {
  process_t* process = clock->data;
  meter_start(&process->usage);
  process->server.recording = 1;
  (void)uv_timer_start(clock, on_measured, process->server.params.duration_ns / 1000000, 0);
}

static void begin(process_t* process) {
  int error = pool_load_begin(&process->load);
  if (error != 0) {
    echo_server_fail(&process->server, "uv_queue_work", error);
    return;
  }
  uv_update_time(&process->server.loop);
  (void)uv_timer_start(&process->clock, on_warm, process->server.params.warmup_ns / 1000000, 0);
  io_begin(&process->io);
}

static void on_clients_ended(echo_server_t* server, json_t* json) {
  process_t* process = process_of(server);
  process->clients = json;
  process->clients_ended = 1;
  if (json == NULL || json_object_get(json, "failed") != NULL) {
    echo_server_fail(&process->server, "clients, which told nothing", UV_EIO);
    return;
  }
  stop_if_ended(process);
}

static void on_connected(echo_server_t* server) {
  begin(process_of(server));
}

/*
 * The process.
 */

/* Null for no I/O. */
static const io_means_t* find_means(const char* variant) {
  static const io_means_t* const all_means[] = {&io_ring, &io_pool, &io_uv};
  for (size_t i = 0; i < CLI_COUNT_OF(all_means); i++) {
    if (strcmp(all_means[i]->name, variant) == 0) {
      return all_means[i];
    }
  }
  return NULL;
}

static void open_parts(process_t* process) {
  int error = io_open(&process->io, &process->server, find_means(process->server.params.variant));
  error = error == 0 ? pool_load_open(&process->load, &process->server) : error;
  if (error != 0) {
    echo_server_fail(&process->server, "open file and buffers", error);
    return;
  }
  if (process->server.params.connections == 0) {
    begin(process);
    return;
  }
  error = echo_open(&process->echo, &process->server);
  if (error != 0) {
    echo_server_fail(&process->server, "listen and start the clients", error);
  }
}

static json_t* outcome_json(const process_t* process) {
  const meter_t* meter = &process->io.work.meter;
  assert(process->window_s > 0);
  json_t* json = json_pack(
      "{s:I, s:f, s:f, s:f, s:f, s:I}", "operations", (json_int_t)meter->operations, "iops",
      (double)meter->operations / process->window_s, "p50_us", meter_quantile(meter, 0.5) / 1e3,
      "p99_us", meter_quantile(meter, 0.99) / 1e3, "processors",
      process->cpu_us / 1e6 / process->window_s, "load_done", (json_int_t)process->load.done);
  if (process->clients != NULL) {
    json_object_set(json, "echo", process->clients);
  }
  if (*process->io.executed_by != '\0') {
    json_object_set_new(json, "executed_by", json_string(process->io.executed_by));
  }
  return json;
}

static json_t* failure_json(const process_t* process) {
  if (json_object_get(process->clients, "failed") != NULL) {
    return json_incref(process->clients); /* they know more */
  }
  return json_pack("{s:s, s:s}", "failed", process->server.failure, "message",
                   uvdio_strerror(process->server.error));
}

static int tell(const process_t* process) {
  return report_json("echo-server",
                     process->server.error == 0 ? outcome_json(process) : failure_json(process));
}

static int run_server(process_t* process) {
  int error = uv_loop_init(&process->server.loop);
  if (error != 0) {
    return report_error("echo-server", "start", "a loop", error);
  }
  (void)uv_timer_init(&process->server.loop, &process->clock);
  process->clock.data = process;
  open_parts(process);
  (void)uv_run(&process->server.loop, UV_RUN_DEFAULT);
  int code = tell(process);
  io_close(&process->io);
  pool_load_close(&process->load);
  echo_close(&process->echo);
  json_decref(process->clients);
  error = uv_loop_close(&process->server.loop);
  return error == 0 ? code : report_error("echo-server", "close", "the loop", error);
}

int echo_server_main(int argc, char** argv) {
  static const echo_server_events_t events = {on_failed, on_connected, on_clients_ended};
  static process_t process; /* too large for some stacks */
  json_t* json = argc == 2 ? json_loads(argv[1], 0, NULL) : NULL;
  process.server.events = &events;
  if (json == NULL || echo_server_params_unpack(json, &process.server.params) != 0) {
    json_decref(json);
    return report_usage("echo-server",
                        "it is what `uvdio-bench server` starts, and takes its parameters");
  }
  int code = run_server(&process);
  json_decref(json);
  return code;
}
