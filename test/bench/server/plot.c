/* SPDX-License-Identifier: MIT */
/*
 * Two pictures, and what they are made of:
 *
 *   echo.*      p50, p99 and p99.9 of the echo, next to each kind of background I/O
 *   occupied.*  operations per second with the threads free and occupied
 *
 * Bars are medians of the rounds; the lines on them go from the least to the greatest.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "echo_server/params.h"
#include "harness/plot.h"
#include "harness/summary.h"
#include "harness/work.h"
#include "server/model.h"
#include "server/plot.h"
#include "server/report.h"

static const char preamble[] =
    "set terminal pngcairo size 1000,600 font 'sans,12' background 'white'\n"
    "set key below horizontal maxrows 1 spacing 1.5\nset xtics noenhanced\nset title noenhanced\n"
    "set grid y lt 1 lw 1 lc rgb '#E4E4E4'\nset border 3\nset tics nomirror\n"
    "set style data histogram\nset style histogram errorbars gap 1.5 lw 1.5\n"
    "set style fill solid 0.85 border -1\n";

/* What stands below the bars. The longer words of the table would not fit side by side. */
static const char* label(const char* variant) {
  return strcmp(variant, "none") == 0 ? "no I/O" : strcmp(variant, "uv") == 0 ? "uv_fs_*" : variant;
}

static void write_value(FILE* file, summary_t summary, double unit) {
  if (isnan(summary.median)) {
    fprintf(file, " NaN NaN NaN");
  } else {
    fprintf(file, " %g %g %g", summary.median / unit, summary.min / unit, summary.max / unit);
  }
}

/* Room for so many groups of bars, and no more. */
static void write_groups(const server_bench_t* server, FILE* file, server_part_t part) {
  int count = 0;
  for (size_t i = 0; i < server->row_count; i++) {
    count += server->rows[i].part == part && server->rows[i].count > 0;
  }
  fprintf(file, "set xrange [-0.6:%g]\n", count - 0.4);
}

/*
 * The echo.
 */

static int write_echo_data(const server_bench_t* server) {
  FILE* file = plot_create(server->plot, "echo", ".dat");
  if (file == NULL) {
    return CLI_FAILED;
  }
  fprintf(
      file,
      "# background; p50, p99 and p99.9 in ms, each as median, least and greatest of the rounds\n");
  for (size_t i = 0; i < server->row_count; i++) {
    const server_row_t* row = &server->rows[i];
    if (row->part == PART_ECHO && row->count > 0) {
      fprintf(file, "\"%s\"", label(row->variant));
      write_value(file, server_summary(row, FIGURE(echo_p50_us)), 1e3);
      write_value(file, server_summary(row, FIGURE(echo_p99_us)), 1e3);
      write_value(file, server_summary(row, FIGURE(echo_p999_us)), 1e3);
      fprintf(file, "\n");
    }
  }
  return plot_close(server->plot, file);
}

static void write_bound(const server_bench_t* server, FILE* file) {
  double p99 = server_summary(server_find(server, "pool", PART_ECHO), FIGURE(echo_p99_us)).median;
  if (!isnan(p99)) {
    fprintf(file,
            ", \\\n  %g with lines lc rgb '#D55E00' dt 2 lw 2 title '%.1f x the p99 with the pool'",
            p99 / 1e3 * SERVER_ECHO_BOUND, SERVER_ECHO_BOUND);
  }
}

static int write_echo_script(const server_bench_t* server) {
  const echo_server_params_t* params = &server->params;
  char block[16];
  char rate[SERVER_RATE_SIZE];
  FILE* file = plot_create(server->plot, "echo", ".gnuplot");
  if (file == NULL) {
    return CLI_FAILED;
  }
  fputs(preamble, file);
  fprintf(file,
          "set title \"Echo over %u connections, %u messages/s, and %s on the same loop\\n"
          "%s, %s each, at most %u in flight, %s%s\"\n",
          params->connections, params->messages, work_kind_text(params->work.kind),
          server_rate_text(server, rate), format_size(block, sizeof block, params->work.block_size),
          params->work.depth, server->scratch.filesystem,
          server->on_loop_device ? " on a loop device over tmpfs" : "");
  write_groups(server, file, PART_ECHO);
  fprintf(file,
          "set logscale y\nset yrange [0.03:*]\nset ylabel 'latency of the echo, milliseconds'\n"
          "set output 'echo.png'\n"
          "plot 'echo.dat' using 2:3:4:xtic(1) lc rgb '#56B4E9' title 'p50', \\\n"
          "  '' using 5:6:7 lc rgb '#0072B2' title 'p99', \\\n"
          "  '' using 8:9:10 lc rgb '#999999' title 'p99.9'");
  write_bound(server, file);
  fprintf(file, "\n");
  return plot_close(server->plot, file);
}

/*
 * The occupied threadpool.
 */

static int write_busy_data(const server_bench_t* server) {
  FILE* file = plot_create(server->plot, "occupied", ".dat");
  if (file == NULL) {
    return CLI_FAILED;
  }
  fprintf(file,
          "# by; thousand operations per second with the threads free, and occupied, each as "
          "median, least and\n"
          "# greatest of the rounds; occupied by free\n");
  for (size_t i = 0; i < server->row_count; i++) {
    const server_row_t* row = &server->rows[i];
    if (row->part == PART_FREE && row->count > 0) {
      const server_row_t* busy = server_find(server, row->variant, PART_BUSY);
      fprintf(file, "\"%s\"", label(row->variant));
      write_value(file, server_summary(row, FIGURE(iops)), 1000);
      write_value(file, server_summary(busy, FIGURE(iops)), 1000);
      fprintf(file, " %.2f\n", server_ratio(busy, row, FIGURE(iops)).median);
    }
  }
  return plot_close(server->plot, file);
}

static int write_busy_script(const server_bench_t* server) {
  const echo_server_params_t* params = &server->params;
  FILE* file = plot_create(server->plot, "occupied", ".gnuplot");
  if (file == NULL) {
    return CLI_FAILED;
  }
  fputs(preamble, file);
  fprintf(file,
          "set title \"%s, depth %u, as many as go, on %s%s\\n"
          "threadpool of %u threads, free and occupied by %u works of %u ms (%s)\"\n",
          work_kind_text(params->work.kind), params->work.depth, server->scratch.filesystem,
          server->on_loop_device ? " on a loop device over tmpfs" : "", server->threads,
          params->load_count, params->load_ms, pool_load_kind_text(params->load_kind));
  write_groups(server, file, PART_FREE);
  fprintf(file,
          "set yrange [0:*]\nset offsets 0, 0, graph 0.08, 0\nset ylabel 'thousand operations per "
          "second'\n"
          "set output 'occupied.png'\n"
          "plot 'occupied.dat' using 2:3:4:xtic(1) lc rgb '#56B4E9' title 'threads free', \\\n"
          "  '' using 5:6:7 lc rgb '#D55E00' title 'threads occupied', \\\n"
          "  '' using 0:7:(sprintf('x %%.2f', $8)) with labels offset 3.5,0.8 notitle\n");
  return plot_close(server->plot, file);
}

int server_plot(const server_bench_t* server) {
  int with_gnuplot;
  int code = plot_open(server->plot, server_json(server), &with_gnuplot);
  code = code == CLI_OK ? write_echo_data(server) : code;
  code = code == CLI_OK ? write_echo_script(server) : code;
  code = code == CLI_OK ? write_busy_data(server) : code;
  code = code == CLI_OK ? write_busy_script(server) : code;
  code = code == CLI_OK && with_gnuplot ? plot_draw(server->plot, "echo") : code;
  return code == CLI_OK && with_gnuplot ? plot_draw(server->plot, "occupied") : code;
}
