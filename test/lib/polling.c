/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mkostemp */
#endif

#include "polling.h"

#ifdef __linux__

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int is_real;

/* The file of a disk, or of the disk that a partition is on. */
static int find_setting(const char* folder, char* path, size_t size) {
  static const char* const places[] = {"", "../"};
  struct stat status;
  if (stat(folder, &status) != 0) {
    return -1;
  }
  for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
    snprintf(path, size, "/sys/dev/block/%u:%u/%squeue/io_poll", major(status.st_dev),
             minor(status.st_dev), places[i]);
    if (access(path, R_OK) == 0) {
      return 0;
    }
  }
  return -1;
}

static int says_so(const char* path) {
  char text[8] = "";
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
  if (file >= 0) {
    close(file);
  }
  return got > 0 && text[0] == '1';
}

static int mount_over(const char* path) {
  char name[] = "/tmp/uvdio-polling-XXXXXX";
  int file = mkostemp(name, O_CLOEXEC);
  if (file < 0) {
    return -1;
  }
  int failed = write(file, "1\n", 2) != 2 || mount(name, path, NULL, MS_BIND, NULL) != 0;
  close(file);
  unlink(name);
  return failed ? -1 : 0;
}

const char* polling_begin(const char* folder) {
  char path[128];
  if (find_setting(folder, path, sizeof(path)) != 0) {
    return "polled: sysfs tells of no device under these files";
  }
  is_real = says_so(path);
  if (!is_real && (mount_over(path) != 0 || !says_so(path))) {
    return "polled: the device has no queues for it, and sysfs can't be made to say so (root)";
  }
  return NULL;
}

int polling_is_real(void) {
  return is_real;
}

#else /* other systems don't poll */

const char* polling_begin(const char* folder) {
  (void)folder;
  return "polled: this system has no completions that are polled";
}

int polling_is_real(void) {
  return 0;
}

#endif
