/* SPDX-License-Identifier: MIT */
/*
 * Numbers with units, cut to the digits that matter.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "cli.h"
#include "format.h"

json_t* json_thousandths(double value) {
  return json_real(round(value * 1000) / 1000);
}

/* Three digits that matter: 9.87, 98.7, 987. */
static int decimals_for(double value) {
  return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

char* format_size(char* text, size_t size, uint64_t bytes) {
  static const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = (double)bytes;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < CLI_COUNT_OF(units)) {
    value /= 1024;
    unit++;
  }
  int whole = value >= 100 || value == floor(value);
  snprintf(text, size, "%.*f %s", whole ? 0 : 1, value, units[unit]);
  return text;
}

static char* format_thousands(char* text, size_t size, double value, const char* unit) {
  static const char* const prefixes[] = {"", "k", "M", "G", "T"};
  size_t prefix = 0;
  while (value >= 999.5 && prefix + 1 < CLI_COUNT_OF(prefixes)) {
    value /= 1000;
    prefix++;
  }
  int plain = prefix == 0 && value == floor(value);
  snprintf(text, size, "%.*f%s%s%s", plain ? 0 : decimals_for(value), value,
           *prefixes[prefix] != '\0' || *unit != '\0' ? " " : "", prefixes[prefix], unit);
  return text;
}

char* format_count(char* text, size_t size, double count) {
  return format_thousands(text, size, count, "");
}

char* format_rate(char* text, size_t size, double bytes_per_s) {
  return format_thousands(text, size, bytes_per_s, "B/s");
}

char* format_time(char* text, size_t size, double microseconds) {
  static const char* const units[] = {"µs", "ms", "s"};
  size_t unit = 0;
  while (microseconds >= 999.5 && unit + 1 < CLI_COUNT_OF(units)) {
    microseconds /= 1000;
    unit++;
  }
  snprintf(text, size, "%.*f %s", decimals_for(microseconds), microseconds, units[unit]);
  return text;
}
