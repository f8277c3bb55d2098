/* SPDX-License-Identifier: MIT */
/*
 * The engine: the library's state on one loop, and the checks that concern no file.
 *
 * Life of an engine (`state`), and of its handles on the loop (`loop_state`):
 *
 *   OPEN ---------------> CLOSING ----------------> CLOSED ---> freed
 *     | uvdio_engine_close   |     all drained         ^
 *     |                      | in a forked child       |
 *     +-----------------> ABANDONED -------------------+
 *       in a forked child
 *
 *   state      operations        requests
 *   OPEN       accepted          any
 *   CLOSING    UV_EBADF          those accepted before; then the closes of files left open
 *   ABANDONED  UV_EBADF          each ends with UVDIO_EFORK; the parent's are not touched
 *   CLOSED     UV_EBADF          none; queues are closed, only the close callback is left
 *
 *   ATTACHED --------------------> LINGERING --------------------> DETACHED
 *     |  the user has closed handles            the loop is through with them    ^
 *     +--------------------------------------------------------------------------+
 *        uvdio_engine_close
 *
 *   loop_state  handles                             an iteration is
 *   ATTACHED    check, idle, prepare are active     the check and idle phases of the loop
 *   LINGERING   closing, some by the user           the closing phase (loop.c)
 *   DETACHED    closing or closed                   the closing phase
 *
 * Invariants, asserted by uvdio__engine_assert_valid():
 *   - CLOSING and later imply that the loop_state is not ATTACHED;
 *   - off the loop the idle handle is not active and no thread is the poller;
 *   - CLOSED implies that nothing waits, runs or is completed, and that no file is left;
 *   - without a bound thread nothing is in flight;
 *   - requests are in flight within `limit` only;
 *   - `not_direct` counts what waits, the classes, and the metrics.
 */
#ifndef UVDIO_ENGINE_H
#define UVDIO_ENGINE_H

#include <assert.h>

#include "backend.h"
#include "compiler.h"
#include "debug/ownership.h"
#include "list.h"
#include "loop.h"
#include "os/os.h"
#include "request.h"
#include "trace.h"
#include "uvdio.h"
#include "uvdio/metrics.h"

#define QUEUE_MAIN 0
#define QUEUE_POOL 1
#define QUEUE_POLLED 2 /* where UVDIO_ENGINE_POLLED has asked for it, and it can be had */
#define QUEUES 3

/* What the engine's reason says with a polled queue that works. */
#define POLLED_WORDS "; with polled completions for files whose device has queues for them"

typedef enum {
  ENGINE_OPEN = 0,
  ENGINE_CLOSING,
  ENGINE_ABANDONED,
  ENGINE_CLOSED
} uvdio__engine_state_t;

/* Why submissions may be refused. */
#define REFUSES_ALL (1u << 0)  /* it is not open */
#define REFUSES_SOME (1u << 1) /* those of classes that are full (class.h) */

/* What looks at each iteration. */
#define WATCHES_LATE (1u << 0)    /* late.h */
#define WATCHES_METRICS (1u << 1) /* metrics.h */

typedef enum { LOOP_ATTACHED = 0, LOOP_LINGERING, LOOP_DETACHED } uvdio__loop_state_t;

struct uvdio_engine_s {
  uv_loop_t* loop;
  void* data;
  uvdio__engine_state_t state;
  uvdio__loop_state_t loop_state;
  unsigned refuses;    /* REFUSES_*, or 0 */
  unsigned generation; /* uvdio__os_fork_generation() when the engine was made */
  uintptr_t thread;    /* number of the thread that runs the loop; 0: not bound yet */
  uintptr_t poller;    /* the thread on which the loop is between prepare and check; 0: none */

  /* Deadlines (late.h). */
  uvdio_late_cb late_cb; /* null: nobody watches */
  void* late_arg;
  uint64_t late_ms;     /* the deadline of requests without one of their own */
  uint64_t look_due_ms; /* by uv_now() */
  uint64_t last_end_ms; /* the last iteration that ran callbacks */

  unsigned watches;             /* WATCHES_*: what looks at each iteration; 0: nothing */
  uint64_t note_calls_above_ns; /* system calls that take longer are looked at */

  /* Conditions of the current iteration; each is 0 or 1. */
  int in_iteration;     /* callbacks run or queues are submitted: no wake-up is needed */
  int has_plain_end;    /* in an iteration, without classes and metrics: a request just ends */
  int has_plain_accept; /* the loop is held, and there are no metrics: a request is just counted */
  int poll_pending;     /* a backend has to be asked again before the loop blocks */
  int busy_poll_wanted; /* something was submitted that busy polling should wait for */
  int idle_active;      /* the idle handle is active: the loop does not block */
  int loop_ref_held;    /* the check handle keeps the loop alive */
  int is_walked;        /* uvdio_engine_walk() is on the stack: its lists stay */
  int on_wrong_thread;  /* the loop runs elsewhere than on `thread`, with requests pending */
  int is_released;      /* a worker has been asked to give back what takes long (engine_close.c) */

  /* Options. */
  unsigned depth;
  unsigned callbacks_max; /* per iteration */
  unsigned batch_max;     /* requests to gather at most */
  uint64_t busy_poll_ns;  /* per iteration; 0: none */
  int wants_polled;       /* UVDIO_ENGINE_POLLED */
  int no_auto_register;   /* arenas are registered by uvdio_arena_register() only */

  uvdio__queue_t queues[QUEUES];
  unsigned queue_count;
  unsigned next_queue; /* the one that submits next where several have something waiting */
  unsigned limit;      /* requests in flight on all queues; 0 until the first iteration */
  unsigned waiting;    /* length of all `waiting` lists, those of classes included */
  unsigned not_direct; /* `waiting`, 1 with classes, 1 with metrics; 0: a request goes on at once */
  uvdio__list_t completed;         /* requests whose callback is due, oldest first */
  struct uvdio__vector_s* vectors; /* the stock, for requests with several buffers (vector.h) */
  unsigned vector_count;           /* of the stock; `depth` at most */
  struct uvdio__durability_s* durability; /* by device (durability.h) */
  struct uvdio__classes_s* classes;       /* null: none (class.h) */
  struct uvdio__metrics_s* metrics;       /* null: off (metrics.h) */
  uvdio_file_t* files;                    /* every file that is opening, open or closing */
  uvdio_link_t_ shares;                   /* those of them that have a share (share.h) */
  uvdio_file_t no_file;      /* in the place of one, for what has none: names, frames; on no list */
  uvdio__list_t frame_waits; /* requests that wait for frames of an arena (frames.h) */
  unsigned arenas_gone;      /* uvdio__arenas_gone when it was last looked at */
  uvdio_req_t close_req;     /* closes files that the user left open, one after the other */
  uvdio_engine_cb close_cb;

  const uvdio__loop_hooks_t* hooks;
  unsigned handles_closing;
  uv_check_t check;     /* runs callbacks; keeps the loop alive while requests are pending */
  uv_idle_t idle;       /* active while the loop must not block */
  uv_prepare_t prepare; /* releases registrations of destroyed arenas before the loop blocks */
  uv_async_t tick;      /* off the loop: closed when made, its close callback is an iteration */
  uv_timer_t timer;     /* wakes the loop (loop.h); not before has_timer */
  int has_timer;
  uv_async_t signal; /* of other threads (loop.h); not before has_signal */
  int has_signal;
  int is_signal_open;    /* by the mutex, as the next two */
  uvdio_link_t_ signals; /* links of shares that were signalled to, oldest first */
  uvdio_link_t_ given;   /* the same, of those of frame_waits that have their frames */
  uv_mutex_t signal_mutex;

  uvdio_engine_stats_t stats; /* but for `pending`, which follows from the others */
  char reason[UVDIO__REASON_SIZE];
  char polled_words[UVDIO__REASON_PART + 32]; /* what it says of polled completions; or "" */
};

/* Whether this process got the engine by a fork. */
static inline int uvdio__engine_is_forked(const uvdio_engine_t* engine) {
  return engine->generation != uvdio__os_fork_generation();
}

/* True in a forked child that has not closed the inherited engine. Its requests belong to the
 * parent: they are not touched. */
static inline int uvdio__engine_is_inherited(const uvdio_engine_t* engine) {
  return uvdio__engine_is_forked(engine) && engine->state < ENGINE_ABANDONED;
}

static inline int uvdio__engine_is_foreign(const uvdio_engine_t* engine) {
  return engine->thread != 0 && engine->thread != uvdio__os_this_thread;
}

/* 0, UVDIO_EFORK or UVDIO_ETHREAD. */
static inline int uvdio__engine_check_thread(const uvdio_engine_t* engine) {
  if (uvdio__engine_is_forked(engine)) {
    return UVDIO_EFORK;
  }
  return uvdio__engine_is_foreign(engine) ? UVDIO_ETHREAD : 0;
}

/* The same, or UV_EBADF (closing). */
static inline int uvdio__engine_check(const uvdio_engine_t* engine) {
  return (engine->refuses & REFUSES_ALL) != 0 ? UV_EBADF : uvdio__engine_check_thread(engine);
}

/* Requests that were accepted and not called back. */
static inline uint64_t uvdio__engine_pending(const uvdio_engine_t* engine) {
  return engine->stats.submitted - engine->stats.completed;
}

/* Counts a request as accepted: its callback follows, and the loop stays alive until then. */
static inline void uvdio__engine_accept(uvdio_engine_t* engine, uvdio_req_t* req) {
  uvdio__set_magic(req);
  uvdio__ownership_acquire(req);
  engine->stats.submitted++;
  req->submitted_ms_ = uv_now(engine->loop);
  uvdio__trace_submit(req);
  if (UVDIO__UNLIKELY(!engine->has_plain_accept)) {
    uvdio__loop_note_accept(engine, req);
  }
}

/* Keeps how long a system call took, in the counters and in the metrics (metrics.c). */
void uvdio__engine_keep_call(uvdio_engine_t* engine, uvdio_call_t call, uint64_t took_ns);

/* A system call on the loop's thread, or a few of them, that began at that time of
 * uvdio__clock_ns(), has ended. */
static inline void uvdio__engine_note_call(uvdio_engine_t* engine, uvdio_call_t call,
                                           uint64_t began_ns) {
  uint64_t took_ns = uvdio__clock_ns() - began_ns;

  if (UVDIO__UNLIKELY(took_ns > engine->note_calls_above_ns)) {
    uvdio__engine_keep_call(engine, call, took_ns);
  }
}

/* After a change of what it depends on. */
static inline void uvdio__engine_set_plain_end(uvdio_engine_t* engine) {
  engine->has_plain_end =
      engine->in_iteration && engine->classes == NULL && engine->metrics == NULL;
}

/* The same. */
static inline void uvdio__engine_set_plain_accept(uvdio_engine_t* engine) {
  engine->has_plain_accept = engine->loop_ref_held && engine->metrics == NULL;
}

/*
 * Queues, as far as backends need them
 */

static inline int uvdio__queue_is_broken(const uvdio__queue_t* queue) {
  return (queue->stalled & QUEUE_BROKEN) != 0;
}

/* The engine's polled queue, or null. */
static inline uvdio__queue_t* uvdio__engine_polled(uvdio_engine_t* engine) {
  return engine->queue_count > QUEUE_POLLED ? &engine->queues[QUEUE_POLLED] : NULL;
}

/* The queue that does what this one can't: the pool, and for the polled one the engine's own. */
static inline uvdio__queue_t* uvdio__queue_behind(const uvdio__queue_t* queue) {
  uvdio_engine_t* engine = queue->engine;

  assert(queue != &engine->queues[QUEUE_POOL]);
  return &engine->queues[queue == &engine->queues[QUEUE_POLLED] ? QUEUE_MAIN : QUEUE_POOL];
}

/* The queue, or in the place of a broken one what stands behind it. */
static inline uvdio__queue_t* uvdio__queue_in_use(uvdio__queue_t* queue) {
  while (UVDIO__UNLIKELY(uvdio__queue_is_broken(queue))) {
    queue = uvdio__queue_behind(queue);
  }
  return queue;
}

/* Whether one more request may go to the backend: `limit` is over all queues of the engine. */
static inline int uvdio__queue_has_room(const uvdio__queue_t* queue) {
  return queue->engine->stats.in_flight < queue->engine->limit && queue->in_flight < queue->depth &&
         queue->stalled == 0;
}

static inline void uvdio__queue_trace_stall(const uvdio__queue_t* queue) {
  uvdio__trace_stall(queue->engine, queue->backend->name, queue->stalled & QUEUE_STALLED,
                     queue->in_flight, queue->unflushed, queue->engine->waiting);
}

/* The kernel takes nothing for now. Whoever says so sees to it that it is asked again. */
static inline void uvdio__queue_stall(uvdio__queue_t* queue) {
  queue->stalled |= QUEUE_STALLED;
  uvdio__queue_trace_stall(queue);
}

/* It is worth another try. */
static inline void uvdio__queue_unstall(uvdio__queue_t* queue) {
  if (UVDIO__UNLIKELY((queue->stalled & QUEUE_STALLED) != 0)) {
    queue->stalled &= ~QUEUE_STALLED;
    uvdio__queue_trace_stall(queue);
  }
}

/* The backend has the request. */
static inline void uvdio__queue_started(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__trace_start(req, queue->backend->name);
  req->state_ = STATE_RUNNING;
  uvdio__list_append(&queue->running, req);
  queue->in_flight++;
  queue->engine->stats.in_flight++;
  assert(queue->in_flight <= queue->depth &&
         queue->engine->stats.in_flight <= queue->engine->limit);
  if (queue->batch_weight >= queue->batch_limit) {
    uvdio__queue_flush_if_due(queue);
  }
}

/* The backend is through with the request. */
static inline void uvdio__queue_stop(uvdio_engine_t* engine, uvdio__queue_t* queue,
                                     const uvdio_req_t* req) {
  assert(req->state_ == STATE_RUNNING && req->queue_ == queue && queue->engine == engine &&
         queue->in_flight > 0);
  uvdio__list_remove(req);
  queue->in_flight--;
  engine->stats.in_flight--;
}

static inline void uvdio__engine_assert_valid(const uvdio_engine_t* engine) {
  assert((engine->state == ENGINE_OPEN) == ((engine->refuses & REFUSES_ALL) == 0));
  assert(engine->state == ENGINE_OPEN || engine->loop_state != LOOP_ATTACHED);
  assert(engine->loop_state == LOOP_ATTACHED || (!engine->idle_active && engine->poller == 0));
  assert(engine->state != ENGINE_CLOSED ||
         (engine->waiting == 0 && engine->stats.in_flight == 0 && engine->files == NULL &&
          uvdio__list_is_empty(&engine->completed) && uvdio__list_is_empty(&engine->frame_waits)));
  assert(engine->thread != 0 || engine->stats.in_flight == 0);
  assert(engine->stats.in_flight <= engine->limit);
  assert(engine->not_direct ==
         engine->waiting + (engine->classes != NULL) + (engine->metrics != NULL));
  assert(((engine->watches & WATCHES_METRICS) != 0) == (engine->metrics != NULL));
  assert(((engine->watches & WATCHES_LATE) != 0) == (engine->late_cb != NULL));
  (void)engine;
}

#endif /* UVDIO_ENGINE_H */
