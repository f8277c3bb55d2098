/* SPDX-License-Identifier: MIT */
/*
 * The ring: io_uring, with an eventfd that a uv_poll_t on the user's loop watches. This file
 * creates it, binds it to the loop's thread, and takes it apart.
 *
 *   init      the ring is created disabled, with the flags that the probe found (probe.c), on any
 *             thread
 *   enable    at the first request, on the loop's thread, which the ring is bound to from then on
 *   rebind    a new ring for another thread
 *   close     memory and files are given up before the ring
 */
#include <stdio.h>
#include <string.h>

#include "allocator.h"
#include "ring/ring.h"

/*
 * Set-up
 */

/* One with polled completions has no task work, and may be asked by any thread (polled.c). */
static unsigned flags_of(const uvdio__ring_t* state) {
  return state->is_polled ? (state->features.flags & IORING_SETUP_SUBMIT_ALL) | IORING_SETUP_IOPOLL
                          : state->features.flags;
}

/* A table of files takes the kernel that clones have; and files have one number, the ordinary
 * ring's. */
static int has_no_table(const uvdio__ring_t* state) {
  return !state->features.has_clones || state->is_polled;
}

static int create_ring(uvdio__ring_t* state, unsigned depth) {
  struct io_uring_params params;
  int result;

  memset(&params, 0, sizeof(params));
  params.flags = flags_of(state) | IORING_SETUP_R_DISABLED;
  result = io_uring_queue_init_params(depth, &state->ring, &params);
  if (result < 0) {
    return uv_translate_sys_error(-result);
  }
  state->entries = state->ring.sq.sqes;
  state->entry_count = params.sq_entries;
  state->entry_mask = params.sq_entries - 1;
  state->completion_mask = params.cq_entries - 1;
  return 0;
}

static int set_up(uvdio__queue_t* queue, uvdio__ring_t* state, const char** call) {
  int error = create_ring(state, queue->depth);

  *call = "io_uring_setup";
  if (error != 0) {
    return error;
  }
  error = uvdio__wakeup_init(&state->wakeup, queue, call);
  if (error != 0) {
    io_uring_queue_exit(&state->ring);
  }
  return error;
}

static int init(uvdio__queue_t* queue, int is_polled, char* reason, size_t size) {
  uvdio__ring_features_t features;
  const char* call;
  uvdio__ring_t* state;
  int error = uvdio__ring_features(&features, reason, size);

  if (error != 0) {
    return error;
  }
  state = uvdio__alloc(sizeof(*state), UVDIO__STRUCT_ALIGN, 1);
  if (state == NULL) {
    (void)snprintf(reason, size, "out of memory");
    return UV_ENOMEM;
  }
  state->features = features;
  state->is_polled = is_polled;
  state->files.off = has_no_table(state);
  error = set_up(queue, state, &call);
  if (error != 0) {
    uvdio__ring_explain(error, call, reason, size);
    uvdio__free(state, sizeof(*state), UVDIO__STRUCT_ALIGN);
    return error;
  }
  state->queue = queue;
  queue->state = state;
  return 0;
}

static int init_ring(uvdio__queue_t* queue, char* reason, size_t size) {
  return init(queue, 0, reason, size);
}

static int init_polled(uvdio__queue_t* queue, char* reason, size_t size) {
  return init(queue, 1, reason, size);
}

/*
 * Off the loop
 */

static void leave_loop(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  uvdio__wakeup_leave_loop(&state->wakeup);
}

/* The number by which its own thread knows the ring may be that of another ring on this one, which
 * would lose it. As long as that thread lives, the kernel keeps the ring then, with all that it has
 * registered. */
static void exit_ring(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  int is_forked = uvdio__engine_is_forked(queue->engine);
  uint64_t began_ns = uvdio__clock_ns();

  if (!is_forked) {
    uvdio__ring_unbind(state);
  }
  if (is_forked || uvdio__engine_is_foreign(queue->engine)) {
    state->ring.int_flags = 0;
  }
  uvdio__ring_free_buffers(state, is_forked);
  uvdio__ring_free_files(state, is_forked);
  io_uring_queue_exit(&state->ring);
  uvdio__engine_note_call(queue->engine, UVDIO_CALL_REGISTER, began_ns);
}

static void close_ring(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  exit_ring(queue);
  uvdio__wakeup_close(&state->wakeup);
  queue->state = NULL;
  uvdio__free(state, sizeof(*state), UVDIO__STRUCT_ALIGN);
}

/*
 * Other threads
 */

static void off_thread(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  if (!state->broken) {
    state->off_thread = 1;
    uvdio__ring_give_up(queue,
                        "the loop runs on another thread than the one that the ring is bound to "
                        "(uvdio_engine_rebind() gets a new ring)");
  }
}

/* What is in flight is asked for by whoever runs the loop. The number by which the old thread knows
 * the ring is that thread's alone. */
static void polled_off_thread(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;

  state->ring.int_flags = 0;
  state->ring.enter_ring_fd = state->ring.ring_fd;
  off_thread(queue);
}

/* The ring is new, and knows no file and no memory yet. */
static void begin_anew(uvdio__queue_t* queue, const uvdio__ring_t* fresh) {
  uvdio__ring_t* state = queue->state;
  uvdio_file_t* file;

  state->ring = fresh->ring;
  state->entries = fresh->entries;
  state->entry_count = fresh->entry_count;
  state->entry_mask = fresh->entry_mask;
  state->completion_mask = fresh->completion_mask;
  state->enabled = 0;
  state->broken = 0;
  state->off_thread = 0;
  state->cancels = 0;
  state->wakeup.is_unnotified = 0;
  state->buffers.has_table = 0;
  state->files.off = has_no_table(state);
  state->files.full = 0;
  uvdio__queue_unstall(queue);
  queue->unflushed = 0;
  queue->batch_weight = 0;
  if (!state->is_polled) {
    for (file = queue->engine->files; file != NULL; file = file->next_) {
      file->fixed_index_ = 0;
    }
  }
}

/* One that was never enabled is bound to no thread, and one that broke down for another reason is
 * done with. */
static int rebind_ring(uvdio__queue_t* queue) {
  uvdio__ring_t* state = queue->state;
  uvdio__ring_t fresh = {.features = state->features, .is_polled = state->is_polled};
  uvdio__ring_features_t features;
  char reason[UVDIO__REASON_SIZE];
  int error;

  if (state->broken ? !state->off_thread : !state->enabled) {
    return 0;
  }
  error = uvdio__ring_features(&features, reason, sizeof(reason));
  if (error == 0) {
    error = create_ring(&fresh, queue->depth);
  }
  if (error != 0) {
    return error;
  }
  exit_ring(queue);
  begin_anew(queue, &fresh);
  if (uvdio__queue_is_broken(queue)) {
    uvdio__queue_mended(queue, reason);
  }
  return 0;
}

const uvdio__backend_t uvdio__backend_ring = {
    .name = "ring",
    .has_descriptors = 1,
    .batch = UVDIO_DEPTH_MAX,
    .can_punt = 1,
    .probe = uvdio__ring_probe,
    .init = init_ring,
    .avoid = uvdio__ring_avoid,
    .submit = uvdio__ring_submit,
    .prioritise = uvdio__ring_prioritise,
    .flush = uvdio__ring_flush,
    .reap = uvdio__ring_reap,
    .busy_poll = uvdio__ring_busy_poll,
    .cancel = uvdio__ring_cancel,
    .perform = uvdio__request_perform,
    .dup = uvdio__request_dup,
    .leave_loop = leave_loop,
    .wait = uvdio__ring_wait,
    .close = close_ring,
    .off_thread = off_thread,
    .rebind = rebind_ring,
    .unregister_file = uvdio__ring_unregister_file,
    .register_arena = uvdio__ring_register_arena,
    .unregister_arena = uvdio__ring_unregister_arena,
    .get_registration = uvdio__ring_registration,
    .sweep = uvdio__ring_sweep,
};

const uvdio__backend_t uvdio__backend_polled = {
    .name = "ring",
    .has_descriptors = 1,
    .batch = UVDIO_DEPTH_MAX,
    .can_punt = 1,
    .doubts_shorts = 1,
    .init = init_polled,
    .submit = uvdio__polled_submit,
    .prioritise = uvdio__ring_prioritise,
    .flush = uvdio__polled_flush,
    .reap = uvdio__polled_reap,
    .busy_poll = uvdio__polled_busy_poll,
    .cancel = uvdio__polled_cancel,
    .perform = uvdio__request_perform,
    .dup = uvdio__request_dup,
    .leave_loop = leave_loop,
    .wait = uvdio__ring_wait, /* where it can't be asked */
    .close = close_ring,
    .off_thread = polled_off_thread,
    .rebind = rebind_ring,
    .register_arena = uvdio__ring_register_arena,
    .unregister_arena = uvdio__ring_unregister_arena,
    .get_registration = uvdio__ring_registration,
    .sweep = uvdio__ring_sweep,
};
