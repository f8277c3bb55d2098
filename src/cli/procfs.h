/* SPDX-License-Identifier: MIT */
/*
 * What files like those of /proc say, as texts: "" where there is no such file, or it does not say.
 */
#ifndef UVDIO_CLI_PROCFS_H
#define UVDIO_CLI_PROCFS_H

#include <stddef.h>

#define PROCFS_TEXT_SIZE 512

/* The first line of a file. Returns its length. */
size_t procfs_line(const char* path, char* text, size_t size);

/* What stands behind "KEY:", or behind "KEY=" without its quotes. Returns its length. */
size_t procfs_field(const char* path, const char* key, char* text, size_t size);

/* The control group of this process that counts tasks, and how many tasks that may have ("max"). */
size_t procfs_cgroup(char* text, size_t size);
size_t procfs_tasks_max(char* text, size_t size);

/* The mount on which a file lies. */
typedef struct procfs_mount_s {
  char point[PROCFS_TEXT_SIZE];
  char
      source[PROCFS_TEXT_SIZE]; /* "/dev/sda1", or whatever else the filesystem has as its source */
  char number[32];              /* of the device: "8:1" */
  char options[PROCFS_TEXT_SIZE]; /* of the mount, and behind them those of the filesystem */
} procfs_mount_t;

/* All texts of `mount` are "" where it is not known. */
void procfs_mount(const char* path, procfs_mount_t* mount);

#endif /* UVDIO_CLI_PROCFS_H */
