/* SPDX-License-Identifier: MIT */
/* See head.h. */
#include "head.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

static const char* connection_of(int keep_alive) {
  return keep_alive ? "keep-alive" : "close";
}

size_t httpd_head_print(char* text, const httpd_answer_t* answer, const httpd_file_t* file,
                        const char* date, int keep_alive) {
  char range[80] = "";
  char body[160] = "";
  if (answer->status == 206) {
    (void)snprintf(range, sizeof(range),
                   "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", answer->offset,
                   answer->offset + answer->length - 1, file->size);
  } else if (answer->status == 416) {
    (void)snprintf(range, sizeof(range), "Content-Range: bytes */%" PRIu64 "\r\n", file->size);
  }
  if (answer->status != 304) { /* which has no body, and whose length would be the file's */
    (void)snprintf(body, sizeof(body), "Content-Length: %" PRIu64 "\r\nContent-Type: %s\r\n",
                   answer->length, file->type);
  }
  int length = snprintf(text, HTTPD_ANSWER_MAX,
                        "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n%s%s"
                        "Accept-Ranges: bytes\r\nETag: %s\r\nLast-Modified: %s\r\n\r\n",
                        answer->status, reason_of(answer->status), date, connection_of(keep_alive),
                        body, range, file->etag, file->modified);
  assert(length > 0 && (size_t)length < HTTPD_ANSWER_MAX);
  return (size_t)length;
}

size_t httpd_head_print_error(char* text, int status, const char* date, int keep_alive,
                              int is_head) {
  const char* reason = reason_of(status);
  int length = snprintf(text, HTTPD_ANSWER_MAX,
                        "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n%s%s"
                        "Content-Length: %zu\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
                        status, reason, date, connection_of(keep_alive),
                        status == 405 ? "Allow: GET, HEAD\r\n" : "",
                        status == 503 ? "Retry-After: 1\r\n" : "", strlen(reason) + 5);
  assert(length > 0 && (size_t)length < HTTPD_ANSWER_MAX);
  if (!is_head) {
    size_t room = HTTPD_ANSWER_MAX - (size_t)length;
    length += snprintf(text + length, room, "%d %s\n", status, reason);
    assert((size_t)length < HTTPD_ANSWER_MAX);
  }
  return (size_t)length;
}

int httpd_status_of(int error) {
  switch (error) {
    case UV_ENOENT:
    case UV_ENOTDIR: /* also: a part of the path is a symbolic link */
    case UV_EISDIR:
    case UV_ENAMETOOLONG:
      return 404;
    case UV_EACCES:
    case UV_EPERM:
    case UV_ELOOP:  /* the file itself is a symbolic link */
    case UV_ESPIPE: /* neither file nor folder */
    case UV_ENXIO:
      return 403;
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOMEM:
    case UVDIO_EPOOL:
      return 503;
    default:
      return 500;
  }
}
