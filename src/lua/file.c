/* SPDX-License-Identifier: MIT */
/*
 * Files. An operation takes its arguments off the stack, which may raise an error, then makes its
 * request, and then nothing of Lua fails until the request is submitted. A file that is collected
 * is closed, after its requests.
 */
#include "binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_TYPE "uvdio.file"
#define WRITE_FLAGS \
  (UVDIO_WRITE_DURABLE | UVDIO_WRITE_BY_DSYNC | UVDIO_WRITE_BY_SYNC | UVDIO_WRITE_ATOMIC)

static struct binding_file* check(lua_State* L) {
  struct binding_file** home = luaL_checkudata(L, 1, FILE_TYPE);

  if (*home == NULL) {
    luaL_argerror(L, 1, "the file is closed");
  }
  if (binding_engine_is_lost((*home)->engine)) {
    luaL_argerror(L, 1, "the host has closed all handles of the loop");
  }
  return *home;
}

/* A request on the file at 1. */
static struct binding_request* request_on(lua_State* L, struct binding_file* file,
                                          enum binding_gives gives) {
  struct binding_request* request = binding_request_new(L, file->engine, 1, gives);

  request->file = file;
  return request;
}

/*
 * Open, and the end
 */

static struct binding_file* file_new(lua_State* L, struct binding_engine* engine) {
  struct binding_file** home = lua_newuserdata(L, sizeof(*home));

  *home = NULL;
  luaL_getmetatable(L, FILE_TYPE);
  lua_setmetatable(L, -2);
  *home = binding_file_new(engine, home);
  if (*home == NULL) {
    luaL_error(L, "uvdio: not enough memory for a file");
  }
  return *home;
}

/* uvdio.open(path [, flags [, mode]] [, callback]) */
int binding_file_open(lua_State* L, struct binding_engine* engine) {
  const char* path = luaL_checkstring(L, 1);
  unsigned flags = (unsigned)binding_optional(L, 2, UVDIO_OPEN_READ);
  int mode = (int)binding_optional(L, 3, 0644);
  struct binding_file* file = file_new(L, engine);
  struct binding_request* request;
  int error;

  lua_insert(L, 1); /* The callback is the last argument again. */
  request = request_on(L, file, GIVES_FILE);
  request->note = strdup(path);
  error = uvdio_open(engine->engine, &file->file, &request->req, path, flags, mode,
                     binding_request_cb(request));
  return binding_request_submitted(L, request, error);
}

static int close_file(lua_State* L) {
  struct binding_file* file = check(L);
  struct binding_request* request = request_on(L, file, GIVES_CLOSED);

  return binding_request_submitted(
      L, request, uvdio_close(&file->file, &request->req, binding_request_cb(request)));
}

static void on_collected(uvdio_req_t* req, int64_t result) {
  (void)result;
  binding_file_free(req->data);
}

/* Where the close is refused, the file is being closed already, or its engine is. */
static int collect(lua_State* L) {
  struct binding_file** home = luaL_checkudata(L, 1, FILE_TYPE);
  struct binding_file* file = *home;

  if (file == NULL) {
    return 0;
  }
  *home = NULL;
  file->home = NULL;
  file->close_req.data = file;
  if (!binding_engine_is_lost(file->engine)) {
    int error = uvdio_close(&file->file, &file->close_req, on_collected);
    (void)error;
  }
  return 0;
}

/*
 * Reads and writes
 */

/* Moves the buffer at 3 into the request. */
static void take_buffer(lua_State* L, struct binding_request* request, uvdio_buf_t* buf) {
  lua_pushvalue(L, 3);
  request->held_buf = luaL_ref(L, LUA_REGISTRYINDEX);
  request->home = buf;
  request->buf = *buf;
  memset(buf, 0, sizeof(*buf));
}

static int read_range(lua_State* L, struct binding_file* file, uint64_t offset, size_t length) {
  struct binding_request* request = request_on(L, file, GIVES_STRING);
  size_t size = uvdio_range_size(&file->file, offset, length);
  int error = uvdio_buf_alloc(&request->buf, size > 0 ? size : 1, 0);

  if (error == 0) {
    error = uvdio_read_range(&file->file, &request->req, &request->buf, offset, length,
                             binding_request_io_cb(request));
  }
  return binding_request_submitted(L, request, error);
}

/* file:read(offset, length [, callback]): a string of any range.
 * file:read(offset, buffer [, callback]): into all of the buffer; the number of bytes. */
static int read_file(lua_State* L) {
  struct binding_file* file = check(L);
  uint64_t offset = binding_check_bytes(L, 2);
  uvdio_buf_t* buf = binding_buffer_at(L, 3);
  struct binding_request* request;
  int error;

  if (buf == NULL) {
    return read_range(L, file, offset, (size_t)binding_check_bytes(L, 3));
  }
  request = request_on(L, file, GIVES_NUMBER);
  take_buffer(L, request, buf);
  error =
      uvdio_read(&file->file, &request->req, &request->buf, offset, binding_request_io_cb(request));
  return binding_request_submitted(L, request, error);
}

/* Says what would be right, where a write is refused for its alignment. */
static void explain(struct binding_request* request, int error, uint64_t offset, size_t length) {
  uvdio_file_info_t info;

  if (error == UVDIO_EALIGN && uvdio_file_info(&request->file->file, &info) == 0) {
    const char* format =
        "a write of %zu bytes at %llu, where offset and length are multiples of "
        "%u; read the rest of the blocks and write them whole, or open the file "
        "with uvdio.O_BUFFERED";
    size_t size = strlen(format) + 64;
    request->note = malloc(size);
    if (request->note != NULL) {
      (void)snprintf(request->note, size, format, length, (unsigned long long)offset,
                     info.offset_align);
    }
  }
}

static int write_bytes(struct binding_request* request, uint64_t offset, unsigned flags) {
  size_t length = request->buf.len;
  int error = uvdio_write_flags(&request->file->file, &request->req, &request->buf, offset, flags,
                                binding_request_io_cb(request));

  explain(request, error, offset, length);
  return error;
}

/* file:write(offset, string or buffer [, flags] [, callback]): the number of bytes. */
static int write_file(lua_State* L) {
  struct binding_file* file = check(L);
  uint64_t offset = binding_check_bytes(L, 2);
  uvdio_buf_t* buf = binding_buffer_at(L, 3);
  unsigned flags = (unsigned)binding_optional(L, 4, 0);
  size_t size = 0;
  const char* bytes = buf == NULL ? luaL_checklstring(L, 3, &size) : NULL;
  struct binding_request* request;
  int error = 0;

  luaL_argcheck(L, (flags & ~WRITE_FLAGS) == 0, 4, "flags of writes (uvdio.WRITE_*) expected");
  request = request_on(L, file, GIVES_NUMBER);
  if (buf != NULL) {
    take_buffer(L, request, buf);
  } else {
    error = uvdio_buf_alloc(&request->buf, size > 0 ? size : 1, 0);
  }
  if (error == 0 && buf == NULL) {
    memcpy(request->buf.base, bytes, size);
    request->buf.len = size;
  }
  return binding_request_submitted(L, request,
                                   error != 0 ? error : write_bytes(request, offset, flags));
}

/*
 * Everything else
 */

typedef int (*plain_fn)(uvdio_file_t* file, uvdio_req_t* req, uvdio_cb cb);
typedef int (*span_fn)(uvdio_file_t* file, uvdio_req_t* req, uint64_t offset, uint64_t length,
                       uvdio_cb cb);

static int call_plain(lua_State* L, plain_fn function, enum binding_gives gives) {
  struct binding_file* file = check(L);
  struct binding_request* request = request_on(L, file, gives);

  return binding_request_submitted(
      L, request, function(&file->file, &request->req, binding_request_cb(request)));
}

static int call_span(lua_State* L, span_fn function) {
  struct binding_file* file = check(L);
  uint64_t offset = binding_check_bytes(L, 2);
  uint64_t length = binding_check_bytes(L, 3);
  struct binding_request* request = request_on(L, file, GIVES_TRUE);

  return binding_request_submitted(
      L, request,
      function(&file->file, &request->req, offset, length, binding_request_cb(request)));
}

static int sync_data(lua_State* L) {
  return call_plain(L, uvdio_sync_data, GIVES_TRUE);
}

static int sync_all(lua_State* L) {
  return call_plain(L, uvdio_sync_all, GIVES_TRUE);
}

static int get_size(lua_State* L) {
  return call_plain(L, uvdio_size, GIVES_NUMBER);
}

static int punch_hole(lua_State* L) {
  return call_span(L, uvdio_punch_hole);
}

static int zero_range(lua_State* L) {
  return call_span(L, uvdio_zero_range);
}

static int preallocate(lua_State* L) {
  struct binding_file* file = check(L);
  uint64_t offset = binding_check_bytes(L, 2);
  uint64_t length = binding_check_bytes(L, 3);
  unsigned flags = (unsigned)binding_optional(L, 4, 0);
  struct binding_request* request = request_on(L, file, GIVES_TRUE);

  return binding_request_submitted(L, request,
                                   uvdio_preallocate(&file->file, &request->req, offset, length,
                                                     flags, binding_request_cb(request)));
}

static int truncate_file(lua_State* L) {
  struct binding_file* file = check(L);
  uint64_t length = binding_check_bytes(L, 2);
  struct binding_request* request = request_on(L, file, GIVES_TRUE);

  return binding_request_submitted(
      L, request, uvdio_truncate(&file->file, &request->req, length, binding_request_cb(request)));
}

static int replace(lua_State* L) {
  struct binding_file* file = check(L);
  const char* path = luaL_checkstring(L, 2);
  struct binding_request* request = request_on(L, file, GIVES_TRUE);

  request->note = strdup(path);
  return binding_request_submitted(
      L, request, uvdio_replace(&file->file, &request->req, path, binding_request_cb(request)));
}

static int cancel(lua_State* L) {
  int error = uvdio_file_cancel(&check(L)->file);

  if (error != 0) {
    return binding_push_failure(L, error, NULL);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int get_info(lua_State* L) {
  uvdio_file_info_t info;
  int error = uvdio_file_info(&check(L)->file, &info);

  if (error != 0) {
    return binding_push_failure(L, error, NULL);
  }
  lua_newtable(L);
  lua_pushstring(L, info.backend);
  lua_setfield(L, -2, "backend");
  lua_pushstring(L, info.reason);
  lua_setfield(L, -2, "reason");
  lua_pushstring(L, info.filesystem);
  lua_setfield(L, -2, "filesystem");
  lua_pushboolean(L, info.is_direct);
  lua_setfield(L, -2, "is_direct");
  lua_pushinteger(L, (lua_Integer)info.memory_align);
  lua_setfield(L, -2, "memory_align");
  lua_pushinteger(L, (lua_Integer)info.offset_align);
  lua_setfield(L, -2, "offset_align");
  lua_pushinteger(L, (lua_Integer)info.latch_error);
  lua_setfield(L, -2, "latch_error");
  return 1;
}

void binding_file_register(lua_State* L) {
  static const luaL_Reg methods[] = {
      {"read", read_file},          {"write", write_file},      {"sync_data", sync_data},
      {"sync_all", sync_all},       {"size", get_size},         {"truncate", truncate_file},
      {"preallocate", preallocate}, {"punch_hole", punch_hole}, {"zero_range", zero_range},
      {"replace", replace},         {"close", close_file},      {"cancel", cancel},
      {"info", get_info},           {"__gc", collect},          {NULL, NULL}};

  luaL_newmetatable(L, FILE_TYPE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
