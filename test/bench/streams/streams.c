/* SPDX-License-Identifier: MIT */
/*
 * The subcommand: its options, the rounds, and the tables.
 */
#include "streams/streams.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/path.h"
#include "cli/report.h"
#include "cli/table.h"
#include "harness/summary.h"
#include "harness/turns.h"
#include "streams/run.h"

static const char usage[] =
    "usage: uvdio-bench streams [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Reads a new file in DIRECTORY (the current one by default) from begin to end, in turn by\n"
    "1, 2, 4 ... 128 reads in flight, by a reader (uvdio/stream.h) and by a reader whose window\n"
    "is the largest from the start, and by one of a class that has 512 KiB in flight at most;\n"
    "for each block size, and relates each to the best fixed number.\n"
    "\n"
    "  --block BYTES    one block size, a multiple of 4096, with K or M (16K, 64K, 256K, 1M)\n"
    "  --size BYTES     of the file, a multiple of 1M, with M or G (256M)\n"
    "  --rounds N       (5)\n"
    "  --beside         random pages are read meanwhile, one at a time; their rate is shown\n"
    "  --backend B      auto, ring, aio or pool (auto)\n"
    "  --help           this text\n"
    "\n"
    "Exit codes: 0 done, 1 the operation failed, 2 wrong usage.\n";

/* One round; a member for each method. */
typedef struct {
  double bytes[STREAMS_METHODS];
  double pages[STREAMS_METHODS];
} sample_t;

typedef struct {
  streams_params_t params;
  uint64_t rounds;
  sample_t samples[SUMMARY_ROUNDS_MAX];
} streams_t;

static series_t series_of(const streams_t* streams, int method) {
  return (series_t){streams->samples, (size_t)streams->rounds, sizeof(sample_t),
                    (size_t)method * sizeof(double)};
}

static series_t pages_of(const streams_t* streams, int method) {
  return (series_t){streams->samples, (size_t)streams->rounds, sizeof(sample_t),
                    (size_t)(STREAMS_METHODS + method) * sizeof(double)};
}

/* The fixed number by which the file was read fastest. */
static int best_of(const streams_t* streams) {
  int best = 0;
  for (int method = 1; method < STREAMS_FIXED; method++) {
    if (summary_of(series_of(streams, method)).median >
        summary_of(series_of(streams, best)).median) {
      best = method;
    }
  }
  return best;
}

static int print_table(const streams_t* streams) {
  static const char* const headings[] = {"in flight", "MB/s", "spread", "x best", "pages/s"};
  table_t table = {0};
  int best = best_of(streams);
  int failed = table_add_headings(&table, headings, CLI_COUNT_OF(headings), 1);
  for (int method = 0; method < STREAMS_METHODS && !failed; method++) {
    char(*cells)[TABLE_CELL_SIZE] = table_add(&table);
    failed = cells == NULL;
    if (!failed) {
      summary_t rate = summary_of(series_of(streams, method));
      summary_t ratio = summary_of_ratios(series_of(streams, method), series_of(streams, best));
      summary_t pages = summary_of(pages_of(streams, method));
      streams_name(method, cells[0], TABLE_CELL_SIZE);
      cell_number(cells[1], "%.0f", rate.median / 1e6);
      cell_spread(cells[2], rate);
      cell_number(cells[3], "%.2f", ratio.median);
      cell_number(cells[4], "%.0f", streams->params.is_beside ? pages.median : NAN);
    }
  }
  if (!failed) {
    table_print(&table, stdout);
  }
  table_free(&table);
  return failed ? report_error("streams", "print", "the table", UV_ENOMEM) : CLI_OK;
}

static int run_rounds(streams_t* streams) {
  for (uint64_t round = 0; round < streams->rounds; round++) {
    sample_t* sample = &streams->samples[round];
    turns_t turns = turns_of(round, STREAMS_METHODS);
    for (int i = 0; i < STREAMS_METHODS; i++) {
      int method = turns.at[i];
      streams_figure_t figure = {0};
      int error = streams_run(&streams->params, method, &figure);
      if (error != 0) {
        return report_error("streams", "read", streams->params.path, error);
      }
      sample->bytes[method] = figure.bytes;
      sample->pages[method] = figure.pages;
    }
  }
  printf("%llu MiB in blocks of %zu KiB, %llu rounds%s\n\n",
         (unsigned long long)streams->params.size >> 20, streams->params.block_size >> 10,
         (unsigned long long)streams->rounds,
         streams->params.is_beside ? ", beside random reads" : "");
  return print_table(streams);
}

static int run_blocks(streams_t* streams) {
  static const size_t sizes[] = {16384, 65536, 262144, 1048576};
  int code = CLI_OK;
  if (streams->params.block_size != 0) {
    return run_rounds(streams);
  }
  for (unsigned i = 0; i < CLI_COUNT_OF(sizes) && code == CLI_OK; i++) {
    printf("%s", i > 0 ? "\n" : "");
    streams->params.block_size = sizes[i];
    code = run_rounds(streams);
  }
  return code;
}

static int run_streams(streams_t* streams, const char* directory) {
  char* path = path_temporary(directory, "streams");
  if (path == NULL) {
    return report_error("streams", "name", "a file", UV_ENOMEM);
  }
  streams->params.path = path;
  int error = streams_prepare(&streams->params);
  int code = error != 0 ? report_error("streams", "write", path, error) : run_blocks(streams);
  (void)unlink(path);
  free(path);
  return code;
}

enum { OPTION_BLOCK = CLI_OPTION_FIRST, OPTION_SIZE, OPTION_ROUNDS, OPTION_BESIDE, OPTION_BACKEND };

static int take_option(streams_t* streams, int answer) {
  streams_params_t* params = &streams->params;
  uint64_t block_size = 0;
  int code = CLI_OK;
  switch (answer) {
    case OPTION_BLOCK:
      code = parse_bytes("streams", "--block", optarg, 4096, 1 << 20, &block_size);
      params->block_size = (size_t)block_size;
      return code;
    case OPTION_SIZE:
      return parse_bytes("streams", "--size", optarg, 1 << 20, (uint64_t)1 << 40, &params->size);
    case OPTION_ROUNDS:
      return parse_count("streams", "--rounds", optarg, 1, SUMMARY_ROUNDS_MAX, &streams->rounds);
    case OPTION_BACKEND:
      return parse_backend("streams", "--backend", optarg, &params->backend);
    default:
      params->is_beside = 1;
      return CLI_OK;
  }
}

int streams_main(int argc, char** argv) {
  static const struct option options[] = {{"block", required_argument, NULL, OPTION_BLOCK},
                                          {"size", required_argument, NULL, OPTION_SIZE},
                                          {"rounds", required_argument, NULL, OPTION_ROUNDS},
                                          {"beside", no_argument, NULL, OPTION_BESIDE},
                                          {"backend", required_argument, NULL, OPTION_BACKEND},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  static streams_t streams = {.params = {.size = (uint64_t)256 << 20}, .rounds = 5};
  int answer;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("streams", argv, answer)
                                              : take_option(&streams, answer);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("streams", "it takes one DIRECTORY at most");
  }
  if (streams.params.backend == UVDIO_BACKEND_MEMORY) {
    return report_usage("streams", "--backend takes auto, ring, aio or pool, not 'memory'");
  }
  if (streams.params.size % (1 << 20) != 0) {
    return report_usage("streams", "--size takes a multiple of 1M");
  }
  return run_streams(&streams, optind < argc ? argv[optind] : ".");
}
