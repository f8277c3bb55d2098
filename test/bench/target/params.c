/* SPDX-License-Identifier: MIT */
/*
 * The parameters of a process that runs a target, as JSON: packed by the one side and unpacked by
 * the other.
 */
#include <jansson.h>

#include "harness/work.h"
#include "target/params.h"
#include "uvdio.h"

json_t* target_params_pack(const work_params_t* params) {
  return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "target",
                   params->target, "directory", params->directory, "operation",
                   work_kind_text(params->kind), "files", (json_int_t)params->files, "loops",
                   (json_int_t)params->loops, "depth", (json_int_t)params->depth, "block_size",
                   (json_int_t)params->block_size, "file_size", (json_int_t)params->file_size,
                   "duration_ns", (json_int_t)params->duration_ns, "operations",
                   (json_int_t)params->operations, "seed", (json_int_t)params->seed, "pin",
                   params->pin, "huge_pages", params->huge_pages);
}

int target_params_unpack(json_t* json, work_params_t* params) {
  const char* kind = "";
  json_int_t files = 1, loops = 1, depth = 1, block = UVDIO_PAGE_SIZE, size = 0, duration = 0,
             operations = 0;
  json_int_t seed = 1;
  int pin = 0, huge_pages = 0;
  int error = json_unpack(json, "{s:s, s:s, s:s, s?I, s?I, s?I, s?I, s:I, s?I, s?I, s?I, s?b, s?b}",
                          "target", &params->target, "directory", &params->directory, "operation",
                          &kind, "files", &files, "loops", &loops, "depth", &depth, "block_size",
                          &block, "file_size", &size, "duration_ns", &duration, "operations",
                          &operations, "seed", &seed, "pin", &pin, "huge_pages", &huge_pages);
  if (error != 0 || work_kind_parse(kind, &params->kind) != 0 || files < 1 ||
      files > WORK_FILES_MAX || loops < 1 || loops > WORK_LOOPS_MAX || depth < 1 ||
      depth > WORK_DEPTH_MAX || block < 1 || size < block) {
    return -1;
  }
  params->files = (unsigned)files;
  params->loops = (unsigned)loops;
  params->depth = (unsigned)depth;
  params->block_size = (size_t)block;
  params->file_size = (uint64_t)size;
  params->duration_ns = (uint64_t)duration;
  params->operations = (uint64_t)operations;
  params->seed = (uint64_t)seed;
  params->pin = pin;
  params->huge_pages = huge_pages;
  return duration > 0 || operations > 0 ? 0 : -1;
}
