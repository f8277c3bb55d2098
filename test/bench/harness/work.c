/* SPDX-License-Identifier: MIT */
/*
 * The files, the memory and the random numbers of work.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <uv.h>

#include "harness/work.h"
#include "uvdio.h"

/* Of most systems; where it is another one, large buffers are a little less well aligned. */
#define HUGE_PAGE_SIZE ((size_t)2 * 1024 * 1024)

static const char* const kind_names[WORK_KIND_COUNT] = {
    [WORK_RANDOM_READ] = "random-read",     [WORK_SEQUENTIAL_READ] = "sequential-read",
    [WORK_RANDOM_WRITE] = "random-write",   [WORK_SEQUENTIAL_WRITE] = "sequential-write",
    [WORK_DURABLE_WRITE] = "durable-write", [WORK_MIXED] = "mixed",
};

const char* work_kind_text(work_kind_t kind) {
  return (size_t)kind < WORK_KIND_COUNT ? kind_names[kind] : NULL;
}

int work_kind_parse(const char* text, work_kind_t* kind) {
  for (int i = 0; i < WORK_KIND_COUNT; i++) {
    if (strcmp(text, kind_names[i]) == 0) {
      *kind = (work_kind_t)i;
      return 0;
    }
  }
  return -1;
}

void work_path(const work_params_t* params, unsigned number, char* path, size_t size) {
  snprintf(path, size, "%s/f.%u", params->directory, number);
}

int work_writes(work_kind_t kind) {
  return kind != WORK_RANDOM_READ && kind != WORK_SEQUENTIAL_READ;
}

int work_open_direct(const char* path, int flags) {
  uv_fs_t req;
#ifdef O_DIRECT
  flags |= O_DIRECT;
#endif
  int file = uv_fs_open(NULL, &req, path, flags | O_CLOEXEC, 0, NULL);
  uv_fs_req_cleanup(&req);
#ifdef F_NOCACHE
  if (file >= 0) {
    (void)fcntl(file, F_NOCACHE, 1);
  }
#endif
  return file;
}

int work_open(const work_params_t* params, unsigned number) {
  char path[4096];
  int flags = (work_writes(params->kind) ? O_RDWR : O_RDONLY) |
              (params->kind == WORK_DURABLE_WRITE ? O_DSYNC : 0);
  work_path(params, number, path, sizeof path);
  return work_open_direct(path, flags);
}

void* work_memory(const work_params_t* params) {
  size_t size = params->depth * params->block_size;
  void* memory;
  if (posix_memalign(&memory, params->huge_pages ? HUGE_PAGE_SIZE : UVDIO_ALIGNMENT, size) != 0) {
    return NULL;
  }
#ifdef MADV_HUGEPAGE
  if (params->huge_pages) {
    (void)madvise(memory, size, MADV_HUGEPAGE);
  }
#endif
  return memset(memory, 'u', size);
}

void work_prepare(work_t* work, const work_params_t* params, unsigned number) {
  work->params = *params;
  work->blocks = params->file_size / params->block_size;
  work->timed = params->operations == 0;
  work->left = work->timed ? UINT64_MAX : params->operations;
  work->random = (params->seed + number + 1) * 0x9E3779B97F4A7C15u;
  work->random = work->random != 0 ? work->random : 1;
  work->sequence = work->blocks * params->files / params->loops * number;
}
