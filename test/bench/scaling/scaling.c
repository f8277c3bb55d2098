/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench scaling: options, files, rounds, and instructions.
 *
 * Instructions are counted by valgrind in processes of their own (`uvdio-bench scaling-run`): as in
 * compare/count.c, one does so many reads, another one some more, and the difference is theirs
 * alone.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/path.h"
#include "cli/report.h"
#include "cli/session.h"
#include "harness/child.h"
#include "harness/counter.h"
#include "harness/notes.h"
#include "harness/summary.h"
#include "scaling/model.h"
#include "scaling/report.h"
#include "scaling/run.h"
#include "scaling/scaling.h"
#include "uvdio.h"

#define READS 20000
#define READS_COUNTED 8000 /* for instructions */
#define ROUNDS_DEFAULT 5
#define FREE_MEMORY_SHARE 2 /* an arena takes half of what is free, at most */

static const char usage[] =
    "usage: uvdio-bench scaling [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Measures the CPU time of a random read of 4 KiB with 1 to 10,000 open files, 1 to 100,000\n"
    "requests submitted at a time, and a registered arena of 1 MiB to 8 GiB. Files are made in\n"
    "DIRECTORY (the current one if none is given) and removed at the end.\n"
    "\n"
    "  --series S[,S]   files, queued, arena (all)\n"
    "  --rounds N       so many rounds (5)\n"
    "  --reads N        so many reads for a figure (20000, and at least as many as are queued)\n"
    "  --instructions   count instructions of a read, too (by valgrind; takes its time)\n"
    "  --json           JSON instead of tables\n"
    "  --help           this text\n";

/*
 * Files
 */

static int make_file(uvdio_engine_t* engine, const char* path) {
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_buf_t buf = {0};
  int error = uvdio_buf_alloc(&buf, SCALING_FILE_SIZE, UVDIO_BUF_ZEROED);
  if (error == 0) {
    error = uvdio_open(engine, &file, &req, path, UVDIO_OPEN_CREATE, 0600, NULL);
  }
  if (error == 0) {
    int closed;
    error = uvdio_write(&file, &req, &buf, 0, NULL);
    closed = uvdio_close(&file, &req, NULL);
    error = error != 0 ? error : closed;
  }
  (void)uvdio_buf_release(&buf);
  return error;
}

static int make_files(scaling_t* scaling, uint64_t count) {
  session_t session;
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_POOL};
  char path[4096];
  int error = session_open(&session, &options);
  if (error != 0) {
    return error;
  }
  for (uint64_t i = 0; i < count && error == 0 && child_signal() == 0; i++) {
    error = scaling_path(scaling, i, path, sizeof path);
    error = error == 0 ? make_file(session.engine, path) : error;
    scaling->files_made = i + 1;
  }
  session_close(&session);
  return error;
}

static void remove_files(scaling_t* scaling) {
  char path[4096];
  for (uint64_t i = 0; i < scaling->files_made; i++) {
    if (scaling_path(scaling, i, path, sizeof path) == 0) {
      (void)unlink(path);
    }
  }
  (void)rmdir(scaling->folder);
  free(scaling->folder);
}

/*
 * Instructions
 */

static double count_reads(const scaling_t* scaling, const counter_t* counter, series_kind_t kind,
                          uint64_t size, uint64_t reads) {
  char program[4096], size_text[24], reads_text[24];
  size_t length = sizeof program;
  const char* const command[] = {
      program,    "scaling-run", scaling->folder, scaling_series[kind].name, size_text,
      reads_text, NULL};
  snprintf(size_text, sizeof size_text, "%llu", (unsigned long long)size);
  snprintf(reads_text, sizeof reads_text, "%llu", (unsigned long long)reads);
  return uv_exepath(program, &length) == 0 ? counter_run(counter, command) : NAN;
}

/* Of each read; sizes that could not be measured are left out. */
static void count_series(scaling_t* scaling, const counter_t* counter, series_kind_t kind) {
  for (size_t i = 0;
       i < SCALING_SIZES_MAX && scaling_series[kind].sizes[i] != 0 && child_signal() == 0; i++) {
    scaling_row_t* row = &scaling->rows[kind][i];
    uint64_t size = scaling_series[kind].sizes[i];
    uint64_t few = (kind == SERIES_ARENA || size < SCALING_DEPTH ? SCALING_DEPTH : size);
    if (row->count > 0) {
      double counts[] = {count_reads(scaling, counter, kind, size, few),
                         count_reads(scaling, counter, kind, size, few + READS_COUNTED)};
      row->instructions = (counts[1] - counts[0]) / READS_COUNTED;
    }
  }
}

/* FOLDER SERIES SIZE READS: what is counted. */
int scaling_run_main(int argc, char** argv) {
  scaling_t scaling = {.folder = argc > 1 ? argv[1] : NULL};
  scaling_figure_t figure;
  uint64_t size = 0;
  int kind = argc == 5 ? scaling_find_series(argv[2]) : -1;
  if (kind < 0 || parse_count("scaling-run", "SIZE", argv[3], 1, INT64_MAX, &size) != CLI_OK ||
      parse_count("scaling-run", "READS", argv[4], 1, INT64_MAX, &scaling.reads) != CLI_OK) {
    return report_usage("scaling-run",
                        "it is what `uvdio-bench scaling` starts, and takes its parameters");
  }
  int error = scaling_measure(&scaling, (series_kind_t)kind, size, &figure);
  return error == 0 ? CLI_OK : report_error("scaling-run", "measure in", scaling.folder, error);
}

/*
 * Rounds
 */

static int fits(scaling_t* scaling, series_kind_t kind, uint64_t size) {
  char text[16];
  if (kind != SERIES_ARENA || size <= uv_get_free_memory() / FREE_MEMORY_SHARE) {
    return 1;
  }
  notes_add(&scaling->notes,
            "An arena of %s is left out: it would take more than half of the free memory.",
            format_size(text, sizeof text, size));
  return 0;
}

static void run_series(scaling_t* scaling, series_kind_t kind) {
  for (size_t i = 0;
       i < SCALING_SIZES_MAX && scaling_series[kind].sizes[i] != 0 && child_signal() == 0; i++) {
    scaling_row_t* row = &scaling->rows[kind][i];
    uint64_t size = scaling_series[kind].sizes[i];
    int error = fits(scaling, kind, size)
                    ? scaling_measure(scaling, kind, size, &row->figures[row->count])
                    : UV_EAGAIN;
    if (error == UV_EAGAIN) {
      continue;
    }
    if (error != 0) {
      notes_add(&scaling->notes, "%llu %s: %s.", (unsigned long long)size,
                scaling_series[kind].unit, uvdio_strerror(error));
      continue;
    }
    row->count++;
  }
}

static void count_all(scaling_t* scaling) {
  const counter_t* counter = scaling->with_instructions ? counter_of_instructions() : NULL;
  if (scaling->with_instructions && counter == NULL) {
    notes_add(&scaling->notes, "Instructions were not counted: that takes valgrind.");
  }
  for (int kind = 0; kind < SCALING_SERIES_COUNT; kind++) {
    for (size_t i = 0; i < SCALING_SIZES_MAX; i++) {
      scaling->rows[kind][i].instructions = NAN;
    }
    if (scaling->series[kind] && counter != NULL) {
      count_series(scaling, counter, (series_kind_t)kind);
    }
  }
}

static int run_rounds(scaling_t* scaling) {
  for (uint64_t round = 0; round < scaling->rounds; round++) {
    for (int kind = 0; kind < SCALING_SERIES_COUNT && child_signal() == 0; kind++) {
      if (scaling->series[kind]) {
        run_series(scaling, (series_kind_t)kind);
      }
    }
  }
  count_all(scaling);
  return child_signal() == 0 ? CLI_OK : CLI_SIGNAL + child_signal();
}

/*
 * Options
 */

/* Files, and a few besides. */
static void allow_files(scaling_t* scaling, uint64_t count) {
  struct rlimit limit;
  rlim_t needed = count + 100;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
    return;
  }
  limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < needed) {
    notes_add(&scaling->notes, "The limit on open files (ulimit -Hn) is %llu.",
              (unsigned long long)limit.rlim_max);
  }
}

static int run_scaling(scaling_t* scaling) {
  char reason[384];
  uint64_t files = scaling->series[SERIES_FILES] ? scaling_series[SERIES_FILES].sizes[4] : 1;

  child_watch_signals();
  allow_files(scaling, files);
  if (uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof reason) != 0) {
    return report_problem("scaling", "this is about the ring: %s", reason);
  }
  scaling->folder = path_temporary(scaling->directory, "scaling");
  if (scaling->folder == NULL) {
    return report_error("scaling", "name", "a folder", UV_ENOMEM);
  }
  if (mkdir(scaling->folder, 0700) != 0) {
    int code = report_error("scaling", "create", scaling->folder, uv_translate_sys_error(errno));
    free(scaling->folder);
    return code;
  }
  int error = make_files(scaling, files);
  int code =
      error == 0 ? run_rounds(scaling) : report_error("scaling", "fill", scaling->folder, error);
  remove_files(scaling);
  if (code != CLI_OK) {
    return code;
  }
  return scaling->as_json ? report_json("scaling", scaling_json(scaling)) : scaling_print(scaling);
}

enum {
  OPTION_SERIES = CLI_OPTION_FIRST,
  OPTION_ROUNDS,
  OPTION_READS,
  OPTION_INSTRUCTIONS,
  OPTION_JSON
};

static int add_series(void* context, const char* text) {
  scaling_t* scaling = context;
  int kind = scaling_find_series(text);
  if (kind < 0) {
    return report_usage("scaling", "--series takes files, queued, arena, not '%s'", text);
  }
  scaling->series[kind] = 1;
  return CLI_OK;
}

static int take_option(scaling_t* scaling, int answer) {
  switch (answer) {
    case OPTION_SERIES:
      return parse_list("scaling", optarg, add_series, scaling);
    case OPTION_INSTRUCTIONS:
      scaling->with_instructions = 1;
      return CLI_OK;
    case OPTION_ROUNDS:
      return parse_count("scaling", "--rounds", optarg, 1, SUMMARY_ROUNDS_MAX, &scaling->rounds);
    case OPTION_READS:
      return parse_count("scaling", "--reads", optarg, 1, 100000000, &scaling->reads);
    default:
      assert(answer == OPTION_JSON);
      scaling->as_json = 1;
      return CLI_OK;
  }
}

/* None was named: all. */
static void want_all_or_some(scaling_t* scaling) {
  int any = 0;
  for (int kind = 0; kind < SCALING_SERIES_COUNT; kind++) {
    any |= scaling->series[kind];
  }
  for (int kind = 0; kind < SCALING_SERIES_COUNT; kind++) {
    scaling->series[kind] |= !any;
  }
}

int scaling_main(int argc, char** argv) {
  static const struct option options[] = {{"series", required_argument, NULL, OPTION_SERIES},
                                          {"rounds", required_argument, NULL, OPTION_ROUNDS},
                                          {"reads", required_argument, NULL, OPTION_READS},
                                          {"instructions", no_argument, NULL, OPTION_INSTRUCTIONS},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  static scaling_t scaling = {.directory = ".", .rounds = ROUNDS_DEFAULT, .reads = READS};
  int answer;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("scaling", argv, answer)
                                              : take_option(&scaling, answer);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("scaling", "it takes one DIRECTORY at most");
  }
  want_all_or_some(&scaling);
  scaling.directory = optind < argc ? argv[optind] : ".";
  return run_scaling(&scaling);
}
