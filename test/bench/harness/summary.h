/* SPDX-License-Identifier: MIT */
/*
 * Figures of several rounds: their median, and from where to where they go. A round's figures are a
 * structure of doubles; NAN is what was not measured.
 */
#ifndef UVDIO_BENCH_HARNESS_SUMMARY_H
#define UVDIO_BENCH_HARNESS_SUMMARY_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#define SUMMARY_ROUNDS_MAX 100

/* One member of the structures, over all rounds. */
typedef struct series_s {
  const void* samples;
  size_t count;
  size_t sample_size;
  size_t member; /* offset of the double */
} series_t;

#define SERIES(samples, count, member) ((series_t){(samples), (count), sizeof *(samples), (member)})

/* Median, least and greatest; NAN where there is none. */
typedef struct summary_s {
  double median;
  double min;
  double max;
} summary_t;

summary_t summary_of(series_t series);

/* Of the quotients within the rounds. */
summary_t summary_of_ratios(series_t series, series_t base);

/* Cells of tables: a number, a time, "-8 +3 %" (how far the least and the greatest lie from the
 * median), or "-". */
void cell_number(char* cell, const char* format, double value)
    __attribute__((format(printf, 2, 0)));
void cell_time(char* cell, double microseconds);
void cell_spread(char* cell, summary_t summary);

json_t* json_summary(summary_t summary);

#endif /* UVDIO_BENCH_HARNESS_SUMMARY_H */
