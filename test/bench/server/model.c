/* SPDX-License-Identifier: MIT */
/*
 * What is in the background of the echo, and the figures of each part.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/format.h"
#include "harness/summary.h"
#include "server/model.h"

const server_variant_t server_variants[SERVER_VARIANT_COUNT] = {
    {"none", "no background I/O"},
    {"ring", "uvdio on io_uring"},
    {"pool", "uvdio on libuv's threadpool"},
    {"uv", "uv_fs_read and uv_fs_write"},
};

const char* server_variant_text(const char* variant) {
  for (size_t i = 0; i < SERVER_VARIANT_COUNT; i++) {
    if (strcmp(server_variants[i].name, variant) == 0) {
      return server_variants[i].text;
    }
  }
  return "";
}

const server_row_t* server_find(const server_bench_t* server, const char* variant,
                                server_part_t part) {
  for (size_t i = 0; i < server->row_count; i++) {
    const server_row_t* row = &server->rows[i];
    if (row->part == part && row->count > 0 && strcmp(row->variant, variant) == 0) {
      return row;
    }
  }
  return NULL;
}

summary_t server_summary(const server_row_t* row, size_t member) {
  return row == NULL ? (summary_t){NAN, NAN, NAN}
                     : summary_of(SERIES(row->figures, row->count, member));
}

summary_t server_ratio(const server_row_t* row, const server_row_t* base, size_t member) {
  return row == NULL || base == NULL
             ? (summary_t){NAN, NAN, NAN}
             : summary_of_ratios(SERIES(row->figures, row->count, member),
                                 SERIES(base->figures, base->count, member));
}

char* server_rate_text(const server_bench_t* server, char* text) {
  char rate[16];
  if (server->params.rate == 0) {
    snprintf(text, SERVER_RATE_SIZE, "as many as go");
  } else {
    format_count(rate, sizeof rate, (double)server->params.rate);
    snprintf(text, SERVER_RATE_SIZE, "%s operations per second", rate);
  }
  return text;
}
