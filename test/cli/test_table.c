/* SPDX-License-Identifier: MIT */
/*
 * Numbers with their units, and tables of them: three digits that matter, and columns that are
 * straight in a terminal.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "cli/format.h"
#include "cli/table.h"

static void sizes_have_the_largest_unit_below(void** state) {
  (void)state;
  static const struct {
    uint64_t bytes;
    const char* text;
  } cases[] = {
      {0, "0 B"},
      {1023, "1023 B"},
      {1024, "1 KiB"},
      {1536, "1.5 KiB"},
      {1023 * 100, "99.9 KiB"},
      {1024 * 100 + 512, "100 KiB"},
      {1024 * 1024 - 1, "1024 KiB"},
      {1024 * 1024, "1 MiB"},
      {(uint64_t)3 << 30, "3 GiB"},
      {(uint64_t)5 << 40, "5 TiB"},
      {(uint64_t)7 << 50, "7 PiB"},
      {(uint64_t)15 << 60, "15 EiB"},
      {UINT64_MAX, "16 EiB"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[16];
    assert_string_equal(format_size(text, sizeof text, cases[i].bytes), cases[i].text);
  }
}

static void counts_and_rates_have_three_digits(void** state) {
  (void)state;
  static const struct {
    double value;
    const char* count;
    const char* rate;
  } cases[] = {
      {0, "0", "0 B/s"},
      {7, "7", "7 B/s"},
      {0.5, "0.50", "0.50 B/s"},
      {9.99, "9.99", "9.99 B/s"},
      {9.996, "10.0", "10.0 B/s"},
      {99.94, "99.9", "99.9 B/s"},
      {99.96, "100", "100 B/s"},
      {999, "999", "999 B/s"},
      {999.4, "999", "999 B/s"},
      {999.6, "1.00 k", "1.00 kB/s"},
      {1000, "1.00 k", "1.00 kB/s"},
      {12345, "12.3 k", "12.3 kB/s"},
      {6.54e6, "6.54 M", "6.54 MB/s"},
      {987.4e9, "987 G", "987 GB/s"},
      {1e12, "1.00 T", "1.00 TB/s"},
      {5e15, "5000 T", "5000 TB/s"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[16];
    assert_string_equal(format_count(text, sizeof text, cases[i].value), cases[i].count);
    assert_string_equal(format_rate(text, sizeof text, cases[i].value), cases[i].rate);
  }
}

static void times_have_three_digits(void** state) {
  (void)state;
  static const struct {
    double microseconds;
    const char* text;
  } cases[] = {
      {0, "0.00 µs"},    {1, "1.00 µs"},      {98.76, "98.8 µs"},
      {999.4, "999 µs"}, {999.6, "1.00 ms"},  {12340, "12.3 ms"},
      {1e6, "1.00 s"},   {59.94e6, "59.9 s"}, {5e9, "5000 s"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[16];
    assert_string_equal(format_time(text, sizeof text, cases[i].microseconds), cases[i].text);
  }
}

static void add_row(table_t* table, const char* name, const char* number, const char* time) {
  char(*cells)[TABLE_CELL_SIZE] = table_add(table);
  assert_non_null(cells);
  snprintf(cells[0], TABLE_CELL_SIZE, "%s", name);
  snprintf(cells[1], TABLE_CELL_SIZE, "%s", number);
  snprintf(cells[2], TABLE_CELL_SIZE, "%s", time);
}

/* "µ" and "ü" are two bytes and one column each, "€" three bytes; their last bytes are odd and
 * even. */
static void columns_are_straight(void** state) {
  (void)state;
  static const char* const headings[] = {"name", "number", "time"};
  table_t table = {0};
  char text[512];
  FILE* out = tmpfile();
  assert_non_null(out);
  assert_int_equal(table_add_headings(&table, headings, COUNT_OF(headings), 1), 0);
  add_row(&table, "a", "1", "1.00 µs");
  add_row(&table, "longest", "12345678", "100 ms");
  add_row(&table, "für €", "", "1 s");
  table_print(&table, out);
  table_free(&table);
  rewind(out);
  text[fread(text, 1, sizeof text - 1, out)] = '\0';
  fclose(out);
  assert_string_equal(text,
                      "name       number     time\n"
                      "a               1  1.00 µs\n"
                      "longest  12345678   100 ms\n"
                      "für €                  1 s\n");
  assert_true(table.rows == NULL && table.row_count == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_have_the_largest_unit_below),
      cmocka_unit_test(counts_and_rates_have_three_digits),
      cmocka_unit_test(times_have_three_digits),
      cmocka_unit_test(columns_are_straight),
  };
  return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
