# SPDX-License-Identifier: MIT
# Every call fails at every point with every error of its man page, on ring, ring with registered
# memory, ring with polled completions, and pool.
#   sh test/run.sh fault
# Builds the preset dev.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="every call once and from then on, short transfers, fewer entries taken"
faults="$faults, the first ring of a process"
injections=0 survived=0 backends=0

describe() {
  echo "$injections injections, $survived of them survived, on $backends backends"
}

# run_backend NAME ARGUMENT...
run_backend() {
  name=$1 results=$folder/$1.txt
  shift
  (cd "$folder" && "$root/build/dev/test/fault_sweep" "$@" --all) >"$results" 2>&1
  code=$?
  grep '^SKIP' "$results"
  count_status "$code"
  [ "$code" -ne 77 ] || return
  backends=$((backends + 1))
  [ "$code" -eq 0 ] || grep -B 3 '^\[  ERROR' "$results" || tail -n 5 "$results"
  counts=$(sum '^\([0-9]*\) injections, [0-9]* of them survived$' "$results")
  alive=$(sum '^[0-9]* injections, \([0-9]*\) of them survived$' "$results")
  echo "$name: $counts $alive (injections, survived)"
  injections=$((injections + counts)) survived=$((survived + alive))
}

run_steps() {
  build dev || return
  run_backend ring --backend ring
  run_backend polled --backend ring --polled on
  run_backend pool --backend pool
}
