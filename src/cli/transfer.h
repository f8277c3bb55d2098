/*
 * One pass over two files, block by block, with many requests in flight: copies the source to the target,
 * or compares the two.
 */
#ifndef UVDIO_CLI_TRANSFER_H
#define UVDIO_CLI_TRANSFER_H

#include "cli.h"

typedef enum {
  TRANSFER_COPY,
  TRANSFER_COMPARE
} transfer_mode_t;

typedef enum {
  TRANSFER_DONE,
  TRANSFER_FAILED,  /* see error, operation, file, offset */
  TRANSFER_SHRANK,  /* the source ended at `offset`, before its size */
  TRANSFER_GREW,    /* the source has more bytes than its size */
  TRANSFER_DIFFERS, /* comparing: the first byte that differs is at `offset` */
  TRANSFER_STOPPED
} transfer_outcome_t;

typedef struct transfer_slot_s transfer_slot_t;

typedef struct transfer_s {
  transfer_mode_t mode;
  uvdio_file_t* source;
  uvdio_file_t* target;
  uint64_t size;     /* of the source, in bytes */
  size_t block_size; /* bytes, a multiple of `alignment` */
  size_t alignment;  /* of the target, in bytes: a last block is padded to it */
  unsigned depth;    /* slots, each of which has one request in flight */
  int holes;         /* copying: a descriptor of the source, to ask where its holes are; -1: all of it is data. The target
                        must read as zeros there */
  uint64_t done;     /* bytes copied or compared */
  transfer_outcome_t outcome;
  int error;
  const char* operation; /* "read", "write" */
  const uvdio_file_t* file;
  uint64_t offset;
  /* private */
  uvdio_arena_t* arena;
  transfer_slot_t* slots;
  unsigned slot_count;
  uint64_t next; /* offset of the first block that no slot has taken */
  uint64_t data_end; /* up to here, what follows `next` is data */
} transfer_t;

/* Allocates slots and frames for what the fields above say, and starts. The rest happens as the loop runs;
 * once nothing is pending, `outcome` tells. Returns 0 or a code (nothing was started, nothing to close). */
int transfer_start(transfer_t* transfer);

/* Takes no further block and asks for an early end of what is in flight. */
void transfer_stop(transfer_t* transfer);

/* Frees slots and frames. Nothing may be in flight. */
void transfer_close(transfer_t* transfer);

#endif /* UVDIO_CLI_TRANSFER_H */
