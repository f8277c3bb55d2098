/* SPDX-License-Identifier: MIT */
#include "appends/run.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>
#include <uvdio/append.h>

#include "cli/session.h"

#define DEPTH_MAX 1024

typedef struct run_s run_t;

/* One of those in flight. */
typedef struct slot_s {
  run_t* run;
  uvdio_buf_t buf;
  uvdio_req_t req;
  uvdio_append_t append;
} slot_t;

struct run_s {
  const appends_params_t* params;
  session_t session;
  uvdio_file_t file;
  uvdio_appender_t* appender;
  slot_t slots[DEPTH_MAX];
  uint64_t begun;
  int64_t error;
};

static const char* const names[APPENDS_METHODS] = {
    [APPENDS_WRITTEN] = "written", [APPENDS_EXTENDING] = "extending", [APPENDS_SINGLE] = "single",
    [APPENDS_GROWING] = "growing", [APPENDS_GATHERED] = "gathered",
};

const char* appends_method_name(appends_method_t method) {
  return names[method];
}

static void note(run_t* run, int64_t result) {
  if (result < 0 && run->error == 0) {
    run->error = result;
  }
}

static int may_begin(const run_t* run) {
  return run->error == 0 && run->begun < run->params->count;
}

/*
 * Plain writes
 */

static void write_next(slot_t* slot);

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  slot->buf = buf;
  note(slot->run, result);
  write_next(slot);
}

static void write_next(slot_t* slot) {
  run_t* run = slot->run;
  unsigned flags = run->params->is_durable ? UVDIO_WRITE_DURABLE : 0;
  if (may_begin(run)) {
    uint64_t offset = run->begun++ * run->params->block_size;
    note(run, uvdio_write_flags(&run->file, &slot->req, &slot->buf, offset, flags, on_written));
  }
}

/*
 * Appends
 */

static void append_next(slot_t* slot);

static void on_appended(uvdio_append_t* append, int64_t result) {
  slot_t* slot = append->data;
  note(slot->run, result);
  append_next(slot);
}

static void append_next(slot_t* slot) {
  run_t* run = slot->run;
  if (may_begin(run)) {
    run->begun++;
    note(run, uvdio_append(run->appender, &slot->append, slot->buf.base, run->params->block_size, 0,
                           on_appended));
  }
}

static void on_closed(uvdio_append_t* append, int64_t result) {
  note(append->data, result);
}

static int open_appender(run_t* run, appends_method_t method) {
  const appends_params_t* params = run->params;
  uvdio_appender_options_t options = {.flags =
                                          (params->is_durable ? UVDIO_APPEND_DURABLE : 0) |
                                          (method == APPENDS_SINGLE ? UVDIO_APPEND_NO_GROWTH : 0)};
  if (method != APPENDS_GATHERED) {
    options.buffer_size = params->block_size;
    options.buffer_count = params->depth;
  }
  return uvdio_appender_create(&run->appender, &run->file, &options);
}

static int close_appender(run_t* run) {
  uvdio_append_t close = {.data = run};
  int error = uvdio_appender_close(run->appender, &close, on_closed);
  session_run(&run->session);
  return error;
}

/*
 * One run
 */

static int make_buffers(run_t* run) {
  int error = 0;
  for (unsigned i = 0; i < run->params->depth && error == 0; i++) {
    slot_t* slot = &run->slots[i];
    slot->run = run;
    slot->req.data = slot;
    slot->append.data = slot;
    error = uvdio_buf_alloc(&slot->buf, run->params->block_size, UVDIO_BUF_ZEROED);
    slot->buf.len = run->params->block_size;
  }
  return error;
}

static int open_file(run_t* run, appends_method_t method) {
  const unsigned flags = UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE;
  uint64_t size = run->params->count * run->params->block_size;
  uvdio_req_t req = {0};
  int error =
      uvdio_open(run->session.engine, &run->file, &req, run->params->path, flags, 0600, NULL);
  if (error == 0 && method == APPENDS_WRITTEN) {
    error = uvdio_preallocate(&run->file, &req, 0, size, UVDIO_SPACE_WRITTEN, NULL);
  }
  if (error == 0) {
    error = uvdio_sync_all(&run->file, &req, NULL);
  }
  return error;
}

static double measure(run_t* run, appends_method_t method) {
  uint64_t began_ns = uv_hrtime();
  for (unsigned i = 0; i < run->params->depth; i++) {
    (method <= APPENDS_EXTENDING ? write_next : append_next)(&run->slots[i]);
  }
  session_run(&run->session);
  return (double)run->params->count * 1e9 / (double)(uv_hrtime() - began_ns);
}

static int run_method(run_t* run, appends_method_t method, double* rate, const char** failed) {
  *failed = "make buffers for";
  int error = make_buffers(run);
  if (error == 0) {
    *failed = "open";
    error = open_file(run, method);
  }
  if (error == 0 && method > APPENDS_EXTENDING) {
    *failed = "begin to append to";
    error = open_appender(run, method);
  }
  if (error == 0) {
    *failed = "append to";
    *rate = measure(run, method);
    error = run->appender != NULL ? close_appender(run) : 0;
  }
  return error != 0 ? error : (int)run->error;
}

static void give_back(run_t* run) {
  for (unsigned i = 0; i < run->params->depth; i++) {
    (void)uvdio_buf_release(&run->slots[i].buf);
  }
  session_close(&run->session); /* which closes the file */
  (void)unlink(run->params->path);
}

int appends_run(const appends_params_t* params, appends_method_t method, double* rate,
                const char** failed) {
  static run_t run;
  uvdio_engine_options_t options = {.backend = params->backend};
  assert(params->depth > 0 && params->depth <= DEPTH_MAX);
  memset(&run, 0, sizeof run);
  run.params = params;
  *failed = "start an engine for";
  int error = session_open(&run.session, &options);
  if (error != 0) {
    return error;
  }
  error = run_method(&run, method, rate, failed);
  give_back(&run);
  return error;
}
