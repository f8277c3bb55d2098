/* SPDX-License-Identifier: MIT */
/*
 * Replies in a queue. Short ones that wait for the same batch share one piece of text, so that
 * those of a pipeline are one part of a write.
 */
#include "output.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define TEXT_ROOM ((size_t)2048)
#define COPIED_MAX ((size_t)1024) /* shorter values are copied into the text */

typedef enum { REPLY_TEXT, REPLY_VALUE, REPLY_LOAD } reply_kind_t;

struct kv_reply_s {
  kv_reply_t* next;
  kv_output_t* output;
  uint64_t change;
  reply_kind_t kind;
  kv_bytes_t* value; /* REPLY_VALUE */
  kv_load_t* load;   /* REPLY_LOAD */
  size_t room;       /* bytes that it takes beside itself */
  size_t length;     /* that can go out; 0: a load is being read */
  size_t sent;       /* of these */
  char text[];       /* REPLY_TEXT */
};

static const char* bytes_of(const kv_reply_t* reply) {
  switch (reply->kind) {
    case REPLY_TEXT:
      return reply->text;
    case REPLY_VALUE:
      return reply->value->data;
    case REPLY_LOAD:
      return reply->load->piece.base;
  }
  return NULL;
}

/* `room`: what it takes beside itself, in it or elsewhere. */
static kv_reply_t* append(kv_output_t* output, reply_kind_t kind, uint64_t change, size_t text_room,
                          size_t room) {
  kv_reply_t* reply = kv_alloc(sizeof(*reply) + text_room);

  memset(reply, 0, sizeof(*reply));
  reply->output = output;
  reply->kind = kind;
  reply->change = change;
  output->bytes += sizeof(*reply) + room;
  reply->room = room;
  if (output->last != NULL) {
    output->last->next = reply;
  } else {
    output->first = reply;
  }
  output->last = reply;
  return reply;
}

static void free_first(kv_output_t* output) {
  kv_reply_t* reply = output->first;

  output->first = reply->next;
  if (output->first == NULL) {
    output->last = NULL;
  }
  output->bytes -= sizeof(*reply) + reply->room;
  kv_bytes_drop(reply->value);
  if (reply->load != NULL) {
    kv_load_drop(reply->load);
  }
  free(reply);
}

void kv_output_free(kv_output_t* output) {
  while (output->first != NULL) {
    free_first(output);
  }
}

/*
 * Replies
 */

void kv_output_text(kv_output_t* output, uint64_t change, const char* text, size_t length) {
  kv_reply_t* last = output->last;

  assert(length <= TEXT_ROOM);
  if (last == NULL || last->kind != REPLY_TEXT || last->change < change ||
      TEXT_ROOM - last->length < length) {
    last = append(output, REPLY_TEXT, change, TEXT_ROOM, TEXT_ROOM);
  }
  memcpy(last->text + last->length, text, length);
  last->length += length;
  output->ready_cb(output->arg);
}

void kv_output_number(kv_output_t* output, uint64_t change, uint64_t number) {
  char text[32];
  int length = snprintf(text, sizeof(text), ":%" PRIu64 "\r\n", number);

  kv_output_text(output, change, text, (size_t)length);
}

/* What the client has sent may be in it: a line break would end the reply. */
void kv_output_error(kv_output_t* output, const char* format, ...) {
  char text[256] = "-";
  va_list arguments;
  size_t length;

  va_start(arguments, format);
  (void)vsnprintf(text + 1, sizeof(text) - 3, format, arguments);
  va_end(arguments);
  length = strlen(text);
  for (size_t i = 0; i < length; i++) {
    text[i] = (unsigned char)text[i] < ' ' ? '?' : text[i];
  }
  text[length++] = '\r';
  text[length++] = '\n';
  kv_output_text(output, 0, text, length);
}

static void put_length(kv_output_t* output, uint64_t change, size_t length) {
  char text[32];
  int size = snprintf(text, sizeof(text), "$%zu\r\n", length);

  kv_output_text(output, change, text, (size_t)size);
}

void kv_output_value(kv_output_t* output, uint64_t change, kv_bytes_t* value) {
  put_length(output, change, value->length);
  if (value->length <= COPIED_MAX) {
    kv_output_text(output, change, value->data, value->length);
  } else {
    kv_reply_t* reply = append(output, REPLY_VALUE, change, 0, value->length);
    reply->value = kv_bytes_hold(value);
    reply->length = value->length;
  }
  kv_output_text(output, change, "\r\n", 2);
}

/* An error ends the client, because the length may have gone out already. */
static void on_read(kv_load_t* load, void* arg) {
  kv_reply_t* reply = arg;

  reply->length = load->error == 0 ? load->piece.len : 0;
  reply->sent = 0;
  reply->output->ready_cb(reply->output->arg);
}

void kv_output_load(kv_output_t* output, uint64_t change, kv_file_t* file, uint64_t position,
                    size_t length) {
  kv_reply_t* reply;

  put_length(output, change, length);
  if (length > 0) {
    reply = append(output, REPLY_LOAD, change, 0, kv_load_piece(length));
    reply->load = kv_load_create(file, position, length, on_read, reply);
  }
  kv_output_text(output, change, "\r\n", 2);
}

/*
 * Going out
 */

/* A load that has more to be read is the last part. */
unsigned kv_output_ready(const kv_output_t* output, uint64_t durable, uv_buf_t* parts,
                         unsigned room) {
  unsigned count = 0;

  for (kv_reply_t* reply = output->first; reply != NULL && count < room; reply = reply->next) {
    if (reply->change > durable || reply->length == 0) {
      break;
    }
    parts[count].base = (char*)(uintptr_t)(bytes_of(reply) + reply->sent);
    parts[count].len = reply->length - reply->sent;
    count++;
    if (reply->load != NULL && reply->load->left > 0) {
      break;
    }
  }
  return count;
}

static void end_first(kv_output_t* output) {
  kv_reply_t* reply = output->first;

  if (reply->load == NULL || reply->load->left == 0) {
    free_first(output);
    return;
  }
  reply->length = 0;
  kv_load_next(reply->load);
}

void kv_output_sent(kv_output_t* output, size_t size) {
  while (size > 0) {
    kv_reply_t* reply = output->first;
    size_t left = reply->length - reply->sent;
    size_t part = size < left ? size : left;
    assert(part > 0);
    reply->sent += part;
    size -= part;
    if (reply->sent == reply->length) {
      end_first(output);
    }
  }
}

int kv_output_error_of(const kv_output_t* output) {
  return output->first != NULL && output->first->load != NULL ? output->first->load->error : 0;
}

int kv_output_waits(const kv_output_t* output, uint64_t durable) {
  return output->first != NULL && output->first->change > durable;
}
