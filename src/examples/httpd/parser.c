/* SPDX-License-Identifier: MIT */
/* See parser.h. */
#include "parser.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#ifdef HTTPD_HAVE_LLHTTP
typedef llhttp_settings_t settings_t;
#else
typedef http_parser_settings settings_t;
#endif

static httpd_parser_t* parser_of(httpd_parser_state_t* state) {
  return state->data;
}

/* What a callback returns to end the parsing with a status. */
static int refuse(httpd_parser_t* parser, int status) {
  parser->status = status;
  return -1;
}

/* Returns whether there was room, with a zero at the end. */
static int append(char* text, size_t* length, size_t size, const char* bytes, size_t count) {
  if (count >= size - *length) {
    return 0;
  }
  memcpy(text + *length, bytes, count);
  *length += count;
  text[*length] = '\0';
  return 1;
}

static int on_url(httpd_parser_state_t* state, const char* bytes, size_t count) {
  httpd_parser_t* parser = parser_of(state);
  httpd_request_t* request = parser->request;
  if (!append(request->target, &request->target_length, HTTPD_TARGET_MAX, bytes, count)) {
    return refuse(parser, 414);
  }
  return 0;
}

static int on_name(httpd_parser_state_t* state, const char* bytes, size_t count) {
  httpd_parser_t* parser = parser_of(state);
  if (parser->is_in_value) {
    parser->is_in_value = 0;
    parser->name_length = 0;
  }
  if (!append(parser->name, &parser->name_length, sizeof(parser->name), bytes, count)) {
    parser->name_length = sizeof(parser->name) - 1; /* full: nothing more is appended */
    parser->name[0] = '\0';
  }
  return 0;
}

static httpd_field_t field_of(const char* name) {
  static const char* const names[HTTPD_FIELDS] = {"Host",
                                                  "Range",
                                                  "If-Range",
                                                  "If-Match",
                                                  "If-None-Match",
                                                  "If-Modified-Since",
                                                  "If-Unmodified-Since"};
  httpd_field_t field = HTTPD_HOST;
  char first = (char)(name[0] | 0x20); /* Most fields begin with another letter than these. */
  if (first != 'h' && first != 'r' && first != 'i') {
    return HTTPD_FIELDS;
  }
  while (field < HTTPD_FIELDS && strcasecmp(name, names[field]) != 0) {
    field++;
  }
  return field;
}

/* A value may come in pieces; the first one may be empty. */
static int on_value(httpd_parser_state_t* state, const char* bytes, size_t count) {
  httpd_parser_t* parser = parser_of(state);
  httpd_request_t* request = parser->request;
  int is_first = !parser->is_in_value;

  if (is_first) {
    parser->is_in_value = 1;
    parser->field = field_of(parser->name);
    parser->hosts += parser->field == HTTPD_HOST;
  }
  httpd_field_t field = parser->field;
  if (field == HTTPD_FIELDS) {
    return 0;
  }
  size_t* length = &request->lengths[field];
  if ((is_first && *length > 0 &&
       !append(request->values[field], length, HTTPD_VALUE_MAX, ", ", 2)) ||
      !append(request->values[field], length, HTTPD_VALUE_MAX, bytes, count)) {
    return refuse(parser, 431);
  }
  return 0;
}

static int on_head(httpd_parser_state_t* state) {
  httpd_parser_t* parser = parser_of(state);
#ifdef HTTPD_HAVE_LLHTTP
  int is_chunked = (state->flags & F_CHUNKED) != 0;
  uint64_t body = (state->flags & F_CONTENT_LENGTH) != 0 ? state->content_length : 0;
#else
  int is_chunked = (state->flags & F_CHUNKED) != 0;
  uint64_t body = (state->flags & F_CONTENTLENGTH) != 0 ? state->content_length : 0;
#endif
  if (state->http_major != 1) {
    return refuse(parser, 505);
  }
  /* HTTP/1.1 has exactly one host (RFC 9112, 3.2). */
  if (parser->hosts > 1 || (parser->hosts == 0 && state->http_minor > 0)) {
    return refuse(parser, 400);
  }
  return is_chunked || body > 0 ? refuse(parser, 413) : 0;
}

static int on_complete(httpd_parser_state_t* state) {
  httpd_parser_t* parser = parser_of(state);
  httpd_request_t* request = parser->request;

  request->method = state->method == HTTP_GET    ? HTTPD_GET
                    : state->method == HTTP_HEAD ? HTTPD_HEAD
                                                 : HTTPD_OTHER;
  parser->is_complete = 1;
#ifdef HTTPD_HAVE_LLHTTP
  request->keep_alive = llhttp_should_keep_alive(state);
  return HPE_PAUSED;
#else
  request->keep_alive = http_should_keep_alive(state);
  http_parser_pause(state, 1);
  return 0;
#endif
}

static const settings_t* settings(void) {
  static settings_t all;
  if (all.on_url == NULL) {
#ifdef HTTPD_HAVE_LLHTTP
    llhttp_settings_init(&all);
#else
    http_parser_settings_init(&all);
#endif
    all.on_header_field = on_name;
    all.on_header_value = on_value;
    all.on_headers_complete = on_head;
    all.on_message_complete = on_complete;
    all.on_url = on_url;
  }
  return &all;
}

void httpd_parser_begin(httpd_parser_t* parser, httpd_request_t* request) {
#ifdef HTTPD_HAVE_LLHTTP
  llhttp_init(&parser->state, HTTP_REQUEST, settings());
#else
  http_parser_init(&parser->state, HTTP_REQUEST);
#endif
  parser->state.data = parser;
  parser->request = request;
  parser->consumed = 0;
  parser->status = 0;
  parser->is_complete = 0;
  parser->is_in_value = 0;
  parser->hosts = 0;
  parser->name_length = 0;
  httpd_request_clear(request);
}

/* Returns whether the bytes are what they should be, or a callback has ended the parsing. */
static int execute(httpd_parser_t* parser, const char* bytes, size_t length, size_t* used) {
#ifdef HTTPD_HAVE_LLHTTP
  llhttp_errno_t error = llhttp_execute(&parser->state, bytes, length);
  *used = error == HPE_OK ? length : (size_t)(llhttp_get_error_pos(&parser->state) - bytes);
  if (error == HPE_INVALID_VERSION && parser->status == 0) {
    parser->status = 505;
  }
  return error == HPE_OK || parser->is_complete;
#else
  *used = http_parser_execute(&parser->state, settings(), bytes, length);
  return HTTP_PARSER_ERRNO(&parser->state) == HPE_OK || parser->is_complete;
#endif
}

int httpd_parser_feed(httpd_parser_t* parser, const char* bytes, size_t length, size_t* used) {
  size_t room = HTTPD_HEAD_MAX - parser->consumed;

  assert(!parser->is_complete && parser->status == 0);
  int is_good = execute(parser, bytes, length < room ? length : room, used);
  parser->consumed += *used;
  if (!is_good) {
    return parser->status != 0 ? parser->status : 400;
  }
  if (parser->is_complete) {
    return 1;
  }
  return parser->consumed >= HTTPD_HEAD_MAX ? 431 : 0;
}

const char* httpd_parser_name(void) {
  static char name[40];
#ifdef HTTPD_HAVE_LLHTTP
  (void)snprintf(name, sizeof(name), "llhttp %d.%d.%d", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
                 LLHTTP_VERSION_PATCH);
#else
  (void)snprintf(name, sizeof(name), "http_parser %d.%d.%d", HTTP_PARSER_VERSION_MAJOR,
                 HTTP_PARSER_VERSION_MINOR, HTTP_PARSER_VERSION_PATCH);
#endif
  return name;
}
