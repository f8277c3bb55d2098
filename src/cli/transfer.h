/* SPDX-License-Identifier: MIT */
/*
 * One pass over two files by two streams (uvdio/stream.h): copies the source to the target, or
 * compares the two.
 */
#ifndef UVDIO_CLI_TRANSFER_H
#define UVDIO_CLI_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

#include "uvdio.h"
#include "uvdio/stream.h"

/* A range of bytes; begin equals end: there is none. */
typedef struct extent_s {
  uint64_t begin;
  uint64_t end;
} extent_t;

/* The first range at or behind `from` that has data, widened to multiples of `unit` (a power of
 * two), cut to `from` and `size`. A null file, and what the system can't tell, count as data to the
 * end. */
extent_t extents_next(uvdio_file_t* file, uint64_t from, uint64_t size, uint64_t unit);

/* The bytes of all of them. */
uint64_t extents_count(uvdio_file_t* file, uint64_t size, uint64_t unit);

typedef enum { TRANSFER_COPY, TRANSFER_COMPARE } transfer_mode_t;

typedef enum {
  TRANSFER_DONE,
  TRANSFER_FAILED,  /* see error, operation, file */
  TRANSFER_SHRANK,  /* the source ended at `offset`, before its size */
  TRANSFER_GREW,    /* the source has more bytes than its size */
  TRANSFER_DIFFERS, /* comparing: the first byte that differs is at `offset` */
  TRANSFER_STOPPED
} transfer_outcome_t;

typedef struct transfer_s {
  transfer_mode_t mode;
  uvdio_file_t* source;
  uvdio_file_t* target;
  uint64_t size;     /* of the source, in bytes */
  size_t block_size; /* bytes, a multiple of `unit` */
  size_t
      unit; /* what offsets and lengths are multiples of in both files, in bytes; a power of two */
  unsigned depth; /* requests in flight */
  /* copying: the source, to ask where its holes are; null: all of it is data. The target must read
   * as zeros there */
  uvdio_file_t* holes;
  unsigned writer_flags; /* copying: UVDIO_WRITER_* */
  int target_goes_on;    /* the target may be longer than the source: a device */
  uint64_t done;         /* bytes of data that are copied or compared */
  uint64_t moved;        /* bytes of them that were written, or read and compared */
  transfer_outcome_t outcome;
  int error;
  const char* operation; /* "read", "write" */
  const uvdio_file_t* file;
  uint64_t offset;
  /* private */
  uvdio_arena_t* arena;
  uvdio_reader_t* readers[2]; /* of the source; comparing: of the target */
  uvdio_writer_t* writer;     /* copying: of the target */
  uvdio_block_t blocks[2];    /* comparing: what was taken, empty at a file's end */
  int has_block[2];
  extent_t data; /* what was not named of the range of data at hand */
  int begun;     /* the first block was named */
  int is_over;
} transfer_t;

/* Starts what the fields above say. The rest happens as the loop runs; once nothing is pending,
 * `outcome` tells. Returns 0 or a code (nothing was started, nothing to close). */
int transfer_start(transfer_t* transfer);

/* Takes no further block and asks for an early end of what is in flight. */
void transfer_stop(transfer_t* transfer);

/* Frees what it had. Nothing may be in flight. */
void transfer_close(transfer_t* transfer);

#endif /* UVDIO_CLI_TRANSFER_H */
