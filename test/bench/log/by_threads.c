/* SPDX-License-Identifier: MIT */
/*
 * Commits by threads with pwrite and fdatasync: records of a group go to the end of a log that is
 * written through already, as bytes behind each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include "log/group.h"

#define FILE_SIZE ((uint64_t)64 << 20) /* as much as the largest group */

typedef struct {
  int file;
  uint64_t end;
} log_t;

static int write_group(void* arg, const char* bytes, size_t size, unsigned count) {
  log_t* log = arg;
  (void)count;
  log->end = log->end + size > FILE_SIZE ? 0 : log->end;
  for (size_t done = 0; done < size;) {
    ssize_t written = pwrite(log->file, bytes + done, size - done, (off_t)(log->end + done));
    if (written <= 0) {
      return written < 0 ? uv_translate_sys_error(errno) : UV_EIO;
    }
    done += (size_t)written;
  }
  log->end += size;
#ifdef __APPLE__
  return fsync(log->file) == 0 ? 0 : uv_translate_sys_error(errno);
#else
  return fdatasync(log->file) == 0 ? 0 : uv_translate_sys_error(errno);
#endif
}

int commits_prepare_threads(commits_t* commits) {
  return commits_make_file(commits, "log", FILE_SIZE);
}

int commits_by_threads(commits_t* commits) {
  char path[4096];
  commits_path(commits, "log", path, sizeof path);
  commits->failed = "open a file in";
  log_t log = {.file = open(path, O_RDWR | O_CLOEXEC)};
  if (log.file < 0) {
    return uv_translate_sys_error(errno);
  }
  int error = group_run(commits, write_group, &log);
  (void)close(log.file);
  return error;
}
