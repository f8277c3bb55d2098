/* SPDX-License-Identifier: MIT */
/*
 * Medians, and how far rounds lie apart: computed, in cells of tables, in JSON.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/format.h"
#include "cli/table.h"
#include "harness/json.h"
#include "harness/summary.h"

static double value_at(series_t series, size_t round) {
  double value;
  memcpy(&value, (const char*)series.samples + round * series.sample_size + series.member,
         sizeof value);
  return value;
}

static int ascending(const void* left, const void* right) {
  double a = *(const double*)left;
  double b = *(const double*)right;
  return (a > b) - (a < b);
}

static summary_t summary_of_values(double* values, size_t count) {
  if (count == 0) {
    return (summary_t){NAN, NAN, NAN};
  }
  qsort(values, count, sizeof *values, ascending);
  double middle =
      count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
  return (summary_t){middle, values[0], values[count - 1]};
}

summary_t summary_of(series_t series) {
  double values[SUMMARY_ROUNDS_MAX];
  size_t count = 0;
  for (size_t i = 0; i < series.count; i++) {
    double value = value_at(series, i);
    if (!isnan(value)) {
      values[count++] = value;
    }
  }
  return summary_of_values(values, count);
}

summary_t summary_of_ratios(series_t series, series_t base) {
  double values[SUMMARY_ROUNDS_MAX];
  size_t count = 0;
  for (size_t i = 0; i < series.count && i < base.count; i++) {
    double value = value_at(series, i) / value_at(base, i);
    if (isfinite(value)) {
      values[count++] = value;
    }
  }
  return summary_of_values(values, count);
}

void cell_number(char* cell, const char* format, double value) {
  if (isnan(value)) {
    snprintf(cell, TABLE_CELL_SIZE, "-");
  } else {
    snprintf(cell, TABLE_CELL_SIZE, format, value);
  }
}

void cell_time(char* cell, double microseconds) {
  if (isnan(microseconds)) {
    snprintf(cell, TABLE_CELL_SIZE, "-");
  } else {
    format_time(cell, TABLE_CELL_SIZE, microseconds);
  }
}

void cell_spread(char* cell, summary_t summary) {
  if (isnan(summary.median)) {
    snprintf(cell, TABLE_CELL_SIZE, "-");
  } else {
    snprintf(cell, TABLE_CELL_SIZE, "-%.0f +%.0f %%", (1 - summary.min / summary.median) * 100,
             (summary.max / summary.median - 1) * 100);
  }
}

json_t* json_summary(summary_t summary) {
  return json_pack("{s:o, s:o, s:o}", "median", json_number_or_null(summary.median), "min",
                   json_number_or_null(summary.min), "max", json_number_or_null(summary.max));
}
