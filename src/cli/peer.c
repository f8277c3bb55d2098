/*
 * uvdio bench-peer JSON: one peer, once. All loops open what they need, then begin together; time and CPU are
 * taken from there until the last one has ended, so that opening and closing cost nobody anything.
 */
#include <assert.h>
#include <fcntl.h>
#ifdef __linux__
#include <sched.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "peer.h"

/* Of most systems; where it is another one, large buffers are a little less well aligned. */
#define HUGE_PAGE_SIZE ((size_t)2 * 1024 * 1024)

static const char* const kind_names[WORK_KIND_COUNT] = {
    [WORK_RANDOM_READ] = "random-read",       [WORK_SEQUENTIAL_READ] = "sequential-read",
    [WORK_RANDOM_WRITE] = "random-write",     [WORK_SEQUENTIAL_WRITE] = "sequential-write",
    [WORK_DURABLE_WRITE] = "durable-write",   [WORK_MIXED] = "mixed",
};

const char* work_kind_text(work_kind_t kind) {
  return (size_t)kind < WORK_KIND_COUNT ? kind_names[kind] : NULL;
}

int work_kind_parse(const char* text, work_kind_t* kind) {
  for (int i = 0; i < WORK_KIND_COUNT; i++) {
    if (strcmp(text, kind_names[i]) == 0) {
      *kind = (work_kind_t)i;
      return 0;
    }
  }
  return -1;
}

void work_path(const work_params_t* params, unsigned number, char* path, size_t size) {
  snprintf(path, size, "%s/f.%u", params->directory, number);
}

int work_writes(work_kind_t kind) {
  return kind != WORK_RANDOM_READ && kind != WORK_SEQUENTIAL_READ;
}

int work_open(const work_params_t* params, unsigned number) {
  char path[4096];
  int flags = O_CLOEXEC | (work_writes(params->kind) ? O_RDWR : O_RDONLY) |
              (params->kind == WORK_DURABLE_WRITE ? O_DSYNC : 0);
#ifdef O_DIRECT
  flags |= O_DIRECT;
#endif
  uv_fs_t req;
  work_path(params, number, path, sizeof path);
  int file = uv_fs_open(NULL, &req, path, flags, 0, NULL);
  uv_fs_req_cleanup(&req);
#ifdef F_NOCACHE
  if (file >= 0) {
    (void)fcntl(file, F_NOCACHE, 1);
  }
#endif
  return file;
}

void* work_memory(const work_params_t* params) {
  size_t size = params->depth * params->block_size;
  void* memory;
  if (posix_memalign(&memory, params->huge_pages ? HUGE_PAGE_SIZE : UVDIO_ALIGNMENT, size) != 0) {
    return NULL;
  }
#ifdef MADV_HUGEPAGE
  if (params->huge_pages) {
    (void)madvise(memory, size, MADV_HUGEPAGE);
  }
#endif
  return memset(memory, 'u', size);
}

int peer_fail(peer_run_t* run, const char* failure, int error) {
  assert(error != 0);
  if (run->error == 0) {
    run->error = error;
    run->failure = failure;
  }
  return run->error;
}

/* All loops of the process. */
typedef struct {
  const peer_t* peer;
  const work_params_t* params;
  peer_run_t* runs;
  uv_thread_t threads[WORK_LOOPS_MAX];
  uv_barrier_t barrier;
  meter_t meter; /* of all loops together */
  double cpu_us;
} group_t;

typedef struct {
  group_t* group;
  unsigned number;
} place_t;

/* Read between barriers only. */
static const peer_run_t* failed_run(const group_t* group) {
  for (unsigned i = 0; i < group->params->loops; i++) {
    if (group->runs[i].error != 0) {
      return &group->runs[i];
    }
  }
  return NULL;
}

void work_prepare(work_t* work, const work_params_t* params, unsigned number) {
  work->params = *params;
  work->blocks = params->file_size / params->block_size;
  work->timed = params->operations == 0;
  work->left = work->timed ? UINT64_MAX : params->operations;
  work->random = (params->seed + number + 1) * 0x9E3779B97F4A7C15u;
  work->random = work->random != 0 ? work->random : 1;
  work->sequence = work->blocks * params->files / params->loops * number;
}

/* Best effort: a processor that is not ours to use leaves the thread where it is. */
static void pin_thread(unsigned number) {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(number % uv_available_parallelism(), &set);
  (void)sched_setaffinity(0, sizeof set, &set);
#else
  (void)number;
#endif
}

/* Passed by every loop and by the process's first thread: opened, begun, ended. */
static void run_thread(void* argument) {
  const place_t* place = argument;
  group_t* group = place->group;
  peer_run_t* run = &group->runs[place->number];
  if (group->params->pin && group->peer->may_pin) {
    pin_thread(place->number);
  }
  void* state = group->peer->open(run);
  (void)uv_barrier_wait(&group->barrier);
  int failed = failed_run(group) != NULL;
  (void)uv_barrier_wait(&group->barrier);
  meter_start(&run->work.meter);
  run->work.deadline_ns = run->work.timed ? run->work.meter.started_ns + group->params->duration_ns : UINT64_MAX;
  if (!failed) {
    group->peer->loop(run, state);
  }
  (void)uv_barrier_wait(&group->barrier);
  if (state != NULL) {
    group->peer->close(state);
  }
}

static int start_threads(group_t* group, place_t* places) {
  for (unsigned i = 0; i < group->params->loops; i++) {
    places[i] = (place_t){group, i};
    work_prepare(&group->runs[i].work, group->params, i);
    int error = uv_thread_create(&group->threads[i], run_thread, &places[i]);
    if (error != 0) {
      return error; /* those that run wait for ever: the process ends here */
    }
  }
  return 0;
}

static void merge_meters(group_t* group) {
  for (unsigned i = 0; i < group->params->loops; i++) {
    meter_add(&group->meter, &group->runs[i].work.meter);
  }
}

static int run_group(group_t* group) {
  place_t places[WORK_LOOPS_MAX];
  int error = uv_barrier_init(&group->barrier, group->params->loops + 1);
  error = error == 0 ? start_threads(group, places) : error;
  if (error != 0) {
    return error;
  }
  (void)uv_barrier_wait(&group->barrier);
  meter_start(&group->meter);
  (void)uv_barrier_wait(&group->barrier);
  (void)uv_barrier_wait(&group->barrier);
  group->cpu_us = meter_cpu_us(&group->meter);
  for (unsigned i = 0; i < group->params->loops; i++) {
    (void)uv_thread_join(&group->threads[i]);
  }
  merge_meters(group);
  return 0;
}

/*
 * Telling.
 */

/* The most memory that this program has had, in KiB. The system's own figure for the process (getrusage) has
 * in it what the parent had before this program was started. */
static double resident_kib(void) {
  char line[256];
  double kib = -1;
  FILE* status = fopen("/proc/self/status", "r");
  while (status != NULL && kib < 0 && fgets(line, sizeof line, status) != NULL) {
    if (strncmp(line, "VmHWM:", 6) == 0) {
      kib = strtod(line + 6, NULL);
    }
  }
  if (status != NULL) {
    fclose(status);
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return kib >= 0 ? kib : (double)usage.ru_maxrss;
}

static json_t* stats_json(const uvdio_engine_stats_t* stats) {
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "completed",
                   (json_int_t)stats->completed, "batches", (json_int_t)stats->batches, "system_calls",
                   (json_int_t)stats->system_calls, "wakeups", (json_int_t)stats->wakeups, "turns",
                   (json_int_t)stats->iterations, "callbacks_peak", (json_int_t)stats->callbacks_peak, "resumed",
                   (json_int_t)stats->resumed, "retried", (json_int_t)stats->retried, "punted",
                   (json_int_t)stats->punted, "fixed", (json_int_t)stats->fixed, "in_flight_peak",
                   (json_int_t)stats->in_flight_peak);
}

static json_t* outcome_json(const group_t* group) {
  bench_row_t row = {0};
  const peer_run_t* first = &group->runs[0];
  meter_finish(&group->meter, &row);
  double operations = (double)group->meter.operations;
  json_t* outcome = json_pack(
      "{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "operations", (json_int_t)group->meter.operations, "iops", row.iops,
      "p50_us", row.p50_us, "p99_us", row.p99_us, "p999_us", meter_quantile(&group->meter, 0.999) / 1e3,
      "cpu_us_per_op", operations > 0 ? group->cpu_us / operations : 0, "rss_kib", resident_kib());
  if (*first->executed_by != '\0') {
    json_object_set_new(outcome, "executed_by", json_string(first->executed_by));
  }
  if (first->unregistered != NULL) {
    json_object_set_new(outcome, "unregistered", json_string(first->unregistered));
  }
  if (first->has_stats) {
    json_object_set_new(outcome, "first_engine", stats_json(&first->stats));
  }
  return outcome;
}

static json_t* failure_json(const char* failure, int error) {
  return json_pack("{s:s, s:s, s:s}", "failed", failure, "error", uvdio_err_name(error), "message",
                   uvdio_strerror(error));
}

static int run_peer(const peer_t* peer, const work_params_t* params) {
  group_t group = {.peer = peer, .params = params};
  group.runs = calloc(params->loops, sizeof *group.runs);
  int error = group.runs != NULL ? run_group(&group) : UV_ENOMEM;
  if (error != 0) {
    return report_json("bench-peer", failure_json("threads", error));
  }
  const peer_run_t* failed = failed_run(&group);
  json_t* outcome = failed == NULL ? outcome_json(&group) : failure_json(failed->failure, failed->error);
  free(group.runs);
  return report_json("bench-peer", outcome);
}

/*
 * Parameters.
 */

static const struct {
  const char* name;
  const peer_t* peer;
} peers[] = {
    {"ring", &peer_ring},
    {"ring-plain", &peer_ring_plain},
    {"ring-heap", &peer_ring_heap},
    {"ring-busy", &peer_ring_busy},
    {"ring-prompt", &peer_ring_prompt},
    {"pool", &peer_pool},
    {"pool-32", &peer_pool},
#ifdef UVDIO_HAVE_RING
    {"limit", &peer_limit},
    {"limit-prompt", &peer_limit_prompt},
#endif
    {"uv-4", &peer_uv},
    {"uv-32", &peer_uv},
};

static const peer_t* find_peer(const char* name) {
  for (size_t i = 0; i < CLI_COUNT_OF(peers); i++) {
    if (strcmp(peers[i].name, name) == 0) {
      return peers[i].peer;
    }
  }
  return NULL;
}

static int unpack_params(json_t* json, work_params_t* params) {
  const char* kind = "";
  json_int_t files = 1, loops = 1, depth = 1, block = UVDIO_PAGE_SIZE, size = 0, duration = 0, operations = 0;
  json_int_t seed = 1;
  int pin = 0, huge_pages = 0;
  int error = json_unpack(json, "{s:s, s:s, s:s, s?I, s?I, s?I, s?I, s:I, s?I, s?I, s?I, s?b, s?b}", "peer",
                          &params->peer, "directory", &params->directory, "operation", &kind, "files",
                          &files, "loops", &loops, "depth", &depth, "block_size", &block, "file_size", &size,
                          "duration_ns", &duration, "operations", &operations, "seed", &seed, "pin", &pin,
                          "huge_pages", &huge_pages);
  if (error != 0 || work_kind_parse(kind, &params->kind) != 0 || files < 1 || files > WORK_FILES_MAX ||
      loops < 1 || loops > WORK_LOOPS_MAX || depth < 1 || depth > WORK_DEPTH_MAX || block < 1 || size < block) {
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

int peer_main(int argc, char** argv) {
  work_params_t params = {0};
  json_t* json = argc == 2 ? json_loads(argv[1], 0, NULL) : NULL;
  if (json == NULL || unpack_params(json, &params) != 0) {
    json_decref(json);
    return report_usage("bench-peer", "it is what `uvdio bench --compare` starts, and takes its parameters");
  }
  const peer_t* peer = find_peer(params.peer);
  int code = peer != NULL ? run_peer(peer, &params)
                          : report_json("bench-peer", failure_json("io_uring: built without it", UV_ENOSYS));
  json_decref(json);
  return code;
}
