#!/bin/sh
# SPDX-License-Identifier: MIT
# Every call fails at every point with every error of its man page, on ring, ring with registered
# memory, and pool.
#   sh test/fault/run.sh
# Builds the preset dev. Exit status: 0 nothing failed, 1 something did, 77 nothing could run. The
# last line is for cmake/check.sh --long.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh

folder=build/fault
mkdir -p "$folder"
injections=0 survived=0 failed=0 ran=0

finish() {
  amount="$injections injections, $survived of them survived, on $ran backends"
  faults="every call once and from then on, short transfers, fewer entries taken"
  echo "LAYER faults|$amount|$faults, the first ring of a process|$failed"
  [ "$failed" -eq 0 ] || exit 1
  [ "$ran" -gt 0 ] || exit 77
  exit 0
}

run_backend() {
  log=$folder/$1.txt
  (cd "$folder" && ../dev/test/fault_sweep --backend "$1" --all) >"$log" 2>&1
  status=$?
  grep '^SKIP' "$log"
  [ "$status" -ne 77 ] || return
  ran=$((ran + 1))
  if [ "$status" -ne 0 ]; then
    failed=$((failed + 1))
    grep -B 3 '^\[  ERROR' "$log"
  fi
  counts=$(sed -n 's/^\([0-9]*\) injections, \([0-9]*\) of them survived$/\1 \2/p' "$log")
  echo "$1: $counts (injections, survived)"
  injections=$((injections + ${counts% *})) survived=$((survived + ${counts#* }))
}

if ! build_preset dev "$folder/build.txt"; then
  failed=1
  finish
fi
run_backend ring
run_backend pool
finish
