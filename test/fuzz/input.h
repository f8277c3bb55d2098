/* SPDX-License-Identifier: MIT */
/*
 * What a fuzzer calls, and how a target tells it of what it has found.
 */
#ifndef UVDIO_TEST_FUZZ_INPUT_H
#define UVDIO_TEST_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h> /* dprintf: a target may have put its streams aside */
#include <stdlib.h>

/* A promise of the library was broken: the fuzzer keeps the bytes that led there. */
#define REQUIRE(condition)                                                      \
  do {                                                                          \
    if (!(condition)) {                                                         \
      dprintf(2, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                  \
    }                                                                           \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

#endif /* UVDIO_TEST_FUZZ_INPUT_H */
