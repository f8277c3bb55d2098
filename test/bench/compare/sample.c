/* SPDX-License-Identifier: MIT */
/*
 * One figure of one target in one cell, by a process of this program.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "compare/command.h"
#include "compare/model.h"
#include "compare/sample.h"
#include "harness/child.h"
#include "harness/json.h"
#include "harness/notes.h"
#include "uvdio.h"

static int take_child(compare_t* compare, size_t cell, size_t target, json_t* json,
                      sample_t* sample) {
  row_t* row = compare_row(compare, cell, target);
  const char* name = compare->targets[target]->name;
  const char* failed = json_string_value(json_object_get(json, "failed"));
  if (failed != NULL) {
    notes_add(&compare->notes, "%s in blocks of %zu at depth %u: %s: %s.", name,
              compare->cells[cell].block_size, compare->cells[cell].depth, failed,
              json_string_value(json_object_get(json, "message")));
    return -1;
  }
  sample->iops = json_number_at(json, "iops");
  sample->p50_us = json_number_at(json, "p50_us");
  sample->p99_us = json_number_at(json, "p99_us");
  sample->p999_us = json_number_at(json, "p999_us");
  sample->cpu_us_per_op = json_number_at(json, "cpu_us_per_op");
  sample->rss_kib = json_number_at(json, "rss_kib");
  const char* executed_by = json_string_value(json_object_get(json, "executed_by"));
  if (executed_by != NULL) {
    snprintf(row->executed_by, sizeof row->executed_by, "%s", executed_by);
  }
  if (executed_by != NULL && strncmp(executed_by, name, strlen(executed_by)) != 0) {
    notes_add(&compare->notes, "%s: its reads and writes were executed by %s.", name, executed_by);
  }
  const char* unregistered = json_string_value(json_object_get(json, "unregistered"));
  if (unregistered != NULL) {
    notes_add(&compare->notes, "%s in blocks of %zu: its buffers were not registered: %s.", name,
              compare->cells[cell].block_size, unregistered);
  }
  json_decref(row->first_engine);
  row->first_engine = json_incref(json_object_get(json, "first_engine"));
  return 0;
}

int sample_child(compare_t* compare, size_t cell, size_t target, sample_t* sample) {
  const char* argv[4];
  char* text;
  child_t child;
  compare_child_environment(compare->targets[target]);
  int error = compare_child_argv(compare, cell, target, 0, argv, &text);
  error = error != 0 ? UV_ENOMEM : child_run(argv, 1, &child);
  free(text);
  if (error != 0) {
    notes_add(&compare->notes, "%s could not be started: %s.", compare->targets[target]->name,
              uvdio_strerror(error));
    return -1;
  }
  json_t* json = json_loads(child.output, 0, NULL);
  if (json == NULL && child_signal() == 0) {
    notes_add(&compare->notes, "%s ended with exit code %d and told nothing.",
              compare->targets[target]->name, child.code);
  }
  int result = json != NULL ? take_child(compare, cell, target, json, sample) : -1;
  json_decref(json);
  free(child.output);
  return result;
}
