/* SPDX-License-Identifier: MIT */
/*
 * What uvdio bench measured, as a table with sentences below it, and as JSON.
 */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "bench.h"
#include "cli.h"
#include "format.h"
#include "options.h"
#include "report.h"
#include "session.h"
#include "table.h"
#include "uvdio.h"

static const char* const operation_names[BENCH_OPERATION_COUNT] = {
    [BENCH_WRITE] = "write",
    [BENCH_VERIFY] = "verify",
    [BENCH_RANDOM_READ] = "random-read",
};

const char* bench_operation_text(bench_operation_t operation) {
  assert((size_t)operation < BENCH_OPERATION_COUNT);
  return operation_names[operation];
}

static json_t* row_json(const bench_row_t* row) {
  json_t* metrics = row->metrics != NULL ? json_loads(row->metrics, 0, NULL) : NULL;
  return json_pack(
      "{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o*}", "backend", row->backend, "operation",
      bench_operation_text(row->operation), "block_size", (json_int_t)row->block_size, "depth",
      (json_int_t)row->depth, "iops", json_thousandths(row->figures.iops), "bytes_per_s",
      json_thousandths(row->figures.bytes_per_s), "p50_us", json_thousandths(row->figures.p50_us),
      "p99_us", json_thousandths(row->figures.p99_us), "cpu_us_per_op",
      json_thousandths(row->figures.cpu_us_per_op), "metrics", metrics);
}

int bench_print_json(const bench_t* bench) {
  json_t* list = json_array();
  for (size_t i = 0; i < bench->row_count; i++) {
    json_array_append_new(list, row_json(&bench->rows[i]));
  }
  for (size_t i = 0; i < CLI_COUNT_OF(bench->notes); i++) {
    if (*bench->notes[i] != '\0') {
      report_problem("bench", "%s", bench->notes[i]);
    }
  }
  return report_json("bench", list);
}

static void print_heading(const bench_t* bench) {
  uv_utsname_t system;
  char size[16];
  int known = uv_os_uname(&system) == 0;
  if (*bench->filesystem != '\0') {
    printf("%s on %s, %s", bench->path, bench->filesystem,
           bench->direct ? "direct I/O" : "buffered: it refuses direct I/O");
  } else {
    printf("files in memory");
  }
  printf(", %s, %s %s\n\n", format_size(size, sizeof size, bench->file_size),
         known ? system.sysname : "system", known ? system.release : "unknown");
}

static void set_cell(char* cell, const char* text) {
  snprintf(cell, TABLE_CELL_SIZE, "%s", text);
}

static int add_headings(table_t* table) {
  static const char* const headings[] = {"backend",    "operation", "block", "depth", "ops/s",
                                         "throughput", "p50",       "p99",   "CPU/op"};
  return table_add_headings(table, headings, CLI_COUNT_OF(headings), 2);
}

static int add_row(table_t* table, const bench_row_t* row) {
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  set_cell(cells[0], row->backend);
  set_cell(cells[1], bench_operation_text(row->operation));
  format_size(cells[2], TABLE_CELL_SIZE, row->block_size);
  snprintf(cells[3], TABLE_CELL_SIZE, "%u", row->depth);
  format_count(cells[4], TABLE_CELL_SIZE, row->figures.iops);
  format_rate(cells[5], TABLE_CELL_SIZE, row->figures.bytes_per_s);
  format_time(cells[6], TABLE_CELL_SIZE, row->figures.p50_us);
  format_time(cells[7], TABLE_CELL_SIZE, row->figures.p99_us);
  format_time(cells[8], TABLE_CELL_SIZE, row->figures.cpu_us_per_op);
  return 0;
}

static int print_table(const bench_t* bench) {
  table_t table = {0};
  int error = add_headings(&table);
  for (size_t i = 0; i < bench->row_count && error == 0; i++) {
    error = add_row(&table, &bench->rows[i]);
  }
  if (error == 0) {
    table_print(&table, stdout);
  }
  table_free(&table);
  return error == 0 ? CLI_OK : report_error("bench", "print", "the table", UV_ENOMEM);
}

static void print_metrics(const bench_t* bench) {
  for (size_t i = 0; i < bench->row_count; i++) {
    const bench_row_t* row = &bench->rows[i];
    if (row->metrics != NULL) {
      printf("%s, %s, depth %u\n%s\n", row->backend, bench_operation_text(row->operation),
             row->depth, row->metrics);
    }
  }
}

static void print_choice(void) {
  session_t session;
  if (session_open(&session, NULL) != 0) {
    return;
  }
  printf("An engine takes %s here: %s\n", uvdio_engine_backend(session.engine),
         uvdio_engine_backend_reason(session.engine));
  session_close(&session);
}

/* The random reads of a backend, or null. */
static const bench_row_t* find_row(const bench_t* bench, uvdio_backend_t backend, unsigned depth) {
  for (size_t i = 0; i < bench->row_count; i++) {
    const bench_row_t* row = &bench->rows[i];
    if (strcmp(row->backend, backend_text(backend)) == 0 && row->operation == BENCH_RANDOM_READ &&
        row->depth == depth) {
      return row;
    }
  }
  return NULL;
}

static void print_comparison(const bench_t* bench, uvdio_backend_t backend) {
  for (size_t i = 0; i < bench->depth_count && !bench->is_pool[backend]; i++) {
    const bench_row_t* fast = find_row(bench, backend, bench->depths[i]);
    const bench_row_t* pool = find_row(bench, UVDIO_BACKEND_POOL, bench->depths[i]);
    if (fast != NULL && pool != NULL && pool->figures.iops > 0 && pool->figures.cpu_us_per_op > 0) {
      printf("Random reads at depth %u: %s does %.2f times the operations of pool, ",
             bench->depths[i], backend_text(backend), fast->figures.iops / pool->figures.iops);
      printf("with %.2f times the CPU time for each.\n",
             fast->figures.cpu_us_per_op / pool->figures.cpu_us_per_op);
    }
  }
}

int bench_print(const bench_t* bench) {
  print_heading(bench);
  int code = print_table(bench);
  printf("\n");
  print_metrics(bench);
  for (size_t i = 0; i < CLI_COUNT_OF(bench->notes); i++) {
    printf("%s%s", bench->notes[i], *bench->notes[i] != '\0' ? "\n" : "");
  }
  print_choice();
  print_comparison(bench, UVDIO_BACKEND_RING);
  print_comparison(bench, UVDIO_BACKEND_AIO);
  return code;
}
