/* SPDX-License-Identifier: MIT */
/*
 * What tests that use faults have in common: whether faults reach the backend, and their end.
 */
#include "faults.h"
#include "fixture.h"
#include "ops.h"
#include "workers.h"

void need_faults(void) {
  if (matrix.backend == UVDIO_BACKEND_RING && !faults_reach_the_ring()) {
    SKIP("entries of a ring can't be made to fail here (Linux 6.10)");
  }
}

struct tracked_op* read_that_ends_later(struct fixture* f) {
  fault_block_reads(1);
  struct tracked_op* read = read_page(f, 0);
  fault_end_reads(1, PAGE);
  return read;
}

int faults_open_written(void** state, unsigned pages) {
  faults_reset();
  workers_begin();
  int failed = fixture_open(state);
  if (!failed) {
    struct fixture* f = *state;
    put(f, &f->file, 0, (size_t)pages * PAGE, 1);
    run_once(f);
  }
  return failed;
}

int faults_tear_down(void** state) {
  faults_reset();
  return fixture_tear_down(state);
}
