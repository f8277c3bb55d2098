/* SPDX-License-Identifier: MIT */
/*
 * System calls and instructions per operation, which depend little on how busy the machine is. Each
 * is counted in a process of its own that does as many operations as the depth, and in another one
 * that does n more: the difference, over n, is what an operation costs without starting and ending.
 * No clock is read in these runs. The benchmark's own instructions, some 100, are in it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "compare/command.h"
#include "compare/count.h"
#include "compare/model.h"
#include "harness/child.h"
#include "harness/counter.h"
#include "harness/notes.h"

/* How many operations: enough to fill the depth many times; and for calls, whose number depends on
 * how completions gather, as many as take so long. */
#define COUNT_OPERATIONS 1024
#define COUNT_OPERATIONS_PER_DEPTH 32
#define COUNT_CALLS_SECONDS 0.3
/* Large blocks: fewer, so that counting does not take minutes. */
#define COUNT_BYTES ((uint64_t)256 * 1024 * 1024)
#define COUNT_DEPTHS 4

static uint64_t operations_to_count(const compare_t* compare, size_t cell, size_t target,
                                    double seconds) {
  double iops = compare_summary(compare_row(compare, cell, target), SAMPLE_MEMBER(iops)).median;
  const cell_t* here = &compare->cells[cell];
  uint64_t least = COUNT_OPERATIONS + (uint64_t)COUNT_OPERATIONS_PER_DEPTH * here->depth;
  uint64_t bearable = COUNT_BYTES / here->block_size + (uint64_t)COUNT_DEPTHS * here->depth;
  least = least < bearable ? least : bearable;
  uint64_t wanted = (uint64_t)(iops * seconds / compare->params.loops);
  return wanted > least ? wanted : least;
}

/* Counts per operation of one row. */
static double count_row(const compare_t* compare, const counter_t* counter, size_t cell,
                        size_t target, double seconds) {
  double counts[2] = {NAN, NAN};
  uint64_t operations = operations_to_count(compare, cell, target, seconds);
  compare_child_environment(compare->targets[target]);
  for (size_t i = 0; i < 2; i++) {
    const char* argv[4];
    char* text;
    uint64_t count = compare->cells[cell].depth + (i > 0 ? operations : 0);
    if (compare_child_argv(compare, cell, target, count, argv, &text) == 0) {
      counts[i] = counter_run(counter, argv);
    }
    free(text);
  }
  return (counts[1] - counts[0]) / (double)(operations * compare->params.loops);
}

static void count_cell(compare_t* compare, size_t cell, const counter_t* calls,
                       const counter_t* instructions) {
  for (size_t target = 0; target < compare->target_count && child_signal() == 0; target++) {
    row_t* row = compare_row(compare, cell, target);
    if (compare->targets[target]->kind != TARGET_CHILD || row->sample_count == 0) {
      continue;
    }
    if (calls != NULL) {
      row->system_calls_per_op = count_row(compare, calls, cell, target, COUNT_CALLS_SECONDS);
    }
    if (instructions != NULL) {
      row->instructions_per_op = count_row(compare, instructions, cell, target, 0);
    }
  }
}

void compare_count(compare_t* compare) {
  const counter_t* calls = compare->with_calls ? counter_of_calls() : NULL;
  const counter_t* instructions = compare->with_instructions ? counter_of_instructions() : NULL;
  if (compare->with_calls && calls == NULL) {
    notes_add(
        &compare->notes,
        "System calls were not counted: that takes perf (and the right to use it) or strace.");
  }
  if (compare->with_instructions && instructions == NULL) {
    notes_add(&compare->notes, "Instructions were not counted: that takes valgrind.");
  }
  snprintf(compare->call_counter, sizeof compare->call_counter, "%s",
           calls != NULL ? counter_name(calls) : "");
  for (size_t cell = 0; cell < compare->cell_count && (calls != NULL || instructions != NULL);
       cell++) {
    count_cell(compare, cell, calls, instructions);
  }
}
