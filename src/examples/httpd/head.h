/* SPDX-License-Identifier: MIT */
/*
 * Heads of answers as text. The server's state that they show is passed in: the date, and whether
 * the connection goes on.
 */
#ifndef HTTPD_HEAD_H
#define HTTPD_HEAD_H

#include "files.h"
#include "request.h"

#define HTTPD_ANSWER_MAX 640u

/* Prints the head of an answer about a file; returns its length. */
size_t httpd_head_print(char* text, const httpd_answer_t* answer, const httpd_file_t* file,
                        const char* date, int keep_alive);

/* Prints an answer that is about no file: the head, and a line of text as its body unless
 * `is_head`. */
size_t httpd_head_print_error(char* text, int status, const char* date, int keep_alive,
                              int is_head);

/* The status for an error of opening or reading. */
int httpd_status_of(int error);

#endif
