/* SPDX-License-Identifier: MIT */
/*
 * Errors that say what happened and what to do about it.
 * What stderr does not take is kept, so that a full disk does not swallow it.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "cli.h"
#include "report.h"
#include "uvdio.h"

/* What to do about an error. The codes that are missing here leave nothing to advise. */
static const struct {
  int error;
  const char* advice;
} hints[] = {
    {UV_ENOENT, "Check the path."},
    {UV_ENOTDIR, "Check the path: a part of it that should be a directory is a file."},
    {UV_EISDIR, "Name a file, not a directory."},
    {UV_ENAMETOOLONG, "Choose a shorter path."},
    {UV_ELOOP, "Check the symbolic links on the path."},
    {UV_EEXIST, "Choose another path, or remove that file first."},
    {UV_EACCES, "Check the permissions of the file and of the directories above it."},
    {UV_EPERM,
     "Check the owner and the attributes of the file (lsattr), or run as a user who may do this."},
    {UV_EROFS, "The filesystem is read-only: choose another one, or remount it writable."},
    {UV_ETXTBSY, "The file is a program that is running: stop it, or choose another path."},
    {UV_ENOSPC, "Free some space on that filesystem (df), or choose another one."},
    {UV_EFBIG,
     "Raise the limit on file size (ulimit -f), or choose a filesystem that takes larger files."},
    {UV_EIO,
     "The device failed: look into the kernel's log (dmesg), and don't trust what was written."},
    {UV_ENXIO, "The device is gone: look into the kernel's log (dmesg)."},
    {UV_EMFILE, "Raise the limit on open files (ulimit -n)."},
    {UV_ENFILE, "The whole system has too many files open (sysctl fs.file-max)."},
    {UV_ENOMEM, "Ask for less memory: a smaller --depth or --block."},
    {UV_ENOTSUP, "The filesystem can't do this: choose another one, such as ext4 or xfs."},
    {UV_ENOSYS, "The kernel can't do this: `uvdio probe` tells what it can."},
    {UV_EBUSY, "Something else uses the file: try again later."},
    {UV_EINVAL, "If the path is right, the filesystem may not take direct I/O: see `uvdio probe`."},
    {UVDIO_ENODIRECT, "Choose a file on a disk filesystem, such as ext4 or xfs."},
    {UVDIO_EBACKEND, "`uvdio probe` tells which backends are available, and why others are not."},
    {UVDIO_EPOOL,
     "No more threads may be started: raise the limit on tasks (pids.max of the container, "
     "ulimit -u)."},
    {UVDIO_EALIGN, "Ask for a --block that is a multiple of what `uvdio probe` tells."},
    {UVDIO_ESIZE, "Ask for less memory: a smaller --depth or --block."},
    {UVDIO_EOFFSET, "Ask for smaller sizes."},
    {UVDIO_ESHORTREAD, "Make sure that nobody shortens the file meanwhile."},
    {UVDIO_ESHORTWRITE, "Check for free space (df) and limits on file size (ulimit -f)."},
#ifdef EDQUOT
    {-EDQUOT, "The disk quota is used up: remove files, or ask for more (quota)."},
#endif
#ifdef ESTALE
    {-ESTALE, "The file is gone from its server: check the mount."},
#endif
};

static const char* hint_for(int error) {
  for (size_t i = 0; i < CLI_COUNT_OF(hints); i++) {
    if (hints[i].error == error) {
      return hints[i].advice;
    }
  }
  return "";
}

static const char* program = "uvdio";

void report_set_program(const char* name) {
  program = name;
}

/* What was said and stderr has not taken. Past its size, messages are cut. */
static char unsaid[16384];
static size_t unsaid_length;

/* stderr has no buffer, so that nothing overtakes anything. */
static void flush_unsaid(void) {
  size_t written = 0;
  ssize_t got = 0;
  for (int i = 0; written < unsaid_length && i < CLI_ATTEMPTS_MAX; i++) {
    got = write(fileno(stderr), unsaid + written, unsaid_length - written);
    if (got < 0 && errno != EINTR) {
      break;
    }
    written += got > 0 ? (size_t)got : 0;
  }
  unsaid_length -= written;
  memmove(unsaid, unsaid + written, unsaid_length);
}

int report_is_pending(void) {
  flush_unsaid();
  return unsaid_length > 0;
}

static void say_list(const char* format, va_list arguments) {
  size_t room = sizeof unsaid - unsaid_length;
  int length = vsnprintf(unsaid + unsaid_length, room, format, arguments);
  assert(length >= 0);
  unsaid_length += (size_t)length < room ? (size_t)length : room - 1;
  assert(unsaid_length < sizeof unsaid);
}

static void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_list(format, arguments);
  va_end(arguments);
}

static void say_prefix(const char* command) {
  fflush(stdout);
  say("%s%s%s: ", program, command != NULL ? " " : "", command != NULL ? command : "");
}

/* A kernel that is newer than the library, or lets one of its inner codes out: the number at
 * least. */
static void say_cause(int error) {
  if (strcmp(uvdio_err_name(error), "UNKNOWN") == 0 && error < 0 && error > -4096) {
    say("%s (errno %d).", strerror(-error), -error);
  } else {
    say("%s (%s).", uvdio_strerror(error), uvdio_err_name(error));
  }
}

int report_error(const char* command, const char* operation, const char* path, int error) {
  const char* advice = hint_for(error);
  say_prefix(command);
  say("cannot %s%s%s: ", operation, path != NULL ? " " : "", path != NULL ? path : "");
  say_cause(error);
  say("%s%s\n", *advice != '\0' ? " " : "", advice);
  flush_unsaid();
  return CLI_FAILED;
}

int report_problem(const char* command, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_prefix(command);
  say_list(format, arguments);
  va_end(arguments);
  say("\n");
  flush_unsaid();
  return CLI_FAILED;
}

int report_usage(const char* command, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say_prefix(command);
  say_list(format, arguments);
  va_end(arguments);
  say(".\nTry `%s %s%s--help`.\n", program, command != NULL ? command : "",
      command != NULL ? " " : "");
  flush_unsaid();
  return CLI_USAGE;
}

int report_option(const char* command, char** argv, int answer) {
  if (answer == ':') {
    return report_usage(command, "the option %s needs a value", argv[optind - 1]);
  }
  if (optopt > 0 && optopt < CLI_OPTION_FIRST) {
    return report_usage(command, "the option -%c is unknown or takes no value", optopt);
  }
  return report_usage(command, "the option %s is unknown, ambiguous or takes no value",
                      argv[optind - 1]);
}

int report_json(const char* command, json_t* value) {
  int failed =
      value == NULL || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) != 0;
  json_decref(value);
  if (failed) {
    return report_problem(command, "cannot write the JSON to standard output.");
  }
  fputc('\n', stdout);
  return CLI_OK;
}
