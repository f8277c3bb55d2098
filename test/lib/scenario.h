/* SPDX-License-Identifier: MIT */
/*
 * The whole life of an engine, in which every operation occurs, told without a single assertion:
 * each step may fail, and what follows takes that as a program would. What is wrong is noted with
 * the fixture's tracker:
 *
 *   - a result that is neither right nor one of the errors that the test allows;
 *   - content that the successful reads and writes don't account for;
 *   - a sync that succeeds after one failed, or a file that does not say that it is latched;
 *   - an engine that is idle and counts requests.
 *
 *   struct scenario s = {.f = f, .what = "what is tried"};
 *   scenario_begin(&s);      files with content
 *   ... set the fault ...
 *   scenario_live(&s);       ends with the engine closed, while requests are in flight
 *   ... take it away ...
 *   scenario_end(&s);        looks at the content
 */
#ifndef UVDIO_TEST_SCENARIO_H
#define UVDIO_TEST_SCENARIO_H

#include "fixture.h"

#define SCENARIO_STEPS 192
#define SCENARIO_ALLOWED 4

/* One operation, and what it is expected to give where nothing goes wrong. */
struct step {
  struct tracked_op* op;
  int64_t expected;
  int cancelled;  /* was asked to end early */
  unsigned first; /* page of the file "file" that it moves */
  unsigned pages; /* 0: no transfer of that file */
  unsigned how;   /* UVDIO_WRITE_* */
};

struct scenario {
  struct fixture* f;
  const char* what;              /* for the message when it hangs */
  int registered;                /* arenas are known to the ring */
  int (*between)(void* context); /* called once, when files are open and nothing is in flight */
  void* context;
  int allowed[SCENARIO_ALLOWED]; /* errors that operations may end with */
  int keeps_memory;              /* what can't be given back to the allocator stays out */
  int ends_early;                /* the file may seem to end anywhere */

  int64_t size;           /* of the file "other" */
  int troubles;           /* of any kind: 0 where everything went as if nothing had happened */
  unsigned name_troubles; /* of operations on names */
  uvdio_file_t wal;
  uvdio_file_t reader;
  uvdio_file_t extra;
  uvdio_file_t adopted;
  int descriptor; /* the program's own, which becomes a file and comes back */
  uvdio_arena_t* second;
  char* views;
  char backend[16]; /* the one that was running at the end */
  char reason[512];
  struct step steps[SCENARIO_STEPS];
  unsigned count;
  int used[UVDIO_OP_COUNT][2]; /* which operations; [1]: in their synchronous form */
};

void scenario_begin(struct scenario* s);
void scenario_live(struct scenario* s);
void scenario_end(struct scenario* s);

/* Fails the test where a life without a fault has left out an operation, or one of its forms. */
void scenario_assert_complete(const struct scenario* s);

/* Of other lives: whether the test allows an error; and the engine that was asked for, or whichever
 * works (0), or none (-1). */
int scenario_allows(const struct scenario* s, int64_t error);
int scenario_start(struct scenario* s);

#endif /* UVDIO_TEST_SCENARIO_H */
