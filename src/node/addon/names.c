/* SPDX-License-Identifier: MIT */
/*
 * Operations on names, those that give one to an open file among them. Paths are copied for the
 * errors; the library has copies of its own.
 */
#include <stdlib.h>

#include "addon.h"

/* What `names` can be asked for, in the order of lib/names.js. */
enum { RENAME, LINK, UNLINK, MKDIR, RMDIR, SYNC_DIRECTORY };

static const char* const name_names[] = {"rename", "link",  "unlink",
                                         "mkdir",  "rmdir", "syncDirectory"};

static int submit(op_t* op, unsigned which, unsigned detail) {
  uvdio_engine_t* engine = op->env->engine;

  switch (which) {
    case RENAME:
      return uvdio_rename(engine, &op->req, op->path, op->dest, detail, op_done);
    case LINK:
      return uvdio_link(engine, &op->req, op->path, op->dest, op_done);
    case UNLINK:
      return uvdio_unlink(engine, &op->req, op->path, op_done);
    case MKDIR:
      return uvdio_mkdir(engine, &op->req, op->path, (int)detail, op_done);
    case RMDIR:
      return uvdio_rmdir(engine, &op->req, op->path, op_done);
    default:
      return uvdio_sync_directory(engine, &op->req, op->path, op_done);
  }
}

/* The operation takes the texts. */
static napi_value begin(call_t* call, unsigned which, char* path, char* dest, unsigned detail) {
  napi_value promise = NULL;
  op_t* op = op_begin(call->env, name_names[which], NULL, &promise);

  if (op == NULL) {
    free(path);
    free(dest);
    return NULL;
  }
  op->path = path;
  op->dest = dest;
  return op_submitted(op, submit(op, which, detail), promise);
}

/* names(which, path, dest, detail) -> Promise<undefined>; detail: flags of a rename, or a mode */
static napi_value names(napi_env napi, napi_callback_info info) {
  call_t call;
  unsigned which = 0;
  unsigned detail = 0;
  char* path = NULL;
  char* dest = NULL;

  call_begin(&call, napi, info);
  if (!get_unsigned(&call, 0, &which) || !get_unsigned(&call, 3, &detail) ||
      !get_text(&call, 1, &path)) {
    return NULL;
  }
  which = which > SYNC_DIRECTORY ? SYNC_DIRECTORY : which;
  if ((which == RENAME || which == LINK) && !get_text(&call, 2, &dest)) {
    free(path);
    return NULL;
  }
  return begin(&call, which, path, dest, detail);
}

/* The file of argument 0 gets the path of argument 1. */
static napi_value give_name(napi_env napi, napi_callback_info info, const char* name,
                            int (*submit_cb)(uvdio_file_t*, uvdio_req_t*, const char*, uvdio_cb)) {
  call_t call;
  char* dest = NULL;
  napi_value promise = NULL;

  call_begin(&call, napi, info);
  if (!get_text(&call, 1, &dest)) {
    return NULL;
  }
  op_t* op = op_begin_on_file(&call, name, &promise);
  if (op == NULL) {
    free(dest);
    return NULL;
  }
  op->dest = dest;
  return op_submitted(op, submit_cb(&op->file->file, &op->req, dest, op_done), promise);
}

/* replace(file, path) -> Promise<undefined> */
static napi_value replace_file(napi_env napi, napi_callback_info info) {
  return give_name(napi, info, "replace", uvdio_replace);
}

/* linkFile(file, path) -> Promise<undefined> */
static napi_value link_file(napi_env napi, napi_callback_info info) {
  return give_name(napi, info, "link", uvdio_link_file);
}

void name_exports(env_t* env, napi_value exports) {
  export_function(env, exports, "names", names);
  export_function(env, exports, "replace", replace_file);
  export_function(env, exports, "linkFile", link_file);
}
