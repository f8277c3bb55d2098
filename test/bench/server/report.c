/* SPDX-License-Identifier: MIT */
/*
 * Two tables, the verdict in words, and JSON.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/report.h"
#include "cli/table.h"
#include "echo_server/params.h"
#include "harness/environment.h"
#include "harness/notes.h"
#include "harness/summary.h"
#include "harness/work.h"
#include "server/model.h"
#include "server/report.h"

/*
 * Tables.
 */

static void set_count(char* cell, double count) {
  if (isnan(count)) {
    snprintf(cell, TABLE_CELL_SIZE, "-");
  } else {
    format_count(cell, TABLE_CELL_SIZE, count);
  }
}

static int add_echo_row(const server_bench_t* server, table_t* table, const server_row_t* row) {
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  const server_row_t* none = server_find(server, "none", PART_ECHO);
  const server_row_t* pool = server_find(server, "pool", PART_ECHO);
  summary_t p99 = server_summary(row, FIGURE(echo_p99_us));
  snprintf(cells[0], TABLE_CELL_SIZE, "%s", row->variant);
  set_count(cells[1], server_summary(row, FIGURE(messages_per_s)).median);
  cell_time(cells[2], server_summary(row, FIGURE(echo_p50_us)).median);
  cell_time(cells[3], p99.median);
  cell_spread(cells[4], p99);
  cell_time(cells[5], server_summary(row, FIGURE(echo_p999_us)).median);
  cell_number(cells[6], "%.2f", server_ratio(row, none, FIGURE(echo_p99_us)).median);
  cell_number(cells[7], "%.2f", server_ratio(row, pool, FIGURE(echo_p99_us)).median);
  cell_time(cells[8], server_summary(row, FIGURE(late_p99_us)).median);
  set_count(cells[9], server_summary(row, FIGURE(iops)).median);
  cell_time(cells[10], server_summary(row, FIGURE(io_p50_us)).median);
  cell_time(cells[11], server_summary(row, FIGURE(io_p99_us)).median);
  cell_number(cells[12], "%.2f", server_summary(row, FIGURE(processors)).median);
  return 0;
}

static int add_busy_row(const server_bench_t* server, table_t* table, const server_row_t* row) {
  const server_row_t* busy = server_find(server, row->variant, PART_BUSY);
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  summary_t ratio = server_ratio(busy, row, FIGURE(iops));
  summary_t free_iops = server_summary(row, FIGURE(iops));
  summary_t busy_iops = server_summary(busy, FIGURE(iops));
  snprintf(cells[0], TABLE_CELL_SIZE, "%s", row->variant);
  set_count(cells[1], free_iops.median);
  cell_spread(cells[2], free_iops);
  set_count(cells[3], busy_iops.median);
  cell_spread(cells[4], busy_iops);
  cell_number(cells[5], "%.2f", ratio.median);
  cell_number(cells[6], "%.2f", ratio.min);
  cell_number(cells[7], "%.2f", ratio.max);
  cell_time(cells[8], server_summary(row, FIGURE(io_p99_us)).median);
  cell_time(cells[9], server_summary(busy, FIGURE(io_p99_us)).median);
  cell_number(cells[10], "%.2f", server_ratio(busy, row, FIGURE(io_p99_us)).median);
  return 0;
}

static const char* const echo_headings[] = {"background", "msgs/s",  "p50",    "p99",  "spread",
                                            "p99.9",      "x none",  "x pool", "late", "I/O/s",
                                            "I/O p50",    "I/O p99", "CPU"};
static const char* const busy_headings[] = {"by",       "free",     "spread", "occupied",
                                            "spread",   "x free",   "least",  "most",
                                            "p99 free", "p99 occ.", "x free"};

static int print_rows(const server_bench_t* server, server_part_t part, const char* const* headings,
                      size_t count,
                      int (*add)(const server_bench_t* server, table_t* table,
                                 const server_row_t* row)) {
  table_t table = {0};
  int error = table_add_headings(&table, headings, count, 1);
  for (size_t i = 0; i < server->row_count && error == 0; i++) {
    if (server->rows[i].part == part && server->rows[i].count > 0) {
      error = add(server, &table, &server->rows[i]);
    }
  }
  if (error == 0) {
    table_print(&table, stdout);
  }
  table_free(&table);
  return error;
}

static void print_heading(const server_bench_t* server) {
  const work_params_t* work = &server->params.work;
  uv_utsname_t system;
  char size[16];
  int known = uv_os_uname(&system) == 0;
  printf("%s%s, file of %s, %s %s, %u threads, %llu rounds of %.2f s\n",
         server->on_loop_device ? "loop device over tmpfs, " : "", server->scratch.filesystem,
         format_size(size, sizeof size, work->file_size), known ? system.sysname : "system",
         known ? system.release : "unknown", server->threads, (unsigned long long)server->rounds,
         (double)server->params.duration_ns / 1e9);
}

static void print_echo_title(const server_bench_t* server) {
  const echo_server_params_t* params = &server->params;
  char block[16];
  char rate[SERVER_RATE_SIZE];
  printf(
      "\nEcho over %u connections, %u messages per second; %s in the background, %s, depth %u, "
      "%s%s\n",
      params->connections, params->messages, work_kind_text(params->work.kind),
      format_size(block, sizeof block, params->work.block_size), params->work.depth,
      server_rate_text(server, rate),
      server->rate_was_given ? "" : " (80 % of what the pool reached)");
}

static void print_busy_title(const server_bench_t* server) {
  const echo_server_params_t* params = &server->params;
  printf(
      "\nOperations per second, %s, depth %u, as many as go, with the threads free and occupied "
      "(%u works of %u ms, "
      "%s)\n",
      work_kind_text(params->work.kind), params->work.depth, params->load_count, params->load_ms,
      pool_load_kind_text(params->load_kind));
}

/*
 * The verdict.
 */

/* Noise has to be told from a slowdown, which shows in every round. */
static const char* slowed_text(summary_t ratio) {
  return ratio.max < 1 && ratio.median < 0.95 ? "yes" : ratio.median >= 0.95 ? "no" : "unclear";
}

static const char* slowed_words(summary_t ratio) {
  const char* text = slowed_text(ratio);
  return strcmp(text, "yes") == 0  ? "slowed"
         : strcmp(text, "no") == 0 ? "not slowed"
                                   : "the rounds lie too far apart to tell";
}

static void print_echo_verdict(const server_bench_t* server) {
  const server_row_t* ring = server_find(server, "ring", PART_ECHO);
  const server_row_t* pool = server_find(server, "pool", PART_ECHO);
  summary_t ratio = server_ratio(ring, pool, FIGURE(echo_p99_us));
  if (isnan(ratio.median)) {
    return;
  }
  printf(
      "With the ring's I/O next to it, the echo's p99 is %.2f times what it is with the pool's "
      "(rounds: %.2f to "
      "%.2f): %s the bound of %.1f.\n",
      ratio.median, ratio.min, ratio.max, ratio.median <= SERVER_ECHO_BOUND ? "within" : "past",
      SERVER_ECHO_BOUND);
  double reached = server_ratio(ring, pool, FIGURE(iops)).median;
  if (server->params.rate == 0) {
    printf("Meanwhile the ring did %.2f times the pool's operations.\n", reached);
  } else if (reached < 0.95 || reached > 1.05) {
    printf(
        "But the ring did %.2f times the pool's operations: only one of them held the rate. Choose "
        "a lower "
        "--rate.\n",
        reached);
  }
}

static void print_busy_verdict(const server_bench_t* server, const char* variant) {
  summary_t ratio = server_ratio(server_find(server, variant, PART_BUSY),
                                 server_find(server, variant, PART_FREE), FIGURE(iops));
  if (!isnan(ratio.median)) {
    printf(
        "While the threads are occupied, %s does %.2f times the operations that it does otherwise "
        "(rounds: %.2f to "
        "%.2f): %s.\n",
        variant, ratio.median, ratio.min, ratio.max, slowed_words(ratio));
  }
}

static void print_legend(const server_bench_t* server) {
  printf("\n");
  for (size_t i = 0; i < server->row_count; i++) {
    if (server->rows[i].part == PART_ECHO) {
      printf("%-4s  %s\n", server->rows[i].variant, server_variant_text(server->rows[i].variant));
    }
  }
  printf(
      "\nFigures are medians of the rounds, x are medians of the quotients within each round; "
      "spread is from the\n"
      "worst to the best round. Latencies of the echo count from when a message was due; late is "
      "the p99 of how\n"
      "late the clients sent it. CPU is processors' time of the server's process per time.\n\n");
}

int server_print(const server_bench_t* server) {
  print_heading(server);
  print_echo_title(server);
  int error =
      print_rows(server, PART_ECHO, echo_headings, CLI_COUNT_OF(echo_headings), add_echo_row);
  print_busy_title(server);
  error = error == 0 ? print_rows(server, PART_FREE, busy_headings, CLI_COUNT_OF(busy_headings),
                                  add_busy_row)
                     : error;
  print_legend(server);
  print_echo_verdict(server);
  print_busy_verdict(server, "ring");
  print_busy_verdict(server, "pool");
  print_busy_verdict(server, "uv");
  notes_print(&server->notes);
  return error == 0 ? CLI_OK : report_error("server", "print", "the table", UV_ENOMEM);
}

/*
 * JSON.
 */

static const struct {
  const char* name;
  size_t member;
} members[] = {
    {"messages_per_s", FIGURE(messages_per_s)}, {"echo_p50_us", FIGURE(echo_p50_us)},
    {"echo_p99_us", FIGURE(echo_p99_us)},       {"echo_p999_us", FIGURE(echo_p999_us)},
    {"late_p99_us", FIGURE(late_p99_us)},       {"iops", FIGURE(iops)},
    {"io_p50_us", FIGURE(io_p50_us)},           {"io_p99_us", FIGURE(io_p99_us)},
    {"processors", FIGURE(processors)},
};

static const char* const part_names[] = {
    [PART_ECHO] = "echo", [PART_FREE] = "threads-free", [PART_BUSY] = "threads-occupied"};

static json_t* row_json(const server_bench_t* server, const server_row_t* row) {
  const server_row_t* none = server_find(server, "none", PART_ECHO);
  const server_row_t* pool = server_find(server, "pool", PART_ECHO);
  const server_row_t* without_load = server_find(server, row->variant, PART_FREE);
  json_t* json =
      json_pack("{s:s, s:s, s:s, s:I}", "variant", row->variant, "part", part_names[row->part],
                "executed_by", row->executed_by, "rounds", (json_int_t)row->count);
  for (size_t i = 0; i < CLI_COUNT_OF(members); i++) {
    json_object_set_new(json, members[i].name,
                        json_summary(server_summary(row, members[i].member)));
  }
  if (row->part == PART_ECHO) {
    json_object_set_new(json, "echo_p99_by_none",
                        json_summary(server_ratio(row, none, FIGURE(echo_p99_us))));
    json_object_set_new(json, "echo_p99_by_pool",
                        json_summary(server_ratio(row, pool, FIGURE(echo_p99_us))));
  }
  if (row->part == PART_BUSY) {
    json_object_set_new(json, "iops_by_free",
                        json_summary(server_ratio(row, without_load, FIGURE(iops))));
    json_object_set_new(json, "io_p99_by_free",
                        json_summary(server_ratio(row, without_load, FIGURE(io_p99_us))));
  }
  return json;
}

/* Null where there is no ring. */
static json_t* verdict_json(const server_bench_t* server) {
  summary_t echo = server_ratio(server_find(server, "ring", PART_ECHO),
                                server_find(server, "pool", PART_ECHO), FIGURE(echo_p99_us));
  summary_t busy = server_ratio(server_find(server, "ring", PART_BUSY),
                                server_find(server, "ring", PART_FREE), FIGURE(iops));
  if (isnan(echo.median) || isnan(busy.median)) {
    return json_null();
  }
  return json_pack("{s:o, s:f, s:b, s:o, s:s}", "echo_p99_ring_by_pool", json_summary(echo),
                   "echo_bound", SERVER_ECHO_BOUND, "echo_within_bound",
                   echo.median <= SERVER_ECHO_BOUND, "ring_iops_by_free", json_summary(busy),
                   "ring_slowed", slowed_text(busy));
}

static json_t* environment_json(const server_bench_t* server) {
  json_t* json = json_environment();
  json_object_set_new(json, "filesystem", json_string(server->scratch.filesystem));
  json_object_set_new(json, "loop_device", json_boolean(server->on_loop_device));
  return json;
}

json_t* server_json(const server_bench_t* server) {
  const echo_server_params_t* params = &server->params;
  json_t* rows = json_array();
  for (size_t i = 0; i < server->row_count; i++) {
    if (server->rows[i].count > 0) {
      json_array_append_new(rows, row_json(server, &server->rows[i]));
    }
  }
  json_t* json = json_pack(
      "{s:o, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:f}",
      "environment", environment_json(server), "connections", (json_int_t)params->connections,
      "messages_per_s", (json_int_t)params->messages, "rate", (json_int_t)params->rate, "operation",
      work_kind_text(params->work.kind), "depth", (json_int_t)params->work.depth, "block_size",
      (json_int_t)params->work.block_size, "file_size", (json_int_t)params->work.file_size,
      "callbacks_max", (json_int_t)params->callbacks_max, "busy_poll_us",
      (json_int_t)params->busy_poll_us, "threads", (json_int_t)server->threads, "works",
      (json_int_t)params->load_count, "work", pool_load_kind_text(params->load_kind), "work_ms",
      (json_int_t)params->load_ms, "rounds", (json_int_t)server->rounds, "seconds",
      (double)params->duration_ns / 1e9);
  json_object_set_new(json, "rows", rows);
  json_object_set_new(json, "verdict", verdict_json(server));
  json_object_set_new(json, "notes", notes_json(&server->notes));
  return json;
}
