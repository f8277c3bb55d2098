/* SPDX-License-Identifier: MIT */
/*
 * A log (uvdio/log.h) of small segments: records of any length, several in flight, are cut off
 * again, so that segments are used in turn. Now and then the log is closed, also with appends
 * pending, and opened again. Beside it is a file that tells which backend is at work.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commits.h"
#include "writer.h"

#define SEGMENT ((uint64_t)64 * 1024)
#define REOPEN_IN 150 /* one append in so many is the last of its life */
#define CUT_IN 30
#define WIDTH 4 /* so many times the writer's: a flush takes many */
#define LIVES 2

struct book {
  struct writer* writer;
  uvdio_log_t* log;
  char path[256];
  struct replay replay;
  int is_open; /* and no close is under way */
};

struct job {
  uvdio_log_append_t append;
  struct writer* writer;
  uint64_t number;
  char bytes[];
};

static void layout(struct model* model, struct random* random) {
  (void)random;
  model_add_file(model, "beside");
  model->commits.needed = 1;
}

static void start(struct book* book);

/* Each log that was opened is closed once; where nothing is wrong, the next life begins. */
static void on_closed(uvdio_log_t* log, int status, void* context) {
  struct book* book = context;
  (void)log;
  if (status != 0) {
    writer_stop(book->writer, status);
  } else if (!book->writer->stopped) {
    start(book);
  }
}

static void close_log(struct book* book) {
  book->is_open = 0;
  int refused = uvdio_log_close(book->log, on_closed, book);
  assert(refused == 0);
  (void)refused;
}

static void stop(struct writer* writer, int error) {
  struct book* book = writer->state;
  writer_stop(writer, error);
  if (book->is_open) {
    close_log(book);
  }
}

static void on_open(uvdio_log_t* log, int status, void* context) {
  struct book* book = context;
  struct writer* writer = book->writer;
  book->log = log;
  book->is_open = 1;
  if (status != 0) {
    stop(writer, status);
    return;
  }
  commits_opened(&book->replay);
  if (writer->model->commits.why[0] != '\0') {
    stop(writer, UVDIO_EDAMAGED); /* which ends the round, by what is wrong */
  } else {
    writer->work->go_on(writer);
  }
}

static void on_record(uint64_t lsn, const void* data, size_t length, void* context) {
  struct book* book = context;
  commits_on_record(&book->replay, lsn, data, length);
}

/* A packed log goes on in blocks that are written as a whole, or not at all, as the disk's. */
static void start(struct book* book) {
  struct writer* writer = book->writer;
  uvdio_log_options_t options = {.segment_size = SEGMENT};
  options.buffer_size = (size_t)UVDIO_PAGE_SIZE << random_below(&writer->random, 4);
  options.flags = random_below(&writer->random, 2) == 0 ? UVDIO_LOG_PACKED : 0;
  options.window_ms = random_below(&writer->random, 4) == 0 ? 1 : 0;
  book->replay = (struct replay){.model = writer->model};
  int error =
      uvdio_log_open(&book->log, writer->engine, book->path, &options, on_record, on_open, book);
  if (error != 0) {
    writer_stop(writer, error);
  }
}

static int make_directory(struct writer* writer, const char* path) {
  uvdio_req_t req = {0};
  int error = uvdio_mkdir(writer->engine, &req, path, 0700, NULL);
  error = error == UV_EEXIST ? 0 : error;
  return error != 0 ? error : writer_sync_directory(writer);
}

static int prepare(struct writer* writer) {
  struct book* book = calloc(1, sizeof(*book));
  assert(book != NULL);
  writer->state = book;
  book->writer = writer;
  snprintf(book->path, sizeof(book->path), "%.200s/wal", writer->dir);
  int error = writer_open(writer, UVDIO_OPEN_RW);
  return error != 0 ? error : make_directory(writer, book->path);
}

/*
 * Records
 */

static void on_append(uvdio_log_append_t* append, int status) {
  struct job* job = append->data;
  struct writer* writer = job->writer;
  writer->writes--;
  if (status != 0) {
    stop(writer, status);
  } else if (!writer->stopped) {
    commit_reached(writer->model, job->number, append->lsn);
  }
  free(job);
  if (!writer->stopped) {
    writer->work->go_on(writer);
  }
}

static void append_next(struct book* book) {
  static char bytes[COMMIT_MAX + SECTOR];
  struct writer* writer = book->writer;
  struct commits* commits = &writer->model->commits;
  uint64_t number = commit_submit(commits);
  size_t length = commit_fill(commits, writer->model->seed, number, bytes);
  struct job* job = calloc(1, sizeof(*job) + length);
  assert(job != NULL);
  job->append.data = job;
  job->writer = writer;
  job->number = number;
  memcpy(job->bytes, bytes, length);
  writer->writes++;
  int error = uvdio_log_append(book->log, &job->append, job->bytes, length, on_append);
  if (error != 0) {
    writer->writes--;
    free(job);
    stop(writer, error);
  } else if (writer->defect == DEFECT_EARLY) {
    commit_reached(writer->model, number, 0);
  }
}

/* Gives up what is before one of the last records. */
static void cut(struct book* book) {
  struct writer* writer = book->writer;
  struct commits* commits = &writer->model->commits;
  uint64_t back = random_below(&writer->random, COMMITS_KNOWN / 8);
  uint64_t number = commits->acknowledged > back ? commits->acknowledged - back : 0;
  if (number > commits->needed && commit_lsn(commits, number) != 0) {
    commits->needed = number;
    int error = uvdio_log_cut(book->log, commit_lsn(commits, number));
    if (error != 0) {
      stop(writer, error);
    }
  }
}

/* The first call begins the work. */
static void go_on(struct writer* writer) {
  struct book* book = writer->state;
  if (book->log == NULL) {
    start(book);
    return;
  }
  while (book->is_open && writer->writes < WIDTH * writer->width && !writer->stopped) {
    append_next(book);
    if (book->is_open && random_below(&writer->random, CUT_IN) == 0) {
      cut(book);
    }
    if (book->is_open && writer->model->commits.lives + LIVES < LIVES_MAX &&
        random_below(&writer->random, REOPEN_IN) == 0) {
      close_log(book);
    }
  }
}

const struct work work_commits = {.name = "commits",
                                  .layout = layout,
                                  .prepare = prepare,
                                  .go_on = go_on,
                                  .check = commits_check,
                                  .lives = LIVES};
