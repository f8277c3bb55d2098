/* SPDX-License-Identifier: MIT */
/*
 * uvdio probe, of the machine: what a maintainer asks first about a report, and which limits of
 * the system, the container and the user are in the way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "cli.h"
#include "format.h"
#include "probe.h"
#include "procfs.h"
#include "program.h"

/*
 * Versions.
 */

void probe_versions(page_t* page) {
  const char* libuv = uv_version_string();
  const char* built = program_libuv_built();
  int is_same = strcmp(libuv, built) == 0;
  char liburing[24];
  uv_utsname_t system;
  (void)uv_os_uname(&system); /* where it fails, its texts are empty */
  program_liburing(liburing, sizeof liburing);
  page_line(page, "uvdio %s, libuv %s%s%s%s, liburing %s, %s %s %s", uvdio_version_string(), libuv,
            is_same ? "" : " (built with ", is_same ? "" : built, is_same ? "" : ")", liburing,
            system.sysname, system.release, system.machine);
  page_value(page, "uvdio", json_string(uvdio_version_string()));
  page_value(page, "libuv", json_string(libuv));
  page_value(page, "libuv_built", json_string(built));
  page_value(page, "liburing", uvdio_liburing_version() != 0 ? json_string(liburing) : json_null());
  page_value(page, "system", json_string(system.sysname));
  page_value(page, "kernel", json_string(system.release));
  page_value(page, "machine", json_string(system.machine));
}

/*
 * The machine and the container.
 */

/* What containers leave for programs to see; a hint, no proof. */
static const char* container_hint(void) {
  static const struct {
    const char* path;
    const char* hint;
  } marks[] = {{"/.dockerenv", "Docker (/.dockerenv)"},
               {"/run/.containerenv", "Podman (/run/.containerenv)"}};
  for (size_t i = 0; i < CLI_COUNT_OF(marks); i++) {
    if (access(marks[i].path, F_OK) == 0) {
      return marks[i].hint;
    }
  }
  const char* named = getenv("container");
  if (named != NULL && *named != '\0') {
    return named;
  }
  return getenv("KUBERNETES_SERVICE_HOST") != NULL ? "Kubernetes (KUBERNETES_SERVICE_HOST)" : "";
}

static const char* seccomp_meaning(const char* mode) {
  return strcmp(mode, "0") == 0   ? "no filter"
         : strcmp(mode, "1") == 0 ? "strict"
         : strcmp(mode, "2") == 0 ? "a filter decides on system calls"
                                  : mode;
}

/* Capabilities count for the kernel in the initial user namespace only. */
static const char* user_namespace(void) {
  unsigned long inside, outside, count;
  char map[PROCFS_TEXT_SIZE];
  if (procfs_line("/proc/self/uid_map", map, sizeof map) == 0 ||
      sscanf(map, "%lu %lu %lu", &inside, &outside, &count) != 3) {
    return "";
  }
  return inside == 0 && outside == 0 && count == 4294967295UL ? "initial" : "not the initial one";
}

/* What lifts the limit on locked memory: bit 14 of the capabilities, where they count. */
static void tell_ipc_lock(page_t* page) {
  char text[PROCFS_TEXT_SIZE];
  if (procfs_field("/proc/self/status", "CapEff", text, sizeof text) == 0) {
    page_value(page, "ipc_lock", json_null());
    return;
  }
  int is_there = (int)(strtoull(text, NULL, 16) >> 14 & 1);
  int counts = strcmp(user_namespace(), "initial") == 0;
  page_fact(page, "ipc_lock", json_boolean(is_there && counts), "CAP_IPC_LOCK", "%s",
            !is_there ? "no"
            : counts  ? "yes: no limit on locked memory holds"
                      : "in this user namespace only: the limit on locked memory holds");
}

static void tell_container(page_t* page) {
  char text[PROCFS_TEXT_SIZE];
  const char* hint = container_hint();
  page_fact(page, "container", *hint != '\0' ? json_string(hint) : json_null(), "container", "%s",
            *hint != '\0' ? hint : "no sign of one");
  (void)procfs_cgroup(text, sizeof text);
  page_text(page, "cgroup", "cgroup", text);
  page_text(page, "user_namespace", "user namespace", user_namespace());
  if (procfs_field("/proc/self/status", "Seccomp", text, sizeof text) > 0) {
    page_fact(page, "seccomp", json_integer(atoi(text)), "seccomp", "%s", seccomp_meaning(text));
  } else {
    page_value(page, "seccomp", json_null());
  }
  tell_ipc_lock(page);
}

void probe_host(page_t* page) {
  char text[PROCFS_TEXT_SIZE], number[24];
  uv_utsname_t system;
  uint64_t memory = uv_get_total_memory();
  unsigned available = uv_available_parallelism();
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  page_section(page, "host", "Machine");
  if (procfs_field("/etc/os-release", "PRETTY_NAME", text, sizeof text) == 0) {
    (void)procfs_field("/usr/lib/os-release", "PRETTY_NAME", text, sizeof text);
  }
  page_text(page, "distribution", "distribution", text);
  (void)uv_os_uname(&system);
  page_text(page, "kernel_version", "kernel", system.version);
  page_value(page, "processors_online", json_integer(online));
  page_fact(page, "processors", json_integer(available), "processors", "%u of %ld", available,
            online);
  page_fact(page, "memory", json_integer((json_int_t)memory), "memory", "%s",
            format_size(number, sizeof number, memory));
  tell_container(page);
}

/*
 * Limits.
 */

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
    {"nproc", "tasks of the user (RLIMIT_NPROC)", RLIMIT_NPROC, 0},
};

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

static json_t* limit_json(rlim_t value) {
  return value == RLIM_INFINITY ? json_null() : json_integer((json_int_t)value);
}

static void tell_limit(page_t* page, size_t i) {
  char soft[24], hard[24];
  struct rlimit limit;
  if (getrlimit(limits[i].resource, &limit) != 0) {
    return;
  }
  format_limit(soft, sizeof soft, limit.rlim_cur, limits[i].in_bytes);
  format_limit(hard, sizeof hard, limit.rlim_max, limits[i].in_bytes);
  int can_rise = limit.rlim_cur != limit.rlim_max;
  page_fact(page, limits[i].key,
            json_pack("{s:o, s:o}", "soft", limit_json(limit.rlim_cur), "hard",
                      limit_json(limit.rlim_max)),
            limits[i].label, "%s%s%s%s", soft, can_rise ? " (can be raised to " : "",
            can_rise ? hard : "", can_rise ? ")" : "");
}

static json_t* number_json(const char* text) {
  char* end;
  long long number = strtoll(text, &end, 10);
  return end != text && *end == '\0' ? json_integer(number) : json_null();
}

static void tell_tasks(page_t* page) {
  char text[PROCFS_TEXT_SIZE];
  (void)procfs_tasks_max(text, sizeof text);
  json_t* number = number_json(text);
  if (*text == '\0') {
    page_value(page, "cgroup_tasks", number);
  } else {
    page_fact(page, "cgroup_tasks", number, "tasks of the cgroup (pids.max)", "%s",
              strcmp(text, "max") == 0 ? "unlimited" : text);
  }
}

static void tell_aio(page_t* page) {
  char taken[PROCFS_TEXT_SIZE], most[PROCFS_TEXT_SIZE];
  (void)procfs_line("/proc/sys/fs/aio-nr", taken, sizeof taken);
  (void)procfs_line("/proc/sys/fs/aio-max-nr", most, sizeof most);
  page_value(page, "aio_nr", number_json(taken));
  page_value(page, "aio_max_nr", number_json(most));
  if (*taken != '\0' && *most != '\0') {
    page_words(page, "fs.aio-nr, fs.aio-max-nr", "%s of %s requests of kernel AIO are taken", taken,
               most);
  }
}

static const char* io_uring_meaning(const char* setting) {
  return *setting == '\0'            ? "not there"
         : strcmp(setting, "0") == 0 ? "0 (everybody may use io_uring)"
         : strcmp(setting, "1") == 0 ? "1 (only privileged programs, or kernel.io_uring_group)"
         : strcmp(setting, "2") == 0 ? "2 (nobody may use io_uring)"
                                     : setting;
}

void probe_limits(page_t* page) {
  char setting[PROCFS_TEXT_SIZE];
  const char* threads = getenv("UV_THREADPOOL_SIZE");
  page_section(page, "limits", "Limits");
  for (size_t i = 0; i < CLI_COUNT_OF(limits); i++) {
    tell_limit(page, i);
  }
  tell_tasks(page);
  page_value(page, "depth_default", json_integer(UVDIO_DEPTH_DEFAULT));
  page_value(page, "depth_max", json_integer(UVDIO_DEPTH_MAX));
  page_words(page, "queue depth", "%d by default, %d at most", UVDIO_DEPTH_DEFAULT,
             UVDIO_DEPTH_MAX);
  tell_aio(page);
  (void)procfs_line("/proc/sys/kernel/io_uring_disabled", setting, sizeof setting);
  page_fact(page, "io_uring_disabled", number_json(setting), "kernel.io_uring_disabled", "%s",
            io_uring_meaning(setting));
  page_fact(page, "uv_threadpool_size", threads != NULL ? json_string(threads) : json_null(),
            "UV_THREADPOOL_SIZE", "%s",
            threads != NULL ? threads : "not set: libuv runs 4 threads");
}
