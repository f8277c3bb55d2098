/* SPDX-License-Identifier: MIT */
/*
 * See crc32c.h. Both ways give the same numbers, so that a log can be read by another build.
 */
#include "log/crc32c.h"

#ifdef UVDIO_HAVE_ISAL

#include <isa-l/crc.h>

/* Its buffer is not const, and its length an int. */
uint32_t uvdio__log_crc32c(const void* bytes, size_t length) {
  return ~crc32_iscsi((unsigned char*)(uintptr_t)bytes, (int)length, UINT32_MAX);
}

#else

#include <uv.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t tables[4][256];
static uv_once_t once = UV_ONCE_INIT;

/* tables[n][b]: what byte b does to the remainder n bytes later. */
static void make_tables(void) {
  unsigned byte, bit, n;

  for (byte = 0; byte < 256; byte++) {
    uint32_t rest = byte;
    for (bit = 0; bit < 8; bit++) {
      rest = (rest >> 1) ^ ((rest & 1) != 0 ? POLYNOMIAL : 0);
    }
    tables[0][byte] = rest;
  }
  for (n = 1; n < 4; n++) {
    for (byte = 0; byte < 256; byte++) {
      uint32_t rest = tables[n - 1][byte];
      tables[n][byte] = (rest >> 8) ^ tables[0][rest & 0xff];
    }
  }
}

uint32_t uvdio__log_crc32c(const void* bytes, size_t length) {
  const unsigned char* at = bytes;
  uint32_t rest = UINT32_MAX;

  uv_once(&once, make_tables);
  for (; length >= 4; length -= 4, at += 4) {
    rest ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    rest = tables[3][rest & 0xff] ^ tables[2][rest >> 8 & 0xff] ^ tables[1][rest >> 16 & 0xff] ^
           tables[0][rest >> 24];
  }
  for (; length > 0; length--, at++) {
    rest = (rest >> 8) ^ tables[0][(rest ^ *at) & 0xff];
  }
  return ~rest;
}

#endif
