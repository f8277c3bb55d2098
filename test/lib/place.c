/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare, O_DIRECT */
#endif

#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024ull * 1024)
#define PLACES_MAX 8
#define TMPFS_MAGIC_NUMBER 0x01021994
#define MOUNT_ATTEMPTS 5

struct recipe;
typedef int (*mounter)(struct place* place, const struct recipe* recipe, char* image,
                       char why[PLACE_WHY_MAX]);
static int mount_by_loop(struct place* place, const struct recipe* recipe, char* image,
                         char why[PLACE_WHY_MAX]);
static int mount_by_fuse(struct place* place, const struct recipe* recipe, char* image,
                         char why[PLACE_WHY_MAX]);
static int mount_by_sectors(struct place* place, const struct recipe* recipe, char* image,
                            char why[PLACE_WHY_MAX]);

/* The filesystems that live in an image: what makes them, quietly, how large by default, what
 * mounts them and which filesystem that is. */
static const struct recipe {
  const char* kind;
  const char* maker;
  const char* quiet;
  const char* option; /* of the maker; null for none */
  uint64_t size;
  mounter mount;
  const char* filesystem;
} recipes[] = {
    {"ext4", "mkfs.ext4", "-q", NULL, 128 * MIB, mount_by_loop, "ext4"},
    {"xfs", "mkfs.xfs", "-q", NULL, 400 * MIB, mount_by_loop, "xfs"},
    {"blocks", "mkfs.xfs", "-q", "-bsize=16384", 600 * MIB, mount_by_loop, "xfs"},
    {"btrfs", "mkfs.btrfs", "-q", NULL, 256 * MIB, mount_by_loop, "btrfs"},
    {"fuse", "mkfs.ext4", "-q", NULL, 128 * MIB, mount_by_fuse, "fuse"},
    {"sectors", "mkfs.ext4", "-q", NULL, 128 * MIB, mount_by_sectors, "ext4"},
};

static const struct recipe* find_recipe(const char* kind) {
  for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++) {
    if (strcmp(recipes[i].kind, kind) == 0) {
      return &recipes[i];
    }
  }
  return NULL;
}

int place_known(const char* kind) {
  return strcmp(kind, "here") == 0 || strcmp(kind, "tmpfs") == 0 || strcmp(kind, "ramfs") == 0 ||
         find_recipe(kind) != NULL;
}

static int give_up(char why[PLACE_WHY_MAX], const char* what, const char* reason) {
  snprintf(why, PLACE_WHY_MAX, "%.80s: %.160s", what, reason);
  return -1;
}

/*
 * Clean-up, whatever happens. A forked child inherits the list, and must not act on it.
 */

static struct place* living[PLACES_MAX];
static pid_t owner;

static void forget(const struct place* place) {
  for (int i = 0; i < PLACES_MAX; i++) {
    if (living[i] == place) {
      living[i] = NULL;
    }
  }
}

static void remove_all(void) {
  for (int i = 0; i < PLACES_MAX && getpid() == owner; i++) {
    if (living[i] != NULL) {
      place_remove(living[i]);
    }
  }
}

/* Only calls that a signal handler may make; files in a plain folder stay. */
static void remove_mounts(int signal_number) {
  for (int i = 0; i < PLACES_MAX && getpid() == owner; i++) {
    if (living[i] != NULL && living[i]->mounted) {
      umount2(living[i]->dir, MNT_DETACH); /* a system call: NOLINT(bugprone-signal-handler) */
      rmdir(living[i]->dir);
      rmdir(living[i]->root);
    }
  }
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

static void remember(struct place* place) {
  static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT};
  if (owner == 0) {
    owner = getpid();
    atexit(remove_all);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
      signal(endings[i], remove_mounts);
    }
  }
  for (int i = 0; i < PLACES_MAX; i++) {
    if (living[i] == NULL) {
      living[i] = place;
      return;
    }
  }
}

void remove_folder(const char* path) {
  char name[PLACE_PATH_MAX + 256];
  DIR* list = opendir(path);
  if (list == NULL) {
    return;
  }
  for (struct dirent* entry = readdir(list); entry != NULL; entry = readdir(list)) {
    if (entry->d_name[0] != '.') {
      snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
      if (unlink(name) != 0) {
        rmdir(name);
      }
    }
  }
  closedir(list);
  rmdir(path);
}

void place_remove(struct place* place) {
  forget(place);
  if (place->mounted) {
    umount2(place->dir, MNT_DETACH);
    place->mounted = 0;
  }
  if (place->dir[0] != '\0') {
    remove_folder(place->dir);
  }
  if (place->root[0] != '\0') {
    remove_folder(place->root);
  }
}

/*
 * Running mkfs and mount, which know best how to do it.
 */

static void become_program(char* const argv[], int output) {
  const char* path = getenv("PATH");
  char longer[4096];
  snprintf(longer, sizeof(longer), "%s:/usr/sbin:/sbin", path != NULL ? path : "/usr/bin:/bin");
  setenv("PATH", longer, 1);
  unsetenv("LD_PRELOAD");
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execvp(argv[0], argv);
  dprintf(output, "%s", strerror(errno));
  _exit(127);
}

static void first_line(int input, char why[PLACE_WHY_MAX]) {
  ssize_t got = pread(input, why, PLACE_WHY_MAX - 1, 0);
  why[got > 0 ? got : 0] = '\0';
  why[strcspn(why, "\n")] = '\0';
}

/* Returns 0 with the first line of what the program said, or -1 with that as the reason. */
static int ask_program(char* const argv[], char said[PLACE_WHY_MAX], char why[PLACE_WHY_MAX]) {
  FILE* output = tmpfile();
  if (output == NULL) {
    return give_up(why, "tmpfile", strerror(errno));
  }
  pid_t child = fork();
  if (child == 0) {
    become_program(argv, fileno(output));
  }
  int status = 0;
  int failed = child < 0 || waitpid(child, &status, 0) != child || status != 0;
  first_line(fileno(output), said);
  fclose(output);
  return failed ? give_up(why, argv[0], said) : 0;
}

int run_program(char* const argv[], char why[PLACE_WHY_MAX]) {
  char said[PLACE_WHY_MAX];
  return ask_program(argv, said, why);
}

/*
 * Mounting.
 */

/* From here on, what we mount is ours alone. */
static int enter_namespace(char why[PLACE_WHY_MAX]) {
  if (geteuid() != 0) {
    return give_up(why, "mounting a filesystem", "needs root");
  }
  if (unshare(CLONE_NEWNS) != 0) {
    return give_up(why, "unshare(CLONE_NEWNS)", strerror(errno));
  }
  if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0) {
    return give_up(why, "mount(MS_PRIVATE)", strerror(errno));
  }
  return 0;
}

static int can_mount;
static char why_not[PLACE_WHY_MAX] = "mount: places_begin() was not called";

void places_begin(void) {
  can_mount = enter_namespace(why_not) == 0;
}

static int make_image(const char* path, uint64_t size, char why[PLACE_WHY_MAX]) {
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    return give_up(why, path, strerror(errno));
  }
  int failed = ftruncate(fd, (off_t)size);
  close(fd);
  return failed ? give_up(why, path, strerror(errno)) : 0;
}

static int make_filesystem(const struct recipe* recipe, char* where, char why[PLACE_WHY_MAX]) {
  char* argv[] = {(char*)recipe->maker, (char*)recipe->quiet, where, (char*)recipe->option, NULL};
  return run_program(argv, why);
}

/* Several programs may reach for the same free loop device at once: the losers try again. */
static int mount_by_loop(struct place* place, const struct recipe* recipe, char* image,
                         char why[PLACE_WHY_MAX]) {
  char* argv[] = {"mount", "-o", "loop", image, place->dir, NULL};
  int failed = make_filesystem(recipe, image, why);
  for (int i = 0; !failed && i < MOUNT_ATTEMPTS; i++) {
    if (run_program(argv, why) == 0) {
      return 0;
    }
  }
  return -1;
}

/* The process that serves the filesystem ends when it is unmounted. */
static int mount_by_fuse(struct place* place, const struct recipe* recipe, char* image,
                         char why[PLACE_WHY_MAX]) {
  char* argv[] = {"fuse2fs", "-o", "fakeroot", image, place->dir, NULL};
  int failed = make_filesystem(recipe, image, why);
  return failed ? failed : run_program(argv, why);
}

static int attach_sectors(char* image, char device[PLACE_WHY_MAX], char why[PLACE_WHY_MAX]) {
  char* argv[] = {"losetup", "--sector-size", "4096", "--find", "--show", image, NULL};
  int failed = -1;
  for (int i = 0; failed && i < MOUNT_ATTEMPTS; i++) {
    failed = ask_program(argv, device, why);
  }
  return failed;
}

/* The device is given up while it is mounted, and goes with the mount. */
static int mount_by_sectors(struct place* place, const struct recipe* recipe, char* image,
                            char why[PLACE_WHY_MAX]) {
  char device[PLACE_WHY_MAX], ignored[PLACE_WHY_MAX];
  char* mount_it[] = {"mount", device, place->dir, NULL};
  char* detach_it[] = {"losetup", "--detach", device, NULL};
  if (attach_sectors(image, device, why) != 0) {
    return -1;
  }
  int failed = make_filesystem(recipe, device, why);
  if (!failed) {
    failed = run_program(mount_it, why);
  }
  run_program(detach_it, ignored);
  return failed;
}

static int make_and_mount(struct place* place, uint64_t size, char why[PLACE_WHY_MAX]) {
  const struct recipe* recipe = find_recipe(place->kind);
  char image[PLACE_PATH_MAX + 16];
  snprintf(image, sizeof(image), "%s/image", place->root);
  int failed = make_image(image, size != 0 ? size : recipe->size, why);
  if (!failed) {
    failed = recipe->mount(place, recipe, image, why);
  }
  unlink(image);
  return failed;
}

/* Filesystems in memory need no image. */
static int mount_plain(struct place* place, uint64_t size, char why[PLACE_WHY_MAX]) {
  char options[64];
  snprintf(options, sizeof(options), "size=%llu", (unsigned long long)size);
  if (mount("none", place->dir, place->kind, 0, size != 0 ? options : NULL) != 0) {
    return give_up(why, place->kind, strerror(errno));
  }
  return 0;
}

static int make_mounted(struct place* place, uint64_t size, char why[PLACE_WHY_MAX]) {
  snprintf(place->dir, sizeof(place->dir), "%.480s/mnt", place->root);
  if (!can_mount) {
    place->dir[0] = '\0';
    snprintf(why, PLACE_WHY_MAX, "%s", why_not);
    return -1;
  }
  if (mkdir(place->dir, 0700) != 0) {
    return give_up(why, place->dir, strerror(errno));
  }
  int failed = find_recipe(place->kind) != NULL ? make_and_mount(place, size, why)
                                                : mount_plain(place, size, why);
  place->mounted = !failed;
  return failed;
}

/*
 * Folders.
 */

/* A folder of ours below `parent`, to hold either the files or the mount. */
static int make_root(struct place* place, const char* parent, char why[PLACE_WHY_MAX]) {
  snprintf(place->root, sizeof(place->root), "%.400s/uvdio-%s-XXXXXX", parent, place->kind);
  if (mkdtemp(place->root) == NULL) {
    place->root[0] = '\0';
    return give_up(why, parent, strerror(errno));
  }
  (void)chmod(place->root, 0711); /* some tests go on as another user */
  return 0;
}

static int is_tmpfs(const char* path) {
  struct statfs about;
  return statfs(path, &about) == 0 && about.f_type == TMPFS_MAGIC_NUMBER && access(path, W_OK) == 0;
}

/* Some filesystems refuse O_DIRECT; tests on them would say nothing about the library. */
static int takes_direct_io(const struct place* place, char why[PLACE_WHY_MAX]) {
  char path[PLACE_PATH_MAX + 16];
  snprintf(path, sizeof(path), "%s/direct", place->dir);
  int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
  int refused = fd < 0 ? errno : 0;
  unlink(path);
  if (fd >= 0) {
    close(fd);
  }
  return refused ? give_up(why, "open with O_DIRECT", strerror(refused)) : 0;
}

static int make_folder(struct place* place, const char* parent, char why[PLACE_WHY_MAX]) {
  if (make_root(place, parent, why) != 0) {
    return -1;
  }
  snprintf(place->dir, sizeof(place->dir), "%s", place->root);
  return 0;
}

static int make_any(struct place* place, uint64_t size, char why[PLACE_WHY_MAX]) {
  char cwd[PLACE_PATH_MAX - 64];
  if (getcwd(cwd, sizeof(cwd)) == NULL) {
    return give_up(why, "getcwd", strerror(errno));
  }
  if (strcmp(place->kind, "here") == 0) {
    return make_folder(place, cwd, why);
  }
  if (strcmp(place->kind, "tmpfs") == 0 && size == 0 && is_tmpfs("/dev/shm")) {
    return make_folder(place, "/dev/shm", why);
  }
  if (make_root(place, cwd, why) != 0) {
    return -1;
  }
  return make_mounted(place, size, why);
}

int place_make_indirect(struct place* place, const char* kind, uint64_t size,
                        char why[PLACE_WHY_MAX]) {
  const struct recipe* recipe = find_recipe(kind);
  memset(place, 0, sizeof(*place));
  snprintf(place->kind, sizeof(place->kind), "%s", kind);
  if (strcmp(kind, "here") != 0) {
    place->filesystem = recipe != NULL ? recipe->filesystem : place->kind;
  }
  remember(place);
  int failed = make_any(place, size, why);
  if (failed) {
    place_remove(place);
  }
  return failed;
}

int place_make(struct place* place, const char* kind, uint64_t size, char why[PLACE_WHY_MAX]) {
  int failed = place_make_indirect(place, kind, size, why);
  if (!failed && takes_direct_io(place, why) != 0) {
    place_remove(place);
    failed = -1;
  }
  return failed;
}
