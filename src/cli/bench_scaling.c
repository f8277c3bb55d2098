/*
 * uvdio bench --scaling: what an operation costs with few and with many files, requests and frames.
 *
 *   files     random reads in turn over so many open files
 *   queued    so many requests submitted at a time, of which the engine's depth is with the kernel
 *   arena     frames from all over a registered arena of that size
 *
 * One figure is the CPU time of this process per read, between the first submission and the last callback. In each round every
 * size of a series is measured once, one right after the other; quotients are by one size of the series, within the round.
 *
 * Instructions are counted by valgrind in processes of their own (`uvdio bench-scale`): as in compare_count.c, one does so many
 * reads, another one some more, and the difference is theirs alone.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compare.h"

#define DEPTH 64
#define FILE_SIZE ((uint64_t)16 * 1024)
#define BLOCK UVDIO_PAGE_SIZE
#define READS 20000
#define READS_COUNTED 8000 /* for instructions */
#define ROUNDS_DEFAULT 5
#define SIZES_MAX 6
#define FREE_MEMORY_SHARE 2 /* an arena takes half of what is free, at most */

typedef enum { SERIES_FILES, SERIES_QUEUED, SERIES_ARENA } dimension_t;
#define SERIES_COUNT 3

static const struct {
  const char* name;
  const char* unit;
  size_t base;               /* the size that quotients are by */
  uint64_t sizes[SIZES_MAX]; /* 0 ends */
} series_list[SERIES_COUNT] = {
    {"files", "open files", 0, {1, 10, 100, 1000, 10000}},
    {"queued", "requests at a time", 1, {1, DEPTH, 1000, 10000, 100000}},
    {"arena", "bytes of registered arena", 0, {1 << 20, 64 << 20, 1 << 30, (uint64_t)8 << 30}},
};

/* One figure. */
typedef struct {
  double cpu_us;
  double calls;
} figure_t;

typedef struct {
  figure_t figures[SPREAD_ROUNDS_MAX];
  size_t count;
  double instructions; /* NAN: not counted */
} scaling_row_t;

typedef struct {
  const char* directory;
  uint64_t rounds;
  uint64_t reads;
  int series[SERIES_COUNT]; /* 1: wanted */
  int with_instructions;
  int as_json;
  char* folder;
  uint64_t files_made;
  scaling_row_t rows[SERIES_COUNT][SIZES_MAX];
  notes_t notes;
} scaling_t;

static const char usage[] =
    "usage: uvdio bench --scaling [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Measures the CPU time of a random read of 4 KiB with 1 to 10,000 open files, 1 to 100,000 requests submitted at a\n"
    "time, and a registered arena of 1 MiB to 8 GiB. Files are made in DIRECTORY (the current one if none is given) and\n"
    "removed at the end.\n"
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

static int path_of(const scaling_t* scaling, uint64_t number, char* path, size_t size) {
  return snprintf(path, size, "%s/%llu", scaling->folder, (unsigned long long)number) < (int)size ? 0 : UV_ENAMETOOLONG;
}

static int make_file(uvdio_engine_t* engine, const char* path) {
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_buf_t buf = {0};
  int error = uvdio_buf_alloc(&buf, FILE_SIZE, UVDIO_BUF_ZEROED);
  if (error == 0) {
    error = uvdio_open(engine, &file, &req, path, UVDIO_OPEN_CREATE, 0600, NULL);
  }
  if (error == 0) {
    error = uvdio_write(&file, &req, &buf, 0, NULL);
    (void)uvdio_close(&file, &req, NULL);
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
    error = path_of(scaling, i, path, sizeof path);
    error = error == 0 ? make_file(session.engine, path) : error;
    scaling->files_made = i + 1;
  }
  (void)session_close(&session);
  return error;
}

static void remove_files(scaling_t* scaling) {
  char path[4096];
  for (uint64_t i = 0; i < scaling->files_made; i++) {
    if (path_of(scaling, i, path, sizeof path) == 0) {
      (void)unlink(path);
    }
  }
  (void)rmdir(scaling->folder);
  free(scaling->folder);
}

/*
 * A run
 */

typedef struct run_s scaling_run_t;

typedef struct {
  scaling_run_t* run;
  uvdio_req_t req;
  uvdio_buf_t buf;
} slot_t;

struct run_s {
  session_t session;
  uvdio_arena_t* arena;
  uvdio_file_t* files;
  uint64_t file_count;
  uint64_t files_open;
  slot_t* slots;
  uint64_t slot_count;
  uint64_t left; /* to submit */
  uint64_t random;
  int error;
};

static uint64_t draw(scaling_run_t* run, uint64_t below) {
  run->random = run->random * 6364136223846793005u + 1442695040888963407u;
  return (run->random >> 33) % below;
}

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

static void read_next(scaling_run_t* run, slot_t* slot) {
  if (run->left == 0 || run->error != 0) {
    return;
  }
  run->left--;
  run->error = uvdio_read(&run->files[run->left % run->file_count], &slot->req, &slot->buf,
                          draw(run, FILE_SIZE / BLOCK) * BLOCK, on_read);
}

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  slot->buf = buf;
  if (result != BLOCK) {
    slot->run->error = result < 0 ? (int)result : UVDIO_ESHORTREAD;
  }
  read_next(slot->run, slot);
}

static int open_files(const scaling_t* scaling, scaling_run_t* run) {
  char path[4096];
  int error = 0;
  run->files = calloc((size_t)run->file_count, sizeof *run->files);
  if (run->files == NULL) {
    return UV_ENOMEM;
  }
  for (uint64_t i = 0; i < run->file_count && error == 0; i++) {
    uvdio_req_t req = {0};
    error = path_of(scaling, i, path, sizeof path);
    error = error == 0 ? uvdio_open(run->session.engine, &run->files[i], &req, path, UVDIO_OPEN_READ, 0, NULL) : error;
    run->files_open += error == 0;
  }
  return error;
}

/* Frames from all over the arena: all of them are taken, and those between given back. */
static int acquire_frames(scaling_run_t* run, uint64_t frames) {
  uint64_t step = frames / run->slot_count;
  uvdio_buf_t* all = calloc((size_t)frames, sizeof *all);
  int error = all == NULL ? UV_ENOMEM : 0;
  for (uint64_t i = 0; i < frames && error == 0; i++) {
    error = uvdio_arena_acquire(run->arena, &all[i]);
  }
  for (uint64_t i = 0; i < run->slot_count && error == 0; i++) {
    run->slots[i].buf = all[i * step];
    all[i * step] = (uvdio_buf_t){0};
  }
  for (uint64_t i = 0; i < frames && all != NULL; i++) {
    (void)uvdio_buf_release(&all[i]);
  }
  free(all);
  return error;
}

static int open_slots(scaling_run_t* run, uint64_t arena_size) {
  uint64_t frames = arena_size / BLOCK > run->slot_count ? arena_size / BLOCK : run->slot_count;
  uvdio_arena_options_t options = {.frame_count = (size_t)frames};
  run->slots = calloc((size_t)run->slot_count, sizeof *run->slots);
  int error = run->slots == NULL ? UV_ENOMEM : uvdio_arena_create(&run->arena, &options);
  if (error == 0) {
    error = uvdio_arena_register(run->session.engine, run->arena);
    error = error == UV_ENOTSUP && arena_size == 0 ? 0 : error; /* an older kernel: what is asked about is not the arena */
  }
  for (uint64_t i = 0; i < run->slot_count && error == 0; i++) {
    run->slots[i].run = run;
    run->slots[i].req.data = &run->slots[i];
  }
  return error == 0 ? acquire_frames(run, frames) : error;
}

static void close_run(scaling_run_t* run) {
  uvdio_req_t req = {0};
  for (uint64_t i = 0; i < run->slot_count && run->slots != NULL; i++) {
    (void)uvdio_buf_release(&run->slots[i].buf);
  }
  for (uint64_t i = 0; i < run->files_open; i++) {
    (void)uvdio_close(&run->files[i], &req, NULL);
  }
  (void)session_close(&run->session);
  if (run->arena != NULL) {
    (void)uvdio_arena_destroy(run->arena, NULL);
  }
  free(run->files);
  free(run->slots);
}

static double cpu_us(void) {
  struct rusage used;
  (void)getrusage(RUSAGE_SELF, &used);
  return 1e6 * (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static uint64_t calls_of(const scaling_run_t* run) {
  uvdio_engine_stats_t stats = {0};
  (void)uvdio_engine_stats(run->session.engine, &stats);
  return stats.system_calls + stats.wakeups;
}

/* Every file and every frame has been used once when the measuring begins. */
static void perform(scaling_run_t* run, uint64_t reads) {
  run->left = reads;
  for (uint64_t i = 0; i < run->slot_count; i++) {
    read_next(run, &run->slots[i]);
  }
  session_run(&run->session);
}

/* Reads that use every slot and every file. */
static uint64_t reads_for_all(const scaling_run_t* run) {
  return run->slot_count > run->file_count ? run->slot_count : run->file_count;
}

static int measure(const scaling_t* scaling, scaling_run_t* run, uint64_t arena_size, figure_t* figure) {
  uint64_t most = reads_for_all(run);
  uint64_t reads = scaling->reads > most ? scaling->reads : most;
  int error = open_files(scaling, run);
  error = error == 0 ? open_slots(run, arena_size) : error;
  if (error != 0) {
    return error;
  }
  perform(run, most);
  double cpu = cpu_us();
  uint64_t calls = calls_of(run);
  perform(run, reads);
  figure->cpu_us = (cpu_us() - cpu) / (double)reads;
  figure->calls = (double)(calls_of(run) - calls) / (double)reads;
  return run->error;
}

static int run_size(const scaling_t* scaling, dimension_t kind, uint64_t size, figure_t* figure) {
  uvdio_engine_options_t options = {.depth = DEPTH, .backend = UVDIO_BACKEND_RING};
  scaling_run_t run = {.random = 1,
               .file_count = kind == SERIES_FILES ? size : 1,
               .slot_count = kind == SERIES_QUEUED ? size : DEPTH};
  int error = session_open(&run.session, &options);
  if (error != 0) {
    return error;
  }
  error = measure(scaling, &run, kind == SERIES_ARENA ? size : 0, figure);
  close_run(&run);
  return error;
}

/*
 * Instructions
 */

static int find_series(const char* name) {
  for (int kind = 0; kind < SERIES_COUNT; kind++) {
    if (strcmp(series_list[kind].name, name) == 0) {
      return kind;
    }
  }
  return -1;
}

static double count_reads(const scaling_t* scaling, dimension_t kind, uint64_t size, uint64_t reads) {
  char program[4096], size_text[24], reads_text[24];
  size_t length = sizeof program;
  const char* const command[] = {program, "bench-scale", scaling->folder, series_list[kind].name,
                                 size_text, reads_text, NULL};
  snprintf(size_text, sizeof size_text, "%llu", (unsigned long long)size);
  snprintf(reads_text, sizeof reads_text, "%llu", (unsigned long long)reads);
  return uv_exepath(program, &length) == 0 ? count_instructions(command) : NAN;
}

/* Of each read; sizes that could not be measured are left out. */
static void count_series(scaling_t* scaling, dimension_t kind) {
  for (size_t i = 0; i < SIZES_MAX && series_list[kind].sizes[i] != 0 && child_signal() == 0; i++) {
    scaling_row_t* row = &scaling->rows[kind][i];
    uint64_t size = series_list[kind].sizes[i];
    uint64_t few = (kind == SERIES_ARENA || size < DEPTH ? DEPTH : size);
    if (row->count > 0) {
      double counts[] = {count_reads(scaling, kind, size, few), count_reads(scaling, kind, size, few + READS_COUNTED)};
      row->instructions = (counts[1] - counts[0]) / READS_COUNTED;
    }
  }
}

/* FOLDER SERIES SIZE READS: what is counted. */
int scaling_run_main(int argc, char** argv) {
  scaling_t scaling = {.folder = argc > 1 ? argv[1] : NULL};
  figure_t figure;
  uint64_t size = 0;
  int kind = argc == 5 ? find_series(argv[2]) : -1;
  if (kind < 0 || parse_count("bench-scale", "SIZE", argv[3], 1, INT64_MAX, &size) != CLI_OK ||
      parse_count("bench-scale", "READS", argv[4], 1, INT64_MAX, &scaling.reads) != CLI_OK) {
    return report_usage("bench-scale", "it is what `uvdio bench --scaling` starts, and takes its parameters");
  }
  int error = run_size(&scaling, (dimension_t)kind, size, &figure);
  return error == 0 ? CLI_OK : report_error("bench-scale", "measure in", scaling.folder, error);
}

/*
 * Rounds
 */

static int fits(scaling_t* scaling, dimension_t kind, uint64_t size) {
  char text[16];
  if (kind != SERIES_ARENA || size <= uv_get_free_memory() / FREE_MEMORY_SHARE) {
    return 1;
  }
  notes_add(&scaling->notes, "An arena of %s is left out: it would take more than half of the free memory.",
            format_size(text, sizeof text, size));
  return 0;
}

static void run_series(scaling_t* scaling, dimension_t kind) {
  for (size_t i = 0; i < SIZES_MAX && series_list[kind].sizes[i] != 0 && child_signal() == 0; i++) {
    scaling_row_t* row = &scaling->rows[kind][i];
    uint64_t size = series_list[kind].sizes[i];
    int error = fits(scaling, kind, size) ? run_size(scaling, kind, size, &row->figures[row->count]) : UV_EAGAIN;
    if (error == UV_EAGAIN) {
      continue;
    }
    if (error != 0) {
      notes_add(&scaling->notes, "%llu %s: %s.", (unsigned long long)size, series_list[kind].unit,
                uvdio_strerror(error));
      continue;
    }
    row->count++;
  }
}

static void count_all(scaling_t* scaling) {
  char version[64];
  if (scaling->with_instructions && !child_version("valgrind", "--version", version, sizeof version)) {
    notes_add(&scaling->notes, "Instructions were not counted: that takes valgrind.");
    scaling->with_instructions = 0;
  }
  for (int kind = 0; kind < SERIES_COUNT; kind++) {
    for (size_t i = 0; i < SIZES_MAX; i++) {
      scaling->rows[kind][i].instructions = NAN;
    }
    if (scaling->series[kind] && scaling->with_instructions) {
      count_series(scaling, (dimension_t)kind);
    }
  }
}

static int run_rounds(scaling_t* scaling) {
  for (uint64_t round = 0; round < scaling->rounds; round++) {
    for (int kind = 0; kind < SERIES_COUNT && child_signal() == 0; kind++) {
      if (scaling->series[kind]) {
        run_series(scaling, (dimension_t)kind);
      }
    }
  }
  count_all(scaling);
  return child_signal() == 0 ? CLI_OK : CLI_SIGNAL + child_signal();
}

/*
 * Report
 */

#define FIGURE(name) offsetof(figure_t, name)

static spread_t figure_spread(const scaling_row_t* row, size_t member) {
  return spread_of(SERIES(row->figures, row->count, member));
}

static spread_t figure_ratio(const scaling_t* scaling, dimension_t kind, const scaling_row_t* row) {
  const scaling_row_t* base = &scaling->rows[kind][series_list[kind].base];
  return spread_of_ratios(SERIES(row->figures, row->count, FIGURE(cpu_us)),
                          SERIES(base->figures, base->count, FIGURE(cpu_us)));
}

static void add_heading(table_t* table) {
  static const char* const headings[] = {"", "CPU/op", "spread", "x", "calls/op", "instr/op", "x"};
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  table->columns = CLI_COUNT_OF(headings);
  table->text_columns = 1;
  for (size_t i = 0; i < CLI_COUNT_OF(headings) && cells != NULL; i++) {
    snprintf(cells[i], TABLE_CELL_SIZE, "%s", headings[i]);
  }
}

static void add_row(const scaling_t* scaling, table_t* table, dimension_t kind, size_t i) {
  const scaling_row_t* row = &scaling->rows[kind][i];
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return;
  }
  if (kind == SERIES_ARENA) {
    format_size(cells[0], TABLE_CELL_SIZE, series_list[kind].sizes[i]);
  } else {
    snprintf(cells[0], TABLE_CELL_SIZE, "%llu", (unsigned long long)series_list[kind].sizes[i]);
  }
  cell_time(cells[1], figure_spread(row, FIGURE(cpu_us)).median);
  cell_spread(cells[2], figure_spread(row, FIGURE(cpu_us)));
  cell_number(cells[3], "%.2f", figure_ratio(scaling, kind, row).median);
  cell_number(cells[4], "%.3f", figure_spread(row, FIGURE(calls)).median);
  cell_number(cells[5], "%.0f", row->instructions);
  cell_number(cells[6], "%.2f", row->instructions / scaling->rows[kind][series_list[kind].base].instructions);
}

static int print(const scaling_t* scaling) {
  printf("random reads of 4 KiB through the ring, depth %d, %llu rounds\n", DEPTH, (unsigned long long)scaling->rounds);
  for (int kind = 0; kind < SERIES_COUNT; kind++) {
    table_t table = {0};
    if (!scaling->series[kind]) {
      continue;
    }
    add_heading(&table);
    for (size_t i = 0; i < SIZES_MAX && series_list[kind].sizes[i] != 0; i++) {
      add_row(scaling, &table, (dimension_t)kind, i);
    }
    printf("\n%s\n", series_list[kind].unit);
    table_print(&table, stdout);
    table_free(&table);
  }
  printf("\nCPU is user and system time of the process; x is by the line with 1.00, in the same round; medians. Instructions are\n"
         "those in user space.\n");
  notes_print(&scaling->notes);
  return CLI_OK;
}

static json_t* series_json(const scaling_t* scaling, dimension_t kind) {
  json_t* rows = json_array();
  for (size_t i = 0; i < SIZES_MAX && series_list[kind].sizes[i] != 0; i++) {
    const scaling_row_t* row = &scaling->rows[kind][i];
    json_array_append_new(
        rows, json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "size", (json_int_t)series_list[kind].sizes[i], "rounds",
                        (json_int_t)row->count, "cpu_us_per_op", json_spread(figure_spread(row, FIGURE(cpu_us))),
                        "cpu_by_base", json_spread(figure_ratio(scaling, kind, row)), "calls_per_op",
                        json_spread(figure_spread(row, FIGURE(calls))), "instructions_per_op",
                        json_number_or_null(row->instructions)));
  }
  return rows;
}

static json_t* all_json(const scaling_t* scaling) {
  json_t* json = json_pack("{s:o, s:i}", "environment", json_environment(), "depth", DEPTH);
  for (int kind = 0; kind < SERIES_COUNT; kind++) {
    if (scaling->series[kind]) {
      json_object_set_new(json, series_list[kind].name, series_json(scaling, (dimension_t)kind));
    }
  }
  json_object_set_new(json, "notes", notes_json(&scaling->notes));
  return json;
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
    notes_add(&scaling->notes, "The limit on open files (ulimit -Hn) is %llu.", (unsigned long long)limit.rlim_max);
  }
}

static int run_scaling(scaling_t* scaling) {
  char reason[384];
  uint64_t files = scaling->series[SERIES_FILES] ? series_list[SERIES_FILES].sizes[4] : 1;

  child_watch_signals();
  allow_files(scaling, files);
  if (uvdio_backend_probe(UVDIO_BACKEND_RING, reason, sizeof reason) != 0) {
    return report_problem("bench", "this is about the ring: %s", reason);
  }
  scaling->folder = path_temporary(scaling->directory, "scaling");
  if (scaling->folder == NULL) {
    return report_error("bench", "name", "a folder", UV_ENOMEM);
  }
  if (mkdir(scaling->folder, 0700) != 0) {
    int code = report_error("bench", "create", scaling->folder, uv_translate_sys_error(errno));
    free(scaling->folder);
    return code;
  }
  int error = make_files(scaling, files);
  int code = error == 0 ? run_rounds(scaling) : report_error("bench", "fill", scaling->folder, error);
  remove_files(scaling);
  if (code != CLI_OK) {
    return code;
  }
  return scaling->as_json ? report_json("bench", all_json(scaling)) : print(scaling);
}

enum {
  OPTION_SCALING = CLI_OPTION_FIRST,
  OPTION_SERIES,
  OPTION_ROUNDS,
  OPTION_READS,
  OPTION_INSTRUCTIONS,
  OPTION_JSON
};

static int add_series(void* context, const char* text) {
  scaling_t* scaling = context;
  int kind = find_series(text);
  if (kind < 0) {
    return report_usage("bench", "--series takes files, queued, arena, not '%s'", text);
  }
  scaling->series[kind] = 1;
  return CLI_OK;
}

static int take_option(scaling_t* scaling, int answer) {
  switch (answer) {
    case OPTION_SCALING:
      return CLI_OK;
    case OPTION_SERIES:
      return parse_list("bench", optarg, add_series, scaling);
    case OPTION_INSTRUCTIONS:
      scaling->with_instructions = 1;
      return CLI_OK;
    case OPTION_ROUNDS:
      return parse_count("bench", "--rounds", optarg, 1, SPREAD_ROUNDS_MAX, &scaling->rounds);
    case OPTION_READS:
      return parse_count("bench", "--reads", optarg, 1, 100000000, &scaling->reads);
    default:
      assert(answer == OPTION_JSON);
      scaling->as_json = 1;
      return CLI_OK;
  }
}

/* None was named: all. */
static void want_all_or_some(scaling_t* scaling) {
  int any = 0;
  for (int kind = 0; kind < SERIES_COUNT; kind++) {
    any |= scaling->series[kind];
  }
  for (int kind = 0; kind < SERIES_COUNT; kind++) {
    scaling->series[kind] |= !any;
  }
}

int scaling_main(int argc, char** argv) {
  static const struct option options[] = {{"scaling", no_argument, NULL, OPTION_SCALING},
                                          {"series", required_argument, NULL, OPTION_SERIES},
                                          {"rounds", required_argument, NULL, OPTION_ROUNDS},
                                          {"reads", required_argument, NULL, OPTION_READS},
                                          {"instructions", no_argument, NULL, OPTION_INSTRUCTIONS},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  static scaling_t scaling = {.directory = ".", .rounds = ROUNDS_DEFAULT, .reads = READS};
  int answer;
  opterr = 0;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    if (answer == 'h') {
      fputs(usage, stdout);
      return CLI_OK;
    }
    int code = answer == '?' || answer == ':' ? report_option("bench", argv, answer) : take_option(&scaling, answer);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("bench", "--scaling takes one directory");
  }
  want_all_or_some(&scaling);
  scaling.directory = optind < argc ? argv[optind] : ".";
  return run_scaling(&scaling);
}
