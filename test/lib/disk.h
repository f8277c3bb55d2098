/* SPDX-License-Identifier: MIT */
/*
 * A disk that runs full: a loop device over a sparse image on a small tmpfs. It takes all writes
 * into the page cache and fails when they are written back, which is how a sync comes to fail.
 */
#ifndef UVDIO_TEST_DISK_H
#define UVDIO_TEST_DISK_H

#include <stdint.h>

#include "filesystem.h"

struct disk {
  struct filesystem filesystem; /* the tmpfs */
  char path[64];                /* the device */
  int device;                   /* keeps the device: it detaches itself at the last close */
};

/* Makes a disk of `size` bytes of which `backed` bytes can really be written. Returns 0, or -1 with
 * the reason. */
int disk_make(struct disk* disk, uint64_t size, uint64_t backed, char why[FILESYSTEM_WHY_MAX]);

/* Cuts what is behind the disk to `size` bytes: the disk does not notice, and can't read the rest.
 * Returns 0, or -1. */
int disk_cut(const struct disk* disk, uint64_t size);

void disk_remove(struct disk* disk);

#endif /* UVDIO_TEST_DISK_H */
