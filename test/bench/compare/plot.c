/* SPDX-License-Identifier: MIT */
/*
 * Pictures. The data and the script are written in any case, so that the pictures can be made
 * elsewhere.
 *
 *   NAME.dat        a block of lines for each target
 *   NAME.gnuplot    the script
 *   NAME-*.png      throughput, p99 over throughput, CPU per operation
 *   results.json    all there is
 *
 * A chart is one kind of work over the depth: NAME is "random-read", or "random-read-65536" where
 * there are several block sizes. With several of these, each depth has a chart over the block size,
 * too: "random-read-depth-32".
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "compare/model.h"
#include "compare/plot.h"
#include "compare/report.h"
#include "harness/plot.h"
#include "harness/summary.h"
#include "harness/work.h"

/* Okabe and Ito's colours, which people who don't see all colours can tell apart too. Kin share a
 * colour. */
static const struct {
  const char* name;
  const char* colour;
  int line; /* gnuplot's dash type */
  int point;
} styles[] = {
    {"ring", "#0072B2", 1, 7},         {"ring-plain", "#0072B2", 3, 8},
    {"ring-heap", "#0072B2", 2, 6},    {"ring-busy", "#0072B2", 4, 10},
    {"ring-prompt", "#0072B2", 5, 14}, {"pool", "#56B4E9", 1, 5},
    {"pool-32", "#56B4E9", 2, 4},      {"limit", "#000000", 2, 2},
    {"limit-prompt", "#999999", 2, 1}, {"uv-4", "#D55E00", 1, 9},
    {"uv-32", "#E69F00", 1, 11},       {"fio-uring", "#009E73", 1, 13},
    {"fio-libaio", "#009E73", 2, 12},  {"qemu-img", "#CC79A7", 1, 3},
    {"aio", "#0072B2", 6, 12},
};

typedef struct {
  work_kind_t kind;
  int over_blocks;   /* else over depths */
  unsigned depth;    /* where over blocks: the depth */
  size_t block_size; /* where over depths: the block size */
  char name[64];
} chart_t;

static int shows(const chart_t* chart, const cell_t* cell) {
  return cell->kind == chart->kind &&
         (chart->over_blocks ? cell->depth == chart->depth : cell->block_size == chart->block_size);
}

static void write_target(const compare_t* compare, FILE* file, const chart_t* chart,
                         size_t target) {
  char label[16];
  fprintf(
      file,
      "# %s: %s, ops/s, p99 in us, CPU us per operation, least and most ops/s, the first as text\n",
      compare->targets[target]->name, chart->over_blocks ? "bytes per operation" : "depth");
  for (size_t cell = 0; cell < compare->cell_count; cell++) {
    const row_t* row = compare_row(compare, cell, target);
    const cell_t* here = &compare->cells[cell];
    if (shows(chart, here) && row->sample_count > 0) {
      summary_t iops = compare_summary(row, SAMPLE_MEMBER(iops));
      snprintf(label, sizeof label, "%u", here->depth);
      fprintf(file, "%zu %g %g %g %g %g \"%s\"\n",
              chart->over_blocks ? here->block_size : here->depth, iops.median,
              compare_summary(row, SAMPLE_MEMBER(p99_us)).median,
              compare_summary(row, SAMPLE_MEMBER(cpu_us_per_op)).median, iops.min, iops.max,
              chart->over_blocks ? format_size(label, sizeof label, here->block_size) : label);
    }
  }
  fprintf(file, "\n\n");
}

static int write_data(const compare_t* compare, const chart_t* chart) {
  FILE* file = plot_create(compare->plot, chart->name, ".dat");
  if (file == NULL) {
    return CLI_FAILED;
  }
  for (size_t target = 0; target < compare->target_count; target++) {
    write_target(compare, file, chart, target);
  }
  return plot_close(compare->plot, file);
}

/* Whether the target has a point with all of its values. */
static int has_points(const compare_t* compare, const chart_t* chart, size_t target,
                      size_t member) {
  for (size_t cell = 0; cell < compare->cell_count; cell++) {
    const row_t* row = compare_row(compare, cell, target);
    if (shows(chart, &compare->cells[cell]) && row->sample_count > 0 &&
        !isnan(compare_summary(row, member).median)) {
      return 1;
    }
  }
  return 0;
}

static size_t style_of(const compare_t* compare, size_t target) {
  size_t style = 0;
  while (style + 1 < CLI_COUNT_OF(styles) &&
         strcmp(styles[style].name, compare->targets[target]->name) != 0) {
    style++;
  }
  return style;
}

/* A target's medians. */
static void write_curve(const compare_t* compare, FILE* file, const chart_t* chart, size_t target,
                        const char* columns, int first) {
  size_t style = style_of(compare, target);
  fprintf(file,
          "%s'%s.dat' index %zu using %s with linespoints lc rgb '%s' dt %d pt %d lw 2 ps 1.3 "
          "title '%s'",
          first ? "" : ", \\\n  ", chart->name, target, columns, styles[style].colour,
          styles[style].line, styles[style].point, compare->targets[target]->name);
}

/* From the worst to the best round. Those of different targets stand side by side, within a sixth
 * of what lies between two depths that are a factor of two apart. */
static void write_bars(const compare_t* compare, FILE* file, const chart_t* chart, size_t target,
                       const char* scale) {
  double aside = 1 + 0.16 * (((double)target + 0.5) / (double)compare->target_count - 0.5);
  fprintf(file,
          "'%s.dat' index %zu using ($1*%g):($5%s):(0):(($6-$5)%s) with vectors nohead lc rgb '%s' "
          "lw 1 notitle, \\\n  ",
          chart->name, target, aside, scale, scale, styles[style_of(compare, target)].colour);
}

/* Which depth or block size a point of this library's curve is. */
static void write_labels(const compare_t* compare, FILE* file, const chart_t* chart,
                         const char* columns) {
  int target = compare_find(compare, "ring");
  if (target >= 0 && has_points(compare, chart, (size_t)target, SAMPLE_MEMBER(p99_us))) {
    fprintf(file,
            ", \\\n  '%s.dat' index %d using %s:7 with labels offset 0.9,-0.7 font ',9' textcolor "
            "rgb '%s' notitle",
            chart->name, target, columns, styles[style_of(compare, (size_t)target)].colour);
  }
}

/* All curves, which end a plot command or are followed by more of it. Returns 0 when there was
 * nothing to draw. */
static int write_curves(const compare_t* compare, FILE* file, const chart_t* chart,
                        const char* columns, size_t member) {
  int first = 1;
  for (size_t target = 0; target < compare->target_count; target++) {
    if (has_points(compare, chart, target, member)) {
      write_curve(compare, file, chart, target, columns, first);
      first = 0;
    }
  }
  fputs(first ? "NaN notitle" : "", file);
  return !first;
}

static void begin_picture(FILE* file, const chart_t* chart, const char* suffix) {
  fprintf(file, "set output '%s-%s.png'\nplot ", chart->name, suffix);
}

static void write_depth_axis(const compare_t* compare, FILE* file) {
  unsigned least = compare->depths[0];
  unsigned most = least;
  for (size_t i = 0; i < compare->depth_count; i++) {
    least = compare->depths[i] < least ? compare->depths[i] : least;
    most = compare->depths[i] > most ? compare->depths[i] : most;
  }
  fprintf(file,
          "set logscale x 2\nset xrange [%g:%g]\nset xlabel 'requests in flight%s'\nset xtics (",
          least / 1.3, most * 1.3, compare->params.loops > 1 ? ", of each loop" : "");
  for (size_t i = 0; i < compare->depth_count; i++) {
    fprintf(file, "%s%u", i > 0 ? ", " : "", compare->depths[i]);
  }
  fprintf(file, ")\n");
}

static void write_style(const compare_t* compare, FILE* file, const chart_t* chart) {
  char fixed[32], block[16];
  snprintf(fixed, sizeof fixed, "depth %u", chart->depth);
  fputs(plot_style, file);
  fprintf(file, "set title '%s, %s, %s%s'\n", work_kind_text(chart->kind),
          chart->over_blocks ? fixed : format_size(block, sizeof block, chart->block_size),
          compare->scratch.filesystem,
          compare->on_loop_device ? " on a loop device over tmpfs" : "");
}

/* Over depths, throughput is in operations; over block sizes, in bytes. The bars come first, so
 * that curves hide them and not the other way round. */
static void write_throughput(const compare_t* compare, FILE* file, const chart_t* chart,
                             const char* unit) {
  const char* scale = chart->over_blocks ? "*$1/1e6" : "/1000";
  fprintf(file, "set yrange [0:*]\nset ylabel '%s, and worst and best round'\n", unit);
  begin_picture(file, chart, "throughput");
  for (size_t target = 0; target < compare->target_count; target++) {
    if (has_points(compare, chart, target, SAMPLE_MEMBER(iops))) {
      write_bars(compare, file, chart, target, scale);
    }
  }
  (void)write_curves(compare, file, chart, chart->over_blocks ? "1:($2*$1/1e6)" : "1:($2/1000)",
                     SAMPLE_MEMBER(iops));
  fputs("\n", file);
}

static void write_cpu(const compare_t* compare, FILE* file, const chart_t* chart) {
  fputs("set logscale y\nset yrange [*:*]\nset ylabel 'CPU time per operation, microseconds'\n",
        file);
  begin_picture(file, chart, "cpu");
  (void)write_curves(compare, file, chart, "1:4", SAMPLE_MEMBER(cpu_us_per_op));
  fputs("\n", file);
}

static void write_latency(const compare_t* compare, FILE* file, const chart_t* chart,
                          const char* unit) {
  const char* columns = chart->over_blocks ? "($2*$1/1e6):3" : "($2/1000):3";
  fprintf(file,
          "unset logscale x\nset xtics autofreq\nset xrange [0:*]\n"
          "set xlabel '%s (one point for each %s)'\n"
          "set ylabel 'latency that 99 %% stayed under, microseconds'\n",
          unit, chart->over_blocks ? "block size" : "depth");
  begin_picture(file, chart, "latency");
  if (write_curves(compare, file, chart, columns, SAMPLE_MEMBER(p99_us))) {
    write_labels(compare, file, chart, columns);
  }
  fputs("\n", file);
}

static void write_pictures(const compare_t* compare, FILE* file, const chart_t* chart) {
  const char* unit = chart->over_blocks ? "MB/s" : "thousand operations per second";
  write_throughput(compare, file, chart, unit);
  write_cpu(compare, file, chart);
  write_latency(compare, file, chart, unit);
}

static int write_script(const compare_t* compare, const chart_t* chart) {
  FILE* file = plot_create(compare->plot, chart->name, ".gnuplot");
  if (file == NULL) {
    return CLI_FAILED;
  }
  write_style(compare, file, chart);
  if (chart->over_blocks) {
    plot_size_axis(file, compare->blocks, compare->block_count);
    fprintf(file, "set xlabel 'bytes per operation'\n");
  } else {
    write_depth_axis(compare, file);
  }
  write_pictures(compare, file, chart);
  return plot_close(compare->plot, file);
}

static int plot_chart(const compare_t* compare, const chart_t* chart, int with_gnuplot) {
  int code = write_data(compare, chart);
  code = code == CLI_OK ? write_script(compare, chart) : code;
  return code == CLI_OK && with_gnuplot ? plot_draw(compare->plot, chart->name) : code;
}

static int plot_over_depths(const compare_t* compare, work_kind_t kind, int with_gnuplot) {
  int code = CLI_OK;
  for (size_t i = 0; i < compare->block_count && code == CLI_OK; i++) {
    chart_t chart = {.kind = kind, .block_size = compare->blocks[i]};
    if (compare->block_count > 1) {
      snprintf(chart.name, sizeof chart.name, "%s-%zu", work_kind_text(kind), chart.block_size);
    } else {
      snprintf(chart.name, sizeof chart.name, "%s", work_kind_text(kind));
    }
    code = plot_chart(compare, &chart, with_gnuplot);
  }
  return code;
}

static int plot_over_blocks(const compare_t* compare, work_kind_t kind, int with_gnuplot) {
  int code = CLI_OK;
  for (size_t i = 0; i < compare->depth_count && compare->block_count > 1 && code == CLI_OK; i++) {
    chart_t chart = {.kind = kind, .over_blocks = 1, .depth = compare->depths[i]};
    snprintf(chart.name, sizeof chart.name, "%s-depth-%u", work_kind_text(kind), chart.depth);
    code = plot_chart(compare, &chart, with_gnuplot);
  }
  return code;
}

int compare_plot(const compare_t* compare) {
  int with_gnuplot;
  int code = plot_open(compare->plot, compare_json(compare), &with_gnuplot);
  for (int kind = 0; kind < WORK_KIND_COUNT && code == CLI_OK; kind++) {
    if (compare->kinds[kind]) {
      code = plot_over_depths(compare, (work_kind_t)kind, with_gnuplot);
      code = code == CLI_OK ? plot_over_blocks(compare, (work_kind_t)kind, with_gnuplot) : code;
    }
  }
  return code;
}
