/* SPDX-License-Identifier: MIT */
/*
 * The series and the figures of each of their sizes.
 */
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "harness/summary.h"
#include "scaling/model.h"

const scaling_series_t scaling_series[SCALING_SERIES_COUNT] = {
    {"files", "open files", 0, {1, 10, 100, 1000, 10000}},
    {"queued", "requests at a time", 1, {1, SCALING_DEPTH, 1000, 10000, 100000}},
    {"arena", "bytes of registered arena", 0, {1 << 20, 64 << 20, 1 << 30, (uint64_t)8 << 30}},
};

int scaling_find_series(const char* name) {
  for (int kind = 0; kind < SCALING_SERIES_COUNT; kind++) {
    if (strcmp(scaling_series[kind].name, name) == 0) {
      return kind;
    }
  }
  return -1;
}

int scaling_path(const scaling_t* scaling, uint64_t number, char* path, size_t size) {
  return snprintf(path, size, "%s/%llu", scaling->folder, (unsigned long long)number) < (int)size
             ? 0
             : UV_ENAMETOOLONG;
}

summary_t scaling_summary(const scaling_row_t* row, size_t member) {
  return summary_of(SERIES(row->figures, row->count, member));
}

summary_t scaling_ratio(const scaling_t* scaling, series_kind_t kind, const scaling_row_t* row) {
  const scaling_row_t* base = &scaling->rows[kind][scaling_series[kind].base];
  return summary_of_ratios(SERIES(row->figures, row->count, SCALING_FIGURE(cpu_us)),
                           SERIES(base->figures, base->count, SCALING_FIGURE(cpu_us)));
}
