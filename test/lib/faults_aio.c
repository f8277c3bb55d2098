/* SPDX-License-Identifier: MIT */
/*
 * Kernel AIO under faults. The kernel has no control block that ends with a result of the test's,
 * so the library's own functions around io_submit(2) and its completions are wrapped
 * (src/aio/context.c): what fails or gives no bytes is not sent on, and its completion is made up;
 * what is short is sent on with a shorter length, or told as less.
 */
#include "faults_inside.h"

#include <sys/syscall.h>
#include <unistd.h>

long __real_syscall(long number, ...);

#ifdef FAULTS_AIO

#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

int __real_uvdio__aio_submit(aio_context_t context, struct iocb** blocks, unsigned count);
int __wrap_uvdio__aio_submit(aio_context_t context, struct iocb** blocks, unsigned count);
int __real_uvdio__aio_take(aio_context_t context, struct io_event* events, unsigned room,
                           uint64_t* calls);
int __wrap_uvdio__aio_take(aio_context_t context, struct io_event* events, unsigned room,
                           uint64_t* calls);
int __real_uvdio__aio_is_ready(aio_context_t context);
int __wrap_uvdio__aio_is_ready(aio_context_t context);
int __real_close(int fd);

/* A block that the kernel does not have as the library gave it. */
struct altered {
  struct altered* next;
  aio_context_t context;
  uint64_t data;
  int is_made_up; /* the kernel does not have it: it ends with `result` */
  int64_t result;
  size_t told;      /* at most, of what it moves */
  struct iocb read; /* a blocked one: the kernel waits for the pipe instead */
  int pipe_end;     /* of that; -1: none */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct altered* all;

static struct altered* add(aio_context_t context, const struct iocb* block) {
  struct altered* altered = calloc(1, sizeof(*altered));
  if (altered == NULL) {
    abort();
  }
  altered->context = context;
  altered->data = block->aio_data;
  altered->told = WHOLE;
  altered->pipe_end = -1;
  pthread_mutex_lock(&lock);
  altered->next = all;
  all = altered;
  pthread_mutex_unlock(&lock);
  return altered;
}

/* Takes one off the list: that of `data`, or (0) one that is made up. Null where there is none. */
static struct altered* take_altered(aio_context_t context, uint64_t data) {
  struct altered* found = NULL;
  pthread_mutex_lock(&lock);
  for (struct altered** link = &all; *link != NULL; link = &(*link)->next) {
    if ((*link)->context == context &&
        (data == 0 ? (*link)->is_made_up : (*link)->data == data && !(*link)->is_made_up)) {
      found = *link;
      *link = found->next;
      break;
    }
  }
  pthread_mutex_unlock(&lock);
  return found;
}

static int has_made_up(aio_context_t context) {
  int found = 0;
  pthread_mutex_lock(&lock);
  for (const struct altered* altered = all; altered != NULL; altered = altered->next) {
    found |= altered->context == context && altered->is_made_up;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

/*
 * Submission
 */

static enum fault_call call_of(const struct iocb* block) {
  switch (block->aio_lio_opcode) {
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PREADV:
      return CALL_PREAD;
    case IOCB_CMD_PWRITE:
    case IOCB_CMD_PWRITEV:
      return CALL_PWRITE;
    case IOCB_CMD_FDSYNC:
      return CALL_FDATASYNC;
    case IOCB_CMD_FSYNC:
      return CALL_FSYNC;
    default:
      return CALLS;
  }
}

static int is_vector(const struct iocb* block) {
  return block->aio_lio_opcode == IOCB_CMD_PREADV || block->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static void make_up(aio_context_t context, const struct iocb* block, int64_t result) {
  static const uint64_t one = 1;
  struct altered* altered = add(context, block);
  altered->result = result;
  altered->is_made_up = 1;
  if (write((int)block->aio_resfd, &one, sizeof(one)) != (ssize_t)sizeof(one)) {
    abort();
  }
}

static void shorten_pieces(struct iocb* block, size_t bytes) {
  struct iovec* pieces = (struct iovec*)(uintptr_t)block->aio_buf;
  unsigned count = 0;
  while (count < block->aio_nbytes && bytes > 0) {
    pieces[count].iov_len = pieces[count].iov_len < bytes ? pieces[count].iov_len : bytes;
    bytes -= pieces[count++].iov_len;
  }
  block->aio_nbytes = count;
}

static void shorten(aio_context_t context, struct iocb* block, const struct plan* plan) {
  add(context, block)->told = plan->bytes;
  if (is_vector(block)) {
    shorten_pieces(block, fault_at_most(WHOLE, plan));
  } else {
    block->aio_nbytes = fault_at_most(block->aio_nbytes, plan);
  }
}

/* The kernel waits for the pipe, and the bytes are read when it has some. */
static void make_poll(struct iocb* block, const struct altered* altered) {
  const struct iocb read = altered->read;
  memset(block, 0, sizeof(*block));
  block->aio_data = read.aio_data;
  block->aio_lio_opcode = IOCB_CMD_POLL;
  block->aio_fildes = (uint32_t)altered->pipe_end;
  block->aio_buf = POLLIN;
  block->aio_flags = IOCB_FLAG_RESFD;
  block->aio_resfd = read.aio_resfd;
}

static void block_read(aio_context_t context, struct iocb* block, int pipe_end) {
  struct altered* altered = add(context, block);
  altered->read = *block;
  altered->pipe_end = dup(pipe_end); /* which outlives faults_reset() */
  make_poll(block, altered);
}

/* Everything has to be zero that the kernel may not look at today. */
static void inspect(const struct iocb* block) {
  unsigned known = IOCB_FLAG_RESFD | (block->aio_reqprio != 0 ? IOCB_FLAG_IOPRIO : 0u);
  if ((block->aio_reqprio != 0 && (block->aio_flags & IOCB_FLAG_IOPRIO) == 0) ||
      (block->aio_flags & ~known) != 0 ||
      (block->aio_rw_flags & ~(0x8 | RWF_DSYNC | RWF_ATOMIC)) != 0) {
    abort();
  }
}

/* Returns 1 where the kernel gets the block. */
static int visit(aio_context_t context, struct iocb* block) {
  enum fault_call call = call_of(block);
  if (call == CALLS) {
    return 1;
  }
  inspect(block);
  struct plan plan = fault_plan(call, 1);
  int pipe_end = call == CALL_PREAD ? fault_blocking_pipe() : -1;
  if (pipe_end != -1) {
    block_read(context, block, pipe_end);
  } else if (plan.error != 0 || plan.bytes == 0) {
    make_up(context, block, -plan.error);
    return 0;
  } else if (plan.bytes != WHOLE && (call == CALL_PREAD || call == CALL_PWRITE)) {
    shorten(context, block, &plan);
  }
  if ((block->aio_flags & IOCB_FLAG_IOPRIO) != 0 && block->aio_reqprio != 0) {
    fault_count_prioritised((unsigned)block->aio_reqprio);
  }
  if (call == CALL_PWRITE && (block->aio_rw_flags & RWF_DSYNC) != 0) {
    fault_count_durable_write();
  }
  if (call == CALL_PWRITE && (block->aio_rw_flags & RWF_ATOMIC) != 0) {
    fault_count_atomic_write();
  }
  return 1;
}

int __wrap_uvdio__aio_submit(aio_context_t context, struct iocb** blocks, unsigned count) {
  struct plan plan = fault_enter(CALL_AIO_SUBMIT);
  unsigned most = count < plan.bytes ? count : (unsigned)plan.bytes;
  int result = -plan.error;
  for (unsigned i = 0; i < most && plan.error == 0; i++) {
    int taken = visit(context, blocks[i]) ? __real_uvdio__aio_submit(context, &blocks[i], 1) : 1;
    if (taken != 1) {
      result = result > 0 ? result : taken;
      break;
    }
    result++;
  }
  fault_leave(CALL_AIO_SUBMIT);
  return result;
}

/*
 * Completions
 */

/* Returns 0 where somebody else has had the bytes: the kernel waits again. */
static int end_read(struct altered* altered, struct io_event* event) {
  struct pollfd watched = {.fd = altered->pipe_end, .events = POLLIN};
  const struct iovec* pieces = (const struct iovec*)(uintptr_t)altered->read.aio_buf;
  void* base =
      is_vector(&altered->read) ? pieces[0].iov_base : (void*)(uintptr_t)altered->read.aio_buf;
  size_t length = is_vector(&altered->read) ? pieces[0].iov_len : altered->read.aio_nbytes;
  if (poll(&watched, 1, 0) == 0) {
    struct iocb* block = (struct iocb*)(uintptr_t)event->obj;
    make_poll(block, altered);
    if (__real_uvdio__aio_submit(altered->context, &block, 1) != 1) {
      abort();
    }
    pthread_mutex_lock(&lock);
    altered->next = all;
    all = altered;
    pthread_mutex_unlock(&lock);
    return 0;
  }
  /* The library's memory by now, which sanitizers guard from functions of the C library. */
  event->res = __real_syscall(SYS_read, (long)altered->pipe_end, base, length);
  (void)__real_close(altered->pipe_end);
  free(altered);
  return 1;
}

/* Returns 0 where the event is none. */
static int tell(aio_context_t context, struct io_event* event) {
  struct altered* altered = take_altered(context, event->data);
  if (altered == NULL) {
    return 1;
  }
  if (altered->pipe_end != -1) {
    return end_read(altered, event);
  }
  if (event->res > 0 && (size_t)event->res > altered->told) {
    event->res = (int64_t)altered->told;
  }
  free(altered);
  return 1;
}

static int take_made_up(aio_context_t context, struct io_event* event) {
  struct altered* altered = take_altered(context, 0);
  if (altered == NULL) {
    return 0;
  }
  memset(event, 0, sizeof(*event));
  event->data = altered->data;
  event->res = altered->result;
  free(altered);
  return 1;
}

int __wrap_uvdio__aio_take(aio_context_t context, struct io_event* events, unsigned room,
                           uint64_t* calls) {
  int taken = fault_is_take_in_vain() ? 0 : __real_uvdio__aio_take(context, events, room, calls);
  int kept = 0;
  if (taken < 0) {
    return taken;
  }
  for (int i = 0; i < taken; i++) {
    if (tell(context, &events[i])) {
      events[kept++] = events[i];
    }
  }
  while ((unsigned)kept < room && take_made_up(context, &events[kept])) {
    kept++;
  }
  return kept;
}

int __wrap_uvdio__aio_is_ready(aio_context_t context) {
  return has_made_up(context) || __real_uvdio__aio_is_ready(context);
}

/*
 * Contexts
 */

#define MAGIC_AT 4 /* of 32 bits each (fs/aio.c, struct aio_ring) */

long fault_blur_aio(long result, const unsigned long* context) {
  if (result == 0 && fault_pretended_unknown_aio()) {
    ((uint32_t*)(uintptr_t)*context)[MAGIC_AT] = 0;
  }
  return result;
}

static void* destroy(void* context) {
  (void)__real_syscall(SYS_io_destroy, (long)(uintptr_t)context);
  return NULL;
}

long fault_destroy_aio(long context) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, destroy, (void*)(uintptr_t)context) != 0) {
    return __real_syscall(SYS_io_destroy, context);
  }
  return pthread_detach(thread);
}

#else

long fault_blur_aio(long result, const unsigned long* context) {
  (void)context;
  return result;
}

long fault_destroy_aio(long context) {
  return __real_syscall(SYS_io_destroy, context);
}

#endif
