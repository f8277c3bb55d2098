/* SPDX-License-Identifier: MIT */
/*
 * What a file may hold, as far as anybody can know who sees only submissions and results: the model
 * of all tests that do random operations.
 *
 * A write fills each of its sectors with one word, which says file, sector and the number of the
 * write; the words of a sector are counted besides, so that each knows its place. For each sector
 * the model keeps what a read may find now, and what may be there after a power cut:
 *
 *   now    what the last change left that had the sector to itself and ended well, and everything
 *          submitted since
 *   disk   the same, but since the last sync that covered such a write (or since such a write that
 *          was durable by itself)
 *
 * A truncate is a write of zeros to the sectors that it cuts off, and to the rest of the one that
 * it cuts within. Sizes are kept in the same spirit: known exactly while nothing that changes them
 * is in flight, else between bounds. Where a harness lets nothing overlap, everything is exact:
 * each byte of each sector, and by size_due the size as well.
 *
 * Of the library the model knows the kinds of operations, and two promises. Where it is told so
 * (`ordered`): of changes through one handle, those behind a truncate come after it. Of changes
 * through another handle than its own a sync covers those that had ended when it was submitted.
 */
#ifndef UVDIO_TEST_MODEL_H
#define UVDIO_TEST_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "generator.h"

#define MODEL_SECTOR 512u /* bytes: what any transfer is a multiple of */
#define MODEL_SECTOR_MOST 4096u
#define MODEL_SECTORS_MOST 4096u
#define MODEL_GUESSES 6u
#define MODEL_HANDLES 2u /* of an open file */

struct guess {
  uint64_t order; /* of the change */
  uint64_t word;  /* that it left there; 0 for zeros */
  uint64_t ended; /* when it had ended well */
  unsigned handle;
  unsigned kept; /* so many bytes of it, and zeros behind them */
  int sole;      /* it ended well, and nobody else was at the sector meanwhile */
};

struct guesses {
  struct guess list[MODEL_GUESSES]; /* oldest first */
  unsigned count;
  int any; /* there were too many: whatever was ever written there may be */
};

struct sector {
  struct guesses now;
  struct guesses disk;
  uint64_t settled_at; /* when older guesses were last dropped from `now` */
  uint64_t sole;       /* the only change at work here, or 0 */
  unsigned changes;    /* at work here */
  unsigned truncates;  /* of these */
  int cut;             /* one of `now` is not a whole sector */
  int ragged;          /* was cut within beside others: not looked at until written over */
  uint64_t whole_at;   /* when that, or a cut, ended */
  int ragged_disk;     /* was cut within since the last power cut */
};

struct model {
  unsigned number; /* of the file */
  int exists;
  int ordered;
  struct sector* sectors;
  unsigned sector; /* bytes of one */
  unsigned count;  /* of them; what lies beyond is not looked at */
  uint64_t clock;
  uint64_t reset_at;
  /* its size */
  int size_known;
  uint64_t size;
  uint64_t size_due; /* when all that was submitted has ended well, one after the other */
  uint64_t size_at;  /* when it was last in doubt */
  unsigned writing;  /* writes at work that don't change it, if it stays so large */
  unsigned resizing; /* changes at work that may change it */
  int truncating;    /* one of those since there were none is a truncate */
  int doubtful;      /* they failed, or a truncate was not alone */
  uint64_t grown;    /* what the others of those make it at least */
  uint64_t last_truncate;
  unsigned truncates[MODEL_HANDLES]; /* at work */
  uint64_t floor;                    /* after a power cut: at least so much ... */
  uint64_t ceiling;                  /* ... and at most so much */
  int entry_durable;
  uint64_t failed_at; /* a sync did: changes from before then can't be made durable by another */
};

/* One operation as the model sees it, from submission to result. */
struct change {
  uvdio_op_t op;
  unsigned handle;
  uint64_t order;
  uint64_t begin; /* bytes; a truncate's new size */
  uint64_t end;   /* and a preallocation's length */
  int resizes;
  int size_was_known; /* at submission, with nothing at work: */
  uint64_t size_was;
  uint64_t due_was;
};

/* How an operation ended, as far as that tells what it left. */
enum model_end {
  MODEL_UNTOUCHED, /* it never began */
  MODEL_UNSURE,    /* it may have been carried out, or parts of it */
  MODEL_DONE,
  MODEL_DURABLE /* as DONE, and no power cut takes it back */
};

/* A file that is not there, of `count` sectors. Where transfers are multiples of more than
 * MODEL_SECTOR, larger ones save time. Files have numbers below 256. The memory is model_free's to
 * give back. */
void model_init(struct model* model, unsigned number, unsigned sector, unsigned count, int ordered);
void model_free(struct model* model);

/* An empty file that exists, or one that does not. */
void model_reset(struct model* model, int exists);

/* Before the call. An open that truncates counts as a truncate; `bytes`, of a write, are filled
 * with what it writes. What only looks has to begin as well, to be compared. */
void model_begins(struct model* model, struct change* change, const struct operation* operation,
                  void* bytes);
void model_ends(struct model* model, const struct change* change, enum model_end how);

/* The sync of a durable write has failed: nothing written so far can be called durable by another
 * one. */
void model_sync_fails(struct model* model);

/* Whether a read may have got these bytes: null, or what is wrong, and where. `strict`: sectors are
 * never mixed. */
const char* model_check_read(const struct model* model, const struct change* read,
                             const void* bytes, uint64_t got, int strict, uint64_t* where);

/* Whether a look for data or a hole may have got this: null, or what is wrong. */
const char* model_check_next(const struct model* model, const struct change* look, int64_t result);

/* How large a file an operation has to find, how much a read has to get; -1 where it can't be
 * predicted. */
int64_t model_expected_size(const struct model* model, const struct change* look);
int64_t model_expected_read(const struct model* model, const struct change* read);

/* How much of its range a read gets beside which nothing changes that. */
uint64_t model_due(const struct model* model, const struct change* read);

/* Learns the size, when no change is at work. */
void model_learn_size(struct model* model, uint64_t size);

/* After a crash: changes may have been made, or not. Writes that were on their way are at work
 * until none of them can land any more, and then end as failed. */
void model_doubt_size(struct model* model);

/* After a power cut: what is found has to be possible, and is what there is from now on. Null, or
 * what is wrong. */
const char* model_recover_size(struct model* model, int64_t size);
const char* model_recover_sector(struct model* model, uint64_t number, const void* bytes);

#endif /* UVDIO_TEST_MODEL_H */
