/* SPDX-License-Identifier: MIT */
/*
 * The targets, the cells, and the figures of each target in each cell.
 */
#include <assert.h>
#include <string.h>

#include "cli/cli.h"
#include "compare/model.h"
#include "harness/summary.h"
#include "harness/work.h"

/* Bytes. Buffers of this size and more lie in huge pages: pinning 256 pages costs more than
 * anything else that a program does for a block of 1 MiB. */
#define HUGE_PAGES_FROM ((size_t)256 * 1024)
const compare_target_t compare_targets[] = {
    {"ring", TARGET_CHILD, "4", 1, "uvdio on io_uring, buffers from an arena, which is registered"},
    {"ring-plain", TARGET_CHILD, "4", 1, "the same with the arena not registered"},
    {"ring-heap", TARGET_CHILD, "4", 0, "the same with buffers from the heap"},
    {"ring-prompt", TARGET_CHILD, "4", 0,
     "as ring, in batches of one: a system call for each request"},
    {"ring-busy", TARGET_CHILD, "4", 0, "as ring, with busy polling for up to 0.2 ms a turn"},
    {"aio", TARGET_CHILD, "4", 1, "uvdio on kernel AIO"},
    {"pool", TARGET_CHILD, "4", 1, "uvdio on libuv's threadpool, 4 threads"},
    {"pool-32", TARGET_CHILD, "32", 0, "the same with 32 threads"},
    {"limit", TARGET_CHILD, "4", 1,
     "a bare liburing loop: registered, submit_and_wait, nothing else"},
    {"limit-prompt", TARGET_CHILD, "4", 1, "the same with a system call for each request"},
    {"uv-4", TARGET_CHILD, "4", 1, "uv_fs_read and uv_fs_write, 4 threads (libuv's default)"},
    {"uv-32", TARGET_CHILD, "32", 1, "the same with 32 threads"},
    {"fio-uring", TARGET_FIO, "io_uring", 1,
     "fio, ioengine=io_uring, registered buffers and files"},
    {"fio-libaio", TARGET_FIO, "libaio", 1, "fio, ioengine=libaio"},
    {"qemu-img", TARGET_QEMU, "io_uring", 1,
     "qemu-img bench -i io_uring; random is a fixed stride there"},
};
const size_t compare_target_count = CLI_COUNT_OF(compare_targets);

row_t* compare_row(const compare_t* compare, size_t cell, size_t target) {
  assert(cell < compare->cell_count && target < compare->target_count);
  return &compare->rows[cell * compare->target_count + target];
}

work_params_t compare_params(const compare_t* compare, size_t cell) {
  const cell_t* here = &compare->cells[cell];
  work_params_t params = compare->params;
  params.kind = here->kind;
  params.depth = here->depth;
  params.block_size = here->block_size;
  params.huge_pages = !compare->small_pages && here->block_size >= HUGE_PAGES_FROM;
  params.file_size = params.file_size / here->block_size * here->block_size;
  return params;
}

int compare_find(const compare_t* compare, const char* name) {
  for (size_t i = 0; i < compare->target_count; i++) {
    if (strcmp(compare->targets[i]->name, name) == 0) {
      return (int)i;
    }
  }
  return -1;
}

summary_t compare_summary(const row_t* row, size_t member) {
  return summary_of(SERIES(row->samples, row->sample_count, member));
}

summary_t compare_ratio(const row_t* row, const row_t* base, size_t member) {
  return base == NULL ? summary_of(SERIES(row->samples, 0, member))
                      : summary_of_ratios(SERIES(row->samples, row->sample_count, member),
                                          SERIES(base->samples, base->sample_count, member));
}
