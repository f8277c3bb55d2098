#!/bin/sh
# SPDX-License-Identifier: MIT
# The program uvdio-store on each backend: what was durable is there after it was killed, and after
# it has ended.
#   store.sh UVDIO_STORE FOLDER
# shellcheck disable=SC2086 # options are words
set -eu

program=$1
work=$2
options="-p 256 -f 64 -c 128 -k 256"
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

fail() {
  echo "$UVDIO_BACKEND: $*"
  cat "$work"/*.txt
  exit 1
}

# What the dead program has in flight keeps its lock for a moment.
check() {
  until "$program" $options -n "$1" check "$work/$UVDIO_BACKEND" >"$work/check.txt" 2>&1; do
    grep -q "locked by somebody else" "$work/check.txt" || fail "not all of $1 moves are there"
  done
}

# durable: the moves that the program has told of.
durable() { sed -n 's/^durable: //p' "$work/load.txt" | tail -n 1; }

# Starts a load, and kills it when it has told of some moves.
kill_load() {
  : >"$work/load.txt"
  "$program" $options -n 100000000 load "$work/$UVDIO_BACKEND" >"$work/load.txt" 2>&1 &
  process=$!
  until [ -n "$(durable)" ]; do
    kill -0 $process 2>/dev/null || fail "the load has ended"
    sleep 0.01
  done
  kill -s KILL $process
  wait $process 2>/dev/null || true
}

try() {
  mkdir "$work/$UVDIO_BACKEND"
  "$program" $options -n 500 load "$work/$UVDIO_BACKEND" >"$work/load.txt" 2>&1 ||
    fail "the load has failed"
  check 500
  moves=500
  for _ in 1 2; do
    kill_load
    moves=$((moves + $(durable)))
    check $moves
  done
  ! "$program" $options -n 1000000000 check "$work/$UVDIO_BACKEND" >"$work/check.txt" 2>&1 ||
    fail "a check finds moves that nobody has made"
  rm -r "${work:?}/$UVDIO_BACKEND"
  echo "$UVDIO_BACKEND: $moves moves and more"
}

# Its files end with the engine.
UVDIO_BACKEND=memory "$program" $options -n 500 load "$work" >"$work/load.txt" ||
  { cat "$work/load.txt"; exit 1; }

tried=0
for UVDIO_BACKEND in ring aio pool; do
  export UVDIO_BACKEND
  if "$program" $options check "$work/none" 2>&1 | grep -q "backend that was asked for"; then
    echo "SKIP: $UVDIO_BACKEND: it is not to be had here"
    continue
  fi
  try
  tried=$((tried + 1))
done
[ $tried -gt 0 ]
