/* SPDX-License-Identifier: MIT */
/*
 * A record of each pending request, found by its address, and by that of its buffer; where it has
 * several, the record has a part for each. Records are of the C library's memory: this watches the
 * library, and must not be part of what it counts.
 *
 * Two transfers may have the same bytes in flight, as views. What ends first opens them, and those
 * that begin at the same address are closed again; others are watched a little less. And nothing is
 * closed while another thread of the library reads or writes it.
 */
#include "debug/ownership.h"

#include <assert.h>
#ifndef _WIN32
#include <pthread.h>
#endif
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"
#include "vector.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON 1
#endif
#endif

#ifdef POISON
#include <sanitizer/asan_interface.h>
#define POISON_BYTES(base, size) __asan_poison_memory_region((base), (size))
#define OPEN_BYTES(base, size) __asan_unpoison_memory_region((base), (size))
#else
#define POISON_BYTES(base, size) ((void)(base), (void)(size))
#define OPEN_BYTES(base, size) ((void)(base), (void)(size))
#endif

#define BUCKETS 4096u
#define SEARCHED_MAX 1024u
#define PAST 1024u

typedef struct record_s {
  const uvdio_req_t* req;
  const uvdio_file_t* file;
  uvdio_op_t op;
  uint64_t offset;
  uvdio_buf_t buf; /* empty but for transfers of one buffer, and for parts */
  int is_shared;   /* others may read the bytes */
  uint64_t sum;    /* of the bytes of a shared write */
  struct record_s* next_part;
  struct record_s* next_req; /* not of parts */
  struct record_s* next_buf;
  struct record_s** link_buf; /* what points to it: many may be of one page */
  struct record_s* next_open; /* the library itself touches its bytes */
} record_t;

/* A transfer that has ended, for those who release its buffer once too often. */
typedef struct {
  const void* base; /* null: none */
  uvdio_op_t op;
  size_t size;
  uint64_t offset;
} past_t;

static record_t* by_req[BUCKETS];
static record_t* by_buf[BUCKETS];
static record_t* open_ones;
static size_t count;
static past_t past[PAST]; /* the latest, in turns */
static size_t past_count;
static uv_mutex_t lock;
static uv_once_t once = UV_ONCE_INIT;

/*
 * Reports
 */

static size_t size_of(const record_t* record) {
  return uvdio__size_of_buf(record->op, &record->buf);
}

static void print_record(const record_t* record) {
  (void)fprintf(stderr, "uvdio: request %p: %s", (const void*)record->req,
                uvdio_op_name(record->op));
  if (record->buf.base != NULL) {
    (void)fprintf(stderr, " of %zu bytes at offset %llu, buffer %p", size_of(record),
                  (unsigned long long)record->offset, (void*)record->buf.base);
  }
  (void)fprintf(stderr, "; it was accepted and has not been called back\n");
}

static void report(const char* what, const record_t* record) {
  (void)fprintf(stderr, "uvdio: wrong touch: %s\n", what);
  print_record(record);
  (void)fflush(stderr);
  abort();
}

static int holds(const void* begin, size_t size, const void* address) {
  return (uintptr_t)address - (uintptr_t)begin < size;
}

#ifdef POISON
static const record_t* part_with(const record_t* record, const void* address) {
  while (record != NULL && !holds(record->buf.base, record->buf.cap, address)) {
    record = record->next_part;
  }
  return record;
}

/* Below the sanitizer's own report. It may run anywhere, so it takes no lock. */
static void explain(const char* text) {
  const void* address = __asan_get_report_address();
  size_t i;

  (void)text;
  for (i = 0; i < BUCKETS; i++) {
    const record_t* record;
    for (record = by_req[i]; record != NULL; record = record->next_req) {
      const record_t* part = part_with(record, address);
      if (part != NULL) {
        (void)fprintf(stderr, "uvdio: wrong touch: a buffer was used while it was the library's\n");
        print_record(part);
      } else if (holds(record->req, sizeof(*record->req), address)) {
        (void)fprintf(stderr, "uvdio: wrong touch: a request is gone while it was the library's\n");
        print_record(record);
      }
    }
  }
  (void)fflush(stderr);
}
#endif

/*
 * Records
 */

static void make_lock(void) {
  if (uv_mutex_init(&lock) != 0) {
    abort();
  }
}

/* A worker may hold the lock while another thread forks, and is not there in the child to let go of
 * it. */
#ifndef _WIN32
static void begin(void);

static void take_lock(void) {
  uv_once(&once, begin);
  uv_mutex_lock(&lock);
}

static void release_lock(void) {
  uv_mutex_unlock(&lock);
}

UVDIO__AT_LOAD static void watch_forks(void) {
  (void)pthread_atfork(take_lock, release_lock, make_lock);
}
#endif

static void begin(void) {
  make_lock();
#ifdef POISON
  __asan_set_error_report_callback(explain);
#endif
}

static record_t** bucket_of(record_t** table, const void* address) {
  uintptr_t number = (uintptr_t)address;
  return &table[(number >> 4 ^ number >> 12) % BUCKETS];
}

static record_t* find(const uvdio_req_t* req) {
  record_t* record = *bucket_of(by_req, req);

  while (record != NULL && record->req != req) {
    record = record->next_req;
  }
  return record;
}

static void insert_part(record_t* part) {
  record_t** bucket = bucket_of(by_buf, part->buf.base);

  if (part->buf.base != NULL) {
    part->next_buf = *bucket;
    part->link_buf = bucket;
    if (*bucket != NULL) {
      (*bucket)->link_buf = &part->next_buf;
    }
    *bucket = part;
  }
}

static void insert(record_t* record) {
  record_t** bucket = bucket_of(by_req, record->req);
  record_t* part;

  record->next_req = *bucket;
  *bucket = record;
  count++;
  for (part = record; part != NULL; part = part->next_part) {
    insert_part(part);
  }
}

static void take_out_part(const record_t* part) {
  if (part->buf.base == NULL) {
    return;
  }
  assert(*part->link_buf == part);
  *part->link_buf = part->next_buf;
  if (part->next_buf != NULL) {
    part->next_buf->link_buf = part->link_buf;
  }
}

static void take_out(const record_t* record) {
  record_t** link = bucket_of(by_req, record->req);
  const record_t* part;

  while (*link != record) {
    link = &(*link)->next_req;
  }
  *link = record->next_req;
  count--;
  for (part = record; part != NULL; part = part->next_part) {
    take_out_part(part);
  }
}

/* FNV-1a, which any change of one byte changes. */
static uint64_t sum_of(const record_t* record) {
  uint64_t sum = UINT64_C(0xcbf29ce484222325);
  size_t i;

  for (i = 0; i < size_of(record); i++) {
    sum = (sum ^ (unsigned char)record->buf.base[i]) * UINT64_C(0x100000001b3);
  }
  return sum;
}

static void close_bytes(const record_t* owner) {
  const uvdio_buf_t* buf = &owner->buf;
  const record_t* record;

  if (buf->base == NULL || owner->is_shared) {
    return;
  }
  for (record = open_ones; record != NULL; record = record->next_open) {
    if (holds(buf->base, buf->cap, record->buf.base) ||
        holds(record->buf.base, record->buf.cap, buf->base)) {
      return;
    }
  }
  POISON_BYTES(buf->base, buf->cap);
}

static void close_again(const void* base) {
  const record_t* record;

  for (record = *bucket_of(by_buf, base); record != NULL; record = record->next_buf) {
    if (record->buf.base == base) {
      close_bytes(record);
    }
  }
}

static record_t* make_record(const uvdio_req_t* req) {
  record_t* record = calloc(1, sizeof(*record));

  if (record == NULL) {
    abort();
  }
  record->req = req;
  record->file = req->file;
  record->op = req->op;
  record->offset = req->offset_;
  return record;
}

static void add_parts(record_t* record, const uvdio__vector_t* vector) {
  uint64_t offset = record->offset;
  unsigned i;

  for (i = 0; i < vector->count; i++) {
    record_t* part = make_record(record->req);
    part->buf = vector->bufs[i];
    part->offset = offset;
    part->next_part = record->next_part;
    record->next_part = part;
    offset += uvdio__size_of_buf(part->op, &part->buf);
  }
}

static void share_parts(record_t* record) {
  int is_shared = (record->req->flags_ & REQ_SHARED) != 0;
  record_t* part;

  for (part = record; part != NULL; part = part->next_part) {
    part->is_shared = is_shared;
    part->sum = is_shared ? sum_of(part) : 0;
  }
}

void uvdio__ownership_acquire(const uvdio_req_t* req) {
  record_t* record = make_record(req);
  const record_t* part;

  uv_once(&once, begin);
  if (uvdio__is_vector(req)) {
    add_parts(record, uvdio__vector_of(req));
  } else if (uvdio__is_transfer(req->op)) {
    record->buf = req->buf_;
  }
  share_parts(record);
  uv_mutex_lock(&lock);
  assert(find(req) == NULL);
  insert(record);
  for (part = record; part != NULL; part = part->next_part) {
    close_bytes(part);
  }
  uv_mutex_unlock(&lock);
}

/* A write may go on as a sync. */
static int is_same_operation(const record_t* record) {
  return record->req->op == record->op ||
         (record->op == UVDIO_OP_WRITE && (record->req->flags_ & REQ_WRITTEN) != 0);
}

static int is_as_it_was(const record_t* record) {
  const uvdio_req_t* req = record->req;
  return uvdio__is_pending(req) && req->file == record->file && is_same_operation(record) &&
         req->offset_ == record->offset &&
         (!uvdio__is_transfer(req->op) || req->buf_.base == record->buf.base);
}

void uvdio__ownership_check(const uvdio_req_t* req) {
  const record_t* record;

  uv_once(&once, begin);
  uv_mutex_lock(&lock);
  record = find(req);
  if (record != NULL && !is_as_it_was(record)) {
    report("a request was written to while it was the library's", record);
  }
  uv_mutex_unlock(&lock);
}

static void remember(const record_t* record) {
  past_t* ended = &past[past_count++ % PAST];

  ended->base = record->buf.base;
  ended->op = record->op;
  ended->size = size_of(record);
  ended->offset = record->offset;
}

void uvdio__ownership_release(const uvdio_req_t* req) {
  record_t* record;

  uvdio__ownership_check(req);
  uv_mutex_lock(&lock);
  record = find(req);
  if (record != NULL) { /* The engine's own closes have none. */
    take_out(record);
  }
  while (record != NULL) {
    record_t* part = record;
    record = part->next_part;
    if (part->is_shared && sum_of(part) != part->sum) {
      report("the bytes of a shared write were changed before its end", part);
    }
    if (part->buf.base != NULL) {
      remember(part);
    }
    OPEN_BYTES(part->buf.base, part->buf.cap);
    close_again(part->buf.base);
    free(part);
  }
  uv_mutex_unlock(&lock);
}

/* The synchronous forms have no record, and their buffers stay open. */
void uvdio__ownership_allow(const uvdio_req_t* req) {
  record_t* record;

  uv_once(&once, begin);
  uv_mutex_lock(&lock);
  for (record = find(req); record != NULL; record = record->next_part) {
    record->next_open = open_ones;
    open_ones = record;
    OPEN_BYTES(record->buf.base, record->buf.cap);
  }
  uv_mutex_unlock(&lock);
}

void uvdio__ownership_forbid(const uvdio_req_t* req) {
  record_t** link = &open_ones;
  const record_t* record;

  uv_mutex_lock(&lock);
  while (*link != NULL) {
    if ((*link)->req == req) {
      *link = (*link)->next_open;
    } else {
      link = &(*link)->next_open;
    }
  }
  for (record = find(req); record != NULL; record = record->next_part) {
    close_bytes(record);
  }
  uv_mutex_unlock(&lock);
}

/*
 * Releases
 */

static const record_t* find_beginning(const uvdio_buf_t* buf) {
  const record_t* record = *bucket_of(by_buf, buf->base);

  while (record != NULL && record->buf.base != buf->base) {
    record = record->next_buf;
  }
  return record;
}

/* A transfer of some of the buffer's bytes; among very many, of its first ones. */
static const record_t* find_within(const uvdio_buf_t* buf) {
  size_t i;

  for (i = 0; i < BUCKETS && count > 0 && count <= SEARCHED_MAX; i++) {
    const record_t* record;
    for (record = by_buf[i]; record != NULL; record = record->next_buf) {
      if (holds(buf->base, buf->cap, record->buf.base)) {
        return record;
      }
    }
  }
  return find_beginning(buf);
}

void uvdio__ownership_release_buf(const uvdio_buf_t* buf) {
  const record_t* record;

  if (buf->base == NULL || buf->owner_ == NULL) {
    return;
  }
  uv_once(&once, begin);
  uv_mutex_lock(&lock);
  record = find_within(buf);
  if (record != NULL) {
    report("a buffer was released while its bytes were the library's", record);
  }
  uv_mutex_unlock(&lock);
}

static void print_past(const void* base) {
  size_t i;

  for (i = past_count; i > 0 && i + PAST > past_count; i--) {
    const past_t* ended = &past[(i - 1) % PAST];
    if (ended->base == base) {
      (void)fprintf(
          stderr, "uvdio: its last operation: %s of %zu bytes at offset %llu; it was called back\n",
          uvdio_op_name(ended->op), ended->size, (unsigned long long)ended->offset);
      return;
    }
  }
}

/* Nothing has come to harm, so the program goes on. */
void uvdio__ownership_refuse(const uvdio_buf_t* buf, int error) {
  (void)fprintf(stderr, "uvdio: wrong touch: %s\nuvdio: frame %p, arena %p\n",
                uvdio_strerror(error), (void*)buf->base, buf->owner_);
  uv_once(&once, begin);
  uv_mutex_lock(&lock);
  print_past(buf->base);
  uv_mutex_unlock(&lock);
}
