/*
 * One figure: a process with a server, which starts the one with its clients.
 */
#include <stdlib.h>
#include <string.h>

#include "server.h"

static char* params_text(const server_t* server, const server_row_t* row) {
  const serve_params_t* params = &server->params;
  const work_params_t* work = &params->work;
  int with_echo = row->part == PART_ECHO;
  works_kind_t works_kind = row->part == PART_BUSY ? params->works_kind : WORKS_NONE;
  json_t* json = json_pack(
      "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "variant", row->variant,
      "directory", work->directory, "operation", work_kind_text(work->kind), "depth", (json_int_t)work->depth,
      "block_size", (json_int_t)work->block_size, "file_size", (json_int_t)work->file_size, "seed",
      (json_int_t)work->seed, "rate", (json_int_t)(with_echo ? params->rate : 0), "callbacks_max",
      (json_int_t)params->callbacks_max, "busy_poll_us", (json_int_t)params->busy_poll_us, "connections",
      (json_int_t)(with_echo ? params->connections : 0), "messages", (json_int_t)params->messages, "works_kind",
      works_kind_text(works_kind), "works", (json_int_t)params->works, "works_ms", (json_int_t)params->works_ms, "warmup_ns",
      (json_int_t)params->warmup_ns, "duration_ns", (json_int_t)params->duration_ns);
  char* text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  return text;
}

static double number_in(const json_t* json, const char* key) {
  const json_t* value = json_object_get(json, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

static int take_figures(server_t* server, server_row_t* row, const json_t* json, figures_t* figures) {
  const char* failed = json_string_value(json_object_get(json, "failed"));
  const char* executed_by = json_string_value(json_object_get(json, "executed_by"));
  const json_t* echo = json_object_get(json, "echo");
  int has_io = strcmp(row->variant, "none") != 0;
  if (failed != NULL) {
    notes_add(&server->notes, "%s: %s: %s.", row->variant, failed,
              json_string_value(json_object_get(json, "message")));
    return -1;
  }
  *figures = (figures_t){.messages_per_s = number_in(echo, "messages_per_s"),
                         .echo_p50_us = number_in(echo, "p50_us"),
                         .echo_p99_us = number_in(echo, "p99_us"),
                         .echo_p999_us = number_in(echo, "p999_us"),
                         .late_p99_us = number_in(echo, "late_p99_us"),
                         .iops = has_io ? number_in(json, "iops") : NAN,
                         .io_p50_us = has_io ? number_in(json, "p50_us") : NAN,
                         .io_p99_us = has_io ? number_in(json, "p99_us") : NAN,
                         .processors = number_in(json, "processors")};
  if (executed_by != NULL) {
    snprintf(row->executed_by, sizeof row->executed_by, "%s", executed_by);
    if (strcmp(executed_by, row->variant) != 0) {
      notes_add(&server->notes,
                "%s: on this filesystem (%s) its reads and writes are executed by the %s. Choose ext4, xfs or btrfs.",
                row->variant, server->place.filesystem, executed_by);
    }
  }
  return 0;
}

int server_sample(server_t* server, server_row_t* row, figures_t* figures) {
  char threads[16];
  child_t child;
  char* text = params_text(server, row);
  const char* const argv[] = {server->program, "bench-serve", text, NULL};
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
