/* SPDX-License-Identifier: MIT */
/*
 * What a log is on disk: blocks of 4096 bytes, whose heads tell whether they are what they seem to
 * be. Numbers are little-endian on every system.
 *
 *   block, from byte       a block of records                 the first of a segment, and `log`
 *   0    32 bits           checksum of the bytes behind it    the same
 *   4    16 bits           bytes of payload that are used     0
 *   6    16 bits           where the first record begins in   FORMAT_SEGMENT, FORMAT_CONTROL
 *                          it; FORMAT_NO_RECORD: none does
 *   8    64 bits           its position                       the segment's; 0
 *   16   64 bits           the position up to which all was   the segment's size
 *                          durable when it was written
 *   24   64 bits           the log's number                   the same
 *   32   32 bits           epoch: the number of the open      the version of this format
 *   36   32 bits           checksum of the block before it   0
 *   40                     payload                            `log`: oldest and first segment
 *
 * A position is the number of a segment times its size, plus the offset in it. Payload is a record
 * behind the other: its length in 32 bits, and its bytes, which go on in the payload of the next
 * block. The length is never split; where it finds no room with one byte of the record, the block
 * ends. A record whose next block begins with another record (0 in its bytes 6) was given up.
 *
 * A block that does not follow the one before it, by that one's checksum, is left from a flush that
 * a crash has interrupted: the block before was not written, or an open has gone on there. So is a
 * block whose epoch is lower than that of the block before.
 */
#ifndef UVDIO_LOG_FORMAT_H
#define UVDIO_LOG_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FORMAT_BLOCK 4096u
#define FORMAT_HEAD 40u
#define FORMAT_PAYLOAD (FORMAT_BLOCK - FORMAT_HEAD)
#define FORMAT_LENGTH 4u /* bytes of a record's length */
#define FORMAT_VERSION 1u

#define FORMAT_NO_RECORD 0xffffu
#define FORMAT_SEGMENT 0xfffeu
#define FORMAT_CONTROL 0xfffdu

typedef struct uvdio__log_head_s {
  unsigned used;
  unsigned first;
  uint64_t position;
  uint64_t durable;
  uint64_t log;
  uint32_t epoch;
  uint32_t before;   /* checksum of the block before it */
  uint32_t checksum; /* its own: set by both functions below */
} uvdio__log_head_t;

/* Writes the head of a block whose payload is there; what the payload does not use becomes
 * zeros. */
void uvdio__log_seal(char* block, uvdio__log_head_t* head);

/* Reads it. Returns 1 where the block has its checksum and could be one of these; 0 else. */
int uvdio__log_read_head(const char* block, uvdio__log_head_t* head);

/* Whether it is that of a block of records, of this log and at this place. */
int uvdio__log_is_block_of(const uvdio__log_head_t* head, uint64_t log, uint64_t position);

void uvdio__log_put32(char* at, uint32_t number);
void uvdio__log_put64(char* at, uint64_t number);
uint32_t uvdio__log_get32(const char* at);
uint64_t uvdio__log_get64(const char* at);

#endif /* UVDIO_LOG_FORMAT_H */
