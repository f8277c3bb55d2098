/* SPDX-License-Identifier: MIT */
/*
 * The life of an environment. The engine begins with the first operation. It ends in a clean-up
 * hook of Node's that waits: the loop runs on until the kernel has given back all memory, and only
 * then Node frees what JavaScript held.
 */
#include <stdlib.h>

#include "addon.h"

/* Callbacks per turn of the loop, where the user asks for no other number: 256, the library's own,
 * delay what else is on the loop by milliseconds, since each runs JavaScript. */
#define CALLBACKS_DEFAULT 32

int env_engine(env_t* env) {
  uv_loop_t* loop = NULL;

  if (env->engine != NULL) {
    return 0;
  }
  if (env->is_ending || napi_get_uv_event_loop(env->napi, &loop) != napi_ok) {
    return UV_EBADF;
  }
  return uvdio_engine_create(&env->engine, loop, &env->options);
}

void env_account(env_t* env, int64_t bytes) {
  int64_t total = 0;

  if (!env->is_ending) {
    napi_adjust_external_memory(env->napi, bytes, &total);
  }
}

static void end_files(env_t* env) {
  while (env->files != NULL) {
    file_ended(LINK_OWNER(env->files, file_t, link));
  }
}

/* Lets Node end the environment. Nobody else gives these two back. */
static void leave(env_t* env) {
  napi_delete_reference(env->napi, env->shared_memory);
  napi_async_destroy(env->napi, env->context);
  napi_remove_async_cleanup_hook(env->hook);
}

/* Readers first: a log has to have none. */
static void end_logs(env_t* env) {
  log_readers_end(env);
  wals_end(env);
}

static void on_idle_closed(uv_handle_t* handle) {
  leave(handle->data);
}

static void on_idle(uv_idle_t* idle) {
  env_t* env = idle->data;

  end_logs(env);
  if (env->wals == NULL) {
    uv_close((uv_handle_t*)idle, on_idle_closed);
  }
}

/* A log that was closing while its readers were there is told of the engine's end by its timer, in
 * a later turn of the loop, and can be destroyed behind that. */
static void on_closed(uvdio_engine_t* engine) {
  env_t* env = uvdio_engine_data(engine);

  streams_end(env, NULL);
  end_logs(env);
  end_files(env);
  env->engine = NULL;
  if (env->wals == NULL) {
    leave(env);
    return;
  }
  env->idle.data = env;
  uv_idle_init(uvdio_engine_loop(engine), &env->idle);
  uv_idle_start(&env->idle, on_idle);
}

static void on_cleanup(napi_async_cleanup_hook_handle hook, void* arg) {
  env_t* env = arg;

  (void)hook; /* env->hook */
  env->is_ending = true;
  if (env->engine == NULL) {
    leave(env);
    return;
  }
  uvdio_engine_set_data(env->engine, env);
  uvdio_engine_cancel(env->engine);
  if (uvdio_engine_close(env->engine, on_closed) != 0) {
    abort(); /* the kernel may have memory that Node is about to free */
  }
}

static void on_gone(napi_env napi, void* arg, void* hint) {
  env_t* env = arg;

  (void)napi;
  (void)hint;
  ops_free(env);
  free(env);
}

static bool create_shared(env_t* env) {
  napi_value memory = NULL;
  void* data = NULL;

  if (napi_create_arraybuffer(env->napi, SHARED_COUNT * sizeof(double), &data, &memory) !=
          napi_ok ||
      napi_create_reference(env->napi, memory, 1, &env->shared_memory) != napi_ok) {
    return false;
  }
  env->shared = data;
  return true;
}

/* Returns null with an exception pending. */
env_t* env_create(napi_env napi) {
  env_t* env = calloc(1, sizeof *env);
  napi_value name = NULL;
  napi_value resource = NULL;

  if (env == NULL) {
    napi_throw_error(napi, "ENOMEM", "ENOMEM: not enough memory for uvdio");
    return NULL;
  }
  env->napi = napi;
  env->options.callbacks_max = CALLBACKS_DEFAULT;
  napi_create_string_utf8(napi, "uvdio", NAPI_AUTO_LENGTH, &name);
  napi_create_object(napi, &resource);
  if (!create_shared(env) || napi_async_init(napi, resource, name, &env->context) != napi_ok ||
      napi_set_instance_data(napi, env, on_gone, NULL) != napi_ok ||
      napi_add_async_cleanup_hook(napi, on_cleanup, env, &env->hook) != napi_ok) {
    napi_throw_error(napi, "ERR_UVDIO", "this build of Node.js refuses to set uvdio up");
    return NULL;
  }
  return env;
}

/* Why the backend that was asked for can't be had. */
static napi_value refuse_options(env_t* env, int error, uvdio_backend_t backend) {
  char reason[256] = "";
  napi_value object = make_error(env, error, (subject_t){"configure", NULL, NULL});

  if (error == UVDIO_EBACKEND && uvdio_backend_probe(backend, reason, sizeof reason) != 0) {
    set_text(env, object, "reason", reason);
  }
  napi_throw(env->napi, object);
  return NULL;
}

/* configure(backend, depth, callbacksPerTurn, submitBatch, busyPollUs); 0: the default */
napi_value configure(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_engine_options_t options = {0};
  unsigned backend = 0;

  call_begin(&call, napi, info);
  if (!get_unsigned(&call, 0, &backend) || !get_unsigned(&call, 1, &options.depth) ||
      !get_unsigned(&call, 2, &options.callbacks_max) ||
      !get_unsigned(&call, 3, &options.submit_batch_max) ||
      !get_unsigned(&call, 4, &options.busy_poll_us)) {
    return NULL;
  }
  if (call.env->engine != NULL) {
    return throw_error(call.env, UV_EBUSY, "configure", NULL);
  }
  options.backend = (uvdio_backend_t)backend;
  if (options.callbacks_max == 0) {
    options.callbacks_max = CALLBACKS_DEFAULT;
  }
  uvdio_engine_options_t before = call.env->options;
  call.env->options = options;
  int error = env_engine(call.env);
  if (error == 0) {
    return NULL;
  }
  call.env->options = before;
  return refuse_options(call.env, error, options.backend);
}

/* describe() -> {backend, reason} */
napi_value describe_engine(napi_env napi, napi_callback_info info) {
  call_t call;
  napi_value object = NULL;

  call_begin(&call, napi, info);
  int error = env_engine(call.env);
  if (error != 0) {
    return throw_error(call.env, error, "backend", NULL);
  }
  napi_create_object(napi, &object);
  set_text(call.env, object, "name", uvdio_engine_backend(call.env->engine));
  set_text(call.env, object, "reason", uvdio_engine_backend_reason(call.env->engine));
  return object;
}

/* X(name of JavaScript, field of uvdio_engine_stats_t) */
#define STATS(X)                     \
  X("submitted", submitted)          \
  X("completed", completed)          \
  X("cancelled", cancelled)          \
  X("failed", failed)                \
  X("pending", pending)              \
  X("inFlight", in_flight)           \
  X("inFlightPeak", in_flight_peak)  \
  X("batches", batches)              \
  X("systemCalls", system_calls)     \
  X("wakeups", wakeups)              \
  X("iterations", iterations)        \
  X("callbacksPeak", callbacks_peak) \
  X("resumed", resumed)              \
  X("retried", retried)              \
  X("punted", punted)                \
  X("copiedByLibrary", copied)       \
  X("longestCallNs", longest_call_ns)

/* stats() -> counters of uvdio_engine_stats_t, and those of the addon */
napi_value count_engine(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_engine_stats_t stats = {0};
  napi_value object = NULL;

  call_begin(&call, napi, info);
  if (call.env->engine != NULL) {
    (void)uvdio_engine_stats(call.env->engine, &stats);
  }
  napi_create_object(napi, &object);
#define SET_STAT(name, field) set_number(call.env, object, name, (double)stats.field);
  STATS(SET_STAT)
#undef SET_STAT
  set_number(call.env, object, "copied", (double)call.env->copied);
  set_number(call.env, object, "allocations", (double)uvdio_allocations());
  return object;
}
