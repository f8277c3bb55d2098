/* SPDX-License-Identifier: MIT */
/*
 * Setting an engine up: options, the environment, the choice of a backend; and the questions that
 * can be asked of an engine. Arenas are registered here, too: the checks; the backend does the
 * work.
 */
#include <stdio.h>
#include <string.h>

#include "allocator.h"
#include "arena.h"
#include "engine_close.h"
#include "file.h"
#include "iteration.h"
#include "sized.h"

#define CALLBACKS_MAX_DEFAULT 256
/* More requests than libuv has threads for (UV_THREADPOOL_SIZE is at most 1024) only stand in its
 * queue. */
#define POOL_DEPTH_MAX 1024
/* Measured: from 8 to 16 on, more in a batch saves little. */
#define BATCH_MAX_DEFAULT 16

/*
 * The choice of a backend
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
  (void)snprintf(
      reason, size,
      "the environment variable UVDIO_BACKEND is \"%s\"; it must be ring, pool or memory",
      error == 0 ? value : "too long");
  return UVDIO_EBACKEND;
}

static int init_ring(uvdio__queue_t* queue, char* reason, size_t size) {
#ifdef UVDIO_HAVE_RING
  queue->backend = &uvdio__backend_ring;
  return queue->backend->init(queue, reason, size);
#else
  (void)queue;
  (void)snprintf(reason, size,
                 "this build of the library has no io_uring (it was made without liburing)");
  return UV_ENOSYS;
#endif
}

static int init_queue(uvdio__queue_t* queue, const uvdio__backend_t* backend, unsigned depth,
                      char* reason, size_t size) {
  queue->backend = backend;
  queue->depth = depth;
  return backend->init(queue, reason, size);
}

static unsigned pool_depth(unsigned depth) {
  return depth < POOL_DEPTH_MAX ? depth : POOL_DEPTH_MAX;
}

/* A ring, and next to it a pool for what a ring can't do. The pool comes first: it can be given
 * back at once. */
static int init_ring_and_pool(uvdio_engine_t* engine, unsigned depth) {
  char ignored[UVDIO__REASON_SIZE];
  int error = init_queue(&engine->queues[QUEUE_POOL], &uvdio__backend_pool, pool_depth(depth),
                         ignored, sizeof(ignored));

  if (error != 0) {
    return error;
  }
  engine->queues[QUEUE_MAIN].depth = depth;
  error = init_ring(&engine->queues[QUEUE_MAIN], engine->reason, sizeof(engine->reason));
  if (error != 0) {
    engine->queues[QUEUE_POOL].backend->close(&engine->queues[QUEUE_POOL]);
    return error;
  }
  engine->queue_count = QUEUES;
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
  char why_no_ring[UVDIO__REASON_SIZE];
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

/*
 * Creation
 */

static uvdio_engine_t* make_engine(uv_loop_t* loop, const uvdio_engine_options_t* options) {
  uvdio_engine_t* engine = uvdio__alloc(sizeof(*engine), UVDIO__STRUCT_ALIGN, 1);
  unsigned i;

  if (engine == NULL) {
    return NULL;
  }
  engine->generation = uvdio__os_fork_generation();
  engine->loop = loop;
  engine->arenas_gone = atomic_load_explicit(&uvdio__arenas_gone, memory_order_relaxed);
  engine->batch_max =
      options->submit_batch_max == 0 ? BATCH_MAX_DEFAULT : options->submit_batch_max;
  engine->busy_poll_ns = (uint64_t)options->busy_poll_us * 1000;
  engine->no_auto_register = (options->flags & UVDIO_ENGINE_NO_AUTO_REGISTER) != 0;
  engine->depth = options->depth == 0 ? UVDIO_DEPTH_DEFAULT : options->depth;
  engine->callbacks_max =
      options->callbacks_max == 0 ? CALLBACKS_MAX_DEFAULT : options->callbacks_max;
  uvdio__list_init(&engine->completed);
  uvdio__list_init(&engine->shares);
  uvdio__list_init(&engine->signals);
  for (i = 0; i < QUEUES; i++) {
    engine->queues[i].engine = engine;
    uvdio__list_init(&engine->queues[i].waiting);
    uvdio__list_init(&engine->queues[i].running);
  }
  uvdio__file_init(&engine->no_file, engine);
  engine->no_file.state_ = FILE_OPEN;
  return engine;
}

/* Puts in front of the backend's own words who asked for it. */
static void prefix_reason(uvdio_engine_t* engine, uvdio_backend_t option, uvdio_backend_t kind) {
  char words[UVDIO__REASON_SIZE];

  if (kind != UVDIO_BACKEND_AUTO) {
    (void)snprintf(words, sizeof(words), "%s", engine->reason);
    (void)snprintf(engine->reason, sizeof(engine->reason), "asked for by %s; %.300s",
                   option == kind ? "the program" : "the environment variable UVDIO_BACKEND",
                   words);
  }
}

static const uvdio__loop_hooks_t hooks = {uvdio__iteration_on_idle, uvdio__iteration_on_check,
                                          uvdio__iteration_on_prepare, uvdio__iteration_on_signal,
                                          uvdio__engine_iterate_off_loop};

static int create_engine(uvdio_engine_t** engine, uv_loop_t* loop,
                         const uvdio_engine_options_t* options) {
  uvdio_backend_t kind;
  uvdio_engine_t* created;
  int error = 0;

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
    uvdio__engine_free(created);
    return error;
  }
  uvdio__loop_attach(created, &hooks);
  *engine = created;
  return 0;
}

int uvdio_engine_create_sized(uvdio_engine_t** engine, uv_loop_t* loop,
                              const uvdio_engine_options_t* options, size_t size) {
  uvdio_engine_options_t own = {0};
  int error = options == NULL ? 0 : uvdio__sized_in(&own, sizeof(own), options, size);

  return error != 0 ? error : create_engine(engine, loop, &own);
}

/*
 * Getters
 */

#ifndef UVDIO_HAVE_RING
int uvdio__ring_probe(char* reason, size_t size) {
  return init_ring(NULL, reason, size);
}
#endif

int uvdio_backend_probe(uvdio_backend_t backend, char* reason, size_t size) {
  char text[UVDIO__REASON_SIZE] = "libuv's threadpool, which is always there";
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
  int broken;

  if (engine == NULL) {
    return "none";
  }
  broken = uvdio__queue_is_broken(&engine->queues[QUEUE_MAIN]);
  return engine->queues[broken ? QUEUE_POOL : QUEUE_MAIN].backend->name;
}

const char* uvdio_engine_backend_reason(const uvdio_engine_t* engine) {
  return engine == NULL ? "there is no engine" : engine->reason;
}

int uvdio_engine_stats_sized(const uvdio_engine_t* engine, uvdio_engine_stats_t* stats,
                             size_t size) {
  uvdio_engine_stats_t own;

  if (engine == NULL || stats == NULL) {
    return UV_EINVAL;
  }
  own = engine->stats;
  own.in_flight_peak = own.in_flight > own.in_flight_peak ? own.in_flight : own.in_flight_peak;
  own.pending = uvdio__engine_pending(engine);
  uvdio__sized_out(stats, size, &own, sizeof(own));
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

/*
 * Registered arenas
 */

/* The queue that registers, or null where the engine has none, or none any more. */
static uvdio__queue_t* queue_of(uvdio_engine_t* engine) {
  uvdio__queue_t* main = &engine->queues[QUEUE_MAIN];
  return main->backend->register_arena != NULL && !uvdio__queue_is_broken(main) ? main : NULL;
}

static int check_arena(const uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  return engine == NULL || arena == NULL ? UV_EINVAL : uvdio__engine_check(engine);
}

int uvdio_arena_register(uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio__queue_t* queue;
  int error = check_arena(engine, arena);

  if (error != 0) {
    return error;
  }
  queue = queue_of(engine);
  return queue == NULL ? UV_ENOTSUP : queue->backend->register_arena(queue, arena);
}

int uvdio_arena_unregister(uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio__queue_t* queue;
  int error = check_arena(engine, arena);

  if (error != 0) {
    return error;
  }
  queue = &engine->queues[QUEUE_MAIN];
  return queue->backend->unregister_arena == NULL ? UV_ENOTSUP
                                                  : queue->backend->unregister_arena(queue, arena);
}

int uvdio_arena_registration_sized(const uvdio_engine_t* engine, const uvdio_arena_t* arena,
                                   uvdio_registration_t* info, size_t size) {
  uvdio_registration_t own = {0};
  const uvdio__queue_t* queue;

  if (engine == NULL || arena == NULL || info == NULL) {
    return UV_EINVAL;
  }
  queue = &engine->queues[QUEUE_MAIN];
  own.size = arena->size;
  own.reason = "";
  if (engine->state == ENGINE_CLOSED) {
    own.error = UV_EBADF;
    own.reason = "the engine is closed";
  } else if (queue->backend->get_registration != NULL) {
    queue->backend->get_registration(queue, arena, &own);
  } else {
    own.error = UV_ENOTSUP;
    own.reason = "only the ring registers memory";
  }
  uvdio__sized_out(info, size, &own, sizeof(own));
  return 0;
}
