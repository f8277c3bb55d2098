/* SPDX-License-Identifier: MIT */
/*
 * What lives of modules (scenario_modules.h, scenario_streams.h) do alike: steps that may fail, and
 * looks at files that no fault meets.
 */
#ifndef UVDIO_TEST_SCENARIO_LIFE_H
#define UVDIO_TEST_SCENARIO_LIFE_H

#include "scenario.h"

/* Notes what is wrong, with a negative code. */
void life_broken(const struct scenario* s, const char* what, int64_t result);

/* Notes what is not as if nothing had happened. Returns whether it is. */
int life_expects(struct scenario* s, const char* what, int64_t result, int64_t expected);

/* Runs the loop to its end. */
void life_run(const struct scenario* s);

/* Opens a file of the folder; returns whether it is. Closes it, where it is open. */
int life_open(struct scenario* s, uvdio_file_t* file, const char* name, unsigned flags);
void life_close(struct scenario* s, uvdio_file_t* file);

/* The error that the file is latched with, or 0. */
int life_latch(const uvdio_file_t* file);

/* Whether the file has these bytes there, and its size. Through the page cache, which direct writes
 * leave behind; and by the C library, whose system calls no fault meets. */
int life_holds(const struct scenario* s, const char* name, uint64_t offset, const void* bytes,
               size_t length);
int64_t life_size(const struct scenario* s, const char* name);

#endif /* UVDIO_TEST_SCENARIO_LIFE_H */
