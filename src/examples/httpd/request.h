/* SPDX-License-Identifier: MIT */
/*
 * What a request asks for: its path below the root, and which bytes of the file the answer has
 * (RFC 9110, sections 13 and 14). Nothing here waits, or knows of sockets.
 */
#ifndef HTTPD_REQUEST_H
#define HTTPD_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#define HTTPD_TARGET_MAX 2048u /* bytes, with the zero at the end */
#define HTTPD_VALUE_MAX 512u

typedef enum { HTTPD_GET, HTTPD_HEAD, HTTPD_OTHER } httpd_method_t;

/* The fields of a head that matter here. */
typedef enum {
  HTTPD_HOST,
  HTTPD_RANGE,
  HTTPD_IF_RANGE,
  HTTPD_IF_MATCH,
  HTTPD_IF_NONE_MATCH,
  HTTPD_IF_MODIFIED_SINCE,
  HTTPD_IF_UNMODIFIED_SINCE,
  HTTPD_FIELDS
} httpd_field_t;

typedef struct httpd_request_s {
  httpd_method_t method;
  int keep_alive;
  size_t target_length;
  char target[HTTPD_TARGET_MAX];
  /* "": not there. What came several times is joined by commas. */
  size_t lengths[HTTPD_FIELDS];
  char values[HTTPD_FIELDS][HTTPD_VALUE_MAX];
} httpd_request_t;

/* What answers are about. */
typedef struct httpd_facts_s {
  uint64_t size;
  int64_t modified_s; /* since 1970 */
  const char* etag;
} httpd_facts_t;

typedef struct httpd_answer_s {
  int status;
  uint64_t offset; /* of the body in the file */
  uint64_t length; /* of the body, also where it is not sent */
} httpd_answer_t;

/* Forgets what was there. */
void httpd_request_clear(httpd_request_t* request);

/* The path that the target names, relative to the root and without its slash; a directory's is that
 * of its index.html. Returns 0, or the status to answer with: no path leads out of the root. */
int httpd_request_path(const httpd_request_t* request, char* path, size_t size);

/* What is to be answered, where the file is there: 200, 206, 304, 412 or 416. */
httpd_answer_t httpd_request_answer(const httpd_request_t* request, const httpd_facts_t* facts);

/* "Sun, 06 Nov 1994 08:49:37 GMT", which takes 30 bytes. */
void httpd_date_print(int64_t time_s, char* text, size_t size);

#endif
