/* SPDX-License-Identifier: MIT */
/*
 * The pattern: what each byte of a file shall be, from the seed and its offset alone.
 * Offset and size are multiples of 8. The offsets of random reads come from the numbers below.
 */
#ifndef UVDIO_CLI_PATTERN_H
#define UVDIO_CLI_PATTERN_H

#include <stddef.h>
#include <stdint.h>

void pattern_fill(void* memory, size_t size, uint64_t seed, uint64_t offset);

/* Returns the index of the first byte that is not the pattern's, or `size`. */
size_t pattern_check(const void* memory, size_t size, uint64_t seed, uint64_t offset);
unsigned char pattern_byte(uint64_t seed, uint64_t offset);

/* The next of a series of random numbers (xorshift64*, Vigna 2016); the state must not be 0. */
static inline uint64_t random_next(uint64_t* state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 0x2545F4914F6CDD1Du;
}

#endif /* UVDIO_CLI_PATTERN_H */
