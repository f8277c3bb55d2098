#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs one test of the Lua module with a program that has Lua.
#   run.sh WHAT VERSION MODULES FOLDER BACKEND SANITIZER_LIBRARY [HOST]
#     WHAT       files, ends, readme, host, neovim
#     VERSION    5.4 or 5.1 (LuaJIT)
#     MODULES    the folder with uvdio.so
#     BACKEND    a backend, or auto: the library chooses
#     FOLDER     where files are made
#     HOST       the program of host.c
# Exit status: 0 passed, 77 skipped (with the reason), else failed.
set -u

what=$1 version=$2 modules=$3 folder=$4 backend=$5 sanitizer=$6 host=${7:-}
here=$(cd "$(dirname "$0")" && pwd)
[ "$version" = 5.4 ] && lua=lua5.4 || lua=luajit

skip() { echo "SKIP: $1"; exit 77; }

rm -rf "$folder"
mkdir -p "$folder" && cd "$folder" || exit 1
export LUA_PATH="$here/?.lua;;" LUA_CPATH="$modules/?.so;;"
export UVDIO_TEST_FILE="$folder/test.db"
[ "$backend" = auto ] || export UVDIO_BACKEND="$backend"

run_lua() { LD_PRELOAD=$sanitizer "$lua" "$@" </dev/null; }

# The first ```lua block of the README, and what it prints.
test_readme() {
  awk '/^```lua$/ { inside = 1; next } /^```$/ && inside { exit } inside' \
    "$here/../../src/lua/README.md" >example.lua
  run_lua example.lua >printed || exit 1
  cat printed
  printf '%s\n' "ENOENT: no such file or directory: /nowhere/at/all" lua | sort >expected
  sort printed | cmp - expected
}

# Neovim waits two seconds for handles that are left, and says so in its log.
run_neovim() {
  env UVDIO_TEST_HOW="$1" NVIM_LOG_FILE="$folder/log" XDG_DATA_HOME="$folder" \
    XDG_STATE_HOME="$folder" XDG_CONFIG_HOME="$folder" \
    timeout 60 nvim --headless -u NONE -i NONE -n -c "luafile $here/neovim.lua" </dev/null
}

test_neovim() {
  [ -z "$sanitizer" ] || skip "Neovim is not built with the sanitizer"
  for how in leaves waits coroutine; do
    run_neovim $how >said 2>&1
    code=$?
    cat said
    grep -q '^SKIP: ' said && exit 77
    [ $code -eq 0 ] || { echo "$how: exit status $code"; exit 1; }
    [ $how = leaves ] || grep -q "all is written" said || { echo "$how: no end"; exit 1; }
    [ ! -s log ] || { cat log; exit 1; }
  done
}

case $what in
  neovim)
    command -v nvim >/dev/null || skip "neovim (nvim) is missing"
    test_neovim
    ;;
  host)
    for how in lua-first handles-first handles-only luv; do
      "$host" $how "$UVDIO_TEST_FILE" || exit $?
    done
    ;;
  readme)
    command -v "$lua" >/dev/null || skip "$lua is missing"
    test_readme
    ;;
  *)
    command -v "$lua" >/dev/null || skip "$lua is missing"
    run_lua "$here/$what.lua"
    ;;
esac
