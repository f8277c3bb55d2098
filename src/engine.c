/*
 * The engine: accepts requests, hands them to its queues, and calls back. One turn of the loop:
 *
 *   idle      while something is unflushed or completed: fill and flush the queues; libuv does not block
 *   poll      the ring's eventfd or the threadpool's results: queues move requests to `completed`
 *   check     callbacks, a bounded number; then fill and flush the queues with what those submitted
 *
 * Once the engine is being closed, a turn is a callback of the loop's closing phase: see "Off the
 * loop".
 *
 * The check handle is always active. It keeps the loop alive while requests are pending and costs one call per
 * turn otherwise. The idle handle is active only while needed, so that a loop with nothing to do sleeps; as
 * long as it is, nothing submitted from any phase, or outside uv_run(), can be left behind.
 */
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "internal.h"
#include "allocator.h"

#define CALLBACKS_PER_TURN_DEFAULT 256
/* Rounds of calling back, flushing and reaping within one turn. A bound for a kernel that has nothing to give and
 * says that it has; ordinary turns take a few. */
#define PASSES_PER_TURN 64
/* More works than libuv has threads for (UV_THREADPOOL_SIZE is at most 1024) only stand in its queue. */
#define POOL_DEPTH_MAX 1024
/* Measured: from 8 to 16 on, more in a batch saves little. */
#define BATCH_DEFAULT 16

/* How long a turn sleeps at most, off the loop: what the loop does not see coming by its
 * descriptors waits for so long. */
#define SLEEP_MS_MAX 1

static void on_idle(uv_idle_t* handle);
static void leave_loop(uvdio_engine_t* engine);
static void tick(uvdio_engine_t* engine);

static uvdio__queue_t* pool_of(uvdio_engine_t* engine) {
  return &engine->queues[engine->queue_count - 1];
}

static UVDIO__NOINLINE void wake_off_loop(uvdio_engine_t* engine) {
  if (!engine->off_loop) {
    leave_loop(engine); /* The user has closed the handle. */
  } else if (engine->handles_closing == 0 && !engine->in_iteration) {
    tick(engine);
  }
}

void uvdio__engine_wake(uvdio_engine_t* engine) {
  int error;

  if (engine->idle_active) {
    return;
  }
  if (engine->off_loop || uv_is_closing((uv_handle_t*)&engine->idle)) {
    wake_off_loop(engine);
    return;
  }
  error = uv_idle_start(&engine->idle, on_idle);
  assert(error == 0);
  (void)error;
  engine->idle_active = 1;
}

/*
 * Queues
 */

static void queue_push_back(uvdio__queue_t* queue, uvdio_req_t* req) {
  req->queue_ = queue;
  req->state_ = STATE_WAITING;
  uvdio__list_append(&queue->waiting, req);
  queue->engine->waiting++;
}

static void queue_push_front(uvdio__queue_t* queue, uvdio_req_t* req) {
  req->state_ = STATE_WAITING;
  uvdio__list_prepend(&queue->waiting, req);
  queue->engine->waiting++;
}

static void queue_remove(uvdio_req_t* req) {
  assert(req->state_ == STATE_WAITING && req->engine_->waiting > 0);
  uvdio__list_remove(req);
  req->engine_->waiting--;
}

static void requeue_on_pool(uvdio__queue_t* queue, uvdio_req_t* req) {
  queue_push_back(pool_of(queue->engine), req);
  uvdio__engine_wake(queue->engine);
}

/* A device with next to nothing to do gets more at once, and one with little to do soon; the others can wait until
 * enough has gathered. Measured: the first costs CPU and gains operations, the last the other way round. After completions were
 * taken, the first few of what follows them are worth a system call of their own, unless there is plenty to do: the device
 * goes on with these while the others gather. */
static void update_batch_limit(uvdio__queue_t* queue, int after_completions) {
  unsigned most = queue->engine->batch < queue->backend->batch ? queue->engine->batch : queue->backend->batch;
  unsigned in_kernel = queue->in_flight > queue->unflushed ? queue->in_flight - queue->unflushed : 0;

  if (most == 0) {
    queue->batch = UINT_MAX;
  } else if (in_kernel < most / 4) {
    queue->batch = 1;
  } else {
    unsigned little = after_completions ? 2 * most : most / 2;
    queue->batch = in_kernel < little ? most / 4 : most;
  }
  queue->flush_threshold = queue->engine->in_iteration ? queue->batch : 0;
}

static void flush(uvdio__queue_t* queue) {
  queue->backend->flush(queue);
  queue->batch_weight = queue->unflushed;
  update_batch_limit(queue, 0);
}

/* Submissions go out at once when the device has nothing to do or enough have gathered, otherwise together
 * with others of this turn. */
void uvdio__queue_flush_if_due(uvdio__queue_t* queue) {
  int in_iteration = queue->engine->in_iteration;

  if (queue->backend->batch > 0 && !queue->stalled && queue->batch_weight >= queue->batch) {
    flush(queue); /* With nothing in the kernel, a batch is one at most. */
  }
  if (queue->engine->busy_poll_ns > 0 && !in_iteration) {
    queue->engine->busy_poll_wanted = 1;
  }
  if ((queue->unflushed > 0 || queue->engine->busy_poll_wanted) && !in_iteration) {
    uvdio__engine_wake(queue->engine);
  }
}

/* The queue did not take the request. Returns 0 when it takes no more for now. */
static int handle_submit_error(uvdio__queue_t* queue, uvdio_req_t* req, int error) {
  if (error == UV_EAGAIN) {
    assert(queue->stalled); /* Whoever ends that wakes the engine. */
    queue_push_front(queue, req);
    return 0;
  }
  if (error == UV_ENOSYS) {
    queue->engine->stats.punted++;
    requeue_on_pool(queue, req);
    return 1;
  }
  uvdio__request_fail(req, error);
  uvdio__engine_complete(req);
  return 1;
}

/* Submits a request to its queue's backend. Returns 0 when the queue takes no more for now. */
static int run(uvdio__queue_t* queue, uvdio_req_t* req) {
  int error = queue->backend->submit(queue, req);

  if (error != 0) {
    return handle_submit_error(queue, req, error);
  }
  uvdio__queue_started(queue, req);
  return 1;
}

/* Whether a file's latch has overtaken the request while it waited. */
static int is_latched(const uvdio_req_t* req) {
  return req->file->latch_ != 0 && (uvdio__is_change(req->op) || uvdio__is_sync(req->op));
}

/* Returns 0 when the queue takes no more for now. */
static int submit_next(uvdio__queue_t* queue) {
  uvdio_req_t* req = uvdio__list_first(&queue->waiting);

  uvdio__ownership_check(req);
  queue_remove(req);
  if (is_latched(req)) {
    uvdio__request_fail(req, req->file->latch_);
    uvdio__engine_complete(req);
    return 1;
  }
  return run(queue, req);
}

/* Starts what waits, one request of each queue in turn, so that none goes without, also where room gets free one at a time. */
static void submit_waiting(uvdio_engine_t* engine) {
  int started;
  unsigned i;

  do {
    started = 0;
    for (i = 0; engine->waiting > 0 && i < engine->queue_count; i++) {
      uvdio__queue_t* queue = &engine->queues[engine->next_queue];
      engine->next_queue = engine->next_queue + 1 < engine->queue_count ? engine->next_queue + 1 : 0;
      if (!uvdio__list_is_empty(&queue->waiting) && uvdio__queue_has_room(queue) && submit_next(queue)) {
        started = 1;
        break;
      }
    }
  } while (started);
}

/* Asked before requests end, because until then their number only grows. */
static void note_in_flight(uvdio_engine_t* engine) {
  uvdio_engine_stats_t* stats = &engine->stats;

  if (stats->in_flight > stats->in_flight_peak) {
    stats->in_flight_peak = stats->in_flight;
  }
}

void uvdio__queue_again(uvdio__queue_t* queue, uvdio_req_t* req) {
  uvdio__queue_stop(queue->engine, queue, req);
  queue_push_front(queue, req);
  if (!queue->engine->in_iteration) {
    uvdio__engine_wake(queue->engine); /* Off the loop, no turn comes by itself. */
  }
}

void uvdio__queue_punt(uvdio__queue_t* queue, uvdio_req_t* req) {
  if (queue == pool_of(queue->engine)) {
    uvdio__queue_again(queue, req);
    return;
  }
  uvdio__queue_stop(queue->engine, queue, req);
  queue->engine->stats.punted++;
  requeue_on_pool(queue, req);
}

void uvdio__queue_done(uvdio__queue_t* queue, uvdio_req_t* req, int64_t result) {
  note_in_flight(queue->engine);
  uvdio__ownership_check(req);
  switch (uvdio__request_settle(req, result)) {
    case VERDICT_DONE:
      uvdio__queue_stop(queue->engine, queue, req);
      uvdio__engine_complete(req);
      break;
    case VERDICT_AGAIN:
      uvdio__queue_again(queue, req);
      break;
    case VERDICT_PUNT:
      uvdio__queue_punt(queue, req);
      break;
  }
}

void uvdio__queue_broken(uvdio__queue_t* queue, const char* reason) {
  uvdio_engine_t* engine = queue->engine;
  uvdio__queue_t* pool = pool_of(engine);
  uvdio_file_t* file;
  uvdio_req_t* req;

  assert(queue != pool);
  engine->queue = pool;
  engine->limit = UINT_MAX; /* What the ring holds may never come back, and the pool has a depth of its own. */
  (void)snprintf(engine->reason, sizeof(engine->reason), "%s", reason);
  for (file = engine->files; file != NULL; file = file->next_) {
    file->queue_ = pool;
    file->queue_concurrent_ = NULL;
    file->reason_ = "";
  }
  uvdio__engine_update_fast_paths(engine);
  while ((req = uvdio__list_first(&queue->waiting)) != NULL) {
    queue_remove(req);
    requeue_on_pool(queue, req);
  }
}

void uvdio__queue_mended(uvdio__queue_t* queue, const char* reason) {
  uvdio_engine_t* engine = queue->engine;
  uvdio_file_t* file;

  engine->queue = queue;
  (void)snprintf(engine->reason, sizeof(engine->reason), "%s", reason);
  for (file = engine->files; file != NULL; file = file->next_) {
    uvdio__file_pick_queue(file);
  }
}

/*
 * Requests
 */

void uvdio__engine_refer(uvdio_engine_t* engine) {
  uv_ref((uv_handle_t*)&engine->check);
  engine->loop_ref_held = 1;
}

static uvdio__queue_t* queue_for(const uvdio_req_t* req) {
  const uvdio_file_t* file = req->file;
  int is_other = file->queue_concurrent_ != NULL && uvdio__is_transfer(req->op) && req->engine_->stats.in_flight > 0;

  return is_other ? file->queue_concurrent_ : file->queue_;
}

void uvdio__queue_add(uvdio_req_t* req) {
  uvdio__queue_t* queue = queue_for(req);

  queue_push_back(queue, req);
  if ((uvdio__queue_has_room(queue) && !queue->engine->in_iteration) || queue->engine->limit == 0) {
    uvdio__engine_wake(queue->engine);
  }
}

void uvdio__engine_start(uvdio_req_t* req) {
  uvdio__queue_t* queue = queue_for(req);

  req->queue_ = queue;
  if (uvdio__queue_has_room(queue) && queue->engine->waiting == 0) {
    (void)run(queue, req);
  } else {
    uvdio__queue_add(req);
  }
}

void uvdio__engine_update_fast_paths(const uvdio_engine_t* engine) {
  uvdio_file_t* file;

  for (file = engine->files; file != NULL; file = file->next_) {
    uvdio__file_update_fast_path(file);
  }
}

void uvdio__engine_fail_all(uvdio__list_t* list, int error) {
  uvdio_req_t* req;

  while ((req = uvdio__list_shift(list)) != NULL) {
    uvdio__request_fail(req, error);
    uvdio__engine_complete(req);
  }
}

int uvdio_cancel(uvdio_req_t* req) {
  uvdio_engine_t* engine;
  uvdio__queue_t* queue;

  if (req == NULL || !uvdio__is_pending(req)) {
    return UV_EINVAL;
  }
  engine = req->engine_;
  if (uvdio__engine_is_forked(engine)) {
    return UVDIO_EFORK;
  }
  if (uvdio__engine_is_foreign(engine)) {
    return UVDIO_ETHREAD;
  }
  if (req->state_ == STATE_COMPLETED || req->op == UVDIO_OP_CLOSE) {
    return UV_EBUSY;
  }
  queue = req->queue_;
  req->cancelled_ = 1;
  if ((req->flags_ & REQ_UNCANCELLABLE) != 0) {
    return 0;
  }
  if (req->state_ == STATE_RUNNING) {
    queue->backend->cancel(queue, req);
    return 0;
  }
  if (req->state_ == STATE_HELD) {
    uvdio__file_undefer(req);
  } else {
    queue_remove(req);
  }
  uvdio__request_fail(req, UV_ECANCELED);
  uvdio__engine_complete(req);
  return 0;
}

static inline void count_result(uvdio_engine_stats_t* stats, int64_t result) {
  stats->completed++;
  if (result < 0) {
    uint64_t* kind = result == UV_ECANCELED ? &stats->cancelled : &stats->failed;
    (*kind)++;
  }
}

/* Gives the request back, and with it everything that it carried. It may be gone when this returns. */
static inline void finish_request(uvdio_engine_t* engine, uvdio_req_t* req) {
  int64_t result = req->result;

  assert(req->state_ == STATE_COMPLETED);
  uvdio__ownership_release(req);
  count_result(&engine->stats, result);
  req->state_ = STATE_IDLE;
  req->magic_ = 0;
  if (uvdio__is_transfer(req->op)) {
    req->cb_.io(req, (ssize_t)result, req->buf_);
    return;
  }
  if (req->op == UVDIO_OP_OPEN || req->op == UVDIO_OP_CLOSE) {
    uvdio__file_release(req->file);
  }
  req->cb_.plain(req, result);
}

/* Whether the engine came by a fork and nobody here has closed it: then it stays as it is, because what it has in
 * flight is the parent's. */
static int is_inherited(const uvdio_engine_t* engine) {
  return uvdio__engine_is_forked(engine) && !engine->abandoned;
}

/* Calls back for what is completed, `budget` times at most. Returns how often. */
static unsigned run_completed(uvdio_engine_t* engine, unsigned budget) {
  unsigned called = 0;

  while (called < budget && !is_inherited(engine) && !uvdio__list_is_empty(&engine->completed)) {
    finish_request(engine, uvdio__list_take(&engine->completed));
    called++;
  }
  return called;
}

static void count_callbacks(uvdio_engine_stats_t* stats, unsigned called) {
  if (called > 0) {
    stats->iterations++;
  }
  if (called > stats->callbacks_peak) {
    stats->callbacks_peak = called;
  }
}

/*
 * Turns of the loop
 */

/* Starts what waits and sends on what was collected. A forked child shares its queues with the parent, and keeps out. */
static void submit_and_flush(uvdio_engine_t* engine) {
  unsigned i;

  if (uvdio__engine_is_forked(engine)) {
    return;
  }
  assert(engine->in_iteration);
  submit_waiting(engine);
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    if (queue->unflushed > 0 && !queue->stalled) {
      flush(queue);
    }
  }
}

/* Returns 1 while a queue has to be asked again. */
static int reap(uvdio_engine_t* engine) {
  int again = 0;
  unsigned i;

  if (uvdio__engine_is_forked(engine)) {
    return 0;
  }
  note_in_flight(engine);
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    if (queue->backend->reap != NULL) {
      again |= queue->backend->reap(queue);
      update_batch_limit(queue, 1);
    }
  }
  return again;
}

static int has_work(const uvdio_engine_t* engine) {
  unsigned i;

  for (i = 0; i < engine->queue_count; i++) {
    const uvdio__queue_t* queue = &engine->queues[i];
    if ((queue->unflushed > 0 && !queue->stalled) || (!uvdio__list_is_empty(&queue->waiting) && uvdio__queue_has_room(queue))) {
      return 1;
    }
  }
  return !uvdio__list_is_empty(&engine->completed) || engine->poll_pending || engine->busy_poll_wanted;
}

/* Threads are numbered. Multiplied by that constant the numbers are spread over the whole word, and none is even. */
static uintptr_t current_thread_id(void) {
  static atomic_uint last;

  if (uvdio__os_this_thread == 0) {
    uintptr_t number = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed);
    uvdio__os_this_thread = (2 * number + 1) * (uintptr_t)0x9E3779B97F4A7C15u;
  }
  return uvdio__os_this_thread;
}

/* The loop's thread is known for sure only while the loop runs. */
static void bind_thread(uvdio_engine_t* engine) {
  if (engine->thread == 0) {
    engine->thread = current_thread_id();
    uvdio__engine_update_fast_paths(engine);
  }
}

/* Not before there is something to do: what was submitted by then goes along with a loop that
 * starts elsewhere. */
static void let_in(uvdio_engine_t* engine) {
  bind_thread(engine);
  if (engine->limit == 0) {
    engine->limit = engine->depth;
  }
}

/* The loop has come to another thread than the one that the engine is bound to. What is pending
 * goes on here as far as it can, and the rest when the loop comes back. */
static UVDIO__NOINLINE void stray(uvdio_engine_t* engine) {
  uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];

  if (uvdio__engine_is_forked(engine) ||
      (uvdio__engine_pending(engine) == 0 && queue->unflushed == 0)) {
    return;
  }
  engine->strayed = 1;
  if (queue->backend->off_thread != NULL) {
    queue->backend->off_thread(queue);
  }
}

/* What happened meanwhile may have had nobody to wake. */
static void come_back(uvdio_engine_t* engine) {
  if (!uvdio__engine_is_foreign(engine)) {
    engine->strayed = 0;
    uvdio__engine_wake(engine);
  }
}

static void set_in_turn(uvdio_engine_t* engine, int in_iteration) {
  unsigned i;

  engine->in_iteration = in_iteration;
  for (i = 0; i < engine->queue_count; i++) {
    engine->queues[i].flush_threshold = in_iteration ? engine->queues[i].batch : 0;
  }
}

static void begin_turn(uvdio_engine_t* engine) {
  let_in(engine);
  set_in_turn(engine, 1);
  if (UVDIO__UNLIKELY(uvdio__engine_is_foreign(engine))) {
    stray(engine);
  }
}

static void end_turn(uvdio_engine_t* engine) {
  let_in(engine); /* A callback may have called for that. */
  set_in_turn(engine, 0);
  if (engine->off_loop) {
    return; /* Whoever began the turn asks what comes next. */
  }
  if (has_work(engine)) {
    uvdio__engine_wake(engine);
  } else if (engine->idle_active) {
    (void)uv_idle_stop(&engine->idle);
    engine->idle_active = 0;
  }
  if (uvdio__engine_pending(engine) == 0 && engine->loop_ref_held) {
    uv_unref((uv_handle_t*)&engine->check);
    engine->loop_ref_held = 0;
  }
}

static void on_idle(uv_idle_t* handle) {
  uvdio_engine_t* engine = UVDIO__CONTAINER_OF(handle, uvdio_engine_t, idle);

  if (is_inherited(engine)) {
    (void)uv_idle_stop(handle);
    engine->idle_active = 0;
    return;
  }
  begin_turn(engine);
  submit_and_flush(engine);
  end_turn(engine);
}

/* Watches the queue that can be watched. Returns 1 when something came. */
static int watch(uvdio_engine_t* engine, uint64_t* deadline) {
  uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];

  if (engine->busy_poll_ns == 0 || queue->backend->watch == NULL || queue->in_flight == 0 ||
      uvdio__engine_is_forked(engine)) {
    return 0;
  }
  if (*deadline == 0) {
    *deadline = uv_hrtime() + engine->busy_poll_ns;
  }
  if (queue->backend->watch(queue, *deadline)) {
    engine->stats.busy_hits++;
    return 1;
  }
  return reap(engine);
}

/* Calls back until nothing is completed or the turn has had its share. A flush waits for the last callback at hand,
 * unless a batch is full before, and what the flushes brought back is taken along. Whoever has to be asked again after
 * that is asked in the next turn, for which the loop does not sleep. */
static void run_callbacks(uvdio_engine_t* engine) {
  unsigned left = engine->callbacks_max;
  unsigned passes = PASSES_PER_TURN;
  uint64_t deadline = 0;
  uint64_t hits = engine->stats.busy_hits;
  int again;

  do {
    left -= run_completed(engine, left);
    again = reap(engine);
    if (uvdio__list_is_empty(&engine->completed) || left == 0) {
      submit_and_flush(engine);
      again |= reap(engine);
    }
    if (left > 0 && !again && uvdio__list_is_empty(&engine->completed)) {
      again = watch(engine, &deadline);
      engine->busy_poll_wanted = 0;
    }
  } while (left > 0 && --passes > 0 && (again || !uvdio__list_is_empty(&engine->completed)));
  if (engine->queues[QUEUE_MAIN].in_flight == 0) {
    engine->busy_poll_wanted = 0; /* The turn had its share before it came to watching, and nothing is left to watch. */
  }
  engine->poll_pending = again || engine->stats.busy_hits != hits; /* What was seen once is worth another look. */
  count_callbacks(&engine->stats, engine->callbacks_max - left);
}

/* Lets go of the memory of arenas that are gone, which only the thread that the engine is bound to
 * can. */
static void sweep(uvdio_engine_t* engine) {
  uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];
  unsigned gone = atomic_load_explicit(&uvdio__arenas_gone, memory_order_acquire);

  if (gone != engine->arenas_gone && queue->backend->sweep != NULL &&
      !uvdio__engine_is_forked(engine) && !uvdio__engine_is_foreign(engine)) {
    queue->backend->sweep(queue);
  }
}

static void on_prepare(uv_prepare_t* handle) {
  uvdio_engine_t* engine = UVDIO__CONTAINER_OF(handle, uvdio_engine_t, prepare);

  engine->poller = current_thread_id();
  if (engine->strayed) {
    come_back(engine);
  }
  sweep(engine);
}

static void on_check(uv_check_t* handle) {
  uvdio_engine_t* engine = UVDIO__CONTAINER_OF(handle, uvdio_engine_t, check);
  int idle = uvdio__engine_pending(engine) == 0 && !engine->poll_pending;

  engine->poller = 0;
  bind_thread(engine);
  if (idle || is_inherited(engine)) {
    return;
  }
  begin_turn(engine);
  run_callbacks(engine);
  end_turn(engine);
}

/*
 * Off the loop
 *
 * When uvdio_engine_close() returns, each handle of the engine is closing, so that whoever walks
 * over the loop finds none to close. What is under way is drained all the same. A turn is then the
 * callback of a handle that was closed as soon as it was made, the tick; libuv calls it in the
 * closing phase of the loop's next turn, until when the loop is alive and does not sleep (libuv's
 * design, "The I/O loop"). Where there is more to do, the turn makes the next tick.
 *
 *   nothing left                  the queues are closed, the user called back, the engine freed
 *   something to do               the next tick
 *   in hand with the ring         sleeps until its eventfd or the loop's own descriptor has
 *                                 something, or a little while, then the next tick
 *   in hand with libuv's workers  none: their results keep the loop alive and wake it, and call
 *                                 for a tick (uvdio__engine_wake)
 *
 * An engine whose handles the user has closed gets here as soon as it would need one of them.
 */

void uvdio__engine_close_handle(uvdio_engine_t* engine, uv_handle_t* handle, uv_close_cb close_cb) {
  assert(engine->off_loop);
  if (uv_is_closing(handle)) {
    engine->lingering = 1;
    return;
  }
  engine->handles_closing++;
  uv_close(handle, close_cb);
}

static void on_check_closed(uv_handle_t* handle) {
  uvdio__engine_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, check));
}

static void on_idle_closed(uv_handle_t* handle) {
  uvdio__engine_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, idle));
}

static void on_prepare_closed(uv_handle_t* handle) {
  uvdio__engine_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, prepare));
}

static void on_tick(uv_handle_t* handle) {
  uvdio__engine_handle_closed(UVDIO__CONTAINER_OF(handle, uvdio_engine_t, tick));
}

/* An async handle that is sent to, because Windows would be through with any other one within the
 * same closing phase; there the loop has to see the sending first. */
static void tick(uvdio_engine_t* engine) {
  int error = uv_async_init(engine->loop, &engine->tick, NULL);

  assert(error == 0); /* It takes the descriptor that the loop has for its workers. */
  (void)error;
  (void)uv_async_send(&engine->tick);
  uvdio__engine_close_handle(engine, (uv_handle_t*)&engine->tick, on_tick);
}

static void leave_loop(uvdio_engine_t* engine) {
  unsigned i;

  assert(!engine->off_loop);
  engine->off_loop = 1;
  engine->poller = 0;
  engine->idle_active = 0;
  engine->loop_ref_held = 1; /* Nothing is left to refer to. */
  uvdio__engine_close_handle(engine, (uv_handle_t*)&engine->check, on_check_closed);
  uvdio__engine_close_handle(engine, (uv_handle_t*)&engine->idle, on_idle_closed);
  uvdio__engine_close_handle(engine, (uv_handle_t*)&engine->prepare, on_prepare_closed);
  for (i = 0; i < engine->queue_count; i++) {
    if (engine->queues[i].backend->leave_loop != NULL) {
      engine->queues[i].backend->leave_loop(&engine->queues[i]);
    }
  }
  tick(engine);
}

static void free_engine(uvdio_engine_t* engine) {
  uvdio__free(engine, sizeof(*engine), UVDIO__STRUCT_ALIGN);
}

static void tear_down(uvdio_engine_t* engine) {
  unsigned i;

  assert(uvdio__list_is_empty(&engine->completed) && engine->files == NULL);
  assert(engine->handles_closing == 0);
  engine->torn_down = 1;
  for (i = 0; i < engine->queue_count; i++) {
    uvdio__queue_t* queue = &engine->queues[i];
    assert(uvdio__list_is_empty(&queue->waiting) && uvdio__list_is_empty(&queue->running));
    queue->backend->close(queue);
  }
  if (engine->close_cb != NULL) {
    engine->close_cb(engine);
  }
  free_engine(engine);
}

static void on_left_open_closed(uvdio_req_t* req, int64_t result) {
  (void)req;
  (void)result;
}

/* Nothing is pending. Begins to close what the user left open, one file after the other. */
static void close_left_open(uvdio_engine_t* engine) {
  if (uvdio__engine_is_forked(engine)) {
    while (engine->files != NULL) {
      uvdio__file_close_now(engine->files);
    }
  }
  if (engine->files != NULL) {
    uvdio__file_close_left_open(engine->files, &engine->close_req, on_left_open_closed);
  }
}

/* For how long the loop would sleep now, within bounds. It says 0 where nothing is on it that could
 * wake it. */
static int time_to_sleep(const uvdio_engine_t* engine) {
  int timeout = uv_loop_alive(engine->loop) ? uv_backend_timeout(engine->loop) : SLEEP_MS_MAX;
  return timeout < 0 || timeout > SLEEP_MS_MAX ? SLEEP_MS_MAX : timeout;
}

/* Sees to it that the next turn comes, where nobody else does. */
static void go_on(uvdio_engine_t* engine) {
  uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];
  int has_to_wait =
      queue->backend->wait != NULL && queue->in_flight > 0 && !uvdio__engine_is_forked(engine);

  if (engine->handles_closing > 0) {
    return; /* What was begun after the turn has called for the next one. */
  }
  if (has_work(engine)) {
    tick(engine);
  } else if (has_to_wait) {
    queue->backend->wait(queue, time_to_sleep(engine));
    tick(engine);
  }
}

static void turn_off_loop(uvdio_engine_t* engine) {
  sweep(engine);
  begin_turn(engine);
  run_callbacks(engine);
  end_turn(engine);
  if (engine->handles_closing > 0) {
    return; /* A forked child has closed the engine from within a callback. */
  }
  if (engine->lingering) {
    engine->lingering = 0; /* What the user had closed is closed by the end of this phase. */
    tick(engine);
    return;
  }
  if (engine->closing && uvdio__engine_pending(engine) == 0) {
    close_left_open(engine);
    if (uvdio__engine_pending(engine) == 0) {
      tear_down(engine);
      return;
    }
  }
  go_on(engine);
}

void uvdio__engine_handle_closed(uvdio_engine_t* engine) {
  assert(engine->handles_closing > 0);
  if (--engine->handles_closing == 0 && !is_inherited(engine)) {
    turn_off_loop(engine);
  }
}

/*
 * Close
 */

static void fail_running(uvdio__queue_t* queue, int error) {
  uvdio_req_t* req;

  for (req = uvdio__list_first(&queue->running); req != NULL; req = uvdio__list_after(&queue->running, req)) {
    req->flags_ |= REQ_OUTCOME_UNKNOWN;
  }
  uvdio__engine_fail_all(&queue->running, error);
  queue->in_flight = 0;
  queue->unflushed = 0;
  queue->batch_weight = 0;
}

static void fail_waiting(uvdio_engine_t* engine, int error) {
  unsigned i;

  for (i = 0; i < engine->queue_count; i++) {
    uvdio_req_t* req;
    while ((req = uvdio__list_first(&engine->queues[i].waiting)) != NULL) {
      queue_remove(req);
      uvdio__request_fail(req, error);
      uvdio__engine_complete(req);
    }
  }
}

/* In a forked child: whatever was under way is the parent's. Held syncs go first, so that the end of the others starts none
 * of them. The end of a file's last request queues its close, on either queue: hence the second round. */
static void abandon_after_fork(uvdio_engine_t* engine) {
  uvdio_file_t* file;
  unsigned i;

  engine->abandoned = 1;
  set_in_turn(engine, 0); /* The turn in which the fork came may not go on here. */
  for (file = engine->files; file != NULL; file = file->next_) {
    uvdio__file_fail_deferred(file, UVDIO_EFORK);
  }
  for (i = 0; i < engine->queue_count; i++) {
    fail_running(&engine->queues[i], UVDIO_EFORK);
  }
  fail_waiting(engine, UVDIO_EFORK);
  fail_waiting(engine, UVDIO_EFORK);
  engine->stats.in_flight = 0;
}

/* Whether the loop is seen to run on another thread than this one. */
static int runs_elsewhere(const uvdio_engine_t* engine) {
  return engine->poller != 0 && engine->poller != uvdio__os_this_thread;
}

/* With nothing pending the engine may be closed by whoever runs the loop next, whose name can't be
 * known yet. */
static int is_others_to_close(const uvdio_engine_t* engine) {
  return runs_elsewhere(engine) ||
         (uvdio__engine_is_foreign(engine) && uvdio__engine_pending(engine) > 0);
}

int uvdio_engine_close(uvdio_engine_t* engine, uvdio_engine_cb cb) {
  if (engine == NULL) {
    return UV_EINVAL;
  }
  /* A child may close what its parent was closing: that was the parent's close. */
  if (engine->torn_down || (engine->closing && !is_inherited(engine))) {
    return UV_EBADF;
  }
  if (!uvdio__engine_is_forked(engine) && is_others_to_close(engine)) {
    return UVDIO_ETHREAD;
  }
  engine->closing = 1;
  engine->close_cb = cb;
  uvdio__engine_update_fast_paths(engine);
  if (!engine->off_loop) {
    leave_loop(engine);
  }
  if (uvdio__engine_is_forked(engine)) {
    abandon_after_fork(engine);
  }
  uvdio__engine_wake(engine); /* Off the loop before, it may have been asleep: nothing to do, or a child's. */
  return 0;
}

int uvdio_engine_rebind(uvdio_engine_t* engine) {
  uvdio__queue_t* queue;
  int error = 0;

  if (engine == NULL) {
    return UV_EINVAL;
  }
  if (engine->closing) {
    return UV_EBADF;
  }
  if (uvdio__engine_is_forked(engine)) {
    return UVDIO_EFORK;
  }
  if (runs_elsewhere(engine)) {
    return UVDIO_ETHREAD;
  }
  if (uvdio__engine_pending(engine) > 0) {
    return UV_EBUSY;
  }
  queue = &engine->queues[QUEUE_MAIN];
  if (queue->backend->rebind != NULL) {
    error = queue->backend->rebind(queue);
  }
  if (error == 0) {
    engine->thread = 0;
    engine->limit = 0;
    engine->strayed = 0;
    uvdio__engine_update_fast_paths(engine);
  }
  return error;
}

/*
 * Set-up
 */

static const struct {
  const char* name;
  uvdio_backend_t kind;
} names[] = {
    {"ring", UVDIO_BACKEND_RING}, {"pool", UVDIO_BACKEND_POOL}, {"memory", UVDIO_BACKEND_MEMORY}};

/* What the environment asks for. Errors: UVDIO_EBACKEND, with the reason. */
static int read_environment(uvdio_backend_t* kind, char* reason, size_t size) {
  char value[32];
  size_t length = sizeof(value);
  size_t i;
  int error = uv_os_getenv("UVDIO_BACKEND", value, &length);

  if (error == UV_ENOENT || (error == 0 && value[0] == '\0')) {
    return 0;
  }
  for (i = 0; error == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
    if (strcmp(value, names[i].name) == 0) {
      *kind = names[i].kind;
      return 0;
    }
  }
  (void)snprintf(reason, size,
                 "the environment variable UVDIO_BACKEND is \"%s\"; it must be ring, pool or memory",
                 error == 0 ? value : "too long");
  return UVDIO_EBACKEND;
}

static int init_ring(uvdio__queue_t* queue, char* reason, size_t size) {
#ifdef UVDIO_HAVE_RING
  queue->backend = &uvdio__backend_ring;
  update_batch_limit(queue, 0);
  return queue->backend->init(queue, reason, size);
#else
  (void)queue;
  (void)snprintf(reason, size, "this build of the library has no io_uring (it was made without liburing)");
  return UV_ENOSYS;
#endif
}

static int init_queue(uvdio__queue_t* queue, const uvdio__backend_t* backend, unsigned depth,
                     char* reason, size_t size) {
  queue->backend = backend;
  queue->depth = depth;
  update_batch_limit(queue, 0);
  return backend->init(queue, reason, size);
}

static unsigned pool_depth(unsigned depth) {
  return depth < POOL_DEPTH_MAX ? depth : POOL_DEPTH_MAX;
}

/* A ring, and next to it a pool for what a ring can't do. The pool comes first: it can be given back at once. */
static int init_ring_and_pool(uvdio_engine_t* engine, unsigned depth) {
  char ignored[REASON_SIZE];
  int error = init_queue(&engine->queues[QUEUE_POOL], &uvdio__backend_pool, pool_depth(depth), ignored,
                        sizeof(ignored));

  if (error != 0) {
    return error;
  }
  engine->queues[QUEUE_MAIN].depth = depth;
  error = init_ring(&engine->queues[QUEUE_MAIN], engine->reason, sizeof(engine->reason));
  if (error != 0) {
    engine->queues[QUEUE_POOL].backend->close(&engine->queues[QUEUE_POOL]);
    return error;
  }
  engine->queue_count = LANES;
  return 0;
}

static int init_single(uvdio_engine_t* engine, uvdio_backend_t kind, unsigned depth) {
  engine->queue_count = 1;
  if (kind == UVDIO_BACKEND_MEMORY) {
    return init_queue(engine->queues, &uvdio__backend_memory, depth, engine->reason,
                     sizeof(engine->reason));
  }
  return init_queue(engine->queues, &uvdio__backend_pool, pool_depth(depth), engine->reason,
                   sizeof(engine->reason));
}

static int init_auto(uvdio_engine_t* engine, unsigned depth) {
  char why_no_ring[REASON_SIZE];
  int error = init_ring_and_pool(engine, depth);

  if (error == 0) {
    return 0;
  }
  (void)snprintf(why_no_ring, sizeof(why_no_ring), "%s", engine->reason);
  error = init_single(engine, UVDIO_BACKEND_POOL, depth);
  (void)snprintf(engine->reason, sizeof(engine->reason), "%s", why_no_ring);
  return error;
}

static int init_queues(uvdio_engine_t* engine, uvdio_backend_t kind) {
  unsigned depth = engine->depth;
  int error;

  if (kind == UVDIO_BACKEND_AUTO) {
    return init_auto(engine, depth);
  }
  if (kind != UVDIO_BACKEND_RING) {
    return init_single(engine, kind, depth);
  }
  error = init_ring_and_pool(engine, depth);
  return error == 0 || error == UV_ENOMEM || error == UV_EMFILE ? error : UVDIO_EBACKEND;
}

/* None of these can fail. */
static void init_handles(uvdio_engine_t* engine) {
  (void)uv_idle_init(engine->loop, &engine->idle);
  (void)uv_check_init(engine->loop, &engine->check);
  (void)uv_check_start(&engine->check, on_check);
  uv_unref((uv_handle_t*)&engine->check);
  (void)uv_prepare_init(engine->loop, &engine->prepare);
  (void)uv_prepare_start(&engine->prepare, on_prepare);
  uv_unref((uv_handle_t*)&engine->prepare);
}

static uvdio_engine_t* make_engine(uv_loop_t* loop, const uvdio_engine_options_t* options) {
  uvdio_engine_t* engine = uvdio__alloc(sizeof(*engine), UVDIO__STRUCT_ALIGN, 1);
  unsigned i;

  if (engine == NULL) {
    return NULL;
  }
  uvdio__os_watch_forks();
  engine->generation = uvdio__os_fork_generation();
  engine->loop = loop;
  engine->arenas_gone = atomic_load_explicit(&uvdio__arenas_gone, memory_order_relaxed);
  engine->batch = options->submit_batch_max == 0 ? BATCH_DEFAULT : options->submit_batch_max;
  engine->busy_poll_ns = (uint64_t)options->busy_poll_us * 1000;
  engine->manual = (options->flags & UVDIO_ENGINE_NO_AUTO_REGISTER) != 0;
  engine->depth = options->depth == 0 ? UVDIO_DEPTH_DEFAULT : options->depth;
  engine->callbacks_max = options->callbacks_max == 0 ? CALLBACKS_PER_TURN_DEFAULT
                                                                : options->callbacks_max;
  uvdio__list_init(&engine->completed);
  for (i = 0; i < LANES; i++) {
    engine->queues[i].engine = engine;
    uvdio__list_init(&engine->queues[i].waiting);
    uvdio__list_init(&engine->queues[i].running);
  }
  engine->queue = &engine->queues[QUEUE_MAIN];
  return engine;
}

/* Puts in front of the backend's own words who wanted it. */
static void prefix_reason(uvdio_engine_t* engine, uvdio_backend_t option, uvdio_backend_t kind) {
  char words[REASON_SIZE];

  if (kind != UVDIO_BACKEND_AUTO) {
    (void)snprintf(words, sizeof(words), "%s", engine->reason);
    (void)snprintf(engine->reason, sizeof(engine->reason), "asked for by %s; %.300s",
                   option == kind ? "the program" : "the environment variable UVDIO_BACKEND", words);
  }
}

int uvdio_engine_create(uvdio_engine_t** engine, uv_loop_t* loop, const uvdio_engine_options_t* options) {
  static const uvdio_engine_options_t defaults;
  uvdio_backend_t kind;
  uvdio_engine_t* created;
  int error = 0;

  if (options == NULL) {
    options = &defaults;
  }
  kind = options->backend;
  if (engine == NULL || loop == NULL || (unsigned)kind > UVDIO_BACKEND_MEMORY ||
      options->depth > UVDIO_DEPTH_MAX || (options->flags & ~UVDIO_ENGINE_NO_AUTO_REGISTER) != 0 ||
      options->busy_poll_us > UVDIO_BUSY_POLL_MAX) {
    return UV_EINVAL;
  }
  created = make_engine(loop, options);
  if (created == NULL) {
    return UV_ENOMEM;
  }
  if (kind == UVDIO_BACKEND_AUTO) {
    error = read_environment(&kind, created->reason, sizeof(created->reason));
  }
  if (error == 0) {
    error = init_queues(created, kind);
    prefix_reason(created, options->backend, kind);
  }
  if (error != 0) {
    free_engine(created);
    return error;
  }
  init_handles(created);
  *engine = created;
  return 0;
}

/*
 * Questions
 */

#ifndef UVDIO_HAVE_RING
int uvdio__ring_probe(char* reason, size_t size) {
  return init_ring(NULL, reason, size);
}
#endif

int uvdio_backend_probe(uvdio_backend_t backend, char* reason, size_t size) {
  char text[REASON_SIZE] = "libuv's threadpool, which is always there";
  int error = 0;

  if ((unsigned)backend > UVDIO_BACKEND_MEMORY || (reason == NULL && size > 0)) {
    return UV_EINVAL;
  }
  if (backend == UVDIO_BACKEND_MEMORY) {
    (void)snprintf(text, sizeof(text), "files in RAM, which are always there");
  }
  if (backend == UVDIO_BACKEND_AUTO) {
    error = read_environment(&backend, text, sizeof(text));
  }
  if (error == 0 && (backend == UVDIO_BACKEND_RING || backend == UVDIO_BACKEND_AUTO)) {
    int without_ring = uvdio__ring_probe(text, sizeof(text));
    error = backend == UVDIO_BACKEND_RING ? without_ring : 0;
  }
  if (reason != NULL) {
    (void)snprintf(reason, size, "%s", text);
  }
  return error;
}

const char* uvdio_engine_backend(const uvdio_engine_t* engine) {
  return engine == NULL ? "none" : engine->queue->backend->name;
}

const char* uvdio_engine_backend_reason(const uvdio_engine_t* engine) {
  return engine == NULL ? "there is no engine" : engine->reason;
}

int uvdio_engine_stats(const uvdio_engine_t* engine, uvdio_engine_stats_t* stats) {
  if (engine == NULL || stats == NULL) {
    return UV_EINVAL;
  }
  *stats = engine->stats;
  stats->in_flight_peak = stats->in_flight > stats->in_flight_peak ? stats->in_flight : stats->in_flight_peak;
  stats->pending = uvdio__engine_pending(engine);
  return 0;
}

void* uvdio_engine_data(const uvdio_engine_t* engine) {
  return engine->data;
}

void uvdio_engine_set_data(uvdio_engine_t* engine, void* data) {
  engine->data = data;
}

uv_loop_t* uvdio_engine_loop(const uvdio_engine_t* engine) {
  return engine->loop;
}
