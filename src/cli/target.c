/* SPDX-License-Identifier: MIT */
/*
 * The target of a copy, by a descriptor of the command's own.
 */
#include "target.h"
#include "cli.h"
#include "report.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define OWNER_RW (S_IRUSR | S_IWUSR)
#define MODE_BITS 07777

static int is_same(const struct stat* left, const struct stat* right) {
  return left->st_dev == right->st_dev && left->st_ino == right->st_ino;
}

static int is_same_device(const struct stat* left, const struct stat* right) {
  return S_ISBLK(left->st_mode) && S_ISBLK(right->st_mode) && left->st_rdev == right->st_rdev;
}

static int fail(const target_t* target, const char* operation) {
  return report_error("copy", operation, target->path, uv_translate_sys_error(errno));
}

static int check_missing(const target_t* target, int error) {
  struct stat status;
  if (error == ENOENT && lstat(target->path, &status) == 0) {
    return report_problem(
        "copy",
        "cannot write %s: it is a symbolic link to nothing. Remove it, or name the "
        "file that it should point to.",
        target->path);
  }
  return error == ENOENT
             ? CLI_OK
             : report_error("copy", "open", target->path, uv_translate_sys_error(error));
}

int target_check(target_t* target, const char* source_path, const struct stat* source) {
  if (stat(target->path, &target->status) != 0) {
    return check_missing(target, errno);
  }
  target->exists = 1;
  target->is_device = S_ISBLK(target->status.st_mode);
  if (S_ISDIR(target->status.st_mode)) {
    return report_error("copy", "overwrite", target->path, UV_EISDIR);
  }
  if (!S_ISREG(target->status.st_mode) && !target->is_device) {
    return report_problem(
        "copy",
        "cannot overwrite %s: it is not a regular file or a block device. Choose another path.",
        target->path);
  }
  if (is_same(&target->status, source) || is_same_device(&target->status, source)) {
    return report_problem("copy",
                          "%s and %s are the same file. Nothing was changed; choose another path.",
                          source_path, target->path);
  }
  return CLI_OK;
}

/* Whoever may create a file may not always write to it: the mode may forbid it. The descriptor may,
 * and lends the owner the permissions until target_finish(). */
static int create(target_t* target, mode_t mode) {
  target->descriptor = open(target->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (target->descriptor < 0) {
    return fail(target, "create");
  }
  if (fstat(target->descriptor, &target->status) != 0) {
    return fail(target, "look at");
  }
  target->mode = target->status.st_mode & MODE_BITS;
  if ((target->mode & OWNER_RW) != OWNER_RW) {
    target->mode_is_pending = 1;
    if (fchmod(target->descriptor, target->mode | OWNER_RW) != 0) {
      return fail(target, "set the permissions of");
    }
  }
  return CLI_OK;
}

/* O_EXCL without O_CREAT claims a block device on Linux, as a mount does: neither is possible
 * beside the other (open(2)). */
static int open_flags(const target_t* target) {
#ifdef __linux__
  int claim = target->is_device ? O_EXCL : 0;
#else
  int claim = 0;
  (void)target;
#endif
  return O_RDWR | O_CLOEXEC | O_NOCTTY | claim;
}

static int open_existing(target_t* target) {
  struct stat status;
  target->descriptor = open(target->path, open_flags(target));
  if (target->descriptor < 0 && errno == EBUSY && target->is_device) {
    return report_problem(
        "copy",
        "cannot open %s: it is in use (EBUSY), mounted or part of something larger. "
        "Nothing was changed; unmount it first (lsblk tells where).",
        target->path);
  }
  if (target->descriptor < 0 || fstat(target->descriptor, &status) != 0) {
    return fail(target, "open");
  }
  if (!is_same(&status, &target->status)) {
    return report_problem("copy", "%s was exchanged meanwhile. Nothing was changed; copy again.",
                          target->path);
  }
  return CLI_OK;
}

int target_open(target_t* target, mode_t mode) {
  assert(target->descriptor < 0);
  return target->exists ? open_existing(target) : create(target, mode);
}

int target_is_in_place(const target_t* target) {
  struct stat status;
  return lstat(target->path, &status) == 0 &&
         (is_same(&status, &target->status) ||
          (target->exists && stat(target->path, &status) == 0 &&
           is_same(&status, &target->status)));
}

/* Only root may give files away. Others keep theirs, and then it must not run as somebody who never
 * allowed that. */
static int keep_owner(target_t* target, const struct stat* source) {
  target->mode = source->st_mode & MODE_BITS;
  target->mode_is_pending = 1;
  if (fchown(target->descriptor, source->st_uid, source->st_gid) == 0) {
    return CLI_OK;
  }
  if (geteuid() == 0 || errno != EPERM) {
    return fail(target, "keep the owner of");
  }
  if (fchown(target->descriptor, (uid_t)-1, source->st_gid) != 0 || source->st_uid != geteuid()) {
    target->mode &= (mode_t) ~(mode_t)(S_ISUID | S_ISGID);
  }
  return CLI_OK;
}

static int keep_times(const target_t* target, const struct stat* source) {
#ifdef __APPLE__
  const struct timespec times[2] = {source->st_atimespec, source->st_mtimespec};
#else
  const struct timespec times[2] = {source->st_atim, source->st_mtim};
#endif
  return futimens(target->descriptor, times) == 0 ? CLI_OK : fail(target, "keep the times of");
}

int target_finish(target_t* target, const struct stat* source) {
  int code = source != NULL ? keep_owner(target, source) : CLI_OK;
  if (code == CLI_OK && target->mode_is_pending && fchmod(target->descriptor, target->mode) != 0) {
    code = fail(target, "set the permissions of");
  }
  return code == CLI_OK && source != NULL ? keep_times(target, source) : code;
}

int target_discard(target_t* target, int for_room) {
  int failed = 0;
  if (!target->exists) {
    errno = ESTALE;
    failed = target_is_in_place(target) ? unlink(target->path) : -1;
  } else if (for_room && !target->is_device) {
    failed = ftruncate(target->descriptor, 0);
  }
  return failed == 0 ? 0 : errno;
}

void target_close(target_t* target) {
  if (target->descriptor >= 0) {
    (void)close(target->descriptor);
    target->descriptor = -1;
  }
}

/* fsync(2) of a directory is interrupted by signals on some filesystems. */
static int sync_descriptor(int descriptor) {
  int failed = -1;
  errno = EINTR;
  for (int i = 0; failed != 0 && errno == EINTR && i < CLI_ATTEMPTS_MAX; i++) {
    failed = fsync(descriptor);
  }
  return failed == 0 ? 0 : errno;
}

int target_sync_directory(const target_t* target) {
  char* path = strdup(target->path);
  if (path == NULL) {
    return report_error("copy", "sync the directory of", target->path, UV_ENOMEM);
  }
  const char* directory = dirname(path);
  int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = descriptor >= 0 ? sync_descriptor(descriptor) : errno;
  if (descriptor >= 0) {
    (void)close(descriptor);
  }
  int code = CLI_OK;
  if (error != 0 && error != EINVAL &&
      error != ENOTSUP) { /* some filesystems can't, and need not */
    code = report_error("copy", "sync the directory", directory, uv_translate_sys_error(error));
    report_problem("copy", "%s is complete, but may be gone after a power cut.", target->path);
  }
  free(path);
  return code;
}
