/* SPDX-License-Identifier: MIT */
/*
 * The files: in a directory of their own, every block written, so that no target meets holes or
 * unwritten extents.
 *
 * With a loop device, that directory is on a filesystem in a file in RAM:
 *
 *   files on ext4, on /dev/loopN, on a file on tmpfs
 *
 * The filesystem is mounted in a mount namespace of this process, the device clears itself when it
 * is no longer mounted, and the file has no name by then. So all of it is gone with the last
 * process, even after SIGKILL.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

#include "cli/cli.h"
#include "cli/path.h"
#include "cli/pattern.h"
#include "cli/report.h"
#include "cli/session.h"
#include "harness/child.h"
#include "harness/scratch_dir.h"
#include "harness/work.h"
#include "uvdio.h"

/* Descriptors besides the files: rings, loops, pipes, what fio has open; and some for each loop. */
#define FILES_EXTRA 64
#define FILES_EXTRA_PER_LOOP 16
#define FILL_SIZE ((size_t)1024 * 1024)
/* What ext4 needs for itself. */
#define IMAGE_EXTRA ((uint64_t)48 * 1024 * 1024)
#define IMAGE_DIRECTORY "/dev/shm"

#ifdef __linux__

/* Runs a program that shall succeed. Returns its output, the caller's to free, or null after saying
 * why. */
static char* run_tool(const scratch_dir_t* dir, const char* const* argv) {
  child_t child;
  int error = child_run(argv, 1, &child);
  if (error != 0) {
    report_error(dir->command, "run", argv[0], error);
    return NULL;
  }
  if (child.code != 0) {
    report_problem(dir->command, "%s failed (exit code %d).", argv[0], child.code);
    free(child.output);
    return NULL;
  }
  return child.output;
}

static int mount_device(scratch_dir_t* dir, const char* device) {
  const char* const format[] = {
      "mkfs.ext4", "-q", "-F", "-m0", "-Elazy_itable_init=0,lazy_journal_init=0", device, NULL};
  char* output = run_tool(dir, format);
  if (output == NULL) {
    return CLI_FAILED;
  }
  free(output);
  if (mount(device, dir->mounted, "ext4", 0, NULL) != 0) {
    return report_error(dir->command, "mount", device, uv_translate_sys_error(errno));
  }
  dir->on_loop_device = 1;
  return CLI_OK;
}

static int attach_device(scratch_dir_t* dir) {
  const char* const attach[] = {"losetup", "--find", "--show", "--direct-io=off", dir->image, NULL};
  char* device = run_tool(dir, attach);
  if (device == NULL) {
    return CLI_FAILED;
  }
  device[strcspn(device, "\n")] = '\0';
  int code = mount_device(dir, device);
  const char* const detach[] = {"losetup", "--detach", device, NULL};
  free(run_tool(dir, detach)); /* as soon as it is no longer mounted */
  free(device);
  return code;
}

static int make_image(scratch_dir_t* dir, uint64_t size) {
  dir->image = path_temporary(IMAGE_DIRECTORY, "image");
  FILE* image = dir->image != NULL ? fopen(dir->image, "wx") : NULL;
  if (image == NULL) {
    return report_error(dir->command, "create a file in", IMAGE_DIRECTORY,
                        uv_translate_sys_error(errno));
  }
  int failed = ftruncate(fileno(image), (off_t)size) != 0;
  int error = errno;
  fclose(image);
  return failed ? report_error(dir->command, "enlarge", dir->image, uv_translate_sys_error(error))
                : CLI_OK;
}

/* From here on, what is mounted is ours alone. */
static int enter_namespace(const scratch_dir_t* dir) {
  if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
    return CLI_OK;
  }
  return report_problem(dir->command,
                        "--loop-device needs a mount namespace, which root may have: %s.",
                        strerror(errno));
}

static int open_device(scratch_dir_t* dir) {
  char name[] = "/tmp/uvdio-bench-XXXXXX";
  uint64_t size = dir->params->file_size * dir->params->files;
  int code = enter_namespace(dir);
  if (code != CLI_OK) {
    return code;
  }
  dir->mounted = mkdtemp(name) != NULL ? strdup(name) : NULL;
  if (dir->mounted == NULL) {
    return report_error(dir->command, "create", name, uv_translate_sys_error(errno));
  }
  code = make_image(dir, size + size / 16 + IMAGE_EXTRA);
  code = code == CLI_OK ? attach_device(dir) : code;
  if (dir->image != NULL) {
    (void)unlink(dir->image);
  }
  return code;
}

static void close_device(scratch_dir_t* dir) {
  if (dir->on_loop_device) {
    (void)umount2(dir->mounted, MNT_DETACH);
  }
  if (dir->mounted != NULL) {
    (void)rmdir(dir->mounted);
  }
}

#else

static int open_device(scratch_dir_t* dir) {
  return report_problem(dir->command, "--loop-device needs Linux.");
}

static void close_device(scratch_dir_t* dir) {
  (void)dir;
}

#endif

static int write_file(const scratch_dir_t* dir, int file, char* memory) {
  uint64_t size = dir->params->file_size;
  uint64_t offset = 0;
  while (offset < size && child_signal() == 0) {
    size_t length = size - offset < FILL_SIZE ? (size_t)(size - offset) : FILL_SIZE;
    pattern_fill(memory, length, dir->params->seed, offset);
    ssize_t written = pwrite(file, memory, length, (off_t)offset);
    if (written != (ssize_t)length) {
      return written < 0 ? uv_translate_sys_error(errno) : UV_ENOSPC;
    }
    offset += length;
  }
  return 0;
}

static int create_files(scratch_dir_t* dir) {
  for (unsigned i = 0; i < dir->params->files && child_signal() == 0; i++) {
    char path[4096];
    work_path(dir->params, i, path, sizeof path);
    FILE* created = fopen(path, "wx");
    if (created == NULL) {
      return report_error(dir->command, "create", path, uv_translate_sys_error(errno));
    }
    fclose(created);
    dir->files++;
  }
  return CLI_OK;
}

static int fill_file(const scratch_dir_t* dir, unsigned number, char* memory) {
  char path[4096];
  work_path(dir->params, number, path, sizeof path);
  work_params_t params = *dir->params;
  params.kind = WORK_SEQUENTIAL_WRITE;
  int file = work_open(&params, number);
  if (file < 0) {
    return report_error(dir->command, "open past the page cache", path, file);
  }
  int error = write_file(dir, file, memory);
  int last = number + 1 == dir->params->files; /* one commit of the journal for all of them */
  if (error == 0 && last && fsync(file) != 0) {
    error = uv_translate_sys_error(errno);
  }
  (void)close(file);
  return error == 0 ? CLI_OK : report_error(dir->command, "fill", path, error);
}

static int fill_files(const scratch_dir_t* dir) {
  void* memory;
  int code = CLI_OK;
  if (posix_memalign(&memory, UVDIO_ALIGNMENT, FILL_SIZE) != 0) {
    return report_error(dir->command, "fill", "the files", UV_ENOMEM);
  }
  for (unsigned i = 0; i < dir->params->files && code == CLI_OK && child_signal() == 0; i++) {
    code = fill_file(dir, i, memory);
  }
  free(memory);
  return code;
}

/* Asks the library about the first file. Returns the alignment that the filesystem asks for. */
static size_t ask_filesystem(scratch_dir_t* dir) {
  session_t session;
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_POOL};
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_file_info_t info;
  char path[4096];
  size_t alignment = UVDIO_ALIGNMENT;
  work_path(dir->params, 0, path, sizeof path);
  if (session_open(&session, &options) != 0) {
    return alignment;
  }
  if (uvdio_open(session.engine, &file, &req, path, UVDIO_O_RDONLY | UVDIO_O_NATIVE_ALIGN, 0,
                 NULL) == 0 &&
      req.result == 0) {
    if (uvdio_file_info(&file, &info) == 0) {
      snprintf(dir->filesystem, sizeof dir->filesystem, "%s", info.filesystem);
      alignment = info.offset_align > info.memory_align ? info.offset_align : info.memory_align;
    }
    if (uvdio_close(&file, &req, NULL) != 0) {
      alignment = UVDIO_ALIGNMENT;
    }
  }
  session_close(&session);
  return alignment;
}

static int check_blocks(scratch_dir_t* dir) {
  size_t alignment = ask_filesystem(dir);
  for (size_t i = 0; i < dir->block_count; i++) {
    if (dir->blocks[i] % alignment != 0) {
      return report_problem(dir->command,
                            "--block %zu is no multiple of the %zu bytes that %s asks for here.",
                            dir->blocks[i], alignment, dir->filesystem);
    }
  }
  return CLI_OK;
}

/* Each loop has every file open, and fio's loops are threads of one process. Children inherit the
 * limit. */
static int allow_open_files(const scratch_dir_t* dir) {
  const work_params_t* params = dir->params;
  rlim_t needed = (rlim_t)(params->files + FILES_EXTRA_PER_LOOP) * params->loops + FILES_EXTRA;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
    return CLI_OK;
  }
  struct rlimit wanted = {needed, limit.rlim_max > needed ? limit.rlim_max : needed};
  /* Past the hard limit: root may, up to fs.nr_open. */
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
    return CLI_OK;
  }
  return report_problem(
      dir->command,
      "--files %u and --loops %u take %llu open files, and %llu are allowed. Raise the limit "
      "(ulimit -Hn, as root), or ask for fewer.",
      params->files, params->loops, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
}

int scratch_dir_check(const char* command, const char* path) {
  struct stat status;
  if (stat(path, &status) != 0) {
    return report_error(command, "use", path, uv_translate_sys_error(errno));
  }
  return S_ISDIR(status.st_mode)
             ? CLI_OK
             : report_usage(command, "it takes a directory, which '%s' is not", path);
}

static int make_directory(scratch_dir_t* dir) {
  char* directory = path_temporary(dir->on_loop_device ? dir->mounted : dir->path, dir->command);
  if (directory == NULL || mkdir(directory, 0700) != 0) {
    int code = report_error(dir->command, "create a directory in", dir->path,
                            uv_translate_sys_error(errno));
    free(directory);
    return code;
  }
  dir->directory = directory;
  dir->params->directory = directory;
  return CLI_OK;
}

int scratch_dir_open(scratch_dir_t* dir) {
  int code = allow_open_files(dir);
  code = code == CLI_OK && dir->wants_loop_device ? open_device(dir) : code;
  code = code == CLI_OK ? make_directory(dir) : code;
  code = code == CLI_OK ? create_files(dir) : code;
  code = code == CLI_OK ? check_blocks(dir) : code;
  return code == CLI_OK ? fill_files(dir) : code;
}

void scratch_dir_close(scratch_dir_t* dir) {
  work_params_t params = {.directory = dir->directory};
  for (unsigned i = 0; i < dir->files; i++) {
    char path[4096];
    work_path(&params, i, path, sizeof path);
    (void)unlink(path);
  }
  if (dir->directory != NULL && rmdir(dir->directory) != 0) {
    report_error(dir->command, "remove", dir->directory, uv_translate_sys_error(errno));
  }
  close_device(dir);
  free(dir->directory);
  free(dir->mounted);
  free(dir->image);
}
