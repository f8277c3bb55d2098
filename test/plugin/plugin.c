/* SPDX-License-Identifier: MIT */
/*
 * A plug-in with the library inside, as hosts load them: a file's life on an engine of its own.
 */
#include <string.h>

#include "uvdio.h"

int plugin_run(const char* path);

/* Returns 0, or the error of what went wrong. */
__attribute__((visibility("default"))) int plugin_run(const char* path) {
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  int error = uv_loop_init(&loop);
  if (error == 0) {
    error = uvdio_engine_create(&engine, &loop, NULL);
  }
  if (error != 0) {
    return error;
  }
  error = uvdio_open(engine, &file, &req, path, UVDIO_OPEN_CREATE, 0600, NULL);
  if (error == 0) {
    int closed;
    error = uvdio_sync_data(&file, &req, NULL);
    closed = uvdio_close(&file, &req, NULL);
    error = error != 0 ? error : closed;
  }
  (void)uvdio_engine_close(engine, NULL);
  (void)uv_run(&loop, UV_RUN_DEFAULT);
  return error != 0 ? error : uv_loop_close(&loop);
}
