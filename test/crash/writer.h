/* SPDX-License-Identifier: MIT */
/*
 * The program whose data is at stake: uses the library as one that keeps a log or pages would, and
 * writes into the model what it was promised. It goes on until an operation fails (the plug was
 * pulled) or it is killed.
 *
 * A work is one way of using files:
 *
 *   log     a file opened with UVDIO_OPEN_WAL: a write is durable when its callback runs
 *   pages   writes and syncs, many in flight: a sync covers what was submitted before it
 *   space   preallocate, truncate, writes and syncs: sizes are durable, too
 *   names   files get their names by creation, by a replace, or by a link, and the directory is
 *           synced, without which a name may go
 *   append  an appender, whose appends are durable one by one, or by syncs
 *   commits a log, whose records are durable when their callback runs
 */
#ifndef UVDIO_TEST_CRASH_WRITER_H
#define UVDIO_TEST_CRASH_WRITER_H

#include "content.h"
#include "model.h"
#include "random.h"
#include "uvdio.h"

enum defect {
  DEFECT_NONE,
  DEFECT_EARLY,   /* what was only submitted counts as done */
  DEFECT_WIDE,    /* a sync counts for what was submitted after it, too */
  DEFECT_NO_DSYNC /* the log is opened, or each of its writes made, without what makes it durable */
};

struct writer {
  struct model* model;
  const char* dir;
  uvdio_backend_t backend;
  enum defect defect;
  struct random random;
  uv_loop_t loop;
  uvdio_engine_t* engine;
  uvdio_arena_t* arena; /* where the buffers are frames, else null */
  uvdio_file_t file;    /* of the works that have one */
  unsigned how;         /* UVDIO_WRITE_* of each write */
  int is_durable;       /* a write that is done is durable */
  unsigned width;       /* writes in flight at most */
  unsigned writes;      /* in flight */
  int stopped;          /* an operation failed */
  const struct work* work;
  void* state; /* the work's */
};

struct work {
  const char* name;
  void (*layout)(struct model* model, struct random* random); /* which files and slots there are */
  /* before anything can happen to the disk; 0 or a code */
  int (*prepare)(struct writer* writer);
  void (*go_on)(struct writer* writer); /* submits what there is to submit */
  /* Looks at what is left beside the model's files; may be null. Returns 0, or -1 and what is
   * wrong. */
  int (*check)(struct model* model, const char* dir, uvdio_backend_t backend, char why[WHY_MAX]);
  unsigned lives; /* of the writer, each ended alike, on one filesystem; 0: one */
};

extern const struct work work_log;
extern const struct work work_records;
extern const struct work work_pages;
extern const struct work work_space;
extern const struct work work_names;
extern const struct work work_append;
extern const struct work work_commits;

/* Prepares, calls `ready`, works until it is stopped, and gives everything back. Returns 0, or -1
 * after a message when something failed that has nothing to do with the disk. */
int writer_run(struct writer* writer, void (*ready)(void* context), void* context);

/*
 * For works.
 */

/* Ends the work: nothing more is submitted. */
void writer_stop(struct writer* writer, int64_t error);

/* Opens the work's file at once and makes its name durable. */
int writer_open(struct writer* writer, unsigned flags);

/* Writes the next version of a slot at once, into the work's file. Returns 0 or a code. */
int writer_put(struct writer* writer, struct slot* slot);

/* Writes the next version of a slot that is not busy. `then` is called when it is done (and nothing
 * else stopped), if not null; else the work goes on. */
typedef void (*written_cb)(struct writer* writer, struct slot* slot, void* context);
void writer_write(struct writer* writer, uvdio_file_t* open_file, struct file* file,
                  struct slot* slot, written_cb then, void* context);

/* The same to a file that is to get the name of `file`: nothing counts before the caller says so,
 * by slot_reached() with slot->submitted. */
void writer_write_hidden(struct writer* writer, uvdio_file_t* open_file, struct file* file,
                         struct slot* slot, written_cb then, void* context);

/* Syncs an open file, data only or all. What was submitted before counts as durable when the sync
 * is done, and with it the size `size`, if not UINT64_MAX. `then` as above. */
typedef void (*synced_cb)(struct writer* writer, void* context);
void writer_sync(struct writer* writer, uvdio_file_t* open_file, struct file* file, uint64_t size,
                 synced_cb then, void* context);

/* fsync of the directory. Returns 0 or a code. */
int writer_sync_directory(const struct writer* writer);

#endif /* UVDIO_TEST_CRASH_WRITER_H */
