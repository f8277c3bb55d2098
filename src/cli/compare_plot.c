/*
 * Pictures. The data and the script are written in any case, so that the pictures can be made elsewhere.
 *
 *   KIND.dat        a block of lines for each peer
 *   KIND.gnuplot    the script
 *   KIND-*.png      throughput over depth, p99 over throughput, CPU per operation over depth
 *   results.json    all there is
 */
#include <string.h>

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

static void write_peer(const compare_t* compare, FILE* file, work_kind_t kind, size_t peer) {
  fprintf(file, "# %s: depth, ops/s, p99 in us, CPU us per operation, least and most ops/s\n",
          compare->peers[peer]->name);
  for (size_t cell = 0; cell < compare->cell_count; cell++) {
    const row_t* row = compare_row(compare, cell, peer);
    if (compare->cells[cell].kind == kind && row->sample_count > 0) {
      spread_t iops = row_spread(row, SAMPLE_MEMBER(iops));
      fprintf(file, "%u %g %g %g %g %g\n", compare->cells[cell].depth, iops.median,
              row_spread(row, SAMPLE_MEMBER(p99_us)).median, row_spread(row, SAMPLE_MEMBER(cpu_us_per_op)).median,
              iops.min, iops.max);
    }
  }
  fprintf(file, "\n\n");
}

static int write_data(const compare_t* compare, work_kind_t kind) {
  FILE* file = plot_create(compare->plot, work_kind_text(kind), ".dat");
  if (file == NULL) {
    return CLI_FAILED;
  }
  for (size_t peer = 0; peer < compare->peer_count; peer++) {
    write_peer(compare, file, kind, peer);
  }
  return plot_close(compare->plot, file);
}

/* Whether the peer has a point with all of its values. */
static int has_points(const compare_t* compare, work_kind_t kind, size_t peer, size_t member) {
  for (size_t cell = 0; cell < compare->cell_count; cell++) {
    const row_t* row = compare_row(compare, cell, peer);
    if (compare->cells[cell].kind == kind && row->sample_count > 0 && !isnan(row_spread(row, member).median)) {
      return 1;
    }
  }
  return 0;
}

/* `columns` ends in the style that suits them. */
static void write_curve(const compare_t* compare, FILE* file, work_kind_t kind, size_t peer, const char* columns,
                        int first) {
  const char* name = compare->peers[peer]->name;
  size_t style = 0;
  while (style + 1 < CLI_COUNT_OF(styles) && strcmp(styles[style].name, name) != 0) {
    style++;
  }
  fprintf(file, "%s'%s.dat' index %zu using %s lc rgb '%s' dt %d pt %d lw 2 ps 1.3 title '%s'",
          first ? "" : ", \\\n  ", work_kind_text(kind), peer, columns, styles[style].colour, styles[style].line,
          styles[style].point, name);
}

static void write_picture(const compare_t* compare, FILE* file, work_kind_t kind, const char* suffix,
                          const char* columns, size_t member) {
  int first = 1;
  fprintf(file, "set output '%s-%s.png'\nplot ", work_kind_text(kind), suffix);
  for (size_t peer = 0; peer < compare->peer_count; peer++) {
    if (has_points(compare, kind, peer, member)) {
      write_curve(compare, file, kind, peer, columns, first);
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

static int write_script(const compare_t* compare, work_kind_t kind) {
  char block[16];
  FILE* file = plot_create(compare->plot, work_kind_text(kind), ".gnuplot");
  if (file == NULL) {
    return CLI_FAILED;
  }
  format_size(block, sizeof block, compare->params.block_size);
  fprintf(file, "set terminal pngcairo size 1000,600 font 'sans,12' background 'white'\n"
                "set key outside right top\nset grid lt 1 lw 1 lc rgb '#E4E4E4'\n"
                "set border 3\nset tics nomirror\n");
  fprintf(file, "set title '%s, %s, %s%s'\n", work_kind_text(kind), block, compare->place.filesystem,
          compare->on_loop_device ? " on a loop device over tmpfs" : "");
  write_depth_axis(compare, file);
  fprintf(file, "set yrange [0:*]\nset ylabel 'thousand operations per second, and worst and best round'\n");
  write_picture(compare, file, kind, "throughput", "1:($2/1000):($5/1000):($6/1000) with yerrorlines",
                SAMPLE_MEMBER(iops));
  fprintf(file, "set logscale y\nset yrange [*:*]\nset ylabel 'CPU time per operation, microseconds'\n");
  write_picture(compare, file, kind, "cpu", "1:4 with linespoints", SAMPLE_MEMBER(cpu_us_per_op));
  fprintf(file, "unset logscale x\nset xtics autofreq\nset xrange [0:*]\n"
                "set xlabel 'thousand operations per second (one point for each depth)'\n"
                "set ylabel 'latency that 99 %% stayed under, microseconds'\n");
  write_picture(compare, file, kind, "latency", "($2/1000):3 with linespoints", SAMPLE_MEMBER(p99_us));
  return plot_close(compare->plot, file);
}

static int plot_kind(compare_t* compare, work_kind_t kind, int with_gnuplot) {
  int code = write_data(compare, kind);
  code = code == CLI_OK ? write_script(compare, kind) : code;
  return code == CLI_OK && with_gnuplot ? plot_draw(compare->plot, work_kind_text(kind)) : code;
}

int compare_plot(compare_t* compare) {
  int with_gnuplot;
  int code = plot_open(compare->plot, compare_json(compare), &with_gnuplot);
  for (int kind = 0; kind < WORK_KIND_COUNT && code == CLI_OK; kind++) {
    if (compare->kinds[kind]) {
      code = plot_kind(compare, (work_kind_t)kind, with_gnuplot);
    }
  }
  return code;
}
