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

/* Of a directory's descriptor, or of what stands for the working directory. */
static int at_of(intptr_t at) {
  return at == UVDIO__AT_CWD ? AT_FDCWD : (int)at;
}

int uvdio__os_link(const uvdio__names_t* names) {
  return error_of(linkat(at_of(names->at), names->path, at_of(names->new_at), names->new_path, 0));
}

int uvdio__os_unlink(const uvdio__names_t* names) {
  return error_of(unlinkat(at_of(names->at), names->path, 0));
}

int uvdio__os_mkdir(const uvdio__names_t* names) {
  return error_of(mkdirat(at_of(names->at), names->path, (mode_t)names->mode));
}

int uvdio__os_rmdir(const uvdio__names_t* names) {
  return error_of(unlinkat(at_of(names->at), names->path, AT_REMOVEDIR));
}

/* XFS calls a sync of a directory a success when it has shut down and lost the names (Linux 6.18);
 * but it gives no attributes any more. */
int uvdio__os_sync_open_directory(intptr_t descriptor, int data_only) {
  struct stat stat;
  int error = uvdio__os_sync(descriptor, data_only);

  return error != 0 ? error : error_of(fstat((int)descriptor, &stat));
}

static int sync_directory(int at, const char* path) {
  int directory = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error;

  if (directory == -1) {
    return uv_translate_sys_error(errno);
  }
  error = uvdio__os_sync_open_directory(directory, 0);
  (void)close(directory);
  return error;
}

int uvdio__os_sync_directory(const char* path) {
  return sync_directory(AT_FDCWD, path);
}

/* Syncs the directory in which the last part of a path lies. */
static int sync_parent(intptr_t at, const char* path) {
  const char* slash = strrchr(path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;
  unsigned retries = 0;
  char folder[PATH_MAX];
  int error;

  assert(length < sizeof(folder)); /* The path has been used. */
  memcpy(folder, path, length);
  folder[length] = '\0';
  do {
    error = sync_directory(at_of(at), length > 0 ? folder : ".");
  } while (error == UV_EINTR && retries++ < UVDIO__RETRIES_MAX);
  return error;
}

/* Whether the path leads to the open file, by itself and not by a link. */
static int is_at(int descriptor, intptr_t at, const char* path) {
  struct stat file;
  struct stat found;

  return fstat(descriptor, &file) == 0 &&
         fstatat(at_of(at), path, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
         found.st_dev == file.st_dev && found.st_ino == file.st_ino;
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
    error = is_at((int)descriptor, names->at, names->path) ? uvdio__os_rename(names) : UV_ENOENT;
    if (error != 0) {
      return error;
    }
    names->step = UVDIO__REPLACE_SYNC_AGAIN;
  }
  /* The file first: power cuts showed names lost after a success of the directory's sync alone, on
   * XFS and ext4 (Linux 6.18). */
  if (names->step == UVDIO__REPLACE_SYNC_AGAIN) {
    error = uvdio__os_sync(descriptor, 0);
    if (error != 0) {
      return error;
    }
    names->step = UVDIO__REPLACE_SYNC_DIRECTORY;
  }
  return sync_parent(names->new_at, names->new_path);
}
