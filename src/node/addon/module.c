/* SPDX-License-Identifier: MIT */
/*
 * What Node loads: the table of native functions, made for each environment anew.
 */
#include "addon.h"

void export_function(env_t* env, napi_value exports, const char* name, napi_callback cb) {
  napi_value function = NULL;

  napi_create_function(env->napi, name, NAPI_AUTO_LENGTH, cb, env, &function);
  napi_set_named_property(env->napi, exports, name, function);
}

static void export_shared(env_t* env, napi_value exports) {
  napi_value memory = NULL;
  napi_value array = NULL;

  napi_get_reference_value(env->napi, env->shared_memory, &memory);
  napi_create_typedarray(env->napi, napi_float64_array, SHARED_COUNT, memory, 0, &array);
  napi_set_named_property(env->napi, exports, "shared", array);
}

NAPI_MODULE_INIT() {
  env_t* ours = env_create(env);

  if (ours == NULL) {
    return NULL;
  }
  export_shared(ours, exports);
  export_function(ours, exports, "configure", configure);
  export_function(ours, exports, "describe", describe_engine);
  export_function(ours, exports, "stats", count_engine);
  export_function(ours, exports, "alloc", alloc_block);
  export_function(ours, exports, "cancel", cancel_operation);
  set_text(ours, exports, "version", uvdio_version_string());
  file_exports(ours, exports);
  vector_exports(ours, exports);
  name_exports(ours, exports);
  class_exports(ours, exports);
  stream_exports(ours, exports);
  wal_exports(ours, exports);
  log_reader_exports(ours, exports);
  return exports;
}
