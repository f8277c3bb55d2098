/* SPDX-License-Identifier: MIT */
/*
 * Writes the files of a log as somebody would who knows its format, and means harm: blocks with
 * good checksums that follow each other, and others that don't. Works on a simulated disk, from
 * outside, by the bytes of a fuzzer.
 */
#ifndef UVDIO_TEST_FUZZ_SCRIBE_H
#define UVDIO_TEST_FUZZ_SCRIBE_H

#include "generator.h"
#include "uvdio/sim.h"

/* Segments have a few numbers, from one on, so that all files together hold little. */
#define SCRIBE_SEGMENTS 6u
#define SCRIBE_SEGMENT_MAX ((uint64_t)128 * 1024)

struct scribe {
  uvdio_sim_t* sim;
  struct choices* choices;
  /* The next block. */
  uint64_t log;
  uint64_t segment_size;
  uint64_t first; /* segment */
  uint64_t segment;
  uint64_t offset;
  uint64_t durable;
  uint32_t epoch;
  uint32_t before;
  size_t rest;         /* bytes of the last record that it has to go on with */
  int has_directories; /* there are some where files should be */
};

void scribe_begin(struct scribe* scribe, uvdio_sim_t* sim, struct choices* choices);

/* Does one thing to the files of "wal". No log may be open. */
void scribe_act(struct scribe* scribe, uvdio_engine_t* engine);

#endif /* UVDIO_TEST_FUZZ_SCRIBE_H */
