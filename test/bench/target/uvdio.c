/* SPDX-License-Identifier: MIT */
/*
 * This library: `depth` slots, each with a request and a buffer; the callback of a request submits
 * the next.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cli/session.h"
#include "harness/work.h"
#include "target/run.h"
#include "uvdio.h"

#define BUSY_POLL_US 200 /* longer than most devices take */

typedef struct state_s state_t;

/* Where the buffers come from. */
typedef enum {
  MEMORY_HEAP,
  MEMORY_ARENA,
  MEMORY_REGISTERED /* an arena that the ring knows */
} memory_t;

/* In what the targets of this library differ. */
typedef struct {
  uvdio_backend_t backend;
  memory_t memory;
  unsigned busy_poll_us;
  unsigned batch;
  int with_metrics;
  int polled; /* completions; or for none of its files where the device can't be polled */
} variant_t;

typedef struct {
  state_t* state;
  uvdio_req_t req;
  uvdio_buf_t
      memory; /* what `buf` is a view on where blocks are smaller than buffers can be; else empty */
  uvdio_buf_t buf;
  uint64_t began_ns;
} slot_t;

struct state_s {
  target_run_t* run;
  session_t session;
  const variant_t* variant;
  int is_open;
  uvdio_file_t* files;
  unsigned files_open;
  uvdio_arena_t* arena; /* null: each buffer is memory of its own */
  slot_t* slots;
  unsigned slot_count;
};

static void on_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf);

static void submit(slot_t* slot, uint64_t now_ns) {
  state_t* state = slot->state;
  work_t* work = &state->run->work;
  step_t step;
  if (state->run->error != 0 || !work_next(work, now_ns, &step)) {
    return;
  }
  slot->began_ns = now_ns;
  slot->buf.len = step.is_write ? work->params.block_size : 0;
  uvdio_file_t* file = &state->files[step.file];
  int error = step.is_write ? uvdio_write(file, &slot->req, &slot->buf, step.offset, on_done)
                            : uvdio_read(file, &slot->req, &slot->buf, step.offset, on_done);
  if (error != 0) {
    target_fail(state->run, step.is_write ? "uvdio_write" : "uvdio_read", error);
  }
}

static void on_done(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  slot_t* slot = req->data;
  target_run_t* run = slot->state->run;
  uint64_t now_ns = work_now(&run->work);
  slot->buf = buf;
  if (result != (ssize_t)run->work.params.block_size) {
    target_fail(run, uvdio_op_name(req->op), result < 0 ? (int)result : UVDIO_ESHORTREAD);
    return;
  }
  work_done(&run->work, slot->began_ns, now_ns);
  submit(slot, now_ns);
}

static void close_state(void* memory) {
  state_t* state = memory;
  for (unsigned i = 0; i < state->slot_count; i++) {
    (void)uvdio_buf_release(&state->slots[i].buf);
    (void)uvdio_buf_release(&state->slots[i].memory);
  }
  for (unsigned i = 0; i < state->files_open; i++) {
    uvdio_req_t req = {0};
    if (uvdio_close(&state->files[i], &req, NULL) != 0) {
      break; /* The engine's close closes what is left. */
    }
  }
  if (state->is_open) {
    session_close(&state->session);
  }
  if (state->arena != NULL) {
    (void)uvdio_arena_destroy(state->arena, NULL); /* after the engine, which may know it */
  }
  free(state->files);
  free(state->slots);
  free(state);
}

static int open_files(state_t* state) {
  const work_params_t* params = &state->run->work.params;
  unsigned flags = (work_writes(params->kind) ? UVDIO_O_RDWR : UVDIO_O_RDONLY) |
                   (params->kind == WORK_DURABLE_WRITE ? UVDIO_O_DSYNC : 0) |
                   (params->block_size % UVDIO_ALIGNMENT != 0 ? UVDIO_O_NATIVE_ALIGN : 0);
  state->files = calloc(params->files, sizeof *state->files);
  int error = state->files == NULL ? UV_ENOMEM : 0;
  for (unsigned i = 0; i < params->files && error == 0; i++) {
    char path[4096];
    uvdio_req_t req = {0};
    work_path(params, i, path, sizeof path);
    error = uvdio_open(state->session.engine, &state->files[i], &req, path, flags, 0, NULL);
    error = error == 0 ? (int)req.result : error;
    state->files_open += error == 0;
  }
  return error == 0 ? 0 : target_fail(state->run, "uvdio_open", error);
}

static int open_buffer(state_t* state, slot_t* slot, size_t size) {
  size_t block_size = state->run->work.params.block_size;
  int error = state->arena != NULL ? uvdio_arena_acquire(state->arena, &slot->buf)
                                   : uvdio_buf_alloc(&slot->buf, size, 0);
  if (error != 0) {
    return error;
  }
  memset(slot->buf.base, 'u', size); /* page faults belong to nobody's operations */
  if (slot->buf.cap != block_size) {
    slot->memory = slot->buf;
    slot->buf = uvdio_buf_wrap(slot->memory.base, block_size);
  }
  return 0;
}

static int open_arena(state_t* state, size_t frame_size) {
  const work_params_t* params = &state->run->work.params;
  uvdio_arena_options_t options = {.frame_size = frame_size,
                                   .frame_count = params->depth,
                                   .flags = params->huge_pages ? UVDIO_ARENA_HUGE_PAGES : 0};
  int error = uvdio_arena_create(&state->arena, &options);
  if (error != 0 && params->huge_pages) { /* the system has none */
    options.flags = 0;
    error = uvdio_arena_create(&state->arena, &options);
  }
  return error;
}

static int open_slots(state_t* state) {
  const work_params_t* params = &state->run->work.params;
  size_t size = (params->block_size + UVDIO_ALIGNMENT - 1) / UVDIO_ALIGNMENT * UVDIO_ALIGNMENT;
  state->slots = calloc(params->depth, sizeof *state->slots);
  int error = state->slots == NULL ? UV_ENOMEM : 0;
  if (error == 0 && state->variant->memory != MEMORY_HEAP) {
    error = open_arena(state, size);
  }
  for (unsigned i = 0; i < params->depth && error == 0; i++) {
    slot_t* slot = &state->slots[i];
    slot->state = state;
    slot->req.data = slot;
    error = open_buffer(state, slot, size);
    state->slot_count += error == 0;
  }
  /* Now, not at first use: see note_unregistered(). */
  if (error == 0 && state->variant->memory == MEMORY_REGISTERED) {
    (void)uvdio_arena_register(state->session.engine, state->arena);
  }
  return error == 0 ? 0 : target_fail(state->run, "buffers", error);
}

static int open_parts(state_t* state) {
  const variant_t* variant = state->variant;
  uvdio_engine_options_t options = {
      .backend = variant->backend,
      .depth = state->run->work.params.depth,
      .flags = (variant->memory == MEMORY_REGISTERED ? 0 : UVDIO_ENGINE_NO_AUTO_REGISTER) |
               (variant->polled ? UVDIO_ENGINE_POLLED : 0),
      .busy_poll_us = variant->busy_poll_us,
      .submit_batch_max = variant->batch};
  int error = session_open(&state->session, &options);
  if (error != 0) {
    return target_fail(state->run, "uvdio_engine_create", error);
  }
  state->is_open = 1;
  error = variant->with_metrics ? uvdio_metrics_start(state->session.engine, NULL) : 0;
  if (error != 0) {
    return target_fail(state->run, "uvdio_metrics_start", error);
  }
  error = open_files(state);
  return error == 0 ? open_slots(state) : error;
}

static void* open_state(target_run_t* run, const variant_t* variant) {
  state_t* state = calloc(1, sizeof *state);
  if (state == NULL) {
    target_fail(run, "calloc", UV_ENOMEM);
    return NULL;
  }
  state->run = run;
  state->variant = variant;
  if (open_parts(state) != 0) {
    close_state(state);
    return NULL;
  }
  return state;
}

static void* open_ring(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_RING, MEMORY_REGISTERED, 0, 0, 0, 0};
  return open_state(run, &variant);
}

static void* open_ring_plain(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_RING, MEMORY_ARENA, 0, 0, 0, 0};
  return open_state(run, &variant);
}

static void* open_ring_heap(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_RING, MEMORY_HEAP, 0, 0, 0, 0};
  return open_state(run, &variant);
}

static void* open_ring_busy(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_RING, MEMORY_REGISTERED, BUSY_POLL_US, 0, 0, 0};
  return open_state(run, &variant);
}

static void* open_ring_prompt(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_RING, MEMORY_REGISTERED, 0, 1, 0, 0};
  return open_state(run, &variant);
}

static void* open_ring_metrics(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_RING, MEMORY_REGISTERED, 0, 0, 1, 0};
  return open_state(run, &variant);
}

static void* open_ring_polled(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_RING, MEMORY_REGISTERED, 0, 0, 0, 1};
  return open_state(run, &variant);
}

static void* open_ring_polled_busy(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_RING, MEMORY_REGISTERED, BUSY_POLL_US, 0, 0, 1};
  return open_state(run, &variant);
}

static void* open_aio(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_AIO, MEMORY_ARENA, 0, 0, 0, 0};
  return open_state(run, &variant);
}

static void* open_pool(target_run_t* run) {
  static const variant_t variant = {UVDIO_BACKEND_POOL, MEMORY_ARENA, 0, 0, 0, 0};
  return open_state(run, &variant);
}

/* A ring that does not know its memory is measured all the same, but not without saying so. Files
 * that it leaves to the pool have no use for that. */
static void note_unregistered(const state_t* state, target_run_t* run) {
  uvdio_registration_t registration;
  if (state->variant->memory == MEMORY_REGISTERED && run->stats.fixed == 0 &&
      strcmp(run->executed_by, "ring") == 0 &&
      uvdio_arena_registration(state->session.engine, state->arena, &registration) == 0 &&
      registration.error != 0) {
    run->unregistered = registration.reason;
  }
}

static void loop(target_run_t* run, void* memory) {
  state_t* state = memory;
  uvdio_file_info_t info;
  uint64_t now_ns = work_now(&run->work);
  for (unsigned i = 0; i < state->slot_count; i++) {
    submit(&state->slots[i], now_ns);
  }
  session_run(&state->session);
  run->has_stats = uvdio_engine_stats(state->session.engine, &run->stats) == 0;
  if (uvdio_file_info(&state->files[0], &info) == 0) {
    int is_mixed = strcmp(info.backend, info.backend_concurrent) != 0;
    snprintf(run->executed_by, sizeof run->executed_by, "%s%s%s%s", info.backend,
             is_mixed ? " and " : "", is_mixed ? info.backend_concurrent : "",
             info.is_polled ? ", polled" : "");
  }
  note_unregistered(state, run);
}

const target_ops_t target_ring = {"ring", 1, open_ring, loop, close_state};
const target_ops_t target_ring_plain = {"ring-plain", 1, open_ring_plain, loop, close_state};
const target_ops_t target_ring_busy = {"ring-busy", 1, open_ring_busy, loop, close_state};
const target_ops_t target_ring_prompt = {"ring-prompt", 1, open_ring_prompt, loop, close_state};
const target_ops_t target_ring_metrics = {"ring-metrics", 1, open_ring_metrics, loop, close_state};
const target_ops_t target_ring_heap = {"ring-heap", 1, open_ring_heap, loop, close_state};
const target_ops_t target_ring_polled = {"ring-polled", 1, open_ring_polled, loop, close_state};
const target_ops_t target_ring_polled_busy = {"ring-polled-busy", 1, open_ring_polled_busy, loop,
                                              close_state};
const target_ops_t target_aio = {"aio", 1, open_aio, loop, close_state};
const target_ops_t target_pool = {"pool", 0, open_pool, loop, close_state};
