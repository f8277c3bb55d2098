/* SPDX-License-Identifier: MIT */
#include "content.h"

#include <assert.h>
#include <string.h>

#include "random.h"

#define WORDS (SECTOR / sizeof(uint64_t))

/* The first word is the version, the others follow from it and from the place: a checksum over all
 * of the sector. */
static void make_sector(uint64_t words[WORDS], uint64_t seed, unsigned file, uint64_t offset,
                        uint32_t version) {
  uint64_t state = random_mix(random_mix(seed ^ file) ^ offset) ^ version;
  words[0] = version;
  for (size_t i = 1; i < WORDS; i++) {
    state = random_mix(state);
    words[i] = state;
  }
}

void content_fill(char* base, size_t size, uint64_t seed, unsigned file, uint64_t offset,
                  uint32_t version) {
  uint64_t words[WORDS];
  assert(size % SECTOR == 0 && offset % SECTOR == 0 && version != 0 && version != CONTENT_FOREIGN);
  for (size_t at = 0; at < size; at += SECTOR) {
    make_sector(words, seed, file, offset + at, version);
    memcpy(base + at, words, SECTOR);
  }
}

uint32_t content_version(const char* sector, uint64_t seed, unsigned file, uint64_t offset) {
  static const char zeros[SECTOR];
  uint64_t found[WORDS], expected[WORDS];
  if (memcmp(sector, zeros, SECTOR) == 0) {
    return 0;
  }
  memcpy(found, sector, SECTOR);
  if (found[0] == 0 || found[0] >= CONTENT_FOREIGN) {
    return CONTENT_FOREIGN;
  }
  make_sector(expected, seed, file, offset, (uint32_t)found[0]);
  return memcmp(found, expected, SECTOR) == 0 ? (uint32_t)found[0] : CONTENT_FOREIGN;
}
