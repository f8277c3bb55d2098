/* SPDX-License-Identifier: MIT */
/*
 * A filesystem on a loop device on the disk whose plug can be pulled (disk.h). It is made once;
 * each round begins with the same content, in whose free space old bytes lie about.
 *
 * Nothing can stay behind, however the program ends: mounts are in a mount namespace of its own,
 * the disk's bytes in anonymous memory, loop devices detach with their last user, and the processes
 * end with the one that made the stage. Any number of programs may do this at once.
 */
#ifndef UVDIO_TEST_CRASH_STAGE_H
#define UVDIO_TEST_CRASH_STAGE_H

#include "disk.h"

#define STAGE_WHY_MAX 256

struct stage {
  const char* kind; /* "ext4", "xfs", "btrfs" */
  const char* dir;  /* where its files are while it is mounted */
  struct disk_control* disk;
  uint64_t size;
  int home;     /* the mount namespace that we come from */
  int original; /* memory files */
  int durable;
  int live;
  int loop; /* -1 while not attached */
  char loop_path[32];
  int mounted;
};

/* Returns 0, or -1 with the reason. */
int stage_make(struct stage* stage, const char* kind, char why[STAGE_WHY_MAX]);

/* Puts the original content back, with power on. Nothing may be mounted. */
void stage_reset(struct stage* stage);

/* Attaches and mounts. Returns 0 or -errno. */
int stage_mount(struct stage* stage);

/* Unmounts and detaches, whatever the state of the disk. Returns 0 or -errno. */
int stage_unmount(struct stage* stage);

/* Unmounts without a last chance to write anything, and switches the disk on again. Returns 0 or
 * -errno. */
int stage_pull_plug(struct stage* stage);

#endif /* UVDIO_TEST_CRASH_STAGE_H */
