/* SPDX-License-Identifier: MIT */
/*
 * Segments, beside the records: the next one is made ahead, those that were cut off are used again
 * or removed, and the control file tells where the log begins. One step at a time, each of one
 * request (log/log.h).
 *
 * A segment gets its name when its first block is durable, by a durable replacement, so that a
 * segment with a name is one. An open has seen that the two behind the last one are not there; the
 * one behind these is removed before the next one gets its name. The control file tells of a cut
 * before anything is taken away. What is used again gets its new name by one rename: of two, a
 * power cut might leave the second alone, and one file would be two segments.
 */
#include "log/log.h"

static void on_step(uvdio_req_t* req, int64_t result);
static void on_block(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

/*
 * Places for segments
 */

/* Null where all are taken. */
static uvdio__log_segment_t* take_segment(uvdio_log_t* log, uint64_t number) {
  unsigned i;

  assert(number > 0);
  for (i = 0; i < LOG_SEGMENTS; i++) {
    if (log->segments[i].number == 0) {
      log->segments[i].number = number;
      log->segments[i].log = log;
      return &log->segments[i];
    }
  }
  return NULL;
}

static void on_segment_closed(uvdio_req_t* req, int64_t result) {
  uvdio__log_segment_t* segment = req->data;
  uvdio_log_t* log = segment->log;

  (void)result; /* its blocks are durable */
  log->pending--;
  segment->number = 0;
  log->run(log);
}

/* Its place is free when that has ended. */
static void close_segment(uvdio__log_segment_t* segment) {
  uvdio_log_t* log = segment->log;

  segment->req.data = segment;
  if (uvdio_close(&segment->file, &segment->req, on_segment_closed) == 0) {
    log->pending++;
  } else {
    segment->number = 0; /* The open failed, or its engine closes it. */
  }
}

void uvdio__log_switch(uvdio_log_t* log) {
  assert(log->next != NULL && log->next->number == log->current->number + 1);
  close_segment(log->current);
  log->current = log->next;
  log->next = NULL;
  log->stats.last_segment = log->current->number;
}

/*
 * Steps
 */

static void give_up(uvdio_log_t* log, int error);

/* The step that comes next was submitted, or not. */
static void step(uvdio_log_t* log, uvdio__log_keeper_t next, int error) {
  log->keeping = next;
  if (error == 0) {
    log->pending++;
  } else {
    give_up(log, error);
  }
}

/* Writes the keeper's block to where its file begins, with what both kinds have in their head. */
static int write_block(uvdio_log_t* log, uvdio_file_t* file, uvdio__log_head_t* head,
                       unsigned flags) {
  uvdio_buf_t view = uvdio_buf_view_bytes(log->keeper_block, FORMAT_BLOCK);

  head->durable = log->segment_size;
  head->log = log->number;
  head->epoch = FORMAT_VERSION;
  uvdio__log_seal(log->keeper_block, head);
  return uvdio_write_flags(file, &log->keeper_req, &view, 0, flags, on_block);
}

static int write_segment_head(uvdio_log_t* log) {
  uvdio__log_head_t head = {0};

  head.first = FORMAT_SEGMENT;
  head.position = log->made->number * log->segment_size;
  return write_block(log, &log->made->file, &head, 0);
}

/* The control file, and with the same content the mark of the lock's file. */
static int write_control(uvdio_log_t* log, uvdio_file_t* file, unsigned flags) {
  uvdio__log_head_t head = {0};

  log->telling = uvdio__log_cut_now(log); /* which may change before this is durable */
  head.used = 16;
  head.first = FORMAT_CONTROL;
  uvdio__log_put64(log->keeper_block + FORMAT_HEAD, log->oldest);
  uvdio__log_put64(log->keeper_block + FORMAT_HEAD + 8, log->telling);
  return write_block(log, file, &head, flags);
}

static void open_made(uvdio_log_t* log, uvdio__log_keeper_t next, const char* path,
                      unsigned flags) {
  step(log, next,
       uvdio_open(log->engine, &log->made->file, &log->keeper_req, path, flags, 0600, on_step));
}

/* A segment that was cut off becomes the next one, or a new file does. */
static void make_or_take(uvdio_log_t* log) {
  log->is_used_again = !log->is_new && log->oldest < log->head;
  if (log->is_used_again) {
    open_made(log, KEEPER_TAKE, uvdio__log_segment_path(log, log->oldest), LOG_FILE_FLAGS);
  } else { /* "next" may be there from an open that was interrupted */
    open_made(log, KEEPER_MAKE, uvdio__log_path(log, "next"), LOG_FILE_FLAGS | UVDIO_OPEN_CREATE);
  }
}

/* Those that were cut off are taken and removed from the oldest on, so that behind one that is
 * there all are there: halves the range in which the oldest lies. */
static void look_for_oldest(uvdio_log_t* log) {
  uint64_t middle = log->oldest + (log->seen - log->oldest) / 2;

  if (log->oldest < log->seen) {
    step(log, KEEPER_LOOK,
         uvdio_open(log->engine, &log->control_file, &log->keeper_req,
                    uvdio__log_segment_path(log, middle), UVDIO_O_RDONLY | UVDIO_O_DIRECT_PREFERRED,
                    0, on_step));
  } else if (log->made != NULL) {
    make_or_take(log);
  } else {
    log->keeping = KEEPER_IDLE;
  }
}

/* The one that was looked at is not there, nor are those before it. */
static void miss(uvdio_log_t* log) {
  if (log->keeping == KEEPER_LOOK) {
    log->oldest += (log->seen - log->oldest) / 2 + 1;
  } else {
    log->oldest++;
    log->seen = log->head;
  }
  look_for_oldest(log);
}

static void have_next(uvdio_log_t* log) {
  log->keeping = KEEPER_IDLE;
  log->is_needed = 0;
  if (log->current == NULL) {
    log->current = log->made;
  } else {
    log->next = log->made;
  }
  log->made = NULL;
}

static void fill(uvdio_log_t* log) {
  step(log, KEEPER_SPACE,
       uvdio_preallocate(&log->made->file, &log->keeper_req, 0, log->segment_size,
                         UVDIO_SPACE_WRITTEN, on_step));
}

/* What was cut off is a whole segment, unless somebody else has shortened it. */
static void take_or_fill(uvdio_log_t* log) {
  if ((uint64_t)log->keeper_req.result < log->segment_size) {
    fill(log);
  } else {
    step(log, KEEPER_HEAD, write_segment_head(log));
  }
}

static void let_go(uvdio_log_t* log) {
  step(log, KEEPER_LET_GO, uvdio_close(&log->control_file, &log->keeper_req, on_step));
}

/* What a step that went well is followed by. */
static void go_on(uvdio_log_t* log) {
  switch (log->keeping) {
    case KEEPER_IDLE:
      break;
    case KEEPER_MAKE:
      fill(log);
      break;
    case KEEPER_TAKE:
      step(log, KEEPER_MEASURE, uvdio_size(&log->made->file, &log->keeper_req, on_step));
      break;
    case KEEPER_MEASURE:
      take_or_fill(log);
      break;
    case KEEPER_SPACE:
      step(log, KEEPER_HEAD, write_segment_head(log));
      break;
    case KEEPER_HEAD:
      step(log, KEEPER_CLEAR,
           uvdio_unlink(log->engine, &log->keeper_req,
                        uvdio__log_segment_path(log, log->made->number + 2), on_step));
      break;
    case KEEPER_CLEAR:
      step(log, KEEPER_NAME,
           uvdio_replace(&log->made->file, &log->keeper_req,
                         uvdio__log_segment_path(log, log->made->number), on_step));
      break;
    case KEEPER_NAME:
      log->stats.segments_made += !log->is_used_again;
      log->stats.segments_used_again += (uint64_t)log->is_used_again;
      log->oldest += (uint64_t)log->is_used_again;
      log->last_found = log->made->number > log->last_found ? log->made->number : log->last_found;
      have_next(log);
      break;
    case KEEPER_FIND:
      have_next(log);
      break;
    case KEEPER_CONTROL:
      step(log, KEEPER_TELL, write_control(log, &log->control_file, 0));
      break;
    case KEEPER_TELL:
      step(log, KEEPER_REPLACE,
           uvdio_replace(&log->control_file, &log->keeper_req, uvdio__log_path(log, "log"),
                         on_step));
      break;
    case KEEPER_REPLACE:
      log->head = log->telling;
      log->stats.first_segment = log->head;
      let_go(log);
      break;
    case KEEPER_LET_GO:
      log->is_new = log->is_new && log->tidy_error != 0;
      log->keeping = KEEPER_IDLE;
      break;
    case KEEPER_MARK:
      log->is_unmarked = 0;
      log->keeping = KEEPER_IDLE;
      break;
    case KEEPER_REMOVE:
      log->oldest++;
      log->keeping = KEEPER_IDLE;
      break;
    case KEEPER_LOOK:
      log->seen = log->oldest + (log->seen - log->oldest) / 2;
      step(log, KEEPER_SEEN, uvdio_close(&log->control_file, &log->keeper_req, on_step));
      break;
    case KEEPER_SEEN:
      look_for_oldest(log);
      break;
  }
}

/* A segment that was cut off need not be there: an earlier open has used or removed it. */
static int is_missing_of_old(const uvdio_log_t* log, int64_t result) {
  return result == UV_ENOENT && (log->keeping == KEEPER_TAKE || log->keeping == KEEPER_REMOVE ||
                                 log->keeping == KEEPER_LOOK);
}

/* Without its first segment, its control file or its mark a log is none; and without a next segment
 * it can't go on once that is needed. Else the work is put off. */
static void give_up(uvdio_log_t* log, int error) {
  uvdio__log_keeper_t step_of = log->keeping;

  log->keeping = KEEPER_IDLE;
  if (!log->is_open || (log->made != NULL && log->is_needed)) {
    uvdio__log_fail(log, error);
  }
  if (log->made != NULL) {
    log->make_error = error;
    close_segment(log->made);
    log->made = NULL;
    return;
  }
  log->tidy_error = error;
  if (step_of == KEEPER_TELL || step_of == KEEPER_REPLACE) {
    let_go(log);
  }
}

static void on_step(uvdio_req_t* req, int64_t result) {
  uvdio_log_t* log = req->data;

  log->pending--;
  if (is_missing_of_old(log, result)) {
    miss(log);
  } else if (result < 0 && log->keeping != KEEPER_CLEAR) { /* nothing is there, as a rule */
    give_up(log, (int)result);
  } else {
    go_on(log);
  }
  log->run(log);
}

static void on_block(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  (void)buf; /* a view of the keeper's block */
  on_step(req, result);
}

/*
 * What is to be done
 */

/* Whether the segment is open still, and so is its lock. */
static int is_held(const uvdio_log_t* log, uint64_t number) {
  unsigned i;

  for (i = 0; i < LOG_SEGMENTS; i++) {
    if (log->segments[i].number == number) {
      return 1;
    }
  }
  return 0;
}

static void have_next_made(uvdio_log_t* log) {
  uint64_t number = log->current == NULL ? log->batches[log->filling].start / log->segment_size
                                         : log->current->number + 1;

  if (log->oldest < log->head && is_held(log, log->oldest)) {
    return; /* It is being closed: that calls again. */
  }
  log->made = take_segment(log, number);
  if (log->made == NULL) {
    return; /* The same. */
  }
  if (number <= log->last_found) {
    open_made(log, KEEPER_FIND, uvdio__log_segment_path(log, number), LOG_FILE_FLAGS);
  } else {
    make_or_take(log);
  }
}

/* The last one that was cut off is kept for the next that is needed. */
static int is_one_to_remove(const uvdio_log_t* log) {
  return log->head - log->oldest > 1;
}

void uvdio__log_keep(uvdio_log_t* log) {
  int is_over = log->is_closing && log->is_open && !uvdio__log_has_appends(log);

  if (log->keeping != KEEPER_IDLE || log->recovery != NULL || log->error != 0 || is_over) {
    return;
  }
  log->keeper_req.data = log;
  if (log->current == NULL ||
      (log->next == NULL && log->is_open && (log->make_error == 0 || log->is_needed))) {
    log->make_error = 0;
    have_next_made(log);
    return;
  }
  if (log->tidy_error != 0) {
    return;
  }
  if (log->is_new || uvdio__log_cut_now(log) > log->head) {
    step(log, KEEPER_CONTROL,
         uvdio_open(log->engine, &log->control_file, &log->keeper_req,
                    uvdio__log_path(log, "log.new"), LOG_FILE_FLAGS | UVDIO_OPEN_CREATE, 0600,
                    on_step));
  } else if (log->is_unmarked) {
    step(log, KEEPER_MARK, write_control(log, &log->lock, UVDIO_WRITE_DURABLE));
  } else if (log->is_open && is_one_to_remove(log)) {
    step(log, KEEPER_REMOVE,
         uvdio_unlink(log->engine, &log->keeper_req, uvdio__log_segment_path(log, log->oldest),
                      on_step));
  }
}
