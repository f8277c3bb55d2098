/* SPDX-License-Identifier: MIT */
/*
 * The files of an engine, in memory of C: there from before their open until they are closed, or
 * their engine is.
 */
#include "binding.h"

#include <stdlib.h>

struct binding_file* binding_file_new(struct binding_engine* engine, struct binding_file** home) {
  struct binding_file* file = calloc(1, sizeof(*file));

  if (file == NULL) {
    return NULL;
  }
  file->home = home;
  file->engine = engine;
  file->next = engine->files;
  if (file->next != NULL) {
    file->next->prev = file;
  }
  engine->files = file;
  return file;
}

void binding_file_free(struct binding_file* file) {
  if (file->home != NULL) {
    *file->home = NULL;
  }
  if (file->next != NULL) {
    file->next->prev = file->prev;
  }
  if (file->prev != NULL) {
    file->prev->next = file->next;
  } else {
    file->engine->files = file->next;
  }
  free(file);
}
