/* SPDX-License-Identifier: MIT */
/*
 * See wakeup.h.
 */
#include "wakeup.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine.h"

/* Between attempts to submit, or to get completions. */
#define RETRY_MS 10

int uvdio__wakeup_init(uvdio__wakeup_t* wakeup, uvdio__queue_t* queue, const char** call) {
  uv_loop_t* loop = queue->engine->loop;
  int error;

  wakeup->queue = queue;
  *call = "eventfd";
  wakeup->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wakeup->eventfd == -1) {
    return uv_translate_sys_error(errno);
  }
  *call = "uv_poll_init";
  error = uv_poll_init(loop, &wakeup->poll, wakeup->eventfd);
  if (error != 0) {
    (void)close(wakeup->eventfd);
    return error;
  }
  (void)uv_timer_init(loop, &wakeup->retry);
  return 0;
}

/* Off the loop, signals are waited for. */
int uvdio__wakeup_start(uvdio__wakeup_t* wakeup, uv_poll_cb cb) {
  int error;

  if (uv_is_active((uv_handle_t*)&wakeup->poll)) {
    return 0;
  }
  if (uv_is_closing((uv_handle_t*)&wakeup->poll)) {
    uvdio__loop_wake(wakeup->queue->engine); /* Where the user did that: leaves the loop. */
    return 0;
  }
  error = uv_poll_start(&wakeup->poll, UV_READABLE, cb);
  uv_unref((uv_handle_t*)&wakeup->poll);
  return error;
}

void uvdio__wakeup_try_edges(uvdio__wakeup_t* wakeup) {
  int loop_descriptor = uv_backend_fd(wakeup->poll.loop);
  struct epoll_event event;

  memset(&event, 0, sizeof(event));
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = wakeup->eventfd;
  wakeup->is_edge_tried = 1;
  wakeup->is_edge_triggered =
      epoll_ctl(loop_descriptor, EPOLL_CTL_MOD, wakeup->eventfd, &event) == 0;
}

void uvdio__wakeup_read(uvdio__wakeup_t* wakeup) {
  uint64_t count;
  ssize_t got = read(wakeup->eventfd, &count, sizeof(count));

  (void)got; /* Completions are asked for whatever it says. */
  wakeup->queue->engine->stats.system_calls++;
}

static void on_retry(uv_timer_t* timer) {
  uvdio__wakeup_t* wakeup = UVDIO__CONTAINER_OF(timer, uvdio__wakeup_t, retry);
  uvdio__queue_t* queue = wakeup->queue;

  uvdio__queue_unstall(queue);
  wakeup->is_unnotified = 1;
  queue->engine->poll_pending = 1;
  uvdio__loop_wake(queue->engine); /* Timers come before the poll, and that must not block now. */
}

/* Off the loop, whenever something was waited for. */
void uvdio__wakeup_retry_later(uvdio__wakeup_t* wakeup) {
  if (uv_is_closing((uv_handle_t*)&wakeup->retry)) {
    return;
  }
  (void)uv_timer_start(&wakeup->retry, on_retry, RETRY_MS, 0);
  uv_unref((uv_handle_t*)&wakeup->retry);
}

static void on_poll_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio__wakeup_t, poll)->queue->engine);
}

static void on_retry_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio__wakeup_t, retry)->queue->engine);
}

void uvdio__wakeup_leave_loop(uvdio__wakeup_t* wakeup) {
  uvdio_engine_t* engine = wakeup->queue->engine;

  uvdio__loop_close_handle(engine, (uv_handle_t*)&wakeup->poll, on_poll_closed);
  uvdio__loop_close_handle(engine, (uv_handle_t*)&wakeup->retry, on_retry_closed);
}

/* The loop's own descriptor is readable when any other that it watches has something. Where the
 * kernel refused something, that is tried again now. */
void uvdio__wakeup_wait(uvdio__wakeup_t* wakeup, int timeout_ms) {
  uvdio__queue_t* queue = wakeup->queue;
  struct pollfd watched[] = {{.fd = wakeup->eventfd, .events = POLLIN},
                             {.fd = uv_backend_fd(queue->engine->loop), .events = POLLIN}};

  (void)poll(watched, 2, timeout_ms);
  queue->engine->stats.system_calls++;
  if ((watched[0].revents & POLLIN) != 0) {
    queue->engine->stats.wakeups++;
    uvdio__wakeup_read(wakeup);
  }
  uvdio__queue_unstall(queue);
  wakeup->is_unnotified = 1;
}

void uvdio__wakeup_close(uvdio__wakeup_t* wakeup) {
  (void)close(wakeup->eventfd);
}
