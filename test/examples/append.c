/* SPDX-License-Identifier: MIT */
/*
 * A log of lines: each is appended as it is, and durable when its callback runs. Lines that come at
 * the same time share a write.
 */
#include <stdio.h>
#include <string.h>
#include <uvdio/append.h>

#define LINES 100u

struct line {
  uvdio_append_t append;
  char text[32];
};

static struct line lines[LINES];
static unsigned right;

static void on_line(uvdio_append_t* append, int64_t result) {
  right += result == (int64_t)append->length;
}

static void on_closed(uvdio_append_t* append, int64_t result) {
  (void)append;
  right += result == 0;
}

static int append_lines(uvdio_appender_t* appender) {
  for (unsigned i = 0; i < LINES; i++) {
    struct line* line = &lines[i];
    int length = snprintf(line->text, sizeof(line->text), "line %u\n", i);
    int error = uvdio_append(appender, &line->append, line->text, (size_t)length, 0, on_line);
    if (error != 0) {
      return error;
    }
  }
  return 0;
}

int main(void) {
  static const uvdio_appender_options_t options = {.flags = UVDIO_APPEND_DURABLE};
  static uvdio_append_t close;
  static uvdio_file_t file;
  static uvdio_req_t req;
  uvdio_appender_t* appender;
  uvdio_engine_t* engine;
  int error = uvdio_engine_create(&engine, uv_default_loop(), NULL);
  if (error == 0) {
    error = uvdio_open(engine, &file, &req, "append.example",
                       UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0644, NULL);
  }
  if (error == 0) {
    error = uvdio_appender_create(&appender, &file, &options);
  }
  if (error == 0) {
    error = append_lines(appender);
  }
  if (error == 0) {
    error = uvdio_appender_close(appender, &close, on_closed);
  }
  if (error != 0) {
    fprintf(stderr, "append: %s\n", uvdio_strerror(error));
    return 1;
  }
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  error = uvdio_size(&file, &req, NULL);
  printf("%u of %u calls were right; the file has %lld bytes\n", right, LINES + 1,
         (long long)req.result);
  (void)uvdio_engine_close(engine, NULL);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  (void)remove("append.example");
  return error == 0 && right == LINES + 1 ? 0 : 1;
}
