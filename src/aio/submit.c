/* SPDX-License-Identifier: MIT */
/*
 * Submission: a request becomes a control block, and a flush sends the gathered ones to the kernel.
 * What the kernel refuses to begin, or has no call for, goes to the engine's pool.
 */
#include <string.h>

#include "aio/aio.h"
#include "batch.h"
#include "completion.h"
#include "vector.h"

/* So many refusals in a row that may be a denied io_submit(2) as well as one file's: enough. */
#define DENIALS_MAX 16u

/* The kernel performs buffered transfers within io_submit(2), and those without RWF_NOWAIT may wait
 * there for whatever it is. Old kernels' btrfs hangs at asynchronous durable writes of any kind
 * (os/linux.c). */
const char* uvdio__aio_avoid(const uvdio_file_t* file, int* is_for_several) {
  (void)is_for_several;
  if (!file->direct_) {
    return "kernel AIO is asynchronous for direct I/O only";
  }
  if ((file->quirks_ & UVDIO__QUIRK_ASYNC_DSYNC_HANG) != 0) {
    return "this kernel's btrfs can hang at durable writes by kernel AIO (fixed in Linux 5.11)";
  }
  if ((file->quirks_ & (UVDIO__QUIRK_NO_NOWAIT | UVDIO__QUIRK_RING_SHORTS)) != 0) {
    return "its filesystem takes no non-blocking requests, so that kernel AIO would block the loop";
  }
  return NULL;
}

/* Whether the transfer would keep the submitting thread too long. */
static int is_large(const uvdio_req_t* req) {
  return req->length_ - req->transferred > UVDIO__INLINE_MAX ||
         (uvdio__is_vector(req) && uvdio__vector_of(req)->count > UVDIO__INLINE_PIECES);
}

static int can_do(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (req->op == UVDIO_OP_WRITE && file->detour_ > 0) {
    file->detour_--;
    return 0;
  }
  if (uvdio__is_transfer(req->op)) {
    return !is_large(req);
  }
  return (req->op == UVDIO_OP_SYNC_DATA || req->op == UVDIO_OP_SYNC_ALL) &&
         (file->flags_ & UVDIO_O_DIRECTORY) == 0;
}

static void fill_transfer(struct iocb* block, const uvdio_req_t* req) {
  int is_write = req->op == UVDIO_OP_WRITE;
  size_t length = uvdio__request_rest(req);
  unsigned count;

  if (uvdio__is_vector(req)) {
    count = uvdio__vector_layout(req, &length);
    block->aio_lio_opcode = is_write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV;
    block->aio_buf = (uintptr_t)uvdio__vector_of(req)->pieces;
    block->aio_nbytes = count;
  } else {
    block->aio_lio_opcode = is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    block->aio_buf = (uintptr_t)(req->buf_.base + req->transferred);
    block->aio_nbytes = length;
  }
  block->aio_offset = (int64_t)(req->offset_ + req->transferred);
  block->aio_rw_flags = RWF_NOWAIT;
  if ((req->flags_ & REQ_DURABLE) != 0 && (req->file->flags_ & UVDIO_O_DSYNC) == 0) {
    block->aio_rw_flags |= RWF_DSYNC;
  }
  if ((req->flags_ & REQ_ATOMIC) != 0) {
    block->aio_rw_flags |= RWF_ATOMIC;
  }
}

static void fill(const uvdio__aio_t* state, uvdio__aio_slot_t* slot, const uvdio_req_t* req) {
  struct iocb* block = &slot->block;

  memset(block, 0, sizeof(*block));
  block->aio_data = (uintptr_t)slot;
  block->aio_fildes = (uint32_t)req->file->handle_.descriptor;
  block->aio_flags = IOCB_FLAG_RESFD;
  block->aio_resfd = (uint32_t)state->wakeup.eventfd;
  if (uvdio__is_transfer(req->op)) {
    fill_transfer(block, req);
  } else {
    block->aio_lio_opcode = req->op == UVDIO_OP_SYNC_DATA ? IOCB_CMD_FDSYNC : IOCB_CMD_FSYNC;
  }
}

static unsigned weight_of(const uvdio_req_t* req) {
  if (req->op != UVDIO_OP_WRITE) {
    return 1;
  }
  return (req->flags_ & REQ_DURABLE) != 0 ? UVDIO__WEIGHT_DURABLE_WRITE : UVDIO__WEIGHT_WRITE;
}

/*
 * Failures
 */

/* Hands over what was gathered. */
static void give_up(uvdio__queue_t* queue, int error, const char* call) {
  uvdio__aio_t* state = queue->state;
  unsigned count = queue->unflushed;
  char reason[UVDIO__REASON_SIZE];
  unsigned i;

  assert(!uvdio__queue_is_broken(queue));
  uvdio__aio_explain(error, call, reason, sizeof(reason));
  uvdio__queue_broken(queue, reason);
  queue->unflushed = 0;
  queue->batch_weight = 0;
  for (i = 0; i < count; i++) {
    uvdio__aio_slot_t* slot = (uvdio__aio_slot_t*)(uintptr_t)state->gathered[i]->aio_data;
    uvdio__queue_punt(queue, uvdio__aio_release_slot(state, slot));
  }
  uvdio__queue_forget_running(queue);
}

/* The first `count` of the gathered have gone. */
static void drop_gathered(uvdio__queue_t* queue, unsigned count) {
  uvdio__aio_t* state = queue->state;

  assert(count <= queue->unflushed);
  queue->unflushed -= count;
  memmove(state->gathered, state->gathered + count, queue->unflushed * sizeof(*state->gathered));
}

/* The kernel will not have the first of the gathered: the pool's answer counts. */
static void hand_over_first(uvdio__queue_t* queue) {
  uvdio__aio_t* state = queue->state;
  uvdio__aio_slot_t* slot = (uvdio__aio_slot_t*)(uintptr_t)state->gathered[0]->aio_data;
  uvdio_req_t* req = uvdio__aio_release_slot(state, slot);

  drop_gathered(queue, 1);
  uvdio__queue_punt(queue, req);
}

/* The first of the gathered goes without its priority, to which the process may have no right any
 * more. Returns 0 where that is not it. */
static int leave_priority_out(const uvdio__aio_t* state) {
  struct iocb* block = state->gathered[0];
  uvdio__aio_slot_t* slot = (uvdio__aio_slot_t*)(uintptr_t)block->aio_data;

  if (!uvdio__os_is_privileged_io_priority(slot->req->ioprio_)) {
    return 0;
  }
  slot->req->ioprio_ = 0;
  block->aio_flags &= ~(uint32_t)IOCB_FLAG_IOPRIO;
  block->aio_reqprio = 0;
  return 1;
}

/* What io_submit(2) itself has refused. Without anything in flight that could end, EAGAIN is about
 * the first block, too: waiting would not help. Returns 1 where the next ones are worth a try. */
static int handle_refusal(uvdio__queue_t* queue, int error) {
  uvdio__aio_t* state = queue->state;
  int is_denial = error == UV_EPERM || error == UV_EACCES;

  if (error == UV_EPERM && leave_priority_out(state)) {
    return 1;
  }
  if (error == UV_ENOSYS || (is_denial && ++state->denials == DENIALS_MAX)) {
    give_up(queue, error, "io_submit");
    return 0;
  }
  if (error == UV_EAGAIN && queue->in_flight > queue->unflushed) {
    uvdio__queue_stall(queue);
    uvdio__wakeup_retry_later(&state->wakeup);
    return 0;
  }
  hand_over_first(queue);
  return 1;
}

/*
 * Batches
 */

/* What was cancelled before the kernel got it ends here. */
static void drop_cancelled(uvdio__queue_t* queue) {
  uvdio__aio_t* state = queue->state;
  unsigned count = queue->unflushed;
  unsigned kept = 0;
  unsigned i;

  for (i = 0; i < count; i++) {
    uvdio__aio_slot_t* slot = (uvdio__aio_slot_t*)(uintptr_t)state->gathered[i]->aio_data;
    if (!slot->req->cancelled_) {
      state->gathered[kept++] = state->gathered[i];
      continue;
    }
    queue->unflushed--;
    uvdio__queue_done(queue, uvdio__aio_release_slot(state, slot), UV_ECANCELED);
  }
  state->has_cancelled = 0;
}

void uvdio__aio_flush(uvdio__queue_t* queue) {
  uvdio__aio_t* state = queue->state;
  int may_go_on = 1;

  queue->engine->stats.batches++;
  if (state->has_cancelled) {
    drop_cancelled(queue);
  }
  while (queue->unflushed > 0 && may_go_on) {
    uint64_t began_ns = uvdio__clock_ns();
    int taken = uvdio__aio_submit(state->context, state->gathered, queue->unflushed);
    uvdio__engine_note_call(queue->engine, UVDIO_CALL_SUBMIT, began_ns);
    queue->engine->stats.system_calls++;
    if (taken > 0) {
      state->denials = 0;
      drop_gathered(queue, (unsigned)taken);
    } else {
      may_go_on = handle_refusal(queue, taken == 0 ? UV_EAGAIN : uv_translate_sys_error(-taken));
    }
  }
}

/* On the loop's thread, and once. */
static int start(uvdio__queue_t* queue) {
  uvdio__aio_t* state = queue->state;
  int error = uvdio__wakeup_start(&state->wakeup, uvdio__aio_on_event);

  state->is_started = 1;
  if (error != 0) {
    give_up(queue, error, "uv_poll_start");
  }
  return error;
}

int uvdio__aio_submit_request(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__aio_t* state = queue->state;
  uvdio__aio_slot_t* slot = state->free;

  assert(!uvdio__queue_is_broken(queue)); /* It gives everything to the pool. */
  if (!can_do(req) || (!state->is_started && start(queue) != 0)) {
    return UV_ENOSYS;
  }
  assert(slot != NULL && queue->unflushed < state->count);
  state->free = slot->next_free;
  slot->req = req;
  fill(state, slot, req);
  state->gathered[queue->unflushed++] = &slot->block;
  queue->batch_weight += weight_of(req);
  return 0;
}

/* The block of the request that was submitted last. */
void uvdio__aio_prioritise(uvdio__queue_t* queue, const uvdio_req_t* req) {
  const uvdio__aio_t* state = queue->state;
  struct iocb* block = state->gathered[queue->unflushed - 1];

  assert(queue->unflushed > 0 && ((uvdio__aio_slot_t*)(uintptr_t)block->aio_data)->req == req);
  block->aio_flags |= IOCB_FLAG_IOPRIO;
  block->aio_reqprio = (int16_t)req->ioprio_;
}

/* What the kernel has can't be stopped: io_cancel(2) knows no transfers and no syncs. */
void uvdio__aio_cancel(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__aio_t* state = queue->state;

  (void)req;
  if (queue->unflushed > 0) {
    state->has_cancelled = 1;
    uvdio__loop_wake(queue->engine);
  }
}
