/* SPDX-License-Identifier: MIT */
/*
 * The subcommand: its options, its folder and the rounds.
 */
#include "log/commits.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/path.h"
#include "cli/report.h"
#include "harness/child.h"
#include "harness/turns.h"
#include "log/model.h"
#include "log/report.h"

static const char usage[] =
    "usage: uvdio-bench log [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Commits records durably in DIRECTORY (the current one by default), by these methods in\n"
    "turn; each client has one commit under way at a time:\n"
    "\n"
    "  log       the library's log (uvdio/log.h), by its defaults\n"
    "  packed    the same with UVDIO_LOG_PACKED\n"
    "  rolling   the first with small segments, which are cut and used again all the time\n"
    "  segments  one loop, kernel AIO of whole blocks into prepared segments: raft's way\n"
    "  threads   a thread for each client; one writes for all (pwrite, fdatasync)\n"
    "  sqlite    the same threads; what gathers is one transaction (WAL, synchronous=FULL)\n"
    "  device    direct durable writes of a record's blocks, by one thread\n"
    "\n"
    "  --clients N,...   1 to 4096 (1,16,256)\n"
    "  --record BYTES,...  of a record, with K (200,16K)\n"
    "  --method M,...    only these (all)\n"
    "  --segment BYTES   of the rolling log, a multiple of 4096, with K or M (4M)\n"
    "  --seconds S       of each figure (0.2)\n"
    "  --rounds N        (9)\n"
    "  --backend B       of the log: auto, ring, aio or pool (auto)\n"
    "  --json            print the figures as JSON\n"
    "  --plot FOLDER     pictures, their data, and results.json\n"
    "  --help            this text\n"
    "\n"
    "It takes about 1 GiB of the disk, and removes it. Exit codes: 0 done, 1 the operation\n"
    "failed, 2 wrong usage, 128+N ended by signal N.\n";

/*
 * The rounds
 */

static void show_status(const commits_bench_t* bench, uint64_t round, commits_method_t method) {
  if (isatty(STDERR_FILENO)) {
    fprintf(stderr, "\rround %llu of %llu, records of %zu bytes, clients %u: %s\033[K",
            (unsigned long long)round + 1, (unsigned long long)bench->rounds,
            bench->params.record_size, bench->params.clients, commits_method_name(method));
  }
}

static int run_once(commits_bench_t* bench, commits_row_t* row, commits_method_t method) {
  const char* failed;
  int error = commits_run(&bench->params, method, &row->samples[row->count], &failed);
  if (error != 0) {
    return report_problem("log", "%s: cannot %s %s: %s (%s).", commits_method_name(method), failed,
                          bench->params.directory, uvdio_strerror(error), uvdio_err_name(error));
  }
  row->count++;
  return CLI_OK;
}

static int run_cell(commits_bench_t* bench, uint64_t round, size_t record, size_t client) {
  int code = CLI_OK;
  bench->params.record_size = bench->records[record];
  bench->params.clients = bench->clients[client];
  turns_t turns = turns_of(round, COMMITS_METHODS);
  for (unsigned i = 0; i < COMMITS_METHODS && code == CLI_OK && child_signal() == 0; i++) {
    commits_method_t method = (commits_method_t)turns.at[i];
    if (bench->takes_part[method]) {
      show_status(bench, round, method);
      code = run_once(bench, &bench->rows[record][client][method], method);
    }
  }
  return code;
}

static int run_rounds(commits_bench_t* bench) {
  int code = CLI_OK;
  for (uint64_t round = 0; round < bench->rounds; round++) {
    for (size_t record = 0; record < bench->record_count; record++) {
      for (size_t client = 0; client < bench->client_count && code == CLI_OK; client++) {
        code = run_cell(bench, round, record, client);
      }
    }
  }
  if (isatty(STDERR_FILENO)) {
    fputs("\r\033[K", stderr);
  }
  return code;
}

/*
 * Around the rounds
 */

static int prepare(commits_bench_t* bench) {
  for (int i = 0; i < COMMITS_METHODS && child_signal() == 0; i++) {
    commits_method_t method = (commits_method_t)i;
    const char* failed;
    int error = bench->takes_part[i] ? commits_prepare(&bench->params, method, &failed) : 0;
    if (error != 0) {
      return report_error("log", failed, bench->params.directory, error);
    }
  }
  return CLI_OK;
}

static void remove_all(const commits_bench_t* bench) {
  for (int method = 0; method < COMMITS_METHODS; method++) {
    commits_remove(&bench->params, (commits_method_t)method);
  }
  (void)rmdir(bench->params.directory);
}

static int tell(const commits_bench_t* bench) {
  int code = bench->as_json ? report_json("log", commits_json(bench)) : commits_print(bench);
  return code == CLI_OK && bench->plot != NULL ? commits_plot(bench) : code;
}

static int run_bench(commits_bench_t* bench, const char* directory) {
  char* own = path_temporary(directory, "log");
  if (own == NULL || mkdir(own, 0700) != 0) {
    int error = own == NULL ? UV_ENOMEM : uv_translate_sys_error(errno);
    free(own);
    return report_error("log", "make a folder in", directory, error);
  }
  bench->params.directory = own;
  child_watch_signals();
  int code = prepare(bench);
  code = code == CLI_OK ? run_rounds(bench) : code;
  remove_all(bench);
  free(own);
  code = child_exit_code(code);
  return code == CLI_OK ? tell(bench) : code;
}

/*
 * Options
 */

static int add_record(void* context, const char* text) {
  commits_bench_t* bench = context;
  uint64_t bytes = 0;
  int code = parse_multiple("log", "--record", text, 1, 1, COMMITS_RECORD_MAX, &bytes);
  if (code == CLI_OK && bench->record_count == COMMITS_LIST_MAX) {
    code = report_usage("log", "--record takes at most %d sizes", COMMITS_LIST_MAX);
  }
  if (code == CLI_OK) {
    bench->records[bench->record_count++] = (size_t)bytes;
  }
  return code;
}

static int add_clients(void* context, const char* text) {
  commits_bench_t* bench = context;
  unsigned number = 0;
  int code = parse_unsigned("log", "--clients", text, COMMITS_CLIENTS_MAX, &number);
  if (code == CLI_OK && bench->client_count == COMMITS_LIST_MAX) {
    code = report_usage("log", "--clients takes at most %d numbers", COMMITS_LIST_MAX);
  }
  if (code == CLI_OK) {
    bench->clients[bench->client_count++] = number;
  }
  return code;
}

static int add_method(void* context, const char* text) {
  commits_bench_t* bench = context;
  for (int method = 0; method < COMMITS_METHODS; method++) {
    if (strcmp(text, commits_method_name((commits_method_t)method)) == 0) {
      bench->takes_part[method] = 1;
      return CLI_OK;
    }
  }
  return report_usage("log", "--method has no '%s'", text);
}

/* What was not named, and what this build lacks. */
static void set_defaults(commits_bench_t* bench) {
  static const size_t records[] = {200, 16384};
  static const unsigned clients[] = {1, 16, 256};
  int named = 0;
  if (bench->record_count == 0) {
    memcpy(bench->records, records, sizeof records);
    bench->record_count = CLI_COUNT_OF(records);
  }
  if (bench->client_count == 0) {
    memcpy(bench->clients, clients, sizeof clients);
    bench->client_count = CLI_COUNT_OF(clients);
  }
  for (int method = 0; method < COMMITS_METHODS; method++) {
    named |= bench->takes_part[method];
  }
  for (int method = 0; method < COMMITS_METHODS; method++) {
    const char* missing = commits_method_missing((commits_method_t)method);
    bench->takes_part[method] |= !named;
    if (bench->takes_part[method] && missing != NULL) {
      bench->takes_part[method] = 0;
      notes_add(&bench->notes, "No row %s: %s.", commits_method_name((commits_method_t)method),
                missing);
    }
  }
}

enum {
  OPTION_CLIENTS = CLI_OPTION_FIRST,
  OPTION_RECORD,
  OPTION_METHOD,
  OPTION_SEGMENT,
  OPTION_SECONDS,
  OPTION_ROUNDS,
  OPTION_BACKEND,
  OPTION_JSON,
  OPTION_PLOT
};

static int take_option(commits_bench_t* bench, int answer) {
  commits_params_t* params = &bench->params;
  switch (answer) {
    case OPTION_CLIENTS:
      return parse_list("log", optarg, add_clients, bench);
    case OPTION_RECORD:
      return parse_list("log", optarg, add_record, bench);
    case OPTION_METHOD:
      return parse_list("log", optarg, add_method, bench);
    case OPTION_SEGMENT:
      return parse_bytes("log", "--segment", optarg, 1 << 16, 1 << 30, &params->segment_size);
    case OPTION_SECONDS:
      return parse_seconds("log", "--seconds", optarg, &params->duration_ns);
    case OPTION_ROUNDS:
      return parse_count("log", "--rounds", optarg, 1, SUMMARY_ROUNDS_MAX, &bench->rounds);
    case OPTION_BACKEND:
      return parse_backend("log", "--backend", optarg, &params->backend);
    case OPTION_JSON:
      bench->as_json = 1;
      return CLI_OK;
    default:
      bench->plot = optarg;
      return CLI_OK;
  }
}

int commits_main(int argc, char** argv) {
  static const struct option options[] = {{"clients", required_argument, NULL, OPTION_CLIENTS},
                                          {"record", required_argument, NULL, OPTION_RECORD},
                                          {"method", required_argument, NULL, OPTION_METHOD},
                                          {"segment", required_argument, NULL, OPTION_SEGMENT},
                                          {"seconds", required_argument, NULL, OPTION_SECONDS},
                                          {"rounds", required_argument, NULL, OPTION_ROUNDS},
                                          {"backend", required_argument, NULL, OPTION_BACKEND},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          {"plot", required_argument, NULL, OPTION_PLOT},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  static commits_bench_t bench = {
      .params = {.duration_ns = 200000000, .segment_size = (uint64_t)4 << 20}, .rounds = 9};
  int answer;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("log", argv, answer)
                                              : take_option(&bench, answer);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("log", "it takes one DIRECTORY at most");
  }
  if (bench.params.backend == UVDIO_BACKEND_MEMORY) {
    return report_usage("log", "--backend takes auto, ring, aio or pool, not 'memory'");
  }
  set_defaults(&bench);
  return run_bench(&bench, optind < argc ? argv[optind] : ".");
}
