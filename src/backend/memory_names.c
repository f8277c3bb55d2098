/* SPDX-License-Identifier: MIT */
/*
 * See memory_names.h. A list, the newest name first: tests have few of them.
 */
#include "backend/memory_names.h"

#include <assert.h>
#include <string.h>

#include "allocator.h"

/* Without the slashes at the end, but for the root's. */
static size_t trimmed(const char* path) {
  size_t length = strlen(path);

  while (length > 1 && path[length - 1] == '/') {
    length--;
  }
  return length;
}

static uvdio__name_t** place_of(uvdio__name_table_t* table, const char* path, size_t length) {
  uvdio__name_t** link = &table->first;

  while (*link != NULL && ((*link)->length != length || memcmp((*link)->path, path, length) != 0)) {
    link = &(*link)->next;
  }
  return link;
}

static const uvdio__name_t* find(const uvdio__name_table_t* table, const char* path,
                                 size_t length) {
  const uvdio__name_t* name = table->first;

  while (name != NULL && (name->length != length || memcmp(name->path, path, length) != 0)) {
    name = name->next;
  }
  return name;
}

void* uvdio__names_find(const uvdio__name_table_t* table, const char* path) {
  const uvdio__name_t* name = find(table, path, strlen(path));
  return name == NULL ? NULL : name->file;
}

static int is_by_form(const char* path, size_t length) {
  return length == 0 || (length == 1 && (*path == '/' || *path == '.')) ||
         (length == 2 && memcmp(path, "..", 2) == 0);
}

/* Whether something lies in the directory. */
static int holds_anything(const uvdio__name_table_t* table, const char* path, size_t length) {
  const uvdio__name_t* name = table->first;

  while (name != NULL && (name->length <= length || name->path[length] != '/' ||
                          memcmp(name->path, path, length) != 0)) {
    name = name->next;
  }
  return name != NULL;
}

int uvdio__names_is_directory(const uvdio__name_table_t* table, const char* path) {
  size_t length = trimmed(path);
  const uvdio__name_t* name = find(table, path, length);

  return is_by_form(path, length) || (name != NULL && name->file == NULL) ||
         holds_anything(table, path, length);
}

int uvdio__names_put(uvdio__name_table_t* table, const char* path, void* file) {
  size_t length = file == NULL ? trimmed(path) : strlen(path);
  uvdio__name_t* name = *place_of(table, path, length);

  if (name == NULL) {
    name = uvdio__alloc(sizeof(*name) + length + 1, UVDIO__STRUCT_ALIGN, 1);
    if (name == NULL) {
      return UV_ENOMEM;
    }
    name->length = length;
    memcpy(name->path, path, length);
    name->next = table->first;
    table->first = name;
  } else {
    table->files -= name->file != NULL;
  }
  name->file = file;
  table->files += file != NULL;
  return 0;
}

void uvdio__names_drop(uvdio__name_table_t* table, const char* path) {
  uvdio__name_t** link = place_of(table, path, trimmed(path));
  uvdio__name_t* name = *link;

  if (name != NULL) {
    *link = name->next;
    table->files -= name->file != NULL;
    uvdio__free(name, sizeof(*name) + name->length + 1, UVDIO__STRUCT_ALIGN);
  }
}

void uvdio__names_clear(uvdio__name_table_t* table) {
  uvdio__name_t* name;

  while ((name = table->first) != NULL) {
    table->first = name->next;
    uvdio__free(name, sizeof(*name) + name->length + 1, UVDIO__STRUCT_ALIGN);
  }
  table->files = 0;
}

/* Why there is nothing at the path: no such name, or a file in the place of a directory. */
static int error_of_missing(const uvdio__name_table_t* table, const char* path) {
  size_t length;

  for (length = 1; path[0] != '\0' && path[length] != '\0'; length++) {
    const uvdio__name_t* name = path[length] == '/' ? find(table, path, length) : NULL;
    if (name != NULL && name->file != NULL) {
      return UV_ENOTDIR;
    }
  }
  return UV_ENOENT;
}

/* Whether a new name can be made there: 0 or an error. */
static int check_new(const uvdio__name_table_t* table, const char* path) {
  if (*path == '\0' || error_of_missing(table, path) != UV_ENOENT) {
    return error_of_missing(table, path);
  }
  return uvdio__names_find(table, path) != NULL || uvdio__names_is_directory(table, path)
             ? UV_EEXIST
             : 0;
}

/* As a directory is named. */
static int has_slash_at_the_end(const char* path) {
  return trimmed(path) < strlen(path);
}

static int check_rename(const uvdio__name_table_t* table, const uvdio__names_t* names) {
  int error = check_new(table, names->new_path);

  if (uvdio__names_find(table, names->path) == NULL) {
    return uvdio__names_is_directory(table, names->path) && *names->path != '\0'
               ? UV_ENOTSUP
               : error_of_missing(table, names->path);
  }
  if (error == 0 && has_slash_at_the_end(names->new_path)) {
    return UV_ENOTDIR;
  }
  if (error != UV_EEXIST || (names->flags & UVDIO_RENAME_NO_REPLACE) != 0) {
    return error;
  }
  return uvdio__names_find(table, names->new_path) != NULL ? 0 : UV_EISDIR;
}

int uvdio__names_check_new(const uvdio__name_table_t* table, const char* path) {
  int error = check_new(table, path);

  return error == 0 && has_slash_at_the_end(path) ? UV_ENOENT : error;
}

static int check_link(const uvdio__name_table_t* table, const uvdio__names_t* names) {
  if (uvdio__names_find(table, names->path) == NULL) {
    return uvdio__names_is_directory(table, names->path) && *names->path != '\0'
               ? UV_EPERM
               : error_of_missing(table, names->path);
  }
  return uvdio__names_check_new(table, names->new_path);
}

static int check_rmdir(const uvdio__name_table_t* table, const char* path) {
  size_t length = trimmed(path);

  if (is_by_form(path, length)) {
    return UV_EBUSY;
  }
  return holds_anything(table, path, length) ? UV_ENOTEMPTY : 0;
}

int uvdio__names_check_directory(const uvdio__name_table_t* table, const char* path) {
  uvdio__names_t names = {.path = path};

  return uvdio__names_check(table, UVDIO_OP_SYNC_DIRECTORY, &names);
}

int uvdio__names_check(const uvdio__name_table_t* table, uvdio_op_t op,
                       const uvdio__names_t* names) {
  int is_file = uvdio__names_find(table, names->path) != NULL;
  int is_directory = uvdio__names_is_directory(table, names->path) && *names->path != '\0';

  if (op == UVDIO_OP_RENAME) {
    return check_rename(table, names);
  }
  if (op == UVDIO_OP_LINK) {
    return check_link(table, names);
  }
  if (op == UVDIO_OP_MKDIR) {
    return check_new(table, names->path);
  }
  if (!is_file && !is_directory) {
    return error_of_missing(table, names->path);
  }
  if (op == UVDIO_OP_UNLINK) {
    return is_file ? 0 : UV_EISDIR;
  }
  assert(op == UVDIO_OP_RMDIR || op == UVDIO_OP_SYNC_DIRECTORY);
  if (is_file) {
    return UV_ENOTDIR;
  }
  return op == UVDIO_OP_RMDIR ? check_rmdir(table, names->path) : 0;
}

/* Two names of one file stay, as rename(2) has it. */
static int do_rename(uvdio__name_table_t* table, const char* path, const char* new_path,
                     void* file) {
  int error;

  if (uvdio__names_find(table, new_path) == file) {
    return 0;
  }
  error = uvdio__names_put(table, new_path, file);
  if (error == 0 && uvdio__names_find(table, path) == file) {
    uvdio__names_drop(table, path);
  }
  return error;
}

int uvdio__names_do(uvdio__name_table_t* table, uvdio_op_t op, const char* path,
                    const char* new_path, void* file) {
  switch ((int)op) {
    case UVDIO_OP_OPEN:
      return uvdio__names_put(table, path, file);
    case UVDIO_OP_RENAME:
      return do_rename(table, path, new_path, file);
    case UVDIO_OP_LINK:
      return uvdio__names_put(table, new_path, file);
    case UVDIO_OP_MKDIR:
      return uvdio__names_find(table, path) != NULL ? 0 : uvdio__names_put(table, path, NULL);
    default:
      assert(op == UVDIO_OP_UNLINK || op == UVDIO_OP_RMDIR || op == UVDIO_OP_SYNC_DIRECTORY);
      if (op != UVDIO_OP_SYNC_DIRECTORY && uvdio__names_find(table, path) == file) {
        uvdio__names_drop(table, path);
      }
      return 0;
  }
}

int uvdio__names_is_in(const char* path, const char* directory) {
  size_t length = trimmed(directory);
  const char* slash = strrchr(path, '/');
  size_t parent = slash == NULL ? 0 : (size_t)(slash - path);

  if (slash == NULL) {
    return length == 0 || (length == 1 && *directory == '.');
  }
  if (parent == 0) {
    return length == 1 && *directory == '/';
  }
  return parent == length && memcmp(path, directory, length) == 0;
}
