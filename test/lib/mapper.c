/* SPDX-License-Identifier: MIT */
#include "mapper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SECTOR 512u
#define TABLE_MAX 512

static int give_up(char why[FILESYSTEM_WHY_MAX], const char* what) {
  snprintf(why, FILESYSTEM_WHY_MAX, "%s: %s", what, strerror(errno));
  return -1;
}

/* One line of a table: `sectors` from `first` on. Targets are constants of the tests, each with one
 * %s at most. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int format_line(char* line, size_t size, uint64_t first, uint64_t sectors,
                       const char* target, const char* device) {
  int length =
      snprintf(line, size, "%llu %llu ", (unsigned long long)first, (unsigned long long)sectors);
  return length + snprintf(line + length, size - (size_t)length, target, device);
}
#pragma GCC diagnostic pop

static int reload(struct mapper* mapper, char table[TABLE_MAX], char why[FILESYSTEM_WHY_MAX]) {
  char* suspend[] = {"dmsetup", "suspend", "--nolockfs", mapper->name, NULL};
  char* load[] = {"dmsetup", "load", mapper->name, "--table", table, NULL};
  char* resume[] = {"dmsetup", "resume", mapper->name, NULL};
  int failed = run_program(load, why) != 0 || run_program(suspend, why) != 0;
  return failed || run_program(resume, why) != 0 ? -1 : 0;
}

int mapper_switch(struct mapper* mapper, const char* target, char why[FILESYSTEM_WHY_MAX]) {
  char table[TABLE_MAX];
  format_line(table, sizeof(table), 0, mapper->size / SECTOR, target, mapper->disk.path);
  return reload(mapper, table, why);
}

int mapper_switch_half(struct mapper* mapper, const char* target, char why[FILESYSTEM_WHY_MAX]) {
  char table[TABLE_MAX];
  uint64_t half = mapper->size / SECTOR / 2;
  int length = format_line(table, sizeof(table), 0, half, "linear %s 0\n", mapper->disk.path);
  format_line(table + length, sizeof(table) - (size_t)length, half, half, target,
              mapper->disk.path);
  return reload(mapper, table, why);
}

/* The name goes with the request for removal; this one stays for as long as the device does. */
static int open_by_number(struct mapper* mapper) {
  struct stat about;
  if (stat(mapper->path, &about) != 0) {
    return -1;
  }
  snprintf(mapper->path, sizeof(mapper->path), "/dev/dm-%u", minor(about.st_rdev));
  mapper->device = open(mapper->path, O_RDWR | O_CLOEXEC);
  return mapper->device < 0 ? -1 : 0;
}

/* Removal is asked for as soon as the device is open, and takes place when nobody uses it any more,
 * however the program ends. */
static int create(struct mapper* mapper, char why[FILESYSTEM_WHY_MAX]) {
  static unsigned count;
  char table[TABLE_MAX];
  char* make[] = {"dmsetup", "create", mapper->name, "--table", table, NULL};
  char* remove_later[] = {"dmsetup", "remove", "--deferred", mapper->name, NULL};
  setenv("DM_DISABLE_UDEV", "1", 1); /* dmsetup makes the node itself, where nobody else may */
  snprintf(mapper->name, sizeof(mapper->name), "uvdio-%ld-%u", (long)getpid(), count++);
  snprintf(mapper->path, sizeof(mapper->path), "/dev/mapper/%s", mapper->name);
  format_line(table, sizeof(table), 0, mapper->size / SECTOR, "linear %s 0", mapper->disk.path);
  if (run_program(make, why) != 0) {
    return -1;
  }
  int failed = open_by_number(mapper) != 0 ? give_up(why, mapper->path) : 0;
  char ignored[FILESYSTEM_WHY_MAX];
  return run_program(remove_later, failed ? ignored : why) != 0 ? -1 : failed;
}

int mapper_make(struct mapper* mapper, uint64_t size, char why[FILESYSTEM_WHY_MAX]) {
  memset(mapper, 0, sizeof(*mapper));
  mapper->size = size;
  mapper->device = -1;
  if (access("/dev/mapper/control", R_OK | W_OK) != 0) {
    return give_up(why, "device-mapper (/dev/mapper/control)");
  }
  /* The image is sparse, and the filesystem around it takes a little as well. */
  if (disk_make(&mapper->disk, size, size + size / 8, why) != 0) {
    return -1;
  }
  if (create(mapper, why) != 0) {
    mapper_remove(mapper);
    return -1;
  }
  return 0;
}

int mapper_mount(struct mapper* mapper, const char* kind, char why[FILESYSTEM_WHY_MAX]) {
  char maker[16];
  char* make[] = {maker, "-q", mapper->path, NULL};
  snprintf(maker, sizeof(maker), "mkfs.%s", kind);
  snprintf(mapper->dir, sizeof(mapper->dir), "%s/mapped", mapper->disk.filesystem.dir);
  if (run_program(make, why) != 0 || mkdir(mapper->dir, 0700) != 0 ||
      mount(mapper->path, mapper->dir, kind, 0, NULL) != 0) {
    mapper->dir[0] = '\0';
    return why[0] != '\0' ? -1 : give_up(why, kind);
  }
  return 0;
}

void mapper_remove(struct mapper* mapper) {
  if (mapper->dir[0] != '\0') {
    umount2(mapper->dir, MNT_DETACH);
    rmdir(mapper->dir);
  }
  if (mapper->device >= 0) {
    close(mapper->device);
  }
  if (mapper->disk.path[0] != '\0') {
    disk_remove(&mapper->disk);
  }
  memset(mapper, 0, sizeof(*mapper));
  mapper->device = -1;
}
