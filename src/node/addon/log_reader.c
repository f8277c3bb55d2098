/* SPDX-License-Identifier: MIT */
/*
 * Readers of logs (uvdio/log_reader.h) for lib/log_reader.js. A record's bytes are copied when it
 * is taken: the library has them until the next take, JavaScript as long as it likes.
 */
#include <stdlib.h>
#include <string.h>

#include "addon.h"

#define BUFFER_DEFAULT ((size_t)1 << 20) /* uvdio/log_reader.h */

typedef struct log_reader_s {
  env_t* env;
  uvdio_log_reader_t* reader; /* null: ended */
  char* path;                 /* of the log */
  int64_t memory;             /* bytes of its buffer */
  napi_deferred waiting;
  napi_deferred closing;
  unsigned refs; /* of JavaScript, and one while it is not ended */
  link_t link;   /* env->log_readers */
} log_reader_t;

static void drop(log_reader_t* reader) {
  if (--reader->refs == 0) {
    free(reader->path);
    free(reader);
  }
}

static void on_collected(napi_env napi, void* reader, void* hint) {
  (void)napi;
  (void)hint;
  drop(reader);
}

/* The library has freed the reader. */
static void end_reader(log_reader_t* reader) {
  reader->reader = NULL;
  env_account(reader->env, -reader->memory);
  list_leave(&reader->link);
  drop(reader);
}

/* The engine is closed. */
void log_readers_end(env_t* env) {
  for (link_t* link = env->log_readers; link != NULL;) {
    log_reader_t* reader = LINK_OWNER(link, log_reader_t, link);
    link = link->next;
    if (uvdio_log_reader_destroy(reader->reader) == 0) {
      end_reader(reader);
    }
  }
}

/* Arguments from `index` on: begin, buffer size, record size, flags, class. */
static bool get_options(call_t* call, size_t index, uvdio_log_reader_options_t* options) {
  uint64_t buffer_size = 0;
  uint64_t record_max = 0;

  if (!get_bigint(call, index, &options->begin) || !get_uint64(call, index + 1, &buffer_size) ||
      !get_uint64(call, index + 2, &record_max) ||
      !get_unsigned(call, index + 3, &options->flags) ||
      !get_unsigned(call, index + 4, &options->class_number)) {
    return false;
  }
  options->buffer_size = (size_t)buffer_size;
  options->record_max = (size_t)record_max;
  return true;
}

static int create_reader(uvdio_log_t* log, const char* path,
                         const uvdio_log_reader_options_t* options, log_reader_t** result) {
  log_reader_t* reader = calloc(1, sizeof *reader);
  int error = UV_ENOMEM;

  if (reader != NULL && (reader->path = strdup(path)) != NULL) {
    error = uvdio_log_reader_create(&reader->reader, log, options);
  }
  if (error != 0) {
    free(reader != NULL ? reader->path : NULL);
    free(reader);
    return error;
  }
  reader->refs = 1;
  reader->memory = (int64_t)(options->buffer_size != 0 ? options->buffer_size : BUFFER_DEFAULT);
  *result = reader;
  return 0;
}

/* createLogReader(log, options...) -> reader */
static napi_value create(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_log_reader_options_t options = {0};
  log_reader_t* reader = NULL;
  napi_value external = NULL;
  const char* path = NULL;
  uvdio_log_t* log = get_log(&call, napi, info, &path);

  if (log == NULL || !get_options(&call, 1, &options)) {
    return NULL;
  }
  int error = create_reader(log, path, &options, &reader);
  if (error != 0) {
    return throw_error(call.env, error, "reader", path);
  }
  reader->env = call.env;
  list_join(&call.env->log_readers, &reader->link);
  env_account(call.env, reader->memory);
  if (napi_create_external(napi, reader, on_collected, NULL, &external) == napi_ok) {
    reader->refs++;
  }
  return external;
}

/* The reader of argument 0; null with an exception pending. */
static log_reader_t* get_reader(call_t* call, napi_env napi, napi_callback_info info) {
  void* pointer = NULL;

  call_begin(call, napi, info);
  if (!get_pointer(call, 0, &pointer)) {
    return NULL;
  }
  log_reader_t* reader = pointer;
  if (reader->reader == NULL) {
    throw_error(call->env, UV_EBADF, "reader", reader->path);
    return NULL;
  }
  return reader;
}

static napi_value record_value(env_t* env, const uvdio_log_record_t* record) {
  napi_value object = NULL;
  napi_value data = NULL;

  if (napi_create_buffer_copy(env->napi, record->length, record->bytes, NULL, &data) != napi_ok) {
    return NULL; /* too little memory, which is thrown */
  }
  napi_create_object(env->napi, &object);
  set_bigint(env, object, "lsn", record->lsn);
  napi_set_named_property(env->napi, object, "data", data);
  return object;
}

/* takeRecord(reader) -> {lsn, data}, null (the end) or undefined (none has arrived: wait) */
static napi_value take_record(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_log_record_t record;
  log_reader_t* reader = get_reader(&call, napi, info);

  if (reader == NULL) {
    return NULL;
  }
  int error = uvdio_log_reader_take(reader->reader, &record);
  return error == 0 ? record_value(call.env, &record)
                    : nothing_taken(call.env, error, "reader", reader->path);
}

/* Also where the reader was closed meanwhile: a take tells. */
static void on_ready(int status, void* arg) {
  log_reader_t* reader = arg;
  napi_deferred deferred = reader->waiting;

  (void)status;
  reader->waiting = NULL;
  settle(reader->env, deferred, 0, (subject_t){"reader", reader->path, NULL}, NULL, NULL);
}

/* waitRecord(reader) -> Promise, or undefined: no need to wait */
static napi_value wait_record(napi_env napi, napi_callback_info info) {
  call_t call;
  log_reader_t* reader = get_reader(&call, napi, info);

  if (reader == NULL) {
    return NULL;
  }
  int error = uvdio_log_reader_wait(reader->reader, on_ready, reader);
  return error == UV_EALREADY
             ? NULL
             : promise_of(call.env, error, "reader", reader->path, &reader->waiting);
}

/* logReaderInfo(reader) -> object */
static napi_value describe_reader(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_log_reader_info_t facts = {0};
  napi_value object = NULL;
  log_reader_t* reader = get_reader(&call, napi, info);

  if (reader == NULL) {
    return NULL;
  }
  (void)uvdio_log_reader_info(reader->reader, &facts);
  napi_create_object(napi, &object);
  set_bigint(call.env, object, "next", facts.next);
  set_bigint(call.env, object, "lsn", facts.lsn);
  set_number(call.env, object, "taken", (double)facts.taken);
  set_number(call.env, object, "bytes", (double)facts.bytes);
  set_number(call.env, object, "reads", (double)facts.reads);
  return object;
}

static void on_closed(int status, void* arg) {
  log_reader_t* reader = arg;

  if (status == UV_EBADF && reader->env->is_ending) {
    return; /* log_readers_end() goes on */
  }
  reader->reader = NULL;
  settle(reader->env, reader->closing, status, (subject_t){"close", reader->path, NULL}, NULL,
         NULL);
  end_reader(reader);
}

/* closeLogReader(reader) -> Promise */
static napi_value close_reader(napi_env napi, napi_callback_info info) {
  call_t call;
  log_reader_t* reader = get_reader(&call, napi, info);

  return reader == NULL
             ? NULL
             : promise_of(call.env, uvdio_log_reader_close(reader->reader, on_closed, reader),
                          "close", reader->path, &reader->closing);
}

void log_reader_exports(env_t* env, napi_value exports) {
  export_function(env, exports, "createLogReader", create);
  export_function(env, exports, "takeRecord", take_record);
  export_function(env, exports, "waitRecord", wait_record);
  export_function(env, exports, "logReaderInfo", describe_reader);
  export_function(env, exports, "closeLogReader", close_reader);
}
