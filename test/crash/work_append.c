/* SPDX-License-Identifier: MIT */
/*
 * An appender (uvdio/append.h): slots of some sectors each are appended in their order, so that
 * most begin and end within a block. They are durable one by one, or by syncs. When the last slot
 * is there, the appender is closed, and the next one goes on at an earlier slot, behind which all
 * is cut off.
 */
#include <assert.h>
#include <stdlib.h>

#include "uvdio/append.h"
#include "writer.h"

#define SECTORS_MAX 40
#define SYNC_IN 4                              /* one append in so many has a sync behind it */
#define AHEAD_MAX ((uint64_t)64 * 1024 * 1024) /* by which the file may be longer than its slots */

struct stream {
  uvdio_appender_t* appender;
  uvdio_append_t end; /* the close, or the first sync */
  struct writer* writer;
  unsigned flags; /* of each append */
  unsigned begin; /* slot */
  unsigned next;
  int is_open; /* the preparation is done, and no close is under way */
};

/* An append, or a sync behind it. */
struct job {
  uvdio_append_t append;
  struct writer* writer;
  unsigned begin;
  unsigned slot;
  uint32_t version;
  char bytes[SECTORS_MAX * SECTOR];
};

static void layout(struct model* model, struct random* random) {
  model_add_file(model, "append");
  for (unsigned i = 0; i < SLOTS_MAX; i++) {
    model_add_slot(model, SECTOR * (1 + random_below(random, SECTORS_MAX)));
  }
}

static void allow_growth(struct model* model) {
  struct file* file = &model->files[0];
  size_submit(model, file, file_end(model, file) + AHEAD_MAX);
}

static void on_freed(uvdio_append_t* append, int64_t result) {
  (void)append;
  (void)result;
}

/* Once: what is pending has ended, or ends, with the error. */
static void stop(struct writer* writer, int64_t error) {
  struct stream* stream = writer->state;
  int first = !writer->stopped;
  writer_stop(writer, error);
  if (first && stream->is_open) {
    stream->is_open = 0;
    int refused = uvdio_appender_close(stream->appender, &stream->end, on_freed);
    assert(refused == 0);
    (void)refused;
  }
}

/*
 * From one appender to the next.
 */

static void on_prepared(uvdio_append_t* append, int64_t result) {
  struct stream* stream = append->data;
  struct writer* writer = stream->writer;
  struct model* model = writer->model;
  stream->is_open = 1;
  if (result != 0) {
    stop(writer, result);
    return;
  }
  size_reached(model, &model->files[0], model->slots[stream->begin].offset, VISIBLE);
  size_reached(model, &model->files[0], model->slots[stream->begin].offset, DURABLE);
  allow_growth(model);
  writer->work->go_on(writer);
}

static int start(struct stream* stream) {
  static const unsigned flags[] = {0, UVDIO_APPEND_DURABLE, UVDIO_APPEND_NO_GROWTH,
                                   UVDIO_APPEND_EXACT_SIZE};
  struct writer* writer = stream->writer;
  struct random* random = &writer->random;
  uvdio_appender_options_t options = {.size = writer->model->slots[stream->begin].offset};
  options.flags = UVDIO_APPEND_AT_SIZE | flags[random_below(random, 4)];
  options.buffer_size = (size_t)UVDIO_PAGE_SIZE << random_below(random, 6);
  options.buffer_count = 1 + random_below(random, 6);
  options.grow_min = (uint64_t)UVDIO_PAGE_SIZE << random_below(random, 9);
  stream->next = stream->begin;
  stream->flags = random_below(random, 2) == 0 ? 0 : UVDIO_APPEND_DURABLE;
  stream->end.data = stream;
  writer->is_durable = stream->flags != 0 || (options.flags & UVDIO_APPEND_DURABLE) != 0;
  size_submit(writer->model, &writer->model->files[0], options.size);
  int error = uvdio_appender_create(&stream->appender, &writer->file, &options);
  return error != 0 ? error : uvdio_appender_sync(stream->appender, &stream->end, on_prepared);
}

static void on_closed(uvdio_append_t* append, int64_t result) {
  struct stream* stream = append->data;
  struct writer* writer = stream->writer;
  stream->begin = random_below(&writer->random, SLOTS_MAX);
  int error = result != 0 ? (int)result : start(stream);
  if (error != 0) {
    stop(writer, error);
  }
}

static void close_stream(struct stream* stream) {
  stream->is_open = 0;
  int error = uvdio_appender_close(stream->appender, &stream->end, on_closed);
  if (error != 0) {
    stop(stream->writer, error);
  }
}

static int prepare(struct writer* writer) {
  struct stream* stream = calloc(1, sizeof(*stream));
  assert(stream != NULL);
  writer->state = stream;
  stream->writer = writer;
  int error = writer_open(writer, UVDIO_OPEN_RW);
  return error != 0 ? error : start(stream);
}

/*
 * Appends and syncs.
 */

static void note_slot(const struct job* job, unsigned slot, uint32_t version,
                      enum promise promise) {
  struct model* model = job->writer->model;
  slot_reached(model, &model->files[0], &model->slots[slot], version, promise);
}

static void note_appended(const struct job* job) {
  note_slot(job, job->slot, job->version, VISIBLE);
  if (job->writer->is_durable) {
    note_slot(job, job->slot, job->version, DURABLE);
  }
}

static void note_synced(const struct job* job) {
  for (unsigned i = job->begin; i <= job->slot; i++) {
    note_slot(job, i, job->writer->model->slots[i].submitted, DURABLE);
  }
}

static void end_job(struct job* job, int64_t result, void (*note)(const struct job* job)) {
  struct writer* writer = job->writer;
  writer->writes--;
  if (result != (int64_t)job->append.length) {
    stop(writer, result);
  } else if (!writer->stopped) {
    note(job);
  }
  free(job);
  if (!writer->stopped) {
    writer->work->go_on(writer);
  }
}

static void on_appended(uvdio_append_t* append, int64_t result) {
  end_job(append->data, result, note_appended);
}

static void on_synced(uvdio_append_t* append, int64_t result) {
  end_job(append->data, result, note_synced);
}

static struct job* make_job(struct stream* stream) {
  struct job* job = calloc(1, sizeof(*job));
  assert(job != NULL);
  job->writer = stream->writer;
  job->append.data = job;
  job->begin = stream->begin;
  job->slot = stream->next;
  return job;
}

/* Counts what was submitted, or stops. */
static void submitted(struct job* job, int error, void (*note)(const struct job* job)) {
  struct writer* writer = job->writer;
  if (error != 0) {
    free(job);
    stop(writer, error);
    return;
  }
  writer->writes++;
  if (writer->defect == DEFECT_EARLY) {
    note(job);
  }
}

static void append_next(struct stream* stream) {
  struct model* model = stream->writer->model;
  struct slot* slot = &model->slots[stream->next];
  struct job* job = make_job(stream);
  job->version = slot_submit(&model->files[0], slot);
  content_fill(job->bytes, slot->size, model->seed, 0, slot->offset, job->version);
  submitted(job,
            uvdio_append(stream->appender, &job->append, job->bytes, slot->size, stream->flags,
                         on_appended),
            note_appended);
}

static void go_on(struct writer* writer) {
  struct stream* stream = writer->state;
  while (stream->is_open && stream->next < SLOTS_MAX && writer->writes < writer->width) {
    append_next(stream);
    if (stream->is_open && random_below(&writer->random, SYNC_IN) == 0) {
      struct job* job = make_job(stream);
      submitted(job, uvdio_appender_sync(stream->appender, &job->append, on_synced), note_synced);
    }
    stream->next++;
  }
  if (stream->is_open && writer->writes == 0) {
    close_stream(stream);
  }
}

const struct work work_append = {
    .name = "append", .layout = layout, .prepare = prepare, .go_on = go_on};
