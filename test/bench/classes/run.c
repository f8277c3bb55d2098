/* SPDX-License-Identifier: MIT */
#include "classes/run.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/pattern.h"
#include "cli/session.h"

#define PAGE ((size_t)4096)
#define FILES 4

enum { FILE_DATA, FILE_LOG, FILE_SOURCE, FILE_TARGET };

static const char* const names[FILES] = {"data", "log", "source", "target"};
static const unsigned class_of[FILES] = {UVDIO_CLASS_FOREGROUND, UVDIO_CLASS_LOG,
                                         UVDIO_CLASS_BACKGROUND, UVDIO_CLASS_BACKGROUND};

typedef struct run_s run_t;

/* One request at a time. */
typedef struct slot_s {
  run_t* run;
  int load;
  uvdio_req_t req;
  uvdio_buf_t buf;
  uint64_t offset;
  uint64_t began_ns;
} slot_t;

struct run_s {
  const classes_params_t* params;
  session_t session;
  uvdio_file_t files[FILES];
  slot_t* slots;
  unsigned slot_count;
  uint64_t random;
  uint64_t log_end;
  uint64_t copied;
  uint64_t deadline_ns;
  meter_t meters[LOADS];
  int error;
};

static void path_of(const classes_params_t* params, int file, char* path, size_t size) {
  (void)snprintf(path, size, "%s/%s", params->directory, names[file]);
}

/*
 * The loads
 */

static void begin(slot_t* slot);

static uint64_t advance(const run_t* run, uint64_t* position, size_t length) {
  uint64_t offset = *position;
  *position = offset + 2 * length > run->params->file_size ? 0 : offset + length;
  return offset;
}

static void end(slot_t* slot, ssize_t result, uvdio_buf_t buf) {
  run_t* run = slot->run;
  slot->buf = buf;
  if (result < 0) {
    run->error = (int)result;
    return;
  }
  meter_record(&run->meters[slot->load], slot->began_ns, uv_hrtime(), (size_t)result);
  begin(slot);
}

static void on_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  end(req->data, result, buf);
}

/* What was read is written. */
static void on_source_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  int error = 0;
  slot->buf = buf;
  if (result >= 0) {
    error = uvdio_write(&slot->run->files[FILE_TARGET], req, &slot->buf, slot->offset, on_done);
  }
  if (result < 0 || error != 0) {
    slot->run->error = result < 0 ? (int)result : error;
  }
}

static int submit(slot_t* slot) {
  run_t* run = slot->run;
  uint64_t pages = run->params->file_size / PAGE;
  switch (slot->load) {
    case LOAD_READS:
      return uvdio_read(&run->files[FILE_DATA], &slot->req, &slot->buf,
                        random_next(&run->random) % pages * PAGE, on_done);
    case LOAD_LOG:
      slot->buf.len = PAGE;
      return uvdio_write_flags(&run->files[FILE_LOG], &slot->req, &slot->buf,
                               advance(run, &run->log_end, PAGE), UVDIO_WRITE_DURABLE, on_done);
    default:
      slot->offset = advance(run, &run->copied, run->params->block_size);
      return uvdio_read(&run->files[FILE_SOURCE], &slot->req, &slot->buf, slot->offset,
                        on_source_read);
  }
}

static void begin(slot_t* slot) {
  run_t* run = slot->run;
  slot->began_ns = uv_hrtime();
  if (run->error == 0 && slot->began_ns < run->deadline_ns) {
    run->error = submit(slot);
  }
}

/*
 * One run
 */

static int add_slots(run_t* run, int load, unsigned count, size_t size) {
  int error = 0;
  for (unsigned i = 0; i < count && error == 0; i++) {
    slot_t* slot = &run->slots[run->slot_count];
    slot->run = run;
    slot->load = load;
    slot->req.data = slot;
    error = uvdio_buf_alloc(&slot->buf, size, UVDIO_BUF_ZEROED);
    run->slot_count += error == 0;
  }
  return error;
}

static int make_slots(run_t* run, unsigned loads) {
  const classes_params_t* params = run->params;
  run->slots = calloc(params->depth + 2, sizeof(*run->slots));
  int error = run->slots == NULL ? UV_ENOMEM : 0;
  if (error == 0 && (loads & 1u << LOAD_COPY) != 0) {
    error = add_slots(run, LOAD_COPY, params->depth, params->block_size);
  }
  if (error == 0 && (loads & 1u << LOAD_READS) != 0) {
    error = add_slots(run, LOAD_READS, 1, PAGE);
  }
  if (error == 0 && (loads & 1u << LOAD_LOG) != 0) {
    error = add_slots(run, LOAD_LOG, 1, PAGE);
  }
  return error;
}

static int open_files(run_t* run, int with_classes) {
  uvdio_req_t req = {0};
  int error = 0;
  if (with_classes) {
    error = uvdio_engine_set_device_model(run->session.engine, &run->params->model);
  }
  for (int i = 0; i < FILES && error == 0; i++) {
    char path[512];
    path_of(run->params, i, path, sizeof path);
    error = uvdio_open(run->session.engine, &run->files[i], &req, path, UVDIO_OPEN_RW, 0600, NULL);
    if (error == 0) {
      error = uvdio_file_set_class(&run->files[i], class_of[i]);
    }
  }
  return error;
}

static int run_loads(run_t* run, unsigned loads, int with_classes, const char** failed) {
  *failed = "make buffers for";
  int error = make_slots(run, loads);
  if (error == 0) {
    *failed = "open";
    error = open_files(run, with_classes);
  }
  if (error != 0) {
    return error;
  }
  *failed = "read and write in";
  for (int load = 0; load < LOADS; load++) {
    meter_start(&run->meters[load]);
  }
  run->deadline_ns = uv_hrtime() + run->params->duration_ns;
  for (unsigned i = 0; i < run->slot_count; i++) {
    begin(&run->slots[i]);
  }
  session_run(&run->session);
  return run->error;
}

static void give_back(run_t* run) {
  for (unsigned i = 0; i < run->slot_count; i++) {
    (void)uvdio_buf_release(&run->slots[i].buf);
  }
  free(run->slots);
  session_close(&run->session); /* which closes the files */
}

int classes_run(const classes_params_t* params, unsigned loads, int with_classes,
                meter_figures_t figures[LOADS], const char** failed) {
  static run_t run;
  uvdio_engine_options_t options = {.backend = params->backend};
  memset(&run, 0, sizeof run);
  run.params = params;
  run.random = 1;
  *failed = "start an engine for";
  int error = session_open(&run.session, &options);
  if (error != 0) {
    return error;
  }
  error = run_loads(&run, loads, with_classes, failed);
  for (int load = 0; load < LOADS && error == 0; load++) {
    meter_finish(&run.meters[load], &figures[load]);
  }
  give_back(&run);
  return error;
}

/*
 * The files
 */

static int make_file(session_t* session, const classes_params_t* params, int number) {
  const unsigned flags = UVDIO_O_RDWR | UVDIO_O_CREATE | UVDIO_O_EXCLUSIVE;
  uvdio_file_t file = {0};
  uvdio_req_t req = {0};
  char path[512];
  path_of(params, number, path, sizeof path);
  int error = uvdio_open(session->engine, &file, &req, path, flags, 0600, NULL);
  if (error != 0) {
    return error;
  }
  error = uvdio_preallocate(&file, &req, 0, params->file_size, UVDIO_SPACE_WRITTEN, NULL);
  if (error == 0) {
    error = uvdio_sync_all(&file, &req, NULL);
  }
  int closed = uvdio_close(&file, &req, NULL);
  return error != 0 ? error : closed;
}

int classes_make_files(const classes_params_t* params, const char** failed) {
  session_t session;
  uvdio_engine_options_t options = {.backend = params->backend};
  *failed = "start an engine for";
  int error = session_open(&session, &options);
  if (error != 0) {
    return error;
  }
  *failed = "make files in";
  for (int i = 0; i < FILES && error == 0; i++) {
    error = make_file(&session, params, i);
  }
  session_close(&session);
  return error;
}

void classes_remove_files(const classes_params_t* params) {
  for (int i = 0; i < FILES; i++) {
    char path[512];
    path_of(params, i, path, sizeof path);
    (void)unlink(path);
  }
}
