/*
 * uvdio bench --compare: peers side by side on the same files.
 *
 *   compare.c         options, the rounds
 *   compare_run.c     one figure of one peer, by uvdio bench-peer
 *   compare_witness.c the same by fio and qemu-img
 *   compare_count.c   system calls and instructions per operation, by perf, strace and valgrind
 *   compare_report.c  medians, ratios, tables, JSON
 *   compare_plot.c    pictures
 *   spread.c          medians of rounds (spread.h)
 *   place.c           the files, and the loop device under them
 *   plot.c            gnuplot
 *   child.c           processes
 *
 * A cell is one kind of work with one block size at one depth. In each round every peer is measured once per cell, one
 * right after the other and each time beginning with another one, so that what else happens on the machine hits all
 * alike. Ratios are taken within a round, and only then is their median.
 */
#ifndef UVDIO_CLI_COMPARE_H
#define UVDIO_CLI_COMPARE_H

#include "peer.h"
#include "spread.h"

#define COMPARE_DEPTHS_MAX 16
#define COMPARE_BLOCKS_MAX 16
#define COMPARE_ROUNDS_MAX SPREAD_ROUNDS_MAX
#define COMPARE_CELLS_MAX (WORK_KIND_COUNT * COMPARE_BLOCKS_MAX * COMPARE_DEPTHS_MAX)
#define COMPARE_PEERS_MAX 14

/*
 * Processes. One at a time; a signal that ends this process ends the child first.
 */
typedef struct child_s {
  char* output; /* what it wrote to standard output, with a closing zero; the caller's to free */
  int code;     /* its exit code, or CLI_SIGNAL + the signal */
} child_t;

/* SIGINT, SIGTERM and SIGHUP are noted from now on, and passed on to the child that runs. */
void child_watch_signals(void);

/* The first one that came, or 0. */
int child_signal(void);

/* The exit code: where a signal came, says so and returns CLI_SIGNAL + its number; else `code`. */
int child_exit_code(int code);

/* Runs the program argv[0], looked for in PATH, with its errors shown or not. Returns 0, or a code when it
 * could not be started (UV_ENOENT) and there is nothing to free. */
int child_run(const char* const* argv, int with_errors, child_t* child);

/* Whether the program can be started and answers when asked for its version. `version` receives the first line of
 * the answer. */
int child_version(const char* program, const char* option, char* version, size_t size);

/*
 * Peers, as this side sees them.
 */
typedef enum {
  CONTENDER_CHILD, /* uvdio bench-peer */
  CONTENDER_FIO,
  CONTENDER_QEMU
} contender_kind_t;

typedef struct contender_s {
  const char* name; /* of --peer, and of bench-peer's */
  contender_kind_t kind;
  const char* detail;  /* UV_THREADPOOL_SIZE; fio's ioengine */
  int by_default;
  const char* text;
} contender_t;

extern const contender_t contenders[];
extern const size_t contender_count;

/* One figure of one peer: one cell in one round. What was not measured is NAN. */
typedef struct sample_s {
  double iops;
  double p50_us;
  double p99_us;
  double p999_us;
  double cpu_us_per_op;
  double rss_kib;
} sample_t;

typedef struct cell_s {
  work_kind_t kind;
  size_t block_size; /* bytes */
  unsigned depth;
} cell_t;

/* One peer in one cell. */
typedef struct row_s {
  sample_t* samples; /* one for each round */
  size_t sample_count;
  double system_calls_per_op; /* NAN: not counted */
  double instructions_per_op;
  char executed_by[16]; /* the backend that a uvdio engine really had; "" otherwise */
  json_t* first_engine; /* counters of the last run; or null */
} row_t;

/*
 * Where the files are.
 */
typedef struct place_s {
  /* wishes */
  const char* path; /* a directory */
  int wants_loop_device;
  work_params_t* params; /* how many files of which size, for how many loops; receives the directory */
  const char* use;       /* a word of the directory's name */
  const size_t* blocks;  /* bytes per operation, which the filesystem has to take */
  size_t block_count;
  /* outcome */
  char* directory; /* of ours, with the files in it; null: not made yet */
  unsigned files;
  int on_loop_device;
  char* mounted; /* the directory on which the loop device is mounted */
  char* image;
  char filesystem[32];
} place_t;

/* Whether the files can be made in the directory `path`. Returns the exit code. */
int place_check(const char* path);

/* Makes and fills the files. Returns the exit code. Closing takes all back, from whatever state. */
int place_open(place_t* place);
void place_close(place_t* place);

/*
 * Pictures. The files are in a directory, and these say on stderr what went wrong.
 */

/* Makes the directory, and results.json in it, for which `results` is given up. Returns the exit code. */
int plot_open(const char* directory, json_t* results, int* with_gnuplot);

/* A file to write to, or null. Closing returns the exit code. */
FILE* plot_create(const char* directory, const char* name, const char* extension);
int plot_close(const char* directory, FILE* file);

/* Terminal, grid and border of charts with curves. */
extern const char plot_style[];

/* An x axis of bytes, with a label for each of the sizes. */
void plot_size_axis(FILE* file, const size_t* sizes, size_t count);

/* Runs NAME.gnuplot. Returns the exit code. */
int plot_draw(const char* directory, const char* name);

typedef struct compare_s {
  /* options */
  const char* path;
  int as_json;
  int on_loop_device;
  int small_pages;
  int with_instructions;
  int with_calls;
  const char* plot; /* directory; or null */
  uint64_t total_size;
  uint64_t rounds;
  const contender_t* peers[COMPARE_PEERS_MAX];
  size_t peer_count;
  unsigned depths[COMPARE_DEPTHS_MAX];
  size_t depth_count;
  size_t blocks[COMPARE_BLOCKS_MAX]; /* bytes */
  size_t block_count;
  int kinds[WORK_KIND_COUNT];
  work_params_t params; /* what all cells have in common; block_size is the largest one */
  /* outcome */
  char program[4096]; /* this one */
  place_t place;
  cell_t cells[COMPARE_CELLS_MAX];
  size_t cell_count;
  row_t* rows; /* cell_count times peer_count */
  char call_counter[64]; /* the program that counts system calls; "" for none */
  notes_t notes;
} compare_t;

row_t* compare_row(const compare_t* compare, size_t cell, size_t peer);

/* What the peers of a cell have to do. */
work_params_t compare_params(const compare_t* compare, size_t cell);

/* The index of a peer by its name, or -1 where it takes no part. */
int compare_find(const compare_t* compare, const char* name);

/* Runs one peer once in a cell and stores what it measured. Returns 0, or -1 and a note why there is no figure. */
int compare_sample(compare_t* compare, size_t cell, size_t peer, sample_t* sample);

/* The same by fio and by qemu-img. */
int sample_fio(compare_t* compare, size_t cell, size_t peer, sample_t* sample);
int sample_qemu(compare_t* compare, size_t cell, size_t peer, sample_t* sample);

/* A number anywhere below `json`, or NAN. `path` has slashes between the keys. */
double compare_number(const json_t* json, const char* path);

/* The command line that has this program run a peer: argv[0] to argv[2], and null. `operations` is 0 for a run by
 * time. The text of argv[2] is the caller's to free. */
int compare_child_argv(const compare_t* compare, size_t cell, size_t peer, uint64_t operations,
                       const char* argv[4], char** text);

/* Environment that the peer's process shall have. */
void compare_child_environment(const contender_t* peer);

/* Instructions in user space that a command takes, by valgrind; NAN where there is none, or the command failed. */
double count_instructions(const char* const* command);

/* Counts what can be counted for all rows. */
void compare_count(compare_t* compare);

/* Of one member over a row's rounds. */
spread_t row_spread(const row_t* row, size_t member);

/* Of the quotients within the rounds. */
spread_t row_ratio(const row_t* row, const row_t* base, size_t member);

#define SAMPLE_MEMBER(name) offsetof(sample_t, name)

int compare_print(const compare_t* compare);
json_t* compare_json(const compare_t* compare);

/* Writes results.json, data, gnuplot's script and pictures into compare->plot. Returns the exit code. */
int compare_plot(compare_t* compare);

int compare_main(int argc, char** argv);

#endif /* UVDIO_CLI_COMPARE_H */
