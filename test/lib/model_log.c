/* SPDX-License-Identifier: MIT */
#include "model_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define SOURCE_SEED 5u
#define LENGTH_MAX 4096u
#define BEGINS_ANEW (MODEL_LOG_MAX / 8)

static char source[16 * LENGTH_MAX]; /* what appends take their bytes from */

__attribute__((format(printf, 2, 3))) static void wrong(struct model_log* log, const char* format,
                                                        ...) {
  va_list arguments;
  if (log->wrong[0] != '\0') {
    return;
  }
  va_start(arguments, format);
  vsnprintf(log->wrong, sizeof(log->wrong), format, arguments);
  va_end(arguments);
}

/* Null bytes are what was never written. */
void model_log_make(struct model_log* log, const char* path, uvdio_sim_t* sim) {
  struct random random = {SOURCE_SEED};
  memset(log, 0, sizeof(*log));
  log->path = path;
  log->sim = sim;
  log->expected = calloc(2, MODEL_LOG_MAX);
  if (log->expected == NULL) {
    abort();
  }
  log->found = log->expected + MODEL_LOG_MAX;
  for (size_t i = 0; source[0] == 0 && i < sizeof(source); i++) {
    source[sizeof(source) - 1 - i] = (char)(1 + random_below(&random, 255));
  }
}

void model_log_free(struct model_log* log) {
  free(log->expected);
}

/*
 * Content.
 */

static int is_excused(const struct model_log* log, int64_t error) {
  return (error == UV_ECANCELED && log->is_cancelled) || (error == UVDIO_SIM_DEAD && log->dead) ||
         (error == UV_EBADF && log->closing) ||
         (log->injected && (error == UV_EIO || error == UV_ENOSPC)) ||
         (log->explains != NULL && log->explains(error));
}

static void compare(struct model_log* log, const char* what, uint64_t length, int64_t size) {
  if (size < (int64_t)length || (log->is_exact && size != (int64_t)length)) {
    wrong(log, "%s, the log has %" PRId64 " bytes, not %" PRIu64, what, size, length);
    return;
  }
  for (uint64_t i = 0; i < length; i++) {
    if (log->found[i] != log->expected[i]) {
      wrong(log, "%s, the log has another byte at %" PRIu64 " of %" PRIu64, what, i, length);
      return;
    }
  }
  log->compared += length;
}

/* What was acknowledged, or is durable, before an appender goes on. */
static void read_log(struct model_log* log) {
  uvdio_req_t req = {0};
  uvdio_buf_t buf;
  if (log->is_blurred) {
    return;
  }
  if (uvdio_buf_alloc(&buf, MODEL_LOG_MAX, 0) != 0) {
    abort();
  }
  int code = uvdio_read(&log->file, &req, &buf, 0, NULL);
  if (code == 0) {
    memcpy(log->found, buf.base, buf.len);
    compare(log, "before an appender goes on", log->written, (int64_t)buf.len);
  } else if (!is_excused(log, code)) {
    wrong(log, "the log can't be read: %s", uvdio_err_name(code));
  }
  (void)uvdio_buf_release(&buf);
}

/* Where the bytes of an append lie was settled when the first of them got a place (placed_). */
static void expect_appends(struct model_log* log) {
  for (unsigned i = 0; i < log->count; i++) {
    const uvdio_append_t* append = &log->appends[i].append;
    if (append->length == 0 || append->placed_ == 0) {
      continue;
    }
    if (append->offset + append->length > MODEL_LOG_MAX) {
      wrong(log, "an append lies at %" PRIu64, append->offset);
      return;
    }
    memcpy(log->expected + append->offset, append->bytes_, append->length);
  }
}

/* The same by the system, where that has the file. */
static void read_by_the_system(struct model_log* log) {
  FILE* file = fopen(log->path, "r");
  if (file != NULL) {
    size_t size = fread(log->found, 1, MODEL_LOG_MAX, file);
    compare(log, "by the system", log->written, (int64_t)size);
    (void)fclose(file);
  }
}

/*
 * Ends.
 */

static void take_error(struct model_log* log, int64_t error) {
  if (!is_excused(log, error)) {
    wrong(log, "an append gave %s", uvdio_err_name((int)error));
  }
  if (log->error != 0 && log->error != error) {
    wrong(log, "an append gave %s after another error", uvdio_err_name((int)error));
  }
  log->error = error;
}

static void on_append(uvdio_append_t* append, int64_t result) {
  struct model_append* one = append->data;
  struct model_log* log = one->log;
  if (log->in_call) {
    wrong(log, "an append ended inside a call");
  }
  if (one != &log->appends[log->ended++]) {
    wrong(log, "appends ended in another order");
  }
  if (result < 0) {
    take_error(log, result);
    return;
  }
  if (log->error != 0 || result != (int64_t)append->length || append->offset < log->written) {
    wrong(log, "an append of %zu at %" PRIu64 " gave %" PRId64 ", behind %" PRIu64, append->length,
          append->offset, result, log->written);
  }
  log->written = append->offset + append->length;
  if (one->asks || (log->flags & UVDIO_APPEND_DURABLE) != 0) {
    log->durable = log->written;
  }
}

/* After an error nothing is known but what is durable: a sync may have failed that nobody waited
 * for. */
static void leave_appender(struct model_log* log, int ended_well) {
  log->appender = NULL;
  log->is_ending = 0;
  log->is_exact = ended_well;
  if (ended_well) {
    log->durable = log->written;
  } else if (log->injected) {
    log->written = log->durable;
  }
}

static void on_close(uvdio_append_t* append, int64_t result) {
  struct model_log* log = append->data;
  if (!log->is_ending || log->in_call || log->ended != log->count) {
    wrong(log, "an appender was closed too early, or twice");
  }
  if (result < 0) {
    take_error(log, result);
  } else if (log->error != 0) {
    wrong(log, "an appender that had failed was closed well");
  }
  expect_appends(log);
  leave_appender(log, result == 0);
}

/*
 * The end of an engine.
 */

static void look_after_a_cut(struct model_log* log, int was_prepared) {
  int64_t size = uvdio_sim_size(log->sim, log->path, 0);
  if (size < 0 && log->durable == 0 && !log->is_exact) {
    return; /* The file itself did not survive. */
  }
  memset(log->found, 0, MODEL_LOG_MAX);
  (void)uvdio_sim_peek(log->sim, log->path, 0, log->found, MODEL_LOG_MAX, 0);
  compare(log, "after a power cut", log->durable, size);
  for (uint64_t i = log->durable; was_prepared && i < MODEL_LOG_MAX; i++) {
    if (log->found[i] != 0 && log->found[i] != log->expected[i]) {
      wrong(log, "after a power cut, byte %" PRIu64 " is of no append; durable %" PRIu64, i,
            log->durable);
      return;
    }
  }
}

void model_log_bury(struct model_log* log, int was_cut) {
  int was_prepared = log->appender != NULL && uvdio_appender_size(log->appender) >= 0;
  if (log->ended != log->count || log->is_ending) {
    wrong(log, "the engine closed with appends pending");
  }
  expect_appends(log);
  if (log->sim == NULL && log->is_known) {
    read_by_the_system(log);
  }
  if (was_prepared && log->durable < log->began) {
    log->durable = log->began;
  }
  if (log->appender != NULL) {
    if (uvdio_appender_destroy(log->appender) != 0) {
      wrong(log, "an appender whose engine is gone can't be destroyed");
    }
    leave_appender(log, 0);
  }
  log->is_open = 0;
  if (was_cut) {
    look_after_a_cut(log, was_prepared);
    log->written = log->durable;
  }
  log->dead = 0;
  log->closing = 0;
}

/*
 * Steps.
 */

static uvdio_appender_options_t choose_options(struct choices* choices, uint64_t size) {
  static const unsigned flags[] = {0, UVDIO_APPEND_DURABLE, UVDIO_APPEND_NO_REWRITE,
                                   UVDIO_APPEND_EXACT_SIZE, UVDIO_APPEND_NO_GROWTH};
  uvdio_appender_options_t options = {.size = size, .flags = UVDIO_APPEND_AT_SIZE};
  options.flags |= flags[choose(choices, 5)] | flags[choose(choices, 5)];
  options.buffer_size = (size_t)UVDIO_PAGE_SIZE << choose(choices, 4);
  options.buffer_count = 1 + (unsigned)choose(choices, 4);
  options.grow_min = (uint64_t)1 << (8 + choose(choices, 8));
  options.grow_max = options.grow_min << choose(choices, 3);
  return options;
}

/* A log that is too long begins anew. */
static void begin_appender(struct model_log* log, struct choices* choices) {
  uint64_t size = log->written < BEGINS_ANEW ? log->written : 0;
  uvdio_appender_options_t options = choose_options(choices, size);
  int code = uvdio_appender_create(&log->appender, &log->file, &options);
  if (code != 0) {
    wrong(log, "uvdio_appender_create: %s", uvdio_err_name(code));
    return;
  }
  log->flags = options.flags;
  log->began = size;
  log->written = size;
  log->durable = log->durable < size ? log->durable : size;
  log->is_exact = 0;
  log->is_cancelled = 0;
  log->error = 0;
  log->count = 0;
  log->ended = 0;
  memset(log->expected + size, 0, MODEL_LOG_MAX - (size_t)size);
}

/* Writes of a program that crashed would land between the appender's. */
static int has_settled(const struct model_log* log) {
  uvdio_sim_stats_t stats;
  return log->sim == NULL || (uvdio_sim_stats(log->sim, &stats) == 0 && stats.landing == 0);
}

static void open_log(struct model_log* log, uvdio_engine_t* engine) {
  uvdio_req_t req = {0};
  unsigned flags = log->is_known ? UVDIO_OPEN_RW : UVDIO_OPEN_CREATE;
  if (log->dead || log->closing || !has_settled(log)) {
    return;
  }
  int code = uvdio_open(engine, &log->file, &req, log->path, flags, 0644, NULL);
  if (code != 0) {
    if (!is_excused(log, code)) {
      wrong(log, "the log can't be opened: %s", uvdio_err_name(code));
    }
    return;
  }
  log->is_open = 1;
  log->is_known = 1;
  read_log(log);
}

static void close_log(struct model_log* log) {
  uvdio_req_t req = {0};
  int code = log->closing ? 0 : uvdio_close(&log->file, &req, NULL);
  if (code != 0 && code != UV_EBUSY && !is_excused(log, code)) {
    wrong(log, "the log can't be closed: %s", uvdio_err_name(code));
  }
  log->is_open = code == UV_EBUSY || log->closing;
}

static int start_append(struct model_log* log, struct choices* choices) {
  struct model_append* one = &log->appends[log->count];
  size_t length = 1 + (size_t)choose(choices, (uint64_t)LENGTH_MAX >> choose(choices, 12));
  const char* bytes = source + choose(choices, sizeof(source) - LENGTH_MAX);
  memset(one, 0, sizeof(*one));
  one->log = log;
  one->append.data = one;
  one->asks = one_in(choices, 3);
  if (one->asks && one_in(choices, 2)) {
    return uvdio_appender_sync(log->appender, &one->append, on_append);
  }
  return uvdio_append(log->appender, &one->append, bytes, length,
                      one->asks ? UVDIO_APPEND_DURABLE : 0, on_append);
}

/* Counted before the call, so that a callback from within is seen. */
static void append_one(struct model_log* log, struct choices* choices) {
  log->in_call = 1;
  int code = start_append(log, choices);
  log->in_call = 0;
  if (code == 0) {
    log->count++;
    log->operations++;
  } else if (log->error == 0 ? !is_excused(log, code) : code != log->error && code != UV_EBADF) {
    uvdio_file_info_t info = {0};
    if (uvdio_file_info(&log->file, &info) != 0 || info.latch_error != code) {
      wrong(log, "an append was refused: %s", uvdio_err_name(code));
    }
  }
}

static void end_appender(struct model_log* log) {
  memset(&log->ending, 0, sizeof(log->ending));
  log->ending.data = log;
  log->in_call = 1;
  int code = uvdio_appender_close(log->appender, &log->ending, on_close);
  log->in_call = 0;
  log->is_ending = code == 0;
  log->operations += code == 0;
  if (code != 0 && !is_excused(log, code)) {
    wrong(log, "an appender can't be closed: %s", uvdio_err_name(code));
  }
}

void model_log_step(struct model_log* log, uvdio_engine_t* engine, struct choices* choices) {
  if (!log->is_open) {
    open_log(log, engine);
  } else if (log->appender == NULL) {
    if (!log->closing && !log->dead && one_in(choices, 2)) {
      begin_appender(log, choices);
    } else if (!log->closing) {
      close_log(log);
    }
  } else if (one_in(choices, 40)) {
    log->is_cancelled |= uvdio_file_cancel(&log->file) == 0;
  } else if (!log->is_ending && (log->count == MODEL_LOG_APPENDS || one_in(choices, 20) ||
                                 (log->error != 0 && one_in(choices, 3)))) {
    end_appender(log);
  } else if (!log->is_ending) {
    append_one(log, choices);
  }
}

void model_log_end(struct model_log* log, uv_loop_t* loop) {
  if (log->appender != NULL && !log->is_ending) {
    end_appender(log);
  }
  while (uv_run(loop, UV_RUN_DEFAULT) != 0) {
  }
  if (log->appender != NULL && uvdio_appender_destroy(log->appender) == 0) {
    leave_appender(log, 0);
  }
  if (log->is_open) {
    close_log(log);
  }
}
