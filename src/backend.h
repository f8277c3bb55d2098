/* SPDX-License-Identifier: MIT */
/*
 * The contract between queues and backends.
 *
 * A queue is one backend at work in one engine. An engine has one queue for its own backend, beside
 * a ring or kernel AIO a second one for requests that these can't execute (the pool), and where
 * polled completions are asked for a third one (ring/polled.c).
 *
 *             submit                        uvdio__queue_done
 *   waiting ----------> running ----------------------------------> completed
 *      ^                   |
 *      +-------------------+  uvdio__queue_again, uvdio__queue_punt
 *
 * Waiting requests are unbounded, oldest first; at most `depth` run, over all queues of an engine.
 *
 * A backend promises:
 *   - submit accepts a request (0), and uvdio__queue_done() follows exactly once; or it refuses the
 *     request, and no call follows. UV_EAGAIN: not now, the queue is stalled. UV_ENOSYS: never, use
 *     another queue.
 *   - uvdio__queue_done() is not called from within submit, and only when nobody but the library
 *     can access the request's buffer any more.
 *   - It never calls the user's code.
 *   - Its handles on the loop neither keep the loop alive nor wake it without a reason.
 */
#ifndef UVDIO_BACKEND_H
#define UVDIO_BACKEND_H

#include <stddef.h>

#include "list.h"
#include "uvdio.h"

typedef struct uvdio__queue_s uvdio__queue_t;
typedef struct uvdio__backend_s uvdio__backend_t;

/* Bytes of the text that tells why a backend was chosen, and why not a better one; and of the words
 * for one of these. */
#define UVDIO__REASON_SIZE 768
#define UVDIO__REASON_PART 352

struct uvdio__backend_s {
  const char* name;

  /* Submissions that one flush takes at most. Batches are flushed as batch.h says; 0: only at the
   * end of a loop iteration. */
  unsigned batch;

  /* Not 0: its files are the system's, and have descriptors. */
  int has_descriptors;

  /* Not 0: what it refuses for the moment, the engine's pool may do. */
  int can_punt;

  /* Not 0: what it moved is not to be believed unless it is all of it, and goes on with the queue
   * behind this one. */
  int doubts_shorts;

  /* 0 when it can be used here and now, or what stands in the way; `reason` puts either into words.
   * Any thread. Null: it is none that can be asked for by name. */
  int (*probe)(char* reason, size_t size);

  /* Sets up queue->state for queue->depth requests. `reason` receives why it works, or why not. On
   * error nothing is left behind. Not yet on the loop's thread, perhaps. */
  int (*init)(uvdio__queue_t* queue, char* reason, size_t size);

  /* Why reads and writes of an open file go to the engine's pool, or null where they come here.
   * `is_for_several` is set to 1 where they come here all the same while others are in flight.
   * Null: this backend has no pool beside it. */
  const char* (*avoid)(const uvdio_file_t* file, int* is_for_several);

  /* Takes a request, as promised above. */
  int (*submit)(uvdio__queue_t* queue, uvdio_req_t* req);

  /* Takes a transfer, as submit does, and moves its next `length` bytes at most, which are less
   * than are left (faults/front.c). Null: submit has read the request's length when it returns; or,
   * without descriptors, perform does not block. */
  int (*submit_part)(uvdio__queue_t* queue, uvdio_req_t* req, size_t length);

  /* Gives the request that was submitted last the I/O priority req->ioprio_. Null: the backend
   * passes none on, or looks at it by itself. */
  void (*prioritise)(uvdio__queue_t* queue, const uvdio_req_t* req);

  /* Sends on what submit has collected (queue->unflushed). May finish requests. Null: nothing is
   * ever collected. */
  void (*flush)(uvdio__queue_t* queue);

  /* Takes what has finished and is there to be taken, between callbacks. Returns 0, or REAP_* when
   * it has to be called again before the loop may sleep. Null: whatever finishes wakes the loop by
   * itself. */
  int (*reap)(uvdio__queue_t* queue);

  /* Busy polling: looks for completions until the clock of uv_hrtime() says `deadline`. Returns 1
   * as soon as reap has something to do, else 0, after which reap has to be called as well. Null:
   * the backend can't be polled. */
  int (*busy_poll)(uvdio__queue_t* queue, uint64_t deadline);

  /* Tries to make a running request (req->cancelled_ is set) end early. Never finishes it
   * itself. */
  void (*cancel)(uvdio__queue_t* queue, uvdio_req_t* req);

  /* Performs the request on the calling thread, blocking; returns what uvdio__queue_done() would be
   * given. Only this one may run on another thread, and touches nothing but the request's
   * arguments. */
  int64_t (*perform)(const uvdio__queue_t* queue, uvdio_req_t* req);

  /* Gives `file` in handle_ what `source` has, which may be another engine's, on another thread:
   * both are handles of one open file from here on. Errors: UV_EXDEV (that engine's files can't be
   * this one's), and the system's. */
  int (*dup)(const uvdio__queue_t* queue, uvdio_file_t* file, const uvdio_file_t* source);

  /* Closes what it has on the loop, through uvdio__loop_close_handle(). Requests may be running,
   * and go on. Null: it has nothing there. */
  void (*leave_loop)(uvdio__queue_t* queue);

  /* Off the loop: waits until something has finished that reap would take, or the loop has
   * something else to do, for `timeout_ms` at most. Null: whatever finishes wakes the loop by
   * itself. */
  void (*wait)(uvdio__queue_t* queue, int timeout_ms);

  /* On a worker thread: gives back what takes the kernel long. Nothing is running, and `close`
   * follows, which does the same where no worker could be had. Not in a forked child. Null: nothing
   * takes long. */
  void (*release)(uvdio__queue_t* queue);

  /* Gives everything back; nothing is running, and nothing is on the loop any more. In a forked
   * child requests may still be marked as with a worker; nothing of the parent's is touched. */
  void (*close)(uvdio__queue_t* queue);

  /* What follows is for backends that are bound to the thread on which the loop first turned; null
   * for the others. */

  /* The loop runs on another thread, with requests pending: from now on the engine's pool does the
   * work. What is with the kernel may have to wait for that thread; what it has finished is taken
   * as ever. */
  void (*off_thread)(uvdio__queue_t* queue);

  /* Nothing is pending: makes it as it was after init, for any thread. On error nothing has
   * changed. */
  int (*rebind)(uvdio__queue_t* queue);

  /* What follows is for backends that the kernel lets keep files and memory by number; null for the
   * others. */

  /* The file, whose fixed_index_ is not 0, is about to be closed, and nothing of it is running. */
  void (*unregister_file)(uvdio__queue_t* queue, uvdio_file_t* file);

  /* See uvdio_arena_register() and its neighbours, whose checks have been made. */
  int (*register_arena)(uvdio__queue_t* queue, const uvdio_arena_t* arena);
  int (*unregister_arena)(uvdio__queue_t* queue, const uvdio_arena_t* arena);
  void (*get_registration)(const uvdio__queue_t* queue, const uvdio_arena_t* arena,
                           uvdio_registration_t* info);

  /* Some arena is gone that may have been registered. */
  void (*sweep)(uvdio__queue_t* queue);
};

/* What reap may return. */
#define REAP_AGAIN (1 << 0) /* there is more now */
#define REAP_LATER (1 << 1) /* in the next iteration: nobody is woken when there is */

/* Why a queue takes nothing for now; uvdio__queue_t.stalled. */
/* the kernel refuses; the backend clears it, and wakes the engine */
#define QUEUE_STALLED (1u << 0)
#define QUEUE_BROKEN (1u << 1) /* the backend is unusable: the one behind it stands in (engine.h) */

struct uvdio__queue_s {
  const uvdio__backend_t* backend;
  uvdio_engine_t* engine;
  uvdio__list_t waiting;
  uvdio__list_t running;
  unsigned depth;     /* requests that the backend can take */
  unsigned in_flight; /* length of `running` */
  unsigned unflushed; /* submissions that flush has yet to send */
  /* their weight: 1 for a read, more for those that gain by an early start */
  unsigned batch_weight;
  unsigned batch_limit; /* weight at which they are looked at; 0 outside an iteration (batch.h) */
  unsigned stalled;     /* QUEUE_*, or 0 */
  void* state;          /* the backend's own */
};

#ifdef UVDIO_HAVE_RING
extern const uvdio__backend_t uvdio__backend_ring;
extern const uvdio__backend_t uvdio__backend_polled;
#endif
#ifdef UVDIO_HAVE_AIO
extern const uvdio__backend_t uvdio__backend_aio;
#endif
extern const uvdio__backend_t uvdio__backend_pool;
extern const uvdio__backend_t uvdio__backend_memory;

/* Sends what was submitted if it is time to. */
void uvdio__queue_flush_if_due(uvdio__queue_t* queue);

/* A running request has ended: uvdio__queue_done() in completion.h. */

/* A running request takes another step on this queue. */
void uvdio__queue_again(uvdio__queue_t* queue, uvdio_req_t* req);

/* Hands a running request over to the engine's pool: this queue can't execute it. */
void uvdio__queue_punt(uvdio__queue_t* queue, uvdio_req_t* req);

/* Hands a running request of the polled queue over to the one behind it. */
void uvdio__queue_unpoll(uvdio__queue_t* queue, uvdio_req_t* req);

/* The queue's backend has become unusable. `reason` tells why; from now on what stands behind it
 * does the work. What is running still ends through uvdio__queue_done() or uvdio__queue_punt(). */
void uvdio__queue_broken(uvdio__queue_t* queue, const char* reason);

/* After that, and when what the backend has not sent on is the pool's: what still runs there may
 * never come back, and holds up no class. */
void uvdio__queue_forget_running(uvdio__queue_t* queue);

/* It is usable again, and nothing is pending. */
void uvdio__queue_mended(uvdio__queue_t* queue, const char* reason);

/* There is something to flush or to call back: keeps the loop from blocking until its next
 * iteration. */
void uvdio__loop_wake(uvdio_engine_t* engine);

/* Closes a handle, where the user has not; `close_cb` calls uvdio__loop_handle_closed() and does
 * nothing else. The memory of either is freed by the backend's close. */
void uvdio__loop_close_handle(uvdio_engine_t* engine, uv_handle_t* handle, uv_close_cb close_cb);
void uvdio__loop_handle_closed(uvdio_engine_t* engine);

#endif /* UVDIO_BACKEND_H */
