/* SPDX-License-Identifier: MIT */
/*
 * libuv's own file calls: what a program on libuv would do without this library. `depth` requests
 * are with the threadpool; the callback of one submits the next.
 */
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "harness/work.h"
#include "target/run.h"
#include "uvdio.h"

typedef struct state_s state_t;

typedef struct {
  uv_fs_t req;
  state_t* state;
  char* memory;
  uint64_t began_ns;
} slot_t;

struct state_s {
  target_run_t* run;
  uv_loop_t loop;
  int is_open;
  int* files;
  unsigned files_open;
  char* memory;
  slot_t* slots;
};

static void on_done(uv_fs_t* req);

static void submit(slot_t* slot, uint64_t now_ns) {
  state_t* state = slot->state;
  step_t step;
  if (state->run->error != 0 || !work_next(&state->run->work, now_ns, &step)) {
    return;
  }
  slot->began_ns = now_ns;
  uv_buf_t buf = uv_buf_init(slot->memory, (unsigned)state->run->work.params.block_size);
  int file = state->files[step.file];
  int64_t offset = (int64_t)step.offset;
  int error = step.is_write ? uv_fs_write(&state->loop, &slot->req, file, &buf, 1, offset, on_done)
                            : uv_fs_read(&state->loop, &slot->req, file, &buf, 1, offset, on_done);
  if (error != 0) {
    target_fail(state->run, step.is_write ? "uv_fs_write" : "uv_fs_read", error);
  }
}

static void on_done(uv_fs_t* req) {
  slot_t* slot = req->data;
  target_run_t* run = slot->state->run;
  uint64_t now_ns = work_now(&run->work);
  ssize_t result = req->result;
  uv_fs_req_cleanup(req);
  if (result != (ssize_t)run->work.params.block_size) {
    target_fail(run, "uv_fs_read or uv_fs_write", result < 0 ? (int)result : UVDIO_ESHORTREAD);
    return;
  }
  work_done(&run->work, slot->began_ns, now_ns);
  submit(slot, now_ns);
}

static void close_state(void* memory) {
  state_t* state = memory;
  for (unsigned i = 0; i < state->files_open; i++) {
    (void)close(state->files[i]);
  }
  if (state->is_open) {
    (void)uv_loop_close(&state->loop);
  }
  free(state->memory);
  free(state->files);
  free(state->slots);
  free(state);
}

static int open_files(state_t* state) {
  const work_params_t* params = &state->run->work.params;
  state->files = calloc(params->files, sizeof *state->files);
  if (state->files == NULL) {
    return target_fail(state->run, "calloc", UV_ENOMEM);
  }
  for (unsigned i = 0; i < params->files; i++) {
    state->files[i] = work_open(params, i);
    if (state->files[i] < 0) {
      return target_fail(state->run, "open", state->files[i]);
    }
    state->files_open++;
  }
  return 0;
}

static int open_slots(state_t* state) {
  const work_params_t* params = &state->run->work.params;
  state->slots = calloc(params->depth, sizeof *state->slots);
  state->memory = work_memory(params);
  if (state->slots == NULL || state->memory == NULL) {
    return target_fail(state->run, "buffers", UV_ENOMEM);
  }
  for (unsigned i = 0; i < params->depth; i++) {
    slot_t* slot = &state->slots[i];
    slot->state = state;
    slot->req.data = slot;
    slot->memory = state->memory + i * params->block_size;
  }
  return 0;
}

static void* open_state(target_run_t* run) {
  state_t* state = calloc(1, sizeof *state);
  if (state == NULL || uv_loop_init(&state->loop) != 0) {
    target_fail(run, "uv_loop_init", UV_ENOMEM);
    free(state);
    return NULL;
  }
  state->run = run;
  state->is_open = 1;
  if (open_files(state) != 0 || open_slots(state) != 0) {
    close_state(state);
    return NULL;
  }
  return state;
}

static void loop(target_run_t* run, void* memory) {
  state_t* state = memory;
  uint64_t now_ns = work_now(&run->work);
  for (unsigned i = 0; i < run->work.params.depth; i++) {
    submit(&state->slots[i], now_ns);
  }
  (void)uv_run(&state->loop, UV_RUN_DEFAULT);
}

const target_ops_t target_uv = {"uv", 0, open_state, loop, close_state};
