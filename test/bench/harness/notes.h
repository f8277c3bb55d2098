/* SPDX-License-Identifier: MIT */
/*
 * Sentences that belong below the tables of a report, and into its JSON.
 */
#ifndef UVDIO_BENCH_HARNESS_NOTES_H
#define UVDIO_BENCH_HARNESS_NOTES_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Each is there once; those that find no room are dropped. */
#define NOTES_MAX 32
#define NOTE_SIZE 400
typedef struct notes_s {
  char texts[NOTES_MAX][NOTE_SIZE];
  size_t count;
} notes_t;

void notes_add(notes_t* notes, const char* format, ...) __attribute__((format(printf, 2, 3)));
void notes_print(const notes_t* notes);
json_t* notes_json(const notes_t* notes);

#endif /* UVDIO_BENCH_HARNESS_NOTES_H */
