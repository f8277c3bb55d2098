/* SPDX-License-Identifier: MIT */
/*
 * Programs that count what another program does: system calls by perf or strace, instructions by
 * valgrind.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "harness/child.h"
#include "harness/counter.h"

/* A program that counts, and how to find its figure in what it prints. */
struct counter_s {
  const char* name;
  const char* argv[8];
  double (*find)(const char* output);
};

/* "1234,,raw_syscalls:sys_enter,..." */
static double find_perf(const char* output) {
  const char* name = strstr(output, ",raw_syscalls:sys_enter");
  while (name != NULL && name > output && name[-1] != '\n') {
    name--;
  }
  char* end = NULL;
  double count = name != NULL ? strtod(name, &end) : NAN;
  return end != NULL && end != name ? count : NAN;
}

/* "    1234 total" */
static double find_strace(const char* output) {
  const char* total = strstr(output, " total\n");
  while (total != NULL && total > output && total[-1] != '\n') {
    total--;
  }
  return total != NULL ? strtod(total, NULL) : NAN;
}

/* "==123== Collected : 4567" */
static double find_callgrind(const char* output) {
  const char* words = strstr(output, "Collected : ");
  return words != NULL ? strtod(words + strlen("Collected : "), NULL) : NAN;
}

static const counter_t call_counters[] = {
    {"perf stat -e raw_syscalls:sys_enter",
     {"perf", "stat", "-x,", "--log-fd=1", "-eraw_syscalls:sys_enter", "--", NULL},
     find_perf},
    {"strace -c -f",
     {"strace", "-f", "-c", "-Ucalls,name", "-o/dev/fd/1", "--", NULL},
     find_strace},
};

static const counter_t instruction_counter = {
    "valgrind --tool=callgrind",
    {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1", "--", NULL},
    find_callgrind};

double counter_run(const counter_t* counter, const char* const* command) {
  const char* argv[16] = {0};
  size_t count = 0;
  child_t child;
  for (size_t i = 0; counter->argv[i] != NULL; i++) {
    argv[count++] = counter->argv[i];
  }
  for (size_t i = 0; command[i] != NULL && count + 1 < CLI_COUNT_OF(argv); i++) {
    argv[count++] = command[i];
  }
  if (child_run(argv, 0, &child) != 0) {
    return NAN;
  }
  int failed = child.code != 0 || strstr(child.output, "\"failed\"") != NULL;
  double found = failed ? NAN : counter->find(child.output);
  free(child.output);
  return found;
}

const counter_t* counter_of_calls(void) {
  static const char* const nothing[] = {"true", NULL};
  for (size_t i = 0; i < CLI_COUNT_OF(call_counters); i++) {
    if (counter_run(&call_counters[i], nothing) > 0) {
      return &call_counters[i];
    }
  }
  return NULL;
}

const counter_t* counter_of_instructions(void) {
  char version[64];
  return child_version("valgrind", "--version", version, sizeof version) ? &instruction_counter
                                                                         : NULL;
}

const char* counter_name(const counter_t* counter) {
  return counter->name;
}
