/* SPDX-License-Identifier: MIT */
/*
 * A file whose size changes. One step: preallocate to a larger size (reserved, or written space,
 * also where slots were written before) or truncate to a smaller one, and a sync that is submitted
 * while that is in flight; then writes to some of the slots below the size, and a sync that is
 * submitted while those are. Slots that were not written, or were cut off, must read as zeros.
 */
#include <stdlib.h>

#include "writer.h"

#define SLOTS 64
#define PAGES_MAX 4
#define WRITES_MAX 12
#define SHRINKS_IN 4 /* one step in so many */

struct space {
  uvdio_req_t req; /* the change of size */
  struct writer* writer;
  unsigned slots;   /* below the size */
  unsigned waiting; /* operations of this part of the step */
};

static void layout(struct model* model, struct random* random) {
  model_add_file(model, "space");
  for (unsigned i = 0; i < SLOTS; i++) {
    model_add_slot(model, UVDIO_PAGE_SIZE * (1 + random_below(random, PAGES_MAX)));
  }
}

static int prepare(struct writer* writer) {
  struct space* space = calloc(1, sizeof(*space));
  writer->state = space;
  space->writer = writer;
  return writer_open(writer, UVDIO_OPEN_RW);
}

static uint64_t size_of(const struct space* space) {
  const struct model* model = space->writer->model;
  return space->slots == SLOTS ? file_end(model, &model->files[0])
                               : model->slots[space->slots].offset;
}

/*
 * The second part: writes below the size. When all is done, the next step begins.
 */

static void part_done(struct writer* writer, void* context) {
  struct space* space = context;
  if (--space->waiting == 0) {
    work_space.go_on(writer);
  }
}

static void write_done(struct writer* writer, struct slot* slot, void* context) {
  (void)slot;
  part_done(writer, context);
}

static void write_some(struct space* space) {
  struct writer* writer = space->writer;
  struct file* file = &writer->model->files[0];
  unsigned count = random_below(&writer->random, WRITES_MAX);
  space->waiting = 1;
  for (unsigned i = 0; i < count && space->slots > 0 && !writer->stopped; i++) {
    struct slot* slot = &writer->model->slots[random_below(&writer->random, space->slots)];
    if (!slot->busy) {
      space->waiting++;
      writer_write(writer, &writer->file, file, slot, write_done, space);
    }
  }
  if (!writer->stopped) {
    writer_sync(writer, &writer->file, file, UINT64_MAX, part_done, space);
  }
}

/*
 * The first part: the size.
 */

static void size_part_done(struct writer* writer, void* context) {
  struct space* space = context;
  if (--space->waiting == 0 && !writer->stopped) {
    write_some(space);
  }
}

static void on_resized(uvdio_req_t* req, int64_t result) {
  struct space* space = req->data;
  struct writer* writer = space->writer;
  if (result != 0) {
    writer_stop(writer, result);
    return;
  }
  size_reached(writer->model, &writer->model->files[0], size_of(space), VISIBLE);
  size_part_done(writer, space);
}

static void choose_size(struct space* space, int* shrinks) {
  struct random* random = &space->writer->random;
  *shrinks = space->slots == SLOTS || (space->slots > 0 && random_below(random, SHRINKS_IN) == 0);
  space->slots = *shrinks ? random_below(random, space->slots)
                          : space->slots + 1 + random_below(random, SLOTS - space->slots);
}

static void go_on(struct writer* writer) {
  struct space* space = writer->state;
  struct file* file = &writer->model->files[0];
  int shrinks;
  choose_size(space, &shrinks);
  unsigned flags = random_below(&writer->random, 2) == 0 ? 0 : UVDIO_SPACE_WRITTEN;
  uint64_t size = size_of(space);
  size_submit(writer->model, file, size);
  space->req.data = space;
  space->waiting = 2;
  int error = shrinks ? uvdio_truncate(&writer->file, &space->req, size, on_resized)
                      : uvdio_preallocate(&writer->file, &space->req, 0, size, flags, on_resized);
  if (error != 0) {
    writer_stop(writer, error);
  } else {
    writer_sync(writer, &writer->file, file, size, size_part_done, space);
  }
}

const struct work work_space = {
    .name = "space", .layout = layout, .prepare = prepare, .go_on = go_on};
