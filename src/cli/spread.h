/*
 * Figures of several rounds: their median, and from where to where they go. A round's figures are a structure of
 * doubles; NAN is what was not measured.
 */
#ifndef UVDIO_CLI_SPREAD_H
#define UVDIO_CLI_SPREAD_H

#include <math.h>

#include "cli.h"

#define SPREAD_ROUNDS_MAX 100

/* One member of the structures, over all rounds. */
typedef struct series_s {
  const void* samples;
  size_t count;
  size_t sample_size;
  size_t member; /* offset of the double */
} series_t;

#define SERIES(samples, count, member) ((series_t){(samples), (count), sizeof *(samples), (member)})

/* Median, least and greatest; NAN where there is none. */
typedef struct spread_s {
  double median;
  double min;
  double max;
} spread_t;

spread_t spread_of(series_t series);

/* Of the quotients within the rounds. */
spread_t spread_of_ratios(series_t series, series_t base);

/* Cells of tables: a number, a time, "-8 +3 %" (how far the least and the greatest lie from the median), or "-". */
void cell_number(char* cell, const char* format, double value) __attribute__((format(printf, 2, 0)));
void cell_time(char* cell, double microseconds);
void cell_spread(char* cell, spread_t spread);

json_t* json_number_or_null(double value);
json_t* json_spread(spread_t spread);

/* The machine and the versions, which belong to every figure. */
json_t* json_environment(void);

#endif /* UVDIO_CLI_SPREAD_H */
