/* SPDX-License-Identifier: MIT */
/*
 * Files in RAM, by path: what the memory backend keeps. A store knows neither engines nor requests;
 * everything in it happens at once, on the calling thread. Errors are libuv's codes.
 */
#ifndef UVDIO_MEMORY_STORE_H
#define UVDIO_MEMORY_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

typedef struct uvdio__store_s uvdio__store_t;
typedef struct uvdio__node_s uvdio__node_t;

/* An empty store, or null when out of memory. Destroying it frees every file; none may be open. */
uvdio__store_t* uvdio__store_create(void);
void uvdio__store_destroy(uvdio__store_t* store);

/* Finds or makes the file, by the UVDIO_* flags of an open. Errors: UV_ENOENT, UV_EEXIST, UV_EISDIR
 * (the path names a directory by its form: "/", ".", "..", or a slash at its end), UV_ENOMEM. With
 * UVDIO_O_DIRECTORY the directory at the path, as a node without bytes, and with UVDIO_O_ANONYMOUS
 * a file without a name, for which it has to be there: UV_ENOENT, UV_ENOTDIR, UV_ENOMEM. */
int uvdio__store_open(uvdio__store_t* store, const char* path, unsigned flags,
                      uvdio__node_t** node);

/* The file by that path, or null. */
uvdio__node_t* uvdio__store_find(const uvdio__store_t* store, const char* path);

/* One more open of a file that is open: it takes one more close. */
void uvdio__store_reopen(uvdio__node_t* node);

/* Gives up what an open has found. A file without a name is freed then. */
void uvdio__store_close(uvdio__store_t* store, uvdio__node_t* node);

/* An operation on names, a link of that file, and a replace by it. Errors as for the system calls,
 * and UV_ENOMEM. */
int uvdio__store_link(uvdio__store_t* store, uvdio__node_t* node, const uvdio__names_t* names);
int uvdio__store_do(uvdio__store_t* store, uvdio_op_t op, const uvdio__names_t* names);
int uvdio__store_replace(uvdio__store_t* store, const uvdio__node_t* node,
                         const uvdio__names_t* names);

/* What an open by these flags says to a path that exists, or does not: 0 or one of the errors above
 * but UV_ENOMEM. */
int uvdio__store_admits(const char* path, unsigned flags, int exists);

/* The error of an open that finds a directory, as open(2) gives it. */
int uvdio__store_refuses_directory(const char* path, unsigned flags);

/* One file by itself, empty; null when out of memory. The path is copied. */
uvdio__node_t* uvdio__node_create(const char* path);
void uvdio__node_destroy(uvdio__node_t* node);
const char* uvdio__node_path(const uvdio__node_t* node);

/* Gives `to` the size and the content of `from`. On UV_ENOMEM its content is unknown. */
int uvdio__node_copy(uvdio__node_t* to, const uvdio__node_t* from);

/* Positional transfers, as pread(2) and pwrite(2): bytes moved, or an error. A write that runs out
 * of memory half-way is short. */
int64_t uvdio__node_read(uvdio__node_t* node, char* base, size_t length, uint64_t offset);
int64_t uvdio__node_write(uvdio__node_t* node, const char* base, size_t length, uint64_t offset);

uint64_t uvdio__node_size(const uvdio__node_t* node);
uint64_t uvdio__node_allocated(const uvdio__node_t* node); /* bytes of memory for content */

/* Sets the size; what is cut off is gone, what is added reads as zeros. */
void uvdio__node_truncate(uvdio__node_t* node, uint64_t size);

/* Makes the range zeros, as far as the size, and a hole of its whole pages. */
void uvdio__node_punch(uvdio__node_t* node, uint64_t offset, uint64_t length);

/* Performs an operation that changes nothing and needs no more than a node, which is the same in
 * memory and in a world: what has no case in memory.c and sim/perform.c. Here the compiler asks for
 * every operation. */
int64_t uvdio__node_tell(const uvdio__node_t* node, uvdio_op_t op, uint64_t offset);

#endif /* UVDIO_MEMORY_STORE_H */
