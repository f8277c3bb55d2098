/* SPDX-License-Identifier: MIT */
/*
 * The only file, with parser.c, that knows which parser the build has found: llhttp, or http_parser
 * before it, which has the same callbacks. Bytes go in as they come, and one request comes out.
 */
#ifndef HTTPD_PARSER_H
#define HTTPD_PARSER_H

#include "request.h"

#ifdef HTTPD_HAVE_LLHTTP
#include <llhttp.h>
typedef llhttp_t httpd_parser_state_t;
#else
#include <http_parser.h>
typedef http_parser httpd_parser_state_t;
#endif

#define HTTPD_HEAD_MAX 8192u /* bytes of a request */

typedef struct httpd_parser_s {
  httpd_parser_state_t state;
  httpd_request_t* request; /* is filled in */
  size_t consumed;          /* bytes of this request */
  int status;               /* 0, or what is wrong with the request */
  int is_complete;
  int is_in_value;
  httpd_field_t field; /* the one that is being read; HTTPD_FIELDS: one that does not matter */
  unsigned hosts;
  size_t name_length;
  char name[24]; /* of the field; longer ones don't matter */
} httpd_parser_t;

/* For the next request. */
void httpd_parser_begin(httpd_parser_t* parser, httpd_request_t* request);

/* Takes bytes up to the end of a request, and tells how many. Returns 0 (all are taken, and more
 * are needed), 1 (the request is whole), or the status to answer with: 400, 413 (a body, which
 * neither GET nor HEAD needs), 414, 431, 505. */
int httpd_parser_feed(httpd_parser_t* parser, const char* bytes, size_t length, size_t* used);

/* The parser's name and version. */
const char* httpd_parser_name(void);

#endif
