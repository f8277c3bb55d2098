/* SPDX-License-Identifier: MIT */
/*
 * The table of methods, and what surrounds each of them: its folder, the record, the figure.
 */
#include "log/run.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "cli/pattern.h"
#include "log/methods.h"

#define PATH_SIZE 4096
/* A quantile of fewer commits would be the slowest of all. */
#define TAIL_MIN 1000

typedef struct {
  const char* name;
  int (*prepare)(commits_t* commits); /* null: there is nothing to prepare */
  int (*run)(commits_t* commits);
  const char* missing;
} method_t;

static const method_t methods[COMMITS_METHODS] = {
    [COMMITS_LOG] = {"log", commits_prepare_uvdio, commits_by_uvdio, NULL},
    [COMMITS_PACKED] = {"packed", commits_prepare_uvdio, commits_by_uvdio, NULL},
    [COMMITS_ROLLING] = {"rolling", commits_prepare_uvdio, commits_by_uvdio, NULL},
#ifdef UVDIO_HAVE_AIO
    [COMMITS_SEGMENTS] = {"segments", commits_prepare_segments, commits_by_segments, NULL},
#else
    [COMMITS_SEGMENTS] = {"segments", NULL, NULL, "this system has no kernel AIO"},
#endif
    [COMMITS_THREADS] = {"threads", commits_prepare_threads, commits_by_threads, NULL},
#ifdef UVDIO_HAVE_SQLITE
    [COMMITS_SQLITE] = {"sqlite", NULL, commits_by_sqlite, NULL},
#else
    [COMMITS_SQLITE] = {"sqlite", NULL, NULL,
                        "it was built without SQLite, which pkg-config did not find"},
#endif
    [COMMITS_DEVICE] = {"device", commits_prepare_device, commits_by_device, NULL},
};

const char* commits_method_name(commits_method_t method) {
  return methods[method].name;
}

const char* commits_method_missing(commits_method_t method) {
  return methods[method].missing;
}

/*
 * The folder
 */

static void name_folder(const commits_params_t* params, commits_method_t method, char* path) {
  (void)snprintf(path, PATH_SIZE, "%s/%s", params->directory, methods[method].name);
}

/* Names the folder, too. */
static commits_t commits_of(const commits_params_t* params, commits_method_t method, char* folder) {
  name_folder(params, method, folder);
  return (commits_t){.params = params, .method = method, .folder = folder, .failed = "write to"};
}

int commits_prepare(const commits_params_t* params, commits_method_t method, const char** failed) {
  char folder[PATH_SIZE];
  commits_t commits = commits_of(params, method, folder);
  *failed = "make folders in";
  if (mkdir(folder, 0700) != 0) {
    return uv_translate_sys_error(errno);
  }
  commits.failed = "make files in";
  int error = methods[method].prepare == NULL ? 0 : methods[method].prepare(&commits);
  *failed = commits.failed;
  return error;
}

void commits_remove(const commits_params_t* params, commits_method_t method) {
  char folder[PATH_SIZE];
  name_folder(params, method, folder);
  DIR* directory = opendir(folder);
  if (directory == NULL) {
    return;
  }
  for (const struct dirent* entry; (entry = readdir(directory)) != NULL;) {
    (void)unlinkat(dirfd(directory), entry->d_name, 0);
  }
  (void)closedir(directory);
  (void)rmdir(folder);
}

/*
 * One run
 */

static void fill_in(const commits_t* commits, commits_figure_t* figure) {
  const meter_t* meter = &commits->meter;
  double count = (double)meter->operations;
  double seconds = (double)(meter->ended_ns - meter->started_ns) / 1e9;
  *figure = (commits_figure_t){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
  if (meter->operations == 0 || seconds <= 0) {
    return;
  }
  figure->rate = count / seconds;
  figure->p50_us = meter_quantile(meter, 0.5) / 1e3;
  figure->p99_us = meter_quantile(meter, 0.99) / 1e3;
  figure->p999_us = meter->operations >= TAIL_MIN ? meter_quantile(meter, 0.999) / 1e3 : NAN;
  figure->cpu_us = commits->cpu_us / count;
  figure->flushed = commits->flushes > 0 ? count / (double)commits->flushes : NAN;
  figure->rolls = (double)commits->rolls / seconds;
}

int commits_run(const commits_params_t* params, commits_method_t method, commits_figure_t* figure,
                const char** failed) {
  static char record[COMMITS_RECORD_MAX];
  char folder[PATH_SIZE];
  commits_t commits = commits_of(params, method, folder);
  assert(methods[method].missing == NULL);
  assert(params->clients > 0 && params->clients <= COMMITS_CLIENTS_MAX);
  assert(params->record_size > 0 && params->record_size <= COMMITS_RECORD_MAX);
  pattern_fill(record, (params->record_size + 7) / 8 * 8, 1, 0);
  commits.record = record;
  int error = methods[method].run(&commits);
  *failed = commits.failed;
  if (error == 0) {
    fill_in(&commits, figure);
  }
  return error;
}
