/* SPDX-License-Identifier: MIT */
/*
 * What the files may hold, kept by the writer as it goes, in memory that outlives it.
 *
 * A file is a row of slots, each of which is written as a whole. The n-th write of a slot is its
 * version n. What is known of a slot is a range: at least version `low`, at most the last that was
 * submitted; and whether it may be all zeros. Ranges grow before something is submitted, and shrink
 * when the library says that it is done: so they are true at any moment, even if the writer stops
 * between two instructions.
 *
 * There are two ranges: what everybody who reads must see (VISIBLE: an operation's callback began),
 * and what must be there after a power cut (DURABLE: the library said so).
 */
#ifndef UVDIO_TEST_CRASH_MODEL_H
#define UVDIO_TEST_CRASH_MODEL_H

#include <stdatomic.h>
#include <stdint.h>

#define FILES_MAX 64
#define SLOTS_MAX 256
#define SLOT_SIZE_MAX 32768u
#define WHY_MAX 256
#define LIVES_MAX 256
#define COMMITS_KNOWN 512

enum promise { VISIBLE, DURABLE, PROMISES };

struct slot_bounds {
  _Atomic uint32_t low;
  _Atomic int zero;
};

struct slot {
  uint64_t offset;
  uint32_t size;
  int busy; /* the writer's: a write of it is in flight */
  _Atomic uint32_t submitted;
  struct slot_bounds bounds[PROMISES];
};

struct size_bounds {
  _Atomic uint64_t low;
  _Atomic uint64_t high;
};

struct file {
  char name[16];
  unsigned first; /* of its slots */
  unsigned count;
  _Atomic int tried;             /* to create it */
  _Atomic int present[PROMISES]; /* its name */
  struct size_bounds size[PROMISES];
};

/* The records of a log (commits.h). */
struct commits {
  _Atomic uint64_t needed; /* records before this number may have been cut off */
  _Atomic uint64_t acknowledged;
  _Atomic uint64_t submitted;
  _Atomic unsigned lives;
  _Atomic uint64_t begins[LIVES_MAX]; /* of a life: its first record */
  struct {
    _Atomic uint64_t number; /* 0: being changed */
    _Atomic uint64_t lsn;
  } known[COMMITS_KNOWN]; /* some of the last that were acknowledged */
  char why[WHY_MAX];      /* what was wrong */
};

struct model {
  uint64_t seed;
  unsigned file_count;
  unsigned slot_count;
  struct file files[FILES_MAX];
  struct slot slots[SLOTS_MAX];
  struct commits commits;
  _Atomic uint64_t acknowledged[PROMISES]; /* writes, changes of size and names; for the report */
  _Atomic int error;                       /* that ended the writer */
};

void model_init(struct model* model, uint64_t seed);

/* Adds a file, and a slot behind the last one of the last file. */
struct file* model_add_file(struct model* model, const char* name);
struct slot* model_add_slot(struct model* model, uint32_t size);

/* Where the last slot ends. */
uint64_t file_end(const struct model* model, const struct file* file);

/* A write of the slot is about to be submitted: returns its version. */
uint32_t slot_submit(struct file* file, struct slot* slot);

/* The slot's write number `version` has been done. */
void slot_reached(struct model* model, struct file* file, struct slot* slot, uint32_t version,
                  enum promise promise);

/* The file is to get a size, a border of slots; it has got it. No other change of the file is under
 * way. */
void size_submit(struct model* model, struct file* file, uint64_t size);
void size_reached(struct model* model, struct file* file, uint64_t size, enum promise promise);

/* The file is about to be created; its name is there. */
void name_submit(struct file* file);
void name_reached(struct model* model, struct file* file, enum promise promise);

/* Compares the files in `dir` with the model. Returns 0, or -1 and what is wrong. */
int model_check(const struct model* model, const char* dir, enum promise promise,
                char why[WHY_MAX]);

#endif /* UVDIO_TEST_CRASH_MODEL_H */
