/* SPDX-License-Identifier: MIT */
/*
 * A call, and where its outcome goes: to the callback that is its last argument; without one, to
 * the coroutine that has called, which yields meanwhile; and outside of coroutines the call blocks
 * and returns it. Lua is entered by luv's own way, so that errors in callbacks are treated as
 * luv's, and Neovim knows that it is in one.
 */
#include "binding.h"

#include <stdlib.h>
#include <string.h>

lua_Integer binding_optional(lua_State* L, int index, lua_Integer otherwise) {
  return lua_isnoneornil(L, index) || lua_isfunction(L, index) ? otherwise
                                                               : luaL_checkinteger(L, index);
}

uint64_t binding_check_bytes(lua_State* L, int index) {
  lua_Integer bytes = luaL_checkinteger(L, index);

  luaL_argcheck(L, bytes >= 0, index, "a number of bytes, 0 or more, expected");
  return (uint64_t)bytes;
}

int binding_push_failure(lua_State* L, int error, const char* note) {
  const char* name = uvdio_err_name(error);

  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s%s%s", name, uvdio_strerror(error), note != NULL ? ": " : "",
                  note != NULL ? note : "");
  lua_pushstring(L, name);
  return 3;
}

/* Whether the running function may yield: LuaJIT has the question, and Lua from 5.3 on. */
static int is_coroutine(lua_State* L) {
  int is_main = lua_pushthread(L);

  lua_pop(L, 1);
  return !is_main && lua_isyieldable(L);
}

static int reference(lua_State* L, int index) {
  lua_pushvalue(L, index);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

struct binding_request* binding_request_new(lua_State* L, struct binding_engine* engine, int file,
                                            enum binding_gives gives) {
  struct binding_request* request = calloc(1, sizeof(*request));

  if (request == NULL) {
    luaL_error(L, "uvdio: not enough memory for a request");
    return NULL;
  }
  request->engine = engine;
  request->gives = gives;
  request->held_buf = LUA_NOREF;
  request->receiver = LUA_NOREF;
  if (lua_gettop(L) > 0 && lua_isfunction(L, -1)) {
    request->to = TO_CALLBACK;
    request->receiver = reference(L, -1);
  } else if (is_coroutine(L)) {
    request->to = TO_COROUTINE;
    lua_pushthread(L);
    request->receiver = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  request->held = file != 0 ? reference(L, file) : LUA_NOREF;
  return request;
}

static void release(struct binding_request* request) {
  lua_State* L = request->engine->L;

  if (L == NULL || request->home == NULL) {
    (void)uvdio_buf_release(&request->buf);
  } else {
    *request->home = request->buf;
  }
  if (L != NULL) {
    luaL_unref(L, LUA_REGISTRYINDEX, request->receiver);
    luaL_unref(L, LUA_REGISTRYINDEX, request->held);
    luaL_unref(L, LUA_REGISTRYINDEX, request->held_buf);
  }
  free(request->note);
  free(request);
}

/* One value. */
static void push_value(lua_State* L, const struct binding_request* request, int64_t result) {
  uvdio_buf_t view;

  switch (request->gives) {
    case GIVES_NUMBER:
      lua_pushinteger(L, (lua_Integer)result);
      break;
    case GIVES_STRING:
      view = uvdio_range_view(&request->req, &request->buf);
      lua_pushlstring(L, view.base, view.len);
      break;
    case GIVES_FILE:
      lua_rawgeti(L, LUA_REGISTRYINDEX, request->held);
      break;
    case GIVES_TRUE:
    case GIVES_CLOSED:
      lua_pushboolean(L, 1);
      break;
  }
}

static int push_returns(lua_State* L, const struct binding_request* request, int64_t result) {
  if (result < 0) {
    return binding_push_failure(L, (int)result, request->note);
  }
  push_value(L, request, result);
  return 1;
}

/* (error, value), as luv's callbacks; the third argument is the code's name. */
static int push_arguments(lua_State* L, const struct binding_request* request, int64_t result) {
  if (result < 0) {
    (void)binding_push_failure(L, (int)result, request->note);
    lua_remove(L, -3);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 3;
  }
  lua_pushnil(L);
  push_value(L, request, result);
  return 2;
}

/* Called with a coroutine and what its call returns. */
static int resume(lua_State* L) {
  lua_State* coroutine = lua_tothread(L, 1);
  int count = lua_gettop(L) - 1;
  int status;
#if LUA_VERSION_NUM >= 504
  int results = 0;
#endif

  if (lua_status(coroutine) != LUA_YIELD || !lua_checkstack(coroutine, count)) {
    return 0; /* Somebody else has resumed it, and it is through. */
  }
  lua_xmove(L, coroutine, count);
#if LUA_VERSION_NUM >= 504
  status = lua_resume(coroutine, L, count, &results);
#else
  status = lua_resume(coroutine, count);
#endif
  if (status != 0 && status != LUA_YIELD) {
    luaL_traceback(L, coroutine, lua_tostring(coroutine, -1), 0);
    return lua_error(L);
  }
#if LUA_VERSION_NUM >= 504
  lua_pop(coroutine, results);
#else
  lua_settop(coroutine, 0);
#endif
  return 0;
}

static void deliver(struct binding_request* request, int64_t result) {
  lua_State* L = request->engine->L;
  luv_ctx_t* luv = request->engine->luv;
  int count;

  if (request->to == TO_COROUTINE) {
    lua_pushcfunction(L, resume);
    lua_rawgeti(L, LUA_REGISTRYINDEX, request->receiver);
    count = 1 + push_returns(L, request, result);
  } else {
    lua_rawgeti(L, LUA_REGISTRYINDEX, request->receiver);
    count = push_arguments(L, request, result);
  }
  release(request); /* before Lua goes on, which may want the buffer */
  (void)luv->cb_pcall(L, count, 0, 0);
}

/* A file that is not open, or not any more. */
static void end_file(struct binding_request* request, int64_t result) {
  int has_failed_open = request->gives == GIVES_FILE && result < 0;

  if (has_failed_open || request->gives == GIVES_CLOSED) {
    binding_file_free(request->file);
    request->file = NULL;
  }
}

void binding_request_finish(struct binding_request* request, int64_t result) {
  end_file(request, result);
  if (request->engine->L == NULL || request->to == TO_CALLER) {
    release(request);
  } else {
    deliver(request, result);
  }
}

static void on_end(uvdio_req_t* req, int64_t result) {
  binding_request_finish(req->data, result);
}

static void on_io_end(uvdio_req_t* req, ssize_t result, uvdio_buf_t buf) {
  struct binding_request* request = req->data;

  request->buf = buf;
  binding_request_finish(request, result);
}

uvdio_cb binding_request_cb(const struct binding_request* request) {
  return request->to == TO_CALLER ? NULL : on_end;
}

uvdio_io_cb binding_request_io_cb(const struct binding_request* request) {
  return request->to == TO_CALLER ? NULL : on_io_end;
}

int binding_request_submitted(lua_State* L, struct binding_request* request, int error) {
  int count;

  request->req.data = request;
  if (error == 0 && request->to == TO_CALLBACK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (error == 0 && request->to == TO_COROUTINE) {
    return lua_yield(L, 0);
  }
  if (error != 0 && request->gives == GIVES_CLOSED) {
    request->gives = GIVES_TRUE; /* refused: it is as it was */
  }
  end_file(request, error);
  count = push_returns(L, request, error != 0 ? error : request->req.result);
  release(request);
  return count;
}
