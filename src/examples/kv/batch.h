/* SPDX-License-Identifier: MIT */
/*
 * Changes of one turn of the loop, and of all turns that pass while the log writes, become one
 * record: one flush makes all of them durable. A batch has a number, which replies wait for.
 *
 * Company. Who was answered by a flush is likely to come again soon. A flush that began at once
 * would leave these to the next one, and clients would fall into two groups which wait for each
 * other, half of them in each flush. So a flush waits until there are as many changes as were
 * answered by the last one and had come by its end: for half of what a flush takes, and as long as
 * some come, for all of it.
 */
#ifndef KV_BATCH_H
#define KV_BATCH_H

#include <uvdio/log.h>

#include "data.h"

typedef struct kv_batches_s kv_batches_t;

typedef struct kv_batch_s {
  char* bytes;
  size_t length;
  size_t room;
  unsigned changes;
} kv_batch_t;

struct kv_batches_s {
  uvdio_log_t* log;
  kv_batch_t batches[2];
  kv_batch_t* filling;
  uint64_t number;  /* of the one that is filled; the first is 1 */
  uint64_t durable; /* this one, and those before it, are */
  int is_writing;   /* the other one is */
  uvdio_log_append_t append;
  uint64_t written_changes;
  uv_timer_t timer;
  unsigned expected;    /* changes of the next batch */
  uint64_t flush_ns;    /* what a flush takes, of late */
  uint64_t begun_ns;    /* when the last one began */
  uint64_t ended_ns;    /* when it ended */
  uint64_t deadline_ns; /* the next one waits no longer */
  unsigned seen;        /* changes that have come by the last turn */
  int is_closing;       /* nor for anybody */
  void (*durable_cb)(kv_batches_t* batches, int status);
  void* data;
};

void kv_batches_init(kv_batches_t* batches, uv_loop_t* loop);
void kv_batches_close(kv_batches_t* batches);

/* When the loop has closed what was closed. */
void kv_batches_free(kv_batches_t* batches);

/* Adds an entry, and returns the number of its batch. */
uint64_t kv_batch_add(kv_batches_t* batches, kv_kind_t kind, const char* key, size_t key_length,
                      const char* value, size_t value_length);

/* Whether a client may change something now: a batch has a bounded size, but for one value. */
int kv_batch_has_room(const kv_batches_t* batches);

/* Appends what there is, where nothing is being written and nobody is waited for. Returns 0 or an
 * error. */
int kv_batch_flush(kv_batches_t* batches);

#endif /* KV_BATCH_H */
