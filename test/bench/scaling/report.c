/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench scaling measured: tables and JSON.
 */
#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/table.h"
#include "harness/environment.h"
#include "harness/json.h"
#include "harness/notes.h"
#include "harness/summary.h"
#include "scaling/model.h"
#include "scaling/report.h"

static void add_heading(table_t* table) {
  static const char* const headings[] = {"", "CPU/op", "spread", "x", "calls/op", "instr/op", "x"};
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  table->columns = CLI_COUNT_OF(headings);
  table->text_columns = 1;
  for (size_t i = 0; i < CLI_COUNT_OF(headings) && cells != NULL; i++) {
    snprintf(cells[i], TABLE_CELL_SIZE, "%s", headings[i]);
  }
}

static void add_row(const scaling_t* scaling, table_t* table, series_kind_t kind, size_t i) {
  const scaling_row_t* row = &scaling->rows[kind][i];
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return;
  }
  if (kind == SERIES_ARENA) {
    format_size(cells[0], TABLE_CELL_SIZE, scaling_series[kind].sizes[i]);
  } else {
    snprintf(cells[0], TABLE_CELL_SIZE, "%llu", (unsigned long long)scaling_series[kind].sizes[i]);
  }
  cell_time(cells[1], scaling_summary(row, SCALING_FIGURE(cpu_us)).median);
  cell_spread(cells[2], scaling_summary(row, SCALING_FIGURE(cpu_us)));
  cell_number(cells[3], "%.2f", scaling_ratio(scaling, kind, row).median);
  cell_number(cells[4], "%.3f", scaling_summary(row, SCALING_FIGURE(calls)).median);
  cell_number(cells[5], "%.0f", row->instructions);
  cell_number(cells[6], "%.2f",
              row->instructions / scaling->rows[kind][scaling_series[kind].base].instructions);
}

int scaling_print(const scaling_t* scaling) {
  printf("random reads of 4 KiB through the ring, depth %d, %llu rounds\n", SCALING_DEPTH,
         (unsigned long long)scaling->rounds);
  for (int kind = 0; kind < SCALING_SERIES_COUNT; kind++) {
    table_t table = {0};
    if (!scaling->series[kind]) {
      continue;
    }
    add_heading(&table);
    for (size_t i = 0; i < SCALING_SIZES_MAX && scaling_series[kind].sizes[i] != 0; i++) {
      add_row(scaling, &table, (series_kind_t)kind, i);
    }
    printf("\n%s\n", scaling_series[kind].unit);
    table_print(&table, stdout);
    table_free(&table);
  }
  printf(
      "\nCPU is user and system time of the process; x is by the line with 1.00, in the same "
      "round; medians. Instructions are\n"
      "those in user space.\n");
  notes_print(&scaling->notes);
  return CLI_OK;
}

static json_t* series_json(const scaling_t* scaling, series_kind_t kind) {
  json_t* rows = json_array();
  for (size_t i = 0; i < SCALING_SIZES_MAX && scaling_series[kind].sizes[i] != 0; i++) {
    const scaling_row_t* row = &scaling->rows[kind][i];
    json_array_append_new(
        rows, json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "size",
                        (json_int_t)scaling_series[kind].sizes[i], "rounds", (json_int_t)row->count,
                        "cpu_us_per_op", json_summary(scaling_summary(row, SCALING_FIGURE(cpu_us))),
                        "cpu_by_base", json_summary(scaling_ratio(scaling, kind, row)),
                        "calls_per_op", json_summary(scaling_summary(row, SCALING_FIGURE(calls))),
                        "instructions_per_op", json_number_or_null(row->instructions)));
  }
  return rows;
}

json_t* scaling_json(const scaling_t* scaling) {
  json_t* json = json_pack("{s:o, s:i}", "environment", json_environment(), "depth", SCALING_DEPTH);
  for (int kind = 0; kind < SCALING_SERIES_COUNT; kind++) {
    if (scaling->series[kind]) {
      json_object_set_new(json, scaling_series[kind].name,
                          series_json(scaling, (series_kind_t)kind));
    }
  }
  json_object_set_new(json, "notes", notes_json(&scaling->notes));
  return json;
}
