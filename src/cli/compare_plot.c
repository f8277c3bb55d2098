/*
 * Pictures. The data and the script are written in any case, so that the pictures can be made elsewhere.
 *
 *   NAME.dat        a block of lines for each peer
 *   NAME.gnuplot    the script
 *   NAME-*.png      throughput, p99 over throughput, CPU per operation
 *   results.json    all there is
 *
 * A chart is one kind of work over the depth: NAME is "random-read", or "random-read-65536" where there are several
 * block sizes. With several of these, each depth has a chart over the block size, too: "random-read-depth-32".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "compare.h"

/* Okabe and Ito's colours, which people who don't see all colours can tell apart too. Kin share a colour. */
static const struct {
  const char* name;
  const char* colour;
  int line; /* gnuplot's dash type */
  int point;
} styles[] = {
    {"ring", "#0072B2", 1, 7},          {"ring-plain", "#0072B2", 3, 8},  {"ring-heap", "#0072B2", 2, 6},
    {"ring-busy", "#0072B2", 4, 10},    {"ring-prompt", "#0072B2", 5, 14}, {"pool", "#56B4E9", 1, 5},
    {"pool-32", "#56B4E9", 2, 4},       {"limit", "#000000", 2, 2},       {"limit-prompt", "#999999", 2, 1},
    {"uv-4", "#D55E00", 1, 9},          {"uv-32", "#E69F00", 1, 11},      {"fio-uring", "#009E73", 1, 13},
    {"fio-libaio", "#009E73", 2, 12},   {"qemu-img", "#CC79A7", 1, 3},
};

static FILE* open_in(const compare_t* compare, const char* name, const char* extension) {
  char file[128];
  snprintf(file, sizeof file, "%s%s", name, extension);
  char* path = path_join(compare->plot, file);
  FILE* opened = path != NULL ? fopen(path, "w") : NULL;
  if (opened == NULL) {
    report_error("bench", "write", path, uv_translate_sys_error(errno));
  }
  free(path);
  return opened;
}

/* Closes and tells whether all arrived. */
static int close_file(const compare_t* compare, FILE* file) {
  int failed = ferror(file);
  failed |= fclose(file) != 0;
  return failed ? report_problem("bench", "a file in %s could not be written.", compare->plot) : CLI_OK;
}

typedef struct {
  work_kind_t kind;
  int over_blocks; /* else over depths */
  unsigned depth;  /* where over blocks: the depth */
  size_t block_size; /* where over depths: the block size */
  char name[64];
} chart_t;

static int shows(const chart_t* chart, const cell_t* cell) {
  return cell->kind == chart->kind &&
         (chart->over_blocks ? cell->depth == chart->depth : cell->block_size == chart->block_size);
}

static void write_peer(const compare_t* compare, FILE* file, const chart_t* chart, size_t peer) {
  fprintf(file, "# %s: %s, ops/s, p99 in us, CPU us per operation, least and most ops/s\n",
          compare->peers[peer]->name, chart->over_blocks ? "bytes per operation" : "depth");
  for (size_t cell = 0; cell < compare->cell_count; cell++) {
    const row_t* row = compare_row(compare, cell, peer);
    const cell_t* here = &compare->cells[cell];
    if (shows(chart, here) && row->sample_count > 0) {
      spread_t iops = row_spread(row, SAMPLE_MEMBER(iops));
      fprintf(file, "%zu %g %g %g %g %g\n", chart->over_blocks ? here->block_size : here->depth, iops.median,
              row_spread(row, SAMPLE_MEMBER(p99_us)).median, row_spread(row, SAMPLE_MEMBER(cpu_us_per_op)).median,
              iops.min, iops.max);
    }
  }
  fprintf(file, "\n\n");
}

static int write_data(const compare_t* compare, const chart_t* chart) {
  FILE* file = open_in(compare, chart->name, ".dat");
  if (file == NULL) {
    return CLI_FAILED;
  }
  for (size_t peer = 0; peer < compare->peer_count; peer++) {
    write_peer(compare, file, chart, peer);
  }
  return close_file(compare, file);
}

/* Whether the peer has a point with all of its values. */
static int has_points(const compare_t* compare, const chart_t* chart, size_t peer, size_t member) {
  for (size_t cell = 0; cell < compare->cell_count; cell++) {
    const row_t* row = compare_row(compare, cell, peer);
    if (shows(chart, &compare->cells[cell]) && row->sample_count > 0 && !isnan(row_spread(row, member).median)) {
      return 1;
    }
  }
  return 0;
}

/* `columns` ends in the style that suits them. */
static void write_curve(const compare_t* compare, FILE* file, const chart_t* chart, size_t peer, const char* columns,
                        int first) {
  const char* name = compare->peers[peer]->name;
  size_t style = 0;
  while (style + 1 < CLI_COUNT_OF(styles) && strcmp(styles[style].name, name) != 0) {
    style++;
  }
  fprintf(file, "%s'%s.dat' index %zu using %s lc rgb '%s' dt %d pt %d lw 2 ps 1.3 title '%s'",
          first ? "" : ", \\\n  ", chart->name, peer, columns, styles[style].colour, styles[style].line,
          styles[style].point, name);
}

static void write_picture(const compare_t* compare, FILE* file, const chart_t* chart, const char* suffix,
                          const char* columns, size_t member) {
  int first = 1;
  fprintf(file, "set output '%s-%s.png'\nplot ", chart->name, suffix);
  for (size_t peer = 0; peer < compare->peer_count; peer++) {
    if (has_points(compare, chart, peer, member)) {
      write_curve(compare, file, chart, peer, columns, first);
      first = 0;
    }
  }
  fprintf(file, "%s\n", first ? "NaN notitle" : "");
}

static void write_depth_axis(const compare_t* compare, FILE* file) {
  unsigned least = compare->depths[0];
  unsigned most = least;
  for (size_t i = 0; i < compare->depth_count; i++) {
    least = compare->depths[i] < least ? compare->depths[i] : least;
    most = compare->depths[i] > most ? compare->depths[i] : most;
  }
  fprintf(file, "set logscale x 2\nset xrange [%g:%g]\nset xlabel 'requests in flight%s'\nset xtics (",
          least / 1.3, most * 1.3, compare->params.loops > 1 ? ", of each loop" : "");
  for (size_t i = 0; i < compare->depth_count; i++) {
    fprintf(file, "%s%u", i > 0 ? ", " : "", compare->depths[i]);
  }
  fprintf(file, ")\n");
}

static void write_block_axis(const compare_t* compare, FILE* file) {
  char text[16];
  size_t least = compare->blocks[0];
  size_t most = least;
  for (size_t i = 0; i < compare->block_count; i++) {
    least = compare->blocks[i] < least ? compare->blocks[i] : least;
    most = compare->blocks[i] > most ? compare->blocks[i] : most;
  }
  fprintf(file, "set logscale x 2\nset xrange [%g:%g]\nset xlabel 'bytes per operation'\nset xtics (",
          (double)least / 1.3, (double)most * 1.3);
  for (size_t i = 0; i < compare->block_count; i++) {
    fprintf(file, "%s'%s' %zu", i > 0 ? ", " : "", format_size(text, sizeof text, compare->blocks[i]),
            compare->blocks[i]);
  }
  fprintf(file, ")\n");
}

static void write_style(const compare_t* compare, FILE* file, const chart_t* chart) {
  char fixed[32], block[16];
  snprintf(fixed, sizeof fixed, "depth %u", chart->depth);
  fprintf(file, "set terminal pngcairo size 1000,600 font 'sans,12' background 'white'\n"
                "set key outside right top\nset grid lt 1 lw 1 lc rgb '#E4E4E4'\n"
                "set border 3\nset tics nomirror\n");
  fprintf(file, "set title '%s, %s, %s%s'\n", work_kind_text(chart->kind),
          chart->over_blocks ? fixed : format_size(block, sizeof block, chart->block_size), compare->filesystem,
          compare->on_loop_device ? " on a loop device over tmpfs" : "");
}

/* Over depths, throughput is in operations; over block sizes, in bytes. */
static void write_pictures(const compare_t* compare, FILE* file, const chart_t* chart) {
  const char* unit = chart->over_blocks ? "MB/s" : "thousand operations per second";
  fprintf(file, "set yrange [0:*]\nset ylabel '%s, and worst and best round'\n", unit);
  write_picture(compare, file, chart, "throughput",
                chart->over_blocks ? "1:($2*$1/1e6):($5*$1/1e6):($6*$1/1e6) with yerrorlines"
                                   : "1:($2/1000):($5/1000):($6/1000) with yerrorlines",
                SAMPLE_MEMBER(iops));
  fprintf(file, "set logscale y\nset yrange [*:*]\nset ylabel 'CPU time per operation, microseconds'\n");
  write_picture(compare, file, chart, "cpu", "1:4 with linespoints", SAMPLE_MEMBER(cpu_us_per_op));
  fprintf(file, "unset logscale x\nset xtics autofreq\nset xrange [0:*]\n"
                "set xlabel '%s (one point for each %s)'\n"
                "set ylabel 'latency that 99 %% stayed under, microseconds'\n",
          unit, chart->over_blocks ? "block size" : "depth");
  write_picture(compare, file, chart, "latency",
                chart->over_blocks ? "($2*$1/1e6):3 with linespoints" : "($2/1000):3 with linespoints",
                SAMPLE_MEMBER(p99_us));
}

static int write_script(const compare_t* compare, const chart_t* chart) {
  FILE* file = open_in(compare, chart->name, ".gnuplot");
  if (file == NULL) {
    return CLI_FAILED;
  }
  write_style(compare, file, chart);
  if (chart->over_blocks) {
    write_block_axis(compare, file);
  } else {
    write_depth_axis(compare, file);
  }
  write_pictures(compare, file, chart);
  return close_file(compare, file);
}

static int write_results(const compare_t* compare) {
  json_t* json = compare_json(compare);
  char* path = path_join(compare->plot, "results.json");
  size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(15);
  int failed = json == NULL || path == NULL || json_dump_file(json, path, flags) != 0;
  int code = failed ? report_error("bench", "write", path, UV_EIO) : CLI_OK;
  free(path);
  json_decref(json);
  return code;
}

/* Has gnuplot make the pictures, in the directory itself. */
static int draw(const compare_t* compare, const chart_t* chart) {
  char script[80];
  child_t child;
  snprintf(script, sizeof script, "%s.gnuplot", chart->name);
  const char* const argv[] = {"sh", "-c", "cd -- \"$0\" && exec gnuplot \"$1\"", compare->plot, script, NULL};
  if (child_run(argv, 1, &child) != 0) {
    return report_problem("bench", "gnuplot could not be started.");
  }
  free(child.output);
  return child.code == 0 ? CLI_OK : report_problem("bench", "gnuplot failed (exit code %d).", child.code);
}

static int plot_chart(const compare_t* compare, const chart_t* chart, int with_gnuplot) {
  int code = write_data(compare, chart);
  code = code == CLI_OK ? write_script(compare, chart) : code;
  return code == CLI_OK && with_gnuplot ? draw(compare, chart) : code;
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

int compare_plot(compare_t* compare) {
  char version[128];
  if (mkdir(compare->plot, 0777) != 0 && errno != EEXIST) {
    return report_error("bench", "create", compare->plot, uv_translate_sys_error(errno));
  }
  int with_gnuplot = child_version("gnuplot", "--version", version, sizeof version);
  int code = write_results(compare);
  for (int kind = 0; kind < WORK_KIND_COUNT && code == CLI_OK; kind++) {
    if (compare->kinds[kind]) {
      code = plot_over_depths(compare, (work_kind_t)kind, with_gnuplot);
      code = code == CLI_OK ? plot_over_blocks(compare, (work_kind_t)kind, with_gnuplot) : code;
    }
  }
  if (!with_gnuplot) {
    report_problem("bench", "gnuplot is not installed: %s has the data and the scripts, but no pictures.",
                   compare->plot);
  }
  return code;
}
