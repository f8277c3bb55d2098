/*
 * What engine.c, request.c, file.c and the backends share: the engine itself, and the life of a request.
 *
 *             check ok                 depth free                  kernel / worker done
 *   IDLE ───────────────► WAITING ───────────────► RUNNING ─────────────────────────► COMPLETED ──► IDLE
 *     │                     ▲   ▲                     │                                   ▲        (callback)
 *     │ sync behind changes │   └─────────────────────┘ short transfer, retry, punt       │
 *     └──────────────► HELD ┘                                                             │
 *                       └─────────────────────── cancelled ───────────────────────────────┘
 *
 *   state      who has it                          list
 *   IDLE       the user                            none; the stamp is cleared
 *   WAITING    its queue                            queue->waiting
 *   RUNNING    the backend, its buffer with it     queue->running
 *   HELD       its file (a sync, a durable write,  file->held_ or followers_, durable_waiting_, truncate_queue_; none for the close
 *              a truncate and what comes after
 *              it, or the close)
 *   COMPLETED  the engine                          engine->completed
 *
 * All of it happens on the loop's thread.
 */
#ifndef UVDIO_INTERNAL_H
#define UVDIO_INTERNAL_H

#include <assert.h>
#include <stddef.h>
#include <time.h>

#include "arena.h"
#include "backend.h"
#include "os/os.h"
#include "debug/ownership.h"
#include "uvdio.h"

enum { STATE_IDLE = 0, STATE_WAITING, STATE_RUNNING, STATE_HELD, STATE_COMPLETED };

/* uvdio_req_t.flags_ */
#define REQ_EXACT 1u   /* the end of the file is an error */
#define REQ_CHECK_EOF 2u /* a doubtful short read: find out whether the file really ends here */
#define REQ_ORDERED 4u /* on file->order_ */
#define REQ_UNCANCELLABLE 8u   /* an open that has done something already: too late to cancel */
#define REQ_OUTCOME_UNKNOWN 16u /* a forked child can't know how far it came */
#define REQ_DURABLE 32u /* a durable write on file->durable_waiting_ */
#define REQ_REFUSED 64u /* the ring can't do it now: the pool's answer counts */

/* uvdio_file_t.state_ */
#undef FILE_OPEN /* <winnt.h> has one, too, which nothing that includes this file uses. */
enum { FILE_CLOSED = 0, FILE_OPENING, FILE_OPEN, FILE_CLOSING };

#define QUEUE_MAIN 0
#define QUEUE_POOL 1
#define LANES 2

#define REASON_SIZE 384

struct uvdio_engine_s {
  uv_loop_t* loop;
  void* data;
  unsigned generation; /* of uvdio__os_fork_generation(), where the engine was made */
  uintptr_t thread; /* the one that runs the loop; 0 until then, and nothing is handed to a backend before */
  uintptr_t poller; /* the thread on which the loop is between prepare and check; 0: none */
  unsigned depth;
  int closing;   /* uvdio_engine_close() was called */
  int strayed;   /* has had a turn on a thread that it is not bound to, with requests pending */
  int off_loop;  /* its handles are closed or closing: see "Off the loop" in engine.c */
  int lingering; /* the user has closed some of them, and the loop may not be through with these */
  int torn_down; /* its queues are closed */
  int abandoned; /* closed by a forked child: nothing of the parent's is left in it */
  int in_iteration;     /* callbacks are being called or queues pumped; what they leave is looked at after that */
  int poll_pending;       /* by a backend: queues have to be reaped before the loop sleeps, requests pending or not */
  int idle_active;      /* the idle handle is active */
  int loop_ref_held;  /* the check handle keeps the loop alive */
  unsigned limit; /* requests with all backends together; 0 until a turn of the loop has something to do */
  unsigned waiting; /* length of all queues' lists of that name */
  int manual;           /* arenas are registered by uvdio_arena_register() only */
  unsigned arenas_gone; /* uvdio__arenas_gone when it was last looked at */
  unsigned handles_closing;
  unsigned callbacks_max;
  unsigned batch; /* submissions to gather at most */
  uint64_t busy_poll_ns; /* of each turn; 0: none */
  int busy_poll_wanted;         /* something was submitted that is to be watched before the loop sleeps */
  uvdio__queue_t queues[LANES];
  uvdio__queue_t* queue;  /* where new files go: main, or pool after main broke */
  unsigned queue_count;
  unsigned next_queue; /* whose turn it is to start something that waits */
  uvdio__list_t completed; /* oldest first */
  uvdio_file_t* files; /* every file that is opening, open or closing */
  uvdio_req_t close_req;  /* closes what the user left open, one after the other */
  uvdio_engine_cb close_cb;
  uv_check_t check; /* runs callbacks; keeps the loop alive while requests are pending */
  uv_idle_t idle;   /* active while the loop must not block */
  uv_prepare_t prepare; /* the last look at what is to be let go of, before the loop sleeps */
  uv_async_t tick; /* off the loop: closed as soon as it is made, to be called back next turn */
  uvdio_engine_stats_t stats; /* but for `pending`, which follows from the others */
  char reason[REASON_SIZE];
};

/* What has `member` at that address. The `data` of the library's handles stays null: programs that
 * walk over the loop's handles take it for their own. */
#define UVDIO__CONTAINER_OF(address, type, member) \
  ((type*)((uintptr_t)(address) - offsetof(type, member)))

/* For what is off the straight path of an operation: kept out of line, it costs the others no registers. */
#if defined(__GNUC__)
#define UVDIO__NOINLINE __attribute__((noinline))
#elif defined(_MSC_VER)
#define UVDIO__NOINLINE __declspec(noinline)
#else
#define UVDIO__NOINLINE
#endif

#if defined(__GNUC__)
#define UVDIO__UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define UVDIO__UNLIKELY(condition) (condition)
#endif

/*
 * Requests (request.c)
 */

/* An address mixed with a constant: memory that was never a request or a file does not look like one in use. */
static inline uintptr_t uvdio__magic_of(const void* object) {
  return (uintptr_t)object ^ (uintptr_t)0x75766469u;
}

static inline int uvdio__is_pending(const uvdio_req_t* req) {
  return req->magic_ == uvdio__magic_of(req);
}

/* Takes a request as the library's. */
static inline void uvdio__set_magic(uvdio_req_t* req) {
  req->magic_ = uvdio__magic_of(req);
}

/* Whether the operation changes the file, so that a sync has to cover it. */
static inline int uvdio__is_change(uvdio_op_t op) {
  return op == UVDIO_OP_WRITE || op == UVDIO_OP_TRUNCATE || op == UVDIO_OP_PREALLOCATE;
}

static inline int uvdio__is_sync(uvdio_op_t op) {
  return op == UVDIO_OP_SYNC_DATA || op == UVDIO_OP_SYNC_ALL;
}

static inline int uvdio__is_transfer(uvdio_op_t op) {
  return op == UVDIO_OP_READ || op == UVDIO_OP_WRITE;
}

/* What a truncate must not run beside: reads and whatever changes the file. */
static inline int uvdio__is_gated(uvdio_op_t op) {
  return uvdio__is_transfer(op) || uvdio__is_change(op);
}

/* Whether a ring's result says that the ring can't do this now: the pool may. */
static inline int uvdio__is_ring_refusal(int64_t result, int is_cancelled) {
  return result == UV_EAGAIN || result == UV_ENOMEM || result == UV_ENOBUFS || result == UV_ENOTSUP ||
         result == UV_ENOSYS || (result == UV_ECANCELED && !is_cancelled);
}

/* What to do with a request that a backend has finished. */
typedef enum {
  VERDICT_DONE,  /* req->result holds the outcome */
  VERDICT_AGAIN, /* the same queue goes on with the rest */
  VERDICT_PUNT   /* the pool has to go on */
} uvdio__verdict_t;

/* Takes the result of a backend into account: short transfers, retries, the end of the file. */
uvdio__verdict_t uvdio__request_settle(uvdio_req_t* req, int64_t result);

/* Gives a request that no backend has its outcome. What it moved before counts. */
void uvdio__request_fail(uvdio_req_t* req, int error);

/* The bytes that a transfer has yet to move, limited to what one system call can. */
size_t uvdio__request_rest(const uvdio_req_t* req);

/* Performs a request through the system layer, blocking: what a worker does, and ring and pool for the synchronous
 * forms. */
int64_t uvdio__request_perform(const uvdio__queue_t* queue, uvdio_req_t* req);

/*
 * Lists: circular, each being the link between its last and its first. Inline, because every operation passes four of them.
 */

static inline void uvdio__list_init(uvdio__list_t* list) {
  list->next = list;
  list->prev = list;
}

static inline int uvdio__list_is_empty(const uvdio__list_t* list) {
  return list->next == list;
}

static inline void uvdio__link_insert(uvdio_link_t_* link, uvdio_link_t_* before) {
  uvdio_link_t_* after = before->prev;

  assert(after->next == before);
  link->next = before;
  link->prev = after;
  after->next = link;
  before->prev = link;
}

static inline void uvdio__link_remove(const uvdio_link_t_* link) {
  assert(link->next->prev == link && link->prev->next == link);
  link->prev->next = link->next;
  link->next->prev = link->prev;
}

static inline uvdio_req_t* uvdio__link_req(const uvdio__list_t* list, const uvdio_link_t_* link) {
  return link == list ? NULL : (uvdio_req_t*)((uintptr_t)link - offsetof(uvdio_req_t, link_));
}

static inline void uvdio__list_append(uvdio__list_t* list, uvdio_req_t* req) {
  uvdio__link_insert(&req->link_, list);
}

static inline void uvdio__list_prepend(uvdio__list_t* list, uvdio_req_t* req) {
  uvdio__link_insert(&req->link_, list->next);
}

static inline void uvdio__list_remove(const uvdio_req_t* req) {
  uvdio__link_remove(&req->link_);
}

/* Of a list that is not empty. */
static inline uvdio_req_t* uvdio__list_take(uvdio__list_t* list) {
  uvdio_link_t_* first = list->next;

  assert(first != list);
  uvdio__link_remove(first);
  return (uvdio_req_t*)((uintptr_t)first - offsetof(uvdio_req_t, link_));
}

/* Null where there is none. */
static inline uvdio_req_t* uvdio__list_first(const uvdio__list_t* list) {
  return uvdio__link_req(list, list->next);
}

static inline uvdio_req_t* uvdio__list_last(const uvdio__list_t* list) {
  return uvdio__link_req(list, list->prev);
}

static inline uvdio_req_t* uvdio__list_after(const uvdio__list_t* list, const uvdio_req_t* req) {
  return uvdio__link_req(list, req->link_.next);
}

static inline uvdio_req_t* uvdio__list_before(const uvdio__list_t* list, const uvdio_req_t* req) {
  return uvdio__link_req(list, req->link_.prev);
}

static inline uvdio_req_t* uvdio__list_shift(uvdio__list_t* list) {
  uvdio_req_t* first = uvdio__list_first(list);

  if (first != NULL) {
    uvdio__list_remove(first);
  }
  return first;
}

/*
 * Files (file.c)
 */

static inline uvdio__open_state_t* uvdio__open_state_of(const uvdio_req_t* req) {
  return (uvdio__open_state_t*)req->args_;
}

/* The short way of a transfer asks a file one thing: is this your thread? The answer is yes only while the file is open and
 * nothing is to be thought of but the transfer: the engine is bound and not closing, the ring executes the file's transfers and
 * knows how its entries begin, no truncate and no close is about. Whatever changes one of these says so by this. */
void uvdio__file_update_fast_path(uvdio_file_t* file);

/* The same for all files of the engine. */
void uvdio__engine_update_fast_paths(const uvdio_engine_t* engine);

static inline uintptr_t uvdio__fast_path_key(const uvdio_file_t* file, uintptr_t thread) {
  return (uintptr_t)file ^ thread;
}

static inline int uvdio__file_is_straight(const uvdio_file_t* file) {
  return file->fast_path_key_ == uvdio__fast_path_key(file, uvdio__os_this_thread);
}

/* A request on the file has reached its outcome: opens and closes the file, keeps its counts and its order, and
 * starts what waited for that. */
void uvdio__file_outcome(uvdio_req_t* req);

static inline void uvdio__order_remove(uvdio_req_t* req) {
  uvdio__link_remove(&req->order_link_);
  req->flags_ &= (unsigned char)~REQ_ORDERED;
}

/* The same, and by a shorter way for what no other request can have waited for: reads, and writes whose success is no matter
 * of durability. */
static inline void uvdio__file_request_done(uvdio_req_t* req) {
  uvdio_file_t* file = req->file;

  if (req->op == UVDIO_OP_READ && !file->has_waiters_) {
    assert(file->pending_ > 0);
    req->buf_.len = req->transferred;
    file->pending_--;
  } else if (req->op == UVDIO_OP_WRITE && !file->has_waiters_ && (file->flags_ & UVDIO_O_DSYNC) == 0 &&
             (req->flags_ & REQ_ORDERED) != 0 && uvdio__list_is_empty(&file->held_)) {
    assert(file->pending_ > 0);
    uvdio__order_remove(req);
    file->pending_--;
  } else {
    uvdio__file_outcome(req);
  }
}

/* The same for the synchronous forms, which are counted nowhere. */
void uvdio__file_apply(uvdio_req_t* req);

/* The user is about to be told that the file is closed, and may open it again from then on. Does nothing to any other. */
void uvdio__file_release(uvdio_file_t* file);

/* Closes the file for the user, who did not. */
void uvdio__file_close_left_open(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);

/* Takes a held request away from its file, to complete it. */
void uvdio__file_undefer(uvdio_req_t* req);

/* Completes everything that the file holds, but for its close, with `error`. */
void uvdio__file_fail_deferred(uvdio_file_t* file, int error);

/* The engine's queue is another one: which one is the file's? Nothing is pending on it. */
void uvdio__file_pick_queue(uvdio_file_t* file);

/* Closes the descriptor of a file on which nothing is pending, blocking, without a word to anybody. */
void uvdio__file_close_now(uvdio_file_t* file);

/*
 * Engine (engine.c)
 */

/* Whether this process got the engine by a fork. */
static inline int uvdio__engine_is_forked(const uvdio_engine_t* engine) {
  return engine->generation != uvdio__os_fork_generation();
}

static inline int uvdio__engine_is_foreign(const uvdio_engine_t* engine) {
  return engine->thread != 0 && engine->thread != uvdio__os_this_thread;
}

/* 0, UV_EBADF (closing), UVDIO_EFORK or UVDIO_ETHREAD. */
static inline int uvdio__engine_check(const uvdio_engine_t* engine) {
  if (engine->closing) {
    return UV_EBADF;
  }
  if (uvdio__engine_is_forked(engine)) {
    return UVDIO_EFORK;
  }
  return uvdio__engine_is_foreign(engine) ? UVDIO_ETHREAD : 0;
}

/* Keeps the loop alive for the requests that were accepted. */
void uvdio__engine_refer(uvdio_engine_t* engine);

/* Counts a request as accepted. Its callback follows. */
static inline void uvdio__engine_accept(uvdio_engine_t* engine, uvdio_req_t* req) {
  uvdio__set_magic(req);
  uvdio__ownership_acquire(req);
  engine->stats.submitted++;
  if (!engine->loop_ref_held) {
    uvdio__engine_refer(engine);
  }
}

/* Requests that were accepted and not called back. */
static inline uint64_t uvdio__engine_pending(const uvdio_engine_t* engine) {
  return engine->stats.submitted - engine->stats.completed;
}

/* Lets an accepted request wait on its queue; the engine starts it when there is room. */
void uvdio__queue_add(uvdio_req_t* req);

/* What uv_hrtime() tells, by half as many instructions: it is read twice for each batch. */
static inline uint64_t uvdio__clock_ns(void) {
#ifdef __linux__
  struct timespec now;

  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
#else
  return uv_hrtime();
#endif
}

/* A system call on the loop's thread, or a few of them, has ended that began at that time of uvdio__clock_ns(). */
static inline void uvdio__engine_note_call(uvdio_engine_t* engine, uint64_t began_ns) {
  uint64_t took_ns = uvdio__clock_ns() - began_ns;

  if (UVDIO__UNLIKELY(took_ns > engine->stats.longest_call_ns)) {
    engine->stats.longest_call_ns = took_ns;
  }
}

/* Sends on what was submitted if it is time to. */
void uvdio__queue_flush_if_due(uvdio__queue_t* queue);

/* Whether one more request may go to the queue's backend: the engine's depth is over all of its queues. */
static inline int uvdio__queue_has_room(const uvdio__queue_t* queue) {
  return queue->engine->stats.in_flight < queue->engine->limit && queue->in_flight < queue->depth &&
         !queue->stalled;
}

/* The queue's backend has the request. */
static inline void uvdio__queue_started(uvdio__queue_t* queue, uvdio_req_t* req) {
  req->state_ = STATE_RUNNING;
  uvdio__list_append(&queue->running, req);
  queue->in_flight++;
  queue->engine->stats.in_flight++;
  assert(queue->in_flight <= queue->depth && queue->engine->stats.in_flight <= queue->engine->limit);
  if (queue->batch_weight >= queue->flush_threshold) {
    uvdio__queue_flush_if_due(queue);
  }
}

/* Starts an accepted request at once where nothing stands in the way, else lets it wait: for the submitting calls. Nothing
 * overtakes what waits, not even on the other queue: room that gets free is shared out. */
void uvdio__engine_start(uvdio_req_t* req);

/* Whether a transfer may go the short way to the queue. A ring takes as many as the engine lets in. */
static inline int uvdio__queue_takes_fast(const uvdio__queue_t* queue) {
  const uvdio_engine_t* engine = queue->engine;
  return engine->stats.in_flight < engine->limit && (engine->waiting | queue->stalled) == 0;
}

/* Puts a request with an outcome in line for its callback. It stands there before what shares its outcome. */
static inline void uvdio__engine_push_completed(uvdio_engine_t* engine, uvdio_req_t* req) {
  req->state_ = STATE_COMPLETED;
  uvdio__list_append(&engine->completed, req);
  uvdio__file_request_done(req);
}

/* The same, and sees to it that the line is looked at. */
static inline void uvdio__engine_complete(uvdio_req_t* req) {
  uvdio_engine_t* engine = req->engine_;

  uvdio__engine_push_completed(engine, req);
  if (!engine->in_iteration) {
    uvdio__engine_wake(engine);
  }
}

/* The backend is through with the request. */
static inline void uvdio__queue_stop(uvdio_engine_t* engine, uvdio__queue_t* queue, const uvdio_req_t* req) {
  assert(req->state_ == STATE_RUNNING && req->queue_ == queue && queue->engine == engine && queue->in_flight > 0);
  uvdio__list_remove(req);
  queue->in_flight--;
  engine->stats.in_flight--;
}

/* uvdio__queue_done() for a read or write, from within a turn, where that is now whole, as it mostly is. Returns 0 where it is
 * not, and has done nothing then. */
static inline int uvdio__queue_done_whole(uvdio_engine_t* engine, uvdio__queue_t* queue, uvdio_req_t* req, int64_t result) {
  uvdio__ownership_check(req);
  assert(engine->in_iteration && uvdio__is_transfer(req->op));
  if (req->transferred + (uint64_t)result != req->length_) {
    return 0;
  }
  req->transferred = req->length_;
  req->result = (int64_t)req->length_;
  uvdio__queue_stop(engine, queue, req);
  uvdio__engine_push_completed(engine, req);
  return 1;
}

/* Takes every request off the list and completes it with `error`. */
void uvdio__engine_fail_all(uvdio__list_t* list, int error);

#endif /* UVDIO_INTERNAL_H */
