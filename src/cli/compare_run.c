/*
 * One figure of one peer in one cell: by a child that is this program, by fio or by qemu-img.
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"

const contender_t contenders[] = {
    {"ring", CONTENDER_CHILD, "4", 1, "uvdio on io_uring, buffers from an arena, which is registered"},
    {"ring-plain", CONTENDER_CHILD, "4", 1, "the same with the arena not registered"},
    {"ring-heap", CONTENDER_CHILD, "4", 0, "the same with buffers from the heap"},
    {"ring-prompt", CONTENDER_CHILD, "4", 0, "as ring, in batches of one: a system call for each request"},
    {"ring-busy", CONTENDER_CHILD, "4", 0, "as ring, with busy polling for up to 0.2 ms a turn"},
    {"pool", CONTENDER_CHILD, "4", 1, "uvdio on libuv's threadpool, 4 threads"},
    {"pool-32", CONTENDER_CHILD, "32", 0, "the same with 32 threads"},
    {"limit", CONTENDER_CHILD, "4", 1, "a bare liburing loop: registered, submit_and_wait, nothing else"},
    {"limit-prompt", CONTENDER_CHILD, "4", 1, "the same with a system call for each request"},
    {"uv-4", CONTENDER_CHILD, "4", 1, "uv_fs_read and uv_fs_write, 4 threads (libuv's default)"},
    {"uv-32", CONTENDER_CHILD, "32", 1, "the same with 32 threads"},
    {"fio-uring", CONTENDER_FIO, "io_uring", 1, "fio, ioengine=io_uring, registered buffers and files"},
    {"fio-libaio", CONTENDER_FIO, "libaio", 1, "fio, ioengine=libaio"},
    {"qemu-img", CONTENDER_QEMU, "io_uring", 1, "qemu-img bench -i io_uring; random is a fixed stride there"},
};
const size_t contender_count = CLI_COUNT_OF(contenders);

void compare_child_environment(const contender_t* peer) {
  (void)setenv("UV_THREADPOOL_SIZE", peer->detail, 1);
}

int compare_child_argv(const compare_t* compare, size_t cell, size_t peer, uint64_t operations,
                       const char* argv[4], char** text) {
  const work_params_t* params = &compare->params;
  json_t* json = json_pack(
      "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "peer", compare->peers[peer]->name,
      "directory", params->directory, "operation", work_kind_text(compare->cells[cell].kind), "files",
      (json_int_t)params->files, "loops", (json_int_t)params->loops, "depth",
      (json_int_t)compare->cells[cell].depth, "block_size", (json_int_t)params->block_size, "file_size",
      (json_int_t)params->file_size, "duration_ns", (json_int_t)params->duration_ns, "operations",
      (json_int_t)operations, "seed", (json_int_t)params->seed, "pin", params->pin);
  *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  argv[0] = compare->program;
  argv[1] = "bench-peer";
  argv[2] = *text;
  argv[3] = NULL;
  return *text != NULL ? 0 : -1;
}

/* A number anywhere below `json`, or NAN. `path` has slashes between the keys. */
static double number_at(const json_t* json, const char* path) {
  char key[64];
  while (json != NULL && *path != '\0') {
    size_t length = strcspn(path, "/");
    snprintf(key, sizeof key, "%.*s", (int)length, path);
    json = json_is_array(json) ? json_array_get(json, 0) : json_object_get(json, key);
    path += length + (path[length] == '/');
  }
  return json_is_number(json) ? json_number_value(json) : NAN;
}

/*
 * uvdio bench-peer
 */

static int take_child(compare_t* compare, size_t cell, size_t peer, json_t* json, sample_t* sample) {
  row_t* row = compare_row(compare, cell, peer);
  const char* name = compare->peers[peer]->name;
  const char* failed = json_string_value(json_object_get(json, "failed"));
  if (failed != NULL) {
    notes_add(&compare->notes, "%s at depth %u: %s: %s.", name, compare->cells[cell].depth, failed,
                 json_string_value(json_object_get(json, "message")));
    return -1;
  }
  sample->iops = number_at(json, "iops");
  sample->p50_us = number_at(json, "p50_us");
  sample->p99_us = number_at(json, "p99_us");
  sample->p999_us = number_at(json, "p999_us");
  sample->cpu_us_per_op = number_at(json, "cpu_us_per_op");
  sample->rss_kib = number_at(json, "rss_kib");
  const char* executed_by = json_string_value(json_object_get(json, "executed_by"));
  if (executed_by != NULL) {
    snprintf(row->executed_by, sizeof row->executed_by, "%s", executed_by);
  }
  if (executed_by != NULL && strncmp(executed_by, name, strlen(executed_by)) != 0) {
    notes_add(&compare->notes, "%s: its reads and writes were executed by %s.", name, executed_by);
  }
  json_decref(row->first_engine);
  row->first_engine = json_incref(json_object_get(json, "first_engine"));
  return 0;
}

static int sample_child(compare_t* compare, size_t cell, size_t peer, sample_t* sample) {
  const char* argv[4];
  char* text;
  child_t child;
  compare_child_environment(compare->peers[peer]);
  int error = compare_child_argv(compare, cell, peer, 0, argv, &text);
  error = error != 0 ? UV_ENOMEM : child_run(argv, 1, &child);
  free(text);
  if (error != 0) {
    notes_add(&compare->notes, "%s could not be started: %s.", compare->peers[peer]->name, uvdio_strerror(error));
    return -1;
  }
  json_t* json = json_loads(child.output, 0, NULL);
  if (json == NULL && child_signal() == 0) {
    notes_add(&compare->notes, "%s ended with exit code %d and told nothing.", compare->peers[peer]->name, child.code);
  }
  int result = json != NULL ? take_child(compare, cell, peer, json, sample) : -1;
  json_decref(json);
  free(child.output);
  return result;
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

/* A list of arguments made of formats. */
typedef struct {
  char texts[40][4200];
  const char* argv[41];
  size_t count;
} arguments_t;

static void add_argument(arguments_t* arguments, const char* format, ...) __attribute__((format(printf, 2, 3)));
static void add_argument(arguments_t* arguments, const char* format, ...) {
  va_list list;
  va_start(list, format);
  if (arguments->count < CLI_COUNT_OF(arguments->texts)) {
    char* text = arguments->texts[arguments->count];
    vsnprintf(text, sizeof arguments->texts[0], format, list);
    arguments->argv[arguments->count++] = text;
    arguments->argv[arguments->count] = NULL;
  }
  va_end(list);
}

/* What costs fio time without changing the work is switched off; what our own peers do at each operation, a look
 * at the clock and a histogram, stays. */
static void fio_arguments(const compare_t* compare, size_t cell, size_t peer, arguments_t* arguments) {
  const work_params_t* params = &compare->params;
  const cell_t* here = &compare->cells[cell];
  const char* engine = compare->peers[peer]->detail;
  add_argument(arguments, "fio");
  add_argument(arguments, "--name=f");
  add_argument(arguments, "--ioengine=%s", engine);
  add_argument(arguments, "--directory=%s", params->directory);
  add_argument(arguments, "--filename_format=f.$filenum");
  add_argument(arguments, "--nrfiles=%u", params->files);
  add_argument(arguments, "--size=%llu", (unsigned long long)(params->file_size * params->files));
  add_argument(arguments, "--bs=%zu", params->block_size);
  add_argument(arguments, "--iodepth=%u", here->depth);
  add_argument(arguments, "--iodepth_batch_complete_max=%u", here->depth);
  add_argument(arguments, "--numjobs=%u", params->loops);
  add_argument(arguments, "%s", fio_pattern(here->kind));
  add_argument(arguments, "--time_based");
  add_argument(arguments, "--runtime=%llums", (unsigned long long)(params->duration_ns / 1000000));
  add_argument(arguments, "--direct=1");
  add_argument(arguments, "--invalidate=0");
  add_argument(arguments, "--allow_file_create=0");
  add_argument(arguments, "--norandommap");
  add_argument(arguments, "--random_generator=tausworthe64");
  add_argument(arguments, "--scramble_buffers=0");
  add_argument(arguments, "--thread");
  add_argument(arguments, "--group_reporting");
  add_argument(arguments, "--lat_percentiles=1");
  add_argument(arguments, "--clat_percentiles=0");
  add_argument(arguments, "--disable_bw_measurement=1");
  add_argument(arguments, "--output-format=json");
  if (strcmp(engine, "io_uring") == 0) {
    add_argument(arguments, "--fixedbufs=1");
  }
  if (strcmp(engine, "io_uring") == 0 && params->loops == 1) { /* with several threads, fio 3.33 fails (EINVAL) */
    add_argument(arguments, "--registerfiles=1");
  }
  if (here->kind == WORK_DURABLE_WRITE) {
    add_argument(arguments, "--sync=dsync");
  }
  if (params->pin) {
    unsigned processors = uv_available_parallelism();
    add_argument(arguments, "--cpus_allowed=0-%u", (params->loops < processors ? params->loops : processors) - 1);
    add_argument(arguments, "--cpus_allowed_policy=split");
  }
  if (here->kind == WORK_MIXED) {
    add_argument(arguments, "--rwmixread=70");
  }
}

static int take_fio(const json_t* json, sample_t* sample) {
  const json_t* job = json_array_get(json_object_get(json, "jobs"), 0);
  double reads = number_at(job, "read/total_ios");
  double writes = number_at(job, "write/total_ios");
  const json_t* side = json_object_get(job, reads > 0 ? "read" : "write"); /* of mixed work: the reads */
  double cpu_share = (number_at(job, "usr_cpu") + number_at(job, "sys_cpu")) / 100;
  if (!(reads + writes > 0)) {
    return -1;
  }
  sample->iops = number_at(job, "read/iops") + number_at(job, "write/iops");
  sample->p50_us = number_at(side, "lat_ns/percentile/50.000000") / 1e3;
  sample->p99_us = number_at(side, "lat_ns/percentile/99.000000") / 1e3;
  sample->p999_us = number_at(side, "lat_ns/percentile/99.900000") / 1e3;
  sample->cpu_us_per_op = cpu_share * number_at(job, "job_runtime") * 1e3 / (reads + writes);
  return 0;
}

static int sample_fio(compare_t* compare, size_t cell, size_t peer, sample_t* sample) {
  arguments_t arguments = {0};
  child_t child;
  fio_arguments(compare, cell, peer, &arguments);
  int error = child_run(arguments.argv, 0, &child);
  if (error != 0) {
    notes_add(&compare->notes, "fio could not be started: %s.", uvdio_strerror(error));
    return -1;
  }
  const char* begin = strchr(child.output, '{'); /* warnings may come first */
  json_t* json = begin != NULL ? json_loads(begin, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
  int result = child.code == 0 ? take_fio(json, sample) : -1;
  if (result != 0 && child_signal() == 0) {
    notes_add(&compare->notes, "%s did not run (exit code %d).", compare->peers[peer]->name, child.code);
  }
  json_decref(json);
  free(child.output);
  return result;
}

/*
 * qemu-img
 */

/* It runs a number of operations, not for a time: as many as this cell's last figure lets expect. */
static uint64_t expected_operations(const compare_t* compare, size_t cell, size_t peer) {
  double iops = NAN;
  for (size_t i = 0; i < compare->peer_count; i++) {
    const row_t* row = compare_row(compare, cell, i);
    if (row->sample_count > 0 && (isnan(iops) || i == peer)) {
      iops = row->samples[row->sample_count - 1].iops;
    }
  }
  double count = (isnan(iops) ? 2000 : iops) * (double)compare->params.duration_ns / 1e9;
  return count > 16 ? (uint64_t)count : 16;
}

/* Its only patterns are strides. One of 0.618 of the file visits blocks in an order that nothing reads ahead. */
static uint64_t stride(const compare_t* compare, work_kind_t kind) {
  uint64_t blocks = compare->params.file_size / compare->params.block_size;
  int random = kind == WORK_RANDOM_READ || kind == WORK_RANDOM_WRITE;
  return (random ? (uint64_t)((double)blocks * 0.618) | 1 : 1) * compare->params.block_size;
}

static int sample_qemu(compare_t* compare, size_t cell, size_t peer, sample_t* sample) {
  const cell_t* here = &compare->cells[cell];
  arguments_t arguments = {0};
  child_t child;
  char path[4096];
  double seconds = 0;
  uint64_t count = expected_operations(compare, cell, peer);
  work_path(&compare->params, 0, path, sizeof path);
  add_argument(&arguments, "qemu-img");
  add_argument(&arguments, "bench");
  add_argument(&arguments, "-fraw");
  add_argument(&arguments, "-tnone");
  add_argument(&arguments, "-iio_uring");
  add_argument(&arguments, "-c%llu", (unsigned long long)count);
  add_argument(&arguments, "-d%u", here->depth);
  add_argument(&arguments, "-s%zu", compare->params.block_size);
  add_argument(&arguments, "-S%llu", (unsigned long long)stride(compare, here->kind));
  if (work_writes(here->kind)) {
    add_argument(&arguments, "-w");
  }
  add_argument(&arguments, "%s", path);
  int error = child_run(arguments.argv, 0, &child);
  if (error != 0) {
    notes_add(&compare->notes, "qemu-img could not be started: %s.", uvdio_strerror(error));
    return -1;
  }
  const char* told = strstr(child.output, "completed in ");
  seconds = told != NULL && child.code == 0 ? strtod(told + strlen("completed in "), NULL) : 0;
  sample->iops = seconds > 0 ? (double)count / seconds : NAN;
  if (seconds <= 0 && child_signal() == 0) {
    notes_add(&compare->notes, "qemu-img did not run (exit code %d).", child.code);
  }
  free(child.output);
  return seconds > 0 ? 0 : -1;
}

static int qemu_can(const compare_t* compare, size_t cell) {
  work_kind_t kind = compare->cells[cell].kind;
  return compare->params.files == 1 && compare->params.loops == 1 && kind != WORK_MIXED &&
         kind != WORK_DURABLE_WRITE;
}

int compare_sample(compare_t* compare, size_t cell, size_t peer, sample_t* sample) {
  *sample = (sample_t){NAN, NAN, NAN, NAN, NAN, NAN};
  switch (compare->peers[peer]->kind) {
    case CONTENDER_CHILD:
      return sample_child(compare, cell, peer, sample);
    case CONTENDER_FIO:
      return sample_fio(compare, cell, peer, sample);
    case CONTENDER_QEMU:
      if (!qemu_can(compare, cell)) {
        notes_add(&compare->notes, "qemu-img can't do mixed or durable work, several files or several loops.");
        return -1;
      }
      return sample_qemu(compare, cell, peer, sample);
  }
  return -1;
}
