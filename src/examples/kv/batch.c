/* SPDX-License-Identifier: MIT */
/*
 * Two batches: one is filled while the log writes the other one.
 */
#include "batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define BATCH_FULL ((size_t)4 * 1024 * 1024)
#define NS_PER_MS ((uint64_t)1000000)
#define BATCH_FIRST ((size_t)64 * 1024)

void kv_batches_init(kv_batches_t* batches, uv_loop_t* loop) {
  memset(batches, 0, sizeof(*batches));
  (void)uv_timer_init(loop, &batches->timer);
  batches->filling = &batches->batches[0];
  batches->number = 1;
}

void kv_batches_close(kv_batches_t* batches) {
  uv_close((uv_handle_t*)&batches->timer, NULL);
}

void kv_batches_free(kv_batches_t* batches) {
  free(batches->batches[0].bytes);
  free(batches->batches[1].bytes);
}

static kv_batch_t* other_batch(kv_batches_t* batches) {
  return &batches->batches[batches->filling == &batches->batches[0]];
}

static char* make_room(kv_batch_t* batch, size_t size) {
  size_t room = batch->room > 0 ? batch->room : BATCH_FIRST;

  while (room - batch->length < size) {
    room *= 2;
  }
  if (room > batch->room) {
    batch->bytes = kv_realloc(batch->bytes, room);
    batch->room = room;
  }
  return batch->bytes + batch->length;
}

uint64_t kv_batch_add(kv_batches_t* batches, kv_kind_t kind, const char* key, size_t key_length,
                      const char* value, size_t value_length) {
  kv_head_t head = {kind, (uint32_t)key_length, (uint32_t)value_length};
  size_t size = KV_HEAD_SIZE + key_length + value_length;
  char* bytes = make_room(batches->filling, size);

  kv_head_put(bytes, &head);
  if (key_length > 0) {
    memcpy(bytes + KV_HEAD_SIZE, key, key_length);
  }
  if (value_length > 0) {
    memcpy(bytes + KV_HEAD_SIZE + key_length, value, value_length);
  }
  batches->filling->length += size;
  batches->filling->changes++;
  return batches->number;
}

int kv_batch_has_room(const kv_batches_t* batches) {
  return batches->filling->length < BATCH_FULL;
}

static void empty(kv_batch_t* batch) {
  if (batch->room > 2 * BATCH_FULL) {
    free(batch->bytes);
    batch->bytes = NULL;
    batch->room = 0;
  }
  batch->length = 0;
  batch->changes = 0;
}

/* Flushes of one program differ much: the mean of the last few. */
static void note_flush(kv_batches_t* batches, unsigned answered) {
  uint64_t now = uv_hrtime();

  batches->flush_ns = (7 * batches->flush_ns + (now - batches->begun_ns)) / 8;
  batches->expected = answered + batches->filling->changes;
  batches->ended_ns = now;
  batches->deadline_ns = now + batches->flush_ns / 2;
  batches->seen = batches->filling->changes;
}

/* The timer only ends the wait for events: the turn asks again. */
static void on_time(uv_timer_t* timer) {
  (void)timer;
}

static void put_off(kv_batches_t* batches, uint64_t deadline_ns) {
  uint64_t last_ns = batches->ended_ns + batches->flush_ns;

  if (deadline_ns > batches->deadline_ns) {
    batches->deadline_ns = deadline_ns < last_ns ? deadline_ns : last_ns;
  }
}

static int is_due(kv_batches_t* batches) {
  uint64_t now;

  if (batches->filling->changes >= batches->expected || batches->is_closing ||
      !kv_batch_has_room(batches)) {
    return 1;
  }
  now = uv_hrtime();
  if (batches->filling->changes > batches->seen) {
    batches->seen = batches->filling->changes;
    put_off(batches, now + batches->flush_ns / 4);
  }
  if (now + NS_PER_MS > batches->deadline_ns) {
    return 1;
  }
  (void)uv_timer_start(&batches->timer, on_time, (batches->deadline_ns - now) / NS_PER_MS, 0);
  return 0;
}

static void on_durable(uvdio_log_append_t* append, int status) {
  kv_batches_t* batches = append->data;
  kv_batch_t* written = other_batch(batches);

  batches->is_writing = 0;
  if (status == 0) {
    assert(batches->durable == batches->number - 2);
    batches->durable++;
    batches->written_changes += written->changes;
    note_flush(batches, written->changes);
  }
  empty(written);
  batches->durable_cb(batches, status);
}

int kv_batch_flush(kv_batches_t* batches) {
  kv_batch_t* batch = batches->filling;
  int error;

  if (batches->is_writing || batch->length == 0 || !is_due(batches)) {
    return 0;
  }
  (void)uv_timer_stop(&batches->timer);
  batches->begun_ns = uv_hrtime();
  batches->append.data = batches;
  error = uvdio_log_append(batches->log, &batches->append, batch->bytes, batch->length, on_durable);
  if (error != 0) {
    return error;
  }
  batches->is_writing = 1;
  batches->filling = other_batch(batches);
  batches->number++;
  assert(batches->filling->length == 0);
  return 0;
}
