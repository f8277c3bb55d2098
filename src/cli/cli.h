/*
 * What the files of the `uvdio` command share.
 *
 *   main.c      takes the first argument and calls a subcommand
 *   probe.c     uvdio probe: what this machine and this path offer
 *   copy.c      uvdio copy: one file to another; transfer.c moves the blocks, extents.c knows holes,
 *               target.c makes, claims and removes the target, progress.c shows how far
 *   bench.c     uvdio bench: plans and prints; bench_run.c runs a phase, meter.c measures it
 *   compare*.c  uvdio bench --compare (compare.h tells which is which); peer*.c runs one peer (peer.h)
 *   bench_copy*.c  uvdio bench --copy (bench_copy.h)
 *   bench_scaling.c  uvdio bench --scaling
 *   server*.c   uvdio bench --server (server.h); serve*.c and clients.c run one server (serve.h)
 *   session.c   a loop with an engine on it, and what happens at Ctrl-C
 *   options.c   values of options
 *   report.c    everything that people read: errors, numbers, tables, JSON
 *
 * The command uses the public interface of the library only. It is for systems with POSIX calls.
 */
#ifndef UVDIO_CLI_H
#define UVDIO_CLI_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <uv.h>

#include "uvdio.h"

/* Exit codes. After a signal: CLI_SIGNAL plus its number, as shells count. */
enum {
  CLI_OK = 0,
  CLI_FAILED = 1,
  CLI_USAGE = 2,
  CLI_SIGNAL = 128
};

#define CLI_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* How often in a row a call that was interrupted, or put off, is repeated. */
#define CLI_ATTEMPTS_MAX 1000

/* Values that getopt_long returns for long options without a letter. */
enum {
  CLI_OPTION_FIRST = 256
};

/* The subcommands. argv[0] is the subcommand's name; returns the exit code. */
int probe_main(int argc, char** argv);
int copy_main(int argc, char** argv);
int bench_main(int argc, char** argv);
int peer_main(int argc, char** argv);
int scaling_main(int argc, char** argv); /* bench --scaling */
int scaling_run_main(int argc, char** argv);

/*
 * Options. Each parser stores the value and returns 0, or says on stderr what is wrong with `text` and
 * returns CLI_USAGE. `option` is the option's name with its dashes.
 */

/* A whole number from `min` to `max`. */
int parse_count(const char* command, const char* option, const char* text, uint64_t min, uint64_t max,
                uint64_t* value);

/* A number of bytes with an optional K, M or G (of 1024), from `min` to `max`, a multiple of `unit`. */
int parse_multiple(const char* command, const char* option, const char* text, uint64_t unit, uint64_t min,
                   uint64_t max, uint64_t* bytes);

/* The same with UVDIO_ALIGNMENT as the unit. */
int parse_bytes(const char* command, const char* option, const char* text, uint64_t min, uint64_t max,
                uint64_t* bytes);

/* A whole number from 1 to `max`. */
int parse_unsigned(const char* command, const char* option, const char* text, unsigned max, unsigned* number);

/* Calls `add` with each part of a list with commas, until one returns something else than CLI_OK. */
int parse_list(const char* command, const char* text, int (*add)(void* context, const char* part), void* context);

/* Seconds, with decimals, above 0 and at most a day, as nanoseconds. */
int parse_seconds(const char* command, const char* option, const char* text, uint64_t* duration_ns);

/* "auto", "ring", "pool" or "memory". */
int parse_backend(const char* command, const char* option, const char* text, uvdio_backend_t* backend);

/* The name of a backend as the options take it. */
const char* backend_text(uvdio_backend_t backend);

/*
 * Paths. The results are the caller's to free; null when out of memory.
 */

/* directory/name */
char* path_join(const char* directory, const char* name);

/* A name in `directory` that nobody else has: hidden, with `kind`, the process and the time in it. */
char* path_temporary(const char* directory, const char* kind);

/*
 * Reports. Errors go to stderr as "uvdio COMMAND: ..." and return the exit code that fits. What
 * stderr does not take, a file on a full disk for instance, is kept and tried again with the next
 * report and at the end.
 */

/* Whether something is kept. Tries to get rid of it first. */
int report_is_pending(void);

/* "cannot OPERATION PATH: what happened (NAME). What to do." Returns CLI_FAILED. `path` may be null. */
int report_error(const char* command, const char* operation, const char* path, int error);

/* A sentence of one's own. Returns CLI_FAILED. */
int report_problem(const char* command, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* A sentence about the command line, and where to find help. Returns CLI_USAGE. */
int report_usage(const char* command, const char* format, ...) __attribute__((format(printf, 2, 3)));

/* What getopt_long meant by '?' or ':' (opterr is off). Returns CLI_USAGE. */
int report_option(const char* command, char** argv, int answer);

/* Why the engine did not start. Returns CLI_FAILED. */
int report_engine(const char* command, uvdio_backend_t backend, int error);

/* Prints the value to stdout with a newline and gives it up. Returns the exit code. */
int report_json(const char* command, json_t* value);

/* A real number of JSON, rounded to thousandths. */
json_t* json_thousandths(double value);

/* Numbers for people, cut to `size`: "64 MiB", "119 k", "488 MB/s", "12.3 µs". Each returns `text`. */
char* format_size(char* text, size_t size, uint64_t bytes);
char* format_count(char* text, size_t size, double count);
char* format_rate(char* text, size_t size, double bytes_per_s);
char* format_time(char* text, size_t size, double microseconds);

/* Sentences that belong below the tables. Each is there once; those that find no room are dropped. */
#define NOTES_MAX 32
#define NOTE_SIZE 400
typedef struct notes_s {
  char texts[NOTES_MAX][NOTE_SIZE];
  size_t count;
} notes_t;

void notes_add(notes_t* notes, const char* format, ...) __attribute__((format(printf, 2, 3)));
void notes_print(const notes_t* notes);
json_t* notes_json(const notes_t* notes);

/* A table in memory: text columns on the left, numbers right-aligned. Zero it first. */
#define TABLE_COLUMNS_MAX 14
#define TABLE_CELL_SIZE 32
typedef struct table_s {
  size_t columns;
  size_t text_columns; /* the first ones: aligned left */
  size_t row_count;
  char (*rows)[TABLE_COLUMNS_MAX][TABLE_CELL_SIZE];
} table_t;

/* Appends a row of empty cells and returns its cells, or null when out of memory. */
char (*table_add(table_t* table))[TABLE_CELL_SIZE];

/* Makes the first row and the columns. Returns 0, or -1 when out of memory. */
int table_add_headings(table_t* table, const char* const* headings, size_t count, size_t text_columns);

void table_print(const table_t* table, FILE* out);
void table_free(table_t* table);

/*
 * Sessions: a loop of its own and an engine on it.
 */
typedef struct session_s {
  uv_loop_t loop;
  uvdio_engine_t* engine;
  int signal; /* 0, or the number of the first one that came */
  /* private */
  uvdio_req_t* awaited;
  void (*interrupt)(void* context);
  void* context;
  uv_signal_t watchers[3];
} session_t;

/* Starts the loop and the engine. Returns 0 or a code of uvdio_engine_create. */
int session_open(session_t* session, const uvdio_engine_options_t* options);

/* Whether the program was started with the signal ignored, as by nohup, or by a shell that put it into the background.
 * Then it has to stay so. */
int signal_is_ignored(int number);

/* From now on SIGINT, SIGTERM and SIGHUP, those that are not ignored, are noted in session->signal, the awaited request is
 * cancelled and `interrupt` called on the loop. The same signal once more kills, for whoever can't wait. */
int session_watch(session_t* session, void (*interrupt)(void* context), void* context);

/* Runs the loop until everything pending is done. */
void session_run(session_t* session);

/* Waits for one operation without a buffer: `accepted` is what the submitting call returned, its callback
 * was session_done. Returns the result. */
int64_t session_await(session_t* session, uvdio_req_t* req, int accepted);
void session_done(uvdio_req_t* req, int64_t result);

/* Closes engine and loop. Returns 0, or UV_EBUSY when a handle was left on the loop. */
int session_close(session_t* session);

/*
 * Progress: one line on stderr that is rewritten ten times a second.
 */
typedef struct progress_s {
  uv_timer_t timer;
  const char* verb;     /* "copying" */
  const uint64_t* done; /* bytes; null: no bar, the verb alone */
  const uint64_t* moved; /* those of them that are worth a rate */
  uint64_t total;
  uint64_t started_ns;
  int enabled;
} progress_t;

int progress_open(progress_t* progress, uv_loop_t* loop, int enabled);
void progress_start(progress_t* progress, const char* verb, const uint64_t* done,
                    const uint64_t* moved, uint64_t total);
void progress_stop(progress_t* progress);
void progress_close(progress_t* progress);

#endif /* UVDIO_CLI_H */
