/* SPDX-License-Identifier: MIT */
#include "folder.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "filesystem.h"

static int is_itself(const char* name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Removing what a listing names may change the listing: it is read from its begin until nothing in
 * it could be removed. */
static int remove_some(const char* path) {
  char name[FILESYSTEM_PATH_MAX + 256];
  int removed = 0;
  DIR* list = opendir(path);
  if (list == NULL) {
    return 0;
  }
  for (const struct dirent* entry = readdir(list); entry != NULL; entry = readdir(list)) {
    if (!is_itself(entry->d_name)) {
      snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
      removed += unlink(name) == 0 || remove_folder(name) == 0;
    }
  }
  closedir(list);
  return removed;
}

/* The depth is that of the folders that tests make: some levels. */
int remove_folder(const char* path) {
  while (remove_some(path) > 0) {
  }
  return rmdir(path);
}
