/*
 * uvdio bench-serve JSON: the server, once.
 *
 *   open          the file, the echo's port, the clients
 *   begin         background I/O and work for the threads, when all connections are there
 *   warm          figures are taken from here ...
 *   measured      ... to here; all goes on as it was
 *   stop          when the last echo is back (without clients: at once)
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

static void stop(serve_t* serve) {
  if (serve->stopped) {
    return;
  }
  serve->stopped = 1;
  uv_close((uv_handle_t*)&serve->clock, NULL);
  io_stop(&serve->io);
  works_stop(&serve->works);
  echo_stop(&serve->echo);
}

void serve_fail(serve_t* serve, const char* failure, int error) {
  assert(error != 0);
  if (serve->error == 0) {
    serve->error = error;
    serve->failure = failure;
  }
  stop(serve);
}

static void stop_if_ended(serve_t* serve) {
  int clients_ended = serve->params.connections == 0 || serve->clients_ended;
  if (clients_ended && serve->window_s > 0) {
    stop(serve);
  }
}

static void on_measured(uv_timer_t* clock) {
  serve_t* serve = clock->data;
  serve->cpu_us = meter_cpu_us(&serve->usage);
  serve->window_s = (double)(uv_hrtime() - serve->usage.started_ns) / 1e9;
  serve->io.recording = 0;
  stop_if_ended(serve);
}

static void on_warm(uv_timer_t* clock) {
  serve_t* serve = clock->data;
  meter_start(&serve->usage);
  serve->io.recording = 1;
  (void)uv_timer_start(clock, on_measured, serve->params.duration_ns / 1000000, 0);
}

void serve_begin(serve_t* serve) {
  int error = works_begin(&serve->works);
  if (error != 0) {
    serve_fail(serve, "uv_queue_work", error);
    return;
  }
  uv_update_time(&serve->loop);
  (void)uv_timer_start(&serve->clock, on_warm, serve->params.warmup_ns / 1000000, 0);
  io_begin(&serve->io);
}

void serve_clients_ended(serve_t* serve, json_t* json) {
  serve->clients = json;
  serve->clients_ended = 1;
  if (json == NULL || json_object_get(json, "failed") != NULL) {
    serve_fail(serve, "clients, which told nothing", UV_EIO);
    return;
  }
  stop_if_ended(serve);
}

/*
 * The process.
 */

static void open_parts(serve_t* serve) {
  int error = io_open(&serve->io, serve);
  error = error == 0 ? works_open(&serve->works, serve) : error;
  if (error != 0) {
    serve_fail(serve, "open file and buffers", error);
    return;
  }
  if (serve->params.connections == 0) {
    serve_begin(serve);
    return;
  }
  error = echo_open(&serve->echo, serve);
  if (error != 0) {
    serve_fail(serve, "listen and start the clients", error);
  }
}

static json_t* outcome_json(const serve_t* serve) {
  const meter_t* meter = &serve->io.work.meter;
  assert(serve->window_s > 0);
  json_t* json = json_pack("{s:I, s:f, s:f, s:f, s:f, s:I}", "operations", (json_int_t)meter->operations, "iops",
                           (double)meter->operations / serve->window_s, "p50_us", meter_quantile(meter, 0.5) / 1e3,
                           "p99_us", meter_quantile(meter, 0.99) / 1e3, "processors",
                           serve->cpu_us / 1e6 / serve->window_s, "works", (json_int_t)serve->works.done);
  if (serve->clients != NULL) {
    json_object_set(json, "echo", serve->clients);
  }
  if (*serve->io.executed_by != '\0') {
    json_object_set_new(json, "executed_by", json_string(serve->io.executed_by));
  }
  return json;
}

static json_t* failure_json(const serve_t* serve) {
  if (json_object_get(serve->clients, "failed") != NULL) {
    return json_incref(serve->clients); /* they know more */
  }
  return json_pack("{s:s, s:s}", "failed", serve->failure, "message", uvdio_strerror(serve->error));
}

static int tell(const serve_t* serve) {
  return report_json("bench-serve", serve->error == 0 ? outcome_json(serve) : failure_json(serve));
}

static int run_server(serve_t* serve) {
  int error = uv_loop_init(&serve->loop);
  if (error != 0) {
    return report_error("bench-serve", "start", "a loop", error);
  }
  (void)uv_timer_init(&serve->loop, &serve->clock);
  serve->clock.data = serve;
  open_parts(serve);
  (void)uv_run(&serve->loop, UV_RUN_DEFAULT);
  int code = tell(serve);
  io_close(&serve->io);
  works_close(&serve->works);
  echo_close(&serve->echo);
  json_decref(serve->clients);
  error = uv_loop_close(&serve->loop);
  return error == 0 ? code : report_error("bench-serve", "close", "the loop", error);
}

static int unpack_params(json_t* json, serve_params_t* params) {
  const char* operation = "";
  const char* works_kind = "";
  json_int_t depth = 0, block = 0, size = 0, seed = 1, rate = 0, callbacks = 0, connections = 0, messages = 1;
  json_int_t busy_poll = 0, works = 0, works_ms = 1, warmup = 0, duration = 0;
  int error = json_unpack(
      json, "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "variant",
      &params->variant, "directory", &params->work.directory, "operation", &operation, "depth", &depth, "block_size",
      &block, "file_size", &size, "seed", &seed, "rate", &rate, "callbacks_max", &callbacks, "busy_poll_us",
      &busy_poll, "connections",
      &connections, "messages", &messages, "works_kind", &works_kind, "works", &works, "works_ms", &works_ms,
      "warmup_ns", &warmup, "duration_ns", &duration);
  if (error != 0 || work_kind_parse(operation, &params->work.kind) != 0 ||
      works_kind_parse(works_kind, &params->works_kind) != 0 || depth < 1 || depth > WORK_DEPTH_MAX || block < 1 ||
      size < block || connections < 0 || connections > SERVE_CONNECTIONS_MAX || works < 0 || works > SERVE_WORKS_MAX) {
    return -1;
  }
  params->work.files = 1;
  params->work.loops = 1;
  params->work.depth = (unsigned)depth;
  params->work.block_size = (size_t)block;
  params->work.file_size = (uint64_t)size;
  params->work.seed = (uint64_t)seed;
  params->rate = (uint64_t)rate;
  params->callbacks_max = (unsigned)callbacks;
  params->busy_poll_us = (unsigned)busy_poll;
  params->connections = (unsigned)connections;
  params->messages = (unsigned)messages;
  params->works = (unsigned)works;
  params->works_ms = (unsigned)works_ms;
  params->warmup_ns = (uint64_t)warmup;
  params->duration_ns = (uint64_t)duration;
  return duration >= 1000000 ? 0 : -1;
}

int serve_main(int argc, char** argv) {
  static serve_t serve; /* too large for some stacks */
  json_t* json = argc == 2 ? json_loads(argv[1], 0, NULL) : NULL;
  if (json == NULL || unpack_params(json, &serve.params) != 0) {
    json_decref(json);
    return report_usage("bench-serve", "it is what `uvdio bench --server` starts, and takes its parameters");
  }
  int code = run_server(&serve);
  json_decref(json);
  return code;
}
