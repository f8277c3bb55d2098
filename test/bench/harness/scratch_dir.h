/* SPDX-License-Identifier: MIT */
/*
 * A directory of the harness's own, with the files that are measured in it.
 * It is on the disk that the user names, or on a loop device, and is removed at the end.
 */
#ifndef UVDIO_BENCH_HARNESS_SCRATCH_DIR_H
#define UVDIO_BENCH_HARNESS_SCRATCH_DIR_H

#include <stddef.h>

#include "harness/work.h"

typedef struct scratch_dir_s {
  /* options */
  const char* path; /* a directory */
  int wants_loop_device;
  work_params_t* params; /* which files, for how many loops; receives the directory */
  const char* command;   /* the subcommand, which is in the directory's name as well */
  const size_t* blocks;  /* bytes per operation, which the filesystem has to take */
  size_t block_count;
  /* outcome */
  char* directory; /* of ours, with the files in it; null: not made yet */
  unsigned files;
  int on_loop_device;
  char* mounted; /* the directory on which the loop device is mounted */
  char* image;
  char filesystem[32];
} scratch_dir_t;

/* Whether the files can be made in the directory `path`. Returns the exit code. */
int scratch_dir_check(const char* command, const char* path);

/* Makes and fills the files. Returns the exit code. Closing takes all back, from whatever state. */
int scratch_dir_open(scratch_dir_t* dir);
void scratch_dir_close(scratch_dir_t* dir);

#endif /* UVDIO_BENCH_HARNESS_SCRATCH_DIR_H */
