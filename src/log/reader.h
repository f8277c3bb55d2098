/* SPDX-License-Identifier: MIT */
/*
 * The parts of a reader of a log (uvdio/log_reader.h), over the public interface only.
 *
 *   log/reader.c   the calls, waits, pins, and the end of a reader
 *   log/parse.c    blocks become records, in memory, as takes and waits ask for them
 *   log/ahead.c    segments are opened and read, some blocks ahead of that
 *
 * reader.c calls the others, and parse.c calls ahead.c; a request that has ended calls r->go_on,
 * which is reader.c's.
 *
 *   blocks of the log    ... taken | position ... | next ... settled | end ...
 *                                    in chunks      to be read         not durable
 *
 * A chunk is what one read brings. Chunks are in a circle, in the order of their blocks; the oldest
 * has the block at `position`, or is the next to be given back. From `settled` to `end` there is
 * one block, or none: records of it come from a copy that the log keeps, and it is read from its
 * segment when it is settled, for what is new in it.
 *
 * The wake-up is a request for the frame that the log itself lies in: it is pending while a wait
 * is, and is cancelled when that is to be called back. So a wait has its end by a callback of the
 * engine, whatever has come to pass, and an engine that is closed ends it.
 */
#ifndef UVDIO_LOG_READER_INTERNAL_H
#define UVDIO_LOG_READER_INTERNAL_H

#include "log/log.h"
#include "stream/ticker.h"
#include "uvdio/class.h"

#define READER_CHUNKS 4u
#define READER_HANDLES 2u /* of the segment that is parsed, and of the next one */

typedef struct uvdio__log_chunk_s {
  uvdio_req_t req;
  uvdio_log_reader_t* reader;
  char* base;
  uint64_t start; /* position of its first block; its blocks are in one segment */
  size_t size;
  int is_running;
  int error; /* of its read */
} uvdio__log_chunk_t;

/* A handle of a segment; that of a segment lies at its number modulo READER_HANDLES. */
typedef struct uvdio__log_handle_s {
  uvdio_file_t file;
  uvdio_req_t req; /* of its open, or close */
  uvdio_log_reader_t* reader;
  uint64_t number; /* 0: the place is free */
  int is_open;     /* and not being closed */
} uvdio__log_handle_t;

struct uvdio_log_reader_s {
  uvdio_buf_t memory; /* of all that the reader has, but for `record` */
  uvdio_log_t* log;
  uvdio_log_reader_t* next_reader; /* of the log */
  /* Does all that can be done now: called whenever a request of the reader has ended. */
  void (*go_on)(uvdio_log_reader_t* r);
  uvdio_log_reader_options_t options;
  int error;        /* the reader has stopped with it */
  unsigned pending; /* requests of the reader */

  /* Reading (ahead.c). */
  uvdio__log_chunk_t chunks[READER_CHUNKS];
  unsigned oldest;
  unsigned queued;
  unsigned running;
  size_t chunk_size;
  uint64_t next;   /* position of the next block to read */
  int ahead_error; /* nothing is read any more; told when what was read is parsed */
  uvdio__log_handle_t handles[READER_HANDLES];
  uvdio__ticker_t ticker;
  uint64_t reads;

  /* Parsing (parse.c). */
  uint64_t position; /* of the block that is parsed */
  unsigned at;       /* in its payload */
  int is_begun;      /* what goes on from the block before is parsed */
  int is_checked;    /* `head` is that of the block, in the oldest chunk */
  uvdio__log_head_t head;
  int has_before;  /* the block before was parsed */
  uint32_t before; /* its checksum */
  int is_skipping; /* a record goes on that is not given */
  int is_at_end;   /* there is nothing durable behind what was parsed */
  uvdio_buf_t record;
  uint64_t lsn;  /* of the record that is gathered in it, and goes on in the next block */
  size_t length; /* 0: none does */
  size_t have;
  int is_too_long; /* it is only counted */
  int is_ready;
  uvdio_log_record_t ready; /* the next to take */

  /* Calls (reader.c). */
  int has_out; /* a record was taken, and nothing was called since */
  uint64_t last_lsn;
  uint64_t pin; /* the first segment that a cut spares for the reader; UINT64_MAX: none */
  uint64_t taken;
  uint64_t taken_bytes;
  uvdio_req_t wake_req;
  uvdio_buf_t wake_frame;
  int is_wake_pending;
  int is_calling;
  int is_closing;
  int is_left; /* closed, but for what uvdio_log_reader_destroy() does */
  uvdio_log_reader_cb wait_cb;
  void* wait_arg;
  uvdio_log_reader_cb close_cb;
  void* close_arg;
};

/* Stops the reader, unless it has stopped. */
static inline void uvdio__log_reader_fail(uvdio_log_reader_t* r, int error) {
  assert(error < 0);
  if (r->error == 0) {
    r->error = error;
  }
}

static inline uint64_t uvdio__log_segment_of(const uvdio_log_reader_t* r, uint64_t position) {
  return position / r->log->segment_size;
}

/*
 * ahead.c
 */

/* Sets up chunks and handles; `base` is the memory of the chunks. */
void uvdio__log_ahead_init(uvdio_log_reader_t* r, char* base);

/* Opens, reads and closes what can be now. */
void uvdio__log_ahead_pump(uvdio_log_reader_t* r);

/* The block at r->position, which is settled, from the oldest chunk; null: it has not arrived, or
 * the reader has stopped. Chunks before it are given back: nobody has a record in them any more. */
const char* uvdio__log_ahead_block(uvdio_log_reader_t* r);

/* Cancels what has not begun. */
void uvdio__log_ahead_cancel(uvdio_log_reader_t* r);

/* Begins to close a handle that is open: sets `is_over` where there is none. Returns an error. */
int uvdio__log_ahead_close_one(uvdio_log_reader_t* r, int* is_over);

/*
 * parse.c
 */

/* Where the reader begins. */
void uvdio__log_parse_init(uvdio_log_reader_t* r);

/* Parses to the end of the next record, into r->ready, as far as its blocks are there. */
void uvdio__log_parse(uvdio_log_reader_t* r);

/* An LSN that is not above that of the next record, but is above that of the one before. */
uint64_t uvdio__log_parse_next(const uvdio_log_reader_t* r);

#endif /* UVDIO_LOG_READER_INTERNAL_H */
