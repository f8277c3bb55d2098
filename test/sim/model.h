/* SPDX-License-Identifier: MIT */
/*
 * What a file may hold, as far as anybody can know who sees only submissions and results.
 *
 * A write fills each of its sectors with one word, which says file, sector and the number of the
 * write. For each sector the model keeps what a read may find now, and what may be there after a
 * power cut:
 *
 *   now    what the last write left that had the sector to itself and ended well, and everything
 *          submitted since
 *   disk   the same, but since the last sync that covered such a write (or since such a write that
 *          was durable by itself)
 *
 * A truncate is a write of zeros to the sectors that it cuts off. Sizes are kept in the same
 * spirit: known exactly while nothing that changes them is in flight, else between bounds. The
 * model knows nothing of the library.
 */
#ifndef UVDIO_TEST_MODEL_H
#define UVDIO_TEST_MODEL_H

#include <stddef.h>
#include <stdint.h>

#define MODEL_SECTOR 512u
#define MODEL_SECTORS 192u
#define MODEL_SIZE (MODEL_SECTOR * MODEL_SECTORS)
#define MODEL_GUESSES 6u

struct guess {
  uint64_t order; /* of the change */
  uint64_t word;  /* that it left there; 0 for zeros */
  int sole;       /* it ended well, and nobody else was at the sector meanwhile */
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
  int ragged;          /* was cut within, and not written over since: not looked at */
  uint64_t whole_at;   /* when that ended */
  int ragged_disk;     /* was cut within since the last power cut */
};

struct model {
  unsigned number; /* of the file */
  int exists;
  struct sector sectors[MODEL_SECTORS];
  uint64_t clock;
  /* its size */
  int size_known;
  uint64_t size;
  uint64_t size_at;  /* when it was last in doubt */
  unsigned writing;  /* writes at work that don't change it, if it stays so large */
  unsigned resizing; /* changes at work that may change it */
  int truncating;    /* one of those since there were none is a truncate */
  int doubtful;      /* they failed, or a truncate was not alone */
  uint64_t grown;    /* what the others of those make it at least */
  uint64_t last_truncate;
  uint64_t floor;   /* after a power cut: at least so much ... */
  uint64_t ceiling; /* ... and at most so much */
  int entry_durable;
  uint64_t failed_at; /* a sync did: changes from before then can't be made durable by another */
};

/* One operation as the model sees it, from submission to result. */
struct change {
  uint64_t order;
  uint64_t begin; /* bytes; a truncate's new size, a preallocation's length */
  uint64_t end;
  int resizes;
  int size_was_known; /* at submission, with nothing at work: */
  uint64_t size_was;
};

/* An empty file that exists, or one that does not. */
void model_reset(struct model* model, unsigned number, int exists);

void model_write_begins(struct model* model, struct change* change, uint64_t offset,
                        uint64_t length);
void model_write_ends(struct model* model, const struct change* change, int ok, int durable);

void model_truncate_begins(struct model* model, struct change* change, uint64_t length);
void model_truncate_ends(struct model* model, const struct change* change, int ok);

void model_preallocate_begins(struct model* model, struct change* change, uint64_t length);
void model_preallocate_ends(struct model* model, const struct change* change, int ok);

/* Also for reads and sizes, which only look. */
void model_sync_begins(struct model* model, struct change* change);
void model_sync_ends(struct model* model, const struct change* change);

/* A sync failed: nothing written so far can be called durable any more. */
void model_sync_failed(struct model* model);

/* The words to write into a sector. */
uint64_t model_word(const struct model* model, uint64_t order, uint64_t sector);

/* What a read may have found in a sector that it got as a whole; null, or what is wrong. `since`:
 * the read's submission. `strict`: sectors are never mixed. */
const char* model_check_read(const struct model* model, uint64_t sector, const uint64_t* words,
                             uint64_t since, int strict);

/* The same for a size; -1 where it can't be predicted. */
int64_t model_expected_size(const struct model* model, uint64_t since);

/* Learns the size, when no change is at work. */
void model_learn_size(struct model* model, uint64_t size);

/* After a crash: changes may have been made, or not. Writes that were on their way are at work
 * until none of them can land any more, and then end as failed. */
void model_doubt_size(struct model* model);

/* After a power cut: what is found has to be possible, and is what there is from now on. Null, or
 * what is wrong. */
const char* model_recover_size(struct model* model, int64_t size);
const char* model_recover_sector(struct model* model, uint64_t number, const uint64_t* words);

#endif /* UVDIO_TEST_MODEL_H */
