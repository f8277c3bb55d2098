/* SPDX-License-Identifier: MIT */
/*
 * A table for each cell, one of quotients for all cells, and the same as JSON and as a picture.
 */
#include "log/report.h"

#include <stdio.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/report.h"
#include "cli/table.h"
#include "harness/environment.h"
#include "harness/plot.h"

#define MEMBER(name) offsetof(commits_figure_t, name)

static series_t series_of(const commits_row_t* row, size_t member) {
  return SERIES(row->samples, row->count, member);
}

static double median_of(const commits_row_t* row, size_t member) {
  return summary_of(series_of(row, member)).median;
}

/* By another method's figure, within the rounds. */
static summary_t ratio_of(const commits_row_t* rows, int method, int base, size_t member) {
  return summary_of_ratios(series_of(&rows[method], member), series_of(&rows[base], member));
}

/*
 * Tables
 */

static int add_row(const commits_row_t* rows, table_t* table, int method) {
  const commits_row_t* row = &rows[method];
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  summary_t rate = summary_of(series_of(row, MEMBER(rate)));
  snprintf(cells[0], TABLE_CELL_SIZE, "%s", commits_method_name((commits_method_t)method));
  format_count(cells[1], TABLE_CELL_SIZE, rate.median);
  cell_spread(cells[2], rate);
  cell_number(cells[3], "%.2f", ratio_of(rows, method, COMMITS_THREADS, MEMBER(rate)).median);
  cell_number(cells[4], "%.2f", ratio_of(rows, method, COMMITS_DEVICE, MEMBER(rate)).median);
  cell_time(cells[5], median_of(row, MEMBER(p50_us)));
  cell_time(cells[6], median_of(row, MEMBER(p99_us)));
  cell_time(cells[7], median_of(row, MEMBER(p999_us)));
  cell_time(cells[8], median_of(row, MEMBER(cpu_us)));
  cell_number(cells[9], "%.2f", ratio_of(rows, method, COMMITS_THREADS, MEMBER(cpu_us)).median);
  cell_number(cells[10], "%.1f", median_of(row, MEMBER(flushed)));
  cell_number(cells[11], "%.0f", median_of(row, MEMBER(rolls)));
  return 0;
}

static int print_cell(const commits_bench_t* bench, size_t record, size_t client) {
  static const char* const headings[] = {"method",     "commits/s", "spread",    "x threads",
                                         "x device",   "p50",       "p99",       "p99.9",
                                         "CPU/commit", "x threads", "per write", "rolls/s"};
  const commits_row_t* rows = bench->rows[record][client];
  table_t table = {0};
  int error = table_add_headings(&table, headings, CLI_COUNT_OF(headings), 1);
  for (int method = 0; method < COMMITS_METHODS && error == 0; method++) {
    error = rows[method].count > 0 ? add_row(rows, &table, method) : 0;
  }
  if (error == 0) {
    printf("\nrecords of %zu bytes, clients: %u\n", bench->records[record], bench->clients[client]);
    table_print(&table, stdout);
  }
  table_free(&table);
  return error;
}

enum { RATIO_COLUMNS = 11 };

static int add_ratios(const commits_bench_t* bench, table_t* table, size_t record, size_t client,
                      int method) {
  const commits_row_t* rows = bench->rows[record][client];
  static const int bases[] = {COMMITS_DEVICE, COMMITS_SEGMENTS, COMMITS_THREADS, COMMITS_SQLITE};
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  snprintf(cells[0], TABLE_CELL_SIZE, "%s", commits_method_name((commits_method_t)method));
  snprintf(cells[1], TABLE_CELL_SIZE, "%zu", bench->records[record]);
  snprintf(cells[2], TABLE_CELL_SIZE, "%u", bench->clients[client]);
  for (unsigned i = 0; i < CLI_COUNT_OF(bases); i++) {
    cell_number(cells[3 + i], "%.2f", ratio_of(rows, method, bases[i], MEMBER(rate)).median);
  }
  for (unsigned i = 1; i < CLI_COUNT_OF(bases); i++) {
    cell_number(cells[6 + i], "%.2f", ratio_of(rows, method, bases[i], MEMBER(cpu_us)).median);
  }
  cell_number(cells[10], "%.2f", ratio_of(rows, method, COMMITS_LOG, MEMBER(p999_us)).median);
  return 0;
}

static int print_ratios(const commits_bench_t* bench) {
  static const char* const headings[RATIO_COLUMNS] = {
      "ratios",   "bytes",          "clients",       "x device",     "x segments", "x threads",
      "x sqlite", "CPU x segments", "CPU x threads", "CPU x sqlite", "p99.9 x log"};
  table_t table = {0};
  int error = table_add_headings(&table, headings, RATIO_COLUMNS, 1);
  for (int method = COMMITS_LOG; method <= COMMITS_ROLLING; method++) {
    for (size_t record = 0; record < bench->record_count; record++) {
      for (size_t client = 0; client < bench->client_count && error == 0; client++) {
        error = bench->takes_part[method] ? add_ratios(bench, &table, record, client, method) : 0;
      }
    }
  }
  if (error == 0) {
    printf("\n");
    table_print(&table, stdout);
  }
  table_free(&table);
  return error;
}

int commits_print(const commits_bench_t* bench) {
  int error = 0;
  char size[16];
  printf("durable commits, %llu rounds of %.2f s; segments of the rolling log: %s\n",
         (unsigned long long)bench->rounds, (double)bench->params.duration_ns / 1e9,
         format_size(size, sizeof size, bench->params.segment_size));
  for (size_t record = 0; record < bench->record_count; record++) {
    for (size_t client = 0; client < bench->client_count && error == 0; client++) {
      error = print_cell(bench, record, client);
    }
  }
  error = error != 0 ? error : print_ratios(bench);
  printf(
      "\nFigures are medians of the rounds, x are medians of the quotients within each round.\n");
  notes_print(&bench->notes);
  return error == 0 ? CLI_OK : report_error("log", "print", "the table", UV_ENOMEM);
}

/*
 * JSON
 */

static const struct {
  const char* key;
  size_t member;
} members[] = {{"commits_per_s", MEMBER(rate)},
               {"p50_us", MEMBER(p50_us)},
               {"p99_us", MEMBER(p99_us)},
               {"p999_us", MEMBER(p999_us)},
               {"cpu_us_per_commit", MEMBER(cpu_us)},
               {"commits_per_write", MEMBER(flushed)},
               {"rolls_per_s", MEMBER(rolls)}};

static json_t* row_json(const commits_bench_t* bench, size_t record, size_t client, int method) {
  const commits_row_t* rows = bench->rows[record][client];
  json_t* row =
      json_pack("{s:s, s:I, s:I, s:I}", "method", commits_method_name((commits_method_t)method),
                "record_size", (json_int_t)bench->records[record], "clients",
                (json_int_t)bench->clients[client], "rounds", (json_int_t)rows[method].count);
  for (size_t i = 0; i < CLI_COUNT_OF(members); i++) {
    summary_t summary = summary_of(series_of(&rows[method], members[i].member));
    json_object_set_new(row, members[i].key, json_summary(summary));
  }
  json_object_set_new(row, "by_threads",
                      json_summary(ratio_of(rows, method, COMMITS_THREADS, MEMBER(rate))));
  json_object_set_new(row, "by_device",
                      json_summary(ratio_of(rows, method, COMMITS_DEVICE, MEMBER(rate))));
  json_object_set_new(row, "cpu_by_threads",
                      json_summary(ratio_of(rows, method, COMMITS_THREADS, MEMBER(cpu_us))));
  return row;
}

json_t* commits_json(const commits_bench_t* bench) {
  json_t* list = json_array();
  for (size_t record = 0; record < bench->record_count; record++) {
    for (size_t client = 0; client < bench->client_count; client++) {
      for (int method = 0; method < COMMITS_METHODS; method++) {
        if (bench->rows[record][client][method].count > 0) {
          json_array_append_new(list, row_json(bench, record, client, method));
        }
      }
    }
  }
  return json_pack("{s:o, s:f, s:I, s:o, s:o}", "environment", json_environment(), "seconds",
                   (double)bench->params.duration_ns / 1e9, "segment_size",
                   (json_int_t)bench->params.segment_size, "rows", list, "notes",
                   notes_json(&bench->notes));
}

/*
 * Pictures: commits and CPU over the clients, a curve for each method, for each size of records
 */

static const char* const colours[COMMITS_METHODS] = {
    [COMMITS_LOG] = "#0072B2",      [COMMITS_PACKED] = "#56B4E9",  [COMMITS_ROLLING] = "#CC79A7",
    [COMMITS_SEGMENTS] = "#E69F00", [COMMITS_THREADS] = "#D55E00", [COMMITS_SQLITE] = "#009E73",
    [COMMITS_DEVICE] = "#000000"};

static int write_data(const commits_bench_t* bench, size_t record, const char* name) {
  FILE* file = plot_create(bench->plot, name, ".dat");
  if (file == NULL) {
    return CLI_FAILED;
  }
  for (int method = 0; method < COMMITS_METHODS; method++) {
    fprintf(file, "# %s: clients, commits/s: median, least, most; CPU us per commit\n",
            commits_method_name((commits_method_t)method));
    for (size_t client = 0; client < bench->client_count; client++) {
      const commits_row_t* row = &bench->rows[record][client][method];
      summary_t rate = summary_of(series_of(row, MEMBER(rate)));
      fprintf(file, "%u %g %g %g %g\n", bench->clients[client], rate.median, rate.min, rate.max,
              median_of(row, MEMBER(cpu_us)));
    }
    fprintf(file, "\n\n");
  }
  return plot_close(bench->plot, file);
}

static void write_curves(const commits_bench_t* bench, FILE* file, const char* name,
                         const char* columns) {
  const char* between = "plot ";
  for (int method = 0; method < COMMITS_METHODS; method++) {
    if (bench->takes_part[method]) {
      fprintf(file, "%s'%s.dat' index %d using %s lc rgb '%s' lw 2 title '%s'", between, name,
              method, columns, colours[method], commits_method_name((commits_method_t)method));
      between = ", \\\n  ";
    }
  }
  fprintf(file, "\n");
}

static int write_script(const commits_bench_t* bench, size_t record, const char* name) {
  FILE* file = plot_create(bench->plot, name, ".gnuplot");
  if (file == NULL) {
    return CLI_FAILED;
  }
  fputs(plot_style, file);
  fprintf(file,
          "set logscale xy\nset xlabel 'clients'\n"
          "set title 'durable commits, records of %zu bytes'\n"
          "set output '%s-rate.png'\nset ylabel 'commits/s, and worst and best round'\n",
          bench->records[record], name);
  write_curves(bench, file, name, "1:2:3:4 with yerrorlines");
  fprintf(file, "set output '%s-cpu.png'\nset ylabel 'CPU µs per commit'\n", name);
  write_curves(bench, file, name, "1:5 with linespoints");
  return plot_close(bench->plot, file);
}

int commits_plot(const commits_bench_t* bench) {
  int with_gnuplot;
  int code = plot_open(bench->plot, commits_json(bench), &with_gnuplot);
  for (size_t record = 0; record < bench->record_count && code == CLI_OK; record++) {
    char name[32];
    snprintf(name, sizeof name, "log-%zu", bench->records[record]);
    code = write_data(bench, record, name);
    code = code == CLI_OK ? write_script(bench, record, name) : code;
    code = code == CLI_OK && with_gnuplot ? plot_draw(bench->plot, name) : code;
  }
  return code;
}
