/* SPDX-License-Identifier: MIT */
/*
 * A server's answer to "bytes 5000 to 5999 of this file": they are read where they are, and sent
 * from the buffer that they came in.
 */
#include <stdio.h>
#include <string.h>
#include <uvdio.h>

#define OFFSET 5000u
#define LENGTH 1000u

static int is_right;

/* Where a server would pass the view to uv_write(), and release the buffer in its callback. */
static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio_buf_t view = uvdio_range_view(req, &buf);
  unsigned right = 0;
  for (size_t i = 0; i < view.len; i++) {
    right += view.base[i] == (char)((OFFSET + i) % 251);
  }
  is_right = result == LENGTH && right == LENGTH;
  printf("%zd bytes from offset %u, %u of them right\n", result, OFFSET, right);
  (void)uvdio_buf_release(&buf);
}

static int make_file(uvdio_engine_t* engine, uvdio_file_t* file, uvdio_req_t* req) {
  uvdio_buf_t buf;
  int error = uvdio_open(engine, file, req, "range.example",
                         UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0644, NULL);
  if (error == 0) {
    error = uvdio_buf_alloc(&buf, 4 * UVDIO_PAGE_SIZE, UVDIO_BUF_FULL);
  }
  if (error == 0) {
    for (size_t i = 0; i < buf.len; i++) {
      buf.base[i] = (char)(i % 251);
    }
    error = uvdio_write(file, req, &buf, 0, NULL);
    (void)uvdio_buf_release(&buf);
  }
  return error;
}

int main(void) {
  static uvdio_file_t file;
  static uvdio_req_t req;
  uvdio_engine_t* engine;
  uvdio_buf_t buf;
  int error = uvdio_engine_create(&engine, uv_default_loop(), NULL);
  if (error == 0) {
    error = make_file(engine, &file, &req);
  }
  if (error == 0) {
    error = uvdio_buf_alloc(&buf, uvdio_range_size(&file, OFFSET, LENGTH), 0);
  }
  if (error == 0) {
    error = uvdio_read_range(&file, &req, &buf, OFFSET, LENGTH, on_read);
  }
  if (error != 0) {
    fprintf(stderr, "range: %s\n", uvdio_strerror(error));
    return 1;
  }
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  (void)uvdio_engine_close(engine, NULL);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  (void)remove("range.example");
  return is_right ? 0 : 1;
}
