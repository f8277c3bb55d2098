/* SPDX-License-Identifier: MIT */
/*
 * Writes a file anew, so that a power cut leaves the old one or the new one, and never a part:
 *
 *   replace [NAME [BYTE]]
 *
 * writes a page full of BYTE ("table" and "x").
 */
#include <stdio.h>
#include <string.h>
#include <uvdio.h>

static uvdio_file_t file;
static uvdio_req_t req;
static const char* name;
static int64_t outcome = UV_ECANCELED;

static void on_replaced(uvdio_req_t* done, int64_t result) {
  (void)done;
  outcome = result; /* 0: durable */
}

static void on_written(uvdio_req_t* done, ssize_t result, uvdio_buf_t page) {
  (void)uvdio_buf_release(&page);
  outcome = result < 0 ? result : uvdio_replace(&file, done, name, on_replaced);
}

int main(int argc, char** argv) {
  uvdio_engine_t* engine;
  uvdio_buf_t page;
  char fresh[512];

  name = argc > 1 ? argv[1] : "table";
  snprintf(fresh, sizeof(fresh), "%s.new", name);
  if (uvdio_engine_create(&engine, uv_default_loop(), NULL) != 0 ||
      uvdio_open(engine, &file, &req, fresh, UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0644,
                 NULL) != 0 ||
      uvdio_buf_page(&page) != 0) {
    return 1;
  }
  memset(page.base, argc > 2 ? argv[2][0] : 'x', page.len);
  outcome = uvdio_write(&file, &req, &page, 0, on_written);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  uvdio_engine_close(engine, NULL);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  if (outcome != 0) {
    fprintf(stderr, "replace: %s\n", uvdio_strerror((int)outcome));
  }
  return outcome != 0;
}
