/* SPDX-License-Identifier: MIT */
/*
 * Alarms: a call at a point of time.
 * At most one call for each setting, not before `at_ns` (uv_hrtime).
 */
#ifndef UVDIO_BENCH_ECHO_SERVER_ALARM_H
#define UVDIO_BENCH_ECHO_SERVER_ALARM_H

#include <stdint.h>
#include <uv.h>

typedef struct alarm_s {
  void (*call)(struct alarm_s* alarm);
  void* data;
#ifdef __linux__
  int descriptor;
  uv_poll_t poll;
#else
  uv_timer_t timer;
#endif
} alarm_t;

int alarm_open(alarm_t* alarm, uv_loop_t* loop, void (*call)(alarm_t* alarm));
void alarm_set(alarm_t* alarm, uint64_t at_ns);
void alarm_close(alarm_t* alarm);

#endif /* UVDIO_BENCH_ECHO_SERVER_ALARM_H */
