/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench server: options, the rate of the background I/O, and the rounds.
 */
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/report.h"
#include "echo_server/params.h"
#include "harness/child.h"
#include "harness/notes.h"
#include "harness/scratch_dir.h"
#include "harness/summary.h"
#include "harness/turns.h"
#include "harness/work.h"
#include "server/model.h"
#include "server/plot.h"
#include "server/report.h"
#include "server/sample.h"
#include "server/server.h"
#include "uvdio.h"

#define SIZE_DEFAULT ((uint64_t)256 * 1024 * 1024)
#define BLOCK_MAX ((uint64_t)64 * 1024 * 1024)
#define DURATION_DEFAULT_NS ((uint64_t)1000000000)
#define DURATION_MIN_NS 10000000
#define ROUNDS_DEFAULT 5
#define THREADS_DEFAULT 4
#define CONNECTIONS_DEFAULT 64
#define MESSAGES_DEFAULT 6400
#define DEPTH_DEFAULT 64
#define LOAD_MS_DEFAULT 20
/* Works for each thread: one runs, another one waits. */
#define LOADS_PER_THREAD 2
#define CALIBRATION_ROUNDS 3
/* Of what the pool reaches: what both can do, and with enough in flight to matter. */
#define RATE_SHARE 0.8
#define RATE_MAX 10000000

static const char usage[] =
    "usage: uvdio-bench server [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Two questions about a loop that serves a network and reads files, which are made in\n"
    "DIRECTORY (the current one if none is given) and removed at the end:\n"
    "\n"
    "  echo      what does background I/O do to TCP connections on the same loop? An echo is\n"
    "            measured without I/O, and with I/O at the same rate by the library on the ring\n"
    "            and on the pool, and by uv_fs_read\n"
    "  occupied  what does an occupied threadpool (slow DNS, user work) do to the I/O? As much\n"
    "            I/O as goes, with the threads free and with more work for them than there are\n"
    "            threads\n"
    "\n"
    "  --connections N    of the echo (64)\n"
    "  --messages N       per second, over all connections (6400)\n"
    "  --rate N           background operations per second (80 % of what the pool reaches); max:\n"
    "                     as many as go\n"
    "  --operation O      of the background: random-read (default), sequential-read,\n"
    "                     random-write, sequential-write, durable-write, mixed\n"
    "  --depth N          requests in flight at most (64)\n"
    "  --block BYTES      bytes per operation (4K; a multiple of 4096)\n"
    "  --size BYTES       size of the file (256M)\n"
    "  --callbacks N      callbacks per turn of the loop at most (the library's default)\n"
    "  --busy-poll US     so long the ring is watched before the loop sleeps (not at all; 1000\n"
    "                     at most)\n"
    "  --threads N        of the threadpool (4)\n"
    "  --work W           what occupies the threads: sleep (default), or cpu, which takes\n"
    "                     processors from all\n"
    "  --work-ms N        how long each does (20)\n"
    "  --rounds N         so many rounds (5)\n"
    "  --seconds S        length of one measurement (1)\n"
    "  --loop-device      on ext4 on a loop device over tmpfs (Linux, root)\n"
    "  --plot DIR         write pictures (by gnuplot), their data and results.json into DIR\n"
    "  --json             JSON instead of tables\n"
    "  --seed N           of offsets and of when messages are sent (1)\n"
    "  --help             this text\n"
    "\n"
    "test/bench/README.md tells how to read the tables and pictures.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 128+N ended by signal N.\n";

/*
 * Rounds.
 */

static void show_status(const char* what, const char* variant, uint64_t round, uint64_t rounds) {
  if (isatty(STDERR_FILENO)) {
    fprintf(stderr, "\r%s, round %llu of %llu: %s\033[K", what, (unsigned long long)round + 1,
            (unsigned long long)rounds, variant);
  }
}

static void clear_status(void) {
  if (isatty(STDERR_FILENO)) {
    fputs("\r\033[K", stderr);
  }
}

/* A row that failed once is left out from then on: its figures would be of other rounds. */
static void measure_row(server_bench_t* server, server_row_t* row, uint64_t round) {
  static const char* const part_names[] = {"echo", "threads free", "threads occupied"};
  figures_t figures;
  show_status(part_names[row->part], row->variant, round, server->rounds);
  if (row->count == round && child_signal() == 0 && server_sample(server, row, &figures) == 0) {
    row->figures[row->count++] = figures;
  }
}

static void measure(server_bench_t* server) {
  for (uint64_t round = 0; round < server->rounds; round++) {
    turns_t turns = turns_of(round, server->row_count);
    for (size_t i = 0; i < server->row_count; i++) {
      measure_row(server, &server->rows[turns.at[i]], round);
    }
  }
  clear_status();
}

static void add_row(server_bench_t* server, const char* variant, server_part_t part) {
  assert(server->row_count < SERVER_ROWS_MAX);
  server->rows[server->row_count++] = (server_row_t){.variant = variant, .part = part};
}

static void add_rows(server_bench_t* server) {
  char reason[256] = "";
  int without_ring = uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof reason) != 0;
  if (without_ring) {
    notes_add(&server->notes, "ring is not available: %s", reason);
  }
  for (size_t i = 0; i < SERVER_VARIANT_COUNT; i++) {
    if (!without_ring || strcmp(server_variants[i].name, "ring") != 0) {
      add_row(server, server_variants[i].name, PART_ECHO);
    }
  }
  for (size_t i = 1; i < SERVER_VARIANT_COUNT; i++) {
    if (!without_ring || strcmp(server_variants[i].name, "ring") != 0) {
      add_row(server, server_variants[i].name, PART_FREE);
      add_row(server, server_variants[i].name, PART_BUSY);
    }
  }
}

static void note_pool_load(server_bench_t* server) {
  if (server->params.load_kind == POOL_LOAD_CPU) {
    notes_add(&server->notes,
              "Work that computes takes processors from the loop, too: what it costs the ring it "
              "costs every other "
              "thread of the machine.");
  }
}

/* The rate is a share of what the pool reaches next to the echo. */
static int calibrate(server_bench_t* server) {
  server_row_t row = {.variant = "pool", .part = PART_ECHO};
  for (uint64_t round = 0; round < CALIBRATION_ROUNDS && child_signal() == 0; round++) {
    show_status("finding the rate", row.variant, round, CALIBRATION_ROUNDS);
    if (server_sample(server, &row, &row.figures[row.count]) == 0) {
      row.count++;
    }
  }
  clear_status();
  double reached = server_summary(&row, FIGURE(iops)).median;
  if (child_signal() != 0) {
    return CLI_FAILED;
  }
  if (!(reached > 0)) {
    notes_print(&server->notes);
    return report_problem(
        "server", "the pool did no background I/O, so that there is no rate to hold others to.");
  }
  server->params.rate = reached * RATE_SHARE > 1 ? (uint64_t)(reached * RATE_SHARE) : 1;
  return CLI_OK;
}

static int tell(server_bench_t* server) {
  int code = server->as_json ? report_json("server", server_json(server)) : server_print(server);
  return code == CLI_OK && server->plot != NULL ? server_plot(server) : code;
}

static int run_server(server_bench_t* server, const char* path) {
  child_watch_signals();
  server->scratch = (scratch_dir_t){.path = path,
                                    .wants_loop_device = server->on_loop_device,
                                    .params = &server->params.work,
                                    .command = "server",
                                    .blocks = &server->params.work.block_size,
                                    .block_count = 1};
  add_rows(server);
  note_pool_load(server);
  int code = scratch_dir_open(&server->scratch);
  if (code == CLI_OK && child_signal() == 0 && !server->rate_was_given) {
    code = calibrate(server);
  }
  if (code == CLI_OK) {
    measure(server);
  }
  scratch_dir_close(&server->scratch);
  code = child_exit_code(code);
  return code == CLI_OK ? tell(server) : code;
}

/*
 * Options.
 */

enum {
  OPTION_CONNECTIONS = CLI_OPTION_FIRST,
  OPTION_MESSAGES,
  OPTION_RATE,
  OPTION_OPERATION,
  OPTION_DEPTH,
  OPTION_BLOCK,
  OPTION_SIZE,
  OPTION_CALLBACKS,
  OPTION_BUSY_POLL,
  OPTION_THREADS,
  OPTION_WORK,
  OPTION_WORK_MS,
  OPTION_ROUNDS,
  OPTION_SECONDS,
  OPTION_LOOP_DEVICE,
  OPTION_PLOT,
  OPTION_JSON,
  OPTION_SEED
};

static const struct option long_options[] = {
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"messages", required_argument, NULL, OPTION_MESSAGES},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"operation", required_argument, NULL, OPTION_OPERATION},
    {"depth", required_argument, NULL, OPTION_DEPTH},
    {"block", required_argument, NULL, OPTION_BLOCK},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"callbacks", required_argument, NULL, OPTION_CALLBACKS},
    {"busy-poll", required_argument, NULL, OPTION_BUSY_POLL},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"work", required_argument, NULL, OPTION_WORK},
    {"work-ms", required_argument, NULL, OPTION_WORK_MS},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"loop-device", no_argument, NULL, OPTION_LOOP_DEVICE},
    {"plot", required_argument, NULL, OPTION_PLOT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse_operation(echo_server_params_t* params, const char* text) {
  return work_kind_parse(text, &params->work.kind) == 0
             ? CLI_OK
             : report_usage("server",
                            "--operation takes random-read, sequential-read, random-write, "
                            "sequential-write, "
                            "durable-write or mixed, not '%s'",
                            text);
}

static int parse_work(echo_server_params_t* params, const char* text) {
  if (pool_load_kind_parse(text, &params->load_kind) != 0 || params->load_kind == POOL_LOAD_NONE) {
    return report_usage("server", "--work takes sleep or cpu, not '%s'", text);
  }
  return CLI_OK;
}

static int parse_rate(server_bench_t* server, const char* text) {
  server->rate_was_given = 1;
  server->params.rate = 0;
  return strcmp(text, "max") == 0
             ? CLI_OK
             : parse_count("server", "--rate", text, 1, RATE_MAX, &server->params.rate);
}

static int parse_duration(echo_server_params_t* params, const char* text) {
  int code = parse_seconds("server", "--seconds", text, &params->duration_ns);
  if (code == CLI_OK && params->duration_ns < DURATION_MIN_NS) {
    return report_usage("server", "--seconds takes 0.01 and more, not '%s'", text);
  }
  return code;
}

static int set_flag(server_bench_t* server, int option, const char* value) {
  switch (option) {
    case OPTION_LOOP_DEVICE:
      server->on_loop_device = 1;
      break;
    case OPTION_PLOT:
      server->plot = value;
      break;
    case OPTION_JSON:
      server->as_json = 1;
      break;
  }
  return CLI_OK;
}

static int set_option(server_bench_t* server, int option, const char* value) {
  echo_server_params_t* params = &server->params;
  uint64_t block = params->work.block_size;
  int code;
  switch (option) {
    case OPTION_CONNECTIONS:
      return parse_unsigned("server", "--connections", value, ECHO_SERVER_CONNECTIONS_MAX,
                            &params->connections);
    case OPTION_MESSAGES:
      return parse_unsigned("server", "--messages", value, ECHO_SERVER_MESSAGES_MAX,
                            &params->messages);
    case OPTION_RATE:
      return parse_rate(server, value);
    case OPTION_OPERATION:
      return parse_operation(params, value);
    case OPTION_DEPTH:
      return parse_unsigned("server", "--depth", value, WORK_DEPTH_MAX, &params->work.depth);
    case OPTION_BLOCK:
      code = parse_bytes("server", "--block", value, UVDIO_ALIGNMENT, BLOCK_MAX, &block);
      params->work.block_size = (size_t)block;
      return code;
    case OPTION_SIZE:
      return parse_bytes("server", "--size", value, UVDIO_ALIGNMENT, INT64_MAX / 4,
                         &params->work.file_size);
    case OPTION_CALLBACKS:
      return parse_unsigned("server", "--callbacks", value, UVDIO_DEPTH_MAX,
                            &params->callbacks_max);
    case OPTION_BUSY_POLL:
      return parse_unsigned("server", "--busy-poll", value, UVDIO_BUSY_POLL_MAX,
                            &params->busy_poll_us);
    case OPTION_THREADS:
      return parse_unsigned("server", "--threads", value, POOL_LOAD_MAX / LOADS_PER_THREAD,
                            &server->threads);
    case OPTION_WORK:
      return parse_work(params, value);
    case OPTION_WORK_MS:
      return parse_unsigned("server", "--work-ms", value, 1000, &params->load_ms);
    case OPTION_ROUNDS:
      return parse_count("server", "--rounds", value, 1, SUMMARY_ROUNDS_MAX, &server->rounds);
    case OPTION_SECONDS:
      return parse_duration(params, value);
    case OPTION_SEED:
      return parse_count("server", "--seed", value, 0, INT64_MAX, &params->work.seed);
  }
  return set_flag(server, option, value);
}

/* What was left open. */
static int set_defaults(server_bench_t* server) {
  echo_server_params_t* params = &server->params;
  work_params_t* work = &params->work;
  work->file_size -= work->file_size % work->block_size;
  if (work->file_size == 0) {
    return report_usage("server", "--size is less than one --block");
  }
  params->load_count = LOADS_PER_THREAD * server->threads;
  params->warmup_ns = params->duration_ns / 10;
  return CLI_OK;
}

static int run_in(server_bench_t* server, const char* path) {
  size_t size = sizeof server->program;
  int code = set_defaults(server);
  code = code == CLI_OK ? scratch_dir_check("server", path) : code;
  if (code != CLI_OK) {
    return code;
  }
  int error = uv_exepath(server->program, &size);
  return error == 0 ? run_server(server, path)
                    : report_error("server", "find", "this program", error);
}

int server_main(int argc, char** argv) {
  static server_bench_t server; /* too large for some stacks */
  int answer;
  server.rounds = ROUNDS_DEFAULT;
  server.threads = THREADS_DEFAULT;
  server.params = (echo_server_params_t){.connections = CONNECTIONS_DEFAULT,
                                         .messages = MESSAGES_DEFAULT,
                                         .load_kind = POOL_LOAD_SLEEP,
                                         .load_ms = LOAD_MS_DEFAULT,
                                         .duration_ns = DURATION_DEFAULT_NS};
  server.params.work = (work_params_t){.files = 1,
                                       .loops = 1,
                                       .depth = DEPTH_DEFAULT,
                                       .block_size = UVDIO_PAGE_SIZE,
                                       .file_size = SIZE_DEFAULT,
                                       .seed = 1};
  while ((answer = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("server", argv, answer)
                                              : set_option(&server, answer, optarg);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("server", "it takes one DIRECTORY at most");
  }
  return run_in(&server, optind < argc ? argv[optind] : ".");
}
