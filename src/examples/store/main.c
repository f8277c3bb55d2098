/* SPDX-License-Identifier: MIT */
/*
 * Loads a store and checks it: units are moved between random cells, so that the sum of all cells
 * stays 0, and cell 0 counts the moves. Kill it, or pull the plug, and check what is left.
 *
 *   uvdio-store [OPTION]... load DIRECTORY    moves units, and tells how many moves are durable
 *   uvdio-store [OPTION]... check DIRECTORY   reads all cells
 *
 *     -n N   load: so many moves (10000); check: at least so many have to be there (0)
 *     -c N   load: so many at a time (64)
 *     -p N   pages of the table (1024)
 *     -f N   frames in memory (256)
 *     -k N   KiB of log after which there is a checkpoint (16384)
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store.h"

#define CLIENTS_MAX 1024u
#define MOVES 10000u
#define TOLD_EACH 200u

static struct {
  const char* command;
  const char* path;
  uint64_t moves;
  unsigned clients;
  struct store_options options;
} arguments = {.clients = 64, .options = {.pages = 1024}};

static struct {
  struct store* store;
  struct store_op ops[CLIENTS_MAX];
  unsigned active; /* clients */
  uint64_t begun, done;
  uint64_t cell; /* that is read next */
  int64_t sum, count;
  uint64_t random;
  int error;
  int is_wrong;
} run = {.random = 1};

static void fail(int error) {
  run.error = run.error != 0 ? run.error : error;
}

static uint64_t random_below(uint64_t limit) {
  run.random = run.random * 6364136223846793005u + 1442695040888963407u;
  return (run.random >> 33) % limit;
}

static uint64_t cell_count(void) {
  return (uint64_t)arguments.options.pages * STORE_PAGE_CELLS;
}

static void on_closed(struct store* store, int status, void* arg) {
  (void)store;
  (void)arg;
  fail(status);
}

static void close_store(void) {
  struct store_stats stats;
  store_stats(run.store, &stats);
  printf("%" PRIu64 " durable adds by %" PRIu64 " flushes of the log, %" PRIu64
         " images of pages, %" PRIu64 " checkpoints; %" PRIu64 " pages read, %" PRIu64
         " written by %" PRIu64 " writes\n",
         stats.adds, stats.flushes, stats.images, stats.checkpoints, stats.reads,
         stats.pages_written, stats.writes);
  fail(store_close(run.store, on_closed, NULL));
}

/*
 * load
 */

static void on_moved(struct store_op* op, int status);

static int begin_move(struct store_op* op) {
  int64_t units = (int64_t)random_below(1000);
  struct store_change changes[] = {
      {0, 1},
      {1 + random_below(cell_count() - 1), -units},
      {1 + random_below(cell_count() - 1), units},
  };
  run.begun++;
  return store_add(run.store, op, changes, 3, on_moved);
}

/* A client moves one after the other; the last one closes the store. */
static void go_on(struct store_op* op) {
  if (run.error == 0 && run.begun < arguments.moves) {
    fail(begin_move(op));
    if (run.error == 0) {
      return;
    }
  }
  if (--run.active == 0) {
    close_store();
  }
}

static void on_moved(struct store_op* op, int status) {
  fail(status);
  if (status == 0 && ++run.done % TOLD_EACH == 0) {
    printf("durable: %" PRIu64 "\n", run.done);
    fflush(stdout);
  }
  go_on(op);
}

static void load(void) {
  run.active = arguments.clients;
  for (unsigned i = 0; i < arguments.clients; i++) {
    go_on(&run.ops[i]);
  }
}

/*
 * check
 */

static void take_cell(int64_t value) {
  if (run.cell == 0) {
    run.count = value;
  } else {
    run.sum += value;
  }
  run.cell++;
}

static void check(void);

static void on_cell(struct store_op* op, int status) {
  fail(status);
  take_cell(op->value);
  check();
}

static void check(void) {
  int code = 1;
  while (run.error == 0 && run.cell < cell_count()) {
    code = store_get(run.store, &run.ops[0], run.cell, on_cell);
    if (code == 0) {
      return;
    }
    fail(code < 0 ? code : 0);
    take_cell(run.ops[0].value);
  }
  if (run.error == 0) {
    run.is_wrong = run.sum != 0 || run.count < (int64_t)arguments.moves;
    printf("%" PRId64 " moves, a sum of %" PRId64 ": %s\n", run.count, run.sum,
           run.is_wrong ? "WRONG" : "right");
  }
  close_store();
}

/*
 * Both
 */

static void on_open(struct store* store, int status, void* arg) {
  struct store_stats stats;
  (void)arg;
  fail(status);
  store_stats(store, &stats);
  printf("recovered from %" PRIu64 " records\n", stats.replayed);
  if (status != 0) {
    close_store();
  } else if (strcmp(arguments.command, "load") == 0) {
    load();
  } else {
    check();
  }
}

static unsigned number_of(const char* text) {
  char* end;
  unsigned long number = strtoul(text, &end, 10);
  if (*text == '\0' || *end != '\0' || number > UINT32_MAX) {
    fail(UV_EINVAL);
    return 0;
  }
  return (unsigned)number;
}

static int read_arguments(int argc, char** argv) {
  int option;
  int has_moves = 0;
  while ((option = getopt(argc, argv, "n:c:p:f:k:")) != -1) {
    unsigned number = option == '?' ? 0 : number_of(optarg);
    has_moves |= option == 'n';
    switch (option) {
      case 'n':
        arguments.moves = number;
        break;
      case 'c':
        arguments.clients = number;
        break;
      case 'p':
        arguments.options.pages = number;
        break;
      case 'f':
        arguments.options.frames = number;
        break;
      case 'k':
        arguments.options.checkpoint_size = (uint64_t)number * 1024;
        break;
      default:
        return 0;
    }
  }
  if (run.error != 0 || argc - optind != 2 || arguments.options.pages == 0 ||
      arguments.clients == 0 || arguments.clients > CLIENTS_MAX) {
    return 0;
  }
  arguments.command = argv[optind];
  arguments.path = argv[optind + 1];
  if (strcmp(arguments.command, "load") == 0) {
    arguments.moves = has_moves ? arguments.moves : MOVES;
    return 1;
  }
  return strcmp(arguments.command, "check") == 0;
}

int main(int argc, char** argv) {
  uvdio_engine_t* engine;
  if (!read_arguments(argc, argv)) {
    fprintf(stderr,
            "usage: uvdio-store [-n N] [-c CLIENTS] [-p PAGES] [-f FRAMES] [-k KIB]\n"
            "                   load|check DIRECTORY\n");
    return 2;
  }
  int error = uvdio_engine_create(&engine, uv_default_loop(), NULL);
  if (error == 0) {
    error = store_open(&run.store, engine, arguments.path, &arguments.options, on_open, NULL);
    fail(error);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    (void)uvdio_engine_close(engine, NULL);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  }
  fail(error);
  if (run.error != 0) {
    fprintf(stderr, "uvdio-store: %s: %s\n", arguments.path, uvdio_strerror(run.error));
  }
  return run.error != 0 || run.is_wrong;
}
