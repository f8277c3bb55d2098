/* SPDX-License-Identifier: MIT */
/*
 * A table in memory, whose columns get their widths when it is printed.
 */
#ifndef UVDIO_CLI_TABLE_H
#define UVDIO_CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

/* Text columns on the left, numbers right-aligned. Zero it first. */
#define TABLE_COLUMNS_MAX 14
#define TABLE_CELL_SIZE 32
typedef struct table_s {
  size_t columns;
  size_t text_columns; /* the first ones: aligned left */
  size_t row_count;
  char (*rows)[TABLE_COLUMNS_MAX][TABLE_CELL_SIZE];
} table_t;

/* Appends a row of empty cells and returns its cells, or null when out of memory. */
char (*table_add(table_t* table))[TABLE_CELL_SIZE];

/* Makes the first row and the columns. Returns 0, or -1 when out of memory. */
int table_add_headings(table_t* table, const char* const* headings, size_t count,
                       size_t text_columns);

void table_print(const table_t* table, FILE* out);
void table_free(table_t* table);

#endif /* UVDIO_CLI_TABLE_H */
