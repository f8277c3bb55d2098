/*
 * Arenas and the engines that have registered them: the checks; the backend does the work.
 */
#include "internal.h"

/* The queue that registers, or null where the engine has none, or none any more. */
static uvdio__queue_t* queue_of(uvdio_engine_t* engine) {
  uvdio__queue_t* main = &engine->queues[QUEUE_MAIN];
  return main->backend->register_arena != NULL && engine->queue == main ? main : NULL;
}

int uvdio_arena_register(uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio__queue_t* queue;
  int error;

  if (engine == NULL || arena == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error != 0) {
    return error;
  }
  queue = queue_of(engine);
  return queue == NULL ? UV_ENOTSUP : queue->backend->register_arena(queue, arena);
}

int uvdio_arena_unregister(uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio__queue_t* queue;
  int error;

  if (engine == NULL || arena == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error != 0) {
    return error;
  }
  queue = &engine->queues[QUEUE_MAIN];
  return queue->backend->unregister_arena == NULL ? UV_ENOTSUP
                                                 : queue->backend->unregister_arena(queue, arena);
}

int uvdio_arena_registration(const uvdio_engine_t* engine, const uvdio_arena_t* arena,
                           uvdio_registration_t* info) {
  const uvdio__queue_t* queue;

  if (engine == NULL || arena == NULL || info == NULL) {
    return UV_EINVAL;
  }
  queue = &engine->queues[QUEUE_MAIN];
  info->bytes = 0;
  info->size = arena->size;
  info->error = 0;
  info->reason = "";
  if (engine->torn_down) {
    info->error = UV_EBADF;
    info->reason = "the engine is closed";
  } else if (queue->backend->get_registration != NULL) {
    queue->backend->get_registration(queue, arena, info);
  } else {
    info->error = UV_ENOTSUP;
    info->reason = "only the ring registers memory";
  }
  return 0;
}
