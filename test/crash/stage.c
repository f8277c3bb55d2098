/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/loop.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024ull * 1024)
#define ROOT "/media" /* exists on every Linux; covered, in our namespace alone */
#define DISK ROOT "/disk"
#define DIR ROOT "/files"
#define UNIT 4096u /* what disks of today write whole */
#define LITTER (6 * MIB)
#define CHUNK 65536
#define LOOP_ATTEMPTS 100
#define UNMOUNT_ATTEMPTS 3000 /* of 10 ms */

extern char** environ;

static const struct recipe {
  const char* kind;
  const char* maker;
  const char* options[3];
  uint64_t size;
} recipes[] = {
    {"ext4", "mkfs.ext4", {"-q", "-F", NULL}, 128 * MIB},
    {"xfs", "mkfs.xfs", {"-q", "-f", NULL}, 320 * MIB},
    {"btrfs", "mkfs.btrfs", {"-q", "-f", NULL}, 256 * MIB},
};

static int give_up(char why[STAGE_WHY_MAX], const char* what, const char* reason) {
  snprintf(why, STAGE_WHY_MAX, "%.80s: %.160s", what, reason);
  return -1;
}

static int give_up_errno(char why[STAGE_WHY_MAX], const char* what) {
  return give_up(why, what, strerror(errno));
}

/*
 * Making.
 */

static int enter_namespace(struct stage* stage, char why[STAGE_WHY_MAX]) {
  if (geteuid() != 0) {
    return give_up(why, "mounting a filesystem", "needs root");
  }
  stage->home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (stage->home < 0 || unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0) {
    return give_up_errno(why, "a mount namespace");
  }
  if (mount("none", ROOT, "tmpfs", 0, "size=1m") != 0) {
    return give_up_errno(why, "tmpfs on " ROOT);
  }
  int file = open(DISK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || close(file) != 0 || mkdir(DIR, 0700) != 0) {
    return give_up_errno(why, ROOT);
  }
  return 0;
}

/* Inherited by mkfs, which opens it by its number. */
static int memory_file(const char* name, uint64_t size) {
  int fd = memfd_create(name, 0);
  if (fd >= 0 && ftruncate(fd, (off_t)size) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

static int run_maker(const struct recipe* recipe, int image, char why[STAGE_WHY_MAX]) {
  char path[32];
  char* argv[] = {(char*)recipe->maker, (char*)recipe->options[0], (char*)recipe->options[1], path,
                  NULL};
  pid_t child;
  int status = 0;
  snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
  int error = posix_spawnp(&child, recipe->maker, NULL, NULL, argv, environ);
  if (error != 0) {
    return give_up(why, recipe->maker, strerror(error));
  }
  if (waitpid(child, &status, 0) != child || status != 0) {
    return give_up(why, recipe->maker, "failed, see above");
  }
  return 0;
}

static int make_files(struct stage* stage, char why[STAGE_WHY_MAX]) {
  stage->original = memory_file("uvdio-original", stage->size);
  stage->durable = memory_file("uvdio-durable", stage->size);
  stage->live = memory_file("uvdio-live", stage->size);
  if (stage->original < 0 || stage->durable < 0 || stage->live < 0) {
    return give_up_errno(why, "memory for a disk");
  }
  return 0;
}

static int make_control(struct stage* stage, char why[STAGE_WHY_MAX]) {
  void* shared =
      mmap(NULL, sizeof(*stage->disk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    return give_up_errno(why, "shared memory");
  }
  stage->disk = shared;
  stage->disk->unit = UNIT;
  return 0;
}

static void copy_extent(int from, int to, off_t at, off_t end) {
  static const char zeros[CHUNK];
  static char data[CHUNK];
  while (at < end) {
    size_t size = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
    ssize_t got = pread(from, data, size, at);
    ssize_t put = got > 0 && memcmp(data, zeros, size) != 0 ? pwrite(to, data, size, at) : got;
    assert(got == (ssize_t)size && put == got);
    (void)put;
    at += (off_t)size;
  }
}

/* Zeros become holes: a fresh filesystem is mostly that. */
static void copy_bytes(int from, int to, uint64_t size) {
  int emptied = ftruncate(to, 0) == 0 && ftruncate(to, (off_t)size) == 0;
  assert(emptied);
  (void)emptied;
  off_t start = lseek(from, 0, SEEK_DATA);
  while (start >= 0) {
    off_t end = lseek(from, start, SEEK_HOLE);
    copy_extent(from, to, start, end);
    start = lseek(from, end, SEEK_DATA);
  }
}

/* Old bytes in free space, which a filesystem that exposes what was never written would show. */
static int make_litter(void) {
  static char block[MIB];
  memset(block, 0xdb, sizeof(block));
  int fd = open(DIR "/litter", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  int failed = fd < 0;
  for (uint64_t done = 0; !failed && done < LITTER; done += sizeof(block)) {
    failed = write(fd, block, sizeof(block)) != (ssize_t)sizeof(block);
  }
  failed = failed || fsync(fd) != 0;
  if (fd >= 0) {
    close(fd);
  }
  return failed || unlink(DIR "/litter") != 0 ? -errno : 0;
}

static int make_original(struct stage* stage, const struct recipe* recipe,
                         char why[STAGE_WHY_MAX]) {
  if (run_maker(recipe, stage->original, why) != 0) {
    return -1;
  }
  copy_bytes(stage->original, stage->durable, stage->size);
  copy_bytes(stage->original, stage->live, stage->size);
  if (disk_start(stage->disk, stage->home, DISK, stage->durable, stage->live, stage->size) < 0) {
    return give_up_errno(why, "FUSE");
  }
  int error = stage_mount(stage);
  error = error != 0 ? error : make_litter();
  int unmounted = stage_unmount(stage);
  error = error != 0 ? error : unmounted;
  if (error != 0) {
    return give_up(why, "a filesystem on a loop device on FUSE", strerror(-error));
  }
  copy_bytes(stage->live, stage->original, stage->size);
  return 0;
}

static void find_tools(void) {
  const char* path = getenv("PATH");
  char longer[4096];
  snprintf(longer, sizeof(longer), "%s:/usr/sbin:/sbin", path != NULL ? path : "/usr/bin:/bin");
  setenv("PATH", longer, 1);
}

int stage_make(struct stage* stage, const char* kind, char why[STAGE_WHY_MAX]) {
  const struct recipe* recipe = NULL;
  for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++) {
    recipe = strcmp(recipes[i].kind, kind) == 0 ? &recipes[i] : recipe;
  }
  if (recipe == NULL) {
    return give_up(why, kind, "no filesystem that this test knows");
  }
  *stage = (struct stage){.kind = recipe->kind, .dir = DIR, .size = recipe->size, .loop = -1};
  find_tools();
  if (enter_namespace(stage, why) != 0 || make_files(stage, why) != 0 ||
      make_control(stage, why) != 0) {
    return -1;
  }
  return make_original(stage, recipe, why);
}

/*
 * The loop device.
 */

static int open_free_loop(struct stage* stage) {
  int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  int number = control >= 0 ? ioctl(control, LOOP_CTL_GET_FREE) : -1;
  int error = errno;
  if (control >= 0) {
    close(control);
  }
  if (number < 0) {
    return -error;
  }
  snprintf(stage->loop_path, sizeof(stage->loop_path), "/dev/loop%d", number);
  int fd = open(stage->loop_path, O_RDWR | O_CLOEXEC);
  return fd >= 0 ? fd : -errno;
}

/* Others may reach for the same free device: the loser tries the next one. */
static int attach(struct stage* stage) {
  struct loop_config config = {.info = {.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR}};
  int backing = open(DISK, O_RDWR | O_CLOEXEC);
  int error = backing < 0 ? -errno : -EBUSY;
  config.fd = (unsigned)backing;
  for (int i = 0; backing >= 0 && i < LOOP_ATTEMPTS && error != 0; i++) {
    int fd = open_free_loop(stage);
    error = fd < 0 ? fd : ioctl(fd, LOOP_CONFIGURE, &config) == 0 ? 0 : -errno;
    if (error == 0) {
      stage->loop = fd;
    } else if (fd >= 0) {
      close(fd);
    }
    if (error != 0 && error != -EBUSY) {
      break;
    }
  }
  if (backing >= 0) {
    close(backing);
  }
  return error;
}

/* Without direct I/O the page cache above the disk would be a second volatile cache, which
 * survives. */
static int check_direct(const struct stage* stage) {
  struct loop_info64 info;
  if (ioctl(stage->loop, LOOP_GET_STATUS64, &info) != 0) {
    return -errno;
  }
  return info.lo_flags & LO_FLAGS_DIRECT_IO ? 0 : -EOPNOTSUPP;
}

/* The kernel remembers which of btrfs's devices it has seen last, and would refuse an older state
 * of it elsewhere. */
static void forget_device(const struct stage* stage) {
  struct btrfs_ioctl_vol_args args = {0};
  int fd = open("/dev/btrfs-control", O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    snprintf(args.name, sizeof(args.name), "%s", stage->loop_path);
    ioctl(fd, BTRFS_IOC_FORGET_DEV, &args);
    close(fd);
  }
}

static void detach(struct stage* stage) {
  if (stage->loop >= 0) {
    if (strcmp(stage->kind, "btrfs") == 0) {
      forget_device(stage);
    }
    close(stage->loop);
    stage->loop = -1;
  }
}

/*
 * Mounting.
 */

/* XFS repeats metadata writes that fail for ever, also within mount(2), which the power may be cut
 * under: once recovery has files without a name to remove, it waits for these writes. Told by
 * sysfs, where the filesystem turns up while it is being mounted, it gives up at the first. */
struct retries {
  const char* device; /* "/dev/loop0" */
  _Atomic int is_over;
};

static void* end_retries(void* argument) {
  static const struct timespec pause = {0, 1000 * 1000};
  struct retries* retries = argument;
  char path[96];
  int fd = -1;
  snprintf(path, sizeof(path), "/sys/fs/xfs/%s/error/metadata/EIO/max_retries",
           retries->device + sizeof("/dev/") - 1);
  while (fd < 0 && !retries->is_over) {
    fd = open(path, O_WRONLY | O_CLOEXEC);
    nanosleep(&pause, NULL);
  }
  if (fd >= 0) {
    ssize_t wrote = write(fd, "0", 1);
    assert(wrote == 1);
    (void)wrote;
    close(fd);
  }
  return NULL;
}

static int mount_xfs(const struct stage* stage) {
  struct retries retries = {.device = stage->loop_path};
  pthread_t thread;
  int error = -pthread_create(&thread, NULL, end_retries, &retries);
  if (error != 0) {
    return error;
  }
  error = mount(stage->loop_path, DIR, stage->kind, MS_NOATIME, NULL) == 0 ? 0 : -errno;
  retries.is_over = 1;
  (void)pthread_join(thread, NULL);
  return error;
}

static int mount_kind(const struct stage* stage) {
  if (strcmp(stage->kind, "xfs") == 0) {
    return mount_xfs(stage);
  }
  return mount(stage->loop_path, DIR, stage->kind, MS_NOATIME, NULL) == 0 ? 0 : -errno;
}

int stage_mount(struct stage* stage) {
  assert(!stage->mounted && stage->loop < 0);
  int error = attach(stage);
  error = error != 0 ? error : check_direct(stage);
  error = error != 0 ? error : mount_kind(stage);
  if (error != 0) {
    detach(stage);
  }
  stage->mounted = error == 0;
  return error;
}

/* A ring gives its files back some time after its process has gone, and nothing tells when. */
static int unmount_patiently(void) {
  static const struct timespec pause = {0, 10 * 1000 * 1000};
  int failed = -1;
  for (int i = 0; failed && i < UNMOUNT_ATTEMPTS; i++) {
    failed = umount2(DIR, 0);
    if (failed && errno != EBUSY) {
      break;
    }
    if (failed) {
      nanosleep(&pause, NULL);
    }
  }
  return failed ? -errno : 0;
}

int stage_unmount(struct stage* stage) {
  int error = stage->mounted ? unmount_patiently() : 0;
  if (error == 0) {
    stage->mounted = 0;
    detach(stage);
  }
  return error;
}

int stage_pull_plug(struct stage* stage) {
  disk_cut(stage->disk, DISK);
  int error = stage_unmount(stage);
  if (error == 0) {
    disk_power(stage->disk);
  }
  return error;
}

void stage_reset(struct stage* stage) {
  assert(!stage->mounted && stage->loop < 0);
  disk_cut(stage->disk, DISK);
  copy_bytes(stage->original, stage->durable, stage->size);
  copy_bytes(stage->original, stage->live, stage->size);
  disk_power(stage->disk);
}
