/* SPDX-License-Identifier: MIT */
/*
 * The subcommand: its options, the rounds, the table and the picture.
 */
#include "classes/classes.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "classes/run.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "cli/options.h"
#include "cli/path.h"
#include "cli/report.h"
#include "cli/table.h"
#include "harness/environment.h"
#include "harness/plot.h"
#include "harness/summary.h"
#include "harness/turns.h"

static const char usage[] =
    "usage: uvdio-bench classes [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Three loads on one engine, in DIRECTORY (the current one by default): random reads of\n"
    "4 KiB, one at a time; a log of durable writes of 4 KiB, one at a time; and a copy, many\n"
    "at a time. Each alone, all together, and all together in classes, in turn.\n"
    "\n"
    "  --model FILE     the device model; without, it is measured (uvdio probe --measure)\n"
    "  --depth N        of the copy: blocks at a time (64)\n"
    "  --block BYTES    of the copy, a multiple of 4096, with K or M (64K)\n"
    "  --size BYTES     of each of the four files, with K, M or G (256M)\n"
    "  --seconds S      of each figure (1)\n"
    "  --rounds N       (5)\n"
    "  --backend B      auto, ring, aio or pool (auto)\n"
    "  --plot FOLDER    a picture, its data, and results.json\n"
    "  --help           this text\n"
    "\n"
    "Exit codes: 0 done, 1 the operation failed, 2 wrong usage.\n";

enum { READS_ALONE, LOG_ALONE, COPY_ALONE, TOGETHER, IN_CLASSES, RUNS };

static const struct {
  const char* text;
  unsigned loads;
} runs[RUNS] = {{"reads alone", 1 << LOAD_READS},
                {"log alone", 1 << LOAD_LOG},
                {"copy alone", 1 << LOAD_COPY},
                {"together", (1 << LOADS) - 1},
                {"in classes", (1 << LOADS) - 1}};

/* One round. */
typedef struct {
  double p50[RUNS][LOADS];
  double p99[RUNS][LOADS];
  double rate[RUNS][LOADS]; /* of the copy: bytes per second */
} sample_t;

typedef struct {
  classes_params_t params;
  const char* model;
  const char* plot;
  uint64_t rounds;
  sample_t samples[SUMMARY_ROUNDS_MAX];
} classes_t;

#define FIGURE(member, run, load) \
  (offsetof(sample_t, member) + (size_t)((run)*LOADS + (load)) * sizeof(double))

static series_t series_of(const classes_t* classes, size_t member) {
  return (series_t){classes->samples, (size_t)classes->rounds, sizeof(sample_t), member};
}

static double median_of(const classes_t* classes, size_t member) {
  return summary_of(series_of(classes, member)).median;
}

static double ratio_of(const classes_t* classes, size_t member, size_t base) {
  return summary_of_ratios(series_of(classes, member), series_of(classes, base)).median;
}

/*
 * The report
 */

static void add_row(const classes_t* classes, table_t* table, int run) {
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return;
  }
  snprintf(cells[0], TABLE_CELL_SIZE, "%s", runs[run].text);
  for (int load = 0; load < LOAD_COPY; load++) {
    char(*own)[TABLE_CELL_SIZE] = cells + 1 + 3 * load;
    cell_time(own[0], median_of(classes, FIGURE(p50, run, load)));
    cell_time(own[1], median_of(classes, FIGURE(p99, run, load)));
    cell_number(own[2], "%.2f", ratio_of(classes, FIGURE(p99, run, load), FIGURE(p99, load, load)));
  }
  cell_number(cells[7], "%.0f", median_of(classes, FIGURE(rate, run, LOAD_COPY)) / 1e6);
  cell_number(cells[8], "%.2f",
              ratio_of(classes, FIGURE(rate, run, LOAD_COPY), FIGURE(rate, COPY_ALONE, LOAD_COPY)));
}

static int print_table(const classes_t* classes) {
  static const char* const headings[] = {"",    "reads p50", "p99",       "x alone", "log p50",
                                         "p99", "x alone",   "copy MB/s", "x alone"};
  table_t table = {0};
  if (table_add_headings(&table, headings, CLI_COUNT_OF(headings), 1) != 0) {
    return report_error("classes", "print", "the table", UV_ENOMEM);
  }
  for (int run = 0; run < RUNS; run++) {
    add_row(classes, &table, run);
  }
  table_print(&table, stdout);
  table_free(&table);
  return CLI_OK;
}

static json_t* results_json(const classes_t* classes) {
  json_t* rows = json_array();
  for (int run = 0; run < RUNS; run++) {
    json_array_append_new(
        rows,
        json_pack("{s:s, s:o, s:o, s:o}", "run", runs[run].text, "reads_p99_us",
                  json_summary(summary_of(series_of(classes, FIGURE(p99, run, LOAD_READS)))),
                  "log_p99_us",
                  json_summary(summary_of(series_of(classes, FIGURE(p99, run, LOAD_LOG)))),
                  "copy_bytes_per_s",
                  json_summary(summary_of(series_of(classes, FIGURE(rate, run, LOAD_COPY))))));
  }
  return json_pack("{s:o, s:o}", "environment", json_environment(), "runs", rows);
}

static void write_bar(const classes_t* classes, FILE* file, const char* label, size_t alone,
                      size_t member, size_t with) {
  series_t base = series_of(classes, alone);
  summary_t without = summary_of_ratios(series_of(classes, member), base);
  summary_t in_classes = summary_of_ratios(series_of(classes, with), base);
  fprintf(file, "\"%s\" %g %g %g %g %g %g\n", label, without.median, without.min, without.max,
          in_classes.median, in_classes.min, in_classes.max);
}

static int write_data(const classes_t* classes) {
  FILE* file = plot_create(classes->plot, "classes", ".dat");
  if (file == NULL) {
    return CLI_FAILED;
  }
  write_bar(classes, file, "reads, p99", FIGURE(p99, READS_ALONE, LOAD_READS),
            FIGURE(p99, TOGETHER, LOAD_READS), FIGURE(p99, IN_CLASSES, LOAD_READS));
  write_bar(classes, file, "log, p99", FIGURE(p99, LOG_ALONE, LOAD_LOG),
            FIGURE(p99, TOGETHER, LOAD_LOG), FIGURE(p99, IN_CLASSES, LOAD_LOG));
  write_bar(classes, file, "copy, bytes per second", FIGURE(rate, COPY_ALONE, LOAD_COPY),
            FIGURE(rate, TOGETHER, LOAD_COPY), FIGURE(rate, IN_CLASSES, LOAD_COPY));
  return plot_close(classes->plot, file);
}

static int write_script(const classes_t* classes) {
  FILE* file = plot_create(classes->plot, "classes", ".gnuplot");
  if (file == NULL) {
    return CLI_FAILED;
  }
  fprintf(file,
          "set terminal pngcairo size 900,500 font 'sans,12' background 'white'\n"
          "set output 'classes.png'\nset key below horizontal\nset logscale y 2\n"
          "set ylabel 'times what it is alone'\nset grid y lt 1 lw 1 lc rgb '#E4E4E4'\n"
          "set border 3\nset tics nomirror\nset style data histogram\n"
          "set style histogram errorbars gap 1.5 lw 1.5\nset style fill solid 0.85 border -1\n"
          "set title 'Reads and a log beside a copy at depth %u, on one engine'\n"
          "plot 'classes.dat' using 2:3:4:xtic(1) title 'without classes' lc rgb '#D95F02', \\\n"
          "     '' using 5:6:7 title 'with classes' lc rgb '#1B9E77'\n",
          classes->params.depth);
  return plot_close(classes->plot, file);
}

static int draw(const classes_t* classes) {
  int with_gnuplot;
  int code = plot_open(classes->plot, results_json(classes), &with_gnuplot);
  code = code == CLI_OK ? write_data(classes) : code;
  code = code == CLI_OK ? write_script(classes) : code;
  return code == CLI_OK && with_gnuplot ? plot_draw(classes->plot, "classes") : code;
}

/*
 * The rounds
 */

static int run_once(classes_t* classes, sample_t* sample, int run) {
  meter_figures_t figures[LOADS];
  const char* failed;
  for (int load = 0; load < LOADS; load++) {
    figures[load] = (meter_figures_t){NAN, NAN, NAN, NAN, NAN};
  }
  int error = classes_run(&classes->params, runs[run].loads, run == IN_CLASSES, figures, &failed);
  if (error != 0) {
    return report_error("classes", failed, classes->params.directory, error);
  }
  for (int load = 0; load < LOADS; load++) {
    int is_on = (runs[run].loads & 1u << load) != 0;
    sample->p50[run][load] = is_on ? figures[load].p50_us : NAN;
    sample->p99[run][load] = is_on ? figures[load].p99_us : NAN;
    sample->rate[run][load] = is_on ? figures[load].bytes_per_s : NAN;
  }
  return CLI_OK;
}

static int run_rounds(classes_t* classes) {
  int code = CLI_OK;
  for (uint64_t round = 0; round < classes->rounds && code == CLI_OK; round++) {
    turns_t turns = turns_of(round, RUNS);
    for (int i = 0; i < RUNS && code == CLI_OK; i++) {
      code = run_once(classes, &classes->samples[round], turns.at[i]);
    }
  }
  return code;
}

static int get_model(classes_t* classes) {
  char measured[512];
  const char* path = classes->model;
  if (path == NULL) {
    snprintf(measured, sizeof measured, "%s/model", classes->params.directory);
    path = measured;
    int code = probe_measure(path);
    if (code != CLI_OK) {
      return code;
    }
  }
  int error = uvdio_device_model_read(path, &classes->params.model);
  if (path == measured) {
    (void)unlink(measured);
  }
  return error == 0 ? CLI_OK : report_error("classes", "read the device model", path, error);
}

static int run_in_directory(classes_t* classes) {
  const char* failed;
  int code = get_model(classes);
  if (code != CLI_OK) {
    return code;
  }
  int error = classes_make_files(&classes->params, &failed);
  code = error == 0 ? run_rounds(classes)
                    : report_error("classes", failed, classes->params.directory, error);
  classes_remove_files(&classes->params);
  if (code == CLI_OK) {
    printf("\ncopy of %zu KiB at depth %u, %llu rounds\n\n", classes->params.block_size / 1024,
           classes->params.depth, (unsigned long long)classes->rounds);
    code = print_table(classes);
  }
  return code == CLI_OK && classes->plot != NULL ? draw(classes) : code;
}

static int run_classes(classes_t* classes, const char* directory) {
  char* own = path_temporary(directory, "classes");
  if (own == NULL || mkdir(own, 0700) != 0) {
    int error = own == NULL ? UV_ENOMEM : uv_translate_sys_error(errno);
    free(own);
    return report_error("classes", "make a folder in", directory, error);
  }
  classes->params.directory = own;
  int code = run_in_directory(classes);
  (void)rmdir(own);
  free(own);
  return code;
}

/*
 * Options
 */

enum {
  OPTION_MODEL = CLI_OPTION_FIRST,
  OPTION_DEPTH,
  OPTION_BLOCK,
  OPTION_SIZE,
  OPTION_SECONDS,
  OPTION_ROUNDS,
  OPTION_BACKEND,
  OPTION_PLOT
};

static int take_block(classes_params_t* params) {
  uint64_t bytes = 0;
  int code = parse_bytes("classes", "--block", optarg, 4096, 1 << 24, &bytes);
  params->block_size = (size_t)bytes;
  return code;
}

static int take_option(classes_t* classes, int answer) {
  classes_params_t* params = &classes->params;
  switch (answer) {
    case OPTION_MODEL:
      classes->model = optarg;
      return CLI_OK;
    case OPTION_DEPTH:
      return parse_unsigned("classes", "--depth", optarg, 1024, &params->depth);
    case OPTION_BLOCK:
      return take_block(params);
    case OPTION_SIZE:
      return parse_bytes("classes", "--size", optarg, 1 << 25, INT64_MAX, &params->file_size);
    case OPTION_SECONDS:
      return parse_seconds("classes", "--seconds", optarg, &params->duration_ns);
    case OPTION_ROUNDS:
      return parse_count("classes", "--rounds", optarg, 1, SUMMARY_ROUNDS_MAX, &classes->rounds);
    case OPTION_BACKEND:
      return parse_backend("classes", "--backend", optarg, &params->backend);
    default:
      classes->plot = optarg;
      return CLI_OK;
  }
}

int classes_main(int argc, char** argv) {
  static const struct option options[] = {{"model", required_argument, NULL, OPTION_MODEL},
                                          {"depth", required_argument, NULL, OPTION_DEPTH},
                                          {"block", required_argument, NULL, OPTION_BLOCK},
                                          {"size", required_argument, NULL, OPTION_SIZE},
                                          {"seconds", required_argument, NULL, OPTION_SECONDS},
                                          {"rounds", required_argument, NULL, OPTION_ROUNDS},
                                          {"backend", required_argument, NULL, OPTION_BACKEND},
                                          {"plot", required_argument, NULL, OPTION_PLOT},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  static classes_t classes = {.params = {.file_size = (uint64_t)256 << 20,
                                         .duration_ns = 1000000000,
                                         .block_size = 64 << 10,
                                         .depth = 64},
                              .rounds = 5};
  int answer;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("classes", argv, answer)
                                              : take_option(&classes, answer);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("classes", "it takes one DIRECTORY at most");
  }
  if (classes.params.backend == UVDIO_BACKEND_MEMORY) {
    return report_usage("classes", "--backend takes auto, ring, aio or pool, not 'memory'");
  }
  return run_classes(&classes, optind < argc ? argv[optind] : ".");
}
