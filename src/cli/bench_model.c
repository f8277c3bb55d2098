/* SPDX-License-Identifier: MIT */
/*
 * The operations of uvdio bench by name, and its rows.
 */
#include <assert.h>
#include <string.h>

#include "bench.h"
#include "options.h"
#include "uvdio.h"

static const char* const operation_names[BENCH_OPERATION_COUNT] = {
    [BENCH_WRITE] = "write",
    [BENCH_VERIFY] = "verify",
    [BENCH_RANDOM_READ] = "random-read",
};

const char* bench_operation_text(bench_operation_t operation) {
  assert((size_t)operation < BENCH_OPERATION_COUNT);
  return operation_names[operation];
}

const bench_row_t* bench_find_row(const bench_t* bench, uvdio_backend_t backend,
                                  bench_operation_t operation, unsigned depth) {
  for (size_t i = 0; i < bench->row_count; i++) {
    const bench_row_t* row = &bench->rows[i];
    if (strcmp(row->backend, backend_text(backend)) == 0 && row->operation == operation &&
        row->depth == depth) {
      return row;
    }
  }
  return NULL;
}
