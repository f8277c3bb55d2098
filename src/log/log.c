/* SPDX-License-Identifier: MIT */
/*
 * The log's calls, and what follows when something has ended (log/log.h).
 */
#include "log/log.h"

#include <stdlib.h>

#include "sized.h"

#define SEGMENT_DEFAULT ((uint64_t)64 * 1024 * 1024)
#define BUFFER_MAX ((size_t)1 << 30)
#define BUFFER_DEFAULT ((size_t)4 * 1024 * 1024)
/* From here on huge pages are asked for: a large flush then is a few pieces of memory for the
 * device instead of one for every 4096 bytes. */
#define BUFFER_HUGE ((size_t)2 * 1024 * 1024)

/*
 * The end
 */

#define LOG_FILES (LOG_SEGMENTS + 3)

/* Each file that the log may have open; the lock last. */
static uvdio_file_t* file_of(uvdio_log_t* log, unsigned number) {
  switch (number) {
    case LOG_SEGMENTS:
      return &log->control_file;
    case LOG_SEGMENTS + 1:
      return &log->read_file;
    case LOG_SEGMENTS + 2:
      return &log->lock;
    default:
      return &log->segments[number].file;
  }
}

static int has_open_files(uvdio_log_t* log) {
  unsigned i;

  for (i = 0; i < LOG_FILES; i++) {
    if (uvdio__log_is_file_open(file_of(log, i))) {
      return 1;
    }
  }
  return 0;
}

static void free_log(uvdio_log_t* log) {
  uvdio_arena_t* arena = log->arena;
  uvdio_buf_t memory = log->memory;

  assert(log->readers == NULL);
  (void)uvdio_buf_release(&memory); /* the log lies in it */
  (void)uvdio_arena_destroy(arena, NULL);
}

/* UV_EBADF would say that the log is uvdio_log_destroy()'s: somebody has closed a descriptor. */
static int closing_status(const uvdio_log_t* log) {
  return log->error == UV_EBADF ? UV_EIO : log->error;
}

static void on_timer_closed(uv_handle_t* handle) {
  uvdio_log_t* log = handle->data;

  free(handle);
  if (log == NULL) {
    return; /* uvdio_log_destroy() */
  }
  log->timer = NULL;
  log->is_in_callback = 1;
  if (log->close_cb != NULL) {
    log->close_cb(log, closing_status(log), log->close_arg);
  }
  free_log(log);
}

static void on_closed(uvdio_req_t* req, int64_t result) {
  uvdio_log_t* log = req->data;

  (void)result; /* what was acknowledged is durable */
  log->pending--;
  log->run(log);
}

/* The engine is closing, and closes the files: they are its own until then. */
static void leave_to_destroy(uvdio_log_t* log) {
  uvdio_log_cb cb = log->close_cb;

  log->close_cb = NULL;
  log->is_left = 1;
  log->is_in_callback = 1;
  if (cb != NULL) {
    cb(log, UV_EBADF, log->close_arg);
  }
  log->is_in_callback = 0;
}

/* One file after the other; the timer is the last. */
static void close_next(uvdio_log_t* log) {
  unsigned i;

  if (!log->is_ending && log->has_lock && !uvdio__log_is_file_open(&log->lock)) {
    leave_to_destroy(log); /* The engine has closed while readers were there. */
    return;
  }
  log->is_ending = 1;
  for (i = 0; i < LOG_FILES; i++) {
    if (uvdio__log_is_file_open(file_of(log, i))) {
      log->close_req.data = log;
      if (uvdio_close(file_of(log, i), &log->close_req, on_closed) == 0) {
        log->pending++;
      } else {
        leave_to_destroy(log);
      }
      return;
    }
  }
  uv_close((uv_handle_t*)log->timer, on_timer_closed);
}

/*
 * What follows
 */

static void tell_of_open(uvdio_log_t* log, int status) {
  uvdio_log_cb cb = log->open_cb;

  log->open_cb = NULL;
  log->is_in_callback = 1;
  if (cb != NULL) {
    cb(log, status, log->arg);
  }
  log->is_in_callback = 0;
}

/* Recovery is over, and the keeper has what a log needs. */
static void look_whether_open(uvdio_log_t* log) {
  assert(!log->is_new || log->is_unmarked); /* the mark is made last */
  if (log->error == 0 && log->current != NULL && !log->is_unmarked && log->keeping == KEEPER_IDLE) {
    log->stats.last_segment = log->current->number;
    log->is_open = 1;
    tell_of_open(log, 0);
  }
}

static int is_writing(const uvdio_log_t* log) {
  return log->batches[0].writes > 0 || log->batches[1].writes > 0;
}

static void end_with_error(uvdio_log_t* log) {
  if (log->recovery != NULL || is_writing(log)) {
    return; /* Its end calls again. */
  }
  if (log->open_cb != NULL) {
    tell_of_open(log, log->error);
  }
  uvdio__log_fail_appends(log);
}

/* Writes what can be written. The batch may have gone on in the next segment, or wait for one. */
static void go_on(uvdio_log_t* log) {
  uvdio__log_pump(log);
  uvdio__log_keep(log);
}

static void run(uvdio_log_t* log) {
  if (log->is_in_callback || log->is_left) {
    return;
  }
  uvdio__log_try_lock(log);
  uvdio__log_keep(log);
  if (!log->is_open && log->recovery == NULL && log->error == 0) {
    look_whether_open(log);
  }
  go_on(log);
  if (log->error != 0) {
    end_with_error(log);
  }
  uvdio__log_readers_go_on(log);
  if (log->is_closing && log->pending == 0 && log->open_cb == NULL && log->readers == NULL &&
      !uvdio__log_has_appends(log) && log->timer != NULL &&
      !uv_is_closing((uv_handle_t*)log->timer)) {
    close_next(log);
  }
}

/*
 * The open
 */

static int check_options(const uvdio_log_options_t* options) {
  if ((options->flags & ~(UVDIO_LOG_PACKED | UVDIO_LOG_EXISTING)) != 0 ||
      (options->segment_size != 0 && options->segment_size < LOG_SEGMENT_MIN) ||
      options->segment_size > LOG_SEGMENT_MAX || options->buffer_size > BUFFER_MAX) {
    return UV_EINVAL;
  }
  if (options->segment_size % FORMAT_BLOCK != 0 || options->buffer_size % FORMAT_BLOCK != 0) {
    return UVDIO_EALIGN;
  }
  return 0;
}

/* Returns an error where the buffer is too large for the segment. */
static int set_defaults(uvdio_log_options_t* options) {
  uint64_t quarter;

  options->segment_size = options->segment_size == 0 ? SEGMENT_DEFAULT : options->segment_size;
  quarter = options->segment_size / 4 / FORMAT_BLOCK * FORMAT_BLOCK;
  if (options->buffer_size == 0) {
    options->buffer_size = quarter < BUFFER_DEFAULT ? (size_t)quarter : BUFFER_DEFAULT;
  }
  if (options->flush_size == 0 || options->flush_size > options->buffer_size) {
    options->flush_size = options->buffer_size;
  }
  return options->buffer_size > options->segment_size / 2 ? UV_EINVAL : 0;
}

/* An arena of one frame: only an arena can be in huge pages. */
static int allocate_frame(size_t size, int is_large, uvdio_arena_t** arena, uvdio_buf_t* frame) {
  uvdio_arena_options_t options = {0};
  int error;

  options.frame_size = size;
  options.frame_count = 1;
  options.flags = is_large ? UVDIO_ARENA_HUGE_PAGES_PREFERRED : 0;
  error = uvdio_arena_create(arena, &options);
  if (error == 0) {
    error = uvdio_arena_acquire(*arena, frame);
    assert(error == 0);
  }
  return error;
}

/* The log, and behind it the batches, the keeper's block and the readers'. */
static int allocate(uvdio_log_t** log, const uvdio_log_options_t* options) {
  size_t head = (sizeof(**log) + UVDIO_ALIGNMENT - 1) / UVDIO_ALIGNMENT * UVDIO_ALIGNMENT;
  size_t size = head + 2 * options->buffer_size + 2 * (size_t)FORMAT_BLOCK;
  uvdio_arena_t* arena;
  uvdio_buf_t memory;
  int error = allocate_frame(size, options->buffer_size >= BUFFER_HUGE, &arena, &memory);
  unsigned i;

  if (error != 0) {
    return error;
  }
  *log = (uvdio_log_t*)(void*)memory.base;
  (*log)->arena = arena;
  (*log)->memory = memory;
  for (i = 0; i < 2; i++) {
    (*log)->batches[i].base = memory.base + head + i * options->buffer_size;
    (*log)->batches[i].log = *log;
  }
  (*log)->keeper_block = memory.base + head + 2 * options->buffer_size;
  (*log)->tail = (*log)->keeper_block + FORMAT_BLOCK;
  return 0;
}

/* A bound of the default class, or of others, refuses nothing that the log can't do without. */
static void set_class(uvdio_log_t* log) {
  unsigned i;

  for (i = 0; i < 2; i++) {
    (void)uvdio_req_set_class(&log->batches[i].reqs[0], UVDIO_CLASS_LOG);
    (void)uvdio_req_set_class(&log->batches[i].reqs[1], UVDIO_CLASS_LOG);
  }
  (void)uvdio_req_set_class(&log->keeper_req, UVDIO_CLASS_LOG);
}

static int allocate_timer(uvdio_log_t* log) {
  log->timer = malloc(sizeof(*log->timer));
  return log->timer == NULL ? UV_ENOMEM : 0;
}

static int check_open(uvdio_log_t** log, const uvdio_engine_t* engine, const char* path,
                      uvdio_log_cb open_cb) {
  if (log == NULL || engine == NULL || path == NULL || path[0] == '\0' || open_cb == NULL) {
    return UV_EINVAL;
  }
  return strlen(path) < LOG_PATH_MAX ? 0 : UV_ENAMETOOLONG;
}

static void close_timer(uvdio_log_t* log) {
  log->timer->data = NULL;
  uv_close((uv_handle_t*)log->timer, on_timer_closed);
}

int uvdio_log_open_sized(uvdio_log_t** log, uvdio_engine_t* engine, const char* path,
                         const uvdio_log_options_t* options, size_t size,
                         uvdio_log_record_cb record_cb, uvdio_log_cb open_cb, void* arg) {
  uvdio_log_options_t own = {0};
  uvdio_log_t* opened;
  int error = check_open(log, engine, path, open_cb);

  if (error == 0 && options != NULL) {
    error = uvdio__sized_in(&own, sizeof(own), options, size);
  }
  error = error != 0 ? error : check_options(&own);
  error = error != 0 ? error : set_defaults(&own);
  error = error != 0 ? error : allocate(&opened, &own);
  if (error != 0) {
    return error;
  }
  opened->engine = engine;
  opened->run = run;
  opened->options = own;
  opened->segment_size = own.segment_size;
  opened->pinned = UINT64_MAX;
  opened->blocks_max = (unsigned)(own.buffer_size / FORMAT_BLOCK);
  opened->record_cb = record_cb;
  opened->open_cb = open_cb;
  opened->arg = arg;
  memcpy(opened->path, path, strlen(path) + 1);
  set_class(opened);
  error = allocate_timer(opened);
  error = error != 0 ? error : uvdio__log_recover(opened);
  if (error != 0) {
    free(opened->timer);
    free_log(opened);
    return error;
  }
  (void)uv_timer_init(uvdio_engine_loop(engine), opened->timer);
  opened->timer->data = opened;
  *log = opened;
  return 0;
}

/*
 * Appends
 */

static int check_append(uvdio_log_t* log, const uvdio_log_append_t* append, const void* bytes,
                        size_t length, uvdio_log_append_cb cb) {
  int error;

  if (log == NULL || append == NULL || bytes == NULL || length == 0 || cb == NULL) {
    return UV_EINVAL;
  }
  if (length > UVDIO_LOG_RECORD_MAX) {
    return UVDIO_ESIZE;
  }
  if (log->is_closing) {
    return UV_EBADF;
  }
  error = uvdio__log_check_engine(log);
  if (error == 0 && append->log_ != NULL) {
    error = UV_EBUSY;
  }
  return error != 0 ? error : log->error;
}

static void enqueue(uvdio_log_t* log, uvdio_log_append_t* append) {
  append->next_ = NULL;
  if (log->waiting == NULL) {
    log->waiting = append;
  } else {
    log->last_waiting->next_ = append;
  }
  log->last_waiting = append;
  log->waiting_bytes += append->length;
}

/* Takes the last one back. Others get their error by a turn of the loop. */
static void withdraw(uvdio_log_t* log, uvdio_log_append_t* append) {
  uvdio_log_append_t** lists[3] = {&log->waiting, &log->batches[0].ends, &log->batches[1].ends};
  uvdio_log_append_t** lasts[3] = {&log->last_waiting, &log->batches[0].last_end,
                                   &log->batches[1].last_end};
  unsigned i;

  for (i = 0; i < 3; i++) {
    uvdio_log_append_t* before = NULL;
    uvdio_log_append_t* each = *lists[i];
    while (each != NULL && each != append) {
      before = each;
      each = each->next_;
    }
    if (each == append) {
      *(before != NULL ? &before->next_ : lists[i]) = append->next_;
      *lasts[i] = before;
      log->waiting_bytes -= i == 0 ? append->length - append->placed_ : 0;
    }
  }
  append->log_ = NULL;
  uvdio__log_run_in(log, 0);
}

int uvdio_log_append(uvdio_log_t* log, uvdio_log_append_t* append, const void* bytes, size_t length,
                     uvdio_log_append_cb cb) {
  int error = check_append(log, append, bytes, length, cb);

  if (error != 0) {
    return error;
  }
  if (log->options.waiting_max > 0 && log->waiting != NULL &&
      log->waiting_bytes + length > log->options.waiting_max) {
    return UVDIO_EFULL;
  }
  append->log_ = log;
  append->cb_ = cb;
  append->bytes_ = bytes;
  append->length = length;
  append->lsn = 0;
  append->placed_ = 0;
  append->is_begun_ = 0;
  enqueue(log, append);
  if (log->is_in_callback) {
    uvdio__log_fill(log); /* and whoever calls back goes on */
    return 0;
  }
  go_on(log);
  if (log->error != 0) {
    withdraw(log, append);
    return log->error;
  }
  return 0;
}

/*
 * The rest
 */

int uvdio_log_cut(uvdio_log_t* log, uint64_t lsn) {
  uint64_t number;
  int error = log == NULL ? UV_EINVAL : 0;

  if (error == 0 && log->is_closing) {
    error = UV_EBADF;
  }
  error = error != 0 ? error : uvdio__log_check_engine(log);
  error = error != 0 ? error : log->error;
  if (error == 0 && !log->is_open) {
    error = UV_EAGAIN;
  }
  if (error != 0) {
    return error;
  }
  number = (lsn < log->durable ? lsn : log->durable) / log->segment_size;
  log->cut = number > log->cut ? number : log->cut;
  log->make_error = 0;
  log->tidy_error = 0;
  if (!log->is_in_callback) { /* else whoever calls back goes on */
    uvdio__log_keep(log);
  }
  return 0;
}

uint64_t uvdio_log_durable(const uvdio_log_t* log) {
  return log == NULL || log->durable == 0 ? 1 : log->durable;
}

int uvdio_log_stats_sized(const uvdio_log_t* log, uvdio_log_stats_t* stats, size_t size) {
  uvdio_log_stats_t own;

  if (log == NULL || stats == NULL) {
    return UV_EINVAL;
  }
  own = log->stats;
  own.waiting = log->waiting_bytes;
  uvdio__sized_out(stats, size, &own, sizeof(own));
  return 0;
}

int uvdio_log_close(uvdio_log_t* log, uvdio_log_cb cb, void* arg) {
  int error = log == NULL ? UV_EINVAL : 0;

  if (error == 0 && log->is_closing) {
    error = UV_EBADF;
  }
  error = error != 0 ? error : uvdio__log_check_engine(log);
  if (error != 0) {
    return error;
  }
  log->is_closing = 1;
  log->close_cb = cb;
  log->close_arg = arg;
  uvdio__log_run_in(log, 0);
  return 0;
}

int uvdio_log_destroy(uvdio_log_t* log) {
  if (log == NULL) {
    return UV_EINVAL;
  }
  if (log->is_in_callback || log->pending > 0 || log->readers != NULL || has_open_files(log) ||
      (log->is_closing && !log->is_left) || uv_is_closing((uv_handle_t*)log->timer)) {
    return UV_EBUSY;
  }
  if (log->recovery != NULL) {
    uvdio__log_end_recovery(log);
  }
  close_timer(log);
  free_log(log);
  return 0;
}
