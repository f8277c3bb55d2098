/* SPDX-License-Identifier: MIT */
/*
 * The checksum of a page (page.h). It multiplies and folds 64 bits at a time, which finds a page
 * that was torn; CRC-32C would also promise to find each short burst of wrong bits.
 */
#include "page.h"

#include <stddef.h>
#include <string.h>

#define WORDS (sizeof(struct store_page) / sizeof(uint64_t))

static uint64_t checksum_of(const struct store_page* page) {
  uint64_t words[WORDS];
  uint64_t sum = WORDS;
  memcpy(words, page, sizeof(words));
  for (size_t i = 1; i < WORDS; i++) {
    sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15u;
    sum ^= sum >> 29;
  }
  return sum;
}

static int is_zero(const struct store_page* page) {
  static const struct store_page zero;
  return memcmp(page, &zero, sizeof(zero)) == 0;
}

void store_page_seal(struct store_page* page, uint64_t number) {
  page->number = number;
  page->checksum = checksum_of(page);
}

int store_page_check(const struct store_page* page, uint64_t number) {
  if ((page->number == number && page->checksum == checksum_of(page)) || is_zero(page)) {
    return 0;
  }
  return UVDIO_EDAMAGED;
}
