/* SPDX-License-Identifier: MIT */
/*
 * The target of a copy: which file it is, the file that is written for it, and how that takes its
 * place. A regular file is written as a temporary file beside the target and then renamed, so that
 * the target is the old file or the new one at each moment. All calls report what fails.
 */
#ifndef UVDIO_CLI_TARGET_H
#define UVDIO_CLI_TARGET_H

#include <sys/stat.h>

#include "session.h"
#include "uvdio.h"

typedef struct target_s {
  const char* path; /* as it was given, for messages */
  char* place;      /* the same, a symbolic link at its end followed */
  char* directory;  /* that it lies in */
  char* temporary;  /* the file that is written; null: it is written in place */
  int exists;       /* a file or device was there before */
  int is_device;    /* a block device: it keeps its size, and has no holes */
  struct stat old;  /* what was there */
  uvdio_file_t file;
  int descriptor;  /* of `file`, which keeps it; -1: not open */
  struct stat own; /* of `file`, as it was opened */
  mode_t mode;     /* what a file that was created is to have in the end */
} target_t;

/* Looks at what is at the path. Returns CLI_OK where a copy can go there. target_free() is due in
 * any case. */
int target_find(target_t* target, const char* source_path, const struct stat* source, int in_place);
void target_free(target_t* target);

/* Opens what is written. A file that replaces none is created with `mode` less the umask; until
 * target_finish() its owner may read and write it. One that replaces another gets the owner of that
 * one, and its mode by target_finish(). */
int target_open(target_t* target, session_t* session, mode_t mode);

/* Whether target_open() has created a file, and it was not renamed. */
int target_is_new(const target_t* target);

/* Gives a file the mode that it is to keep; with `source`, the mode, the owner and the times of
 * that one instead. */
int target_finish(target_t* target, const struct stat* source);

/* Syncs what is written, and makes its name durable, by a rename where it is a temporary file.
 * `*is_complete` tells, also after an error, whether the target is the new file as a whole. */
int target_publish(target_t* target, session_t* session, int* is_complete);

/* While `file` is open: removes a file that was created, or empties one that is written in place
 * where `for_room` says so. Returns 0 or errno, ESTALE where another file is at the path by now.
 * Nothing is reported. */
int target_discard(const target_t* target, int for_room);

#endif /* UVDIO_CLI_TARGET_H */
