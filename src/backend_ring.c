/*
 * The ring: io_uring, with an eventfd that a uv_poll_t on the user's loop watches.
 *
 *   probe     a small ring of its own makes one real round trip (no-op, eventfd), because set-up may be allowed
 *             while enter or register is denied
 *   init      the real ring is created disabled, with the flags that the probe found, on whatever thread
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
#include <liburing.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "internal.h"
#include "memory.h"

/* Submissions that make a batch worth its system call; measured: 8 to 16. */
#define BATCH 16

/* Since Linux 6.9; liburing 2.3 does not name it. */
#define OP_FTRUNCATE 55

/* The low bit of an entry's user data marks a cancellation, whose completion nobody waits for. */
#define CANCEL_MARK ((uintptr_t)1)

#define OPS_KNOWN 64

/* Between attempts to get completions from a kernel that refuses. */
#define RETRY_MS 10

typedef struct ring_s {
  struct io_uring ring;
  uv_poll_t poll;
  int eventfd;
  int enabled;
  int broken;
  uv_timer_t retry;
  int edge_tried;
  int edge_triggered; /* the eventfd wakes once per signal and is never read */
  int unsignalled; /* completions may be there whose signal was read from the eventfd already */
  unsigned cancels; /* cancellations whose completion has not come */
  uint64_t supported; /* bit per opcode */
} ring_t;

typedef struct probe_s {
  size_t step; /* of the ladder */
  uint64_t supported;
} probe_t;

/* From best to plainest; a kernel that does not know a flag answers EINVAL, and the next line is tried. */
static const struct {
  unsigned flags;
  const char* words;
} flag_ladder[] = {
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_DEFER_TASKRUN,
     "single issuer, deferred task work"}, /* Linux 6.1 */
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_COOP_TASKRUN,
     "single issuer, cooperative task work"}, /* 6.0 */
    {IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,
     "cooperative task work"},                    /* 5.19 */
    {IORING_SETUP_SUBMIT_ALL, "submit all"},      /* 5.18 */
    {0, "no optional flags"},                     /* 5.10 */
};
#define LADDER_LENGTH (sizeof(flag_ladder) / sizeof(flag_ladder[0]))

/*
 * Probe
 */

static const char* kernel_release(struct utsname* name) {
  return uname(name) == 0 ? name->release : "unknown";
}

/* What went wrong and what would help, in words. */
static void explain_failure(int error, const char* call, char* reason, size_t size) {
  struct utsname kernel;
  struct rlimit limit = {0, 0};

  switch (error) {
    case UV_ENOSYS:
      (void)snprintf(reason, size,
                     "%s is not there (ENOSYS): Linux %s is too old for io_uring, which takes 5.10, or a "
                     "seccomp filter hides it",
                     call, kernel_release(&kernel));
      break;
    case UV_EPERM:
    case UV_EACCES:
      (void)snprintf(reason, size,
                     "%s is denied (%s): allow io_uring_setup, io_uring_enter and io_uring_register in "
                     "the container's seccomp profile, and set the sysctl kernel.io_uring_disabled to 0",
                     call, uv_err_name(error));
      break;
    case UV_ENOMEM:
      (void)getrlimit(RLIMIT_MEMLOCK, &limit);
      (void)snprintf(reason, size,
                     "%s ran out of memory (ENOMEM): raise the limit on locked memory (ulimit -l, now "
                     "%llu KiB; rings closed a moment ago still count) or ask for a smaller depth",
                     call, (unsigned long long)limit.rlim_cur / 1024);
      break;
    case UV_EMFILE:
    case UV_ENFILE:
      (void)snprintf(reason, size,
                     "%s found no free file descriptor (%s): raise the limit on open files (ulimit -n)",
                     call, uv_err_name(error));
      break;
    default:
      (void)snprintf(reason, size, "%s failed with %s on Linux %s (io_uring takes 5.10 or later)", call,
                     uv_err_name(error), kernel_release(&kernel));
  }
}

/* One no-op must come back, and ring the eventfd. */
static int round_trip(struct io_uring* ring, int event, const char** call) {
  struct io_uring_sqe* sqe;
  struct io_uring_cqe* cqe;
  uint64_t count;
  int result;

  *call = "io_uring_register";
  result = io_uring_register_eventfd(ring, event);
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  *call = "io_uring_enter";
  sqe = io_uring_get_sqe(ring);
  assert(sqe != NULL);
  io_uring_prep_nop(sqe);
  do {
    result = io_uring_submit_and_wait(ring, 1);
  } while (result == -EINTR);
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  result = io_uring_peek_cqe(ring, &cqe);
  if (result == 0) {
    result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
  }
  *call = "the ring's eventfd";
  if (result == 0 && read(event, &count, sizeof(count)) != (ssize_t)sizeof(count)) {
    return UV_EIO;
  }
  return result < 0 ? uv_translate_sys_error(-result) : 0;
}

static uint64_t supported_ops(struct io_uring* ring) {
  struct io_uring_probe* known = io_uring_get_probe_ring(ring);
  uint64_t supported = 0;
  int op;

  if (known == NULL) {
    return 0;
  }
  for (op = 0; op < OPS_KNOWN; op++) {
    if (io_uring_opcode_supported(known, op)) {
      supported |= UINT64_C(1) << op;
    }
  }
  io_uring_free_probe(known);
  return supported;
}

static int try_step(size_t step, int event, probe_t* probe, const char** call) {
  struct io_uring_params params;
  struct io_uring ring;
  int error;

  memset(&params, 0, sizeof(params));
  params.flags = flag_ladder[step].flags;
  *call = "io_uring_setup";
  error = io_uring_queue_init_params(4, &ring, &params);
  if (error < 0) {
    return uv_translate_sys_error(-error);
  }
  error = round_trip(&ring, event, call);
  if (error == 0) {
    probe->step = step;
    probe->supported = supported_ops(&ring);
  }
  io_uring_queue_exit(&ring);
  return error;
}

static void describe(const probe_t* probe, char* reason, size_t size) {
  struct utsname kernel;
  (void)snprintf(reason, size, "io_uring works here (Linux %s: %s)", kernel_release(&kernel),
                 flag_ladder[probe->step].words);
}

static int probe_ring(probe_t* probe, char* reason, size_t size) {
  const uint64_t needed = UINT64_C(1) << IORING_OP_READ | UINT64_C(1) << IORING_OP_WRITE;
  const char* call = "eventfd";
  int error = UV_EINVAL;
  size_t i;
  int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

  if (event == -1) {
    error = uv_translate_sys_error(errno);
    explain_failure(error, call, reason, size);
    return error;
  }
  for (i = 0; i < LADDER_LENGTH && error == UV_EINVAL; i++) {
    error = try_step(i, event, probe, &call);
  }
  (void)close(event);
  if (error == 0 && (probe->supported & needed) != needed) {
    error = UV_ENOSYS;
    call = "reading through a ring";
  }
  if (error != 0) {
    explain_failure(error, call, reason, size);
    return error;
  }
  describe(probe, reason, size);
  return 0;
}

/* What the first engine found out holds for all: flags and operations are the kernel's. That saves a ring per
 * engine, and its share of the locked memory, which the kernel takes back late. A refusal is not kept. The index into
 * the ladder, plus one, is published last. */
static atomic_size_t known_step;
static _Atomic uint64_t known_ops;

static int probe_once(probe_t* probe, char* reason, size_t size) {
  size_t step = atomic_load_explicit(&known_step, memory_order_acquire);
  int error;

  if (step > 0) {
    probe->step = step - 1;
    probe->supported = atomic_load_explicit(&known_ops, memory_order_relaxed);
    describe(probe, reason, size);
    return 0;
  }
  error = probe_ring(probe, reason, size);
  if (error == 0) {
    atomic_store_explicit(&known_ops, probe->supported, memory_order_relaxed);
    atomic_store_explicit(&known_step, probe->step + 1, memory_order_release);
  }
  return error;
}

int uvdio__ring_probe(char* reason, size_t size) {
  probe_t probe;
  return probe_ring(&probe, reason, size);
}

/*
 * Set-up
 */

static int create_ring(ring_t* state, const probe_t* probe, unsigned depth) {
  struct io_uring_params params;
  int result;

  memset(&params, 0, sizeof(params));
  params.flags = flag_ladder[probe->step].flags | IORING_SETUP_R_DISABLED;
  result = io_uring_queue_init_params(depth, &state->ring, &params);
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  state->supported = probe->supported;
  return 0;
}

static int create_eventfd(ring_t* state, uv_loop_t* loop, const char** call) {
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

static int set_up(uvdio__lane_t* lane, ring_t* state, const probe_t* probe, const char** call) {
  int error = create_ring(state, probe, lane->depth);

  *call = "io_uring_setup";
  if (error != 0) {
    return error;
  }
  error = create_eventfd(state, lane->engine->loop, call);
  if (error != 0) {
    io_uring_queue_exit(&state->ring);
  }
  return error;
}

static int init_ring(uvdio__lane_t* lane, char* reason, size_t size) {
  const char* call;
  probe_t probe;
  ring_t* state;
  int error = probe_once(&probe, reason, size);

  if (error != 0) {
    return error;
  }
  state = uvdio__alloc(sizeof(*state), UVDIO__STRUCT_ALIGN, 1);
  if (state == NULL) {
    (void)snprintf(reason, size, "out of memory");
    return UV_ENOMEM;
  }
  error = set_up(lane, state, &probe, &call);
  if (error != 0) {
    explain_failure(error, call, reason, size);
    uvdio__free(state, sizeof(*state), UVDIO__STRUCT_ALIGN);
    return error;
  }
  (void)uv_timer_init(lane->engine->loop, &state->retry);
  state->poll.data = lane;
  state->retry.data = lane;
  lane->state = state;
  return 0;
}

static void on_event(uv_poll_t* handle, int status, int events);

/* By the system call itself: the shared libraries of liburing up to 2.3 do not export their function for it. */
static int enable_ring(const ring_t* state) {
  long result = syscall(SYS_io_uring_register, state->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
                        NULL, 0);
  return result < 0 ? -errno : 0;
}

/* On the loop's thread, and once. */
static int enable(uvdio__lane_t* lane, const char** call) {
  ring_t* state = lane->state;
  int result;

  *call = "io_uring_register";
  result = enable_ring(state);
  if (result == 0) {
    result = io_uring_register_eventfd(&state->ring, state->eventfd);
  }
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  /* Saves a look-up per system call; a kernel without it (before 5.18) goes on as before. */
  (void)io_uring_register_ring_fd(&state->ring);
  *call = "uv_poll_start";
  result = uv_poll_start(&state->poll, UV_READABLE, on_event);
  uv_unref((uv_handle_t*)&state->poll);
  state->enabled = 1;
  return result;
}

/*
 * A kernel that refuses, for the moment or for good
 */

static void on_retry(uv_timer_t* timer) {
  uvdio__lane_t* lane = timer->data;
  ring_t* state = lane->state;

  lane->stalled = 0;
  state->unsignalled = 1;
  lane->engine->woken = 1;
  uvdio__engine_wake(lane->engine); /* Timers come before the poll, and that must not block now. */
}

static void retry_later(uvdio__lane_t* lane) {
  ring_t* state = lane->state;

  (void)uv_timer_start(&state->retry, on_retry, RETRY_MS, 0);
  uv_unref((uv_handle_t*)&state->retry);
}

/* Entries that the kernel has not taken are taken back, and their requests go to the pool. */
static void take_back_entries(uvdio__lane_t* lane) {
  ring_t* state = lane->state;
  struct io_uring_sq* sq = &state->ring.sq;
  unsigned head = *sq->khead;
  unsigned tail = sq->sqe_tail;
  unsigned i;

  sq->sqe_head = head;
  sq->sqe_tail = head;
  *sq->ktail = head;
  lane->unflushed = 0;
  for (i = head; i != tail; i++) {
    uintptr_t data = (uintptr_t)sq->sqes[i & *sq->kring_mask].user_data;
    if ((data & CANCEL_MARK) != 0) {
      state->cancels--;
    } else {
      uvdio__lane_punt(lane, (uvdio_req_t*)data);
    }
  }
}

static void break_down(uvdio__lane_t* lane, int error, const char* call) {
  ring_t* state = lane->state;
  char reason[REASON_SIZE];

  if (state->broken) {
    return;
  }
  state->broken = 1;
  explain_failure(error, call, reason, sizeof(reason));
  uvdio__lane_broken(lane, reason);
  take_back_entries(lane);
}

/*
 * Submission
 */

static int is_supported(const ring_t* state, unsigned op) {
  return (int)(state->supported >> op & 1);
}

/* The operation's code, or -1 where there is none: the pool does it. The size needs a structure to be
 * written to, and there is no room for one without an allocation. */
static int opcode_of(const uvdio_req_t* req) {
  switch (req->op) {
    case UVDIO_OP_OPEN:
      switch (uvdio__opening_of(req)->step) {
        case UVDIO__OPEN_DIRECT:
        case UVDIO__OPEN_BUFFERED:
          return IORING_OP_OPENAT;
        case UVDIO__OPEN_STAT_PATH:
        case UVDIO__OPEN_STAT_FILE:
          return IORING_OP_STATX;
        case UVDIO__OPEN_FINISH:
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
      return IORING_OP_CLOSE;
    case UVDIO_OP_SIZE:
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      break;
  }
  return -1;
}

static void prepare_open(struct io_uring_sqe* sqe, uvdio_req_t* req) {
  uvdio__opening_t* opening = uvdio__opening_of(req);
  struct statx* stat = (struct statx*)(void*)opening->stat.bytes;

  if (opening->step == UVDIO__OPEN_STAT_FILE) {
    io_uring_prep_statx(sqe, (int)opening->descriptor, "", AT_EMPTY_PATH,
                        uvdio__linux_statx_mask(), stat);
  } else if (opening->step == UVDIO__OPEN_STAT_PATH) {
    io_uring_prep_statx(sqe, AT_FDCWD, opening->path, 0, uvdio__linux_statx_mask(), stat);
  } else {
    io_uring_prep_openat(sqe, AT_FDCWD, opening->path, uvdio__linux_open_flags(opening),
                         (mode_t)opening->mode);
  }
}

static void prepare_transfer(struct io_uring_sqe* sqe, const uvdio_req_t* req) {
  int descriptor = (int)req->file->handle_.descriptor;
  char* base = req->buf_.base + req->transferred;
  unsigned length = (unsigned)uvdio__request_rest(req);
  uint64_t offset = req->offset_ + req->transferred;

  if (req->op == UVDIO_OP_READ) {
    io_uring_prep_read(sqe, descriptor, base, length, offset);
  } else {
    io_uring_prep_write(sqe, descriptor, base, length, offset);
  }
}

static void prepare_entry(struct io_uring_sqe* sqe, uvdio_req_t* req) {
  int descriptor = (int)req->file->handle_.descriptor;

  switch (req->op) {
    case UVDIO_OP_READ:
    case UVDIO_OP_WRITE:
      prepare_transfer(sqe, req);
      break;
    case UVDIO_OP_OPEN:
      prepare_open(sqe, req);
      break;
    case UVDIO_OP_SYNC_DATA:
      io_uring_prep_fsync(sqe, descriptor, IORING_FSYNC_DATASYNC);
      break;
    case UVDIO_OP_SYNC_ALL:
      io_uring_prep_fsync(sqe, descriptor, 0);
      break;
    case UVDIO_OP_TRUNCATE:
      io_uring_prep_rw(OP_FTRUNCATE, sqe, descriptor, NULL, 0, req->offset_);
      break;
    case UVDIO_OP_PREALLOCATE:
      /* Not io_uring_prep_fallocate(), whose types change between versions of liburing. */
      io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, descriptor, NULL, 0, 0);
      sqe->addr = req->offset_;
      break;
    case UVDIO_OP_CLOSE:
      io_uring_prep_close(sqe, descriptor);
      break;
    case UVDIO_OP_SIZE:
    case UVDIO_OP_NONE:
    case UVDIO_OP_COUNT:
      assert(0 && "an operation that no ring has");
  }
}

static void flush_ring(uvdio__lane_t* lane);

/* An entry of the submission queue, after making room if need be; null when the kernel takes nothing for now. */
static struct io_uring_sqe* get_entry(uvdio__lane_t* lane) {
  ring_t* state = lane->state;
  struct io_uring_sqe* sqe = io_uring_get_sqe(&state->ring);

  if (sqe == NULL) {
    flush_ring(lane);
    sqe = state->broken ? NULL : io_uring_get_sqe(&state->ring);
  }
  return sqe;
}

static int can_do(const ring_t* state, const uvdio_req_t* req) {
  int opcode;

  if (uvdio__is_transfer(req->op)) {
    return 1; /* Without these there would be no ring. */
  }
  opcode = opcode_of(req);
  return opcode >= 0 && is_supported(state, (unsigned)opcode);
}

static int submit_to_ring(uvdio__lane_t* lane, uvdio_req_t* req) {
  ring_t* state = lane->state;
  struct io_uring_sqe* sqe;

  if (state->broken || !can_do(state, req)) {
    return UV_ENOSYS;
  }
  if (!state->enabled) {
    const char* call;
    int error = enable(lane, &call);
    if (error != 0) {
      break_down(lane, error, call);
      return UV_ENOSYS;
    }
  }
  sqe = get_entry(lane);
  if (sqe == NULL) {
    return state->broken ? UV_ENOSYS : UV_EAGAIN;
  }
  prepare_entry(sqe, req);
  io_uring_sqe_set_data(sqe, req);
  lane->unflushed++;
  return 0;
}

/* The kernel may take fewer than there are (a bad entry stops a batch on kernels without SUBMIT_ALL), or none for the
 * moment: then the rest goes when something has finished, or a little later. */
static void flush_ring(uvdio__lane_t* lane) {
  ring_t* state = lane->state;

  lane->engine->stats.batches++;
  while (lane->unflushed > 0) {
    int taken = io_uring_submit(&state->ring);
    lane->engine->stats.system_calls++;
    if (taken > 0) {
      assert((unsigned)taken <= lane->unflushed);
      lane->unflushed -= (unsigned)taken;
    } else if (taken == 0 || taken == -EAGAIN || taken == -EBUSY) {
      lane->stalled = 1;
      retry_later(lane);
      break;
    } else if (taken != -EINTR) {
      break_down(lane, uv_translate_sys_error(-taken), "io_uring_enter");
    }
  }
}

/* Disk I/O on its way can't be stopped; what waits for a kernel worker can. One cancellation per entry of the queue is
 * enough, and keeps the completion queue from overflowing. */
static void cancel_in_ring(uvdio__lane_t* lane, uvdio_req_t* req) {
  ring_t* state = lane->state;
  struct io_uring_sqe* sqe;

  if (state->broken || state->cancels >= lane->depth) {
    return;
  }
  sqe = get_entry(lane);
  if (sqe == NULL) {
    return;
  }
  io_uring_prep_cancel(sqe, req, 0);
  io_uring_sqe_set_data(sqe, (void*)((uintptr_t)req | CANCEL_MARK));
  state->cancels++;
  lane->unflushed++;
  uvdio__engine_wake(lane->engine);
}

/*
 * Completion
 */

static void take_open(uvdio__lane_t* lane, uvdio_req_t* req, int result) {
  uvdio__opening_t* opening = uvdio__opening_of(req);
  int next;

  if (result == UV_EINTR) {
    if (!req->cancelled_ || (req->flags_ & REQ_BEGUN) != 0) {
      uvdio__lane_again(lane, req);
      return;
    }
    result = UV_ECANCELED;
  }
  if (result == UV_EAGAIN) {
    uvdio__lane_punt(lane, req);
    return;
  }
  next = uvdio__linux_open_advance(opening, result);
  req->flags_ |= REQ_BEGUN;
  if (next == 1 && opening->step == UVDIO__OPEN_FINISH) {
    if (uvdio__linux_open_finish_blocks(opening)) {
      uvdio__lane_punt(lane, req);
      return;
    }
    next = uvdio__os_open(opening);
  }
  if (next == 1) {
    uvdio__lane_again(lane, req);
  } else {
    uvdio__lane_done(lane, req, next);
  }
}

static void take_completion(uvdio__lane_t* lane, const struct io_uring_cqe* cqe) {
  ring_t* state = lane->state;
  uintptr_t data = (uintptr_t)cqe->user_data;
  uvdio_req_t* req = (uvdio_req_t*)data;
  int result = cqe->res < 0 ? uv_translate_sys_error(-cqe->res) : cqe->res;

  if ((data & CANCEL_MARK) != 0) {
    assert(state->cancels > 0);
    state->cancels--;
  } else if (req->op == UVDIO_OP_OPEN) {
    take_open(lane, req, result);
  } else {
    uvdio__lane_done(lane, req, result);
  }
}

static unsigned take_visible(uvdio__lane_t* lane) {
  ring_t* state = lane->state;
  struct io_uring_cqe* cqe;
  unsigned count = 0;
  unsigned head;

  io_uring_for_each_cqe(&state->ring, head, cqe) {
    take_completion(lane, cqe);
    count++;
  }
  io_uring_cq_advance(&state->ring, count);
  return count;
}

static int kernel_has_more(const ring_t* state) {
  unsigned flags = IO_URING_READ_ONCE(*state->ring.sq.kflags);
  return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/* The kernel holds completions back and does not let us have them, so all that is left is to ask from time to time: what
 * is in flight can neither be given back nor done again. Where the refusal looks final, new requests go to the pool. */
static int get_events(uvdio__lane_t* lane) {
  ring_t* state = lane->state;
  int result = io_uring_get_events(&state->ring);

  lane->engine->stats.system_calls++;
  if (result >= 0 || result == -EINTR) {
    return 1;
  }
  if (result != -EAGAIN && result != -EBUSY) {
    break_down(lane, uv_translate_sys_error(-result), "io_uring_enter");
  }
  state->unsignalled = 0;
  retry_later(lane);
  return 0;
}

/* While signals are off, completions only show in the queue and the kernel's flags. Switching is a full barrier, so that
 * after switching on, one look tells whether anything came before. */
static void switch_signals(ring_t* state, int on) {
  if (!state->edge_triggered) {
    return;
  }
  if (on) {
    (void)__atomic_fetch_and(state->ring.cq.kflags, ~IORING_CQ_EVENTFD_DISABLED, __ATOMIC_SEQ_CST);
  } else {
    (void)__atomic_fetch_or(state->ring.cq.kflags, IORING_CQ_EVENTFD_DISABLED, __ATOMIC_SEQ_CST);
  }
}

/* A flush posts completions as well, at no extra cost; so what it left in the queue is taken first, and the kernel asked
 * only for what nobody will be woken for. */
static int reap(uvdio__lane_t* lane) {
  ring_t* state = lane->state;

  if (!state->enabled) {
    return 0;
  }
  if (take_visible(lane) > 0) {
    return state->unsignalled;
  }
  if (!state->unsignalled) {
    return 0;
  }
  if (kernel_has_more(state)) {
    return get_events(lane);
  }
  switch_signals(state, 1);
  if (io_uring_cq_ready(&state->ring) > 0 || kernel_has_more(state)) {
    switch_signals(state, 0);
    return 1;
  }
  state->unsignalled = 0;
  return 0;
}

static void read_eventfd(uvdio__lane_t* lane) {
  ring_t* state = lane->state;
  uint64_t count;
  ssize_t got = read(state->eventfd, &count, sizeof(count));

  lane->engine->stats.system_calls++;
  assert(got == (ssize_t)sizeof(count) || errno == EAGAIN || errno == EINTR);
  (void)got;
}

/* Saves the read of the eventfd at each wake-up: the loop's epoll is told to report it once per signal instead of for as
 * long as it is readable. Together with switching the signals off while completions are being taken, that is
 * one wake-up per sleep. libuv changes a registration only when the events of its handle change, and ours never do.
 *
 * Only where switching signals can't lose one: the kernel has to publish a completion before it looks at the switch. With
 * deferred task work it does both around an atomic operation, and on x86 that is a full barrier. */
static void try_edge_triggering(ring_t* state, uv_loop_t* loop) {
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
  uvdio__lane_t* lane = handle->data;
  ring_t* state = lane->state;

  (void)status;
  (void)events;
  if (uvdio__engine_is_forked(lane->engine)) {
    (void)uv_poll_stop(handle); /* The eventfd is shared with the parent: its signals are not ours to take. */
    return;
  }
  lane->engine->stats.wakeups++;
  lane->engine->woken = 1;
  if (!state->edge_tried) {
    state->edge_tried = 1; /* Not earlier: libuv registers a handle only when it polls. */
    try_edge_triggering(state, handle->loop);
  }
  switch_signals(state, 0);
  if (!state->edge_triggered) {
    read_eventfd(lane);
  }
  state->unsignalled = 1;
  if (kernel_has_more(state)) {
    (void)get_events(lane);
  }
}

/*
 * Close
 */

static void on_poll_closed(uv_handle_t* handle) {
  uvdio__lane_t* lane = handle->data;
  ring_t* state = lane->state;
  uvdio_t* engine = lane->engine;

  io_uring_queue_exit(&state->ring);
  (void)close(state->eventfd);
  lane->state = NULL;
  uvdio__free(state, sizeof(*state), UVDIO__STRUCT_ALIGN);
  uvdio__engine_handle_closed(engine);
}

/* One after the other, because the memory of both goes with the second. */
static void on_retry_closed(uv_handle_t* handle) {
  uvdio__lane_t* lane = handle->data;
  uvdio__engine_close_handle(lane->engine, (uv_handle_t*)&((ring_t*)lane->state)->poll,
                             on_poll_closed);
  uvdio__engine_handle_closed(lane->engine);
}

static void close_ring(uvdio__lane_t* lane) {
  ring_t* state = lane->state;

  (void)uv_poll_stop(&state->poll);
  uvdio__engine_close_handle(lane->engine, (uv_handle_t*)&state->retry, on_retry_closed);
}

const uvdio__backend_t uvdio__backend_ring = {
    .name = "ring",
    .batch = BATCH,
    .init = init_ring,
    .submit = submit_to_ring,
    .flush = flush_ring,
    .reap = reap,
    .cancel = cancel_in_ring,
    .perform = uvdio__request_perform,
    .close = close_ring,
};
