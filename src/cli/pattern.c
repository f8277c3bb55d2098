/* SPDX-License-Identifier: MIT */
/*
 * The pattern: bytes that follow from a seed and their offset, written and looked for.
 */
#include <assert.h>

#include "pattern.h"

/* The word at index `offset / 8`. One multiplication keeps it cheap: the measured CPU time has it
 * in. */
static inline uint64_t pattern_word(uint64_t seed, uint64_t offset) {
  uint64_t word = (offset / 8 + seed) * 0x9E3779B97F4A7C15u;
  return word ^ (word >> 32);
}

void pattern_fill(void* memory, size_t size, uint64_t seed, uint64_t offset) {
  uint64_t* words = memory;
  assert(size % 8 == 0 && offset % 8 == 0);
  for (size_t i = 0; i < size / 8; i++) {
    words[i] = pattern_word(seed, offset + 8 * i);
  }
}

unsigned char pattern_byte(uint64_t seed, uint64_t offset) {
  uint64_t word = pattern_word(seed, offset / 8 * 8);
  return ((const unsigned char*)&word)[offset % 8];
}

static size_t first_wrong_byte(const void* memory, size_t size, uint64_t seed, uint64_t offset) {
  const unsigned char* bytes = memory;
  size_t at = 0;
  while (at < size && bytes[at] == pattern_byte(seed, offset + at)) {
    at++;
  }
  return at;
}

size_t pattern_check(const void* memory, size_t size, uint64_t seed, uint64_t offset) {
  const uint64_t* words = memory;
  uint64_t wrong = 0;
  assert(size % 8 == 0 && offset % 8 == 0);
  for (size_t i = 0; i < size / 8; i++) {
    wrong |= words[i] ^ pattern_word(seed, offset + 8 * i);
  }
  return wrong == 0 ? size : first_wrong_byte(memory, size, seed, offset);
}
