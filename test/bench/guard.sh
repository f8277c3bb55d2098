#!/bin/sh
# SPDX-License-Identifier: MIT
# What one read or write of 4 KiB may cost on the ring: instructions in user space at depth 32, and
# system calls at depths 32 and 1. Counts, not times: a busy machine changes them little, so that a
# change that makes the library slower fails the build.
#
#   test/bench/guard.sh PATH/TO/uvdio-bench SCRATCH CONFIG [SANITIZER]
#
# The command `uvdio` has to be beside it. SCRATCH is a directory on a filesystem with direct I/O;
# what is made in it is removed. CONFIG is CMake's build type, on which the bounds depend. Each
# figure is from two runs, of 32 operations and of n more: their difference over n is free of what
# starting and ending cost. Of three figures the least counts, since a busy machine only adds.
# Prints the figures and their bounds. Exits with 0, 1 (over a bound), or 77 and "SKIP: reason"
# where nothing was counted.
#
# The bounds on instructions are a tenth over what was measured on a busy machine. Lower them
# when the library gets better; raise them only with a reason in the commit.
set -u
export LC_ALL=C
unset UVDIO_BACKEND

if [ $# -lt 3 ]; then
  echo "usage: $0 PATH/TO/uvdio-bench SCRATCH CONFIG [SANITIZER]" >&2
  exit 2
fi
[ -x "$1" ] || { echo "$0: there is no program $1" >&2; exit 2; }
bench=$1
config=$3
sanitizer=${4:-}
operations=8000

# Recorded with gcc 12.2 on x86-64, libuv 1.44.2 and liburing 2.3: 648 to 698 for a read, of which
# 99 are the benchmark's own, and 667 to 720 for a write: the more iterations, the more.
# Unoptimised, with all assertions, where each inline function is a call, 2553 to 2582. The budget
# for the library and what it calls was 300, and 332 were reached by a path for transfers alone,
# which was worth 1 % of the CPU time (src/README.md, "Decisions") and went.
case $config in
  Debug | '') read_bound=2700 write_bound=0 metrics_bound=0 ;;
  *) read_bound=760 write_bound=800 metrics_bound=1120 ;; # with metrics on: 1012 to 1022
esac
# Thousandths. The budget is 150, and 187 were measured (test/bench/README.md tells why); a slow
# disk completes fewer at a time, so that the bound, which must hold on any, is that of one call for
# every four operations. A lost batch costs a whole call for each.
calls_bound=250
# At depth 1: to submit, to sleep, to have the completion posted, which are 3.00; under strace,
# where completions are often there before the loop sleeps, from 2.02 on. One more for each
# operation would be past the bound where they are not.
lone_calls_bound=3500

skip() {
  echo "SKIP: $1"
  exit 77
}

[ -z "$sanitizer" ] || skip "sanitizers ($sanitizer) add instructions and calls of their own"
why=$("$(dirname "$bench")/uvdio" probe . 2>/dev/null | sed -n 's/^  ring  *not available  *//p')
[ -z "$why" ] || skip "ring: $why"
command -v valgrind >/dev/null 2>&1 || without_valgrind="valgrind is not installed"
command -v strace >/dev/null 2>&1 || without_strace="strace is not installed"
[ -z "${without_valgrind:-}" ] || [ -z "${without_strace:-}" ] ||
  skip "$without_valgrind, $without_strace"

mkdir -p "$2" || exit 2
work=$(cd "$2" && pwd)/uvdio-guard.$$
mkdir "$work" || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
dd if=/dev/zero of="$work/f.0" bs=1048576 count=16 2>/dev/null || exit 2

target=ring operation=random-read depth=32

# params N: what `uvdio-bench target` takes.
params() {
  printf '{"target":"%s","directory":"%s","operation":"%s",' "$target" "$work" "$operation"
  printf '"depth":%s,"file_size":16777216,"operations":%s}\n' "$depth" "$1"
}

"$bench" target "$(params 100)" >"$work/out" 2>&1
grep -q '"executed_by": "ring"' "$work/out" ||
  skip "reads are not executed by the ring here: $(tr -d '\n' <"$work/out")"

count_instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" target "$(params "$1")" \
    2>"$work/err" >/dev/null
  sed -n 's/.*Collected : //p' "$work/err"
}

count_calls() {
  strace -f -c -o "$work/strace" "$bench" target "$(params "$1")" >/dev/null 2>"$work/err"
  # "100.00  0.1  5  123  4 total": the calls come after seconds, share and time per call, which old
  # ones leave out.
  awk '
    /^---/ { under = 1; next }
    under && $NF != "total" { calls += ($4 ~ /^[0-9]+$/ ? $4 : 0) }
    END { print calls + 0 }' "$work/strace"
}

# per_operation COUNTER: thousandths, the least of three; nothing where the counter does not work.
per_operation() {
  for _ in 1 2 3; do
    few=$($1 32)
    many=$($1 $((operations + 32)))
    [ -n "$few" ] && [ -n "$many" ] && [ "$few" -gt 0 ] &&
      echo $(((many - few) * 1000 / operations))
  done | sort -n | head -n 1
}

checked=0
failures=0

# check WHAT COUNTER BOUND: the bound in thousandths.
check() {
  figure=$(per_operation "$2")
  if [ -z "$figure" ]; then
    echo "$1: could not be counted here: $(tail -n 1 "$work/err")"
    return
  fi
  checked=$((checked + 1))
  verdict=ok
  if [ "$figure" -gt "$3" ]; then
    verdict="OVER THE BOUND"
    failures=$((failures + 1))
  fi
  awk -v what="$1" -v figure="$figure" -v bound="$3" -v verdict="$verdict" 'BEGIN {
    printf "%s: %.3f per operation, ", what, figure / 1000
    printf "at most %.3f: %s\n", bound / 1000, verdict
  }'
}

if [ -z "${without_valgrind:-}" ]; then
  check "instructions of a read" count_instructions $((read_bound * 1000))
  if [ "$write_bound" -gt 0 ]; then
    operation=random-write
    check "instructions of a write" count_instructions $((write_bound * 1000))
    operation=random-read
  fi
  if [ "$metrics_bound" -gt 0 ]; then
    target=ring-metrics
    check "instructions of a read with metrics" count_instructions $((metrics_bound * 1000))
    target=ring
  fi
else
  echo "instructions: not counted: $without_valgrind"
fi
if [ -z "${without_strace:-}" ]; then
  check "system calls at depth 32" count_calls $calls_bound
  depth=1
  check "system calls at depth 1" count_calls $lone_calls_bound
else
  echo "system calls: not counted: $without_strace"
fi
[ $checked -gt 0 ] || skip "neither valgrind nor strace works here"
[ $failures -eq 0 ]
