/* SPDX-License-Identifier: MIT */
/*
 * A page as it is in the file: a head, and cells. The checksum tells a page that was torn or has
 * rotted, the number one that was written to another page's place, and the LSN which records of the
 * log are in it already.
 */
#ifndef STORE_PAGE_H
#define STORE_PAGE_H

#include <stdint.h>
#include <uvdio.h>

#define STORE_PAGE_CELLS 509u

/* In the machine's byte order. A page of zeros is one that was never written. */
struct store_page {
  uint64_t checksum; /* of all that follows */
  uint64_t number;
  uint64_t lsn; /* of the last record whose changes are in it */
  int64_t cells[STORE_PAGE_CELLS];
};

_Static_assert(sizeof(struct store_page) == UVDIO_PAGE_SIZE, "a page is a frame");

/* Before a page is written. */
void store_page_seal(struct store_page* page, uint64_t number);

/* After it was read: 0, or UVDIO_EDAMAGED. */
int store_page_check(const struct store_page* page, uint64_t number);

#endif /* STORE_PAGE_H */
