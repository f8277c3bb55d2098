/*
 * Medians, and how far rounds lie apart: computed, in cells of tables, in JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "spread.h"

static double value_at(series_t series, size_t round) {
  double value;
  memcpy(&value, (const char*)series.samples + round * series.sample_size + series.member, sizeof value);
  return value;
}

static int ascending(const void* left, const void* right) {
  double a = *(const double*)left;
  double b = *(const double*)right;
  return (a > b) - (a < b);
}

static spread_t spread_of_values(double* values, size_t count) {
  if (count == 0) {
    return (spread_t){NAN, NAN, NAN};
  }
  qsort(values, count, sizeof *values, ascending);
  double middle = count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
  return (spread_t){middle, values[0], values[count - 1]};
}

spread_t spread_of(series_t series) {
  double values[SPREAD_ROUNDS_MAX];
  size_t count = 0;
  for (size_t i = 0; i < series.count; i++) {
    double value = value_at(series, i);
    if (!isnan(value)) {
      values[count++] = value;
    }
  }
  return spread_of_values(values, count);
}

spread_t spread_of_ratios(series_t series, series_t base) {
  double values[SPREAD_ROUNDS_MAX];
  size_t count = 0;
  for (size_t i = 0; i < series.count && i < base.count; i++) {
    double value = value_at(series, i) / value_at(base, i);
    if (isfinite(value)) {
      values[count++] = value;
    }
  }
  return spread_of_values(values, count);
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

void cell_spread(char* cell, spread_t spread) {
  if (isnan(spread.median)) {
    snprintf(cell, TABLE_CELL_SIZE, "-");
  } else {
    snprintf(cell, TABLE_CELL_SIZE, "-%.0f +%.0f %%", (1 - spread.min / spread.median) * 100,
             (spread.max / spread.median - 1) * 100);
  }
}

json_t* json_number_or_null(double value) {
  return isfinite(value) ? json_thousandths(value) : json_null();
}

json_t* json_spread(spread_t spread) {
  return json_pack("{s:o, s:o, s:o}", "median", json_number_or_null(spread.median), "min",
                   json_number_or_null(spread.min), "max", json_number_or_null(spread.max));
}

static void add_processor(json_t* environment) {
  uv_cpu_info_t* processors;
  int count;
  if (uv_cpu_info(&processors, &count) == 0) {
    json_object_set_new(environment, "processor", json_string(count > 0 ? processors[0].model : ""));
    json_object_set_new(environment, "processors", json_integer(count));
    uv_free_cpu_info(processors, count);
  }
}

json_t* json_environment(void) {
  uv_utsname_t system = {0};
  double load[3];
  (void)uv_os_uname(&system);
  uv_loadavg(load);
  json_t* json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:f}", "uvdio", uvdio_version_string(), "libuv",
                           uv_version_string(), "system", system.sysname, "kernel", system.release, "machine",
                           system.machine, "load", load[0]);
  add_processor(json);
  return json;
}
