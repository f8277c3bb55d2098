/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 64
#define DEPTHS 3

void writer_stop(struct writer* writer, int64_t error) {
  if (!writer->stopped) {
    writer->stopped = 1;
    writer->model->error = (int)error;
  }
}

static void go_on(struct writer* writer) {
  if (!writer->stopped) {
    writer->work->go_on(writer);
  }
}

int writer_sync_directory(const struct writer* writer) {
  int fd = open(writer->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int failed = fd < 0 || fsync(fd) != 0;
  int error = failed ? uv_translate_sys_error(errno) : 0;
  if (fd >= 0) {
    close(fd);
  }
  return error;
}

int writer_open(struct writer* writer, unsigned flags) {
  char path[256];
  uvdio_req_t req = {0};
  struct file* file = &writer->model->files[0];
  snprintf(path, sizeof(path), "%.200s/%s", writer->dir, file->name);
  name_submit(file);
  int error = uvdio_open(writer->engine, &writer->file, &req, path, flags, 0600, NULL);
  error = error != 0 ? error : writer_sync_directory(writer);
  if (error == 0) {
    name_reached(writer->model, file, VISIBLE);
    name_reached(writer->model, file, DURABLE);
  }
  return error;
}

/*
 * Writes.
 */

struct write_job {
  uvdio_req_t req;
  struct writer* writer;
  struct file* file;
  struct slot* slot;
  uint32_t version;
  written_cb then;
  void* context;
  int is_hidden; /* the file is not the one of that name yet */
};

static void note_written(struct writer* writer, struct file* file, struct slot* slot,
                         uint32_t version) {
  slot_reached(writer->model, file, slot, version, VISIBLE);
  if (writer->is_durable) {
    slot_reached(writer->model, file, slot, version, DURABLE);
  }
}

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct write_job job = *(struct write_job*)req->data;
  struct writer* writer = job.writer;
  free(req->data);
  uvdio_buf_release(&buf);
  writer->writes--;
  job.slot->busy = 0;
  if (result != (ssize_t)job.slot->size) {
    writer_stop(writer, result);
    return;
  }
  if (!job.is_hidden) {
    note_written(writer, job.file, job.slot, job.version);
  }
  if (job.then != NULL && !writer->stopped) {
    job.then(writer, job.slot, job.context);
  } else {
    go_on(writer);
  }
}

static uvdio_buf_t make_buffer(struct writer* writer, const struct file* file,
                               const struct slot* slot, uint32_t version) {
  uvdio_buf_t buf;
  int error = writer->arena != NULL ? uvdio_arena_acquire(writer->arena, &buf)
                                    : uvdio_buf_alloc(&buf, slot->size, 0);
  error = error != 0 ? error : uvdio_buf_set_len(&buf, slot->size);
  assert(error == 0);
  (void)error;
  content_fill(buf.base, slot->size, writer->model->seed, (unsigned)(file - writer->model->files),
               slot->offset, version);
  return buf;
}

int writer_put(struct writer* writer, struct slot* slot) {
  uvdio_req_t req = {0};
  struct file* file = &writer->model->files[0];
  uint32_t version = slot_submit(file, slot);
  uvdio_buf_t buf = make_buffer(writer, file, slot, version);
  int error = uvdio_write_flags(&writer->file, &req, &buf, slot->offset, writer->how, NULL);
  uvdio_buf_release(&buf);
  if (error == 0) {
    note_written(writer, file, slot, version);
  }
  return error;
}

static void write_slot(struct writer* writer, uvdio_file_t* open_file, struct file* file,
                       struct slot* slot, written_cb then, void* context, int is_hidden) {
  struct write_job* job = calloc(1, sizeof(*job));
  assert(job != NULL && !slot->busy);
  *job = (struct write_job){{0},  writer,  file,     slot, slot_submit(file, slot),
                            then, context, is_hidden};
  job->req.data = job;
  uvdio_buf_t buf = make_buffer(writer, file, slot, job->version);
  int error = uvdio_write_flags(open_file, &job->req, &buf, slot->offset, writer->how, on_written);
  if (error != 0) {
    uvdio_buf_release(&buf);
    free(job);
    writer_stop(writer, error);
    return;
  }
  writer->writes++;
  slot->busy = 1;
  if (writer->defect == DEFECT_EARLY) {
    note_written(writer, file, slot, slot->submitted);
  }
}

void writer_write(struct writer* writer, uvdio_file_t* open_file, struct file* file,
                  struct slot* slot, written_cb then, void* context) {
  write_slot(writer, open_file, file, slot, then, context, 0);
}

void writer_write_hidden(struct writer* writer, uvdio_file_t* open_file, struct file* file,
                         struct slot* slot, written_cb then, void* context) {
  write_slot(writer, open_file, file, slot, then, context, 1);
}

/*
 * Syncs.
 */

struct sync_job {
  uvdio_req_t req;
  struct writer* writer;
  struct file* file;
  uint64_t size;
  synced_cb then;
  void* context;
  uint32_t versions[SLOTS_MAX]; /* submitted before it */
};

static void note_durable(struct sync_job* job) {
  struct model* model = job->writer->model;
  if (job->size != UINT64_MAX) {
    size_reached(model, job->file, job->size, DURABLE);
  }
  for (unsigned i = 0; i < job->file->count; i++) {
    if (job->versions[i] != 0) {
      slot_reached(model, job->file, &model->slots[job->file->first + i], job->versions[i],
                   DURABLE);
    }
  }
}

/* Versions that a truncate has taken away are not among those that a sync covers. */
static uint32_t covered_version(const struct slot* slot) {
  return slot->bounds[DURABLE].low > slot->submitted ? 0 : slot->submitted;
}

static void note_covered(struct sync_job* job) {
  for (unsigned i = 0; i < job->file->count && job->size == UINT64_MAX; i++) {
    job->versions[i] = covered_version(&job->writer->model->slots[job->file->first + i]);
  }
}

/* A write that failed has been called back before the sync that covers it, and has stopped the
 * writer. */
static void on_synced(uvdio_req_t* req, int64_t result) {
  struct sync_job* job = req->data;
  struct writer* writer = job->writer;
  synced_cb then = job->then;
  void* context = job->context;
  if (result != 0) {
    writer_stop(writer, result);
  } else if (!writer->stopped) {
    if (writer->defect == DEFECT_WIDE) {
      note_covered(job);
    }
    note_durable(job);
  }
  free(job);
  if (then != NULL && !writer->stopped) {
    then(writer, context);
  } else {
    go_on(writer);
  }
}

void writer_sync(struct writer* writer, uvdio_file_t* open_file, struct file* file, uint64_t size,
                 synced_cb then, void* context) {
  struct sync_job* job = calloc(1, sizeof(*job));
  assert(job != NULL);
  *job = (struct sync_job){
      .writer = writer, .file = file, .size = size, .then = then, .context = context};
  job->req.data = job;
  note_covered(job);
  int all = (int)random_below(&writer->random, 2);
  int error = all ? uvdio_sync_all(open_file, &job->req, on_synced)
                  : uvdio_sync_data(open_file, &job->req, on_synced);
  if (error != 0) {
    free(job);
    writer_stop(writer, error);
  } else if (writer->defect == DEFECT_EARLY) {
    note_durable(job);
  }
}

/*
 * The whole.
 */

/* A depth below the width makes writes wait in the library, too. */
static int open_engine(struct writer* writer) {
  static const unsigned depths[DEPTHS] = {2, 16, 256};
  uvdio_engine_options_t options = {.backend = writer->backend,
                                    .depth = depths[random_below(&writer->random, DEPTHS)]};
  uvdio_arena_options_t arena = {.frame_size = SLOT_SIZE_MAX, .frame_count = FRAMES};
  int error = uv_loop_init(&writer->loop);
  error = error != 0 ? error : uvdio_engine_create(&writer->engine, &writer->loop, &options);
  if (error == 0 && random_below(&writer->random, 2)) {
    error = uvdio_arena_create(&writer->arena, &arena);
  }
  writer->width = 1 + random_below(&writer->random, 16);
  return error;
}

static int close_engine(struct writer* writer) {
  size_t out = 0;
  int error = uvdio_engine_close(writer->engine, NULL);
  uv_run(&writer->loop, UV_RUN_DEFAULT);
  error = error != 0 || writer->arena == NULL ? error : uvdio_arena_destroy(writer->arena, &out);
  return error != 0 ? error : uv_loop_close(&writer->loop);
}

/* A file that another backend executes would show nothing about the one that was asked for. */
static int check_backend(const struct writer* writer) {
  uvdio_file_info_t info;
  const char* wanted = writer->backend == UVDIO_BACKEND_RING  ? "ring"
                       : writer->backend == UVDIO_BACKEND_AIO ? "aio"
                                                              : "pool";
  if (uvdio_file_info(&writer->file, &info) != 0 || strcmp(info.backend, wanted) == 0) {
    return 0;
  }
  fprintf(stderr, "# files are executed by %s: %s\n", info.backend, info.reason);
  return UVDIO_EBACKEND;
}

int writer_run(struct writer* writer, void (*ready)(void* context), void* context) {
  int error = open_engine(writer);
  error = error != 0 ? error : writer->work->prepare(writer);
  error = error != 0 ? error : check_backend(writer);
  if (error == 0) {
    ready(context);
    go_on(writer);
    uv_run(&writer->loop, UV_RUN_DEFAULT);
    error = close_engine(writer);
  }
  free(writer->state);
  if (error != 0) {
    fprintf(stderr, "# the writer: %s\n", uvdio_strerror(error));
  }
  return error == 0 ? 0 : -1;
}
