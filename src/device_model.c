/* SPDX-License-Identifier: MIT */
/*
 * See device_model.h; and the file that holds one: lines of a name and a number.
 */
#include "device_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "allocator.h"

#define FILE_SIZE_MAX 65536
#define BLANKS " \t\r"

int uvdio__device_model_is_whole(const uvdio_device_model_t* model) {
  return model->depth > 0 && model->bytes_in_flight > 0 && model->read_operations > 0 &&
         model->write_operations > 0 && model->read_bytes > 0 && model->write_bytes > 0;
}

/* Where the number of that name goes; null for a name that is not known. `depth` is no uint64_t. */
static uint64_t* field_of(uvdio_device_model_t* model, uint64_t* depth, const char* name) {
  const struct {
    const char* name;
    uint64_t* field;
  } fields[] = {{"depth", depth},
                {"bytes_in_flight", &model->bytes_in_flight},
                {"read_operations", &model->read_operations},
                {"write_operations", &model->write_operations},
                {"read_bytes", &model->read_bytes},
                {"write_bytes", &model->write_bytes}};
  size_t i;

  for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
    if (strcmp(name, fields[i].name) == 0) {
      return fields[i].field;
    }
  }
  return NULL;
}

static int read_number(const char* text, uint64_t* number) {
  char* end;
  unsigned long long value;

  if (text[0] < '0') {
    return UV_EINVAL; /* Nothing, or a sign, which strtoull() takes. */
  }
  errno = 0;
  value = strtoull(text, &end, 10);
  if (errno != 0 || *end != '\0') {
    return UV_EINVAL;
  }
  *number = value;
  return 0;
}

/* A name and a number, behind which nothing counts; or nothing at all. */
static int read_line(char* line, uvdio_device_model_t* model, uint64_t* depth) {
  uint64_t* field;
  char* number;
  char* name;

  line[strcspn(line, "#")] = '\0';
  name = line + strspn(line, BLANKS);
  if (*name == '\0') {
    return 0;
  }
  number = name + strcspn(name, BLANKS);
  if (*number != '\0') {
    *number++ = '\0';
  }
  number += strspn(number, BLANKS);
  number[strcspn(number, BLANKS)] = '\0';
  field = field_of(model, depth, name);
  return field == NULL ? 0 : read_number(number, field);
}

static int read_text(char* text, uvdio_device_model_t* model) {
  uvdio_device_model_t own = {0};
  uint64_t depth = 0;
  char* line = text;

  while (line != NULL) {
    char* end = strchr(line, '\n');
    if (end != NULL) {
      *end++ = '\0';
    }
    if (read_line(line, &own, &depth) != 0) {
      return UV_EINVAL;
    }
    line = end;
  }
  own.depth = depth > UVDIO_DEPTH_MAX ? UVDIO_DEPTH_MAX : (unsigned)depth;
  if (!uvdio__device_model_is_whole(&own)) {
    return UV_EINVAL;
  }
  *model = own;
  return 0;
}

/* Gives the bytes, or an error. The text ends with a zero, for which there is room. */
static int read_file(const char* path, char* text, size_t room) {
  uv_fs_t request;
  uv_buf_t buf = uv_buf_init(text, (unsigned)room);
  int file = uv_fs_open(NULL, &request, path, UV_FS_O_RDONLY, 0, NULL);
  int got;

  uv_fs_req_cleanup(&request);
  if (file < 0) {
    return file;
  }
  got = uv_fs_read(NULL, &request, file, &buf, 1, 0, NULL);
  uv_fs_req_cleanup(&request);
  (void)uv_fs_close(NULL, &request, file, NULL);
  uv_fs_req_cleanup(&request);
  return got;
}

int uvdio_device_model_read(const char* path, uvdio_device_model_t* model) {
  static const size_t room = FILE_SIZE_MAX + 1;
  char* text;
  int result;

  if (path == NULL || model == NULL) {
    return UV_EINVAL;
  }
  text = uvdio__alloc(room + 1, UVDIO__STRUCT_ALIGN, 0);
  if (text == NULL) {
    return UV_ENOMEM;
  }
  result = read_file(path, text, room);
  if (result > FILE_SIZE_MAX) {
    result = UV_EFBIG;
  } else if (result >= 0) {
    text[result] = '\0';
    result = read_text(text, model);
  }
  uvdio__free(text, room + 1, UVDIO__STRUCT_ALIGN);
  return result;
}
