/* SPDX-License-Identifier: MIT */
/*
 * Names and what they lead to, for files that no system keeps: those of the memory backend and of
 * simulated worlds. Paths are in their normal form (path.h); slashes at the end of a directory's
 * don't count. A directory exists where one was made, where something lies in it, and where the
 * path says so by its form ("", "/", ".", ".."). Errors are libuv's codes, those of the system
 * calls.
 */
#ifndef UVDIO_MEMORY_NAMES_H
#define UVDIO_MEMORY_NAMES_H

#include "os/os.h"

typedef struct uvdio__name_s {
  struct uvdio__name_s* next;
  void* file; /* null: a directory */
  size_t length;
  char path[]; /* with a zero at its end */
} uvdio__name_t;

typedef struct uvdio__name_table_s {
  uvdio__name_t* first;
  unsigned files; /* names of files */
} uvdio__name_table_t;

/* The file of that name, or null. */
void* uvdio__names_find(const uvdio__name_table_t* table, const char* path);
int uvdio__names_is_directory(const uvdio__name_table_t* table, const char* path);

/* Gives the path to a file, or (null) makes a directory, whatever it was before. 0 or UV_ENOMEM. */
int uvdio__names_put(uvdio__name_table_t* table, const char* path, void* file);
void uvdio__names_drop(uvdio__name_table_t* table, const char* path);
void uvdio__names_clear(uvdio__name_table_t* table);

/* Whether there is a directory: 0 or an error. */
int uvdio__names_check_directory(const uvdio__name_table_t* table, const char* path);

/* Whether a file can get that name as a new one: 0 or an error. */
int uvdio__names_check_new(const uvdio__name_table_t* table, const char* path);

/* What an operation on names comes to, before it is done: 0 or an error. */
int uvdio__names_check(const uvdio__name_table_t* table, uvdio_op_t op,
                       const uvdio__names_t* names);

/* Does it. `file` is what it is about: what the name of a rename, link or unlink led to when it was
 * done first. A name that leads elsewhere now is left alone. 0 or UV_ENOMEM. */
int uvdio__names_do(uvdio__name_table_t* table, uvdio_op_t op, const char* path,
                    const char* new_path, void* file);

/* Whether the last part of a path lies in the directory. */
int uvdio__names_is_in(const char* path, const char* directory);

#endif /* UVDIO_MEMORY_NAMES_H */
