/* SPDX-License-Identifier: MIT */
/*
 * Values of options. Each parser stores the value and returns 0, or says on stderr what is wrong
 * with `text` and returns CLI_USAGE. `option` is the option's name with its dashes.
 */
#ifndef UVDIO_CLI_OPTIONS_H
#define UVDIO_CLI_OPTIONS_H

#include <stdint.h>

#include "uvdio.h"

/* A whole number from `min` to `max`. */
int parse_count(const char* command, const char* option, const char* text, uint64_t min,
                uint64_t max, uint64_t* value);

/* A number of bytes with an optional K, M or G (of 1024), from `min` to `max`, a multiple of
 * `unit`. */
int parse_multiple(const char* command, const char* option, const char* text, uint64_t unit,
                   uint64_t min, uint64_t max, uint64_t* bytes);

/* The same with UVDIO_ALIGNMENT as the unit. */
int parse_bytes(const char* command, const char* option, const char* text, uint64_t min,
                uint64_t max, uint64_t* bytes);

/* A whole number from 1 to `max`. */
int parse_unsigned(const char* command, const char* option, const char* text, unsigned max,
                   unsigned* number);

/* Calls `add` with each part of a list with commas, until one returns something else than
 * CLI_OK. */
int parse_list(const char* command, const char* text, int (*add)(void* context, const char* part),
               void* context);

/* Seconds, with decimals, above 0 and at most a day, as nanoseconds. */
int parse_seconds(const char* command, const char* option, const char* text, uint64_t* duration_ns);

/* "auto", "ring", "aio", "pool" or "memory". */
int parse_backend(const char* command, const char* option, const char* text,
                  uvdio_backend_t* backend);

/* The backend of that name. Returns 0, or -1: there is none. */
int backend_by_name(const char* text, uvdio_backend_t* backend);

/* The name of a backend as the options take it. */
const char* backend_text(uvdio_backend_t backend);

#endif /* UVDIO_CLI_OPTIONS_H */
