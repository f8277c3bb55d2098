/* SPDX-License-Identifier: MIT */
/*
 * Kernel AIO: a context with room for the engine's depth, and an eventfd that its completions
 * signal. This file sets it up and takes it apart.
 *
 * Contexts share a limit of the machine's (fs.aio-max-nr, 65536 by default). An engine asks for
 * room for its depth and no more, and makes do with less.
 */
#include <errno.h>
#include <stdio.h>

#include "aio/aio.h"
#include "allocator.h"

/* With less room than that the pool is no worse. */
#define COUNT_MIN 16u

/* As much room as can be had. */
static int set_up_context(uvdio__aio_t* state, unsigned depth) {
  unsigned least = depth < COUNT_MIN ? depth : COUNT_MIN;
  int result;

  state->count = depth;
  result = uvdio__aio_setup(state->count, &state->context);
  while (result == -EAGAIN && state->count > least) {
    state->count = state->count / 2 > least ? state->count / 2 : least;
    result = uvdio__aio_setup(state->count, &state->context);
  }
  return result == 0 ? 0 : uv_translate_sys_error(-result);
}

static int make_slots(uvdio__aio_t* state) {
  unsigned i;

  state->slots = uvdio__alloc(state->count * sizeof(*state->slots), UVDIO__STRUCT_ALIGN, 1);
  state->gathered = uvdio__alloc(state->count * sizeof(*state->gathered), UVDIO__STRUCT_ALIGN, 1);
  if (state->slots == NULL || state->gathered == NULL) {
    return UV_ENOMEM;
  }
  for (i = state->count; i > 0; i--) {
    state->slots[i - 1].next_free = state->free;
    state->free = &state->slots[i - 1];
  }
  return 0;
}

static void free_state(uvdio__aio_t* state) {
  if (state->slots != NULL) {
    uvdio__free(state->slots, state->count * sizeof(*state->slots), UVDIO__STRUCT_ALIGN);
  }
  if (state->gathered != NULL) {
    uvdio__free(state->gathered, state->count * sizeof(*state->gathered), UVDIO__STRUCT_ALIGN);
  }
  uvdio__free(state, sizeof(*state), UVDIO__STRUCT_ALIGN);
}

/* The handle on the loop comes last: nothing could take it back at once. */
static int set_up(uvdio__queue_t* queue, uvdio__aio_t* state, const char** call) {
  int error = set_up_context(state, queue->depth);

  *call = "io_setup";
  if (error != 0) {
    return error;
  }
  *call = "an allocation";
  error = make_slots(state);
  if (error == 0) {
    error = uvdio__aio_round_trip(state->context, call);
  }
  if (error == 0) {
    error = uvdio__wakeup_init(&state->wakeup, queue, call);
  }
  if (error != 0) {
    uvdio__aio_destroy(state->context);
  }
  return error;
}

static void describe(const uvdio__queue_t* queue, unsigned wanted, char* reason, size_t size) {
  if (queue->depth < wanted) {
    (void)snprintf(reason, size,
                   "kernel AIO works here, with room for %u requests instead of %u: the machine's "
                   "are nearly all taken (see the sysctls fs.aio-nr and fs.aio-max-nr)",
                   queue->depth, wanted);
  } else {
    (void)snprintf(reason, size, "kernel AIO works here");
  }
}

static int init_aio(uvdio__queue_t* queue, char* reason, size_t size) {
  uvdio__aio_t* state = uvdio__alloc(sizeof(*state), UVDIO__STRUCT_ALIGN, 1);
  unsigned wanted = queue->depth;
  const char* call;
  int error;

  if (state == NULL) {
    (void)snprintf(reason, size, "out of memory");
    return UV_ENOMEM;
  }
  error = set_up(queue, state, &call);
  if (error != 0) {
    uvdio__aio_explain(error, call, reason, size);
    free_state(state);
    return error;
  }
  queue->depth = state->count;
  queue->state = state;
  describe(queue, wanted, reason, size);
  return 0;
}

static void leave_loop(uvdio__queue_t* queue) {
  uvdio__aio_t* state = queue->state;

  uvdio__wakeup_leave_loop(&state->wakeup);
}

static void wait_for_event(uvdio__queue_t* queue, int timeout_ms) {
  uvdio__aio_t* state = queue->state;

  uvdio__wakeup_wait(&state->wakeup, timeout_ms);
}

static void release_aio(uvdio__queue_t* queue) {
  uvdio__aio_t* state = queue->state;

  assert(queue->in_flight == 0 && state->context != 0);
  uvdio__aio_destroy(state->context);
  state->context = 0;
}

/* A forked child has no context: the kernel makes none of the parent's its own. */
static void close_aio(uvdio__queue_t* queue) {
  uvdio__aio_t* state = queue->state;

  if (uvdio__engine_is_forked(queue->engine)) {
    uvdio__aio_unmap(state->context);
  } else if (state->context != 0) {
    uint64_t began_ns = uvdio__clock_ns();
    release_aio(queue);
    uvdio__engine_note_call(queue->engine, UVDIO_CALL_REGISTER, began_ns);
  }
  uvdio__wakeup_close(&state->wakeup);
  queue->state = NULL;
  free_state(state);
}

const uvdio__backend_t uvdio__backend_aio = {
    .name = "aio",
    .has_descriptors = 1,
    .batch = UVDIO_DEPTH_MAX,
    .can_punt = 1,
    .probe = uvdio__aio_probe,
    .init = init_aio,
    .avoid = uvdio__aio_avoid,
    .submit = uvdio__aio_submit_request,
    .prioritise = uvdio__aio_prioritise,
    .flush = uvdio__aio_flush,
    .reap = uvdio__aio_reap,
    .busy_poll = uvdio__aio_busy_poll,
    .cancel = uvdio__aio_cancel,
    .perform = uvdio__request_perform,
    .dup = uvdio__request_dup,
    .leave_loop = leave_loop,
    .wait = wait_for_event,
    .release = release_aio,
    .close = close_aio,
};
