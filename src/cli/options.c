/* SPDX-License-Identifier: MIT */
/*
 * Values of options, and paths.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "cli.h"
#include "options.h"
#include "report.h"
#include "uvdio.h"

static const char* const backend_names[] = {
    [UVDIO_BACKEND_AUTO] = "auto", [UVDIO_BACKEND_RING] = "ring",     [UVDIO_BACKEND_AIO] = "aio",
    [UVDIO_BACKEND_POOL] = "pool", [UVDIO_BACKEND_MEMORY] = "memory",
};

/* Reads digits and nothing else: strtoull takes signs and spaces as well. */
static int scan_number(const char* text, uint64_t* value, const char** rest) {
  char* end;
  if (!isdigit((unsigned char)text[0])) {
    return -1;
  }
  errno = 0;
  *value = strtoull(text, &end, 10);
  *rest = end;
  return errno == 0 ? 0 : -1;
}

int parse_count(const char* command, const char* option, const char* text, uint64_t min,
                uint64_t max, uint64_t* value) {
  uint64_t number;
  const char* rest;
  if (scan_number(text, &number, &rest) != 0 || *rest != '\0' || number < min || number > max) {
    return report_usage(command, "%s takes a number from %llu to %llu, not '%s'", option,
                        (unsigned long long)min, (unsigned long long)max, text);
  }
  *value = number;
  return 0;
}

/* The exponent of two that a suffix stands for, or -1. */
static int suffix_shift(const char* suffix) {
  static const char letters[] = "KMG";
  if (*suffix == '\0') {
    return 0;
  }
  const char* letter = strchr(letters, toupper((unsigned char)*suffix));
  if (letter == NULL || (suffix[1] != '\0' && strcmp(suffix + 1, "iB") != 0)) {
    return -1;
  }
  return 10 * (int)(letter - letters + 1);
}

int parse_multiple(const char* command, const char* option, const char* text, uint64_t unit,
                   uint64_t min, uint64_t max, uint64_t* bytes) {
  uint64_t number;
  const char* rest;
  int shift = scan_number(text, &number, &rest) == 0 ? suffix_shift(rest) : -1;
  if (shift < 0) {
    return report_usage(command, "%s takes bytes, such as 65536, 64K or 1M, not '%s'", option,
                        text);
  }
  if (number > max >> shift || number << shift < min) {
    return report_usage(command, "%s takes %llu to %llu bytes, not '%s'", option,
                        (unsigned long long)min, (unsigned long long)max, text);
  }
  if ((number << shift) % unit != 0) {
    return report_usage(command,
                        "%s takes a multiple of %llu bytes, which direct I/O asks for, not '%s'",
                        option, (unsigned long long)unit, text);
  }
  *bytes = number << shift;
  return 0;
}

int parse_bytes(const char* command, const char* option, const char* text, uint64_t min,
                uint64_t max, uint64_t* bytes) {
  return parse_multiple(command, option, text, UVDIO_ALIGNMENT, min, max, bytes);
}

int parse_seconds(const char* command, const char* option, const char* text,
                  uint64_t* duration_ns) {
  char* end;
  double seconds = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(seconds) || seconds < 0.001 || seconds > 86400) {
    return report_usage(command, "%s takes seconds from 0.001 to 86400, not '%s'", option, text);
  }
  *duration_ns = (uint64_t)(seconds * 1e9);
  return 0;
}

int parse_unsigned(const char* command, const char* option, const char* text, unsigned max,
                   unsigned* number) {
  uint64_t value = 0;
  int code = parse_count(command, option, text, 1, max, &value);
  if (code == CLI_OK) {
    *number = (unsigned)value;
  }
  return code;
}

int parse_list(const char* command, const char* text, int (*add)(void* context, const char* part),
               void* context) {
  char* copy = strdup(text);
  char* rest = copy;
  int code = copy != NULL ? CLI_OK : report_error(command, "read", "the options", UV_ENOMEM);
  while (code == CLI_OK && rest != NULL) {
    code = add(context, strsep(&rest, ","));
  }
  free(copy);
  return code;
}

int backend_by_name(const char* text, uvdio_backend_t* backend) {
  for (size_t i = 0; i < CLI_COUNT_OF(backend_names); i++) {
    if (strcmp(text, backend_names[i]) == 0) {
      *backend = (uvdio_backend_t)i;
      return 0;
    }
  }
  return -1;
}

int parse_backend(const char* command, const char* option, const char* text,
                  uvdio_backend_t* backend) {
  if (backend_by_name(text, backend) == 0) {
    return 0;
  }
  return report_usage(command, "%s takes auto, ring, aio, pool or memory, not '%s'", option, text);
}

const char* backend_text(uvdio_backend_t backend) {
  return (size_t)backend < CLI_COUNT_OF(backend_names) ? backend_names[backend] : "unknown";
}
