/* SPDX-License-Identifier: MIT */
/*
 * What some names lead to, now and after a power cut, as far as uvdio.h promises it: a change of a
 * name is durable after a sync of its directory that was submitted when the change had ended, and
 * else survives a power cut or not, as a whole and whatever becomes of others. So each table that
 * some of the changes since the last durable one make, in their order, may be found after the cut.
 */
#ifndef UVDIO_TEST_NAMES_DISK_H
#define UVDIO_TEST_NAMES_DISK_H

#include <stdint.h>

#include "uvdio.h"

#define NAMES_DIRECTORIES 2u
#define NAMES_EACH 4u /* places in each */
#define NAMES_PLACES (NAMES_DIRECTORIES * NAMES_EACH)
#define NAMES_CHANGES 40u
#define NAMES_UNDURABLE 10u /* from here on a sync is due: each doubles what may be found */

enum { NAMES_NOTHING = 0, NAMES_A_DIRECTORY = UINT8_MAX }; /* else the number of a file */

struct names_table {
  uint8_t at[NAMES_PLACES];
};

/* One of the operations on names, or the open that made a file. `from` is the place that it takes a
 * name from, `to` the one that it gives a name. */
struct names_change {
  uvdio_op_t op;
  unsigned from;
  unsigned to;
  uint8_t value;   /* what was moved, linked, made or removed */
  uint64_t number; /* among the changes of the disk, in the order in which they ended */
  int durable;
};

struct names_disk {
  struct names_table table;                   /* what survives in any case, and ... */
  struct names_change changes[NAMES_CHANGES]; /* ... what was done to it since, oldest first */
  unsigned count;
  uint64_t number; /* of the newest change */
};

/* Carries a change out where the names may be others than those it was made for. */
void names_apply(struct names_table* table, const struct names_change* change);

void names_disk_add(struct names_disk* disk, struct names_change change);

/* A sync of a directory covers its changes up to a number. Of a rename or link the directory is
 * that of the new name. */
void names_disk_sync(struct names_disk* disk, unsigned directory, uint64_t number);

/* A sync of a new file keeps the name that it was made with. */
void names_disk_keep(struct names_disk* disk, uint8_t file);

unsigned names_disk_undurable(const struct names_disk* disk);

/* The directory of the oldest change that is not durable. */
unsigned names_disk_directory_due(const struct names_disk* disk);

/* Whether the file is in the table or in a change of it. */
int names_disk_has(const struct names_disk* disk, uint8_t file);

/* After a power cut: looks for a table that may be there and that is the one found, as `is_found`
 * says. That is what is durable from then on. Returns 0 where there is none. */
int names_disk_recover(struct names_disk* disk,
                       int (*is_found)(void* data, const struct names_table* table), void* data);

#endif /* UVDIO_TEST_NAMES_DISK_H */
