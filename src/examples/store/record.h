/* SPDX-License-Identifier: MIT */
/*
 * A record of the log: the changes of one add, and images of the pages that the log does not have
 * yet. An image is the page as it was before these changes.
 *
 *   head | change, change, ... | number of a page, the page | ...
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "pool.h"

/* Changes of one add. */
#define STORE_CHANGES_MAX STORE_FETCH_MAX

struct store_change {
  uint64_t cell;
  int64_t delta;
};

struct store_record {
  struct store_change changes[STORE_CHANGES_MAX];
  unsigned count;
  unsigned pages[STORE_CHANGES_MAX];     /* those that it changes, each once */
  const char* images[STORE_CHANGES_MAX]; /* of these pages, or null */
  unsigned page_count;
};

/* Fills in changes and pages. Returns UV_EINVAL where they are none, too many, or not in a table of
 * so many pages. */
int store_record_set(struct store_record* record, const struct store_change* changes,
                     unsigned count, unsigned table_pages);

/* Its bytes; and writes so many to `bytes`. */
size_t store_record_size(const struct store_record* record);
void store_record_write(const struct store_record* record, char* bytes);

/* Reads one; its images are within the bytes. Returns UVDIO_EDAMAGED where it is none. */
int store_record_read(struct store_record* record, const char* bytes, size_t length,
                      unsigned table_pages);

/* Makes the changes of the record that belong to this page. */
void store_record_apply(const struct store_record* record, unsigned number,
                        struct store_page* page);

#endif /* STORE_RECORD_H */
