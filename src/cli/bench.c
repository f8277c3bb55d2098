/*
 * uvdio bench: plans the phases, has them run, and prints the rows.
 *
 * For each backend and each depth there is a session: an engine, a new file, all of its blocks written once
 * without being measured, then the phases; the file is removed before the session ends, however it ends.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench_copy.h"
#include "server.h"

#define BACKEND_COUNT 3
#define DEPTHS_MAX 16
#define ROWS_MAX (BACKEND_COUNT * DEPTHS_MAX * BENCH_OPERATION_COUNT)

#define SIZE_DEFAULT (64 * 1024 * 1024)
#define BLOCK_DEFAULT 4096
#define BLOCK_MAX (1024 * 1024 * 1024)
#define DEPTH_DEFAULT 32
#define DURATION_DEFAULT_NS 1000000000
#define FILL_BLOCK (1024 * 1024)
#define FILL_DEPTH 8

static const char usage[] =
    "usage: uvdio bench [OPTIONS] [PATH]\n"
    "       uvdio bench --compare [OPTIONS] [DIRECTORY]   side by side with others; --compare --help tells more\n"
    "       uvdio bench --copy [OPTIONS] [DIRECTORY]      uvdio copy, dd and cp; --copy --help tells more\n"
    "       uvdio bench --scaling [OPTIONS] [DIRECTORY]   from few files, requests and frames to many\n"
    "       uvdio bench --server [OPTIONS] [DIRECTORY]    on the loop of a busy server; --server --help tells more\n"
    "\n"
    "Measures each backend on a new file that is removed at the end: PATH, which must not exist, or a\n"
    "temporary file in the directory PATH (the current one if none is given).\n"
    "\n"
    "  write        all blocks in order, over ones that are allocated already; no sync\n"
    "  verify       all blocks in order, each byte compared with what was written\n"
    "  random-read  blocks anywhere in the file, for --seconds\n"
    "\n"
    "  --size BYTES       size of the file (64M); K, M and G can be used, here and below\n"
    "  --block BYTES      bytes per operation (4K; a multiple of 4096)\n"
    "  --depth N[,N...]   requests in flight (32)\n"
    "  --seconds S        how long random reads take (1)\n"
    "  --backend B[,B..]  ring, pool, memory (all that are available)\n"
    "  --operation O[,O]  write, verify, random-read (all)\n"
    "  --seed N           of the bytes and of the random offsets (1)\n"
    "  --json             one array with one object per row, instead of the table\n"
    "  --help             this text\n"
    "\n"
    "p50 and p99 are latencies that half and 99 % of the operations stayed under, from submission to\n"
    "callback, exact to 2 %. CPU is user and system time of all threads per operation; for write and verify\n"
    "making and checking the bytes is in it. JSON keys: backend, operation, block_size, depth, iops,\n"
    "bytes_per_s, p50_us, p99_us, cpu_us_per_op.\n"
    "Exit codes: 0 done, 1 failed or bytes were wrong, 2 wrong usage, 128+N ended by signal N.\n";

typedef struct {
  /* options */
  int as_json;
  int all_backends; /* none was named: those that are not available are left out */
  uvdio_backend_t backends[BACKEND_COUNT];
  size_t backend_count;
  unsigned depths[DEPTHS_MAX];
  size_t depth_count;
  int operations[BENCH_OPERATION_COUNT]; /* 1: wanted */
  uint64_t file_size;
  uint64_t block_size;
  uint64_t duration_ns;
  uint64_t seed;
  char* path;
  /* outcome */
  bench_row_t rows[ROWS_MAX];
  size_t row_count;
  notes_t notes;
  char filesystem[32]; /* "" while no file was on a disk */
  int direct;
  int ring_is_pool; /* the ring could not do it, and its rows are the pool's work */
  int signal;
  unsigned sessions;
} bench_t;

static const char* const operation_names[BENCH_OPERATION_COUNT] = {
    [BENCH_WRITE] = "write",
    [BENCH_VERIFY] = "verify",
    [BENCH_RANDOM_READ] = "random-read",
};

const char* bench_operation_text(bench_operation_t operation) {
  assert((size_t)operation < BENCH_OPERATION_COUNT);
  return operation_names[operation];
}

/*
 * Running.
 */

static void show_status(const bench_t* bench, uvdio_backend_t backend, unsigned depth, const char* what) {
  if (isatty(STDERR_FILENO) && !bench->as_json) {
    fprintf(stderr, "\rmeasuring %s, depth %u: %s\033[K", backend_text(backend), depth, what);
  }
}

static void clear_status(const bench_t* bench) {
  if (isatty(STDERR_FILENO) && !bench->as_json) {
    fputs("\r\033[K", stderr);
  }
}

static int report_failure(const bench_t* bench, uvdio_backend_t backend, const bench_failure_t* failure) {
  clear_status(bench);
  if (failure->error != 0) {
    return report_error("bench", failure->operation, bench->path, failure->error);
  }
  return report_problem("bench",
                        "%s by %s: byte %llu is 0x%02x and should be 0x%02x. Check the disk and its "
                        "cables, and the kernel's log (dmesg).",
                        bench->path, backend_text(backend), (unsigned long long)failure->offset,
                        failure->found, failure->expected);
}

/* What the open files said about themselves. */
static void note_file(bench_t* bench, uvdio_backend_t backend, const uvdio_file_t* file, int first) {
  uvdio_file_info_t info;
  int error = uvdio_file_info(file, &info);
  assert(error == 0);
  (void)error;
  if (backend == UVDIO_BACKEND_MEMORY) {
    return;
  }
  snprintf(bench->filesystem, sizeof bench->filesystem, "%s", info.filesystem);
  bench->direct = info.direct;
  int replaced = strcmp(info.backend, backend_text(backend)) != 0;
  bench->ring_is_pool |= replaced && backend == UVDIO_BACKEND_RING;
  if (first && replaced) {
    notes_add(&bench->notes, "%s: this file's reads and writes are executed by %s: %s", backend_text(backend),
             info.backend, info.reason);
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
  bench_row_t ignored = {0};
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

static int run_phase(bench_t* bench, session_t* session, uvdio_file_t* file, const bench_params_t* params,
                     uvdio_backend_t backend, bench_failure_t* failure) {
  bench_row_t row = {.backend = backend_text(backend),
                     .operation = params->operation,
                     .block_size = params->block_size,
                     .depth = params->depth};
  show_status(bench, backend, params->depth, bench_operation_text(params->operation));
  if (bench_run(session, file, params, &row, failure) != 0) {
    return -1;
  }
  assert(bench->row_count < ROWS_MAX);
  bench->rows[bench->row_count++] = row;
  return 0;
}

static int run_phases(bench_t* bench, session_t* session, uvdio_file_t* file, uvdio_backend_t backend,
                      unsigned depth, bench_failure_t* failure) {
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
      session, &req, uvdio_open(session->engine, &file, &req, bench->path, flags, 0600, session_done));
  if (opened != 0) {
    return session->signal != 0 ? CLI_FAILED : report_error("bench", "create", bench->path, (int)opened);
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
  uvdio_engine_options_t options = {.backend = backend, .depth = depth};
  int error = session_open(&session, &options);
  if (error != 0) {
    return report_engine("bench", backend, error);
  }
  error = session_watch(&session, NULL, NULL);
  int code = error == 0 ? run_file(bench, &session, backend, depth)
                        : report_error("bench", "watch", "signals", error);
  bench->signal = session.signal;
  bench->sessions++;
  error = session_close(&session);
  if (error != 0) {
    code = report_error("bench", "close", "the engine", error);
  }
  return bench->signal != 0 ? CLI_SIGNAL + bench->signal : code;
}

static int run_backend(bench_t* bench, uvdio_backend_t backend) {
  char reason[256] = "";
  int code = CLI_OK;
  int error = uvdio_backend_probe(backend, reason, sizeof reason);
  if (error != 0 && bench->all_backends) {
    notes_add(&bench->notes, "%s is not available: %s", backend_text(backend), reason);
    return CLI_OK;
  }
  for (size_t i = 0; i < bench->depth_count && code == CLI_OK; i++) {
    code = run_session(bench, backend, bench->depths[i]);
  }
  return code;
}

/*
 * Telling.
 */

static json_t* row_json(const bench_row_t* row) {
  return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "backend", row->backend, "operation",
                   bench_operation_text(row->operation), "block_size", (json_int_t)row->block_size, "depth",
                   (json_int_t)row->depth, "iops", json_thousandths(row->iops), "bytes_per_s",
                   json_thousandths(row->bytes_per_s), "p50_us", json_thousandths(row->p50_us), "p99_us",
                   json_thousandths(row->p99_us), "cpu_us_per_op", json_thousandths(row->cpu_us_per_op));
}

static int print_json(const bench_t* bench) {
  json_t* list = json_array();
  for (size_t i = 0; i < bench->row_count; i++) {
    json_array_append_new(list, row_json(&bench->rows[i]));
  }
  for (size_t i = 0; i < bench->notes.count; i++) {
    report_problem("bench", "%s", bench->notes.texts[i]);
  }
  return report_json("bench", list);
}

static void print_heading(const bench_t* bench) {
  uv_utsname_t system;
  char size[16];
  int known = uv_os_uname(&system) == 0;
  if (*bench->filesystem != '\0') {
    printf("%s on %s, %s", bench->path, bench->filesystem,
           bench->direct ? "direct I/O" : "buffered: it refuses direct I/O");
  } else {
    printf("files in memory");
  }
  printf(", %s, %s %s\n\n", format_size(size, sizeof size, bench->file_size),
         known ? system.sysname : "system", known ? system.release : "unknown");
}

static void set_cell(char* cell, const char* text) {
  snprintf(cell, TABLE_CELL_SIZE, "%s", text);
}

static int add_headings(table_t* table) {
  static const char* const headings[] = {"backend",    "operation", "block", "depth", "ops/s",
                                         "throughput", "p50",       "p99",   "CPU/op"};
  return table_add_headings(table, headings, CLI_COUNT_OF(headings), 2);
}

static int add_row(table_t* table, const bench_row_t* row) {
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  set_cell(cells[0], row->backend);
  set_cell(cells[1], bench_operation_text(row->operation));
  format_size(cells[2], TABLE_CELL_SIZE, row->block_size);
  snprintf(cells[3], TABLE_CELL_SIZE, "%u", row->depth);
  format_count(cells[4], TABLE_CELL_SIZE, row->iops);
  format_rate(cells[5], TABLE_CELL_SIZE, row->bytes_per_s);
  format_time(cells[6], TABLE_CELL_SIZE, row->p50_us);
  format_time(cells[7], TABLE_CELL_SIZE, row->p99_us);
  format_time(cells[8], TABLE_CELL_SIZE, row->cpu_us_per_op);
  return 0;
}

static int print_table(const bench_t* bench) {
  table_t table = {0};
  int error = add_headings(&table);
  for (size_t i = 0; i < bench->row_count && error == 0; i++) {
    error = add_row(&table, &bench->rows[i]);
  }
  if (error == 0) {
    table_print(&table, stdout);
  }
  table_free(&table);
  return error == 0 ? CLI_OK : report_error("bench", "print", "the table", UV_ENOMEM);
}

static const bench_row_t* find_row(const bench_t* bench, uvdio_backend_t backend, bench_operation_t operation,
                                   unsigned depth) {
  for (size_t i = 0; i < bench->row_count; i++) {
    const bench_row_t* row = &bench->rows[i];
    if (strcmp(row->backend, backend_text(backend)) == 0 && row->operation == operation &&
        row->depth == depth) {
      return row;
    }
  }
  return NULL;
}

static void print_choice(void) {
  session_t session;
  if (session_open(&session, NULL) != 0) {
    return;
  }
  printf("An engine takes %s here: %s\n", uvdio_engine_backend(session.engine), uvdio_engine_backend_reason(session.engine));
  (void)session_close(&session);
}

static void print_comparison(const bench_t* bench) {
  for (size_t i = 0; i < bench->depth_count && !bench->ring_is_pool; i++) {
    const bench_row_t* ring = find_row(bench, UVDIO_BACKEND_RING, BENCH_RANDOM_READ, bench->depths[i]);
    const bench_row_t* pool = find_row(bench, UVDIO_BACKEND_POOL, BENCH_RANDOM_READ, bench->depths[i]);
    if (ring != NULL && pool != NULL && pool->iops > 0 && pool->cpu_us_per_op > 0) {
      printf("Random reads at depth %u: ring does %.2f times the operations of pool, ", bench->depths[i],
             ring->iops / pool->iops);
      printf("with %.2f times the CPU time for each.\n", ring->cpu_us_per_op / pool->cpu_us_per_op);
    }
  }
}

static int print_text(const bench_t* bench) {
  print_heading(bench);
  int code = print_table(bench);
  printf("\n");
  notes_print(&bench->notes);
  print_choice();
  print_comparison(bench);
  return code;
}

static int run_bench(bench_t* bench) {
  int code = CLI_OK;
  for (size_t i = 0; i < bench->backend_count && code == CLI_OK; i++) {
    code = run_backend(bench, bench->backends[i]);
  }
  clear_status(bench);
  if (bench->signal != 0) {
    report_problem("bench", "interrupted by signal %d (%s).", bench->signal, strsignal(bench->signal));
  }
  if (code != CLI_OK) {
    return code;
  }
  return bench->as_json ? print_json(bench) : print_text(bench);
}

/*
 * Options.
 */

/* Files of others are never touched: the path must be free, or a directory. */
static int choose_path(bench_t* bench, const char* wish) {
  struct stat status;
  if (lstat(wish, &status) != 0) {
    bench->path = errno == ENOENT ? strdup(wish) : NULL;
    return bench->path != NULL ? CLI_OK : report_error("bench", "use", wish, uv_translate_sys_error(errno));
  }
  if (stat(wish, &status) != 0 || !S_ISDIR(status.st_mode)) {
    return report_problem("bench",
                          "%s exists, and would be overwritten. Name a directory, or a path that does not "
                          "exist.",
                          wish);
  }
  bench->path = path_temporary(wish, "bench");
  return bench->path != NULL ? CLI_OK : report_error("bench", "use", wish, UV_ENOMEM);
}

static int add_backend(void* context, const char* text) {
  bench_t* bench = context;
  uvdio_backend_t backend;
  int code = parse_backend("bench", "--backend", text, &backend);
  if (code == CLI_OK && backend == UVDIO_BACKEND_AUTO) {
    return report_usage("bench", "--backend takes ring, pool or memory, not 'auto'");
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
  uint64_t depth;
  int code = parse_count("bench", "--depth", text, 1, UVDIO_DEPTH_MAX, &depth);
  if (code != CLI_OK) {
    return code;
  }
  if (bench->depth_count == DEPTHS_MAX) {
    return report_usage("bench", "--depth takes at most %d numbers", DEPTHS_MAX);
  }
  bench->depths[bench->depth_count++] = (unsigned)depth;
  return CLI_OK;
}

static int add_operation(void* context, const char* text) {
  bench_t* bench = context;
  for (int i = 0; i < BENCH_OPERATION_COUNT; i++) {
    if (strcmp(text, operation_names[i]) == 0) {
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

static int run_path(bench_t* bench, const char* wish) {
  int code = set_defaults(bench);
  code = code == CLI_OK ? choose_path(bench, wish) : code;
  code = code == CLI_OK ? run_bench(bench) : code;
  free(bench->path);
  return code;
}

/* Another command in all but name: each has its own options. */
static int wants(int argc, char** argv, const char* other) {
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
    if (strcmp(argv[i], other) == 0) {
      return 1;
    }
  }
  return 0;
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
      {"json", no_argument, NULL, OPTION_JSON},
      {"help", no_argument, NULL, 'h'},
      {NULL, 0, NULL, 0},
  };
  bench_t bench = {
      .file_size = SIZE_DEFAULT, .block_size = BLOCK_DEFAULT, .duration_ns = DURATION_DEFAULT_NS, .seed = 1};
  int answer;
  if (wants(argc, argv, "--compare")) {
    return compare_main(argc, argv);
  }
  if (wants(argc, argv, "--copy")) {
    return copy_bench_main(argc, argv);
  }
  if (wants(argc, argv, "--scaling")) {
    return scaling_main(argc, argv);
  }
  if (wants(argc, argv, "--server")) {
    return server_main(argc, argv);
  }
  opterr = 0;
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
