/* SPDX-License-Identifier: MIT */
/*
 * uvdio-bench copy: options, the source, the rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/path.h"
#include "cli/pattern.h"
#include "cli/report.h"
#include "copy/copy.h"
#include "copy/model.h"
#include "copy/report.h"
#include "harness/child.h"
#include "harness/notes.h"
#include "harness/scratch_dir.h"
#include "harness/summary.h"
#include "harness/turns.h"
#include "harness/work.h"
#include "uvdio.h"

#define SIZE_DEFAULT ((uint64_t)256 * 1024 * 1024)
#define BLOCK_MAX ((uint64_t)64 * 1024 * 1024)
#define ROUNDS_DEFAULT 5
#define CHUNK ((size_t)1024 * 1024)
#define GIB (1024.0 * 1024 * 1024)

static const char usage[] =
    "usage: uvdio-bench copy [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Measures `uvdio copy` side by side with dd and cp: a file made in DIRECTORY (the current\n"
    "one if none is given) is copied to another one there; both are removed at the end. In each\n"
    "round everybody copies it once. The source is not in the page cache then, and a copy is\n"
    "over when its data, size and name are on the disk.\n"
    "\n"
    "  --block B[,B...]   bytes per request, for uvdio copy and dd (4K,64K,1M,4M; multiples of\n"
    "                     4096)\n"
    "  --size BYTES       size of the file (256M; a multiple of each block)\n"
    "  --rounds N         so many rounds (5)\n"
    "  --plot DIR         write a picture (by gnuplot), its data and results.json into DIR\n"
    "  --json             JSON instead of tables\n"
    "  --seed N           of the bytes (1)\n"
    "  --uvdio PATH       the command `uvdio` (that beside this program)\n"
    "  --help             this text\n"
    "\n"
    "  ring, pool         uvdio copy --backend ring, pool\n"
    "  dd                 dd iflag=direct oflag=direct conv=fsync\n"
    "  cp                 cp --reflink=never, and fsync; it has no blocks and is the same work\n"
    "                     in each table\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 128+N ended by signal N.\n";

/*
 * The files.
 */

/* The index of the first byte of the destination that is wrong, or its size; or a negative code. */
static int64_t check_bytes(const work_params_t* work, int file, char* memory) {
  for (uint64_t offset = 0; offset < work->file_size; offset += CHUNK) {
    ssize_t got = pread(file, memory, CHUNK, (off_t)offset);
    if (got < 0) {
      return uv_translate_sys_error(errno);
    }
    size_t right = pattern_check(memory, (size_t)got / 8 * 8, work->seed, offset);
    if (right < CHUNK && offset + right < work->file_size) {
      return (int64_t)(offset + right);
    }
  }
  return (int64_t)work->file_size;
}

/* Whoever copies fast and wrong shall be told from the others. */
static int destination_is_right(const copy_bench_t* bench) {
  void* memory = NULL;
  struct stat status;
  int file = work_open_direct(bench->destination, O_RDONLY);
  int64_t right = -1;
  if (file >= 0 && fstat(file, &status) == 0 && (uint64_t)status.st_size == bench->work.file_size &&
      posix_memalign(&memory, UVDIO_ALIGNMENT, CHUNK) == 0) {
    right = check_bytes(&bench->work, file, memory);
  }
  free(memory);
  if (file >= 0) {
    (void)close(file);
  }
  return right == (int64_t)bench->work.file_size;
}

static int sync_path(const char* path) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  int error = file < 0 || fsync(file) != 0 ? uv_translate_sys_error(errno) : 0;
  if (file >= 0) {
    (void)close(file);
  }
  return error;
}

/* What is neither cached nor left from the last copy: an earlier destination's blocks are given
 * back to the device when the removal is committed, and nobody's time shall have that in it. */
static void forget(const copy_bench_t* bench) {
  (void)unlink(bench->destination);
  (void)sync_path(bench->scratch.directory);
#ifdef POSIX_FADV_DONTNEED
  int file = open(bench->source, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(file);
  }
#endif
}

/*
 * One copy.
 */

/* Arguments of a target, with the texts that had to be made. */
typedef struct {
  const char* argv[12];
  char block[32];
  char input[4200];
  char output[4200];
} command_t;

static void set_command(const copy_bench_t* bench, copy_target_t target, size_t block_size,
                        command_t* command) {
  const char* backend = copy_target_text(target);
  const char* const copy[] = {
      bench->program, "copy",         "--no-progress", "--backend",        backend,
      "--block",      command->block, bench->source,   bench->destination, NULL};
  const char* const dd[] = {"dd",           command->input, command->output, command->block,
                            "iflag=direct", "oflag=direct", "conv=fsync",    NULL};
  const char* const cp[] = {"cp", "--reflink=never", bench->source, bench->destination, NULL};
  snprintf(command->block, sizeof command->block, "%s%zu", target == COPY_DD ? "bs=" : "",
           block_size);
  snprintf(command->input, sizeof command->input, "if=%s", bench->source);
  snprintf(command->output, sizeof command->output, "of=%s", bench->destination);
  memset(command->argv, 0, sizeof command->argv);
  if (target == COPY_DD) {
    memcpy(command->argv, dd, sizeof dd);
  } else if (target == COPY_CP) {
    memcpy(command->argv, cp, sizeof cp);
  } else {
    memcpy(command->argv, copy, sizeof copy);
  }
}

static double children_cpu_seconds(void) {
  struct rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* uvdio copy syncs file and directory itself, dd the file only, cp nothing. */
static int make_durable(const copy_bench_t* bench, copy_target_t target) {
  int error = target == COPY_CP ? sync_path(bench->destination) : 0;
  return error == 0 && (target == COPY_CP || target == COPY_DD)
             ? sync_path(bench->scratch.directory)
             : error;
}

/* Returns 0, or -1 when there is no figure: a note says why. */
static int copy_once(copy_bench_t* bench, copy_target_t target, size_t block_size,
                     copy_row_t* row) {
  command_t command;
  child_t child;
  set_command(bench, target, block_size, &command);
  forget(bench);
  double cpu = children_cpu_seconds();
  uint64_t began_ns = uv_hrtime();
  int error = child_run(command.argv, 0, &child);
  error = error == 0 ? make_durable(bench, target) : error;
  double seconds = (double)(uv_hrtime() - began_ns) / 1e9;
  if (error != 0) {
    notes_add(&bench->notes, "%s could not be run: %s.", copy_target_text(target),
              uvdio_strerror(error));
    return -1;
  }
  free(child.output);
  if (child.code != 0 || (row->count == 0 && !destination_is_right(bench))) {
    notes_add(&bench->notes, "%s %s (exit code %d).", copy_target_text(target),
              child.code != 0 ? "failed" : "did not copy what was there", child.code);
    return -1;
  }
  double size = (double)bench->work.file_size;
  row->samples[row->count++] =
      (copy_sample_t){size / seconds, (children_cpu_seconds() - cpu) / (size / GIB)};
  return 0;
}

static void show_status(const copy_bench_t* bench, size_t block, copy_target_t target,
                        uint64_t round) {
  char size[16];
  if (isatty(STDERR_FILENO)) {
    fprintf(stderr, "\rblocks of %s, round %llu of %llu: %s\033[K",
            format_size(size, sizeof size, bench->blocks[block]), (unsigned long long)round + 1,
            (unsigned long long)bench->rounds, copy_target_text(target));
  }
}

/* A target that failed takes no further part: its figures would be of other rounds. */
static void run_round(copy_bench_t* bench, size_t block, uint64_t round) {
  turns_t turns = turns_of(round, COPY_TARGET_COUNT);
  for (unsigned i = 0; i < COPY_TARGET_COUNT && child_signal() == 0; i++) {
    copy_target_t target = (copy_target_t)turns.at[i];
    if (bench->takes_part[target]) {
      show_status(bench, block, target, round);
      bench->takes_part[target] =
          copy_once(bench, target, bench->blocks[block], &bench->rows[block][target]) == 0;
    }
  }
}

static void measure(copy_bench_t* bench) {
  for (uint64_t round = 0; round < bench->rounds; round++) {
    for (size_t block = 0; block < bench->block_count; block++) {
      run_round(bench, block, round);
    }
  }
  if (isatty(STDERR_FILENO)) {
    fputs("\r\033[K", stderr);
  }
}

/*
 * Around the rounds.
 */

static void find_targets(copy_bench_t* bench) {
  char text[256];
  bench->takes_part[COPY_POOL] = 1;
  bench->takes_part[COPY_RING] = uvdio_backend_probe(UVDIO_BACKEND_RING, text, sizeof text) == 0;
  if (!bench->takes_part[COPY_RING]) {
    notes_add(&bench->notes, "ring is not available: %s", text);
  }
  bench->takes_part[COPY_DD] = child_version("dd", "--version", text, sizeof text);
  bench->takes_part[COPY_CP] = child_version("cp", "--version", text, sizeof text);
  if (!bench->takes_part[COPY_DD] || !bench->takes_part[COPY_CP]) {
    notes_add(&bench->notes, "GNU dd or cp is not installed.");
  }
}

static int open_files(copy_bench_t* bench, const char* path) {
  bench->scratch = (scratch_dir_t){.path = path,
                                   .params = &bench->work,
                                   .command = "copy",
                                   .blocks = bench->blocks,
                                   .block_count = bench->block_count};
  int code = scratch_dir_open(&bench->scratch);
  if (code != CLI_OK) {
    return code;
  }
  work_path(&bench->work, 0, bench->source, sizeof bench->source);
  bench->destination = path_join(bench->scratch.directory, "destination");
  return bench->destination != NULL ? CLI_OK
                                    : report_error("copy", "name", "the destination", UV_ENOMEM);
}

static void close_files(copy_bench_t* bench) {
  if (bench->destination != NULL) {
    (void)unlink(bench->destination);
  }
  free(bench->destination);
  scratch_dir_close(&bench->scratch);
}

static int tell(const copy_bench_t* bench) {
  int code = bench->as_json ? report_json("copy", copy_bench_json(bench)) : copy_bench_print(bench);
  return code == CLI_OK && bench->plot != NULL ? copy_bench_plot(bench) : code;
}

static int find_uvdio(copy_bench_t* bench) {
  static const char name[] = "uvdio";
  size_t size = sizeof bench->program - sizeof name;
  if (bench->uvdio != NULL) {
    snprintf(bench->program, sizeof bench->program, "%s", bench->uvdio);
  } else {
    int error = uv_exepath(bench->program, &size);
    if (error != 0) {
      return report_error("copy", "find", "this program", error);
    }
    memcpy(strrchr(bench->program, '/') + 1, name, sizeof name);
  }
  return access(bench->program, X_OK) == 0
             ? CLI_OK
             : report_problem("copy", "cannot run %s: %s. Name the command by --uvdio.",
                              bench->program, strerror(errno));
}

static int run_bench(copy_bench_t* bench, const char* path) {
  int code = find_uvdio(bench);
  if (code != CLI_OK) {
    return code;
  }
  child_watch_signals();
  find_targets(bench);
  code = open_files(bench, path);
  if (code == CLI_OK) {
    measure(bench);
  }
  close_files(bench);
  code = child_exit_code(code);
  return code == CLI_OK ? tell(bench) : code;
}

/*
 * Options.
 */

static int add_block(void* context, const char* text) {
  copy_bench_t* bench = context;
  uint64_t block;
  int code = parse_bytes("copy", "--block", text, UVDIO_ALIGNMENT, BLOCK_MAX, &block);
  if (code == CLI_OK && bench->block_count == COPY_BLOCKS_MAX) {
    code = report_usage("copy", "--block takes at most %d sizes", COPY_BLOCKS_MAX);
  }
  if (code == CLI_OK) {
    bench->blocks[bench->block_count++] = (size_t)block;
  }
  return code;
}

/* Size and blocks have to fit, so that dd, too, can do all of it by direct I/O. */
static int set_defaults(copy_bench_t* bench) {
  static const size_t blocks[] = {4096, 65536, 1024 * 1024, 4 * 1024 * 1024};
  if (bench->block_count == 0) {
    memcpy(bench->blocks, blocks, sizeof blocks);
    bench->block_count = CLI_COUNT_OF(blocks);
  }
  for (size_t i = 0; i < bench->block_count; i++) {
    if (bench->work.file_size % bench->blocks[i] != 0) {
      return report_usage("copy", "--size is no multiple of a --block of %zu", bench->blocks[i]);
    }
  }
  return CLI_OK;
}

enum {
  OPTION_BLOCK = CLI_OPTION_FIRST,
  OPTION_SIZE,
  OPTION_ROUNDS,
  OPTION_PLOT,
  OPTION_JSON,
  OPTION_SEED,
  OPTION_UVDIO
};

static int set_option(copy_bench_t* bench, int option, const char* value) {
  switch (option) {
    case OPTION_BLOCK:
      return parse_list("copy", value, add_block, bench);
    case OPTION_SIZE:
      return parse_bytes("copy", "--size", value, UVDIO_ALIGNMENT, INT64_MAX / 4,
                         &bench->work.file_size);
    case OPTION_ROUNDS:
      return parse_count("copy", "--rounds", value, 1, SUMMARY_ROUNDS_MAX, &bench->rounds);
    case OPTION_SEED:
      return parse_count("copy", "--seed", value, 0, INT64_MAX, &bench->work.seed);
    case OPTION_JSON:
      bench->as_json = 1;
      break;
    case OPTION_PLOT:
      bench->plot = value;
      break;
    case OPTION_UVDIO:
      bench->uvdio = value;
      break;
  }
  return CLI_OK;
}

static int parse_options(copy_bench_t* bench, int argc, char** argv) {
  static const struct option options[] = {
      {"block", required_argument, NULL, OPTION_BLOCK},
      {"size", required_argument, NULL, OPTION_SIZE},
      {"rounds", required_argument, NULL, OPTION_ROUNDS},
      {"plot", required_argument, NULL, OPTION_PLOT},
      {"json", no_argument, NULL, OPTION_JSON},
      {"seed", required_argument, NULL, OPTION_SEED},
      {"uvdio", required_argument, NULL, OPTION_UVDIO},
      {NULL, 0, NULL, 0},
  };
  int answer;
  int code = CLI_OK;
  while (code == CLI_OK && (answer = getopt_long(argc, argv, ":", options, NULL)) != -1) {
    code = answer == '?' || answer == ':' ? report_option("copy", argv, answer)
                                          : set_option(bench, answer, optarg);
  }
  if (code == CLI_OK && argc - optind > 1) {
    code = report_usage("copy", "it takes one DIRECTORY at most");
  }
  return code;
}

int copy_bench_main(int argc, char** argv) {
  static copy_bench_t bench; /* too large for some stacks */
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      fputs(usage, stdout);
      return CLI_OK;
    }
  }
  bench.work = (work_params_t){.files = 1, .loops = 1, .file_size = SIZE_DEFAULT, .seed = 1};
  bench.rounds = ROUNDS_DEFAULT;
  int code = parse_options(&bench, argc, argv);
  code = code == CLI_OK ? set_defaults(&bench) : code;
  const char* path = optind < argc ? argv[optind] : ".";
  code = code == CLI_OK ? scratch_dir_check("copy", path) : code;
  return code == CLI_OK ? run_bench(&bench, path) : code;
}
