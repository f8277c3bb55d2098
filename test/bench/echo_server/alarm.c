/* SPDX-License-Identifier: MIT */
/*
 * A call at a point of time. libuv's timers count whole milliseconds, which is longer than an echo
 * takes; Linux has descriptors that become readable to the microsecond. Elsewhere the call comes up
 * to a millisecond late.
 */
#ifdef __linux__
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#endif

#include "echo_server/alarm.h"

#ifdef __linux__

static void on_readable(uv_poll_t* poll, int status, int events) {
  alarm_t* alarm = poll->data;
  uint64_t count;
  (void)status;
  (void)events;
  /* A reading that finds nothing: it was set anew after it had rung. */
  if (read(alarm->descriptor, &count, sizeof count) == (ssize_t)sizeof count) {
    alarm->call(alarm);
  }
}

int alarm_open(alarm_t* alarm, uv_loop_t* loop, void (*call)(alarm_t* alarm)) {
  alarm->call = call;
  alarm->poll.data = alarm;
  alarm->descriptor = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (alarm->descriptor < 0) {
    return uv_translate_sys_error(errno);
  }
  int error = uv_poll_init(loop, &alarm->poll, alarm->descriptor);
  return error == 0 ? uv_poll_start(&alarm->poll, UV_READABLE, on_readable) : error;
}

void alarm_set(alarm_t* alarm, uint64_t at_ns) {
  struct itimerspec when = {
      .it_value = {.tv_sec = (time_t)(at_ns / 1000000000), .tv_nsec = (long)(at_ns % 1000000000)}};
  (void)timerfd_settime(alarm->descriptor, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_closed(uv_handle_t* handle) {
  alarm_t* alarm = handle->data;
  (void)close(alarm->descriptor);
}

void alarm_close(alarm_t* alarm) {
  uv_close((uv_handle_t*)&alarm->poll, on_closed);
}

#else

static void on_timer(uv_timer_t* timer) {
  alarm_t* alarm = timer->data;
  alarm->call(alarm);
}

int alarm_open(alarm_t* alarm, uv_loop_t* loop, void (*call)(alarm_t* alarm)) {
  alarm->call = call;
  alarm->timer.data = alarm;
  return uv_timer_init(loop, &alarm->timer);
}

void alarm_set(alarm_t* alarm, uint64_t at_ns) {
  uint64_t now_ns = uv_hrtime();
  uv_update_time(alarm->timer.loop);
  (void)uv_timer_start(&alarm->timer, on_timer,
                       at_ns > now_ns ? (at_ns - now_ns + 999999) / 1000000 : 0, 0);
}

void alarm_close(alarm_t* alarm) {
  uv_close((uv_handle_t*)&alarm->timer, NULL);
}

#endif
