/* SPDX-License-Identifier: MIT */
/*
 * Records become blocks in a batch, batches are written one after the other, and the appends of one
 * that is durable get their end (log/log.h).
 */
#include "log/log.h"

static char* block_of(const uvdio__log_batch_t* batch, unsigned block) {
  return batch->base + (size_t)block * FORMAT_BLOCK;
}

static uint64_t begin_of_next_segment(const uvdio_log_t* log, uint64_t position) {
  return (position / log->segment_size + 1) * log->segment_size + FORMAT_BLOCK;
}

static uint64_t position_of(const uvdio__log_batch_t* batch, unsigned block) {
  if (block < batch->split) {
    return batch->start + (uint64_t)block * FORMAT_BLOCK;
  }
  return begin_of_next_segment(batch->log, batch->start) +
         (uint64_t)(block - batch->split) * FORMAT_BLOCK;
}

static void begin_batch(uvdio_log_t* log, uvdio__log_batch_t* batch, uint64_t position,
                        uint32_t before) {
  uint64_t left = (log->segment_size - position % log->segment_size) / FORMAT_BLOCK;

  assert(position % FORMAT_BLOCK == 0 && position % log->segment_size >= FORMAT_BLOCK);
  assert(batch->writes == 0 && batch->ends == NULL);
  batch->start = position;
  batch->blocks = 0;
  batch->split = left < log->blocks_max ? (unsigned)left : log->blocks_max;
  batch->used = FORMAT_PAYLOAD;
  batch->first = FORMAT_NO_RECORD;
  batch->before = before;
  batch->bytes = 0;
}

void uvdio__log_begin_at(uvdio_log_t* log, uint64_t position, uint32_t before) {
  begin_batch(log, &log->batches[log->filling], position, before);
  log->end = log->settled = position;
}

/*
 * Filling
 */

/* Ends the last block. Returns its checksum, or that of the block before the batch. */
static uint32_t seal(uvdio__log_batch_t* batch) {
  uvdio__log_head_t head = {0};

  head.checksum = batch->before;
  if (batch->blocks > 0) {
    head.before = batch->before;
    head.used = batch->used;
    head.first = batch->first;
    head.position = position_of(batch, batch->blocks - 1);
    head.durable = batch->start;
    head.log = batch->log->number;
    head.epoch = batch->log->epoch;
    uvdio__log_seal(block_of(batch, batch->blocks - 1), &head);
  }
  return head.checksum;
}

/* Makes room for `size` bytes of payload. Returns 0 where the batch is full. */
static int make_room(uvdio__log_batch_t* batch, size_t size) {
  if (batch->blocks > 0 && FORMAT_PAYLOAD - batch->used >= size) {
    return 1;
  }
  if (batch->blocks == batch->log->blocks_max) {
    return 0;
  }
  batch->before = seal(batch);
  batch->blocks++;
  batch->used = 0;
  batch->first = FORMAT_NO_RECORD;
  return 1;
}

static char* payload_of(const uvdio__log_batch_t* batch) {
  return block_of(batch, batch->blocks - 1) + FORMAT_HEAD + batch->used;
}

/* Its length, which stands before its bytes. */
static int place_length(uvdio__log_batch_t* batch, uvdio_log_append_t* append) {
  if (!make_room(batch, FORMAT_LENGTH + 1)) {
    return 0;
  }
  if (batch->first == FORMAT_NO_RECORD) {
    batch->first = batch->used;
  }
  append->lsn = position_of(batch, batch->blocks - 1) + FORMAT_HEAD + batch->used;
  uvdio__log_put32(payload_of(batch), (uint32_t)append->length);
  batch->used += FORMAT_LENGTH;
  append->is_begun_ = 1;
  return 1;
}

/* Returns 1 when all of it is placed. */
static int place(uvdio__log_batch_t* batch, uvdio_log_append_t* append) {
  if (!append->is_begun_ && !place_length(batch, append)) {
    return 0;
  }
  while (append->placed_ < append->length && make_room(batch, 1)) {
    size_t room = FORMAT_PAYLOAD - batch->used;
    size_t left = append->length - append->placed_;
    size_t size = left < room ? left : room;
    memcpy(payload_of(batch), append->bytes_ + append->placed_, size);
    batch->used += (unsigned)size;
    batch->bytes += size;
    append->placed_ += size;
  }
  return append->placed_ == append->length;
}

static void append_end(uvdio__log_batch_t* batch, uvdio_log_append_t* append) {
  append->next_ = NULL;
  if (batch->ends == NULL) {
    batch->ends = append;
  } else {
    batch->last_end->next_ = append;
  }
  batch->last_end = append;
}

void uvdio__log_fill(uvdio_log_t* log) {
  uvdio__log_batch_t* batch = &log->batches[log->filling];

  while (log->waiting != NULL && log->is_open && log->error == 0) {
    uvdio_log_append_t* append = log->waiting;
    size_t before = append->placed_;
    int is_placed = place(batch, append);
    log->waiting_bytes -= append->placed_ - before;
    if (!is_placed) {
      return;
    }
    log->waiting = append->next_;
    append_end(batch, append);
  }
}

/*
 * Writing
 */

static void end_appends(uvdio_log_t* log, uvdio__log_batch_t* batch, int status) {
  uvdio_log_append_t* append;

  while ((append = batch->ends) != NULL) {
    batch->ends = append->next_;
    append->log_ = NULL;
    if (status == 0) {
      log->stats.appends++;
      log->stats.bytes += append->length;
      log->durable = append->lsn + 1;
    }
    append->cb_(append, status);
  }
}

/* Where the next batch begins. A block that is not full is gone on with where that is asked for. */
static uint64_t end_of(const uvdio__log_batch_t* batch) {
  return uvdio__log_block_behind(batch->log, position_of(batch, batch->blocks - 1));
}

static int is_gone_on_with(const uvdio__log_batch_t* batch) {
  return (batch->log->options.flags & UVDIO_LOG_PACKED) != 0 &&
         FORMAT_PAYLOAD - batch->used > FORMAT_LENGTH;
}

/* The other batch goes on behind this one, which is about to be written. */
static void go_on(uvdio_log_t* log, const uvdio__log_batch_t* batch, uint32_t checksum) {
  uvdio__log_batch_t* other = &log->batches[1 - log->filling];

  if (!is_gone_on_with(batch)) {
    begin_batch(log, other, end_of(batch), checksum);
  } else {
    begin_batch(log, other, position_of(batch, batch->blocks - 1), batch->before);
    memcpy(other->base, block_of(batch, batch->blocks - 1), FORMAT_BLOCK);
    other->blocks = 1;
    other->used = batch->used;
    other->first = batch->first;
  }
  log->filling = 1 - log->filling;
}

/* Where the next batch goes on with the last block of this one, readers get a copy: the next write
 * has the block then, on the device and in memory. */
static void tell_readers_where(uvdio_log_t* log, const uvdio__log_batch_t* batch) {
  const uvdio__log_batch_t* next = &log->batches[log->filling];

  assert(next != batch);
  log->end = end_of(batch);
  log->settled = next->start;
  if (log->settled < log->end) {
    memcpy(log->tail, block_of(batch, batch->blocks - 1), FORMAT_BLOCK);
    log->tail_used = batch->used;
    log->tail_first = batch->first;
    log->tail_before = batch->before;
  }
}

static void on_durable(uvdio_log_t* log, uvdio__log_batch_t* batch) {
  if (batch->split < batch->blocks) {
    uvdio__log_switch(log);
  }
  tell_readers_where(log, batch);
  log->stats.flushes++;
  log->stats.flushed_bytes += (uint64_t)batch->blocks * FORMAT_BLOCK;
  log->is_in_callback = 1;
  end_appends(log, batch, 0);
  log->is_in_callback = 0;
}

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  uvdio__log_batch_t* batch = req->data;
  uvdio_log_t* log = batch->log;

  (void)buf; /* a view of the batch */
  log->pending--;
  batch->writes--;
  if (result < 0) {
    uvdio__log_fail(log, result);
  }
  if (batch->writes == 0 && log->error == 0) {
    on_durable(log, batch);
  }
  log->run(log);
}

/* Writes some blocks of the batch. */
static void write_blocks(uvdio_log_t* log, uvdio__log_batch_t* batch, unsigned from, unsigned to,
                         uvdio__log_segment_t* segment) {
  uint64_t position = position_of(batch, from);
  uvdio_req_t* req = &batch->reqs[from == 0 ? 0 : 1];
  uvdio_buf_t view =
      uvdio_buf_view_bytes(block_of(batch, from), (size_t)(to - from) * FORMAT_BLOCK);

  assert(position / log->segment_size == segment->number);
  req->data = batch;
  if (uvdio__log_count(log,
                       uvdio_write_flags(&segment->file, req, &view, position % log->segment_size,
                                         UVDIO_WRITE_DURABLE, on_written))) {
    batch->writes++;
  }
}

/* Whether the segments are there that the batch lies in. */
static int has_segments(uvdio_log_t* log, const uvdio__log_batch_t* batch) {
  if (log->current->number < batch->start / log->segment_size && log->next != NULL) {
    uvdio__log_switch(log);
  }
  return log->current->number == batch->start / log->segment_size &&
         (batch->split >= batch->blocks || log->next != NULL);
}

static int is_window_over(const uvdio_log_t* log, const uvdio__log_batch_t* batch) {
  return log->options.window_ms == 0 || log->is_due || log->waiting != NULL ||
         batch->bytes >= log->options.flush_size || log->is_closing;
}

static void on_window_over(uv_timer_t* timer) {
  uvdio_log_t* log = timer->data;

  log->is_due = 1;
  log->run(log);
}

/* A batch without an append's end has the begin of a long record. */
static int is_due(uvdio_log_t* log, const uvdio__log_batch_t* batch) {
  if (batch->bytes == 0 || log->batches[1 - log->filling].writes > 0) {
    return 0;
  }
  if (!is_window_over(log, batch)) {
    if (!uv_is_active((uv_handle_t*)log->timer)) {
      (void)uv_timer_start(log->timer, on_window_over, log->options.window_ms, 0);
    }
    return 0;
  }
  log->is_needed = !has_segments(log, batch);
  return !log->is_needed;
}

static void write_batch(uvdio_log_t* log) {
  uvdio__log_batch_t* batch = &log->batches[log->filling];
  unsigned in_first = batch->split < batch->blocks ? batch->split : batch->blocks;

  log->is_due = 0;
  (void)uv_timer_stop(log->timer);
  go_on(log, batch, seal(batch));
  write_blocks(log, batch, 0, in_first, log->current);
  if (log->error == 0 && in_first < batch->blocks) {
    write_blocks(log, batch, in_first, batch->blocks, log->next);
  }
}

/* A batch is full of one that is being written, and so on: each that is written makes room. */
void uvdio__log_pump(uvdio_log_t* log) {
  uvdio__log_fill(log);
  if (log->is_open && log->error == 0 && is_due(log, &log->batches[log->filling])) {
    write_batch(log);
    uvdio__log_fill(log);
  }
}

/*
 * The end
 */

void uvdio__log_fail_appends(uvdio_log_t* log) {
  unsigned oldest = 1 - log->filling;
  uvdio_log_append_t* append;

  assert(log->error != 0);
  log->is_in_callback = 1;
  end_appends(log, &log->batches[oldest], log->error);
  end_appends(log, &log->batches[log->filling], log->error);
  while ((append = log->waiting) != NULL) {
    log->waiting = append->next_;
    log->waiting_bytes -= append->length - append->placed_;
    append->log_ = NULL;
    append->cb_(append, log->error);
  }
  log->is_in_callback = 0;
}
