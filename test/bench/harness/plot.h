/* SPDX-License-Identifier: MIT */
/*
 * Pictures: the files in a directory that gnuplot makes them of.
 * These functions say on stderr what went wrong.
 */
#ifndef UVDIO_BENCH_HARNESS_PLOT_H
#define UVDIO_BENCH_HARNESS_PLOT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Makes the directory, and results.json in it, for which `results` is given up. Returns the exit
 * code. */
int plot_open(const char* directory, json_t* results, int* with_gnuplot);

/* A file to write to, or null. Closing returns the exit code. */
FILE* plot_create(const char* directory, const char* name, const char* extension);
int plot_close(const char* directory, FILE* file);

/* Terminal, grid and border of charts with curves. */
extern const char plot_style[];

/* An x axis of bytes, with a label for each of the sizes. */
void plot_size_axis(FILE* file, const size_t* sizes, size_t count);

/* Runs NAME.gnuplot. Returns the exit code. */
int plot_draw(const char* directory, const char* name);

#endif /* UVDIO_BENCH_HARNESS_PLOT_H */
