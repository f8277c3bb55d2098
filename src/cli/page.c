/* SPDX-License-Identifier: MIT */
/*
 * A page of facts: both of its forms grow side by side, and one of them is printed.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "cli.h"
#include "page.h"
#include "report.h"

int page_open(page_t* page) {
  page->text = NULL;
  page->whole = page->section = json_object();
  page->out = open_memstream(&page->text, &page->length);
  if (page->whole == NULL || page->out == NULL) {
    json_decref(page->whole);
    if (page->out != NULL) {
      fclose(page->out);
      free(page->text);
    }
    return -1;
  }
  return 0;
}

int page_print(page_t* page, const char* command, int as_json) {
  int code = CLI_OK;
  int is_cut = ferror(page->out) != 0;
  is_cut = fclose(page->out) != 0 || is_cut;
  if (as_json) {
    code = report_json(command, page->whole);
  } else if (is_cut) {
    code = report_problem(command, "there is too little memory for what it found.");
  } else {
    fputs(page->text, stdout);
  }
  if (!as_json) {
    json_decref(page->whole);
  }
  free(page->text);
  return code;
}

static void add_line(page_t* page, const char* label, const char* words, va_list arguments) {
  fprintf(page->out, "  %-32s ", label);
  vfprintf(page->out, words, arguments);
  fputc('\n', page->out);
}

void page_section(page_t* page, const char* key, const char* title, ...) {
  va_list arguments;
  va_start(arguments, title);
  fputc('\n', page->out);
  vfprintf(page->out, title, arguments);
  fputc('\n', page->out);
  va_end(arguments);
  page->section = page->whole;
  if (key != NULL) {
    page->section = json_object();
    json_object_set_new(page->whole, key, page->section);
  }
}

void page_fact(page_t* page, const char* key, json_t* value, const char* label, const char* words,
               ...) {
  va_list arguments;
  va_start(arguments, words);
  add_line(page, label, words, arguments);
  va_end(arguments);
  page_value(page, key, value);
}

void page_value(page_t* page, const char* key, json_t* value) {
  json_object_set_new(page->section, key, value);
}

void page_words(page_t* page, const char* label, const char* words, ...) {
  va_list arguments;
  va_start(arguments, words);
  add_line(page, label, words, arguments);
  va_end(arguments);
}

void page_text(page_t* page, const char* key, const char* label, const char* text) {
  if (*text == '\0') {
    page_value(page, key, json_null());
  } else {
    page_fact(page, key, json_string(text), label, "%s", text);
  }
}

void page_line(page_t* page, const char* words, ...) {
  va_list arguments;
  va_start(arguments, words);
  vfprintf(page->out, words, arguments);
  va_end(arguments);
  fputc('\n', page->out);
}
