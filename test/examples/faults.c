/* SPDX-License-Identifier: MIT */
/*
 * Testing error paths: a log of records is run against a disk that is full at its third write, a
 * sync that fails, and a slow device, on whatever backend the engine has chosen.
 */
#include <stdio.h>
#include <uvdio/faults.h>

#define RECORDS 5u

/* The program under test: each record is written, and the next one when that has ended. */
struct log {
  uvdio_engine_t* engine;
  uvdio_file_t file;
  uvdio_req_t req;
  unsigned records;
  int error; /* what stopped it */
};

static void write_next(struct log* log);

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t page) {
  struct log* log = req->data;
  (void)uvdio_buf_release(&page);
  if (result < 0) {
    log->error = (int)result;
    return;
  }
  log->records++;
  write_next(log);
}

static void on_synced(uvdio_req_t* req, int64_t result) {
  struct log* log = req->data;
  log->error = (int)result;
}

static void write_next(struct log* log) {
  uvdio_buf_t page;
  log->req.data = log;
  if (log->records == RECORDS) {
    log->error = uvdio_sync_data(&log->file, &log->req, on_synced);
    return;
  }
  log->error = uvdio_buf_page(&page);
  if (log->error == 0) {
    log->error = uvdio_write(&log->file, &log->req, &page, (uint64_t)log->records * UVDIO_PAGE_SIZE,
                             on_written);
  }
}

/* Runs the log under one rule, and tells how far it came. */
static int run_under(const char* name, const uvdio_fault_rule_t* rule, int error,
                     unsigned records) {
  struct log log = {.error = 0};
  uvdio_fault_rule_info_t info = {.fired = 0};
  uvdio_req_t req;
  int is_right = uvdio_engine_create(&log.engine, uv_default_loop(), NULL) == 0 &&
                 uvdio_engine_add_rule(log.engine, rule) == 0 &&
                 uvdio_open(log.engine, &log.file, &req, "faults.example.wal",
                            UVDIO_OPEN_CREATE | UVDIO_O_DIRECT_PREFERRED, 0644, NULL) == 0;
  if (!is_right) {
    return 0;
  }
  write_next(&log);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  (void)uvdio_engine_rule_info(log.engine, 0, &info);
  printf("%s (%s): %u records, then %s; the rule was used %u times\n", name,
         uvdio_engine_backend(log.engine), log.records,
         log.error == 0 ? "success" : uvdio_err_name(log.error), (unsigned)info.fired);
  (void)uvdio_engine_close(log.engine, NULL);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  return log.error == error && log.records == records && info.fired > 0;
}

int main(void) {
  static const uvdio_fault_rule_t full = {
      .op = UVDIO_OP_WRITE,
      .path = "*.wal",
      .skip = 2,
      .fault = {.kind = UVDIO_FAULT_ERROR, .error = UV_ENOSPC},
  };
  static const uvdio_fault_rule_t lost = {
      .op = UVDIO_OP_SYNC_DATA,
      .fault = {.kind = UVDIO_FAULT_ERROR, .error = UV_EIO},
  };
  static const uvdio_fault_rule_t slow = {
      .op = UVDIO_OP_WRITE,
      .fault = {.kind = UVDIO_FAULT_DELAY, .delay_ms = 5},
  };
  int is_right = run_under("a full disk", &full, UV_ENOSPC, 2) &
                 run_under("a failed sync", &lost, UV_EIO, RECORDS) &
                 run_under("a slow device", &slow, 0, RECORDS);
  (void)remove("faults.example.wal");
  return is_right ? 0 : 1;
}
