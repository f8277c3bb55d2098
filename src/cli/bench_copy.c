/*
 * uvdio bench --copy: options, the source, the rounds.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench_copy.h"

#define SIZE_DEFAULT ((uint64_t)256 * 1024 * 1024)
#define BLOCK_MAX ((uint64_t)64 * 1024 * 1024)
#define ROUNDS_DEFAULT 5
#define CHUNK ((size_t)1024 * 1024)

static const char usage[] =
    "usage: uvdio bench --copy [OPTIONS] [DIRECTORY]\n"
    "\n"
    "Measures `uvdio copy` side by side with dd and cp: a file made in DIRECTORY (the current one if none is given)\n"
    "is copied to another one there; both are removed at the end. In each round everybody copies it once. The source\n"
    "is not in the page cache then, and a copy is over when the target's data, size and name are on the disk.\n"
    "\n"
    "  --block B[,B...]   bytes per request, for uvdio copy and dd (4K,64K,1M,4M; multiples of 4096)\n"
    "  --size BYTES       size of the file (256M; a multiple of each block)\n"
    "  --rounds N         so many rounds (5)\n"
    "  --plot DIR         write a picture (by gnuplot), its data and copy.json into DIR\n"
    "  --json             JSON instead of tables\n"
    "  --seed N           of the bytes (1)\n"
    "  --help             this text\n"
    "\n"
    "  ring, pool         uvdio copy --backend ring, pool\n"
    "  dd                 dd iflag=direct oflag=direct conv=fsync\n"
    "  cp                 cp --reflink=never, and fsync; it has no blocks and is the same work in each table\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 128+N ended by signal N.\n";

static const char* const peer_names[COPY_PEER_COUNT] = {
    [COPY_RING] = "ring", [COPY_POOL] = "pool", [COPY_DD] = "dd", [COPY_CP] = "cp"};

const char* copy_peer_text(copy_peer_t peer) {
  return peer_names[peer];
}

static void add_note(copy_bench_t* bench, const char* format, ...) __attribute__((format(printf, 2, 3)));
static void add_note(copy_bench_t* bench, const char* format, ...) {
  va_list arguments;
  assert(bench->note_count < CLI_COUNT_OF(bench->notes));
  va_start(arguments, format);
  vsnprintf(bench->notes[bench->note_count++], COMPARE_NOTE_SIZE, format, arguments);
  va_end(arguments);
}

/*
 * The files.
 */

static int open_direct(const char* path, int flags) {
#ifdef O_DIRECT
  flags |= O_DIRECT;
#endif
  return open(path, flags | O_CLOEXEC, 0600);
}

static int write_source(const copy_bench_t* bench, int file, char* memory) {
  for (uint64_t offset = 0; offset < bench->size && child_signal() == 0; offset += CHUNK) {
    size_t length = bench->size - offset < CHUNK ? (size_t)(bench->size - offset) : CHUNK;
    pattern_fill(memory, length, bench->seed, offset);
    ssize_t written = pwrite(file, memory, length, (off_t)offset);
    if (written != (ssize_t)length) {
      return written < 0 ? uv_translate_sys_error(errno) : UV_ENOSPC;
    }
  }
  return fsync(file) == 0 ? 0 : uv_translate_sys_error(errno);
}

static int make_source(const copy_bench_t* bench) {
  void* memory = NULL;
  int file = open_direct(bench->source, O_WRONLY | O_CREAT | O_EXCL);
  if (file < 0) {
    return report_error("bench", "create", bench->source, uv_translate_sys_error(errno));
  }
  int error = posix_memalign(&memory, UVDIO_ALIGNMENT, CHUNK) == 0 ? write_source(bench, file, memory) : UV_ENOMEM;
  free(memory);
  (void)close(file);
  return error == 0 ? CLI_OK : report_error("bench", "fill", bench->source, error);
}

/* The index of the first byte of the target that is wrong, or its size; or a negative code. */
static int64_t check_bytes(const copy_bench_t* bench, int file, char* memory) {
  for (uint64_t offset = 0; offset < bench->size; offset += CHUNK) {
    ssize_t got = pread(file, memory, CHUNK, (off_t)offset);
    if (got < 0) {
      return uv_translate_sys_error(errno);
    }
    size_t right = pattern_check(memory, (size_t)got / 8 * 8, bench->seed, offset);
    if (right < CHUNK && offset + right < bench->size) {
      return (int64_t)(offset + right);
    }
  }
  return (int64_t)bench->size;
}

/* Whoever copies fast and wrong shall be told from the others. */
static int target_is_right(const copy_bench_t* bench) {
  void* memory = NULL;
  struct stat status;
  int file = open_direct(bench->target, O_RDONLY);
  int64_t right = -1;
  if (file >= 0 && fstat(file, &status) == 0 && (uint64_t)status.st_size == bench->size &&
      posix_memalign(&memory, UVDIO_ALIGNMENT, CHUNK) == 0) {
    right = check_bytes(bench, file, memory);
  }
  free(memory);
  if (file >= 0) {
    (void)close(file);
  }
  return right == (int64_t)bench->size;
}

static int sync_path(const char* path) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  int error = file < 0 || fsync(file) != 0 ? uv_translate_sys_error(errno) : 0;
  if (file >= 0) {
    (void)close(file);
  }
  return error;
}

/* What is neither cached nor left from the last copy: an earlier target's blocks are given back to the device when
 * the removal is committed, and nobody's time shall have that in it. */
static void forget(const copy_bench_t* bench) {
  (void)unlink(bench->target);
  (void)sync_path(bench->directory);
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

/* Arguments of a peer, with the texts that had to be made. */
typedef struct {
  const char* argv[12];
  char block[32];
  char input[4200];
  char output[4200];
} command_t;

static void set_command(const copy_bench_t* bench, copy_peer_t peer, uint64_t block_size, command_t* command) {
  const char* backend = copy_peer_text(peer);
  const char* const copy[] = {bench->program, "copy", "--no-progress", "--backend", backend, "--block", command->block,
                              bench->source, bench->target, NULL};
  const char* const dd[] = {"dd", command->input, command->output, command->block, "iflag=direct", "oflag=direct",
                            "conv=fsync", NULL};
  const char* const cp[] = {"cp", "--reflink=never", bench->source, bench->target, NULL};
  snprintf(command->block, sizeof command->block, "%s%llu", peer == COPY_DD ? "bs=" : "",
           (unsigned long long)block_size);
  snprintf(command->input, sizeof command->input, "if=%s", bench->source);
  snprintf(command->output, sizeof command->output, "of=%s", bench->target);
  memset(command->argv, 0, sizeof command->argv);
  if (peer == COPY_DD) {
    memcpy(command->argv, dd, sizeof dd);
  } else if (peer == COPY_CP) {
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
static int make_durable(const copy_bench_t* bench, copy_peer_t peer) {
  int error = peer == COPY_CP ? sync_path(bench->target) : 0;
  return error == 0 && (peer == COPY_CP || peer == COPY_DD) ? sync_path(bench->directory) : error;
}

/* Returns 0, or -1 when there is no figure: a note says why. */
static int copy_once(copy_bench_t* bench, copy_peer_t peer, uint64_t block_size, copy_row_t* row) {
  command_t command;
  child_t child;
  set_command(bench, peer, block_size, &command);
  forget(bench);
  double cpu = children_cpu_seconds();
  uint64_t began_ns = uv_hrtime();
  int error = child_run(command.argv, 0, &child);
  error = error == 0 ? make_durable(bench, peer) : error;
  double seconds = (double)(uv_hrtime() - began_ns) / 1e9;
  if (error != 0) {
    add_note(bench, "%s could not be run: %s.", copy_peer_text(peer), uvdio_strerror(error));
    return -1;
  }
  free(child.output);
  if (child.code != 0 || (row->count == 0 && !target_is_right(bench))) {
    add_note(bench, "%s %s (exit code %d).", copy_peer_text(peer),
             child.code != 0 ? "failed" : "did not copy what was there", child.code);
    return -1;
  }
  row->seconds[row->count] = seconds;
  row->cpu_seconds[row->count++] = children_cpu_seconds() - cpu;
  return 0;
}

static void show_status(const copy_bench_t* bench, size_t block, copy_peer_t peer, uint64_t round) {
  char size[16];
  if (isatty(STDERR_FILENO)) {
    fprintf(stderr, "\rblocks of %s, round %llu of %llu: %s\033[K",
            format_size(size, sizeof size, bench->blocks[block]), (unsigned long long)round + 1,
            (unsigned long long)bench->rounds, copy_peer_text(peer));
  }
}

/* A peer that failed takes no further part: its figures would be of other rounds. */
static void run_round(copy_bench_t* bench, size_t block, uint64_t round) {
  for (unsigned i = 0; i < COPY_PEER_COUNT && child_signal() == 0; i++) {
    copy_peer_t peer = (copy_peer_t)((i + round) % COPY_PEER_COUNT);
    if (bench->takes_part[peer]) {
      show_status(bench, block, peer, round);
      bench->takes_part[peer] = copy_once(bench, peer, bench->blocks[block], &bench->rows[block][peer]) == 0;
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

static void find_peers(copy_bench_t* bench) {
  char text[256];
  bench->takes_part[COPY_POOL] = 1;
  bench->takes_part[COPY_RING] = uvdio_backend_probe(UVDIO_BACKEND_RING, text, sizeof text) == 0;
  if (!bench->takes_part[COPY_RING]) {
    add_note(bench, "ring is not available: %s", text);
  }
  bench->takes_part[COPY_DD] = child_version("dd", "--version", text, sizeof text);
  bench->takes_part[COPY_CP] = child_version("cp", "--version", text, sizeof text);
  if (!bench->takes_part[COPY_DD] || !bench->takes_part[COPY_CP]) {
    add_note(bench, "GNU dd or cp is not installed.");
  }
}

static int open_directory(copy_bench_t* bench) {
  bench->directory = path_temporary(bench->path, "copy");
  if (bench->directory == NULL || mkdir(bench->directory, 0700) != 0) {
    int code = report_error("bench", "create a directory in", bench->path, uv_translate_sys_error(errno));
    free(bench->directory);
    bench->directory = NULL;
    return code;
  }
  bench->source = path_join(bench->directory, "source");
  bench->target = path_join(bench->directory, "target");
  return bench->source != NULL && bench->target != NULL ? CLI_OK
                                                         : report_error("bench", "name", "the files", UV_ENOMEM);
}

static void close_directory(copy_bench_t* bench) {
  if (bench->source != NULL) {
    (void)unlink(bench->source);
  }
  if (bench->target != NULL) {
    (void)unlink(bench->target);
  }
  if (bench->directory != NULL && rmdir(bench->directory) != 0) {
    report_error("bench", "remove", bench->directory, uv_translate_sys_error(errno));
  }
  free(bench->source);
  free(bench->target);
  free(bench->directory);
}

static int tell(const copy_bench_t* bench) {
  int code = bench->as_json ? report_json("bench", copy_bench_json(bench)) : copy_bench_print(bench);
  return code == CLI_OK && bench->plot != NULL ? copy_bench_plot(bench) : code;
}

static int run_bench(copy_bench_t* bench) {
  size_t size = sizeof bench->program;
  int error = uv_exepath(bench->program, &size);
  if (error != 0) {
    return report_error("bench", "find", "this program", error);
  }
  child_watch_signals();
  find_peers(bench);
  int code = open_directory(bench);
  code = code == CLI_OK ? make_source(bench) : code;
  if (code == CLI_OK) {
    measure(bench);
  }
  close_directory(bench);
  if (child_signal() != 0) {
    report_problem("bench", "interrupted by signal %d (%s).", child_signal(), strsignal(child_signal()));
    return CLI_SIGNAL + child_signal();
  }
  return code == CLI_OK ? tell(bench) : code;
}

/*
 * Options.
 */

static int add_blocks(copy_bench_t* bench, const char* text) {
  char* copy = strdup(text);
  char* rest = copy;
  int code = copy != NULL ? CLI_OK : report_error("bench", "read", "the options", UV_ENOMEM);
  bench->block_count = 0;
  while (code == CLI_OK && rest != NULL) {
    if (bench->block_count == COPY_BLOCKS_MAX) {
      code = report_usage("bench", "--block takes at most %d sizes", COPY_BLOCKS_MAX);
      break;
    }
    uint64_t* block = &bench->blocks[bench->block_count++];
    code = parse_bytes("bench", "--block", strsep(&rest, ","), UVDIO_ALIGNMENT, BLOCK_MAX, block);
  }
  free(copy);
  return code;
}

/* So that dd, too, can do all of it by direct I/O. */
static int check_size(const copy_bench_t* bench) {
  for (size_t i = 0; i < bench->block_count; i++) {
    if (bench->size % bench->blocks[i] != 0) {
      return report_usage("bench", "--size is no multiple of a --block of %llu", (unsigned long long)bench->blocks[i]);
    }
  }
  return CLI_OK;
}

enum {
  OPTION_COPY = CLI_OPTION_FIRST,
  OPTION_BLOCK,
  OPTION_SIZE,
  OPTION_ROUNDS,
  OPTION_PLOT,
  OPTION_JSON,
  OPTION_SEED
};

static int set_option(copy_bench_t* bench, int option, const char* value) {
  switch (option) {
    case OPTION_BLOCK:
      return add_blocks(bench, value);
    case OPTION_SIZE:
      return parse_bytes("bench", "--size", value, UVDIO_ALIGNMENT, INT64_MAX / 4, &bench->size);
    case OPTION_ROUNDS:
      return parse_count("bench", "--rounds", value, 1, COPY_ROUNDS_MAX, &bench->rounds);
    case OPTION_SEED:
      return parse_count("bench", "--seed", value, 0, INT64_MAX, &bench->seed);
    case OPTION_JSON:
      bench->as_json = 1;
      break;
    case OPTION_PLOT:
      bench->plot = value;
      break;
  }
  return CLI_OK;
}

static int parse_options(copy_bench_t* bench, int argc, char** argv) {
  static const struct option options[] = {
      {"copy", no_argument, NULL, OPTION_COPY},        {"block", required_argument, NULL, OPTION_BLOCK},
      {"size", required_argument, NULL, OPTION_SIZE},  {"rounds", required_argument, NULL, OPTION_ROUNDS},
      {"plot", required_argument, NULL, OPTION_PLOT},  {"json", no_argument, NULL, OPTION_JSON},
      {"seed", required_argument, NULL, OPTION_SEED},  {NULL, 0, NULL, 0},
  };
  int answer;
  int code = CLI_OK;
  opterr = 0;
  while (code == CLI_OK && (answer = getopt_long(argc, argv, ":", options, NULL)) != -1) {
    code = answer == '?' || answer == ':' ? report_option("bench", argv, answer) : set_option(bench, answer, optarg);
  }
  if (code == CLI_OK && argc - optind > 1) {
    code = report_usage("bench", "it takes one DIRECTORY at most");
  }
  return code == CLI_OK ? check_size(bench) : code;
}

static int check_directory(const char* path) {
  struct stat status;
  if (stat(path, &status) != 0) {
    return report_error("bench", "use", path, uv_translate_sys_error(errno));
  }
  return S_ISDIR(status.st_mode) ? CLI_OK
                                 : report_usage("bench", "--copy takes a directory, which '%s' is not", path);
}

int copy_bench_main(int argc, char** argv) {
  static copy_bench_t bench; /* too large for some stacks */
  static const uint64_t blocks[] = {4096, 65536, 1024 * 1024, 4 * 1024 * 1024};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      fputs(usage, stdout);
      return CLI_OK;
    }
  }
  bench.size = SIZE_DEFAULT;
  bench.rounds = ROUNDS_DEFAULT;
  bench.seed = 1;
  memcpy(bench.blocks, blocks, sizeof blocks);
  bench.block_count = CLI_COUNT_OF(blocks);
  int code = parse_options(&bench, argc, argv);
  bench.path = optind < argc ? argv[optind] : ".";
  code = code == CLI_OK ? check_directory(bench.path) : code;
  return code == CLI_OK ? run_bench(&bench) : code;
}
