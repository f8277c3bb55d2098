/*
 * Arenas and the engines that have registered them: the checks; the backend does the work.
 */
#include "internal.h"

/* The lane that registers, or null where the engine has none, or none any more. */
static uvdio__lane_t* lane_of(uvdio_engine_t* engine) {
  uvdio__lane_t* main = &engine->lanes[LANE_MAIN];
  return main->backend->register_arena != NULL && engine->lane == main ? main : NULL;
}

int uvdio_arena_register(uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio__lane_t* lane;
  int error;

  if (engine == NULL || arena == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error != 0) {
    return error;
  }
  lane = lane_of(engine);
  return lane == NULL ? UV_ENOTSUP : lane->backend->register_arena(lane, arena);
}

int uvdio_arena_unregister(uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio__lane_t* lane;
  int error;

  if (engine == NULL || arena == NULL) {
    return UV_EINVAL;
  }
  error = uvdio__engine_check(engine);
  if (error != 0) {
    return error;
  }
  lane = &engine->lanes[LANE_MAIN];
  return lane->backend->unregister_arena == NULL ? UV_ENOTSUP
                                                 : lane->backend->unregister_arena(lane, arena);
}

int uvdio_arena_registration(const uvdio_engine_t* engine, const uvdio_arena_t* arena,
                           uvdio_registration_t* registration) {
  const uvdio__lane_t* lane;

  if (engine == NULL || arena == NULL || registration == NULL) {
    return UV_EINVAL;
  }
  lane = &engine->lanes[LANE_MAIN];
  registration->bytes = 0;
  registration->size = arena->size;
  registration->error = 0;
  registration->reason = "";
  if (engine->torn_down) {
    registration->error = UV_EBADF;
    registration->reason = "the engine is closed";
  } else if (lane->backend->registration != NULL) {
    lane->backend->registration(lane, arena, registration);
  } else {
    registration->error = UV_ENOTSUP;
    registration->reason = "only the ring registers memory";
  }
  return 0;
}
