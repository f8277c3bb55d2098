/* SPDX-License-Identifier: MIT */
/*
 * See ../lib/system.h: Windows. There is no kernel to ask for rings and the like: it has none.
 */
#include "system.h"

#include "check.h"
#include "log/crc32c.h"
#include "ops.h"

#include <direct.h>
#include <io.h>
#include <malloc.h>
#include <psapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#define HANDLES_MAX 1024

/*
 * The watch: a thread, which waits for the end of the time or for another watch. Nothing of it is a
 * handle that comes and goes, so that handles can be counted.
 */

static struct {
  SRWLOCK lock;
  CONDITION_VARIABLE changed;
  int is_started;
  const char* what; /* null: nothing is watched */
  unsigned number;  /* of the watch */
} watch = {SRWLOCK_INIT, CONDITION_VARIABLE_INIT, 0, NULL, 0};

static void end_program(const char* what) {
  fprintf(stderr, "\nnot ok - hangs: %s\n", what);
  fflush(stderr);
  (void)TerminateProcess(GetCurrentProcess(), 134);
}

__attribute__((noreturn)) static DWORD WINAPI watch_the_time(void* ignored) {
  (void)ignored;
  AcquireSRWLockExclusive(&watch.lock);
  for (;;) {
    unsigned number = watch.number;
    DWORD time = watch.what != NULL ? HANG_AFTER * 1000 : INFINITE;
    BOOL woken = SleepConditionVariableSRW(&watch.changed, &watch.lock, time, 0);
    if (!woken && watch.what != NULL && watch.number == number) {
      end_program(watch.what);
    }
  }
}

void watch_for_hang(const char* what) {
  AcquireSRWLockExclusive(&watch.lock);
  if (!watch.is_started) {
    HANDLE thread = CreateThread(NULL, 0, watch_the_time, NULL, 0, NULL);
    watch.is_started = thread != NULL;
    (void)CloseHandle(thread);
  }
  watch.what = what;
  watch.number++;
  ReleaseSRWLockExclusive(&watch.lock);
  WakeConditionVariable(&watch.changed);
}

/*
 * The process.
 */

/* Handles of any kind, events and threads among them, up to some hundred. Asked one by one, because
 * wine does not count them (GetProcessHandleCount()). */
size_t open_descriptors(void) {
  size_t count = 0;
  DWORD flags;
  for (uintptr_t number = 4; number < (uintptr_t)4 * HANDLES_MAX; number += 4) {
    count += GetHandleInformation((HANDLE)number, &flags) != 0;
  }
  return count;
}

static void work(uv_work_t* ignored) {
  (void)ignored;
}

static void on_readable(uv_poll_t* poll, int status, int events) {
  (void)status;
  (void)events;
  uv_close((uv_handle_t*)poll, NULL);
}

/* libuv's threads, what its poll handles keep for the process, the calling thread's handle, the
 * thread that watches, the lock of the compiler's thread-local variables, and random numbers. */
void system_warm_up(void) {
  static _Thread_local volatile int is_warm;
  uv_loop_t loop;
  uv_work_t req;
  uv_poll_t poll;
  uv_os_sock_t ends[2];
  char random;
  if (is_warm) {
    return;
  }
  is_warm = 1;
  (void)uv_thread_self();
  watch_for_hang(NULL);
  assert_ok(uv_random(NULL, NULL, &random, sizeof(random), 0, NULL));
  (void)uvdio__log_crc32c("", 0); /* a uv_once() keeps an event */
  assert_ok(uv_loop_init(&loop));
  assert_ok(uv_queue_work(&loop, &req, work, NULL));
  assert_ok(system_make_readable(ends));
  assert_ok(uv_poll_init_socket(&loop, &poll, ends[0]));
  assert_ok(uv_poll_start(&poll, UV_READABLE, on_readable));
  assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
  system_close_readable(ends);
  assert_ok(uv_loop_close(&loop));
}

unsigned open_rings(void) {
  return 0;
}

size_t system_resident_bytes(void) {
  PROCESS_MEMORY_COUNTERS counters;
  return K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters))
             ? counters.WorkingSetSize
             : 0;
}

int system_faults(volatile char* where) {
  MEMORY_BASIC_INFORMATION about;
  assert_true(VirtualQuery((const void*)(uintptr_t)where, &about, sizeof(about)) != 0);
  return about.State != MEM_COMMIT || about.Protect == PAGE_NOACCESS;
}

int system_set_environment(const char* name, const char* value) {
  return _putenv_s(name, value != NULL ? value : "");
}

const char* system_program_name(void) {
  static char name[MAX_PATH];
  char path[MAX_PATH] = "";
  (void)GetModuleFileNameA(NULL, path, sizeof(path));
  const char* last = strrchr(path, '\\');
  snprintf(name, sizeof(name), "%s", last != NULL ? last + 1 : path);
  name[strcspn(name, ".")] = '\0';
  return name;
}

/* What wine 8 has not either: setting an allocation size, sparse files, and names that are free as
 * soon as they are removed, which Windows has since Windows 10 (version 1809). */
static const char* const missing[] = {"adoption", "durable writes", "growth",  "locks",
                                      "modes",    "procfs",         "replace", "sync_directory"};
static const char* const missing_in_wine[] = {"open names", "preallocate", "punch_hole",
                                              "zero_range"};

static int is_among(const char* what, const char* const* list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(what, list[i]) == 0) {
      return 1;
    }
  }
  return 0;
}

static int is_wine(void) {
  return GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != NULL;
}

int system_provides(const char* what) {
  return !is_among(what, missing, COUNT_OF(missing)) &&
         !(is_wine() && is_among(what, missing_in_wine, COUNT_OF(missing_in_wine)));
}

int system_has(const char* name, const char* folder) {
  (void)name;
  (void)folder;
  return 0;
}

/*
 * Memory.
 */

void* system_aligned_alloc(size_t alignment, size_t size) {
  return _aligned_malloc(size, alignment);
}

void system_aligned_free(void* memory) {
  _aligned_free(memory);
}

size_t system_page_size(void) {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
}

/*
 * Text.
 */

/* Whether the set that begins behind a bracket has the character; *end is where it ends. */
static int is_in_set(const char* set, char character, const char** end) {
  int is_in = 0;
  for (; *set != ']' && *set != '\0'; set++) {
    is_in |= *set == character;
  }
  *end = *set == ']' ? set + 1 : set;
  return is_in;
}

int system_matches(const char* pattern, const char* text) {
  for (; *pattern != '\0' && *pattern != '*'; text++) {
    int is_set = *pattern == '[';
    const char* next = pattern + 1;
    int fits = is_set ? is_in_set(pattern + 1, *text, &next) : *pattern == *text;
    if (!fits || *text == '\0') {
      return 0;
    }
    pattern = next;
  }
  if (*pattern == '\0') {
    return *text == '\0';
  }
  for (;; text++) {
    if (system_matches(pattern + 1, text)) {
      return 1;
    }
    if (*text == '\0') {
      return 0;
    }
  }
}

/*
 * Files.
 */

int system_make_folder(char* path) {
  uv_fs_t req;
  int code = uv_fs_mkdtemp(NULL, &req, path, NULL);
  if (code == 0) {
    memcpy(path, req.path, strlen(path));
  }
  uv_fs_req_cleanup(&req);
  return code;
}

int system_make_readable(uv_os_sock_t ends[2]) {
  return uv_socketpair(SOCK_STREAM, 0, ends, 0, 0) != 0 || send(ends[1], "x", 1, 0) != 1;
}

void system_close_readable(const uv_os_sock_t ends[2]) {
  (void)closesocket(ends[0]);
  (void)closesocket(ends[1]);
}

struct system_entry system_look_at(const char* path) {
  struct system_entry entry = {0};
  uv_fs_t req;
  if (uv_fs_lstat(NULL, &req, path, NULL) == 0) {
    entry.is_there = 1;
    entry.is_directory = (req.statbuf.st_mode & S_IFMT) == S_IFDIR;
    entry.inode = req.statbuf.st_ino;
  }
  uv_fs_req_cleanup(&req);
  return entry;
}

int64_t system_read(const char* path, void* bytes, size_t size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) {
    return -1;
  }
  size_t got = fread(bytes, 1, size, file);
  fclose(file);
  return (int64_t)got;
}

unsigned cached_pages(const char* path, size_t pages) {
  (void)path;
  (void)pages;
  SKIP("what is in the page cache can't be told here");
  return 0;
}
