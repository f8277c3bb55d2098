/* SPDX-License-Identifier: MIT */
/*
 * What all pictures need: a directory, files in it, and gnuplot.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/path.h"
#include "cli/report.h"
#include "harness/child.h"
#include "harness/plot.h"

FILE* plot_create(const char* directory, const char* name, const char* extension) {
  char file[128];
  snprintf(file, sizeof file, "%s%s", name, extension);
  char* path = path_join(directory, file);
  FILE* opened = path != NULL ? fopen(path, "w") : NULL;
  if (opened == NULL) {
    report_error(NULL, "write", path, uv_translate_sys_error(errno));
  }
  free(path);
  return opened;
}

int plot_close(const char* directory, FILE* file) {
  int failed = ferror(file);
  failed |= fclose(file) != 0;
  return failed ? report_problem(NULL, "a file in %s could not be written.", directory) : CLI_OK;
}

const char plot_style[] =
    "set terminal pngcairo size 1200,750 font 'sans,12' background 'white'\n"
    "set key outside right top\nset grid lt 1 lw 1 lc rgb '#E4E4E4'\n"
    "set border 3\nset tics nomirror\n";

void plot_size_axis(FILE* file, const size_t* sizes, size_t count) {
  char text[16];
  size_t least = sizes[0];
  size_t most = least;
  for (size_t i = 0; i < count; i++) {
    least = sizes[i] < least ? sizes[i] : least;
    most = sizes[i] > most ? sizes[i] : most;
  }
  fprintf(file, "set logscale x 2\nset xrange [%g:%g]\nset xtics (", (double)least / 1.3,
          (double)most * 1.3);
  for (size_t i = 0; i < count; i++) {
    fprintf(file, "%s'%s' %zu", i > 0 ? ", " : "", format_size(text, sizeof text, sizes[i]),
            sizes[i]);
  }
  fprintf(file, ")\n");
}

int plot_draw(const char* directory, const char* name) {
  char script[128];
  child_t child;
  snprintf(script, sizeof script, "%s.gnuplot", name);
  const char* const argv[] = {"sh",      "-c",   "cd -- \"$0\" && exec gnuplot \"$1\"",
                              directory, script, NULL};
  if (child_run(argv, 1, &child) != 0) {
    return report_problem(NULL, "gnuplot could not be started.");
  }
  free(child.output);
  return child.code == 0 ? CLI_OK
                         : report_problem(NULL, "gnuplot failed (exit code %d).", child.code);
}

static int write_results(const char* directory, const json_t* json) {
  char* path = path_join(directory, "results.json");
  size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(15);
  int failed = json == NULL || path == NULL || json_dump_file(json, path, flags) != 0;
  int code = failed ? report_error(NULL, "write", path, UV_EIO) : CLI_OK;
  free(path);
  return code;
}

int plot_open(const char* directory, json_t* results, int* with_gnuplot) {
  char version[128];
  int code = CLI_OK;
  if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
    code = report_error(NULL, "create", directory, uv_translate_sys_error(errno));
  }
  code = code == CLI_OK ? write_results(directory, results) : code;
  json_decref(results);
  *with_gnuplot = child_version("gnuplot", "--version", version, sizeof version);
  if (code == CLI_OK && !*with_gnuplot) {
    report_problem(NULL,
                   "gnuplot is not installed: %s has the data and the scripts, but no pictures.",
                   directory);
  }
  return code;
}
