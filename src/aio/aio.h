/* SPDX-License-Identifier: MIT */
/*
 * The parts of the kernel AIO backend: io_submit(2), for direct transfers and syncs, where io_uring
 * is denied. Its completions signal an eventfd that a uv_poll_t on the user's loop watches, and are
 * taken from memory that the kernel shares with the program.
 *
 *   aio/aio.c       set-up, close
 *   aio/submit.c    control blocks, batches; what goes to the pool instead
 *   aio/drain.c     completions
 *   aio/context.c   the system calls, and the ring of completions in memory
 *   aio/probe.c     whether kernel AIO works here; and why not, in words
 *
 * aio.c calls all of them, and none calls aio.c.
 *
 * io_submit(2) performs what it can't begin without waiting on the calling thread. So each
 * transfer carries RWF_NOWAIT: one that would wait for a lock or a block's allocation ends with
 * EAGAIN, and the engine's pool performs it. What the flag does not reach: a device whose requests
 * are all taken (as with a ring), and a frozen filesystem, which a write waits for. What has no
 * such flag (all but transfers and syncs) goes there at once, and so does what is not direct.
 * Syncs are performed by the kernel's own workers.
 */
#ifndef UVDIO_AIO_H
#define UVDIO_AIO_H

#include <linux/aio_abi.h>

#include "engine.h"
#include "wakeup.h"

/*
 * Context
 */

/* Makes room for `count` requests in flight: 0 or a negative errno. EAGAIN: the machine's limit
 * (fs.aio-max-nr) leaves no room for so many. */
int uvdio__aio_setup(unsigned count, aio_context_t* context);

/* Blocks for two grace periods of the kernel's (25 to 40 ms). */
void uvdio__aio_destroy(aio_context_t context);

/* A forked child has the parent's ring of completions mapped, and no context. */
void uvdio__aio_unmap(aio_context_t context);

/* The number of blocks that were taken, from the first one on; or a negative errno, which is about
 * the first one or about all. */
int uvdio__aio_submit(aio_context_t context, struct iocb** blocks, unsigned count);

/* Takes completions, `room` at most, without a system call where the kernel's ring has the layout
 * that is known; `calls` counts those that it took. Returns how many, or a negative errno. */
int uvdio__aio_take(aio_context_t context, struct io_event* events, unsigned room, uint64_t* calls);

/* Whether there is something to take; 0 where only a system call could tell. */
int uvdio__aio_is_ready(aio_context_t context);

/*
 * Backend
 */

typedef struct uvdio__aio_slot_s {
  struct iocb block; /* aio_data: the slot */
  uvdio_req_t* req;
  struct uvdio__aio_slot_s* next_free;
} uvdio__aio_slot_t;

typedef struct uvdio__aio_s {
  aio_context_t context; /* 0: given back */
  uvdio__wakeup_t wakeup;
  unsigned count;           /* of slots and gathered */
  uvdio__aio_slot_t* slots; /* one for each request that is running here */
  uvdio__aio_slot_t* free;
  struct iocb** gathered; /* submissions that flush has yet to send, oldest first */
  int is_started;         /* the eventfd is watched */
  int has_cancelled;      /* some of the gathered may have been cancelled */
  unsigned denials;       /* refusals in a row that may mean a denied io_submit(2) */
} uvdio__aio_t;

/* One request comes back by the context, and signals an eventfd. Where not, `call` names what
 * failed. */
int uvdio__aio_round_trip(aio_context_t context, const char** call);

/* What stands in the way, and what would help, in words. */
void uvdio__aio_explain(int error, const char* call, char* reason, size_t size);

/* Submission (submit.c), completion (drain.c), and the probe: see backend.h */
int uvdio__aio_probe(char* reason, size_t size);
const char* uvdio__aio_avoid(const uvdio_file_t* file, int* is_for_several);
int uvdio__aio_submit_request(uvdio__queue_t* queue, uvdio_req_t* req);
void uvdio__aio_prioritise(uvdio__queue_t* queue, const uvdio_req_t* req);
void uvdio__aio_flush(uvdio__queue_t* queue);
void uvdio__aio_cancel(uvdio__queue_t* queue, uvdio_req_t* req);
int uvdio__aio_reap(uvdio__queue_t* queue);
int uvdio__aio_busy_poll(uvdio__queue_t* queue, uint64_t deadline);
void uvdio__aio_on_event(uv_poll_t* handle, int status, int events);

/* Takes a slot back; returns its request. */
static inline uvdio_req_t* uvdio__aio_release_slot(uvdio__aio_t* state, uvdio__aio_slot_t* slot) {
  uvdio_req_t* req = slot->req;

  assert(req != NULL && slot >= state->slots && slot < state->slots + state->count);
  slot->req = NULL;
  slot->next_free = state->free;
  state->free = slot;
  return req;
}

#endif /* UVDIO_AIO_H */
