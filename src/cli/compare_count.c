/*
 * System calls and instructions per operation, which depend little on how busy the machine is. Each is counted in
 * a process of its own that does as many operations as the depth, and in another one that does n more: the
 * difference, over n, is what an operation costs without starting and ending. No clock is read in these runs.
 *
 *   system calls   perf stat, which disturbs least; else strace, under which a program is slower, so that more
 *                  completes per turn and fewer calls are made for each operation
 *   instructions   valgrind --tool=callgrind: user space, all threads; the benchmark's own 40 or so are in it
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"

/* How many operations: enough to fill the depth many times; and for calls, whose number depends on how
 * completions gather, as many as take so long. */
#define COUNT_OPERATIONS 1024
#define COUNT_OPERATIONS_PER_DEPTH 32
#define COUNT_CALLS_SECONDS 0.3
/* Large blocks: fewer, so that counting does not take minutes. */
#define COUNT_BYTES ((uint64_t)256 * 1024 * 1024)
#define COUNT_DEPTHS 4

/* A program that counts, and how to find its figure in what it prints. */
typedef struct {
  const char* name;
  const char* argv[8];
  double (*find)(const char* output);
} counter_t;

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
    {"strace -c -f", {"strace", "-f", "-c", "-Ucalls,name", "-o/dev/fd/1", "--", NULL}, find_strace},
};

static const counter_t instruction_counter = {
    "valgrind --tool=callgrind",
    {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1", "--", NULL},
    find_callgrind};

/* Runs `command` under the counter. Returns the count, or NAN. */
static double run_counter(const counter_t* counter, const char* const* command) {
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

double count_instructions(const char* const* command) {
  return run_counter(&instruction_counter, command);
}

static uint64_t operations_to_count(const compare_t* compare, size_t cell, size_t peer, double seconds) {
  double iops = row_spread(compare_row(compare, cell, peer), SAMPLE_MEMBER(iops)).median;
  const cell_t* here = &compare->cells[cell];
  uint64_t least = COUNT_OPERATIONS + (uint64_t)COUNT_OPERATIONS_PER_DEPTH * here->depth;
  uint64_t bearable = COUNT_BYTES / here->block_size + (uint64_t)COUNT_DEPTHS * here->depth;
  least = least < bearable ? least : bearable;
  uint64_t wanted = (uint64_t)(iops * seconds / compare->params.loops);
  return wanted > least ? wanted : least;
}

/* Counts per operation of one row. */
static double count_row(const compare_t* compare, const counter_t* counter, size_t cell, size_t peer,
                        double seconds) {
  double counts[2] = {NAN, NAN};
  uint64_t operations = operations_to_count(compare, cell, peer, seconds);
  compare_child_environment(compare->peers[peer]);
  for (size_t i = 0; i < 2; i++) {
    const char* argv[4];
    char* text;
    uint64_t count = compare->cells[cell].depth + (i > 0 ? operations : 0);
    if (compare_child_argv(compare, cell, peer, count, argv, &text) == 0) {
      counts[i] = run_counter(counter, argv);
    }
    free(text);
  }
  return (counts[1] - counts[0]) / (double)(operations * compare->params.loops);
}

/* The first that works here. */
static const counter_t* find_call_counter(void) {
  static const char* const nothing[] = {"true", NULL};
  for (size_t i = 0; i < CLI_COUNT_OF(call_counters); i++) {
    if (run_counter(&call_counters[i], nothing) > 0) {
      return &call_counters[i];
    }
  }
  return NULL;
}

static const counter_t* find_instruction_counter(void) {
  char version[64];
  return child_version("valgrind", "--version", version, sizeof version) ? &instruction_counter : NULL;
}

static void count_cell(compare_t* compare, size_t cell, const counter_t* calls, const counter_t* instructions) {
  for (size_t peer = 0; peer < compare->peer_count && child_signal() == 0; peer++) {
    row_t* row = compare_row(compare, cell, peer);
    if (compare->peers[peer]->kind != CONTENDER_CHILD || row->sample_count == 0) {
      continue;
    }
    if (calls != NULL) {
      row->system_calls_per_op = count_row(compare, calls, cell, peer, COUNT_CALLS_SECONDS);
    }
    if (instructions != NULL) {
      row->instructions_per_op = count_row(compare, instructions, cell, peer, 0);
    }
  }
}

void compare_count(compare_t* compare) {
  const counter_t* calls = compare->with_calls ? find_call_counter() : NULL;
  const counter_t* instructions = compare->with_instructions ? find_instruction_counter() : NULL;
  if (compare->with_calls && calls == NULL) {
    notes_add(&compare->notes, "System calls were not counted: that takes perf (and the right to use it) or strace.");
  }
  if (compare->with_instructions && instructions == NULL) {
    notes_add(&compare->notes, "Instructions were not counted: that takes valgrind.");
  }
  snprintf(compare->call_counter, sizeof compare->call_counter, "%s", calls != NULL ? calls->name : "");
  for (size_t cell = 0; cell < compare->cell_count && (calls != NULL || instructions != NULL); cell++) {
    count_cell(compare, cell, calls, instructions);
  }
}
