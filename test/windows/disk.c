/* SPDX-License-Identifier: MIT */
/*
 * See ../lib/disk.h: Windows, where none can be made. Tests of them skip.
 */
#include "disk.h"

#include <stdio.h>

int disk_make(struct disk* disk, uint64_t size, uint64_t backed, char why[FILESYSTEM_WHY_MAX]) {
  (void)disk;
  (void)size;
  (void)backed;
  snprintf(why, FILESYSTEM_WHY_MAX, "this system has no loop devices");
  return -1;
}

int disk_cut(const struct disk* disk, uint64_t size) {
  (void)disk;
  (void)size;
  return -1;
}

void disk_remove(struct disk* disk) {
  (void)disk;
}
