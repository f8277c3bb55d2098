/* SPDX-License-Identifier: MIT */
/*
 * See ../lib/filesystem.h: Windows, which has the folder that the program is in.
 */
#include "filesystem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "folder.h"
#include "system.h"

int filesystem_known(const char* kind) {
  return strcmp(kind, "here") == 0 || strcmp(kind, "tmpfs") == 0 || strcmp(kind, "ramfs") == 0;
}

void filesystems_begin(void) {}

/* The one that is removed at the program's end. */
static struct filesystem* living;

static void remove_living(void) {
  if (living != NULL) {
    filesystem_remove(living);
  }
}

void filesystem_remove(struct filesystem* filesystem) {
  living = NULL;
  (void)remove_folder(filesystem->root);
}

int filesystem_make_indirect(struct filesystem* filesystem, const char* kind, uint64_t size,
                             char why[FILESYSTEM_WHY_MAX]) {
  char cwd[FILESYSTEM_PATH_MAX - 64];
  (void)size;
  memset(filesystem, 0, sizeof(*filesystem));
  snprintf(filesystem->kind, sizeof(filesystem->kind), "%s", kind);
  if (strcmp(kind, "here") != 0) {
    snprintf(why, FILESYSTEM_WHY_MAX, "this system has none");
    return -1;
  }
  if (getcwd(cwd, sizeof(cwd)) == NULL) {
    snprintf(why, FILESYSTEM_WHY_MAX, "getcwd");
    return -1;
  }
  snprintf(filesystem->root, sizeof(filesystem->root), "%.400s/uvdio-%s-XXXXXX", cwd, kind);
  if (system_make_folder(filesystem->root) != 0) {
    snprintf(why, FILESYSTEM_WHY_MAX, "%.200s can't be made", filesystem->root);
    return -1;
  }
  snprintf(filesystem->dir, sizeof(filesystem->dir), "%s", filesystem->root);
  living = filesystem;
  return atexit(remove_living);
}

int filesystem_make(struct filesystem* filesystem, const char* kind, uint64_t size,
                    char why[FILESYSTEM_WHY_MAX]) {
  return filesystem_make_indirect(filesystem, kind, size, why);
}
