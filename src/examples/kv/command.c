/* SPDX-License-Identifier: MIT */
/*
 * A table of commands, with the number of arguments that each takes.
 */
#include "command.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct call_s {
  kv_store_t* store;
  kv_server_counts_t* counts;
  kv_request_t* request;
  kv_output_t* output;
} call_t;

static const kv_bytes_t* argument(const call_t* call, unsigned number) {
  return call->request->arguments[number];
}

static int is_word(const kv_bytes_t* bytes, const char* word) {
  return bytes->length == strlen(word) && strncasecmp(bytes->data, word, bytes->length) == 0;
}

static void say(const call_t* call, uint64_t change, const char* text) {
  kv_output_text(call->output, change, text, strlen(text));
}

/* All arguments up to this one are keys. Returns 0 where one is too long, after the reply. */
static int check_keys(const call_t* call, unsigned last) {
  for (unsigned i = 1; i <= last; i++) {
    if (argument(call, i)->length > KV_KEY_MAX) {
      kv_output_error(call->output, "ERR key is longer than %u bytes", KV_KEY_MAX);
      return 0;
    }
  }
  return 1;
}

static kv_action_t run_ping(const call_t* call) {
  if (call->request->count == 1) {
    say(call, 0, "+PONG\r\n");
  } else {
    kv_output_value(call->output, 0, call->request->arguments[1]);
  }
  return KV_GO_ON;
}

static kv_action_t run_get(const call_t* call) {
  const kv_bytes_t* key = argument(call, 1);
  kv_found_t found;

  if (!check_keys(call, 1)) {
    return KV_GO_ON;
  }
  found = kv_store_find(call->store, key->data, key->length);
  switch (found.place) {
    case KV_DELETED:
      say(call, found.change, "$-1\r\n");
      break;
    case KV_IN_MEMORY:
      kv_output_value(call->output, found.change, found.value);
      break;
    case KV_IN_FILE:
      kv_output_load(call->output, found.change, found.file, found.position, found.length);
      break;
  }
  return KV_GO_ON;
}

static kv_action_t run_set(const call_t* call) {
  const kv_bytes_t* key = argument(call, 1);
  kv_bytes_t* value = call->request->arguments[2];

  if (check_keys(call, 1)) {
    uint64_t change = kv_store_set(call->store, key->data, key->length, kv_bytes_hold(value));
    say(call, change, "+OK\r\n");
  }
  return KV_GO_ON;
}

static kv_action_t run_del(const call_t* call) {
  unsigned last = call->request->count - 1;
  uint64_t deleted = 0;
  uint64_t change = 0;

  if (!check_keys(call, last)) {
    return KV_GO_ON;
  }
  for (unsigned i = 1; i <= last; i++) {
    const kv_bytes_t* key = argument(call, i);
    int was_there;
    uint64_t its = kv_store_delete(call->store, key->data, key->length, &was_there);
    change = its > change ? its : change;
    deleted += was_there != 0;
  }
  kv_output_number(call->output, change, deleted);
  return KV_GO_ON;
}

static kv_action_t run_exists(const call_t* call) {
  unsigned last = call->request->count - 1;
  uint64_t there = 0;
  uint64_t change = 0;

  if (!check_keys(call, last)) {
    return KV_GO_ON;
  }
  for (unsigned i = 1; i <= last; i++) {
    const kv_bytes_t* key = argument(call, i);
    kv_found_t found = kv_store_find(call->store, key->data, key->length);
    change = found.change > change ? found.change : change;
    there += found.place != KV_DELETED;
  }
  kv_output_number(call->output, change, there);
  return KV_GO_ON;
}

/* What redis-benchmark asks for, as far as it is so here. */
static kv_action_t run_config(const call_t* call) {
  static const char* const pairs[][2] = {
      {"save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
      {"appendonly", "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"},
      {"appendfsync", "*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n"},
  };

  if (!is_word(argument(call, 1), "GET")) {
    kv_output_error(call->output, "ERR only CONFIG GET is known");
    return KV_GO_ON;
  }
  for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
    if (is_word(argument(call, 2), pairs[i][0])) {
      say(call, 0, pairs[i][1]);
      return KV_GO_ON;
    }
  }
  say(call, 0, "*0\r\n");
  return KV_GO_ON;
}

static kv_action_t run_command(const call_t* call) {
  say(call, 0, "*0\r\n");
  return KV_GO_ON;
}

static kv_action_t run_quit(const call_t* call) {
  say(call, 0, "+OK\r\n");
  return KV_QUIT;
}

static kv_action_t run_shutdown(const call_t* call) {
  (void)call; /* as Redis, without a reply */
  return KV_SHUTDOWN;
}

static int print_store(char* text, size_t size, const kv_store_t* store) {
  uvdio_log_stats_t log = {0};

  (void)uvdio_log_stats(store->log, &log);
  return snprintf(
      text, size,
      "# Persistence\r\nbackend:%s\r\nlog_flushes:%" PRIu64 "\r\nlog_flushed_bytes:%" PRIu64
      "\r\nlog_segments:%" PRIu64 "\r\nreplayed_records:%" PRIu64 "\r\nchanges:%" PRIu64
      "\r\ncheckpoints:%" PRIu64 "\r\ncompactions:%" PRIu64 "\r\ndata_file_bytes:%" PRIu64
      "\r\ndata_live_bytes:%" PRIu64 "\r\nmemory_bytes:%" PRIu64 "\r\n# Keyspace\r\nkeys:%" PRIu64
      "\r\n",
      uvdio_engine_backend(store->engine), log.flushes, log.flushed_bytes,
      log.last_segment - log.first_segment + 1, store->counts.replayed,
      store->batches.written_changes, store->counts.checkpoints, store->counts.compactions,
      store->end, store->live_bytes, store->memory_bytes, store->keys);
}

static kv_action_t run_info(const call_t* call) {
  const kv_server_counts_t* counts = call->counts;
  char text[2048];
  int length;
  kv_bytes_t* value;

  length =
      snprintf(text, sizeof(text),
               "# Server\r\nuvdio_version:%s\r\ntcp_port:%d\r\nuptime_in_seconds:%" PRIu64
               "\r\n# Clients\r\nconnected_clients:%u\r\n# Stats\r\n"
               "total_connections_received:%" PRIu64 "\r\ntotal_commands_processed:%" PRIu64 "\r\n",
               uvdio_version_string(), counts->port,
               (uv_now(uvdio_engine_loop(call->store->engine)) - counts->started_ms) / 1000,
               counts->clients, counts->connections, counts->commands);
  length += print_store(text + length, sizeof(text) - (size_t)length, call->store);
  assert(length > 0 && (size_t)length < sizeof(text));
  value = kv_bytes_create(text, (size_t)length);
  kv_output_value(call->output, 0, value);
  kv_bytes_drop(value);
  return KV_GO_ON;
}

typedef struct command_s {
  const char* name;
  unsigned least; /* arguments, with the name */
  unsigned most;
  kv_action_t (*run)(const call_t* call);
} command_t;

static const command_t commands[] = {
    {"SET", 3, 3, run_set},
    {"GET", 2, 2, run_get},
    {"DEL", 2, KV_ARGUMENTS_MAX, run_del},
    {"EXISTS", 2, KV_ARGUMENTS_MAX, run_exists},
    {"PING", 1, 2, run_ping},
    {"INFO", 1, KV_ARGUMENTS_MAX, run_info},
    {"CONFIG", 3, 3, run_config},
    {"COMMAND", 1, KV_ARGUMENTS_MAX, run_command},
    {"QUIT", 1, KV_ARGUMENTS_MAX, run_quit},
    {"SHUTDOWN", 1, 2, run_shutdown},
};

kv_action_t kv_command_run(kv_store_t* store, kv_server_counts_t* counts, kv_request_t* request,
                           kv_output_t* output) {
  call_t call = {store, counts, request, output};
  const kv_bytes_t* name;

  if (request->count == 0) {
    return KV_GO_ON; /* as Redis */
  }
  counts->commands++;
  name = request->arguments[0];
  for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
    if (is_word(name, commands[i].name)) {
      if (request->count < commands[i].least || request->count > commands[i].most) {
        kv_output_error(output, "ERR wrong number of arguments for '%s'", commands[i].name);
        return KV_GO_ON;
      }
      return commands[i].run(&call);
    }
  }
  kv_output_error(output, "ERR unknown command '%.*s'",
                  (int)(name->length < 64 ? name->length : 64), name->data);
  return KV_GO_ON;
}
