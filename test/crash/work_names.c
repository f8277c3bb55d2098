/* SPDX-License-Identifier: MIT */
/*
 * Many small files, a few at a time: open (the first time: create), write, sync, close, and a sync
 * of the directory, which the library leaves to the program. Only then the name counts as durable;
 * the content does from the file's own sync on.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "writer.h"

#define FILES 48
#define CHAINS 4 /* files at a time */
#define PAGES_MAX 4

struct chain {
  uvdio_file_t open_file;
  uvdio_req_t req;
  struct writer* writer;
  struct file* file;
};

struct names {
  unsigned next; /* file */
  int started;
  struct chain chains[CHAINS];
};

static void layout(struct model* model, struct random* random) {
  char name[16];
  for (unsigned i = 0; i < FILES; i++) {
    snprintf(name, sizeof(name), "name-%u", i);
    model_add_file(model, name);
    model_add_slot(model, UVDIO_PAGE_SIZE * (1 + random_below(random, PAGES_MAX)));
  }
}

static int prepare(struct writer* writer) {
  struct names* names = calloc(1, sizeof(*names));
  writer->state = names;
  for (unsigned i = 0; i < CHAINS; i++) {
    names->chains[i].writer = writer;
  }
  return 0;
}

static void start(struct chain* chain);

static void on_closed(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  struct writer* writer = chain->writer;
  int64_t error = result != 0 ? result : writer_sync_directory(writer);
  if (error != 0) {
    writer_stop(writer, error);
    return;
  }
  name_reached(writer->model, chain->file, DURABLE);
  start(chain);
}

static void synced(struct writer* writer, void* context) {
  struct chain* chain = context;
  int error = uvdio_close(&chain->open_file, &chain->req, on_closed);
  if (error != 0) {
    writer_stop(writer, error);
  }
}

static void written(struct writer* writer, struct slot* slot, void* context) {
  struct chain* chain = context;
  (void)slot;
  writer_sync(writer, &chain->open_file, chain->file, UINT64_MAX, synced, chain);
}

static void on_opened(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  struct writer* writer = chain->writer;
  if (result != 0) {
    writer_stop(writer, result);
    return;
  }
  name_reached(writer->model, chain->file, VISIBLE);
  writer_write(writer, &chain->open_file, chain->file, &writer->model->slots[chain->file->first],
               written, chain);
}

static void start(struct chain* chain) {
  struct writer* writer = chain->writer;
  struct names* names = writer->state;
  char path[256];
  if (writer->stopped) {
    return;
  }
  chain->file = &writer->model->files[names->next];
  names->next = (names->next + 1) % FILES;
  snprintf(path, sizeof(path), "%.200s/%s", writer->dir, chain->file->name);
  unsigned flags = UVDIO_OPEN_RW | (chain->file->tried ? 0 : UVDIO_O_EXCLUSIVE);
  name_submit(chain->file);
  chain->req.data = chain;
  int error =
      uvdio_open(writer->engine, &chain->open_file, &chain->req, path, flags, 0600, on_opened);
  if (error != 0) {
    writer_stop(writer, error);
  }
}

/* Once; the chains go on by themselves. */
static void go_on(struct writer* writer) {
  struct names* names = writer->state;
  static_assert(CHAINS < FILES, "a file is left that no chain renames");
  for (unsigned i = 0; i < CHAINS && !names->started; i++) {
    start(&names->chains[i]);
  }
  names->started = 1;
}

const struct work work_names = {"names", layout, prepare, go_on};
