/* SPDX-License-Identifier: MIT */
/* See request.h. */
#include "request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void httpd_request_clear(httpd_request_t* request) {
  request->method = HTTPD_OTHER;
  request->keep_alive = 0;
  request->target_length = 0;
  request->target[0] = '\0';
  for (int i = 0; i < HTTPD_FIELDS; i++) {
    request->lengths[i] = 0;
    request->values[i][0] = '\0';
  }
}

/*
 * The path
 */

static int hex(char c) {
  static const char digits[] = "0123456789abcdef";
  const char* at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);
  return at == NULL ? -1 : (int)(at - digits);
}

/* The target's path: of "http://host/a?b" as well, which servers have to take (RFC 9112, 3.2.2). */
static const char* path_of(const char* target) {
  if (target[0] != '/' && strncasecmp(target, "http://", 7) == 0) {
    const char* slash = strchr(target + 7, '/');
    return slash != NULL ? slash : "/";
  }
  return target[0] == '/' ? target : NULL;
}

/* Each part is looked at after decoding, as the system will see it: "%2e%2e%2f" is "../". */
static int check_parts(const char* path) {
  while (*path != '\0') {
    size_t length = strcspn(path, "/");
    if ((length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.')) {
      return 403;
    }
    if (length == 0) {
      return 404;
    }
    path += length;
    path += *path == '/';
  }
  return 0;
}

int httpd_request_path(const httpd_request_t* request, char* path, size_t size) {
  static const char index[] = "index.html";
  const char* from = path_of(request->target);
  size_t length = 0;

  if (from == NULL) {
    return 400;
  }
  for (from++; *from != '\0' && *from != '?' && *from != '#'; from++) {
    int c = (unsigned char)*from;
    if (c == '%') {
      int high = hex(from[1]);
      int low = high < 0 ? -1 : hex(from[2]);
      if (low < 0 || (high == 0 && low == 0)) { /* the zero would end the path for the system */
        return 400;
      }
      c = high * 16 + low;
      from += 2;
    }
    if (length + sizeof(index) >= size) {
      return 414;
    }
    path[length++] = (char)c;
  }
  if (length == 0 || path[length - 1] == '/') {
    memcpy(path + length, index, sizeof(index));
    length += sizeof(index) - 1;
  }
  path[length] = '\0';
  return check_parts(path);
}

/*
 * Conditions
 */

void httpd_date_print(int64_t time_s, char* text, size_t size) {
  static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  time_t seconds = (time_t)time_s;
  struct tm parts;
  if (gmtime_r(&seconds, &parts) == NULL || parts.tm_year > 8099) {
    seconds = 0;
    (void)gmtime_r(&seconds, &parts);
  }
  (void)snprintf(text, size, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[parts.tm_wday],
                 parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour,
                 parts.tm_min, parts.tm_sec);
}

/* Of the three forms that there are; returns whether it is one. (No locale is set.) */
static int parse_date(const char* text, int64_t* time_s) {
  static const char* const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                      "%a %b %d %H:%M:%S %Y"};
  for (size_t i = 0; text[0] != '\0' && i < sizeof(forms) / sizeof(forms[0]); i++) {
    struct tm parts;
    memset(&parts, 0, sizeof(parts));
    const char* end = strptime(text, forms[i], &parts);
    if (end != NULL && *end == '\0') {
      *time_s = (int64_t)timegm(&parts);
      return 1;
    }
  }
  return 0;
}

/* Whether a list of tags names this one. A weak tag ("W/...") is equal only where `is_weak`: by
 * the strong comparison two weak ones never are, and the file's own is strong. */
static int has_tag(const char* list, const char* etag, int is_weak) {
  size_t length = strlen(etag);
  while (*list != '\0') {
    list += strspn(list, ", \t");
    if (*list == '*') {
      return 1;
    }
    int weak = strncmp(list, "W/", 2) == 0;
    list += weak ? 2 : 0;
    if (strncmp(list, etag, length) == 0 && (is_weak || !weak)) {
      return 1;
    }
    if (*list == '"') { /* A tag may hold commas. */
      list++;
      list += strcspn(list, "\"");
      list += *list == '"';
    } else {
      list += strcspn(list, ",");
    }
  }
  return 0;
}

/* In the order of RFC 9110, 13.2.2. Returns 0 or the status. */
static int check_conditions(const httpd_request_t* request, const httpd_facts_t* facts) {
  const char* match = request->values[HTTPD_IF_MATCH];
  const char* none = request->values[HTTPD_IF_NONE_MATCH];
  int64_t date;
  if (match[0] != '\0') {
    if (!has_tag(match, facts->etag, 0)) {
      return 412;
    }
  } else if (parse_date(request->values[HTTPD_IF_UNMODIFIED_SINCE], &date) &&
             facts->modified_s > date) {
    return 412;
  }
  if (none[0] != '\0') {
    return has_tag(none, facts->etag, 1) ? 304 : 0;
  }
  return parse_date(request->values[HTTPD_IF_MODIFIED_SINCE], &date) && facts->modified_s <= date
             ? 304
             : 0;
}

/*
 * Ranges
 */

/* Returns the number's end, or null where there is none. More than fits is the largest one. */
static const char* parse_number(const char* text, uint64_t* number) {
  const char* at = text;
  *number = 0;
  for (; *at >= '0' && *at <= '9'; at++) {
    uint64_t digit = (uint64_t)(*at - '0');
    *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
  }
  return at == text ? NULL : at;
}

/* "bytes=FIRST-LAST", "bytes=FIRST-", "bytes=-LENGTH". What is none of these, several ranges
 * included, is left out of account, as a server may: then the result is 200. */
static httpd_answer_t answer_range(const char* text, uint64_t size) {
  const httpd_answer_t whole = {200, 0, size};
  const httpd_answer_t none = {416, 0, 0};
  uint64_t first = 0, last = UINT64_MAX;

  if (strncasecmp(text, "bytes=", 6) != 0) {
    return whole;
  }
  text += 6;
  const char* dash = *text == '-' ? text : parse_number(text, &first);
  if (dash == NULL || *dash != '-') {
    return whole;
  }
  const char* end = dash[1] == '\0' && dash != text ? dash + 1 : parse_number(dash + 1, &last);
  if (end == NULL || *end != '\0') {
    return whole;
  }
  if (dash == text) { /* the last bytes */
    first = last < size ? size - last : 0;
    last = last == 0 ? 0 : UINT64_MAX;
    first = last == 0 ? size : first;
  } else if (last < first) {
    return whole;
  }
  if (first >= size) {
    return none;
  }
  last = last < size ? last : size - 1;
  return (httpd_answer_t){206, first, last - first + 1};
}

/* Whether the file is still the one that the client has a part of. */
static int is_range_current(const char* if_range, const httpd_facts_t* facts) {
  int64_t date;
  if (if_range[0] == '\0') {
    return 1;
  }
  if (parse_date(if_range, &date)) {
    return date == facts->modified_s;
  }
  return if_range[0] == '"' && has_tag(if_range, facts->etag, 0);
}

httpd_answer_t httpd_request_answer(const httpd_request_t* request, const httpd_facts_t* facts) {
  httpd_answer_t answer = {check_conditions(request, facts), 0, 0};

  assert(request->method != HTTPD_OTHER);
  if (answer.status != 0) {
    return answer;
  }
  if (request->method == HTTPD_GET && request->values[HTTPD_RANGE][0] != '\0' &&
      is_range_current(request->values[HTTPD_IF_RANGE], facts)) {
    return answer_range(request->values[HTTPD_RANGE], facts->size);
  }
  return (httpd_answer_t){200, 0, facts->size};
}
