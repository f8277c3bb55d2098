/* SPDX-License-Identifier: MIT */
/*
 * Memory: files in a store of the engine's own. Requests wait on the queue until the next flush, at
 * the loop's next iteration, performs them in order: they are asynchronous, as everywhere else.
 */
#include <stdio.h>

#include "backend/memory.h"
#include "backend/memory_files.h"
#include "completion.h"
#include "engine.h"
#include "vector.h"

static int probe_memory(char* reason, size_t size) {
  (void)snprintf(reason, size, "files in RAM, which are always there");
  return 0;
}

static int init_memory(uvdio__queue_t* queue, char* reason, size_t size) {
  queue->state = uvdio__store_create();
  if (queue->state == NULL) {
    return UV_ENOMEM;
  }
  return probe_memory(reason, size);
}

static int submit_to_memory(uvdio__queue_t* queue, uvdio_req_t* req) {
  (void)req;
  queue->unflushed++;
  return 0;
}

int uvdio__memory_is_locked(const uvdio_engine_t* engine, const void* node, unsigned flags) {
  const uvdio_file_t* file = engine->files;

  while (file != NULL &&
         (file->handle_.node != node || !uvdio__locks_conflict(file->flags_, flags))) {
    file = file->next_;
  }
  return file != NULL;
}

/* What an open says to a file that is there and may not be had, before it changes anything. */
static int check_present(const uvdio__queue_t* queue, const uvdio__open_state_t* opening) {
  const uvdio__node_t* node = uvdio__store_find(queue->state, opening->path);

  if (node == NULL || (opening->flags & UVDIO__NAMELESS) != 0 ||
      uvdio__store_admits(opening->path, opening->flags, 1) != 0) {
    return 0;
  }
  return uvdio__memory_is_locked(queue->engine, node, opening->flags) ? UVDIO_ELOCKED : 0;
}

static int64_t open_node(const uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);
  uvdio__node_t* node;
  int error = check_present(queue, opening);

  if (error == 0) {
    error = uvdio__store_open(queue->state, opening->path, opening->flags, &node);
  }
  if (error != 0) {
    return error;
  }
  req->file->handle_.node = node; /* From here on its lock counts. */
  opening->descriptor = (intptr_t)node;
  opening->direct = (opening->flags & (UVDIO_O_BUFFERED | UVDIO_O_DIRECTORY)) == 0;
  opening->filesystem = "memory";
  opening->facts.size = uvdio__node_size(node);
  return 0;
}

static int64_t move(uvdio__node_t* node, uvdio_op_t op, char* base, size_t length,
                    uint64_t offset) {
  return op == UVDIO_OP_READ ? uvdio__node_read(node, base, length, offset)
                             : uvdio__node_write(node, base, length, offset);
}

/* Piece by piece, until one is short. What had been moved by then counts before an error. */
static int64_t move_vector(uvdio__node_t* node, const uvdio_req_t* req, uint64_t offset) {
  const uvdio__piece_t* pieces = uvdio__vector_of(req)->pieces;
  int64_t moved = 0;
  size_t length;
  unsigned count = uvdio__vector_layout(req, &length);
  unsigned i;

  for (i = 0; i < count; i++) {
    int64_t part = move(node, req->op, pieces[i].base, pieces[i].length, offset + (uint64_t)moved);
    if (part < 0) {
      return moved > 0 ? moved : part;
    }
    moved += part;
    if ((size_t)part < pieces[i].length) {
      break;
    }
  }
  return moved;
}

static int64_t transfer(uvdio__node_t* node, uvdio_req_t* req) {
  uint64_t offset = req->offset_ + req->transferred;
  int64_t result;

  uvdio__ownership_allow(req);
  if (uvdio__is_vector(req)) {
    result = move_vector(node, req, offset);
  } else {
    result =
        move(node, req->op, req->buf_.base + req->transferred, uvdio__request_rest(req), offset);
  }
  uvdio__ownership_forbid(req);
  return result;
}

/* There is no space to reserve: a file grows. */
static void preallocate(uvdio__node_t* node, const uvdio_req_t* req) {
  uint64_t end = req->offset_ + uvdio__span_of(req);

  if ((uvdio__detail_of(req) & UVDIO_SPACE_KEEP_SIZE) == 0 && end > uvdio__node_size(node)) {
    uvdio__node_truncate(node, end);
  }
}

static int replace(uvdio__store_t* store, const uvdio__node_t* node, uvdio__names_t* names) {
  int error = uvdio__store_replace(store, node, names);

  names->step = UVDIO__REPLACE_RENAME;
  if (error == 0) {
    names->step = UVDIO__REPLACE_SYNC_DIRECTORY;
  }
  return error;
}

static int change_names(uvdio__store_t* store, uvdio_op_t op, const uvdio__names_t* names) {
  return names->linked != NULL ? uvdio__store_link(store, names->linked->handle_.node, names)
                               : uvdio__store_do(store, op, names);
}

static int64_t perform_in_memory(const uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__node_t* node = req->file->handle_.node;

  switch (req->op) {
    case UVDIO_OP_OPEN:
      return open_node(queue, req);
    case UVDIO_OP_READ:
    case UVDIO_OP_WRITE:
      return transfer(node, req);
    case UVDIO_OP_STAT:
      uvdio__memory_stat(req, node);
      return 0;
    case UVDIO_OP_TRUNCATE:
      uvdio__node_truncate(node, req->offset_);
      return 0;
    case UVDIO_OP_PREALLOCATE:
      preallocate(node, req);
      return 0;
    case UVDIO_OP_PUNCH_HOLE:
    case UVDIO_OP_ZERO_RANGE:
      uvdio__node_punch(node, req->offset_, uvdio__span_of(req));
      return 0;
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
      return 0;
    case UVDIO_OP_CLOSE:
      req->file->handle_.node = NULL; /* Its lock counts no more. */
      uvdio__store_close(queue->state, node);
      return 0;
    case UVDIO_OP_RENAME:
    case UVDIO_OP_LINK:
    case UVDIO_OP_UNLINK:
    case UVDIO_OP_MKDIR:
    case UVDIO_OP_RMDIR:
    case UVDIO_OP_SYNC_DIRECTORY:
      return change_names(queue->state, req->op, uvdio__names_of(req));
    case UVDIO_OP_REPLACE:
      return replace(queue->state, node, uvdio__names_of(req));
    default:
      return uvdio__node_tell(node, req->op, req->offset_);
  }
}

/* What finishing these starts anew is for the next flush. */
static void flush_memory(uvdio__queue_t* queue) {
  unsigned count = queue->unflushed;

  queue->unflushed = 0;
  while (count-- > 0) {
    uvdio_req_t* req = uvdio__list_first(&queue->running);
    uvdio__queue_done(queue, req, req->cancelled_ ? UV_ECANCELED : perform_in_memory(queue, req));
  }
}

static void cancel_in_memory(uvdio__queue_t* queue, uvdio_req_t* req) {
  (void)queue;
  (void)req; /* The flush looks at req->cancelled_. */
}

static int dup_in_memory(const uvdio__queue_t* queue, uvdio_file_t* file,
                         const uvdio_file_t* source) {
  if (source->engine_ != queue->engine) {
    return UV_EXDEV;
  }
  file->handle_.node = source->handle_.node;
  uvdio__store_reopen(file->handle_.node);
  return 0;
}

static void close_memory(uvdio__queue_t* queue) {
  uvdio__store_destroy(queue->state);
  queue->state = NULL;
}

const uvdio__backend_t uvdio__backend_memory = {
    .name = "memory",
    .batch = 0,
    .probe = probe_memory,
    .init = init_memory,
    .submit = submit_to_memory,
    .flush = flush_memory,
    .reap = NULL,
    .cancel = cancel_in_memory,
    .perform = perform_in_memory,
    .dup = dup_in_memory,
    .close = close_memory,
};
