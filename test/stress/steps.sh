# SPDX-License-Identifier: MIT
# Stress tests (test_stress.c, test_chaos.c), optimised and under each tool, at the size that it
# bears.
#   sh test/run.sh stress [release] [asan] [tsan] [valgrind]      presets; default: all of them

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="cancellations, closes at every point, signals, forks, stopped loops, random faults"
default="release asan tsan valgrind"
requests=0 sizes=

describe() {
  echo "$requests requests in $passed stress tests, $skipped skipped: ${sizes:-none}"
}

# run_tool PRESET
run_tool() {
  why=$(obstacle "$1")
  [ -z "$why" ] || { leave_out "stress on $1" "$why"; return; }
  build "$1" || return
  results=$folder/$1.txt
  without_aslr ctest --test-dir "build/$1" --timeout 1200 -V -L '^stress$' >"$results" 2>&1
  count_log "$1" "$results"
  print_reasons
  here=$(sum '^[0-9]*: FIGURE \([0-9]*\) requests$' "$results")
  sizes="$sizes${sizes:+, }$1 $here" requests=$((requests + here))
}

run_steps() {
  each run_tool
}
