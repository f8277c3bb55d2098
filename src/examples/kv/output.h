/* SPDX-License-Identifier: MIT */
/*
 * The replies to one client, in the order of its requests. Each goes out when the batch that it
 * tells of is durable and its value has been read; all that can go out goes in one write.
 */
#ifndef KV_OUTPUT_H
#define KV_OUTPUT_H

#include <stdint.h>
#include <uv.h>

#include "bytes.h"
#include "data.h"

typedef struct kv_reply_s kv_reply_t;

typedef struct kv_output_s {
  kv_reply_t* first;
  kv_reply_t* last;
  size_t bytes; /* in memory, or on their way there */
  /* The first reply may have become ready. */
  void (*ready_cb)(void* arg);
  void* arg;
} kv_output_t;

void kv_output_free(kv_output_t* output);

/* Short texts in the form of the protocol. */
void kv_output_text(kv_output_t* output, uint64_t change, const char* text, size_t length);
void kv_output_number(kv_output_t* output, uint64_t change, uint64_t number);
void kv_output_error(kv_output_t* output, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

/* A value; its bytes are held. */
void kv_output_value(kv_output_t* output, uint64_t change, kv_bytes_t* value);

/* A value that is read from the data file first. */
void kv_output_load(kv_output_t* output, uint64_t change, kv_file_t* file, uint64_t position,
                    size_t length);

/* The parts that can go out now, `room` at most. */
unsigned kv_output_ready(const kv_output_t* output, uint64_t durable, uv_buf_t* parts,
                         unsigned room);

/* So many bytes of them have gone out. */
void kv_output_sent(kv_output_t* output, size_t size);

/* 0, or why the value that is to go out could not be read. */
int kv_output_error_of(const kv_output_t* output);

/* Whether the first reply waits for a batch, and for nothing else. */
int kv_output_waits(const kv_output_t* output, uint64_t durable);

#endif /* KV_OUTPUT_H */
