/* SPDX-License-Identifier: MIT */
/*
 * Submission: a request becomes an entry of the submission queue, and a flush sends entries to the
 * kernel. Entries are whole by construction (ring.h).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "batch.h"
#include "completion.h"
#include "ring/ring.h"
#include "vector.h"

/* Since Linux 6.9 and 6.15; liburing 2.3 does not name them. */
#define OP_FTRUNCATE 55
/* RENAME_NOREPLACE of renameat2(2), which C libraries keep in different headers. */
#define RENAME_NOREPLACE_FLAG 1u
#define OP_READV_FIXED 60
#define OP_WRITEV_FIXED 61

/*
 * The first request
 */

/* On the loop's thread, and once. Polled completions wake nobody. */
static int enable(uvdio__queue_t* queue, const char** call) {
  uvdio__ring_t* state = queue->state;
  uint64_t began_ns = uvdio__clock_ns();
  int result;

  *call = "io_uring_register";
  result = uvdio__ring_register(state->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
  if (result == 0 && !state->is_polled) {
    result = io_uring_register_eventfd(&state->ring, state->wakeup.eventfd);
  }
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  /* Saves a look-up per system call; a kernel without it (before 5.18) goes on as before. */
  (void)io_uring_register_ring_fd(&state->ring);
  uvdio__engine_note_call(queue->engine, UVDIO_CALL_REGISTER, began_ns);
  state->enabled = 1;
  if (state->is_polled) {
    return 0;
  }
  *call = "uv_poll_start";
  result = uvdio__wakeup_start(&state->wakeup, uvdio__ring_on_event);
  uvdio__ring_bind(state);
  return result;
}

/*
 * Entries
 */

static int is_supported(const uvdio__ring_t* state, unsigned op) {
  return (int)(state->features.supported >> op & 1);
}

/* The operation's code, or -1 where there is none: the pool does it. Written space may take many
 * calls, and so may the link of an open file. Size and stat need a structure to be written to, and
 * there is no room for one without an allocation. A close may take long (an unlinked file's blocks
 * are freed by it), which a ring would do on the loop's thread; and a ring's worker (IOSQE_ASYNC)
 * posts the completion before it lets go of the file, so that the callback would come too early. */
static int opcode_of(const uvdio_req_t* req) {
  switch (req->op) {
    case UVDIO_OP_OPEN:
      switch (uvdio__open_state_of(req)->step) {
        case UVDIO__OPEN_PATH:
        case UVDIO__OPEN_PRESENT:
          return IORING_OP_OPENAT;
        case UVDIO__OPEN_STAT_FILE:
          return IORING_OP_STATX;
        case UVDIO__OPEN_FINISH:
        case UVDIO__OPEN_UNDO:
        case UVDIO__OPEN_DONE:
          return -1;
      }
      return -1;
    case UVDIO_OP_READ:
      return IORING_OP_READ;
    case UVDIO_OP_WRITE:
      return IORING_OP_WRITE;
    case UVDIO_OP_SYNC_DATA:
    case UVDIO_OP_SYNC_ALL:
      return (req->file->flags_ & UVDIO_O_DIRECTORY) != 0 ? -1 : IORING_OP_FSYNC;
    case UVDIO_OP_TRUNCATE:
      return OP_FTRUNCATE;
    case UVDIO_OP_PREALLOCATE:
      return (req->flags_ & REQ_ALONE) != 0 ? -1 : IORING_OP_FALLOCATE;
    case UVDIO_OP_PUNCH_HOLE:
    case UVDIO_OP_ZERO_RANGE:
      return IORING_OP_FALLOCATE;
    case UVDIO_OP_RENAME:
      return IORING_OP_RENAMEAT;
    case UVDIO_OP_LINK:
      return uvdio__names_of(req)->linked != NULL ? -1 : IORING_OP_LINKAT;
    case UVDIO_OP_UNLINK:
    case UVDIO_OP_RMDIR:
      return IORING_OP_UNLINKAT;
    case UVDIO_OP_MKDIR:
      return IORING_OP_MKDIRAT;
    case UVDIO_OP_SYNC_DIRECTORY:
    case UVDIO_OP_REPLACE:
    case UVDIO_OP_NEXT_DATA:
    case UVDIO_OP_NEXT_HOLE:
    case UVDIO_OP_SET_HINT:
    case UVDIO_OP_CLOSE:
    case UVDIO_OP_SIZE:
    case UVDIO_OP_STAT:
    case UVDIO_OP_NONE:
    case UVDIO_OP_ARENA_WAIT:
    case UVDIO_OP_COUNT:
      break;
  }
  return -1;
}

/* Whether the transfer would keep the submitting thread too long: pinning plain memory and, where
 * it is fresh, faulting it in (or copying from the page cache), and making the device's
 * requests. */
static inline int is_large(size_t length, int buffer) {
  return length > (buffer >= 0 ? UVDIO__INLINE_MAX_FIXED : UVDIO__INLINE_MAX);
}

/* The kernel takes plain memory only for an atomic write (generic_atomic_write_valid() in
 * fs/read_write.c). */
static void make_atomic(uvdio__queue_t* queue, struct io_uring_sqe* sqe, size_t length) {
  if (sqe->opcode == IORING_OP_WRITE_FIXED || sqe->opcode == OP_WRITEV_FIXED) {
    sqe->opcode = sqe->opcode == OP_WRITEV_FIXED ? IORING_OP_WRITEV : IORING_OP_WRITE;
    sqe->buf_index = 0;
    sqe->flags |= is_large(length, UVDIO__BUFFER_PLAIN) ? IOSQE_ASYNC : 0;
    queue->engine->stats.fixed--;
  }
  sqe->rw_flags |= RWF_ATOMIC;
}

static UVDIO__NOINLINE void count_special_write(uvdio__queue_t* queue, struct io_uring_sqe* sqe,
                                                const uvdio_req_t* req) {
  if ((req->flags_ & REQ_DURABLE) != 0) {
    sqe->rw_flags |= (req->file->flags_ & UVDIO_O_DSYNC) != 0 ? 0 : RWF_DSYNC;
    queue->batch_weight += UVDIO__WEIGHT_DURABLE_WRITE - 1;
  } else {
    queue->batch_weight += UVDIO__WEIGHT_WRITE - 1;
  }
  if ((req->flags_ & REQ_ATOMIC) != 0) {
    make_atomic(queue, sqe, req->length_);
  }
}

static inline void count_write(uvdio__queue_t* queue, struct io_uring_sqe* sqe,
                               const uvdio_req_t* req) {
  if (UVDIO__UNLIKELY((req->flags_ & (REQ_DURABLE | REQ_ATOMIC)) != 0)) {
    count_special_write(queue, sqe, req);
  } else {
    queue->batch_weight += UVDIO__WEIGHT_WRITE - 1;
  }
}

/* What liburing's function does, but for the look at what the kernel has taken, which
 * queue->unflushed knows. The place holds what was there before: the entry begins as zeros. */
static inline struct io_uring_sqe* get_sqe(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  struct io_uring_sqe* sqe = &state->entries[state->ring.sq.sqe_tail++ & state->entry_mask];

  assert(queue->unflushed < state->entry_count);
  queue->unflushed++;
  queue->batch_weight++;
  memset(sqe, 0, sizeof(*sqe));
  return sqe;
}

/* What tells the entry and its completion apart from all others. */
static inline uintptr_t user_data_of(const uvdio_req_t* req) {
  return (uintptr_t)req | (uvdio__is_transfer(req->op) ? TRANSFER_MARK : 0);
}

/* What all transfers have: the numbers of file (`slot`, plus one) and buffer where the kernel knows
 * them. */
static inline void finish_transfer(uvdio__queue_t* queue, struct io_uring_sqe* sqe,
                                   const uvdio_req_t* req, size_t length, unsigned slot,
                                   int buffer) {
  const uvdio_file_t* file = req->file;

  if (slot > 0) {
    sqe->fd = (int)slot - 1;
    sqe->flags = IOSQE_FIXED_FILE;
  } else if (file->cache_ == UVDIO_CACHE_DROPPED) {
    sqe->rw_flags = UVDIO__RWF_DONTCACHE;
  }
  if (buffer >= 0) {
    sqe->buf_index = (uint16_t)buffer;
    queue->engine->stats.fixed++;
  }
  if (is_large(length, buffer)) {
    sqe->flags |= IOSQE_ASYNC;
  }
  sqe->user_data = (uintptr_t)req | TRANSFER_MARK;
  if (req->op == UVDIO_OP_WRITE) {
    count_write(queue, sqe, req);
  }
}

/* The kernel has copied the list of pieces when it has taken the entry (IORING_FEAT_SUBMIT_STABLE,
 * Linux 5.5). */
static UVDIO__NOINLINE void prepare_vector(uvdio__queue_t* queue, const uvdio_req_t* req,
                                           unsigned slot) {
  int is_write = req->op == UVDIO_OP_WRITE;
  int is_known = is_supported(queue->state, is_write ? OP_WRITEV_FIXED : OP_READV_FIXED);
  int buffer = is_known ? uvdio__ring_vector_buffer(queue, req) : UVDIO__BUFFER_PLAIN;
  int opcode = buffer >= 0 ? (is_write ? OP_WRITEV_FIXED : OP_READV_FIXED)
                           : (is_write ? IORING_OP_WRITEV : IORING_OP_READV);
  struct io_uring_sqe* sqe = get_sqe(queue);
  size_t length;
  unsigned count = uvdio__vector_layout(req, &length);

  uvdio__ring_fill(sqe, opcode, (int)req->file->handle_.descriptor, uvdio__vector_of(req)->pieces,
                   count, req->offset_ + req->transferred);
  finish_transfer(queue, sqe, req, length, slot, buffer);
  if (buffer < 0 && count > UVDIO__INLINE_PIECES) {
    sqe->flags |= IOSQE_ASYNC;
  }
}

/* A transfer of one buffer. */
static inline void prepare_transfer(uvdio__queue_t* queue, struct io_uring_sqe* sqe,
                                    const uvdio_req_t* req, unsigned slot, int buffer) {
  const uvdio_file_t* file = req->file;
  int is_write = req->op == UVDIO_OP_WRITE;
  int opcode = buffer >= 0 ? (is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED)
                           : (is_write ? IORING_OP_WRITE : IORING_OP_READ);
  size_t length = req->length_ <= UVDIO__TRANSFER_MAX ? req->length_ - req->transferred
                                                      : uvdio__request_rest(req);

  uvdio__ring_fill(sqe, opcode, (int)file->handle_.descriptor, req->buf_.base + req->transferred,
                   (unsigned)length, req->offset_ + req->transferred);
  finish_transfer(queue, sqe, req, length, slot, buffer);
}

/* A filesystem's part of it may wait for a disk or a server, and for its directory's lock. */
static void prepare_names(struct io_uring_sqe* sqe, const uvdio_req_t* req, int opcode) {
  const uvdio__names_t* names = uvdio__names_of(req);

  uvdio__ring_fill(sqe, opcode, (int)names->at, names->path, 0, 0);
  if (names->new_path != NULL) {
    sqe->len = (unsigned)names->new_at;
    sqe->addr2 = (uintptr_t)names->new_path;
  }
  if (req->op == UVDIO_OP_MKDIR) {
    sqe->len = (unsigned)names->mode;
  } else if (req->op == UVDIO_OP_RMDIR) {
    sqe->unlink_flags = AT_REMOVEDIR;
  } else if ((names->flags & UVDIO_RENAME_NO_REPLACE) != 0) {
    sqe->rename_flags = RENAME_NOREPLACE_FLAG;
  }
  sqe->flags = IOSQE_ASYNC;
}

static void prepare_sqe(struct io_uring_sqe* sqe, uvdio_req_t* req) {
  int descriptor = (int)req->file->handle_.descriptor;

  switch (req->op) {
    case UVDIO_OP_OPEN:
      uvdio__ring_prepare_open(sqe, req);
      break;
    case UVDIO_OP_SYNC_DATA:
      uvdio__ring_fill(sqe, IORING_OP_FSYNC, descriptor, NULL, 0, 0);
      sqe->fsync_flags = IORING_FSYNC_DATASYNC;
      break;
    case UVDIO_OP_SYNC_ALL:
      uvdio__ring_fill(sqe, IORING_OP_FSYNC, descriptor, NULL, 0, 0);
      break;
    case UVDIO_OP_TRUNCATE:
      uvdio__ring_fill(sqe, OP_FTRUNCATE, descriptor, NULL, 0, req->offset_);
      break;
    case UVDIO_OP_PREALLOCATE:
    case UVDIO_OP_PUNCH_HOLE:
    case UVDIO_OP_ZERO_RANGE:
      uvdio__ring_fill(sqe, IORING_OP_FALLOCATE, descriptor, NULL,
                       (unsigned)uvdio__linux_space_mode(req->op, uvdio__detail_of(req)),
                       req->offset_);
      sqe->addr = uvdio__span_of(req);
      break;
    case UVDIO_OP_RENAME:
    case UVDIO_OP_LINK:
    case UVDIO_OP_UNLINK:
    case UVDIO_OP_RMDIR:
    case UVDIO_OP_MKDIR:
      prepare_names(sqe, req, opcode_of(req));
      break;
    case UVDIO_OP_READ:
    case UVDIO_OP_WRITE:
      assert(0 && "transfers are prepared apart");
      break;
    default:
      assert(0 && "an operation to which opcode_of() gives no opcode");
  }
}

/* Room for one more entry. Returns 0, UV_EAGAIN when the kernel takes nothing for now, or
 * UV_ENOSYS. */
static int make_room(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (queue->unflushed == state->entry_count) {
    uvdio__ring_flush(queue);
  }
  if (state->broken) {
    return UV_ENOSYS;
  }
  return queue->unflushed < state->entry_count ? 0 : UV_EAGAIN;
}

static int can_do(const uvdio__ring_t* state, const uvdio_req_t* req) {
  int opcode = opcode_of(req);
  return opcode >= 0 && is_supported(state, (unsigned)opcode);
}

/* The ring is as it has to be to take the request. */
static int make_ready(uvdio__queue_t* queue, const uvdio_req_t* req) {
  uvdio__ring_t* state = queue->state;

  assert(!state->broken); /* Its queue gives everything to the pool. */
  if (!can_do(state, req)) {
    return UV_ENOSYS;
  }
  if (!state->enabled) {
    const char* call;
    int error = enable(queue, &call);
    if (error != 0) {
      uvdio__ring_disable(queue, error, call);
      return UV_ENOSYS;
    }
  }
  return make_room(queue);
}

/* Gives the file a slot where it has none and can have one. A file with flags of its own has none:
 * so those that have need not be asked at each transfer. */
static void settle_file(uvdio__queue_t* queue, uvdio_file_t* file) {
  const uvdio__ring_t* state = queue->state;

  if (file->fixed_index_ == 0 && !state->files.off && !state->files.full &&
      file->cache_ != UVDIO_CACHE_DROPPED) {
    uvdio__ring_add_file(queue, file);
  }
}

int uvdio__ring_submit(uvdio__queue_t* queue, uvdio_req_t* req) {
  const uvdio__ring_t* state = queue->state;
  struct io_uring_sqe* sqe;
  int error = make_ready(queue, req);
  unsigned slot;
  int buffer;

  if (error != 0) {
    return error;
  }
  if (!uvdio__is_transfer(req->op)) {
    sqe = get_sqe(queue);
    prepare_sqe(sqe, req);
    sqe->user_data = user_data_of(req);
    return 0;
  }
  settle_file(queue, req->file);
  slot = state->is_polled ? 0 : req->file->fixed_index_;
  if (UVDIO__UNLIKELY(uvdio__is_vector(req))) {
    prepare_vector(queue, req, slot);
    return 0;
  }
  buffer = uvdio__ring_buffer(queue, &req->buf_, req->length_);
  prepare_transfer(queue, get_sqe(queue), req, slot, buffer);
  return 0;
}

/* The entry of the request that was submitted last. */
void uvdio__ring_prioritise(uvdio__queue_t* queue, const uvdio_req_t* req) {
  uvdio__ring_t* state = queue->state;
  struct io_uring_sqe* sqe = &state->entries[(state->ring.sq.sqe_tail - 1) & state->entry_mask];

  assert(queue->unflushed > 0 && sqe->user_data == user_data_of(req));
  sqe->ioprio = req->ioprio_;
}

/* Whether the kernel takes nothing for the moment. An interrupted call is repeated, but not for
 * ever. */
static int is_put_off(int taken, unsigned* interruptions) {
  return taken == 0 || taken == -EAGAIN || taken == -EBUSY ||
         (taken == -EINTR && (*interruptions)++ == UVDIO__RETRIES_MAX);
}

/* The kernel may take fewer than there are (a bad entry stops a batch on kernels without
 * SUBMIT_ALL), or none for the moment: then the rest goes when something has finished, or a little
 * later. */
void uvdio__ring_flush(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  unsigned interruptions = 0;

  queue->engine->stats.batches++;
  while (queue->unflushed > 0) {
    uint64_t began_ns = uvdio__clock_ns();
    int taken = io_uring_submit(&state->ring);
    uvdio__engine_note_call(queue->engine, UVDIO_CALL_SUBMIT, began_ns);
    queue->engine->stats.system_calls++;
    if (taken > 0) {
      assert((unsigned)taken <= queue->unflushed);
      queue->unflushed -= (unsigned)taken;
    } else if (is_put_off(taken, &interruptions)) {
      uvdio__queue_stall(queue);
      uvdio__wakeup_retry_later(&state->wakeup);
      break;
    } else if (taken != -EINTR) {
      uvdio__ring_disable(queue, uv_translate_sys_error(-taken), "io_uring_enter");
    }
  }
}

/* Disk I/O on its way can't be stopped; what waits for a kernel worker can. One cancellation per
 * entry of the queue is enough, and keeps the completion queue from overflowing. */
void uvdio__ring_cancel(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__ring_t* state = queue->state;
  struct io_uring_sqe* sqe;

  if (state->broken || state->cancels >= queue->depth || make_room(queue) != 0) {
    return;
  }
  sqe = get_sqe(queue);
  uvdio__ring_fill(sqe, IORING_OP_ASYNC_CANCEL, -1, NULL, 0, 0);
  sqe->addr = user_data_of(req);
  sqe->user_data = (uintptr_t)req | CANCEL_MARK;
  state->cancels++;
  uvdio__loop_wake(queue->engine);
}
