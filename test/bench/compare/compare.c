/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench compare: options, and the rounds.
 */
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/report.h"
#include "compare/compare.h"
#include "compare/count.h"
#include "compare/external.h"
#include "compare/model.h"
#include "compare/plot.h"
#include "compare/report.h"
#include "compare/sample.h"
#include "harness/child.h"
#include "harness/notes.h"
#include "harness/scratch_dir.h"
#include "harness/turns.h"
#include "harness/work.h"
#include "uvdio.h"

#define SIZE_DEFAULT ((uint64_t)256 * 1024 * 1024)
#define BLOCK_MIN 512
#define BLOCK_MAX ((uint64_t)64 * 1024 * 1024)
#define DURATION_DEFAULT_NS ((uint64_t)400000000)
#define ROUNDS_DEFAULT 5

static const char usage[] =
    "usage: uvdio-bench compare [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Measures this library side by side with others on the same files, which are made in\n"
    "DIRECTORY (the current one if none is given) and removed at the end. In each round every\n"
    "target is measured once, one after the other, each in a process of its own.\n"
    "\n"
    "  --operation O[,O]  random-read (default), sequential-read, random-write,\n"
    "                     sequential-write, durable-write (in order, O_DSYNC), mixed (random,\n"
    "                     70 % reads)\n"
    "  --target P[,P]     which targets (see below)\n"
    "  --depth N[,N...]   requests in flight, of each loop (1,32,128)\n"
    "  --block B[,B...]   bytes per operation (4K; multiples of 512, as far as the filesystem\n"
    "                     takes them)\n"
    "  --size BYTES       size of all files together (256M)\n"
    "  --files N          so many files (1), all of them open; the limit on open files is raised\n"
    "                     as far as allowed\n"
    "  --loops N          so many loops, each on a thread of its own (1)\n"
    "  --rounds N         so many rounds (5)\n"
    "  --seconds S        length of one measurement (0.4)\n"
    "  --pin              bind each loop of ring, limit and fio to a processor: less noise at\n"
    "                     depth 1 (Linux)\n"
    "  --small-pages      no huge pages under the buffers of blocks of 256K and more either\n"
    "                     (Linux)\n"
    "  --loop-device      on ext4 on a loop device over tmpfs, fast enough for software to\n"
    "                     matter (Linux, root)\n"
    "  --instructions     count instructions per operation (by valgrind; takes its time)\n"
    "  --no-calls         don't count system calls per operation (by perf or strace)\n"
    "  --plot DIR         write pictures (by gnuplot), their data and results.json into DIR\n"
    "  --json             JSON instead of tables\n"
    "  --seed N           of bytes and offsets (1)\n"
    "  --help             this text\n"
    "\n"
    "Targets (* by default; fio, qemu-img where installed):\n";

/*
 * Rounds.
 */

static void show_status(const compare_t* compare, size_t cell, const char* what, uint64_t round) {
  char block[16];
  if (isatty(STDERR_FILENO)) {
    fprintf(stderr, "\r%s, %s, depth %u, round %llu of %llu: %s\033[K",
            work_kind_text(compare->cells[cell].kind),
            format_size(block, sizeof block, compare->cells[cell].block_size),
            compare->cells[cell].depth, (unsigned long long)round + 1,
            (unsigned long long)compare->rounds, what);
  }
}

static void clear_status(void) {
  if (isatty(STDERR_FILENO)) {
    fputs("\r\033[K", stderr);
  }
}

/* Returns 0, or -1 and a note why there is no figure. */
static int take_sample(compare_t* compare, size_t cell, size_t target, sample_t* sample) {
  *sample = (sample_t){NAN, NAN, NAN, NAN, NAN, NAN};
  switch (compare->targets[target]->kind) {
    case TARGET_CHILD:
      return sample_child(compare, cell, target, sample);
    case TARGET_FIO:
      return sample_fio(compare, cell, target, sample);
    case TARGET_QEMU:
      return sample_qemu(compare, cell, target, sample);
  }
  return -1;
}

/* A target that failed once is left out of that cell from then on: its figures would be of other
 * rounds. */
static void run_round(compare_t* compare, size_t cell, uint64_t round) {
  turns_t turns = turns_of(round, compare->target_count);
  for (size_t i = 0; i < compare->target_count && child_signal() == 0; i++) {
    size_t target = turns.at[i];
    row_t* row = compare_row(compare, cell, target);
    sample_t sample;
    show_status(compare, cell, compare->targets[target]->name, round);
    if (row->sample_count == round && take_sample(compare, cell, target, &sample) == 0) {
      row->samples[row->sample_count++] = sample;
    }
  }
}

static int open_rows(compare_t* compare) {
  size_t count = compare->cell_count * compare->target_count;
  sample_t* samples = calloc(count * (size_t)compare->rounds, sizeof *samples);
  compare->rows = calloc(count, sizeof *compare->rows);
  if (compare->rows == NULL || samples == NULL) {
    free(samples);
    return report_error("compare", "keep", "the figures", UV_ENOMEM);
  }
  for (size_t i = 0; i < count; i++) {
    compare->rows[i] = (row_t){.samples = samples + i * (size_t)compare->rounds,
                               .system_calls_per_op = NAN,
                               .instructions_per_op = NAN};
  }
  return CLI_OK;
}

static void close_rows(compare_t* compare) {
  for (size_t i = 0; compare->rows != NULL && i < compare->cell_count * compare->target_count;
       i++) {
    json_decref(compare->rows[i].first_engine);
  }
  if (compare->rows != NULL) {
    free(compare->rows[0].samples); /* one block for all */
  }
  free(compare->rows);
}

static void measure(compare_t* compare) {
  for (uint64_t round = 0; round < compare->rounds; round++) {
    for (size_t cell = 0; cell < compare->cell_count; cell++) {
      run_round(compare, cell, round);
    }
  }
  if (isatty(STDERR_FILENO) && (compare->with_calls || compare->with_instructions)) {
    fputs("\rcounting\033[K", stderr);
  }
  compare_count(compare);
  clear_status();
}

static int tell(compare_t* compare) {
  int code =
      compare->as_json ? report_json("compare", compare_json(compare)) : compare_print(compare);
  return code == CLI_OK && compare->plot != NULL ? compare_plot(compare) : code;
}

/*
 * What takes part.
 */

static void drop_target(compare_t* compare, size_t target) {
  compare->target_count--;
  memmove(&compare->targets[target], &compare->targets[target + 1],
          (compare->target_count - target) * sizeof compare->targets[0]);
}

static void drop_missing(compare_t* compare) {
  char version[128];
  for (size_t i = compare->target_count; i > 0; i--) {
    compare_target_kind_t kind = compare->targets[i - 1]->kind;
    const char* program = kind == TARGET_FIO ? "fio" : kind == TARGET_QEMU ? "qemu-img" : NULL;
    if (program != NULL && !child_version(program, "--version", version, sizeof version)) {
      notes_add(&compare->notes, "%s is not installed.", program);
      drop_target(compare, i - 1);
    }
  }
}

static void add_cells(compare_t* compare, work_kind_t kind, size_t block_size) {
  for (size_t i = 0; i < compare->depth_count; i++) {
    compare->cells[compare->cell_count++] = (cell_t){kind, block_size, compare->depths[i]};
  }
}

static void set_cells(compare_t* compare) {
  for (int kind = 0; kind < WORK_KIND_COUNT; kind++) {
    for (size_t i = 0; i < compare->block_count && compare->kinds[kind]; i++) {
      add_cells(compare, (work_kind_t)kind, compare->blocks[i]);
    }
  }
}

static int run_compare(compare_t* compare) {
  child_watch_signals();
  drop_missing(compare);
  set_cells(compare);
  int code = compare->target_count > 0 ? open_rows(compare)
                                       : report_problem("compare", "no target is left.");
  compare->scratch = (scratch_dir_t){.path = compare->path,
                                     .wants_loop_device = compare->on_loop_device,
                                     .params = &compare->params,
                                     .command = "compare",
                                     .blocks = compare->blocks,
                                     .block_count = compare->block_count};
  code = code == CLI_OK ? scratch_dir_open(&compare->scratch) : code;
  if (code == CLI_OK) {
    measure(compare);
  }
  scratch_dir_close(&compare->scratch);
  code = child_exit_code(code);
  code = code == CLI_OK ? tell(compare) : code;
  close_rows(compare);
  return code;
}

/*
 * Options.
 */

static int add_kind(void* context, const char* text) {
  compare_t* compare = context;
  work_kind_t kind;
  if (work_kind_parse(text, &kind) != 0) {
    return report_usage(
        "compare",
        "--operation takes random-read, sequential-read, random-write, sequential-write, "
        "durable-write or mixed, not '%s'",
        text);
  }
  compare->kinds[kind] = 1;
  return CLI_OK;
}

static int add_depth(void* context, const char* text) {
  compare_t* compare = context;
  uint64_t depth;
  int code = parse_count("compare", "--depth", text, 1, WORK_DEPTH_MAX, &depth);
  if (code != CLI_OK) {
    return code;
  }
  for (size_t i = 0; i < compare->depth_count; i++) {
    if (compare->depths[i] == depth) {
      return CLI_OK;
    }
  }
  if (compare->depth_count == COMPARE_DEPTHS_MAX) {
    return report_usage("compare", "--depth takes at most %d numbers", COMPARE_DEPTHS_MAX);
  }
  compare->depths[compare->depth_count++] = (unsigned)depth;
  return CLI_OK;
}

static int add_block(void* context, const char* text) {
  compare_t* compare = context;
  uint64_t block;
  int code = parse_multiple("compare", "--block", text, BLOCK_MIN, BLOCK_MIN, BLOCK_MAX, &block);
  if (code != CLI_OK) {
    return code;
  }
  for (size_t i = 0; i < compare->block_count; i++) {
    if (compare->blocks[i] == block) {
      return CLI_OK;
    }
  }
  if (compare->block_count == COMPARE_BLOCKS_MAX) {
    return report_usage("compare", "--block takes at most %d sizes", COMPARE_BLOCKS_MAX);
  }
  compare->blocks[compare->block_count++] = (size_t)block;
  return CLI_OK;
}

static int add_target(void* context, const char* text) {
  compare_t* compare = context;
  if (compare_find(compare, text) >= 0) {
    return CLI_OK;
  }
  for (size_t i = 0; i < compare_target_count; i++) {
    if (strcmp(compare_targets[i].name, text) == 0) {
      compare->targets[compare->target_count++] = &compare_targets[i];
      return CLI_OK;
    }
  }
  return report_usage("compare",
                      "--target does not know '%s': `uvdio-bench compare --help` tells the targets",
                      text);
}

enum {
  OPTION_OPERATION = CLI_OPTION_FIRST,
  OPTION_TARGET,
  OPTION_DEPTH,
  OPTION_BLOCK,
  OPTION_SIZE,
  OPTION_FILES,
  OPTION_LOOPS,
  OPTION_ROUNDS,
  OPTION_SECONDS,
  OPTION_PIN,
  OPTION_SMALL_PAGES,
  OPTION_LOOP_DEVICE,
  OPTION_INSTRUCTIONS,
  OPTION_NO_CALLS,
  OPTION_PLOT,
  OPTION_JSON,
  OPTION_SEED
};

static const struct option long_options[] = {
    {"operation", required_argument, NULL, OPTION_OPERATION},
    {"target", required_argument, NULL, OPTION_TARGET},
    {"depth", required_argument, NULL, OPTION_DEPTH},
    {"block", required_argument, NULL, OPTION_BLOCK},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"files", required_argument, NULL, OPTION_FILES},
    {"loops", required_argument, NULL, OPTION_LOOPS},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"pin", no_argument, NULL, OPTION_PIN},
    {"small-pages", no_argument, NULL, OPTION_SMALL_PAGES},
    {"loop-device", no_argument, NULL, OPTION_LOOP_DEVICE},
    {"instructions", no_argument, NULL, OPTION_INSTRUCTIONS},
    {"no-calls", no_argument, NULL, OPTION_NO_CALLS},
    {"plot", required_argument, NULL, OPTION_PLOT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int set_flag(compare_t* compare, int option, const char* value) {
  switch (option) {
    case OPTION_PIN:
      compare->params.pin = 1;
      break;
    case OPTION_SMALL_PAGES:
      compare->small_pages = 1;
      break;
    case OPTION_LOOP_DEVICE:
      compare->on_loop_device = 1;
      break;
    case OPTION_INSTRUCTIONS:
      compare->with_instructions = 1;
      break;
    case OPTION_NO_CALLS:
      compare->with_calls = 0;
      break;
    case OPTION_JSON:
      compare->as_json = 1;
      break;
    case OPTION_PLOT:
      compare->plot = value;
      break;
  }
  return CLI_OK;
}

static int set_option(compare_t* compare, int option, const char* value) {
  work_params_t* params = &compare->params;
  switch (option) {
    case OPTION_OPERATION:
      return parse_list("compare", value, add_kind, compare);
    case OPTION_TARGET:
      return parse_list("compare", value, add_target, compare);
    case OPTION_DEPTH:
      return parse_list("compare", value, add_depth, compare);
    case OPTION_BLOCK:
      return parse_list("compare", value, add_block, compare);
    case OPTION_SIZE:
      return parse_bytes("compare", "--size", value, UVDIO_ALIGNMENT, INT64_MAX / 4,
                         &compare->total_size);
    case OPTION_FILES:
      return parse_unsigned("compare", "--files", value, WORK_FILES_MAX, &params->files);
    case OPTION_LOOPS:
      return parse_unsigned("compare", "--loops", value, WORK_LOOPS_MAX, &params->loops);
    case OPTION_ROUNDS:
      return parse_count("compare", "--rounds", value, 1, COMPARE_ROUNDS_MAX, &compare->rounds);
    case OPTION_SECONDS:
      return parse_seconds("compare", "--seconds", value, &params->duration_ns);
    case OPTION_SEED:
      return parse_count("compare", "--seed", value, 0, INT64_MAX, &params->seed);
  }
  return set_flag(compare, option, value);
}

/* All files have the same size, a multiple of the largest block. */
static int set_file_size(compare_t* compare) {
  uint64_t largest = UVDIO_ALIGNMENT;
  for (size_t i = 0; i < compare->block_count; i++) {
    largest = compare->blocks[i] > largest ? compare->blocks[i] : largest;
  }
  uint64_t blocks = compare->total_size / compare->params.files / largest;
  if (blocks == 0) {
    return report_usage("compare",
                        "--size is less than one --block (and %d bytes) for each of the --files",
                        UVDIO_ALIGNMENT);
  }
  compare->params.block_size = (size_t)largest;
  compare->params.file_size = blocks * largest;
  return CLI_OK;
}

/* What was left open. */
static int set_defaults(compare_t* compare) {
  static const unsigned depths[] = {1, 32, 128};
  int any = 0;
  if (compare->depth_count == 0) {
    memcpy(compare->depths, depths, sizeof depths);
    compare->depth_count = CLI_COUNT_OF(depths);
  }
  if (compare->block_count == 0) {
    compare->blocks[compare->block_count++] = UVDIO_PAGE_SIZE;
  }
  for (size_t i = 0; i < WORK_KIND_COUNT; i++) {
    any |= compare->kinds[i];
  }
  compare->kinds[WORK_RANDOM_READ] |= !any;
  if (compare->target_count == 0) {
    for (size_t i = 0; i < compare_target_count; i++) {
      if (compare_targets[i].by_default) {
        compare->targets[compare->target_count++] = &compare_targets[i];
      }
    }
  }
  return set_file_size(compare);
}

static int run_in(compare_t* compare, const char* path) {
  size_t size = sizeof compare->program;
  int code = set_defaults(compare);
  code = code == CLI_OK ? scratch_dir_check("compare", path) : code;
  if (code != CLI_OK) {
    return code;
  }
  compare->path = path;
  int error = uv_exepath(compare->program, &size);
  return error == 0 ? run_compare(compare) : report_error("compare", "find", "this program", error);
}

static int print_usage(void) {
  fputs(usage, stdout);
  for (size_t i = 0; i < compare_target_count; i++) {
    printf("  %c %-12s  %s\n", compare_targets[i].by_default ? '*' : ' ', compare_targets[i].name,
           compare_targets[i].text);
  }
  printf(
      "\ntest/bench/README.md tells how to read the tables and pictures.\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 128+N ended by signal N.\n");
  return CLI_OK;
}

int compare_main(int argc, char** argv) {
  static compare_t compare; /* too large for some stacks */
  int answer;
  compare.with_calls = 1;
  compare.total_size = SIZE_DEFAULT;
  compare.rounds = ROUNDS_DEFAULT;
  compare.params =
      (work_params_t){.files = 1, .loops = 1, .duration_ns = DURATION_DEFAULT_NS, .seed = 1};
  while ((answer = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
    if (answer == 'h') {
      return print_usage();
    }
    int code = answer == '?' || answer == ':' ? report_option("compare", argv, answer)
                                              : set_option(&compare, answer, optarg);
    if (code != CLI_OK) {
      return code;
    }
  }
  if (argc - optind > 1) {
    return report_usage("compare", "it takes one DIRECTORY at most");
  }
  return run_in(&compare, optind < argc ? argv[optind] : ".");
}
