/* SPDX-License-Identifier: MIT */
/*
 * The first failure of a loop, which is the one to tell about.
 */
#include <assert.h>

#include "target/run.h"

int target_fail(target_run_t* run, const char* failure, int error) {
  assert(error != 0);
  if (run->error == 0) {
    run->error = error;
    run->failure = failure;
  }
  return run->error;
}
