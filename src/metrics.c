/* SPDX-License-Identifier: MIT */
/*
 * See metrics.h. Times are in ticks (ticks.h) while they are kept, and in nanoseconds from the
 * moment at which they become durations.
 */
#include "metrics.h"

#include <string.h>

#include "allocator.h"
#include "class.h"
#include "histogram.h"
#include "sized.h"
#include "ticks.h"

/* Of one operation and one class. */
typedef struct series_s {
  uvdio_histogram_t stages[UVDIO_STAGES];
} series_t;

/* Since the loop waited last. */
typedef struct turn_s {
  uint64_t began;   /* 0: the engine has done nothing in it yet */
  uint64_t waited;  /* when it ended the wait before, by the prepare phase; 0: unknown */
  uint64_t idle_ns; /* what the loop had been idle for by then; 0: it does not measure that */
  uint64_t iteration_began; /* 0: none runs */
  uvdio_stall_info_t info;
} turn_t;

typedef struct uvdio__metrics_s {
  uvdio_metrics_options_t options;
  uint64_t started;
  int is_counting;          /* 0 until the callbacks are through among which they were started */
  uint64_t callback_began;  /* when the last callback ended, too; 0: no callback runs */
  uint64_t flushed[QUEUES]; /* when a batch of each queue was sent last */
  turn_t turn;
  uvdio_metrics_t totals;
  uvdio_call_metrics_t calls[UVDIO_CALLS];
  series_t* series[UVDIO_OP_COUNT][UVDIO_CLASSES]; /* null: nothing yet */
} uvdio__metrics_t;

/*
 * Requests
 */

void uvdio__metrics_accept(uvdio_req_t* req) {
  const uvdio__metrics_t* metrics = req->engine_->metrics;

  if (metrics != NULL && metrics->is_counting) {
    req->flags_ |= REQ_MEASURED;
    req->accepted_ticks_ = uvdio__ticks();
    req->began_ticks_ = 0;
    req->ended_ticks_ = 0;
  }
}

/* A request that goes on has begun before. */
void uvdio__metrics_begin(uvdio_req_t* req) {
  if (req->began_ticks_ == 0) {
    req->began_ticks_ = uvdio__ticks();
  }
}

/* The batch's requests are the last that run, and began behind the flush before. Those that go on
 * keep the time at which they began, and so do those of a world, whose queue is flushed while they
 * are in flight. */
void uvdio__metrics_flush(const uvdio__queue_t* queue) {
  uint64_t* flushed = &queue->engine->metrics->flushed[queue - queue->engine->queues];
  uint64_t now = uvdio__ticks();
  uvdio_req_t* req = uvdio__list_last(&queue->running);
  unsigned left = queue->unflushed;

  for (; req != NULL && left > 0; left--, req = uvdio__list_before(&queue->running, req)) {
    if ((int64_t)(req->began_ticks_ - *flushed) > 0) {
      req->began_ticks_ = now;
    }
  }
  *flushed = now;
}

void uvdio__metrics_outcome(uvdio_req_t* req) {
  req->ended_ticks_ = uvdio__ticks();
}

static series_t* series_of(uvdio__metrics_t* metrics, const uvdio_req_t* req) {
  unsigned number =
      req->engine_->classes != NULL ? uvdio__class_number(req->file, req) : UVDIO_CLASS_DEFAULT;
  series_t** series = &metrics->series[req->op][number];

  if (UVDIO__UNLIKELY(*series == NULL)) {
    *series = uvdio__alloc(sizeof(**series), UVDIO__STRUCT_ALIGN, 1);
  }
  return *series;
}

static void count_stages(uvdio__metrics_t* metrics, const uvdio_req_t* req) {
  series_t* series = series_of(metrics, req);
  uint64_t ended = req->ended_ticks_ != 0 ? req->ended_ticks_ : metrics->callback_began;
  uint64_t began = req->began_ticks_ != 0 ? req->began_ticks_ : ended;

  if (UVDIO__UNLIKELY(series == NULL)) {
    metrics->totals.dropped++;
    return;
  }
  metrics->totals.requests++;
  uvdio__histogram_record(&series->stages[UVDIO_STAGE_WAIT],
                          uvdio__ticks_between(req->accepted_ticks_, began));
  uvdio__histogram_record(&series->stages[UVDIO_STAGE_BACKEND], uvdio__ticks_between(began, ended));
  uvdio__histogram_record(&series->stages[UVDIO_STAGE_CALLBACK],
                          uvdio__ticks_between(ended, metrics->callback_began));
}

static void count_in_file(const uvdio_req_t* req, uint64_t took_ns) {
  uvdio_file_counters_t_* counters = &req->file->counters_;

  if (req->op == UVDIO_OP_READ) {
    counters->reads++;
    counters->bytes_read += req->transferred;
  } else if (req->op == UVDIO_OP_WRITE) {
    counters->writes++;
    counters->bytes_written += req->transferred;
  } else if (uvdio__is_sync(req->op)) {
    counters->syncs++;
  } else {
    counters->others++;
  }
  counters->failed += req->result < 0;
  if (took_ns > counters->longest_ns) {
    counters->longest_ns = took_ns;
    counters->longest_op = (unsigned)req->op;
  }
}

/*
 * Callbacks
 */

void uvdio__metrics_before_callbacks(uvdio_engine_t* engine) {
  uvdio__metrics_t* metrics = engine->metrics;
  turn_t* turn = &metrics->turn;

  metrics->callback_began = uvdio__ticks();
  turn->began = turn->began != 0 ? turn->began : metrics->callback_began;
  turn->iteration_began = turn->iteration_began != 0 ? turn->iteration_began : turn->began;
}

void uvdio__metrics_before_callback(uvdio_req_t* req) {
  uvdio__metrics_t* metrics = req->engine_->metrics;

  if (metrics->callback_began == 0) { /* the callback before this one has started them anew */
    metrics->callback_began = uvdio__ticks();
  }
  if ((req->flags_ & REQ_MEASURED) != 0 &&
      (int64_t)(req->accepted_ticks_ - metrics->started) >= 0) {
    count_stages(metrics, req);
    count_in_file(req, uvdio__ticks_between(req->accepted_ticks_, metrics->callback_began));
  }
}

/* It is the longest of its turn, so far. */
static void keep_longest_callback(uvdio__metrics_t* metrics, uint64_t took_ns, uvdio_op_t op) {
  metrics->turn.info.longest_callback_ns = took_ns;
  metrics->turn.info.longest_op = op;
  if (took_ns > metrics->totals.longest_callback_ns) {
    metrics->totals.longest_callback_ns = took_ns;
    metrics->totals.longest_op = op;
  }
}

/* Its end is the next one's begin. The callback may have stopped metrics, and started them anew. */
void uvdio__metrics_after_callback(uvdio_engine_t* engine, uvdio_op_t op) {
  uvdio__metrics_t* metrics = engine->metrics;
  uint64_t now;
  uint64_t took_ns;

  if (metrics == NULL || metrics->callback_began == 0) {
    return;
  }
  now = uvdio__ticks();
  took_ns = uvdio__ticks_between(metrics->callback_began, now);
  metrics->callback_began = now;
  metrics->turn.info.callbacks++;
  metrics->turn.info.callbacks_ns += took_ns;
  metrics->totals.callbacks_ns += took_ns;
  if (took_ns > metrics->turn.info.longest_callback_ns) {
    keep_longest_callback(metrics, took_ns, op);
  }
}

/*
 * System calls, iterations, turns
 */

void uvdio__engine_keep_call(uvdio_engine_t* engine, uvdio_call_t call, uint64_t took_ns) {
  uvdio__metrics_t* metrics = engine->metrics;
  uvdio_stall_info_t* info;

  if (took_ns > engine->stats.longest_call_ns) {
    engine->stats.longest_call_ns = took_ns;
  }
  if (metrics == NULL) {
    engine->note_calls_above_ns = engine->stats.longest_call_ns;
    return;
  }
  info = &metrics->turn.info;
  info->calls_ns += took_ns;
  if (took_ns > info->longest_call_ns) {
    info->longest_call_ns = took_ns;
    info->longest_call = call;
  }
  metrics->calls[call].calls++;
  metrics->calls[call].total_ns += took_ns;
  if (took_ns > metrics->calls[call].longest_ns) {
    metrics->calls[call].longest_ns = took_ns;
  }
}

/* Where the loop measures how long it is idle, all else between two waits is the turn. */
static uint64_t turn_ns(const turn_t* turn, uint64_t now, uint64_t idle_ns) {
  uint64_t all_ns = turn->waited != 0 ? uvdio__ticks_between(turn->waited, now) : 0;
  uint64_t idle_since_ns = idle_ns - turn->idle_ns;

  return turn->waited != 0 && idle_ns > 0 && idle_since_ns < all_ns
             ? all_ns - idle_since_ns
             : uvdio__ticks_between(turn->began, now);
}

/* The turn that is described in `info`. */
static void tell_of_stall(uvdio_engine_t* engine, uvdio_stall_info_t* info) {
  const uvdio_metrics_options_t* options = &engine->metrics->options;

  engine->metrics->totals.stalls++;
  if (options->stall_cb != NULL) {
    info->in_flight = engine->stats.in_flight;
    info->waiting = engine->waiting;
    info->pending = uvdio__engine_pending(engine);
    options->stall_cb(engine, info, options->stall_arg); /* It may stop metrics. */
  }
}

void uvdio__metrics_end_turn(uvdio_engine_t* engine) {
  uvdio__metrics_t* metrics = engine->metrics;
  turn_t* turn = &metrics->turn;
  turn_t ended = *turn;
  uint64_t now = uvdio__ticks();
  uint64_t idle_ns = uv_metrics_idle_time(engine->loop);

  memset(turn, 0, sizeof(*turn));
  turn->waited = now;
  turn->idle_ns = idle_ns;
  if (ended.began == 0) {
    return;
  }
  ended.info.turn_ns = turn_ns(&ended, now, idle_ns);
  metrics->totals.turns++;
  if (ended.info.turn_ns > metrics->totals.longest_turn_ns) {
    metrics->totals.longest_turn_ns = ended.info.turn_ns;
  }
  if (metrics->options.stall_ns != 0 && ended.info.turn_ns >= metrics->options.stall_ns) {
    tell_of_stall(engine, &ended.info);
  }
}

/* With nothing pending the loop may end here, and nobody waits for what else it does. Off the loop
 * no prepare phase follows. */
void uvdio__metrics_end_iteration(uvdio_engine_t* engine) {
  uvdio__metrics_t* metrics = engine->metrics;
  turn_t* turn = &metrics->turn;

  if (turn->iteration_began != 0) {
    turn->info.engine_ns += uvdio__ticks_between(turn->iteration_began, uvdio__ticks());
    turn->iteration_began = 0;
  }
  metrics->callback_began = 0;
  metrics->is_counting = 1;
  if (uvdio__engine_pending(engine) == 0 || engine->loop_state != LOOP_ATTACHED) {
    uvdio__metrics_end_turn(engine);
  }
}

/*
 * Public: on and off
 */

/* Every place that takes times (metrics.h). */
static void switch_places(uvdio_engine_t* engine, uvdio__metrics_t* metrics) {
  int was_on = engine->metrics != NULL;

  engine->metrics = metrics;
  engine->not_direct += (unsigned)(metrics != NULL) - (unsigned)was_on;
  engine->watches =
      metrics != NULL ? engine->watches | WATCHES_METRICS : engine->watches & ~WATCHES_METRICS;
  engine->note_calls_above_ns = metrics != NULL ? 0 : engine->stats.longest_call_ns;
  uvdio__engine_set_plain_end(engine);
  uvdio__engine_set_plain_accept(engine);
}

static void forget_series(uvdio__metrics_t* metrics) {
  size_t count = sizeof(metrics->series) / sizeof(metrics->series[0][0]);
  series_t** series = &metrics->series[0][0];
  size_t i;

  for (i = 0; i < count; i++) {
    if (series[i] != NULL) {
      uvdio__free(series[i], sizeof(*series[i]), UVDIO__STRUCT_ALIGN);
      series[i] = NULL;
    }
  }
}

void uvdio__metrics_free(uvdio_engine_t* engine) {
  uvdio__metrics_t* metrics = engine->metrics;

  if (metrics != NULL) {
    switch_places(engine, NULL);
    forget_series(metrics);
    uvdio__free(metrics, sizeof(*metrics), UVDIO__STRUCT_ALIGN);
  }
}

int uvdio_metrics_start_sized(uvdio_engine_t* engine, const uvdio_metrics_options_t* options,
                              size_t size) {
  uvdio_metrics_options_t own = {0};
  uvdio__metrics_t* metrics;
  int error = engine == NULL ? UV_EINVAL : uvdio__engine_check(engine);

  if (error == 0 && options != NULL) {
    error = uvdio__sized_in(&own, sizeof(own), options, size);
  }
  if (error != 0) {
    return error;
  }
  metrics = engine->metrics;
  if (metrics == NULL) {
    metrics = uvdio__alloc(sizeof(*metrics), UVDIO__STRUCT_ALIGN, 1);
    if (metrics == NULL) {
      return UV_ENOMEM;
    }
    uvdio__ticks_init();
    metrics->started = uvdio__ticks();
    metrics->is_counting = !engine->in_iteration;
    switch_places(engine, metrics);
  }
  metrics->options = own;
  return 0;
}

/* 0, or why metrics can't be changed. */
static int check_on(const uvdio_engine_t* engine) {
  int error = engine == NULL ? UV_EINVAL : uvdio__engine_check(engine);

  return error == 0 && engine->metrics == NULL ? UV_ENOENT : error;
}

int uvdio_metrics_stop(uvdio_engine_t* engine) {
  int error = check_on(engine);

  if (error == 0) {
    uvdio__metrics_free(engine);
  }
  return error;
}

int uvdio_metrics_reset(uvdio_engine_t* engine) {
  int error = check_on(engine);

  if (error == 0) {
    uvdio__metrics_t* metrics = engine->metrics;
    forget_series(metrics);
    memset(&metrics->totals, 0, sizeof(metrics->totals));
    memset(metrics->calls, 0, sizeof(metrics->calls));
    memset(&metrics->turn.info, 0, sizeof(metrics->turn.info));
    metrics->started = uvdio__ticks();
  }
  return error;
}

/*
 * Public: what was measured
 */

static void merge_classes(const uvdio__metrics_t* metrics, unsigned op, unsigned number,
                          uvdio_stage_t stage, uvdio_histogram_t* histogram) {
  unsigned i;

  for (i = 0; i < UVDIO_CLASSES; i++) {
    const series_t* series = metrics->series[op][i];
    if (series != NULL && (number == UVDIO_CLASS_ANY || number == i)) {
      uvdio_histogram_merge(histogram, &series->stages[stage]);
    }
  }
}

int uvdio_metrics_histogram(const uvdio_engine_t* engine, uvdio_op_t op, unsigned number,
                            uvdio_stage_t stage, uvdio_histogram_t* histogram) {
  unsigned i;

  if (engine == NULL || histogram == NULL || (unsigned)op >= UVDIO_OP_COUNT ||
      number > UVDIO_CLASS_ANY || (unsigned)stage >= UVDIO_STAGES) {
    return UV_EINVAL;
  }
  if (engine->metrics == NULL) {
    return UV_ENOENT;
  }
  for (i = 0; i < UVDIO_OP_COUNT; i++) {
    if (op == UVDIO_OP_NONE || (unsigned)op == i) {
      merge_classes(engine->metrics, i, number, stage, histogram);
    }
  }
  return 0;
}

int uvdio_metrics_sized(const uvdio_engine_t* engine, uvdio_metrics_t* metrics, size_t size) {
  uvdio_metrics_t own;

  if (engine == NULL || metrics == NULL) {
    return UV_EINVAL;
  }
  if (engine->metrics == NULL) {
    return UV_ENOENT;
  }
  own = engine->metrics->totals;
  own.since_ns = uvdio__ticks_between(engine->metrics->started, uvdio__ticks());
  uvdio__sized_out(metrics, size, &own, sizeof(own));
  return 0;
}

int uvdio_metrics_call_sized(const uvdio_engine_t* engine, uvdio_call_t call,
                             uvdio_call_metrics_t* metrics, size_t size) {
  if (engine == NULL || metrics == NULL || (unsigned)call >= UVDIO_CALLS) {
    return UV_EINVAL;
  }
  if (engine->metrics == NULL) {
    return UV_ENOENT;
  }
  uvdio__sized_out(metrics, size, &engine->metrics->calls[call], sizeof(engine->metrics->calls[0]));
  return 0;
}

const char* uvdio_call_name(uvdio_call_t call) {
  static const char* const names[UVDIO_CALLS] = {"submit", "reap", "register", "file"};

  return (unsigned)call < UVDIO_CALLS ? names[call] : "none";
}

int uvdio_file_metrics_sized(const uvdio_file_t* file, uvdio_file_metrics_t* metrics, size_t size) {
  uvdio_file_metrics_t own = {0};

  if (file == NULL || metrics == NULL) {
    return UV_EINVAL;
  }
  own.reads = file->counters_.reads;
  own.writes = file->counters_.writes;
  own.syncs = file->counters_.syncs;
  own.others = file->counters_.others;
  own.failed = file->counters_.failed;
  own.bytes_read = file->counters_.bytes_read;
  own.bytes_written = file->counters_.bytes_written;
  own.longest_ns = file->counters_.longest_ns;
  own.longest_op = (uvdio_op_t)file->counters_.longest_op;
  uvdio__sized_out(metrics, size, &own, sizeof(own));
  return 0;
}
