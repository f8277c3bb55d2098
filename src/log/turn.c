/* SPDX-License-Identifier: MIT */
/*
 * What every call of a log and of its readers asks first, whether its engine takes requests; and a
 * turn of the loop, in which the log does what a call has made possible (log/log.h).
 */
#include "log/log.h"

static void on_nothing(uvdio_req_t* req, int64_t result) {
  (void)req;
  (void)result;
}

/* And nothing else, since a file that is open is not opened. A log without a lock has stopped, and
 * needs no engine; one whose lock is closed has none any more. */
int uvdio__log_check_engine(uvdio_log_t* log) {
  int error = UV_EBUSY;

  if (log->has_lock && log->pending == 0 && !uvdio__log_is_file_open(&log->lock)) {
    return UV_EBADF;
  }
  if (log->has_lock) {
    error =
        uvdio_open(log->engine, &log->lock, &log->check_req, ".", UVDIO_O_RDONLY, 0, on_nothing);
  }
  assert(error != 0);
  return error == UV_EBUSY ? 0 : error;
}

static void on_time(uv_timer_t* timer) {
  uvdio_log_t* log = timer->data;

  log->run(log);
}

void uvdio__log_run_in(uvdio_log_t* log, uint64_t milliseconds) {
  (void)uv_timer_start(log->timer, on_time, milliseconds, 0);
}
