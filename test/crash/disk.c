/* SPDX-License-Identifier: MIT */
#define FUSE_USE_VERSION 35

#include "disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "random.h"

#define ATTRIBUTES_VALID 3600.0 /* seconds: the file's size never changes */

/* A write that no fsync has covered. */
struct pending {
  struct pending* next;
  uint64_t offset;
  size_t size;
  char data[];
};

/* One per process: it serves one disk. */
static struct disk {
  struct disk_control* control;
  int durable;
  int live;
  uint64_t size;
  struct pending* first;
  struct pending** end;
} disk;

/* These files are in memory: a short transfer is a mistake of ours. */
static void put(int fd, const char* data, size_t size, uint64_t offset) {
  ssize_t done = pwrite(fd, data, size, (off_t)offset);
  assert(done == (ssize_t)size);
  (void)done;
}

static void get(int fd, char* data, size_t size, uint64_t offset) {
  ssize_t done = pread(fd, data, size, (off_t)offset);
  assert(done == (ssize_t)size);
  (void)done;
}

static void forget_pending(void) {
  while (disk.first != NULL) {
    struct pending* next = disk.first->next;
    free(disk.first);
    disk.first = next;
  }
  disk.end = &disk.first;
}

static void make_durable(void) {
  for (struct pending* p = disk.first; p != NULL; p = p->next) {
    put(disk.durable, p->data, p->size, p->offset);
  }
  forget_pending();
}

/*
 * The power cut.
 */

enum luck {
  NOTHING_SURVIVES,
  ALL_SURVIVES,
  OLDEST_SURVIVE,
  SOME_WRITES_SURVIVE,
  SOME_SECTORS_SURVIVE,
  LUCKS
};

struct cut {
  struct random random;
  enum luck luck;
  unsigned left; /* OLDEST_SURVIVE: units that still do */
};

static unsigned count_units(void) {
  unsigned units = 0;
  for (struct pending* p = disk.first; p != NULL; p = p->next) {
    units += (unsigned)((p->size + disk.control->unit - 1) / disk.control->unit);
  }
  return units;
}

static struct cut begin_cut(void) {
  struct cut cut = {.random = {disk.control->seed}};
  cut.luck = (enum luck)random_below(&cut.random, LUCKS);
  cut.left = random_below(&cut.random, count_units() + 1);
  return cut;
}

static int unit_survives(struct cut* cut, int write_does) {
  switch (cut->luck) {
    case NOTHING_SURVIVES:
      return 0;
    case ALL_SURVIVES:
      return 1;
    case OLDEST_SURVIVE:
      return cut->left > 0 && cut->left-- > 0;
    case SOME_WRITES_SURVIVE:
      return write_does;
    case SOME_SECTORS_SURVIVE:
    case LUCKS:
      break;
  }
  return (int)random_below(&cut->random, 2);
}

/* Units are the disk's, not the write's: their borders lie where the disk's do. */
static void decide_write(struct cut* cut, const struct pending* p) {
  size_t size;
  int write_does = (int)random_below(&cut->random, 2);
  for (size_t at = 0; at < p->size; at += size) {
    size = disk.control->unit - (p->offset + at) % disk.control->unit;
    size = size < p->size - at ? size : p->size - at;
    if (unit_survives(cut, write_does)) {
      put(disk.durable, p->data + at, size, p->offset + at);
    } else {
      disk.control->lost += size;
    }
  }
  disk.control->pending += p->size;
}

static void cut_power(void) {
  struct cut cut = begin_cut();
  for (struct pending* p = disk.first; p != NULL; p = p->next) {
    decide_write(&cut, p);
  }
  for (struct pending* p = disk.first; p != NULL; p = p->next) {
    get(disk.durable, p->data, p->size, p->offset);
    put(disk.live, p->data, p->size, p->offset);
  }
  forget_pending();
  disk.control->cuts++;
  disk.control->off = 1;
}

/* Counts a request that changes something; acts where its number has come. Returns whether there is
 * power. */
static int account(void) {
  struct disk_control* control = disk.control;
  unsigned number = ++control->requests;
  if (control->act_at != 0 && number >= control->act_at && !control->acted) {
    control->acted = 1; /* before whoever waits for the target's end can ask */
    if (control->act == DISK_CUT) {
      cut_power();
    } else {
      kill(control->target, control->signal);
    }
  }
  return !control->off;
}

/*
 * What FUSE asks.
 */

static struct stat attributes(void) {
  struct stat about = {.st_ino = FUSE_ROOT_ID, .st_mode = S_IFREG | 0600, .st_nlink = 1};
  about.st_size = (off_t)disk.size;
  about.st_blksize = 4096;
  return about;
}

static void on_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info* info) {
  (void)inode;
  (void)info;
  struct stat about = attributes();
  fuse_reply_attr(req, &about, ATTRIBUTES_VALID);
}

/* The kernel would change the times, for one. */
static void on_setattr(fuse_req_t req, fuse_ino_t inode, struct stat* wanted, int which,
                       struct fuse_file_info* info) {
  (void)wanted;
  (void)which;
  on_getattr(req, inode, info);
}

static void on_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info* info) {
  (void)inode;
  info->direct_io = 1; /* past the page cache, which would survive */
  fuse_reply_open(req, info);
}

static void on_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
                    struct fuse_file_info* info) {
  (void)inode;
  (void)info;
  if (disk.control->off) {
    fuse_reply_err(req, EIO);
    return;
  }
  uint64_t at = (uint64_t)offset;
  size_t left = at < disk.size ? (size_t)(disk.size - at) : 0;
  size = size < left ? size : left;
  char* data = malloc(size + 1);
  assert(data != NULL);
  get(disk.live, data, size, at);
  fuse_reply_buf(req, data, size);
  free(data);
}

static void remember(const char* data, size_t size, uint64_t offset) {
  struct pending* p = malloc(sizeof(*p) + size);
  assert(p != NULL);
  p->next = NULL;
  p->offset = offset;
  p->size = size;
  memcpy(p->data, data, size);
  *disk.end = p;
  disk.end = &p->next;
}

/* A write that meets the power cut may be among those that survive. */
static void on_write(fuse_req_t req, fuse_ino_t inode, const char* data, size_t size, off_t offset,
                     struct fuse_file_info* info) {
  (void)inode;
  (void)info;
  if (disk.control->off || (uint64_t)offset + size > disk.size) {
    fuse_reply_err(req, disk.control->off ? EIO : ENOSPC);
    return;
  }
  put(disk.live, data, size, (uint64_t)offset);
  remember(data, size, (uint64_t)offset);
  if (account()) {
    fuse_reply_write(req, size);
  } else {
    fuse_reply_err(req, EIO);
  }
}

static void on_fsync(fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info* info) {
  (void)inode;
  (void)data_only;
  (void)info;
  if (disk.control->off || !account()) {
    fuse_reply_err(req, EIO);
    return;
  }
  if (!disk.control->lies) {
    make_durable();
  }
  fuse_reply_err(req, 0);
}

/*
 * The process.
 */

static const struct fuse_lowlevel_ops operations = {
    .getattr = on_getattr,
    .setattr = on_setattr,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
};

static int serve(int device) {
  char name[] = "disk";
  char* argv[] = {name, NULL};
  char where[32];
  struct fuse_args arguments = FUSE_ARGS_INIT(1, argv);
  snprintf(where, sizeof(where), "/dev/fd/%d", device);
  struct fuse_session* session =
      fuse_session_new(&arguments, &operations, sizeof(operations), NULL);
  if (session == NULL || fuse_session_mount(session, where) != 0) {
    return 1;
  }
  int failed = fuse_session_loop(session) != 0;
  fuse_session_destroy(session);
  return failed;
}

/* Mounts it ourselves: the one that starts the process is told at once what does not work. */
static int mount_device(int device, const char* path) {
  char options[128];
  snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", device);
  return mount("uvdio-crash", path, "fuse", MS_NOSUID | MS_NODEV, options);
}

static pid_t start_process(int device, int home) {
  pid_t parent = getpid();
  fflush(NULL);
  pid_t process = fork();
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* a terminal sends it to all of us, and the mounts need us to the end */
    signal(SIGINT, SIG_IGN);
    _exit(setns(home, CLONE_NEWNS) == 0 && getppid() == parent ? serve(device) : 1);
  }
  return process;
}

pid_t disk_start(struct disk_control* control, int home, const char* path, int durable, int live,
                 uint64_t size) {
  pid_t process = -1;
  disk = (struct disk){control, durable, live, size, NULL, NULL};
  disk.end = &disk.first;
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) {
    return -1;
  }
  if (mount_device(device, path) == 0) {
    process = start_process(device, home);
  }
  int error = errno;
  close(device);
  errno = error;
  return process;
}

void disk_arm(struct disk_control* control, enum disk_act act, unsigned at, uint64_t seed) {
  control->act_at = 0;
  control->seed = seed;
  control->act = act;
  control->acted = 0;
  control->requests = 0;
  control->act_at = at;
}

void disk_cut(struct disk_control* control, const char* path) {
  if (control->off) {
    return;
  }
  int fd = open(path, O_RDWR | O_CLOEXEC);
  disk_arm(control, DISK_CUT, 1, control->seed);
  int failed = fsync(fd);
  assert(fd >= 0 && failed && control->off);
  (void)failed;
  close(fd);
}

void disk_power(struct disk_control* control) {
  control->act_at = 0;
  control->off = 0;
}
