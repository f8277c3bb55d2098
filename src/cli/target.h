/* SPDX-License-Identifier: MIT */
/*
 * What the library has no call for at the target of a copy: a descriptor of the command's own tells
 * which file it is, holds a block device for nobody else, and gives mode, owner and times. All
 * calls block, and report what fails.
 */
#ifndef UVDIO_CLI_TARGET_H
#define UVDIO_CLI_TARGET_H

#include <sys/stat.h>

typedef struct target_s {
  const char* path;
  int exists;          /* a file or device was there before */
  int is_device;       /* a block device: it keeps its size, and has no holes */
  int descriptor;      /* -1: not open */
  int mode_is_pending; /* the owner has more permissions for now than `mode` */
  mode_t mode;
  struct stat status; /* of what is at the path */
} target_t;

/* Looks at what is at the path. Returns CLI_OK where a copy can go there. */
int target_check(target_t* target, const char* source_path, const struct stat* source);

/* Opens what is there, or creates a file and no other one, with `mode` less the umask, and with
 * permissions for its owner to read and write it until target_finish(). */
int target_open(target_t* target, mode_t mode);

/* Whether the path is still that of the file that was opened. */
int target_is_in_place(const target_t* target);

/* Gives a file the mode that it is to keep; with `source`, also the mode, the owner and the times
 * of that one. */
int target_finish(target_t* target, const struct stat* source);

/* Takes away what is left of a copy that failed: removes a file that was created, empties one that
 * was there where `for_room` says so. Returns 0 or errno, ESTALE where another file is at the path
 * by now. Nothing is reported. */
int target_discard(target_t* target, int for_room);

void target_close(target_t* target);

/* The file's name is durable only after its directory was synced too. */
int target_sync_directory(const target_t* target);

#endif /* UVDIO_CLI_TARGET_H */
