/* SPDX-License-Identifier: MIT */
/*
 * Random operations on one engine after another, checked against the model. Whatever is decided in
 * a step follows from the seed and the step's number alone, so that steps can be left out without
 * changing what the others try.
 */
#ifndef UVDIO_TEST_MODEL_RUN_H
#define UVDIO_TEST_MODEL_RUN_H

#include <stdint.h>

#include "uvdio.h"

struct model_options {
  uvdio_backend_t backend; /* MEMORY: a simulated world */
  uint64_t seed;
  uint64_t steps;
  const char* directory; /* for ring and pool */
  const char* skip;      /* "3-9,12-12": steps to leave out; null: none */
  int trace;             /* print submissions and outcomes, and what the world does */
};

/* Counted over all calls. */
struct model_totals {
  uint64_t operations; /* accepted, or carried out at once */
  uint64_t refused;
  uint64_t cancelled;
  uint64_t failed;
  uint64_t engines;
  uint64_t cuts;
  uint64_t crashes;
  uint64_t late;    /* writes that were on their way at a crash */
  uint64_t sectors; /* read and compared */
  uint64_t members; /* of groups, accepted */
  uint64_t merged;  /* of these, without a request of their own */
  uint64_t appends; /* accepted, syncs and closes of appenders included */
  uint64_t logged;  /* bytes of logs that were compared */
  uint64_t dups;    /* handles made of open files */
  uint64_t names;   /* operations on names and on the files that they lead to */
  uint64_t places;  /* of names, looked at */
};

/* Runs the steps in a world, or on files, of their own. Ends the program with status 1, and says
 * why, at the first thing that is not as it should be. */
void run_model(const struct model_options* options, struct model_totals* totals);

#endif /* UVDIO_TEST_MODEL_RUN_H */
