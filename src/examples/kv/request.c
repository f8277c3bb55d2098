/* SPDX-License-Identifier: MIT */
/*
 * The functions by which hiredis makes objects, and the checks that it does not make itself. An
 * object that is not wanted is null, which hiredis takes for a lack of memory, and ends.
 */
#include "request.h"

#include <assert.h>
#include <hiredis.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_SIZE 64u /* longer than any line that is a number */
/* Of a request, beside the largest value: keys. */
#define BESIDE_VALUE ((size_t)1024 * 1024)
#define SMALL ((size_t)64 * 1024)

#define BAD_ROOT "Protocol error: a request is an array of bulk strings"
#define BAD_ITEM "Protocol error: expected '$', an argument is a bulk string"
#define BAD_COUNT "Protocol error: invalid multibulk length"
#define BAD_LENGTH "Protocol error: invalid bulk length"

/* Hiredis 1.0 has made it a size_t. */
#if HIREDIS_MAJOR >= 1
typedef size_t element_count_t;
#else
typedef int element_count_t;
#endif

/* A request that is being made: the root's object. */
typedef struct made_s {
  unsigned count;
  unsigned filled;
  size_t bytes;
  kv_bytes_t* arguments[];
} made_t;

static void* refuse(const redisReadTask* task, const char* why) {
  kv_requests_t* requests = task->privdata;

  requests->error = why;
  return NULL;
}

static void* create_array(const redisReadTask* task, element_count_t count) {
  made_t* made;

  if (task->parent != NULL) {
    return refuse(task, BAD_ITEM);
  }
  if (count > (element_count_t)KV_ARGUMENTS_MAX) {
    return refuse(task, BAD_COUNT);
  }
  made = kv_alloc(sizeof(*made) + (size_t)count * sizeof(made->arguments[0]));
  made->count = (unsigned)count;
  made->filled = 0;
  made->bytes = 0;
  return made;
}

/* `task->type` tells bulk strings from lines, which are no arguments. */
static void* create_string(const redisReadTask* task, char* string, size_t length) {
  const kv_requests_t* requests = task->privdata;
  made_t* made;

  if (task->parent == NULL) {
    return refuse(task, BAD_ROOT);
  }
  if (task->type != REDIS_REPLY_STRING) {
    return refuse(task, BAD_ITEM);
  }
  if (length > requests->value_max) {
    return refuse(task, BAD_LENGTH);
  }
  made = task->parent->obj;
  assert(made->filled < made->count);
  made->bytes += length;
  if (made->bytes > requests->value_max + BESIDE_VALUE) {
    return refuse(task, "Protocol error: too big request");
  }
  made->arguments[made->filled] = kv_bytes_create(string, length);
  return made->arguments[made->filled++];
}

static void* create_integer(const redisReadTask* task, long long number) {
  (void)number;
  return refuse(task, task->parent == NULL ? BAD_ROOT : BAD_ITEM);
}

static void* create_nil(const redisReadTask* task) {
  return refuse(task, task->parent == NULL ? BAD_COUNT : BAD_LENGTH);
}

static void free_made(void* object) {
  made_t* made = object;

  for (unsigned i = 0; i < made->filled; i++) {
    kv_bytes_drop(made->arguments[i]);
  }
  free(made);
}

static redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = free_made,
};

/* It keeps the address of `requests`, which stays where it is. */
static void make_reader(kv_requests_t* requests) {
  requests->reader = redisReaderCreateWithFunctions(&functions);
  if (requests->reader == NULL) {
    abort();
  }
  requests->reader->privdata = requests;
  requests->largest = 0;
}

void kv_requests_init(kv_requests_t* requests, size_t value_max) {
  memset(requests, 0, sizeof(*requests));
  requests->value_max = value_max;
  make_reader(requests);
}

void kv_requests_free(kv_requests_t* requests) {
  redisReaderFree(requests->reader);
}

size_t kv_requests_left(const kv_requests_t* requests) {
  return requests->reader->len - requests->reader->pos;
}

/* After a large request its memory is given back. */
void kv_requests_feed(kv_requests_t* requests, const char* bytes, size_t length) {
  size_t left = kv_requests_left(requests);

  if (left == 0 && requests->largest > SMALL && requests->reader->ridx < 0) {
    redisReaderFree(requests->reader);
    make_reader(requests);
  }
  if (requests->error == NULL && redisReaderFeed(requests->reader, bytes, length) != REDIS_OK) {
    requests->error = requests->reader->errstr;
  }
  requests->largest = left + length > requests->largest ? left + length : requests->largest;
}

/* The reader keeps a line, or a bulk string, until all of it is there: one that is too long is
 * refused by its begin. */
static const char* check_rest(const redisReader* reader) {
  const char* rest = reader->buf + reader->pos;
  size_t left = reader->len - reader->pos;
  const kv_requests_t* requests = reader->privdata;

  if (left > LINE_MAX_SIZE && memmem(rest, LINE_MAX_SIZE, "\r\n", 2) == NULL) {
    return "Protocol error: too big bulk count string";
  }
  if (left > LINE_MAX_SIZE && strtoull(rest, NULL, 10) > requests->value_max) {
    return BAD_LENGTH;
  }
  return NULL;
}

int kv_requests_next(kv_requests_t* requests, kv_request_t* request) {
  void* object = NULL;
  made_t* made;

  if (requests->error != NULL) {
    return 0;
  }
  if (redisReaderGetReply(requests->reader, &object) != REDIS_OK) {
    if (requests->error == NULL) {
      requests->error = requests->reader->errstr;
    }
    return 0;
  }
  if (object == NULL) {
    requests->error = kv_requests_left(requests) > 0 ? check_rest(requests->reader) : NULL;
    return 0;
  }
  made = object;
  assert(made->filled == made->count);
  request->arguments = made->arguments;
  request->count = made->count;
  return 1;
}

void kv_request_free(kv_request_t* request) {
  made_t* made = (made_t*)(void*)((char*)request->arguments - offsetof(made_t, arguments));

  free_made(made);
}
