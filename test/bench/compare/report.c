/* SPDX-License-Identifier: MIT */
/*
 * Medians, ratios, tables and JSON.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/report.h"
#include "cli/table.h"
#include "compare/model.h"
#include "compare/report.h"
#include "harness/child.h"
#include "harness/environment.h"
#include "harness/json.h"
#include "harness/notes.h"
#include "harness/summary.h"
#include "harness/work.h"

/* The row of a target in a cell, or null where it takes no part. */
static const row_t* named_row(const compare_t* compare, size_t cell, const char* name) {
  int target = compare_find(compare, name);
  return target >= 0 ? compare_row(compare, cell, (size_t)target) : NULL;
}

/* fio's row: by io_uring where that takes part. */
static const row_t* fio_row(const compare_t* compare, size_t cell) {
  const row_t* row = named_row(compare, cell, "fio-uring");
  return row != NULL ? row : named_row(compare, cell, "fio-libaio");
}

/* The faster one of the bare loops, that with a system call per turn and that with one per request,
 * by their medians: the faster one of each round would be the luckier one. */
static const row_t* best_limit(const compare_t* compare, size_t cell) {
  const row_t* batched = named_row(compare, cell, "limit");
  const row_t* prompt = named_row(compare, cell, "limit-prompt");
  if (batched == NULL || prompt == NULL) {
    return NULL;
  }
  double by_turn = compare_summary(batched, SAMPLE_MEMBER(iops)).median;
  double by_request = compare_summary(prompt, SAMPLE_MEMBER(iops)).median;
  return by_request > by_turn ? prompt : batched;
}

/*
 * Tables.
 */

enum {
  COLUMN_TARGET,
  COLUMN_IOPS,
  COLUMN_SPREAD,
  COLUMN_LIMIT,
  COLUMN_UV,
  COLUMN_FIO,
  COLUMN_P50,
  COLUMN_P99,
  COLUMN_P999,
  COLUMN_CPU,
  COLUMN_CPU_LIMIT,
  COLUMN_CALLS,
  COLUMN_INSTRUCTIONS,
  COLUMN_RSS,
  COLUMN_COUNT
};

static int add_headings(table_t* table) {
  static const char* const headings[COLUMN_COUNT] = {
      "target", "ops/s", "spread", "x limit", "x uv-4",   "x fio",    "p50",
      "p99",    "p99.9", "CPU/op", "x limit", "calls/op", "instr/op", "memory"};
  return table_add_headings(table, headings, COLUMN_COUNT, 1);
}

static int add_row(const compare_t* compare, table_t* table, size_t cell, size_t target) {
  const row_t* row = compare_row(compare, cell, target);
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  const row_t* limit = named_row(compare, cell, "limit");
  const row_t* uv = named_row(compare, cell, "uv-4");
  const row_t* fio = fio_row(compare, cell);
  summary_t iops = compare_summary(row, SAMPLE_MEMBER(iops));
  double rss = compare_summary(row, SAMPLE_MEMBER(rss_kib)).median;
  snprintf(cells[COLUMN_TARGET], TABLE_CELL_SIZE, "%s", compare->targets[target]->name);
  format_count(cells[COLUMN_IOPS], TABLE_CELL_SIZE, iops.median);
  cell_spread(cells[COLUMN_SPREAD], iops);
  cell_number(cells[COLUMN_LIMIT], "%.2f", compare_ratio(row, limit, SAMPLE_MEMBER(iops)).median);
  cell_number(cells[COLUMN_UV], "%.2f", compare_ratio(row, uv, SAMPLE_MEMBER(iops)).median);
  cell_number(cells[COLUMN_FIO], "%.2f", compare_ratio(row, fio, SAMPLE_MEMBER(iops)).median);
  cell_time(cells[COLUMN_P50], compare_summary(row, SAMPLE_MEMBER(p50_us)).median);
  cell_time(cells[COLUMN_P99], compare_summary(row, SAMPLE_MEMBER(p99_us)).median);
  cell_time(cells[COLUMN_P999], compare_summary(row, SAMPLE_MEMBER(p999_us)).median);
  cell_time(cells[COLUMN_CPU], compare_summary(row, SAMPLE_MEMBER(cpu_us_per_op)).median);
  cell_number(cells[COLUMN_CPU_LIMIT], "%.2f",
              compare_ratio(row, limit, SAMPLE_MEMBER(cpu_us_per_op)).median);
  cell_number(cells[COLUMN_CALLS], "%.3f", row->system_calls_per_op);
  cell_number(cells[COLUMN_INSTRUCTIONS], "%.0f", row->instructions_per_op);
  if (isnan(rss)) {
    snprintf(cells[COLUMN_RSS], TABLE_CELL_SIZE, "-");
  } else {
    format_size(cells[COLUMN_RSS], TABLE_CELL_SIZE, (uint64_t)(rss * 1024));
  }
  return 0;
}

static int print_cell(const compare_t* compare, size_t cell) {
  table_t table = {0};
  char block[16];
  int error = add_headings(&table);
  for (size_t target = 0; target < compare->target_count && error == 0; target++) {
    if (compare_row(compare, cell, target)->sample_count > 0) {
      error = add_row(compare, &table, cell, target);
    }
  }
  if (error == 0) {
    printf("\n%s, %s, depth %u\n", work_kind_text(compare->cells[cell].kind),
           format_size(block, sizeof block, compare->cells[cell].block_size),
           compare->cells[cell].depth);
    table_print(&table, stdout);
  }
  table_free(&table);
  return error;
}

/*
 * All ratios in one table, for this library's targets: a line for each cell.
 */

enum {
  RATIO_WORK,
  RATIO_BLOCK,
  RATIO_DEPTH,
  RATIO_TARGET,
  RATIO_LIMIT,
  RATIO_BEST,
  RATIO_UV_4,
  RATIO_UV_32,
  RATIO_FIO,
  RATIO_P50,
  RATIO_CPU_LIMIT,
  RATIO_CPU_UV_4,
  RATIO_COUNT
};

static int add_ratios(const compare_t* compare, table_t* table, size_t cell, const char* name) {
  const row_t* row = named_row(compare, cell, name);
  if (row == NULL || row->sample_count == 0) {
    return 0;
  }
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  const cell_t* here = &compare->cells[cell];
  const row_t* limit = named_row(compare, cell, "limit");
  const row_t* uv_4 = named_row(compare, cell, "uv-4");
  const row_t* uv_32 = named_row(compare, cell, "uv-32");
  snprintf(cells[RATIO_WORK], TABLE_CELL_SIZE, "%s", work_kind_text(here->kind));
  format_size(cells[RATIO_BLOCK], TABLE_CELL_SIZE, here->block_size);
  snprintf(cells[RATIO_DEPTH], TABLE_CELL_SIZE, "%u", here->depth);
  snprintf(cells[RATIO_TARGET], TABLE_CELL_SIZE, "%s", name);
  cell_number(cells[RATIO_LIMIT], "%.2f", compare_ratio(row, limit, SAMPLE_MEMBER(iops)).median);
  cell_number(cells[RATIO_BEST], "%.2f",
              compare_ratio(row, best_limit(compare, cell), SAMPLE_MEMBER(iops)).median);
  cell_number(cells[RATIO_UV_4], "%.2f", compare_ratio(row, uv_4, SAMPLE_MEMBER(iops)).median);
  cell_number(cells[RATIO_UV_32], "%.2f", compare_ratio(row, uv_32, SAMPLE_MEMBER(iops)).median);
  cell_number(cells[RATIO_FIO], "%.2f",
              compare_ratio(row, fio_row(compare, cell), SAMPLE_MEMBER(iops)).median);
  cell_number(cells[RATIO_P50], "%.2f", compare_ratio(row, limit, SAMPLE_MEMBER(p50_us)).median);
  cell_number(cells[RATIO_CPU_LIMIT], "%.2f",
              compare_ratio(row, limit, SAMPLE_MEMBER(cpu_us_per_op)).median);
  cell_number(cells[RATIO_CPU_UV_4], "%.2f",
              compare_ratio(row, uv_4, SAMPLE_MEMBER(cpu_us_per_op)).median);
  return 0;
}

static int print_ratios(const compare_t* compare) {
  static const char* const headings[RATIO_COUNT] = {
      "ratios", "",        "depth", "target",      "x limit",     "x best",
      "x uv-4", "x uv-32", "x fio", "p50 x limit", "CPU x limit", "CPU x uv-4"};
  static const char* const names[] = {"ring", "pool"};
  table_t table = {0};
  int error = table_add_headings(&table, headings, RATIO_COUNT, RATIO_TARGET + 1);
  for (size_t i = 0; i < CLI_COUNT_OF(names); i++) {
    for (size_t cell = 0; cell < compare->cell_count && error == 0; cell++) {
      error = add_ratios(compare, &table, cell, names[i]);
    }
  }
  if (error == 0 && table.row_count > 1) {
    printf("\n");
    table_print(&table, stdout);
  }
  table_free(&table);
  return error;
}

static void print_heading(const compare_t* compare) {
  uv_utsname_t system;
  char size[16];
  int known = uv_os_uname(&system) == 0;
  printf("%s%s, %u %s of %s, %u %s%s, %s %s, %llu rounds of %.2f s\n",
         compare->on_loop_device ? "loop device over tmpfs, " : "", compare->scratch.filesystem,
         compare->params.files, compare->params.files == 1 ? "file" : "files",
         format_size(size, sizeof size, compare->params.file_size), compare->params.loops,
         compare->params.loops == 1 ? "loop" : "loops", compare->params.pin ? " (pinned)" : "",
         known ? system.sysname : "system", known ? system.release : "unknown",
         (unsigned long long)compare->rounds, (double)compare->params.duration_ns / 1e9);
}

static void print_legend(const compare_t* compare) {
  printf("\n");
  for (size_t i = 0; i < compare->target_count; i++) {
    printf("%-12s  %s\n", compare->targets[i]->name, compare->targets[i]->text);
  }
  printf(
      "\nFigures are medians of the rounds, x are medians of the quotients within each round; "
      "spread is from\n"
      "the worst to the best round. CPU is user and system time of all threads, the kernel's own "
      "too. Among the ratios,\n"
      "best is limit or limit-prompt, whichever has the better median.\n");
  if (*compare->call_counter != '\0') {
    printf("System calls were counted by %s.\n", compare->call_counter);
  }
  notes_print(&compare->notes);
}

int compare_print(const compare_t* compare) {
  int error = 0;
  print_heading(compare);
  for (size_t cell = 0; cell < compare->cell_count && error == 0; cell++) {
    error = print_cell(compare, cell);
  }
  error = error == 0 ? print_ratios(compare) : error;
  print_legend(compare);
  return error == 0 ? CLI_OK : report_error("compare", "print", "the table", UV_ENOMEM);
}

/*
 * JSON.
 */

static const struct {
  const char* name;
  size_t member;
} members[] = {
    {"iops", SAMPLE_MEMBER(iops)},
    {"p50_us", SAMPLE_MEMBER(p50_us)},
    {"p99_us", SAMPLE_MEMBER(p99_us)},
    {"p999_us", SAMPLE_MEMBER(p999_us)},
    {"cpu_us_per_op", SAMPLE_MEMBER(cpu_us_per_op)},
    {"rss_kib", SAMPLE_MEMBER(rss_kib)},
};

static json_t* row_json(const compare_t* compare, size_t cell, size_t target) {
  const row_t* row = compare_row(compare, cell, target);
  const row_t* limit = named_row(compare, cell, "limit");
  const row_t* uv = named_row(compare, cell, "uv-4");
  json_t* json = json_pack(
      "{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "target", compare->targets[target]->name, "operation",
      work_kind_text(compare->cells[cell].kind), "block_size",
      (json_int_t)compare->cells[cell].block_size, "depth", (json_int_t)compare->cells[cell].depth,
      "files", (json_int_t)compare->params.files, "loops", (json_int_t)compare->params.loops,
      "rounds", (json_int_t)row->sample_count);
  for (size_t i = 0; i < CLI_COUNT_OF(members); i++) {
    json_object_set_new(json, members[i].name,
                        json_summary(compare_summary(row, members[i].member)));
  }
  json_object_set_new(json, "iops_by_limit",
                      json_summary(compare_ratio(row, limit, SAMPLE_MEMBER(iops))));
  json_object_set_new(
      json, "iops_by_best_limit",
      json_summary(compare_ratio(row, best_limit(compare, cell), SAMPLE_MEMBER(iops))));
  json_object_set_new(json, "iops_by_uv_4",
                      json_summary(compare_ratio(row, uv, SAMPLE_MEMBER(iops))));
  json_object_set_new(
      json, "iops_by_uv_32",
      json_summary(compare_ratio(row, named_row(compare, cell, "uv-32"), SAMPLE_MEMBER(iops))));
  json_object_set_new(
      json, "iops_by_fio",
      json_summary(compare_ratio(row, fio_row(compare, cell), SAMPLE_MEMBER(iops))));
  json_object_set_new(json, "p50_by_limit",
                      json_summary(compare_ratio(row, limit, SAMPLE_MEMBER(p50_us))));
  json_object_set_new(json, "cpu_by_limit",
                      json_summary(compare_ratio(row, limit, SAMPLE_MEMBER(cpu_us_per_op))));
  json_object_set_new(json, "cpu_by_uv_4",
                      json_summary(compare_ratio(row, uv, SAMPLE_MEMBER(cpu_us_per_op))));
  json_object_set_new(json, "system_calls_per_op", json_number_or_null(row->system_calls_per_op));
  json_object_set_new(json, "instructions_per_op", json_number_or_null(row->instructions_per_op));
  if (row->first_engine != NULL) {
    json_object_set(json, "first_engine", row->first_engine);
  }
  return json;
}

static json_t* environment_json(const compare_t* compare) {
  char version[128];
  json_t* json = json_environment();
  json_object_set_new(json, "filesystem", json_string(compare->scratch.filesystem));
  json_object_set_new(json, "loop_device", json_boolean(compare->on_loop_device));
  json_object_set_new(json, "pinned", json_boolean(compare->params.pin));
  if (compare_find(compare, "fio-uring") >= 0 &&
      child_version("fio", "--version", version, sizeof version)) {
    json_object_set_new(json, "fio", json_string(version));
  }
  if (compare_find(compare, "qemu-img") >= 0 &&
      child_version("qemu-img", "--version", version, sizeof version)) {
    json_object_set_new(json, "qemu_img", json_string(version));
  }
  return json;
}

json_t* compare_json(const compare_t* compare) {
  json_t* rows = json_array();
  for (size_t cell = 0; cell < compare->cell_count; cell++) {
    for (size_t target = 0; target < compare->target_count; target++) {
      if (compare_row(compare, cell, target)->sample_count > 0) {
        json_array_append_new(rows, row_json(compare, cell, target));
      }
    }
  }
  return json_pack("{s:o, s:I, s:I, s:f, s:s, s:o, s:o}", "environment", environment_json(compare),
                   "file_size", (json_int_t)compare->params.file_size, "rounds",
                   (json_int_t)compare->rounds, "seconds",
                   (double)compare->params.duration_ns / 1e9, "system_calls_counted_by",
                   compare->call_counter, "rows", rows, "notes", notes_json(&compare->notes));
}
