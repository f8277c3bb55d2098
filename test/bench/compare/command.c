/* SPDX-License-Identifier: MIT */
/*
 * The command that runs a target as a process of this program.
 */
#include <jansson.h>
#include <stdlib.h>

#include "compare/command.h"
#include "compare/model.h"
#include "harness/work.h"
#include "target/params.h"

void compare_child_environment(const compare_target_t* target) {
  (void)setenv("UV_THREADPOOL_SIZE", target->detail, 1);
}

int compare_child_argv(const compare_t* compare, size_t cell, size_t target, uint64_t operations,
                       const char* argv[4], char** text) {
  work_params_t params = compare_params(compare, cell);
  params.target = compare->targets[target]->name;
  params.operations = operations;
  json_t* json = target_params_pack(&params);
  *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  argv[0] = compare->program;
  argv[1] = "target";
  argv[2] = *text;
  argv[3] = NULL;
  return *text != NULL ? 0 : -1;
}
