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
#define KNOWN_FLAGS (UVDIO_ENGINE_NO_AUTO_REGISTER | UVDIO_ENGINE_POLLED)

/*
 * The choice of a backend
 */

static const struct {
  const char* name;
  uvdio_backend_t kind;
} names[] = {{"ring", UVDIO_BACKEND_RING},
             {"aio", UVDIO_BACKEND_AIO},
             {"pool", UVDIO_BACKEND_POOL},
             {"memory", UVDIO_BACKEND_MEMORY}};

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
      "the environment variable UVDIO_BACKEND is \"%s\"; it must be ring, aio, pool or memory",
      error == 0 ? value : "too long");
  return UVDIO_EBACKEND;
}

/* A backend that this build lacks. */
static int report_absent(uvdio_backend_t kind, char* reason, size_t size) {
  (void)snprintf(reason, size, "%s",
                 kind == UVDIO_BACKEND_RING
                     ? "this build of the library has no io_uring (it was made without liburing)"
                     : "this build of the library has no kernel AIO (Linux has it, and its headers "
                       "since 4.19)");
  return UV_ENOSYS;
}

/* The code of a backend; null where this build lacks it. */
static const uvdio__backend_t* code_of(uvdio_backend_t kind) {
  switch (kind) {
#ifdef UVDIO_HAVE_RING
    case UVDIO_BACKEND_RING:
      return &uvdio__backend_ring;
#endif
#ifdef UVDIO_HAVE_AIO
    case UVDIO_BACKEND_AIO:
      return &uvdio__backend_aio;
#endif
    case UVDIO_BACKEND_POOL:
      return &uvdio__backend_pool;
    case UVDIO_BACKEND_MEMORY:
      return &uvdio__backend_memory;
    default:
      return NULL;
  }
}

static int init_queue(uvdio__queue_t* queue, uvdio_backend_t kind, unsigned depth, char* reason,
                      size_t size) {
  queue->backend = code_of(kind);
  queue->depth = depth;
  return queue->backend != NULL ? queue->backend->init(queue, reason, size)
                                : report_absent(kind, reason, size);
}

static unsigned pool_depth(unsigned depth) {
  return depth < POOL_DEPTH_MAX ? depth : POOL_DEPTH_MAX;
}

/* A second ring for polled completions. What stands in its way is told, and is no error. */
static void init_polled(uvdio_engine_t* engine, unsigned depth) {
#ifdef UVDIO_HAVE_RING
  uvdio__queue_t* queue = &engine->queues[QUEUE_POLLED];
  char why[UVDIO__REASON_PART];

  queue->backend = &uvdio__backend_polled;
  queue->depth = depth;
  if (queue->backend->init(queue, why, sizeof(why)) == 0) {
    engine->queue_count = QUEUE_POLLED + 1;
    (void)snprintf(engine->polled_words, sizeof(engine->polled_words), POLLED_WORDS);
  } else {
    (void)snprintf(engine->polled_words, sizeof(engine->polled_words),
                   "; no polled completions: %s", why);
  }
#else
  (void)depth;
  assert(0 && "without io_uring there is no ring beside which it could be");
  (void)engine;
#endif
}

/* A ring or kernel AIO, and next to it a pool for what these can't do. The pool comes first: it can
 * be given back at once. */
static int init_with_pool(uvdio_engine_t* engine, uvdio_backend_t kind, unsigned depth) {
  uvdio__queue_t* pool = &engine->queues[QUEUE_POOL];
  char ignored[UVDIO__REASON_SIZE];
  int error = init_queue(pool, UVDIO_BACKEND_POOL, pool_depth(depth), ignored, sizeof(ignored));

  if (error != 0) {
    return error;
  }
  error =
      init_queue(&engine->queues[QUEUE_MAIN], kind, depth, engine->reason, sizeof(engine->reason));
  if (error != 0) {
    pool->backend->close(pool);
    return error;
  }
  engine->queue_count = QUEUE_POOL + 1;
  if (engine->wants_polled && kind == UVDIO_BACKEND_RING) {
    init_polled(engine, depth);
  }
  return 0;
}

static int init_single(uvdio_engine_t* engine, uvdio_backend_t kind, unsigned depth) {
  unsigned own_depth = kind == UVDIO_BACKEND_POOL ? pool_depth(depth) : depth;

  engine->queue_count = 1;
  return init_queue(engine->queues, kind, own_depth, engine->reason, sizeof(engine->reason));
}

/* The best that can be had; the reason tells why it is none of those before it. */
static int init_auto(uvdio_engine_t* engine, unsigned depth) {
  char no_ring[UVDIO__REASON_PART];
  char no_aio[UVDIO__REASON_PART];
  int error = init_with_pool(engine, UVDIO_BACKEND_RING, depth);

  if (error == 0) {
    return 0;
  }
  (void)snprintf(no_ring, sizeof(no_ring), "%.*s", (int)sizeof(no_ring) - 1, engine->reason);
  error = init_with_pool(engine, UVDIO_BACKEND_AIO, depth);
  (void)snprintf(no_aio, sizeof(no_aio), "%.*s", (int)sizeof(no_aio) - 1, engine->reason);
  if (error == 0) {
    (void)snprintf(engine->reason, sizeof(engine->reason), "%s; no io_uring: %s", no_aio, no_ring);
    return 0;
  }
  error = init_single(engine, UVDIO_BACKEND_POOL, depth);
  (void)snprintf(engine->reason, sizeof(engine->reason), "no io_uring: %s; no kernel AIO: %s",
                 no_ring, no_aio);
  return error;
}

static int init_queues(uvdio_engine_t* engine, uvdio_backend_t kind) {
  unsigned depth = engine->depth;
  int error;

  switch (kind) {
    case UVDIO_BACKEND_AUTO:
      return init_auto(engine, depth);
    case UVDIO_BACKEND_POOL:
    case UVDIO_BACKEND_MEMORY:
      return init_single(engine, kind, depth);
    case UVDIO_BACKEND_RING:
    case UVDIO_BACKEND_AIO:
      break;
  }
  error = init_with_pool(engine, kind, depth);
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
  engine->wants_polled = (options->flags & UVDIO_ENGINE_POLLED) != 0;
  engine->no_auto_register = (options->flags & UVDIO_ENGINE_NO_AUTO_REGISTER) != 0;
  engine->depth = options->depth == 0 ? UVDIO_DEPTH_DEFAULT : options->depth;
  engine->callbacks_max =
      options->callbacks_max == 0 ? CALLBACKS_MAX_DEFAULT : options->callbacks_max;
  uvdio__list_init(&engine->completed);
  uvdio__list_init(&engine->shares);
  uvdio__list_init(&engine->signals);
  uvdio__list_init(&engine->given);
  uvdio__list_init(&engine->frame_waits);
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
    (void)snprintf(engine->reason, sizeof(engine->reason), "asked for by %s; %.600s",
                   option == kind ? "the program" : "the environment variable UVDIO_BACKEND",
                   words);
  }
}

/* And behind them whether completions are polled. */
static void append_polled(uvdio_engine_t* engine) {
  const uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];
  size_t length = strlen(engine->reason);

  if (engine->wants_polled && queue->backend != code_of(UVDIO_BACKEND_RING)) {
    (void)snprintf(engine->polled_words, sizeof(engine->polled_words),
                   "; no polled completions: only io_uring has them");
  }
  (void)snprintf(engine->reason + length, sizeof(engine->reason) - length, "%s",
                 engine->polled_words);
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
      options->depth > UVDIO_DEPTH_MAX || (options->flags & ~KNOWN_FLAGS) != 0 ||
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
    append_polled(created);
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

static int probe(uvdio_backend_t kind, char* reason, size_t size) {
  const uvdio__backend_t* backend = code_of(kind);
  return backend != NULL ? backend->probe(reason, size) : report_absent(kind, reason, size);
}

/* As an engine would choose: there is always one. */
static void probe_auto(char* reason, size_t size) {
  char no_ring[UVDIO__REASON_PART];
  char aio[UVDIO__REASON_PART];

  if (probe(UVDIO_BACKEND_RING, no_ring, sizeof(no_ring)) == 0) {
    (void)snprintf(reason, size, "%s", no_ring);
  } else if (probe(UVDIO_BACKEND_AIO, aio, sizeof(aio)) == 0) {
    (void)snprintf(reason, size, "%s; no io_uring: %s", aio, no_ring);
  } else {
    (void)snprintf(reason, size, "no io_uring: %s; no kernel AIO: %s", no_ring, aio);
  }
}

int uvdio_backend_probe(uvdio_backend_t backend, char* reason, size_t size) {
  char text[UVDIO__REASON_SIZE];
  int error = 0;

  if ((unsigned)backend > UVDIO_BACKEND_MEMORY || (reason == NULL && size > 0)) {
    return UV_EINVAL;
  }
  if (backend == UVDIO_BACKEND_AUTO) {
    error = read_environment(&backend, text, sizeof(text));
  }
  if (error == 0 && backend == UVDIO_BACKEND_AUTO) {
    probe_auto(text, sizeof(text));
  } else if (error == 0) {
    error = probe(backend, text, sizeof(text));
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

/* The polled queue, where there is one that is not broken. */
static uvdio__queue_t* polled_of(uvdio_engine_t* engine) {
  uvdio__queue_t* polled = uvdio__engine_polled(engine);
  return polled != NULL && !uvdio__queue_is_broken(polled) ? polled : NULL;
}

int uvdio_arena_register(uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio__queue_t* queue;
  uvdio__queue_t* polled;
  int error = check_arena(engine, arena);

  if (error != 0) {
    return error;
  }
  queue = queue_of(engine);
  polled = polled_of(engine);
  error = queue == NULL ? UV_ENOTSUP : queue->backend->register_arena(queue, arena);
  return error != 0 || polled == NULL ? error : polled->backend->register_arena(polled, arena);
}

static int unregister(uvdio__queue_t* queue, const uvdio_arena_t* arena) {
  return queue->backend->unregister_arena == NULL ? UV_ENOTSUP
                                                  : queue->backend->unregister_arena(queue, arena);
}

int uvdio_arena_unregister(uvdio_engine_t* engine, const uvdio_arena_t* arena) {
  uvdio__queue_t* polled;
  int polled_error = UV_ENOENT;
  int error = check_arena(engine, arena);

  if (error != 0) {
    return error;
  }
  polled = uvdio__engine_polled(engine);
  if (polled != NULL) {
    polled_error = unregister(polled, arena);
  }
  if (polled_error == UV_EBUSY) {
    return UV_EBUSY;
  }
  error = unregister(&engine->queues[QUEUE_MAIN], arena);
  return error == UV_ENOENT ? polled_error : error;
}

/* The ring that has more of the arena tells of it: transfers may go to either. */
static void tell_registration(const uvdio_engine_t* engine, const uvdio_arena_t* arena,
                              uvdio_registration_t* info) {
  const uvdio__queue_t* queue = &engine->queues[QUEUE_MAIN];
  uvdio_registration_t other = *info;

  queue->backend->get_registration(queue, arena, info);
  if (engine->queue_count > QUEUE_POLLED) {
    queue = &engine->queues[QUEUE_POLLED];
    queue->backend->get_registration(queue, arena, &other);
    *info = other.bytes > info->bytes ? other : *info;
  }
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
    tell_registration(engine, arena, &own);
  } else {
    own.error = UV_ENOTSUP;
    own.reason = "only the ring registers memory";
  }
  uvdio__sized_out(info, size, &own, sizeof(own));
  return 0;
}
