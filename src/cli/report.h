/* SPDX-License-Identifier: MIT */
/*
 * Errors, for people: they go to stderr as "uvdio COMMAND: ...", and each function returns the exit
 * code that fits. What stderr does not take, a file on a full disk for instance, is kept and tried
 * again with the next report and at the end.
 */
#ifndef UVDIO_CLI_REPORT_H
#define UVDIO_CLI_REPORT_H

#include <jansson.h>
#include <stdio.h>

/* The program that reports: "uvdio" where nothing else is set. Not copied. */
void report_set_program(const char* name);

/* Whether something is kept. Tries to get rid of it first. */
int report_is_pending(void);

/* "cannot OPERATION PATH: what happened (NAME). What to do." Returns CLI_FAILED. `path` may be
 * null. */
int report_error(const char* command, const char* operation, const char* path, int error);

/* A sentence of one's own. Returns CLI_FAILED. */
int report_problem(const char* command, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

/* A sentence about the command line, and where to find help. Returns CLI_USAGE. */
int report_usage(const char* command, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

/* What getopt_long meant by '?' or ':' (opterr is off). Returns CLI_USAGE. */
int report_option(const char* command, char** argv, int answer);

/* Prints the value to stdout with a newline and gives it up. Returns the exit code. */
int report_json(const char* command, json_t* value);

#endif /* UVDIO_CLI_REPORT_H */
