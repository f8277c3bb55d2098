/* SPDX-License-Identifier: MIT */
/*
 * uvdio probe: what this machine and the filesystem of a path offer.
 *
 * Everything is found out first, by trying it, and printed afterwards, as text or as JSON. A page
 * is really read: an open with O_DIRECT that succeeds proves nothing yet.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "cli.h"
#include "format.h"
#include "measure.h"
#include "options.h"
#include "path.h"
#include "report.h"
#include "session.h"
#include "uvdio.h"

#define BACKEND_COUNT 4
#define REASON_SIZE 768

static const char usage[] =
    "usage: uvdio probe [--json] PATH\n"
    "       uvdio probe --measure FILE\n"
    "\n"
    "Prints what this machine and the filesystem of PATH offer for direct I/O: kernel\n"
    "and versions; each backend, and why it is available or not; the backend that an\n"
    "engine takes; backend, direct I/O and alignment of a file at PATH; and the\n"
    "limits that matter.\n"
    "\n"
    "PATH is a file, whose first page is read, or a directory, in which a temporary\n"
    "file is created and removed at once.\n"
    "\n"
    "  --json          the same as one JSON object\n"
    "  --measure FILE  measures the device on which FILE is to lie, for some seconds and\n"
    "                  by a temporary file of 128 MiB, and writes to FILE what keeps it\n"
    "                  busy: a device model, for uvdio_device_model_read()\n"
    "  --help          this text\n"
    "\n"
    "Exit codes: 0 done, 1 PATH can't be used, 2 wrong usage, 128+N ended by signal N\n"
    "(--measure).\n";

typedef struct {
  int error; /* 0: available */
  char reason[REASON_SIZE];
} backend_facts_t;

typedef struct {
  int failed; /* what follows is not filled in, and stderr says why */
  char backend[16];
  char reason[REASON_SIZE];
} engine_facts_t;

typedef struct {
  int failed;
  int temporary;
  ssize_t page_bytes; /* read from the first page, or a code */
  char backend[16];
  char reason[REASON_SIZE];
  char polled_reason[REASON_SIZE];
  char filesystem[32];
  uvdio_file_info_t info; /* its texts are in the fields above */
} path_facts_t;

typedef struct {
  const char* path;
  uv_utsname_t system;
  backend_facts_t backends[BACKEND_COUNT];
  engine_facts_t engine;
  path_facts_t file;
  char io_uring_disabled[8]; /* "" where the kernel does not have it */
} facts_t;

static const uvdio_backend_t backends[BACKEND_COUNT] = {
    UVDIO_BACKEND_RING,
    UVDIO_BACKEND_AIO,
    UVDIO_BACKEND_POOL,
    UVDIO_BACKEND_MEMORY,
};

#ifdef __GLIBC__
typedef __rlimit_resource_t resource_t;
#else
typedef int resource_t;
#endif

static const struct {
  const char* key;
  const char* label;
  resource_t resource;
  int in_bytes;
} limits[] = {
    {"nofile", "open files (RLIMIT_NOFILE)", RLIMIT_NOFILE, 0},
    {"memlock", "locked memory (RLIMIT_MEMLOCK)", RLIMIT_MEMLOCK, 1},
    {"fsize", "file size (RLIMIT_FSIZE)", RLIMIT_FSIZE, 1},
};

/*
 * Finding out.
 */

static void copy_text(char* target, size_t size, const char* source) {
  snprintf(target, size, "%s", source);
}

static void find_backends(facts_t* facts) {
  for (size_t i = 0; i < BACKEND_COUNT; i++) {
    backend_facts_t* backend = &facts->backends[i];
    backend->error = uvdio_backend_probe(backends[i], backend->reason, sizeof backend->reason);
  }
}

static void find_kernel(facts_t* facts) {
  (void)uv_os_uname(&facts->system); /* where it fails, its texts are empty */
  FILE* setting = fopen("/proc/sys/kernel/io_uring_disabled", "re");
  if (setting == NULL) {
    return;
  }
  if (fgets(facts->io_uring_disabled, sizeof facts->io_uring_disabled, setting) != NULL) {
    facts->io_uring_disabled[strcspn(facts->io_uring_disabled, "\n")] = '\0';
  }
  fclose(setting);
}

static void find_file_info(path_facts_t* found, const uvdio_file_t* file) {
  int error = uvdio_file_info(file, &found->info);
  assert(error == 0);
  (void)error;
  copy_text(found->backend, sizeof found->backend, found->info.backend);
  copy_text(found->reason, sizeof found->reason, found->info.reason);
  copy_text(found->polled_reason, sizeof found->polled_reason, found->info.polled_reason);
  copy_text(found->filesystem, sizeof found->filesystem, found->info.filesystem);
}

static void try_page_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t page) {
  (void)result;
  *(uvdio_buf_t*)req->data = page;
}

/* The first page, as large as the file's alignment, to see it work; a temporary file is given one
 * before. */
static ssize_t try_page(uvdio_file_t* file, session_t* session, size_t size, int temporary) {
  uvdio_buf_t page = {0};
  uvdio_req_t req = {.data = &page};
  int64_t result = uvdio_buf_alloc(&page, size, UVDIO_BUF_ZEROED);
  if (result == 0 && temporary) {
    result = session_await(session, &req, uvdio_write(file, &req, &page, 0, try_page_done));
  }
  if (result >= 0) {
    result = session_await(session, &req, uvdio_read(file, &req, &page, 0, try_page_done));
  }
  (void)uvdio_buf_release(&page);
  return (ssize_t)result;
}

static int try_file(facts_t* facts, session_t* session, const char* path, unsigned flags) {
  path_facts_t* found = &facts->file;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  flags |= UVDIO_O_DIRECT_PREFERRED;
  int64_t error = session_await(
      session, &req, uvdio_open(session->engine, &file, &req, path, flags, 0600, session_done));
  if (error != 0) {
    return report_error("probe", found->temporary ? "create a file in" : "open", facts->path,
                        (int)error);
  }
  if (found->temporary) {
    (void)unlink(path); /* at once: nothing can leave it behind then */
  }
  find_file_info(found, &file);
  found->page_bytes = try_page(&file, session, found->info.offset_align, found->temporary);
  (void)session_await(session, &req, uvdio_close(&file, &req, session_done));
  found->failed = 0;
  return CLI_OK;
}

static int try_temporary(facts_t* facts, session_t* session) {
  char* path = path_temporary(facts->path, "probe");
  if (path == NULL) {
    return report_error("probe", "use", facts->path, UV_ENOMEM);
  }
  int code = try_file(facts, session, path, UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE);
  free(path);
  return code;
}

static int try_path(facts_t* facts, session_t* session) {
  struct stat status;
  if (stat(facts->path, &status) != 0) {
    return report_error("probe", "open", facts->path, uv_translate_sys_error(errno));
  }
  /* Files of the memory backend are not on any path: one is made there. */
  int simulated = strcmp(uvdio_engine_backend(session->engine), "memory") == 0;
  facts->file.temporary = S_ISDIR(status.st_mode) || simulated;
  if (facts->file.temporary) {
    return try_temporary(facts, session);
  }
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return report_problem(
        "probe", "cannot probe %s: it is neither a file nor a directory. Name one of those.",
        facts->path);
  }
  return try_file(facts, session, facts->path, UVDIO_OPEN_READ);
}

/* The engine is asked last: its answer can change when it is first used. Polled completions are
 * asked for, so that it tells of them, too. */
static int find_engine_and_file(facts_t* facts) {
  uvdio_engine_options_t options = {.flags = UVDIO_ENGINE_POLLED};
  session_t session;
  facts->engine.failed = 1;
  facts->file.failed = 1;
  int error = session_open(&session, &options);
  if (error != 0) {
    return session_report("probe", UVDIO_BACKEND_AUTO, error);
  }
  int code = try_path(facts, &session);
  copy_text(facts->engine.backend, sizeof facts->engine.backend,
            uvdio_engine_backend(session.engine));
  copy_text(facts->engine.reason, sizeof facts->engine.reason,
            uvdio_engine_backend_reason(session.engine));
  facts->engine.failed = 0;
  session_close(&session);
  return code;
}

/*
 * Telling, as text.
 */

static void print_field(const char* label, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
static void print_field(const char* label, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("  %-32s ", label);
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
}

static const char* align_source_text(uvdio_align_source_t source) {
  switch (source) {
    case UVDIO_ALIGN_DEFAULT:
      return "the default: the system does not say";
    case UVDIO_ALIGN_STATX:
      return "the kernel (STATX_DIOALIGN)";
    case UVDIO_ALIGN_SYSTEM:
      return "the device's sector size";
  }
  return "unknown";
}

static void print_backends(const facts_t* facts) {
  printf("\nBackends\n");
  for (size_t i = 0; i < BACKEND_COUNT; i++) {
    const backend_facts_t* backend = &facts->backends[i];
    printf("  %-8s %-14s %s\n", backend_text(backends[i]),
           backend->error == 0 ? "available" : "not available", backend->reason);
  }
  if (!facts->engine.failed) {
    printf("  An engine takes %s: %s\n", facts->engine.backend, facts->engine.reason);
  }
}

static const char* durable_text(const uvdio_file_info_t* info) {
  switch (info->durable_method) {
    case UVDIO_DURABLE_BY_DSYNC:
      return "each by itself";
    case UVDIO_DURABLE_BY_SYNC:
      return "by a sync that they share";
    case UVDIO_DURABLE_UNDECIDED:
      break;
  }
  return "each by itself, or by a sync that they share: an engine measures the better one";
}

static void print_alignment(const uvdio_file_info_t* info) {
  print_field("alignment enforced", "memory %u bytes, offset and length %u bytes",
              info->memory_align, info->offset_align);
  if (info->system_offset_align != 0) {
    print_field("alignment the system requires", "memory %u bytes, offset and length %u bytes",
                info->system_memory_align, info->system_offset_align);
  }
  if (info->system_read_align < info->system_offset_align) {
    print_field("... of reads alone", "offset and length %u bytes", info->system_read_align);
  }
  if (info->recommended_align > info->system_offset_align) {
    print_field("alignment recommended", "offset and length of writes %u bytes",
                info->recommended_align);
  }
  print_field("alignment learnt from", "%s", align_source_text(info->align_source));
  if (info->optimal_size != 0) {
    print_field("transfers that suit it", "%u bytes", info->optimal_size);
  }
  if (info->physical_block != 0) {
    print_field("blocks of the device", "%u bytes", info->physical_block);
  }
  if (info->request_max != 0) {
    print_field("requests of the device, at most", "%llu bytes",
                (unsigned long long)info->request_max);
  }
  if (info->atomic_max != 0) {
    print_field("writes that can't be torn", "%u to %u bytes", info->atomic_min, info->atomic_max);
  }
  print_field("durable writes", "%s", durable_text(info));
}

static void print_file(const facts_t* facts) {
  const path_facts_t* file = &facts->file;
  const char* page = file->temporary ? "a page written and read back" : "first page read";
  printf("\nPath %s%s\n", facts->path, file->temporary ? " (by a temporary file)" : "");
  print_field("filesystem", "%s", file->filesystem);
  print_field("direct I/O", "%s",
              file->info.is_direct ? "yes" : "no: the filesystem refuses it, so it is buffered");
  print_field("executed by", "%s%s%s", file->backend, *file->reason != '\0' ? ": " : "",
              file->reason);
  print_field("polled completions, if asked for", "%s%s",
              file->info.is_polled ? "yes" : "no: ", file->polled_reason);
  print_alignment(&file->info);
  if (file->page_bytes >= 0) {
    print_field(page, "%zd bytes", file->page_bytes);
  } else {
    print_field(page, "%s (%s)", uvdio_strerror((int)file->page_bytes),
                uvdio_err_name((int)file->page_bytes));
  }
}

static void format_limit(char* text, size_t size, rlim_t value, int in_bytes) {
  char number[24];
  if (value == RLIM_INFINITY) {
    snprintf(text, size, "unlimited");
  } else if (in_bytes) {
    snprintf(text, size, "%s", format_size(number, sizeof number, value));
  } else {
    snprintf(text, size, "%llu", (unsigned long long)value);
  }
}

static const char* io_uring_meaning(const char* setting) {
  return strcmp(setting, "0") == 0   ? "0 (everybody may use io_uring)"
         : strcmp(setting, "1") == 0 ? "1 (only privileged programs, or kernel.io_uring_group)"
         : strcmp(setting, "2") == 0 ? "2 (nobody may use io_uring)"
                                     : setting;
}

static void print_limits(const facts_t* facts) {
  const char* threads = getenv("UV_THREADPOOL_SIZE");
  char soft[24], hard[24];
  printf("\nLimits\n");
  for (size_t i = 0; i < CLI_COUNT_OF(limits); i++) {
    struct rlimit limit;
    if (getrlimit(limits[i].resource, &limit) == 0) {
      format_limit(soft, sizeof soft, limit.rlim_cur, limits[i].in_bytes);
      format_limit(hard, sizeof hard, limit.rlim_max, limits[i].in_bytes);
      int can_rise = limit.rlim_cur != limit.rlim_max;
      print_field(limits[i].label, "%s%s%s%s", soft, can_rise ? " (can be raised to " : "",
                  can_rise ? hard : "", can_rise ? ")" : "");
    }
  }
  print_field("queue depth", "%d by default, %d at most", UVDIO_DEPTH_DEFAULT, UVDIO_DEPTH_MAX);
  print_field(
      "kernel.io_uring_disabled", "%s",
      *facts->io_uring_disabled != '\0' ? io_uring_meaning(facts->io_uring_disabled) : "not there");
  print_field("UV_THREADPOOL_SIZE", "%s",
              threads != NULL ? threads : "not set: libuv runs 4 threads");
}

static void print_text(const facts_t* facts) {
  printf("uvdio %s, libuv %s, %s %s %s\n", uvdio_version_string(), uv_version_string(),
         facts->system.sysname, facts->system.release, facts->system.machine);
  print_backends(facts);
  if (!facts->file.failed) {
    print_file(facts);
  }
  print_limits(facts);
}

/*
 * Telling, as JSON. What is not known is null.
 */

static json_t* backends_json(const facts_t* facts) {
  json_t* list = json_array();
  for (size_t i = 0; i < BACKEND_COUNT; i++) {
    const backend_facts_t* backend = &facts->backends[i];
    json_array_append_new(
        list, json_pack("{s:s, s:b, s:s?, s:s}", "name", backend_text(backends[i]), "available",
                        backend->error == 0, "error",
                        backend->error != 0 ? uvdio_err_name(backend->error) : NULL, "reason",
                        backend->reason));
  }
  return list;
}

static json_t* engine_json(const engine_facts_t* engine) {
  if (engine->failed) {
    return json_null();
  }
  return json_pack("{s:s, s:s}", "backend", engine->backend, "reason", engine->reason);
}

static json_t* file_json(const path_facts_t* file) {
  static const char* const sources[] = {"default", "statx", "system"};
  static const char* const methods[] = {"measured", "dsync", "sync"};
  const uvdio_file_info_t* info = &file->info;
  if (file->failed) {
    return json_null();
  }
  return json_pack(
      "{s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:b, "
      "s:s, s:I}",
      "filesystem", file->filesystem, "direct", info->is_direct, "backend", file->backend, "reason",
      file->reason, "memory_align", (json_int_t)info->memory_align, "offset_align",
      (json_int_t)info->offset_align, "system_memory_align", (json_int_t)info->system_memory_align,
      "system_offset_align", (json_int_t)info->system_offset_align, "system_read_align",
      (json_int_t)info->system_read_align, "recommended_align", (json_int_t)info->recommended_align,
      "align_source",
      (size_t)info->align_source < CLI_COUNT_OF(sources) ? sources[info->align_source] : "unknown",
      "optimal_size", (json_int_t)info->optimal_size, "atomic_min", (json_int_t)info->atomic_min,
      "atomic_max", (json_int_t)info->atomic_max, "durable_method", methods[info->durable_method],
      "physical_block", (json_int_t)info->physical_block, "request_max",
      (json_int_t)info->request_max, "polled", info->is_polled, "polled_reason",
      file->polled_reason, "page_result", (json_int_t)file->page_bytes);
}

static json_t* limit_json(rlim_t value) {
  return value == RLIM_INFINITY ? json_null() : json_integer((json_int_t)value);
}

static json_t* limits_json(const facts_t* facts) {
  const char* threads = getenv("UV_THREADPOOL_SIZE");
  json_t* object = json_object();
  for (size_t i = 0; i < CLI_COUNT_OF(limits); i++) {
    struct rlimit limit;
    if (getrlimit(limits[i].resource, &limit) == 0) {
      json_object_set_new(object, limits[i].key,
                          json_pack("{s:o, s:o}", "soft", limit_json(limit.rlim_cur), "hard",
                                    limit_json(limit.rlim_max)));
    }
  }
  json_object_set_new(object, "depth_default", json_integer(UVDIO_DEPTH_DEFAULT));
  json_object_set_new(object, "depth_max", json_integer(UVDIO_DEPTH_MAX));
  json_object_set_new(object, "io_uring_disabled",
                      *facts->io_uring_disabled != '\0'
                          ? json_integer(atoi(facts->io_uring_disabled))
                          : json_null());
  json_object_set_new(object, "uv_threadpool_size",
                      threads != NULL ? json_string(threads) : json_null());
  return object;
}

static int print_json(const facts_t* facts) {
  json_t* object = json_object();
  json_object_set_new(object, "uvdio", json_string(uvdio_version_string()));
  json_object_set_new(object, "libuv", json_string(uv_version_string()));
  json_object_set_new(object, "system", json_string(facts->system.sysname));
  json_object_set_new(object, "kernel", json_string(facts->system.release));
  json_object_set_new(object, "machine", json_string(facts->system.machine));
  json_object_set_new(object, "backends", backends_json(facts));
  json_object_set_new(object, "engine", engine_json(&facts->engine));
  /* left out where it is not UTF-8 */
  json_object_set_new(object, "path", json_string(facts->path));
  json_object_set_new(object, "file", file_json(&facts->file));
  json_object_set_new(object, "limits", limits_json(facts));
  return report_json("probe", object);
}

int probe_main(int argc, char** argv) {
  enum { OPTION_JSON = CLI_OPTION_FIRST, OPTION_MEASURE };
  static const struct option options[] = {{"json", no_argument, NULL, OPTION_JSON},
                                          {"measure", required_argument, NULL, OPTION_MEASURE},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  const char* model = NULL;
  int as_json = 0, answer;
  while ((answer = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
    switch (answer) {
      case OPTION_JSON:
        as_json = 1;
        break;
      case OPTION_MEASURE:
        model = optarg;
        break;
      case 'h':
        fputs(usage, stdout);
        return CLI_OK;
      default:
        return report_option("probe", argv, answer);
    }
  }
  if (model != NULL) {
    return as_json || argc > optind ? report_usage("probe", "--measure takes a FILE and no more")
                                    : probe_measure(model);
  }
  if (argc - optind != 1) {
    return report_usage("probe", "it takes one PATH, a file or a directory");
  }
  facts_t facts = {.path = argv[optind]};
  find_kernel(&facts);
  find_backends(&facts);
  int code = find_engine_and_file(&facts);
  if (as_json) {
    int printed = print_json(&facts);
    return code != CLI_OK ? code : printed;
  }
  print_text(&facts);
  return code;
}
