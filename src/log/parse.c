/* SPDX-License-Identifier: MIT */
/*
 * Blocks become records for a reader of a log, one record at a time. A record that ends in the
 * block in which it begins stays where it was read; another one is gathered (log/reader.h).
 */
#include "log/reader.h"

/* A block's payload, as far as it is durable. */
typedef struct block_s {
  const char* payload;
  unsigned used;
  unsigned first;
  int is_settled;
} block_t;

void uvdio__log_parse_init(uvdio_log_reader_t* r) {
  const uvdio_log_t* log = r->log;
  uint64_t begin = r->options.begin;

  if (begin <= 1 || begin % log->segment_size < FORMAT_BLOCK) {
    uint64_t number = begin <= 1 ? log->cut : uvdio__log_segment_of(r, begin);
    r->position = number * log->segment_size + FORMAT_BLOCK;
  } else {
    r->position = begin / FORMAT_BLOCK * FORMAT_BLOCK;
  }
  r->next = r->position;
  r->is_skipping = 1;
}

uint64_t uvdio__log_parse_next(const uvdio_log_reader_t* r) {
  uint64_t here = r->is_skipping ? r->position : r->position + FORMAT_HEAD + r->at;

  if (r->is_ready) {
    return r->ready.lsn;
  }
  if (r->length > 0) {
    return r->lsn;
  }
  return here < r->options.begin ? r->options.begin : here;
}

/* What a cut has given up is not given, wherever its bytes are. */
static int is_cut_off(const uvdio_log_reader_t* r) {
  return (r->options.flags & UVDIO_LOG_READER_PIN) == 0 &&
         uvdio__log_segment_of(r, uvdio__log_parse_next(r)) < r->log->cut;
}

/*
 * Blocks
 */

static int follows(const uvdio_log_reader_t* r, uint32_t before) {
  return !r->has_before || before == r->before;
}

/* Durable blocks follow each other; one that does not is of another use of the segment. */
static int check_block(uvdio_log_reader_t* r, const char* bytes) {
  if (!uvdio__log_read_head(bytes, &r->head) ||
      !uvdio__log_is_block_of(&r->head, r->log->number, r->position) ||
      !follows(r, r->head.before) || r->head.used < r->at) {
    uvdio__log_reader_fail(r, UVDIO_EDAMAGED);
    return 0;
  }
  r->is_checked = 1;
  return 1;
}

/* The block that is gone on with is right; the one before, as it was read, need not be. */
static int take_tail(uvdio_log_reader_t* r, block_t* block) {
  const uvdio_log_t* log = r->log;

  block->payload = log->tail + FORMAT_HEAD;
  block->used = log->tail_used;
  block->first = log->tail_first;
  if (!follows(r, log->tail_before)) {
    uvdio__log_reader_fail(r, UVDIO_EDAMAGED);
    return 0;
  }
  return 1;
}

/* Returns whether the block at r->position is there. */
static int find_block(uvdio_log_reader_t* r, block_t* block) {
  const uvdio_log_t* log = r->log;
  const char* bytes;

  r->is_at_end = r->position >= log->end;
  if (r->is_at_end) {
    return 0;
  }
  block->is_settled = r->position < log->settled;
  if (!block->is_settled) {
    return take_tail(r, block);
  }
  bytes = uvdio__log_ahead_block(r);
  if (bytes == NULL || (!r->is_checked && !check_block(r, bytes))) {
    return 0;
  }
  block->payload = bytes + FORMAT_HEAD;
  block->used = r->head.used;
  block->first = r->head.first;
  return 1;
}

static void pass_block(uvdio_log_reader_t* r) {
  r->position = uvdio__log_block_behind(r->log, r->position);
  r->at = 0;
  r->is_begun = 0;
  r->is_checked = 0;
  r->has_before = 1;
  r->before = r->head.checksum;
}

/*
 * Records
 */

static void be_ready(uvdio_log_reader_t* r, uint64_t lsn, const char* bytes, size_t length) {
  r->is_ready = 1;
  r->ready.lsn = lsn;
  r->ready.bytes = bytes;
  r->ready.length = length;
  r->length = 0;
}

/* Takes what a block has of the record that goes on. Its memory grows with the bytes that are
 * there, since a length is just a number. */
static void gather(uvdio_log_reader_t* r, const block_t* block, size_t size) {
  size_t left = r->length - r->have;
  size_t taken = left < size ? left : size;
  int error = r->is_too_long ? 0 : uvdio_buf_extend(&r->record, block->payload + r->at, taken);

  r->have += taken;
  r->at += (unsigned)taken;
  if (r->have == r->length && r->is_too_long) {
    error = UVDIO_ESIZE;
  }
  if (error != 0) {
    uvdio__log_reader_fail(r, error);
  } else if (r->have == r->length) {
    be_ready(r, r->lsn, r->record.base, r->length);
  }
}

/* What goes on from the block before: a record that another one follows before its end was given up
 * by whoever appended it. */
static void begin_block(uvdio_log_reader_t* r, const block_t* block) {
  unsigned goes_on = block->first == FORMAT_NO_RECORD ? block->used : block->first;

  r->is_begun = 1;
  if (r->is_skipping) {
    r->at = goes_on;
    r->is_skipping = block->first == FORMAT_NO_RECORD;
  } else if (goes_on == 0) {
    r->length = 0;
  } else if (r->length == 0) {
    uvdio__log_reader_fail(r, UVDIO_EDAMAGED);
  } else {
    gather(r, block, goes_on);
    if (r->at != goes_on || (r->have < r->length && block->first != FORMAT_NO_RECORD)) {
      r->is_ready = 0;
      uvdio__log_reader_fail(r, UVDIO_EDAMAGED);
    }
  }
}

/* One that is given, and goes on in the next block or can't stay where it is. Whether one that is
 * too long is a record its end tells: it may have been given up. */
static void begin_record(uvdio_log_reader_t* r, const block_t* block, uint64_t lsn, size_t length) {
  r->is_too_long = length > r->options.record_max;
  r->lsn = lsn;
  r->length = length;
  r->have = 0;
  r->record.len = 0;
  r->at += FORMAT_LENGTH;
  gather(r, block, block->used - r->at);
}

/* The record that begins here. */
static void parse_record(uvdio_log_reader_t* r, const block_t* block) {
  uint64_t lsn = r->position + FORMAT_HEAD + r->at;
  const char* bytes = block->payload + r->at + FORMAT_LENGTH;
  size_t length = uvdio__log_get32(block->payload + r->at);
  size_t room = block->used - r->at - FORMAT_LENGTH;

  r->is_at_end = lsn >= r->log->durable;
  if (r->is_at_end) {
    return;
  }
  assert(length <= room || block->is_settled); /* one that is gone on with has room */
  r->is_skipping = 0; /* what was skipped may have ended with a block that is gone on with */
  if (length == 0 || length > UVDIO_LOG_RECORD_MAX) {
    uvdio__log_reader_fail(r, UVDIO_EDAMAGED);
  } else if (lsn < r->options.begin) {
    r->is_skipping = length > room;
    r->at += FORMAT_LENGTH + (unsigned)(length > room ? room : length);
  } else if (length > room || !block->is_settled || length > r->options.record_max) {
    begin_record(r, block, lsn, length);
  } else {
    r->at += FORMAT_LENGTH + (unsigned)length;
    be_ready(r, lsn, bytes, length);
  }
}

void uvdio__log_parse(uvdio_log_reader_t* r) {
  block_t block;

  if (r->error == 0 && is_cut_off(r)) {
    r->is_ready = 0;
    uvdio__log_reader_fail(r, UVDIO_ECUT);
  }
  r->is_at_end = 0;
  while (r->error == 0 && !r->is_ready && !r->is_at_end && find_block(r, &block)) {
    if (!r->is_begun) {
      begin_block(r, &block);
    } else if (block.used - r->at > FORMAT_LENGTH) {
      parse_record(r, &block);
    } else {
      r->is_at_end = !block.is_settled;
    }
    if (r->error == 0 && block.is_settled && r->is_begun && block.used - r->at <= FORMAT_LENGTH) {
      pass_block(r);
    }
  }
}
