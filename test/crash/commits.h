/* SPDX-License-Identifier: MIT */
/*
 * What a log (uvdio/log.h) has to hold, kept by the writer as it goes, in memory that outlives it.
 *
 * Records are numbered from 1 on. Each tells its number, and the life of the log (an open and what
 * follows) in which it was appended; its length and bytes follow from these. What is replayed are
 * all records from one that may be the first to one that was acknowledged, or that was on its way,
 * and none of an earlier life that an open has not found.
 */
#ifndef UVDIO_TEST_CRASH_COMMITS_H
#define UVDIO_TEST_CRASH_COMMITS_H

#include <stddef.h>

#include "model.h"
#include "uvdio.h"
#include "uvdio/log.h"

#define COMMIT_MAX 70000u /* bytes */

/* Of a replay: what it found so far. */
struct replay {
  struct model* model;
  uint64_t first; /* number of a record; 0: none was replayed */
  uint64_t last;
  uint64_t last_lsn;
};

/* Writes the record with this number, of the present life. Returns its length. */
size_t commit_fill(const struct commits* commits, uint64_t seed, uint64_t number, char* bytes);

/* A record is about to be appended; it is durable, and has this LSN (0: which is not known). */
uint64_t commit_submit(struct commits* commits);
void commit_reached(struct model* model, uint64_t number, uint64_t lsn);

/* The LSN of an acknowledged record; 0: not known any more. */
uint64_t commit_lsn(const struct commits* commits, uint64_t number);

/* For each record of an open; and when that has succeeded, which begins a life. What is wrong goes
 * into the model. */
void commits_on_record(struct replay* replay, uint64_t lsn, const void* data, size_t length);
void commits_opened(const struct replay* replay);

/* Opens the log in `dir` by that backend. Returns 0, or -1 and what is wrong. */
int commits_check(struct model* model, const char* dir, uvdio_backend_t backend, char why[WHY_MAX]);

#endif /* UVDIO_TEST_CRASH_COMMITS_H */
