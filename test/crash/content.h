/* SPDX-License-Identifier: MIT */
/*
 * What the files hold: every 512-byte sector says of itself to which run it belongs, where in which
 * file it was meant to go, and which version of that place it is. So a sector that is torn,
 * misplaced, left over or made up is told from one that was written.
 */
#ifndef UVDIO_TEST_CRASH_CONTENT_H
#define UVDIO_TEST_CRASH_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u

/* What content_version() says of a sector that nobody wrote like this. */
#define CONTENT_FOREIGN UINT32_MAX

/* Fills `size` bytes, whole sectors, that are to stand at `offset` of file number `file`. Versions
 * begin at 1. */
void content_fill(char* base, size_t size, uint64_t seed, unsigned file, uint64_t offset,
                  uint32_t version);

/* The version of a sector; 0 for all zeros, CONTENT_FOREIGN for what content_fill() did not make
 * for this place. */
uint32_t content_version(const char* sector, uint64_t seed, unsigned file, uint64_t offset);

#endif /* UVDIO_TEST_CRASH_CONTENT_H */
