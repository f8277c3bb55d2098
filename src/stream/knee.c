/* SPDX-License-Identifier: MIT */
/*
 * See knee.h: periods of blocks, each of which settles, measures, or ends a trial.
 */
#include "knee.h"

#include <assert.h>

#define PERIOD_WINDOWS 8u
#define PATIENCE_MIN 4u /* periods */
#define PATIENCE_MAX 32u
/* Costs are times of a block, in 1/16 ns. */
#define COST_SHIFT 4

void uvdio__knee_init(uvdio__knee_t* knee, unsigned least, unsigned most) {
  static const uvdio__knee_t none;

  assert(least > 0 && least <= most);
  *knee = none;
  knee->least = least;
  knee->most = most;
  knee->patience = PATIENCE_MIN;
}

unsigned uvdio__knee_forget(uvdio__knee_t* knee, unsigned window) {
  unsigned before = knee->from != 0 && window == knee->window ? knee->from : window;

  knee->window = 0;
  knee->from = 0;
  return before;
}

/* The blocks that are on their way were asked for with another window. */
static void settle(uvdio__knee_t* knee, unsigned window) {
  knee->window = window;
  knee->blocks = 0;
  knee->has_waited = 0;
  knee->is_settling = 1;
}

/* Of the two windows that are compared. */
static unsigned smaller(const uvdio__knee_t* knee) {
  return knee->from != 0 && knee->from < knee->window ? knee->from : knee->window;
}

int uvdio__knee_count(uvdio__knee_t* knee, unsigned window, int has_waited) {
  if (window != knee->window) {
    knee->from = 0;
    settle(knee, window);
  }
  knee->blocks++;
  knee->has_waited |= has_waited;
  return knee->blocks >= (knee->is_settling ? window : PERIOD_WINDOWS * smaller(knee));
}

/* A window that can't be had is a trial in vain. */
static void pause_and_turn(uvdio__knee_t* knee) {
  knee->is_downward = !knee->is_downward;
  knee->pause = knee->patience;
  knee->patience = knee->patience < PATIENCE_MAX ? 2 * knee->patience : PATIENCE_MAX;
}

static void try_another(uvdio__knee_t* knee, uint64_t cost) {
  unsigned window = knee->is_downward ? knee->window / 2 : 2 * knee->window;

  window = window > knee->least ? window : knee->least;
  window = window < knee->most ? window : knee->most;
  if (window == knee->window) {
    pause_and_turn(knee);
    return;
  }
  knee->from = knee->window;
  knee->from_cost = cost;
  settle(knee, window);
}

static int has_paid(const uvdio__knee_t* knee, uint64_t cost) {
  return knee->is_downward ? cost <= knee->from_cost + knee->from_cost / 50
                           : cost <= knee->from_cost - knee->from_cost / 20;
}

static void end_trial(uvdio__knee_t* knee, uint64_t cost) {
  if (has_paid(knee, cost)) {
    knee->patience = PATIENCE_MIN;
  } else {
    settle(knee, knee->from);
    pause_and_turn(knee);
  }
  knee->from = 0;
}

unsigned uvdio__knee_judge(uvdio__knee_t* knee, uint64_t now_ns) {
  uint64_t cost = ((now_ns - knee->began_ns) << COST_SHIFT) / knee->blocks;
  int is_measured = !knee->is_settling && knee->has_waited;

  assert(knee->window > 0 && knee->blocks > 0);
  knee->blocks = 0;
  knee->has_waited = 0;
  knee->is_settling = 0;
  knee->began_ns = now_ns;
  if (!is_measured) {
    return knee->window;
  }
  if (knee->from != 0) {
    end_trial(knee, cost);
  } else if (knee->pause > 0) {
    knee->pause--;
  } else {
    try_another(knee, cost);
  }
  return knee->window;
}
