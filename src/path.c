/* SPDX-License-Identifier: MIT */
/*
 * See path.h.
 */
#include "path.h"

#include <string.h>

#include "allocator.h"

/* A path under way: what is written, and how much of it is the root's slash. */
typedef struct written_s {
  char* to;          /* null: it is only counted, */
  const char* other; /* or (not null) compared with this */
  int differs;
  size_t length;
  size_t root;
} written_t;

static void put(written_t* written, const char* bytes, size_t count) {
  if (written->to != NULL) {
    memcpy(written->to + written->length, bytes, count);
  }
  if (written->other != NULL && !written->differs) {
    written->differs = strncmp(written->other + written->length, bytes, count) != 0;
  }
  written->length += count;
}

static void put_parts(written_t* written, const char* path) {
  while (*path != '\0') {
    size_t length = strcspn(path, "/");
    if (length > 0 && !(length == 1 && *path == '.')) {
      if (written->length > written->root) {
        put(written, "/", 1);
      }
      put(written, path, length);
    }
    path += length + (path[length] == '/');
  }
}

static int is_directory_by_form(const char* path) {
  const char* slash = strrchr(path, '/');
  const char* last = slash == NULL ? path : slash + 1;

  return *last == '\0' || strcmp(last, ".") == 0;
}

static void put_normal(written_t* written, const char* base, const char* path) {
  const char* first = base != NULL && *path != '/' ? base : path;

  if (*path == '\0') {
    return;
  }
  if (*first == '/') {
    put(written, "/", 1);
    written->root = 1;
  }
  if (first == base) {
    put_parts(written, base);
  }
  put_parts(written, path);
  if (written->length == 0) {
    put(written, ".", 1);
  } else if (written->length > written->root && is_directory_by_form(path)) {
    put(written, "/", 1);
  }
}

int uvdio__path_is(const char* path, const char* normal) {
  written_t written = {NULL, normal, 0, 0, 0};

  put_normal(&written, NULL, path);
  return !written.differs && normal[written.length] == '\0';
}

size_t uvdio__path_normal(char* to, const char* base, const char* path) {
  written_t written = {to, NULL, 0, 0, 0};

  put_normal(&written, base, path);
  if (to != NULL) {
    to[written.length] = '\0';
  }
  return written.length;
}

size_t uvdio__path_write(char* to, int is_normal, const char* base, const char* path) {
  size_t length;

  if (is_normal) {
    return uvdio__path_normal(to, base, path);
  }
  length = strlen(path);
  if (to != NULL) {
    memcpy(to, path, length + 1);
  }
  return length;
}

char* uvdio__path_make(int is_normal, const char* base, const char* path) {
  size_t size = uvdio__path_write(NULL, is_normal, base, path) + 1;
  char* made = uvdio__alloc(size, UVDIO__STRUCT_ALIGN, 0);

  if (made != NULL) {
    (void)uvdio__path_write(made, is_normal, base, path);
  }
  return made;
}

void uvdio__path_free(char* path) {
  if (path != NULL) {
    uvdio__free(path, strlen(path) + 1, UVDIO__STRUCT_ALIGN);
  }
}
