/* SPDX-License-Identifier: MIT */
/*
 * Errors as Node's own look: code, errno, syscall, path, and a message that has all of them. The
 * library's own codes begin with UVDIO_.
 */
#include <stdio.h>

#include "addon.h"

/* The library's codes lie below all of the system's. */
static bool is_own(int code) {
  return code <= UVDIO_EALIGN;
}

napi_value make_error(env_t* env, int code, subject_t subject) {
  char code_text[64];
  char message[8704]; /* two paths of PATH_MAX, and words */
  const char* path = subject.path;
  const char* dest = subject.dest;
  napi_value code_value = NULL;
  napi_value message_value = NULL;
  napi_value error = NULL;

  snprintf(code_text, sizeof code_text, "%s%s", is_own(code) ? "UVDIO_" : "", uvdio_err_name(code));
  snprintf(message, sizeof message, "%s: %s, %s%s%s%s%s%s%s", code_text, uvdio_strerror(code),
           subject.name, path != NULL ? " '" : "", path != NULL ? path : "",
           path != NULL ? "'" : "", dest != NULL ? " -> '" : "", dest != NULL ? dest : "",
           dest != NULL ? "'" : "");
  napi_create_string_utf8(env->napi, code_text, NAPI_AUTO_LENGTH, &code_value);
  napi_create_string_utf8(env->napi, message, NAPI_AUTO_LENGTH, &message_value);
  if (napi_create_error(env->napi, code_value, message_value, &error) != napi_ok) {
    return NULL;
  }
  set_number(env, error, "errno", code);
  set_text(env, error, "syscall", subject.name);
  if (path != NULL) {
    set_text(env, error, "path", path);
  }
  if (dest != NULL) {
    set_text(env, error, "dest", dest);
  }
  return error;
}

napi_value throw_error(env_t* env, int code, const char* name, const char* path) {
  napi_throw(env->napi, make_error(env, code, (subject_t){name, path, NULL}));
  return NULL;
}
