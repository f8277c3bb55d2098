/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare, O_DIRECT */
#endif

#include "filesystem.h"

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

#include "folder.h"

#define MIB (1024ull * 1024)
#define FILESYSTEMS_MAX 8
#define TMPFS_MAGIC_NUMBER 0x01021994
#define MOUNT_ATTEMPTS 5

struct recipe;
typedef int (*mounter)(struct filesystem* filesystem, const struct recipe* recipe, char* image,
                       char why[FILESYSTEM_WHY_MAX]);
static int mount_by_loop(struct filesystem* filesystem, const struct recipe* recipe, char* image,
                         char why[FILESYSTEM_WHY_MAX]);
static int mount_by_fuse(struct filesystem* filesystem, const struct recipe* recipe, char* image,
                         char why[FILESYSTEM_WHY_MAX]);
static int mount_by_sectors(struct filesystem* filesystem, const struct recipe* recipe, char* image,
                            char why[FILESYSTEM_WHY_MAX]);

/* The filesystems that live in an image: what makes them, quietly, how large by default, what
 * mounts them and which filesystem that is. */
static const struct recipe {
  const char* kind;
  const char* maker;
  const char* quiet;
  const char* option; /* of the maker; null for none */
  uint64_t size;
  mounter mount;
  const char* name;
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

int filesystem_known(const char* kind) {
  return strcmp(kind, "here") == 0 || strcmp(kind, "tmpfs") == 0 || strcmp(kind, "ramfs") == 0 ||
         find_recipe(kind) != NULL;
}

static int give_up(char why[FILESYSTEM_WHY_MAX], const char* what, const char* reason) {
  snprintf(why, FILESYSTEM_WHY_MAX, "%.80s: %.160s", what, reason);
  return -1;
}

/*
 * Clean-up, whatever happens. A forked child inherits the list, and must not act on it.
 */

static struct filesystem* living[FILESYSTEMS_MAX];
static pid_t owner;

static void forget(const struct filesystem* filesystem) {
  for (int i = 0; i < FILESYSTEMS_MAX; i++) {
    if (living[i] == filesystem) {
      living[i] = NULL;
    }
  }
}

/* What a program leaves, nobody removes: its tests have failed then. */
static void remove_or_fail(const char* path) {
  if (path[0] != '\0' && remove_folder(path) != 0 && errno != ENOENT) {
    fprintf(stderr, "%s is left: %s\n", path, strerror(errno));
    _exit(1);
  }
}

static void remove_all(void) {
  for (int i = 0; i < FILESYSTEMS_MAX && getpid() == owner; i++) {
    if (living[i] != NULL) {
      filesystem_remove(living[i]);
    }
  }
}

/* Only calls that a signal handler may make; files in a plain folder stay. */
static void remove_mounts(int signal_number) {
  for (int i = 0; i < FILESYSTEMS_MAX && getpid() == owner; i++) {
    if (living[i] != NULL && living[i]->mounted) {
      umount2(living[i]->dir, MNT_DETACH); /* a system call: NOLINT(bugprone-signal-handler) */
      rmdir(living[i]->dir);
      rmdir(living[i]->root);
    }
  }
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

static void remember(struct filesystem* filesystem) {
  static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT};
  if (owner == 0) {
    owner = getpid();
    atexit(remove_all);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
      signal(endings[i], remove_mounts);
    }
  }
  for (int i = 0; i < FILESYSTEMS_MAX; i++) {
    if (living[i] == NULL) {
      living[i] = filesystem;
      return;
    }
  }
}

void filesystem_remove(struct filesystem* filesystem) {
  forget(filesystem);
  if (filesystem->mounted) {
    umount2(filesystem->dir, MNT_DETACH);
    filesystem->mounted = 0;
  }
  remove_or_fail(filesystem->dir);
  remove_or_fail(filesystem->root);
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

static void first_line(int input, char why[FILESYSTEM_WHY_MAX]) {
  ssize_t got = pread(input, why, FILESYSTEM_WHY_MAX - 1, 0);
  why[got > 0 ? got : 0] = '\0';
  why[strcspn(why, "\n")] = '\0';
}

/* Returns 0 with the first line of what the program said, or -1 with that as the reason. */
static int ask_program(char* const argv[], char said[FILESYSTEM_WHY_MAX],
                       char why[FILESYSTEM_WHY_MAX]) {
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

int run_program(char* const argv[], char why[FILESYSTEM_WHY_MAX]) {
  char said[FILESYSTEM_WHY_MAX];
  return ask_program(argv, said, why);
}

/*
 * Mounting.
 */

/* From here on, what we mount is ours alone. */
static int enter_namespace(char why[FILESYSTEM_WHY_MAX]) {
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
static char why_not[FILESYSTEM_WHY_MAX] = "mount: filesystems_begin() was not called";

void filesystems_begin(void) {
  can_mount = enter_namespace(why_not) == 0;
}

static int make_image(const char* path, uint64_t size, char why[FILESYSTEM_WHY_MAX]) {
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    return give_up(why, path, strerror(errno));
  }
  int failed = ftruncate(fd, (off_t)size);
  close(fd);
  return failed ? give_up(why, path, strerror(errno)) : 0;
}

static int make_filesystem(const struct recipe* recipe, char* where, char why[FILESYSTEM_WHY_MAX]) {
  char* argv[] = {(char*)recipe->maker, (char*)recipe->quiet, where, (char*)recipe->option, NULL};
  return run_program(argv, why);
}

/* Several programs may reach for the same free loop device at once: the losers try again. */
static int mount_by_loop(struct filesystem* filesystem, const struct recipe* recipe, char* image,
                         char why[FILESYSTEM_WHY_MAX]) {
  char* argv[] = {"mount", "-o", "loop", image, filesystem->dir, NULL};
  int failed = make_filesystem(recipe, image, why);
  for (int i = 0; !failed && i < MOUNT_ATTEMPTS; i++) {
    if (run_program(argv, why) == 0) {
      return 0;
    }
  }
  return -1;
}

/* The process that serves the filesystem ends when it is unmounted. */
static int mount_by_fuse(struct filesystem* filesystem, const struct recipe* recipe, char* image,
                         char why[FILESYSTEM_WHY_MAX]) {
  char* argv[] = {"fuse2fs", "-o", "fakeroot", image, filesystem->dir, NULL};
  int failed = make_filesystem(recipe, image, why);
  return failed ? failed : run_program(argv, why);
}

static int attach_sectors(char* image, char device[FILESYSTEM_WHY_MAX],
                          char why[FILESYSTEM_WHY_MAX]) {
  char* argv[] = {"losetup", "--sector-size", "4096", "--find", "--show", image, NULL};
  int failed = -1;
  for (int i = 0; failed && i < MOUNT_ATTEMPTS; i++) {
    failed = ask_program(argv, device, why);
  }
  return failed;
}

/* The device is given up while it is mounted, and goes with the mount. */
static int mount_by_sectors(struct filesystem* filesystem, const struct recipe* recipe, char* image,
                            char why[FILESYSTEM_WHY_MAX]) {
  char device[FILESYSTEM_WHY_MAX], ignored[FILESYSTEM_WHY_MAX];
  char* mount_it[] = {"mount", device, filesystem->dir, NULL};
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

static int make_and_mount(struct filesystem* filesystem, uint64_t size,
                          char why[FILESYSTEM_WHY_MAX]) {
  const struct recipe* recipe = find_recipe(filesystem->kind);
  char image[FILESYSTEM_PATH_MAX + 16];
  snprintf(image, sizeof(image), "%s/image", filesystem->root);
  int failed = make_image(image, size != 0 ? size : recipe->size, why);
  if (!failed) {
    failed = recipe->mount(filesystem, recipe, image, why);
  }
  unlink(image);
  return failed;
}

/* Filesystems in memory need no image. */
static int mount_plain(struct filesystem* filesystem, uint64_t size, char why[FILESYSTEM_WHY_MAX]) {
  char options[64];
  snprintf(options, sizeof(options), "size=%llu", (unsigned long long)size);
  if (mount("none", filesystem->dir, filesystem->kind, 0, size != 0 ? options : NULL) != 0) {
    return give_up(why, filesystem->kind, strerror(errno));
  }
  return 0;
}

static int make_mounted(struct filesystem* filesystem, uint64_t size,
                        char why[FILESYSTEM_WHY_MAX]) {
  snprintf(filesystem->dir, sizeof(filesystem->dir), "%.480s/mnt", filesystem->root);
  if (!can_mount) {
    filesystem->dir[0] = '\0';
    snprintf(why, FILESYSTEM_WHY_MAX, "%s", why_not);
    return -1;
  }
  if (mkdir(filesystem->dir, 0700) != 0) {
    return give_up(why, filesystem->dir, strerror(errno));
  }
  int failed = find_recipe(filesystem->kind) != NULL ? make_and_mount(filesystem, size, why)
                                                     : mount_plain(filesystem, size, why);
  filesystem->mounted = !failed;
  return failed;
}

/*
 * Folders.
 */

/* A folder of ours below `parent`, to hold either the files or the mount. */
static int make_root(struct filesystem* filesystem, const char* parent,
                     char why[FILESYSTEM_WHY_MAX]) {
  snprintf(filesystem->root, sizeof(filesystem->root), "%.400s/uvdio-%s-XXXXXX", parent,
           filesystem->kind);
  if (mkdtemp(filesystem->root) == NULL) {
    filesystem->root[0] = '\0';
    return give_up(why, parent, strerror(errno));
  }
  (void)chmod(filesystem->root, 0711); /* some tests go on as another user */
  return 0;
}

static int is_tmpfs(const char* path) {
  struct statfs about;
  return statfs(path, &about) == 0 && about.f_type == TMPFS_MAGIC_NUMBER && access(path, W_OK) == 0;
}

/* Some filesystems refuse O_DIRECT; tests on them would say nothing about the library. */
static int takes_direct_io(const struct filesystem* filesystem, char why[FILESYSTEM_WHY_MAX]) {
  char path[FILESYSTEM_PATH_MAX + 16];
  snprintf(path, sizeof(path), "%s/direct", filesystem->dir);
  int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
  int refused = fd < 0 ? errno : 0;
  unlink(path);
  if (fd >= 0) {
    close(fd);
  }
  return refused ? give_up(why, "open with O_DIRECT", strerror(refused)) : 0;
}

static int make_folder(struct filesystem* filesystem, const char* parent,
                       char why[FILESYSTEM_WHY_MAX]) {
  if (make_root(filesystem, parent, why) != 0) {
    return -1;
  }
  snprintf(filesystem->dir, sizeof(filesystem->dir), "%s", filesystem->root);
  return 0;
}

static int make_any(struct filesystem* filesystem, uint64_t size, char why[FILESYSTEM_WHY_MAX]) {
  char cwd[FILESYSTEM_PATH_MAX - 64];
  if (getcwd(cwd, sizeof(cwd)) == NULL) {
    return give_up(why, "getcwd", strerror(errno));
  }
  if (strcmp(filesystem->kind, "here") == 0) {
    return make_folder(filesystem, cwd, why);
  }
  if (strcmp(filesystem->kind, "tmpfs") == 0 && size == 0 && is_tmpfs("/dev/shm")) {
    return make_folder(filesystem, "/dev/shm", why);
  }
  if (make_root(filesystem, cwd, why) != 0) {
    return -1;
  }
  return make_mounted(filesystem, size, why);
}

int filesystem_make_indirect(struct filesystem* filesystem, const char* kind, uint64_t size,
                             char why[FILESYSTEM_WHY_MAX]) {
  const struct recipe* recipe = find_recipe(kind);
  memset(filesystem, 0, sizeof(*filesystem));
  snprintf(filesystem->kind, sizeof(filesystem->kind), "%s", kind);
  if (strcmp(kind, "here") != 0) {
    filesystem->name = recipe != NULL ? recipe->name : filesystem->kind;
  }
  remember(filesystem);
  int failed = make_any(filesystem, size, why);
  if (failed) {
    filesystem_remove(filesystem);
  }
  return failed;
}

int filesystem_make(struct filesystem* filesystem, const char* kind, uint64_t size,
                    char why[FILESYSTEM_WHY_MAX]) {
  int failed = filesystem_make_indirect(filesystem, kind, size, why);
  if (!failed && takes_direct_io(filesystem, why) != 0) {
    filesystem_remove(filesystem);
    failed = -1;
  }
  return failed;
}
