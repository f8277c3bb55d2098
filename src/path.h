/* SPDX-License-Identifier: MIT */
/*
 * Paths, as files and operations on names keep them. Those of files that no system keeps (memory,
 * worlds) are brought into one form, and behind the path of the directory that they are relative
 * to: there no directory is renamed while one is a base.
 */
#ifndef UVDIO_PATH_H
#define UVDIO_PATH_H

#include <stddef.h>

/* Writes the normal form of a path, behind that of `base` (may be null) unless it is absolute:
 * parts that are "." and double slashes are left out, what names a directory by its form ("d/.")
 * ends with a slash, and "." is what is left of nothing. ".." is a part like any other. Returns the
 * length without the zero at the end; `to` may be null. A normal form is no longer than a path
 * without a base. */
size_t uvdio__path_normal(char* to, const char* base, const char* path);

/* Whether a path's normal form is this. */
int uvdio__path_is(const char* path, const char* normal);

/* Writes the normal form where it is wanted, else a copy. */
size_t uvdio__path_write(char* to, int is_normal, const char* base, const char* path);

/* The same in memory of its own, for uvdio__path_free(); null when out of memory. */
char* uvdio__path_make(int is_normal, const char* base, const char* path);
void uvdio__path_free(char* path); /* may be null */

#endif /* UVDIO_PATH_H */
