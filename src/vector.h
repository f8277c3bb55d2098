/* SPDX-License-Identifier: MIT */
/*
 * Vectors: the memory of a transfer that has several buffers. The buffers' handles, and the pieces
 * that the next system call is given, are in one block. Blocks for few buffers come from a stock of
 * the engine's, so that nothing is allocated per operation; larger ones are allocated each.
 *
 *   vector | pieces[room] | own bufs[room]
 *
 * A transfer has a vector where REQ_VECTOR is set: req->args_, from the checks to the end of the
 * callback. Its buf_ is empty then. Sizes are in bytes; loop thread, but for layout and the copies,
 * which run where the transfer is performed.
 */
#ifndef UVDIO_VECTOR_H
#define UVDIO_VECTOR_H

#include "os/os.h"
#include "request.h"

/* Buffers of a block from the stock. */
#define UVDIO__VECTOR_STOCK 16u

/* Pieces of one system call, at most: IOV_MAX of Linux and macOS. */
#define UVDIO__PIECES_MAX 1024u

typedef struct uvdio__vector_s {
  struct uvdio__vector_s* next; /* in the stock */
  unsigned room;
  unsigned count;
  unsigned first;    /* buffer that the last layout began with, */
  size_t before;     /* and the bytes of those before it */
  uvdio_buf_t* bufs; /* own ones; of a synchronous transfer the caller's */
  uvdio__piece_t pieces[];
} uvdio__vector_t;

static inline int uvdio__is_vector(const uvdio_req_t* req) {
  return (req->flags_ & REQ_VECTOR) != 0;
}

static inline uvdio__vector_t* uvdio__vector_of(const uvdio_req_t* req) {
  return (uvdio__vector_t*)req->args_;
}

/* The buffers of a transfer, one or several. */
static inline const uvdio_buf_t* uvdio__bufs_of(const uvdio_req_t* req, unsigned* count) {
  *count = uvdio__is_vector(req) ? uvdio__vector_of(req)->count : 1;
  return uvdio__is_vector(req) ? uvdio__vector_of(req)->bufs : &req->buf_;
}

/* The bytes of a buffer that a transfer moves. */
static inline size_t uvdio__size_of_buf(uvdio_op_t op, const uvdio_buf_t* buf) {
  return op == UVDIO_OP_READ ? buf->cap : buf->len;
}

/* A vector for `count` buffers, or null when out of memory. It holds the caller's until
 * uvdio__vector_adopt(). */
uvdio__vector_t* uvdio__vector_take(uvdio_engine_t* engine, uvdio_buf_t* bufs, unsigned count);
void uvdio__vector_give_back(uvdio_engine_t* engine, uvdio__vector_t* vector);
void uvdio__vector_free_stock(uvdio_engine_t* engine);

/* Moves the handles from the caller's array, or makes views on its buffers. */
void uvdio__vector_adopt(uvdio__vector_t* vector);
void uvdio__vector_view(uvdio__vector_t* vector);

/* Sets vector->pieces to the bytes that the transfer has yet to move, as many as one system call
 * takes. Returns their number; `length` receives their bytes. */
unsigned uvdio__vector_layout(const uvdio_req_t* req, size_t* length);

/* After a read: each buffer's len becomes its part of the bytes that arrived. */
void uvdio__vector_set_lengths(const uvdio_req_t* req);

/* Copies between the vector's bytes, from where the transfer goes on, and plain memory. */
void uvdio__vector_gather(const uvdio_req_t* req, char* to, size_t length);
void uvdio__vector_scatter(const uvdio_req_t* req, const char* from, size_t length);

#endif /* UVDIO_VECTOR_H */
