/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC 0x6c6f67316c6f6731ull

struct page {
  uint64_t checksum; /* over all that follows */
  uint64_t magic;
  uint64_t number;
  uint64_t chain; /* checksum of the page before; 0 for the first */
  uint64_t length;
  char data[UVDIO_PAGE_SIZE - 40];
};

/* A request with what its callback needs to know. */
struct step {
  uvdio_req_t req;
  struct log* log;
  uint64_t count;
};

static uint64_t checksum(const struct page* page) {
  const unsigned char* bytes = (const unsigned char*)page;
  uint64_t sum = 0xcbf29ce484222325ull;
  uint64_t word;
  for (size_t i = sizeof(page->checksum); i < sizeof(*page); i += sizeof(word)) {
    memcpy(&word, bytes + i, sizeof(word));
    sum = (sum ^ word) * 0x100000001b3ull;
    sum ^= sum >> 32;
  }
  return sum;
}

static void fail(struct log* log, int64_t error) {
  if (log->error == 0) {
    log->error = (int)error;
  }
}

static struct step* make_step(struct log* log) {
  struct step* step = calloc(1, sizeof(*step));
  if (step != NULL) {
    step->log = log;
    step->req.data = step;
    step->count = log->count;
  }
  return step;
}

/*
 * Recovery.
 */

static int is_next(const struct log* log, const struct page* page) {
  return page->magic == MAGIC && page->number == log->count && page->length <= LOG_RECORD_MAX &&
         (log->flaw == LOG_NO_CHECKSUM || page->checksum == checksum(page)) &&
         (log->flaw == LOG_NO_CHAIN || log->flaw == LOG_NO_CHECKSUM || page->chain == log->chain);
}

/* Reads page after page until one is not the next. What cannot be read is an error, and not the
 * end. */
static int recover(struct log* log, uvdio_buf_t* buf, log_record_cb on_record) {
  const struct page* page = (const struct page*)buf->base;
  uvdio_req_t req = {0};
  for (;;) {
    int error = uvdio_read(&log->file, &req, buf, log->count * UVDIO_PAGE_SIZE, NULL);
    if (error != 0) {
      return error;
    }
    if (buf->len < sizeof(*page) || !is_next(log, page)) {
      return 0;
    }
    on_record(log, log->count, page->data, (size_t)page->length);
    log->chain = page->checksum;
    log->count++;
  }
}

int log_open(struct log* log, uvdio_engine_t* engine, const char* path, log_record_cb on_record) {
  uvdio_req_t req = {0};
  uvdio_buf_t buf;
  int error = uvdio_open(engine, &log->file, &req, path, UVDIO_OPEN_RW, 0644, NULL);
  if (error != 0) {
    return error;
  }
  error = log->flaw == LOG_NO_WAIT ? 0 : log->wait(log);
  if (error == 0) {
    error = uvdio_buf_page(&buf);
  }
  if (error == 0) {
    error = recover(log, &buf, on_record);
    (void)uvdio_buf_release(&buf);
  }
  if (error == 0 && log->flaw != LOG_NO_CUT_OFF && log->flaw != LOG_NO_CHAIN) {
    error = uvdio_truncate(&log->file, &req, log->count * UVDIO_PAGE_SIZE, NULL);
  }
  /* Read is not durable: a log whose process crashed may have left records that only the page cache
   * holds. */
  if (error == 0 && log->flaw != LOG_NO_RECOVERY_SYNC) {
    error = uvdio_sync_all(&log->file, &req, NULL);
  }
  return error;
}

/*
 * Appending.
 */

static void acknowledge(struct log* log, uint64_t count) {
  if (log->error == 0) {
    log->on_durable(log, count);
  }
}

static void on_written(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct step* step = req->data;
  if (result < 0) {
    fail(step->log, result);
  }
  if (step->log->flaw == LOG_NO_SYNC) {
    acknowledge(step->log, step->count);
  }
  (void)uvdio_buf_release(&buf);
  free(step);
}

static int make_page(struct log* log, const void* data, size_t length, uvdio_buf_t* buf) {
  int error = uvdio_buf_page(buf);
  if (error == 0) {
    struct page* page = (struct page*)buf->base;
    page->magic = MAGIC;
    page->number = log->count;
    page->chain = log->chain;
    page->length = length;
    memcpy(page->data, data, length);
    page->checksum = checksum(page);
    log->chain = page->checksum;
    log->count++;
  }
  return error;
}

int log_append(struct log* log, const void* data, size_t length) {
  uint64_t offset = log->count * UVDIO_PAGE_SIZE;
  uvdio_buf_t buf;
  int error = length > LOG_RECORD_MAX ? UV_EINVAL : make_page(log, data, length, &buf);
  if (error != 0) {
    return error;
  }
  struct step* step = make_step(log);
  error = step == NULL ? UV_ENOMEM : uvdio_write(&log->file, &step->req, &buf, offset, on_written);
  if (error != 0) {
    fail(log, error);
    (void)uvdio_buf_release(&buf);
    free(step);
  }
  return error;
}

static void on_synced(uvdio_req_t* req, int64_t result) {
  struct step* step = req->data;
  if (result < 0) {
    fail(step->log, result);
  }
  acknowledge(step->log, step->count);
  free(step);
}

/* The sync waits for the writes before it by itself. */
int log_commit(struct log* log) {
  if (log->flaw == LOG_NO_SYNC) {
    return 0;
  }
  struct step* step = make_step(log);
  int error = step == NULL ? UV_ENOMEM : uvdio_sync_data(&log->file, &step->req, on_synced);
  if (error != 0) {
    fail(log, error);
    free(step);
  }
  return error;
}
