/* SPDX-License-Identifier: MIT */
/*
 * The main function of a program with subcommands: the first argument names a subcommand, the rest
 * is the subcommand's.
 */
#ifndef UVDIO_CLI_PROGRAM_H
#define UVDIO_CLI_PROGRAM_H

#include <stddef.h>

/* argv[0] is the subcommand's name; returns the exit code. */
typedef struct program_subcommand_s {
  const char* name;
  int (*run)(int argc, char** argv);
} program_subcommand_t;

typedef struct program_s {
  const char* name;
  const char* usage;
  const char* choice; /* the subcommands as a sentence has them: "probe, copy or bench" */
  const program_subcommand_t* subcommands;
  size_t subcommand_count;
} program_t;

/* The version of libuv that the program was built with; of the liburing that runs ("2.9"), or
 * "none". */
const char* program_libuv_built(void);
char* program_liburing(char* text, size_t size);

/* Returns the exit code of the process. */
int program_main(const program_t* program, int argc, char** argv);

#endif /* UVDIO_CLI_PROGRAM_H */
