/* SPDX-License-Identifier: MIT */
/*
 * uvdio probe --measure: what keeps the device of a directory busy, as a device model
 * (uvdio/class.h).
 *
 * Random reads of 4 KiB and large reads and writes at growing depths, on a temporary file: of the
 * depths whose rate is nearly the best, the least is the one from which on more requests only wait.
 * Small writes are measured at that depth alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "bench.h"
#include "cli.h"
#include "measure.h"
#include "path.h"
#include "report.h"
#include "session.h"
#include "uvdio.h"
#include "uvdio/class.h"

#define FILE_SIZE ((uint64_t)128 * 1024 * 1024)
#define SMALL 4096
#define SMALL_WRITES ((uint64_t)16 * 1024 * 1024)
#define LARGE ((size_t)256 * 1024)
#define STEP_NS 200000000
#define SMALL_DEPTH_MAX 128
#define LARGE_DEPTH_MAX 32
/* Of the best rate: below that, a depth is too little. */
#define NEARLY 0.6

typedef struct {
  session_t* session;
  uvdio_file_t* file;
  const char* path;
  int failed;
} measurement_t;

/* Operations per second; 0 after a failure or a signal. */
static double rate_of(measurement_t* m, bench_operation_t operation, size_t block, unsigned depth,
                      uint64_t file_size) {
  bench_params_t params = {.operation = operation,
                           .block_size = block,
                           .depth = depth,
                           .file_size = file_size,
                           .duration_ns = STEP_NS,
                           .seed = depth};
  meter_figures_t figures = {0};
  bench_failure_t failure = {0};
  if (m->failed || m->session->signal != 0) {
    return 0;
  }
  if (bench_run(m->session, m->file, &params, &figures, &failure) != 0) {
    m->failed = 1;
    (void)report_error("probe", failure.operation, m->path, failure.error);
  }
  return figures.iops;
}

/* Prints the rates by depth. Gives the best one, and the least depth that is nearly as good. */
static unsigned find_knee(measurement_t* m, const char* what, bench_operation_t operation,
                          size_t block, unsigned depth_max, double* best) {
  double rates[SMALL_DEPTH_MAX + 1] = {0};
  unsigned knee = 1;
  *best = 0;
  printf("%s, operations per second by depth:", what);
  for (unsigned depth = 1; depth <= depth_max; depth *= 2) {
    rates[depth] = rate_of(m, operation, block, depth, FILE_SIZE);
    *best = rates[depth] > *best ? rates[depth] : *best;
    printf("  %u: %.0f", depth, rates[depth]);
    fflush(stdout);
  }
  while (knee < depth_max && rates[knee] < NEARLY * *best) {
    knee *= 2;
  }
  printf("\n");
  return knee;
}

static uint64_t at_least_1(double value) {
  return value < 1 ? 1 : (uint64_t)value;
}

static int measure(measurement_t* m, uvdio_device_model_t* model) {
  double reads;
  double large_reads;
  double large_writes;
  /* The first one also allocates the file's blocks. */
  (void)rate_of(m, BENCH_WRITE, LARGE, LARGE_DEPTH_MAX, FILE_SIZE);
  unsigned small =
      find_knee(m, "reads of 4 KiB", BENCH_RANDOM_READ, SMALL, SMALL_DEPTH_MAX, &reads);
  unsigned reading =
      find_knee(m, "reads of 256 KiB", BENCH_RANDOM_READ, LARGE, LARGE_DEPTH_MAX, &large_reads);
  unsigned writing =
      find_knee(m, "writes of 256 KiB", BENCH_WRITE, LARGE, LARGE_DEPTH_MAX, &large_writes);
  double writes = rate_of(m, BENCH_WRITE, SMALL, small, SMALL_WRITES);
  *model = (uvdio_device_model_t){
      .depth = small,
      .bytes_in_flight = (uint64_t)(reading > writing ? reading : writing) * LARGE,
      .read_operations = at_least_1(reads),
      .write_operations = at_least_1(writes),
      .read_bytes = at_least_1(large_reads * (double)LARGE),
      .write_bytes = at_least_1(large_writes * (double)LARGE)};
  return m->failed || m->session->signal != 0 ? CLI_FAILED : CLI_OK;
}

static int write_model(const char* path, const uvdio_device_model_t* model,
                       const char* filesystem) {
  FILE* file = fopen(path, "we");
  if (file == NULL) {
    return report_error("probe", "write", path, uv_translate_sys_error(errno));
  }
  fprintf(file,
          "# A device model for uvdio_device_model_read(), measured on %s. In flight: requests of\n"
          "# 4 KiB, bytes of large requests. Per second: requests of 4 KiB, bytes of large ones.\n"
          "depth %u\nbytes_in_flight %llu\nread_operations %llu\nwrite_operations %llu\n"
          "read_bytes %llu\nwrite_bytes %llu\n",
          filesystem, model->depth, (unsigned long long)model->bytes_in_flight,
          (unsigned long long)model->read_operations, (unsigned long long)model->write_operations,
          (unsigned long long)model->read_bytes, (unsigned long long)model->write_bytes);
  int failed = ferror(file);
  failed |= fclose(file);
  return failed ? report_error("probe", "write", path, uv_translate_sys_error(errno)) : CLI_OK;
}

/* What is measured has to be the device, and not the page cache. */
static int measure_file(measurement_t* m, const char* path) {
  uvdio_device_model_t model;
  uvdio_file_info_t info;
  if (uvdio_file_info(m->file, &info) != 0 || !info.is_direct) {
    return report_problem("probe",
                          "%s has no direct I/O (%s): the page cache would be measured. Name a "
                          "path on a filesystem that has.",
                          m->path, info.filesystem);
  }
  int code = measure(m, &model);
  code = code == CLI_OK ? write_model(path, &model, info.filesystem) : code;
  if (code == CLI_OK) {
    printf("%s: depth %u, %llu KiB in flight, which give at least 0.6 of the best rates\n", path,
           model.depth, (unsigned long long)(model.bytes_in_flight / 1024));
  }
  return code;
}

static int measure_in_session(session_t* session, const char* path, const char* scratch) {
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  unsigned flags = UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE | UVDIO_O_DIRECT_PREFERRED;
  if (strcmp(uvdio_engine_backend(session->engine), "memory") == 0) {
    return report_problem("probe", "files in memory are on no device. Unset UVDIO_BACKEND.");
  }
  int64_t opened = session_await(
      session, &req, uvdio_open(session->engine, &file, &req, scratch, flags, 0600, session_done));
  if (opened != 0) {
    return report_error("probe", "create", scratch, (int)opened);
  }
  measurement_t measurement = {.session = session, .file = &file, .path = scratch};
  int code = measure_file(&measurement, path);
  (void)session_await(session, &req, uvdio_close(&file, &req, session_done));
  if (unlink(scratch) != 0) {
    code = report_error("probe", "remove", scratch, uv_translate_sys_error(errno));
  }
  return session->signal != 0 ? CLI_SIGNAL + session->signal : code;
}

/* A temporary file beside `path`. */
static char* scratch_beside(const char* path) {
  char* directory = path_directory(path);
  char* scratch = directory != NULL ? path_temporary(directory, "measure") : NULL;
  free(directory);
  return scratch;
}

int probe_measure(const char* path) {
  session_t session;
  uvdio_engine_options_t options = {.depth = SMALL_DEPTH_MAX};
  char* scratch = scratch_beside(path);
  if (scratch == NULL) {
    return report_error("probe", "use", path, UV_ENOMEM);
  }
  int error = session_open(&session, &options);
  if (error != 0) {
    free(scratch);
    return session_report("probe", UVDIO_BACKEND_AUTO, error);
  }
  error = session_watch(&session, NULL, NULL);
  int code = error == 0 ? measure_in_session(&session, path, scratch)
                        : report_error("probe", "watch", "signals", error);
  session_close(&session);
  free(scratch);
  return code;
}
