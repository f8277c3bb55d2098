/* SPDX-License-Identifier: MIT */
/*
 * Pages that are written in place, in no order, with a sync now and then while writes are in
 * flight. The sync covers those and none that come later; several syncs may wait at once.
 */
#include <stdlib.h>

#include "writer.h"

#define SLOTS_FEWEST 24
#define SLOTS_MOST 96
#define PAGES_MAX 4
#define SYNCS_MAX 3 /* in flight */

struct pages {
  unsigned until_sync; /* writes */
  unsigned syncs;
};

static void layout(struct model* model, struct random* random) {
  model_add_file(model, "pages");
  unsigned count = SLOTS_FEWEST + random_below(random, SLOTS_MOST - SLOTS_FEWEST);
  for (unsigned i = 0; i < count; i++) {
    model_add_slot(model, UVDIO_PAGE_SIZE * (1 + random_below(random, PAGES_MAX)));
  }
}

/* Half of the runs begin with a file whose pages are there, the others with an empty one. */
static int prepare(struct writer* writer) {
  struct model* model = writer->model;
  writer->state = calloc(1, sizeof(struct pages));
  int error = writer_open(writer, UVDIO_OPEN_RW);
  int written = (int)random_below(&writer->random, 2);
  for (unsigned i = 0; error == 0 && written && i < model->slot_count; i++) {
    error = writer_put(writer, &model->slots[i]);
  }
  return error;
}

static void sync_done(struct writer* writer, void* context) {
  struct pages* pages = context;
  pages->syncs--;
  work_pages.go_on(writer);
}

static void sync_now_and_then(struct writer* writer, struct pages* pages) {
  if (pages->until_sync > 0) {
    pages->until_sync--;
    return;
  }
  if (pages->syncs < SYNCS_MAX) {
    pages->until_sync = random_below(&writer->random, 2 * writer->width + 4);
    pages->syncs++;
    writer_sync(writer, &writer->file, &writer->model->files[0], UINT64_MAX, sync_done, pages);
  }
}

static void go_on(struct writer* writer) {
  struct pages* pages = writer->state;
  struct model* model = writer->model;
  while (writer->writes < writer->width && !writer->stopped) {
    struct slot* slot = &model->slots[random_below(&writer->random, model->slot_count)];
    if (!slot->busy) {
      writer_write(writer, &writer->file, &model->files[0], slot, NULL, NULL);
      sync_now_and_then(writer, pages);
    }
  }
}

const struct work work_pages = {
    .name = "pages", .layout = layout, .prepare = prepare, .go_on = go_on};
