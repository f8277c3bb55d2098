/*
 * Figures of several rounds: median, least and greatest; in tables and as JSON.
 */
#include <stdlib.h>

#include "compare.h"

static int ascending(const void* left, const void* right) {
  double a = *(const double*)left;
  double b = *(const double*)right;
  return (a > b) - (a < b);
}

spread_t spread_of(double* values, size_t count) {
  if (count == 0) {
    return (spread_t){NAN, NAN, NAN};
  }
  qsort(values, count, sizeof *values, ascending);
  double middle = count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
  return (spread_t){middle, values[0], values[count - 1]};
}

void table_set_number(char* cell, const char* format, double value) {
  if (isnan(value)) {
    snprintf(cell, TABLE_CELL_SIZE, "-");
  } else {
    snprintf(cell, TABLE_CELL_SIZE, format, value);
  }
}

void table_set_time(char* cell, double value) {
  if (isnan(value)) {
    snprintf(cell, TABLE_CELL_SIZE, "-");
  } else {
    format_time(cell, TABLE_CELL_SIZE, value);
  }
}

void table_set_spread(char* cell, spread_t spread) {
  snprintf(cell, TABLE_CELL_SIZE, "-%.0f +%.0f %%", (1 - spread.min / spread.median) * 100,
           (spread.max / spread.median - 1) * 100);
}

json_t* spread_number_json(double value) {
  return isfinite(value) ? json_thousandths(value) : json_null();
}

json_t* spread_json(spread_t spread) {
  return json_pack("{s:o, s:o, s:o}", "median", spread_number_json(spread.median), "min",
                   spread_number_json(spread.min), "max", spread_number_json(spread.max));
}
