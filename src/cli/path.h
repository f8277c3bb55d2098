/* SPDX-License-Identifier: MIT */
/*
 * Paths that are made of a directory and a name.
 * The results are the caller's to free; null when out of memory.
 */
#ifndef UVDIO_CLI_PATH_H
#define UVDIO_CLI_PATH_H

/* directory/name */
char* path_join(const char* directory, const char* name);

/* The directory of a path: what dirname(3) says. */
char* path_directory(const char* path);

/* A name in `directory` that nobody else has: hidden, with `kind`, the process and the time in
 * it. */
char* path_temporary(const char* directory, const char* kind);

#endif /* UVDIO_CLI_PATH_H */
