/* SPDX-License-Identifier: MIT */
/*
 * Pieces of a value. A client that goes away leaves its load to itself, until the read has ended.
 */
#include "load.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

static void free_load(kv_load_t* load) {
  (void)uvdio_buf_release(&load->buf);
  kv_file_drop(load->file);
  free(load);
}

static void on_read(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  kv_load_t* load = req->data;

  load->is_reading = 0;
  load->buf = buf;
  load->piece = uvdio_range_view(req, &buf);
  if (load->read_cb == NULL) {
    free_load(load);
    return;
  }
  if (result < 0) {
    load->error = (int)result;
  } else if (load->piece.len < kv_load_piece(load->left)) {
    load->error = UVDIO_EDAMAGED; /* the file was cut */
  } else {
    load->position += load->piece.len;
    load->left -= load->piece.len;
  }
  load->read_cb(load, load->arg);
}

void kv_load_next(kv_load_t* load) {
  size_t length = kv_load_piece(load->left);
  size_t size = uvdio_range_size(&load->file->file, load->position, length);

  assert(length > 0 && !load->is_reading);
  if (load->buf.cap < size) {
    (void)uvdio_buf_release(&load->buf);
    load->error = uvdio_buf_alloc(&load->buf, size, 0);
  }
  if (load->error == 0) {
    load->error = uvdio_read_range(&load->file->file, &load->req, &load->buf, load->position,
                                   length, on_read);
  }
  load->is_reading = load->error == 0;
}

kv_load_t* kv_load_create(kv_file_t* file, uint64_t position, size_t length,
                          void (*read_cb)(kv_load_t* load, void* arg), void* arg) {
  kv_load_t* load = kv_alloc(sizeof(*load));

  memset(load, 0, sizeof(*load));
  load->file = kv_file_hold(file);
  load->position = position;
  load->left = length;
  load->req.data = load;
  load->read_cb = read_cb;
  load->arg = arg;
  kv_load_next(load);
  return load;
}

void kv_load_drop(kv_load_t* load) {
  load->read_cb = NULL;
  if (!load->is_reading) {
    free_load(load);
  }
}
