/* SPDX-License-Identifier: MIT */
/*
 * A program with Lua in it, whose loop is its own: how it may end while the module's requests are
 * in flight. Some close the Lua state first and then run the loop; some close all handles of the
 * loop, and the Lua state last (Neovim); some leave the loop to luv.
 *
 *   host HOW FILE     HOW is lua-first, handles-first, handles-only, or luv
 */
#include <dirent.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <luv/luv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGES 64
#define PAGE 4096
#define ROUNDS 8

/* Calls back, a coroutine that waits, buffers in flight, a file that nobody closes. */
static const char script[] =
    "local uvdio = require 'uvdio'\n"
    "local path, pages = ...\n"
    "local flags = uvdio.OPEN_CREATE + uvdio.O_DIRECT_PREFERRED\n"
    "local file = assert(uvdio.open(path, flags))\n"
    "ended = 0\n"
    "for i = 0, pages - 1 do\n"
    "  local bytes = string.rep(string.char(i), 4096)\n"
    "  assert(file:write(i * 4096, bytes, function() ended = ended + 1 end))\n"
    "end\n"
    "local buffer = uvdio.alloc(4096)\n"
    "file:read(0, buffer, function() ended = ended + 1 end)\n"
    "coroutine.wrap(function() file:read(1, 2); ended = ended + 1 end)()\n"
    "uvdio.open('/nowhere/at/all', function() ended = ended + 1 end)\n"
    "uvdio.open(path, function() ended = ended + 1 end)\n";

static void fail(const char* what) {
  fprintf(stderr, "host: %s\n", what);
  exit(1);
}

static lua_State* begin(uv_loop_t* loop, const char* path) {
  lua_State* L = luaL_newstate();

  if (L == NULL) {
    fail("no Lua");
  }
  luaL_openlibs(L);
  if (loop != NULL) {
    luv_set_loop(L, loop);
  }
  if (luaL_loadstring(L, script) != 0) {
    fail(lua_tostring(L, -1));
  }
  lua_pushstring(L, path);
  lua_pushinteger(L, PAGES);
  if (lua_pcall(L, 2, 0, 0) != 0) {
    if (strstr(lua_tostring(L, -1), "EBACKEND") != NULL) {
      printf("SKIP: %s\n", lua_tostring(L, -1));
      exit(77);
    }
    fail(lua_tostring(L, -1));
  }
  return L;
}

static void close_open(uv_handle_t* handle, void* argument) {
  (void)argument;
  if (!uv_is_closing(handle)) {
    uv_close(handle, NULL);
  }
}

/* As Neovim does it: close what is there, and run the loop until nothing is. */
static void close_loop(uv_loop_t* loop, int walks) {
  int turns = 0;

  if (walks) {
    uv_walk(loop, close_open, NULL);
  }
  while (uv_loop_close(loop) == UV_EBUSY) {
    (void)uv_run(loop, UV_RUN_DEFAULT);
    if (++turns > 1000) {
      fail("the loop does not end");
    }
  }
}

static void lua_first(const char* path) {
  uv_loop_t loop;
  lua_State* L;

  (void)uv_loop_init(&loop);
  L = begin(&loop, path);
  (void)uv_run(&loop, UV_RUN_NOWAIT);
  lua_close(L);
  close_loop(&loop, 1);
}

static void handles_first(const char* path, int turns, int closes_lua) {
  uv_loop_t loop;
  lua_State* L;

  (void)uv_loop_init(&loop);
  L = begin(&loop, path);
  while (turns-- > 0) {
    (void)uv_run(&loop, UV_RUN_NOWAIT);
  }
  close_loop(&loop, 1);
  memset(&loop, 0xee, sizeof(loop)); /* It is gone. */
  if (closes_lua) {
    lua_close(L);
  }
}

static void all_pages_are_there(const char* path) {
  unsigned char page[PAGE];
  int fd = open(path, O_RDONLY);
  int i;

  for (i = 0; i < PAGES; i++) {
    if (pread(fd, page, PAGE, (off_t)i * PAGE) != PAGE || page[0] != i || page[PAGE - 1] != i) {
      fail("a write that was accepted was not carried out");
    }
  }
  (void)close(fd);
}

static int descriptors(void) {
  DIR* folder = opendir("/proc/self/fd");
  int count = 0;

  while (folder != NULL && readdir(folder) != NULL) {
    count++;
  }
  (void)closedir(folder);
  return count;
}

static void end_once(const char* how, const char* path, int round) {
  (void)unlink(path);
  if (strcmp(how, "lua-first") == 0) {
    lua_first(path);
    all_pages_are_there(path);
  } else if (strcmp(how, "handles-first") == 0) {
    handles_first(path, round, 1);
  } else if (strcmp(how, "handles-only") == 0) {
    handles_first(path, round, 0);
  } else if (strcmp(how, "luv") == 0) {
    lua_close(begin(NULL, path));
    all_pages_are_there(path);
  } else {
    fail("usage: host HOW FILE");
  }
}

int main(int argc, char** argv) {
  int before;
  int round;

  if (argc != 3) {
    fail("usage: host HOW FILE");
  }
  end_once(argv[1], argv[2], 0);
  before = descriptors();
  if (strcmp(argv[1], "handles-only") != 0) { /* It ends the program. */
    for (round = 1; round < ROUNDS; round++) {
      end_once(argv[1], argv[2], round);
    }
  }
  if (strncmp(argv[1], "handles", 7) != 0 && descriptors() != before) {
    fail("descriptors are left open");
  }
  (void)unlink(argv[2]);
  printf("host: %s: ended\n", argv[1]);
  return 0;
}
