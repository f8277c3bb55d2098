/* SPDX-License-Identifier: MIT */
/*
 * One figure: a process with a server, which starts the one with its clients.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "echo_server/params.h"
#include "harness/child.h"
#include "harness/json.h"
#include "harness/notes.h"
#include "server/model.h"
#include "server/sample.h"
#include "uvdio.h"

/* What this row is about, and nothing else. */
static char* params_text(const server_bench_t* server, const server_row_t* row) {
  echo_server_params_t params = server->params;
  params.variant = row->variant;
  if (row->part != PART_ECHO) {
    params.rate = 0;
    params.connections = 0;
  }
  if (row->part != PART_BUSY) {
    params.load_kind = POOL_LOAD_NONE;
  }
  json_t* json = echo_server_params_pack(&params);
  char* text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  return text;
}

static int take_figures(server_bench_t* server, server_row_t* row, const json_t* json,
                        figures_t* figures) {
  const char* failed = json_string_value(json_object_get(json, "failed"));
  const char* executed_by = json_string_value(json_object_get(json, "executed_by"));
  const json_t* echo = json_object_get(json, "echo");
  int has_io = strcmp(row->variant, "none") != 0;
  if (failed != NULL) {
    notes_add(&server->notes, "%s: %s: %s.", row->variant, failed,
              json_string_value(json_object_get(json, "message")));
    return -1;
  }
  *figures = (figures_t){.messages_per_s = json_number_at(echo, "messages_per_s"),
                         .echo_p50_us = json_number_at(echo, "p50_us"),
                         .echo_p99_us = json_number_at(echo, "p99_us"),
                         .echo_p999_us = json_number_at(echo, "p999_us"),
                         .late_p99_us = json_number_at(echo, "late_p99_us"),
                         .iops = has_io ? json_number_at(json, "iops") : NAN,
                         .io_p50_us = has_io ? json_number_at(json, "p50_us") : NAN,
                         .io_p99_us = has_io ? json_number_at(json, "p99_us") : NAN,
                         .processors = json_number_at(json, "processors")};
  if (executed_by != NULL) {
    snprintf(row->executed_by, sizeof row->executed_by, "%s", executed_by);
    if (strcmp(executed_by, row->variant) != 0) {
      notes_add(&server->notes,
                "%s: on this filesystem (%s) its reads and writes are executed by the %s. Choose "
                "ext4, xfs or btrfs.",
                row->variant, server->scratch.filesystem, executed_by);
    }
  }
  return 0;
}

int server_sample(server_bench_t* server, server_row_t* row, figures_t* figures) {
  char threads[16];
  child_t child;
  char* text = params_text(server, row);
  const char* const argv[] = {server->program, "echo-server", text, NULL};
  snprintf(threads, sizeof threads, "%u", server->threads);
  (void)setenv("UV_THREADPOOL_SIZE", threads, 1);
  int error = text != NULL ? child_run(argv, 1, &child) : UV_ENOMEM;
  free(text);
  if (error != 0) {
    notes_add(&server->notes, "%s could not be started: %s.", row->variant, uvdio_strerror(error));
    return -1;
  }
  json_t* json = json_loads(child.output, 0, NULL);
  int ended_well = json != NULL && child.code == 0;
  if (!ended_well && child_signal() == 0) {
    notes_add(&server->notes, "%s ended with exit code %d.", row->variant, child.code);
  }
  int result = ended_well ? take_figures(server, row, json, figures) : -1;
  json_decref(json);
  free(child.output);
  return result;
}
