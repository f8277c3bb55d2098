/*
 * Codes into words: libuv's and the library's own, without ever allocating (uv_strerror does, for codes that
 * it does not know).
 */
#include "uvdio.h"

static int is_libuv_code(int error) {
  switch (error) {
#define CASE_OF(name, message) case UV_##name:
    UV_ERRNO_MAP(CASE_OF)
#undef CASE_OF
    return 1;
    default:
      return 0;
  }
}

const char* uvdio_strerror(int error) {
  switch (error) {
    case 0:
      return "no error";
    case UV_ENOTSUP:
      return "operation not supported"; /* libuv adds "on socket" */
#define CASE_OF(name, code, message) \
  case UVDIO_##name:                 \
    return message;
      UVDIO_ERRNO_MAP(CASE_OF)
#undef CASE_OF
    default:
      return is_libuv_code(error) ? uv_strerror(error) : "unknown error";
  }
}

const char* uvdio_err_name(int error) {
  switch (error) {
    case 0:
      return "OK";
#define CASE_OF(name, code, message) \
  case UVDIO_##name:                 \
    return #name;
      UVDIO_ERRNO_MAP(CASE_OF)
#undef CASE_OF
    default:
      return is_libuv_code(error) ? uv_err_name(error) : "UNKNOWN";
  }
}

const char* uvdio_op_name(uvdio_op_t op) {
  switch (op) {
#define CASE_OF(name, text) \
  case UVDIO_OP_##name:     \
    return text;
    UVDIO_OP_MAP(CASE_OF)
#undef CASE_OF
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      break;
  }
  return "none";
}

unsigned uvdio_version(void) {
  return UVDIO_VERSION_HEX;
}

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char* uvdio_version_string(void) {
  return VERSION_TEXT(UVDIO_VERSION_MAJOR, UVDIO_VERSION_MINOR, UVDIO_VERSION_PATCH);
}
