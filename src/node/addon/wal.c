/* SPDX-License-Identifier: MIT */
/*
 * Logs (uvdio/log.h). A record's bytes are copied at the append, because the library reads them
 * until they are durable, and JavaScript may free them sooner. The records of recovery go to a
 * function of JavaScript, one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "addon.h"

typedef struct wal_s wal_t;

typedef struct append_s {
  uvdio_log_append_t append;
  wal_t* wal;
  napi_deferred deferred;
  link_t link; /* wal->appends */
  char bytes[];
} append_t;

struct wal_s {
  env_t* env;
  uvdio_log_t* log; /* null: ended */
  char* path;
  napi_deferred opening;
  napi_deferred closing;
  napi_ref replay;  /* of the function, while the log is opened; or null */
  napi_ref failure; /* {failure}: what that has thrown, of any type; or null */
  int status;       /* of an open that failed */
  link_t* appends;  /* pending */
  unsigned refs;    /* of JavaScript, and one while it is not ended */
  link_t link;      /* env->wals */
};

static void drop(wal_t* wal) {
  if (--wal->refs == 0) {
    free(wal->path);
    free(wal);
  }
}

static void on_collected(napi_env napi, void* wal, void* hint) {
  (void)napi;
  (void)hint;
  drop(wal);
}

static void delete_reference(env_t* env, napi_ref* reference) {
  if (*reference != NULL) {
    napi_delete_reference(env->napi, *reference);
    *reference = NULL;
  }
}

/* The library has freed the log. */
static void end_wal(wal_t* wal) {
  wal->log = NULL;
  while (wal->appends != NULL) { /* none, but where the engine was closed first */
    append_t* append = LINK_OWNER(wal->appends, append_t, link);
    list_leave(&append->link);
    free(append);
  }
  delete_reference(wal->env, &wal->replay);
  delete_reference(wal->env, &wal->failure);
  list_leave(&wal->link);
  drop(wal);
}

/* The engine is closed. */
void wals_end(env_t* env) {
  for (link_t* link = env->wals; link != NULL;) {
    wal_t* wal = LINK_OWNER(link, wal_t, link);
    link = link->next;
    if (uvdio_log_destroy(wal->log) == 0) {
      end_wal(wal);
    }
  }
}

static void call_replay(env_t* env, wal_t* wal, uint64_t lsn, const void* data, size_t length) {
  napi_value function = NULL;
  napi_value receiver = NULL;
  napi_value arguments[2] = {NULL, NULL};
  napi_value failure = NULL;
  napi_value object = NULL;

  napi_get_reference_value(env->napi, wal->replay, &function);
  napi_get_undefined(env->napi, &receiver);
  napi_create_bigint_uint64(env->napi, lsn, &arguments[0]);
  napi_create_buffer_copy(env->napi, length, data, NULL, &arguments[1]);
  if (napi_call_function(env->napi, receiver, function, 2, arguments, NULL) ==
          napi_pending_exception &&
      napi_get_and_clear_last_exception(env->napi, &failure) == napi_ok) {
    napi_create_object(env->napi, &object);
    napi_set_named_property(env->napi, object, "failure", failure);
    napi_create_reference(env->napi, object, 1, &wal->failure);
  }
}

/* After an exception of the function it is not called again. */
static void on_record(uint64_t lsn, const void* data, size_t length, void* arg) {
  wal_t* wal = arg;
  env_t* env = wal->env;
  napi_handle_scope handles = NULL;

  if (env->is_ending || wal->replay == NULL || wal->failure != NULL ||
      napi_open_handle_scope(env->napi, &handles) != napi_ok) {
    return;
  }
  call_replay(env, wal, lsn, data, length);
  napi_close_handle_scope(env->napi, handles);
}

static napi_value wal_value(env_t* env, void* arg) {
  wal_t* wal = arg;
  napi_value external = NULL;

  if (napi_create_external(env->napi, wal, on_collected, NULL, &external) == napi_ok) {
    wal->refs++;
  }
  return external;
}

/* It goes out as the value of the promise, and lib/log.js throws it. */
static napi_value failure_value(env_t* env, void* arg) {
  napi_value object = NULL;

  napi_get_reference_value(env->napi, ((wal_t*)arg)->failure, &object);
  return object;
}

/* An open that failed, or whose function has thrown, is told when the log is closed. */
static void on_failed_closed(uvdio_log_t* log, int status, void* arg) {
  wal_t* wal = arg;

  (void)log;
  if (status == UV_EBADF && wal->env->is_ending) {
    return; /* wals_end() goes on */
  }
  if (wal->failure != NULL) {
    settle(wal->env, wal->opening, 0, (subject_t){"openLog", wal->path, NULL}, failure_value, wal);
  } else {
    settle(wal->env, wal->opening, wal->status, (subject_t){"openLog", wal->path, NULL}, NULL,
           NULL);
  }
  end_wal(wal);
}

static void on_open(uvdio_log_t* log, int status, void* arg) {
  wal_t* wal = arg;

  wal->status = status;
  if (status == 0 && wal->failure == NULL) {
    delete_reference(wal->env, &wal->replay);
    settle(wal->env, wal->opening, 0, (subject_t){"openLog", wal->path, NULL}, wal_value, wal);
    return;
  }
  (void)!uvdio_log_close(log, on_failed_closed, wal); /* refused where the engine is closing */
}

/* Arguments from `index` on: segment size, buffer size, window, flush size, waiting, flags, wait
 * for the lock. */
static bool get_options(call_t* call, size_t index, uvdio_log_options_t* options) {
  uint64_t buffer_size = 0;
  uint64_t flush_size = 0;

  if (!get_uint64(call, index, &options->segment_size) ||
      !get_uint64(call, index + 1, &buffer_size) ||
      !get_unsigned(call, index + 2, &options->window_ms) ||
      !get_uint64(call, index + 3, &flush_size) ||
      !get_uint64(call, index + 4, &options->waiting_max) ||
      !get_unsigned(call, index + 5, &options->flags) ||
      !get_unsigned(call, index + 6, &options->lock_wait_ms)) {
    return false;
  }
  options->buffer_size = (size_t)buffer_size;
  options->flush_size = (size_t)flush_size;
  return true;
}

/* openLog(path, replay, options...) -> Promise<log>, or of {failure} */
static napi_value open_log(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_log_options_t options = {0};
  napi_valuetype type = napi_undefined;
  napi_value promise = NULL;
  wal_t* wal = calloc(1, sizeof *wal);

  call_begin(&call, napi, info);
  if (wal == NULL) {
    return throw_error(call.env, UV_ENOMEM, "openLog", NULL);
  }
  if (!get_options(&call, 2, &options) || !get_text(&call, 0, &wal->path)) {
    free(wal);
    return NULL;
  }
  napi_typeof(napi, call.values[1], &type);
  if (type == napi_function) {
    napi_create_reference(napi, call.values[1], 1, &wal->replay);
  }
  int error = env_engine(call.env);
  if (error == 0) {
    error =
        uvdio_log_open(&wal->log, call.env->engine, wal->path, &options, on_record, on_open, wal);
  }
  if (error != 0) {
    throw_error(call.env, error, "openLog", wal->path);
    delete_reference(call.env, &wal->replay);
    free(wal->path);
    free(wal);
    return NULL;
  }
  wal->env = call.env;
  wal->refs = 1;
  list_join(&call.env->wals, &wal->link);
  napi_create_promise(napi, &wal->opening, &promise);
  return promise;
}

/* The log of argument 0; null with an exception pending. */
static wal_t* get_wal(call_t* call, napi_env napi, napi_callback_info info) {
  void* pointer = NULL;

  call_begin(call, napi, info);
  if (!get_pointer(call, 0, &pointer)) {
    return NULL;
  }
  wal_t* wal = pointer;
  if (wal->log == NULL) {
    throw_error(call->env, UV_EBADF, "log", wal->path);
    return NULL;
  }
  return wal;
}

/* The library's log of argument 0, and its path; null with an exception pending. */
uvdio_log_t* get_log(call_t* call, napi_env napi, napi_callback_info info, const char** path) {
  const wal_t* wal = get_wal(call, napi, info);

  *path = wal != NULL ? wal->path : NULL;
  return wal != NULL ? wal->log : NULL;
}

static napi_value lsn_value(env_t* env, void* arg) {
  napi_value lsn = NULL;

  napi_create_bigint_uint64(env->napi, ((append_t*)arg)->append.lsn, &lsn);
  return lsn;
}

static void on_durable(uvdio_log_append_t* done, int status) {
  append_t* append = done->data;
  wal_t* wal = append->wal;

  list_leave(&append->link);
  settle(wal->env, append->deferred, status, (subject_t){"append", wal->path, NULL}, lsn_value,
         append);
  free(append);
}

static append_t* create_append(wal_t* wal, const char* bytes, size_t length) {
  append_t* append = malloc(sizeof *append + length);

  if (append != NULL) {
    memset(append, 0, sizeof *append);
    if (length > 0) {
      memcpy(append->bytes, bytes, length);
    }
    append->append.data = append;
    append->wal = wal;
  }
  return append;
}

/* append(log, bytes) -> Promise<bigint> */
static napi_value append_record(napi_env napi, napi_callback_info info) {
  call_t call;
  char* bytes = NULL;
  size_t length = 0;
  napi_value owner = NULL;
  napi_value promise = NULL;
  wal_t* wal = get_wal(&call, napi, info);

  if (wal == NULL || !get_bytes(&call, 1, &bytes, &length, &owner)) {
    return NULL;
  }
  if (is_read_into(call.env, owner, bytes, length)) {
    return throw_error(call.env, UV_EBUSY, "append", wal->path);
  }
  append_t* append = create_append(wal, bytes, length);
  int error = append == NULL
                  ? UV_ENOMEM
                  : uvdio_log_append(wal->log, &append->append, append->bytes, length, on_durable);
  if (error != 0) {
    free(append);
    return throw_error(call.env, error, "append", wal->path);
  }
  list_join(&wal->appends, &append->link);
  napi_create_promise(napi, &append->deferred, &promise);
  return promise;
}

/* cut(log, lsn) */
static napi_value cut_log(napi_env napi, napi_callback_info info) {
  call_t call;
  uint64_t lsn = 0;
  wal_t* wal = get_wal(&call, napi, info);

  if (wal == NULL || !get_bigint(&call, 1, &lsn)) {
    return NULL;
  }
  int error = uvdio_log_cut(wal->log, lsn);
  return error == 0 ? NULL : throw_error(call.env, error, "cut", wal->path);
}

/* logStats(log) -> object */
static napi_value count_log(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_log_stats_t stats = {0};
  napi_value object = NULL;
  wal_t* wal = get_wal(&call, napi, info);

  if (wal == NULL) {
    return NULL;
  }
  (void)uvdio_log_stats(wal->log, &stats);
  napi_create_object(napi, &object);
  set_bigint(call.env, object, "durable", uvdio_log_durable(wal->log));
  set_number(call.env, object, "appends", (double)stats.appends);
  set_number(call.env, object, "bytes", (double)stats.bytes);
  set_number(call.env, object, "flushes", (double)stats.flushes);
  set_number(call.env, object, "flushedBytes", (double)stats.flushed_bytes);
  set_number(call.env, object, "replayed", (double)stats.replayed);
  set_number(call.env, object, "waiting", (double)stats.waiting);
  set_number(call.env, object, "firstSegment", (double)stats.first_segment);
  set_number(call.env, object, "lastSegment", (double)stats.last_segment);
  return object;
}

static void on_closed(uvdio_log_t* log, int status, void* arg) {
  wal_t* wal = arg;

  (void)log;
  if (status == UV_EBADF && wal->env->is_ending) {
    return; /* wals_end() goes on */
  }
  wal->log = NULL;
  settle(wal->env, wal->closing, status, (subject_t){"close", wal->path, NULL}, NULL, NULL);
  end_wal(wal);
}

/* closeLog(log) -> Promise */
static napi_value close_log(napi_env napi, napi_callback_info info) {
  call_t call;
  wal_t* wal = get_wal(&call, napi, info);

  return wal == NULL ? NULL
                     : promise_of(call.env, uvdio_log_close(wal->log, on_closed, wal), "close",
                                  wal->path, &wal->closing);
}

void wal_exports(env_t* env, napi_value exports) {
  export_function(env, exports, "openLog", open_log);
  export_function(env, exports, "append", append_record);
  export_function(env, exports, "cut", cut_log);
  export_function(env, exports, "logStats", count_log);
  export_function(env, exports, "closeLog", close_log);
}
