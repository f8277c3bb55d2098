/* SPDX-License-Identifier: MIT */
/*
 * One durable vector write per request, and one engine per writer, whose close is the writer's.
 */
#include "uv_writer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIEWS_ON_STACK 16u

/* The code for raft; the text for people. */
static int fail(struct UvWriter* w, const char* what, int error) {
  (void)snprintf(w->errmsg, UV_WRITER_ERRMSG_SIZE, "%s: %s", what, uvdio_strerror(error));
  switch (error) {
    case UV_ENOMEM:
      return RAFT_NOMEM;
    case UV_EMFILE:
      return RAFT_TOOMANY;
    case UV_ENOSPC:
    case UVDIO_ESHORTWRITE:
      return RAFT_NOSPACE;
    case UV_ECANCELED:
      return RAFT_CANCELED;
    default:
      return RAFT_IOERR;
  }
}

int UvWriterInit(struct UvWriter* w, struct uv_loop_s* loop, uv_file fd, bool direct, bool async,
                 unsigned max_concurrent_writes, char* errmsg) {
  uvdio_engine_options_t options = {.depth = max_concurrent_writes,
                                    .backend = async ? UVDIO_BACKEND_AUTO : UVDIO_BACKEND_POOL};
  void* data = w->data;
  uvdio_req_t req = {0};
  int rv;

  memset(w, 0, sizeof(*w));
  w->data = data;
  w->loop = loop;
  w->errmsg = errmsg;
  rv = uvdio_engine_create(&w->engine, loop, &options);
  if (rv != 0) {
    return fail(w, "uvdio_engine_create", rv);
  }
  uvdio_engine_set_data(w->engine, w);
  rv = uvdio_adopt(w->engine, &w->file, &req, fd, UVDIO_O_WRONLY | (direct ? 0 : UVDIO_O_BUFFERED),
                   NULL);
  if (rv != 0) {
    (void)uvdio_engine_close(w->engine, NULL); /* It ends by itself, without the writer. */
    return fail(w, "uvdio_adopt", rv);
  }
  return 0;
}

void UvWriterSetTracer(struct UvWriter* w, struct raft_tracer* tracer) {
  w->tracer = tracer;
}

static void on_written(uvdio_req_t* done, ssize_t result, uvdio_buf_t* bufs, unsigned count) {
  struct UvWriterReq* req = done->data;

  (void)bufs; /* views */
  (void)count;
  assert(result < 0 || (size_t)result == req->len);
  req->status = result < 0 ? fail(req->writer, "write", (int)result) : 0;
  req->cb(req, req->status);
}

int UvWriterSubmit(struct UvWriter* w, struct UvWriterReq* req, const uv_buf_t bufs[], unsigned n,
                   size_t offset, UvWriterReqCb cb) {
  uvdio_buf_t on_stack[VIEWS_ON_STACK];
  uvdio_buf_t* views = n <= VIEWS_ON_STACK ? on_stack : calloc(n, sizeof(*views));
  unsigned i;
  int rv;

  assert(!w->closing);
  assert(n > 0);
  if (views == NULL) {
    return fail(w, "calloc", UV_ENOMEM);
  }
  memset(&req->req, 0, sizeof(req->req)); /* It may be fresh memory: raft does not zero it. */
  req->req.data = req;
  req->writer = w;
  req->cb = cb;
  req->status = -1;
  req->len = 0;
  for (i = 0; i < n; i++) {
    views[i] = uvdio_buf_view_bytes(bufs[i].base, bufs[i].len);
    req->len += bufs[i].len;
  }
  rv = uvdio_writev_flags(&w->file, &req->req, views, n, offset, UVDIO_WRITE_DURABLE, on_written);
  if (views != on_stack) {
    free(views);
  }
  return rv == 0 ? 0 : fail(w, "write", rv);
}

static void on_closed(uvdio_engine_t* engine) {
  struct UvWriter* w = uvdio_engine_data(engine);

  if (w->close_cb != NULL) {
    w->close_cb(w);
  }
}

void UvWriterClose(struct UvWriter* w, UvWriterCloseCb cb) {
  int rv;

  assert(!w->closing);
  w->closing = true;
  w->close_cb = cb;
  rv = uvdio_engine_cancel(w->engine);
  assert(rv == 0);
  rv = uvdio_engine_close(w->engine, on_closed); /* with the file */
  assert(rv == 0);
  (void)rv;
}
