/* SPDX-License-Identifier: MIT */
/*
 * A write-ahead log of fixed size that is used in a circle. The file is opened so that each write
 * is durable, or (records) each write asks for it, by either method or the measured one. The file
 * grows as it is written, or is reserved, or consists of written zeros, or has been written once
 * before: each has another way to the disk.
 */
#include <stdlib.h>

#include "writer.h"

#define RECORDS_MIN 16
#define RECORDS_MAX 128
#define PAGES_MAX 8 /* of a record */

enum start { GROWING, RESERVED, WRITTEN, ZEROED, STARTS };

struct log {
  unsigned next; /* slot */
};

static void layout(struct model* model, struct random* random) {
  model_add_file(model, "log");
  unsigned count = RECORDS_MIN + random_below(random, RECORDS_MAX - RECORDS_MIN);
  for (unsigned i = 0; i < count; i++) {
    model_add_slot(model, UVDIO_PAGE_SIZE * (1 + random_below(random, PAGES_MAX)));
  }
}

static int reserve(struct writer* writer, struct file* file, uint64_t size, unsigned flags) {
  uvdio_req_t req = {0};
  size_submit(writer->model, file, size);
  int error = uvdio_preallocate(&writer->file, &req, 0, size, flags, NULL);
  error = error != 0 ? error : uvdio_sync_data(&writer->file, &req, NULL);
  if (error == 0) {
    size_reached(writer->model, file, size, VISIBLE);
    size_reached(writer->model, file, size, DURABLE);
  }
  return error;
}

/* With the writes made durable by the open, or one by one. */
static int prepare_so(struct writer* writer, unsigned open_flags, unsigned how) {
  struct model* model = writer->model;
  struct file* file = &model->files[0];
  int is_bad = writer->defect == DEFECT_NO_DSYNC;
  writer->state = calloc(1, sizeof(struct log));
  writer->is_durable = 1;
  writer->how = is_bad ? 0 : how;
  int error = writer_open(writer, is_bad ? UVDIO_OPEN_RW : open_flags);
  enum start start = (enum start)random_below(&writer->random, STARTS);
  if (error == 0 && start != GROWING) {
    error = reserve(writer, file, file_end(model, file), start == ZEROED ? UVDIO_SPACE_WRITTEN : 0);
  }
  for (unsigned i = 0; error == 0 && start == WRITTEN && i < file->count; i++) {
    error = writer_put(writer, &model->slots[i]);
  }
  return error;
}

static int prepare(struct writer* writer) {
  return prepare_so(writer, UVDIO_OPEN_WAL, 0);
}

static int prepare_records(struct writer* writer) {
  static const unsigned methods[] = {0, UVDIO_WRITE_BY_DSYNC, UVDIO_WRITE_BY_SYNC};
  unsigned method = methods[random_below(&writer->random, 3)];
  return prepare_so(writer, UVDIO_OPEN_RW, UVDIO_WRITE_DURABLE | method);
}

static void go_on(struct writer* writer) {
  struct log* log = writer->state;
  struct model* model = writer->model;
  struct file* file = &model->files[0];
  while (writer->writes < writer->width && !model->slots[log->next].busy && !writer->stopped) {
    writer_write(writer, &writer->file, file, &model->slots[log->next], NULL, NULL);
    log->next = (log->next + 1) % file->count;
  }
}

const struct work work_log = {.name = "log", .layout = layout, .prepare = prepare, .go_on = go_on};
const struct work work_records = {
    .name = "records", .layout = layout, .prepare = prepare_records, .go_on = go_on};
