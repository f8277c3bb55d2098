#!/bin/sh
# SPDX-License-Identifier: MIT
# Storms (test_storms.c, test_chaos.c), optimised and under each tool, at the size that it bears.
#   sh test/storm/run.sh [release] [asan] [tsan] [valgrind]      presets; default: all of them
#
# Exit status: 0 nothing failed, 1 something did, 77 nothing could run. The last line is for
# cmake/check.sh --long.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh

for preset; do
  case $preset in
    release | asan | tsan | valgrind) ;;
    *) head_comment test/storm/run.sh; exit 2 ;;
  esac
done
[ $# -gt 0 ] || set -- release asan tsan valgrind

folder=build/storm
passed=0 failed=0 skipped=0 requests=0 ran=

finish() {
  amount="$requests requests in $passed storms, $skipped skipped: ${ran:-none}"
  faults="cancellations, closes at every point, signals, forks, stopped loops, random faults"
  echo "LAYER storms|$amount|$faults|$failed"
  [ "$failed" -eq 0 ] || exit 1
  [ "$passed" -gt 0 ] || exit 77
  exit 0
}

# run_tool PRESET
run_tool() {
  why=$(obstacle "$1")
  if [ -n "$why" ]; then
    echo "storms on $1: left out: $why"
    skipped=$((skipped + 1))
    return
  fi
  build_preset "$1" "$folder/$1-build.txt" || { failed=$((failed + 1)); return; }
  log=$folder/$1.txt reasons=$folder/$1-reasons.txt # now: build_preset has a log of its own
  without_aslr ctest --test-dir "build/$1" --timeout 1200 -V -L '^storm$' >"$log" 2>&1
  : >"$reasons"
  counts=$(awk -v pass="$1" -v reasons="$reasons" -v log_name="$log" -f cmake/count.awk "$log")
  sort "$reasons" | uniq -c | sort -rn
  echo "$counts" | sed '$d'
  here=$(sed -n 's/^[0-9]*: FIGURE \([0-9]*\) requests$/\1/p' "$log" |
    awk '{ n += $1 } END { print n + 0 }')
  ran="$ran${ran:+, }$1 $here" requests=$((requests + here))
  # The last line that count.awk prints is for us: three numbers.
  # shellcheck disable=SC2046
  set -- $(echo "$counts" | tail -n 1)
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

mkdir -p "$folder"
for preset; do
  say "$preset"
  run_tool "$preset"
done
echo
finish
