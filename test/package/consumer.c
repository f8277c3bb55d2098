/* SPDX-License-Identifier: MIT */
/* The smallest program that needs header, library and libuv: an engine comes and goes on a loop. */
#include <stdio.h>
#include <uvdio.h>

int main(void) {
  uv_loop_t loop;
  uvdio_engine_t* engine;
  int rc = uv_loop_init(&loop);
  if (rc == 0) {
    rc = uvdio_engine_create(&engine, &loop, NULL);
  }
  if (rc == 0) {
    rc = uvdio_engine_close(engine, NULL);
  }
  if (rc == 0) {
    rc = uv_run(&loop, UV_RUN_DEFAULT);
  }
  if (rc == 0) {
    rc = uv_loop_close(&loop);
  }
  if (rc != 0) {
    fprintf(stderr, "consumer: %s\n", uvdio_strerror(rc));
    return 1;
  }
  puts(uvdio_version_string());
  return 0;
}
