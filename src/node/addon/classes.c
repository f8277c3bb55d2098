/* SPDX-License-Identifier: MIT */
/*
 * Classes of requests (uvdio/class.h). The class of one operation is handed over in
 * shared[CLASS], since most have none (op_begin()).
 */
#include <stdlib.h>

#include "addon.h"

/* setClass(number, shares, depth, operations, bytes, priority, queue, queueBytes); 0: default */
static napi_value set_class(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_class_options_t options = {0};
  unsigned number = 0;
  unsigned priority = 0;

  call_begin(&call, napi, info);
  if (!get_unsigned(&call, 0, &number) || !get_unsigned(&call, 1, &options.shares) ||
      !get_unsigned(&call, 2, &options.depth) || !get_uint64(&call, 3, &options.operations_max) ||
      !get_uint64(&call, 4, &options.bytes_max) || !get_unsigned(&call, 5, &priority) ||
      !get_unsigned(&call, 6, &options.queue_max) ||
      !get_uint64(&call, 7, &options.queue_bytes_max)) {
    return NULL;
  }
  options.priority = (uvdio_priority_t)priority;
  int error = env_engine(call.env);
  if (error == 0) {
    error = uvdio_class_set(call.env->engine, number, &options);
  }
  return error == 0 ? NULL : throw_error(call.env, error, "setClass", NULL);
}

/* setFileClass(file, number) */
static napi_value set_file_class(napi_env napi, napi_callback_info info) {
  call_t call;
  void* pointer = NULL;
  unsigned number = 0;

  call_begin(&call, napi, info);
  if (!get_pointer(&call, 0, &pointer) || !get_unsigned(&call, 1, &number)) {
    return NULL;
  }
  file_t* file = pointer;
  int error = uvdio_file_set_class(&file->file, number);
  return error == 0 ? NULL : throw_error(call.env, error, "setClass", file->path);
}

/* classStats(number) -> object */
static napi_value count_class(napi_env napi, napi_callback_info info) {
  call_t call;
  uvdio_class_stats_t stats = {0};
  unsigned number = 0;
  napi_value object = NULL;

  call_begin(&call, napi, info);
  if (!get_unsigned(&call, 0, &number)) {
    return NULL;
  }
  int error = UV_ENOENT;
  if (call.env->engine != NULL) {
    error = uvdio_class_stats(call.env->engine, number, &stats);
  }
  if (error != 0) {
    return throw_error(call.env, error, "classStats", NULL);
  }
  napi_create_object(napi, &object);
  set_number(call.env, object, "operations", (double)stats.operations);
  set_number(call.env, object, "bytes", (double)stats.bytes);
  set_number(call.env, object, "waited", (double)stats.waited);
  set_number(call.env, object, "limited", (double)stats.limited);
  set_number(call.env, object, "refused", (double)stats.refused);
  set_number(call.env, object, "waiting", (double)stats.waiting);
  set_number(call.env, object, "waitingBytes", (double)stats.waiting_bytes);
  set_number(call.env, object, "inFlight", stats.in_flight);
  return object;
}

typedef struct room_s {
  env_t* env;
  napi_deferred deferred;
} room_t;

static void on_room(uvdio_engine_t* engine, unsigned number, int status, void* arg) {
  room_t* room = arg;

  (void)engine;
  (void)number;
  settle(room->env, room->deferred, status, (subject_t){"waitForRoom", NULL, NULL}, NULL, NULL);
  free(room);
}

/* waitForRoom(number) -> Promise<undefined> */
static napi_value wait_for_room(napi_env napi, napi_callback_info info) {
  call_t call;
  unsigned number = 0;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_unsigned(&call, 0, &number)) {
    return NULL;
  }
  room_t* room = malloc(sizeof *room);
  int error = room == NULL ? UV_ENOMEM : env_engine(call.env);
  if (error == 0) {
    error = uvdio_class_wait_room(call.env->engine, number, on_room, room);
  }
  if (error != 0) {
    free(room);
    return throw_error(call.env, error, "waitForRoom", NULL);
  }
  room->env = call.env;
  napi_create_promise(napi, &room->deferred, &promise);
  return promise;
}

void class_exports(env_t* env, napi_value exports) {
  export_function(env, exports, "setClass", set_class);
  export_function(env, exports, "setFileClass", set_file_class);
  export_function(env, exports, "classStats", count_class);
  export_function(env, exports, "waitForRoom", wait_for_room);
}
