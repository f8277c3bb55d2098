/* SPDX-License-Identifier: MIT */
/*
 * Buffers: aligned memory that reads and writes use without a copy. While a request has it, the
 * buffer is empty, and whatever touches it is an error.
 */
#include "binding.h"

#include <string.h>

#define BUFFER "uvdio.buffer"

static uvdio_buf_t* check(lua_State* L) {
  uvdio_buf_t* buf = luaL_checkudata(L, 1, BUFFER);

  if (buf->base == NULL) {
    luaL_argerror(L, 1, "the buffer is empty: it is in flight, or was released");
  }
  return buf;
}

uvdio_buf_t* binding_buffer_at(lua_State* L, int index) {
  uvdio_buf_t* buf = luaL_testudata(L, index, BUFFER);

  if (buf != NULL && buf->base == NULL) {
    luaL_argerror(L, index, "the buffer is empty: it is in flight, or was released");
  }
  return buf;
}

int binding_buffer_alloc(lua_State* L) {
  size_t size = (size_t)binding_check_bytes(L, 1);
  uvdio_buf_t* buf = lua_newuserdata(L, sizeof(*buf));
  int error;

  memset(buf, 0, sizeof(*buf));
  luaL_getmetatable(L, BUFFER);
  lua_setmetatable(L, -2);
  error = uvdio_buf_alloc(buf, size, UVDIO_BUF_ZEROED);
  return error != 0 ? binding_push_failure(L, error, NULL) : 1;
}

/* buffer:string([offset [, length]]): a copy of initialised bytes. */
static int get_string(lua_State* L) {
  uvdio_buf_t* buf = check(L);
  size_t offset = lua_isnoneornil(L, 2) ? 0 : (size_t)binding_check_bytes(L, 2);
  size_t left = offset < buf->len ? buf->len - offset : 0;
  size_t length = lua_isnoneornil(L, 3) ? left : (size_t)binding_check_bytes(L, 3);

  lua_pushlstring(L, buf->base + (left > 0 ? offset : 0), length < left ? length : left);
  return 1;
}

/* buffer:put(offset, string): its length grows where the bytes go past it. */
static int put(lua_State* L) {
  uvdio_buf_t* buf = check(L);
  size_t offset = (size_t)binding_check_bytes(L, 2);
  size_t size;
  const char* bytes = luaL_checklstring(L, 3, &size);

  luaL_argcheck(L, offset <= buf->len, 2, "the offset is past the buffer's length");
  luaL_argcheck(L, size <= buf->cap - offset, 3, "the bytes go past the buffer's capacity");
  memcpy(buf->base + offset, bytes, size);
  if (offset + size > buf->len) {
    buf->len = offset + size;
  }
  lua_settop(L, 1);
  return 1;
}

static int set_len(lua_State* L) {
  int error = uvdio_buf_set_len(check(L), (size_t)binding_check_bytes(L, 2));

  if (error != 0) {
    return binding_push_failure(L, error, NULL);
  }
  lua_settop(L, 1);
  return 1;
}

static int capacity(lua_State* L) {
  lua_pushinteger(L, (lua_Integer)check(L)->cap);
  return 1;
}

static int length(lua_State* L) {
  lua_pushinteger(L, (lua_Integer)check(L)->len);
  return 1;
}

/* For LuaJIT's ffi; until the buffer is in flight, or released. */
static int pointer(lua_State* L) {
  lua_pushlightuserdata(L, check(L)->base);
  return 1;
}

static int release(lua_State* L) {
  (void)uvdio_buf_release(luaL_checkudata(L, 1, BUFFER));
  return 0;
}

static int describe(lua_State* L) {
  char text[128];

  (void)uvdio_buf_describe(luaL_checkudata(L, 1, BUFFER), text, sizeof(text));
  lua_pushfstring(L, "uvdio: %s", text);
  return 1;
}

void binding_buffer_register(lua_State* L) {
  static const luaL_Reg methods[] = {
      {"string", get_string},   {"put", put},         {"set_len", set_len},
      {"capacity", capacity},   {"pointer", pointer}, {"release", release},
      {"__tostring", describe}, {"__len", length},    {"len", length},
      {"__gc", release},        {NULL, NULL}};

  luaL_newmetatable(L, BUFFER);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
