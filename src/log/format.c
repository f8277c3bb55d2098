/* SPDX-License-Identifier: MIT */
/*
 * See format.h.
 */
#include "log/format.h"

#include <assert.h>
#include <string.h>

#include "log/crc32c.h"

void uvdio__log_put32(char* at, uint32_t number) {
  unsigned i;

  for (i = 0; i < 4; i++) {
    at[i] = (char)(unsigned char)(number >> (8 * i) & 0xff);
  }
}

void uvdio__log_put64(char* at, uint64_t number) {
  uvdio__log_put32(at, (uint32_t)(number & UINT32_MAX));
  uvdio__log_put32(at + 4, (uint32_t)(number >> 32));
}

uint32_t uvdio__log_get32(const char* at) {
  uint32_t number = 0;
  unsigned i;

  for (i = 0; i < 4; i++) {
    number |= (uint32_t)(unsigned char)at[i] << (8 * i);
  }
  return number;
}

uint64_t uvdio__log_get64(const char* at) {
  return uvdio__log_get32(at) | (uint64_t)uvdio__log_get32(at + 4) << 32;
}

void uvdio__log_seal(char* block, uvdio__log_head_t* head) {
  assert(head->used <= FORMAT_PAYLOAD);
  uvdio__log_put32(block + 4, head->used | (uint32_t)head->first << 16);
  uvdio__log_put64(block + 8, head->position);
  uvdio__log_put64(block + 16, head->durable);
  uvdio__log_put64(block + 24, head->log);
  uvdio__log_put32(block + 32, head->epoch);
  uvdio__log_put32(block + 36, head->before);
  memset(block + FORMAT_HEAD + head->used, 0, FORMAT_PAYLOAD - head->used);
  head->checksum = uvdio__log_crc32c(block + 4, FORMAT_BLOCK - 4);
  uvdio__log_put32(block, head->checksum);
}

int uvdio__log_read_head(const char* block, uvdio__log_head_t* head) {
  uint32_t sizes = uvdio__log_get32(block + 4);

  head->used = sizes & 0xffff;
  head->first = sizes >> 16;
  head->position = uvdio__log_get64(block + 8);
  head->durable = uvdio__log_get64(block + 16);
  head->log = uvdio__log_get64(block + 24);
  head->epoch = uvdio__log_get32(block + 32);
  head->before = uvdio__log_get32(block + 36);
  head->checksum = uvdio__log_get32(block);
  return head->used <= FORMAT_PAYLOAD &&
         head->checksum == uvdio__log_crc32c(block + 4, FORMAT_BLOCK - 4);
}

int uvdio__log_is_block_of(const uvdio__log_head_t* head, uint64_t log, uint64_t position) {
  return head->position == position && head->log == log &&
         (head->first <= head->used || head->first == FORMAT_NO_RECORD) && head->used > 0;
}
