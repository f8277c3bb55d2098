/*
 * The files: in a directory of their own, every block written, so that no peer meets holes or unwritten extents.
 *
 * With a loop device, that directory is on a filesystem in a file in RAM:
 *
 *   files on ext4, on /dev/loopN, on a file on tmpfs
 *
 * The filesystem is mounted in a mount namespace of this process, the device clears itself when it is no longer
 * mounted, and the file has no name by then. So all of it is gone with the last process, even after SIGKILL.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

#include "compare.h"

/* Descriptors besides the files: rings, loops, pipes, what fio has open; and some for each loop. */
#define FILES_EXTRA 64
#define FILES_EXTRA_PER_LOOP 16
#define FILL_SIZE ((size_t)1024 * 1024)
/* What ext4 needs for itself. */
#define IMAGE_EXTRA ((uint64_t)48 * 1024 * 1024)
#define IMAGE_DIRECTORY "/dev/shm"

#ifdef __linux__

/* Runs a program that shall succeed. Returns its output, the caller's to free, or null after saying why. */
static char* run_tool(const char* const* argv) {
  child_t child;
  int error = child_run(argv, 1, &child);
  if (error != 0) {
    report_error("bench", "run", argv[0], error);
    return NULL;
  }
  if (child.code != 0) {
    report_problem("bench", "%s failed (exit code %d).", argv[0], child.code);
    free(child.output);
    return NULL;
  }
  return child.output;
}

static int mount_device(place_t* place, const char* device) {
  const char* const format[] = {"mkfs.ext4", "-q", "-F", "-m0", "-Elazy_itable_init=0,lazy_journal_init=0",
                                device, NULL};
  char* output = run_tool(format);
  if (output == NULL) {
    return CLI_FAILED;
  }
  free(output);
  if (mount(device, place->mounted, "ext4", 0, NULL) != 0) {
    return report_error("bench", "mount", device, uv_translate_sys_error(errno));
  }
  place->on_loop_device = 1;
  return CLI_OK;
}

static int attach_device(place_t* place) {
  const char* const attach[] = {"losetup", "--find", "--show", "--direct-io=off", place->image, NULL};
  char* device = run_tool(attach);
  if (device == NULL) {
    return CLI_FAILED;
  }
  device[strcspn(device, "\n")] = '\0';
  int code = mount_device(place, device);
  const char* const detach[] = {"losetup", "--detach", device, NULL};
  free(run_tool(detach)); /* as soon as it is no longer mounted */
  free(device);
  return code;
}

static int make_image(place_t* place, uint64_t size) {
  place->image = path_temporary(IMAGE_DIRECTORY, "image");
  FILE* image = place->image != NULL ? fopen(place->image, "wx") : NULL;
  if (image == NULL) {
    return report_error("bench", "create a file in", IMAGE_DIRECTORY, uv_translate_sys_error(errno));
  }
  int failed = ftruncate(fileno(image), (off_t)size) != 0;
  int error = errno;
  fclose(image);
  return failed ? report_error("bench", "enlarge", place->image, uv_translate_sys_error(error)) : CLI_OK;
}

/* From here on, what is mounted is ours alone. */
static int enter_namespace(void) {
  if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0) {
    return CLI_OK;
  }
  return report_problem("bench", "--loop-device needs a mount namespace, which root may have: %s.",
                        strerror(errno));
}

static int open_device(place_t* place) {
  char name[] = "/tmp/uvdio-bench-XXXXXX";
  uint64_t size = place->params->file_size * place->params->files;
  int code = enter_namespace();
  if (code != CLI_OK) {
    return code;
  }
  place->mounted = mkdtemp(name) != NULL ? strdup(name) : NULL;
  if (place->mounted == NULL) {
    return report_error("bench", "create", name, uv_translate_sys_error(errno));
  }
  code = make_image(place, size + size / 16 + IMAGE_EXTRA);
  code = code == CLI_OK ? attach_device(place) : code;
  if (place->image != NULL) {
    (void)unlink(place->image);
  }
  return code;
}

static void close_device(place_t* place) {
  if (place->on_loop_device) {
    (void)umount2(place->mounted, MNT_DETACH);
  }
  if (place->mounted != NULL) {
    (void)rmdir(place->mounted);
  }
}

#else

static int open_device(place_t* place) {
  (void)place;
  return report_problem("bench", "--loop-device needs Linux.");
}

static void close_device(place_t* place) {
  (void)place;
}

#endif

static int write_file(const place_t* place, int file, char* memory) {
  uint64_t size = place->params->file_size;
  uint64_t offset = 0;
  while (offset < size && child_signal() == 0) {
    size_t length = size - offset < FILL_SIZE ? (size_t)(size - offset) : FILL_SIZE;
    pattern_fill(memory, length, place->params->seed, offset);
    ssize_t written = pwrite(file, memory, length, (off_t)offset);
    if (written != (ssize_t)length) {
      return written < 0 ? uv_translate_sys_error(errno) : UV_ENOSPC;
    }
    offset += length;
  }
  return 0;
}

static int create_files(place_t* place) {
  for (unsigned i = 0; i < place->params->files && child_signal() == 0; i++) {
    char path[4096];
    work_path(place->params, i, path, sizeof path);
    FILE* created = fopen(path, "wx");
    if (created == NULL) {
      return report_error("bench", "create", path, uv_translate_sys_error(errno));
    }
    fclose(created);
    place->files++;
  }
  return CLI_OK;
}

static int fill_file(const place_t* place, unsigned number, char* memory) {
  char path[4096];
  work_path(place->params, number, path, sizeof path);
  work_params_t params = *place->params;
  params.kind = WORK_SEQUENTIAL_WRITE;
  int file = work_open(&params, number);
  if (file < 0) {
    return report_error("bench", "open past the page cache", path, file);
  }
  int error = write_file(place, file, memory);
  int last = number + 1 == place->params->files; /* one commit of the journal for all of them */
  if (error == 0 && last && fsync(file) != 0) {
    error = uv_translate_sys_error(errno);
  }
  (void)close(file);
  return error == 0 ? CLI_OK : report_error("bench", "fill", path, error);
}

static int fill_files(const place_t* place) {
  void* memory;
  int code = CLI_OK;
  if (posix_memalign(&memory, UVDIO_ALIGNMENT, FILL_SIZE) != 0) {
    return report_error("bench", "fill", "the files", UV_ENOMEM);
  }
  for (unsigned i = 0; i < place->params->files && code == CLI_OK && child_signal() == 0; i++) {
    code = fill_file(place, i, memory);
  }
  free(memory);
  return code;
}

/* What the library says about the first file. Returns the alignment that the filesystem asks for. */
static size_t ask_filesystem(place_t* place) {
  session_t session;
  uvdio_engine_options_t options = {.backend = UVDIO_BACKEND_POOL};
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  uvdio_file_info_t info;
  char path[4096];
  size_t alignment = UVDIO_ALIGNMENT;
  work_path(place->params, 0, path, sizeof path);
  if (session_open(&session, &options) != 0) {
    return alignment;
  }
  if (uvdio_open(session.engine, &file, &req, path, UVDIO_O_RDONLY | UVDIO_O_NATIVE_ALIGN, 0, NULL) == 0 && req.result == 0) {
    if (uvdio_file_info(&file, &info) == 0) {
      snprintf(place->filesystem, sizeof place->filesystem, "%s", info.filesystem);
      alignment = info.offset_align > info.memory_align ? info.offset_align : info.memory_align;
    }
    (void)uvdio_close(&file, &req, NULL);
  }
  (void)session_close(&session);
  return alignment;
}

static int check_blocks(place_t* place) {
  size_t alignment = ask_filesystem(place);
  for (size_t i = 0; i < place->block_count; i++) {
    if (place->blocks[i] % alignment != 0) {
      return report_problem("bench", "--block %zu is no multiple of the %zu bytes that %s asks for here.",
                            place->blocks[i], alignment, place->filesystem);
    }
  }
  return CLI_OK;
}

/* Each loop has every file open, and fio's loops are threads of one process. Children inherit the limit. */
static int allow_open_files(const work_params_t* params) {
  rlim_t needed = (rlim_t)(params->files + FILES_EXTRA_PER_LOOP) * params->loops + FILES_EXTRA;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
    return CLI_OK;
  }
  struct rlimit wanted = {needed, limit.rlim_max > needed ? limit.rlim_max : needed};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) { /* past the hard limit: root may, up to fs.nr_open */
    return CLI_OK;
  }
  return report_problem("bench",
                        "--files %u and --loops %u take %llu open files, and %llu are allowed. Raise the limit "
                        "(ulimit -Hn, as root), or ask for fewer.",
                        params->files, params->loops, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
}

int place_check(const char* path) {
  struct stat status;
  if (stat(path, &status) != 0) {
    return report_error("bench", "use", path, uv_translate_sys_error(errno));
  }
  return S_ISDIR(status.st_mode) ? CLI_OK
                                 : report_usage("bench", "it takes a directory, which '%s' is not", path);
}

static int make_directory(place_t* place) {
  char* directory = path_temporary(place->on_loop_device ? place->mounted : place->path, place->use);
  if (directory == NULL || mkdir(directory, 0700) != 0) {
    int code = report_error("bench", "create a directory in", place->path, uv_translate_sys_error(errno));
    free(directory);
    return code;
  }
  place->directory = directory;
  place->params->directory = directory;
  return CLI_OK;
}

int place_open(place_t* place) {
  int code = allow_open_files(place->params);
  code = code == CLI_OK && place->wants_loop_device ? open_device(place) : code;
  code = code == CLI_OK ? make_directory(place) : code;
  code = code == CLI_OK ? create_files(place) : code;
  code = code == CLI_OK ? check_blocks(place) : code;
  return code == CLI_OK ? fill_files(place) : code;
}

void place_close(place_t* place) {
  work_params_t params = {.directory = place->directory};
  for (unsigned i = 0; i < place->files; i++) {
    char path[4096];
    work_path(&params, i, path, sizeof path);
    (void)unlink(path);
  }
  if (place->directory != NULL && rmdir(place->directory) != 0) {
    report_error("bench", "remove", place->directory, uv_translate_sys_error(errno));
  }
  close_device(place);
  free(place->directory);
  free(place->mounted);
  free(place->image);
}
