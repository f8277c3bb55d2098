/* SPDX-License-Identifier: MIT */
/*
 * Heads and names of data files, and a scan: a reader's blocks, cut into entries that may lie in
 * several of them.
 */
#include "data.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

static void put32(char* bytes, uint32_t number) {
  for (unsigned i = 0; i < 4; i++) {
    bytes[i] = (char)(number >> 8 * i & 0xff);
  }
}

static uint32_t get32(const char* bytes) {
  uint32_t number = 0;

  for (unsigned i = 0; i < 4; i++) {
    number |= (uint32_t)(unsigned char)bytes[i] << 8 * i;
  }
  return number;
}

void kv_put64(char* bytes, uint64_t number) {
  put32(bytes, (uint32_t)number);
  put32(bytes + 4, (uint32_t)(number >> 32));
}

uint64_t kv_get64(const char* bytes) {
  return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

void kv_head_put(char* bytes, const kv_head_t* head) {
  bytes[0] = (char)head->kind;
  put32(bytes + 1, head->key_length);
  put32(bytes + 5, head->value_length);
}

int kv_head_get(const char* bytes, kv_head_t* head) {
  head->kind = (unsigned char)bytes[0];
  head->key_length = get32(bytes + 1);
  head->value_length = get32(bytes + 5);
  switch (head->kind) {
    case KV_SET:
      return head->key_length <= KV_KEY_MAX;
    case KV_DELETE:
      return head->key_length <= KV_KEY_MAX && head->value_length == 0;
    case KV_CHECKPOINT:
      return head->key_length == 0 && head->value_length == KV_CHECKPOINT_SIZE;
    default:
      return 0;
  }
}

void kv_data_path(char* path, const char* directory, uint64_t generation) {
  (void)snprintf(path, KV_PATH_MAX, "%s/data.%" PRIu64, directory, generation);
}

kv_file_t* kv_file_create(uint64_t generation) {
  kv_file_t* file = kv_alloc(sizeof(*file));

  memset(file, 0, sizeof(*file));
  file->holders = 1;
  file->generation = generation;
  return file;
}

kv_file_t* kv_file_hold(kv_file_t* file) {
  assert(file->holders > 0);
  file->holders++;
  return file;
}

static void on_closed(uvdio_req_t* req, int64_t result) {
  kv_file_t* file = req->data;
  void (*closed_cb)(void* arg) = file->closed_cb;
  void* arg = file->closed_arg;

  (void)result;
  free(file);
  if (closed_cb != NULL) {
    closed_cb(arg);
  }
}

void kv_file_drop(kv_file_t* file) {
  int error;

  assert(file->holders > 0);
  if (--file->holders == 0) {
    file->req.data = file;
    error = uvdio_close(&file->file, &file->req, on_closed);
    assert(error == 0);
    (void)error;
  }
}

/*
 * The scan
 */

void kv_scan_stop(kv_scan_t* scan) {
  uvdio_reader_t* reader = scan->reader;

  (void)uvdio_buf_release(&scan->block.buf);
  scan->reader = NULL;
  if (reader != NULL && uvdio_reader_destroy(reader) != 0) {
    int error = uvdio_reader_close(reader, NULL, NULL);
    assert(error == 0);
    (void)error;
  }
}

static void end_scan(kv_scan_t* scan, int status) {
  kv_scan_stop(scan);
  scan->end_cb(scan, status, scan->arg);
}

/* Copies up to `wanted` bytes to where head or key go on. */
static size_t collect(kv_scan_t* scan, char* to, size_t wanted) {
  size_t left = scan->block.view.len - scan->used;
  size_t size = left < wanted ? left : wanted;

  memcpy(to, scan->block.view.base + scan->used, size);
  scan->used += size;
  scan->filled += size;
  return size;
}

/* Head and key. Returns 0 where the block ends before, or what is there is no entry. */
static int read_head(kv_scan_t* scan, int* error) {
  while (scan->filled == 0 && scan->used < scan->block.view.len &&
         scan->block.view.base[scan->used] == KV_PADDING) {
    scan->used++;
  }
  if (scan->filled < KV_HEAD_SIZE) {
    (void)collect(scan, scan->head + scan->filled, KV_HEAD_SIZE - scan->filled);
    if (scan->filled < KV_HEAD_SIZE) {
      return 0;
    }
    if (!kv_head_get(scan->head, &scan->entry) || scan->entry.kind == KV_CHECKPOINT) {
      *error = UVDIO_EDAMAGED;
      return 0;
    }
  }
  size_t key_filled = scan->filled - KV_HEAD_SIZE;
  (void)collect(scan, scan->key + key_filled, scan->entry.key_length - key_filled);
  if (scan->filled < KV_HEAD_SIZE + scan->entry.key_length) {
    return 0;
  }
  scan->value_left = scan->entry.value_length;
  scan->is_told = scan->entry_cb(scan, scan->begin + scan->used, scan->arg);
  return scan->is_told;
}

/* Returns 0 where no more is taken now, or the block ends. */
static int read_value(kv_scan_t* scan) {
  uint64_t left = scan->block.view.len - scan->used;
  size_t size = (size_t)(left < scan->value_left ? left : scan->value_left);
  size_t taken = size;

  if (scan->bytes_cb != NULL && size > 0) {
    taken = scan->bytes_cb(scan, scan->block.view.base + scan->used, size, scan->arg);
    assert(taken <= size);
  }
  scan->used += taken;
  scan->value_left -= taken;
  return scan->value_left == 0;
}

/* Whether head and key are there, and entry_cb has not taken the entry. */
static int is_held(const kv_scan_t* scan) {
  return !scan->is_told && scan->filled >= KV_HEAD_SIZE &&
         scan->filled == KV_HEAD_SIZE + scan->entry.key_length;
}

/* Returns 1 when the block is read to its end; 0 where a callback holds it up, or at an error. */
static int read_block(kv_scan_t* scan, int* error) {
  while (scan->used < scan->block.view.len || is_held(scan)) {
    if (!scan->is_told && !read_head(scan, error)) {
      return *error == 0 && !is_held(scan);
    }
    if (!read_value(scan)) {
      return scan->used == scan->block.view.len;
    }
    scan->filled = 0;
    scan->is_told = 0;
  }
  return 1;
}

static void on_ready(int status, void* arg) {
  kv_scan_t* scan = arg;

  (void)status; /* an error is what the take returns */
  if (scan->reader != NULL) {
    kv_scan_go_on(scan);
  }
}

/* Takes the next block. Returns 0, UV_EAGAIN after which on_ready() goes on, or an error. */
static int take_block(kv_scan_t* scan) {
  int error;

  (void)uvdio_buf_release(&scan->block.buf);
  error = uvdio_reader_take(scan->reader, &scan->block);
  if (error == 0) {
    scan->used = 0;
    scan->begin = scan->block.offset;
    return 0;
  }
  if (error == UV_EAGAIN) {
    error = uvdio_reader_wait(scan->reader, on_ready, scan);
    return error == 0 ? UV_EAGAIN : error;
  }
  return error;
}

/* The file was cut, or the last entry is not whole. */
static int is_whole(const kv_scan_t* scan) {
  return scan->filled == 0 && scan->begin + scan->used == scan->end;
}

static void run(kv_scan_t* scan) {
  int error = 0;

  for (;;) {
    if (!read_block(scan, &error)) {
      if (error != 0) {
        end_scan(scan, error);
      }
      return;
    }
    error = take_block(scan);
    if (error == UV_EAGAIN) {
      return;
    }
    if (error != 0) {
      end_scan(scan, error != UV_EOF ? error : is_whole(scan) ? 0 : UVDIO_EDAMAGED);
      return;
    }
  }
}

/* A callback may ask to go on, too. */
void kv_scan_go_on(kv_scan_t* scan) {
  if (!scan->is_running) {
    scan->is_running = 1;
    run(scan);
    scan->is_running = 0;
  }
}

void kv_scan_begin(kv_scan_t* scan, uvdio_file_t* file, uvdio_arena_t* arena, uint64_t end) {
  uvdio_reader_options_t options = {0};
  int error;

  assert(scan->reader == NULL && end > 0);
  options.end = end;
  options.window_max = KV_WINDOW;
  memset(&scan->block, 0, sizeof(scan->block));
  scan->used = 0;
  scan->begin = 0;
  scan->end = end;
  scan->filled = 0;
  scan->is_told = 0;
  scan->value_left = 0;
  error = uvdio_reader_create(&scan->reader, file, arena, &options);
  if (error != 0) {
    scan->reader = NULL;
    end_scan(scan, error);
    return;
  }
  kv_scan_go_on(scan);
}
