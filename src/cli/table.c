/* SPDX-License-Identifier: MIT */
/*
 * Tables: rows of cells, aligned when they are printed.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

char (*table_add(table_t* table))[TABLE_CELL_SIZE] {
  void* rows = realloc(table->rows, (table->row_count + 1) * sizeof table->rows[0]);
  if (rows == NULL) {
    return NULL;
  }
  table->rows = rows;
  memset(table->rows[table->row_count], 0, sizeof table->rows[0]);
  return table->rows[table->row_count++];
}

int table_add_headings(table_t* table, const char* const* headings, size_t count,
                       size_t text_columns) {
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  assert(count <= TABLE_COLUMNS_MAX && text_columns <= count);
  table->columns = count;
  table->text_columns = text_columns;
  for (size_t i = 0; i < count && cells != NULL; i++) {
    snprintf(cells[i], TABLE_CELL_SIZE, "%s", headings[i]);
  }
  return cells != NULL ? 0 : -1;
}

/* Columns of the terminal: bytes that go on with a UTF-8 character take none. */
static int text_width(const char* text) {
  int width = 0;
  for (; *text != '\0'; text++) {
    width += ((unsigned char)*text & 0xC0) != 0x80;
  }
  return width;
}

static int column_width(const table_t* table, size_t column) {
  int width = 0;
  for (size_t row = 0; row < table->row_count; row++) {
    int needed = text_width(table->rows[row][column]);
    width = needed > width ? needed : width;
  }
  return width;
}

void table_print(const table_t* table, FILE* out) {
  int widths[TABLE_COLUMNS_MAX];
  assert(table->columns <= TABLE_COLUMNS_MAX);
  for (size_t column = 0; column < table->columns; column++) {
    widths[column] = column_width(table, column);
  }
  for (size_t row = 0; row < table->row_count; row++) {
    for (size_t column = 0; column < table->columns; column++) {
      const char* cell = table->rows[row][column];
      int padding = widths[column] - text_width(cell);
      int left = column < table->text_columns;
      fprintf(out, "%s%*s%s%*s", column > 0 ? "  " : "", left ? 0 : padding, "", cell,
              left ? padding : 0, "");
    }
    fputc('\n', out);
  }
}

void table_free(table_t* table) {
  free(table->rows);
  memset(table, 0, sizeof *table);
}
