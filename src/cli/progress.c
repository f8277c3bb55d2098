/* SPDX-License-Identifier: MIT */
/*
 * One line on stderr that is rewritten ten times a second:
 *
 *   copying [########------------]  41%  1.2 GiB of 2.9 GiB  812 MB/s  2 s left
 */
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "format.h"
#include "progress.h"

#define BAR_WIDTH 20
#define INTERVAL_MS 100

/* "8 s", "12 min", "3 h". */
static char* format_left(char* text, size_t size, double seconds) {
  if (seconds < 100) {
    snprintf(text, size, "%.0f s", seconds);
  } else if (seconds < 100 * 60) {
    snprintf(text, size, "%.0f min", seconds / 60);
  } else {
    snprintf(text, size, "%.0f h", seconds / 3600);
  }
  return text;
}

static void draw_bar(const progress_t* progress, uint64_t done) {
  char bar[BAR_WIDTH + 1], moved[16], total[16], speed[16], time[32];
  double share = progress->total > 0 ? (double)done / (double)progress->total : 1;
  double seconds = (double)(uv_hrtime() - progress->started_ns) / 1e9;
  double rate = seconds > 0 ? (double)*progress->moved / seconds : 0;
  double left = done > 0 ? (double)(progress->total - done) / (double)done * seconds : 0;
  size_t filled = (size_t)(share * BAR_WIDTH);
  memset(bar, '-', BAR_WIDTH);
  memset(bar, '#', filled);
  bar[BAR_WIDTH] = '\0';
  fprintf(stderr, "\r%s [%s] %3.0f%%  %s of %s  %s  %s left\033[K", progress->verb, bar,
          100 * share, format_size(moved, sizeof moved, done),
          format_size(total, sizeof total, progress->total), format_rate(speed, sizeof speed, rate),
          format_left(time, sizeof time, left));
}

static void draw(progress_t* progress) {
  if (!progress->enabled) {
    return;
  }
  if (progress->done == NULL) {
    fprintf(stderr, "\r%s\033[K", progress->verb);
  } else {
    draw_bar(progress, *progress->done < progress->total ? *progress->done : progress->total);
  }
  fflush(stderr);
}

static void on_tick(uv_timer_t* timer) {
  draw(timer->data);
}

int progress_open(progress_t* progress, uv_loop_t* loop, int enabled) {
  progress->enabled = enabled;
  int error = uv_timer_init(loop, &progress->timer);
  if (error != 0) {
    return error;
  }
  progress->timer.data = progress;
  uv_unref((uv_handle_t*)&progress->timer);
  return 0;
}

void progress_start(progress_t* progress, const char* verb, const uint64_t* done,
                    const uint64_t* moved, uint64_t total) {
  progress->verb = verb;
  progress->done = done;
  progress->moved = moved;
  progress->total = total;
  progress->started_ns = uv_hrtime();
  if (progress->enabled) {
    (void)uv_timer_start(&progress->timer, on_tick, INTERVAL_MS, INTERVAL_MS);
  }
}

/* Leaves an empty line, for whatever is to be said next. */
void progress_stop(progress_t* progress) {
  (void)uv_timer_stop(&progress->timer);
  if (progress->enabled) {
    fputs("\r\033[K", stderr);
    fflush(stderr);
  }
}

void progress_close(progress_t* progress) {
  if (progress->timer.data != NULL) {
    uv_close((uv_handle_t*)&progress->timer, NULL);
  }
}
