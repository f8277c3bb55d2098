/* SPDX-License-Identifier: MIT */
/*
 * uvdio bench: plans the phases and has them run.
 *
 * For each backend and each depth there is a session: an engine, a new file, all of its blocks
 * written once without being measured, then the phases; the file is removed before the session
 * ends, however it ends.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "bench.h"
#include "cli.h"
#include "meter.h"
#include "options.h"
#include "path.h"
#include "pattern.h"
#include "report.h"
#include "session.h"
#include "uvdio.h"

#define SIZE_DEFAULT (64 * 1024 * 1024)
#define BLOCK_DEFAULT 4096
#define BLOCK_MAX (1024 * 1024 * 1024)
#define DEPTH_DEFAULT 32
#define DURATION_DEFAULT_NS 1000000000
#define FILL_BLOCK (1024 * 1024)
#define FILL_DEPTH 8

static const char usage[] =
    "usage: uvdio bench [OPTIONS] [PATH]\n"
    "\n"
    "Measures each backend on a new file, which is removed at the end: PATH, which\n"
    "must not exist, or a temporary file in the directory PATH (the current one by\n"
    "default).\n"
    "\n"
    "  write        all blocks in order, over allocated ones; no sync\n"
    "  verify       all blocks in order, each byte compared with the one written\n"
    "  random-read  blocks anywhere in the file, for --seconds\n"
    "\n"
    "  --size BYTES       size of the file, here and below with K, M or G (64M)\n"
    "  --block BYTES      bytes per operation, a multiple of 4096 (4K)\n"
    "  --depth N[,N...]   requests in flight (32)\n"
    "  --seconds S        duration of the random reads (1)\n"
    "  --backend B[,B..]  ring, aio, pool, memory (all that are available)\n"
    "  --operation O[,O]  write, verify, random-read (all)\n"
    "  --seed N           of the bytes and of the random offsets (1)\n"
    "  --metrics          where the time goes, for each row: what waited in the\n"
    "                     library, was with the kernel or a worker, and waited for its\n"
    "                     callback; system calls; turns of the loop\n"
    "  --polled           polled completions, where ring and device have them\n"
    "  --json             one array with an object per row, instead of the table\n"
    "  --help             this text\n"
    "\n"
    "p50 and p99 are the latencies below which half and 99 % of the operations stay,\n"
    "from submission to callback, exact to 2 %. CPU is the user and system time of\n"
    "all threads per operation; write and verify include making and checking the\n"
    "bytes. JSON keys: backend, operation, block_size, depth, iops, bytes_per_s,\n"
    "p50_us, p99_us, cpu_us_per_op, and metrics where they were asked for.\n"
    "\n"
    "Exit codes: 0 done, 1 failed or bytes were wrong, 2 wrong usage, 128+N ended by\n"
    "signal N.\n";

/*
 * Running.
 */

static void show_status(const bench_t* bench, uvdio_backend_t backend, unsigned depth,
                        const char* what) {
  if (isatty(STDERR_FILENO) && !bench->as_json) {
    fprintf(stderr, "\rmeasuring %s, depth %u: %s\033[K", backend_text(backend), depth, what);
  }
}

static void clear_status(const bench_t* bench) {
  if (isatty(STDERR_FILENO) && !bench->as_json) {
    fputs("\r\033[K", stderr);
  }
}

static int report_failure(const bench_t* bench, uvdio_backend_t backend,
                          const bench_failure_t* failure) {
  clear_status(bench);
  if (failure->error != 0) {
    return report_error("bench", failure->operation, bench->path, failure->error);
  }
  return report_problem(
      "bench",
      "%s by %s: byte %llu is 0x%02x and should be 0x%02x. Check the disk and its "
      "cables, and the kernel's log (dmesg).",
      bench->path, backend_text(backend), (unsigned long long)failure->offset, failure->found,
      failure->expected);
}

/* What the open files said about themselves. */
static void note_file(bench_t* bench, uvdio_backend_t backend, const uvdio_file_t* file,
                      int first) {
  uvdio_file_info_t info;
  int error = uvdio_file_info(file, &info);
  assert(error == 0);
  (void)error;
  if (backend == UVDIO_BACKEND_MEMORY) {
    return;
  }
  snprintf(bench->filesystem, sizeof bench->filesystem, "%s", info.filesystem);
  bench->direct = info.is_direct;
  int replaced = strcmp(info.backend, backend_text(backend)) != 0;
  bench->is_pool[backend] |= replaced;
  if (first && replaced) {
    snprintf(bench->notes[backend], BENCH_NOTE_SIZE,
             "%s: this file's reads and writes are executed by %s: %s", backend_text(backend),
             info.backend, info.reason);
  } else if (first && bench->polled && !info.is_polled) {
    snprintf(bench->notes[backend], BENCH_NOTE_SIZE, "%s: completions are not polled: %s",
             backend_text(backend), info.polled_reason);
  }
}

/* Another seed for each filling of a file, so that bytes of an earlier one don't pass for right. */
static uint64_t pattern_seed(const bench_t* bench, unsigned number) {
  uint64_t state = bench->seed + 1 + (uint64_t)bench->sessions * 2 + number;
  state *= 0xBF58476D1CE4E5B9u; /* odd: stays other than 0 for what is likely */
  state = state != 0 ? state : 1;
  return random_next(&state);
}

/* All blocks written once: allocated, and known when only reads are asked for. */
static int fill_file(bench_t* bench, session_t* session, uvdio_file_t* file, uint64_t seed,
                     bench_failure_t* failure) {
  meter_figures_t ignored = {0};
  uvdio_req_t req = {0};
  bench_params_t params = {.operation = BENCH_WRITE,
                           .block_size = FILL_BLOCK,
                           .depth = FILL_DEPTH,
                           .file_size = bench->file_size,
                           .seed = seed};
  if (bench_run(session, file, &params, &ignored, failure) != 0) {
    return -1;
  }
  int64_t synced = session_await(session, &req, uvdio_sync_all(file, &req, session_done));
  if (synced != 0 && session->signal == 0) {
    *failure = (bench_failure_t){.error = (int)synced, .operation = "sync"};
    return -1;
  }
  return 0;
}

static int run_phase(bench_t* bench, session_t* session, uvdio_file_t* file,
                     const bench_params_t* params, uvdio_backend_t backend,
                     bench_failure_t* failure) {
  bench_row_t row = {.backend = backend_text(backend),
                     .operation = params->operation,
                     .block_size = params->block_size,
                     .depth = params->depth};
  show_status(bench, backend, params->depth, bench_operation_text(params->operation));
  if (bench->with_metrics) {
    (void)uvdio_metrics_reset(session->engine);
  }
  if (bench_run(session, file, params, &row.figures, failure) != 0) {
    return -1;
  }
  if (bench->with_metrics) {
    row.metrics =
        session_metrics(session, bench->as_json ? UVDIO_METRICS_JSON : UVDIO_METRICS_TEXT);
  }
  assert(bench->row_count < BENCH_ROWS_MAX);
  bench->rows[bench->row_count++] = row;
  return 0;
}

static int run_phases(bench_t* bench, session_t* session, uvdio_file_t* file,
                      uvdio_backend_t backend, unsigned depth, bench_failure_t* failure) {
  uint64_t fill_seed = pattern_seed(bench, 0);
  uint64_t write_seed = pattern_seed(bench, 1);
  show_status(bench, backend, depth, "filling the file");
  int error = fill_file(bench, session, file, fill_seed, failure);
  for (int i = 0; i < BENCH_OPERATION_COUNT && error == 0 && session->signal == 0; i++) {
    bench_params_t params = {.operation = (bench_operation_t)i,
                             .block_size = (size_t)bench->block_size,
                             .depth = depth,
                             .file_size = bench->file_size,
                             .duration_ns = bench->duration_ns,
                             .seed = bench->operations[BENCH_WRITE] ? write_seed : fill_seed};
    if (params.operation == BENCH_RANDOM_READ) {
      params.seed = bench->seed; /* the same offsets for everybody */
    }
    if (bench->operations[i]) {
      error = run_phase(bench, session, file, &params, backend, failure);
    }
  }
  return error;
}

static int run_file(bench_t* bench, session_t* session, uvdio_backend_t backend, unsigned depth) {
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  bench_failure_t failure = {0};
  unsigned flags = UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE | UVDIO_O_DIRECT_PREFERRED;
  int64_t opened = session_await(
      session, &req,
      uvdio_open(session->engine, &file, &req, bench->path, flags, 0600, session_done));
  if (opened != 0) {
    return session->signal != 0 ? CLI_FAILED
                                : report_error("bench", "create", bench->path, (int)opened);
  }
  int error = run_phases(bench, session, &file, backend, depth, &failure);
  note_file(bench, backend, &file, depth == bench->depths[0]);
  (void)session_await(session, &req, uvdio_close(&file, &req, session_done));
  int code = error == 0 ? CLI_OK : report_failure(bench, backend, &failure);
  if (backend != UVDIO_BACKEND_MEMORY && unlink(bench->path) != 0) {
    code = report_error("bench", "remove", bench->path, uv_translate_sys_error(errno));
  }
  return code;
}

static int run_session(bench_t* bench, uvdio_backend_t backend, unsigned depth) {
  session_t session;
  uvdio_engine_options_t options = {
      .backend = backend, .depth = depth, .flags = bench->polled ? UVDIO_ENGINE_POLLED : 0};
  int error = session_open(&session, &options);
  if (error != 0) {
    return session_report("bench", backend, error);
  }
  error = bench->with_metrics ? uvdio_metrics_start(session.engine, NULL) : 0;
  if (error != 0) {
    session_close(&session);
    return report_error("bench", "start", "metrics", error);
  }
  error = session_watch(&session, NULL, NULL);
  int code = error == 0 ? run_file(bench, &session, backend, depth)
                        : report_error("bench", "watch", "signals", error);
  bench->signal = session.signal;
  bench->sessions++;
  session_close(&session);
  return bench->signal != 0 ? CLI_SIGNAL + bench->signal : code;
}

static int run_backend(bench_t* bench, uvdio_backend_t backend) {
  char reason[256] = "";
  int code = CLI_OK;
  int error = uvdio_backend_probe(backend, reason, sizeof reason);
  if (error != 0 && bench->all_backends) {
    snprintf(bench->notes[backend], BENCH_NOTE_SIZE, "%s is not available: %s",
             backend_text(backend), reason);
    return CLI_OK;
  }
  for (size_t i = 0; i < bench->depth_count && code == CLI_OK; i++) {
    code = run_session(bench, backend, bench->depths[i]);
  }
  return code;
}

static int run_bench(bench_t* bench) {
  int code = CLI_OK;
  for (size_t i = 0; i < bench->backend_count && code == CLI_OK; i++) {
    code = run_backend(bench, bench->backends[i]);
  }
  clear_status(bench);
  if (bench->signal != 0) {
    report_problem("bench", "interrupted by signal %d (%s).", bench->signal,
                   strsignal(bench->signal));
  }
  if (code != CLI_OK) {
    return code;
  }
  return bench->as_json ? bench_print_json(bench) : bench_print(bench);
}

/*
 * Options.
 */

/* Files of others are never touched: the path must be free, or a directory. */
static int choose_path(bench_t* bench, const char* path) {
  struct stat status;
  if (lstat(path, &status) != 0) {
    bench->path = errno == ENOENT ? strdup(path) : NULL;
    return bench->path != NULL ? CLI_OK
                               : report_error("bench", "use", path, uv_translate_sys_error(errno));
  }
  if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
    return report_problem(
        "bench",
        "%s exists, and would be overwritten. Name a directory, or a path that does not "
        "exist.",
        path);
  }
  bench->path = path_temporary(path, "bench");
  return bench->path != NULL ? CLI_OK : report_error("bench", "use", path, UV_ENOMEM);
}

static int add_backend(void* context, const char* text) {
  bench_t* bench = context;
  uvdio_backend_t backend;
  int code = parse_backend("bench", "--backend", text, &backend);
  if (code == CLI_OK && backend == UVDIO_BACKEND_AUTO) {
    return report_usage("bench", "--backend takes ring, aio, pool or memory, not 'auto'");
  }
  for (size_t i = 0; i < bench->backend_count && code == CLI_OK; i++) {
    if (bench->backends[i] == backend) {
      return CLI_OK;
    }
  }
  if (code == CLI_OK) {
    bench->backends[bench->backend_count++] = backend;
  }
  return code;
}

static int add_depth(void* context, const char* text) {
  bench_t* bench = context;
  unsigned depth;
  int code = parse_unsigned("bench", "--depth", text, UVDIO_DEPTH_MAX, &depth);
  if (code != CLI_OK) {
    return code;
  }
  if (bench->depth_count == BENCH_DEPTHS_MAX) {
    return report_usage("bench", "--depth takes at most %d numbers", BENCH_DEPTHS_MAX);
  }
  bench->depths[bench->depth_count++] = depth;
  return CLI_OK;
}

static int add_operation(void* context, const char* text) {
  bench_t* bench = context;
  for (int i = 0; i < BENCH_OPERATION_COUNT; i++) {
    if (strcmp(text, bench_operation_text((bench_operation_t)i)) == 0) {
      bench->operations[i] = 1;
      return CLI_OK;
    }
  }
  return report_usage("bench", "--operation takes write, verify or random-read, not '%s'", text);
}

enum {
  OPTION_SIZE = CLI_OPTION_FIRST,
  OPTION_BLOCK,
  OPTION_DEPTH,
  OPTION_SECONDS,
  OPTION_BACKEND,
  OPTION_OPERATION,
  OPTION_SEED,
  OPTION_METRICS,
  OPTION_POLLED,
  OPTION_JSON
};

static int set_option(bench_t* bench, int option, const char* value) {
  switch (option) {
    case OPTION_SIZE:
      return parse_bytes("bench", "--size", value, UVDIO_ALIGNMENT, INT64_MAX, &bench->file_size);
    case OPTION_BLOCK:
      return parse_bytes("bench", "--block", value, UVDIO_ALIGNMENT, BLOCK_MAX, &bench->block_size);
    case OPTION_DEPTH:
      return parse_list("bench", value, add_depth, bench);
    case OPTION_SECONDS:
      return parse_seconds("bench", "--seconds", value, &bench->duration_ns);
    case OPTION_BACKEND:
      return parse_list("bench", value, add_backend, bench);
    case OPTION_OPERATION:
      return parse_list("bench", value, add_operation, bench);
    case OPTION_SEED:
      return parse_count("bench", "--seed", value, 0, UINT64_MAX, &bench->seed);
    case OPTION_METRICS:
      bench->with_metrics = 1;
      return CLI_OK;
    case OPTION_POLLED:
      bench->polled = 1;
      return CLI_OK;
    case OPTION_JSON:
      bench->as_json = 1;
      return CLI_OK;
  }
  return CLI_USAGE;
}

/* What was left open. */
static int set_defaults(bench_t* bench) {
  if (bench->block_size > bench->file_size) {
    return report_usage("bench", "--block is larger than --size: not one block fits");
  }
  if (bench->depth_count == 0) {
    bench->depths[bench->depth_count++] = DEPTH_DEFAULT;
  }
  if (bench->backend_count == 0) {
    bench->all_backends = 1;
    bench->backends[bench->backend_count++] = UVDIO_BACKEND_RING;
    bench->backends[bench->backend_count++] = UVDIO_BACKEND_AIO;
    bench->backends[bench->backend_count++] = UVDIO_BACKEND_POOL;
    bench->backends[bench->backend_count++] = UVDIO_BACKEND_MEMORY;
  }
  int wanted = 0;
  for (int i = 0; i < BENCH_OPERATION_COUNT; i++) {
    wanted |= bench->operations[i];
  }
  for (int i = 0; i < BENCH_OPERATION_COUNT && !wanted; i++) {
    bench->operations[i] = 1;
  }
  return CLI_OK;
}

static int run_path(bench_t* bench, const char* path) {
  int code = set_defaults(bench);
  code = code == CLI_OK ? choose_path(bench, path) : code;
  code = code == CLI_OK ? run_bench(bench) : code;
  for (size_t i = 0; i < bench->row_count; i++) {
    free(bench->rows[i].metrics);
  }
  free(bench->path);
  return code;
}

int bench_main(int argc, char** argv) {
  static const struct option options[] = {
      {"size", required_argument, NULL, OPTION_SIZE},
      {"block", required_argument, NULL, OPTION_BLOCK},
      {"depth", required_argument, NULL, OPTION_DEPTH},
      {"seconds", required_argument, NULL, OPTION_SECONDS},
      {"backend", required_argument, NULL, OPTION_BACKEND},
      {"operation", required_argument, NULL, OPTION_OPERATION},
      {"seed", required_argument, NULL, OPTION_SEED},
      {"metrics", no_argument, NULL, OPTION_METRICS},
      {"polled", no_argument, NULL, OPTION_POLLED},
      {"json", no_argument, NULL, OPTION_JSON},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  bench_t bench = {.file_size = SIZE_DEFAULT,
                   .block_size = BLOCK_DEFAULT,
                   .duration_ns = DURATION_DEFAULT_NS,
                   .seed = 1};
  int answer;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("bench", argv, answer)
                                              : set_option(&bench, answer, optarg);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("bench", "it takes one PATH at most");
  }
  return run_path(&bench, optind < argc ? argv[optind] : ".");
}
