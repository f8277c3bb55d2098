/* SPDX-License-Identifier: MIT */
/*
 * Numbers for people and for JSON, with units and no more digits than matter.
 */
#ifndef UVDIO_CLI_FORMAT_H
#define UVDIO_CLI_FORMAT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* A real number of JSON, rounded to thousandths. */
json_t* json_thousandths(double value);

/* Numbers for people, cut to `size`: "64 MiB", "119 k", "488 MB/s", "12.3 µs". Each returns
 * `text`. */
char* format_size(char* text, size_t size, uint64_t bytes);
char* format_count(char* text, size_t size, double count);
char* format_rate(char* text, size_t size, double bytes_per_s);
char* format_time(char* text, size_t size, double microseconds);

#endif /* UVDIO_CLI_FORMAT_H */
