/* SPDX-License-Identifier: MIT */
/*
 * uvdio-httpd: serves the files of a folder over HTTP/1.1, past the page cache. For files that are
 * too many or too large to be cached, beside something that needs the memory: one thread, one loop,
 * and no more memory than the options say.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

static const char usage[] =
    "usage: uvdio-httpd [OPTION]... [DIRECTORY]\n"
    "Serves the files of DIRECTORY (.) over HTTP/1.1: GET and HEAD, by direct I/O.\n"
    "\n"
    "  --host ADDRESS       to listen at (127.0.0.1); IPv4 or IPv6\n"
    "  --port NUMBER        (8080); 0: one that is free, which the first line tells\n"
    "  --connections N      at most (1024); more get 503\n"
    "  --frames N           of memory, which connections share (256)\n"
    "  --frame-size KIB     of a frame (128)\n"
    "  --window N           frames that a connection reads ahead, at most (4)\n"
    "  --files N            that stay open (4096)\n"
    "  --fresh MS           for which an open file is not looked up anew (1000)\n"
    "  --idle MS            to the next request (15000)\n"
    "  --head MS            from a request's first byte to its last (10000)\n"
    "  --send MS            in which the client takes nothing of an answer (30000)\n"
    "  --stop MS            for answers that are on their way when the server stops (10000)\n"
    "  --follow-symlinks    also out of DIRECTORY; without it links are refused\n"
    "  --backend NAME       auto, ring, aio or pool\n"
    "  --help\n"
    "\n"
    "SIGTERM and SIGINT stop it when the answers that are on their way are sent, a second one at\n"
    "once. SIGUSR1 makes it print its counters to stderr.\n";

/* Of the long options; those with numbers say where they go, and what is allowed. */
typedef struct number_s {
  const char* name;
  uint64_t min;
  uint64_t max;
  uint64_t value;
} number_t;

enum {
  PORT,
  CONNECTIONS,
  FRAMES,
  FRAME_SIZE,
  WINDOW,
  FILES,
  FRESH,
  IDLE,
  HEAD,
  SEND,
  STOP,
  NUMBERS,
  HOST,
  FOLLOW,
  BACKEND,
  HELP
};

static number_t numbers[NUMBERS] = {
    {"port", 0, 65535, 8080},     {"connections", 1, 100000, 1024}, {"frames", 1, 1000000, 256},
    {"frame-size", 4, 1024, 128}, {"window", 1, 1024, 4},           {"files", 1, 1000000, 4096},
    {"fresh", 0, 86400000, 1000}, {"idle", 1, 86400000, 15000},     {"head", 1, 86400000, 10000},
    {"send", 1, 86400000, 30000}, {"stop", 0, 86400000, 10000},
};

static int wrong(const char* what, const char* text) {
  fprintf(stderr, "uvdio-httpd: %s '%s'\nTry 'uvdio-httpd --help'.\n", what, text);
  return 2;
}

static int parse_number(number_t* number, const char* text) {
  char* end;
  unsigned long long value = strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < number->min ||
      value > number->max) {
    fprintf(stderr, "uvdio-httpd: --%s takes a number from %llu to %llu\n", number->name,
            (unsigned long long)number->min, (unsigned long long)number->max);
    return 2;
  }
  number->value = value;
  return 0;
}

static int parse_backend(httpd_options_t* options, const char* text) {
  static const char* const names[] = {"auto", "ring", "aio", "pool"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strcmp(text, names[i]) == 0) {
      options->backend = (uvdio_backend_t)i;
      return 0;
    }
  }
  return wrong("there is no backend", text);
}

static void take_numbers(httpd_options_t* options) {
  options->port = (int)numbers[PORT].value;
  options->connections_max = (unsigned)numbers[CONNECTIONS].value;
  options->frames = (unsigned)numbers[FRAMES].value;
  options->frame_size = (size_t)numbers[FRAME_SIZE].value * 1024;
  options->window_max = (unsigned)numbers[WINDOW].value;
  options->files_max = (unsigned)numbers[FILES].value;
  options->fresh_ms = numbers[FRESH].value;
  options->idle_ms = numbers[IDLE].value;
  options->head_ms = numbers[HEAD].value;
  options->send_ms = numbers[SEND].value;
  options->stop_ms = numbers[STOP].value;
}

/* Returns 0, or 1 (the help was wanted), or 2. */
static int parse_options(int count, char** words, httpd_options_t* options) {
  struct option known[HELP + 1];
  int status = 0;
  int index = 0;

  memset(known, 0, sizeof(known));
  for (int i = 0; i < NUMBERS; i++) {
    known[i] = (struct option){numbers[i].name, required_argument, NULL, i};
  }
  known[NUMBERS] = (struct option){"host", required_argument, NULL, HOST};
  known[NUMBERS + 1] = (struct option){"follow-symlinks", no_argument, NULL, FOLLOW};
  known[NUMBERS + 2] = (struct option){"backend", required_argument, NULL, BACKEND};
  known[NUMBERS + 3] = (struct option){"help", no_argument, NULL, HELP};
  while (status == 0 && (index = getopt_long(count, words, "", known, NULL)) != -1) {
    if (index >= 0 && index < NUMBERS) {
      status = parse_number(&numbers[index], optarg);
    } else if (index == HOST) {
      options->host = optarg;
    } else if (index == FOLLOW) {
      options->follows_links = 1;
    } else if (index == BACKEND) {
      status = parse_backend(options, optarg);
    } else {
      status = index == HELP ? 1 : 2;
    }
  }
  if (status == 0 && count - optind > 1) {
    return wrong("one directory is enough, and there is another", words[optind + 1]);
  }
  options->root = status == 0 && optind < count ? words[optind] : ".";
  take_numbers(options);
  return status;
}

int main(int count, char** words) {
  static httpd_server_t server;
  httpd_options_t options = {.host = "127.0.0.1"};
  int status = parse_options(count, words, &options);

  if (status != 0) {
    return status == 1 ? fputs(usage, stdout) < 0 : status;
  }
  if (httpd_server_start(&server, uv_default_loop(), &options) != 0) {
    return 1;
  }
  (void)uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  return httpd_server_end(&server) == 0 ? 0 : 1;
}
