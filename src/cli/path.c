/* SPDX-License-Identifier: MIT */
/*
 * Paths: joined, taken apart, and names that nobody else has.
 */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "path.h"

char* path_join(const char* directory, const char* name) {
  size_t length = strlen(directory);
  const char* slash = length > 0 && directory[length - 1] == '/' ? "" : "/";
  size_t size = length + strlen(name) + 2;
  char* path = malloc(size);
  if (path != NULL) {
    snprintf(path, size, "%s%s%s", directory, slash, name);
  }
  return path;
}

char* path_directory(const char* path) {
  char* copy = strdup(path);
  char* directory = copy != NULL ? strdup(dirname(copy)) : NULL;
  free(copy);
  return directory;
}

char* path_temporary(const char* directory, const char* kind) {
  char name[96];
  snprintf(name, sizeof name, ".uvdio-%s-%ld-%llx.tmp", kind, (long)getpid(),
           (unsigned long long)uv_hrtime());
  return path_join(directory, name);
}
