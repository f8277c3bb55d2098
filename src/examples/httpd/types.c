/* SPDX-License-Identifier: MIT */
/* See types.h. */
#include "types.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

const char* httpd_type_of(const char* path) {
  static const char* const types[][2] = {
      {"html", "text/html; charset=utf-8"},
      {"htm", "text/html; charset=utf-8"},
      {"css", "text/css; charset=utf-8"},
      {"js", "text/javascript; charset=utf-8"},
      {"txt", "text/plain; charset=utf-8"},
      {"md", "text/plain; charset=utf-8"},
      {"json", "application/json"},
      {"xml", "application/xml"},
      {"pdf", "application/pdf"},
      {"wasm", "application/wasm"},
      {"gz", "application/gzip"},
      {"zip", "application/zip"},
      {"svg", "image/svg+xml"},
      {"png", "image/png"},
      {"jpg", "image/jpeg"},
      {"jpeg", "image/jpeg"},
      {"gif", "image/gif"},
      {"webp", "image/webp"},
      {"mp4", "video/mp4"},
      {"webm", "video/webm"},
      {"mp3", "audio/mpeg"},
  };
  const char* slash = strrchr(path, '/');
  const char* dot = strrchr(slash != NULL ? slash : path, '.');
  for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
    if (strcasecmp(dot + 1, types[i][0]) == 0) {
      return types[i][1];
    }
  }
  return "application/octet-stream";
}
