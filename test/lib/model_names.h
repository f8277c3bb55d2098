/* SPDX-License-Identifier: MIT */
/*
 * Names beside the files of a test that does random operations: two directories with a few places
 * each, which are made, moved, linked and removed, by their paths and relative to the open
 * directories; files without a name that get one; and several handles of an open file. Operations
 * on the same place or file are never under way together, so that the result of each is known when
 * it is submitted.
 *
 *   choose ──► claims ──► expected result ──► submit ──► callback: compare, change the model
 *
 * Each file has bytes of its own, which tell it from all others wherever it is found.
 */
#ifndef UVDIO_TEST_MODEL_NAMES_H
#define UVDIO_TEST_MODEL_NAMES_H

#include "names_disk.h"
#include "tracker.h"
#include "uvdio/sim.h"

#define NAMES_JOBS 6u
#define NAMES_HANDLES (NAMES_DIRECTORIES + 5u) /* the directories' first */
#define NAMES_FILES 64u
#define NAMES_PAST 64u
#define NAMES_PREFIX_MAX 600u

struct model_names;

/* By its number, which is used again when nothing leads to it any more. */
struct names_file {
  uint64_t word;   /* what its page is full of */
  unsigned losses; /* syncs that failed: what was written before can't be made durable later */
  int is_written;
  int is_synced;
  int may_be_named; /* it has never had a name */
};

enum names_state { NAMES_CLOSED, NAMES_OPENING, NAMES_OPEN, NAMES_CLOSING };

struct names_handle {
  uvdio_file_t file;
  enum names_state state;
  uint8_t value;    /* the file */
  unsigned opening; /* the same for all handles of an open file */
  unsigned flags;
  /* by what uvdio_replace() looks for it: unsure after a replace that failed */
  enum { NAMES_BY_PATH, NAMES_BY_BASE, NAMES_BY_NOTHING, NAMES_UNSURE } way;
  unsigned place;
};

struct names_job {
  struct tracked_op* top;
  struct model_names* names;
  int busy;
  int is_cancelled;
  int was_dead; /* when it was submitted */
  struct operation operation;
  unsigned number;               /* in the order of submission */
  struct names_handle* handle;   /* that is opened, closed, written, ... */
  struct names_handle* base;     /* of the first path */
  struct names_handle* new_base; /* of the second one */
  unsigned spelling;
  unsigned flags; /* of a rename */
  unsigned from;  /* places; NAMES_PLACES: none */
  unsigned to;
  uint8_t value;   /* of the file that is made, opened, moved or removed */
  uint64_t places; /* claimed: a bit for each */
  uint64_t files;
  int expected; /* the result */
  int else_expected;
  uint64_t changes; /* that a sync covers */
  unsigned losses;
  int is_covered; /* by a sync: the page was written before */
};

/* What has ended, for a failure. */
struct names_past {
  uvdio_op_t op;
  int is_now;
  unsigned from;
  unsigned to;
  int64_t result;
};

struct model_names {
  struct tracker tracker;
  char prefix[NAMES_PREFIX_MAX];
  uvdio_sim_t* sim; /* null: none */
  int is_real;      /* the system has the files */
  int injected;     /* requests fail */
  int dead;         /* the power was cut */
  int closing;      /* the engine */
  /* whether there is a reason for an error beyond these; null: never */
  int (*explains)(int64_t error);
  int is_blurred; /* reads may come short at any place */

  uvdio_engine_t* engine;
  struct choices* choices;
  int is_prepared;
  enum { NAMES_KNOWN, NAMES_CRASHED, NAMES_CUT } doubt; /* what is there has to be looked at */
  struct names_table now;
  struct names_disk disk;                /* of a world */
  struct names_change maybe[NAMES_JOBS]; /* what a crash has carried out, or not */
  unsigned maybe_count;
  struct names_file files[NAMES_FILES];
  struct names_handle handles[NAMES_HANDLES];
  struct names_job jobs[NAMES_JOBS];
  struct names_past past[NAMES_PAST];
  uint64_t ended;
  unsigned submitted;
  unsigned openings;
  uint64_t words;
  uint64_t operations; /* accepted or carried out at once */
  uint64_t compared;   /* places */
  char wrong[240];     /* the first thing; "": nothing */
};

/* Names below "<prefix>-a" and "<prefix>-b". Of real files, what a run before has left there is
 * removed. */
void model_names_make(struct model_names* names, const char* prefix, uvdio_sim_t* sim, int is_real);
void model_names_free(struct model_names* names);

/* One thing at random. */
void model_names_step(struct model_names* names, uvdio_engine_t* engine, struct choices* choices);

/* Everything that is pending may end early. */
void model_names_cancelled(struct model_names* names);

/* Requests that are pending. */
unsigned model_names_pending(const struct model_names* names);

/* Compares what is there with what has to be, where nothing is under way. */
void model_names_compare(struct model_names* names, uvdio_engine_t* engine);

/* Closes all handles, and runs the loop to its end for that. */
void model_names_end(struct model_names* names, uvdio_engine_t* engine, uv_loop_t* loop);

/* The engine is closed, and gone: by itself, by a crash, or by a power cut. */
enum names_end { NAMES_ENDED, NAMES_AFTER_CRASH, NAMES_AFTER_CUT };
void model_names_bury(struct model_names* names, enum names_end how);

#endif /* UVDIO_TEST_MODEL_NAMES_H */
