/* SPDX-License-Identifier: MIT */
/*
 * Numbers out of JSON and into it.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/format.h"
#include "harness/json.h"

double json_number_at(const json_t* json, const char* path) {
  char key[64];
  while (json != NULL && *path != '\0') {
    size_t length = strcspn(path, "/");
    snprintf(key, sizeof key, "%.*s", (int)length, path);
    json = json_is_array(json) ? json_array_get(json, 0) : json_object_get(json, key);
    path += length + (path[length] == '/');
  }
  return json_is_number(json) ? json_number_value(json) : NAN;
}

json_t* json_number_or_null(double value) {
  return isfinite(value) ? json_thousandths(value) : json_null();
}
