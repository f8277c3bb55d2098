/* SPDX-License-Identifier: MIT */
/*
 * The Lua module `uvdio`: the library on luv's loop. README.md tells how it is used.
 *
 * Lua's memory ends when its state is closed, and what the kernel has in hand may end later. So
 * engines, files and requests are in memory of C, and Lua's objects only point to them:
 *
 *   module.c   the functions of the module; the engine, and its end
 *   request.c  a call: where its outcome goes (callback, coroutine, return values)
 *   file.c     files and their operations; file_list.c has the files of an engine
 *   buffer.c   buffers
 */
#ifndef UVDIO_LUA_BINDING_H
#define UVDIO_LUA_BINDING_H

#include <lauxlib.h>
#include <lua.h>
#include <luv/luv.h>
#include <uvdio.h>

/* The engine of a Lua state. */
struct binding_engine {
  uvdio_engine_t* engine;
  struct binding_engine** home; /* where the module has it; null: the Lua state is being closed */
  lua_State* L;                 /* the main thread; null: the same, and nothing of Lua is called */
  luv_ctx_t* luv;               /* while there is L */
  struct binding_file* files;   /* all that are open */
  struct binding_request* closer; /* who waits for the close; or null */
  uv_prepare_t witness;           /* never started; where it is closed, the host ends its loop */
  unsigned ends_missing;          /* of a close: of the engine and of the witness */
};

struct binding_file {
  uvdio_file_t file;
  uvdio_req_t close_req; /* for a file that nobody refers to any more */
  struct binding_engine* engine;
  struct binding_file** home; /* in Lua's object; null: that is gone */
  struct binding_file* next;
  struct binding_file* prev;
};

/* What a request gives where it succeeds. */
enum binding_gives { GIVES_TRUE, GIVES_NUMBER, GIVES_STRING, GIVES_FILE, GIVES_CLOSED };

/* One call. */
struct binding_request {
  uvdio_req_t req;
  uvdio_buf_t buf;
  struct binding_engine* engine;
  struct binding_file* file; /* or null */
  uvdio_buf_t* home;         /* in Lua's object: where the buffer goes back to; null: it is ours */
  char* note;                /* what the message of an error ends with; or null */
  enum binding_gives gives;
  enum { TO_CALLER, TO_CALLBACK, TO_COROUTINE } to;
  int receiver; /* references of Lua's registry: the callback or coroutine, */
  int held;     /* the file, which is not collected meanwhile, */
  int held_buf; /* and the buffer */
};

/* Whether the host has closed the handles of the loop, which may be gone. */
static inline int binding_engine_is_lost(const struct binding_engine* engine) {
  return engine->ends_missing == 0 && uv_is_closing((const uv_handle_t*)&engine->witness);
}

/* file_list.c */

/* Null: no memory. */
struct binding_file* binding_file_new(struct binding_engine* engine, struct binding_file** home);
void binding_file_free(struct binding_file* file);

/* request.c */

/* Begins a call of the function that runs in L. Its last argument is the callback, if it is a
 * function. `file` is the stack index of the file, or 0. Errors of Lua come before it. */
struct binding_request* binding_request_new(lua_State* L, struct binding_engine* engine, int file,
                                            enum binding_gives gives);
/* The callbacks for the library; null where the call is synchronous. */
uvdio_cb binding_request_cb(const struct binding_request* request);
uvdio_io_cb binding_request_io_cb(const struct binding_request* request);
/* What the function returns to Lua, when the library's has returned `error`. */
int binding_request_submitted(lua_State* L, struct binding_request* request, int error);
void binding_request_finish(struct binding_request* request, int64_t result);
/* nil, a message and the code's name, as luv does it. */
int binding_push_failure(lua_State* L, int error, const char* note);
/* An argument that may be left out before the callback. */
lua_Integer binding_optional(lua_State* L, int index, lua_Integer otherwise);
uint64_t binding_check_bytes(lua_State* L, int index);

/* file.c */

void binding_file_register(lua_State* L);
int binding_file_open(lua_State* L, struct binding_engine* engine);

/* buffer.c */

void binding_buffer_register(lua_State* L);
int binding_buffer_alloc(lua_State* L);
/* The buffer at a stack index; null where it is none; an error where it is empty. */
uvdio_buf_t* binding_buffer_at(lua_State* L, int index);

#endif /* UVDIO_LUA_BINDING_H */
