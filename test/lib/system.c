/* SPDX-License-Identifier: MIT */
/*
 * See system.h: POSIX, and Linux where a test is about it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* program_invocation_short_name */
#endif

#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "ops.h"

#ifdef UVDIO_COVERAGE
extern void __gcov_dump(void);
#endif

static const char* watched;

static void hang(int signal_number) {
  static const char head[] = "\nnot ok - hangs: ";
  (void)signal_number;
  ssize_t ignored = write(STDERR_FILENO, head, sizeof(head) - 1);
  ignored = write(STDERR_FILENO, watched, strlen(watched));
  ignored = write(STDERR_FILENO, "\n", 1);
  (void)ignored;
  abort();
}

void watch_for_hang(const char* what) {
  if (what == NULL) {
    alarm(0);
    return;
  }
  watched = what;
  signal(SIGALRM, hang);
  alarm(HANG_AFTER);
}

void exit_child(int status) {
#ifdef UVDIO_COVERAGE
  __gcov_dump(); /* _exit() does not write the counters. */
#endif
  _exit(status);
}

unsigned open_rings(void) {
  unsigned count = 0;
  for (int descriptor = 0; descriptor < 1024; descriptor++) {
    char path[64];
    char target[64] = "";
    snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
    if (readlink(path, target, sizeof(target) - 1) > 0) {
      count += strcmp(target, "anon_inode:[io_uring]") == 0;
    }
  }
  return count;
}

size_t open_descriptors(void) {
  DIR* list = opendir("/proc/self/fd");
  if (list == NULL) {
    return 0;
  }
  size_t count = 0;
  while (readdir(list) != NULL) {
    count++;
  }
  closedir(list);
  return count;
}

void system_warm_up(void) {}

void* system_aligned_alloc(size_t alignment, size_t size) {
  void* memory = NULL;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

void system_aligned_free(void* memory) {
  free(memory);
}

size_t system_page_size(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

size_t system_resident_bytes(void) {
  size_t total = 0;
  size_t resident = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%zu %zu", &total, &resident) != 2) {
    resident = 0;
  }
  if (file != NULL) {
    fclose(file);
  }
  return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Whether writing one byte at `where`, or reading it, kills a child by a signal. */
static int kills(volatile char* where, int reads) {
  int status = 0;
  struct rlimit no_core = {0, 0};
  pid_t child = fork();
  if (child == 0) {
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    if (reads) {
      (void)*where;
    } else {
      *where = 1;
    }
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status);
}

int system_faults(volatile char* where) {
  int faults_to_write = kills(where, 0);
  assert_int_equal(kills(where, 1), faults_to_write);
  return faults_to_write;
}

int system_set_environment(const char* name, const char* value) {
  return value != NULL ? setenv(name, value, 1) : unsetenv(name);
}

int system_make_folder(char* path) {
  return mkdtemp(path) == NULL ? -1 : 0;
}

const char* system_program_name(void) {
  return program_invocation_short_name;
}

int system_matches(const char* pattern, const char* text) {
  return fnmatch(pattern, text, 0) == 0;
}

/* Found at the start: in another mount namespace, the link tells no path from the root, but from
 * the mount that holds the program. */
static char capability[4096];

__attribute__((constructor)) static void find_capability(void) {
  ssize_t length = readlink("/proc/self/exe", capability, sizeof(capability) - 16);
  if (length > 0) {
    capability[length] = '\0';
    strcpy(strrchr(capability, '/') + 1, "capability");
  }
}

static void run_capability(const char* name, const char* folder) {
  execl(capability, "capability", name, folder, (char*)NULL);
  _exit(127);
}

int system_has(const char* name, const char* folder) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    run_capability(name, folder);
  }
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

int system_make_readable(uv_os_sock_t ends[2]) {
  return pipe(ends) != 0 || write(ends[1], "x", 1) != 1;
}

void system_close_readable(const uv_os_sock_t ends[2]) {
  close(ends[0]);
  close(ends[1]);
}

int system_provides(const char* what) {
#ifdef __linux__
  int grows = 1;
#else
  int grows = 0;
#endif
  return grows || strcmp(what, "growth") != 0;
}

struct system_entry system_look_at(const char* path) {
  struct system_entry entry = {0};
  struct stat about;
  if (lstat(path, &about) == 0) {
    entry.is_there = 1;
    entry.is_directory = S_ISDIR(about.st_mode);
    entry.inode = about.st_ino;
  }
  return entry;
}

int64_t system_read(const char* path, void* bytes, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : pread(fd, bytes, size, 0);
  if (fd >= 0) {
    (void)close(fd);
  }
  return got;
}

unsigned cached_pages(const char* path, size_t pages) {
  unsigned char is_cached[64];
  unsigned count = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  void* at = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, fd, 0);
  assert_true(fd >= 0 && at != MAP_FAILED && pages <= sizeof(is_cached));
  assert_int_equal(mincore(at, pages * PAGE, is_cached), 0);
  for (size_t i = 0; i < pages; i++) {
    count += is_cached[i] & 1u;
  }
  munmap(at, pages * PAGE);
  close(fd);
  return count;
}
