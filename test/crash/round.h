/* SPDX-License-Identifier: MIT */
/*
 * One round: a fresh filesystem, somebody who writes to it, an end that he does not expect, and a
 * look at what is left.
 */
#ifndef UVDIO_TEST_CRASH_ROUND_H
#define UVDIO_TEST_CRASH_ROUND_H

#include "stage.h"
#include "writer.h"

enum ending {
  END_CUT,  /* the plug is pulled; what counts is what was promised to be durable */
  END_KILL, /* SIGKILL; what counts is what was completed */
  ENDINGS
};

struct plan {
  struct stage* stage;
  struct model* model; /* shared with the writer */
  uvdio_backend_t backend;
  const char* backend_name;
  enum ending end;
  enum defect defect;
  int uvdio; /* the command, open; -1: not there */
  uint64_t seed;
};

/* Return 0, or -1 and what is wrong. */
int round_of_work(const struct plan* plan, const struct work* work, char why[WHY_MAX]);
int round_of_copy(const struct plan* plan, char why[WHY_MAX]);

/* For both: mounts a fresh filesystem; chooses when the end comes, for the process `target`; and
 * what follows a power cut: the filesystem recovers, at times with another cut in the middle of
 * it. */
int round_begin(const struct plan* plan, char why[WHY_MAX]);
void round_arm(const struct plan* plan, struct random* random, int signal, pid_t target);
int round_recover(const struct plan* plan, struct random* random, char why[WHY_MAX]);

/* "what: error's text" into why. Returns -1. */
int round_failed(char why[WHY_MAX], const char* what, int error);

#endif /* UVDIO_TEST_CRASH_ROUND_H */
