/* SPDX-License-Identifier: MIT */
/*
 * Names, on Linux and macOS, and the replacement of one by an open file.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"

static int error_of(int result) {
  return result == -1 ? uv_translate_sys_error(errno) : 0;
}

int uvdio__os_link(const char* path, const char* new_path) {
  return error_of(link(path, new_path));
}

int uvdio__os_unlink(const char* path) {
  return error_of(unlink(path));
}

int uvdio__os_mkdir(const char* path, int mode) {
  return error_of(mkdir(path, (mode_t)mode));
}

int uvdio__os_rmdir(const char* path) {
  return error_of(rmdir(path));
}

int uvdio__os_sync_directory(const char* path) {
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error;

  if (directory == -1) {
    return uv_translate_sys_error(errno);
  }
  error = uvdio__os_sync(directory, 0);
  (void)close(directory);
  return error;
}

/* Syncs the directory in which the last part of a path lies. */
static int sync_parent(const char* path) {
  const char* slash = strrchr(path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;
  unsigned retries = 0;
  char folder[PATH_MAX];
  int error;

  assert(length < sizeof(folder)); /* The path has been used. */
  memcpy(folder, path, length);
  folder[length] = '\0';
  do {
    error = uvdio__os_sync_directory(length > 0 ? folder : ".");
  } while (error == UV_EINTR && retries++ < UVDIO__RETRIES_MAX);
  return error;
}

/* Whether the path leads to the open file, by itself and not by a link. */
static int is_at(int descriptor, const char* path) {
  struct stat file;
  struct stat found;

  return fstat(descriptor, &file) == 0 &&
         fstatat(AT_FDCWD, path, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_dev == file.st_dev &&
         found.st_ino == file.st_ino;
}

int uvdio__os_replace(intptr_t descriptor, uvdio__names_t* names) {
  int error;

  if (names->step == UVDIO__REPLACE_SYNC) {
    error = uvdio__os_sync(descriptor, 0);
    if (error != 0) {
      return error;
    }
    names->step = UVDIO__REPLACE_RENAME;
  }
  if (names->step == UVDIO__REPLACE_RENAME) {
    error = is_at((int)descriptor, names->path) ? uvdio__os_rename(names->path, names->new_path, 0)
                                                : UV_ENOENT;
    if (error != 0) {
      return error;
    }
    names->step = UVDIO__REPLACE_SYNC_DIRECTORY;
  }
  return sync_parent(names->new_path);
}
