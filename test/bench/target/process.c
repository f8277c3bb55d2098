/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench target JSON: one target, once. All loops open what they need, then begin together;
 * time and CPU are taken from there until the last one has ended, so that opening and closing cost
 * nobody anything.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "cli/cli.h"
#include "cli/meter.h"
#include "cli/report.h"
#include "harness/work.h"
#include "target/params.h"
#include "target/process.h"
#include "target/run.h"
#include "uvdio.h"

/* All loops of the process. */
typedef struct {
  const target_ops_t* target;
  const work_params_t* params;
  target_run_t* runs;
  uv_thread_t threads[WORK_LOOPS_MAX];
  uv_barrier_t barrier;
  meter_t meter; /* of all loops together */
  double cpu_us;
} group_t;

typedef struct {
  group_t* group;
  unsigned number;
} loop_thread_t;

/* Read between barriers only. */
static const target_run_t* failed_run(const group_t* group) {
  for (unsigned i = 0; i < group->params->loops; i++) {
    if (group->runs[i].error != 0) {
      return &group->runs[i];
    }
  }
  return NULL;
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
  const loop_thread_t* thread = argument;
  group_t* group = thread->group;
  target_run_t* run = &group->runs[thread->number];
  if (group->params->pin && group->target->may_pin) {
    pin_thread(thread->number);
  }
  void* state = group->target->open(run);
  (void)uv_barrier_wait(&group->barrier);
  int failed = failed_run(group) != NULL;
  (void)uv_barrier_wait(&group->barrier);
  meter_start(&run->work.meter);
  run->work.deadline_ns =
      run->work.timed ? run->work.meter.started_ns + group->params->duration_ns : UINT64_MAX;
  if (!failed) {
    group->target->loop(run, state);
  }
  (void)uv_barrier_wait(&group->barrier);
  if (state != NULL) {
    group->target->close(state);
  }
}

static int start_threads(group_t* group, loop_thread_t* threads) {
  for (unsigned i = 0; i < group->params->loops; i++) {
    threads[i] = (loop_thread_t){group, i};
    work_prepare(&group->runs[i].work, group->params, i);
    int error = uv_thread_create(&group->threads[i], run_thread, &threads[i]);
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
  loop_thread_t threads[WORK_LOOPS_MAX];
  int error = uv_barrier_init(&group->barrier, group->params->loops + 1);
  error = error == 0 ? start_threads(group, threads) : error;
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

/* The most memory that this program has had, in KiB. The system's own figure for the process
 * (getrusage) has in it what the parent had before this program was started. */
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
                   (json_int_t)stats->completed, "batches", (json_int_t)stats->batches,
                   "system_calls", (json_int_t)stats->system_calls, "wakeups",
                   (json_int_t)stats->wakeups, "turns", (json_int_t)stats->iterations,
                   "callbacks_max", (json_int_t)stats->callbacks_peak, "resumed",
                   (json_int_t)stats->resumed, "retried", (json_int_t)stats->retried, "punted",
                   (json_int_t)stats->punted, "fixed", (json_int_t)stats->fixed, "in_flight_peak",
                   (json_int_t)stats->in_flight_peak);
}

static json_t* outcome_json(const group_t* group) {
  meter_figures_t figures = {0};
  const target_run_t* first = &group->runs[0];
  meter_finish(&group->meter, &figures);
  double operations = (double)group->meter.operations;
  json_t* outcome = json_pack(
      "{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "operations", (json_int_t)group->meter.operations,
      "iops", figures.iops, "p50_us", figures.p50_us, "p99_us", figures.p99_us, "p999_us",
      meter_quantile(&group->meter, 0.999) / 1e3, "cpu_us_per_op",
      operations > 0 ? group->cpu_us / operations : 0, "rss_kib", resident_kib());
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

static int run_target(const target_ops_t* target, const work_params_t* params) {
  group_t group = {.target = target, .params = params};
  group.runs = calloc(params->loops, sizeof *group.runs);
  int error = group.runs != NULL ? run_group(&group) : UV_ENOMEM;
  if (error != 0) {
    return report_json("target", failure_json("threads", error));
  }
  const target_run_t* failed = failed_run(&group);
  json_t* outcome =
      failed == NULL ? outcome_json(&group) : failure_json(failed->failure, failed->error);
  free(group.runs);
  return report_json("target", outcome);
}

/*
 * The targets.
 */

static const struct {
  const char* name;
  const target_ops_t* target;
} targets[] = {
    {"ring", &target_ring},
    {"ring-plain", &target_ring_plain},
    {"ring-heap", &target_ring_heap},
    {"ring-busy", &target_ring_busy},
    {"ring-prompt", &target_ring_prompt},
    {"ring-metrics", &target_ring_metrics},
    {"ring-polled", &target_ring_polled},
    {"ring-polled-busy", &target_ring_polled_busy},
    {"aio", &target_aio},
    {"pool", &target_pool},
    {"pool-32", &target_pool},
#ifdef UVDIO_HAVE_RING
    {"limit", &target_limit},
    {"limit-prompt", &target_limit_prompt},
#endif
    {"uv-4", &target_uv},
    {"uv-32", &target_uv},
};

static const target_ops_t* find_target(const char* name) {
  for (size_t i = 0; i < CLI_COUNT_OF(targets); i++) {
    if (strcmp(targets[i].name, name) == 0) {
      return targets[i].target;
    }
  }
  return NULL;
}

int target_main(int argc, char** argv) {
  work_params_t params = {0};
  json_t* json = argc == 2 ? json_loads(argv[1], 0, NULL) : NULL;
  if (json == NULL || target_params_unpack(json, &params) != 0) {
    json_decref(json);
    return report_usage("target",
                        "it is what `uvdio-bench compare` starts, and takes its parameters");
  }
  const target_ops_t* target = find_target(params.target);
  int code = target != NULL
                 ? run_target(target, &params)
                 : report_json("target", failure_json("io_uring: built without it", UV_ENOSYS));
  json_decref(json);
  return code;
}
