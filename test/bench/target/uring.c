/* SPDX-License-Identifier: MIT */
/*
 * The limit: a program that does nothing but this. One ring with the flags that make it fastest,
 * buffers and files registered, one system call per turn that submits and waits. It has no event
 * loop, checks nothing, owns nothing and serves nobody else.
 *
 * "limit-prompt" is the same with a system call for each request, as soon as there is one: more
 * CPU, but the device begins sooner, which can be worth more at small depths.
 */
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "cli/cli.h"
#include "harness/work.h"
#include "target/run.h"
#include "uvdio.h"

/* One after the other, interruptions among them, before it is given up. */
#define REFUSALS_MAX 1000

typedef struct {
  char* memory;
  uint64_t began_ns;
} slot_t;

typedef struct {
  struct io_uring ring;
  int is_open;
  int* files;
  unsigned files_open;
  char* memory;
  slot_t* slots;
  unsigned in_flight;
  int prompt; /* a system call for each request */
} state_t;

static void close_state(void* memory) {
  state_t* state = memory;
  if (state->in_flight > 0) {
    return; /* the kernel may still write to the buffers: the end of the process is near enough */
  }
  if (state->is_open) {
    io_uring_queue_exit(&state->ring);
  }
  for (unsigned i = 0; i < state->files_open; i++) {
    (void)close(state->files[i]);
  }
  free(state->memory);
  free(state->files);
  free(state->slots);
  free(state);
}

/* Older kernels know fewer flags: the best that this one has. */
static int open_ring(target_run_t* run, state_t* state) {
  static const unsigned choices[] = {
      IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
      IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN, IORING_SETUP_SUBMIT_ALL, 0};
  int error = -1;
  for (size_t i = 0; i < CLI_COUNT_OF(choices) && error != 0; i++) {
    error = io_uring_queue_init(run->work.params.depth, &state->ring, choices[i]);
    if (error != 0 && error != UV_EINVAL) {
      break;
    }
  }
  if (error != 0) {
    return target_fail(run, "io_uring_setup", error);
  }
  state->is_open = 1;
  (void)io_uring_register_ring_fd(
      &state->ring); /* saves a look-up per call, where the kernel has it */
  return 0;
}

static int open_files(target_run_t* run, state_t* state) {
  const work_params_t* params = &run->work.params;
  state->files = calloc(params->files, sizeof *state->files);
  if (state->files == NULL) {
    return target_fail(run, "calloc", UV_ENOMEM);
  }
  for (unsigned i = 0; i < params->files; i++) {
    state->files[i] = work_open(params, i);
    if (state->files[i] < 0) {
      return target_fail(run, "open", state->files[i]);
    }
    state->files_open++;
  }
  int error = io_uring_register_files(&state->ring, state->files, params->files);
  return error == 0 ? 0 : target_fail(run, "io_uring_register_files", error);
}

static int open_slots(target_run_t* run, state_t* state) {
  const work_params_t* params = &run->work.params;
  state->slots = calloc(params->depth, sizeof *state->slots);
  state->memory = work_memory(params);
  if (state->slots == NULL || state->memory == NULL) {
    return target_fail(run, "buffers", UV_ENOMEM);
  }
  struct iovec all = {.iov_base = state->memory, .iov_len = params->depth * params->block_size};
  for (unsigned i = 0; i < params->depth; i++) {
    state->slots[i].memory = state->memory + i * params->block_size;
  }
  int error = io_uring_register_buffers(&state->ring, &all, 1);
  return error == 0 ? 0 : target_fail(run, "io_uring_register_buffers", error);
}

static void* open_state(target_run_t* run, int prompt) {
  state_t* state = calloc(1, sizeof *state);
  if (state == NULL) {
    target_fail(run, "calloc", UV_ENOMEM);
    return NULL;
  }
  state->prompt = prompt;
  if (open_ring(run, state) != 0 || open_files(run, state) != 0 || open_slots(run, state) != 0) {
    close_state(state);
    return NULL;
  }
  return state;
}

static void submit(work_t* work, state_t* state, slot_t* slot, uint64_t now_ns) {
  step_t step;
  if (!work_next(work, now_ns, &step)) {
    return;
  }
  struct io_uring_sqe* sqe = io_uring_get_sqe(&state->ring);
  unsigned length = (unsigned)work->params.block_size;
  if (step.is_write) {
    io_uring_prep_write_fixed(sqe, (int)step.file, slot->memory, length, step.offset, 0);
  } else {
    io_uring_prep_read_fixed(sqe, (int)step.file, slot->memory, length, step.offset, 0);
  }
  sqe->flags |= IOSQE_FIXED_FILE;
  io_uring_sqe_set_data(sqe, slot);
  slot->began_ns = now_ns;
  state->in_flight++;
  if (state->prompt) {
    (void)io_uring_submit(&state->ring); /* what is not taken now goes with the next call */
  }
}

/* Takes all completions that are there, and prepares what follows them. */
static void reap(target_run_t* run, state_t* state) {
  struct io_uring_cqe* cqe;
  unsigned head;
  unsigned count = 0;
  io_uring_for_each_cqe(&state->ring, head, cqe) {
    slot_t* slot = io_uring_cqe_get_data(cqe);
    uint64_t now_ns = work_now(&run->work);
    count++;
    state->in_flight--;
    if (cqe->res != (int)run->work.params.block_size) {
      target_fail(run, "read or write", cqe->res < 0 ? cqe->res : UVDIO_ESHORTREAD);
      run->work.left = 0;
      continue;
    }
    work_done(&run->work, slot->began_ns, now_ns);
    submit(&run->work, state, slot, now_ns);
  }
  io_uring_cq_advance(&state->ring, count);
}

static void loop(target_run_t* run, void* memory) {
  state_t* state = memory;
  uint64_t now_ns = work_now(&run->work);
  for (unsigned i = 0; i < run->work.params.depth; i++) {
    submit(&run->work, state, &state->slots[i], now_ns);
  }
  unsigned refusals = 0;
  while (state->in_flight > 0) {
    int answer = io_uring_submit_and_wait(&state->ring, 1);
    int is_put_off = answer == UV_EINTR || answer == UV_EAGAIN || answer == UV_EBUSY;
    refusals = is_put_off ? refusals + 1 : 0;
    if (answer < 0 && (!is_put_off || refusals > REFUSALS_MAX)) {
      target_fail(run, "io_uring_enter", answer);
      return;
    }
    reap(run, state);
  }
}

static void* open_batched(target_run_t* run) {
  return open_state(run, 0);
}

static void* open_prompt(target_run_t* run) {
  return open_state(run, 1);
}

const target_ops_t target_limit = {"limit", 1, open_batched, loop, close_state};
const target_ops_t target_limit_prompt = {"limit-prompt", 1, open_prompt, loop, close_state};
