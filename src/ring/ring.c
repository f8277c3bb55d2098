/*
 * The ring: io_uring, with an eventfd that a uv_poll_t on the user's loop watches.
 *
 *   init      the ring is created disabled, with the flags that the probe found (ring/probe.c), on whatever thread
 *   enable    at the first request, on the loop's thread, which the ring is bound to from then on
 *   submit    fills an entry of the submission queue; flush sends them on
 *   on_event  the eventfd woke the loop
 *   reap      takes completions
 *
 * How the queue is drained so that nothing is lost: with deferred task work the eventfd fires while the completion queue is
 * still empty, and one io_uring_get_events() posts at most 20 completions (about Linux 6.13). So a wake-up gets
 * events once, and notes that there may be completions for which no further signal comes. Between callbacks the engine
 * has them taken: the visible ones at once, the others by more calls, until the kernel's flags are clear and the queue is
 * empty after signals are back on. What comes after that has a signal of its own.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "allocator.h"
#include "completion.h"
#include "ring/ring.h"

/* Since Linux 6.9; liburing 2.3 does not name it. */
#define OP_FTRUNCATE 55

/* The low bits of an entry's user data: a read or write; a cancellation, whose completion nobody waits for. */
#define TRANSFER_MARK ((uintptr_t)1)
#define CANCEL_MARK ((uintptr_t)2)
#define MARKS (CANCEL_MARK | TRANSFER_MARK)

/* Between attempts to get completions from a kernel that refuses. */
#define RETRY_MS 10

/*
 * Set-up
 */

static int create_ring(uvdio__ring_t* state, unsigned depth) {
  struct io_uring_params params;
  int result;

  memset(&params, 0, sizeof(params));
  params.flags = state->features.flags | IORING_SETUP_R_DISABLED;
  result = io_uring_queue_init_params(depth, &state->ring, &params);
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  state->entries = state->ring.sq.sqes;
  state->entry_count = params.sq_entries;
  state->entry_mask = params.sq_entries - 1;
  state->completion_mask = params.cq_entries - 1;
  return 0;
}

static int create_eventfd(uvdio__ring_t* state, uv_loop_t* loop, const char** call) {
  int error;

  *call = "eventfd";
  state->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (state->eventfd == -1) {
    return uv_translate_sys_error(errno);
  }
  *call = "uv_poll_init";
  error = uv_poll_init(loop, &state->poll, state->eventfd);
  if (error != 0) {
    (void)close(state->eventfd);
  }
  return error;
}

static int set_up(uvdio__queue_t* queue, uvdio__ring_t* state, const char** call) {
  int error = create_ring(state, queue->depth);

  *call = "io_uring_setup";
  if (error != 0) {
    return error;
  }
  error = create_eventfd(state, queue->engine->loop, call);
  if (error != 0) {
    io_uring_queue_exit(&state->ring);
  }
  return error;
}

static int init_ring(uvdio__queue_t* queue, char* reason, size_t size) {
  uvdio__ring_features_t features;
  const char* call;
  uvdio__ring_t* state;
  int error = uvdio__ring_features(&features, reason, size);

  if (error != 0) {
    return error;
  }
  state = uvdio__alloc(sizeof(*state), UVDIO__STRUCT_ALIGN, 1);
  if (state == NULL) {
    (void)snprintf(reason, size, "out of memory");
    return UV_ENOMEM;
  }
  state->features = features;
  state->files.off = !features.has_clones;
  uvdio__ring_init_buffers(&state->buffers);
  error = set_up(queue, state, &call);
  if (error != 0) {
    uvdio__ring_explain(error, call, reason, size);
    uvdio__free(state, sizeof(*state), UVDIO__STRUCT_ALIGN);
    return error;
  }
  (void)uv_timer_init(queue->engine->loop, &state->retry);
  state->queue = queue;
  queue->state = state;
  return 0;
}

static void on_event(uv_poll_t* handle, int status, int events);

/* Off the loop, signals are waited for. */
static int start_poll(uvdio__ring_t* state) {
  int error;

  if (uv_is_active((uv_handle_t*)&state->poll)) {
    return 0; /* For the ring before this one, with the same eventfd. */
  }
  if (uv_is_closing((uv_handle_t*)&state->poll)) {
    uvdio__loop_wake(state->queue->engine); /* Where the user did that: leaves the loop. */
    return 0;
  }
  error = uv_poll_start(&state->poll, UV_READABLE, on_event);
  uv_unref((uv_handle_t*)&state->poll);
  return error;
}

/* On the loop's thread, and once. */
static int enable(uvdio__queue_t* queue, const char** call) {
  uvdio__ring_t* state = queue->state;
  uint64_t began_ns = uvdio__clock_ns();
  int result;

  *call = "io_uring_register";
  result = uvdio__ring_register(state->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
  if (result == 0) {
    result = io_uring_register_eventfd(&state->ring, state->eventfd);
  }
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  /* Saves a look-up per system call; a kernel without it (before 5.18) goes on as before. */
  (void)io_uring_register_ring_fd(&state->ring);
  uvdio__engine_note_call(queue->engine, began_ns);
  *call = "uv_poll_start";
  result = start_poll(state);
  state->enabled = 1;
  state->entries_usable = state->entry_count;
  uvdio__ring_bind(state);
  return result;
}

/*
 * A kernel that refuses, for the moment or for good
 */

static void on_retry(uv_timer_t* timer) {
  uvdio__ring_t* state = UVDIO__CONTAINER_OF(timer, uvdio__ring_t, retry);
  uvdio__queue_t* queue = state->queue;

  queue->stalled &= ~QUEUE_STALLED;
  state->cq_unnotified = 1;
  queue->engine->poll_pending = 1;
  uvdio__loop_wake(queue->engine); /* Timers come before the poll, and that must not block now. */
}

/* Off the loop, whenever something was waited for. */
static void retry_later(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (uv_is_closing((uv_handle_t*)&state->retry)) {
    return;
  }
  (void)uv_timer_start(&state->retry, on_retry, RETRY_MS, 0);
  uv_unref((uv_handle_t*)&state->retry);
}

/* Entries that the kernel has not taken are taken back, and their requests go to the pool. Nobody submits to a broken ring, but
 * what the kernel must not touch any more shall not stand in its queue either. */
static void reclaim_unsubmitted(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  struct io_uring_sq* sq = &state->ring.sq;
  unsigned head = *sq->khead;
  unsigned tail = sq->sqe_tail;
  unsigned i;

  sq->sqe_head = head;
  sq->sqe_tail = head;
  *sq->ktail = head;
  queue->unflushed = 0;
  queue->batch_weight = 0;
  for (i = head; i != tail; i++) {
    uintptr_t data = (uintptr_t)state->entries[i & state->entry_mask].user_data;
    if ((data & CANCEL_MARK) == 0) {
      uvdio__queue_punt(queue, (uvdio_req_t*)(data & ~MARKS));
    }
  }
}

static void give_up(uvdio__queue_t* queue, const char* reason) {
  uvdio__ring_t* state = queue->state;

  assert(!state->broken);
  state->broken = 1;
  state->entries_usable = 0;
  uvdio__queue_broken(queue, reason);
  reclaim_unsubmitted(queue);
}

static void disable_ring(uvdio__queue_t* queue, int error, const char* call) {
  const uvdio__ring_t* state = queue->state;
  char reason[UVDIO__REASON_SIZE];

  if (!state->broken) {
    uvdio__ring_explain(error, call, reason, sizeof(reason));
    give_up(queue, reason);
  }
}

/*
 * Submission
 */

static int is_supported(const uvdio__ring_t* state, unsigned op) {
  return (int)(state->features.supported >> op & 1);
}

/* The operation's code, or -1 where there is none: the pool does it. The size needs a structure to be
 * written to, and there is no room for one without an allocation. A close may take long (an unlinked file's blocks are
 * freed by it), which a ring would do on the loop's thread; and a ring's worker (IOSQE_ASYNC) posts the completion
 * before it has let go of the file, so that the callback would come too early. */
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
      return IORING_OP_FSYNC;
    case UVDIO_OP_TRUNCATE:
      return OP_FTRUNCATE;
    case UVDIO_OP_PREALLOCATE:
      return IORING_OP_FALLOCATE;
    case UVDIO_OP_CLOSE:
    case UVDIO_OP_SIZE:
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      break;
  }
  return -1;
}

static void prepare_open(struct io_uring_sqe* sqe, uvdio_req_t* req) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);
  struct statx* stat = (struct statx*)(void*)opening->stat.bytes;

  if (opening->step == UVDIO__OPEN_STAT_FILE) {
    uvdio__ring_fill(sqe, IORING_OP_STATX, (int)opening->descriptor, "", uvdio__linux_statx_mask(),
                     (uintptr_t)stat);
    sqe->statx_flags = AT_EMPTY_PATH;
  } else {
    uvdio__ring_fill(sqe, IORING_OP_OPENAT, AT_FDCWD, opening->path, (unsigned)opening->mode, 0);
    sqe->open_flags = (unsigned)uvdio__linux_open_flags(opening);
    sqe->flags = IOSQE_ASYNC; /* The filesystem's part of an open may wait for a disk or a server. */
  }
}

/* Writes gain more than reads when the device begins sooner, and those that are durable most: measured at depth 32, batches of 16,
 * 4 and 1 made 148, 163 and 168 k/s of the first, for 1.01, 0.99 and 1.24 times the bare loop's CPU time, and 70, 69 and 90 k/s
 * of the second, for 1.09, 1.08 and 0.93 times. */
#define BATCH_WEIGHT_WRITE 4u
#define URGENCY_OF_DURABLE_WRITE UVDIO_DEPTH_MAX

static inline void count_write(uvdio__queue_t* queue, const uvdio_file_t* file) {
  queue->batch_weight += ((file->flags_ & UVDIO_O_DSYNC) != 0 ? URGENCY_OF_DURABLE_WRITE : BATCH_WEIGHT_WRITE) - 1;
}

/* Whether the transfer would keep the submitting thread too long: pinning plain memory and, where it is fresh, faulting it in
 * (or copying from the page cache), and making the device's requests. */
static inline int is_large(size_t length, int buffer) {
  return length > (buffer >= 0 ? UVDIO__INLINE_MAX_FIXED : UVDIO__INLINE_MAX);
}

/* What tells the entry and its completion apart from all others. */
static inline uintptr_t user_data_of(const uvdio_req_t* req) {
  return (uintptr_t)req | (uvdio__is_transfer(req->op) ? TRANSFER_MARK : 0);
}

/* A transfer of any kind: by the numbers of file and buffer where the kernel knows them. */
static inline void prepare_transfer(uvdio__queue_t* queue, struct io_uring_sqe* sqe,
                                    const uvdio_req_t* req, int buffer) {
  const uvdio_file_t* file = req->file;
  int is_write = req->op == UVDIO_OP_WRITE;
  int opcode = buffer >= 0 ? (is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED)
                           : (is_write ? IORING_OP_WRITE : IORING_OP_READ);
  size_t length = req->length_ <= UVDIO__TRANSFER_MAX ? req->length_ - req->transferred
                                                      : uvdio__request_rest(req);

  uvdio__ring_fill(sqe, opcode, (int)file->handle_.descriptor, req->buf_.base + req->transferred,
                   (unsigned)length, req->offset_ + req->transferred);
  if (file->fixed_index_ > 0) {
    sqe->fd = (int)file->fixed_index_ - 1;
    sqe->flags = IOSQE_FIXED_FILE;
  }
  if (buffer >= 0) {
    sqe->buf_index = (uint16_t)buffer;
    queue->engine->stats.fixed++;
  }
  if (is_large(length, buffer)) {
    sqe->flags |= IOSQE_ASYNC;
  }
  sqe->user_data = user_data_of(req);
  if (is_write) {
    count_write(queue, file);
  }
}

static void prepare_sqe(struct io_uring_sqe* sqe, uvdio_req_t* req) {
  int descriptor = (int)req->file->handle_.descriptor;

  switch (req->op) {
    case UVDIO_OP_OPEN:
      prepare_open(sqe, req);
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
      uvdio__ring_fill(sqe, IORING_OP_FALLOCATE, descriptor, NULL, 0, 0);
      sqe->addr = req->offset_; /* the length */
      break;
    case UVDIO_OP_READ:
    case UVDIO_OP_WRITE:
      assert(0 && "transfers are prepared apart");
      break;
    case UVDIO_OP_CLOSE:
    case UVDIO_OP_SIZE:
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      assert(0 && "an operation that no ring has");
  }
}

static void flush_ring(uvdio__queue_t* queue);

/* What liburing's function does, but for the look at what the kernel has taken, which queue->unflushed knows. The place holds
 * what was there before: all of it has to be overwritten. */
static inline struct io_uring_sqe* next_place(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  assert(queue->unflushed < state->entry_count);
  queue->unflushed++;
  queue->batch_weight++;
  return &state->entries[state->ring.sq.sqe_tail++ & state->entry_mask];
}

/* An entry of zeros. */
static inline struct io_uring_sqe* get_sqe(uvdio__queue_t* queue) {
  struct io_uring_sqe* sqe = next_place(queue);

  memset(sqe, 0, sizeof(*sqe));
  return sqe;
}

/* Room for one more entry. Returns 0, UV_EAGAIN when the kernel takes nothing for now, or UV_ENOSYS. */
static int make_room(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (queue->unflushed == state->entry_count) {
    flush_ring(queue);
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

  if (state->broken || !can_do(state, req)) {
    return UV_ENOSYS;
  }
  if (!state->enabled) {
    const char* call;
    int error = enable(queue, &call);
    if (error != 0) {
      disable_ring(queue, error, call);
      return UV_ENOSYS;
    }
  }
  return make_room(queue);
}

/* Gives the file a slot where it has none and can have one. */
static void settle_file(uvdio__queue_t* queue, uvdio_file_t* file) {
  const uvdio__ring_t* state = queue->state;

  if (file->fixed_index_ == 0 && !state->files.off && !state->files.full) {
    uvdio__ring_add_file(queue, file);
  }
  if (file->sqe_template_[0][0] == 0 && (file->fixed_index_ > 0 || state->files.off)) {
    uvdio__ring_note_file(queue, file);
  }
}

static inline int buffer_for(const uvdio__queue_t* queue, const uvdio_req_t* req) {
  return req->buf_.owner_ == NULL ? uvdio__ring_view(queue->state, req)
                                  : uvdio__ring_buffer(queue->state, &req->buf_);
}

static int submit_to_ring(uvdio__queue_t* queue, uvdio_req_t* req) {
  struct io_uring_sqe* sqe;
  int error = make_ready(queue, req);
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
  buffer = buffer_for(queue, req);
  if (buffer == UVDIO__BUFFER_UNKNOWN) {
    buffer = uvdio__ring_find_buffer(queue, req);
  }
  prepare_transfer(queue, get_sqe(queue), req, buffer);
  return 0;
}

_Static_assert(UVDIO_OP_WRITE == UVDIO_OP_READ + 1 && IORING_OP_WRITE == IORING_OP_READ + 1, "reads come before writes");

/* fill_sqe() overwrites an entry from its first byte to its last. */
_Static_assert(offsetof(struct io_uring_sqe, off) == sizeof(((uvdio_file_t*)NULL)->sqe_template_[0]) &&
                   offsetof(struct io_uring_sqe, addr) == offsetof(struct io_uring_sqe, off) + 8 &&
                   offsetof(struct io_uring_sqe, len) == offsetof(struct io_uring_sqe, addr) + 8 &&
                   offsetof(struct io_uring_sqe, rw_flags) == offsetof(struct io_uring_sqe, len) + 4 &&
                   offsetof(struct io_uring_sqe, user_data) == offsetof(struct io_uring_sqe, rw_flags) + 4 &&
                   offsetof(struct io_uring_sqe, buf_index) == offsetof(struct io_uring_sqe, user_data) + 8,
               "the fields of an entry follow each other without a gap");

/* prepare_transfer() for what goes the short way: the file knows how the entry begins, and all of it is asked for at once. */
static inline void fill_sqe(uvdio__queue_t* queue, uvdio_req_t* req, int buffer) {
  struct io_uring_sqe* sqe = next_place(queue);
  unsigned kind = (unsigned)req->op - UVDIO_OP_READ;

  memcpy(sqe, req->file->sqe_template_[kind], sizeof(req->file->sqe_template_[0]));
  sqe->off = req->offset_;
  sqe->addr = (uintptr_t)req->buf_.base;
  sqe->len = (unsigned)req->length_;
  sqe->rw_flags = 0;
  sqe->user_data = (uintptr_t)req + TRANSFER_MARK;
  memset((char*)sqe + offsetof(struct io_uring_sqe, buf_index), 0, sizeof(*sqe) - offsetof(struct io_uring_sqe, buf_index));
  if (buffer >= 0) {
    sqe->buf_index = (uint16_t)buffer;
    queue->engine->stats.fixed++;
  } else {
    sqe->opcode = (uint8_t)(IORING_OP_READ + kind);
  }
  if (kind != 0) {
    count_write(queue, req->file);
  }
}

static inline int transfer_by_number(uvdio__queue_t* queue, uvdio_req_t* req, int buffer) {
  const uvdio__ring_t* state = queue->state;

  assert(uvdio__is_transfer(req->op) && req->transferred == 0 && req->file->sqe_template_[0][0] != 0);
  if (buffer == UVDIO__BUFFER_UNKNOWN || queue->unflushed >= state->entries_usable ||
      is_large(req->length_, buffer)) {
    return 0;
  }
  fill_sqe(queue, req, buffer);
  uvdio__queue_started(queue, req);
  return 1;
}

/* Views and memory of the heap: apart, so that frames don't pay for the search. */
static UVDIO__NOINLINE int transfer_no_frame(uvdio__queue_t* queue, uvdio_req_t* req) {
  return transfer_by_number(queue, req, buffer_for(queue, req));
}

static int transfer_to_ring(uvdio__queue_t* queue, uvdio_req_t* req) {
  if (!uvdio__is_frame(&req->buf_)) {
    return transfer_no_frame(queue, req);
  }
  return transfer_by_number(queue, req, uvdio__ring_buffer(queue->state, &req->buf_));
}

/* Whether the kernel takes nothing for the moment. An interrupted call is repeated, but not for ever. */
static int is_put_off(int taken, unsigned* interruptions) {
  return taken == 0 || taken == -EAGAIN || taken == -EBUSY ||
         (taken == -EINTR && (*interruptions)++ == UVDIO__RETRIES_MAX);
}

/* The kernel may take fewer than there are (a bad entry stops a batch on kernels without SUBMIT_ALL), or none for the
 * moment: then the rest goes when something has finished, or a little later. */
static void flush_ring(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  unsigned interruptions = 0;

  queue->engine->stats.batches++;
  while (queue->unflushed > 0) {
    uint64_t began_ns = uvdio__clock_ns();
    int taken = io_uring_submit(&state->ring);
    uvdio__engine_note_call(queue->engine, began_ns);
    queue->engine->stats.system_calls++;
    if (taken > 0) {
      assert((unsigned)taken <= queue->unflushed);
      queue->unflushed -= (unsigned)taken;
    } else if (is_put_off(taken, &interruptions)) {
      queue->stalled |= QUEUE_STALLED;
      retry_later(queue);
      break;
    } else if (taken != -EINTR) {
      disable_ring(queue, uv_translate_sys_error(-taken), "io_uring_enter");
    }
  }
}

/* Disk I/O on its way can't be stopped; what waits for a kernel worker can. One cancellation per entry of the queue is
 * enough, and keeps the completion queue from overflowing. */
static void cancel_in_ring(uvdio__queue_t* queue, uvdio_req_t* req) {
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

/*
 * Completion
 */

/* An open that has failed closes what it had opened, which may block: a worker does it. */
static void end_open(uvdio__queue_t* queue, uvdio_req_t* req, int result) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);

  if (result < 0 && opening->descriptor != -1) {
    opening->error = result;
    opening->step = UVDIO__OPEN_UNDO;
    uvdio__queue_punt(queue, req);
    return;
  }
  uvdio__queue_done(queue, req, result);
}

static UVDIO__NOINLINE void advance_open(uvdio__queue_t* queue, uvdio_req_t* req, int result) {
  uvdio__open_state_t* opening = uvdio__open_state_of(req);
  uint64_t began_ns;
  int next;

  if (result == UV_EINTR && req->cancelled_ && (req->flags_ & REQ_UNCANCELLABLE) == 0) {
    result = UV_ECANCELED;
  }
  if (result == UV_EINTR && req->retries_ < UVDIO__RETRIES_MAX) {
    req->retries_++;
    uvdio__queue_again(queue, req);
    return;
  }
  if (uvdio__is_ring_refusal(result, req->cancelled_)) {
    uvdio__queue_punt(queue, req);
    return;
  }
  began_ns = uvdio__clock_ns();
  next = uvdio__linux_open_advance(opening, result);
  uvdio__engine_note_call(queue->engine, began_ns);
  req->flags_ |= REQ_UNCANCELLABLE;
  if (next == 1 && opening->step >= UVDIO__OPEN_FINISH) {
    uvdio__queue_punt(queue, req);
  } else if (next == 1) {
    uvdio__queue_again(queue, req);
  } else {
    end_open(queue, req, next);
  }
}

static UVDIO__NOINLINE void handle_cqe(uvdio__queue_t* queue, uintptr_t data, int result) {
  uvdio__ring_t* state = queue->state;
  uvdio_req_t* req = (uvdio_req_t*)(data & ~MARKS);

  result = result < 0 ? uv_translate_sys_error(-result) : result;
  if ((data & CANCEL_MARK) != 0) {
    assert(state->cancels > 0);
    state->cancels--;
  } else if (req->op == UVDIO_OP_OPEN) {
    advance_open(queue, req, result);
  } else {
    uvdio__queue_done(queue, req, result);
  }
}

static unsigned drain_cq(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  const struct io_uring_cq* cq = &state->ring.cq;
  const struct io_uring_cqe* cqes = cq->cqes;
  unsigned mask = state->completion_mask;
  unsigned first = *cq->khead;
  unsigned tail = io_uring_smp_load_acquire(cq->ktail);
  unsigned head = first;

  while (head != tail) {
    const struct io_uring_cqe* cqe = &cqes[head++ & mask];
    uintptr_t data = (uintptr_t)cqe->user_data;
    if ((data & TRANSFER_MARK) != 0 && cqe->res >= 0) {
      uvdio__queue_done(queue, (uvdio_req_t*)(data - TRANSFER_MARK), cqe->res);
    } else {
      handle_cqe(queue, data, cqe->res);
    }
  }
  if (head != first) {
    queue->stalled &= ~QUEUE_STALLED;
    io_uring_smp_store_release(cq->khead, head);
  }
  return head - first;
}

static int kernel_has_more(const uvdio__ring_t* state) {
  unsigned flags = IO_URING_READ_ONCE(*state->ring.sq.kflags);
  return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* The kernel holds completions back and does not let us have them, so all that is left is to ask from time to time: what
 * is in flight can neither be given back nor done again. Where the refusal looks final, new requests go to the pool. */
static int get_events(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  uint64_t began_ns = uvdio__clock_ns();
  int result = io_uring_get_events(&state->ring);

  uvdio__engine_note_call(queue->engine, began_ns);
  queue->engine->stats.system_calls++;
  state->flag_is_late = result >= 0 && io_uring_cq_ready(&state->ring) == 0;
  if (result >= 0) {
    state->interruptions = 0;
    return 1;
  }
  if (result == -EINTR && state->interruptions < UVDIO__RETRIES_MAX) {
    state->interruptions++;
    return 1;
  }
  if (result != -EAGAIN && result != -EBUSY && result != -EINTR) {
    disable_ring(queue, uv_translate_sys_error(-result), "io_uring_enter");
  }
  state->cq_unnotified = 0;
  retry_later(queue);
  return 0;
}

/* While signals are off, completions only show in the queue and the kernel's flags. Switching is a full barrier, so that
 * after switching on, one look tells whether anything came before. */
static void set_eventfd_notify(uvdio__ring_t* state, int on) {
  if (!state->edge_triggered) {
    return;
  }
  if (on) {
    (void)__atomic_fetch_and(state->ring.cq.kflags, ~IORING_CQ_EVENTFD_DISABLED, __ATOMIC_SEQ_CST);
  } else {
    (void)__atomic_fetch_or(state->ring.cq.kflags, IORING_CQ_EVENTFD_DISABLED, __ATOMIC_SEQ_CST);
  }
}

/* Signals are on again: whether anything came before. A worker of the kernel adds its work, and sets the flag after that; where it
 * was held up in between, its work was taken already, and the flag stands until the next completion, which may never come. Only
 * asking tells then. */
static int came_unsignalled(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (!kernel_has_more(state)) {
    state->flag_is_late = 0;
    return io_uring_cq_ready(&state->ring) > 0;
  }
  return !state->flag_is_late || (get_events(queue) && !state->flag_is_late);
}

/* The loop has come to another thread: what there is to be taken is in memory, and the kernel takes
 * no calls about the rest. The ring's own thread asks for it when the loop comes back to it; when
 * it ends, the kernel posts all. Signals have to be on. */
static int look_from_elsewhere(uvdio__ring_t* state) {
  set_eventfd_notify(state, 1);
  state->cq_unnotified = 1;
  return io_uring_cq_ready(&state->ring) > 0;
}

/* A flush posts completions as well, at no extra cost; so what it left in the queue is taken first, and the kernel asked
 * only for what nobody will be woken for. */
static int reap(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (!state->enabled) {
    return 0;
  }
  if (drain_cq(queue) > 0) {
    return state->cq_unnotified;
  }
  if (uvdio__engine_is_foreign(queue->engine)) {
    return look_from_elsewhere(state);
  }
  if (!state->cq_unnotified) {
    return 0;
  }
  if (kernel_has_more(state) && !state->flag_is_late) {
    return get_events(queue);
  }
  set_eventfd_notify(state, 1);
  if (came_unsignalled(queue)) {
    set_eventfd_notify(state, 0);
    return 1;
  }
  state->cq_unnotified = 0;
  return 0;
}

#if defined(__x86_64__) || defined(__i386__)
#define RELAX() __builtin_ia32_pause()
#else
#define RELAX() ((void)0)
#endif

#define POLLS_PER_CLOCK_READ 32 /* reading the clock costs more than a look */

/* With deferred task work, the kernel's flags tell what is about to be posted. */
static int busy_poll(uvdio__queue_t* queue, uint64_t deadline) {
  uvdio__ring_t* state = queue->state;
  unsigned i;

  if (!state->enabled || state->broken) {
    return 0;
  }
  set_eventfd_notify(state, 0);
  state->cq_unnotified = 1;
  do {
    for (i = 0; i < POLLS_PER_CLOCK_READ; i++) {
      if (io_uring_cq_ready(&state->ring) > 0 || (kernel_has_more(state) && !state->flag_is_late)) {
        return 1;
      }
      RELAX();
    }
  } while (uv_hrtime() < deadline);
  return 0;
}

static void read_eventfd(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  uint64_t count;
  ssize_t got = read(state->eventfd, &count, sizeof(count));

  queue->engine->stats.system_calls++;
  assert(got == (ssize_t)sizeof(count) || errno == EAGAIN || errno == EINTR);
  (void)got;
}

/* Saves the read of the eventfd at each wake-up: the loop's epoll is told to report it once per signal instead of for as
 * long as it is readable. Together with switching the signals off while completions are being taken, that is
 * one wake-up per sleep. libuv changes a registration only when the events of its handle change, and ours never do.
 *
 * Only where switching signals can't lose one: the kernel has to publish a completion before it looks at the switch. With
 * deferred task work it does both around an atomic operation, and on x86 that is a full barrier. */
static void try_edge_triggering(uvdio__ring_t* state, uv_loop_t* loop) {
#ifdef __x86_64__
  struct epoll_event event;

  if ((state->ring.flags & IORING_SETUP_DEFER_TASKRUN) == 0) {
    return;
  }
  memset(&event, 0, sizeof(event));
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = state->eventfd;
  state->edge_triggered =
      epoll_ctl(uv_backend_fd(loop), EPOLL_CTL_MOD, state->eventfd, &event) == 0;
#else
  (void)state;
  (void)loop;
#endif
}

/* The check phase, which comes next, takes the rest. */
static void on_event(uv_poll_t* handle, int status, int events) {
  uvdio__ring_t* state = UVDIO__CONTAINER_OF(handle, uvdio__ring_t, poll);
  uvdio__queue_t* queue = state->queue;

  (void)status;
  (void)events;
  if (uvdio__engine_is_forked(queue->engine)) {
    (void)uv_poll_stop(handle); /* The eventfd is shared with the parent: its signals are not ours to take. */
    return;
  }
  queue->engine->stats.wakeups++;
  if (uvdio__engine_is_foreign(queue->engine)) {
    read_eventfd(queue); /* The check phase, which comes next, sees what has come for us. */
    return;
  }
  queue->engine->poll_pending = 1;
  if (!state->edge_tried) {
    state->edge_tried = 1; /* Not earlier: libuv registers a handle only when it polls. */
    try_edge_triggering(state, handle->loop);
  }
  set_eventfd_notify(state, 0);
  if (!state->edge_triggered) {
    read_eventfd(queue);
  }
  state->cq_unnotified = 1;
  if (kernel_has_more(state)) {
    (void)get_events(queue);
  }
}

/*
 * Off the loop
 */

static void on_poll_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio__ring_t, poll)->queue->engine);
}

static void on_retry_closed(uv_handle_t* handle) {
  uvdio__loop_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio__ring_t, retry)->queue->engine);
}

static void leave_loop(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  uvdio__loop_close_handle(queue->engine, (uv_handle_t*)&state->poll, on_poll_closed);
  uvdio__loop_close_handle(queue->engine, (uv_handle_t*)&state->retry, on_retry_closed);
}

/* The loop's own descriptor is readable when any other that it watches has something. Where the
 * kernel refused something, that is tried again now. */
static void wait_for_signal(uvdio__queue_t* queue, int timeout_ms) {
  uvdio__ring_t* state = queue->state;
  struct pollfd watched[] = {{.fd = state->eventfd, .events = POLLIN},
                             {.fd = uv_backend_fd(queue->engine->loop), .events = POLLIN}};

  (void)poll(watched, 2, timeout_ms);
  queue->engine->stats.system_calls++;
  if ((watched[0].revents & POLLIN) != 0) {
    queue->engine->stats.wakeups++;
    read_eventfd(queue);
  }
  queue->stalled &= ~QUEUE_STALLED;
  state->cq_unnotified = 1;
}

/* The number by which its own thread knows the ring may be that of another ring on this one, which
 * would lose it. As long as that thread lives, the kernel keeps the ring then, with all that it has
 * registered. */
static void exit_ring(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  int is_forked = uvdio__engine_is_forked(queue->engine);
  uint64_t began_ns = uvdio__clock_ns();

  if (!is_forked) {
    uvdio__ring_unbind(state);
  }
  if (is_forked || uvdio__engine_is_foreign(queue->engine)) {
    state->ring.int_flags = 0;
  }
  uvdio__ring_free_buffers(state, is_forked);
  uvdio__ring_free_files(state, is_forked);
  io_uring_queue_exit(&state->ring);
  uvdio__engine_note_call(queue->engine, began_ns);
}

static void close_ring(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  exit_ring(queue);
  (void)close(state->eventfd);
  queue->state = NULL;
  uvdio__free(state, sizeof(*state), UVDIO__STRUCT_ALIGN);
}

/*
 * Other threads
 */

static void off_thread(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (!state->broken) {
    state->off_thread = 1;
    give_up(queue, "the loop runs on another thread than the one that the ring is bound to "
                  "(uvdio_engine_rebind() gets a new ring)");
  }
}

/* The ring is new, and knows no file and no memory yet. */
static void begin_anew(uvdio__queue_t* queue, const uvdio__ring_t* fresh) {
  uvdio__ring_t* state = queue->state;
  uvdio_file_t* file;

  state->ring = fresh->ring;
  state->entries = fresh->entries;
  state->entry_count = fresh->entry_count;
  state->entry_mask = fresh->entry_mask;
  state->completion_mask = fresh->completion_mask;
  state->enabled = 0;
  state->broken = 0;
  state->off_thread = 0;
  state->cancels = 0;
  state->entries_usable = 0;
  state->cq_unnotified = 0;
  state->buffers.has_table = 0;
  state->files.off = !state->features.has_clones;
  state->files.full = 0;
  queue->engine->stats.registered_bytes = 0;
  queue->stalled &= ~QUEUE_STALLED;
  queue->unflushed = 0;
  queue->batch_weight = 0;
  for (file = queue->engine->files; file != NULL; file = file->next_) {
    file->fixed_index_ = 0;
    memset(file->sqe_template_, 0, sizeof(file->sqe_template_));
  }
}

/* One that was never enabled is bound to no thread, and one that broke down for another reason is
 * done with. */
static int rebind_ring(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  uvdio__ring_t fresh = {.features = state->features};
  uvdio__ring_features_t features;
  char reason[UVDIO__REASON_SIZE];
  int error;

  if (state->broken ? !state->off_thread : !state->enabled) {
    return 0;
  }
  error = uvdio__ring_features(&features, reason, sizeof(reason));
  if (error == 0) {
    error = create_ring(&fresh, queue->depth);
  }
  if (error != 0) {
    return error;
  }
  exit_ring(queue);
  begin_anew(queue, &fresh);
  if ((queue->stalled & QUEUE_BROKEN) != 0) {
    uvdio__queue_mended(queue, reason);
  }
  return 0;
}

const uvdio__backend_t uvdio__backend_ring = {
    .name = "ring",
    .batch = UVDIO_DEPTH_MAX,
    .can_punt = 1,
    .init = init_ring,
    .submit = submit_to_ring,
    .transfer = transfer_to_ring,
    .flush = flush_ring,
    .reap = reap,
    .busy_poll = busy_poll,
    .cancel = cancel_in_ring,
    .perform = uvdio__request_perform,
    .leave_loop = leave_loop,
    .wait = wait_for_signal,
    .close = close_ring,
    .off_thread = off_thread,
    .rebind = rebind_ring,
    .unregister_file = uvdio__ring_unregister_file,
    .register_arena = uvdio__ring_register_arena,
    .unregister_arena = uvdio__ring_unregister_arena,
    .get_registration = uvdio__ring_registration,
    .sweep = uvdio__ring_sweep,
};
