/* SPDX-License-Identifier: MIT */
/*
 * Many small files, a few at a time, relative to their open directory. Each gets its name, and its
 * content, in one of three ways:
 *
 *   create    open (the first time: create), write, sync, close, sync the directory: the content
 *             counts from the file's sync on, the name from the directory's
 *   replace   another file is written, and replaces the one of that name: both count, at once
 *   link      a file without a name is written, synced, and linked, if the name is new: the content
 *             counts from there on, the name from a sync of the file and one of the directory on,
 *             of which the second one alone is a success at times when the disk is gone
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
  uvdio_file_t directory;
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
  uvdio_req_t req = {0};
  writer->state = names;
  for (unsigned i = 0; i < CHAINS; i++) {
    names->chains[i].writer = writer;
    names->chains[i].req.data = &names->chains[i];
  }
  return uvdio_open(writer->engine, &names->directory, &req, writer->dir, UVDIO_O_DIRECTORY, 0,
                    NULL);
}

static void start(struct chain* chain);

static uvdio_file_t* directory_of(const struct chain* chain) {
  struct names* names = chain->writer->state;
  return &names->directory;
}

static struct slot* slot_of(const struct chain* chain) {
  return &chain->writer->model->slots[chain->file->first];
}

static void reached(const struct chain* chain, enum promise promise) {
  struct slot* slot = slot_of(chain);
  slot_reached(chain->writer->model, chain->file, slot, slot->submitted, promise);
}

/* Whether the chain goes on after this. */
static int went_well(const struct chain* chain, int64_t result) {
  if (result != 0) {
    writer_stop(chain->writer, result);
  }
  return result == 0;
}

/*
 * The end of each
 */

static void on_directory_synced(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    name_reached(chain->writer->model, chain->file, DURABLE);
    start(chain);
  }
}

static void on_closed(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    (void)went_well(chain, uvdio_sync_all(directory_of(chain), req, on_directory_synced));
  }
}

static void close_and_go_on(struct chain* chain) {
  (void)went_well(chain, uvdio_close(&chain->open_file, &chain->req, on_closed));
}

/*
 * By creation
 */

static void synced(struct writer* writer, void* context) {
  (void)writer;
  close_and_go_on(context);
}

static void written(struct writer* writer, struct slot* slot, void* context) {
  struct chain* chain = context;
  (void)slot;
  writer_sync(writer, &chain->open_file, chain->file, UINT64_MAX, synced, chain);
}

static void on_created(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    name_reached(chain->writer->model, chain->file, VISIBLE);
    writer_write(chain->writer, &chain->open_file, chain->file, slot_of(chain), written, chain);
  }
}

static int create(struct chain* chain) {
  unsigned flags = UVDIO_OPEN_RW | (chain->file->tried ? 0 : UVDIO_O_EXCLUSIVE);
  name_submit(chain->file);
  return uvdio_open_at(directory_of(chain), &chain->open_file, &chain->req, chain->file->name,
                       flags, 0600, on_created);
}

/*
 * By a replace
 */

static void on_replaced(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    for (int promise = 0; promise < PROMISES; promise++) {
      reached(chain, (enum promise)promise);
      name_reached(chain->writer->model, chain->file, (enum promise)promise);
    }
    close_and_go_on(chain);
  }
}

static void substitute_written(struct writer* writer, struct slot* slot, void* context) {
  struct chain* chain = context;
  (void)slot;
  if (writer->defect == DEFECT_EARLY) {
    reached(chain, DURABLE);
    name_reached(writer->model, chain->file, DURABLE);
  }
  (void)went_well(chain, uvdio_replace_at(&chain->open_file, &chain->req, directory_of(chain),
                                          chain->file->name, on_replaced));
}

static void on_substitute_opened(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    writer_write_hidden(chain->writer, &chain->open_file, chain->file, slot_of(chain),
                        substitute_written, chain);
  }
}

static int replace(struct chain* chain) {
  char name[24];
  snprintf(name, sizeof(name), ".%s", chain->file->name);
  name_submit(chain->file);
  return uvdio_open_at(directory_of(chain), &chain->open_file, &chain->req, name, UVDIO_OPEN_CREATE,
                       0600, on_substitute_opened);
}

/*
 * By a link
 */

static void on_named_synced(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    close_and_go_on(chain);
  }
}

static void on_linked(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    reached(chain, VISIBLE);
    reached(chain, DURABLE);
    name_reached(chain->writer->model, chain->file, VISIBLE);
    (void)went_well(chain, uvdio_sync_all(&chain->open_file, req, on_named_synced));
  }
}

static void on_nameless_synced(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    (void)went_well(chain, uvdio_link_file_at(&chain->open_file, req, directory_of(chain),
                                              chain->file->name, on_linked));
  }
}

static void nameless_written(struct writer* writer, struct slot* slot, void* context) {
  struct chain* chain = context;
  (void)writer;
  (void)slot;
  (void)went_well(chain, uvdio_sync_data(&chain->open_file, &chain->req, on_nameless_synced));
}

static void on_nameless_opened(uvdio_req_t* req, int64_t result) {
  struct chain* chain = req->data;
  if (went_well(chain, result)) {
    writer_write_hidden(chain->writer, &chain->open_file, chain->file, slot_of(chain),
                        nameless_written, chain);
  }
}

static int link_new(struct chain* chain) {
  name_submit(chain->file);
  return uvdio_open_at(directory_of(chain), &chain->open_file, &chain->req, ".",
                       UVDIO_O_ANONYMOUS | UVDIO_O_RDWR, 0600, on_nameless_opened);
}

/*
 * All of it
 */

static void start(struct chain* chain) {
  struct writer* writer = chain->writer;
  struct names* names = writer->state;
  if (writer->stopped) {
    return;
  }
  chain->file = &writer->model->files[names->next];
  names->next = (names->next + 1) % FILES;
  unsigned way = random_below(&writer->random, 3);
  int error = way == 0                         ? create(chain)
              : way == 1 || chain->file->tried ? replace(chain)
                                               : link_new(chain);
  (void)went_well(chain, error);
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

const struct work work_names = {
    .name = "names", .layout = layout, .prepare = prepare, .go_on = go_on};
