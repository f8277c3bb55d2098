/* SPDX-License-Identifier: MIT */
/*
 * What uvdio-bench copy measured: table, JSON, picture.
 */
#include <jansson.h>
#include <stdio.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/report.h"
#include "cli/table.h"
#include "copy/model.h"
#include "copy/report.h"
#include "harness/environment.h"
#include "harness/notes.h"
#include "harness/plot.h"
#include "harness/summary.h"

#define COPY_MEMBER(name) offsetof(copy_sample_t, name)

static summary_t row_summary_of(const copy_row_t* row, size_t member) {
  return summary_of(SERIES(row->samples, row->count, member));
}

/* How many times as fast as the target `base`, within the rounds. */
static summary_t row_ratio_by(const copy_bench_t* bench, size_t block, copy_target_t target,
                              copy_target_t base) {
  const copy_row_t* rows = bench->rows[block];
  return summary_of_ratios(
      SERIES(rows[target].samples, rows[target].count, COPY_MEMBER(bytes_per_s)),
      SERIES(rows[base].samples, rows[base].count, COPY_MEMBER(bytes_per_s)));
}

/*
 * Table.
 */

enum { COLUMN_TARGET, COLUMN_RATE, COLUMN_SPREAD, COLUMN_DD, COLUMN_CP, COLUMN_CPU, COLUMN_COUNT };

static int add_headings(table_t* table) {
  static const char* const headings[COLUMN_COUNT] = {"target", "throughput", "spread",
                                                     "x dd",   "x cp",       "CPU s/GiB"};
  return table_add_headings(table, headings, COLUMN_COUNT, 1);
}

static int add_row(const copy_bench_t* bench, table_t* table, size_t block, copy_target_t target) {
  const copy_row_t* row = &bench->rows[block][target];
  summary_t rate = row_summary_of(row, COPY_MEMBER(bytes_per_s));
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  if (cells == NULL) {
    return -1;
  }
  snprintf(cells[COLUMN_TARGET], TABLE_CELL_SIZE, "%s", copy_target_text(target));
  format_rate(cells[COLUMN_RATE], TABLE_CELL_SIZE, rate.median);
  cell_spread(cells[COLUMN_SPREAD], rate);
  cell_number(cells[COLUMN_DD], "%.2f", row_ratio_by(bench, block, target, COPY_DD).median);
  cell_number(cells[COLUMN_CP], "%.2f", row_ratio_by(bench, block, target, COPY_CP).median);
  cell_number(cells[COLUMN_CPU], "%.2f", row_summary_of(row, COPY_MEMBER(cpu_s_per_gib)).median);
  return 0;
}

static int print_block(const copy_bench_t* bench, size_t block) {
  table_t table = {0};
  char size[16];
  int error = add_headings(&table);
  for (int target = 0; target < COPY_TARGET_COUNT && error == 0; target++) {
    if (bench->rows[block][target].count > 0) {
      error = add_row(bench, &table, block, (copy_target_t)target);
    }
  }
  if (error == 0) {
    printf("\ncopy in blocks of %s\n", format_size(size, sizeof size, bench->blocks[block]));
    table_print(&table, stdout);
  }
  table_free(&table);
  return error;
}

int copy_bench_print(const copy_bench_t* bench) {
  char size[16];
  int error = 0;
  printf("one file of %s, cold, to a new one on the same filesystem, durably; %llu rounds\n",
         format_size(size, sizeof size, bench->work.file_size), (unsigned long long)bench->rounds);
  for (size_t block = 0; block < bench->block_count && error == 0; block++) {
    error = print_block(bench, block);
  }
  printf(
      "\nFigures are medians of the rounds, x are medians of the quotients within each round: how "
      "many times as fast.\n"
      "CPU is user and system time of the copying process; what the kernel does for the page cache "
      "is not in it.\n");
  notes_print(&bench->notes);
  return error == 0 ? CLI_OK : report_error("copy", "print", "the table", UV_ENOMEM);
}

/*
 * JSON.
 */

static json_t* row_json(const copy_bench_t* bench, size_t block, copy_target_t target) {
  const copy_row_t* row = &bench->rows[block][target];
  return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "target", copy_target_text(target),
                   "block_size", (json_int_t)bench->blocks[block], "rounds", (json_int_t)row->count,
                   "bytes_per_s", json_summary(row_summary_of(row, COPY_MEMBER(bytes_per_s))),
                   "by_dd", json_summary(row_ratio_by(bench, block, target, COPY_DD)), "by_cp",
                   json_summary(row_ratio_by(bench, block, target, COPY_CP)), "cpu_s_per_gib",
                   json_summary(row_summary_of(row, COPY_MEMBER(cpu_s_per_gib))));
}

json_t* copy_bench_json(const copy_bench_t* bench) {
  json_t* rows = json_array();
  for (size_t block = 0; block < bench->block_count; block++) {
    for (int target = 0; target < COPY_TARGET_COUNT; target++) {
      if (bench->rows[block][target].count > 0) {
        json_array_append_new(rows, row_json(bench, block, (copy_target_t)target));
      }
    }
  }
  json_t* environment = json_environment();
  json_object_set_new(environment, "filesystem", json_string(bench->scratch.filesystem));
  return json_pack("{s:o, s:I, s:o, s:o}", "environment", environment, "file_size",
                   (json_int_t)bench->work.file_size, "rows", rows, "notes",
                   notes_json(&bench->notes));
}

/*
 * Picture: throughput over the block size, a curve for each target.
 */

static const char* const colours[COPY_TARGET_COUNT] = {
    [COPY_RING] = "#0072B2", [COPY_POOL] = "#56B4E9", [COPY_DD] = "#D55E00", [COPY_CP] = "#009E73"};

static int write_data(const copy_bench_t* bench) {
  FILE* file = plot_create(bench->plot, "copy", ".dat");
  if (file == NULL) {
    return CLI_FAILED;
  }
  for (int target = 0; target < COPY_TARGET_COUNT; target++) {
    fprintf(file, "# %s: bytes per block, bytes/s: median, least, most\n",
            copy_target_text((copy_target_t)target));
    for (size_t block = 0; block < bench->block_count; block++) {
      summary_t rate = row_summary_of(&bench->rows[block][target], COPY_MEMBER(bytes_per_s));
      fprintf(file, "%zu %g %g %g\n", bench->blocks[block], rate.median, rate.min, rate.max);
    }
    fprintf(file, "\n\n");
  }
  return plot_close(bench->plot, file);
}

static int write_script(const copy_bench_t* bench) {
  char text[16];
  FILE* file = plot_create(bench->plot, "copy", ".gnuplot");
  if (file == NULL) {
    return CLI_FAILED;
  }
  fputs(plot_style, file);
  fprintf(file, "set output 'copy.png'\nset title 'copy of a file of %s, cold and durable'\n",
          format_size(text, sizeof text, bench->work.file_size));
  plot_size_axis(file, bench->blocks, bench->block_count);
  fprintf(file,
          "set yrange [0:*]\n"
          "set xlabel 'bytes per block (cp has none)'\nset ylabel 'MB/s, and worst and best "
          "round'\nplot ");
  for (int target = 0; target < COPY_TARGET_COUNT; target++) {
    fprintf(file,
            "%s'copy.dat' index %d using 1:($2/1e6):($3/1e6):($4/1e6) with yerrorlines lc rgb '%s' "
            "lw 2 title '%s'",
            target > 0 ? ", \\\n  " : "", target, colours[target],
            copy_target_text((copy_target_t)target));
  }
  fprintf(file, "\n");
  return plot_close(bench->plot, file);
}

int copy_bench_plot(const copy_bench_t* bench) {
  int with_gnuplot;
  int code = plot_open(bench->plot, copy_bench_json(bench), &with_gnuplot);
  code = code == CLI_OK ? write_data(bench) : code;
  code = code == CLI_OK ? write_script(bench) : code;
  return code == CLI_OK && with_gnuplot ? plot_draw(bench->plot, "copy") : code;
}
