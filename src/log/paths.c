/* SPDX-License-Identifier: MIT */
/*
 * Where the files of a log are. A segment's name is its number, in sixteen hexadecimal digits, so
 * that names sort as numbers do.
 */
#include <inttypes.h>
#include <stdio.h>

#include "log/log.h"

const char* uvdio__log_path(uvdio_log_t* log, const char* name) {
  (void)snprintf(log->name_path, sizeof(log->name_path), "%s/%s", log->path, name);
  return log->name_path;
}

const char* uvdio__log_segment_path(uvdio_log_t* log, uint64_t number) {
  (void)snprintf(log->segment_path, sizeof(log->segment_path), "%s/%016" PRIx64 ".seg", log->path,
                 number);
  return log->segment_path;
}
