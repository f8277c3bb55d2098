/*
 * uvdio bench --server: options, the rate of the background I/O, and the rounds.
 */
#include <assert.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

#define SIZE_DEFAULT ((uint64_t)256 * 1024 * 1024)
#define BLOCK_MAX ((uint64_t)64 * 1024 * 1024)
#define DURATION_DEFAULT_NS ((uint64_t)1000000000)
#define DURATION_MIN_NS 10000000
#define ROUNDS_DEFAULT 5
#define THREADS_DEFAULT 4
#define CONNECTIONS_DEFAULT 64
#define MESSAGES_DEFAULT 6400
#define DEPTH_DEFAULT 64
#define WORKS_MS_DEFAULT 20
/* Works for each thread: one runs, another one waits. */
#define WORKS_PER_THREAD 2
#define CALIBRATION_ROUNDS 3
/* Of what the pool reaches: what both can do, and with enough in flight to matter. */
#define RATE_SHARE 0.8
#define RATE_MAX 10000000

static const char usage[] =
    "usage: uvdio bench --server [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Two questions about a loop that serves a network and reads files, which are made in DIRECTORY (the current one\n"
    "if none is given) and removed at the end:\n"
    "\n"
    "  echo      what does background I/O do to TCP connections on the same loop? An echo is measured without I/O,\n"
    "            and with I/O at the same rate by the library on the ring and on the pool, and by uv_fs_read\n"
    "  occupied  what does an occupied threadpool (slow DNS, user work) do to the I/O? As much I/O as goes, with the\n"
    "            threads free and with more work for them than there are threads\n"
    "\n"
    "  --connections N    of the echo (64)\n"
    "  --messages N       per second, over all connections (6400)\n"
    "  --rate N           background operations per second (80 % of what the pool reaches); max: as many as go\n"
    "  --operation O      of the background: random-read (default), sequential-read, random-write, sequential-write,\n"
    "                     durable-write, mixed\n"
    "  --depth N          requests in flight at most (64)\n"
    "  --block BYTES      bytes per operation (4K; a multiple of 4096)\n"
    "  --size BYTES       size of the file (256M)\n"
    "  --callbacks N      callbacks per turn of the loop at most (the library's default)\n"
    "  --busy-poll US     so long the ring is watched before the loop sleeps (not at all; 1000 at most)\n"
    "  --threads N        of the threadpool (4)\n"
    "  --work W           what occupies the threads: sleep (default), or cpu, which takes processors from all\n"
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

static const struct {
  const char* name;
  const char* text;
} variants[SERVER_VARIANT_COUNT] = {
    {"none", "no background I/O"},
    {"ring", "uvdio on io_uring"},
    {"pool", "uvdio on libuv's threadpool"},
    {"uv", "uv_fs_read and uv_fs_write"},
};

const char* server_variant_text(const char* variant) {
  for (size_t i = 0; i < SERVER_VARIANT_COUNT; i++) {
    if (strcmp(variants[i].name, variant) == 0) {
      return variants[i].text;
    }
  }
  return "";
}

const server_row_t* server_find(const server_t* server, const char* variant, server_part_t part) {
  for (size_t i = 0; i < server->row_count; i++) {
    const server_row_t* row = &server->rows[i];
    if (row->part == part && row->count > 0 && strcmp(row->variant, variant) == 0) {
      return row;
    }
  }
  return NULL;
}

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
static void measure_row(server_t* server, server_row_t* row, uint64_t round) {
  static const char* const part_names[] = {"echo", "threads free", "threads occupied"};
  figures_t figures;
  show_status(part_names[row->part], row->variant, round, server->rounds);
  if (row->count == round && child_signal() == 0 && server_sample(server, row, &figures) == 0) {
    row->figures[row->count++] = figures;
  }
}

/* Each round begins with another row. Rows of one part lie side by side, and so do "free" and "busy" of one variant. */
static void measure(server_t* server) {
  for (uint64_t round = 0; round < server->rounds; round++) {
    for (size_t i = 0; i < server->row_count; i++) {
      measure_row(server, &server->rows[(i + (size_t)round) % server->row_count], round);
    }
  }
  clear_status();
}

static void add_row(server_t* server, const char* variant, server_part_t part) {
  assert(server->row_count < SERVER_ROWS_MAX);
  server->rows[server->row_count++] = (server_row_t){.variant = variant, .part = part};
}

static void add_rows(server_t* server) {
  char reason[256] = "";
  int without_ring = uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof reason) != 0;
  if (without_ring) {
    notes_add(&server->notes, "ring is not available: %s", reason);
  }
  for (size_t i = 0; i < SERVER_VARIANT_COUNT; i++) {
    if (!without_ring || strcmp(variants[i].name, "ring") != 0) {
      add_row(server, variants[i].name, PART_ECHO);
    }
  }
  for (size_t i = 1; i < SERVER_VARIANT_COUNT; i++) {
    if (!without_ring || strcmp(variants[i].name, "ring") != 0) {
      add_row(server, variants[i].name, PART_FREE);
      add_row(server, variants[i].name, PART_BUSY);
    }
  }
}

static void note_works(server_t* server) {
  if (server->params.works_kind == WORKS_CPU) {
    notes_add(&server->notes,
              "Work that computes takes processors from the loop, too: what it costs the ring it costs every other "
              "thread of the machine.");
  }
}

/* The rate is a share of what the pool reaches next to the echo. */
static int calibrate(server_t* server) {
  server_row_t row = {.variant = "pool", .part = PART_ECHO};
  for (uint64_t round = 0; round < CALIBRATION_ROUNDS && child_signal() == 0; round++) {
    show_status("finding the rate", row.variant, round, CALIBRATION_ROUNDS);
    if (server_sample(server, &row, &row.figures[row.count]) == 0) {
      row.count++;
    }
  }
  clear_status();
  double reached = server_spread(&row, FIGURE(iops)).median;
  if (child_signal() != 0) {
    return CLI_FAILED;
  }
  if (!(reached > 0)) {
    notes_print(&server->notes);
    return report_problem("bench", "the pool did no background I/O, so that there is no rate to hold others to.");
  }
  server->params.rate = reached * RATE_SHARE > 1 ? (uint64_t)(reached * RATE_SHARE) : 1;
  return CLI_OK;
}

static int tell(server_t* server) {
  int code = server->as_json ? report_json("bench", server_json(server)) : server_print(server);
  return code == CLI_OK && server->plot != NULL ? server_plot(server) : code;
}

static int run_server(server_t* server, const char* path) {
  child_watch_signals();
  server->place = (place_t){.path = path,
                            .wants_loop_device = server->on_loop_device,
                            .params = &server->params.work,
                            .use = "server",
                            .blocks = &server->params.work.block_size,
                            .block_count = 1};
  add_rows(server);
  note_works(server);
  int code = place_open(&server->place);
  if (code == CLI_OK && child_signal() == 0 && !server->rate_was_given) {
    code = calibrate(server);
  }
  if (code == CLI_OK) {
    measure(server);
  }
  place_close(&server->place);
  code = child_exit_code(code);
  return code == CLI_OK ? tell(server) : code;
}

/*
 * Options.
 */

enum {
  OPTION_SERVER = CLI_OPTION_FIRST,
  OPTION_CONNECTIONS,
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
    {"server", no_argument, NULL, OPTION_SERVER},
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

static int parse_operation(serve_params_t* params, const char* text) {
  return work_kind_parse(text, &params->work.kind) == 0
             ? CLI_OK
             : report_usage("bench",
                            "--operation takes random-read, sequential-read, random-write, sequential-write, "
                            "durable-write or mixed, not '%s'",
                            text);
}

static int parse_work(serve_params_t* params, const char* text) {
  if (works_kind_parse(text, &params->works_kind) != 0 || params->works_kind == WORKS_NONE) {
    return report_usage("bench", "--work takes sleep or cpu, not '%s'", text);
  }
  return CLI_OK;
}

static int parse_rate(server_t* server, const char* text) {
  server->rate_was_given = 1;
  server->params.rate = 0;
  return strcmp(text, "max") == 0 ? CLI_OK : parse_count("bench", "--rate", text, 1, RATE_MAX, &server->params.rate);
}

static int parse_duration(serve_params_t* params, const char* text) {
  int code = parse_seconds("bench", "--seconds", text, &params->duration_ns);
  if (code == CLI_OK && params->duration_ns < DURATION_MIN_NS) {
    return report_usage("bench", "--seconds takes 0.01 and more, not '%s'", text);
  }
  return code;
}

static int set_flag(server_t* server, int option, const char* value) {
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

static int set_option(server_t* server, int option, const char* value) {
  serve_params_t* params = &server->params;
  uint64_t block = params->work.block_size;
  int code;
  switch (option) {
    case OPTION_CONNECTIONS:
      return parse_unsigned("bench", "--connections", value, SERVE_CONNECTIONS_MAX, &params->connections);
    case OPTION_MESSAGES:
      return parse_unsigned("bench", "--messages", value, SERVE_MESSAGES_MAX, &params->messages);
    case OPTION_RATE:
      return parse_rate(server, value);
    case OPTION_OPERATION:
      return parse_operation(params, value);
    case OPTION_DEPTH:
      return parse_unsigned("bench", "--depth", value, WORK_DEPTH_MAX, &params->work.depth);
    case OPTION_BLOCK:
      code = parse_bytes("bench", "--block", value, UVDIO_ALIGNMENT, BLOCK_MAX, &block);
      params->work.block_size = (size_t)block;
      return code;
    case OPTION_SIZE:
      return parse_bytes("bench", "--size", value, UVDIO_ALIGNMENT, INT64_MAX / 4, &params->work.file_size);
    case OPTION_CALLBACKS:
      return parse_unsigned("bench", "--callbacks", value, UVDIO_DEPTH_MAX, &params->callbacks_max);
    case OPTION_BUSY_POLL:
      return parse_unsigned("bench", "--busy-poll", value, UVDIO_BUSY_POLL_MAX, &params->busy_poll_us);
    case OPTION_THREADS:
      return parse_unsigned("bench", "--threads", value, SERVE_WORKS_MAX / WORKS_PER_THREAD, &server->threads);
    case OPTION_WORK:
      return parse_work(params, value);
    case OPTION_WORK_MS:
      return parse_unsigned("bench", "--work-ms", value, 1000, &params->works_ms);
    case OPTION_ROUNDS:
      return parse_count("bench", "--rounds", value, 1, SPREAD_ROUNDS_MAX, &server->rounds);
    case OPTION_SECONDS:
      return parse_duration(params, value);
    case OPTION_SEED:
      return parse_count("bench", "--seed", value, 0, INT64_MAX, &params->work.seed);
  }
  return set_flag(server, option, value);
}

/* What was left open. */
static int set_defaults(server_t* server) {
  serve_params_t* params = &server->params;
  work_params_t* work = &params->work;
  work->file_size -= work->file_size % work->block_size;
  if (work->file_size == 0) {
    return report_usage("bench", "--size is less than one --block");
  }
  params->works = WORKS_PER_THREAD * server->threads;
  params->warmup_ns = params->duration_ns / 10;
  return CLI_OK;
}

static int run_in(server_t* server, const char* path) {
  size_t size = sizeof server->program;
  int code = set_defaults(server);
  code = code == CLI_OK ? place_check(path) : code;
  if (code != CLI_OK) {
    return code;
  }
  int error = uv_exepath(server->program, &size);
  return error == 0 ? run_server(server, path) : report_error("bench", "find", "this program", error);
}

int server_main(int argc, char** argv) {
  static server_t server; /* too large for some stacks */
  int answer;
  server.rounds = ROUNDS_DEFAULT;
  server.threads = THREADS_DEFAULT;
  server.params = (serve_params_t){.connections = CONNECTIONS_DEFAULT,
                                   .messages = MESSAGES_DEFAULT,
                                   .works_kind = WORKS_SLEEP,
                                   .works_ms = WORKS_MS_DEFAULT,
                                   .duration_ns = DURATION_DEFAULT_NS};
  server.params.work = (work_params_t){.files = 1,
                                       .loops = 1,
                                       .depth = DEPTH_DEFAULT,
                                       .block_size = UVDIO_PAGE_SIZE,
                                       .file_size = SIZE_DEFAULT,
                                       .seed = 1};
  opterr = 0;
  while ((answer = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("bench", argv, answer)
                                              : set_option(&server, answer, optarg);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("bench", "it takes one DIRECTORY at most");
  }
  return run_in(&server, optind < argc ? argv[optind] : ".");
}
