/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ATTEMPTS 5

static int give_up(char why[FILESYSTEM_WHY_MAX], const char* what) {
  snprintf(why, FILESYSTEM_WHY_MAX, "%s: %s", what, strerror(errno));
  return -1;
}

static int make_image(const struct disk* disk, uint64_t size) {
  char path[FILESYSTEM_PATH_MAX + 16];
  snprintf(path, sizeof(path), "%s/image", disk->filesystem.dir);
  int image = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (image >= 0 && ftruncate(image, (off_t)size) != 0) {
    close(image);
    return -1;
  }
  return image;
}

/* LOOP_CONFIGURE: Linux 5.8. */
static int attach_to(struct disk* disk, int number, int image) {
  struct loop_config config;
  snprintf(disk->path, sizeof(disk->path), "/dev/loop%d", number);
  disk->device = open(disk->path, O_RDWR | O_CLOEXEC);
  if (disk->device < 0) {
    return -1;
  }
  memset(&config, 0, sizeof(config));
  config.fd = (unsigned)image;
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (ioctl(disk->device, LOOP_CONFIGURE, &config) != 0) {
    close(disk->device);
    return -1;
  }
  return 0;
}

/* Others reach for free devices as well: try again. */
static int attach(struct disk* disk, int image) {
  int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  int failed = -1;
  for (int i = 0; control >= 0 && failed && i < ATTEMPTS; i++) {
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    failed = number < 0 ? -1 : attach_to(disk, number, image);
  }
  if (control >= 0) {
    close(control);
  }
  return failed;
}

int disk_make(struct disk* disk, uint64_t size, uint64_t backed, char why[FILESYSTEM_WHY_MAX]) {
  memset(disk, 0, sizeof(*disk));
  if (filesystem_make_indirect(&disk->filesystem, "tmpfs", backed, why) != 0) {
    return -1;
  }
  int image = make_image(disk, size);
  int failed = image < 0 ? give_up(why, "image") : 0;
  if (!failed && attach(disk, image) != 0) {
    failed = give_up(why, "loop device");
  }
  if (image >= 0) {
    close(image);
  }
  if (failed) {
    filesystem_remove(&disk->filesystem);
  }
  return failed;
}

void disk_remove(struct disk* disk) {
  close(disk->device);
  filesystem_remove(&disk->filesystem);
}

int disk_cut(const struct disk* disk, uint64_t size) {
  char path[FILESYSTEM_PATH_MAX + 16];
  snprintf(path, sizeof(path), "%s/image", disk->filesystem.dir);
  return truncate(path, (off_t)size);
}
