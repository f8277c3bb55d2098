/* SPDX-License-Identifier: MIT */
/*
 * The subcommand: its options, the rounds, and the table.
 */
#include "appends/appends.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>

#include "appends/run.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/path.h"
#include "cli/report.h"
#include "cli/table.h"
#include "harness/summary.h"
#include "harness/turns.h"

static const char usage[] =
    "usage: uvdio-bench appends [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Appends blocks to a new file in DIRECTORY (the current one by default), so many in\n"
    "flight, by these methods in turn, and relates each to the first:\n"
    "\n"
    "  written    plain writes into a file whose blocks are written already\n"
    "  extending  plain writes that extend the file\n"
    "  single     an appender, a write for each append, without growing the file ahead\n"
    "  growing    the same, growing it ahead\n"
    "  gathered   an appender by its defaults: appends that wait share a write\n"
    "\n"
    "  --block BYTES    of an append, a multiple of 4096, with K or M (4K)\n"
    "  --depth N        appends in flight, 1024 at most (32)\n"
    "  --appends N      per figure (40000)\n"
    "  --rounds N       (7)\n"
    "  --durable        each append is durable when its callback runs\n"
    "  --backend B      auto, ring, aio or pool (auto)\n"
    "  --help           this text\n"
    "\n"
    "Exit codes: 0 done, 1 the operation failed, 2 wrong usage.\n";

/* One round; a member for each method. */
typedef struct {
  double rates[APPENDS_METHODS];
} sample_t;

typedef struct {
  appends_params_t params;
  uint64_t rounds;
  sample_t samples[SUMMARY_ROUNDS_MAX];
} appends_t;

static series_t series_of(const appends_t* appends, int method) {
  return (series_t){appends->samples, (size_t)appends->rounds, sizeof(sample_t),
                    (size_t)method * sizeof(double)};
}

static int print_table(const appends_t* appends) {
  static const char* const headings[] = {"method", "appends/s", "spread", "x written"};
  table_t table = {0};
  int failed = table_add_headings(&table, headings, CLI_COUNT_OF(headings), 1);
  for (int method = 0; method < APPENDS_METHODS && !failed; method++) {
    char(*cells)[TABLE_CELL_SIZE] = table_add(&table);
    failed = cells == NULL;
    if (!failed) {
      summary_t rate = summary_of(series_of(appends, method));
      summary_t ratio = summary_of_ratios(series_of(appends, method), series_of(appends, 0));
      snprintf(cells[0], TABLE_CELL_SIZE, "%s", appends_method_name((appends_method_t)method));
      cell_number(cells[1], "%.0f", rate.median);
      cell_spread(cells[2], rate);
      cell_number(cells[3], "%.2f", ratio.median);
    }
  }
  if (!failed) {
    table_print(&table, stdout);
  }
  table_free(&table);
  return failed ? report_error("appends", "print", "the table", UV_ENOMEM) : CLI_OK;
}

static int run_rounds(appends_t* appends) {
  for (uint64_t round = 0; round < appends->rounds; round++) {
    turns_t turns = turns_of(round, APPENDS_METHODS);
    for (int i = 0; i < APPENDS_METHODS; i++) {
      int method = turns.at[i];
      const char* failed;
      int error = appends_run(&appends->params, (appends_method_t)method,
                              &appends->samples[round].rates[method], &failed);
      if (error != 0) {
        return report_error("appends", failed, appends->params.path, error);
      }
    }
  }
  return CLI_OK;
}

static int run_appends(appends_t* appends, const char* directory) {
  char* path = path_temporary(directory, "appends");
  if (path == NULL) {
    return report_error("appends", "name", "a file", UV_ENOMEM);
  }
  appends->params.path = path;
  int code = run_rounds(appends);
  if (code == CLI_OK) {
    printf("%llu appends of %zu bytes, %u in flight%s, %llu rounds\n\n",
           (unsigned long long)appends->params.count, appends->params.block_size,
           appends->params.depth, appends->params.is_durable ? ", durable" : "",
           (unsigned long long)appends->rounds);
    code = print_table(appends);
  }
  free(path);
  return code;
}

enum {
  OPTION_BLOCK = CLI_OPTION_FIRST,
  OPTION_DEPTH,
  OPTION_APPENDS,
  OPTION_ROUNDS,
  OPTION_DURABLE,
  OPTION_BACKEND
};

static int take_option(appends_t* appends, int answer) {
  appends_params_t* params = &appends->params;
  uint64_t block_size = 0;
  int code = CLI_OK;
  switch (answer) {
    case OPTION_BLOCK:
      code = parse_bytes("appends", "--block", optarg, 4096, 1 << 20, &block_size);
      params->block_size = (size_t)block_size;
      return code;
    case OPTION_DEPTH:
      return parse_unsigned("appends", "--depth", optarg, 1024, &params->depth);
    case OPTION_APPENDS:
      return parse_count("appends", "--appends", optarg, 1, 100000000, &params->count);
    case OPTION_ROUNDS:
      return parse_count("appends", "--rounds", optarg, 1, SUMMARY_ROUNDS_MAX, &appends->rounds);
    case OPTION_BACKEND:
      return parse_backend("appends", "--backend", optarg, &params->backend);
    default:
      params->is_durable = 1;
      return CLI_OK;
  }
}

int appends_main(int argc, char** argv) {
  static const struct option options[] = {{"block", required_argument, NULL, OPTION_BLOCK},
                                          {"depth", required_argument, NULL, OPTION_DEPTH},
                                          {"appends", required_argument, NULL, OPTION_APPENDS},
                                          {"rounds", required_argument, NULL, OPTION_ROUNDS},
                                          {"durable", no_argument, NULL, OPTION_DURABLE},
                                          {"backend", required_argument, NULL, OPTION_BACKEND},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  static appends_t appends = {.params = {.block_size = 4096, .depth = 32, .count = 40000},
                              .rounds = 7};
  int answer;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("appends", argv, answer)
                                              : take_option(&appends, answer);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("appends", "it takes one DIRECTORY at most");
  }
  if (appends.params.backend == UVDIO_BACKEND_MEMORY) {
    return report_usage("appends", "--backend takes auto, ring, aio or pool, not 'memory'");
  }
  return run_appends(&appends, optind < argc ? argv[optind] : ".");
}
