/* SPDX-License-Identifier: MIT */
/*
 * What methods share: the clock and the meter, and files of which every block is written before
 * they are measured, so that a durable write changes no metadata.
 */
#include "log/methods.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "harness/work.h"

#define PATH_SIZE 4096
#define PIECE ((size_t)1 << 20)

/*
 * The clock
 */

void commits_start(commits_t* commits) {
  meter_start(&commits->meter);
  commits->deadline_ns = commits->meter.started_ns + commits->params->duration_ns;
}

void commits_end(commits_t* commits) {
  commits->cpu_us = meter_cpu_us(&commits->meter);
}

uint64_t commits_note(commits_t* commits, uint64_t began_ns) {
  uint64_t now_ns = uv_hrtime();
  meter_record(&commits->meter, began_ns, now_ns, commits->params->record_size);
  return now_ns < commits->deadline_ns ? now_ns : 0;
}

/*
 * Files
 */

void commits_path(const commits_t* commits, const char* name, char* path, size_t size) {
  (void)snprintf(path, size, "%s/%s", commits->folder, name);
}

static int write_all(int file, const char* bytes, uint64_t size) {
  for (uint64_t at = 0; at < size;) {
    size_t piece = size - at < PIECE ? (size_t)(size - at) : PIECE;
    ssize_t written = pwrite(file, bytes, piece, (off_t)at);
    if (written <= 0) {
      return written < 0 ? uv_translate_sys_error(errno) : UV_EIO;
    }
    at += (uint64_t)written;
  }
  return fsync(file) == 0 ? 0 : uv_translate_sys_error(errno);
}

int commits_make_file(const commits_t* commits, const char* name, uint64_t size) {
  char path[PATH_SIZE];
  commits_path(commits, name, path, sizeof path);
  char* bytes = malloc(PIECE);
  if (bytes == NULL) {
    return UV_ENOMEM;
  }
  memset(bytes, 0, PIECE);
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int error = file < 0 ? uv_translate_sys_error(errno) : write_all(file, bytes, size);
  if (file >= 0) {
    (void)close(file);
  }
  free(bytes);
  return error;
}

int commits_open_direct(const commits_t* commits, const char* name) {
  char path[PATH_SIZE];
  commits_path(commits, name, path, sizeof path);
  return work_open_direct(path, O_RDWR | O_DSYNC);
}
