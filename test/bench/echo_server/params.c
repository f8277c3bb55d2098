/* SPDX-License-Identifier: MIT */
/*
 * The parameters of an echo server as JSON: packed by the one side and unpacked by the other.
 */
#include <jansson.h>
#include <string.h>

#include "echo_server/params.h"
#include "harness/work.h"

static const char* const kind_names[POOL_LOAD_KIND_COUNT] = {
    [POOL_LOAD_NONE] = "none", [POOL_LOAD_SLEEP] = "sleep", [POOL_LOAD_CPU] = "cpu"};

const char* pool_load_kind_text(pool_load_kind_t kind) {
  return kind_names[kind];
}

int pool_load_kind_parse(const char* text, pool_load_kind_t* kind) {
  for (int i = 0; i < POOL_LOAD_KIND_COUNT; i++) {
    if (strcmp(text, kind_names[i]) == 0) {
      *kind = (pool_load_kind_t)i;
      return 0;
    }
  }
  return -1;
}

json_t* echo_server_params_pack(const echo_server_params_t* params) {
  const work_params_t* work = &params->work;
  return json_pack(
      "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}",
      "variant", params->variant, "directory", work->directory, "operation",
      work_kind_text(work->kind), "depth", (json_int_t)work->depth, "block_size",
      (json_int_t)work->block_size, "file_size", (json_int_t)work->file_size, "seed",
      (json_int_t)work->seed, "rate", (json_int_t)params->rate, "callbacks_max",
      (json_int_t)params->callbacks_max, "busy_poll_us", (json_int_t)params->busy_poll_us,
      "connections", (json_int_t)params->connections, "messages", (json_int_t)params->messages,
      "load_kind", pool_load_kind_text(params->load_kind), "load_count",
      (json_int_t)params->load_count, "load_ms", (json_int_t)params->load_ms, "warmup_ns",
      (json_int_t)params->warmup_ns, "duration_ns", (json_int_t)params->duration_ns);
}

int echo_server_params_unpack(json_t* json, echo_server_params_t* params) {
  const char* operation = "";
  const char* load_kind = "";
  json_int_t depth = 0, block = 0, size = 0, seed = 1, rate = 0, callbacks = 0, connections = 0,
             messages = 1;
  json_int_t busy_poll = 0, load = 0, load_ms = 1, warmup = 0, duration = 0;
  int error = json_unpack(
      json, "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}",
      "variant", &params->variant, "directory", &params->work.directory, "operation", &operation,
      "depth", &depth, "block_size", &block, "file_size", &size, "seed", &seed, "rate", &rate,
      "callbacks_max", &callbacks, "busy_poll_us", &busy_poll, "connections", &connections,
      "messages", &messages, "load_kind", &load_kind, "load_count", &load, "load_ms", &load_ms,
      "warmup_ns", &warmup, "duration_ns", &duration);
  if (error != 0 || work_kind_parse(operation, &params->work.kind) != 0 ||
      pool_load_kind_parse(load_kind, &params->load_kind) != 0 || depth < 1 ||
      depth > WORK_DEPTH_MAX || block < 1 || size < block || connections < 0 ||
      connections > ECHO_SERVER_CONNECTIONS_MAX || load < 0 || load > POOL_LOAD_MAX) {
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
  params->load_count = (unsigned)load;
  params->load_ms = (unsigned)load_ms;
  params->warmup_ns = (uint64_t)warmup;
  params->duration_ns = (uint64_t)duration;
  return duration >= 1000000 ? 0 : -1;
}
