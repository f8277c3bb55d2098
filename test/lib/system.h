/* SPDX-License-Identifier: MIT */
/*
 * What tests ask of the operating system beyond libuv and the C library, one file per system behind
 * it: system.c (POSIX) and ../windows/system.c. It has what is declared in check.h as well:
 * watch_for_hang(), exit_child(), open_descriptors() and open_rings().
 */
#ifndef UVDIO_TEST_SYSTEM_H
#define UVDIO_TEST_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

/* Seconds. Far more than any test needs, also under valgrind, and less than CTest's own limit. */
#define HANG_AFTER 100

/* Uses what keeps descriptors from its first use on. */
void system_warm_up(void);

/* Memory of an alignment, which is a multiple of a pointer's size; null where there is none. */
void* system_aligned_alloc(size_t alignment, size_t size);
void system_aligned_free(void* memory);

/* Bytes. The page of the memory management. */
size_t system_page_size(void);

/* Bytes of the process that are in memory; 0 where the system does not tell. */
size_t system_resident_bytes(void);

/* Whether an access to that byte ends the program; asserts that reading and writing agree. */
int system_faults(volatile char* where);

/* A variable of the environment, as getenv(3) and libuv find it; null removes it. Returns 0 where
 * that worked. */
int system_set_environment(const char* name, const char* value);

/* Makes a folder of a path that ends in XXXXXX, which become something else. Returns 0 where that
 * worked. */
int system_make_folder(char* path);

/* The program's name, without its folder. */
const char* system_program_name(void);

/* Whether a text is as a pattern of the shell's has it. */
int system_matches(const char* pattern, const char* text);

/* Whether the kernel has what capability.c knows by that name, for files in that folder. 0 where it
 * can't be asked. */
int system_has(const char* name, const char* folder);

/* Makes a pair of which a poll handle sees that ends[0] can be read from. Returns 0 where that
 * worked. */
int system_make_readable(uv_os_sock_t ends[2]);
void system_close_readable(const uv_os_sock_t ends[2]);

/* Whether the system has an operation on files at all (uvdio_op_name()), or one of
 *
 *   adoption       of descriptors
 *   durable writes that are one call
 *   growth         of a file without the risk of cutting it
 *   locks          that keep out only those who ask for one
 *   modes          of files and directories
 *   open names     names of open files can be given to other files
 *   procfs
 */
int system_provides(const char* what);

/* What is at a path itself. Links are not followed. */
struct system_entry {
  int is_there;
  int is_directory;
  uint64_t inode; /* 0: unknown */
};
struct system_entry system_look_at(const char* path);

/* Reads what a file begins with. Returns the number of bytes, or -1. */
int64_t system_read(const char* path, void* bytes, size_t size);

#endif /* UVDIO_TEST_SYSTEM_H */
