/* SPDX-License-Identifier: MIT */
/*
 * A disk that fails when it is told to: a device-mapper device over a loop device, whose target can
 * be changed while it is in use.
 *
 *   mapper_switch(&mapper, "linear %s 0");                     works
 *   mapper_switch(&mapper, "error");                           every transfer fails with EIO
 *   mapper_switch(&mapper, "flakey %s 0 0 1 1 error_writes");  writes and flushes fail
 *   mapper_switch(&mapper, "flakey %s 0 0 1 1 drop_writes");   writes are lost
 *   mapper_switch(&mapper, "flakey %s 0 1 1");                 works and fails for a second in turn
 *   mapper_switch(&mapper, "delay %s 0 50");                   takes 50 ms more
 */
#ifndef UVDIO_TEST_MAPPER_H
#define UVDIO_TEST_MAPPER_H

#include "disk.h"

struct mapper {
  struct disk disk;
  uint64_t size; /* bytes */
  char name[32];
  char path[64];                      /* the device */
  char dir[FILESYSTEM_PATH_MAX + 16]; /* where it is mounted; "" where it is not */
  int device;                         /* keeps it: it is removed at the last close */
};

/* Makes a device of `size` bytes, which works, all zeros. Takes root and device-mapper. Returns 0,
 * or -1 with the reason. */
int mapper_make(struct mapper* mapper, uint64_t size, char why[FILESYSTEM_WHY_MAX]);

/* Makes a filesystem on it ("ext4", "xfs") and mounts it at mapper->dir. */
int mapper_mount(struct mapper* mapper, const char* kind, char why[FILESYSTEM_WHY_MAX]);

/* Changes the whole device to another target, in which %s stands for the disk below. What is in
 * flight ends before. mapper_switch_half() leaves the first half as it is by default. */
int mapper_switch(struct mapper* mapper, const char* target, char why[FILESYSTEM_WHY_MAX]);
int mapper_switch_half(struct mapper* mapper, const char* target, char why[FILESYSTEM_WHY_MAX]);

void mapper_remove(struct mapper* mapper);

#endif /* UVDIO_TEST_MAPPER_H */
