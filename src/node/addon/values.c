/* SPDX-License-Identifier: MIT */
/*
 * Arguments and results of native functions. The callers are the files of lib/, which have checked
 * what users pass; what is wrong all the same gets a TypeError here.
 */
#include <stdlib.h>

#include "addon.h"

void call_begin(call_t* call, napi_env napi, napi_callback_info info) {
  void* env = NULL;

  call->count = ARGUMENTS_MAX;
  napi_get_cb_info(napi, info, &call->count, call->values, NULL, &env);
  call->env = env;
  call->env->class_number = (unsigned)call->env->shared[SHARED_CLASS];
  call->env->shared[SHARED_CLASS] = UVDIO_CLASS_DEFAULT;
}

bool refuse_argument(call_t* call, const char* expected) {
  napi_throw_type_error(call->env->napi, "ERR_INVALID_ARG_TYPE", expected);
  return false;
}

/* Numbers of JavaScript are exact up to 2^53, which is past any file. */
bool get_uint64(call_t* call, size_t index, uint64_t* value) {
  double number = 0;

  if (index >= call->count ||
      napi_get_value_double(call->env->napi, call->values[index], &number) != napi_ok ||
      !(number >= 0 && number <= 9007199254740991.0)) {
    return refuse_argument(call, "a native call of uvdio wants an integer from 0 to 2^53 - 1");
  }
  *value = (uint64_t)number;
  return true;
}

bool get_bigint(call_t* call, size_t index, uint64_t* value) {
  bool is_exact = false;

  return (index < call->count &&
          napi_get_value_bigint_uint64(call->env->napi, call->values[index], value, &is_exact) ==
              napi_ok &&
          is_exact) ||
         refuse_argument(call, "a native call of uvdio wants a bigint from 0 to 2^64 - 1");
}

bool get_unsigned(call_t* call, size_t index, unsigned* value) {
  uint64_t wide = 0;

  if (!get_uint64(call, index, &wide)) {
    return false;
  }
  if (wide > UINT32_MAX) {
    return refuse_argument(call, "a native call of uvdio wants an integer below 2^32");
  }
  *value = (unsigned)wide;
  return true;
}

/* `text` is the caller's, to be freed. */
bool get_text(call_t* call, size_t index, char** text) {
  napi_env napi = call->env->napi;
  size_t length = 0;

  if (index >= call->count ||
      napi_get_value_string_utf8(napi, call->values[index], NULL, 0, &length) != napi_ok) {
    return refuse_argument(call, "a native call of uvdio wants a string");
  }
  *text = malloc(length + 1);
  if (*text == NULL) {
    throw_error(call->env, UV_ENOMEM, "alloc", NULL);
    return false;
  }
  napi_get_value_string_utf8(napi, call->values[index], *text, length + 1, &length);
  return true;
}

bool get_pointer(call_t* call, size_t index, void** pointer) {
  if (index >= call->count ||
      napi_get_value_external(call->env->napi, call->values[index], pointer) != napi_ok) {
    return refuse_argument(call, "a native call of uvdio wants a native handle");
  }
  return true;
}

/* The bytes of a Uint8Array, and its ArrayBuffer; false where it is none. */
bool bytes_of(env_t* env, napi_value value, char** bytes, size_t* length, napi_value* owner) {
  napi_typedarray_type type = napi_float64_array;
  void* data = NULL;
  size_t offset = 0;

  if (napi_get_typedarray_info(env->napi, value, &type, length, &data, owner, &offset) != napi_ok ||
      type != napi_uint8_array) {
    return false;
  }
  *bytes = data;
  return true;
}

bool get_bytes(call_t* call, size_t index, char** bytes, size_t* length, napi_value* owner) {
  return (index < call->count && bytes_of(call->env, call->values[index], bytes, length, owner)) ||
         refuse_argument(call, "a native call of uvdio wants a Uint8Array");
}

napi_value make_number(env_t* env, double value) {
  napi_value number = NULL;

  napi_create_double(env->napi, value, &number);
  return number;
}

void set_number(env_t* env, napi_value object, const char* name, double value) {
  napi_set_named_property(env->napi, object, name, make_number(env, value));
}

void set_text(env_t* env, napi_value object, const char* name, const char* text) {
  napi_value value = NULL;

  napi_create_string_utf8(env->napi, text, NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env->napi, object, name, value);
}

void set_bigint(env_t* env, napi_value object, const char* name, uint64_t value) {
  napi_value number = NULL;

  napi_create_bigint_uint64(env->napi, value, &number);
  napi_set_named_property(env->napi, object, name, number);
}
