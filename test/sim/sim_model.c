/* SPDX-License-Identifier: MIT */
/*
 * The model test as a program:
 *
 *   sim_model [--backend memory|ring|aio|pool] [--seed N] [--operations N] [--steps N]
 *             [--directory DIR | --filesystem NAME] [--skip RANGES] [--shrink] [--trace]
 *
 * Runs world after world, each of --steps steps and with a seed one above the last, until
 * --operations operations were made. Backend memory is a simulated world, with faults and power
 * cuts. The first thing that is wrong ends it with status 1 and with the seed that shows it;
 * --shrink looks for steps that can be left out, --trace prints all that happens.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"
#include "filesystem.h"
#include "model_run.h"

#define STEPS 3000
#define SKIP_MAX 65536

struct arguments {
  struct model_options options;
  const char* backend;
  uint64_t operations;
  const char* filesystem;
  int shrink;
};

static int choose_backend(struct arguments* arguments, const char* name) {
  static const struct {
    const char* name;
    uvdio_backend_t backend;
  } backends[] = {{"memory", UVDIO_BACKEND_MEMORY},
                  {"ring", UVDIO_BACKEND_RING},
                  {"aio", UVDIO_BACKEND_AIO},
                  {"pool", UVDIO_BACKEND_POOL}};
  for (size_t i = 0; i < COUNT_OF(backends); i++) {
    if (strcmp(name, backends[i].name) == 0) {
      arguments->backend = backends[i].name;
      arguments->options.backend = backends[i].backend;
      return 0;
    }
  }
  return -1;
}

static int read_option(struct arguments* arguments, const char* name, const char* value) {
  if (strcmp(name, "--backend") == 0) {
    return choose_backend(arguments, value);
  }
  if (strcmp(name, "--seed") == 0) {
    arguments->options.seed = strtoull(value, NULL, 0);
  } else if (strcmp(name, "--operations") == 0) {
    arguments->operations = strtoull(value, NULL, 0);
  } else if (strcmp(name, "--steps") == 0) {
    arguments->options.steps = strtoull(value, NULL, 0);
  } else if (strcmp(name, "--directory") == 0) {
    arguments->options.directory = value;
  } else if (strcmp(name, "--filesystem") == 0 && filesystem_known(value)) {
    arguments->filesystem = value;
  } else if (strcmp(name, "--skip") == 0) {
    arguments->options.skip = value;
  } else {
    return -1;
  }
  return 0;
}

static int read_arguments(int argc, char** argv, struct arguments* arguments) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--shrink") == 0) {
      arguments->shrink = 1;
    } else if (strcmp(argv[i], "--trace") == 0) {
      arguments->options.trace = 1;
    } else if (i + 1 == argc || read_option(arguments, argv[i], argv[i + 1]) != 0) {
      return -1;
    } else {
      i++;
    }
  }
  return 0;
}

/*
 * Shrinking: leaves out runs of steps, half of them at first, and keeps to whatever still fails.
 */

/* The steps that are left out, as ranges. */
static void write_ranges(const char* left_out, uint64_t steps, char text[SKIP_MAX]) {
  size_t at = 0;
  text[0] = '\0';
  for (uint64_t i = 0; i < steps; i++) {
    uint64_t first = i;
    if (!left_out[i]) {
      continue;
    }
    while (i + 1 < steps && left_out[i + 1]) {
      i++;
    }
    if (at + 64 < SKIP_MAX) {
      at += (size_t)snprintf(text + at, SKIP_MAX - at, "%s%" PRIu64 "-%" PRIu64, at == 0 ? "" : ",",
                             first, i);
    }
  }
}

#ifdef _WIN32
/* Without a process of its own a failure would end this one. */
static int fails(const struct arguments* arguments, const char* skip) {
  (void)arguments;
  (void)skip;
  return 0;
}
#else
/* A process of its own: whatever fails there, an assertion included, leaves this one as it was. */
static int fails(const struct arguments* arguments, const char* skip) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    struct model_options options = arguments->options;
    struct model_totals totals = {0};
    options.skip = skip;
    if (freopen("/dev/null", "w", stderr) == NULL) {
      _exit(0);
    }
    run_model(&options, &totals);
    _exit(0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && status != 0;
}
#endif

static void mark(char* left_out, uint64_t first, uint64_t count, uint64_t steps, const char* from) {
  for (uint64_t i = first; i < first + count && i < steps; i++) {
    left_out[i] = from == NULL ? 1 : from[i];
  }
}

static int shrink(struct arguments* arguments) {
  uint64_t steps = arguments->options.steps;
  static char text[SKIP_MAX];
  char* left_out = calloc(2, steps);
  if (left_out == NULL || !fails(arguments, "")) {
    puts("nothing fails");
    free(left_out);
    return 0;
  }
  char* before = left_out + steps;
  for (uint64_t count = steps / 2; count > 0; count /= 2) {
    for (uint64_t first = 0; first < steps; first += count) {
      memcpy(before, left_out, steps);
      mark(left_out, first, count, steps, NULL);
      write_ranges(left_out, steps, text);
      if (memcmp(before, left_out, steps) != 0 && !fails(arguments, text)) {
        mark(left_out, first, count, steps, before);
      }
    }
  }
  write_ranges(left_out, steps, text);
  uint64_t left = 0;
  for (uint64_t i = 0; i < steps; i++) {
    left += !left_out[i];
  }
  free(left_out);
  printf("%" PRIu64 " of %" PRIu64 " steps are left:\n", left, steps);
  printf("sim_model --backend %s --seed %" PRIu64 " --steps %" PRIu64 " --operations 1 --skip %s\n",
         arguments->backend, arguments->options.seed, steps, text);
  return 1;
}

/*
 * Running.
 */

static int run_worlds(struct arguments* arguments) {
  struct model_totals totals = {0};
  uint64_t first = arguments->options.seed;
  while (totals.operations < arguments->operations) {
    run_model(&arguments->options, &totals);
    arguments->options.seed++;
  }
  printf("%s, seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " operations, of which %" PRIu64
         " cancelled and %" PRIu64 " failed; %" PRIu64 " refused; %" PRIu64 " engines, %" PRIu64
         " power cuts, %" PRIu64 " crashes with %" PRIu64 " writes on their way; %" PRIu64
         " sectors compared; %" PRIu64 " members of groups, %" PRIu64 " of them merged, %" PRIu64
         " appends, %" PRIu64 " bytes of logs compared; %" PRIu64 " dups, %" PRIu64
         " operations on names, %" PRIu64 " places looked at\n",
         arguments->backend, first, arguments->options.seed - 1, totals.operations,
         totals.cancelled, totals.failed, totals.refused, totals.engines, totals.cuts,
         totals.crashes, totals.late, totals.sectors, totals.members, totals.merged, totals.appends,
         totals.logged, totals.dups, totals.names, totals.places);
  print_figure(totals.operations, "operations");
  print_figure(totals.failed, "operations that failed");
  print_figure(totals.cuts, "power cuts");
  print_figure(totals.crashes, "crashes");
  print_figure(totals.sectors, "sectors compared");
  print_figure(totals.members, "members of groups");
  print_figure(totals.appends, "appends");
  print_figure(totals.names, "operations on names");
  return 0;
}

static int skip_all(const char* what, const char* why, int is_filesystem) {
  char line[2 * FILESYSTEM_WHY_MAX];
  snprintf(line, sizeof(line), "%s: %s", what, why);
  is_filesystem ? skip_line_as_told(line) : skip_line(line);
  return SKIPPED_PROGRAM;
}

int main(int argc, char** argv) {
  struct arguments arguments = {
      .options = {.backend = UVDIO_BACKEND_MEMORY, .seed = 1, .steps = STEPS},
      .backend = "memory",
      .operations = 1000000};
  static struct filesystem filesystem;
  char why[FILESYSTEM_WHY_MAX] = "";
  filesystems_begin();
  if (read_arguments(argc, argv, &arguments) != 0) {
    fprintf(stderr,
            "usage: sim_model [--backend memory|ring|aio|pool] [--seed N] [--operations N]"
            " [--steps N]\n"
            "                 [--directory DIR | --filesystem NAME] [--skip RANGES]\n"
            "                 [--shrink] [--trace]\n");
    return 2;
  }
  if (uvdio_backend_probe(arguments.options.backend, why, sizeof(why)) != 0) {
    return skip_all(arguments.backend, why, 0);
  }
  if (arguments.options.backend != UVDIO_BACKEND_MEMORY && arguments.options.directory == NULL) {
    if (filesystem_make(&filesystem, arguments.filesystem != NULL ? arguments.filesystem : "here",
                        0, why) != 0) {
      return skip_all(arguments.filesystem != NULL ? arguments.filesystem : "here", why, 1);
    }
    arguments.options.directory = filesystem.dir;
  }
  (void)warm_up_libuv(NULL);
  return arguments.shrink ? shrink(&arguments) : run_worlds(&arguments);
}
