/* SPDX-License-Identifier: MIT */
/*
 * Readers of a log: the calls, what a wait and a close wait for, and the segments that a cut spares
 * for them. What is durable can be taken, and nothing else is looked at (log/reader.h).
 */
#include "log/reader.h"

#include "sized.h"

#define BUFFER_MAX ((size_t)1 << 30)
#define BUFFER_DEFAULT ((size_t)1024 * 1024)
#define BUFFER_UNIT ((size_t)READER_CHUNKS * FORMAT_BLOCK)

/*
 * Pins
 */

/* The record that was taken last is spared until the next one is: a reader may begin behind it. */
static uint64_t pin_of(const uvdio_log_reader_t* r) {
  return (r->options.flags & UVDIO_LOG_READER_PIN) == 0
             ? UINT64_MAX
             : uvdio__log_segment_of(r, r->taken > 0 ? r->last_lsn : uvdio__log_parse_next(r));
}

/* Makes up for what a cut has spared until now. */
static void look_at_pins(uvdio_log_t* log) {
  const uvdio_log_reader_t* r;
  uint64_t before = log->pinned;

  log->pinned = UINT64_MAX;
  for (r = log->readers; r != NULL; r = r->next_reader) {
    log->pinned = r->pin < log->pinned ? r->pin : log->pinned;
  }
  if (log->pinned > before && uvdio__log_cut_now(log) > log->head &&
      uvdio__log_check_engine(log) == 0 && !log->is_in_callback) {
    uvdio__log_keep(log); /* else whoever calls back goes on */
  }
}

/* Costs something once a segment, and not once a record. */
static void move_pin(uvdio_log_reader_t* r) {
  uint64_t pin = pin_of(r);

  if (pin != r->pin) {
    assert(pin > r->pin);
    r->pin = pin;
    look_at_pins(r->log);
  }
}

/*
 * What a take would return
 */

static int status_of(const uvdio_log_reader_t* r) {
  const uvdio_log_t* log = r->log;

  if (r->is_ready) {
    return 0;
  }
  if (r->error != 0 || !r->is_at_end) {
    return r->error != 0 ? r->error : UV_EAGAIN;
  }
  if (log->error != 0) {
    return log->error;
  }
  return log->is_closing && !uvdio__log_has_appends(log) ? UV_EOF : UV_EAGAIN;
}

/* Parses and reads on. An error of reading counts when all that was read before it is parsed. */
static int look(uvdio_log_reader_t* r) {
  assert(!r->has_out);
  do {
    uvdio__log_parse(r);
    uvdio__log_ahead_pump(r);
  } while (!r->is_ready && r->error == 0 && !r->is_at_end && r->queued == 0 && r->ahead_error != 0);
  assert(r->pending > 0 || status_of(r) != UV_EAGAIN || r->is_at_end);
  return status_of(r);
}

/*
 * The wake-up
 */

static void on_wake(uvdio_req_t* req, int64_t result);

static int begin_wake(uvdio_log_reader_t* r) {
  int error =
      uvdio_arena_wait(r->log->engine, &r->wake_req, r->log->arena, &r->wake_frame, 1, on_wake);

  r->is_wake_pending = error == 0;
  r->pending += error == 0;
  return error;
}

static void end_wake(uvdio_log_reader_t* r) {
  assert(r->is_wake_pending);
  (void)uvdio_cancel(&r->wake_req);
}

/* Whoever has ended the request, the wait may have to go on. */
static void call_back_wait(uvdio_log_reader_t* r) {
  uvdio_log_reader_cb cb = r->wait_cb;

  if (!r->is_closing && look(r) == UV_EAGAIN) {
    int error = begin_wake(r);
    if (error == 0) {
      return;
    }
    uvdio__log_reader_fail(r, error);
  }
  r->wait_cb = NULL;
  r->is_calling = 1;
  cb(r->is_closing ? UV_ECANCELED : 0, r->wait_arg);
  r->is_calling = 0;
}

static void on_wake(uvdio_req_t* req, int64_t result) {
  uvdio_log_reader_t* r = req->data;

  assert(result < 0);
  (void)result;
  r->pending--;
  r->is_wake_pending = 0;
  if (r->wait_cb != NULL) {
    call_back_wait(r);
  }
  r->go_on(r);
}

/*
 * Ends
 */

static void free_reader(uvdio_log_reader_t* r) {
  uvdio_log_t* log = r->log;
  uvdio_log_reader_t** link = &log->readers;
  uvdio_buf_t memory = r->memory;

  while (*link != r) {
    link = &(*link)->next_reader;
  }
  *link = r->next_reader;
  (void)uvdio_buf_release(&r->record);
  (void)uvdio_buf_release(&memory); /* the reader lies in it */
  look_at_pins(log);
  if (log->is_closing) {
    uvdio__log_run_in(log, 0);
  }
}

/* Closes one handle after the other. Where an engine that is closing has them, the reader stays. */
static void close_on(uvdio_log_reader_t* r) {
  uvdio_log_reader_cb cb = r->close_cb;
  void* arg = r->close_arg;
  int is_over;
  int error;

  if (r->pending > 0 || r->is_left) {
    return;
  }
  error = uvdio__log_ahead_close_one(r, &is_over);
  if (error == 0 && !is_over) {
    return;
  }
  if (error != 0) {
    r->is_left = 1;
    r->is_calling = 1;
  } else {
    free_reader(r);
  }
  if (cb != NULL) {
    cb(error != 0 ? UV_EBADF : 0, arg);
  }
  if (error != 0) {
    r->is_calling = 0;
  }
}

static void go_on(uvdio_log_reader_t* r) {
  if (r->is_closing) {
    close_on(r);
  } else if (r->wait_cb == NULL) {
    uvdio__log_ahead_pump(r);
  } else if (look(r) != UV_EAGAIN && r->is_wake_pending) {
    end_wake(r);
  }
}

void uvdio__log_readers_go_on(uvdio_log_t* log) {
  uvdio_log_reader_t* r;

  for (r = log->readers; r != NULL; r = r->next_reader) {
    if (r->wait_cb != NULL && !r->is_closing) {
      go_on(r);
    }
  }
}

/*
 * Calls
 */

static int check(const uvdio_log_reader_t* r) {
  int error = r == NULL ? UV_EINVAL : uvdio__log_check_engine(r->log);

  return error == 0 && r->is_closing ? UV_EBADF : error;
}

/* The bytes of the record that was taken last are not the caller's any more. */
static void take_back(uvdio_log_reader_t* r) {
  if (r->has_out && r->record.cap > r->options.buffer_size) {
    (void)uvdio_buf_release(&r->record);
  }
  r->has_out = 0;
}

int uvdio_log_reader_take(uvdio_log_reader_t* reader, uvdio_log_record_t* record) {
  uvdio_log_reader_t* r = reader;
  int status = record == NULL ? UV_EINVAL : check(r);

  if (status == 0 && r->wait_cb != NULL) { /* which parses on, over the record */
    status = UV_EBUSY;
  }
  if (status != 0) {
    return status;
  }
  take_back(r);
  status = look(r);
  if (status == 0) {
    *record = r->ready;
    r->is_ready = 0;
    r->has_out = 1;
    r->last_lsn = record->lsn;
    r->taken++;
    r->taken_bytes += record->length;
  }
  move_pin(r);
  return status;
}

int uvdio_log_reader_wait(uvdio_log_reader_t* reader, uvdio_log_reader_cb cb, void* arg) {
  uvdio_log_reader_t* r = reader;
  int error = cb == NULL ? UV_EINVAL : check(r);

  if (error == 0 && r->wait_cb != NULL) {
    error = UV_EBUSY;
  }
  if (error != 0) {
    return error;
  }
  take_back(r);
  error = look(r) == UV_EAGAIN ? begin_wake(r) : UV_EALREADY;
  if (error == 0) {
    r->wait_cb = cb;
    r->wait_arg = arg;
  }
  move_pin(r);
  return error;
}

/* What brings the callback: a request that is pending, a handle's close, or the wake-up. */
static int begin_close(uvdio_log_reader_t* r) {
  int is_over = 0;
  int error = 0;

  if (r->pending == 0) {
    error = uvdio__log_ahead_close_one(r, &is_over);
  }
  if (error == 0 && is_over) {
    error = begin_wake(r);
  }
  if (error == 0 && r->is_wake_pending) {
    end_wake(r);
  }
  return error;
}

int uvdio_log_reader_close(uvdio_log_reader_t* reader, uvdio_log_reader_cb cb, void* arg) {
  uvdio_log_reader_t* r = reader;
  int error = check(r);

  error = error != 0 ? error : begin_close(r);
  if (error != 0) {
    return error;
  }
  r->is_closing = 1;
  r->close_cb = cb;
  r->close_arg = arg;
  uvdio__log_ahead_cancel(r);
  return 0;
}

int uvdio_log_reader_destroy(uvdio_log_reader_t* reader) {
  unsigned i;

  if (reader == NULL) {
    return UV_EINVAL;
  }
  for (i = 0; i < READER_HANDLES; i++) {
    if (uvdio__log_is_file_open(&reader->handles[i].file)) {
      return UV_EBUSY;
    }
  }
  if (reader->pending > 0 || reader->is_calling) {
    return UV_EBUSY;
  }
  free_reader(reader);
  return 0;
}

int uvdio_log_reader_info_sized(const uvdio_log_reader_t* reader, uvdio_log_reader_info_t* info,
                                size_t size) {
  uvdio_log_reader_info_t own = {0};

  if (reader == NULL || info == NULL) {
    return UV_EINVAL;
  }
  own.next = uvdio__log_parse_next(reader);
  if (own.next > reader->log->durable) { /* behind the last record, to which that leads as well */
    own.next = reader->log->durable;
  }
  own.lsn = reader->last_lsn;
  own.taken = reader->taken;
  own.bytes = reader->taken_bytes;
  own.reads = reader->reads;
  own.in_flight = reader->running;
  own.error = reader->error;
  uvdio__sized_out(info, size, &own, sizeof(own));
  return 0;
}

/*
 * Creation
 */

static int check_options(uvdio_log_reader_options_t* options) {
  if ((options->flags & ~UVDIO_LOG_READER_PIN) != 0 || options->buffer_size > BUFFER_MAX ||
      options->record_max > UVDIO_LOG_RECORD_MAX || options->class_number >= UVDIO_CLASSES) {
    return UV_EINVAL;
  }
  if (options->buffer_size % BUFFER_UNIT != 0) {
    return UVDIO_EALIGN;
  }
  options->buffer_size = options->buffer_size == 0 ? BUFFER_DEFAULT : options->buffer_size;
  options->record_max = options->record_max == 0 ? UVDIO_LOG_RECORD_MAX : options->record_max;
  return 0;
}

static int check_log(uvdio_log_t* log, uint64_t begin) {
  int error = log->is_closing ? UV_EBADF : uvdio__log_check_engine(log);

  error = error != 0 ? error : log->error;
  if (error == 0 && !log->is_open) {
    error = UV_EAGAIN;
  }
  if (error != 0 || begin <= 1) {
    return error;
  }
  if (begin > log->durable) {
    return UV_EINVAL;
  }
  return begin / log->segment_size < log->cut ? UVDIO_ECUT : 0;
}

static int allocate(uvdio_log_reader_t** reader, const uvdio_log_reader_options_t* options) {
  size_t head = (sizeof(**reader) + UVDIO_ALIGNMENT - 1) / UVDIO_ALIGNMENT * UVDIO_ALIGNMENT;
  uvdio_buf_t memory;
  int error = uvdio_buf_alloc(&memory, head + options->buffer_size, UVDIO_BUF_ZEROED);

  if (error != 0) {
    return error;
  }
  *reader = (uvdio_log_reader_t*)(void*)memory.base;
  (*reader)->memory = memory;
  (*reader)->options = *options;
  (*reader)->chunk_size = options->buffer_size / READER_CHUNKS;
  uvdio__log_ahead_init(*reader, memory.base + head);
  return 0;
}

static void on_tick(void* reader) {
  go_on(reader);
}

int uvdio_log_reader_create_sized(uvdio_log_reader_t** reader, uvdio_log_t* log,
                                  const uvdio_log_reader_options_t* options, size_t size) {
  uvdio_log_reader_options_t own = {0};
  uvdio_log_reader_t* r;
  int error = reader == NULL || log == NULL ? UV_EINVAL : 0;

  if (error == 0 && options != NULL) {
    error = uvdio__sized_in(&own, sizeof(own), options, size);
  }
  error = error != 0 ? error : check_options(&own);
  error = error != 0 ? error : check_log(log, own.begin);
  error = error != 0 ? error : allocate(&r, &own);
  if (error != 0) {
    return error;
  }
  r->log = log;
  r->go_on = go_on;
  r->wake_req.data = r;
  uvdio__ticker_init(&r->ticker, &r->handles[0].file, &r->pending, on_tick, r);
  uvdio__log_parse_init(r);
  r->next_reader = log->readers;
  log->readers = r;
  move_pin(r);
  *reader = r;
  return 0;
}
