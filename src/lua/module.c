/* SPDX-License-Identifier: MIT */
/*
 * The module: its functions, and the one engine of a Lua state, which is made at its first use on
 * the loop that luv has. It ends by uvdio.engine_close(), or with the state: what was accepted is
 * carried out then, by whoever runs the loop, and Lua hears no more of it.
 *
 * A host may close all handles of its loop and only then the state (Neovim does). The engine's are
 * among them, so that it can't be closed any more, and the loop may be gone; the engine's memory
 * stays, which the kernel may write to. A handle that nobody else closes is the witness.
 */
#include "binding.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define STATE "uvdio.state"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char being_closed[] = "the Lua state is being closed";

/* Engines whose handles the host has closed; they stay until the process ends. */
static struct binding_engine* left_behind;
static uv_once_t left_once = UV_ONCE_INIT;
static uv_mutex_t left_mutex;

/* What all functions of the module have as their upvalue. */
struct binding_home {
  struct binding_engine* engine; /* or null */
  int is_ended;                  /* finalizers may come later */
};

static struct binding_home* home_of(lua_State* L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/*
 * The engine's end
 */

static void end_one(struct binding_engine* engine) {
  if (--engine->ends_missing > 0) {
    return;
  }
  if (engine->home != NULL) {
    *engine->home = NULL;
  }
  if (engine->closer != NULL) {
    binding_request_finish(engine->closer, 0);
  }
  free(engine);
}

static void on_engine_closed(uvdio_engine_t* closed) {
  struct binding_engine* engine = uvdio_engine_data(closed);

  while (engine->files != NULL) {
    binding_file_free(engine->files);
  }
  end_one(engine);
}

static void on_witness_closed(uv_handle_t* witness) {
  end_one((struct binding_engine*)((char*)witness - offsetof(struct binding_engine, witness)));
}

static int engine_end(struct binding_engine* engine) {
  int error = uvdio_engine_close(engine->engine, on_engine_closed);

  if (error == 0) {
    engine->ends_missing = 2;
    uv_close((uv_handle_t*)&engine->witness, on_witness_closed);
  }
  return error;
}

static void make_mutex(void) {
  (void)uv_mutex_init(&left_mutex);
}

/* Keeps it where tools that look for leaks find it. */
static void leave_behind(struct binding_engine* engine) {
  uv_once(&left_once, make_mutex);
  uv_mutex_lock(&left_mutex);
  engine->home = (struct binding_engine**)left_behind;
  left_behind = engine;
  uv_mutex_unlock(&left_mutex);
}

/* The Lua state is being closed. */
static int end_state(lua_State* L) {
  struct binding_home* home = lua_touserdata(L, 1);
  struct binding_engine* engine = home->engine;

  home->is_ended = 1;
  home->engine = NULL;
  if (engine == NULL) {
    return 0;
  }
  engine->home = NULL;
  engine->L = NULL;
  if (engine->ends_missing > 0) {
    return 0; /* It is being closed. */
  }
  if (binding_engine_is_lost(engine) || engine_end(engine) != 0) {
    leave_behind(engine);
  }
  return 0;
}

/*
 * The engine's life
 */

static int engine_new(lua_State* L, const uvdio_engine_options_t* options) {
  struct binding_home* home = home_of(L);
  struct binding_engine* engine = calloc(1, sizeof(*engine));
  uv_loop_t* loop = luv_loop(L);
  int error;

  if (engine == NULL) {
    return UV_ENOMEM;
  }
  error = uvdio_engine_create(&engine->engine, loop, options);
  if (error != 0) {
    free(engine);
    return error;
  }
  uvdio_engine_set_data(engine->engine, engine);
  (void)uv_prepare_init(loop, &engine->witness);
  engine->luv = luv_context(L);
  engine->L = luv_state(L);
  engine->home = &home->engine;
  home->engine = engine;
  return 0;
}

/* The engine, or null with what to return on the stack. */
static struct binding_engine* engine_use(lua_State* L) {
  struct binding_home* home = home_of(L);
  int error;

  if (home->is_ended) {
    (void)binding_push_failure(L, UV_EBADF, being_closed);
    return NULL;
  }
  error = home->engine == NULL ? engine_new(L, NULL) : 0;
  if (error != 0) {
    (void)binding_push_failure(L, error, NULL);
    return NULL;
  }
  if (binding_engine_is_lost(home->engine)) {
    (void)binding_push_failure(L, UV_EBADF, "the host has closed all handles of the loop");
    return NULL;
  }
  return home->engine;
}

static unsigned option_number(lua_State* L, const char* name) {
  lua_Integer number;

  lua_getfield(L, 1, name);
  number = luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return (unsigned)number;
}

/* uvdio.engine_create({depth = , backend = "pool", ...}): before the first use. */
static int engine_create(lua_State* L) {
  static const char* const names[] = {"auto", "ring", "aio", "pool", "memory", NULL};
  uvdio_engine_options_t options = {0};
  int error;

  luaL_checktype(L, 1, LUA_TTABLE);
  options.depth = option_number(L, "depth");
  options.callbacks_max = option_number(L, "callbacks_max");
  options.submit_batch_max = option_number(L, "submit_batch_max");
  options.busy_poll_us = option_number(L, "busy_poll_us");
  lua_getfield(L, 1, "backend");
  options.backend = (uvdio_backend_t)luaL_checkoption(L, lua_gettop(L), "auto", names);
  if (home_of(L)->engine != NULL || home_of(L)->is_ended) {
    return binding_push_failure(L, UV_EBUSY, "this Lua state has its engine already");
  }
  error = engine_new(L, &options);
  if (error != 0) {
    return binding_push_failure(L, error, NULL);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* uvdio.engine_close([callback]): outside of coroutines and without a callback it does not wait. */
static int engine_close(lua_State* L) {
  struct binding_engine* engine = home_of(L)->engine;
  struct binding_request* request;
  int error;

  if (engine == NULL || binding_engine_is_lost(engine)) {
    return binding_push_failure(L, UV_EBADF, "there is no engine that could be closed");
  }
  request = binding_request_new(L, engine, 0, GIVES_TRUE);
  error = engine_end(engine);
  if (error == 0 && request->to != TO_CALLER) {
    engine->closer = request;
  }
  return binding_request_submitted(L, request, error);
}

static int engine_cancel(lua_State* L) {
  struct binding_engine* engine = home_of(L)->engine;
  int error = engine == NULL ? 0 : uvdio_engine_cancel(engine->engine);

  if (error != 0) {
    return binding_push_failure(L, error, NULL);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int engine_backend(lua_State* L) {
  struct binding_engine* engine = engine_use(L);

  if (engine == NULL) {
    return 3;
  }
  lua_pushstring(L, uvdio_engine_backend(engine->engine));
  return 1;
}

static int engine_backend_reason(lua_State* L) {
  struct binding_engine* engine = engine_use(L);

  if (engine == NULL) {
    return 3;
  }
  lua_pushstring(L, uvdio_engine_backend_reason(engine->engine));
  return 1;
}

static int engine_stats(lua_State* L) {
  struct binding_engine* engine = engine_use(L);
  uvdio_engine_stats_t stats;
  size_t i;

  if (engine == NULL) {
    return 3;
  }
  (void)uvdio_engine_stats(engine->engine, &stats);
  const struct {
    const char* name;
    uint64_t value;
  } fields[] = {
      {"submitted", stats.submitted},
      {"completed", stats.completed},
      {"cancelled", stats.cancelled},
      {"failed", stats.failed},
      {"synchronous", stats.synchronous},
      {"batches", stats.batches},
      {"system_calls", stats.system_calls},
      {"wakeups", stats.wakeups},
      {"resumed", stats.resumed},
      {"retried", stats.retried},
      {"punted", stats.punted},
      {"longest_call_ns", stats.longest_call_ns},
      {"in_flight", stats.in_flight},
      {"in_flight_peak", stats.in_flight_peak},
      {"pending", stats.pending},
  };
  lua_newtable(L);
  for (i = 0; i < COUNT(fields); i++) {
    lua_pushinteger(L, (lua_Integer)fields[i].value);
    lua_setfield(L, -2, fields[i].name);
  }
  return 1;
}

/*
 * Functions that take an engine
 */

static int open_file(lua_State* L) {
  struct binding_engine* engine = engine_use(L);

  return engine == NULL ? 3 : binding_file_open(L, engine);
}

/* uvdio.alloc(size). What is made while the state is being closed would never be collected. */
static int alloc(lua_State* L) {
  return home_of(L)->is_ended ? binding_push_failure(L, UV_EBADF, being_closed)
                              : binding_buffer_alloc(L);
}

/* uvdio.sync_directory(path [, callback]) */
static int sync_directory(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  struct binding_engine* engine = engine_use(L);
  struct binding_request* request;

  if (engine == NULL) {
    return 3;
  }
  request = binding_request_new(L, engine, 0, GIVES_TRUE);
  request->note = strdup(path);
  return binding_request_submitted(
      L, request,
      uvdio_sync_directory(engine->engine, &request->req, path, binding_request_cb(request)));
}

static int version(lua_State* L) {
  lua_pushstring(L, uvdio_version_string());
  return 1;
}

/*
 * The module's table
 */

static void add_constants(lua_State* L) {
  static const struct {
    const char* name;
    unsigned value;
  } constants[] = {
      {"PAGE_SIZE", UVDIO_PAGE_SIZE},
      {"ALIGNMENT", UVDIO_ALIGNMENT},
      {"O_RDONLY", UVDIO_O_RDONLY},
      {"O_RDWR", UVDIO_O_RDWR},
      {"O_WRONLY", UVDIO_O_WRONLY},
      {"O_CREATE", UVDIO_O_CREATE},
      {"O_EXCLUSIVE", UVDIO_O_EXCLUSIVE},
      {"O_TRUNCATE", UVDIO_O_TRUNCATE},
      {"O_DSYNC", UVDIO_O_DSYNC},
      {"O_NOFOLLOW", UVDIO_O_NOFOLLOW},
      {"O_DIRECT_PREFERRED", UVDIO_O_DIRECT_PREFERRED},
      {"O_NATIVE_ALIGN", UVDIO_O_NATIVE_ALIGN},
      {"O_LOCK_SHARED", UVDIO_O_LOCK_SHARED},
      {"O_LOCK_EXCLUSIVE", UVDIO_O_LOCK_EXCLUSIVE},
      {"O_BUFFERED", UVDIO_O_BUFFERED},
      {"O_DONTCACHE", UVDIO_O_DONTCACHE},
      {"OPEN_READ", UVDIO_OPEN_READ},
      {"OPEN_CREATE", UVDIO_OPEN_CREATE},
      {"OPEN_RW", UVDIO_OPEN_RW},
      {"OPEN_WAL", UVDIO_OPEN_WAL},
      {"WRITE_DURABLE", UVDIO_WRITE_DURABLE},
      {"WRITE_BY_DSYNC", UVDIO_WRITE_BY_DSYNC},
      {"WRITE_BY_SYNC", UVDIO_WRITE_BY_SYNC},
      {"WRITE_ATOMIC", UVDIO_WRITE_ATOMIC},
      {"SPACE_KEEP_SIZE", UVDIO_SPACE_KEEP_SIZE},
      {"SPACE_WRITTEN", UVDIO_SPACE_WRITTEN},
  };
  size_t i;

  for (i = 0; i < COUNT(constants); i++) {
    lua_pushinteger(L, (lua_Integer)constants[i].value);
    lua_setfield(L, -2, constants[i].name);
  }
}

/* Loads luv, whose libuv has to be the one that this module calls: one loop, one library. */
static void need_luv(lua_State* L) {
  unsigned luvs;

  lua_getglobal(L, "require");
  lua_pushstring(L, "luv");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "version");
  lua_call(L, 0, 1);
  luvs = (unsigned)lua_tointeger(L, -1);
  if (luvs != uv_version()) {
    luaL_error(L, "uvdio: luv has libuv %d.%d.%d, and this module %s; both need the same libuv",
               (int)(luvs >> 16), (int)(luvs >> 8 & 255), (int)(luvs & 255), uv_version_string());
  }
  if (luv_loop(L) == NULL) {
    luaL_error(L, "uvdio: luv has no loop, or is another one than liblua-luv in memory");
  }
  lua_pop(L, 2);
}

static void push_home(lua_State* L) {
  struct binding_home* home = lua_newuserdata(L, sizeof(*home));

  memset(home, 0, sizeof(*home));
  luaL_newmetatable(L, STATE);
  lua_pushcfunction(L, end_state);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

__attribute__((visibility("default"))) int luaopen_uvdio(lua_State* L);

int luaopen_uvdio(lua_State* L) {
  static const luaL_Reg functions[] = {{"open", open_file},
                                       {"alloc", alloc},
                                       {"sync_directory", sync_directory},
                                       {"engine_create", engine_create},
                                       {"engine_close", engine_close},
                                       {"engine_cancel", engine_cancel},
                                       {"engine_stats", engine_stats},
                                       {"engine_backend", engine_backend},
                                       {"engine_backend_reason", engine_backend_reason},
                                       {"version", version},
                                       {NULL, NULL}};

  need_luv(L);
  binding_file_register(L);
  binding_buffer_register(L);
  lua_newtable(L);
  push_home(L); /* After luv's loop was made, so that it is collected before it. */
  luaL_setfuncs(L, functions, 1);
  add_constants(L);
  return 1;
}
