/* SPDX-License-Identifier: MIT */
/*
 * External programs: fio and qemu-img do the same work on the same files, as far as they can.
 */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cli/cli.h"
#include "compare/external.h"
#include "compare/model.h"
#include "harness/child.h"
#include "harness/json.h"
#include "harness/notes.h"
#include "harness/work.h"
#include "uvdio.h"

/* A list of arguments made of formats, for a child. */
typedef struct {
  char** argv;
  size_t count;
  int failed; /* out of memory */
} arguments_t;

static void append(arguments_t* arguments, char* text) {
  char** argv = realloc(arguments->argv, (arguments->count + 2) * sizeof *argv);
  arguments->failed |= argv == NULL || text == NULL;
  arguments->argv = argv != NULL ? argv : arguments->argv;
  if (argv == NULL) {
    free(text);
    return;
  }
  argv[arguments->count++] = text;
  argv[arguments->count] = NULL;
}

static void add_argument(arguments_t* arguments, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
static void add_argument(arguments_t* arguments, const char* format, ...) {
  va_list list;
  va_start(list, format);
  int length = vsnprintf(NULL, 0, format, list);
  va_end(list);
  char* text = malloc((size_t)length + 1);
  va_start(list, format);
  if (text != NULL) {
    vsnprintf(text, (size_t)length + 1, format, list);
  }
  va_end(list);
  append(arguments, text);
}

/* Runs the program and frees the arguments. Returns 0, or -1 and a note. */
static int run_external(compare_t* compare, const char* program, arguments_t* arguments,
                        child_t* child) {
  int error =
      arguments->failed ? UV_ENOMEM : child_run((const char* const*)arguments->argv, 0, child);
  for (size_t i = 0; i < arguments->count; i++) {
    free(arguments->argv[i]);
  }
  free(arguments->argv);
  if (error != 0) {
    notes_add(&compare->notes, "%s could not be started: %s.", program, uvdio_strerror(error));
  }
  return error == 0 ? 0 : -1;
}

/*
 * fio
 */

static const char* fio_pattern(work_kind_t kind) {
  switch (kind) {
    case WORK_RANDOM_READ:
      return "--rw=randread";
    case WORK_SEQUENTIAL_READ:
      return "--rw=read";
    case WORK_RANDOM_WRITE:
      return "--rw=randwrite";
    case WORK_SEQUENTIAL_WRITE:
    case WORK_DURABLE_WRITE:
      return "--rw=write";
    case WORK_MIXED:
      return "--rw=randrw";
  }
  return "--rw=randread";
}

/* What costs fio time without changing the work is switched off; what our own targets do at each
 * operation, a look at the clock and a histogram, stays. Buffers are filled once, before the clock
 * starts. */
static void add_fio_costs(arguments_t* arguments) {
  static const char* const constant[] = {
      "--direct=1",
      "--invalidate=0",
      "--allow_file_create=0",
      "--norandommap",
      "--scramble_buffers=0",
      "--random_generator=tausworthe64",
      "--thread",
      "--group_reporting",
      "--lat_percentiles=1",
      "--clat_percentiles=0",
      "--disable_bw_measurement=1",
      "--output-format=json",
      "--time_based",
  };
  for (size_t i = 0; i < CLI_COUNT_OF(constant); i++) {
    add_argument(arguments, "%s", constant[i]);
  }
}

/* Files are taken in turn where offsets are in order, and at random otherwise, as by our own
 * targets. libaio opens a file when it is first used: a second for 10,000 of them passes before the
 * clock starts. */
static void add_fio_files(const work_params_t* params, arguments_t* arguments) {
  add_argument(arguments, "--directory=%s", params->directory);
  add_argument(arguments, "--filename_format=f.$filenum");
  add_argument(arguments, "--nrfiles=%u", params->files);
  add_argument(arguments, "--file_service_type=%s",
               work_is_random(params->kind) ? "random" : "roundrobin");
  add_argument(arguments, "--size=%llu", (unsigned long long)(params->file_size * params->files));
  if (params->files > 1) {
    add_argument(arguments, "--ramp_time=%ums", params->files / 10 + 1);
  }
}

/* A section for each loop. (With --numjobs, fio 3.33 leaves all but the first without a file here:
 * they do nothing.) In order, each begins at a place of its own. A section's name must not be that
 * of a file. */
static void add_fio_loops(const work_params_t* params, arguments_t* arguments) {
  uint64_t blocks = params->file_size / params->block_size;
  for (unsigned i = 0; i < params->loops; i++) {
    uint64_t offset = blocks / params->loops * i * params->block_size;
    add_argument(arguments, "--name=uvdio-loop-%u", i);
    if (!work_is_random(params->kind)) { /* to the end of the files, and from there on again */
      add_argument(arguments, "--offset=%llu", (unsigned long long)offset);
      add_argument(arguments, "--size=%llu",
                   (unsigned long long)((params->file_size - offset) * params->files));
    }
  }
}

static void fio_arguments(const work_params_t* params, const char* engine, arguments_t* arguments) {
  add_argument(arguments, "fio");
  add_argument(arguments, "--ioengine=%s", engine);
  add_fio_costs(arguments);
  add_fio_files(params, arguments);
  add_argument(arguments, "%s", fio_pattern(params->kind));
  add_argument(arguments, "--bs=%zu", params->block_size);
  add_argument(arguments, "--iodepth=%u", params->depth);
  add_argument(arguments, "--iodepth_batch_complete_max=%u", params->depth);
  add_argument(arguments, "--runtime=%llums", (unsigned long long)(params->duration_ns / 1000000));
  if (strcmp(engine, "io_uring") == 0) {
    add_argument(arguments, "--fixedbufs=1");
    add_argument(arguments, "--registerfiles=1");
  }
  if (params->kind == WORK_DURABLE_WRITE) {
    add_argument(arguments, "--sync=dsync");
  }
  if (params->kind == WORK_MIXED) {
    add_argument(arguments, "--rwmixread=70");
  }
  if (params->pin) {
    unsigned processors = uv_available_parallelism();
    add_argument(arguments, "--cpus_allowed=0-%u",
                 (params->loops < processors ? params->loops : processors) - 1);
    add_argument(arguments, "--cpus_allowed_policy=split");
  }
  add_fio_loops(params, arguments);
}

static int take_fio(const json_t* json, sample_t* sample) {
  const json_t* job = json_array_get(json_object_get(json, "jobs"), 0);
  double reads = json_number_at(job, "read/total_ios");
  double writes = json_number_at(job, "write/total_ios");
  const json_t* side =
      json_object_get(job, reads > 0 ? "read" : "write"); /* of mixed work: the reads */
  double cpu_share = (json_number_at(job, "usr_cpu") + json_number_at(job, "sys_cpu")) / 100;
  if (!(reads + writes > 0)) {
    return -1;
  }
  sample->iops = json_number_at(job, "read/iops") + json_number_at(job, "write/iops");
  sample->p50_us = json_number_at(side, "lat_ns/percentile/50.000000") / 1e3;
  sample->p99_us = json_number_at(side, "lat_ns/percentile/99.000000") / 1e3;
  sample->p999_us = json_number_at(side, "lat_ns/percentile/99.900000") / 1e3;
  sample->cpu_us_per_op = cpu_share * json_number_at(job, "job_runtime") * 1e3 / (reads + writes);
  return 0;
}

int sample_fio(compare_t* compare, size_t cell, size_t target, sample_t* sample) {
  work_params_t params = compare_params(compare, cell);
  arguments_t arguments = {0};
  child_t child;
  if (params.files > 1 && !work_is_random(params.kind)) {
    notes_add(&compare->notes,
              "fio closes a file at its end and opens it again: with several files, in order, it "
              "does more.");
  }
  fio_arguments(&params, compare->targets[target]->detail, &arguments);
  if (run_external(compare, "fio", &arguments, &child) != 0) {
    return -1;
  }
  const char* begin = strchr(child.output, '{'); /* warnings may come first */
  json_t* json = begin != NULL ? json_loads(begin, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
  int result = child.code == 0 ? take_fio(json, sample) : -1;
  if (result != 0 && child_signal() == 0) {
    notes_add(&compare->notes, "%s did not run (exit code %d).", compare->targets[target]->name,
              child.code);
  }
  json_decref(json);
  free(child.output);
  return result;
}

/*
 * qemu-img
 */

/* It runs a number of operations, not for a time: as many as this cell's last figure tells. */
static uint64_t expected_operations(const compare_t* compare, size_t cell, size_t target) {
  double iops = NAN;
  for (size_t i = 0; i < compare->target_count; i++) {
    const row_t* row = compare_row(compare, cell, i);
    if (row->sample_count > 0 && (isnan(iops) || i == target)) {
      iops = row->samples[row->sample_count - 1].iops;
    }
  }
  double count = (isnan(iops) ? 2000 : iops) * (double)compare->params.duration_ns / 1e9;
  return count > 16 ? (uint64_t)count : 16;
}

/* Its only patterns are strides. One of 0.618 of the file visits blocks in an order that nothing
 * reads ahead. */
static uint64_t stride(const work_params_t* params) {
  uint64_t blocks = params->file_size / params->block_size;
  return (work_is_random(params->kind) ? (uint64_t)((double)blocks * 0.618) | 1 : 1) *
         params->block_size;
}

static void qemu_arguments(const work_params_t* params, uint64_t count, arguments_t* arguments) {
  char path[4096];
  work_path(params, 0, path, sizeof path);
  add_argument(arguments, "qemu-img");
  add_argument(arguments, "bench");
  add_argument(arguments, "-fraw");
  add_argument(arguments, "-tnone");
  add_argument(arguments, "-iio_uring");
  add_argument(arguments, "-c%llu", (unsigned long long)count);
  add_argument(arguments, "-d%u", params->depth);
  add_argument(arguments, "-s%zu", params->block_size);
  add_argument(arguments, "-S%llu", (unsigned long long)stride(params));
  if (work_writes(params->kind)) {
    add_argument(arguments, "-w");
  }
  add_argument(arguments, "%s", path);
}

static int qemu_can(const work_params_t* params) {
  return params->files == 1 && params->loops == 1 && params->kind != WORK_MIXED &&
         params->kind != WORK_DURABLE_WRITE;
}

int sample_qemu(compare_t* compare, size_t cell, size_t target, sample_t* sample) {
  work_params_t params = compare_params(compare, cell);
  arguments_t arguments = {0};
  child_t child;
  uint64_t count = expected_operations(compare, cell, target);
  if (!qemu_can(&params)) {
    notes_add(&compare->notes,
              "qemu-img can't do mixed or durable work, several files or several loops.");
    return -1;
  }
  qemu_arguments(&params, count, &arguments);
  if (run_external(compare, "qemu-img", &arguments, &child) != 0) {
    return -1;
  }
  const char* told = strstr(child.output, "completed in ");
  double seconds =
      told != NULL && child.code == 0 ? strtod(told + strlen("completed in "), NULL) : 0;
  sample->iops = seconds > 0 ? (double)count / seconds : NAN;
  if (seconds <= 0 && child_signal() == 0) {
    notes_add(&compare->notes, "qemu-img did not run (exit code %d).", child.code);
  }
  free(child.output);
  return seconds > 0 ? 0 : -1;
}
