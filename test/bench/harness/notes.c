/* SPDX-License-Identifier: MIT */
/*
 * Notes: sentences that are kept until the tables are printed, each one once.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "harness/notes.h"

void notes_add(notes_t* notes, const char* format, ...) {
  char note[NOTE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(note, sizeof note, format, arguments);
  va_end(arguments);
  for (size_t i = 0; i < notes->count; i++) {
    if (strcmp(notes->texts[i], note) == 0) {
      return;
    }
  }
  if (notes->count < NOTES_MAX) {
    memcpy(notes->texts[notes->count++], note, sizeof note);
  }
}

void notes_print(const notes_t* notes) {
  for (size_t i = 0; i < notes->count; i++) {
    printf("%s\n", notes->texts[i]);
  }
}

json_t* notes_json(const notes_t* notes) {
  json_t* list = json_array();
  for (size_t i = 0; i < notes->count; i++) {
    json_array_append_new(list, json_string(notes->texts[i]));
  }
  return list;
}
