/* SPDX-License-Identifier: MIT */
/*
 * The device's own rate of durable writes: one thread writes one record's blocks after the other,
 * and waits in the call. O_DSYNC is what RWF_DSYNC is, for each write.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "log/methods.h"

#define BLOCK ((size_t)4096)
#define FILE_SIZE ((uint64_t)16 << 20)

int commits_prepare_device(commits_t* commits) {
  return commits_make_file(commits, "file", FILE_SIZE);
}

static int write_blocks(commits_t* commits, int file, const char* bytes, size_t size) {
  uint64_t at = 0;
  commits_start(commits);
  for (uint64_t began_ns = uv_hrtime(); began_ns != 0;) {
    ssize_t written = pwrite(file, bytes, size, (off_t)at);
    if (written != (ssize_t)size) {
      return written < 0 ? uv_translate_sys_error(errno) : UV_EIO;
    }
    at = at + 2 * size > FILE_SIZE ? 0 : at + size;
    commits->flushes++;
    began_ns = commits_note(commits, began_ns);
  }
  commits_end(commits);
  return 0;
}

int commits_by_device(commits_t* commits) {
  size_t size = (commits->params->record_size + BLOCK - 1) / BLOCK * BLOCK;
  void* bytes;
  if (posix_memalign(&bytes, BLOCK, size) != 0) {
    return UV_ENOMEM;
  }
  memset(bytes, 'u', size);
  commits->failed = "open a file in";
  int file = commits_open_direct(commits, "file");
  int error = file < 0 ? file : 0;
  if (error == 0) {
    commits->failed = "write to";
    error = write_blocks(commits, file, bytes, size);
    (void)close(file);
  }
  free(bytes);
  return error;
}
