/* SPDX-License-Identifier: MIT */
/*
 * The open of a log: the control file tells the first segment, each segment is read to its end, and
 * blocks are taken as they follow each other. Where one is missing or wrong the records end; what
 * lies behind is read all the same, for blocks that tell of damage, and for their epochs.
 *
 *   lock -> control -> names -> [segment -> head -> blocks -> sync -> close] ... -> the end
 *              |
 *              +-> none: a new log, which the keeper makes
 *
 * Blocks are read through the memory of the batches, which nothing else uses before the log is
 * open: two reads are in flight, and taken in their order.
 */
#include "log/log.h"

/* A read of some blocks. */
typedef struct chunk_s {
  uvdio_req_t req;
  uvdio__log_recovery_t* recovery;
  char* base;
  uint64_t offset;
  size_t size;
  int is_read;
} chunk_t;

/* Between two questions for a lock that somebody else has. */
#define LOCK_PAUSE_MS 5u

struct uvdio__log_recovery_s {
  uvdio_buf_t memory; /* in which this lies */
  uvdio_log_t* log;
  uvdio_req_t req;
  int is_locked_out;        /* somebody else has the lock, which is waited for */
  uint64_t locked_out_from; /* milliseconds, by the loop's clock; 0: it was asked for once */
  uvdio_buf_t frame;        /* of a request that only ends by being cancelled */
  uint64_t number;          /* of the segment that is read */
  int is_gap;               /* the segment before it is not there */
  int is_foreign;           /* it is none of this log's, unless one of its blocks is */
  chunk_t chunks[2];
  unsigned oldest; /* chunk */
  uint64_t next;   /* offset of the next read */
  unsigned in_flight;
  int error;

  /* What was found. */
  int is_marked;      /* the lock's file has its mark: there was a log once */
  int has_end;        /* a block was missing or wrong */
  uint64_t end;       /* its position */
  uint32_t epoch;     /* of the block before */
  uint32_t before;    /* its checksum */
  int has_before;     /* there is one */
  uint32_t epoch_max; /* of all blocks */
  uint64_t last_lsn;

  /* A record that goes on in the next block. */
  int is_within;      /* one whose begin was cut off */
  uvdio_buf_t record; /* what is there of it */
  size_t length;      /* of the whole; 0: none does */
  uint64_t lsn;
};

static void on_lock(uvdio_req_t* req, int64_t result);
static void on_mark_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);
static void on_control_open(uvdio_req_t* req, int64_t result);
static void on_control_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);
static void on_control_closed(uvdio_req_t* req, int64_t result);
static void on_names_synced(uvdio_req_t* req, int64_t result);
static void on_segment_open(uvdio_req_t* req, int64_t result);
static void on_head_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);
static void on_synced(uvdio_req_t* req, int64_t result);
static void on_segment_closed(uvdio_req_t* req, int64_t result);
static void on_chunk(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

/* Every step ends here where something is wrong: the file is closed, then the log stops. */
static void stop(uvdio__log_recovery_t* r, int64_t error) {
  uvdio_log_t* log = r->log;

  if (r->error == 0) {
    r->error = (int)error;
  }
  if (r->in_flight > 0) {
    return;
  }
  if (uvdio_close(&log->read_file, &r->req, on_segment_closed) == 0) {
    log->pending++;
    return;
  }
  uvdio__log_fail(log, r->error);
  uvdio__log_end_recovery(log);
  log->run(log);
}

/* A request was submitted, or not. */
static void expect(uvdio__log_recovery_t* r, int error) {
  if (error == 0) {
    r->log->pending++;
  } else {
    stop(r, error);
  }
}

static uvdio__log_recovery_t* ended(uvdio_req_t* req) {
  uvdio__log_recovery_t* r = req->data;

  r->log->pending--;
  return r;
}

/*
 * Records
 */

static void replay(uvdio__log_recovery_t* r, uint64_t lsn, const char* bytes, size_t length) {
  uvdio_log_t* log = r->log;

  log->stats.replayed++;
  r->last_lsn = lsn;
  if (log->record_cb != NULL) {
    log->record_cb(lsn, bytes, length, log->arg);
  }
}

static void begin_record(uvdio__log_recovery_t* r, uint64_t lsn, size_t length) {
  r->length = length;
  r->lsn = lsn;
  r->record.len = 0;
}

/* Takes what a block has of the record. Its memory grows with the bytes that are there, since a
 * length is just a number. */
static int go_on_with_record(uvdio__log_recovery_t* r, const char* payload, size_t size) {
  int error = size > r->length - r->record.len ? UVDIO_EDAMAGED
                                               : uvdio_buf_extend(&r->record, payload, size);

  if (error == 0 && r->record.len == r->length) {
    r->length = 0;
    replay(r, r->lsn, r->record.base, r->record.len);
  }
  return error;
}

/* The records of one block, from `at` on. */
static int take_records(uvdio__log_recovery_t* r, const uvdio__log_head_t* head,
                        const char* payload, size_t at) {
  while (head->used - at > FORMAT_LENGTH) {
    uint64_t lsn = head->position + FORMAT_HEAD + at;
    size_t length = uvdio__log_get32(payload + at);
    size_t size = head->used - at - FORMAT_LENGTH;
    if (length == 0 || length > UVDIO_LOG_RECORD_MAX) {
      return UVDIO_EDAMAGED;
    }
    at += FORMAT_LENGTH;
    if (length <= size) {
      replay(r, lsn, payload + at, length);
      at += length;
    } else {
      begin_record(r, lsn, length);
      return go_on_with_record(r, payload + at, size);
    }
  }
  return 0;
}

/* A log that was cut begins within a record, perhaps. One that another record follows before its
 * end was given up by whoever appended it. */
static int take_block(uvdio__log_recovery_t* r, const uvdio__log_head_t* head, const char* block) {
  const char* payload = block + FORMAT_HEAD;
  size_t goes_on = head->first == FORMAT_NO_RECORD ? head->used : head->first;
  int error = 0;

  if (r->is_within) {
    r->is_within = head->first == FORMAT_NO_RECORD;
  } else if (goes_on == 0) {
    r->length = 0;
  } else if (r->length == 0) {
    error = UVDIO_EDAMAGED;
  } else {
    error = go_on_with_record(r, payload, goes_on);
  }
  if (error == 0 && r->length > 0 && head->first != FORMAT_NO_RECORD) {
    error = UVDIO_EDAMAGED; /* The next one begins within it. */
  }
  return error != 0 || head->first == FORMAT_NO_RECORD
             ? error
             : take_records(r, head, payload, head->first);
}

/*
 * Blocks
 */

/* Behind the end: a block that was written when the end's was durable tells of damage. */
static int look_behind(const uvdio__log_recovery_t* r, const uvdio__log_head_t* head) {
  return head->durable > r->end ? UVDIO_EDAMAGED : 0;
}

/* The block before the first one may have been cut off. */
static int follows(const uvdio__log_recovery_t* r, const uvdio__log_head_t* head) {
  return head->epoch >= r->epoch && (!r->has_before || head->before == r->before);
}

static int look_at_block(uvdio__log_recovery_t* r, const char* block, uint64_t position) {
  uvdio__log_head_t head;
  int is_good =
      uvdio__log_read_head(block, &head) && uvdio__log_is_block_of(&head, r->log->number, position);

  if (is_good && head.epoch > r->epoch_max) {
    r->epoch_max = head.epoch;
  }
  if (r->is_foreign) {
    return is_good ? UVDIO_EDAMAGED : 0; /* The head of the segment is gone. */
  }
  if (r->has_end) {
    return is_good ? look_behind(r, &head) : 0;
  }
  if (!is_good || !follows(r, &head)) {
    r->has_end = 1;
    r->end = position;
    return 0;
  }
  r->epoch = head.epoch;
  r->before = head.checksum;
  r->has_before = 1;
  return take_block(r, &head, block);
}

static int look_at_chunk(uvdio__log_recovery_t* r, const chunk_t* chunk) {
  uint64_t position = r->number * r->log->segment_size + chunk->offset;
  int error = 0;
  size_t at;

  for (at = 0; at < chunk->size && error == 0; at += FORMAT_BLOCK) {
    error = look_at_block(r, chunk->base + at, position + at);
  }
  return error;
}

/* Reads the next blocks of the segment into a chunk that is free. */
static void read_chunk(uvdio__log_recovery_t* r, chunk_t* chunk) {
  uint64_t left = r->log->segment_size - r->next;
  uvdio_buf_t view;

  if (left == 0 || r->error != 0) {
    return;
  }
  chunk->offset = r->next;
  chunk->size = left < r->log->options.buffer_size ? (size_t)left : r->log->options.buffer_size;
  chunk->is_read = 0;
  view = uvdio_buf_wrap(chunk->base, chunk->size);
  r->error = uvdio_read_exact(&r->log->read_file, &chunk->req, &view, chunk->offset, on_chunk);
  if (r->error == 0) {
    r->next += chunk->size;
    r->in_flight++;
    r->log->pending++;
  }
}

/* All of a segment was looked at: it is made durable, since a program that was killed may have left
 * what only the device's cache has. */
static void end_segment(uvdio__log_recovery_t* r) {
  if (r->error != 0) {
    stop(r, r->error);
  } else {
    expect(r, uvdio_sync_data(&r->log->read_file, &r->req, on_synced));
  }
}

/* A file that is none of the log's may end anywhere. */
static void end_of_foreign(uvdio__log_recovery_t* r, chunk_t* chunk, size_t arrived) {
  chunk->size = arrived / FORMAT_BLOCK * FORMAT_BLOCK;
  r->next = r->log->segment_size;
}

static void on_chunk(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  chunk_t* chunk = req->data;
  uvdio__log_recovery_t* r = chunk->recovery;

  r->log->pending--;
  r->in_flight--;
  chunk->is_read = 1;
  if (result == UVDIO_ESHORTREAD && r->is_foreign) {
    end_of_foreign(r, chunk, buf.len);
  } else if (result < 0 && r->error == 0) {
    r->error = result == UVDIO_ESHORTREAD ? UVDIO_EDAMAGED : (int)result;
  }
  while (r->error == 0 && r->chunks[r->oldest].is_read) {
    chunk_t* oldest = &r->chunks[r->oldest];
    oldest->is_read = 0;
    r->error = look_at_chunk(r, oldest);
    r->oldest = 1 - r->oldest;
    read_chunk(r, oldest);
  }
  if (r->in_flight == 0) {
    end_segment(r);
  }
}

static void read_blocks(uvdio__log_recovery_t* r) {
  r->next = FORMAT_BLOCK;
  r->oldest = 0;
  read_chunk(r, &r->chunks[0]);
  read_chunk(r, &r->chunks[1]);
  if (r->in_flight == 0) {
    end_segment(r);
  }
}

/*
 * Segments
 */

static void open_segment(uvdio__log_recovery_t* r) {
  uvdio_log_t* log = r->log;

  expect(r,
         uvdio_open(log->engine, &log->read_file, &r->req, uvdio__log_segment_path(log, r->number),
                    LOG_FILE_FLAGS, 0, on_segment_open));
}

static void read_head(uvdio__log_recovery_t* r, uvdio_io_cb cb) {
  uvdio_buf_t view = uvdio_buf_wrap(r->log->keeper_block, FORMAT_BLOCK);

  expect(r, uvdio_read_exact(&r->log->read_file, &r->req, &view, 0, cb));
}

/* No segment is there any more: the log goes on at the end that was found. Where all blocks were
 * good it is the segment behind the last one. */
static void end_recovery(uvdio__log_recovery_t* r) {
  uvdio_log_t* log = r->log;
  uint64_t end = r->has_end ? r->end : (log->last_found + 1) * log->segment_size + FORMAT_BLOCK;

  if (r->epoch_max == UINT32_MAX) {
    stop(r, UVDIO_EDAMAGED);
    return;
  }
  log->epoch = r->epoch_max + 1;
  log->durable = r->last_lsn + 1;
  uvdio__log_begin_at(log, end, r->before);
  uvdio__log_end_recovery(log);
  log->run(log);
}

static void on_segment_open(uvdio_req_t* req, int64_t result) {
  uvdio__log_recovery_t* r = ended(req);

  if (result == UV_ENOENT && !r->is_gap && r->number > r->log->head) {
    r->is_gap = 1; /* the last one was the last, or one is missing */
    r->number++;
    open_segment(r);
  } else if (result == UV_ENOENT && r->is_gap) {
    end_recovery(r);
  } else if (result == UV_ENOENT) {
    stop(r, UVDIO_EDAMAGED);
  } else if (result < 0) {
    stop(r, result);
  } else {
    read_head(r, on_head_read);
  }
}

/* Whether the keeper's block is the head of the segment that is read. */
static int is_head_of_segment(const uvdio__log_recovery_t* r) {
  const uvdio_log_t* log = r->log;
  uvdio__log_head_t head;

  return uvdio__log_read_head(log->keeper_block, &head) && head.first == FORMAT_SEGMENT &&
         head.log == log->number && head.position == r->number * log->segment_size &&
         head.durable == log->segment_size;
}

/* A file that has no such head may be left from another log. Where there is a gap before one that
 * has, a segment is missing. */
static void on_head_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio__log_recovery_t* r = ended(req);

  (void)buf; /* the keeper's block */
  if (result < 0 && result != UVDIO_ESHORTREAD) {
    stop(r, result);
    return;
  }
  r->is_foreign = result < 0 || !is_head_of_segment(r);
  if (r->is_foreign ? r->number == r->log->head : r->is_gap) {
    stop(r, UVDIO_EDAMAGED);
    return;
  }
  if (!r->is_foreign) {
    r->log->last_found = r->number;
  }
  read_blocks(r);
}

static void on_synced(uvdio_req_t* req, int64_t result) {
  uvdio__log_recovery_t* r = ended(req);

  if (result < 0) {
    stop(r, result);
  } else {
    expect(r, uvdio_close(&r->log->read_file, &r->req, on_segment_closed));
  }
}

static void on_segment_closed(uvdio_req_t* req, int64_t result) {
  uvdio__log_recovery_t* r = ended(req);

  if (r->error != 0) {
    stop(r, r->error);
  } else if (result < 0) {
    stop(r, result);
  } else if (r->is_foreign && r->is_gap) {
    end_recovery(r);
  } else {
    r->is_gap = r->is_foreign;
    r->number++;
    open_segment(r);
  }
}

/*
 * The control file
 */

/* Nothing is there: a new log, whose first segment the keeper makes. */
static void begin_new(uvdio__log_recovery_t* r) {
  uvdio_log_t* log = r->log;
  int error = uv_random(NULL, NULL, &log->number, sizeof(log->number), 0, NULL);

  if (error != 0) {
    stop(r, error);
    return;
  }
  log->is_new = 1;
  log->is_unmarked = 1;
  log->oldest = log->head = log->cut = 1;
  log->epoch = 1;
  uvdio__log_begin_at(log, log->segment_size + FORMAT_BLOCK, 0);
  uvdio__log_end_recovery(log);
  log->run(log);
}

static int open_lock(uvdio__log_recovery_t* r) {
  uvdio_log_t* log = r->log;
  int error = uvdio_open(log->engine, &log->lock, &r->req, uvdio__log_path(log, "lock"),
                         LOG_FILE_FLAGS | UVDIO_O_CREATE, 0600, on_lock);

  log->has_lock = error == 0;
  log->pending += error == 0;
  return error;
}

/* The pause is over, or the engine is closing. */
static void on_pause_over(uvdio_req_t* req, int64_t result) {
  uvdio__log_recovery_t* r = ended(req);
  int error = open_lock(r);

  assert(result < 0); /* nobody releases the log's frame */
  (void)result;
  r->is_locked_out = 0;
  if (error != 0) {
    stop(r, error);
  }
}

/* Returns 0, or why it does not. Meanwhile it has a request, a wait for the frame that the log
 * itself lies in, so that the engine does not end before. */
static int wait_for_lock(uvdio__log_recovery_t* r) {
  uvdio_log_t* log = r->log;
  uint64_t now = uv_now(uvdio_engine_loop(log->engine));
  int error;

  if (r->locked_out_from == 0) {
    r->locked_out_from = now;
  }
  if (log->is_closing || now - r->locked_out_from >= log->options.lock_wait_ms) {
    return UVDIO_ELOCKED;
  }
  error = uvdio_arena_wait(log->engine, &r->req, log->arena, &r->frame, 1, on_pause_over);
  if (error == 0) {
    log->pending++;
    r->is_locked_out = 1;
    uvdio__log_run_in(log, LOCK_PAUSE_MS);
  }
  return error;
}

/* A call of the log may have taken its timer meanwhile, which is then over sooner. */
void uvdio__log_try_lock(uvdio_log_t* log) {
  uvdio__log_recovery_t* r = log->recovery;

  if (r != NULL && r->is_locked_out && !uv_is_active((uv_handle_t*)log->timer)) {
    (void)uvdio_cancel(&r->req);
  }
}

static void on_lock(uvdio_req_t* req, int64_t result) {
  uvdio__log_recovery_t* r = ended(req);

  if (result == 0) {
    uvdio_buf_t view = uvdio_buf_wrap(r->log->keeper_block, FORMAT_BLOCK);
    expect(r, uvdio_read(&r->log->lock, &r->req, &view, 0, on_mark_read));
    return;
  }
  r->log->has_lock = 0;
  if (result == UVDIO_ELOCKED) {
    result = wait_for_lock(r);
  }
  if (result != 0) {
    stop(r, result);
  }
}

/* A log that was open once has its mark in the lock's file. */
static void on_mark_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio__log_recovery_t* r = ended(req);
  uvdio__log_head_t head;

  (void)buf; /* the keeper's block */
  r->is_marked = result == (ssize_t)FORMAT_BLOCK &&
                 uvdio__log_read_head(r->log->keeper_block, &head) && head.first == FORMAT_CONTROL;
  if (result < 0) {
    stop(r, result);
  } else {
    expect(r,
           uvdio_open(r->log->engine, &r->log->read_file, &r->req, uvdio__log_path(r->log, "log"),
                      UVDIO_O_RDONLY | UVDIO_O_DIRECT_PREFERRED, 0, on_control_open));
  }
}

static void on_control_open(uvdio_req_t* req, int64_t result) {
  uvdio__log_recovery_t* r = ended(req);

  if (result == UV_ENOENT && r->is_marked) {
    stop(r, UVDIO_EDAMAGED);
  } else if (result == UV_ENOENT && (r->log->options.flags & UVDIO_LOG_EXISTING) == 0) {
    begin_new(r);
  } else if (result < 0) {
    stop(r, result);
  } else {
    read_head(r, on_control_read);
  }
}

/* A batch has one boundary of segments at most. */
static void limit_batches(uvdio_log_t* log) {
  uint64_t most = log->segment_size / 2 / FORMAT_BLOCK;

  log->blocks_max = most < log->blocks_max ? (unsigned)most : log->blocks_max;
}

/* Whether the control file is one; what it says is the log's then. */
static int take_control(uvdio_log_t* log) {
  const char* payload = log->keeper_block + FORMAT_HEAD;
  uvdio__log_head_t head;

  if (!uvdio__log_read_head(log->keeper_block, &head) || head.first != FORMAT_CONTROL ||
      head.used != 16 || head.epoch != FORMAT_VERSION) {
    return 0;
  }
  log->number = head.log;
  log->segment_size = head.durable;
  log->oldest = uvdio__log_get64(payload);
  log->head = log->cut = uvdio__log_get64(payload + 8);
  log->stats.first_segment = log->head;
  return log->segment_size % FORMAT_BLOCK == 0 && log->segment_size >= LOG_SEGMENT_MIN &&
         log->segment_size <= LOG_SEGMENT_MAX && log->oldest <= log->head && log->oldest > 0 &&
         log->head < UINT64_MAX / 2 / log->segment_size;
}

static void on_control_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio__log_recovery_t* r = ended(req);

  (void)buf; /* the keeper's block */
  if (result < 0) {
    stop(r, result == UVDIO_ESHORTREAD ? UVDIO_EDAMAGED : (int64_t)result);
  } else if (!take_control(r->log)) {
    stop(r, UVDIO_EDAMAGED);
  } else {
    limit_batches(r->log);
    r->log->is_unmarked = !r->is_marked;
    r->number = r->log->head;
    expect(r, uvdio_close(&r->log->read_file, &r->req, on_control_closed));
  }
}

/* Names that are there need not be durable: a program that was killed may have made them. The syncs
 * of segments come behind this, because that of a directory is a success on some filesystems whose
 * disk is gone (see uvdio_replace()). */
static void on_control_closed(uvdio_req_t* req, int64_t result) {
  uvdio__log_recovery_t* r = ended(req);

  if (result < 0) {
    stop(r, result);
  } else {
    expect(r, uvdio_sync_directory(r->log->engine, &r->req, r->log->path, on_names_synced));
  }
}

static void on_names_synced(uvdio_req_t* req, int64_t result) {
  uvdio__log_recovery_t* r = ended(req);

  if (result < 0) {
    stop(r, result);
  } else {
    open_segment(r);
  }
}

/*
 * Begin and end
 */

int uvdio__log_recover(uvdio_log_t* log) {
  uvdio_buf_t memory;
  uvdio__log_recovery_t* r;
  int error = uvdio_buf_alloc(&memory, 4 * UVDIO_PAGE_SIZE, UVDIO_BUF_ZEROED);
  unsigned i;

  if (error != 0) {
    return error;
  }
  assert(sizeof(*r) <= memory.cap);
  r = (uvdio__log_recovery_t*)(void*)memory.base;
  r->memory = memory;
  r->log = log;
  r->req.data = r;
  (void)uvdio_req_set_class(&r->req, UVDIO_CLASS_LOG);
  r->is_within = 1;
  for (i = 0; i < 2; i++) {
    r->chunks[i].req.data = &r->chunks[i];
    (void)uvdio_req_set_class(&r->chunks[i].req, UVDIO_CLASS_LOG);
    r->chunks[i].recovery = r;
    r->chunks[i].base = log->batches[i].base;
  }
  log->recovery = r;
  error = open_lock(r);
  if (error != 0) {
    uvdio__log_end_recovery(log);
  }
  return error;
}

void uvdio__log_end_recovery(uvdio_log_t* log) {
  uvdio__log_recovery_t* r = log->recovery;
  uvdio_buf_t memory = r->memory;

  log->recovery = NULL;
  (void)uvdio_buf_release(&r->record);
  (void)uvdio_buf_release(&memory);
}
