/* SPDX-License-Identifier: MIT */
/*
 * A page of facts, told as text or as one JSON object. A fact is stated once: by a key and a value
 * for programs, and by a label and words for people.
 */
#ifndef UVDIO_CLI_PAGE_H
#define UVDIO_CLI_PAGE_H

#include <jansson.h>
#include <stdio.h>

typedef struct page_s {
  json_t* whole;
  json_t* section; /* `whole` or an object in it: where facts go */
  FILE* out;       /* writes to `text` */
  char* text;
  size_t length;
} page_t;

/* An empty page. Returns 0, or -1 when out of memory. */
int page_open(page_t* page);

/* Prints the page to stdout, as text or as JSON, and frees it. Returns the exit code. */
int page_print(page_t* page, const char* command, int as_json);

/* From now on facts are below this title, and in this object of the whole; where `key` is null, in
 * the whole itself. */
void page_section(page_t* page, const char* key, const char* title, ...)
    __attribute__((format(printf, 3, 4)));

/* A fact in both forms; only as JSON; only as text. `value` is given up. One that is null, as of a
 * text that is not UTF-8, is left out: json_null() is for what is not known. */
void page_fact(page_t* page, const char* key, json_t* value, const char* label, const char* words,
               ...) __attribute__((format(printf, 5, 6)));
void page_value(page_t* page, const char* key, json_t* value);
void page_words(page_t* page, const char* label, const char* words, ...)
    __attribute__((format(printf, 3, 4)));

/* A fact that is a text, the same in both forms; null and no line where it is "". */
void page_text(page_t* page, const char* key, const char* label, const char* text);

/* A line of its own. */
void page_line(page_t* page, const char* words, ...) __attribute__((format(printf, 2, 3)));

#endif /* UVDIO_CLI_PAGE_H */
