/* SPDX-License-Identifier: MIT */
#include "scenario_life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void life_broken(const struct scenario* s, const char* what, int64_t result) {
  tracker_violation(&s->f->tracker, "%s: %s %s", s->what, what,
                    result < 0 ? uvdio_err_name((int)result) : "");
}

int life_expects(struct scenario* s, const char* what, int64_t result, int64_t expected) {
  if (result == expected) {
    return 1;
  }
  s->troubles++;
  if (!scenario_allows(s, result)) {
    life_broken(s, what, result);
  }
  return 0;
}

void life_run(const struct scenario* s) {
  watch_for_hang(s->what);
  while (uv_run(&s->f->loop, UV_RUN_DEFAULT) != 0) {
  }
  watch_for_hang(NULL);
}

int life_open(struct scenario* s, uvdio_file_t* file, const char* name, unsigned flags) {
  struct tracked_op* op = op_new(&s->f->tracker);
  t_open(op, s->f->engine, file, path_of(s->f, name), flags);
  life_run(s);
  return life_expects(s, "an open gave", tracker_outcome(op), 0);
}

void life_close(struct scenario* s, uvdio_file_t* file) {
  uvdio_file_info_t info;
  if (uvdio_file_info(file, &info) == 0) {
    struct tracked_op* op = t_close(op_new(&s->f->tracker), file);
    life_run(s);
    (void)life_expects(s, "a close gave", tracker_outcome(op), 0);
  }
}

int life_latch(const uvdio_file_t* file) {
  uvdio_file_info_t info;
  return uvdio_file_info(file, &info) == 0 ? info.latch_error : 0;
}

int life_holds(const struct scenario* s, const char* name, uint64_t offset, const void* bytes,
               size_t length) {
  char* found = malloc(length);
  FILE* file = fopen(path_of(s->f, name), "r");
  int same = found != NULL && file != NULL && fseek(file, (long)offset, SEEK_SET) == 0 &&
             fread(found, 1, length, file) == length && memcmp(found, bytes, length) == 0;
  if (file != NULL) {
    (void)fclose(file);
  }
  free(found);
  return same;
}

int64_t life_size(const struct scenario* s, const char* name) {
  FILE* file = fopen(path_of(s->f, name), "r");
  int64_t size = file != NULL && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  if (file != NULL) {
    (void)fclose(file);
  }
  return size;
}
