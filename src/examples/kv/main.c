/* SPDX-License-Identifier: MIT */
/*
 * uvdio-kv: a durable key-value server. Its clients speak RESP2, as those of Redis do, and SET and
 * DEL are answered when they are durable.
 *
 * What it shows: one loop for sockets and disk; a log of many clients (uvdio/log.h) that is cut by
 * checkpoints; streams that write and read a large file beside it (uvdio/stream.h); values that are
 * read by range and sent from where they were read.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

static const char usage[] =
    "usage: uvdio-kv [OPTIONS] DIRECTORY\n"
    "\n"
    "Serves keys and values by the protocol of Redis (RESP2): GET, SET, DEL, EXISTS,\n"
    "PING, INFO, CONFIG GET, COMMAND, QUIT, SHUTDOWN. A SET or DEL is answered when\n"
    "it is durable. What DIRECTORY has is recovered; it is made where it is missing.\n"
    "Keys are in memory, values in files. A key has 64 KiB at most.\n"
    "\n"
    "  --bind ADDRESS     where to listen (127.0.0.1)\n"
    "  --port N           0: any, which the first line tells (6379)\n"
    "  --clients N        at a time, at most (10000)\n"
    "  --value-max BYTES  of a value, with K or M, at most 512M (8M)\n"
    "  --memory BYTES     of values that are not in the data file yet (64M)\n"
    "  --log BYTES        of the log, which is cut when it has more (256M)\n"
    "  --segment BYTES    of a file of the log, a multiple of 4K (64M)\n"
    "  --compact BYTES    of the data file: one that is larger, and half of it old, is\n"
    "                     written anew (64M)\n"
    "  --backend B        auto, ring, aio or pool (auto)\n"
    "  --help             this text\n"
    "\n"
    "SIGTERM, SIGINT and SHUTDOWN end it when all that was taken is durable and\n"
    "answered. There is no password: whoever can connect can do everything.\n"
    "\n"
    "Exit codes: 0 ended, 1 failed, 2 wrong usage.\n";

typedef struct program_s {
  kv_options_t options;
  uvdio_engine_options_t engine_options;
  const char* address;
  uint64_t port;
  uint64_t clients_max;
  uvdio_engine_t* engine;
  kv_store_t store;
  kv_server_t server;
  uv_signal_t signals[2];
  int is_serving;
} program_t;

/* Ends the program: what was acknowledged is in the log. */
static void die(const char* what, int error) {
  fprintf(stderr, "uvdio-kv: cannot %s: %s (%s)\n", what, uvdio_strerror(error),
          uvdio_err_name(error));
  exit(1);
}

/*
 * The end
 */

static void on_engine_closed(uvdio_engine_t* engine) {
  program_t* program = uvdio_engine_data(engine);

  kv_store_free(&program->store);
}

static void on_server_closed(kv_server_t* server) {
  program_t* program = server->data;

  (void)uvdio_engine_close(program->engine, on_engine_closed);
}

static void on_store_closed(kv_store_t* store) {
  program_t* program = store->data;

  if (store->error != 0) {
    die("close the store", store->error);
  }
  kv_server_close(&program->server);
}

static void on_server_stopped(kv_server_t* server) {
  program_t* program = server->data;

  for (size_t i = 0; i < 2; i++) {
    uv_close((uv_handle_t*)&program->signals[i], NULL);
  }
  kv_store_close(&program->store);
}

static void on_signal(uv_signal_t* signal, int number) {
  program_t* program = signal->data;

  (void)number;
  if (!program->is_serving) {
    exit(1); /* nothing was taken */
  }
  kv_server_stop(&program->server);
}

/*
 * The begin
 */

static void on_store_changed(kv_store_t* store) {
  program_t* program = store->data;

  if (store->error != 0) {
    die(store->is_open ? "go on" : "open the store", store->error);
  }
  kv_server_wake(&program->server);
}

static void on_store_open(kv_store_t* store) {
  program_t* program = store->data;
  int error = kv_server_listen(&program->server, program->address, (int)program->port,
                               (unsigned)program->clients_max);

  if (error != 0) {
    die("listen", error);
  }
  program->is_serving = 1;
  printf("uvdio-kv: ready on port %d, %" PRIu64 " keys, backend %s\n", program->server.counts.port,
         store->keys, uvdio_engine_backend(program->engine));
  (void)fflush(stdout);
}

static void make_directory(uvdio_engine_t* engine, const char* path) {
  uvdio_req_t req = {0};
  int error = uvdio_mkdir(engine, &req, path, 0755, NULL);

  if (error != 0 && error != UV_EEXIST) {
    die("make the directory", error);
  }
}

static void start(program_t* program) {
  char path[KV_PATH_MAX];
  int error = uvdio_engine_create(&program->engine, uv_default_loop(), &program->engine_options);

  if (error != 0) {
    die("create an engine", error);
  }
  uvdio_engine_set_data(program->engine, program);
  make_directory(program->engine, program->options.directory);
  if (snprintf(path, sizeof(path), "%s/log", program->options.directory) >= (int)sizeof(path)) {
    die("make the directory", UV_ENAMETOOLONG);
  }
  make_directory(program->engine, path);
  program->store.data = program;
  program->store.opened_cb = on_store_open;
  program->store.changed_cb = on_store_changed;
  program->store.closed_cb = on_store_closed;
  program->server.data = program;
  program->server.stopped_cb = on_server_stopped;
  program->server.closed_cb = on_server_closed;
  error = kv_store_open(&program->store, program->engine, &program->options);
  if (error == 0) {
    error = kv_server_init(&program->server, &program->store);
  }
  if (error != 0) {
    die("open the store", error);
  }
}

static void watch_signals(program_t* program) {
  static const int numbers[2] = {SIGTERM, SIGINT};

  (void)signal(SIGPIPE, SIG_IGN);
  (void)signal(SIGXFSZ, SIG_IGN);
  for (size_t i = 0; i < 2; i++) {
    (void)uv_signal_init(uv_default_loop(), &program->signals[i]);
    program->signals[i].data = program;
    (void)uv_signal_start(&program->signals[i], on_signal, numbers[i]);
  }
}

/*
 * Options
 */

static void end_with_usage(const char* option, const char* text) {
  fprintf(stderr, "uvdio-kv: %s %s is out of range or no number\nTry 'uvdio-kv --help'.\n", option,
          text);
  exit(2);
}

static uint64_t number_of(const char* option, const char* text, uint64_t least, uint64_t most) {
  char* end;
  uint64_t number;
  unsigned shift = 0;

  errno = 0;
  number = strtoull(text, &end, 10);
  if (*end == 'K' || *end == 'M' || *end == 'G') {
    shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
    end++;
  }
  if (text[0] < '0' || text[0] > '9' || errno != 0 || *end != '\0' || number > most >> shift ||
      number << shift < least) {
    end_with_usage(option, text);
  }
  return number << shift;
}

static uvdio_backend_t backend_of(const char* text) {
  static const struct {
    const char* name;
    uvdio_backend_t backend;
  } backends[] = {{"auto", UVDIO_BACKEND_AUTO},
                  {"ring", UVDIO_BACKEND_RING},
                  {"aio", UVDIO_BACKEND_AIO},
                  {"pool", UVDIO_BACKEND_POOL}};

  for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
    if (strcmp(text, backends[i].name) == 0) {
      return backends[i].backend;
    }
  }
  fprintf(stderr, "uvdio-kv: there is no backend '%s'\n", text);
  exit(2);
}

#define MIB ((uint64_t)1024 * 1024)

static void take_option(program_t* program, int option) {
  kv_options_t* options = &program->options;

  switch (option) {
    case 'b':
      program->address = optarg;
      break;
    case 'p':
      program->port = number_of("--port", optarg, 0, 65535);
      break;
    case 'c':
      program->clients_max = number_of("--clients", optarg, 1, 1000000);
      break;
    case 'v':
      options->value_max = (size_t)number_of("--value-max", optarg, 1, 512 * MIB);
      break;
    case 'm':
      options->memory_max = number_of("--memory", optarg, MIB, UINT64_MAX);
      break;
    case 'l':
      options->log_max = number_of("--log", optarg, MIB, UINT64_MAX);
      break;
    case 's':
      options->segment_size = number_of("--segment", optarg, 65536, 1024 * MIB);
      break;
    case 'k':
      options->compact_min = number_of("--compact", optarg, 0, UINT64_MAX);
      break;
    case 'e':
      program->engine_options.backend = backend_of(optarg);
      break;
    case 'h':
      fputs(usage, stdout);
      exit(0);
    default:
      fputs("Try 'uvdio-kv --help'.\n", stderr);
      exit(2);
  }
}

static void take_options(program_t* program, int argc, char** argv) {
  static const struct option known[] = {{"bind", required_argument, NULL, 'b'},
                                        {"port", required_argument, NULL, 'p'},
                                        {"clients", required_argument, NULL, 'c'},
                                        {"value-max", required_argument, NULL, 'v'},
                                        {"memory", required_argument, NULL, 'm'},
                                        {"log", required_argument, NULL, 'l'},
                                        {"segment", required_argument, NULL, 's'},
                                        {"compact", required_argument, NULL, 'k'},
                                        {"backend", required_argument, NULL, 'e'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};
  int option;

  program->address = "127.0.0.1";
  program->port = 6379;
  program->clients_max = 10000;
  program->options.value_max = 8 * MIB;
  program->options.memory_max = 64 * MIB;
  program->options.log_max = 256 * MIB;
  program->options.segment_size = 64 * MIB;
  program->options.compact_min = 64 * MIB;
  while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
    take_option(program, option);
  }
  if (optind != argc - 1) {
    fputs(usage, stderr);
    exit(2);
  }
  program->options.directory = argv[optind];
}

int main(int argc, char** argv) {
  static program_t program;

  take_options(&program, argc, argv);
  watch_signals(&program);
  start(&program);
  (void)uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  (void)uv_loop_close(uv_default_loop());
  return 0;
}
