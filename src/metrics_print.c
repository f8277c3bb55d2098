/* SPDX-License-Identifier: MIT */
/*
 * Metrics as text for people and as JSON for programs: uvdio_metrics_print(), over the public
 * interface only.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "uvdio/metrics.h"

/* What is printed goes to `at`, as far as there is room, and is counted as a whole. */
typedef struct text_s {
  char* at;
  size_t size;
  size_t length;
} text_t;

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
add(text_t* text, const char* format, ...) {
  size_t used = text->length < text->size ? text->length : text->size;
  va_list arguments;
  int length;

  va_start(arguments, format);
  length = vsnprintf(text->at + used, text->size - used, format, arguments);
  va_end(arguments);
  text->length += length > 0 ? (size_t)length : 0;
}

static const char* const stage_names[UVDIO_STAGES] = {"wait", "backend", "callback"};

/* What is told of one stage. */
static const double percents[] = {50, 90, 99, 99.9, 100};
static const char* const percent_names[] = {"p50", "p90", "p99", "p99.9", "max"};

#define PERCENTS (sizeof(percents) / sizeof(percents[0]))

/* Of one operation and one class; returns how many requests there were. */
static uint64_t read_stages(const uvdio_engine_t* engine, unsigned op, unsigned number,
                            uvdio_histogram_t stages[UVDIO_STAGES]) {
  unsigned stage;

  for (stage = 0; stage < UVDIO_STAGES; stage++) {
    uvdio_histogram_reset(&stages[stage]);
    (void)uvdio_metrics_histogram(engine, (uvdio_op_t)op, number, (uvdio_stage_t)stage,
                                  &stages[stage]);
  }
  return uvdio_histogram_count(&stages[0]);
}

/*
 * Text
 */

static double microseconds(uint64_t ns) {
  return (double)ns / 1000;
}

static void add_stage_row(text_t* text, const char* name, const uvdio_histogram_t* histogram) {
  unsigned i;

  add(text, "    %-10s", name);
  for (i = 0; i < PERCENTS; i++) {
    add(text, " %11.1f", microseconds(uvdio_histogram_percentile(histogram, percents[i])));
  }
  add(text, " %11.1f\n", uvdio_histogram_mean(histogram) / 1000);
}

static void add_head_row(text_t* text) {
  unsigned i;

  add(text, "%-14s", "microseconds");
  for (i = 0; i < PERCENTS; i++) {
    add(text, " %11s", percent_names[i]);
  }
  add(text, " %11s\n", "mean");
}

static void add_rows(text_t* text, unsigned op, unsigned number, uint64_t count,
                     const uvdio_histogram_t stages[UVDIO_STAGES]) {
  unsigned stage;

  add(text, "%s, class %u: %" PRIu64 " requests\n", uvdio_op_name((uvdio_op_t)op), number, count);
  for (stage = 0; stage < UVDIO_STAGES; stage++) {
    add_stage_row(text, stage_names[stage], &stages[stage]);
  }
}

static void add_lines(text_t* text, const uvdio_engine_t* engine, const uvdio_metrics_t* metrics) {
  unsigned call;

  for (call = 0; call < UVDIO_CALLS; call++) {
    uvdio_call_metrics_t own;
    if (uvdio_metrics_call(engine, (uvdio_call_t)call, &own) == 0 && own.calls > 0) {
      add(text, "calls, %s: %" PRIu64 ", %.1f us in all, the longest %.1f us\n",
          uvdio_call_name((uvdio_call_t)call), own.calls, microseconds(own.total_ns),
          microseconds(own.longest_ns));
    }
  }
  if (metrics->longest_op != UVDIO_OP_NONE) {
    add(text, "callbacks: %.1f us in all, the longest %.1f us, of %s\n",
        microseconds(metrics->callbacks_ns), microseconds(metrics->longest_callback_ns),
        uvdio_op_name(metrics->longest_op));
  }
  add(text, "turns of the loop: %" PRIu64 ", the longest %.1f us, %" PRIu64 " stalls\n",
      metrics->turns, microseconds(metrics->longest_turn_ns), metrics->stalls);
  add(text, "%" PRIu64 " requests in %.3f s", metrics->requests, (double)metrics->since_ns / 1e9);
  if (metrics->dropped > 0) {
    add(text, "; %" PRIu64 " more were not counted, for want of memory", metrics->dropped);
  }
  add(text, "\n");
}

/*
 * JSON
 */

static void add_stage_object(text_t* text, const char* name, const uvdio_histogram_t* histogram) {
  unsigned i;

  add(text, ",\"%s\":{", name);
  for (i = 0; i < PERCENTS; i++) {
    add(text, "\"%s\":%" PRIu64 ",", percent_names[i],
        uvdio_histogram_percentile(histogram, percents[i]));
  }
  add(text, "\"mean\":%.0f}", uvdio_histogram_mean(histogram));
}

static void add_object(text_t* text, unsigned op, unsigned number, uint64_t count,
                       const uvdio_histogram_t stages[UVDIO_STAGES], int is_first) {
  unsigned stage;

  add(text, "%s{\"operation\":\"%s\",\"class\":%u,\"requests\":%" PRIu64, is_first ? "" : ",",
      uvdio_op_name((uvdio_op_t)op), number, count);
  for (stage = 0; stage < UVDIO_STAGES; stage++) {
    add_stage_object(text, stage_names[stage], &stages[stage]);
  }
  add(text, "}");
}

static void add_call_objects(text_t* text, const uvdio_engine_t* engine) {
  unsigned call;

  for (call = 0; call < UVDIO_CALLS; call++) {
    uvdio_call_metrics_t own;
    memset(&own, 0, sizeof(own));
    (void)uvdio_metrics_call(engine, (uvdio_call_t)call, &own);
    add(text,
        "%s\"%s\":{\"calls\":%" PRIu64 ",\"total_ns\":%" PRIu64 ",\"longest_ns\":%" PRIu64 "}",
        call == 0 ? "" : ",", uvdio_call_name((uvdio_call_t)call), own.calls, own.total_ns,
        own.longest_ns);
  }
}

static void add_members(text_t* text, const uvdio_metrics_t* metrics) {
  add(text,
      ",\"since_ns\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"dropped\":%" PRIu64
      ",\"turns\":%" PRIu64 ",\"longest_turn_ns\":%" PRIu64 ",\"stalls\":%" PRIu64
      ",\"callbacks_ns\":%" PRIu64 ",\"longest_callback_ns\":%" PRIu64
      ",\"longest_callback\":\"%s\"}",
      metrics->since_ns, metrics->requests, metrics->dropped, metrics->turns,
      metrics->longest_turn_ns, metrics->stalls, metrics->callbacks_ns,
      metrics->longest_callback_ns, uvdio_op_name(metrics->longest_op));
}

/*
 * Both
 */

/* Operations and classes that were seen. */
static void add_series(text_t* text, const uvdio_engine_t* engine, uvdio_metrics_format_t format) {
  uvdio_histogram_t stages[UVDIO_STAGES];
  int is_first = 1;
  unsigned i;

  for (i = 0; i < UVDIO_OP_COUNT * UVDIO_CLASSES; i++) {
    unsigned op = i / UVDIO_CLASSES;
    unsigned number = i % UVDIO_CLASSES;
    uint64_t count = op == UVDIO_OP_NONE ? 0 : read_stages(engine, op, number, stages);
    if (count > 0 && format == UVDIO_METRICS_TEXT) {
      add_rows(text, op, number, count, stages);
    } else if (count > 0) {
      add_object(text, op, number, count, stages, is_first);
    }
    is_first = is_first && count == 0;
  }
}

static void print(text_t* text, const uvdio_engine_t* engine, const uvdio_metrics_t* metrics,
                  uvdio_metrics_format_t format) {
  if (format == UVDIO_METRICS_TEXT) {
    add_head_row(text);
    add_series(text, engine, format);
    add_lines(text, engine, metrics);
  } else {
    add(text, "{\"stages\":[");
    add_series(text, engine, format);
    add(text, "],\"calls\":{");
    add_call_objects(text, engine);
    add(text, "}");
    add_members(text, metrics);
  }
}

int uvdio_metrics_print(const uvdio_engine_t* engine, uvdio_metrics_format_t format, char* text,
                        size_t size, size_t* length) {
  text_t own = {text, size, 0};
  uvdio_metrics_t metrics;
  char nothing[1];
  int error;

  if ((text == NULL && size > 0) ||
      (format != UVDIO_METRICS_TEXT && format != UVDIO_METRICS_JSON)) {
    return UV_EINVAL;
  }
  error = uvdio_metrics(engine, &metrics);
  if (error != 0) {
    return error;
  }
  if (size == 0) {
    own.at = nothing; /* vsnprintf() takes a null pointer only alone */
  }
  print(&own, engine, &metrics, format);
  if (length != NULL) {
    *length = own.length;
  }
  return own.length < size || size == 0 ? 0 : UV_ENOBUFS;
}
