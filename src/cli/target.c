/* SPDX-License-Identifier: MIT */
/*
 * The temporary file has one name per target, and is locked while it is written: one that nobody
 * has locked was left behind by a copy that was killed, and is removed by the next one.
 */
#include "target.h"
#include "cli.h"
#include "path.h"
#include "report.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#if defined(__linux__)
#include <linux/limits.h>
#include <sys/xattr.h>
#elif defined(__APPLE__)
#include <copyfile.h>
#endif

#define OWNER_RW (S_IRUSR | S_IWUSR)
#define MODE_BITS ((mode_t)07777)
#define SET_ID_BITS ((mode_t)(S_ISUID | S_ISGID))

#define TEMPORARY_SUFFIX ".uvdio-copy"

/* Bytes of the target's name in that of the temporary file: file names end at 255. */
#define NAME_KEPT ((size_t)200)

/* The kernel releases the lock of a copy that was killed when the last of its writes is done: a
 * second is waited for that. */
#define LOCK_ATTEMPTS 50
#define LOCK_PAUSE_MS 20

static int is_same(const struct stat* left, const struct stat* right) {
  return left->st_dev == right->st_dev && left->st_ino == right->st_ino;
}

static int is_same_device(const struct stat* left, const struct stat* right) {
  return S_ISBLK(left->st_mode) && S_ISBLK(right->st_mode) && left->st_rdev == right->st_rdev;
}

static int is_at(const char* path, const struct stat* file) {
  struct stat found;
  return lstat(path, &found) == 0 && is_same(&found, file);
}

static int fail(const target_t* target, const char* operation) {
  return report_error("copy", operation, target->path, uv_translate_sys_error(errno));
}

/* After an error of the library. What a signal brought about is told at the end. */
static int fail_by(const target_t* target, const session_t* session, const char* operation,
                   int64_t error) {
  return session->signal != 0 ? CLI_FAILED
                              : report_error("copy", operation, target->path, (int)error);
}

/*
 * Finding
 */

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

static int check_existing(target_t* target, const char* source_path, const struct stat* source) {
  target->exists = 1;
  target->is_device = S_ISBLK(target->old.st_mode);
  if (S_ISDIR(target->old.st_mode)) {
    return report_error("copy", "overwrite", target->path, UV_EISDIR);
  }
  if (!S_ISREG(target->old.st_mode) && !target->is_device) {
    return report_problem(
        "copy",
        "cannot overwrite %s: it is not a regular file or a block device. Choose another path.",
        target->path);
  }
  if (is_same(&target->old, source) || is_same_device(&target->old, source)) {
    return report_problem("copy",
                          "%s and %s are the same file. Nothing was changed; choose another path.",
                          source_path, target->path);
  }
  return CLI_OK;
}

static const char* name_of(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

/* A longer name is cut before a character (UTF-8), and not within it. */
static char* make_temporary(const char* place) {
  const char* name = name_of(place);
  size_t directory = (size_t)(name - place), kept = strlen(name);
  for (; kept > NAME_KEPT || (name[kept] & 0xC0) == 0x80; kept--) {
  }
  size_t size = directory + 1 + kept + sizeof TEMPORARY_SUFFIX;
  char* path = malloc(size);
  if (path != NULL) {
    snprintf(path, size, "%.*s.%.*s%s", (int)directory, place, (int)kept, name, TEMPORARY_SUFFIX);
  }
  return path;
}

int target_find(target_t* target, const char* source_path, const struct stat* source,
                int in_place) {
  target->descriptor = -1;
  int code = stat(target->path, &target->old) == 0 ? check_existing(target, source_path, source)
                                                   : check_missing(target, errno);
  if (code != CLI_OK) {
    return code;
  }
  if (*name_of(target->path) == '\0') { /* a new file can't end with a slash */
    return report_error("copy", "create", target->path, UV_EISDIR);
  }
  target->place = target->exists && !is_at(target->path, &target->old)
                      ? realpath(target->path, NULL)
                      : strdup(target->path);
  if (target->place == NULL) {
    return fail(target, "follow");
  }
  in_place = in_place || target->is_device;
  target->temporary = in_place ? NULL : make_temporary(target->place);
  target->directory = path_directory(target->place);
  if (target->directory == NULL || (!in_place && target->temporary == NULL)) {
    return report_error("copy", "open", target->path, UV_ENOMEM);
  }
  if (!in_place && is_at(target->temporary, source)) { /* somebody saves what a copy has left */
    return report_problem("copy",
                          "%s has the name of the temporary file of a copy to %s. Nothing was "
                          "changed; rename it first.",
                          source_path, target->path);
  }
  return CLI_OK;
}

void target_free(target_t* target) {
  free(target->directory);
  free(target->place);
  free(target->temporary);
}

/*
 * Opening
 */

static const char* written_path(const target_t* target) {
  return target->temporary != NULL ? target->temporary : target->place;
}

static int64_t open_file(target_t* target, session_t* session, unsigned flags, mode_t mode) {
  uvdio_req_t req = {0};
  flags |= UVDIO_O_RDWR | UVDIO_O_NOFOLLOW | UVDIO_O_DIRECT_PREFERRED;
  int64_t result = session_await(session, &req,
                                 uvdio_open(session->engine, &target->file, &req,
                                            written_path(target), flags, (int)mode, session_done));
  if (result == 0) {
    result = uvdio_file_descriptor(&target->file, &target->descriptor);
    assert(result == 0);
    result = fstat(target->descriptor, &target->own) == 0 ? 0 : uv_translate_sys_error(errno);
  }
  return result;
}

/* Nobody can hold a lock where the filesystem has none. */
static int64_t open_locked(target_t* target, session_t* session, unsigned flags, mode_t mode) {
  int64_t result = open_file(target, session, flags | UVDIO_O_LOCK_EXCLUSIVE, mode);
  int has_no_locks = result == -ENOLCK || result == UV_ENOTSUP || result == UV_ENOSYS;
  return has_no_locks && (flags & UVDIO_O_CREATE) != 0 ? open_file(target, session, flags, mode)
                                                       : result;
}

/* Only what a copy of the same user can have made, and has not locked any more. While this one has
 * the lock, no other copy removes the file or gives it another name. */
static int64_t remove_stale(target_t* target, session_t* session) {
  struct stat found;
  if (lstat(target->temporary, &found) != 0 || !S_ISREG(found.st_mode) || found.st_nlink != 1 ||
      found.st_uid != geteuid()) {
    return UV_EEXIST;
  }
  int64_t result = open_locked(target, session, 0, 0);
  for (int i = 0; result == UVDIO_ELOCKED && i < LOCK_ATTEMPTS && session->signal == 0; i++) {
    uv_sleep(LOCK_PAUSE_MS);
    result = open_locked(target, session, 0, 0);
  }
  if (result != 0) {
    return result;
  }
  if (!is_same(&found, &target->own) || !is_at(target->temporary, &found) ||
      unlink(target->temporary) != 0) {
    result = UV_EEXIST;
  }
  uvdio_req_t req = {0};
  (void)session_await(session, &req, uvdio_close(&target->file, &req, session_done));
  target->descriptor = -1;
  return result;
}

static int64_t create(target_t* target, session_t* session, mode_t mode) {
  const unsigned flags = UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE;
  if (target->temporary == NULL) {
    return open_file(target, session, flags, mode);
  }
  int64_t result = open_locked(target, session, flags, mode);
  if (result == UV_EEXIST && remove_stale(target, session) == 0) {
    result = open_locked(target, session, flags, mode);
  }
  return result;
}

static int refuse(const target_t* target, const char* what, int64_t error) {
  return report_problem("copy",
                        "cannot %s %s: %s (%s). Nothing was changed. With --in-place the copy "
                        "overwrites %s itself.",
                        what, target->path, uvdio_strerror((int)error), uvdio_err_name((int)error),
                        target->path);
}

static int create_failed(const target_t* target, const session_t* session, int64_t error) {
  if (session->signal != 0) {
    return CLI_FAILED;
  }
  if (target->temporary != NULL && (error == UV_EEXIST || error == UVDIO_ELOCKED)) {
    return report_problem("copy",
                          "cannot create %s: another copy to %s is running, or has left it behind. "
                          "Wait for that one, or remove the file. Nothing was changed.",
                          target->temporary, target->path);
  }
  return target->exists ? refuse(target, "create a file beside", error)
                        : report_error("copy", "create", target->path, (int)error);
}

#if defined(__linux__)
#define ACL "system.posix_acl_access"

/* Whoever writes to a file makes these void. */
static int is_of_content(const char* name) {
  return strcmp(name, "security.capability") == 0 || strcmp(name, "security.ima") == 0 ||
         strcmp(name, "security.evm") == 0;
}

/* A label that a new file gets by itself is often right already, and not everybody may set it. */
static int keep_attribute(const target_t* target, const char* name) {
  static char value[XATTR_SIZE_MAX], own[XATTR_SIZE_MAX];
  ssize_t length = getxattr(target->place, name, value, sizeof value);
  if (length < 0) {
    return errno == ENODATA ? 0 : -1;
  }
  ssize_t own_length = fgetxattr(target->descriptor, name, own, sizeof own);
  return own_length == length && memcmp(own, value, (size_t)length) == 0
             ? 0
             : fsetxattr(target->descriptor, name, value, (size_t)length, 0);
}

/* xattr(7): access control lists, labels, and what users keep there. A directory may give a new
 * file a list that the old one does not have. */
static int keep_attributes(const target_t* target) {
  static char names[XATTR_LIST_MAX];
  ssize_t length = listxattr(target->place, names, sizeof names);
  if (length < 0) {
    return errno == ENOTSUP ? 0 : -1;
  }
  if (getxattr(target->place, ACL, NULL, 0) < 0) {
    (void)fremovexattr(target->descriptor, ACL); /* there is none on most files */
  }
  int failed = 0;
  for (char* name = names; name < names + length && failed == 0; name += strlen(name) + 1) {
    failed = is_of_content(name) ? 0 : keep_attribute(target, name);
  }
  return failed;
}
#elif defined(__APPLE__)
static int keep_attributes(const target_t* target) {
  int old = open(target->place, O_RDONLY | O_CLOEXEC);
  int failed =
      old < 0 ? -1 : fcopyfile(old, target->descriptor, NULL, COPYFILE_ACL | COPYFILE_XATTR);
  int error = errno;
  if (old >= 0) {
    (void)close(old);
  }
  errno = error;
  return failed < 0 ? -1 : 0;
}
#else
static int keep_attributes(const target_t* target) {
  (void)target;
  return 0;
}
#endif

/* The file that replaces another one may be given away only by root. Who overwrites a file without
 * being root takes its rights from it (write(2)). */
static int take_after(target_t* target) {
  const struct stat* old = &target->old;
  target->mode = old->st_mode & MODE_BITS & ~(geteuid() == 0 ? 0 : SET_ID_BITS);
  if ((target->own.st_uid != old->st_uid || target->own.st_gid != old->st_gid) &&
      fchown(target->descriptor, old->st_uid, old->st_gid) != 0) {
    return refuse(target, "keep the owner of", uv_translate_sys_error(errno));
  }
  return keep_attributes(target) == 0
             ? CLI_OK
             : refuse(target, "keep the extended attributes of", uv_translate_sys_error(errno));
}

/* Whoever may create a file may not always open it again: its mode may forbid it. Until
 * target_finish() the owner has the permissions, so that a later copy can lock what this one may
 * leave behind. */
static int open_new(target_t* target, session_t* session, mode_t mode) {
  if (target->exists && faccessat(AT_FDCWD, target->place, W_OK, AT_EACCESS) != 0) {
    return fail(target, "open");
  }
  int64_t result = create(target, session, target->exists ? OWNER_RW : mode);
  if (result != 0) {
    return create_failed(target, session, result);
  }
  target->mode = target->own.st_mode & MODE_BITS;
  if ((target->mode & OWNER_RW) != OWNER_RW &&
      fchmod(target->descriptor, target->mode | OWNER_RW) != 0) {
    return fail(target, "set the permissions of");
  }
  return target->exists ? take_after(target) : CLI_OK;
}

/* A device ends at a sector and not at a page. A claim of it excludes a mount (Linux). */
static unsigned device_flags(void) {
#ifdef __linux__
  return UVDIO_O_NATIVE_ALIGN | UVDIO_O_EXCLUSIVE;
#else
  return UVDIO_O_NATIVE_ALIGN;
#endif
}

static int open_existing(target_t* target, session_t* session) {
  int64_t result = open_file(target, session, target->is_device ? device_flags() : 0, 0);
  if (result == UV_EBUSY && target->is_device) {
    return report_problem(
        "copy",
        "cannot open %s: it is in use (EBUSY), mounted or part of something larger. "
        "Nothing was changed; unmount it first (lsblk tells where).",
        target->path);
  }
  if (result != 0) {
    return fail_by(target, session, "open", result);
  }
  if (!is_same(&target->own, &target->old)) {
    return report_problem("copy", "%s was exchanged meanwhile. Nothing was changed; copy again.",
                          target->path);
  }
  return CLI_OK;
}

int target_open(target_t* target, session_t* session, mode_t mode) {
  return target->exists && target->temporary == NULL ? open_existing(target, session)
                                                     : open_new(target, session, mode);
}

int target_is_new(const target_t* target) {
  return target->descriptor >= 0 && (target->temporary != NULL || !target->exists);
}

/*
 * Finishing
 */

/* Only root may give files away. Others keep theirs, and then it must not run as somebody who never
 * allowed that. */
static int keep_owner(target_t* target, const struct stat* source) {
  target->mode = source->st_mode & MODE_BITS;
  if (fchown(target->descriptor, source->st_uid, source->st_gid) == 0) {
    return CLI_OK;
  }
  if (geteuid() == 0 || errno != EPERM) {
    return fail(target, "keep the owner of");
  }
  if (fchown(target->descriptor, (uid_t)-1, source->st_gid) != 0 || source->st_uid != geteuid()) {
    target->mode &= ~SET_ID_BITS;
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
  if (code == CLI_OK && (source != NULL || target_is_new(target)) &&
      fchmod(target->descriptor, target->mode) != 0) {
    code = fail(target, "set the permissions of");
  }
  return code == CLI_OK && source != NULL ? keep_times(target, source) : code;
}

/* The file is complete, but its name need not be durable. Some filesystems can't sync a directory,
 * and need not. */
static int directory_failed(const target_t* target, int64_t error) {
  if (error == UV_EINVAL || error == UV_ENOTSUP) {
    return CLI_OK;
  }
  report_error("copy", "sync the directory", target->directory, (int)error);
  return report_problem("copy", "%s is complete, but after a power cut %s.", target->path,
                        target->exists ? "the old one may be there" : "it may be gone");
}

static int sync_in_place(target_t* target, session_t* session, int* is_complete) {
  uvdio_req_t req = {0};
  int64_t error = session_await(session, &req, uvdio_sync_all(&target->file, &req, session_done));
  if (error != 0) {
    return fail_by(target, session, "sync", error);
  }
  *is_complete = 1;
  error = target->exists ? 0
                         : session_await(session, &req,
                                         uvdio_sync_directory(session->engine, &req,
                                                              target->directory, session_done));
  return error == 0 ? CLI_OK : directory_failed(target, error);
}

/* A rename replaces whatever is at the place by then: this is the last look at it. */
static int is_unchanged(const target_t* target) {
  struct stat found;
  return target->exists ? is_at(target->place, &target->old)
                        : lstat(target->place, &found) != 0 && errno == ENOENT;
}

static int replace(target_t* target, session_t* session, int* is_complete) {
  uvdio_req_t req = {0};
  if (!is_unchanged(target)) {
    return report_problem("copy",
                          "%s was exchanged meanwhile. Copy again when nobody else writes there.",
                          target->path);
  }
  int64_t error =
      session_await(session, &req, uvdio_replace(&target->file, &req, target->place, session_done));
  *is_complete = error == 0 || is_at(target->place, &target->own);
  if (error == 0 || *is_complete) {
    return error == 0 ? CLI_OK : directory_failed(target, error);
  }
  /* Something is mounted there, or the directory lets nobody remove a file. */
  if (session->signal == 0 && (error == UV_EBUSY || error == UV_EPERM || error == UV_EXDEV)) {
    return refuse(target, "replace", error);
  }
  return fail_by(target, session, "complete", error);
}

int target_publish(target_t* target, session_t* session, int* is_complete) {
  *is_complete = 0;
  return target->temporary == NULL ? sync_in_place(target, session, is_complete)
                                   : replace(target, session, is_complete);
}

int target_discard(const target_t* target, int for_room) {
  int failed = 0;
  if (target_is_new(target)) {
    errno = ESTALE;
    failed = is_at(written_path(target), &target->own) ? unlink(written_path(target)) : -1;
  } else if (for_room && !target->is_device) {
    failed = ftruncate(target->descriptor, 0);
  }
  return failed == 0 ? 0 : errno;
}
